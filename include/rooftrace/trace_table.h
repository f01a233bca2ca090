/* workload/trace_table.h: a trace file read once and kept, so that many trials share it.
 *
 * Immutable: any number of threads may draw sources from it (rt_workload_open_table), each with its
 * own window, copies, scaling and load, and gets what the file itself would give, row by row, also
 * its errors of order. Memory: 136 bytes a row, 8 a hash id, and the session ids. */
#ifndef RT_TRACE_TABLE_H
#define RT_TRACE_TABLE_H

#include "rooftrace/workload.h"

struct rt_trace_table;

/* Reads the whole trace of the workload. *out is NULL, without an error, where there is nothing to
 * share: it takes more than budget_bytes, can be read only once (a pipe), is drawn (synthetic,
 * servegen), is a mix. It serves every workload with the same trace, format, columns, block_size
 * and drop_failed. The caller frees it after the last source on it. */
bool rt_trace_table_new(const struct rt_workload_spec *w, size_t budget_bytes,
                        struct rt_trace_table **out, struct rt_err *err) RT_MUST_USE;
void rt_trace_table_free(struct rt_trace_table *t);
size_t rt_trace_table_bytes(const struct rt_trace_table *t);
uint64_t rt_trace_table_rows(const struct rt_trace_table *t);
/* rt_workload_open on a table that serves this workload; NULL: on the file. */
bool rt_workload_open_table(const struct rt_workload_spec *w, const struct rt_trace_table *table,
                            struct rt_source **out, struct rt_err *err) RT_MUST_USE;

#endif
