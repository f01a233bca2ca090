/* Coasting: what happens between two visible changes is worked out ahead, over sums.
 *
 * A boundary between two steps is quiet when nobody finishes there and nobody can be admitted to
 * the batch formed there: that batch is all the decodes, whatever else arrives later. coast_plan
 * works out how many quiet boundaries follow and how long each step between them will take, without
 * changing anything; the replica then asks to be looked at when the last planned step ends.
 * coast_pass.c makes planned steps real. The result is the same as forming every step by its policy
 * (a test). */
#include "coast_internal.h"
#include "rooftrace/cost.h"

#include <stdlib.h>

static bool all_alike(const struct rank *r)
{
    return coast_alike(r, r->lane->now) &&
           (!r->engine->async_scheduling || (r->lane->ahead && coast_alike(r, r->lane->ahead)));
}

/* Nobody can be admitted before somebody finishes, whatever the batch. */
static bool full_or_nobody_waits(const struct rank *r)
{
    return (r->waiting.count == 0 && !remote_joins(r)) ||
           r->running.count >= r->engine->max_num_seqs;
}

/* What is formed next is nothing but decodes. While steps are alike, a queue head that was not
 * admitted stays so: seats and budget stay taken, free blocks only become fewer; unless a decode's
 * answer fills a block that the head would find. So a queue does not hinder coasting, unless it
 * came after the last batch was formed (rank_push drops the plan then). */
static bool only_decodes_follow(const struct rank *r)
{
    if (r->remote && !remote_is_quiet(r))
        return false;
    return r->partial == SEQ_NONE &&
           (full_or_nobody_waits(r) || (all_alike(r) && !r->names_answers));
}

/* Rounds for which every decode finds its new block, at most `limit`. */
static int64_t rounds_with_blocks(const struct rank *r, int64_t limit)
{
    int64_t spare = r->free_blocks - (r->policy->needs_spare_block ? 1 : 0), low = 0;
    int64_t most = coast_tokens(&r->lane->decode, limit) * r->lane->decode.count;
    if (r->policy->reserves_output || most <= spare) /* were each of them to begin a block */
        return limit;
    while (low < limit) { /* coast_blocks ascends: the most rounds whose blocks are spare */
        int64_t mid = low + (limit - low + 1) / 2;
        if (coast_blocks(r, mid) <= spare)
            low = mid;
        else
            limit = mid - 1;
    }
    return low;
}

struct rt_step_shape coast_decodes(const struct rank *r, int64_t rounds)
{
    const struct decode_set *d = &r->lane->decode;
    int64_t tokens = coast_tokens(d, rounds), context = d->context + d->count * tokens;
    struct rt_step_shape s = {.tokens = d->count * d->width,
                              .decodes = d->count,
                              .sequences = d->count,
                              .samples = d->count * d->width,
                              .held_tokens = context,
                              .decode_context = context};
    for (unsigned w = 0; w < d->window_count; w++)
        s.decode_window[w] = d->windows[w].sum + d->windows[w].growing * tokens;
    add_drafts(r, &s);
    return s;
}

static int64_t add_ns(int64_t sum, int64_t ns)
{
    return ns > INT64_MAX - sum ? INT64_MAX : sum + ns;
}

/* The n-th step that will begin, from 0. */
struct rt_step_shape coast_shape(const struct rank *r, int64_t n)
{
    if (!r->lane->ahead)
        return coast_decodes(r, n);
    return n == 0 ? r->lane->ahead->record.shape : coast_decodes(r, n - 1);
}

/* Durations of the planned rounds into ns. Returns their sum. */
static int64_t list_rounds(const struct rank *r, uint32_t rounds, int64_t *ns)
{
    struct rt_step_shape s;
    int64_t sum = 0;
    if (r->plan.run.line)
        return rt_run_list(&r->plan.run, 0, rounds, ns);
    if (r->lane->decode.per_round == 0 && rt_cost_can_run(r->cost)) {
        s = coast_decodes(r, 0);
        return rt_cost_decode_run(r->cost, &s, rounds, ns);
    }
    for (uint32_t i = 0; i < rounds; i++) {
        s = coast_decodes(r, i);
        ns[i] = rt_cost_step_ns(r->cost, &s);
        sum = add_ns(sum, ns[i]);
    }
    return sum;
}

/* The line that the durations of the planned rounds lie on, if they do. */
static bool find_line(struct rank *r)
{
    const struct decode_set *d = &r->lane->decode;
    r->plan.run.line = NULL;
    return d->per_round == 0 && rt_cost_run(r->cost, d->count, d->context, &r->plan.run);
}

/* How long the planned steps take: what was formed ahead, then rounds. INT64_MAX: too long, or not
 * known for lack of memory. */
static int64_t plan_durations(struct rank *r, uint32_t steps)
{
    struct coast_plan *p = &r->plan;
    struct batch *ahead = r->lane->ahead;
    if (ahead && !step_price(r, ahead))
        return INT64_MAX;
    p->first = ahead ? 1 : 0;
    p->ahead_ns = ahead ? ahead->lasts_ns : 0;
    if (find_line(r) && r->compact)
        return add_ns(p->ahead_ns, rt_run_sum(&p->run, 0, steps - p->first));
    if (!p->listed)
        p->listed = aligned_alloc(64 /* a cache line */, COAST_STEPS * sizeof p->listed[0]);
    if (!p->listed)
        return INT64_MAX;
    p->listed[0] = p->ahead_ns;
    return steps == p->first
               ? p->ahead_ns
               : add_ns(p->ahead_ns, list_rounds(r, steps - p->first, p->listed + p->first));
}

/* Rounds that are sure to be formed at the boundaries that follow: up to the one in which a member
 * ends; and with asynchronous scheduling, where a round is formed while the one before it runs, one
 * more, if nobody can be admitted beside those that are left. */
static int64_t rounds_to_form(const struct rank *r)
{
    const struct decode_set *d = &r->lane->decode;
    int64_t rounds = 0;
    bool ends = r->lane->ahead && r->lane->ahead->last_count > 0;
    if (!ends && d->count > 0) {
        rounds = decode_linear_rounds(d, COAST_STEPS - 1);
        ends = decode_tokens_at(d, d->round + rounds) >= rt_heap_top(&d->finish)->time;
    }
    if (r->lane->ahead && ends && full_or_nobody_waits(r))
        rounds++;
    return rounds_with_blocks(r, rounds);
}

void coast_plan(struct rank *r)
{
    r->plan.count = r->plan.next = 0;
    if (!r->lane->now)
        return;
    coast_drop(r);
    if (!r->coast || r->lane->now->last_count > 0 || !only_decodes_follow(r) ||
        (r->engine->async_scheduling && !r->lane->ahead))
        return;
    int64_t steps = rounds_to_form(r); /* one begins at each boundary at which one is formed */
    if (steps <= 0)
        return;
    int64_t lasts_ns = plan_durations(r, (uint32_t)steps);
    /* a plan that long, and the end of the clock, are left to the plain way */
    if (lasts_ns > COAST_NS || r->plan.end_ns > INT64_MAX - 2 * COAST_NS)
        return;
    r->plan.count = (uint32_t)steps;
    r->plan.end_ns += lasts_ns;
}

void coast_drop(struct rank *r)
{
    r->plan.count = r->plan.next;
    r->plan.end_ns = r->lane->now->record.end_ns;
}
