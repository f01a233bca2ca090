/* What must hold of a replica whenever a batch was formed or a step completed, recomputed the slow
 * way: O(running + waiting + block_size). Debug builds check it at every step; release builds do
 * nothing. */
#include "replica_internal.h"

#include <assert.h>

#ifdef NDEBUG

void replica_check(const struct rt_replica *r)
{
    (void)r;
}

#else

struct sums { /* over the running sequences */
    int64_t count, decodes, context, prefills, blocks;
};

static struct sums add_running(const struct rt_replica *r)
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
        if (q->state == SEQ_DECODE) {
            s.decodes++;
            s.context += decode_kv(&r->decode, q);
        }
    }
    return s;
}

static void check_phases(const struct rt_replica *r)
{
    int64_t members = 0;
    for (int64_t p = 0; p < r->engine.block_size; p++)
        members += r->decode.phase[p];
    assert(members == r->decode.count);
    assert(r->decode.finish.count == r->decode.count);
}

static void check_swapped(const struct rt_replica *r)
{
    int64_t swapped = 0;
    for (uint32_t i = r->waiting.head; i != SEQ_NONE; i = seq_at(r, i)->next) {
        const struct seq *q = seq_at(r, i);
        assert(q->state != SEQ_PAUSED || q->swapped > 0);
        swapped += q->swapped;
    }
    assert(swapped == r->cpu_blocks - r->cpu_free_blocks);
}

void replica_check(const struct rt_replica *r)
{
    struct sums s = add_running(r);
    int64_t used = r->kv_blocks - r->free_blocks;
    check_phases(r);
    if (r->cpu_blocks > 0)
        check_swapped(r);
    assert(s.count == r->running.count && s.count <= r->engine.max_num_seqs);
    assert(s.decodes == r->decode.count && s.context == r->decode.context);
    assert(s.prefills == (r->partial != SEQ_NONE)); /* one unfinished prompt at most */
    assert(used >= 0 && used <= r->kv_blocks);
    assert(!r->ordered || (r->queue.count == r->waiting.count && r->victims.count == s.count));
    assert(r->kv ? used <= s.blocks : used == s.blocks); /* with a cache several may hold a block */
}

#endif
