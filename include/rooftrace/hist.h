/* base/hist.h: counts of non-negative integers in log-spaced buckets; any value is known within
 * 0.1 % (512 buckets an octave, exact below 1024), so a percentile of any number of samples costs
 * 220 KB. Adding is O(1); a percentile is O(buckets). Sums are exact (128 bit). The result does not
 * depend on the order of adding. */
#ifndef RT_HIST_H
#define RT_HIST_H

#include "rooftrace/err.h"

#include <stddef.h>
#include <stdint.h>

__extension__ typedef unsigned __int128 rt_u128;

#define RT_HIST_SUB_BITS 9
#define RT_HIST_BUCKETS  ((1u << RT_HIST_SUB_BITS) * (64 - RT_HIST_SUB_BITS))

struct rt_hist {
    uint64_t *counts; /* RT_HIST_BUCKETS of them */
    uint64_t count;   /* samples */
    int64_t min, max; /* valid when count > 0 */
    rt_u128 sum, sum_squares;
};

bool rt_hist_init(struct rt_hist *h) RT_MUST_USE; /* false: out of memory */
void rt_hist_release(struct rt_hist *h);
/* `times` samples of `value` (>= 0). The sums are 128 bit: 2^32 samples of 2^47 ns still fit;
 * beyond, sum_squares stays at its maximum and the standard deviation is NaN. */
void rt_hist_add(struct rt_hist *h, int64_t value, uint64_t times);
/* `times` samples of each of n ascending values: the same as n calls of rt_hist_add, at less than 1
 * ns a value when most fall into one bucket. */
void rt_hist_add_ascending(struct rt_hist *h, const int64_t *values, size_t n, uint64_t times);
void rt_hist_merge(struct rt_hist *into, const struct rt_hist *from);
double rt_hist_mean(const struct rt_hist *h); /* exact to rounding; NaN when empty */
double rt_hist_std(const struct rt_hist *h);  /* population; NaN when empty, see rt_hist_add */
/* The q-quantile (0..1), linear interpolation between ranks as numpy does by default, each rank's
 * value taken as its bucket's middle, clamped to [min, max]; the first and last rank are min and
 * max exactly. q is clamped to 0..1; NaN when empty or q is NaN. */
double rt_hist_quantile(const struct rt_hist *h, double q);

/* Bucket of a value (>= 0), and a bucket's range [low, low + width); the last ends at INT64_MAX. */
uint32_t rt_hist_bucket(int64_t value);
int64_t rt_hist_bucket_low(uint32_t bucket);
int64_t rt_hist_bucket_width(uint32_t bucket);

#endif
