/* Every router of the table, pick by pick, against its definition computed the slow way on the same
 * view: random pools, replicas that come and go, random loads, prefixes and reports; and what no
 * single pick shows (spread, affinity, bounded memory). */
#include "rooftrace/router.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOLS    3u
#define REPLICAS 11u
#define PICKS    20000
#define HASHES   6u
#define NOTES    (PICKS * HASHES)

static const uint32_t sizes[POOLS] = {3, 1, 7};
static const int64_t limits[POOLS] = {100, 1000, INT64_MAX};

struct note { /* a hash id that went to a replica */
    uint64_t id, reports;
    uint32_t replica;
};

struct world { /* what a fleet keeps for its router */
    const struct rt_router_policy *policy;
    struct rt_replica_view replicas[REPLICAS];
    struct rt_candidates pools[POOLS];
    const struct rt_candidates *serving[POOLS];
    uint32_t ready[POOLS][REPLICAS];
    int64_t turn[REPLICAS], turns, cached[REPLICAS];
    struct rt_router_view view;
    struct rt_router_weights weights;
    struct rt_rng draws, routing;
    void *state;
    struct note *notes;
    size_t note_count;
};

static int64_t cached_tokens(void *fleet, uint32_t replica, const struct rt_request *req)
{
    const struct world *w = fleet;
    return w->cached[replica] < req->prompt_tokens ? w->cached[replica] : req->prompt_tokens;
}

static uint32_t pool_of(uint32_t replica)
{
    return replica < 3 ? 0 : replica < 4 ? 1 : 2;
}

static int64_t key_of(const struct world *w, uint32_t i)
{
    switch (w->policy->key) {
    case RT_KEY_OUTSTANDING:
        return w->replicas[i].outstanding;
    case RT_KEY_TURN:
        return w->turn[i];
    case RT_KEY_TOKENS:
        return w->replicas[i].tokens;
    case RT_KEY_KV:
        return (w->replicas[i].kv_blocks_used << 20) / w->replicas[i].kv_blocks;
    }
    return 0;
}

static bool is_ready(const struct world *w, uint32_t i)
{
    const struct rt_candidates *c = &w->pools[pool_of(i)];
    return rt_heap_has(&c->by_key, i - c->first);
}

static void set_ready(struct world *w, uint32_t i, bool ready)
{
    struct rt_candidates *c = &w->pools[pool_of(i)];
    if (ready)
        rt_heap_set(&c->by_key, i - c->first, key_of(w, i), i - c->first);
    else
        rt_heap_remove(&c->by_key, i - c->first);
    c->count = 0;
    for (uint32_t k = c->first; k < c->first + c->replicas; k++)
        if (rt_heap_has(&c->by_key, k - c->first))
            c->ready[c->count++] = k;
}

static void settle(struct world *w, uint32_t i)
{
    if (is_ready(w, i))
        set_ready(w, i, true);
}

static struct world *world_new(const struct rt_router_policy *policy, bool stale, uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    uint32_t first = 0;
    assert_non_null(w);
    w->policy = policy;
    w->notes = malloc(NOTES * sizeof w->notes[0]);
    w->state = calloc(1, policy->state_bytes + 1);
    assert_true(w->notes && w->state && (!policy->init || policy->init(w->state)));
    rt_rng_init(&w->draws, seed, RT_RNG_TOOLS, 0);
    rt_rng_init(&w->routing, seed, RT_RNG_ROUTING, 0);
    for (uint32_t p = 0; p < POOLS; first += sizes[p++]) {
        struct rt_candidates *c = &w->pools[p];
        *c = (struct rt_candidates){.ready = w->ready[p],
                                    .first = first,
                                    .replicas = sizes[p],
                                    .max_prompt_tokens = limits[p]};
        rt_heap_init(&c->by_key);
        assert_true(rt_heap_reserve(&c->by_key, sizes[p]));
    }
    for (uint32_t i = 0; i < REPLICAS; i++) {
        w->replicas[i].kv_blocks = 100 + (int64_t)pool_of(i);
        set_ready(w, i, true);
    }
    w->weights = (struct rt_router_weights){1, 0.5, 2, 1, 3};
    w->view = (struct rt_router_view){.replicas = w->replicas,
                                      .pools = w->serving,
                                      .rng = &w->routing,
                                      .stale = stale,
                                      .weights = &w->weights,
                                      .cached_tokens = cached_tokens,
                                      .fleet = w};
    return w;
}

