/* fleet/price.h: what the GPUs of pools cost an hour and what they draw: the scenario's keys of
 * money and power, over the records of the GPUs. Units: USD an hour, watts. */
#ifndef RT_PRICE_H
#define RT_PRICE_H

#include "rooftrace/err.h"
#include "rooftrace/gpu.h"
#include "rooftrace/json.h"

#include <stdbool.h>

/* Which price of the catalogue counts; the others say how far off it may be. */
enum rt_price_bound { RT_PRICE_TYPICAL, RT_PRICE_LOW, RT_PRICE_HIGH, RT_PRICE_BOUND_COUNT };
extern const char *const rt_price_bound_names[RT_PRICE_BOUND_COUNT]; /* "typical", "low", "high" */

/* What a physical GPU of a pool costs an hour. Scenario: pools[].price_usd_per_gpu_hour, or
 * pools[].pricing and price_bound. */
struct rt_pool_price {
    bool known; /* false: no price is known, and nothing below is meant */
    bool own;   /* the scenario's number, not the catalogue's */
    enum rt_pricing pricing;
    enum rt_price_bound bound;
    double usd_per_gpu_h, low, high; /* low <= usd_per_gpu_h <= high */
};

/* Watts of one GPU, 0: not known. busy_w: by default the board power, so energy is an upper bound.
 */
struct rt_pool_power {
    double idle_w, busy_w;
};

struct rt_power {                /* scenario: power */
    struct rt_pool_power of_gpu; /* for pools that say nothing */
    double pue;                  /* of the building: energy drawn / energy of the GPUs, >= 1 */
    double gco2_per_kwh;         /* of the grid */
    bool has_gco2;
};

struct rt_fleet_spec; /* fleet_spec.h */

/* Reads the keys `power`, `pools[].power` and those of struct rt_pool_price over *s, whose pools
 * have their GPUs. RT_ECONFIG also for a price that is asked for by name and not known. O(pools).
 */
bool rt_fleet_price_parse(const struct rt_json_at *root, struct rt_fleet_spec *s,
                          struct rt_err *err) RT_MUST_USE;

#endif
