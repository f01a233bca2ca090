/* Reading a database back.
 *
 * A connection is read-only. A run that was killed in the middle of a transaction leaves a journal
 * that must be rolled back before anything can be read, which a read-only connection may not do;
 * then a writing connection does it first. `rt_db_select` runs SQL somebody typed: an authorizer
 * refuses everything but reading tables (no ATTACH, no PRAGMA that changes something, no
 * extension). */
#include "results_internal.h"

#include "rooftrace/query.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 5000 /* a run that is being written commits every second */

struct rt_db {
    sqlite3 *db;
    char *path;
};

/* 0: cannot be read before its journal is rolled back. */
static int readable(sqlite3 *db)
{
    int rc = sqlite3_exec(db, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);

    return rc != SQLITE_READONLY && rc != SQLITE_CANTOPEN;
}

/* Opens for writing, which rolls the journal back, and closes again. */
static bool recover(const char *path, struct rt_err *err)
{
    sqlite3 *db;
    bool ok;

    if (!rt_dbfile_open(path, SQLITE_OPEN_READWRITE, &db, err))
        return false;
    sqlite3_busy_timeout(db, PATIENCE_MS);
    ok = rt_sql_exec(db, path, "SELECT count(*) FROM sqlite_master",
                     "finishing what a killed run left", err);
    sqlite3_close(db);
    return ok;
}

static bool open_readable(const char *path, sqlite3 **db, struct rt_err *err)
{
    if (!rt_dbfile_open(path, SQLITE_OPEN_READONLY, db, err))
        return false;
    sqlite3_busy_timeout(*db, PATIENCE_MS);
    if (readable(*db))
        return true;
    sqlite3_close(*db);
    *db = NULL;
    if (!recover(path, err) || !rt_dbfile_open(path, SQLITE_OPEN_READONLY, db, err))
        return false;
    sqlite3_busy_timeout(*db, PATIENCE_MS);
    return true;
}

bool rt_db_open(const char *path, struct rt_db **out, struct rt_err *err)
{
    enum rt_dbfile kind;
    struct rt_db *d;
    bool empty = false, ok;

    *out = NULL;
    if (!rt_dbfile_probe(path, &kind, err))
        return false;
    if (kind == RT_DBFILE_MISSING)
        return rt_fail(err, RT_EDB, "%s: no such file", path);
    if (kind == RT_DBFILE_EMPTY)
        return rt_fail(err, RT_EDB, "%s: is empty: no run was written to it", path);
    d = calloc(1, sizeof *d);
    if (!d)
        return rt_fail_nomem(err, "database");
    d->path = strdup(path);
    ok = d->path || rt_fail_nomem(err, "database");
    ok = ok && open_readable(path, &d->db, err) && rt_dbfile_verify(d->db, path, &empty, err);
    if (ok && empty)
        ok = rt_fail(err, RT_EDB, "%s: is empty: no run was written to it", path);
    if (ok)
        *out = d;
    else
        rt_db_close(d);
    return ok;
}

void rt_db_close(struct rt_db *d)
{
    if (!d)
        return;
    sqlite3_close(d->db);
    free(d->path);
    free(d);
}

sqlite3 *rt_db_handle(struct rt_db *d)
{
    return d->db;
}

/* ---- the summary ---- */

/* Columns of a row, read one after the other. */
struct reader {
    sqlite3_stmt *statement;
    int next;
};

/* Cuts at a border of UTF-8 characters and ends in "..." when the text is too long. */
static void read_text(struct reader *r, char *out, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(r->statement, r->next++);
    size_t length = text ? strlen(text) : 0;
    size_t end = size - sizeof "...";

    if (length < size) {
        memcpy(out, text ? text : "", length + 1);
        return;
    }
    while (end > 0 && ((unsigned char)text[end] & 0xC0u) == 0x80u)
        end--;
    memcpy(out, text, end);
    memcpy(out + end, "...", sizeof "...");
}

