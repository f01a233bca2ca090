/* Histogram: bucket borders, quantiles against sorted values, exact sums, merging in any order,
 * ascending runs against adding one by one. */
#include "support/test.h"

#include "rooftrace/hist.h"
#include "rooftrace/rng.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The buckets tile 0..INT64_MAX without gap; first and last value of each map back to it. */
static void buckets_tile_all_values(void **state)
{
    int64_t expected_low = 0;

    (void)state;
    for (uint32_t b = 0; b < RT_HIST_BUCKETS; b++) {
        int64_t low = rt_hist_bucket_low(b), width = rt_hist_bucket_width(b);
        assert_true(low == expected_low);
        assert_int_equal(rt_hist_bucket(low), b);
        assert_int_equal(rt_hist_bucket(low + (width - 1)), b);
        assert_true(low < 1024 ? width == 1 : (double)(width - 1) / 2 <= 0.001 * (double)low);
        if (b + 1 < RT_HIST_BUCKETS)
            expected_low = low + width;
        else
            assert_true(low + (width - 1) == INT64_MAX);
    }
}

/* Values of all magnitudes up to `bits` bits, with repeats. */
static int64_t random_value(struct rt_rng *r, unsigned bits)
{
    return (int64_t)(rt_rng_u64(r) >> (64 - 1 - rt_rng_below(r, bits)));
}

static int compare_i64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* numpy.quantile's default: linear between the two ranks around q (n - 1). */
static double exact_quantile(const int64_t *sorted, size_t n, double q)
{
    double place = q * (double)(n - 1);
    size_t low = (size_t)floor(place);
    size_t high = low + 1 < n ? low + 1 : low;

    return (double)sorted[low] +
           (place - (double)low) * ((double)sorted[high] - (double)sorted[low]);
}

static void check_quantiles(const struct rt_hist *h, int64_t *values, size_t n)
{
    double before = -1;

    qsort(values, n, sizeof *values, compare_i64);
    assert_true(h->count == n && h->min == values[0] && h->max == values[n - 1]);
    assert_true(rt_hist_quantile(h, 0) == (double)values[0]);
    assert_true(rt_hist_quantile(h, 1) == (double)values[n - 1]);
    for (int i = 0; i <= 1000; i++) {
        double q = i / 1000.0;
        double want = exact_quantile(values, n, q), got = rt_hist_quantile(h, q);
        if (fabs(got - want) > 0.001 * want)
            fail_msg("n %zu, q %g: %.17g, expected %.17g", n, q, got, want);
        assert_true(got >= before); /* never falls */
        before = got;
    }
}

static void quantiles_agree_with_sorted_values(void **state)
{
    static const size_t sizes[] = {1, 2, 3, 10, 999, 20000};
    int64_t *values = calloc(20000, sizeof *values);

    (void)state;
    assert_non_null(values);
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++)
        for (unsigned bits = 8; bits <= 63; bits += 11) {
            struct rt_hist h;
            struct rt_rng r;
            rt_rng_init(&r, bits, RT_RNG_TOOLS, sizes[s]);
            assert_true(rt_hist_init(&h));
            for (size_t i = 0; i < sizes[s]; i++) {
                values[i] = random_value(&r, bits);
                rt_hist_add(&h, values[i], 1);
            }
            check_quantiles(&h, values, sizes[s]);
            rt_hist_release(&h);
        }
    free(values);
}

static void small_values_are_exact(void **state)
{
    static const int64_t values[] = {3, 10, 20, 1023};
    struct rt_hist h;

    (void)state;
    assert_true(rt_hist_init(&h));
    for (size_t i = 0; i < 4; i++)
        rt_hist_add(&h, values[i], 1);
    /* numpy.quantile([3, 10, 20, 1023], [0, .25, .5, .75, .9, 1]) */
    assert_true(rt_hist_quantile(&h, 0.25) == 8.25);
    assert_true(rt_hist_quantile(&h, 0.5) == 15.0);
    assert_true(rt_hist_quantile(&h, 0.75) == 270.75);
    assert_true(fabs(rt_hist_quantile(&h, 0.9) - 722.1) < 1e-9);
    assert_true(rt_hist_quantile(&h, -1) == 3.0);
    assert_true(rt_hist_quantile(&h, 2) == 1023.0);
    assert_true(isnan(rt_hist_quantile(&h, (double)NAN)));
    rt_hist_release(&h);
}

