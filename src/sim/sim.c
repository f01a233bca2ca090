/* The loop. One event a replica (when it next wants to be looked at), one for the next arrival, one
 * for the next sample; all in one heap ordered by (time, kind, id). At an instant step ends come
 * first, then timers, then arrivals; replicas they touched are `dirty` and form their next batch
 * once nothing else happens at that instant. Which dirty replica goes first does not matter:
 * scheduling touches nothing but the replica itself. */
#include "sim_internal.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define STEPS_ALONE 64 /* of one replica, before the caller is looked after again */
#define EVENTS_A_CALL                                                                              \
    65536 /* a call of rt_sim_next ends after so many, so that callers stay awake */
#define STEPS_A_CALL                                                                               \
    16384 /* and after so many step records; its last event may add 256 for each replica */

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

static void post(struct rt_sim *s, uint32_t item, int64_t time_ns, enum event_kind kind)
{
    rt_heap_set(&s->events, item, time_ns, (uint64_t)kind << 32 | item);
}

static void post_replica(struct rt_sim *s, uint32_t i)
{
    int64_t next_ns = rt_replica_next_ns(rt_fleet_replica(s->fleet, i));
    if (next_ns == RT_NEVER_AGAIN)
        rt_heap_remove(&s->events, i);
    else
        post(s, i, next_ns, EVENT_STEP_END);
}

static void mark_dirty(struct rt_sim *s, uint32_t i)
{
    if (s->is_dirty[i])
        return;
    s->is_dirty[i] = true;
    s->dirty[s->dirty_count++] = i;
}

/* The fleet changes by itself, or a request that waits comes due. */
static void post_capacity(struct rt_sim *s)
{
    int64_t next_ns = capacity_next_ns(s->capacity, s->totals.now_ns);
    if (next_ns == RT_NEVER_AGAIN)
        rt_heap_remove(&s->events, s->capacity_item);
    else
        post(s, s->capacity_item, next_ns, EVENT_TIMER);
}

static int64_t to_ns(double seconds)
{
    return seconds >= 9.2e9 ? INT64_MAX : (int64_t)llround(seconds * 1e9);
}

static bool init(struct rt_sim *s, const struct rt_scenario *scenario, struct rt_err *err)
{
    int64_t from = 0, to = 0; /* no window: nothing is measured apart */
    if (scenario->has_measure) {
        from = to_ns(scenario->measure_s[0]);
        to = to_ns(scenario->measure_s[1]);
    }
    if (!rt_token_stats_init(&s->tokens, from, to))
        return rt_fail_nomem(err, "token statistics");
    struct rt_fleet_use use = {.coast = scenario->coast,
                               .hash_block = rt_source_stats(s->source)->hash_block_tokens,
                               .stats = &s->tokens,
                               .seed = scenario->seed,
                               .source = s->source};
    if (!rt_fleet_new(&scenario->fleet, &use, &s->fleet, err))
        return false;
    uint32_t replicas = rt_fleet_replicas(s->fleet);
    s->arrival_item = replicas;
    s->sample_item = replicas + 1;
    s->patience_item = replicas + 2;
    s->report_item = replicas + 3;
    s->relay_item = replicas + 4;
    s->capacity_item = replicas + 5;
    s->report_interval_ns = rt_fleet_report_interval_ns(s->fleet);
    s->dirty = calloc(replicas, sizeof s->dirty[0]);
    s->is_dirty = calloc(replicas, sizeof s->is_dirty[0]);
    if (!s->dirty || !s->is_dirty || !rt_heap_reserve(&s->events, replicas + 6) ||
        (rt_fleet_hands_over(s->fleet) && !relay_new(s->fleet, &s->relay)))
        return rt_fail_nomem(err, "the event queue");
    if (!capacity_new(scenario, s->fleet, &s->capacity, err))
        return false;
    if (s->capacity)
        post_capacity(s);
    sampler_init(&s->sampler, scenario->sample_interval_s);
    post(s, s->arrival_item, 0, EVENT_ARRIVAL);
    post(s, s->sample_item, s->sampler.interval_ns, EVENT_TIMER);
    return true;
}

