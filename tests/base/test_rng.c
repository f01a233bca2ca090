/* Random streams: reference vectors, independence of streams, bounds and moments.
 *
 * The vectors come from an independent Python version of the published algorithms:
 *     G = 0x9E3779B97F4A7C15; M = 2**64 - 1
 *     def mix(z): z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & M
 *                 z = (z ^ z >> 27) * 0x94D049BB133111EB & M; return z ^ z >> 31
 *     splitmix(x): x += G; yield mix(x)           (seed 1234567 yields 6457827717110365317, ...)
 *     xoshiro(s): r = rot(s[1] * 5, 7) * 9; t = s[1] << 17; s[2] ^= s[0]; s[3] ^= s[1];
 *                 s[1] ^= s[2]; s[0] ^= s[3]; s[2] ^= t; s[3] = rot(s[3], 45); return r
 *     init(seed, purpose, trial): x = 0; for part in (seed, purpose, trial): x = first splitmix
 *                 number of x ^ part;  s = the first four splitmix numbers of x
 * The state (1, 2, 3, 4) is the one whose numbers the algorithm's authors and most ports publish.
 */
#include "support/test.h"

#include "rooftrace/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void xoshiro_reference(void **state)
{
    static const uint64_t want[] = {UINT64_C(11520),
                                    UINT64_C(0),
                                    UINT64_C(1509978240),
                                    UINT64_C(1215971899390074240),
                                    UINT64_C(1216172134540287360),
                                    UINT64_C(607988272756665600),
                                    UINT64_C(16172922978634559625),
                                    UINT64_C(8476171486693032832),
                                    UINT64_C(10595114339597558777),
                                    UINT64_C(2904607092377533576)};
    struct rt_rng r = {{1, 2, 3, 4}};

    (void)state;
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_true(rt_rng_u64(&r) == want[i]);
}

struct seeding {
    uint64_t seed;
    enum rt_rng_purpose purpose;
    uint64_t trial;
    uint64_t words[4], draws[3];
};