static void world_free(struct world *w)
{
    if (w->policy->release)
        w->policy->release(w->state);
    for (uint32_t p = 0; p < POOLS; p++)
        rt_heap_release(&w->pools[p].by_key);
    free(w->state);
    free(w->notes);
    free(w);
}

/* The pools that serve the next request: some, with a candidate among them. */
static void serve(struct world *w, uint64_t mask)
{
    do {
        w->view.pool_count = w->view.ready = 0;
        for (uint32_t p = 0; p < POOLS; p++)
            if (mask >> p & 1) {
                w->serving[w->view.pool_count++] = &w->pools[p];
                w->view.ready += w->pools[p].count;
            }
        mask = rt_rng_below(&w->draws, 8);
    } while (w->view.ready == 0);
}

static void shake(struct world *w)
{
    struct rt_rng *r = &w->draws;
    uint32_t i = (uint32_t)rt_rng_below(r, REPLICAS);
    struct rt_replica_view *v = &w->replicas[i];
    v->outstanding = (uint32_t)rt_rng_below(r, rt_rng_below(r, 20) ? 6 : 90);
    v->tokens = (int64_t)rt_rng_below(r, 40);
    v->running = (int64_t)rt_rng_below(r, 5);
    v->waiting = (int64_t)rt_rng_below(r, 5);
    v->kv_blocks_used = (int64_t)rt_rng_below(r, (uint64_t)v->kv_blocks + 1);
    w->cached[i] = (int64_t)(16 * rt_rng_below(r, 4));
    settle(w, i);
    i = (uint32_t)rt_rng_below(r, REPLICAS);
    if (i > 0 && rt_rng_below(r, 4) == 0) /* number 0 is always there */
        set_ready(w, i, !is_ready(w, i));
    w->view.reports += rt_rng_below(r, 5) == 0;
}

/* ---- definitions ----------------------------------------------------------------------------- */

/* Candidates in the order of their pools and numbers. */
static uint32_t candidates(const struct world *w, uint32_t *out)
{
    uint32_t count = 0;
    for (uint32_t p = 0; p < w->view.pool_count; p++)
        for (uint32_t i = 0; i < REPLICAS; i++)
            if (&w->pools[pool_of(i)] == w->view.pools[p] && is_ready(w, i))
                out[count++] = i;
    return count;
}

static uint32_t least(const struct world *w, int64_t (*key)(const struct world *, uint32_t))
{
    uint32_t list[REPLICAS] = {0}, n = candidates(w, list), best = list[0];
    for (uint32_t k = 1; k < n; k++)
        if (key(w, list[k]) < key(w, best))
            best = list[k];
    return best;
}

static int64_t outstanding(const struct world *w, uint32_t i)
{
    return w->replicas[i].outstanding;
}

static int64_t turn(const struct world *w, uint32_t i)
{
    return w->turn[i];
}

static int64_t tokens(const struct world *w, uint32_t i)
{
    return w->replicas[i].tokens;
}

static int64_t kv_parts(const struct world *w, uint32_t i) /* of 2^20 */
{
    return w->replicas[i].kv_blocks_used * 1048576 / w->replicas[i].kv_blocks;
}

static uint32_t by_length(const struct world *w, int64_t prompt)
{
    uint32_t list[REPLICAS] = {0}, n = candidates(w, list), best = UINT32_MAX;
    int64_t limit = -1, largest = 0;
    for (uint32_t k = 0; k < n; k++) {
        int64_t l = limits[pool_of(list[k])];
        largest = l > largest ? l : largest;
        if (prompt <= l && (limit < 0 || l < limit))
            limit = l;
    }
    limit = limit < 0 ? largest : limit;
    for (uint32_t k = 0; k < n; k++)
        if (limits[pool_of(list[k])] == limit &&
            (best == UINT32_MAX || outstanding(w, list[k]) < outstanding(w, best)))
            best = list[k];
    return best;
}

/* Where the id went last, of what was noted before the last report. */
static uint32_t noted(const struct world *w, uint64_t id)
{
    for (size_t n = w->note_count; n-- > 0;)
        if (w->notes[n].id == id && w->notes[n].reports < w->view.reports)
            return w->notes[n].replica;
    return UINT32_MAX;
}

