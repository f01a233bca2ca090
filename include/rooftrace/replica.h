/* replica/replica.h: one serving engine: waiting queue, running batch, KV blocks, one clock; or
 * several, the data parallel ranks of one replica, among which it spreads requests.
 *
 * The owner drives it through four calls and keeps the event queue:
 *     push       a request arrives (order: (arrival_ns, id));
 *     schedule   at an instant when no step runs: form a batch, start the step;
 *     next_ns    when this replica next wants to be looked at: end of a step whose end is visible
 *                (a finish, a preemption, somebody may be admitted). RT_NEVER_AGAIN: idle;
 *     step_end   at next_ns: tokens appear, requests finish. Then the owner lets arrivals of the
 * same instant in and calls schedule. Between visible changes the replica coasts: it runs whole
 * steps ahead over sums and commits them when it is looked at. That gives the same nanoseconds as
 * stepping one by one (a test).
 *
 * A step costs O(1) in the batch size: a request is touched when it is admitted, starts, ends or is
 * preempted, never per token. The rules are those of docs/engine.md, exactly. */
#ifndef RT_REPLICA_H
#define RT_REPLICA_H

#include "rooftrace/arena.h"
#include "rooftrace/cost.h"
#include "rooftrace/engine.h"
#include "rooftrace/finished.h"
#include "rooftrace/hist.h"
#include "rooftrace/request.h"
#include "rooftrace/step_list.h"

#define RT_NEVER_AGAIN INT64_MAX

/* Rows that wait to be handed on, and the texts they point to. */
struct rt_finished_list {
    struct rt_finished *rows;
    size_t count, capacity;
    struct rt_arena text;
};
void rt_finished_list_init(struct rt_finished_list *l);
void rt_finished_list_release(struct rt_finished_list *l);
void rt_finished_list_reset(struct rt_finished_list *l); /* empties, keeps memory */
/* Appends a copy; row->session is copied into l->text. false: out of memory. */
bool rt_finished_list_add(struct rt_finished_list *l, const struct rt_finished *row) RT_MUST_USE;

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

struct rt_lost_list {         /* requests that lost their replica: arrays side by side; owned */
    struct rt_finished *rows; /* as `unfinished`; without session */
    int64_t *last_token_ns;   /* that appeared, or RT_NEVER */
    size_t count, capacity;
};
void rt_lost_list_release(struct rt_lost_list *l);

#define RT_SECONDS_RING 65536

/* What many replicas of one trial add to: integers only, so the order of adding does not matter. */
struct rt_token_stats {
    struct rt_hist itl;          /* gaps between tokens of a request, all requests */
    struct rt_hist itl_measured; /* those that end within the measured window */
    int64_t measure_from_ns, measure_to_ns;
    uint64_t *second_tokens;    /* ring: output tokens that appeared in a simulated second */
    int64_t *second_of;         /* which second a slot of the ring holds */
    uint64_t peak_tokens_per_s; /* over the seconds that left the ring */
};
bool rt_token_stats_init(struct rt_token_stats *s, int64_t measure_from_ns,
                         int64_t measure_to_ns) RT_MUST_USE;
void rt_token_stats_release(struct rt_token_stats *s);
/* Most output tokens that appeared in one second [k, k+1) of the trial. O(ring). */
uint64_t rt_token_stats_peak(const struct rt_token_stats *s);

/* One engine step, for tests and table `step`. */
struct rt_step_record {
    int64_t start_ns, end_ns;
    struct rt_step_shape shape;
    int64_t kv_blocks_used, waiting; /* right after the step was scheduled */
};

enum rt_role { /* pools[].role */
               RT_ROLE_MIXED,
               RT_ROLE_PREFILL, /* keeps the KV of prompts for who decodes: hand_over.h */
               RT_ROLE_DECODE,  /* takes requests whose KV comes from elsewhere */
               RT_ROLE_COUNT
};
extern const char *const rt_role_names[RT_ROLE_COUNT];

struct rt_replica_spec {
    const struct rt_engine_spec *engine; /* max_num_batched_tokens resolved, >= 1; outlives it */
    const struct rt_cost *cost;
    const struct rt_cost *draft_cost; /* of the draft model, without sliding windows; or NULL */
    int64_t kv_blocks;                /* > 0; of one rank, like the other blocks below */
    int64_t pipeline; /* stages: so many batches are under way at once; 0 and 1: no pipeline */
    int64_t ranks;    /* data parallel; 0 counts as 1 */
    bool together;    /* the ranks step together (rt_cost_ranks_together), also when it is one */
    /* Prefix caching: tokens a hash id names, a multiple of block_size; 0: the trace has none. */
    int64_t hash_block;
    /* Swap preemption: blocks that fit into CPU memory (0: always recompute), and what their copies
     * cost. Bytes and bandwidth of one GPU: all copy their part at once. */
    int64_t cpu_blocks;
    int64_t offload_blocks; /* prefix caching: blocks of the offload tier; 0: there is none */
    double block_bytes, pcie_bytes_per_s;
    uint32_t pool, index; /* as rows name it */
    enum rt_role role;
    bool silent;  /* prefill: the tokens it gives are thrown away and count nowhere */
    bool coast;   /* false: every step end is an event (tests, step records). So it is
                     with a pipeline, and where ranks step together */
    bool compact; /* one of very many: works things out twice rather than keep them; same results */
    struct rt_token_stats *stats; /* shared by the trial's replicas; outlives them */
};

