/* Draws scenarios that are small and nasty: few KV blocks, so that preemption is common; lengths at
 * the edges of blocks and budgets; arrivals that fall exactly on step ends; step times with half
 * nanoseconds. Then drives a replica: at one instant first step ends, then gauges, then arrivals,
 * then scheduling, as the simulation does. */
#include "replica_drive.h"
#include "rooftrace/cost.h"
#include "rooftrace/queue_order.h"
#include "rooftrace/replica_spec.h"

#include "rooftrace/rng.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool engine_accepts(const char *json)
{
    struct rt_err err = {0};
    struct rt_json *doc = NULL;
    assert_ok(rt_json_parse(json, strlen(json), "probe", &doc, &err), &err);
    struct rt_json_at root = rt_json_root(doc);
    struct rt_engine_spec spec;
    rt_engine_init(&spec);
    bool accepted = rt_engine_parse(&root, &spec, &err);
    rt_json_free(doc);
    return accepted;
}

void abilities_probe(struct abilities *a)
{
    for (int i = 0; i < NAIVE_POLICY_COUNT; i++) {
        char json[64];
        snprintf(json, sizeof json, "{\"policy\": \"%s\"}", naive_policy_names[i]);
        a->policy[i] = engine_accepts(json);
    }
    a->async_scheduling = engine_accepts("{\"async_scheduling\": true}");
    a->prefix_caching = engine_accepts("{\"prefix_caching\": true}");
}

/* ---- scenarios ------------------------------------------------------------------------------- */

static int64_t below(struct rt_rng *g, int64_t n)
{
    return (int64_t)rt_rng_below(g, (uint64_t)n);
}

static int64_t pick(struct rt_rng *g, const int64_t *from, int64_t count)
{
    return from[below(g, count)];
}
#define PICK(g, ...)                                                                               \
    pick(g, (const int64_t[]){__VA_ARGS__}, sizeof((const int64_t[]){__VA_ARGS__}) / 8)

static void draw_params(struct naive_params *p, struct rt_rng *g, const struct abilities *a)
{
    static const double costs[][5] = {
        {1e-3, 0, 0, 0, 0}, /* constant: arrivals hit step ends */
        {1e-3, 1e-6, 0, 0, 0},
        {5.7e-3, 2.07e-5, 4.1e-8, 5.9160798e-10, 6.1e-6},
        {6e-3, 2e-5, 4e-8, 5e-10, 5e-6},    /* halves of a nanosecond */
        {2e-9, 5e-10, 5e-10, 5e-10, 5e-10}, /* steps of a few nanoseconds, all ties */
        {1e-9, 0, 0, 0, 0},
        {0, 0, 0, 0, 1.5e-9},
        {3.25, 0.5, 1e-3, 1e-4, 0.125}}; /* seconds */
    do
        p->policy = (enum naive_policy)below(g, NAIVE_POLICY_COUNT);
    while (!a->policy[p->policy]);
    p->block_size = PICK(g, 1, 2, 3, 4, 8, 16);
    p->kv_blocks = below(g, 3) ? 1 + below(g, 24) : 1 + below(g, 400);
    p->max_seqs = PICK(g, 1, 2, 3, 5, 8, 64);
    p->max_batched_tokens = PICK(g, 1, 2, 3, 7, 16, 33, 64, 512);
    p->chunk = PICK(g, 1, 2, 5, 16, 64);
    p->watermark = 0.01 * (double)below(g, 20);
    if (p->policy == NAIVE_CHUNKED) {
        p->run_ahead = a->async_scheduling && below(g, 2);
        p->prefix_cache = a->prefix_caching && below(g, 2);
        p->hash_block = p->block_size * PICK(g, 0, 1, 1, 2, 5); /* 0: no names of blocks */
    }
    memcpy(p->cost_s, costs[below(g, sizeof costs / sizeof *costs)], sizeof p->cost_s);
    if (below(g, 2)) {
        p->swap = !p->prefix_cache;
        if (p->swap)
            p->cpu_blocks = PICK(g, 0, 3, 20, 1000);
        else
            p->offload_blocks = PICK(g, 1, 3, 20, 1000);
        p->block_bytes = (double)PICK(g, 1, 4096, 2097152);
        p->pcie_bytes_per_s = (double)PICK(g, 1000, 3000000, 31500000000);
    }
    if (below(g, 2)) {
        int64_t step_ns = (int64_t)(1e9 * p->cost_s[0]) + 1; /* worth from nothing to a lot */
        p->order = (enum naive_order)below(g, NAIVE_ORDER_COUNT);
        p->aging_ns = step_ns * PICK(g, 0, 1, 7, 1000, 100000);
    }
}

