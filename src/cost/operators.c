/* The matrix products of one step, as a list: what the roofline times, the speed of light adds up
 * and the memory plan weighs. Built from the model's shape after the tensor parallel split:
 *   attention   GQA: QKV (K = H, N = (Hq + 2*Hkv)*D), O (K = Hq*D, N = H)
 *               MLA: down-projections to the latents (on every GPU), up-projections and O by heads
 *   MLP         gate+up in one product (K = H, N = 2*ffn), down (K = ffn, N = H)
 *   MoE         router (on every GPU), grouped gate+up and down, shared experts as an MLP
 *   LM head     K = H, N = vocab, on the S rows that get a token
 * KV heads are replicated when there are more GPUs than KV heads. Experts are shared by all GPUs of
 * a stage, tensor * data of them: a slice of every expert each, or, with expert = tensor * data,
 * whole ones (the busiest GPU's are listed). A stage of a pipeline is built like a model of its own
 * (stages.c). Failures: rt_cost_check, one line that names what is supported. O(1), with skewed
 * routing O(experts). */
#include "cost_internal.h"
#include "rooftrace/dtype.h"
#include "rooftrace/gpu.h"

#include <assert.h>
#include <string.h>

#define NUMBER_BYTES 2.0 /* of what goes from one product to the next: 16 bit */

/* ---- what can be priced ---------------------------------------------------------------------- */

/* GPUs that share the experts of a layer: all of a stage, whichever way they are split. */
static int64_t expert_gpus(const struct rt_parallel *p)
{
    return p->tensor * p->data;
}

static bool check_degrees(const struct rt_cost_inputs *in, struct rt_err *err)
{
    const struct rt_parallel *p = &in->parallel;
    if (p->tensor < 1 || p->pipeline < 1 || p->expert < 1 || p->data < 1)
        return rt_fail(err, RT_ECONFIG, "parallel degrees: expected integers from 1");
    if (p->tensor > RT_MAX_DEGREE || p->pipeline > RT_MAX_DEGREE || p->data > RT_MAX_DEGREE)
        return rt_fail(err, RT_ECONFIG, "parallel degrees: expected at most %d", RT_MAX_DEGREE);
    return true;
}

static bool check_parallel(const struct rt_cost_inputs *in, struct rt_err *err)
{
    const struct rt_parallel *p = &in->parallel;
    if (!check_degrees(in, err))
        return false;
    if (p->expert != 1 && in->model.experts == 0)
        return rt_fail(err, RT_ECONFIG, "expert_parallel %lld: %s has no experts",
                       (long long)p->expert, in->model.name);
    if (p->expert != 1 && p->expert != expert_gpus(p))
        return rt_fail(err, RT_ECONFIG,
                       "expert_parallel %lld: expected 1, or tensor_parallel * data_parallel "
                       "(%lld) for whole experts on each GPU",
                       (long long)p->expert, (long long)expert_gpus(p));
    if (p->expert != 1 && in->model.experts % p->expert != 0)
        return rt_fail(err, RT_ECONFIG, "expert_parallel %lld: does not divide %s's %lld experts",
                       (long long)p->expert, in->model.name, (long long)in->model.experts);
    if (!(in->spec.expert_skew >= 0 && in->spec.expert_skew <= RT_MAX_EXPERT_SKEW))
        return rt_fail(err, RT_ECONFIG, "expert_skew: expected 0 to %g, read %g",
                       RT_MAX_EXPERT_SKEW, in->spec.expert_skew);
    return true;
}

static bool divides(const struct rt_cost_inputs *in, int64_t count, const char *what,
                    struct rt_err *err)
{
    if (count % in->parallel.tensor == 0)
        return true;
    return rt_fail(err, RT_ECONFIG, "tensor_parallel %lld: does not divide %s's %lld %s",
                   (long long)in->parallel.tensor, in->model.name, (long long)count, what);
}

