/* roofline: a step as the sum of its operators, from a GPU and a model record alone.
 *
 *   M tokens, padded to a captured graph -> products of all layers, elementwise, links   row M
 *   tokens of all ranks of a group       -> routed experts, their dispatch and combine   row group
 *   S rows                               -> LM head, sampler, gather of the logits       row S
 *   contexts, tiles                      -> attention                                    per step
 *   sequences                            -> host time                                    per step
 *
 * Without a group (data parallel ranks that step together) the experts are part of row M. Rows are
 * tabulated in init for M = 0..max_tokens (up to a cap) and S; beyond the tables the same functions
 * are called directly, so the result does not depend on the cap. A step then is two or three rows
 * and a few multiply-adds, without pow(). The same functions list the parts of a step for
 * rt_cost_explain. Failures: inputs that cannot be priced, missing constants (RT_ECONFIG), no
 * memory for the tables. Every constant comes from the GPU's record; formulas and sources are in
 * docs/cost-model.md. */
#include "cost_internal.h"
#include "rooftrace/dtype.h"
#include "rooftrace/gpu.h"

#include <math.h>
#include <stddef.h>
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

/* vLLM pads all ranks of a group to the largest of them while their batch runs in a captured graph,
 * and lets a rank without requests run along with a token of padding. [vllm, DP padding] */
struct rt_group rt_group_of(const struct rt_cost *c, const struct rt_step_shape *s)
{
    int64_t ranks = c->in.parallel.data, own = s->tokens;
    int64_t graph_max = (int64_t)c->in.gpu.k.graph_max_tokens;
    int64_t all = s->group_tokens > 0 ? s->group_tokens : own * ranks;
    int64_t largest = s->group_largest > own ? s->group_largest : own;

