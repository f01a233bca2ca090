/* The floor of the benchmark: rows already in memory, inserted by one prepared INSERT in one thread
 * and one transaction into a fresh database with the same schema and the store's pragmas; a row a
 * statement, and as many as the store gives it. O(rows) time and memory. */
#include "bench_floor.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define MAX_COLUMNS      32
#define ROWS_A_STATEMENT 32 /* as src/results/rows.c */

double bench_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void bench_keep_best(double *best, double value)
{
    if (*best == 0 || value < *best)
        *best = value;
}

void bench_path(const char *folder, const char *name, char path[1024])
{
    snprintf(path, 1024, "%s/%s", folder, name);
    unlink(path);
}

#define CELL_NULL INT64_MIN

struct table { /* table `request` in memory, row after row */
    int columns;
    bool is_text[MAX_COLUMNS];
    int64_t *cells; /* integers, places in texts, CELL_NULL */
    size_t rows, capacity;
    char **texts; /* a text that follows itself in a column is kept once */
    size_t text_count, text_capacity;
};

static void table_release(struct table *t)
{
    for (size_t i = 0; i < t->text_count; i++)
        free(t->texts[i]);
    free(t->texts);
    free(t->cells);
}

static bool keep_text(struct table *t, const char *text, int64_t *cell)
{
    if (*cell != CELL_NULL && strcmp(t->texts[*cell], text) == 0)
        return true;
    if (t->text_count == t->text_capacity) {
        t->text_capacity = t->text_capacity * 2 + 64;
        void *grown = realloc(t->texts, t->text_capacity * sizeof *t->texts);
        if (!grown)
            return false;
        t->texts = grown;
    }
    if (!(t->texts[t->text_count] = strdup(text)))
        return false;
    *cell = (int64_t)t->text_count++;
    return true;
}

static bool keep_row(struct table *t, sqlite3_stmt *row, int64_t last_text[MAX_COLUMNS])
{
    if (t->rows == t->capacity) {
        t->capacity = t->capacity * 2 + 4096;
        void *grown = realloc(t->cells, t->capacity * (size_t)t->columns * sizeof *t->cells);
        if (!grown)
            return false;
        t->cells = grown;
    }
    int64_t *cells = t->cells + t->rows++ * (size_t)t->columns;
    for (int c = 0; c < t->columns; c++) {
        int type = sqlite3_column_type(row, c);
        cells[c] = type == SQLITE_INTEGER ? sqlite3_column_int64(row, c) : CELL_NULL;
        if (type != SQLITE_TEXT)
            continue;
        t->is_text[c] = true;
        if (!keep_text(t, (const char *)sqlite3_column_text(row, c), &last_text[c]))
            return false;
        cells[c] = last_text[c];
    }
    return true;
}

static bool sql_failed(sqlite3 *db, struct rt_err *err)
{
    return rt_fail(err, RT_EDB, "floor: %s", db ? sqlite3_errmsg(db) : "out of memory");
}

static bool read_table(sqlite3 *db, struct table *t, struct rt_err *err)
{
    sqlite3_stmt *rows = NULL;
    int64_t last_text[MAX_COLUMNS];
    for (int c = 0; c < MAX_COLUMNS; c++)
        last_text[c] = CELL_NULL;
    if (sqlite3_prepare_v2(db, "SELECT * FROM request ORDER BY rowid", -1, &rows, NULL))
        return sql_failed(db, err);
    t->columns = sqlite3_column_count(rows);
    int rc = t->columns <= MAX_COLUMNS ? sqlite3_step(rows) : SQLITE_TOOBIG;
    while (rc == SQLITE_ROW)
        rc = keep_row(t, rows, last_text) ? sqlite3_step(rows) : SQLITE_NOMEM;
    sqlite3_finalize(rows);
    return rc == SQLITE_DONE || sql_failed(db, err);
}

/* The store's settings (src/results/store.c); the page size is copied from its file. */
#define STORE_PRAGMAS                                                                              \
    "PRAGMA journal_mode = DELETE; PRAGMA synchronous = OFF; PRAGMA cache_size = -8000;"           \
    "PRAGMA foreign_keys = OFF; BEGIN;"

