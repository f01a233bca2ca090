/* The catalogue: the built-in records, names and aliases, paths, objects with a base, and records
 * that are wrong, each with a message that says where and what. */
#include "rooftrace/dtype.h"
#include "rooftrace/gpu.h"
#include "rooftrace/gpu_constants.h"
#include "rooftrace/model.h"
#include "support/test.h"

#include "rooftrace/catalog.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
    assert_int_equal(fclose(file), 0);
}

/* ---- the built-in catalogue ------------------------------------------------------------------ */

static void in_range(const char *name, const char *what, double value, double low, double high)
{
    if (!(value >= low && value <= high))
        fail_msg("%s: %s is %g, expected %g to %g", name, what, value, low, high);
}

static void check_constants(const struct rt_gpu *g)
{
    const struct rt_gpu_constants *k = &g->k;

    in_range(g->name, "gemm_eff_compute", k->gemm_eff_compute, 0.3, 1.01);
    in_range(g->name, "gemm_eff_memory", k->gemm_eff_memory, 0.3, 1.01);
    in_range(g->name, "gemm_smooth_p", k->gemm_smooth_p, 1, 10);
    in_range(g->name, "gemm_edge_rows", k->gemm_edge_rows, 0, 64);
    in_range(g->name, "gemm_start_columns", k->gemm_start_columns, 0, 512);
    in_range(g->name, "gemm_wave_share", k->gemm_wave_share, 0, 1);
    in_range(g->name, "gemm_split_share", k->gemm_split_share, 0, 2);
    in_range(g->name, "gemm_stream_share", k->gemm_stream_share, 0, 1);
    in_range(g->name, "mixed_s_per_empty_tile", k->mixed_s_per_empty_tile, 0, 1e-6);
    in_range(g->name, "gemm_overhead_s", k->gemm_overhead_s, 1e-7, 2e-5);
    in_range(g->name, "decode_eff_memory", k->decode_eff_memory, 0.3, 1);
    in_range(g->name, "decode_overhead_s", k->decode_overhead_s, 5e-6, 5e-5);
    in_range(g->name, "prefill_eff_compute", k->prefill_eff_compute, 0.2, 1);
    in_range(g->name, "prefill_overhead_s", k->prefill_overhead_s, 5e-7, 5e-5);
    in_range(g->name, "mixed_pad_tokens", k->mixed_pad_tokens, 100, 400);
    in_range(g->name, "elementwise_s", k->elementwise_s, 1e-6, 5e-5);
    in_range(g->name, "elementwise_s_per_token", k->elementwise_s_per_token, 1e-9, 1e-6);
    in_range(g->name, "elementwise_s_per_token_above", k->elementwise_s_per_token_above, 1e-9,
             1e-6);
    in_range(g->name, "elementwise_m0", k->elementwise_m0, 0, 4096);
    in_range(g->name, "quantized_memory_8bit", k->quantized_memory_8bit, 0.5, 1);
    in_range(g->name, "quantized_memory_4bit", k->quantized_memory_4bit, 0.3, 1);
    in_range(g->name, "quantized_compute", k->quantized_compute, 0.3, 1);
    in_range(g->name, "decode_s_per_wave", k->decode_s_per_wave, 0, 1e-5);
    in_range(g->name, "quantized_overhead_s", k->quantized_overhead_s, 0, 2e-5);
    in_range(g->name, "allreduce_step_s", k->allreduce_step_s, 0, 2e-5);
    in_range(g->name, "quantized_kv_8bit", k->quantized_kv_8bit, 0.5, 1);
    in_range(g->name, "prefill_pad_columns", k->prefill_pad_columns, 0, 500);
    in_range(g->name, "prefill_io_bytes_per_s", k->prefill_io_bytes_per_s, 5e11, 5e12);
    in_range(g->name, "mixed_decode_columns", k->mixed_decode_columns, 0.9, 1.5);
    in_range(g->name, "mixed_l2_bytes", k->mixed_l2_bytes, 1e6, 2e8);
    in_range(g->name, "moe_eff_compute", k->moe_eff_compute, 0.3, 1.01);
    in_range(g->name, "moe_eff_memory", k->moe_eff_memory, 0.3, 1.01);
    in_range(g->name, "moe_smooth_p", k->moe_smooth_p, 1, 10);
    in_range(g->name, "stream_eff_16bit", k->stream_eff_16bit, 0.7, 1);
    in_range(g->name, "stream_eff_8bit", k->stream_eff_8bit, 0.7, 1);
    in_range(g->name, "stream_eff_4bit", k->stream_eff_4bit, 0.7, 1);
    in_range(g->name, "mixed_tail", k->mixed_tail, 0, 1);
    in_range(g->name, "elementwise_ref_bytes", k->elementwise_ref_bytes, 5e4, 5e5);
    in_range(g->name, "moe_overhead_s", k->moe_overhead_s, 0, 2e-4);
    in_range(g->name, "moe_io_bytes_per_s", k->moe_io_bytes_per_s, 1e11, 3e12);
    in_range(g->name, "moe_pad_rows", k->moe_pad_rows, 0, 128);
    in_range(g->name, "sampler_s", k->sampler_s, 0, 1e-3);
    in_range(g->name, "sampler_s_per_seq", k->sampler_s_per_seq, 0, 1e-5);
    in_range(g->name, "graph_max_tokens", k->graph_max_tokens, 0, 4096);
    in_range(g->name, "memory_context_bytes", k->memory_context_bytes, 0, 4e9);
    in_range(g->name, "memory_bytes_per_logit", k->memory_bytes_per_logit, 2, 100);
    in_range(g->name, "memory_sampled_rows", k->memory_sampled_rows, 1, 4096);
    in_range(g->name, "allreduce_latency_s", k->allreduce_latency_s, 1e-6, 1e-4);
    in_range(g->name, "allreduce_bus", k->allreduce_bus_bytes_per_s, 1e9, 1e12);
    in_range(g->name, "host_s_per_step", k->host_s_per_step, 1e-5, 2e-3);
    in_range(g->name, "host_launch_s_per_layer", k->host_launch_s_per_layer, 1e-5, 5e-3);
    in_range(g->name, "host_s_per_seq", k->host_s_per_seq, 1e-7, 1e-4);
}

