/* Arrivals to replicas. Each pool keeps the replicas that take requests in a heap by the router's
 * key; the key of a replica moves when a request goes there or leaves, and with its reports.
 *
 * Counts of outstanding requests are the router's own and always current. Everything else it sees
 * as of the last report; without reports tokens, which the fleet counts, are current at no cost,
 * and running, waiting and KV are asked of every candidate at each arrival. O(log replicas) an
 * arrival and a departure, apart from that and from what the router says. */
#include "fleet_internal.h"
#include "rooftrace/crash.h"
#include "rooftrace/kv_transfer.h"
#include "rooftrace/replica.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define KV_SHARE 20 /* bits of a share of KV blocks; blocks are below 2^41 */

uint32_t rt_fleet_pool_of(const struct rt_fleet *f, uint32_t i)
{
    uint32_t low = 0, high = f->pool_count - 1;
    while (low < high) { /* the last pool that begins at or before i, of those with replicas */
        uint32_t mid = low + (high - low + 1) / 2;
        if (f->pools[mid].plan.first_replica <= i)
            low = mid;
        else
            high = mid - 1;
    }
    return low;
}

static struct rt_candidates *beside(const struct rt_fleet *f, uint32_t i)
{
    return &f->pools[rt_fleet_pool_of(f, i)].candidates;
}

static int64_t key_of(const struct rt_fleet *f, uint32_t i)
{
    const struct rt_replica_view *v = &f->views[i];
    const struct rt_router_policy *router = f->arrivals.policy;
    if (f->hand && f->pools[rt_fleet_pool_of(f, i)].role == RT_ROLE_DECODE)
        router = hand_over_router(f);
    switch (router->key) {
    case RT_KEY_OUTSTANDING:
        return v->outstanding;
    case RT_KEY_TURN:
        return f->turn[i];
    case RT_KEY_TOKENS:
        return v->tokens;
    case RT_KEY_KV:
        return (v->kv_blocks_used << KV_SHARE) / v->kv_blocks;
    }
    return 0;
}

/* Its place among the candidates follows its key. */
static void settle(struct rt_fleet *f, uint32_t i)
{
    struct rt_candidates *c = beside(f, i);
    if (f->state[i] == RT_REPLICA_READY)
        rt_heap_set(&c->by_key, i - c->first, key_of(f, i), i - c->first);
}

static void list_ready(struct rt_fleet *f, struct rt_candidates *c)
{
    c->count = 0;
    for (uint32_t i = c->first; i < c->first + c->replicas; i++)
        if (f->state[i] == RT_REPLICA_READY)
            c->ready[c->count++] = i;
}

void rt_fleet_set_state(struct rt_fleet *f, uint32_t i, enum rt_replica_state state)
{
    struct rt_candidates *c = beside(f, i);
    bool was = f->state[i] == RT_REPLICA_READY, is = state == RT_REPLICA_READY;
    f->state[i] = (uint8_t)state;
    if (was == is)
        return;
    if (is)
        settle(f, i);
    else
        rt_heap_remove(&c->by_key, i - c->first);
    list_ready(f, c); /* in order, so that equal states give equal draws however they came about */
}

enum rt_replica_state rt_fleet_state(const struct rt_fleet *f, uint32_t i)
{
    return (enum rt_replica_state)f->state[i];
}

/* ---- what the router sees -------------------------------------------------------------------- */

static void look_at(struct rt_fleet *f, uint32_t i, int64_t now_ns)
{
    struct rt_replica_view *v = &f->views[i];
    v->tokens = f->tokens[i];
    if (f->sees & RT_SEES_GAUGES) {
        struct rt_replica_gauges g = rt_replica_gauges(f->replicas[i], now_ns);
        v->running = g.running;
        v->waiting = g.waiting;
        v->kv_blocks_used = g.kv_blocks_used;
    }
    settle(f, i);
}

int64_t rt_fleet_report_interval_ns(const struct rt_fleet *f)
{
    return f->sees ? f->report_interval_ns : 0;
}

void rt_fleet_report(struct rt_fleet *f, int64_t now_ns)
{
    f->arrivals.view.reports++;
    if (f->hand)
        hand_over_note_report(f);
    if (f->sees & (RT_SEES_GAUGES | RT_SEES_TOKENS))
        for (uint32_t i = 0; i < f->replica_count; i++)
            look_at(f, i, now_ns);
}

