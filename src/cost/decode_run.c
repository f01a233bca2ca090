/* Steps of a batch that only decodes, from one line of a table.
 *
 * In a pure decode only KV seconds depend on the context, so the terms of a batch size are
 * tabulated once (its line) and step i of a run is ns[i] = round(sum of the terms with KV at
 * context x0 + i*dx) at a few adds each, in loops that vectorise. A batch that is not in it,
 * being too large or one of ranks that step together, has its line worked out when it is met; where
 * there is no line (sliding windows, measured attention) rt_cost_can_run says so. Nothing here can
 * fail but the table: RT_ENOMEM. Building is O(max_seqs), a run O(steps), the rest O(1). */
#include "rooftrace/decode_run.h"
#include "decode_line_internal.h"
#include "rooftrace/wide.h"

#include <assert.h>
#include <stdlib.h>

/* ---- the table ------------------------------------------------------------------------------- */

/* `group`: tokens of the ranks that step with it. */
static void decode_line(const struct rt_cost *c, int64_t decodes, const struct rt_step_shape *group,
                        struct rt_decode_line *out)
{
    const struct rt_step_shape s = {.tokens = decodes,
                                    .decodes = decodes,
                                    .sequences = decodes,
                                    .samples = decodes,
                                    .held_tokens = 1,
                                    .decode_context = 1,
                                    .group_tokens = group->group_tokens,
                                    .group_largest = group->group_largest};
    for (int i = 0; i < RT_TERM_COUNT; i++)
        out->terms_s[i] = 0;
    c->model->terms(c, &s, out->terms_s);
    out->slope_s = out->terms_s[RT_TERM_KV];
    out->knee = c->knee;
    out->beyond_s = c->beyond_s;
}

/* Most steps are pure decodes: their terms are tabulated, too. */
bool rt_decode_lines_build(struct rt_cost *c, struct rt_err *err)
{
    const struct rt_step_shape alone = {.tokens = 0};
    int64_t most = c->in.max_seqs > 0 ? c->in.max_seqs : c->in.max_tokens;
    /* where more than the decodes decides */
    if (c->window_count > 0 || c->role.together || !c->decode_is_line)
        return true;
    if (most > c->in.max_tokens)
        most = c->in.max_tokens;
    if (most > RT_TABLE_CAP_SAMPLES)
        most = RT_TABLE_CAP_SAMPLES;
    if (most < 0)
        most = 0;
    c->lines = malloc((size_t)(most + 1) * sizeof c->lines[0]);
    if (c->lines == NULL)
        return rt_fail_nomem(err, "the cost tables");
    for (int64_t i = 0; i <= most; i++)
        decode_line(c, i, &alone, &c->lines[i]);
    c->line_count = most + 1;
    return true;
}

/* ---- plain steps ----------------------------------------------------------------------------- */

bool rt_cost_is_plain(const struct rt_cost *c, const struct rt_step_shape *s)
{
    return find_line(c, s) != NULL;
}

int64_t rt_cost_knee(const struct rt_cost *c)
{
    return (int64_t)c->knee;
}

void rt_cost_add_decodes(const struct rt_cost *c, int64_t decodes, const struct rt_plain_sums *sums,
                         double terms_s[RT_TERM_COUNT])
{
    assert(decodes >= 0 && decodes < c->line_count);
    const struct rt_decode_line *line = &c->lines[decodes];
    for (int t = 0; t < RT_TERM_COUNT; t++)
        if (t != RT_TERM_KV)
            terms_s[t] += sums->steps * line->terms_s[t];
    terms_s[RT_TERM_KV] += line->slope_s * sums->low + line->beyond_s * (sums->context - sums->low);
}

/* ---- runs ------------------------------------------------------------------------------------ */

bool rt_cost_can_run(const struct rt_cost *c)
{
    return c->window_count == 0 && c->decode_is_line;
}

/* Duration of the i-th step before rounding. The sums x are integers below 2^53, so x0 + i*dx is
 * exact and equals the conversion of the advanced integer. Below the knee nothing lies beyond it:
 * the same bits for less. */
static inline double run_ns(const struct rt_decode_line *line, double x0, double dx, int32_t i,
                            bool below)
{
    double x = x0 + (double)i * dx;
    return step_seconds(line->terms_s, below ? line->slope_s * x : line_kv_s(line, x)) * 1e9;
}

/* Every operation is monotone in x, so all durations lie between the first and the last. Where
 * these are too long for round_small, or negative, it gives bits that say so. */
