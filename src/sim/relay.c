/* Requests that two replicas serve, one after the other, and what is between them.
 *
 *   prefill --its row--> pending --told--> moving --KV is there--> decode --its row--> gone
 *           step end            same instant    room, transfer
 *
 * The prefill replica's row of a finished prompt is taken out of the list: the request goes on. All
 * that were prefilled at an instant are handed over after its step ends, by id. Rooms that decode
 * replicas gave are gathered at the end of the instant and their transfers put on the links by id,
 * so that nothing depends on which replica was looked at first. When the KV is there the prefill
 * replica's copy goes. A client that leaves on the way frees both sides at once; the links carry
 * on.
 *
 * One record a request in flight, found by its id: O(log records) a phase. Failure: memory, and
 * what the replicas and links say. */
#include "rooftrace/fleet.h"
#include "rooftrace/hand_over.h"
#include "rooftrace/kv_transfer.h"
#include "rooftrace/replica.h"
#include "sim_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum phase { PHASE_PREFILL, PHASE_PENDING, PHASE_MOVING, PHASE_DECODE };

struct leg { /* a request on its way */
    struct rt_request req;
    char *session; /* owned, as are the ids, until the decode side has its copy */
    uint64_t *hash_ids;
    uint64_t from_place, to_place;
    uint32_t from, to;
    int64_t scheduled_ns, cached_tokens;
    struct rt_prefill_part part; /* of its row */
    enum phase phase;
};

struct relay {
    struct rt_fleet *fleet;
    bool hidden; /* the first token is the decode side's */
    struct rt_slab legs;
    struct rt_id_map by_id;
    struct rt_heap pending, rooms; /* legs by (0, id) */
    struct rt_heap transfers;      /* legs by (arrival, id) */
    uint32_t *woken, *touched;     /* replicas: whom the owner looks at; who may have given rooms */
    bool *is_woken, *is_touched;
    uint32_t woken_count, touched_count;
};

static struct leg *leg_at(const struct relay *y, uint32_t l)
{
    return rt_slab_at(&y->legs, l);
}

bool relay_new(struct rt_fleet *f, struct relay **out)
{
    uint32_t replicas = rt_fleet_replicas(f);
    struct relay *y = calloc(1, sizeof *y);
    *out = y;
    if (!y)
        return false;
    y->fleet = f;
    y->hidden = rt_fleet_hides_prefill(f);
    rt_slab_init(&y->legs, sizeof(struct leg));
    rt_heap_init(&y->pending);
    rt_heap_init(&y->rooms);
    rt_heap_init(&y->transfers);
    y->woken = calloc(replicas, sizeof y->woken[0]);
    y->touched = calloc(replicas, sizeof y->touched[0]);
    y->is_woken = calloc(replicas, sizeof y->is_woken[0]);
    y->is_touched = calloc(replicas, sizeof y->is_touched[0]);
    return y->woken && y->touched && y->is_woken && y->is_touched;
}

static void forget_copies(struct leg *g)
{
    free(g->session);
    free(g->hash_ids);
    g->session = NULL;
    g->hash_ids = NULL;
    g->req.session = NULL;
    g->req.hash_ids = NULL;
    g->req.hash_count = 0;
}

static void release_legs(struct relay *y)
{
    for (uint32_t s = 0; s < y->by_id.size; s++)
        if (y->by_id.entries[s].used)
            forget_copies(leg_at(y, (uint32_t)y->by_id.entries[s].value));
}

void relay_free(struct relay *y)
{
    if (!y)
        return;
    release_legs(y);
    rt_slab_release(&y->legs);
    rt_id_map_release(&y->by_id);
    rt_heap_release(&y->pending);
    rt_heap_release(&y->rooms);
    rt_heap_release(&y->transfers);
    free(y->woken);
    free(y->touched);
    free(y->is_woken);
    free(y->is_touched);
    free(y);
}

