/* report/report.h: what a database says, as text. Knows only the database (results/query.h). */
#ifndef RT_REPORT_H
#define RT_REPORT_H

#include "rooftrace/compare.h"
#include "rooftrace/query.h"

#include <stdio.h>

/* vLLM's "Serving Benchmark Result" table, its labels verbatim, followed by what vLLM does not
 * have. Lines without a figure are left out; with_e2el adds the end-to-end block, which vLLM prints
 * only if asked. Whether the stream took it all is for its owner to ask (ferror). */
void rt_report_table(const struct rt_run_summary *s, bool with_e2el, FILE *out);
/* vLLM's result JSON keys (duration, completed, mean_ttft_ms, ...) and ours (run_id, status, gpus,
 * ...): one object, a key a line, figures that do not exist are null. RT_EIO when the stream
 * refuses. */
bool rt_report_json(const struct rt_run_summary *s, FILE *out, struct rt_err *err) RT_MUST_USE;

/* Two logs side by side: errors of mean and percentiles, then of each request. */
void rt_report_comparison(const struct rt_comparison *c, FILE *out);
/* The same as one object (docs/compare.md); figures that do not exist are null. RT_EIO. */
bool rt_report_comparison_json(const struct rt_comparison *c, FILE *out,
                               struct rt_err *err) RT_MUST_USE;

/* What of a run becomes a timeline. Requests and steps that overlap [from_ns, to_ns) are in it,
 * whole; samples taken in it. */
struct rt_timeline {
    int64_t run_id; /* 0: the latest */
    int64_t from_ns, to_ns;
    int64_t replica; /* -1: all of them, and the whole fleet's samples */
};

struct rt_timeline_count { /* what was written */
    int64_t run_id;
    uint64_t steps, requests, samples;
    bool steps_recorded; /* false: the run has none, `rooftrace run --steps` records them */
};

/* Are there such a run and such a replica? Before a file is touched. RT_EUSAGE: no. */
bool rt_report_timeline_check(struct rt_db *db, const struct rt_timeline *what,
                              struct rt_err *err) RT_MUST_USE;
/* Trace-event JSON for ui.perfetto.dev and chrome://tracing. Rows are read and written one by one;
 * memory: O(replicas). RT_EIO when the stream refuses. */
bool rt_report_perfetto(struct rt_db *db, const struct rt_timeline *what, FILE *out,
                        struct rt_timeline_count *count, struct rt_err *err) RT_MUST_USE;

#endif
