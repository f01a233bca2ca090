/* Who waits and who runs, in queue order: by (key, arrival, id), see queue_order.c.
 *
 * In order of arrival the two lists are in that order by themselves: requests come in it, a
 * preempted one is the last of those that run and so goes before all that wait. Every operation is
 * O(1) then. Other orders keep heaps beside the lists, O(log n) an operation: `queue` of those that
 * wait, least key first, `victims` of those that run, greatest key first. */
#include "replica_internal.h"

bool queue_reserve(struct rank *r, uint32_t seqs)
{
    return !r->ordered || (rt_heap_reserve(&r->queue, seqs) && rt_heap_reserve(&r->victims, seqs));
}

void queue_release(struct rank *r)
{
    rt_heap_release(&r->queue);
    rt_heap_release(&r->victims);
}

uint32_t queue_head(const struct rank *r)
{
    const struct rt_heap_node *top = rt_heap_top(&r->queue);
    if (!r->ordered)
        return r->waiting.head;
    return top ? top->item : SEQ_NONE;
}

bool queue_would_lead(const struct rank *r, int64_t key_ns)
{
    uint32_t head = queue_head(r); /* at equal keys those that came before go first */
    return head == SEQ_NONE || (r->ordered && key_ns < seq_at(r, head)->key_ns);
}

void queue_join(struct rank *r, uint32_t i)
{
    const struct seq *q = seq_at(r, i);
    seq_push_tail(r, &r->waiting, i);
    if (r->ordered)
        rt_heap_set(&r->queue, i, q->key_ns, q->rank);
}

void queue_return(struct rank *r, uint32_t i)
{
    const struct seq *q = seq_at(r, i);
    seq_push_head(r, &r->waiting, i);
    if (r->ordered)
        rt_heap_set(&r->queue, i, q->key_ns, q->rank);
}

void queue_leave(struct rank *r, uint32_t i)
{
    seq_unlink(r, &r->waiting, i);
    if (r->ordered)
        rt_heap_remove(&r->queue, i);
}

void running_join(struct rank *r, uint32_t i)
{
    const struct seq *q = seq_at(r, i);
    seq_push_tail(r, &r->running, i);
    if (r->ordered)
        rt_heap_set(&r->victims, i, ~q->key_ns, ~q->rank); /* ~ reverses the order */
}

void running_leave(struct rank *r, uint32_t i)
{
    seq_unlink(r, &r->running, i);
    if (r->ordered)
        rt_heap_remove(&r->victims, i);
}

uint32_t running_victim(const struct rank *r)
{
    const struct rt_heap_node *top = rt_heap_top(&r->victims);
    if (!r->ordered)
        return r->running.tail;
    return top ? top->item : SEQ_NONE;
}
