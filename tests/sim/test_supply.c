/* What must hold of every fleet that comes and goes: random pools with every scaling policy and one
 * that only this test knows, crashes, outages, spot machines, maintenance, drain limits, every kind
 * of retry, clients that leave. Each case is run three times, coasting, step by step, and with step
 * records: the same rows, events and bills. Then they are audited:
 *   - every request has one row; who failed lost its replica, or found nobody who takes it;
 *   - tokens of the rows, with those whose answer was begun anew, are those the replicas gave, gap
 *     by gap; retries of the rows are those counted;
 *   - Little's area is the sum of the stays;
 *   - a replica's states follow each other, it has requests only while it serves, within its seats
 *     and blocks, and is paid for while it is not off; no pool has more than its slots.
 *
 * Seeds are printed; RT_SEED=n RT_CASES=1 repeats one case. */
#include "array_source.h"
#include "rooftrace/engine.h"
#include "rooftrace/fleet.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/queue_order.h"
#include "rooftrace/replica.h"
#include "rooftrace/rng.h"
#include "rooftrace/scaler.h"
#include "rooftrace/sim.h"
#include "rooftrace/step_list.h"
#include "rooftrace/supply.h"
#include "rooftrace/supply_spec.h"
#include "sim_trial.h"
#include "support/seeds.h"
#include "support/test.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CASES 400
#define MAX_REQUESTS  120u
#define MAX_SLOTS     24u
#define HASHES        12u

struct outcome {
    struct rt_finished rows[MAX_REQUESTS];
    int64_t left_ns[MAX_REQUESTS];
    struct rt_sim_totals totals;
    uint64_t gaps;
    int64_t longest_gap, given;
    struct rt_supply_event *events;
    struct rt_supply_span *spans;
    size_t event_count, span_count;
};

struct trial {
    uint64_t seed;
    struct rt_scenario scenario;
    struct rt_request requests[MAX_REQUESTS];
    uint64_t hashes[MAX_REQUESTS][HASHES];
    struct array_load load;
    bool patient; /* no client leaves */
};

/* ---- a policy of this test ------------------------------------------------------------------- */

struct dice {
    uint64_t thrown;
};

static int64_t throw_dice(void *state, const double *params, const struct rt_scaler_view *view)
{
    struct dice *d = state;
    (void)params;
    assert_true(view->ready <= view->current && view->requests >= 0 && view->held >= 0);
    assert_true(view->busy_share >= 0 && view->busy_share <= 1 + 1e-9);
    assert_true(view->kv_share >= 0 && view->kv_share <= 1);
    d->thrown = (d->thrown * 2862933555777941757u + 3037000493u + view->arrivals) >> 1;
    return (int64_t)(d->thrown >> 7) % 7 - 1; /* limits are not its business */
}

static const struct rt_scaler_policy dice = {
    .name = "dice",
    .help = "any number",
    .params = 1u << RT_SCALER_INTERVAL | 1u << RT_SCALER_UP_WINDOW | 1u << RT_SCALER_DOWN_WINDOW,
    .ticks = true,
    .state_bytes = sizeof(struct dice),
    .wanted = throw_dice,
};

/* ---- drawing --------------------------------------------------------------------------------- */

static double tenths(struct rt_rng *r, int64_t low, int64_t high)
{
    return 0.1 * (double)pick(r, low, high) + 0.0137 * (double)pick(r, 0, 3);
}

/* policy: rt_scaler_count() is the dice. */
static void draw_scaling(struct rt_rng *r, unsigned policy, int64_t slots, char *text, size_t size)
{
    static const char *const targets[] = {
        [2] = "\"target_requests\": 3", [3] = "\"target_share\": 0.6",
        [4] = "\"target_share\": 0.3",  [5] = "\"requests_per_s\": 12, \"season_s\": 1.5",
        [6] = "\"target_requests\": 1",
    };
    const char *name = policy < rt_scaler_count() ? rt_scaler_at(policy)->name : "queue_depth";
    if (policy < 2) {
        snprintf(text, size, ", \"scaling\": {\"policy\": \"%s\", \"max_replicas\": %d%s}", name,
                 (int)slots,
                 policy == 0
                     ? ""
                     : ", \"period_s\": 2, \"steps\": [{\"at_s\": 0.3, \"replicas\": 1},"
                       " {\"at_s\": 0.9, \"replicas\": 0}, {\"at_s\": 1.2, \"replicas\": 1}]");
        return;
    }
    snprintf(text, size,
             ", \"scaling\": {\"policy\": \"%s\", \"min_replicas\": %d, \"max_replicas\": %d,"
             " \"interval_s\": %g, \"scale_down_window_s\": %g, \"scale_up_window_s\": %g, %s}",
             name, (int)pick(r, 0, 1), (int)slots, tenths(r, 1, 4), tenths(r, 0, 9),
             rt_rng_below(r, 3) ? 0 : tenths(r, 1, 3), targets[policy]);
}

