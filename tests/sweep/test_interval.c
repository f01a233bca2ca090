/* Bounds of quantiles: the binomial against its sum, ranks against their definition, and how often
 * intervals hold the true quantile, of independent and of autocorrelated values (seeds fixed). */
#include "support/test.h"

#include "rooftrace/interval.h"
#include "rooftrace/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* P(X <= k), term by term. */
static double summed(int k, int n, double p)
{
    double term = pow(1 - p, n), sum = 0;

    for (int i = 0; i <= k; i++) {
        sum += term;
        term *= (double)(n - i) / (i + 1) * p / (1 - p);
    }
    return sum;
}

static void binomial_is_its_sum(void **state)
{
    static const double shares[] = {0.01, 0.3, 0.5, 0.9, 0.99};

    (void)state;
    for (int n = 1; n <= 60; n++)
        for (unsigned p = 0; p < 5; p++)
            for (int k = -1; k <= n; k++) {
                double want = k < 0 ? 0 : k >= n ? 1 : summed(k, n, shares[p]);
                assert_true(fabs(rt_binomial_cdf(k, n, shares[p]) - want) < 1e-11);
            }
    /* large n: half of it lies below its median, within the probability of one value */
    assert_true(fabs(rt_binomial_cdf(500000, 1e6, 0.5) - 0.5) < 1e-3);
    assert_true(fabs(rt_binomial_cdf(990000, 1e6, 0.99) - 0.5) < 5e-3);
}

/* The ranks are the narrowest that keep the confidence. */
static void ranks_as_defined(void **state)
{
    static const double shares[] = {0.5, 0.9, 0.95, 0.99}, confidences[] = {0.9, 0.95, 0.99};

    (void)state;
    for (uint64_t n = 1; n <= 700; n += n < 30 ? 1 : 67)
        for (unsigned i = 0; i < 12; i++) {
            double p = shares[i % 4], c = confidences[i / 4], size = (double)n;
            struct rt_rank_bounds r = rt_quantile_ranks(n, size, p, c);
            if (r.high <= n) {
                assert_true(rt_binomial_cdf((double)r.high - 1, size, p) >= c);
                assert_true(rt_binomial_cdf((double)r.high - 2, size, p) < c);
            } else {
                assert_true(rt_binomial_cdf(size - 1, size, p) < c);
            }
            if (r.low > 0)
                assert_true(rt_binomial_cdf((double)r.low - 1, size, p) <= 1 - c + 1e-12);
            assert_true(rt_binomial_cdf((double)r.low, size, p) > 1 - c);
            assert_int_equal(r.high <= n, n >= rt_quantile_least(p, c));
        }
}

static void least_requests(void **state)
{
    (void)state;
    assert_int_equal(rt_quantile_least(0.99, 0.99), 459);
    assert_int_equal(rt_quantile_least(0.95, 0.95), 59);
    assert_int_equal(rt_quantile_ranks(458, 458, 0.99, 0.99).high, 459); /* none */
    assert_int_equal(rt_quantile_ranks(459, 459, 0.99, 0.99).high, 459); /* the largest */
    assert_int_equal(rt_quantile_ranks(0, 1, 0.99, 0.99).high, 1);
    assert_int_equal(rt_quantile_ranks(0, 1, 0.99, 0.99).low, 0);
}

