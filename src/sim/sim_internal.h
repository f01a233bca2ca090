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

#endif