    if (!rt_cost_ranks_together(c) || all == 0)
        return (struct rt_group){own, own};
    if (largest <= graph_max)
        return (struct rt_group){largest, rt_graph_tokens(largest, graph_max) * ranks};
    return (struct rt_group){own > 0 ? own : 1, all > own ? all : own};
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* Adds a part to the row, and to the list if there is one. */
static void add_part(struct rt_cost_row *row, struct rt_part_list *list, const char *name,
                     struct rt_cost_row time, double flops, double bytes)
{
    row->weights_s += time.weights_s;
    row->compute_s += time.compute_s;
    row->other_s += time.other_s;
    row->launch_s += time.launch_s;
    row->comm_s += time.comm_s;
    if (list == NULL)
        return;
    struct rt_cost_part *part = rt_part_add(list, name);
    part->flops = flops;
    part->bytes = bytes;
    part->terms_s[RT_TERM_WEIGHTS] = time.weights_s;
    part->terms_s[RT_TERM_COMPUTE] = time.compute_s;
    part->terms_s[RT_TERM_OTHER] = time.other_s;
    part->terms_s[RT_TERM_LAUNCH] = time.launch_s;
    part->terms_s[RT_TERM_COMM] = time.comm_s;
}

struct rt_operator_work rt_operator_time(const struct rt_gemm_rates *rates,
                                         const struct rt_gpu_constants *k,
                                         const struct rt_operators *ops,
                                         const struct rt_operator *op, double m)
{
    struct rt_operator_work t = {.rows = rt_operator_rows(ops, op, m),
                                 .touched = rt_operator_touched(ops, op, m)};
    if (op->routed && ops->wait_for_busiest) {
        struct rt_routed busiest = rt_routing_busiest(&ops->routing, m);
        t.rows = busiest.rows;
        t.touched = busiest.touched;
    }
    if (op->routed && ops->in_tiles) {
        t.rows = rt_moe_tile_rows(t.rows, op->experts);
        t.gemm = rt_moe_tiles(rates, t.rows, t.touched, op->k, op->n);
    } else if (op->routed) {
        t.rows = rt_moe_rows(k, t.rows, t.touched);
        t.gemm = rt_moe_gemm(rates, t.rows, t.touched, op->k, op->n);
    } else {
        t.gemm = rt_gemm(rates, t.rows, op->k, op->n);
    }
    return t;
}

static void add_operator(const struct rt_cost *c, const struct rt_operator *op, double m,
                         struct rt_cost_row *row, struct rt_part_list *list)
{
    const struct rt_roofline *r = &c->roofline;
    const struct rt_gemm_rates *rates = op->routed ? &r->moe_rates
                                        : op->head ? &r->head_rates
                                                   : &r->rates;
    struct rt_operator_work t = rt_operator_time(rates, &c->in.gpu.k, &r->ops, op, m);
    double measured =
        op->routed ? rt_profile_moe(c, m, NULL) : rt_profile_gemm(c, op->k, op->n, m, NULL);
    double times = op->count * measured;
    struct rt_cost_row time = {.weights_s = times * t.gemm.weights_s,
                               .compute_s = times * t.gemm.compute_s,
                               .launch_s = times * rates->overhead_s};
    add_part(row, list, op->name, time, op->count * 2 * t.rows * op->k * op->n,
             op->count * rt_gemm_bytes(rates, t.rows, t.touched, op->k, op->n));
}

/* Bytes that norms, rope and activation move for one token, over all layers: two fused add+norms
 * read and write two streams each; rope reads and writes Q and K; the activation reads gate and up
 * and writes one. Routed experts' is theirs (add_routed). */
double rt_elementwise_bytes(const struct rt_cost_inputs *in, const struct rt_operators *ops)
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
 * follow the bytes; m0, where the stream leaves the cache, is a number of bytes too. `scale`: bytes
 * of a token over all layers / reference layer's. */
struct rt_cost_row rt_elementwise_row(const struct rt_gpu_constants *k, double layers, double scale,
                                      double m)
{
    double above = fmax(0, m * scale / layers - k->elementwise_m0) * layers;
    struct rt_cost_row row = {.launch_s = layers * k->elementwise_s};
    row.other_s = m * scale * k->elementwise_s_per_token;
    row.other_s += above * k->elementwise_s_per_token_above;
    return row;
}

static void add_elementwise(const struct rt_cost *c, double m, struct rt_cost_row *row,
                            struct rt_part_list *list)
{
    const struct rt_gpu_constants *k = &c->in.gpu.k;
    double scale = c->roofline.elementwise_scale, measured = rt_profile_elementwise(c, m, NULL);
    struct rt_cost_row time = rt_elementwise_row(k, (double)c->in.model.layers, scale, m);
    time.launch_s *= measured;
    time.other_s *= measured;
    add_part(row, list, "elementwise", time, 0, m * scale * k->elementwise_ref_bytes);
    /* embedding (read, write) and final add+norm (two streams read, two written), once a step */
    double streams = (c->role.first ? 2 : 0) + (c->role.last ? 4 : 0);
    double bytes = m * streams * (double)c->in.model.hidden * HIDDEN_BYTES;
    time = (struct rt_cost_row){.other_s =
                                    bytes / (c->in.gpu.mem_bw_bytes_per_s * k->gemm_eff_memory)};
    if (bytes > 0)
        add_part(row, list, "embedding", time, 0, bytes);
}

/* Two all-reduces a layer, one behind the embedding that is split by vocabulary; hidden states and
 * residual to the next stage. */
static void add_links(const struct rt_cost *c, double m, struct rt_cost_row *row,
                      struct rt_part_list *list)
{
    const struct rt_roofline *r = &c->roofline;
    const struct rt_hop *hops = &c->role.hops;
    double bytes = m * (double)c->in.model.hidden * HIDDEN_BYTES;
    double times = 2 * (double)c->in.model.layers + (c->role.first ? 1 : 0);
    struct rt_cost_row time = {.comm_s = times * rt_ring_all_reduce_s(&r->tensor, bytes)};
    if (r->tensor.ranks > 1) {
        time.comm_s *= rt_profile_all_reduce(c, bytes, NULL);
        add_part(row, list, "all_reduce", time, 0, times * bytes);
    }
    if (hops->latency_s > 0 || hops->s_per_byte > 0) {
        time.comm_s = hops->latency_s + 2 * bytes * hops->s_per_byte;
        add_part(row, list, "pipeline_hops", time, 0, 2 * bytes);
    }
}

/* DeepGEMM leaves the activation to a kernel that reads and writes all rows of its buffers; in the
 * fused kernels it is a part of moe_overhead. */
static void add_tile_activation(const struct rt_cost *c, double all, struct rt_cost_row *row,
                                struct rt_part_list *list)
{
    const struct rt_roofline *r = &c->roofline;
    double bytes = 0;
    for (unsigned i = 0; i < r->ops.count; i++) {
        const struct rt_operator *op = &r->ops.op[i];
        if (!op->routed)
            continue;
        double rows =
            op->count * rt_operator_time(&r->moe_rates, &c->in.gpu.k, &r->ops, op, all).rows;
        bool first = op->k == (double)c->in.model.hidden && bytes == 0; /* its results are read */
        bytes += rows * (first ? op->n * HIDDEN_BYTES : op->k * r->moe_rates.activation_bytes);
    }
    struct rt_cost_row time = {.other_s = bytes / r->moe_rates.bytes_per_s};
    add_part(row, list, "experts_activation", time, 0, bytes);
}

/* Routed experts, for the tokens of all ranks; they are gathered before and scattered behind. */
static void add_routed(const struct rt_cost *c, double all, struct rt_cost_row *row,
                       struct rt_part_list *list)
{
    const struct rt_roofline *r = &c->roofline;
    double layers = r->ops.moe_layers;
    if (!(layers > 0))
        return;
    for (unsigned i = 0; i < r->ops.count; i++)
        if (r->ops.op[i].routed)
            add_operator(c, &r->ops.op[i], all, row, list);
    if (r->ops.in_tiles)
        add_tile_activation(c, all, row, list);
    double times = layers * rt_profile_moe(c, all, NULL);
    struct rt_cost_row time = {.other_s = times * rt_moe_io_s(&c->in.gpu.k, &r->ops, all),
                               .launch_s = times * c->in.gpu.k.moe_overhead_s};
    add_part(row, list, "experts_routing", time, 0, layers * all * r->ops.routed_bytes);
    if (r->data.ranks <= 1)
        return;
    double bytes = all * (double)c->in.model.hidden * HIDDEN_BYTES;
    time = (struct rt_cost_row){.comm_s = layers * 2 * rt_ring_all_gather_s(&r->data, bytes)};
    add_part(row, list, "experts_all_to_all", time, 0, layers * 2 * bytes);
}

static struct rt_cost_row roofline_row_m(const struct rt_cost *c, int64_t tokens,
                                         struct rt_part_list *list)
{
    const struct rt_roofline *r = &c->roofline;
    struct rt_cost_row row = {0, 0, 0, 0, 0};
    if (tokens == 0)
        return row;
    double m = (double)rt_graph_tokens(tokens, (int64_t)c->in.gpu.k.graph_max_tokens);
    for (unsigned i = 0; i < r->ops.count; i++)
        if (!r->ops.op[i].head && !r->ops.op[i].routed)
            add_operator(c, &r->ops.op[i], m, &row, list);
    if (!rt_cost_ranks_together(c))
        add_routed(c, m, &row, list);
    add_elementwise(c, m, &row, list);
    add_links(c, m, &row, list);
    return row;
}

static struct rt_cost_row roofline_row_group(const struct rt_cost *c, int64_t tokens,
                                             struct rt_part_list *list)
{
    struct rt_cost_row row = {0, 0, 0, 0, 0};
    if (tokens > 0 && rt_cost_ranks_together(c))
        add_routed(c, (double)tokens, &row, list);
    return row;
}

static struct rt_cost_row roofline_row_s(const struct rt_cost *c, int64_t samples,
                                         struct rt_part_list *list)
{
    const struct rt_roofline *r = &c->roofline;
    const struct rt_gpu_constants *k = &c->in.gpu.k;
    struct rt_cost_row row = {0, 0, 0, 0, 0};
    if (samples == 0 || !c->role.last)
        return row;
    double s = (double)samples, bytes = s * (double)c->in.model.vocab * HIDDEN_BYTES;
    for (unsigned i = 0; i < r->ops.count; i++)
        if (r->ops.op[i].head)
            add_operator(c, &r->ops.op[i], s, &row, list);
    double measured = rt_profile_sampler(c, s, NULL);
    struct rt_cost_row time = {.launch_s = k->sampler_s * measured,
                               .other_s = k->sampler_s_per_seq * s * measured};
    add_part(&row, list, "sampler", time, 0, 0);
    time = (struct rt_cost_row){.comm_s = rt_ring_all_gather_s(&r->tensor, bytes)};
    if (r->tensor.ranks > 1)
        add_part(&row, list, "gather_logits", time, 0, bytes);
    return row;
}

/* ---- tables ---------------------------------------------------------------------------------- */

typedef struct rt_cost_row row_of(const struct rt_cost *c, int64_t n, struct rt_part_list *list);

/* A row is worked out when it is asked for first: a trial sees a few of the thousands. Where it is
 * all 0 it is so again, and as fast. */
static inline struct rt_cost_row lookup(const struct rt_cost *c, const struct rt_row_table *t,
                                        int64_t n, row_of *row)
{
    if (n >= t->count)
        return row(c, n, NULL);
    struct rt_cost_row *known = &t->rows[n];
    if (known->weights_s + known->compute_s <= 0)
        *known = row(c, n, NULL);
    return *known;
}

static struct rt_cost_row row_m(const struct rt_cost *c, int64_t m)
{
    return lookup(c, &c->roofline.by_m, m, roofline_row_m);
}

void rt_roofline_prefetch(const struct rt_cost *c, int64_t tokens)
{
    const struct rt_row_table *t = &c->roofline.by_m;
    if (tokens < t->count)
        __builtin_prefetch(&t->rows[tokens]);
}

static struct rt_cost_row row_s(const struct rt_cost *c, int64_t s)
{
    return lookup(c, &c->roofline.by_s, s, roofline_row_s);
}

static struct rt_cost_row row_group(const struct rt_cost *c, int64_t all)
{
    return lookup(c, &c->roofline.by_group, all, roofline_row_group);
}

static bool new_table(struct rt_row_table *t, int64_t max, int64_t cap)
{
    t->count = rt_table_rows(max, cap);
    t->rows = calloc((size_t)t->count, sizeof t->rows[0]);
    return t->rows != NULL;
}

static bool new_tables(struct rt_cost *c, struct rt_err *err)
{
    struct rt_roofline *r = &c->roofline;
    int64_t max = c->in.max_tokens < RT_TABLE_CAP ? c->in.max_tokens : RT_TABLE_CAP;
    int64_t group = rt_cost_ranks_together(c) ? max * c->in.parallel.data : 0;
    return (new_table(&r->by_m, max, RT_TABLE_CAP) &&
            new_table(&r->by_s, max, RT_TABLE_CAP_SAMPLES) &&
            new_table(&r->by_group, group, RT_TABLE_CAP)) ||
           rt_fail_nomem(err, "the cost tables");
}

/* ---- the model ------------------------------------------------------------------------------- */

struct constant {
    const char *name;
    size_t offset;
    double min, max;
};

/* Constants that are divided by or raised to, and those that only must not be absurd. */
#define TINY     1e-6
#define LARGE    1e12
#define SECOND   1.0
#define K(field) #field, offsetof(struct rt_gpu_constants, field)
static const struct constant limits[] = {
    {K(gemm_eff_compute), TINY, 2},
    {K(gemm_eff_memory), TINY, 2},
    {K(gemm_smooth_p), 1, 100},
    {K(gemm_overhead_s), 0, SECOND},
    {K(gemm_edge_rows), 0, LARGE},
    {K(gemm_start_columns), 0, LARGE},
    {K(gemm_wave_share), 0, 1},
    {K(gemm_split_share), 0, 100},
    {K(gemm_stream_share), 0, 100},
    {K(quantized_memory_8bit), TINY, 2},
    {K(quantized_memory_4bit), TINY, 2},
    {K(quantized_compute), TINY, 2},
    {K(quantized_overhead_s), 0, SECOND},
    {K(quantized_kv_8bit), TINY, 2},
    {K(decode_eff_memory), TINY, 2},
    {K(decode_overhead_s), 0, SECOND},
    {K(decode_s_per_wave), 0, SECOND},
    {K(decode_ramp_s), 0, SECOND},
    {K(decode_ramp_bytes), 0, 1e15},
    {K(prefill_eff_compute), TINY, 2},
    {K(prefill_overhead_s), 0, SECOND},
    {K(prefill_pad_columns), 0, LARGE},
    {K(prefill_io_bytes_per_s), 1, 1e30},
    {K(mixed_pad_tokens), 0, LARGE},
    {K(mixed_tail), 0, 1},
    {K(mixed_decode_columns), TINY, 100},
    {K(mixed_s_per_empty_tile), 0, SECOND},
    {K(mixed_l2_bytes), 0, LARGE},
    {K(elementwise_s), 0, SECOND},
    {K(elementwise_s_per_token), 0, SECOND},
    {K(elementwise_s_per_token_above), 0, SECOND},
    {K(elementwise_m0), 0, LARGE},
    {K(elementwise_ref_bytes), 1, LARGE},
    {K(stream_eff_16bit), TINY, 1},
    {K(stream_eff_8bit), TINY, 1},
    {K(stream_eff_4bit), TINY, 1},
    {K(moe_eff_compute), TINY, 2},
    {K(moe_eff_memory), TINY, 2},
    {K(moe_smooth_p), 1, 100},
    {K(moe_overhead_s), 0, SECOND},
    {K(moe_pad_rows), 0, LARGE},
    {K(moe_io_bytes_per_s), 1, 1e30},
    {K(moe_weight_only_compute), TINY, 2},
    {K(sampler_s), 0, SECOND},
    {K(sampler_s_per_seq), 0, SECOND},
    {K(graph_max_tokens), 0, LARGE},
    {K(allreduce_step_s), 0, SECOND},
    {K(allreduce_latency_s), 0, SECOND},
    {K(allreduce_library_s), 0, SECOND},
    {K(allreduce_multicast), 0, 1},
    {K(allreduce_gather_s), 0, SECOND},
    {K(host_s_per_step), 0, SECOND},
    {K(host_s_per_seq), 0, SECOND},
    {K(host_sync_s_per_step), 0, SECOND},
    {K(host_sync_s_per_seq), 0, SECOND},
    {K(host_launch_s_per_layer), 0, SECOND},
};

static bool check_constants(const struct rt_gpu *g, struct rt_err *err)
{
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        const struct constant *c = &limits[i];
        double value = *(const double *)(const void *)((const char *)&g->k + c->offset);
        if (!(value >= c->min && value <= c->max))
            return rt_fail(err, RT_ECONFIG, "gpu %s: constant %s: expected %g to %g, read %g",
                           g->name, c->name, c->min, c->max, value);
    }
    return true;
}

