/* A run as a timeline: trace-event JSON ("Trace Event Format", Google: events in an array within an
 * object), which ui.perfetto.dev and chrome://tracing open.
 *
 *     process "fleet"       counters from samples; requests that reached no replica
 *     process "replica i"   thread "engine": a slice a step, named prefill, decode or mixed;
 *                           with a pipeline a thread for each batch under way, since steps
 *                           overlap, and for each data parallel rank its own
 *                           counters at the start of each step: sequences in it, requests that
 *                           wait, KV blocks; 0 while the engine has nothing to do; none with ranks
 *                           an async slice a request, and within it queue, prefill and decode
 *
 * Steps come from table `step` when the run recorded them. A row is printed when it is read, so
 * events are not in order of time: viewers sort them. Times are microseconds with three decimals,
 * hence exact. Cost: one pass over the rows of three tables. Failure: the stream, told at the end;
 * reading stops at once. */
#include "report_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NONE       INT64_MIN /* SQL NULL */
#define FLEET      INT64_C(-1)
#define ENGINE_TID INT64_C(1)

struct gauges { /* what a replica's counters show */
    int64_t sequences, waiting, kv_blocks;
    int64_t end_ns; /* of its last step */
    bool any;
};

struct timeline {
    FILE *out;
    const struct rt_timeline *what;
    struct rt_timeline_count *count;
    struct gauges *shown; /* by replica */
    int64_t replicas, duration_ns;
    bool first; /* event */
};

static int64_t integer(const char *text)
{
    return text ? strtoll(text, NULL, 10) : NONE;
}

/* The beginning of an event; the caller adds members and the brace. Process 0 means the idle one to
 * viewers: the fleet is 1, replica i is i + 2. */
static void begin_event(struct timeline *t, const char *phase, int64_t replica, int64_t at_ns,
                        const char *name)
{
    fputs(t->first ? "\n" : ",\n", t->out);
    t->first = false;
    rt_emit(t->out, "{\"ph\":\"%s\",\"pid\":%" PRId64 ",\"ts\":%" PRId64 ".%03d,\"name\":\"%s\"",
            phase, replica + 2, at_ns / 1000, (int)(at_ns % 1000), name);
}

static void put_integer(struct timeline *t, const char *name, const char *value)
{
    rt_emit(t->out, ",\"%s\":%s", name, value ? value : "null");
}

static void put_text(struct timeline *t, const char *name, const char *value)
{
    if (!value || value[0] == '\0')
        return;
    rt_emit(t->out, ",\"%s\":", name);
    rt_emit_text(t->out, value);
}

/* ---- processes ---- */

static void name_thread(struct timeline *t, int64_t replica, int64_t track, const char *name)
{
    begin_event(t, "M", replica, 0, "thread_name");
    rt_emit(t->out, ",\"tid\":%" PRId64 ",\"args\":{\"name\":\"%s\"}}", ENGINE_TID + track, name);
}

/* One for each step that can be under way at once. */
static void name_threads(struct timeline *t, int64_t replica, int64_t stages, int64_t ranks)
{
    char name[64];

    for (int64_t i = 0; i < ranks * stages; i++) {
        snprintf(name, sizeof name, "engine");
        if (ranks > 1)
            snprintf(name, sizeof name, "rank %" PRId64, i / stages);
        if (stages > 1)
            snprintf(name + strlen(name), sizeof name - strlen(name), ", batch %" PRId64,
                     i % stages);
        name_thread(t, replica, i, name);
    }
}

static void name_process(struct timeline *t, int64_t replica, const char *pool)
{
    begin_event(t, "M", replica, 0, "process_name");
    if (replica == FLEET)
        fputs(",\"args\":{\"name\":\"fleet\"}}", t->out);
    else
        rt_emit(t->out, ",\"args\":{\"name\":\"replica %" PRId64 "\"}}", replica);
    begin_event(t, "M", replica, 0, "process_sort_index");
    rt_emit(t->out, ",\"args\":{\"sort_index\":%" PRId64 "}}", replica + 2);
    if (!pool)
        return;
    begin_event(t, "M", replica, 0, "process_labels");
    fputs(",\"args\":{\"labels\":", t->out);
    rt_emit_text(t->out, pool);
    fputs("}}", t->out);
}

