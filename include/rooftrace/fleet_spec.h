/* fleet/fleet_spec.h: what a scenario says of its fleet: pools, router, admission, retries. Names
 * of GPUs and models have become records, and every default that depends on them is resolved, so
 * that the spec alone says what fleet.h builds. Parsing is O(pools). */
#ifndef RT_FLEET_SPEC_H
#define RT_FLEET_SPEC_H

#include "rooftrace/cost.h"
#include "rooftrace/engine.h"
#include "rooftrace/err.h"
#include "rooftrace/gpu.h"
#include "rooftrace/json.h"
#include "rooftrace/kv_transfer.h"
#include "rooftrace/model.h"
#include "rooftrace/name.h"
#include "rooftrace/price.h"
#include "rooftrace/replica_spec.h"
#include "rooftrace/router.h"

#include <stdbool.h>
#include <stdint.h>

#define RT_MAX_REPLICAS      65536
#define RT_MAX_SERVED_MODELS 8

struct rt_catalog;     /* catalog.h */
struct rt_supply_spec; /* supply_spec.h */

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

void rt_fleet_spec_init(struct rt_fleet_spec *s);
void rt_fleet_spec_release(struct rt_fleet_spec *s);
/* Reads the keys `model`, `cost`, `pools`, `router*` and `admission` of a scenario document over *s
 * (initialised, without pools) and resolves every default that depends on GPU or model. Also after
 * a failure the caller releases *s. */
bool rt_fleet_spec_parse(const struct rt_json_at *root, const struct rt_catalog *catalog,
                         struct rt_fleet_spec *s, struct rt_err *err) RT_MUST_USE;
/* Weights as published; activations and KV in 16 bit: bf16, or fp16 where the model is published in
 * it or the GPU has no bf16 unit. */
struct rt_dtypes rt_pool_default_dtypes(const struct rt_gpu *gpu, const struct rt_model *model);
/* Default of engine.max_num_batched_tokens: 8192, 2048 below 40 GB of memory. */
int64_t rt_pool_default_step_tokens(const struct rt_gpu *gpu);

#endif
