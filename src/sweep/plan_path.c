/* Places in a scenario by dotted path: names joined by dots, [i] behind the name of an array.
 *
 *     workload.rate_scale      pools[0].engine.max_num_seqs      workload.rate_profile.points[2][1]
 *
 * Which keys a scenario has is the scenario's own knowledge: here any name is good, and what is
 * wrong with it is found when the changed scenario is read. O(path * width of the objects). */
#include "plan_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAME_BYTES 64
#define MAX_STEPS      16
#define MAX_DIGITS     6

struct step {
    char name[MAX_NAME_BYTES]; /* "": an index */
    int index;
};

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* Reads "[17]"; answers what follows it, or NULL. */
static const char *read_index(const char *p, struct step *step)
{
    size_t digits = strspn(p + 1, "0123456789");

    if (digits < 1 || digits > MAX_DIGITS || p[1 + digits] != ']')
        return NULL;
    step->name[0] = '\0';
    step->index = (int)strtol(p + 1, NULL, 10);
    return p + digits + 2;
}

static const char *read_name(const char *p, struct step *step)
{
    size_t n = 0;

    while (is_name_char(p[n]))
        n++;
    if (n < 1 || n >= MAX_NAME_BYTES)
        return NULL;
    memcpy(step->name, p, n);
    step->name[n] = '\0';
    return p + n;
}

/* The next step of a path that begins at *p, which moves on; false: there is none. */
static bool next_step(const char **p, bool first, struct step *step)
{
    const char *after;

    if (!first && **p == '[') {
        after = read_index(*p, step);
    } else {
        if (!first && **p != '.')
            return false;
        after = read_name(first ? *p : *p + 1, step);
    }
    if (after == NULL)
        return false;
    *p = after;
    return true;
}

bool rt_plan_path_check(const char *path, struct rt_err *err)
{
    const char *p = path;
    struct step step;
    int steps = 0;

    while ((steps == 0 || *p != '\0') && steps < MAX_STEPS && next_step(&p, steps == 0, &step))
        steps++;
    if (steps > 0 && *p == '\0')
        return true;
    return rt_fail(
        err, RT_ECONFIG,
        "expected a path such as workload.rate_scale or pools[0].replicas, read \"%.64s\"", path);
}

/* The node one step further down, or NULL with a message. */
static cJSON *descend(cJSON *at, const struct step *step, const char *rest, struct rt_err *err)
{
    cJSON *child;

    if (step->name[0] == '\0') {
        if (cJSON_IsArray(at) && step->index < cJSON_GetArraySize(at))
            return cJSON_GetArrayItem(at, step->index);
        (void)rt_fail(err, RT_ECONFIG, "[%d]: %s", step->index,
                      cJSON_IsArray(at) ? "the array is shorter" : "expected an array before it");
        return NULL;
    }
    if (!cJSON_IsObject(at)) {
        (void)rt_fail(err, RT_ECONFIG, "\"%s\": what stands before it is not an object",
                      step->name);
        return NULL;
    }
    child = cJSON_GetObjectItemCaseSensitive(at, step->name);
    if (child == NULL && *rest == '[') {
        (void)rt_fail(err, RT_ECONFIG, "\"%s\": there is no such array", step->name);
        return NULL;
    }
    if (child == NULL && (child = cJSON_AddObjectToObject(at, step->name)) == NULL)
        (void)rt_fail_nomem(err, "a trial");
    return child;
}

static bool put_element(cJSON *array, int index, const cJSON *value, struct rt_err *err)
{
    cJSON *copy;

    if (!cJSON_IsArray(array) || index >= cJSON_GetArraySize(array))
        return rt_fail(err, RT_ECONFIG, "[%d]: %s", index,
                       cJSON_IsArray(array) ? "the array is shorter"
                                            : "expected an array before it");
    copy = cJSON_Duplicate(value, true);
    if (copy == NULL)
        return rt_fail_nomem(err, "a trial");
    return cJSON_ReplaceItemInArray(array, index, copy) || rt_fail_nomem(err, "a trial");
}

static bool put_member(cJSON *object, const char *name, const cJSON *value, struct rt_err *err)
{
    cJSON *copy;

    if (!cJSON_IsObject(object))
        return rt_fail(err, RT_ECONFIG, "\"%s\": what stands before it is not an object", name);
    cJSON_DeleteItemFromObjectCaseSensitive(object, name);
    if (cJSON_IsNull(value))
        return true;
    copy = cJSON_Duplicate(value, true);
    if (copy == NULL || !cJSON_AddItemToObject(object, name, copy)) {
        cJSON_Delete(copy);
        return rt_fail_nomem(err, "a trial");
    }
    return true;
}

bool rt_plan_path_set(cJSON *root, const char *path, const cJSON *value, struct rt_err *err)
{
    const char *p = path;
    struct step step = {0};
    cJSON *at = root;
    bool found = next_step(&p, true, &step);

    while (found && *p != '\0') {
        at = descend(at, &step, p, err);
        if (at == NULL)
            return false;
        found = next_step(&p, false, &step);
    }
    assert(found && "the path was checked");
    return step.name[0] != '\0' ? put_member(at, step.name, value, err)
                                : put_element(at, step.index, value, err);
}
