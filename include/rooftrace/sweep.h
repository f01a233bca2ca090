/* sweep/sweep.h: many trials at once, on the threads of libuv's pool, driven by one caller's
 * thread.
 *
 * Pull interface: `add` hands a trial over, `next` waits for one that ended, whichever comes first,
 * and gives it back whole: metrics, totals, plans and names are read from it (trial.h). At most
 * `jobs` run at a time, the others wait in the order they came. A result depends on its scenario
 * only, never on `jobs` or on the order of ending. libuv makes its threads at first use, as many as
 * UV_THREADPOOL_SIZE says (4): the program sets that before. All calls from one thread, which also
 * opens sources that do not come from a table: some readers parse JSON, which is for one thread at
 * a time (json.h). */
#ifndef RT_SWEEP_H
#define RT_SWEEP_H

#include "rooftrace/trial.h"

struct rt_sweep;

struct rt_sweep_job {
    const struct rt_scenario *scenario; /* outlives the result's trial */
    struct rt_trial_options options;    /* `watch` is called on a thread of the pool */
    void *user;                         /* comes back with the result */
};

enum rt_sweep_end {
    RT_SWEEP_DONE,      /* the trace is served */
    RT_SWEEP_STOPPED,   /* `watch` had seen enough */
    RT_SWEEP_CANCELLED, /* rt_sweep_cancel; its run, if any, is `interrupted` */
    RT_SWEEP_FAILED     /* *err: it does not fit, the trace is bad, the disk is full, ... */
};

struct rt_sweep_result {
    void *user; /* of the job */
    enum rt_sweep_end end;
    struct rt_trial *trial; /* the caller frees it; NULL: it could not be built or never began */
    struct rt_err err;      /* RT_SWEEP_FAILED */
};

enum rt_sweep_answer {
    RT_SWEEP_RESULT, /* *out */
    RT_SWEEP_WAIT,   /* nothing ended in time */
    RT_SWEEP_IDLE    /* nothing runs and nothing waits */
};

/* 1 <= jobs <= RT_SWEEP_MAX_JOBS */
#define RT_SWEEP_MAX_JOBS 1024
bool rt_sweep_new(unsigned jobs, struct rt_sweep **out, struct rt_err *err) RT_MUST_USE;
/* Cancels what runs and waits for it. NULL is allowed. */
void rt_sweep_free(struct rt_sweep *s);
bool rt_sweep_add(struct rt_sweep *s, const struct rt_sweep_job *job,
                  struct rt_err *err) RT_MUST_USE;
/* Waits at most timeout_ms (negative: for ever) for a trial that ended. */
enum rt_sweep_answer rt_sweep_next(struct rt_sweep *s, int timeout_ms, struct rt_sweep_result *out);
/* Trials that were added and not given back. */
unsigned rt_sweep_pending(const struct rt_sweep *s);
/* Trials stop at their next chunk, those that wait never begin; each still has its result. */
void rt_sweep_cancel(struct rt_sweep *s);

#endif