/* Fewer effective values: wider, never narrower. */
static void fewer_are_wider(void **state)
{
    struct rt_rank_bounds last = rt_quantile_ranks(20000, 20000, 0.99, 0.99);

    (void)state;
    for (double effective = 19000; effective >= 1; effective /= 1.7) {
        struct rt_rank_bounds r = rt_quantile_ranks(20000, effective, 0.99, 0.99);
        assert_true(r.low <= last.low);
        assert_true(r.high >= last.high);
        assert_int_equal(r.high > 20000, effective < 459);
        last = r;
    }
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

#define BLOCKS 32

struct coverage {
    int below, above; /* how often the true quantile lay outside, on each side */
    double effective; /* mean */
};

/* n values of an AR(1) process with unit variance; the bounds of its share-quantile. */
static void one_sample(struct rt_rng *rng, double phi, double share, bool blocks,
                       struct coverage *out)
{
    enum { N = 4096 };
    static const double z[2] = {1.2815515655446004, 2.3263478740408408}; /* normal P90, P99 */
    double *x = malloc(2 * N * sizeof x[0]), *sorted = x + N;
    struct rt_block list[BLOCKS] = {{0, 0}};
    double effective = N, truth = share == 0.9 ? z[0] : z[1];

    assert_non_null(x);
    x[0] = rt_rng_normal(rng);
    for (int i = 1; i < N; i++)
        x[i] = phi * x[i - 1] + sqrt(1 - phi * phi) * rt_rng_normal(rng);
    for (int i = 0; i < N; i++)
        sorted[i] = x[i];
    qsort(sorted, N, sizeof sorted[0], ascending);
    for (int i = 0; i < N; i++) {
        list[i * BLOCKS / N].requests++;
        list[i * BLOCKS / N].above += x[i] > sorted[(int)(share * N)];
    }
    if (blocks)
        effective = rt_effective_size(list, BLOCKS, 0.95);
    struct rt_rank_bounds r = rt_quantile_ranks(N, effective, share, 0.95);
    out->below += r.low > 0 && sorted[r.low - 1] > truth;
    out->above += r.high <= N && sorted[r.high - 1] < truth;
    out->effective += effective;
    free(x);
}

static struct coverage sample(uint64_t seed, double phi, double share, bool blocks)
{
    struct coverage c = {0, 0, 0};
    struct rt_rng rng;

    rt_rng_init(&rng, seed, RT_RNG_TOOLS, 0);
    for (int i = 0; i < 400; i++)
        one_sample(&rng, phi, share, blocks, &c);
    c.effective /= 400;
    printf("phi %.2f P%g %s: %d low and %d high of 400 miss, worth %.0f\n", phi, 100 * share,
           blocks ? "blocks" : "as independent", c.below, c.above, c.effective);
    return c;
}

/* Each side may miss 5 % of 400 times, 20 +- 4.4: below 34 is 3 sigma. */
static void independent_values_are_covered(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct coverage c = sample(7 + i, 0, i ? 0.99 : 0.9, true);
        assert_true(c.below < 34 && c.above < 34);
        assert_true(c.effective > 2000); /* half of what there is: what not knowing that costs */
        c = sample(7 + i, 0, i ? 0.99 : 0.9, false);
        assert_true(c.below < 34 && c.above < 34 && c.below + c.above > 8);
    }
}

/* Values that follow each other are covered with blocks, and not without. */
static void correlated_values_need_blocks(void **state)
{
    (void)state;
    struct coverage with = sample(11, 0.9, 0.9, true), without = sample(11, 0.9, 0.9, false);
    assert_true(with.below < 34 && with.above < 34);
    assert_true(without.below + without.above > 120);
    assert_true(with.effective < 1200);
    with = sample(12, 0.8, 0.99, true);
    assert_true(with.below < 34 && with.above < 34);
}

static void effective_size_has_limits(void **state)
{
    struct rt_block same[4] = {{100, 1}, {100, 1}, {100, 1}, {100, 1}};
    struct rt_block apart[4] = {{100, 100}, {100, 0}, {100, 0}, {100, 0}};
    struct rt_block none[4] = {{100, 0}, {100, 0}, {0, 0}, {100, 0}};
    struct rt_block one[2] = {{50, 7}, {0, 0}};

    (void)state;
    assert_true(rt_effective_size(same, 4, 0.99) == 400);
    assert_true(rt_effective_size(apart, 4, 0.99) == 4);
    assert_true(rt_effective_size(none, 4, 0.99) == 300);
    assert_true(rt_effective_size(one, 2, 0.99) == 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(binomial_is_its_sum),
        cmocka_unit_test(ranks_as_defined),
        cmocka_unit_test(least_requests),
        cmocka_unit_test(fewer_are_wider),
        cmocka_unit_test(independent_values_are_covered),
        cmocka_unit_test(correlated_values_need_blocks),
        cmocka_unit_test(effective_size_has_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
