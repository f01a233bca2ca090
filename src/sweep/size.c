/* Sizing: one search a candidate, all of them at once over the threads of a sweep.
 *
 *     search of a candidate ──> point ──> a trial for each seed ──> judges ──> checks, verdict ─┐
 *              ^─────────────────────────────────────────────────────────────────────────────────┘
 *
 * A search has one point under way at a time, so what it tries depends on its own results only, and
 * neither on the others nor on the threads. When all are over, the cheapest candidate that holds is
 * asked for the highest rate it holds (headroom), as one more search. Runs in the database are
 * numbered by candidate and trial, not by when they end: 100 * seeds numbers a candidate. A
 * candidate whose fleet cannot be built is infeasible and keeps the reason. Memory: a few
 * histograms for every trial under way. */
#include "rooftrace/fleet.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/supply_spec.h"
#include "rooftrace/token_stats.h"
#include "size_driver_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TRACE_BYTES    ((size_t)1 << 30) /* kept in memory at most, else it is read by every trial */
#define CHUNK_ROWS     512               /* requests between two looks at what is lost */
#define HEADROOM_MOST  8.0
#define HEADROOM_STEPS 0.05

/* ---- building ---- */

/* Can this fleet exist? 1 yes, 0 no: the reason is *err, -1 failed. */
static int fleet_stands(struct unit *u, const struct rt_size_plan *plan, struct rt_err *err)
{
    const struct rt_scenario *s = &u->candidate->scenario;
    struct rt_token_stats stats;
    struct rt_fleet_use use = {.coast = true, .stats = &stats};
    struct rt_fleet *fleet;
    struct rt_scenario one;
    struct size_search *search = &u->search;
    int64_t down = rt_pool_down(&s->fleet.pools[0]), least = plan->max_rate ? search->min : 1;
    bool ok;

    /* Replicas that are down are counted, so none of them alone can be judged. */
    if (!plan->max_rate && down > 0) {
        least = down < search->max ? down + 1 : search->max;
        search->min = search->min > least ? search->min : least;
    }
    if (!size_variant(s, &(struct size_point){least, 1}, s->seed, &one)) {
        rt_fail_nomem(err, "a candidate");
        return -1;
    }
    if (!rt_token_stats_init(&stats, 0, 0)) {
        size_variant_release(&one);
        rt_fail_nomem(err, "a candidate");
        return -1;
    }
    ok = s->fleet.pools[0].supply == NULL || !s->fleet.pools[0].supply->scales ||
         rt_fail(err, RT_ECONFIG, "autoscaling: sizing tries fixed numbers of replicas");
    ok = ok && rt_fleet_new(&one.fleet, &use, &fleet, err);
    if (ok) {
        u->gpus = rt_fleet_pool(fleet, 0)->gpus;
        u->need = size_need(fleet, &one, u->traffic, plan);
        search->guess = (int64_t)fmin(fmax(ceil(u->need), 1) + (double)down, RT_MAX_REPLICAS);
        rt_fleet_free(fleet);
    }
    size_variant_release(&one);
    rt_token_stats_release(&stats);
    return ok ? 1 : err->code == RT_ECONFIG ? 0 : -1;
}

/* Fewer requests than an upper bound needs, whatever their values? */
static uint64_t least_requests(const struct rt_size *s)
{
    uint64_t least = 0, have = s->traffic == NULL ? 0 : s->traffic->requests * s->plan->seeds;

    for (unsigned i = 0; !s->plan->point && i < s->plan->objective_count; i++) {
        uint64_t need = rt_quantile_least(s->plan->objectives[i].share, s->plan->confidence);
        if (need > have && need > least)
            least = need;
    }
    return least;
}

static bool start_unit(struct rt_size *s, struct unit *u, const struct rt_candidate *c,
                       struct rt_err *err)
{
    int stands;

