/* roofline: a step as the sum of its operators, from a GPU and a model record alone.
 *
 *     M tokens ── padded to a captured graph ──> products of all layers, elementwise, all-reduce │
 * row M S rows ──────────────────────────────────> LM head, sampler, gather of the logits │ row S
 *     contexts, tiles ─────────────────────────> attention                                       │
 * per step sequences ───────────────────────────────> host time │ per step
 *
 * Rows are tabulated in init for M = 0..max_tokens (up to a cap) and S; beyond the tables the same
 * functions are called directly, so the result does not depend on the cap. A step then is two rows
 * and a few multiply-adds, without pow(). Failures: inputs that cannot be priced, missing constants
 * (RT_ECONFIG), no memory for the tables. Every constant comes from the GPU's record; formulas and
 * sources are in docs/cost-model.md. */
#include "cost_internal.h"

#include <math.h>
#include <stdlib.h>

#define HIDDEN_BYTES 2.0 /* the residual stream is 16 bit */

/* ---- captured graphs ------------------------------------------------------------------------- */

/* vLLM's capture sizes: 1, 2, 4, then every 8 up to 256, then every 16. A batch runs in the next
 * larger one; beyond the largest it runs as it is. [vllm.config.compilation, 0.19] */
int64_t rt_graph_tokens(int64_t m, int64_t graph_max)
{
    enum { FINE = 8, COARSE = 16, FINE_UP_TO = 256 };
    if (m > graph_max || m <= 2)
        return m;
    int64_t step = m <= FINE_UP_TO ? FINE : COARSE;
    int64_t size = m <= 4 ? 4 : (m + step - 1) / step * step;
    return size < graph_max ? size : graph_max;
}

/* ---- links ----------------------------------------------------------------------------------- */

/* All-gather moves every byte once less: (n-1)/n. */
static double all_gather_s(const struct rt_cost *c, double bytes)
{
    double n = (double)c->in.parallel.tensor;
    if (n <= 1)
        return 0;
    return c->in.gpu.k.allreduce_latency_s + (n - 1) / n * bytes / c->roofline.bus_bytes_per_s;
}

