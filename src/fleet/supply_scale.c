/* How many replicas a pool wants, and getting there.
 *
 * At a tick the policy answers a number. It is kept within min and max, and at least 1 while
 * requests are held back. Then it is stabilised as Kubernetes' HorizontalPodAutoscaler does: the
 * pool grows no further than the least, and shrinks no further than the most, that was wanted
 * within scale_up_window_s and scale_down_window_s. A schedule has instants of its own and is taken
 * at its word.
 *
 * Grow: first those that drain only because they were not wanted are taken back, then those that
 * are off start, the lowest number first. Shrink: first those that start, the latest first; then
 * those with the fewest requests; of equals the highest number. A slot whose machine is gone does
 * not count, so another takes its place while there is one. O(slots) a tick or change, O(window /
 * interval) for the windows. */
#include "rooftrace/replica.h"
#include "supply_internal.h"

#include <assert.h>
#include <stdlib.h>

static int64_t clamp(int64_t n, int64_t low, int64_t high)
{
    return n < low ? low : n > high ? high : n;
}

static const struct rt_scaling_spec *scaling_of(const struct rt_supply *s, uint32_t p)
{
    return &s->pools[p].spec->scaling;
}

/* ---- getting there --------------------------------------------------------------------------- */

static bool is_there(const struct slot *slot)
{
    return slot->causes == 0;
}

/* The best slot to start, by rank: draining, else off; UINT32_MAX: none. */
static uint32_t next_to_start(const struct rt_supply *s, const struct supply_pool *p)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t i = p->first; i < p->first + p->slots; i++) {
        const struct slot *slot = &s->slots[i];
        if (slot->causes != CAUSE_UNWANTED)
            continue;
        if (slot->state == RT_SLOT_DRAINING)
            return i;
        if (best == UINT32_MAX)
            best = i;
    }
    return best;
}

static bool goes_before(const struct rt_supply *s, uint32_t a, uint32_t b)
{
    const struct slot *x = &s->slots[a], *y = &s->slots[b];
    bool x_starts = x->state == RT_SLOT_STARTING, y_starts = y->state == RT_SLOT_STARTING;
    uint32_t x_has = s->fleet->views[a].outstanding, y_has = s->fleet->views[b].outstanding;
    if (x_starts != y_starts)
        return x_starts;
    if (x_starts && x->since_ns != y->since_ns)
        return x->since_ns > y->since_ns;
    if (!x_starts && x_has != y_has)
        return x_has < y_has;
    return a > b;
}

static uint32_t next_to_stop(const struct rt_supply *s, const struct supply_pool *p)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t i = p->first; i < p->first + p->slots; i++)
        if (is_there(&s->slots[i]) && (best == UINT32_MAX || goes_before(s, i, best)))
            best = i;
    return best;
}

static int64_t count_there(const struct rt_supply *s, const struct supply_pool *p)
{
    int64_t there = 0;
    for (uint32_t i = p->first; i < p->first + p->slots; i++)
        there += is_there(&s->slots[i]);
    return there;
}

/* One slot that changes may change others: the next one to be maintained. So all are counted anew.
 */
static void get_there(struct rt_supply *s, uint32_t p, int64_t now_ns, enum rt_supply_reason why)
{
    struct supply_pool *pool = &s->pools[p];
    uint32_t i = 0;
    while (i != UINT32_MAX && count_there(s, pool) < pool->wanted) {
        i = next_to_start(s, pool);
        if (i != UINT32_MAX)
            slot_clear(s, i, CAUSE_UNWANTED, now_ns, why);
    }
    while (count_there(s, pool) > pool->wanted)
        slot_set(s, next_to_stop(s, pool), CAUSE_UNWANTED, now_ns, RT_SUPPLY_SCALE_DOWN);
    pool->apply = false;
}

void scale_apply(struct rt_supply *s, uint32_t p, int64_t now_ns)
{
    get_there(s, p, now_ns, RT_SUPPLY_SCALE_UP);
}

/* ---- what is wanted -------------------------------------------------------------------------- */

