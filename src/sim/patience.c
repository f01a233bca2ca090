/* Clients that leave before their answer is complete: they time out, or their users press stop.
 *
 *     "timeout_s": 30, "cancel": {"share": 0.05, "mean_s": 10}
 *
 * Whether and when a request is cancelled is drawn from (seed, its place in the trace), so it is
 * the same on every fleet. One heap holds those in flight whose clients may leave, one hash table
 * finds a request that is done before. Nothing is paid by requests whose clients stay. O(log
 * clients) a call. */
#include "sim_internal.h"
#include "sim_print_internal.h"

#include <math.h>

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
    rt_id_map_release(&p->ids);
}

static struct waiting_client *client(const struct patience *p, uint32_t i)
{
    return rt_slab_at(&p->clients, i);
}

bool patience_add(struct patience *p, const struct waiting_client *c)
{
    uint32_t i = rt_slab_take(&p->clients);
    if (i == RT_SLAB_NONE)
        return false;
    if (!rt_heap_reserve(&p->order, p->clients.capacity) || !rt_id_map_put(&p->ids, c->id, i)) {
        rt_slab_give(&p->clients, i);
        return false;
    }
    *client(p, i) = *c;
    rt_heap_set(&p->order, i, c->leaves_ns, c->id);
    return true;
}

void patience_done(struct patience *p, uint64_t id)
{
    uint32_t i = take_place(&p->ids, id);
    if (i == RT_SLAB_NONE)
        return;
    rt_heap_remove(&p->order, i);
    rt_slab_give(&p->clients, i);
}

void patience_move(struct patience *p, uint64_t id, uint32_t replica, uint64_t newest)
{
    uint32_t i = place_of(&p->ids, id);
    if (i == RT_SLAB_NONE)
        return;
    client(p, i)->replica = replica;
    client(p, i)->newest = newest;
}

const struct waiting_client *patience_next(const struct patience *p)
{
    const struct rt_heap_node *top = rt_heap_top(&p->order);
    return top ? client(p, top->item) : NULL;
}
