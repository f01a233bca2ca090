/* Draws against theory: moments, tails and whole distributions, from fixed seeds.
 *
 * A sample mean of N draws may be off by five of its standard errors; where a whole distribution is
 * compared, by the Kolmogorov-Smirnov distance, it may be 2.3 / sqrt(N) off (p = 5e-5), and ranks
 * of Zipf by chi square within five standard deviations of its degrees of freedom. */
#include "support/test.h"

#include "rooftrace/draw.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define N 200000

static double samples[N];

struct moments {
    double mean, cv;
};

static struct moments measure(void)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < N; i++)
        sum += samples[i];
    double mean = sum / N;
    for (int i = 0; i < N; i++)
        squares += (samples[i] - mean) * (samples[i] - mean);
    return (struct moments){mean, sqrt(squares / N) / mean};
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Largest distance between the sample's distribution and `cdf`. */
static double distance(double (*cdf)(double x, const double *p), const double *p)
{
    double worst = 0;
    qsort(samples, N, sizeof samples[0], compare);
    for (int i = 0; i < N; i++) {
        double want = cdf(samples[i], p);
        worst = fmax(worst, fmax(fabs(want - (double)i / N), fabs(want - (double)(i + 1) / N)));
    }
    return worst;
}

static void whole_numbers_reach_both_ends(void **state)
{
    (void)state;
    struct rt_rng r;
    int hits[7] = {0};
    rt_rng_init(&r, 1, RT_RNG_TOOLS, 0);
    for (int i = 0; i < 70000; i++) {
        int64_t x = rt_draw_whole(&r, -3, 3);
        assert_true(x >= -3 && x <= 3);
        hits[x + 3]++;
    }
    for (int i = 0; i < 7; i++)
        assert_true(fabs(hits[i] - 10000.0) < 5 * sqrt(70000.0 * (1 / 7.0) * (6 / 7.0)));
    assert_true(rt_draw_whole(&r, 5, 5) == 5);
    for (int i = 0; i < 100; i++)
        assert_true(rt_draw_whole(&r, INT64_MAX - 1, INT64_MAX) >= INT64_MAX - 1);
    int negative = 0;
    for (int i = 0; i < 1000; i++)
        negative += rt_draw_whole(&r, INT64_MIN, INT64_MAX) < 0;
    assert_true(negative > 400 && negative < 600);
}

static double gamma_of_mean_one(struct rt_rng *r, double shape)
{
    return rt_rng_gamma(r, shape) / shape;
}

/* Mean 1 and CV 1 / sqrt(shape). The CV's standard error is taken from the fourth moment: the
 * excess kurtosis of gamma is 6 / shape, so sd(variance) = variance * sqrt((2 + 6 / shape) / N). */
static void gamma_has_its_moments(void **state)
{
    static const double shapes[] = {0.2, 0.5, 1, 1.5, 4, 100, 1e6};
    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        double shape = shapes[s], cv = 1 / sqrt(shape);
        struct rt_rng r;
        rt_rng_init(&r, 2, RT_RNG_TOOLS, s);
        for (int i = 0; i < N; i++) {
            samples[i] = gamma_of_mean_one(&r, shape);
            assert_true(isfinite(samples[i]) && samples[i] >= 0);
        }
        struct moments m = measure();
        assert_true(fabs(m.mean - 1) < 5 * cv / sqrt(N));
        assert_true(fabs(m.cv / cv - 1) < 5 * 0.5 * sqrt((2 + 6 / shape) / N) + 5 * cv / sqrt(N));
    }
}

/* Closed forms: shape 1/2 with mean 1 is the square of a normal number; shape 2 has
 * 1 - (1 + 2 x) e^(-2 x). */
static double half_cdf(double x, const double *p)
{
    (void)p;
    return erf(sqrt(x / 2));
}

static double two_cdf(double x, const double *p)
{
    (void)p;
    return 1 - (1 + 2 * x) * exp(-2 * x);
}

