/* The one list of routers, and those that need no memory of their own. A new router: its functions
 * and a line in the table; help texts, errors and the invariants test read the table. O(pools of
 * the model) a pick, apart from what a policy says itself. */
#include "fleet_internal.h"

#include <assert.h>

uint32_t rt_router_least(const struct rt_router_view *view)
{
    uint32_t best = UINT32_MAX;
    int64_t least = INT64_MAX;
    for (uint32_t p = 0; p < view->pool_count; p++) {
        const struct rt_heap_node *top = rt_heap_top(&view->pools[p]->by_key);
        uint32_t replica = top ? view->pools[p]->first + top->item : UINT32_MAX;
        if (top && (top->time < least || (top->time == least && replica < best))) {
            least = top->time;
            best = replica;
        }
    }
    assert(best != UINT32_MAX);
    return best;
}

uint32_t rt_router_nth(const struct rt_router_view *view, uint32_t n)
{
    uint32_t p = 0;
    assert(n < view->ready);
    for (; n >= view->pools[p]->count; p++)
        n -= view->pools[p]->count;
    return view->pools[p]->ready[n];
}

static uint32_t pick_least(void *state, const struct rt_router_view *view,
                           const struct rt_request *req)
{
    (void)state;
    (void)req;
    return rt_router_least(view);
}

static const struct rt_router_policy round_robin = {
    .name = "round_robin",
    .help = "the replicas in turn",
    .key = RT_KEY_TURN,
    .pick = pick_least,
};

static const struct rt_router_policy least_outstanding = {
    .name = "least_outstanding",
    .help = "the replica with the fewest requests sent to it and not yet done, the first of equals",
    .pick = pick_least,
};

static const struct rt_router_policy least_tokens = {
    .name = "least_tokens",
    .help = "the one with the fewest prompt tokens among those requests",
    .key = RT_KEY_TOKENS,
    .sees = RT_SEES_TOKENS,
    .pick = pick_least,
};

static const struct rt_router_policy least_kv = {
    .name = "least_kv",
    .help = "the one with the least share of its KV blocks in use",
    .key = RT_KEY_KV,
    .sees = RT_SEES_GAUGES,
    .pick = pick_least,
};

static uint32_t pick_random(void *state, const struct rt_router_view *view,
                            const struct rt_request *req)
{
    (void)state;
    (void)req;
    return rt_router_nth(view, (uint32_t)rt_rng_below(view->rng, view->ready));
}

static const struct rt_router_policy random_one = {
    .name = "random",
    .help = "any, each as likely as the other",
    .pick = pick_random,
};

/* Two different ones, each pair as likely as the other (Mitzenmacher, "The power of two choices in
 * randomized load balancing", 2001). */
static uint32_t pick_of_two(void *state, const struct rt_router_view *view,
                            const struct rt_request *req)
{
    (void)state;
    (void)req;
    uint32_t n = (uint32_t)rt_rng_below(view->rng, view->ready);
    uint32_t a = rt_router_nth(view, n);
    if (view->ready == 1)
        return a;
    uint32_t m = (uint32_t)rt_rng_below(view->rng, view->ready - 1);
    uint32_t b = rt_router_nth(view, m < n ? m : m + 1);
    return view->replicas[b].outstanding < view->replicas[a].outstanding ? b : a;
}

static const struct rt_router_policy power_of_two = {
    .name = "power_of_two",
    .help = "of two drawn at random the one with fewer requests outstanding",
    .pick = pick_of_two,
};

/* The pool with the smallest limit that the prompt is within; beyond all limits, the largest. Pools
 * of equal limits share their requests. */
static int64_t limit_for(const struct rt_router_view *view, int64_t prompt)
{
    int64_t fits = INT64_MAX, largest = 0;
    bool any = false;
    for (uint32_t p = 0; p < view->pool_count; p++) {
        int64_t limit = view->pools[p]->max_prompt_tokens;
        if (view->pools[p]->count == 0)
            continue;
        largest = limit > largest ? limit : largest;
        if (prompt <= limit && limit <= fits) {
            fits = limit;
            any = true;
        }
    }
    return any ? fits : largest;
}

static uint32_t pick_by_length(void *state, const struct rt_router_view *view,
                               const struct rt_request *req)
{
    (void)state;
    int64_t limit = limit_for(view, req->prompt_tokens);
    uint32_t best = UINT32_MAX;
    for (uint32_t p = 0; p < view->pool_count; p++) {
        const struct rt_router_view one = {.pools = &view->pools[p], .pool_count = 1};
        if (view->pools[p]->count == 0 || view->pools[p]->max_prompt_tokens != limit)
            continue;
        uint32_t least = rt_router_least(&one);
        if (best == UINT32_MAX ||
            view->replicas[least].outstanding < view->replicas[best].outstanding)
            best = least;
    }
    return best;
}

static const struct rt_router_policy length_based = {
    .name = "length_based",
    .help = "the pool by prompt length (pools[].max_prompt_tokens), in it least_outstanding",
    .pick = pick_by_length,
};

static const struct rt_router_policy *const routers[] = {
    &round_robin,  &random_one,       &least_outstanding, &least_tokens, &least_kv,
    &power_of_two, &session_affinity, &prefix_affinity,   &length_based, &weighted,
};

unsigned rt_router_count(void)
{
    return sizeof routers / sizeof routers[0];
}

const struct rt_router_policy *rt_router_at(unsigned i)
{
    return routers[i];
}

const struct rt_router_policy *rt_router_default(void)
{
    return &least_outstanding;
}