bool rt_sim_new(const struct rt_scenario *scenario, struct rt_source *source, struct rt_sim **out,
                struct rt_err *err)
{
    struct rt_sim *s = calloc(1, sizeof *s);
    if (!s) {
        rt_source_free(source);
        return rt_fail_nomem(err, "the simulation");
    }
    s->scenario = scenario;
    s->source = source;
    rt_heap_init(&s->events);
    patience_init(&s->patience);
    if (!init(s, scenario, err)) {
        rt_sim_free(s);
        return false;
    }
    *out = s;
    return true;
}

void rt_sim_record_steps(struct rt_sim *s, struct rt_step_list *steps)
{
    s->steps = steps;
    for (uint32_t i = 0; i < rt_fleet_replicas(s->fleet); i++)
        rt_replica_record_steps(rt_fleet_replica(s->fleet, i), steps);
}

void rt_sim_free(struct rt_sim *s)
{
    if (!s)
        return;
    capacity_free(s->capacity);
    relay_free(s->relay);
    rt_fleet_free(s->fleet);
    rt_token_stats_release(&s->tokens);
    class_map_release(&s->classes);
    patience_release(&s->patience);
    rt_heap_release(&s->events);
    rt_source_free(s->source);
    free(s->dirty);
    free(s->is_dirty);
    free(s);
}

/* The row's request left the system: the source may have waited for it. */
static void note_done(struct rt_sim *s, struct rt_finished *row)
{
    struct rt_source_done done = rt_source_done(s->source, row->id, s->totals.now_ns);
    row->client_wait_ns = done.client_wait_ns;
    row->class_spec = class_map_place(&s->classes, row->class_name);
    if (s->capacity)
        capacity_forget(s->capacity, row);
    if (done.ask_again) {
        s->source_due = true;
        post(s, s->arrival_item, s->totals.now_ns, EVENT_ARRIVAL);
    }
}

/* The next client to leave is an event. */
static void post_patience(struct rt_sim *s)
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

static void post_relay(struct rt_sim *s)
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
static void leave_nowhere(struct rt_sim *s, struct rt_finished_list *out, size_t before)
{
    s->in_flight -= out->count - before;
    if (patience_next(&s->patience)) {
        for (size_t row = before; row < out->count; row++)
            patience_done(&s->patience, out->rows[row].id);
        post_patience(s);
    }
    for (size_t row = before; row < out->count; row++)
        note_done(s, &out->rows[row]);
}

/* Those left replica i. */
static bool leave(struct rt_sim *s, uint32_t i, struct rt_finished_list *out, size_t before,
                  struct rt_err *err)
{
    rt_fleet_left(s->fleet, i, &out->rows[before], out->count - before);
    if (s->relay && !pass_on(s, out, before, err))
        return false;
    leave_nowhere(s, out, before);
    if (!s->capacity)
        return true;
    if (!capacity_left(s->capacity, i, s->totals.now_ns, err))
        return false;
    post_capacity(s);
    return true;
}

/* Replica i has got a request, or lost one. */
static void touched(struct rt_sim *s, uint32_t i)
{
    if (rt_replica_busy(rt_fleet_replica(s->fleet, i)))
        post_replica(s, i);
    else
        mark_dirty(s, i);
}

static bool end_step(struct rt_sim *s, uint32_t i, struct rt_finished_list *out, struct rt_err *err)
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
    if (waits) {
        leave_nowhere(s, out, before);
        return true;
    }
    if (!leave(s, i, out, before, err))
        return false;
    look_at(s, i);
    return true;
}

