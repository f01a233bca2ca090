/* A rank's life: arrivals in, steps scheduled and ended, rows out. See replica_internal.h for how
 * the parts fit; docs/engine.md for the rules. */
#include "replica_internal.h"
#include "rooftrace/cost.h"
#include "rooftrace/queue_order.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void prefetch_seq(const struct rank *r, uint32_t i)
{
    const char *q = (const char *)seq_at(r, i);
    for (size_t at = 0; at < sizeof(struct seq); at += 64)
        __builtin_prefetch(q + at);
}

void rank_prefetch(const struct rank *r)
{
    const struct lane *l = r->lanes;
    __builtin_prefetch(l->decode.finish.nodes);
    __builtin_prefetch(l->decode.finish.position);
    __builtin_prefetch(l->decode.phase);
    __builtin_prefetch(l->gaps.items + l->gaps.first);
    if (l->decode.count < r->plain_count)
        __builtin_prefetch(r->plain + l->decode.count);
    if (r->waiting.head != SEQ_NONE)
        prefetch_seq(r, r->waiting.head);
    for (int b = 0; b < 2; b++) {
        __builtin_prefetch(l->batches[b].emits);
        __builtin_prefetch(l->batches[b].fresh);
        __builtin_prefetch(l->batches[b].last);
    }
}

static bool init_lanes(struct rank *r)
{
    for (uint32_t l = 0; l < r->lane_count; l++)
        if (!decode_init(&r->lanes[l].decode, r))
            return false;
    return true;
}

static uint32_t lanes_of(const struct rt_replica_spec *spec)
{
    return spec->pipeline > 1 ? (uint32_t)spec->pipeline : 1;
}

size_t rank_bytes(const struct rt_replica_spec *spec)
{
    return sizeof(struct rank) + lanes_of(spec) * sizeof(struct lane);
}

bool rank_init(struct rank *r, const struct rt_replica_spec *spec, uint32_t number,
               struct rt_err *err)
{
    r->lane = r->lanes = (struct lane *)(void *)(r + 1);
    r->lane_count = lanes_of(spec);
    r->number = number;
    r->numbers = spec->ranks > 1 ? (uint32_t)spec->ranks : 1;
    r->piped = spec->pipeline > 1 || spec->together;
    r->engine = spec->engine;
    r->policy = policy_at(spec->engine->policy);
    r->cost = spec->cost;
    r->draft_cost = spec->draft_cost;
    r->stats = spec->stats;
    r->pool = spec->pool;
    r->index = spec->index;
    r->coast = spec->coast;
    r->silent = spec->silent;
    r->compact = spec->compact;
    r->kv_blocks = r->free_blocks = spec->kv_blocks;
    r->cpu_blocks = r->cpu_free_blocks = spec->cpu_blocks;
    r->block_bytes = spec->block_bytes;
    r->pcie_bytes_per_s = spec->pcie_bytes_per_s;
    if (r->policy->keeps_watermark)
        r->watermark_blocks = (int64_t)(r->engine->watermark * (double)r->kv_blocks);
    r->partial = SEQ_NONE;
    r->ordered = !queue_order_is_arrival(r->engine->queue_order);
    rt_heap_init(&r->queue);
    rt_heap_init(&r->victims);
    rt_slab_init(&r->seqs, sizeof(struct seq));
    seq_list_init(&r->waiting);
    seq_list_init(&r->running);
    return (kv_init(r, spec) && init_lanes(r) && remote_init(r, spec->role)) ||
           rt_fail_nomem(err, "a replica");
}

void seq_release(struct seq *q)
{
    free(q->session);
    free(q->blocks);
    free(q->hash_ids);
}

static void release_all(struct rank *r, const struct seq_list *l)
{
    for (uint32_t i = l->head; i != SEQ_NONE; i = seq_at(r, i)->next)
        seq_release(seq_at(r, i));
}

static void release_lane(struct lane *l)
{
    decode_release(&l->decode);
    free(l->gaps.items);
    for (int i = 0; i < 2; i++) {
        free(l->batches[i].emits);
        free(l->batches[i].fresh);
        free(l->batches[i].last);
    }
}

