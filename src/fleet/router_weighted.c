/* Router `weighted`: every candidate gets a score, the weighted sum of how well it does in each of
 * five respects, from 0 to 1; the highest wins, the first of equals.
 *
 *     outstanding, waiting, tokens   1 for the least of all candidates, 0 for the most
 *     kv                             share of its KV blocks that are free
 *     prefix                         share of the prompt that its prefix cache holds; with reports,
 *                                    of the prompt's hash ids that it was sent, as the router knows
 *
 * The form is that of the endpoint picker of Kubernetes' Gateway API inference extension.
 * O(candidates) an arrival, also with reports. */
#include "fleet_internal.h"

#include "prefix_internal.h"

struct range {
    int64_t low, high;
};

struct ranges {
    struct range outstanding, waiting, tokens;
};

static void widen(struct range *r, int64_t value)
{
    r->low = value < r->low ? value : r->low;
    r->high = value > r->high ? value : r->high;
}

static struct ranges measure(const struct rt_router_view *view)
{
    const struct range none = {INT64_MAX, INT64_MIN};
    struct ranges r = {none, none, none};
    for (uint32_t n = 0; n < view->ready; n++) {
        const struct rt_replica_view *v = &view->replicas[rt_router_nth(view, n)];
        widen(&r.outstanding, v->outstanding);
        widen(&r.waiting, v->waiting);
        widen(&r.tokens, v->tokens);
    }
    return r;
}

static double shortness(const struct range *r, int64_t value)
{
    return r->high == r->low ? 1 : (double)(r->high - value) / (double)(r->high - r->low);
}

struct remembered { /* with reports: what the prefix memory says of the prompt */
    uint32_t replica;
    double share;
};

static double prefix_score(const struct rt_router_view *view, const struct rt_request *req,
                           uint32_t i, const struct remembered *memory)
{
    if (view->weights->prefix <= 0 || req->hash_count == 0)
        return 0;
    if (view->stale)
        return memory->replica == i ? memory->share : 0;
    return (double)view->cached_tokens(view->fleet, i, req) / (double)req->prompt_tokens;
}

static double score(const struct rt_router_view *view, const struct ranges *r, uint32_t i)
{
    const struct rt_replica_view *v = &view->replicas[i];
    const struct rt_router_weights *w = view->weights;
    return w->outstanding * shortness(&r->outstanding, v->outstanding) +
           w->waiting * shortness(&r->waiting, v->waiting) +
           w->tokens * shortness(&r->tokens, v->tokens) +
           w->kv * (1 - (double)v->kv_blocks_used / (double)v->kv_blocks);
}

static uint32_t pick_by_score(void *state, const struct rt_router_view *view,
                              const struct rt_request *req)
{
    struct prefix_memory **memory = state;
    struct ranges r = measure(view);
    struct remembered known = {.replica = UINT32_MAX};
    uint32_t best = UINT32_MAX, run;
    double highest = -1;
    if (view->stale && req->hash_count > 0) {
        known.replica = prefix_memory_find(*memory, req, view->reports, &run);
        known.share = (double)run / (double)req->hash_count;
    }
    for (uint32_t n = 0; n < view->ready; n++) {
        uint32_t i = rt_router_nth(view, n);
        double s = score(view, &r, i) + view->weights->prefix * prefix_score(view, req, i, &known);
        if (s > highest || (s == highest && i < best)) {
            highest = s;
            best = i;
        }
    }
    if (view->stale)
        prefix_memory_note(*memory, req, best, view->reports);
    return best;
}

const struct rt_router_policy weighted = {
    .name = "weighted",
    .help = "the highest weighted sum of scores (router_weights)",
    .sees = RT_SEES_TOKENS | RT_SEES_GAUGES | RT_SEES_PREFIX,
    .state_bytes = sizeof(struct prefix_memory *),
    .init = router_init_memory,
    .release = router_release_memory,
    .pick = pick_by_score,
};
