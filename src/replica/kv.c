/* KV memory of a replica, in blocks.
 *
 * Without prefix caching blocks have no identity: the pool is a counter. With it, but a trace that
 * names no blocks, see retained.c. With both (docs/engine.md, prefix caching) a block has a
 * reference count and perhaps a key; free blocks form a queue in the order they became free, which
 * is also the cache's least-recently-used order: a request takes blocks at the head, and a taken
 * block loses its key. Keys name the content of a full block and, chained, all before it: public
 * ones come from the trace's hash ids, private ones (request, number) let a preempted request find
 * its own blocks.
 *
 *   free queue   head -> b7 -> b2 -> ... -> tail      blocks[b].ref == 0
 *   table        hash of key -> b                     every b with a key, free or not
 *
 * With an offload tier a block that loses its key leaves a copy in CPU memory: a second cache of
 * the same kind, none of whose blocks is ever held, so that its free queue is its LRU order. A key
 * is in one of the two at most. Copies out cost nothing (they go beside computing), copies back go
 * with the step that admits.
 *
 * Every operation is O(1) a block. Blocks never taken are implicit at the head of the queue, so
 * memory follows the blocks ever used: 32 bytes each, table included 48. */
#include "replica_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NO_BLOCK    UINT32_MAX
#define FIRST_TABLE 1024u

enum key_kind { KEY_NONE, KEY_PUBLIC, KEY_PRIVATE };

struct key {
    uint64_t name;   /* hash id, or request id */
    uint32_t number; /* part of the trace's block, or number of the request's block */
    uint32_t kind;
};

struct block {
    struct key key;
    uint32_t ref;
    uint32_t next, prev; /* in the free queue */
};

struct kv_cache {
    struct block *blocks;
    uint32_t capacity, fresh, limit; /* allocated; taken at least once; all */
    uint32_t head, tail;             /* free queue of blocks that were taken before */
    uint32_t *table;            /* open addressing, linear probing; block index + 1, 0 = empty */
    uint32_t table_size, keyed; /* power of two; entries */
    uint32_t ratio;             /* blocks a hash id of the trace names */
    uint32_t *hits; /* scratch: the run found by kv_find_prefix; NO_BLOCK: in the offload tier */
    uint32_t hit_count, hit_capacity;
    struct kv_cache *cpu; /* the offload tier, or NULL */
};

static struct kv_cache *cache_new(int64_t limit)
{
    struct kv_cache *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->limit = (uint32_t)limit;
    c->head = c->tail = NO_BLOCK;
    c->table_size = FIRST_TABLE;
    c->table = calloc(c->table_size, sizeof c->table[0]);
    if (!c->table) {
        free(c);
        return NULL;
    }
    return c;
}

static void cache_free(struct kv_cache *c)
{
    if (!c)
        return;
    free(c->blocks);
    free(c->table);
    free(c->hits);
    free(c);
}

bool kv_init(struct rank *r, const struct rt_replica_spec *spec)
{
    if (!r->engine->prefix_caching)
        return true;
    if (spec->hash_block == 0 && spec->offload_blocks == 0)
        return retained_init(r);
    struct kv_cache *c = cache_new(r->kv_blocks);
    r->kv = c;
    if (!c)
        return false;
    c->ratio = spec->hash_block > 0 ? (uint32_t)(spec->hash_block / r->engine->block_size) : 1;
    if (spec->offload_blocks == 0)
        return true;
    c->cpu = cache_new(spec->offload_blocks);
    return c->cpu != NULL;
}

void kv_free(struct rank *r)
{
    retained_free(r);
    if (r->kv)
        cache_free(r->kv->cpu);
    cache_free(r->kv);
}

/* ---- table of keys ---- */

static uint32_t slot_of(const struct kv_cache *c, const struct key *k)
{
    uint64_t h = k->name * UINT64_C(0x9e3779b97f4a7c15);
    h ^= (uint64_t)k->number * UINT64_C(0xc2b2ae3d27d4eb4f) + k->kind;
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t)(h >> 32) & (c->table_size - 1);
}

static bool same_key(const struct key *a, const struct key *b)
{
    return a->name == b->name && a->number == b->number && a->kind == b->kind;
}

/* The slot that holds the key, or the empty one where it would go. */
static uint32_t probe(const struct kv_cache *c, const struct key *k)
{
    uint32_t s = slot_of(c, k);
    while (c->table[s] != 0 && !same_key(&c->blocks[c->table[s] - 1].key, k))
        s = (s + 1) & (c->table_size - 1);
    return s;
}