static void gpus_are_plausible(void **state)
{
    assert_true(rt_catalog_gpu_count(*state) >= 39);
    for (unsigned i = 0; i < rt_catalog_gpu_count(*state); i++) {
        const struct rt_gpu *g = rt_catalog_gpu_at(*state, i);
        in_range(g->name, "mem_bytes", g->mem_bytes, 12e9, 400e9);
        in_range(g->name, "mem_bw", g->mem_bw_bytes_per_s, 200e9, 10e12);
        in_range(g->name, "bf16", g->peak_flops[RT_BF16], 50e12, 3e15);
        in_range(g->name, "link", g->link_bytes_per_s, 0, 1e12);
        in_range(g->name, "pcie", g->pcie_bytes_per_s, 0, 130e9);
        in_range(g->name, "sm_count", g->sm_count, 0, 400);
        in_range(g->name, "tdp_w", g->tdp_w, 0, 1500);
        in_range(g->name, "idle_w", g->idle_w, 0, g->tdp_w);
        for (unsigned k = 0; k < RT_PRICING_COUNT; k++)
            in_range(g->name, rt_pricing_names[k], g->price[k].usd_per_h, 0, 20);
        assert_true(g->accuracy[0] != '\0' && g->vendor[0] != '\0' && g->arch[0] != '\0');
        /* flops per byte: nothing below a streaming processor, nothing beyond Gaudi 3 */
        in_range(g->name, "flops per byte", g->peak_flops[RT_BF16] / g->mem_bw_bytes_per_s, 30,
                 700);
        check_constants(g);
        if (i > 0)
            assert_true(strcmp(rt_catalog_gpu_at(*state, i - 1)->name, g->name) < 0);
    }
}

static void models_are_plausible(void **state)
{
    assert_true(rt_catalog_model_count(*state) >= 51);
    for (unsigned i = 0; i < rt_catalog_model_count(*state); i++) {
        const struct rt_model *m = rt_catalog_model_at(*state, i);
        in_range(m->name, "layers", (double)m->layers, 8, 200);
        in_range(m->name, "hidden", (double)m->hidden, 512, 32768);
        in_range(m->name, "vocab", (double)m->vocab, 30000, 300000);
        in_range(m->name, "max_context", (double)m->max_context, 2048, 2e7);
        in_range(m->name, "params", rt_model_params(m), 5e8, 2e12);
        assert_true(m->source[0] != '\0');
        assert_true((m->window > 0) == (m->local_layers > 0));
        assert_true((m->attention == RT_MLA) == (m->kv_lora > 0));
        if (i > 0)
            assert_true(strcmp(rt_catalog_model_at(*state, i - 1)->name, m->name) < 0);
    }
}

static struct rt_gpu gpu(void **state, const char *name)
{
    struct rt_err err;
    struct rt_gpu g;

    assert_ok(rt_catalog_gpu(*state, name, &g, &err), &err);
    return g;
}

/* What the driver of a 24 GB RTX 4090 reports; fits of vLLM kernels. */
static void the_4090_is_as_measured(void **state)
{
    struct rt_gpu g = gpu(state, "rtx-4090");

    assert_true(fabs(g.mem_bytes - 25250627584.0) < 1);
    assert_true(g.fitted && g.k.mixed_as_tiles);
    assert_true(fabs(g.k.gemm_eff_compute - 1) < 1e-9);
    assert_true(fabs(g.k.gemm_overhead_s - 3.29e-6) < 1e-12);
    assert_true(fabs(g.k.elementwise_s_per_token - 0.060e-6) < 1e-15);
    assert_true(g.link_kind == RT_LINK_HOST); /* no GPU reaches another one's memory */
    assert_true(fabs(g.k.allreduce_library_s - 20e-6) < 1e-12);
    assert_true(fabs(g.k.allreduce_library_bytes_per_s - 0.5 * 32e9) < 1);
}

