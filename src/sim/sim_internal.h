/* sim_internal.h: the inside of the simulation, shared by the files of this folder. */
#ifndef RT_SIM_INTERNAL_H
#define RT_SIM_INTERNAL_H

#include "rooftrace/sim.h"

struct sampler { /* fleet gauges over time, never more than RT_MAX_SAMPLES points */
    struct rt_sample points[RT_MAX_SAMPLES];
    size_t count;
    int64_t interval_ns;
};

void sampler_init(struct sampler *s, double interval_s);
void sampler_add(struct sampler *s, const struct rt_sample *point);

struct class_priorities { /* by the source's index of the class; all 0 at first */
    int64_t *of;
    uint32_t capacity;
};

/* classes.c: the scenario's section `classes` */
struct rt_writer;
bool rt_classes_parse(const struct rt_json_at *root, struct rt_scenario *s,
                      struct rt_err *err) RT_MUST_USE;
void rt_classes_release(struct rt_class_spec *classes, uint32_t count);
void rt_writer_classes(struct rt_writer *w, const struct rt_scenario *s);
/* A request that gives no priority (0) gets that of its class. false: out of memory. */
bool class_priorities_apply(struct class_priorities *p, const struct rt_scenario *s,
                            const struct rt_source *source, struct rt_request *req) RT_MUST_USE;
void class_priorities_release(struct class_priorities *p);

/* scenario_load.c: the keys of the section `workload` that shape a load */
void rt_writer_load(struct rt_writer *w, const struct rt_load_spec *l);

#endif
