/* sim_internal.h: the inside of the simulation, shared by the files of this folder. */
#ifndef RT_SIM_INTERNAL_H
#define RT_SIM_INTERNAL_H

#include "rooftrace/arena.h"
#include "rooftrace/crash.h"
#include "rooftrace/err.h"
#include "rooftrace/finished.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/heap.h"
#include "rooftrace/id_map.h"
#include "rooftrace/json.h"
#include "rooftrace/load.h"
#include "rooftrace/request.h"
#include "rooftrace/scenario.h"
#include "rooftrace/sim.h"
#include "rooftrace/source.h"
#include "rooftrace/workload.h"

struct sampler {              /* gauges over time, never more than RT_MAX_SAMPLES points */
    struct rt_sample *points; /* [series][RT_MAX_SAMPLES]: the fleet; pool 0, 1, ... if several */
    struct rt_sample *now;    /* [series], while a point is taken */
    uint32_t series;
    size_t count;
    int64_t interval_ns;
};

bool sampler_init(struct sampler *s, double interval_s, uint32_t pools) RT_MUST_USE;
void sampler_release(struct sampler *s);
/* s->now becomes the next point of each series. */
void sampler_add(struct sampler *s);
static inline const struct rt_sample *sampler_points(const struct sampler *s, uint32_t series)
{
    return s->points + (size_t)series * RT_MAX_SAMPLES;
}

struct class_map { /* the scenario's classes by the source's index; all 0 at first */
    uint32_t *of;  /* place in the scenario's list + 1; 0: not in it; UINT32_MAX: not asked yet */
    uint32_t capacity;
};

/* Places in a slab by request id; RT_SLAB_NONE: the id is not there. */
static inline uint32_t place_of(const struct rt_id_map *m, uint64_t id)
{
    uint64_t place;
    return rt_id_map_get(m, id, &place) ? (uint32_t)place : RT_SLAB_NONE;
}
static inline uint32_t take_place(struct rt_id_map *m, uint64_t id)
{
    uint64_t place;
    return rt_id_map_take(m, id, &place) ? (uint32_t)place : RT_SLAB_NONE;
}

/* patience.c: clients that leave before their answer is complete */
struct waiting_client {
    uint64_t id;
    int64_t leaves_ns;
    enum rt_status status; /* timeout or cancelled */
    uint32_t replica;      /* RT_NO_REPLICA: its request waits for one */
    uint64_t newest;       /* for rt_replica_cancel */
};

struct patience { /* of the requests in flight whose clients may leave; all 0 at first */
    struct rt_slab clients;
    struct rt_heap order; /* by (leaves_ns, id) */
    struct rt_id_map ids; /* of clients */
};

void patience_init(struct patience *p);
void patience_release(struct patience *p);
/* When the client of a request leaves: *out but for replica and newest. false: it stays. */
bool patience_draw(const struct rt_patience *spec, uint64_t seed, const struct rt_request *req,
                   struct waiting_client *out);
bool patience_add(struct patience *p, const struct waiting_client *c) RT_MUST_USE;
void patience_done(struct patience *p, uint64_t id); /* nothing happens when it is not there */
/* Its request is somewhere else now; likewise. */
void patience_move(struct patience *p, uint64_t id, uint32_t replica, uint64_t newest);
/* The next to leave, or NULL; valid until the next call. */
const struct waiting_client *patience_next(const struct patience *p);

/* relay.c: requests that a prefill and a decode replica serve */
struct relay;
struct relay_told {
    uint64_t id, place; /* for rt_replica_cancel from now on */
    uint32_t replica;   /* RT_NO_REPLICA: nobody was told */
};
bool relay_new(struct rt_fleet *f,
               struct relay **out) RT_MUST_USE; /* false: relay_free all the same */
void relay_free(struct relay *y);
/* Prefill replica `from` has just taken the request. false: out of memory. */
bool relay_take(struct relay *y, const struct rt_request *req, uint32_t from) RT_MUST_USE;
/* Rows that a replica gave, from the given one on: those of requests that go on leave the list,
 * the others are completed. */
bool relay_rows(struct relay *y, struct rt_finished_list *list, size_t from, int64_t now_ns,
                struct rt_err *err) RT_MUST_USE;
int64_t relay_next_ns(const struct relay *y, int64_t now_ns); /* of relay_due */
/* KV that arrives by now, and the next request that was prefilled; call again while next_ns is now.
 * A row of one that nobody decodes is added to *out. */
bool relay_due(struct relay *y, int64_t now_ns, struct rt_finished_list *out,
               struct relay_told *told, struct rt_err *err) RT_MUST_USE;
/* A replica that something happened to, or RT_NO_REPLICA: schedule it, or look at its next_ns. */
uint32_t relay_woken(struct relay *y);
void relay_touch(struct relay *y, uint32_t replica); /* it may have given rooms */
/* At the end of an instant: the transfers for which there is room begin. */
bool relay_send(struct relay *y, int64_t now_ns, struct rt_err *err) RT_MUST_USE;
/* The rows of an abort, from the given one on, are completed; others added. */
bool relay_abort(struct relay *y, struct rt_finished_list *out, size_t from,
                 struct rt_err *err) RT_MUST_USE;
