/* The scenario's section pools[].engine: defaults, ranges, and which values this version knows.
 *
 * A key that is absent keeps its default. An unknown key or policy names the nearest known one; the
 * two switches that only chunked has accept only false elsewhere. Ranges keep every later sum
 * within 63 bits: see engine.h. O(keys). */
#include "replica_internal.h"
#include "rooftrace/preset.h"
#include "rooftrace/queue_order.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#define MAX_ENTRIES   32u
#define MAX_CPU_BYTES (INT64_C(1) << 53) /* what JSON carries exactly */

static const char *const keys[] = {
    "preset",
    "policy",
    "async_scheduling",
    "host_overlap",
    "moe_backend",
    "cuda_graphs",
    "prefix_caching",
    "max_num_seqs",
    "max_num_batched_tokens",
    "chunk_tokens",
    "block_size",
    "num_gpu_blocks",
    "max_model_len",
    "gpu_memory_utilization",
    "watermark",
    "queue_order",
    "aging_s",
    "preemption",
    "cpu_kv_bytes",
    "num_cpu_blocks",
    "offload_bytes",
    "speculative",
};

static const char *const moe_backends[] = {"triton", "deep_gemm"};
#define FIRST_MOE_BACKEND RT_MOE_TRITON /* the one that stands first among the names */
_Static_assert(sizeof moe_backends / sizeof moe_backends[0] ==
                   RT_MOE_BACKEND_COUNT - FIRST_MOE_BACKEND,
               "a name for each");

const char *rt_moe_backend_name(enum rt_moe_backend b)
{
    return moe_backends[b < FIRST_MOE_BACKEND ? 0 : b - FIRST_MOE_BACKEND];
}

const char *const rt_preemption_names[RT_PREEMPTION_COUNT] = {"recompute", "swap"};

/* Place of the default in the table, whatever else the table holds. */
static unsigned default_policy(void)
{
    for (unsigned i = 0; i < rt_policy_count(); i++)
        if (strcmp(rt_policy_name(i), "chunked") == 0)
            return i;
    return 0;
}

void rt_engine_init(struct rt_engine_spec *e)
{
    *e = (struct rt_engine_spec){
        .policy = default_policy(),
        .async_scheduling = true,
        .cuda_graphs = true,
        .prefix_caching = true,
        .max_num_seqs = 256,
        .chunk_tokens = 512,
        .block_size = 16,
        .gpu_memory_utilization = 0.9,
        .watermark = 0.01,
        .aging_s = 60,
        .cpu_kv_bytes = INT64_C(4) << 30, /* --swap-space of vLLM 0.6 */
    };
}

/* The key's value is the name of an entry of a table: its place in it. */
static bool parse_entry(const struct rt_json_at *at, const char *key, unsigned count,
                        const char *(*name)(unsigned i), unsigned *out, struct rt_err *err)
{
    const char *names[MAX_ENTRIES];

    assert(count <= MAX_ENTRIES);
    for (unsigned i = 0; i < count; i++)
        names[i] = name(i);
    return rt_json_choice(at, key, names, count, out, err);
}

static const char *preset_name(unsigned i)
{
    return rt_preset_at(i)->name;
}

/* Its defaults come first: every key that is read after it wins over them. */
static bool parse_preset(const struct rt_json_at *at, struct rt_engine_spec *e, struct rt_err *err)
{
    unsigned none = rt_preset_count(), i = none;

    if (!parse_entry(at, "preset", rt_preset_count(), preset_name, &i, err))
        return false;
    if (i != none)
        rt_preset_apply(rt_preset_at(i), e);
    return true;
}

static bool parse_tables(const struct rt_json_at *at, struct rt_engine_spec *e, struct rt_err *err)
{
    return parse_preset(at, e, err) &&
           parse_entry(at, "policy", rt_policy_count(), rt_policy_name, &e->policy, err) &&
           parse_entry(at, "queue_order", rt_queue_order_count(), rt_queue_order_name,
                       &e->queue_order, err) &&
           rt_json_choice(at, "preemption", rt_preemption_names, RT_PREEMPTION_COUNT,
                          &e->preemption, err);
}

/* A switch that works only together with something else: otherwise it is off, and asking for it is
 * an error. `but`: why, or NULL. */
static bool parse_switch(const struct rt_json_at *at, const char *key, const char *but, bool *out,
                         struct rt_err *err)
{
    struct rt_json_at place = rt_json_get(at, key);

    if (!rt_json_bool(at, key, out, err))
        return false;
    if (but != NULL && *out && rt_json_kind(&place) != RT_JSON_ABSENT)
        return rt_json_fail(&place, err, "%s: expected false, read true", but);
    *out = *out && but == NULL;
    return true;
}

