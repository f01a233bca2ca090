/* replica/queue_order.h: who is admitted next, and who is preempted first. Each order gives a
 * request a handicap, once, when it arrives: it stands in the queue by (arrival + handicap,
 * arrival, id). The rules: docs/engine.md. O(1). */
#ifndef RT_QUEUE_ORDER_H
#define RT_QUEUE_ORDER_H

#include "rooftrace/request.h"

#include <stdint.h>

unsigned rt_queue_order_count(void);
const char *rt_queue_order_name(unsigned i);
const char *rt_queue_order_help(unsigned i);

/* Where a request stands in the queue: by (this key, arrival, id), least first. Arrival + handicap,
 * saturated. */
int64_t rt_queue_key(unsigned order, double aging_s, const struct rt_request *q);

#endif