static void draw_failures(struct rt_rng *r, int64_t slots, char *text, size_t size)
{
    size_t used =
        (size_t)snprintf(text, size, ", \"failures\": {\"down\": %d", rt_rng_below(r, 6) ? 0 : 1);
    if (rt_rng_below(r, 2))
        used += (size_t)snprintf(text + used, size - used,
                                 ", \"time_to_crash\": {\"mean_s\": %g, \"weibull_shape\": %g},"
                                 " \"time_to_repair\": {\"mean_s\": %g}",
                                 tenths(r, 7, 30), tenths(r, 6, 20), tenths(r, 1, 8));
    if (rt_rng_below(r, 3) == 0)
        used += (size_t)snprintf(text + used, size - used,
                                 ", \"spot\": {\"mean_s\": %g, \"notice_s\": %g, \"back_s\": %g}",
                                 tenths(r, 7, 30), rt_rng_below(r, 4) ? tenths(r, 1, 5) : 0,
                                 tenths(r, 1, 9));
    if (rt_rng_below(r, 3) == 0)
        used += (size_t)snprintf(text + used, size - used,
                                 ", \"maintenance\": {\"start_s\": %g, \"down_s\": %g, \"at_once\":"
                                 " %d, \"every_s\": 2}",
                                 tenths(r, 0, 9), tenths(r, 1, 4), (int)pick(r, 1, 2));
    if (rt_rng_below(r, 2))
        used += (size_t)snprintf(
            text + used, size - used,
            ", \"outages\": [{\"at_s\": %g, \"replica\": %d, \"for_s\": %g, \"notice_s\": %g},"
            " {\"at_s\": %s, \"replica\": %d}]",
            tenths(r, 12, 20), (int)pick(r, 0, slots - 1), tenths(r, 1, 9), tenths(r, 0, 3),
            rt_rng_below(r, 2) ? "3.2" : "0.6, \"for_s\": 0.2", (int)pick(r, 0, slots - 1));
    snprintf(text + used, size - used, "}");
}

static void draw_pool(struct rt_rng *r, unsigned p, unsigned policy, int64_t block, char *text,
                      size_t size)
{
    char scaling[500] = "", failures[900] = "";
    int64_t replicas = pick(r, 1, 4), slots = policy < UINT32_MAX ? pick(r, replicas, 6) : replicas;
    bool chunked = rt_rng_below(r, 3) > 0, async = chunked && rt_rng_below(r, 2);
    bool cache = chunked && rt_rng_below(r, 2), swap = !cache && rt_rng_below(r, 3) == 0;
    bool split = rt_rng_below(r, 4) == 0;
    const char *name =
        chunked ? "chunked" : rt_policy_name((unsigned)rt_rng_below(r, rt_policy_count()));
    bool plain = strcmp(name, "chunked") == 0;
    bool drafts = !cache && !swap && rt_rng_below(r, 4) == 0 &&
                  (plain || strcmp(name, "static") == 0 || strcmp(name, "continuous") == 0);
    const char *order = rt_queue_order_name((unsigned)rt_rng_below(r, rt_queue_order_count()));
    if (policy < UINT32_MAX)
        draw_scaling(r, policy, slots, scaling, sizeof scaling);
    if (rt_rng_below(r, 4))
        draw_failures(r, slots, failures, sizeof failures);
    snprintf(text, size,
             "%s{\"name\": \"p%u\", \"gpu\": \"rtx-4090\", \"replicas\": %d%s%s, \"startup\":"
             " {\"provision_s\": %g, \"load_s\": %g}%s, \"pipeline_parallel\": %d,"
             " \"data_parallel\": %d, \"engine\": {\"policy\": \"%s\", \"async_scheduling\": %s,"
             " \"prefix_caching\": %s, \"preemption\": \"%s\", \"num_cpu_blocks\": 40,"
             " \"queue_order\": \"%s\", \"max_num_seqs\": %d, \"max_num_batched_tokens\": %d, "
             "\"chunk_tokens\": 16,"
             " \"block_size\": %d, \"num_gpu_blocks\": %d%s}}",
             p > 0 ? ", " : "", p, (int)replicas, scaling, failures,
             rt_rng_below(r, 2) ? tenths(r, 0, 2) : 0, rt_rng_below(r, 3) ? tenths(r, 0, 3) : 0,
             rt_rng_below(r, 3) ? "" : ", \"drain_timeout_s\": 0.15",
             split ? (int)pick(r, 1, 2) : 1, split ? (int)pick(r, 1, 2) : 1, name,
             plain && async ? "true" : "false", plain && cache ? "true" : "false",
             swap ? "swap" : "recompute", rt_rng_below(r, 2) ? "fcfs" : order, (int)pick(r, 1, 8),
             (int)pick(r, 80, 140), (int)block, (int)pick(r, 15, 80),
             drafts ? ", \"speculative\": {\"draft_tokens\": 3, \"acceptance\": 0.6}" : "");
}