/* Costs of drafting: nothing, seconds a token, or a model. Every decode has its drafts' budget. */
static void draw_speculative(struct naive_params *p, struct rt_rng *g)
{
    bool knows =
        p->policy == NAIVE_STATIC || p->policy == NAIVE_CONTINUOUS || p->policy == NAIVE_CHUNKED;
    if (!knows || below(g, 3))
        return;
    p->prefix_cache = p->swap = false;
    p->cpu_blocks = p->offload_blocks = 0;
    p->drafts = PICK(g, 1, 1, 2, 3, 5, 8);
    for (int64_t i = 0; i < p->drafts; i++) /* often all or nothing */
        p->acceptance[i] = (double)PICK(g, 0, 1, 1, 1 + below(g, 1000)) * 1e-3;
    bool alike = below(g, 2);
    for (int64_t i = 0; i < p->drafts; i++) {
        if (p->acceptance[i] == 1e-3)
            p->acceptance[i] = 1;
        if (alike)
            p->acceptance[i] = p->acceptance[0];
    }
    int64_t kind = below(g, 3);
    if (kind == 1)
        p->draft_s_per_token = p->cost_s[0] * 0.125 + 0.5e-9;
    p->draft_model = kind == 2;
    for (int i = 0; p->draft_model && i < 5; i++)
        p->draft_cost_s[i] = p->cost_s[i] * 0.21;
    if (p->policy == NAIVE_CHUNKED && p->max_batched_tokens < p->max_seqs * (p->drafts + 1))
        p->max_batched_tokens = p->max_seqs * (p->drafts + 1) + below(g, 3);
}

static int64_t draw_length(struct rt_rng *g, const struct naive_params *p)
{
    int64_t b = p->block_size, m = p->max_batched_tokens, room = b * p->kv_blocks;
    switch (below(g, 8)) {
    case 0:
        return 1;
    case 1:
        return b * (1 + below(g, 4)) - 1 + below(g, 3);
    case 2:
        return m - 1 + below(g, 3);
    case 3:
        return room / 2 - 1 + below(g, 3);
    case 4:
        return 1 + below(g, room + 1); /* with the other length often too long: rejected */
    case 5:
        return 1 + below(g, 300); /* long decodes: coasting has something to do */
    default:
        return 1 + below(g, 12);
    }
}

static int64_t draw_arrival(struct rt_rng *g, int mode, int64_t previous, int64_t step)
{
    switch (mode) {
    case 0:
        return 0;
    case 1: /* on multiples of a step */
        return previous + step * below(g, 6);
    case 2: /* bursts with long pauses */
        return below(g, 6) ? previous : previous + step * (1 + below(g, 2000));
    case 3: /* any nanosecond */
        return previous + below(g, 4 * step + 1);
    case 4: /* pauses of days: seconds beyond any ring */
        return below(g, 8) ? previous + below(g, step + 1)
                           : previous + INT64_C(1000000000) * below(g, 200000);
    default: /* out of order within a second */
        return below(g, 20 * step + 1);
    }
}

/* Insertion: ids come in ascending order, so equal arrivals stay in order of id. */
static void sort_by_arrival(struct scenario *s)
{
    for (size_t i = 0; i < s->count; i++) {
        size_t at = i;
        while (at > 0 && s->requests[s->order[at - 1]].arrival_ns > s->requests[i].arrival_ns) {
            s->order[at] = s->order[at - 1];
            at--;
        }
        s->order[at] = (uint32_t)i;
    }
}

