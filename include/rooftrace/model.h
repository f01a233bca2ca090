/* cost/model.h: the record of a language model: its shape, and what follows from the shape alone.
 * Immutable; catalog.h reads it. A Hugging Face config.json says the same. O(1). */
#ifndef RT_MODEL_H
#define RT_MODEL_H

#include "rooftrace/dtype.h"
#include "rooftrace/name.h"

#include <stdbool.h>
#include <stdint.h>

enum rt_attention { RT_GQA, RT_MLA };

struct rt_model {
    char name[RT_NAME_SIZE];
    enum rt_attention attention; /* MHA and MQA are GQA with kv_heads = heads and 1 */
    int64_t layers, hidden, heads, kv_heads, head_dim, vocab;
    int64_t ffn; /* width of a dense layer's MLP; 0 when every layer is MoE */
    bool gated, tied, qkv_bias, qk_norm;
    bool o_bias, mlp_bias; /* biases of the output projection; of the MLP and the experts */
    /* Mixture of experts: experts = 0 for a dense model */
    int64_t experts, experts_per_token, expert_ffn;
    int64_t shared_experts, shared_ffn; /* shared_ffn: width of all shared experts together */
    int64_t dense_layers;               /* first layers that are dense */
    int64_t moe_every;                  /* every n-th of the other layers is MoE; 1 = all */
    /* MLA: 0 for GQA; q_lora 0 = queries are not compressed */
    int64_t q_lora, kv_lora, qk_nope, qk_rope, v_head;
    /* Sliding window: local_layers of `layers` read at most window tokens; 0 = none */
    int64_t window, local_layers;
    int64_t max_context; /* tokens; 0 unknown */
    enum rt_dtype dtype; /* of the published weights */
    /* Routed experts in a format of their own (gpt-oss), or as all other weights. */
    bool experts_apart;
    enum rt_dtype expert_dtype; /* if apart */
    char source[256];
};

/* Parameters by formula, from the shape (checked against the published totals by a test). */
double rt_model_params(const struct rt_model *m);        /* all */
double rt_model_params_active(const struct rt_model *m); /* touched by one token */
double rt_model_params_decode(
    const struct rt_model *m); /* active, without an untied input embedding */
int64_t rt_model_moe_layers(const struct rt_model *m); /* layers with experts */
/* Of the matrices of `experts` routed experts in every layer that has them; no biases. */
double rt_model_params_routed(const struct rt_model *m, int64_t experts);
enum rt_dtype rt_model_expert_dtype(const struct rt_model *m);
/* All parameters, as a checkpoint holds them: routed experts, embedding and LM head, the rest. */
double rt_model_weight_bytes(const struct rt_model *m, enum rt_dtype expert, enum rt_dtype tables,
                             enum rt_dtype rest);
double rt_model_kv_bytes_per_token(const struct rt_model *m, enum rt_dtype kv); /* whole model */

#endif
