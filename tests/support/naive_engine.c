/* One serving engine, stepped plainly: how batches are formed. Read beside docs/engine.md: each
 * function names its rule. Requests are walked one by one in every step. Any broken invariant
 * aborts: a model that is wrong must not agree with anybody. */
#include "support/naive_state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const naive_policy_names[NAIVE_POLICY_COUNT] = {"static", "continuous", "prefill_first",
                                                            "sarathi", "chunked"};
const char *const naive_order_names[NAIVE_ORDER_COUNT] = {"fcfs", "priority", "shortest_prompt",
                                                          "deadline"};
const char *const naive_status_names[3] = {"ok", "rejected_kv", "rejected_prompt"};

void *naive_grown(void *items, size_t *capacity, size_t wanted, size_t item_bytes)
{
    if (wanted <= *capacity)
        return items;
    *capacity = wanted * 2 + 16;
    items = realloc(items, *capacity * item_bytes);
    naive_need(items != NULL, "out of memory");
    return items;
}

int64_t naive_blocks_for(const struct engine *e, int64_t tokens)
{
    return (tokens + e->p->block_size - 1) / e->p->block_size;
}

static int64_t min64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- KV blocks (rules 9 and 10) -------------------------------------------------------------- */

static bool same_key(const struct naive_key *x, const struct naive_key *y)
{
    return x->is_private == y->is_private && x->name == y->name && x->place == y->place;
}

/* Place of the name in the offload tier, tier_count: it is not there. */
static size_t tier_find(const struct engine *e, const struct naive_key *key)
{
    size_t i = 0;
    while (i < e->tier_count && !same_key(&e->tier[i], key))
        i++;
    return i;
}

static void tier_remove(struct engine *e, size_t place)
{
    if (place == e->tier_count)
        return;
    e->tier_count--;
    memmove(e->tier + place, e->tier + place + 1, (e->tier_count - place) * sizeof *e->tier);
}

/* The head of the free queue; with an offload tier its name goes there. */
static int64_t take_block(struct engine *e)
{
    int64_t head = e->pool.head;
    if (e->p->offload_blocks > 0 && e->pool.blocks[head].published) {
        naive_need(tier_find(e, &e->pool.blocks[head].key) == e->tier_count,
                   "a name in both tiers");
        if ((int64_t)e->tier_count == e->p->offload_blocks)
            tier_remove(e, 0);
        e->tier[e->tier_count++] = e->pool.blocks[head].key;
        e->out->offloaded++;
    }
    return naive_pool_take(&e->pool);
}

/* Takes blocks until q can hold `tokens`. */
static void grow(struct engine *e, struct seq *q, int64_t tokens)
{
    while ((int64_t)q->block_count < naive_blocks_for(e, tokens)) {
        q->blocks =
            naive_grown(q->blocks, &q->block_capacity, q->block_count + 1, sizeof *q->blocks);
        q->blocks[q->block_count++] = take_block(e);
    }
}

void naive_release_blocks(struct engine *e, struct seq *q)
{
    while (q->block_count > 0) { /* last block first */
        naive_pool_drop(&e->pool, q->blocks[--q->block_count]);
    }
}

/* Rule 3: the name of block b of q. */
static struct naive_key key_of(const struct engine *e, const struct seq *q, int64_t b)
{
    int64_t hash_block = e->p->hash_block ? e->p->hash_block : e->p->block_size;
    int64_t ratio = hash_block / e->p->block_size;
    int64_t named = q->r->named > q->prompt ? q->r->named : q->prompt;
    if ((b + 1) * e->p->block_size <= named && b / ratio < (int64_t)q->r->hash_count)
        return (struct naive_key){false, q->r->hash_ids[b / ratio], (uint64_t)(b % ratio)};
    return (struct naive_key){true, q->id, (uint64_t)b};
}

