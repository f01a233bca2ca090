/* Shards into one database.
 *
 *     shards ──> all runs, sorted by run_id ──> table by table, run by run: rows copied
 *
 * A shard is read through one cursor a table, ordered by run_id; the list of runs says whose row
 * comes next, so each row is read once and written once. All writing is one transaction: a killed
 * merge leaves an empty file. O(rows), plus sorting where a table has no index on run_id. */
#include "results_internal.h"

#include "rooftrace/merge.h"
#include "rooftrace/query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct merged_run {
    int64_t id;
    unsigned shard;
};

struct merge {
    const char *const *paths;
    struct rt_db **shards;
    unsigned count;
    char plan_hash[RT_NAME_SIZE];
    struct merged_run *runs; /* sorted by id */
    size_t run_count, run_capacity;
    struct rt_merge_report *report;
};

/* ---- what the shards hold ---- */

static bool add_run(struct merge *m, int64_t id, unsigned shard)
{
    if (m->run_count == m->run_capacity) {
        size_t capacity = m->run_capacity > 0 ? 2 * m->run_capacity : 64;
        struct merged_run *runs = realloc(m->runs, capacity * sizeof runs[0]);
        if (!runs)
            return false;
        m->runs = runs;
        m->run_capacity = capacity;
    }
    m->runs[m->run_count++] = (struct merged_run){id, shard};
    return true;
}

static bool same_plan(struct merge *m, unsigned shard, const char *hash, int64_t trials,
                      struct rt_err *err)
{
    if (!hash || strlen(hash) >= sizeof m->plan_hash || trials < 1)
        return rt_fail(err, RT_EDB, "%s: holds runs that are not of a sweep", m->paths[shard]);
    if (m->plan_hash[0] == '\0') {
        memcpy(m->plan_hash, hash, strlen(hash) + 1);
        m->report->trials = trials;
    }
    return (strcmp(m->plan_hash, hash) == 0 && m->report->trials == trials) ||
           rt_fail(err, RT_EDB,
                   "%s: is of another plan than %s, or of another version of rooftrace",
                   m->paths[shard], m->paths[0]);
}

static bool read_run(struct merge *m, unsigned shard, sqlite3_stmt *row, struct rt_err *err)
{
    const char *hash = (const char *)sqlite3_column_text(row, 2);
    const char *status = (const char *)sqlite3_column_text(row, 1);
    int64_t id = sqlite3_column_int64(row, 0);
    bool failed = strcmp(status, rt_run_status_names[RT_RUN_FAILED]) == 0;

    if (!same_plan(m, shard, hash, sqlite3_column_int64(row, 3), err))
        return false;
    if (!failed && strcmp(status, rt_run_status_names[RT_RUN_COMPLETE]) != 0) {
        m->report->unfinished++;
        return true;
    }
    m->report->failed += failed;
    return add_run(m, id, shard) || rt_fail_nomem(err, "runs");
}

static bool read_runs(struct merge *m, unsigned shard, struct rt_err *err)
{
    sqlite3 *db = rt_db_handle(m->shards[shard]);
    sqlite3_stmt *row = NULL;
    bool ok = true;
    int rc = sqlite3_prepare_v2(db, "SELECT run_id, status, plan_hash, plan_trials FROM run", -1,
                                &row, NULL);

    while (rc == SQLITE_OK && ok && (rc = sqlite3_step(row)) == SQLITE_ROW) {
        ok = read_run(m, shard, row, err);
        rc = SQLITE_OK;
    }
    sqlite3_finalize(row);
    return ok && (rc == SQLITE_DONE || rt_sql_fail(db, m->paths[shard], "reading its runs", err));
}

static int by_id(const void *a, const void *b)
{
    const struct merged_run *x = a, *y = b;

    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return (x->shard > y->shard) - (x->shard < y->shard);
}

static bool check_runs(struct merge *m, struct rt_err *err)
{
    if (m->run_count == 0)
        return rt_fail(err, RT_EDB, "%s: no run that ended in %s", m->paths[0],
                       m->count > 1 ? "any of the shards" : "it");
    qsort(m->runs, m->run_count, sizeof m->runs[0], by_id);
    m->report->merged = (int64_t)m->run_count;
    for (size_t i = 1; i < m->run_count; i++)
        if (m->runs[i].id == m->runs[i - 1].id)
            return rt_fail(err, RT_EDB, "trial %lld is in %s and in %s", (long long)m->runs[i].id,
                           m->paths[m->runs[i - 1].shard], m->paths[m->runs[i].shard]);
    for (int64_t i = 0; i < m->report->trials && m->report->first_missing == 0; i++)
        if (i >= m->report->merged || m->runs[i].id != i + 1)
            m->report->first_missing = i + 1;
    return true;
}

static bool open_shards(struct merge *m, struct rt_err *err)
{
    for (unsigned i = 0; i < m->count; i++)
        if (!rt_db_open(m->paths[i], &m->shards[i], err) || !read_runs(m, i, err))
            return false;
    return check_runs(m, err);
}

/* ---- copying ---- */

struct cursor {
    sqlite3_stmt *rows; /* of one table of one shard, by run_id */
    bool has_row;
    int run_column;
};

static bool advance(const struct merge *m, unsigned shard, struct cursor *c, struct rt_err *err)
{
    int rc = sqlite3_step(c->rows);

    c->has_row = rc == SQLITE_ROW;
    return c->has_row || rc == SQLITE_DONE ||
           rt_sql_fail(rt_db_handle(m->shards[shard]), m->paths[shard], "reading rows", err);
}

