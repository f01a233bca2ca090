/* sweep/size.h: the fewest replicas of each candidate that hold the objectives on a workload, and
 * the cheapest of them; or the highest rate that a given fleet holds.
 *
 * An objective is a quantile that must not be above a limit. A request that did not finish `ok` is
 * late for every objective. The verdict of a trial is pass, fail or undecided: the interval of
 * interval.h around the quantile lies below the limit, above it, or across it (docs/sizing.md). A
 * candidate's replicas are searched from an analytic guess by galloping and bisection, until a
 * count passes and the one below does not; the one above is tried as well. All trials share the
 * arrivals of their seed. A trial stops as soon as an objective is certainly missed. Pull
 * interface: the caller steps, may show progress and may give up. The result depends on the plan
 * only, never on the number of threads. */
#ifndef RT_SIZE_H
#define RT_SIZE_H

#include "rooftrace/err.h"
#include "rooftrace/json.h"
#include "rooftrace/name.h"
#include "rooftrace/scenario.h"
#include "rooftrace/size_rows.h"
#include "rooftrace/sweep.h"

struct rt_objective {
    char text[RT_SIZE_TEXT];       /* "p99_ttft:500ms" */
    char class_name[RT_NAME_SIZE]; /* "": requests of all classes */
    bool attainment;     /* share of the requests; else a percentile, as metrics.h has it */
    double share;        /* 0.99 */
    struct rt_slo limit; /* a percentile has exactly one that is no NaN */
};

struct rt_candidate {
    char name[RT_SIZE_TEXT];
    struct rt_scenario scenario; /* one pool; its replicas are those of the fleet as it is */
    int64_t min_replicas, max_replicas;
    double usd_per_h; /* of one GPU; NaN: not known */
};

struct rt_size_plan {
    struct rt_objective *objectives; /* owned */
    unsigned objective_count;
    struct rt_candidate *candidates; /* owned */
    unsigned candidate_count;
    double confidence; /* of each end of an interval; 0.99 */
    unsigned seeds;    /* trials a point, each with arrivals of its own; 1 */
    bool point;        /* judge by the estimate itself: this very trace, nothing beyond it */
    bool max_rate;     /* search the rate, not the replicas */
    double precision;  /* of the rate: 0.01 */
};

#define RT_SIZE_MAX_CANDIDATES 1024
#define RT_SIZE_MAX_OBJECTIVES 16
#define RT_SIZE_MAX_SEEDS      1000

void rt_size_plan_release(struct rt_size_plan *p);
/* Reads a plan (schemas/size.schema.json) into *out, initialised here. `scenario`: the base that
 * candidates change; NULL: the plan's own key `scenario`. After a failure there is nothing to
 * release. */
bool rt_size_plan_parse(const struct rt_json_at *root, const struct rt_json *scenario,
                        const struct rt_catalog *catalog, struct rt_size_plan *out,
                        struct rt_err *err) RT_MUST_USE;
/* "p99_ttft:500ms", "p99.9_e2e:30s", "share99_ttft:500ms+tpot:50ms", with "@CLASS" behind. */
bool rt_objective_read(const char *text, struct rt_objective *out, struct rt_err *err) RT_MUST_USE;

struct rt_size_options {
    unsigned jobs;
    struct rt_store *store; /* trials become runs and rows of tables size_*; NULL: none */
};

struct rt_size_progress {
    unsigned trials;         /* that ended */
    unsigned open, searched; /* candidates whose search goes on / is over */
};

enum rt_size_step { RT_SIZE_MORE, RT_SIZE_DONE, RT_SIZE_FAILED };

struct rt_size;

/* The plan outlives it. Reads the workload once. */
bool rt_size_new(const struct rt_size_plan *plan, const struct rt_size_options *o,
                 struct rt_size **out, struct rt_err *err) RT_MUST_USE;
/* Waits at most timeout_ms for a trial to end. DONE: rows are written, rt_size_result is there. */
enum rt_size_step rt_size_step(struct rt_size *s, int timeout_ms, struct rt_size_progress *p,
                               struct rt_err *err);
const struct rt_size_result *rt_size_result(const struct rt_size *s); /* valid while s lives */
void rt_size_free(struct rt_size *s);

#endif
