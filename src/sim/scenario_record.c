/* GPU and model records as JSON objects, every number in place, in the units their readers want
 * (cost/gpu.h, cost/model.h). Two tables name each number; a number that is unknown (0) is left
 * out, as its reader has it. A test reads every record of the catalogue back. O(1). */
#include "rooftrace/dtype.h"
#include "rooftrace/gpu_constants.h"
#include "rooftrace/scenario.h"
#include "sim_print_internal.h"

#include <stdint.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct number {
    const char *key;
    size_t offset; /* of a double */
    double unit;   /* of the JSON number, in ours */
};

#define GPU(field) offsetof(struct rt_gpu, field)
static const struct number numbers[] = {
    {"mem_gb", GPU(mem_bytes), 1e9}, /* both: one is needed, the other exact */
    {"mem_bytes", GPU(mem_bytes), 1},
    {"mem_bw_gb_per_s", GPU(mem_bw_bytes_per_s), 1e9},
    {"link_gb_per_s", GPU(link_bytes_per_s), 1e9},
    {"pcie_gb_per_s", GPU(pcie_bytes_per_s), 1e9},
    {"sm_count", GPU(sm_count), 1},
    {"tdp_w", GPU(tdp_w), 1},
    {"idle_w", GPU(idle_w), 1},
    {"price_usd_per_h", GPU(price[RT_ON_DEMAND].usd_per_h), 1},
    {"spot_price_usd_per_h", GPU(price[RT_SPOT].usd_per_h), 1},
    {"reserved_price_usd_per_h", GPU(price[RT_RESERVED].usd_per_h), 1},
};

#define K(field) offsetof(struct rt_gpu_constants, field)
static const struct number constants[] = {
    {"gemm_eff_compute", K(gemm_eff_compute), 1},
    {"gemm_eff_memory", K(gemm_eff_memory), 1},
    {"gemm_smooth_p", K(gemm_smooth_p), 1},
    {"gemm_overhead_us", K(gemm_overhead_s), 1e-6},
    {"gemm_edge_rows", K(gemm_edge_rows), 1},
    {"gemm_start_columns", K(gemm_start_columns), 1},
    {"gemm_wave_share", K(gemm_wave_share), 1},
    {"gemm_split_share", K(gemm_split_share), 1},
    {"gemm_stream_share", K(gemm_stream_share), 1},
    {"quantized_memory_8bit", K(quantized_memory_8bit), 1},
    {"quantized_memory_4bit", K(quantized_memory_4bit), 1},
    {"quantized_compute", K(quantized_compute), 1},
    {"quantized_overhead_us", K(quantized_overhead_s), 1e-6},
    {"quantized_kv_8bit", K(quantized_kv_8bit), 1},
    {"decode_eff_memory", K(decode_eff_memory), 1},
    {"decode_overhead_us", K(decode_overhead_s), 1e-6},
    {"decode_us_per_wave", K(decode_s_per_wave), 1e-6},
    {"prefill_eff_compute", K(prefill_eff_compute), 1},
    {"decode_ramp_us", K(decode_ramp_s), 1e-6},
    {"decode_ramp_mb", K(decode_ramp_bytes), 1e6},
    {"prefill_overhead_us", K(prefill_overhead_s), 1e-6},
    {"prefill_pad_columns", K(prefill_pad_columns), 1},
    {"prefill_io_gb_per_s", K(prefill_io_bytes_per_s), 1e9},
    {"mixed_pad_tokens", K(mixed_pad_tokens), 1},
    {"mixed_tail", K(mixed_tail), 1},
    {"mixed_decode_columns", K(mixed_decode_columns), 1},
    {"mixed_us_per_empty_tile", K(mixed_s_per_empty_tile), 1e-6},
    {"mixed_l2_mb", K(mixed_l2_bytes), 1e6},
    {"elementwise_us", K(elementwise_s), 1e-6},
    {"elementwise_us_per_token", K(elementwise_s_per_token), 1e-6},
    {"elementwise_us_per_token_above", K(elementwise_s_per_token_above), 1e-6},
    {"elementwise_m0_tokens", K(elementwise_m0), 1},
    {"elementwise_ref_bytes", K(elementwise_ref_bytes), 1},
    {"moe_eff_compute", K(moe_eff_compute), 1},
    {"moe_eff_memory", K(moe_eff_memory), 1},
    {"moe_smooth_p", K(moe_smooth_p), 1},
    {"moe_overhead_us", K(moe_overhead_s), 1e-6},
    {"moe_pad_rows", K(moe_pad_rows), 1},
    {"moe_io_gb_per_s", K(moe_io_bytes_per_s), 1e9},
    {"moe_weight_only_compute", K(moe_weight_only_compute), 1},
    {"sampler_us", K(sampler_s), 1e-6},
    {"sampler_us_per_seq", K(sampler_s_per_seq), 1e-6},
    {"graph_max_tokens", K(graph_max_tokens), 1},
    {"allreduce_latency_us", K(allreduce_latency_s), 1e-6},
    {"allreduce_step_us", K(allreduce_step_s), 1e-6},
    {"allreduce_bus_gb_per_s", K(allreduce_bus_bytes_per_s), 1e9},
    {"allreduce_custom_mb", K(allreduce_custom_bytes), 1e6},
    {"allreduce_symmetric_2_mb", K(allreduce_symmetric_2_bytes), 1e6},
    {"allreduce_symmetric_4_mb", K(allreduce_symmetric_4_bytes), 1e6},
    {"allreduce_symmetric_8_mb", K(allreduce_symmetric_8_bytes), 1e6},
    {"allreduce_library_us", K(allreduce_library_s), 1e-6},
    {"allreduce_library_gb_per_s", K(allreduce_library_bytes_per_s), 1e9},
    {"allreduce_multicast", K(allreduce_multicast), 1},
    {"allreduce_gather_us", K(allreduce_gather_s), 1e-6},
    {"host_us_per_step", K(host_s_per_step), 1e-6},
    {"host_us_per_seq", K(host_s_per_seq), 1e-6},
    {"host_sync_us_per_step", K(host_sync_s_per_step), 1e-6},
    {"host_sync_us_per_seq", K(host_sync_s_per_seq), 1e-6},
    {"host_launch_us_per_layer", K(host_launch_s_per_layer), 1e-6},
    {"stream_eff_16bit", K(stream_eff_16bit), 1},
    {"stream_eff_8bit", K(stream_eff_8bit), 1},
    {"stream_eff_4bit", K(stream_eff_4bit), 1},
    {"memory_context_bytes", K(memory_context_bytes), 1},
    {"memory_bytes_per_logit", K(memory_bytes_per_logit), 1},
    {"memory_sampled_rows", K(memory_sampled_rows), 1},
};
static double double_at(const void *base, size_t offset)
{
    return *(const double *)(const void *)((const char *)base + offset);
}

