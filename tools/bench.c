/* The benchmark behind tools/bench: how long each stage takes for one trace on one fleet, and how
 * far the whole is from the floor, the time SQLite needs to insert the same rows into the same
 * schema.
 *
 *   rooftrace_bench TRACE REPEAT REPLICAS FOLDER RUNS [--json]
 *
 * Stages (wall-clock seconds, best of RUNS; the databases go to FOLDER):
 *   end to end  trace file to closed database, as `rooftrace run` does it
 *   parse       pulling the source to its end
 *   simulate    the simulation to its end, reading included, rows thrown away
 *   write       the rows, already in memory, through the store (its queue and its writer thread)
 *   floor       the same rows, already in memory, by one prepared INSERT in one thread into a fresh
 *               database with the same schema and the store's pragmas, in one transaction: a row a
 *               statement, and as many as the store gives it
 * Peak memory is that of the process after the end-to-end stages, before any other stage ran. */
#include "rooftrace/trial.h"

#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_COLUMNS      32
#define ROWS_A_STATEMENT 32 /* as src/results/rows.c */

struct options {
    const char *trace, *folder;
    uint64_t repeat;
    int64_t replicas;
    int runs;
    bool json;
};

struct figures {
    double end_to_end_s, parse_s, simulate_s, write_s, floor_s, batched_s;
    uint64_t requests, steps;
    double peak_bytes, database_bytes, simulated_s;
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double peak_bytes(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
#ifdef __APPLE__
    return (double)use.ru_maxrss;
#else
    return (double)use.ru_maxrss * 1024;
#endif
}

static void keep_best(double *best, double value)
{
    if (*best == 0 || value < *best)
        *best = value;
}

static bool need(bool ok, const struct rt_err *err)
{
    if (!ok)
        fprintf(stderr, "rooftrace_bench: %s\n", err->msg);
    return ok;
}

static void database_path(const struct options *o, const char *name, char path[1024])
{
    snprintf(path, 1024, "%s/%s", o->folder, name);
    unlink(path);
}

/* ---- stages through the library -------------------------------------------------------------- */

/* The workload section as rt_workload_parse wants it; the path goes in by hand, as it may hold
 * quotes. */
static bool read_scenario(const struct options *o, struct rt_scenario *s, struct rt_err *err)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"workload\": {\"trace\": \"trace\", \"repeat\": %" PRIu64 "},"
             " \"model\": \"llama-3.1-8b\","
             " \"pools\": [{\"name\": \"main\", \"gpu\": \"h100-sxm\", \"replicas\": %" PRId64
             "}]}",
             o->repeat, o->replicas);
    struct rt_catalog *catalog = NULL;
    struct rt_json *doc = NULL;
    bool ok = rt_catalog_open(NULL, &catalog, err) &&
              rt_json_parse(text, strlen(text), "bench", &doc, err);
    if (ok) {
        struct rt_json_at root = rt_json_root(doc);
        ok = rt_scenario_parse(&root, catalog, s, err);
    }
    rt_json_free(doc);
    rt_catalog_free(catalog);
    if (!ok)
        return false;
    free(s->workload.trace);
    s->workload.trace = strdup(o->trace);
    if (s->workload.trace)
        return true;
    rt_scenario_release(s);
    return rt_fail_nomem(err, "the trace's name");
}

static bool end_to_end(const struct options *o, const struct rt_scenario *s, struct figures *f,
                       struct rt_err *err)
{
    char path[1024];
    database_path(o, "bench.db", path);
    struct rt_trial_options options = {.output = path};
    struct rt_trial_progress progress = {0};
    struct rt_trial *trial = NULL;
    enum rt_trial_answer answer = RT_TRIAL_MORE;
    double begin = seconds();
    if (!rt_trial_new(s, &options, &trial, err))
        return false;
    while (answer == RT_TRIAL_MORE)
        answer = rt_trial_step(trial, &progress, err);
    struct rt_sim_totals totals = rt_sim_totals(rt_trial_sim(trial));
    rt_trial_free(trial);
    keep_best(&f->end_to_end_s, seconds() - begin);
    struct stat file;
    if (stat(path, &file) == 0)
        f->database_bytes = (double)file.st_size;
    f->requests = totals.arrived;
    f->steps = totals.steps;
    f->simulated_s = (double)totals.now_ns * 1e-9;
    return answer == RT_TRIAL_DONE;
}

static bool parse(const struct rt_scenario *s, struct figures *f, struct rt_err *err)
{
    struct rt_source *source = NULL;
    struct rt_request request;
    int64_t now = 0, later = 0;
    double begin = seconds();
    if (!rt_workload_open(&s->workload, &source, err))
        return false;
    enum rt_pull pull = rt_source_next(source, now, &request, &later, err);
    while (pull == RT_PULL_REQUEST || pull == RT_PULL_LATER) {
        if (pull == RT_PULL_LATER)
            now = later;
        pull = rt_source_next(source, now, &request, &later, err);
    }
    rt_source_free(source);
    keep_best(&f->parse_s, seconds() - begin);
    return pull == RT_PULL_END;
}

