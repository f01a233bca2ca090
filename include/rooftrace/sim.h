/* sim/sim.h: the clock, the event queue and the only loop. Pull interface: the caller asks for the
 * next chunk of finished requests; nothing calls upwards.
 *
 * Time is int64_t ns since trial start. Order at equal times: step ends, hand-overs, timers,
 * arrivals, then scheduling; within a kind by id, never by insertion. Cost: O(log replicas) an
 * event. */
#ifndef RT_SIM_H
#define RT_SIM_H

#include "rooftrace/err.h"
#include "rooftrace/finished.h"
#include "rooftrace/scenario.h"
#include "rooftrace/source.h"
#include "rooftrace/step_list.h"
#include "rooftrace/token_stats.h"

/* The fleet at one instant, or the mean of neighbouring instants once pairs have merged. */
struct rt_sample {
    int64_t time_ns;         /* first instant merged into this point */
    double running, waiting; /* sequences; of the fleet also those that wait for a replica */
    double kv_blocks_used;
    double in_flight; /* requests arrived and not done; of a pool those that its replicas have */
    double serving;   /* replicas that are there: ready or draining */
    uint32_t pool;    /* RT_ALL_POOLS: whole fleet */
};
#define RT_ALL_POOLS UINT32_MAX

#define RT_MAX_SAMPLES 2000 /* above that the interval doubles and pairs merge */

struct rt_sim_totals {
    uint64_t arrived, finished, rejected, unfinished;
    uint64_t timed_out, cancelled, failed;
    rt_u128 given_up_ns; /* of the three, and of those rejected after waiting for a replica: from
                            arrival to leaving, summed */
    uint64_t retries;    /* requests that lost their replica and were sent again, each time */
    int64_t lost_tokens; /* that had appeared, and their answer was begun anew */
    uint64_t max_in_flight;
    uint64_t events;        /* handled by the loop */
    uint64_t steps;         /* engine steps, all replicas */
    int64_t now_ns;         /* clock */
    rt_u128 in_flight_area; /* the same, exact: for Little's law */
};

enum rt_sim_answer {
    RT_SIM_MORE, /* the list holds what finished lately, perhaps nothing; ask again */
    RT_SIM_DONE, /* the trace is served; the list holds the last rows */
    RT_SIM_ERROR /* *err; the list holds the rows before it. rt_sim_abort gives the rest */
};

struct rt_sim;

/* Takes the opened source (frees it at the end, also on failure). The scenario outlives the sim. */
bool rt_sim_new(const struct rt_scenario *s, struct rt_source *source, struct rt_sim **out,
                struct rt_err *err) RT_MUST_USE;
void rt_sim_free(struct rt_sim *s);
/* From the next event on, steps that end are appended to *steps, which outlives the sim; the caller
 * empties it between calls of rt_sim_next. Memory: a bounded number of rows, see sim.c. */
void rt_sim_record_steps(struct rt_sim *s, struct rt_step_list *steps);
/* Runs until about `rows` requests finished or a bounded number of events passed; appends to *out.
 */
enum rt_sim_answer rt_sim_next(struct rt_sim *s, size_t rows, struct rt_finished_list *out,
                               struct rt_err *err);
/* Stops: everything in flight is appended as `unfinished`. */
bool rt_sim_abort(struct rt_sim *s, struct rt_finished_list *out, struct rt_err *err) RT_MUST_USE;
struct rt_sim_totals rt_sim_totals(const struct rt_sim *s);
/* Fleet samples so far, oldest first; valid until the next call of rt_sim_next. */
const struct rt_sample *rt_sim_samples(const struct rt_sim *s, size_t *count);
/* The same of one pool, at the same instants; NULL where there is only one. */
const struct rt_sample *rt_sim_pool_samples(const struct rt_sim *s, uint32_t pool, size_t *count);
const struct rt_token_stats *rt_sim_token_stats(const struct rt_sim *s);
/* NULL: all replicas are there all the time. */
struct rt_supply *rt_sim_supply(const struct rt_sim *s);
const struct rt_fleet *rt_sim_fleet(const struct rt_sim *s);
struct rt_source *rt_sim_source(const struct rt_sim *s);

#endif
