/* Helpers around SQLite: one place turns its result codes into messages that say what to do, and
 * rows are bound parameter by parameter in the order of the columns. */
#include "results_internal.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

bool rt_sql_fail(sqlite3 *db, const char *path, const char *what, struct rt_err *err)
{
    int rc = sqlite3_extended_errcode(db);
    int system_error = sqlite3_system_errno(db);
    const char *reason = system_error ? strerror(system_error) : sqlite3_errmsg(db);

    switch (rc & 0xff) {
    case SQLITE_NOMEM:
        return rt_fail_nomem(err, what);
    case SQLITE_FULL:
        return rt_fail(err, RT_EDB, "%s: %s: the disk is full; what was committed before is kept",
                       path, what);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return rt_fail(err, RT_EDB,
                       "%s: %s: locked by another process; wait for it or choose another file",
                       path, what);
    case SQLITE_READONLY:
    case SQLITE_PERM:
        return rt_fail(err, RT_EDB, "%s: %s: not writable; choose another file", path, what);
    case SQLITE_CANTOPEN:
        return rt_fail(err, RT_EDB, "%s: %s: cannot be opened: %s", path, what, reason);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return rt_fail(err, RT_EDB, "%s: %s: the file is damaged (%s); choose another file", path,
                       what, sqlite3_errmsg(db));
    case SQLITE_IOERR:
        return rt_fail(err, RT_EDB, "%s: %s: input or output failed: %s", path, what, reason);
    default:
        return rt_fail(err, RT_EDB, "%s: %s: %s", path, what, sqlite3_errmsg(db));
    }
}

bool rt_sql_exec(sqlite3 *db, const char *path, const char *sql, const char *what,
                 struct rt_err *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK || rt_sql_fail(db, path, what, err);
}

bool rt_sql_int(sqlite3 *db, const char *path, const char *sql, int64_t *out, struct rt_err *err)
{
    sqlite3_stmt *statement = NULL;
    bool ok = sqlite3_prepare_v2(db, sql, -1, &statement, NULL) == SQLITE_OK &&
              sqlite3_step(statement) == SQLITE_ROW;

    if (ok)
        *out = sqlite3_column_int64(statement, 0);
    else
        rt_sql_fail(db, path, "reading", err);
    sqlite3_finalize(statement);
    return ok;
}

bool rt_insert_prepare(struct rt_insert *in, sqlite3 *db, const char *path, const char *sql,
                       struct rt_err *err)
{
    *in = (struct rt_insert){.db = db, .path = path};
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &in->statement, NULL) ==
               SQLITE_OK ||
           rt_sql_fail(db, path, "preparing to write", err);
}

bool rt_insert_table(struct rt_insert *in, sqlite3 *db, const char *path, const char *table,
                     struct rt_err *err)
{
    char sql[512];
    char question_marks[256] = "?";
    int64_t columns = 0;

    *in = (struct rt_insert){0}; /* so that it can be released */
    snprintf(sql, sizeof sql, "SELECT count(*) FROM pragma_table_info('%s')", table);
    if (!rt_sql_int(db, path, sql, &columns, err))
        return false;
    assert(columns > 0 && 2 * columns < (int64_t)sizeof question_marks);
    for (size_t i = 1; i < (size_t)columns; i++)
        memcpy(question_marks + 2 * i - 1, ",?", 3);
    snprintf(sql, sizeof sql, "INSERT INTO %s VALUES (%s)", table, question_marks);
    return rt_insert_prepare(in, db, path, sql, err);
}

void rt_insert_release(struct rt_insert *in)
{
    sqlite3_finalize(in->statement);
    in->statement = NULL;
}

static void keep(struct rt_insert *in, int rc)
{
    if (in->rc == SQLITE_OK)
        in->rc = rc;
}

void rt_put_int(struct rt_insert *in, int64_t value)
{
    keep(in, sqlite3_bind_int64(in->statement, ++in->bound, value));
}

void rt_put_count(struct rt_insert *in, uint64_t value)
{
    assert(value <= INT64_MAX);
    rt_put_int(in, (int64_t)value);
}

void rt_put_real(struct rt_insert *in, double value)
{
    if (isfinite(value))
        keep(in, sqlite3_bind_double(in->statement, ++in->bound, value));
    else
        rt_put_null(in);
}

void rt_put_time(struct rt_insert *in, int64_t time_ns)
{
    if (time_ns != RT_NEVER)
        rt_put_int(in, time_ns);
    else
        rt_put_null(in);
}

void rt_put_text(struct rt_insert *in, const char *text)
{
    keep(in, sqlite3_bind_text(in->statement, ++in->bound, text, -1, SQLITE_STATIC));
}

void rt_put_null(struct rt_insert *in)
{
    keep(in, sqlite3_bind_null(in->statement, ++in->bound));
}

bool rt_insert_row(struct rt_insert *in, struct rt_err *err)
{
    bool ok = in->rc == SQLITE_OK;

    assert(in->bound == sqlite3_bind_parameter_count(in->statement));
    ok = ok && sqlite3_step(in->statement) == SQLITE_DONE;
    if (!ok)
        rt_sql_fail(in->db, in->path, "writing", err);
    sqlite3_reset(in->statement);
    in->bound = 0;
    in->rc = SQLITE_OK;
    return ok;
}
