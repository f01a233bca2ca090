/* What must hold of hand-overs on random loads and fleets of prefill, decode and mixed pools, with
 * every policy, preemption, prefix caching, pipelines and data parallel ranks, clients that leave
 * and runs that are stopped:
 *   - every request has one row, its times go up from side to side, its replicas have the roles;
 *   - tokens are conserved, and at the end nobody holds a block on either side;
 *   - a link carries one transfer at a time, at no more than its rate;
 *   - with and without coasting rows, steps, gaps and samples are the same.
 *
 * Seeds are printed; RT_SEED=n RT_CASES=1 repeats one case. */
#include "hand_over_case.h"
#include "rooftrace/fleet.h"
#include "rooftrace/kv_transfer.h"
#include "rooftrace/replica.h"
#include "rooftrace/replica_spec.h"
#include "rooftrace/rng.h"
#include "support/seeds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SEED  1
#define DEFAULT_CASES 300
#define MAX_REQUESTS  120
#define MAX_HASHES    80
#define MAX_REPLICAS  16

struct trial {
    uint64_t seed;
    struct rt_rng rng;
    struct rt_request requests[MAX_REQUESTS];
    uint64_t hashes[MAX_REQUESTS][MAX_HASHES];
    struct array_load load;
    char keys[5000];
    bool hidden, layerwise, leaves, piped;
    double gb_per_s, latency_us;
    const struct rt_finished *by_id[MAX_REQUESTS];
};

#define CHECK(trial, holds, ...)                                                                   \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            print_error("seed %llu: %s\n%s\n", (unsigned long long)(trial)->seed, #holds,          \
                        (trial)->keys);                                                            \
            fail_msg(__VA_ARGS__);                                                                 \
        }                                                                                          \
    } while (0)

static uint64_t below(struct trial *t, uint64_t n)
{
    return rt_rng_below(&t->rng, n);
}

static bool chance(struct trial *t, double p)
{
    return rt_rng_unit(&t->rng) < p;
}

/* ---- what is drawn --------------------------------------------------------------------------- */

static void draw_engine(struct trial *t, bool decodes, bool caches, char *out, size_t size)
{
    static const char *const all[] = {"chunked",       "chunked", "sarathi",
                                      "prefill_first", "static",  "continuous"};
    const char *policy = caches ? "chunked" : all[below(t, decodes ? 4 : 6)];
    bool chunked = strcmp(policy, "chunked") == 0, first = strcmp(policy, "prefill_first") == 0;
    uint64_t block = caches ? 8 : 1 + below(t, 16);
    uint64_t blocks = (decodes ? 280 + below(t, 500) : 300 + below(t, 1200)) / block + 6;
    snprintf(out, size,
             "{\"policy\": \"%s\", \"async_scheduling\": %s, \"prefix_caching\": %s,"
             " \"max_num_seqs\": %llu, \"max_num_batched_tokens\": %llu, \"chunk_tokens\": %llu,"
             " \"block_size\": %llu, \"num_gpu_blocks\": %llu, \"watermark\": %g,"
             " \"preemption\": \"%s\", \"num_cpu_blocks\": 40, \"queue_order\": \"%s\"}",
             policy, chunked && chance(t, 0.5) ? "true" : "false", caches ? "true" : "false",
             (unsigned long long)(1 + below(t, 12)),
             (unsigned long long)(first || !chunked ? 600 : 16 + below(t, 300)),
             (unsigned long long)(12 + below(t, 100)), (unsigned long long)block,
             (unsigned long long)blocks, chance(t, 0.5) ? 0.0 : 0.05,
             !caches && chance(t, 0.3) ? "swap" : "recompute",
             chance(t, 0.3) ? "shortest_prompt" : "fcfs");
}

