/* The record of every step, for those who want it (rt_replica_record_steps).
 *
 * A step is appended when it is over: by step_complete, or, for steps that were coasted through,
 * when coast_commit makes them real. Those are worked out one by one from the sums that the plan
 * was made of, so that the rows are the same as without coasting (a test). Seconds by term are
 * asked of the cost model step by step: the sums coasting keeps add up in another order, which the
 * last bits would show. Cost: one evaluation of the cost model a step; nothing when nobody asked.
 */
#include "replica_internal.h"
#include "rooftrace/cost.h"

#include <assert.h>
#include <stdlib.h>

void rt_step_list_release(struct rt_step_list *l)
{
    free(l->rows);
    *l = (struct rt_step_list){0};
}

void rt_step_list_reset(struct rt_step_list *l)
{
    l->count = 0;
}

struct rt_step_row *rt_step_list_add(struct rt_step_list *l)
{
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 64;
        struct rt_step_row *rows = realloc(l->rows, capacity * sizeof rows[0]);
        if (!rows)
            return NULL;
        l->rows = rows;
        l->capacity = capacity;
    }
    return &l->rows[l->count++];
}

static bool append(struct rank *r, const struct rt_step_record *rec, uint64_t number,
                   struct rt_err *err)
{
    struct rt_step_row *row = rt_step_list_add(r->steps);
    if (!row)
        return rt_fail_nomem(err, "step records");
    *row = (struct rt_step_row){
        .step = number * r->numbers + r->number,
        .replica = r->index,
        .start_ns = rec->start_ns,
        .end_ns = rec->end_ns,
        .decodes = rec->shape.decodes,
        .prefill_tokens = rec->shape.prefill_tokens,
        .sequences = rec->shape.sequences,
        .context_tokens = rec->shape.held_tokens,
        .kv_blocks_used = rec->kv_blocks_used,
        .waiting = rec->waiting,
    };
    int64_t ns = rt_cost_step(r->cost, &rec->shape, row->terms_s);
    (void)ns; /* only asserted; pipelines and ranks that step together may wait beside */
    assert(r->piped ? ns <= rec->end_ns - rec->start_ns : ns == rec->end_ns - rec->start_ns);
    return true;
}

bool step_log(struct rank *r, struct rt_err *err)
{
    return !r->steps || append(r, &r->lane->now->record, r->totals.steps, err);
}

/* What a planned step adds to the record of the one before: it was formed in the state now, some
 * rounds later, for the round given. The step formed ahead has a record of its own. */
static void plan_record(const struct rank *r, uint32_t i, int64_t round, uint32_t *cursor,
                        struct rt_step_record *rec)
{
    const struct decode_set *d = &r->lane->decode;
    rec->start_ns = rec->end_ns;
    rec->end_ns += r->plan.ns[i];
    if (r->lane->ahead && i == r->plan.next) {
        rec->kv_blocks_used = r->lane->ahead->record.kv_blocks_used;
        rec->waiting = r->lane->ahead->record.waiting;
        return;
    }
    if (i == r->plan.next + (r->lane->ahead ? 1 : 0))
        rec->kv_blocks_used = r->kv_blocks - r->free_blocks;
    int64_t blocks = decode_blocks(d, cursor, round_tokens(d, round));
    if (!r->policy->reserves_output)
        rec->kv_blocks_used += blocks;
    rec->waiting = rank_waiting(r);
}

bool step_log_coasted(struct rank *r, uint32_t count, struct rt_err *err)
{
    if (!r->steps)
        return true;
    uint32_t cursor = r->lane->decode.cursor;
    int64_t round = r->lane->decode.round + (r->lane->ahead ? 0 : 1);
    uint64_t number = r->totals.steps;
    struct rt_step_record rec = r->lane->now->record;
    if (!append(r, &rec, number, err))
        return false;
    for (uint32_t n = 0; n < count; n++) {
        rec.shape = coast_shape(r, n);
        plan_record(r, r->plan.next + n, round++, &cursor, &rec);
        if (n + 1 == count)
            break; /* it has begun and is not over */
        if (!append(r, &rec, ++number, err))
            return false;
    }
    /* The records that stay: of the step in progress, and with it of the one formed ahead. */
    r->lane->now->record.waiting = rank_waiting(r);
    struct batch *begun = r->lane->ahead ? r->lane->ahead : r->lane->now;
    begun->record.kv_blocks_used = rec.kv_blocks_used;
    begun->record.waiting = rec.waiting;
    return true;
}
