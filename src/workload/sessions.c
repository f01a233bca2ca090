/* sessions.c: the turns of a session follow each other.
 *
 *     wrapped source --read--> first turns, rows without session --> due --(time)--> sent
 *                      |                                              ^               |
 *                      +--> later turns: held until the one before leaves  <---done---+
 *
 * A turn is due when the turn before has left, and
 *     trace   not before its own time in the trace;
 *     think   exactly think_s later; where the row has none, as in `trace`, or at once when
 *             arrivals are drawn (its own time then says nothing).
 * What is due is sent in the order (due time, order of reading). Whether the turn before finished
 * or was rejected does not matter: its user goes on. Drawn arrivals are, in `trace`, the times of
 * all rows; in `think` the times at which sessions (and rows without session) start.
 *
 * Reading ahead. `trace` reads rows when they are due. `think` must know the next turn when one
 * ends: it then reads on until it finds one, but holds no more than LOOK_AHEAD rows (LOOK_AHEAD
 * bytes of hash ids) for this; a turn that stands further behind is sent when it is met, and a
 * session that has been forgotten meanwhile starts anew, at its own time. Memory: turns read and
 * not sent (LOOK_AHEAD, and the later turns of sessions that are open), one record for each open
 * session, and for the IDLE_SESSIONS that ended last; with a closed loop behind, also those that
 * ended within its backlog. O(log of the turns due) a request.
 *
 * Failure: what the wrapped source says, after every turn that could be read was sent. */
#include "load_internal.h"

#include "rooftrace/heap.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_AHEAD_ROWS  65536u
#define LOOK_AHEAD_BYTES (32u << 20)
#define IDLE_SESSIONS    65536u
#define NONE             RT_SLAB_NONE

struct turn {
    struct rt_request request; /* session: the name kept with the session */
    uint64_t *ids;             /* its hash ids, owned, or NULL */
    uint64_t sequence;         /* order of reading */
    uint32_t session;          /* or NONE */
    uint32_t next;             /* turn of the session */
};

struct sessions {
    struct rt_source base;
    struct rt_source *inner; /* owned */
    bool think, has_clock;
    struct rt_arrival_clock clock;
    struct rt_session_table table;
    struct rt_slab turns;
    struct rt_heap due;         /* turns by (due time, sequence) */
    struct rt_id_map in_flight; /* sessions by the id of their turn */
    struct rt_conversation_names names;
    uint64_t *sent_ids; /* of the turn answered last, owned */
    uint64_t sequence, held;
    size_t ids_bytes;   /* of all turns */
    int64_t unread_ns;  /* no row that is still to be read is due before */
    bool wait_inner;    /* the wrapped source has nothing before unread_ns */
    uint64_t search;    /* number of the search that is on */
    uint32_t searching; /* sessions whose next turn it looks for */
    bool ended, failed; /* the wrapped source has; failed: *failure says why */
    struct rt_err failure;
    struct rt_source_stats stats;
};

static struct turn *turn_at(const struct sessions *s, uint32_t i)
{
    return rt_slab_at(&s->turns, i);
}

