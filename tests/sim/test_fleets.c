/* What must hold on every fleet, whatever its routers, admission control and clients: random pools
 * of one or two models, every router and one that only this test knows, views that are current or
 * old, queue limits, token buckets, shedding, timeouts and cancellations. Every case is run three
 * times: coasting, step by step, and with step records, and the rows are the same. Then they are
 * audited:
 *   - every request has one row; what was turned away has the reason the rules give;
 *   - who leaves early leaves at its instant: with fewer tokens than it asked for, which are all
 *     that the replicas put out, gap by gap;
 *   - requests go to pools that serve the model they name;
 *   - seats, KV blocks and queues are within their limits;
 *   - Little's area is the sum of the stays.
 *
 * Seeds are printed; RT_SEED=n RT_CASES=1 repeats one case. */
#include "rooftrace/engine.h"
#include "rooftrace/fleet.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/queue_order.h"
#include "rooftrace/replica.h"
#include "rooftrace/rng.h"
#include "rooftrace/sim.h"
#include "rooftrace/step_list.h"
#include "sim_trial.h"
#include "support/seeds.h"
#include "support/test.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CASES 300
#define MAX_REQUESTS  160u
#define MAX_POOLS     3u
#define HASHES        12u

static const char *const names[] = {"",      "llama-3.1-8b", "LLAMA-3.2-1B", "llama-3.2-3b",
                                    "alias", "chat",         "batch"};
#define CHAT  5u
#define BATCH 6u

/* ---- a source with names --------------------------------------------------------------------- */

struct trial;

struct named_source {
    struct rt_source base;
    const struct trial *trial;
    size_t next;
    struct rt_source_stats stats;
};

struct outcome {
    struct rt_finished rows[MAX_REQUESTS]; /* by request */
    int64_t left_ns[MAX_REQUESTS];         /* the clock when its row came out, or after */
    struct rt_sim_totals totals;
    uint64_t gaps;
    int64_t produced, most_waiting;
};

struct trial {
    uint64_t seed;
    struct rt_scenario scenario;
    struct rt_request requests[MAX_REQUESTS];
    uint64_t hashes[MAX_REQUESTS][HASHES];
    char sessions[MAX_REQUESTS][8];
    size_t count;
    uint32_t hash_block;
    struct outcome out;
};

static enum rt_pull source_next(struct rt_source *base, int64_t now_ns, struct rt_request *out,
                                int64_t *not_before_ns, struct rt_err *err)
{
    struct named_source *s = (struct named_source *)base;
    (void)err;
    if (s->next == s->trial->count)
        return RT_PULL_END;
    *not_before_ns = s->trial->requests[s->next].arrival_ns;
    if (*not_before_ns > now_ns)
        return RT_PULL_LATER;
    *out = s->trial->requests[s->next++];
    return RT_PULL_REQUEST;
}

static const char *source_name(const struct rt_source *s, uint32_t name)
{
    (void)s;
    return names[name];
}

static const struct rt_source_stats *source_stats(const struct rt_source *s)
{
    return &((const struct named_source *)s)->stats;
}

static void source_free(struct rt_source *s)
{
    free(s);
}

static struct rt_source *source_new(const struct trial *t)
{
    static const struct rt_source_ops ops = {source_next, NULL, source_name, source_stats,
                                             source_free};
    struct named_source *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->base.ops = &ops;
    s->trial = t;
    s->stats.hash_block_tokens = t->hash_block;
    return &s->base;
}

/* ---- a router of this test ------------------------------------------------------------------- */

struct last_pick {
    uint32_t replica;
    bool *released;
};

static uint32_t pick_busiest(void *state, const struct rt_router_view *view,
                             const struct rt_request *req)
{
    struct last_pick *last = state;
    uint32_t best = rt_router_nth(view, 0);
    (void)req;
    for (uint32_t n = 1; n < view->ready; n++) {
        uint32_t i = rt_router_nth(view, n);
        if (view->replicas[i].kv_blocks_used > view->replicas[best].kv_blocks_used)
            best = i;
    }
    last->replica = best;
    return best;
}

static const struct rt_router_policy busiest = {
    .name = "busiest",
    .help = "the worst there is",
    .sees = RT_SEES_GAUGES,
    .state_bytes = sizeof(struct last_pick),
    .pick = pick_busiest,
};

static const struct rt_router_policy *router_at(unsigned i)
{
    return i < rt_router_count() ? rt_router_at(i) : &busiest;
}

/* ---- drawing --------------------------------------------------------------------------------- */

