/* The decode pass of vLLM V0 and Sarathi (rule 14): every decode needs a free block, even if its
 * last one has room; while none is free the running sequence that is last in queue order is
 * preempted. */
#include "policies_internal.h"

/* The last decode of the lane in running order, or SEQ_NONE: without a pipeline the tail, or the
 * one before an unfinished prompt. */
static uint32_t last_decode(const struct rank *r)
{
    uint32_t i = r->running.tail;
    while (i != SEQ_NONE &&
           (seq_at(r, i)->state != SEQ_DECODE || seq_at(r, i)->lane != lane_number(r)))
        i = seq_at(r, i)->prev;
    return i;
}

/* Each decode in turn finds a free block iff the last one does: free blocks less those taken by the
 * decodes before it. So the last in queue order goes while that fails; with fcfs that is where
 * going through them in order ends. */
void decode_pass(struct rank *r, struct batch *b, int64_t budget)
{
    for (uint32_t i = last_decode(r); i != SEQ_NONE; i = last_decode(r)) {
        int64_t taken =
            decode_crossings(&r->lane->decode) - (decode_crosses(r, seq_at(r, i)) ? 1 : 0);
        if (r->free_blocks - taken >= 1)
            break;
        preempt_last(r, b);
    }
    remote_join(r, b, budget);
    if (!b->preempted)
        resume_swapped(r, b, budget);
    batch_add_decodes(r, b);
}
