/* profile: the roofline, with measured operators in place of its own.
 *
 *     table --rows of this GPU, these dtypes, this shape--> one surface an operator
 *     row M, row S   roofline's terms * measured/roofline, while a row is worked out
 *     attention      looked up in the step: a surface of one layer times the layers of its kind
 *
 * An operator without rows keeps the roofline's time to the last bit. Of a step the shape tells
 * sums only, so a batch of prefill chunks is looked up as the one chunk with the same query tiles
 * and the same key columns, decodes as equal contexts, and the difference is what the roofline says
 * it is; a step of one chunk or of decodes with equal contexts is what was measured. Measured
 * attention has no launch of its own: all of it goes to KV or ATTENTION, so that in a run of
 * decodes nothing but KV changes. Times of decodes are made non-decreasing in the context, where
 * neighbouring rows differ by noise. Failures: what reading the table says; a table that names
 * GPUs, but not this one (RT_ECONFIG). O(rows log rows) to build, O(log rows) a step. */
#include "catalog_internal.h"
#include "op_internal.h"
#include "rooftrace/dtype.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct layers {
    double count;
    struct rt_attention_cost one; /* the roofline of one such layer */
    int64_t window;               /* 0: full */
};

struct rt_profile {
    struct rt_op_table table;
    struct rt_surface of[RT_OP_COUNT]; /* count 0: no rows */
    struct layers kind[2];             /* attention: full, behind a window */
    unsigned kinds;
};

/* ---- building -------------------------------------------------------------------------------- */

static enum rt_dtype canonical(enum rt_dtype d)
{
    return d == RT_FP16 ? RT_BF16 : d;
}

/* The shape that rows must have to stand for this pool's operator. */
static void wanted(const struct rt_cost *c, enum rt_op op, struct rt_op_row *row)
{
    const struct rt_cost_inputs *in = &c->in;
    const struct rt_model *m = &in->model;
    double tp = (double)in->parallel.tensor, ep = (double)in->parallel.expert;
    double share = ep > 1 ? 1 : tp * (double)in->parallel.data; /* GPUs that split an expert */
    bool attention = op == RT_OP_PREFILL || op == RT_OP_DECODE || op == RT_OP_MIXED;
    rt_op_row_init(row, op);
    if (op == RT_OP_GEMM || op == RT_OP_MOE) {
        row->dtype = canonical(op == RT_OP_MOE ? rt_expert_dtype(&in->dtypes) : in->dtypes.weight);
        row->activation = canonical(in->dtypes.activation);
    } else if (attention) {
        row->dtype = canonical(in->dtypes.kv);
    }
    row->value[RT_OPF_HEADS] = (double)m->heads / tp;
    row->value[RT_OPF_KV_HEADS] = rt_kv_heads_per_gpu(in);
    row->value[RT_OPF_HEAD_DIM] = (double)m->head_dim;
    row->value[RT_OPF_HIDDEN] = (double)m->hidden;
    row->value[RT_OPF_FFN] = op == RT_OP_MOE ? (double)m->expert_ffn / share : (double)m->ffn / tp;
    row->value[RT_OPF_EXPERTS] = (double)m->experts;
    row->value[RT_OPF_TOPK] = (double)m->experts_per_token;
    row->value[RT_OPF_EP] = ep;
    row->value[RT_OPF_VOCAB] = (double)m->vocab;
    row->value[RT_OPF_GPUS] = tp;
}

/* The name without what a record with a "base" got. */
static bool same_gpu(const char *measured, const char *name)
{
    char plain[RT_NAME_SIZE];
    size_t len = strlen(name);
    if (rt_label_compare(measured, name) == 0)
        return true;
    if (len < sizeof "-changed" || strcmp(name + len - strlen("-changed"), "-changed") != 0)
        return false;
    snprintf(plain, sizeof plain, "%.*s", (int)(len - strlen("-changed")), name);
    return rt_label_compare(measured, plain) == 0;
}

