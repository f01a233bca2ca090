/* The plain model's lists of sequences: who waits in which order (rule 5), and who is preempted
 * (rule 7). */
#include "support/naive_state.h"

#include <string.h>

void naive_list_insert(struct list *l, size_t place, struct seq *q)
{
    memmove(l->at + place + 1, l->at + place, (l->count - place) * sizeof *l->at);
    l->at[place] = q;
    l->count++;
}

void naive_list_remove(struct list *l, size_t place)
{
    l->count--;
    memmove(l->at + place, l->at + place + 1, (l->count - place) * sizeof *l->at);
}

size_t naive_list_find(const struct list *l, const struct seq *q)
{
    size_t i = 0;
    while (i < l->count && l->at[i] != q)
        i++;
    return i;
}

/* ---- queue orders ---------------------------------------------------------------------------- */

/* Rule 5: arrival + handicap. Tests keep the numbers small enough. */
int64_t naive_queue_key(const struct naive_params *p, const struct naive_request *r,
                        const struct seq *q)
{
    switch (p->order) {
    case NAIVE_PRIORITY:
        return r->arrival_ns + r->priority * p->aging_ns;
    case NAIVE_SHORTEST:
        return r->arrival_ns + q->prompt * p->aging_ns / 1000;
    case NAIVE_DEADLINE:
        return r->arrival_ns + (r->deadline_ns < 0 ? p->aging_ns : r->deadline_ns);
    case NAIVE_FCFS:
    case NAIVE_ORDER_COUNT:
        break;
    }
    return r->arrival_ns;
}

static bool goes_before(const struct seq *x, const struct seq *y)
{
    if (x->r->key_ns != y->r->key_ns)
        return x->r->key_ns < y->r->key_ns;
    if (x->r->arrival_ns != y->r->arrival_ns)
        return x->r->arrival_ns < y->r->arrival_ns;
    return x->id < y->id;
}

void naive_queue_insert(struct engine *e, struct seq *q)
{
    size_t place = 0;
    while (place < e->waiting.count && goes_before(e->waiting.at[place], q))
        place++;
    naive_list_insert(&e->waiting, place, q);
}

/* Who is preempted: last in queue order. */
size_t naive_victim_place(const struct engine *e)
{
    size_t last = 0;
    for (size_t i = 1; i < e->running.count; i++)
        if (goes_before(e->running.at[last], e->running.at[i]))
            last = i;
    if (e->p->order == NAIVE_FCFS)
        naive_need(last == e->running.count - 1, "with fcfs the last one admitted is the victim");
    return last;
}
