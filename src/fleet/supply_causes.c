/* Why machines stop: random crashes and repairs, outages of a script, spot machines that are
 * reclaimed, rolling maintenance.
 *
 * Each is an alternation in absolute time, up for so long, then away for so long, that runs whether
 * or not the slot serves: seed, pool and slot alone say when. So a policy, a load or another cause
 * never shifts it, and fleets can be compared under the same failures. Maintenance goes from slot
 * to slot: it drains one, keeps it down, lets it start, and turns to the next when it is ready (or
 * kept from it by something else); slots that are off are passed over. O(1) a change. */
#include "supply_internal.h"

#include "rooftrace/draw.h"

#include <math.h>

static double draw_s(struct rt_rng *rng, const struct rt_lifetime *l, double scale)
{
    return l->mean_s * rt_draw_weibull(rng, l->shape, scale);
}

/* At least 1 ns later, so that a process always moves on. */
static int64_t later(int64_t now_ns, double seconds)
{
    int64_t at_ns = supply_after(now_ns, seconds);
    return at_ns > now_ns ? at_ns : now_ns + 1;
}

/* ---- crashes --------------------------------------------------------------------------------- */

static void crash_due(struct rt_supply *s, uint32_t i, int64_t now_ns)
{
    const struct supply_pool *p = pool_of_slot(s, i);
    const struct rt_failure_spec *f = &p->spec->failures;
    struct slot *slot = &s->slots[i];
    bool ends = (slot->causes & CAUSE_CRASH) != 0;
    double takes_s = ends ? draw_s(&slot->crash_rng, &f->crash, p->crash_scale)
                          : draw_s(&slot->crash_rng, &f->repair, p->repair_scale);
    slot_timer(s, i, TIMER_CRASH, later(now_ns, takes_s));
    if (ends)
        slot_clear(s, i, CAUSE_CRASH, now_ns, RT_SUPPLY_REPAIRED);
    else
        slot_set(s, i, CAUSE_CRASH, now_ns, RT_SUPPLY_CRASH);
}

/* ---- outages --------------------------------------------------------------------------------- */

/* When the next outage of the slot begins, its notice included. */
static void plan_outage(struct rt_supply *s, uint32_t i)
{
    const struct slot *slot = &s->slots[i];
    const struct rt_outage *o = pool_of_slot(s, i)->spec->failures.outages + slot->outage;
    if (slot->outage < slot->outage_end)
        slot_timer(s, i, TIMER_OUTAGE, supply_ns(fmax(0, o->at_s - o->notice_s)));
}

static void outage_due(struct rt_supply *s, uint32_t i, int64_t now_ns)
{
    struct slot *slot = &s->slots[i];
    const struct rt_outage *o = pool_of_slot(s, i)->spec->failures.outages + slot->outage;
    if (slot->causes & CAUSE_OUTAGE) {
        slot->outage++;
        plan_outage(s, i);
        slot_clear(s, i, CAUSE_OUTAGE, now_ns, RT_SUPPLY_OUTAGE_OVER);
    } else if (o->notice_s > 0 && !(slot->causes & CAUSE_OUTAGE_NOTICE)) {
        slot_timer(s, i, TIMER_OUTAGE, supply_ns(o->at_s));
        slot_set(s, i, CAUSE_OUTAGE_NOTICE, now_ns, RT_SUPPLY_NOTICE);
    } else {
        bool for_good = isinf(o->for_s);
        slot->causes &= (uint8_t)~CAUSE_OUTAGE_NOTICE;
        slot_timer(s, i, TIMER_OUTAGE, for_good ? INT64_MAX : later(now_ns, o->for_s));
        slot_set(s, i, CAUSE_OUTAGE | (for_good ? CAUSE_LOST : 0u), now_ns, RT_SUPPLY_OUTAGE);
    }
}

/* ---- spot machines --------------------------------------------------------------------------- */

static void spot_due(struct rt_supply *s, uint32_t i, int64_t now_ns)
{
    const struct supply_pool *p = pool_of_slot(s, i);
    const struct rt_spot *spot = &p->spec->failures.spot;
    struct slot *slot = &s->slots[i];
    if (slot->causes & CAUSE_RECLAIMED) {
        slot_timer(s, i, TIMER_SPOT,
                   later(now_ns, draw_s(&slot->spot_rng, &spot->reclaim, p->reclaim_scale)));
        slot_clear(s, i, CAUSE_RECLAIMED, now_ns, RT_SUPPLY_REPLACED);
    } else if (!(slot->causes & CAUSE_SPOT_NOTICE) && spot->notice_s > 0) {
        slot_timer(s, i, TIMER_SPOT, later(now_ns, spot->notice_s));
        slot_set(s, i, CAUSE_SPOT_NOTICE, now_ns, RT_SUPPLY_NOTICE);
    } else {
        slot->causes &= (uint8_t)~CAUSE_SPOT_NOTICE;
        slot_timer(s, i, TIMER_SPOT,
                   later(now_ns, draw_s(&slot->spot_rng, &spot->back, p->back_scale)));
        slot_set(s, i, CAUSE_RECLAIMED, now_ns, RT_SUPPLY_RECLAIMED);
    }
}

