/* Hand-overs against a plain model: lists that are walked, one token at a time, nothing shared with
 * src. It knows prefill and decode replicas with the policy chunked (no asynchronous scheduling, no
 * prefix cache, preemption by recompute), turns as routers, and links that carry one transfer after
 * the other. Every time of every request must be the same, on random loads and fleets.
 *
 * Seeds are printed; RT_SEED=n RT_CASES=1 repeats one case. */
#include "hand_over_case.h"
#include "rooftrace/rng.h"
#include "support/seeds.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SEED  1
#define DEFAULT_CASES 400
#define MAX_REQUESTS  60
#define MAX_REPLICAS  6

enum state { NOWHERE, WAITS, RUNS, HELD, EXPECTED, LOADING, ARRIVED, DONE };

struct side { /* a request on one replica */
    enum state state;
    int64_t kv, produced, target, order; /* order: in its list */
    bool decodes, yields;                /* in the step in progress */
};

struct request {
    int64_t arrival_ns, prompt, output;
    int replica[2]; /* prefill, decode */
    struct side side[2];
    int64_t scheduled_ns, prefilled_ns, first_ns, ready_ns, finish_ns, last_ns, max_gap_ns;
    int64_t arrives_ns; /* its KV, while that moves */
    int preemptions;
};

struct replica {
    int64_t blocks, size, seats, budget, end_ns, link_ns;
    int role;
};

struct model {
    uint64_t seed;
    struct request q[MAX_REQUESTS];
    int count;
    struct replica r[MAX_REPLICAS];
    int prefills, replicas, turn[2];
    bool hidden;
    int64_t now, orders, latency_ns;
    double cost[5], gb_per_s;
};

static int64_t blocks_of(const struct replica *r, int64_t tokens)
{
    return (tokens + r->size - 1) / r->size;
}

static bool here(const struct model *m, int i, int rep, enum state state)
{
    int role = m->r[rep].role;
    return m->q[i].replica[role] == rep && m->q[i].side[role].state == state;
}

static struct side *side(struct model *m, int i, int rep)
{
    return &m->q[i].side[m->r[rep].role];
}

/* The first, or last, of those in a state, or -1. */
static int find(struct model *m, int rep, enum state state, bool last)
{
    int best = -1;
    for (int i = 0; i < m->count; i++)
        if (here(m, i, rep, state) &&
            (best < 0 || (side(m, i, rep)->order > side(m, best, rep)->order) == last))
            best = i;
    return best;
}

static int number(struct model *m, int rep, enum state state)
{
    int n = 0;
    for (int i = 0; i < m->count; i++)
        n += here(m, i, rep, state);
    return n;
}

static int64_t brought(const struct request *q, const struct side *s)
{
    return q->prompt + s->produced - 1;
}

static int64_t free_blocks(struct model *m, int rep)
{
    int64_t used = 0;
    for (int i = 0; i < m->count; i++) {
        const struct side *s = side(m, i, rep);
        if (here(m, i, rep, RUNS) || here(m, i, rep, HELD))
            used += blocks_of(&m->r[rep], s->kv);
        if (here(m, i, rep, LOADING) || here(m, i, rep, ARRIVED))
            used += blocks_of(&m->r[rep], brought(&m->q[i], s) + 1);
    }
    return m->r[rep].blocks - used;
}

/* Blocks that the decodes begin with their next token. */
static int64_t crossings(struct model *m, int rep)
{
    int64_t n = 0;
    for (int i = 0; i < m->count; i++) {
        const struct side *s = side(m, i, rep);
        int64_t after = s->produced + (s->yields ? 1 : 0);
        int64_t whole = m->r[rep].role == 0 ? 1 : m->q[i].output;
        if (here(m, i, rep, RUNS) && s->kv >= s->target && after < whole)
            n += s->kv % m->r[rep].size == 0;
    }
    return n;
}

