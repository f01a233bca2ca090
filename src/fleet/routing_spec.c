/* The scenario's keys `router`, `router_view_interval_s`, `router_weights` and `admission`.
 *
 *     "router": "weighted",
 *     "router_view_interval_s": 0.1,
 *     "router_weights": {"outstanding": 1, "kv": 1, "prefix": 2},
 *     "admission": {"requests_per_s": 50, "burst_requests": 100, "queue_limit": 200,
 *                   "shed_late": true}
 *
 * A bucket without a depth holds a second's worth, at least one unit. */
#include "fleet_internal.h"

#include <assert.h>

#define MAX_ROUTERS    64u
#define MAX_INTERVAL_S 86400.0
#define MIN_INTERVAL_S 1e-6
#define MAX_WEIGHT     1e6
#define MIN_RATE       1e-6
#define MAX_RATE       1e9
#define MAX_QUEUE      INT64_C(1000000000)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const weight_keys[] = {"outstanding", "waiting", "tokens", "kv", "prefix"};
static const char *const admission_keys[] = {
    "requests_per_s",      "burst_requests", "prompt_tokens_per_s",
    "burst_prompt_tokens", "queue_limit",    "shed_late",
};

void routing_spec_init(struct rt_fleet_spec *s)
{
    s->router = rt_router_default();
    s->weights = (struct rt_router_weights){.outstanding = 1, .kv = 1, .prefix = 1};
}

bool routing_parse_router(const struct rt_json_at *root, const char *key,
                          const struct rt_router_policy **router, struct rt_err *err)
{
    const char *names[MAX_ROUTERS];
    unsigned count = rt_router_count(), chosen = count;

    assert(count <= MAX_ROUTERS);
    for (unsigned i = 0; i < count; i++)
        names[i] = rt_router_at(i)->name;
    if (!rt_json_choice(root, key, names, count, &chosen, err))
        return false;
    if (chosen < count)
        *router = rt_router_at(chosen);
    return true;
}

/* 0 is "always current", anything else an interval. */
static bool parse_interval(const struct rt_json_at *root, double *interval_s, struct rt_err *err)
{
    struct rt_json_at at = rt_json_get(root, "router_view_interval_s");

    if (!rt_json_double(root, "router_view_interval_s", 0, MAX_INTERVAL_S, interval_s, err))
        return false;
    if (*interval_s > 0 && *interval_s < MIN_INTERVAL_S)
        return rt_json_fail(&at, err, "expected 0, or %g to %g, read %g", MIN_INTERVAL_S,
                            MAX_INTERVAL_S, *interval_s);
    return true;
}

/* What is not named weighs nothing. */
static bool parse_weights(const struct rt_json_at *root, struct rt_router_weights *w,
                          struct rt_err *err)
{
    struct rt_json_at at = rt_json_get(root, "router_weights");
    double *const places[] = {&w->outstanding, &w->waiting, &w->tokens, &w->kv, &w->prefix};
    double sum = 0;

    if (at.node == NULL)
        return true;
    *w = (struct rt_router_weights){0};
    if (!rt_json_expect(&at, RT_JSON_OBJECT, err) ||
        !rt_json_only(&at, weight_keys, COUNT(weight_keys), err))
        return false;
    for (unsigned i = 0; i < COUNT(places); i++) {
        if (!rt_json_double(&at, weight_keys[i], 0, MAX_WEIGHT, places[i], err))
            return false;
        sum += *places[i];
    }
    return sum > 0 || rt_json_fail(&at, err, "expected at least one weight above 0");
}

/* Rate and depth of one bucket. */
static bool parse_bucket(const struct rt_json_at *at, const char *rate_key, const char *depth_key,
                         double *rate, double *depth, struct rt_err *err)
{
    struct rt_json_at alone = rt_json_get(at, depth_key);

    if (!rt_json_double(at, rate_key, MIN_RATE, MAX_RATE, rate, err))
        return false;
    if (*rate <= 0)
        return alone.node == NULL || rt_json_fail(&alone, err, "needs %s", rate_key);
    *depth = *rate > 1 ? *rate : 1;
    return rt_json_double(at, depth_key, 1, MAX_RATE, depth, err);
}

static bool parse_admission(const struct rt_json_at *root, struct rt_admission_spec *a,
                            struct rt_err *err)
{
    struct rt_json_at at = rt_json_get(root, "admission");

    if (at.node == NULL)
        return true;
    return rt_json_expect(&at, RT_JSON_OBJECT, err) &&
           rt_json_only(&at, admission_keys, COUNT(admission_keys), err) &&
           parse_bucket(&at, "requests_per_s", "burst_requests", &a->requests_per_s,
                        &a->burst_requests, err) &&
           parse_bucket(&at, "prompt_tokens_per_s", "burst_prompt_tokens", &a->prompt_tokens_per_s,
                        &a->burst_prompt_tokens, err) &&
           rt_json_int(&at, "queue_limit", 1, MAX_QUEUE, &a->queue_limit, err) &&
           rt_json_bool(&at, "shed_late", &a->shed_late, err);
}

bool routing_spec_parse(const struct rt_json_at *root, struct rt_fleet_spec *s, struct rt_err *err)
{
    return routing_parse_router(root, "router", &s->router, err) &&
           parse_interval(root, &s->router_view_interval_s, err) &&
           parse_weights(root, &s->weights, err) && parse_admission(root, &s->admission, err);
}