/* Drops rows of other GPUs. */
static bool keep_own_rows(struct rt_profile *p, const struct rt_gpu *gpu, const char *path,
                          struct rt_err *err)
{
    struct rt_op_table *t = &p->table;
    size_t kept = 0;
    for (size_t i = 0; i < t->count; i++)
        if (t->rows[i].gpu == 0 || same_gpu(t->gpus.text[t->rows[i].gpu], gpu->name))
            t->rows[kept++] = t->rows[i];
    if (kept == 0 && t->count > 0)
        return rt_fail(err, RT_ECONFIG, "%s: expected rows of GPU %s, read rows of %s", path,
                       gpu->name, t->gpus.text[t->rows[0].gpu]);
    if (kept == 0)
        return rt_fail(err, RT_ECONFIG, "%s: expected rows of operators, read none", path);
    t->count = kept;
    return true;
}

static bool add_surface(struct rt_cost *c, enum rt_op op, struct rt_err *err)
{
    struct rt_profile *p = c->profile;
    struct rt_op_row want;
    size_t from = 0, end;
    wanted(c, op, &want);
    while (from < p->table.count && rt_op_compare_shape(&p->table.rows[from], &want) != 0)
        from++;
    for (end = from; end < p->table.count; end++)
        if (rt_op_compare_shape(&p->table.rows[end], &want) != 0)
            break;
    if (from == end)
        return true;
    if (!rt_surface_init(&p->of[op], &c->in, &p->table.rows[from], end - from, err))
        return false;
    if (op == RT_OP_DECODE)
        rt_surface_rise(&p->of[op]);
    return true;
}

static void add_kind(struct rt_cost *c, int64_t layers, int64_t window)
{
    struct rt_profile *p = c->profile;
    struct rt_cost_inputs in = c->in;
    if (layers < 1)
        return;
    in.model.layers = 1;
    in.model.window = window;
    in.model.local_layers = window > 0 ? 1 : 0;
    struct layers *kind = &p->kind[p->kinds++];
    *kind = (struct layers){.count = (double)layers, .window = window};
    rt_attention_init(&in, &c->roofline.rates, &kind->one);
}

static bool read_table(struct rt_cost *c, struct rt_err *err)
{
    struct rt_profile *p = c->profile;
    const char *path = c->in.spec.file;
    if (path == NULL || path[0] == '\0')
        return rt_fail(err, RT_ECONFIG, "cost: profile needs a file with measured operators");
    if (!rt_op_table_read(&p->table, path, NULL, err) || !keep_own_rows(p, &c->in.gpu, path, err))
        return false;
    rt_op_table_sort(&p->table);
    for (int op = 0; op < RT_OP_COUNT; op++) {
        bool attention = op == RT_OP_PREFILL || op == RT_OP_DECODE || op == RT_OP_MIXED;
        bool link = op == RT_OP_ALL_REDUCE;
        if ((attention && c->in.model.attention == RT_MLA) || /* no fields for latents */
            (link && c->in.parallel.tensor == 1) || (op == RT_OP_MOE && c->in.model.experts == 0))
            continue;
        if (!add_surface(c, (enum rt_op)op, err))
            return false;
    }
    return true;
}

static bool profile_init(struct rt_cost *c, struct rt_err *err)
{
    if (!rt_cost_check(&c->in, err))
        return false;
    c->profile = calloc(1, sizeof *c->profile);
    if (c->profile == NULL)
        return rt_fail_nomem(err, "the profile");
    rt_op_table_init(&c->profile->table);
    if (!read_table(c, err) || !rt_roofline_init(c, err))
        return false;
    const struct rt_model *m = &c->in.model;
    int64_t local = m->window > 0 ? m->local_layers : 0;
    add_kind(c, m->layers - local, 0);
    add_kind(c, local, m->window);
    c->decode_is_line = c->profile->of[RT_OP_DECODE].count == 0;
    return true;
}

