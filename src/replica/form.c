/* Forming a batch: what every policy shares. The policy decides who is in; this file moves
 * sequences between waiting, prefill, decode set and "last token in flight", and keeps blocks and
 * sums. A sequence costs O(log running) when it is admitted, completes its prefill, ends or is
 * preempted; nothing here is paid per decode. */
#include "replica_internal.h"

#include <stdlib.h>
#include <string.h>

void batch_add_decodes(struct rank *r, struct batch *b)
{
    const struct decode_set *d = &r->lane->decode;
    struct rt_step_shape *s = &b->record.shape;
    s->tokens += d->count * d->width;
    s->decodes = d->count;
    s->sequences += d->count;
    s->samples += d->count * d->width;
    b->yields += d->count * d->next;
    s->held_tokens += d->context;
    s->decode_context = d->context;
    for (unsigned w = 0; w < d->window_count; w++)
        s->decode_window[w] = d->windows[w].sum;
    add_drafts(r, s);
    if (!r->policy->reserves_output)
        kv_take_crossings(r);
}

void batch_add_prefill(struct rank *r, struct batch *b, uint32_t i, int64_t tokens)
{
    struct seq *q = seq_at(r, i);
    struct rt_step_shape *s = &b->record.shape;
    rt_step_add_prefill(s, tokens, q->kv);
    q->kv += tokens;
    if (q->kv < q->target) {
        r->partial = i;
        return;
    }
    r->partial = SEQ_NONE;
    s->samples++;
    b->yields++;
    b->emits[b->emit_count++] = (struct emission){.seq = i, .gap_ns = -1};
}

void admit_head(struct rank *r, struct batch *b)
{
    uint32_t i = queue_head(r);
    struct seq *q = seq_at(r, i);
    queue_leave(r, i);
    running_join(r, i);
    q->state = SEQ_PREFILL;
    q->admission = r->admissions++;
    q->target = q->prompt + q->produced;
    kv_share_prefix(r, q);
    swap_in(r, q);
    q->away_to_ns = b->record.start_ns;
    if (q->scheduled_ns == RT_NEVER) {
        b->fresh[b->fresh_count++] = i;
        q->cached = q->kv;
        r->totals.prompt_tokens += q->prompt;
        r->totals.cached_tokens += q->cached;
    }
}

/* The latest round is mostly still in progress, and a crash may cut it off (crash.c). */
static void note_gaps(const struct gap_stack *gaps, struct seq *q)
{
    int64_t sure_ns = gap_max_before_latest(gaps, q->gap_round);
    int64_t all_ns = gap_max_after(gaps, q->gap_round);
    q->sure_itl_ns = sure_ns > q->max_itl_ns ? sure_ns : q->max_itl_ns;
    q->max_itl_ns = all_ns > q->max_itl_ns ? all_ns : q->max_itl_ns;
}

void preempt_last(struct rank *r, struct batch *b)
{
    uint32_t i = running_victim(r);
    struct seq *q = seq_at(r, i);
    bool keeps_kv = swap_out(r, q), decoded = q->state == SEQ_DECODE;
    kv_release(r, i);
    const struct lane *lane = lane_of(r, q);
    if (decoded || q->state == SEQ_LAST)
        note_gaps(&lane->gaps, q);
    if (decoded) {
        if (lane->round_end_ns > q->last_token_ns) /* it has had a round since it joined */
            q->last_token_ns = lane->round_end_ns;
        q->newly_joined = false;
        decode_leave(r, i);
        q->produced = decode_produced(&lane->decode, q);
    }
    if (i == r->partial)
        r->partial = SEQ_NONE;
    q->state = q->state == SEQ_LAST ? SEQ_GONE : keeps_kv && decoded ? SEQ_PAUSED : SEQ_WAITING;
    q->kv = 0;
    q->away_before_ns = seq_preempted_ns(q, INT64_MAX);
    q->away_from_ns = b->record.start_ns;
    q->away_to_ns = q->state == SEQ_GONE ? q->away_from_ns : INT64_MAX; /* misses nothing */
    q->preemptions++;
    r->totals.preemptions++;
    b->preempted = true;
    running_leave(r, i);
    queue_return(r, i);
}

void batch_retire(struct rank *r, struct batch *b)
{
    const struct rt_heap *finish = &r->lane->decode.finish;
    while (finish->count > 0 && rt_heap_top(finish)->time <= r->lane->decode.tokens) {
        uint32_t i = rt_heap_top(finish)->item;
        b->yields -= r->lane->decode.tokens - rt_heap_top(finish)->time; /* more than it wants */
        struct seq *q = seq_at(r, i);
        decode_leave(r, i);
        q->kv = decode_kv(&r->lane->decode, q); /* whose blocks it holds */
        q->state = SEQ_LAST;
        b->last[b->last_count++] = i;
    }
}

/* Sequences whose prefill the step completes yield a token in it and decode from the next one on.
 */