static void look(struct rt_supply *s, const struct supply_pool *p, int64_t now_ns,
                 struct rt_scaler_view *v)
{
    int64_t busy_ns = 0, blocks = 0, used = 0;
    for (uint32_t i = p->first; i < p->first + p->slots; i++) {
        struct slot *slot = &s->slots[i];
        struct rt_replica *r = rt_fleet_replica(s->fleet, i);
        v->current += slot->state == RT_SLOT_READY || slot->state == RT_SLOT_STARTING;
        if (slot->state != RT_SLOT_READY && slot->state != RT_SLOT_DRAINING)
            continue;
        int64_t until_ns = rt_replica_busy_until(r, now_ns), before_ns = slot->busy_ns;
        slot->busy_ns = until_ns; /* one that drains may be taken back */
        if (slot->state == RT_SLOT_DRAINING)
            continue;
        busy_ns += until_ns > before_ns ? until_ns - before_ns : 0;
        v->ready++;
        v->requests += s->fleet->views[i].outstanding;
        used += rt_replica_gauges(r, now_ns).kv_blocks_used;
        blocks += rt_fleet_pool(s->fleet, rt_fleet_pool_of(s->fleet, i))->kv_blocks *
                  s->spec->pools[rt_fleet_pool_of(s->fleet, i)].parallel.data;
    }
    if (v->ready == 0)
        return;
    v->busy_share = (double)busy_ns / 1e9 / v->interval_s / (double)v->ready;
    v->kv_share = (double)used / (double)blocks;
}

static int64_t recommend(struct rt_supply *s, uint32_t p, int64_t now_ns)
{
    struct supply_pool *pool = &s->pools[p];
    const struct rt_scaling_spec *spec = scaling_of(s, p);
    struct rt_scaler_view v = {
        .interval_s = spec->params[RT_SCALER_INTERVAL],
        .startup_s = pool->spec->provision_s + pool->spec->load_s,
        .held = pool->held,
        .arrivals = pool->arrivals,
    };
    look(s, pool, now_ns, &v);
    pool->arrivals = 0;
    int64_t wanted = clamp(spec->policy->wanted(pool->state, spec->params, &v), spec->min_replicas,
                           spec->max_replicas);
    return wanted == 0 && pool->held > 0 ? 1 : wanted;
}

/* Least (sign 1) or most (-1) that was wanted within the window, now included. */
static int64_t extreme_in(const struct supply_pool *p, int64_t now_ns, int64_t window_ns, int sign)
{
    int64_t best = p->past[p->past_next].wanted;
    for (uint32_t n = 0; n < p->past_size; n++) {
        const struct recommendation *r = &p->past[n];
        if (r->at_ns >= 0 && now_ns - r->at_ns <= window_ns && sign * r->wanted < sign * best)
            best = r->wanted;
    }
    return best;
}

static int64_t stabilise(struct supply_pool *p, const double *params, int64_t now_ns,
                         int64_t wanted)
{
    p->past_next = (p->past_next + 1) % p->past_size;
    p->past[p->past_next] = (struct recommendation){.at_ns = now_ns, .wanted = wanted};
    int64_t up = extreme_in(p, now_ns, supply_ns(params[RT_SCALER_UP_WINDOW]), 1);
    int64_t down = extreme_in(p, now_ns, supply_ns(params[RT_SCALER_DOWN_WINDOW]), -1);
    int64_t is = p->wanted;
    return is < up ? up : is > down ? down : is;
}

static void tick(struct rt_supply *s, uint32_t p, int64_t now_ns)
{
    struct supply_pool *pool = &s->pools[p];
    const double *params = scaling_of(s, p)->params;
    int64_t wanted = recommend(s, p, now_ns);
    pool->wanted = stabilise(pool, params, now_ns, wanted);
    if (pool->wanted == 0 && pool->held > 0)
        pool->wanted = 1;
    pool_timer(s, p, TIMER_TICK, supply_after(now_ns, params[RT_SCALER_INTERVAL]));
    get_there(s, p, now_ns, RT_SUPPLY_SCALE_UP);
}

/* ---- schedules ------------------------------------------------------------------------------- */

static void plan_step(struct rt_supply *s, uint32_t p)
{
    struct supply_pool *pool = &s->pools[p];
    const struct rt_scaling_spec *spec = scaling_of(s, p);
    double period_s = spec->params[RT_SCALER_PERIOD];
    if (pool->step == spec->step_count && period_s > 0) {
        pool->step = 0;
        pool->cycle++;
    }
    if (pool->step < spec->step_count)
        pool_timer(s, p, TIMER_SCHEDULE,
                   supply_ns((double)pool->cycle * period_s + spec->steps[pool->step].at_s));
}

static void step_due(struct rt_supply *s, uint32_t p, int64_t now_ns)
{
    struct supply_pool *pool = &s->pools[p];
    pool->wanted = scaling_of(s, p)->steps[pool->step++].replicas;
    plan_step(s, p);
    s->changed = true; /* perhaps the last hope of those held back */
    get_there(s, p, now_ns, RT_SUPPLY_SCALE_UP);
}

