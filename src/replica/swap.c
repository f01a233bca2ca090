/* Swap preemption: the KV of a preempted sequence waits in CPU memory instead of being recomputed.
 *
 * Out: its blocks are counted in CPU memory while there is room, otherwise it is recomputed as
 * ever. In: one whose prompt was unfinished is admitted like any other, with its tokens already in
 * KV; one that was decoding rejoins the decode set before the next round is formed. Blocks have no
 * identity here (no prefix caching), so both are counters. Copies are serial with the step formed
 * by the call that makes them: batch_form charges them. O(1) a sequence, O(log running) to rejoin.
 */
#include "replica_internal.h"

/* Tokens of q in KV now; q->kv of one that decodes is that of the round it joined after. */
static int64_t kv_now(const struct rank *r, const struct seq *q)
{
    return q->state == SEQ_DECODE ? decode_kv(&lane_of(r, q)->decode, q) : q->kv;
}

bool swap_out(struct rank *r, struct seq *q)
{
    int64_t kv = kv_now(r, q), blocks = blocks_for(r, kv);
    if (q->state == SEQ_LAST || blocks > r->cpu_free_blocks)
        return false;
    r->cpu_free_blocks -= blocks;
    r->moved_blocks += blocks;
    r->totals.swapped_out_blocks += blocks;
    q->swapped = blocks;
    q->swapped_kv = kv;
    return true;
}

void swap_in(struct rank *r, struct seq *q)
{
    if (q->swapped == 0)
        return;
    r->cpu_free_blocks += q->swapped;
    r->moved_blocks += q->swapped;
    r->totals.swapped_in_blocks += q->swapped;
    q->swapped = 0;
    q->kv = q->swapped_kv;
}

static void resume(struct rank *r, struct batch *b, uint32_t i)
{
    struct seq *q = seq_at(r, i);
    queue_leave(r, i);
    running_join(r, i);
    q->admission = r->admissions++;
    q->away_to_ns = b->record.start_ns;
    swap_in(r, q);
    q->target = q->kv; /* nothing to compute first */
    kv_take_count(r, blocks_for(r, q->kv));
    decode_join(r, i);
    q->newly_joined = true; /* its gap until the next token is its own */
    b->resumed = true;
}

void resume_swapped(struct rank *r, struct batch *b, int64_t budget)
{
    int64_t margin = r->policy->needs_spare_block ? 1 : 0;
    if (margin < r->watermark_blocks)
        margin = r->watermark_blocks;
    while (r->partial == SEQ_NONE && r->waiting.count > 0 &&
           r->running.count < r->engine->max_num_seqs && r->lane->decode.count < budget) {
        const struct seq *q = seq_at(r, queue_head(r));
        if (q->state != SEQ_PAUSED || !tokens_known(r, q))
            return;
        int64_t needed = blocks_for(r, q->swapped_kv + 1) + decode_crossings(&r->lane->decode);
        if (r->free_blocks - needed < margin)
            return;
        resume(r, b, queue_head(r));
    }
}