/* Equal values that are no bucket's middle come back unchanged, at any q. */
static void equal_values_come_back(void **state)
{
    static const int64_t values[] = {0, 1, 1025, 123456789, INT64_MAX};

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        struct rt_hist h;
        assert_true(rt_hist_init(&h));
        rt_hist_add(&h, values[i], 3); /* of INT64_MAX no more fit the squares */
        for (int q = 0; q <= 10; q++)
            assert_true(rt_hist_quantile(&h, q / 10.0) == (double)values[i]);
        assert_true(rt_hist_mean(&h) == (double)values[i]);
        assert_true(rt_hist_std(&h) == 0.0);
        rt_hist_release(&h);
    }
}

static void empty_is_nan(void **state)
{
    struct rt_hist h;

    (void)state;
    assert_true(rt_hist_init(&h));
    rt_hist_add(&h, 5, 0); /* no sample */
    assert_true(isnan(rt_hist_mean(&h)));
    assert_true(isnan(rt_hist_std(&h)));
    assert_true(isnan(rt_hist_quantile(&h, 0.5)));
    rt_hist_release(&h);
}

static void mean_and_std_of_known_values(void **state)
{
    struct rt_hist h;

    (void)state;
    assert_true(rt_hist_init(&h));
    for (int64_t i = 1; i <= 100; i++)
        rt_hist_add(&h, i, 1);
    assert_true(rt_hist_mean(&h) == 50.5);
    /* variance of 1..n is (n^2 - 1) / 12 */
    assert_true(fabs(rt_hist_std(&h) - sqrt(9999.0 / 12)) < 1e-12);
    rt_hist_release(&h);
}

/* A spread of 1 around 2^46: squares of doubles would lose it all. */
static void small_spread_around_a_large_mean(void **state)
{
    const int64_t base = INT64_C(1) << 46;
    struct rt_hist h;

    (void)state;
    assert_true(rt_hist_init(&h));
    rt_hist_add(&h, base - 1, 1000);
    rt_hist_add(&h, base + 1, 1000);
    assert_true(rt_hist_mean(&h) == (double)base);
    assert_true(rt_hist_std(&h) == 1.0);
    rt_hist_add(&h, base + 2, 2000); /* base + {-1, 1, 2, 2}: variance 10/4 - 1 = 1.5 */
    assert_true(fabs(rt_hist_std(&h) - sqrt(1.5)) < 1e-12);
    rt_hist_release(&h);
}

/* 2^32 samples of 2^47 ns, half of them 0: the promise of the header. Then beyond it. */
static void sums_hold_what_is_promised(void **state)
{
    const int64_t value = INT64_C(1) << 47;
    const uint64_t half = UINT64_C(1) << 31;
    struct rt_hist h;

    (void)state;
    assert_true(rt_hist_init(&h));
    rt_hist_add(&h, value, half);
    rt_hist_add(&h, 0, half);
    assert_true(rt_hist_mean(&h) == 0x1p46);
    assert_true(rt_hist_std(&h) == 0x1p46);
    rt_hist_add(&h, INT64_MAX, half); /* 2^157: stays at the maximum, says so */
    assert_true(h.sum_squares == ~(rt_u128)0);
    assert_true(isnan(rt_hist_std(&h)));
    rt_hist_add(&h, INT64_MAX, half);
    assert_true(h.sum_squares == ~(rt_u128)0);
    assert_true(isfinite(rt_hist_mean(&h)));
    rt_hist_release(&h);
}

