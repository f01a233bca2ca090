/* Options of a workload and a router as parts of a scenario: numbers that may be "inf", --superpose
 * N:SHIFT_S, and --rate-profile:
 *
 *     linear:0=1,600=20,period_s=3600
 *     { "shape": "linear", "points": [[0, 1], [600, 20]], "period_s": 3600 }
 *
 * A key that is a number is the time of a point. What cannot be read stays a text, so that the
 * reader of scenarios says what it expected. NULL: out of memory. O(length). */
#include "scenario_internal.h"

#include <cjson/cJSON.h>

#include <stddef.h>
#include <stdio.h>
#include <string.h>

cJSON *scenario_number_item(const char *text)
{
    char exact[32]; /* cJSON prints some doubles as a neighbour; raw text keeps them */
    double value;

    if (!rt_read_number(text, &value))
        return cJSON_CreateString(text);
    snprintf(exact, sizeof exact, "%.17g", value);
    return cJSON_CreateRaw(exact);
}

/* False: out of memory; the item is freed. */
static bool add(cJSON *into, const char *key, cJSON *item)
{
    bool ok = item != NULL && (key != NULL ? cJSON_AddItemToObject(into, key, item)
                                           : cJSON_AddItemToArray(into, item));

    if (!ok)
        cJSON_Delete(item);
    return ok;
}

static bool add_point(cJSON *profile, const char *from, const char *rate)
{
    cJSON *points = cJSON_GetObjectItemCaseSensitive(profile, "points");
    cJSON *pair = cJSON_CreateArray();

    if (points == NULL && add(profile, "points", cJSON_CreateArray()))
        points = cJSON_GetObjectItemCaseSensitive(profile, "points");
    if (pair == NULL || points == NULL) {
        cJSON_Delete(pair);
        return false;
    }
    return add(points, NULL, pair) && add(pair, NULL, scenario_number_item(from)) &&
           add(pair, NULL, scenario_number_item(rate));
}

/* KEY=VALUE; the text is written to. */
static bool add_pair(cJSON *profile, char *pair)
{
    char *value = strchr(pair, '=');
    double from;

    if (value == NULL)
        return add(profile, pair, cJSON_CreateTrue()); /* an error whatever the key */
    *value++ = '\0';
    if (rt_read_number(pair, &from))
        return add_point(profile, pair, value);
    return add(profile, pair, scenario_number_item(value));
}

/* KEY=VALUE,... into an object, which is freed when memory is out; the text is written to. */
static cJSON *with_pairs(cJSON *object, char *rest)
{
    bool ok = object != NULL;

    for (char *end; ok && *rest != '\0'; rest = end) {
        end = rest + strcspn(rest, ",");
        if (*end != '\0')
            *end++ = '\0';
        ok = add_pair(object, rest);
    }
    if (ok)
        return object;
    cJSON_Delete(object);
    return NULL;
}

cJSON *scenario_weights_item(const char *text)
{
    char copy[4096];

    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
        return cJSON_CreateString(text);
    return with_pairs(cJSON_CreateObject(), copy);
}

cJSON *scenario_profile_item(const char *text)
{
    char copy[4096];
    char *rest = NULL;
    cJSON *profile;

    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy ||
        (rest = strchr(copy, ':')) == NULL)
        return cJSON_CreateString(text);
    *rest++ = '\0';
    profile = cJSON_CreateObject();
    if (profile != NULL && add(profile, "shape", cJSON_CreateString(copy)))
        return with_pairs(profile, rest);
    cJSON_Delete(profile);
    return NULL;
}

cJSON *scenario_superpose_item(const char *text)
{
    const char *colon = strchr(text, ':');
    char copies[32];
    cJSON *item;

    if (colon == NULL || colon - text >= (ptrdiff_t)sizeof copies)
        return cJSON_CreateString(text);
    snprintf(copies, sizeof copies, "%.*s", (int)(colon - text), text);
    item = cJSON_CreateObject();
    if (item != NULL && add(item, "copies", scenario_number_item(copies)) &&
        add(item, "shift_s", scenario_number_item(colon + 1)))
        return item;
    cJSON_Delete(item);
    return NULL;
}
