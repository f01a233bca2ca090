/* campaign_internal.h: what a campaign stands on. */
#ifndef RT_CAMPAIGN_INTERNAL_H
#define RT_CAMPAIGN_INTERNAL_H

#include "rooftrace/trace_table.h"

/* ---- lock.c: one process a database */

struct rt_lock {
    int fd; /* -1: not held */
    char *path;
};
/* RT_EDB when another process holds it. */
bool rt_lock_take(struct rt_lock *l, const char *database, struct rt_err *err) RT_MUST_USE;
void rt_lock_release(struct rt_lock *l);

/* ---- traces.c: traces that trials share */

struct rt_traces;
bool rt_traces_new(size_t budget_bytes, struct rt_traces **out, struct rt_err *err) RT_MUST_USE;
void rt_traces_free(struct rt_traces *t);
/* The workload's trace in memory, or NULL: it streams from its file. The first trial of a trace
 * streams, the second has it read; it stays until rt_traces_free. */
const struct rt_trace_table *rt_traces_get(struct rt_traces *t, const struct rt_workload_spec *w);

#endif
