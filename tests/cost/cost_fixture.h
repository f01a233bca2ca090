/* GPUs and models built by hand, so that the tests of the cost model do not depend on the
 * catalogue. Sources: NVIDIA datasheets (peaks: dense, fp32 accumulation), the models' published
 * config.json; fitted constants as in docs/cost-model.md. */
#ifndef COST_FIXTURE_H
#define COST_FIXTURE_H

#include "rooftrace/cost.h"
#include "rooftrace/dtype.h"
#include "rooftrace/gpu.h"
#include "rooftrace/gpu_constants.h"
#include "rooftrace/model.h"
#include "rooftrace/step.h"

#include <stdio.h>
#include <string.h>

static inline struct rt_gpu_constants fixture_constants(void)
{
    return (struct rt_gpu_constants){
        .gemm_eff_compute = .757,
        .gemm_eff_memory = .834,
        .gemm_smooth_p = 1.5,
        .gemm_overhead_s = 5e-6,
        .gemm_edge_rows = 15,
        .gemm_start_columns = 40,
        .gemm_wave_share = .5,
        .gemm_split_share = .5,
        .gemm_stream_share = .2,
        .quantized_memory_8bit = .978,
        .quantized_memory_4bit = .923,
        .quantized_compute = .68,
        .quantized_kv_8bit = .8,
        .decode_eff_memory = .87,
        .decode_overhead_s = 13e-6,
        .decode_s_per_wave = 2e-6,
        .prefill_eff_compute = .5,
        .prefill_overhead_s = 11e-6,
        .prefill_io_bytes_per_s = 1e30, /* moves nothing worth naming */
        .mixed_pad_tokens = 200,
        .mixed_tail = .6,
        .mixed_decode_columns = 1,
        .mixed_s_per_empty_tile = .3e-6,
        .elementwise_s = 8.6e-6,
        .elementwise_s_per_token = .06e-6,
        .elementwise_s_per_token_above = .071e-6,
        .elementwise_m0 = 416,
        .elementwise_ref_bytes = 172032,
        .moe_eff_compute = .65,
        .moe_eff_memory = .9,
        .moe_smooth_p = 2,
        .moe_overhead_s = 30e-6,
        .moe_pad_rows = 16,
        .moe_io_bytes_per_s = 1.3e12,
        .moe_weight_only_compute = .75,
        .sampler_s = 20e-6,
        .sampler_s_per_seq = .6e-6,
        .graph_max_tokens = 512,
        .allreduce_latency_s = 5e-6,
        .allreduce_bus_bytes_per_s = 300e9,
        .allreduce_custom_bytes = 1e12,
        .allreduce_library_s = 10e-6,
        .allreduce_library_bytes_per_s = 300e9,
        .allreduce_gather_s = 5e-6,
        .host_s_per_step = .5e-3,
        .host_s_per_seq = 4e-6,
        .stream_eff_16bit = .9,
        .stream_eff_8bit = .88,
        .stream_eff_4bit = .84,
        .memory_context_bytes = 171798692,
        .memory_bytes_per_logit = 30,
        .memory_sampled_rows = 256,
    };
}

/* RTX 4090: 1008 GB/s, 165.2 TFLOP/s, 128 SMs, 25,250,627,584 bytes as its driver reports. */
static inline struct rt_gpu fixture_4090(void)
{
    struct rt_gpu g = {.mem_bytes = 25250627584.0,
                       .mem_bw_bytes_per_s = 1008e9,
                       .pcie_bytes_per_s = 32e9,
                       .sm_count = 128,
                       .k = fixture_constants()};
    snprintf(g.name, sizeof g.name, "rtx-4090");
    g.peak_flops[RT_FP16] = g.peak_flops[RT_BF16] = 165.2e12;
    g.peak_flops[RT_FP8] = 330.3e12;
    g.k.gemm_eff_compute = .968;
    g.k.gemm_eff_memory = .935;
    g.k.gemm_smooth_p = 2.4;
    g.k.gemm_overhead_s = 5.8e-6;
    g.k.decode_eff_memory = .885;
    g.k.decode_overhead_s = 14e-6;
    g.k.prefill_eff_compute = .8;
    g.k.prefill_overhead_s = 8e-6;
    g.k.mixed_as_tiles = true;
    return g;
}

