/* id_set.c: which 64-bit ids were seen, within a bound of memory.
 *
 * Two generations of open-addressing tables, each at most half full. Ids enter the young one, also
 * when they are met again; when it is full the old one is dropped and the young one takes its
 * place, so what is forgotten was not met for a whole generation (a second chance, near
 * least-recently-used). Until then, and that is `forgetting` not set, the set is exact. O(1). */
#include "workload_internal.h"

#include <stdlib.h>

#define FIRST_SIZE 4096u

void rt_id_set_init(struct rt_id_set *s, uint64_t memory_bytes)
{
    size_t places = FIRST_SIZE;
    /* Two tables of 8 bytes a place; while one grows its smaller self is there, too. */
    while (places <= SIZE_MAX / 64 && (uint64_t)places * 2 * 8 * 3 <= memory_bytes)
        places *= 2;
    *s = (struct rt_id_set){.limit = places / 2};
}

static void release_table(struct rt_id_table *t)
{
    free(t->ids);
    *t = (struct rt_id_table){.ids = NULL};
}

void rt_id_set_release(struct rt_id_set *s)
{
    release_table(&s->young);
    release_table(&s->old);
}

static uint64_t *place_of(uint64_t *ids, size_t size, uint64_t id)
{
    size_t i = (size_t)rt_mix_ids(id, 1) & (size - 1);
    while (ids[i] != 0 && ids[i] != id)
        i = (i + 1) & (size - 1);
    return &ids[i];
}

static bool table_has(const struct rt_id_table *t, uint64_t id)
{
    if (id == 0)
        return t->has_zero;
    return t->ids != NULL && *place_of(t->ids, t->size, id) == id;
}

bool rt_id_set_has(const struct rt_id_set *s, uint64_t id)
{
    return table_has(&s->young, id) || table_has(&s->old, id);
}

static bool grow(struct rt_id_table *t, struct rt_err *err)
{
    size_t size = t->size == 0 ? FIRST_SIZE : t->size * 2;
    uint64_t *ids = calloc(size, sizeof *ids);
    if (ids == NULL)
        return rt_fail_nomem(err, "blocks and sessions of a trace");
    for (size_t i = 0; i < t->size; i++) {
        if (t->ids[i] != 0)
            *place_of(ids, size, t->ids[i]) = t->ids[i];
    }
    free(t->ids);
    t->ids = ids;
    t->size = size;
    return true;
}

bool rt_id_set_add(struct rt_id_set *s, uint64_t id, bool *added, struct rt_err *err)
{
    struct rt_id_table *t = &s->young;
    *added = false;
    if (table_has(t, id))
        return true;
    *added = !table_has(&s->old, id);
    if (t->used == s->limit) {
        s->forgetting = s->forgetting || s->old.size > 0;
        release_table(&s->old);
        s->old = s->young;
        *t = (struct rt_id_table){.ids = NULL};
    }
    if (t->used >= t->size / 2 && !grow(t, err))
        return false;
    t->used++;
    if (id == 0)
        t->has_zero = true;
    else
        *place_of(t->ids, t->size, id) = id;
    return true;
}