static void an_unmeasured_gpu_gets_the_defaults(void **state)
{
    struct rt_gpu b200 = gpu(state, "B200-SXM"), l4 = gpu(state, "l4");

    assert_false(b200.fitted || l4.fitted);
    assert_true(fabs(b200.k.gemm_eff_compute - 0.8) < 1e-9);
    assert_true(fabs(b200.k.gemm_overhead_s - 3.5e-6) < 1e-12);
    /* fp32 accumulation at half rate: int8 four times as fast, not twice */
    struct rt_gpu rtx5090 = gpu(state, "rtx-5090");
    assert_false(rtx5090.fitted);
    assert_true(fabs(rtx5090.k.gemm_eff_compute - 0.98) < 1e-9);
    assert_true(fabs(rtx5090.k.prefill_eff_compute - 0.85) < 1e-9);
    assert_true(fabs(l4.k.moe_io_bytes_per_s - 300e9) < 1); /* not above the bandwidth */
    /* traffic is scaled by bandwidth: 0.060 us at 1008 GB/s */
    assert_true(fabs(b200.k.elementwise_s_per_token - 0.060e-6 * 1008 / 7700) < 1e-14);
    assert_true(fabs(l4.k.elementwise_s_per_token - 0.060e-6 * 1008 / 300) < 1e-14);
    /* all-reduce follows the link and its kind */
    assert_true(fabs(b200.k.allreduce_bus_bytes_per_s - 0.68 * 900e9) < 1);
    assert_true(fabs(b200.k.allreduce_library_bytes_per_s - 0.74 * 900e9) < 1);
    assert_true(fabs(l4.k.allreduce_bus_bytes_per_s - 0.6 * 32e9) < 1);
    assert_true(fabs(l4.k.allreduce_library_bytes_per_s - 0.7 * 32e9) < 1);
    assert_true(fabs(rtx5090.k.allreduce_library_bytes_per_s - 0.5 * 64e9) < 1);
    assert_true(l4.k.allreduce_latency_s > b200.k.allreduce_latency_s);
    /* what has no rate keeps the defaults' own; a bridge is an option, so PCIe counts */
    struct rt_gpu tpu = gpu(state, "tpu-v5p"), a40 = gpu(state, "a40");
    assert_true(fabs(tpu.k.allreduce_library_bytes_per_s - 16e9) < 1);
    assert_true(fabs(a40.k.allreduce_bus_bytes_per_s - 0.6 * 32e9) < 1);
}

static bool has_source(const struct rt_json_at *sources, const char *key, size_t len)
{
    char name[64];

    snprintf(name, sizeof name, "%.*s", (int)len, key);
    struct rt_json_at entry = rt_json_get(sources, name);
    return rt_json_kind(&entry) == RT_JSON_STRING;
}

/* Every number of a record has a source: its own, or "*"; what was measured, bought or fitted needs
 * its own. */
static void check_sources(const char *json)
{
    struct rt_err err;
    struct rt_json *doc;

    assert_ok(rt_json_parse(json, strlen(json), "record", &doc, &err), &err);
    struct rt_json_at root = rt_json_root(doc), sources = rt_json_get(&root, "sources");
    struct rt_json_at constants = rt_json_get(&root, "constants");
    for (int i = 0; i < rt_json_count(&root); i++) {
        struct rt_json_at member = rt_json_member(&root, i);
        bool own = strcmp(member.key, "mem_bytes") == 0 || strcmp(member.key, "idle_w") == 0 ||
                   strstr(member.key, "price_usd_per_h") != NULL;
        if (rt_json_kind(&member) == RT_JSON_NUMBER &&
            !has_source(&sources, member.key, strlen(member.key)) &&
            (own || !has_source(&sources, "*", 1)))
            fail_msg("%s: no source in %s", member.key, json);
    }
    for (int i = 0; i < rt_json_count(&constants); i++) {
        struct rt_json_at member = rt_json_member(&constants, i);
        if (!has_source(&sources, member.key, strcspn(member.key, "_")))
            fail_msg("%s: no source in %s", member.key, json);
    }
    rt_json_free(doc);
}

static void numbers_have_sources(void **state)
{
    for (unsigned i = 0; i < rt_catalog_gpu_count(*state); i++)
        check_sources(rt_catalog_gpu_json(*state, i));
    for (unsigned i = 0; i < rt_catalog_model_count(*state); i++)
        check_sources(rt_catalog_model_json(*state, i));
}

/* ---- names ----------------------------------------------------------------------------------- */

