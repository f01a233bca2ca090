/* Slots: which state follows from the causes a slot has, and what that means for router, replica
 * and bill.
 *
 *     a cause of the machine   ready, draining: cut off, its requests are lost; then stopped
 *     another cause            ready: draining while it has requests; then stopped
 *     no cause                 draining: ready again (it had not stopped); stopped: starting
 *
 * Stopped is `off` if one of the causes means that nobody pays for the machine, else `down`. A
 * machine that comes from `off` is provisioned and loads the weights; one that was down only loads.
 * A replica that comes up is a new engine with cold caches. Errors (memory) are kept until the step
 * is over. Events and spans grow with the changes of the fleet, not with the trace. O(log slots) a
 * change, beside what a policy and building an engine cost. */
#include "rooftrace/replica.h"
#include "supply_internal.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

const char *const rt_slot_state_names[RT_SLOT_STATE_COUNT] = {"off", "starting", "ready",
                                                              "draining", "down"};
const char *const rt_supply_reason_names[RT_SUPPLY_REASON_COUNT] = {
#define X(name, text) text,
    RT_SUPPLY_REASONS(X)
#undef X
};

int64_t rt_pool_slots(const struct rt_pool_spec *pool)
{
    return pool->supply && pool->supply->scales ? pool->supply->scaling.max_replicas
                                                : pool->replicas;
}

int64_t rt_pool_down(const struct rt_pool_spec *pool)
{
    return pool->supply && pool->supply->fails ? pool->supply->failures.down : 0;
}

int64_t supply_ns(double seconds)
{
    return seconds * 1e9 < 0x1p62 ? (int64_t)llround(seconds * 1e9) : INT64_MAX;
}

int64_t supply_after(int64_t now_ns, double seconds)
{
    int64_t ns = supply_ns(seconds);
    return ns < INT64_MAX - now_ns ? now_ns + ns : INT64_MAX;
}

struct supply_pool *pool_of_slot(const struct rt_supply *s, uint32_t i)
{
    return &s->pools[rt_fleet_pool_of(s->fleet, i)];
}

/* ---- timers: slots' first, by kind, then pools' ---------------------------------------------- */

static void set_timer(struct rt_supply *s, uint32_t item, int64_t at_ns)
{
    if (at_ns == INT64_MAX)
        rt_heap_remove(&s->timers, item);
    else
        rt_heap_set(&s->timers, item, at_ns, item);
}

void slot_timer(struct rt_supply *s, uint32_t i, enum slot_timer timer, int64_t at_ns)
{
    set_timer(s, (uint32_t)timer * s->slot_count + i, at_ns);
}

void pool_timer(struct rt_supply *s, uint32_t p, enum pool_timer timer, int64_t at_ns)
{
    set_timer(s, SLOT_TIMERS * s->slot_count + (uint32_t)timer * s->pool_count + p, at_ns);
}

/* ---- what is told ---------------------------------------------------------------------------- */

static void out_of_memory(struct rt_supply *s)
{
    if (s->err && s->err->code == RT_OK)
        (void)rt_fail_nomem(s->err, "the fleet's events");
}

/* Room for one more and, of spans, for one of each slot: those that are not over. */
static bool reserve(void **items, size_t *capacity, size_t wanted, size_t size)
{
    if (wanted <= *capacity)
        return true;
    size_t grown = 2 * wanted + 16;
    void *more = realloc(*items, grown * size);
    if (!more)
        return false;
    *items = more;
    *capacity = grown;
    return true;
}

static void note_event(struct rt_supply *s, const struct rt_supply_event *e)
{
    void *items = s->events;
    bool ok = reserve(&items, &s->event_capacity, s->event_count + 1, sizeof *e);
    s->events = items;
    if (ok)
        s->events[s->event_count++] = *e;
    else
        out_of_memory(s);
}

static void note_span(struct rt_supply *s, uint32_t i, int64_t from_ns, int64_t to_ns)
{
    void *items = s->spans;
    bool ok = reserve(&items, &s->span_capacity, s->span_count + 1, sizeof s->spans[0]);
    s->spans = items;
    if (ok && from_ns < to_ns)
        s->spans[s->span_count++] = (struct rt_supply_span){i, from_ns, to_ns};
    else if (!ok)
        out_of_memory(s);
}

const struct rt_supply_event *rt_supply_events(const struct rt_supply *s, size_t *count)
{
    *count = s->event_count;
    return s->events;
}

