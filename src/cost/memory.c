/* What fits into one GPU, from first principles:
 *   usable      = mem_bytes * gpu_memory_utilization
 *   weights     = parameters on this GPU * bytes: matrices split by TP (KV heads replicated beyond
 *                 kv_heads), experts by all GPUs of a stage, embedding and LM head by vocabulary
 * and in their own type, norms and biases whole activations = the larger of one layer at
 * max_tokens: residual, hidden, and the widest pair of neighbours (QKV + attention output, or
 * gate+up + activation), 16 bit; and the sampler: rows * vocab * bytes a logit (not split by TP:
 * logits are gathered) context     = what the driver and libraries keep blocks      = floor((usable
 * - weights - activations - context) / block bytes) Some layers behind a sliding window: an engine
 * with a hybrid KV manager gives a window's blocks back as it moves on. Layers form groups of equal
 * size, one page a block and layer [vLLM, kv_cache_utils.py: the smaller number of layers of a
 * kind, or the larger where they differ by less than a quarter]. A sequence never needs more than
 * ceil((window - 1)/block) + 1 blocks a windowed group, and a step max_tokens/block new ones: that
 * is set aside once, and blocks then hold the full layers only. Where that gives fewer blocks than
 * keeping everything (short memory, wide windows), everything is kept. Pipeline stages hold
 * different layers; all must have the same number of blocks, so the stage with the fewest counts.
 * Constants come from the GPU's record. Failure: does not fit, with what would. O(stages). */
#include "rooftrace/memory.h"
#include "cost_internal.h"
#include "rooftrace/dtype.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define HIDDEN_BYTES 2.0
#define MAX_BLOCKS   4503599627370496.0 /* 2^52 */

/* Bytes that routed experts take less (more: negative) than in the type of the other weights. */
static double saved_bytes(const struct rt_cost_inputs *in, const struct rt_operators *ops)
{
    const struct rt_dtypes *d = &in->dtypes;
    double saved = rt_dtype_bytes(d->weight) - rt_dtype_bytes(rt_expert_dtype(d)), sum = 0;
    for (unsigned i = 0; i < ops->count; i++)
        if (ops->op[i].routed)
            sum += ops->op[i].count * ops->op[i].experts * ops->op[i].k * ops->op[i].n;
    return sum * saved;
}

static double weight_bytes(const struct rt_stage *stage)
{
    const struct rt_cost_inputs *in = &stage->in;
    const struct rt_model *m = &in->model;
    struct rt_cost_inputs whole = *in;
    struct rt_operators all, mine;
    whole.parallel = (struct rt_parallel){.tensor = 1, .pipeline = 1, .expert = 1, .data = 1};
    rt_operators_build(&whole, &all);
    rt_operators_build(in, &mine);
    double table = (double)m->vocab * (double)m->hidden, tp = (double)in->parallel.tensor;
    double params = rt_operators_params(&mine) - table / tp, tables = stage->role.last ? 1 : 0;
    /* A tied embedding is the LM head where a GPU has both, else a copy. */
    if (stage->role.first && !(m->tied && stage->role.last))
        tables++;
    double rest = rt_model_params(m) - rt_operators_params(&all) - (m->tied ? 0 : table);
    rest -= stage->role.last ? 0 : (double)m->hidden; /* final norm */
    return (params + fmax(0, rest)) * rt_dtype_bytes(in->dtypes.weight) - saved_bytes(in, &mine) +
           tables * table / tp * rt_dtype_bytes(in->dtypes.head);
}

