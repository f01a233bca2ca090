/* The loop. One event a replica (when it next wants to be looked at), one for the next arrival, one
 * for the next sample; all in one heap ordered by (time, kind, id). At an instant step ends come
 * first, then hand-overs, timers, arrivals; replicas they touched are `dirty` and form their next
 * batch once nothing else happens at that instant. Which dirty replica goes first does not matter:
 * scheduling touches nothing but the replica itself. */
#include "rooftrace/kv_transfer.h"
#include "state_internal.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define STEPS_ALONE 64 /* of one replica, before the caller is looked after again */
#define EVENTS_A_CALL                                                                              \
    65536 /* a call of rt_sim_next ends after so many, so that callers stay awake */
#define STEPS_A_CALL                                                                               \
    16384 /* and after so many step records; its last event may add 256 for each replica */

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
    if (!sampler_init(&s->sampler, scenario->sample_interval_s, rt_fleet_pools(s->fleet)))
        return rt_fail_nomem(err, "samples");
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
    sampler_release(&s->sampler);
    rt_heap_release(&s->events);
    rt_source_free(s->source);
    free(s->dirty);
    free(s->is_dirty);
    free(s);
}

void post_report(struct rt_sim *s)
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

static void add_replica(struct rt_sample *point, const struct rt_replica_gauges *g, bool serves)
{
    point->running += (double)g->running;
    point->waiting += (double)g->waiting;
    point->kv_blocks_used += (double)g->kv_blocks_used;
    point->serving += serves;
}

static void take_sample(struct rt_sim *s)
{
    struct rt_sample *now = s->sampler.now;
    bool apart = s->sampler.series > 1;
    for (uint32_t n = 0; n < s->sampler.series; n++)
        now[n] =
            (struct rt_sample){.time_ns = s->totals.now_ns, .pool = n > 0 ? n - 1 : RT_ALL_POOLS};
    for (uint32_t i = 0; i < rt_fleet_replicas(s->fleet); i++) {
        struct rt_replica_gauges g =
            rt_replica_gauges(rt_fleet_replica(s->fleet, i), s->totals.now_ns);
        bool serves = rt_fleet_state(s->fleet, i) != RT_REPLICA_DOWN;
        add_replica(&now[0], &g, serves);
        if (apart)
            add_replica(&now[1 + rt_fleet_pool_of(s->fleet, i)], &g, serves);
    }
    for (uint32_t n = 1; n < s->sampler.series; n++)
        now[n].in_flight = now[n].running + now[n].waiting;
    now[0].in_flight = (double)s->in_flight;
    if (s->capacity)
        now[0].waiting += (double)capacity_totals(s->capacity).held;
    sampler_add(&s->sampler);
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
        if (!note_done(s, out, row, err))
            return false;
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

const struct rt_sample *rt_sim_pool_samples(const struct rt_sim *s, uint32_t pool, size_t *count)
{
    bool apart = s->sampler.series > 1;
    *count = apart ? s->sampler.count : 0;
    return apart ? sampler_points(&s->sampler, 1 + pool) : NULL;
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
