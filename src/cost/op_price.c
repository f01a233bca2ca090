/* What the roofline says about a single measured row: the formulas of a step, one operator at a
 * time. Rows are of one GPU after the tensor parallel split, so a row becomes a model of one layer
 * on one GPU, and the same functions price it as price a step. O(1) a row. */
#include "op_internal.h"
#include "rooftrace/dtype.h"

#include <string.h>

static int64_t whole(double x)
{
    return (int64_t)(x + 0.5);
}

/* A model of one layer with the row's shape. */
static void layer_of(const struct rt_op_row *row, struct rt_model *m)
{
    const double *v = row->value;
    *m = (struct rt_model){.layers = 1, .attention = RT_GQA, .moe_every = 1, .gated = true};
    m->heads = v[RT_OPF_HEADS] > 0 ? whole(v[RT_OPF_HEADS]) : 1;
    m->kv_heads = v[RT_OPF_KV_HEADS] > 0 ? whole(v[RT_OPF_KV_HEADS]) : 1;
    m->head_dim = v[RT_OPF_HEAD_DIM] > 0 ? whole(v[RT_OPF_HEAD_DIM]) : 1;
    m->hidden = v[RT_OPF_HIDDEN] > 0 ? whole(v[RT_OPF_HIDDEN]) : 1;
    m->vocab = 1;
    if (row->op == RT_OP_MOE) {
        m->experts = whole(v[RT_OPF_EXPERTS]);
        m->experts_per_token = whole(v[RT_OPF_TOPK]);
        m->expert_ffn = whole(v[RT_OPF_FFN]);
    } else {
        m->ffn = whole(v[RT_OPF_FFN]);
    }
}

/* The table says bf16 for either 16 bit type; this GPU may know one of them only. */
static enum rt_dtype activation_on(const struct rt_gpu *gpu, enum rt_dtype activation)
{
    if (activation == RT_BF16 && !(gpu->peak_flops[RT_BF16] > 0))
        return RT_FP16;
    return activation;
}

void rt_op_pricer_init(struct rt_op_pricer *p, const struct rt_gpu *gpu,
                       const struct rt_nodes *nodes, const struct rt_op_row *row)
{
    struct rt_cost_inputs in = {.gpu = *gpu,
                                .parallel = {1, 1, 1, 1},
                                .dtypes = {.weight = row->dtype,
                                           .activation = activation_on(gpu, row->activation),
                                           .kv = row->dtype,
                                           .head = row->dtype}};
    memset(p, 0, sizeof *p);
    p->op = row->op;
    p->k = gpu->k;
    layer_of(row, &in.model);
    rt_gemm_rates(&in, &p->rates);
    switch (row->op) {
    case RT_OP_PREFILL:
    case RT_OP_DECODE:
    case RT_OP_MIXED:
        rt_attention_init(&in, &p->rates, &p->attention);
        break;
    case RT_OP_MOE:
        in.parallel.tensor = in.parallel.expert = whole(row->value[RT_OPF_EP]);
        rt_operators_build(&in, &p->ops);
        rt_moe_rates(&in, &p->rates);
        break;
    case RT_OP_ALL_REDUCE:
        in.nodes =
            nodes != NULL ? *nodes : (struct rt_nodes){.gpus = whole(row->value[RT_OPF_GPUS])};
        p->ring = rt_ring_of(&in, whole(row->value[RT_OPF_GPUS]), 1);
        break;
    case RT_OP_ELEMENTWISE:
        rt_operators_build(&in, &p->ops);
        p->token_bytes = rt_elementwise_bytes(&in, &p->ops);
        break;
    case RT_OP_GEMM:
    case RT_OP_SAMPLER:
    case RT_OP_COUNT:
        break;
    }
}

static double attention_s(const struct rt_op_pricer *p, const double v[RT_OPF_COUNT])
{
    struct rt_step_shape s;
    double terms_s[RT_TERM_COUNT] = {0}, sum = 0;
    int64_t chunks = p->op == RT_OP_PREFILL ? whole(v[RT_OPF_BATCH]) : 1;
    memset(&s, 0, sizeof s);
    if (p->op != RT_OP_DECODE) {
        rt_step_add_prefill(&s, whole(v[RT_OPF_Q]), whole(v[RT_OPF_HELD]));
        s.tokens = s.prefill_tokens *= chunks;
        s.sequences = chunks;
        s.prefill_area *= chunks;
        s.held_tokens = s.prefill_held *= chunks;
        s.prefill_tiles *= chunks;
        s.prefill_tiles2 *= chunks;
    }
    if (p->op != RT_OP_PREFILL)
        rt_step_add_decodes(&s, whole(v[RT_OPF_BATCH]), whole(v[RT_OPF_CONTEXT]), NULL, 0);
    rt_attention_terms(&p->attention, &s, terms_s);
    for (int i = 0; i < RT_TERM_COUNT; i++)
        sum += terms_s[i];
    return sum;
}

/* Routed products and what a block costs besides. */
static double moe_s(const struct rt_op_pricer *p, double m)
{
    double sum = p->k.moe_overhead_s + rt_moe_io_s(&p->k, &p->ops, m);
    for (unsigned i = 0; i < p->ops.count; i++) {
        const struct rt_operator *op = &p->ops.op[i];
        if (!op->routed)
            continue;
        struct rt_gemm_time t = rt_operator_time(&p->rates, &p->k, &p->ops, op, m).gemm;
        sum += t.weights_s + t.compute_s + p->rates.overhead_s;
    }
    return sum;
}

double rt_op_price(const struct rt_op_pricer *p, const double v[RT_OPF_COUNT])
{
    struct rt_cost_row row;
    struct rt_gemm_time t;
    struct rt_ring ring;
    switch (p->op) {
    case RT_OP_GEMM:
        t = rt_gemm(&p->rates, v[RT_OPF_M], v[RT_OPF_K], v[RT_OPF_N]);
        return t.weights_s + t.compute_s + p->rates.overhead_s;
    case RT_OP_PREFILL:
    case RT_OP_DECODE:
    case RT_OP_MIXED:
        return attention_s(p, v);
    case RT_OP_MOE:
        return moe_s(p, v[RT_OPF_M]);
    case RT_OP_ALL_REDUCE:
        ring = p->ring;
        ring.k = &p->k; /* a pricer may have been copied */
        return rt_ring_all_reduce_s(&ring, v[RT_OPF_BYTES]);
    case RT_OP_ELEMENTWISE:
        row =
            rt_elementwise_row(&p->k, 1, p->token_bytes / p->k.elementwise_ref_bytes, v[RT_OPF_M]);
        return row.launch_s + row.other_s;
    case RT_OP_SAMPLER:
        return p->k.sampler_s + p->k.sampler_s_per_seq * v[RT_OPF_M];
    case RT_OP_COUNT:
        break;
    }
    return 0;
}
