/* fleet/fleet.h: pools of replicas behind a router. Knows no event queue: the simulation asks for
 * each replica's next instant and calls back in. An arrival is O(log replicas). */
#ifndef RT_FLEET_H
#define RT_FLEET_H

#include "rooftrace/kv_transfer.h"
#include "rooftrace/memory.h"
#include "rooftrace/replica.h"
#include "rooftrace/router.h"
#include "rooftrace/source.h"

#define RT_MAX_REPLICAS      65536
#define RT_MAX_SERVED_MODELS 8

/* Which price of the catalogue counts; the others say how far off it may be. */
enum rt_price_bound { RT_PRICE_TYPICAL, RT_PRICE_LOW, RT_PRICE_HIGH, RT_PRICE_BOUND_COUNT };
extern const char *const rt_price_bound_names[RT_PRICE_BOUND_COUNT]; /* "typical", "low", "high" */

/* What a physical GPU of a pool costs an hour. Scenario: pools[].price_usd_per_gpu_hour, or
 * pools[].pricing and price_bound. */
struct rt_pool_price {
    bool known; /* false: no price is known, and nothing below is meant */
    bool own;   /* the scenario's number, not the catalogue's */
    enum rt_pricing pricing;
    enum rt_price_bound bound;
    double usd_per_gpu_h, low, high; /* low <= usd_per_gpu_h <= high */
};

/* Watts of one GPU, 0: not known. busy_w: by default the board power, so energy is an upper bound.
 */
struct rt_pool_power {
    double idle_w, busy_w;
};

struct rt_power {                /* scenario: power */
    struct rt_pool_power of_gpu; /* for pools that say nothing */
    double pue;                  /* of the building: energy drawn / energy of the GPUs, >= 1 */
    double gco2_per_kwh;         /* of the grid */
    bool has_gco2;
};

struct rt_supply_spec; /* supply.h */

/* One pool: equal replicas of one model on one kind of GPU. Scenario: pools[]. */
struct rt_pool_spec {
    char name[RT_NAME_SIZE];
    struct rt_gpu gpu;
    struct rt_model model;
    struct rt_parallel parallel;
    struct rt_nodes nodes; /* boxes and network; zeros stand for the defaults of cost.h */
    struct rt_dtypes dtypes;
    int64_t replicas;
    enum rt_role role;
    struct rt_pool_price price;
    struct rt_pool_power power;
    struct rt_engine_spec engine;
    bool has_draft_model; /* speculative decoding */
    struct rt_model draft_model;
    /* Names under which requests may ask for it beside the model's own. */
    char served_models[RT_MAX_SERVED_MODELS][RT_NAME_SIZE];
    uint32_t served_count;
    int64_t max_prompt_tokens; /* router length_based; 0 = no limit */
    /* Owned; NULL: the replicas are there all the time. With autoscaling `replicas` are those of
     * the beginning. */
    struct rt_supply_spec *supply;
};

/* Who is turned away before reaching a replica: rejected, reason admission. 0 = not asked for.
 * Scenario: admission. */
struct rt_admission_spec {
    double requests_per_s, burst_requests;           /* token bucket: rate and depth, >= 1 */
    double prompt_tokens_per_s, burst_prompt_tokens; /* likewise, of prompt tokens */
    int64_t queue_limit; /* requests waiting at the replica that was picked */
    bool shed_late;      /* its first token would come after the objective for TTFT */
};

/* What becomes of a request whose replica is gone. */
enum rt_retry_mode {
    RT_RETRY_RESUME,  /* elsewhere; tokens that came out stay, their KV is computed again */
    RT_RETRY_RESTART, /* elsewhere, from its first token */
    RT_RETRY_FAIL,    /* it fails */
    RT_RETRY_MODE_COUNT
};
extern const char *const rt_retry_mode_names[RT_RETRY_MODE_COUNT]; /* "resume", ... */

struct rt_retry_spec { /* scenario: retry */
    enum rt_retry_mode mode;
    int64_t max_retries; /* of a request; beyond it fails */
    double delay_s;      /* until it is sent again */
};

struct rt_fleet_spec {
    struct rt_pool_spec *pools; /* owned */
    uint32_t pool_count;
    struct rt_cost_spec cost;
    const struct rt_router_policy *router;
    double router_view_interval_s; /* between reports; 0: the router sees everything as it is */
    struct rt_router_weights weights;
    const struct rt_router_policy *decode_router; /* with decode pools; NULL: the default */
    struct rt_kv_transfer_spec kv_transfer;
    struct rt_admission_spec admission;
    struct rt_power power;
    struct rt_retry_spec retry;
};

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

void rt_fleet_spec_init(struct rt_fleet_spec *s);
void rt_fleet_spec_release(struct rt_fleet_spec *s);
/* Reads the keys `model`, `cost`, `pools`, `router*` and `admission` of a scenario document over *s
 * (initialised, without pools) and resolves every default that depends on GPU or model. Also after
 * a failure the caller releases *s. */
bool rt_fleet_spec_parse(const struct rt_json_at *root, const struct rt_catalog *catalog,
                         struct rt_fleet_spec *s, struct rt_err *err) RT_MUST_USE;
/* price.c: the keys `power`, `pools[].power`, and those of struct rt_pool_price, over pools that
 * have their GPUs. RT_ECONFIG also for a price that is asked for by name and not known. */
bool rt_fleet_price_parse(const struct rt_json_at *root, struct rt_fleet_spec *s,
                          struct rt_err *err) RT_MUST_USE;
/* Weights as published; activations and KV in 16 bit: bf16, or fp16 where the model is published in
 * it or the GPU has no bf16 unit. */
struct rt_dtypes rt_pool_default_dtypes(const struct rt_gpu *gpu, const struct rt_model *model);
/* Default of engine.max_num_batched_tokens: 8192, 2048 below 40 GB of memory. */
int64_t rt_pool_default_step_tokens(const struct rt_gpu *gpu);

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
