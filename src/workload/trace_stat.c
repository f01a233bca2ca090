/* trace_stat.c: what a trace looks like, by reading it once, in constant memory.
 *
 * Definitions are those of published trace surveys: percentiles by nearest rank (the value at
 * position ceil(p*n) of the sorted values); the coefficient of variation of the inter-arrival times
 * is population standard deviation / mean of the gaps in time order; the peak counts fixed minutes
 * from the first arrival. 0-token prompts and outputs count as 0 here. Rows come through the sort
 * window, as in a run; lengths are tallied by value, gaps are summed in 128-bit integers, so all is
 * exact. Failure: what rt_trace_open and rt_trace_read say; a trace without requests; sums beyond
 * 2^63. Cost: O(1) a row and hash id. */
#include "rooftrace/hist.h"
#include "workload_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S       1e9
#define SECOND_NS      INT64_C(1000000000)
#define MINUTE_NS      (60 * SECOND_NS)
#define CLASS_WORDS    ((RT_TRACE_MAX_NAMES + 64u) / 64u)
#define DEFAULT_MEMORY (UINT64_C(1) << 30)

struct survey {
    struct rt_trace *trace;
    struct rt_trace_stat *out;
    struct rt_tally prompts, outputs;
    struct rt_id_set blocks, sessions;
    uint64_t classes[CLASS_WORDS]; /* bit n: name n is some request's class */
    int64_t first_ns, last_ns;
    int64_t min_gap_ns, max_gap_ns; /* of those that are not 0 */
    uint64_t gap_gcd_ns;
    rt_u128 gap_squares; /* at most span^2, below 2^126 */
    int64_t minute;
    uint64_t minute_count, peak;
    int64_t bin_ns; /* width of a rate bin */
};

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static void add_gap(struct survey *s, int64_t gap)
{
    s->out->zero_gaps += gap == 0;
    if (gap == 0)
        return;
    s->gap_squares += (rt_u128)gap * (rt_u128)gap;
    if (s->max_gap_ns < gap)
        s->max_gap_ns = gap;
    if (s->min_gap_ns == 0 || gap < s->min_gap_ns)
        s->min_gap_ns = gap;
    if (s->gap_gcd_ns != 1)
        s->gap_gcd_ns = gcd((uint64_t)gap, s->gap_gcd_ns);
}

/* Twice the width, half the bins. */
static void widen_bins(struct survey *s)
{
    uint64_t *bins = s->out->rate_bins;
    for (unsigned i = 0; i < RT_TRACE_RATE_BINS / 2; i++)
        bins[i] = bins[2 * i] + bins[2 * i + 1];
    memset(bins + RT_TRACE_RATE_BINS / 2, 0, RT_TRACE_RATE_BINS / 2 * sizeof *bins);
    s->bin_ns *= 2;
}

static void add_arrival(struct survey *s, int64_t at_ns)
{
    if (s->out->requests == 0)
        s->first_ns = at_ns;
    else
        add_gap(s, at_ns - s->last_ns);
    s->last_ns = at_ns;
    int64_t since = at_ns - s->first_ns, minute = since / MINUTE_NS;
    s->minute_count = minute == s->minute ? s->minute_count + 1 : 1;
    s->minute = minute;
    if (s->minute_count > s->peak)
        s->peak = s->minute_count;
    while (since / s->bin_ns >= (int64_t)RT_TRACE_RATE_BINS)
        widen_bins(s);
    s->out->rate_bins[since / s->bin_ns]++;
}

/* The prompt's blocks: how many of the leading ones were there before, then all are. */
static bool add_blocks(struct survey *s, const struct rt_request *r, struct rt_err *err)
{
    struct rt_trace_prefix *p = &s->out->prefix;
    int64_t block = s->trace->info.block_size, hit = 0;
    bool added;
    if (r->hash_count == 0 || block == 0)
        return true;
    while (hit < r->hash_count && rt_id_set_has(&s->blocks, r->hash_ids[hit]))
        hit++;
    for (uint32_t i = 0; i < r->hash_count; i++) {
        if (!rt_id_set_add(&s->blocks, r->hash_ids[i], &added, err))
            return false;
        p->distinct_blocks += added;
    }
    p->rows++;
    p->floor_rows += r->hash_count == r->prompt_tokens / block;
    p->ceil_rows += r->hash_count == (r->prompt_tokens + block - 1) / block;
    p->total_blocks += r->hash_count;
    p->hit_blocks += (uint64_t)hit;
    p->hit_tokens += hit * block < r->prompt_tokens ? hit * block : r->prompt_tokens;
    return true;
}

static unsigned bin_of(int64_t tokens)
{
    return tokens == 0 ? 0 : 64 - (unsigned)__builtin_clzll((unsigned long long)tokens);
}

static bool add_length(struct rt_trace_lengths *l, struct rt_tally *tally, int64_t tokens,
                       struct rt_err *err)
{
    if (__builtin_add_overflow(l->sum, tokens, &l->sum))
        return rt_fail(err, RT_ETRACE, "the tokens of all requests add up beyond 2^63");
    l->bins[bin_of(tokens)]++;
    return rt_tally_add(tally, tokens, err);
}

