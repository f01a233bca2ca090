/* fleet/router.h: which replica serves a request. A policy sees a read-only view and answers an
 * index; it never calls the fleet. A new one touches two places: its code and the table in
 * router.c. */
#ifndef RT_ROUTER_H
#define RT_ROUTER_H

#include "rooftrace/heap.h"
#include "rooftrace/request.h"

#include <stddef.h>

struct rt_router_view {
    uint32_t replicas;
    const uint32_t *outstanding; /* by replica: requests sent there and not yet done */
    const struct rt_heap
        *by_load; /* replicas by (outstanding, index): the top is the least loaded */
};

struct rt_router_policy {
    const char *name, *help;
    size_t state_bytes; /* zeroed by the fleet, passed back as state */
    uint32_t (*pick)(void *state, const struct rt_router_view *view, const struct rt_request *req);
};

unsigned rt_router_count(void);
const struct rt_router_policy *rt_router_at(unsigned i);

#endif