static void times_is_repeated_adding(void **state)
{
    struct rt_hist a, b;
    struct rt_rng r;

    (void)state;
    rt_rng_init(&r, 3, RT_RNG_TOOLS, 0);
    assert_true(rt_hist_init(&a) && rt_hist_init(&b));
    for (int i = 0; i < 500; i++) {
        int64_t value = random_value(&r, 50);
        uint64_t times = rt_rng_below(&r, 20);
        rt_hist_add(&a, value, times);
        for (uint64_t t = 0; t < times; t++)
            rt_hist_add(&b, value, 1);
    }
    assert_memory_equal(a.counts, b.counts, RT_HIST_BUCKETS * sizeof *a.counts);
    assert_true(a.count == b.count && a.sum == b.sum && a.sum_squares == b.sum_squares);
    rt_hist_release(&a);
    rt_hist_release(&b);
}

static void assert_same(const struct rt_hist *a, const struct rt_hist *b)
{
    assert_memory_equal(a->counts, b->counts, RT_HIST_BUCKETS * sizeof *a->counts);
    assert_true(a->count == b->count && a->min == b->min && a->max == b->max);
    assert_true(a->sum == b->sum && a->sum_squares == b->sum_squares);
}

/* Samples dealt to parts at random and merged in either order equal one histogram of all; the
 * largest values drive the sum of squares over its end in some rounds. An empty part is there. */
static void merging_order_does_not_matter(void **state)
{
    enum { PARTS = 5 };

    (void)state;
    for (uint64_t round = 0; round < 6; round++) {
        struct rt_hist parts[PARTS + 1], all, up, down;
        struct rt_rng r;
        rt_rng_init(&r, 21, RT_RNG_TOOLS, round);
        assert_true(rt_hist_init(&all) && rt_hist_init(&up) && rt_hist_init(&down));
        for (int i = 0; i <= PARTS; i++)
            assert_true(rt_hist_init(&parts[i]));
        for (int i = 0; i < 2000; i++) {
            int64_t value = random_value(&r, round % 2 == 0 ? 45 : 63);
            rt_hist_add(&parts[rt_rng_below(&r, PARTS)], value, 1);
            rt_hist_add(&all, value, 1);
        }
        for (int i = 0; i <= PARTS; i++) {
            rt_hist_merge(&up, &parts[i]);
            rt_hist_merge(&down, &parts[PARTS - i]);
        }
        assert_same(&up, &all);
        assert_same(&down, &all);
        for (int i = 0; i <= PARTS; i++)
            rt_hist_release(&parts[i]);
        rt_hist_release(&all);
        rt_hist_release(&up);
        rt_hist_release(&down);
    }
}

/* ---- ascending runs: the same as one by one -------------------------------------------------- */

#define RUN_MAX 9000

/* A value as the fast path of rt_hist_add_ascending may trip over it: at a border of a bucket, at
 * 2^26 (where sums of squares leave 64 bits), huge, or any. */
static int64_t nasty_value(struct rt_rng *r)
{
    uint32_t bucket = (uint32_t)rt_rng_below(r, RT_HIST_BUCKETS);
    int64_t low = rt_hist_bucket_low(bucket);

    switch (rt_rng_below(r, 6)) {
    case 0:
        return low > 0 ? low - 1 : 0;
    case 1:
        return low;
    case 2:
        return low + (rt_hist_bucket_width(bucket) - 1);
    case 3:
        return ((int64_t)1 << 26) - 2 + (int64_t)rt_rng_below(r, 4);
    case 4:
        return INT64_MAX - (int64_t)rt_rng_below(r, 3);
    default:
        return random_value(r, 60);
    }
}

/* n ascending values. Kinds: all alike, close together (most in one bucket, as the steps of one
 * decode batch are), all just below 2^26, nasty ones, spread over `bits` bits. */
static void ascending_run(struct rt_rng *r, int64_t *values, size_t n)
{
    unsigned kind = (unsigned)rt_rng_below(r, 5), bits = 1 + (unsigned)rt_rng_below(r, 60);
    int64_t at = kind == 1 ? nasty_value(r) / 2 : nasty_value(r);

    for (size_t i = 0; i < n; i++) {
        if (kind == 1)
            at += (int64_t)rt_rng_below(r, 3);
        else if (kind == 2)
            at = ((int64_t)1 << 26) - 1 - (int64_t)rt_rng_below(r, 2);
        else if (kind == 3)
            at = nasty_value(r);
        else if (kind == 4)
            at = random_value(r, bits);
        values[i] = at;
    }
    qsort(values, n, sizeof *values, compare_i64);
}

