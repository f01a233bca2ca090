/* Out of memory in metrics, store and query: the n-th allocation fails, for every n until all goes
 * through. Ours are wrapped by the linker and must end in RT_ENOMEM; SQLite's are replaced through
 * its configuration and must end in an error, whichever it makes of it. Nothing leaks (asan looks),
 * and the database stays one. */
#include "fixture.h"

#include "rooftrace/compare.h"
#include "rooftrace/query.h"
#include "support/failing_alloc.h"

static atomic_long of_sqlite = -1; /* as failing_alloc_countdown, for SQLite's allocations */
static sqlite3_mem_methods real_methods;

static void *sqlite_malloc(int size)
{
    return failing_alloc_fails(&of_sqlite) ? NULL : real_methods.xMalloc(size);
}

static void *sqlite_realloc(void *old, int size)
{
    return failing_alloc_fails(&of_sqlite) ? NULL : real_methods.xRealloc(old, size);
}

/* ---- metrics ---- */

static bool all_metrics(struct fixture *f, const struct rt_finished *rows, size_t n,
                        struct rt_err *err)
{
    struct rt_metrics *m;
    struct rt_metrics_result result;
    bool ok = rt_metrics_new(&f->scenario, 20, &m, err);

    for (size_t i = 0; ok && i < n; i++)
        ok = rt_metrics_add(m, &rows[i], err);
    ok = ok && rt_metrics_result(m, NULL, &result, err);
    rt_metrics_free(m);
    return ok;
}

static void metrics(void **state)
{
    struct rt_finished rows[60];
    struct fixture f;
    long n = 0;

    (void)state;
    fixture_init(&f);
    for (uint64_t i = 0; i < 60; i++)
        rows[i] = fixture_row(&f, i * 10);
    for (bool ok = false; !ok; n++) {
        struct rt_err err = {RT_OK, ""};
        atomic_store(failing_alloc_countdown(), n);
        ok = all_metrics(&f, rows, 60, &err);
        atomic_store(failing_alloc_countdown(), -1);
        assert_int_equal(err.code, ok ? RT_OK : RT_ENOMEM);
    }
    assert_true(n > 20);
    fixture_release(&f);
}

/* ---- a run into a store, and back ---- */

static bool write_and_read(struct fixture *f, struct rt_finished_list *rows,
                           const struct rt_run_end *end, struct rt_err *err)
{
    struct rt_run_start start = fixture_start(f);
    struct rt_run_summary summary;
    struct rt_store *s = NULL;
    struct rt_db *db = NULL;
    int64_t run_id = 0;
    bool ok = rt_store_check(f->db, err) && rt_store_open(f->db, &s, err) &&
              rt_store_begin(s, &start, &run_id, err) && rt_store_put(s, run_id, rows, err);
    struct rt_err later;

    if (run_id != 0 && !rt_store_end(s, run_id, end, ok ? err : &later))
        ok = false;
    rt_store_close(s);
    ok = ok && rt_db_open(f->db, &db, err) && rt_db_summary(db, 0, &summary, err);
    rt_db_close(db);
    return ok;
}

/* Runs with the n-th allocation failing, for n = 0, step, 2 step, ...; how many failed. */
static long fail_each(atomic_long *countdown, long step, bool only_nomem)
{
    struct fixture f;
    struct rt_finished_list rows;
    struct rt_run_end end;
    long failed = 0;
    bool ok = false;

    fixture_init(&f);
    for (long n = 0; !ok; n += step) {
        struct rt_err err = {RT_OK, ""};
        rt_finished_list_init(&rows);
        fixture_rows(&f, &rows, 40);
        end = fixture_end(&f, 40);
        atomic_store(countdown, n);
        ok = write_and_read(&f, &rows, &end, &err);
        atomic_store(countdown, -1);
        rt_finished_list_release(&rows);
        if (ok)
            break;
        failed++;
        assert_true(err.code == RT_ENOMEM || (!only_nomem && err.code == RT_EDB));
        if (access(f.db, F_OK) == 0)
            assert_sql(f.db, "PRAGMA integrity_check", "ok\n");
    }
    fixture_release(&f);
    return failed;
}

static void store_and_query(void **state)
{
    (void)state;
    assert_true(fail_each(failing_alloc_countdown(), 1, true) > 10);
}

static void sqlite_inside(void **state)
{
    sqlite3_mem_methods failing;

    (void)state;
    sqlite3_shutdown();
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_methods), SQLITE_OK);
    failing = real_methods;
    failing.xMalloc = sqlite_malloc;
    failing.xRealloc = sqlite_realloc;
    assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &failing), SQLITE_OK);
    assert_true(fail_each(&of_sqlite, 97, false) > 10);
    sqlite3_shutdown();
    sqlite3_config(SQLITE_CONFIG_MALLOC, &real_methods);
}

/* ---- two logs: the JSON and the CSV of the same requests ---- */

static bool load_and_compare(const char *json, const char *csv, struct rt_err *err)
{
    struct rt_request_log a = {0}, b = {0};
    struct rt_comparison c;
    bool ok = rt_log_load(json, NULL, 0, &a, err) && rt_log_load(csv, NULL, 0, &b, err) &&
              rt_compare(&a, &b, RT_COMPARE_ID, &c, err);

    rt_log_release(&a);
    rt_log_release(&b);
    return ok;
}

static void logs(void **state)
{
    struct fixture f;
    FILE *json, *csv;
    char path[160];
    long n = 0;

    (void)state;
    fixture_init(&f);
    snprintf(path, sizeof path, "%.60s/other.db", f.folder);
    json = fopen(path, "w");
    csv = fopen(f.db, "w");
    fputs("{\"ttfts\": [0.5", json);
    fputs("id,ttft_s\n0,1\n", csv);
    for (int i = 1; i < 600; i++) { /* arrays that grow */
        fputs(",1.5", json);
        fprintf(csv, "%d,1\n", i);
    }
    fputs("], \"itls\": [[0.1, 0.2], [1]]}", json);
    fclose(json);
    fclose(csv);
    for (bool ok = false; !ok; n++) {
        struct rt_err err = {RT_OK, ""};
        atomic_store(failing_alloc_countdown(), n);
        ok = load_and_compare(path, f.db, &err);
        atomic_store(failing_alloc_countdown(), -1);
        assert_int_equal(err.code, ok ? RT_OK : RT_ENOMEM);
    }
    assert_true(n > 15);
    fixture_release(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics),
        cmocka_unit_test(logs),
        cmocka_unit_test(store_and_query),
        cmocka_unit_test(sqlite_inside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
