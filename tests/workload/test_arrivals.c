/* Drawn arrivals: the inverse of a rate's integral against profiles worked out by hand and against
 * a plain integral over random profiles; mean, spread and independence of the gaps; all at once;
 * equal seeds. With burstiness inf the k-th request comes when the integral reaches k, so the times
 * alone show the inverse. */
#include "sim/array_source.h"
#include "support/test.h"

#include "rooftrace/load.h"
#include "rooftrace/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS 1e9

/* The times of `count` requests under this load; requests keep their order and ids. */
static int64_t *draw(const struct rt_load_spec *l, size_t count, uint64_t seed)
{
    struct rt_request *requests = calloc(count, sizeof *requests);
    int64_t *times = calloc(count, sizeof *times);
    assert_non_null(requests);
    assert_non_null(times);
    for (size_t i = 0; i < count; i++) /* the trace's times do not matter */
        requests[i] = (struct rt_request){
            .id = i, .arrival_ns = (int64_t)i * 7, .prompt_tokens = 1, .output_tokens = 1};
    struct array_load load = {.requests = requests, .count = count};
    struct rt_source *s = array_source_new(&load);
    struct rt_err err = {0};
    assert_ok(rt_load_wrap(l, seed, &s, &err), &err);
    int64_t now_ns = 0;
    for (size_t i = 0; i < count;) {
        struct rt_request r;
        int64_t later_ns = -1;
        enum rt_pull answer = rt_source_next(s, now_ns, &r, &later_ns, &err);
        if (answer == RT_PULL_LATER) {
            assert_true(later_ns > now_ns);
            now_ns = later_ns;
            continue;
        }
        assert_int_equal(answer, RT_PULL_REQUEST);
        assert_int_equal(r.id, i);
        assert_int_equal(r.arrival_ns, now_ns); /* neither earlier nor later than told */
        assert_false(rt_source_done(s, r.id, now_ns).ask_again);
        times[i++] = r.arrival_ns;
    }
    struct rt_request none;
    int64_t never;
    assert_int_equal(rt_source_next(s, INT64_MAX, &none, &never, &err), RT_PULL_END);
    assert_int_equal(rt_source_stats(s)->rows, count);
    rt_source_free(s);
    free(requests);
    return times;
}

static struct rt_load_spec load_of(struct rt_rate_spec profile)
{
    struct rt_load_spec l;
    rt_load_init(&l);
    l.arrivals = RT_ARRIVALS_PROFILE;
    l.profile = profile;
    l.burstiness = HUGE_VAL;
    return l;
}

static void check_times(const struct rt_load_spec *l, const double *want_s, size_t count)
{
    int64_t *times = draw(l, count, 1);
    for (size_t i = 0; i < count; i++)
        if (llabs(times[i] - llrint(want_s[i] * SECOND_NS)) > 1)
            fail_msg("request %zu: %lld ns, expected %.9f s", i, (long long)times[i], want_s[i]);
    free(times);
}

static void constant_rate(void **state)
{
    (void)state;
    struct rt_load_spec l;
    rt_load_init(&l);
    l.arrivals = RT_ARRIVALS_RATE;
    l.request_rate = 4;
    l.burstiness = HUGE_VAL;
    check_times(&l, (const double[]){0.25, 0.5, 0.75, 1, 1.25}, 5);
}

