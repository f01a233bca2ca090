/* The decode set: who joins and leaves, and what its windows hold. See decode_set_internal.h. */
#include "replica_internal.h"
#include "rooftrace/cost.h"

#include <stdlib.h>

static uint32_t phase_of(const struct rank *r, const struct seq *q)
{
    int64_t b = r->engine->block_size;
    int64_t p = (q->kv + decode_drafts(r) - q->join_tokens) % b;
    return (uint32_t)(p < 0 ? p + b : p);
}

bool decode_init(struct decode_set *d, const struct rank *r)
{
    int64_t windows[RT_MAX_WINDOWS];
    d->window_count = rt_cost_windows(r->cost, windows);
    for (unsigned w = 0; w < d->window_count; w++) {
        d->windows[w] = (struct window_sum){.tokens = windows[w]};
        rt_heap_init(&d->windows[w].reach);
    }
    rt_heap_init(&d->finish);
    d->per_round = speculated_mean(&r->engine->speculative);
    d->width = r->engine->speculative.draft_tokens + 1;
    d->next = decode_tokens_at(d, 1);
    d->phase_count = (uint32_t)r->engine->block_size;
    d->phase = calloc((size_t)r->engine->block_size, sizeof d->phase[0]);
    if (!d->phase || !r->kv)
        return d->phase != NULL;
    d->members = malloc((size_t)r->engine->block_size * sizeof d->members[0]);
    for (int64_t p = 0; d->members && p < r->engine->block_size; p++)
        d->members[p] = (struct phase_list){.head = SEQ_NONE, .tail = SEQ_NONE};
    return d->members != NULL;
}

void decode_release(struct decode_set *d)
{
    free(d->phase);
    free(d->members);
    rt_heap_release(&d->finish);
    for (unsigned w = 0; w < d->window_count; w++)
        rt_heap_release(&d->windows[w].reach);
}

bool decode_reserve(struct decode_set *d, uint32_t seqs)
{
    for (unsigned w = 0; w < d->window_count; w++)
        if (!rt_heap_reserve(&d->windows[w].reach, seqs))
            return false;
    return rt_heap_reserve(&d->finish, seqs);
}

int64_t decode_kv(const struct decode_set *d, const struct seq *q)
{
    return q->kv + (d->tokens - q->join_tokens);
}

int64_t decode_produced(const struct decode_set *d, const struct seq *q)
{
    return q->produced + (d->tokens - q->join_tokens);
}

bool decode_crosses(const struct rank *r, const struct seq *q)
{
    return phase_of(r, q) == r->lane->decode.cursor;
}

static void window_join(struct window_sum *w, uint32_t i, const struct seq *q)
{
    w->sum += q->kv < w->tokens ? q->kv : w->tokens;
    if (q->kv < w->tokens) {
        w->growing++;
        rt_heap_set(&w->reach, i, q->join_tokens + (w->tokens - q->kv), q->admission);
    }
}

static void window_leave(struct window_sum *w, uint32_t i, int64_t kv)
{
    w->sum -= kv < w->tokens ? kv : w->tokens;
    if (rt_heap_has(&w->reach, i)) {
        w->growing--;
        rt_heap_remove(&w->reach, i);
    }
}

/* Members join in running order, so a list of them is in running order, too. */
static void members_add(struct rank *r, struct phase_list *l, uint32_t i)
{
    struct seq *q = seq_at(r, i);
    q->phase_prev = l->tail;
    q->phase_next = SEQ_NONE;
    if (l->tail == SEQ_NONE)
        l->head = i;
    else
        seq_at(r, l->tail)->phase_next = i;
    l->tail = i;
}

static void members_remove(struct rank *r, struct phase_list *l, uint32_t i)
{
    const struct seq *q = seq_at(r, i);
    if (q->phase_prev == SEQ_NONE)
        l->head = q->phase_next;
    else
        seq_at(r, q->phase_prev)->phase_next = q->phase_next;
    if (q->phase_next == SEQ_NONE)
        l->tail = q->phase_prev;
    else
        seq_at(r, q->phase_next)->phase_prev = q->phase_prev;
}

void decode_join(struct rank *r, uint32_t i)
{
    struct decode_set *d = &r->lane->decode;
    struct seq *q = seq_at(r, i);
    q->lane = lane_number(r);
    q->state = SEQ_DECODE;
    q->gap_round = q->join_round = d->round;
    q->join_tokens = d->tokens;
    d->count++;
    d->context += q->kv;
    d->phase[phase_of(r, q)]++;
    if (d->members)
        members_add(r, &d->members[phase_of(r, q)], i);
    rt_heap_set(&d->finish, i, d->tokens + (q->output - q->produced), q->admission);
    for (unsigned w = 0; w < d->window_count; w++)
        window_join(&d->windows[w], i, q);
}

void decode_leave(struct rank *r, uint32_t i)
{
    struct seq *q = seq_at(r, i);
    struct decode_set *d = &lane_of(r, q)->decode;
    int64_t kv = decode_kv(d, q);
    d->count--;
    d->context -= kv;
    d->phase[phase_of(r, q)]--;
    if (d->members)
        members_remove(r, &d->members[phase_of(r, q)], i);
    rt_heap_remove(&d->finish, i);
    for (unsigned w = 0; w < d->window_count; w++)
        window_leave(&d->windows[w], i, kv);
}

static void window_advance(struct window_sum *w, int64_t tokens, int64_t now)
{
    w->sum += w->growing * tokens;
    while (w->reach.count > 0 && rt_heap_top(&w->reach)->time <= now) {
        w->sum -= now - rt_heap_top(&w->reach)->time; /* it stopped growing on the way */
        rt_heap_remove(&w->reach, rt_heap_top(&w->reach)->item);
        w->growing--;
    }
}

int64_t decode_count_tokens(struct decode_set *d)
{
    int64_t now = decode_tokens_at(d, d->round);
    d->next = decode_tokens_at(d, d->round + 1) - now;
    return now - d->tokens;
}

void decode_advance_windows(struct decode_set *d, int64_t tokens)
{
    for (unsigned w = 0; w < d->window_count; w++)
        window_advance(&d->windows[w], tokens, d->tokens);
}

/* Rounds until decode.tokens is at least `tokens`. */
static int64_t rounds_until(const struct decode_set *d, int64_t tokens)
{
    return (d->per_round == 0 ? tokens : speculated_round(d->per_round, tokens)) - d->round;
}

int64_t decode_linear_rounds(const struct decode_set *d, int64_t limit)
{
    int64_t rounds = rounds_until(d, rt_heap_top(&d->finish)->time);
    limit = rounds < limit ? rounds : limit;
    for (unsigned w = 0; w < d->window_count; w++) {
        const struct rt_heap_node *top = rt_heap_top(&d->windows[w].reach);
        if (!top)
            continue;
        rounds = rounds_until(d, top->time + 1) - 1;
        limit = rounds < limit ? rounds : limit;
    }
    return limit;
}