static uint32_t remembered(const struct world *w, const struct rt_request *req, uint32_t *run)
{
    uint32_t found = UINT32_MAX;
    *run = 0;
    for (uint32_t h = 0; h < req->hash_count && noted(w, req->hash_ids[h]) != UINT32_MAX; h++) {
        found = noted(w, req->hash_ids[h]);
        *run = h + 1;
    }
    return found;
}

static uint32_t by_prefix(const struct world *w, const struct rt_request *req)
{
    uint32_t list[REPLICAS] = {0}, n = candidates(w, list), low = least(w, outstanding), run;
    uint32_t best = UINT32_MAX;
    int64_t most = 0;
    if (w->view.stale) {
        best = remembered(w, req, &run);
        bool there = false;
        for (uint32_t k = 0; k < n; k++)
            there = there || list[k] == best;
        best = there ? best : UINT32_MAX;
    }
    for (uint32_t k = 0; !w->view.stale && req->hash_count > 0 && k < n; k++) {
        int64_t have = cached_tokens((void *)w, list[k], req);
        if (have > most ||
            (have == most && have > 0 &&
             (outstanding(w, list[k]) < outstanding(w, best) ||
              (outstanding(w, list[k]) == outstanding(w, best) && list[k] < best)))) {
            most = have;
            best = list[k];
        }
    }
    if (best == UINT32_MAX)
        return low;
    bool busy = outstanding(w, best) > outstanding(w, low) + 32 &&
                2 * outstanding(w, best) > 3 * outstanding(w, low);
    return busy ? low : best;
}

static double goodness(const struct world *w, uint32_t i,
                       int64_t (*value)(const struct world *, uint32_t))
{
    uint32_t list[REPLICAS] = {0}, n = candidates(w, list);
    int64_t low = INT64_MAX, high = INT64_MIN;
    for (uint32_t k = 0; k < n; k++) {
        low = value(w, list[k]) < low ? value(w, list[k]) : low;
        high = value(w, list[k]) > high ? value(w, list[k]) : high;
    }
    return low == high ? 1 : (double)(high - value(w, i)) / (double)(high - low);
}

static int64_t waiting(const struct world *w, uint32_t i)
{
    return w->replicas[i].waiting;
}

static uint32_t by_score(const struct world *w, const struct rt_request *req)
{
    uint32_t list[REPLICAS] = {0}, n = candidates(w, list), best = list[0], run = 0,
             known = UINT32_MAX;
    double highest = -1;
    if (w->view.stale)
        known = remembered(w, req, &run);
    for (uint32_t k = 0; k < n; k++) {
        const struct rt_replica_view *v = &w->replicas[list[k]];
        double free_kv = 1 - (double)v->kv_blocks_used / (double)v->kv_blocks, prefix = 0;
        if (req->hash_count > 0 && !w->view.stale)
            prefix = (double)cached_tokens((void *)w, list[k], req) / (double)req->prompt_tokens;
        else if (list[k] == known)
            prefix = (double)run / (double)req->hash_count;
        double s = w->weights.outstanding * goodness(w, list[k], outstanding) +
                   w->weights.waiting * goodness(w, list[k], waiting) +
                   w->weights.tokens * goodness(w, list[k], tokens) + w->weights.kv * free_kv +
                   w->weights.prefix * prefix;
        if (s > highest || (s == highest && list[k] < best)) {
            highest = s;
            best = list[k];
        }
    }
    return best;
}

static uint32_t of_two(const struct world *w, struct rt_rng *rng)
{
    uint32_t list[REPLICAS] = {0}, n = candidates(w, list);
    uint32_t first = (uint32_t)rt_rng_below(rng, n);
    if (n == 1)
        return list[0];
    uint32_t other = (uint32_t)rt_rng_below(rng, n - 1);
    other += other >= first;
    return outstanding(w, list[other]) < outstanding(w, list[first]) ? list[other] : list[first];
}