static bool find_bus(struct rt_cost *c, struct rt_err *err)
{
    const struct rt_gpu *g = &c->in.gpu;
    if (c->in.parallel.tensor == 1)
        return true;
    double bus = g->k.allreduce_bus_bytes_per_s;
    if (!(bus > 0))
        bus = g->link_bytes_per_s > 0 ? g->link_bytes_per_s : g->pcie_bytes_per_s;
    if (!(bus > 0))
        return rt_fail(err, RT_ECONFIG,
                       "gpu %s: tensor_parallel %lld needs a link, but none is known", g->name,
                       (long long)c->in.parallel.tensor);
    c->roofline.bus_bytes_per_s = bus;
    return true;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void add_operator(const struct rt_cost *c, const struct rt_operator *op, double m,
                         struct rt_cost_row *row)
{
    const struct rt_roofline *r = &c->roofline;
    double touched = rt_operator_touched(op, r->ops.expert_share, m);
    double rows = rt_operator_rows(op, r->ops.expert_share, m);
    const struct rt_gemm_rates *rates = op->routed ? &r->moe_rates : &r->rates;
    if (op->routed)
        rows = rt_moe_rows(&c->in.gpu.k, rows, touched);
    struct rt_gemm_time t = rt_gemm(rates, rows, touched, op->k, op->n);
    row->weights_s += op->count * t.weights_s;
    row->compute_s += op->count * t.compute_s;
    row->launch_s += op->count * rates->overhead_s;
}

/* Bytes that norms, rope and activation move for one token, over all layers: two fused add+norms
 * read and write two streams each; rope reads and writes Q and K; the activation reads gate and up
 * and writes one. Routed experts' activation is part of their kernel (moe_overhead). */
static double elementwise_bytes(const struct rt_cost_inputs *in, const struct rt_operators *ops)
{
    const struct rt_model *m = &in->model;
    double tp = (double)in->parallel.tensor, layers = (double)m->layers;
    double heads = (double)m->heads / tp;
    double rope = m->attention == RT_MLA ? (heads + 1) * (double)m->qk_rope
                                         : (heads + rt_kv_heads_per_gpu(in)) * (double)m->head_dim;
    if (m->qk_norm) /* reads and writes the same numbers once more */
        rope *= 2;
    double gates = m->gated ? 3 : 2;
    double mlp = ops->dense_layers * gates * (double)m->ffn / tp;
    if (m->shared_ffn > 0)
        mlp += ops->moe_layers * gates * (double)m->shared_ffn / tp;
    return HIDDEN_BYTES * (layers * (8 * (double)m->hidden + 2 * rope) + mlp);
}

/* Per layer a + b*M + c*max(0, M - m0), fitted on a layer that moves ref_bytes a token. b and c
 * follow the bytes; m0, where the stream leaves the cache, is a number of bytes too. */
static void add_elementwise(const struct rt_cost *c, double m, struct rt_cost_row *row)
{
    const struct rt_gpu_constants *k = &c->in.gpu.k;
    double layers = (double)c->in.model.layers, scale = c->roofline.elementwise_scale;
    double above = fmax(0, m * scale / layers - k->elementwise_m0) * layers;
    row->launch_s += layers * k->elementwise_s;
    row->other_s += m * scale * k->elementwise_s_per_token;
    row->other_s += above * k->elementwise_s_per_token_above;
    /* embedding (read, write) and final add+norm (two streams read, two written), once a step */
    row->other_s += m * 6 * (double)c->in.model.hidden * HIDDEN_BYTES /
                    (c->in.gpu.mem_bw_bytes_per_s * k->gemm_eff_memory);
}

struct rt_cost_row rt_roofline_row_m(const struct rt_cost *c, int64_t tokens)
{
    const struct rt_roofline *r = &c->roofline;
    struct rt_cost_row row = {0, 0, 0, 0, 0};
    if (tokens == 0)
        return row;
    double m = (double)rt_graph_tokens(tokens, (int64_t)c->in.gpu.k.graph_max_tokens);
    for (unsigned i = 0; i < r->ops.count; i++)
        if (!r->ops.op[i].head)
            add_operator(c, &r->ops.op[i], m, &row);
    add_elementwise(c, m, &row);
    row.launch_s += r->ops.moe_layers * c->in.gpu.k.moe_overhead_s;
    /* two all-reduces a layer, one behind the embedding that is split by vocabulary */
    row.comm_s = (2 * (double)c->in.model.layers + 1) *
                 rt_all_reduce_s(&c->in.gpu.k, (double)c->in.parallel.tensor,
                                 m * (double)c->in.model.hidden * HIDDEN_BYTES, r->bus_bytes_per_s);
    return row;
}

struct rt_cost_row rt_roofline_row_s(const struct rt_cost *c, int64_t samples)
{
    const struct rt_roofline *r = &c->roofline;
    const struct rt_gpu_constants *k = &c->in.gpu.k;
    struct rt_cost_row row = {0, 0, 0, 0, 0};
    if (samples == 0)
        return row;
    double s = (double)samples;
    for (unsigned i = 0; i < r->ops.count; i++)
        if (r->ops.op[i].head)
            add_operator(c, &r->ops.op[i], s, &row);
    row.launch_s += k->sampler_s;
    row.other_s += k->sampler_s_per_seq * s;
    row.comm_s = all_gather_s(c, s * (double)c->in.model.vocab * HIDDEN_BYTES);
    return row;
}

static struct rt_cost_row row_m(const struct rt_cost *c, int64_t m)
{
    return m < c->roofline.rows_m ? c->roofline.by_m[m] : rt_roofline_row_m(c, m);
}

static struct rt_cost_row row_s(const struct rt_cost *c, int64_t s)
{
    return s < c->roofline.rows_s ? c->roofline.by_s[s] : rt_roofline_row_s(c, s);
}

/* ---- the model ------------------------------------------------------------------------------- */

struct constant {
    const char *name;
    double value, min, max;
};

/* Constants that are divided by or raised to, and those that only must not be absurd. */
static bool check_constants(const struct rt_gpu *g, struct rt_err *err)
{
    const struct rt_gpu_constants *k = &g->k;
    const double tiny = 1e-6, huge = 1e12, second = 1;
    const struct constant list[] = {
        {"gemm_eff_compute", k->gemm_eff_compute, tiny, 2},
        {"gemm_eff_memory", k->gemm_eff_memory, tiny, 2},
        {"gemm_smooth_p", k->gemm_smooth_p, 1, 100},
        {"gemm_overhead_s", k->gemm_overhead_s, 0, second},
        {"quantized_memory_8bit", k->quantized_memory_8bit, tiny, 2},
        {"quantized_memory_4bit", k->quantized_memory_4bit, tiny, 2},
        {"quantized_compute", k->quantized_compute, tiny, 2},
        {"quantized_overhead_s", k->quantized_overhead_s, 0, second},
        {"quantized_kv_8bit", k->quantized_kv_8bit, tiny, 2},
        {"decode_eff_memory", k->decode_eff_memory, tiny, 2},
        {"decode_overhead_s", k->decode_overhead_s, 0, second},
        {"decode_s_per_tile", k->decode_s_per_tile, 0, second},
        {"prefill_eff_compute", k->prefill_eff_compute, tiny, 2},
        {"prefill_overhead_s", k->prefill_overhead_s, 0, second},
        {"prefill_pad_columns", k->prefill_pad_columns, 0, huge},
        {"prefill_io_bytes_per_s", k->prefill_io_bytes_per_s, 1, 1e30},
        {"mixed_pad_tokens", k->mixed_pad_tokens, 0, huge},
        {"mixed_tail", k->mixed_tail, 0, 1},
        {"mixed_decode_columns", k->mixed_decode_columns, tiny, 100},
        {"mixed_l2_bytes", k->mixed_l2_bytes, 0, huge},
        {"elementwise_s", k->elementwise_s, 0, second},
        {"elementwise_s_per_token", k->elementwise_s_per_token, 0, second},
        {"elementwise_s_per_token_above", k->elementwise_s_per_token_above, 0, second},
        {"elementwise_m0", k->elementwise_m0, 0, huge},
        {"elementwise_ref_bytes", k->elementwise_ref_bytes, 1, huge},
        {"stream_eff_16bit", k->stream_eff_16bit, tiny, 1},
        {"stream_eff_8bit", k->stream_eff_8bit, tiny, 1},
        {"stream_eff_4bit", k->stream_eff_4bit, tiny, 1},
        {"moe_eff_compute", k->moe_eff_compute, tiny, 2},
        {"moe_eff_memory", k->moe_eff_memory, tiny, 2},
        {"moe_smooth_p", k->moe_smooth_p, 1, 100},
        {"moe_overhead_s", k->moe_overhead_s, 0, second},
        {"moe_pad_rows", k->moe_pad_rows, 0, huge},
        {"sampler_s", k->sampler_s, 0, second},
        {"sampler_s_per_seq", k->sampler_s_per_seq, 0, second},
        {"graph_max_tokens", k->graph_max_tokens, 0, huge},
        {"allreduce_step_s", k->allreduce_step_s, 0, second},
        {"allreduce_latency_s", k->allreduce_latency_s, 0, second},
        {"host_s_per_step", k->host_s_per_step, 0, second},
        {"host_s_per_seq", k->host_s_per_seq, 0, second},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        if (!(list[i].value >= list[i].min && list[i].value <= list[i].max))
            return rt_fail(err, RT_ECONFIG, "gpu %s: constant %s: expected %g to %g, read %g",
                           g->name, list[i].name, list[i].min, list[i].max, list[i].value);
    return true;
}

static int64_t table_rows(int64_t max, int64_t cap)
{
    int64_t rows = max < cap ? max : cap;
    return rows > 0 ? rows + 1 : 1;
}

static bool build_tables(struct rt_cost *c, struct rt_err *err)
{
    struct rt_roofline *r = &c->roofline;
    int64_t rows_m = table_rows(c->in.max_tokens, RT_TABLE_CAP);
    int64_t rows_s = table_rows(c->in.max_tokens, RT_TABLE_CAP_SAMPLES);
    r->by_m = malloc((size_t)rows_m * sizeof *r->by_m);
    r->by_s = malloc((size_t)rows_s * sizeof *r->by_s);
    if (r->by_m == NULL || r->by_s == NULL)
        return rt_fail_nomem(err, "the cost tables");
    for (int64_t i = 0; i < rows_m; i++)
        r->by_m[i] = rt_roofline_row_m(c, i);
    for (int64_t i = 0; i < rows_s; i++)
        r->by_s[i] = rt_roofline_row_s(c, i);
    r->rows_m = rows_m;
    r->rows_s = rows_s;
    return true;
}

static bool roofline_init(struct rt_cost *c, struct rt_err *err)
{
    struct rt_roofline *r = &c->roofline;
    if (!rt_cost_check(&c->in, err) || !check_constants(&c->in.gpu, err) || !find_bus(c, err))
        return false;
    rt_operators_build(&c->in, &r->ops);
    rt_gemm_rates(&c->in, &r->rates);
    rt_moe_rates(&c->in, &r->moe_rates);
    rt_attention_init(&c->in, &r->rates, &r->attention);
    r->elementwise_scale = elementwise_bytes(&c->in, &r->ops) / c->in.gpu.k.elementwise_ref_bytes;
    if (c->in.model.window > 0 && c->in.model.local_layers > 0)
        c->windows[c->window_count++] = c->in.model.window;
    return build_tables(c, err);
}

static void roofline_release(struct rt_cost *c)
{
    free(c->roofline.by_m);
    free(c->roofline.by_s);
}

static void roofline_terms(const struct rt_cost *c, const struct rt_step_shape *s, double terms_s[])
{
    struct rt_cost_row m = row_m(c, s->tokens), h = row_s(c, s->samples);
    terms_s[RT_TERM_WEIGHTS] = m.weights_s + h.weights_s;
    terms_s[RT_TERM_COMPUTE] = m.compute_s + h.compute_s;
    terms_s[RT_TERM_OTHER] = m.other_s + h.other_s;
    terms_s[RT_TERM_LAUNCH] = m.launch_s + h.launch_s;
    terms_s[RT_TERM_COMM] = m.comm_s + h.comm_s;
    terms_s[RT_TERM_HOST] =
        c->in.gpu.k.host_s_per_step + c->in.gpu.k.host_s_per_seq * (double)s->sequences;
    rt_attention_terms(&c->roofline.attention, s, terms_s);
}

const struct rt_cost_model rt_cost_roofline = {
    .name = "roofline",
    .help = "per operator, from a GPU and a model record",
    .init = roofline_init,
    .release = roofline_release,
    .terms = roofline_terms,
};
