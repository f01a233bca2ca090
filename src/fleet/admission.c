/* Admission control, in the order in which a request meets it:
 *
 *     requests_per_s, burst_requests           a token bucket of requests at the door, and
 *     prompt_tokens_per_s, burst_prompt_tokens one of prompt tokens: rate and depth
 *     queue_limit                              so many wait already at the replica picked for it
 *     shed late                                its first token would come after its objective
 *
 * A bucket is kept as the instant at which it would be full again (GCRA, as in ITU-T I.371): what
 * is let in moves that on by its cost, and is let in only if the bucket holds that much. Times are
 * multiples of 2^-32 ns, so that rates are exact to 10^-10 up to 10^9 a second. A prompt longer
 * than the bucket is deep passes when the bucket is full, and overdraws it. O(1); shedding looks at
 * what waits: O(waiting). */
#include "fleet_internal.h"
#include "rooftrace/replica.h"

#include <math.h>

#define NS         4294967296.0 /* units */
#define NS_PER_S   1e9
#define LONGEST_NS 9.2e18

static rt_u128 units(double ns)
{
    return (rt_u128)(ns < LONGEST_NS ? floor(ns) : LONGEST_NS) << 32 |
           (rt_u128)(ns < LONGEST_NS ? (ns - floor(ns)) * NS : 0);
}

static struct bucket make_bucket(double per_s, double depth)
{
    if (per_s <= 0)
        return (struct bucket){0};
    return (struct bucket){.each = units(NS_PER_S / per_s),
                           .depth = units(depth * NS_PER_S / per_s)};
}

void admission_init(struct rt_fleet *f)
{
    const struct rt_admission_spec *a = &f->admission;
    f->requests = make_bucket(a->requests_per_s, a->burst_requests);
    f->prompt_tokens = make_bucket(a->prompt_tokens_per_s, a->burst_prompt_tokens);
}

static rt_u128 times(rt_u128 each, int64_t amount)
{
    rt_u128 count = (rt_u128)(uint64_t)amount; /* below 2^41; each is below 2^83 */
    return each * count;
}

static rt_u128 cost_of(const struct bucket *b, int64_t amount)
{
    rt_u128 cost = times(b->each, amount);
    return cost < b->depth ? cost : b->depth;
}

static bool holds(const struct bucket *b, int64_t amount, rt_u128 now)
{
    rt_u128 from = b->empty_at > now ? b->empty_at : now;
    return from - now + cost_of(b, amount) <= b->depth;
}

static void take(struct bucket *b, int64_t amount, rt_u128 now)
{
    rt_u128 from = b->empty_at > now ? b->empty_at : now;
    b->empty_at = from + times(b->each, amount);
}

bool admission_lets_in(struct rt_fleet *f, const struct rt_request *req, int64_t now_ns)
{
    rt_u128 now = (rt_u128)now_ns << 32;
    if (!holds(&f->requests, 1, now) || !holds(&f->prompt_tokens, req->prompt_tokens, now))
        return false;
    take(&f->requests, 1, now);
    take(&f->prompt_tokens, req->prompt_tokens, now);
    return true;
}

/* What waits there is prefilled first, at the rate of full steps. */
static bool comes_late(const struct rt_fleet *f, uint32_t i, const struct rt_request *req,
                       int64_t now_ns)
{
    int64_t tokens = rt_replica_backlog_tokens(f->replicas[i], now_ns) + req->prompt_tokens;
    return (double)tokens * f->pools[rt_fleet_pool_of(f, i)].prefill_ns_per_token >
           (double)req->ttft_slo_ns;
}

bool admission_has_room(const struct rt_fleet *f, uint32_t replica, const struct rt_request *req,
                        int64_t now_ns)
{
    const struct rt_admission_spec *a = &f->admission;
    if (a->queue_limit > 0 &&
        rt_replica_gauges(f->replicas[replica], now_ns).waiting >= a->queue_limit)
        return false;
    return !a->shed_late || req->ttft_slo_ns == 0 || !comes_late(f, replica, req, now_ns);
}
