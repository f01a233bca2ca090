/* The longest gap since a given round, without touching a request per token.
 *
 * All decoding sequences get a token at the end of every round, so they share its gap since the
 * round before. The stack keeps each round whose gap is longer than all after it: rounds ascend,
 * gaps fall strictly. Pushing is O(1) amortised; the maximum over (s, now] is the first entry after
 * s: O(log n). Entries that no member can ask for any more are dropped when space runs out, so the
 * stack holds at most the rounds since the oldest member joined. The latest gap waits beside the
 * stack until the next one comes: its step may still be cut off by a crash. */
#include "replica_internal.h"

#include <stdlib.h>
#include <string.h>

/* Index of the first entry whose round is beyond `round`; first + count when there is none. */
static size_t first_after(const struct gap_stack *g, int64_t round)
{
    size_t low = g->first, high = g->first + g->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (g->items[mid].round > round)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* Space for one more at the end: drops what nobody needs, else grows. */
static bool make_room(struct gap_stack *g, int64_t oldest_round)
{
    size_t keep_from = first_after(g, oldest_round);
    g->count -= keep_from - g->first;
    g->first = keep_from;
    if (g->count <= g->capacity / 2) {
        if (g->count > 0)
            memmove(g->items, g->items + g->first, g->count * sizeof g->items[0]);
        g->first = 0;
        if (g->capacity > 0)
            return true;
    }
    size_t capacity = g->capacity ? 2 * g->capacity : 16;
    struct gap *items = realloc(g->items, capacity * sizeof items[0]);
    if (!items)
        return false;
    g->items = items;
    g->capacity = capacity;
    return true;
}

bool gap_push(struct gap_stack *g, int64_t round, int64_t ns, int64_t oldest_round)
{
    struct gap before = g->latest;
    g->latest = (struct gap){.round = round, .ns = ns};
    if (before.round == 0)
        return true;
    while (g->count > 0 && g->items[g->first + g->count - 1].ns <= before.ns)
        g->count--;
    if (g->count == 0)
        g->first = 0;
    if (g->first + g->count == g->capacity && !make_room(g, oldest_round))
        return false;
    g->items[g->first + g->count++] = before;
    return true;
}

int64_t gap_max_before_latest(const struct gap_stack *g, int64_t round)
{
    size_t i = first_after(g, round);
    return i < g->first + g->count ? g->items[i].ns : RT_NEVER;
}

int64_t gap_max_after(const struct gap_stack *g, int64_t round)
{
    int64_t before = gap_max_before_latest(g, round);
    return g->latest.round > round && g->latest.ns > before ? g->latest.ns : before;
}

void gap_forget(struct gap_stack *g)
{
    g->count = 0;
    g->latest.round = 0;
}