/* Numbers that one token keeps alive in the widest spot of a layer. */
static double layer_numbers(const struct rt_cost_inputs *in)
{
    const struct rt_model *m = &in->model;
    double tp = (double)in->parallel.tensor, whole = (double)in->parallel.expert;
    double heads = (double)m->heads / tp, gates = m->gated ? 3 : 2;
    double attention = m->attention == RT_MLA
                           ? heads * (double)(2 * (m->qk_nope + m->qk_rope) + 2 * m->v_head)
                           : (2 * heads + 2 * rt_kv_heads_per_gpu(in)) * (double)m->head_dim;
    double mlp = gates * (double)m->ffn / tp;
    if (m->experts > 0) { /* every token of all ranks once per chosen expert: gate+up, activation,
                             output; whole experts get their part of the tokens */
        double ranks = (double)in->parallel.data;
        double columns = (double)m->expert_ffn / (whole > 1 ? 1 : tp * ranks);
        double chosen = ranks * (double)m->experts_per_token / whole;
        double gathered = ranks > 1 ? ranks * (double)m->hidden : 0;
        mlp = fmax(mlp, gathered + chosen * (gates * columns + (double)m->hidden));
    }
    return 2 * (double)m->hidden + fmax(attention, mlp);
}

static double activation_bytes(const struct rt_stage *stage)
{
    const struct rt_cost_inputs *in = &stage->in;
    const struct rt_gpu_constants *k = &in->gpu.k;
    double tokens = (double)in->max_tokens;
    double rows = in->max_seqs > 0 ? (double)in->max_seqs : k->memory_sampled_rows;
    double layer = tokens * layer_numbers(in) * HIDDEN_BYTES;
    double sampler = fmin(rows, tokens) * (double)in->model.vocab * k->memory_bytes_per_logit;
    return stage->role.last ? fmax(layer, sampler) : layer;
}

/* ---- KV -------------------------------------------------------------------------------------- */

/* Groups of layers that share one table of blocks, of the whole model. */
struct groups {
    int64_t full, local; /* 0: no hybrid layout */
};

static struct groups groups_of(const struct rt_model *m)
{
    int64_t local = m->window > 0 ? m->local_layers : 0, full = m->layers - local;
    int64_t least = local < full ? local : full, most = local < full ? full : local;
    if (least < 1)
        return (struct groups){0, 0};
    int64_t size = 4 * most < 5 * least ? most : least; /* most < 1.25 * least */
    return (struct groups){(full + size - 1) / size, (local + size - 1) / size};
}

static int64_t div_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static double whole_blocks(double left, double block_bytes)
{
    return fmax(-MAX_BLOCKS, fmin(MAX_BLOCKS, floor(left / block_bytes)));
}

/* Fills block_bytes, window_bytes and blocks; `left` bytes are free for KV. */
static void plan_blocks(const struct rt_cost_inputs *in, struct groups g, int64_t block_size,
                        double left, struct rt_memory_plan *out)
{
    const struct rt_model *m = &in->model;
    double page = (double)block_size * rt_kv_bytes_per_layer(in);
    out->block_bytes = (double)m->layers * page;
    double blocks = whole_blocks(left, out->block_bytes);
    if (g.full > 0 && in->max_seqs > 0) {
        int64_t full = div_up(m->layers - m->local_layers, g.full);
        int64_t local = div_up(m->local_layers, g.local);
        double unit = (double)(full > local ? full : local) * page; /* a block of any group */
        double held = (double)in->max_seqs * (double)(div_up(m->window - 1, block_size) + 1) +
                      (double)div_up(in->max_tokens, block_size);
        double windows = (double)g.local * unit * held;
        double apart = whole_blocks(left - windows, (double)g.full * unit);
        if (apart > blocks) {
            blocks = apart;
            out->window_bytes = windows;
            out->block_bytes = (double)g.full * unit;
        }
    }
    out->blocks = (int64_t)blocks;
}

static void stage_figures(const struct rt_stage *stage, struct groups g, double utilization,
                          int64_t block_size, struct rt_memory_plan *out)
{
    const struct rt_cost_inputs *in = &stage->in;
    memset(out, 0, sizeof *out);
    out->total = in->gpu.mem_bytes;
    out->usable = in->gpu.mem_bytes * utilization;
    out->weights = weight_bytes(stage);
    out->activations = activation_bytes(stage);
    out->context = in->gpu.k.memory_context_bytes;
    double left = out->usable - out->weights - out->activations - out->context;
    plan_blocks(in, g, block_size, left, out);
}

