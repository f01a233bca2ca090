/* gaps_internal.h: the longest gap between tokens since a given round, without touching a request
 * per token.
 *
 * All decoding sequences get a token at the end of every round, so they share its gap since the
 * round before. The stack keeps each round whose gap is longer than all after it: rounds ascend,
 * gaps fall strictly. Pushing is O(1) amortised; the maximum over (s, now] is the first entry after
 * s: O(log n). Entries that no member can ask for any more are dropped when space runs out, so the
 * stack holds at most the rounds since the oldest member joined. The latest gap waits beside the
 * stack until the next one comes: its step may still be cut off by a crash. So does the longest
 * since the last one that was put on it: while gaps rise, as those of one batch do, each takes the
 * place of the one before. */
#ifndef RT_GAPS_INTERNAL_H
#define RT_GAPS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gap { /* a round whose gap is longer than all after it */
    int64_t round, ns;
};

struct gap_stack {
    struct gap *items;
    size_t first, count, capacity; /* items[first .. first + count) */
    struct gap rising, latest;     /* not among them yet; round 0: none */
};

static inline bool gap_is_full(const struct gap_stack *g)
{
    return g->first + g->count == g->capacity;
}
/* Space for one more at the end: drops rounds up to the oldest, else grows. False: out of memory.
 */
bool gap_make_room(struct gap_stack *g, int64_t oldest_round);

/* On the stack, in the place of all that are not longer. It is not full. */
static inline void gap_put(struct gap_stack *g, struct gap gap)
{
    size_t count = g->count;
    while (count > 0 && g->items[g->first + count - 1].ns <= gap.ns)
        count--;
    if (count == 0)
        g->first = 0;
    g->items[g->first + count] = gap;
    g->count = count + 1;
}

/* The stack is not full. */
static inline void gap_push(struct gap_stack *g, int64_t round, int64_t ns)
{
    struct gap before = g->latest;
    g->latest = (struct gap){.round = round, .ns = ns};
    if (before.ns < g->rising.ns)
        gap_put(g, g->rising);
    g->rising = before;
}

int64_t gap_max_after(const struct gap_stack *g, int64_t round);         /* RT_NEVER when none */
int64_t gap_max_before_latest(const struct gap_stack *g, int64_t round); /* without the latest */
void gap_forget(struct gap_stack *g);                                    /* all of them */

#endif