void rt_gpu_settle(struct rt_gpu *g)
{
    for (size_t i = 0; i < COUNT(constants); i++) {
        double *value = (void *)((char *)&g->k + constants[i].offset);
        *value = rt_writer_settle(*value, constants[i].unit);
    }
}

static void text_if_any(struct rt_writer *w, const char *key, const char *text)
{
    if (text[0] != '\0')
        rt_writer_string(w, key, text);
}

static void write_price_ranges(struct rt_writer *w, const struct rt_gpu *g)
{
    static const char *const keys[RT_PRICING_COUNT] = {
        "price_range_usd_per_h", "spot_price_range_usd_per_h", "reserved_price_range_usd_per_h"};

    for (unsigned i = 0; i < RT_PRICING_COUNT; i++) {
        if (g->price[i].high <= 0)
            continue;
        rt_writer_open(w, keys[i], '[');
        rt_writer_double(w, NULL, g->price[i].low);
        rt_writer_double(w, NULL, g->price[i].high);
        rt_writer_close(w, ']');
    }
}

static void write_constants(struct rt_writer *w, const struct rt_gpu_constants *k)
{
    rt_writer_open(w, "constants", '{');
    for (size_t i = 0; i < COUNT(constants); i++)
        rt_writer_in_unit(w, constants[i].key, double_at(k, constants[i].offset),
                          constants[i].unit);
    rt_writer_bool(w, "mixed_as_tiles", k->mixed_as_tiles);
    rt_writer_close(w, '}');
}

