/* Fleets that come and go, seen from the requests.
 *
 *     arrives, nobody there -----> held --(a replica is ready)--> sent ---> done
 *     its replica is gone --(retry, delay)--^       |                |
 *             |                                     +--- cancelled, or nobody will ever come
 *             +--> failed: not asked for, or retried too often
 *
 * A request that may lose its replica is kept whole beside it, so that it can be sent again; one
 * that is held is kept anyway. Held requests go in the order of (when they may go, id): an arrival
 * may go at once, a lost request after retry.delay_s. They are tried when a replica becomes ready
 * and when one of them comes due. O(1) a request that is kept, O(held log held) a try. */
#include "rooftrace/fleet.h"
#include "rooftrace/replica.h"
#include "sim_internal.h"

#include "rooftrace/supply.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct kept {
    struct rt_request req; /* session and hash_ids are its own */
    struct rt_progress past;
    bool has_past, held;
    uint32_t retries, preemptions; /* preemptions: of attempts before a restart */
    uint32_t waits_for;            /* held: the pool; RT_NO_POOL: not told to the supply yet */
    uint32_t pool, replica;        /* its last; RT_NO_REPLICA */
    int64_t due_ns;                /* held */
    struct rt_loss *losses;        /* [retries]; owned */
};

struct capacity {
    struct rt_fleet *fleet;
    struct rt_supply *supply;
    struct rt_retry_spec retry;
    bool keeps_all; /* also those that replicas have */
    bool try_now;   /* a replica became ready, or hope was lost */
    struct rt_slab kept;
    struct rt_id_map ids;
    struct rt_heap order;  /* held ones that may go, by (due_ns, id) */
    struct rt_heap coming; /* and those that may not yet */
    struct rt_lost_list lost;
    struct sent *sent;
    uint32_t *skipped; /* of the try in progress */
    size_t sent_count, sent_capacity, skipped_count, skipped_capacity;
    struct capacity_totals totals;
};

static struct kept *kept_at(const struct capacity *c, uint32_t k)
{
    return rt_slab_at(&c->kept, k);
}

/* ---- what is kept ---------------------------------------------------------------------------- */

static bool copy_request(struct rt_request *to, const struct rt_request *from)
{
    size_t bytes = (size_t)from->hash_count * sizeof from->hash_ids[0];
    char *session = from->session ? strdup(from->session) : NULL;
    uint64_t *ids = bytes > 0 ? malloc(bytes) : NULL;
    if ((from->session && !session) || (bytes > 0 && !ids)) {
        free(session);
        free(ids);
        return false;
    }
    if (bytes > 0)
        memcpy(ids, from->hash_ids, bytes);
    *to = *from;
    to->session = session;
    to->hash_ids = ids;
    return true;
}

static void release_kept(struct kept *e)
{
    free((void *)e->req.session);
    free((void *)e->req.hash_ids);
    free(e->losses);
}

static void drop(struct capacity *c, uint32_t k)
{
    struct kept *e = kept_at(c, k);
    if (e->held) {
        rt_heap_remove(&c->order, k);
        rt_heap_remove(&c->coming, k);
        c->totals.held--;
        if (e->waits_for != RT_NO_POOL)
            rt_supply_release(c->supply, e->waits_for);
    }
    release_kept(e);
    rt_slab_give(&c->kept, k);
}

/* RT_SLAB_NONE: out of memory. */
static uint32_t keep(struct capacity *c, const struct rt_request *req, uint32_t replica)
{
    uint32_t k = rt_slab_take(&c->kept);
    if (k == RT_SLAB_NONE)
        return RT_SLAB_NONE;
    struct kept *e = kept_at(c, k);
    *e = (struct kept){.waits_for = RT_NO_POOL, .replica = replica};
    if (replica != RT_NO_REPLICA)
        e->pool = rt_fleet_pool_of(c->fleet, replica);
    if (rt_heap_reserve(&c->order, c->kept.capacity) &&
        rt_heap_reserve(&c->coming, c->kept.capacity) && copy_request(&e->req, req)) {
        if (rt_id_map_put(&c->ids, req->id, k))
            return k;
        release_kept(e);
    }
    rt_slab_give(&c->kept, k);
    return RT_SLAB_NONE;
}

static void hold(struct capacity *c, uint32_t k, int64_t due_ns, int64_t now_ns)
{
    struct kept *e = kept_at(c, k);
    e->held = true;
    e->due_ns = due_ns;
    e->waits_for = RT_NO_POOL;
    c->totals.held++;
    rt_heap_set(due_ns > now_ns ? &c->coming : &c->order, k, due_ns, e->req.id);
}

