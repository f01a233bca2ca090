/* results/store.h: the SQLite file a run is written to. Schema: schema.sql, docs/schema.md.
 *
 * One writer thread a store writes the rows: `put` hands a list of them over and waits only when
 * the bounded queue is full; `begin` and `end` wait their turn in the same queue, and write
 * themselves when it is empty. Rows go in rowid order, in transactions of about a second,
 * crash-safe against process death (rollback journal), not against power loss. A run's row says
 * running | complete | interrupted | failed. Re-running appends a run. The file is created or
 * touched by rt_store_open, never before. Several runs may be open at once, and begin, put,
 * put_steps and end may be called from several threads; one run's calls come one after the other.
 */
#ifndef RT_STORE_H
#define RT_STORE_H

#include "rooftrace/err.h"
#include "rooftrace/explain.h"
#include "rooftrace/finished.h"
#include "rooftrace/fleet.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/hist.h"
#include "rooftrace/metrics.h"
#include "rooftrace/replica.h"
#include "rooftrace/scenario.h"
#include "rooftrace/self_check.h"
#include "rooftrace/sim.h"
#include "rooftrace/source.h"
#include "rooftrace/step_list.h"

#define RT_SCHEMA_VERSION 1

struct rt_store;

enum rt_run_status { RT_RUN_RUNNING, RT_RUN_COMPLETE, RT_RUN_INTERRUPTED, RT_RUN_FAILED };
extern const char *const rt_run_status_names[4];

struct rt_run_pool {
    const struct rt_pool_spec *spec;
    struct rt_pool_plan plan;
    struct rt_cost_sources sources; /* all unused: nothing to tell */
};

/* The place of a run in a plan of many (sweep/plan.h). Read during rt_store_begin only. */
struct rt_run_of_plan {
    int64_t run_id;        /* > 0: the run's number; 0: the next free one, and no plan */
    const char *plan_hash; /* of all trials of the plan, as text */
    int64_t plan_trials;   /* how many it has; their numbers are 1 to this */
    const char *varied;    /* JSON object: what this trial changes in the plan's scenario */
};

/* Known before the first row. Read during rt_store_begin only, but for `source`. */
struct rt_run_start {
    const char *label;         /* free text or NULL */
    const char *scenario_json; /* fully resolved */
    const char *trace;         /* path, or NULL */
    const char *trace_format;  /* or NULL */
    const char *version;       /* of rooftrace */
    struct rt_run_of_plan of_plan;
    int64_t started_unix_ms;            /* wall clock now; 0 = not known */
    const struct rt_scenario *scenario; /* seed, router, objectives, measured window, frontend_s */
    const struct rt_run_pool *pools;    /* in the order of rt_finished.pool */
    uint32_t pool_count;
    const struct rt_source *source; /* names of classes; outlives the run's rt_store_end */
    bool no_requests;               /* rows are taken but not written (aggregates only) */
    double sample_requests; /* share of the requests whose rows are written, chosen by (seed, id);
                               0: all */
    bool steps;             /* every step will be put */
};

/* GPUs that were paid for in [from, to); intervals of one pool may overlap, they add up. */
struct rt_billed {
    uint32_t pool, replica; /* whose; RT_NO_REPLICA: of the pool */
    int64_t gpus;           /* physical */
    int64_t from_ns, to_ns;
};

struct rt_scaling_row { /* one row of table `scaling_event` */
    int64_t time_ns;
    uint32_t pool, replica;
    const char *from, *to, *why;
};

/* Known at the end. Read during rt_store_end only. */
struct rt_run_end {
    enum rt_run_status status; /* not RT_RUN_RUNNING */
    const char *message;       /* why it failed or stopped; NULL when complete */
    double wall_s;             /* real seconds of the replay: with started_unix_ms all that differs
                                  between equal runs */
    struct rt_sim_totals totals;
    struct rt_source_stats source;
    struct rt_metrics_result metrics;
    const struct rt_sample *samples;
    size_t sample_count;
    const struct rt_hist *itl, *itl_measured;        /* of rt_token_stats; NULL: none */
    uint64_t peak_output_tokens_per_s;               /* rt_token_stats_peak */
    const struct rt_replica_totals *const *replicas; /* by replica number; may be NULL when 0 */
    uint32_t replica_count;                          /* 0, or as many as the pools have */
    const struct rt_billed *billed;
    size_t billed_count;
    const struct rt_scaling_row *scaling;
    size_t scaling_count;
    const struct rt_check_row *checks; /* RT_CHECK_COUNT rows, or NULL: not checked */
};

/* Fails with RT_EDB: unwritable, locked by another process, not an SQLite file, another schema
 * version (says what to do). A file that is not ours is never changed; an empty one is used. */
bool rt_store_open(const char *path, struct rt_store **out, struct rt_err *err) RT_MUST_USE;
/* Would rt_store_open succeed? Changes nothing. For failing before a long simulation. */
bool rt_store_check(const char *path, struct rt_err *err) RT_MUST_USE;
/* Writes what is queued, ends the thread, closes. Runs that were not ended become `failed`. NULL is
 * allowed. No other call may be in progress. */
void rt_store_close(struct rt_store *s);

/* A sweep goes on: every run here must be of this plan (RT_EDB); those that are not complete are
 * removed with all their rows; complete[i] becomes true where run i + 1 is. Before any run begins.
 */
bool rt_store_resume(struct rt_store *s, const char *plan_hash, int64_t trials, bool *complete,
                     struct rt_err *err) RT_MUST_USE;
/* Writes and commits the rows of `run` and `pool`. */
bool rt_store_begin(struct rt_store *s, const struct rt_run_start *run, int64_t *run_id,
                    struct rt_err *err) RT_MUST_USE;
/* Moves the rows out of *rows (left empty, with recycled memory) into the queue; those that are not
 * to be written are dropped. Class names are looked up here, on the caller's thread. An error while
 * writing (disk full, ...) comes back from the next call; the rows then stay where they are, and
 * all open runs are marked `failed` where the disk still allows it. */
bool rt_store_put(struct rt_store *s, int64_t run_id, struct rt_finished_list *rows,
                  struct rt_err *err) RT_MUST_USE;
/* The same for steps that are over. */
bool rt_store_put_steps(struct rt_store *s, int64_t run_id, struct rt_step_list *steps,
                        struct rt_err *err) RT_MUST_USE;
/* Waits for the queue, commits the rows, then writes all other tables in one transaction. When it
 * fails the rows stay and the run is marked `failed` where the disk still allows it. Either way the
 * run is closed. */
bool rt_store_end(struct rt_store *s, int64_t run_id, const struct rt_run_end *end,
                  struct rt_err *err) RT_MUST_USE;
/* Ends a run that has no figures: status `failed` and the message. */
bool rt_store_fail(struct rt_store *s, int64_t run_id, const char *message,
                   struct rt_err *err) RT_MUST_USE;

#endif
