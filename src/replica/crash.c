/* A rank that is gone from one instant to the next: a crash, a machine taken away.
 *
 * What was over by then stays: tokens that have appeared are with their clients, steps and their
 * tokens are counted. The step in progress is cut off and counts nowhere; what was formed ahead was
 * never begun. KV and caches are lost. Each request gets a row as of that instant, so that it can
 * go on elsewhere: its tokens, its longest gap so far, and when its last token came, which is where
 * the gap until the next one begins. The rank itself is not mended: rt_replica_renew puts a new one
 * in its place. O(requests * emissions of a step). */
#include "replica_internal.h"

#include <stdlib.h>
#include <string.h>

void rt_lost_list_release(struct rt_lost_list *l)
{
    free(l->rows);
    free(l->last_token_ns);
    *l = (struct rt_lost_list){0};
}

static bool add_lost(struct rt_lost_list *l, const struct rt_finished *row, int64_t last_token_ns)
{
    if (l->count == l->capacity) {
        size_t capacity = l->capacity ? 2 * l->capacity : 64;
        struct rt_finished *rows = realloc(l->rows, capacity * sizeof rows[0]);
        if (rows)
            l->rows = rows;
        int64_t *last = realloc(l->last_token_ns, capacity * sizeof last[0]);
        if (last)
            l->last_token_ns = last;
        if (!rows || !last)
            return false;
        l->capacity = capacity;
    }
    l->rows[l->count] = *row;
    l->rows[l->count].session = NULL;
    l->last_token_ns[l->count++] = last_token_ns;
    return true;
}

static const struct emission *emission_of(const struct batch *b, uint32_t i)
{
    for (uint32_t e = 0; b && e < b->emit_count; e++)
        if (b->emits[e].seq == i)
            return &b->emits[e];
    return NULL;
}

static bool decodes(const struct seq *q)
{
    return q->state == SEQ_DECODE || q->state == SEQ_LAST || q->state == SEQ_GONE;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Puts what has been seen of q's tokens into its row; answers when the last one came. */
static int64_t note_seen(const struct rank *r, uint32_t i, struct rt_finished *row)
{
    const struct seq *q = seq_at(r, i);
    const struct lane *l = lane_of(r, q);
    const struct batch *now = l->now;
    const struct emission *e = emission_of(now, i);
    bool cut = now && now->record.shape.decodes > 0; /* a round: its gap is the latest */
    int64_t round_ns = cut ? now->record.end_ns - now->gap_ns : l->round_end_ns;
    int64_t last_ns = q->last_token_ns, longest_ns = q->max_itl_ns;
    bool in_rounds = decodes(q);
    if (now && e) {
        last_ns = e->gap_ns >= 0 ? now->record.end_ns - e->gap_ns : RT_NEVER;
        longest_ns = e->longest_ns;
        in_rounds = false;
    } else if (now && (q->state == SEQ_GONE || last_ns >= now->record.end_ns)) {
        last_ns = round_ns; /* preempted by the batch formed ahead: its token is in flight */
        longest_ns = q->sure_itl_ns;
        in_rounds = false;
    } else if (in_rounds && completed_rounds(l) > q->join_round) {
        last_ns = round_ns;
    }
    if (in_rounds)
        longest_ns = later(longest_ns, cut ? gap_max_before_latest(&l->gaps, q->gap_round)
                                           : gap_max_after(&l->gaps, q->gap_round));
    row->max_itl_ns = longest_ns;
    return last_ns;
}

static bool lose_list(const struct rank *r, const struct seq_list *l, int64_t now_ns,
                      struct rt_lost_list *out)
{
    for (uint32_t i = l->head; i != SEQ_NONE; i = seq_at(r, i)->next) {
        struct rt_finished row = seq_row_so_far(r, seq_at(r, i), now_ns);
        int64_t last_ns = note_seen(r, i, &row);
        if (!add_lost(out, &row, last_ns))
            return false;
    }
    return true;
}

/* Admitted for a step that never began: they will be admitted for the first time elsewhere. */
static void forget_fresh(struct rank *r, const struct batch *ahead)
{
    for (uint32_t f = 0; ahead && f < ahead->fresh_count; f++) {
        struct seq *q = seq_at(r, ahead->fresh[f]);
        r->totals.prompt_tokens -= q->prompt;
        r->totals.cached_tokens -= q->cached;
        q->cached = 0;
    }
}

bool rank_crash(struct rank *r, int64_t now_ns, struct rt_lost_list *out, struct rt_err *err)
{
    if (!rank_stop_at(r, now_ns, err))
        return false;
    step_flush_second(r);
    for (uint32_t l = 0; l < r->lane_count; l++)
        forget_fresh(r, r->lanes[l].ahead);
    rank_undo_ahead(r);
    return (lose_list(r, &r->running, now_ns, out) && lose_list(r, &r->waiting, now_ns, out)) ||
           rt_fail_nomem(err, "requests that lost their replica");
}

void rank_adopt(struct rank *r, struct rank *from)
{
    r->totals = from->totals;
    memcpy(r->terms_s, from->terms_s, sizeof r->terms_s);
    r->plain = from->plain;
    r->plain_count = from->plain_count;
    from->plain = NULL;
    from->plain_count = 0;
    r->steps = from->steps;
}
