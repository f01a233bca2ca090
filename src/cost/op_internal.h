/* op_internal.h: what the files about measured operators share.
 *
 *     files --op_read, op_formats--> rt_op_table --+--> rt_surface (profile): times at any place
 *                                                  +--> rt_fit (calibrate): constants of a GPU
 *     rt_op_pricer: what the roofline says about a row, for both */
#ifndef RT_OP_INTERNAL_H
#define RT_OP_INTERNAL_H

#include "cost_internal.h"
#include "rooftrace/csv.h"
#include "rooftrace/gpu.h"
#include "rooftrace/op_table.h"

#define RT_OP_MAX_ROWS  (1 << 22)
#define RT_OP_MAX_NAMES 4096
#define RT_OP_MAX_VALUE 1099511627776.0 /* 2^40, of a field */
#define RT_OP_MAX_S     1e4             /* of a row */

/* ---- reading --------------------------------------------------------------------------------- */

/* Checks a row that is complete and adds it; the message is without a place. */
bool rt_op_row_finish(struct rt_op_table *t, struct rt_op_row *row, struct rt_err *err) RT_MUST_USE;
/* Fills what follows from the rest: the activation type where the table says nothing. */
void rt_op_row_init(struct rt_op_row *row, enum rt_op op);
bool rt_op_read_formats(struct rt_op_table *t, const char *path, const struct rt_op_source *source,
                        struct rt_err *err) RT_MUST_USE;

/* ---- the roofline of single rows (op_price.c) -------------------------------------------------
 */

/* Rows of one op, dtype and shape on one GPU; immutable after _init. */
struct rt_op_pricer {
    enum rt_op op;
    struct rt_gemm_rates rates;
    struct rt_attention_cost attention; /* of one layer */
    struct rt_operators ops;            /* moe: of one layer */
    struct rt_gpu_constants k;
    struct rt_ring ring; /* all_reduce; its k is set where it is used */
    double token_bytes;  /* elementwise: of one token in the layer */
};
/* nodes = NULL: the GPUs of a row are in one box. */
void rt_op_pricer_init(struct rt_op_pricer *p, const struct rt_gpu *gpu,
                       const struct rt_nodes *nodes, const struct rt_op_row *row);
/* Seconds of a row of this op, dtype and shape. O(1), no libm for attention and all_reduce. */
double rt_op_price(const struct rt_op_pricer *p, const double value[RT_OPF_COUNT]);

/* ---- surfaces (surface.c) ---------------------------------------------------------------------
 */

/* log2 and 2^x in plain arithmetic: the same bits on every machine, so that a step may use them.
 * x > 0 and finite; |y| <= 1000. Relative error below 1e-14. */
double rt_log2(double x);
double rt_exp2(double y);

/* Measured times of rows of one op, dtype and shape. */
struct rt_surface {
    const struct rt_op_kind *kind;
    struct rt_op_pricer pricer; /* of the roofline, for places outside */
    struct rt_surface_knot *knots;
    size_t count;
};
/* `rows`: sorted, equal in op, dtype and shape, at least one; repeats count with their median. */
bool rt_surface_init(struct rt_surface *s, const struct rt_cost_inputs *in,
                     const struct rt_op_row *rows, size_t count, struct rt_err *err) RT_MUST_USE;
void rt_surface_release(struct rt_surface *s);
/* Makes the times of the innermost axis non-decreasing. */
void rt_surface_rise(struct rt_surface *s);
/* Seconds at a place; *source says how they were found. O(2^axes log rows). */
double rt_surface_at(const struct rt_surface *s, const double value[RT_OPF_COUNT],
                     enum rt_origin *source);

/* The first value of an axis. */
double rt_surface_first(const struct rt_surface *s, unsigned axis);
/* The first value of the innermost axis where the outer ones are those of `value`; 1: none is. */
double rt_surface_first_at(const struct rt_surface *s, const double value[RT_OPF_COUNT]);

#endif
