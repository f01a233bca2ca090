/* sweep/fit_requests.h: what operator tables cannot tell, fitted to a real serving log: the host's
 * time a step and a sequence, and, asked for, a factor on the efficiency of GEMM and of attention.
 *
 * The scenario is replayed with each guess and its requests are held against the log's. Every other
 * request (0, 2, 4, ...) is fitted, the rest only judged; all of them are simulated. Deterministic.
 * Cost: one simulation an evaluation. */
#ifndef RT_FIT_REQUESTS_H
#define RT_FIT_REQUESTS_H

#include "rooftrace/request_log.h"
#include "rooftrace/scenario.h"

enum rt_fit_metric { RT_FIT_TTFT, RT_FIT_TPOT, RT_FIT_E2E, RT_FIT_METRICS };
extern const char *const rt_fit_metric_names[RT_FIT_METRICS]; /* "TTFT", ... */

struct rt_fit_figures { /* of one metric over one half of the requests */
    size_t requests;
    double real[4], ours[4]; /* mean, p50, p90, p99 in seconds */
    double error;            /* median of |ours/real - 1| request by request */
};

#define RT_FIT_KNOBS 4
struct rt_fit_knob {
    const char *name; /* "host_us_per_step" or "host_sync_us_per_step", ..., "gemm efficiency" */
    double before, after;
};

struct rt_fit_requests_report {
    struct rt_fit_knob knobs[RT_FIT_KNOBS];
    unsigned knob_count, evaluations;
    /* [0] with the scenario's own constants, [1] fitted; [0] the half that was fitted, [1] judged
     */
    struct rt_fit_figures figures[2][2][RT_FIT_METRICS];
};

struct rt_fit_requests_options {
    bool efficiencies;    /* also those of GEMM and attention */
    unsigned evaluations; /* simulations at most, from 10 */
};

/* Changes the constants of all pools' GPUs in *s, which must be of one kind, to the fitted ones. Of
 * the host's those in force: host_sync_* where the engines do not overlap it (all or none of them).
 * Rows of the log are requests of the trace by their ids, without ids by their order. RT_ECONFIG:
 * another cost than roofline or profile, a log that is not of this trace. */
bool rt_fit_requests(struct rt_scenario *s, const struct rt_request_log *log,
                     const struct rt_fit_requests_options *options,
                     struct rt_fit_requests_report *out, struct rt_err *err) RT_MUST_USE;

#endif
