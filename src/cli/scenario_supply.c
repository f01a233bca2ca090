/* Options on autoscaling and failures as keys of every pool:
 *
 *     --autoscale queue_depth:32         "scaling": {"policy": "queue_depth", "target_requests":
 * 32}
 *     --autoscale schedule:0=2,3600=8    ... "steps": [{"at_s": 0, "replicas": 2}, ...]
 *     --min-replicas, --max-replicas, --scale-interval-s       of "scaling"
 *     --startup-s 60                     "startup": {"load_s": 60}
 *     --crash-mean-s, --repair-mean-s, --replicas-down         of "failures"
 *     --retry restart                    "retry": {"mode": "restart"}, of the scenario
 *
 * What stands behind the colon is the figure that the policy needs. Whether it and the policy are
 * any good the reader of scenarios judges. O(pools). */
#include "scenario_internal.h"

#include "rooftrace/scaler.h"

#include <cjson/cJSON.h>

#include <stdio.h>
#include <string.h>

static const struct option_key {
    const char *option, *section, *key, *inner; /* inner: the key within an object of its own */
} options[] = {
    {"--min-replicas", "scaling", "min_replicas", NULL},
    {"--max-replicas", "scaling", "max_replicas", NULL},
    {"--scale-interval-s", "scaling", "interval_s", NULL},
    {"--startup-s", "startup", "load_s", NULL},
    {"--crash-mean-s", "failures", "time_to_crash", "mean_s"},
    {"--repair-mean-s", "failures", "time_to_repair", "mean_s"},
    {"--replicas-down", "failures", "down", NULL},
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The key a policy must be told; NULL: none, or no such policy. */
static const char *target_key(const char *policy)
{
    for (unsigned i = 0; i < rt_scaler_count(); i++)
        for (unsigned k = 0; k < RT_SCALER_PARAM_COUNT; k++)
            if (strcmp(rt_scaler_at(i)->name, policy) == 0 && (rt_scaler_at(i)->params & 1u << k) &&
                rt_scaler_params[k].otherwise < 0)
                return rt_scaler_params[k].key;
    return NULL;
}

/* 0=2,3600=8; NULL: out of memory. What is no pair becomes text, for the reader to refuse. */
static cJSON *steps_item(const char *text)
{
    cJSON *steps = cJSON_CreateArray();
    bool ok = steps != NULL;
    for (; ok && *text != '\0'; text += text[0] == ',') {
        size_t len = strcspn(text, ","), at = strcspn(text, "=");
        char left[64] = "", right[64] = "";
        cJSON *step = cJSON_CreateObject();
        size_t first = at < len ? at : len, rest = at < len ? len - at - 1 : 0;
        snprintf(left, sizeof left, "%.*s", (int)(first < 63 ? first : 63), text);
        snprintf(right, sizeof right, "%.*s", (int)(rest < 63 ? rest : 63), text + len - rest);
        ok = step && cJSON_AddItemToObject(step, "at_s", scenario_number_item(left)) &&
             cJSON_AddItemToObject(step, "replicas", scenario_number_item(right)) &&
             cJSON_AddItemToArray(steps, step);
        if (!ok)
            cJSON_Delete(step);
        text += len;
    }
    if (ok)
        return steps;
    cJSON_Delete(steps);
    return NULL;
}

static void put_policy(struct scenario_builder *b, cJSON *pool, const char *text)
{
    const char *target = strchr(text, ':');
    char name[64];
    cJSON *scaling;

    snprintf(name, sizeof name, "%.*s", (int)strcspn(text, ":"), text);
    cJSON_DeleteItemFromObjectCaseSensitive(pool, "scaling");
    scaling = scenario_section(b, pool, "scaling");
    if (scaling == NULL)
        return;
    scenario_put(b, scaling, "policy", cJSON_CreateString(name));
    if (target == NULL)
        return;
    const char *key = target_key(name);
    if (strcmp(name, "schedule") == 0)
        scenario_put(b, scaling, "steps", steps_item(target + 1));
    else
        scenario_put(b, scaling, key ? key : "target", scenario_number_item(target + 1));
}

static void put_option(struct scenario_builder *b, cJSON *pool, const struct option_key *k)
{
    const char *text = rt_options_get(b->o, k->option)->text;
    cJSON *into = scenario_section(b, pool, k->section);

    if (into != NULL && k->inner != NULL)
        into = scenario_section(b, into, k->key);
    if (into != NULL)
        scenario_put(b, into, k->inner ? k->inner : k->key, scenario_number_item(text));
}

bool scenario_supply_given(const struct rt_options *o)
{
    for (unsigned i = 0; i < COUNT(options); i++)
        if (rt_options_given(o, options[i].option))
            return true;
    return rt_options_given(o, "--autoscale") || rt_options_given(o, "--retry");
}

void scenario_put_supply(struct scenario_builder *b)
{
    const char *policy = rt_options_text(b->o, "--autoscale", NULL);
    const char *retry = rt_options_text(b->o, "--retry", NULL);
    cJSON *pools = cJSON_GetObjectItemCaseSensitive(b->root, "pools");
    cJSON *pool, *section = retry && b->ok ? scenario_section(b, b->root, "retry") : NULL;

    if (section != NULL)
        scenario_put(b, section, "mode", cJSON_CreateString(retry));
    cJSON_ArrayForEach(pool, pools)
    {
        if (!b->ok || !cJSON_IsObject(pool))
            continue;
        if (policy != NULL)
            put_policy(b, pool, policy);
        for (unsigned i = 0; i < COUNT(options); i++)
            if (b->ok && rt_options_given(b->o, options[i].option))
                put_option(b, pool, &options[i]);
    }
}
