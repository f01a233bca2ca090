/* Runs with a place in a plan: numbers that are given, runs that fail without figures, a store that
 * goes on. */
#include "fixture.h"

static const struct rt_run_of_plan third = {
    .run_id = 3, .plan_hash = "abc", .plan_trials = 5, .varied = "{\"seed\":3}"};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    struct rt_finished_list none;

    assert_non_null(f);
    fixture_init(f);
    rt_finished_list_init(&none);
    fixture_rows(f, &none, 0); /* metrics of no request */
    rt_finished_list_release(&none);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_release(*state);
    free(*state);
    return 0;
}

static void begin(struct fixture *f, struct rt_store *s, int64_t number)
{
    struct rt_run_start start = fixture_start(f);
    struct rt_err err = {0};
    int64_t run_id;

    start.of_plan = third;
    start.of_plan.run_id = number;
    assert_ok(rt_store_begin(s, &start, &run_id, &err), &err);
    assert_int_equal(run_id, number);
}

static void end(struct fixture *f, struct rt_store *s, int64_t number)
{
    struct rt_run_end figures = fixture_end(f, 0);
    struct rt_err err = {0};

    assert_ok(rt_store_end(s, number, &figures, &err), &err);
}

static void expect(const struct fixture *f, const char *sql, const char *rows)
{
    char *got = fixture_read(f->db, sql);

    assert_string_equal(got, rows);
    free(got);
}

/* Five runs in every state: complete, failed with figures and without, interrupted, running. */
static void five_runs(struct fixture *f, struct rt_store *s)
{
    struct rt_err err = {0};

    for (int64_t i = 5; i >= 1; i--)
        begin(f, s, i);
    end(f, s, 1);
    assert_ok(rt_store_fail(s, 2, "does not fit", &err), &err);
    struct rt_run_end figures = fixture_end(f, 0);
    figures.status = RT_RUN_INTERRUPTED;
    figures.message = "stopped";
    assert_ok(rt_store_end(s, 3, &figures, &err), &err);
    end(f, s, 5);
}

static void numbers_and_ends(void **state)
{
    struct fixture *f = *state;
    struct rt_store *s;
    struct rt_err err = {0};

    assert_ok(rt_store_open(f->db, &s, &err), &err);
    five_runs(f, s);
    rt_store_close(s);
    expect(f, "SELECT run_id, status, message, requests, plan_hash, plan_trials, varied FROM run",
           "1|complete|NULL|0|abc|5|{\"seed\":3}\n"
           "2|failed|does not fit|NULL|abc|5|{\"seed\":3}\n"
           "3|interrupted|stopped|0|abc|5|{\"seed\":3}\n"
           "4|failed|the program stopped before the end of the run|NULL|abc|5|{\"seed\":3}\n"
           "5|complete|NULL|0|abc|5|{\"seed\":3}\n");
    expect(f, "SELECT DISTINCT run_id FROM pool", "1\n2\n3\n4\n5\n");
}

static void what_is_not_complete_goes(void **state)
{
    struct fixture *f = *state;
    struct rt_store *s;
    struct rt_err err = {0};
    bool complete[5] = {false};
    static const char *const tables[] = {"run",       "pool",   "replica",       "sample",
                                         "step_time", "metric", "itl_histogram", "slo"};

    assert_ok(rt_store_open(f->db, &s, &err), &err);
    five_runs(f, s);
    rt_store_close(s);
    assert_ok(rt_store_open(f->db, &s, &err), &err);
    assert_ok(rt_store_resume(s, "abc", 5, complete, &err), &err);
    assert_true(complete[0] && !complete[1] && !complete[2] && !complete[3] && complete[4]);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        char sql[96];
        snprintf(sql, sizeof sql, "SELECT DISTINCT run_id FROM %s ORDER BY 1", tables[i]);
        expect(f, sql, "1\n5\n");
    }
    begin(f, s, 3); /* its number is free again */
    end(f, s, 3);
    rt_store_close(s);
    expect(f, "SELECT group_concat(run_id) FROM run", "1,3,5\n");
}

static void another_plan_is_left_alone(void **state)
{
    static const struct {
        const char *hash;
        int64_t trials;
    } others[] = {{"abd", 5}, {"abc", 6}, {"abc", 4}, {"", 5}};
    struct fixture *f = *state;
    bool complete[6] = {false};

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct rt_store *s;
        struct rt_err err = {0};
        assert_ok(rt_store_open(f->db, &s, &err), &err);
        if (i == 0)
            five_runs(f, s);
        rt_store_close(s);
        assert_ok(rt_store_open(f->db, &s, &err), &err);
        assert_fails(rt_store_resume(s, others[i].hash, others[i].trials, complete, &err), &err,
                     RT_EDB, "run 1 is not of this plan");
        rt_store_close(s);
        expect(f, "SELECT count(*) FROM run", "5\n");
    }
}

/* A run without a number gets the next one, as ever. */
static void plain_runs_are_not_of_a_plan(void **state)
{
    struct fixture *f = *state;
    struct rt_store *s;
    struct rt_err err = {0};
    bool complete[5] = {false};

    assert_ok(rt_store_open(f->db, &s, &err), &err);
    begin(f, s, 3);
    end(f, s, 3);
    assert_int_equal(fixture_run(f, s, 10), 4);
    assert_fails(rt_store_resume(s, "abc", 5, complete, &err), &err, RT_EDB, "run 4 is not");
    rt_store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_and_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_complete_goes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_plan_is_left_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(plain_runs_are_not_of_a_plan, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
