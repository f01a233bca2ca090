/* The traces of a sweep, each in memory once, as long as the budget lasts.
 *
 * A trace that only one trial uses is not kept: the first trial streams it, the second has it read.
 * What is larger than what is left of the budget, cannot be read twice or has an error streams in
 * every trial, which then tells the error. O(traces) a lookup: sweeps over traces have few. */
#include "campaign_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    char *key; /* what decides how the trace is read */
    bool tried;
    struct rt_trace_table *table;
};

struct rt_traces {
    size_t left_bytes;
    struct entry *entries;
    size_t count;
};

bool rt_traces_new(size_t budget_bytes, struct rt_traces **out, struct rt_err *err)
{
    struct rt_traces *t = calloc(1, sizeof *t);

    if (t == NULL)
        return rt_fail_nomem(err, "traces");
    t->left_bytes = budget_bytes;
    *out = t;
    return true;
}

void rt_traces_free(struct rt_traces *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->count; i++) {
        rt_trace_table_free(t->entries[i].table);
        free(t->entries[i].key);
    }
    free(t->entries);
    free(t);
}

/* malloc'ed; NULL: out of memory. */
static char *key_of(const struct rt_workload_spec *w)
{
    const char *columns = w->columns != NULL ? w->columns : "";
    size_t size = strlen(w->trace) + strlen(w->format) + strlen(columns) + 32;
    char *key = malloc(size);

    if (key != NULL)
        snprintf(key, size, "%s\n%s\n%s\n%u\n%d", w->trace, w->format, columns, w->block_size,
                 w->drop_failed);
    return key;
}

static struct entry *find(struct rt_traces *t, const char *key)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->entries[i].key, key) == 0)
            return &t->entries[i];
    return NULL;
}

/* Takes the key. Without memory for it the trace streams again. */
static void remember(struct rt_traces *t, char *key)
{
    struct entry *grown = realloc(t->entries, (t->count + 1) * sizeof grown[0]);

    if (grown == NULL) {
        free(key);
        return;
    }
    t->entries = grown;
    t->entries[t->count++] = (struct entry){.key = key};
}

const struct rt_trace_table *rt_traces_get(struct rt_traces *t, const struct rt_workload_spec *w)
{
    struct rt_err ignored = {0}; /* the trial that streams it meets it again */

    if (w->trace == NULL) /* synthetic, a mix */
        return NULL;
    char *key = key_of(w);
    struct entry *e = key != NULL ? find(t, key) : NULL;
    if (e == NULL) {
        if (key != NULL)
            remember(t, key);
        return NULL;
    }
    free(key);
    if (!e->tried) {
        e->tried = true;
        if (rt_trace_table_new(w, t->left_bytes, &e->table, &ignored) && e->table != NULL)
            t->left_bytes -= rt_trace_table_bytes(e->table);
    }
    return e->table;
}