void rank_release(struct rank *r)
{
    release_all(r, &r->waiting);
    release_all(r, &r->running);
    if (r->remote) {
        release_all(r, &r->remote->held);
        release_all(r, &r->remote->expected);
        release_all(r, &r->remote->loading);
        release_all(r, &r->remote->arrived);
    }
    remote_free(r);
    kv_free(r);
    queue_release(r);
    rt_slab_release(&r->seqs);
    for (uint32_t l = 0; l < r->lane_count; l++)
        release_lane(&r->lanes[l]);
    free(r->plain);
    free(r->plan.listed);
}

/* Rule 4: requests that could never run. */
enum rt_reason rank_refuses(const struct rank *r, const struct rt_request *q,
                            const struct rt_progress *past)
{
    const struct rt_engine_spec *e = r->engine;
    int64_t total = q->prompt_tokens + q->output_tokens;
    if (e->max_model_len > 0 && total > e->max_model_len)
        return RT_REASON_MAX_MODEL_LEN;
    int64_t margin = 0;
    if (r->policy->keeps_watermark)
        margin = r->watermark_blocks > 1 ? r->watermark_blocks : 1;
    if (blocks_for(r, total + speculated_margin(r)) + margin > r->kv_blocks)
        return RT_REASON_KV;
    int64_t longest = r->policy->recomputes_whole ? total - 1 : q->prompt_tokens;
    if (past && q->prompt_tokens + past->produced_tokens > longest)
        longest = q->prompt_tokens + past->produced_tokens;
    if (r->policy->whole_prefill && longest > e->max_num_batched_tokens)
        return RT_REASON_PROMPT;
    return RT_REASON_NONE;
}

/* What of the request lives elsewhere: the session id, and the names of whole blocks of its prompt
 * (and answer, if its session's next prompt begins with them). */
static bool copy_texts(struct rank *r, struct seq *q, const struct rt_request *req)
{
    if (req->session) {
        q->session = strdup(req->session);
        if (!q->session)
            return false;
    }
    if (!r->kv || req->hash_count == 0)
        return true;
    size_t bytes = (size_t)req->hash_count * sizeof q->hash_ids[0];
    q->hash_ids = malloc(bytes);
    if (!q->hash_ids)
        return false;
    memcpy(q->hash_ids, req->hash_ids, bytes);
    q->hash_count = req->hash_count;
    q->named = req->named_tokens > q->prompt ? req->named_tokens : q->prompt;
    if (q->named > q->prompt)
        r->names_answers = true;
    return true;
}

static bool reserve_lanes(struct rank *r)
{
    for (uint32_t l = 0; l < r->lane_count; l++)
        if (!decode_reserve(&r->lanes[l].decode, r->seqs.capacity))
            return false;
    return true;
}

/* As if it had been preempted here when its replica was lost. */
static void take_progress(struct seq *q, const struct rt_progress *past)
{
    q->produced = past->produced_tokens;
    q->scheduled_ns = past->scheduled_ns;
    q->first_token_ns = past->first_token_ns;
    q->last_token_ns = past->last_token_ns;
    q->max_itl_ns = past->max_itl_ns;
    q->cached = past->cached_tokens;
    q->preemptions = past->preemptions;
    q->away_before_ns = past->preempted_ns;
    q->away_from_ns = past->lost_ns;
    q->away_to_ns = INT64_MAX;
}

bool rank_new_seq(struct rank *r, const struct rt_request *req, int64_t key_ns, struct rt_err *err)
{
    uint32_t i = rt_slab_take(&r->seqs);
    if (i == SEQ_NONE || !reserve_lanes(r) || !queue_reserve(r, r->seqs.capacity))
        return rt_fail_nomem(err, "requests in flight");
    struct seq *q = seq_at(r, i);
    q->id = req->id; /* what is not told is 0 */
    q->rank = r->pushes++;
    q->arrival_ns = req->arrival_ns;
    q->key_ns = key_ns;
    q->prompt = req->prompt_tokens;
    q->output = req->output_tokens;
    q->scheduled_ns = q->first_token_ns = q->last_token_ns = q->max_itl_ns = RT_NEVER;
    q->away_from_ns = INT64_MAX;
    q->class_name = req->class_name;
    q->state = SEQ_WAITING;
    q->run = RT_SLAB_NONE;
    if (!copy_texts(r, q, req)) {
        seq_release(q);
        rt_slab_give(&r->seqs, i);
        return rt_fail_nomem(err, "requests in flight");
    }
    r->newest = i;
    return true;
}

