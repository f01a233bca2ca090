/* Configuration files: loading, places, and readers that check type and range.
 *
 * A text is first checked in full (json_scan.c), then given to cJSON, then searched for duplicate
 * keys (json_index.c). After that the tree never changes. Every message begins with the document's
 * name and the path of the value that is wrong. Looking up a key or an element is O(1) in small
 * containers and O(log n) in large ones. */
#include "base_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool fail_io(struct rt_err *err, const char *path, const char *what)
{
    return rt_fail(err, RT_EIO, "%s: %s: %s", path, what, strerror(errno));
}

/* The whole stream, malloc'ed into *text; the caller frees it, also after a failure. */
static bool read_all(FILE *file, const char *path, char **text, size_t *len, struct rt_err *err)
{
    size_t capacity = (size_t)16 << 10;

    *text = NULL;
    *len = 0;
    for (;;) {
        char *grown = realloc(*text, capacity);
        if (grown == NULL)
            return rt_fail_nomem(err, path);
        *text = grown;
        errno = 0;
        *len += fread(*text + *len, 1, capacity - *len, file);
        if (ferror(file))
            return fail_io(err, path, "cannot read");
        if (*len > RT_JSON_FILE_MAX)
            return rt_fail(err, RT_EIO, "%s: larger than 64 MiB", path);
        if (*len < capacity)
            return true;
        capacity *= 2;
    }
}

bool rt_json_load(const char *path, struct rt_json **out, struct rt_err *err)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    size_t len = 0;
    bool ok;

    *out = NULL;
    if (file == NULL)
        return fail_io(err, path, "cannot open");
    ok = read_all(file, path, &text, &len, err);
    fclose(file);
    ok = ok && rt_json_parse(text, len, path, out, err);
    free(text);
    return ok;
}

/* The tree and its index, for a text without byte order mark. */
static bool build(struct rt_json *doc, const char *text, size_t len, struct rt_err *err)
{
    if (!rt_json_scan(text, len, doc->name, err))
        return false;
    doc->root = cJSON_ParseWithLengthOpts(text, len, NULL, 0);
    if (doc->root == NULL)
        return rt_fail_nomem(err, doc->name);
    return rt_json_index(doc, err);
}

bool rt_json_parse(const char *text, size_t len, const char *name, struct rt_json **out,
                   struct rt_err *err)
{
    struct rt_json *doc = calloc(1, sizeof *doc);
    size_t mark = len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;

    *out = NULL;
    if (doc == NULL)
        return rt_fail_nomem(err, name);
    doc->name = strdup(name);
    if (doc->name == NULL) {
        rt_json_free(doc);
        return rt_fail_nomem(err, name);
    }
    if (!build(doc, text + mark, len - mark, err)) {
        rt_json_free(doc);
        return false;
    }
    *out = doc;
    return true;
}

void rt_json_free(struct rt_json *doc)
{
    if (doc == NULL)
        return;
    rt_json_index_release(doc);
    cJSON_Delete(doc->root);
    free(doc->name);
    free(doc);
}

const char *rt_json_name(const struct rt_json *doc)
{
    return doc->name;
}

struct rt_json_at rt_json_root(const struct rt_json *doc)
{
    return (struct rt_json_at){.doc = doc, .node = doc->root};
}

static const cJSON *find_key(const struct rt_json_at *at, const char *key)
{
    const struct rt_json_large *large = rt_json_find_large(at->doc, at->node);
    size_t low = 0, high;

    if (large == NULL)
        return cJSON_GetObjectItemCaseSensitive(at->node, key);
    high = (size_t)large->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(large->by_key[middle]->string, key);
        if (order == 0)
            return large->by_key[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

struct rt_json_at rt_json_get(const struct rt_json_at *at, const char *key)
{
    struct rt_json_at child = {.doc = at->doc, .parent = at, .key = key};

    if (at->node != NULL && cJSON_IsObject(at->node))
        child.node = find_key(at, key);
    return child;
}

static const cJSON *find_child(const struct rt_json_at *at, int i)
{
    const struct rt_json_large *large;

    if (i < 0)
        return NULL;
    large = rt_json_find_large(at->doc, at->node);
    if (large != NULL)
        return i < large->count ? large->children[i] : NULL;
    return cJSON_GetArrayItem(at->node, i);
}

struct rt_json_at rt_json_item(const struct rt_json_at *at, int i)
{
    struct rt_json_at child = {.doc = at->doc, .parent = at, .index = i};

    if (at->node != NULL && cJSON_IsArray(at->node))
        child.node = find_child(at, i);
    return child;
}

struct rt_json_at rt_json_member(const struct rt_json_at *at, int i)
{
    struct rt_json_at child = {.doc = at->doc, .parent = at, .index = i};

    if (at->node != NULL && cJSON_IsObject(at->node))
        child.node = find_child(at, i);
    if (child.node != NULL)
        child.key = child.node->string;
    return child;
}

int rt_json_count(const struct rt_json_at *at)
{
    const struct rt_json_large *large;

    if (at->node == NULL || !(cJSON_IsArray(at->node) || cJSON_IsObject(at->node)))
        return 0;
    large = rt_json_find_large(at->doc, at->node);
    return large != NULL ? large->count : cJSON_GetArraySize(at->node);
}

enum rt_json_kind rt_json_kind(const struct rt_json_at *at)
{
    if (at->node == NULL)
        return RT_JSON_ABSENT;
    if (cJSON_IsBool(at->node))
        return RT_JSON_BOOL;
    if (cJSON_IsNumber(at->node))
        return RT_JSON_NUMBER;
    if (cJSON_IsString(at->node))
        return RT_JSON_STRING;
    if (cJSON_IsArray(at->node))
        return RT_JSON_ARRAY;
    return cJSON_IsObject(at->node) ? RT_JSON_OBJECT : RT_JSON_NULL;
}