/* pool, first_replica, replicas, pipeline_parallel, data_parallel */
static bool pool_row(void *user, int columns, const char *const *names, const char *const *v)
{
    struct timeline *t = user;
    int64_t first = integer(v[1]), end = first + integer(v[2]);

    (void)columns;
    (void)names;
    for (int64_t i = first; i < end; i++)
        if (t->what->replica < 0 || t->what->replica == i) {
            name_process(t, i, v[0]);
            name_threads(t, i, integer(v[3]), integer(v[4]));
        }
    return !ferror(t->out);
}

/* ---- steps ---- */

static void counter(struct timeline *t, int64_t replica, int64_t at_ns, const char *name,
                    int64_t value)
{
    begin_event(t, "C", replica, at_ns, name);
    rt_emit(t->out, ",\"args\":{\"value\":%" PRId64 "}}", value);
}

/* Counters keep their value until the next event: only changes are written. */
static void show(struct timeline *t, int64_t replica, int64_t at_ns, const struct gauges *now)
{
    struct gauges *shown = &t->shown[replica];

    if (!shown->any || shown->sequences != now->sequences)
        counter(t, replica, at_ns, "sequences in step", now->sequences);
    if (!shown->any || shown->waiting != now->waiting)
        counter(t, replica, at_ns, "waiting", now->waiting);
    if (!shown->any || shown->kv_blocks != now->kv_blocks)
        counter(t, replica, at_ns, "KV blocks used", now->kv_blocks);
    *shown = *now;
}

static void show_idle(struct timeline *t, int64_t replica)
{
    struct gauges idle = {.end_ns = t->shown[replica].end_ns, .any = true};

    show(t, replica, idle.end_ns, &idle);
}

enum step_column {
    STEP_TRACK,
    STEP_RANKS,
    STEP_REPLICA,
    STEP_START,
    STEP_END,
    STEP_DECODES,
    STEP_PREFILL,
    STEP_SEQUENCES,
    STEP_WAITING,
    STEP_KV,
    STEP_ARGS /* from here on they are shown only */
};

/* Of a rank's steps no more than pipeline_parallel are under way at once, and they end in order. */
static const char step_sql[] =
    "SELECT step %% data_parallel * pipeline_parallel + step / data_parallel %% pipeline_parallel,"
    " data_parallel, replica, start_ns, end_ns, decodes, prefill_tokens, sequences, waiting,"
    " kv_blocks_used, step, context_tokens, weights_s, compute_s, kv_s, attention_s, other_s,"
    " launch_s, comm_s, host_s FROM step AS s JOIN pool AS p ON p.run_id = s.run_id"
    " AND replica >= first_replica AND replica < first_replica + replicas"
    " WHERE s.run_id = %" PRId64 " AND start_ns < %" PRId64 " AND (end_ns > %" PRId64
    " OR start_ns >= %" PRId64 ") AND (%" PRId64 " < 0 OR replica = %" PRId64 ")"
    " ORDER BY s.rowid";

static void put_step(struct timeline *t, int columns, const char *const *names,
                     const char *const *v)
{
    int64_t start_ns = integer(v[STEP_START]), ns = integer(v[STEP_END]) - start_ns;
    bool decodes = integer(v[STEP_DECODES]) > 0, prefill = integer(v[STEP_PREFILL]) > 0;

    begin_event(t, "X", integer(v[STEP_REPLICA]), start_ns,
                prefill && decodes ? "mixed"
                : prefill          ? "prefill"
                                   : "decode");
    rt_emit(t->out,
            ",\"cat\":\"step\",\"tid\":%" PRId64 ",\"dur\":%" PRId64
            ".%03d,\"args\":{\"replica\":%s",
            ENGINE_TID + integer(v[STEP_TRACK]), ns / 1000, (int)(ns % 1000), v[STEP_REPLICA]);
    for (int i = STEP_DECODES; i < columns; i++)
        put_integer(t, names[i], v[i]);
    fputs("}}", t->out);
}

