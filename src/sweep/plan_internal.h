/* plan_internal.h: what the files of a sweep's plan share. */
#ifndef RT_PLAN_INTERNAL_H
#define RT_PLAN_INTERNAL_H

#include "rooftrace/json.h"
#include "rooftrace/plan.h"
#include "rooftrace/rng.h"

#include <cjson/cJSON.h>

/* ---- plan_path.c: "pools[0].engine.max_num_seqs" */

/* Is it a path? The message says what is wrong with it. */
bool rt_plan_path_check(const char *path, struct rt_err *err) RT_MUST_USE;
/* Puts a copy of the value there; null takes the key away. Objects on the way are made where they
 * are missing, elements of arrays are not. RT_ECONFIG names the step that does not exist. */
bool rt_plan_path_set(cJSON *root, const char *path, const cJSON *value,
                      struct rt_err *err) RT_MUST_USE;

/* ---- plan_random.c: {"uniform": [1, 3]} and the like */

bool rt_plan_distribution_check(const struct rt_json_at *at, struct rt_err *err) RT_MUST_USE;
/* A number or, from "choice", a copy of the value; the caller deletes it. NULL: out of memory. */
cJSON *rt_plan_distribution_draw(const struct rt_json_at *at, struct rt_rng *rng) RT_MUST_USE;

struct rt_plan {
    const struct rt_catalog *catalog;
    struct rt_json *doc, *scenario_doc; /* the second: NULL where the plan holds the scenario */
    char *scenario_name;                /* stands for the scenario's file in messages */
    struct rt_json_at root, scenario, list, grid, random, random_keys, seeds;
    const char *keys[RT_PLAN_MAX_KEYS]; /* owned by the document, but for "seed" */
    unsigned key_count;
    int64_t repeats, draws, draw_seed;
    int64_t list_count, grid_count, seed_count, trials; /* each at least 1 */
    char hash[17];
};

/* ---- plan_read.c */

/* Reads p->doc into the rest, which is zero but for the counts of 1. */
bool rt_plan_read(struct rt_plan *p, struct rt_err *err) RT_MUST_USE;

/* ---- plan_trial.c */

/* "plan.json: trial 3 {"pools[0].replicas":2}: " in front of the message. */
bool rt_plan_fail_in_trial(const struct rt_plan *p, int64_t trial, const char *varied,
                           struct rt_err *err);

/* A member that begins with "$" is a remark. */
static inline bool rt_plan_is_remark(const struct rt_json_at *member)
{
    return member->key[0] == '$';
}

#endif
