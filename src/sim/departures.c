/* Requests that leave a replica: finished, given up by their clients, handed over to another
 * replica, or lost with theirs; and what waits for a replica meanwhile. Each becomes one row, when
 * it leaves the system. O(log requests in flight) each. */
#include "state_internal.h"

void post_capacity(struct rt_sim *s)
{
    int64_t next_ns = capacity_next_ns(s->capacity, s->totals.now_ns);
    if (next_ns == RT_NEVER_AGAIN)
        rt_heap_remove(&s->events, s->capacity_item);
    else
        post(s, s->capacity_item, next_ns, EVENT_TIMER);
}

bool note_done(struct rt_sim *s, struct rt_finished_list *out, size_t n, struct rt_err *err)
{
    struct rt_finished *row = &out->rows[n];
    struct rt_source_done done = rt_source_done(s->source, row->id, s->totals.now_ns);
    row->client_wait_ns = done.client_wait_ns;
    row->class_spec = class_map_place(&s->classes, row->class_name);
    row->left_ns = s->totals.now_ns;
    if (done.ask_again) {
        s->source_due = true;
        post(s, s->arrival_item, s->totals.now_ns, EVENT_ARRIVAL);
    }
    return !s->capacity || capacity_forget(s->capacity, row, &out->text, err);
}

void post_patience(struct rt_sim *s)
{
    const struct waiting_client *c = patience_next(&s->patience);
    if (c)
        post(s, s->patience_item, c->leaves_ns, EVENT_TIMER);
    else
        rt_heap_remove(&s->events, s->patience_item);
}

/* Something happened to replica i between its steps; a step may have ended with it. */
static void look_at(struct rt_sim *s, uint32_t i)
{
    post_replica(s, i);
    if (!rt_replica_busy(rt_fleet_replica(s->fleet, i)))
        mark_dirty(s, i);
}

void post_relay(struct rt_sim *s)
{
    int64_t next_ns = relay_next_ns(s->relay, s->totals.now_ns);
    for (uint32_t i = relay_woken(s->relay); i != RT_NO_REPLICA; i = relay_woken(s->relay))
        look_at(s, i);
    if (next_ns == RT_NEVER_AGAIN)
        rt_heap_remove(&s->events, s->relay_item);
    else
        post(s, s->relay_item, next_ns, EVENT_HAND_OVER);
}

/* Rows of requests that go on to another replica leave the list. */
static bool pass_on(struct rt_sim *s, struct rt_finished_list *out, size_t before,
                    struct rt_err *err)
{
    bool ok = relay_rows(s->relay, out, before, s->totals.now_ns, err);
    post_relay(s);
    return ok;
}

/* Requests left: the rows from `before` on. */
static bool leave_nowhere(struct rt_sim *s, struct rt_finished_list *out, size_t before,
                          struct rt_err *err)
{
    s->in_flight -= out->count - before;
    if (patience_next(&s->patience)) {
        for (size_t row = before; row < out->count; row++)
            patience_done(&s->patience, out->rows[row].id);
        post_patience(s);
    }
    for (size_t row = before; row < out->count; row++)
        if (!note_done(s, out, row, err))
            return false;
    return true;
}

/* Those left replica i. */
static bool leave(struct rt_sim *s, uint32_t i, struct rt_finished_list *out, size_t before,
                  struct rt_err *err)
{
    rt_fleet_left(s->fleet, i, &out->rows[before], out->count - before);
    if (s->relay && !pass_on(s, out, before, err))
        return false;
    if (!leave_nowhere(s, out, before, err))
        return false;
    if (!s->capacity)
        return true;
    if (!capacity_left(s->capacity, i, s->totals.now_ns, err))
        return false;
    post_capacity(s);
    return true;
}

bool end_step(struct rt_sim *s, uint32_t i, struct rt_finished_list *out, struct rt_err *err)
{
    size_t before = out->count;
    struct rt_replica *r = rt_fleet_replica(s->fleet, i);
    if (!rt_replica_step_end(r, s->totals.now_ns, out, err))
        return false;
    if (out->count == before)
        return true;
    if (!leave(s, i, out, before, err))
        return false;
    s->totals.finished += out->count - before;
    return true;
}