struct probe { /* what cached_tokens needs beside the replica */
    struct rt_fleet *fleet;
    int64_t now_ns;
};

static int64_t cached_tokens(void *context, uint32_t replica, const struct rt_request *req)
{
    const struct probe *p = context;
    return rt_replica_cached_tokens(p->fleet->replicas[replica], req, p->now_ns);
}

void routing_count(struct rt_fleet *f, uint32_t i, int64_t requests, int64_t tokens)
{
    struct rt_replica_view *v = &f->views[i];
    v->outstanding = (uint32_t)((int64_t)v->outstanding + requests);
    f->tokens[i] += tokens;
    if (!f->arrivals.view.stale)
        v->tokens = f->tokens[i];
    settle(f, i);
}

void rt_fleet_left(struct rt_fleet *f, uint32_t i, const struct rt_finished *rows, size_t count)
{
    int64_t tokens = 0;
    for (size_t n = 0; n < count; n++)
        tokens += rows[n].prompt_tokens;
    routing_count(f, i, -(int64_t)count, -tokens);
}

/* ---- arrivals -------------------------------------------------------------------------------- */

uint32_t routing_pick(struct rt_fleet *f, struct desk *d, const struct routed *among,
                      const struct rt_request *req, int64_t now_ns)
{
    struct probe probe = {f, now_ns};
    struct rt_router_view *v = &d->view;
    v->pools = among->pools;
    v->pool_count = among->count;
    v->ready = 0;
    for (uint32_t p = 0; p < among->count; p++)
        v->ready += among->pools[p]->count;
    if (v->ready == 0)
        return RT_NO_REPLICA;
    if (!v->stale && (d->policy->sees & RT_SEES_GAUGES))
        for (uint32_t n = 0; n < v->ready; n++)
            look_at(f, rt_router_nth(v, n), now_ns);
    v->fleet = &probe;
    uint32_t i = d->policy->pick(d->state, v, req);
    v->fleet = NULL;
    assert(i < f->replica_count && f->state[i] == RT_REPLICA_READY);
    f->turn[i] = ++f->turns;
    return i;
}

/* The pools for a request; NULL: *reason, or memory is out. */
static const struct served *find_served(struct rt_fleet *f, const struct rt_request *req,
                                        enum rt_reason *reason, struct rt_err *err)
{
    const struct served *served = served_by(f, req);
    *reason = RT_REASON_NONE;
    if (!served)
        (void)rt_fail_nomem(err, "names of models");
    else if (served->count == 0)
        *reason = RT_REASON_MODEL;
    return served && served->count > 0 ? served : NULL;
}

/* A prefill replica computes the prompt and gives the first token. */
static enum rt_reason push_prompt(struct rt_fleet *f, uint32_t i, const struct rt_request *req,
                                  int64_t now_ns, struct rt_err *err)
{
    enum rt_reason reason = hand_over_refuses(f, rt_fleet_pool_of(f, i), req);
    struct rt_request first = *req;
    first.output_tokens = 1;
    first.named_tokens = 0;
    return reason != RT_REASON_NONE ? reason : rt_replica_push(f->replicas[i], &first, now_ns, err);
}

enum rt_reason rt_fleet_push(struct rt_fleet *f, const struct rt_request *req, int64_t now_ns,
                             uint32_t *replica, struct rt_err *err)
{
    enum rt_reason reason;
    const struct served *served = find_served(f, req, &reason, err);
    *replica = RT_NO_REPLICA;
    if (!served)
        return reason;
    if (!admission_lets_in(f, req, now_ns))
        return RT_REASON_ADMISSION;
    uint32_t i =
        routing_pick(f, &f->arrivals, &(struct routed){served->pools, served->count}, req, now_ns);
    *replica = i;
    if (i == RT_NO_REPLICA)
        return RT_REASON_UNAVAILABLE;
    if (f->replica_count > RT_MANY_REPLICAS) {
        rt_replica_prefetch(f->replicas[i]);
        rt_replica_prefetch_more(f->replicas[i]);
    }
    reason = RT_REASON_ADMISSION;
    if (admission_has_room(f, i, req, now_ns))
        reason = rt_fleet_role(f, i) == RT_ROLE_PREFILL
                     ? push_prompt(f, i, req, now_ns, err)
                     : rt_replica_push(f->replicas[i], req, now_ns, err);
    if (reason == RT_REASON_NONE)
        routing_count(f, i, 1, req->prompt_tokens);
    else
        settle(f, i);
    return reason;
}

