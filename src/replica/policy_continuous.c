/* continuous: iteration-level batching as Orca introduced it (rule 13): every running sequence
 * decodes, and whole prompts join the same step while the budget allows. Blocks for prompt + output
 * are reserved at admission. */
#include "policies_internal.h"

static void form(struct rank *r, struct batch *b)
{
    batch_add_decodes(r, b);
    admit_whole_prompts(r, b);
}

const struct rt_policy policy_continuous = {
    .name = "continuous",
    .help =
        "Orca: whole prompts join running decodes at every step, KV reserved for the whole output",
    .reserves_output = true,
    .speculates = true,
    .whole_prefill = true,
    .form = form,
};