/* The LM head has a type of its own, and is multiplied in 16 bit where it has 16. */
static void head_rates(const struct rt_cost_inputs *in, struct rt_gemm_rates *out)
{
    struct rt_cost_inputs head = *in;
    bool narrow = rt_dtype_bytes(in->dtypes.activation) < 2;
    head.dtypes.weight = in->dtypes.head;
    if (rt_dtype_bytes(in->dtypes.head) >= 2 && narrow)
        head.dtypes.activation = in->gpu.peak_flops[RT_BF16] > 0 ? RT_BF16 : RT_FP16;
    if (!(in->gpu.peak_flops[head.dtypes.activation] > 0)) /* no such unit: as everything else */
        head.dtypes.activation = in->dtypes.activation;
    rt_gemm_rates(&head, out);
}

bool rt_roofline_init(struct rt_cost *c, struct rt_err *err)
{
    struct rt_roofline *r = &c->roofline;
    const struct rt_parallel *p = &c->in.parallel;
    if (!rt_cost_check(&c->in, err) || !check_constants(&c->in.gpu, err) ||
        !rt_link_check(&c->in, err))
        return false;
    r->tensor = rt_ring_of(&c->in, p->tensor, 1);
    r->data = rt_ring_of(&c->in, p->data, p->tensor * c->role.stages);
    rt_operators_build(&c->in, &r->ops);
    r->ops.wait_for_busiest = true; /* a layer's end is where all of them meet */
    rt_gemm_rates(&c->in, &r->rates);
    rt_moe_rates(&c->in, &r->moe_rates);
    head_rates(&c->in, &r->head_rates);
    rt_attention_init(&c->in, &r->rates, &r->attention);
    r->elementwise_scale =
        rt_elementwise_bytes(&c->in, &r->ops) / c->in.gpu.k.elementwise_ref_bytes;
    c->knee = r->attention.knee;
    c->beyond_s = r->attention.kinds > 0 ? r->attention.kind[0].kv_s : 0;
    if (c->in.model.window > 0 && c->in.model.local_layers > 0)
        c->windows[c->window_count++] = c->in.model.window;
    if (c->in.eager) { /* nothing to pad to, and a step is the longer of two */
        c->in.gpu.k.graph_max_tokens = 0;
        c->decode_is_line = false;
    }
    return new_tables(c, err);
}