struct chunks { /* rows kept for the stage `write` */
    struct rt_finished_list *lists;
    size_t count, capacity;
};

static void chunks_release(struct chunks *c)
{
    for (size_t i = 0; i < c->count; i++)
        rt_finished_list_release(&c->lists[i]);
    free(c->lists);
}

static struct rt_finished_list *chunks_next(struct chunks *c)
{
    if (c->count == c->capacity) {
        size_t capacity = c->capacity * 2 + 64;
        void *grown = realloc(c->lists, capacity * sizeof *c->lists);
        if (!grown)
            return NULL;
        c->lists = grown;
        c->capacity = capacity;
    }
    rt_finished_list_init(&c->lists[c->count]);
    return &c->lists[c->count++];
}

/* Runs the simulation to its end. keep = NULL: rows are thrown away. */
static bool simulate(const struct rt_scenario *s, struct chunks *keep, struct rt_sim **out,
                     struct rt_err *err)
{
    struct rt_source *source = NULL;
    struct rt_finished_list scratch, *rows = &scratch;
    rt_finished_list_init(&scratch);
    *out = NULL;
    if (!rt_workload_open(&s->workload, &source, err) || !rt_sim_new(s, source, out, err))
        return false;
    enum rt_sim_answer answer;
    do {
        if (keep && !(rows = chunks_next(keep))) {
            rt_fail_nomem(err, "rows");
            answer = RT_SIM_ERROR;
            break;
        }
        rt_finished_list_reset(rows);
        answer = rt_sim_next(*out, 4096, rows, err);
    } while (answer == RT_SIM_MORE);
    rt_finished_list_release(&scratch);
    return answer == RT_SIM_DONE;
}

static bool simulate_only(const struct rt_scenario *s, struct figures *f, struct rt_err *err)
{
    struct rt_sim *sim = NULL;
    double begin = seconds();
    bool ok = simulate(s, NULL, &sim, err);
    rt_sim_free(sim);
    keep_best(&f->simulate_s, seconds() - begin);
    return ok;
}

/* The run as the trial would describe it, without metrics and samples: a few rows. */
static bool put_all(struct rt_store *store, const struct rt_scenario *s, struct rt_sim *sim,
                    struct chunks *rows, struct rt_err *err)
{
    int64_t run_id = 0;
    struct rt_run_pool pool = {s->fleet.pools, *rt_fleet_pool(rt_sim_fleet(sim), 0)};
    struct rt_run_start start = {.scenario_json = "{}",
                                 .trace = s->workload.trace,
                                 .version = "bench",
                                 .scenario = s,
                                 .pools = &pool,
                                 .pool_count = 1,
                                 .source = rt_sim_source(sim)};
    if (!rt_store_begin(store, &start, &run_id, err))
        return false;
    for (size_t i = 0; i < rows->count; i++)
        if (!rt_store_put(store, run_id, &rows->lists[i], err))
            return false;
    struct rt_run_end end = {.status = RT_RUN_COMPLETE, .totals = rt_sim_totals(sim)};
    end.source = *rt_source_stats(rt_sim_source(sim));
    return rt_store_end(store, run_id, &end, err);
}

static bool write_only(const struct options *o, const struct rt_scenario *s, struct figures *f,
                       struct rt_err *err)
{
    char path[1024];
    database_path(o, "write.db", path);
    struct chunks rows = {0};
    struct rt_sim *sim = NULL;
    struct rt_store *store = NULL;
    bool ok = simulate(s, &rows, &sim, err);
    double begin = seconds();
    ok = ok && rt_store_open(path, &store, err) && put_all(store, s, sim, &rows, err);
    rt_store_close(store);
    if (ok)
        keep_best(&f->write_s, seconds() - begin);
    rt_sim_free(sim);
    chunks_release(&rows);
    unlink(path);
    return ok;
}

/* ---- the floor ------------------------------------------------------------------------------- */

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

static bool insert_once(const struct options *o, sqlite3 *from, const struct table *t, int batch,
                        double *best_s, struct rt_err *err)
{
    char path[1024];
    database_path(o, "floor.db", path);
    sqlite3 *db = NULL;
    double begin = seconds();
    bool ok = sqlite3_open(path, &db) == SQLITE_OK || sql_failed(db, err);
    ok = ok && copy_schema(from, db, err) && insert_all(db, t, batch, err);
    sqlite3_close(db);
    if (ok)
        keep_best(best_s, seconds() - begin);
    unlink(path);
    return ok;
}

