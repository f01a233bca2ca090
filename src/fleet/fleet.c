/* Pools become replicas here: costs are tabulated once a pool, KV memory is planned, replicas are
 * created and numbered through. */
#include "fleet_internal.h"
#include "rooftrace/crash.h"
#include "rooftrace/dtype.h"
#include "rooftrace/kv_transfer.h"
#include "rooftrace/replica.h"
#include "rooftrace/supply_spec.h"
#include "supply_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CPU_BLOCKS 1099511627776.0 /* 2^40, as many as num_cpu_blocks may say */

static bool check_limits(const struct pool *p, struct rt_err *err)
{
    int64_t blocks = p->plan.kv_blocks;
    if (blocks > RT_MAX_KV_TOKENS / p->engine.block_size)
        return rt_fail(err, RT_ECONFIG, "%lld KV blocks of %lld tokens exceed 2^40 tokens",
                       (long long)blocks, (long long)p->engine.block_size);
    if (p->engine.prefix_caching && blocks > RT_MAX_CACHED_BLOCKS)
        return rt_fail(err, RT_ECONFIG, "%lld KV blocks: with prefix caching at most %lld",
                       (long long)blocks, (long long)RT_MAX_CACHED_BLOCKS);
    return true;
}

/* Blocks in CPU memory: each GPU of the replica keeps its part of a block there. */
static int64_t blocks_in(int64_t bytes, const struct pool *p, double most)
{
    double block_bytes = p->plan.memory.block_bytes * (double)p->plan.gpus;
    return (int64_t)fmin((double)bytes / block_bytes, most);
}

static bool plan_cpu_memory(struct pool *p, const struct rt_pool_spec *spec, struct rt_err *err)
{
    const struct rt_engine_spec *e = &p->engine;
    bool swaps = e->preemption == RT_PREEMPTION_SWAP;
    if (!swaps && e->offload_bytes == 0)
        return true;
    if (spec->gpu.pcie_bytes_per_s <= 0)
        return rt_fail(err, RT_ECONFIG,
                       "%s needs the GPU's PCIe bandwidth: %s has no pcie_gb_per_s",
                       swaps ? "swap preemption" : "offload_bytes", spec->gpu.name);
    p->pcie_bytes_per_s = spec->gpu.pcie_bytes_per_s;
    if (swaps)
        p->plan.cpu_kv_blocks = e->num_cpu_blocks > 0
                                    ? e->num_cpu_blocks
                                    : blocks_in(e->cpu_kv_bytes, p, MAX_CPU_BLOCKS);
    p->plan.offload_blocks = blocks_in(e->offload_bytes, p, (double)RT_MAX_CACHED_BLOCKS);
    return true;
}

/* The draft model runs on the same GPUs: what it is split by, and its types where it does not bring
 * its own. */
static struct rt_cost_inputs draft_inputs(const struct rt_pool_spec *spec,
                                          const struct rt_cost_inputs *of)
{
    struct rt_cost_inputs in = *of;
    in.model = spec->draft_model;
    in.dtypes = rt_pool_default_dtypes(&spec->gpu, &spec->draft_model);
    in.dtypes.kv = spec->dtypes.kv;
    in.parallel.expert = spec->draft_model.experts > 0 ? spec->parallel.expert : 1;
    in.max_tokens = in.max_seqs = spec->engine.max_num_seqs;
    return in;
}

static bool price_draft_model(struct pool *p, const struct rt_pool_spec *spec,
                              const struct rt_cost_inputs *of, struct rt_err *err)
{
    int64_t windows[RT_MAX_WINDOWS];
    struct rt_cost_inputs in = draft_inputs(spec, of);
    if (!spec->has_draft_model)
        return true;
    if (in.spec.kind == RT_COST_LINEAR)
        return rt_fail(err, RT_ECONFIG,
                       "draft_model: the linear cost knows no models; give draft_s_per_token");
    if (!rt_cost_new(&in, &p->draft_cost, err))
        return rt_fail_in(err, "draft_model %s", spec->draft_model.name);
    if (rt_cost_windows(p->draft_cost, windows) > 0)
        return rt_fail(err, RT_ECONFIG,
                       "draft_model %s has sliding windows, which drafting does not know in this "
                       "version; give draft_s_per_token",
                       spec->draft_model.name);
    return true;
}

