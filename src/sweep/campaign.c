/* A plan into a database.
 *
 *     plan ──> trial resolved (here) ──> rt_sweep: threads ──> rt_store: one writer
 *                                             └──> ended, in any order ──> counted (here)
 *
 * Twice as many trials are given to the threads as run at a time, so that none waits for the next
 * to be resolved; the others are not resolved yet, so memory does not grow with the plan (one byte
 * a trial). A trial that could not be built gets its run here. O(1) a step besides the trial. */
#include "rooftrace/campaign.h"
#include "campaign_internal.h"
#include "rooftrace/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rt_campaign {
    const struct rt_plan *plan;
    struct rt_campaign_options options;
    char plan_hash[32];
    struct rt_lock lock;
    struct rt_store *store;
    struct rt_traces *traces;
    struct rt_sweep *sweep;
    bool *complete; /* by trial - 1 */
    int64_t next;   /* trial to be given over */
    bool cancelled;
    struct rt_campaign_progress progress;
};

struct slot { /* a trial that was given over */
    int64_t trial;
    struct rt_scenario scenario;
    char *varied;
};

static void free_slot(struct slot *s)
{
    if (s == NULL)
        return;
    rt_scenario_release(&s->scenario);
    free(s->varied);
    free(s);
}

/* The next trial of this shard that is not complete, from c->next on; beyond the last: none. */
static void skip_complete(struct rt_campaign *c)
{
    while (c->next <= rt_plan_trials(c->plan) && c->complete[c->next - 1])
        c->next += c->options.shards;
}

static void count_trials(struct rt_campaign *c)
{
    for (int64_t i = c->options.shard; i < rt_plan_trials(c->plan); i += c->options.shards) {
        c->progress.trials++;
        c->progress.skipped += c->complete[i];
    }
    c->next = (int64_t)c->options.shard + 1;
    skip_complete(c);
}

/* Results of another share of rows must not mix. */
static void name_plan(struct rt_campaign *c)
{
    snprintf(c->plan_hash, sizeof c->plan_hash, "%s%s", rt_plan_hash(c->plan),
             c->options.requests ? "+requests" : "");
}

static bool open_all(struct rt_campaign *c, struct rt_err *err)
{
    int64_t trials = rt_plan_trials(c->plan);

    c->complete = calloc((size_t)trials, sizeof c->complete[0]);
    if (c->complete == NULL)
        return rt_fail_nomem(err, "trials");
    name_plan(c);
    return rt_store_check(c->options.output, err) &&
           rt_lock_take(&c->lock, c->options.output, err) &&
           rt_store_open(c->options.output, &c->store, err) &&
           rt_store_resume(c->store, c->plan_hash, trials, c->complete, err) &&
           rt_traces_new(c->options.trace_bytes, &c->traces, err) &&
           rt_sweep_new(c->options.jobs, &c->sweep, err);
}

bool rt_campaign_new(const struct rt_plan *plan, const struct rt_campaign_options *o,
                     struct rt_campaign **out, struct rt_err *err)
{
    struct rt_campaign *c = calloc(1, sizeof *c);

    *out = NULL;
    if (c == NULL)
        return rt_fail_nomem(err, "a sweep");
    c->plan = plan;
    c->options = *o;
    c->lock.fd = -1;
    if (!open_all(c, err)) {
        rt_campaign_free(c);
        return false;
    }
    count_trials(c);
    *out = c;
    return true;
}

static struct rt_trial_options trial_options(const struct rt_campaign *c, const struct slot *s)
{
    return (struct rt_trial_options){
        .store = c->store,
        .label = c->options.label,
        .discard_rows = !c->options.requests,
        .of_plan = {.run_id = s->trial,
                    .plan_hash = c->plan_hash,
                    .plan_trials = rt_plan_trials(c->plan),
                    .varied = s->varied},
    };
}

