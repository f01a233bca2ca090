/* The catalogue: two JSON files read into sorted arrays, and the ways to name a record.
 *
 *     name or alias ---------------------> a copy of the catalogue's record
 *     path of a JSON file ---------------> one record, or a Hugging Face config.json
 *     object {"base": name, changes} ----> the catalogue's JSON read again, then the changes
 *
 * The documents stay open as long as the catalogue: names point into them, and a base is read from
 * them. Nothing changes after rt_catalog_open, so threads may share it. Opening is O(n log n) in
 * the number of records, a lookup O(log n). Any wrong record fails the whole catalogue, with its
 * path. */
#include "rooftrace/catalog.h"
#include "catalog_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define MAX_RECORDS 100000

struct gpu_entry {
    struct rt_gpu gpu;
    int place;  /* in the file's array */
    char *json; /* owned */
};

struct model_entry {
    struct rt_model model;
    int place;
    char *json;
};

struct rt_catalog {
    struct rt_json *gpu_doc, *model_doc;
    struct rt_gpu_defaults defaults;
    struct gpu_entry *gpus;     /* by name */
    struct model_entry *models; /* by name */
    unsigned gpu_count, model_count;
    struct rt_labels gpu_labels, model_labels;
};

/* ---- opening --------------------------------------------------------------------------------- */

static bool load(const char *dir, const char *file, const char *builtin, struct rt_json **out,
                 struct rt_err *err)
{
    char name[64];

    if (dir == NULL) {
        snprintf(name, sizeof name, "built-in %s", file);
        return rt_json_parse(builtin, strlen(builtin), name, out, err);
    }
    size_t size = strlen(dir) + strlen(file) + 2;
    char *path = malloc(size);
    if (path == NULL)
        return rt_fail_nomem(err, "path of the catalogue");
    snprintf(path, size, "%s/%s", dir, file);
    bool ok = rt_json_load(path, out, err);
    free(path);
    return ok;
}

/* The file's list of records; their number, or -1. */
static int list_of(const struct rt_json_at *root, const char *const *keys, unsigned count,
                   struct rt_json_at *list, struct rt_err *err)
{
    *list = rt_json_get(root, keys[0]);
    if (!rt_json_expect(root, RT_JSON_OBJECT, err) || !rt_json_only(root, keys, count, err) ||
        !rt_json_need(root, keys[0], err) || !rt_json_expect(list, RT_JSON_ARRAY, err))
        return -1;
    int n = rt_json_count(list);
    if (n > MAX_RECORDS) {
        rt_json_fail(list, err, "expected at most %d records, read %d", MAX_RECORDS, n);
        return -1;
    }
    return n;
}

static bool keep_json(const struct rt_json_at *at, char **json, struct rt_err *err)
{
    *json = rt_json_print(at);
    return *json != NULL || rt_fail_nomem(err, "text of a record");
}

static bool add_labels(struct rt_labels *labels, const struct rt_json_at *record, unsigned i,
                       struct rt_err *err)
{
    struct rt_json_at aliases = rt_json_get(record, "aliases");
    const char *text = "";

    if (!rt_json_string(record, "name", &text, err) || !rt_labels_add(labels, text, i, false, err))
        return false;
    for (int a = 0; a < rt_json_count(&aliases); a++) {
        struct rt_json_at alias = rt_json_item(&aliases, a);
        if (!rt_record_item_text(&alias, &text, err) || !rt_labels_add(labels, text, i, true, err))
            return false;
    }
    return true;
}

static int compare_gpus(const void *a, const void *b)
{
    return strcmp(((const struct gpu_entry *)a)->gpu.name, ((const struct gpu_entry *)b)->gpu.name);
}

static int compare_models(const void *a, const void *b)
{
    return strcmp(((const struct model_entry *)a)->model.name,
                  ((const struct model_entry *)b)->model.name);
}

static bool read_gpu(struct rt_catalog *c, const struct rt_json_at *at, struct gpu_entry *entry,
                     struct rt_err *err)
{
    struct rt_gpu_draft draft;

    rt_gpu_draft_init(&draft);
    entry->place = at->index;
    if (!rt_gpu_draft_read(&draft, at, RT_RECORD_CATALOGUE, err))
        return false;
    rt_gpu_draft_finish(&draft, &c->defaults, &entry->gpu);
    return keep_json(at, &entry->json, err);
}

