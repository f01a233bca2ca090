/* sweep/trial.h: one scenario replayed: source -> sim -> metrics -> store. Pull interface: the
 * caller steps it, may show progress between steps and may stop it.
 *
 * Its rows go to a file of its own (`output`, touched only after the first chunk was simulated), to
 * a store that several trials share (`store`; the run begins in rt_trial_new), or nowhere: then its
 * metrics are all that is left. */
#ifndef RT_TRIAL_H
#define RT_TRIAL_H

#include "rooftrace/err.h"
#include "rooftrace/finished.h"
#include "rooftrace/metrics.h"
#include "rooftrace/scenario.h"
#include "rooftrace/source.h"
#include "rooftrace/store.h"
#include "rooftrace/trace_table.h"

/* Sees each chunk of finished requests before it is counted; false: enough was seen. */
typedef bool rt_trial_watch(void *user, const struct rt_finished *rows, size_t count);

struct rt_trial_options {
    const char *output;                 /* database path; NULL: see `store` */
    struct rt_store *store;             /* an open one, outlives the trial; NULL: metrics only */
    struct rt_run_of_plan of_plan;      /* `store`: the run's number and what it varies */
    const struct rt_trace_table *trace; /* the scenario's; NULL: it is read from its file */
    struct rt_source *source;           /* opened already, rt_trial_new takes it; or NULL */
    rt_trial_watch *watch;              /* or NULL */
    void *user;                         /* for watch */
    size_t chunk_rows;                  /* requests between two looks, about; 0: 8192 */
    const char *label;                  /* or NULL */
    bool discard_rows;                  /* no rows in table `request`: aggregates only */
    double sample_requests; /* share of the requests that get rows; 0: all. Statistics: of all */
    bool steps;             /* every engine step in table `step` */
    bool no_self_check;     /* a result that cannot be (self_check.h) passes */
};

struct rt_trial_progress {
    uint64_t arrived, finished; /* requests; finished counts rejected ones */
    double simulated_s;
    uint64_t steps;
};

enum rt_trial_answer {
    RT_TRIAL_MORE,
    RT_TRIAL_DONE,
    RT_TRIAL_STOPPED, /* `watch` said so: rt_trial_stop or rt_trial_free comes next */
    RT_TRIAL_FAILED
};

struct rt_trial;

bool rt_trial_new(const struct rt_scenario *s, const struct rt_trial_options *o,
                  struct rt_trial **out, struct rt_err *err) RT_MUST_USE;
/* One chunk. On FAILED the run is marked `failed` in the database and its rows are kept. */
enum rt_trial_answer rt_trial_step(struct rt_trial *t, struct rt_trial_progress *p,
                                   struct rt_err *err);
/* Stops early: requests in flight become `unfinished`, the run `interrupted`. */
bool rt_trial_interrupt(struct rt_trial *t, struct rt_err *err) RT_MUST_USE;
/* The same for another reason, which is the run's message. */
bool rt_trial_stop(struct rt_trial *t, const char *why, struct rt_err *err) RT_MUST_USE;
/* Statistics of what finished so far; valid until the next call with this trial. Names of classes:
 * rt_trial_source. */
bool rt_trial_metrics(struct rt_trial *t, struct rt_metrics_result *out,
                      struct rt_err *err) RT_MUST_USE;
/* A trial that cannot be built, as a run of options.store with status `failed`, its pools as the
 * scenario has them and no figures. */
bool rt_trial_refuse(const struct rt_scenario *s, const struct rt_trial_options *o, const char *why,
                     struct rt_err *err) RT_MUST_USE;
int64_t rt_trial_run_id(const struct rt_trial *t); /* 0 before the first row */
const struct rt_sim *rt_trial_sim(const struct rt_trial *t);
const struct rt_source *rt_trial_source(const struct rt_trial *t);
void rt_trial_free(struct rt_trial *t);

#endif
