/* Presets: what each gives on which GPU and model, and that every written key wins over it. */
#include "rooftrace/engine.h"
#include "rooftrace/gpu.h"
#include "rooftrace/model.h"
#include "support/test.h"

#include "rooftrace/preset.h"

#include <stdio.h>
#include <string.h>

struct place { /* where an engine runs */
    const char *gpu, *arch;
    double gpu_gb;
    int64_t context, slices; /* the model's; of each expert */
};

/* An engine section on a GPU and a model, resolved as a pool would. */
static bool resolve_at(const char *text, const struct place *place, struct rt_engine_spec *e,
                       struct rt_err *err)
{
    struct rt_gpu gpu = {.mem_bytes = place->gpu_gb * 1e9};
    struct rt_model model = {.max_context = place->context};
    struct rt_json *doc;
    struct rt_json_at root;
    bool ok;

    *err = (struct rt_err){0};
    snprintf(gpu.name, sizeof gpu.name, "%s", place->gpu != NULL ? place->gpu : "mine");
    snprintf(gpu.arch, sizeof gpu.arch, "%s", place->arch != NULL ? place->arch : "");
    rt_engine_init(e);
    if (!rt_json_parse(text, strlen(text), "e.json", &doc, err))
        return false;
    root = rt_json_root(doc);
    ok = rt_engine_parse(&root, e, err);
    rt_json_free(doc);
    if (ok)
        rt_preset_resolve(e, &gpu, &model, place->slices);
    return ok;
}

static bool resolve(const char *text, const char *gpu_name, double gpu_gb, int64_t max_context,
                    struct rt_engine_spec *e, struct rt_err *err)
{
    struct place place = {.gpu = gpu_name, .gpu_gb = gpu_gb, .context = max_context, .slices = 1};

    return resolve_at(text, &place, e, err);
}

/* Sizes by version, GPU and model. Expected numbers are worked out by hand from the rules that
 * preset.c names: vLLM's arg_utils.py and config.py. */
static const struct {
    const char *engine, *gpu;
    double gpu_gb;
    int64_t context;
    const char *policy;
    int64_t seqs, tokens, chunk;
} sizes[] = {
    /* 70 GiB are 75.16 GB */
    {"{\"preset\":\"vllm-0.19\"}", "h100-sxm", 80, 131072, "chunked", 1024, 8192, 512},
    {"{\"preset\":\"vllm-0.19\"}", "rtx-pro-6000", 96, 0, "chunked", 1024, 8192, 512},
    {"{\"preset\":\"vllm-0.19\"}", "mine", 75.17, 131072, "chunked", 1024, 8192, 512},
    {"{\"preset\":\"vllm-0.19\"}", "mine", 75.15, 131072, "chunked", 256, 2048, 512},
    {"{\"preset\":\"vllm-0.19\"}", "a100-sxm-80gb", 80, 131072, "chunked", 256, 2048, 512},
    {"{\"preset\":\"vllm-0.19\"}", "NVIDIA A100", 80, 131072, "chunked", 256, 2048, 512},
    {"{\"preset\":\"vllm-0.19\"}", "rtx-4090", 24, 131072, "chunked", 256, 2048, 512},
    {"{\"preset\":\"vllm-0.19\",\"max_num_seqs\":2,\"max_model_len\":1000}", "h100-sxm", 80, 131072,
     "chunked", 2, 2000, 512},
    {"{\"preset\":\"vllm-0.19\",\"max_num_batched_tokens\":300}", "h100-sxm", 80, 131072, "chunked",
     300, 300, 512},
    {"{\"preset\":\"vllm-0.19\",\"max_num_seqs\":1048576,\"max_model_len\":68719476736}",
     "h100-sxm", 80, 0, "chunked", 1048576, 8192, 512},
    {"{\"preset\":\"vllm-0.27\"}", "h100-sxm", 80, 131072, "chunked", 1024, 8192, 512},
    {"{\"preset\":\"vllm-0.27\"}", "l4", 24, 131072, "chunked", 256, 2048, 512},
    {"{\"preset\":\"vllm-0.12\"}", "b200-sxm", 180, 131072, "chunked", 1024, 8192, 512},
    {"{\"preset\":\"vllm-0.12\"}", "a100-sxm-80gb", 80, 131072, "chunked", 256, 2048, 512},
    {"{\"preset\":\"vllm-0.8\"}", "h100-pcie", 80, 131072, "chunked", 1024, 8192, 512},
    {"{\"preset\":\"vllm-0.8\"}", "H200-SXM", 141, 131072, "chunked", 1024, 8192, 512},
    {"{\"preset\":\"vllm-0.8\"}", "b200-sxm", 180, 131072, "chunked", 256, 2048, 512},
    {"{\"preset\":\"vllm-0.8\"}", "h20", 96, 131072, "chunked", 256, 2048, 512},
    {"{\"preset\":\"vllm-0.6\"}", "h100-sxm", 80, 8192, "prefill_first", 256, 8192, 512},
    {"{\"preset\":\"vllm-0.6\"}", "l4", 24, 1024, "prefill_first", 256, 2048, 512},
    {"{\"preset\":\"vllm-0.6\",\"max_model_len\":4096}", "l4", 24, 131072, "prefill_first", 256,
     4096, 512},
    {"{\"preset\":\"vllm-0.6\"}", "l4", 24, 10485760, "prefill_first", 256, RT_MAX_BATCHED_TOKENS,
     512},
    {"{\"preset\":\"vllm-0.6\"}", "l4", 24, 0, "prefill_first", 256, 0,
     512}, /* the pool's default */
    {"{\"preset\":\"vllm-0.6-chunked\"}", "l4", 24, 131072, "sarathi", 256, 512, 512},
    {"{\"preset\":\"vllm-0.6-chunked\",\"max_num_batched_tokens\":2048}", "l4", 24, 131072,
     "sarathi", 256, 2048, 2048},
    {"{\"preset\":\"vllm-0.6-chunked\",\"chunk_tokens\":1024}", "l4", 24, 131072, "sarathi", 256,
     1024, 1024},
    {"{\"preset\":\"sarathi\"}", "l4", 24, 131072, "sarathi", 128, 0, 512},
    {"{\"preset\":\"orca\"}", "l4", 24, 131072, "continuous", 128, 0, 512},
    {"{\"preset\":\"static\"}", "l4", 24, 131072, "static", 128, 0, 512},
    {"{}", "h100-sxm", 80, 131072, "chunked", 256, 0, 512}, /* without one nothing is resolved */
};