/* RT_HEAP_NONE: this router has no definition here. */
static uint32_t defined(const struct world *w, const struct rt_request *req)
{
    const char *name = w->policy->name;
    uint32_t list[REPLICAS] = {0}, n = candidates(w, list);
    struct rt_rng rng = w->routing; /* the draws to come */
    if (strcmp(name, "round_robin") == 0)
        return least(w, turn);
    if (strcmp(name, "random") == 0)
        return list[rt_rng_below(&rng, n)];
    if (strcmp(name, "least_outstanding") == 0)
        return least(w, outstanding);
    if (strcmp(name, "least_tokens") == 0)
        return least(w, tokens);
    if (strcmp(name, "least_kv") == 0)
        return least(w, kv_parts);
    if (strcmp(name, "power_of_two") == 0)
        return of_two(w, &rng);
    if (strcmp(name, "length_based") == 0)
        return by_length(w, req->prompt_tokens);
    if (strcmp(name, "prefix_affinity") == 0)
        return by_prefix(w, req);
    if (strcmp(name, "weighted") == 0)
        return by_score(w, req);
    return RT_HEAP_NONE;
}

/* ---- pick by pick ---------------------------------------------------------------------------- */

static void draw_request(struct world *w, struct rt_request *req, uint64_t *ids, char *session)
{
    struct rt_rng *r = &w->draws;
    uint64_t family = rt_rng_below(r, 5), shared = rt_rng_below(r, HASHES + 1);
    *req = (struct rt_request){.prompt_tokens = (int64_t)(1 + rt_rng_below(r, 1500)),
                               .output_tokens = 1,
                               .hash_ids = ids,
                               .hash_count = (uint32_t)rt_rng_below(r, HASHES + 1)};
    for (uint64_t h = 0; h < HASHES; h++)
        ids[h] = h < shared ? 100 * family + h : 1000 + 64 * rt_rng_below(r, 30) + h;
    if (rt_rng_below(r, 2)) {
        snprintf(session, 16, "s%llu", (unsigned long long)rt_rng_below(r, 40));
        req->session = session;
    }
}

static void note(struct world *w, const struct rt_request *req, uint32_t replica)
{
    for (uint32_t h = 0; h < req->hash_count; h++)
        w->notes[w->note_count++] =
            (struct note){.id = req->hash_ids[h], .reports = w->view.reports, .replica = replica};
    if (w->note_count > NOTES - HASHES) /* what is older does not matter: ids come back often */
        w->note_count = 0;
}

static uint32_t pick(struct world *w, const struct rt_request *req)
{
    uint32_t i = w->policy->pick(w->state, &w->view, req);
    assert_in_range(i, 0, REPLICAS - 1);
    w->turn[i] = ++w->turns;
    settle(w, i);
    return i;
}

static uint32_t checked_picks(const struct rt_router_policy *policy, bool stale, uint64_t seed)
{
    struct world *w = world_new(policy, stale, seed);
    uint32_t compared = 0, picks = policy->sees & RT_SEES_PREFIX && stale ? PICKS / 20 : PICKS;
    for (uint32_t n = 0; n < picks; n++) {
        struct rt_request req;
        uint64_t ids[HASHES];
        char session[16];
        shake(w);
        serve(w, rt_rng_below(&w->draws, 8));
        draw_request(w, &req, ids, session);
        uint32_t expected = defined(w, &req), have = pick(w, &req);
        compared += expected != RT_HEAP_NONE;
        if (expected != RT_HEAP_NONE && have != expected)
            fail_msg("%s, seed %llu, pick %u: %u, expected %u", policy->name,
                     (unsigned long long)seed, n, have, expected);
        bool serves = false;
        for (uint32_t p = 0; p < w->view.pool_count; p++)
            serves = serves || w->view.pools[p] == &w->pools[pool_of(have)];
        assert_true(serves && is_ready(w, have));
        note(w, &req, have);
    }
    world_free(w);
    return compared;
}

static void every_router_picks_as_defined(void **state)
{
    (void)state;
    for (unsigned p = 0; p < rt_router_count(); p++)
        for (int stale = 0; stale < 2; stale++) {
            const struct rt_router_policy *policy = rt_router_at(p);
            uint32_t compared = checked_picks(policy, stale, 100 + p);
            assert_true(strlen(policy->help) > 0);
            assert_true(compared > 0 || strcmp(policy->name, "session_affinity") == 0);
        }
}

/* ---- over many picks ------------------------------------------------------------------------- */

