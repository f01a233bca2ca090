/* One engine step: it starts (its duration is known, so is when its tokens will appear), and it is
 * completed (they appear, requests finish, statistics are added). */
#include "replica_internal.h"
#include "rooftrace/cost.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S INT64_C(1000000000)

void step_flush_second(struct rank *r)
{
    if (r->second_tokens == 0)
        return;
    struct rt_token_stats *s = r->stats;
    int64_t second = r->second_end_ns / NS_PER_S - 1;
    uint32_t slot = (uint32_t)(second % RT_SECONDS_RING);
    if (s->second_of[slot] != second) {
        if (s->second_tokens[slot] > s->peak_tokens_per_s)
            s->peak_tokens_per_s = s->second_tokens[slot];
        s->second_tokens[slot] = 0;
        s->second_of[slot] = second;
    }
    s->second_tokens[slot] += (uint64_t)r->second_tokens;
    r->second_tokens = 0;
}

/* The round before the first one that a running sequence of the lane can still be asked for.
 * Without a pipeline all of them are, and those that decode stand before an unfinished prompt. */
static int64_t oldest_round(const struct rank *r)
{
    if (r->running.count == 0)
        return INT64_MAX;
    for (uint32_t i = r->running.head; i != SEQ_NONE; i = seq_at(r, i)->next) {
        const struct seq *q = seq_at(r, i);
        if (q->state != SEQ_PREFILL && q->lane == lane_number(r))
            return q->gap_round;
    }
    return r->lane->decode.round;
}

bool step_make_room_for_gap(struct rank *r, struct rt_err *err)
{
    return gap_make_room(&r->lane->gaps, oldest_round(r)) ||
           rt_fail_nomem(err, "gaps between tokens");
}

/* A sequence that yields a token at end_ns after a prefill: its first one, or one after a gap that
 * preemption made. */
static void note_emission(struct rank *r, struct emission *e, int64_t end_ns)
{
    struct seq *q = seq_at(r, e->seq);
    e->longest_ns = q->max_itl_ns;
    if (q->first_token_ns == RT_NEVER) {
        q->first_token_ns = end_ns;
    } else {
        e->gap_ns = end_ns - q->last_token_ns;
        if (e->gap_ns > q->max_itl_ns)
            q->max_itl_ns = e->gap_ns;
    }
    q->last_token_ns = end_ns;
}

/* Where decodes pause, sequences that joined since the last round have a gap of their own in this
 * one, since the step that gave their token before; so have those swapped in for it. Each passes
 * here once. Behind them in running order are only prompts admitted for this very step. */
static void note_first_rounds(struct rank *r, struct batch *b)
{
    for (uint32_t i = r->running.tail; i != SEQ_NONE; i = seq_at(r, i)->prev) {
        struct seq *q = seq_at(r, i);
        if (q->state != SEQ_PREFILL && q->lane != lane_number(r))
            continue;
        if (!q->newly_joined && (q->state == SEQ_PREFILL || q->join_round == b->round))
            continue;
        if (!q->newly_joined)
            break; /* those before it joined earlier */
        struct emission e = {.seq = i, .gap_ns = -1, .longest_ns = q->max_itl_ns};
        if (q->first_token_ns == RT_NEVER) { /* its prompt was computed elsewhere */
            q->first_token_ns = b->record.end_ns;
        } else {
            e.gap_ns = b->record.end_ns - q->last_token_ns;
            if (e.gap_ns > q->max_itl_ns)
                q->max_itl_ns = e.gap_ns;
        }
        q->newly_joined = false;
        q->gap_round = b->round;
        b->emits[b->emit_count++] = e;
        b->gaps--;
    }
}

bool step_reserve_plain(struct rank *r, int64_t decodes)
{
    if (decodes < r->plain_count)
        return true;
    int64_t count = decodes + decodes / 2 + 1;
    struct plain_steps *plain = realloc(r->plain, (size_t)count * sizeof plain[0]);
    if (!plain)
        return false;
    memset(plain + r->plain_count, 0, (size_t)(count - r->plain_count) * sizeof plain[0]);
    r->plain = plain;
    r->plain_count = count;
    return true;
}

/* Terms of plain steps follow from their number and contexts, so those are only counted. */
bool step_price(struct rank *r, struct batch *b)
{
    const struct rt_step_shape *s = &b->record.shape;
    if (b->priced)
        return true;
    b->lasts_ns = rt_cost_price(r->cost, s, &b->plain, b->terms_s);
    b->priced = !b->plain || step_reserve_plain(r, s->decodes);
    return b->priced;
}

bool step_fits_clock(int64_t start_ns, int64_t ns, struct rt_err *err)
{
    return ns <= INT64_MAX - 2 * NS_PER_S - start_ns ||
           rt_fail(err, RT_ECONFIG, "a step of %lld ns ends beyond the clock (292 years)",
                   (long long)ns);
}

