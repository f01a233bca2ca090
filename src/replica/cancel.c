/* A request whose client has gone: it leaves its rank between two tokens.
 *
 * Seat and blocks are free at once, for the next batch that is formed. Batches formed already, the
 * step in progress and with asynchronous scheduling the one ahead, keep their shapes and so their
 * durations, as in vLLM, where the GPU does not hear of it; its tokens in them appear nowhere. What
 * was planned beyond is void. O(sequences that join or end in those two batches), plus what leaving
 * costs. */
#include "replica_internal.h"

#include <assert.h>

static bool remove_index(uint32_t *list, uint32_t *count, uint32_t i)
{
    for (uint32_t n = 0; n < *count; n++) {
        if (list[n] != i)
            continue;
        for (--*count; n < *count; n++) /* the order is that of the batch */
            list[n] = list[n + 1];
        return true;
    }
    return false;
}

static bool remove_emission(struct batch *b, uint32_t i)
{
    for (uint32_t n = 0; n < b->emit_count; n++) {
        if (b->emits[n].seq != i)
            continue;
        for (b->emit_count--; n < b->emit_count; n++)
            b->emits[n] = b->emits[n + 1];
        return true;
    }
    return false;
}

/* Tokens of a decode in the round of batch b. q->produced are those of when it joined; if it was
 * preempted since, those of all rounds, but then it is not its last round. */
static int64_t tokens_of(const struct rank *r, const struct batch *b, const struct seq *q)
{
    int64_t tokens = round_tokens(&r->lane->decode, b->round);
    if (q->state != SEQ_LAST && q->state != SEQ_GONE)
        return tokens;
    int64_t before =
        q->produced + decode_tokens_at(&r->lane->decode, b->round - 1) - q->join_tokens;
    return q->output - before < tokens ? q->output - before : tokens;
}

static bool decodes_in(const struct batch *b, const struct seq *q)
{
    return b->record.shape.decodes > 0 && q->join_round < b->round;
}

/* The step in progress: i has a token in it, a decode's or that of a finished prefill. */
static void leave_now(struct rank *r, uint32_t i)
{
    struct batch *b = r->lane->now;
    const struct seq *q = seq_at(r, i);
    bool emits = remove_emission(b, i);
    remove_index(b->last, &b->last_count, i);
    if (decodes_in(b, q)) {
        b->yields -= tokens_of(r, b, q);
        b->gaps -= emits ? 0 : 1; /* an emission of a decode is a gap of its own */
    } else if (emits) {
        b->yields--;
    }
}

/* The batch formed ahead, which has not begun. True: its first token there was among q->produced.
 */
static bool leave_ahead(struct rank *r, uint32_t i)
{
    struct batch *b = r->lane->ahead;
    const struct seq *q = seq_at(r, i);
    bool ends = remove_index(b->last, &b->last_count, i);
    if (remove_emission(b, i)) {
        b->yields--;
        return true;
    }
    if (decodes_in(b, q) && (ends || q->state == SEQ_DECODE)) {
        b->yields -= tokens_of(r, b, q);
        b->dropped++;
    }
    return false;
}

/* Does the step in progress have a token of it that has not appeared? */
static bool yields_now(const struct rank *r, const struct seq *q)
{
    if (!r->lane->now)
        return false;
    if (seq_is_remote(q))
        return false;
    if (q->state == SEQ_WAITING || q->state == SEQ_PAUSED) /* preempted since it was formed */
        return q->last_token_ns >= r->lane->now->record.end_ns;
    return q->state != SEQ_PREFILL;
}

/* What it holds is free. */
static void leave_rank(struct rank *r, uint32_t i)
{
    struct seq *q = seq_at(r, i);
    if (seq_is_remote(q)) {
        remote_leave(r, i);
    } else if (q->state == SEQ_WAITING || q->state == SEQ_PAUSED || q->state == SEQ_GONE) {
        r->cpu_free_blocks += q->swapped;
        queue_leave(r, i);
    } else {
        kv_release(r, i);
        if (q->state == SEQ_DECODE)
            decode_leave(r, i);
        if (i == r->partial)
            r->partial = SEQ_NONE;
        running_leave(r, i);
    }
    retained_disown(r, q);
    seq_release(q);
    rt_slab_give(&r->seqs, i);
}

bool rank_stop_at(struct rank *r, int64_t now_ns, struct rt_err *err)
{
    if (r->piped)
        return true; /* the end of every step is looked at */
    if (!coast_commit(r, now_ns, err))
        return false;
    if (r->lane->now && r->lane->now->record.end_ns == now_ns) {
        assert(r->lane->now->last_count == 0); /* otherwise its end was looked at before */
        r->plan.count = r->plan.next = 0;
        return step_complete(r, NULL, err);
    }
    if (r->lane->now)
        coast_drop(r);
    return true;
}

bool rank_cancel(struct rank *r, uint32_t i, enum rt_status status, int64_t now_ns,
                 struct rt_finished_list *out, struct rt_err *err)
{
    if (!rank_stop_at(r, now_ns, err))
        return false;
    r->lane = lane_of(r, seq_at(r, i));
    struct rt_finished row = seq_row_so_far(r, seq_at(r, i), now_ns);
    row.status = (uint8_t)status;
    if (yields_now(r, seq_at(r, i)))
        leave_now(r, i);
    if (r->lane->ahead && leave_ahead(r, i))
        row.produced_tokens--;
    if (!rt_finished_list_add(out, &row))
        return rt_fail_nomem(err, "finished requests");
    leave_rank(r, i);
    rank_check(r);
    return true;
}