static void draw_scenario(struct trial *t, struct rt_rng *r)
{
    static const char *const modes[] = {"resume", "resume", "restart", "fail"};
    char pools[4000] = "", patience[200] = "", text[5000];
    unsigned policies = rt_scaler_count() + 1, count = (unsigned)pick(r, 1, 2);
    int64_t block = pick(r, 1, 9);
    bool ours[2] = {false, false};
    for (unsigned p = 0; p < count; p++) {
        unsigned policy = (unsigned)rt_rng_below(r, policies + 1);
        bool scales = policy < policies;
        ours[p] = policy == rt_scaler_count();
        draw_pool(r, p, scales ? policy : UINT32_MAX, block, pools + strlen(pools),
                  sizeof pools - strlen(pools));
    }
    t->patient = rt_rng_below(r, 2);
    if (!t->patient)
        snprintf(patience, sizeof patience,
                 "\"timeout_s\": %g, \"cancel\": {\"share\": 0.3, \"mean_s\": 0.5},",
                 tenths(r, 5, 40));
    snprintf(
        text, sizeof text,
        "{\"workload\": {\"trace\": \"none\"}, \"model\": \"llama-3.1-8b\", \"cost\":"
        " {\"kind\": \"linear\", \"coefficients_s\": [0.005, 2e-05, 4e-08, 5e-10, 6e-06]},"
        " \"seed\": %d, %s \"retry\": {\"mode\": \"%s\", \"max_retries\": %d, \"delay_s\": %g},"
        " \"sample_interval_s\": 0.05, \"pools\": [%s]}",
        (int)(t->seed % 100000), patience, modes[rt_rng_below(r, 4)], (int)pick(r, 0, 4),
        rt_rng_below(r, 2) ? 0 : tenths(r, 0, 2), pools);
    scenario_from_text(text, &t->scenario);
    for (unsigned p = 0; p < count; p++)
        if (ours[p])
            t->scenario.fleet.pools[p].supply->scaling.policy = &dice;
    t->scenario.fleet.router = rt_router_at((unsigned)rt_rng_below(r, rt_router_count()));
    t->load.hash_block_tokens = (uint32_t)block;
}

static void draw_requests(struct trial *t, struct rt_rng *r)
{
    int64_t at = 0, gap = pick(r, 1, 60) * 1000000;
    t->load.count = (size_t)pick(r, 1, MAX_REQUESTS);
    t->load.requests = t->requests;
    for (size_t i = 0; i < t->load.count; i++) {
        uint64_t family = rt_rng_below(r, 4), shared = rt_rng_below(r, HASHES);
        struct rt_request *q = &t->requests[i];
        at += rt_rng_below(r, 4) ? pick(r, 0, 2 * gap) : rt_rng_below(r, 9) ? 0 : 700000000;
        *q = (struct rt_request){.id = i,
                                 .arrival_ns = at,
                                 .prompt_tokens = pick(r, 1, 60),
                                 .output_tokens = pick(r, 1, 50),
                                 .deadline_ns = RT_NO_DEADLINE,
                                 .session = i % 3 ? "some" : NULL,
                                 .think_ns = -1};
        q->hash_count = (uint32_t)(q->prompt_tokens / (int64_t)t->load.hash_block_tokens);
        q->hash_count = q->hash_count < HASHES ? q->hash_count : HASHES;
        for (uint64_t h = 0; h < HASHES; h++)
            t->hashes[i][h] = h < shared ? 100 * family + h : 1000 + 100 * (uint64_t)i + h;
        q->hash_ids = t->hashes[i];
    }
}