/* Its weights come off the pool's memory, and a block holds its KV, too. */
static bool plan_draft_memory(struct pool *p, const struct rt_pool_spec *spec,
                              const struct rt_cost_inputs *of, struct rt_err *err)
{
    struct rt_memory_plan draft, *m = &p->plan.memory;
    struct rt_cost_inputs in = draft_inputs(spec, of);
    if (!spec->has_draft_model)
        return true;
    rt_memory_figures(&in, p->engine.gpu_memory_utilization, p->engine.block_size, &draft);
    m->weights += draft.weights;
    m->block_bytes += draft.block_bytes;
    double left = m->usable - m->weights - m->activations - m->context - m->window_bytes;
    m->blocks = (int64_t)floor(fmax(left, -m->total) / m->block_bytes);
    if (m->blocks < 1 && p->engine.num_gpu_blocks == 0)
        return rt_fail(err, RT_ECONFIG,
                       "%s and the draft model %s do not fit together: %.2f GB missing per GPU",
                       spec->model.name, spec->draft_model.name, (m->block_bytes - left) / 1e9);
    return true;
}

static bool plan_pool(struct pool *p, const struct rt_pool_spec *spec,
                      const struct rt_cost_spec *cost, struct rt_err *err)
{
    p->engine = spec->engine;
    p->role = spec->role;
    p->parallel = spec->parallel;
    if (p->engine.max_num_batched_tokens == 0)
        p->engine.max_num_batched_tokens = rt_pool_default_step_tokens(&spec->gpu);
    struct rt_cost_inputs in = {
        .spec = *cost,
        .gpu = spec->gpu,
        .model = spec->model,
        .parallel = spec->parallel,
        .nodes = spec->nodes,
        .dtypes = spec->dtypes,
        .max_tokens = p->engine.max_num_batched_tokens,
        .host_exposed = !rt_engine_overlaps_host(&p->engine),
        .eager = !p->engine.cuda_graphs,
        .experts_in_tiles = p->engine.moe_backend == RT_MOE_DEEP_GEMM &&
                            rt_expert_dtype(&spec->dtypes) == RT_FP8 &&
                            spec->dtypes.activation == RT_FP8,
        .max_seqs = p->engine.max_num_seqs * (p->engine.speculative.draft_tokens + 1),
    };
    if (!rt_engine_budget_holds(&p->engine))
        return rt_fail(err, RT_ECONFIG, "max_num_batched_tokens: too small for the drafts");
    if (!price_draft_model(p, spec, &in, err))
        return false;
    double use = p->engine.gpu_memory_utilization;
    if (p->engine.num_gpu_blocks > 0)
        rt_memory_figures(&in, use, p->engine.block_size, &p->plan.memory);
    else if (!rt_memory_plan(&in, use, p->engine.block_size, &p->plan.memory, err))
        return false;
    if (!plan_draft_memory(p, spec, &in, err))
        return false;
    p->plan.kv_blocks =
        p->engine.num_gpu_blocks > 0 ? p->engine.num_gpu_blocks : p->plan.memory.blocks;
    p->plan.max_num_batched_tokens = p->engine.max_num_batched_tokens;
    p->plan.gpus = spec->parallel.tensor * spec->parallel.pipeline * spec->parallel.data;
    if (!check_limits(p, err) || !plan_cpu_memory(p, spec, err) || !rt_cost_new(&in, &p->cost, err))
        return false;
    struct rt_step_shape full = {.samples = 1};
    rt_step_add_prefill(&full, in.max_tokens, 0);
    p->prefill_ns_per_token =
        (double)rt_cost_step_ns(p->cost, &full) / (double)p->plan.max_num_batched_tokens;
    return true;
}

static bool check_hash_block(const struct pool *p, int64_t hash_block, struct rt_err *err)
{
    if (!p->engine.prefix_caching || hash_block % p->engine.block_size == 0)
        return true;
    return rt_fail(err, RT_ECONFIG,
                   "the trace's hash ids name %lld tokens each (workload.block_size): with prefix "
                   "caching that must be a multiple of engine.block_size, %lld",
                   (long long)hash_block, (long long)p->engine.block_size);
}

static struct rt_replica_spec replica_spec(const struct rt_fleet *f, uint32_t pool, uint32_t index)
{
    const struct pool *p = &f->pools[pool];
    return (struct rt_replica_spec){
        .engine = &p->engine,
        .cost = p->cost,
        .draft_cost = p->draft_cost,
        .kv_blocks = p->plan.kv_blocks,
        .pipeline = p->parallel.pipeline,
        .ranks = p->parallel.data,
        .together = rt_cost_ranks_together(p->cost),
        .cpu_blocks = p->plan.cpu_kv_blocks,
        .offload_blocks = p->plan.offload_blocks,
        .block_bytes = p->plan.memory.block_bytes,
        .pcie_bytes_per_s = p->pcie_bytes_per_s,
        .pool = pool,
        .index = index,
        .hash_block = f->use.hash_block,
        .role = p->role,
        .silent = p->role == RT_ROLE_PREFILL && f->hides_prefill,
        .coast = f->use.coast,
        .compact = p->plan.replicas > RT_MANY_REPLICAS,
        .stats = f->use.stats,
    };
}

