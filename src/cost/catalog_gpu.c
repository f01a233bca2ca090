/* A GPU record: what gpus.json, a user's file or an object in a scenario says about one GPU.
 *
 * Two tables drive everything: the numbers of a record and the constants of a record, each with its
 * JSON key (unit in the name), its place in struct rt_gpu, its range and its unit in SI. A record
 * is read into a draft, on top of another one when it has a "base"; constants that nobody stated
 * come from the catalogue's "defaults", traffic scaled by bandwidth and all-reduce by the kind of
 * link. In a catalogue file every number must name its source: sources."*", and an own entry for
 * the memory that the driver reports, the price (with a date) and each group of constants.
 * O(record). */
#include "catalog_internal.h"
#include "rooftrace/dtype.h"

#include <stdio.h>
#include <string.h>

const char *const rt_link_names[RT_LINK_COUNT] = {"pcie", "bridge", "fabric", "host"};

/* ---- tables (schemas/gpu.schema.json has the same ranges) ------------------------------------ */

struct number {
    const char *key;
    size_t offset; /* of a double in struct rt_gpu, or in struct rt_gpu_constants */
    double min, max, unit;
};

#define GPU(field) offsetof(struct rt_gpu, field)
static const struct number numbers[] = {
    {"mem_gb", GPU(mem_bytes), 0.001, 1e6, 1e9},
    {"mem_bytes", GPU(mem_bytes), 1e6, 1e15, 1}, /* after mem_gb: it wins */
    {"mem_bw_gb_per_s", GPU(mem_bw_bytes_per_s), 1, 1e6, 1e9},
    {"link_gb_per_s", GPU(link_bytes_per_s), 0.001, 1e6, 1e9},
    {"pcie_gb_per_s", GPU(pcie_bytes_per_s), 0.001, 1e6, 1e9},
    {"sm_count", GPU(sm_count), 1, 1e6, 1},
    {"tdp_w", GPU(tdp_w), 1, 1e6, 1},
    {"idle_w", GPU(idle_w), 0.001, 1e6, 1},
    {"price_usd_per_h", GPU(price[RT_ON_DEMAND].usd_per_h), 0, 1e6, 1},
    {"spot_price_usd_per_h", GPU(price[RT_SPOT].usd_per_h), 0, 1e6, 1},
    {"reserved_price_usd_per_h", GPU(price[RT_RESERVED].usd_per_h), 0, 1e6, 1},
};

