/* replica/step_list.h: what is known about engine steps that are over. One row a step, one row of
 * table `step`. A list is the caller's: replicas append to it, who takes the rows empties it. */
#ifndef RT_STEP_LIST_H
#define RT_STEP_LIST_H

#include "rooftrace/err.h"
#include "rooftrace/step.h"

#include <stddef.h>

struct rt_step_row {
    uint64_t step;    /* number on its replica, from 0 */
    uint32_t replica; /* number in the fleet */
    int64_t start_ns, end_ns;
    int64_t decodes;               /* sequences that decode, one token each */
    int64_t prefill_tokens;        /* new tokens of prompts, and of what is recomputed */
    int64_t sequences;             /* in the batch */
    int64_t context_tokens;        /* KV tokens of the batch before the step */
    int64_t kv_blocks_used;        /* right after the step was scheduled */
    int64_t waiting;               /* requests in the queue then */
    double terms_s[RT_TERM_COUNT]; /* its seconds by cost term */
};

struct rt_step_list { /* starts as {0} */
    struct rt_step_row *rows;
    size_t count, capacity;
};

void rt_step_list_release(struct rt_step_list *l);
void rt_step_list_reset(struct rt_step_list *l); /* empties, keeps memory */
/* A new last row to be filled in; NULL: out of memory. Valid until the next one. */
struct rt_step_row *rt_step_list_add(struct rt_step_list *l) RT_MUST_USE;

#endif
