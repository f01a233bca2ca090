/* The plain model's KV blocks: a doubly linked free queue and a table of published blocks by key.
 */
#include "support/naive_pool.h"

#include <stdio.h>
#include <stdlib.h>

void naive_need(bool holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "naive engine: %s\n", what);
        abort();
    }
}

void *naive_zeroed(size_t count, size_t item_bytes)
{
    void *items = calloc(count ? count : 1, item_bytes);
    naive_need(items != NULL, "out of memory");
    return items;
}

static void queue_push(struct naive_pool *pool, int64_t b)
{
    pool->blocks[b].older = pool->tail;
    pool->blocks[b].newer = NAIVE_NONE;
    if (pool->tail == NAIVE_NONE)
        pool->head = b;
    else
        pool->blocks[pool->tail].newer = b;
    pool->tail = b;
    pool->free_count++;
}

static void queue_unlink(struct naive_pool *pool, int64_t b)
{
    struct naive_block *block = &pool->blocks[b];
    if (block->older == NAIVE_NONE)
        pool->head = block->newer;
    else
        pool->blocks[block->older].newer = block->newer;
    if (block->newer == NAIVE_NONE)
        pool->tail = block->older;
    else
        pool->blocks[block->newer].older = block->older;
    pool->free_count--;
}

static int64_t *bucket_of(const struct naive_pool *pool, const struct naive_key *key)
{
    uint64_t h = (key->name * 2 + (key->is_private ? 1 : 0)) * UINT64_C(0x9E3779B97F4A7C15);
    h = (h ^ (h >> 29) ^ key->place) * UINT64_C(0xBF58476D1CE4E5B9);
    return &pool->buckets[(h ^ (h >> 32)) % pool->bucket_count];
}

int64_t naive_pool_find(const struct naive_pool *pool, const struct naive_key *key)
{
    for (int64_t b = *bucket_of(pool, key); b != NAIVE_NONE; b = pool->blocks[b].next_in_bucket) {
        const struct naive_key *k = &pool->blocks[b].key;
        if (k->is_private == key->is_private && k->name == key->name && k->place == key->place)
            return b;
    }
    return NAIVE_NONE;
}

void naive_pool_publish(struct naive_pool *pool, const struct naive_key *key, int64_t b)
{
    if (naive_pool_find(pool, key) != NAIVE_NONE)
        return;
    int64_t *bucket = bucket_of(pool, key);
    pool->blocks[b].published = true;
    pool->blocks[b].key = *key;
    pool->blocks[b].next_in_bucket = *bucket;
    *bucket = b;
}

static void pool_unpublish(struct naive_pool *pool, int64_t b)
{
    int64_t *link = bucket_of(pool, &pool->blocks[b].key);
    while (*link != b)
        link = &pool->blocks[*link].next_in_bucket;
    *link = pool->blocks[b].next_in_bucket;
    pool->blocks[b].published = false;
}

int64_t naive_pool_take(struct naive_pool *pool)
{
    int64_t b = pool->head;
    naive_need(b != NAIVE_NONE, "no free block to take");
    queue_unlink(pool, b);
    if (pool->blocks[b].published)
        pool_unpublish(pool, b);
    pool->blocks[b].refs = 1;
    return b;
}

void naive_pool_share(struct naive_pool *pool, int64_t b)
{
    if (pool->blocks[b].refs == 0)
        queue_unlink(pool, b);
    pool->blocks[b].refs++;
}

void naive_pool_init(struct naive_pool *pool, int64_t count)
{
    pool->count = count;
    pool->free_count = 0;
    pool->head = pool->tail = NAIVE_NONE;
    pool->blocks = naive_zeroed((size_t)count, sizeof *pool->blocks);
    pool->bucket_count = (size_t)count * 2 + 1;
    pool->buckets = naive_zeroed(pool->bucket_count, sizeof *pool->buckets);
    for (size_t i = 0; i < pool->bucket_count; i++)
        pool->buckets[i] = NAIVE_NONE;
    for (int64_t b = 0; b < count; b++)
        queue_push(pool, b);
}

void naive_pool_drop(struct naive_pool *pool, int64_t b)
{
    naive_need(pool->blocks[b].refs > 0, "freed a free block");
    if (--pool->blocks[b].refs == 0)
        queue_push(pool, b);
}

void naive_pool_release(struct naive_pool *pool)
{
    free(pool->buckets);
    free(pool->blocks);
}