/* Rule 10: the longest leading run of published blocks, into e->hits; NAIVE_NONE: offloaded. */
static size_t cached_prefix(struct engine *e, const struct seq *q)
{
    size_t count = 0;
    int64_t most = (q->known - 1) / e->p->block_size;
    for (int64_t i = 0; e->p->prefix_cache && i < most; i++) {
        struct naive_key key = key_of(e, q, i);
        int64_t b = naive_pool_find(&e->pool, &key);
        if (b == NAIVE_NONE && tier_find(e, &key) == e->tier_count)
            break;
        e->hits[count++] = b;
    }
    return count;
}

/* ---- lanes (pipelines) ---- */

/* It decodes, but in the batches of another lane. */
static bool elsewhere(const struct engine *e, const struct seq *q)
{
    return q->kv >= q->target && q->lane != e->lane;
}

/* None of its tokens is still to come as the batch is formed, and it wants more. */
static bool tokens_known(const struct engine *e, const struct seq *q)
{
    return q->token_ns <= e->known_ns && q->yielded < q->output;
}

/* ---- batches --------------------------------------------------------------------------------- */

static void batch_add(struct batch *b, struct seq *q, int64_t fresh, bool prefill)
{
    b->entries = naive_grown(b->entries, &b->capacity, b->count + 1, sizeof *b->entries);
    b->entries[b->count++] = (struct entry){q, fresh, q->kv, prefill};
}

/* Decodes that were swapped out do not start with a prefill: resume_swapped. */
static bool can_admit(const struct engine *e)
{
    return e->waiting.count > 0 && (int64_t)e->running.count < e->p->max_seqs &&
           tokens_known(e, e->waiting.at[0]) &&
           !(e->waiting.at[0]->swapped > 0 && e->waiting.at[0]->decoding);
}

static void swap_out(struct engine *e, struct seq *q)
{
    int64_t blocks = naive_blocks_for(e, q->kv);
    bool last_in_flight = q->kv == q->limit;
    if (!e->p->swap || last_in_flight || e->cpu_used + blocks > e->p->cpu_blocks)
        return;
    e->cpu_used += blocks;
    e->moved += blocks;
    e->out->swapped_out += blocks;
    q->swapped = blocks;
    q->swapped_kv = q->kv;
    q->decoding = q->kv >= q->target;
}

static void swap_in(struct engine *e, struct seq *q)
{
    if (q->swapped == 0)
        return;
    e->cpu_used -= q->swapped;
    e->moved += q->swapped;
    e->out->swapped_in += q->swapped;
    q->swapped = 0;
    q->kv = q->swapped_kv;
}

/* Copied back from the offload tier, which has forgotten it. */
static void load_block(struct engine *e, struct seq *q, int64_t i)
{
    struct naive_key key = key_of(e, q, i);
    q->blocks[i] = take_block(e);
    naive_pool_publish(&e->pool, &key, q->blocks[i]);
    e->moved++;
    e->out->loaded++;
}

/* The queue head moves to `running`; its first `hits` blocks are shared. */
static void admit(struct engine *e, struct seq *q, size_t hits)
{
    naive_need(e->waiting.at[0] == q, "admitted out of order");
    naive_list_remove(&e->waiting, 0);
    for (size_t i = 0; i < hits; i++) {
        struct naive_key key = key_of(e, q, (int64_t)i);
        if (e->hits[i] != NAIVE_NONE)
            naive_pool_share(&e->pool, e->hits[i]);
        else
            tier_remove(e, tier_find(e, &key));
        q->blocks =
            naive_grown(q->blocks, &q->block_capacity, q->block_count + 1, sizeof *q->blocks);
        q->blocks[q->block_count++] = e->hits[i];
    }
    for (size_t i = 0; i < hits; i++)
        if (e->hits[i] == NAIVE_NONE)
            load_block(e, q, (int64_t)i);
    q->published = (int64_t)hits;
    q->target = q->known;
    q->kv = (int64_t)hits * e->p->block_size;
    swap_in(e, q);
    if (q->r->preemptions == 0)
        q->r->cached = q->kv;
    naive_list_insert(&e->running, e->running.count, q);
}

