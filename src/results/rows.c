/* Tables `request` (with `request_retry` and `request_left`, which cost others nothing) and `step`:
 * the hot part of writing.
 *
 * Measured with SQLite 3.40, 968,300 rows of 18 columns (68 bytes a row), one core, best of five:
 *     a statement a row 0.60-0.88 s; 32 rows a statement 0.36 s; 64 rows 0.35 s; 128 rows 0.39 s;
 *     page size 4096: 0.40 s, 8192: 0.36 s, 16384: 0.36 s, 32768: 0.42 s;
 *     page cache 2, 8 or 16 MB: no difference above 3 %;
 *     journal DELETE 0.39 s, TRUNCATE 0.40, MEMORY 0.40, OFF 0.35, WAL 0.50; locking EXCLUSIVE: as
 * NORMAL. So: 32 rows a statement, pages of 8192 bytes (small files stay small), a cache of 8 MB
 * (until it is full, others can read what was committed), journal DELETE, which survives the death
 * of the process for 10 %, and normal locking, so that a run can be queried while it is written.
 * synchronous = OFF waits for no disk: what it gives up, safety against power loss, nobody asked
 * for.
 *
 * A transaction is committed once it is a second old. */
#include "results_internal.h"

#include <assert.h>
#include <stdio.h>

#define REQUEST_COLUMNS 23
#define STEP_COLUMNS    (11 + RT_TERM_COUNT)
#define MAX_COLUMNS     23
#define RETRY_COLUMNS   6
#define LEFT_COLUMNS    3
#define TRANSACTION_NS  1000000000u

static bool prepare(struct rt_insert *in, const struct rt_rows_writer *w, const char *table,
                    unsigned columns, unsigned rows, struct rt_err *err)
{
    char sql[64 + RT_ROWS_A_STATEMENT * (2 * MAX_COLUMNS + 2)];
    size_t used = (size_t)snprintf(sql, sizeof sql, "INSERT INTO %s VALUES ", table);

    static_assert(STEP_COLUMNS <= MAX_COLUMNS && REQUEST_COLUMNS <= MAX_COLUMNS, "room in sql");
    assert(rows <= RT_ROWS_A_STATEMENT);
    for (unsigned i = 0; i < rows * columns; i++) { /* (?,?),(?,?), */
        sql[used++] = i % columns == 0 ? '(' : ',';
        sql[used++] = '?';
        if (i % columns == columns - 1) {
            sql[used++] = ')';
            sql[used++] = ',';
        }
    }
    sql[used - 1] = '\0'; /* the last comma */
    return rt_insert_prepare(in, w->db, w->path, sql, err);
}

bool rt_rows_init(struct rt_rows_writer *w, sqlite3 *db, const char *path, struct rt_err *err)
{
    const unsigned many = RT_ROWS_A_STATEMENT;

    *w = (struct rt_rows_writer){.db = db, .path = path};
    return prepare(&w->requests.many, w, "request", REQUEST_COLUMNS, many, err) &&
           prepare(&w->requests.one, w, "request", REQUEST_COLUMNS, 1, err) &&
           prepare(&w->retries, w, "request_retry", RETRY_COLUMNS, 1, err) &&
           prepare(&w->left, w, "request_left", LEFT_COLUMNS, 1, err) &&
           prepare(&w->steps.many, w, "step", STEP_COLUMNS, many, err) &&
           prepare(&w->steps.one, w, "step", STEP_COLUMNS, 1, err);
}

void rt_rows_release(struct rt_rows_writer *w)
{
    rt_insert_release(&w->requests.many);
    rt_insert_release(&w->requests.one);
    rt_insert_release(&w->retries);
    rt_insert_release(&w->left);
    rt_insert_release(&w->steps.many);
    rt_insert_release(&w->steps.one);
}

/* NULL where the request reached no replica. */
static void put_replica(struct rt_insert *in, const struct rt_open_run *run,
                        const struct rt_finished *r)
{
    if (r->replica == RT_NO_REPLICA || r->pool >= run->pool_count) {
        rt_put_null(in);
        rt_put_null(in);
    } else {
        rt_put_text(in, run->pools[r->pool].name);
        rt_put_int(in, r->replica);
    }
}

/* NULL where one replica did it all. */
static void put_prefill(struct rt_insert *in, const struct rt_prefill_part *p)
{
    if (!p) {
        rt_put_null(in);
        rt_put_null(in);
        rt_put_null(in);
        return;
    }
    rt_put_int(in, p->replica);
    rt_put_time(in, p->prefilled_ns);
    rt_put_time(in, p->kv_ready_ns);
}

static void put_row(struct rt_insert *in, const struct rt_open_run *run,
                    const struct rt_finished *r)
{
    assert(r->status < RT_STATUS_COUNT && r->reason < RT_REASON_COUNT);
    rt_put_int(in, run->id);
    rt_put_count(in, r->id);
    rt_put_text(in, r->class_name == RT_NO_NAME ? NULL
                                                : rt_class_names_get(&run->classes, r->class_name));
    rt_put_text(in, r->session);
    rt_put_int(in, r->arrival_ns);
    rt_put_time(in, r->scheduled_ns);
    rt_put_time(in, r->first_token_ns);
    rt_put_time(in, r->finish_ns);
    rt_put_int(in, r->prompt_tokens);
    rt_put_int(in, r->output_tokens);
    rt_put_int(in, r->cached_tokens);
    put_replica(in, run, r);
    rt_put_int(in, r->preemptions);
    if (r->preemptions == 0 && r->preempted_ns == 0)
        rt_put_null(in);
    else
        rt_put_int(in, r->preempted_ns);
    rt_put_time(in, r->max_itl_ns);
    rt_put_text(in, rt_status_names[r->status]);
    rt_put_text(in, r->reason == RT_REASON_NONE ? NULL : rt_reason_names[r->reason]);
    if (r->produced_tokens == r->output_tokens)
        rt_put_null(in);
    else
        rt_put_int(in, r->produced_tokens);
    if (r->client_wait_ns == 0)
        rt_put_null(in);
    else
        rt_put_int(in, r->client_wait_ns);
    put_prefill(in, r->prefill);
}

