/* The layouts of published tables of operators: what a line of each says. A new layout is a
 * function and a line in rt_op_layouts.
 *
 *     vidur-*    times in ms of a layer's operators, by model and TP degree
 *     vllm-*     times in us by layer name, model and TP degree; shapes from the catalogue
 *     nvidia-*   times in us over grids of shapes
 *
 * Times are of one GPU, after the split. A field that is empty or 0 was not measured and is left
 * out; so are lines of operators and types that we have no word for. Failures: path:line:column, or
 * what is missing to know the shapes (a file with them, the name of a model). */
#include "op_layouts_internal.h"
#include "rooftrace/catalog.h"
#include "rooftrace/dtype.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- fields ---------------------------------------------------------------------------------- */

static const char *text(const struct op_reader *r, unsigned i)
{
    return rt_csv_file_text(r->f, (unsigned)r->column[i]);
}

static bool is(const struct op_reader *r, unsigned i, const char *value)
{
    return strcmp(text(r, i), value) == 0;
}

static bool number(const struct op_reader *r, unsigned i, double *out, struct rt_err *err)
{
    return rt_csv_file_number(r->f, (unsigned)r->column[i], out, err);
}

/* Several at once, into out[0..count). */
static bool numbers(const struct op_reader *r, unsigned first, unsigned count, double *out,
                    struct rt_err *err)
{
    for (unsigned i = 0; i < count; i++)
        if (!number(r, first + i, &out[i], err))
            return false;
    return true;
}

/* A time that may be missing: 0 then. */
static bool time_at(const struct op_reader *r, unsigned i, double unit, double *seconds,
                    struct rt_err *err)
{
    double value = 0;
    if (text(r, i)[0] != '\0' && !number(r, i, &value, err))
        return false;
    *seconds = value * unit;
    return true;
}

static bool add(struct op_reader *r, struct rt_op_row *row, double seconds, struct rt_err *err)
{
    if (!(seconds > 0))
        return true;
    row->seconds = seconds;
    return rt_op_row_finish(r->t, row, err) || rt_csv_file_fail_in(r->f, 0, err);
}

static bool add_gemm(struct op_reader *r, uint32_t group, const double mnk[3], double seconds,
                     struct rt_err *err)
{
    struct rt_op_row row;
    rt_op_row_init(&row, RT_OP_GEMM);
    row.group = group;
    row.value[RT_OPF_M] = mnk[0];
    row.value[RT_OPF_N] = mnk[1];
    row.value[RT_OPF_K] = mnk[2];
    return add(r, &row, seconds, err);
}

/* A type as these tables name it; false: one we have no word for. */
static bool type_of(const char *name, enum rt_dtype *weight, enum rt_dtype *activation)
{
    static const struct {
        const char *name;
        enum rt_dtype weight, activation;
    } types[] = {
        {"bfloat16", RT_BF16, RT_BF16}, {"float16", RT_BF16, RT_BF16},
        {"half", RT_BF16, RT_BF16},     {"fp8", RT_FP8, RT_FP8},
        {"fp8_block", RT_FP8, RT_FP8},  {"int8_wo", RT_INT8, RT_BF16},
        {"int4_wo", RT_INT4, RT_BF16},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, name) == 0) {
            *weight = types[i].weight;
            *activation = types[i].activation;
            return true;
        }
    return false;
}

/* ---- shapes of models ------------------------------------------------------------------------ */

static bool read_shapes(struct op_reader *r, struct rt_csv_file *f, struct rt_err *err)
{
    static const char *const names[] = {"hidden",   "q_heads", "kv_heads",
                                        "head_dim", "ffn",     "gated"};
    int model = rt_csv_file_find(f, "model"), column[6], found;
    for (unsigned i = 0; i < 6; i++) {
        column[i] = rt_csv_file_find(f, names[i]);
        if (column[i] < 0 || model < 0)
            return rt_fail(err, RT_ETRACE, "shapes: expected the columns model and %s", names[i]);
    }
    while ((found = rt_csv_file_next(f, err)) > 0) {
        double v[6];
        if (r->shape_count == RT_OP_MAX_SHAPES)
            return rt_fail(err, RT_ETRACE, "shapes: expected at most %d models", RT_OP_MAX_SHAPES);
        struct op_shape *s = &r->shapes[r->shape_count++];
        for (unsigned i = 0; i < 6; i++)
            if (!rt_csv_file_number(f, (unsigned)column[i], &v[i], err))
                return false;
        *s = (struct op_shape){"", v[0], v[1], v[2], v[3], v[4], v[5] != 0 ? 2 : 1};
        snprintf(s->name, sizeof s->name, "%s", rt_csv_file_text(f, (unsigned)model));
    }
    return found == 0;
}

