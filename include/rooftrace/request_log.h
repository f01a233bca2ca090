/* results/request_log.h: what happened to each request, in seconds: as somebody measured it, or as
 * a run of a database has it. The two sides of results/compare.h.
 *
 * A measured log is one of
 *   - CSV with a header, a row a request;
 *   - JSON lines, an object a request, its keys named as the columns of a CSV, or AIPerf's
 *     profile_export.jsonl (metadata, metrics with value and unit; warm-up requests are left out);
 *   - vLLM's result JSON with per-request arrays (`vllm bench serve --save-detailed`).
 * Names are those people have (results/measured_names.c lists them), without regard to case and
 * punctuation: "Time to First Token (ms)" is time_to_first_token_ms. A column may be mapped by
 * hand. TPOT and E2E follow from each other where one is missing: e2e = ttft + tpot * (output - 1).
 * A request that failed (an error text, success false) has no times. Ids that are one text and a
 * number, "bench-17", stand for the number; all others are not kept. Memory: 72 bytes a request,
 * 8 a gap between two tokens. */
#ifndef RT_REQUEST_LOG_H
#define RT_REQUEST_LOG_H

#include "rooftrace/query.h"

#include <stddef.h>

struct rt_log_row {
    uint64_t id;                          /* place in the trace, from 0, where the log has ids */
    uint64_t place;                       /* in the file, from 0 */
    double arrival_s;                     /* NaN: not told, as all times */
    double ttft_s, tpot_s, e2e_s;         /* TPOT: (e2e - ttft) / (output - 1) */
    int64_t prompt_tokens, output_tokens; /* -1: not told */
    bool ok;                              /* it finished */
};

struct rt_log_stats { /* NaN where count is 0 */
    uint64_t count;
    double mean, p50, p90, p95, p99;
};

struct rt_request_log {
    char *name; /* for messages: the file, or "run 3" */
    struct rt_log_row *rows;
    size_t count, capacity;
    bool has_ids, has_arrivals; /* every row tells one */
    double duration_s;          /* of the whole benchmark; NaN: not told */
    struct rt_log_stats itl;    /* seconds, gaps of all requests pooled */
};

/* `columns`: count texts "FIELD:COLUMN", as in "ttft_ms:first_token"; FIELD is one of
 * rt_log_fields. RT_EUSAGE: an unknown field, a column the file lacks; RT_ETRACE: bad contents. */
bool rt_log_load(const char *path, const char *const *columns, unsigned count,
                 struct rt_request_log *out, struct rt_err *err) RT_MUST_USE;
/* The rows of a run; run_id 0: the latest. Fails with RT_EDB when it has no rows, or shares only.
 */
bool rt_log_of_run(struct rt_db *db, int64_t run_id, struct rt_request_log *out,
                   struct rt_err *err) RT_MUST_USE;
void rt_log_release(struct rt_request_log *log);

/* Names a column can be mapped to: "request_id", "arrival_s", "ttft_ms", ... */
extern const char *const rt_log_fields[];
extern const unsigned rt_log_field_count;

#endif
