/* Out of memory: the n-th allocation of building and asking a cost model fails, for every n until
 * all goes through. Each time the answer is RT_ENOMEM and nothing leaks. */
#include "cost_fixture.h"
#include "rooftrace/estimate.h"
#include "support/failing_alloc.h"
#include "support/test.h"

static bool use(const struct rt_cost_inputs *in, struct rt_err *err)
{
    struct rt_estimate_request req = {100, 10, 8};
    struct rt_estimate_step prefill, decode;
    struct rt_estimate e;
    struct rt_cost *c;
    if (!rt_cost_new(in, &c, err)) {
        assert_null(c);
        return false;
    }
    struct rt_step_shape s = fixture_decodes(c, 4, 100);
    assert_true(rt_cost_stage_ns(c, &s) > 0 && rt_cost_step_ns(c, &s) > 0);
    rt_cost_free(c);
    return rt_estimate(in, .9, 16, &req, &e, err) &&
           rt_estimate_explain(in, &req, &prefill, &decode, err);
}

static void test_every_allocation(void **state)
{
    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_deepseek_v3(), 2);
        in.parallel.pipeline = 4;
        in.parallel.data = 2;
        in.parallel.expert = 4;
        in.max_tokens = 64;
        in.spec.speed_of_light = kind == 1;
        in.spec.kind = kind == 2 ? RT_COST_LINEAR : RT_COST_ROOFLINE;
        in.spec.coefficients_s[0] = 1e-3;
        bool done = false;
        long n = 0;
        for (; n < 500 && !done; n++) {
            struct rt_err err = {0};
            failing_alloc_after(n);
            done = use(&in, &err);
            failing_alloc_after(-1);
            assert_true(done || err.code == RT_ENOMEM);
        }
        assert_true(done && n > (kind == 2 ? 3 : 20));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