static bool give_over(struct rt_campaign *c, struct rt_err *err)
{
    struct slot *s = calloc(1, sizeof *s);

    if (s == NULL)
        return rt_fail_nomem(err, "a trial");
    s->trial = c->next;
    rt_scenario_init(&s->scenario);
    if (!rt_plan_trial(c->plan, c->next, &s->scenario, &s->varied, err)) {
        free_slot(s);
        return false;
    }
    struct rt_sweep_job job = {.scenario = &s->scenario, .options = trial_options(c, s), .user = s};
    job.options.trace = rt_traces_get(c->traces, &s->scenario.workload);
    if (!rt_sweep_add(c->sweep, &job, err)) {
        free_slot(s);
        return false;
    }
    c->next += c->options.shards;
    skip_complete(c);
    return true;
}

static bool feed(struct rt_campaign *c, struct rt_err *err)
{
    while (!c->cancelled && c->next <= rt_plan_trials(c->plan) &&
           rt_sweep_pending(c->sweep) < 2 * c->options.jobs)
        if (!give_over(c, err))
            return false;
    return true;
}

static void count_failure(struct rt_campaign *c, int64_t trial, const char *reason)
{
    struct rt_campaign_progress *p = &c->progress;

    p->failed++;
    if (p->first_failed != 0 && p->first_failed < trial)
        return;
    p->first_failed = trial;
    snprintf(p->first_reason, sizeof p->first_reason, "%s", reason);
}

/* false: what failed is not the trial, and the others will fail, too. */
static bool take(struct rt_campaign *c, struct rt_sweep_result *r, struct rt_err *err)
{
    struct slot *s = r->user;
    bool built = r->trial != NULL, ok = true;

    rt_trial_free(r->trial);
    if (r->end == RT_SWEEP_FAILED && (r->err.code == RT_EDB || r->err.code == RT_ENOMEM)) {
        *err = r->err;
        ok = false;
    } else if (r->end == RT_SWEEP_FAILED) {
        struct rt_trial_options options = trial_options(c, s);
        count_failure(c, s->trial, r->err.msg);
        ok = built || rt_trial_refuse(&s->scenario, &options, r->err.msg, err);
    }
    c->progress.done += ok && r->end != RT_SWEEP_CANCELLED;
    free_slot(s);
    return ok;
}

enum rt_campaign_answer rt_campaign_step(struct rt_campaign *c, int timeout_ms,
                                         struct rt_campaign_progress *p, struct rt_err *err)
{
    struct rt_sweep_result r;
    enum rt_campaign_answer answer = RT_CAMPAIGN_MORE;

    if (!feed(c, err))
        return RT_CAMPAIGN_FAILED;
    switch (rt_sweep_next(c->sweep, timeout_ms, &r)) {
    case RT_SWEEP_RESULT:
        if (!take(c, &r, err))
            answer = RT_CAMPAIGN_FAILED;
        break;
    case RT_SWEEP_WAIT:
        break;
    case RT_SWEEP_IDLE:
        answer = RT_CAMPAIGN_DONE;
        break;
    }
    *p = c->progress;
    return answer;
}

void rt_campaign_cancel(struct rt_campaign *c)
{
    c->cancelled = true;
    rt_sweep_cancel(c->sweep);
}

/* What still runs is cancelled; its slots come back here. */
static void drain(struct rt_campaign *c)
{
    struct rt_sweep_result r;

    rt_sweep_cancel(c->sweep);
    while (rt_sweep_next(c->sweep, -1, &r) == RT_SWEEP_RESULT) {
        rt_trial_free(r.trial);
        free_slot(r.user);
    }
}

void rt_campaign_free(struct rt_campaign *c)
{
    if (c == NULL)
        return;
    if (c->sweep != NULL)
        drain(c);
    rt_sweep_free(c->sweep);
    rt_store_close(c->store);
    rt_traces_free(c->traces);
    rt_lock_release(&c->lock);
    free(c->complete);
    free(c);
}