static bool check_model(const struct rt_cost_inputs *in, struct rt_err *err)
{
    const struct rt_model *m = &in->model;
    bool latent = m->attention == RT_MLA;
    if (m->layers < 1 || m->hidden < 1 || m->heads < 1 || m->vocab < 1 ||
        (!latent && (m->kv_heads < 1 || m->head_dim < 1)) ||
        (latent && (m->kv_lora < 1 || m->qk_nope < 1 || m->qk_rope < 1 || m->v_head < 1)))
        return rt_fail(err, RT_ECONFIG, "model %s: its attention shape is incomplete", m->name);
    if (m->experts > 0 && (m->experts_per_token < 1 || m->experts_per_token > m->experts ||
                           m->expert_ffn < 1 || m->moe_every < 1))
        return rt_fail(err, RT_ECONFIG, "model %s: its shape of experts is incomplete", m->name);
    if (in->parallel.pipeline > m->layers)
        return rt_fail(err, RT_ECONFIG, "pipeline_parallel %lld: %s has only %lld layers",
                       (long long)in->parallel.pipeline, m->name, (long long)m->layers);
    if (!divides(in, m->heads, "attention heads", err))
        return false;
    int64_t tp = in->parallel.tensor;
    if (!latent && m->kv_heads % tp != 0 && tp % m->kv_heads != 0)
        return rt_fail(
            err, RT_ECONFIG,
            "tensor_parallel %lld: neither divides nor is a multiple of %s's %lld KV heads",
            (long long)tp, m->name, (long long)m->kv_heads);
    if ((m->ffn > 0 && !divides(in, m->ffn, "MLP columns", err)) ||
        (m->shared_ffn > 0 && !divides(in, m->shared_ffn, "shared expert columns", err)))
        return false;
    if (m->experts == 0 || in->parallel.expert != 1 ||
        m->expert_ffn % expert_gpus(&in->parallel) == 0)
        return true;
    return rt_fail(err, RT_ECONFIG,
                   "tensor_parallel * data_parallel %lld: does not divide %s's %lld expert columns",
                   (long long)expert_gpus(&in->parallel), m->name, (long long)m->expert_ffn);
}

static bool check_gpu(const struct rt_cost_inputs *in, struct rt_err *err)
{
    const struct rt_gpu *g = &in->gpu;
    unsigned a = (unsigned)in->dtypes.activation;
    if (!(g->mem_bw_bytes_per_s > 0))
        return rt_fail(err, RT_ECONFIG, "gpu %s: its memory bandwidth is not known", g->name);
    if (a < RT_DTYPE_COUNT && g->peak_flops[a] > 0)
        return true;
    char known[128] = "";
    for (unsigned d = 0; d < RT_DTYPE_COUNT; d++) {
        if (!(g->peak_flops[d] > 0))
            continue;
        if (known[0] != '\0')
            strncat(known, ", ", sizeof known - strlen(known) - 1);
        strncat(known, rt_dtype_names[d], sizeof known - strlen(known) - 1);
    }
    return rt_fail(err, RT_ECONFIG, "gpu %s: no unit for activation_dtype %s; it has %s", g->name,
                   a < RT_DTYPE_COUNT ? rt_dtype_names[a] : "?", known[0] ? known : "none known");
}

bool rt_cost_check(const struct rt_cost_inputs *in, struct rt_err *err)
{
    return check_parallel(in, err) && check_model(in, err) && check_gpu(in, err);
}

/* ---- the list -------------------------------------------------------------------------------- */

static struct rt_operator *add(struct rt_operators *ops, const char *name, double count, double k,
                               double n)
{
    assert(ops->count < RT_MAX_OPERATORS);
    struct rt_operator *op = &ops->op[ops->count++];
    *op = (struct rt_operator){.name = name, .k = k, .n = n, .count = count, .experts = 1};
    return op;
}

double rt_kv_heads_per_gpu(const struct rt_cost_inputs *in)
{
    int64_t heads = in->model.kv_heads / in->parallel.tensor;
    return (double)(heads > 1 ? heads : 1);
}

double rt_kv_bytes_per_layer(const struct rt_cost_inputs *in)
{
    const struct rt_model *m = &in->model;
    double numbers = m->attention == RT_MLA
                         ? (double)(m->kv_lora + m->qk_rope) /* one latent, whole on every GPU */
                         : 2 * rt_kv_heads_per_gpu(in) * (double)m->head_dim;
    return numbers * rt_dtype_bytes(in->dtypes.kv);
}

