/* Speculative decoding: how many tokens a round yields, and what drafting costs.
 *
 * In a round every decode computes k drafts and its next token at once and keeps the drafts up to
 * the first one refused. Acceptance is averaged, so that all decodes still advance together: with
 * p_i the acceptance at position i a round yields r = 1 + p_1 + p_1*p_2 + ... tokens in the mean,
 * and after g rounds of the replica T(g) = floor(g*r) tokens, r being taken as a multiple of 2^-32.
 * A round is worth T(g) - T(g-1), from 1 to k+1. O(1), but for k multiplications at the start. */
#include "replica_internal.h"
#include "rooftrace/cost.h"

#include <math.h>

#define ONE_TOKEN (UINT64_C(1) << 32)

uint64_t speculated_mean(const struct rt_speculative *s)
{
    double mean = 1, chain = 1;
    if (s->draft_tokens == 0)
        return 0;
    for (int64_t i = 0; i < s->draft_tokens; i++) {
        chain *= s->acceptance[i];
        mean += chain;
    }
    return (uint64_t)llround(mean * (double)ONE_TOKEN);
}

int64_t speculated_tokens(uint64_t per_round, int64_t rounds)
{
    return (int64_t)(((rt_u128)per_round * (rt_u128)rounds) >> 32);
}

int64_t speculated_round(uint64_t per_round, int64_t tokens)
{
    rt_u128 wanted = (rt_u128)tokens << 32;
    return (int64_t)((wanted + per_round - 1) / per_round);
}

static double step_s(const struct rt_cost *cost, const struct rt_step_shape *s)
{
    double terms_s[RT_TERM_COUNT], sum_s = 0;
    rt_cost_step_terms(cost, s, terms_s);
    for (int t = 0; t < RT_TERM_COUNT; t++)
        sum_s += terms_s[t];
    return sum_s > 0 ? sum_s : 0;
}

/* k decode steps of the draft model one after the other, over the same sequences. In a pure decode
 * seconds are linear in the context (on either side of the cost's knee, which a few tokens hardly
 * ever pass): the mean of the first and the last is that of all. */
void price_drafts(const struct rank *r, struct rt_step_shape *s)
{
    const struct rt_speculative *x = &r->engine->speculative;
    s->draft_s = 0;
    if (s->decodes == 0)
        return;
    s->draft_s = (double)x->draft_tokens * x->draft_s_per_token;
    if (!r->draft_cost)
        return;
    struct rt_step_shape draft = {.tokens = s->decodes,
                                  .decodes = s->decodes,
                                  .sequences = s->decodes,
                                  .samples = s->decodes,
                                  .held_tokens = s->decode_context,
                                  .decode_context = s->decode_context};
    double first_s = step_s(r->draft_cost, &draft);
    draft.held_tokens += (x->draft_tokens - 1) * s->decodes;
    draft.decode_context = draft.held_tokens;
    s->draft_s = (double)x->draft_tokens * 0.5 * (first_s + step_s(r->draft_cost, &draft));
}
