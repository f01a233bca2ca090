/* results/self_check.h: is the result of a run possible at all? Laws that no fleet can break,
 * whatever the scheduler, held against what a run counted:
 *
 *   flops      products of the tokens computed, over the seconds of products <= peak of the GPUs
 *   bytes      weights read once a step, over the same seconds <= memory bandwidth of the GPUs
 *   kv_bytes   KV that decodes read, over the seconds of decode attention <= likewise
 *   capacity   output tokens over busy seconds <= the best rate any batch has in the cost model
 *   little     the area under the requests in flight = the sum of their times in the system,
 *              exactly
 *   requests   arrived = finished + rejected + given up + failed + unfinished = rows
 *   tokens     tokens that appeared on replicas = tokens of the rows, exactly; tokens whose answers
 *              were begun anew after a crash are counted apart
 *
 * All work is counted from below and all rates from above, so a law that breaks is a mistake: of
 * this program, or of constants that let a GPU do more than its datasheet says. The first three
 * need a GPU: `linear` names none that counts, and is exempt; of them and `capacity` only flops
 * binds `profile`, whose operators were measured, caches and noise included. Peaks have a tolerance
 * of 1 %. O(replicas + classes*pools + sequences of a batch). */
#ifndef RT_SELF_CHECK_H
#define RT_SELF_CHECK_H

#include "rooftrace/err.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/metrics.h"
#include "rooftrace/replica.h"
#include "rooftrace/sim.h"

enum rt_check {
    RT_CHECK_FLOPS,
    RT_CHECK_BYTES,
    RT_CHECK_KV_BYTES,
    RT_CHECK_CAPACITY,
    RT_CHECK_LITTLE,
    RT_CHECK_REQUESTS,
    RT_CHECK_TOKENS,
    RT_CHECK_COUNT
};
extern const char *const rt_check_names[RT_CHECK_COUNT]; /* "flops", ... */

/* One row of table `self_check`: the pool or replica that comes nearest to its limit. */
struct rt_check_row {
    bool applies; /* false: nothing to hold against it; the rest is meaningless */
    bool ok;
    uint32_t pool, replica; /* RT_NO_REPLICA: the pool, or the run */
    bool of_run;            /* no pool either */
    double value, limit;    /* FLOP/s, bytes/s, tokens/s, request seconds, requests, tokens */
};

struct rt_self_check_inputs { /* of a run that is complete */
    const struct rt_fleet_spec *spec;
    const struct rt_fleet *fleet;
    const struct rt_replica_totals *const *replicas; /* by number, all of the fleet */
    struct rt_sim_totals totals;
    const struct rt_tally *tally;
    const struct rt_class_use *uses;
    size_t use_count;
};

/* Fills all rows. False: a law is broken, *err (RT_ECHECK) names the first, where and by how much;
 * or memory is out (RT_ENOMEM). */
bool rt_self_check(const struct rt_self_check_inputs *in, struct rt_check_row rows[RT_CHECK_COUNT],
                   struct rt_err *err) RT_MUST_USE;

#endif
