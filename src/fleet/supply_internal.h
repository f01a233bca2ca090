/* supply_internal.h: the inside of a supply, shared by its files.
 *
 *     supply.c           slots and their states, what is paid for, what happened
 *     supply_causes.c    crashes, outages, reclaims, maintenance: why a machine stops
 *     supply_scale.c     how many a pool wants, which are started and drained, who waits
 *     supply_spec.c      the scenario's keys
 *     scaler*.c          policies */
#ifndef RT_SUPPLY_INTERNAL_H
#define RT_SUPPLY_INTERNAL_H

#include "fleet_internal.h"
#include "rooftrace/crash.h"
#include "rooftrace/heap.h"
#include "rooftrace/scaler.h"
#include "rooftrace/supply.h"
#include "rooftrace/supply_spec.h"

enum cause { /* flags: why a slot does not serve */
             CAUSE_UNWANTED = 1,
             CAUSE_MAINTENANCE = 2,
             CAUSE_OUTAGE_NOTICE = 4,
             CAUSE_SPOT_NOTICE = 8,
             CAUSE_CRASH = 16,
             CAUSE_OUTAGE = 32,
             CAUSE_RECLAIMED = 64,
             CAUSE_LOST = 128, /* for good */
};
#define CAUSES_AT_ONCE (CAUSE_CRASH | CAUSE_OUTAGE | CAUSE_RECLAIMED | CAUSE_LOST)
#define CAUSES_FREE    (CAUSE_UNWANTED | CAUSE_SPOT_NOTICE | CAUSE_RECLAIMED) /* nobody pays */

enum slot_timer { TIMER_CRASH, TIMER_OUTAGE, TIMER_SPOT, TIMER_LIFE, SLOT_TIMERS };
enum pool_timer { TIMER_MAINTENANCE, TIMER_SCHEDULE, TIMER_TICK, POOL_TIMERS };

struct slot {
    uint8_t causes, state;       /* enum cause, enum rt_slot_state */
    bool maintained;             /* counts among the pool's under maintenance */
    bool used;                   /* it has served: its caches are warm */
    uint32_t outage, outage_end; /* the next one, and that after its last, in the spec's list */
    int64_t paid_from_ns;
    int64_t since_ns; /* in this state */
    int64_t busy_ns;  /* as of the last tick */
    struct rt_rng crash_rng, spot_rng;
};

struct recommendation {
    int64_t at_ns, wanted;
};

struct supply_pool {
    const struct rt_supply_spec *spec; /* NULL: all replicas are there all the time */
    uint32_t first, slots;
    int64_t provision_ns, load_ns, drain_ns;
    int64_t wanted;
    bool apply;        /* what is there may differ from what is wanted */
    uint64_t arrivals; /* since the last tick */
    int64_t held;
    void *state; /* of the policy; owned */
    bool state_ready;
    struct recommendation *past; /* ring; owned */
    uint32_t past_size, past_next;
    uint32_t step; /* of the schedule: the next */
    int64_t cycle; /* of the schedule */
    uint32_t maintain_next;
    int64_t maintaining, round_ns; /* under maintenance now; when the round began */
    double crash_scale, repair_scale, reclaim_scale, back_scale; /* rt_weibull_scale */
};

struct rt_supply {
    struct rt_fleet *fleet;
    const struct rt_fleet_spec *spec;
    struct supply_pool *pools;
    uint32_t pool_count, slot_count;
    struct slot *slots;
    struct rt_heap timers;
    bool changed;
    struct rt_supply_event *events;
    size_t event_count, event_capacity;
    struct rt_supply_span *spans; /* those that are over, then room for the others */
    size_t span_count, span_capacity;
    struct rt_lost_list *lost; /* of the step in progress */
    struct rt_err *err;        /* likewise; the first error stays */
};

/* supply.c */
int64_t supply_ns(double seconds); /* INT64_MAX: beyond the clock */
int64_t supply_after(int64_t now_ns, double seconds);
struct supply_pool *pool_of_slot(const struct rt_supply *s, uint32_t i);
void slot_timer(struct rt_supply *s, uint32_t i, enum slot_timer timer, int64_t at_ns);
void pool_timer(struct rt_supply *s, uint32_t p, enum pool_timer timer, int64_t at_ns);
/* Its causes are set, or cleared: it stops, drains or starts. */
void slot_set(struct rt_supply *s, uint32_t i, unsigned causes, int64_t now_ns,
              enum rt_supply_reason why);
void slot_clear(struct rt_supply *s, uint32_t i, unsigned causes, int64_t now_ns,
                enum rt_supply_reason why);

/* supply_causes.c */
void causes_init(struct rt_supply *s, uint64_t seed);
void causes_due(struct rt_supply *s, uint32_t i, enum slot_timer timer, int64_t now_ns);
void maintenance_due(struct rt_supply *s, uint32_t p, int64_t now_ns);
/* Slot i is as it will be for now: the next one may begin. */
void maintenance_settled(struct rt_supply *s, uint32_t i, int64_t now_ns);

/* supply_scale.c */
bool scale_init(struct rt_supply *s, uint32_t p, struct rt_err *err);
void scale_release(struct supply_pool *p);
void scale_due(struct rt_supply *s, uint32_t p, enum pool_timer timer, int64_t now_ns);
/* Starts and drains until as many are there as the pool wants. */
void scale_apply(struct rt_supply *s, uint32_t p, int64_t now_ns);
/* Will a replica of the pool ever be ready again? */
bool scale_has_hope(const struct rt_supply *s, uint32_t p);

/* supply_spec.c */
bool supply_spec_parse(const struct rt_json_at *pool, struct rt_pool_spec *spec,
                       struct rt_err *err) RT_MUST_USE;
void supply_spec_release(struct rt_supply_spec *s);
bool supply_check_down(const struct rt_fleet_spec *fleet, struct rt_err *err) RT_MUST_USE;
bool retry_parse(const struct rt_json_at *root, struct rt_retry_spec *r,
                 struct rt_err *err) RT_MUST_USE;

/* scaler_*.c: entries of the table in scaler.c */
extern const struct rt_scaler_policy scaler_queue_depth, scaler_utilisation, scaler_kv_use,
    scaler_predictive;

#endif
