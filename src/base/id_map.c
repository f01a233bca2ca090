/* Open addressing with linear probing, at most half full; removal moves the entries behind the hole
 * up, so there are no tombstones. */
#include "rooftrace/id_map.h"

#include <assert.h>
#include <stdlib.h>

#define FIRST_SIZE 64u

void rt_id_map_release(struct rt_id_map *m)
{
    free(m->entries);
    *m = (struct rt_id_map){.entries = NULL};
}

/* Ids are places in a trace: multiplying spreads neighbours (Fibonacci hashing; Knuth, TAOCP 3,
 * 6.4). */
static uint32_t home_of(const struct rt_id_map *m, uint64_t id)
{
    return (uint32_t)((id * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (m->size - 1);
}

/* The id's slot, or the free one where it would go. */
static uint32_t slot_of(const struct rt_id_map *m, uint64_t id)
{
    uint32_t i = home_of(m, id);
    while (m->entries[i].used && m->entries[i].id != id)
        i = (i + 1) & (m->size - 1);
    return i;
}

static bool grow(struct rt_id_map *m)
{
    struct rt_id_map grown = {.size = m->size ? m->size * 2 : FIRST_SIZE, .count = m->count};
    grown.entries = m->size < UINT32_C(1) << 31 ? calloc(grown.size, sizeof *grown.entries) : NULL;
    if (grown.entries == NULL)
        return false;
    for (uint32_t i = 0; i < m->size; i++)
        if (m->entries[i].used)
            grown.entries[slot_of(&grown, m->entries[i].id)] = m->entries[i];
    free(m->entries);
    *m = grown;
    return true;
}

bool rt_id_map_put(struct rt_id_map *m, uint64_t id, uint64_t value)
{
    if ((uint64_t)m->count * 2 >= m->size && !grow(m))
        return false;
    uint32_t i = slot_of(m, id);
    assert(!m->entries[i].used);
    m->entries[i] = (struct rt_id_entry){.id = id, .value = value, .used = true};
    m->count++;
    return true;
}

bool rt_id_map_get(const struct rt_id_map *m, uint64_t id, uint64_t *value)
{
    if (m->count == 0)
        return false;
    const struct rt_id_entry *e = &m->entries[slot_of(m, id)];
    if (e->used)
        *value = e->value;
    return e->used;
}

bool rt_id_map_take(struct rt_id_map *m, uint64_t id, uint64_t *value)
{
    if (m->count == 0)
        return false;
    uint32_t hole = slot_of(m, id), mask = m->size - 1;
    if (!m->entries[hole].used)
        return false;
    *value = m->entries[hole].value;
    m->entries[hole].used = false;
    m->count--;
    for (uint32_t i = (hole + 1) & mask; m->entries[i].used; i = (i + 1) & mask) {
        if (((i - home_of(m, m->entries[i].id)) & mask) < ((i - hole) & mask))
            continue;
        m->entries[hole] = m->entries[i];
        m->entries[i].used = false;
        hole = i;
    }
    return true;
}