static uint32_t find(const struct kv_cache *c, const struct key *k)
{
    return c->table[probe(c, k)] - 1; /* empty: 0 - 1 = NO_BLOCK */
}

/* Removal without tombstones: entries behind the hole move up as far as their own slot allows. */
static void forget(struct kv_cache *c, uint32_t block)
{
    uint32_t hole = probe(c, &c->blocks[block].key);
    uint32_t mask = c->table_size - 1;
    c->table[hole] = 0;
    for (uint32_t s = (hole + 1) & mask; c->table[s] != 0; s = (s + 1) & mask) {
        uint32_t home = slot_of(c, &c->blocks[c->table[s] - 1].key);
        if (((s - home) & mask) < ((s - hole) & mask))
            continue;
        c->table[hole] = c->table[s];
        c->table[s] = 0;
        hole = s;
    }
    c->blocks[block].key.kind = KEY_NONE;
    c->keyed--;
}

static bool grow_table(struct kv_cache *c)
{
    uint32_t *old = c->table, old_size = c->table_size;
    uint32_t *table = calloc((size_t)old_size * 2, sizeof table[0]);
    if (!table)
        return false;
    c->table = table;
    c->table_size = old_size * 2;
    for (uint32_t s = 0; s < old_size; s++)
        if (old[s] != 0)
            table[probe(c, &c->blocks[old[s] - 1].key)] = old[s];
    free(old);
    return true;
}

/* ---- free queue ---- */

static void queue_push(struct kv_cache *c, uint32_t b)
{
    c->blocks[b].next = NO_BLOCK;
    c->blocks[b].prev = c->tail;
    if (c->tail == NO_BLOCK)
        c->head = b;
    else
        c->blocks[c->tail].next = b;
    c->tail = b;
}

static void queue_remove(struct kv_cache *c, uint32_t b)
{
    const struct block *x = &c->blocks[b];
    if (x->prev == NO_BLOCK)
        c->head = x->next;
    else
        c->blocks[x->prev].next = x->next;
    if (x->next == NO_BLOCK)
        c->tail = x->prev;
    else
        c->blocks[x->next].prev = x->prev;
}

/* A block never taken before: they stand at the head of the queue, in order. */
static uint32_t take_fresh(struct kv_cache *c)
{
    if (c->fresh == c->capacity) {
        uint64_t more = c->capacity ? (uint64_t)c->capacity * 2 : 256;
        uint32_t capacity = more < c->limit ? (uint32_t)more : c->limit;
        struct block *blocks = realloc(c->blocks, capacity * sizeof blocks[0]);
        if (!blocks)
            return NO_BLOCK;
        c->blocks = blocks;
        c->capacity = capacity;
    }
    c->blocks[c->fresh] = (struct block){.ref = 1};
    return c->fresh++;
}

/* The next block to take, without its key. NO_BLOCK: out of memory. */
static uint32_t take_least(struct kv_cache *c)
{
    if (c->fresh < c->limit)
        return take_fresh(c);
    uint32_t b = c->head;
    assert(b != NO_BLOCK);
    queue_remove(c, b);
    if (c->blocks[b].key.kind != KEY_NONE)
        forget(c, b);
    c->blocks[b].ref = 1;
    return b;
}

/* Gives block b the key, unless another block has it. */
static bool enter(struct kv_cache *c, const struct key *k, uint32_t b)
{
    if ((uint64_t)c->keyed * 2 >= c->table_size && !grow_table(c))
        return false;
    uint32_t s = probe(c, k);
    if (c->table[s] != 0)
        return true; /* the first copy keeps the key */
    c->blocks[b].key = *k;
    c->table[s] = b + 1;
    c->keyed++;
    return true;
}

/* ---- offload tier ---- */

static bool offload(struct kv_cache *cpu, const struct key *k)
{
    uint32_t b = take_least(cpu);
    if (b == NO_BLOCK || !enter(cpu, k, b))
        return false;
    cpu->blocks[b].ref = 0;
    queue_push(cpu, b);
    return true;
}

/* The key's copy goes, if there is one; its place is the next to be taken. */
static void drop_copy(struct kv_cache *cpu, const struct key *k)
{
    uint32_t b = find(cpu, k);
    if (b == NO_BLOCK)
        return;
    forget(cpu, b);
    queue_remove(cpu, b);
    cpu->blocks[b].prev = NO_BLOCK;
    cpu->blocks[b].next = cpu->head;
    if (cpu->head == NO_BLOCK)
        cpu->tail = b;
    else
        cpu->blocks[cpu->head].prev = b;
    cpu->head = b;
}