void rt_roofline_release(struct rt_cost *c)
{
    free(c->roofline.by_m.rows);
    free(c->roofline.by_s.rows);
    free(c->roofline.by_group.rows);
}

static double host_s(const struct rt_cost *c, const struct rt_step_shape *s)
{
    const struct rt_gpu_constants *k = &c->in.gpu.k;
    if (c->in.host_exposed)
        return k->host_sync_s_per_step + k->host_sync_s_per_seq * (double)s->sequences;
    return k->host_s_per_step + k->host_s_per_seq * (double)s->sequences;
}

static void add_attention(const struct rt_cost *c, const struct rt_step_shape *s, double terms_s[])
{
    if (c->profile != NULL)
        rt_profile_attention(c, s, terms_s);
    else
        rt_attention_terms(&c->roofline.attention, s, terms_s);
}

/* What the GPU waits for the host to launch its kernels. */
static double launch_wait_s(const struct rt_cost *c, const struct rt_step_shape *s,
                            const double terms_s[])
{
    double launches = (double)c->in.model.layers * c->in.gpu.k.host_launch_s_per_layer, gpu = 0;
    if (!c->in.eager || s->tokens == 0)
        return 0;
    for (int i = 0; i < RT_TERM_COUNT; i++)
        gpu += i == RT_TERM_HOST ? 0 : terms_s[i];
    return fmax(0, launches - gpu);
}

