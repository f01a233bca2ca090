/* Prefix caching when the trace names no blocks: only a preempted request can find blocks again,
 * its own. Then blocks need no identity; the free queue is a list of runs of blocks, in the order
 * they became free:
 *
 *     9 of nobody, head -> [5 of request 7] -> [3 of nobody] -> [2 of request 8] -> tail
 *
 * A request frees its last block first, so what is taken from its run at the head are always its
 * last blocks: what is left is a prefix of its tokens. A preemption adds two runs at most, and one
 * of nobody may follow. Nobody's blocks in front of the first run of somebody are no run: they are
 * the free blocks that are not listed, and as long as nobody was preempted there is no list. Every
 * operation is O(1) amortised, whatever the number of blocks. The result equals that of kv.c with
 * private keys only. */
#include "replica_internal.h"

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
};

bool retained_init(struct rank *r)
{
    struct retained *t = calloc(1, sizeof *t);
    if (!t)
        return false;
    rt_slab_init(&t->runs, sizeof(struct block_run));
    t->head = t->tail = NO_RUN;
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

static void unlink_run(struct rank *r, uint32_t i)
{
    struct retained *t = r->retained;
    struct block_run *x = run_at(t, i);
    r->listed_blocks -= x->count;
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

/* What is nobody's at the head is no run. */
static void settle_head(struct rank *r)
{
    struct retained *t = r->retained;
    while (t->head != NO_RUN && run_at(t, t->head)->owner == SEQ_NONE)
        unlink_run(r, t->head);
}

static void push_run(struct rank *r, int64_t count, uint32_t owner)
{
    struct retained *t = r->retained;
    if (count == 0 || (owner == SEQ_NONE && t->tail == NO_RUN))
        return;
    if (owner == SEQ_NONE && run_at(t, t->tail)->owner == SEQ_NONE) {
        run_at(t, t->tail)->count += count;
        r->listed_blocks += count;
        return;
    }
    uint32_t i = rt_slab_take(&t->runs);
    if (i == RT_SLAB_NONE) {
        r->out_of_memory = true;
        return;
    }
    *run_at(t, i) = (struct block_run){count, owner, t->tail, NO_RUN};
    r->listed_blocks += count;
    if (t->tail == NO_RUN)
        t->head = i;
    else
        run_at(t, t->tail)->next = i;
    t->tail = i;
    if (owner != SEQ_NONE)
        seq_at(r, owner)->run = i;
}

/* More blocks were taken than are not listed. */
void retained_take(struct rank *r)
{
    struct retained *t = r->retained;
    int64_t count;
    while ((count = r->listed_blocks - r->free_blocks) > 0) {
        struct block_run *x = run_at(t, t->head);
        if (x->count > count) {
            x->count -= count;
            r->listed_blocks -= count;
            break;
        }
        unlink_run(r, t->head);
    }
    settle_head(r);
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

void retained_disown(struct rank *r, struct seq *q)
{
    if (q->run == NO_RUN)
        return;
    run_at(r->retained, q->run)->owner = SEQ_NONE;
    q->run = NO_RUN;
    settle_head(r);
}

void retained_reclaim(struct rank *r, struct seq *q)
{
    if (q->run == NO_RUN)
        return;
    unlink_run(r, q->run);
    settle_head(r);
}

bool retained_is_sound(const struct rank *r)
{
    const struct retained *t = r->retained;
    int64_t listed = 0;
    if (t && t->head != NO_RUN && run_at(t, t->head)->owner == SEQ_NONE)
        return false;
    for (uint32_t i = t ? t->head : NO_RUN; i != NO_RUN; i = run_at(t, i)->next) {
        const struct block_run *x = run_at(t, i);
        if (x->count <= 0 || (x->owner != SEQ_NONE && seq_at(r, x->owner)->run != i))
            return false;
        listed += x->count;
    }
    return listed == r->listed_blocks && listed <= r->free_blocks;
}
