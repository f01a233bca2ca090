/* sarathi: Sarathi-Serve (rule 15): all decodes run in every step, even beyond the chunk; what is
 * left of chunk_tokens goes to the unfinished prompt, then to new ones, whose blocks are all taken
 * at admission. Somebody preempted in this step may be admitted again in it. */
#include "policies_internal.h"

static int64_t at_most(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void admit(struct rank *r, struct batch *b)
{
    int64_t left = r->engine->chunk_tokens - b->record.shape.tokens;
    uint32_t i;
    while (left > 0 && (i = next_to_admit(r)) != SEQ_NONE) {
        struct seq *q = seq_at(r, i);
        int64_t known = q->prompt + q->produced;
        int64_t blocks = blocks_for(r, known);
        if (r->free_blocks - blocks < r->watermark_blocks)
            break;
        admit_head(r, b);
        int64_t n = at_most(known - q->kv, left);
        kv_take(r, q, blocks);
        batch_add_prefill(r, b, i, n);
        left -= n;
    }
}

static void form(struct rank *r, struct batch *b)
{
    decode_pass(r, b, r->engine->chunk_tokens);
    int64_t left = r->engine->chunk_tokens - b->record.shape.tokens;
    if (r->partial != SEQ_NONE && left > 0) {
        const struct seq *q = seq_at(r, r->partial);
        batch_add_prefill(r, b, r->partial, at_most(q->target - q->kv, left));
    }
    admit(r, b);
}

const struct rt_policy policy_sarathi = {
    .name = "sarathi",
    .help = "Sarathi-Serve: every decode runs, prompts are chunked into what chunk_tokens leaves",
    .keeps_watermark = true,
    .needs_spare_block = true,
    .takes_kv = true,
    .form = form,
};
