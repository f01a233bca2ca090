/* traffic.c: a stream of requests in a few numbers. See traffic.h for what they mean.
 *
 * Arrivals and lengths are kept and sorted at the end; block names go into a set (open addressing,
 * at most half full; the name 0 is kept apart, because 0 marks a free place). Failure: memory; a
 * stream without requests. */
#include "rooftrace/traffic.h"

#include "workload_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct rt_traffic {
    int64_t *arrival_ns, *prompt, *output;
    size_t count, capacity;
    uint64_t *ids; /* set of names */
    size_t id_count, id_size;
    bool has_zero, has_ids;
    double hit_tokens, prompt_tokens;
    struct rt_names sessions;
    unsigned fields;
};

bool rt_traffic_new(struct rt_traffic **out, struct rt_err *err)
{
    struct rt_traffic *t = calloc(1, sizeof *t);
    if (t == NULL)
        return rt_fail_nomem(err, "statistics of traffic");
    if (!rt_names_init(&t->sessions, UINT32_MAX - 1, err)) {
        free(t);
        return false;
    }
    *out = t;
    return true;
}

void rt_traffic_free(struct rt_traffic *t)
{
    if (t == NULL)
        return;
    rt_names_release(&t->sessions);
    free(t->arrival_ns);
    free(t->prompt);
    free(t->output);
    free(t->ids);
    free(t);
}

static bool grow_column(int64_t **column, size_t capacity)
{
    int64_t *more = realloc(*column, capacity * sizeof *more);
    if (more != NULL)
        *column = more;
    return more != NULL;
}

static bool reserve_row(struct rt_traffic *t)
{
    if (t->count < t->capacity)
        return true;
    size_t capacity = t->capacity == 0 ? 4096 : 2 * t->capacity;
    if (!grow_column(&t->arrival_ns, capacity) || !grow_column(&t->prompt, capacity) ||
        !grow_column(&t->output, capacity))
        return false;
    t->capacity = capacity;
    return true;
}

static uint64_t *place_of(uint64_t *ids, size_t size, uint64_t id)
{
    uint64_t h = id * UINT64_C(0x9E3779B97F4A7C15);
    for (size_t i = (size_t)(h ^ h >> 32) & (size - 1);; i = (i + 1) & (size - 1))
        if (ids[i] == 0 || ids[i] == id)
            return &ids[i];
}

static bool grow_set(struct rt_traffic *t)
{
    size_t size = t->id_size == 0 ? 1024 : 2 * t->id_size;
    uint64_t *ids = calloc(size, sizeof *ids);
    if (ids == NULL)
        return false;
    for (size_t i = 0; i < t->id_size; i++)
        if (t->ids[i] != 0)
            *place_of(ids, size, t->ids[i]) = t->ids[i];
    free(t->ids);
    t->ids = ids;
    t->id_size = size;
    return true;
}

/* 1: was there; 0: is there now; -1: memory is out. */
static int put_id(struct rt_traffic *t, uint64_t id)
{
    if (id == 0) {
        bool had = t->has_zero;
        t->has_zero = true;
        return had;
    }
    if (2 * (t->id_count + 1) > t->id_size && !grow_set(t))
        return -1;
    uint64_t *place = place_of(t->ids, t->id_size, id);
    if (*place == id)
        return 1;
    *place = id;
    t->id_count++;
    return 0;
}

static bool count_blocks(struct rt_traffic *t, const struct rt_request *r, uint32_t block_tokens)
{
    uint64_t leading = 0;
    uint32_t ids = rt_request_prompt_ids(r, block_tokens);
    bool running = true;
    for (uint32_t j = 0; j < ids; j++) {
        int known = put_id(t, r->hash_ids[j]);
        if (known < 0)
            return false;
        running = running && known == 1;
        leading += running;
    }
    t->hit_tokens += fmin((double)leading * (double)block_tokens, (double)r->prompt_tokens);
    t->has_ids = t->has_ids || r->hash_count > 0;
    return true;
}

static unsigned fields_of(const struct rt_request *r)
{
    return (unsigned)(r->class_name != RT_NO_NAME) << RT_TRAFFIC_CLASS |
           (unsigned)(r->model_name != RT_NO_NAME) << RT_TRAFFIC_MODEL |
           (unsigned)(r->tenant_name != RT_NO_NAME) << RT_TRAFFIC_TENANT |
           (unsigned)(r->session != NULL) << RT_TRAFFIC_SESSION |
           (unsigned)(r->think_ns >= 0) << RT_TRAFFIC_THINK |
           (unsigned)(r->priority != 0) << RT_TRAFFIC_PRIORITY |
           (unsigned)(r->deadline_ns != RT_NO_DEADLINE) << RT_TRAFFIC_DEADLINE |
           (unsigned)(r->hash_count > 0) << RT_TRAFFIC_HASH_IDS;
}

