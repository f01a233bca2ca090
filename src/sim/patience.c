/* Clients that leave before their answer is complete: they time out, or their users press stop.
 *
 *     "timeout_s": 30, "cancel": {"share": 0.05, "mean_s": 10}
 *
 * Whether and when a request is cancelled is drawn from (seed, its place in the trace), so it is
 * the same on every fleet. One heap holds those in flight whose clients may leave, one hash table
 * (linear probing, at most half full, no tombstones) finds a request that is done before. Nothing
 * is paid by requests whose clients stay. O(log clients) a call. */
#include "sim_internal.h"
#include "sim_print_internal.h"

#include <math.h>
#include <stdlib.h>

#define SLOT_FREE     UINT32_MAX
#define FIRST_SLOTS   64u
#define MAX_TIMEOUT_S 9e9
#define MIN_TIMEOUT_S 1e-9

static const char *const cancel_keys[] = {"share", "mean_s"};

/* ---- scenario -------------------------------------------------------------------------------- */

bool rt_patience_parse(const struct rt_json_at *at, struct rt_patience *p, struct rt_err *err)
{
    struct rt_json_at cancel = rt_json_get(at, "cancel");

    if (!rt_json_double(at, "timeout_s", MIN_TIMEOUT_S, MAX_TIMEOUT_S, &p->timeout_s, err))
        return false;
    if (cancel.node == NULL)
        return true;
    return rt_json_expect(&cancel, RT_JSON_OBJECT, err) &&
           rt_json_only(&cancel, cancel_keys, 2, err) && rt_json_need(&cancel, "share", err) &&
           rt_json_need(&cancel, "mean_s", err) &&
           rt_json_double(&cancel, "share", 0, 1, &p->cancel_share, err) &&
           rt_json_double(&cancel, "mean_s", MIN_TIMEOUT_S, MAX_TIMEOUT_S, &p->cancel_mean_s, err);
}

void rt_writer_patience(struct rt_writer *w, const struct rt_patience *p)
{
    if (p->timeout_s > 0)
        rt_writer_double(w, "timeout_s", p->timeout_s);
    if (p->cancel_mean_s > 0) {
        rt_writer_open(w, "cancel", '{');
        rt_writer_double(w, "share", p->cancel_share);
        rt_writer_double(w, "mean_s", p->cancel_mean_s);
        rt_writer_close(w, '}');
    }
}

/* ---- when they leave ------------------------------------------------------------------------- */

/* At least 1 ns later. INT64_MAX: beyond the clock. */
static int64_t after(int64_t from_ns, double seconds)
{
    double ns = ceil(seconds * 1e9);
    return ns >= (double)(INT64_MAX - from_ns) ? INT64_MAX : from_ns + (int64_t)fmax(ns, 1);
}

bool patience_draw(const struct rt_patience *spec, uint64_t seed, const struct rt_request *req,
                   struct waiting_client *out)
{
    *out =
        (struct waiting_client){.id = req->id, .leaves_ns = INT64_MAX, .status = RT_STATUS_TIMEOUT};
    if (spec->timeout_s > 0)
        out->leaves_ns = after(req->arrival_ns, spec->timeout_s);
    if (spec->cancel_share > 0) {
        struct rt_rng rng;
        rt_rng_init(&rng, seed, RT_RNG_PATIENCE, req->id);
        bool cancels = rt_rng_unit(&rng) < spec->cancel_share;
        int64_t at_ns = after(req->arrival_ns, spec->cancel_mean_s * rt_rng_exponential(&rng));
        if (cancels && at_ns < out->leaves_ns) {
            out->leaves_ns = at_ns;
            out->status = RT_STATUS_CANCELLED;
        }
    }
    return out->leaves_ns != INT64_MAX;
}

/* ---- who waits ------------------------------------------------------------------------------- */

void patience_init(struct patience *p)
{
    *p = (struct patience){0};
    rt_slab_init(&p->clients, sizeof(struct waiting_client));
    rt_heap_init(&p->order);
}

void patience_release(struct patience *p)
{
    rt_slab_release(&p->clients);
    rt_heap_release(&p->order);
    free(p->slots);
}

static struct waiting_client *client(const struct patience *p, uint32_t i)
{
    return rt_slab_at(&p->clients, i);
}

static uint32_t home_of(const struct patience *p, uint64_t id)
{
    return (uint32_t)((id * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (p->slot_count - 1);
}

/* The id's slot, or the free one where it would go. */
static uint32_t slot_of(const struct patience *p, uint64_t id)
{
    uint32_t s = home_of(p, id);
    while (p->slots[s] != SLOT_FREE && client(p, p->slots[s])->id != id)
        s = (s + 1) & (p->slot_count - 1);
    return s;
}

static bool grow(struct patience *p)
{
    struct patience grown = *p;
    grown.slot_count = p->slot_count > 0 ? 2 * p->slot_count : FIRST_SLOTS;
    grown.slots =
        p->slot_count < UINT32_C(1) << 31 ? malloc(grown.slot_count * sizeof grown.slots[0]) : NULL;
    if (!grown.slots)
        return false;
    for (uint32_t s = 0; s < grown.slot_count; s++)
        grown.slots[s] = SLOT_FREE;
    for (uint32_t s = 0; s < p->slot_count; s++)
        if (p->slots[s] != SLOT_FREE)
            grown.slots[slot_of(&grown, client(p, p->slots[s])->id)] = p->slots[s];
    free(p->slots);
    *p = grown;
    return true;
}

bool patience_add(struct patience *p, const struct waiting_client *c)
{
    if (p->clients.used >= p->slot_count / 2 && !grow(p))
        return false;
    uint32_t i = rt_slab_take(&p->clients);
    if (i == RT_SLAB_NONE)
        return false;
    if (!rt_heap_reserve(&p->order, p->clients.capacity)) {
        rt_slab_give(&p->clients, i);
        return false;
    }
    uint32_t slot = slot_of(p, c->id);
    *client(p, i) = *c;
    p->slots[slot] = i;
    rt_heap_set(&p->order, i, c->leaves_ns, c->id);
    return true;
}

/* Entries behind the hole move up where they can be found all the same. */
static void free_slot(struct patience *p, uint32_t hole)
{
    uint32_t mask = p->slot_count - 1;
    p->slots[hole] = SLOT_FREE;
    for (uint32_t s = (hole + 1) & mask; p->slots[s] != SLOT_FREE; s = (s + 1) & mask) {
        uint32_t home = home_of(p, client(p, p->slots[s])->id);
        if (((s - home) & mask) < ((s - hole) & mask))
            continue;
        p->slots[hole] = p->slots[s];
        p->slots[s] = SLOT_FREE;
        hole = s;
    }
}

void patience_done(struct patience *p, uint64_t id)
{
    if (p->clients.used == 0)
        return;
    uint32_t slot = slot_of(p, id), i = p->slots[slot];
    if (i == SLOT_FREE)
        return;
    free_slot(p, slot);
    rt_heap_remove(&p->order, i);
    rt_slab_give(&p->clients, i);
}

const struct waiting_client *patience_next(const struct patience *p)
{
    const struct rt_heap_node *top = rt_heap_top(&p->order);
    return top ? client(p, top->item) : NULL;
}
