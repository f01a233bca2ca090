/* sweep/campaign.h: a plan into a database: a run a trial, run_id = trial number.
 *
 * Pull interface: each step waits a while for a trial to end. Trials run on `jobs` threads and
 * share traces read once; one thread writes. What a run holds depends on its trial only, never on
 * jobs, shards or interruptions. A database that has the plan's complete runs already is gone on
 * with: they are skipped, all others are removed and run again. A trial that fails (does not fit, a
 * bad trace) is a run with status `failed` and its reason; the others go on. One process at a time
 * writes to a database: a lock file beside it, <database>.lock, sees to it. */
#ifndef RT_CAMPAIGN_H
#define RT_CAMPAIGN_H

#include "rooftrace/plan.h"

#include <stddef.h>

struct rt_campaign;

struct rt_campaign_options {
    const char *output;     /* database path */
    unsigned jobs;          /* trials at a time */
    unsigned shard, shards; /* this process runs trials with (trial - 1) % shards == shard */
    bool requests;          /* rows in table `request`; else aggregates only */
    size_t trace_bytes;     /* of traces kept in memory at most; others stream from their files */
    const char *label;      /* of every run, or NULL */
};

struct rt_campaign_progress {
    int64_t trials;  /* of this shard */
    int64_t skipped; /* of them complete before */
    int64_t done;    /* ended in this process, failed ones included */
    int64_t failed;
    int64_t first_failed; /* its trial; 0: none */
    char first_reason[512];
};

enum rt_campaign_answer {
    RT_CAMPAIGN_MORE,
    RT_CAMPAIGN_DONE,  /* all trials ended, or, after a cancel, all that ran have stopped */
    RT_CAMPAIGN_FAILED /* the database, memory: *err. Runs that are not complete can be resumed */
};

/* Opens the database. The plan outlives the campaign. */
bool rt_campaign_new(const struct rt_plan *plan, const struct rt_campaign_options *o,
                     struct rt_campaign **out, struct rt_err *err) RT_MUST_USE;
/* Waits at most timeout_ms for the next trial to end. */
enum rt_campaign_answer rt_campaign_step(struct rt_campaign *c, int timeout_ms,
                                         struct rt_campaign_progress *p, struct rt_err *err);
/* No trial begins any more; those that run stop soon, their runs become `interrupted`. */
void rt_campaign_cancel(struct rt_campaign *c);
void rt_campaign_free(struct rt_campaign *c);

#endif