static void gamma_has_its_distribution(void **state)
{
    struct rt_rng r;
    (void)state;
    rt_rng_init(&r, 3, RT_RNG_TOOLS, 0);
    for (int i = 0; i < N; i++)
        samples[i] = gamma_of_mean_one(&r, 0.5);
    assert_true(distance(half_cdf, NULL) < 2.3 / sqrt(N));
    for (int i = 0; i < N; i++)
        samples[i] = gamma_of_mean_one(&r, 2);
    assert_true(distance(two_cdf, NULL) < 2.3 / sqrt(N));
}

/* The ends of the legal shapes stay finite; shape 1e-3 is mostly 0 and its mean is made by a few.
 */
static void gamma_stays_finite(void **state)
{
    static const double shapes[] = {1e-3, 0.01, 1e9};
    struct rt_rng r;
    (void)state;
    rt_rng_init(&r, 4, RT_RNG_TOOLS, 0);
    for (int s = 0; s < 3; s++)
        for (int i = 0; i < 20000; i++) {
            double x = gamma_of_mean_one(&r, shapes[s]);
            assert_true(isfinite(x) && x >= 0);
        }
}

static double weibull_cdf(double x, const double *p)
{
    return 1 - exp(-pow(x / p[1], p[0]));
}

static void weibull_has_its_distribution(void **state)
{
    static const double shapes[] = {0.5, 0.8, 1, 2, 10};
    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        double shape = shapes[s], scale = rt_weibull_scale(shape), cv = rt_weibull_cv(shape);
        double p[2] = {shape, scale};
        struct rt_rng r;
        rt_rng_init(&r, 5, RT_RNG_TOOLS, s);
        for (int i = 0; i < N; i++)
            samples[i] = rt_draw_weibull(&r, shape, scale);
        struct moments m = measure();
        assert_true(fabs(m.mean - 1) < 5 * cv / sqrt(N));
        assert_true(fabs(m.cv / cv - 1) < 0.04);
        assert_true(distance(weibull_cdf, p) < 2.3 / sqrt(N));
    }
    /* Closed forms: shape 1 is exponential; shape 1/2 has mean 2 scale and CV sqrt(5);
     * shape 2 (Rayleigh) has CV sqrt(4 / pi - 1). */
    assert_true(fabs(rt_weibull_scale(1) - 1) < 1e-14 && fabs(rt_weibull_cv(1) - 1) < 1e-14);
    assert_true(fabs(rt_weibull_scale(0.5) - 0.5) < 1e-14);
    assert_true(fabs(rt_weibull_cv(0.5) - sqrt(5)) < 1e-13);
    assert_true(fabs(rt_weibull_cv(2) - sqrt(4 / acos(-1) - 1)) < 1e-13);
}

static double lognormal_cdf(double x, const double *p)
{
    return rt_normal_cdf((log(x) - p[0]) / p[1]);
}

static void lognormal_has_its_distribution(void **state)
{
    double p[2] = {6.5, 0.8};
    struct rt_rng r;
    (void)state;
    rt_rng_init(&r, 6, RT_RNG_TOOLS, 0);
    for (int i = 0; i < N; i++)
        samples[i] = rt_draw_lognormal(&r, p[0], p[1]);
    struct moments m = measure();
    double cv = sqrt(expm1(p[1] * p[1]));
    assert_true(fabs(m.mean / exp(p[0] + p[1] * p[1] / 2) - 1) < 5 * cv / sqrt(N));
    assert_true(distance(lognormal_cdf, p) < 2.3 / sqrt(N));
    for (int i = 0; i < 100; i++)
        assert_true(rt_draw_lognormal(&r, 3, 0) == exp(3));
}

