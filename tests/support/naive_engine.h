/* support/naive_engine.h: the plain model of one serving engine, for tests only.
 *
 * A literal translation of the 16 rules of docs/engine.md: lists that are walked, one token at a
 * time, every KV block with its own number. It shares no code with src/replica, so that agreement
 * means something. A step costs O(batch + queue); the running time is of no concern.
 *
 * It knows more than the product does: asynchronous scheduling with surplus steps. It trusts its
 * caller: bad parameters and no memory abort the test.
 */
#ifndef NAIVE_ENGINE_H
#define NAIVE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum naive_policy {
    NAIVE_STATIC,
    NAIVE_CONTINUOUS,
    NAIVE_PREFILL_FIRST,
    NAIVE_SARATHI,
    NAIVE_CHUNKED,
    NAIVE_POLICY_COUNT
};
extern const char *const naive_policy_names[NAIVE_POLICY_COUNT];

enum naive_order { NAIVE_FCFS, NAIVE_PRIORITY, NAIVE_SHORTEST, NAIVE_DEADLINE, NAIVE_ORDER_COUNT };
extern const char *const naive_order_names[NAIVE_ORDER_COUNT];

enum naive_status { NAIVE_OK, NAIVE_REJECTED_KV, NAIVE_REJECTED_PROMPT };
extern const char *const naive_status_names[3];

#define NAIVE_MAX_DRAFTS 8

struct naive_params {
    enum naive_policy policy;
    int64_t kv_blocks, block_size, max_seqs, max_batched_tokens;
    int64_t chunk;      /* sarathi */
    int64_t hash_block; /* tokens a hash id names; 0 = block_size */
    bool run_ahead;     /* asynchronous scheduling, chunked only */
    bool surplus;       /* with run_ahead: the end is not foreseen */
    bool prefix_cache;  /* chunked only */
    double watermark;   /* prefill_first, sarathi */
    double cost_s[5];   /* rule 5 */
    enum naive_order order;
    int64_t aging_ns; /* orders other than fcfs */
    bool swap;        /* preempted sequences go to CPU memory while it has room */
    int64_t cpu_blocks;
    int64_t offload_blocks; /* prefix cache: CPU memory for blocks that lose their name */
    double block_bytes, pcie_bytes_per_s;
    int64_t
        drafts; /* speculative decoding, 0: none; static, continuous, chunked without the cache */
    double acceptance[NAIVE_MAX_DRAFTS];
    double draft_s_per_token;
    bool draft_model;
    double draft_cost_s[5]; /* of a step of the draft model */
    int64_t stages;         /* of a pipeline, equally long; 0 as 1 */
    int64_t ranks;          /* data parallel; 0 as 1 */
    bool together;          /* the ranks step together */
};

struct naive_request {                  /* its id is its place in the array */
    int64_t arrival_ns, prompt, output; /* 0 tokens act as 1 */
    const uint64_t *hash_ids;
    size_t hash_count;
    int64_t named; /* leading tokens that the ids name; the prompt's at least */
    int64_t priority;
    int64_t deadline_ns; /* since arrival; -1: none */
    /* results; times that never happened are -1 */
    int64_t scheduled_ns, first_token_ns, finish_ns;
    int64_t max_gap_ns; /* longest time between two of its tokens, -1 with fewer than two */
    int64_t cached;
    int64_t key_ns; /* its place in the queue, ties by (arrival, id) */
    uint32_t preemptions;
    enum naive_status status;
};

struct naive_step { /* sums over the batch; q new tokens, k tokens in KV before */
    uint32_t rank;
    uint64_t number; /* on its rank, times ranks, plus rank */
    int64_t start_ns, end_ns;
    int64_t own_ns;                       /* its duration without waiting for others */
    int64_t decodes, sequences, emitters; /* emitters: tokens that appear */
    int64_t computed, samples;            /* tokens through the model; sampled positions */
    int64_t prefill_tokens;               /* sum of q over prefill chunks */
    int64_t held;                         /* sum of k */
    int64_t decode_held;                  /* sum of k over decodes */
    int64_t area;                         /* sum of q*(2k+q+1)/2 over prefill chunks */
    int64_t tiles2;                       /* sum of ceil(q/64)*(2k+q+64) over prefill chunks */
    int64_t longest;                      /* largest q of a prefill chunk */
    int64_t kv_used, queue;               /* right after the step was scheduled */
};

struct naive_token { /* one output token */
    uint32_t request;
    int64_t time_ns;
    int64_t gap_ns; /* since the previous token of the request; -1: its first */
};

struct naive_away { /* a preemption: from the start of the step it made room for ... */
    uint32_t request;
    int64_t from_ns, to_ns; /* ... to that of the next step with the request */
};

struct naive_result {
    struct naive_step *steps;
    size_t step_count, step_capacity;
    struct naive_token *tokens; /* in the order they appeared */
    size_t token_count, token_capacity;
    struct naive_away *aways;
    size_t away_count, away_capacity;
    int64_t end_ns;
    uint64_t preemptions;
    int64_t computed_tokens;         /* through the model, recomputed ones included */
    int64_t swapped_out, swapped_in; /* blocks */
    int64_t offloaded, loaded;       /* blocks */
    int64_t kv_peak;                 /* most blocks used right after a step was scheduled */
};

/* Runs the whole trace; fills the results of requests[0..count) and *out. */
void naive_run(const struct naive_params *params, struct naive_request *requests, size_t count,
               struct naive_result *out);
void naive_result_release(struct naive_result *r);

#endif