const struct rt_supply_span *rt_supply_spans(struct rt_supply *s, int64_t now_ns, size_t *count)
{
    void *items = s->spans;
    bool ok = reserve(&items, &s->span_capacity, s->span_count + s->slot_count, sizeof s->spans[0]);
    s->spans = items;
    *count = s->span_count;
    for (uint32_t i = 0; ok && i < s->slot_count; i++)
        if (s->slots[i].state != RT_SLOT_OFF)
            s->spans[(*count)++] = (struct rt_supply_span){i, s->slots[i].paid_from_ns, now_ns};
    return ok ? s->spans : NULL;
}

/* ---- states ---------------------------------------------------------------------------------- */

static const enum rt_replica_state seen_by_router[RT_SLOT_STATE_COUNT] = {
    [RT_SLOT_OFF] = RT_REPLICA_DOWN,    [RT_SLOT_STARTING] = RT_REPLICA_DOWN,
    [RT_SLOT_READY] = RT_REPLICA_READY, [RT_SLOT_DRAINING] = RT_REPLICA_DRAINING,
    [RT_SLOT_DOWN] = RT_REPLICA_DOWN,
};

static void enter(struct rt_supply *s, uint32_t i, enum rt_slot_state state, int64_t now_ns,
                  enum rt_supply_reason why)
{
    struct slot *slot = &s->slots[i];
    if (slot->state == (uint8_t)state)
        return;
    note_event(s, &(struct rt_supply_event){.time_ns = now_ns,
                                            .replica = i,
                                            .from = slot->state,
                                            .to = (uint8_t)state,
                                            .why = (uint8_t)why});
    if (slot->state == RT_SLOT_OFF)
        slot->paid_from_ns = now_ns;
    else if (state == RT_SLOT_OFF)
        note_span(s, i, slot->paid_from_ns, now_ns);
    slot->state = (uint8_t)state;
    slot->since_ns = now_ns;
    slot_timer(s, i, TIMER_LIFE, INT64_MAX);
    rt_fleet_set_state(s->fleet, i, seen_by_router[state]);
    if (state == RT_SLOT_READY)
        s->changed = true;
    pool_of_slot(s, i)->apply = true;
}

static void become_ready(struct rt_supply *s, uint32_t i, int64_t now_ns, enum rt_supply_reason why)
{
    struct slot *slot = &s->slots[i];
    if (slot->used && !fleet_renew(s->fleet, i, s->err))
        return;
    slot->used = true;
    slot->busy_ns = rt_replica_busy_until(rt_fleet_replica(s->fleet, i), now_ns);
    enter(s, i, RT_SLOT_READY, now_ns, why);
}

static void start(struct rt_supply *s, uint32_t i, int64_t now_ns, enum rt_supply_reason why)
{
    const struct supply_pool *p = pool_of_slot(s, i);
    int64_t takes_ns = p->load_ns;
    if (s->slots[i].state == RT_SLOT_OFF)
        takes_ns = takes_ns < INT64_MAX - p->provision_ns ? takes_ns + p->provision_ns : INT64_MAX;
    if (takes_ns == 0) {
        become_ready(s, i, now_ns, why);
        return;
    }
    enter(s, i, RT_SLOT_STARTING, now_ns, why);
    slot_timer(s, i, TIMER_LIFE, takes_ns < INT64_MAX - now_ns ? now_ns + takes_ns : INT64_MAX);
}

/* Its requests are lost, its engine is a new one. */
static bool cut_off(struct rt_supply *s, uint32_t i, int64_t now_ns)
{
    size_t before = s->lost->count;
    if (!rt_replica_crash(rt_fleet_replica(s->fleet, i), now_ns, s->lost, s->err) ||
        !fleet_renew(s->fleet, i, s->err))
        return false;
    s->slots[i].used = false;
    rt_fleet_left(s->fleet, i, s->lost->rows + before, s->lost->count - before);
    return true;
}

static void stop(struct rt_supply *s, uint32_t i, int64_t now_ns, enum rt_supply_reason why)
{
    struct slot *slot = &s->slots[i];
    bool free_of_charge = (slot->causes & CAUSES_FREE) != 0;
    bool serves = slot->state == RT_SLOT_READY || slot->state == RT_SLOT_DRAINING;
    if (serves && s->fleet->views[i].outstanding > 0 && !cut_off(s, i, now_ns))
        return;
    enter(s, i, free_of_charge ? RT_SLOT_OFF : RT_SLOT_DOWN, now_ns, why);
    if (slot->causes & CAUSE_MAINTENANCE && slot->state == RT_SLOT_DOWN)
        slot_timer(s, i, TIMER_LIFE,
                   supply_after(now_ns, pool_of_slot(s, i)->spec->failures.maintenance.down_s));
}