static bool begin_shapes(struct op_reader *r, const char *path, struct rt_err *err)
{
    char *beside = r->source != NULL && r->source->shapes != NULL
                       ? strdup(r->source->shapes)
                       : rt_path_beside(path, "model_shapes.csv");
    struct rt_csv_file *f = NULL;
    if (beside == NULL)
        return rt_fail_nomem(err, "path of a table");
    bool ok = rt_csv_file_open(beside, &f, err) && read_shapes(r, f, err);
    rt_csv_file_close(f);
    free(beside);
    return ok;
}

/* Looks up a model of the catalogue; the last one is kept. */
static bool use_model(struct op_reader *r, const char *name, struct rt_err *err)
{
    if (name[0] == '\0')
        return rt_fail(err, RT_EUSAGE, "%s: the table names no model: expected --model",
                       r->format->name);
    if (strcmp(name, r->model_name) == 0)
        return true;
    if (r->source == NULL || r->source->catalog == NULL)
        return rt_fail(err, RT_EUSAGE, "%s: needs a catalogue of models", r->format->name);
    if (!rt_catalog_model(r->source->catalog, name, &r->model, err))
        return false;
    snprintf(r->model_name, sizeof r->model_name, "%s", name);
    return true;
}

static double least_one(double x)
{
    return x < 1 ? 1 : x;
}

static void set_heads(struct rt_op_row *row, const struct rt_model *m, double tp)
{
    row->value[RT_OPF_HEADS] = (double)m->heads / tp;
    row->value[RT_OPF_KV_HEADS] = least_one((double)m->kv_heads / tp);
    row->value[RT_OPF_HEAD_DIM] = (double)m->head_dim;
}

/* ---- vidur ----------------------------------------------------------------------------------- */

static bool vidur_layers(struct op_reader *r, struct rt_err *err)
{
    enum { MODEL, TP, TOKENS, QKV, O, GATE_UP, DOWN };
    const struct op_shape *s = NULL;
    double tp, m, seconds[4];
    uint32_t group;
    for (unsigned i = 0; i < r->shape_count; i++)
        if (is(r, MODEL, r->shapes[i].name))
            s = &r->shapes[i];
    if (s == NULL) {
        rt_fail(err, RT_ETRACE, "expected a model whose shape is known, read \"%.60s\"",
                text(r, MODEL));
        return rt_csv_file_fail_in(r->f, (unsigned)r->column[MODEL], err);
    }
    if (!number(r, TP, &tp, err) || !number(r, TOKENS, &m, err) ||
        !rt_op_name(&r->t->groups, s->name, &group, err))
        return false;
    for (unsigned i = 0; i < 4; i++)
        if (!time_at(r, QKV + i, 1e-3, &seconds[i], err))
            return false;
    double heads = s->heads / tp * s->head_dim, kv = least_one(s->kv_heads / tp) * s->head_dim;
    const double mnk[4][3] = {{m, heads + 2 * kv, s->hidden},
                              {m, s->hidden, heads},
                              {m, s->gate * s->ffn / tp, s->hidden},
                              {m, s->hidden, s->ffn / tp}};
    for (unsigned i = 0; i < 4; i++)
        if (!add_gemm(r, group, mnk[i], seconds[i], err))
            return false;
    return true;
}