static bool open_gpus(struct rt_catalog *c, const char *dir, struct rt_err *err)
{
    static const char *const keys[] = {"gpus", "defaults"};
    struct rt_json_at root, list, defaults;

    if (!load(dir, "gpus.json", rt_catalog_gpus_json, &c->gpu_doc, err))
        return false;
    root = rt_json_root(c->gpu_doc);
    defaults = rt_json_get(&root, "defaults");
    int n = list_of(&root, keys, 2, &list, err);
    if (n < 0 || !rt_json_need(&root, "defaults", err) ||
        !rt_gpu_defaults_read(&defaults, &c->defaults, err))
        return false;
    c->gpus = calloc((size_t)n + 1, sizeof *c->gpus);
    if (c->gpus == NULL)
        return rt_fail_nomem(err, "catalogue of GPUs");
    for (; (int)c->gpu_count < n; c->gpu_count++) {
        struct rt_json_at at = rt_json_item(&list, (int)c->gpu_count);
        if (!read_gpu(c, &at, &c->gpus[c->gpu_count], err))
            return false;
    }
    qsort(c->gpus, c->gpu_count, sizeof *c->gpus, compare_gpus);
    for (unsigned i = 0; i < c->gpu_count; i++) {
        struct rt_json_at at = rt_json_item(&list, c->gpus[i].place);
        if (!add_labels(&c->gpu_labels, &at, i, err))
            return false;
    }
    return rt_labels_sort(&c->gpu_labels, &list, err);
}

static bool read_model(const struct rt_json_at *at, struct model_entry *entry, struct rt_err *err)
{
    rt_model_init(&entry->model);
    entry->place = at->index;
    return rt_model_read(at, RT_RECORD_CATALOGUE, &entry->model, err) &&
           keep_json(at, &entry->json, err);
}

static bool open_models(struct rt_catalog *c, const char *dir, struct rt_err *err)
{
    static const char *const keys[] = {"models"};
    struct rt_json_at root, list;

    if (!load(dir, "models.json", rt_catalog_models_json, &c->model_doc, err))
        return false;
    root = rt_json_root(c->model_doc);
    int n = list_of(&root, keys, 1, &list, err);
    if (n < 0)
        return false;
    c->models = calloc((size_t)n + 1, sizeof *c->models);
    if (c->models == NULL)
        return rt_fail_nomem(err, "catalogue of models");
    for (; (int)c->model_count < n; c->model_count++) {
        struct rt_json_at at = rt_json_item(&list, (int)c->model_count);
        if (!read_model(&at, &c->models[c->model_count], err))
            return false;
    }
    qsort(c->models, c->model_count, sizeof *c->models, compare_models);
    for (unsigned i = 0; i < c->model_count; i++) {
        struct rt_json_at at = rt_json_item(&list, c->models[i].place);
        if (!add_labels(&c->model_labels, &at, i, err))
            return false;
    }
    return rt_labels_sort(&c->model_labels, &list, err);
}

bool rt_catalog_open(const char *dir, struct rt_catalog **out, struct rt_err *err)
{
    struct rt_catalog *c = calloc(1, sizeof *c);

    *out = NULL;
    if (c == NULL)
        return rt_fail_nomem(err, "catalogue");
    if (!open_gpus(c, dir, err) || !open_models(c, dir, err)) {
        rt_catalog_free(c);
        return false;
    }
    *out = c;
    return true;
}

void rt_catalog_free(struct rt_catalog *c)
{
    if (c == NULL)
        return;
    /* The entry after the last complete one may hold a text already; both arrays have a spare. */
    for (unsigned i = 0; c->gpus != NULL && i <= c->gpu_count; i++)
        free(c->gpus[i].json);
    for (unsigned i = 0; c->models != NULL && i <= c->model_count; i++)
        free(c->models[i].json);
    free(c->gpus);
    free(c->models);
    rt_labels_release(&c->gpu_labels);
    rt_labels_release(&c->model_labels);
    rt_json_free(c->gpu_doc);
    rt_json_free(c->model_doc);
    free(c);
}

unsigned rt_catalog_gpu_count(const struct rt_catalog *c)
{
    return c->gpu_count;
}