/* Rule 11. */
static struct seq *preempt_last(struct engine *e)
{
    size_t place = naive_victim_place(e);
    struct seq *q = e->running.at[place];
    naive_list_remove(&e->running, place);
    swap_out(e, q);
    naive_release_blocks(e, q);
    q->kv = 0;
    q->r->preemptions++;
    q->evicted_by = e->forming;
    e->out->preemptions++;
    naive_queue_insert(e, q);
    if (e->p->order == NAIVE_FCFS)
        naive_need(e->waiting.at[0] == q, "with fcfs a preempted request is the head");
    return q;
}

/* ---- speculative decoding -------------------------------------------------------------------- */

/* T(g): tokens of a sequence that decodes in all of the first g rounds. */
static int64_t tokens_of_rounds(const struct naive_params *p, int64_t rounds)
{
    double mean = 1;
    for (int64_t i = 0; i < p->drafts; i++) {
        double all = 1;
        for (int64_t j = 0; j <= i; j++)
            all *= p->acceptance[j];
        mean += all;
    }
    __extension__ unsigned __int128 product = (unsigned __int128)llround(mean * 4294967296.0);
    return (int64_t)(product * (unsigned __int128)rounds / 4294967296U);
}

static void batch_add_decode(struct engine *e, struct batch *b, struct seq *q)
{
    batch_add(b, q, 1 + e->p->drafts, false);
}

static void add_all_decodes(struct engine *e, struct batch *b)
{
    for (size_t i = 0; i < e->running.count; i++)
        if (!elsewhere(e, e->running.at[i]))
            batch_add_decode(e, b, e->running.at[i]);
}

/* Tokens it holds blocks for after n more, of its prompt or of the round. */
static int64_t held_after(const struct engine *e, const struct seq *q, int64_t n)
{
    bool decodes_next = q->kv + n >= q->target;
    return q->kv + n + (decodes_next ? e->p->drafts : 0);
}

/* Rules 12 and 13: whole prompts, everything reserved. */
static void admit_whole_prompts(struct engine *e, struct batch *b)
{
    int64_t tokens = 0;
    for (size_t i = 0; i < b->count; i++)
        tokens += b->entries[i].fresh;
    while (can_admit(e)) {
        struct seq *q = e->waiting.at[0];
        int64_t total = q->prompt + q->output + e->p->drafts;
        if (tokens + q->prompt > e->p->max_batched_tokens ||
            naive_blocks_for(e, total) > e->pool.free_count)
            break;
        admit(e, q, 0);
        grow(e, q, total);
        tokens += q->prompt;
        batch_add(b, q, q->prompt, true);
    }
}

static void batch_static(struct engine *e, struct batch *b)
{
    add_all_decodes(e, b);
    if (b->count == 0)
        admit_whole_prompts(e, b);
}

static void batch_continuous(struct engine *e, struct batch *b)
{
    add_all_decodes(e, b);
    admit_whole_prompts(e, b);
}

/* Every decode finds a free block at its turn. */
static bool decodes_fit(const struct engine *e)
{
    int64_t free_count = e->pool.free_count;
    for (size_t i = 0; i < e->running.count; i++) {
        const struct seq *q = e->running.at[i];
        if (q->kv < q->target || elsewhere(e, q))
            continue;
        if (free_count == 0)
            return false;
        free_count -= naive_blocks_for(e, q->kv + 1) - (int64_t)q->block_count;
    }
    return true;
}

/* Heads of the queue that were decoding come back, before the decodes take their blocks. */
static void resume_swapped(struct engine *e, int64_t budget)
{
    bool vllm_v0 = e->p->policy != NAIVE_CHUNKED;
    int64_t margin = vllm_v0 ? (e->watermark > 1 ? e->watermark : 1) : 0;
    while (e->waiting.count > 0 && (int64_t)e->running.count < e->p->max_seqs) {
        struct seq *q = e->waiting.at[0];
        int64_t need = naive_blocks_for(e, q->swapped_kv + 1), decodes = 0;
        for (size_t i = 0; i < e->running.count; i++) {
            const struct seq *other = e->running.at[i];
            if (other->kv < other->target)
                return; /* a prompt is unfinished */
            if (other->kv == other->known || elsewhere(e, other))
                continue; /* its last token is in flight */
            need += naive_blocks_for(e, other->kv + 1) - (int64_t)other->block_count;
            decodes++;
        }
        if (q->swapped == 0 || !q->decoding || !tokens_known(e, q) || decodes >= budget ||
            e->pool.free_count - need < margin)
            return;
        naive_list_remove(&e->waiting, 0);
        swap_in(e, q);
        q->lane = e->lane;
        grow(e, q, q->kv);
        naive_list_insert(&e->running, e->running.count, q);
    }
}