/* ---- running --------------------------------------------------------------------------------- */

/* They follow each other; the last one may be where it waited until it left. */
static void check_losses(const struct trial *t, const struct rt_finished *row, int64_t now_ns)
{
    int64_t since_ns = row->arrival_ns;
    CHECK(t, row->left_ns == (row->status == RT_STATUS_OK ? row->finish_ns : now_ns), "left");
    CHECK(t, (row->losses != NULL) == (row->retries > 0), "%u retries", row->retries);
    for (unsigned n = 0; n < row->retries; n++) {
        const struct rt_loss *loss = &row->losses[n];
        CHECK(t, loss->lost_ns >= since_ns && loss->lost_ns <= now_ns, "loss %u", n);
        CHECK(t, loss->replica < MAX_SLOTS, "loss %u", n);
        if (n + 1u < row->retries || row->status == RT_STATUS_OK)
            CHECK(t, loss->sent_ns != RT_NEVER, "loss %u", n);
        if (loss->sent_ns != RT_NEVER)
            CHECK(t, loss->sent_ns >= loss->lost_ns && loss->sent_ns <= now_ns, "loss %u", n);
        since_ns = loss->sent_ns;
    }
}

static void keep(const struct trial *t, struct outcome *out, const struct rt_finished_list *rows,
                 int64_t now_ns)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct rt_finished *row = &out->rows[rows->rows[i].id];
        const char *session = t->requests[rows->rows[i].id].session;
        CHECK(t, row->prompt_tokens == 0, "request %zu left twice", (size_t)rows->rows[i].id);
        *row = rows->rows[i];
        CHECK(t, session ? strcmp(row->session, session) == 0 : !row->session, "its session");
        row->session = NULL;
        check_losses(t, row, now_ns);
        row->losses = NULL;
        out->left_ns[row->id] = now_ns;
    }
}

static void *copy_of(const void *from, size_t bytes)
{
    void *to = malloc(bytes + 1);
    assert_non_null(to);
    if (bytes > 0)
        memcpy(to, from, bytes);
    return to;
}

static void keep_supply(struct outcome *out, const struct rt_sim *sim)
{
    struct rt_supply *supply = rt_sim_supply(sim);
    if (!supply)
        return;
    const struct rt_supply_event *events = rt_supply_events(supply, &out->event_count);
    out->events = copy_of(events, out->event_count * sizeof events[0]);
    const struct rt_supply_span *spans =
        rt_supply_spans(supply, out->totals.now_ns, &out->span_count);
    out->spans = copy_of(spans, out->span_count * sizeof spans[0]);
}

/* Limits are kept, and what does not serve has nothing. */
static void look(const struct trial *t, const struct rt_sim *sim)
{
    const struct rt_fleet *fleet = rt_sim_fleet(sim);
    for (uint32_t i = 0; i < rt_fleet_replicas(fleet); i++) {
        const struct rt_pool_spec *pool = &t->scenario.fleet.pools[rt_fleet_pool_of(fleet, i)];
        int64_t ranks = pool->parallel.data;
        struct rt_replica_gauges g =
            rt_replica_gauges(rt_fleet_replica(fleet, i), rt_sim_totals(sim).now_ns);
        CHECK(t, g.running >= 0 && g.running <= ranks * pool->engine.max_num_seqs, "seats of %u",
              i);
        CHECK(t, g.kv_blocks_used >= 0 && g.kv_blocks_used <= ranks * pool->engine.num_gpu_blocks,
              "KV of %u", i);
        CHECK(t, g.waiting >= 0, "a negative queue");
        CHECK(t, rt_fleet_state(fleet, i) != RT_REPLICA_DOWN || g.running + g.waiting == 0,
              "replica %u does not serve and has requests", i);
    }
}