static bool begin(struct rt_rows_writer *w, struct rt_err *err)
{
    if (w->transaction_began)
        return true;
    if (!rt_sql_exec(w->db, w->path, "BEGIN IMMEDIATE", "writing", err))
        return false;
    w->transaction_began = uv_hrtime();
    return true;
}

bool rt_rows_commit(struct rt_rows_writer *w, struct rt_err *err)
{
    if (!w->transaction_began)
        return true;
    if (!rt_sql_exec(w->db, w->path, "COMMIT", "writing", err))
        return false;
    w->transaction_began = 0;
    return true;
}

bool rt_rows_due(const struct rt_rows_writer *w)
{
    return w->transaction_began && uv_hrtime() - w->transaction_began >= TRANSACTION_NS;
}

uint64_t rt_rows_wait_ns(const struct rt_rows_writer *w)
{
    uint64_t age = uv_hrtime() - w->transaction_began;

    assert(w->transaction_began);
    return age < TRANSACTION_NS ? TRANSACTION_NS - age : 0;
}

static void put_step(struct rt_insert *in, const struct rt_open_run *run,
                     const struct rt_step_row *r)
{
    rt_put_int(in, run->id);
    rt_put_int(in, r->replica);
    rt_put_count(in, r->step);
    rt_put_int(in, r->start_ns);
    rt_put_int(in, r->end_ns);
    rt_put_int(in, r->decodes);
    rt_put_int(in, r->prefill_tokens);
    rt_put_int(in, r->sequences);
    rt_put_int(in, r->context_tokens);
    rt_put_int(in, r->kv_blocks_used);
    rt_put_int(in, r->waiting);
    for (unsigned term = 0; term < RT_TERM_COUNT; term++)
        rt_put_real(in, r->terms_s[term]);
}

/* Before the rows of a statement are put: how many it takes of the `left` ones. NULL: *err. */
static struct rt_insert *choose(struct rt_rows_writer *w, struct rt_rows_insert *table, size_t left,
                                unsigned *rows, struct rt_err *err)
{
    bool many = left >= RT_ROWS_A_STATEMENT;

    *rows = many ? RT_ROWS_A_STATEMENT : 1;
    return begin(w, err) ? (many ? &table->many : &table->one) : NULL;
}

static bool insert(struct rt_rows_writer *w, struct rt_insert *in, struct rt_err *err)
{
    return rt_insert_row(in, err) && (!rt_rows_due(w) || rt_rows_commit(w, err));
}

/* Few requests lose their replica, most runs have none. */
static bool write_retries(struct rt_rows_writer *w, const struct rt_open_run *run,
                          const struct rt_finished_list *list, struct rt_err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct rt_finished *row = &list->rows[i];
        for (unsigned n = 0; n < row->retries; n++) {
            rt_put_int(&w->retries, run->id);
            rt_put_count(&w->retries, row->id);
            rt_put_int(&w->retries, n + 1);
            rt_put_int(&w->retries, row->losses[n].replica);
            rt_put_int(&w->retries, row->losses[n].lost_ns);
            rt_put_time(&w->retries, row->losses[n].sent_ns);
            if (!begin(w, err) || !insert(w, &w->retries, err))
                return false;
        }
    }
    return true;
}

/* Who finished left then, who was refused on arrival never was there. */
static bool write_left(struct rt_rows_writer *w, const struct rt_open_run *run,
                       const struct rt_finished_list *list, struct rt_err *err)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct rt_finished *row = &list->rows[i];
        if (row->status == RT_STATUS_OK || row->status == RT_STATUS_UNFINISHED ||
            row->left_ns <= row->arrival_ns)
            continue;
        rt_put_int(&w->left, run->id);
        rt_put_count(&w->left, row->id);
        rt_put_int(&w->left, row->left_ns);
        if (!begin(w, err) || !insert(w, &w->left, err))
            return false;
    }
    return true;
}

bool rt_rows_write(struct rt_rows_writer *w, const struct rt_open_run *run,
                   const struct rt_finished_list *list, struct rt_err *err)
{
    unsigned rows;

    for (size_t at = 0; at < list->count; at += rows) {
        struct rt_insert *in = choose(w, &w->requests, list->count - at, &rows, err);
        for (unsigned i = 0; in && i < rows; i++)
            put_row(in, run, &list->rows[at + i]);
        if (!in || !insert(w, in, err))
            return false;
    }
    return write_retries(w, run, list, err) && write_left(w, run, list, err);
}

bool rt_rows_write_steps(struct rt_rows_writer *w, const struct rt_open_run *run,
                         const struct rt_step_list *list, struct rt_err *err)
{
    unsigned rows;

    for (size_t at = 0; at < list->count; at += rows) {
        struct rt_insert *in = choose(w, &w->steps, list->count - at, &rows, err);
        for (unsigned i = 0; in && i < rows; i++)
            put_step(in, run, &list->rows[at + i]);
        if (!in || !insert(w, in, err))
            return false;
    }
    return true;
}