static void wake(struct relay *y, uint32_t replica)
{
    if (y->is_woken[replica])
        return;
    y->is_woken[replica] = true;
    y->woken[y->woken_count++] = replica;
}

uint32_t relay_woken(struct relay *y)
{
    if (y->woken_count == 0)
        return RT_NO_REPLICA;
    uint32_t replica = y->woken[--y->woken_count];
    y->is_woken[replica] = false;
    return replica;
}

void relay_touch(struct relay *y, uint32_t replica)
{
    if (y->is_touched[replica])
        return;
    y->is_touched[replica] = true;
    y->touched[y->touched_count++] = replica;
}

/* ---- a request comes, a request goes ----------------------------------------------------------
 */

static bool copy_texts(struct leg *g, const struct rt_request *req)
{
    size_t bytes = req->hash_count * sizeof g->hash_ids[0];
    g->session = req->session ? strdup(req->session) : NULL;
    g->hash_ids = bytes > 0 ? malloc(bytes) : NULL;
    g->req.session = g->session;
    g->req.hash_ids = g->hash_ids;
    if (g->hash_ids)
        memcpy(g->hash_ids, req->hash_ids, bytes);
    return (!req->session || g->session) && (bytes == 0 || g->hash_ids);
}

bool relay_take(struct relay *y, const struct rt_request *req, uint32_t from)
{
    uint32_t l = rt_slab_take(&y->legs);
    if (l == RT_SLAB_NONE)
        return false;
    struct leg *g = leg_at(y, l);
    *g = (struct leg){.req = *req,
                      .from = from,
                      .from_place = rt_replica_newest(rt_fleet_replica(y->fleet, from)),
                      .to = RT_NO_REPLICA,
                      .phase = PHASE_PREFILL,
                      .part = {.pool = rt_fleet_pool_of(y->fleet, from),
                               .replica = from,
                               .prefilled_ns = RT_NEVER,
                               .kv_ready_ns = RT_NEVER}};
    bool copied = copy_texts(g, req);
    if (!copied || !rt_heap_reserve(&y->pending, y->legs.capacity) ||
        !rt_heap_reserve(&y->rooms, y->legs.capacity) ||
        !rt_heap_reserve(&y->transfers, y->legs.capacity) ||
        !rt_id_map_put(&y->by_id, req->id, l)) {
        forget_copies(g);
        rt_slab_give(&y->legs, l);
        return false;
    }
    return true;
}

static void forget(struct relay *y, uint32_t l)
{
    struct leg *g = leg_at(y, l);
    rt_heap_remove(&y->pending, l);
    rt_heap_remove(&y->rooms, l);
    rt_heap_remove(&y->transfers, l);
    (void)take_place(&y->by_id, g->req.id);
    forget_copies(g);
    rt_slab_give(&y->legs, l);
}

/* The prefill replica's copy of the KV goes. */
static bool release_kv(struct relay *y, const struct leg *g, int64_t now_ns, struct rt_err *err)
{
    wake(y, g->from);
    return rt_replica_release(rt_fleet_replica(y->fleet, g->from), g->from_place, now_ns, err);
}

/* ---- rows -------------------------------------------------------------------------------------
 */

static bool goes_on(const struct relay *y, const struct leg *g, const struct rt_finished *row)
{
    return g->phase == PHASE_PREFILL && row->status == RT_STATUS_OK &&
           (y->hidden || g->req.output_tokens > 1);
}

/* What the replica that gave the row does not know of the request. */
static bool complete_row(const struct leg *g, struct rt_finished *row,
                         struct rt_finished_list *list)
{
    row->output_tokens = g->req.output_tokens;
    if (g->phase == PHASE_PREFILL)
        return true;
    struct rt_prefill_part *part = rt_arena_alloc(&list->text, sizeof *part);
    if (!part)
        return false;
    *part = g->part;
    row->prefill = part;
    return true;
}

