/* The store: a queue in front of one thread that owns the database.
 *
 *     begin, put, end ──> ring of RT_QUEUE slots ──> writer thread ──> SQLite
 *
 * A slot carries a list of rows (swapped with the caller's, so memory goes round and nothing is
 * allocated) or a job whose caller waits for it. The writer works on the oldest slot outside the
 * lock and frees it afterwards. With nothing to do it sleeps until its transaction is a second old.
 * A caller that finds the queue empty and the database unused does its job itself: in a sweep
 * without rows nobody sleeps and is woken for each trial.
 *
 * The first failure (disk full, locked too long, ...) is kept: the transaction is rolled back,
 * which gives the disk its space back, all open runs are marked `failed`, and every later call
 * returns that error. */
#include "results_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define RT_QUEUE            8
#define PATIENCE_OPEN_MS    1000  /* a database that is locked when we come is somebody else's */
#define PATIENCE_RUNNING_MS 30000 /* a reader may hold it for a while, and a run is long */

struct job {
    bool (*work)(struct rt_store *s, struct job *job, struct rt_err *err);
    const void *argument;
    struct rt_open_run *run;
    bool done, ok;
    struct rt_err err;
};

struct slot {
    struct rt_open_run *run;
    struct rt_finished_list rows;
    struct rt_step_list steps;
    struct job *job; /* NULL: rows or steps */
};

struct rt_store {
    char *path;
    sqlite3 *db;                /* used by one thread at a time: of the oldest slot, or in_use */
    struct rt_rows_writer rows; /* likewise */
    uv_thread_t thread;
    uv_mutex_t mutex; /* guards all below */
    uv_cond_t work, room, done;
    struct slot ring[RT_QUEUE];
    unsigned first, used; /* oldest slot, slots in use */
    bool in_use;          /* the database, though the writer serves no slot */
    bool stop;
    struct rt_err failure; /* of who used the database; code RT_OK: none */
    struct rt_open_run *runs;
};

/* ---- with the database ---- */

static bool transaction(struct rt_store *s, struct job *job, struct rt_err *err)
{
    return rt_rows_commit(&s->rows, err) &&
           rt_sql_exec(s->db, s->path, "BEGIN IMMEDIATE", "writing", err) &&
           job->work(s, job, err) && rt_sql_exec(s->db, s->path, "COMMIT", "writing", err);
}

