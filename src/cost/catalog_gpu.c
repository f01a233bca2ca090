/* A GPU record: what gpus.json, a user's file or an object in a scenario says about one GPU.
 *
 * A table drives it: the numbers of a record, each with its JSON key (unit in the name), its place
 * in struct rt_gpu, its range and its unit in SI; its constants have one like it (gpu_constants.c).
 * A record is read into a draft, on top of another one when it has a "base"; constants that nobody
 * stated come from the catalogue's "defaults", traffic scaled by bandwidth and all-reduce by the
 * kind of link. In a catalogue file every number must name its source: sources."*", and an own
 * entry for the memory that the driver reports, the price (with a date) and each group of
 * constants. O(record). */
#include "catalog_internal.h"
#include "rooftrace/dtype.h"

#include <stddef.h>
#include <stdio.h>

const char *const rt_link_names[RT_LINK_COUNT] = {"pcie", "bridge", "fabric", "host"};

/* ---- tables (schemas/gpu.schema.json has the same ranges) ------------------------------------ */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#define GPU(field) offsetof(struct rt_gpu, field)
static const struct rt_record_number numbers[] = {
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
        !rt_gpu_constants_read(&list, &out->k, &given, err) || !read_links(&links, out, err) ||
        !read_half_rate(&half, out, err))
        return false;
    out->reference_bytes_per_s = reference_gb_per_s * 1e9;
    return rt_gpu_constants_need(&list, given, err) && need_default_sources(at, err);
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
    return rt_gpu_constants_need_sources(at, given, err);
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
        if (!rt_record_number_read(at, &numbers[i], &d->gpu, &present, err))
            return false;
    if (!read_tflops(at, &d->gpu, err) || !rt_price_ranges_read(at, d->gpu.price, err))
        return false;
    if (rt_json_kind(&list) != RT_JSON_ABSENT &&
        !rt_gpu_constants_read(&list, &d->gpu.k, &given, err))
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
    rt_gpu_constants_fill(&out->k, d->given, &unseen);
    out->fitted = rt_gpu_constants_complete("gemm", d->given);
    if (out->accuracy[0] == '\0')
        snprintf(out->accuracy, sizeof out->accuracy, "%s",
                 d->given == 0
                     ? "no kernel of this GPU was measured: defaults"
                     : "not known: the record states constants, but not how well they fit");
}