static void draw_pool(struct trial *t, const char *name, const char *role, bool caches)
{
    char engine[900];
    size_t used = strlen(t->keys);
    uint64_t stages = chance(t, 0.15) ? 2 : 1, ranks = chance(t, 0.15) ? 2 : 1;
    t->piped = t->piped || stages > 1;
    draw_engine(t, strcmp(role, "prefill") != 0, caches, engine, sizeof engine);
    snprintf(t->keys + used, sizeof t->keys - used,
             "%s{\"name\": \"%s\", \"role\": \"%s\", \"gpu\": \"h100-sxm\", \"replicas\": %llu,"
             " \"pipeline_parallel\": %llu, \"data_parallel\": %llu, \"engine\": %s}",
             used > 0 && t->keys[used - 1] == '}' ? ", " : "", name, role,
             (unsigned long long)(1 + below(t, 3)), (unsigned long long)stages,
             (unsigned long long)ranks, engine);
}

static void draw_fleet(struct trial *t, bool caches)
{
    static const char *const routers[] = {"least_outstanding", "round_robin",  "random",
                                          "least_kv",          "least_tokens", "power_of_two"};
    t->hidden = chance(t, 0.3);
    t->layerwise = chance(t, 0.5);
    t->leaves = chance(t, 0.4);
    t->gb_per_s = chance(t, 0.2) ? 1e6 : exp(log(0.2) + rt_rng_unit(&t->rng) * log(100));
    t->latency_us = chance(t, 0.4) ? 0 : 1 + (double)below(t, 3000);
    snprintf(t->keys, sizeof t->keys, "\"pools\": [");
    draw_pool(t, "p", "prefill", caches);
    draw_pool(t, "d", "decode", caches);
    if (chance(t, 0.3))
        draw_pool(t, "d2", "decode", caches);
    if (chance(t, 0.3))
        draw_pool(t, "m", "mixed", caches);
    size_t used = strlen(t->keys);
    snprintf(
        t->keys + used, sizeof t->keys - used,
        "], \"cost\": {\"kind\": \"linear\", \"coefficients_s\": [0.001, 2e-5, 1e-5, 1e-7, 0]},"
        " \"router\": \"%s\", \"decode_router\": \"%s\", \"router_view_interval_s\": %g,"
        " \"sample_interval_s\": 0.01,"
        " \"kv_transfer\": {\"gb_per_s\": %.17g, \"latency_us\": %.17g, \"layerwise\": %s,"
        " \"first_token\": \"%s\"}%s, \"seed\": %llu",
        routers[below(t, 6)], routers[below(t, 6)], chance(t, 0.3) ? 0.05 : 0.0, t->gb_per_s,
        t->latency_us, t->layerwise ? "true" : "false", t->hidden ? "decode" : "prefill",
        t->leaves ? ", \"timeout_s\": 0.4, \"cancel\": {\"share\": 0.4, \"mean_s\": 0.15}" : "",
        (unsigned long long)t->seed);
}

static void draw_load(struct trial *t, bool caches)
{
    double at = 0, mean = 0.001 * (1 + (double)below(t, 30));
    t->load = (struct array_load){.requests = t->requests,
                                  .count = 1 + (size_t)below(t, MAX_REQUESTS),
                                  .hash_block_tokens = caches && chance(t, 0.7) ? 8 : 0};
    for (size_t i = 0; i < t->load.count; i++) {
        struct rt_request *q = &t->requests[i];
        if (chance(t, 0.8)) /* several come at once */
            at += rt_rng_exponential(&t->rng) * mean;
        *q = (struct rt_request){.id = i,
                                 .arrival_ns = (int64_t)(at * 1e6) * 1000,
                                 .prompt_tokens = 1 + (int64_t)below(t, chance(t, 0.3) ? 300 : 40),
                                 .output_tokens = 1 + (int64_t)below(t, chance(t, 0.3) ? 100 : 12),
                                 .deadline_ns = RT_NO_DEADLINE,
                                 .think_ns = -1};
        if (t->load.hash_block_tokens == 0)
            continue;
        uint64_t first = 1000 * below(t, 3);
        q->hash_count = (uint32_t)(q->prompt_tokens / 8) + 1;
        for (uint32_t h = 0; h < q->hash_count; h++)
            t->hashes[i][h] = h < 6 ? first + h : first + 7 + 100 * (i % 9) + h;
        q->hash_ids = t->hashes[i];
    }
}

