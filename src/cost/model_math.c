/* How many parameters a shape has, and how many KV bytes a token takes.
 *
 * Per layer: QKV and O (or MLA's projections), two norms, and an MLP that is dense or made of
 * experts; plus embedding, LM head unless tied, and the final norm. Biases and norms of the heads
 * are counted where the shape says so. A test compares the sums with published totals (0.1 %).
 * Doubles hold every count below 2^53 exactly. O(1). */
#include "catalog_internal.h"
#include "rooftrace/dtype.h"

/* Low-rank projections with their norms: queries by way of q_lora, keys and values of kv_lora. */
static double mla_params(const struct rt_model *m)
{
    double hidden = (double)m->hidden, heads = (double)m->heads;
    double kv_lora = (double)m->kv_lora, q_lora = (double)m->q_lora;
    double query = heads * (double)(m->qk_nope + m->qk_rope);
    double params = hidden * (kv_lora + (double)m->qk_rope) + kv_lora;

    params += kv_lora * heads * (double)(m->qk_nope + m->v_head);
    params += q_lora > 0 ? hidden * q_lora + q_lora + q_lora * query : hidden * query;
    return params + heads * (double)m->v_head * hidden;
}

static double attention_params(const struct rt_model *m)
{
    double hidden = (double)m->hidden, dim = (double)m->head_dim;
    double query = (double)m->heads * dim, kv = 2 * (double)m->kv_heads * dim;
    double params = hidden * (query + kv) + query * hidden;

    if (m->attention == RT_MLA)
        return mla_params(m);
    if (m->qkv_bias)
        params += query + kv;
    if (m->o_bias)
        params += hidden;
    if (m->qk_norm)
        params += 2 * dim;
    return params;
}

/* One MLP of this width: up, gate and down. */
static double mlp_params(const struct rt_model *m, int64_t width)
{
    double hidden = (double)m->hidden, ffn = (double)width, up = m->gated ? 2 : 1;

    return (up + 1) * hidden * ffn + (m->mlp_bias ? up * ffn + hidden : 0);
}

/* A MoE block with `experts` of its routed experts. */
static double moe_params(const struct rt_model *m, int64_t experts)
{
    double router = (double)m->hidden * (double)m->experts;

    if (m->mlp_bias)
        router += (double)m->experts;
    return router + (double)experts * mlp_params(m, m->expert_ffn) +
           (m->shared_ffn > 0 ? mlp_params(m, m->shared_ffn) : 0);
}

int64_t rt_model_moe_layers(const struct rt_model *m)
{
    if (m->experts == 0)
        return 0;
    return (m->layers - m->dense_layers) / (m->moe_every > 1 ? m->moe_every : 1);
}

static double params(const struct rt_model *m, int64_t experts)
{
    double layers = (double)m->layers, moe = (double)rt_model_moe_layers(m);
    double table = (double)m->vocab * (double)m->hidden;
    double sum = table * (m->tied ? 1 : 2) + (double)m->hidden;

    sum += layers * (attention_params(m) + 2 * (double)m->hidden);
    if (layers > moe)
        sum += (layers - moe) * mlp_params(m, m->ffn);
    return moe > 0 ? sum + moe * moe_params(m, experts) : sum;
}

double rt_model_params(const struct rt_model *m)
{
    return params(m, m->experts);
}

double rt_model_params_active(const struct rt_model *m)
{
    return params(m, m->experts_per_token);
}

double rt_model_params_decode(const struct rt_model *m)
{
    double table = (double)m->vocab * (double)m->hidden;

    return rt_model_params_active(m) - (m->tied ? 0 : table);
}

double rt_model_params_routed(const struct rt_model *m, int64_t experts)
{
    double matrices = m->gated ? 3 : 2;

    return (double)rt_model_moe_layers(m) * (double)experts * matrices * (double)m->hidden *
           (double)m->expert_ffn;
}

enum rt_dtype rt_model_expert_dtype(const struct rt_model *m)
{
    return m->experts_apart ? m->expert_dtype : m->dtype;
}

double rt_model_weight_bytes(const struct rt_model *m, enum rt_dtype expert, enum rt_dtype tables,
                             enum rt_dtype rest)
{
    double routed = rt_model_params_routed(m, m->experts);
    double table = (m->tied ? 1 : 2) * (double)m->vocab * (double)m->hidden;

    return routed * rt_dtype_bytes(expert) + table * rt_dtype_bytes(tables) +
           (rt_model_params(m) - routed - table) * rt_dtype_bytes(rest);
}

/* Keys and values of all layers; MLA keeps one latent and one rotary key for all heads. */
double rt_model_kv_bytes_per_token(const struct rt_model *m, enum rt_dtype kv)
{
    double numbers = m->attention == RT_MLA ? (double)(m->kv_lora + m->qk_rope)
                                            : 2 * (double)m->kv_heads * (double)m->head_dim;

    return numbers * (double)m->layers * rt_dtype_bytes(kv);
}
