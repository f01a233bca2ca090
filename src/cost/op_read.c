/* Tables of measured operators in our own format: CSV with a header, or JSON.
 *
 *     op,dtype,m,n,k,q,held,batch,context,heads,kv_heads,head_dim,...,model,gpu,us
 *     gemm,bf16,128,6144,4096,,,,,,,,...,llama-3.1-8b,rtx-4090,41.2
 *     {"rows": [{"op": "gemm", "dtype": "bf16", "m": 128, "n": 6144, "k": 4096, "us": 41.2}]}
 *
 * CSV may have any further columns; in JSON an unknown key is an error. What an operator needs
 * stands in rt_op_kinds; fields it does not need may be empty. Other layouts: op_formats.c.
 * Failures carry path:line:column, or the JSON path. O(rows). */
#include "op_internal.h"
#include "rooftrace/dtype.h"

#include <math.h>
#include <string.h>
#include <strings.h>

/* ---- one row --------------------------------------------------------------------------------- */

void rt_op_row_init(struct rt_op_row *row, enum rt_op op)
{
    *row = (struct rt_op_row){.op = op, .dtype = RT_BF16, .activation = RT_BF16};
    row->value[RT_OPF_EP] = 1;
    if (op == RT_OP_PREFILL)
        row->value[RT_OPF_BATCH] = 1;
}

/* The fields that an operator's rows must give. */
static unsigned needed(enum rt_op op)
{
    unsigned fields = rt_op_kinds[op].shape;
    for (unsigned i = 0; i < rt_op_kinds[op].axis_count; i++)
        fields |= 1u << rt_op_kinds[op].axes[i];
    return fields;
}

static bool check_field(const struct rt_op_row *row, unsigned f, struct rt_err *err)
{
    double value = row->value[f], least = f == RT_OPF_HELD ? 0 : 1;
    if (value >= least && value <= RT_OP_MAX_VALUE && value == floor(value))
        return true;
    return rt_fail(err, RT_ETRACE, "%s: expected %s, a whole number from %g to 2^40, read %g",
                   rt_op_names[row->op], rt_op_fields[f], least, value);
}

static bool check_heads(const struct rt_op_row *row, struct rt_err *err)
{
    double heads = row->value[RT_OPF_HEADS], kv = row->value[RT_OPF_KV_HEADS];
    if ((rt_op_kinds[row->op].shape >> RT_OPF_KV_HEADS & 1) == 0 || fmod(heads, kv) == 0)
        return true;
    return rt_fail(err, RT_ETRACE, "%s: expected heads, a multiple of %g kv_heads, read %g",
                   rt_op_names[row->op], kv, heads);
}

static bool check_experts(const struct rt_op_row *row, struct rt_err *err)
{
    double experts = row->value[RT_OPF_EXPERTS];
    if (row->op != RT_OP_MOE ||
        (row->value[RT_OPF_TOPK] <= experts && fmod(experts, row->value[RT_OPF_EP]) == 0))
        return true;
    return rt_fail(err, RT_ETRACE, "moe: expected topk up to, and ep a divisor of %g experts",
                   experts);
}

bool rt_op_row_finish(struct rt_op_table *t, struct rt_op_row *row, struct rt_err *err)
{
    unsigned fields = needed(row->op);
    if (!(row->seconds > 0 && row->seconds <= RT_OP_MAX_S))
        return rt_fail(err, RT_ETRACE, "%s: expected us, a time above 0 and up to 1e10, read %g",
                       rt_op_names[row->op], row->seconds * 1e6);
    for (unsigned f = 0; f < RT_OPF_COUNT; f++) {
        if ((fields >> f & 1) == 0)
            row->value[f] = 0;
        else if (!check_field(row, f, err))
            return false;
    }
    if (row->op == RT_OP_ALL_REDUCE && row->value[RT_OPF_GPUS] < 2)
        return rt_fail(err, RT_ETRACE, "all_reduce: expected gpus from 2, read 1");
    if (!check_heads(row, err) || !check_experts(row, err))
        return false;
    bool typed = row->op == RT_OP_GEMM || row->op == RT_OP_MOE;
    bool attention = row->op == RT_OP_PREFILL || row->op == RT_OP_DECODE || row->op == RT_OP_MIXED;
    if (row->dtype == RT_FP16 || !(typed || attention)) /* both 16 bit types run at one speed */
        row->dtype = RT_BF16;
    if (row->activation == RT_FP16 || !typed)
        row->activation = RT_BF16;
    return rt_op_table_add(t, row, err);
}

