/* op_layouts_internal.h: published tables of operators, one line at a time. op_formats.c opens a
 * table and walks over its lines; op_layouts.c turns a line into rows, one function a layout. */
#ifndef RT_OP_LAYOUTS_INTERNAL_H
#define RT_OP_LAYOUTS_INTERNAL_H

#include "op_internal.h"
#include "rooftrace/name.h"

#define RT_OP_MAX_COLUMNS 16
#define RT_OP_MAX_SHAPES  256

struct op_shape { /* of a model, whole */
    char name[RT_NAME_SIZE];
    double hidden, heads, kv_heads, head_dim, ffn,
        gate; /* gate: products of the MLP's first half */
};

struct op_parts { /* elementwise operators of one layer, line by line, until all have come */
    struct rt_op_row row;
    unsigned seen;
};

struct op_reader {
    struct rt_op_table *t;
    struct rt_csv_file *f;
    const struct rt_op_source *source;
    const struct op_format *format;
    int column[RT_OP_MAX_COLUMNS]; /* of format->columns */
    struct op_shape shapes[RT_OP_MAX_SHAPES];
    unsigned shape_count;
    struct rt_model model; /* the last one looked up */
    char model_name[RT_NAME_SIZE];
    struct op_parts *parts;
    size_t part_count, part_capacity;
};

struct op_format {
    const char *name, *help;
    const char *columns[RT_OP_MAX_COLUMNS]; /* that a header must have */
    bool (*begin)(struct op_reader *r, const char *path, struct rt_err *err); /* or NULL */
    bool (*row)(struct op_reader *r, struct rt_err *err);
};

extern const struct op_format rt_op_layouts[];
extern const unsigned rt_op_layout_count;

#endif
