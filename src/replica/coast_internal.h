/* coast_internal.h: what planning (coast.c) and passing planned steps (coast_pass.c) share: the
 * batches of decodes that follow, from sums. */
#ifndef RT_COAST_INTERNAL_H
#define RT_COAST_INTERNAL_H

#include "replica_internal.h"

/* A step of all the decodes there are now, that changes nothing but their contexts. */
static inline bool coast_alike(const struct rank *r, const struct batch *b)
{
    return b->record.shape.decodes == r->lane->decode.count &&
           b->record.shape.prefill_tokens == 0 && b->last_count == 0 && !b->preempted &&
           !b->resumed && b->moved_blocks == 0;
}

/* Tokens of a member in the next `rounds` rounds. */
static inline int64_t coast_tokens(const struct decode_set *d, int64_t rounds)
{
    return decode_tokens_at(d, d->round + rounds) - d->tokens;
}

/* New blocks that the decodes need in the next `rounds` rounds: each needs one in block_size
 * tokens. */
static inline int64_t coast_blocks(const struct rank *r, int64_t rounds)
{
    uint32_t cursor = r->lane->decode.cursor;
    return decode_blocks(&r->lane->decode, &cursor, coast_tokens(&r->lane->decode, rounds));
}

/* The pure decode batch that would be formed next, or so many rounds later. */
struct rt_step_shape coast_decodes(const struct rank *r, int64_t rounds);

#endif
