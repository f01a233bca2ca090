/* fleet_internal.h: the inside of a fleet, shared by the files of this folder.
 *
 *     fleet.c      pools become replicas
 *     routing.c    arrivals to replicas, and what the router sees of them
 *     admission.c  who is turned away before
 *     served.c     which pools serve a model name of the trace
 *     hand_over.c  prefill pools to decode pools, kv_link.c the links between them */
#ifndef RT_FLEET_INTERNAL_H
#define RT_FLEET_INTERNAL_H

#include "rooftrace/cost.h"
#include "rooftrace/engine.h"
#include "rooftrace/err.h"
#include "rooftrace/finished.h"
#include "rooftrace/fleet.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/hist.h"
#include "rooftrace/json.h"
#include "rooftrace/name.h"
#include "rooftrace/replica_spec.h"
#include "rooftrace/request.h"
#include "rooftrace/rng.h"
#include "rooftrace/router.h"
#include "rooftrace/source.h"

struct pool {
    struct rt_pool_plan plan;
    enum rt_role role;
    struct rt_engine_spec engine; /* resolved */
    struct rt_parallel parallel;
    struct rt_cost *cost, *draft_cost;
    double pcie_bytes_per_s;
    double prefill_ns_per_token; /* of a step that is full of one prompt; for shedding */
    struct rt_candidates candidates;
    char names[RT_MAX_SERVED_MODELS + 1][RT_NAME_SIZE]; /* the model's first */
    uint32_t name_count;
};

struct served {                         /* the pools that serve a name */
    const struct rt_candidates **pools; /* owned */
    uint32_t count;
    bool known; /* asked for before */
};

struct bucket {          /* a token bucket: admission.c */
    rt_u128 empty_at;    /* when it would be full again, in units of 2^-32 ns since trial start */
    rt_u128 each, depth; /* a unit costs so much time; the bucket's depth */
};

struct desk { /* a router at work */
    const struct rt_router_policy *policy;
    void *state;
    bool ready; /* it has been initialised */
    struct rt_router_view view;
};

struct routed { /* the pools a request may go to */
    const struct rt_candidates *const *pools;
    uint32_t count;
};

struct link_end { /* of a replica; kv_link.c */
    int64_t sent_ns, last_ns;
};

struct link_job {
    double bytes, bytes_per_s;
    int64_t from_ns, to_ns; /* its parts appear evenly in between; the last is there at to_ns */
    int64_t parts;
};

struct rt_fleet {
    struct rt_fleet_use use;
    struct pool *pools;
    uint32_t pool_count, replica_count;
    struct rt_replica **replicas;
    struct desk arrivals;
    struct hand_over *hand; /* NULL: no pool has a role */
    bool hides_prefill;     /* the first token is the decode side's */
    unsigned sees;          /* enum rt_router_sees, of all routers */
    struct rt_router_weights weights;
    struct rt_admission_spec admission;
    int64_t report_interval_ns;    /* 0: views are always current */
    struct rt_replica_view *views; /* by replica, as the three below */
    int64_t *tokens;               /* as it is now: views follow with the reports */
    int64_t *turn;                 /* when it was picked last */
    uint8_t *state;                /* enum rt_replica_state */
    int64_t turns;
    struct rt_rng rng;
    const struct rt_source *source; /* names of models, or NULL */
    bool names_matter;              /* pools serve different names */
    struct served all;              /* requests that name no model */
    struct served *served;          /* by the source's index of the name */
    uint32_t served_capacity;
    struct bucket requests, prompt_tokens;
};

/* fleet.c: a new engine in place of replica i; see rt_replica_renew */
bool fleet_renew(struct rt_fleet *f, uint32_t i, struct rt_err *err) RT_MUST_USE;

/* router_affinity.c, router_weighted.c: entries of the table in router.c */
extern const struct rt_router_policy session_affinity, prefix_affinity, weighted;
bool router_is_candidate(const struct rt_router_view *view, uint32_t replica);
bool router_init_memory(void *state); /* of a state that is a struct prefix_memory * */
void router_release_memory(void *state);

/* routing_spec.c: the scenario's keys on routing and admission */
void routing_spec_init(struct rt_fleet_spec *s);
bool routing_spec_parse(const struct rt_json_at *root, struct rt_fleet_spec *s,
                        struct rt_err *err) RT_MUST_USE;
bool routing_parse_router(const struct rt_json_at *root, const char *key,
                          const struct rt_router_policy **router, struct rt_err *err) RT_MUST_USE;

/* hand_over_spec.c: roles, decode_router and kv_transfer */
void hand_over_spec_init(struct rt_fleet_spec *s);
bool hand_over_parse_role(const struct rt_json_at *at, struct rt_pool_spec *pool,
                          struct rt_err *err) RT_MUST_USE;
bool hand_over_parse(const struct rt_json_at *root, struct rt_fleet_spec *s,
                     struct rt_err *err) RT_MUST_USE; /* after the pools */
bool hand_over_wanted(const struct rt_fleet_spec *s); /* some pool has a role */
/* Requests of the one prefill pool may go to the other, a decode pool. */
bool hand_over_meets(const struct rt_pool_spec *from, const struct rt_pool_spec *to);

/* hand_over.c */
/* Before and after routing_init; false: out of memory. */
bool hand_over_init(struct rt_fleet *f, const struct rt_fleet_spec *spec);
bool hand_over_open(struct rt_fleet *f, const struct rt_fleet_spec *spec);
void hand_over_release(struct rt_fleet *f);
const struct rt_router_policy *hand_over_router(const struct rt_fleet *f);
void hand_over_note_report(struct rt_fleet *f);
/* No decode pool that the prefill pool hands over to could ever hold it: why the first could not.
 */
enum rt_reason hand_over_refuses(const struct rt_fleet *f, uint32_t pool,
                                 const struct rt_request *req);

/* kv_link.c */
bool kv_link_send(struct link_end *out, struct link_end *in, const struct link_job *job,
                  int64_t *end_ns, struct rt_err *err);

/* routing.c */
/* Of the pools and replicas there are. false: out of memory. */
bool routing_init(struct rt_fleet *f, const struct rt_fleet_spec *spec,
                  const struct rt_fleet_use *use);
void routing_release(struct rt_fleet *f);
/* A router whose view is as the one of arrivals, but its own. */
bool desk_init(struct desk *d, const struct rt_router_policy *policy,
               const struct rt_router_view *view);
void desk_release(struct desk *d);
/* RT_NO_REPLICA: none takes requests. */
uint32_t routing_pick(struct rt_fleet *f, struct desk *d, const struct routed *among,
                      const struct rt_request *req, int64_t now_ns);
/* Requests and their prompt tokens that went to replica i, or left it. */
void routing_count(struct rt_fleet *f, uint32_t i, int64_t requests, int64_t tokens);

/* served.c */
/* All pools, or those that serve the model the request names; NULL: out of memory. */
const struct served *served_by(struct rt_fleet *f, const struct rt_request *req);
bool served_init(struct rt_fleet *f, const struct rt_fleet_spec *spec);
void served_release(struct rt_fleet *f);

/* admission.c */
void admission_init(struct rt_fleet *f);
/* At the door: rates. Takes from the buckets only what it lets in. */
bool admission_lets_in(struct rt_fleet *f, const struct rt_request *req, int64_t now_ns);
/* At the replica that was picked: its queue, and when the first token can be expected. */
bool admission_has_room(const struct rt_fleet *f, uint32_t replica, const struct rt_request *req,
                        int64_t now_ns);

#endif
