/* load_internal.h: the sources that shape a load, and what they stand on.
 *
 *     trace source -> arrivals -> sessions -> closed loop -> the simulation
 *
 * Each wraps the one before and owns it; those not asked for are left out. load.c puts them
 * together. */
#ifndef RT_LOAD_INTERNAL_H
#define RT_LOAD_INTERNAL_H

#include "rooftrace/arena.h"
#include "rooftrace/id_map.h"
#include "rooftrace/load.h"
#include "rooftrace/rng.h"
#include "rooftrace/source.h"

/* ---- rate_profile.c: arrivals of a rate that changes. `area` is the integral of the rate from 0:
 * the expected number of arrivals. */
struct rt_rate_piece {
    double from_s, rate, slope; /* rate at from_s; requests per second, per second squared */
    double area;                /* up to from_s */
};
struct rt_rate_profile {
    struct rt_rate_spec spec;     /* diurnal: its numbers; points are not used */
    struct rt_rate_piece *pieces; /* owned; NULL: diurnal */
    uint32_t piece_count;
    double period_s, period_area; /* 0: it does not repeat */
};
bool rt_rate_profile_init(struct rt_rate_profile *p, const struct rt_rate_spec *spec,
                          struct rt_err *err) RT_MUST_USE;
void rt_rate_profile_release(struct rt_rate_profile *p);
double rt_rate_profile_area(const struct rt_rate_profile *p, double at_s);
/* The first instant by which the area is `area`, in seconds. O(log points). */
double rt_rate_profile_at(const struct rt_rate_profile *p, double area);

/* ---- arrivals.c */
struct rt_arrival_clock { /* when the next request is due; a renewal process, seen through a profile
                           */
    struct rt_rng rng;
    double burstiness; /* INFINITY: equal gaps */
    double area;       /* expected arrivals up to the last one drawn */
    bool at_once;
    struct rt_rate_profile profile;
};
bool rt_arrival_clock_init(struct rt_arrival_clock *c, const struct rt_load_spec *l, uint64_t seed,
                           struct rt_err *err) RT_MUST_USE;
void rt_arrival_clock_release(struct rt_arrival_clock *c);
/* INT64_MAX: beyond 292 years. */
int64_t rt_arrival_clock_next(struct rt_arrival_clock *c);
/* Takes the clock (not on failure). */
bool rt_arrivals_new(struct rt_source *inner, struct rt_arrival_clock *clock,
                     struct rt_source **out, struct rt_err *err) RT_MUST_USE;

/* ---- session_table.c: the sessions that are open, and those that were lately. */
struct rt_session {
    char *name;           /* as the trace has it; owned */
    int64_t done_ns;      /* when its last turn left; only while idle or with a turn to come */
    int64_t conversation; /* tokens of the last turn sent: prompt + answer */
    uint64_t chain;       /* what the conversation's blocks are named after */
    uint64_t search;      /* the search for its next turn that it takes part in; sessions.c */
    uint32_t head, tail;  /* turns that wait for the one before; RT_SLAB_NONE: none */
    uint32_t bucket_next; /* in the table */
    uint32_t prev, next;  /* in the list of idle sessions, longest idle first */
    bool busy;            /* a turn is due or in flight */
};
struct rt_session_table {
    struct rt_slab sessions;
    uint32_t *buckets;
    uint32_t size;       /* of buckets: 0 or a power of two */
    uint32_t head, tail; /* idle sessions */
    uint32_t idle_count;
};
void rt_session_table_init(struct rt_session_table *t);
void rt_session_table_release(struct rt_session_table *t);
static inline struct rt_session *rt_session_at(const struct rt_session_table *t, uint32_t i)
{
    return rt_slab_at(&t->sessions, i);
}
/* The session of that name, RT_SLAB_NONE: it is not known. */
uint32_t rt_session_find(const struct rt_session_table *t, const char *name);
/* A new session, busy; RT_SLAB_NONE: out of memory. */
uint32_t rt_session_add(struct rt_session_table *t, const char *name) RT_MUST_USE;
void rt_session_set_idle(struct rt_session_table *t, uint32_t i);
void rt_session_set_busy(struct rt_session_table *t, uint32_t i);
/* Forgets an idle session. */
void rt_session_forget(struct rt_session_table *t, uint32_t i);

/* ---- conversation.c: names of the blocks of a conversation. */
#define RT_CONVERSATION_BLOCK 430080u /* tokens a name stands for where the trace has none */
struct rt_conversation_names {
    uint64_t *ids; /* owned; those of the request answered last */
    uint32_t capacity;
    uint32_t block_tokens;
};
/* Notes that the turn *r is sent, and names its blocks unless the trace did. */
bool rt_conversation_name(struct rt_conversation_names *n, struct rt_session *session,
                          struct rt_request *r) RT_MUST_USE;

/* ---- sessions.c: takes `clock` (not on failure), which draws when sessions start; NULL: as the
 * trace says. */
bool rt_sessions_new(struct rt_source *inner, enum rt_sessions mode, struct rt_arrival_clock *clock,
                     struct rt_source **out, struct rt_err *err) RT_MUST_USE;

/* ---- closed_loop.c */
bool rt_closed_loop_new(struct rt_source *inner, int64_t limit, struct rt_source **out,
                        struct rt_err *err) RT_MUST_USE;

#endif