static void names_and_aliases(void **state)
{
    static const char *const pairs[][2] = {
        {"h100-sxm", "h100-sxm"},  {"H100-SXM", "h100-sxm"},
        {"h100", "h100-sxm"},      {"NVIDIA H100 80GB HBM3", "h100-sxm"},
        {"a100", "a100-sxm-80gb"}, {"RTX4090", "rtx-4090"},
        {"rtx_4090", "rtx-4090"},  {"NVIDIA GeForce RTX 4090", "rtx-4090"},
        {"nvidia-l4", "l4"},       {"b200", "b200-sxm"},
    };
    static const char *const models[][2] = {
        {"llama-3.1-8b", "llama-3.1-8b"},
        {"meta-llama/Llama-3.1-8B", "llama-3.1-8b"},
        {"META-LLAMA/Meta-Llama-3.1-8B-Instruct", "llama-3.1-8b"},
        {"Qwen/Qwen3-32B", "qwen3-32b"},
        {"deepseek-ai/DeepSeek-V3", "deepseek-v3"},
    };

    for (unsigned i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        assert_string_equal(gpu(state, pairs[i][0]).name, pairs[i][1]);
    for (unsigned i = 0; i < sizeof models / sizeof models[0]; i++) {
        struct rt_err err;
        struct rt_model m;
        assert_ok(rt_catalog_model(*state, models[i][0], &m, &err), &err);
        assert_string_equal(m.name, models[i][1]);
    }
}

static void every_name_finds_its_own_record(void **state)
{
    for (unsigned i = 0; i < rt_catalog_gpu_count(*state); i++) {
        const char *name = rt_catalog_gpu_at(*state, i)->name;
        assert_string_equal(gpu(state, name).name, name);
    }
}

static void unknown_names_offer_the_nearest(void **state)
{
    struct rt_err err;
    struct rt_gpu g;
    struct rt_model m;

    assert_fails(rt_catalog_gpu(*state, "h10-sxm", &g, &err), &err, RT_ECONFIG,
                 "unknown GPU \"h10-sxm\": did you mean \"h100-sxm\"?");
    assert_fails(rt_catalog_model(*state, "lama-3.1-8b", &m, &err), &err, RT_ECONFIG,
                 "unknown model \"lama-3.1-8b\": did you mean \"llama-3.1-8b\"?");
    /* a list that would be cut off is none */
    assert_fails(rt_catalog_model(*state, "nope", &m, &err), &err, RT_ECONFIG,
                 "unknown model \"nope\": `rooftrace catalog` lists them");
    assert_fails(rt_catalog_model(*state, "meta-llama/Lama-3.1-8B", &m, &err), &err, RT_ECONFIG,
                 "did you mean \"meta-llama/Llama-3.1-8B\"?");
    assert_fails(rt_catalog_gpu(*state, "", &g, &err), &err, RT_ECONFIG, "unknown GPU \"\"");
    assert_fails(rt_catalog_gpu(*state, "abacus with very many beads", &g, &err), &err, RT_ECONFIG,
                 "`rooftrace catalog` lists them");
    assert_fails(rt_catalog_gpu(*state, "no/such/file", &g, &err), &err, RT_ECONFIG,
                 "unknown GPU \"no/such/file\"");
    assert_fails(rt_catalog_gpu(*state, "nosuch.json", &g, &err), &err, RT_EIO, "nosuch.json");
}

static void a_very_long_name_is_cut(void **state)
{
    struct rt_err err;
    struct rt_gpu g;
    char name[5000];

    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    assert_fails(rt_catalog_gpu(*state, name, &g, &err), &err, RT_ECONFIG, "unknown GPU \"xxx");
}

/* ---- objects and files ----------------------------------------------------------------------- */

static bool gpu_from(void **state, const char *text, struct rt_gpu *g, struct rt_err *err)
{
    struct rt_json *doc;

    assert_ok(rt_json_parse(text, strlen(text), "s.json", &doc, err), err);
    struct rt_json_at root = rt_json_root(doc), at = rt_json_get(&root, "gpu");
    bool ok = rt_catalog_gpu_from(*state, &at, g, err);
    rt_json_free(doc);
    return ok;
}

static bool model_from(void **state, const char *text, struct rt_model *m, struct rt_err *err)
{
    struct rt_json *doc;

    assert_ok(rt_json_parse(text, strlen(text), "s.json", &doc, err), err);
    struct rt_json_at root = rt_json_root(doc), at = rt_json_get(&root, "model");
    bool ok = rt_catalog_model_from(*state, &at, m, err);
    rt_json_free(doc);
    return ok;
}

#define OWN_GPU                                                                                    \
    "\"name\": \"Mine\", \"mem_gb\": 24, \"mem_bw_gb_per_s\": 1000, \"tflops\": {\"bf16\": 100}"

static void a_gpu_as_an_object(void **state)
{
    struct rt_err err;
    struct rt_gpu g, base = gpu(state, "rtx-4090");

    assert_ok(gpu_from(state, "{\"gpu\": \"RTX-4090\"}", &g, &err), &err);
    assert_string_equal(g.name, "rtx-4090");
    assert_ok(gpu_from(state, "{\"gpu\": {" OWN_GPU "}}", &g, &err), &err);
    assert_string_equal(g.name, "Mine");
    assert_true(fabs(g.mem_bytes - 24e9) < 1 && !g.fitted && g.k.gemm_eff_compute > 0);
    assert_ok(gpu_from(state,
                       "{\"gpu\": {\"base\": \"4090\", \"mem_gb\": 48, \"tflops\": {\"fp8\": 1},"
                       " \"constants\": {\"host_us_per_step\": 250}}}",
                       &g, &err),
              &err);
    assert_string_equal(g.name, "rtx-4090-changed");
    assert_true(fabs(g.mem_bytes - 48e9) < 1);
    assert_true(fabs(g.peak_flops[RT_FP8] - 1e12) < 1);
    assert_true(fabs(g.peak_flops[RT_BF16] - base.peak_flops[RT_BF16]) < 1);
    assert_true(fabs(g.k.host_s_per_step - 250e-6) < 1e-12);
    assert_true(fabs(g.k.host_s_per_seq - base.k.host_s_per_seq) < 1e-15 && g.fitted);
    /* defaults that depend on bandwidth follow a changed bandwidth */
    assert_ok(gpu_from(state, "{\"gpu\": {\"base\": \"l4\", \"mem_bw_gb_per_s\": 600}}", &g, &err),
              &err);
    base = gpu(state, "l4");
    assert_true(fabs(g.k.elementwise_s_per_token * 2 - base.k.elementwise_s_per_token) < 1e-15);
}

static void a_model_as_an_object(void **state)
{
    struct rt_err err;
    struct rt_model m;

    assert_ok(model_from(state, "{\"model\": \"qwen/qwen3-32b\"}", &m, &err), &err);
    assert_string_equal(m.name, "qwen3-32b");
    assert_ok(model_from(state,
                         "{\"model\": {\"base\": \"deepseek-v3\", \"name\": \"small\","
                         " \"layers\": 10, \"moe\": {\"experts\": 64}}}",
                         &m, &err),
              &err);
    assert_string_equal(m.name, "small");
    assert_true(m.layers == 10 && m.experts == 64 && m.experts_per_token == 8);
    assert_true(m.attention == RT_MLA && m.kv_lora == 512);
    /* experts keep their own type, until a change says what all weights have */
    assert_ok(
        model_from(state, "{\"model\": {\"base\": \"gpt-oss-20b\", \"layers\": 20}}", &m, &err),
        &err);
    assert_true(m.experts_apart && m.expert_dtype == RT_MXFP4 && m.dtype == RT_BF16);
    assert_ok(
        model_from(state, "{\"model\": {\"base\": \"gpt-oss-20b\", \"dtype\": \"fp8\"}}", &m, &err),
        &err);
    assert_true(!m.experts_apart && rt_model_expert_dtype(&m) == RT_FP8);
    assert_ok(model_from(state,
                         "{\"model\": {\"base\": \"mixtral-8x7b\", \"expert_dtype\": \"int4\"}}",
                         &m, &err),
              &err);
    assert_true(m.experts_apart && m.expert_dtype == RT_INT4 && m.dtype == RT_BF16);
    assert_fails(model_from(state,
                            "{\"model\": {\"base\": \"llama-3.1-8b\", \"moe\": {\"experts\": 8}}}",
                            &m, &err),
                 &err, RT_ECONFIG, "$.model.moe: missing key \"experts_per_token\"");
}

static void files_resolve_beside_the_document(void **state)
{
    char dir[] = "/tmp/rt-catalog-XXXXXX", path[128], scenario[128];
    struct rt_err err;
    struct rt_json *doc;
    struct rt_gpu g;

    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/mine.json", dir);
    write_file(path, "{" OWN_GPU "}");
    snprintf(scenario, sizeof scenario, "%s/s.json", dir);
    write_file(scenario, "{\"gpu\": \"mine.json\", \"other\": \"none.json\"}");
    assert_ok(rt_catalog_gpu(*state, path, &g, &err), &err);
    assert_string_equal(g.name, "Mine");
    assert_ok(rt_json_load(scenario, &doc, &err), &err);
    struct rt_json_at root = rt_json_root(doc), at = rt_json_get(&root, "gpu");
    assert_ok(rt_catalog_gpu_from(*state, &at, &g, &err), &err);
    assert_string_equal(g.name, "Mine");
    at = rt_json_get(&root, "other");
    assert_fails(rt_catalog_gpu_from(*state, &at, &g, &err), &err, RT_EIO, "s.json: $.other: ");
    rt_json_free(doc);
    write_file(path,
               "{\"name\": \"Mine\", \"mem_gb\": 24, \"mem_bw_gb_per_s\": -1, \"tflops\": {}}");
    assert_fails(rt_catalog_gpu(*state, path, &g, &err), &err, RT_ECONFIG,
                 "mine.json: $.mem_bw_gb_per_s: expected a number from 1 to 1000000, read -1");
    unlink(path);
    unlink(scenario);
    rmdir(dir);
}

/* ---- wrong records --------------------------------------------------------------------------- */

static void wrong_gpus_say_where(void **state)
{
    static const char *const cases[][2] = {
        {"5", "s.json: $.gpu: expected the name of a GPU, a path or an object"},
        {"null", "$.gpu: expected the name of a GPU"},
        {"[]", "$.gpu: expected the name of a GPU"},
        {"{}", "$.gpu: missing key \"mem_gb\""},
        {"\"rtx-4091\"", "s.json: $.gpu: unknown GPU \"rtx-4091\": did you mean"},
        {"{\"base\": \"h10-sxm\"}",
         "$.gpu.base: unknown GPU \"h10-sxm\": did you mean \"h100-sxm\"?"},
        {"{\"base\": 3}", "$.gpu.base: expected a string, read 3"},
        {"{\"base\": \"l4\", \"mem_GB\": 3}",
         "$.gpu: unknown key \"mem_GB\", did you mean \"mem_gb\"?"},
        {"{\"base\": \"l4\", \"mem_gb\": \"24\"}", "$.gpu.mem_gb: expected a number"},
        {"{\"base\": \"l4\", \"mem_gb\": 0}", "$.gpu.mem_gb: expected a number from 0.001"},
        {"{\"base\": \"l4\", \"mem_gb\": 1e300}", "$.gpu.mem_gb: expected a number from"},
        {"{\"base\": \"l4\", \"mem_gb\": null}", "$.gpu.mem_gb: expected a number"},
        {"{\"base\": \"l4\", \"tflops\": {\"bf17\": 3}}", "$.gpu.tflops: unknown key \"bf17\""},
        {"{\"base\": \"l4\", \"tflops\": {\"bf16\": -3}}", "$.gpu.tflops.bf16: expected a number"},
        {"{\"base\": \"l4\", \"tflops\": 3}", "$.gpu.tflops: expected an object"},
        {"{\"name\": \"x\", \"mem_gb\": 1, \"mem_bw_gb_per_s\": 9, \"tflops\": {\"fp8\": 1}}",
         "$.gpu.tflops: expected a rate for fp16 or bf16"},
        {"{\"base\": \"l4\", \"constants\": {\"gemm_eff\": 1}}",
         "$.gpu.constants: unknown key \"gemm_eff\""},
        {"{\"base\": \"l4\", \"constants\": {\"gemm_eff_compute\": 75.7}}",
         "$.gpu.constants.gemm_eff_compute: expected a number from 0.01 to 2"},
        {"{\"base\": \"l4\", \"constants\": {\"mixed_as_tiles\": 1}}",
         "$.gpu.constants.mixed_as_tiles: expected true or false"},
        {"{\"base\": \"l4\", \"link_kind\": \"wire\"}", "$.gpu.link_kind: unknown name \"wire\""},
        {"{\"base\": \"l4\", \"name\": \"\"}", "$.gpu.name: expected a name"},
        {"{\"base\": \"l4\", \"name\": \"tab\\there\"}",
         "$.gpu.name: expected at most 63 printable"},
        {"{\"base\": \"l4\", \"price_range_usd_per_h\": [2]}", "expected [low, high]"},
        {"{\"base\": \"l4\", \"price_range_usd_per_h\": [3, 2]}",
         "expected [low, high], read [3, 2]"},
        {"{\"base\": \"l4\", \"price_range_usd_per_h\": [1, \"2\"]}",
         "$.gpu.price_range_usd_per_h[1]: expected a number"},
        {"{\"base\": \"l4\", \"uncertain\": [\"colour\"]}", "$.gpu.uncertain[0]: unknown field"},
        {"{\"base\": \"l4\", \"aliases\": \"x\"}", "$.gpu.aliases: expected an array"},
        {"{\"base\": \"l4\", \"sources\": {\"tdp\": \"x\"}}", "$.gpu.sources: unknown key \"tdp\""},
        {"{\"base\": \"l4\", \"sources\": {\"tdp_w\": \"\"}}",
         "$.gpu.sources.tdp_w: expected where the number comes from"},
    };

    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_err err;
        struct rt_gpu g;
        char text[512];
        snprintf(text, sizeof text, "{\"gpu\": %s}", cases[i][0]);
        assert_fails(gpu_from(state, text, &g, &err), &err, RT_ECONFIG, cases[i][1]);
    }
}

