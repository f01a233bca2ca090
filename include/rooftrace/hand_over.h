/* replica/hand_over.h: a request that one replica prefills and another one decodes.
 *
 *     prefill side                               decode side
 *     push ... step_end: its row; KV is kept     expect ---> room ---> arrived ---> joins the
 * decodes waits  blocks taken,   | release  <----------------------------------------- KV moves
 * -----+
 *
 * The owner pushes to the prefill side a copy of the request that wants one token; the row of that
 * token is not the request's last. It tells the decode side at once, which takes the request as one
 * whose KV comes from elsewhere: it gets blocks (a room) in the order of telling, the owner moves
 * the KV, and from its arrival on the request waits for the next batch. Rules: docs/
 * disaggregation.md. O(1) a call, plus what blocks with names cost. */
#ifndef RT_HAND_OVER_H
#define RT_HAND_OVER_H

#include "rooftrace/err.h"
#include "rooftrace/finished.h"
#include "rooftrace/request.h"

#include <stdbool.h>
#include <stdint.h>

struct rt_replica; /* replica.h */

struct rt_handed { /* what the prefill side did of the request */
    uint32_t from; /* its number in the fleet */
    int64_t scheduled_ns;
    int64_t first_token_ns; /* RT_NEVER: nobody saw it, the decode side gives the first token */
    int64_t cached_tokens;
};

struct rt_room {    /* a request whose KV may come now */
    uint64_t id;    /* the request's */
    uint64_t place; /* as rt_replica_newest named it */
    int64_t tokens; /* to be moved: those of the prompt that the prefix cache does not hold */
};

/* Prefill side: the row of this place has been given; its KV has been read and goes. A step that
 * ends at now_ns is over afterwards, as with rt_replica_cancel. */
bool rt_replica_release(struct rt_replica *p, uint64_t place, int64_t now_ns,
                        struct rt_err *err) RT_MUST_USE;

/* Could the request ever be decoded here (rule 4 of docs/engine.md)? */
enum rt_reason rt_replica_refuses(const struct rt_replica *p, const struct rt_request *req);
/* Decode side: takes a copy of the request, which is not refused and wants more tokens than were
 * given. rt_replica_newest names it. Then schedule, unless busy; otherwise look at next_ns again.
 */
bool rt_replica_expect(struct rt_replica *p, const struct rt_request *req,
                       const struct rt_handed *handed, int64_t now_ns,
                       struct rt_err *err) RT_MUST_USE;
/* A room that was given, by expect or schedule, and not told yet, in any order. false: there is
 * none. */
bool rt_replica_room(struct rt_replica *p, struct rt_room *room);
/* The KV for which there was room is here. Then as after expect. */
bool rt_replica_kv_arrived(struct rt_replica *p, uint64_t place, int64_t now_ns,
                           struct rt_err *err) RT_MUST_USE;

#endif