#define K(field) offsetof(struct rt_gpu_constants, field)
static const struct number constants[] = {
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

static const char *const record_keys[] = {"name",
                                          "aliases",
                                          "base",
                                          "vendor",
                                          "arch",
                                          "mem_gb",
                                          "mem_bytes",
                                          "mem_bw_gb_per_s",
                                          "tflops",
                                          "link",
                                          "link_kind",
                                          "link_gb_per_s",
                                          "pcie_gb_per_s",
                                          "sm_count",
                                          "tdp_w",
                                          "price_usd_per_h",
                                          "price_range_usd_per_h",
                                          "idle_w",
                                          "spot_price_usd_per_h",
                                          "spot_price_range_usd_per_h",
                                          "reserved_price_usd_per_h",
                                          "reserved_price_range_usd_per_h",
                                          "constants",
                                          "accuracy",
                                          "note",
                                          "uncertain",
                                          "sources"};

/* What may be marked as uncertain, and what may have a source of its own. */
static const char *const uncertain_fields[] = {"mem_gb",
                                               "mem_bytes",
                                               "mem_bw_gb_per_s",
                                               "tflops",
                                               "link_gb_per_s",
                                               "pcie_gb_per_s",
                                               "sm_count",
                                               "tdp_w",
                                               "price_usd_per_h",
                                               "price_range_usd_per_h",
                                               "constants",
                                               "idle_w",
                                               "spot_price_usd_per_h",
                                               "spot_price_range_usd_per_h",
                                               "reserved_price_usd_per_h",
                                               "reserved_price_range_usd_per_h"};
static const char *const source_fields[] = {"*",
                                            "mem_gb",
                                            "mem_bytes",
                                            "mem_bw_gb_per_s",
                                            "tflops",
                                            "link_gb_per_s",
                                            "pcie_gb_per_s",
                                            "sm_count",
                                            "tdp_w",
                                            "price_usd_per_h",
                                            "price_range_usd_per_h",
                                            "idle_w",
                                            "spot_price_usd_per_h",
                                            "reserved_price_usd_per_h",
                                            "gemm",
                                            "quantized",
                                            "decode",
                                            "prefill",
                                            "mixed",
                                            "elementwise",
                                            "moe",
                                            "sampler",
                                            "graph",
                                            "allreduce",
                                            "host",
                                            "stream",
                                            "memory"};

static double *number_at(void *base, const struct number *n)
{
    return (double *)(void *)((char *)base + n->offset);
}

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

/* Reads a number if it is there; *given says whether it was. */
static bool read_number(const struct rt_json_at *at, const struct number *n, void *base,
                        bool *given, struct rt_err *err)
{
    struct rt_json_at place = rt_json_get(at, n->key);
    double value = 0;

    *given = rt_json_kind(&place) != RT_JSON_ABSENT;
    if (!rt_json_double(at, n->key, n->min, n->max, &value, err))
        return false;
    if (*given)
        *number_at(base, n) = value * n->unit;
    return true;
}

/* ---- constants ------------------------------------------------------------------------------- */

static bool read_constants(const struct rt_json_at *at, struct rt_gpu_constants *k, rt_u128 *given,
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
        if (!read_number(at, &constants[i], k, &present, err))
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

static bool need_group_sources(const struct rt_json_at *at, rt_u128 given, struct rt_err *err)
{
    for (unsigned i = 0; i < COUNT(groups); i++)
        if (group_given(groups[i], given) && !rt_record_need_source(at, groups[i], err))
            return false;
    return true;
}

static bool group_complete(const char *group, rt_u128 given)
{
    for (unsigned i = 0; i < CONSTANTS; i++)
        if ((given & BIT(i)) == 0 && in_group(constants[i].key, group))
            return false;
    return true;
}

/* ---- the defaults ---------------------------------------------------------------------------- */

/* All-reduce over one kind of link: latencies, and rates as shares of the link's. */
static bool read_link(const struct rt_json_at *links, enum rt_link kind,
                      struct rt_link_defaults *out, struct rt_err *err)
{
    static const char *const keys[] = {"allreduce_latency_us", "allreduce_bus_share_of_link",
                                       "allreduce_library_us", "allreduce_library_share_of_link"};
    struct rt_json_at at = rt_json_get(links, rt_link_names[kind]);
    double latency_us = 0, library_us = 0;

    if (!rt_json_need(links, rt_link_names[kind], err) ||
        !rt_json_expect(&at, RT_JSON_OBJECT, err) || !rt_json_only(&at, keys, COUNT(keys), err))
        return false;
    for (unsigned i = 0; i < COUNT(keys); i++)
        if (!rt_json_need(&at, keys[i], err))
            return false;
    if (!rt_json_double(&at, keys[0], 0, 1e6, &latency_us, err) ||
        !rt_json_double(&at, keys[1], 0.01, 1, &out->bus_share, err) ||
        !rt_json_double(&at, keys[2], 0, 1e6, &library_us, err) ||
        !rt_json_double(&at, keys[3], 0.01, 1, &out->library_share, err))
        return false;
    out->latency_s = latency_us * 1e-6;
    out->library_s = library_us * 1e-6;
    return true;
}

static bool read_links(const struct rt_json_at *at, struct rt_gpu_defaults *out, struct rt_err *err)
{
    if (!rt_json_expect(at, RT_JSON_OBJECT, err) ||
        !rt_json_only(at, rt_link_names, RT_LINK_COUNT, err))
        return false;
    for (unsigned i = 0; i < RT_LINK_COUNT; i++)
        if (!read_link(at, (enum rt_link)i, &out->link[i], err))
            return false;
    return true;
}

static bool read_half_rate(const struct rt_json_at *at, struct rt_gpu_defaults *out,
                           struct rt_err *err)
{
    static const char *const keys[] = {"gemm_eff_compute", "prefill_eff_compute"};

    return rt_json_expect(at, RT_JSON_OBJECT, err) && rt_json_only(at, keys, COUNT(keys), err) &&
           rt_json_need(at, keys[0], err) && rt_json_need(at, keys[1], err) &&
           rt_json_double(at, keys[0], 0.01, 2, &out->half_rate_gemm, err) &&
           rt_json_double(at, keys[1], 0.01, 2, &out->half_rate_prefill, err);
}

static bool need_default_sources(const struct rt_json_at *at, struct rt_err *err)
{
    static const char *const fields[] = {
        "links", "half_rate", "gemm",   "quantized",   "decode", "prefill", "mixed",    "moe",
        "graph", "sampler",   "memory", "elementwise", "host",   "stream",  "allreduce"};

    if (!rt_record_sources(at, RT_RECORD_CATALOGUE, fields, COUNT(fields), err))
        return false;
    for (unsigned i = 0; i < COUNT(fields); i++)
        if (!rt_record_need_source(at, fields[i], err))
            return false;
    return true;
}

bool rt_gpu_defaults_read(const struct rt_json_at *at, struct rt_gpu_defaults *out,
                          struct rt_err *err)
{
    static const char *const keys[] = {"reference_mem_bw_gb_per_s", "constants", "links",
                                       "half_rate", "sources"};
    struct rt_json_at list = rt_json_get(at, "constants"), links = rt_json_get(at, "links");
    struct rt_json_at half = rt_json_get(at, "half_rate");
    double reference_gb_per_s = 0;
    rt_u128 given = 0;

    *out = (struct rt_gpu_defaults){.half_rate_gemm = 1};
    if (!rt_json_expect(at, RT_JSON_OBJECT, err) || !rt_json_only(at, keys, COUNT(keys), err) ||
        !rt_json_need(at, keys[0], err) ||
        !rt_json_double(at, keys[0], 1, 1e6, &reference_gb_per_s, err) ||
        !read_constants(&list, &out->k, &given, err) || !read_links(&links, out, err) ||
        !read_half_rate(&half, out, err))
        return false;
    out->reference_bytes_per_s = reference_gb_per_s * 1e9;
    for (unsigned i = 0; i < CONSTANTS; i++)
        if ((given & BIT(i)) == 0 && !rt_json_need(&list, constants[i].key, err))
            return false;
    return rt_json_need(&list, "mixed_as_tiles", err) && need_default_sources(at, err);
}

/* ---- one record ------------------------------------------------------------------------------ */

static bool read_tflops(const struct rt_json_at *at, struct rt_gpu *g, struct rt_err *err)
{
    struct rt_json_at rates = rt_json_get(at, "tflops");

    if (rt_json_kind(&rates) == RT_JSON_ABSENT)
        return true;
    if (!rt_json_expect(&rates, RT_JSON_OBJECT, err) ||
        !rt_json_only(&rates, rt_dtype_names, RT_DTYPE_COUNT, err))
        return false;
    for (unsigned d = 0; d < RT_DTYPE_COUNT; d++) {
        double tflops = g->peak_flops[d] / 1e12;
        struct rt_json_at rate = rt_json_get(&rates, rt_dtype_names[d]);
        if (!rt_json_double(&rates, rt_dtype_names[d], 0.001, 1e9, &tflops, err))
            return false;
        if (rt_json_kind(&rate) != RT_JSON_ABSENT)
            g->peak_flops[d] = tflops * 1e12;
    }
    if (g->peak_flops[RT_FP16] > 0 || g->peak_flops[RT_BF16] > 0)
        return true;
    return rt_json_fail(&rates, err, "expected a rate for fp16 or bf16, read none");
}

static bool read_texts(const struct rt_json_at *at, enum rt_record_kind kind, struct rt_gpu *g,
                       struct rt_err *err)
{
    unsigned link = (unsigned)g->link_kind;

    if (!rt_record_name(at, kind, g->name, err) ||
        !rt_record_text(at, "vendor", g->vendor, sizeof g->vendor, err) ||
        !rt_record_text(at, "arch", g->arch, sizeof g->arch, err) ||
        !rt_record_text(at, "link", g->link, sizeof g->link, err) ||
        !rt_record_text(at, "accuracy", g->accuracy, sizeof g->accuracy, err) ||
        !rt_json_choice(at, "link_kind", rt_link_names, RT_LINK_COUNT, &link, err))
        return false;
    g->link_kind = (enum rt_link)link;
    return rt_record_notes(at, uncertain_fields, COUNT(uncertain_fields), err);
}

/* In a catalogue: every number has its source. */
static bool check_sources(const struct rt_json_at *at, enum rt_record_kind kind, rt_u128 given,
                          struct rt_err *err)
{
    static const char *const own[] = {"mem_bytes", "idle_w"};

    if (!rt_record_sources(at, kind, source_fields, COUNT(source_fields), err))
        return false;
    if (kind != RT_RECORD_CATALOGUE)
        return true;
    for (unsigned i = 0; i < COUNT(own); i++) {
        struct rt_json_at number = rt_json_get(at, own[i]);
        if (rt_json_kind(&number) != RT_JSON_ABSENT && !rt_record_need_source(at, own[i], err))
            return false;
    }
    if (!rt_price_sources_check(at, err))
        return false;
    return need_group_sources(at, given, err);
}

static bool check_keys(const struct rt_json_at *at, enum rt_record_kind kind, struct rt_err *err)
{
    static const char *const needed[] = {"mem_gb", "mem_bw_gb_per_s", "tflops"};
    struct rt_json_at base = rt_json_get(at, "base");

    if (!rt_json_expect(at, RT_JSON_OBJECT, err) ||
        !rt_json_only(at, record_keys, COUNT(record_keys), err))
        return false;
    if (kind == RT_RECORD_CATALOGUE && rt_json_kind(&base) != RT_JSON_ABSENT)
        return rt_json_fail(&base, err, "a record of a catalogue file stands alone");
    for (unsigned i = 0; i < COUNT(needed); i++)
        if (kind != RT_RECORD_CHANGE && !rt_json_need(at, needed[i], err))
            return false;
    return true;
}

void rt_gpu_draft_init(struct rt_gpu_draft *d)
{
    *d = (struct rt_gpu_draft){.given = 0};
}

bool rt_gpu_draft_read(struct rt_gpu_draft *d, const struct rt_json_at *at,
                       enum rt_record_kind kind, struct rt_err *err)
{
    struct rt_json_at list = rt_json_get(at, "constants");
    rt_u128 given = 0;
    bool present;

    if (!check_keys(at, kind, err) || !read_texts(at, kind, &d->gpu, err))
        return false;
    for (unsigned i = 0; i < COUNT(numbers); i++)
        if (!read_number(at, &numbers[i], &d->gpu, &present, err))
            return false;
    if (!read_tflops(at, &d->gpu, err) || !rt_price_ranges_read(at, d->gpu.price, err))
        return false;
    if (rt_json_kind(&list) != RT_JSON_ABSENT && !read_constants(&list, &d->gpu.k, &given, err))
        return false;
    d->given |= given;
    return check_sources(at, kind, given, err);
}

/* Where tensor cores accumulate in fp32 at half their rate, the datasheet's int8 rate is four times
 * that of 16 bit numbers, not twice. They then wait less for anything else. */
static bool has_half_rate(const struct rt_gpu *g)
{
    double wide = g->peak_flops[RT_BF16] > 0 ? g->peak_flops[RT_BF16] : g->peak_flops[RT_FP16];

    return g->peak_flops[RT_INT8] > 3 * wide;
}

/* A bridge is an option, so PCIe is what joins such GPUs. Where the rate of the link is not known
 * the defaults' own stay. */
static void link_defaults(const struct rt_link_defaults *link, const struct rt_gpu *g,
                          struct rt_gpu_constants *k)
{
    bool fabric = g->link_kind == RT_LINK_FABRIC;
    double rate = fabric ? g->link_bytes_per_s : g->pcie_bytes_per_s;

    if (!(rate > 0))
        return;
    k->allreduce_latency_s = link->latency_s;
    k->allreduce_bus_bytes_per_s = link->bus_share * rate;
    k->allreduce_library_s = link->library_s;
    k->allreduce_library_bytes_per_s = link->library_share * rate;
}

/* The constants of an unseen GPU with these rates, bandwidth and link. */
static struct rt_gpu_constants defaults_for(const struct rt_gpu_defaults *defaults,
                                            const struct rt_gpu *g)
{
    struct rt_gpu_constants k = defaults->k;
    double slower = defaults->reference_bytes_per_s / g->mem_bw_bytes_per_s;

    k.elementwise_s_per_token *= slower;
    k.elementwise_s_per_token_above *= slower;
    if (k.moe_io_bytes_per_s > g->mem_bw_bytes_per_s)
        k.moe_io_bytes_per_s = g->mem_bw_bytes_per_s;
    if (has_half_rate(g)) {
        k.gemm_eff_compute = defaults->half_rate_gemm;
        k.prefill_eff_compute = defaults->half_rate_prefill;
    }
    link_defaults(&defaults->link[g->link_kind], g, &k);
    return k;
}

void rt_gpu_draft_finish(const struct rt_gpu_draft *d, const struct rt_gpu_defaults *defaults,
                         struct rt_gpu *out)
{
    struct rt_gpu_constants unseen = defaults_for(defaults, &d->gpu);

    *out = d->gpu;
    for (unsigned i = 0; i < CONSTANTS; i++)
        if ((d->given & BIT(i)) == 0)
            *number_at(&out->k, &constants[i]) = *number_at(&unseen, &constants[i]);
    if ((d->given & GIVEN_TILES) == 0)
        out->k.mixed_as_tiles = unseen.mixed_as_tiles;
    out->fitted = group_complete("gemm", d->given);
    if (out->accuracy[0] == '\0')
        snprintf(out->accuracy, sizeof out->accuracy, "%s",
                 d->given == 0
                     ? "no kernel of this GPU was measured: defaults"
                     : "not known: the record states constants, but not how well they fit");
}
