/* session_table.c: sessions by name.
 *
 * A chained hash table over a slab: a session keeps its index while it is known. Those that have no
 * turn due or in flight are idle and stand in a list, longest idle first, so that the owner can
 * forget from its head. O(len of the name) a look-up, O(1) otherwise. Out of memory: nothing was
 * added. */
#include "load_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 64u

void rt_session_table_init(struct rt_session_table *t)
{
    *t = (struct rt_session_table){.head = RT_SLAB_NONE, .tail = RT_SLAB_NONE};
    rt_slab_init(&t->sessions, sizeof(struct rt_session));
}

void rt_session_table_release(struct rt_session_table *t)
{
    for (uint32_t b = 0; b < t->size; b++)
        for (uint32_t i = t->buckets[b]; i != RT_SLAB_NONE; i = rt_session_at(t, i)->bucket_next)
            free(rt_session_at(t, i)->name);
    free(t->buckets);
    rt_slab_release(&t->sessions);
    rt_session_table_init(t);
}

static uint64_t hash_of(const char *name)
{
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (; *name != '\0'; name++)
        h = (h ^ (unsigned char)*name) * UINT64_C(1099511628211);
    return h ^ h >> 32;
}

static uint32_t *bucket_of(const struct rt_session_table *t, const char *name)
{
    return &t->buckets[(uint32_t)hash_of(name) & (t->size - 1)];
}

uint32_t rt_session_find(const struct rt_session_table *t, const char *name)
{
    uint32_t i = t->size > 0 ? *bucket_of(t, name) : RT_SLAB_NONE;
    while (i != RT_SLAB_NONE && strcmp(rt_session_at(t, i)->name, name) != 0)
        i = rt_session_at(t, i)->bucket_next;
    return i;
}

static bool grow(struct rt_session_table *t)
{
    uint32_t size = t->size ? t->size * 2 : FIRST_BUCKETS, *old = t->buckets, old_size = t->size;
    uint32_t *buckets = malloc(size * sizeof buckets[0]);
    if (buckets == NULL)
        return false;
    memset(buckets, 0xff, size * sizeof buckets[0]); /* RT_SLAB_NONE */
    t->buckets = buckets;
    t->size = size;
    for (uint32_t b = 0; b < old_size; b++)
        for (uint32_t i = old[b], next; i != RT_SLAB_NONE; i = next) {
            struct rt_session *x = rt_session_at(t, i);
            uint32_t *bucket = bucket_of(t, x->name);
            next = x->bucket_next;
            x->bucket_next = *bucket;
            *bucket = i;
        }
    free(old);
    return true;
}

uint32_t rt_session_add(struct rt_session_table *t, const char *name)
{
    if (t->sessions.used >= t->size && !grow(t))
        return RT_SLAB_NONE;
    char *copy = strdup(name);
    uint32_t i = copy ? rt_slab_take(&t->sessions) : RT_SLAB_NONE;
    if (i == RT_SLAB_NONE) {
        free(copy);
        return RT_SLAB_NONE;
    }
    uint32_t *bucket = bucket_of(t, name);
    *rt_session_at(t, i) = (struct rt_session){.name = copy,
                                               .head = RT_SLAB_NONE,
                                               .tail = RT_SLAB_NONE,
                                               .bucket_next = *bucket,
                                               .busy = true};
    *bucket = i;
    return i;
}

void rt_session_set_idle(struct rt_session_table *t, uint32_t i)
{
    struct rt_session *x = rt_session_at(t, i);
    assert(x->busy);
    x->busy = false;
    x->prev = t->tail;
    x->next = RT_SLAB_NONE;
    if (t->tail == RT_SLAB_NONE)
        t->head = i;
    else
        rt_session_at(t, t->tail)->next = i;
    t->tail = i;
    t->idle_count++;
}

void rt_session_set_busy(struct rt_session_table *t, uint32_t i)
{
    struct rt_session *x = rt_session_at(t, i);
    assert(!x->busy);
    x->busy = true;
    if (x->prev == RT_SLAB_NONE)
        t->head = x->next;
    else
        rt_session_at(t, x->prev)->next = x->next;
    if (x->next == RT_SLAB_NONE)
        t->tail = x->prev;
    else
        rt_session_at(t, x->next)->prev = x->prev;
    t->idle_count--;
}

void rt_session_forget(struct rt_session_table *t, uint32_t i)
{
    rt_session_set_busy(t, i); /* out of the list */
    struct rt_session *x = rt_session_at(t, i);
    uint32_t *link = bucket_of(t, x->name);
    while (*link != i)
        link = &rt_session_at(t, *link)->bucket_next;
    *link = x->bucket_next;
    free(x->name);
    rt_slab_give(&t->sessions, i);
}