unsigned rt_catalog_model_count(const struct rt_catalog *c)
{
    return c->model_count;
}

const struct rt_gpu *rt_catalog_gpu_at(const struct rt_catalog *c, unsigned i)
{
    return &c->gpus[i].gpu;
}

const struct rt_model *rt_catalog_model_at(const struct rt_catalog *c, unsigned i)
{
    return &c->models[i].model;
}

const char *rt_catalog_gpu_json(const struct rt_catalog *c, unsigned i)
{
    return c->gpus[i].json;
}

const char *rt_catalog_model_json(const struct rt_catalog *c, unsigned i)
{
    return c->models[i].json;
}

/* ---- objects --------------------------------------------------------------------------------- */

/* The base that an object names, as an index into the sorted records. */
static bool find_base(const struct rt_json_at *at, const struct rt_labels *labels, const char *what,
                      unsigned *base, struct rt_err *err)
{
    char suggestion[256];
    const char *name = "";
    struct rt_json_at place = rt_json_get(at, "base");

    if (!rt_json_string(at, "base", &name, err))
        return false;
    if (rt_labels_find(labels, name, base))
        return true;
    return rt_json_fail(&place, err, "unknown %s \"%.80s\": %s", what, name,
                        rt_labels_suggest(labels, name, suggestion, sizeof suggestion));
}

static bool has_base(const struct rt_json_at *at)
{
    struct rt_json_at base = rt_json_get(at, "base");

    return rt_json_kind(&base) != RT_JSON_ABSENT;
}

/* A changed record without a name of its own must not pass for its base. */
static void name_change(const struct rt_json_at *at, char name[RT_NAME_SIZE])
{
    static const char suffix[] = "-changed";
    struct rt_json_at own = rt_json_get(at, "name");
    size_t len = strlen(name);

    if (rt_json_kind(&own) != RT_JSON_ABSENT)
        return;
    if (len > RT_NAME_SIZE - sizeof suffix)
        len = RT_NAME_SIZE - sizeof suffix;
    memcpy(name + len, suffix, sizeof suffix);
}

static bool gpu_object(const struct rt_catalog *c, const struct rt_json_at *at, struct rt_gpu *out,
                       struct rt_err *err)
{
    struct rt_gpu_draft draft;
    enum rt_record_kind kind = RT_RECORD_OWN;

    rt_gpu_draft_init(&draft);
    if (has_base(at)) {
        struct rt_json_at root = rt_json_root(c->gpu_doc), list = rt_json_get(&root, "gpus");
        unsigned i = 0;
        if (!find_base(at, &c->gpu_labels, "GPU", &i, err))
            return false;
        struct rt_json_at base = rt_json_item(&list, c->gpus[i].place);
        if (!rt_gpu_draft_read(&draft, &base, RT_RECORD_CATALOGUE, err))
            return false;
        name_change(at, draft.gpu.name);
        kind = RT_RECORD_CHANGE;
    }
    if (!rt_gpu_draft_read(&draft, at, kind, err))
        return false;
    rt_gpu_draft_finish(&draft, &c->defaults, out);
    return true;
}

static bool model_object(const struct rt_catalog *c, const struct rt_json_at *at,
                         struct rt_model *out, struct rt_err *err)
{
    enum rt_record_kind kind = RT_RECORD_OWN;

    rt_model_init(out);
    if (rt_hf_is_config(at))
        return rt_hf_read(at, out, err);
    if (has_base(at)) {
        unsigned i = 0;
        if (!find_base(at, &c->model_labels, "model", &i, err))
            return false;
        *out = c->models[i].model;
        name_change(at, out->name);
        kind = RT_RECORD_CHANGE;
    }
    return rt_model_read(at, kind, out, err);
}

/* ---- names and paths ------------------------------------------------------------------------- */

/* Is this text a path? `file` is where it would be. */
static bool is_path(const char *text, const char *file)
{
    size_t len = strlen(text);

    if (len >= 5 && strcasecmp(text + len - 5, ".json") == 0)
        return true;
    return strchr(text, '/') != NULL && access(file, F_OK) == 0;
}

static bool gpu_file(const struct rt_catalog *c, const char *path, struct rt_gpu *out,
                     struct rt_err *err)
{
    struct rt_json *doc;