static bool end_row(struct relay *y, uint32_t l, struct rt_finished_list *list, size_t row,
                    int64_t now_ns, struct rt_err *err)
{
    const struct leg *g = leg_at(y, l);
    bool kept = g->phase == PHASE_MOVING ||
                (g->phase == PHASE_PREFILL && list->rows[row].status == RT_STATUS_OK);
    bool ok = complete_row(g, &list->rows[row], list) || rt_fail_nomem(err, "finished requests");
    ok = ok && (!kept || release_kv(y, g, now_ns, err));
    forget(y, l);
    return ok;
}

static void go_on(struct relay *y, uint32_t l, const struct rt_finished *row, int64_t now_ns)
{
    struct leg *g = leg_at(y, l);
    g->phase = PHASE_PENDING;
    g->scheduled_ns = row->scheduled_ns;
    g->cached_tokens = row->cached_tokens;
    g->part.prefilled_ns = now_ns;
    rt_heap_set(&y->pending, l, 0, g->req.id);
}

bool relay_rows(struct relay *y, struct rt_finished_list *list, size_t from, int64_t now_ns,
                struct rt_err *err)
{
    size_t kept = from;
    bool ok = true;
    for (size_t n = from; n < list->count; n++) {
        uint32_t l = place_of(&y->by_id, list->rows[n].id);
        if (l != RT_SLAB_NONE && goes_on(y, leg_at(y, l), &list->rows[n])) {
            go_on(y, l, &list->rows[n], now_ns);
            continue;
        }
        ok = ok && (l == RT_SLAB_NONE || end_row(y, l, list, n, now_ns, err));
        list->rows[kept++] = list->rows[n];
    }
    list->count = kept;
    return ok;
}

/* ---- hand-overs -------------------------------------------------------------------------------
 */

int64_t relay_next_ns(const struct relay *y, int64_t now_ns)
{
    const struct rt_heap_node *top = rt_heap_top(&y->transfers);
    if (y->pending.count > 0)
        return now_ns;
    return top ? top->time : RT_NEVER_AGAIN;
}

static bool kv_arrives(struct relay *y, uint32_t l, int64_t now_ns, struct rt_err *err)
{
    struct leg *g = leg_at(y, l);
    rt_heap_remove(&y->transfers, l);
    g->phase = PHASE_DECODE;
    g->part.kv_ready_ns = now_ns;
    wake(y, g->to);
    return release_kv(y, g, now_ns, err) &&
           rt_replica_kv_arrived(rt_fleet_replica(y->fleet, g->to), g->to_place, now_ns, err);
}

/* The decode side is told; the leg stays pending when no replica there takes requests. */
static bool tell(struct relay *y, uint32_t l, int64_t now_ns, struct rt_err *err)
{
    struct leg *g = leg_at(y, l);
    struct rt_handed handed = {.from = g->from,
                               .scheduled_ns = g->scheduled_ns,
                               .first_token_ns = y->hidden ? RT_NEVER : g->part.prefilled_ns,
                               .cached_tokens = g->cached_tokens};
    if (!rt_fleet_expect(y->fleet, &g->req, &handed, now_ns, &g->to, err))
        return false;
    if (g->to == RT_NO_REPLICA)
        return true;
    rt_heap_remove(&y->pending, l);
    forget_copies(g);
    g->to_place = rt_replica_newest(rt_fleet_replica(y->fleet, g->to));
    g->phase = PHASE_MOVING;
    wake(y, g->to);
    relay_touch(y, g->to);
    return true;
}

