/* light (--speed-of-light): the floor. Datasheet peaks, no efficiency, no overhead, no links, no
 * host: t = max(weight bytes read/bw, 2*(parameters a token passes*M + LM head*S)/peak)
 *       + KV bytes of the decodes/bw + prefill attention FLOPs/peak
 * so a batch of one on a 7B model of 14.2 GB takes 14.1 ms on 1008 GB/s. Experts: those that M
 * tokens touch are read. Tensor parallelism divides everything evenly, apart from replicated KV
 * heads. WEIGHTS or COMPUTE carries the whole maximum, whichever it is. O(1) a step. */
#include "cost_internal.h"
#include "rooftrace/dtype.h"

#include <stdlib.h>

/* Products of m tokens: those of routed experts, or all others but the LM head (that goes by S). */
static struct rt_light_row light_row(const struct rt_cost *c, int64_t tokens, bool routed)
{
    const struct rt_light *l = &c->light;
    struct rt_light_row row = {0, 0};
    if (tokens == 0)
        return row;
    double m = (double)tokens, weights = 0, products = 0;
    for (unsigned i = 0; i < l->ops.count; i++) {
        const struct rt_operator *op = &l->ops.op[i];
        if (op->head || op->routed != routed)
            continue;
        double touched = rt_operator_touched(&l->ops, op, m);
        weights += op->count * touched * op->k * op->n;
        products += op->count * rt_operator_rows(&l->ops, op, m) * op->k * op->n;
    }
    row.weights_s = weights * (routed ? l->expert_bytes : l->weight_bytes) / l->bytes_per_s;
    row.compute_s = 2 * products / l->flops;
    return row;
}

static void set_attention(struct rt_cost *c)
{
    const struct rt_model *m = &c->in.model;
    struct rt_light *l = &c->light;
    double local = m->window > 0 ? (double)m->local_layers : 0;
    double width = m->attention == RT_MLA ? (double)(m->qk_nope + m->qk_rope + m->v_head)
                                          : 2 * (double)m->head_dim;
    double token_s = rt_kv_bytes_per_layer(&c->in) / l->bytes_per_s;
    double pair_s = 2 * width * (double)m->heads / (double)c->in.parallel.tensor / l->flops;
    double layers[2] = {(double)m->layers - local, local};
    for (int i = 0; i < 2; i++) {
        l->kv_s[i] = layers[i] * token_s;
        l->area_s[i] = layers[i] * pair_s;
    }
    if (local > 0) {
        l->window = m->window;
        c->windows[c->window_count++] = m->window;
    }
}

static bool light_init(struct rt_cost *c, struct rt_err *err)
{
    struct rt_light *l = &c->light;
    if (!rt_cost_check(&c->in, err))
        return false;
    rt_operators_build(&c->in, &l->ops);
    l->flops = c->in.gpu.peak_flops[c->in.dtypes.activation];
    l->bytes_per_s = c->in.gpu.mem_bw_bytes_per_s;
    l->weight_bytes = rt_dtype_bytes(c->in.dtypes.weight);
    l->expert_bytes = rt_dtype_bytes(rt_expert_dtype(&c->in.dtypes));
    l->head_bytes = rt_dtype_bytes(c->in.dtypes.head);
    set_attention(c);
    int64_t max = c->in.max_tokens < RT_TABLE_CAP ? c->in.max_tokens : RT_TABLE_CAP;
    l->rows_m = rt_table_rows(max, RT_TABLE_CAP);
    l->rows_group = rt_table_rows(max * c->in.parallel.data, RT_TABLE_CAP);
    l->by_m = malloc((size_t)l->rows_m * sizeof *l->by_m);
    l->by_group = malloc((size_t)l->rows_group * sizeof *l->by_group);
    if (l->by_m == NULL || l->by_group == NULL)
        return rt_fail_nomem(err, "the cost tables");
    for (int64_t i = 0; i < l->rows_m; i++)
        l->by_m[i] = light_row(c, i, false);
    for (int64_t i = 0; i < l->rows_group; i++)
        l->by_group[i] = light_row(c, i, true);
    return true;
}

static void light_release(struct rt_cost *c)
{
    free(c->light.by_m);
    free(c->light.by_group);
}

/* Products of a step but the LM head's. A floor pads nothing: a group's tokens are what they are.
 */
static struct rt_light_row products(const struct rt_cost *c, const struct rt_step_shape *s)
{
    const struct rt_light *l = &c->light;
    int64_t own = s->tokens, all = own;
    if (rt_cost_ranks_together(c))
        all = s->group_tokens > 0 ? s->group_tokens : own * c->in.parallel.data;
    struct rt_light_row row = own < l->rows_m ? l->by_m[own] : light_row(c, own, false);
    struct rt_light_row routed = all < l->rows_group ? l->by_group[all] : light_row(c, all, true);
    row.weights_s += routed.weights_s;
    row.compute_s += routed.compute_s;
    return row;
}

static void light_terms(const struct rt_cost *c, const struct rt_step_shape *s, double terms_s[])
{
    const struct rt_light *l = &c->light;
    const struct rt_operator *head = &l->ops.op[l->ops.count - 1];
    struct rt_light_row row = products(c, s);
    double weights = row.weights_s, compute = row.compute_s;
    if (s->samples > 0 && c->role.last) {
        weights += head->k * head->n * l->head_bytes / l->bytes_per_s;
        compute += 2 * head->k * head->n * (double)s->samples / l->flops;
    }
    if (weights >= compute)
        terms_s[RT_TERM_WEIGHTS] = weights;
    else
        terms_s[RT_TERM_COMPUTE] = compute;
    terms_s[RT_TERM_KV] = l->kv_s[0] * (double)s->decode_context;
    terms_s[RT_TERM_ATTENTION] = l->area_s[0] * (double)s->prefill_area;
    if (l->window > 0) {
        double area = (double)s->prefill_area;
        double most = (double)s->prefill_tokens * (double)l->window;
        terms_s[RT_TERM_KV] += l->kv_s[1] * (double)s->decode_window[0];
        terms_s[RT_TERM_ATTENTION] += l->area_s[1] * (area < most ? area : most);
    }
}

const struct rt_cost_model rt_cost_light = {
    .name = "speed_of_light",
    .help = "datasheet peaks, hard maximum, nothing else: the floor",
    .init = light_init,
    .release = light_release,
    .terms = light_terms,
};
