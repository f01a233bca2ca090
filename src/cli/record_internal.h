/* record_internal.h: what `calibrate` writes: a GPU record with its sources, a table of operators.
 */
#ifndef RT_RECORD_INTERNAL_H
#define RT_RECORD_INTERNAL_H

#include "rooftrace/err.h"
#include "rooftrace/gpu.h"
#include "rooftrace/op_table.h"

#define RECORD_TEXT        512
#define RECORD_MAX_SOURCES 16

struct record_out {
    char rest[160]; /* where everything else comes from: sources."*" */
    char accuracy[256];
    const char *group[RECORD_MAX_SOURCES]; /* of constants: "gemm" */
    char text[RECORD_MAX_SOURCES][RECORD_TEXT];
    unsigned count;
};

/* Adds to what a group's source says. */
void record_source(struct record_out *r, const char *group, const char *text);
bool record_write(const struct record_out *r, const struct rt_gpu *gpu, const char *path,
                  struct rt_err *err) RT_MUST_USE;
/* Rows as CSV in our own format. */
bool table_write(const struct rt_op_table *t, const char *path, struct rt_err *err) RT_MUST_USE;

#endif
