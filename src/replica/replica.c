/* A replica: one rank, or several data parallel ones behind one door.
 *
 * A request goes to the rank with the smallest 4 * waiting + running, the first of equals, as
 * vLLM's internal load balancer does, and stays there. Ranks of models with experts step together
 * and are one unit; otherwise each is a unit with a clock of its own, and the replica wants to be
 * looked at when the first of them does. Units that could form a batch at this instant are `dirty`
 * until schedule. One rank without a pipeline, the common case, is passed through. O(log ranks) an
 * event of a unit. */
#include "pipeline_internal.h"

#include <stdlib.h>
#include <string.h>

#define LINE_BYTES     64
#define PREFETCH_BYTES (sizeof(struct rt_replica) + sizeof(struct rank) + sizeof(struct lane))
#define WAITING_WEIGHT 4 /* vLLM, DPLBAsyncMPClient.get_core_engine_for_request */

struct rt_replica {
    struct rank **ranks;
    uint32_t rank_count;
    struct rank *only;      /* one rank without a pipeline, else NULL */
    bool piped;             /* units are pipelines, else ranks */
    struct pipeline *pipes; /* [unit_count] */
    uint32_t unit_count;
    struct rt_heap due;  /* units under way, by when they next want to be looked at */
    struct rt_heap load; /* ranks by load */
    uint32_t *dirty;     /* units to schedule at this instant */
    bool *is_dirty;
    uint32_t dirty_count;
    uint32_t newest_rank;            /* that took a request last */
    struct rt_replica_totals totals; /* as of the last rt_replica_totals */
    _Alignas(16) unsigned char memory[];
};

static bool add_units(struct rt_replica *p, const struct rt_replica_spec *spec)
{
    uint32_t ranks_each = spec->together ? p->rank_count : 1;
    p->unit_count = p->rank_count / ranks_each;
    p->pipes = calloc(p->unit_count, sizeof p->pipes[0]);
    p->dirty = calloc(p->unit_count, sizeof p->dirty[0]);
    p->is_dirty = calloc(p->unit_count, sizeof p->is_dirty[0]);
    if (!p->pipes || !p->dirty || !p->is_dirty || !rt_heap_reserve(&p->due, p->unit_count) ||
        !rt_heap_reserve(&p->load, p->rank_count))
        return false;
    for (uint32_t u = 0; u < p->unit_count; u++)
        if (!pipeline_init(&p->pipes[u], p->ranks + u * ranks_each, ranks_each))
            return false;
    for (uint32_t i = 0; i < p->rank_count; i++)
        rt_heap_set(&p->load, i, 0, i);
    return true;
}

