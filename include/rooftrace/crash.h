/* replica/crash.h: a replica that is gone from one instant to the next, the requests it had, and
 * what becomes of both: a new replica in its place, and another one that goes on with the requests.
 * What a request had behind it, tokens and times, stays; its KV is computed again.
 *
 *     crash ---> rt_lost_list ---> the owner picks a replica ---> resume (rt_progress)
 *     renew ---> empty and cold
 *
 * O(requests) a crash. */
#ifndef RT_CRASH_H
#define RT_CRASH_H

#include "rooftrace/err.h"
#include "rooftrace/finished.h"
#include "rooftrace/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rt_replica;      /* replica.h */
struct rt_replica_spec; /* replica_spec.h */

struct rt_lost_list {         /* requests that lost their replica: arrays side by side; owned */
    struct rt_finished *rows; /* as `unfinished`; without session */
    int64_t *last_token_ns;   /* that appeared, or RT_NEVER */
    size_t count, capacity;
};
void rt_lost_list_release(struct rt_lost_list *l);
/* It stops at once: the step in progress is cut off and gives nothing, KV and caches are lost. Adds
 * every request to *out, those that run first, each in order. Afterwards only rt_replica_totals,
 * _renew and _free. */
bool rt_replica_crash(struct rt_replica *p, int64_t now_ns, struct rt_lost_list *out,
                      struct rt_err *err) RT_MUST_USE;
/* A new engine of the same spec in its place, empty and cold; it goes on counting where the old one
 * ended. On failure the old one stays. */
bool rt_replica_renew(struct rt_replica **p, const struct rt_replica_spec *spec,
                      struct rt_err *err) RT_MUST_USE;

/* What a request has behind it that comes from a replica that is gone: it goes on as after a
 * preemption, its KV is computed again. */
struct rt_progress {
    int64_t produced_tokens; /* that have appeared; the next one follows them */
    int64_t scheduled_ns, first_token_ns, last_token_ns, max_itl_ns; /* or RT_NEVER */
    int64_t cached_tokens;
    int64_t preempted_ns; /* up to lost_ns */
    int64_t lost_ns;      /* when it lost its replica */
    uint32_t preemptions;
};
/* As rt_replica_push, of a request that another replica has lost; past = NULL: it has nothing
 * behind it. */
enum rt_reason rt_replica_resume(struct rt_replica *p, const struct rt_request *req,
                                 const struct rt_progress *past, int64_t now_ns,
                                 struct rt_err *err);

#endif
