/* Policies that keep a figure at a target, as Kubernetes' HorizontalPodAutoscaler does:
 *
 *     queue_depth   requests in flight, waiting ones and held ones included, per replica
 *                   (AverageValue): ceil(requests / target)
 *     utilisation   share of the time in which steps run, mean of the replicas
 *     kv_use        share of KV blocks in use
 *                   (Utilization): ceil(ready * share / target)
 *
 * A ratio to the target within the tolerance changes nothing. The two shares say nothing while no
 * replica is ready: what is there, or starts, stays. O(1). */
#include "supply_internal.h"

#define WINDOWS                                                                                    \
    (1u << RT_SCALER_INTERVAL | 1u << RT_SCALER_UP_WINDOW | 1u << RT_SCALER_DOWN_WINDOW |          \
     1u << RT_SCALER_TOLERANCE)

static int64_t wanted_by_requests(void *state, const double *params, const struct rt_scaler_view *v)
{
    (void)state;
    return rt_scaler_spread((double)(v->requests + v->held), params[RT_SCALER_TARGET_REQUESTS],
                            params[RT_SCALER_TOLERANCE], v->current);
}

static int64_t wanted_by_share(const double *params, const struct rt_scaler_view *v, double share)
{
    if (v->ready == 0)
        return v->current;
    int64_t wanted = rt_scaler_spread(share * (double)v->ready, params[RT_SCALER_TARGET_SHARE],
                                      params[RT_SCALER_TOLERANCE], v->ready);
    /* Those that start are not measured yet: they are enough, or the figure asks for more. */
    return wanted >= v->ready && wanted < v->current ? v->current : wanted;
}

static int64_t wanted_by_use(void *state, const double *params, const struct rt_scaler_view *v)
{
    (void)state;
    return wanted_by_share(params, v, v->busy_share);
}

static int64_t wanted_by_kv(void *state, const double *params, const struct rt_scaler_view *v)
{
    (void)state;
    return wanted_by_share(params, v, v->kv_share);
}

const struct rt_scaler_policy scaler_queue_depth = {
    .name = "queue_depth",
    .help = "so many that each has target_requests in flight",
    .params = WINDOWS | 1u << RT_SCALER_TARGET_REQUESTS,
    .ticks = true,
    .wanted = wanted_by_requests,
};

const struct rt_scaler_policy scaler_utilisation = {
    .name = "utilisation",
    .help = "so many that steps run for target_share of the time",
    .params = WINDOWS | 1u << RT_SCALER_TARGET_SHARE,
    .ticks = true,
    .wanted = wanted_by_use,
};

const struct rt_scaler_policy scaler_kv_use = {
    .name = "kv_use",
    .help = "so many that target_share of the KV blocks is in use",
    .params = WINDOWS | 1u << RT_SCALER_TARGET_SHARE,
    .ticks = true,
    .wanted = wanted_by_kv,
};
