/* results/compare.h: how far one log of requests is from another: per request and per percentile.
 *
 * Requests are paired by id, or, where a log has no ids, by order of arrival (of the file where it
 * has no arrivals either). Statistics are of the pairs that finished on both sides and have the
 * metric on both; percentiles interpolate linearly. Errors are (b - a) / a. ITL pools the gaps of
 * each whole log. Rates: pairs and their tokens over the span from the first arrival to the last
 * token of the pairs, on each side; where log a has no arrivals, over its duration. O(n log n). */
#ifndef RT_COMPARE_H
#define RT_COMPARE_H

#include "rooftrace/request_log.h"

enum rt_compare_by { RT_COMPARE_AUTO, RT_COMPARE_ID, RT_COMPARE_ORDER };
enum rt_compared { RT_COMPARED_TTFT, RT_COMPARED_TPOT, RT_COMPARED_ITL, RT_COMPARED_E2E };
#define RT_COMPARED_COUNT 4

struct rt_compared_metric {
    struct rt_log_stats a, b; /* seconds; ITL: counts may differ */
    uint64_t errors;          /* pairs whose value of log a is above 0: only they have an error */
    /* shares of a, over pairs; NaN where errors is 0 */
    double median_abs_error, mean_abs_error, p90_abs_error;
};

struct rt_compared_rate { /* 1/s; NaN: not known */
    double a, b;
};

struct rt_comparison {
    char a[256], b[256]; /* names of the logs, cut with "..." */
    bool by_id;
    uint64_t requests_a, requests_b, pairs;
    uint64_t only_a, only_b;     /* have no partner */
    uint64_t failed_a, failed_b; /* of pairs, that did not finish there */
    uint64_t compared;           /* pairs that finished on both sides */
    uint64_t tokens_differ;      /* of them, with unequal prompt or output tokens */
    struct rt_compared_metric metric[RT_COMPARED_COUNT];
    struct rt_compared_rate requests, output_tokens, total_tokens;
};

/* a is the truth. Sorts the rows of both. RT_ETRACE: no pair, an id twice; RT_EUSAGE: by id without
 * ids. */
bool rt_compare(struct rt_request_log *a, struct rt_request_log *b, enum rt_compare_by by,
                struct rt_comparison *out, struct rt_err *err) RT_MUST_USE;
/* b / a - 1; NaN when there is none. */
double rt_compare_error(double a, double b);

#endif
