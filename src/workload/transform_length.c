/* transform_length.c: lengths of a request scaled, capped, and held within a context.
 *
 *     prompt = clamp(rint(prompt * prompt_scale), min_prompt_tokens, max_prompt_tokens)
 *     output = clamp(rint(output * output_scale), min_output_tokens, max_output_tokens)
 *     prompt + output > max_context_tokens: cut, drop or error
 *
 * Half is rounded to even and nothing becomes less than 1. Cut: the prompt's end goes, and only
 * when no more than one token of it is left, the output's. Hash ids name the prompt's blocks from
 * its start, so ids of blocks that are cut off go, too; tokens that scaling adds have no ids: they
 * are shared with nobody. Names of the answer (named_tokens) hold as long as the prompt keeps its
 * length. O(1). */
#include "transform_internal.h"

#include <inttypes.h>
#include <math.h>

struct limits {
    double scale;
    int64_t min, max;
};

static int64_t scaled(int64_t tokens, const struct limits *l)
{
    double exact = l->scale == 1 ? (double)tokens : rint((double)tokens * l->scale);
    int64_t whole = exact >= (double)l->max ? l->max : (int64_t)exact;
    return whole < l->min ? l->min : whole;
}

/* Drops the ids of blocks that the row has no more. */
static void fit_ids(struct rt_request *row, int64_t old_prompt, uint32_t block_tokens)
{
    int64_t tokens = row->prompt_tokens + row->output_tokens;
    if (row->prompt_tokens != old_prompt)
        row->named_tokens = 0; /* the answer stands elsewhere now */
    else if (row->named_tokens > tokens)
        row->named_tokens = tokens;
    if (block_tokens == 0)
        return;
    int64_t named = row->named_tokens > 0 ? row->named_tokens : row->prompt_tokens;
    int64_t blocks = (named - 1) / block_tokens + 1;
    if (blocks < row->hash_count)
        row->hash_count = (uint32_t)blocks;
}

enum rt_verdict rt_length_apply(const struct rt_transform_spec *t, uint32_t block_tokens,
                                struct rt_request *row, bool *cut, struct rt_err *err)
{
    struct limits prompt = {t->prompt_scale, t->min_prompt_tokens, t->max_prompt_tokens};
    struct limits output = {t->output_scale, t->min_output_tokens, t->max_output_tokens};
    int64_t old_prompt = row->prompt_tokens, old_output = row->output_tokens;
    row->prompt_tokens = scaled(row->prompt_tokens, &prompt);
    row->output_tokens = scaled(row->output_tokens, &output);
    int64_t limit = t->max_context_tokens, tokens = row->prompt_tokens + row->output_tokens;
    *cut = limit > 0 && tokens > limit && t->over_context == RT_CONTEXT_CUT;
    if (*cut) {
        if (row->output_tokens > limit - 1)
            row->output_tokens = limit - 1;
        row->prompt_tokens = limit - row->output_tokens;
    } else if (limit > 0 && tokens > limit) {
        if (t->over_context == RT_CONTEXT_DROP)
            return RT_ROW_DROP;
        (void)rt_fail(err, RT_ETRACE,
                      "request %" PRIu64 ": expected at most %" PRId64
                      " tokens of prompt and output (max_context_tokens), read %" PRId64
                      " and %" PRId64,
                      row->id, limit, row->prompt_tokens, row->output_tokens);
        return RT_ROW_FAIL;
    }
    if (row->prompt_tokens != old_prompt || row->output_tokens != old_output)
        fit_ids(row, old_prompt, block_tokens);
    return RT_ROW_KEEP;
}