void scale_due(struct rt_supply *s, uint32_t p, enum pool_timer timer, int64_t now_ns)
{
    if (timer == TIMER_TICK)
        tick(s, p, now_ns);
    else
        step_due(s, p, now_ns);
}

/* ---- requests that wait for a replica -------------------------------------------------------- */

/* A schedule without policy: is anything wanted, now or later? */
static bool will_want(const struct rt_supply *s, uint32_t p)
{
    const struct supply_pool *pool = &s->pools[p];
    const struct rt_scaling_spec *spec = scaling_of(s, p);
    bool again = spec->params[RT_SCALER_PERIOD] > 0;
    if (!spec->policy->has_schedule || pool->wanted > 0)
        return true;
    for (uint32_t n = again ? 0 : pool->step; n < spec->step_count; n++)
        if (spec->steps[n].replicas > 0)
            return true;
    return false;
}

bool scale_has_hope(const struct rt_supply *s, uint32_t p)
{
    const struct supply_pool *pool = &s->pools[p];
    bool wanted = !pool->spec || !pool->spec->scales || will_want(s, p);
    for (uint32_t i = pool->first; i < pool->first + pool->slots; i++) {
        const struct slot *slot = &s->slots[i];
        if (!(slot->causes & CAUSE_LOST) && (wanted || slot->causes == 0))
            return true;
    }
    return false;
}

/* A policy would answer at the next tick only. */
static void start_on_demand(struct rt_supply *s, uint32_t p, int64_t now_ns)
{
    struct supply_pool *pool = &s->pools[p];
    if (!pool->spec || !pool->spec->scales || !pool->spec->scaling.policy->ticks ||
        count_there(s, pool) > 0)
        return;
    if (pool->wanted == 0)
        pool->wanted = 1;
    get_there(s, p, now_ns, RT_SUPPLY_DEMAND);
}

uint32_t rt_supply_hold(struct rt_supply *s, const struct rt_request *req, bool arrives,
                        int64_t now_ns, struct rt_err *err)
{
    const struct served *served = served_by(s->fleet, req);
    if (!served) {
        (void)rt_fail_nomem(err, "names of models");
        return RT_NO_POOL;
    }
    for (uint32_t n = 0; n < served->count; n++) {
        uint32_t p = rt_fleet_pool_of(s->fleet, served->pools[n]->first);
        if (!scale_has_hope(s, p))
            continue;
        s->pools[p].held++;
        s->pools[p].arrivals += arrives;
        s->err = err;
        start_on_demand(s, p, now_ns);
        s->err = NULL;
        return p;
    }
    return RT_NO_POOL;
}

void rt_supply_release(struct rt_supply *s, uint32_t pool)
{
    assert(s->pools[pool].held > 0);
    s->pools[pool].held--;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

bool scale_init(struct rt_supply *s, uint32_t p, struct rt_err *err)
{
    struct supply_pool *pool = &s->pools[p];
    const struct rt_scaling_spec *spec = scaling_of(s, p);
    const double *params = spec->params;
    if (spec->policy->has_schedule) {
        plan_step(s, p);
        return true;
    }
    if (!spec->policy->ticks)
        return true;
    double window_s = params[RT_SCALER_UP_WINDOW] > params[RT_SCALER_DOWN_WINDOW]
                          ? params[RT_SCALER_UP_WINDOW]
                          : params[RT_SCALER_DOWN_WINDOW];
    pool->past_size = (uint32_t)(window_s / params[RT_SCALER_INTERVAL]) + 2;
    pool->past = malloc(pool->past_size * sizeof pool->past[0]);
    pool->state = calloc(1, spec->policy->state_bytes + 1);
    if (!pool->past || !pool->state)
        return rt_fail_nomem(err, "autoscaling");
    for (uint32_t n = 0; n < pool->past_size; n++)
        pool->past[n] = (struct recommendation){.at_ns = n == 0 ? 0 : -1, .wanted = pool->wanted};
    pool->state_ready = !spec->policy->init || spec->policy->init(pool->state, params);
    if (!pool->state_ready)
        return rt_fail_nomem(err, "autoscaling");
    pool_timer(s, p, TIMER_TICK, supply_after(0, params[RT_SCALER_INTERVAL]));
    return true;
}

void scale_release(struct supply_pool *p)
{
    if (p->state_ready && p->spec->scaling.policy->release)
        p->spec->scaling.policy->release(p->state);
    free(p->state);
    free(p->past);
}
