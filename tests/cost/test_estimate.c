/* The closed form: the figures of docs/cost-model.md section "Speed of light" and the identities
 * that users check by hand; means over the output against adding up every step. */
#include "cost_fixture.h"
#include "rooftrace/catalog.h"
#include "rooftrace/estimate.h"
#include "support/test.h"

#include <math.h>

static bool near(double a, double b, double relative)
{
    return fabs(a - b) <= relative * fabs(b);
}

static struct rt_estimate estimate(const struct rt_cost_inputs *in, int64_t prompt, int64_t output,
                                   int64_t batch)
{
    struct rt_estimate_request req = {prompt, output, batch};
    struct rt_estimate e;
    struct rt_err err;
    assert_ok(rt_estimate(in, .9, 16, &req, &e, &err), &err);
    return e;
}

/* 14.2 GB of fp16 at 1008 GB/s = 14.1 ms a token, 8 bit 7.0 ms, plus the KV that is read:
 * 128 KiB a token. */
static void test_light(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_mistral_7b(), 1);
    struct rt_estimate e = estimate(&in, 1, 1, 1);
    assert_true(near(e.weight_bytes, 14.2e9, 2e-3));
    assert_true(near(e.light_tpot_s, 14.1e-3, 2e-3));
    assert_true(e.share_of_light > .8 && e.share_of_light < .95);
    e = estimate(&in, 4096, 2, 1);
    assert_true(near(e.light_tpot_s - e.weight_bytes / 1008e9, 4096 * 131072.0 / 1008e9, 2e-2));
    in.dtypes.weight = in.dtypes.head = RT_INT8;
    e = estimate(&in, 1, 1, 1);
    assert_true(near(e.weight_bytes, 7.1e9, 2e-3));
    assert_true(near(e.light_tpot_s, 7.05e-3, 2e-3));
}

static void test_identities(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_llama31_8b(), 1);
    struct rt_estimate e = estimate(&in, 1000, 200, 8);
    assert_true(e.params == 8030261248.0 && e.params_active == e.params);
    assert_true(e.params_decode == 7504924672.0);
    assert_true(e.kv_bytes_per_token == 131072);
    assert_true(e.flops_prefill == 2.0 * 8 * 1000 * 8030261248.0);
    assert_true(e.flops_decode == 2.0 * 8 * 200 * 8030261248.0);
    assert_true(e.latency_s == e.ttft_s + e.tpot_s * 200);
    assert_true(e.tps_user == 200 / e.latency_s && near(e.tps_total, 8 * e.tps_user, 1e-15));
    assert_true(near(fixture_sum(e.prefill_terms_s), e.ttft_s, 1e-15));
    assert_true(near(fixture_sum(e.decode_terms_s), e.tpot_s, 1e-15));
    assert_true(e.light_ttft_s < e.ttft_s && e.light_tpot_s < e.tpot_s);
    assert_true(e.share_of_light == e.light_tpot_s / e.tpot_s);
    assert_true(e.memory.blocks > 20000);
    /* y = k*x + b: b grows with the prompt, k with the context */
    struct rt_estimate longer = estimate(&in, 4000, 200, 8);
    assert_true(longer.ttft_s > 3 * e.ttft_s && longer.tpot_s > e.tpot_s);
}

/* Experts: active parameters count FLOPs, touched ones bytes. */
static void test_experts(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_mixtral(), 2);
    struct rt_estimate one = estimate(&in, 10, 10, 1), many = estimate(&in, 10, 10, 300);
    assert_true(one.params == 46702792704.0 && one.params_active == 12879925248.0);
    assert_true(one.flops_prefill == 2.0 * 10 * 12879925248.0);
    assert_true(near(one.weight_bytes, 2 * 12748853248.0, 1e-9));
    assert_true(near(many.weight_bytes, 2 * (46702792704.0 - 131072000), 1e-9));
}

/* TPOT is the mean over all steps, also where they cross a sliding window. */
static void test_mean(void **state)
{
    (void)state;
    struct rt_model models[] = {fixture_llama31_8b(), fixture_windowed()};
    static const int64_t cases[][3] = {{1, 1, 1},     {1000, 2, 3},   {1000, 24, 3}, {1000, 25, 3},
                                       {1000, 26, 3}, {1000, 300, 1}, {1023, 5, 7},  {1024, 5, 7},
                                       {1025, 5, 7},  {10, 2000, 2},  {5000, 40, 64}};
    for (int k = 0; k < 2; k++) {
        struct rt_cost_inputs in = fixture_inputs(fixture_h100(), models[k], 1);
        struct rt_cost *c;
        struct rt_err err;
        assert_ok(rt_cost_new(&in, &c, &err), &err);
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            int64_t prompt = cases[i][0], output = cases[i][1], batch = cases[i][2];
            int64_t steps = output > 1 ? output - 1 : 1;
            double sum = 0;
            for (int64_t n = 0; n < steps; n++) {
                struct rt_step_shape s = fixture_decodes(c, batch, prompt + n);
                double terms[RT_TERM_COUNT];
                rt_cost_step_terms(c, &s, terms);
                sum += fixture_sum(terms);
            }
            struct rt_estimate e = estimate(&in, prompt, output, batch);
            assert_true(near(e.tpot_s, sum / (double)steps, 1e-12));
            struct rt_step_shape s;
            memset(&s, 0, sizeof s);
            for (int64_t b = 0; b < batch; b++)
                rt_step_add_prefill(&s, prompt, 0);
            s.samples = batch;
            assert_int_equal(llrint(e.ttft_s * 1e9), rt_cost_step_ns(c, &s));
        }
        rt_cost_free(c);
    }
}