static void seeding_reference(void **state)
{
    static const struct seeding cases[] = {
        {0,
         RT_RNG_ARRIVALS,
         0,
         {0x2130748aaac80268, 0x0cc78fb979ce5090, 0xab9aa3dafba6b4ac, 0xb0c750a86b3b1dd2},
         {0x8a21cd34a214a917, 0x9c507e12243e64d0, 0xc3763b828e49dc84}},
        {42,
         RT_RNG_LENGTHS,
         7,
         {0x413ff7014e1b1f95, 0x62b084daf1a0da13, 0x96d7421cab50caf2, 0xcd377575cbe87627},
         {0x83ad3e3ca32aafa6, 0x405fff56a8dbb46d, 0x250b2ce141ca27be}},
        {UINT64_MAX,
         RT_RNG_TOOLS,
         UINT64_MAX,
         {0xb7c380b3ce2ae297, 0x73e18101b731de1f, 0xbf5614fc244b093c, 0x70c7d278592eff46},
         {0x51d6a699e205baa9, 0xb3df63338cb853d4, 0x22d4c7cc9b9ee24c}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_rng r;
        rt_rng_init(&r, cases[i].seed, cases[i].purpose, cases[i].trial);
        assert_memory_equal(r.s, cases[i].words, sizeof r.s);
        for (size_t j = 0; j < 3; j++)
            assert_true(rt_rng_u64(&r) == cases[i].draws[j]);
    }
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

/* Neighbouring seeds, purposes and trials start with different numbers. */
static void streams_differ(void **state)
{
    enum { SEEDS = 20, PURPOSES = 6, TRIALS = 20, ALL = SEEDS * PURPOSES * TRIALS };
    uint64_t *first = calloc(ALL, sizeof *first);
    size_t n = 0;

    (void)state;
    assert_non_null(first);
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        for (int purpose = 0; purpose < PURPOSES; purpose++)
            for (uint64_t trial = 0; trial < TRIALS; trial++) {
                struct rt_rng r;
                rt_rng_init(&r, seed, (enum rt_rng_purpose)purpose, trial);
                first[n++] = rt_rng_u64(&r);
            }
    qsort(first, n, sizeof *first, compare_u64);
    for (size_t i = 1; i < n; i++)
        assert_true(first[i - 1] != first[i]);
    free(first);
}

static void below_stays_below(void **state)
{
    static const uint64_t bounds[] = {1,
                                      2,
                                      3,
                                      10,
                                      UINT32_MAX,
                                      (UINT64_C(1) << 63) - 1,
                                      UINT64_C(1) << 63,
                                      (UINT64_C(1) << 63) + 1,
                                      UINT64_MAX};
    struct rt_rng r;

    (void)state;
    rt_rng_init(&r, 5, RT_RNG_TOOLS, 0);
    for (size_t b = 0; b < sizeof bounds / sizeof bounds[0]; b++)
        for (int i = 0; i < 2000; i++)
            assert_true(rt_rng_below(&r, bounds[b]) < bounds[b]);
}

/* n = 3 * 2^62: without rejection the lowest of three equal parts would get half of the draws.
 * Each part is hit with p = 1/3; the bound is five standard deviations. */
static void below_has_no_bias(void **state)
{
    enum { DRAWS = 90000 };
    const uint64_t part = UINT64_C(1) << 62;
    const double sigma = sqrt(DRAWS * (1.0 / 3) * (2.0 / 3));
    int hits[3] = {0};
    struct rt_rng r;

    (void)state;
    rt_rng_init(&r, 6, RT_RNG_TOOLS, 0);
    for (int i = 0; i < DRAWS; i++)
        hits[rt_rng_below(&r, 3 * part) / part]++;
    for (int i = 0; i < 3; i++)
        assert_true(fabs(hits[i] - DRAWS / 3.0) < 5 * sigma);
    /* and modulo 3 the same, where plain multiplication skips every fourth number */
    memset(hits, 0, sizeof hits);
    for (int i = 0; i < DRAWS; i++)
        hits[rt_rng_below(&r, 3 * part) % 3]++;
    for (int i = 0; i < 3; i++)
        assert_true(fabs(hits[i] - DRAWS / 3.0) < 5 * sigma);
}

/* The extreme words of the generator give the extreme numbers, never 1. */
static void unit_is_in_its_interval(void **state)
{
    struct rt_rng r;

    (void)state;
    rt_rng_init(&r, 7, RT_RNG_TOOLS, 0);
    for (int i = 0; i < 100000; i++) {
        double u = rt_rng_unit(&r);
        assert_true(u >= 0.0 && u < 1.0);
        assert_true(u * 0x1p53 == floor(u * 0x1p53));
    }
    r = (struct rt_rng){{0, 0, 0, 1}}; /* s[1] = 0 draws 0 */
    assert_true(rt_rng_unit(&r) == 0.0);
}

static void exponential_of_zero_is_plus_zero(void **state)
{
    struct rt_rng r = {{0, 0, 0, 1}};
    double x = rt_rng_exponential(&r);

    (void)state;
    assert_true(x == 0.0 && !signbit(x));
}

struct moments {
    double mean, variance, third;
};

static struct moments measure(double (*draw)(struct rt_rng *), uint64_t seed, int n)
{
    struct moments m = {0};
    double sum = 0, squares = 0, cubes = 0;
    struct rt_rng r;

    rt_rng_init(&r, seed, RT_RNG_TOOLS, 1);
    for (int i = 0; i < n; i++) {
        double x = draw(&r);
        assert_true(isfinite(x));
        sum += x;
        squares += x * x;
        cubes += x * x * x;
    }
    m.mean = sum / n;
    m.variance = squares / n - m.mean * m.mean;
    m.third = cubes / n;
    return m;
}

static double gamma_tenth(struct rt_rng *r)
{
    return rt_rng_gamma(r, 0.1);
}

static double gamma_one(struct rt_rng *r)
{
    return rt_rng_gamma(r, 1);
}

static double gamma_five_halves(struct rt_rng *r)
{
    return rt_rng_gamma(r, 2.5);
}

static double gamma_million(struct rt_rng *r)
{
    return rt_rng_gamma(r, 1e6);
}

/* The raw moment E x^n of shape k is k (k+1) ... (k+n-1). Bounds: five standard errors. */
static void gamma_has_its_moments(void **state)
{
    enum { N = 200000 };
    static double (*const draws[])(struct rt_rng *) = {gamma_tenth, gamma_one, gamma_five_halves,
                                                       gamma_million};
    static const double shapes[] = {0.1, 1, 2.5, 1e6};

    (void)state;
    for (int i = 0; i < 4; i++) {
        double k = shapes[i], raw[7] = {1};
        struct moments m = measure(draws[i], 20 + (uint64_t)i, N);
        for (int n = 1; n <= 6; n++)
            raw[n] = raw[n - 1] * (k + n - 1);
        assert_true(fabs(m.mean - k) < 5 * sqrt(k / N));
        assert_true(fabs(m.variance - k) < 5 * k * sqrt((2 + 6 / k) / N));
        assert_true(fabs(m.third - raw[3]) < 5 * sqrt((raw[6] - raw[3] * raw[3]) / N));
    }
}

/* Bounds: five standard errors of each moment for n draws of the exact distribution. */
static void distributions_have_their_moments(void **state)
{
    enum { N = 200000 };
    const double root = sqrt((double)N);
    struct moments m;

    (void)state;
    m = measure(rt_rng_unit, 11, N);
    assert_true(fabs(m.mean - 0.5) < 5 * sqrt(1.0 / 12) / root);
    assert_true(fabs(m.variance - 1.0 / 12) < 5 * sqrt(1.0 / 180) / root);
    m = measure(rt_rng_exponential, 12, N);
    assert_true(fabs(m.mean - 1) < 5 * 1.0 / root);
    assert_true(fabs(m.variance - 1) < 5 * sqrt(8.0) / root);
    assert_true(fabs(m.third - 6) < 5 * sqrt(720.0 - 36.0) / root);
    m = measure(rt_rng_normal, 13, N);
    assert_true(fabs(m.mean) < 5 * 1.0 / root);
    assert_true(fabs(m.variance - 1) < 5 * sqrt(2.0) / root);
    assert_true(fabs(m.third) < 5 * sqrt(15.0) / root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(xoshiro_reference),
        cmocka_unit_test(seeding_reference),
        cmocka_unit_test(streams_differ),
        cmocka_unit_test(below_stays_below),
        cmocka_unit_test(below_has_no_bias),
        cmocka_unit_test(unit_is_in_its_interval),
        cmocka_unit_test(exponential_of_zero_is_plus_zero),
        cmocka_unit_test(distributions_have_their_moments),
        cmocka_unit_test(gamma_has_its_moments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
