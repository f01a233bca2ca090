/* base/heap.h: an indexed 4-ary min-heap over the items 0..capacity-1, each with one key.
 *
 * Order: time, then tie; keys must differ (the event queue puts (kind, id) in the tie, see
 * sim/sim.h), so the order never depends on insertion. Setting, changing and removing cost
 * O(log n), the top O(1). Memory: 28 bytes an item. Rule: position[nodes[p].item] == p. */
#ifndef RT_HEAP_H
#define RT_HEAP_H

#include "rooftrace/err.h"

#include <stdint.h>

#define RT_HEAP_NONE UINT32_MAX

struct rt_heap_node {
    int64_t time;
    uint64_t tie;
    uint32_t item;
};

struct rt_heap {
    struct rt_heap_node *nodes; /* nodes[0] is the least */
    uint32_t *position;         /* by item; RT_HEAP_NONE = not in the heap */
    uint32_t count, capacity;
};

void rt_heap_init(struct rt_heap *h);
void rt_heap_release(struct rt_heap *h);
/* Makes items 0..capacity-1 legal; never shrinks. false: out of memory, heap unchanged. */
bool rt_heap_reserve(struct rt_heap *h, uint32_t capacity) RT_MUST_USE;
/* Puts the item in, or changes its key. item < capacity. */
void rt_heap_set(struct rt_heap *h, uint32_t item, int64_t time, uint64_t tie);
/* Takes the item out; nothing happens when it is not in. */
void rt_heap_remove(struct rt_heap *h, uint32_t item);

static inline const struct rt_heap_node *rt_heap_top(const struct rt_heap *h)
{
    return h->count == 0 ? (const struct rt_heap_node *)0 : &h->nodes[0];
}

/* The second least item, NULL when there is none. */
static inline const struct rt_heap_node *rt_heap_second(const struct rt_heap *h)
{
    const struct rt_heap_node *least = (const struct rt_heap_node *)0;
    for (uint32_t child = 1; child < h->count && child <= 4; child++)
        if (!least || h->nodes[child].time < least->time ||
            (h->nodes[child].time == least->time && h->nodes[child].tie < least->tie))
            least = &h->nodes[child];
    return least;
}

/* Time of the second least item, INT64_MAX when there is none: is the top alone at its instant? */
static inline int64_t rt_heap_second_time(const struct rt_heap *h)
{
    int64_t least = INT64_MAX;
    for (uint32_t child = 1; child < h->count && child <= 4; child++)
        least = h->nodes[child].time < least ? h->nodes[child].time : least;
    return least;
}

static inline bool rt_heap_has(const struct rt_heap *h, uint32_t item)
{
    return h->position[item] != RT_HEAP_NONE;
}

#endif
