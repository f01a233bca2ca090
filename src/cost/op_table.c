/* Tables of measured operators: the kinds of operators, and a growing list of rows.
 *
 * Which fields make the shape of an operator and which it is measured over stands in one table, and
 * readers, the profile and the fitter go by it. Failures: out of memory. */
#include "op_internal.h"

#include <stdlib.h>
#include <string.h>

const char *const rt_op_names[RT_OP_COUNT] = {
    "gemm", "prefill", "decode", "mixed", "moe", "all_reduce", "elementwise", "sampler",
};

const char *const rt_op_terms[RT_OP_COUNT] = {
    "weights, compute, launch",
    "attention",
    "kv",
    "attention, kv",
    "weights, compute, launch",
    "comm",
    "other, launch",
    "other, launch",
};

const char *const rt_op_fields[RT_OPF_COUNT] = {
    "m",        "n",      "k",   "q",       "held", "batch", "context", "heads", "kv_heads",
    "head_dim", "hidden", "ffn", "experts", "topk", "ep",    "vocab",   "bytes", "gpus",
};

#define BIT(field) (1u << RT_OPF_##field)
#define HEADS      (BIT(HEADS) | BIT(KV_HEADS) | BIT(HEAD_DIM))

const struct rt_op_kind rt_op_kinds[RT_OP_COUNT] = {
    [RT_OP_GEMM] = {0, {RT_OPF_K, RT_OPF_N, RT_OPF_M}, 3},
    [RT_OP_PREFILL] = {HEADS, {RT_OPF_BATCH, RT_OPF_HELD, RT_OPF_Q}, 3},
    [RT_OP_DECODE] = {HEADS, {RT_OPF_BATCH, RT_OPF_CONTEXT}, 2},
    [RT_OP_MIXED] = {HEADS, {RT_OPF_Q, RT_OPF_HELD, RT_OPF_BATCH, RT_OPF_CONTEXT}, 4},
    [RT_OP_MOE] = {BIT(HIDDEN) | BIT(FFN) | BIT(EXPERTS) | BIT(TOPK) | BIT(EP), {RT_OPF_M}, 1},
    [RT_OP_ALL_REDUCE] = {BIT(GPUS), {RT_OPF_BYTES}, 1},
    [RT_OP_ELEMENTWISE] = {HEADS | BIT(HIDDEN) | BIT(FFN), {RT_OPF_M}, 1},
    [RT_OP_SAMPLER] = {BIT(VOCAB), {RT_OPF_M}, 1},
};

/* ---- names ----------------------------------------------------------------------------------- */

static bool name_add(struct rt_op_names *names, const char *text, uint32_t *out, struct rt_err *err)
{
    if (names->count == names->capacity) {
        uint32_t capacity = names->capacity == 0 ? 8 : names->capacity * 2;
        char **grown = realloc(names->text, capacity * sizeof *grown);
        if (grown == NULL)
            return rt_fail_nomem(err, "names of a table");
        names->text = grown;
        names->capacity = capacity;
    }
    names->text[names->count] = strdup(text);
    if (names->text[names->count] == NULL)
        return rt_fail_nomem(err, "names of a table");
    *out = names->count++;
    return true;
}

bool rt_op_name(struct rt_op_names *names, const char *text, uint32_t *out, struct rt_err *err)
{
    if (names->count == 0 && !name_add(names, "", out, err))
        return false;
    for (uint32_t i = names->count; i-- > 0;) /* tables come in blocks: the last one is likely */
        if (strcmp(names->text[i], text) == 0) {
            *out = i;
            return true;
        }
    if (names->count == RT_OP_MAX_NAMES)
        return rt_fail(err, RT_ETRACE, "expected at most %d names of models and GPUs, read more",
                       RT_OP_MAX_NAMES);
    return name_add(names, text, out, err);
}

static void names_release(struct rt_op_names *names)
{
    for (uint32_t i = 0; i < names->count; i++)
        free(names->text[i]);
    free(names->text);
    *names = (struct rt_op_names){0};
}

/* ---- rows ------------------------------------------------------------------------------------ */

void rt_op_table_init(struct rt_op_table *t)
{
    *t = (struct rt_op_table){0};
}

void rt_op_table_release(struct rt_op_table *t)
{
    free(t->rows);
    names_release(&t->groups);
    names_release(&t->gpus);
    rt_op_table_init(t);
}

bool rt_op_table_add(struct rt_op_table *t, const struct rt_op_row *row, struct rt_err *err)
{
    if (t->count == t->capacity) {
        size_t capacity = t->capacity == 0 ? 256 : t->capacity * 2;
        if (capacity > RT_OP_MAX_ROWS)
            return rt_fail(err, RT_ETRACE, "expected at most %d rows of operators, read more",
                           RT_OP_MAX_ROWS);
        struct rt_op_row *rows = realloc(t->rows, capacity * sizeof *rows);
        if (rows == NULL)
            return rt_fail_nomem(err, "rows of a table");
        t->rows = rows;
        t->capacity = capacity;
    }
    t->rows[t->count++] = *row;
    return true;
}

static int order(double a, double b)
{
    return (a > b) - (a < b);
}

int rt_op_compare_shape(const struct rt_op_row *a, const struct rt_op_row *b)
{
    if (a->op != b->op)
        return a->op < b->op ? -1 : 1;
    if (a->dtype != b->dtype)
        return a->dtype < b->dtype ? -1 : 1;
    if (a->activation != b->activation)
        return a->activation < b->activation ? -1 : 1;
    for (unsigned f = 0; f < RT_OPF_COUNT; f++)
        if ((rt_op_kinds[a->op].shape >> f & 1) != 0 && a->value[f] != b->value[f])
            return order(a->value[f], b->value[f]);
    return 0;
}

int rt_op_compare(const struct rt_op_row *a, const struct rt_op_row *b)
{
    int shape = rt_op_compare_shape(a, b);
    if (shape != 0)
        return shape;
    for (unsigned i = 0; i < rt_op_kinds[a->op].axis_count; i++) {
        enum rt_op_field f = rt_op_kinds[a->op].axes[i];
        if (a->value[f] != b->value[f])
            return order(a->value[f], b->value[f]);
    }
    return 0;
}

static int compare_rows(const void *a, const void *b)
{
    const struct rt_op_row *x = a, *y = b;
    int rows = rt_op_compare(x, y);
    if (rows != 0)
        return rows;
    if (x->group != y->group)
        return x->group < y->group ? -1 : 1;
    return order(x->seconds, y->seconds);
}

void rt_op_table_sort(struct rt_op_table *t)
{
    if (t->count > 0)
        qsort(t->rows, t->count, sizeof *t->rows, compare_rows);
}