enum rt_reason rt_fleet_push_again(struct rt_fleet *f, const struct rt_request *req,
                                   const struct rt_progress *past, int64_t now_ns,
                                   uint32_t *replica, struct rt_err *err)
{
    enum rt_reason reason;
    const struct served *served = find_served(f, req, &reason, err);
    *replica = RT_NO_REPLICA;
    if (!served)
        return reason;
    uint32_t i =
        routing_pick(f, &f->arrivals, &(struct routed){served->pools, served->count}, req, now_ns);
    *replica = i;
    if (i == RT_NO_REPLICA)
        return RT_REASON_UNAVAILABLE;
    reason = rt_replica_resume(f->replicas[i], req, past, now_ns, err);
    if (reason == RT_REASON_NONE)
        routing_count(f, i, 1, req->prompt_tokens);
    else
        settle(f, i);
    return reason;
}

void rt_fleet_prefetch(const struct rt_fleet *f)
{
    const struct rt_candidates *c = &f->pools[0].candidates;
    if (c->count > 0)
        rt_replica_prefetch(f->replicas[c->first + rt_heap_top(&c->by_key)->item]);
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static bool init_candidates(struct rt_fleet *f, struct pool *p, const struct rt_pool_spec *spec)
{
    struct rt_candidates *c = &p->candidates;
    rt_heap_init(&c->by_key);
    c->first = p->plan.first_replica;
    c->replicas = p->plan.replicas;
    c->max_prompt_tokens = spec->max_prompt_tokens > 0 ? spec->max_prompt_tokens : INT64_MAX;
    c->ready = malloc((c->replicas + 1) * sizeof c->ready[0]);
    if (!c->ready || !rt_heap_reserve(&c->by_key, c->replicas))
        return false;
    for (uint32_t i = c->first; i < c->first + c->replicas; i++) {
        f->views[i].kv_blocks = p->plan.kv_blocks;
        settle(f, i);
    }
    list_ready(f, c);
    return true;
}

bool desk_init(struct desk *d, const struct rt_router_policy *policy,
               const struct rt_router_view *view)
{
    d->policy = policy;
    d->view = *view;
    d->state = calloc(1, policy->state_bytes + 1);
    d->ready = d->state && (!policy->init || policy->init(d->state));
    return d->ready;
}

void desk_release(struct desk *d)
{
    if (d->ready && d->policy->release)
        d->policy->release(d->state);
    free(d->state);
}

bool routing_init(struct rt_fleet *f, const struct rt_fleet_spec *spec,
                  const struct rt_fleet_use *use)
{
    f->weights = spec->weights;
    f->admission = spec->admission;
    f->source = use->source;
    f->report_interval_ns = (int64_t)llround(spec->router_view_interval_s * 1e9);
    rt_rng_init(&f->rng, use->seed, RT_RNG_ROUTING, 0);
    f->views = calloc(f->replica_count, sizeof f->views[0]);
    f->tokens = calloc(f->replica_count, sizeof f->tokens[0]);
    f->turn = calloc(f->replica_count, sizeof f->turn[0]);
    f->state = calloc(f->replica_count, sizeof f->state[0]);
    const struct rt_router_view view = {.replicas = f->views,
                                        .rng = &f->rng,
                                        .stale = f->report_interval_ns > 0,
                                        .weights = &f->weights,
                                        .cached_tokens = cached_tokens};
    if (!f->views || !f->tokens || !f->turn || !f->state ||
        !desk_init(&f->arrivals, spec->router, &view) || !hand_over_open(f, spec))
        return false;
    f->sees = spec->router->sees | (f->hand ? hand_over_router(f)->sees : 0);
    for (uint32_t p = 0; p < f->pool_count; p++)
        if (!init_candidates(f, &f->pools[p], &spec->pools[p]))
            return false;
    admission_init(f);
    return served_init(f, spec);
}

void routing_release(struct rt_fleet *f)
{
    desk_release(&f->arrivals);
    for (uint32_t p = 0; p < f->pool_count; p++) {
        rt_heap_release(&f->pools[p].candidates.by_key);
        free(f->pools[p].candidates.ready);
    }
    served_release(f);
    free(f->views);
    free(f->tokens);
    free(f->turn);
    free(f->state);
}