struct rt_replica_totals {
    uint64_t steps, preemptions, finished, rejected;
    /* Sum of what steps cost, a step of a pipeline or of one of several ranks counting for its
     * share of the replica's GPUs; without waiting for the batch in front or for other ranks. */
    int64_t busy_ns;
    int64_t output_tokens;                         /* appeared */
    int64_t computed_tokens;                       /* through the model, recomputed ones included */
    int64_t prompt_tokens, cached_tokens;          /* of first admissions */
    int64_t kv_blocks_peak;                        /* of the fullest rank */
    int64_t swapped_out_blocks, swapped_in_blocks; /* copied to CPU memory and back */
    int64_t offloaded_blocks, loaded_blocks;       /* likewise: the prefix cache's offload tier */
    double terms_s[RT_TERM_COUNT];                 /* busy seconds by cost term */
};

struct rt_replica_gauges {
    int64_t running, waiting, kv_blocks_used;
};

struct rt_replica;

bool rt_replica_new(const struct rt_replica_spec *spec, struct rt_replica **out,
                    struct rt_err *err) RT_MUST_USE;
void rt_replica_free(struct rt_replica *p);
/* The replica will be asked something soon: brings its memory, and once that is there the arrays it
 * points to, into the processor's caches, all lines at once rather than one after another as they
 * are used. Changes nothing; pays where many replicas take turns. */
void rt_replica_prefetch(const struct rt_replica *p);
void rt_replica_prefetch_more(const struct rt_replica *p);
/* Steps that end from now on are appended to *steps, which outlives the replica; NULL: no longer.
 * The same rows with and without coasting. One event appends some 256 steps of a
 * replica at most. */
void rt_replica_record_steps(struct rt_replica *p, struct rt_step_list *steps);

/* Where a request stands in the queue: by (this key, arrival, id), least first. Arrival + handicap,
 * saturated. */
int64_t rt_queue_key(unsigned order, double aging_s, const struct rt_request *q);

/* Takes a copy of the request. RT_REASON_NONE: it waits. Otherwise it can never be served here
 * (rule 4 of docs/engine.md) and nothing was taken. *err is filled only when memory is out
 * (RT_ENOMEM). */
enum rt_reason rt_replica_push(struct rt_replica *p, const struct rt_request *req, int64_t now_ns,
                               struct rt_err *err);
/* The same for one that another replica has lost; past = NULL: it has nothing behind it. */
enum rt_reason rt_replica_resume(struct rt_replica *p, const struct rt_request *req,
                                 const struct rt_progress *past, int64_t now_ns,
                                 struct rt_err *err);
/* Names the request taken last, until it leaves: for rt_replica_cancel. */
uint64_t rt_replica_newest(const struct rt_replica *p);
/* The client has gone: the request leaves at once with seat and blocks, and *out gets its row with
 * this status. Steps that are formed already take the time they take, without its tokens. A step
 * that ends at now_ns is over afterwards: schedule, unless busy; otherwise look at next_ns again.
 */
bool rt_replica_cancel(struct rt_replica *p, uint64_t newest, enum rt_status status, int64_t now_ns,
                       struct rt_finished_list *out, struct rt_err *err) RT_MUST_USE;
/* True: steps run, and nothing can be scheduled before one ends. */
bool rt_replica_busy(const struct rt_replica *p);
/* Forms batches at now_ns and starts their steps; afterwards busy, unless there is nothing to do.
 */
bool rt_replica_schedule(struct rt_replica *p, int64_t now_ns, struct rt_err *err) RT_MUST_USE;
int64_t rt_replica_next_ns(const struct rt_replica *p);
/* Ends the step that ends at now_ns == next_ns; finished requests are added to *out. */
bool rt_replica_step_end(struct rt_replica *p, int64_t now_ns, struct rt_finished_list *out,
                         struct rt_err *err) RT_MUST_USE;
/* State as of now_ns (steps that end before it are committed). */
struct rt_replica_gauges rt_replica_gauges(struct rt_replica *p, int64_t now_ns);
/* rt_replica_totals.busy_ns with the part of steps in progress that lies before now_ns. */
int64_t rt_replica_busy_until(struct rt_replica *p, int64_t now_ns);
/* Leading prompt tokens that the prefix cache (with its offload tier) holds now. O(those found). */
int64_t rt_replica_cached_tokens(struct rt_replica *p, const struct rt_request *req,
                                 int64_t now_ns);
/* Tokens that wait to be computed before a request that comes now: prompts of those that wait, and
 * what is left of the unfinished one. O(waiting). */
int64_t rt_replica_backlog_tokens(struct rt_replica *p, int64_t now_ns);
/* Adds every request still in the replica to *out as `unfinished`; the replica is unusable after.
 */
bool rt_replica_abort(struct rt_replica *p, int64_t now_ns, struct rt_finished_list *out,
                      struct rt_err *err) RT_MUST_USE;
/* It stops at once: the step in progress is cut off and gives nothing, KV and caches are lost. Adds
 * every request to *out, those that run first, each in order. Afterwards only rt_replica_totals,
 * _renew and _free. */
bool rt_replica_crash(struct rt_replica *p, int64_t now_ns, struct rt_lost_list *out,
                      struct rt_err *err) RT_MUST_USE;
/* A new engine of the same spec in its place, empty and cold; it goes on counting where the old one
 * ended. On failure the old one stays. */
bool rt_replica_renew(struct rt_replica **p, const struct rt_replica_spec *spec,
                      struct rt_err *err) RT_MUST_USE;
/* Valid until the next call. O(largest batch of decodes so far). */
const struct rt_replica_totals *rt_replica_totals(struct rt_replica *p);
uint64_t rt_replica_steps(const struct rt_replica *p); /* completed */
/* The step in progress; only while busy, with coast = false, one rank and no pipeline. */
const struct rt_step_record *rt_replica_step(const struct rt_replica *p);

#endif
