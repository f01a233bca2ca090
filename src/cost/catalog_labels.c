/* Names and aliases of one list of the catalogue: a sorted array of texts, each with the record it
 * stands for. Case does not matter, and '_' and blanks count as '-', so that "NVIDIA H100 80GB
 * HBM3" as nvidia-smi prints it finds "nvidia-h100-80gb-hbm3". Two equal ones are an error. Adding
 * is O(1) amortised, sorting O(n log n), finding O(log n). */
#include "catalog_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char fold(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (unsigned char)(c - 'A' + 'a');
    return (unsigned char)(c == '_' || c == ' ' ? '-' : c);
}

int rt_label_compare(const char *a, const char *b)
{
    while (*a != '\0' && fold(*a) == fold(*b)) {
        a++;
        b++;
    }
    return (int)fold(*a) - (int)fold(*b);
}

void rt_labels_release(struct rt_labels *l)
{
    free(l->items);
    *l = (struct rt_labels){0};
}

bool rt_labels_add(struct rt_labels *l, const char *text, unsigned record, bool alias,
                   struct rt_err *err)
{
    if (l->count == l->capacity) {
        unsigned capacity = l->capacity > 0 ? 2 * l->capacity : 64;
        struct rt_label *items = realloc(l->items, capacity * sizeof *items);
        if (items == NULL)
            return rt_fail_nomem(err, "names of the catalogue");
        l->items = items;
        l->capacity = capacity;
    }
    l->items[l->count++] = (struct rt_label){.text = text, .record = record, .alias = alias};
    return true;
}

static int compare(const void *a, const void *b)
{
    return rt_label_compare(((const struct rt_label *)a)->text, ((const struct rt_label *)b)->text);
}

bool rt_labels_sort(struct rt_labels *l, const struct rt_json_at *at, struct rt_err *err)
{
    if (l->count > 0)
        qsort(l->items, l->count, sizeof *l->items, compare);
    for (unsigned i = 1; i < l->count; i++)
        if (compare(&l->items[i - 1], &l->items[i]) == 0)
            return rt_json_fail(at, err, "the name or alias \"%s\" is there twice",
                                l->items[i].text);
    return true;
}

bool rt_labels_find(const struct rt_labels *l, const char *text, unsigned *record)
{
    unsigned low = 0, high = l->count;

    while (low < high) {
        unsigned middle = low + (high - low) / 2;
        int order = rt_label_compare(text, l->items[middle].text);
        if (order == 0) {
            *record = l->items[middle].record;
            return true;
        }
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

/* Of the names, with what stands between them. */
static size_t lengths(const char *const *names, unsigned count)
{
    size_t sum = 0;
    for (unsigned i = 0; i < count; i++)
        sum += strlen(names[i]) + sizeof ", " - 1;
    return sum;
}

const char *rt_labels_suggest(const struct rt_labels *l, const char *text, char *buf, unsigned size)
{
    const char **texts = malloc((l->count > 0 ? l->count : 1) * sizeof *texts);
    unsigned names = 0, all;

    static const char many[] = "`rooftrace catalog` lists them";
    snprintf(buf, size, "%s", many);
    if (texts == NULL)
        return buf;
    for (unsigned i = 0; i < l->count; i++)
        if (!l->items[i].alias)
            texts[names++] = l->items[i].text;
    all = names;
    for (unsigned i = 0; i < l->count; i++)
        if (l->items[i].alias)
            texts[all++] = l->items[i].text;
    const char *nearest = rt_nearest(text, texts, names);
    if (nearest == NULL)
        nearest = rt_nearest(text, texts, all);
    if (nearest != NULL)
        snprintf(buf, size, "did you mean \"%s\"?", nearest);
    else if (names > 0 && lengths(texts, names) + sizeof "one of " <= size)
        rt_suggest(text, texts, names, buf, size);
    free(texts);
    return buf;
}