#define OWN_MODEL                                                                                  \
    "\"name\": \"m\", \"layers\": 2, \"hidden\": 64, \"heads\": 8, \"kv_heads\": 2,"               \
    " \"head_dim\": 8, \"vocab\": 100"

/* Gemma 3: every sixth of 62 layers sees everything, 52 do not. */
static void a_pattern_of_windows(void **state)
{
    struct rt_model m;
    struct rt_err err;

    assert_ok(model_from(state,
                         "{\"model\": {\"base\": \"llama-3.1-8b\", \"layers\": 62,"
                         " \"window\": {\"tokens\": 1024, \"global_every\": 6}}}",
                         &m, &err),
              &err);
    assert_int_equal(m.window, 1024);
    assert_int_equal(m.local_layers, 52);
    assert_ok(model_from(state,
                         "{\"model\": {\"base\": \"gemma-3-27b\","
                         " \"window\": {\"global_every\": 2}}}",
                         &m, &err),
              &err);
    assert_int_equal(m.window, 1024);
    assert_int_equal(m.local_layers, 31);
}

/* A GPU that says nothing about its constants says that. */
static void accuracy_is_never_silent(void **state)
{
    struct rt_gpu g;
    struct rt_err err;

    for (unsigned i = 0; i < rt_catalog_gpu_count(*state); i++)
        assert_true(rt_catalog_gpu_at(*state, i)->accuracy[0] != '\0');
    assert_ok(gpu_from(state,
                       "{\"gpu\": {\"name\": \"Mine\", \"mem_gb\": 24,"
                       " \"mem_bw_gb_per_s\": 1000, \"tflops\": {\"bf16\": 100}}}",
                       &g, &err),
              &err);
    assert_non_null(strstr(g.accuracy, "no kernel of this GPU was measured: defaults"));
    assert_ok(gpu_from(state,
                       "{\"gpu\": {\"name\": \"Mine\", \"mem_gb\": 24, \"mem_bw_gb_per_s\": 1000,"
                       " \"tflops\": {\"bf16\": 100}, \"constants\": {\"gemm_smooth_p\": 2}}}",
                       &g, &err),
              &err);
    assert_non_null(strstr(g.accuracy, "not known"));
}

