/* Coasting: between two visible changes a replica's steps are all alike, so they are run over sums.
 *
 * A boundary between two steps is dull when nobody gets a first token, finishes, is preempted or
 * can be admitted there: the batch stays what it is, contexts grow alike. coast_plan
 * works out how many dull boundaries follow and how long each step will take, without changing
 * anything; the replica then asks to be looked at when the last planned step ends. coast_commit
 * makes planned steps real, up to an instant: all of them at the end, fewer when an arrival or a
 * sample comes earlier. Cost: a few ns a step. The result is the same as forming every step by its
 * policy (a test). */
#include "replica_internal.h"

#include <string.h>

static bool dull(const struct batch *b)
{
    return b->record.shape.prefill_tokens == 0 && b->last_count == 0 && !b->preempted &&
           b->moved_blocks == 0;
}

/* While the batch does not change, a queue head that was not admitted stays so: seats and budget
 * stay taken, free blocks only become fewer. So a queue does not hinder coasting, unless it came
 * after the last batch was formed (rt_replica_push drops the plan then). */
static bool may_coast(const struct rt_replica *r)
{
    if (!r->coast || !dull(r->now) || r->partial != SEQ_NONE)
        return false;
    return !r->engine.async_scheduling || (r->ahead && dull(r->ahead));
}

/* Tokens of a member in the next `rounds` rounds. */
static int64_t tokens_in(const struct decode_set *d, int64_t rounds)
{
    return decode_tokens_at(d, d->round + rounds) - d->tokens;
}

/* New blocks that the decodes need in the next `rounds` rounds: each needs one in block_size
 * tokens. */
static int64_t blocks_in(const struct rt_replica *r, int64_t rounds)
{
    uint32_t cursor = r->decode.cursor;
    return decode_blocks(&r->decode, &cursor, tokens_in(&r->decode, rounds));
}

/* Rounds for which every decode finds its new block, at most `limit`. */
static int64_t rounds_with_blocks(const struct rt_replica *r, int64_t limit)
{
    int64_t spare = r->free_blocks - (r->policy->needs_spare_block ? 1 : 0), low = 0;
    int64_t most = tokens_in(&r->decode, limit) / r->engine.block_size + 1;
    if (r->policy->reserves_output || most * r->decode.count <= spare)
        return limit;
    while (low < limit) { /* blocks_in ascends: the most rounds whose blocks are spare */
        int64_t mid = low + (limit - low + 1) / 2;
        if (blocks_in(r, mid) <= spare)
            low = mid;
        else
            limit = mid - 1;
    }
    return low;
}

/* The pure decode batch that would be formed next, or so many rounds later. */
static struct rt_step_shape decodes_in(const struct rt_replica *r, int64_t rounds)
{
    const struct decode_set *d = &r->decode;
    int64_t tokens = tokens_in(d, rounds), context = d->context + d->count * tokens;
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

/* The n-th step that will begin, from 0. */
struct rt_step_shape coast_shape(const struct rt_replica *r, int64_t n)
{
    if (!r->ahead)
        return decodes_in(r, n);
    return n == 0 ? r->ahead->record.shape : decodes_in(r, n - 1);
}

/* The round of the first step that will begin. */
static int64_t first_planned_round(const struct rt_replica *r)
{
    return r->ahead ? r->decode.round : r->decode.round + 1;
}

static void plan_durations(const struct rt_replica *r, uint32_t steps, int64_t *ns)
{
    if (r->decode.per_round == 0 && rt_cost_can_run(r->cost)) {
        struct rt_step_shape s = coast_shape(r, 0);
        rt_cost_decode_run(r->cost, &s, steps, ns);
        return;
    }
    for (uint32_t i = 0; i < steps; i++) {
        struct rt_step_shape s = coast_shape(r, i);
        ns[i] = rt_cost_step_ns(r->cost, &s);
    }
}

/* When the planned steps end. Durations are monotone. Steps so long that a plan could last longer
 * than COAST_NS, and the end of the clock, are left to the plain way. */
static void plan_ends(struct rt_replica *r, uint32_t steps)
{
    struct coast_plan *p = &r->plan;
    int64_t end_ns = p->end_ns, longest = p->ns[0] > p->ns[steps - 1] ? p->ns[0] : p->ns[steps - 1];
    if (longest > COAST_NS / COAST_STEPS || end_ns > INT64_MAX - 2 * COAST_NS)
        return;
    for (uint32_t i = 0; i < steps; i++) {
        end_ns += p->ns[i];
        p->end_at[i] = end_ns;
    }
    p->count = steps;
    p->end_ns = end_ns;
}

void coast_plan(struct rt_replica *r)
{
    const struct decode_set *d = &r->decode;
    r->plan.count = r->plan.next = 0;
    coast_drop(r);
    if (!may_coast(r) || d->count == 0)
        return;
    int64_t limit = rounds_with_blocks(r, decode_linear_rounds(d, COAST_STEPS));
    if (limit <= 0)
        return;
    plan_durations(r, (uint32_t)limit, r->plan.ns);
    plan_ends(r, (uint32_t)limit);
}

void coast_drop(struct rt_replica *r)
{
    r->plan.count = r->plan.next;
    r->plan.end_ns = r->now->record.end_ns;
}

/* How many boundaries, the end of the step in progress first, lie before the instant: planned steps
 * that begin before it. */
static uint32_t boundaries_before(const struct rt_replica *r, int64_t before_ns)
{
    const struct coast_plan *p = &r->plan;
    if (p->next == p->count || r->now->record.end_ns >= before_ns)
        return 0;
    uint32_t low = p->next, high = p->count - 1; /* planned steps low.. end at or after it */
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (p->end_at[mid] >= before_ns)
            high = mid;
        else
            low = mid + 1;
    }
    return low - p->next + 1;
}