    if (!rt_json_load(path, &doc, err))
        return false;
    struct rt_json_at root = rt_json_root(doc);
    bool ok = gpu_object(c, &root, out, err);
    rt_json_free(doc);
    return ok;
}

static bool model_file(const struct rt_catalog *c, const char *path, struct rt_model *out,
                       struct rt_err *err)
{
    struct rt_json *doc;

    if (!rt_json_load(path, &doc, err))
        return false;
    struct rt_json_at root = rt_json_root(doc);
    bool ok = model_object(c, &root, out, err);
    rt_json_free(doc);
    return ok;
}

/* Always false: `unknown GPU "h10-sxm": did you mean "h100-sxm"?` */
static bool fail_unknown(const char *what, const char *name, const struct rt_labels *labels,
                         struct rt_err *err)
{
    char suggestion[300];

    return rt_fail(err, RT_ECONFIG, "unknown %s \"%.80s\": %s", what, name,
                   rt_labels_suggest(labels, name, suggestion, sizeof suggestion));
}

bool rt_catalog_gpu(const struct rt_catalog *c, const char *name_or_path, struct rt_gpu *out,
                    struct rt_err *err)
{
    unsigned i;

    if (rt_labels_find(&c->gpu_labels, name_or_path, &i)) {
        *out = c->gpus[i].gpu;
        return true;
    }
    if (is_path(name_or_path, name_or_path))
        return gpu_file(c, name_or_path, out, err);
    return fail_unknown("GPU", name_or_path, &c->gpu_labels, err);
}

bool rt_catalog_model(const struct rt_catalog *c, const char *name_or_path, struct rt_model *out,
                      struct rt_err *err)
{
    unsigned i;

    if (rt_labels_find(&c->model_labels, name_or_path, &i)) {
        *out = c->models[i].model;
        return true;
    }
    if (is_path(name_or_path, name_or_path))
        return model_file(c, name_or_path, out, err);
    return fail_unknown("model", name_or_path, &c->model_labels, err);
}

/* What the string at a place names: a path becomes one beside the document, a name stays as it is.
 * malloc'ed. */
static char *resolve(const struct rt_json_at *at, const struct rt_labels *labels,
                     struct rt_err *err)
{
    const char *text;
    unsigned record;

    if (!rt_record_item_text(at, &text, err))
        return NULL;
    char *beside = rt_path_beside(rt_json_name(at->doc), text);
    if (beside != NULL && (rt_labels_find(labels, text, &record) || !is_path(text, beside))) {
        free(beside);
        beside = strdup(text);
    }
    if (beside == NULL)
        rt_fail_nomem(err, "path of a record");
    return beside;
}

/* Puts the place in front of an error that knows only the name, or the file that was named. */
static bool at_place(const struct rt_json_at *at, bool ok, struct rt_err *err)
{
    char path[256];

    if (!ok && err->code != RT_ENOMEM)
        rt_fail_in(err, "%s: %s", rt_json_name(at->doc), rt_json_path(at, path, sizeof path));
    return ok;
}

bool rt_catalog_gpu_from(const struct rt_catalog *c, const struct rt_json_at *at,
                         struct rt_gpu *out, struct rt_err *err)
{
    if (rt_json_kind(at) == RT_JSON_OBJECT)
        return gpu_object(c, at, out, err);
    if (rt_json_kind(at) != RT_JSON_STRING)
        return rt_json_fail(at, err, "expected the name of a GPU, a path or an object");
    char *name = resolve(at, &c->gpu_labels, err);
    bool ok = name != NULL && at_place(at, rt_catalog_gpu(c, name, out, err), err);
    free(name);
    return ok;
}

bool rt_catalog_model_from(const struct rt_catalog *c, const struct rt_json_at *at,
                           struct rt_model *out, struct rt_err *err)
{
    if (rt_json_kind(at) == RT_JSON_OBJECT)
        return model_object(c, at, out, err);
    if (rt_json_kind(at) != RT_JSON_STRING)
        return rt_json_fail(at, err, "expected the name of a model, a path or an object");
    char *name = resolve(at, &c->model_labels, err);
    bool ok = name != NULL && at_place(at, rt_catalog_model(c, name, out, err), err);
    free(name);
    return ok;
}
