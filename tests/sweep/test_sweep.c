/* Trials on several threads: the same figures as alone, early ends, failures, a shared store. */
#include "rooftrace/finished.h"
#include "sweep_fixture.h"

#include "rooftrace/query.h"
#include "rooftrace/sweep.h"

#include <math.h>

#define TRIALS 12

struct figures {
    uint64_t finished, steps, with_class;
    int64_t end_ns;
    double p99_ttft, mean_tpot;
    bool seen;
};

static void read_figures(struct rt_trial *t, struct figures *out)
{
    struct rt_metrics_result m;
    struct rt_err err = {0};
    struct rt_sim_totals totals = rt_sim_totals(rt_trial_sim(t));

    assert_false(out->seen);
    assert_ok(rt_trial_metrics(t, &m, &err), &err);
    *out = (struct figures){
        .finished = totals.finished, .steps = totals.steps, .end_ns = totals.now_ns, .seen = true};
    for (size_t i = 0; i < m.row_count; i++) {
        const struct rt_metric_row *r = &m.rows[i];
        if (r->class_name == RT_NO_NAME && r->metric == RT_METRIC_TTFT)
            out->p99_ttft = r->p99;
        if (r->class_name == RT_NO_NAME && r->metric == RT_METRIC_TPOT)
            out->mean_tpot = r->mean;
        if (r->class_name != RT_NO_NAME && r->metric == RT_METRIC_E2E)
            out->with_class += r->count;
    }
}

/* Trials 0 to TRIALS - 1 with 1, 2, 3, 1, ... replicas; *concurrent: most that were given over. */
static void run_all(struct fixture *f, unsigned jobs, struct figures out[TRIALS])
{
    struct rt_scenario scenarios[TRIALS];
    struct rt_sweep *s;
    struct rt_sweep_result r;
    struct rt_err err = {0};
    unsigned results = 0;

    memset(out, 0, TRIALS * sizeof out[0]);
    assert_ok(rt_sweep_new(jobs, &s, &err), &err);
    for (int i = 0; i < TRIALS; i++) {
        fixture_scenario(f, 1 + i % 3, "", &scenarios[i]);
        struct rt_sweep_job job = {.scenario = &scenarios[i], .user = &out[i]};
        assert_ok(rt_sweep_add(s, &job, &err), &err);
    }
    assert_int_equal(rt_sweep_pending(s), TRIALS);
    while (rt_sweep_next(s, -1, &r) == RT_SWEEP_RESULT) {
        assert_int_equal(r.end, RT_SWEEP_DONE);
        read_figures(r.trial, r.user);
        rt_trial_free(r.trial);
        results++;
    }
    assert_int_equal(results, TRIALS);
    assert_int_equal(rt_sweep_pending(s), 0);
    rt_sweep_free(s);
    for (int i = 0; i < TRIALS; i++)
        rt_scenario_release(&scenarios[i]);
}

static void threads_change_nothing(void **state)
{
    struct figures one[TRIALS], four[TRIALS];

    run_all(*state, 1, one);
    run_all(*state, 4, four);
    for (int i = 0; i < TRIALS; i++) {
        assert_int_equal(one[i].finished, 600);
        assert_int_equal(one[i].with_class, 600);
        assert_true(one[i].p99_ttft > 0 && one[i].mean_tpot > 0);
        assert_memory_equal(&one[i], &four[i], sizeof one[i]);
        assert_memory_equal(&one[i], &one[i % 3], sizeof one[i]); /* equal scenarios */
    }
    assert_true(one[2].p99_ttft < one[0].p99_ttft);
}

static bool enough_after(void *user, const struct rt_finished *rows, size_t count)
{
    size_t *left = user;

    for (size_t i = 0; i < count; i++)
        assert_int_equal(rows[i].status, RT_STATUS_OK);
    *left -= count < *left ? count : *left;
    return *left > 0;
}

static void watch_stops_early(void **state)
{
    struct rt_scenario scenario;
    struct rt_sweep *s;
    struct rt_sweep_result r;
    struct rt_err err = {0};
    size_t left = 200;

    fixture_scenario(*state, 1, "", &scenario);
    struct rt_sweep_job job = {
        .scenario = &scenario,
        .options = {.watch = enough_after, .user = &left, .chunk_rows = 50},
    };
    assert_ok(rt_sweep_new(2, &s, &err), &err);
    assert_ok(rt_sweep_add(s, &job, &err), &err);
    assert_int_equal(rt_sweep_next(s, -1, &r), RT_SWEEP_RESULT);
    assert_int_equal(r.end, RT_SWEEP_STOPPED);
    assert_in_range(rt_sim_totals(rt_trial_sim(r.trial)).finished, 200, 350);
    rt_trial_free(r.trial);
    assert_int_equal(rt_sweep_next(s, -1, &r), RT_SWEEP_IDLE);
    rt_sweep_free(s);
    rt_scenario_release(&scenario);
}