/* A fused single stream: the floor over one share a weight format, KV of 8 bits slower still. */
static void test_fused(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_mistral_7b(), 1);
    struct rt_estimate e = estimate(&in, 4000, 33, 1);
    assert_true(near(e.fused_tpot_s, e.light_tpot_s / .9, 1e-12));
    in.dtypes.weight = in.dtypes.head = RT_FP8;
    e = estimate(&in, 4000, 33, 1);
    assert_true(near(e.fused_tpot_s, e.light_tpot_s / .88, 1e-12));
    in.dtypes.weight = in.dtypes.head = RT_INT4;
    double before = estimate(&in, 4000, 33, 1).fused_tpot_s;
    in.dtypes.kv = RT_FP8; /* 65,536 bytes a token, mean context 4015.5 */
    e = estimate(&in, 4000, 33, 1);
    double kv = 65536 * 4015.5 / 1008e9;
    assert_true(near(e.fused_tpot_s, (e.light_tpot_s + kv * .25) / .84, 1e-9));
    assert_true(e.fused_tpot_s < before);
}

/* With the linear model, k and b are its own. */
static void test_linear(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_llama31_8b(), 1);
    const double b[5] = {5e-3, 2e-6, 1e-8, 0, 3e-6};
    in.spec.kind = RT_COST_LINEAR;
    memcpy(in.spec.coefficients_s, b, sizeof b);
    struct rt_estimate e = estimate(&in, 100, 11, 4);
    assert_true(near(e.ttft_s, b[0] + b[1] * 400 + b[4] * 4, 1e-12));
    assert_true(near(e.tpot_s, b[0] + b[1] * 4 + b[2] * 4 * 104.5 + b[4] * 4, 1e-12));
    assert_true(e.light_tpot_s > 0);
}

/* Every GPU of the catalogue prices every model, and none is faster than light. */
static void test_whole_catalogue(void **state)
{
    (void)state;
    struct rt_catalog *catalog;
    struct rt_err err;
    assert_ok(rt_catalog_open(NULL, &catalog, &err), &err);
    for (unsigned g = 0; g < rt_catalog_gpu_count(catalog); g++)
        for (unsigned m = 0; m < rt_catalog_model_count(catalog); m++) {
            struct rt_cost_inputs in =
                fixture_inputs(*rt_catalog_gpu_at(catalog, g), *rt_catalog_model_at(catalog, m), 1);
            if (!(in.gpu.peak_flops[RT_BF16] > 0)) /* older than Ampere */
                in.dtypes.activation = in.dtypes.weight = in.dtypes.kv = RT_FP16;
            struct rt_estimate e = estimate(&in, 700, 50, 8);
            if (!(isfinite(e.latency_s) && e.light_tpot_s > 0 && e.light_tpot_s < e.tpot_s &&
                  e.light_ttft_s < e.ttft_s))
                fail_msg("%s on %s: tpot %g (light %g), ttft %g (light %g)", in.model.name,
                         in.gpu.name, e.tpot_s, e.light_tpot_s, e.ttft_s, e.light_ttft_s);
        }
    rt_catalog_free(catalog);
}

/* A model that does not fit is still priced; the plan says so. */
static void test_does_not_fit(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_llama3_70b(), 1);
    struct rt_estimate e = estimate(&in, 100, 100, 1);
    assert_true(e.memory.blocks <= 0 && e.tpot_s > .1);
}

static void test_bad_requests(void **state)
{
    (void)state;
    static const int64_t bad[][3] = {{0, 1, 1},
                                     {1, 0, 1},
                                     {1, 1, 0},
                                     {-5, 1, 1},
                                     {INT64_MAX, 1, 1},
                                     {1, INT64_MAX, 1},
                                     {1, 1, INT64_MAX},
                                     {INT64_C(1) << 30, 1, INT64_C(1) << 11},
                                     {INT64_C(1) << 33, 1, 1}};
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_llama31_8b(), 1);
    struct rt_estimate e;
    struct rt_err err;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rt_estimate_request req = {bad[i][0], bad[i][1], bad[i][2]};
        assert_fails(rt_estimate(&in, .9, 16, &req, &e, &err), &err, RT_EUSAGE, "");
    }
    struct rt_estimate_request largest = {INT64_C(1) << 30, INT64_C(1) << 30, 3};
    assert_ok(rt_estimate(&in, .9, 16, &largest, &e, &err), &err);
    assert_true(isfinite(e.latency_s) && e.latency_s > 0);
    in.parallel.pipeline = 64;
    assert_fails(rt_estimate(&in, .9, 16, &largest, &e, &err), &err, RT_ECONFIG, "pipeline");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_light),           cmocka_unit_test(test_identities),
        cmocka_unit_test(test_experts),         cmocka_unit_test(test_mean),
        cmocka_unit_test(test_linear),          cmocka_unit_test(test_does_not_fit),
        cmocka_unit_test(test_bad_requests),    cmocka_unit_test(test_fused),
        cmocka_unit_test(test_whole_catalogue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