static void draw_pool(struct rt_rng *r, unsigned p, int64_t block, char *text, size_t size)
{
    bool chunked = rt_rng_below(r, 3) > 0, async = chunked && rt_rng_below(r, 2);
    bool cache = chunked && rt_rng_below(r, 2), swap = !cache && rt_rng_below(r, 3) == 0;
    const char *policy =
        chunked ? "chunked" : rt_policy_name((unsigned)rt_rng_below(r, rt_policy_count()));
    const char *order = rt_queue_order_name((unsigned)rt_rng_below(r, rt_queue_order_count()));
    bool drafts = !cache && !swap && rt_rng_below(r, 4) == 0 &&
                  (chunked || strcmp(policy, "static") == 0 || strcmp(policy, "continuous") == 0);
    bool plain = strcmp(policy, "chunked") == 0, split = rt_rng_below(r, 3) == 0;
    snprintf(text, size,
             "%s{\"name\": \"p%u\", \"gpu\": \"rtx-4090\", \"model\": \"%s\", \"replicas\": %d,%s%s"
             " \"pipeline_parallel\": %d, \"data_parallel\": %d, \"engine\": {\"policy\": \"%s\", "
             "\"async_scheduling\": %s, \"prefix_caching\": %s,"
             " \"preemption\": \"%s\", \"num_cpu_blocks\": 40, \"queue_order\": \"%s\","
             " \"aging_s\": 0.05, \"max_num_seqs\": %d, \"max_num_batched_tokens\": %d,"
             " \"chunk_tokens\": 16, \"block_size\": %d, \"num_gpu_blocks\": %d%s}}",
             p > 0 ? ", " : "", p, rt_rng_below(r, 2) ? "llama-3.1-8b" : "llama-3.2-1b",
             (int)pick(r, 1, 4), rt_rng_below(r, 5) ? "" : " \"served_models\": [\"alias\"],",
             rt_rng_below(r, 2) ? "" : " \"max_prompt_tokens\": 30,",
             split ? (int)pick(r, 1, 3) : 1, split ? (int)pick(r, 1, 3) : 1, policy,
             plain && async ? "true" : "false", plain && cache ? "true" : "false",
             swap ? "swap" : "recompute", rt_rng_below(r, 2) ? "fcfs" : order, (int)pick(r, 1, 8),
             (int)pick(r, 60, 120), (int)block, (int)pick(r, 6, 60),
             drafts ? ", \"speculative\": {\"draft_tokens\": 3, \"acceptance\": 0.6}" : "");
}

static void draw_scenario(struct trial *t, struct rt_rng *r)
{
    char pools[3000] = "", admission[160] = "", patience[200] = "", text[5000];
    int64_t block = pick(r, 1, 9);
    unsigned count = (unsigned)pick(r, 1, MAX_POOLS);
    for (unsigned p = 0; p < count; p++)
        draw_pool(r, p, block, pools + strlen(pools), sizeof pools - strlen(pools));
    if (rt_rng_below(r, 3) == 0)
        snprintf(admission, sizeof admission,
                 "\"requests_per_s\": %d, \"burst_requests\": %d,"
                 " \"prompt_tokens_per_s\": %d,",
                 (int)pick(r, 5, 60), (int)pick(r, 1, 20), (int)pick(r, 100, 2000));
    if (rt_rng_below(r, 3) == 0)
        snprintf(admission + strlen(admission), sizeof admission - strlen(admission),
                 "\"queue_limit\": %d,", (int)pick(r, 1, 6));
    if (rt_rng_below(r, 2))
        snprintf(patience, sizeof patience, "\"timeout_s\": %g, ", 0.01 * (double)pick(r, 1, 300));
    if (rt_rng_below(r, 2))
        snprintf(patience + strlen(patience), sizeof patience - strlen(patience),
                 "\"cancel\": {\"share\": 0.4, \"mean_s\": %g},", 0.01 * (double)pick(r, 1, 100));
    snprintf(text, sizeof text,
             "{\"workload\": {\"trace\": \"none\"}, \"cost\": {\"kind\": \"linear\","
             " \"coefficients_s\": [0.005, 2e-05, 4e-08, 5e-10, 6e-06]}, \"seed\": %d,"
             " \"router_view_interval_s\": %s, %s \"slo\": {\"ttft_s\": 0.2},"
             " \"classes\": [{\"name\": \"chat\", \"timeout_s\": 0.15}, {\"name\": \"batch\","
             " \"priority\": 3, \"deadline_s\": 9, \"slo\": {\"ttft_s\": 0.02}}],"
             " \"admission\": {%s \"shed_late\": %s}, \"pools\": [%s]}",
             (int)(t->seed % 100000), rt_rng_below(r, 2) ? "0" : "0.03", patience, admission,
             rt_rng_below(r, 4) ? "false" : "true", pools);
    scenario_from_text(text, &t->scenario);
    t->scenario.fleet.router = router_at((unsigned)rt_rng_below(r, rt_router_count() + 1));
    t->hash_block = (uint32_t)block;
}

