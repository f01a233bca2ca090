/* cost/step.h: the shape of one engine step. Sums only, no list of requests, so that a step costs
 * O(1) whatever the batch. Symbols as in docs/cost-model.md: q = new tokens of a prefill chunk, k =
 * its tokens already in KV, ctx = KV tokens a decode holds before the step. */
#ifndef RT_STEP_H
#define RT_STEP_H

#include <stdint.h>

#define RT_MAX_WINDOWS  4
#define RT_PREFILL_TILE 64 /* query rows of one attention tile */

struct rt_step_shape {
    int64_t tokens;         /* M: sum of q + decodes, times draft_tokens + 1 when they verify */
    int64_t decodes;        /* B: sequences that decode */
    int64_t sequences;      /* Q: sequences in the batch */
    int64_t samples;        /* S: positions whose logits are sampled; one a sequence that gets a
                               token, draft_tokens + 1 a decode with speculative decoding */
    int64_t held_tokens;    /* C: KV tokens of all sequences before the step (linear model) */
    int64_t decode_context; /* sum of ctx over decodes */
    /* sum of min(ctx, w) per sliding window of the model */
    int64_t decode_window[RT_MAX_WINDOWS];
    int64_t prefill_tokens; /* sum of q */
    int64_t prefill_area;   /* sum of q*k + q*(q+1)/2: query-key pairs under the causal mask */
    int64_t prefill_held;   /* sum of k */
    /* Sum of ceil(q/64): query tiles. A shape that leaves it 0 is priced with
     * ceil(prefill_tokens/64), which is too few for many short chunks. */
    int64_t prefill_tiles;
    int64_t prefill_tiles2; /* sum of ceil(q/64)*(2k + q + 64): key columns of all tiles, doubled */
    int64_t prefill_longest; /* largest q */
    /* Data parallel ranks that step together (rt_cost_ranks_together): tokens of all ranks, and of
     * the one with most. 0: as if every rank had as many as this one. */
    int64_t group_tokens, group_largest;
    /* Seconds the engine copies KV blocks over PCIe in this step, part of RT_TERM_COMM. */
    double transfer_s;
    double draft_s; /* seconds of a draft model before it (speculative decoding), part of
                       RT_TERM_OTHER */
};

/* Where the seconds of a step go; the step is their sum in this order. */
enum rt_term {
    RT_TERM_WEIGHTS,   /* GEMMs, their share that streams weights; linear: b0 */
    RT_TERM_COMPUTE,   /* GEMMs, their share that multiplies; linear: b1*M */
    RT_TERM_KV,        /* decode attention: reading KV; linear: b2*C */
    RT_TERM_ATTENTION, /* prefill attention; linear: b3*A */
    RT_TERM_OTHER,     /* norms, rope, activation, sampler, embedding */
    RT_TERM_LAUNCH,    /* fixed costs of kernels */
    RT_TERM_COMM,      /* all-reduce and other links */
    RT_TERM_HOST,      /* CPU time that nothing hides; linear: b4*Q */
    RT_TERM_COUNT
};
extern const char *const rt_term_names[RT_TERM_COUNT]; /* "weights", ... */

/* Adds a prefill chunk of q >= 1 new tokens behind k tokens in KV. `samples` is the caller's. */
static inline void rt_step_add_prefill(struct rt_step_shape *s, int64_t q, int64_t k)
{
    int64_t tiles = (q + RT_PREFILL_TILE - 1) / RT_PREFILL_TILE;
    s->tokens += q;
    s->sequences += 1;
    s->held_tokens += k;
    s->prefill_tokens += q;
    s->prefill_area += q * k + q * (q + 1) / 2;
    s->prefill_held += k;
    s->prefill_tiles += tiles;
    s->prefill_tiles2 += tiles * (2 * k + q + RT_PREFILL_TILE);
    s->prefill_longest = q > s->prefill_longest ? q : s->prefill_longest;
}

/* Adds n decodes, each with ctx tokens in KV; windows as rt_cost_windows gave them. */
static inline void rt_step_add_decodes(struct rt_step_shape *s, int64_t n, int64_t ctx,
                                       const int64_t *windows, unsigned window_count)
{
    s->tokens += n;
    s->decodes += n;
    s->sequences += n;
    s->samples += n;
    s->held_tokens += n * ctx;
    s->decode_context += n * ctx;
    for (unsigned w = 0; w < window_count; w++)
        s->decode_window[w] += n * (ctx < windows[w] ? ctx : windows[w]);
}

#endif