/* Rule 14, second half; also the first part of rule 15. */
static void decode_pass(struct engine *e, struct batch *b, int64_t budget)
{
    bool preempted = false;
    while ((e->p->order != NAIVE_FCFS || e->p->swap) && !decodes_fit(e)) {
        preempted = true;
        preempt_last(e);
    }
    if (!preempted)
        resume_swapped(e, budget);
    for (size_t i = 0; i < e->running.count; i++) {
        struct seq *q = e->running.at[i];
        if (q->kv < q->target || elsewhere(e, q))
            continue; /* still in prefill, or not in this batch */
        while (e->pool.free_count == 0)
            if (preempt_last(e) == q)
                return;
        grow(e, q, q->kv + 1);
        batch_add(b, q, 1, false);
    }
}

static void batch_prefill_first(struct engine *e, struct batch *b)
{
    int64_t longest = 0;
    while (can_admit(e)) {
        struct seq *q = e->waiting.at[0];
        longest = longest > q->known ? longest : q->known;
        int64_t padded = ((int64_t)b->count + 1) * longest;
        if (padded > e->p->max_batched_tokens ||
            e->pool.free_count - naive_blocks_for(e, q->known) < e->watermark)
            break;
        admit(e, q, 0);
        grow(e, q, q->known);
        batch_add(b, q, q->known, true);
    }
    if (b->count == 0)
        decode_pass(e, b, e->p->max_batched_tokens);
}

static void batch_sarathi(struct engine *e, struct batch *b)
{
    decode_pass(e, b, e->p->chunk);
    int64_t left = e->p->chunk - (int64_t)b->count;
    for (size_t i = 0; i < e->running.count; i++) {
        struct seq *q = e->running.at[i];
        int64_t n = min64(q->target - q->kv, left);
        if (n > 0) {
            batch_add(b, q, n, true);
            left -= n;
        }
    }
    while (can_admit(e) && left > 0) {
        struct seq *q = e->waiting.at[0];
        if (e->pool.free_count - naive_blocks_for(e, q->known) < e->watermark)
            break;
        admit(e, q, 0);
        grow(e, q, q->known);
        int64_t n = min64(q->known - q->kv, left);
        batch_add(b, q, n, true);
        left -= n;
    }
}

/* Blocks that the running sequences need in this step. */
static int64_t chunked_need(const struct engine *e)
{
    int64_t left = e->p->max_batched_tokens, need = 0;
    for (size_t i = 0; i < e->running.count; i++) {
        const struct seq *q = e->running.at[i];
        int64_t n = elsewhere(e, q) ? 0 : min64(q->known - q->kv, left);
        bool decodes = n > 0 && q->kv >= q->target;
        if (n > 0)
            need += naive_blocks_for(e, held_after(e, q, decodes ? e->gain : n)) -
                    (int64_t)q->block_count;
        left -= decodes ? 1 + e->p->drafts : n;
    }
    return need;
}

/* Rule 16, running sequences. False: somebody was preempted, nobody may be admitted. */
static bool chunked_running(struct engine *e, struct batch *b, int64_t *left)
{
    bool preempted = false;
    while ((e->p->order != NAIVE_FCFS || e->p->swap) && chunked_need(e) > e->pool.free_count) {
        preempted = true;
        preempt_last(e);
    }
    if (!preempted)
        resume_swapped(e, *left);
    for (size_t i = 0; i<e->running.count && * left> 0; i++) {
        struct seq *q = e->running.at[i];
        int64_t n = elsewhere(e, q) ? 0 : min64(q->known - q->kv, *left);
        if (n == 0)
            continue; /* its last token is in flight */
        bool decodes = q->kv >= q->target;
        int64_t held = held_after(e, q, decodes ? e->gain : n);
        while (naive_blocks_for(e, held) - (int64_t)q->block_count > e->pool.free_count) {
            preempted = true;
            if (preempt_last(e) == q)
                return false;
        }
        grow(e, q, held);
        if (decodes)
            batch_add_decode(e, b, q);
        else
            batch_add(b, q, n, true);
        *left -= b->entries[b->count - 1].fresh;
    }
    return !preempted;
}