static void profile_release(struct rt_cost *c)
{
    rt_roofline_release(c);
    if (c->profile == NULL)
        return;
    for (int op = 0; op < RT_OP_COUNT; op++)
        rt_surface_release(&c->profile->of[op]);
    rt_op_table_release(&c->profile->table);
    free(c->profile);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static double factor(const struct rt_cost *c, enum rt_op op, const double value[RT_OPF_COUNT],
                     enum rt_origin *source)
{
    enum rt_origin found = RT_ORIGIN_ROOFLINE;
    double measured = 1;
    if (c->profile != NULL && c->profile->of[op].count > 0) {
        const struct rt_surface *s = &c->profile->of[op];
        double roofline_s = rt_op_price(&s->pricer, value);
        if (roofline_s > 0)
            measured = rt_surface_at(s, value, &found) / roofline_s;
    }
    if (source != NULL)
        *source = found;
    return measured;
}

double rt_profile_gemm(const struct rt_cost *c, double k, double n, double m,
                       enum rt_origin *source)
{
    const double value[RT_OPF_COUNT] = {[RT_OPF_K] = k, [RT_OPF_N] = n, [RT_OPF_M] = m};
    return factor(c, RT_OP_GEMM, value, source);
}

double rt_profile_moe(const struct rt_cost *c, double m, enum rt_origin *source)
{
    const double value[RT_OPF_COUNT] = {[RT_OPF_M] = m};
    return factor(c, RT_OP_MOE, value, source);
}

double rt_profile_all_reduce(const struct rt_cost *c, double bytes, enum rt_origin *source)
{
    const double value[RT_OPF_COUNT] = {[RT_OPF_BYTES] = bytes};
    return factor(c, RT_OP_ALL_REDUCE, value, source);
}

double rt_profile_elementwise(const struct rt_cost *c, double m, enum rt_origin *source)
{
    const double value[RT_OPF_COUNT] = {[RT_OPF_M] = m};
    return factor(c, RT_OP_ELEMENTWISE, value, source);
}

double rt_profile_sampler(const struct rt_cost *c, double rows, enum rt_origin *source)
{
    const double value[RT_OPF_COUNT] = {[RT_OPF_M] = rows};
    return factor(c, RT_OP_SAMPLER, value, source);
}

/* ---- attention ------------------------------------------------------------------------------- */

/* The chunk and the contexts that a step's sums stand for, in layers behind `window`. */
static void place_of(const struct rt_step_shape *s, int64_t window, double value[RT_OPF_COUNT])
{
    memset(value, 0, RT_OPF_COUNT * sizeof value[0]);
    value[RT_OPF_BATCH] = 1;
    if (s->prefill_tokens > 0) {
        int64_t least = (s->prefill_tokens + RT_PREFILL_TILE - 1) / RT_PREFILL_TILE;
        int64_t tiles = s->prefill_tiles > least ? s->prefill_tiles : least;
        double q = (double)s->prefill_tokens;
        double columns = (double)s->prefill_tiles2 / (2 * (double)tiles);
        if (window > 0 && columns > (double)(window + RT_PREFILL_TILE))
            columns = (double)(window + RT_PREFILL_TILE);
        double held = columns - q / 2 - RT_PREFILL_TILE / 2.0;
        value[RT_OPF_Q] = q;
        value[RT_OPF_HELD] = held > 0 ? held : 0;
    }
    if (s->decodes > 0) {
        double context = (double)(window > 0 ? s->decode_window[0] : s->decode_context);
        double mean = context / (double)s->decodes;
        value[RT_OPF_BATCH] = (double)s->decodes;
        value[RT_OPF_CONTEXT] = mean > 1 ? mean : 1; /* a decode reads its own token at least */
    }
}

static struct rt_step_shape without_decodes(const struct rt_step_shape *s)
{
    struct rt_step_shape part = *s;
    part.decodes = part.decode_context = 0;
    memset(part.decode_window, 0, sizeof part.decode_window);
    return part;
}

static struct rt_step_shape without_prefill(const struct rt_step_shape *s)
{
    struct rt_step_shape part = *s;
    part.prefill_tokens = part.prefill_area = part.prefill_held = part.prefill_tiles = 0;
    part.prefill_tiles2 = part.prefill_longest = 0;
    return part;
}

/* One layer's attention of a part of a step: the roofline's terms, or the measured time in their
 * place. */
static void add_part(const struct rt_surface *surface, const struct layers *l,
                     const struct rt_step_shape *s, double terms_s[])
{
    double one_s[RT_TERM_COUNT] = {0}, value[RT_OPF_COUNT];
    enum rt_origin source;
    rt_attention_terms(&l->one, s, one_s);
    if (surface->count > 0) {
        double roofline_s = 0;
        for (int t = 0; t < RT_TERM_COUNT; t++)
            roofline_s += one_s[t];
        place_of(s, l->window, value);
        double measured_s = rt_surface_at(surface, value, &source);
        double equal_s = rt_op_price(&surface->pricer, value);
        if (s->prefill_tokens > 0 && equal_s > 0) /* chunks that are not the one looked up */
            measured_s *= roofline_s / equal_s;
        double kv = one_s[RT_TERM_KV], all = kv + one_s[RT_TERM_ATTENTION];
        double share = s->prefill_tokens == 0 ? 1 : s->decodes == 0 || !(all > 0) ? 0 : kv / all;
        one_s[RT_TERM_LAUNCH] = 0;
        one_s[RT_TERM_KV] = measured_s * share;
        one_s[RT_TERM_ATTENTION] = measured_s * (1 - share);
    }
    for (int t = 0; t < RT_TERM_COUNT; t++)
        terms_s[t] += l->count * one_s[t];
}

/* Is this step's attention one call that was measured, or that the roofline has as one? */
static bool one_call(const struct rt_cost *c, const struct rt_step_shape *s)
{
    return s->prefill_tokens > 0 && s->decodes > 0 &&
           (c->profile->of[RT_OP_MIXED].count > 0 || c->roofline.attention.mixed_as_tiles);
}

static bool any_attention(const struct rt_profile *p)
{
    return p->of[RT_OP_PREFILL].count + p->of[RT_OP_DECODE].count + p->of[RT_OP_MIXED].count > 0;
}

void rt_profile_attention(const struct rt_cost *c, const struct rt_step_shape *s, double terms_s[])
{
    const struct rt_profile *p = c->profile;
    if (!any_attention(p)) {
        rt_attention_terms(&c->roofline.attention, s, terms_s);
        return;
    }
    struct rt_step_shape prefill = without_decodes(s), decode = without_prefill(s);
    for (unsigned i = 0; i < p->kinds; i++) {
        const struct layers *l = &p->kind[i];
        if (one_call(c, s)) {
            add_part(&p->of[RT_OP_MIXED], l, s, terms_s);
            continue;
        }
        if (s->prefill_tokens > 0)
            add_part(&p->of[RT_OP_PREFILL], l, &prefill, terms_s);
        if (s->decodes > 0)
            add_part(&p->of[RT_OP_DECODE], l, &decode, terms_s);
    }
}

/* ---- where times come from ------------------------------------------------------------------- */

static void worsen(enum rt_origin *worst, enum rt_origin source)
{
    if (*worst == RT_ORIGIN_UNUSED || source < *worst)
        *worst = source;
}

/* The places that a step looks up stand in for any step where the shape is not known: the first
 * knot is as good as rows get. */
static double first_at(const struct rt_cost *c, enum rt_op op, double given)
{
    const struct rt_profile *p = c->profile;
    if (given > 0 || p == NULL || p->of[op].count == 0)
        return given > 0 ? given : 1;
    return rt_surface_first(&p->of[op], 0);
}

/* Likewise of one product's rows. */
static double first_rows(const struct rt_cost *c, const struct rt_operator *op)
{
    const double value[RT_OPF_COUNT] = {[RT_OPF_K] = op->k, [RT_OPF_N] = op->n};
    if (c->profile == NULL || c->profile->of[RT_OP_GEMM].count == 0)
        return 1;
    return rt_surface_first_at(&c->profile->of[RT_OP_GEMM], value);
}

/* `all`: tokens of all ranks that share the experts. */
static void row_sources(const struct rt_cost *c, double m, double all, double samples,
                        struct rt_cost_sources *out)
{
    const struct rt_operators *ops = &c->roofline.ops;
    enum rt_origin source;
    for (unsigned i = 0; i < ops->count; i++) {
        const struct rt_operator *op = &ops->op[i];
        if (op->routed) {
            (void)rt_profile_moe(c, first_at(c, RT_OP_MOE, all), &source);
            worsen(&out->of[RT_OP_MOE], source);
            continue;
        }
        double rows = op->head ? samples : m;
        if (op->head && m > 0 && !(samples > 0))
            continue; /* nobody samples in this step */
        if (!(rows > 0))
            rows = first_rows(c, op);
        (void)rt_profile_gemm(c, op->k, op->n, rows, &source);
        worsen(&out->of[RT_OP_GEMM], source);
    }
    (void)rt_profile_elementwise(c, first_at(c, RT_OP_ELEMENTWISE, m), &out->of[RT_OP_ELEMENTWISE]);
    (void)rt_profile_sampler(c, first_at(c, RT_OP_SAMPLER, samples), &out->of[RT_OP_SAMPLER]);
    double bytes = m * (double)c->in.model.hidden * 2;
    if (c->in.parallel.tensor > 1)
        (void)rt_profile_all_reduce(c, first_at(c, RT_OP_ALL_REDUCE, bytes),
                                    &out->of[RT_OP_ALL_REDUCE]);
}

static enum rt_origin attention_source(const struct rt_cost *c, enum rt_op op,
                                       const struct rt_step_shape *s)
{
    enum rt_origin worst = RT_ORIGIN_UNUSED, source = RT_ORIGIN_MEASURED;
    double value[RT_OPF_COUNT];
    const struct rt_profile *p = c->profile;
    if (p == NULL || p->of[op].count == 0)
        return RT_ORIGIN_ROOFLINE;
    if (s == NULL)
        return RT_ORIGIN_MEASURED;
    for (unsigned i = 0; i < p->kinds; i++) {
        place_of(s, p->kind[i].window, value);
        (void)rt_surface_at(&p->of[op], value, &source);
        worsen(&worst, source);
    }
    return worst;
}

static void attention_sources(const struct rt_cost *c, const struct rt_step_shape *s,
                              struct rt_cost_sources *out)
{
    if (s == NULL) {
        for (enum rt_op op = RT_OP_PREFILL; op <= RT_OP_MIXED; op++)
            out->of[op] = attention_source(c, op, NULL);
        return;
    }
    struct rt_step_shape prefill = without_decodes(s), decode = without_prefill(s);
    if (c->profile != NULL && one_call(c, s)) {
        out->of[RT_OP_MIXED] = attention_source(c, RT_OP_MIXED, s);
        return;
    }
    if (s->prefill_tokens > 0)
        out->of[RT_OP_PREFILL] = attention_source(c, RT_OP_PREFILL, &prefill);
    if (s->decodes > 0)
        out->of[RT_OP_DECODE] = attention_source(c, RT_OP_DECODE, &decode);
}

void rt_cost_step_sources(const struct rt_cost *c, const struct rt_step_shape *s,
                          struct rt_cost_sources *out)
{
    double m = 0, all = 0;
    memset(out, 0, sizeof *out);
    if (c->model != &rt_cost_roofline && c->model != &rt_cost_profile)
        return;
    if (s != NULL) {
        struct rt_group group = rt_group_of(c, s);
        m = (double)rt_graph_tokens(group.own, (int64_t)c->in.gpu.k.graph_max_tokens);
        all = rt_cost_ranks_together(c) ? (double)group.all : m;
    }
    row_sources(c, m, all, s != NULL ? (double)s->samples : 0, out);
    attention_sources(c, s, out);
    for (int op = 0; op < RT_OP_COUNT && c->profile != NULL; op++)
        out->rows[op] = (uint32_t)c->profile->of[op].count;
}

const struct rt_cost_model rt_cost_profile = {
    .name = "profile",
    .help = "the roofline with measured operators where a table has them",
    .init = profile_init,
    .release = profile_release,
    .terms = rt_roofline_terms,
    .prefetch = rt_roofline_prefetch,
    .explain = rt_roofline_explain,
};
