/* A plan's sections: read, checked, counted.
 *
 * Nothing is looked up in the scenario here: what a path means is found when a trial is resolved
 * (plan_trial.c). A path may be varied in one section only, since it would be unclear who wins.
 * Failure: RT_ECONFIG with the JSON path in the plan. O(plan). */
#include "plan_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SEED (INT64_C(1) << 53) /* what JSON carries exactly */

static bool known(const struct rt_plan *p, const char *key)
{
    for (unsigned i = 0; i < p->key_count; i++)
        if (strcmp(p->keys[i], key) == 0)
            return true;
    return false;
}

static bool add_key(struct rt_plan *p, const struct rt_json_at *at, struct rt_err *err)
{
    struct rt_err why = {0};

    if (!rt_plan_path_check(at->key, &why))
        return rt_json_fail(at, err, "%s", why.msg);
    if (known(p, at->key))
        return rt_json_fail(at, err, "this path is varied elsewhere in the plan, too");
    if (p->key_count == RT_PLAN_MAX_KEYS)
        return rt_json_fail(at, err, "expected at most %d different paths", RT_PLAN_MAX_KEYS);
    p->keys[p->key_count++] = at->key;
    return true;
}

static bool read_list(struct rt_plan *p, struct rt_err *err)
{
    p->list = rt_json_get(&p->root, "list");
    if (p->list.node == NULL)
        return true;
    if (!rt_json_expect(&p->list, RT_JSON_ARRAY, err))
        return false;
    p->list_count = rt_json_count(&p->list);
    if (p->list_count == 0)
        return rt_json_fail(&p->list, err, "expected at least one object");
    for (int i = 0; i < (int)p->list_count; i++) {
        struct rt_json_at entry = rt_json_item(&p->list, i);
        if (!rt_json_expect(&entry, RT_JSON_OBJECT, err))
            return false;
        for (int k = 0; k < rt_json_count(&entry); k++) {
            struct rt_json_at member = rt_json_member(&entry, k);
            if (!rt_plan_is_remark(&member) && !known(p, member.key) && !add_key(p, &member, err))
                return false;
        }
    }
    return true;
}

/* *product *= factor, at most RT_PLAN_MAX_TRIALS. */
static bool multiply(const struct rt_plan *p, int64_t *product, int64_t factor, struct rt_err *err)
{
    *product *= factor; /* both at most 2^31 */
    return *product <= RT_PLAN_MAX_TRIALS ||
           rt_fail(err, RT_ECONFIG, "%s: expected at most %d trials, the plan gives more",
                   rt_json_name(p->doc), RT_PLAN_MAX_TRIALS);
}

static bool read_grid(struct rt_plan *p, struct rt_err *err)
{
    p->grid = rt_json_get(&p->root, "grid");
    if (p->grid.node == NULL)
        return true;
    if (!rt_json_expect(&p->grid, RT_JSON_OBJECT, err))
        return false;
    for (int k = 0; k < rt_json_count(&p->grid); k++) {
        struct rt_json_at axis = rt_json_member(&p->grid, k);
        if (rt_plan_is_remark(&axis))
            continue;
        if (!add_key(p, &axis, err) || !rt_json_expect(&axis, RT_JSON_ARRAY, err))
            return false;
        if (rt_json_count(&axis) == 0)
            return rt_json_fail(&axis, err, "expected at least one value");
        if (!multiply(p, &p->grid_count, rt_json_count(&axis), err))
            return false;
    }
    return true;
}

static bool read_random(struct rt_plan *p, struct rt_err *err)
{
    static const char *const keys[] = {"count", "seed", "keys"};

    p->random = rt_json_get(&p->root, "random");
    if (p->random.node == NULL)
        return true;
    p->random_keys = rt_json_get(&p->random, "keys");
    if (!rt_json_expect(&p->random, RT_JSON_OBJECT, err) ||
        !rt_json_only(&p->random, keys, 3, err) || !rt_json_need(&p->random, "count", err) ||
        !rt_json_int(&p->random, "count", 1, RT_PLAN_MAX_TRIALS, &p->draws, err) ||
        !rt_json_int(&p->random, "seed", 0, MAX_SEED, &p->draw_seed, err) ||
        !rt_json_need(&p->random, "keys", err) ||
        !rt_json_expect(&p->random_keys, RT_JSON_OBJECT, err))
        return false;
    for (int k = 0; k < rt_json_count(&p->random_keys); k++) {
        struct rt_json_at member = rt_json_member(&p->random_keys, k);
        if (!rt_plan_is_remark(&member) &&
            (!add_key(p, &member, err) || !rt_plan_distribution_check(&member, err)))
            return false;
    }
    return true;
}