static void by_hand(void **state)
{
    (void)state;
    struct rt_rate_point steps[] = {{0, 2}, {2, 0}, {5, 4}};
    struct rt_load_spec l =
        load_of((struct rt_rate_spec){.shape = RT_RATE_STEPS, .points = steps, .point_count = 3});
    /* the integral is 4 at 2 s, stands still until 5 s, and goes on with 4 a second for ever */
    check_times(&l, (const double[]){0.5, 1, 1.5, 2, 5.25, 5.5, 5.75, 6, 6.25}, 9);
    l.profile.period_s = 5.5; /* 6 a period; the last of a period comes at its end */
    check_times(&l, (const double[]){0.5, 1, 1.5, 2, 5.25, 5.5, 6, 6.5, 7, 7.5, 10.75, 11, 11.5},
                13);

    struct rt_rate_point ramp[] = {{0, 0}, {10, 2}}; /* t^2 / 10, then 10 + 2 (t - 10) */
    l = load_of((struct rt_rate_spec){.shape = RT_RATE_LINEAR, .points = ramp, .point_count = 2});
    check_times(&l,
                (const double[]){sqrt(10), sqrt(20), sqrt(30), sqrt(40), sqrt(50), sqrt(60),
                                 sqrt(70), sqrt(80), sqrt(90), 10, 10.5, 11},
                12);
    struct rt_rate_point down[] = {{0, 2}, {4, 0}, {6, 1}}; /* 2t - t^2/4; 4 + (t-4)^2/4; 5 + ... */
    l = load_of((struct rt_rate_spec){.shape = RT_RATE_LINEAR, .points = down, .point_count = 3});
    check_times(&l, (const double[]){4 - sqrt(12), 4 - sqrt(8), 4 - sqrt(4), 4, 6, 7, 8}, 7);

    l = load_of((struct rt_rate_spec){.shape = RT_RATE_ON_OFF, .rate = 3, .on_s = 1, .off_s = 9});
    check_times(&l, (const double[]){1. / 3, 2. / 3, 1, 10 + 1. / 3, 10 + 2. / 3, 11, 20 + 1. / 3},
                7);
    l.profile.off_rate = 1. / 9; /* 4 in 10 s */
    check_times(&l, (const double[]){1. / 3, 2. / 3, 1, 10, 10 + 1. / 3, 10 + 2. / 3, 11, 20}, 8);
}

static double diurnal(const struct rt_rate_spec *p, double t)
{
    double w = 2 * acos(-1) / p->period_s;
    return p->rate * (t + p->amplitude / w * (sin(w * (t - p->peak_s)) + sin(w * p->peak_s)));
}

static void waves(void **state)
{
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        struct rt_rate_spec p = {.shape = RT_RATE_DIURNAL,
                                 .rate = kind == 3 ? 0.7 : 25,
                                 .period_s = kind == 1 ? 86400 : 60,
                                 .amplitude = kind == 2 ? 1 : 0.8,
                                 .peak_s = kind == 0 ? 0 : 17};
        struct rt_load_spec l = load_of(p);
        enum { COUNT = 20000 };
        int64_t *times = draw(&l, COUNT, 1);
        for (size_t i = 0; i < COUNT; i++) {
            double t = (double)times[i] / SECOND_NS, error = diurnal(&p, t) - (double)(i + 1);
            assert_true(i == 0 || times[i] > times[i - 1]);
            assert_true(fabs(error) < 1e-6); /* 1 ns is 45e-9 requests, doubles carry 4e-12 */
        }
        free(times);
    }
    struct rt_load_spec flat = load_of(
        (struct rt_rate_spec){.shape = RT_RATE_DIURNAL, .rate = 4, .period_s = 1, .amplitude = 0});
    check_times(&flat, (const double[]){0.25, 0.5, 0.75, 1, 1.25}, 5);
}

/* The integral by walking along the points. */
static double walk(const struct rt_rate_spec *p, double until_s)
{
    double area = 0, at = 0;
    for (uint32_t i = 0; at < until_s; i = i + 1 < p->point_count ? i + 1 : 0) {
        bool last = i + 1 == p->point_count;
        double end = last ? (p->period_s > 0 ? p->period_s : HUGE_VAL) : p->points[i + 1].from_s;
        double length = end - p->points[i].from_s, part = fmin(length, until_s - at);
        double rate = p->points[i].rate, slope = 0;
        if (p->shape == RT_RATE_LINEAR && !last)
            slope = (p->points[i + 1].rate - rate) / length;
        area += part * (rate + slope * part / 2);
        at += part;
        if (last && p->period_s == 0)
            break;
    }
    return area;
}