static void wrong_models_say_where(void **state)
{
    static const char *const cases[][2] = {
        {"true", "s.json: $.model: expected the name of a model, a path or an object"},
        {"{\"name\": \"m\"}", "$.model: missing key \"layers\""},
        {"{" OWN_MODEL "}", "$.model: dense layers need the width of their MLP"},
        {"{" OWN_MODEL ", \"ffn\": 10.5}", "$.model.ffn: expected an integer from 1"},
        {"{" OWN_MODEL ", \"ffn\": 10, \"lyers\": 1}", "did you mean \"layers\"?"},
        {"{" OWN_MODEL ", \"ffn\": 10, \"dtype\": \"fp32\"}",
         "$.model.dtype: unknown name \"fp32\""},
        {"{" OWN_MODEL ", \"ffn\": 10, \"gated\": 1}", "$.model.gated: expected true or false"},
        {"{" OWN_MODEL ", \"ffn\": 10, \"moe\": {\"experts\": 4}}",
         "$.model.moe: missing key \"experts_per_token\""},
        {"{" OWN_MODEL ", \"moe\": {\"experts\": 4, \"experts_per_token\": 5, \"expert_ffn\": 8}}",
         "5 experts per token, but only 4 experts"},
        {"{" OWN_MODEL ", \"moe\": {\"experts\": 4, \"experts_per_token\": 1, \"expert_ffn\": 8,"
         " \"shared_experts\": 1}}",
         "shared experts need their number and their width"},
        {"{" OWN_MODEL ", \"ffn\": 10, \"moe\": {\"experts\": 4, \"experts_per_token\": 1,"
         " \"expert_ffn\": 8, \"dense_layers\": 2}}",
         "4 experts, but no layer that has them"},
        {"{" OWN_MODEL ", \"ffn\": 10, \"mla\": {\"kv_lora\": 8}}",
         "$.model.mla: missing key \"qk_nope\""},
        {"{" OWN_MODEL ", \"ffn\": 10, \"window\": {\"tokens\": 8, \"layers\": 3}}",
         "3 layers with a window, but only 2 layers"},
        {"{" OWN_MODEL ", \"ffn\": 10, \"window\": 8}", "$.model.window: expected an object"},
        {"{" OWN_MODEL ", \"ffn\": 10, \"window\": {\"tokens\": 8}}",
         "$.model.window: missing key \"layers\" or \"global_every\""},
        {"{" OWN_MODEL ", \"ffn\": 10, \"window\": {\"tokens\": 8, \"layers\": 1,"
         " \"global_every\": 2}}",
         "$.model.window: expected one of"},
        {"{" OWN_MODEL ", \"ffn\": 10, \"window\": {\"layers\": 1}}",
         "$.model.window: missing key \"tokens\""},
        {"{\"base\": \"llama-3.1-8b\", \"kv_heads\": 5}",
         "32 attention heads are not a multiple of 5 KV heads"},
        {"{\"base\": \"llama-3.1-8b\", \"layers\": 0}", "$.model.layers: expected an integer"},
        {"{\"base\": \"llama-9\"}", "$.model.base: unknown model \"llama-9\""},
    };

    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_err err;
        struct rt_model m;
        char text[512];
        snprintf(text, sizeof text, "{\"model\": %s}", cases[i][0]);
        assert_fails(model_from(state, text, &m, &err), &err, RT_ECONFIG, cases[i][1]);
    }
}