static size_t run_length(struct rt_rng *r)
{
    static const size_t edges[] = {0, 1, 2, 4095, 4096, 4097, RUN_MAX};

    return rt_rng_below(r, 3) == 0 ? edges[rt_rng_below(r, sizeof edges / sizeof *edges)]
                                   : rt_rng_below(r, 300);
}

/* Several runs into one histogram, so that what is there already is kept. */
static void ascending_runs_equal_single_adds(void **state)
{
    static const uint64_t times_of[] = {0, 1, 1, 3, UINT64_C(1) << 32};
    int64_t *values = malloc(RUN_MAX * sizeof *values);

    (void)state;
    assert_non_null(values);
    for (uint64_t round = 0; round < 60; round++) {
        struct rt_hist together, single;
        struct rt_rng r;
        rt_rng_init(&r, 26, RT_RNG_TOOLS, round);
        assert_true(rt_hist_init(&together) && rt_hist_init(&single));
        for (int run = 0; run < 6; run++) {
            size_t n = run_length(&r);
            uint64_t times = times_of[rt_rng_below(&r, sizeof times_of / sizeof *times_of)];
            ascending_run(&r, values, n);
            rt_hist_add_ascending(&together, values, n, times);
            for (size_t i = 0; i < n; i++)
                rt_hist_add(&single, values[i], times);
        }
        assert_same(&together, &single);
        rt_hist_release(&together);
        rt_hist_release(&single);
    }
    free(values);
}

/* The most that the 64-bit sums of the fast path have to hold, and one more; by hand. */
static void ascending_sums_at_their_limit(void **state)
{
    int64_t values[4097];
    int64_t most = ((int64_t)1 << 26) - 1;
    rt_u128 square = (rt_u128)most * (rt_u128)most;

    (void)state;
    for (size_t n = 4095; n <= 4097; n++)
        for (int above = 0; above < 2; above++) {
            struct rt_hist h;
            int64_t last = most + above;
            for (size_t i = 0; i < n; i++)
                values[i] = i + 1 == n ? last : most;
            assert_true(rt_hist_init(&h));
            rt_hist_add_ascending(&h, values, n, UINT64_C(1) << 32);
            assert_true(h.count == (uint64_t)n << 32);
            assert_true(h.sum == ((rt_u128)most * (n - 1) + (rt_u128)last) << 32);
            assert_true(h.sum_squares == (square * (n - 1) + (rt_u128)last * (rt_u128)last) << 32);
            assert_true(h.min == most && h.max == last);
            rt_hist_release(&h);
        }
}

/* Counts that no double holds exactly must not walk off the buckets. */
static void enormous_counts_stay_in_range(void **state)
{
    struct rt_hist h;

    (void)state;
    assert_true(rt_hist_init(&h));
    rt_hist_add(&h, 10, UINT64_MAX / 2);
    rt_hist_add(&h, 20, UINT64_MAX / 2);
    for (int i = 0; i <= 100; i++) {
        double v = rt_hist_quantile(&h, i / 100.0);
        assert_true(v >= 10 && v <= 20);
    }
    assert_true(rt_hist_quantile(&h, 1 - DBL_EPSILON) == 20.0);
    assert_true(rt_hist_mean(&h) == 15.0);
    assert_true(rt_hist_std(&h) == 5.0);
    rt_hist_release(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_tile_all_values),
        cmocka_unit_test(quantiles_agree_with_sorted_values),
        cmocka_unit_test(small_values_are_exact),
        cmocka_unit_test(equal_values_come_back),
        cmocka_unit_test(empty_is_nan),
        cmocka_unit_test(mean_and_std_of_known_values),
        cmocka_unit_test(small_spread_around_a_large_mean),
        cmocka_unit_test(sums_hold_what_is_promised),
        cmocka_unit_test(times_is_repeated_adding),
        cmocka_unit_test(merging_order_does_not_matter),
        cmocka_unit_test(ascending_runs_equal_single_adds),
        cmocka_unit_test(ascending_sums_at_their_limit),
        cmocka_unit_test(enormous_counts_stay_in_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
