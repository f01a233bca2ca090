/* replica/engine.h: settings of one serving engine: the scenario's section pools[].engine.
 * Names and defaults follow vLLM where they mean the same. */
#ifndef RT_ENGINE_H
#define RT_ENGINE_H

#include "rooftrace/err.h"
#include "rooftrace/json.h"

#define RT_MAX_BATCHED_TOKENS (INT64_C(1) << 22) /* so that sums of a step fit in 63 bits: with */
#define RT_MAX_KV_TOKENS      (INT64_C(1) << 40) /* KV tokens of a replica, q*k stays below 2^62 */
#define RT_MAX_CACHED_BLOCKS  (INT64_C(1) << 31) /* KV blocks with identities */
#define RT_MAX_NUM_SEQS       (INT64_C(1) << 20)
#define RT_MAX_BLOCK_SIZE     65536

/* A batching policy decides what the next step contains. One file each, one table: policies.c. */
struct rt_policy;
unsigned rt_policy_count(void);
const char *rt_policy_name(unsigned i);
/* A request whose KV comes from elsewhere can join its decodes: what a decode pool needs. */
bool rt_policy_takes_kv(unsigned i);
const char *rt_policy_help(unsigned i);

/* What becomes of a preempted sequence's KV. */
enum rt_preemption { RT_PREEMPTION_RECOMPUTE, RT_PREEMPTION_SWAP, RT_PREEMPTION_COUNT };
extern const char *const rt_preemption_names[RT_PREEMPTION_COUNT];

#define RT_MAX_DRAFT_TOKENS 64

struct rt_speculative {                     /* speculative decoding; all zero: none */
    int64_t draft_tokens;                   /* k, in a round */
    double acceptance[RT_MAX_DRAFT_TOKENS]; /* of the draft at a position, all before it accepted */
    double draft_s_per_token;               /* what drafting costs without a model of its own */
};

/* Does the host prepare a step while the GPU still runs the one before? Asynchronous scheduling
 * does; some engines with synchronous rules do, too (SGLang's overlap scheduler). */
enum rt_host_overlap { RT_HOST_AS_SCHEDULING, RT_HOST_WAITS, RT_HOST_OVERLAPS };

/* What multiplies routed experts. Triton's fused kernels take the experts that tokens touch; vLLM's
 * DeepGEMM path (fp8 in blocks) takes whole tiles of 128 rows of every expert of a GPU. */
enum rt_moe_backend { RT_MOE_BY_PRESET, RT_MOE_TRITON, RT_MOE_DEEP_GEMM, RT_MOE_BACKEND_COUNT };
const char *rt_moe_backend_name(enum rt_moe_backend b); /* RT_MOE_BY_PRESET: "triton" */

struct rt_preset; /* preset.h */

struct rt_engine_spec {
    const struct rt_preset
        *preset;           /* whose defaults these are, where no key said more; NULL: none */
    unsigned policy;       /* index for rt_policy_name; "chunked" */
    unsigned queue_order;  /* index for rt_queue_order_name (queue_order.h); "fcfs" */
    unsigned preemption;   /* enum rt_preemption; "recompute" */
    bool async_scheduling; /* schedule step n+1 while step n runs */
    enum rt_host_overlap host_overlap; /* rt_engine_overlaps_host; RT_HOST_AS_SCHEDULING */
    enum rt_moe_backend moe_backend;   /* fp8 experts; RT_MOE_BY_PRESET */
    bool cuda_graphs;                  /* false: the host launches every kernel; true */
    bool prefix_caching;               /* share KV blocks of equal prefixes */
    int64_t max_num_seqs;              /* running sequences at most; 256 */
    int64_t max_num_batched_tokens;    /* budget of a step; 0 = by memory: 8192, 2048 below 40 GB */
    int64_t chunk_tokens;              /* sarathi's budget; 512 */
    int64_t block_size;                /* tokens a KV block holds; 16 */
    int64_t num_gpu_blocks;            /* KV blocks; 0 = from memory */
    int64_t max_model_len;             /* prompt + output at most; 0 = no limit */
    double gpu_memory_utilization;     /* 0.9 */
    double watermark;     /* share of KV kept free at admission, prefill_first and sarathi; 0.01 */
    int64_t cpu_kv_bytes; /* CPU memory of a replica for swapped KV; 4 GiB */
    int64_t num_cpu_blocks; /* KV blocks there; 0 = from cpu_kv_bytes */
    int64_t offload_bytes;  /* CPU memory of a replica for evicted prefix blocks; 0 = none */
    struct rt_speculative speculative;
    double aging_s; /* what a priority level, or 1000 prompt tokens, is worth in the queue; 60 */
};

/* With the budget of a step resolved: chunked needs it to hold all sequences' tokens and drafts. */
bool rt_engine_budget_holds(const struct rt_engine_spec *e);
bool rt_engine_overlaps_host(const struct rt_engine_spec *e);
double rt_engine_tokens_per_round(
    const struct rt_engine_spec *e); /* mean, of a decode; 1 or more */

void rt_engine_init(struct rt_engine_spec *e);
/* Reads the section at `at` over *e; unknown keys and values are errors. */
bool rt_engine_parse(const struct rt_json_at *at, struct rt_engine_spec *e,
                     struct rt_err *err) RT_MUST_USE;

#endif
