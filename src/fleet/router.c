/* The routers that need only counts of outstanding requests. A new router: its functions and a line
 * in the table below; help texts, errors and the invariants test read the table. */
#include "rooftrace/router.h"

static uint32_t pick_round_robin(void *state, const struct rt_router_view *view,
                                 const struct rt_request *req)
{
    (void)req;
    uint32_t *next = state;
    uint32_t chosen = *next;
    *next = chosen + 1 == view->replicas ? 0 : chosen + 1;
    return chosen;
}

static const struct rt_router_policy round_robin = {
    .name = "round_robin",
    .help = "the replicas in turn",
    .state_bytes = sizeof(uint32_t),
    .pick = pick_round_robin,
};

static uint32_t pick_least_outstanding(void *state, const struct rt_router_view *view,
                                       const struct rt_request *req)
{
    (void)state;
    (void)req;
    return rt_heap_top(view->by_load)->item;
}

static const struct rt_router_policy least_outstanding = {
    .name = "least_outstanding",
    .help = "the replica with the fewest requests sent to it and not yet done, the first of equals",
    .pick = pick_least_outstanding,
};

static const struct rt_router_policy *const routers[] = {&round_robin, &least_outstanding};

unsigned rt_router_count(void)
{
    return sizeof routers / sizeof routers[0];
}

const struct rt_router_policy *rt_router_at(unsigned i)
{
    return routers[i];
}