/* What is known of one that no replica has. */
static struct rt_finished row_of(const struct kept *e, int64_t now_ns)
{
    struct rt_finished row = {
        .id = e->req.id,
        .arrival_ns = e->req.arrival_ns,
        .scheduled_ns = RT_NEVER,
        .first_token_ns = RT_NEVER,
        .finish_ns = RT_NEVER,
        .max_itl_ns = RT_NEVER,
        .prompt_tokens = e->req.prompt_tokens,
        .output_tokens = e->req.output_tokens,
        .class_name = e->req.class_name,
        .pool = e->pool,
        .replica = e->replica,
        .session = e->req.session,
    };
    if (!e->has_past)
        return row;
    row.scheduled_ns = e->past.scheduled_ns;
    row.first_token_ns = e->past.first_token_ns;
    row.max_itl_ns = e->past.max_itl_ns;
    row.produced_tokens = e->past.produced_tokens;
    row.cached_tokens = e->past.cached_tokens;
    row.preemptions = e->past.preemptions;
    row.preempted_ns = e->past.preempted_ns + (now_ns - e->past.lost_ns);
    return row;
}

static bool add_row(struct rt_finished_list *out, const struct rt_finished *row, struct rt_err *err)
{
    return rt_finished_list_add(out, row) || rt_fail_nomem(err, "finished requests");
}

bool capacity_took(struct capacity *c, const struct rt_request *req, uint32_t i, struct rt_err *err)
{
    rt_supply_sent(c->supply, i);
    return !c->keeps_all || keep(c, req, i) != RT_SLAB_NONE ||
           rt_fail_nomem(err, "requests in flight");
}

bool capacity_forget(struct capacity *c, struct rt_finished *row, struct rt_arena *text,
                     struct rt_err *err)
{
    uint32_t k = take_place(&c->ids, row->id);
    if (k == RT_SLAB_NONE)
        return true;
    const struct kept *e = kept_at(c, k);
    bool ok = true;
    row->retries = (uint16_t)e->retries;
    row->preemptions += e->preemptions;
    if (e->retries > 0) {
        struct rt_loss *losses = rt_arena_alloc(text, e->retries * sizeof losses[0]);
        ok = losses != NULL || rt_fail_nomem(err, "requests that lost their replica");
        if (ok)
            memcpy(losses, e->losses, e->retries * sizeof losses[0]);
        row->losses = losses;
    }
    drop(c, k);
    return ok;
}

/* ---- waiting for a replica ------------------------------------------------------------------- */

/* Tells the supply of one that waits. false: nobody will ever come, or memory is out. */
static bool tell(struct capacity *c, struct kept *e, bool arrives, int64_t now_ns,
                 struct rt_err *err)
{
    if (e->waits_for != RT_NO_POOL)
        rt_supply_release(c->supply, e->waits_for);
    e->waits_for = rt_supply_hold(c->supply, &e->req, arrives, now_ns, err);
    c->try_now = rt_supply_changed(c->supply) || c->try_now;
    return e->waits_for != RT_NO_POOL && err->code == RT_OK;
}

bool capacity_hold(struct capacity *c, const struct rt_request *req, int64_t now_ns, bool *held,
                   struct rt_err *err)
{
    uint32_t k = keep(c, req, RT_NO_REPLICA);
    *held = false;
    if (k == RT_SLAB_NONE)
        return rt_fail_nomem(err, "requests that wait for a replica");
    hold(c, k, now_ns, now_ns);
    *held = tell(c, kept_at(c, k), true, now_ns, err);
    if (!*held) {
        (void)take_place(&c->ids, req->id);
        drop(c, k);
    }
    return err->code == RT_OK;
}

static bool reserve_try(struct capacity *c)
{
    size_t wanted = (size_t)c->order.count + c->coming.count;
    if (wanted > c->sent_capacity) {
        struct sent *sent = realloc(c->sent, 2 * wanted * sizeof sent[0]);
        if (!sent)
            return false;
        c->sent = sent;
        c->sent_capacity = 2 * wanted;
    }
    if (wanted > c->skipped_capacity) {
        uint32_t *skipped = realloc(c->skipped, 2 * wanted * sizeof skipped[0]);
        if (!skipped)
            return false;
        c->skipped = skipped;
        c->skipped_capacity = 2 * wanted;
    }
    return true;
}

static bool turn_away(struct kept *e, enum rt_reason reason, int64_t now_ns,
                      struct rt_finished_list *out, struct rt_err *err)
{
    struct rt_finished row = row_of(e, now_ns);
    row.status = e->retries > 0 ? RT_STATUS_FAILED : RT_STATUS_REJECTED;
    row.reason = (uint8_t)reason;
    return add_row(out, &row, err);
}

