/* sweep/plan.h: a sweep's plan: one scenario, and what its trials change in it.
 *
 *     { "scenario": "base.json",
 *       "list":   [ {"pools[0].gpu": "h100-sxm"}, {"pools[0].gpu": "l40s", "pools[0].replicas": 4}
 * ], "grid":   { "workload.rate_scale": [1, 2, 3], "pools[0].engine.max_num_seqs": [64, 256] },
 *       "random": { "count": 20, "seed": 1, "keys": { "slo.ttft_s": {"uniform": [0.2, 2]} } },
 *       "repeats": 3 }
 *
 * Every entry of the list meets every point of the grid, every random draw and every seed; what is
 * not given counts as one. Trials are numbered from 1, seeds fastest, then draws, then the grid
 * (its last key fastest), the list slowest. Docs: docs/sweep.md, schemas/sweep.schema.json. For one
 * thread at a time (cJSON keeps its last error in a global). */
#ifndef RT_PLAN_H
#define RT_PLAN_H

#include "rooftrace/scenario.h"

#define RT_PLAN_MAX_TRIALS 100000
#define RT_PLAN_MAX_KEYS   256

struct rt_plan;

/* Reads the plan and resolves every trial once: an error names file, trial and JSON path. Uses the
 * catalogue until rt_plan_free. O(trials * scenario). */
bool rt_plan_load(const char *path, const struct rt_catalog *catalog, struct rt_plan **out,
                  struct rt_err *err) RT_MUST_USE;
void rt_plan_free(struct rt_plan *p);
int64_t rt_plan_trials(const struct rt_plan *p);
/* Trial 1 to rt_plan_trials. *varied: what it changes, a JSON object {"path": value, ...} in the
 * order of rt_plan_key; malloc'ed. The caller releases both. */
bool rt_plan_trial(const struct rt_plan *p, int64_t trial, struct rt_scenario *out, char **varied,
                   struct rt_err *err) RT_MUST_USE;
/* The paths that trials change. A trial of a list may leave some out. */
unsigned rt_plan_key_count(const struct rt_plan *p);
const char *rt_plan_key(const struct rt_plan *p, unsigned i);
/* 16 hexadecimal digits of all resolved scenarios and this version of rooftrace: equal plans have
 * equal results. */
const char *rt_plan_hash(const struct rt_plan *p);

#endif
