/* chunked: vLLM V1's scheduler (rule 16 of docs/engine.md).
 *
 * Running sequences get their tokens first, in order: one per decode (and its drafts), then what is
 * left of the budget to the one whose prompt is unfinished. Blocks are taken as tokens need them;
 * while they do not fit, the running sequence that is last in queue order is preempted. If nobody
 * had to go, waiting requests are admitted while budget, seats and blocks for all their known
 * tokens are there. */
#include "policies_internal.h"

/* Tokens of the unfinished prompt in the next step: what the decodes leave of the budget. */
static int64_t next_chunk(const struct rank *r, const struct seq *q)
{
    int64_t left =
        r->engine->max_num_batched_tokens - r->lane->decode.count * r->lane->decode.width;
    return q->target - q->kv < left ? q->target - q->kv : left;
}

/* Tokens that need blocks once the next n of the prompt are in KV: behind the whole of it stand the
 * first drafts. */
static int64_t held_after(const struct rank *r, const struct seq *q, int64_t n)
{
    return q->kv + n + (q->kv + n == q->target ? decode_drafts(r) : 0);
}

/* Blocks that the running sequences need for the next step. */
static int64_t blocks_needed(const struct rank *r)
{
    int64_t blocks = decode_crossings(&r->lane->decode);
    if (r->partial != SEQ_NONE) {
        const struct seq *q = seq_at(r, r->partial);
        blocks += blocks_for(r, held_after(r, q, next_chunk(r, q))) - seq_blocks(r, q);
    }
    return blocks;
}

/* Preempts, last in queue order first, until the blocks that the others need are free. With fcfs
 * that is where taking blocks in order and preempting the last one at need ends, too: it goes
 * exactly when those left need more blocks than are free. */
static void make_room(struct rank *r, struct batch *b)
{
    while (blocks_needed(r) > r->free_blocks)
        preempt_last(r, b);
}

static void continue_prefill(struct rank *r, struct batch *b)
{
    struct seq *q = seq_at(r, r->partial);
    int64_t n = next_chunk(r, q);
    if (n == 0)
        return; /* the decodes of this lane are as many as the budget */
    kv_take(r, q, blocks_for(r, held_after(r, q, n)) - seq_blocks(r, q));
    batch_add_prefill(r, b, r->partial, n);
}

static void admit(struct rank *r, struct batch *b)
{
    int64_t left = r->engine->max_num_batched_tokens - b->record.shape.tokens;
    uint32_t i;
    while (left > 0 && (i = next_to_admit(r)) != SEQ_NONE) {
        struct seq *q = seq_at(r, i);
        int64_t known = q->prompt + q->produced;
        struct kv_prefix cached = kv_find_prefix(r, q);
        if (blocks_for(r, known + decode_drafts(r)) - cached.blocks >
            r->free_blocks - cached.free_blocks)
            break;
        admit_head(r, b);
        int64_t n = known - q->kv < left ? known - q->kv : left;
        kv_take(r, q, blocks_for(r, held_after(r, q, n)) - cached.blocks - cached.offloaded);
        batch_add_prefill(r, b, i, n);
        left -= n;
    }
}

static void form(struct rank *r, struct batch *b)
{
    make_room(r, b);
    remote_join(r, b, r->engine->max_num_batched_tokens);
    if (!b->preempted)
        resume_swapped(r, b, r->engine->max_num_batched_tokens);
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
    .speculates = true,
    .takes_kv = true,
    .form = form,
};