/* Durations of one batch's steps are monotone in its context, and rarely fall. */
static void add_gaps(struct rt_hist *h, const int64_t *ns, uint32_t n, int64_t decodes)
{
    if (n == 0 || ns[0] <= ns[n - 1])
        rt_hist_add_ascending(h, ns, n, (uint64_t)decodes);
    else
        for (uint32_t i = 0; i < n; i++)
            rt_hist_add(h, ns[i], (uint64_t)decodes);
}

/* The same with speculative decoding: the tokens of a round come together. */
static void add_planned_rounds(struct rt_replica *r, uint32_t from, uint32_t to, int64_t decodes)
{
    const struct decode_set *d = &r->decode;
    int64_t before = decode_tokens_at(d, first_planned_round(r) - 1);
    for (uint32_t i = from; i < to; i++) {
        int64_t now = decode_tokens_at(d, first_planned_round(r) + (i - from));
        struct batch b = {.record = {.end_ns = r->plan.end_at[i]},
                          .yields = decodes * (now - before),
                          .gap_ns = r->plan.ns[i],
                          .gaps = decodes};
        step_add_tokens(r, &b);
        before = now;
    }
}

/* Tokens of planned steps that are over, in [from, to): all of one batch, their gap is the step. */
static void add_planned_tokens(struct rt_replica *r, uint32_t from, uint32_t to, int64_t decodes)
{
    const struct coast_plan *p = &r->plan;
    struct rt_token_stats *s = r->stats;
    if (r->decode.per_round != 0) {
        add_planned_rounds(r, from, to, decodes);
        return;
    }
    add_gaps(&s->itl, p->ns + from, to - from, decodes);
    if (from < to && p->end_at[to - 1] < r->second_end_ns)
        step_note_tokens(r, decodes * (to - from), p->end_at[to - 1]);
    else
        for (uint32_t i = from; i < to; i++)
            step_note_tokens(r, decodes, p->end_at[i]);
    if (s->measure_from_ns >= s->measure_to_ns)
        return;
    while (from < to && p->end_at[from] < s->measure_from_ns)
        from++;
    while (from < to && p->end_at[to - 1] >= s->measure_to_ns)
        to--;
    add_gaps(&s->itl_measured, p->ns + from, to - from, decodes);
}

/* The rounds' new blocks. With identities they are taken and published round by round. */
static bool advance_rounds(struct rt_replica *r, struct batch *formed, uint32_t rounds,
                           struct rt_err *err)
{
    if (!r->kv) {
        if (!r->policy->reserves_output)
            kv_take_count(r, blocks_in(r, rounds));
        decode_advance(r, rounds);
        return r->out_of_memory ? rt_fail_nomem(err, "KV block tables") : true;
    }
    for (uint32_t n = 0; n < rounds && !r->out_of_memory; n++) {
        kv_take_crossings(r);
        decode_advance(r, 1);
        kv_publish_batch(r, formed);
    }
    return r->out_of_memory ? rt_fail_nomem(err, "KV block tables") : true;
}

/* Seconds by term of a decode step of the same batch that lasts ns: only its KV term grows with the
 * context, so it is what the others leave. */