static void add_attention(const struct rt_cost_inputs *in, struct rt_operators *ops)
{
    const struct rt_model *m = &in->model;
    double layers = (double)m->layers, hidden = (double)m->hidden;
    double heads = (double)m->heads / (double)in->parallel.tensor;
    if (m->attention == RT_GQA) {
        double dim = (double)m->head_dim;
        add(ops, "qkv", layers, hidden, (heads + 2 * rt_kv_heads_per_gpu(in)) * dim);
        add(ops, "o", layers, heads * dim, hidden);
        return;
    }
    double latent = (double)(m->kv_lora + m->qk_rope), q_dim = (double)(m->qk_nope + m->qk_rope);
    if (m->q_lora > 0) { /* both down-projections are one product */
        add(ops, "qkv_down", layers, hidden, (double)m->q_lora + latent);
        add(ops, "q_up", layers, (double)m->q_lora, heads * q_dim);
    } else {
        add(ops, "kv_down", layers, hidden, latent);
        add(ops, "q", layers, hidden, heads * q_dim);
    }
    /* The up-projection of the latent; a decode absorbs the same numbers into Q and O. */
    add(ops, "kv_up", layers, (double)m->kv_lora, heads * (double)(m->qk_nope + m->v_head));
    add(ops, "o", layers, heads * (double)m->v_head, hidden);
}

/* gate+up and down of one MLP. */
static void add_mlp(struct rt_operators *ops, const struct rt_model *m, const char *const names[2],
                    double count, double columns)
{
    add(ops, names[0], count, (double)m->hidden, (m->gated ? 2 : 1) * columns);
    add(ops, names[1], count, columns, (double)m->hidden);
}

/* Router, routed experts (slices of all of them, or whole ones) and shared experts. */
static void add_experts(const struct rt_cost_inputs *in, struct rt_operators *ops)
{
    static const char *const routed[2] = {"experts_gate_up", "experts_down"};
    static const char *const shared[2] = {"shared_gate_up", "shared_down"};
    const struct rt_model *m = &in->model;
    int64_t whole = in->parallel.expert;
    double columns = (double)m->expert_ffn / (whole > 1 ? 1 : (double)expert_gpus(&in->parallel));
    rt_routing_init(m, in->spec.expert_skew, whole, &ops->routing);
    add(ops, "router", ops->moe_layers, (double)m->hidden, (double)m->experts);
    unsigned first = ops->count;
    add_mlp(ops, m, routed, ops->moe_layers, columns);
    for (unsigned i = first; i < ops->count; i++) {
        ops->op[i].routed = true;
        ops->op[i].experts = (double)m->experts / (double)whole;
    }
    /* activation: gate and up read, one written; results of a token's experts read and summed */
    ops->routed_bytes = NUMBER_BYTES * (double)m->experts_per_token *
                        ((m->gated ? 3 : 2) * columns + (double)m->hidden);
    if (m->shared_ffn > 0)
        add_mlp(ops, m, shared, ops->moe_layers,
                (double)m->shared_ffn / (double)in->parallel.tensor);
}

void rt_operators_build(const struct rt_cost_inputs *in, struct rt_operators *out)
{
    static const char *const dense[2] = {"gate_up", "down"};
    const struct rt_model *m = &in->model;
    double tp = (double)in->parallel.tensor;
    memset(out, 0, sizeof *out);
    out->in_tiles = in->experts_in_tiles;
    if (m->experts > 0)
        out->moe_layers = (double)rt_model_moe_layers(m);
    out->dense_layers = (double)m->layers - out->moe_layers;

    add_attention(in, out);
    if (out->dense_layers > 0 && m->ffn > 0)
        add_mlp(out, m, dense, out->dense_layers, (double)m->ffn / tp);
    if (out->moe_layers > 0)
        add_experts(in, out);
    add(out, "lm_head", 1, (double)m->hidden, (double)m->vocab / tp)->head = true;
}

enum rt_dtype rt_expert_dtype(const struct rt_dtypes *d)
{
    return d->experts_apart ? d->expert : d->weight;
}

double rt_operators_params(const struct rt_operators *ops)
{
    double sum = 0;
    for (unsigned i = 0; i < ops->count; i++)
        sum += ops->op[i].count * ops->op[i].experts * ops->op[i].k * ops->op[i].n;
    return sum;
}

double rt_operator_touched(const struct rt_operators *ops, const struct rt_operator *op, double m)
{
    return op->routed ? rt_routing_touched(&ops->routing, m) : op->experts;
}

double rt_operator_rows(const struct rt_operators *ops, const struct rt_operator *op, double m)
{
    return op->routed ? m * ops->routing.rows : m;
}