enum rt_reason rank_push(struct rank *r, const struct rt_request *req,
                         const struct rt_progress *past, int64_t now_ns, struct rt_err *err)
{
    enum rt_reason reason = rank_refuses(r, req, past);
    if (reason != RT_REASON_NONE) {
        r->totals.rejected++;
        return reason;
    }
    /* If it becomes the head of the queue, the next boundary must try to admit it: what is planned
     * beyond is void. Behind the head it changes nothing, since that was refused when the last
     * batch was formed; but step records tell how many waited. */
    int64_t key_ns = rt_queue_key(r->engine->queue_order, r->engine->aging_s, req);
    bool leads = queue_would_lead(r, key_ns);
    if (r->lane->now && (leads || r->steps)) {
        if (!coast_commit(r, now_ns, err))
            return RT_REASON_NONE;
        if (leads)
            coast_drop(r);
    }
    if (!rank_new_seq(r, req, key_ns, err)) /* memory: told through *err */
        return RT_REASON_NONE;
    rt_cost_prefetch(r->cost, req->prompt_tokens + r->lane->decode.count);
    if (past)
        take_progress(seq_at(r, r->newest), past);
    queue_join(r, r->newest);
    return RT_REASON_NONE;
}

bool rank_busy(const struct rank *r)
{
    return r->lane->now != NULL;
}

bool rank_begin_step(struct rank *r, int64_t now_ns, struct rt_err *err)
{
    assert(!r->lane->now);
    struct batch *b = r->lane->ahead;
    if (!b) {
        b = &r->lane->batches[0];
        if (!batch_form(r, b, now_ns, err))
            return false;
        if (b->record.shape.tokens == 0)
            return true;
    }
    r->lane->now = b;
    r->lane->ahead = NULL;
    if (!step_start(r, now_ns, err))
        return false;
    return !r->engine->async_scheduling ||
           form_ahead(r, b == r->lane->batches ? b + 1 : r->lane->batches, err);
}

bool rank_schedule(struct rank *r, int64_t now_ns, struct rt_err *err)
{
    if ((r->remote && !remote_give_rooms(r, err)) || !rank_begin_step(r, now_ns, err) ||
        (r->remote && !remote_give_rooms(r, err)))
        return false;
    coast_plan(r);
    return true;
}

int64_t rank_next_ns(const struct rank *r)
{
    return r->lane->now ? r->plan.end_ns : RT_NEVER_AGAIN;
}

bool rank_step_end(struct rank *r, int64_t now_ns, struct rt_finished_list *out, struct rt_err *err)
{
    if (r->compact && r->lanes[0].decode.count > 0)
        prefetch_seq(r, rt_heap_top(&r->lanes[0].decode.finish)->item);
    if (!coast_commit(r, now_ns, err))
        return false;
    assert(r->lane->now && r->lane->now->record.end_ns == now_ns);
    return step_complete(r, out, err);
}

struct rt_replica_gauges rank_gauges(struct rank *r, int64_t now_ns)
{
    struct rt_err ignored = {0}; /* memory for the gap stack: the next call meets it again */
    (void)coast_commit(r, now_ns, &ignored);
    return (struct rt_replica_gauges){.running = r->running.count,
                                      .waiting = rank_waiting(r),
                                      .kv_blocks_used = r->kv_blocks - r->free_blocks};
}

struct rt_finished seq_row(const struct rank *r, const struct seq *q, int64_t now_ns)
{
    return (struct rt_finished){
        .id = q->id,
        .arrival_ns = q->arrival_ns,
        .scheduled_ns = q->scheduled_ns,
        .first_token_ns = q->first_token_ns,
        .finish_ns = RT_NEVER,
        .max_itl_ns = RT_NEVER,
        .prompt_tokens = q->prompt,
        .output_tokens = q->output,
        .cached_tokens = q->cached,
        .preemptions = q->preemptions,
        .preempted_ns = seq_preempted_ns(q, now_ns),
        .pool = r->pool,
        .replica = r->index,
        .class_name = q->class_name,
        .status = RT_STATUS_UNFINISHED,
        .session = q->session,
    };
}

