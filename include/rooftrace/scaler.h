/* fleet/scaler.h: how many replicas a pool should have. A policy sees a read-only view once an
 * interval and answers a number; limits, stabilisation and what is started or drained are the
 * supply's work (supply.h). A new one touches two places: its code and the table in scaler.c (a
 * test may also put one of its own into rt_scaling_spec.policy). O(1) a tick. */
#ifndef RT_SCALER_H
#define RT_SCALER_H

#include "rooftrace/err.h"

#include <stddef.h>
#include <stdint.h>

/* key in the scenario, smallest, largest, default (< 0: must be given) */
/* clang-format off */
#define RT_SCALER_PARAMS(X)                                                                        \
    X(INTERVAL, "interval_s", 1e-3, 86400, 15)            /* between two looks */                  \
    X(UP_WINDOW, "scale_up_window_s", 0, 86400, 0)        /* least wanted in it counts */          \
    X(DOWN_WINDOW, "scale_down_window_s", 0, 86400, 300)  /* most wanted in it counts */           \
    X(TOLERANCE, "tolerance", 0, 1, 0.1)                  /* of the ratio to the target */         \
    X(TARGET_REQUESTS, "target_requests", 1e-3, 1e6, -1)  /* in flight, a replica */               \
    X(TARGET_SHARE, "target_share", 1e-3, 1, -1)                                                   \
    X(REQUESTS_PER_S, "requests_per_s", 1e-9, 1e9, -1)    /* that a replica serves */              \
    X(SEASON, "season_s", 0, 31622400, 0)                 /* period of the load; 0: none */        \
    X(PERIOD, "period_s", 0, 31622400, 0)                 /* of the schedule; 0: once */
/* clang-format on */

enum rt_scaler_param {
#define X(name, key, low, high, otherwise) RT_SCALER_##name,
    RT_SCALER_PARAMS(X)
#undef X
        RT_SCALER_PARAM_COUNT
};

struct rt_scaler_param_info {
    const char *key;
    double low, high, otherwise;
};
extern const struct rt_scaler_param_info rt_scaler_params[RT_SCALER_PARAM_COUNT];

struct rt_scaler_view { /* of one pool, at a tick */
    double interval_s;  /* since the tick before */
    double startup_s;   /* until a replica that is started now is ready */
    int64_t current;    /* ready and starting */
    int64_t ready;      /* of them */
    int64_t requests;   /* in flight on the ready ones */
    int64_t held;       /* requests that wait for a replica to come */
    uint64_t arrivals;  /* since the tick before */
    double busy_share;  /* of the time since then steps ran, mean of the ready ones */
    double kv_share;    /* of their KV blocks in use now */
};

struct rt_scaler_policy {
    const char *name, *help;
    unsigned params;    /* 1 << enum rt_scaler_param: those it has */
    bool ticks;         /* it is asked every interval; else only its schedule counts */
    bool has_schedule;  /* the key `steps` */
    size_t state_bytes; /* zeroed by the supply, passed back as state */
    bool (*init)(void *state, const double *params); /* or NULL; false: out of memory */
    void (*release)(void *state);                    /* or NULL */
    /* Limits are applied afterwards. NULL: `replicas` of the pool, or the schedule. */
    int64_t (*wanted)(void *state, const double *params, const struct rt_scaler_view *view);
};

unsigned rt_scaler_count(void);
const struct rt_scaler_policy *rt_scaler_at(unsigned i);

/* For policies: the fewest replicas with at most `each` of the total; what differs from `current`
 * by no more than the tolerance changes nothing. As Kubernetes' HorizontalPodAutoscaler. */
int64_t rt_scaler_spread(double total, double each, double tolerance, int64_t current);

#endif
