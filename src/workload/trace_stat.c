/* trace_stat.c: what a trace looks like, by reading it once.
 *
 * Definitions are those of published trace surveys: percentiles by nearest rank (the value at
 * position ceil(p*n) of the sorted values); the coefficient of variation of the inter-arrival times
 * is population standard deviation / mean of the gaps in time order; the peak counts fixed minutes
 * from the first arrival. 0-token prompts and outputs count as 0 here.
 * Failure: what rt_trace_open and rt_trace_read say; a trace without requests; sums beyond 2^63.
 * Cost: O(n log n), 24 bytes a request, and the names of the sessions. */
#include "workload_internal.h"

#include <math.h>
#include <stdlib.h>

#define NS_PER_S   1e9
#define MINUTE_NS  INT64_C(60000000000)
#define CLASS_BITS ((RT_TRACE_MAX_NAMES + 64u) / 64u)

struct columns { /* of all requests, in file order until sorted */
    int64_t *arrival_ns, *prompt, *output;
    size_t count, capacity;
};

struct survey {
    struct columns rows;
    struct rt_names sessions;
    uint64_t classes[CLASS_BITS]; /* bit n: name n is some request's class */
};

static bool grow_column(int64_t **column, size_t capacity)
{
    int64_t *more = realloc(*column, capacity * sizeof *more);
    if (more != NULL)
        *column = more;
    return more != NULL;
}

static bool keep(struct columns *c, const struct rt_request *r, struct rt_err *err)
{
    if (c->count == c->capacity) {
        size_t capacity = c->capacity == 0 ? 4096 : c->capacity * 2;
        if (!grow_column(&c->arrival_ns, capacity) || !grow_column(&c->prompt, capacity) ||
            !grow_column(&c->output, capacity))
            return rt_fail_nomem(err, "statistics of a trace");
        c->capacity = capacity;
    }
    c->arrival_ns[c->count] = r->arrival_ns;
    c->prompt[c->count] = r->prompt_tokens;
    c->output[c->count] = r->output_tokens;
    c->count++;
    return true;
}

static bool add_row(struct survey *s, const struct rt_request *r, struct rt_trace_stat *out,
                    struct rt_err *err)
{
    struct columns *c = &s->rows;
    uint32_t session;
    if (c->count > 0 && r->arrival_ns < c->arrival_ns[c->count - 1])
        out->unsorted++;
    if (!keep(c, r, err))
        return false;
    out->zero_prompts += r->prompt_tokens == 0;
    out->zero_outputs += r->output_tokens == 0;
    out->hash_ids += r->hash_count;
    if (r->class_name != RT_NO_NAME)
        s->classes[r->class_name / 64] |= UINT64_C(1) << r->class_name % 64;
    if (r->session == NULL)
        return true;
    size_t len = 0;
    while (r->session[len] != '\0')
        len++;
    return rt_names_add(&s->sessions, r->session, len, &session, err);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void sort(int64_t *values, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (values[i] < values[i - 1]) {
            qsort(values, n, sizeof *values, compare);
            return;
        }
    }
}

/* Nearest rank; values sorted, n > 0. In integers: ceil(0.9 * 10) must be 9. */
static int64_t percentile(const int64_t *values, size_t n, unsigned percent)
{
    size_t whole = n / 100, rest = n % 100;
    size_t rank = whole * percent + (rest * percent + 99) / 100;
    return values[rank > 0 ? rank - 1 : 0];
}

static bool survey_lengths(int64_t *values, size_t n, struct rt_trace_lengths *out,
                           struct rt_err *err)
{
    out->sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (__builtin_add_overflow(out->sum, values[i], &out->sum))
            return rt_fail(err, RT_ETRACE, "the tokens of all requests add up beyond 2^63");
    }
    sort(values, n);
    out->mean = (double)out->sum / (double)n;
    out->min = values[0];
    out->max = values[n - 1];
    out->p50 = percentile(values, n, 50);
    out->p90 = percentile(values, n, 90);
    out->p95 = percentile(values, n, 95);
    out->p99 = percentile(values, n, 99);
    return true;
}

