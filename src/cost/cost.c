/* The interface of all cost models: the scenario's section `cost`, the table of models, rounding to
 * nanoseconds, and runs of decode steps.
 *
 * Happy path: rt_cost_new picks the model, lets it check its inputs and build its tables; a step
 * then asks it for eight terms, adds them in the order of enum rt_term and rounds once. Failures:
 * bad inputs are RT_ECONFIG, tables that do not fit RT_ENOMEM. A step cannot fail. Cost:
 * rt_cost_new O(max_tokens), a step O(1), a run of n decode steps O(n) at a few adds each. */
#include "cost_internal.h"
#include "rooftrace/decode_run.h"
#include "rooftrace/wide.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const rt_term_names[RT_TERM_COUNT] = {
    "weights", "compute", "kv", "attention", "other", "launch", "comm", "host",
};

static const struct rt_cost_model *const models[] = {
    /* the only list; index = what pick says */
    &rt_cost_linear,
    &rt_cost_roofline,
    &rt_cost_light,
    &rt_cost_profile,
};

static const char *const kind_names[] = {"roofline", "linear",
                                         "profile"}; /* by enum rt_cost_kind */

const char *const rt_origin_names[RT_ORIGIN_COUNT] = {
    "unused", "roofline", "scaled", "interpolated", "measured",
};

#define LINEAR_LIMIT_S 1e6 /* a coefficient beyond this is not seconds */

/* ---- the section `cost` ---------------------------------------------------------------------- */

void rt_cost_spec_init(struct rt_cost_spec *s)
{
    memset(s, 0, sizeof *s);
    s->kind = RT_COST_ROOFLINE;
}

static bool parse_coefficients(const struct rt_json_at *at, struct rt_cost_spec *s,
                               struct rt_err *err)
{
    struct rt_json_at list = rt_json_get(at, "coefficients_s");
    if (!rt_json_need(at, "coefficients_s", err) || !rt_json_expect(&list, RT_JSON_ARRAY, err))
        return false;
    if (rt_json_count(&list) != 5)
        return rt_json_fail(&list, err, "expected five numbers b0..b4 in seconds, read %d",
                            rt_json_count(&list));
    for (int i = 0; i < 5; i++) {
        struct rt_json_at item = rt_json_item(&list, i);
        if (!rt_json_expect(&item, RT_JSON_NUMBER, err))
            return false;
        double value = item.node->valuedouble;
        if (!(fabs(value) <= LINEAR_LIMIT_S))
            return rt_json_fail(&item, err, "expected seconds from %g to %g, read %g",
                                -LINEAR_LIMIT_S, LINEAR_LIMIT_S, value);
        s->coefficients_s[i] = value;
    }
    return true;
}

const char *rt_cost_kind_name(enum rt_cost_kind kind)
{
    return kind_names[kind];
}

void rt_cost_spec_release(struct rt_cost_spec *s)
{
    free(s->file);
    s->file = NULL;
}

static bool parse_file(const struct rt_json_at *at, struct rt_cost_spec *s, struct rt_err *err)
{
    struct rt_json_at place = rt_json_get(at, "file");
    const char *path = "";
    if (!rt_json_need(at, "file", err) || !rt_json_string(at, "file", &path, err))
        return false;
    if (path[0] == '\0')
        return rt_json_fail(&place, err, "expected the path of a table, read \"\"");
    char *resolved = rt_path_beside(rt_json_name(at->doc), path);
    if (resolved == NULL)
        return rt_fail_nomem(err, "path of a profile");
    rt_cost_spec_release(s);
    s->file = resolved;
    return true;
}

static bool parse_skew(const struct rt_json_at *at, struct rt_cost_spec *s, struct rt_err *err)
{
    return rt_json_double(at, "expert_skew", 0, RT_MAX_EXPERT_SKEW, &s->expert_skew, err);
}

