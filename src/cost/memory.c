/* What fits into one GPU, from first principles:
 *   usable      = mem_bytes * gpu_memory_utilization
 *   weights     = parameters on this GPU * bytes: matrices split by TP (KV heads replicated beyond
 *                 kv_heads), embedding and LM head split by vocabulary, norms and biases on every
 * GPU activations = the larger of one layer at max_tokens: residual, hidden, and the widest pair of
 * neighbours (QKV + attention output, or gate+up + activation), 16 bit the sampler: rows * vocab *
 * bytes a logit (not split by TP: logits are gathered) context     = what the driver and libraries
 * keep blocks      = floor((usable - weights - activations - context) / block bytes) Windowed
 * layers are given as many blocks as full ones (what an engine without a hybrid KV manager does).
 * Constants come from the GPU's record. Failure: does not fit, with what would. O(1). */
#include "rooftrace/memory.h"
#include "cost_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define HIDDEN_BYTES 2.0
#define LARGEST_TP   1024
#define MAX_BLOCKS   4503599627370496.0 /* 2^52 */

static double weight_bytes(const struct rt_cost_inputs *in)
{
    const struct rt_model *m = &in->model;
    struct rt_cost_inputs whole = *in;
    whole.parallel.tensor = whole.parallel.expert = 1;
    struct rt_operators all, mine;
    rt_operators_build(&whole, &all);
    rt_operators_build(in, &mine);
    /* A tied embedding is the LM head, already among the operators. */
    double embedding = m->tied ? 0 : (double)m->vocab * (double)m->hidden;
    double rest = fmax(0, rt_model_params(m) - rt_operators_params(&all) - embedding);
    double params = rt_operators_params(&mine) + embedding / (double)in->parallel.tensor + rest;
    return params * rt_dtype_bytes(in->dtypes.weight);
}

/* Numbers that one token keeps alive in the widest spot of a layer. */
static double layer_numbers(const struct rt_cost_inputs *in)
{
    const struct rt_model *m = &in->model;
    double tp = (double)in->parallel.tensor, ep = (double)in->parallel.expert;
    double heads = (double)m->heads / tp, gates = m->gated ? 3 : 2;
    double attention = m->attention == RT_MLA
                           ? heads * (double)(2 * (m->qk_nope + m->qk_rope) + 2 * m->v_head)
                           : (2 * heads + 2 * rt_kv_heads_per_gpu(in)) * (double)m->head_dim;
    double mlp = gates * (double)m->ffn / tp;
    if (m->experts > 0) { /* every token once per chosen expert: gate+up, activation, output */
        double columns = (double)m->expert_ffn / (ep > 1 ? 1 : tp);
        double chosen = (double)m->experts_per_token / ep;
        mlp = fmax(mlp, chosen * (gates * columns + (double)m->hidden));
    }
    return 2 * (double)m->hidden + fmax(attention, mlp);
}

static double activation_bytes(const struct rt_cost_inputs *in)
{
    const struct rt_gpu_constants *k = &in->gpu.k;
    double tokens = (double)in->max_tokens;
    double rows = in->max_seqs > 0 ? (double)in->max_seqs : k->memory_sampled_rows;
    double layer = tokens * layer_numbers(in) * HIDDEN_BYTES;
    double sampler = fmin(rows, tokens) * (double)in->model.vocab * k->memory_bytes_per_logit;
    return fmax(layer, sampler);
}

void rt_memory_figures(const struct rt_cost_inputs *in, double gpu_memory_utilization,
                       int64_t block_size, struct rt_memory_plan *out)
{
    memset(out, 0, sizeof *out);
    out->total = in->gpu.mem_bytes;
    out->usable = in->gpu.mem_bytes * gpu_memory_utilization;
    out->weights = weight_bytes(in);
    out->activations = activation_bytes(in);
    out->context = in->gpu.k.memory_context_bytes;
    out->block_bytes = (double)block_size * (double)in->model.layers * rt_kv_bytes_per_layer(in);
    double blocks =
        floor((out->usable - out->weights - out->activations - out->context) / out->block_bytes);
    out->blocks = (int64_t)fmax(-MAX_BLOCKS, fmin(MAX_BLOCKS, blocks));
}

/* Smallest degree at which at least one block fits; 0 none. */
static int64_t smallest_tp(const struct rt_cost_inputs *in, double utilization, int64_t block_size)
{
    struct rt_cost_inputs try = *in;
    struct rt_memory_plan plan;
    struct rt_err ignored;
    bool whole_experts = in->parallel.expert > 1;
    for (int64_t tp = in->parallel.tensor + 1; tp <= LARGEST_TP; tp++) {
        try.parallel.tensor = tp;
        try.parallel.expert = whole_experts ? tp : 1;
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