static void sizes_follow_version_gpu_and_model(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct rt_engine_spec e;
        struct rt_err err;
        assert_ok(
            resolve(sizes[i].engine, sizes[i].gpu, sizes[i].gpu_gb, sizes[i].context, &e, &err),
            &err);
        if (strcmp(rt_policy_name(e.policy), sizes[i].policy) != 0 ||
            e.max_num_seqs != sizes[i].seqs || e.max_num_batched_tokens != sizes[i].tokens ||
            e.chunk_tokens != sizes[i].chunk)
            fail_msg("%s on %s: %s, %lld sequences, %lld tokens, chunks of %lld", sizes[i].engine,
                     sizes[i].gpu, rt_policy_name(e.policy), (long long)e.max_num_seqs,
                     (long long)e.max_num_batched_tokens, (long long)e.chunk_tokens);
    }
}

static void switches_follow_the_version(void **state)
{
    static const struct {
        const char *name;
        bool async, cache;
    } cases[] = {
        {"vllm-0.27", true, true}, {"vllm-0.19", true, true},  {"vllm-0.12", false, true},
        {"vllm-0.8", false, true}, {"vllm-0.6", false, false}, {"vllm-0.6-chunked", false, false},
        {"sarathi", false, false}, {"orca", false, false},     {"static", false, false},
    };

    (void)state;
    assert_int_equal(rt_preset_count(), sizeof cases / sizeof cases[0]);
    for (unsigned i = 0; i < rt_preset_count(); i++) {
        struct rt_engine_spec e;
        struct rt_err err;
        char text[128];
        snprintf(text, sizeof text, "{\"preset\":\"%s\"}", cases[i].name);
        assert_ok(resolve(text, "h100-sxm", 80, 8192, &e, &err), &err);
        assert_string_equal(e.preset->name, cases[i].name);
        assert_int_equal(e.async_scheduling, cases[i].async);
        assert_int_equal(e.prefix_caching, cases[i].cache);
    }
}

static void every_preset_is_complete(void **state)
{
    (void)state;
    for (unsigned i = 0; i < rt_preset_count(); i++) {
        const struct rt_preset *p = rt_preset_at(i);
        struct rt_engine_spec e;
        rt_engine_init(&e);
        rt_preset_apply(p, &e);
        assert_ptr_equal(e.preset, p);
        assert_string_equal(rt_policy_name(e.policy), p->policy);
        assert_true(strlen(p->name) > 0 && strlen(p->help) > 0 && strlen(p->source) > 0);
        double share = strcmp(p->name, "vllm-0.27") == 0 ? 0.92 : 0.9;
        assert_true(e.block_size == 16 && e.watermark == 0.01 && e.gpu_memory_utilization == share);
        assert_true(e.max_model_len == 0 && e.num_gpu_blocks == 0);
        for (unsigned k = 0; k < i; k++)
            assert_string_not_equal(p->name, rt_preset_at(k)->name);
    }
}

/* Experts go to DeepGEMM in 0.12 where it runs, unless they are cut into eight slices or a key says
 * otherwise. */