static bool vidur_attention(struct op_reader *r, struct rt_err *err)
{
    enum { Q_HEADS, KV_HEADS, TP, IS_PREFILL, BATCH, CHUNK, KV_LEN, PREFILL, DECODE };
    double v[7], seconds;
    struct rt_op_row row;
    if (!numbers(r, 0, 7, v, err))
        return false;
    bool prefill = v[IS_PREFILL] != 0;
    if (!time_at(r, prefill ? PREFILL : DECODE, 1e-3, &seconds, err))
        return false;
    rt_op_row_init(&row, prefill ? RT_OP_PREFILL : RT_OP_DECODE);
    row.value[RT_OPF_HEADS] = v[Q_HEADS] / v[TP];
    row.value[RT_OPF_KV_HEADS] = least_one(v[KV_HEADS] / v[TP]);
    row.value[RT_OPF_HEAD_DIM] = 128; /* of all models in these tables */
    row.value[RT_OPF_BATCH] = v[BATCH];
    row.value[prefill ? RT_OPF_HELD : RT_OPF_CONTEXT] = v[KV_LEN];
    row.value[RT_OPF_Q] = v[CHUNK];
    return add(r, &row, seconds, err);
}

static bool vidur_samples(struct op_reader *r, struct rt_err *err)
{
    enum { PHASE, TP, BATCH, CHUNK, KV_LEN, MS };
    double v[4], seconds;
    struct rt_op_row row;
    bool prefill = is(r, PHASE, "prefill");
    const char *model = r->source != NULL && r->source->model != NULL ? r->source->model : "";
    if (!numbers(r, TP, 4, v, err) || !time_at(r, MS, 1e-3, &seconds, err) ||
        !use_model(r, model, err))
        return false;
    rt_op_row_init(&row, prefill ? RT_OP_PREFILL : RT_OP_DECODE);
    set_heads(&row, &r->model, v[0]);
    row.value[RT_OPF_BATCH] = v[1];
    row.value[RT_OPF_Q] = v[2];
    row.value[prefill ? RT_OPF_HELD : RT_OPF_CONTEXT] = v[3];
    return add(r, &row, seconds, err);
}

static bool vidur_network(struct op_reader *r, struct rt_err *err)
{
    enum { COLLECTIVE, WORKERS, BYTES, MS };
    double v[2], seconds;
    struct rt_op_row row;
    if (!is(r, COLLECTIVE, "all_reduce"))
        return true;
    if (!numbers(r, WORKERS, 2, v, err) || !time_at(r, MS, 1e-3, &seconds, err))
        return false;
    rt_op_row_init(&row, RT_OP_ALL_REDUCE);
    row.value[RT_OPF_GPUS] = v[0];
    row.value[RT_OPF_BYTES] = v[1];
    return add(r, &row, seconds, err);
}

/* ---- vllm ------------------------------------------------------------------------------------ */

/* Adds a line's time to the elementwise operators of its layer; `times` a layer, bit `part`. */
static bool add_part(struct op_reader *r, const struct rt_op_row *row, double seconds,
                     unsigned part, struct rt_err *err)
{
    struct op_parts *p = NULL;
    for (size_t i = r->part_count; i-- > 0 && p == NULL;)
        if (rt_op_compare(&r->parts[i].row, row) == 0 && r->parts[i].row.group == row->group)
            p = &r->parts[i];
    if (p == NULL) {
        if (r->part_count == r->part_capacity) {
            size_t capacity = r->part_capacity == 0 ? 256 : r->part_capacity * 2;
            struct op_parts *grown = realloc(r->parts, capacity * sizeof *grown);
            if (grown == NULL)
                return rt_fail_nomem(err, "rows of a table");
            r->parts = grown;
            r->part_capacity = capacity;
        }
        p = &r->parts[r->part_count++];
        *p = (struct op_parts){.row = *row};
    }
    p->row.seconds += seconds;
    p->seen |= 1u << part;
    return true;
}

static bool vllm_elementwise(struct op_reader *r, uint32_t group, double tp, double m,
                             double seconds, struct rt_err *err)
{
    enum { LAYER = 2 };
    static const struct {
        const char *layer;
        double times; /* in a decoder layer */
    } list[] = {{"layernorm", 2}, {"rotary_emb", 1}, {"act_fn", 1}, {"qk_norm", 2}};
    struct rt_op_row row;
    for (unsigned i = 0; i < sizeof list / sizeof list[0]; i++)
        if (is(r, LAYER, list[i].layer)) {
            rt_op_row_init(&row, RT_OP_ELEMENTWISE);
            set_heads(&row, &r->model, tp);
            row.group = group;
            row.value[RT_OPF_HIDDEN] = (double)r->model.hidden;
            row.value[RT_OPF_FFN] = (double)r->model.ffn / tp;
            row.value[RT_OPF_M] = m;
            return add_part(r, &row, list[i].times * seconds, i, err);
        }
    return true; /* once a step, or not an operator of a layer */
}

