/* Arena and slab.
 *
 * Arena: a list of chunks, newest first. An allocation takes the next bytes of the newest chunk;
 * when they do not suffice a chunk of twice the size (4 KiB .. 1 MiB) goes in front. A request
 * that a fresh chunk would not hold gets a chunk of its own behind the newest one, so that the room
 * left in the newest is not lost. O(1) amortised apart from the zeroing, at most half of the memory
 * is unused beyond 1 MiB.
 *
 * Slab: one array, doubled when full. A freed item's first four bytes hold the next free index.
 *
 * The only failure is memory: NULL or RT_SLAB_NONE, and everything stays as it was. */
#include "rooftrace/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MIN ((size_t)4 << 10)
#define CHUNK_MAX ((size_t)1 << 20)
#define ALIGNMENT alignof(max_align_t)

#define SLAB_FIRST 64u
#define SLAB_MAX   ((uint32_t)1 << 31)

struct rt_arena_chunk {
    struct rt_arena_chunk *next; /* older */
    size_t size, used;           /* of data, in bytes */
    alignas(max_align_t) unsigned char data[];
};

void rt_arena_init(struct rt_arena *a)
{
    a->chunks = NULL;
    a->bytes = 0;
}

static void free_chunks(struct rt_arena_chunk *chunk)
{
    while (chunk != NULL) {
        struct rt_arena_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void rt_arena_release(struct rt_arena *a)
{
    free_chunks(a->chunks);
    rt_arena_init(a);
}

void rt_arena_reset(struct rt_arena *a)
{
    if (a->chunks != NULL) {
        free_chunks(a->chunks->next);
        a->chunks->next = NULL;
        a->chunks->used = 0;
    }
    a->bytes = 0;
}

/* A chunk with room for `need` bytes, in its place in the list; NULL: out of memory. */
static struct rt_arena_chunk *add_chunk(struct rt_arena *a, size_t need)
{
    struct rt_arena_chunk *newest = a->chunks;
    struct rt_arena_chunk *chunk;
    size_t size = newest == NULL ? CHUNK_MIN : newest->size * 2;
    bool own;

    if (newest != NULL && newest->size >= CHUNK_MAX / 2)
        size = CHUNK_MAX;
    own = need > size;
    if (own)
        size = need;
    if (size > SIZE_MAX - sizeof *chunk)
        return NULL;
    chunk = malloc(sizeof *chunk + size);
    if (chunk == NULL)
        return NULL;
    chunk->size = size;
    chunk->used = 0;
    if (own && newest != NULL) {
        chunk->next = newest->next;
        newest->next = chunk;
    } else {
        chunk->next = newest;
        a->chunks = chunk;
    }
    return chunk;
}

void *rt_arena_alloc(struct rt_arena *a, size_t bytes)
{
    struct rt_arena_chunk *chunk = a->chunks;
    size_t need = bytes == 0 ? 1 : bytes;
    void *item;

    if (need > PTRDIFF_MAX - (ALIGNMENT - 1)) /* no object is larger */
        return NULL;
    need = (need + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (chunk == NULL || chunk->size - chunk->used < need)
        chunk = add_chunk(a, need);
    if (chunk == NULL)
        return NULL;
    item = chunk->data + chunk->used;
    chunk->used += need;
    a->bytes += need;
    return memset(item, 0, need);
}

char *rt_arena_strndup(struct rt_arena *a, const char *text, size_t len)
{
    char *copy = len == SIZE_MAX ? NULL : rt_arena_alloc(a, len + 1);

    if (copy != NULL && len > 0)
        memcpy(copy, text, len);
    return copy;
}

char *rt_arena_strdup(struct rt_arena *a, const char *text)
{
    return rt_arena_strndup(a, text, strlen(text));
}

void rt_slab_init(struct rt_slab *s, size_t item_bytes)
{
    memset(s, 0, sizeof *s);
    s->item_bytes = item_bytes < sizeof(uint32_t) ? sizeof(uint32_t) : item_bytes;
    s->free = RT_SLAB_NONE;
}

void rt_slab_release(struct rt_slab *s)
{
    free(s->items);
    rt_slab_init(s, s->item_bytes);
}

static bool grow(struct rt_slab *s)
{
    uint32_t capacity = s->capacity == 0 ? SLAB_FIRST : s->capacity * 2;
    unsigned char *items;

    if (s->capacity == SLAB_MAX || (size_t)capacity > SIZE_MAX / s->item_bytes)
        return false;
    items = realloc(s->items, (size_t)capacity * s->item_bytes);
    if (items == NULL)
        return false;
    s->items = items;
    s->capacity = capacity;
    return true;
}

uint32_t rt_slab_take(struct rt_slab *s)
{
    uint32_t index = s->free;

    if (index != RT_SLAB_NONE) {
        memcpy(&s->free, rt_slab_at(s, index), sizeof s->free);
    } else {
        if (s->fresh == s->capacity && !grow(s))
            return RT_SLAB_NONE;
        index = s->fresh++;
    }
    s->used++;
    memset(rt_slab_at(s, index), 0, s->item_bytes);
    return index;
}

void rt_slab_give(struct rt_slab *s, uint32_t index)
{
    assert(index < s->fresh && s->used > 0);
    memcpy(rt_slab_at(s, index), &s->free, sizeof s->free);
    s->free = index;
    s->used--;
}
