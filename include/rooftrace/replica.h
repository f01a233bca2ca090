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

#include "rooftrace/err.h"
#include "rooftrace/finished.h"
#include "rooftrace/request.h"
#include "rooftrace/step.h"

#include <stdbool.h>
#include <stdint.h>

struct rt_replica_spec; /* replica_spec.h */
struct rt_step_list;    /* step_list.h */

#define RT_NEVER_AGAIN INT64_MAX

/* One engine step, for tests and table `step`. */
struct rt_step_record {
    int64_t start_ns, end_ns;
    struct rt_step_shape shape;
    int64_t kv_blocks_used, waiting; /* right after the step was scheduled */
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

/* Takes a copy of the request. RT_REASON_NONE: it waits. Otherwise it can never be served here
 * (rule 4 of docs/engine.md) and nothing was taken. *err is filled only when memory is out
 * (RT_ENOMEM). */
enum rt_reason rt_replica_push(struct rt_replica *p, const struct rt_request *req, int64_t now_ns,
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
/* Valid until the next call. O(largest batch of decodes so far). */
const struct rt_replica_totals *rt_replica_totals(struct rt_replica *p);
uint64_t rt_replica_steps(const struct rt_replica *p); /* completed */
/* The step in progress; only while busy, with coast = false, one rank and no pipeline. */
const struct rt_step_record *rt_replica_step(const struct rt_replica *p);

#endif