static void roll_back(struct rt_store *s)
{
    if (!sqlite3_get_autocommit(s->db))
        (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    s->rows.transaction_began = 0;
}

/* Marks every open run `failed`, as far as the disk lets it. */
static void mark_failed(struct rt_store *s, const char *message)
{
    struct rt_err ignored = {RT_OK, ""};
    bool ok = rt_sql_exec(s->db, s->path, "BEGIN IMMEDIATE", "writing", &ignored);

    for (const struct rt_open_run *r = s->runs; ok && r; r = r->next)
        ok = rt_tables_set_status(s->db, s->path, r->id, RT_RUN_FAILED, message, &ignored);
    if (!ok || !rt_sql_exec(s->db, s->path, "COMMIT", "writing", &ignored))
        roll_back(s);
}

static void keep_failure(struct rt_store *s, const struct rt_err *err)
{
    roll_back(s);
    uv_mutex_lock(&s->mutex);
    mark_failed(s, err->msg); /* the list of runs may not change meanwhile */
    s->failure = *err;
    uv_mutex_unlock(&s->mutex);
}

/* Only who has the database sets failure, so it may look without the lock. */
static void do_job(struct rt_store *s, struct job *job)
{
    job->err = s->failure;
    job->ok = job->err.code == RT_OK && transaction(s, job, &job->err);
    if (!job->ok && s->failure.code == RT_OK)
        keep_failure(s, &job->err);
}

static void write_rows(struct rt_store *s, struct slot *slot)
{
    struct rt_err err;

    if (s->failure.code == RT_OK && !(rt_rows_write(&s->rows, slot->run, &slot->rows, &err) &&
                                      rt_rows_write_steps(&s->rows, slot->run, &slot->steps, &err)))
        keep_failure(s, &err);
    rt_finished_list_reset(&slot->rows);
    rt_step_list_reset(&slot->steps);
}

/* ---- the writer ---- */

/* Commits what is old enough, or sleeps until something comes. Called and returns with the lock. */
static void idle(struct rt_store *s)
{
    struct rt_err err;
    bool ok;

    if (s->in_use || s->rows.transaction_began == 0) {
        uv_cond_wait(&s->work, &s->mutex);
    } else if (!rt_rows_due(&s->rows)) {
        (void)uv_cond_timedwait(&s->work, &s->mutex, rt_rows_wait_ns(&s->rows));
    } else {
        s->in_use = true;
        uv_mutex_unlock(&s->mutex);
        ok = rt_rows_commit(&s->rows, &err);
        if (!ok)
            keep_failure(s, &err);
        uv_mutex_lock(&s->mutex);
        s->in_use = false;
        uv_cond_broadcast(&s->done);
    }
}

static void writer(void *argument)
{
    struct rt_store *s = argument;

    uv_mutex_lock(&s->mutex);
    while (s->used > 0 || !s->stop) {
        if (s->used == 0 || s->in_use) {
            idle(s);
            continue;
        }
        struct slot *slot = &s->ring[s->first];
        uv_mutex_unlock(&s->mutex);
        if (slot->job)
            do_job(s, slot->job);
        else
            write_rows(s, slot);
        uv_mutex_lock(&s->mutex);
        if (slot->job) {
            slot->job->done = true;
            slot->job = NULL;
            uv_cond_broadcast(&s->done);
        }
        s->first = (s->first + 1) % RT_QUEUE;
        s->used--;
        uv_cond_broadcast(&s->room); /* all: after a failure each waiter has its answer */
    }
    uv_mutex_unlock(&s->mutex);
}

static bool work_begin(struct rt_store *s, struct job *job, struct rt_err *err)
{
    return rt_tables_begin(s->db, s->path, job->argument, &job->run->id, err);
}

static bool work_end(struct rt_store *s, struct job *job, struct rt_err *err)
{
    return rt_tables_end(s->db, s->path, job->run, job->argument, err);
}

static bool work_fail(struct rt_store *s, struct job *job, struct rt_err *err)
{
    return rt_tables_set_status(s->db, s->path, job->run->id, RT_RUN_FAILED, job->argument, err);
}

static bool work_resume(struct rt_store *s, struct job *job, struct rt_err *err)
{
    return rt_tables_resume(s->db, s->path, job->argument, err);
}

/* ---- the callers' side ---- */

/* The next free slot, when there is one; with the lock. NULL and *err: the database has failed. */
static struct slot *claim(struct rt_store *s, struct rt_err *err)
{
    while (s->used == RT_QUEUE && s->failure.code == RT_OK)
        uv_cond_wait(&s->room, &s->mutex);
    if (s->failure.code != RT_OK) {
        *err = s->failure;
        return NULL;
    }
    return &s->ring[(s->first + s->used) % RT_QUEUE];
}

static void submit(struct rt_store *s)
{
    s->used++;
    uv_cond_signal(&s->work);
}

/* The queue is empty and nobody has the database. With the lock. */
static void do_job_here(struct rt_store *s, struct job *job)
{
    s->in_use = true;
    uv_mutex_unlock(&s->mutex);
    do_job(s, job);
    uv_mutex_lock(&s->mutex);
    s->in_use = false;
    if (s->used > 0)
        uv_cond_signal(&s->work);
    uv_cond_broadcast(&s->done);
}

/* Does a job after all that was queued before. With the lock. */
static bool run_job(struct rt_store *s, struct job *job, struct rt_err *err)
{
    while (s->used == 0 && s->in_use) /* by another caller: it is soon our turn */
        uv_cond_wait(&s->done, &s->mutex);
    struct slot *slot = claim(s, err);

    if (!slot)
        return false;
    if (s->used == 0 && !s->in_use) {
        do_job_here(s, job);
    } else {
        slot->job = job;
        submit(s);
        while (!job->done)
            uv_cond_wait(&s->done, &s->mutex);
    }
    if (!job->ok)
        *err = job->err;
    return job->ok;
}

bool rt_store_begin(struct rt_store *s, const struct rt_run_start *start, int64_t *run_id,
                    struct rt_err *err)
{
    struct rt_open_run *run;
    struct job job = {.work = work_begin, .argument = start};
    bool ok;

    if (start->scenario->seed > INT64_MAX)
        return rt_fail(err, RT_ECONFIG, "seed %llu: the database keeps seeds up to %lld",
                       (unsigned long long)start->scenario->seed, (long long)INT64_MAX);
    run = rt_open_run_new(start);
    if (!run)
        return rt_fail_nomem(err, "run");
    job.run = run;
    uv_mutex_lock(&s->mutex);
    ok = run_job(s, &job, err);
    if (ok) {
        run->next = s->runs;
        s->runs = run;
        *run_id = run->id;
    }
    uv_mutex_unlock(&s->mutex);
    if (!ok)
        rt_open_run_free(run);
    return ok;
}

bool rt_store_resume(struct rt_store *s, const char *plan_hash, int64_t trials, bool *complete,
                     struct rt_err *err)
{
    struct rt_resume resume = {plan_hash, trials, complete};
    struct job job = {.work = work_resume, .argument = &resume};
    bool ok;

    uv_mutex_lock(&s->mutex);
    ok = run_job(s, &job, err);
    uv_mutex_unlock(&s->mutex);
    return ok;
}

/* With the lock. */
static struct rt_open_run *find_run(const struct rt_store *s, int64_t run_id)
{
    struct rt_open_run *run = s->runs;

    while (run && run->id != run_id)
        run = run->next;
    assert(run && "rt_store_put and rt_store_end take the id of a run that was begun");
    return run;
}

bool rt_store_put(struct rt_store *s, int64_t run_id, struct rt_finished_list *rows,
                  struct rt_err *err)
{
    struct rt_open_run *run;
    struct slot *slot;

    uv_mutex_lock(&s->mutex);
    run = find_run(s, run_id);
    uv_mutex_unlock(&s->mutex);
    if (!rt_open_run_take(run, rows))
        return rt_fail_nomem(err, "class names");

    uv_mutex_lock(&s->mutex);
    slot = claim(s, err);
    if (slot && rows->count > 0) {
        struct rt_finished_list empty = slot->rows;
        run->rows_written += rows->count;
        slot->rows = *rows;
        *rows = empty;
        slot->run = run;
        submit(s);
    }
    uv_mutex_unlock(&s->mutex);
    return slot != NULL;
}

bool rt_store_put_steps(struct rt_store *s, int64_t run_id, struct rt_step_list *steps,
                        struct rt_err *err)
{
    struct slot *slot;

    uv_mutex_lock(&s->mutex);
    slot = claim(s, err);
    if (slot && steps->count > 0) {
        struct rt_step_list empty = slot->steps;
        slot->steps = *steps;
        *steps = empty;
        slot->run = find_run(s, run_id);
        submit(s);
    }
    uv_mutex_unlock(&s->mutex);
    return slot != NULL;
}

/* Takes the run out of the list. With the lock. */
static void forget(struct rt_store *s, struct rt_open_run *run)
{
    struct rt_open_run **link = &s->runs;

    while (*link != run)
        link = &(*link)->next;
    *link = run->next;
}

bool rt_store_end(struct rt_store *s, int64_t run_id, const struct rt_run_end *end,
                  struct rt_err *err)
{
    struct job job = {.work = work_end, .argument = end};
    bool ok = true;

    assert(end->status != RT_RUN_RUNNING);
    uv_mutex_lock(&s->mutex);
    job.run = find_run(s, run_id);
    for (size_t i = 0; ok && i < end->metrics.row_count; i++)
        ok = rt_open_run_know_class(job.run, end->metrics.rows[i].class_name) ||
             rt_fail_nomem(err, "classes");
    if (ok)
        ok = run_job(s, &job, err);
    forget(s, job.run);
    uv_mutex_unlock(&s->mutex);
    rt_open_run_free(job.run);
    return ok;
}

struct call { /* a job that has no run */
    rt_store_call *call;
    void *argument;
};

static bool work_call(struct rt_store *s, struct job *job, struct rt_err *err)
{
    const struct call *c = job->argument;

    return c->call(s->db, s->path, c->argument, err);
}

bool rt_store_do(struct rt_store *s, rt_store_call *call, void *argument, struct rt_err *err)
{
    struct call c = {call, argument};
    struct job job = {.work = work_call, .argument = &c};
    bool ok;

    uv_mutex_lock(&s->mutex);
    ok = run_job(s, &job, err);
    uv_mutex_unlock(&s->mutex);
    return ok;
}

bool rt_store_fail(struct rt_store *s, int64_t run_id, const char *message, struct rt_err *err)
{
    struct job job = {.work = work_fail, .argument = message};
    bool ok;

    uv_mutex_lock(&s->mutex);
    job.run = find_run(s, run_id);
    ok = run_job(s, &job, err);
    forget(s, job.run);
    uv_mutex_unlock(&s->mutex);
    rt_open_run_free(job.run);
    return ok;
}

/* ---- opening and closing ---- */

/* Locks the database, so that nobody else writes, and looks whether it is ours; *empty: not yet. */
static bool lock_and_verify(sqlite3 *db, const char *path, bool *empty, struct rt_err *err)
{
    if (sqlite3_db_readonly(db, "main") == 1) /* SQLite falls back to reading without a word */
        return rt_fail(err, RT_EDB, "%s: not writable; choose another file", path);
    return rt_sql_exec(db, path, "BEGIN IMMEDIATE", "opening", err) &&
           rt_dbfile_verify(db, path, empty, err);
}

bool rt_store_check(const char *path, struct rt_err *err)
{
    enum rt_dbfile kind;
    sqlite3 *db = NULL;
    bool empty, ok;

    if (!rt_dbfile_probe(path, &kind, err) || !rt_dbfile_folder(path, err))
        return false;
    if (kind == RT_DBFILE_MISSING)
        return true;
    if (!rt_dbfile_open(path, SQLITE_OPEN_READWRITE, &db, err))
        return false;
    sqlite3_busy_timeout(db, PATIENCE_OPEN_MS);
    ok = lock_and_verify(db, path, &empty, err);
    sqlite3_close(db); /* rolls back */
    return ok;
}

/* Settings that hold for the connection, see rows.c for why; then the schema, if it is not there.
 */
static bool set_up(sqlite3 *db, const char *path, struct rt_err *err)
{
    static const char settings[] = "PRAGMA page_size = 8192; PRAGMA journal_mode = DELETE;"
                                   "PRAGMA synchronous = OFF; PRAGMA cache_size = -8000;"
                                   "PRAGMA foreign_keys = OFF";
    bool empty = false;

    sqlite3_busy_timeout(db, PATIENCE_OPEN_MS);
    if (!rt_sql_exec(db, path, settings, "opening", err) || !lock_and_verify(db, path, &empty, err))
        return false;
    if (empty && !rt_sql_exec(db, path, rt_schema_sql, "creating the tables", err))
        return false;
    sqlite3_busy_timeout(db, PATIENCE_RUNNING_MS);
    return rt_sql_exec(db, path, "COMMIT", "opening", err);
}

static bool start_thread(struct rt_store *s, struct rt_err *err)
{
    if (uv_mutex_init(&s->mutex) != 0)
        goto err;
    if (uv_cond_init(&s->work) != 0)
        goto err_after_mutex;
    if (uv_cond_init(&s->room) != 0)
        goto err_after_work;
    if (uv_cond_init(&s->done) != 0)
        goto err_after_room;
    if (uv_thread_create(&s->thread, writer, s) != 0)
        goto err_after_done;
    return true;

err_after_done:
    uv_cond_destroy(&s->done);
err_after_room:
    uv_cond_destroy(&s->room);
err_after_work:
    uv_cond_destroy(&s->work);
err_after_mutex:
    uv_mutex_destroy(&s->mutex);
err:
    return rt_fail(err, RT_EIO, "the writer thread cannot be started");
}

/* All but the thread and its locks. */
static void release(struct rt_store *s)
{
    rt_rows_release(&s->rows);
    sqlite3_close(s->db);
    for (unsigned i = 0; i < RT_QUEUE; i++) {
        rt_finished_list_release(&s->ring[i].rows);
        rt_step_list_release(&s->ring[i].steps);
    }
    while (s->runs) {
        struct rt_open_run *run = s->runs;
        s->runs = run->next;
        rt_open_run_free(run);
    }
    free(s->path);
    free(s);
}

bool rt_store_open(const char *path, struct rt_store **out, struct rt_err *err)
{
    enum rt_dbfile kind;
    struct rt_store *s;
    bool ok;

    *out = NULL;
    if (!rt_dbfile_probe(path, &kind, err) || !rt_dbfile_folder(path, err))
        return false;
    s = calloc(1, sizeof *s);
    if (!s)
        return rt_fail_nomem(err, "store");
    for (unsigned i = 0; i < RT_QUEUE; i++)
        rt_finished_list_init(&s->ring[i].rows);
    s->path = strdup(path);
    ok = s->path || rt_fail_nomem(err, "store");
    ok = ok && rt_dbfile_open(path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &s->db, err) &&
         set_up(s->db, s->path, err) && rt_rows_init(&s->rows, s->db, s->path, err) &&
         start_thread(s, err);
    if (ok)
        *out = s;
    else
        release(s);
    return ok;
}

void rt_store_close(struct rt_store *s)
{
    struct rt_err err;

    if (!s)
        return;
    uv_mutex_lock(&s->mutex);
    s->stop = true;
    uv_cond_signal(&s->work);
    uv_mutex_unlock(&s->mutex);
    uv_thread_join(&s->thread);
    if (!rt_rows_commit(&s->rows, &err))
        roll_back(s);
    if (s->failure.code == RT_OK && s->runs)
        mark_failed(s, "the program stopped before the end of the run");
    uv_cond_destroy(&s->done);
    uv_cond_destroy(&s->room);
    uv_cond_destroy(&s->work);
    uv_mutex_destroy(&s->mutex);
    release(s);
}
