/* Out of memory in a sizing plan and in a whole sizing: allocations fail from the n-th on, for
 * rising n until all goes through. The answer is RT_ENOMEM and nothing leaks (asan looks). */
#include "sweep_fixture.h"

#include "rooftrace/size.h"
#include "support/failing_alloc.h"

#include <cjson/cJSON.h>

static const char plan_text[] =
    "{\"scenario\":{\"workload\":{\"trace\":\"trace.csv\",\"max_requests\":60},"
    "\"model\":\"llama-3.1-8b\",\"cost\":{\"kind\":\"linear\",\"coefficients_s\":[0.005,0,0,0,0]},"
    "\"pools\":[{\"name\":\"p\",\"engine\":{\"num_gpu_blocks\":500}}]},"
    "\"objectives\":[\"p50_ttft:200ms\",\"share50_ttft:1s+tpot:1s@chat\"],"
    "\"gpus\":[\"h100-sxm\",\"l40s\"],\"settings\":[{\"name\":\"a\",\"pool\":{\"engine\":"
    "{\"max_num_seqs\":4}}}],\"candidates\":[{\"name\":\"b\",\"pool\":{\"gpu\":\"a40\"},"
    "\"price_usd_per_h\":1}],\"replicas\":[1,2]}";

static bool parse(const struct fixture *f, struct rt_size_plan *plan, struct rt_err *err)
{
    char name[128];
    struct rt_json *doc;
    bool ok;

    snprintf(name, sizeof name, "%s/plan.json", f->folder);
    if (!rt_json_parse(plan_text, strlen(plan_text), name, &doc, err))
        return false;
    struct rt_json_at root = rt_json_root(doc);
    ok = rt_size_plan_parse(&root, NULL, f->catalog, plan, err);
    rt_json_free(doc);
    return ok;
}

static void plans(void **state)
{
    cJSON_Hooks failing = {failing_alloc, free}, usual = {NULL, NULL};
    bool ok = false;
    long n;

    cJSON_InitHooks(&failing);
    for (n = 0; !ok; n += 1 + n / 50) {
        struct rt_size_plan plan;
        struct rt_err err = {0};
        failing_alloc_after(n);
        ok = parse(*state, &plan, &err);
        failing_alloc_after(-1);
        if (!ok && err.code != RT_ENOMEM)
            fail_msg("after %ld allocations: %s", n, err.msg);
        if (ok)
            rt_size_plan_release(&plan);
    }
    cJSON_InitHooks(&usual);
    assert_true(n > 100);
}

static bool whole(const struct rt_size_plan *plan, const char *db, struct rt_err *err)
{
    struct rt_size_options o = {.jobs = 2};
    struct rt_size_progress p;
    struct rt_size *s = NULL;
    enum rt_size_step step = RT_SIZE_MORE;
    bool ok = rt_store_open(db, &o.store, err) && rt_size_new(plan, &o, &s, err);

    while (ok && step == RT_SIZE_MORE)
        step = rt_size_step(s, -1, &p, err);
    rt_size_free(s);
    if (o.store)
        rt_store_close(o.store);
    return ok && step == RT_SIZE_DONE;
}

static void sizings(void **state)
{
    struct fixture *f = *state;
    struct rt_size_plan plan;
    struct rt_err err = {0};
    bool ok = false;
    long n;

    assert_ok(parse(f, &plan, &err), &err);
    for (n = 0; !ok; n += 1 + n / 10) {
        (void)remove(f->db);
        failing_alloc_after(n);
        ok = whole(&plan, f->db, &err);
        failing_alloc_after(-1);
        if (!ok && err.code != RT_ENOMEM)
            fail_msg("after %ld allocations: %s", n, err.msg);
        err = (struct rt_err){0};
    }
    assert_true(n > 200);
    rt_size_plan_release(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plans, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(sizings, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
