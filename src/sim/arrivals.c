/* Requests from the source to replicas: by the fleet's router, or turned away; in fleets that come
 * and go one that no replica takes may wait for one. O(log replicas) each, apart from what the
 * router says. */
#include "rooftrace/kv_transfer.h"
#include "rooftrace/replica_spec.h"
#include "state_internal.h"

#include <assert.h>

static bool add_rejected(struct rt_sim *s, const struct rt_request *req, uint32_t replica,
                         enum rt_reason reason, struct rt_finished_list *out, struct rt_err *err)
{
    struct rt_finished row = {
        .id = req->id,
        .arrival_ns = req->arrival_ns,
        .scheduled_ns = RT_NEVER,
        .first_token_ns = RT_NEVER,
        .finish_ns = RT_NEVER,
        .max_itl_ns = RT_NEVER,
        .prompt_tokens = req->prompt_tokens,
        .output_tokens = req->output_tokens,
        .pool = replica == RT_NO_REPLICA ? 0 : rt_fleet_pool_of(s->fleet, replica),
        .replica = replica,
        .class_name = req->class_name,
        .status = RT_STATUS_REJECTED,
        .reason = (uint8_t)reason,
        .session = req->session,
    };
    if (!rt_finished_list_add(out, &row))
        return rt_fail_nomem(err, "finished requests");
    s->totals.rejected++;
    return note_done(s, out, out->count - 1, err);
}

/* The client of a request that replica i has just taken, or that waits for one. */
static bool wait_for(struct rt_sim *s, const struct rt_request *req,
                     const struct rt_patience *patience, uint32_t i)
{
    struct waiting_client c;
    if (!patience_draw(patience, s->scenario->seed, req, &c))
        return true;
    if (c.leaves_ns < s->totals.now_ns)
        c.leaves_ns = s->totals.now_ns;
    c.replica = i;
    c.newest = i == RT_NO_REPLICA ? 0 : rt_replica_newest(rt_fleet_replica(s->fleet, i));
    if (!patience_add(&s->patience, &c))
        return false;
    post_patience(s);
    return true;
}

/* Fleets that come and go hear of an arrival: one that no replica takes may wait for one. */
static bool take_note(struct rt_sim *s, const struct rt_request *req, enum rt_reason reason,
                      uint32_t i, bool *held, struct rt_err *err)
{
    if (reason == RT_REASON_UNAVAILABLE)
        return capacity_hold(s->capacity, req, s->totals.now_ns, held, err);
    return reason != RT_REASON_NONE || capacity_took(s->capacity, req, i, err);
}

static bool route(struct rt_sim *s, struct rt_request *req, struct rt_finished_list *out,
                  struct rt_err *err)
{
    uint32_t i;
    struct rt_patience patience;
    if (!class_map_apply(&s->classes, s->scenario, s->source, req, &patience))
        return rt_fail_nomem(err, "classes");
    s->totals.arrived++;
    enum rt_reason reason = rt_fleet_push(s->fleet, req, s->totals.now_ns, &i, err);
    if (err->code != RT_OK)
        return false;
    bool held = false;
    if (s->capacity && !take_note(s, req, reason, i, &held, err))
        return false;
    if (reason != RT_REASON_NONE && !held)
        return add_rejected(s, req, i, reason, out, err);
    if (++s->in_flight > s->totals.max_in_flight)
        s->totals.max_in_flight = s->in_flight;
    if (s->relay && rt_fleet_role(s->fleet, i) == RT_ROLE_PREFILL && !relay_take(s->relay, req, i))
        return rt_fail_nomem(err, "requests in flight");
    if (!wait_for(s, req, &patience, i))
        return rt_fail_nomem(err, "clients that may leave");
    if (s->report_interval_ns > 0 && !rt_heap_has(&s->events, s->report_item))
        post_report(s);
    if (held)
        return send_waiting(s, out, err); /* where one starts at once */
    touched(s, i);
    return true;
}

bool pull_arrivals(struct rt_sim *s, struct rt_finished_list *out, struct rt_err *err)
{
    for (;;) {
        struct rt_request req;
        int64_t later_ns;
        s->source_due = false;
        switch (rt_source_next(s->source, s->totals.now_ns, &req, &later_ns, err)) {
        case RT_PULL_REQUEST:
            if (!route(s, &req, out, err))
                return false;
            break;
        case RT_PULL_LATER:
            assert(later_ns > s->totals.now_ns);
            post(s, s->arrival_item, later_ns, EVENT_ARRIVAL);
            return true;
        case RT_PULL_BLOCKED:
            assert(s->in_flight > 0);
            rt_heap_remove(&s->events, s->arrival_item);
            return true;
        case RT_PULL_END:
            s->source_ended = true;
            rt_heap_remove(&s->events, s->arrival_item);
            return true;
        case RT_PULL_ERROR:
            return false;
        }
    }
}