/* The state that follows from the causes. */
static void settle(struct rt_supply *s, uint32_t i, int64_t now_ns, enum rt_supply_reason why)
{
    struct slot *slot = &s->slots[i];
    const struct supply_pool *p = pool_of_slot(s, i);
    bool serves = slot->state == RT_SLOT_READY || slot->state == RT_SLOT_DRAINING;
    bool has_requests = serves && s->fleet->views[i].outstanding > 0;
    if (slot->causes == 0) {
        if (slot->state == RT_SLOT_DRAINING)
            enter(s, i, RT_SLOT_READY, now_ns, why);
        else if (slot->state == RT_SLOT_OFF || slot->state == RT_SLOT_DOWN)
            start(s, i, now_ns, why);
    } else if (!(slot->causes & CAUSES_AT_ONCE) && has_requests) {
        if (slot->state == RT_SLOT_READY) {
            enter(s, i, RT_SLOT_DRAINING, now_ns, why);
            if (p->drain_ns > 0 && p->drain_ns < INT64_MAX - now_ns)
                slot_timer(s, i, TIMER_LIFE, now_ns + p->drain_ns);
        }
    } else {
        stop(s, i, now_ns, why);
    }
    if (slot->maintained)
        maintenance_settled(s, i, now_ns);
}

void slot_set(struct rt_supply *s, uint32_t i, unsigned causes, int64_t now_ns,
              enum rt_supply_reason why)
{
    s->slots[i].causes |= (uint8_t)causes;
    if (causes & (CAUSE_LOST | CAUSE_OUTAGE))
        s->changed = true; /* perhaps its pool's last hope */
    settle(s, i, now_ns, why);
}

void slot_clear(struct rt_supply *s, uint32_t i, unsigned causes, int64_t now_ns,
                enum rt_supply_reason why)
{
    s->slots[i].causes &= (uint8_t)~causes;
    settle(s, i, now_ns, why);
}

/* Started, drained for too long, or maintained. */
static void life_due(struct rt_supply *s, uint32_t i, int64_t now_ns)
{
    enum rt_slot_state state = (enum rt_slot_state)s->slots[i].state;
    if (state == RT_SLOT_STARTING)
        become_ready(s, i, now_ns, RT_SUPPLY_STARTED);
    else if (state == RT_SLOT_DRAINING)
        stop(s, i, now_ns, RT_SUPPLY_DRAIN_TIMEOUT);
    else
        slot_clear(s, i, CAUSE_MAINTENANCE, now_ns, RT_SUPPLY_MAINTAINED);
    if (s->slots[i].maintained)
        maintenance_settled(s, i, now_ns);
}

/* ---- what supply.h says ---------------------------------------------------------------------- */

int64_t rt_supply_next_ns(const struct rt_supply *s)
{
    const struct rt_heap_node *top = rt_heap_top(&s->timers);
    return top ? top->time : RT_NEVER_AGAIN;
}

static void apply_all(struct rt_supply *s, int64_t now_ns)
{
    for (uint32_t p = 0; p < s->pool_count; p++)
        if (s->pools[p].apply && s->pools[p].spec && s->pools[p].spec->scales)
            scale_apply(s, p, now_ns);
}

static void due(struct rt_supply *s, uint32_t item, int64_t now_ns)
{
    uint32_t slots = SLOT_TIMERS * s->slot_count;
    rt_heap_remove(&s->timers, item);
    if (item >= slots) {
        uint32_t timer = (item - slots) / s->pool_count, p = (item - slots) % s->pool_count;
        if (timer == TIMER_MAINTENANCE)
            maintenance_due(s, p, now_ns);
        else
            scale_due(s, p, (enum pool_timer)timer, now_ns);
        return;
    }
    enum slot_timer timer = (enum slot_timer)(item / s->slot_count);
    if (timer == TIMER_LIFE)
        life_due(s, item % s->slot_count, now_ns);
    else
        causes_due(s, item % s->slot_count, timer, now_ns);
}

bool rt_supply_step(struct rt_supply *s, int64_t now_ns, struct rt_lost_list *lost,
                    struct rt_err *err)
{
    s->lost = lost;
    s->err = err;
    while (err->code == RT_OK && rt_supply_next_ns(s) <= now_ns) {
        due(s, rt_heap_top(&s->timers)->item, now_ns);
        apply_all(s, now_ns);
    }
    s->lost = NULL;
    s->err = NULL;
    return err->code == RT_OK;
}

void rt_supply_sent(struct rt_supply *s, uint32_t i)
{
    pool_of_slot(s, i)->arrivals++;
}