static const struct rt_router_policy *named(const char *name)
{
    for (unsigned i = 0; i < rt_router_count(); i++)
        if (strcmp(rt_router_at(i)->name, name) == 0)
            return rt_router_at(i);
    fail_msg("no router %s", name);
    return NULL;
}

static void round_robin_goes_round(void **state)
{
    (void)state;
    struct world *w = world_new(named("round_robin"), false, 1);
    struct rt_request req = {.prompt_tokens = 1, .output_tokens = 1};
    serve(w, 7);
    for (uint32_t n = 0; n < 3 * REPLICAS; n++)
        assert_int_equal(pick(w, &req), n % REPLICAS);
    world_free(w);
}

static void random_ones_are_equally_likely(void **state)
{
    (void)state;
    struct world *w = world_new(named("random"), false, 1);
    struct rt_request req = {.prompt_tokens = 1, .output_tokens = 1};
    uint32_t times[REPLICAS] = {0};
    double chi2 = 0, mean = 1.0 * PICKS / REPLICAS;
    serve(w, 7);
    for (uint32_t n = 0; n < PICKS; n++)
        times[pick(w, &req)]++;
    for (uint32_t i = 0; i < REPLICAS; i++)
        chi2 += (times[i] - mean) * (times[i] - mean) / mean;
    assert_true(chi2 < 29.6); /* 10 degrees of freedom, p = 0.001 */
    world_free(w);
}

#define SESSIONS 2000u

static void place_sessions(struct world *w, uint32_t *where)
{
    serve(w, 7);
    for (uint32_t s = 0; s < SESSIONS; s++) {
        char text[16];
        struct rt_request req = {.prompt_tokens = 1, .output_tokens = 1, .session = text};
        snprintf(text, sizeof text, "user-%u", s);
        where[s] = pick(w, &req);
    }
}

static void sessions_stay_where_they_are(void **state)
{
    (void)state;
    struct world *w = world_new(named("session_affinity"), false, 1);
    uint32_t before[SESSIONS], without[SESSIONS], again[SESSIONS], held[REPLICAS] = {0};
    uint32_t scattered[REPLICAS] = {0};
    place_sessions(w, before);
    for (uint32_t s = 0; s < SESSIONS; s++)
        held[before[s]]++;
    for (uint32_t i = 0; i < REPLICAS; i++)
        assert_in_range(held[i], 130, 240); /* 182 in the mean, standard deviation 13 */
    set_ready(w, 5, false);
    place_sessions(w, without);
    for (uint32_t s = 0; s < SESSIONS; s++) {
        if (before[s] != 5)
            assert_int_equal(without[s], before[s]);
        else
            scattered[without[s]]++;
    }
    for (uint32_t i = 0; i < REPLICAS; i++)
        assert_in_range(scattered[i], i == 5 ? 0 : 4, i == 5 ? 0 : 45);
    set_ready(w, 5, true);
    place_sessions(w, again);
    assert_memory_equal(again, before, sizeof before);
    world_free(w);
}

/* More ids than it remembers: the newest are found, the oldest are not. */
static void the_prefix_memory_is_bounded(void **state)
{
    (void)state;
    struct world *w = world_new(named("prefix_affinity"), true, 1);
    uint64_t id = 0;
    struct rt_request req = {
        .prompt_tokens = 1, .output_tokens = 1, .hash_ids = &id, .hash_count = 1};
    serve(w, 7);
    w->replicas[0].outstanding = 1;
    for (uint32_t i = 1; i < REPLICAS; i++)
        w->replicas[i].outstanding = 2;
    for (uint32_t i = 0; i < REPLICAS; i++)
        settle(w, i);
    for (id = 1; id <= 700000; id++)
        assert_int_equal(pick(w, &req), 0);
    w->view.reports++;
    w->replicas[0].outstanding = 3;
    settle(w, 0);
    id = 700000;
    assert_int_equal(pick(w, &req), 0);
    id = 700000 - 524288 + 1;
    assert_int_equal(pick(w, &req), 0);
    id = 700000 - 524288;
    assert_int_equal(pick(w, &req), 1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_router_picks_as_defined),
        cmocka_unit_test(round_robin_goes_round),
        cmocka_unit_test(random_ones_are_equally_likely),
        cmocka_unit_test(sessions_stay_where_they_are),
        cmocka_unit_test(the_prefix_memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