static int64_t read_int(struct reader *r)
{
    int column = r->next++;
    bool null = sqlite3_column_type(r->statement, column) == SQLITE_NULL;

    return null ? -1 : sqlite3_column_int64(r->statement, column);
}

static double read_real(struct reader *r)
{
    int column = r->next++;
    bool null = sqlite3_column_type(r->statement, column) == SQLITE_NULL;

    return null ? (double)NAN : sqlite3_column_double(r->statement, column);
}

static void read_metric(struct reader *r, struct rt_summary_metric *m)
{
    m->mean = read_real(r);
    m->median = read_real(r);
    m->std = read_real(r);
    m->p90 = read_real(r);
    m->p95 = read_real(r);
    m->p99 = read_real(r);
    m->p999 = read_real(r);
    m->max = read_real(r);
}

#define METRIC(name)                                                                               \
    "s.mean_" name "_ms, s.median_" name "_ms, s.std_" name "_ms, s.p90_" name "_ms, s.p95_" name  \
    "_ms, s.p99_" name "_ms, s.p999_" name "_ms, s.max_" name "_ms"

static const char summary_sql[] =
    "SELECT s.run_id, s.status, s.message, s.trace, s.label, s.model, s.gpu, s.gpus, s.replicas,"
    " s.duration, s.wall_s, s.requests, s.completed, s.failed, s.rejected, s.timed_out,"
    " s.cancelled, s.unfinished,"
    " s.total_input_tokens, s.total_output_tokens, s.cached_tokens, s.request_throughput,"
    " s.request_goodput, s.output_throughput, s.total_token_throughput, s.max_output_tokens_per_s,"
    " s.max_concurrent_requests, s.preemptions, r.steps, r.rows_read, r.zero_prompt, r.zero_output,"
    " r.unsorted, (SELECT sum(p.replicas * p.kv_blocks) FROM pool AS p WHERE p.run_id = "
    "s.run_id), r.stalled_requests, r.stalled_preemptions, m.gpu_hours, m.cost_usd,"
    " m.cost_low_usd, m.cost_high_usd, m.usd_per_million_output_tokens,"
    " m.usd_per_million_prompt_tokens, m.usd_per_million_tokens, m.energy_kwh, m.gco2,"
    " r.lost_requests, r.retries, (SELECT count(*) FROM scaling_event AS v WHERE v.run_id ="
    " s.run_id AND v.why <> 'begin'),"
    " (SELECT CASE WHEN count(*) > 0 THEN count(c.ok) END FROM self_check AS c WHERE c.run_id ="
    " s.run_id), (SELECT sum(c.ok = 0) FROM self_check AS c WHERE c.run_id = s.run_id),"
    " " METRIC("ttft") ", " METRIC("tpot") ", " METRIC("itl") ", " METRIC(
        "e2el") " FROM summary AS s JOIN run AS r ON r.run_id = s.run_id"
                " LEFT JOIN spend AS m ON m.run_id = s.run_id"
                " WHERE s.run_id = CASE WHEN ?1 > 0 THEN ?1 ELSE (SELECT max(run_id) FROM run) END";

static void read_money(struct reader *r, struct rt_run_summary *out)
{
    out->gpu_hours = read_real(r);
    out->cost_usd = read_real(r);
    out->cost_low_usd = read_real(r);
    out->cost_high_usd = read_real(r);
    out->usd_per_million_output_tokens = read_real(r);
    out->usd_per_million_prompt_tokens = read_real(r);
    out->usd_per_million_tokens = read_real(r);
    out->energy_kwh = read_real(r);
    out->gco2 = read_real(r);
}

