/* The one list of scaling policies, and what they share. A new one: its function and a line in the
 * table; help texts, errors and the invariants test read the table. O(1) a tick. */
#include "supply_internal.h"

#include <math.h>

const struct rt_scaler_param_info rt_scaler_params[RT_SCALER_PARAM_COUNT] = {
#define X(name, key, low, high, otherwise) {key, low, high, otherwise},
    RT_SCALER_PARAMS(X)
#undef X
};

#define MAX_WANTED 1e6

int64_t rt_scaler_spread(double total, double each, double tolerance, int64_t current)
{
    double ratio = total / each / (double)current; /* not a number or infinite for current = 0 */
    if (current > 0 && fabs(ratio - 1) <= tolerance)
        return current;
    return (int64_t)fmin(ceil(total / each), MAX_WANTED);
}

static const struct rt_scaler_policy fixed = {
    .name = "fixed",
    .help = "`replicas`; spare slots up to max_replicas stand in for those that are gone",
};

static const struct rt_scaler_policy schedule = {
    .name = "schedule",
    .help = "as many as the step of the schedule says, once or every period_s",
    .params = 1u << RT_SCALER_PERIOD,
    .has_schedule = true,
};

static const struct rt_scaler_policy *const scalers[] = {
    &fixed, &schedule, &scaler_queue_depth, &scaler_utilisation, &scaler_kv_use, &scaler_predictive,
};

unsigned rt_scaler_count(void)
{
    return sizeof scalers / sizeof scalers[0];
}

const struct rt_scaler_policy *rt_scaler_at(unsigned i)
{
    return scalers[i];
}
