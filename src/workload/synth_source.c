/* synth_source.c: units of traffic merged into one stream of requests in time order.
 *
 *     units -> coming   the next unit; it begins after every unit that began before
 *              open     units with rows left: a heap by the stamp of their next row
 *
 * The next request is the earlier of the two; of equal stamps the one of the unit that began first.
 * Units are made until they have `requests` rows together; the last is cut to fit, so every session
 * but that one is whole. Endless units (of a trace that is resampled) are cut in time instead. A
 * unit's number names its session. Stamps of later turns are nominal: the turn before, plus its
 * nominal answer time, plus the think time; sources that make turns wait for real answers read
 * session and think_ns. Failure: stamps beyond 292 years, sums beyond 2^63, what making units says.
 * Cost: O(1) a single request, O(log open sessions) a turn; memory: the sessions that are open at
 * once. */
#include "synth_internal.h"

#include "rooftrace/heap.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SESSION_TEXT 40

struct synth_source {
    struct rt_source base;
    struct rt_units *units;
    struct rt_unit coming; /* count 0: none is left */
    struct rt_unit *open;
    uint32_t *free_slots; /* of open */
    uint32_t capacity, free_count;
    struct rt_heap heap;
    uint64_t requests; /* rows to answer */
    uint64_t left;     /* of them, still to be planned */
    uint64_t units_made;
    uint64_t *ids; /* of the row answered last */
    uint32_t id_capacity;
    char session[SESSION_TEXT];
    bool failed;
    struct rt_err failure;
    struct rt_source_stats stats;
};

static bool fail(struct synth_source *s, const struct rt_err *err)
{
    s->failed = true;
    s->failure = *err;
    return false;
}

static bool fail_late(struct synth_source *s, struct rt_err *err)
{
    (void)rt_fail(err, RT_ECONFIG,
                  "workload.synthetic: request %" PRIu64
                  " arrives beyond 292 years: expected a higher rate or fewer requests",
                  s->stats.rows);
    return fail(s, err);
}

/* Plans the next unit. */
static bool load_coming(struct synth_source *s, struct rt_err *err)
{
    struct rt_unit *u = &s->coming;
    rt_unit_reset(u);
    if (s->left == 0)
        return true;
    u->number = s->units_made++;
    if (!s->units->ops->next(s->units, u, err))
        return fail(s, err);
    if (u->start_ns == INT64_MAX)
        return fail_late(s, err);
    if (!s->units->endless) {
        u->count = u->count < s->left ? u->count : (uint32_t)s->left;
        s->left -= u->count;
    }
    return true;
}

static bool time_of(const struct rt_unit *u, int64_t *out)
{
    return !__builtin_add_overflow(u->start_ns, u->rows[u->next].offset_ns, out) &&
           *out < INT64_MAX;
}

static bool grow(struct synth_source *s)
{
    uint32_t capacity = s->capacity == 0 ? 64 : 2 * s->capacity;
    struct rt_unit *open = realloc(s->open, capacity * sizeof *open);
    s->open = open != NULL ? open : s->open;
    uint32_t *slots = realloc(s->free_slots, capacity * sizeof *slots);
    s->free_slots = slots != NULL ? slots : s->free_slots;
    if (open == NULL || slots == NULL || !rt_heap_reserve(&s->heap, capacity))
        return false;
    for (uint32_t i = capacity; i-- > s->capacity;) {
        s->open[i] = (struct rt_unit){.rows = NULL};
        s->free_slots[s->free_count++] = i;
    }
    s->capacity = capacity;
    return true;
}

/* The coming unit has rows left after its first: it takes the memory of an open one. */
static bool open_coming(struct synth_source *s, struct rt_err *err)
{
    int64_t at;
    if (s->free_count == 0 && !grow(s)) {
        (void)rt_fail_nomem(err, "open sessions");
        return fail(s, err);
    }
    if (!time_of(&s->coming, &at))
        return fail_late(s, err);
    uint32_t slot = s->free_slots[--s->free_count];
    struct rt_unit unused = s->open[slot];
    s->open[slot] = s->coming;
    s->coming = unused;
    rt_heap_set(&s->heap, slot, at, s->open[slot].number);
    return true;
}

static bool copy_ids(struct synth_source *s, const struct rt_unit *u, const struct rt_plan_row *row,
                     struct rt_err *err)
{
    if (row->id_count > s->id_capacity) {
        uint64_t *ids = realloc(s->ids, 2 * (size_t)row->id_count * sizeof *ids);
        if (ids == NULL) {
            (void)rt_fail_nomem(err, "hash ids");
            return fail(s, err);
        }
        s->ids = ids;
        s->id_capacity = 2 * row->id_count;
    }
    if (row->id_count > 0)
        rt_unit_ids(u, row, s->ids);
    return true;
}

static bool count_row(struct synth_source *s, const struct rt_request *r, struct rt_err *err)
{
    struct rt_source_stats *stats = &s->stats;
    if (__builtin_add_overflow(stats->prompt_tokens, r->prompt_tokens, &stats->prompt_tokens) ||
        __builtin_add_overflow(stats->output_tokens, r->output_tokens, &stats->output_tokens)) {
        (void)rt_fail(err, RT_ECONFIG,
                      "workload.synthetic: the tokens of all requests add up beyond 2^63");
        return fail(s, err);
    }
    stats->rows++;
    return true;
}

