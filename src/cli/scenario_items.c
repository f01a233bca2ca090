/* Texts and numbers of options as values of the scenario's document. O(length of the text). */
#include "cli_internal.h"
#include "scenario_internal.h"

#include <cjson/cJSON.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* cJSON prints some doubles as a neighbour; raw text keeps them. */
cJSON *scenario_double_item(double value)
{
    char text[32];

    snprintf(text, sizeof text, "%.17g", value);
    return cJSON_CreateRaw(text);
}

void scenario_keep_numbers(struct scenario_builder *b, cJSON *node)
{
    for (cJSON *child = node->child; child != NULL; child = child->next)
        scenario_keep_numbers(b, child); /* at most 64 deep: rt_json_parse has checked */
    if (cJSON_IsNumber(node)) {
        char text[32];
        snprintf(text, sizeof text, "%.17g", node->valuedouble);
        node->valuestring = cJSON_malloc(strlen(text) + 1);
        b->ok = b->ok && node->valuestring != NULL;
        if (node->valuestring != NULL) {
            memcpy(node->valuestring, text, strlen(text) + 1);
            node->type = (node->type & ~cJSON_Number) | cJSON_Raw;
        }
    }
}

/* A path given as option, as the scenario's file would have to write it. */
cJSON *scenario_path_item(const struct scenario_builder *b, const char *path)
{
    char folder[PATH_MAX], joined[2 * PATH_MAX];

    if (path[0] == '/' || strcmp(path, "-") == 0 || b->file == NULL ||
        strchr(b->file, '/') == NULL || getcwd(folder, sizeof folder) == NULL)
        return cJSON_CreateString(path);
    snprintf(joined, sizeof joined, "%s/%s", folder, path);
    return cJSON_CreateString(joined);
}

/* "A:B" or "A,B" */
static bool read_range(const char *text, double range[2])
{
    size_t first = strcspn(text, ":,");
    char from[64];

    if (first >= sizeof from || text[first] == '\0')
        return false;
    memcpy(from, text, first);
    from[first] = '\0';
    return rt_read_number(from, &range[0]) && rt_read_number(text + first + 1, &range[1]);
}

cJSON *scenario_range_item(const char *text)
{
    cJSON *list = cJSON_CreateArray();
    double range[2];

    for (int i = 0; list != NULL && read_range(text, range) && i < 2; i++) {
        cJSON *item = scenario_double_item(range[i]);
        if (item == NULL || !cJSON_AddItemToArray(list, item)) {
            cJSON_Delete(item);
            cJSON_Delete(list);
            list = NULL;
        }
    }
    return list;
}

cJSON *scenario_shares_item(const char *text)
{
    cJSON *list = cJSON_CreateArray();
    const char *rest = text;
    double value = 0;
    bool ok = list != NULL;

    while (ok && *rest != '\0') {
        size_t len = strcspn(rest, ",");
        char one[64];
        snprintf(one, sizeof one, "%.*s", (int)(len < 63 ? len : 63), rest);
        if (!rt_read_number(one, &value)) {
            cJSON_Delete(list);
            return cJSON_CreateString(text);
        }
        ok = cJSON_AddItemToArray(list, scenario_double_item(value)) != 0;
        rest += len + (rest[len] == ',' ? 1 : 0);
    }
    if (ok && cJSON_GetArraySize(list) != 1)
        return list;
    cJSON_Delete(list);
    return ok ? scenario_double_item(value) : NULL;
}

bool scenario_check_ranges(const struct rt_options *o, struct rt_err *err)
{
    static const char *const names[] = {"--window-s", "--measure-s"};
    static const char *const twins[][2] = {{"--rate-scale", "--time-scale"},
                                           {"--max-requests", "--head"}};
    double range[2];

    for (unsigned i = 0; i < 2; i++)
        if (rt_options_given(o, twins[i][0]) && rt_options_given(o, twins[i][1]))
            return rt_fail(err, RT_EUSAGE, "%s and %s: expected one of them", twins[i][0],
                           twins[i][1]);

    for (unsigned i = 0; i < 2; i++) {
        const char *text = rt_options_text(o, names[i], NULL);
        if (text != NULL && (!read_range(text, range) || range[0] >= range[1]))
            return rt_fail(err, RT_EUSAGE,
                           "%s: expected FROM:TO in seconds, FROM < TO, read \"%.64s\"", names[i],
                           text);
    }
    const char *copies = rt_options_text(o, "--superpose", NULL);
    if (copies != NULL && strchr(copies, ':') == NULL)
        return rt_fail(err, RT_EUSAGE,
                       "--superpose: expected N:SHIFT_S, copies and seconds between their "
                       "beginnings, read \"%.64s\"",
                       copies);
    return true;
}
