/* chunked: vLLM V1's scheduler (rule 16 of docs/engine.md).
 *
 * Running sequences get their tokens first, in order: one per decode, then what is left of the
 * budget to the one whose prompt is unfinished. Blocks are taken as tokens need them; while they do
 * not fit, the sequence admitted last is preempted and recomputed later. If nobody had to go,
 * waiting requests are admitted while budget, seats and blocks for all their known tokens are
 * there. */
#include "policies_internal.h"

/* Preempts from the tail until the blocks that decodes need next are free. Taking blocks in order
 * and preempting the last one at need ends at the same place: a sequence at the tail goes exactly
 * when those left need more blocks than are free. */
static void make_room_for_decodes(struct rt_replica *r, struct batch *b)
{
    while (decode_crossings(&r->decode) > r->free_blocks)
        preempt_tail(r, b);
}

static void continue_prefill(struct rt_replica *r, struct batch *b)
{
    uint32_t i = r->partial;
    const struct seq *q = seq_at(r, i);
    int64_t left = r->engine.max_num_batched_tokens - b->record.shape.tokens;
    int64_t n = q->target - q->kv < left ? q->target - q->kv : left;
    int64_t blocks = blocks_for(r, q->kv + n) - seq_blocks(r, q);
    if (blocks > r->free_blocks) {
        preempt_tail(r, b); /* it is the last one itself */
        return;
    }
    kv_take(r, seq_at(r, i), blocks);
    batch_add_prefill(r, b, i, n);
}

static void admit(struct rt_replica *r, struct batch *b)
{
    int64_t left = r->engine.max_num_batched_tokens - b->record.shape.tokens;
    while (r->waiting.count > 0 && left > 0 && r->running.count < r->engine.max_num_seqs) {
        uint32_t i = r->waiting.head;
        struct seq *q = seq_at(r, i);
        int64_t known = q->prompt + q->produced;
        struct kv_prefix cached = kv_find_prefix(r, q);
        if (blocks_for(r, known) - cached.blocks > r->free_blocks - cached.free_blocks)
            break;
        admit_head(r, b);
        int64_t n = known - q->kv < left ? known - q->kv : left;
        kv_take(r, q, blocks_for(r, q->kv + n) - cached.blocks);
        batch_add_prefill(r, b, i, n);
        left -= n;
    }
}

static void form(struct rt_replica *r, struct batch *b)
{
    make_room_for_decodes(r, b);
    batch_add_decodes(r, b);
    if (r->partial != SEQ_NONE)
        continue_prefill(r, b);
    if (!b->preempted)
        admit(r, b);
}

const struct rt_policy policy_chunked = {
    .name = "chunked",
    .help =
        "vLLM V1: chunked prefill beside decodes under one token budget; preemption by recompute",
    .form = form,
};
