/* Trials on the threads of libuv's pool.
 *
 *     add ──> waiting (FIFO) ──> running: at most `jobs` uv_work_t ──> ended ──> next
 *                                         pool threads                 caller's thread
 *
 * A task is one trial from its beginning to its end. Only the pool's thread touches it while it
 * runs; libuv hands it back on the caller's thread, inside uv_run. The one thing both sides see at
 * the same time is the flag that cancels. Failures of a trial are its result; the functions here
 * fail only without memory or without a loop. O(1) a trial. */
#include "rooftrace/sweep.h"
#include "rooftrace/cost.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uv.h>

struct task {
    uv_work_t work;
    struct rt_sweep *sweep;
    struct rt_sweep_job job;
    struct rt_sweep_result result;
    struct task *next;
};

struct queue {
    struct task *first, *last;
};

struct rt_sweep {
    uv_loop_t loop;
    uv_timer_t timer;
    struct queue waiting, ended;
    unsigned jobs, running, pending;
    bool timed_out;
    atomic_bool cancelled;
};

static void push(struct queue *q, struct task *t)
{
    t->next = NULL;
    if (q->last)
        q->last->next = t;
    else
        q->first = t;
    q->last = t;
}

static struct task *pop(struct queue *q)
{
    struct task *t = q->first;

    if (!t)
        return NULL;
    q->first = t->next;
    if (!q->first)
        q->last = NULL;
    return t;
}

/* ---- on a thread of the pool ---- */

static enum rt_sweep_end replay(struct task *t)
{
    struct rt_trial_progress progress;
    struct rt_sweep_result *r = &t->result;

    while (!atomic_load_explicit(&t->sweep->cancelled, memory_order_relaxed)) {
        switch (rt_trial_step(r->trial, &progress, &r->err)) {
        case RT_TRIAL_MORE:
            break;
        case RT_TRIAL_DONE:
            return RT_SWEEP_DONE;
        case RT_TRIAL_STOPPED:
            return RT_SWEEP_STOPPED;
        case RT_TRIAL_FAILED:
            return RT_SWEEP_FAILED;
        }
    }
    return rt_trial_interrupt(r->trial, &r->err) ? RT_SWEEP_CANCELLED : RT_SWEEP_FAILED;
}

static void work(uv_work_t *w)
{
    struct task *t = w->data;
    struct rt_sweep_result *r = &t->result;

    if (r->trial == NULL && atomic_load_explicit(&t->sweep->cancelled, memory_order_relaxed)) {
        rt_source_free(t->job.options.source);
        r->end = RT_SWEEP_CANCELLED;
    } else if (r->trial != NULL ||
               rt_trial_new(t->job.scenario, &t->job.options, &r->trial, &r->err)) {
        r->end = replay(t);
    } else {
        r->end = RT_SWEEP_FAILED;
    }
}

/* ---- on the caller's thread ---- */

static void after_work(uv_work_t *w, int status)
{
    struct task *t = w->data;

    assert(status == 0 && "nothing calls uv_cancel");
    (void)status;
    t->sweep->running--;
    push(&t->sweep->ended, t);
}

/* What may parse JSON happens here, one at a time: sources that do not come from a table, and
 * measured operators. The rest of building a trial is the pool's work. */
static bool prepare(struct task *t)
{
    struct rt_trial_options *o = &t->job.options;
    const struct rt_scenario *s = t->job.scenario;
    struct rt_sweep_result *r = &t->result;

    if (o->trace == NULL && o->source == NULL &&
        !rt_workload_open(&s->workload, &o->source, &r->err))
        return false;
    return s->fleet.cost.kind != RT_COST_PROFILE || rt_trial_new(s, o, &r->trial, &r->err);
}

static void start(struct rt_sweep *s)
{
    while (s->running < s->jobs && s->waiting.first) {
        struct task *t = pop(&s->waiting);
        t->work.data = t;
        t->result.user = t->job.user;
        if (!atomic_load_explicit(&s->cancelled, memory_order_relaxed) && !prepare(t)) {
            t->result.end = RT_SWEEP_FAILED;
            push(&s->ended, t);
            continue;
        }
        s->running++;
        int rc = uv_queue_work(&s->loop, &t->work, work, after_work);
        assert(rc == 0 && "uv_queue_work fails only without a function");
        (void)rc;
    }
}

/* A timer that is due when uv_run begins fires before the loop waits for work: the stop keeps it
 * from waiting then. */
static void on_timer(uv_timer_t *timer)
{
    struct rt_sweep *s = timer->data;

    s->timed_out = true;
    uv_stop(&s->loop);
}

bool rt_sweep_new(unsigned jobs, struct rt_sweep **out, struct rt_err *err)
{
    struct rt_sweep *s = calloc(1, sizeof *s);

    assert(jobs >= 1 && jobs <= RT_SWEEP_MAX_JOBS);
    if (!s)
        return rt_fail_nomem(err, "a sweep");
    int rc = uv_loop_init(&s->loop);
    if (rc != 0) {
        free(s);
        return rt_fail(err, RT_EIO, "the event loop cannot be started: %s", uv_strerror(rc));
    }
    (void)uv_timer_init(&s->loop, &s->timer); /* always 0 */
    s->timer.data = s;
    s->jobs = jobs;
    atomic_init(&s->cancelled, false);
    *out = s;
    return true;
}

void rt_sweep_free(struct rt_sweep *s)
{
    struct rt_sweep_result result;

    if (!s)
        return;
    rt_sweep_cancel(s);
    while (rt_sweep_next(s, -1, &result) == RT_SWEEP_RESULT)
        rt_trial_free(result.trial);
    uv_close((uv_handle_t *)&s->timer, NULL);
    (void)uv_run(&s->loop, UV_RUN_DEFAULT); /* until the timer is closed */
    int rc = uv_loop_close(&s->loop);
    assert(rc == 0 && "nothing is left in the loop");
    (void)rc;
    free(s);
}

bool rt_sweep_add(struct rt_sweep *s, const struct rt_sweep_job *job, struct rt_err *err)
{
    struct task *t = calloc(1, sizeof *t);

    if (!t)
        return rt_fail_nomem(err, "a trial");
    t->sweep = s;
    t->job = *job;
    s->pending++;
    push(&s->waiting, t);
    start(s);
    return true;
}

static bool give_back(struct rt_sweep *s, struct rt_sweep_result *out)
{
    struct task *t = pop(&s->ended);

    if (!t)
        return false;
    *out = t->result;
    free(t);
    s->pending--;
    return true;
}

enum rt_sweep_answer rt_sweep_next(struct rt_sweep *s, int timeout_ms, struct rt_sweep_result *out)
{
    s->timed_out = false;
    uv_update_time(&s->loop);
    if (timeout_ms >= 0)
        (void)uv_timer_start(&s->timer, on_timer, (uint64_t)timeout_ms, 0);
    while (!s->ended.first && s->running > 0 && !s->timed_out)
        (void)uv_run(&s->loop, UV_RUN_ONCE);
    (void)uv_timer_stop(&s->timer);
    start(s);
    if (give_back(s, out))
        return RT_SWEEP_RESULT;
    return s->pending > 0 ? RT_SWEEP_WAIT : RT_SWEEP_IDLE;
}

unsigned rt_sweep_pending(const struct rt_sweep *s)
{
    return s->pending;
}

void rt_sweep_cancel(struct rt_sweep *s)
{
    atomic_store_explicit(&s->cancelled, true, memory_order_relaxed);
}