static void batch_chunked(struct engine *e, struct batch *b)
{
    int64_t left = e->p->max_batched_tokens;
    if (!chunked_running(e, b, &left))
        return;
    while (can_admit(e) && left > 0) {
        struct seq *q = e->waiting.at[0];
        size_t hits = cached_prefix(e, q);
        int64_t available = e->pool.free_count;
        int64_t need = naive_blocks_for(e, q->known + e->p->drafts);
        for (size_t i = 0; i < hits; i++) {
            if (e->hits[i] == NAIVE_NONE)
                continue; /* needs a block like one that is computed */
            need--;
            available -= e->pool.blocks[e->hits[i]].refs == 0;
        }
        if (need > available)
            break;
        admit(e, q, hits);
        int64_t n = min64(q->known - q->kv, left);
        grow(e, q, held_after(e, q, n));
        batch_add(b, q, n, true);
        left -= n;
    }
}

static void form_batch(struct engine *e, struct batch *b)
{
    switch (e->p->policy) {
    case NAIVE_STATIC:
        batch_static(e, b);
        break;
    case NAIVE_CONTINUOUS:
        batch_continuous(e, b);
        break;
    case NAIVE_PREFILL_FIRST:
        batch_prefill_first(e, b);
        break;
    case NAIVE_SARATHI:
        batch_sarathi(e, b);
        break;
    case NAIVE_CHUNKED:
        batch_chunked(e, b);
        break;
    case NAIVE_POLICY_COUNT:
        naive_need(false, "no such policy");
    }
}

static void publish_full_blocks(struct engine *e, struct seq *q)
{
    int64_t full = q->kv / e->p->block_size;
    for (int64_t i = q->published; e->p->prefix_cache && i < full; i++) {
        struct naive_key key = key_of(e, q, i);
        naive_pool_publish(&e->pool, &key, q->blocks[i]);
        tier_remove(e, tier_find(e, &key));
    }
    q->published = full;
}

bool naive_schedule(struct engine *e, struct batch *b)
{
    b->count = b->emitter_count = 0;
    b->moved = 0;
    e->forming = b;
    int64_t rounds = e->lanes[e->lane].rounds;
    e->gain = tokens_of_rounds(e->p, rounds + 1) - tokens_of_rounds(e->p, rounds);
    form_batch(e, b);
    bool round = false;
    for (size_t i = 0; i < b->count; i++) {
        struct seq *q = b->entries[i].q;
        bool decodes = !b->entries[i].prefill;
        int64_t room = q->limit - b->entries[i].held; /* a round may give more than it wants */
        int64_t gain = decodes ? min64(e->gain, room) : b->entries[i].fresh;
        round = round || decodes;
        q->kv = b->entries[i].held + gain;
        e->out->computed_tokens += b->entries[i].fresh;
        publish_full_blocks(e, q);
        if (q->kv < q->known)
            continue;
        for (int64_t n = decodes ? gain : 1; n > 0; n--) {
            b->emitters = naive_grown(b->emitters, &b->emitter_capacity, b->emitter_count + 1,
                                      sizeof *b->emitters);
            b->emitters[b->emitter_count++] = q;
        }
        q->known = min64(q->kv + 1, q->limit);
        q->yielded = min64(q->yielded + (decodes ? gain : 1), q->output);
        q->lane = e->lane;
    }
    e->lanes[e->lane].rounds += round;
    if (b->count > 0) { /* copies go with the next step that there is */
        b->moved = e->moved;
        e->moved = 0;
    }
    b->kv_used = e->pool.count - e->pool.free_count;
    b->queue = (int64_t)e->waiting.count;
    return b->count > 0;
}
