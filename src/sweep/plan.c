/* A plan: sections read and checked, trials numbered, each resolved into its scenario.
 *
 *     number - 1 = ((list * grid points + grid) * draws + draw) * seeds + seed
 *
 * A trial is the scenario's tree copied, changed at its paths, printed and read as any scenario is;
 * so a change can do what a scenario file can, and its errors are that file's. Nothing of a trial
 * is kept: 100,000 of them take no more memory than one. Relative paths are seen from the file that
 * holds the scenario, also those that a plan puts in. */
#include "rooftrace/plan.h"
#include "plan_internal.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_SEED    (INT64_C(1) << 53) /* what JSON carries exactly */
#define SHOWN_BYTES 100                /* of a trial's changes in a message */

struct rt_plan {
    const struct rt_catalog *catalog;
    struct rt_json *doc, *scenario_doc; /* the second: NULL where the plan holds the scenario */
    char *scenario_name;                /* stands for the scenario's file in messages */
    struct rt_json_at root, scenario, list, grid, random, random_keys, seeds;
    const char *keys[RT_PLAN_MAX_KEYS]; /* owned by the document, but for "seed" */
    unsigned key_count, list_keys;      /* the list's come first */
    int64_t repeats, draws, draw_seed;
    int64_t list_count, grid_count, seed_count, trials; /* each at least 1 */
    char hash[17];
};

struct change { /* one path of one trial */
    const char *path;
    const cJSON *value;
    cJSON *owned; /* the value, when it was drawn */
};

/* ---- reading the sections ---- */

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
    p->list_keys = p->key_count;
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

static bool read_plan(struct rt_plan *p, struct rt_err *err)
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

/* ---- one trial ---- */

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
        ok = text != NULL || rt_fail_nomem(err, "a trial");
    }
    ok = ok && rt_json_parse(text, strlen(text), p->scenario_name, out, err);
    free(text);
    cJSON_Delete(tree);
    return ok;
}

static bool read_changed(const struct rt_plan *p, const struct change *changes, unsigned count,
                         struct rt_scenario *out, struct rt_err *err)
{
    struct rt_json *doc;

    if (!changed_document(p, changes, count, &doc, err))
        return false;
    struct rt_json_at root = rt_json_root(doc);
    bool ok = rt_scenario_parse(&root, p->catalog, out, err);
    rt_json_free(doc);
    return ok;
}

/* "plan.json: trial 3 (pools[0].replicas = 2): " before the message. */
static bool fail_in_trial(const struct rt_plan *p, int64_t trial, const char *varied,
                          struct rt_err *err)
{
    bool cut = strlen(varied) > SHOWN_BYTES;

    return rt_fail_in(err, "%s: trial %" PRId64 " %.*s%s", rt_json_name(p->doc), trial, SHOWN_BYTES,
                      varied, cut ? "..." : "");
}

bool rt_plan_trial(const struct rt_plan *p, int64_t trial, struct rt_scenario *out, char **varied,
                   struct rt_err *err)
{
    struct change changes[RT_PLAN_MAX_KEYS];
    unsigned count;
    bool ok;

    assert(trial >= 1 && trial <= p->trials);
    count = changes_of(p, trial, changes);
    *varied = print_changes(changes, count);
    ok = *varied != NULL || rt_fail_nomem(err, "a trial");
    if (ok && !read_changed(p, changes, count, out, err))
        ok = fail_in_trial(p, trial, *varied, err);
    release_changes(changes, count);
    if (!ok) {
        free(*varied);
        *varied = NULL;
    }
    return ok;
}

/* ---- all trials ---- */

/* A sweep reads a trace more than once. */
static bool check_trace(const struct rt_scenario *s, struct rt_err *err)
{
    const char *path = s->workload.trace;

    if (path == NULL || path[0] == '\0')
        return true; /* synthetic */
    if (strcmp(path, "-") == 0)
        return rt_fail(err, RT_ECONFIG,
                       "expected a trace file: a sweep reads it for every trial, standard input "
                       "can be read once");
    return access(path, R_OK) == 0 ||
           rt_fail(err, RT_EIO, "%s: cannot open: %s", path, strerror(errno));
}

/* FNV-1a (Fowler, Noll and Vo), 64 bits. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
    for (const char *p = text;; p++) { /* the final NUL, too */
        hash = (hash ^ (unsigned char)*p) * UINT64_C(0x100000001B3);
        if (*p == '\0')
            return hash;
    }
}

static bool visit_trial(const struct rt_plan *p, int64_t trial, uint64_t *hash, struct rt_err *err)
{
    struct rt_scenario scenario;
    char *varied, *text;
    bool ok;

    if (!rt_plan_trial(p, trial, &scenario, &varied, err))
        return false;
    ok = check_trace(&scenario, err) || fail_in_trial(p, trial, varied, err);
    text = ok ? rt_scenario_print(&scenario) : NULL;
    if (text != NULL)
        *hash = hash_text(hash_text(*hash, varied), text);
    else if (ok)
        ok = rt_fail_nomem(err, "a trial");
    free(text);
    free(varied);
    rt_scenario_release(&scenario);
    return ok;
}

static bool visit_all(struct rt_plan *p, struct rt_err *err)
{
    uint64_t hash = hash_text(UINT64_C(0xCBF29CE484222325), RT_VERSION);

    for (int64_t i = 1; i <= p->trials; i++)
        if (!visit_trial(p, i, &hash, err))
            return false;
    snprintf(p->hash, sizeof p->hash, "%016" PRIx64, hash);
    return true;
}

bool rt_plan_load(const char *path, const struct rt_catalog *catalog, struct rt_plan **out,
                  struct rt_err *err)
{
    struct rt_plan *p = calloc(1, sizeof *p);

    *out = NULL;
    if (p == NULL)
        return rt_fail_nomem(err, "the plan");
    p->catalog = catalog;
    p->list_count = p->grid_count = p->draws = p->seed_count = p->trials = p->draw_seed = 1;
    if (!rt_json_load(path, &p->doc, err) || !read_plan(p, err) || !visit_all(p, err)) {
        rt_plan_free(p);
        return false;
    }
    *out = p;
    return true;
}

void rt_plan_free(struct rt_plan *p)
{
    if (p == NULL)
        return;
    rt_json_free(p->doc);
    rt_json_free(p->scenario_doc);
    free(p->scenario_name);
    free(p);
}

int64_t rt_plan_trials(const struct rt_plan *p)
{
    return p->trials;
}

unsigned rt_plan_key_count(const struct rt_plan *p)
{
    return p->key_count;
}

const char *rt_plan_key(const struct rt_plan *p, unsigned i)
{
    return p->keys[i];
}

const char *rt_plan_hash(const struct rt_plan *p)
{
    return p->hash;
}
