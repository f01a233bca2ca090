/* source_trace.c: a trace file as a source of requests.
 *
 * Each copy of the trace (one unless `repeat` says more) is one pass over the file:
 *
 *     rows in time order (sort_window) -> window_s -> max_requests -> shifted, scaled -> answered
 *
 * Times: absolute stamps (the first arrival above 1e8 s) are rebased to a first arrival of 0; then
 * `window_s` [from, to) is cut out and `from` becomes 0. Copy r is shifted by r * (span + mean
 * gap), span = last - first arrival of the rows kept, mean gap = span / (rows - 1) rounded to ns;
 * when the span is 0 (one row, or all at once) copies follow each other every second; `spread_s`,
 * where it is longer, takes the place of the gap. Last, times
 * are spread (`spread_s`: a random time below it is added to each stamp, the same in all copies),
 * divided by `rate_scale` and rounded half to even. Order is (arrival, id) of the times so
 * found: stamps that scaling makes equal come in file order, and `max_requests` takes the first in
 * that order. Ids: copy r's is r * (rows of the file) + place in the file; rows left out have ids,
 * too. Failure: an error in row k is told after the rows before it were answered. Nothing left by
 * the window, a pipe that should be read twice, a file that changes between passes, and times or
 * sums beyond 2^63 are errors. Cost: O(1) amortised a row; each copy reads the file again. */
#include "rooftrace/rng.h"
#include "workload_internal.h"

#include <math.h>
#include <stdlib.h>

#define ABSOLUTE_NS INT64_C(100000000000000000) /* 1e8 s: in 1973 when counted from 1970 */
#define ALONE_NS    INT64_C(1000000000)         /* shift of copies that have no span */

enum state { RUNNING, ENDED, FAILED };

struct trace_source {
    struct rt_source base;
    struct rt_trace *trace;
    struct rt_window *window;
    double rate;
    int64_t spread_ns;
    uint64_t spread_key;
    uint64_t repeat, max_requests;
    int64_t origin_ns; /* subtracted from every stamp: base of absolute ones + window's from */
    int64_t length_ns; /* of the window, INT64_MAX = no end */
    uint64_t copy;     /* being read, from 0 */
    uint64_t kept;     /* rows of this copy so far */
    uint64_t copy_kept, copy_rows; /* of the first copy, when done: rows kept; rows in the file */
    int64_t first_ns, last_ns;     /* of the rows kept of the first copy, from origin */
    int64_t shift_ns;              /* between copies */
    int64_t end_key;               /* what comes after it cannot be inside the window */
    const struct rt_request *pending; /* read, not answered yet; NULL = none */
    int64_t pending_key;
    enum state state;
    struct rt_err failure;
    struct rt_source_stats stats;
};

