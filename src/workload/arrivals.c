/* arrivals.c: arrivals that are drawn instead of read.
 *
 * Gaps are gamma-distributed with shape `burstiness` and mean 1, as vLLM's benchmark client draws
 * them (1: Poisson; below: bursts; above: more even than chance; INFINITY: equal gaps); their sum
 * is mapped through the inverse of the rate's integral (rate_profile.c), for a constant rate a
 * division. The first request comes after the first gap. vLLM scales its gaps afterwards so that
 * the last request is sent at exactly requests / rate; that would need the number of requests, and
 * is not done here: the mean rate of a run is `rate` within sampling error.
 *
 * The source pulls the wrapped one ahead of its times, one request, and gives it the next drawn
 * time; requests keep the order and the ids of the trace. From (seed, purpose "arrivals"): the same
 * draws for every rate. Failure: a time beyond 292 years. O(1) a request, O(log points) with a
 * profile. */
#include "load_internal.h"

#include <math.h>
#include <stdlib.h>

#define TOO_LATE_NS 9.2e18

bool rt_arrival_clock_init(struct rt_arrival_clock *c, const struct rt_load_spec *l, uint64_t seed,
                           struct rt_err *err)
{
    struct rt_rate_point constant = {0, l->request_rate};
    struct rt_rate_spec one = {.shape = RT_RATE_STEPS, .points = &constant, .point_count = 1};
    *c = (struct rt_arrival_clock){.burstiness = l->burstiness,
                                   .at_once = l->arrivals == RT_ARRIVALS_AT_ONCE};
    rt_rng_init(&c->rng, seed, RT_RNG_ARRIVALS, 0);
    if (c->at_once)
        return true;
    return rt_rate_profile_init(&c->profile,
                                l->arrivals == RT_ARRIVALS_PROFILE ? &l->profile : &one, err);
}

void rt_arrival_clock_release(struct rt_arrival_clock *c)
{
    rt_rate_profile_release(&c->profile);
}

int64_t rt_arrival_clock_next(struct rt_arrival_clock *c)
{
    if (c->at_once)
        return 0;
    c->area += isinf(c->burstiness) ? 1.0 : rt_rng_gamma(&c->rng, c->burstiness) / c->burstiness;
    double at_ns = rt_rate_profile_at(&c->profile, c->area) * 1e9;
    return at_ns < TOO_LATE_NS ? llrint(at_ns) : INT64_MAX;
}

struct arrivals {
    struct rt_source base;
    struct rt_source *inner; /* owned */
    struct rt_arrival_clock clock;
    struct rt_request pending; /* pulled, not due yet; its texts are the wrapped source's */
    bool has_pending;
};

/* The next request of the wrapped source, whatever time it has there. */
static enum rt_pull pull(struct arrivals *s, struct rt_err *err)
{
    int64_t never;
    enum rt_pull answer = rt_source_next(s->inner, INT64_MAX, &s->pending, &never, err);
    if (answer != RT_PULL_REQUEST)
        return answer;
    s->pending.arrival_ns = rt_arrival_clock_next(&s->clock);
    if (s->pending.arrival_ns == INT64_MAX) {
        (void)rt_fail(err, RT_ECONFIG, "request_rate: an arrival lies beyond 292 years");
        return RT_PULL_ERROR;
    }
    s->has_pending = true;
    return RT_PULL_REQUEST;
}

static enum rt_pull arrivals_next(struct rt_source *base, int64_t now_ns, struct rt_request *out,
                                  int64_t *not_before_ns, struct rt_err *err)
{
    struct arrivals *s = (struct arrivals *)base;
    if (!s->has_pending) {
        enum rt_pull answer = pull(s, err);
        if (answer != RT_PULL_REQUEST)
            return answer;
    }
    if (s->pending.arrival_ns > now_ns) {
        *not_before_ns = s->pending.arrival_ns;
        return RT_PULL_LATER;
    }
    *out = s->pending;
    s->has_pending = false;
    return RT_PULL_REQUEST;
}

static struct rt_source_done arrivals_done(struct rt_source *base, uint64_t id, int64_t now_ns)
{
    return rt_source_done(((struct arrivals *)base)->inner, id, now_ns);
}

static const char *arrivals_name(const struct rt_source *base, uint32_t name)
{
    return rt_source_name(((const struct arrivals *)base)->inner, name);
}

static const struct rt_source_stats *arrivals_stats(const struct rt_source *base)
{
    return rt_source_stats(((const struct arrivals *)base)->inner);
}

static void arrivals_free(struct rt_source *base)
{
    struct arrivals *s = (struct arrivals *)base;
    rt_arrival_clock_release(&s->clock);
    rt_source_free(s->inner);
    free(s);
}

static const struct rt_source_ops ops = {.next = arrivals_next,
                                         .done = arrivals_done,
                                         .name = arrivals_name,
                                         .stats = arrivals_stats,
                                         .free = arrivals_free};

bool rt_arrivals_new(struct rt_source *inner, struct rt_arrival_clock *clock,
                     struct rt_source **out, struct rt_err *err)
{
    struct arrivals *s = calloc(1, sizeof *s);
    if (s == NULL)
        return rt_fail_nomem(err, "arrivals");
    s->base.ops = &ops;
    s->inner = inner;
    s->clock = *clock;
    *out = &s->base;
    return true;
}
