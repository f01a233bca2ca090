/* Scaling policies, tick by tick, against numbers worked out by hand; and the table itself. */
#include "rooftrace/scaler.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

static const struct rt_scaler_policy *policy(const char *name)
{
    for (unsigned i = 0; i < rt_scaler_count(); i++)
        if (strcmp(rt_scaler_at(i)->name, name) == 0)
            return rt_scaler_at(i);
    fail_msg("no policy %s", name);
    return NULL;
}

static void defaults(double *params)
{
    for (unsigned i = 0; i < RT_SCALER_PARAM_COUNT; i++)
        params[i] = rt_scaler_params[i].otherwise;
}

/* Names differ, the first is the trivial one, and a policy that ticks has a function and an
 * interval. */
static void table_is_sound(void **state)
{
    (void)state;
    assert_string_equal(rt_scaler_at(0)->name, "fixed");
    for (unsigned i = 0; i < rt_scaler_count(); i++) {
        const struct rt_scaler_policy *p = rt_scaler_at(i);
        assert_true(p->ticks == (p->wanted != NULL));
        assert_true(p->ticks == ((p->params >> RT_SCALER_INTERVAL & 1) != 0));
        assert_true(!p->has_schedule || !p->ticks);
        assert_true(strlen(p->help) > 10);
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(p->name, rt_scaler_at(k)->name);
    }
}

static void spreads_with_tolerance(void **state)
{
    (void)state;
    assert_int_equal(rt_scaler_spread(0, 4, 0.1, 3), 0);
    assert_int_equal(rt_scaler_spread(12, 4, 0.1, 3), 3);
    assert_int_equal(rt_scaler_spread(13, 4, 0.1, 3), 3); /* 13/12 is within 10 % */
    assert_int_equal(rt_scaler_spread(13, 4, 0, 3), 4);
    assert_int_equal(rt_scaler_spread(14, 4, 0.1, 3), 4);
    assert_int_equal(rt_scaler_spread(11, 4, 0.1, 3), 3);
    assert_int_equal(rt_scaler_spread(1, 4, 0.1, 0), 1);
    assert_int_equal(rt_scaler_spread(0, 4, 0.1, 0), 0);
    assert_int_equal(rt_scaler_spread(1e300, 1e-3, 0, 1), 1000000);
}

static void queue_depth_counts_all(void **state)
{
    const struct rt_scaler_policy *p = policy("queue_depth");
    double params[RT_SCALER_PARAM_COUNT];
    struct rt_scaler_view v = {.current = 2, .ready = 1, .requests = 9, .held = 4};
    (void)state;
    defaults(params);
    params[RT_SCALER_TARGET_REQUESTS] = 4;
    assert_int_equal(p->wanted(NULL, params, &v), 4);
    v.held = 0;
    v.requests = 8;
    assert_int_equal(p->wanted(NULL, params, &v), 2);
    v.requests = 0;
    assert_int_equal(p->wanted(NULL, params, &v), 0);
}

static void shares_are_of_those_ready(void **state)
{
    const struct rt_scaler_policy *use = policy("utilisation"), *kv = policy("kv_use");
    double params[RT_SCALER_PARAM_COUNT];
    struct rt_scaler_view v = {.current = 4, .ready = 4, .busy_share = 0.9, .kv_share = 0.3};
    (void)state;
    defaults(params);
    params[RT_SCALER_TARGET_SHARE] = 0.6;
    assert_int_equal(use->wanted(NULL, params, &v), 6); /* 4 * 0.9 / 0.6 */
    assert_int_equal(kv->wanted(NULL, params, &v), 2);
    v.busy_share = 0.63;
    assert_int_equal(use->wanted(NULL, params, &v), 4); /* within 10 % */
    v.current = 5; /* one is starting: it is not measured yet, and enough */
    v.busy_share = 0.7;
    assert_int_equal(use->wanted(NULL, params, &v), 5);
    v.busy_share = 0.2;
    assert_int_equal(use->wanted(NULL, params, &v), 2);
    v.ready = 0; /* nothing to measure */
    assert_int_equal(use->wanted(NULL, params, &v), 5);
}

struct predictive {
    const struct rt_scaler_policy *policy;
    double params[RT_SCALER_PARAM_COUNT];
    void *past;
};

/* Ticks of interval_s, replicas that serve requests_per_s; a season, unless 0. */
static struct predictive predictive(double interval_s, double requests_per_s, double season_s,
                                    double tolerance)
{
    struct predictive p = {.policy = policy("predictive")};
    p.past = calloc(1, p.policy->state_bytes);
    assert_non_null(p.past);
    defaults(p.params);
    p.params[RT_SCALER_INTERVAL] = interval_s;
    p.params[RT_SCALER_REQUESTS_PER_S] = requests_per_s;
    p.params[RT_SCALER_TOLERANCE] = tolerance;
    if (season_s > 0)
        p.params[RT_SCALER_SEASON] = season_s;
    assert_true(p.policy->init(p.past, p.params));
    return p;
}

static int64_t wanted_at(struct predictive *p, struct rt_scaler_view *v, uint64_t arrivals)
{
    v->arrivals = arrivals;
    return p->policy->wanted(p->past, p->params, v);
}

static void release(struct predictive *p)
{
    p->policy->release(p->past);
    free(p->past);
}

/* A ramp of 2 requests a second each tick: Holt's method finds the trend, and asks for what will be
 * needed when a replica that is started now is ready. */
static void predicts_a_ramp(void **state)
{
    struct predictive p = predictive(10, 1, 0, 0);
    struct rt_scaler_view v = {.interval_s = 10, .startup_s = 30, .current = 1, .ready = 1};
    int64_t wanted = 0;
    (void)state;
    for (uint64_t n = 0; n < 60; n++)
        wanted = wanted_at(&p, &v, 20 * n);
    /* the rate is 118 now, and 126 four ticks from now */
    assert_in_range(wanted, 125, 127);
    for (int n = 0; n < 60; n++)
        wanted = wanted_at(&p, &v, 0);
    assert_int_equal(wanted, 0);
    release(&p);
}

/* The first tick: level 6, no trend. The second, nothing: level 3, trend -0.6, and two ticks ahead
 * 1.8. */
static void smooths_by_hand(void **state)
{
    struct predictive p = predictive(1, 0.3, 0, 0.1);
    struct rt_scaler_view v = {.interval_s = 1, .startup_s = 1, .current = 0};
    (void)state;
    assert_int_equal(wanted_at(&p, &v, 6), 20);
    assert_int_equal(wanted_at(&p, &v, 0), 6);
    release(&p);
}

/* A burst every 10 ticks, of one tick: a season before it is known. */
static void remembers_a_season(void **state)
{
    struct predictive p = predictive(1, 1, 10, 0.1);
    struct rt_scaler_view v = {.interval_s = 1, .startup_s = 2, .current = 0};
    (void)state;
    for (int n = 0; n < 40; n++) {
        int64_t wanted = wanted_at(&p, &v, n % 10 == 0 ? 50 : 0);
        if (n >= 10 && n % 10 == 7) /* three ticks before the burst */
            assert_int_equal(wanted, 50);
        if (n >= 10 && n % 10 == 6)
            assert_true(wanted < 5);
    }
    release(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_sound),         cmocka_unit_test(spreads_with_tolerance),
        cmocka_unit_test(queue_depth_counts_all), cmocka_unit_test(shares_are_of_those_ready),
        cmocka_unit_test(predicts_a_ramp),        cmocka_unit_test(smooths_by_hand),
        cmocka_unit_test(remembers_a_season),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