static void read_summary(struct reader *r, struct rt_run_summary *out)
{
    out->run_id = read_int(r);
    read_text(r, out->status, sizeof out->status);
    read_text(r, out->message, sizeof out->message);
    read_text(r, out->trace, sizeof out->trace);
    read_text(r, out->label, sizeof out->label);
    read_text(r, out->model, sizeof out->model);
    read_text(r, out->gpu, sizeof out->gpu);
    out->gpus = read_int(r);
    out->replicas = read_int(r);
    out->duration_s = read_real(r);
    out->wall_s = read_real(r);
    out->requests = read_int(r);
    out->completed = read_int(r);
    out->failed = read_int(r);
    out->rejected = read_int(r);
    out->timed_out = read_int(r);
    out->cancelled = read_int(r);
    out->unfinished = read_int(r);
    out->input_tokens = read_int(r);
    out->output_tokens = read_int(r);
    out->cached_tokens = read_int(r);
    out->request_throughput = read_real(r);
    out->request_goodput = read_real(r);
    out->output_throughput = read_real(r);
    out->total_throughput = read_real(r);
    out->peak_output_tokens_per_s = read_real(r);
    out->peak_in_flight = read_int(r);
    out->preemptions = read_int(r);
    out->steps = read_int(r);
    out->rows_read = read_int(r);
    out->zero_prompt = read_int(r);
    out->zero_output = read_int(r);
    out->unsorted = read_int(r);
    out->kv_blocks = read_int(r);
    out->stalled_requests = read_int(r);
    out->stalled_preemptions = read_int(r);
    read_money(r, out);
    out->lost_requests = read_int(r);
    out->retries = read_int(r);
    out->fleet_changes = read_int(r);
    out->checks = read_int(r);
    out->checks_failed = read_int(r);
    read_metric(r, &out->ttft);
    read_metric(r, &out->tpot);
    read_metric(r, &out->itl);
    read_metric(r, &out->e2e);
}

/* Fills *err: there is no such run. */
static bool no_run(struct rt_db *d, int64_t run_id, struct rt_err *err)
{
    int64_t runs = 0, last = 0;

    if (!rt_sql_int(d->db, d->path, "SELECT count(*) FROM run", &runs, err) ||
        !rt_sql_int(d->db, d->path, "SELECT coalesce(max(run_id), 0) FROM run", &last, err))
        return false;
    if (runs == 0)
        return rt_fail(err, RT_EDB, "%s: holds no run", d->path);
    return rt_fail(err, RT_EUSAGE, "%s: no run %lld: it holds %lld, the latest is %lld", d->path,
                   (long long)run_id, (long long)runs, (long long)last);
}

bool rt_db_summary(struct rt_db *d, int64_t run_id, struct rt_run_summary *out, struct rt_err *err)
{
    struct reader r = {NULL, 0};
    bool ok = false;
    int rc = sqlite3_prepare_v2(d->db, summary_sql, -1, &r.statement, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(r.statement, 1, run_id);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(r.statement);
    if (rc == SQLITE_ROW) {
        read_summary(&r, out);
        ok = true;
    } else if (rc == SQLITE_DONE) {
        no_run(d, run_id, err);
    } else {
        rt_sql_fail(d->db, d->path, "reading the summary", err);
    }
    sqlite3_finalize(r.statement);
    return ok;
}

/* ---- SQL somebody typed ---- */

static int only_reading(void *user, int action, const char *a, const char *b, const char *database,
                        const char *trigger)
{
    (void)user;
    (void)b;
    (void)database;
    (void)trigger;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_READ:
    case SQLITE_FUNCTION:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_PRAGMA: /* as functions in a SELECT: which tables and columns there are */
        return strcmp(a, "table_info") == 0 || strcmp(a, "table_list") == 0 ||
                       strcmp(a, "table_xinfo") == 0
                   ? SQLITE_OK
                   : SQLITE_DENY;
    case SQLITE_UPDATE: /* SQLite's own, when it meets a table-valued function such as json_each;
                           typed by hand it fails: this table may not be modified */
        return strcmp(a, "sqlite_master") == 0 ? SQLITE_OK : SQLITE_DENY;
    default:
        return SQLITE_DENY;
    }
}

