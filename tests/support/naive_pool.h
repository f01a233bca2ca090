/* support/naive_pool.h: the KV blocks of the plain model, each with its own number: the free queue
 * (rule 9 of docs/engine.md) and the published blocks of the prefix cache (rule 10). O(1) a call.
 */
#ifndef NAIVE_POOL_H
#define NAIVE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAIVE_NONE ((int64_t)-1)

struct naive_key { /* rule 3: what a full block holds */
    bool is_private;
    uint64_t name;  /* hash id, or the request */
    uint64_t place; /* block within the hash id's tokens, or within the request */
};

struct naive_block {
    int64_t refs;
    bool published;
    struct naive_key key;
    int64_t older, newer; /* neighbours in the free queue */
    int64_t next_in_bucket;
};

struct naive_pool { /* rule 9: the free queue runs from `head` (taken first) to `tail` */
    struct naive_block *blocks;
    int64_t count, free_count, head, tail;
    int64_t *buckets; /* published blocks by key */
    size_t bucket_count;
};

void naive_pool_init(struct naive_pool *pool, int64_t count);
void naive_pool_release(struct naive_pool *pool);
/* The head of the free queue; it loses its key. */
int64_t naive_pool_take(struct naive_pool *pool);
/* One more reference; a free block leaves the queue. */
void naive_pool_share(struct naive_pool *pool, int64_t b);
/* One reference less; the last one puts the block at the tail. */
void naive_pool_drop(struct naive_pool *pool, int64_t b);
/* The published block of this key, or NAIVE_NONE. */
int64_t naive_pool_find(const struct naive_pool *pool, const struct naive_key *key);
/* Unless the key is published already. */
void naive_pool_publish(struct naive_pool *pool, const struct naive_key *key, int64_t b);

/* Aborts the test unless `holds`. */
void naive_need(bool holds, const char *what);
/* calloc that aborts the test when memory is out. */
void *naive_zeroed(size_t count, size_t item_bytes);

#endif