    u->candidate = c;
    u->traffic = s->traffic;
    u->search = (struct size_search){.plan = s->plan,
                                     .min = c->min_replicas,
                                     .max = c->max_replicas,
                                     .passable = s->result.least == 0,
                                     .best = -1,
                                     .next = -1,
                                     .monotone = true};
    if (s->plan->max_rate) {
        u->search.min = c->scenario.fleet.pools[0].replicas;
        u->search.precision = s->plan->precision;
        u->search.max_rate = 1048576;
    }
    u->judges = calloc(s->plan->seeds, sizeof u->judges[0]);
    u->jobs = calloc(s->plan->seeds, sizeof u->jobs[0]);
    if (!u->judges || !u->jobs)
        return rt_fail_nomem(err, "a candidate");
    stands = fleet_stands(u, s->plan, err);
    if (stands == 0) {
        u->infeasible = u->over = true;
        snprintf(u->reason, sizeof u->reason, "%s", err->msg);
        *err = (struct rt_err){0};
    }
    return stands >= 0;
}

static bool read_traffic(struct rt_size *s, struct rt_err *err)
{
    uint64_t seed = s->plan->candidates[0].scenario.seed;

    s->traffic = calloc(s->plan->seeds, sizeof s->traffic[0]);
    if (!s->traffic)
        return rt_fail_nomem(err, "the workload");
    if (!rt_trace_table_new(&s->plan->candidates[0].scenario.workload, TRACE_BYTES, &s->trace, err))
        return false;
    for (unsigned k = 0; k < s->plan->seeds; k++)
        if (!size_traffic_read(s->plan, s->trace, seed + k, &s->traffic[k], err))
            return false;
    return true;
}

static bool first_run_id(struct rt_size *s, struct rt_err *err)
{
    int64_t last = 0;

    s->stride = 100 * (int64_t)s->plan->seeds;
    if (s->options.store && !rt_store_last_run(s->options.store, &last, err))
        return false;
    s->first_run = (last + 99) / 100 * 100;
    return true;
}

bool rt_size_new(const struct rt_size_plan *plan, const struct rt_size_options *o,
                 struct rt_size **out, struct rt_err *err)
{
    struct rt_size *s = calloc(1, sizeof *s);
    bool ok;

    if (!s)
        return rt_fail_nomem(err, "sizing");
    s->plan = plan;
    s->options = *o;
    s->unit_count = plan->candidate_count;
    s->units = calloc(plan->candidate_count + 1, sizeof s->units[0]);
    s->rows = calloc(plan->candidate_count, sizeof s->rows[0]);
    ok = s->units && s->rows ? read_traffic(s, err) : rt_fail_nomem(err, "sizing");
    if (ok)
        s->result.least = least_requests(s);
    for (unsigned i = 0; ok && i < plan->candidate_count; i++) {
        s->units[i].index = i;
        ok = start_unit(s, &s->units[i], &plan->candidates[i], err);
    }
    ok = ok && first_run_id(s, err) && rt_sweep_new(o->jobs, &s->sweep, err);
    if (!ok) {
        rt_size_free(s);
        return false;
    }
    *out = s;
    return true;
}

static void release_jobs(struct rt_size *s, struct unit *u)
{
    for (unsigned k = 0; u->judges && u->jobs && k < s->plan->seeds; k++) {
        size_judge_release(&u->judges[k]);
        if (u->jobs[k].has_scenario)
            size_variant_release(&u->jobs[k].scenario);
        u->jobs[k].has_scenario = false;
    }
    u->running = 0;
}

void rt_size_free(struct rt_size *s)
{
    if (!s)
        return;
    rt_sweep_free(s->sweep); /* nothing runs any more */
    for (unsigned i = 0; s->units && i <= s->plan->candidate_count; i++) {
        struct unit *u = &s->units[i];
        release_jobs(s, u);
        for (unsigned t = 0; t < u->search.count + u->trial_open; t++)
            free(u->search.trials[t].checks);
        free(u->search.trials);
        free(u->judges);
        free(u->jobs);
    }
    rt_trace_table_free(s->trace);
    free(s->units);
    free(s->rows);
    free(s->traffic);
    free(s);
}

/* ---- a point ---- */