/* One number for all positions, or one for each. */
static bool parse_acceptance(const struct rt_json_at *at, struct rt_speculative *s,
                             struct rt_err *err)
{
    struct rt_json_at place = rt_json_get(at, "acceptance");
    bool list = rt_json_kind(&place) == RT_JSON_ARRAY;

    if (!rt_json_need(at, "acceptance", err))
        return false;
    if (!list && rt_json_kind(&place) != RT_JSON_NUMBER)
        return rt_json_expect(&place, RT_JSON_NUMBER, err);
    if (list && rt_json_count(&place) != s->draft_tokens)
        return rt_json_fail(&place, err, "expected %lld numbers, one a draft token, read %d",
                            (long long)s->draft_tokens, rt_json_count(&place));
    for (int i = 0; i < (int)s->draft_tokens; i++) {
        struct rt_json_at item = list ? rt_json_item(&place, i) : place;
        if (!rt_json_expect(&item, RT_JSON_NUMBER, err))
            return false;
        s->acceptance[i] = item.node->valuedouble;
        if (!(s->acceptance[i] >= 0 && s->acceptance[i] <= 1))
            return rt_json_fail(&item, err, "expected a share from 0 to 1, read %g",
                                s->acceptance[i]);
    }
    return true;
}

static bool check_speculative(const struct rt_json_at *at, const struct rt_engine_spec *e,
                              struct rt_err *err)
{
    struct rt_json_at seconds = rt_json_get(at, "draft_s_per_token");
    struct rt_json_at model = rt_json_get(at, "draft_model");

    if (rt_json_kind(&seconds) != RT_JSON_ABSENT && rt_json_kind(&model) != RT_JSON_ABSENT)
        return rt_json_fail(&seconds, err, "expected this or draft_model, read both");
    if (!policy_at(e->policy)->speculates)
        return rt_json_fail(at, err,
                            "only the policies chunked, continuous and static have speculative "
                            "decoding in this version, read \"%s\"",
                            rt_policy_name(e->policy));
    if (e->preemption == RT_PREEMPTION_SWAP)
        return rt_json_fail(at, err,
                            "swap preemption does not go together with it in this version");
    return true;
}

/* Without draft_model, which is read where models are known: fleet_spec.c. */
static bool parse_speculative(const struct rt_json_at *at, struct rt_engine_spec *e,
                              struct rt_err *err)
{
    static const char *const known[] = {"draft_tokens", "acceptance", "draft_model",
                                        "draft_s_per_token"};
    struct rt_json_at place = rt_json_get(at, "speculative");
    struct rt_speculative s = {0};

    if (rt_json_kind(&place) == RT_JSON_ABSENT)
        return true;
    if (!rt_json_expect(&place, RT_JSON_OBJECT, err) || !rt_json_only(&place, known, 4, err) ||
        !rt_json_need(&place, "draft_tokens", err) ||
        !rt_json_int(&place, "draft_tokens", 1, RT_MAX_DRAFT_TOKENS, &s.draft_tokens, err) ||
        !parse_acceptance(&place, &s, err) ||
        !rt_json_double(&place, "draft_s_per_token", 0, 1e3, &s.draft_s_per_token, err))
        return false;
    e->speculative = s;
    return check_speculative(&place, e, err);
}

static bool parse_overlap(const struct rt_json_at *at, struct rt_engine_spec *e, struct rt_err *err)
{
    struct rt_json_at place = rt_json_get(at, "host_overlap");
    bool overlaps;

    if (rt_json_kind(&place) == RT_JSON_ABSENT)
        return true;
    if (!rt_json_bool(at, "host_overlap", &overlaps, err))
        return false;
    e->host_overlap = overlaps ? RT_HOST_OVERLAPS : RT_HOST_WAITS;
    return true;
}

static bool parse_moe_backend(const struct rt_json_at *at, struct rt_engine_spec *e,
                              struct rt_err *err)
{
    unsigned none = sizeof moe_backends / sizeof moe_backends[0], i = none;

    if (!rt_json_choice(at, "moe_backend", moe_backends, none, &i, err))
        return false;
    if (i != none)
        e->moe_backend = (enum rt_moe_backend)(FIRST_MOE_BACKEND + i);
    return true;
}

static bool parse_switches(const struct rt_json_at *at, struct rt_engine_spec *e,
                           struct rt_err *err)
{
    bool chunked = strcmp(rt_policy_name(e->policy), "chunked") == 0;
    const char *other = chunked ? NULL : "only the policy chunked has it";
    const char *swap = e->preemption == RT_PREEMPTION_SWAP
                           ? "swap preemption does not go together with it in this version"
                       : e->speculative.draft_tokens > 0
                           ? "speculative decoding does not go together with it in this version"
                           : NULL;