static void draw_requests(struct trial *t, struct rt_rng *r)
{
    int64_t at = 0, gap = pick(r, 1, 40) * 1000000;
    t->count = (size_t)pick(r, 1, MAX_REQUESTS);
    for (size_t i = 0; i < t->count; i++) {
        uint64_t family = rt_rng_below(r, 4), shared = rt_rng_below(r, HASHES);
        struct rt_request *q = &t->requests[i];
        at += rt_rng_below(r, 4) ? pick(r, 0, 2 * gap) : 0;
        *q = (struct rt_request){.id = i,
                                 .arrival_ns = at,
                                 .prompt_tokens = pick(r, 1, 60),
                                 .output_tokens = pick(r, 1, 50),
                                 .model_name = (uint32_t)rt_rng_below(r, 5),
                                 .class_name = rt_rng_below(r, 2) ? 0 : (uint32_t)pick(r, 5, 6),
                                 .deadline_ns = RT_NO_DEADLINE,
                                 .think_ns = -1};
        q->hash_count = (uint32_t)(q->prompt_tokens / (int64_t)t->hash_block);
        q->hash_count = q->hash_count < HASHES ? q->hash_count : HASHES;
        for (uint64_t h = 0; h < HASHES; h++)
            t->hashes[i][h] = h < shared ? 100 * family + h : 1000 + 100 * (uint64_t)i + h;
        q->hash_ids = t->hashes[i];
        snprintf(t->sessions[i], sizeof t->sessions[i], "s%d", (int)pick(r, 0, 9));
        q->session = rt_rng_below(r, 2) ? t->sessions[i] : NULL;
    }
}

/* ---- running --------------------------------------------------------------------------------- */

static void keep(const struct trial *t, struct outcome *out, const struct rt_finished_list *rows,
                 int64_t now_ns)
{
    for (size_t i = 0; i < rows->count; i++) {
        struct rt_finished *row = &out->rows[rows->rows[i].id];
        CHECK(t, rows->rows[i].id < t->count, "an unknown request");
        CHECK(t, row->prompt_tokens == 0, "request %zu left twice", (size_t)rows->rows[i].id);
        *row = rows->rows[i];
        row->session = NULL; /* the list's */
        out->left_ns[row->id] = now_ns;
    }
}