static void gpu_terms(const struct rt_cost *c, const struct rt_step_shape *s, double terms_s[])
{
    struct rt_group group = rt_group_of(c, s);
    struct rt_cost_row m = row_m(c, group.own), h = row_s(c, s->samples);
    terms_s[RT_TERM_WEIGHTS] = m.weights_s + h.weights_s;
    terms_s[RT_TERM_COMPUTE] = m.compute_s + h.compute_s;
    terms_s[RT_TERM_OTHER] = m.other_s + h.other_s;
    terms_s[RT_TERM_LAUNCH] = m.launch_s + h.launch_s;
    terms_s[RT_TERM_COMM] = m.comm_s + h.comm_s;
    if (rt_cost_ranks_together(c)) {
        struct rt_cost_row e = row_group(c, group.all);
        terms_s[RT_TERM_WEIGHTS] += e.weights_s;
        terms_s[RT_TERM_COMPUTE] += e.compute_s;
        terms_s[RT_TERM_OTHER] += e.other_s;
        terms_s[RT_TERM_LAUNCH] += e.launch_s;
        terms_s[RT_TERM_COMM] += e.comm_s;
    }
    terms_s[RT_TERM_HOST] = host_s(c, s);
    add_attention(c, s, terms_s);
}

void rt_roofline_terms(const struct rt_cost *c, const struct rt_step_shape *s, double terms_s[])
{
    gpu_terms(c, s, terms_s);
    terms_s[RT_TERM_LAUNCH] += launch_wait_s(c, s, terms_s);
}