/* Clients whose patience ends now: their requests leave, finished or not. */
static bool give_up(struct rt_sim *s, struct rt_finished_list *out, struct rt_err *err)
{
    const struct waiting_client *c = patience_next(&s->patience);
    for (; c && c->leaves_ns <= s->totals.now_ns; c = patience_next(&s->patience))
        if (!cancel(s, c, out, err))
            return false;
    return true;
}

/* A request of the fleet that no replica can go on with. */
static void lose(struct rt_sim *s, struct rt_finished *row)
{
    s->in_flight--;
    s->totals.failed++;
    s->totals.given_up_ns += (uint64_t)(s->totals.now_ns - row->arrival_ns);
    patience_done(&s->patience, row->id);
    post_patience(s);
    note_done(s, row);
}

/* KV that is where it decodes, and prompts that are computed. */
static bool hand_over(struct rt_sim *s, struct rt_finished_list *out, struct rt_err *err)
{
    while (relay_next_ns(s->relay, s->totals.now_ns) <= s->totals.now_ns) {
        struct relay_told told;
        size_t before = out->count;
        if (!relay_due(s->relay, s->totals.now_ns, out, &told, err))
            return false;
        if (told.replica != RT_NO_REPLICA)
            patience_move(&s->patience, told.id, told.replica, told.place);
        for (size_t row = before; row < out->count; row++)
            lose(s, &out->rows[row]);
    }
    post_relay(s);
    return true;
}

/* From now on replicas report, at multiples of the interval, as long as there is anything to tell.
 */
static void post_report(struct rt_sim *s)
{
    int64_t now_ns = s->totals.now_ns, every_ns = s->report_interval_ns;
    if (every_ns > 0 && now_ns < INT64_MAX - every_ns)
        post(s, s->report_item, (now_ns / every_ns + 1) * every_ns, EVENT_TIMER);
}

static void report(struct rt_sim *s)
{
    rt_heap_remove(&s->events, s->report_item);
    rt_fleet_report(s->fleet, s->totals.now_ns);
    if (s->in_flight > 0)
        post_report(s);
}

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
    note_done(s, &out->rows[out->count - 1]);
    return true;
}

/* Requests that were in the system and failed or were rejected: the rows from `before` on. */
static void fail_rows(struct rt_sim *s, struct rt_finished_list *out, size_t before)
{
    for (size_t row = before; row < out->count; row++) {
        const struct rt_finished *r = &out->rows[row];
        *(r->status == RT_STATUS_REJECTED ? &s->totals.rejected : &s->totals.failed) += 1;
        s->totals.given_up_ns += (uint64_t)(s->totals.now_ns - r->arrival_ns);
    }
    leave_nowhere(s, out, before);
}

/* Requests that wait go where they are taken. */
static bool send_waiting(struct rt_sim *s, struct rt_finished_list *out, struct rt_err *err)
{
    const struct sent *sent;
    size_t count, before = out->count;
    bool ok = capacity_send(s->capacity, s->totals.now_ns, &sent, &count, out, err);
    for (size_t n = 0; n < count; n++) {
        patience_move(&s->patience, sent[n].id, sent[n].replica, sent[n].newest);
        touched(s, sent[n].replica);
    }
    fail_rows(s, out, before);
    post_capacity(s);
    return ok;
}