static int64_t at_most(int64_t value, int64_t limit)
{
    return value < limit ? value : limit > 1 ? limit : 1;
}

/* Four of five requests fit, if barely: into the KV blocks that admission leaves, and into the
 * budget where a policy takes prompts whole. */
static void make_fit(const struct naive_params *p, struct naive_request *r, struct rt_rng *g)
{
    if (below(g, 5) == 0)
        return;
    int64_t kept = (int64_t)(p->watermark * (double)p->kv_blocks);
    int64_t room = p->block_size * (p->kv_blocks - (kept > 1 ? kept : 1)) - 2 * p->drafts;
    room = room > 2 ? room : 2;
    int64_t budget = p->policy == NAIVE_CHUNKED || p->policy == NAIVE_SARATHI
                         ? INT64_MAX
                         : p->max_batched_tokens;
    r->prompt = at_most(at_most(r->prompt, room / 2), budget);
    r->output = at_most(r->output, room - r->prompt);
    if (p->policy == NAIVE_PREFILL_FIRST)
        r->output = at_most(r->output, budget + 1 - r->prompt);
}

/* A chain of names: one of a few shared roots up to some depth, then names of its own. */
static void draw_hashes(struct scenario *s, size_t i, struct rt_rng *g)
{
    struct naive_request *r = &s->requests[i];
    int64_t hash_block = s->params.hash_block;
    if (!s->params.prefix_cache || hash_block == 0 || below(g, 5) == 0)
        return;
    int64_t root = below(g, 3), shared = below(g, SCENARIO_HASHES + 1);
    if (below(g, 3)) /* a prompt that ends near the end of a name */
        r->prompt = hash_block * (1 + below(g, 4)) + below(g, 2);
    if (below(g, 3) == 0) /* the answer, too, as in a session's turn */
        r->named = r->prompt + r->output;
    int64_t named = r->named > 0 ? r->named : r->prompt;
    int64_t count = (named + hash_block - 1) / hash_block - below(g, 2);
    count = count < SCENARIO_HASHES ? count : SCENARIO_HASHES;
    for (int64_t j = 0; j < count; j++)
        s->hash_ids[i][j] =
            (uint64_t)(j < shared ? root * 1000 + j : 1000000 + (int64_t)i * 1000 + j);
    r->hash_ids = s->hash_ids[i];
    r->hash_count = (size_t)count;
}

void scenario_draw(struct scenario *s, uint64_t seed, const struct abilities *a)
{
    struct rt_rng g;
    rt_rng_init(&g, seed, RT_RNG_TOOLS, 0);
    memset(s, 0, sizeof *s);
    draw_params(&s->params, &g, a);
    draw_speculative(&s->params, &g);
    s->count = (size_t)(1 + below(&g, below(&g, 4) ? 16 : SCENARIO_MAX));
    int mode = (int)below(&g, 6);
    int64_t step = (int64_t)(1e9 * (s->params.cost_s[0] + s->params.cost_s[4])), at = 0;
    for (size_t i = 0; i < s->count; i++) {
        at = draw_arrival(&g, mode, at, step);
        int64_t prompt = draw_length(&g, &s->params), output = draw_length(&g, &s->params);
        s->requests[i].arrival_ns = at;
        s->requests[i].prompt = prompt > 1 ? prompt : 1;
        s->requests[i].output = output > 1 ? output : 1;
        s->order[i] = (uint32_t)i;
        s->requests[i].priority = below(&g, 2) ? below(&g, 7) - 3 : 0;
        s->requests[i].deadline_ns = below(&g, 4) ? below(&g, 100 * step + 1) : -1;
        make_fit(&s->params, &s->requests[i], &g);
        draw_hashes(s, i, &g);
    }
    sort_by_arrival(s);
    s->measure_from_ns = below(&g, 3) ? below(&g, at + 50 * step + 1) : 0;
    s->measure_to_ns = below(&g, 3) ? s->measure_from_ns + below(&g, 200 * step + 1) : INT64_MAX;
}

