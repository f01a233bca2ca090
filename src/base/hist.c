/* Histogram with log-spaced buckets (the layout of HdrHistogram, Tene).
 *
 *     value < 1024:            bucket = value                       (exact)
 *     2^e <= value < 2^(e+1):  shift = e - 9,  bucket = shift * 512 + (value >> shift)
 *
 * The upper ten bits of a value choose its bucket: 512 buckets an octave, each 2^shift wide. A
 * bucket's middle is at most (2^shift - 1) / 2 away from any value in it, which is at least
 * 512 * 2^shift: below 0.098 %. The last bucket, of INT64_MAX (e = 62), is 53 * 512 + 1023 =
 * RT_HIST_BUCKETS - 1.
 *
 * Sums are integers, so adding and merging in any order give the same bits. When the sum of squares
 * would leave 128 bits it stays at its maximum, and the standard deviation is NaN from then on. */
#include "rooftrace/hist.h"
#include "rooftrace/wide.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SUB_BUCKETS (1u << RT_HIST_SUB_BITS)
#define U128_MAX    (~(rt_u128)0)

static_assert(RT_HIST_BUCKETS == (62 - RT_HIST_SUB_BITS) * SUB_BUCKETS + 2 * SUB_BUCKETS,
              "the last bucket is that of INT64_MAX");

bool rt_hist_init(struct rt_hist *h)
{
    memset(h, 0, sizeof *h);
    h->counts = calloc(RT_HIST_BUCKETS, sizeof *h->counts);
    return h->counts != NULL;
}

void rt_hist_release(struct rt_hist *h)
{
    free(h->counts);
    memset(h, 0, sizeof *h);
}

uint32_t rt_hist_bucket(int64_t value)
{
    uint64_t v = (uint64_t)value;
    unsigned shift;

    assert(value >= 0);
    if (v < 2 * SUB_BUCKETS)
        return (uint32_t)v;
    shift = 63u - (unsigned)__builtin_clzll(v) - RT_HIST_SUB_BITS;
    return shift * SUB_BUCKETS + (uint32_t)(v >> shift);
}

/* 0 below 1024; from there on, one more an octave. */
static unsigned bucket_shift(uint32_t bucket)
{
    assert(bucket < RT_HIST_BUCKETS);
    return bucket < 2 * SUB_BUCKETS ? 0 : bucket / SUB_BUCKETS - 1;
}

int64_t rt_hist_bucket_low(uint32_t bucket)
{
    unsigned shift = bucket_shift(bucket);

    return (int64_t)(bucket - shift * SUB_BUCKETS) << shift;
}

int64_t rt_hist_bucket_width(uint32_t bucket)
{
    return (int64_t)1 << bucket_shift(bucket);
}

/* a + b, or the maximum. Commutative and associative, unlike wrapping followed by a check. */
static rt_u128 add_capped(rt_u128 a, rt_u128 b)
{
    rt_u128 sum;
    return __builtin_add_overflow(a, b, &sum) ? U128_MAX : sum;
}

static void widen(struct rt_hist *h, int64_t min, int64_t max)
{
    if (h->count == 0 || min < h->min)
        h->min = min;
    if (h->count == 0 || max > h->max)
        h->max = max;
}

/* squares * times, or the maximum. A 128-bit division costs as much as all the rest of an add, so
 * the usual case is told apart first. */
static rt_u128 scale_capped(rt_u128 squares, uint64_t times)
{
    if (squares >> 64 == 0 || (squares >> 96 == 0 && times >> 32 == 0))
        return squares * times;
    return squares > U128_MAX / times ? U128_MAX : squares * times;
}

void rt_hist_add(struct rt_hist *h, int64_t value, uint64_t times)
{
    rt_u128 square = (rt_u128)(uint64_t)value * (uint64_t)value;

    assert(value >= 0 && times <= UINT64_MAX - h->count);
    if (times == 0)
        return;
    widen(h, value, value);
    h->counts[rt_hist_bucket(value)] += times;
    h->count += times;
    h->sum += (rt_u128)(uint64_t)value * times; /* < 2^63 * count: cannot overflow */
    h->sum_squares = add_capped(h->sum_squares, scale_capped(square, times));
}

/* Sums of values below 2^26, at most 4096: both fit into 64 bits. */
RT_WIDE static void narrow_sums(const int64_t *values, size_t n, uint64_t *sum, uint64_t *squares)
{
    uint64_t a = 0, b = 0;

    for (size_t i = 0; i < n; i++) {
        a += (uint64_t)values[i];
        b += (uint64_t)(uint32_t)values[i] * (uint32_t)values[i];
    }
    *sum = a;
    *squares = b;
}