bool rt_cost_spec_parse(const struct rt_json_at *at, struct rt_cost_spec *s, struct rt_err *err)
{
    static const char *const profile_keys[] = {"kind", "file", "expert_skew"};
    static const char *const roofline_keys[] = {"kind", "speed_of_light", "expert_skew"};
    static const char *const linear_keys[] = {"kind", "coefficients_s"};
    if (rt_json_kind(at) == RT_JSON_ABSENT)
        return true;
    unsigned kind = (unsigned)s->kind;
    if (!rt_json_expect(at, RT_JSON_OBJECT, err) ||
        !rt_json_choice(at, "kind", kind_names, 3, &kind, err))
        return false;
    s->kind = (enum rt_cost_kind)kind;
    if (s->kind == RT_COST_LINEAR)
        return rt_json_only(at, linear_keys, 2, err) && parse_coefficients(at, s, err);
    if (s->kind == RT_COST_PROFILE)
        return rt_json_only(at, profile_keys, 3, err) && parse_file(at, s, err) &&
               parse_skew(at, s, err);
    return rt_json_only(at, roofline_keys, 3, err) &&
           rt_json_bool(at, "speed_of_light", &s->speed_of_light, err) && parse_skew(at, s, err);
}

/* ---- life cycle ------------------------------------------------------------------------------ */

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
static bool build_lines(struct rt_cost *c, struct rt_err *err)
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

static const struct rt_cost_model *pick(const struct rt_cost_spec *spec)
{
    if (spec->kind == RT_COST_LINEAR)
        return models[0];
    if (spec->kind == RT_COST_PROFILE)
        return models[3];
    return spec->speed_of_light ? models[2] : models[1];
}

static void free_one(struct rt_cost *c)
{
    if (c->model->release != NULL)
        c->model->release(c);
    free(c->lines);
    free(c);
}

/* A pipeline, or one stage of it; NULL with *err. */
static struct rt_cost *new_part(const struct rt_cost_inputs *in, const struct rt_role *role,
                                struct rt_err *err)
{
    struct rt_cost *c = calloc(1, sizeof *c);
    if (c == NULL) {
        (void)rt_fail_nomem(err, "the cost model");
        return NULL;
    }
    c->in = *in;
    c->role = *role;
    c->model = pick(&in->spec);
    c->decode_is_line = true;
    c->knee = RT_NO_KNEE;
    if (c->model->init(c, err) && build_lines(c, err))
        return c;
    free_one(c);
    return NULL;
}

/* One cost of each sort of stage: equal ones take equally long. */
static bool add_stages(struct rt_cost *c, struct rt_err *err)
{
    int64_t stages = c->in.parallel.pipeline;
    struct rt_stage stage, earlier;
    c->stages = calloc((size_t)stages, sizeof(*c->stages));
    if (c->stages == NULL)
        return rt_fail_nomem(err, "the cost model");
    for (int64_t i = 0; i < stages; i++) {
        bool known = false;
        rt_stage_of(&c->in, i, &stage);
        for (unsigned k = 0; k < c->stage_count && !known; k++) {
            earlier = (struct rt_stage){c->stages[k]->in, c->stages[k]->role};
            known = rt_stage_alike(&earlier, &stage);
        }
        if (known)
            continue;
        struct rt_cost *part = new_part(&stage.in, &stage.role, err);
        if (part == NULL)
            return false;
        part->in.spec.file = NULL; /* the caller's */
        c->stages[c->stage_count++] = part;
    }
    return true;
}

bool rt_cost_new(const struct rt_cost_inputs *in, struct rt_cost **out, struct rt_err *err)
{
    struct rt_role role = {.first = true, .last = true, .stages = 1};
    bool split = in->spec.kind != RT_COST_LINEAR;
    *out = NULL;
    if (split && !rt_cost_check(in, err))
        return false;
    if (split)
        rt_stage_whole(in, &role);
    struct rt_cost *c = new_part(in, &role, err);
    if (c == NULL)
        return false;
    if (role.stages > 1 && !add_stages(c, err)) {
        rt_cost_free(c);
        return false;
    }
    c->in.spec.file = NULL; /* the caller's; it may go now */
    *out = c;
    return true;
}

void rt_cost_free(struct rt_cost *c)
{
    if (c == NULL)
        return;
    for (unsigned i = 0; i < c->stage_count; i++) /* a stage has none of its own */
        free_one(c->stages[i]);
    free(c->stages);
    free_one(c);
}

unsigned rt_cost_windows(const struct rt_cost *c, int64_t windows[RT_MAX_WINDOWS])
{
    for (unsigned i = 0; i < c->window_count; i++)
        windows[i] = c->windows[i];
    return c->window_count;
}

/* ---- rounding -------------------------------------------------------------------------------- */

#define TWO_51     2251799813685248.0
#define TWO_52     4503599627370496.0
#define LONGEST_NS (INT64_C(1) << 62) /* 146 years */