/* ---- a catalogue of one's own ---------------------------------------------------------------- */

#define RECORD(extra, sources)                                                                     \
    "{\"name\": \"one\", \"mem_gb\": 24, \"mem_bw_gb_per_s\": 1000, \"tflops\": {\"bf16\": "       \
    "100}" extra ", \"sources\": {" sources "}}"
/* In files of this test, "@" stands for the built-in defaults. */
#define GPUS(list) "{\"defaults\": @, \"gpus\": [" list "]}"
#define NO_GPUS    GPUS("")
#define NO_MODELS  "{\"models\": []}"

/* The built-in "defaults" as text; the caller frees it. */
static char *defaults(void)
{
    struct rt_err err;
    struct rt_json *doc;

    assert_ok(rt_json_load("src/cost/catalog/gpus.json", &doc, &err), &err);
    struct rt_json_at root = rt_json_root(doc), at = rt_json_get(&root, "defaults");
    char *text = rt_json_print(&at);
    assert_non_null(text);
    rt_json_free(doc);
    return text;
}

/* `text` with "@" replaced; the caller frees it. */
static char *complete(const char *text)
{
    const char *hole = strchr(text, '@');
    char *fill = defaults();
    size_t size = strlen(text) + strlen(fill) + 1;
    char *whole = malloc(size);

    assert_non_null(whole);
    if (hole == NULL)
        snprintf(whole, size, "%s", text);
    else
        snprintf(whole, size, "%.*s%s%s", (int)(hole - text), text, fill, hole + 1);
    free(fill);
    return whole;
}

struct folder {
    char dir[32], gpus[64], models[64];
};

static struct folder folder_new(void)
{
    struct folder f = {.dir = "/tmp/rt-catalog-XXXXXX"};

    assert_non_null(mkdtemp(f.dir));
    snprintf(f.gpus, sizeof f.gpus, "%s/gpus.json", f.dir);
    snprintf(f.models, sizeof f.models, "%s/models.json", f.dir);
    return f;
}

static void folder_remove(const struct folder *f)
{
    unlink(f->gpus);
    unlink(f->models);
    rmdir(f->dir);
}

/* Opens a catalogue of these two files; it must fail with `message`, or open when that is NULL. */
static void open_folder(const char *gpus, const char *models, const char *message)
{
    struct folder f = folder_new();
    struct rt_err err;
    struct rt_catalog *c;
    char *whole = complete(gpus);

    write_file(f.gpus, whole);
    free(whole);
    if (models != NULL)
        write_file(f.models, models);
    bool ok = rt_catalog_open(f.dir, &c, &err);
    folder_remove(&f);
    if (ok != (message == NULL))
        fail_msg("%s: %s", message ? message : "expected success", ok ? "opened" : err.msg);
    if (ok)
        rt_catalog_free(c);
    else if (strstr(err.msg, message) == NULL)
        fail_msg("message \"%s\" lacks \"%s\"", err.msg, message);
}

static void folders_are_read_instead(void **state)
{
    struct rt_err err;
    struct rt_catalog *c;

    (void)state;
    open_folder(NO_GPUS, NO_MODELS, NULL);
    open_folder(GPUS(RECORD("", "\"*\": \"a page\"")), NO_MODELS, NULL);
    open_folder(NO_GPUS, NULL, "models.json");
    open_folder("", NO_MODELS, "gpus.json");
    open_folder("{\"gpus\": []}", NO_MODELS, "$: missing key \"defaults\"");
    open_folder("{\"gpus\": {}, \"defaults\": @}", NO_MODELS, "$.gpus: expected an array");
    open_folder(NO_GPUS, "{\"model\": []}", "$: unknown key \"model\", did you mean \"models\"?");
    open_folder(NO_GPUS, "{\"models\": [5]}", "$.models[0]: expected an object");
    assert_fails(rt_catalog_open("/nonexistent/folder", &c, &err), &err, RT_EIO,
                 "/nonexistent/folder/gpus.json");
    assert_null(c);
}