/* True: the token of that instant is still in flight, a step in progress ends with it. */
static bool in_flight(const struct rank *r, const struct seq *q, int64_t token_ns)
{
    const struct batch *now = lane_of(r, q)->now;
    return now && token_ns >= now->record.end_ns;
}

/* Tokens that have appeared by the steps completed so far. */
static int64_t tokens_appeared(const struct rank *r, const struct seq *q)
{
    const struct lane *l = lane_of(r, q);
    if (in_flight(r, q,
                  q->last_token_ns)) /* a prefill's, or those of a round before a preemption */
        return q->produced -
               (q->join_round < l->now->round ? round_tokens(&l->decode, l->now->round) : 1);
    if (q->state == SEQ_WAITING || q->state == SEQ_PAUSED || q->state == SEQ_PREFILL)
        return q->produced;
    int64_t completed = completed_rounds(l);
    /* one that was swapped in for a step that is not over has joined later than that */
    if (completed <= q->join_round)
        return q->produced;
    return q->produced + (decode_tokens_at(&l->decode, completed) - q->join_tokens);
}

static void undo_ahead(struct rank *r, const struct batch *ahead)
{
    for (uint32_t e = 0; ahead && e < ahead->emit_count; e++) {
        struct seq *q = seq_at(r, ahead->emits[e].seq);
        q->produced--;
        q->state = SEQ_WAITING;
    }
}

void rank_undo_ahead(struct rank *r)
{
    for (uint32_t l = 0; l < r->lane_count; l++)
        undo_ahead(r, r->lanes[l].ahead);
}

struct rt_finished seq_row_so_far(const struct rank *r, const struct seq *q, int64_t now_ns)
{
    struct rt_finished row = seq_row(r, q, now_ns);
    if (seq_is_remote(q)) { /* what it has is the prefill side's, and over */
        row.produced_tokens = q->produced;
        return row;
    }
    if (q->scheduled_ns > now_ns)
        row.scheduled_ns = RT_NEVER;
    if (in_flight(r, q, q->first_token_ns))
        row.first_token_ns = RT_NEVER;
    row.produced_tokens = tokens_appeared(r, q);
    return row;
}

static bool abort_list(struct rank *r, const struct seq_list *l, int64_t now_ns,
                       struct rt_finished_list *out)
{
    for (uint32_t i = l->head; i != SEQ_NONE; i = seq_at(r, i)->next) {
        struct rt_finished row = seq_row_so_far(r, seq_at(r, i), now_ns);
        if (!rt_finished_list_add(out, &row))
            return false;
    }
    return true;
}

bool rank_abort(struct rank *r, int64_t now_ns, struct rt_finished_list *out, struct rt_err *err)
{
    if (!coast_commit(r, now_ns, err))
        return false;
    step_flush_second(r);
    rank_undo_ahead(r);
    const struct remote *m = r->remote;
    if (!abort_list(r, &r->running, now_ns, out) || !abort_list(r, &r->waiting, now_ns, out) ||
        (m &&
         (!abort_list(r, &m->arrived, now_ns, out) || !abort_list(r, &m->loading, now_ns, out) ||
          !abort_list(r, &m->expected, now_ns, out))))
        return rt_fail_nomem(err, "unfinished requests");
    return true;
}

const struct rt_replica_totals *rank_totals(struct rank *r)
{
    double *terms_s = r->totals.terms_s;
    memcpy(terms_s, r->terms_s, sizeof r->terms_s);
    for (int64_t n = 0; n < r->plain_count; n++) {
        const struct plain_steps *p = &r->plain[n];
        struct rt_plain_sums sums = {(double)p->steps, (double)p->context, (double)p->low};
        if (p->steps > 0)
            rt_cost_add_decodes(r->cost, n, &sums, terms_s);
    }
    return &r->totals;
}