void scenario_spread(struct scenario *s, uint64_t seed)
{
    struct naive_params *p = &s->params;
    struct rt_rng g;
    rt_rng_init(&g, seed, RT_RNG_TOOLS, 2);
    do {
        p->stages = PICK(&g, 1, 2, 2, 3, 4, 8);
        p->ranks = PICK(&g, 1, 1, 2, 3, 5);
        p->together = below(&g, 2);
    } while (scenario_is_plain(s));
}

bool scenario_is_plain(const struct scenario *s)
{
    return s->params.stages <= 1 && s->params.ranks <= 1 && !s->params.together;
}

const char *scenario_text(const struct scenario *s, uint64_t seed, char *buf, size_t size)
{
    const struct naive_params *p = &s->params;
    int len = snprintf(
        buf, size,
        "seed %llu: %s, %lld blocks of %lld, %lld seqs, budget %lld, chunk %lld, "
        "watermark %g, hash block %lld%s%s, %s by %lld ns, swap %d (%lld blocks, "
        "%g/%g s), %lld stages, %lld ranks%s, offload %lld, drafts %lld (%g, %g ...; %g s%s), cost "
        "%g,%g,%g,%g,%g, requests "
        "(arrival:prompt+output)",
        (unsigned long long)seed, naive_policy_names[p->policy], (long long)p->kv_blocks,
        (long long)p->block_size, (long long)p->max_seqs, (long long)p->max_batched_tokens,
        (long long)p->chunk, p->watermark, (long long)p->hash_block, p->run_ahead ? ", async" : "",
        p->prefix_cache ? ", cache" : "", naive_order_names[p->order], (long long)p->aging_ns,
        p->swap, (long long)p->cpu_blocks, p->block_bytes, p->pcie_bytes_per_s,
        (long long)p->stages, (long long)p->ranks, p->together ? " together" : "",
        (long long)p->offload_blocks, (long long)p->drafts, p->acceptance[0], p->acceptance[1],
        p->draft_s_per_token, p->draft_model ? ", model" : "", p->cost_s[0], p->cost_s[1],
        p->cost_s[2], p->cost_s[3], p->cost_s[4]);
    for (size_t i = 0; i < s->count && len > 0 && (size_t)len < size; i++)
        len += snprintf(buf + len, size - (size_t)len, " %lld:%lld+%lld",
                        (long long)s->requests[i].arrival_ns, (long long)s->requests[i].prompt,
                        (long long)s->requests[i].output);
    return buf;
}

/* ---- driving --------------------------------------------------------------------------------- */

static void engine_spec(const struct naive_params *p, struct rt_engine_spec *e)
{
    rt_engine_init(e);
    for (e->policy = 0; strcmp(rt_policy_name(e->policy), naive_policy_names[p->policy]) != 0;)
        e->policy++;
    e->async_scheduling = p->run_ahead;
    e->prefix_caching = p->prefix_cache;
    e->max_num_seqs = p->max_seqs;
    e->max_num_batched_tokens = p->max_batched_tokens;
    e->chunk_tokens = p->chunk;
    e->block_size = p->block_size;
    e->num_gpu_blocks = p->kv_blocks;
    e->watermark = p->watermark;
    e->preemption = p->swap ? RT_PREEMPTION_SWAP : RT_PREEMPTION_RECOMPUTE;
    for (e->queue_order = 0;
         strcmp(rt_queue_order_name(e->queue_order), naive_order_names[p->order]) != 0;)
        e->queue_order++;
    e->aging_s = (double)p->aging_ns * 1e-9;
    e->speculative.draft_tokens = p->drafts;
    e->speculative.draft_s_per_token = p->draft_s_per_token;
    memcpy(e->speculative.acceptance, p->acceptance, sizeof p->acceptance);
}

