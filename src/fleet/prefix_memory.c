/* A bounded table of hash ids. Open addressing with linear probing, at most half full; a ring holds
 * the ids in the order they came in, and the oldest makes room for the newest.
 *
 * What was noted counts only once a report has come since. An id that goes to another replica keeps
 * the place that is known until then:
 *
 *     id | before: known | last: known from report `since` + 1 on
 */
#include "prefix_internal.h"

#include <stdlib.h>

#define NOWHERE UINT32_MAX

struct entry {
    uint64_t id, since; /* reports so far when `last` was noted */
    uint32_t before, last;
    bool used;
};

struct prefix_memory {
    struct entry *entries; /* [2 * ids] */
    uint64_t *ring;        /* [ids] */
    uint32_t mask, ids, count, oldest;
};

struct prefix_memory *prefix_memory_new(uint32_t ids)
{
    struct prefix_memory *m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->ids = ids;
    m->mask = 2 * ids - 1;
    m->entries = calloc(2 * (size_t)ids, sizeof m->entries[0]);
    m->ring = malloc(ids * sizeof m->ring[0]);
    if (!m->entries || !m->ring) {
        prefix_memory_free(m);
        return NULL;
    }
    return m;
}

void prefix_memory_free(struct prefix_memory *m)
{
    if (!m)
        return;
    free(m->entries);
    free(m->ring);
    free(m);
}

static uint32_t home_of(const struct prefix_memory *m, uint64_t id)
{
    return (uint32_t)((id * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & m->mask;
}

/* The id's slot, or the free one where it would go. */
static uint32_t slot_of(const struct prefix_memory *m, uint64_t id)
{
    uint32_t i = home_of(m, id);
    while (m->entries[i].used && m->entries[i].id != id)
        i = (i + 1) & m->mask;
    return i;
}

static void forget(struct prefix_memory *m, uint64_t id)
{
    uint32_t hole = slot_of(m, id);
    m->entries[hole].used = false;
    for (uint32_t i = (hole + 1) & m->mask; m->entries[i].used; i = (i + 1) & m->mask) {
        uint32_t home = home_of(m, m->entries[i].id);
        if (((i - home) & m->mask) < ((i - hole) & m->mask))
            continue;
        m->entries[hole] = m->entries[i];
        m->entries[i].used = false;
        hole = i;
    }
}

static uint32_t known(const struct entry *e, uint64_t reports)
{
    return reports > e->since ? e->last : e->before;
}

uint32_t prefix_memory_find(const struct prefix_memory *m, const struct rt_request *req,
                            uint64_t reports, uint32_t *run)
{
    uint32_t found = NOWHERE;
    *run = 0;
    for (uint32_t h = 0; h < req->hash_count; h++) {
        const struct entry *e = &m->entries[slot_of(m, req->hash_ids[h])];
        if (!e->used || known(e, reports) == NOWHERE)
            break;
        found = known(e, reports);
        *run = h + 1;
    }
    return found;
}

static void note(struct prefix_memory *m, uint64_t id, uint32_t replica, uint64_t reports)
{
    struct entry *e = &m->entries[slot_of(m, id)];
    if (e->used) {
        e->before = known(e, reports);
        e->last = replica;
        e->since = reports;
        return;
    }
    if (m->count == m->ids) {
        forget(m, m->ring[m->oldest]);
        m->count--;
    }
    m->entries[slot_of(m, id)] = (struct entry){
        .id = id, .since = reports, .before = NOWHERE, .last = replica, .used = true};
    m->ring[m->oldest] = id;
    m->oldest = (m->oldest + 1) & (m->ids - 1);
    m->count++;
}

void prefix_memory_note(struct prefix_memory *m, const struct rt_request *req, uint32_t replica,
                        uint64_t reports)
{
    for (uint32_t h = 0; h < req->hash_count; h++)
        note(m, req->hash_ids[h], replica, reports);
}