static bool step_row(void *user, int columns, const char *const *names, const char *const *v)
{
    struct timeline *t = user;
    int64_t replica = integer(v[STEP_REPLICA]), start_ns = integer(v[STEP_START]);
    struct gauges now = {.sequences = integer(v[STEP_SEQUENCES]),
                         .waiting = integer(v[STEP_WAITING]),
                         .kv_blocks = integer(v[STEP_KV]),
                         .end_ns = integer(v[STEP_END]),
                         .any = true};

    if (replica < 0 || replica >= t->replicas)
        return true; /* no row of ours */
    if (t->shown[replica].any && t->shown[replica].end_ns < start_ns)
        show_idle(t, replica);
    if (integer(v[STEP_RANKS]) == 1)
        show(t, replica, start_ns, &now);
    put_step(t, columns, names, v);
    t->count->steps++;
    return !ferror(t->out);
}

/* ---- requests ---- */

enum request_column {
    REQUEST_ID,
    REQUEST_REPLICA,
    REQUEST_STATUS,
    REQUEST_ARRIVAL,
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

/* What never finished ends with the run; a rejected request is an instant. */
static const char request_sql[] =
    "SELECT request_id, coalesce(replica, -1), status, arrival_ns, scheduled_ns, first_token_ns,"
    " end_ns, class, session_id, reason, prefilled_ns, kv_ready_ns, prompt_tokens, output_tokens,"
    " coalesce(produced_tokens, output_tokens) AS produced_tokens, cached_tokens, preemptions,"
    " preempted_ns FROM (SELECT *, CASE WHEN status = 'rejected' THEN arrival_ns"
    " ELSE max(coalesce(finish_ns, %" PRId64
    "), coalesce(first_token_ns, scheduled_ns, arrival_ns))"
    " END AS end_ns FROM request WHERE run_id = %" PRId64 " AND arrival_ns < %" PRId64 ")"
    " WHERE (end_ns > %" PRId64 " OR arrival_ns >= %" PRId64 ") AND (%" PRId64
    " < 0 OR replica = %" PRId64 ")";

static void phase(struct timeline *t, const char *const *v, const char *name, int64_t from_ns,
                  int64_t to_ns)
{
    for (int end = 0; end < 2; end++) {
        begin_event(t, end ? "e" : "b", integer(v[REQUEST_REPLICA]), end ? to_ns : from_ns, name);
        rt_emit(t->out, ",\"cat\":\"request\",\"id\":\"%s\"}", v[REQUEST_ID]);
    }
}

/* The requests' slices have one name, so that viewers show one track for all. */
static void begin_request(struct timeline *t, const char *ph, int columns, const char *const *names,
                          const char *const *v)
{
    begin_event(t, ph, integer(v[REQUEST_REPLICA]), integer(v[REQUEST_ARRIVAL]),
                strcmp(ph, "i") == 0 ? "rejected" : "request");
    rt_emit(t->out, ",\"cat\":\"request\",\"id\":\"%s\"%s,\"args\":{\"request_id\":%s",
            v[REQUEST_ID], strcmp(ph, "i") == 0 ? ",\"s\":\"p\"" : "", v[REQUEST_ID]);
    put_text(t, "status", v[REQUEST_STATUS]);
    put_text(t, "reason", v[REQUEST_REASON]);
    put_text(t, "class", v[REQUEST_CLASS]);
    put_text(t, "session_id", v[REQUEST_SESSION]);
    for (int i = REQUEST_ARGS; i < columns; i++)
        if (v[i])
            put_integer(t, names[i], v[i]);
    fputs("}}", t->out);
}

static bool request_row(void *user, int columns, const char *const *names, const char *const *v)
{
    struct timeline *t = user;
    int64_t arrival_ns = integer(v[REQUEST_ARRIVAL]), scheduled_ns = integer(v[REQUEST_SCHEDULED]);
    int64_t first_ns = integer(v[REQUEST_FIRST_TOKEN]), end_ns = integer(v[REQUEST_END]);

    t->count->requests++;
    if (strcmp(v[REQUEST_STATUS], "rejected") == 0) {
        begin_request(t, "i", columns, names, v);
        return !ferror(t->out);
    }
    begin_request(t, "b", columns, names, v);
    phase(t, v, "queue", arrival_ns, scheduled_ns == NONE ? end_ns : scheduled_ns);
    if (scheduled_ns != NONE)
        phase(t, v, "prefill", scheduled_ns, first_ns == NONE ? end_ns : first_ns);
    if (first_ns != NONE)
        phase(t, v, "decode", first_ns, end_ns);
    if (v[REQUEST_PREFILLED]) /* part of the one or the other, by who gives the first token */
        phase(t, v, "KV transfer", integer(v[REQUEST_PREFILLED]),
              v[REQUEST_KV_READY] ? integer(v[REQUEST_KV_READY]) : end_ns);
    begin_event(t, "e", integer(v[REQUEST_REPLICA]), end_ns, "request");
    rt_emit(t->out, ",\"cat\":\"request\",\"id\":\"%s\"}", v[REQUEST_ID]);
    return !ferror(t->out);
}

/* ---- samples ---- */

static const char sample_sql[] =
    "SELECT CAST(round(time_s * 1e9) AS INTEGER) AS time_ns, coalesce(replica, -1), running,"
    " waiting, kv_blocks_used AS \"KV blocks used\", in_flight AS \"in flight\" FROM sample"
    " WHERE run_id = %" PRId64 " AND time_ns >= %" PRId64 " AND time_ns < %" PRId64 " AND (%" PRId64
    " < 0 OR replica = %" PRId64 ") AND (replica IS NULL OR %d) ORDER BY 1";

static bool sample_row(void *user, int columns, const char *const *names, const char *const *v)
{
    struct timeline *t = user;

    for (int i = 2; i < columns; i++) {
        begin_event(t, "C", integer(v[1]), integer(v[0]), names[i]);
        rt_emit(t->out, ",\"args\":{\"value\":%s}}", v[i]);
    }
    t->count->samples++;
    return !ferror(t->out);
}

/* ---- all of it ---- */

static bool run_row(void *user, int columns, const char *const *names, const char *const *v)
{
    struct timeline *t = user;

    (void)columns;
    (void)names;
    t->count->steps_recorded = integer(v[0]) > 0;
    t->duration_ns = v[1] ? integer(v[1]) : 0;
    t->replicas = v[2] ? integer(v[2]) : 0;
    return true;
}

/* The run, and what it has; also fills t->count and *summary. */
static bool read_run(struct timeline *t, struct rt_db *db, struct rt_run_summary *summary,
                     struct rt_err *err)
{
    char sql[400];