static void join_emitters(struct rank *r, struct batch *b)
{
    for (uint32_t e = 0; e < b->emit_count; e++) {
        uint32_t i = b->emits[e].seq;
        struct seq *q = seq_at(r, i);
        q->produced++;
        if (q->produced < q->output) {
            decode_join(r, i);
            q->newly_joined = r->policy->pauses_decodes;
            continue;
        }
        q->state = SEQ_LAST;
        q->lane = lane_number(r);
        q->gap_round = q->join_round = r->lane->decode.round;
        q->join_tokens = r->lane->decode.tokens;
        b->last[b->last_count++] = i;
    }
}

static bool batch_reserve(struct batch *b, int64_t sequences)
{
    if (sequences <= b->capacity)
        return true;
    size_t capacity = (size_t)sequences + (size_t)sequences / 2 + 8;
    struct emission *emits = realloc(b->emits, capacity * sizeof emits[0]);
    if (emits)
        b->emits = emits;
    uint32_t *fresh = realloc(b->fresh, capacity * sizeof fresh[0]);
    if (fresh)
        b->fresh = fresh;
    uint32_t *last = realloc(b->last, capacity * sizeof last[0]);
    if (last)
        b->last = last;
    if (!emits || !fresh || !last)
        return false;
    b->capacity = (uint32_t)capacity;
    return true;
}

/* The copies made since a step was formed last go with this one, one after the other. */
static void charge_copies(struct rank *r, struct batch *b)
{
    b->moved_blocks = r->moved_blocks;
    r->moved_blocks = 0;
    if (b->moved_blocks > 0)
        b->record.shape.transfer_s = (double)b->moved_blocks * r->block_bytes / r->pcie_bytes_per_s;
}

static bool only_decodes(const struct rank *r)
{
    int64_t spare = r->free_blocks - (r->policy->needs_spare_block ? 1 : 0);
    return r->waiting.count == 0 && !remote_joins(r) && r->partial == SEQ_NONE &&
           r->lane->decode.count > 0 &&
           (r->policy->reserves_output || decode_crossings(&r->lane->decode) <= spare);
}

/* An empty batch. Clearing the whole shape is most of what forming one costs; between rounds of
 * decodes alone only what they add to is cleared. */
static void start_batch(struct batch *b, int64_t start_ns, bool round)
{
    struct rt_step_shape *s = &b->record.shape;
    if (b->mixed || !round)
        memset(s, 0, sizeof *s);
    else
        s->tokens = s->sequences = s->samples = s->held_tokens = 0;
    b->mixed = !round;
    b->record.start_ns = start_ns;
    b->priced = b->preempted = b->resumed = false;
    b->emit_count = b->fresh_count = b->last_count = 0;
    b->moved_blocks = b->yields = b->waited_ns = b->dropped = 0;
}

/* What every policy would form, and nothing to be told about it but sums. */
static void form_round(struct rank *r, struct batch *b)
{
    batch_add_decodes(r, b);
    decode_advance(&r->lane->decode, 1);
    batch_retire_decodes(r, b);
}

static bool form_mixed(struct rank *r, struct batch *b, bool decodes, struct rt_err *err)
{
    if (decodes)
        batch_add_decodes(r, b);
    else if (r->running.count > 0 || r->waiting.count > 0 || remote_joins(r))
        r->policy->form(r, b);
    if (b->record.shape.tokens == 0)
        return true;
    charge_copies(r, b);
    if (b->record.shape.decodes > 0)
        decode_advance(&r->lane->decode, 1);
    kv_publish_batch(r, b);
    if (r->out_of_memory)
        return rt_fail_nomem(err, "KV block tables");
    for (uint32_t f = 0; f < b->fresh_count; f++)
        seq_at(r, b->fresh[f])->scheduled_ns = b->record.start_ns;
    if (b->record.shape.decodes > 0)
        batch_retire_decodes(r, b);
    join_emitters(r, b);
    return true;
}

bool batch_form(struct rank *r, struct batch *b, int64_t start_ns, struct rt_err *err)
{
    int64_t sequences = r->running.count + rank_waiting(r);
    if (sequences > r->engine->max_num_seqs)
        sequences = r->engine->max_num_seqs;
    if (!batch_reserve(b, sequences))
        return rt_fail_nomem(err, "a batch");
    bool decodes = only_decodes(r);
    bool round = decodes && !r->piped && !r->kv && r->moved_blocks == 0;
    start_batch(b, start_ns, round);
    if (round)
        form_round(r, b);
    else if (!form_mixed(r, b, decodes, err))
        return false;
    if (b->record.shape.tokens == 0)
        return true;
    b->round = r->lane->decode.round;
    b->record.kv_blocks_used = r->kv_blocks - r->free_blocks;
    b->record.waiting = rank_waiting(r);
    if (b->record.kv_blocks_used > r->totals.kv_blocks_peak)
        r->totals.kv_blocks_peak = b->record.kv_blocks_used;
    rank_check(r);
    return true;
}

bool form_ahead(struct rank *r, struct batch *b, struct rt_err *err)
{
    r->lane->ahead = NULL;
    if (!batch_form(r, b, r->lane->now->record.end_ns, err))
        return false;
    if (b->record.shape.tokens > 0)
        r->lane->ahead = b;
    return true;
}