void rt_memory_figures(const struct rt_cost_inputs *in, double gpu_memory_utilization,
                       int64_t block_size, struct rt_memory_plan *out)
{
    struct rt_cost_inputs even = *in;
    struct groups groups = groups_of(&in->model);
    memset(out, 0, sizeof *out);
    even.spec.expert_skew = 0; /* who is popular does not matter here */
    for (int64_t i = 0; i < in->parallel.pipeline; i++) {
        struct rt_memory_plan plan;
        struct rt_stage stage;
        rt_stage_of(&even, i, &stage);
        stage_figures(&stage, groups, gpu_memory_utilization, block_size, &plan);
        plan.stage = i;
        if (i == 0 || plan.blocks < out->blocks)
            *out = plan;
    }
}

/* Smallest degree at which at least one block fits; 0 none. */
static int64_t smallest_tp(const struct rt_cost_inputs *in, double utilization, int64_t block_size)
{
    struct rt_cost_inputs try = *in;
    struct rt_memory_plan plan;
    struct rt_err ignored;
    bool whole_experts = in->parallel.expert > 1;
    for (int64_t tp = in->parallel.tensor + 1; tp <= RT_MAX_DEGREE; tp++) {
        try.parallel.tensor = tp;
        try.parallel.expert = whole_experts ? tp * in->parallel.data : 1;
        if (!rt_cost_check(&try, &ignored))
            continue;
        rt_memory_figures(&try, utilization, block_size, &plan);
        if (plan.blocks >= 1)
            return tp;
    }
    return 0;
}

static bool fail_to_fit(const struct rt_cost_inputs *in, double utilization, int64_t block_size,
                        const struct rt_memory_plan *p, struct rt_err *err)
{
    double need = p->weights + p->activations + p->context + p->block_bytes;
    int64_t tp = smallest_tp(in, utilization, block_size);
    char hint[96];
    if (tp > 0)
        snprintf(hint, sizeof hint, "tensor_parallel %lld is the smallest that fits",
                 (long long)tp);
    else
        snprintf(hint, sizeof hint, "no tensor_parallel degree makes it fit");
    return rt_fail(err, RT_ECONFIG,
                   "%s does not fit on %s with tensor_parallel %lld: %.2f GB missing per GPU "
                   "(%.2f GB weights + %.2f GB activations + %.2f GB context + one KV block, of "
                   "%.2f GB usable); %s",
                   in->model.name, in->gpu.name, (long long)in->parallel.tensor,
                   (need - p->usable) / 1e9, p->weights / 1e9, p->activations / 1e9,
                   p->context / 1e9, p->usable / 1e9, hint);
}

bool rt_memory_plan(const struct rt_cost_inputs *in, double gpu_memory_utilization,
                    int64_t block_size, struct rt_memory_plan *out, struct rt_err *err)
{
    if (!(gpu_memory_utilization > 0 && gpu_memory_utilization <= 1))
        return rt_fail(err, RT_ECONFIG, "gpu_memory_utilization: expected 0 < x <= 1, read %g",
                       gpu_memory_utilization);
    if (block_size < 1)
        return rt_fail(err, RT_ECONFIG, "block_size: expected an integer from 1, read %lld",
                       (long long)block_size);
    if (!(in->gpu.mem_bytes > 0))
        return rt_fail(err, RT_ECONFIG, "gpu %s: its memory size is not known", in->gpu.name);
    if (!rt_cost_check(in, err))
        return false;
    rt_memory_figures(in, gpu_memory_utilization, block_size, out);
    return out->blocks >= 1 || fail_to_fit(in, gpu_memory_utilization, block_size, out, err);
}
