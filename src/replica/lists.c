/* Doubly linked lists of sequences by slab index: waiting (head = next to admit) and running (tail
 * = first to preempt). Every operation is O(1). */
#include "replica_internal.h"

void seq_list_init(struct seq_list *l)
{
    *l = (struct seq_list){.head = SEQ_NONE, .tail = SEQ_NONE};
}

void seq_push_tail(struct rank *r, struct seq_list *l, uint32_t i)
{
    struct seq *q = seq_at(r, i);
    q->prev = l->tail;
    q->next = SEQ_NONE;
    if (l->tail == SEQ_NONE)
        l->head = i;
    else
        seq_at(r, l->tail)->next = i;
    l->tail = i;
    l->count++;
}

void seq_push_head(struct rank *r, struct seq_list *l, uint32_t i)
{
    struct seq *q = seq_at(r, i);
    q->prev = SEQ_NONE;
    q->next = l->head;
    if (l->head == SEQ_NONE)
        l->tail = i;
    else
        seq_at(r, l->head)->prev = i;
    l->head = i;
    l->count++;
}

void seq_unlink(struct rank *r, struct seq_list *l, uint32_t i)
{
    const struct seq *q = seq_at(r, i);
    if (q->prev == SEQ_NONE)
        l->head = q->next;
    else
        seq_at(r, q->prev)->next = q->next;
    if (q->next == SEQ_NONE)
        l->tail = q->prev;
    else
        seq_at(r, q->next)->prev = q->prev;
    l->count--;
}
