/* results/query.h: reads a database back by typed queries; never writes. Knows no simulator. */
#ifndef RT_QUERY_H
#define RT_QUERY_H

#include "rooftrace/err.h"

#include <stdint.h>

struct rt_db;

/* One run, from the view `summary` and table `run`; NaN and -1 where the run has no such figure, ""
 * where it has no such text. Texts that are too long end in "...". */
struct rt_run_summary {
    int64_t run_id;
    char status[16], message[512], trace[4096], label[256], model[256], gpu[256];
    int64_t gpus, replicas;
    double duration_s, wall_s;           /* simulated, real */
    int64_t requests, completed, failed; /* failed: all that did not complete */
    int64_t rejected, timed_out, cancelled, unfinished;
    int64_t input_tokens, output_tokens, cached_tokens; /* of completed requests */
    double request_throughput, request_goodput, output_throughput, total_throughput; /* 1/s */
    double peak_output_tokens_per_s;
    int64_t peak_in_flight, preemptions, steps;
    int64_t rows_read, zero_prompt, zero_output, unsorted;   /* what reading the trace met */
    int64_t kv_blocks;                                       /* of the whole fleet */
    int64_t stalled_requests, stalled_preemptions;           /* preemption without progress */
    double gpu_hours, cost_usd, cost_low_usd, cost_high_usd; /* view `spend` */
    double usd_per_million_output_tokens, usd_per_million_prompt_tokens, usd_per_million_tokens;
    double energy_kwh, gco2;
    int64_t lost_requests, retries; /* whose replica was gone: for good, and sent again */
    int64_t fleet_changes;          /* rows of scaling_event after the first instant */
    int64_t checks, checks_failed;  /* self-checks that apply; -1: not made */
    struct rt_summary_metric {      /* milliseconds */
        double mean, median, std, p90, p95, p99, p999, max;
    } ttft, tpot, itl, e2e;
};

/* Fails with RT_EDB: missing, not a database of ours, another schema version, locked. */
bool rt_db_open(const char *path, struct rt_db **out, struct rt_err *err) RT_MUST_USE;
void rt_db_close(struct rt_db *db);
/* run_id 0: the latest run. */
bool rt_db_summary(struct rt_db *db, int64_t run_id, struct rt_run_summary *out,
                   struct rt_err *err) RT_MUST_USE;

/* One SELECT, row by row as text (NULL: SQL NULL), for `rooftrace query`. The callback returns
 * false to stop, which is no error. Anything but reading this database is refused. Names and values
 * are valid during the callback. A mistake in the SQL is RT_EUSAGE. */
typedef bool rt_db_row_fn(void *user, int columns, const char *const *names,
                          const char *const *values);
bool rt_db_select(struct rt_db *db, const char *sql, rt_db_row_fn *row, void *user,
                  struct rt_err *err) RT_MUST_USE;
/* The first of the SELECTs in *sql, which then begins with the next one: "" when there is none. */
bool rt_db_select_first(struct rt_db *db, const char **sql, rt_db_row_fn *row, void *user,
                        struct rt_err *err) RT_MUST_USE;

#endif
