/* Indexed 4-ary min-heap.
 *
 *     node p: parent (p - 1) / 4, children 4p + 1 .. 4p + 4
 *     position[nodes[p].item] == p for every p < count, RT_HEAP_NONE for all other items
 *
 * Four children halve the depth of a binary heap and lie in two cache lines. A sift carries the
 * moving node in a variable and writes every passed node once. Reserving is the only thing that can
 * fail; set and remove never allocate. */
#include "rooftrace/heap.h"

#include <assert.h>
#include <stdlib.h>

#define ARITY 4u

void rt_heap_init(struct rt_heap *h)
{
    h->nodes = NULL;
    h->position = NULL;
    h->count = h->capacity = 0;
}

void rt_heap_release(struct rt_heap *h)
{
    free(h->nodes);
    free(h->position);
    rt_heap_init(h);
}

bool rt_heap_reserve(struct rt_heap *h, uint32_t capacity)
{
    struct rt_heap_node *nodes;
    uint32_t *position;
    size_t bytes;

    if (capacity <= h->capacity)
        return true;
    if (__builtin_mul_overflow((size_t)capacity, sizeof *nodes, &bytes))
        return false;
    nodes = realloc(h->nodes, bytes);
    if (nodes == NULL)
        return false;
    h->nodes = nodes; /* larger than capacity says until both have grown */
    position = realloc(h->position, capacity * sizeof *position);
    if (position == NULL)
        return false;
    h->position = position;
    for (uint32_t i = h->capacity; i < capacity; i++)
        position[i] = RT_HEAP_NONE;
    h->capacity = capacity;
    return true;
}

__extension__ typedef __int128 heap_key;

/* Both parts in one number: which of two keys is less cannot be predicted, and comparing these
 * takes no branch. */
static inline heap_key key_of(int64_t time, uint64_t tie)
{
    return (heap_key)((unsigned __int128)(uint64_t)time << 64 | tie);
}

static inline heap_key node_key(const struct rt_heap_node *n)
{
    return key_of(n->time, n->tie);
}

static inline void put(struct rt_heap *h, uint32_t at, const struct rt_heap_node *node)
{
    h->nodes[at] = *node;
    h->position[node->item] = at;
}

/* Where a node with this key belongs, going up from the hole `at`; nodes passed move down. */
static inline uint32_t sift_up(struct rt_heap *h, uint32_t at, heap_key key)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / ARITY;
        if (key >= node_key(&h->nodes[parent]))
            break;
        put(h, at, &h->nodes[parent]);
        at = parent;
    }
    return at;
}

/* The same, going down. 64 bits: four times a 32-bit place. */
static inline uint32_t sift_down(struct rt_heap *h, uint32_t at, heap_key key)
{
    for (uint64_t first; (first = (uint64_t)at * ARITY + 1) < h->count;) {
        uint64_t end = first + ARITY < h->count ? first + ARITY : h->count;
        uint64_t least = first;
        heap_key least_key = node_key(&h->nodes[first]);
        for (uint64_t child = first + 1; child < end; child++) {
            heap_key child_key = node_key(&h->nodes[child]);
            bool less = child_key < least_key;
            least = less ? child : least;
            least_key = less ? child_key : least_key;
        }
        if (least_key >= key)
            break;
        put(h, at, &h->nodes[least]);
        at = (uint32_t)least;
    }
    return at;
}

/* Puts the item into the hole `at` and restores the order around it. Key and item come as values: a
 * node that was just put together in memory is slow to read as a whole. */
static void settle(struct rt_heap *h, uint32_t at, int64_t time, uint64_t tie, uint32_t item)
{
    heap_key key = key_of(time, tie);
    uint32_t up = sift_up(h, at, key), place = up == at ? sift_down(h, at, key) : up;
    struct rt_heap_node *to = &h->nodes[place];

    to->time = time;
    to->tie = tie;
    to->item = item;
    h->position[item] = place;
}

void rt_heap_set(struct rt_heap *h, uint32_t item, int64_t time, uint64_t tie)
{
    uint32_t at;

    assert(item < h->capacity);
    at = h->position[item];
    settle(h, at == RT_HEAP_NONE ? h->count++ : at, time, tie, item);
}

void rt_heap_remove(struct rt_heap *h, uint32_t item)
{
    uint32_t at;

    assert(item < h->capacity);
    at = h->position[item];
    if (at == RT_HEAP_NONE)
        return;
    h->position[item] = RT_HEAP_NONE;
    h->count--;
    if (at < h->count) {
        const struct rt_heap_node *last = &h->nodes[h->count];
        settle(h, at, last->time, last->tie, last->item);
    }
}