static void experts_follow_version_gpu_and_slices(void **state)
{
    static const struct {
        const char *engine, *arch;
        int64_t slices;
        enum rt_moe_backend backend;
    } cases[] = {
        {"{\"preset\":\"vllm-0.12\"}", "Hopper GH100", 1, RT_MOE_DEEP_GEMM},
        {"{\"preset\":\"vllm-0.12\"}", "Hopper GH100 + Grace", 7, RT_MOE_DEEP_GEMM},
        {"{\"preset\":\"vllm-0.12\"}", "Hopper GH100", 8, RT_MOE_TRITON},
        {"{\"preset\":\"vllm-0.12\"}", "Blackwell GB100", 2, RT_MOE_DEEP_GEMM},
        {"{\"preset\":\"vllm-0.12\"}", "Blackwell Ultra GB110", 2, RT_MOE_DEEP_GEMM},
        {"{\"preset\":\"vllm-0.12\"}", "Blackwell GB202", 2, RT_MOE_TRITON},
        {"{\"preset\":\"vllm-0.12\"}", "Ada AD102", 2, RT_MOE_TRITON},
        {"{\"preset\":\"vllm-0.12\",\"moe_backend\":\"triton\"}", "Hopper GH100", 1, RT_MOE_TRITON},
        {"{\"moe_backend\":\"deep_gemm\"}", "Ada AD102", 8, RT_MOE_DEEP_GEMM},
        {"{\"preset\":\"vllm-0.19\"}", "Hopper GH100", 1, RT_MOE_TRITON},
        {"{\"preset\":\"vllm-0.27\"}", "Hopper GH100", 1, RT_MOE_TRITON},
        {"{}", "Hopper GH100", 1, RT_MOE_TRITON},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct place place = {.arch = cases[i].arch, .slices = cases[i].slices};
        struct rt_engine_spec e;
        struct rt_err err;
        assert_ok(resolve_at(cases[i].engine, &place, &e, &err), &err);
        if (e.moe_backend != cases[i].backend)
            fail_msg("%s on %s, %lld slices: %s", cases[i].engine, cases[i].arch,
                     (long long)cases[i].slices, rt_moe_backend_name(e.moe_backend));
    }
}

/* Whatever the preset, a key that is written has its value, and the others are the preset's. */
static void every_written_key_wins(void **state)
{
    static const char keys[] =
        "\"policy\":\"chunked\",\"async_scheduling\":false,\"prefix_caching\":true,"
        "\"max_num_seqs\":7,\"max_num_batched_tokens\":1234,\"chunk_tokens\":99,"
        "\"block_size\":32,\"moe_backend\":\"deep_gemm\",\"num_gpu_blocks\":5,\"max_model_len\":"
        "777,"
        "\"gpu_memory_utilization\":0.5,\"watermark\":0.25";

    (void)state;
    for (unsigned i = 0; i < rt_preset_count(); i++) {
        struct rt_engine_spec e, plain;
        struct rt_err err;
        char text[512];
        snprintf(text, sizeof text, "{%s,\"preset\":\"%s\"}", keys, rt_preset_at(i)->name);
        assert_ok(resolve(text, "h100-sxm", 80, 131072, &e, &err), &err);
        snprintf(text, sizeof text, "{%s}", keys);
        assert_ok(resolve(text, "h100-sxm", 80, 131072, &plain, &err), &err);
        assert_ptr_equal(e.preset, rt_preset_at(i));
        plain.preset = e.preset;
        assert_memory_equal(&e, &plain, sizeof e);
    }
}

/* A policy that lacks what the preset switches on simply has it off, as without a preset. */
static void another_policy_drops_what_it_lacks(void **state)
{
    struct rt_engine_spec e;
    struct rt_err err;

    (void)state;
    assert_ok(
        resolve("{\"preset\":\"vllm-0.19\",\"policy\":\"sarathi\"}", "l4", 24, 8192, &e, &err),
        &err);
    assert_false(e.async_scheduling || e.prefix_caching);
    assert_fails(
        resolve("{\"preset\":\"vllm-0.6\",\"prefix_caching\":true}", "l4", 24, 8192, &e, &err),
        &err, RT_ECONFIG, "$.prefix_caching: only the policy chunked has it");
}

static void unknown_presets_name_the_nearest(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"preset\":\"vllm-0.18\"}",
         "$.preset: unknown name \"vllm-0.18\", did you mean \"vllm-0.19\"?"},
        {"{\"preset\":\"VLLM-0.6\"}", "did you mean \"vllm-0.6\"?"},
        {"{\"preset\":\"triton\"}", "one of vllm-0.27, vllm-0.19, vllm-0.12, vllm-0.8"},
        {"{\"preset\":\"\"}", "$.preset"},
        {"{\"preset\":19}", "$.preset: expected a string, read 19"},
        {"{\"preset\":null}", "$.preset"},
        {"{\"presets\":\"orca\"}", "unknown key \"presets\", did you mean \"preset\"?"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_engine_spec e;
        struct rt_err err;
        assert_fails(resolve(cases[i].text, "l4", 24, 8192, &e, &err), &err, RT_ECONFIG,
                     cases[i].message);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_follow_version_gpu_and_model),
        cmocka_unit_test(switches_follow_the_version),
        cmocka_unit_test(every_preset_is_complete),
        cmocka_unit_test(experts_follow_version_gpu_and_slices),
        cmocka_unit_test(every_written_key_wins),
        cmocka_unit_test(another_policy_drops_what_it_lacks),
        cmocka_unit_test(unknown_presets_name_the_nearest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
