/* Making planned steps real (coast_commit), up to an instant: all of them at the end of a plan,
 * fewer when an arrival or a sample comes earlier. Boundaries at which rounds of the same decodes
 * begin are passed many at once, for a few ns a step; the others are passed as the owner's calls
 * would: with asynchronous scheduling those at which a batch begins that is no such round. */
#include "coast_internal.h"
#include "rooftrace/cost.h"
#include "rooftrace/wide.h"

#include <assert.h>

/* The round of the first step that will begin. */
static int64_t first_planned_round(const struct rank *r)
{
    return r->lane->ahead ? r->lane->decode.round : r->lane->decode.round + 1;
}

RT_WIDE static int64_t sum_ns(const int64_t *ns, uint32_t n)
{
    int64_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += ns[i];
    return sum;
}

struct step_begin { /* a planned step, and when it begins */
    uint32_t i;
    int64_t at_ns;
};

/* Moves on to the first step that ends at or after the instant, at most to `to`. The first one may
 * be of any kind; those behind it are rounds, whose durations are monotone and differ little, so
 * that nearly all that end before the instant would do so, too, if each were as long as the longest
 * of them. */
static void seek_ending(const struct coast_plan *p, struct step_begin *s, uint32_t to, int64_t ns)
{
    if (s->i >= to || s->at_ns + p->ns[s->i] >= ns)
        return;
    s->at_ns += p->ns[s->i++];
    if (s->i < to) {
        int64_t first_ns = p->ns[s->i], last_ns = p->ns[to - 1];
        int64_t longest_ns = first_ns > last_ns ? first_ns : last_ns;
        int64_t most = longest_ns > 0 ? (ns - 1 - s->at_ns) / longest_ns : 0;
        uint32_t many = most < to - s->i ? (uint32_t)most : to - s->i;
        s->at_ns += sum_ns(p->ns + s->i, many);
        s->i += many;
        assert(s->at_ns < ns);
    }
    while (s->i < to && s->at_ns + p->ns[s->i] < ns)
        s->at_ns += p->ns[s->i++];
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
static void add_planned_rounds(struct rank *r, struct step_begin s, uint32_t to, int64_t decodes)
{
    const struct decode_set *d = &r->lane->decode;
    int64_t round = first_planned_round(r), before = decode_tokens_at(d, round - 1);
    for (; s.i < to; s.i++, round++) {
        int64_t now = decode_tokens_at(d, round);
        s.at_ns += r->plan.ns[s.i];
        struct batch b = {.record = {.end_ns = s.at_ns},
                          .yields = decodes * (now - before),
                          .gap_ns = r->plan.ns[s.i],
                          .gaps = decodes};
        step_add_tokens(r, &b);
        before = now;
    }
}

/* Second by second; most runs end in the second they begin in. */
static void note_planned_tokens(struct rank *r, struct step_begin s, uint32_t to, int64_t end_ns,
                                int64_t decodes)
{
    if (end_ns < r->second_end_ns) {
        step_note_tokens(r, decodes * (to - s.i), end_ns);
        return;
    }
    while (s.i < to) {
        uint32_t from = s.i;
        seek_ending(&r->plan, &s, to, r->second_end_ns);
        if (s.i > from) { /* all in the second of the tokens before */
            step_note_tokens(r, decodes * (s.i - from), s.at_ns);
            continue;
        }
        s.at_ns += r->plan.ns[s.i++];
        step_note_tokens(r, decodes, s.at_ns);
    }
}

/* Tokens of planned steps that are over, up to step `to`, which begins at end_ns: all of one batch,
 * their gap is the step. */
static void add_planned_tokens(struct rank *r, struct step_begin s, uint32_t to, int64_t end_ns,
                               int64_t decodes)
{
    const struct coast_plan *p = &r->plan;
    struct rt_token_stats *stats = r->stats;
    if (r->lane->decode.per_round != 0) {
        add_planned_rounds(r, s, to, decodes);
        return;
    }
    add_gaps(&stats->itl, p->ns + s.i, to - s.i, decodes);
    note_planned_tokens(r, s, to, end_ns, decodes);
    if (stats->measure_from_ns >= stats->measure_to_ns)
        return;
    seek_ending(p, &s, to, stats->measure_from_ns);
    uint32_t from = s.i;
    seek_ending(p, &s, to, stats->measure_to_ns);
    add_gaps(&stats->itl_measured, p->ns + from, s.i - from, decodes);
}

/* The rounds' new blocks. With identities they are taken and published round by round. */
static bool advance_rounds(struct rank *r, struct batch *formed, uint32_t rounds,
                           struct rt_err *err)
{
    if (!r->kv) {
        if (!r->policy->reserves_output)
            kv_take_count(r, coast_blocks(r, rounds));
        decode_advance(&r->lane->decode, rounds);
        return r->out_of_memory ? rt_fail_nomem(err, "KV block tables") : true;
    }
    for (uint32_t n = 0; n < rounds && !r->out_of_memory; n++) {
        kv_take_crossings(r);
        decode_advance(&r->lane->decode, 1);
        kv_publish_batch(r, formed);
    }
    return r->out_of_memory ? rt_fail_nomem(err, "KV block tables") : true;
}

/* Sum of x, x + dx, ..., of `count` numbers. */
static rt_u128 sum_of(uint64_t x, uint64_t dx, uint64_t count)
{
    return (rt_u128)x * count + (count > 0 ? (rt_u128)dx * (count * (count - 1) / 2) : 0);
}

/* The same of what each of them has up to the knee. */
static rt_u128 sum_below(uint64_t x, uint64_t dx, uint64_t count, uint64_t knee)
{
    uint64_t below = count;
    if (x + dx * count > knee) /* rarely: where runs cross the knee, and beyond it */
        below = x >= knee ? 0 : dx == 0 ? count : (knee - x + dx - 1) / dx;
    if (below > count)
        below = count;
    return sum_of(x, dx, below) + (rt_u128)knee * (count - below);
}

/* Totals of `count` planned steps that are over, the first of them with this shape, and what the
 * one that has begun after them has to know. */
static bool add_totals(struct rank *r, const struct rt_step_shape *first, uint32_t count,
                       struct batch *begun)
{
    begun->plain = rt_cost_is_plain(r->cost, first);
    r->totals.steps += count;
    r->totals.computed_tokens += count * first->tokens;
    if (begun->plain) { /* contexts grow by a token a decode and step */
        if (!step_reserve_plain(r, first->decodes))
            return false;
        struct plain_steps *p = &r->plain[first->decodes];
        uint64_t x = (uint64_t)first->decode_context, dx = (uint64_t)first->decodes;
        p->steps += count;
        p->context += sum_of(x, dx, count);
        p->low += sum_below(x, dx, count, (uint64_t)rt_cost_knee(r->cost));
        return true;
    }
    for (uint32_t n = 0; n <= count; n++) {
        struct rt_step_shape s = coast_shape(r, n);
        rt_cost_step_terms(r->cost, &s, begun->terms_s);
        for (int t = 0; n < count && t < RT_TERM_COUNT; t++)
            r->terms_s[t] += begun->terms_s[t];
    }
    return true;
}

/* The batch becomes the one that would be formed next, or so many rounds later (-1: the one formed
 * last). */
static void shape_later(const struct rank *r, struct batch *b, int64_t rounds)
{
    struct rt_step_shape *s = &b->record.shape;
    if (!rt_cost_can_run(r->cost) || r->lane->decode.per_round != 0) {
        if (rounds >= 0)
            *s = coast_decodes(r, rounds);
        return;
    }
    s->held_tokens = s->decode_context = r->lane->decode.context + r->lane->decode.count * rounds;
}

/* The batch of a step that is over becomes that of a round like the one begun, of this shape but
 * for its contexts. */
static void reuse(const struct rank *r, struct batch *b, const struct rt_step_shape *begun)
{
    if (!coast_alike(r, b)) {
        b->record.shape = *begun;
        b->mixed = false;
    }
    b->moved_blocks = b->dropped = 0;
    b->preempted = b->resumed = b->priced = false;
    b->record.waiting = rank_waiting(r);
}

/* What is over when `count` boundaries have passed: the step in progress and the planned ones
 * before `last`, which begins at start_ns. `begun` becomes that one. */
static bool end_alike(struct rank *r, uint32_t count, uint32_t last, int64_t start_ns,
                      struct batch *begun, struct rt_err *err)
{
    struct batch *over = r->lane->now;
    struct step_begin first = {.i = r->plan.next, .at_ns = over->record.end_ns};
    struct rt_step_shape next;
    const struct rt_step_shape *shape = &begun->record.shape; /* of the first that begins */
    if (!step_log_coasted(r, count, err))
        return false;
    step_account(r, over);
    over->emit_count = over->fresh_count = 0;
    r->totals.busy_ns += start_ns - first.at_ns;
    if (!r->lane->ahead) {
        next = coast_decodes(r, 0);
        shape = &next;
    }
    if (!add_totals(r, shape, count - 1, begun))
        return rt_fail_nomem(err, "step totals");
    add_planned_tokens(r, first, last, start_ns, shape->decodes);
    if (r->lane->ahead)
        shape_later(r, begun, (int64_t)count - 2);
    else
        reuse(r, begun, shape);
    return true;
}

/* The batch of a round like the one begun, in the place of one that is over: the last of `count`
 * that are formed. */
static bool form_alike(struct rank *r, uint32_t count, struct batch *formed,
                       const struct batch *begun, struct rt_err *err)
{
    const struct decode_set *d = &r->lane->decode;
    if (formed != begun)
        reuse(r, formed, &begun->record.shape);
    shape_later(r, formed, (int64_t)count - 1);
    if (!advance_rounds(r, formed, count, err))
        return false;
    formed->round = d->round;
    formed->yields = d->count * round_tokens(d, d->round);
    formed->record.kv_blocks_used = r->kv_blocks - r->free_blocks;
    return true;
}

/* `count` boundaries pass, and all steps that begin at them are alike, whatever the step in
 * progress is; as many rounds are formed. With asynchronous scheduling the last that begins may be
 * somebody's last round (`ends`): then what is formed beside it is a round without them. When a
 * planned step `known` begins is known. */
static bool pass_alike(struct rank *r, uint32_t count, bool ends, const struct step_begin *known,
                       struct rt_err *err)
{
    struct coast_plan *p = &r->plan;
    struct lane *lane = r->lane;
    bool async = lane->ahead != NULL;
    struct batch *formed = lane->now, *begun = async ? lane->ahead : formed;
    uint32_t last = p->next + count - 1; /* the one in progress afterwards */
    uint32_t before = count > 1 ? last - 1 : last;
    int64_t longest_ns = p->ns[p->next] > p->ns[before] ? p->ns[p->next] : p->ns[before];
    int64_t start_ns = last == known->i
                           ? known->at_ns
                           : formed->record.end_ns + sum_ns(p->ns + p->next, count - 1);
    int64_t round = begun->round + (async ? count - 1 : count);

    if (!end_alike(r, count, last, start_ns, begun, err) ||
        !(ends ? advance_rounds(r, formed, count - 1, err)
               : form_alike(r, count, formed, begun, err)))
        return false;
    p->next = last + 1;
    begun->round = round;
    if (async)
        begun->yields = begun->record.shape.decodes * round_tokens(&lane->decode, round);
    begun->record.start_ns = start_ns;
    begun->record.end_ns = start_ns + p->ns[last];
    begun->gap_ns = p->ns[last];
    begun->gaps = begun->record.shape.decodes;
    lane->last_end_ns = lane->round_end_ns = begun->record.end_ns;
    batch_retire_decodes(r, ends ? begun : formed);
    if (async) {
        lane->now = begun;
        lane->ahead = formed;
    }
    /* durations are monotone; that of the step in progress is kept apart, as in every begin */
    if ((count > 1 && !step_note_gap(r, round - 1, longest_ns, err)) ||
        !step_note_gap(r, round, p->ns[last], err))
        return false;
    return !ends || form_ahead(r, formed, err);
}

/* Any other quiet boundary: as the owner would let it pass. */
static bool pass_boundary(struct rank *r, struct rt_err *err)
{
    int64_t now_ns = r->lane->now->record.end_ns;
    assert(r->lane->now->last_count == 0);
    if (!step_complete(r, NULL, err) || !rank_begin_step(r, now_ns, err))
        return false;
    assert(r->lane->now && r->lane->now->record.end_ns == now_ns + r->plan.ns[r->plan.next]);
    r->plan.next++;
    return true;
}

/* The rounds that begin are alike, and every gap in them is the step. With asynchronous scheduling
 * the first of them has been formed; where decodes pause, the first after a pause has longer gaps.
 */
static bool alike_rounds_begin(const struct rank *r)
{
    if (r->lane->ahead)
        return coast_alike(r, r->lane->ahead);
    return !r->policy->pauses_decodes || coast_alike(r, r->lane->now);
}

/* All boundaries up to the one at which `last` begins. */
static bool pass_boundaries(struct rank *r, const struct step_begin *last, struct rt_err *err)
{
    const struct decode_set *d = &r->lane->decode;
    while (r->plan.next <= last->i) {
        uint32_t count = last->i + 1 - r->plan.next;
        uint32_t run = alike_rounds_begin(r) ? (uint32_t)decode_linear_rounds(d, count) : 0;
        bool ends = run > 0 && run < count && r->lane->ahead &&
                    decode_tokens_at(d, d->round + run) >= rt_heap_top(&d->finish)->time;
        run += ends;
        if (run > 0 ? !pass_alike(r, run, ends, last, err) : !pass_boundary(r, err))
            return false;
    }
    return true;
}

/* The last planned step that begins before the instant, as the next one does. Durations are known
 * up to step `to`, and no more than those before it begin by then. */
static struct step_begin last_before(const struct rank *r, uint32_t to, int64_t before_ns)
{
    const struct coast_plan *p = &r->plan;
    struct step_begin s = {.i = p->next, .at_ns = r->lane->now->record.end_ns};
    if (before_ns >= p->end_ns && p->end_ns - p->ns[p->count - 1] < before_ns)
        return (struct step_begin){p->count - 1, p->end_ns - p->ns[p->count - 1]};
    seek_ending(p, &s, to - 1, before_ns);
    return s;
}

/* Up to which planned step durations are needed to see how many begin before the instant: on a
 * rising line none is shorter than the next one. */
static uint32_t steps_before(const struct coast_plan *p, int64_t now_end_ns, int64_t before_ns)
{
    uint32_t next = p->next > p->first ? p->next : p->first; /* of the rounds */
    if (before_ns >= p->end_ns || next >= p->count)
        return p->count;
    int64_t first_ns = rt_run_ns(&p->run, next - p->first);
    if (first_ns <= 0 || rt_run_ns(&p->run, p->count - 1 - p->first) < first_ns)
        return p->count;
    int64_t more = (before_ns - now_end_ns) / first_ns + 2;
    return more < p->count - next ? next + (uint32_t)more : p->count;
}

/* Durations of planned steps next..to-1 into ns, from step 0. */
static void work_out(const struct coast_plan *p, uint32_t to, int64_t *ns)
{
    uint32_t from = p->next;
    if (from < p->first)
        ns[from++] = p->ahead_ns;
    (void)rt_run_list(&p->run, from - p->first, to - from, ns + from);
}

static bool pass_until(struct rank *r, uint32_t to, int64_t before_ns, struct rt_err *err)
{
    struct step_begin last = last_before(r, to, before_ns);
    if (!pass_boundaries(r, &last, err))
        return false;
    int64_t used = r->kv_blocks - r->free_blocks;
    if (used > r->totals.kv_blocks_peak)
        r->totals.kv_blocks_peak = used;
    return true;
}

/* Where plans keep no list. */
static bool commit_compact(struct rank *r, int64_t before_ns, struct rt_err *err)
{
    int64_t ns[COAST_STEPS];
    uint32_t to = steps_before(&r->plan, r->lane->now->record.end_ns, before_ns);
    work_out(&r->plan, to, ns);
    r->plan.ns = ns;
    bool ok = pass_until(r, to, before_ns, err);
    r->plan.ns = NULL;
    return ok;
}

bool coast_pass(struct rank *r, int64_t before_ns, struct rt_err *err)
{
    struct coast_plan *p = &r->plan;
    if (r->compact && p->run.line)
        return commit_compact(r, before_ns, err);
    p->ns = p->listed;
    return pass_until(r, p->count, before_ns, err);
}
