/* replica/replica_spec.h: what one replica (replica.h) is built from: settings of its engine,
 * what its steps cost, its memory, its place in the fleet. Read only; the pointers outlive it. */
#ifndef RT_REPLICA_SPEC_H
#define RT_REPLICA_SPEC_H

#include <stdbool.h>
#include <stdint.h>

struct rt_cost;        /* cost.h */
struct rt_engine_spec; /* engine.h */
struct rt_token_stats; /* token_stats.h */

enum rt_role { /* pools[].role */
               RT_ROLE_MIXED,
               RT_ROLE_PREFILL, /* keeps the KV of prompts for who decodes: hand_over.h */
               RT_ROLE_DECODE,  /* takes requests whose KV comes from elsewhere */
               RT_ROLE_COUNT
};
extern const char *const rt_role_names[RT_ROLE_COUNT];

struct rt_replica_spec {
    const struct rt_engine_spec *engine; /* max_num_batched_tokens resolved, >= 1; outlives it */
    const struct rt_cost *cost;
    const struct rt_cost *draft_cost; /* of the draft model, without sliding windows; or NULL */
    int64_t kv_blocks;                /* > 0; of one rank, like the other blocks below */
    int64_t pipeline; /* stages: so many batches are under way at once; 0 and 1: no pipeline */
    int64_t ranks;    /* data parallel; 0 counts as 1 */
    bool together;    /* the ranks step together (rt_cost_ranks_together), also when it is one */
    /* Prefix caching: tokens a hash id names, a multiple of block_size; 0: the trace has none. */
    int64_t hash_block;
    /* Swap preemption: blocks that fit into CPU memory (0: always recompute), and what their copies
     * cost. Bytes and bandwidth of one GPU: all copy their part at once. */
    int64_t cpu_blocks;
    int64_t offload_blocks; /* prefix caching: blocks of the offload tier; 0: there is none */
    double block_bytes, pcie_bytes_per_s;
    uint32_t pool, index; /* as rows name it */
    enum rt_role role;
    bool silent;  /* prefill: the tokens it gives are thrown away and count nowhere */
    bool coast;   /* false: every step end is an event (tests, step records). So it is
                     with a pipeline, and where ranks step together */
    bool compact; /* one of very many: works things out twice rather than keep them; same results */
    struct rt_token_stats *stats; /* shared by the trial's replicas; outlives them */
};

#endif
