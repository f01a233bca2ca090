/* Duplicate keys, and fast access to large containers.
 *
 * cJSON keeps children in a list: the i-th one and a key cost O(n), so a loop over a file's worth
 * of elements would be quadratic. Here every container with more than 16 children gets an array of
 * them, objects a second one sorted by key; a container's entry is found by the address of its
 * node. Building is O(n log n), a lookup O(log n), memory 8 or 16 bytes a child of a large
 * container. Duplicates are neighbours in the sorted array. */
#include "base_internal.h"

#include <stdlib.h>
#include <string.h>

#define LARGE_FROM 17 /* below, the list is as fast */

static int compare_keys(const void *a, const void *b)
{
    return strcmp((*(const cJSON *const *)a)->string, (*(const cJSON *const *)b)->string);
}

static int compare_nodes(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct rt_json_large *)a)->node;
    uintptr_t y = (uintptr_t)((const struct rt_json_large *)b)->node;

    return (x > y) - (x < y);
}

static int count_children(const cJSON *node)
{
    int n = 0;

    for (const cJSON *child = node->child; child != NULL; child = child->next)
        n++;
    return n;
}

/* A key that two members of an object share, or NULL; for small objects, by comparing all pairs. */
static const char *small_duplicate(const cJSON *node)
{
    for (const cJSON *a = node->child; a != NULL; a = a->next)
        for (const cJSON *b = node->child; b != a; b = b->next)
            if (strcmp(a->string, b->string) == 0)
                return a->string;
    return NULL;
}

static const char *large_duplicate(const struct rt_json_large *large)
{
    for (int i = 1; i < large->count; i++)
        if (compare_keys(&large->by_key[i - 1], &large->by_key[i]) == 0)
            return large->by_key[i]->string;
    return NULL;
}

/* Adds an entry for a large container; NULL: out of memory. */
static struct rt_json_large *add(struct rt_json *doc, const cJSON *node, int count)
{
    size_t n = (size_t)count;
    bool object = cJSON_IsObject(node);
    struct rt_json_large *entry;
    const cJSON **children;

    if ((doc->large_count & (doc->large_count - 1)) == 0) { /* full: double */
        size_t capacity = doc->large_count == 0 ? 1 : doc->large_count * 2;
        entry = realloc(doc->large, capacity * sizeof *entry);
        if (entry == NULL)
            return NULL;
        doc->large = entry;
    }
    children = malloc(n * (object ? 2 : 1) * sizeof(const cJSON *));
    if (children == NULL)
        return NULL;
    entry = &doc->large[doc->large_count++];
    *entry = (struct rt_json_large){.node = node, .children = children, .count = count};
    n = 0;
    for (const cJSON *child = node->child; child != NULL; child = child->next)
        children[n++] = child;
    if (object) {
        entry->by_key = children + n;
        memcpy(entry->by_key, children, n * sizeof(const cJSON *));
        qsort(entry->by_key, n, sizeof(const cJSON *), compare_keys);
    }
    return entry;
}

/* Checks and indexes one container. */
static bool visit(struct rt_json *doc, const struct rt_json_at *at, struct rt_err *err)
{
    int count = count_children(at->node);
    const char *duplicate = NULL;

    if (count >= LARGE_FROM) {
        const struct rt_json_large *entry = add(doc, at->node, count);
        if (entry == NULL)
            return rt_fail_nomem(err, doc->name);
        if (entry->by_key != NULL)
            duplicate = large_duplicate(entry);
    } else if (cJSON_IsObject(at->node)) {
        duplicate = small_duplicate(at->node);
    }
    if (duplicate != NULL)
        return rt_json_fail(at, err, "duplicate key \"%s\"", duplicate);
    return true;
}

/* The place of a sibling or child: its index counts on from the one before. */
static struct rt_json_at place(const struct rt_json *doc, const cJSON *node,
                               const struct rt_json_at *parent, int index)
{
    return (struct rt_json_at){
        .doc = doc, .node = node, .parent = parent, .key = node->string, .index = index};
}

bool rt_json_index(struct rt_json *doc, struct rt_err *err)
{
    struct rt_json_at path[RT_JSON_DEPTH_MAX + 1]; /* the scan bounds the depth */
    size_t depth = 0;

    path[0] = place(doc, doc->root, NULL, 0);
    for (;;) {
        struct rt_json_at *at = &path[depth];
        if (at->node->child != NULL) {
            if (!visit(doc, at, err))
                return false;
            path[depth + 1] = place(doc, at->node->child, at, 0);
            depth++;
            continue;
        }
        while (depth > 0 && path[depth].node->next == NULL)
            depth--;
        if (depth == 0)
            break;
        at = &path[depth];
        *at = place(doc, at->node->next, at->parent, at->index + 1);
    }
    if (doc->large_count > 0)
        qsort(doc->large, doc->large_count, sizeof *doc->large, compare_nodes);
    return true;
}

void rt_json_index_release(struct rt_json *doc)
{
    for (size_t i = 0; i < doc->large_count; i++)
        free(doc->large[i].children);
    free(doc->large);
    doc->large = NULL;
    doc->large_count = 0;
}

const struct rt_json_large *rt_json_find_large(const struct rt_json *doc, const cJSON *node)
{
    struct rt_json_large wanted = {.node = node};

    if (doc->large_count == 0)
        return NULL;
    return bsearch(&wanted, doc->large, doc->large_count, sizeof *doc->large, compare_nodes);
}