/* Half to even, for 0 <= ns < 2^51: adding 2^52 makes the unit of the last place 1, so the addition
 * itself rounds, and the integer is what the bits are beyond those of 2^52. Branch-free, so that
 * loops over it vectorise; the same result as llrint in the default rounding mode. */
static inline int64_t round_small(double ns)
{
    double shifted = ns + TWO_52;
    int64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    return bits - INT64_C(0x4330000000000000);
}

static int64_t round_any(double ns)
{
    if (!(ns > 0))
        return 0; /* NaN cannot come from finite coefficients and sums; negative counts as 0 */
    if (ns < TWO_51)
        return round_small(ns);
    return ns < (double)LONGEST_NS ? (int64_t)llrint(ns) : LONGEST_NS;
}

/* ---- one step -------------------------------------------------------------------------------- */

/* The line of a step that is a pure decode and nothing else; NULL when it is not, or not tabulated.
 */
static const struct rt_decode_line *find_line(const struct rt_cost *c,
                                              const struct rt_step_shape *s)
{
    bool pure = s->tokens == s->decodes && s->sequences == s->decodes && s->samples == s->decodes &&
                s->transfer_s + s->draft_s <= 0;
    return pure && s->decodes < c->line_count ? &c->lines[s->decodes] : NULL;
}

/* The sum that KV seconds grow with. */
static double line_context(const struct rt_cost *c, const struct rt_step_shape *s)
{
    return (double)(c->slope_on_held ? s->held_tokens : s->decode_context);
}

/* KV seconds of a context: one slope up to the knee, another one beyond. */
static inline double line_kv_s(const struct rt_decode_line *line, double context)
{
    double low = context < line->knee ? context : line->knee;
    return line->slope_s * low + line->beyond_s * (context - low);
}

void rt_cost_step_terms(const struct rt_cost *c, const struct rt_step_shape *s,
                        double terms_s[RT_TERM_COUNT])
{
    const struct rt_decode_line *line = find_line(c, s);
    assert(s->tokens >= 0 && s->samples >= 0);
    if (line != NULL) {
        memcpy(terms_s, line->terms_s, sizeof line->terms_s);
        terms_s[RT_TERM_KV] = line_kv_s(line, line_context(c, s));
        return;
    }
    for (int i = 0; i < RT_TERM_COUNT; i++)
        terms_s[i] = 0;
    c->model->terms(c, s, terms_s);
    terms_s[RT_TERM_COMM] += s->transfer_s;
    if (s->draft_s > 0)
        terms_s[RT_TERM_OTHER] += s->draft_s;
}

/* The sum in the order of enum rt_term, with another KV term in its place. */
static inline double step_seconds(const double terms_s[RT_TERM_COUNT], double kv_s)
{
    double t = terms_s[RT_TERM_WEIGHTS] + terms_s[RT_TERM_COMPUTE];
    t += kv_s;
    t += terms_s[RT_TERM_ATTENTION];
    t += terms_s[RT_TERM_OTHER];
    t += terms_s[RT_TERM_LAUNCH];
    t += terms_s[RT_TERM_COMM];
    t += terms_s[RT_TERM_HOST];
    return t;
}

int64_t rt_cost_step(const struct rt_cost *c, const struct rt_step_shape *s,
                     double terms_s[RT_TERM_COUNT])
{
    rt_cost_step_terms(c, s, terms_s);
    return round_any(step_seconds(terms_s, terms_s[RT_TERM_KV]) * 1e9);
}

int64_t rt_cost_step_ns(const struct rt_cost *c, const struct rt_step_shape *s)
{
    const struct rt_decode_line *line = find_line(c, s);
    double terms_s[RT_TERM_COUNT];
    if (line != NULL)
        return round_any(step_seconds(line->terms_s, line_kv_s(line, line_context(c, s))) * 1e9);
    return rt_cost_step(c, s, terms_s);
}

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

/* ---- stages and ranks ---------------------------------------------------------------------- */