/* Replicas come and go. What they had waits, or fails. */
static bool change_fleet(struct rt_sim *s, struct rt_finished_list *out, struct rt_err *err)
{
    const struct rt_lost_list *lost;
    size_t before = out->count;
    bool ok = capacity_step(s->capacity, s->totals.now_ns, out, &lost, err);
    for (size_t n = 0; n < lost->count; n++) {
        patience_move(&s->patience, lost->rows[n].id, RT_NO_REPLICA, 0);
        post_replica(s, lost->rows[n].replica);
    }
    fail_rows(s, out, before);
    return ok && send_waiting(s, out, err);
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

/* Takes every request that has arrived by now and learns when to ask again. */
static bool pull_arrivals(struct rt_sim *s, struct rt_finished_list *out, struct rt_err *err)
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

static void take_sample(struct rt_sim *s)
{
    struct rt_sample point = {
        .time_ns = s->totals.now_ns, .in_flight = (double)s->in_flight, .replica = RT_NO_REPLICA};
    for (uint32_t i = 0; i < rt_fleet_replicas(s->fleet); i++) {
        struct rt_replica_gauges g =
            rt_replica_gauges(rt_fleet_replica(s->fleet, i), s->totals.now_ns);
        point.running += (double)g.running;
        point.waiting += (double)g.waiting;
        point.kv_blocks_used += (double)g.kv_blocks_used;
    }
    if (s->capacity)
        point.waiting += (double)capacity_totals(s->capacity).held;
    sampler_add(&s->sampler, &point);
    if (s->totals.now_ns < INT64_MAX - s->sampler.interval_ns)
        post(s, s->sample_item, s->totals.now_ns + s->sampler.interval_ns, EVENT_TIMER);
    else
        rt_heap_remove(&s->events, s->sample_item);
}

static bool schedule(struct rt_sim *s, uint32_t i, struct rt_err *err)
{
    if (!rt_replica_schedule(rt_fleet_replica(s->fleet, i), s->totals.now_ns, err))
        return false;
    post_replica(s, i);
    if (s->relay)
        relay_touch(s->relay, i);
    return true;
}

static bool schedule_dirty(struct rt_sim *s, struct rt_err *err)
{
    for (uint32_t d = 0; d < s->dirty_count; d++) {
        s->is_dirty[s->dirty[d]] = false;
        if (!schedule(s, s->dirty[d], err))
            return false;
    }
    s->dirty_count = 0;
    if (!s->relay)
        return true;
    bool ok = relay_send(s->relay, s->totals.now_ns, err);
    post_relay(s);
    return ok;
}

static void advance_clock(struct rt_sim *s, int64_t now_ns)
{
    s->totals.in_flight_area += (rt_u128)s->in_flight * (rt_u128)(now_ns - s->totals.now_ns);
    s->totals.now_ns = now_ns;
}

/* Replica i is next and nothing else happens at this instant: its steps follow each other, without
 * going through the heap, until something else comes first. A request that leaves may make the
 * source due at this very instant; then the next batch waits for its arrivals. */
static bool run_alone(struct rt_sim *s, uint32_t i, struct rt_finished_list *out,
                      struct rt_err *err)
{
    struct rt_replica *r = rt_fleet_replica(s->fleet, i);
    int64_t until_ns = rt_heap_second_time(&s->events);
    for (int n = 0;; n++) {
        if (!end_step(s, i, out, err))
            return false;
        if (s->source_due) {
            rt_heap_remove(&s->events, i);
            mark_dirty(s, i);
            return true;
        }
        if (!rt_replica_schedule(r, s->totals.now_ns, err))
            return false;
        int64_t next_ns = rt_replica_next_ns(r);
        if (next_ns >= until_ns || n == STEPS_ALONE)
            break;
        advance_clock(s, next_ns);
        s->totals.events++;
    }
    post_replica(s, i);
    return true;
}

static bool handle(struct rt_sim *s, uint32_t item, struct rt_finished_list *out,
                   struct rt_err *err)
{
    s->totals.events++;
    if (item == s->arrival_item)
        return pull_arrivals(s, out, err);
    if (item == s->sample_item) {
        take_sample(s);
        return true;
    }
    if (item == s->patience_item)
        return give_up(s, out, err);
    if (item == s->report_item) {
        report(s);
        return true;
    }
    if (item == s->relay_item)
        return hand_over(s, out, err);
    if (item == s->capacity_item)
        return change_fleet(s, out, err);
    /* a fleet that changes may have to be looked after whenever a request leaves */
    if (!s->relay && !s->capacity && s->dirty_count == 0 &&
        rt_heap_second_time(&s->events) > s->totals.now_ns)
        return run_alone(s, item, out, err);
    if (!end_step(s, item, out, err))
        return false;
    rt_heap_remove(&s->events, item);
    mark_dirty(s, item);
    return true;
}

/* The replicas whose turn comes next are on their way from memory while others have theirs. */
static void look_ahead(const struct rt_sim *s)
{
    const struct rt_heap_node *next = rt_heap_top(&s->events);
    const struct rt_heap_node *later = rt_heap_second(&s->events);
    if (later && later->item < s->arrival_item)
        rt_replica_prefetch(rt_fleet_replica(s->fleet, later->item));
    if (next && next->item < s->arrival_item)
        rt_replica_prefetch_more(rt_fleet_replica(s->fleet, next->item));
    else if (next && next->item == s->arrival_item)
        rt_fleet_prefetch(s->fleet);
}

static bool all_served(const struct rt_sim *s)
{
    return s->source_ended && s->in_flight == 0;
}

enum rt_sim_answer rt_sim_next(struct rt_sim *s, size_t rows, struct rt_finished_list *out,
                               struct rt_err *err)
{
    for (int n = 0; n < EVENTS_A_CALL && out->count < rows; n++) {
        if (s->steps && s->steps->count >= STEPS_A_CALL)
            return RT_SIM_MORE;
        if (all_served(s))
            return RT_SIM_DONE;
        const struct rt_heap_node *top = rt_heap_top(&s->events);
        assert(top && top->time >= s->totals.now_ns);
        advance_clock(s, top->time);
        if (!handle(s, top->item, out, err))
            return RT_SIM_ERROR;
        top = rt_heap_top(&s->events);
        if ((!top || top->time > s->totals.now_ns) && !schedule_dirty(s, err))
            return RT_SIM_ERROR;
        if (s->arrival_item > RT_MANY_REPLICAS)
            look_ahead(s);
    }
    return RT_SIM_MORE;
}

bool rt_sim_abort(struct rt_sim *s, struct rt_finished_list *out, struct rt_err *err)
{
    size_t before = out->count;
    for (uint32_t i = 0; i < rt_fleet_replicas(s->fleet); i++)
        if (!rt_replica_abort(rt_fleet_replica(s->fleet, i), s->totals.now_ns, out, err))
            return false;
    if (s->relay && !relay_abort(s->relay, out, before, err))
        return false;
    if (s->capacity && !capacity_abort(s->capacity, s->totals.now_ns, out, err))
        return false;
    for (size_t row = before; row < out->count; row++)
        note_done(s, &out->rows[row]);
    s->totals.unfinished += out->count - before;
    s->in_flight = 0;
    return true;
}

struct rt_sim_totals rt_sim_totals(const struct rt_sim *s)
{
    struct rt_sim_totals totals = s->totals;
    for (uint32_t i = 0; i < rt_fleet_replicas(s->fleet); i++)
        totals.steps += rt_replica_steps(rt_fleet_replica(s->fleet, i));
    if (s->capacity) {
        totals.retries = capacity_totals(s->capacity).retries;
        totals.lost_tokens = capacity_totals(s->capacity).lost_tokens;
    }
    return totals;
}

const struct rt_sample *rt_sim_samples(const struct rt_sim *s, size_t *count)
{
    *count = s->sampler.count;
    return s->sampler.points;
}

const struct rt_token_stats *rt_sim_token_stats(const struct rt_sim *s)
{
    return &s->tokens;
}

struct rt_supply *rt_sim_supply(const struct rt_sim *s)
{
    return s->capacity ? capacity_supply(s->capacity) : NULL;
}

const struct rt_fleet *rt_sim_fleet(const struct rt_sim *s)
{
    return s->fleet;
}

struct rt_source *rt_sim_source(const struct rt_sim *s)
{
    return s->source;
}
