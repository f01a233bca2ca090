/* Distributions of a plan's random keys, each an object of one key:
 *
 *     {"uniform": [1, 3]}  {"log_uniform": [0.1, 10]}  {"integer": [1, 8]}  {"choice": ["a", "b"]}
 *
 * uniform is in [low, high); log_uniform draws the logarithm so; integer includes both ends; choice
 * takes any values, each with the same chance. One draw of the stream a key, except that integer
 * and choice may reject some. Failure: RT_ECONFIG with the JSON path. */
#include "plan_internal.h"

#include <assert.h>
#include <math.h>

#define MAX_INTEGER 9007199254740992.0 /* 2^53: what JSON carries exactly */

enum { UNIFORM, LOG_UNIFORM, INTEGER, CHOICE, KINDS };
static const char *const kinds[KINDS] = {"uniform", "log_uniform", "integer", "choice"};

/* The one member that is no remark, and which distribution it is; KINDS: none or several. */
static unsigned kind_of(const struct rt_json_at *at, struct rt_json_at *value)
{
    unsigned found = KINDS, count = 0;

    for (unsigned k = 0; k < KINDS; k++) {
        struct rt_json_at member = rt_json_get(at, kinds[k]);
        if (member.node == NULL)
            continue;
        *value = member;
        found = k;
        count++;
    }
    return count == 1 ? found : KINDS;
}

static bool check_range(const struct rt_json_at *at, unsigned kind, struct rt_err *err)
{
    struct rt_json_at low = rt_json_item(at, 0), high = rt_json_item(at, 1);
    double min = -HUGE_VAL, max = HUGE_VAL, a = 0, b = 0;

    if (!rt_json_expect(at, RT_JSON_ARRAY, err))
        return false;
    if (rt_json_count(at) != 2)
        return rt_json_fail(at, err, "expected [low, high], read %d elements", rt_json_count(at));
    if (kind == INTEGER) {
        min = -MAX_INTEGER;
        max = MAX_INTEGER;
    }
    if (!rt_json_number(&low, min, max, &a, err) || !rt_json_number(&high, min, max, &b, err))
        return false;
    if (kind == LOG_UNIFORM && !(a > 0))
        return rt_json_fail(&low, err, "expected a number above 0, read %g", a);
    if (kind == INTEGER && (a != floor(a) || b != floor(b)))
        return rt_json_fail(at, err, "expected two integers, read %g and %g", a, b);
    if (!isfinite(b - a)) /* their difference is drawn from */
        return rt_json_fail(at, err, "expected numbers closer to each other");
    return (kind == INTEGER ? a <= b : a < b) ||
           rt_json_fail(at, err, "expected low < high, read %g and %g", a, b);
}

bool rt_plan_distribution_check(const struct rt_json_at *at, struct rt_err *err)
{
    struct rt_json_at value = {0};

    if (!rt_json_expect(at, RT_JSON_OBJECT, err) || !rt_json_only(at, kinds, KINDS, err))
        return false;
    unsigned kind = kind_of(at, &value);
    if (kind == KINDS)
        return rt_json_fail(at, err, "expected one of uniform, log_uniform, integer, choice");
    if (kind != CHOICE)
        return check_range(&value, kind, err);
    if (!rt_json_expect(&value, RT_JSON_ARRAY, err))
        return false;
    return rt_json_count(&value) > 0 || rt_json_fail(&value, err, "expected at least one value");
}

static double draw_number(unsigned kind, double low, double high, struct rt_rng *rng)
{
    if (kind == INTEGER)
        return low + (double)rt_rng_below(rng, (uint64_t)(high - low) + 1);
    double u = rt_rng_unit(rng);
    if (kind == LOG_UNIFORM)
        return low * exp(u * log(high / low));
    return low + (high - low) * u;
}

cJSON *rt_plan_distribution_draw(const struct rt_json_at *at, struct rt_rng *rng)
{
    struct rt_json_at value = {0};
    unsigned kind = kind_of(at, &value);

    assert(kind != KINDS && "the distribution was checked");
    if (kind == CHOICE) {
        uint64_t i = rt_rng_below(rng, (uint64_t)rt_json_count(&value));
        return cJSON_Duplicate(rt_json_item(&value, (int)i).node, true);
    }
    double low = rt_json_item(&value, 0).node->valuedouble;
    double high = rt_json_item(&value, 1).node->valuedouble;
    return cJSON_CreateNumber(draw_number(kind, low, high, rng));
}