static bool vllm_dense(struct op_reader *r, struct rt_err *err)
{
    enum { MODEL, TP, LAYER, TOKENS, US };
    double tp, m, seconds;
    uint32_t group;
    if (!number(r, TP, &tp, err) || !number(r, TOKENS, &m, err) ||
        !time_at(r, US, 1e-6, &seconds, err) ||
        !rt_op_name(&r->t->groups, text(r, MODEL), &group, err) ||
        !use_model(r, text(r, MODEL), err))
        return false;
    const struct rt_model *s = &r->model;
    double heads = (double)s->heads / tp * (double)s->head_dim, hidden = (double)s->hidden;
    double kv = least_one((double)s->kv_heads / tp) * (double)s->head_dim;
    double ffn = (double)s->ffn / tp;
    const struct {
        const char *layer;
        double n, k;
    } products[] = {{"qkv_proj", heads + 2 * kv, hidden},
                    {"o_proj", hidden, heads},
                    {"gate_up_proj", (s->gated ? 2 : 1) * ffn, hidden},
                    {"down_proj", hidden, ffn}};
    for (unsigned i = 0; i < sizeof products / sizeof products[0]; i++)
        if (is(r, LAYER, products[i].layer)) {
            const double mnk[3] = {m, products[i].n, products[i].k};
            return add_gemm(r, group, mnk, seconds, err);
        }
    return vllm_elementwise(r, group, tp, m, seconds, err);
}

static bool vllm_per_sequence(struct op_reader *r, struct rt_err *err)
{
    enum { MODEL, TP, LAYER, SEQUENCES, US };
    double tp, m, seconds;
    uint32_t group;
    struct rt_op_row row;
    if (!number(r, TP, &tp, err) || !number(r, SEQUENCES, &m, err) ||
        !time_at(r, US, 1e-6, &seconds, err) ||
        !rt_op_name(&r->t->groups, text(r, MODEL), &group, err) ||
        !use_model(r, text(r, MODEL), err))
        return false;
    if (is(r, LAYER, "lm_head")) {
        const double mnk[3] = {m, (double)r->model.vocab / tp, (double)r->model.hidden};
        return add_gemm(r, group, mnk, seconds, err);
    }
    if (!is(r, LAYER, "sampler"))
        return true;
    rt_op_row_init(&row, RT_OP_SAMPLER);
    row.group = group;
    row.value[RT_OPF_M] = m;
    row.value[RT_OPF_VOCAB] = (double)r->model.vocab;
    return add(r, &row, seconds, err);
}

/* These rows vary the experts touched; a step with even routing touches about
 * E*(1 - (1 - topk/E)^m): rows within a tenth of that are taken. */
static bool vllm_moe(struct op_reader *r, struct rt_err *err)
{
    enum { MODEL, TP, TOKENS, ACTIVATED, US };
    double tp, v[2], seconds;
    struct rt_op_row row;
    if (!number(r, TP, &tp, err) || !numbers(r, TOKENS, 2, v, err) ||
        !time_at(r, US, 1e-6, &seconds, err) || !use_model(r, text(r, MODEL), err))
        return false;
    double experts = (double)r->model.experts, topk = (double)r->model.experts_per_token;
    double touched = experts * (1 - pow(1 - topk / experts, v[0]));
    if (!(fabs(v[1] / touched - 1) <= 0.1))
        return true;
    rt_op_row_init(&row, RT_OP_MOE);
    if (!rt_op_name(&r->t->groups, text(r, MODEL), &row.group, err))
        return false;
    row.value[RT_OPF_M] = v[0];
    row.value[RT_OPF_HIDDEN] = (double)r->model.hidden;
    row.value[RT_OPF_FFN] = (double)r->model.expert_ffn / tp;
    row.value[RT_OPF_EXPERTS] = experts;
    row.value[RT_OPF_TOPK] = topk;
    return add(r, &row, seconds, err);
}

