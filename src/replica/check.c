/* What must hold of a replica whenever a batch was formed or a step completed, recomputed the slow
 * way: O(running + waiting + block_size + listed runs). Debug builds check it at every step;
 * release builds do nothing. */
#include "replica_internal.h"

#include <assert.h>

#ifdef NDEBUG

void rank_check(const struct rank *r)
{
    (void)r;
}

#else

struct sums { /* over the running sequences */
    int64_t count, prefills, blocks;
};

static struct sums add_running(const struct rank *r)
{
    struct sums s = {0};
    uint64_t admission = 0;
    for (uint32_t i = r->running.head; i != SEQ_NONE; i = seq_at(r, i)->next) {
        const struct seq *q = seq_at(r, i);
        assert(s.count == 0 || q->admission > admission); /* running is in admission order */
        admission = q->admission;
        s.count++;
        s.blocks += seq_blocks(r, q);
        s.prefills += q->state == SEQ_PREFILL;
    }
    return s;
}

/* A lane's decode set against its members. */
static void check_lane(const struct rank *r, const struct lane *l)
{
    const struct decode_set *d = &l->decode;
    int64_t members = 0, decodes = 0, context = 0;
    for (int64_t p = 0; p < r->engine->block_size; p++)
        members += d->phase[p];
    for (uint32_t i = r->running.head; i != SEQ_NONE; i = seq_at(r, i)->next) {
        const struct seq *q = seq_at(r, i);
        if (q->state != SEQ_DECODE || lane_of(r, q) != l)
            continue;
        decodes++;
        context += decode_kv(d, q);
    }
    assert(members == d->count && d->finish.count == d->count);
    assert(decodes == d->count && context == d->context);
}

static void check_swapped(const struct rank *r)
{
    int64_t swapped = 0;
    for (uint32_t i = r->waiting.head; i != SEQ_NONE; i = seq_at(r, i)->next) {
        const struct seq *q = seq_at(r, i);
        assert(q->state != SEQ_PAUSED || q->swapped > 0);
        swapped += q->swapped;
    }
    assert(swapped == r->cpu_blocks - r->cpu_free_blocks);
}

static int64_t list_blocks(const struct rank *r, const struct seq_list *l, int state)
{
    int64_t blocks = 0, count = 0;
    for (uint32_t i = l->head; i != SEQ_NONE; i = seq_at(r, i)->next, count++) {
        const struct seq *q = seq_at(r, i);
        assert(q->state == state);
        blocks += seq_blocks(r, q) + (seq_is_remote(q) ? remote_spare(r, q) : 0);
    }
    assert(count == l->count);
    return blocks;
}

/* Blocks of those that neither run nor wait. */
static int64_t remote_blocks(const struct rank *r)
{
    const struct remote *m = r->remote;
    if (!m)
        return 0;
    for (uint32_t i = m->expected.head; i != SEQ_NONE; i = seq_at(r, i)->next)
        assert(seq_at(r, i)->state == SEQ_EXPECTED && seq_at(r, i)->block_count == 0);
    return list_blocks(r, &m->held, SEQ_LAST) + list_blocks(r, &m->loading, SEQ_LOADING) +
           list_blocks(r, &m->arrived, SEQ_ARRIVED);
}

void rank_check(const struct rank *r)
{
    struct sums s = add_running(r);
    s.blocks += remote_blocks(r);
    int64_t used = r->kv_blocks - r->free_blocks;
    for (uint32_t l = 0; l < r->lane_count; l++)
        check_lane(r, &r->lanes[l]);
    if (r->cpu_blocks > 0)
        check_swapped(r);
    assert(s.count == r->running.count && s.count <= r->engine->max_num_seqs);
    assert(s.prefills == (r->partial != SEQ_NONE)); /* one unfinished prompt at most */
    assert(used >= 0 && used <= r->kv_blocks);
    assert(retained_is_sound(r));
    assert(!r->ordered || (r->queue.count == r->waiting.count && r->victims.count == s.count));
    assert(r->kv ? used <= s.blocks : used == s.blocks); /* with a cache several may hold a block */
}

#endif
