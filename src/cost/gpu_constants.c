/* The constants of a GPU record by their JSON keys.
 *
 * One table drives everything: key (unit in the name), place in struct rt_gpu_constants, range and
 * unit in SI. What a record states is a bit a constant, `given`; the rest is filled from the
 * defaults. Groups of constants share a source. Failures: a key that is none, a value out of its
 * range (RT_ECONFIG). O(constants), a key O(log n) of its object. */
#include "rooftrace/gpu_constants.h"
#include "catalog_internal.h"

#include <string.h>

/* The same ranges as in schemas/gpu.schema.json. */
#define K(field) offsetof(struct rt_gpu_constants, field)
static const struct rt_record_number constants[] = {
    {"gemm_eff_compute", K(gemm_eff_compute), 0.01, 2, 1},
    {"gemm_eff_memory", K(gemm_eff_memory), 0.01, 2, 1},
    {"gemm_smooth_p", K(gemm_smooth_p), 1, 100, 1},
    {"gemm_overhead_us", K(gemm_overhead_s), 0, 1e6, 1e-6},
    {"gemm_edge_rows", K(gemm_edge_rows), 0, 1e6, 1},
    {"gemm_start_columns", K(gemm_start_columns), 0, 1e6, 1},
    {"gemm_wave_share", K(gemm_wave_share), 0, 1, 1},
    {"gemm_split_share", K(gemm_split_share), 0, 100, 1},
    {"gemm_stream_share", K(gemm_stream_share), 0, 100, 1},
    {"quantized_memory_8bit", K(quantized_memory_8bit), 0.01, 2, 1},
    {"quantized_memory_4bit", K(quantized_memory_4bit), 0.01, 2, 1},
    {"quantized_compute", K(quantized_compute), 0.01, 2, 1},
    {"quantized_overhead_us", K(quantized_overhead_s), 0, 1e6, 1e-6},
    {"quantized_kv_8bit", K(quantized_kv_8bit), 0.01, 2, 1},
    {"decode_eff_memory", K(decode_eff_memory), 0.01, 2, 1},
    {"decode_overhead_us", K(decode_overhead_s), 0, 1e6, 1e-6},
    {"decode_us_per_wave", K(decode_s_per_wave), 0, 1e6, 1e-6},
    {"decode_ramp_us", K(decode_ramp_s), 0, 1e6, 1e-6},
    {"decode_ramp_mb", K(decode_ramp_bytes), 0, 1e6, 1e6},
    {"prefill_eff_compute", K(prefill_eff_compute), 0.01, 2, 1},
    {"prefill_overhead_us", K(prefill_overhead_s), 0, 1e6, 1e-6},
    {"prefill_pad_columns", K(prefill_pad_columns), 0, 1e6, 1},
    {"prefill_io_gb_per_s", K(prefill_io_bytes_per_s), 0.001, 1e6, 1e9},
    {"mixed_pad_tokens", K(mixed_pad_tokens), 0, 1e6, 1},
    {"mixed_tail", K(mixed_tail), 0, 1, 1},
    {"mixed_decode_columns", K(mixed_decode_columns), 0.01, 100, 1},
    {"mixed_us_per_empty_tile", K(mixed_s_per_empty_tile), 0, 1e6, 1e-6},
    {"mixed_l2_mb", K(mixed_l2_bytes), 0, 1e6, 1e6},
    {"elementwise_us", K(elementwise_s), 0, 1e6, 1e-6},
    {"elementwise_us_per_token", K(elementwise_s_per_token), 0, 1e6, 1e-6},
    {"elementwise_us_per_token_above", K(elementwise_s_per_token_above), 0, 1e6, 1e-6},
    {"elementwise_m0_tokens", K(elementwise_m0), 0, 1e9, 1},
    {"elementwise_ref_bytes", K(elementwise_ref_bytes), 1, 1e12, 1},
    {"moe_eff_compute", K(moe_eff_compute), 0.01, 2, 1},
    {"moe_eff_memory", K(moe_eff_memory), 0.01, 2, 1},
    {"moe_smooth_p", K(moe_smooth_p), 1, 100, 1},
    {"moe_overhead_us", K(moe_overhead_s), 0, 1e6, 1e-6},
    {"moe_pad_rows", K(moe_pad_rows), 0, 1e6, 1},
    {"moe_io_gb_per_s", K(moe_io_bytes_per_s), 0.001, 1e6, 1e9},
    {"moe_weight_only_compute", K(moe_weight_only_compute), 0.01, 2, 1},
    {"sampler_us", K(sampler_s), 0, 1e6, 1e-6},
    {"sampler_us_per_seq", K(sampler_s_per_seq), 0, 1e6, 1e-6},
    {"graph_max_tokens", K(graph_max_tokens), 0, 1e6, 1},
    {"allreduce_latency_us", K(allreduce_latency_s), 0, 1e6, 1e-6},
    {"allreduce_step_us", K(allreduce_step_s), 0, 1e6, 1e-6},
    {"allreduce_bus_gb_per_s", K(allreduce_bus_bytes_per_s), 0.001, 1e6, 1e9},
    {"allreduce_custom_mb", K(allreduce_custom_bytes), 0, 1e6, 1e6},
    {"allreduce_symmetric_2_mb", K(allreduce_symmetric_2_bytes), 0, 1e6, 1e6},
    {"allreduce_symmetric_4_mb", K(allreduce_symmetric_4_bytes), 0, 1e6, 1e6},
    {"allreduce_symmetric_8_mb", K(allreduce_symmetric_8_bytes), 0, 1e6, 1e6},
    {"allreduce_library_us", K(allreduce_library_s), 0, 1e6, 1e-6},
    {"allreduce_library_gb_per_s", K(allreduce_library_bytes_per_s), 0.001, 1e6, 1e9},
    {"allreduce_multicast", K(allreduce_multicast), 0, 1, 1},
    {"allreduce_gather_us", K(allreduce_gather_s), 0, 1e6, 1e-6},
    {"host_us_per_step", K(host_s_per_step), 0, 1e7, 1e-6},
    {"host_us_per_seq", K(host_s_per_seq), 0, 1e7, 1e-6},
    {"host_sync_us_per_step", K(host_sync_s_per_step), 0, 1e7, 1e-6},
    {"host_sync_us_per_seq", K(host_sync_s_per_seq), 0, 1e7, 1e-6},
    {"host_launch_us_per_layer", K(host_launch_s_per_layer), 0, 1e6, 1e-6},
    {"stream_eff_16bit", K(stream_eff_16bit), 0.01, 1, 1},
    {"stream_eff_8bit", K(stream_eff_8bit), 0.01, 1, 1},
    {"stream_eff_4bit", K(stream_eff_4bit), 0.01, 1, 1},
    {"memory_context_bytes", K(memory_context_bytes), 0, 1e12, 1},
    {"memory_bytes_per_logit", K(memory_bytes_per_logit), 0, 1e6, 1},
    {"memory_sampled_rows", K(memory_sampled_rows), 1, 1e6, 1},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CONSTANTS    COUNT(constants)
#define BIT(i)       ((rt_u128)1 << (i))
#define GIVEN_TILES  BIT(CONSTANTS) /* mixed_as_tiles is a bool, so it is not in the table */
_Static_assert(CONSTANTS < 128, "one bit a constant in `given`");

/* Groups of constants: the part of their names before the first '_'; each has one source. */
static const char *const groups[] = {"gemm",        "quantized", "decode",  "prefill", "mixed",
                                     "elementwise", "moe",       "sampler", "graph",   "allreduce",
                                     "host",        "stream",    "memory"};

static bool in_group(const char *key, const char *group)
{
    size_t len = strlen(group);

    return strncmp(key, group, len) == 0 && key[len] == '_';
}

bool rt_gpu_constant(const char *key, struct rt_gpu_constant *out)
{
    for (unsigned i = 0; i < CONSTANTS; i++)
        if (strcmp(constants[i].key, key) == 0) {
            *out = (struct rt_gpu_constant){constants[i].offset, constants[i].unit};
            return true;
        }
    return false;
}

const char *rt_gpu_constant_group(const char *key)
{
    for (unsigned i = 0; i < COUNT(groups); i++)
        if (in_group(key, groups[i]))
            return groups[i];
    return "*";
}

/* ---- of a record ---------------------------------------------------------------------------- */

bool rt_gpu_constants_read(const struct rt_json_at *at, struct rt_gpu_constants *k, rt_u128 *given,
                           struct rt_err *err)
{
    const char *keys[CONSTANTS + 1];
    struct rt_json_at tiles = rt_json_get(at, "mixed_as_tiles");

    for (unsigned i = 0; i < CONSTANTS; i++)
        keys[i] = constants[i].key;
    keys[CONSTANTS] = "mixed_as_tiles";
    if (!rt_json_expect(at, RT_JSON_OBJECT, err) || !rt_json_only(at, keys, CONSTANTS + 1, err))
        return false;
    for (unsigned i = 0; i < CONSTANTS; i++) {
        bool present;
        if (!rt_record_number_read(at, &constants[i], k, &present, err))
            return false;
        if (present)
            *given |= BIT(i);
    }
    if (rt_json_kind(&tiles) != RT_JSON_ABSENT)
        *given |= GIVEN_TILES;
    return rt_json_bool(at, "mixed_as_tiles", &k->mixed_as_tiles, err);
}

/* Does this group have a constant among the given ones? */
static bool group_given(const char *group, rt_u128 given)
{
    if (strcmp(group, "mixed") == 0 && (given & GIVEN_TILES) != 0)
        return true;
    for (unsigned i = 0; i < CONSTANTS; i++)
        if ((given & BIT(i)) != 0 && in_group(constants[i].key, group))
            return true;
    return false;
}

bool rt_gpu_constants_need_sources(const struct rt_json_at *record, rt_u128 given,
                                   struct rt_err *err)
{
    for (unsigned i = 0; i < COUNT(groups); i++)
        if (group_given(groups[i], given) && !rt_record_need_source(record, groups[i], err))
            return false;
    return true;
}

bool rt_gpu_constants_complete(const char *group, rt_u128 given)
{
    for (unsigned i = 0; i < CONSTANTS; i++)
        if ((given & BIT(i)) == 0 && in_group(constants[i].key, group))
            return false;
    return true;
}

bool rt_gpu_constants_need(const struct rt_json_at *at, rt_u128 given, struct rt_err *err)
{
    for (unsigned i = 0; i < CONSTANTS; i++)
        if ((given & BIT(i)) == 0 && !rt_json_need(at, constants[i].key, err))
            return false;
    return rt_json_need(at, "mixed_as_tiles", err);
}

void rt_gpu_constants_fill(struct rt_gpu_constants *k, rt_u128 given,
                           const struct rt_gpu_constants *from)
{
    for (unsigned i = 0; i < CONSTANTS; i++)
        if ((given & BIT(i)) == 0)
            memcpy((char *)k + constants[i].offset, (const char *)from + constants[i].offset,
                   sizeof(double));
    if ((given & GIVEN_TILES) == 0)
        k->mixed_as_tiles = from->mixed_as_tiles;
}