static bool vllm_attention(struct op_reader *r, struct rt_err *err)
{
    enum { TP, CHUNK, HELD, DECODES, CONTEXT, US };
    double v[5], seconds;
    struct rt_op_row row;
    const char *model = r->source != NULL && r->source->model != NULL ? r->source->model : "";
    if (!numbers(r, 0, 5, v, err) || !time_at(r, US, 1e-6, &seconds, err) ||
        !use_model(r, model, err))
        return false;
    bool prefill = v[CHUNK] > 0, decode = v[DECODES] > 0;
    rt_op_row_init(&row, prefill && decode ? RT_OP_MIXED : prefill ? RT_OP_PREFILL : RT_OP_DECODE);
    if (!rt_op_name(&r->t->groups, model, &row.group, err))
        return false;
    set_heads(&row, &r->model, v[TP]);
    row.value[RT_OPF_Q] = v[CHUNK];
    row.value[RT_OPF_HELD] = v[HELD];
    row.value[RT_OPF_BATCH] = decode ? v[DECODES] : 1;
    row.value[RT_OPF_CONTEXT] = v[CONTEXT];
    return add(r, &row, seconds, err);
}

/* ---- nvidia ---------------------------------------------------------------------------------- */

static bool nvidia_gemm(struct op_reader *r, struct rt_err *err)
{
    enum { DTYPE, N, K, FIRST };
    struct rt_op_row row;
    double nk[2];
    rt_op_row_init(&row, RT_OP_GEMM);
    if (!type_of(text(r, DTYPE), &row.dtype, &row.activation))
        return true;
    if (!numbers(r, N, 2, nk, err))
        return false;
    for (unsigned i = 0; i < rt_csv_file_columns(r->f); i++) { /* m1_us, m2_us, ... */
        const char *name = rt_csv_file_name(r->f, i);
        char *end;
        double m, us;
        if (name[0] != 'm' || rt_csv_file_text(r->f, i)[0] == '\0')
            continue;
        m = (double)strtol(name + 1, &end, 10);
        if (strcmp(end, "_us") != 0)
            continue;
        struct rt_op_row one = row;
        one.value[RT_OPF_M] = m;
        one.value[RT_OPF_N] = nk[0];
        one.value[RT_OPF_K] = nk[1];
        if (!rt_csv_file_number(r->f, i, &us, err) || !add(r, &one, us * 1e-6, err))
            return false;
    }
    return true;
}

static bool nvidia_attention(struct op_reader *r, enum rt_op op, struct rt_err *err)
{
    enum { KV_DTYPE, BATCH, LENGTH, HEADS, KV_HEADS, HEAD_DIM, US };
    struct rt_op_row row;
    double v[5], seconds;
    rt_op_row_init(&row, op);
    if (!type_of(text(r, KV_DTYPE), &row.dtype, &row.activation))
        return true;
    if (!numbers(r, BATCH, 5, v, err) || !time_at(r, US, 1e-6, &seconds, err))
        return false;
    row.value[RT_OPF_BATCH] = v[0];
    row.value[op == RT_OP_PREFILL ? RT_OPF_Q : RT_OPF_CONTEXT] = v[1];
    row.value[RT_OPF_HEADS] = v[2];
    row.value[RT_OPF_KV_HEADS] = v[3];
    row.value[RT_OPF_HEAD_DIM] = v[4];
    return add(r, &row, seconds, err);
}

static bool nvidia_decode(struct op_reader *r, struct rt_err *err)
{
    return nvidia_attention(r, RT_OP_DECODE, err);
}

static bool nvidia_prefill(struct op_reader *r, struct rt_err *err)
{
    return nvidia_attention(r, RT_OP_PREFILL, err);
}