static void terms_of(const struct batch *like, int64_t ns, double steps,
                     double terms_s[RT_TERM_COUNT])
{
    double others_s = 0;
    for (int t = 0; t < RT_TERM_COUNT; t++) {
        terms_s[t] = steps * like->terms_s[t];
        others_s += t == RT_TERM_KV ? 0 : terms_s[t];
    }
    terms_s[RT_TERM_KV] = 1e-9 * (double)ns - others_s;
}

/* With a draft model another term grows with the context, too: so the cost model is asked, for the
 * sum over the planned steps that are over and for the one that has begun. */
static void terms_of_rounds(const struct rt_replica *r, uint32_t count, double sum_s[RT_TERM_COUNT],
                            double begun_s[RT_TERM_COUNT])
{
    for (int t = 0; t < RT_TERM_COUNT; t++)
        sum_s[t] = r->now->terms_s[t];
    for (uint32_t n = 0; n < count; n++) {
        struct rt_step_shape s = coast_shape(r, n);
        rt_cost_step_terms(r->cost, &s, begun_s);
        for (int t = 0; n + 1 < count && t < RT_TERM_COUNT; t++)
            sum_s[t] += begun_s[t];
    }
}

/* Totals of `steps` completed steps of one batch. */
static void add_totals(struct rt_replica *r, const struct batch *like, int64_t steps,
                       int64_t busy_ns, const double terms_s[RT_TERM_COUNT])
{
    for (int t = 0; t < RT_TERM_COUNT; t++)
        r->totals.terms_s[t] += terms_s[t];
    r->totals.steps += (uint64_t)steps;
    r->totals.busy_ns += busy_ns;
    r->totals.computed_tokens += steps * like->record.shape.tokens;
}

/* `count` boundaries pass: the step in progress and the planned ones before the last that begins
 * are over, as many rounds are formed. */
static bool pass_boundaries(struct rt_replica *r, uint32_t count, struct rt_err *err)
{
    struct coast_plan *p = &r->plan;
    struct batch *over = r->now, *begun = r->ahead ? r->ahead : over, *formed = over;
    uint32_t last = p->next + count - 1; /* the one in progress afterwards */
    const struct decode_set *d = &r->decode;
    struct rt_step_shape begun_shape = coast_shape(r, count - 1);
    struct rt_step_shape formed_shape = decodes_in(r, count - 1);
    int64_t begun_round = begun->round + (r->ahead ? count - 1 : count);
    int64_t start_ns = p->end_at[last] - p->ns[last];
    int64_t longest_ns = p->ns[p->next] > p->ns[last] ? p->ns[p->next] : p->ns[last]; /* monotone */

    if (!step_log_coasted(r, count, err))
        return false;
    step_add_tokens(r, over);
    add_planned_tokens(r, p->next, last, over->record.shape.decodes);
    double over_s[RT_TERM_COUNT], begun_s[RT_TERM_COUNT];
    if (d->per_round != 0) {
        terms_of_rounds(r, count, over_s, begun_s);
    } else {
        terms_of(over, start_ns - over->record.start_ns, count, over_s);
        terms_of(over, p->ns[last], 1, begun_s);
    }
    add_totals(r, over, count, start_ns - over->record.start_ns, over_s);
    p->next = last + 1;

    over->emit_count = 0;
    if (!advance_rounds(r, formed, count, err))
        return false;
    formed->round = d->round;
    formed->yields = d->count * round_tokens(d, d->round);
    formed->record.shape = formed_shape;
    formed->record.kv_blocks_used = r->kv_blocks - r->free_blocks;
    batch_retire_decodes(r, formed);
    begun->round = begun_round;
    if (r->ahead)
        begun->yields = begun_shape.decodes * round_tokens(d, begun_round);
    begun->record.shape = begun_shape;
    begun->record.start_ns = start_ns;
    begun->record.end_ns = start_ns + p->ns[last];
    begun->gap_ns = p->ns[last];
    begun->gaps = begun_shape.decodes;
    memcpy(begun->terms_s, begun_s, sizeof begun_s);
    if (r->ahead) {
        r->now = begun;
        r->ahead = formed;
    }
    r->last_end_ns = r->round_end_ns = begun->record.end_ns;
    return step_note_gap(r, begun_round, longest_ns, err);
}

bool coast_commit(struct rt_replica *r, int64_t before_ns, struct rt_err *err)
{
    uint32_t count = r->now ? boundaries_before(r, before_ns) : 0;
    if (count == 0)
        return true;
    if (!pass_boundaries(r, count, err))
        return false;
    int64_t used = r->kv_blocks - r->free_blocks;
    if (used > r->totals.kv_blocks_peak)
        r->totals.kv_blocks_peak = used;
    return true;
}
