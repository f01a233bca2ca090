/* Requests of a timeline. One is a slice in the process of the replica that has it, with a slice
 * for each phase within. Where replicas come and go, a request may be in several places in turn:
 *
 *     fleet        |-waits for a replica-|              |-waits-|
 *     replica 0                          |-request------x lost
 *     replica 3                                                 |-request---------|
 *
 * The row in table `request` has the times of the whole, so phases are cut where the places change.
 * (An answer that is begun anew has the times of its last attempt: of earlier ones only the outer
 * slice is known.) What never ended ends with the run; a request that is refused is an instant.
 * O(rows); finding when a replica became ready O(log changes of the fleet). */
#include "perfetto_internal.h"

#include <inttypes.h>
#include <string.h>

enum request_column {
    REQUEST_ID,
    REQUEST_REPLICA,
    REQUEST_STATUS,
    REQUEST_ARRIVAL,
    REQUEST_SENT, /* to its last replica, if it has lost one; or lost, if there was no other */
    REQUEST_SCHEDULED,
    REQUEST_FIRST_TOKEN,
    REQUEST_END,
    REQUEST_CLASS,
    REQUEST_SESSION,
    REQUEST_REASON,
    REQUEST_PREFILLED,
    REQUEST_KV_READY,
    REQUEST_ARGS /* integers that are shown only */
};

static const char request_sql[] =
    "SELECT request_id, CASE WHEN lost_ns IS NOT NULL AND sent_ns IS NULL THEN -1"
    " ELSE coalesce(replica, -1) END AS place, status, arrival_ns, coalesce(sent_ns, lost_ns),"
    " scheduled_ns, first_token_ns, end_ns, class, session_id, reason, prefilled_ns, kv_ready_ns,"
    " prompt_tokens, output_tokens, coalesce(produced_tokens, output_tokens) AS produced_tokens,"
    " cached_tokens, preemptions, preempted_ns FROM (SELECT *,"
    " (SELECT t.lost_ns FROM request_retry AS t WHERE t.run_id = q.run_id"
    " AND t.request_id = q.request_id ORDER BY t.retry DESC LIMIT 1) AS lost_ns,"
    " (SELECT t.sent_ns FROM request_retry AS t WHERE t.run_id = q.run_id"
    " AND t.request_id = q.request_id ORDER BY t.retry DESC LIMIT 1) AS sent_ns,"
    " CASE WHEN status = 'rejected' THEN coalesce(left_ns, arrival_ns)"
    " ELSE max(coalesce(finish_ns, left_ns, %" PRId64 "),"
    " coalesce(first_token_ns, scheduled_ns, arrival_ns)) END AS end_ns"
    " FROM (SELECT r.*, (SELECT l.left_ns FROM request_left AS l WHERE l.run_id = r.run_id"
    " AND l.request_id = r.request_id) AS left_ns FROM request AS r"
    " WHERE r.run_id = %" PRId64 " AND r.arrival_ns < %" PRId64 ") AS q)"
    " WHERE (end_ns > %" PRId64 " OR arrival_ns >= %" PRId64 ")";

struct stay { /* of a request in one place */
    const char *id;
    int64_t replica, from_ns, to_ns;
    int64_t scheduled_ns, first_ns; /* of the whole request; or NONE */
};

static void phase(struct timeline *t, const struct stay *s, const char *name, int64_t from_ns,
                  int64_t to_ns)
{
    for (int end = 0; end < 2; end++) {
        timeline_event(t, end ? "e" : "b", s->replica, end ? to_ns : from_ns, name);
        rt_emit(t->out, ",\"cat\":\"request\",\"id\":\"%s\"}", s->id);
    }
}

/* The part of a phase that lies in the stay. A phase of no length is told where it is whole. */
static void cut_phase(struct timeline *t, const struct stay *s, const char *name, int64_t from_ns,
                      int64_t to_ns)
{
    int64_t begin_ns = from_ns > s->from_ns ? from_ns : s->from_ns;
    int64_t end_ns = to_ns < s->to_ns ? to_ns : s->to_ns;

    if (begin_ns < end_ns || (from_ns == to_ns && begin_ns == end_ns))
        phase(t, s, name, begin_ns, end_ns);
}

