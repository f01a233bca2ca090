/* cost/fit_ops.h: the constants of a GPU record, fitted to measured operators.
 *
 * Stages come one after the other (GEMM, quantised GEMM, decode, prefill, ...), each with the
 * constants that its rows decide and the ones before it fixed: the mean of
 * |log(predicted/measured)| is made as small as it gets, which a few wild rows do not move much,
 * but for what rows hardly decide, which stays near the record (docs/calibration.md). A stage
 * without rows, and a constant that no row depends on, keep what the record had. Left-out errors:
 * each group of rows (the layers of one model; without names, five parts of the shapes) is
 * predicted by constants fitted to all others. Deterministic. Seconds for 10,000 rows. */
#ifndef RT_FIT_OPS_H
#define RT_FIT_OPS_H

#include "rooftrace/err.h"
#include "rooftrace/gpu.h"
#include "rooftrace/op_table.h"

#define RT_FIT_MAX_CONSTANTS 48
#define RT_FIT_MAX_ERRORS    96

struct rt_fit_constant {  /* one that was fitted */
    const char *key;      /* as a GPU record names it */
    double before, after; /* in the record's unit */
    size_t rows;          /* that decided it */
};

struct rt_fit_error {  /* |predicted/measured - 1| over a range of rows */
    const char *stage; /* "gemm", "gemm 8 bit", "decode", ... */
    const char *range; /* "all" first, then "m 1-8", ... */
    size_t rows;
    double before;      /* median with the record's constants */
    double median, p90; /* with the fitted ones */
    double bias;        /* median of predicted/measured - 1 */
    double left_out;    /* median where the group was left out; NaN: there is only one group */
};

struct rt_fit_ops {
    struct rt_gpu gpu; /* the record with the fitted constants */
    struct rt_fit_constant constants[RT_FIT_MAX_CONSTANTS];
    unsigned constant_count;
    struct rt_fit_error errors[RT_FIT_MAX_ERRORS];
    unsigned error_count;
    size_t rows; /* that were used */
};

/* Sorts the table. RT_ECONFIG when the GPU lacks a rate that rows need, or no row can be used. */
bool rt_fit_ops(struct rt_op_table *table, const struct rt_gpu *start, struct rt_fit_ops *out,
                struct rt_err *err) RT_MUST_USE;

#endif