static int64_t add_or_max(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

static bool fail(struct trace_source *s, struct rt_err *err)
{
    s->state = FAILED;
    s->failure = *err;
    return false;
}

static bool fail_text(struct trace_source *s, const char *text, struct rt_err *err)
{
    (void)rt_fail(err, RT_ETRACE, "%s: %s", s->trace->lines.path, text);
    return fail(s, err);
}

/* Keys of the copy that begins. */
static void begin_copy(struct trace_source *s)
{
    struct rt_time_map map = {.origin_ns = s->origin_ns,
                              .rate = s->rate,
                              .spread_ns = s->spread_ns,
                              .spread_key = s->spread_key};
    if (s->copy > INT64_MAX || __builtin_mul_overflow((int64_t)s->copy, s->shift_ns, &map.shift_ns))
        map.shift_ns = INT64_MAX;
    rt_window_map(s->window, &map);
    s->end_key = s->length_ns == INT64_MAX
                     ? INT64_MAX
                     : rt_time_map_key(
                           &map, add_or_max(add_or_max(s->origin_ns, s->length_ns), s->spread_ns));
    s->kept = 0;
}

/* What only the whole first copy tells: how far apart copies are, and how many rows the file has.
 */
static bool finish_first_copy(struct trace_source *s, struct rt_err *err)
{
    const struct rt_request *row;
    int64_t key;
    int found;
    while ((found = rt_window_next(s->window, &row, &key, err)) == 1) {
    }
    if (found < 0)
        return fail(s, err);
    s->copy_kept = s->kept;
    s->copy_rows = s->stats.rows_read = s->trace->counts.rows;
    int64_t span = s->last_ns - s->first_ns;
    int64_t gap = span == 0 ? ALONE_NS : llrint((double)span / (double)(s->kept - 1));
    s->shift_ns = add_or_max(span, gap > s->spread_ns ? gap : s->spread_ns);
    return true;
}

/* After the last row of a copy: the next copy, or the end. */
static bool end_copy(struct trace_source *s, struct rt_err *err)
{
    if (s->kept == 0 && s->copy == 0)
        return fail_text(s, "no request arrives within window_s", err);
    if (s->repeat > 1 && s->copy == 0 && !finish_first_copy(s, err))
        return false;
    if (s->copy > 0 && s->kept != s->copy_kept)
        return fail_text(s, "the file changed while it was read again for repeat", err);
    s->copy++;
    if (s->copy == s->repeat) {
        s->state = ENDED;
        return true;
    }
    if (!rt_window_rewind(s->window, err))
        return fail(s, err);
    begin_copy(s);
    return true;
}

static bool keep_row(struct trace_source *s, const struct rt_request *row, int64_t key,
                     struct rt_err *err)
{
    if (key == INT64_MAX)
        return fail_text(s, "an arrival lies beyond 292 years after repeat and rate_scale", err);
    int64_t at = row->arrival_ns - s->origin_ns;
    if (s->copy == 0) {
        if (s->kept == 0)
            s->first_ns = s->last_ns = at;
        s->first_ns = at < s->first_ns ? at : s->first_ns;
        s->last_ns = at > s->last_ns ? at : s->last_ns;
    }
    s->kept++;
    s->pending = row;
    s->pending_key = key;
    return true;
}

/* Finds the next request, or the end. */
static bool advance(struct trace_source *s, struct rt_err *err)
{
    while (s->pending == NULL && s->state == RUNNING) {
        const struct rt_request *row = NULL;
        int64_t key = 0;
        int found = s->kept < s->max_requests ? rt_window_next(s->window, &row, &key, err) : 0;
        if (s->copy == 0) {
            s->stats.rows_read = s->trace->counts.rows;
            s->stats.unsorted = rt_window_unsorted(s->window);
            s->stats.failed = s->trace->counts.failed;
            s->stats.left_out = s->trace->counts.left_out;
        }
        if (found < 0)
            return fail(s, err);
        if (found == 0 || key > s->end_key) {
            if (!end_copy(s, err))
                return false;
            continue;
        }
        int64_t at = row->arrival_ns - s->origin_ns;
        if (at >= 0 && at < s->length_ns && !keep_row(s, row, key, err))
            return false;
    }
    return true;
}

static bool answer(struct trace_source *s, struct rt_request *out, struct rt_err *err)
{
    struct rt_source_stats *stats = &s->stats;
    uint64_t first_id;
    *out = *s->pending;
    out->arrival_ns = s->pending_key;
    if (__builtin_mul_overflow(s->copy, s->copy_rows, &first_id) ||
        __builtin_add_overflow(first_id, out->id, &out->id))
        return fail_text(s, "expected ids below 2^64, repeat goes beyond", err);
    stats->zero_prompt += out->prompt_tokens == 0;
    stats->zero_output += out->output_tokens == 0;
    out->prompt_tokens += out->prompt_tokens == 0;
    out->output_tokens += out->output_tokens == 0;
    if (__builtin_add_overflow(stats->prompt_tokens, out->prompt_tokens, &stats->prompt_tokens) ||
        __builtin_add_overflow(stats->output_tokens, out->output_tokens, &stats->output_tokens))
        return fail_text(s, "the tokens of all requests add up beyond 2^63", err);
    stats->rows++;
    stats->copy = s->copy;
    s->pending = NULL;
    return true;
}

static enum rt_pull source_next(struct rt_source *base, int64_t now_ns, struct rt_request *out,
                                int64_t *not_before_ns, struct rt_err *err)
{
    struct trace_source *s = (struct trace_source *)base;
    if (!advance(s, err))
        return RT_PULL_ERROR;
    if (s->state == FAILED) {
        *err = s->failure;
        return RT_PULL_ERROR;
    }
    if (s->pending == NULL)
        return RT_PULL_END;
    if (s->pending_key > now_ns) {
        *not_before_ns = s->pending_key;
        return RT_PULL_LATER;
    }
    return answer(s, out, err) ? RT_PULL_REQUEST : RT_PULL_ERROR;
}

static const char *source_name(const struct rt_source *base, uint32_t name)
{
    return rt_trace_name(((const struct trace_source *)base)->trace, name);
}

static const struct rt_source_stats *source_stats(const struct rt_source *base)
{
    return &((const struct trace_source *)base)->stats;
}

static void source_free(struct rt_source *base)
{
    struct trace_source *s = (struct trace_source *)base;
    rt_window_free(s->window);
    rt_trace_free(s->trace);
    free(s);
}

static const struct rt_source_ops ops = {
    .next = source_next, .name = source_name, .stats = source_stats, .free = source_free};

/* Seconds of window_s to ns; what does not fit is beyond every stamp. */
static int64_t ns_of_s(double seconds)
{
    double ns = seconds * 1e9;
    return ns >= 0x1p63 ? INT64_MAX : llrint(ns);
}

static bool set_up(struct trace_source *s, const struct rt_workload_spec *spec, struct rt_err *err)
{
    int64_t first_ns, from_ns = 0;
    if (spec->repeat > 1 && !rt_trace_can_rewind(s->trace))
        return rt_fail(err, RT_ECONFIG,
                       "%s: expected a file that can be read %llu times for repeat, read a pipe",
                       s->trace->lines.path, (unsigned long long)spec->repeat);
    if (!rt_window_new(s->trace, &s->window, err) || !rt_window_prime(s->window, &first_ns, err))
        return false;
    s->length_ns = INT64_MAX;
    if (spec->has_window) {
        int64_t to_ns = ns_of_s(spec->window_s[1]);
        from_ns = ns_of_s(spec->window_s[0]);
        if (to_ns != INT64_MAX)
            s->length_ns = to_ns - from_ns;
    }
    s->origin_ns = add_or_max(first_ns > ABSOLUTE_NS ? first_ns : 0, from_ns);
    s->stats.hash_block_tokens = s->trace->info.block_size;
    s->stats.format = s->trace->info.format;
    begin_copy(s);
    return true;
}

bool rt_trace_source_new(struct rt_trace *t, const struct rt_workload_spec *spec, uint64_t stream,
                         struct rt_source **out, struct rt_err *err)
{
    struct rt_rng spread;
    struct trace_source *s = calloc(1, sizeof *s);
    if (s == NULL)
        return rt_fail_nomem(err, "trace source");
    s->base.ops = &ops;
    s->trace = t;
    s->rate = spec->rate_scale;
    s->repeat = spec->repeat;
    s->max_requests = spec->max_requests;
    rt_rng_init(&spread, spec->seed, RT_RNG_SPREAD, stream);
    s->spread_key = rt_rng_u64(&spread);
    s->spread_ns = llrint(spec->transform.spread_s * 1e9);
    if (!set_up(s, spec, err)) {
        rt_window_free(s->window);
        free(s);
        return false;
    }
    *out = &s->base;
    return true;
}