static void phases(struct timeline *t, const struct stay *s, int64_t arrival_ns, int64_t end_ns)
{
    int64_t scheduled_ns = s->scheduled_ns, first_ns = s->first_ns;

    cut_phase(t, s, "queue", arrival_ns, scheduled_ns == NONE ? end_ns : scheduled_ns);
    if (scheduled_ns != NONE)
        cut_phase(t, s, "prefill", scheduled_ns, first_ns == NONE ? end_ns : first_ns);
    if (first_ns != NONE)
        cut_phase(t, s, "decode", first_ns, end_ns);
}

/* ---- waiting for a replica ---- */

/* When the replica, which had work at at_ns, had become ready; 0 if it always was. */
static int64_t ready_ns(const struct timeline *t, int64_t replica, int64_t at_ns)
{
    size_t low = 0, high = t->ready_count;

    while (low < high) { /* the first one behind (replica, at_ns) */
        size_t middle = low + (high - low) / 2;
        const struct life *l = &t->readies[middle];
        if (l->replica < replica || (l->replica == replica && l->ready_ns <= at_ns))
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 && t->readies[low - 1].replica == replica ? t->readies[low - 1].ready_ns : 0;
}

static void put_wait(struct timeline *t, const char *id, int64_t from_ns, int64_t to_ns)
{
    const struct stay in_fleet = {.id = id, .replica = FLEET};

    if (t->what->replica < 0 && from_ns < to_ns && timeline_overlaps(t, from_ns, to_ns))
        phase(t, &in_fleet, "waits for a replica", from_ns, to_ns);
}

/* When a request that has lost no replica yet came to its first: a replica that was not ready when
 * it arrived took it once it was. */
static int64_t first_taken(const struct timeline *t, int64_t replica, int64_t arrival_ns,
                           int64_t at_ns)
{
    int64_t since_ns = replica == FLEET ? 0 : ready_ns(t, replica, at_ns);

    return since_ns > arrival_ns ? since_ns : arrival_ns;
}

static bool wanted(const struct timeline *t, const struct stay *s)
{
    return (t->what->replica < 0 || t->what->replica == s->replica) &&
           timeline_overlaps(t, s->from_ns, s->to_ns);
}

/* ---- where it was last ---- */

/* The requests' slices have one name, so that viewers show one track for all. */
static void begin_request(struct timeline *t, const struct stay *s, bool refused, int columns,
                          const char *const *names, const char *const *v)
{
    timeline_event(t, refused ? "i" : "b", s->replica, s->from_ns,
                   refused ? "rejected" : "request");
    rt_emit(t->out, ",\"cat\":\"request\",\"id\":\"%s\"%s,\"args\":{\"request_id\":%s", s->id,
            refused ? ",\"s\":\"p\"" : "", s->id);
    timeline_text(t, "status", v[REQUEST_STATUS]);
    timeline_text(t, "reason", v[REQUEST_REASON]);
    timeline_text(t, "class", v[REQUEST_CLASS]);
    timeline_text(t, "session_id", v[REQUEST_SESSION]);
    for (int i = REQUEST_ARGS; i < columns; i++)
        if (v[i])
            timeline_number(t, names[i], v[i]);
    fputs("}}", t->out);
}

static void end_request(struct timeline *t, const struct stay *s)
{
    timeline_event(t, "e", s->replica, s->to_ns, "request");
    rt_emit(t->out, ",\"cat\":\"request\",\"id\":\"%s\"}", s->id);
}

static struct stay last_stay(const struct timeline *t, const char *const *v)
{
    int64_t arrival_ns = timeline_integer(v[REQUEST_ARRIVAL]);
    struct stay s = {.id = v[REQUEST_ID],
                     .replica = timeline_integer(v[REQUEST_REPLICA]),
                     .from_ns = timeline_integer(v[REQUEST_SENT]),
                     .to_ns = timeline_integer(v[REQUEST_END]),
                     .scheduled_ns = timeline_integer(v[REQUEST_SCHEDULED]),
                     .first_ns = timeline_integer(v[REQUEST_FIRST_TOKEN])};
    int64_t at_ns = s.scheduled_ns == NONE ? s.to_ns : s.scheduled_ns;

    if (s.from_ns == NONE)
        s.from_ns = first_taken(t, s.replica, arrival_ns, at_ns);
    return s;
}

static bool request_row(void *user, int columns, const char *const *names, const char *const *v)
{
    struct timeline *t = user;
    int64_t arrival_ns = timeline_integer(v[REQUEST_ARRIVAL]);
    struct stay s = last_stay(t, v);
    bool refused = strcmp(v[REQUEST_STATUS], "rejected") == 0;

    if (refused)
        s.from_ns = s.to_ns;
    if (!v[REQUEST_SENT])
        put_wait(t, s.id, arrival_ns, s.from_ns);
    if (!wanted(t, &s))
        return !ferror(t->out);
    t->count->requests++;
    begin_request(t, &s, refused, columns, names, v);
    if (refused)
        return !ferror(t->out);
    phases(t, &s, arrival_ns, s.to_ns);
    if (v[REQUEST_PREFILLED]) /* part of the one or the other, by who gives the first token */
        phase(t, &s, "KV transfer", timeline_integer(v[REQUEST_PREFILLED]),
              v[REQUEST_KV_READY] ? timeline_integer(v[REQUEST_KV_READY]) : s.to_ns);
    end_request(t, &s);
    return !ferror(t->out);
}

/* ---- where it was before ---- */

enum loss_column {
    LOSS_ID,
    LOSS_REPLICA,
    LOSS_RETRY,
    LOSS_FROM, /* sent to that replica; NULL: it was the first */
    LOSS_LOST,
    LOSS_SENT,
    LOSS_ARRIVAL,
    LOSS_SCHEDULED,
    LOSS_FIRST_TOKEN
};

/* Table `request` has no index: it is read in order, the few retries are looked up. */
static const char loss_sql[] =
    "SELECT t.request_id, t.replica, t.retry, (SELECT p.sent_ns FROM request_retry AS p"
    " WHERE p.run_id = t.run_id AND p.request_id = t.request_id AND p.retry = t.retry - 1),"
    " t.lost_ns, t.sent_ns, q.arrival_ns, q.scheduled_ns, q.first_token_ns FROM request AS q"
    " CROSS JOIN request_retry AS t WHERE t.run_id = q.run_id AND t.request_id = q.request_id"
    " AND q.run_id = %" PRId64;

static bool loss_row(void *user, int columns, const char *const *names, const char *const *v)
{
    struct timeline *t = user;
    int64_t arrival_ns = timeline_integer(v[LOSS_ARRIVAL]);
    struct stay s = {.id = v[LOSS_ID],
                     .replica = timeline_integer(v[LOSS_REPLICA]),
                     .from_ns = timeline_integer(v[LOSS_FROM]),
                     .to_ns = timeline_integer(v[LOSS_LOST]),
                     .scheduled_ns = timeline_integer(v[LOSS_SCHEDULED]),
                     .first_ns = timeline_integer(v[LOSS_FIRST_TOKEN])};

    (void)columns;
    (void)names;
    if (s.from_ns == NONE) {
        s.from_ns = first_taken(t, s.replica, arrival_ns, s.to_ns);
        put_wait(t, s.id, arrival_ns, s.from_ns);
    }
    if (v[LOSS_SENT])
        put_wait(t, s.id, s.to_ns, timeline_integer(v[LOSS_SENT]));
    if (!wanted(t, &s))
        return !ferror(t->out);
    timeline_event(t, "b", s.replica, s.from_ns, "request");
    rt_emit(t->out, ",\"cat\":\"request\",\"id\":\"%s\",\"args\":{\"request_id\":%s", s.id, s.id);
    timeline_text(t, "status", "lost its replica");
    timeline_number(t, "retry", v[LOSS_RETRY]);
    fputs("}}", t->out);
    if (s.scheduled_ns != NONE && s.scheduled_ns < s.to_ns)
        phases(t, &s, arrival_ns, s.to_ns);
    end_request(t, &s);
    return !ferror(t->out);
}

bool timeline_requests(struct timeline *t, struct rt_db *db, struct rt_err *err)
{
    const struct rt_timeline *w = t->what;
    char sql[sizeof request_sql + 200];

    snprintf(sql, sizeof sql, request_sql, t->duration_ns, t->count->run_id, w->to_ns, w->from_ns,
             w->from_ns);
    if (!rt_db_select(db, sql, request_row, t, err))
        return false;
    if (!t->has_retries)
        return true;
    snprintf(sql, sizeof sql, loss_sql, t->count->run_id);
    return rt_db_select(db, sql, loss_row, t, err);
}