    return parse_switch(at, "async_scheduling", other, &e->async_scheduling, err) &&
           parse_overlap(at, e, err) && parse_moe_backend(at, e, err) &&
           rt_json_bool(at, "cuda_graphs", &e->cuda_graphs, err) &&
           parse_switch(at, "prefix_caching", other ? other : swap, &e->prefix_caching, err);
}

static bool parse_offload(const struct rt_json_at *at, struct rt_engine_spec *e, struct rt_err *err)
{
    struct rt_json_at place = rt_json_get(at, "offload_bytes");

    if (!rt_json_int(at, "offload_bytes", 0, MAX_CPU_BYTES, &e->offload_bytes, err))
        return false;
    if (e->offload_bytes > 0 && !e->prefix_caching)
        return rt_json_fail(&place, err, "without prefix caching nothing is offloaded: expected 0");
    return true;
}

static bool parse_sizes(const struct rt_json_at *at, struct rt_engine_spec *e, struct rt_err *err)
{
    return rt_json_int(at, "max_num_seqs", 1, RT_MAX_NUM_SEQS, &e->max_num_seqs, err) &&
           rt_json_int(at, "max_num_batched_tokens", 1, RT_MAX_BATCHED_TOKENS,
                       &e->max_num_batched_tokens, err) &&
           rt_json_int(at, "chunk_tokens", 1, RT_MAX_BATCHED_TOKENS, &e->chunk_tokens, err) &&
           rt_json_int(at, "block_size", 1, RT_MAX_BLOCK_SIZE, &e->block_size, err) &&
           rt_json_int(at, "num_gpu_blocks", 1, RT_MAX_KV_TOKENS, &e->num_gpu_blocks, err) &&
           rt_json_int(at, "max_model_len", 1, RT_MAX_KV_TOKENS, &e->max_model_len, err) &&
           rt_json_int(at, "cpu_kv_bytes", 0, MAX_CPU_BYTES, &e->cpu_kv_bytes, err) &&
           rt_json_int(at, "num_cpu_blocks", 1, RT_MAX_KV_TOKENS, &e->num_cpu_blocks, err) &&
           parse_offload(at, e, err);
}

/* A utilisation of 0 leaves no memory at all, so the smallest one is 1 %. */
static bool parse_shares(const struct rt_json_at *at, struct rt_engine_spec *e, struct rt_err *err)
{
    return rt_json_double(at, "gpu_memory_utilization", 0.01, 1.0, &e->gpu_memory_utilization,
                          err) &&
           rt_json_double(at, "watermark", 0.0, 0.99, &e->watermark, err) &&
           rt_json_double(at, "aging_s", 0.0, 9e9, &e->aging_s, err);
}

bool rt_engine_budget_holds(const struct rt_engine_spec *e)
{
    return e->speculative.draft_tokens == 0 || policy_at(e->policy)->reserves_output ||
           e->max_num_batched_tokens / (e->speculative.draft_tokens + 1) >= e->max_num_seqs;
}

bool rt_engine_overlaps_host(const struct rt_engine_spec *e)
{
    return e->host_overlap == RT_HOST_AS_SCHEDULING ? e->async_scheduling
                                                    : e->host_overlap == RT_HOST_OVERLAPS;
}

double rt_engine_tokens_per_round(const struct rt_engine_spec *e)
{
    uint64_t mean = speculated_mean(&e->speculative);
    return mean == 0 ? 1 : ldexp((double)mean, -32);
}

bool rt_engine_parse(const struct rt_json_at *at, struct rt_engine_spec *e, struct rt_err *err)
{
    struct rt_json_at blocks = rt_json_get(at, "num_gpu_blocks");

    if (rt_json_kind(at) == RT_JSON_ABSENT)
        return true;
    if (!rt_json_expect(at, RT_JSON_OBJECT, err) ||
        !rt_json_only(at, keys, sizeof keys / sizeof keys[0], err) || !parse_tables(at, e, err) ||
        !parse_speculative(at, e, err) || !parse_switches(at, e, err) || !parse_sizes(at, e, err) ||
        !parse_shares(at, e, err))
        return false;
    if (e->num_gpu_blocks > RT_MAX_KV_TOKENS / e->block_size)
        return rt_json_fail(&blocks, err, "%lld blocks of %lld tokens are more than 2^40 KV tokens",
                            (long long)e->num_gpu_blocks, (long long)e->block_size);
    return true;
}
