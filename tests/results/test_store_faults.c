/* What goes wrong around a store: files that are not ours, locks, a full disk at every write, death
 * by kill -9 at random moments. */
#include "fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <uv.h>

static int set_up(void **state)
{
    struct fixture *f = malloc(sizeof *f);
    fixture_init(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_release(*state);
    free(*state);
    return 0;
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, size, out), size);
    assert_int_equal(fclose(out), 0);
}

/* The file's bytes; the caller frees. */
static char *read_file(const char *path, size_t *size)
{
    FILE *in = fopen(path, "rb");
    char *bytes;

    assert_non_null(in);
    assert_int_equal(fseek(in, 0, SEEK_END), 0);
    *size = (size_t)ftell(in);
    rewind(in);
    bytes = malloc(*size + 1);
    assert_int_equal(fread(bytes, 1, *size, in), *size);
    fclose(in);
    return bytes;
}

/* Neither check nor open takes the file, and it stays as it is. */
static void assert_refused(const struct fixture *f, const char *text)
{
    struct rt_store *s;
    struct rt_err err;
    size_t before_size, after_size;
    char *before = read_file(f->db, &before_size), *after;
    char journal[128];

    assert_fails(rt_store_check(f->db, &err), &err, RT_EDB, text);
    assert_fails(rt_store_open(f->db, &s, &err), &err, RT_EDB, text);
    assert_null(s);
    if (!strstr(err.msg, f->db))
        fail_msg("\"%s\" does not name the file", err.msg);
    after = read_file(f->db, &after_size);
    assert_int_equal(before_size, after_size);
    assert_memory_equal(before, after, before_size);
    snprintf(journal, sizeof journal, "%s-journal", f->db);
    assert_int_not_equal(access(journal, F_OK), 0);
    free(before);
    free(after);
}

