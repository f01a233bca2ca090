/* support/naive_state.h: the state of the plain model, shared by its parts: naive_engine.c
 * forms batches, naive_run.c lets time pass. */
#ifndef NAIVE_STATE_H
#define NAIVE_STATE_H

#include "support/naive_engine.h"
#include "support/naive_pool.h"

#define NAIVE_MAX_STAGES 8

struct seq {
    struct naive_request *r;
    uint32_t id;
    int64_t prompt, output;
    int64_t known;  /* tokens to be in KV before the next one can appear */
    int64_t limit;  /* `known` never grows beyond it */
    int64_t kv;     /* tokens in KV, counting the steps already scheduled */
    int64_t target; /* prefill ends when kv reaches it */
    int64_t *blocks;
    size_t block_count, block_capacity;
    int64_t published;           /* leading blocks already offered to the cache */
    int64_t swapped, swapped_kv; /* blocks in CPU memory while it waits, tokens in them */
    bool decoding;               /* when it was swapped out */
    int64_t produced, last_token_ns;
    int64_t lane;     /* it decodes in that lane's batches */
    int64_t yielded;  /* tokens that batches formed so far give it */
    int64_t token_ns; /* when the newest of them appears, as far as those have begun */
    const struct batch *evicted_by; /* preempted while that batch was formed, which has not begun */
    int64_t away_since_ns;          /* not in a step since, after a preemption; -1: no */
};

struct entry {
    struct seq *q;
    int64_t fresh, held;
    bool prefill;
};

struct batch {
    struct entry *entries;
    struct seq **emitters;
    size_t count, emitter_count, capacity, emitter_capacity;
    int64_t kv_used, queue, moved;
};

struct list { /* of sequences: waiting in queue order, running in order of admission */
    struct seq **at;
    size_t count;
};

struct lane {
    struct batch batches[2];
    unsigned turn;  /* batches[turn] is on its way, or the next to be */
    bool ready;     /* the one after it is formed */
    int64_t rounds; /* formed */
};

struct engine { /* a rank */
    const struct naive_params *p;
    uint32_t number; /* of the rank */
    uint64_t steps;  /* begun */
    struct naive_pool pool;
    struct list waiting, running;
    struct lane lanes[NAIVE_MAX_STAGES];
    int64_t lane;     /* whose batch is formed */
    int64_t known_ns; /* tokens that appear later are not known to it */
    const struct batch *forming;
    int64_t gain; /* tokens a decode gets in the lane's next round */
    int64_t watermark;
    struct naive_key *tier; /* names in the offload tier, least recently put first */
    size_t tier_count;
    int64_t cpu_used, moved; /* blocks in CPU memory; copied since a step was formed */
    struct naive_result *out;
    int64_t *hits; /* blocks found by cached_prefix */
};

/* Room for `wanted` items; aborts the test when memory is out. */
void *naive_grown(void *items, size_t *capacity, size_t wanted, size_t item_bytes);

/* naive_queue.c */
void naive_list_insert(struct list *l, size_t place, struct seq *q);
void naive_list_remove(struct list *l, size_t place);
size_t naive_list_find(const struct list *l, const struct seq *q);
int64_t naive_queue_key(const struct naive_params *p, const struct naive_request *r,
                        const struct seq *q);
void naive_queue_insert(struct engine *e, struct seq *q);
size_t naive_victim_place(const struct engine *e); /* among the running ones */

/* naive_engine.c */
void naive_release_blocks(struct engine *e, struct seq *q);
int64_t naive_blocks_for(const struct engine *e, int64_t tokens);
/* Forms the next batch of lane e->lane as if the one before it had run. False: nothing to do. */
bool naive_schedule(struct engine *e, struct batch *b);

#endif