static bool add_row(struct survey *s, const struct rt_request *r, struct rt_err *err)
{
    struct rt_trace_stat *out = s->out;
    bool added = false;
    add_arrival(s, r->arrival_ns);
    out->requests++;
    out->zero_prompts += r->prompt_tokens == 0;
    out->zero_outputs += r->output_tokens == 0;
    out->hash_ids += r->hash_count;
    if (r->class_name != RT_NO_NAME)
        s->classes[r->class_name / 64] |= UINT64_C(1) << r->class_name % 64;
    if (r->session != NULL) {
        uint64_t id = rt_hash_text(r->session, strlen(r->session));
        if (!rt_id_set_add(&s->sessions, id, &added, err))
            return false;
        out->sessions += added;
    }
    return add_length(&out->prompt, &s->prompts, r->prompt_tokens, err) &&
           add_length(&out->output, &s->outputs, r->output_tokens, err) && add_blocks(s, r, err);
}

/* Every real log's largest length is rare; one that stands for a limit is not. */
static bool looks_capped(const struct rt_trace_lengths *l, uint64_t requests)
{
    return l->max > 1 && l->max > l->p50 && l->at_max >= 5 && l->at_max >= requests / 2000;
}

static void finish_lengths(struct rt_trace_lengths *l, struct rt_tally *t)
{
    rt_tally_sort(t);
    l->mean = (double)l->sum / (double)t->total;
    l->min = t->entries[0].value;
    l->max = t->entries[t->used - 1].value;
    l->at_max = t->entries[t->used - 1].count;
    l->p50 = rt_tally_percentile(t, 50);
    l->p90 = rt_tally_percentile(t, 90);
    l->p95 = rt_tally_percentile(t, 95);
    l->p99 = rt_tally_percentile(t, 99);
    l->capped = looks_capped(l, t->total);
}

static void finish_gaps(struct survey *s)
{
    struct rt_trace_stat *out = s->out;
    int64_t span = s->last_ns - s->first_ns;
    uint64_t gaps = out->requests - 1, steps = gaps - out->zero_gaps;
    out->first_s = (double)s->first_ns / NS_PER_S;
    out->duration_s = (double)span / NS_PER_S;
    out->peak_per_min = (double)s->peak;
    out->max_gap_s = (double)s->max_gap_ns / NS_PER_S;
    out->resolution_ns = (int64_t)s->gap_gcd_ns;
    out->rate_bin_s = (double)s->bin_ns / NS_PER_S;
    if (span == 0)
        return;
    out->mean_per_min = (double)out->requests / out->duration_s * 60;
    out->cv_interarrival = rt_gap_variation(s->gap_squares, gaps, span);
    /* Batches: most gaps are 0, and the others are alike (one may be missing in between). */
    if (out->zero_gaps >= steps && steps >= 10 && s->max_gap_ns / 2 <= s->min_gap_ns)
        out->step_s = out->duration_s / (double)steps;
}

static bool survey_rows(struct survey *s, struct rt_window *w, struct rt_err *err)
{
    const struct rt_request *r;
    int64_t key;
    int found;
    if (!rt_window_prime(w, &key, err))
        return false;
    while ((found = rt_window_next(w, &r, &key, err)) == 1) {
        if (!add_row(s, r, err))
            return rt_fail_in(err, "%s", s->trace->lines.path);
    }
    s->out->unsorted = rt_window_unsorted(w);
    return found == 0;
}

static void finish(struct survey *s)
{
    struct rt_trace_stat *out = s->out;
    out->format = s->trace->info.format;
    out->block_size = s->trace->info.block_size;
    out->counts = rt_trace_counts(s->trace);
    for (uint32_t n = 0; n < s->trace->names.count; n++)
        out->classes += s->classes[n / 64] >> n % 64 & 1;
    finish_gaps(s);
    finish_lengths(&out->prompt, &s->prompts);
    finish_lengths(&out->output, &s->outputs);
    out->prefix.total_tokens = out->prompt.sum;
    out->prefix.bounded = s->blocks.forgetting;
    out->sessions_bounded = s->sessions.forgetting;
}

static bool survey_file(struct rt_trace *t, uint64_t memory_bytes, struct rt_trace_stat *out,
                        struct rt_err *err)
{
    struct survey *s = calloc(1, sizeof *s);
    struct rt_window *w = NULL;
    if (s == NULL)
        return rt_fail_nomem(err, "statistics of a trace");
    s->trace = t;
    s->out = out;
    s->bin_ns = SECOND_NS;
    uint64_t memory = memory_bytes == 0 ? DEFAULT_MEMORY : memory_bytes;
    rt_id_set_init(&s->blocks, memory / 2);
    rt_id_set_init(&s->sessions, memory / 2);
    bool ok = rt_window_new(t, &w, err) && survey_rows(s, w, err);
    if (ok)
        finish(s);
    rt_window_free(w);
    rt_tally_release(&s->prompts);
    rt_tally_release(&s->outputs);
    rt_id_set_release(&s->blocks);
    rt_id_set_release(&s->sessions);
    free(s);
    return ok;
}

bool rt_trace_stat_with(const char *path, const struct rt_trace_stat_options *options,
                        struct rt_trace_stat *out, struct rt_err *err)
{
    struct rt_trace *t;
    *out = (struct rt_trace_stat){.requests = 0};
    if (!rt_trace_open_with(path, &options->trace, &t, err))
        return false;
    bool ok = survey_file(t, options->memory_bytes, out, err);
    rt_trace_free(t);
    return ok;
}

bool rt_trace_stat(const char *path, const char *format, struct rt_trace_stat *out,
                   struct rt_err *err)
{
    struct rt_trace_stat_options options = {.trace = {.format = format}};
    return rt_trace_stat_with(path, &options, out, err);
}
