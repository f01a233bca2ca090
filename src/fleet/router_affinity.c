/* Routers that send what belongs together to one place: turns of a session, and prompts that begin
 * alike.
 *
 * session_affinity is a consistent hash (jump hash: Lamping and Veach, "A fast, minimal memory,
 * consistent hash algorithm", 2014) over all replicas of the model's pools; a place that takes no
 * requests now is passed over by hashing again, so only its own sessions move. O(log replicas).
 *
 * prefix_affinity without reports asks every candidate's prefix cache: O(candidates), a look-up
 * each where nothing is found. With reports it goes by its own memory of where it sent each prefix,
 * as of the last report: O(hash ids of the prompt); see prefix_memory.c. Either way a replica far
 * busier than the least busy one is avoided. */
#include "fleet_internal.h"

#include "prefix_internal.h"

#define TRIES 64 /* of session hashes that meet replicas which take no requests */
/* Affinity ends where load is out of balance: more outstanding requests than BUSIER and than
 * BUSIER_TIMES as many as the least busy candidate has. */
#define BUSIER       32u
#define BUSIER_TIMES 1.5

/* ---- sessions -------------------------------------------------------------------------------- */

static uint64_t hash_text(const char *text)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a, 64 bits */
    for (; *text != '\0'; text++)
        h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return h;
}

static uint32_t jump_hash(uint64_t key, uint32_t buckets)
{
    int64_t at = -1, next = 0;
    while (next < buckets) {
        at = next;
        key = key * UINT64_C(2862933555777941757) + 1;
        next = (int64_t)((double)(at + 1) * (2147483648.0 / (double)((key >> 33) + 1)));
    }
    return (uint32_t)at;
}

/* Number `n` of all replicas of the pools; UINT32_MAX when it takes no requests. */
static uint32_t place(const struct rt_router_view *view, uint32_t n)
{
    uint32_t p = 0;
    for (; n >= view->pools[p]->replicas; p++)
        n -= view->pools[p]->replicas;
    return rt_heap_has(&view->pools[p]->by_key, n) ? view->pools[p]->first + n : UINT32_MAX;
}

static uint32_t pick_by_session(void *state, const struct rt_router_view *view,
                                const struct rt_request *req)
{
    uint32_t all = 0;
    (void)state;
    if (!req->session)
        return rt_router_least(view);
    for (uint32_t p = 0; p < view->pool_count; p++)
        all += view->pools[p]->replicas;
    uint64_t key = hash_text(req->session);
    for (int n = 0; n < TRIES; n++) {
        uint32_t replica = place(view, jump_hash(key + (uint64_t)n, all));
        if (replica != UINT32_MAX)
            return replica;
    }
    return rt_router_least(view);
}

const struct rt_router_policy session_affinity = {
    .name = "session_affinity",
    .help = "all turns of a session to one replica, by a hash of its id; others least_outstanding",
    .pick = pick_by_session,
};

/* ---- prefixes -------------------------------------------------------------------------------- */

static bool too_busy(const struct rt_router_view *view, uint32_t replica, uint32_t least)
{
    uint32_t have = view->replicas[replica].outstanding, low = view->replicas[least].outstanding;
    return have > low + BUSIER && (double)have > BUSIER_TIMES * (double)low;
}

/* The candidate whose cache holds the most, of equals the least busy, then the first; UINT32_MAX:
 * none holds anything. */
static uint32_t holds_most(const struct rt_router_view *view, const struct rt_request *req)
{
    uint32_t best = UINT32_MAX;
    int64_t most = 0;
    for (uint32_t n = 0; n < view->ready; n++) {
        uint32_t i = rt_router_nth(view, n);
        int64_t held = view->cached_tokens(view->fleet, i, req);
        uint32_t load = view->replicas[i].outstanding;
        if (held == 0 || held < most)
            continue;
        uint32_t best_load = best == UINT32_MAX ? 0 : view->replicas[best].outstanding;
        if (held > most || load < best_load || (load == best_load && i < best)) {
            most = held;
            best = i;
        }
    }
    return best;
}

bool router_is_candidate(const struct rt_router_view *view, uint32_t replica)
{
    for (uint32_t p = 0; p < view->pool_count; p++) {
        uint32_t n = replica - view->pools[p]->first; /* wraps around below it */
        if (n < view->pools[p]->replicas)
            return rt_heap_has(&view->pools[p]->by_key, n);
    }
    return false;
}

static uint32_t pick_by_prefix(void *state, const struct rt_router_view *view,
                               const struct rt_request *req)
{
    struct prefix_memory **memory = state;
    uint32_t least = rt_router_least(view), found, run;
    if (view->stale) {
        found = prefix_memory_find(*memory, req, view->reports, &run);
        if (found != UINT32_MAX && !router_is_candidate(view, found))
            found = UINT32_MAX;
    } else {
        found = req->hash_count > 0 ? holds_most(view, req) : UINT32_MAX;
    }
    if (found == UINT32_MAX || too_busy(view, found, least))
        found = least;
    if (view->stale)
        prefix_memory_note(*memory, req, found, view->reports);
    return found;
}

bool router_init_memory(void *state)
{
    struct prefix_memory **memory = state;
    return (*memory = prefix_memory_new(PREFIX_MEMORY_IDS)) != NULL;
}

void router_release_memory(void *state)
{
    struct prefix_memory **memory = state;
    prefix_memory_free(*memory);
}

const struct rt_router_policy prefix_affinity = {
    .name = "prefix_affinity",
    .help = "where most of the prompt's prefix is cached, unless that replica is far busier",
    .sees = RT_SEES_PREFIX,
    .state_bytes = sizeof(struct prefix_memory *),
    .init = router_init_memory,
    .release = router_release_memory,
    .pick = pick_by_prefix,
};
