/* A run as a timeline: trace-event JSON ("Trace Event Format", Google: events in an array within an
 * object), which ui.perfetto.dev and chrome://tracing open.
 *
 *     process "fleet"       counters from samples; requests that reached no replica, and the time
 *                           that others waited for one
 *     process "replica i"   thread "engine": a slice a step, named prefill, decode or mixed;
 *                           with a pipeline a thread for each batch under way, since steps
 *                           overlap, and for each data parallel rank its own
 *                           counters at the start of each step: sequences in it, requests that
 *                           wait, KV blocks; 0 while the engine has nothing to do; none with ranks
 *                           an async slice a request, and within it queue, prefill and decode
 *                           thread "state", where replicas come and go: starting, ready, draining,
 *                           down; a replica that was not there in the window has no process
 *
 * Steps come from table `step` when the run recorded them. A row is printed when it is read, so
 * events are not in order of time: viewers sort them. Times are microseconds with three decimals,
 * hence exact. Cost: one pass over the rows of a few tables. Failure: the stream, told at the end;
 * reading stops at once. */
#include "perfetto_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ENGINE_TID INT64_C(1)

int64_t timeline_integer(const char *text)
{
    return text ? strtoll(text, NULL, 10) : NONE;
}

void timeline_event(struct timeline *t, const char *phase, int64_t replica, int64_t at_ns,
                    const char *name)
{
    fputs(t->first ? "\n" : ",\n", t->out);
    t->first = false;
    rt_emit(t->out, "{\"ph\":\"%s\",\"pid\":%" PRId64 ",\"ts\":%" PRId64 ".%03d,\"name\":\"%s\"",
            phase, replica + 2, at_ns / 1000, (int)(at_ns % 1000), name);
}

void timeline_number(struct timeline *t, const char *name, const char *value)
{
    rt_emit(t->out, ",\"%s\":%s", name, value ? value : "null");
}

void timeline_text(struct timeline *t, const char *name, const char *value)
{
    if (!value || value[0] == '\0')
        return;
    rt_emit(t->out, ",\"%s\":", name);
    rt_emit_text(t->out, value);
}

bool timeline_overlaps(const struct timeline *t, int64_t from_ns, int64_t to_ns)
{
    const struct rt_timeline *w = t->what;
    return from_ns < w->to_ns && (to_ns > w->from_ns || from_ns >= w->from_ns);
}

/* ---- replicas that come and go ---- */

enum state_column { STATE_REPLICA, STATE_NAME, STATE_WHY, STATE_FROM, STATE_TO, STATE_TRACK };

/* A state lasts until the replica's next event, the last one until the run's end. */
static const char state_sql[] =
    "SELECT replica, to_state, why, CAST(round(time_s * 1e9) AS INTEGER), coalesce(CAST(round("
    "lead(time_s) OVER (PARTITION BY replica ORDER BY e.rowid) * 1e9) AS INTEGER), %" PRId64 "),"
    " p.pipeline_parallel * p.data_parallel"
    " FROM scaling_event AS e JOIN pool AS p ON p.run_id = e.run_id AND p.pool = e.pool"
    " WHERE e.run_id = %" PRId64 " ORDER BY replica, e.rowid";

static bool add_ready(struct timeline *t, int64_t replica, int64_t ready_ns)
{
    if (t->ready_count == t->ready_capacity) {
        size_t capacity = t->ready_capacity ? 2 * t->ready_capacity : 64;
        struct life *readies = realloc(t->readies, capacity * sizeof readies[0]);
        if (!readies)
            return false;
        t->readies = readies;
        t->ready_capacity = capacity;
    }
    t->readies[t->ready_count++] = (struct life){replica, ready_ns};
    return true;
}

static void put_state(struct timeline *t, const char *const *v, int64_t from_ns, int64_t ns)
{
    timeline_event(t, "X", timeline_integer(v[STATE_REPLICA]), from_ns, v[STATE_NAME]);
    rt_emit(t->out, ",\"cat\":\"state\",\"tid\":%" PRId64 ",\"dur\":%" PRId64 ".%03d,\"args\":{",
            ENGINE_TID + timeline_integer(v[STATE_TRACK]), ns / 1000, (int)(ns % 1000));
    rt_emit(t->out, "\"replica\":%s", v[STATE_REPLICA]);
    timeline_text(t, "why", v[STATE_WHY]);
    fputs("}}", t->out);
}

