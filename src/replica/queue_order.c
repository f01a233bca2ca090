/* The one list of queue orders: who is admitted next, and who is preempted first.
 *
 * An order gives each request a handicap, once, when it arrives; it then stands in the queue at
 * key = arrival + handicap, ties by (arrival, id). A key never changes, so starvation is bounded: B
 * that came after A overtakes it only if it came within A's handicap less its own. Sums saturate at
 * the ends of the clock. O(1). */
#include "rooftrace/queue_order.h"
#include "replica_internal.h"

#include <math.h>

#define NS_PER_S            1e9
#define TOKENS_PER_HANDICAP 1000 /* shortest_prompt: so many prompt tokens are worth aging_s */

__extension__ typedef __int128 wide; /* 2^40 tokens or 2^31 levels times 2^63 ns */

struct queue_order {
    const char *name, *help;
    wide (*handicap_ns)(const struct rt_request *q, wide aging_ns); /* NULL: 0 for everybody */
};

static wide by_priority(const struct rt_request *q, wide aging_ns)
{
    return q->priority * aging_ns;
}

static wide by_prompt(const struct rt_request *q, wide aging_ns)
{
    return q->prompt_tokens * aging_ns / TOKENS_PER_HANDICAP;
}

static wide by_deadline(const struct rt_request *q, wide aging_ns)
{
    return q->deadline_ns == RT_NO_DEADLINE ? aging_ns : q->deadline_ns;
}

static const struct queue_order orders[] = {
    {"fcfs", "first come, first served", NULL},
    {"priority", "a priority level (smaller first) is worth aging_s of waiting", by_priority},
    {"shortest_prompt", "1000 prompt tokens less are worth aging_s of waiting", by_prompt},
    {"deadline", "earliest deadline first; a request without one has aging_s", by_deadline},
};

unsigned rt_queue_order_count(void)
{
    return sizeof orders / sizeof orders[0];
}

const char *rt_queue_order_name(unsigned i)
{
    return orders[i].name;
}

const char *rt_queue_order_help(unsigned i)
{
    return orders[i].help;
}

bool queue_order_is_arrival(unsigned i)
{
    return orders[i].handicap_ns == NULL;
}

static int64_t saturate(wide ns)
{
    if (ns > INT64_MAX)
        return INT64_MAX;
    return ns < INT64_MIN ? INT64_MIN : (int64_t)ns;
}

int64_t rt_queue_key(unsigned order, double aging_s, const struct rt_request *q)
{
    if (queue_order_is_arrival(order))
        return q->arrival_ns;
    return saturate(q->arrival_ns + orders[order].handicap_ns(q, (wide)llrint(aging_s * NS_PER_S)));
}