/* Every rank by chi square, where the expected count is not small. */
static void zipf_has_its_distribution(void **state)
{
    static const struct {
        uint64_t count;
        double exponent;
    } cases[] = {{1, 1},      {2, 0},   {2, 3},      {16, 1},  {100, 0},    {100, 0.5},
                 {100, 0.99}, {100, 1}, {100, 1.01}, {100, 2}, {1000, 1.2}, {5, 20}};
    static double hits[1001];
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        uint64_t n = cases[c].count;
        double s = cases[c].exponent, total = 0, chi = 0, freedom = -1;
        struct rt_zipf z;
        struct rt_rng r;
        memset(hits, 0, sizeof hits);
        rt_rng_init(&r, 7, RT_RNG_TOOLS, c);
        rt_zipf_init(&z, n, s);
        for (int i = 0; i < N; i++) {
            uint64_t k = rt_draw_zipf(&r, &z);
            assert_true(k >= 1 && k <= n);
            hits[k]++;
        }
        for (uint64_t k = 1; k <= n; k++)
            total += pow((double)k, -s);
        for (uint64_t k = 1; k <= n; k++) {
            double want = N * pow((double)k, -s) / total;
            chi += want >= 10 ? (hits[k] - want) * (hits[k] - want) / want : 0;
            freedom += want >= 10;
        }
        assert_true(chi < freedom + 5 * sqrt(2 * freedom) + 10);
    }
}

/* With 2^52 ranks at exponent 1 half of the draws have log2(rank) below about 26, and they end. */
static void zipf_takes_many_ranks(void **state)
{
    struct rt_zipf z;
    struct rt_rng r;
    int low = 0;
    (void)state;
    rt_rng_init(&r, 8, RT_RNG_TOOLS, 0);
    rt_zipf_init(&z, UINT64_C(1) << 52, 1);
    for (int i = 0; i < 10000; i++)
        low += rt_draw_zipf(&r, &z) < UINT64_C(1) << 26;
    /* (26 log 2 + 0.5772) / (52 log 2 + 0.5772) = 0.508 */
    assert_true(fabs(low / 1e4 - 0.508) < 5 * 0.005);
}

/* Known points (Abramowitz and Stegun, table 26.5), symmetry, and the inverse of the inverse. */
static void normal_quantile_inverts_the_cdf(void **state)
{
    (void)state;
    assert_true(rt_normal_quantile(0.5) == 0);
    assert_true(fabs(rt_normal_quantile(0.975) - 1.959963984540054) < 1e-14);
    assert_true(fabs(rt_normal_quantile(0.999) - 3.090232306167813) < 1e-14);
    assert_true(fabs(rt_normal_quantile(1e-10) + 6.361340902404056) < 1e-13);
    for (double x = -37; x < 8; x += 0.37) {
        double p = rt_normal_cdf(x);
        double slack = x > 0 ? 1e-15 / exp(-x * x / 2) : 0; /* 1 - p has lost that */
        assert_true(fabs(rt_normal_quantile(p) - x) < 1e-11 * fmax(1, fabs(x)) + slack);
    }
}

/* Drawing one kind leaves the stream where the same draws always leave it: no hidden state. */
static void streams_repeat(void **state)
{
    double first[50];
    (void)state;
    for (int pass = 0; pass < 2; pass++) {
        struct rt_rng r;
        struct rt_zipf z;
        rt_rng_init(&r, 9, RT_RNG_ARRIVALS, 3);
        rt_zipf_init(&z, 1000, 1.1);
        for (int i = 0; i < 50; i++) {
            double x = rt_draw_weibull(&r, 2, 1) + rt_draw_lognormal(&r, 0, 1) +
                       (double)rt_draw_zipf(&r, &z);
            if (pass == 0)
                first[i] = x;
            assert_true(first[i] == x);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_reach_both_ends),
        cmocka_unit_test(gamma_has_its_moments),
        cmocka_unit_test(gamma_has_its_distribution),
        cmocka_unit_test(gamma_stays_finite),
        cmocka_unit_test(weibull_has_its_distribution),
        cmocka_unit_test(lognormal_has_its_distribution),
        cmocka_unit_test(zipf_has_its_distribution),
        cmocka_unit_test(zipf_takes_many_ranks),
        cmocka_unit_test(normal_quantile_inverts_the_cdf),
        cmocka_unit_test(streams_repeat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