/* The first statement of *sql, which has to be one that reads; *sql moves on behind it. */
static bool prepare_select(struct rt_db *d, const char **sql, sqlite3_stmt **statement,
                           struct rt_err *err)
{
    const char *text = *sql;
    int rc;

    do /* a comment or a semicolon alone is none */
        rc = sqlite3_prepare_v2(d->db, *sql, -1, statement, sql);
    while (rc == SQLITE_OK && !*statement && **sql != '\0');
    if (rc == SQLITE_AUTH)
        return rt_fail(err, RT_EUSAGE, "only SELECT is allowed: %s", sqlite3_errmsg(d->db));
    if (rc == SQLITE_ERROR)
        return rt_fail(err, RT_EUSAGE, "SQL: %s", sqlite3_errmsg(d->db));
    if (rc != SQLITE_OK)
        return rt_sql_fail(d->db, d->path, "reading", err);
    if (!*statement)
        return rt_fail(err, RT_EUSAGE, "SQL: there is no statement in \"%s\"", text);
    if (sqlite3_column_count(*statement) == 0) /* VACUUM INTO asks the authorizer too late */
        return rt_fail(err, RT_EUSAGE, "only SELECT is allowed: this statement gives no rows");
    return true;
}

/* Whether nothing but blanks, comments and semicolons follows. */
static bool is_last(struct rt_db *d, const char *sql)
{
    sqlite3_stmt *next = NULL;
    int rc = SQLITE_OK;

    while (rc == SQLITE_OK && !next && *sql != '\0')
        rc = sqlite3_prepare_v2(d->db, sql, -1, &next, &sql);
    sqlite3_finalize(next);
    return rc == SQLITE_OK && !next;
}

static bool each_row(struct rt_db *d, sqlite3_stmt *statement, rt_db_row_fn *row, void *user,
                     struct rt_err *err)
{
    int columns = sqlite3_column_count(statement);
    const char **texts = (const char **)calloc(2 * (size_t)columns + 1, sizeof texts[0]);
    const char **names = texts, **values = texts + columns;
    int rc;

    if (!texts)
        return rt_fail_nomem(err, "a row");
    for (int i = 0; i < columns; i++)
        names[i] = sqlite3_column_name(statement, i);
    while ((rc = sqlite3_step(statement)) == SQLITE_ROW) {
        for (int i = 0; i < columns; i++)
            values[i] = (const char *)sqlite3_column_text(statement, i);
        if (!row(user, columns, names, values)) {
            rc = SQLITE_DONE;
            break;
        }
    }
    free((void *)texts);
    if (rc == SQLITE_ERROR) /* found while running: an overflow, a function that is refused, ... */
        return rt_fail(err, RT_EUSAGE, "SQL: %s", sqlite3_errmsg(d->db));
    return rc == SQLITE_DONE || rt_sql_fail(d->db, d->path, "reading", err);
}

static bool select_one(struct rt_db *d, const char **sql, bool alone, rt_db_row_fn *row, void *user,
                       struct rt_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool ok;

    sqlite3_set_authorizer(d->db, only_reading, NULL);
    ok = prepare_select(d, sql, &statement, err);
    if (ok && is_last(d, *sql))
        *sql = "";
    if (ok && alone && **sql != '\0')
        ok = rt_fail(err, RT_EUSAGE, "SQL: one statement at a time, not also \"%s\"", *sql);
    ok = ok && each_row(d, statement, row, user, err);
    sqlite3_finalize(statement);
    sqlite3_set_authorizer(d->db, NULL, NULL);
    return ok;
}

bool rt_db_select(struct rt_db *d, const char *sql, rt_db_row_fn *row, void *user,
                  struct rt_err *err)
{
    return select_one(d, &sql, true, row, user, err);
}

bool rt_db_select_first(struct rt_db *d, const char **sql, rt_db_row_fn *row, void *user,
                        struct rt_err *err)
{
    return select_one(d, sql, false, row, user, err);
}
