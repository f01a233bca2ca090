/* Requests on a fleet of prefill and decode pools, replayed: for the tests of hand-overs. */
#ifndef RT_TEST_HAND_OVER_CASE_H
#define RT_TEST_HAND_OVER_CASE_H

#include "array_source.h"
#include "rooftrace/finished.h"
#include "rooftrace/scenario.h"
#include "rooftrace/sim.h"
#include "rooftrace/step_list.h"
#include "support/test.h"

#define KV_BYTES_PER_TOKEN                                                                         \
    131072.0 /* llama-3.1-8b in 16 bit: 2 * 8 heads * 128 * 32 layers * 2                          \
              */
#define KV_LAYERS 32

struct replay {
    struct rt_scenario scenario;
    struct rt_sim *sim;
    struct rt_finished_list rows; /* in the order they left */
    struct rt_step_list steps;
    struct rt_sim_totals totals;
};

/* `keys`: of the scenario, without workload and model. */
void case_parse(const char *keys, struct rt_scenario *s);
/* Runs the load to its end, or after `rows` rows aborts. */
void case_replay(const char *keys, const struct array_load *load, bool coast, size_t rows,
                 struct replay *out);
void case_release(struct replay *r);
const struct rt_finished *case_row(const struct replay *r, uint64_t id); /* fails without */

#endif
