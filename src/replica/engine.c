/* The scenario's section pools[].engine: defaults, ranges, and which values this version knows.
 *
 * A key that is absent keeps its default. An unknown key or policy names the nearest known one; the
 * two switches whose feature does not exist yet accept only false. Ranges keep every later sum
 * within 63 bits: see engine.h. O(keys). */
#include "rooftrace/engine.h"

#include <assert.h>
#include <string.h>

#define MAX_POLICIES 32u

static const char *const keys[] = {
    "policy",       "async_scheduling", "prefix_caching", "max_num_seqs",  "max_num_batched_tokens",
    "chunk_tokens", "block_size",       "num_gpu_blocks", "max_model_len", "gpu_memory_utilization",
    "watermark",
};

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
        .prefix_caching = true,
        .max_num_seqs = 256,
        .chunk_tokens = 512,
        .block_size = 16,
        .gpu_memory_utilization = 0.9,
        .watermark = 0.01,
    };
}

static bool parse_policy(const struct rt_json_at *at, struct rt_engine_spec *e, struct rt_err *err)
{
    const char *names[MAX_POLICIES];
    unsigned count = rt_policy_count();

    assert(count <= MAX_POLICIES);
    for (unsigned i = 0; i < count; i++)
        names[i] = rt_policy_name(i);
    return rt_json_choice(at, "policy", names, count, &e->policy, err);
}

/* A switch that only `chunked` knows: elsewhere it is off, and asking for it is an error. */
static bool parse_switch(const struct rt_json_at *at, const char *key, bool known, bool *out,
                         struct rt_err *err)
{
    struct rt_json_at place = rt_json_get(at, key);

    if (!rt_json_bool(at, key, out, err))
        return false;
    if (!known && *out && rt_json_kind(&place) != RT_JSON_ABSENT)
        return rt_json_fail(&place, err,
                            "only the policy chunked has it: expected false, read true");
    *out = *out && known;
    return true;
}

static bool parse_switches(const struct rt_json_at *at, struct rt_engine_spec *e,
                           struct rt_err *err)
{
    bool chunked = strcmp(rt_policy_name(e->policy), "chunked") == 0;

    return parse_switch(at, "async_scheduling", chunked, &e->async_scheduling, err) &&
           parse_switch(at, "prefix_caching", chunked, &e->prefix_caching, err);
}

static bool parse_sizes(const struct rt_json_at *at, struct rt_engine_spec *e, struct rt_err *err)
{
    return rt_json_int(at, "max_num_seqs", 1, RT_MAX_NUM_SEQS, &e->max_num_seqs, err) &&
           rt_json_int(at, "max_num_batched_tokens", 1, RT_MAX_BATCHED_TOKENS,
                       &e->max_num_batched_tokens, err) &&
           rt_json_int(at, "chunk_tokens", 1, RT_MAX_BATCHED_TOKENS, &e->chunk_tokens, err) &&
           rt_json_int(at, "block_size", 1, RT_MAX_BLOCK_SIZE, &e->block_size, err) &&
           rt_json_int(at, "num_gpu_blocks", 1, RT_MAX_KV_TOKENS, &e->num_gpu_blocks, err) &&
           rt_json_int(at, "max_model_len", 1, RT_MAX_KV_TOKENS, &e->max_model_len, err);
}

/* A utilisation of 0 leaves no memory at all, so the smallest one is 1 %. */
static bool parse_shares(const struct rt_json_at *at, struct rt_engine_spec *e, struct rt_err *err)
{
    return rt_json_double(at, "gpu_memory_utilization", 0.01, 1.0, &e->gpu_memory_utilization,
                          err) &&
           rt_json_double(at, "watermark", 0.0, 0.99, &e->watermark, err);
}

bool rt_engine_parse(const struct rt_json_at *at, struct rt_engine_spec *e, struct rt_err *err)
{
    struct rt_json_at blocks = rt_json_get(at, "num_gpu_blocks");

    if (rt_json_kind(at) == RT_JSON_ABSENT)
        return true;
    if (!rt_json_expect(at, RT_JSON_OBJECT, err) ||
        !rt_json_only(at, keys, sizeof keys / sizeof keys[0], err) || !parse_policy(at, e, err) ||
        !parse_switches(at, e, err) || !parse_sizes(at, e, err) || !parse_shares(at, e, err))
        return false;
    if (e->num_gpu_blocks > RT_MAX_KV_TOKENS / e->block_size)
        return rt_json_fail(&blocks, err, "%lld blocks of %lld tokens are more than 2^40 KV tokens",
                            (long long)e->num_gpu_blocks, (long long)e->block_size);
    return true;
}