static bool open_cursor(const struct merge *m, unsigned shard, const struct rt_run_table *table,
                        int columns, struct cursor *c, struct rt_err *err)
{
    sqlite3 *db = rt_db_handle(m->shards[shard]);
    char sql[192];

    snprintf(sql, sizeof sql, "SELECT * FROM \"%s\" ORDER BY run_id%s", table->name,
             table->without_rowid ? "" : ", rowid");
    if (sqlite3_prepare_v2(db, sql, -1, &c->rows, NULL) != SQLITE_OK ||
        sqlite3_column_count(c->rows) != columns)
        return rt_fail(err, RT_EDB, "%s: its table %s is of another build of rooftrace",
                       m->paths[shard], table->name);
    while (strcmp(sqlite3_column_name(c->rows, c->run_column), "run_id") != 0)
        c->run_column++;
    return advance(m, shard, c, err);
}

static bool copy_row(struct rt_insert *in, sqlite3_stmt *row, struct rt_err *err)
{
    int columns = sqlite3_column_count(row);

    for (int i = 0; i < columns && in->rc == SQLITE_OK; i++)
        in->rc = sqlite3_bind_value(in->statement, ++in->bound, sqlite3_column_value(row, i));
    return rt_insert_row(in, err);
}

/* Rows of runs that are left out are passed over. */
static bool copy_runs(const struct merge *m, struct cursor *cursors, struct rt_insert *in,
                      struct rt_err *err)
{
    for (size_t i = 0; i < m->run_count; i++) {
        const struct merged_run *run = &m->runs[i];
        struct cursor *c = &cursors[run->shard];
        while (c->has_row) {
            int64_t id = sqlite3_column_int64(c->rows, c->run_column);
            if (id > run->id)
                break;
            if (id == run->id && !copy_row(in, c->rows, err))
                return false;
            if (!advance(m, run->shard, c, err))
                return false;
        }
    }
    return true;
}

static bool copy_table(const struct merge *m, sqlite3 *db, const char *path,
                       const struct rt_run_table *table, struct rt_err *err)
{
    struct cursor *cursors = calloc(m->count, sizeof cursors[0]);
    struct rt_insert in = {0};

    if (cursors == NULL)
        return rt_fail_nomem(err, "shards");
    bool ok = rt_insert_table(&in, db, path, table->name, err);
    for (unsigned i = 0; ok && i < m->count; i++)
        ok = open_cursor(m, i, table, sqlite3_bind_parameter_count(in.statement), &cursors[i], err);
    ok = ok && copy_runs(m, cursors, &in, err);
    for (unsigned i = 0; i < m->count; i++)
        sqlite3_finalize(cursors[i].rows);
    rt_insert_release(&in);
    free(cursors);
    return ok;
}

static bool copy_all(const struct merge *m, sqlite3 *db, const char *path, struct rt_err *err)
{
    struct rt_run_tables tables;
    bool ok = rt_sql_exec(db, path,
                          "PRAGMA synchronous = OFF; PRAGMA cache_size = -8000; BEGIN IMMEDIATE",
                          "opening", err) &&
              rt_run_tables(db, path, &tables, err);

    for (unsigned i = 0; ok && i < tables.count; i++)
        ok = copy_table(m, db, path, &tables.tables[i], err);
    return ok && rt_sql_exec(db, path, "COMMIT", "writing", err);
}

/* ---- the whole ---- */

/* An empty database of ours; *existed: there was an empty file. */
static bool create(const char *out, bool *existed, struct rt_err *err)
{
    enum rt_dbfile kind;
    struct rt_store *store;

    if (!rt_dbfile_probe(out, &kind, err))
        return false;
    if (kind == RT_DBFILE_OURS)
        return rt_fail(err, RT_EDB, "%s: exists; merge writes a new file: choose another name",
                       out);
    *existed = kind == RT_DBFILE_EMPTY;
    if (!rt_store_open(out, &store, err))
        return false;
    rt_store_close(store);
    return true;
}

static bool write_out(const struct merge *m, const char *out, struct rt_err *err)
{
    sqlite3 *db = NULL;
    bool existed = false, ok;

    if (!create(out, &existed, err))
        return false;
    ok = rt_dbfile_open(out, SQLITE_OPEN_READWRITE, &db, err) && copy_all(m, db, out, err);
    sqlite3_close(db); /* rolls back what failed */
    if (!ok && (existed ? truncate(out, 0) : unlink(out)) != 0)
        rt_fail_in(err, "%s cannot be taken away again (%s)", out, strerror(errno));
    return ok;
}

bool rt_merge(const char *out, const char *const *shards, unsigned count,
              struct rt_merge_report *report, struct rt_err *err)
{
    struct merge m = {.paths = shards, .count = count, .report = report};
    bool ok;

    *report = (struct rt_merge_report){0};
    if (count < 1 || count > RT_MERGE_MAX_SHARDS)
        return rt_fail(
            err, RT_EUSAGE,
            "%u shards: expected 1 to %d at once; merge them in groups, then the results", count,
            RT_MERGE_MAX_SHARDS);
    m.shards = (struct rt_db **)calloc(count, sizeof m.shards[0]);
    ok = m.shards ? open_shards(&m, err) && write_out(&m, out, err) : rt_fail_nomem(err, "shards");
    for (unsigned i = 0; m.shards && i < count; i++)
        rt_db_close(m.shards[i]);
    free((void *)m.shards);
    free(m.runs);
    return ok;
}
