/* Stages of a pipeline: which layers a stage holds, as inputs of their own.
 *
 * The layers are dealt out as vLLM does: layers/stages each, what remains one each to the stages
 * before the last, from the back [vllm/distributed/utils.py, get_pp_indices]; the last stage gets
 * none of them: it has the final norm and the LM head. Which layers are dense, have experts or a
 * window follows from their places: the first dense_layers are dense, of the others every
 * moe_every-th has experts; windowed layers are spread evenly (records hold their number, not their
 * places).
 *
 * A stage is described by the whole model's inputs with fewer layers, so that whatever prices or
 * weighs a model does the same for a stage. O(1). */
#include "cost_internal.h"

/* Layers in front of stage `index`. */
static int64_t layers_before(const struct rt_cost_inputs *in, int64_t index)
{
    int64_t stages = in->parallel.pipeline, rest = in->model.layers % stages;
    int64_t first_longer = stages - 1 - rest; /* stages first_longer .. stages - 2 hold one more */
    int64_t longer = index - first_longer;

    longer = longer < 0 ? 0 : longer > rest ? rest : longer;
    return index * (in->model.layers / stages) + (rest > 0 ? longer : 0);
}

/* Of the first n layers, those with experts. */
static int64_t moe_before(const struct rt_model *m, int64_t n)
{
    int64_t every = m->moe_every > 1 ? m->moe_every : 1;

    return m->experts > 0 && n > m->dense_layers ? (n - m->dense_layers) / every : 0;
}

/* Of the first n layers, those behind a window; both factors are below 2^17. */
static int64_t local_before(const struct rt_model *m, int64_t n)
{
    return m->local_layers > 0 ? n * m->local_layers / m->layers : 0;
}

static bool together(const struct rt_cost_inputs *in)
{
    return in->parallel.data > 1 && in->model.experts > 0;
}

void rt_stage_of(const struct rt_cost_inputs *in, int64_t index, struct rt_stage *out)
{
    const struct rt_model *whole = &in->model;
    struct rt_model *m = &out->in.model;
    int64_t from = layers_before(in, index), to = layers_before(in, index + 1);
    int64_t moe = moe_before(whole, to) - moe_before(whole, from);

    out->in = *in;
    out->in.parallel.pipeline = 1;
    out->role = (struct rt_role){.first = index == 0,
                                 .last = index == in->parallel.pipeline - 1,
                                 .stages = in->parallel.pipeline,
                                 .together = together(in)};
    if (!out->role.last)
        out->role.hops = rt_link_hop(in, index);
    m->layers = to - from;
    m->local_layers = local_before(whole, to) - local_before(whole, from);
    if (whole->experts == 0)
        return;
    m->dense_layers = m->layers - moe;
    m->moe_every = 1;
    if (moe > 0)
        return;
    m->experts = m->experts_per_token = m->expert_ffn = m->shared_experts = m->shared_ffn = 0;
    m->dense_layers = 0;
    out->in.parallel.expert = 1;
}

void rt_stage_whole(const struct rt_cost_inputs *in, struct rt_role *out)
{
    *out = (struct rt_role){.first = true, .last = true, .stages = in->parallel.pipeline};
    out->together = together(in);
    for (int64_t i = 0; i + 1 < in->parallel.pipeline; i++) {
        struct rt_hop hop = rt_link_hop(in, i);
        out->hops.latency_s += hop.latency_s;
        out->hops.s_per_byte += hop.s_per_byte;
    }
}

bool rt_stage_alike(const struct rt_stage *a, const struct rt_stage *b)
{
    return a->role.first == b->role.first && a->role.last == b->role.last &&
           a->role.hops.latency_s == b->role.hops.latency_s &&
           a->role.hops.s_per_byte == b->role.hops.s_per_byte &&
           a->in.model.layers == b->in.model.layers &&
           a->in.model.local_layers == b->in.model.local_layers &&
           rt_model_moe_layers(&a->in.model) == rt_model_moe_layers(&b->in.model);
}