void causes_due(struct rt_supply *s, uint32_t i, enum slot_timer timer, int64_t now_ns)
{
    if (timer == TIMER_CRASH)
        crash_due(s, i, now_ns);
    else if (timer == TIMER_OUTAGE)
        outage_due(s, i, now_ns);
    else
        spot_due(s, i, now_ns);
}

/* ---- maintenance ----------------------------------------------------------------------------- */

static bool can_be_maintained(const struct slot *slot)
{
    return slot->causes == 0 && !slot->maintained;
}

static void next_round(struct rt_supply *s, uint32_t p, int64_t now_ns)
{
    const struct rt_maintenance *m = &s->pools[p].spec->failures.maintenance;
    int64_t every_ns = supply_ns(m->every_s), start_ns = s->pools[p].round_ns;
    if (every_ns == 0)
        return;
    int64_t rounds = (now_ns - start_ns) / every_ns + 1;
    if (every_ns < (INT64_MAX - start_ns) / rounds)
        pool_timer(s, p, TIMER_MAINTENANCE, start_ns + rounds * every_ns);
}

/* As many as may be under maintenance at once. */
static void go_on(struct rt_supply *s, uint32_t p, int64_t now_ns)
{
    struct supply_pool *pool = &s->pools[p];
    while (pool->maintaining < pool->spec->failures.maintenance.at_once &&
           pool->maintain_next < pool->slots) {
        uint32_t i = pool->first + pool->maintain_next++;
        if (!can_be_maintained(&s->slots[i]))
            continue;
        s->slots[i].maintained = true;
        pool->maintaining++;
        slot_set(s, i, CAUSE_MAINTENANCE, now_ns, RT_SUPPLY_MAINTENANCE);
    }
    if (pool->maintaining == 0 && pool->maintain_next == pool->slots) {
        pool->maintain_next++; /* once */
        next_round(s, p, now_ns);
    }
}

void maintenance_due(struct rt_supply *s, uint32_t p, int64_t now_ns)
{
    s->pools[p].maintain_next = 0;
    s->pools[p].round_ns = now_ns;
    go_on(s, p, now_ns);
}

void maintenance_settled(struct rt_supply *s, uint32_t i, int64_t now_ns)
{
    struct slot *slot = &s->slots[i];
    if (slot->causes & CAUSE_MAINTENANCE && slot->state != RT_SLOT_OFF)
        return;
    if (slot->causes == 0 && slot->state != RT_SLOT_READY)
        return;
    slot->causes &= (uint8_t)~CAUSE_MAINTENANCE; /* one that is off has no engine to maintain */
    slot->maintained = false;
    pool_of_slot(s, i)->maintaining--;
    go_on(s, rt_fleet_pool_of(s->fleet, i), now_ns);
}

/* ---- beginning ------------------------------------------------------------------------------- */

static void init_slot(struct rt_supply *s, uint32_t p, uint32_t n, uint64_t seed)
{
    const struct supply_pool *pool = &s->pools[p];
    const struct rt_failure_spec *f = &pool->spec->failures;
    uint32_t i = pool->first + n;
    struct slot *slot = &s->slots[i];
    uint64_t stream = ((uint64_t)p << 32 | n) << 1;
    rt_rng_init(&slot->crash_rng, seed, RT_RNG_FAILURES, stream);
    rt_rng_init(&slot->spot_rng, seed, RT_RNG_FAILURES, stream + 1);
    if (f->crash.mean_s > 0)
        slot_timer(s, i, TIMER_CRASH,
                   later(0, draw_s(&slot->crash_rng, &f->crash, pool->crash_scale)));
    if (f->spot.reclaim.mean_s > 0)
        slot_timer(s, i, TIMER_SPOT,
                   later(0, draw_s(&slot->spot_rng, &f->spot.reclaim, pool->reclaim_scale)));
    while (slot->outage < f->outage_count && f->outages[slot->outage].replica < n)
        slot->outage++;
    slot->outage_end = slot->outage;
    while (slot->outage_end < f->outage_count && f->outages[slot->outage_end].replica == n)
        slot->outage_end++;
    plan_outage(s, i);
}

static double scale_of(const struct rt_lifetime *l)
{
    return l->mean_s > 0 ? rt_weibull_scale(l->shape) : 0;
}

void causes_init(struct rt_supply *s, uint64_t seed)
{
    for (uint32_t p = 0; p < s->pool_count; p++) {
        struct supply_pool *pool = &s->pools[p];
        if (!pool->spec || !pool->spec->fails)
            continue;
        const struct rt_failure_spec *f = &pool->spec->failures;
        pool->crash_scale = scale_of(&f->crash);
        pool->repair_scale = scale_of(&f->repair);
        pool->reclaim_scale = scale_of(&f->spot.reclaim);
        pool->back_scale = scale_of(&f->spot.back);
        for (uint32_t n = 0; n < pool->slots; n++)
            init_slot(s, p, n, seed);
        if (f->maintenance.wanted)
            pool_timer(s, p, TIMER_MAINTENANCE, supply_ns(f->maintenance.start_s));
    }
}