/* The draws do not depend on the rate: at rate 1 the times are the integral to be reached. */
static void random_profiles(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    struct rt_rng rng;
    rt_rng_init(&rng, 11, RT_RNG_TOOLS, 0);
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct rt_rate_point points[12];
        struct rt_rate_spec p = {.shape = rt_rng_below(&rng, 2) ? RT_RATE_STEPS : RT_RATE_LINEAR,
                                 .points = points,
                                 .point_count = 1 + (uint32_t)rt_rng_below(&rng, 12)};
        double at = 0;
        for (uint32_t i = 0; i < p.point_count; i++) {
            points[i] =
                (struct rt_rate_point){at, rt_rng_below(&rng, 4) ? 50 * rt_rng_unit(&rng) : 0};
            at += 0.01 + 10 * rt_rng_unit(&rng);
        }
        points[p.point_count - 1].rate += 0.5;
        if (rt_rng_below(&rng, 2))
            p.period_s = at;
        struct rt_load_spec l = load_of(p), one;
        rt_load_init(&one);
        one.arrivals = RT_ARRIVALS_RATE;
        one.request_rate = 1;
        one.burstiness = l.burstiness = 0.1 + 3 * rt_rng_unit(&rng);
        int64_t *times = draw(&l, COUNT, seed), *areas = draw(&one, COUNT, seed);
        for (size_t i = 0; i < COUNT; i++) {
            double area = walk(&p, (double)times[i] / SECOND_NS);
            if (fabs(area - (double)areas[i] / SECOND_NS) > 2e-7) /* 1 ns at 50 a second, twice */
                fail_msg("seed %llu, request %zu: %.9f, expected %.9f", (unsigned long long)seed, i,
                         area, (double)areas[i] / SECOND_NS);
        }
        free(times);
        free(areas);
    }
}

/* Gaps of gamma shape k: mean 1/rate, CV 1/sqrt(k). The bounds are five standard errors: of the
 * mean CV/sqrt(n), of the squared CV about CV^2 sqrt((2 + 6/k)/n). */