static void run(struct trial *t, bool coast, bool steps, struct outcome *out)
{
    struct rt_finished_list rows;
    struct rt_step_list records = {0};
    struct rt_err err = {0};
    struct rt_sim *sim = NULL;
    enum rt_sim_answer answer;
    memset(out, 0, sizeof *out);
    t->scenario.coast = coast;
    assert_ok(rt_sim_new(&t->scenario, array_source_new(&t->load), &sim, &err), &err);
    rt_finished_list_init(&rows);
    if (steps)
        rt_sim_record_steps(sim, &records);
    do {
        answer = rt_sim_next(sim, 1, &rows, &err);
        CHECK(t, answer != RT_SIM_ERROR, "%s", err.msg);
        keep(t, out, &rows, rt_sim_totals(sim).now_ns);
        if (!coast) /* looking commits what was planned: the coasting run is left alone */
            look(t, sim);
        rt_finished_list_reset(&rows);
        rt_step_list_reset(&records);
    } while (answer == RT_SIM_MORE);
    out->totals = rt_sim_totals(sim);
    out->gaps = rt_sim_token_stats(sim)->itl.count;
    out->longest_gap = out->gaps > 0 ? rt_sim_token_stats(sim)->itl.max : RT_NEVER;
    for (uint32_t i = 0; i < rt_fleet_replicas(rt_sim_fleet(sim)); i++)
        out->given += rt_replica_totals(rt_fleet_replica(rt_sim_fleet(sim), i))->output_tokens;
    keep_supply(out, sim);
    rt_finished_list_release(&rows);
    rt_step_list_release(&records);
    rt_sim_free(sim);
}

static void release(struct outcome *out)
{
    free(out->events);
    free(out->spans);
}

static bool same_event(const struct rt_supply_event *a, const struct rt_supply_event *b)
{
    return a->time_ns == b->time_ns && a->replica == b->replica && a->from == b->from &&
           a->to == b->to && a->why == b->why;
}

static void same(const struct trial *t, const struct outcome *a, const struct outcome *b)
{
    for (size_t i = 0; i < t->load.count; i++)
        CHECK(t, same_numbers(&a->rows[i], &b->rows[i]), "request %zu differs", i);
    CHECK(t, a->gaps == b->gaps && a->given == b->given, "other tokens");
    CHECK(t, a->totals.steps == b->totals.steps, "other steps");
    CHECK(t, a->totals.in_flight_area == b->totals.in_flight_area, "another area");
    CHECK(t, a->event_count == b->event_count && a->span_count == b->span_count, "other events");
    for (size_t e = 0; e < a->event_count; e++)
        CHECK(t, same_event(&a->events[e], &b->events[e]), "event %zu differs", e);
}

/* ---- auditing: requests ---------------------------------------------------------------------- */

static void check_row(const struct trial *t, const struct rt_finished *row, int64_t left_ns)
{
    const struct rt_request *q = &t->requests[row->id];
    const struct rt_retry_spec *retry = &t->scenario.fleet.retry;
    bool ok = row->status == RT_STATUS_OK;
    CHECK(t, row->arrival_ns == q->arrival_ns && row->prompt_tokens == q->prompt_tokens, "mixed");
    CHECK(t, ok == (row->finish_ns != RT_NEVER), "finish");
    CHECK(t, ok == (row->produced_tokens == row->output_tokens), "%lld tokens",
          (long long)row->produced_tokens);
    CHECK(t, (row->produced_tokens > 0) == (row->first_token_ns != RT_NEVER), "first token");
    CHECK(t, row->retries <= (retry->mode == RT_RETRY_FAIL ? 0 : retry->max_retries), "retries");
    CHECK(t, row->scheduled_ns == RT_NEVER || row->scheduled_ns >= row->arrival_ns, "scheduled");
    CHECK(t, row->scheduled_ns <= left_ns && row->first_token_ns <= left_ns, "times");
    CHECK(t, row->preempted_ns >= 0 && row->preempted_ns <= left_ns - row->arrival_ns, "away");
    CHECK(t, row->preempted_ns == 0 || row->preemptions + row->retries > 0, "never away");
    if (row->status == RT_STATUS_FAILED)
        CHECK(t,
              row->reason == RT_REASON_CRASH
                  ? retry->mode == RT_RETRY_FAIL || row->retries == retry->max_retries
                  : row->retries > 0,
              "why it failed");
    if (row->status == RT_STATUS_REJECTED)
        CHECK(t, row->reason != RT_REASON_CRASH && row->retries == 0, "rejected");
}

