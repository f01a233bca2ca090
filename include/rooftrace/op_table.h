/* cost/op_table.h: measured times of single operators, what the cost model `profile` looks up and
 * `rooftrace calibrate --ops` fits to. Format: docs/calibration.md, schemas/profile.schema.json.
 *
 * A row is one kernel, or one block of kernels, on one GPU after the tensor parallel split: what it
 * is (op), its shape, and seconds. Files: CSV with the columns of rt_op_fields and `op`, `dtype`,
 * `us`; JSON with the same as keys; and the layouts of published tables (rt_op_format_at). Reading
 * is O(rows), rt_op_table_sort O(rows log rows). */
#ifndef RT_OP_TABLE_H
#define RT_OP_TABLE_H

#include "rooftrace/dtype.h"
#include "rooftrace/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rt_catalog; /* catalog.h */

/* name, help */
enum rt_op {
    RT_OP_GEMM,        /* [m x k] * [k x n] */
    RT_OP_PREFILL,     /* attention of one layer: a chunk of q new tokens behind `held` in KV */
    RT_OP_DECODE,      /* attention of one layer: `batch` sequences, `context` tokens each */
    RT_OP_MIXED,       /* both in one call */
    RT_OP_MOE,         /* routed experts of one layer with routing, m tokens */
    RT_OP_ALL_REDUCE,  /* `bytes` over `gpus` */
    RT_OP_ELEMENTWISE, /* norms, rope and activation of one layer, m tokens */
    RT_OP_SAMPLER,     /* m rows of `vocab` logits */
    RT_OP_COUNT
};
extern const char *const rt_op_names[RT_OP_COUNT];
/* The terms of a step (enum rt_term) that an operator's time goes to, for people. */
extern const char *const rt_op_terms[RT_OP_COUNT];

enum rt_op_field { /* a column of a table; whole numbers */
                   RT_OPF_M,
                   RT_OPF_N,
                   RT_OPF_K,
                   RT_OPF_Q,
                   RT_OPF_HELD,
                   RT_OPF_BATCH,
                   RT_OPF_CONTEXT,
                   RT_OPF_HEADS, /* after the split, as all below but EXPERTS */
                   RT_OPF_KV_HEADS,
                   RT_OPF_HEAD_DIM,
                   RT_OPF_HIDDEN,
                   RT_OPF_FFN,     /* width of an MLP, or of one expert */
                   RT_OPF_EXPERTS, /* of the model */
                   RT_OPF_TOPK,
                   RT_OPF_EP, /* GPUs that hold whole experts; 1 */
                   RT_OPF_VOCAB,
                   RT_OPF_BYTES,
                   RT_OPF_GPUS,
                   RT_OPF_COUNT
};
extern const char *const rt_op_fields[RT_OPF_COUNT]; /* "m", "n", ... */

#define RT_OP_MAX_AXES 4

/* What an operator's rows say. */
struct rt_op_kind {
    unsigned shape;                        /* bits of the fields that make its shape */
    enum rt_op_field axes[RT_OP_MAX_AXES]; /* what is measured over, outermost first */
    unsigned axis_count;
};
extern const struct rt_op_kind rt_op_kinds[RT_OP_COUNT];

struct rt_op_row {
    enum rt_op op;
    enum rt_dtype dtype;        /* of weights; attention: of KV */
    enum rt_dtype activation;   /* bf16 where the table does not say and the weights are narrower */
    double value[RT_OPF_COUNT]; /* 0: does not apply */
    double seconds;             /* > 0 */
    uint32_t group;             /* index into the table's groups: whose layers these are */
    uint32_t gpu;               /* index into the table's gpus; 0: the table does not say */
};

struct rt_op_names { /* distinct texts; [0] is "" */
    char **text;
    uint32_t count, capacity;
};

struct rt_op_table {
    struct rt_op_row *rows;
    size_t count, capacity;
    struct rt_op_names groups, gpus;
};

/* How to read files that are not in our own format. */
struct rt_op_source {
    const char *format; /* of rt_op_format_at; NULL or "auto": by extension and header */
    const char *shapes; /* a CSV with the shapes of models, for vidur-layers; NULL: beside it */
    const char *model;  /* of tables that do not name one (vllm-attention); NULL */
    const char *const *where; /* NAME:VALUE, rows whose columns have these texts; may be NULL */
    unsigned where_count;
    const struct rt_catalog *catalog; /* resolves names of models; needed for the vllm formats */
};

void rt_op_table_init(struct rt_op_table *t);
void rt_op_table_release(struct rt_op_table *t);
/* Adds a file's rows. After a failure the table keeps what was read. */
bool rt_op_table_read(struct rt_op_table *t, const char *path, const struct rt_op_source *source,
                      struct rt_err *err) RT_MUST_USE;
bool rt_op_table_add(struct rt_op_table *t, const struct rt_op_row *row,
                     struct rt_err *err) RT_MUST_USE;
/* The index of a text, new or known. */
bool rt_op_name(struct rt_op_names *names, const char *text, uint32_t *out,
                struct rt_err *err) RT_MUST_USE;
/* In the order of (op, dtypes, shape, axes, seconds). */
void rt_op_table_sort(struct rt_op_table *t);
/* Order of two rows by op, dtypes and shape, and then by axes. */
int rt_op_compare(const struct rt_op_row *a, const struct rt_op_row *b);
int rt_op_compare_shape(const struct rt_op_row *a, const struct rt_op_row *b);

struct rt_op_format_info {
    const char *name, *help;
};
unsigned rt_op_format_count(void);
struct rt_op_format_info rt_op_format_at(unsigned i);

#endif
