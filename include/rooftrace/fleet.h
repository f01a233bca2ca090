/* fleet/fleet.h: pools of replicas behind a router. Knows no event queue: the simulation asks for
 * each replica's next instant and calls back in. An arrival is O(log replicas). */
#ifndef RT_FLEET_H
#define RT_FLEET_H

#include "rooftrace/err.h"
#include "rooftrace/finished.h"
#include "rooftrace/memory.h"
#include "rooftrace/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rt_cost;        /* cost.h */
struct rt_fleet_spec;  /* fleet_spec.h */
struct rt_progress;    /* crash.h */
struct rt_replica;     /* replica.h */
struct rt_source;      /* source.h */
struct rt_token_stats; /* token_stats.h */

/* What a pool became: stored with the run. */
struct rt_pool_plan {
    struct rt_memory_plan memory; /* with the draft model's weights and KV; blocks: as derived; all
                                     0 bytes when num_gpu_blocks was given with a linear cost */
    int64_t kv_blocks;            /* in force, of one data parallel rank, as the two below */
    int64_t cpu_kv_blocks;        /* swap preemption: blocks that fit into CPU memory */
    int64_t offload_blocks;       /* prefix caching: likewise, of the offload tier */
    int64_t max_num_batched_tokens;
    int64_t gpus; /* physical, of one replica */
    uint32_t first_replica, replicas;
};

enum rt_replica_state {
    RT_REPLICA_READY,    /* takes requests; all are in the beginning */
    RT_REPLICA_DRAINING, /* serves what it has */
    RT_REPLICA_DOWN
};

struct rt_fleet;

/* Beyond so many replicas (of some 8 KB each, as they take turns) the processor's caches do not
 * hold them: then what can be worked out is not kept, and memory is asked for ahead. Same results.
 */
#define RT_MANY_REPLICAS 256

struct rt_fleet_use { /* what a trial adds to the spec; see rt_replica_spec */
    bool coast;
    int64_t
        hash_block; /* tokens a hash id of the trace names; 0: as many as an engine block holds */
    struct rt_token_stats *stats;   /* outlives the fleet */
    uint64_t seed;                  /* of the routing stream */
    const struct rt_source *source; /* texts of model names; outlives the fleet; NULL: none */
};

/* Builds cost tables and replicas. RT_ECONFIG when a model does not fit or limits are exceeded. */
bool rt_fleet_new(const struct rt_fleet_spec *spec, const struct rt_fleet_use *use,
                  struct rt_fleet **out, struct rt_err *err) RT_MUST_USE;
void rt_fleet_free(struct rt_fleet *f);
uint32_t rt_fleet_replicas(const struct rt_fleet *f);
struct rt_replica *rt_fleet_replica(const struct rt_fleet *f, uint32_t i);
uint32_t rt_fleet_pools(const struct rt_fleet *f);
const struct rt_pool_plan *rt_fleet_pool(const struct rt_fleet *f, uint32_t pool);
/* The pool of a replica. O(log pools). */
uint32_t rt_fleet_pool_of(const struct rt_fleet *f, uint32_t i);
const struct rt_cost *rt_fleet_cost(const struct rt_fleet *f, uint32_t pool);

/* There will be an arrival soon: rt_replica_prefetch of the replica that most routers would pick
 * now if nothing else happened. */
void rt_fleet_prefetch(const struct rt_fleet *f);
/* An arrival: admission, router, replica. The answer as for rt_replica_push, or RT_REASON_MODEL
 * (no pool serves the model it names), RT_REASON_ADMISSION, RT_REASON_UNAVAILABLE (no replica
 * takes requests). *replica is where it went, or was turned away; RT_NO_REPLICA: nowhere. */
enum rt_reason rt_fleet_push(struct rt_fleet *f, const struct rt_request *req, int64_t now_ns,
                             uint32_t *replica, struct rt_err *err);
/* One that was let in before and waited for a replica, or lost its own (past: what it has behind
 * it, or NULL): admission control does not count it again. */
enum rt_reason rt_fleet_push_again(struct rt_fleet *f, const struct rt_request *req,
                                   const struct rt_progress *past, int64_t now_ns,
                                   uint32_t *replica, struct rt_err *err);
/* These requests left replica i: keeps the router's view. */
void rt_fleet_left(struct rt_fleet *f, uint32_t i, const struct rt_finished *rows, size_t count);
/* Every so often each replica reports to the router; 0: not wanted. */
int64_t rt_fleet_report_interval_ns(const struct rt_fleet *f);
void rt_fleet_report(struct rt_fleet *f, int64_t now_ns); /* O(replicas) */
/* Routers pick ready replicas only; what is there stays. */
void rt_fleet_set_state(struct rt_fleet *f, uint32_t i, enum rt_replica_state state);
enum rt_replica_state rt_fleet_state(const struct rt_fleet *f, uint32_t i);

#endif
