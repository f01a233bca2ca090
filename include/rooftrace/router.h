/* fleet/router.h: which replica serves a request. A policy sees a read-only view and answers the
 * number of a replica; it never calls the fleet. A new one touches two places: its code and the
 * table in router.c (a test may also put one of its own into rt_fleet_spec.router).
 *
 * The fleet keeps, pool by pool, the replicas that take requests in a heap ordered by the policy's
 * key, so that picking the least costs O(pools of the model), and an arrival O(log replicas). What
 * a policy weighs beyond its own counts (tokens, KV, prefixes) it sees as of each replica's last
 * report, router_view_interval_s; without one, as it is now. */
#ifndef RT_ROUTER_H
#define RT_ROUTER_H

#include "rooftrace/heap.h"
#include "rooftrace/request.h"
#include "rooftrace/rng.h"

#include <stddef.h>

struct rt_replica_view {  /* what the router knows of a replica */
    uint32_t outstanding; /* requests sent there and not yet done: its own count, always current */
    int64_t kv_blocks;    /* in all */
    /* as of the last report: */
    int64_t tokens;                           /* prompt tokens of the outstanding requests */
    int64_t running, waiting, kv_blocks_used; /* with RT_SEES_GAUGES only */
};

enum rt_router_key { /* what the heaps are ordered by, ties by number */
                     RT_KEY_OUTSTANDING,
                     RT_KEY_TURN,   /* when it was picked last; never first */
                     RT_KEY_TOKENS, /* as of the last report */
                     RT_KEY_KV      /* share of KV blocks in use, likewise */
};

enum rt_router_sees { /* flags */
                      RT_SEES_TOKENS = 1,
                      RT_SEES_GAUGES =
                          2, /* running, waiting, KV: without reports O(replicas) an arrival */
                      RT_SEES_PREFIX = 4
};

struct rt_candidates {         /* the replicas of one pool that take requests */
    struct rt_heap by_key;     /* items: number - first */
    uint32_t *ready;           /* the same, by number in the fleet, in any order */
    uint32_t count;            /* of them */
    uint32_t first, replicas;  /* of the pool, all */
    int64_t max_prompt_tokens; /* pools[].max_prompt_tokens, INT64_MAX: no limit */
};

struct rt_router_weights { /* scenario: router_weights; of router `weighted` */
    double outstanding, waiting, tokens, kv, prefix;
};

struct rt_router_view {
    const struct rt_replica_view *replicas; /* by number in the fleet */
    /* Pools that serve the request's model, in their order; at least one has a candidate. */
    const struct rt_candidates *const *pools;
    uint32_t pool_count;
    uint32_t ready;     /* candidates of all of them */
    struct rt_rng *rng; /* the routing stream */
    bool stale;         /* there are reports, and views change only with them */
    uint64_t reports;   /* so far */
    const struct rt_router_weights *weights;
    /* RT_SEES_PREFIX: leading prompt tokens that a replica's prefix cache holds now. */
    int64_t (*cached_tokens)(void *fleet, uint32_t replica, const struct rt_request *req);
    void *fleet;
};

struct rt_router_policy {
    const char *name, *help;
    enum rt_router_key key;
    unsigned sees;                /* enum rt_router_sees */
    size_t state_bytes;           /* zeroed by the fleet, passed back as state */
    bool (*init)(void *state);    /* or NULL; false: out of memory */
    void (*release)(void *state); /* or NULL */
    uint32_t (*pick)(void *state, const struct rt_router_view *view, const struct rt_request *req);
};

unsigned rt_router_count(void);
const struct rt_router_policy *rt_router_at(unsigned i);
/* The default, least_outstanding. */
const struct rt_router_policy *rt_router_default(void);

/* For policies: the candidate with the least key, the first of equals. O(pools). */
uint32_t rt_router_least(const struct rt_router_view *view);
/* The n-th candidate, n < view->ready, in any but a fixed order. O(pools). */
uint32_t rt_router_nth(const struct rt_router_view *view, uint32_t n);

#endif
