/* Batches on their way through the stages of a pipeline, and ranks that step together.
 *
 *     waiting -> formed -> [stage 1][stage 2]...[stage P] -> tokens appear
 *                  ^ one of P lanes each                 |
 *                  +-------------------------------------+
 *
 * As vLLM V1's engine does, batches are formed, each on a lane that is not on its way, until P are
 * under way or one comes out empty; then nothing is formed before the oldest has ended. A batch
 * enters when the first stage is free of the one before it, and ends no earlier than that. With
 * asynchronous scheduling one more is formed: on the lane of the oldest, as if it had ended.
 *
 * Ranks that step together are one pipeline: a lane is the same lane of every rank, a batch takes
 * as long as the longest of the ranks', ranks without requests run along. Without stages P is 1.
 *
 * Every step is formed by its policy, nothing is coasted. O(ranks + stages) a step beside what
 * forming takes. */
#include "pipeline_internal.h"
#include "rooftrace/cost.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool pipeline_init(struct pipeline *p, struct rank **ranks, uint32_t rank_count)
{
    uint32_t lanes = ranks[0]->lane_count;
    *p = (struct pipeline){.ranks = ranks, .rank_count = rank_count, .lane_count = lanes};
    p->order = calloc(lanes, sizeof p->order[0]);
    p->end_ns = calloc(lanes, sizeof p->end_ns[0]);
    if (!p->order || !p->end_ns)
        return false;
    for (uint32_t l = 0; l < lanes; l++)
        p->order[l] = l;
    return true;
}

void pipeline_release(struct pipeline *p)
{
    free(p->order);
    free(p->end_ns);
}

static struct rank *rank_on(const struct pipeline *p, uint32_t i, uint32_t lane)
{
    struct rank *r = p->ranks[i];
    r->lane = &r->lanes[lane];
    return r;
}

int64_t pipeline_next_ns(const struct pipeline *p)
{
    return p->count > 0 ? p->end_ns[p->order[0]] : RT_NEVER_AGAIN;
}

/* Forms the next batches of a lane, unless that was done ahead, knowing what has appeared by
 * known_ns. *any: there is something to do. */
static bool form(const struct pipeline *p, uint32_t lane, int64_t known_ns, bool *any,
                 struct rt_err *err)
{
    int64_t start_ns = known_ns > p->entry_ns ? known_ns : p->entry_ns;
    *any = false;
    for (uint32_t i = 0; i < p->rank_count; i++) {
        struct rank *r = rank_on(p, i, lane);
        struct lane *l = r->lane;
        struct batch *b = l->now == &l->batches[0] ? &l->batches[1] : &l->batches[0];
        if (!l->ahead) {
            r->form_ns = known_ns;
            if (!batch_form(r, b, start_ns, err))
                return false;
            if (b->record.shape.tokens > 0)
                l->ahead = b;
        }
        *any = *any || l->ahead;
    }
    return true;
}

static void note_group(const struct pipeline *p, uint32_t lane, struct rt_step_shape *idle)
{
    *idle = (struct rt_step_shape){0};
    if (p->rank_count == 1)
        return;
    for (uint32_t i = 0; i < p->rank_count; i++) {
        const struct batch *b = p->ranks[i]->lanes[lane].ahead;
        int64_t tokens = b ? b->record.shape.tokens : 0;
        idle->group_tokens += tokens;
        if (tokens > idle->group_largest)
            idle->group_largest = tokens;
    }
}

/* What the batches formed on a lane take, together: the longest of the ranks'. */
static bool price(const struct pipeline *p, uint32_t lane, int64_t *step_ns, int64_t *stage_ns,
                  struct rt_err *err)
{
    struct rt_step_shape idle;
    note_group(p, lane, &idle);
    *step_ns = *stage_ns = 0;
    for (uint32_t i = 0; i < p->rank_count; i++) {
        struct rank *r = rank_on(p, i, lane);
        struct batch *b = r->lane->ahead;
        const struct rt_step_shape *shape = b ? &b->record.shape : &idle;
        int64_t ns = 0;
        if (b) {
            b->record.shape.group_tokens = idle.group_tokens;
            b->record.shape.group_largest = idle.group_largest;
            if (!step_price(r, b))
                return rt_fail_nomem(err, "step totals");
            ns = b->lasts_ns;
        } else {
            ns = rt_cost_step_ns(r->cost, shape);
        }
        int64_t enters_ns = rt_cost_stage_ns(r->cost, shape);
        *step_ns = ns > *step_ns ? ns : *step_ns;
        *stage_ns = enters_ns > *stage_ns ? enters_ns : *stage_ns;
    }
    return true;
}

/* The batches formed on a lane begin. */
static bool begin(struct pipeline *p, uint32_t lane, int64_t now_ns, struct rt_err *err)
{
    int64_t step_ns, stage_ns, start_ns = now_ns > p->entry_ns ? now_ns : p->entry_ns;
    if (!price(p, lane, &step_ns, &stage_ns, err) || !step_fits_clock(start_ns, step_ns, err))
        return false;
    int64_t end_ns = start_ns + step_ns > p->last_end_ns ? start_ns + step_ns : p->last_end_ns;
    for (uint32_t i = 0; i < p->rank_count; i++) {
        struct rank *r = rank_on(p, i, lane);
        struct lane *l = r->lane;
        if (!l->ahead)
            continue;
        l->now = l->ahead;
        l->ahead = NULL;
        l->now->waited_ns = end_ns - start_ns - l->now->lasts_ns;
        if (!step_begin(r, start_ns, end_ns, err))
            return false;
    }
    p->entry_ns = start_ns + stage_ns;
    p->last_end_ns = p->end_ns[lane] = end_ns;
    p->count++;
    return true;
}

/* Those that wait for KV from elsewhere, of every rank. */
static bool give_rooms(const struct pipeline *p, struct rt_err *err)
{
    for (uint32_t i = 0; i < p->rank_count; i++)
        if (p->ranks[i]->remote && !remote_give_rooms(p->ranks[i], err))
            return false;
    return true;
}

bool pipeline_schedule(struct pipeline *p, int64_t now_ns, struct rt_err *err)
{
    bool any = true;
    if (!give_rooms(p, err))
        return false;
    while (any && p->count < p->lane_count) {
        uint32_t lane = p->order[p->count];
        if (!form(p, lane, now_ns, &any, err) || (any && !begin(p, lane, now_ns, err)))
            return false;
    }
    uint32_t oldest = p->order[0];
    if (p->ranks[0]->engine->async_scheduling && p->count > 0 &&
        !form(p, oldest, p->end_ns[oldest], &any, err))
        return false;
    return give_rooms(p, err);
}

bool pipeline_step_end(struct pipeline *p, int64_t now_ns, struct rt_finished_list *out,
                       struct rt_err *err)
{
    uint32_t lane = p->order[0];
    assert(p->count > 0 && p->end_ns[lane] == now_ns);
    (void)now_ns;
    for (uint32_t i = 0; i < p->rank_count; i++) {
        struct rank *r = rank_on(p, i, lane);
        if (r->lane->now && !step_complete(r, out, err))
            return false;
    }
    p->count--;
    memmove(p->order, p->order + 1, p->count * sizeof p->order[0]);
    p->order[p->count] = lane; /* no others have sequences that are not on their way */
    return true;
}