static bool reserve_trial(struct rt_size *s, struct unit *u)
{
    struct size_search *search = &u->search;
    unsigned capacity = search->capacity ? 2 * search->capacity : 8;
    struct rt_size_trial *t;

    if (search->count == search->capacity) {
        t = realloc(search->trials, capacity * sizeof t[0]);
        if (!t)
            return false;
        search->trials = t;
        search->capacity = capacity;
    }
    t = &search->trials[search->count];
    memset(t, 0, sizeof *t);
    t->checks = calloc(s->plan->objective_count, sizeof t->checks[0]);
    u->trial_open = t->checks != NULL;
    return u->trial_open;
}

static bool add_job(struct rt_size *s, struct unit *u, unsigned k, struct rt_err *err)
{
    struct size_job *j = &u->jobs[k];
    int64_t number = u->search.count * (int64_t)s->plan->seeds + k + 1;
    uint64_t seed = u->candidate->scenario.seed + k;
    struct rt_sweep_job job = {.scenario = &j->scenario, .user = j};

    j->unit = u;
    j->seed = k;
    if (!size_variant(&u->candidate->scenario, &u->at, seed, &j->scenario))
        return rt_fail_nomem(err, "a trial");
    j->has_scenario = true;
    if (!size_judge_init(&u->judges[k], s->plan, &s->traffic[k]))
        return rt_fail_nomem(err, "a trial");
    snprintf(j->label, sizeof j->label, "size: %s x%" PRId64 ", rate x%g, seed %" PRIu64,
             u->candidate->name, u->at.replicas, u->at.rate, seed);
    job.options = (struct rt_trial_options){
        .store = s->options.store,
        .of_plan.run_id = s->first_run + u->index * s->stride + number,
        .trace = s->trace,
        .watch = size_judge_watch,
        .user = &u->judges[k],
        .chunk_rows = CHUNK_ROWS,
        .label = j->label,
        .discard_rows = true,
    };
    if (k == 0)
        u->run_id = s->options.store ? job.options.of_plan.run_id : 0;
    u->running++;
    return rt_sweep_add(s->sweep, &job, err);
}

/* Trials for the next point; the unit is over when there is none. */
static bool launch(struct rt_size *s, struct unit *u, struct rt_err *err)
{
    if (!size_search_next(&u->search, &u->at)) {
        u->over = true;
        return true;
    }
    assert(u->search.count < 99 && "a search is logarithmic");
    if (!reserve_trial(s, u))
        return rt_fail_nomem(err, "a trial");
    struct rt_size_trial *t = &u->search.trials[u->search.count];
    t->replicas = u->at.replicas;
    t->rate = u->at.rate;
    t->gpus = u->gpus * u->at.replicas;
    t->load_share = u->need * u->at.rate /
                    (double)(u->at.replicas - rt_pool_down(&u->candidate->scenario.fleet.pools[0]));
    t->usd_per_h = u->candidate->usd_per_h * (double)t->gpus;
    t->requests_per_s =
        size_traffic_rate(&s->traffic[0], &u->candidate->scenario.workload) * t->rate;
    u->waiting = s->plan->seeds;
    u->running = 0;
    bool ok = true;
    for (unsigned k = 0; ok && k < s->plan->seeds; k++)
        ok = add_job(s, u, k, err);
    t->run_id = u->run_id;
    return ok;
}

/* All seeds of the unit's point ended. */
static bool finish_point(struct rt_size *s, struct unit *u, struct rt_err *err)
{
    struct rt_size_trial *t = &u->search.trials[u->search.count++];

    u->trial_open = false;
    if (!size_judge_verdict(u->judges, s->plan->seeds, t))
        return rt_fail_nomem(err, "a verdict");
    size_load_binds(t, s->plan);
    release_jobs(s, u);
    s->trials++;
    return true;
}