/* Requests in the fullest minute; arrivals sorted. */
static uint64_t peak_minute(const int64_t *arrival_ns, size_t n)
{
    uint64_t peak = 0, count = 0;
    int64_t minute = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t m = (arrival_ns[i] - arrival_ns[0]) / MINUTE_NS;
        count = m == minute ? count + 1 : 1;
        minute = m;
        peak = count > peak ? count : peak;
    }
    return peak;
}

/* Arrivals sorted, n > 0. */
static void survey_gaps(const int64_t *arrival_ns, size_t n, struct rt_trace_stat *out)
{
    int64_t span = arrival_ns[n - 1] - arrival_ns[0], max_gap = 0;
    double squares = 0;
    out->duration_s = (double)span / NS_PER_S;
    out->peak_per_min = (double)peak_minute(arrival_ns, n);
    if (n < 2)
        return;
    double mean = (double)span / (double)(n - 1);
    for (size_t i = 1; i < n; i++) {
        int64_t gap = arrival_ns[i] - arrival_ns[i - 1];
        double off = (double)gap - mean;
        squares += off * off;
        out->zero_gaps += gap == 0;
        max_gap = gap > max_gap ? gap : max_gap;
    }
    out->max_gap_s = (double)max_gap / NS_PER_S;
    if (span > 0) {
        out->mean_per_min = (double)n / out->duration_s * 60;
        out->cv_interarrival = sqrt(squares / (double)(n - 1)) / mean;
    }
}

static bool read_all(struct rt_trace *t, struct survey *s, struct rt_trace_stat *out,
                     struct rt_err *err)
{
    struct rt_request r;
    int found;
    while ((found = rt_trace_read(t, &r, err)) == 1) {
        if (!add_row(s, &r, out, err))
            return false;
    }
    if (found < 0)
        return false;
    if (s->rows.count == 0) {
        (void)rt_fail(err, RT_ETRACE, "expected requests, read no requests (the trace is empty)");
        return rt_fail_in(err, "%s", t->lines.path);
    }
    out->requests = s->rows.count;
    out->sessions = s->sessions.count - 1; /* the empty name is none */
    for (uint32_t n = 0; n < t->names.count; n++)
        out->classes += s->classes[n / 64] >> n % 64 & 1;
    return true;
}

static bool survey_trace(struct rt_trace *t, struct survey *s, struct rt_trace_stat *out,
                         struct rt_err *err)
{
    struct columns *c = &s->rows;
    if (!read_all(t, s, out, err))
        return false;
    out->format = t->info.format;
    sort(c->arrival_ns, c->count);
    out->first_s = (double)c->arrival_ns[0] / NS_PER_S;
    survey_gaps(c->arrival_ns, c->count, out);
    if (survey_lengths(c->prompt, c->count, &out->prompt, err) &&
        survey_lengths(c->output, c->count, &out->output, err))
        return true;
    return rt_fail_in(err, "%s", t->lines.path);
}

static bool survey_file(struct rt_trace *t, struct rt_trace_stat *out, struct rt_err *err)
{
    struct survey *s = calloc(1, sizeof *s);
    if (s == NULL)
        return rt_fail_nomem(err, "statistics of a trace");
    bool ok = rt_names_init(&s->sessions, UINT32_MAX - 1, err) && survey_trace(t, s, out, err);
    rt_names_release(&s->sessions);
    free(s->rows.arrival_ns);
    free(s->rows.prompt);
    free(s->rows.output);
    free(s);
    return ok;
}

bool rt_trace_stat(const char *path, const char *format, struct rt_trace_stat *out,
                   struct rt_err *err)
{
    struct rt_trace *t;
    *out = (struct rt_trace_stat){.requests = 0};
    if (!rt_trace_open(path, format, &t, err))
        return false;
    bool ok = survey_file(t, out, err);
    rt_trace_free(t);
    return ok;
}