/* H100 SXM: 3350 GB/s, 989 TFLOP/s, 132 SMs, NVLink 450 GB/s each way. */
static inline struct rt_gpu fixture_h100(void)
{
    struct rt_gpu g = {.mem_bytes = 85e9,
                       .mem_bw_bytes_per_s = 3350e9,
                       .link_kind = RT_LINK_FABRIC,
                       .link_bytes_per_s = 450e9,
                       .pcie_bytes_per_s = 64e9,
                       .sm_count = 132,
                       .k = fixture_constants()};
    snprintf(g.name, sizeof g.name, "h100-sxm");
    g.peak_flops[RT_FP16] = g.peak_flops[RT_BF16] = 989e12;
    g.peak_flops[RT_FP8] = 1979e12;
    g.k.gemm_eff_compute = .739;
    g.k.gemm_eff_memory = .927;
    g.k.gemm_overhead_s = 5.5e-6;
    return g;
}

static inline struct rt_model fixture_dense(const char *name, int64_t layers, int64_t hidden,
                                            int64_t kv_heads, int64_t ffn, int64_t vocab)
{
    struct rt_model m = {.attention = RT_GQA,
                         .layers = layers,
                         .hidden = hidden,
                         .heads = hidden / 128,
                         .kv_heads = kv_heads,
                         .head_dim = 128,
                         .ffn = ffn,
                         .vocab = vocab,
                         .gated = true,
                         .moe_every = 1,
                         .dtype = RT_BF16};
    snprintf(m.name, sizeof m.name, "%s", name);
    return m;
}

static inline struct rt_model fixture_llama2_7b(void)
{
    return fixture_dense("llama-2-7b", 32, 4096, 32, 11008, 32000);
}

static inline struct rt_model fixture_llama31_8b(void)
{
    return fixture_dense("llama-3.1-8b", 32, 4096, 8, 14336, 128256);
}

static inline struct rt_model fixture_llama3_70b(void)
{
    return fixture_dense("llama-3-70b", 80, 8192, 8, 28672, 128256);
}

/* 7,248,023,552 parameters, 7,113,805,824 of them read by a decode step: 14.2 GB of fp16. */
static inline struct rt_model fixture_mistral_7b(void)
{
    return fixture_dense("mistral-7b-v0.3", 32, 4096, 8, 14336, 32768);
}

static inline struct rt_model fixture_mixtral(void)
{
    struct rt_model m = fixture_dense("mixtral-8x7b", 32, 4096, 8, 0, 32000);
    m.experts = 8;
    m.experts_per_token = 2;
    m.expert_ffn = 14336;
    return m;
}

static inline struct rt_model fixture_deepseek_v3(void)
{
    struct rt_model m = {.attention = RT_MLA,
                         .layers = 61,
                         .hidden = 7168,
                         .heads = 128,
                         .kv_heads = 128,
                         .head_dim = 192,
                         .ffn = 18432,
                         .vocab = 129280,
                         .gated = true,
                         .experts = 256,
                         .experts_per_token = 8,
                         .expert_ffn = 2048,
                         .shared_experts = 1,
                         .shared_ffn = 2048,
                         .dense_layers = 3,
                         .moe_every = 1,
                         .q_lora = 1536,
                         .kv_lora = 512,
                         .qk_nope = 128,
                         .qk_rope = 64,
                         .v_head = 128,
                         .dtype = RT_FP8};
    snprintf(m.name, sizeof m.name, "deepseek-v3");
    return m;
}

/* Half of the layers see 1,024 tokens only. */
static inline struct rt_model fixture_windowed(void)
{
    struct rt_model m = fixture_dense("windowed", 32, 4096, 8, 14336, 32000);
    m.window = 1024;
    m.local_layers = 16;
    return m;
}

static inline struct rt_cost_inputs fixture_inputs(struct rt_gpu gpu, struct rt_model model,
                                                   int64_t tp)
{
    struct rt_cost_inputs in = {.gpu = gpu, .model = model, .max_tokens = 2048};
    rt_cost_spec_init(&in.spec);
    in.parallel = (struct rt_parallel){.tensor = tp, .pipeline = 1, .expert = 1, .data = 1};
    in.dtypes = (struct rt_dtypes){
        .weight = RT_BF16, .activation = RT_BF16, .kv = RT_BF16, .head = RT_BF16};
    return in;
}

static inline struct rt_step_shape fixture_decodes(const struct rt_cost *c, int64_t n, int64_t ctx)
{
    struct rt_step_shape s;
    int64_t windows[RT_MAX_WINDOWS];
    memset(&s, 0, sizeof s);
    rt_step_add_decodes(&s, n, ctx, windows, rt_cost_windows(c, windows));
    return s;
}

static inline struct rt_step_shape fixture_prefill(int64_t q, int64_t k)
{
    struct rt_step_shape s;
    memset(&s, 0, sizeof s);
    rt_step_add_prefill(&s, q, k);
    s.samples = 1;
    return s;
}

static inline double fixture_sum(const double terms_s[RT_TERM_COUNT])
{
    double sum = 0;
    for (int i = 0; i < RT_TERM_COUNT; i++)
        sum += terms_s[i];
    return sum;
}

#endif
