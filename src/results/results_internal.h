/* What the files of src/results share: statistics of kept values, the guard of database files,
 * small helpers around SQLite, and the inside of a store. */
#ifndef RT_RESULTS_INTERNAL_H
#define RT_RESULTS_INTERNAL_H

#include "rooftrace/err.h"
#include "rooftrace/finished.h"
#include "rooftrace/hist.h"
#include "rooftrace/metrics.h"
#include "rooftrace/name.h"
#include "rooftrace/scenario.h"
#include "rooftrace/source.h"
#include "rooftrace/step_list.h"
#include "rooftrace/store.h"

#include <assert.h>
#include <sqlite3.h>
#include <string.h>
#include <uv.h>

/* ---- statistics.c ---- */

/* Non-negative doubles kept by their bit patterns, which sort as integers do. */
static inline uint64_t rt_key_of(double value)
{
    uint64_t key;
    static_assert(sizeof key == sizeof value, "a double is 64 bits");
    memcpy(&key, &value, sizeof key);
    return key;
}

static inline double rt_key_value(uint64_t key)
{
    double value;
    memcpy(&value, &key, sizeof value);
    return value;
}

/* Sorts n < 2^32 keys in place; scratch holds n more. O(n). */
void rt_sort_keys(uint64_t *keys, uint64_t *scratch, size_t n);
/* Fills count and the statistics of *row from sorted keys / from a histogram, each value divided by
 * unit (1e9 for nanoseconds); NaN when there are none. */
void rt_stats_of_keys(const uint64_t *sorted, size_t n, double unit, struct rt_metric_row *row);
void rt_stats_of_hist(const struct rt_hist *h, double unit, struct rt_metric_row *row);

/* ---- metrics.c ---- */

/* The scenario's frontend_s in the nanoseconds that metrics and views add. */
int64_t rt_frontend_ns(const struct rt_scenario *s);

/* ---- class_use.c: what the finished requests of each class took of each pool ---- */

struct rt_class_uses {
    struct pool_uses { /* by class; its array by pool */
        struct rt_class_use *pools;
        uint32_t count;
    } * classes;
    uint32_t class_count;
    struct rt_class_use *list; /* of the last rt_class_uses_list */
};
void rt_class_uses_release(struct rt_class_uses *u);
/* A row with status ok. false: out of memory. */
bool rt_class_uses_add(struct rt_class_uses *u, const struct rt_finished *row) RT_MUST_USE;
/* Those with requests, by class, then pool; valid until the next call. */
bool rt_class_uses_list(struct rt_class_uses *u, const struct rt_class_use **list,
                        size_t *count) RT_MUST_USE;

/* ---- dbfile.c: which files are ours ---- */

#define RT_APPLICATION_ID 0x52465452 /* "RFTR", as in schema.sql */

extern const char rt_schema_sql[]; /* schema.sql, embedded */

enum rt_dbfile { RT_DBFILE_MISSING, RT_DBFILE_EMPTY, RT_DBFILE_OURS };

/* Reads the file's header without SQLite, so that a file that is not ours is not even locked. Fails
 * with RT_EDB on a folder, a file of another kind, another program's database, another schema
 * version. */
bool rt_dbfile_probe(const char *path, enum rt_dbfile *kind, struct rt_err *err) RT_MUST_USE;
/* Fails unless the database behind an open connection is ours, or empty. */
bool rt_dbfile_verify(sqlite3 *db, const char *path, bool *empty, struct rt_err *err) RT_MUST_USE;
/* Fails when the folder a file would be in is missing or not writable: a journal must go there too.
 */
bool rt_dbfile_folder(const char *path, struct rt_err *err) RT_MUST_USE;
/* sqlite3_open_v2 on exactly this path, whatever it looks like (":memory:", "file:x"). *db is NULL
 * on failure. */
bool rt_dbfile_open(const char *path, int flags, sqlite3 **db, struct rt_err *err) RT_MUST_USE;

/* ---- sql.c: helpers around SQLite ---- */

/* Fills *err from the connection's last error and what was being done. Always returns false. */
bool rt_sql_fail(sqlite3 *db, const char *path, const char *what, struct rt_err *err);
/* Runs statements without results. */
bool rt_sql_exec(sqlite3 *db, const char *path, const char *sql, const char *what,
                 struct rt_err *err) RT_MUST_USE;
/* One integer from one row. */
bool rt_sql_int(sqlite3 *db, const char *path, const char *sql, int64_t *out,
                struct rt_err *err) RT_MUST_USE;

/* A statement whose parameters are bound one after the other. After a failure the rest does
 * nothing, so that the result is asked for once, at rt_insert_row. */
struct rt_insert {
    sqlite3 *db;
    sqlite3_stmt *statement;
    const char *path;
    int bound; /* parameters so far */
    int rc;
};
bool rt_insert_prepare(struct rt_insert *in, sqlite3 *db, const char *path, const char *sql,
                       struct rt_err *err) RT_MUST_USE;
/* INSERT INTO table VALUES (?, ...), a parameter a column. */
bool rt_insert_table(struct rt_insert *in, sqlite3 *db, const char *path, const char *table,
                     struct rt_err *err) RT_MUST_USE;
void rt_insert_release(struct rt_insert *in);
void rt_put_int(struct rt_insert *in, int64_t value);
void rt_put_count(struct rt_insert *in, uint64_t value); /* must fit in 63 bits */
void rt_put_real(struct rt_insert *in, double value);    /* NaN and infinities: NULL */
void rt_put_time(struct rt_insert *in, int64_t time_ns); /* RT_NEVER: NULL */
void rt_put_text(struct rt_insert *in,
                 const char *text); /* NULL: NULL; must live until rt_insert_row */
