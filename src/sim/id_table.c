/* Requests in flight by id: a hash table with linear probing, at most half full, no tombstones.
 * O(1) a call. */
#include "sim_internal.h"

#include <stdlib.h>

#define FIRST_SLOTS 64u

static uint32_t home_of(const struct id_table *t, uint64_t id)
{
    return (uint32_t)((id * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (t->slot_count - 1);
}

/* The id's slot, or the free one where it would go. */
static uint32_t slot_of(const struct id_table *t, uint64_t id)
{
    uint32_t s = home_of(t, id);
    while (t->slots[s].item != ID_NONE && t->slots[s].id != id)
        s = (s + 1) & (t->slot_count - 1);
    return s;
}

static bool grow(struct id_table *t)
{
    struct id_table grown = *t;
    grown.slot_count = t->slot_count > 0 ? 2 * t->slot_count : FIRST_SLOTS;
    grown.slots =
        t->slot_count < UINT32_C(1) << 31 ? malloc(grown.slot_count * sizeof grown.slots[0]) : NULL;
    if (!grown.slots)
        return false;
    for (uint32_t s = 0; s < grown.slot_count; s++)
        grown.slots[s].item = ID_NONE;
    for (uint32_t s = 0; s < t->slot_count; s++)
        if (t->slots[s].item != ID_NONE)
            grown.slots[slot_of(&grown, t->slots[s].id)] = t->slots[s];
    free(t->slots);
    *t = grown;
    return true;
}

bool id_table_reserve(struct id_table *t)
{
    return t->used < t->slot_count / 2 || grow(t);
}

void id_table_put(struct id_table *t, uint64_t id, uint32_t item)
{
    t->slots[slot_of(t, id)] = (struct id_slot){.id = id, .item = item};
    t->used++;
}

uint32_t id_table_get(const struct id_table *t, uint64_t id)
{
    return t->used == 0 ? ID_NONE : t->slots[slot_of(t, id)].item;
}

/* Entries behind the hole move up where they can be found all the same. */
void id_table_remove(struct id_table *t, uint64_t id)
{
    uint32_t mask = t->slot_count - 1, hole = slot_of(t, id);
    t->slots[hole].item = ID_NONE;
    t->used--;
    for (uint32_t s = (hole + 1) & mask; t->slots[s].item != ID_NONE; s = (s + 1) & mask) {
        uint32_t home = home_of(t, t->slots[s].id);
        if (((s - home) & mask) < ((s - hole) & mask))
            continue;
        t->slots[hole] = t->slots[s];
        t->slots[s].item = ID_NONE;
        hole = s;
    }
}

void id_table_release(struct id_table *t)
{
    free(t->slots);
}