static inline bool begin(struct rank *r, int64_t start_ns, int64_t end_ns, struct rt_err *err)
{
    struct lane *lane = r->lane;
    struct batch *b = lane->now;
    int64_t before_ns = r->policy->pauses_decodes ? lane->round_end_ns : lane->last_end_ns;
    b->record.start_ns = start_ns;
    b->record.end_ns = end_ns;
    b->gaps = 0;
    lane->last_end_ns = end_ns;
    for (uint32_t e = 0; e < b->emit_count; e++)
        note_emission(r, &b->emits[e], b->record.end_ns);
    if (b->record.shape.decodes == 0)
        return true;
    b->gap_ns = end_ns - before_ns;
    b->gaps = b->record.shape.decodes - b->dropped;
    lane->round_end_ns = end_ns;
    if (r->policy->pauses_decodes || b->resumed)
        note_first_rounds(r, b);
    return step_note_gap(r, b->round, b->gap_ns, err);
}

bool step_begin(struct rank *r, int64_t start_ns, int64_t end_ns, struct rt_err *err)
{
    return begin(r, start_ns, end_ns, err);
}

bool step_start(struct rank *r, int64_t start_ns, struct rt_err *err)
{
    struct batch *b = r->lane->now;
    if (!step_price(r, b))
        return rt_fail_nomem(err, "step totals");
    return step_fits_clock(start_ns, b->lasts_ns, err) &&
           begin(r, start_ns, start_ns + b->lasts_ns, err);
}

static inline void add_gaps(struct rt_token_stats *s, int64_t gap_ns, int64_t times, int64_t end_ns)
{
    rt_hist_add(&s->itl, gap_ns, (uint64_t)times);
    if (end_ns >= s->measure_from_ns && end_ns < s->measure_to_ns)
        rt_hist_add(&s->itl_measured, gap_ns, (uint64_t)times);
}

void step_note_tokens(struct rank *r, int64_t tokens, int64_t at_ns)
{
    if (at_ns >= r->second_end_ns) {
        step_flush_second(r);
        r->second_end_ns = (at_ns / NS_PER_S + 1) * NS_PER_S;
    }
    r->second_tokens += tokens;
    r->totals.output_tokens += tokens;
}

void step_add_tokens(struct rank *r, const struct batch *b)
{
    int64_t end_ns = b->record.end_ns;
    if (r->silent)
        return;
    if (b->gaps > 0)
        add_gaps(r->stats, b->gap_ns, b->gaps, end_ns);
    int64_t together = b->yields - b->gaps - b->emit_count; /* right after another of the round */
    if (together > 0)
        add_gaps(r->stats, 0, together, end_ns);
    for (uint32_t e = 0; e < b->emit_count; e++)
        if (b->emits[e].gap_ns >= 0)
            add_gaps(r->stats, b->emits[e].gap_ns, 1, end_ns);
    step_note_tokens(r, b->yields, end_ns);
}

static void add_totals(struct rank *r, const struct batch *b)
{
    const struct rt_step_record *rec = &b->record;
    if (b->plain) {
        int64_t context = rec->shape.decode_context, knee = rt_cost_knee(r->cost);
        r->plain[rec->shape.decodes].steps++;
        r->plain[rec->shape.decodes].context += (uint64_t)context;
        r->plain[rec->shape.decodes].low += (uint64_t)(context < knee ? context : knee);
    } else {
        for (int t = 0; t < RT_TERM_COUNT; t++)
            r->terms_s[t] += b->terms_s[t];
    }
    r->totals.steps++;
    r->totals.busy_ns += rec->end_ns - rec->start_ns - b->waited_ns;
    r->totals.computed_tokens += rec->shape.tokens;
}

void step_account(struct rank *r, const struct batch *b)
{
    step_add_tokens(r, b);
    add_totals(r, b);
}

static bool finish(struct rank *r, uint32_t i, int64_t now_ns, struct rt_finished_list *out)
{
    struct seq *q = seq_at(r, i);
    assert(q->state == SEQ_LAST || q->state == SEQ_GONE);
    int64_t gap = gap_max_after(&r->lane->gaps, q->gap_round);
    struct rt_finished row = seq_row(r, q, now_ns);
    row.status = RT_STATUS_OK;
    row.finish_ns = now_ns;
    row.max_itl_ns = gap > q->max_itl_ns ? gap : q->max_itl_ns;
    row.produced_tokens = q->output;
    if (!rt_finished_list_add(out, &row))
        return false;
    r->totals.finished++;
    if (r->remote && r->remote->keeps) {
        remote_keep(r, i);
        return true;
    }
    if (q->state == SEQ_LAST) {
        kv_release(r, i);
        running_leave(r, i);
    } else {
        queue_leave(r, i);
    }
    seq_release(q);
    rt_slab_give(&r->seqs, i);
    return true;
}

bool step_complete(struct rank *r, struct rt_finished_list *out, struct rt_err *err)
{
    const struct batch *b = r->lane->now;
    if (!step_log(r, err))
        return false;
    step_account(r, b);
    for (uint32_t l = 0; l < b->last_count; l++)
        if (!finish(r, b->last[l], b->record.end_ns, out))
            return rt_fail_nomem(err, "finished requests");
    r->lane->now = NULL;
    if (r->running.count == 0) {
        step_flush_second(r);
        gap_forget(&r->lane->gaps);
    }
    rank_check(r);
    return true;
}