void rt_writer_gpu(struct rt_writer *w, const char *key, const struct rt_gpu *g)
{
    rt_writer_open(w, key, '{');
    rt_writer_string(w, "name", g->name);
    text_if_any(w, "vendor", g->vendor);
    text_if_any(w, "arch", g->arch);
    for (size_t i = 0; i < COUNT(numbers); i++)
        if (double_at(g, numbers[i].offset) != 0.0)
            rt_writer_in_unit(w, numbers[i].key, double_at(g, numbers[i].offset), numbers[i].unit);
    write_price_ranges(w, g);
    rt_writer_open(w, "tflops", '{');
    for (unsigned d = 0; d < RT_DTYPE_COUNT; d++)
        if (g->peak_flops[d] > 0.0)
            rt_writer_in_unit(w, rt_dtype_names[d], g->peak_flops[d], 1e12);
    rt_writer_close(w, '}');
    text_if_any(w, "link", g->link);
    rt_writer_string(w, "link_kind", rt_link_names[g->link_kind]);
    write_constants(w, &g->k);
    text_if_any(w, "accuracy", g->accuracy);
    rt_writer_close(w, '}');
}

struct integer {
    const char *key;
    size_t offset; /* of an int64_t in struct rt_model */
};

#define MODEL(field) offsetof(struct rt_model, field)
static const struct integer shape[] = {
    {"layers", MODEL(layers)},     {"hidden", MODEL(hidden)},           {"heads", MODEL(heads)},
    {"kv_heads", MODEL(kv_heads)}, {"head_dim", MODEL(head_dim)},       {"vocab", MODEL(vocab)},
    {"ffn", MODEL(ffn)},           {"max_context", MODEL(max_context)},
};
static const struct integer moe[] = {
    {"experts", MODEL(experts)},       {"experts_per_token", MODEL(experts_per_token)},
    {"expert_ffn", MODEL(expert_ffn)}, {"shared_experts", MODEL(shared_experts)},
    {"shared_ffn", MODEL(shared_ffn)}, {"dense_layers", MODEL(dense_layers)},
    {"every", MODEL(moe_every)},
};
static const struct integer mla[] = {
    {"q_lora", MODEL(q_lora)},   {"kv_lora", MODEL(kv_lora)}, {"qk_nope", MODEL(qk_nope)},
    {"qk_rope", MODEL(qk_rope)}, {"v_head", MODEL(v_head)},
};
static const struct integer window[] = {
    {"tokens", MODEL(window)},
    {"layers", MODEL(local_layers)},
};

static void write_integers(struct rt_writer *w, const struct rt_model *m,
                           const struct integer *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const int64_t *value = (const void *)((const char *)m + list[i].offset);
        if (*value != 0)
            rt_writer_int(w, list[i].key, *value);
    }
}

static void write_object(struct rt_writer *w, const char *key, const struct rt_model *m,
                         const struct integer *list, size_t count)
{
    rt_writer_open(w, key, '{');
    write_integers(w, m, list, count);
    rt_writer_close(w, '}');
}

void rt_writer_model(struct rt_writer *w, const char *key, const struct rt_model *m)
{
    rt_writer_open(w, key, '{');
    rt_writer_string(w, "name", m->name);
    write_integers(w, m, shape, COUNT(shape));
    rt_writer_bool(w, "gated", m->gated);
    rt_writer_bool(w, "tied", m->tied);
    rt_writer_bool(w, "qkv_bias", m->qkv_bias);
    rt_writer_bool(w, "o_bias", m->o_bias);
    rt_writer_bool(w, "mlp_bias", m->mlp_bias);
    rt_writer_bool(w, "qk_norm", m->qk_norm);
    if (m->experts > 0)
        write_object(w, "moe", m, moe, COUNT(moe));
    if (m->attention == RT_MLA)
        write_object(w, "mla", m, mla, COUNT(mla));
    if (m->window > 0)
        write_object(w, "window", m, window, COUNT(window));
    rt_writer_string(w, "dtype", rt_dtype_names[m->dtype]);
    if (m->experts_apart)
        rt_writer_string(w, "expert_dtype", rt_dtype_names[m->expert_dtype]);
    if (m->source[0] != '\0') {
        rt_writer_open(w, "sources", '{');
        rt_writer_string(w, "*", m->source);
        rt_writer_close(w, '}');
    }
    rt_writer_close(w, '}');
}

char *rt_gpu_print(const struct rt_gpu *g)
{
    struct rt_writer w = {.first = true};

    rt_writer_gpu(&w, NULL, g);
    return rt_writer_take(&w);
}

char *rt_model_print(const struct rt_model *m)
{
    struct rt_writer w = {.first = true};

    rt_writer_model(&w, NULL, m);
    return rt_writer_take(&w);
}
