/* transform_rows.c: what is done to one row at a time, in this order:
 *
 *     head -> rate_scale (of a mix) -> keep_share -> max_gap_s -> scales, caps, context
 *                                                                 (transform_length.c)
 *
 * keep_share: a row without session is kept with that probability, drawn for each; a session is
 * kept or left out whole, by a hash of its name and the seed, because its turns build on each
 * other. max_gap_s: a longer gap between two rows kept (or before the first) becomes that long, and
 * everything behind it comes earlier by the rest. Ids stay, and rows whose times become equal by
 * rounding keep their order. Failure: what the wrapped source says,
 * a context that is too long, sums beyond 2^63. O(1) a row; no memory. */
#include "transform_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct rows {
    struct rt_source base;
    struct rt_source *inner; /* owned */
    struct rt_transform_spec transform;
    uint64_t head; /* rows that may still come */
    struct rt_time_map map;
    struct rt_rng keep;
    uint64_t keep_key;     /* of sessions */
    int64_t max_gap_ns;    /* INT64_MAX: no limit */
    int64_t last_ns;       /* arrival of the last row, as it came */
    int64_t saved_ns;      /* taken off all arrivals */
    uint64_t cut, dropped; /* rows, by the context limit */
    struct rt_ahead ahead;
    struct rt_source_stats stats;
};

static bool kept(struct rows *s, const struct rt_request *row)
{
    double share = s->transform.keep_share;
    if (share == 1)
        return true;
    if (row->session == NULL)
        return rt_rng_unit(&s->keep) < share;
    uint64_t name = rt_hash_text(row->session, strlen(row->session));
    return rt_unit_of(rt_mix_ids(s->keep_key, name)) < share;
}

static void close_gap(struct rows *s, struct rt_request *row)
{
    int64_t gap = row->arrival_ns - s->last_ns;
    s->last_ns = row->arrival_ns;
    if (gap > s->max_gap_ns)
        s->saved_ns += gap - s->max_gap_ns;
    row->arrival_ns -= s->saved_ns;
}

static void refresh_stats(struct rows *s)
{
    struct rt_source_stats own = s->stats;
    s->stats = *rt_source_stats(s->inner);
    s->stats.rows = own.rows;
    s->stats.prompt_tokens = own.prompt_tokens;
    s->stats.output_tokens = own.output_tokens;
    s->stats.context_cut += s->cut;
    s->stats.context_dropped += s->dropped;
}

static enum rt_verdict apply(struct rows *s, struct rt_request *row, struct rt_err *err)
{
    bool cut = false;
    row->arrival_ns = rt_time_map_key(&s->map, row->arrival_ns);
    if (row->arrival_ns == INT64_MAX) {
        (void)rt_fail(err, RT_ETRACE, "rate_scale: an arrival lies beyond 292 years");
        return RT_ROW_FAIL;
    }
    if (!kept(s, row))
        return RT_ROW_DROP;
    close_gap(s, row);
    enum rt_verdict v = rt_length_apply(&s->transform, s->stats.hash_block_tokens, row, &cut, err);
    s->cut += cut;
    s->dropped += v == RT_ROW_DROP;
    return v;
}

static void pull(struct rows *s)
{
    struct rt_ahead *a = &s->ahead;
    enum rt_verdict verdict = RT_ROW_DROP;
    while (verdict == RT_ROW_DROP) {
        if (s->head == 0) {
            a->ended = true;
            return;
        }
        rt_ahead_pull(a, s->inner);
        if (!a->has) {
            refresh_stats(s);
            return;
        }
        s->head--;
        verdict = apply(s, &a->row, &a->failure);
    }
    refresh_stats(s);
    a->has = verdict == RT_ROW_KEEP && rt_count_row(&s->stats, &a->row, &a->failure);
    a->failed = !a->has;
}

static enum rt_pull rows_next(struct rt_source *base, int64_t now_ns, struct rt_request *out,
                              int64_t *not_before_ns, struct rt_err *err)
{
    struct rows *s = (struct rows *)base;
    if (!s->ahead.has && !s->ahead.ended && !s->ahead.failed)
        pull(s);
    return rt_ahead_answer(&s->ahead, now_ns, out, not_before_ns, err);
}

static const char *rows_name(const struct rt_source *base, uint32_t name)
{
    return rt_source_name(((const struct rows *)base)->inner, name);
}

static const struct rt_source_stats *rows_stats(const struct rt_source *base)
{
    return &((const struct rows *)base)->stats;
}

static void rows_free(struct rt_source *base)
{
    struct rows *s = (struct rows *)base;
    rt_source_free(s->inner);
    free(s);
}

static const struct rt_source_ops ops = {
    .next = rows_next, .name = rows_name, .stats = rows_stats, .free = rows_free};

bool rt_rows_new(struct rt_source *inner, const struct rt_rows_spec *spec, struct rt_source **out,
                 struct rt_err *err)
{
    struct rows *s = calloc(1, sizeof *s);
    if (s == NULL) {
        rt_source_free(inner);
        return rt_fail_nomem(err, "rows of a trace");
    }
    s->base.ops = &ops;
    s->inner = inner;
    s->head = spec->head;
    s->map.rate = spec->rate;
    rt_transform_init(&s->transform);
    if (spec->transform != NULL)
        s->transform = *spec->transform;
    rt_rng_init(&s->keep, spec->seed, RT_RNG_KEEP, spec->stream);
    s->keep_key = rt_rng_u64(&s->keep);
    double gap_ns = s->transform.max_gap_s * 1e9; /* at most 9e18 */
    s->max_gap_ns = gap_ns > 0 ? llrint(gap_ns) : INT64_MAX;
    refresh_stats(s);
    *out = &s->base;
    return true;
}