bool rt_traffic_add(struct rt_traffic *t, const struct rt_request *r, uint32_t block_tokens,
                    struct rt_err *err)
{
    uint32_t session;
    if (!reserve_row(t) || !count_blocks(t, r, block_tokens))
        return rt_fail_nomem(err, "statistics of traffic");
    t->arrival_ns[t->count] = r->arrival_ns;
    t->prompt[t->count] = r->prompt_tokens;
    t->output[t->count++] = r->output_tokens;
    t->prompt_tokens += (double)r->prompt_tokens;
    t->fields |= fields_of(r);
    return r->session == NULL ||
           rt_names_add(&t->sessions, r->session, strlen(r->session), &session, err);
}

/* ---- the result ---- */

struct ranked {
    int64_t value;
    size_t row;
};

static int by_value(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

/* Rank of each row from 1; equal values share the mean of their ranks. `sorted` is scratch. */
static void rank(const int64_t *values, size_t n, struct ranked *sorted, double *ranks)
{
    for (size_t i = 0; i < n; i++)
        sorted[i] = (struct ranked){values[i], i};
    qsort(sorted, n, sizeof *sorted, by_value);
    for (size_t i = 0; i < n;) {
        size_t end = i;
        while (end < n && sorted[end].value == sorted[i].value)
            end++;
        for (size_t k = i; k < end; k++)
            ranks[sorted[k].row] = ((double)i + (double)end + 1) / 2;
        i = end;
    }
}

/* Pearson's correlation of the ranks; their mean is (n + 1) / 2. */
static double correlate(const double *x, const double *y, size_t n)
{
    double mean = ((double)n + 1) / 2, xy = 0, xx = 0, yy = 0;
    for (size_t i = 0; i < n; i++) {
        xy += (x[i] - mean) * (y[i] - mean);
        xx += (x[i] - mean) * (x[i] - mean);
        yy += (y[i] - mean) * (y[i] - mean);
    }
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : (double)NAN;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t percentile(const int64_t *sorted, size_t n, unsigned percent)
{
    return sorted[rt_nearest_rank(n, percent) - 1];
}

static void measure_lengths(int64_t *values, size_t n, struct rt_traffic_lengths *out)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)values[i];
    qsort(values, n, sizeof *values, by_number);
    *out = (struct rt_traffic_lengths){sum / (double)n, percentile(values, n, 50),
                                       percentile(values, n, 90), percentile(values, n, 99)};
}

static void measure_gaps(int64_t *arrival_ns, size_t n, struct rt_traffic_summary *out)
{
    rt_u128 squares = 0;
    qsort(arrival_ns, n, sizeof *arrival_ns, by_number);
    int64_t span = arrival_ns[n - 1] - arrival_ns[0];
    out->duration_s = (double)span / 1e9;
    if (span <= 0)
        return;
    for (size_t i = 1; i < n; i++) {
        rt_u128 gap = (rt_u128)(arrival_ns[i] - arrival_ns[i - 1]);
        squares += gap * gap; /* at most span^2, below 2^126 */
    }
    out->rate_per_s = 1e9 * (double)(n - 1) / (double)span;
    out->cv = rt_gap_variation(squares, n - 1, span);
}

bool rt_traffic_result(struct rt_traffic *t, struct rt_traffic_summary *out, struct rt_err *err)
{
    size_t n = t->count;
    if (n == 0)
        return rt_fail(err, RT_ETRACE, "expected requests, read none");
    struct ranked *sorted = malloc(n * sizeof *sorted);
    double *x = malloc(n * sizeof *x), *y = malloc(n * sizeof *y);
    bool ok = sorted != NULL && x != NULL && y != NULL;
    *out = (struct rt_traffic_summary){.requests = n, .fields = t->fields};
    if (ok) {
        rank(t->prompt, n, sorted, x);
        rank(t->output, n, sorted, y);
        out->rank_correlation = correlate(x, y, n);
        out->hit_ratio = t->has_ids ? t->hit_tokens / t->prompt_tokens : (double)NAN;
        out->sessions = t->sessions.count - 1; /* the empty name is none */
        measure_lengths(t->prompt, n, &out->prompt);
        measure_lengths(t->output, n, &out->output);
        measure_gaps(t->arrival_ns, n, out);
    }
    free(sorted);
    free(x);
    free(y);
    return ok || rt_fail_nomem(err, "statistics of traffic");
}
