/* A run between begin and end, as its caller knows it: names of its pools and classes, and which
 * rows are written. The writer's thread reads what was there when a list of rows was queued
 * (names.c). Out of memory: NULL or false. O(1) a row. */
#include "results_internal.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/rng.h"

#include <stdlib.h>
#include <string.h>

void rt_open_run_free(struct rt_open_run *run)
{
    if (!run)
        return;
    rt_class_names_release(&run->classes);
    free(run->pools);
    free(run);
}

struct rt_open_run *rt_open_run_new(const struct rt_run_start *start)
{
    struct rt_open_run *run = calloc(1, sizeof *run);

    if (!run)
        return NULL;
    run->source = start->source;
    run->no_requests = start->no_requests;
    run->sample_requests = start->sample_requests;
    run->seed = start->scenario->seed;
    run->pool_count = start->pool_count;
    run->pools = calloc(start->pool_count + 1u, sizeof run->pools[0]);
    if (!run->pools) {
        rt_open_run_free(run);
        return NULL;
    }
    for (uint32_t i = 0; i < start->pool_count; i++) {
        const struct rt_run_pool *pool = &start->pools[i];
        memcpy(run->pools[i].name, pool->spec->name, sizeof run->pools[i].name);
        run->pools[i].first_replica = pool->plan.first_replica;
        run->pools[i].replicas = pool->plan.replicas;
    }
    return run;
}

bool rt_open_run_know_class(struct rt_open_run *run, uint32_t name)
{
    return name == RT_NO_NAME || rt_class_names_get(&run->classes, name) ||
           rt_class_names_put(&run->classes, name, rt_source_name(run->source, name));
}

/* Drops rows that are not in the sample. It depends on seed and id only: the same requests in every
 * run of a trace, and those of a smaller share are among those of a larger one. */
static void keep_sample(const struct rt_open_run *run, struct rt_finished_list *rows)
{
    size_t kept = 0;

    for (size_t i = 0; i < rows->count; i++) {
        struct rt_rng draw;
        rt_rng_init(&draw, run->seed, RT_RNG_SAMPLING, rows->rows[i].id);
        if (rt_rng_unit(&draw) < run->sample_requests)
            rows->rows[kept++] = rows->rows[i];
    }
    rows->count = kept;
}

bool rt_open_run_take(struct rt_open_run *run, struct rt_finished_list *rows)
{
    for (size_t i = 0; i < rows->count; i++)
        if (!rt_open_run_know_class(run, rows->rows[i].class_name))
            return false;
    if (run->no_requests)
        rt_finished_list_reset(rows);
    else if (run->sample_requests > 0)
        keep_sample(run, rows);
    return true;
}