static void check_tokens(const struct trial *t, const struct outcome *out)
{
    int64_t produced = out->totals.lost_tokens, longest = RT_NEVER;
    uint64_t gaps = 0, retries = 0;
    for (size_t i = 0; i < t->load.count; i++) {
        const struct rt_finished *row = &out->rows[i];
        produced += row->produced_tokens;
        gaps += row->produced_tokens > 1 ? (uint64_t)row->produced_tokens - 1 : 0;
        longest = row->max_itl_ns > longest ? row->max_itl_ns : longest;
        retries += row->retries;
    }
    CHECK(t, produced == out->given, "%lld tokens in rows, %lld given", (long long)produced,
          (long long)out->given);
    CHECK(t, retries == out->totals.retries, "retries");
    if (out->totals.lost_tokens > 0)
        return; /* gaps of answers begun anew are in no row */
    CHECK(t, gaps == out->gaps, "%llu gaps, rows have %llu", (unsigned long long)out->gaps,
          (unsigned long long)gaps);
    if (t->patient) /* who leaves has no word on its longest gap */
        CHECK(t, longest == out->longest_gap, "longest gap %lld, rows %lld",
              (long long)out->longest_gap, (long long)longest);
}

static void check_requests(const struct trial *t, const struct outcome *out, uint64_t *by_status)
{
    uint64_t seen[RT_STATUS_COUNT] = {0};
    rt_u128 stays = 0;
    for (size_t i = 0; i < t->load.count; i++) {
        const struct rt_finished *row = &out->rows[i];
        CHECK(t, row->prompt_tokens > 0, "request %zu never left", i);
        check_row(t, row, out->left_ns[i]);
        seen[row->status]++;
        by_status[row->status]++;
        int64_t left = row->status == RT_STATUS_OK ? row->finish_ns : out->left_ns[i];
        rt_u128 stay = (rt_u128)(left - row->arrival_ns);
        stays = stays + stay;
    }
    CHECK(t, out->totals.arrived == t->load.count, "arrived");
    CHECK(t, out->totals.finished == seen[RT_STATUS_OK], "finished");
    CHECK(t, out->totals.rejected == seen[RT_STATUS_REJECTED], "rejected");
    CHECK(t, out->totals.failed == seen[RT_STATUS_FAILED], "failed");
    CHECK(t, out->totals.timed_out == seen[RT_STATUS_TIMEOUT], "timed out");
    CHECK(t, out->totals.cancelled == seen[RT_STATUS_CANCELLED], "cancelled");
    CHECK(t, out->totals.in_flight_area == stays, "Little's area is not the sum of the stays");
}

/* ---- auditing: replicas ---------------------------------------------------------------------- */

static bool serves(uint8_t state)
{
    return state == RT_SLOT_READY || state == RT_SLOT_DRAINING;
}

/* Did the replica serve at some moment of that instant? What ends then ended before it stopped. */
static bool served_at(const struct outcome *out, uint32_t replica, int64_t at_ns)
{
    uint8_t state = RT_SLOT_OFF;
    for (size_t e = 0; e < out->event_count && out->events[e].time_ns <= at_ns; e++) {
        const struct rt_supply_event *event = &out->events[e];
        if (event->replica != replica)
            continue;
        if (event->time_ns == at_ns && serves(event->from))
            return true;
        state = event->to;
    }
    return serves(state);
}

static int64_t paid_by_events(const struct outcome *out, uint32_t replica, int64_t end_ns)
{
    int64_t paid = 0, from = 0;
    uint8_t state = RT_SLOT_OFF;
    for (size_t e = 0; e < out->event_count; e++) {
        const struct rt_supply_event *event = &out->events[e];
        if (event->replica != replica)
            continue;
        if (event->from == RT_SLOT_OFF)
            from = event->time_ns;
        if (event->to == RT_SLOT_OFF)
            paid += event->time_ns - from;
        state = event->to;
    }
    return paid + (state == RT_SLOT_OFF ? 0 : end_ns - from);
}

