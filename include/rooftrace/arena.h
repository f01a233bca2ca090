/* base/arena.h: memory that lives as long as its owner, freed at once; and a slab of equal items.
 *
 * Arena: allocation is O(1) amortised, chunks grow from 4 KiB to 1 MiB, a larger request gets a
 * chunk of its own; nothing is freed alone.
 * Slab: items are addressed by 32-bit index, freed items are reused last-in first-out; an index
 * stays valid while its item lives, a pointer only until the next rt_slab_take. */
#ifndef RT_ARENA_H
#define RT_ARENA_H

#include "rooftrace/err.h"

#include <stddef.h>
#include <stdint.h>

struct rt_arena_chunk;

struct rt_arena {
    struct rt_arena_chunk *chunks; /* newest first; the newest has room */
    size_t bytes;                  /* handed out since init or reset, rounded up to alignment */
};

void rt_arena_init(struct rt_arena *a);
void rt_arena_release(struct rt_arena *a);
/* Forgets all content, keeps the newest chunk for reuse. */
void rt_arena_reset(struct rt_arena *a);
/* Zeroed, aligned for any type, never NULL for 0 bytes; NULL when memory is out. */
void *rt_arena_alloc(struct rt_arena *a, size_t bytes) RT_MUST_USE;
/* A copy of the text with a final NUL; NULL when memory is out. */
char *rt_arena_strndup(struct rt_arena *a, const char *text, size_t len) RT_MUST_USE;
char *rt_arena_strdup(struct rt_arena *a, const char *text) RT_MUST_USE;

#define RT_SLAB_NONE UINT32_MAX

struct rt_slab {
    unsigned char *items; /* capacity * item_bytes */
    size_t item_bytes;    /* at least 4 (init sees to it): a free item holds the next free index */
    uint32_t capacity;
    uint32_t used;  /* items alive */
    uint32_t fresh; /* indices from here on were never taken */
    uint32_t free;  /* head of the free list, or RT_SLAB_NONE */
};

void rt_slab_init(struct rt_slab *s, size_t item_bytes);
void rt_slab_release(struct rt_slab *s);
/* Index of a zeroed item, or RT_SLAB_NONE when memory is out or 2^31 items are alive. */
uint32_t rt_slab_take(struct rt_slab *s) RT_MUST_USE;
void rt_slab_give(struct rt_slab *s, uint32_t index);

static inline void *rt_slab_at(const struct rt_slab *s, uint32_t index)
{
    return s->items + (size_t)index * s->item_bytes;
}

#endif
