/* One trial of a plan: its number into changes, the changed scenario.
 *
 *     number - 1 = ((list * grid points + grid) * draws + draw) * seeds + seed
 *
 * The scenario's tree is copied, changed at the paths, printed and read as any scenario is; so a
 * change can do what a scenario file can, and its errors are that file's. Relative paths are seen
 * from the file that holds the scenario, also those that a plan puts in. O(scenario). */
#include "plan_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_BYTES 100 /* of a trial's changes in a message */

struct change { /* one path of one trial */
    const char *path;
    const cJSON *value;
    cJSON *owned; /* the value, when it was drawn */
};

static int64_t take_digit(int64_t *rest, int64_t base)
{
    int64_t digit = *rest % base;

    *rest /= base;
    return digit;
}

/* Changes of the grid's point, in the order of its keys; the last key is the fastest. */
static unsigned grid_changes(const struct rt_plan *p, int64_t point, struct change *out)
{
    unsigned count = 0;

    for (int k = rt_json_count(&p->grid) - 1; k >= 0; k--) {
        struct rt_json_at axis = rt_json_member(&p->grid, k);
        if (!rt_plan_is_remark(&axis))
            count++;
    }
    unsigned at = count;
    for (int k = rt_json_count(&p->grid) - 1; k >= 0; k--) {
        struct rt_json_at axis = rt_json_member(&p->grid, k);
        if (rt_plan_is_remark(&axis))
            continue;
        int64_t i = take_digit(&point, rt_json_count(&axis));
        out[--at] = (struct change){.path = axis.key, .value = rt_json_item(&axis, (int)i).node};
    }
    return count;
}

static unsigned list_changes(const struct rt_plan *p, int64_t entry, struct change *out)
{
    struct rt_json_at at = rt_json_item(&p->list, (int)entry);
    unsigned count = 0;

    for (int k = 0; k < rt_json_count(&at); k++) {
        struct rt_json_at member = rt_json_member(&at, k);
        if (!rt_plan_is_remark(&member))
            out[count++] = (struct change){.path = member.key, .value = member.node};
    }
    return count;
}

/* A stream a draw, so that a longer sweep begins with the same draws. A value that memory ran out
 * for is NULL. */
static unsigned random_changes(const struct rt_plan *p, int64_t draw, struct change *out)
{
    unsigned count = 0;
    struct rt_rng rng;

    rt_rng_init(&rng, (uint64_t)p->draw_seed, RT_RNG_TOOLS, (uint64_t)draw);
    for (int k = 0; k < rt_json_count(&p->random_keys); k++) {
        struct rt_json_at member = rt_json_member(&p->random_keys, k);
        if (rt_plan_is_remark(&member))
            continue;
        cJSON *value = rt_plan_distribution_draw(&member, &rng);
        out[count++] = (struct change){.path = member.key, .value = value, .owned = value};
    }
    return count;
}

/* Seeds: as listed, or the scenario's own and those after it. */
static struct change seed_change(const struct rt_plan *p, int64_t i)
{
    struct rt_json_at own = rt_json_get(&p->scenario, "seed");
    double first = rt_json_kind(&own) == RT_JSON_NUMBER ? own.node->valuedouble : 1;

    if (p->seeds.node != NULL)
        return (struct change){.path = "seed", .value = rt_json_item(&p->seeds, (int)i).node};
    cJSON *value = cJSON_CreateNumber(first + (double)i);
    return (struct change){.path = "seed", .value = value, .owned = value};
}

static unsigned changes_of(const struct rt_plan *p, int64_t trial, struct change *out)
{
    int64_t rest = trial - 1;
    int64_t seed = take_digit(&rest, p->seed_count), draw = take_digit(&rest, p->draws);
    int64_t point = take_digit(&rest, p->grid_count);
    unsigned count = list_changes(p, rest, out);

    count += grid_changes(p, point, out + count);
    count += random_changes(p, draw, out + count);
    if (p->seeds.node != NULL || p->repeats > 0)
        out[count++] = seed_change(p, seed);
    return count;
}

static void release_changes(struct change *changes, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        cJSON_Delete(changes[i].owned);
}

/* {"path": value, ...} */
static char *print_changes(const struct change *changes, unsigned count)
{
    char *text = NULL;
    struct rt_json_at at = {0};
    cJSON *object = cJSON_CreateObject();
    bool ok = object != NULL;

    for (unsigned i = 0; ok && i < count; i++) {
        cJSON *copy = cJSON_Duplicate(changes[i].value, true);
        ok = copy != NULL && cJSON_AddItemToObject(object, changes[i].path, copy);
        if (!ok)
            cJSON_Delete(copy);
    }
    at.node = object;
    if (ok)
        text = rt_json_print(&at);
    cJSON_Delete(object);
    return text;
}

/* The changed scenario as a document; relative paths are seen from the scenario's file. */
static bool changed_document(const struct rt_plan *p, const struct change *changes, unsigned count,
                             struct rt_json **out, struct rt_err *err)
{
    cJSON *tree = cJSON_Duplicate(p->scenario.node, true);
    struct rt_json_at at = {.node = tree};
    char *text = NULL;
    bool ok = tree != NULL || rt_fail_nomem(err, "a trial");

    for (unsigned i = 0; ok && i < count; i++) {
        if (changes[i].value == NULL)
            ok = rt_fail_nomem(err, "a trial");
        else if (!rt_plan_path_set(tree, changes[i].path, changes[i].value, err))
            ok = rt_fail_in(err, "%s", changes[i].path);
    }
    if (ok) {
        text = rt_json_print(&at);
        ok = text != NULL ? rt_json_parse(text, strlen(text), p->scenario_name, out, err)
                          : rt_fail_nomem(err, "a trial");
    }
    free(text);
    cJSON_Delete(tree);
    return ok;
}

static bool read_changed(const struct rt_plan *p, const struct change *changes, unsigned count,
                         struct rt_scenario *out, struct rt_err *err)
{
    struct rt_json *doc = NULL;

    if (!changed_document(p, changes, count, &doc, err))
        return false;
    struct rt_json_at root = rt_json_root(doc);
    bool ok = rt_scenario_parse(&root, p->catalog, out, err);
    rt_json_free(doc);
    return ok;
}

/* "plan.json: trial 3 (pools[0].replicas = 2): " before the message. */
bool rt_plan_fail_in_trial(const struct rt_plan *p, int64_t trial, const char *varied,
                           struct rt_err *err)
{
    bool cut = strlen(varied) > SHOWN_BYTES;

    return rt_fail_in(err, "%s: trial %" PRId64 " %.*s%s", rt_json_name(p->doc), trial, SHOWN_BYTES,
                      varied, cut ? "..." : "");
}

bool rt_plan_trial(const struct rt_plan *p, int64_t trial, struct rt_scenario *out, char **varied,
                   struct rt_err *err)
{
    struct change changes[RT_PLAN_MAX_KEYS] = {0};
    unsigned count;
    bool ok;

    assert(trial >= 1 && trial <= p->trials);
    count = changes_of(p, trial, changes);
    *varied = print_changes(changes, count);
    if (*varied == NULL)
        ok = rt_fail_nomem(err, "a trial");
    else
        ok = read_changed(p, changes, count, out, err) ||
             rt_plan_fail_in_trial(p, trial, *varied, err);
    release_changes(changes, count);
    if (!ok) {
        free(*varied);
        *varied = NULL;
    }
    return ok;
}