static void give_rooms(struct model *m, int rep)
{
    int i;
    while ((i = find(m, rep, EXPECTED, false)) >= 0) {
        int64_t held = number(m, rep, RUNS) + number(m, rep, LOADING) + number(m, rep, ARRIVED);
        int64_t blocks = blocks_of(&m->r[rep], brought(&m->q[i], side(m, i, rep)) + 1);
        if (number(m, rep, WAITS) > 0 || held >= m->r[rep].seats ||
            free_blocks(m, rep) - crossings(m, rep) < blocks)
            return;
        side(m, i, rep)->state = LOADING;
        side(m, i, rep)->order = m->orders++;
        m->q[i].arrives_ns = -2; /* to be put on the links at the end of the instant */
    }
}

static int partial_of(struct model *m, int rep)
{
    for (int i = 0; i < m->count; i++)
        if (here(m, i, rep, RUNS) && side(m, i, rep)->kv < side(m, i, rep)->target)
            return i;
    return -1;
}

static int64_t decodes_of(struct model *m, int rep)
{
    return number(m, rep, RUNS) - (partial_of(m, rep) >= 0);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t chunk(struct model *m, int rep, int i)
{
    const struct side *s = side(m, i, rep);
    return least(s->target - s->kv, m->r[rep].budget - decodes_of(m, rep));
}

static int64_t wanted(struct model *m, int rep)
{
    int64_t blocks = crossings(m, rep);
    int i = partial_of(m, rep);
    if (i >= 0)
        blocks += blocks_of(&m->r[rep], side(m, i, rep)->kv + chunk(m, rep, i)) -
                  blocks_of(&m->r[rep], side(m, i, rep)->kv);
    return blocks;
}

static void preempt(struct model *m, int rep)
{
    int i = find(m, rep, RUNS, true), head = find(m, rep, WAITS, false);
    struct side *s = side(m, i, rep);
    s->state = WAITS;
    s->kv = 0;
    s->order = head >= 0 ? side(m, head, rep)->order - 1 : -1000000 + m->orders;
    m->q[i].preemptions++;
}

struct sums {
    int64_t tokens, held, area, sequences;
};

static void compute(struct model *m, int rep, int i, int64_t n, struct sums *b)
{
    struct side *s = side(m, i, rep);
    b->held += s->kv;
    b->tokens += n;
    b->sequences++;
    if (!s->decodes)
        b->area += n * (2 * s->kv + n + 1) / 2;
    s->kv += n;
    s->yields = s->kv >= s->target;
}

static void run(struct model *m, int rep, int i, int64_t target)
{
    struct side *s = side(m, i, rep);
    s->state = RUNS;
    s->order = m->orders++;
    s->target = target;
}

/* Forms the next step; false: there is nothing to do. */
static bool form(struct model *m, int rep, struct sums *b)
{
    struct replica *r = &m->r[rep];
    bool preempted = false;
    int i;
    *b = (struct sums){0};
    for (; wanted(m, rep) > free_blocks(m, rep); preempted = true)
        preempt(m, rep);
    bool may_join = !preempted || decodes_of(m, rep) == 0;
    while (may_join && (i = find(m, rep, ARRIVED, false)) >= 0 && partial_of(m, rep) < 0 &&
           number(m, rep, RUNS) < r->seats && decodes_of(m, rep) < r->budget) {
        run(m, rep, i, 0);
        side(m, i, rep)->kv = brought(&m->q[i], side(m, i, rep));
    }
    int partial = partial_of(m, rep);
    int64_t left = r->budget - decodes_of(m, rep);
    for (i = 0; i < m->count; i++) {
        struct side *s = side(m, i, rep);
        if (!here(m, i, rep, RUNS) || i == partial)
            continue;
        s->decodes = true;
        compute(m, rep, i, 1, b);
    }
    if (partial >= 0) {
        int64_t n = least(side(m, partial, rep)->target - side(m, partial, rep)->kv, left);
        side(m, partial, rep)->decodes = false;
        compute(m, rep, partial, n, b);
        left -= n;
    }
    while (!preempted && left > 0 && (i = find(m, rep, WAITS, false)) >= 0 &&
           number(m, rep, RUNS) < r->seats) {
        struct side *s = side(m, i, rep);
        int64_t known = m->q[i].prompt + s->produced, n = least(known, left);
        if (blocks_of(r, known) > free_blocks(m, rep))
            break;
        run(m, rep, i, known);
        s->decodes = false;
        if (m->q[i].scheduled_ns < 0)
            m->q[i].scheduled_ns = m->now;
        compute(m, rep, i, n, b);
        left -= n;
    }
    return b->tokens > 0;
}

static void token(struct model *m, int i)
{
    struct request *q = &m->q[i];
    if (q->first_ns < 0)
        q->first_ns = m->now;
    else if (m->now - q->last_ns > q->max_gap_ns)
        q->max_gap_ns = m->now - q->last_ns;
    q->last_ns = m->now;
}

static void end_step(struct model *m, int rep)
{
    int role = m->r[rep].role;
    m->r[rep].end_ns = -1;
    for (int i = 0; i < m->count; i++) {
        struct side *s = side(m, i, rep);
        struct request *q = &m->q[i];
        if (!here(m, i, rep, RUNS) || !s->yields)
            continue;
        s->yields = false;
        s->produced++;
        s->target = 0; /* decodes from now on */
        if (role == 1 || !m->hidden)
            token(m, i);
        if (role == 0) {
            bool whole = q->output == 1 && !m->hidden;
            s->state = whole ? DONE : HELD;
            q->finish_ns = whole ? m->now : -1;
            q->prefilled_ns = m->now;
        } else if (s->produced == q->output) {
            s->state = DONE;
            q->finish_ns = m->now;
        }
    }
}

static void hand_over(struct model *m)
{
    for (int i = 0; i < m->count; i++) {
        struct request *q = &m->q[i];
        if (q->arrives_ns != m->now)
            continue;
        q->ready_ns = m->now;
        q->side[0].state = DONE;
        q->side[1].state = ARRIVED;
        q->side[1].order = m->orders++;
    }
    for (int i = 0; i < m->count; i++) {
        struct request *q = &m->q[i];
        if (q->side[0].state != HELD || q->prefilled_ns != m->now || q->side[1].state != NOWHERE)
            continue;
        q->replica[1] = m->prefills + m->turn[1]++ % (m->replicas - m->prefills);
        q->side[1] =
            (struct side){.state = EXPECTED, .produced = m->hidden ? 0 : 1, .order = m->orders++};
        give_rooms(m, q->replica[1]);
    }
}

static void arrive(struct model *m)
{
    for (int i = 0; i < m->count; i++)
        if (m->q[i].arrival_ns == m->now) {
            m->q[i].replica[0] = m->turn[0]++ % m->prefills;
            m->q[i].side[0] = (struct side){.state = WAITS, .order = m->orders++};
        }
}

static void schedule(struct model *m, int rep)
{
    struct sums b;
    if (m->r[rep].end_ns >= 0)
        return;
    give_rooms(m, rep);
    if (form(m, rep, &b)) {
        double s = (((m->cost[0] + m->cost[1] * (double)b.tokens) + m->cost[2] * (double)b.held) +
                    m->cost[3] * (double)b.area) +
                   m->cost[4] * (double)b.sequences;
        m->r[rep].end_ns = m->now + llrint(s * 1e9);
    }
    give_rooms(m, rep);
}

static void send(struct model *m)
{
    for (int i = 0; i < m->count; i++) {
        struct request *q = &m->q[i];
        if (q->arrives_ns != -2)
            continue;
        struct replica *from = &m->r[q->replica[0]], *to = &m->r[q->replica[1]];
        double bytes = (double)q->prompt * KV_BYTES_PER_TOKEN;
        int64_t start = m->now > from->link_ns ? m->now : from->link_ns;
        start = start > to->link_ns ? start : to->link_ns;
        from->link_ns = to->link_ns = start + llround(bytes / (m->gb_per_s * 1e9) * 1e9);
        q->arrives_ns = from->link_ns + m->latency_ns;
    }
}

static bool next_instant(struct model *m)
{
    int64_t next = INT64_MAX;
    for (int i = 0; i < m->count; i++) {
        if (m->q[i].arrival_ns > m->now)
            next = least(next, m->q[i].arrival_ns);
        if (m->q[i].arrives_ns > m->now)
            next = least(next, m->q[i].arrives_ns);
    }
    for (int rep = 0; rep < m->replicas; rep++)
        if (m->r[rep].end_ns >= 0)
            next = least(next, m->r[rep].end_ns);
    m->now = next;
    return next != INT64_MAX;
}

static void run_model(struct model *m)
{
    for (m->now = -1; next_instant(m);) {
        for (int rep = 0; rep < m->replicas; rep++)
            if (m->r[rep].end_ns == m->now)
                end_step(m, rep);
        hand_over(m);
        arrive(m);
        for (int rep = 0; rep < m->replicas; rep++)
            schedule(m, rep);
        send(m);
    }
}

/* ---- cases ----------------------------------------------------------------------------------- */

static int64_t below(struct rt_rng *r, int64_t n)
{
    return (int64_t)rt_rng_below(r, (uint64_t)n);
}

static void draw_pool(struct model *m, struct rt_rng *r, int role, int count, char *keys,
                      size_t size)
{
    int64_t block = 1 + below(r, 9), blocks = (160 + below(r, 200)) / block + 2;
    int64_t seats = 1 + below(r, 8), budget = seats + below(r, 60);
    size_t used = strlen(keys);
    for (int n = 0; n < count; n++)
        m->r[m->replicas++] = (struct replica){.blocks = blocks,
                                               .size = block,
                                               .seats = seats,
                                               .budget = budget,
                                               .end_ns = -1,
                                               .role = role};
    snprintf(keys + used, size - used,
             "%s{\"gpu\": \"h100-sxm\", \"role\": \"%s\", \"replicas\": %d, \"engine\": {"
             "\"policy\": \"chunked\", \"async_scheduling\": false, \"prefix_caching\": false,"
             " \"max_num_seqs\": %lld, \"max_num_batched_tokens\": %lld, \"block_size\": %lld,"
             " \"num_gpu_blocks\": %lld}}",
             role ? ", " : "", role ? "decode" : "prefill", count, (long long)seats,
             (long long)budget, (long long)block, (long long)blocks);
}

static void draw(struct model *m, struct rt_rng *r, char *keys, size_t size)
{
    static const double costs[2][5] = {{0.001, 3e-5, 1e-6, 2e-7, 1e-5}, {0.002, 0, 0, 0, 0}};
    memcpy(m->cost, costs[below(r, 2)], sizeof m->cost);
    m->hidden = below(r, 3) == 0;
    m->gb_per_s = exp(rt_rng_unit(r) * log(200)) * 0.5;
    m->latency_ns = 1000 * (1 + below(r, 400));
    snprintf(keys, size, "\"pools\": [");
    m->prefills = 1 + (int)below(r, 3);
    draw_pool(m, r, 0, m->prefills, keys, size);
    draw_pool(m, r, 1, 1 + (int)below(r, 3), keys, size);
    size_t used = strlen(keys);
    snprintf(
        keys + used, size - used,
        "], \"cost\": {\"kind\": \"linear\", \"coefficients_s\": [%.17g, %.17g, %.17g, %.17g,"
        " %.17g]}, \"router\": \"round_robin\", \"decode_router\": \"round_robin\","
        " \"kv_transfer\": {\"gb_per_s\": %.17g, \"latency_us\": %lld, \"first_token\": \"%s\"}",
        m->cost[0], m->cost[1], m->cost[2], m->cost[3], m->cost[4], m->gb_per_s,
        (long long)(m->latency_ns / 1000), m->hidden ? "decode" : "prefill");
}

static void draw_load(struct model *m, struct rt_rng *r, struct rt_request *requests)
{
    int64_t at = 0, gap = 100000 + below(r, 9000000);
    m->count = 1 + (int)below(r, MAX_REQUESTS);
    for (int i = 0; i < m->count; i++) {
        at += below(r, 4) == 0 ? 0 : below(r, gap);
        m->q[i] = (struct request){.arrival_ns = at,
                                   .prompt = 1 + below(r, 90),
                                   .output = 1 + below(r, below(r, 2) ? 60 : 4),
                                   .replica = {-1, -1},
                                   .scheduled_ns = -1,
                                   .first_ns = -1,
                                   .ready_ns = -1,
                                   .finish_ns = -1,
                                   .prefilled_ns = -1,
                                   .arrives_ns = -1,
                                   .max_gap_ns = -1};
        requests[i] = (struct rt_request){.id = (uint64_t)i,
                                          .arrival_ns = at,
                                          .prompt_tokens = m->q[i].prompt,
                                          .output_tokens = m->q[i].output,
                                          .deadline_ns = RT_NO_DEADLINE,
                                          .think_ns = -1};
    }
}

static int64_t or_never(int64_t ns)
{
    return ns < 0 ? RT_NEVER : ns;
}

static bool same(const struct request *q, const struct rt_finished *row)
{
    const struct rt_prefill_part *p = row->prefill;
    bool whole = q->replica[1] < 0;
    return row->status == RT_STATUS_OK && row->scheduled_ns == q->scheduled_ns &&
           row->first_token_ns == q->first_ns && row->finish_ns == q->finish_ns &&
           row->max_itl_ns == or_never(q->max_gap_ns) &&
           row->preemptions == (uint32_t)q->preemptions &&
           row->replica == (uint32_t)q->replica[whole ? 0 : 1] && (p == NULL) == whole &&
           (whole || (p->replica == (uint32_t)q->replica[0] && p->prefilled_ns == q->prefilled_ns &&
                      p->kv_ready_ns == q->ready_ns));
}

static void one_case(uint64_t seed, uint64_t *moved, uint64_t *preempted)
{
    struct model *m = calloc(1, sizeof *m);
    struct rt_request requests[MAX_REQUESTS];
    struct replay replay;
    char keys[3000];
    struct rt_rng r;
    assert_non_null(m);
    rt_rng_init(&r, seed, RT_RNG_TOOLS, 2);
    draw(m, &r, keys, sizeof keys);
    draw_load(m, &r, requests);
    run_model(m);
    struct array_load load = {.requests = requests, .count = (size_t)m->count};
    case_replay(keys, &load, seed % 2 == 0, SIZE_MAX, &replay);
    for (int i = 0; i < m->count; i++) {
        const struct request *q = &m->q[i];
        const struct rt_finished *row = case_row(&replay, (uint64_t)i);
        if (!same(q, row))
            fail_msg(
                "seed %llu, request %d: scheduled %lld and %lld, first %lld and %lld, KV %lld and"
                " %lld, finish %lld and %lld\n%s",
                (unsigned long long)seed, i, (long long)q->scheduled_ns,
                (long long)row->scheduled_ns, (long long)q->first_ns,
                (long long)row->first_token_ns, (long long)q->ready_ns,
                (long long)(row->prefill ? row->prefill->kv_ready_ns : -1), (long long)q->finish_ns,
                (long long)row->finish_ns, keys);
        *moved += row->prefill != NULL;
        *preempted += row->preemptions > 0;
    }
    case_release(&replay);
    free(m);
}

static void times_equal_the_plain_model(void **state)
{
    uint64_t seed = setting("RT_SEED", DEFAULT_SEED), cases = setting("RT_CASES", DEFAULT_CASES);
    uint64_t moved = 0, preempted = 0;
    (void)state;
    for (uint64_t n = 0; n < cases; n++)
        one_case(seed + n, &moved, &preempted);
    print_message("seeds %llu to %llu: %llu handed over, %llu preempted\n",
                  (unsigned long long)seed, (unsigned long long)(seed + cases - 1),
                  (unsigned long long)moved, (unsigned long long)preempted);
    assert_true(cases < DEFAULT_CASES || (moved > 1000 && preempted > 50));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(times_equal_the_plain_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
