/* The driver of sizing and its conclusions: size.c, size_conclude.c. */
#ifndef RT_SIZE_DRIVER_INTERNAL_H
#define RT_SIZE_DRIVER_INTERNAL_H

#include "size_internal.h"

struct unit;

struct size_job { /* one seed of the point under way */
    struct unit *unit;
    unsigned seed;
    struct rt_scenario scenario;
    bool has_scenario;
    char label[RT_SIZE_TEXT + 96];
};

struct unit { /* one search */
    const struct rt_candidate *candidate;
    const struct size_traffic *traffic; /* of the first seed */
    unsigned index;
    int64_t gpus; /* of a replica */
    double need;  /* replicas, closed form, at rate 1 */
    struct size_search search;
    struct size_point at; /* under way */
    struct size_judge *judges;
    struct size_job *jobs;
    unsigned running, waiting; /* jobs that were added, that have not ended */
    int64_t run_id;
    bool trial_open; /* search.trials[count] is that of `at` */
    bool over, infeasible;
    char reason[512];
};

struct rt_size {
    const struct rt_size_plan *plan;
    struct rt_size_options options;
    struct rt_sweep *sweep;
    struct rt_trace_table *trace; /* shared by the trials; NULL: each reads its file */
    struct size_traffic *traffic; /* by seed */
    struct unit *units;           /* candidates, then the headroom of the chosen one */
    unsigned unit_count, trials;
    int64_t first_run, stride;
    bool headroom, done, failed;
    struct rt_size_row *rows;
    struct rt_size_result result;
};

/* Rows, the cheapest, what is next to it; as far as the searches are. */
void size_conclude(struct rt_size *s);

#endif
