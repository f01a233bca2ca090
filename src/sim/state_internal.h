/* state_internal.h: one simulation under way, shared by the files that handle its events.
 *
 *     sim.c         the loop: what comes next, steps, samples, reports
 *     arrivals.c    requests from the source to replicas
 *     departures.c  requests that finish, leave, fail, or go on elsewhere */
#ifndef RT_SIM_STATE_INTERNAL_H
#define RT_SIM_STATE_INTERNAL_H

#include "rooftrace/fleet.h"
#include "rooftrace/replica.h"
#include "rooftrace/step_list.h"
#include "rooftrace/token_stats.h"
#include "sim_internal.h"

enum event_kind { EVENT_STEP_END, EVENT_HAND_OVER, EVENT_TIMER, EVENT_ARRIVAL };

struct rt_sim {
    const struct rt_scenario *scenario;
    struct rt_source *source;
    struct rt_fleet *fleet;
    struct rt_token_stats tokens;
    struct rt_step_list *steps; /* where steps are recorded, or NULL */
    struct rt_heap events;      /* items: replicas, then those below */
    uint32_t arrival_item, sample_item, patience_item, report_item, relay_item, capacity_item;
    uint32_t *dirty; /* replicas to schedule at this instant */
    bool *is_dirty;
    uint32_t dirty_count;
    bool source_due; /* it wants to be asked at this instant: something left */
    bool source_ended;
    uint64_t in_flight;
    struct rt_sim_totals totals;
    struct class_map classes;
    struct patience patience;
    struct relay *relay;        /* NULL: no replica hands over */
    int64_t report_interval_ns; /* of replicas to the router; 0: none */
    struct capacity *capacity;  /* NULL: all replicas are there all the time */
    struct sampler sampler;
};

static inline void post(struct rt_sim *s, uint32_t item, int64_t time_ns, enum event_kind kind)
{
    rt_heap_set(&s->events, item, time_ns, (uint64_t)kind << 32 | item);
}

static inline void post_replica(struct rt_sim *s, uint32_t i)
{
    int64_t next_ns = rt_replica_next_ns(rt_fleet_replica(s->fleet, i));
    if (next_ns == RT_NEVER_AGAIN)
        rt_heap_remove(&s->events, i);
    else
        post(s, i, next_ns, EVENT_STEP_END);
}

static inline void mark_dirty(struct rt_sim *s, uint32_t i)
{
    if (s->is_dirty[i])
        return;
    s->is_dirty[i] = true;
    s->dirty[s->dirty_count++] = i;
}

/* Replica i has got a request, or lost one. */
static inline void touched(struct rt_sim *s, uint32_t i)
{
    if (rt_replica_busy(rt_fleet_replica(s->fleet, i)))
        post_replica(s, i);
    else
        mark_dirty(s, i);
}

/* departures.c */
void post_capacity(struct rt_sim *s); /* when the fleet changes next, or what waits comes due */
void post_patience(struct rt_sim *s); /* when the next client leaves */
void post_relay(struct rt_sim *s);    /* when the next request is handed over */
/* Row `row` of the list has left the system: the source may have waited for it. */
bool note_done(struct rt_sim *s, struct rt_finished_list *out, size_t row,
               struct rt_err *err) RT_MUST_USE;
/* Replica i's step ends now. */
bool end_step(struct rt_sim *s, uint32_t i, struct rt_finished_list *out,
              struct rt_err *err) RT_MUST_USE;
/* Clients whose patience ends now: their requests leave, finished or not. */
bool give_up(struct rt_sim *s, struct rt_finished_list *out, struct rt_err *err) RT_MUST_USE;
/* KV that is where it decodes, and prompts that are computed. */
bool hand_over(struct rt_sim *s, struct rt_finished_list *out, struct rt_err *err) RT_MUST_USE;
/* Requests that wait go where they are taken. */
bool send_waiting(struct rt_sim *s, struct rt_finished_list *out, struct rt_err *err) RT_MUST_USE;
/* Replicas come and go. What they had waits, or fails. */
bool change_fleet(struct rt_sim *s, struct rt_finished_list *out, struct rt_err *err) RT_MUST_USE;

/* arrivals.c: takes every request that has arrived by now and learns when to ask again. */
bool pull_arrivals(struct rt_sim *s, struct rt_finished_list *out, struct rt_err *err) RT_MUST_USE;

/* sim.c: from now on replicas report, at multiples of the interval, as long as there is anything to
 * tell. */
void post_report(struct rt_sim *s);

#endif