static void failures_are_results(void **state)
{
    struct fixture *f = *state;
    struct rt_scenario good, lost;
    struct rt_sweep *s;
    struct rt_sweep_result r;
    struct rt_err err = {0};
    int done = 0, failed = 0;

    fixture_scenario(f, 1, "", &good);
    fixture_scenario(f, 1, "", &lost);
    free(lost.workload.trace);
    lost.workload.trace = strdup("/nonexistent/trace.csv");
    const struct rt_sweep_job jobs[] = {{.scenario = &lost}, {.scenario = &good}};
    assert_ok(rt_sweep_new(1, &s, &err), &err);
    for (int i = 0; i < 2; i++)
        assert_ok(rt_sweep_add(s, &jobs[i], &err), &err);
    while (rt_sweep_next(s, -1, &r) == RT_SWEEP_RESULT) {
        done += r.end == RT_SWEEP_DONE;
        if (r.end == RT_SWEEP_FAILED) {
            failed++;
            assert_null(r.trial);
            assert_non_null(strstr(r.err.msg, "/nonexistent/trace.csv"));
        }
        rt_trial_free(r.trial);
    }
    assert_int_equal(done, 1);
    assert_int_equal(failed, 1);
    rt_sweep_free(s);
    rt_scenario_release(&good);
    rt_scenario_release(&lost);
}

static void cancelled_trials_have_results(void **state)
{
    struct rt_scenario scenario;
    struct rt_sweep *s;
    struct rt_sweep_result r;
    struct rt_err err = {0};
    int results = 0;

    fixture_scenario(*state, 1, "", &scenario);
    scenario.workload.repeat = 10000; /* minutes of work, unless it is cancelled */
    struct rt_sweep_job job = {.scenario = &scenario};
    assert_ok(rt_sweep_new(2, &s, &err), &err);
    for (int i = 0; i < 5; i++)
        assert_ok(rt_sweep_add(s, &job, &err), &err);
    if (rt_sweep_next(s, 20, &r) != RT_SWEEP_WAIT)
        fail_msg("ended at once: %d %s", r.end, r.err.msg);
    rt_sweep_cancel(s);
    while (rt_sweep_next(s, -1, &r) == RT_SWEEP_RESULT) {
        assert_int_equal(r.end, RT_SWEEP_CANCELLED);
        rt_trial_free(r.trial);
        results++;
    }
    assert_int_equal(results, 5);
    for (int i = 0; i < 3; i++) /* and freeing cancels, too */
        assert_ok(rt_sweep_add(s, &job, &err), &err);
    rt_sweep_free(s);
    rt_scenario_release(&scenario);
}

static void one_store_for_all(void **state)
{
    struct fixture *f = *state;
    struct rt_scenario scenario;
    struct rt_store *store;
    struct rt_sweep *s;
    struct rt_sweep_result r;
    struct rt_run_summary sum;
    struct rt_db *db;
    struct rt_err err = {0};

    fixture_scenario(f, 2, "", &scenario);
    assert_ok(rt_store_open(f->db, &store, &err), &err);
    assert_ok(rt_sweep_new(3, &s, &err), &err);
    for (int64_t i = 7; i >= 1; i--) {
        struct rt_sweep_job job = {
            .scenario = &scenario,
            .options =
                {.store = store,
                 .discard_rows = true,
                 .of_plan = {.run_id = i, .plan_hash = "x", .plan_trials = 7, .varied = "{}"}},
        };
        assert_ok(rt_sweep_add(s, &job, &err), &err);
    }
    while (rt_sweep_next(s, -1, &r) == RT_SWEEP_RESULT) {
        assert_int_equal(r.end, RT_SWEEP_DONE);
        rt_trial_free(r.trial);
    }
    rt_sweep_free(s);
    rt_store_close(store);
    assert_ok(rt_db_open(f->db, &db, &err), &err);
    for (int64_t i = 1; i <= 7; i++) {
        assert_ok(rt_db_summary(db, i, &sum, &err), &err);
        assert_string_equal(sum.status, "complete");
        assert_int_equal(sum.completed, 600);
    }
    assert_fails(rt_db_summary(db, 8, &sum, &err), &err, RT_EUSAGE, "no run 8");
    rt_db_close(db);
    rt_scenario_release(&scenario);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(threads_change_nothing, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(watch_stops_early, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(failures_are_results, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(cancelled_trials_have_results, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(one_store_for_all, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