static bool state_row(void *user, int columns, const char *const *names, const char *const *v)
{
    struct timeline *t = user;
    int64_t replica = timeline_integer(v[STATE_REPLICA]);
    int64_t from_ns = timeline_integer(v[STATE_FROM]), to_ns = timeline_integer(v[STATE_TO]);

    (void)columns;
    (void)names;
    if (replica < 0 || replica >= t->replicas)
        return true; /* no row of ours */
    if (strcmp(v[STATE_NAME], "ready") == 0 && !add_ready(t, replica, from_ns)) {
        t->out_of_memory = true;
        return false;
    }
    if (strcmp(v[STATE_NAME], "off") == 0 || from_ns == to_ns ||
        !timeline_overlaps(t, from_ns, to_ns) ||
        (t->what->replica >= 0 && t->what->replica != replica))
        return true;
    t->lives[replica] = true;
    put_state(t, v, from_ns, to_ns - from_ns);
    return !ferror(t->out);
}

static bool put_states(struct timeline *t, struct rt_db *db, struct rt_err *err)
{
    char sql[sizeof state_sql + 60];

    snprintf(sql, sizeof sql, state_sql, t->duration_ns, t->count->run_id);
    return rt_db_select(db, sql, state_row, t, err) &&
           (!t->out_of_memory || rt_fail_nomem(err, "a timeline"));
}

/* ---- processes ---- */

static void name_thread(struct timeline *t, int64_t replica, int64_t track, const char *name)
{
    timeline_event(t, "M", replica, 0, "thread_name");
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
    timeline_event(t, "M", replica, 0, "process_name");
    if (replica == FLEET)
        fputs(",\"args\":{\"name\":\"fleet\"}}", t->out);
    else
        rt_emit(t->out, ",\"args\":{\"name\":\"replica %" PRId64 "\"}}", replica);
    timeline_event(t, "M", replica, 0, "process_sort_index");
    rt_emit(t->out, ",\"args\":{\"sort_index\":%" PRId64 "}}", replica + 2);
    if (!pool)
        return;
    timeline_event(t, "M", replica, 0, "process_labels");
    fputs(",\"args\":{\"labels\":", t->out);
    rt_emit_text(t->out, pool);
    fputs("}}", t->out);
}

/* pool, first_replica, replicas, pipeline_parallel, data_parallel, whether they come and go */
static bool pool_row(void *user, int columns, const char *const *names, const char *const *v)
{
    struct timeline *t = user;
    int64_t first = timeline_integer(v[1]), end = first + timeline_integer(v[2]);

    (void)columns;
    (void)names;
    bool changes = timeline_integer(v[5]) > 0;
    for (int64_t i = first; i < end; i++) {
        if ((t->what->replica >= 0 && t->what->replica != i) || (changes && !t->lives[i]))
            continue;
        name_process(t, i, v[0]);
        name_threads(t, i, timeline_integer(v[3]), timeline_integer(v[4]));
        if (changes)
            name_thread(t, i, timeline_integer(v[3]) * timeline_integer(v[4]), "state");
    }
    return !ferror(t->out);
}

/* ---- steps ---- */

static void counter(struct timeline *t, int64_t replica, int64_t at_ns, const char *name,
                    int64_t value)
{
    timeline_event(t, "C", replica, at_ns, name);
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
    int64_t start_ns = timeline_integer(v[STEP_START]),
            ns = timeline_integer(v[STEP_END]) - start_ns;
    bool decodes = timeline_integer(v[STEP_DECODES]) > 0,
         prefill = timeline_integer(v[STEP_PREFILL]) > 0;

    timeline_event(t, "X", timeline_integer(v[STEP_REPLICA]), start_ns,
                   prefill && decodes ? "mixed"
                   : prefill          ? "prefill"
                                      : "decode");
    rt_emit(
        t->out,
        ",\"cat\":\"step\",\"tid\":%" PRId64 ",\"dur\":%" PRId64 ".%03d,\"args\":{\"replica\":%s",
        ENGINE_TID + timeline_integer(v[STEP_TRACK]), ns / 1000, (int)(ns % 1000), v[STEP_REPLICA]);
    for (int i = STEP_DECODES; i < columns; i++)
        timeline_number(t, names[i], v[i]);
    fputs("}}", t->out);
}

