/* The matrix products of one step, as a list: what the roofline times, the speed of light adds up
 * and the memory plan weighs. Built from the model's shape after the tensor parallel split:
 *   attention   GQA: QKV (K = H, N = (Hq + 2*Hkv)*D), O (K = Hq*D, N = H)
 *               MLA: down-projections to the latents (on every GPU), up-projections and O by heads
 *   MLP         gate+up in one product (K = H, N = 2*ffn), down (K = ffn, N = H)
 *   MoE         router (on every GPU), grouped gate+up and down, shared experts as an MLP
 *   LM head     K = H, N = vocab, on the S rows that get a token
 * KV heads are replicated when there are more GPUs than KV heads. With expert = tensor every GPU
 * holds experts/tensor whole experts, otherwise a slice of all of them. Failures: rt_cost_check,
 * one line that names what is supported. O(1). */
#include "cost_internal.h"

#include <assert.h>
#include <math.h>
#include <string.h>

/* ---- what can be priced ---------------------------------------------------------------------- */

static bool check_parallel(const struct rt_cost_inputs *in, struct rt_err *err)
{
    const struct rt_parallel *p = &in->parallel;
    long long tp = (long long)p->tensor;
    if (p->tensor < 1 || p->pipeline < 1 || p->expert < 1 || p->data < 1)
        return rt_fail(err, RT_ECONFIG, "parallel degrees: expected integers from 1");
    if (p->pipeline != 1)
        return rt_fail(err, RT_ECONFIG,
                       "pipeline_parallel %lld: only 1 can be priced; tensor_parallel is supported",
                       (long long)p->pipeline);
    if (p->data != 1)
        return rt_fail(err, RT_ECONFIG,
                       "data_parallel %lld: only 1 can be priced; for a model without experts "
                       "`replicas` is the same thing",
                       (long long)p->data);
    if (p->expert != 1 && in->model.experts == 0)
        return rt_fail(err, RT_ECONFIG, "expert_parallel %lld: %s has no experts",
                       (long long)p->expert, in->model.name);
    if (p->expert != 1 && p->expert != p->tensor)
        return rt_fail(err, RT_ECONFIG,
                       "expert_parallel %lld: expected 1, or tensor_parallel (%lld) for whole "
                       "experts on each GPU",
                       (long long)p->expert, tp);
    if (p->expert != 1 && in->model.experts % p->expert != 0)
        return rt_fail(err, RT_ECONFIG, "expert_parallel %lld: does not divide %s's %lld experts",
                       (long long)p->expert, in->model.name, (long long)in->model.experts);
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
    return m->experts == 0 || in->parallel.expert != 1 ||
           divides(in, m->expert_ffn, "expert columns", err);
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

static struct rt_operator *add(struct rt_operators *ops, double count, double k, double n)
{
    assert(ops->count < RT_MAX_OPERATORS);
    struct rt_operator *op = &ops->op[ops->count++];
    *op = (struct rt_operator){.k = k, .n = n, .count = count, .experts = 1};
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
        add(ops, layers, hidden, (heads + 2 * rt_kv_heads_per_gpu(in)) * dim);
        add(ops, layers, heads * dim, hidden);
        return;
    }
    double latent = (double)(m->kv_lora + m->qk_rope), q_dim = (double)(m->qk_nope + m->qk_rope);
    if (m->q_lora > 0) { /* both down-projections are one product */
        add(ops, layers, hidden, (double)m->q_lora + latent);
        add(ops, layers, (double)m->q_lora, heads * q_dim);
    } else {
        add(ops, layers, hidden, latent);
        add(ops, layers, hidden, heads * q_dim);
    }
    /* The up-projection of the latent; a decode absorbs the same numbers into Q and O. */
    add(ops, layers, (double)m->kv_lora, heads * (double)(m->qk_nope + m->v_head));
    add(ops, layers, heads * (double)m->v_head, hidden);
}

/* gate+up and down of one MLP, or of a group of routed experts. */
static void add_mlp(struct rt_operators *ops, const struct rt_model *m, double count,
                    double columns, double experts)
{
    struct rt_operator *up = add(ops, count, (double)m->hidden, (m->gated ? 2 : 1) * columns);
    struct rt_operator *down = add(ops, count, columns, (double)m->hidden);
    up->routed = down->routed = experts > 0;
    up->experts = down->experts = experts > 0 ? experts : 1;
}

void rt_operators_build(const struct rt_cost_inputs *in, struct rt_operators *out)
{
    const struct rt_model *m = &in->model;
    double tp = (double)in->parallel.tensor, ep = (double)in->parallel.expert;
    memset(out, 0, sizeof *out);
    if (m->experts > 0)
        out->moe_layers = (double)rt_model_moe_layers(m);
    out->dense_layers = (double)m->layers - out->moe_layers;

    add_attention(in, out);
    if (out->dense_layers > 0 && m->ffn > 0)
        add_mlp(out, m, out->dense_layers, (double)m->ffn / tp, 0);
    if (out->moe_layers > 0) {
        double columns = (double)m->expert_ffn / (ep > 1 ? 1 : tp);
        out->expert_share = (double)m->experts_per_token / (double)m->experts;
        add(out, out->moe_layers, (double)m->hidden, (double)m->experts);
        add_mlp(out, m, out->moe_layers, columns, (double)m->experts / ep);
        if (m->shared_ffn > 0)
            add_mlp(out, m, out->moe_layers, (double)m->shared_ffn / tp, 0);
    }
    add(out, 1, (double)m->hidden, (double)m->vocab / tp)->head = true;
}

double rt_operators_params(const struct rt_operators *ops)
{
    double sum = 0;
    for (unsigned i = 0; i < ops->count; i++)
        sum += ops->op[i].count * ops->op[i].experts * ops->op[i].k * ops->op[i].n;
    return sum;
}

/* Uniform routing: each of m tokens picks an expert with chance topk/E, so it stays untouched with
 * (1 - topk/E)^m. One token touches topk of E. */
double rt_operator_touched(const struct rt_operator *op, double expert_share, double m)
{
    if (!op->routed)
        return op->experts;
    return op->experts * (1 - pow(1 - expert_share, m));
}

double rt_operator_rows(const struct rt_operator *op, double expert_share, double m)
{
    return op->routed ? m * expert_share * op->experts : m;
}