static uint32_t take_block(struct rank *r)
{
    struct kv_cache *c = r->kv;
    if (!c->cpu || c->fresh < c->limit || c->blocks[c->head].key.kind == KEY_NONE)
        return take_least(c);
    struct key k = c->blocks[c->head].key;
    uint32_t b = take_least(c);
    r->totals.offloaded_blocks++;
    return offload(c->cpu, &k) ? b : NO_BLOCK;
}

/* ---- what sequences do ---- */

/* KV blocks q holds: whoever decodes has room for its drafts, too. */
int64_t seq_blocks(const struct rank *r, const struct seq *q)
{
    if (r->kv)
        return q->block_count;
    if (r->policy->reserves_output)
        return blocks_for(r, q->prompt + q->output + speculated_margin(r));
    int64_t kv = q->kv;
    if (q->state == SEQ_DECODE)
        kv = decode_kv(&lane_of(r, q)->decode, q);
    if (q->state == SEQ_DECODE || q->state == SEQ_LAST)
        kv += decode_drafts(r);
    if (r->policy->keeps_watermark && q->target > kv)
        kv = q->target; /* the whole prompt's blocks were taken at admission */
    return blocks_for(r, kv);
}

static bool reserve_blocks(struct rank *r, struct seq *q, int64_t count)
{
    if (q->block_capacity >= count)
        return true;
    int64_t capacity = blocks_for(r, q->prompt + q->output); /* it never needs more */
    uint32_t *blocks = realloc(q->blocks, (size_t)capacity * sizeof blocks[0]);
    if (!blocks)
        return false;
    q->blocks = blocks;
    q->block_capacity = (uint32_t)capacity;
    return true;
}

void kv_take_count(struct rank *r, int64_t count)
{
    r->free_blocks -= count;
    assert(r->free_blocks >= 0);
    if (r->listed_blocks > r->free_blocks)
        retained_take(r);
}

void kv_take(struct rank *r, struct seq *q, int64_t count)
{
    if (!r->kv) {
        kv_take_count(r, count);
        return;
    }
    r->free_blocks -= count;
    if (!reserve_blocks(r, q, q->block_count + count)) {
        r->out_of_memory = true;
        return;
    }
    for (int64_t i = 0; i < count; i++) {
        uint32_t b = take_block(r);
        if (b == NO_BLOCK) {
            r->out_of_memory = true;
            return;
        }
        q->blocks[q->block_count++] = b;
    }
}

void kv_take_crossings(struct rank *r)
{
    const struct decode_set *d = &r->lane->decode;
    if (!r->kv) {
        kv_take_count(r, decode_crossings(d));
        return;
    }
    for (uint32_t i = d->members[d->cursor].head; i != SEQ_NONE; i = seq_at(r, i)->phase_next)
        kv_take(r, seq_at(r, i), 1);
}

/* Without identities: the blocks count, and of a preempted sequence the full ones wait for it. */
static void release_count(struct rank *r, uint32_t i)
{
    const struct seq *q = seq_at(r, i);
    int64_t count = seq_blocks(r, q), kv = q->kv;
    r->free_blocks += count;
    if (!r->retained)
        return;
    if (q->state == SEQ_DECODE)
        kv = decode_kv(&lane_of(r, q)->decode, q);
    retained_release(r, i, count, q->state == SEQ_LAST ? 0 : kv / r->engine->block_size);
}

void kv_release(struct rank *r, uint32_t i)
{
    struct kv_cache *c = r->kv;
    struct seq *q = seq_at(r, i);
    if (!c) {
        release_count(r, i);
        return;
    }
    while (q->block_count > 0) { /* last block first: a prefix's end is evicted before its start */
        uint32_t b = q->blocks[--q->block_count];
        if (--c->blocks[b].ref == 0) {
            queue_push(c, b);
            r->free_blocks++;
        }
    }
    q->published = 0;
    free(q->blocks);
    q->blocks = NULL;
    q->block_capacity = 0;
}

static struct key key_of(const struct rank *r, const struct seq *q, int64_t number)
{
    int64_t named = q->named / r->engine->block_size; /* whole blocks */
    int64_t hash = number / r->kv->ratio;
    if (number < named && hash < q->hash_count)
        return (struct key){.name = q->hash_ids[hash],
                            .number = (uint32_t)(number % r->kv->ratio),
                            .kind = KEY_PUBLIC};
    return (struct key){.name = q->id, .number = (uint32_t)number, .kind = KEY_PRIVATE};
}

static bool note_hit(struct kv_cache *c, uint32_t b)
{
    if (c->hit_count == c->hit_capacity) {
        uint32_t capacity = c->hit_capacity ? 2 * c->hit_capacity : 256;
        uint32_t *hits = realloc(c->hits, capacity * sizeof hits[0]);
        if (!hits)
            return false;
        c->hits = hits;
        c->hit_capacity = capacity;
    }
    c->hits[c->hit_count++] = b;
    return true;
}

