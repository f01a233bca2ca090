/* report/report.h: what a database says, as text. Knows only the database (results/query.h). */
#ifndef RT_REPORT_H
#define RT_REPORT_H

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

#endif