static bool bare_insertion(const struct options *o, struct figures *f, struct rt_err *err)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/bench.db", o->folder);
    sqlite3 *from = NULL;
    struct table t = {0};
    bool ok = sqlite3_open_v2(path, &from, SQLITE_OPEN_READONLY, NULL) == SQLITE_OK ||
              sql_failed(from, err);
    ok = ok && read_table(from, &t, err);
    if (ok && t.rows != f->requests)
        ok = rt_fail(err, RT_EDB, "floor: %zu rows in the database, %" PRIu64 " requests", t.rows,
                     f->requests);
    for (int run = 0; run < o->runs && ok; run++)
        ok = insert_once(o, from, &t, 1, &f->floor_s, err) &&
             insert_once(o, from, &t, ROWS_A_STATEMENT, &f->batched_s, err);
    table_release(&t);
    sqlite3_close(from);
    unlink(path);
    return ok;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool measure(const struct options *o, struct figures *f, struct rt_err *err)
{
    struct rt_scenario s;
    if (!read_scenario(o, &s, err))
        return false;
    bool ok = true;
    for (int run = 0; run < o->runs && ok; run++)
        ok = end_to_end(o, &s, f, err);
    f->peak_bytes = peak_bytes();
    for (int run = 0; run < o->runs && ok; run++)
        ok = parse(&s, f, err) && simulate_only(&s, f, err) && write_only(o, &s, f, err);
    rt_scenario_release(&s);
    return ok && bare_insertion(o, f, err);
}

static double ns_per_step(const struct figures *f)
{
    return (f->simulate_s - f->parse_s) * 1e9 / (double)f->steps;
}

static void print_json(const struct options *o, const struct figures *f)
{
    printf("{\"replicas\": %" PRId64 ", \"repeat\": %" PRIu64 ", \"runs\": %d, ", o->replicas,
           o->repeat, o->runs);
    printf("\"requests\": %" PRIu64 ", \"steps\": %" PRIu64 ", \"simulated_s\": %.3f, ",
           f->requests, f->steps, f->simulated_s);
    printf("\"parse_s\": %.4f, \"simulate_s\": %.4f, \"write_s\": %.4f, ", f->parse_s,
           f->simulate_s, f->write_s);
    printf("\"end_to_end_s\": %.4f, \"requests_per_s\": %.0f, \"ns_per_step\": %.3f, ",
           f->end_to_end_s, (double)f->requests / f->end_to_end_s, ns_per_step(f));
    printf("\"peak_bytes\": %.0f, \"database_bytes\": %.0f, ", f->peak_bytes, f->database_bytes);
    printf("\"floor_s\": %.4f, \"ratio\": %.3f, ", f->floor_s, f->end_to_end_s / f->floor_s);
    printf("\"floor_batched_s\": %.4f, \"ratio_batched\": %.3f}\n", f->batched_s,
           f->end_to_end_s / f->batched_s);
}

static void print_text(const struct options *o, const struct figures *f)
{
    printf("%s x %" PRIu64 ", %" PRId64 " replicas: %" PRIu64 " requests, %.0f simulated s\n",
           o->trace, o->repeat, o->replicas, f->requests, f->simulated_s);
    printf("  parse               %10.3f s\n", f->parse_s);
    printf("  simulate            %10.3f s   (reading included)\n", f->simulate_s);
    printf("  write               %10.3f s\n", f->write_s);
    printf("  end to end          %10.3f s\n", f->end_to_end_s);
    printf("  requests per second %10.0f\n", (double)f->requests / f->end_to_end_s);
    printf("  peak memory         %10.1f MB\n", f->peak_bytes / 1e6);
    printf("  engine steps        %10" PRIu64 "\n", f->steps);
    printf("  ns per step         %10.1f     ((simulate - parse) / steps)\n", ns_per_step(f));
    printf("  database            %10.1f MB\n", f->database_bytes / 1e6);
    printf("  floor               %10.3f s   (bare insertion, a row a statement)\n", f->floor_s);
    printf("  end to end / floor  %10.2f\n", f->end_to_end_s / f->floor_s);
    printf("  floor, batched      %10.3f s   (bare insertion, %d rows a statement)\n", f->batched_s,
           ROWS_A_STATEMENT);
    printf("  end to end / that   %10.2f\n", f->end_to_end_s / f->batched_s);
}

int main(int argc, char **argv)
{
    if (argc < 6) {
        fputs("usage: rooftrace_bench TRACE REPEAT REPLICAS FOLDER RUNS [--json]\n", stderr);
        return 2;
    }
    struct options o = {.trace = argv[1],
                        .repeat = strtoull(argv[2], NULL, 10),
                        .replicas = strtoll(argv[3], NULL, 10),
                        .folder = argv[4],
                        .runs = (int)strtol(argv[5], NULL, 10),
                        .json = argc > 6 && strcmp(argv[6], "--json") == 0};
    struct figures f = {0};
    struct rt_err err = {0};
    if (!need(measure(&o, &f, &err), &err))
        return 1;
    if (o.json)
        print_json(&o, &f);
    else
        print_text(&o, &f);
    return 0;
}