/* The schema of one database made in another one, in one transaction that stays open. */
static bool copy_schema(sqlite3 *from, sqlite3 *to, struct rt_err *err)
{
    static const char objects_sql[] =
        "SELECT 'PRAGMA page_size = ' || page_size || ';" STORE_PRAGMAS "' FROM pragma_page_size"
        " UNION ALL SELECT sql FROM"
        " (SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid)";
    sqlite3_stmt *objects = NULL;
    if (sqlite3_prepare_v2(from, objects_sql, -1, &objects, NULL))
        return sql_failed(from, err);
    int rc = sqlite3_step(objects);
    while (rc == SQLITE_ROW) {
        const char *sql = (const char *)sqlite3_column_text(objects, 0);
        rc = sqlite3_exec(to, sql, NULL, NULL, NULL) ? SQLITE_ERROR : sqlite3_step(objects);
    }
    sqlite3_finalize(objects);
    return rc == SQLITE_DONE || sql_failed(to, err);
}

/* One statement that inserts `rows` rows. */
static bool prepare_insert(sqlite3 *db, int columns, int rows, sqlite3_stmt **out)
{
    char sql[64 + ROWS_A_STATEMENT * (2 * MAX_COLUMNS + 2)];
    size_t used = (size_t)snprintf(sql, sizeof sql, "INSERT INTO request VALUES");
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++) {
            const char *before = c ? "," : r ? ",(" : "(";
            used += (size_t)snprintf(sql + used, sizeof sql - used, "%s?%s", before,
                                     c == columns - 1 ? ")" : "");
        }
    return sqlite3_prepare_v2(db, sql, -1, out, NULL) == SQLITE_OK;
}

static bool insert_rows(sqlite3_stmt *insert, const struct table *t, size_t first, int rows)
{
    const int64_t *cells = t->cells + first * (size_t)t->columns;
    for (int i = 0; i < rows * t->columns; i++)
        if (cells[i] == CELL_NULL)
            sqlite3_bind_null(insert, i + 1);
        else if (t->is_text[i % t->columns])
            sqlite3_bind_text(insert, i + 1, t->texts[cells[i]], -1, SQLITE_STATIC);
        else
            sqlite3_bind_int64(insert, i + 1, cells[i]);
    return sqlite3_step(insert) == SQLITE_DONE && sqlite3_reset(insert) == SQLITE_OK;
}

static bool insert_all(sqlite3 *db, const struct table *t, int batch, struct rt_err *err)
{
    sqlite3_stmt *many = NULL, *one = NULL;
    size_t row = 0;
    bool ok =
        prepare_insert(db, t->columns, batch, &many) && prepare_insert(db, t->columns, 1, &one);
    for (; ok && row + (size_t)batch <= t->rows; row += (size_t)batch)
        ok = insert_rows(many, t, row, batch);
    for (; ok && row < t->rows; row++)
        ok = insert_rows(one, t, row, 1);
    sqlite3_finalize(many);
    sqlite3_finalize(one);
    ok = ok && sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK;
    return ok || sql_failed(db, err);
}

static bool insert_once(const char *folder, sqlite3 *from, const struct table *t, int batch,
                        double *best_s, struct rt_err *err)
{
    char path[1024];
    bench_path(folder, "floor.db", path);
    sqlite3 *db = NULL;
    double begin = bench_seconds();
    bool ok = sqlite3_open(path, &db) == SQLITE_OK || sql_failed(db, err);
    ok = ok && copy_schema(from, db, err) && insert_all(db, t, batch, err);
    sqlite3_close(db);
    if (ok)
        bench_keep_best(best_s, bench_seconds() - begin);
    unlink(path);
    return ok;
}

bool bench_floor(const char *folder, int runs, uint64_t rows, struct bench_floor *out,
                 struct rt_err *err)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/bench.db", folder);
    sqlite3 *from = NULL;
    struct table t = {0};
    bool ok = sqlite3_open_v2(path, &from, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK ||
              sql_failed(from, err);
    ok = ok && read_table(from, &t, err);
    if (ok && t.rows != rows)
        ok = rt_fail(err, RT_EDB, "floor: %zu rows in the database, %" PRIu64 " requests", t.rows,
                     rows);
    for (int run = 0; run < runs && ok; run++)
        ok = insert_once(folder, from, &t, 1, &out->plain_s, err) &&
             insert_once(folder, from, &t, ROWS_A_STATEMENT, &out->batched_s, err);
    table_release(&t);
    sqlite3_close(from);
    unlink(path);
    return ok;
}