bool fleet_renew(struct rt_fleet *f, uint32_t i, struct rt_err *err)
{
    struct rt_replica_spec spec = replica_spec(f, rt_fleet_pool_of(f, i), i);
    return rt_replica_renew(&f->replicas[i], &spec, err);
}

static bool add_replicas(struct rt_fleet *f, uint32_t pool, int64_t count, struct rt_err *err)
{
    struct pool *p = &f->pools[pool];
    if (!check_hash_block(p, f->use.hash_block, err))
        return false;
    p->plan.first_replica = f->replica_count;
    p->plan.replicas = (uint32_t)count;
    for (int64_t i = 0; i < count; i++) {
        struct rt_replica_spec spec = replica_spec(f, pool, f->replica_count);
        if (!rt_replica_new(&spec, &f->replicas[f->replica_count], err))
            return false;
        f->replica_count++;
    }
    return true;
}

static bool build(struct rt_fleet *f, const struct rt_fleet_spec *spec,
                  const struct rt_fleet_use *use, struct rt_err *err)
{
    int64_t total = 0, ranks = 0;
    if (!rt_fleet_check_roles(spec, err))
        return false;
    for (uint32_t p = 0; p < spec->pool_count; p++) {
        total += rt_pool_slots(&spec->pools[p]);
        ranks += rt_pool_slots(&spec->pools[p]) * spec->pools[p].parallel.data;
    }
    if (ranks > RT_MAX_REPLICAS)
        return rt_fail(err, RT_ECONFIG, "%lld data parallel ranks: expected at most %d",
                       (long long)ranks, RT_MAX_REPLICAS);
    if (total < 1 || total > RT_MAX_REPLICAS)
        return rt_fail(err, RT_ECONFIG, "%lld replicas: expected 1 to %d", (long long)total,
                       RT_MAX_REPLICAS);
    if (!supply_check_down(spec, err))
        return false;
    f->use = *use;
    f->pools = calloc(spec->pool_count, sizeof f->pools[0]);
    f->replicas = calloc((size_t)total, sizeof f->replicas[0]);
    if (!f->pools || !f->replicas)
        return rt_fail_nomem(err, "the fleet");
    f->hides_prefill = spec->kv_transfer.first_token == RT_FIRST_TOKEN_DECODE;
    for (uint32_t p = 0; p < spec->pool_count; p++) {
        f->pool_count = p + 1;
        if (!plan_pool(&f->pools[p], &spec->pools[p], &spec->cost, err) ||
            !add_replicas(f, p, rt_pool_slots(&spec->pools[p]), err))
            return rt_fail_in(err, "pool \"%s\"", spec->pools[p].name);
    }
    return (hand_over_init(f, spec) && routing_init(f, spec, use)) ||
           rt_fail_nomem(err, "the router");
}

bool rt_fleet_new(const struct rt_fleet_spec *spec, const struct rt_fleet_use *use,
                  struct rt_fleet **out, struct rt_err *err)
{
    struct rt_fleet *f = calloc(1, sizeof *f);
    if (!f)
        return rt_fail_nomem(err, "the fleet");
    if (!build(f, spec, use, err)) {
        rt_fleet_free(f);
        return false;
    }
    *out = f;
    return true;
}

void rt_fleet_free(struct rt_fleet *f)
{
    if (!f)
        return;
    for (uint32_t i = 0; i < f->replica_count; i++)
        rt_replica_free(f->replicas[i]);
    for (uint32_t p = 0; p < f->pool_count; p++) {
        rt_cost_free(f->pools[p].cost);
        rt_cost_free(f->pools[p].draft_cost);
    }
    routing_release(f);
    hand_over_release(f);
    free(f->replicas);
    free(f->pools);
    free(f);
}

uint32_t rt_fleet_replicas(const struct rt_fleet *f)
{
    return f->replica_count;
}

struct rt_replica *rt_fleet_replica(const struct rt_fleet *f, uint32_t i)
{
    return f->replicas[i];
}

uint32_t rt_fleet_pools(const struct rt_fleet *f)
{
    return f->pool_count;
}

const struct rt_pool_plan *rt_fleet_pool(const struct rt_fleet *f, uint32_t pool)
{
    return &f->pools[pool].plan;
}

const struct rt_cost *rt_fleet_cost(const struct rt_fleet *f, uint32_t pool)
{
    return f->pools[pool].cost;
}
