/* Both ends of a hand-over: a prompt that was computed here for another replica, and a request
 * whose KV comes from another one.
 *
 *   prefill side   running --last token--> held --release--> gone
 *   decode side    expected --room--> loading --its KV is here--> arrived --next batch--> decodes
 *
 * Held sequences are finished and keep nothing but their blocks. On the decode side a sequence is
 * in neither the queue nor the batch until it joins, as one that was swapped out and comes back: it
 * has brought the KV of all its known tokens but the last, which its first round computes. Rooms
 * are given in the order of telling, as soon as the blocks are free beside those that the decodes
 * need next; not while somebody preempted waits for blocks. Beside the blocks of its KV a sequence
 * keeps one free for its first token, if that begins a block: so nobody who has a room ever waits
 * for blocks again, and those in front of it cannot block each other.
 *
 * What is free beside the decodes' next blocks never grows while steps are alike, so rooms are only
 * looked for at instants at which the owner calls, with and without coasting the same. O(1) a call,
 * with names of blocks O(blocks). Failure: memory. */
#include "replica_internal.h"
#include "rooftrace/queue_order.h"

#include <assert.h>
#include <stdlib.h>

const char *const rt_role_names[RT_ROLE_COUNT] = {"mixed", "prefill", "decode"};

bool remote_init(struct rank *r, enum rt_role role)
{
    if (role == RT_ROLE_MIXED)
        return true;
    struct remote *m = r->remote = calloc(1, sizeof *m);
    if (!m)
        return false;
    m->keeps = role == RT_ROLE_PREFILL;
    seq_list_init(&m->held);
    seq_list_init(&m->expected);
    seq_list_init(&m->loading);
    seq_list_init(&m->arrived);
    return true;
}

void remote_free(struct rank *r)
{
    if (r->remote)
        free(r->remote->rooms);
    free(r->remote);
}

/* ---- prefill side ---------------------------------------------------------------------------- */

void remote_keep(struct rank *r, uint32_t i)
{
    assert(seq_at(r, i)->state == SEQ_LAST); /* without decodes nobody is ever preempted */
    running_leave(r, i);
    seq_push_tail(r, &r->remote->held, i);
}

static void drop(struct rank *r, uint32_t i)
{
    retained_disown(r, seq_at(r, i));
    seq_release(seq_at(r, i));
    rt_slab_give(&r->seqs, i);
}

bool rank_release_kv(struct rank *r, uint32_t i, int64_t now_ns, struct rt_err *err)
{
    if (!rank_stop_at(r, now_ns, err))
        return false;
    kv_release(r, i);
    seq_unlink(r, &r->remote->held, i);
    drop(r, i);
    if (r->out_of_memory)
        return rt_fail_nomem(err, "KV block tables");
    rank_check(r);
    return true;
}

/* ---- decode side: room ----------------------------------------------------------------------- */

int64_t remote_kv(const struct seq *q)
{
    return q->prompt + q->produced - 1;
}

int64_t remote_spare(const struct rank *r, const struct seq *q)
{
    return blocks_for(r, remote_kv(q) + 1) - blocks_for(r, remote_kv(q));
}

static int64_t crossings(const struct rank *r)
{
    int64_t blocks = 0;
    for (uint32_t l = 0; l < r->lane_count; l++)
        blocks += decode_crossings(&r->lanes[l].decode);
    return blocks;
}

static int64_t margin(const struct rank *r)
{
    int64_t least = r->policy->needs_spare_block ? 1 : 0;
    return r->watermark_blocks > least ? r->watermark_blocks : least;
}

static bool has_room(const struct rank *r, const struct seq *q, const struct kv_prefix *cached)
{
    const struct remote *m = r->remote;
    int64_t blocks = blocks_for(r, remote_kv(q) + 1) - cached->blocks + cached->free_blocks;
    return r->waiting.count == 0 &&
           r->running.count + m->loading.count + m->arrived.count < r->engine->max_num_seqs &&
           r->free_blocks - crossings(r) - blocks >= margin(r);
}

/* The head of those expected gets its blocks: what is cached, then new ones. */
static void give_room(struct rank *r, const struct kv_prefix *cached)
{
    struct remote *m = r->remote;
    uint32_t i = m->expected.head;
    struct seq *q = seq_at(r, i);
    kv_share_prefix(r, q);
    kv_take(r, q, blocks_for(r, remote_kv(q)) - cached->blocks - cached->offloaded);
    r->free_blocks -= remote_spare(r, q);
    assert(m->room_count < m->room_capacity);
    m->rooms[m->room_count++] =
        (struct rt_room){.id = q->id, .place = i, .tokens = q->prompt - q->kv};
    q->kv = remote_kv(q);
    q->state = SEQ_LOADING;
    seq_unlink(r, &m->expected, i);
    seq_push_tail(r, &m->loading, i);
    if (r->kv_blocks - r->free_blocks > r->totals.kv_blocks_peak)
        r->totals.kv_blocks_peak = r->kv_blocks - r->free_blocks;
}