static struct rt_cost *linear_cost(const struct naive_params *p, const double coefficients_s[5])
{
    struct rt_err err = {0};
    struct rt_cost_inputs in = {.parallel = {1, 1, 1, 1}}; /* linear knows no GPU and no model */
    in.parallel.pipeline = p->stages > 1 ? p->stages : 1;
    rt_cost_spec_init(&in.spec);
    in.spec.kind = RT_COST_LINEAR;
    memcpy(in.spec.coefficients_s, coefficients_s, sizeof in.spec.coefficients_s);
    in.max_tokens = p->max_batched_tokens;
    struct rt_cost *cost = NULL;
    assert_ok(rt_cost_new(&in, &cost, &err), &err);
    return cost;
}

static void add_rejected(struct drive *d, const struct rt_request *req, enum rt_reason why)
{
    struct rt_finished row = {.id = req->id,
                              .arrival_ns = req->arrival_ns,
                              .scheduled_ns = RT_NEVER,
                              .first_token_ns = RT_NEVER,
                              .finish_ns = RT_NEVER,
                              .max_itl_ns = RT_NEVER,
                              .prompt_tokens = req->prompt_tokens,
                              .output_tokens = req->output_tokens,
                              .status = RT_STATUS_REJECTED,
                              .reason = (uint8_t)why};
    assert_true(rt_finished_list_add(&d->rows, &row));
}

struct rt_request drive_request(const struct scenario *s, uint32_t id)
{
    const struct naive_request *n = &s->requests[id];
    return (struct rt_request){.id = id,
                               .arrival_ns = n->arrival_ns,
                               .prompt_tokens = n->prompt,
                               .output_tokens = n->output,
                               .priority = (int32_t)n->priority,
                               .deadline_ns = n->deadline_ns < 0 ? RT_NO_DEADLINE : n->deadline_ns,
                               .think_ns = -1,
                               .hash_ids = n->hash_ids,
                               .hash_count = (uint32_t)n->hash_count,
                               .named_tokens = n->named};
}

static void push(struct drive *d, struct rt_replica *r, const struct scenario *s, uint32_t id)
{
    struct rt_request req = drive_request(s, id);
    struct rt_err err = {0};
    enum rt_reason why = rt_replica_resume(r, &req, d->past, req.arrival_ns, &err);
    if (err.code != RT_OK)
        fail_msg("push: %s", err.msg);
    if (why != RT_REASON_NONE)
        add_rejected(d, &req, why);
    d->pushed++;
}

static void record_step(struct drive *d, const struct rt_replica *r)
{
    if (d->step_count == d->step_capacity) {
        d->step_capacity = d->step_capacity * 2 + 64;
        d->steps = realloc(d->steps, d->step_capacity * sizeof *d->steps);
        assert_non_null(d->steps);
    }
    d->steps[d->step_count++] = *rt_replica_step(r);
}

static void end_step(struct drive *d, struct rt_replica *r, int64_t now)
{
    struct rt_err err = {0};
    size_t before = d->rows.count;
    assert_ok(rt_replica_step_end(r, now, &d->rows, &err), &err);
    for (size_t i = before; i < d->rows.count; i++)
        assert_int_equal(d->rows.rows[i].finish_ns, now);
}

static void start_step(struct drive *d, struct rt_replica *r, int64_t now)
{
    struct rt_err err = {0};
    assert_ok(rt_replica_schedule(r, now, &err), &err);
    if (rt_replica_busy(r) && !d->coast && d->plain)
        record_step(d, r);
}

