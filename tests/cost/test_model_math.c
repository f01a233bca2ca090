/* Parameters and KV bytes of the built-in models against published figures. */
#include "rooftrace/dtype.h"
#include "rooftrace/model.h"
#include "support/test.h"

#include "rooftrace/catalog.h"

#include <math.h>
#include <string.h>

static int setup(void **state)
{
    struct rt_err err;
    struct rt_catalog *c;

    if (!rt_catalog_open(NULL, &c, &err))
        fail_msg("%s", err.msg);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    rt_catalog_free(*state);
    return 0;
}

static struct rt_model model(void **state, const char *name)
{
    struct rt_err err;
    struct rt_model m;

    assert_ok(rt_catalog_model(*state, name, &m, &err), &err);
    return m;
}

static void assert_near(const char *name, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * want))
        fail_msg("%s: got %.0f, expected %.0f", name, got, want);
}

/* Totals as published: the parameter count of the safetensors files or the model card on Hugging
 * Face, without vision towers and multi-token-prediction modules. Rounded cards are within 0.1 %.
 */
static const struct {
    const char *name;
    double total;
} published[] = {
    {"codellama-34b", 33.744e9},    {"command-r-plus", 103.81e9},
    {"command-r-v01", 34.981e9},    {"deepseek-r1", 671.026e9},
    {"deepseek-v2-lite", 15.706e9}, {"deepseek-v3", 671.026e9},
    {"falcon-180b", 179.52e9},      {"falcon-40b", 41.303e9},
    {"falcon-7b", 6.9217e9},        {"gemma-2-27b", 27.227e9},
    {"gemma-2-9b", 9.2417e9},       {"gemma-3-27b", 27.009e9},
    {"gpt-oss-120b", 116.83e9},     {"gpt-oss-20b", 20.91e9},
    {"kimi-k2", 1026.4e9},          {"llama-2-13b", 13.016e9},
    {"llama-2-70b", 68.977e9},      {"llama-2-7b", 6.738e9},
    {"llama-3-70b", 70.554e9},      {"llama-3-8b", 8.03e9},
    {"llama-3.1-405b", 405.853e9},  {"llama-3.1-70b", 70.554e9},
    {"llama-3.1-8b", 8.03e9},       {"llama-3.2-1b", 1.2358e9},
    {"llama-3.2-3b", 3.2127e9},     {"llama-3.3-70b", 70.554e9},
    {"llama-4-maverick", 400.71e9}, {"llama-4-scout", 107.77e9},
    {"minimax-m2.5", 228.7e9},      {"mistral-7b-v0.1", 7.2417e9},
    {"mistral-7b-v0.3", 7.248e9},   {"mistral-nemo-12b", 12.2478e9},
    {"mixtral-8x22b", 140.621e9},   {"mixtral-8x7b", 46.7028e9},
    {"phi-3-medium", 13.96e9},      {"phi-3-mini-4k", 3.8211e9},
    {"phi-4", 14.6595e9},           {"qwen2.5-14b", 14.77e9},
    {"qwen2.5-32b", 32.764e9},      {"qwen2.5-72b", 72.706e9},
    {"qwen2.5-7b", 7.6156e9},       {"qwen3-0.6b", 0.596e9},
    {"qwen3-1.7b", 1.7206e9},       {"qwen3-14b", 14.768e9},
    {"qwen3-235b-a22b", 235.094e9}, {"qwen3-30b-a3b", 30.532e9},
    {"qwen3-32b", 32.762e9},        {"qwen3-4b", 4.0225e9},
    {"qwen3-8b", 8.1907e9},         {"qwen3-coder-480b-a35b", 480.155e9},
    {"yi-34b", 34.389e9},
};

static void totals_match_the_published_ones(void **state)
{
    for (unsigned i = 0; i < sizeof published / sizeof published[0]; i++) {
        struct rt_model m = model(state, published[i].name);
        assert_near(m.name, rt_model_params(&m), published[i].total, 0.001);
    }
}

static void every_model_of_the_catalogue_is_checked(void **state)
{
    for (unsigned i = 0; i < rt_catalog_model_count(*state); i++) {
        bool found = false;
        const char *name = rt_catalog_model_at(*state, i)->name;
        for (unsigned k = 0; k < sizeof published / sizeof published[0]; k++)
            found = found || strcmp(published[k].name, name) == 0;
        if (!found)
            fail_msg("%s has no published total in this test", name);
    }
}

/* Active parameters of one token, all and without an untied input embedding: from the shapes, each
 * total of which agrees with its card (12.9e9, 3.3e9, 37e9, 5.1e9 and 17e9 are the cards' words).
 */
static const struct {
    const char *name;
    double active, decode;
} actives[] = {
    {"llama-3.1-8b", 8030261248, 7504924672},  {"mixtral-8x7b", 12879925248, 12748853248},
    {"qwen3-30b-a3b", 3353032704, 3041867776}, {"deepseek-v3", 37552297472, 36625618432},
    {"gpt-oss-120b", 5711982912, 5132849472},  {"llama-4-maverick", 17184691200, 16150205440},
    {"llama-3.2-1b", 1235814400, 1235814400},
};

static void active_parameters(void **state)
{
    for (unsigned i = 0; i < sizeof actives / sizeof actives[0]; i++) {
        struct rt_model m = model(state, actives[i].name);
        assert_near(m.name, rt_model_params_active(&m), actives[i].active, 0.001);
        assert_near(m.name, rt_model_params_decode(&m), actives[i].decode, 0.001);
        assert_true(rt_model_params_decode(&m) <= rt_model_params_active(&m));
        assert_true(rt_model_params_active(&m) <= rt_model_params(&m));
    }
}

