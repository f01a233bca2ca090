/* What a step consists of: a model that knows operators lists them, any other answers one part a
 * term. The list goes through the functions that fill the tables, so that it cannot say anything
 * else; here is what is counted for the reader only: FLOPs and bytes of attention. O(parts). */
#include "cost_internal.h"

#include <assert.h>

const char *const rt_origin_names[RT_ORIGIN_COUNT] = {
    "unused", "roofline", "scaled", "interpolated", "measured",
};

struct rt_cost_part *rt_part_add(struct rt_part_list *list, const char *name)
{
    assert(list->count < RT_MAX_COST_PARTS);
    struct rt_cost_part *part = &list->parts[list->count++];
    *part = (struct rt_cost_part){.name = name};
    return part;
}

static void explain_terms(const struct rt_cost *c, const struct rt_step_shape *s,
                          struct rt_part_list *list)
{
    double terms_s[RT_TERM_COUNT] = {0};
    c->model->terms(c, s, terms_s);
    for (int t = 0; t < RT_TERM_COUNT; t++)
        if (terms_s[t] < 0 || terms_s[t] > 0)
            rt_part_add(list, rt_term_names[t])->terms_s[t] = terms_s[t];
}

unsigned rt_cost_explain(const struct rt_cost *c, const struct rt_step_shape *s,
                         struct rt_cost_part parts[RT_MAX_COST_PARTS])
{
    struct rt_part_list list = {.parts = parts};
    if (c->model->explain != NULL)
        c->model->explain(c, s, &list);
    else
        explain_terms(c, s, &list);
    if (s->transfer_s > 0)
        rt_part_add(&list, "kv_transfer")->terms_s[RT_TERM_COMM] = s->transfer_s;
    if (s->draft_s > 0)
        rt_part_add(&list, "draft_model")->terms_s[RT_TERM_OTHER] = s->draft_s;
    return list.count;
}

double rt_cost_part_s(const struct rt_cost_part *p)
{
    double sum = 0;
    for (int t = 0; t < RT_TERM_COUNT; t++)
        sum += p->terms_s[t];
    return sum;
}

const char *rt_cost_part_bound(const struct rt_cost_part *p)
{
    static const char *const bounds[] = {"bandwidth", "compute", "launch", "link", "host"};
    static const int of_term[RT_TERM_COUNT] = {
        [RT_TERM_WEIGHTS] = 0, [RT_TERM_COMPUTE] = 1, [RT_TERM_KV] = 0,   [RT_TERM_ATTENTION] = 1,
        [RT_TERM_OTHER] = 0,   [RT_TERM_LAUNCH] = 2,  [RT_TERM_COMM] = 3, [RT_TERM_HOST] = 4};
    double seconds[sizeof bounds / sizeof bounds[0]] = {0};
    int most = 0;
    for (int t = 0; t < RT_TERM_COUNT; t++)
        seconds[of_term[t]] += p->terms_s[t];
    for (int i = 1; i < (int)(sizeof bounds / sizeof bounds[0]); i++)
        if (seconds[i] > seconds[most])
            most = i;
    return bounds[most];
}

/* ---- attention, for the reader --------------------------------------------------------------- */

/* Sum of `full` over full layers and of `windowed` over those behind a window. */
static double over_layers(const struct rt_model *m, double full, double windowed)
{
    double local = m->window > 0 ? (double)m->local_layers : 0;
    return ((double)m->layers - local) * full + local * windowed;
}

static double decode_columns(const struct rt_cost_inputs *in, const struct rt_step_shape *s)
{
    return over_layers(&in->model, (double)s->decode_context, (double)s->decode_window[0]);
}

double rt_decode_bytes(const struct rt_cost_inputs *in, const struct rt_step_shape *s)
{
    return decode_columns(in, s) * rt_kv_bytes_per_layer(in);
}

/* Scores and values, 2 FLOP a number and query head; MLA on the latent. */
double rt_decode_flops(const struct rt_cost_inputs *in, const struct rt_step_shape *s)
{
    const struct rt_model *m = &in->model;
    double heads = (double)m->heads / (double)in->parallel.tensor;
    double numbers =
        m->attention == RT_MLA ? (double)(2 * m->kv_lora + m->qk_rope) : 2 * (double)m->head_dim;
    return 2 * decode_columns(in, s) * heads * numbers;
}

/* Pairs under the causal mask, at most a window wide, and MLA's latents expanded again. */
double rt_prefill_flops(const struct rt_cost_inputs *in, const struct rt_step_shape *s)
{
    const struct rt_model *m = &in->model;
    double heads = (double)m->heads / (double)in->parallel.tensor;
    double area = (double)s->prefill_area;
    double most = (double)s->prefill_tokens * (double)m->window;
    double pairs = over_layers(m, area, area < most ? area : most);
    if (m->attention != RT_MLA)
        return 2 * pairs * heads * 2 * (double)m->head_dim;
    double expand = (double)m->layers * (double)s->prefill_held * (double)m->kv_lora * heads *
                    (double)(m->qk_nope + m->v_head);
    return 2 * pairs * heads * (double)(m->qk_nope + m->qk_rope + m->v_head) + 2 * expand;
}
