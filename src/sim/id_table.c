/* A number for each of some request ids: open addressing with linear probing, at most half full,
 * without tombstones. O(1) a call. */
#include "sim_internal.h"

#include <stdlib.h>

#define FIRST_SLOTS 64u

void id_table_release(struct id_table *t)
{
    free(t->slots);
    *t = (struct id_table){0};
}

static uint32_t home_of(const struct id_table *t, uint64_t id)
{
    return (uint32_t)((id * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (t->size - 1);
}

/* The id's slot, or the free one where it would go. */
static uint32_t slot_of(const struct id_table *t, uint64_t id)
{
    uint32_t s = home_of(t, id);
    while (t->slots[s].value != ID_TABLE_NONE && t->slots[s].id != id)
        s = (s + 1) & (t->size - 1);
    return s;
}

static bool grow(struct id_table *t)
{
    struct id_table grown = {.size = t->size > 0 ? 2 * t->size : FIRST_SLOTS, .count = t->count};
    if (t->size >= UINT32_C(1) << 31)
        return false;
    grown.slots = malloc(grown.size * sizeof grown.slots[0]);
    if (!grown.slots)
        return false;
    for (uint32_t s = 0; s < grown.size; s++)
        grown.slots[s].value = ID_TABLE_NONE;
    for (uint32_t s = 0; s < t->size; s++)
        if (t->slots[s].value != ID_TABLE_NONE)
            grown.slots[slot_of(&grown, t->slots[s].id)] = t->slots[s];
    free(t->slots);
    *t = grown;
    return true;
}

bool id_table_put(struct id_table *t, uint64_t id, uint32_t value)
{
    if (t->count >= t->size / 2 && !grow(t))
        return false;
    t->slots[slot_of(t, id)] = (struct id_slot){id, value};
    t->count++;
    return true;
}

uint32_t id_table_get(const struct id_table *t, uint64_t id)
{
    return t->count == 0 ? ID_TABLE_NONE : t->slots[slot_of(t, id)].value;
}

/* Entries behind the hole move up where they can be found all the same. */
static void free_slot(struct id_table *t, uint32_t hole)
{
    uint32_t mask = t->size - 1;
    t->slots[hole].value = ID_TABLE_NONE;
    for (uint32_t s = (hole + 1) & mask; t->slots[s].value != ID_TABLE_NONE; s = (s + 1) & mask) {
        uint32_t home = home_of(t, t->slots[s].id);
        if (((s - home) & mask) < ((s - hole) & mask))
            continue;
        t->slots[hole] = t->slots[s];
        t->slots[s].value = ID_TABLE_NONE;
        hole = s;
    }
}

uint32_t id_table_take(struct id_table *t, uint64_t id)
{
    if (t->count == 0)
        return ID_TABLE_NONE;
    uint32_t slot = slot_of(t, id), value = t->slots[slot].value;
    if (value != ID_TABLE_NONE) {
        free_slot(t, slot);
        t->count--;
    }
    return value;
}
