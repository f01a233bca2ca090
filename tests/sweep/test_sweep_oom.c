/* Out of memory in a plan, a whole sweep, and a merge: allocations fail from the n-th on, for
 * rising n until all goes through. The answer is RT_ENOMEM, nothing leaks (asan looks), and the
 * database of a sweep that was cut short is gone on with. */
#include "sweep_fixture.h"

#include "rooftrace/campaign.h"
#include "rooftrace/merge.h"
#include "support/failing_alloc.h"

#include <cjson/cJSON.h>

static const char plan_text[] =
    "{\"scenario\":{\"workload\":{\"trace\":\"trace.csv\",\"max_requests\":20},"
    "\"model\":\"llama-3.1-8b\",\"cost\":{\"kind\":\"linear\",\"coefficients_s\":[0.005,0,0,0,0]},"
    "\"pools\":[{\"name\":\"p\",\"gpu\":\"h100-sxm\",\"engine\":{\"num_gpu_blocks\":500}}]},"
    "\"list\":[{},{\"slo.ttft_s\":1}],\"grid\":{\"pools[0].replicas\":[1,2]},"
    "\"random\":{\"count\":1,\"keys\":{\"workload.rate_scale\":{\"uniform\":[1,2]},"
    "\"slo.tpot_s\":{\"choice\":[1]}}},\"repeats\":1}";

static void write_plan(const struct fixture *f, char path[96])
{
    snprintf(path, 96, "%s/plan.json", f->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(plan_text, file);
    assert_int_equal(fclose(file), 0);
}

static bool whole_plan(const struct fixture *f, const char *path, struct rt_err *err)
{
    struct rt_plan *plan;

    if (!rt_plan_load(path, f->catalog, &plan, err))
        return false;
    assert_int_equal(rt_plan_trials(plan), 4);
    rt_plan_free(plan);
    return true;
}

static void plans(void **state)
{
    cJSON_Hooks failing = {failing_alloc, free}, usual = {NULL, NULL};
    char path[96];
    bool ok = false;
    long n;

    write_plan(*state, path);
    cJSON_InitHooks(&failing);
    for (n = 0; !ok; n += 1 + n / 100) {
        struct rt_err err = {0};
        failing_alloc_after(n);
        ok = whole_plan(*state, path, &err);
        failing_alloc_after(-1);
        assert_int_equal(err.code, ok ? RT_OK : RT_ENOMEM);
    }
    cJSON_InitHooks(&usual);
    assert_true(n > 300);
}

static bool whole_campaign(const struct fixture *f, const struct rt_plan *plan, struct rt_err *err)
{
    struct rt_campaign_options o = {
        .output = f->db, .jobs = 2, .shards = 1, .requests = true, .trace_bytes = 1 << 20};
    struct rt_campaign_progress p;
    struct rt_campaign *c;
    enum rt_campaign_answer answer = RT_CAMPAIGN_MORE;

    if (!rt_campaign_new(plan, &o, &c, err))
        return false;
    while (answer == RT_CAMPAIGN_MORE)
        answer = rt_campaign_step(c, -1, &p, err);
    rt_campaign_free(c);
    if (answer == RT_CAMPAIGN_DONE) {
        assert_int_equal(p.failed, 0);
        assert_int_equal(p.skipped + p.done, 4);
    }
    return answer == RT_CAMPAIGN_DONE;
}

static void campaigns(void **state)
{
    struct fixture *f = *state;
    struct rt_plan *plan;
    struct rt_err err = {0};
    char path[96];
    bool ok = false;
    long n;

    write_plan(f, path);
    assert_ok(rt_plan_load(path, f->catalog, &plan, &err), &err);
    for (n = 0; !ok; n += 1 + n / 16) {
        (void)remove(f->db);
        failing_alloc_after(n);
        ok = whole_campaign(f, plan, &err);
        failing_alloc_after(-1);
        if (!ok && err.code != RT_ENOMEM)
            fail_msg("after %ld allocations: %s", n, err.msg);
        err.code = RT_OK;
        if (!ok)
            assert_ok(whole_campaign(f, plan, &err), &err); /* goes on */
    }
    assert_true(n > 200);
    rt_plan_free(plan);
}

static void merging(void **state)
{
    struct fixture *f = *state;
    struct rt_plan *plan;
    struct rt_merge_report report;
    struct rt_err err = {0};
    char path[96], out[96];
    const char *shards[] = {f->db};
    bool ok = false;
    long n;

    write_plan(f, path);
    snprintf(out, sizeof out, "%s/merged.db", f->folder);
    assert_ok(rt_plan_load(path, f->catalog, &plan, &err), &err);
    assert_ok(whole_campaign(f, plan, &err), &err);
    rt_plan_free(plan);
    for (n = 0; !ok; n++) {
        failing_alloc_after(n);
        ok = rt_merge(out, shards, 1, &report, &err);
        failing_alloc_after(-1);
        if (!ok && err.code != RT_ENOMEM)
            fail_msg("after %ld allocations: %s", n, err.msg);
        assert_int_equal(access(out, F_OK) == 0, ok); /* a failure leaves nothing */
    }
    assert_int_equal(report.merged, 4);
    assert_true(n > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plans, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(campaigns, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(merging, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