    if (!rt_db_summary(db, t->what->run_id, summary, err))
        return false;
    *t->count = (struct rt_timeline_count){.run_id = summary->run_id};
    snprintf(sql, sizeof sql,
             "SELECT steps_recorded, CAST(round(duration_s * 1e9) AS INTEGER),"
             " (SELECT max(first_replica + replicas) FROM pool AS p WHERE p.run_id = r.run_id)"
             " FROM run AS r WHERE run_id = %" PRId64,
             summary->run_id);
    if (!rt_db_select(db, sql, run_row, t, err))
        return false;
    return t->what->replica < t->replicas ||
           rt_fail(err, RT_EUSAGE, "no replica %lld: run %lld has 0 to %lld",
                   (long long)t->what->replica, (long long)summary->run_id,
                   (long long)t->replicas - 1);
}

static bool put_processes(struct timeline *t, struct rt_db *db, struct rt_err *err)
{
    char sql[200];

    if (t->what->replica < 0)
        name_process(t, FLEET, NULL);
    snprintf(sql, sizeof sql,
             "SELECT pool, first_replica, replicas, pipeline_parallel, data_parallel FROM pool "
             "WHERE run_id = %" PRId64 " ORDER BY first_replica",
             t->count->run_id);
    return rt_db_select(db, sql, pool_row, t, err);
}

static bool put_steps(struct timeline *t, struct rt_db *db, struct rt_err *err)
{
    const struct rt_timeline *w = t->what;
    char sql[sizeof step_sql + 200];

    snprintf(sql, sizeof sql, step_sql, t->count->run_id, w->to_ns, w->from_ns, w->from_ns,
             w->replica, w->replica);
    if (!rt_db_select(db, sql, step_row, t, err))
        return false;
    for (int64_t i = 0; i < t->replicas; i++) /* the others run on behind the window */
        if (t->shown[i].any && t->shown[i].end_ns < w->to_ns)
            show_idle(t, i);
    return true;
}

static bool put_requests(struct timeline *t, struct rt_db *db, struct rt_err *err)
{
    const struct rt_timeline *w = t->what;
    char sql[sizeof request_sql + 200];

    snprintf(sql, sizeof sql, request_sql, t->duration_ns, t->count->run_id, w->to_ns, w->from_ns,
             w->from_ns, w->replica, w->replica);
    return rt_db_select(db, sql, request_row, t, err);
}

/* A replica's own samples matter only where its steps are not known. */
static bool put_samples(struct timeline *t, struct rt_db *db, struct rt_err *err)
{
    const struct rt_timeline *w = t->what;
    char sql[sizeof sample_sql + 200];

    snprintf(sql, sizeof sql, sample_sql, t->count->run_id, w->from_ns, w->to_ns, w->replica,
             w->replica, !t->count->steps_recorded);
    return rt_db_select(db, sql, sample_row, t, err);
}

static void begin_file(struct timeline *t, const struct rt_run_summary *s)
{
    fputs("{\"displayTimeUnit\":\"ms\",\"otherData\":{\"generator\":\"rooftrace\"", t->out);
    rt_emit(t->out, ",\"run_id\":%" PRId64, s->run_id);
    put_text(t, "model", s->model);
    put_text(t, "gpu", s->gpu);
    put_text(t, "trace", s->trace);
    put_text(t, "label", s->label);
    fputs("},\"traceEvents\":[", t->out);
}

bool rt_report_timeline_check(struct rt_db *db, const struct rt_timeline *what, struct rt_err *err)
{
    struct rt_timeline_count count;
    struct timeline t = {.what = what, .count = &count};
    struct rt_run_summary *summary = malloc(sizeof *summary);
    bool ok;

    if (!summary)
        return rt_fail_nomem(err, "a summary");
    ok = read_run(&t, db, summary, err);
    free(summary);
    return ok;
}

static bool put_all(struct timeline *t, struct rt_db *db, const struct rt_run_summary *summary,
                    struct rt_err *err)
{
    bool ok;

    t->shown = calloc((size_t)t->replicas + 1, sizeof t->shown[0]);
    if (!t->shown)
        return rt_fail_nomem(err, "a timeline");
    begin_file(t, summary);
    ok = put_processes(t, db, err) && put_samples(t, db, err) && put_steps(t, db, err) &&
         put_requests(t, db, err);
    fputs("\n]}\n", t->out);
    free(t->shown);
    if (ok && (fflush(t->out) != 0 || ferror(t->out)))
        return rt_fail(err, RT_EIO, "the timeline cannot be written");
    return ok;
}

bool rt_report_perfetto(struct rt_db *db, const struct rt_timeline *what, FILE *out,
                        struct rt_timeline_count *count, struct rt_err *err)
{
    struct timeline t = {.out = out, .what = what, .count = count, .first = true};
    struct rt_run_summary *summary = malloc(sizeof *summary);
    bool ok;

    if (!summary)
        return rt_fail_nomem(err, "a summary");
    ok = read_run(&t, db, summary, err) && put_all(&t, db, summary, err);
    free(summary);
    return ok;
}
