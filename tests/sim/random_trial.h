/* A random load on a random fleet, replayed: what test_invariants.c audits. Everything follows from
 * the seed. */
#ifndef RT_TEST_RANDOM_TRIAL_H
#define RT_TEST_RANDOM_TRIAL_H

#include "array_source.h"
#include "rooftrace/cost.h"
#include "rooftrace/engine.h"
#include "rooftrace/finished.h"
#include "rooftrace/request.h"
#include "rooftrace/scenario.h"
#include "rooftrace/sim.h"
#include "rooftrace/step_list.h"
#include "sim_trial.h"
#include "support/seeds.h"
#include "support/test.h"

#define MAX_REQUESTS 240
#define MAX_HASHES   64
#define MAX_REPLICAS 20

#define MAX_RANKS 3

struct trial {
    uint64_t seed;
    struct array_load load;
    struct rt_request requests[MAX_REQUESTS];
    uint64_t hashes[MAX_REQUESTS][MAX_HASHES];
    struct rt_scenario scenario;
    struct rt_sim *sim;
    struct rt_finished rows[MAX_REQUESTS]; /* in the order they left */
    size_t row_count;
    const struct rt_finished *by_id[MAX_REQUESTS];
    bool record_steps;
    struct rt_step_list steps;
};

struct trial *trial_new(uint64_t seed); /* drawn and replayed */
void trial_free(struct trial *t);
const struct rt_engine_spec *engine_of(const struct trial *t);
const struct rt_parallel *parallel_of(const struct trial *t);

#endif