static bool answer(struct synth_source *s, struct rt_unit *u, int64_t at, struct rt_request *out,
                   struct rt_err *err)
{
    const struct rt_plan_row *row = &u->rows[u->next];
    if (!copy_ids(s, u, row, err))
        return false;
    *out = (struct rt_request){.id = s->stats.rows,
                               .arrival_ns = at,
                               .prompt_tokens = row->prompt_tokens,
                               .output_tokens = row->output_tokens,
                               .class_name = row->class_name,
                               .model_name = row->model_name,
                               .tenant_name = row->tenant_name,
                               .priority = row->priority,
                               .deadline_ns = row->deadline_ns,
                               .think_ns = row->think_ns,
                               .hash_ids = row->id_count > 0 ? s->ids : NULL,
                               .hash_count = row->id_count,
                               .named_tokens = row->named_tokens};
    if (row->session == 1)
        (void)snprintf(s->session, sizeof s->session, "s%" PRIu64, u->number);
    else if (row->session > 1)
        (void)snprintf(s->session, sizeof s->session, "s%" PRIu64 "-%u", u->number, row->session);
    out->session = row->session > 0 ? s->session : NULL;
    return count_row(s, out, err);
}

/* The coming unit's first row was answered (or skipped): the next unit comes. */
static bool leave_coming(struct synth_source *s, struct rt_err *err)
{
    s->coming.next++;
    if (s->coming.next < s->coming.count && !open_coming(s, err))
        return false;
    return load_coming(s, err);
}

/* The same for the open unit whose row is the earliest. */
static bool leave_open(struct synth_source *s, struct rt_err *err)
{
    uint32_t slot = rt_heap_top(&s->heap)->item;
    struct rt_unit *u = &s->open[slot];
    int64_t at;
    if (++u->next == u->count) {
        rt_heap_remove(&s->heap, slot);
        s->free_slots[s->free_count++] = slot;
        return true;
    }
    if (!time_of(u, &at))
        return fail_late(s, err);
    rt_heap_set(&s->heap, slot, at, u->number);
    return true;
}

/* The unit with the earliest row, and its stamp; NULL: none is left. */
static struct rt_unit *earliest(struct synth_source *s, int64_t *at)
{
    const struct rt_heap_node *top = rt_heap_top(&s->heap);
    if (top != NULL && (s->coming.count == 0 || top->time <= s->coming.start_ns)) {
        *at = top->time;
        return &s->open[top->item];
    }
    *at = s->coming.start_ns;
    return s->coming.count > 0 ? &s->coming : NULL;
}

static bool leave(struct synth_source *s, const struct rt_unit *u, struct rt_err *err)
{
    return u == &s->coming ? leave_coming(s, err) : leave_open(s, err);
}

/* A failure found while the rows behind an answer were prepared is told at the next call. */
static enum rt_pull source_next(struct rt_source *base, int64_t now_ns, struct rt_request *out,
                                int64_t *not_before_ns, struct rt_err *err)
{
    struct synth_source *s = (struct synth_source *)base;
    int64_t at;
    struct rt_unit *u;
    if (s->failed) {
        *err = s->failure;
        return RT_PULL_ERROR;
    }
    if (s->stats.rows == s->requests || (u = earliest(s, &at)) == NULL)
        return RT_PULL_END;
    if (at - s->units->skip_ns > now_ns) {
        *not_before_ns = at - s->units->skip_ns;
        return RT_PULL_LATER;
    }
    if (!answer(s, u, at - s->units->skip_ns, out, err))
        return RT_PULL_ERROR;
    (void)leave(s, u, err);
    return RT_PULL_REQUEST;
}

static bool skip_rows(struct synth_source *s, struct rt_err *err)
{
    int64_t at;
    for (;;) {
        const struct rt_unit *u = earliest(s, &at);
        if (u == NULL || at >= s->units->skip_ns)
            return true;
        if (!leave(s, u, err))
            return false;
    }
}

static const char *source_name(const struct rt_source *base, uint32_t name)
{
    const struct synth_source *s = (const struct synth_source *)base;
    return s->units->ops->name(s->units, name);
}

static const struct rt_source_stats *source_stats(const struct rt_source *base)
{
    return &((const struct synth_source *)base)->stats;
}

static void source_free(struct rt_source *base)
{
    struct synth_source *s = (struct synth_source *)base;
    if (s->units != NULL)
        s->units->ops->free(s->units);
    rt_unit_release(&s->coming);
    for (uint32_t i = 0; i < s->capacity; i++)
        rt_unit_release(&s->open[i]);
    rt_heap_release(&s->heap);
    free(s->open);
    free(s->free_slots);
    free(s->ids);
    free(s);
}

static const struct rt_source_ops ops = {
    .next = source_next, .name = source_name, .stats = source_stats, .free = source_free};

bool rt_synth_source_new(const struct rt_workload_spec *w, struct rt_source **out,
                         struct rt_err *err)
{
    struct synth_source *s = calloc(1, sizeof *s);
    if (s == NULL)
        return rt_fail_nomem(err, "synthetic traffic");
    s->base.ops = &ops;
    rt_heap_init(&s->heap);
    s->requests = w->synthetic.requests < w->max_requests ? w->synthetic.requests : w->max_requests;
    s->left = s->requests;
    bool like = w->synthetic.like.path != NULL;
    if (!(like ? rt_like_new(w, &s->units, err) : rt_model_new(w, &s->units, err)) ||
        !load_coming(s, err) || !skip_rows(s, err)) {
        source_free(&s->base);
        return false;
    }
    s->stats.hash_block_tokens = s->units->block_tokens;
    *out = &s->base;
    return true;
}
