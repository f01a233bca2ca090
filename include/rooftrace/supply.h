/* fleet/supply.h: which replicas are there, and when: autoscaling, start-up, drain, crashes,
 * maintenance, spot machines. docs/scaling.md has the rules.
 *
 *     off --> starting --> ready --> draining --> off or down --> starting ...
 *              (paid for in every state but off; all requests go to ready ones)
 *
 * A pool has a fixed number of slots, its replicas at the most. Each has reasons not to serve:
 * those of a machine (crash, outage, reclaim) stop it at once, those of an operator (not wanted,
 * maintenance, notice) let it finish what it has. Without a reason it starts. What a machine's
 * random stream draws depends on seed, pool and slot only, so a machine fails at the same instants
 * whatever the policy and the load.
 *
 * Knows no event queue: the owner asks for the next instant and calls step there. A fleet whose
 * pools have no such keys has no supply. O(log slots) a change, O(slots) a tick. */
#ifndef RT_SUPPLY_H
#define RT_SUPPLY_H

#include "rooftrace/crash.h"
#include "rooftrace/err.h"
#include "rooftrace/request.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rt_fleet;      /* fleet.h */
struct rt_fleet_spec; /* fleet_spec.h */

enum rt_slot_state {
    RT_SLOT_OFF, /* not paid for */
    RT_SLOT_STARTING,
    RT_SLOT_READY,
    RT_SLOT_DRAINING,
    RT_SLOT_DOWN, /* paid for, and does nothing */
    RT_SLOT_STATE_COUNT
};
extern const char *const rt_slot_state_names[RT_SLOT_STATE_COUNT];

/* clang-format off */
#define RT_SUPPLY_REASONS(X)                                                                       \
    X(BEGIN, "begin")               /* state at the first instant */                               \
    X(SCALE_UP, "scale_up")                                                                        \
    X(SCALE_DOWN, "scale_down")                                                                    \
    X(DEMAND, "demand")             /* a request came and nothing was there */                     \
    X(STARTED, "started")           /* provisioned and loaded */                                   \
    X(EMPTY, "empty")               /* drained */                                                  \
    X(DRAIN_TIMEOUT, "drain_timeout")                                                              \
    X(CRASH, "crash")                                                                              \
    X(REPAIRED, "repaired")                                                                        \
    X(OUTAGE, "outage")                                                                            \
    X(OUTAGE_OVER, "outage_over")                                                                  \
    X(NOTICE, "notice")             /* of an outage or a reclaim */                                \
    X(RECLAIMED, "reclaimed")                                                                      \
    X(REPLACED, "replaced")         /* another spot machine is there */                            \
    X(MAINTENANCE, "maintenance")                                                                  \
    X(MAINTAINED, "maintained")
/* clang-format on */

enum rt_supply_reason {
#define X(name, text) RT_SUPPLY_##name,
    RT_SUPPLY_REASONS(X)
#undef X
        RT_SUPPLY_REASON_COUNT
};
extern const char *const rt_supply_reason_names[RT_SUPPLY_REASON_COUNT];

struct rt_supply_event { /* one row of table `scaling_event` */
    int64_t time_ns;
    uint32_t replica;
    uint8_t from, to; /* enum rt_slot_state */
    uint8_t why;      /* enum rt_supply_reason */
};

struct rt_supply_span { /* a replica was paid for in [from, to) */
    uint32_t replica;
    int64_t from_ns, to_ns;
};

struct rt_supply;

/* Of a fleet built from this spec, which outlives it, as the fleet does. *out = NULL: the spec asks
 * for nothing that a supply does. Sets the states at the first instant. */
bool rt_supply_new(const struct rt_fleet_spec *spec, struct rt_fleet *f, uint64_t seed,
                   struct rt_supply **out, struct rt_err *err) RT_MUST_USE;
void rt_supply_free(struct rt_supply *s);
/* RT_NEVER_AGAIN: nothing more happens by itself. */
int64_t rt_supply_next_ns(const struct rt_supply *s);
/* Everything that is due by now_ns. Requests of replicas that were cut off are added to *lost; they
 * are no longer outstanding, and the replicas are new ones. */
bool rt_supply_step(struct rt_supply *s, int64_t now_ns, struct rt_lost_list *lost,
                    struct rt_err *err) RT_MUST_USE;
/* A request has gone to replica i (for policies), or left it (for drains). */
void rt_supply_sent(struct rt_supply *s, uint32_t i);
bool rt_supply_left(struct rt_supply *s, uint32_t i, int64_t now_ns,
                    struct rt_err *err) RT_MUST_USE;
/* No replica takes the request now, which has just arrived or comes from one that was lost. The
 * pool it waits for, which starts a replica if it has none; RT_NO_POOL: none will ever serve it (or
 * memory is out: *err). */
#define RT_NO_POOL UINT32_MAX
uint32_t rt_supply_hold(struct rt_supply *s, const struct rt_request *req, bool arrives,
                        int64_t now_ns, struct rt_err *err);
void rt_supply_release(struct rt_supply *s, uint32_t pool); /* it no longer waits */
/* Since the last call: a replica became ready, or a pool lost its last hope. */
bool rt_supply_changed(struct rt_supply *s);
bool rt_supply_loses(const struct rt_supply *s); /* requests can lose their replica */
const struct rt_supply_event *rt_supply_events(const struct rt_supply *s, size_t *count);
/* Up to now_ns; spans that are not over end there. Valid until the next call. NULL: out of memory.
 */
const struct rt_supply_span *rt_supply_spans(struct rt_supply *s, int64_t now_ns, size_t *count);

#endif
