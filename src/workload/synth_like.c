/* synth_like.c: traffic like that of a trace, any number of requests of it: "like".
 *
 * A local block bootstrap (Kuensch 1989; local: Paparoditis and Politis 2002), without replacement:
 * the units of the trace are passed through in their order, as often as it takes; each pass cuts
 * them into blocks of up to 32 consecutive ones, at other places than the pass before. Blocks go
 * through a pool of a 20th of the trace, from which a random one is taken each time, and are used
 * with the gaps between their units' starts and everything their rows have. When the requests are
 * no whole number of passes, blocks are left out evenly. So all of these stay, without a model that
 * could be wrong for the trace at hand:
 *
 *     lengths, their tails and correlation, classes     rows are kept whole, all are used alike
 *     rate, burstiness, quantised stamps                gaps are the trace's, in runs
 *     slow swings of the rate, and of what is asked     a place is filled from near it
 *     turns, think times, prefix reuse                  units are kept whole (like_blocks.c)
 *
 * Lengths of rows that share nothing are moved by up to half a rank towards their neighbours of
 * the same class, so that they are not only the trace's own values. The trace began in the middle
 * of its conversations; so does this: as long as the longest unit takes is made and thrown away.
 * Failure and memory: like_fit.c. O(1) a row. */
#include "like_internal.h"

#include <stdlib.h>

#define BLOCK 32u /* units at most */
#define NEAR  20u /* the pool is 1 / NEAR of the trace */
#define FEW   64u /* blocks there should be, if need be by making them shorter */

struct block {
    size_t first, count; /* units */
};

struct like {
    struct rt_units base;
    struct rt_like_fit fit;
    double rate_scale;
    size_t block_units;
    size_t place;      /* of the pass: the unit that is cut off next */
    double keep, kept; /* share of the blocks that is used; what is owed of it */
    struct block *pool;
    size_t pool_count, pool_size;
    struct block block; /* being used: what is left of it */
    int64_t start_ns;
    double remainder; /* ns that rounding left over */
    bool begun;
    uint64_t next_id;
    struct rt_rng place_rng, prompt_rng, output_rng;
};

/* The next block of the pass. A pass begins with a shorter one, so that cuts differ. */
static struct block cut_block(struct like *l)
{
    struct block b = {l->place, l->block_units};
    if (l->place == 0)
        b.count = 1 + (size_t)rt_rng_below(&l->place_rng, l->block_units);
    if (b.count > l->fit.unit_count - b.first)
        b.count = l->fit.unit_count - b.first;
    l->place = (b.first + b.count) % l->fit.unit_count;
    return b;
}

static struct block next_kept_block(struct like *l)
{
    for (;;) { /* in all as often as there are blocks in the passes */
        struct block b = cut_block(l);
        l->kept += l->keep;
        if (l->kept >= 1) {
            l->kept -= 1;
            return b;
        }
    }
}

static void begin_block(struct like *l)
{
    while (l->pool_count < l->pool_size)
        l->pool[l->pool_count++] = next_kept_block(l);
    size_t chosen = (size_t)rt_rng_below(&l->place_rng, l->pool_count);
    l->block = l->pool[chosen];
    l->pool[chosen] = l->pool[--l->pool_count];
}

static bool advance(struct like *l, int64_t gap_ns)
{
    if (!l->begun) { /* the first is at 0 */
        l->begun = true;
        return true;
    }
    double ns = (double)gap_ns / l->rate_scale + l->remainder, whole = rint(ns);
    l->remainder = ns - whole;
    return whole < 0x1p63 && !__builtin_add_overflow(l->start_ns, (int64_t)whole, &l->start_ns);
}

/* The value at a rank that is moved by up to half a rank, within the class. */
static int64_t near_rank(const int64_t *sorted, const struct rt_like_range *range, uint32_t rank,
                         struct rt_rng *r)
{
    double u = rt_rng_unit(r) - 0.5;
    int64_t here = sorted[rank], there = here;
    if (u < 0 && rank > range->from)
        there = sorted[rank - 1];
    if (u >= 0 && rank + 1 < range->to)
        there = sorted[rank + 1];
    return here + llrint(fabs(u) * (double)(there - here));
}