struct kv_prefix kv_find_prefix(struct rank *r, const struct seq *q)
{
    struct kv_prefix found = {0};
    struct kv_cache *c = r->kv;
    if (r->retained)
        found.blocks = found.free_blocks = retained_blocks(r, q);
    if (!c)
        return found;
    c->hit_count = 0;
    /* at least one token is computed */
    int64_t most = (q->prompt + q->produced - 1) / r->engine->block_size;
    for (int64_t n = 0; n < most; n++) {
        struct key k = key_of(r, q, n);
        uint32_t b = find(c, &k);
        if (b == NO_BLOCK && (!c->cpu || find(c->cpu, &k) == NO_BLOCK))
            break;
        if (!note_hit(c, b)) {
            r->out_of_memory = true;
            break;
        }
        if (b == NO_BLOCK) {
            found.offloaded++;
            continue;
        }
        found.blocks++;
        found.free_blocks += c->blocks[b].ref == 0;
    }
    return found;
}

static void publish(struct rank *r, const struct seq *q, int64_t number)
{
    struct key k = key_of(r, q, number);
    if (!enter(r->kv, &k, q->blocks[number]))
        r->out_of_memory = true;
    if (r->kv->cpu)
        drop_copy(r->kv->cpu, &k);
}

/* The blocks of the run that are in CPU memory come back into blocks of their own. Their copies go
 * first: what is evicted to make room needs theirs. */
static void load_copies(struct rank *r, struct seq *q)
{
    struct kv_cache *c = r->kv;
    for (uint32_t h = 0; h < c->hit_count; h++)
        if (c->hits[h] == NO_BLOCK) {
            struct key k = key_of(r, q, h);
            drop_copy(c->cpu, &k);
        }
    for (uint32_t h = 0; h < c->hit_count && !r->out_of_memory; h++) {
        if (c->hits[h] != NO_BLOCK)
            continue;
        uint32_t b = take_block(r);
        if (b == NO_BLOCK) {
            r->out_of_memory = true;
            return;
        }
        q->blocks[h] = b;
        r->free_blocks--;
        r->moved_blocks++;
        r->totals.loaded_blocks++;
        publish(r, q, h);
    }
}

void kv_share_prefix(struct rank *r, struct seq *q)
{
    struct kv_cache *c = r->kv;
    if (r->retained) {
        int64_t blocks = retained_blocks(r, q);
        r->free_blocks -= blocks;
        q->kv = blocks * r->engine->block_size;
        retained_reclaim(r, q);
    }
    if (!c || c->hit_count == 0)
        return;
    if (!reserve_blocks(r, q, c->hit_count)) {
        r->out_of_memory = true;
        return;
    }
    for (uint32_t h = 0; h < c->hit_count; h++) {
        uint32_t b = c->hits[h];
        q->blocks[h] = b;
        if (b != NO_BLOCK && c->blocks[b].ref++ == 0) {
            queue_remove(c, b);
            r->free_blocks--;
        }
    }
    q->block_count = c->hit_count;
    if (c->cpu)
        load_copies(r, q);
    q->published = c->hit_count;
    q->kv = (int64_t)c->hit_count * r->engine->block_size;
}

static void publish_full(struct rank *r, struct seq *q, int64_t kv_tokens)
{
    int64_t full = kv_tokens / r->engine->block_size;
    while (q->published < full)
        publish(r, q, q->published++);
}

void kv_publish(struct rank *r, struct seq *q)
{
    if (r->kv && !r->out_of_memory)
        publish_full(r, q, q->kv);
}

/* In batch order: decodes whose last block is now full (they need a new one next), then prefills.
 */
void kv_publish_batch(struct rank *r, const struct batch *b)
{
    const struct decode_set *d = &r->lane->decode;
    if (!r->kv || r->out_of_memory) /* then somebody lacks blocks that it should hold */
        return;
    for (uint32_t i = d->members[d->cursor].head; i != SEQ_NONE; i = seq_at(r, i)->phase_next)
        publish_full(r, seq_at(r, i), decode_kv(d, seq_at(r, i)));
    for (uint32_t e = 0; e < b->emit_count; e++)
        publish_full(r, seq_at(r, b->emits[e].seq), seq_at(r, b->emits[e].seq)->kv);
    if (r->partial != SEQ_NONE)
        publish_full(r, seq_at(r, r->partial), seq_at(r, r->partial)->kv);
}