int64_t rt_cost_stage_ns(const struct rt_cost *c, const struct rt_step_shape *s)
{
    double slowest_s = 0;
    if (c->stage_count == 0) { /* no model to deal out: equal stages */
        int64_t stages = c->in.parallel.pipeline > 1 ? c->in.parallel.pipeline : 1;
        return (rt_cost_step_ns(c, s) + stages - 1) / stages;
    }
    for (unsigned i = 0; i < c->stage_count; i++) {
        double terms_s[RT_TERM_COUNT];
        rt_cost_step_terms(c->stages[i], s, terms_s);
        double host_s = terms_s[RT_TERM_HOST];
        terms_s[RT_TERM_HOST] = 0;
        slowest_s = fmax(slowest_s, fmax(step_seconds(terms_s, terms_s[RT_TERM_KV]), host_s));
    }
    return round_any(slowest_s * 1e9);
}

bool rt_cost_ranks_together(const struct rt_cost *c)
{
    return c->role.together;
}

int64_t rt_table_rows(int64_t max, int64_t cap)
{
    int64_t rows = max < cap ? max : cap;
    return rows > 0 ? rows + 1 : 1;
}

/* ---- runs of decode steps -------------------------------------------------------------------- */

bool rt_cost_can_run(const struct rt_cost *c)
{
    return c->window_count == 0 && c->decode_is_line;
}

/* Duration of the i-th step before rounding. The sums x are integers below 2^53, so x0 + i*dx is
 * exact and equals the conversion of the advanced integer. */
static inline double run_ns(const struct rt_decode_line *line, double x0, double dx, int32_t i)
{
    return step_seconds(line->terms_s, line_kv_s(line, x0 + (double)i * dx)) * 1e9;
}

/* Every operation is monotone in x, so all durations lie between the first and the last. */
static inline bool run_is_small(const struct rt_decode_run *r, int32_t from, int32_t n)
{
    double first = run_ns(r->line, r->x0, r->dx, from);
    double last = run_ns(r->line, r->x0, r->dx, from + n - 1);
    return first >= 0 && last >= 0 && first < TWO_51 && last < TWO_51;
}

static int64_t add_ns(int64_t sum, int64_t ns)
{
    return ns > INT64_MAX - sum ? INT64_MAX : sum + ns;
}

RT_WIDE static int64_t list_small(const struct rt_decode_run *r, int32_t from, int32_t n,
                                  int64_t *ns)
{
    const struct rt_decode_line line = *r->line;
    double x0 = r->x0, dx = r->dx;
    int64_t sum = 0;
    for (int32_t i = 0; i < n; i++) {
        ns[i] = round_small(run_ns(&line, x0, dx, from + i));
        sum += ns[i];
    }
    return sum;
}

RT_WIDE static int64_t sum_small(const struct rt_decode_run *r, int32_t from, int32_t n)
{
    const struct rt_decode_line line = *r->line;
    double x0 = r->x0, dx = r->dx;
    int64_t sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += round_small(run_ns(&line, x0, dx, from + i));
    return sum;
}

bool rt_cost_run(const struct rt_cost *c, const struct rt_step_shape *s, struct rt_decode_run *run)
{
    *run = (struct rt_decode_run){
        .line = find_line(c, s), .x0 = line_context(c, s), .dx = (double)s->decodes};
    return run->line != NULL;
}

int64_t rt_run_ns(const struct rt_decode_run *run, uint32_t i)
{
    return round_any(run_ns(run->line, run->x0, run->dx, (int32_t)i));
}

int64_t rt_run_list(const struct rt_decode_run *run, uint32_t from, uint32_t n, int64_t *ns)
{
    int32_t first = (int32_t)from, count = (int32_t)n;
    int64_t sum = 0;
    assert(n <= RT_MAX_RUN);
    if (n == 0)
        return 0;
    if (run_is_small(run, first, count))
        return list_small(run, first, count, ns);
    for (uint32_t i = 0; i < n; i++) {
        ns[i] = rt_run_ns(run, from + i);
        sum = add_ns(sum, ns[i]);
    }
    return sum;
}

int64_t rt_run_sum(const struct rt_decode_run *run, uint32_t from, uint32_t n)
{
    int32_t first = (int32_t)from, count = (int32_t)n;
    int64_t sum = 0;
    assert(n <= RT_MAX_RUN);
    if (n == 0)
        return 0;
    if (run_is_small(run, first, count))
        return sum_small(run, first, count);
    for (uint32_t i = 0; i < n; i++)
        sum = add_ns(sum, rt_run_ns(run, from + i));
    return sum;
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
    bool known = rt_cost_run(c, s, &run);
    if (!known) {
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