static void add_sums(struct rt_hist *h, const int64_t *values, size_t n, uint64_t times)
{
    rt_u128 squares = 0;

    if (n <= 4096 && values[n - 1] < 1 << 26) {
        uint64_t narrow, narrow_squares;
        narrow_sums(values, n, &narrow, &narrow_squares);
        h->sum += (rt_u128)narrow * times;
        squares = narrow_squares;
    } else {
        for (size_t i = 0; i < n; i++) {
            uint64_t v = (uint64_t)values[i];
            h->sum += (rt_u128)v * times;
            squares = add_capped(squares, (rt_u128)v * v);
        }
    }
    h->sum_squares = add_capped(h->sum_squares, scale_capped(squares, times));
}

/* How many of the ascending values lie below the limit. Which way a turn goes is anybody's guess,
 * so there is no branch on it. */
static size_t count_below(const int64_t *values, size_t n, uint64_t limit)
{
    size_t low = 0;

    while (n > 0) {
        size_t half = n / 2, below = (uint64_t)values[low + half] < limit;
        low += (n - half) & -below;
        n = half;
    }
    return low;
}

void rt_hist_add_ascending(struct rt_hist *h, const int64_t *values, size_t n, uint64_t times)
{
    assert(times == 0 || n <= (UINT64_MAX - h->count) / times);
    if (n == 0 || times == 0)
        return;
    assert(values[0] >= 0);
    widen(h, values[0], values[n - 1]);
    add_sums(h, values, n, times);
    h->count += n * times;
    for (size_t i = 0; i < n;) {
        uint32_t bucket = rt_hist_bucket(values[i]);
        uint64_t end =
            (uint64_t)rt_hist_bucket_low(bucket) + (uint64_t)rt_hist_bucket_width(bucket);
        size_t inside = (uint64_t)values[n - 1] < end ? n - i : count_below(values + i, n - i, end);
        h->counts[bucket] += inside * times;
        i += inside;
    }
}

void rt_hist_merge(struct rt_hist *into, const struct rt_hist *from)
{
    assert(from->count <= UINT64_MAX - into->count);
    if (from->count == 0)
        return;
    widen(into, from->min, from->max);
    for (uint32_t i = rt_hist_bucket(from->min); i <= rt_hist_bucket(from->max); i++)
        into->counts[i] += from->counts[i];
    into->count += from->count;
    into->sum += from->sum;
    into->sum_squares = add_capped(into->sum_squares, from->sum_squares);
}

double rt_hist_mean(const struct rt_hist *h)
{
    rt_u128 whole;

    if (h->count == 0)
        return (double)NAN;
    whole = h->sum / h->count;
    return (double)whole + (double)(h->sum % h->count) / (double)h->count;
}

/* With sum = n q + r, q the mean rounded down:  D = sum of (x - q)^2 = sum_squares - q (sum + r),
 * an exact integer, and the variance is D / n - (r / n)^2. Only the last line rounds, so a small
 * spread around a large mean keeps its digits. q (sum + r) <= sum_squares because D >= 0. */
double rt_hist_std(const struct rt_hist *h)
{
    rt_u128 q, r, deviations;
    double n = (double)h->count;
    double rest, variance;

    if (h->count == 0 || h->sum_squares == U128_MAX)
        return (double)NAN;
    q = h->sum / h->count;
    r = h->sum % h->count;
    deviations = h->sum_squares - q * (h->sum + r);
    rest = (double)r / n;
    variance = (double)deviations / n - rest * rest;
    return variance > 0.0 ? sqrt(variance) : 0.0;
}

/* The value at a rank; *seen samples lie below *bucket, which both only move up. */
static double rank_value(const struct rt_hist *h, uint64_t rank, uint32_t *bucket, uint64_t *seen)
{
    double middle;

    if (rank == 0)
        return (double)h->min;
    if (rank == h->count - 1)
        return (double)h->max;
    while (rank - *seen >= h->counts[*bucket]) {
        *seen += h->counts[*bucket];
        ++*bucket;
    }
    middle =
        (double)rt_hist_bucket_low(*bucket) + 0.5 * (double)(rt_hist_bucket_width(*bucket) - 1);
    return fmin(fmax(middle, (double)h->min), (double)h->max);
}

double rt_hist_quantile(const struct rt_hist *h, double q)
{
    double place, low_value, high_value;
    uint64_t low, last, seen = 0;
    uint32_t bucket;

    if (h->count == 0 || isnan(q))
        return (double)NAN;
    last = h->count - 1;
    place = fmin(fmax(q, 0.0), 1.0) * (double)last;
    /* Beyond 2^53 samples (double)last may round up to more than last. */
    low = place >= (double)last ? last : (uint64_t)place;
    if (low > last)
        low = last;
    bucket = rt_hist_bucket(h->min);
    low_value = rank_value(h, low, &bucket, &seen);
    if (low == last)
        return low_value;
    high_value = rank_value(h, low + 1, &bucket, &seen);
    return low_value + (place - (double)low) * (high_value - low_value);
}