static int64_t earliest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void loop(struct drive *d, struct rt_replica *r, const struct scenario *s)
{
    for (int64_t last = 0;;) {
        int64_t arrival =
            d->pushed < s->count ? s->requests[s->order[d->pushed]].arrival_ns : RT_NEVER_AGAIN;
        int64_t probe =
            d->gauge_count < d->probe_count ? d->probes[d->gauge_count] : RT_NEVER_AGAIN;
        int64_t wake = rt_replica_next_ns(r);
        int64_t now = earliest(earliest(arrival, probe), wake);
        if (now == RT_NEVER_AGAIN || now >= d->stop_ns)
            return;
        assert_true(now >= last);
        last = now;
        bool changed = wake == now;
        if (wake == now)
            end_step(d, r, now);
        while (d->gauge_count < d->probe_count && d->probes[d->gauge_count] == now)
            d->gauges[d->gauge_count++] = rt_replica_gauges(r, now);
        for (; arrival == now; changed = true) {
            push(d, r, s, s->order[d->pushed]);
            arrival =
                d->pushed < s->count ? s->requests[s->order[d->pushed]].arrival_ns : RT_NEVER_AGAIN;
        }
        if (changed && !rt_replica_busy(r))
            start_step(d, r, now);
    }
}

static int by_number(const void *a, const void *b)
{
    const struct rt_step_row *x = a, *y = b;
    return (x->step > y->step) - (x->step < y->step);
}

struct rt_replica *drive_replica(const struct scenario *s, bool coast, struct rt_token_stats *stats,
                                 struct drive_parts *parts, bool again)
{
    struct rt_err err = {0};
    const struct naive_params *p = &s->params;
    if (!again) {
        engine_spec(p, &parts->engine);
        parts->cost = linear_cost(p, p->cost_s);
        parts->draft_cost = p->draft_model ? linear_cost(p, p->draft_cost_s) : NULL;
    }
    struct rt_replica_spec spec = {.engine = &parts->engine,
                                   .cost = parts->cost,
                                   .draft_cost = parts->draft_cost,
                                   .kv_blocks = p->kv_blocks,
                                   .pipeline = p->stages,
                                   .ranks = p->ranks,
                                   .together = p->together,
                                   .cpu_blocks = p->cpu_blocks,
                                   .offload_blocks = p->offload_blocks,
                                   .block_bytes = p->block_bytes,
                                   .pcie_bytes_per_s = p->pcie_bytes_per_s,
                                   .hash_block = p->hash_block,
                                   .coast = coast,
                                   .compact = parts->compact,
                                   .stats = stats};
    struct rt_replica *r = NULL;
    assert_ok(rt_replica_new(&spec, &r, &err), &err);
    return r;
}

void drive_parts_release(struct drive_parts *parts)
{
    rt_cost_free(parts->cost);
    rt_cost_free(parts->draft_cost);
}

void drive_run(struct drive *d, const struct scenario *s)
{
    struct rt_err err = {0};
    struct drive_parts parts = {.compact = d->compact};
    d->plain = scenario_is_plain(s);
    assert_true(rt_token_stats_init(&d->stats, s->measure_from_ns, s->measure_to_ns));
    rt_finished_list_init(&d->rows);
    d->gauges = calloc(d->probe_count + 1, sizeof *d->gauges);
    assert_non_null(d->gauges);
    struct rt_replica *r = drive_replica(s, d->coast, &d->stats, &parts, false);
    if (d->log)
        rt_replica_record_steps(r, &d->step_log);
    loop(d, r, s);
    if (d->stop_ns != RT_NEVER_AGAIN && d->crash) {
        assert_ok(rt_replica_crash(r, d->stop_ns, &d->lost, &err), &err);
    } else if (d->stop_ns != RT_NEVER_AGAIN) {
        assert_ok(rt_replica_abort(r, d->stop_ns, &d->rows, &err), &err);
    } else {
        d->at_end = rt_replica_gauges(r, RT_NEVER_AGAIN - 1);
        assert_false(rt_replica_busy(r));
    }
    if (s->params.ranks > 1 && d->step_log.count > 0)
        qsort(d->step_log.rows, d->step_log.count, sizeof d->step_log.rows[0], by_number);
    d->totals = *rt_replica_totals(r);
    rt_replica_free(r);
    drive_parts_release(&parts);
}

void drive_release(struct drive *d)
{
    rt_finished_list_release(&d->rows);
    rt_lost_list_release(&d->lost);
    rt_token_stats_release(&d->stats);
    rt_step_list_release(&d->step_log);
    free(d->steps);
    free(d->gauges);
}
