/* fleet/kv_transfer.h: pools of role prefill and decode, and the links between them.
 *
 * An arrival goes to a replica of a prefill (or mixed) pool by `router`; when its prompt is
 * computed, to one of a decode pool of the same model by `decode_router`; and its KV over the links
 * of the two, which carry one transfer after the other. The owner of the clock asks when it will
 * be there. Rules and formulas: docs/disaggregation.md. O(log replicas) a request. */
#ifndef RT_KV_TRANSFER_H
#define RT_KV_TRANSFER_H

#include "rooftrace/err.h"
#include "rooftrace/replica_spec.h"
#include "rooftrace/request.h"

#include <stdbool.h>
#include <stdint.h>

struct rt_fleet;      /* fleet.h */
struct rt_fleet_spec; /* fleet_spec.h */
struct rt_handed;     /* hand_over.h */

enum rt_first_token {                        /* who gives it */
                      RT_FIRST_TOKEN_DECODE, /* and what the prefill side computed of it is lost */
                      RT_FIRST_TOKEN_PREFILL,
                      RT_FIRST_TOKEN_COUNT
};
extern const char *const rt_first_token_names[RT_FIRST_TOKEN_COUNT];

struct rt_kv_transfer_spec { /* scenario: kv_transfer */
    double bytes_per_s;      /* of a replica, each way; 0: its GPUs' links to other nodes */
    double latency_s;        /* of a transfer; < 0: that of the prefill pool's node */
    bool layerwise;          /* layers leave as they are computed */
    enum rt_first_token first_token;
};

struct rt_transfer {
    uint32_t from, to; /* replicas */
    int64_t tokens;
    int64_t began_ns, computed_ns; /* when its KV was computed: [first step, end of the prefill] */
};

/* Prefill and decode pools find each other, and their engines can hand over. */
bool rt_fleet_check_roles(const struct rt_fleet_spec *s, struct rt_err *err) RT_MUST_USE;
/* There are prefill and decode pools. */
bool rt_fleet_hands_over(const struct rt_fleet *f);
enum rt_role rt_fleet_role(const struct rt_fleet *f, uint32_t replica);
/* The first token comes from the decode side. */
bool rt_fleet_hides_prefill(const struct rt_fleet *f);
/* Who decodes a request that was prefilled by handed->from: told at once, *replica; RT_NO_REPLICA:
 * no replica takes requests. */
bool rt_fleet_expect(struct rt_fleet *f, const struct rt_request *req,
                     const struct rt_handed *handed, int64_t now_ns, uint32_t *replica,
                     struct rt_err *err) RT_MUST_USE;
/* Puts a transfer on its two links, behind all that were put there before: *arrives_ns. */
bool rt_fleet_send(struct rt_fleet *f, const struct rt_transfer *t, int64_t now_ns,
                   int64_t *arrives_ns, struct rt_err *err) RT_MUST_USE;

#endif