static void note_sent(struct capacity *c, uint32_t k, uint32_t i, int64_t now_ns)
{
    struct kept *e = kept_at(c, k);
    if (e->retries > 0)
        e->losses[e->retries - 1].sent_ns = now_ns;
    c->sent[c->sent_count++] = (struct sent){
        .id = e->req.id,
        .newest = rt_replica_newest(rt_fleet_replica(c->fleet, i)),
        .replica = i,
    };
    c->totals.held--;
    if (e->waits_for != RT_NO_POOL)
        rt_supply_release(c->supply, e->waits_for);
    e->waits_for = RT_NO_POOL;
    e->held = false;
    e->pool = rt_fleet_pool_of(c->fleet, i);
    e->replica = i;
    if (c->keeps_all)
        return;
    (void)take_place(&c->ids, e->req.id);
    drop(c, k);
}

/* The first in order goes, is skipped, or leaves. */
static bool try_first(struct capacity *c, uint32_t k, int64_t now_ns, struct rt_finished_list *out,
                      struct rt_err *err)
{
    struct kept *e = kept_at(c, k);
    uint32_t i;
    rt_heap_remove(&c->order, k);
    enum rt_reason reason =
        rt_fleet_push_again(c->fleet, &e->req, e->has_past ? &e->past : NULL, now_ns, &i, err);
    if (err->code != RT_OK) {
        rt_heap_set(&c->order, k, e->due_ns, e->req.id);
        return false;
    }
    if (reason == RT_REASON_NONE) {
        note_sent(c, k, i, now_ns);
        return true;
    }
    if (reason == RT_REASON_UNAVAILABLE && tell(c, e, false, now_ns, err)) {
        c->skipped[c->skipped_count++] = k;
        return true;
    }
    return err->code == RT_OK && turn_away(e, reason, now_ns, out, err);
}

/* Those whose time has come. */
static void take_due(struct capacity *c, int64_t now_ns)
{
    const struct rt_heap_node *top = rt_heap_top(&c->coming);
    for (; top && top->time <= now_ns; top = rt_heap_top(&c->coming)) {
        uint32_t k = top->item;
        rt_heap_remove(&c->coming, k);
        rt_heap_set(&c->order, k, kept_at(c, k)->due_ns, kept_at(c, k)->req.id);
        c->try_now = true;
    }
}

static bool try_all(struct capacity *c, int64_t now_ns, struct rt_finished_list *out,
                    struct rt_err *err)
{
    bool ok = true;
    c->try_now = false;
    c->skipped_count = 0;
    while (ok && c->order.count > 0)
        ok = try_first(c, rt_heap_top(&c->order)->item, now_ns, out, err);
    for (size_t n = 0; n < c->skipped_count; n++) {
        const struct kept *e = kept_at(c, c->skipped[n]);
        rt_heap_set(&c->order, c->skipped[n], e->due_ns, e->req.id);
    }
    return ok;
}

bool capacity_send(struct capacity *c, int64_t now_ns, const struct sent **sent, size_t *count,
                   struct rt_finished_list *out, struct rt_err *err)
{
    bool ok = reserve_try(c) || rt_fail_nomem(err, "requests that wait for a replica");
    c->sent_count = 0;
    take_due(c, now_ns);
    while (ok && c->try_now) /* again when one that waits has a replica started at once */
        ok = try_all(c, now_ns, out, err);
    *sent = c->sent;
    *count = c->sent_count;
    return ok;
}

bool capacity_cancel(struct capacity *c, uint64_t id, enum rt_status status, int64_t now_ns,
                     struct rt_finished_list *out, struct rt_err *err)
{
    struct rt_finished row = row_of(kept_at(c, place_of(&c->ids, id)), now_ns);
    row.status = (uint8_t)status;
    return add_row(out, &row, err);
}

bool capacity_abort(struct capacity *c, int64_t now_ns, struct rt_finished_list *out,
                    struct rt_err *err)
{
    while (c->order.count + c->coming.count > 0) {
        struct rt_heap *from = c->order.count > 0 ? &c->order : &c->coming;
        uint32_t k = rt_heap_top(from)->item;
        struct rt_finished row = row_of(kept_at(c, k), now_ns);
        row.status = RT_STATUS_UNFINISHED;
        rt_heap_remove(from, k); /* the row's own way takes it out of the rest */
        if (!add_row(out, &row, err))
            return false;
    }
    return true;
}

/* ---- replicas that are gone ------------------------------------------------------------------ */

static void resume_from(struct kept *e, const struct rt_finished *row, int64_t last_token_ns,
                        int64_t now_ns)
{
    e->has_past = row->scheduled_ns != RT_NEVER;
    e->past = (struct rt_progress){
        .produced_tokens = row->produced_tokens,
        .scheduled_ns = row->scheduled_ns,
        .first_token_ns = row->first_token_ns,
        .last_token_ns = last_token_ns,
        .max_itl_ns = row->max_itl_ns,
        .cached_tokens = row->cached_tokens,
        .preempted_ns = row->preempted_ns,
        .lost_ns = now_ns,
        .preemptions = row->preemptions,
    };
}

