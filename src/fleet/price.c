/* What GPUs cost and draw: the scenario's keys of money and power, over the GPU records.
 *
 *     pools[].price_usd_per_gpu_hour            the user's own number, or
 *     pools[].pricing + price_bound             one of the catalogue's dated prices
 *     pools[].power over power over the record  watts, idle and busy
 *
 * A price nobody knows is no error, costs are NULL then; one that is asked for by name and not
 * known is. Prices are of physical GPUs: what a provider's instance holds beside them is not
 * counted. O(pools). */
#include "rooftrace/price.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/gpu.h"

#include <math.h>

#define MAX_USD  1e6
#define MIN_WATT 1e-3
#define MAX_WATT 1e6
#define MAX_PUE  10.0
#define MAX_GCO2 1e5
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const char *const rt_price_bound_names[RT_PRICE_BOUND_COUNT] = {"typical", "low", "high"};

static bool is_there(const struct rt_json_at *at, const char *key)
{
    struct rt_json_at place = rt_json_get(at, key);

    return rt_json_kind(&place) != RT_JSON_ABSENT;
}

/* The catalogue's price; what else was seen widens it to both sides. */
static void take_listed(const struct rt_gpu *gpu, struct rt_pool_price *p)
{
    const struct rt_price *listed = &gpu->price[p->pricing];

    p->known = listed->usd_per_h > 0;
    if (!p->known)
        return;
    p->low = listed->low > 0 ? fmin(listed->low, listed->usd_per_h) : listed->usd_per_h;
    p->high = fmax(listed->high, listed->usd_per_h);
    p->usd_per_gpu_h = p->bound == RT_PRICE_LOW    ? p->low
                       : p->bound == RT_PRICE_HIGH ? p->high
                                                   : listed->usd_per_h;
}

static bool parse_listed(const struct rt_json_at *at, const struct rt_gpu *gpu,
                         struct rt_pool_price *p, struct rt_err *err)
{
    struct rt_json_at place = rt_json_get(at, is_there(at, "pricing") ? "pricing" : "price_bound");
    unsigned pricing = RT_ON_DEMAND, bound = RT_PRICE_TYPICAL;

    if (!rt_json_choice(at, "pricing", rt_pricing_names, RT_PRICING_COUNT, &pricing, err) ||
        !rt_json_choice(at, "price_bound", rt_price_bound_names, RT_PRICE_BOUND_COUNT, &bound, err))
        return false;
    p->pricing = (enum rt_pricing)pricing;
    p->bound = (enum rt_price_bound)bound;
    take_listed(gpu, p);
    if (p->known || rt_json_kind(&place) == RT_JSON_ABSENT)
        return true;
    return rt_json_fail(&place, err,
                        "no %s price of %s is known: expected price_usd_per_gpu_hour instead",
                        rt_pricing_names[pricing], gpu->name);
}

static bool parse_price(const struct rt_json_at *at, const struct rt_gpu *gpu,
                        struct rt_pool_price *p, struct rt_err *err)
{
    static const char own[] = "price_usd_per_gpu_hour";
    struct rt_json_at place = rt_json_get(at, own);

    *p = (struct rt_pool_price){.known = false};
    if (!is_there(at, own))
        return parse_listed(at, gpu, p, err);
    if (is_there(at, "pricing") || is_there(at, "price_bound"))
        return rt_json_fail(&place, err, "expected a price or pricing and price_bound, read both");
    if (!rt_json_double(at, own, 0, MAX_USD, &p->usd_per_gpu_h, err))
        return false;
    p->known = p->own = true;
    p->low = p->high = p->usd_per_gpu_h;
    return true;
}

static bool parse_watts(const struct rt_json_at *at, struct rt_pool_power *p, struct rt_err *err)
{
    struct rt_json_at idle = rt_json_get(at, "idle_w");

    if (!rt_json_double(at, "idle_w", MIN_WATT, MAX_WATT, &p->idle_w, err) ||
        !rt_json_double(at, "busy_w", MIN_WATT, MAX_WATT, &p->busy_w, err))
        return false;
    return p->idle_w <= 0 || p->busy_w <= 0 || p->idle_w <= p->busy_w ||
           rt_json_fail(idle.node != NULL ? &idle : at, err,
                        "expected at most the busy power, %g W, read %g W", p->busy_w, p->idle_w);
}

/* Own watts over those for all, over the record's. */
static bool parse_pool_power(const struct rt_json_at *pool, const struct rt_gpu *gpu,
                             const struct rt_pool_power *all, struct rt_pool_power *p,
                             struct rt_err *err)
{
    static const char *const keys[] = {"idle_w", "busy_w"};
    struct rt_json_at at = rt_json_get(pool, "power");

    p->idle_w = all->idle_w > 0 ? all->idle_w : gpu->idle_w;
    p->busy_w = all->busy_w > 0 ? all->busy_w : gpu->tdp_w;
    if (at.node == NULL) /* also when the record and the scenario do not agree */
        return parse_watts(pool, p, err);
    return rt_json_expect(&at, RT_JSON_OBJECT, err) && rt_json_only(&at, keys, COUNT(keys), err) &&
           parse_watts(&at, p, err);
}

static bool parse_power(const struct rt_json_at *root, struct rt_power *p, struct rt_err *err)
{
    static const char *const keys[] = {"idle_w", "busy_w", "pue", "gco2_per_kwh"};
    struct rt_json_at at = rt_json_get(root, "power");

    if (at.node == NULL)
        return true;
    if (!rt_json_expect(&at, RT_JSON_OBJECT, err) || !rt_json_only(&at, keys, COUNT(keys), err) ||
        !parse_watts(&at, &p->of_gpu, err) ||
        !rt_json_double(&at, "pue", 1, MAX_PUE, &p->pue, err) ||
        !rt_json_double(&at, "gco2_per_kwh", 0, MAX_GCO2, &p->gco2_per_kwh, err))
        return false;
    p->has_gco2 = is_there(&at, "gco2_per_kwh");
    return true;
}

bool rt_fleet_price_parse(const struct rt_json_at *root, struct rt_fleet_spec *s,
                          struct rt_err *err)
{
    struct rt_json_at pools = rt_json_get(root, "pools");

    if (!parse_power(root, &s->power, err))
        return false;
    for (uint32_t i = 0; i < s->pool_count; i++) {
        struct rt_pool_spec *pool = &s->pools[i];
        struct rt_json_at at = rt_json_item(&pools, (int)i);
        if (!parse_price(&at, &pool->gpu, &pool->price, err) ||
            !parse_pool_power(&at, &pool->gpu, &s->power.of_gpu, &pool->power, err))
            return false;
    }
    return true;
}
