/* sim/scenario.h: everything one trial needs, as a scenario file or options say it. Immutable once
 * resolved; may be shared by threads. Keys: schemas/scenario.schema.json. Relative paths resolve
 * against the file that names them. */
#ifndef RT_SCENARIO_H
#define RT_SCENARIO_H

#include "rooftrace/err.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/gpu.h"
#include "rooftrace/json.h"
#include "rooftrace/model.h"
#include "rooftrace/workload.h"

#include <stdbool.h>
#include <stdint.h>

struct rt_catalog; /* catalog.h */

struct rt_slo { /* NaN = not asked for */
    double ttft_s, tpot_s, e2e_s;
};

struct rt_patience {      /* how long clients wait for all of an answer */
    double timeout_s;     /* since arrival: status timeout; 0: for ever */
    double cancel_share;  /* of the requests are cancelled by their users, if not done, */
    double cancel_mean_s; /* after a time since arrival with an exponential distribution */
};

struct rt_class_spec {           /* a traffic class of the trace */
    char *name;                  /* owned */
    int64_t priority;            /* of its requests that give none themselves; fits 32 bits */
    double deadline_s;           /* likewise; 0: none */
    struct rt_patience patience; /* what the class does not say is the scenario's */
    struct rt_slo slo;           /* likewise */
};

struct rt_scenario {
    struct rt_workload_spec workload;
    struct rt_fleet_spec fleet;
    struct rt_slo slo;
    struct rt_class_spec *classes; /* owned */
    uint32_t class_count;
    double sample_interval_s; /* > 0; 1 */
    double measure_s[2];      /* [from, to): requests that arrive then are the measured window */
    bool has_measure;
    struct rt_patience patience;
    double frontend_s; /* HTTP and tokeniser time, added to TTFT and E2E; 0 */
    uint64_t seed;
    bool coast; /* true; false steps one by one, for comparison */
};

/* The objectives of a class, whole: its own, else the scenario's. NULL: of no class. */
struct rt_slo rt_scenario_slo(const struct rt_scenario *s, const struct rt_class_spec *c);
/* The class of that name; NULL: none. O(classes). */
const struct rt_class_spec *rt_scenario_class(const struct rt_scenario *s, const char *name);
/* Defaults; no trace and no pool yet. Allocates nothing. */
void rt_scenario_init(struct rt_scenario *s);
void rt_scenario_release(struct rt_scenario *s);
/* Reads a whole scenario document into *out, initialised here. The catalogue resolves names of
 * models and GPUs; defaults that depend on them are resolved too. After a failure *out is as after
 * rt_scenario_init. */
bool rt_scenario_parse(const struct rt_json_at *root, const struct rt_catalog *catalog,
                       struct rt_scenario *out, struct rt_err *err) RT_MUST_USE;
/* The scenario fully resolved, as JSON text that rt_scenario_parse reads back to the same scenario.
 * malloc'ed, caller frees; NULL: out of memory. */
char *rt_scenario_print(const struct rt_scenario *s) RT_MUST_USE;
/* A text that two scenarios have in common exactly when they print alike; quicker to make, for
 * comparing only. */
char *rt_scenario_identity(const struct rt_scenario *s) RT_MUST_USE;
/* One record likewise, complete: rt_catalog_gpu_from, rt_catalog_model_from read the same values.
 */
char *rt_gpu_print(const struct rt_gpu *g) RT_MUST_USE;
char *rt_model_print(const struct rt_model *m) RT_MUST_USE;

#endif
