/* What the files of sizing share: the workload as counted, what a trial's rows add up to, the
 * search of one candidate. */
#ifndef RT_SIZE_INTERNAL_H
#define RT_SIZE_INTERNAL_H

#include "rooftrace/err.h"
#include "rooftrace/finished.h"
#include "rooftrace/hist.h"
#include "rooftrace/interval.h"
#include "rooftrace/json.h"
#include "rooftrace/scenario.h"
#include "rooftrace/size.h"
#include "rooftrace/size_rows.h"
#include "rooftrace/workload.h"

struct rt_catalog; /* rooftrace/catalog.h */

#define SIZE_BLOCKS 32 /* of the trace, all seeds together, at least */

/* ---- size_cell.c: the scenario of a candidate ---- */

struct size_cell { /* what a candidate changes in the base's pool; absent places change nothing */
    struct rt_json_at pool, gpu, degree;
    struct rt_json_at price; /* object that may have price_usd_per_h and replicas */
    const char *name;
};
/* Has it one pool that can be varied, or none? */
bool size_base_check(const struct rt_json *scenario, struct rt_err *err) RT_MUST_USE;
/* The scenario, with the cell's changes laid over its pool. The caller releases *out. */
bool size_cell_parse(const struct rt_json *scenario, const struct rt_catalog *catalog,
                     const struct size_cell *c, struct rt_scenario *out,
                     struct rt_err *err) RT_MUST_USE;

/* ---- size_traffic.c ---- */

struct size_traffic { /* the workload of one seed as it comes in, before any fleet */
    uint64_t requests, first_id, last_id;
    double mean_prompt, mean_output, span_s;   /* first to last arrival */
    uint32_t class_of[RT_SIZE_MAX_OBJECTIVES]; /* index of an objective's class; RT_NO_NAME: all */
};
bool size_traffic_read(const struct rt_size_plan *plan, const struct rt_trace_table *trace,
                       uint64_t seed, struct size_traffic *out, struct rt_err *err) RT_MUST_USE;
/* Requests per second as the scenario sends them; NaN: not one number, or up to the fleet. */
double size_traffic_rate(const struct size_traffic *t, const struct rt_workload_spec *w);

struct size_point { /* what a search varies */
    int64_t replicas;
    double rate; /* factor on the workload's */
};
/* A scenario like `base` at a point and with a seed; what it points to stays base's but for what
 * size_variant_release frees. */
bool size_variant(const struct rt_scenario *base, const struct size_point *at, uint64_t seed,
                  struct rt_scenario *out) RT_MUST_USE;
void size_variant_release(struct rt_scenario *s);
/* Mean seconds a token of so many sequences takes that decode together and undisturbed. */
double size_decode_s(const struct rt_fleet *fleet, const struct rt_scenario *s,
                     const struct size_traffic *t, int64_t decodes);
/* Replicas, as a fraction, that an engine's closed form needs for the traffic: where the search
 * begins. */
double size_need(const struct rt_fleet *fleet, const struct rt_scenario *s,
                 const struct size_traffic *t, const struct rt_size_plan *plan);

/* ---- size_judge.c: what the rows of a trial say ---- */

struct size_tally { /* of one objective */
    uint64_t requests, late;
    uint64_t lost_at;              /* so many late ones and the objective is missed; UINT64_MAX */
    double worst_good, least_late; /* values on both sides of the limit */
    struct rt_hist *blocks;        /* of values in ticks; INT64_MAX: did not finish */
};

struct size_judge { /* one trial of one seed */
    const struct rt_size_plan *plan;
    const struct size_traffic *traffic;
    int64_t frontend_ns, from_ns, to_ns; /* measured: arrivals in [from, to) */
    struct size_tally tallies[RT_SIZE_MAX_OBJECTIVES];
    unsigned blocks;
    bool lost;
};
bool size_judge_init(struct size_judge *j, const struct rt_size_plan *plan,
                     const struct size_traffic *traffic) RT_MUST_USE;
void size_judge_release(struct size_judge *j);
/* rt_trial_watch: false when the trial is lost. */
bool size_judge_watch(void *judge, const struct rt_finished *rows, size_t count);
/* The checks and the verdict of all seeds together. false: out of memory. */
bool size_judge_verdict(struct size_judge *judges, unsigned count,
                        struct rt_size_trial *trial) RT_MUST_USE;

/* ---- size_load.c ---- */

/* Fills the trial's figures of load, and what binds, from the trial of its first seed. */
bool size_load_read(struct rt_trial *t, const struct rt_scenario *s,
                    const struct size_traffic *traffic, struct rt_size_trial *trial,
                    struct rt_err *err) RT_MUST_USE;
void size_load_binds(struct rt_size_trial *trial, const struct rt_size_plan *plan);

/* ---- size_search.c: where to look next ---- */

struct size_search {
    const struct rt_size_plan *plan;
    int64_t min, max, guess; /* replicas; a rate search keeps min */
    double precision;        /* of a rate search; 0: replicas */
    double max_rate;         /* where a rate search ends */
    bool passable;           /* false: too few requests for a pass, the estimate decides */
    struct rt_size_trial *trials;
    unsigned count, capacity;
    int best, next;
    bool monotone;
};
bool size_search_holds(const struct size_search *s, const struct rt_size_trial *t);
/* The next trial's replicas or rate; false: over, best and next are there. */
bool size_search_next(struct size_search *s, struct size_point *at);

#endif
