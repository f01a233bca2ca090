/* results/metrics.h: statistics of a run, gathered row by row.
 *
 * Definitions as vLLM's benchmark has them: TTFT = first token - arrival (+ frontend_s); TPOT =
 * (e2e - ttft)/(output - 1), absent for one token; E2E = finish - arrival (+ frontend_s); queue =
 * first step - arrival; ITL pools every gap of every request. Only requests that finished `ok`
 * count. Percentiles by linear interpolation (numpy's default), std is population. Up to `exact`
 * finished requests per (window, class) values are kept (32 bytes a request) and percentiles are
 * exact; beyond that they come from a histogram, within 0.1 % (TPOT counted in picoseconds, so that
 * holds from 1 ns up), and `exact` says which. Nothing depends on the order of adding. Cost: O(1) a
 * row; the result is a radix sort, O(values). */
#ifndef RT_METRICS_H
#define RT_METRICS_H

#include "rooftrace/err.h"
#include "rooftrace/finished.h"
#include "rooftrace/hist.h"
#include "rooftrace/scenario.h"
#include "rooftrace/token_stats.h"

#define RT_METRIC_EXACT 1000000u

enum rt_metric {
    RT_METRIC_TTFT,
    RT_METRIC_TPOT,
    RT_METRIC_E2E,
    RT_METRIC_QUEUE,
    RT_METRIC_ITL,
    RT_METRIC_COUNT
};
extern const char *const rt_metric_names[RT_METRIC_COUNT]; /* "ttft_s", "tpot_s", ... */

enum rt_metric_window { RT_WINDOW_RUN, RT_WINDOW_MEASURED, RT_WINDOW_COUNT };
extern const char *const rt_metric_window_names[RT_WINDOW_COUNT]; /* "run", "measured" */

struct rt_metric_row { /* one row of table `metric`; seconds; NaN where count is 0 */
    enum rt_metric_window window;
    uint32_t class_name; /* RT_NO_NAME = all classes */
    enum rt_metric metric;
    uint64_t count;
    double mean, std, min, p50, p90, p95, p99, p999, max;
    bool exact;
};

/* Requests that met the objectives of their class: all given ones; a request with one output token
 * has TPOT 0. An objective that was not given is met by every request that finished ok. */
struct rt_slo_count {
    struct rt_slo slo;                      /* of the class; of all classes: the scenario's */
    bool asked_ttft, asked_tpot, asked_e2e; /* given for the class, or for any of all classes */
    enum rt_metric_window window;
    uint32_t class_name;
    uint64_t requests, ok_ttft, ok_tpot, ok_e2e,
        ok_all; /* requests: all arrived, rejected ones miss */
};

struct rt_tally { /* counts over all rows of the run */
    uint64_t requests, by_status[RT_STATUS_COUNT];
    int64_t prompt_tokens, output_tokens, cached_tokens; /* of requests that finished ok */
    uint64_t preemptions;
    int64_t produced_tokens; /* output tokens that appeared, of requests of every status */
    /* From arrival to leaving, of all that were in the system and left it at a known instant;
     * arrivals of those that had not left (unfinished), whose instant the trial knows. */
    rt_u128 in_system_ns, unfinished_arrival_ns;
    /* Preempted more often than they gave tokens: at least `stalled_preemptions` of their
     * preemptions had no token since the one before. */
    uint64_t stalled_requests, stalled_preemptions;
};

/* What the finished requests of one class took of one pool. */
struct rt_class_use {
    uint32_t class_name, pool; /* RT_NO_NAME: requests without a class */
    uint64_t completed;
    int64_t prompt_tokens, output_tokens, cached_tokens;
    rt_u128 service_ns;     /* in a batch: first step to last token, without preemptions */
    rt_u128 decode_context; /* KV tokens their decodes read at least; see class_use.c */
};

/* In the order (window, class, metric): all classes first, then classes by index; classes only when
 * the trace names some, the measured window only when one is asked for, ITL only for all classes.
 * The arrays are owned by the metrics, valid until the next call with them. */
struct rt_metrics_result {
    const struct rt_metric_row *rows;
    size_t row_count;
    const struct rt_slo_count *slo; /* empty without objectives */
    size_t slo_count;
    struct rt_tally tally;
    const struct rt_class_use *uses; /* in the order (class, pool); those with requests */
    size_t use_count;
};

struct rt_metrics;

/* Uses the scenario's measured window, objectives and frontend_s, during the call only. `exact`:
 * RT_METRIC_EXACT; tests lower it. */
bool rt_metrics_new(const struct rt_scenario *s, uint64_t exact, struct rt_metrics **out,
                    struct rt_err *err) RT_MUST_USE;
void rt_metrics_free(struct rt_metrics *m);
/* Every request of the run, whatever its status, once. Fails only with RT_ENOMEM. */
bool rt_metrics_add(struct rt_metrics *m, const struct rt_finished *row,
                    struct rt_err *err) RT_MUST_USE;
/* The counts of all rows so far, and the uses of classes; valid until the next call. */
const struct rt_tally *rt_metrics_tally(const struct rt_metrics *m);
bool rt_metrics_uses(struct rt_metrics *m, const struct rt_class_use **uses, size_t *count,
                     struct rt_err *err) RT_MUST_USE;
/* Statistics of all rows so far; ITL from the token statistics (NULL: none). More rows may follow.
 */
bool rt_metrics_result(struct rt_metrics *m, const struct rt_token_stats *tokens,
                       struct rt_metrics_result *out, struct rt_err *err) RT_MUST_USE;

#endif