/* The row of a request that nobody decodes. */
static bool strand(struct relay *y, uint32_t l, enum rt_status status, struct rt_finished_list *out,
                   struct rt_err *err)
{
    const struct leg *g = leg_at(y, l);
    struct rt_finished row = {
        .id = g->req.id,
        .arrival_ns = g->req.arrival_ns,
        .scheduled_ns = g->scheduled_ns,
        .first_token_ns = y->hidden ? RT_NEVER : g->part.prefilled_ns,
        .finish_ns = RT_NEVER,
        .max_itl_ns = RT_NEVER,
        .prompt_tokens = g->req.prompt_tokens,
        .output_tokens = g->req.output_tokens,
        .produced_tokens = y->hidden ? 0 : 1,
        .cached_tokens = g->cached_tokens,
        .pool = rt_fleet_pool_of(y->fleet, g->from),
        .replica = g->from,
        .class_name = g->req.class_name,
        .status = (uint8_t)status,
        .reason = status == RT_STATUS_FAILED ? RT_REASON_UNAVAILABLE : RT_REASON_NONE,
        .session = g->session,
    };
    return (rt_finished_list_add(out, &row) && complete_row(g, &out->rows[out->count - 1], out)) ||
           rt_fail_nomem(err, "finished requests");
}

bool relay_due(struct relay *y, int64_t now_ns, struct rt_finished_list *out,
               struct relay_told *told, struct rt_err *err)
{
    const struct rt_heap_node *top;
    *told = (struct relay_told){.replica = RT_NO_REPLICA};
    while ((top = rt_heap_top(&y->transfers)) && top->time <= now_ns)
        if (!kv_arrives(y, top->item, now_ns, err))
            return false;
    top = rt_heap_top(&y->pending);
    if (!top)
        return true;
    uint32_t l = top->item;
    if (!tell(y, l, now_ns, err))
        return false;
    const struct leg *g = leg_at(y, l);
    *told = (struct relay_told){.id = g->req.id, .replica = g->to, .place = g->to_place};
    if (g->phase != PHASE_PENDING)
        return true;
    bool ok = strand(y, l, RT_STATUS_FAILED, out, err) && release_kv(y, g, now_ns, err);
    forget(y, l);
    return ok;
}

/* ---- transfers --------------------------------------------------------------------------------
 */

static void gather_rooms(struct relay *y, uint32_t replica)
{
    struct rt_room room;
    while (rt_replica_room(rt_fleet_replica(y->fleet, replica), &room)) {
        uint32_t l = place_of(&y->by_id, room.id);
        assert(l != RT_SLAB_NONE && leg_at(y, l)->to == replica);
        leg_at(y, l)->part.moved_tokens = room.tokens;
        rt_heap_set(&y->rooms, l, 0, room.id);
    }
}

bool relay_send(struct relay *y, int64_t now_ns, struct rt_err *err)
{
    for (uint32_t n = 0; n < y->touched_count; n++) {
        y->is_touched[y->touched[n]] = false;
        gather_rooms(y, y->touched[n]);
    }
    y->touched_count = 0;
    while (y->rooms.count > 0) {
        uint32_t l = rt_heap_top(&y->rooms)->item;
        const struct leg *g = leg_at(y, l);
        struct rt_transfer t = {.from = g->from,
                                .to = g->to,
                                .tokens = g->part.moved_tokens,
                                .began_ns = g->scheduled_ns,
                                .computed_ns = g->part.prefilled_ns};
        int64_t arrives_ns;
        rt_heap_remove(&y->rooms, l);
        if (!rt_fleet_send(y->fleet, &t, now_ns, &arrives_ns, err))
            return false;
        rt_heap_set(&y->transfers, l, arrives_ns, g->req.id);
    }
    return true;
}

/* ---- the end ----------------------------------------------------------------------------------
 */

bool relay_abort(struct relay *y, struct rt_finished_list *out, size_t from, struct rt_err *err)
{
    bool ok = true;
    for (size_t n = from; n < out->count; n++) {
        uint32_t l = place_of(&y->by_id, out->rows[n].id);
        if (l == RT_SLAB_NONE)
            continue;
        ok = complete_row(leg_at(y, l), &out->rows[n], out) && ok;
        forget(y, l);
    }
    while (y->pending.count > 0) { /* prefilled at this very instant */
        uint32_t l = rt_heap_top(&y->pending)->item;
        ok = ok && strand(y, l, RT_STATUS_UNFINISHED, out, err);
        forget(y, l);
    }
    return ok || rt_fail_nomem(err, "unfinished requests");
}
