/* Statistics of kept values: radix sort, then ranks, mean and deviation in one pass each.
 *
 * Sorting by radix costs the same whatever the values are (no adversary, no recursion) and makes
 * the sums below independent of the order in which requests finished. A million values: about 15
 * ms. */
#include "results_internal.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#define DIGIT_BITS 11
#define DIGITS     6 /* 6 * 11 >= 64 */
#define DIGIT_SIZE (1u << DIGIT_BITS)

static unsigned digit(uint64_t key, unsigned place)
{
    return (unsigned)(key >> (place * DIGIT_BITS)) & (DIGIT_SIZE - 1);
}

/* Moves keys to out, ordered by one digit, stable. counts: how many keys have each digit; is used
 * up. */
static void pass(const uint64_t *keys, uint64_t *out, size_t n, unsigned place, uint32_t *counts)
{
    uint32_t start = 0;

    for (unsigned d = 0; d < DIGIT_SIZE; d++) {
        uint32_t count = counts[d];
        counts[d] = start;
        start += count;
    }
    for (size_t i = 0; i < n; i++)
        out[counts[digit(keys[i], place)]++] = keys[i];
}

void rt_sort_keys(uint64_t *keys, uint64_t *scratch, size_t n)
{
    uint32_t counts[DIGITS][DIGIT_SIZE];
    uint64_t *from = keys, *to = scratch;

    assert(n <= UINT32_MAX);
    if (n < 2)
        return;
    memset(counts, 0, sizeof counts);
    for (size_t i = 0; i < n; i++)
        for (unsigned p = 0; p < DIGITS; p++)
            counts[p][digit(keys[i], p)]++;
    for (unsigned p = 0; p < DIGITS; p++) {
        if (counts[p][digit(from[0], p)] == n)
            continue; /* all keys share this digit */
        pass(from, to, n, p, counts[p]);
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != keys)
        memcpy(keys, from, n * sizeof keys[0]);
}

/* Sum with Neumaier's compensation of (x - shift)^power, power 1 or 2: the error does not grow with
 * n. */
static double sum(const uint64_t *keys, size_t n, double shift, bool square)
{
    double total = 0, lost = 0;

    for (size_t i = 0; i < n; i++) {
        double x = rt_key_value(keys[i]) - shift;
        double term = square ? x * x : x;
        double next = total + term;
        lost += fabs(total) >= fabs(term) ? (total - next) + term : (term - next) + total;
        total = next;
    }
    return total + lost;
}

/* The q-quantile as numpy computes it: between ranks floor(h) and floor(h)+1, h = q (n - 1), from
 * the nearer end. */
static double quantile(const uint64_t *sorted, size_t n, double q)
{
    double place = q * (double)(n - 1);
    size_t low = (size_t)place;
    double part = place - (double)low;
    double a = rt_key_value(sorted[low]);
    double b = rt_key_value(sorted[low + 1 < n ? low + 1 : low]);

    return part < 0.5 ? a + (b - a) * part : b - (b - a) * (1 - part);
}

static void no_stats(struct rt_metric_row *row)
{
    double nan = (double)NAN;

    row->mean = row->std = row->min = row->max = nan;
    row->p50 = row->p90 = row->p95 = row->p99 = row->p999 = nan;
}

void rt_stats_of_keys(const uint64_t *sorted, size_t n, double unit, struct rt_metric_row *row)
{
    double min, max, mean;

    row->count = n;
    row->exact = true;
    if (n == 0) {
        no_stats(row);
        return;
    }
    min = rt_key_value(sorted[0]);
    max = rt_key_value(sorted[n - 1]);
    mean = fmin(fmax(sum(sorted, n, 0, false) / (double)n, min), max);
    row->min = min / unit;
    row->max = max / unit;
    row->mean = mean / unit;
    row->std = sqrt(sum(sorted, n, mean, true) / (double)n) / unit;
    row->p50 = quantile(sorted, n, 0.5) / unit;
    row->p90 = quantile(sorted, n, 0.9) / unit;
    row->p95 = quantile(sorted, n, 0.95) / unit;
    row->p99 = quantile(sorted, n, 0.99) / unit;
    row->p999 = quantile(sorted, n, 0.999) / unit;
}

void rt_stats_of_hist(const struct rt_hist *h, double unit, struct rt_metric_row *row)
{
    row->count = h->count;
    row->exact = false;
    if (h->count == 0) {
        row->exact = true; /* nothing is known about nothing, exactly */
        no_stats(row);
        return;
    }
    row->min = (double)h->min / unit;
    row->max = (double)h->max / unit;
    row->mean = rt_hist_mean(h) / unit;
    row->std = rt_hist_std(h) / unit;
    row->p50 = rt_hist_quantile(h, 0.5) / unit;
    row->p90 = rt_hist_quantile(h, 0.9) / unit;
    row->p95 = rt_hist_quantile(h, 0.95) / unit;
    row->p99 = rt_hist_quantile(h, 0.99) / unit;
    row->p999 = rt_hist_quantile(h, 0.999) / unit;
}
