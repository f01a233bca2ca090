/* decode_set_internal.h: the decode set, all sequences that get tokens in a round, as sums.
 *
 * A member's own fields are frozen as of the round it joined after (join_round, kv, produced); its
 * present numbers follow from the tokens of the rounds since. Joining and leaving are O(log
 * members) for the finish heap, advancing is O(1).
 *
 * Blocks: a member with kv tokens needs a new block for its next token iff kv mod B == 0. As every
 * member's kv grows by the same tokens a round, (kv - tokens) mod B never changes: members are
 * counted by that phase, and the members of phase (-tokens) mod B, the cursor, need a block for
 * their next token, those of the phase before it for the one after. With speculative decoding a
 * member holds blocks for its drafts, too: read kv + drafts for kv. */
#ifndef RT_DECODE_SET_INTERNAL_H
#define RT_DECODE_SET_INTERNAL_H

#include "rooftrace/heap.h"
#include "rooftrace/step.h"

#include <stdbool.h>
#include <stdint.h>

struct rank;
struct seq;

struct window_sum { /* sum of min(context, tokens) over the decode set */
    int64_t tokens, sum;
    int64_t growing;      /* members whose context is below the window */
    struct rt_heap reach; /* those, by decode.tokens from which on they no longer grow */
};

struct decode_set {
    int64_t count;   /* members */
    int64_t context; /* their KV tokens before the next round */
    int64_t round;   /* the round formed last; the next one is round + 1 */
    /* Without speculative decoding a round is a token: tokens = round, next = width = 1. */
    int64_t tokens;       /* a member of all rounds would have got */
    int64_t next;         /* tokens that each member gets in the next round */
    int64_t width;        /* positions a decode computes: draft tokens + 1 */
    uint64_t per_round;   /* mean tokens a round, in units of 2^-32; 0: one */
    uint32_t phase_count; /* block_size */
    uint32_t *phase; /* [phase_count] members by (kv + drafts - tokens) mod block_size at joining */
    struct phase_list {
        uint32_t head, tail;
    } * members;           /* those members, in running order; */
                           /* prefix caching only, else NULL */
    uint32_t cursor;       /* phase whose members need a new block in the next round */
    struct rt_heap finish; /* members by (decode.tokens at their last token, admission) */
    struct window_sum windows[RT_MAX_WINDOWS];
    unsigned window_count;
};

/* speculate.c */
/* decode.tokens after so many rounds. */
int64_t speculated_tokens(uint64_t per_round, int64_t rounds);
/* The first round after which decode.tokens is at least `tokens`. */
int64_t speculated_round(uint64_t per_round, int64_t tokens);
static inline int64_t decode_tokens_at(const struct decode_set *d, int64_t round)
{
    return d->per_round == 0 ? round : speculated_tokens(d->per_round, round);
}
static inline int64_t round_tokens(const struct decode_set *d, int64_t round)
{
    return decode_tokens_at(d, round) - decode_tokens_at(d, round - 1);
}

bool decode_init(struct decode_set *d, const struct rank *r);
void decode_release(struct decode_set *d);
bool decode_reserve(struct decode_set *d, uint32_t seqs);
int64_t decode_kv(const struct decode_set *d, const struct seq *q); /* before the next round */
int64_t decode_produced(const struct decode_set *d, const struct seq *q); /* by the rounds formed */
bool decode_crosses(const struct rank *r, const struct seq *q);           /* needs a block next */
/* Blocks that all members need for the `tokens` behind what those of phase *cursor begin a block
 * with, in less than block_size steps; *cursor moves on by them. */
static inline int64_t decode_blocks(const struct decode_set *d, uint32_t *cursor, int64_t tokens)
{
    int64_t b = d->phase_count, blocks = tokens < b ? 0 : tokens / b * d->count;
    uint32_t at = *cursor;
    for (int64_t n = tokens < b ? tokens : tokens % b; n > 0; n--) {
        blocks += d->phase[at];
        at = at == 0 ? d->phase_count - 1 : at - 1;
    }
    *cursor = at;
    return blocks;
}
static inline int64_t decode_crossings(const struct decode_set *d) /* in the next round */
{
    uint32_t cursor = d->cursor;
    return d->next == 1 ? d->phase[cursor] : decode_blocks(d, &cursor, d->next);
}
void decode_join(struct rank *r, uint32_t i);
void decode_leave(struct rank *r, uint32_t i);
/* The tokens of the rounds since d->tokens were counted; d->next are those of the next one. */
int64_t decode_count_tokens(struct decode_set *d);
void decode_advance_windows(struct decode_set *d, int64_t tokens);      /* by so many a member */
static inline void decode_advance(struct decode_set *d, int64_t rounds) /* they were formed */
{
    d->round += rounds;
    int64_t b = d->phase_count, tokens = d->per_round == 0 ? rounds : decode_count_tokens(d);
    int64_t cursor = d->cursor - (tokens < b ? tokens : tokens % b);
    d->tokens += tokens;
    d->context += d->count * tokens;
    d->cursor = (uint32_t)(cursor < 0 ? cursor + b : cursor);
    if (d->window_count > 0)
        decode_advance_windows(d, tokens);
}
/* Rounds, at most `limit`, until one in which a member ends, that one included, as long as no
 * member's window is overrun: sums are linear up to there. */
int64_t decode_linear_rounds(const struct decode_set *d, int64_t limit);

#endif