/* Attention as two parts, the decodes' and the prompts'. Where one kernel does both, its launch is
 * the prompts'. */
static void explain_attention(const struct rt_cost *c, const struct rt_step_shape *s,
                              struct rt_part_list *list)
{
    double terms_s[RT_TERM_COUNT] = {0}, alone_s[RT_TERM_COUNT] = {0};
    struct rt_step_shape prompts = *s;
    prompts.decodes = 0;
    add_attention(c, s, terms_s);
    add_attention(c, &prompts, alone_s);
    double launch_s =
        s->prefill_tokens > 0 ? fmin(alone_s[RT_TERM_LAUNCH], terms_s[RT_TERM_LAUNCH]) : 0;
    if (s->prefill_tokens > 0) {
        struct rt_cost_part *part = rt_part_add(list, "prefill_attention");
        part->flops = rt_prefill_flops(&c->in, s);
        part->terms_s[RT_TERM_ATTENTION] = terms_s[RT_TERM_ATTENTION];
        part->terms_s[RT_TERM_LAUNCH] = launch_s;
    }
    if (s->decodes > 0) {
        struct rt_cost_part *part = rt_part_add(list, "decode_attention");
        part->flops = rt_decode_flops(&c->in, s);
        part->bytes = rt_decode_bytes(&c->in, s);
        part->terms_s[RT_TERM_KV] = terms_s[RT_TERM_KV];
        part->terms_s[RT_TERM_LAUNCH] = terms_s[RT_TERM_LAUNCH] - launch_s;
    }
}

void rt_roofline_explain(const struct rt_cost *c, const struct rt_step_shape *s,
                         struct rt_part_list *list)
{
    struct rt_group group = rt_group_of(c, s);
    roofline_row_m(c, group.own, list);
    roofline_row_group(c, group.all, list);
    explain_attention(c, s, list);
    roofline_row_s(c, s->samples, list);
    if (c->in.eager) {
        double terms_s[RT_TERM_COUNT] = {0};
        gpu_terms(c, s, terms_s);
        rt_part_add(list, "launches")->terms_s[RT_TERM_LAUNCH] = launch_wait_s(c, s, terms_s);
    }
    rt_part_add(list, "host")->terms_s[RT_TERM_HOST] = host_s(c, s);
}

const struct rt_cost_model rt_cost_roofline = {
    .name = "roofline",
    .help = "per operator, from a GPU and a model record",
    .init = rt_roofline_init,
    .release = rt_roofline_release,
    .terms = rt_roofline_terms,
    .prefetch = rt_roofline_prefetch,
    .explain = rt_roofline_explain,
};
