/* static: request-level batching (rule 12): a batch is admitted only when nothing runs, prefilled
 * in one step, then decoded until its last member is done. Members that finish leave at once.
 * Blocks for prompt + output are reserved at admission, so nobody is ever preempted. */
#include "policies_internal.h"

/* Admits whole prompts from the queue head while budget, seats and reserved blocks allow. */
void admit_whole_prompts(struct rank *r, struct batch *b)
{
    int64_t budget = r->engine->max_num_batched_tokens;
    uint32_t i;
    while ((i = next_to_admit(r)) != SEQ_NONE) {
        struct seq *q = seq_at(r, i);
        int64_t blocks = blocks_for(r, q->prompt + q->output + speculated_margin(r));
        if (b->record.shape.tokens + q->prompt > budget || blocks > r->free_blocks)
            break;
        admit_head(r, b);
        kv_take(r, q, blocks);
        batch_add_prefill(r, b, i, q->prompt);
    }
}

static void form(struct rank *r, struct batch *b)
{
    if (r->lane->decode.count > 0)
        batch_add_decodes(r, b);
    else
        admit_whole_prompts(r, b);
}

const struct rt_policy policy_static = {
    .name = "static",
    .help = "request-level batching: a batch runs until its last request is done",
    .reserves_output = true,
    .speculates = true,
    .whole_prefill = true,
    .form = form,
};