static bool note_loss(struct kept *e, uint32_t replica, int64_t now_ns, struct rt_err *err)
{
    struct rt_loss *losses = realloc(e->losses, (e->retries + 1) * sizeof losses[0]);
    if (!losses)
        return rt_fail_nomem(err, "requests that lost their replica");
    losses[e->retries++] =
        (struct rt_loss){.replica = replica, .lost_ns = now_ns, .sent_ns = RT_NEVER};
    e->losses = losses;
    return true;
}

static bool retry(struct capacity *c, const struct rt_finished *lost, int64_t last_token_ns,
                  int64_t now_ns, struct rt_finished_list *out, struct rt_err *err)
{
    uint32_t k = place_of(&c->ids, lost->id);
    struct kept *e = kept_at(c, k);
    if (c->retry.mode == RT_RETRY_FAIL || e->retries >= c->retry.max_retries) {
        struct rt_finished row = *lost;
        row.session = e->req.session;
        row.status = RT_STATUS_FAILED;
        row.reason = RT_REASON_CRASH;
        return add_row(out, &row, err);
    }
    if (!note_loss(e, lost->replica, now_ns, err))
        return false;
    c->totals.retries++;
    if (c->retry.mode == RT_RETRY_RESUME) {
        resume_from(e, lost, last_token_ns, now_ns);
    } else {
        c->totals.lost_tokens += lost->produced_tokens;
        e->preemptions += lost->preemptions;
    }
    double delay_ns = ceil(c->retry.delay_s * 1e9);
    hold(c, k, delay_ns < (double)(INT64_MAX - now_ns) ? now_ns + (int64_t)delay_ns : INT64_MAX,
         now_ns);
    c->try_now = true;
    return true;
}

bool capacity_step(struct capacity *c, int64_t now_ns, struct rt_finished_list *out,
                   const struct rt_lost_list **lost, struct rt_err *err)
{
    c->lost.count = 0;
    *lost = &c->lost;
    if (!rt_supply_step(c->supply, now_ns, &c->lost, err))
        return false;
    c->try_now = rt_supply_changed(c->supply) || c->try_now;
    for (size_t n = 0; n < c->lost.count; n++)
        if (!retry(c, &c->lost.rows[n], c->lost.last_token_ns[n], now_ns, out, err))
            return false;
    return true;
}

bool capacity_left(struct capacity *c, uint32_t i, int64_t now_ns, struct rt_err *err)
{
    bool ok = rt_supply_left(c->supply, i, now_ns, err);
    c->try_now = rt_supply_changed(c->supply) || c->try_now;
    return ok;
}

int64_t capacity_next_ns(const struct capacity *c, int64_t now_ns)
{
    const struct rt_heap_node *coming = rt_heap_top(&c->coming);
    int64_t next_ns = rt_supply_next_ns(c->supply);
    if (c->order.count > 0 && c->try_now)
        return now_ns;
    return coming && coming->time < next_ns ? coming->time : next_ns;
}

/* ---- beginning and end ----------------------------------------------------------------------- */

bool capacity_new(const struct rt_scenario *s, struct rt_fleet *fleet, struct capacity **out,
                  struct rt_err *err)
{
    struct rt_supply *supply;
    *out = NULL;
    if (!rt_supply_new(&s->fleet, fleet, s->seed, &supply, err))
        return false;
    if (!supply)
        return true;
    struct capacity *c = calloc(1, sizeof *c);
    if (!c) {
        rt_supply_free(supply);
        return rt_fail_nomem(err, "requests that wait for a replica");
    }
    c->fleet = fleet;
    c->supply = supply;
    c->retry = s->fleet.retry;
    c->keeps_all = rt_supply_loses(supply);
    rt_slab_init(&c->kept, sizeof(struct kept));
    rt_heap_init(&c->order);
    rt_heap_init(&c->coming);
    *out = c;
    return true;
}

void capacity_free(struct capacity *c)
{
    if (!c)
        return;
    for (uint32_t s = 0; s < c->ids.size; s++)
        if (c->ids.entries[s].used) {
            release_kept(kept_at(c, (uint32_t)c->ids.entries[s].value));
        }
    rt_supply_free(c->supply);
    rt_lost_list_release(&c->lost);
    rt_slab_release(&c->kept);
    rt_heap_release(&c->order);
    rt_heap_release(&c->coming);
    rt_id_map_release(&c->ids);
    free(c->sent);
    free(c->skipped);
    free(c);
}

struct capacity_totals capacity_totals(const struct capacity *c)
{
    return c->totals;
}

struct rt_supply *capacity_supply(const struct capacity *c)
{
    return c->supply;
}
