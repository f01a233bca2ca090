/* prefill_first: vLLM V0's scheduler (rule 14): waiting prompts go first, whole, in steps of their
 * own; decodes run when none can be admitted. The budget counts padded prompts (number of prompts
 * times the longest), as early vLLM and Vidur do. Preemption by recompute. */
#include "policies_internal.h"

static void admit(struct rank *r, struct batch *b)
{
    int64_t longest = 0, count = 0;
    uint32_t i;
    while ((i = next_to_admit(r)) != SEQ_NONE) {
        struct seq *q = seq_at(r, i);
        int64_t known = q->prompt + q->produced;
        int64_t blocks = blocks_for(r, known);
        if (known > longest)
            longest = known;
        if (longest > r->engine->max_num_batched_tokens / (count + 1) ||
            r->free_blocks - blocks < r->watermark_blocks)
            break;
        admit_head(r, b);
        kv_take(r, q, blocks);
        batch_add_prefill(r, b, i, known);
        count++;
    }
}

static void form(struct rank *r, struct batch *b)
{
    admit(r, b);
    if (b->record.shape.tokens == 0)
        decode_pass(r, b, r->engine->max_num_batched_tokens);
}

const struct rt_policy policy_prefill_first = {
    .name = "prefill_first",
    .help = "vLLM V0: whole prompts first, in steps of their own; preemption by recompute",
    .whole_prefill = true,
    .recomputes_whole = true,
    .keeps_watermark = true,
    .pauses_decodes = true,
    .needs_spare_block = true,
    .takes_kv = true,
    .form = form,
};