static void sql_on(const char *path, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static void one_run(struct fixture *f, uint64_t n)
{
    struct rt_store *s;
    struct rt_err err;

    assert_ok(rt_store_open(f->db, &s, &err), &err);
    fixture_run(f, s, n);
    rt_store_close(s);
}

/* ---- other files ---- */

static void not_sqlite(void **state)
{
    struct fixture *f = *state;
    char big[20000];

    memset(big, 'x', sizeof big);
    write_file(f->db, "a", 1);
    assert_refused(f, "not an SQLite database");
    write_file(f->db, "TIMESTAMP,ContextTokens\n1,2\n", 28);
    assert_refused(f, "not an SQLite database");
    write_file(f->db, "SQLite format 3", 16); /* a header that is cut */
    assert_refused(f, "not an SQLite database");
    write_file(f->db, big, sizeof big);
    assert_refused(f, "not an SQLite database");
}

static void other_databases(void **state)
{
    struct fixture *f = *state;

    sql_on(f->db, "CREATE TABLE run (a); INSERT INTO run VALUES (1)");
    assert_refused(f, "another program");
    sql_on(f->db, "PRAGMA application_id = 12345");
    assert_refused(f, "another program");
    sql_on(f->db, "PRAGMA application_id = 1380340818"); /* ours, but version 0 */
    assert_refused(f, "schema version 0");
    unlink(f->db);
    sql_on(f->db, "VACUUM"); /* a database with nothing in it is still somebody's */
    if (access(f->db, F_OK) == 0)
        assert_refused(f, "another program");
}

static void other_schema_version(void **state)
{
    struct fixture *f = *state;

    one_run(f, 10);
    sql_on(f->db, "PRAGMA user_version = 2");
    assert_refused(f, "has schema version 2, this rooftrace reads and writes version 1");
}

/* A header that is ours with garbage behind it. */
static void damaged(void **state)
{
    struct fixture *f = *state;
    struct rt_store *s;
    struct rt_err err;
    size_t size;
    char *bytes;

    one_run(f, 10);
    bytes = read_file(f->db, &size);
    memset(bytes + 100, 0xee, size - 100);
    write_file(f->db, bytes, size);
    assert_fails(rt_store_open(f->db, &s, &err), &err, RT_EDB, "damaged");
    free(bytes);
}

static void empty_and_missing_files(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    struct rt_err err;

    assert_ok(rt_store_check(f->db, &err), &err);
    assert_int_not_equal(access(f->db, F_OK), 0); /* check made nothing */
    write_file(f->db, "", 0);
    assert_ok(rt_store_check(f->db, &err), &err);
    assert_int_equal(stat(f->db, &st), 0);
    assert_int_equal(st.st_size, 0);
    one_run(f, 10);
    assert_sql(f->db, "SELECT count(*) FROM request", "10\n");
}

static void paths(void **state)
{
    struct fixture *f = *state;
    struct rt_store *s;
    struct rt_err err;
    char path[160];

    assert_fails(rt_store_check("", &err), &err, RT_EDB, "empty");
    assert_fails(rt_store_check(f->folder, &err), &err, RT_EDB, "is a folder");
    assert_fails(rt_store_open(f->folder, &s, &err), &err, RT_EDB, "is a folder");
    assert_fails(rt_store_check("/dev/null", &err), &err, RT_EDB, "not a regular file");
    snprintf(path, sizeof path, "%s/no/such/out.db", f->folder);
    assert_fails(rt_store_check(path, &err), &err, RT_EDB, "does not exist");
    assert_fails(rt_store_open(path, &s, &err), &err, RT_EDB, "does not exist");
    assert_int_not_equal(access(path, F_OK), 0);
}

/* Names that SQLite would read as something else. */
static void names_are_files(void **state)
{
    static const char *const names[] = {":memory:", "file:x.db?mode=memory", "a b's.db"};
    struct fixture *f = *state;
    char here[4096];

    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(chdir(f->folder), 0);
    for (size_t i = 0; i < 3; i++) {
        struct rt_store *s;
        struct rt_err err;
        struct stat st;
        assert_ok(rt_store_open(names[i], &s, &err), &err);
        rt_store_close(s);
        assert_int_equal(stat(names[i], &st), 0);
        assert_true(st.st_size > 0);
        unlink(names[i]);
    }
    assert_int_equal(chdir(here), 0);
}

/* Opening and checking fail so, as a user who is not root: 0, or the line that did not hold. */
static int refused_as_user(const struct fixture *f)
{
    struct rt_store *s;
    struct rt_err err;

    if (geteuid() == 0 && setuid(65534) != 0)
        return __LINE__;
    if (rt_store_check(f->db, &err) || err.code != RT_EDB || !strstr(err.msg, "not writable"))
        return __LINE__;
    if (rt_store_open(f->db, &s, &err) || err.code != RT_EDB || !strstr(err.msg, "not writable"))
        return __LINE__;
    return 0;
}

static void assert_not_writable(const struct fixture *f)
{
    int status;
    pid_t pid = fork();

    if (pid == 0)
        _exit(refused_as_user(f) != 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void not_writable(void **state)
{
    struct fixture *f = *state;

    one_run(f, 10);
    chmod(f->folder, 0777);
    chmod(f->db, 0444);
    assert_not_writable(f);
    chmod(f->folder, 0555);
    chmod(f->db, 0666);
    assert_not_writable(f); /* no place for a journal */
    chmod(f->folder, 0755);
    unlink(f->db);
    chmod(f->folder, 0555);
    assert_not_writable(f);
    chmod(f->folder, 0755);
}

static void locked(void **state)
{
    struct fixture *f = *state;
    struct rt_store *s, *second;
    struct rt_err err;
    sqlite3 *db;

    one_run(f, 10);
    assert_int_equal(sqlite3_open(f->db, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
    assert_fails(rt_store_check(f->db, &err), &err, RT_EDB, "locked by another process");
    assert_fails(rt_store_open(f->db, &s, &err), &err, RT_EDB, "locked by another process");
    sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    assert_int_equal(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_fails(rt_store_open(f->db, &s, &err), &err, RT_EDB, "locked by another process");
    sqlite3_close(db);
    assert_ok(rt_store_open(f->db, &s, &err), &err);
    assert_ok(rt_store_open(f->db, &second, &err), &err); /* nobody is writing */
    rt_store_close(second);
    rt_store_close(s);
}

/* ---- a full disk: a VFS around the default one that fails once a number of bytes was written ----
 */

struct disk {
    sqlite3_vfs vfs;
    sqlite3_vfs *real;
    int64_t room;  /* bytes still taken */
    bool full;     /* something was refused */
    bool recovers; /* refuses one write, then takes all */
};

struct disk_file {
    sqlite3_file base;
    sqlite3_io_methods methods;
    struct disk *disk;
    sqlite3_file *real; /* behind this struct */
};

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct disk_file *)(void *)file)->real;
}

#define FORWARD(name, parameters, arguments)                                                       \
    static int disk_##name parameters                                                              \
    {                                                                                              \
        return real_of(file)->pMethods->x##name arguments;                                         \
    }
FORWARD(Read, (sqlite3_file * file, void *p, int n, sqlite3_int64 at), (real_of(file), p, n, at))
FORWARD(Truncate, (sqlite3_file * file, sqlite3_int64 size), (real_of(file), size))
FORWARD(Sync, (sqlite3_file * file, int flags), (real_of(file), flags))
FORWARD(FileSize, (sqlite3_file * file, sqlite3_int64 *size), (real_of(file), size))
FORWARD(Lock, (sqlite3_file * file, int level), (real_of(file), level))
FORWARD(Unlock, (sqlite3_file * file, int level), (real_of(file), level))
FORWARD(CheckReservedLock, (sqlite3_file * file, int *out), (real_of(file), out))
FORWARD(FileControl, (sqlite3_file * file, int op, void *p), (real_of(file), op, p))
FORWARD(SectorSize, (sqlite3_file * file), (real_of(file)))
FORWARD(DeviceCharacteristics, (sqlite3_file * file), (real_of(file)))
FORWARD(Close, (sqlite3_file * file), (real_of(file)))

static int disk_Write(sqlite3_file *file, const void *p, int n, sqlite3_int64 at)
{
    struct disk *d = ((struct disk_file *)(void *)file)->disk;

    if (d->room < n && !(d->recovers && d->full)) {
        d->full = true;
        return SQLITE_FULL;
    }
    d->room -= n;
    return real_of(file)->pMethods->xWrite(real_of(file), p, n, at);
}

static int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    struct disk *d = (struct disk *)(void *)vfs;
    struct disk_file *f = (struct disk_file *)(void *)file;
    int rc;

    f->disk = d;
    f->real = (sqlite3_file *)(void *)(f + 1);
    rc = d->real->xOpen(d->real, name, f->real, flags, out);
    f->methods = (sqlite3_io_methods){.iVersion = 1,
                                      .xClose = disk_Close,
                                      .xRead = disk_Read,
                                      .xWrite = disk_Write,
                                      .xTruncate = disk_Truncate,
                                      .xSync = disk_Sync,
                                      .xFileSize = disk_FileSize,
                                      .xLock = disk_Lock,
                                      .xUnlock = disk_Unlock,
                                      .xCheckReservedLock = disk_CheckReservedLock,
                                      .xFileControl = disk_FileControl,
                                      .xSectorSize = disk_SectorSize,
                                      .xDeviceCharacteristics = disk_DeviceCharacteristics};
    f->base.pMethods = rc == SQLITE_OK ? &f->methods : NULL;
    return rc;
}

static void disk_install(struct disk *d, int64_t room)
{
    memset(d, 0, sizeof *d);
    d->real = sqlite3_vfs_find(NULL);
    d->vfs = *d->real; /* the other methods do not look at their VFS argument's own fields */
    d->vfs.zName = "test-disk";
    d->vfs.szOsFile = (int)sizeof(struct disk_file) + d->real->szOsFile;
    d->vfs.xOpen = disk_open;
    d->room = room;
    assert_int_equal(sqlite3_vfs_register(&d->vfs, 1), SQLITE_OK);
}

static void disk_remove(struct disk *d)
{
    sqlite3_vfs_unregister(&d->vfs);
    sqlite3_vfs_register(d->real, 1);
}

/* A run of 1,200 rows that goes on until something fails. Every error must be the full disk. */
static bool run_until_full(struct fixture *f, struct rt_err *err)
{
    struct rt_run_start start = fixture_start(f);
    struct rt_finished_list all, part;
    struct rt_run_end end;
    struct rt_store *s;
    int64_t run_id = 0;
    bool ok;

    if (!rt_store_open(f->db, &s, err))
        return false;
    rt_finished_list_init(&all);
    rt_finished_list_init(&part);
    fixture_rows(f, &all, 1200);
    ok = rt_store_begin(s, &start, &run_id, err);
    for (size_t i = 0; ok && i < all.count; i++) {
        assert_true(rt_finished_list_add(&part, &all.rows[i]));
        if (part.count == 50)
            ok = rt_store_put(s, run_id, &part, err);
    }
    if (run_id) {
        struct rt_err at_end;
        end = fixture_end(f, 1200);
        if (!rt_store_end(s, run_id, &end, &at_end)) {
            assert_int_equal(at_end.code, RT_EDB);
            *err = at_end;
            ok = false;
        }
    }
    rt_store_close(s);
    rt_finished_list_release(&all);
    rt_finished_list_release(&part);
    return ok;
}

static void check_after_full_disk(struct fixture *f, bool recovers)
{
    assert_sql(f->db, "PRAGMA integrity_check", "ok\n");
    assert_sql(f->db, "SELECT status, count(*) FROM run WHERE run_id = 1 GROUP BY 1",
               "complete|1\n");
    assert_sql(f->db, "SELECT count(*) FROM request WHERE run_id = 1", "100\n");
    assert_sql(f->db, "SELECT count(*) FROM run WHERE run_id = 2 AND status = 'complete'", "0\n");
    if (recovers) /* once there is room again the run is marked, with the reason */
        assert_sql(f->db,
                   "SELECT count(*) FROM run WHERE run_id = 2 AND (status <> 'failed' OR"
                   " message NOT LIKE '%disk is full%')",
                   "0\n");
}

/* The second run of a file meets a full disk after `room` bytes, for many rooms. */
static void full_disk(void **state)
{
    struct fixture *f = *state;
    struct disk d;
    struct rt_err err;
    size_t size;
    unsigned fulls = 0;
    char *first;

    one_run(f, 100);
    first = read_file(f->db, &size);
    for (unsigned k = 0; k < 2; k++) {
        bool ok = false;
        for (int64_t room = 0; !ok; room += 1000 + room / 10) {
            write_file(f->db, first, size);
            disk_install(&d, room);
            d.recovers = k == 1;
            ok = run_until_full(f, &err);
            disk_remove(&d);
            assert_int_equal(ok, !d.full);
            if (ok)
                break;
            fulls++;
            assert_int_equal(err.code, RT_EDB);
            if (!strstr(err.msg, "the disk is full") || !strstr(err.msg, f->db))
                fail_msg("room %lld: %s", (long long)room, err.msg);
            check_after_full_disk(f, d.recovers);
        }
    }
    assert_true(fulls > 40);
    assert_sql(f->db, "SELECT count(*) FROM request WHERE run_id = 2", "1200\n");
    free(first);
}

/* Nothing could be written: no file, or one that the next run takes. */
static void full_disk_from_the_start(void **state)
{
    struct fixture *f = *state;
    struct rt_err err;
    struct disk d;
    bool ok = false;

    for (int64_t room = 0; !ok; room += 8192) {
        unlink(f->db);
        disk_install(&d, room);
        ok = run_until_full(f, &err);
        disk_remove(&d);
        if (ok)
            break;
        assert_int_equal(err.code, RT_EDB);
        one_run(f, 10);
        assert_sql(f->db, "PRAGMA integrity_check", "ok\n");
    }
}

/* Rows that were committed before the disk filled stay. */
static void full_disk_keeps_what_was_committed(void **state)
{
    struct fixture *f = *state;
    struct rt_run_start start = fixture_start(f);
    struct rt_finished_list list;
    struct rt_store *s;
    struct rt_err err;
    struct disk d;
    int64_t run_id;
    bool ok = true;

    disk_install(&d, INT64_MAX);
    rt_finished_list_init(&list);
    assert_ok(rt_store_open(f->db, &s, &err), &err);
    assert_ok(rt_store_begin(s, &start, &run_id, &err), &err);
    fixture_rows(f, &list, 64);
    assert_ok(rt_store_put(s, run_id, &list, &err), &err);
    for (unsigned tries = 0; tries < 600; tries++) { /* until they are committed */
        char *count;
        uv_sleep(100);
        count = fixture_read(f->db, "SELECT count(*) FROM request");
        ok = strcmp(count, "64\n") == 0;
        free(count);
        if (ok)
            break;
    }
    assert_true(ok);
    rt_store_close(s);
    d.room = 0;
    assert_ok(rt_store_open(f->db, &s, &err), &err);
    assert_fails(rt_store_begin(s, &start, &run_id, &err), &err, RT_EDB, "the disk is full");
    assert_fails(rt_store_begin(s, &start, &run_id, &err), &err, RT_EDB, "the disk is full");
    rt_store_close(s);
    disk_remove(&d);
    assert_sql(f->db, "SELECT count(*) FROM request", "64\n");
    rt_finished_list_release(&list);
}

/* ---- kill -9 ---- */

/* Writes without end, for the parent to kill: runs of 3,000 rows, or one run whose transactions are
 * larger than the page cache. */
static void child(struct fixture *f, bool large)
{
    struct rt_run_start start = fixture_start(f);
    struct rt_finished_list rows, list;
    struct rt_store *s;
    struct rt_err err;
    int64_t run_id;

    if (!rt_store_open(f->db, &s, &err))
        _exit(3);
    while (!large)
        fixture_run(f, s, 3000);
    rt_finished_list_init(&rows);
    rt_finished_list_init(&list);
    fixture_rows(f, &rows, 2000);
    if (!rt_store_begin(s, &start, &run_id, &err))
        _exit(4);
    for (;;) {
        for (size_t i = 0; i < rows.count; i++)
            if (!rt_finished_list_add(&list, &rows.rows[i]))
                _exit(5);
        if (!rt_store_put(s, run_id, &list, &err))
            _exit(6);
    }
}

static void check_after_kill(struct fixture *f)
{
    assert_sql(f->db, "PRAGMA integrity_check", "ok\n");
    assert_sql(f->db, "SELECT count(*) FROM run WHERE status NOT IN ('running', 'complete')",
               "0\n");
    /* Complete runs have all their rows; no row is without its run. */
    assert_sql(
        f->db,
        "SELECT count(*) FROM run AS r LEFT JOIN (SELECT run_id, count(*) AS rows FROM request"
        " GROUP BY run_id) AS q ON q.run_id = r.run_id"
        " WHERE r.status = 'complete' AND r.requests IS NOT q.rows",
        "0\n");
    assert_sql(f->db, "SELECT count(*) FROM request WHERE run_id NOT IN (SELECT run_id FROM run)",
               "0\n");
}

/* Milliseconds that a small run takes here: 1 to 5, far more with a sanitizer or on a busy machine.
 */
static unsigned small_run_ms(struct fixture *f)
{
    uint64_t begun = uv_hrtime();
    one_run(f, 20);
    unlink(f->db);
    return (unsigned)((uv_hrtime() - begun) / 1000000);
}

static void kill_at_random_moments(void **state)
{
    struct fixture *f = *state;
    uint64_t random = 99;
    unsigned running = 0, slow = small_run_ms(f), longest = slow > 10 ? 6 * slow : 60;

    for (unsigned i = 0; i < 24; i++) {
        bool large = i % 8 == 7; /* three of them */
        int status;
        char *last;
        pid_t pid = fork();
        if (pid == 0)
            child(f, large);
        assert_true(pid > 0);
        uv_sleep((unsigned)fixture_draw(&random, longest) + (large ? 8 * longest : 0));
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        if (access(f->db, F_OK) != 0)
            continue;
        last =
            fixture_read(f->db, "SELECT count(*) FROM sqlite_master"); /* 0: killed before that */
        if (strcmp(last, "0\n") != 0)
            check_after_kill(f);
        free(last);
        one_run(f, 20); /* the next run goes in behind it */
        check_after_kill(f);
        last = fixture_read(f->db, "SELECT sum(status = 'running') > 0 FROM run");
        running += strcmp(last, "1\n") == 0;
        free(last);
        if (i % 10 == 9)
            unlink(f->db);
    }
    assert_true(running > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(kill_at_random_moments, set_up, tear_down),
        cmocka_unit_test_setup_teardown(not_sqlite, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_databases, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_schema_version, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(empty_and_missing_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_are_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(not_writable, set_up, tear_down),
        cmocka_unit_test_setup_teardown(locked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_disk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_disk_from_the_start, set_up, tear_down),
        cmocka_unit_test_setup_teardown(full_disk_keeps_what_was_committed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
