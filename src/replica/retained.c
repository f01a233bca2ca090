/* Prefix caching when the trace names no blocks: only a preempted request can find blocks again,
 * its own. Then blocks need no identity; the free queue is a list of runs of blocks, in the order
 * they became free:
 *
 *     head -> [9 of nobody] -> [5 of request 7] -> [3 of nobody] -> tail
 *
 * A request frees its last block first, so what is taken from its run at the head are always its
 * last blocks: what is left is a prefix of its tokens. Neighbouring runs of nobody merge, so there
 * are at most two runs a preempted request. Blocks never taken stand before the head. Every
 * operation is O(1) amortised, whatever the number of blocks. The result equals that of kv.c with
 * private keys only. */
#include "replica_internal.h"

#include <assert.h>
#include <stdlib.h>

#define NO_RUN RT_SLAB_NONE

struct block_run {
    int64_t count;
    uint32_t owner; /* preempted sequence that can use them again, or SEQ_NONE */
    uint32_t prev, next;
};

struct retained {
    struct rt_slab runs;
    uint32_t head, tail;
    int64_t fresh; /* blocks never taken */
};

bool retained_init(struct rank *r)
{
    struct retained *t = calloc(1, sizeof *t);
    if (!t)
        return false;
    rt_slab_init(&t->runs, sizeof(struct block_run));
    t->head = t->tail = NO_RUN;
    t->fresh = r->kv_blocks;
    r->retained = t;
    return true;
}

void retained_free(struct rank *r)
{
    if (r->retained)
        rt_slab_release(&r->retained->runs);
    free(r->retained);
}

static struct block_run *run_at(const struct retained *t, uint32_t i)
{
    return rt_slab_at(&t->runs, i);
}

static void remove_run(struct rank *r, uint32_t i)
{
    struct retained *t = r->retained;
    struct block_run *x = run_at(t, i);
    if (x->owner != SEQ_NONE)
        seq_at(r, x->owner)->run = NO_RUN;
    if (x->prev == NO_RUN)
        t->head = x->next;
    else
        run_at(t, x->prev)->next = x->next;
    if (x->next == NO_RUN)
        t->tail = x->prev;
    else
        run_at(t, x->next)->prev = x->prev;
    rt_slab_give(&t->runs, i);
}

static void push_run(struct rank *r, int64_t count, uint32_t owner)
{
    struct retained *t = r->retained;
    if (count == 0)
        return;
    if (owner == SEQ_NONE && t->tail != NO_RUN && run_at(t, t->tail)->owner == SEQ_NONE) {
        run_at(t, t->tail)->count += count;
        return;
    }
    uint32_t i = rt_slab_take(&t->runs);
    if (i == RT_SLAB_NONE) {
        r->out_of_memory = true;
        return;
    }
    *run_at(t, i) = (struct block_run){count, owner, t->tail, NO_RUN};
    if (t->tail == NO_RUN)
        t->head = i;
    else
        run_at(t, t->tail)->next = i;
    t->tail = i;
    if (owner != SEQ_NONE)
        seq_at(r, owner)->run = i;
}

void retained_take(struct rank *r, int64_t count)
{
    struct retained *t = r->retained;
    int64_t fresh = count < t->fresh ? count : t->fresh;
    t->fresh -= fresh;
    count -= fresh;
    while (count > 0 && t->head != NO_RUN) {
        struct block_run *x = run_at(t, t->head);
        if (x->count > count) {
            x->count -= count;
            return;
        }
        count -= x->count;
        remove_run(r, t->head);
    }
    assert(count == 0 || r->out_of_memory);
}

/* `keep` of its `count` blocks are full and can be found again by the sequence i. */
void retained_release(struct rank *r, uint32_t i, int64_t count, int64_t keep)
{
    push_run(r, count - keep, SEQ_NONE);
    push_run(r, keep, i);
}

int64_t retained_blocks(const struct rank *r, const struct seq *q)
{
    return q->run == NO_RUN ? 0 : run_at(r->retained, q->run)->count;
}

static bool is_nobodys(const struct retained *t, uint32_t i)
{
    return i != NO_RUN && run_at(t, i)->owner == SEQ_NONE;
}

/* Its run becomes nobody's, one with such neighbours. */
void retained_disown(struct rank *r, struct seq *q)
{
    struct retained *t = r->retained;
    uint32_t i = q->run;
    if (!t || i == NO_RUN)
        return;
    struct block_run *x = run_at(t, i);
    x->owner = SEQ_NONE;
    q->run = NO_RUN;
    if (is_nobodys(t, x->next)) {
        x->count += run_at(t, x->next)->count;
        remove_run(r, x->next);
    }
    if (is_nobodys(t, x->prev)) {
        run_at(t, x->prev)->count += x->count;
        remove_run(r, i);
    }
}

/* The sequence holds its blocks again. */
void retained_reclaim(struct rank *r, struct seq *q)
{
    if (q->run != NO_RUN)
        remove_run(r, q->run);
}
