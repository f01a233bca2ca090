/* closed_loop.c: at most so many requests in flight; the next is sent when one leaves.
 *
 * As the semaphore of a benchmark client works: a request is due at the time the wrapped source
 * gives it. If the client already has `limit` requests in flight it waits in the client, first come
 * first served, and is sent at the instant one leaves: that is its arrival_ns, so that TTFT counts
 * from sending. What it waited in the client is told apart, when it leaves.
 *
 * Requests wait where they come from: nothing is pulled while the limit is reached. Memory: two to
 * four 24-byte slots for each request in flight that had to wait. O(1) a request. A request that is
 * rejected leaves at once and gives its place to the next. */
#include "load_internal.h"

#include <assert.h>
#include <stdlib.h>

struct closed_loop {
    struct rt_source base;
    struct rt_source *inner; /* owned */
    int64_t limit, in_flight;
    struct rt_id_map waits; /* of requests in flight, by id; those that did not wait are left out */
};

static enum rt_pull loop_next(struct rt_source *base, int64_t now_ns, struct rt_request *out,
                              int64_t *not_before_ns, struct rt_err *err)
{
    struct closed_loop *s = (struct closed_loop *)base;
    if (s->in_flight == s->limit)
        return RT_PULL_BLOCKED;
    enum rt_pull answer = rt_source_next(s->inner, now_ns, out, not_before_ns, err);
    if (answer != RT_PULL_REQUEST)
        return answer;
    int64_t wait_ns = now_ns - out->arrival_ns;
    assert(wait_ns >= 0);
    if (wait_ns > 0 && !rt_id_map_put(&s->waits, out->id, (uint64_t)wait_ns)) {
        (void)rt_fail_nomem(err, "requests of a closed loop");
        return RT_PULL_ERROR;
    }
    out->arrival_ns = now_ns;
    s->in_flight++;
    return RT_PULL_REQUEST;
}

static struct rt_source_done loop_done(struct rt_source *base, uint64_t id, int64_t now_ns)
{
    struct closed_loop *s = (struct closed_loop *)base;
    struct rt_source_done done = rt_source_done(s->inner, id, now_ns);
    uint64_t wait_ns;
    assert(s->in_flight > 0);
    if (s->in_flight-- == s->limit)
        done.ask_again = true;
    if (rt_id_map_take(&s->waits, id, &wait_ns))
        done.client_wait_ns += (int64_t)wait_ns;
    return done;
}

static const char *loop_name(const struct rt_source *base, uint32_t name)
{
    return rt_source_name(((const struct closed_loop *)base)->inner, name);
}

static const struct rt_source_stats *loop_stats(const struct rt_source *base)
{
    return rt_source_stats(((const struct closed_loop *)base)->inner);
}

static void loop_free(struct rt_source *base)
{
    struct closed_loop *s = (struct closed_loop *)base;
    rt_id_map_release(&s->waits);
    rt_source_free(s->inner);
    free(s);
}

static const struct rt_source_ops ops = {.next = loop_next,
                                         .done = loop_done,
                                         .name = loop_name,
                                         .stats = loop_stats,
                                         .free = loop_free};

bool rt_closed_loop_new(struct rt_source *inner, int64_t limit, struct rt_source **out,
                        struct rt_err *err)
{
    struct closed_loop *s = calloc(1, sizeof *s);
    assert(limit > 0);
    if (s == NULL)
        return rt_fail_nomem(err, "a closed loop");
    s->base.ops = &ops;
    s->inner = inner;
    s->limit = limit;
    *out = &s->base;
    return true;
}