static bool check_seeds(struct rt_plan *p, struct rt_err *err)
{
    if (!rt_json_expect(&p->seeds, RT_JSON_ARRAY, err))
        return false;
    p->seed_count = rt_json_count(&p->seeds);
    if (p->seed_count == 0)
        return rt_json_fail(&p->seeds, err, "expected at least one seed");
    for (int i = 0; i < (int)p->seed_count; i++) {
        struct rt_json_at seed = rt_json_item(&p->seeds, i);
        double value;
        if (!rt_json_number(&seed, 0, (double)MAX_SEED, &value, err))
            return false;
        if (value != (double)(int64_t)value)
            return rt_json_fail(&seed, err, "expected an integer, read %g", value);
    }
    return true;
}

static bool read_seeds(struct rt_plan *p, struct rt_err *err)
{
    struct rt_json_at repeats = rt_json_get(&p->root, "repeats");

    p->seeds = rt_json_get(&p->root, "seeds");
    if (repeats.node == NULL && p->seeds.node == NULL)
        return true;
    if (repeats.node != NULL && p->seeds.node != NULL)
        return rt_json_fail(&repeats, err, "expected either repeats or seeds, read both");
    if (!rt_json_int(&p->root, "repeats", 1, RT_PLAN_MAX_TRIALS, &p->repeats, err) ||
        (p->seeds.node != NULL && !check_seeds(p, err)))
        return false;
    if (repeats.node != NULL)
        p->seed_count = p->repeats;
    if (known(p, "seed"))
        return rt_json_fail(&p->root, err, "\"seed\" is varied, and repeats or seeds set it, too");
    if (p->key_count == RT_PLAN_MAX_KEYS)
        return rt_json_fail(&p->root, err, "expected at most %d different paths", RT_PLAN_MAX_KEYS);
    p->keys[p->key_count++] = "seed";
    return true;
}

/* The plan's scenario: an object in it, or the file it names. */
static bool read_scenario(struct rt_plan *p, struct rt_err *err)
{
    struct rt_json_at at = rt_json_get(&p->root, "scenario");
    const char *plan_name = rt_json_name(p->doc), *name = NULL;

    if (!rt_json_need(&p->root, "scenario", err))
        return false;
    if (rt_json_kind(&at) == RT_JSON_OBJECT) {
        size_t size = strlen(plan_name) + sizeof " (scenario)";
        p->scenario = at;
        p->scenario_name = malloc(size);
        if (p->scenario_name == NULL)
            return rt_fail_nomem(err, "the plan");
        snprintf(p->scenario_name, size, "%s (scenario)", plan_name);
        return true;
    }
    if (rt_json_kind(&at) != RT_JSON_STRING)
        return rt_json_fail(&at, err, "expected a scenario or the path of its file");
    if (!rt_json_string(&p->root, "scenario", &name, err))
        return false;
    p->scenario_name = rt_path_beside(plan_name, name);
    if (p->scenario_name == NULL)
        return rt_fail_nomem(err, "the plan");
    if (!rt_json_load(p->scenario_name, &p->scenario_doc, err))
        return rt_fail_in(err, "%s: $.scenario", plan_name);
    p->scenario = rt_json_root(p->scenario_doc);
    return rt_json_expect(&p->scenario, RT_JSON_OBJECT, err);
}

bool rt_plan_read(struct rt_plan *p, struct rt_err *err)
{
    static const char *const keys[] = {"scenario", "list", "grid", "random", "repeats", "seeds"};

    p->root = rt_json_root(p->doc);
    if (!rt_json_expect(&p->root, RT_JSON_OBJECT, err) ||
        !rt_json_only(&p->root, keys, sizeof keys / sizeof keys[0], err) ||
        !read_scenario(p, err) || !read_list(p, err) || !read_grid(p, err) ||
        !read_random(p, err) || !read_seeds(p, err))
        return false;
    return multiply(p, &p->trials, p->list_count, err) &&
           multiply(p, &p->trials, p->grid_count, err) && multiply(p, &p->trials, p->draws, err) &&
           multiply(p, &p->trials, p->seed_count, err);
}