static void a_catalogue_needs_its_sources(void **state)
{
    (void)state;
    open_folder(GPUS("{" OWN_GPU "}"), NO_MODELS, "$.gpus[0].name: expected lower-case");
    open_folder(GPUS(RECORD("", "\"tdp_w\": \"x\"")), NO_MODELS,
                "$.gpus[0].sources: missing key \"*\"");
    open_folder(GPUS(RECORD(", \"price_usd_per_h\": 2", "\"*\": \"x\"")), NO_MODELS,
                "$.gpus[0].sources: missing key \"price_usd_per_h\"");
    open_folder(
        GPUS(RECORD(", \"price_usd_per_h\": 2", "\"*\": \"x\", \"price_usd_per_h\": \"a shop\"")),
        NO_MODELS, "$.gpus[0].sources.price_usd_per_h: expected the date of the price");
    open_folder(GPUS(RECORD(", \"price_usd_per_h\": 2",
                            "\"*\": \"x\", \"price_usd_per_h\": \"a shop, 2026-05\"")),
                NO_MODELS, NULL);
    open_folder(GPUS(RECORD(", \"mem_bytes\": 25e9", "\"*\": \"x\"")), NO_MODELS,
                "missing key \"mem_bytes\"");
    open_folder(GPUS(RECORD(", \"constants\": {\"decode_overhead_us\": 9}", "\"*\": \"x\"")),
                NO_MODELS, "$.gpus[0].sources: missing key \"decode\"");
    open_folder(GPUS(RECORD(", \"constants\": {\"mixed_as_tiles\": true}", "\"*\": \"x\"")),
                NO_MODELS, "$.gpus[0].sources: missing key \"mixed\"");
    open_folder(GPUS(RECORD(", \"base\": \"l4\"", "\"*\": \"x\"")), NO_MODELS,
                "$.gpus[0].base: a record of a catalogue file stands alone");
    open_folder(NO_GPUS, "{\"models\": [{" OWN_MODEL ", \"ffn\": 9}]}",
                "$.models[0]: missing key \"sources\"");
}

static void names_must_be_unique(void **state)
{
    (void)state;
    open_folder(GPUS(RECORD("", "\"*\": \"x\"") "," RECORD("", "\"*\": \"x\"")), NO_MODELS,
                "$.gpus: the name or alias \"one\" is there twice");
    open_folder(GPUS(RECORD(", \"aliases\": [\"ONE\"]", "\"*\": \"x\"")), NO_MODELS,
                "is there twice");
    open_folder(GPUS(RECORD(", \"aliases\": [\"a b\", \"A_B\"]", "\"*\": \"x\"")), NO_MODELS,
                "is there twice");
}

/* A default that is missing, a group without source, an unknown constant. */
static void defaults_must_be_complete(void **state)
{
    static const char *const gone[][2] = {
        {"\"gemm_eff_memory\"", "$.defaults.constants: unknown key"},
        {"\"constants\"", "$.defaults: unknown key"},
        {"\"links\"", "$.defaults: unknown key"},
        {"\"fabric\"", "$.defaults.links: unknown key"},
        {"\"half_rate\"", "$.defaults: unknown key"},
        {"\"allreduce_bus_share_of_link\"", "$.defaults.links.pcie: unknown key"},
    };
    struct rt_err err;
    struct rt_catalog *c;

    (void)state;
    for (unsigned i = 0; i < sizeof gone / sizeof gone[0]; i++) {
        struct folder f = folder_new();
        char *text = complete(NO_GPUS), *key = strstr(text, gone[i][0]);
        assert_non_null(key);
        key[1] = 'X';
        write_file(f.gpus, text);
        write_file(f.models, NO_MODELS);
        assert_fails(rt_catalog_open(f.dir, &c, &err), &err, RT_ECONFIG, gone[i][1]);
        free(text);
        folder_remove(&f);
    }
}

/* A valid file without one byte either opens or is one clear line. Each byte of the record, and
 * every seventh of the long defaults. */
static void mutilated_catalogues_never_crash(void **state)
{
    struct folder f = folder_new();
    struct rt_err err;
    struct rt_catalog *c;
    char *text = complete(GPUS(RECORD(", \"aliases\": [\"uno\"]", "\"*\": \"x\"")));
    size_t len = strlen(text);
    char *broken = malloc(len);

    (void)state;
    assert_non_null(broken);
    write_file(f.models, NO_MODELS);
    for (size_t i = 0; i < len; i += i + 300 < len ? 7 : 1) {
        memcpy(broken, text, i);
        memcpy(broken + i, text + i + 1, len - i);
        write_file(f.gpus, broken);
        if (rt_catalog_open(f.dir, &c, &err))
            rt_catalog_free(c);
        else
            assert_true(err.msg[0] != '\0' && strchr(err.msg, '\n') == NULL);
    }
    free(broken);
    free(text);
    folder_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpus_are_plausible),
        cmocka_unit_test(models_are_plausible),
        cmocka_unit_test(the_4090_is_as_measured),
        cmocka_unit_test(an_unmeasured_gpu_gets_the_defaults),
        cmocka_unit_test(numbers_have_sources),
        cmocka_unit_test(names_and_aliases),
        cmocka_unit_test(every_name_finds_its_own_record),
        cmocka_unit_test(unknown_names_offer_the_nearest),
        cmocka_unit_test(a_very_long_name_is_cut),
        cmocka_unit_test(a_gpu_as_an_object),
        cmocka_unit_test(a_model_as_an_object),
        cmocka_unit_test(files_resolve_beside_the_document),
        cmocka_unit_test(wrong_gpus_say_where),
        cmocka_unit_test(wrong_models_say_where),
        cmocka_unit_test(a_pattern_of_windows),
        cmocka_unit_test(accuracy_is_never_silent),
        cmocka_unit_test(folders_are_read_instead),
        cmocka_unit_test(a_catalogue_needs_its_sources),
        cmocka_unit_test(names_must_be_unique),
        cmocka_unit_test(defaults_must_be_complete),
        cmocka_unit_test(mutilated_catalogues_never_crash),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
