/* Runs of a sweep in a database: which there are, and taking away those that did not end.
 *
 * A table belongs to runs when it has a column run_id, so a new table is covered without a word
 * here. Transactions are the caller's. O(rows of the tables). */
#include "results_internal.h"

#include <stdlib.h>

#define UNFINISHED "(SELECT run_id FROM run WHERE status <> 'complete')"

bool rt_run_tables(sqlite3 *db, const char *path, struct rt_run_tables *out, struct rt_err *err)
{
    static const char sql[] =
        "SELECT m.name, l.wr FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c"
        " JOIN pragma_table_list(m.name) AS l"
        " WHERE m.type = 'table' AND c.name = 'run_id' AND l.schema = 'main' ORDER BY m.rootpage";
    sqlite3_stmt *statement = NULL;
    bool ok = true;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    out->count = 0;
    while (rc == SQLITE_OK && ok && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        const char *name = (const char *)sqlite3_column_text(statement, 0);
        rc = SQLITE_OK;
        ok = name != NULL && out->count < RT_RUN_TABLES_MAX && strlen(name) < RT_NAME_SIZE;
        if (!ok)
            break;
        struct rt_run_table *t = &out->tables[out->count++];
        memcpy(t->name, name, strlen(name) + 1);
        t->without_rowid = sqlite3_column_int(statement, 1) != 0;
    }
    sqlite3_finalize(statement);
    if (!ok)
        return rt_fail(err, RT_EDB, "%s: has tables that this rooftrace does not know", path);
    return rc == SQLITE_DONE || rt_sql_fail(db, path, "looking at its tables", err);
}

/* run goes last: the others are chosen by it. */
static bool remove_unfinished(sqlite3 *db, const char *path, struct rt_err *err)
{
    struct rt_run_tables t;
    int64_t runs;

    if (!rt_sql_int(db, path, "SELECT count(*) FROM run WHERE status <> 'complete'", &runs, err))
        return false;
    if (runs == 0)
        return true;
    if (!rt_run_tables(db, path, &t, err))
        return false;
    for (unsigned i = 0; i < t.count; i++) {
        char sql[192];
        if (strcmp(t.tables[i].name, "run") == 0)
            continue;
        snprintf(sql, sizeof sql, "DELETE FROM \"%s\" WHERE run_id IN " UNFINISHED,
                 t.tables[i].name);
        if (!rt_sql_exec(db, path, sql, "removing unfinished runs", err))
            return false;
    }
    return rt_sql_exec(db, path, "DELETE FROM run WHERE status <> 'complete'",
                       "removing unfinished runs", err);
}

/* Every run must be one of the plan's. */
static bool check_plan(sqlite3 *db, const char *path, const struct rt_resume *r, struct rt_err *err)
{
    static const char sql[] = "SELECT run_id FROM run WHERE plan_hash IS NOT ?1"
                              " OR plan_trials IS NOT ?2 OR run_id > ?2 LIMIT 1";
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_bind_text(statement, 1, r->plan_hash, -1, SQLITE_STATIC);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(statement, 2, r->trials);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW)
        rt_fail(err, RT_EDB,
                "%s: run %lld is not of this plan as it is now: choose another file, or remove it "
                "to begin again",
                path, (long long)sqlite3_column_int64(statement, 0));
    else if (rc != SQLITE_DONE)
        rt_sql_fail(db, path, "looking for earlier trials", err);
    sqlite3_finalize(statement);
    return rc == SQLITE_DONE;
}

static bool mark_complete(sqlite3 *db, const char *path, const struct rt_resume *r,
                          struct rt_err *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db, "SELECT run_id FROM run", -1, &statement, NULL);

    while (rc == SQLITE_OK && (rc = sqlite3_step(statement)) == SQLITE_ROW) {
        r->complete[sqlite3_column_int64(statement, 0) - 1] = true;
        rc = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return rc == SQLITE_DONE || rt_sql_fail(db, path, "looking for earlier trials", err);
}

bool rt_tables_resume(sqlite3 *db, const char *path, const struct rt_resume *r, struct rt_err *err)
{
    return check_plan(db, path, r, err) && remove_unfinished(db, path, err) &&
           mark_complete(db, path, r, err);
}