static void check_supply(const struct trial *t, const struct outcome *out)
{
    uint8_t state[MAX_SLOTS] = {RT_SLOT_OFF};
    int64_t paid[MAX_SLOTS] = {0};
    if (!out->events)
        return;
    for (size_t e = 0; e < out->event_count; e++) {
        const struct rt_supply_event *event = &out->events[e];
        CHECK(t, event->replica < MAX_SLOTS && event->from == state[event->replica], "event %zu",
              e);
        CHECK(t, event->from != event->to, "event %zu changes nothing", e);
        CHECK(t, e == 0 || event->time_ns >= out->events[e - 1].time_ns, "event %zu", e);
        CHECK(t, event->to != RT_SLOT_DRAINING || event->from == RT_SLOT_READY, "event %zu", e);
        state[event->replica] = event->to;
    }
    for (size_t n = 0; n < out->span_count; n++) {
        CHECK(t, out->spans[n].from_ns <= out->spans[n].to_ns, "span %zu", n);
        paid[out->spans[n].replica] += out->spans[n].to_ns - out->spans[n].from_ns;
    }
    for (uint32_t i = 0; i < MAX_SLOTS; i++)
        CHECK(t, paid[i] == paid_by_events(out, i, out->totals.now_ns), "bill of replica %u", i);
    for (size_t i = 0; i < t->load.count; i++)
        CHECK(t,
              out->rows[i].status != RT_STATUS_OK ||
                  served_at(out, out->rows[i].replica, out->rows[i].finish_ns),
              "request %zu finished on replica %u, which did not serve", i, out->rows[i].replica);
}

/* ---- all of it ------------------------------------------------------------------------------- */

struct coverage {
    uint64_t by_status[RT_STATUS_COUNT], by_why[RT_SUPPLY_REASON_COUNT], retries, lost_tokens;
};

static void audit_case(uint64_t seed, struct coverage *seen)
{
    struct trial *t = calloc(1, sizeof *t);
    struct outcome *outs = calloc(3, sizeof *outs);
    struct rt_rng r;
    assert_true(t && outs);
    t->seed = seed;
    rt_rng_init(&r, seed, RT_RNG_TOOLS, 3);
    draw_scenario(t, &r);
    draw_requests(t, &r);
    run(t, true, false, &outs[0]);
    run(t, false, false, &outs[1]);
    run(t, true, true, &outs[2]);
    same(t, &outs[0], &outs[1]);
    same(t, &outs[0], &outs[2]);
    check_requests(t, &outs[0], seen->by_status);
    check_tokens(t, &outs[0]);
    check_supply(t, &outs[0]);
    for (size_t e = 0; e < outs[0].event_count; e++)
        seen->by_why[outs[0].events[e].why]++;
    seen->retries += outs[0].totals.retries;
    seen->lost_tokens += (uint64_t)outs[0].totals.lost_tokens;
    for (int i = 0; i < 3; i++)
        release(&outs[i]);
    rt_scenario_release(&t->scenario);
    free(outs);
    free(t);
}

static void every_fleet_obeys(void **state)
{
    uint64_t seed = setting("RT_SEED", 1), cases = setting("RT_CASES", DEFAULT_CASES);
    struct coverage seen = {0};
    (void)state;
    print_message("seeds %llu to %llu\n", (unsigned long long)seed,
                  (unsigned long long)(seed + cases - 1));
    for (uint64_t i = 0; i < cases; i++)
        audit_case(seed + i, &seen);
    for (unsigned i = 0; i < RT_STATUS_COUNT; i++)
        print_message("%s %llu, ", rt_status_names[i], (unsigned long long)seen.by_status[i]);
    print_message("%llu retries, %llu tokens lost\n", (unsigned long long)seen.retries,
                  (unsigned long long)seen.lost_tokens);
    for (unsigned i = 0; i < RT_SUPPLY_REASON_COUNT; i++)
        print_message("%s %llu, ", rt_supply_reason_names[i], (unsigned long long)seen.by_why[i]);
    print_message("\n");
    if (cases < DEFAULT_CASES)
        return;
    for (unsigned i = 0; i < RT_SUPPLY_REASON_COUNT; i++)
        assert_true(seen.by_why[i] > 20);
    for (unsigned i = 0; i < RT_STATUS_UNFINISHED; i++)
        assert_true(seen.by_status[i] > 100);
    assert_true(seen.retries > 1000 && seen.lost_tokens > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_fleet_obeys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