static void gaps_have_the_shape(void **state)
{
    (void)state;
    static const double shapes[] = {0.2, 0.5, 1, 2, 10, 400};
    enum { COUNT = 200000 };
    for (size_t c = 0; c < sizeof shapes / sizeof shapes[0]; c++) {
        double k = shapes[c], sum = 0, squares = 0, products = 0, before = 0;
        struct rt_load_spec l;
        rt_load_init(&l);
        l.arrivals = RT_ARRIVALS_RATE;
        l.request_rate = 8.5;
        l.burstiness = k;
        int64_t *times = draw(&l, COUNT, 3 + c);
        for (size_t i = 0; i < COUNT; i++) {
            double gap = 8.5 / SECOND_NS * (double)(times[i] - (i ? times[i - 1] : 0));
            sum += gap;
            squares += gap * gap;
            products += i ? (gap - 1) * (before - 1) : 0;
            before = gap;
        }
        double n = COUNT, mean = sum / n, variance = squares / n - mean * mean;
        double correlation = products / n / variance;
        print_message("burstiness %g: mean %.5f, squared CV %.5f of %.5f, lag 1 %.5f\n", k, mean,
                      variance / mean / mean, 1 / k, correlation);
        assert_true(fabs(mean - 1) < 5 / sqrt(k * n));
        assert_true(fabs(variance * k - 1) < 5 * sqrt((2 + 6 / k) / n));
        assert_true(fabs(correlation) < 5 / sqrt(n) * sqrt(1 + 6 / k));
        free(times);
    }
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Burstiness 1: Kolmogorov-Smirnov against 1 - exp(-x); 1.95 / sqrt(n) is passed with 99.9 %. */
static void one_is_poisson(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    struct rt_load_spec l;
    rt_load_init(&l);
    l.arrivals = RT_ARRIVALS_RATE;
    l.request_rate = 100;
    int64_t *times = draw(&l, COUNT, 5);
    double *gaps = calloc(COUNT, sizeof *gaps), worst = 0;
    assert_non_null(gaps);
    for (size_t i = 0; i < COUNT; i++)
        gaps[i] = 100 / SECOND_NS * (double)(times[i] - (i ? times[i - 1] : 0));
    qsort(gaps, COUNT, sizeof *gaps, by_value);
    for (size_t i = 0; i < COUNT; i++)
        worst = fmax(worst, fabs((double)i / COUNT - (1 - exp(-gaps[i]))));
    assert_true(worst < 1.95 / sqrt(COUNT));
    free(gaps);
    free(times);
}

static void seeds(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    struct rt_load_spec l;
    rt_load_init(&l);
    l.arrivals = RT_ARRIVALS_RATE;
    l.request_rate = 2;
    l.burstiness = 0.7;
    int64_t *a = draw(&l, COUNT, 5), *b = draw(&l, COUNT, 5), *c = draw(&l, COUNT, 6);
    assert_memory_equal(a, b, COUNT * sizeof *a);
    assert_memory_not_equal(a, c, COUNT * sizeof *a);
    l.request_rate = 4; /* the same draws, twice as dense */
    int64_t *d = draw(&l, COUNT, 5);
    for (size_t i = 0; i < COUNT; i++)
        assert_true(llabs(a[i] - 2 * d[i]) <= 1);
    l.arrivals = RT_ARRIVALS_AT_ONCE;
    int64_t *e = draw(&l, COUNT, 5);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(e[i], 0);
    free(a);
    free(b);
    free(c);
    free(d);
    free(e);
}

/* 292 years are over before the tenth request: an error, not a time that went round. */
static void too_slow(void **state)
{
    (void)state;
    struct rt_request requests[20] = {{.id = 0}};
    struct array_load load = {.requests = requests, .count = 20};
    struct rt_source *s = array_source_new(&load);
    struct rt_load_spec l;
    struct rt_err err = {0};
    struct rt_request r;
    int64_t later_ns;
    enum rt_pull answer = RT_PULL_REQUEST;
    rt_load_init(&l);
    l.arrivals = RT_ARRIVALS_RATE;
    l.request_rate = 1e-9;
    l.burstiness = HUGE_VAL; /* one in 31.7 years */
    assert_ok(rt_load_wrap(&l, 1, &s, &err), &err);
    for (int i = 0; i < 9; i++)
        assert_int_equal(rt_source_next(s, INT64_MAX, &r, &later_ns, &err), RT_PULL_REQUEST);
    answer = rt_source_next(s, INT64_MAX, &r, &later_ns, &err);
    assert_int_equal(answer, RT_PULL_ERROR);
    assert_string_equal(err.msg, "request_rate: an arrival lies beyond 292 years");
    rt_source_free(s);
}

/* What rt_load_parse refuses, as a program might hand it over. */
static void wrong_specs(void **state)
{
    (void)state;
    struct rt_rate_point points[] = {{0, 1}, {1, 1}};
    for (int i = 0; i < 5; i++) {
        struct array_load load = {.count = 0};
        struct rt_source *s = array_source_new(&load);
        struct rt_err err = {0};
        struct rt_load_spec l = load_of(
            (struct rt_rate_spec){.shape = RT_RATE_STEPS, .points = points, .point_count = 2});
        points[1] = (struct rt_rate_point){i == 0 ? 0 : 1, i == 1 ? 0 : 1};
        if (i == 2)
            l.max_concurrency = -1;
        if (i == 3)
            l.burstiness = (double)NAN;
        if (i == 4) {
            l.arrivals = RT_ARRIVALS_RATE;
            l.request_rate = 0;
        }
        assert_false(rt_load_wrap(&l, 1, &s, &err));
        assert_int_equal(err.code, RT_ECONFIG);
        assert_null(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_rate),  cmocka_unit_test(by_hand),
        cmocka_unit_test(waves),          cmocka_unit_test(random_profiles),
        cmocka_unit_test(one_is_poisson), cmocka_unit_test(gaps_have_the_shape),
        cmocka_unit_test(seeds),          cmocka_unit_test(too_slow),
        cmocka_unit_test(wrong_specs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