static inline bool were_small(int64_t first_ns, int64_t last_ns)
{
    return ((uint64_t)first_ns | (uint64_t)last_ns) < UINT64_C(1) << 51;
}

static int64_t add_ns(int64_t sum, int64_t ns)
{
    return ns > INT64_MAX - sum ? INT64_MAX : sum + ns;
}

/* Returns the sum; lists them if ns is not NULL. */
static inline int64_t add_small(const struct rt_decode_run *r, int32_t from, int32_t n, int64_t *ns,
                                bool below)
{
    const struct rt_decode_line line = *r->line;
    double x0 = r->x0, dx = r->dx;
    uint64_t sum = 0;
    for (int32_t i = 0; i < n; i++) {
        int64_t one_ns = round_small(run_ns(&line, x0, dx, from + i, below));
        sum += (uint64_t)one_ns;
        if (ns)
            ns[i] = one_ns;
    }
    return (int64_t)sum;
}

static inline bool is_below_knee(const struct rt_decode_run *r, int32_t to)
{
    return r->x0 + (double)to * r->dx <= r->line->knee;
}

RT_WIDE static int64_t list_small(const struct rt_decode_run *r, int32_t from, int32_t n,
                                  int64_t *ns)
{
    return is_below_knee(r, from + n) ? add_small(r, from, n, ns, true)
                                      : add_small(r, from, n, ns, false);
}

RT_WIDE static int64_t sum_small(const struct rt_decode_run *r, int32_t from, int32_t n)
{
    return is_below_knee(r, from + n) ? add_small(r, from, n, NULL, true)
                                      : add_small(r, from, n, NULL, false);
}

bool rt_cost_run(const struct rt_cost *c, int64_t decodes, int64_t context,
                 struct rt_decode_run *run)
{
    *run = (struct rt_decode_run){.line = decodes < c->line_count ? &c->lines[decodes] : NULL,
                                  .x0 = (double)context,
                                  .dx = (double)decodes};
    return run->line != NULL;
}

int64_t rt_run_ns(const struct rt_decode_run *run, uint32_t i)
{
    return round_any(run_ns(run->line, run->x0, run->dx, (int32_t)i, false));
}

/* Steps of any length, one by one; listed if ns is not NULL. */
static int64_t add_up(const struct rt_decode_run *run, uint32_t from, uint32_t n, int64_t *ns)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        int64_t one_ns = rt_run_ns(run, from + i);
        sum = add_ns(sum, one_ns);
        if (ns)
            ns[i] = one_ns;
    }
    return sum;
}

int64_t rt_run_list(const struct rt_decode_run *run, uint32_t from, uint32_t n, int64_t *ns)
{
    assert(n <= RT_MAX_RUN);
    if (n == 0)
        return 0;
    int64_t sum = list_small(run, (int32_t)from, (int32_t)n, ns);
    return were_small(ns[0], ns[n - 1]) ? sum : add_up(run, from, n, ns);
}

int64_t rt_run_sum(const struct rt_decode_run *run, uint32_t from, uint32_t n)
{
    assert(n <= RT_MAX_RUN);
    if (n == 0)
        return 0;
    int64_t first_ns = round_small(run_ns(run->line, run->x0, run->dx, (int32_t)from, false));
    int64_t last_ns =
        round_small(run_ns(run->line, run->x0, run->dx, (int32_t)(from + n - 1), false));
    return were_small(first_ns, last_ns) ? sum_small(run, (int32_t)from, (int32_t)n)
                                         : add_up(run, from, n, NULL);
}

int64_t rt_cost_decode_run(const struct rt_cost *c, struct rt_step_shape *s, uint32_t n,
                           int64_t *ns)
{
    int64_t sum = 0;
    assert(rt_cost_can_run(c));
    assert(s->prefill_tokens == 0 && s->tokens == s->decodes);
    assert(s->sequences == s->decodes && s->samples == s->decodes);
    struct rt_decode_line beyond; /* the table */
    struct rt_decode_run run;
    if (!rt_cost_run(c, s->decodes, 0, &run)) {
        decode_line(c, s->decodes, s, &beyond);
        run.line = &beyond;
    }
    while (n > 0) {
        uint32_t now = n < RT_MAX_RUN ? n : RT_MAX_RUN;
        run.x0 = line_context(c, s);
        sum = add_ns(sum, rt_run_list(&run, 0, now, ns));
        s->decode_context += (int64_t)now * s->decodes;
        s->held_tokens += (int64_t)now * s->decodes;
        ns += now;
        n -= now;
    }
    return sum;
}
