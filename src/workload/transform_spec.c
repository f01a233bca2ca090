/* transform_spec.c: the keys of the section `workload` that change requests, as a struct.
 *
 *     "spread_s": 3, "superpose": {"copies": 4, "shift_s": 30}, "prefix_roots": 4,
 *     "keep_share": 0.25, "resample": 1000, "max_gap_s": 60, "prompt_scale": 2,
 *     "max_output_tokens": 4096, "max_context_tokens": 32768, "over_context": "drop"
 *
 * Failure: RT_ECONFIG with the JSON path. O(keys). */
#include "rooftrace/transform.h"

#include "rooftrace/request.h"

#define MAX_EXACT  9007199254740992.0 /* 2^53 */
#define MAX_TOKENS 1099511627776.0    /* RT_MAX_REQUEST_TOKENS */
#define MAX_TIME_S 9e9                /* 285 years: ns still fit in 63 bits */
#define MAX_SCALE  1e6

const char *const rt_over_context_names[RT_CONTEXT_COUNT] = {"cut", "drop", "error"};

#define NUMBER(field, min_, max_, neutral_)                                                        \
    {                                                                                              \
        .name = #field, .whole = false, .offset = offsetof(struct rt_transform_spec, field),       \
        .min = (min_), .max = (max_), .neutral = (neutral_)                                        \
    }
#define WHOLE(field, min_, max_, neutral_)                                                         \
    {                                                                                              \
        .name = #field, .whole = true, .offset = offsetof(struct rt_transform_spec, field),        \
        .min = (min_), .max = (max_), .neutral = (neutral_)                                        \
    }
const struct rt_transform_key rt_transform_keys[] = {
    NUMBER(spread_s, 1e-9, 86400, 0),
    WHOLE(prefix_roots, 1, 1e6, 1),
    NUMBER(keep_share, 1e-9, 1, 1),
    WHOLE(resample, 1, MAX_EXACT, 0),
    NUMBER(max_gap_s, 1e-9, MAX_TIME_S, 0),
    NUMBER(prompt_scale, 1 / MAX_SCALE, MAX_SCALE, 1),
    NUMBER(output_scale, 1 / MAX_SCALE, MAX_SCALE, 1),
    WHOLE(min_prompt_tokens, 1, MAX_TOKENS, 1),
    WHOLE(max_prompt_tokens, 1, MAX_TOKENS, MAX_TOKENS),
    WHOLE(min_output_tokens, 1, MAX_TOKENS, 1),
    WHOLE(max_output_tokens, 1, MAX_TOKENS, MAX_TOKENS),
    WHOLE(max_context_tokens, 2, MAX_TOKENS, 0),
};
const unsigned rt_transform_key_count = sizeof rt_transform_keys / sizeof rt_transform_keys[0];

static const double *number_of(const struct rt_transform_spec *t, const struct rt_transform_key *k)
{
    return (const double *)(const void *)((const char *)t + k->offset);
}

static const int64_t *whole_of(const struct rt_transform_spec *t, const struct rt_transform_key *k)
{
    return (const int64_t *)(const void *)((const char *)t + k->offset);
}

double rt_transform_get(const struct rt_transform_spec *t, const struct rt_transform_key *k)
{
    return k->whole ? (double)*whole_of(t, k) : *number_of(t, k);
}

void rt_transform_init(struct rt_transform_spec *t)
{
    *t = (struct rt_transform_spec){.copies = 1,
                                    .prefix_roots = 1,
                                    .keep_share = 1,
                                    .prompt_scale = 1,
                                    .output_scale = 1,
                                    .min_prompt_tokens = 1,
                                    .max_prompt_tokens = RT_MAX_REQUEST_TOKENS,
                                    .min_output_tokens = 1,
                                    .max_output_tokens = RT_MAX_REQUEST_TOKENS};
}

static bool parse_superpose(const struct rt_json_at *at, struct rt_transform_spec *t,
                            struct rt_err *err)
{
    static const char *const keys[] = {"copies", "shift_s"};
    struct rt_json_at place = rt_json_get(at, "superpose");
    if (rt_json_kind(&place) == RT_JSON_ABSENT)
        return true;
    return rt_json_expect(&place, RT_JSON_OBJECT, err) && rt_json_only(&place, keys, 2, err) &&
           rt_json_need(&place, "copies", err) && rt_json_need(&place, "shift_s", err) &&
           rt_json_int(&place, "copies", 1, RT_MAX_SUPERPOSE, &t->copies, err) &&
           rt_json_double(&place, "shift_s", 0, MAX_TIME_S, &t->shift_s, err);
}

/* The rules between keys; NULL: they hold. */
static const char *broken_rule(const struct rt_transform_spec *t, const char **key)
{
    *key = "min_prompt_tokens";
    if (t->min_prompt_tokens > t->max_prompt_tokens)
        return "expected at most max_prompt_tokens";
    *key = "min_output_tokens";
    if (t->min_output_tokens > t->max_output_tokens)
        return "expected at most max_output_tokens";
    *key = "over_context";
    if (t->over_context != RT_CONTEXT_CUT && t->max_context_tokens == 0)
        return "expected max_context_tokens beside it";
    return NULL;
}

bool rt_transform_parse(const struct rt_json_at *at, struct rt_transform_spec *t,
                        struct rt_err *err)
{
    unsigned over = t->over_context;
    for (unsigned i = 0; i < rt_transform_key_count; i++) {
        const struct rt_transform_key *k = &rt_transform_keys[i];
        char *field = (char *)t + k->offset;
        bool ok = k->whole
                      ? rt_json_int(at, k->name, (int64_t)k->min, (int64_t)k->max,
                                    (int64_t *)(void *)field, err)
                      : rt_json_double(at, k->name, k->min, k->max, (double *)(void *)field, err);
        if (!ok)
            return false;
    }
    if (!parse_superpose(at, t, err) ||
        !rt_json_choice(at, "over_context", rt_over_context_names, RT_CONTEXT_COUNT, &over, err))
        return false;
    t->over_context = (enum rt_over_context)over;
    const char *key, *rule = broken_rule(t, &key);
    struct rt_json_at place = rt_json_get(at, rule != NULL ? key : "superpose");
    return rule == NULL || rt_json_fail(&place, err, "%s", rule);
}

bool rt_transform_check(const struct rt_transform_spec *t, struct rt_err *err)
{
    for (unsigned i = 0; i < rt_transform_key_count; i++) {
        const struct rt_transform_key *k = &rt_transform_keys[i];
        double v = rt_transform_get(t, k);
        if (v != k->neutral && !(v >= k->min && v <= k->max))
            return rt_fail(err, RT_ECONFIG, "%s: expected a number from %g to %g, read %g", k->name,
                           k->min, k->max, v);
    }
    if (t->copies < 1 || t->copies > RT_MAX_SUPERPOSE ||
        !(t->shift_s >= 0 && t->shift_s <= MAX_TIME_S))
        return rt_fail(err, RT_ECONFIG,
                       "superpose: expected 1 to %d copies and a shift from 0 to %g s, read %lld "
                       "and %g",
                       RT_MAX_SUPERPOSE, MAX_TIME_S, (long long)t->copies, t->shift_s);
    const char *key, *rule = broken_rule(t, &key);
    return rule == NULL || rt_fail(err, RT_ECONFIG, "%s: %s", key, rule);
}