static void look(const struct trial *t, struct outcome *out, const struct rt_sim *sim)
{
    const struct rt_fleet *fleet = rt_sim_fleet(sim);
    for (uint32_t i = 0; i < rt_fleet_replicas(fleet); i++) {
        const struct rt_engine_spec *e =
            &t->scenario.fleet.pools[rt_fleet_pool_of(fleet, i)].engine;
        int64_t ranks = t->scenario.fleet.pools[rt_fleet_pool_of(fleet, i)].parallel.data;
        struct rt_replica_gauges g =
            rt_replica_gauges(rt_fleet_replica(fleet, i), rt_sim_totals(sim).now_ns);
        CHECK(t, g.running >= 0 && g.running <= ranks * e->max_num_seqs, "seats of replica %u", i);
        CHECK(t, g.kv_blocks_used >= 0 && g.kv_blocks_used <= ranks * e->num_gpu_blocks, "KV of %u",
              i);
        CHECK(t, g.running > 0 || e->prefix_caching || g.kv_blocks_used == 0, "blocks of nobody");
        CHECK(t, g.waiting >= 0, "a negative queue");
        out->most_waiting = g.waiting > out->most_waiting ? g.waiting : out->most_waiting;
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
    assert_ok(rt_sim_new(&t->scenario, source_new(t), &sim, &err), &err);
    rt_finished_list_init(&rows);
    if (steps)
        rt_sim_record_steps(sim, &records);
    do {
        answer = rt_sim_next(sim, 1, &rows, &err);
        CHECK(t, answer != RT_SIM_ERROR, "%s", err.msg);
        keep(t, out, &rows, rt_sim_totals(sim).now_ns);
        if (!coast) /* looking commits what was planned: the coasting run is left alone */
            look(t, out, sim);
        rt_finished_list_reset(&rows);
        rt_step_list_reset(&records);
    } while (answer == RT_SIM_MORE);
    out->totals = rt_sim_totals(sim);
    out->gaps = rt_sim_token_stats(sim)->itl.count;
    for (uint32_t i = 0; i < rt_fleet_replicas(rt_sim_fleet(sim)); i++)
        out->produced += rt_replica_totals(rt_fleet_replica(rt_sim_fleet(sim), i))->output_tokens;
    rt_finished_list_release(&rows);
    rt_step_list_release(&records);
    rt_sim_free(sim);
}

static void same(const struct trial *t, const struct outcome *a, const struct outcome *b)
{
    for (size_t i = 0; i < t->count; i++)
        CHECK(t, same_numbers(&a->rows[i], &b->rows[i]) && a->rows[i].session == b->rows[i].session,
              "request %zu differs", i);
    CHECK(t, a->gaps == b->gaps && a->produced == b->produced, "other tokens");
    CHECK(t, a->totals.steps == b->totals.steps, "other steps");
    CHECK(t, a->totals.in_flight_area == b->totals.in_flight_area, "another area");
}

/* ---- auditing -------------------------------------------------------------------------------- */

static bool serves(const struct rt_pool_spec *p, const char *name)
{
    bool alias = p->served_count > 0 && strcmp(p->served_models[0], name) == 0;
    return alias || strcmp(p->model.name, name) == 0 ||
           (strcmp(name, "LLAMA-3.2-1B") == 0 && strcmp(p->model.name, "llama-3.2-1b") == 0);
}

/* Does the name matter, and is there a pool for it? */
static bool served_somewhere(const struct trial *t, const char *name)
{
    const struct rt_fleet_spec *f = &t->scenario.fleet;
    bool matters = false, found = false;
    for (uint32_t p = 0; p < f->pool_count; p++) {
        matters = matters || f->pools[p].served_count > 0 ||
                  strcmp(f->pools[p].model.name, f->pools[0].model.name) != 0;
        found = found || serves(&f->pools[p], name);
    }
    return name[0] == '\0' || !matters || found;
}

static void check_place(const struct trial *t, const struct rt_finished *row)
{
    const char *name = names[t->requests[row->id].model_name];
    bool somewhere = served_somewhere(t, name), any = false;
    CHECK(t, (row->reason == RT_REASON_MODEL) == !somewhere, "request %llu: model %s",
          (unsigned long long)row->id, name);
    for (uint32_t p = 0; p < t->scenario.fleet.pool_count; p++)
        any = any || serves(&t->scenario.fleet.pools[p], name);
    if (row->replica != RT_NO_REPLICA && any && name[0] != '\0') {
        bool other = false; /* names do not matter where all pools are alike */
        for (uint32_t p = 0; p < t->scenario.fleet.pool_count; p++)
            other = other || !serves(&t->scenario.fleet.pools[p], name);
        CHECK(t, !other || serves(&t->scenario.fleet.pools[row->pool], name), "wrong pool");
    }
}

static int64_t timeout_of(const struct trial *t, const struct rt_finished *row)
{
    double s = row->class_name == CHAT ? 0.15 : t->scenario.patience.timeout_s;
    return s > 0 ? row->arrival_ns + (int64_t)(s * 1e9 + 0.5) : INT64_MAX;
}

static void check_row(const struct trial *t, const struct rt_finished *row, int64_t left_ns)
{
    const struct rt_request *q = &t->requests[row->id];
    bool early = row->status == RT_STATUS_TIMEOUT || row->status == RT_STATUS_CANCELLED;
    int64_t limit = timeout_of(t, row);
    CHECK(t, row->arrival_ns == q->arrival_ns && row->prompt_tokens == q->prompt_tokens, "mixed");
    CHECK(t, early || row->status == RT_STATUS_OK || row->status == RT_STATUS_REJECTED, "status");
    CHECK(t, (row->status == RT_STATUS_REJECTED) == (row->reason != RT_REASON_NONE), "reason");
    CHECK(t, (row->finish_ns != RT_NEVER) == (row->status == RT_STATUS_OK), "finish");
    if (row->status == RT_STATUS_OK)
        CHECK(t, row->finish_ns <= limit, "request %llu is late", (unsigned long long)row->id);
    if (row->status == RT_STATUS_TIMEOUT)
        CHECK(t, left_ns >= limit && left_ns <= limit + 2, "left at %lld, its time is %lld",
              (long long)left_ns, (long long)limit);
    if (row->status == RT_STATUS_CANCELLED)
        CHECK(t, left_ns <= limit && t->scenario.patience.cancel_share > 0, "cancelled");
    if (early) {
        CHECK(t, row->produced_tokens >= 0 && row->produced_tokens < row->output_tokens, "tokens");
        CHECK(t, (row->produced_tokens > 0) == (row->first_token_ns != RT_NEVER), "first token");
        CHECK(t, row->scheduled_ns <= left_ns && row->first_token_ns <= left_ns, "times");
    }
    check_place(t, row);
}

static void audit(const struct trial *t, uint64_t *by_status)
{
    const struct outcome *out = &t->out;
    uint64_t seen[RT_STATUS_COUNT] = {0}, gaps = 0;
    int64_t produced = 0;
    rt_u128 stays = 0;
    for (size_t i = 0; i < t->count; i++) {
        const struct rt_finished *row = &out->rows[i];
        CHECK(t, row->prompt_tokens > 0, "request %zu never left", i);
        check_row(t, row, out->left_ns[i]);
        seen[row->status]++;
        by_status[row->status]++;
        produced += row->produced_tokens;
        gaps += row->produced_tokens > 1 ? (uint64_t)row->produced_tokens - 1 : 0;
        int64_t left = row->status == RT_STATUS_OK ? row->finish_ns : out->left_ns[i];
        rt_u128 stay = (rt_u128)(row->status == RT_STATUS_REJECTED ? 0 : left - row->arrival_ns);
        stays = stays + stay;
    }
    CHECK(t, out->totals.arrived == t->count, "arrived");
    CHECK(t, out->totals.finished == seen[RT_STATUS_OK], "finished");
    CHECK(t, out->totals.rejected == seen[RT_STATUS_REJECTED], "rejected");
    CHECK(t, out->totals.timed_out == seen[RT_STATUS_TIMEOUT], "timed out");
    CHECK(t, out->totals.cancelled == seen[RT_STATUS_CANCELLED], "cancelled");
    CHECK(t, out->produced == produced, "replicas put out %lld tokens, rows have %lld",
          (long long)out->produced, (long long)produced);
    CHECK(t, out->gaps == gaps, "%llu gaps, rows have %llu", (unsigned long long)out->gaps,
          (unsigned long long)gaps);
    CHECK(t, out->totals.in_flight_area == stays, "Little's area");
    int64_t limit = t->scenario.fleet.admission.queue_limit;
    uint64_t preempted = 0; /* they return to the queue above its limit */
    for (size_t i = 0; i < t->count; i++)
        preempted += out->rows[i].preemptions;
    CHECK(t, limit == 0 || preempted > 0 || out->most_waiting <= limit, "queue limit");
}

static void every_fleet_obeys(void **state)
{
    (void)state;
    uint64_t first = setting("RT_SEED", 1), cases = setting("RT_CASES", DEFAULT_CASES);
    uint64_t by_status[RT_STATUS_COUNT] = {0}, reasons[RT_REASON_COUNT] = {0}, routers[32] = {0};
    struct outcome *other = calloc(1, sizeof *other);
    assert_non_null(other);
    for (uint64_t seed = first; seed < first + cases; seed++) {
        struct trial *t = calloc(1, sizeof *t);
        struct rt_rng r;
        assert_non_null(t);
        t->seed = seed;
        rt_rng_init(&r, seed, RT_RNG_TOOLS, 0);
        draw_scenario(t, &r);
        draw_requests(t, &r);
        run(t, false, false, &t->out);
        run(t, true, false, other);
        same(t, &t->out, other);
        run(t, true, true, other);
        same(t, &t->out, other);
        audit(t, by_status);
        for (size_t i = 0; i < t->count; i++)
            reasons[t->out.rows[i].reason]++;
        for (unsigned i = 0; i <= rt_router_count(); i++)
            routers[i] += t->scenario.fleet.router == router_at(i);
        rt_scenario_release(&t->scenario);
        free(t);
    }
    free(other);
    print_message("seeds %llu..%llu:", (unsigned long long)first,
                  (unsigned long long)(first + cases - 1));
    for (unsigned i = 0; i < RT_STATUS_COUNT; i++)
        print_message(" %s %llu", rt_status_names[i], (unsigned long long)by_status[i]);
    print_message("; rejected:");
    for (unsigned i = 1; i < RT_REASON_COUNT; i++)
        print_message(" %s %llu", rt_reason_names[i], (unsigned long long)reasons[i]);
    print_message("\n");
    if (cases != DEFAULT_CASES)
        return;
    assert_true(by_status[RT_STATUS_OK] > 5000 && by_status[RT_STATUS_TIMEOUT] > 1000 &&
                by_status[RT_STATUS_CANCELLED] > 500);
    assert_true(reasons[RT_REASON_ADMISSION] > 500 && reasons[RT_REASON_MODEL] > 500);
    for (unsigned i = 0; i <= rt_router_count(); i++)
        assert_true(routers[i] > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_fleet_obeys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