/* capacity.c: fleets that come and go, and requests that wait for one */
struct capacity;
struct sent { /* a request that waited, and where it went */
    uint64_t id, newest;
    uint32_t replica;
};
struct capacity_totals {
    uint64_t held, retries;
    int64_t lost_tokens; /* had appeared, and the answer began anew */
};

/* *out = NULL: all replicas are there all the time. */
bool capacity_new(const struct rt_scenario *s, struct rt_fleet *fleet, struct capacity **out,
                  struct rt_err *err) RT_MUST_USE;
void capacity_free(struct capacity *c);
/* When something happens by itself, at or after now_ns; RT_NEVER_AGAIN. */
int64_t capacity_next_ns(const struct capacity *c, int64_t now_ns);
/* What is due happens. Rows of requests that fail with their replica go to *out; *lost: those that
 * have lost theirs (valid until the next step), failed ones included. */
bool capacity_step(struct capacity *c, int64_t now_ns, struct rt_finished_list *out,
                   const struct rt_lost_list **lost, struct rt_err *err) RT_MUST_USE;
/* Sends what waits as far as replicas take it: *sent, valid until the next call. Rows of those that
 * never will be served go to *out. */
bool capacity_send(struct capacity *c, int64_t now_ns, const struct sent **sent, size_t *count,
                   struct rt_finished_list *out, struct rt_err *err) RT_MUST_USE;
/* Replica i has taken an arrival. */
bool capacity_took(struct capacity *c, const struct rt_request *req, uint32_t i,
                   struct rt_err *err) RT_MUST_USE;
/* No replica takes an arrival: *held says whether it waits for one. */
bool capacity_hold(struct capacity *c, const struct rt_request *req, int64_t now_ns, bool *held,
                   struct rt_err *err) RT_MUST_USE;
/* The request has left: its row gets what is known of its retries, which *text will own. */
bool capacity_forget(struct capacity *c, struct rt_finished *row, struct rt_arena *text,
                     struct rt_err *err) RT_MUST_USE;
/* Replica i has fewer requests. */
bool capacity_left(struct capacity *c, uint32_t i, int64_t now_ns, struct rt_err *err) RT_MUST_USE;
/* A request that waits leaves: its row. */
bool capacity_cancel(struct capacity *c, uint64_t id, enum rt_status status, int64_t now_ns,
                     struct rt_finished_list *out, struct rt_err *err) RT_MUST_USE;
/* All that wait, as `unfinished`. */
bool capacity_abort(struct capacity *c, int64_t now_ns, struct rt_finished_list *out,
                    struct rt_err *err) RT_MUST_USE;
struct capacity_totals capacity_totals(const struct capacity *c);
struct rt_supply *capacity_supply(const struct capacity *c);

/* classes.c: the scenario's section `classes` */
struct rt_writer;
bool rt_classes_parse(const struct rt_json_at *root, struct rt_scenario *s,
                      struct rt_err *err) RT_MUST_USE;
void rt_classes_release(struct rt_class_spec *classes, uint32_t count);
void rt_writer_classes(struct rt_writer *w, const struct rt_scenario *s);
void rt_writer_patience(struct rt_writer *w, const struct rt_patience *p);
void rt_writer_slo(struct rt_writer *w, const struct rt_slo *slo); /* scenario_print.c */
/* Its keys `timeout_s` and `cancel`. */
bool rt_patience_parse(const struct rt_json_at *at, struct rt_patience *p,
                       struct rt_err *err) RT_MUST_USE;
/* Its key `slo` over *slo; scenario.c. */
bool rt_slo_parse(const struct rt_json_at *parent, struct rt_slo *slo,
                  struct rt_err *err) RT_MUST_USE;
/* A request that gives no priority (0) or deadline gets those of its class; *patience is how long
 * its client waits. false: out of memory. */
bool class_map_apply(struct class_map *m, const struct rt_scenario *s,
                     const struct rt_source *source, struct rt_request *req,
                     struct rt_patience *patience) RT_MUST_USE;
/* For rt_finished.class_spec, of a request that was applied. */
uint32_t class_map_place(const struct class_map *m, uint32_t class_name);
void class_map_release(struct class_map *m);

/* scenario_routing.c: the keys on routing and admission */
void rt_writer_routing(struct rt_writer *w, const struct rt_fleet_spec *s);

/* scenario_supply.c: a pool's keys on supply, and `retry` */
void rt_writer_supply(struct rt_writer *w, const struct rt_pool_spec *p);
void rt_writer_retry(struct rt_writer *w, const struct rt_retry_spec *r);

/* scenario_workload.c: the section `workload` */
void rt_writer_workload(struct rt_writer *w, const struct rt_workload_spec *s);
/* scenario_load.c: its keys that shape a load */
void rt_writer_load(struct rt_writer *w, const struct rt_load_spec *l);

#endif