static bool take_result(struct rt_size *s, struct rt_sweep_result *r, struct rt_err *err)
{
    struct size_job *j = r->user;
    struct unit *u = j->unit;
    struct rt_size_trial *t = &u->search.trials[u->search.count];
    bool ok = true;

    if (r->end == RT_SWEEP_FAILED || r->end == RT_SWEEP_CANCELLED) {
        *err = r->err;
        if (r->end == RT_SWEEP_CANCELLED)
            rt_fail(err, RT_EINTR, "interrupted");
        ok = false;
    }
    if (ok && j->seed == 0)
        ok = size_load_read(r->trial, &j->scenario, &s->traffic[0], t, err);
    if (ok && r->end == RT_SWEEP_STOPPED)
        ok = rt_trial_stop(r->trial, "stopped early: an objective is certainly missed", err);
    rt_trial_free(r->trial);
    if (ok && --u->waiting == 0)
        ok = finish_point(s, u, err);
    if (!ok)
        s->failed = true;
    return ok;
}

/* ---- the end ---- */

/* What this search would begin with has been tried. */
static bool begin_with(struct rt_size *s, struct unit *u, const struct rt_size_trial *known)
{
    if (!reserve_trial(s, u))
        return false;
    struct rt_size_trial *first = &u->search.trials[u->search.count++];
    struct rt_size_check *checks = first->checks;

    u->trial_open = false;
    *first = *known;
    first->checks = checks;
    memcpy(checks, known->checks, s->plan->objective_count * sizeof checks[0]);
    return true;
}

/* One more unit: how much more traffic the chosen fleet holds. */
static bool start_headroom(struct rt_size *s, struct rt_err *err)
{
    const struct unit *from = &s->units[s->result.chosen];
    const struct rt_workload_spec *w = &from->candidate->scenario.workload;
    struct unit *u = &s->units[s->unit_count];

    s->headroom = true;
    if (w->load.max_concurrency > 0 || w->load.arrivals == RT_ARRIVALS_AT_ONCE)
        return true;
    u->index = s->unit_count++;
    if (!start_unit(s, u, from->candidate, err))
        return false;
    u->search.min = from->search.trials[from->search.best].replicas;
    u->search.precision = HEADROOM_STEPS;
    u->search.max_rate = HEADROOM_MOST;
    return begin_with(s, u, &from->search.trials[from->search.best]) ||
           rt_fail_nomem(err, "a trial");
}

static bool conclude(struct rt_size *s, struct rt_err *err)
{
    size_conclude(s);
    if (s->result.chosen >= 0 && !s->plan->max_rate && !s->headroom) {
        if (!start_headroom(s, err))
            return false;
        if (s->unit_count > s->plan->candidate_count)
            return true; /* it has to be searched */
    }
    s->done = true;
    return s->options.store == NULL || rt_store_size(s->options.store, &s->result, err);
}

static bool launch_all(struct rt_size *s, struct rt_err *err)
{
    for (unsigned i = 0; i < s->unit_count; i++) {
        struct unit *u = &s->units[i];
        if (!u->over && u->running == 0 && !launch(s, u, err))
            return false;
    }
    return true;
}

static void count(const struct rt_size *s, struct rt_size_progress *p)
{
    *p = (struct rt_size_progress){.trials = s->trials};
    for (unsigned i = 0; i < s->unit_count; i++)
        *(s->units[i].over ? &p->searched : &p->open) += 1;
}

enum rt_size_step rt_size_step(struct rt_size *s, int timeout_ms, struct rt_size_progress *p,
                               struct rt_err *err)
{
    struct rt_sweep_result r;
    bool ok = !s->failed && launch_all(s, err);

    assert(!s->failed && !s->done);
    if (ok && rt_sweep_pending(s->sweep) == 0)
        ok = conclude(s, err);
    else if (ok && rt_sweep_next(s->sweep, timeout_ms, &r) == RT_SWEEP_RESULT)
        ok = take_result(s, &r, err);
    s->failed = !ok;
    count(s, p);
    if (!ok)
        return RT_SIZE_FAILED;
    return s->done ? RT_SIZE_DONE : RT_SIZE_MORE;
}

const struct rt_size_result *rt_size_result(const struct rt_size *s)
{
    return &s->result;
}
