/* Gaps between tokens: finding the longest, and room for more. See gaps_internal.h. */
#include "gaps_internal.h"
#include "rooftrace/finished.h"

#include <stdlib.h>
#include <string.h>

/* Index of the first entry whose round is beyond `round`; first + count when there is none. */
static size_t first_after(const struct gap_stack *g, int64_t round)
{
    size_t low = g->first, left = g->count;
    while (left > 0) {
        size_t half = left / 2;
        low += g->items[low + half].round > round ? 0 : left - half;
        left = half;
    }
    return low;
}

bool gap_make_room(struct gap_stack *g, int64_t oldest_round)
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

static int64_t longer(int64_t ns, const struct gap *gap, int64_t round)
{
    return gap->round > round && gap->ns > ns ? gap->ns : ns;
}

int64_t gap_max_before_latest(const struct gap_stack *g, int64_t round)
{
    size_t i = first_after(g, round);
    return longer(i < g->first + g->count ? g->items[i].ns : RT_NEVER, &g->rising, round);
}

int64_t gap_max_after(const struct gap_stack *g, int64_t round)
{
    return longer(gap_max_before_latest(g, round), &g->latest, round);
}

void gap_forget(struct gap_stack *g)
{
    g->count = 0;
    g->rising.round = g->latest.round = 0;
    g->rising.ns = g->latest.ns = 0;
}