static struct trial *draw(uint64_t seed)
{
    struct trial *t = calloc(1, sizeof *t);
    assert_non_null(t);
    t->seed = seed;
    rt_rng_init(&t->rng, seed, RT_RNG_TOOLS, 1);
    bool caches = chance(t, 0.4);
    draw_fleet(t, caches);
    draw_load(t, caches);
    return t;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static enum rt_role role_of(const struct replay *r, uint32_t replica)
{
    return rt_fleet_role(rt_sim_fleet(r->sim), replica);
}

static void check_sides(const struct trial *t, const struct replay *r,
                        const struct rt_finished *row)
{
    const struct rt_prefill_part *part = row->prefill;
    enum rt_role role = role_of(r, row->replica);
    CHECK(t, part || role != RT_ROLE_DECODE, "request %llu: no prefill",
          (unsigned long long)row->id);
    CHECK(t, !part || role_of(r, part->replica) == RT_ROLE_PREFILL, "role of the prefill side");
    CHECK(t, !part || role == RT_ROLE_DECODE || row->status == RT_STATUS_UNFINISHED,
          "role of the decode side");
    if (!part)
        return;
    CHECK(t, row->scheduled_ns >= row->arrival_ns && part->prefilled_ns > row->scheduled_ns,
          "prefill");
    CHECK(t, part->kv_ready_ns == RT_NEVER || part->kv_ready_ns >= part->prefilled_ns, "transfer");
    CHECK(t, part->moved_tokens <= row->prompt_tokens, "more than the prompt was moved");
    CHECK(t, t->hidden || row->first_token_ns == part->prefilled_ns, "first token");
    CHECK(t,
          !t->hidden || row->first_token_ns == RT_NEVER || row->first_token_ns > part->kv_ready_ns,
          "first token of the decode side");
    if (part->kv_ready_ns == RT_NEVER)
        CHECK(t, row->produced_tokens == (t->hidden ? 0 : 1), "tokens without KV");
}

static void check_served(const struct trial *t, const struct replay *r,
                         const struct rt_finished *row)
{
    const struct rt_prefill_part *part = row->prefill;
    enum rt_role role = role_of(r, row->replica);
    int64_t span = row->finish_ns - row->first_token_ns;
    CHECK(t, row->produced_tokens == row->output_tokens, "not all tokens");
    CHECK(t, span >= row->output_tokens - 1, "no time for the gaps");
    CHECK(t, (row->max_itl_ns == RT_NEVER) == (row->output_tokens == 1), "longest gap");
    CHECK(t, row->output_tokens == 1 || row->max_itl_ns <= span, "longest gap");
    CHECK(t, role != RT_ROLE_PREFILL || (row->output_tokens == 1 && !t->hidden),
          "a prefill replica gave a whole answer");
    CHECK(t, !part || t->hidden || row->output_tokens > 1, "one token was handed over");
    if (part && !t->hidden)
        CHECK(t, row->max_itl_ns >= part->kv_ready_ns - part->prefilled_ns,
              "the transfer is in no gap");
}

static void check_rows(struct trial *t, const struct replay *r, bool stopped)
{
    memset(t->by_id, 0, sizeof t->by_id);
    for (size_t n = 0; n < r->rows.count; n++) {
        const struct rt_finished *row = &r->rows.rows[n];
        CHECK(t, row->id < t->load.count && !t->by_id[row->id], "request %llu has two rows",
              (unsigned long long)row->id);
        const struct rt_request *q = &t->requests[row->id];
        t->by_id[row->id] = row;
        CHECK(t, row->prompt_tokens == q->prompt_tokens && row->output_tokens == q->output_tokens,
              "request %llu is another one", (unsigned long long)row->id);
        CHECK(t, row->arrival_ns == q->arrival_ns, "arrival");
        check_sides(t, r, row);
        if (row->status == RT_STATUS_OK)
            check_served(t, r, row);
        CHECK(t, stopped || row->status != RT_STATUS_UNFINISHED, "unfinished");
        CHECK(t,
              t->leaves || (row->status != RT_STATUS_TIMEOUT && row->status != RT_STATUS_CANCELLED),
              "left");
    }
    CHECK(t, r->rows.count == r->totals.arrived, "%zu rows of %llu requests", r->rows.count,
          (unsigned long long)r->totals.arrived);
}

/* ---- sums ------------------------------------------------------------------------------------ */

static void check_totals(const struct trial *t, const struct replay *r)
{
    int64_t given = 0, produced = 0, computed = 0, known = 0, gaps = 0;
    rt_u128 spans = 0, stays = 0;
    bool exact = !t->leaves;
    for (size_t n = 0; n < r->rows.count; n++) {
        const struct rt_finished *row = &r->rows.rows[n];
        produced += row->produced_tokens;
        exact = exact && row->preemptions == 0;
        if (row->status != RT_STATUS_OK)
            continue;
        known += row->prompt_tokens - row->cached_tokens + row->output_tokens - 1 +
                 (row->prefill && t->hidden ? 1 : 0);
        gaps += row->output_tokens - 1;
        rt_u128 span = (rt_u128)(row->finish_ns - row->first_token_ns);
        rt_u128 stay = (rt_u128)(row->finish_ns - row->arrival_ns);
        spans = spans + span;
        stays = stays + stay;
    }
    for (uint32_t i = 0; i < rt_fleet_replicas(rt_sim_fleet(r->sim)); i++) {
        struct rt_replica *replica = rt_fleet_replica(rt_sim_fleet(r->sim), i);
        struct rt_replica_gauges g = rt_replica_gauges(replica, r->totals.now_ns);
        const struct rt_replica_totals *sum = rt_replica_totals(replica);
        CHECK(t, g.running == 0 && g.waiting == 0, "replica %u is not empty", i);
        CHECK(t, g.kv_blocks_used == 0, "replica %u holds %lld blocks", i,
              (long long)g.kv_blocks_used);
        given += sum->output_tokens;
        computed += sum->computed_tokens;
        CHECK(t, role_of(r, i) != RT_ROLE_PREFILL || sum->preemptions == 0, "prefill preempted");
    }
    CHECK(t, given == produced, "replicas gave %lld tokens, requests got %lld", (long long)given,
          (long long)produced);
    CHECK(t, !exact || computed == known, "computed %lld tokens, not %lld", (long long)computed,
          (long long)known);
    const struct rt_hist *itl = &rt_sim_token_stats(r->sim)->itl;
    CHECK(t, t->leaves || (itl->count == (uint64_t)gaps && itl->sum == spans), "gaps");
    CHECK(t, t->leaves || r->totals.in_flight_area == stays, "Little's area");
}

/* ---- links ----------------------------------------------------------------------------------- */

static int64_t copy_ns(const struct trial *t, const struct rt_prefill_part *part)
{
    return llround((double)part->moved_tokens * KV_BYTES_PER_TOKEN / (t->gb_per_s * 1e9) * 1e9);
}

/* Of transfers that share an end no two are on it at once. Layer-wise: what ends up to an instant
 * fits between the first step of them and then. */
static void check_links(const struct trial *t, const struct replay *r)
{
    int64_t latency_ns = llround(t->latency_us * 1e3);
    for (size_t a = 0; a < r->rows.count; a++) {
        const struct rt_finished *x = &r->rows.rows[a];
        if (!x->prefill || x->prefill->kv_ready_ns == RT_NEVER)
            continue;
        int64_t end = x->prefill->kv_ready_ns - latency_ns, begin = end - copy_ns(t, x->prefill);
        int64_t earliest = t->layerwise ? x->scheduled_ns : x->prefill->prefilled_ns;
        CHECK(t, begin >= earliest, "request %llu: faster than its link",
              (unsigned long long)x->id);
        for (size_t b = 0; b < a && !t->layerwise; b++) {
            const struct rt_finished *y = &r->rows.rows[b];
            if (!y->prefill || y->prefill->kv_ready_ns == RT_NEVER ||
                (y->prefill->replica != x->prefill->replica && y->replica != x->replica))
                continue;
            int64_t y_end = y->prefill->kv_ready_ns - latency_ns;
            CHECK(t, y_end <= begin || end <= y_end - copy_ns(t, y->prefill),
                  "requests %llu and %llu are on one link at once", (unsigned long long)x->id,
                  (unsigned long long)y->id);
        }
    }
}

/* ---- coasting -------------------------------------------------------------------------------- */

static bool same_part(const struct rt_prefill_part *a, const struct rt_prefill_part *b)
{
    if (!a || !b)
        return a == b;
    return a->replica == b->replica && a->prefilled_ns == b->prefilled_ns &&
           a->kv_ready_ns == b->kv_ready_ns && a->moved_tokens == b->moved_tokens;
}

static bool same_row(const struct rt_finished *a, const struct rt_finished *b)
{
    return a->id == b->id && a->scheduled_ns == b->scheduled_ns &&
           a->first_token_ns == b->first_token_ns && a->finish_ns == b->finish_ns &&
           a->max_itl_ns == b->max_itl_ns && a->produced_tokens == b->produced_tokens &&
           a->cached_tokens == b->cached_tokens && a->preempted_ns == b->preempted_ns &&
           a->preemptions == b->preemptions && a->pool == b->pool && a->replica == b->replica &&
           a->status == b->status && a->reason == b->reason && same_part(a->prefill, b->prefill);
}

static int by_replica(const void *a, const void *b)
{
    const struct rt_step_row *x = a, *y = b;
    if (x->replica != y->replica)
        return x->replica < y->replica ? -1 : 1;
    return x->step < y->step ? -1 : x->step > y->step;
}

static void check_same(const struct trial *t, struct replay *a, struct replay *b)
{
    size_t samples[2];
    const struct rt_sample *x = rt_sim_samples(a->sim, &samples[0]);
    const struct rt_sample *y = rt_sim_samples(b->sim, &samples[1]);
    CHECK(t, a->rows.count == b->rows.count, "rows");
    for (size_t n = 0; n < a->rows.count; n++)
        CHECK(t, same_row(&a->rows.rows[n], &b->rows.rows[n]), "row %zu, request %llu", n,
              (unsigned long long)a->rows.rows[n].id);
    CHECK(t, a->steps.count == b->steps.count, "steps");
    if (a->steps.count > 0) {
        qsort(a->steps.rows, a->steps.count, sizeof a->steps.rows[0], by_replica);
        qsort(b->steps.rows, b->steps.count, sizeof b->steps.rows[0], by_replica);
    }
    for (size_t n = 0; n < a->steps.count; n++) {
        const struct rt_step_row *p = &a->steps.rows[n], *q = &b->steps.rows[n];
        CHECK(t,
              p->step == q->step && p->start_ns == q->start_ns && p->end_ns == q->end_ns &&
                  p->decodes == q->decodes && p->prefill_tokens == q->prefill_tokens &&
                  p->context_tokens == q->context_tokens &&
                  p->kv_blocks_used == q->kv_blocks_used && p->waiting == q->waiting,
              "step %llu of replica %u: %lld and %lld blocks, %lld and %lld wait",
              (unsigned long long)p->step, p->replica, (long long)p->kv_blocks_used,
              (long long)q->kv_blocks_used, (long long)p->waiting, (long long)q->waiting);
    }
    CHECK(t, samples[0] == samples[1], "samples");
    for (size_t n = 0; n < samples[0]; n++)
        CHECK(t,
              x[n].running == y[n].running && x[n].waiting == y[n].waiting &&
                  x[n].kv_blocks_used == y[n].kv_blocks_used && x[n].in_flight == y[n].in_flight,
              "sample %zu", n);
    CHECK(t,
          rt_sim_token_stats(a->sim)->itl.count == rt_sim_token_stats(b->sim)->itl.count &&
              rt_sim_token_stats(a->sim)->itl.sum == rt_sim_token_stats(b->sim)->itl.sum,
          "gaps");
    CHECK(t, a->totals.in_flight_area == b->totals.in_flight_area, "area");
}

/* ---- all of it ------------------------------------------------------------------------------- */

struct seen { /* so that the cases are known to reach what they are for */
    uint64_t moved, hidden, preempted, cached, left[4], stopped, rejected;
};

static void note(struct seen *s, const struct trial *t, const struct replay *r)
{
    for (size_t n = 0; n < r->rows.count; n++) {
        const struct rt_finished *row = &r->rows.rows[n];
        bool gone = row->status == RT_STATUS_CANCELLED || row->status == RT_STATUS_TIMEOUT;
        bool ready = row->prefill && row->prefill->kv_ready_ns != RT_NEVER;
        bool second = row->produced_tokens > (t->hidden ? 0 : 1);
        s->moved += ready;
        s->hidden += ready && t->hidden;
        s->preempted += row->prefill && row->preemptions > 0;
        s->cached += ready && row->prefill->moved_tokens < row->prompt_tokens;
        s->rejected += row->status == RT_STATUS_REJECTED;
        if (gone && role_of(r, row->replica) != RT_ROLE_MIXED)
            s->left[!row->prefill ? 0 : !ready ? 1 : second ? 3 : 2]++;
    }
}

static void one_case(uint64_t seed, struct seen *seen)
{
    struct trial *t = draw(seed);
    struct replay coasted, stepped, stopped;
    case_replay(t->keys, &t->load, true, SIZE_MAX, &coasted);
    case_replay(t->keys, &t->load, false, SIZE_MAX, &stepped);
    check_rows(t, &coasted, false);
    check_totals(t, &coasted);
    check_links(t, &coasted);
    check_same(t, &coasted, &stepped);
    note(seen, t, &coasted);
    case_replay(t->keys, &t->load, true, t->load.count / 2, &stopped);
    check_rows(t, &stopped, true);
    seen->stopped += stopped.totals.unfinished;
    case_release(&coasted);
    case_release(&stepped);
    case_release(&stopped);
    free(t);
}

static void random_fleets(void **state)
{
    uint64_t seed = setting("RT_SEED", DEFAULT_SEED), cases = setting("RT_CASES", DEFAULT_CASES);
    struct seen s = {0};
    (void)state;
    for (uint64_t n = 0; n < cases; n++)
        one_case(seed + n, &s);
    print_message(
        "seeds %llu to %llu: %llu handed over (%llu without a first token), %llu preempted"
        " there, %llu partly cached, left %llu/%llu/%llu/%llu, %llu stopped, %llu rejected\n",
        (unsigned long long)seed, (unsigned long long)(seed + cases - 1),
        (unsigned long long)s.moved, (unsigned long long)s.hidden, (unsigned long long)s.preempted,
        (unsigned long long)s.cached, (unsigned long long)s.left[0], (unsigned long long)s.left[1],
        (unsigned long long)s.left[2], (unsigned long long)s.left[3], (unsigned long long)s.stopped,
        (unsigned long long)s.rejected);
    if (cases < DEFAULT_CASES)
        return;
    assert_true(s.moved > 0 && s.hidden > 0 && s.preempted > 0 && s.cached > 0 && s.stopped > 0);
    assert_true(s.rejected > 0);
    assert_true(s.left[0] > 0 && s.left[1] > 0 && s.left[2] > 0 && s.left[3] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_fleets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