/* What operators multiply in where a table gives the weights' type only. */
static enum rt_dtype default_activation(enum rt_dtype weight)
{
    return weight == RT_FP8 ? RT_FP8 : RT_BF16;
}

static bool find_name(const char *what, const char *text, const char *const *names, unsigned count,
                      unsigned *out, struct rt_err *err)
{
    char suggestion[160];
    for (unsigned i = 0; i < count; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = i;
            return true;
        }
    return rt_fail(err, RT_ETRACE, "unknown %s \"%.40s\", %s", what, text,
                   rt_suggest(text, names, count, suggestion, sizeof suggestion));
}

/* ---- CSV ------------------------------------------------------------------------------------- */

struct columns {
    int op, dtype, activation, us, gpu, model, field[RT_OPF_COUNT];
};

static void find_columns(const struct rt_csv_file *f, struct columns *c)
{
    c->op = rt_csv_file_find(f, "op");
    c->dtype = rt_csv_file_find(f, "dtype");
    c->activation = rt_csv_file_find(f, "activation");
    c->us = rt_csv_file_find(f, "us");
    c->gpu = rt_csv_file_find(f, "gpu");
    c->model = rt_csv_file_find(f, "model");
    for (unsigned i = 0; i < RT_OPF_COUNT; i++)
        c->field[i] = rt_csv_file_find(f, rt_op_fields[i]);
}

static const char *text_at(const struct rt_csv_file *f, int column)
{
    return column < 0 ? "" : rt_csv_file_text(f, (unsigned)column);
}

/* A column with a type; an empty one leaves *out alone. */
static bool type_at(const struct rt_csv_file *f, int column, enum rt_dtype *out, struct rt_err *err)
{
    const char *text = text_at(f, column);
    unsigned type = 0;
    if (text[0] == '\0')
        return true;
    if (!find_name("type", text, rt_dtype_names, RT_DTYPE_COUNT, &type, err))
        return rt_csv_file_fail_in(f, (unsigned)column, err);
    *out = (enum rt_dtype)type;
    return true;
}

static bool read_types(const struct rt_csv_file *f, const struct columns *c, struct rt_op_row *row,
                       struct rt_err *err)
{
    if (!type_at(f, c->dtype, &row->dtype, err))
        return false;
    row->activation = default_activation(row->dtype);
    return type_at(f, c->activation, &row->activation, err);
}

static bool read_csv_row(struct rt_op_table *t, const struct rt_csv_file *f,
                         const struct columns *c, struct rt_err *err)
{
    struct rt_op_row row;
    unsigned op = 0;
    if (!find_name("operator", text_at(f, c->op), rt_op_names, RT_OP_COUNT, &op, err))
        return rt_csv_file_fail_in(f, (unsigned)c->op, err);
    rt_op_row_init(&row, (enum rt_op)op);
    if (!read_types(f, c, &row, err) || !rt_csv_file_number(f, (unsigned)c->us, &row.seconds, err))
        return false;
    row.seconds *= 1e-6;
    for (unsigned i = 0; i < RT_OPF_COUNT; i++)
        if (text_at(f, c->field[i])[0] != '\0' &&
            !rt_csv_file_number(f, (unsigned)c->field[i], &row.value[i], err))
            return false;
    return (rt_op_name(&t->gpus, text_at(f, c->gpu), &row.gpu, err) &&
            rt_op_name(&t->groups, text_at(f, c->model), &row.group, err) &&
            rt_op_row_finish(t, &row, err)) ||
           rt_csv_file_fail_in(f, (unsigned)c->op, err);
}