bool remote_give_rooms(struct rank *r, struct rt_err *err)
{
    struct remote *m = r->remote;
    while (m->expected.count > 0 && !r->out_of_memory) {
        const struct seq *q = seq_at(r, m->expected.head);
        struct kv_prefix cached = kv_find_prefix(r, q);
        if (!has_room(r, q, &cached))
            break;
        give_room(r, &cached);
    }
    return !r->out_of_memory || rt_fail_nomem(err, "KV block tables");
}

static bool reserve_rooms(struct remote *m)
{
    uint64_t wanted = (uint64_t)m->room_count + (uint64_t)m->expected.count + 1;
    if (wanted <= m->room_capacity)
        return true;
    uint64_t capacity = 2 * wanted;
    struct rt_room *rooms =
        capacity < UINT32_MAX ? realloc(m->rooms, (size_t)capacity * sizeof rooms[0]) : NULL;
    if (!rooms)
        return false;
    m->rooms = rooms;
    m->room_capacity = (uint32_t)capacity;
    return true;
}

/* ---- decode side: steps ---------------------------------------------------------------------- */

/* What is planned beyond the step in progress is void; its end is looked at. */
static bool interrupt(struct rank *r, int64_t now_ns, struct rt_err *err)
{
    if (r->piped || !r->lane->now)
        return true;
    if (!coast_commit(r, now_ns, err))
        return false;
    coast_drop(r);
    return true;
}

bool rank_expect(struct rank *r, const struct rt_request *req, const struct rt_handed *handed,
                 int64_t now_ns, struct rt_err *err)
{
    int64_t key_ns = rt_queue_key(r->engine->queue_order, r->engine->aging_s, req);
    if (!interrupt(r, now_ns, err))
        return false;
    if (!reserve_rooms(r->remote))
        return rt_fail_nomem(err, "requests in flight");
    if (!rank_new_seq(r, req, key_ns, err))
        return false;
    struct seq *q = seq_at(r, r->newest);
    q->state = SEQ_EXPECTED;
    q->scheduled_ns = handed->scheduled_ns;
    q->first_token_ns = q->last_token_ns = handed->first_token_ns;
    q->cached = handed->cached_tokens;
    q->produced = handed->first_token_ns == RT_NEVER ? 0 : 1;
    assert(q->produced < q->output);
    seq_push_tail(r, &r->remote->expected, r->newest);
    return remote_give_rooms(r, err);
}

bool rank_kv_arrived(struct rank *r, uint32_t i, int64_t now_ns, struct rt_err *err)
{
    if (!interrupt(r, now_ns, err))
        return false;
    assert(seq_at(r, i)->state == SEQ_LOADING);
    seq_at(r, i)->state = SEQ_ARRIVED;
    seq_unlink(r, &r->remote->loading, i);
    seq_push_tail(r, &r->remote->arrived, i);
    kv_publish(r, seq_at(r, i));
    if (r->out_of_memory)
        return rt_fail_nomem(err, "KV block tables");
    rank_check(r);
    return true;
}

static void join(struct rank *r, struct batch *b, uint32_t i)
{
    struct seq *q = seq_at(r, i);
    seq_unlink(r, &r->remote->arrived, i);
    running_join(r, i);
    q->admission = r->admissions++;
    r->free_blocks += remote_spare(r, q); /* for the round that takes it */
    decode_join(r, i);
    q->newly_joined = true; /* its gap since the prefill side's token is its own */
    b->resumed = true;
}

void remote_join(struct rank *r, struct batch *b, int64_t budget)
{
    int64_t least = r->policy->needs_spare_block ? 1 : 0;
    if (b->preempted && r->lane->decode.count > 0)
        return; /* else what they hold kept the last one out, who cannot come back before */
    while (remote_joins(r) && r->partial == SEQ_NONE &&
           r->running.count < r->engine->max_num_seqs && r->lane->decode.count < budget) {
        uint32_t i = r->remote->arrived.head;
        int64_t free_blocks = r->free_blocks + remote_spare(r, seq_at(r, i));
        if (free_blocks - decode_crossings(&r->lane->decode) < least)
            return;
        join(r, b, i);
    }
}

bool remote_is_quiet(const struct rank *r)
{
    const struct remote *m = r->remote;
    return (m->arrived.count == 0 || r->running.count >= r->engine->max_num_seqs) &&
           (m->expected.count == 0 || !r->names_answers);
}

static void forget_room(struct remote *m, uint32_t i)
{
    uint32_t kept = 0;
    for (uint32_t n = 0; n < m->room_count; n++)
        if (m->rooms[n].place != i)
            m->rooms[kept++] = m->rooms[n];
    m->room_count = kept;
}

void remote_leave(struct rank *r, uint32_t i)
{
    struct remote *m = r->remote;
    const struct seq *q = seq_at(r, i);
    if (q->state == SEQ_EXPECTED) {
        seq_unlink(r, &m->expected, i);
        return;
    }
    r->free_blocks += remote_spare(r, q);
    kv_release(r, i);
    forget_room(m, i);
    seq_unlink(r, q->state == SEQ_LOADING ? &m->loading : &m->arrived, i);
}
