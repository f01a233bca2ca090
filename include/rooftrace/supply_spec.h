/* fleet/supply_spec.h: what a scenario says of replicas that come and go (pools[].scaling, startup,
 * failures, drain_timeout_s), parsed and checked by fleet/supply_spec.c; supply.h does it. */
#ifndef RT_SUPPLY_SPEC_H
#define RT_SUPPLY_SPEC_H

#include "rooftrace/scaler.h"

#include <stdbool.h>
#include <stdint.h>

struct rt_pool_spec; /* fleet_spec.h */

struct rt_schedule_step { /* from at_s on so many */
    double at_s;
    int64_t replicas;
};

struct rt_scaling_spec { /* scenario: pools[].scaling */
    const struct rt_scaler_policy *policy;
    int64_t min_replicas, max_replicas;
    double params[RT_SCALER_PARAM_COUNT];
    struct rt_schedule_step *steps; /* owned; ascending */
    uint32_t step_count;
};

struct rt_lifetime { /* Weibull; shape 1 is the exponential distribution */
    double mean_s;   /* 0: never */
    double shape;
};

struct rt_outage {      /* of one replica, as a script has it */
    int64_t replica;    /* in the pool, from 0 */
    double at_s, for_s; /* INFINITY: for good */
    double notice_s;    /* it drains that long before */
};

struct rt_maintenance { /* rolling: one replica after the other */
    bool wanted;
    double start_s, every_s; /* 0: once */
    double down_s;           /* of each, once it is empty */
    int64_t at_once;
};

struct rt_spot {
    struct rt_lifetime reclaim; /* until it is reclaimed: from the notice on it drains */
    double notice_s;
    struct rt_lifetime back; /* until another machine is there */
};

struct rt_failure_spec { /* scenario: pools[].failures */
    struct rt_lifetime crash, repair;
    struct rt_outage *outages; /* owned; by (replica, time), none overlap */
    uint32_t outage_count;
    int64_t down; /* of its replicas are down from the beginning to the end */
    struct rt_maintenance maintenance;
    struct rt_spot spot;
};

struct rt_supply_spec { /* of a pool */
    bool scales;        /* scaling counts */
    bool fails;         /* failures counts */
    struct rt_scaling_spec scaling;
    struct rt_failure_spec failures;
    double provision_s;     /* until a machine is there */
    double load_s;          /* and until it has loaded the weights */
    double load_gb_per_s;   /* load_s comes from */
    double drain_timeout_s; /* what still runs then is cut off; 0: it is waited for */
};

/* Replicas that a pool can have at the same time. */
int64_t rt_pool_slots(const struct rt_pool_spec *pool);
/* Replicas of them that are down from the beginning to the end. */
int64_t rt_pool_down(const struct rt_pool_spec *pool);

#endif