/* All in one piece of memory: the replica, then its ranks. */
static struct rt_replica *take_memory(const struct rt_replica_spec *spec, uint32_t ranks)
{
    size_t each = (rank_bytes(spec) + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
    struct rt_replica *p = calloc(1, sizeof *p + ranks * each);
    if (!p)
        return NULL;
    p->ranks = calloc(ranks, sizeof p->ranks[0]);
    for (uint32_t i = 0; p->ranks && i < ranks; i++)
        p->ranks[i] = (struct rank *)(void *)(p->memory + i * each);
    return p;
}

bool rt_replica_new(const struct rt_replica_spec *spec, struct rt_replica **out, struct rt_err *err)
{
    uint32_t count = spec->ranks > 1 ? (uint32_t)spec->ranks : 1;
    struct rt_replica *p = take_memory(spec, count);
    if (!p)
        return rt_fail_nomem(err, "a replica");
    rt_heap_init(&p->due);
    rt_heap_init(&p->load);
    p->piped = spec->pipeline > 1 || spec->together;
    bool ok = p->ranks || rt_fail_nomem(err, "a replica");
    for (uint32_t i = 0; ok && i < count; i++, p->rank_count++)
        ok = rank_init(p->ranks[i], spec, i, err);
    if (ok && count == 1 && !p->piped)
        p->only = p->ranks[0];
    else if (ok)
        ok = add_units(p, spec) || rt_fail_nomem(err, "a replica");
    if (!ok) {
        rt_replica_free(p);
        return false;
    }
    *out = p;
    return true;
}

void rt_replica_free(struct rt_replica *p)
{
    if (!p)
        return;
    for (uint32_t u = 0; p->pipes && u < p->unit_count; u++)
        pipeline_release(&p->pipes[u]);
    for (uint32_t i = 0; p->ranks && i < p->rank_count; i++)
        rank_release(p->ranks[i]);
    rt_heap_release(&p->due);
    rt_heap_release(&p->load);
    free(p->pipes);
    free(p->dirty);
    free(p->is_dirty);
    free(p->ranks);
    free(p);
}

void rt_replica_record_steps(struct rt_replica *p, struct rt_step_list *steps)
{
    for (uint32_t i = 0; i < p->rank_count; i++)
        p->ranks[i]->steps = steps;
}

/* ---- units ----------------------------------------------------------------------------------- */

static int64_t unit_next_ns(const struct rt_replica *p, uint32_t u)
{
    return p->piped ? pipeline_next_ns(&p->pipes[u]) : rank_next_ns(p->ranks[u]);
}

static void post(struct rt_replica *p, uint32_t u)
{
    int64_t next_ns = unit_next_ns(p, u);
    if (next_ns == RT_NEVER_AGAIN)
        rt_heap_remove(&p->due, u);
    else
        rt_heap_set(&p->due, u, next_ns, u);
}

static void mark_dirty(struct rt_replica *p, uint32_t u)
{
    if (p->is_dirty[u])
        return;
    p->is_dirty[u] = true;
    p->dirty[p->dirty_count++] = u;
}

static void note_load(struct rt_replica *p, uint32_t i)
{
    const struct rank *r = p->ranks[i];
    rt_heap_set(&p->load, i, WAITING_WEIGHT * rank_waiting(r) + r->running.count, i);
}

static void note_loads(struct rt_replica *p, uint32_t u)
{
    uint32_t each = p->rank_count / p->unit_count;
    for (uint32_t i = u * each; i < (u + 1) * each; i++)
        note_load(p, i);
}

/* Rank i of unit u has got or lost a request between two steps. */
static void settle(struct rt_replica *p, uint32_t i, uint32_t u)
{
    note_load(p, i);
    if (rt_heap_has(&p->due, u))
        post(p, u); /* it may have dropped what it had planned */
    else
        mark_dirty(p, u);
}

/* The same; its step may have ended at this very instant. */
static void left(struct rt_replica *p, uint32_t i, uint32_t u)
{
    if (rt_heap_has(&p->due, u) && unit_next_ns(p, u) == RT_NEVER_AGAIN)
        rt_heap_remove(&p->due, u);
    settle(p, i, u);
}

/* ---- what replica.h says ----------------------------------------------------------------------
 */

void rt_replica_prefetch(const struct rt_replica *p)
{
    for (size_t at = 0; at < PREFETCH_BYTES; at += LINE_BYTES)
        __builtin_prefetch((const char *)p + at);
}

void rt_replica_prefetch_more(const struct rt_replica *p)
{
    if (p->only)
        rank_prefetch(p->only);
}

enum rt_reason rt_replica_resume(struct rt_replica *p, const struct rt_request *req,
                                 const struct rt_progress *past, int64_t now_ns, struct rt_err *err)
{
    if (p->only)
        return rank_push(p->only, req, past, now_ns, err);
    uint32_t i = rt_heap_top(&p->load)->item, u = i / (p->rank_count / p->unit_count);
    enum rt_reason reason = rank_push(p->ranks[i], req, past, now_ns, err);
    if (reason != RT_REASON_NONE || err->code != RT_OK)
        return reason;
    p->newest_rank = i;
    settle(p, i, u);
    return RT_REASON_NONE;
}

enum rt_reason rt_replica_push(struct rt_replica *p, const struct rt_request *req, int64_t now_ns,
                               struct rt_err *err)
{
    return rt_replica_resume(p, req, NULL, now_ns, err);
}

uint64_t rt_replica_newest(const struct rt_replica *p)
{
    return (uint64_t)p->ranks[p->newest_rank]->newest * p->rank_count + p->newest_rank;
}

bool rt_replica_cancel(struct rt_replica *p, uint64_t newest, enum rt_status status, int64_t now_ns,
                       struct rt_finished_list *out, struct rt_err *err)
{
    uint32_t i = (uint32_t)(newest % p->rank_count), seq = (uint32_t)(newest / p->rank_count);
    if (!rank_cancel(p->ranks[i], seq, status, now_ns, out, err))
        return false;
    if (!p->only)
        left(p, i, i / (p->rank_count / p->unit_count));
    return true;
}

/* ---- hand-over --------------------------------------------------------------------------------
 */

static uint32_t unit_of(const struct rt_replica *p, uint32_t i)
{
    return p->only ? 0 : i / (p->rank_count / p->unit_count);
}

bool rt_replica_release(struct rt_replica *p, uint64_t place, int64_t now_ns, struct rt_err *err)
{
    uint32_t i = (uint32_t)(place % p->rank_count), seq = (uint32_t)(place / p->rank_count);
    if (!rank_release_kv(p->ranks[i], seq, now_ns, err))
        return false;
    if (!p->only)
        left(p, i, unit_of(p, i));
    return true;
}

enum rt_reason rt_replica_refuses(const struct rt_replica *p, const struct rt_request *req)
{
    return rank_refuses(p->ranks[0], req, NULL); /* ranks are equal */
}

bool rt_replica_expect(struct rt_replica *p, const struct rt_request *req,
                       const struct rt_handed *handed, int64_t now_ns, struct rt_err *err)
{
    uint32_t i = p->only ? 0 : rt_heap_top(&p->load)->item;
    if (!rank_expect(p->ranks[i], req, handed, now_ns, err))
        return false;
    p->newest_rank = i;
    if (!p->only)
        settle(p, i, unit_of(p, i));
    return true;
}

bool rt_replica_room(struct rt_replica *p, struct rt_room *room)
{
    for (uint32_t i = 0; i < p->rank_count; i++) {
        struct remote *m = p->ranks[i]->remote;
        if (!m || m->room_count == 0)
            continue;
        *room = m->rooms[--m->room_count];
        room->place = room->place * p->rank_count + i;
        return true;
    }
    return false;
}

bool rt_replica_kv_arrived(struct rt_replica *p, uint64_t place, int64_t now_ns, struct rt_err *err)
{
    uint32_t i = (uint32_t)(place % p->rank_count), seq = (uint32_t)(place / p->rank_count);
    if (!rank_kv_arrived(p->ranks[i], seq, now_ns, err))
        return false;
    if (!p->only)
        settle(p, i, unit_of(p, i));
    return true;
}

/* ---- what is asked ----------------------------------------------------------------------------
 */

/* The rank that takes the next request. */
static struct rank *next_rank(const struct rt_replica *p)
{
    return p->only ? p->only : p->ranks[rt_heap_top(&p->load)->item];
}

int64_t rt_replica_cached_tokens(struct rt_replica *p, const struct rt_request *req, int64_t now_ns)
{
    return rank_cached_tokens(next_rank(p), req, now_ns);
}

int64_t rt_replica_backlog_tokens(struct rt_replica *p, int64_t now_ns)
{
    return rank_backlog_tokens(next_rank(p), now_ns);
}

int64_t rt_replica_busy_until(struct rt_replica *p, int64_t now_ns)
{
    int64_t busy_ns = 0, parts = 0;
    for (uint32_t i = 0; i < p->rank_count; i++) {
        busy_ns += rank_busy_until(p->ranks[i], now_ns);
        parts += p->ranks[i]->lane_count;
    }
    return parts > 0 ? busy_ns / parts : 0;
}

bool rt_replica_busy(const struct rt_replica *p)
{
    return p->only ? rank_busy(p->only) : p->dirty_count == 0 && p->due.count > 0;
}

bool rt_replica_schedule(struct rt_replica *p, int64_t now_ns, struct rt_err *err)
{
    if (p->only)
        return rank_schedule(p->only, now_ns, err);
    for (uint32_t d = 0; d < p->dirty_count; d++) {
        uint32_t u = p->dirty[d];
        p->is_dirty[u] = false;
        if (!(p->piped ? pipeline_schedule(&p->pipes[u], now_ns, err)
                       : rank_schedule(p->ranks[u], now_ns, err)))
            return false;
        post(p, u);
        note_loads(p, u);
    }
    p->dirty_count = 0;
    return true;
}

int64_t rt_replica_next_ns(const struct rt_replica *p)
{
    if (p->only)
        return rank_next_ns(p->only);
    return p->due.count > 0 ? rt_heap_top(&p->due)->time : RT_NEVER_AGAIN;
}

bool rt_replica_step_end(struct rt_replica *p, int64_t now_ns, struct rt_finished_list *out,
                         struct rt_err *err)
{
    if (p->only)
        return rank_step_end(p->only, now_ns, out, err);
    while (p->due.count > 0 && rt_heap_top(&p->due)->time == now_ns) {
        uint32_t u = rt_heap_top(&p->due)->item;
        if (!(p->piped ? pipeline_step_end(&p->pipes[u], now_ns, out, err)
                       : rank_step_end(p->ranks[u], now_ns, out, err)))
            return false;
        rt_heap_remove(&p->due, u);
        mark_dirty(p, u);
        note_loads(p, u);
    }
    return true;
}

struct rt_replica_gauges rt_replica_gauges(struct rt_replica *p, int64_t now_ns)
{
    struct rt_replica_gauges sum = {0};
    for (uint32_t i = 0; i < p->rank_count; i++) {
        struct rt_replica_gauges g = rank_gauges(p->ranks[i], now_ns);
        sum.running += g.running;
        sum.waiting += g.waiting;
        sum.kv_blocks_used += g.kv_blocks_used;
    }
    return sum;
}

bool rt_replica_abort(struct rt_replica *p, int64_t now_ns, struct rt_finished_list *out,
                      struct rt_err *err)
{
    for (uint32_t i = 0; i < p->rank_count; i++)
        if (!rank_abort(p->ranks[i], now_ns, out, err))
            return false;
    return true;
}

bool rt_replica_crash(struct rt_replica *p, int64_t now_ns, struct rt_lost_list *out,
                      struct rt_err *err)
{
    for (uint32_t i = 0; i < p->rank_count; i++)
        if (!rank_crash(p->ranks[i], now_ns, out, err))
            return false;
    return true;
}

bool rt_replica_renew(struct rt_replica **p, const struct rt_replica_spec *spec, struct rt_err *err)
{
    struct rt_replica *fresh = NULL;
    if (!rt_replica_new(spec, &fresh, err))
        return false;
    for (uint32_t i = 0; i < fresh->rank_count; i++)
        rank_adopt(fresh->ranks[i], (*p)->ranks[i]);
    rt_replica_free(*p);
    *p = fresh;
    return true;
}

static void add_totals(struct rt_replica_totals *sum, const struct rt_replica_totals *t)
{
    sum->steps += t->steps;
    sum->preemptions += t->preemptions;
    sum->finished += t->finished;
    sum->rejected += t->rejected;
    sum->busy_ns += t->busy_ns;
    sum->output_tokens += t->output_tokens;
    sum->computed_tokens += t->computed_tokens;
    sum->prompt_tokens += t->prompt_tokens;
    sum->cached_tokens += t->cached_tokens;
    if (t->kv_blocks_peak > sum->kv_blocks_peak)
        sum->kv_blocks_peak = t->kv_blocks_peak;
    sum->swapped_out_blocks += t->swapped_out_blocks;
    sum->swapped_in_blocks += t->swapped_in_blocks;
    sum->offloaded_blocks += t->offloaded_blocks;
    sum->loaded_blocks += t->loaded_blocks;
    for (int i = 0; i < RT_TERM_COUNT; i++)
        sum->terms_s[i] += t->terms_s[i];
}

/* A step keeps the GPUs of one stage of one rank busy at a time. */
const struct rt_replica_totals *rt_replica_totals(struct rt_replica *p)
{
    if (p->only)
        return rank_totals(p->only);
    uint32_t parts = 0;
    p->totals = (struct rt_replica_totals){0};
    for (uint32_t i = 0; i < p->rank_count; i++) {
        add_totals(&p->totals, rank_totals(p->ranks[i]));
        parts += p->ranks[i]->lane_count;
    }
    p->totals.busy_ns /= parts > 0 ? parts : 1;
    for (int i = 0; i < RT_TERM_COUNT; i++)
        p->totals.terms_s[i] /= parts > 0 ? parts : 1;
    return &p->totals;
}

uint64_t rt_replica_steps(const struct rt_replica *p)
{
    uint64_t steps = 0;
    for (uint32_t i = 0; i < p->rank_count; i++)
        steps += p->ranks[i]->totals.steps;
    return steps;
}

const struct rt_step_record *rt_replica_step(const struct rt_replica *p)
{
    return &p->ranks[0]->lane->now->record;
}