static bool read_csv(struct rt_op_table *t, const char *path, struct rt_err *err)
{
    struct rt_csv_file *f;
    struct columns c;
    int found;
    if (!rt_csv_file_open(path, &f, err))
        return false;
    find_columns(f, &c);
    bool ok = c.op >= 0 && c.us >= 0;
    if (!ok)
        rt_fail(err, RT_ETRACE, "%s: expected a header with the columns \"op\" and \"us\"", path);
    while (ok && (found = rt_csv_file_next(f, err)) != 0)
        ok = found > 0 && read_csv_row(t, f, &c, err);
    rt_csv_file_close(f);
    return ok;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static bool read_json_row(struct rt_op_table *t, const struct rt_json_at *at, const char *gpu,
                          struct rt_err *err)
{
    const char *keys[RT_OPF_COUNT + 6] = {"op", "dtype", "activation", "us", "gpu", "model"};
    const char *model = "";
    unsigned op = 0, dtype = RT_BF16, activation;
    struct rt_op_row row;
    for (unsigned i = 0; i < RT_OPF_COUNT; i++)
        keys[6 + i] = rt_op_fields[i];
    if (!rt_json_expect(at, RT_JSON_OBJECT, err) ||
        !rt_json_only(at, keys, RT_OPF_COUNT + 6, err) || !rt_json_need(at, "op", err) ||
        !rt_json_choice(at, "op", rt_op_names, RT_OP_COUNT, &op, err) ||
        !rt_json_need(at, "us", err) ||
        !rt_json_choice(at, "dtype", rt_dtype_names, RT_DTYPE_COUNT, &dtype, err))
        return false;
    activation = (unsigned)default_activation((enum rt_dtype)dtype);
    rt_op_row_init(&row, (enum rt_op)op);
    row.dtype = (enum rt_dtype)dtype;
    if (!rt_json_choice(at, "activation", rt_dtype_names, RT_DTYPE_COUNT, &activation, err) ||
        !rt_json_double(at, "us", 0, RT_OP_MAX_S * 1e6, &row.seconds, err) ||
        !rt_json_string(at, "gpu", &gpu, err) || !rt_json_string(at, "model", &model, err))
        return false;
    row.activation = (enum rt_dtype)activation;
    row.seconds *= 1e-6;
    for (unsigned i = 0; i < RT_OPF_COUNT; i++)
        if (!rt_json_double(at, rt_op_fields[i], 0, RT_OP_MAX_VALUE, &row.value[i], err))
            return false;
    return (rt_op_name(&t->gpus, gpu, &row.gpu, err) &&
            rt_op_name(&t->groups, model, &row.group, err) && rt_op_row_finish(t, &row, err)) ||
           rt_json_fail(at, err, "%s", err->msg);
}

static bool read_json_root(struct rt_op_table *t, const struct rt_json_at *root, struct rt_err *err)
{
    static const char *const keys[] = {"gpu", "source", "date", "software", "note", "rows"};
    struct rt_json_at rows = rt_json_get(root, "rows");
    const char *gpu = "", *ignored = "";
    if (!rt_json_expect(root, RT_JSON_OBJECT, err) ||
        !rt_json_only(root, keys, sizeof keys / sizeof keys[0], err) ||
        !rt_json_string(root, "gpu", &gpu, err))
        return false;
    for (unsigned i = 1; i < 5; i++)
        if (!rt_json_string(root, keys[i], &ignored, err))
            return false;
    if (!rt_json_need(root, "rows", err) || !rt_json_expect(&rows, RT_JSON_ARRAY, err))
        return false;
    for (int i = 0, n = rt_json_count(&rows); i < n; i++) {
        struct rt_json_at row = rt_json_item(&rows, i);
        if (!read_json_row(t, &row, gpu, err))
            return false;
    }
    return true;
}

static bool read_json(struct rt_op_table *t, const char *path, struct rt_err *err)
{
    struct rt_json *doc;
    if (!rt_json_load(path, &doc, err))
        return false;
    struct rt_json_at root = rt_json_root(doc);
    bool ok = read_json_root(t, &root, err);
    rt_json_free(doc);
    return ok;
}

/* ---- any ------------------------------------------------------------------------------------- */

static bool ends_in(const char *text, const char *end)
{
    size_t len = strlen(text), size = strlen(end);
    return len >= size && strcasecmp(text + len - size, end) == 0;
}

bool rt_op_table_read(struct rt_op_table *t, const char *path, const struct rt_op_source *source,
                      struct rt_err *err)
{
    const char *format = source == NULL ? "table" : source->format;
    if (ends_in(path, ".json"))
        return read_json(t, path, err);
    if (format != NULL && strcmp(format, "table") == 0)
        return read_csv(t, path, err);
    if (format == NULL || strcmp(format, "auto") == 0) {
        struct rt_csv_file *f;
        if (!rt_csv_file_open(path, &f, err))
            return false;
        bool own = rt_csv_file_find(f, "op") >= 0 && rt_csv_file_find(f, "us") >= 0;
        rt_csv_file_close(f);
        if (own)
            return read_csv(t, path, err);
    }
    return rt_op_read_formats(t, path, source, err);
}
