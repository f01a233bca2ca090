/* synth_plan.c: units of synthetic traffic: rows that are planned when the unit begins. A unit's
 * memory is kept for the next one that is made in it. O(1) a row; rt_unit_ids is O(blocks). */
#include "synth_internal.h"

#include <stdlib.h>

void rt_unit_release(struct rt_unit *u)
{
    free(u->rows);
    *u = (struct rt_unit){.rows = NULL};
}

void rt_unit_reset(struct rt_unit *u)
{
    struct rt_plan_row *rows = u->rows;
    uint32_t capacity = u->capacity;
    *u = (struct rt_unit){.rows = rows, .capacity = capacity};
}

struct rt_plan_row *rt_unit_add(struct rt_unit *u)
{
    if (u->count == u->capacity) {
        uint32_t capacity = u->capacity == 0 ? 1 : 2 * u->capacity;
        struct rt_plan_row *rows = realloc(u->rows, capacity * sizeof *rows);
        if (rows == NULL)
            return NULL;
        u->rows = rows;
        u->capacity = capacity;
    }
    u->rows[u->count] = (struct rt_plan_row){.think_ns = -1, .deadline_ns = RT_NO_DEADLINE};
    return &u->rows[u->count++];
}

void rt_unit_ids(const struct rt_unit *u, const struct rt_plan_row *row, uint64_t *out)
{
    for (uint32_t j = 0; row->codes != NULL && j < row->id_count; j++) {
        uint64_t code = row->codes[j];
        out[j] = (code & RT_CODE_OWN) != 0 ? u->own_base + (code & ~RT_CODE_OWN) : code;
    }
    for (uint32_t j = 0; row->codes == NULL && j < row->id_count; j++)
        out[j] = j < u->shared_blocks ? u->shared_base + j : u->own_base + (j - u->shared_blocks);
}
