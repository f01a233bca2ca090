/* Names of statuses and reasons, and the list that carries rows from the replicas to the writer. */
#include "rooftrace/finished.h"

#include <stdlib.h>
#include <string.h>

const char *const rt_status_names[RT_STATUS_COUNT] = {
#define X(name, text) text,
    RT_STATUSES(X)
#undef X
};

const char *const rt_reason_names[RT_REASON_COUNT] = {
#define X(name, text) text,
    RT_REASONS(X)
#undef X
};

void rt_finished_list_init(struct rt_finished_list *l)
{
    *l = (struct rt_finished_list){0};
    rt_arena_init(&l->text);
}

void rt_finished_list_release(struct rt_finished_list *l)
{
    free(l->rows);
    rt_arena_release(&l->text);
    rt_finished_list_init(l);
}

void rt_finished_list_reset(struct rt_finished_list *l)
{
    l->count = 0;
    rt_arena_reset(&l->text);
}

bool rt_finished_list_add(struct rt_finished_list *l, const struct rt_finished *row)
{
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 64;
        struct rt_finished *rows = realloc(l->rows, capacity * sizeof rows[0]);
        if (!rows)
            return false;
        l->rows = rows;
        l->capacity = capacity;
    }
    struct rt_finished *copy = &l->rows[l->count];
    *copy = *row;
    if (row->session) {
        copy->session = rt_arena_strdup(&l->text, row->session);
        if (!copy->session)
            return false;
    }
    if (row->prefill) {
        struct rt_prefill_part *part = rt_arena_alloc(&l->text, sizeof *part);
        if (!part)
            return false;
        *part = *row->prefill;
        copy->prefill = part;
    }
    if (row->losses) {
        struct rt_loss *losses = rt_arena_alloc(&l->text, row->retries * sizeof losses[0]);
        if (!losses)
            return false;
        memcpy(losses, row->losses, row->retries * sizeof losses[0]);
        copy->losses = losses;
    }
    l->count++;
    return true;
}