/* 2 (K and V) * layers * KV heads * head size * 2 bytes; MLA: layers * (latent + rotary) * 2. */
static const struct {
    const char *name;
    double bytes;
} kv16[] = {
    {"llama-2-7b", 524288},  {"llama-3-8b", 131072},      {"mistral-7b-v0.1", 131072},
    {"llama-2-70b", 327680}, {"llama-3.1-70b", 327680},   {"qwen3-32b", 262144},
    {"deepseek-v3", 70272},  {"deepseek-v2-lite", 31104}, {"falcon-7b", 8192},
    {"gemma-3-27b", 507904}, {"gpt-oss-20b", 49152},      {"phi-3-mini-4k", 393216},
};

static void kv_bytes_per_token(void **state)
{
    for (unsigned i = 0; i < sizeof kv16 / sizeof kv16[0]; i++) {
        struct rt_model m = model(state, kv16[i].name);
        assert_near(m.name, rt_model_kv_bytes_per_token(&m, RT_BF16), kv16[i].bytes, 0);
        assert_near(m.name, rt_model_kv_bytes_per_token(&m, RT_FP8), kv16[i].bytes / 2, 0);
    }
}

static void dtypes_have_sizes(void **state)
{
    (void)state;
    assert_true(rt_dtype_bytes(RT_FP16) >= 2 && rt_dtype_bytes(RT_BF16) >= 2);
    assert_true(rt_dtype_bytes(RT_FP8) <= 1 && rt_dtype_bytes(RT_INT8) >= 1);
    assert_true(rt_dtype_bytes(RT_INT4) <= 0.5 && rt_dtype_bytes(RT_FP4) >= 0.5);
    assert_string_equal(rt_dtype_names[RT_BF16], "bf16");
    assert_string_equal(rt_dtype_names[RT_FP4], "fp4");
    assert_string_equal(rt_dtype_names[RT_MXFP4], "mxfp4");
    assert_true(rt_dtype_bytes(RT_MXFP4) * 32 == 17); /* 32 halves of a byte and their scale */
}

/* Published checkpoints: 60.8 and 12.8 GiB [openai/gpt-oss, README]. By hand, 120b: 36 layers of
 * 128 experts of 3 x 2880 x 2880 = 114.66e9 at .53125 bytes, the other 2.17e9 at 2. */
static void checkpoints_weigh_what_they_do(void **state)
{
    struct rt_model m = model(state, "gpt-oss-120b");
    double routed = 36 * 128 * 3 * 2880.0 * 2880;

    assert_int_equal(m.dtype, RT_BF16);
    assert_int_equal(rt_model_expert_dtype(&m), RT_MXFP4);
    assert_true(rt_model_params_routed(&m, 128) == routed);
    assert_near(m.name, rt_model_weight_bytes(&m, RT_MXFP4, RT_BF16, RT_BF16),
                routed * .53125 + (rt_model_params(&m) - routed) * 2, 1e-12);
    assert_near(m.name, rt_model_weight_bytes(&m, RT_MXFP4, RT_BF16, RT_BF16), 60.8 * 0x1p30, .003);
    m = model(state, "gpt-oss-20b");
    assert_near(m.name, rt_model_weight_bytes(&m, RT_MXFP4, RT_BF16, RT_BF16), 12.8 * 0x1p30, .005);
    m = model(state, "llama-3.1-8b"); /* two tables of 128256 x 4096 in 16 bit, the rest in 8 */
    assert_int_equal(rt_model_expert_dtype(&m), m.dtype);
    assert_true(rt_model_params_routed(&m, m.experts) == 0);
    assert_near(m.name, rt_model_weight_bytes(&m, RT_FP8, RT_BF16, RT_FP8),
                rt_model_params(&m) + 2 * 128256.0 * 4096, 1e-12);
}

static void layers_with_experts(void **state)
{
    struct rt_model m = model(state, "deepseek-v3");
    assert_int_equal(rt_model_moe_layers(&m), 58);
    m = model(state, "llama-4-maverick");
    assert_int_equal(rt_model_moe_layers(&m), 24);
    m = model(state, "llama-3.1-8b");
    assert_int_equal(rt_model_moe_layers(&m), 0);
}

/* Physics: more layers, width, experts or vocabulary never have fewer parameters; a gate is one
 * more matrix of the MLP; tying saves exactly one table. */
static void parameters_grow_with_the_shape(void **state)
{
    for (unsigned i = 0; i < rt_catalog_model_count(*state); i++) {
        struct rt_model m = *rt_catalog_model_at(*state, i), n = m;
        double params = rt_model_params(&m), table = (double)m.vocab * (double)m.hidden;
        n.layers += m.moe_every;
        assert_true(rt_model_params(&n) > params);
        n = m;
        n.tied = !m.tied;
        assert_true(fabs(rt_model_params(&n) - params) == table);
        n = m;
        n.gated = !m.gated;
        assert_true((rt_model_params(&n) > params) == n.gated);
        if (m.experts == 0)
            continue;
        n = m;
        n.experts++;
        assert_true(rt_model_params(&n) > params);
        assert_true(rt_model_params_active(&m) < params);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(totals_match_the_published_ones),
        cmocka_unit_test(every_model_of_the_catalogue_is_checked),
        cmocka_unit_test(active_parameters),
        cmocka_unit_test(kv_bytes_per_token),
        cmocka_unit_test(dtypes_have_sizes),
        cmocka_unit_test(checkpoints_weigh_what_they_do),
        cmocka_unit_test(layers_with_experts),
        cmocka_unit_test(parameters_grow_with_the_shape),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