static bool add_row(struct like *l, const struct rt_like_unit *u, const struct rt_like_row *from,
                    struct rt_unit *out)
{
    struct rt_plan_row *row = rt_unit_add(out);
    if (row == NULL)
        return false;
    *row = (struct rt_plan_row){.offset_ns = from->arrival_ns - u->start_ns,
                                .prompt_tokens = from->prompt_tokens,
                                .output_tokens = from->output_tokens,
                                .think_ns = from->think_ns,
                                .deadline_ns = from->deadline_ns,
                                .class_name = from->class_name,
                                .model_name = from->model_name,
                                .tenant_name = from->tenant_name,
                                .session = from->session,
                                .priority = from->priority,
                                .codes = l->fit.codes + from->first_code,
                                .id_count = from->id_count};
    if (u->row_count == 1 && from->id_count == 0) {
        const struct rt_like_range *range = &l->fit.ranges[from->class_name];
        row->codes = NULL;
        row->prompt_tokens = near_rank(l->fit.prompts, range, from->prompt_rank, &l->prompt_rng);
        row->output_tokens = near_rank(l->fit.outputs, range, from->output_rank, &l->output_rng);
    }
    return true;
}

static bool like_next(struct rt_units *base, struct rt_unit *out, struct rt_err *err)
{
    struct like *l = (struct like *)base;
    if (l->block.count == 0)
        begin_block(l);
    const struct rt_like_unit *u = &l->fit.units[l->block.first++];
    l->block.count--;
    out->start_ns = advance(l, u->gap_ns) ? l->start_ns : INT64_MAX;
    out->own_base = l->next_id;
    l->next_id += u->own_ids;
    for (uint32_t i = 0; i < u->row_count; i++)
        if (!add_row(l, u, &l->fit.rows[u->first_row + i], out))
            return rt_fail_nomem(err, "turns of a session");
    return true;
}

static const char *like_name(const struct rt_units *base, uint32_t name)
{
    return rt_trace_name(((const struct like *)base)->fit.trace, name);
}

static void like_free(struct rt_units *base)
{
    struct like *l = (struct like *)base;
    rt_like_fit_release(&l->fit);
    free(l->pool);
    free(l);
}

static const struct rt_units_ops ops = {.next = like_next, .name = like_name, .free = like_free};

/* How the requests asked for are spread over passes. */
static bool plan_passes(struct like *l, const struct rt_workload_spec *w)
{
    uint64_t wanted = w->synthetic.requests, rows = l->fit.row_count, units = l->fit.unit_count;
    wanted = wanted < w->max_requests ? wanted : w->max_requests;
    double passes = ceil((double)wanted / (double)rows);
    l->keep = (double)wanted / (passes * (double)rows);
    uint64_t few = (wanted < units ? wanted : units) / FEW;
    l->block_units = few < 1 ? 1 : few < BLOCK ? (size_t)few : BLOCK;
    l->kept = rt_rng_unit(&l->place_rng);
    uint64_t blocks = units / l->block_units;
    l->pool_size = (size_t)(l->keep * (double)blocks / NEAR) + 1;
    l->pool = calloc(l->pool_size, sizeof *l->pool);
    return l->pool != NULL;
}

bool rt_like_new(const struct rt_workload_spec *w, struct rt_units **out, struct rt_err *err)
{
    struct like *l = calloc(1, sizeof *l);
    if (l == NULL)
        return rt_fail_nomem(err, "synthetic traffic");
    l->base.ops = &ops;
    l->rate_scale = w->rate_scale;
    rt_rng_init(&l->place_rng, w->seed, RT_RNG_ARRIVALS, 2);
    rt_rng_init(&l->prompt_rng, w->seed, RT_RNG_LENGTHS, 0);
    rt_rng_init(&l->output_rng, w->seed, RT_RNG_OUTPUTS, 0);
    if (!rt_like_fit(&w->synthetic.like, &l->fit, err)) {
        free(l);
        return false;
    }
    if (!plan_passes(l, w)) {
        like_free(&l->base);
        return rt_fail_nomem(err, "synthetic traffic");
    }
    l->next_id = l->fit.shared_ids;
    l->base.endless = true;
    l->base.skip_ns = l->fit.longest_ns;
    if (l->fit.code_count > 0)
        l->base.block_tokens =
            w->block_size > 0 ? w->block_size : rt_trace_info(l->fit.trace)->block_size;
    *out = &l->base;
    return true;
}