static bool step_row(void *user, int columns, const char *const *names, const char *const *v)
{
    struct timeline *t = user;
    int64_t replica = timeline_integer(v[STEP_REPLICA]), start_ns = timeline_integer(v[STEP_START]);
    struct gauges now = {.sequences = timeline_integer(v[STEP_SEQUENCES]),
                         .waiting = timeline_integer(v[STEP_WAITING]),
                         .kv_blocks = timeline_integer(v[STEP_KV]),
                         .end_ns = timeline_integer(v[STEP_END]),
                         .any = true};

    if (replica < 0 || replica >= t->replicas)
        return true; /* no row of ours */
    if (t->shown[replica].any && t->shown[replica].end_ns < start_ns)
        show_idle(t, replica);
    if (timeline_integer(v[STEP_RANKS]) == 1)
        show(t, replica, start_ns, &now);
    put_step(t, columns, names, v);
    t->count->steps++;
    return !ferror(t->out);
}

/* ---- samples ---- */

static const char sample_sql[] =
    "SELECT CAST(round(time_s * 1e9) AS INTEGER) AS time_ns, running,"
    " waiting, kv_blocks_used AS \"KV blocks used\", in_flight AS \"in flight\" FROM sample"
    " WHERE run_id = %" PRId64 " AND pool IS NULL AND time_ns >= %" PRId64 " AND time_ns < %" PRId64
    " ORDER BY 1";

static bool sample_row(void *user, int columns, const char *const *names, const char *const *v)
{
    struct timeline *t = user;

    for (int i = 1; i < columns; i++) {
        timeline_event(t, "C", FLEET, timeline_integer(v[0]), names[i]);
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
    t->count->steps_recorded = timeline_integer(v[0]) > 0;
    t->duration_ns = v[1] ? timeline_integer(v[1]) : 0;
    t->replicas = v[2] ? timeline_integer(v[2]) : 0;
    t->has_retries = timeline_integer(v[3]) > 0;
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
             " (SELECT max(first_replica + replicas) FROM pool AS p WHERE p.run_id = r.run_id),"
             " EXISTS (SELECT 1 FROM request_retry AS t WHERE t.run_id = r.run_id)"
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
    char sql[300];

    if (t->what->replica < 0)
        name_process(t, FLEET, NULL);
    snprintf(sql, sizeof sql,
             "SELECT pool, first_replica, replicas, pipeline_parallel, data_parallel,"
             " EXISTS (SELECT 1 FROM scaling_event AS e WHERE e.run_id = p.run_id"
             " AND e.pool = p.pool) FROM pool AS p WHERE run_id = %" PRId64
             " ORDER BY first_replica",
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

static bool put_samples(struct timeline *t, struct rt_db *db, struct rt_err *err)
{
    const struct rt_timeline *w = t->what;
    char sql[sizeof sample_sql + 60];

    if (w->replica >= 0)
        return true;
    snprintf(sql, sizeof sql, sample_sql, t->count->run_id, w->from_ns, w->to_ns);
    return rt_db_select(db, sql, sample_row, t, err);
}

static void begin_file(struct timeline *t, const struct rt_run_summary *s)
{
    fputs("{\"displayTimeUnit\":\"ms\",\"otherData\":{\"generator\":\"rooftrace\"", t->out);
    rt_emit(t->out, ",\"run_id\":%" PRId64, s->run_id);
    timeline_text(t, "model", s->model);
    timeline_text(t, "gpu", s->gpu);
    timeline_text(t, "trace", s->trace);
    timeline_text(t, "label", s->label);
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
    t->lives = calloc((size_t)t->replicas + 1, sizeof t->lives[0]);
    ok = (t->shown && t->lives) || rt_fail_nomem(err, "a timeline");
    begin_file(t, summary);
    ok = ok && put_states(t, db, err) && put_processes(t, db, err) && put_samples(t, db, err) &&
         put_steps(t, db, err) && timeline_requests(t, db, err);
    fputs("\n]}\n", t->out);
    free(t->shown);
    free(t->lives);
    free(t->readies);
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