static int64_t add_or_max(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

/* ---- turns ---- */

static void make_due(struct sessions *s, uint32_t i, int64_t due_ns)
{
    turn_at(s, i)->request.arrival_ns = due_ns;
    rt_heap_set(&s->due, i, due_ns, turn_at(s, i)->sequence);
}

/* When a turn is due whose predecessor left at done_ns. */
static int64_t due_after(const struct sessions *s, const struct rt_request *r, int64_t done_ns)
{
    if (s->think && r->think_ns >= 0)
        return add_or_max(done_ns, r->think_ns);
    if (s->think && s->has_clock)
        return done_ns;
    return r->arrival_ns > done_ns ? r->arrival_ns : done_ns;
}

static void hold(struct sessions *s, struct rt_session *session, uint32_t i)
{
    if (session->tail == NONE)
        session->head = i;
    else
        turn_at(s, session->tail)->next = i;
    session->tail = i;
    s->held++;
}

static uint32_t release_next(struct sessions *s, struct rt_session *session)
{
    uint32_t i = session->head;
    session->head = turn_at(s, i)->next;
    if (session->head == NONE)
        session->tail = NONE;
    s->held--;
    return i;
}

/* A turn whose session is known and idle. */
static void resume(struct sessions *s, uint32_t session, uint32_t i, int64_t now_ns)
{
    struct rt_session *x = rt_session_at(&s->table, session);
    int64_t due_ns = due_after(s, &turn_at(s, i)->request, x->done_ns);
    bool sought = x->search == s->search;
    rt_session_set_busy(&s->table, session);
    if (sought)
        s->searching--;
    else if (s->think && due_ns < now_ns)
        due_ns = now_ns; /* it stood too far behind to be known in time */
    make_due(s, i, due_ns);
}

/* What has no predecessor starts at its own time, or at one that is drawn. */
static void start(struct sessions *s, uint32_t i)
{
    int64_t due_ns = turn_at(s, i)->request.arrival_ns;
    if (s->has_clock && s->think)
        due_ns = s->unread_ns = rt_arrival_clock_next(&s->clock);
    make_due(s, i, due_ns);
}

static bool place(struct sessions *s, uint32_t i, const char *name, int64_t now_ns,
                  struct rt_err *err)
{
    if (name == NULL) {
        start(s, i);
        return true;
    }
    uint32_t session = rt_session_find(&s->table, name);
    bool is_new = session == NONE;
    if (is_new)
        session = rt_session_add(&s->table, name);
    if (session == NONE)
        return rt_fail_nomem(err, "sessions");
    struct rt_session *x = rt_session_at(&s->table, session);
    turn_at(s, i)->session = session;
    turn_at(s, i)->request.session = x->name;
    if (is_new)
        start(s, i);
    else if (x->busy)
        hold(s, x, i);
    else
        resume(s, session, i, now_ns);
    return true;
}

/* Room for a turn, its place in the heap included: nothing is allocated when a turn becomes due. */
static uint32_t take_turn(struct sessions *s, const struct rt_request *r)
{
    uint32_t i = rt_slab_take(&s->turns);
    size_t bytes = (size_t)r->hash_count * sizeof r->hash_ids[0];
    uint64_t *ids = NULL;
    if (i == NONE || !rt_heap_reserve(&s->due, s->turns.capacity))
        return NONE;
    if (bytes > 0) {
        ids = malloc(bytes);
        if (ids == NULL)
            return NONE;
        memcpy(ids, r->hash_ids, bytes);
        s->ids_bytes += bytes;
    }
    *turn_at(s, i) =
        (struct turn){.request = *r, .sequence = s->sequence++, .session = NONE, .next = NONE};
    turn_at(s, i)->request.hash_ids = turn_at(s, i)->ids = ids;
    return i;
}

/* ---- reading ---- */

static bool read_row(struct sessions *s, const struct rt_request *row, int64_t now_ns,
                     struct rt_err *err)
{
    uint32_t i = take_turn(s, row);
    if (i == NONE)
        return rt_fail_nomem(err, "turns of sessions");
    struct turn *t = turn_at(s, i);
    if (s->has_clock && !s->think)
        t->request.arrival_ns = rt_arrival_clock_next(&s->clock);
    if (!s->has_clock || !s->think)
        s->unread_ns = t->request.arrival_ns;
    if (place(s, i, row->session, now_ns, err))
        return true;
    free(turn_at(s, i)->ids);
    return false;
}

/* One answer of the wrapped source. Rows whose own times do not matter yet are asked for at the end
 * of time. */
static bool read_one(struct sessions *s, int64_t now_ns, struct rt_err *err)
{
    bool ahead = s->think || s->has_clock;
    struct rt_request row;
    int64_t later_ns = INT64_MAX;
    enum rt_pull answer =
        rt_source_next(s->inner, ahead ? INT64_MAX : now_ns, &row, &later_ns, &s->failure);
    uint32_t block = s->stats.hash_block_tokens;
    s->stats = *rt_source_stats(s->inner);
    s->stats.hash_block_tokens = block;
    switch (answer) {
    case RT_PULL_REQUEST:
        return read_row(s, &row, now_ns, err);
    case RT_PULL_LATER:
        s->unread_ns = later_ns;
        s->wait_inner = true;
        return true;
    case RT_PULL_ERROR:
        s->failed = true;
        break;
    case RT_PULL_BLOCKED: /* what is wrapped here waits for nothing that leaves */
        assert(false);
        break;
    case RT_PULL_END:
        break;
    }
    s->ended = true;
    s->unread_ns = INT64_MAX;
    return true;
}

static bool is_full(const struct sessions *s)
{
    return s->turns.used >= LOOK_AHEAD_ROWS || s->ids_bytes >= LOOK_AHEAD_BYTES;
}

/* Reads until the turn that is due first is known, and what is searched for is found or out of
 * reach. */
static bool read_on(struct sessions *s, int64_t now_ns, struct rt_err *err)
{
    s->wait_inner = false;
    while (!s->ended && !s->wait_inner) {
        const struct rt_heap_node *top = rt_heap_top(&s->due);
        bool know_first = top != NULL && top->time <= s->unread_ns;
        if (know_first && (s->searching == 0 || is_full(s)))
            break;
        if (!read_one(s, now_ns, err))
            return false;
    }
    if (s->searching > 0) { /* in vain */
        s->search++;
        s->searching = 0;
    }
    while (s->table.idle_count > IDLE_SESSIONS) {
        uint32_t oldest = s->table.head;
        if (!s->think && rt_session_at(&s->table, oldest)->done_ns > s->unread_ns)
            break; /* rows that are due before its last turn left may still come */
        rt_session_forget(&s->table, oldest);
    }
    return true;
}

/* ---- the source ---- */

static bool answer(struct sessions *s, uint32_t i, struct rt_request *out, struct rt_err *err)
{
    struct turn *t = turn_at(s, i);
    rt_heap_remove(&s->due, i);
    *out = t->request;
    s->sent_ids = t->ids;
    s->ids_bytes -= (size_t)t->request.hash_count * sizeof t->request.hash_ids[0];
    uint32_t session = t->session;
    rt_slab_give(&s->turns, i);
    if (session == NONE)
        return true;
    return (rt_conversation_name(&s->names, rt_session_at(&s->table, session), out) &&
            rt_id_map_put(&s->in_flight, out->id, session)) ||
           rt_fail_nomem(err, "sessions");
}

/* Nothing is due at any known time. */
static enum rt_pull nothing_due(const struct sessions *s, int64_t *not_before_ns,
                                struct rt_err *err)
{
    if (s->wait_inner) {
        *not_before_ns = s->unread_ns;
        return RT_PULL_LATER;
    }
    if (s->held > 0)
        return RT_PULL_BLOCKED;
    if (!s->failed)
        return RT_PULL_END;
    *err = s->failure;
    return RT_PULL_ERROR;
}

static enum rt_pull sessions_next(struct rt_source *base, int64_t now_ns, struct rt_request *out,
                                  int64_t *not_before_ns, struct rt_err *err)
{
    struct sessions *s = (struct sessions *)base;
    free(s->sent_ids);
    s->sent_ids = NULL;
    if (!read_on(s, now_ns, err))
        return RT_PULL_ERROR;
    const struct rt_heap_node *top = rt_heap_top(&s->due);
    if (top == NULL)
        return nothing_due(s, not_before_ns, err);
    if (top->time == INT64_MAX) {
        (void)rt_fail(err, RT_ETRACE, "a turn of a session is due beyond 292 years");
        return RT_PULL_ERROR;
    }
    if (top->time > now_ns) {
        *not_before_ns = top->time;
        if (s->wait_inner && s->unread_ns < top->time)
            *not_before_ns = s->unread_ns;
        return RT_PULL_LATER;
    }
    return answer(s, top->item, out, err) ? RT_PULL_REQUEST : RT_PULL_ERROR;
}

static struct rt_source_done sessions_done(struct rt_source *base, uint64_t id, int64_t now_ns)
{
    struct sessions *s = (struct sessions *)base;
    struct rt_source_done done = rt_source_done(s->inner, id, now_ns);
    uint64_t session;
    if (!rt_id_map_take(&s->in_flight, id, &session))
        return done;
    struct rt_session *x = rt_session_at(&s->table, (uint32_t)session);
    x->done_ns = now_ns;
    if (x->head != NONE) {
        uint32_t i = release_next(s, x);
        make_due(s, i, due_after(s, &turn_at(s, i)->request, now_ns));
        done.ask_again = true;
        return done;
    }
    rt_session_set_idle(&s->table, (uint32_t)session);
    if (s->think && !s->ended) {
        x->search = s->search;
        s->searching++;
        done.ask_again = true;
    }
    return done;
}

static const char *sessions_name(const struct rt_source *base, uint32_t name)
{
    return rt_source_name(((const struct sessions *)base)->inner, name);
}

static const struct rt_source_stats *sessions_stats(const struct rt_source *base)
{
    return &((const struct sessions *)base)->stats;
}

static void free_held(struct sessions *s)
{
    for (uint32_t b = 0; b < s->table.size; b++)
        for (uint32_t x = s->table.buckets[b]; x != NONE;
             x = rt_session_at(&s->table, x)->bucket_next)
            while (rt_session_at(&s->table, x)->head != NONE) {
                uint32_t i = release_next(s, rt_session_at(&s->table, x));
                free(turn_at(s, i)->ids);
            }
}

static void sessions_free(struct rt_source *base)
{
    struct sessions *s = (struct sessions *)base;
    free_held(s);
    for (uint32_t n = 0; n < s->due.count; n++)
        free(turn_at(s, s->due.nodes[n].item)->ids);
    free(s->sent_ids);
    free(s->names.ids);
    rt_heap_release(&s->due);
    rt_slab_release(&s->turns);
    rt_id_map_release(&s->in_flight);
    rt_session_table_release(&s->table);
    rt_arrival_clock_release(&s->clock);
    rt_source_free(s->inner);
    free(s);
}

static const struct rt_source_ops ops = {.next = sessions_next,
                                         .done = sessions_done,
                                         .name = sessions_name,
                                         .stats = sessions_stats,
                                         .free = sessions_free};

bool rt_sessions_new(struct rt_source *inner, enum rt_sessions mode, struct rt_arrival_clock *clock,
                     struct rt_source **out, struct rt_err *err)
{
    struct sessions *s = calloc(1, sizeof *s);
    if (s == NULL)
        return rt_fail_nomem(err, "sessions");
    s->base.ops = &ops;
    s->inner = inner;
    s->think = mode == RT_SESSIONS_THINK;
    s->search = 1;
    rt_session_table_init(&s->table);
    rt_slab_init(&s->turns, sizeof(struct turn));
    rt_heap_init(&s->due);
    s->stats = *rt_source_stats(inner);
    if (s->stats.hash_block_tokens == 0)
        s->stats.hash_block_tokens = RT_CONVERSATION_BLOCK;
    s->names.block_tokens = s->stats.hash_block_tokens;
    if (clock != NULL) {
        s->clock = *clock;
        s->has_clock = true;
    }
    *out = &s->base;
    return true;
}