/* One whose client leaves: from its replica, or from among those that wait for one. */
static bool cancel(struct rt_sim *s, const struct waiting_client *c, struct rt_finished_list *out,
                   struct rt_err *err)
{
    uint32_t i = c->replica;
    size_t before = out->count;
    int64_t now_ns = s->totals.now_ns;
    bool waits = i == RT_NO_REPLICA;
    *(c->status == RT_STATUS_TIMEOUT ? &s->totals.timed_out : &s->totals.cancelled) += 1;
    if (waits ? !capacity_cancel(s->capacity, c->id, c->status, now_ns, out, err)
              : !rt_replica_cancel(rt_fleet_replica(s->fleet, i), c->newest, c->status, now_ns, out,
                                   err))
        return false;
    for (size_t row = before; row < out->count; row++)
        s->totals.given_up_ns += (uint64_t)(now_ns - out->rows[row].arrival_ns);
    if (waits)
        return leave_nowhere(s, out, before, err);
    if (!leave(s, i, out, before, err))
        return false;
    look_at(s, i);
    return true;
}

bool give_up(struct rt_sim *s, struct rt_finished_list *out, struct rt_err *err)
{
    const struct waiting_client *c = patience_next(&s->patience);
    for (; c && c->leaves_ns <= s->totals.now_ns; c = patience_next(&s->patience))
        if (!cancel(s, c, out, err))
            return false;
    return true;
}

/* A request of the fleet that no replica can go on with. */
static bool lose(struct rt_sim *s, struct rt_finished_list *out, size_t n, struct rt_err *err)
{
    const struct rt_finished *row = &out->rows[n];
    s->in_flight--;
    s->totals.failed++;
    s->totals.given_up_ns += (uint64_t)(s->totals.now_ns - row->arrival_ns);
    patience_done(&s->patience, row->id);
    post_patience(s);
    return note_done(s, out, n, err);
}

bool hand_over(struct rt_sim *s, struct rt_finished_list *out, struct rt_err *err)
{
    while (relay_next_ns(s->relay, s->totals.now_ns) <= s->totals.now_ns) {
        struct relay_told told;
        size_t before = out->count;
        if (!relay_due(s->relay, s->totals.now_ns, out, &told, err))
            return false;
        if (told.replica != RT_NO_REPLICA)
            patience_move(&s->patience, told.id, told.replica, told.place);
        for (size_t row = before; row < out->count; row++)
            if (!lose(s, out, row, err))
                return false;
    }
    post_relay(s);
    return true;
}

/* Requests that were in the system and failed or were rejected: the rows from `before` on. */
static bool fail_rows(struct rt_sim *s, struct rt_finished_list *out, size_t before,
                      struct rt_err *err)
{
    for (size_t row = before; row < out->count; row++) {
        const struct rt_finished *r = &out->rows[row];
        *(r->status == RT_STATUS_REJECTED ? &s->totals.rejected : &s->totals.failed) += 1;
        s->totals.given_up_ns += (uint64_t)(s->totals.now_ns - r->arrival_ns);
    }
    return leave_nowhere(s, out, before, err);
}

bool send_waiting(struct rt_sim *s, struct rt_finished_list *out, struct rt_err *err)
{
    const struct sent *sent;
    size_t count, before = out->count;
    bool ok = capacity_send(s->capacity, s->totals.now_ns, &sent, &count, out, err);
    for (size_t n = 0; n < count; n++) {
        patience_move(&s->patience, sent[n].id, sent[n].replica, sent[n].newest);
        touched(s, sent[n].replica);
    }
    ok = fail_rows(s, out, before, err) && ok;
    post_capacity(s);
    return ok;
}

bool change_fleet(struct rt_sim *s, struct rt_finished_list *out, struct rt_err *err)
{
    const struct rt_lost_list *lost;
    size_t before = out->count;
    bool ok = capacity_step(s->capacity, s->totals.now_ns, out, &lost, err);
    for (size_t n = 0; n < lost->count; n++) {
        patience_move(&s->patience, lost->rows[n].id, RT_NO_REPLICA, 0);
        post_replica(s, lost->rows[n].replica);
    }
    ok = fail_rows(s, out, before, err) && ok;
    return ok && send_waiting(s, out, err);
}