void rt_put_null(struct rt_insert *in);
/* Writes the row; every parameter must be bound. */
bool rt_insert_row(struct rt_insert *in, struct rt_err *err) RT_MUST_USE;

/* ---- store.c ---- */

/* Something to do with the database in a transaction of its own, on the writer's thread, after all
 * that was queued before. */
typedef bool rt_store_call(sqlite3 *db, const char *path, void *argument, struct rt_err *err);
bool rt_store_do(struct rt_store *s, rt_store_call *call, void *argument,
                 struct rt_err *err) RT_MUST_USE;

/* ---- names.c: class texts that writer and simulation share ---- */

/* Entry i lies in block floor(log2(i + 1)); blocks never move, so the writer may read entries that
 * were there when a list was queued while the simulation adds others. */
struct rt_class_names {
    char **blocks[32];
};
void rt_class_names_release(struct rt_class_names *n);
/* NULL: not there. */
const char *rt_class_names_get(const struct rt_class_names *n, uint32_t i);
/* Keeps a copy. false: out of memory. */
bool rt_class_names_put(struct rt_class_names *n, uint32_t i, const char *text) RT_MUST_USE;

/* ---- open_run.c ---- */

struct rt_pool_name {
    char name[RT_NAME_SIZE];
    uint32_t first_replica, replicas;
};

struct rt_open_run { /* a run between begin and end */
    int64_t id;
    const struct rt_source *source; /* used on the caller's thread only */
    struct rt_class_names classes;
    struct rt_pool_name *pools;
    uint32_t pool_count;
    bool no_requests;
    double sample_requests; /* share of the requests whose rows are written; 0: all */
    uint64_t seed;
    uint64_t rows_written;
    struct rt_open_run *next;
};
/* NULL: out of memory. No id yet. */
struct rt_open_run *rt_open_run_new(const struct rt_run_start *start) RT_MUST_USE;
void rt_open_run_free(struct rt_open_run *run);
/* Keeps the class's text for the writer; RT_NO_NAME has none. false: out of memory. */
bool rt_open_run_know_class(struct rt_open_run *run, uint32_t name) RT_MUST_USE;
/* Knows the classes of all rows, then drops those that are not to be written. false: out of memory,
 * and all rows stay. */
bool rt_open_run_take(struct rt_open_run *run, struct rt_finished_list *rows) RT_MUST_USE;

/* ---- tables.c: every table but `request` and `step` ---- */

bool rt_tables_begin(sqlite3 *db, const char *path, const struct rt_run_start *run, int64_t *run_id,
                     struct rt_err *err) RT_MUST_USE;
bool rt_tables_end(sqlite3 *db, const char *path, const struct rt_open_run *run,
                   const struct rt_run_end *end, struct rt_err *err) RT_MUST_USE;
/* Only status and message. */
bool rt_tables_set_status(sqlite3 *db, const char *path, int64_t run_id, enum rt_run_status status,
                          const char *message, struct rt_err *err) RT_MUST_USE;

/* ---- plan_runs.c: runs of a sweep ---- */

#define RT_RUN_TABLES_MAX 32
struct rt_run_table {
    char name[RT_NAME_SIZE];
    bool without_rowid;
};
struct rt_run_tables { /* those that have a column run_id, in the order of schema.sql */
    struct rt_run_table tables[RT_RUN_TABLES_MAX];
    unsigned count;
};
bool rt_run_tables(sqlite3 *db, const char *path, struct rt_run_tables *out,
                   struct rt_err *err) RT_MUST_USE;

struct rt_resume { /* arguments of rt_store_resume */
    const char *plan_hash;
    int64_t trials;
    bool *complete;
};
bool rt_tables_resume(sqlite3 *db, const char *path, const struct rt_resume *r,
                      struct rt_err *err) RT_MUST_USE;

/* ---- query.c ---- */

struct rt_db;
sqlite3 *rt_db_handle(struct rt_db *d);

/* ---- rows.c: tables `request` and `step` ---- */

#define RT_ROWS_A_STATEMENT 32

struct rt_rows_insert { /* statements for RT_ROWS_A_STATEMENT rows and for one */
    struct rt_insert many, one;
};

struct rt_rows_writer {
    sqlite3 *db;
    const char *path;
    struct rt_rows_insert requests, steps;
    struct rt_insert retries, left;
    uint64_t transaction_began; /* uv_hrtime; 0: no transaction is open */
};
bool rt_rows_init(struct rt_rows_writer *w, sqlite3 *db, const char *path,
                  struct rt_err *err) RT_MUST_USE;
void rt_rows_release(struct rt_rows_writer *w);
/* Writes all rows; commits whenever the transaction has become a second old. */
bool rt_rows_write(struct rt_rows_writer *w, const struct rt_open_run *run,
                   const struct rt_finished_list *list, struct rt_err *err) RT_MUST_USE;
bool rt_rows_write_steps(struct rt_rows_writer *w, const struct rt_open_run *run,
                         const struct rt_step_list *list, struct rt_err *err) RT_MUST_USE;
/* Ends the open transaction, if any. */
bool rt_rows_commit(struct rt_rows_writer *w, struct rt_err *err) RT_MUST_USE;
/* Is a transaction open that should be committed? / How long until then (one is open). */
bool rt_rows_due(const struct rt_rows_writer *w);
uint64_t rt_rows_wait_ns(const struct rt_rows_writer *w);

#endif