static bool nvidia_moe(struct op_reader *r, struct rt_err *err)
{
    enum { DTYPE, DISTRIBUTION, TOKENS, HIDDEN, INTER, TOPK, EXPERTS, TP, EP, US };
    struct rt_op_row row;
    double v[7], seconds;
    rt_op_row_init(&row, RT_OP_MOE);
    if (!type_of(text(r, DTYPE), &row.dtype, &row.activation) || !is(r, DISTRIBUTION, "balanced"))
        return true;
    if (!numbers(r, TOKENS, 7, v, err) || !time_at(r, US, 1e-6, &seconds, err))
        return false;
    row.value[RT_OPF_M] = v[0];
    row.value[RT_OPF_HIDDEN] = v[1];
    row.value[RT_OPF_FFN] = v[2] / v[5];
    row.value[RT_OPF_TOPK] = v[3];
    row.value[RT_OPF_EXPERTS] = v[4];
    row.value[RT_OPF_EP] = v[6];
    return add(r, &row, seconds, err);
}

static bool nvidia_comm(struct op_reader *r, struct rt_err *err)
{
    enum { OP, GPUS, ELEMENTS, US };
    struct rt_op_row row;
    double v[2], seconds;
    if (!is(r, OP, "all_reduce"))
        return true;
    if (!numbers(r, GPUS, 2, v, err) || !time_at(r, US, 1e-6, &seconds, err))
        return false;
    rt_op_row_init(&row, RT_OP_ALL_REDUCE);
    row.value[RT_OPF_GPUS] = v[0];
    row.value[RT_OPF_BYTES] = 2 * v[1]; /* elements of 16 bit */
    return add(r, &row, seconds, err);
}

/* ---- the list -------------------------------------------------------------------------------- */

const struct op_format rt_op_layouts[] = {
    {"vidur-layers",
     "GEMMs of a layer; shapes of the models in --shapes or model_shapes.csv beside",
     {"model", "tp", "num_tokens", "qkv_ms", "o_ms", "gate_up_ms", "down_ms"},
     begin_shapes,
     vidur_layers},
    {"vidur-attention",
     "prefill and decode attention",
     {"q_heads", "kv_heads", "tp", "is_prefill", "batch", "chunk", "kv_len", "prefill_ms",
      "decode_ms"},
     NULL,
     vidur_attention},
    {"vidur-samples",
     "likewise, sampled rows of one model (--model)",
     {"phase", "tp", "batch", "chunk", "kv_len", "attn_ms"},
     NULL,
     vidur_samples},
    {"vidur-network", "all-reduce", {"collective", "workers", "bytes", "ms"}, NULL, vidur_network},
    {"vllm-dense",
     "GEMMs, norms, rope and activation of a layer",
     {"model", "tp", "layer", "tokens", "time_us"},
     NULL,
     vllm_dense},
    {"vllm-per-sequence",
     "LM head and sampler",
     {"model", "tp", "layer", "sequences", "time_us"},
     NULL,
     vllm_per_sequence},
    {"vllm-moe",
     "blocks of routed experts",
     {"model", "tp", "tokens", "activated_experts", "time_us"},
     NULL,
     vllm_moe},
    {"vllm-attention",
     "prefill, decode and mixed attention of one model (--model)",
     {"tp", "prefill_chunk", "kv_prefill", "n_decode", "kv_decode", "time_us"},
     NULL,
     vllm_attention},
    {"nvidia-gemm", "GEMMs over a grid of shapes", {"dtype", "n", "k", "m1_us"}, NULL, nvidia_gemm},
    {"nvidia-decode",
     "decode attention",
     {"kv_dtype", "batch", "kv_len", "heads", "kv_heads", "head_dim", "latency_us"},
     NULL,
     nvidia_decode},
    {"nvidia-prefill",
     "prefill attention",
     {"kv_dtype", "batch", "isl", "heads", "kv_heads", "head_dim", "latency_us"},
     NULL,
     nvidia_prefill},
    {"nvidia-moe",
     "blocks of experts, even routing",
     {"dtype", "distribution", "num_tokens", "hidden", "inter", "topk", "experts", "moe_tp",
      "moe_ep", "latency_us"},
     NULL,
     nvidia_moe},
    {"nvidia-comm",
     "all-reduce",
     {"op", "n_gpus", "message_elems", "latency_us"},
     NULL,
     nvidia_comm},
};
const unsigned rt_op_layout_count = sizeof rt_op_layouts / sizeof rt_op_layouts[0];
