/* Prefill pools and decode pools: who decodes what, and over which links.
 *
 * A request is handed over to a pool of the same model, by a router of its own that sees the
 * decode replicas as the other one sees those that take arrivals. Pools that could never hold the
 * request are left out; where all could not, it was rejected on arrival. O(pools) beside the
 * router. */
#include "rooftrace/hand_over.h"
#include "fleet_internal.h"
#include "rooftrace/kv_transfer.h"
#include "rooftrace/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct side { /* of a pool */
    double bytes_per_s, bytes_per_token, latency_ns;
    int64_t layers;
    const struct rt_candidates **decoders; /* owned; of a prefill pool */
    uint32_t decoder_count;
};

struct hand_over {
    struct desk desk;
    struct side *sides;               /* by pool */
    struct link_end *ends;            /* by replica */
    const struct rt_candidates **fit; /* scratch: [pool_count] */
    bool layerwise;
};

bool rt_fleet_hands_over(const struct rt_fleet *f)
{
    return f->hand != NULL;
}

enum rt_role rt_fleet_role(const struct rt_fleet *f, uint32_t replica)
{
    return f->hand ? f->pools[rt_fleet_pool_of(f, replica)].role : RT_ROLE_MIXED;
}

bool rt_fleet_hides_prefill(const struct rt_fleet *f)
{
    return f->hides_prefill;
}

const struct rt_router_policy *hand_over_router(const struct rt_fleet *f)
{
    return f->hand->desk.policy;
}

void hand_over_note_report(struct rt_fleet *f)
{
    f->hand->desk.view.reports++;
}

/* ---- a request ------------------------------------------------------------------------------- */

static enum rt_reason refuses(const struct rt_fleet *f, const struct rt_candidates *pool,
                              const struct rt_request *req)
{
    return rt_replica_refuses(f->replicas[pool->first], req);
}

enum rt_reason hand_over_refuses(const struct rt_fleet *f, uint32_t pool,
                                 const struct rt_request *req)
{
    const struct side *s = &f->hand->sides[pool];
    enum rt_reason reason = RT_REASON_NONE;
    for (uint32_t d = 0; d < s->decoder_count; d++) {
        enum rt_reason own = refuses(f, s->decoders[d], req);
        if (own == RT_REASON_NONE)
            return RT_REASON_NONE;
        if (reason == RT_REASON_NONE)
            reason = own;
    }
    return reason;
}

/* The decode pools that could hold it. */
static struct routed fitting(struct rt_fleet *f, uint32_t pool, const struct rt_request *req)
{
    struct hand_over *h = f->hand;
    const struct side *s = &h->sides[pool];
    uint32_t fit = 0;
    for (uint32_t d = 0; d < s->decoder_count; d++)
        if (refuses(f, s->decoders[d], req) == RT_REASON_NONE)
            h->fit[fit++] = s->decoders[d];
    return (struct routed){h->fit, fit};
}

bool rt_fleet_expect(struct rt_fleet *f, const struct rt_request *req,
                     const struct rt_handed *handed, int64_t now_ns, uint32_t *replica,
                     struct rt_err *err)
{
    struct routed among = fitting(f, rt_fleet_pool_of(f, handed->from), req);
    *replica = routing_pick(f, &f->hand->desk, &among, req, now_ns);
    if (*replica == RT_NO_REPLICA)
        return true;
    if (!rt_replica_expect(f->replicas[*replica], req, handed, now_ns, err))
        return false;
    routing_count(f, *replica, 1, req->prompt_tokens);
    return true;
}

bool rt_fleet_send(struct rt_fleet *f, const struct rt_transfer *t, int64_t now_ns,
                   int64_t *arrives_ns, struct rt_err *err)
{
    struct hand_over *h = f->hand;
    const struct side *from = &h->sides[rt_fleet_pool_of(f, t->from)];
    const struct side *to = &h->sides[rt_fleet_pool_of(f, t->to)];
    /* Who had to wait for room has all layers; who had not has been sending them since. */
    bool early = h->layerwise && now_ns == t->computed_ns;
    struct link_job job = {.bytes = (double)t->tokens * from->bytes_per_token,
                           .bytes_per_s = fmin(from->bytes_per_s, to->bytes_per_s),
                           .from_ns = early ? t->began_ns : now_ns,
                           .to_ns = now_ns,
                           .parts = early ? from->layers : 1};
    if (!kv_link_send(&h->ends[t->from], &h->ends[t->to], &job, arrives_ns, err))
        return false;
    *arrives_ns += llround(from->latency_ns);
    return true;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

static void init_side(struct side *s, const struct rt_pool_spec *pool,
                      const struct rt_pool_plan *plan, const struct rt_kv_transfer_spec *spec)
{
    struct rt_nodes nodes;
    rt_nodes_init(&nodes);
    double link = pool->nodes.link_bytes_per_s, latency_s = pool->nodes.latency_s;
    if (link <= 0)
        link = nodes.link_bytes_per_s;
    if (latency_s <= 0)
        latency_s = nodes.latency_s;
    s->bytes_per_s = spec->bytes_per_s > 0 ? spec->bytes_per_s : link * (double)plan->gpus;
    s->latency_ns = (spec->latency_s >= 0 ? spec->latency_s : latency_s) * 1e9;
    s->bytes_per_token = rt_model_kv_bytes_per_token(&pool->model, pool->dtypes.kv);
    s->layers = pool->model.layers > 0 ? pool->model.layers : 1;
}

static bool find_decoders(struct rt_fleet *f, const struct rt_fleet_spec *spec, uint32_t pool)
{
    struct side *s = &f->hand->sides[pool];
    s->decoders = calloc(f->pool_count, sizeof s->decoders[0]);
    if (!s->decoders)
        return false;
    for (uint32_t p = 0; p < f->pool_count; p++)
        if (hand_over_meets(&spec->pools[pool], &spec->pools[p]))
            s->decoders[s->decoder_count++] = &f->pools[p].candidates;
    return true;
}

bool hand_over_init(struct rt_fleet *f, const struct rt_fleet_spec *spec)
{
    const struct rt_kv_transfer_spec *t = &spec->kv_transfer;
    if (!hand_over_wanted(spec))
        return true;
    struct hand_over *h = f->hand = calloc(1, sizeof *h);
    if (!h)
        return false;
    h->layerwise = t->layerwise;
    h->sides = calloc(f->pool_count, sizeof h->sides[0]);
    h->fit = calloc(f->pool_count, sizeof h->fit[0]);
    h->ends = calloc(f->replica_count, sizeof h->ends[0]);
    if (!h->sides || !h->fit || !h->ends)
        return false;
    for (uint32_t p = 0; p < f->pool_count; p++) {
        init_side(&h->sides[p], &spec->pools[p], &f->pools[p].plan, t);
        if (spec->pools[p].role == RT_ROLE_PREFILL && !find_decoders(f, spec, p))
            return false;
    }
    return true;
}

bool hand_over_open(struct rt_fleet *f, const struct rt_fleet_spec *spec)
{
    return !f->hand || desk_init(&f->hand->desk,
                                 spec->decode_router ? spec->decode_router : rt_router_default(),
                                 &f->arrivals.view);
}

void hand_over_release(struct rt_fleet *f)
{
    struct hand_over *h = f->hand;
    if (!h)
        return;
    desk_release(&h->desk);
    for (uint32_t p = 0; h->sides && p < f->pool_count; p++)
        free(h->sides[p].decoders);
    free(h->sides);
    free(h->fit);
    free(h->ends);
    free(h);
}