bool rt_supply_left(struct rt_supply *s, uint32_t i, int64_t now_ns, struct rt_err *err)
{
    if (s->slots[i].state != RT_SLOT_DRAINING || s->fleet->views[i].outstanding > 0)
        return true;
    s->err = err;
    settle(s, i, now_ns, RT_SUPPLY_EMPTY);
    apply_all(s, now_ns);
    s->err = NULL;
    return err->code == RT_OK;
}

bool rt_supply_changed(struct rt_supply *s)
{
    bool changed = s->changed;
    s->changed = false;
    return changed;
}

bool rt_supply_loses(const struct rt_supply *s)
{
    for (uint32_t p = 0; p < s->pool_count; p++) {
        const struct rt_supply_spec *spec = s->pools[p].spec;
        if (spec && (spec->fails || spec->drain_timeout_s > 0))
            return true;
    }
    return false;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static void begin_pool(struct rt_supply *s, uint32_t p, const struct rt_pool_spec *spec)
{
    struct supply_pool *pool = &s->pools[p];
    int64_t down = rt_pool_down(spec);
    for (uint32_t n = 0; n < pool->slots; n++) {
        uint32_t i = pool->first + n;
        s->slots[i].state = RT_SLOT_OFF;
        if (n >= spec->replicas)
            s->slots[i].causes = CAUSE_UNWANTED;
        else if (n + down >= spec->replicas)
            s->slots[i].causes = CAUSE_LOST;
        if (s->slots[i].causes)
            rt_fleet_set_state(s->fleet, i, RT_REPLICA_DOWN);
        if (n < spec->replicas)
            enter(s, i, s->slots[i].causes ? RT_SLOT_DOWN : RT_SLOT_READY, 0, RT_SUPPLY_BEGIN);
        s->slots[i].used = s->slots[i].state == RT_SLOT_READY;
    }
}

static bool init_pools(struct rt_supply *s, struct rt_err *err)
{
    for (uint32_t p = 0; p < s->pool_count; p++) {
        const struct rt_pool_spec *spec = &s->spec->pools[p];
        const struct rt_pool_plan *plan = rt_fleet_pool(s->fleet, p);
        struct supply_pool *pool = &s->pools[p];
        *pool = (struct supply_pool){.spec = spec->supply,
                                     .first = plan->first_replica,
                                     .slots = plan->replicas,
                                     .wanted = spec->replicas};
        if (pool->spec) {
            pool->provision_ns = supply_ns(pool->spec->provision_s);
            pool->load_ns = supply_ns(pool->spec->load_s);
            pool->drain_ns = supply_ns(pool->spec->drain_timeout_s);
        }
        begin_pool(s, p, spec);
        if (pool->spec && pool->spec->scales && !scale_init(s, p, err))
            return false;
    }
    return true;
}

bool rt_supply_new(const struct rt_fleet_spec *spec, struct rt_fleet *f, uint64_t seed,
                   struct rt_supply **out, struct rt_err *err)
{
    bool any = false;
    *out = NULL;
    for (uint32_t p = 0; p < spec->pool_count; p++)
        any = any || (spec->pools[p].supply &&
                      (spec->pools[p].supply->scales || spec->pools[p].supply->fails));
    if (!any)
        return true;
    struct rt_supply *s = calloc(1, sizeof *s);
    if (!s)
        return rt_fail_nomem(err, "the fleet's supply");
    *s = (struct rt_supply){.fleet = f,
                            .spec = spec,
                            .pool_count = rt_fleet_pools(f),
                            .slot_count = rt_fleet_replicas(f),
                            .err = err};
    rt_heap_init(&s->timers);
    s->pools = calloc(s->pool_count, sizeof s->pools[0]);
    s->slots = calloc(s->slot_count, sizeof s->slots[0]);
    bool ok =
        (s->pools && s->slots &&
         rt_heap_reserve(&s->timers, SLOT_TIMERS * s->slot_count + POOL_TIMERS * s->pool_count)) ||
        rt_fail_nomem(err, "the fleet's supply");
    if (ok && init_pools(s, err))
        causes_init(s, seed);
    s->err = NULL;
    if (!ok || err->code != RT_OK) {
        rt_supply_free(s);
        return false;
    }
    *out = s;
    return true;
}

void rt_supply_free(struct rt_supply *s)
{
    if (!s)
        return;
    for (uint32_t p = 0; s->pools && p < s->pool_count; p++)
        scale_release(&s->pools[p]);
    rt_heap_release(&s->timers);
    free(s->events);
    free(s->spans);
    free(s->pools);
    free(s->slots);
    free(s);
}
