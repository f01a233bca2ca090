/* trace_files.c: see trace_files.h. */
#include "trace_files.h"

#include "support/test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

int trace_dir_setup(void **state)
{
    const char *base = getenv("TMPDIR");
    struct trace_dir *d = calloc(1, sizeof *d);
    assert_non_null(d);
    (void)snprintf(d->path, sizeof d->path, "%s/rooftrace-test-XXXXXX", base ? base : "/tmp");
    assert_non_null(mkdtemp(d->path));
    *state = d;
    return 0;
}

int trace_dir_teardown(void **state)
{
    struct trace_dir *d = *state;
    DIR *dir = opendir(d->path);
    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        (void)snprintf(d->file, sizeof d->file, "%s/%s", d->path, e->d_name);
        assert_int_equal(unlink(d->file), 0);
    }
    (void)closedir(dir);
    assert_int_equal(rmdir(d->path), 0);
    free(d);
    return 0;
}

const char *trace_write(struct trace_dir *d, const char *name, const void *bytes, size_t len)
{
    (void)snprintf(d->file, sizeof d->file, "%s/%s", d->path, name);
    FILE *f = fopen(d->file, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    return d->file;
}

const char *trace_text(struct trace_dir *d, const char *name, const char *text)
{
    return trace_write(d, name, text, strlen(text));
}

struct blob gzip_of(const void *bytes, size_t len)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t capacity = deflateBound(&z, len);
    struct blob b = {malloc(capacity), 0};
    assert_non_null(b.bytes);
    z.next_in = (unsigned char *)(uintptr_t)bytes;
    z.avail_in = (uInt)len;
    z.next_out = b.bytes;
    z.avail_out = (uInt)capacity;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    b.len = capacity - z.avail_out;
    assert_int_equal(deflateEnd(&z), Z_OK);
    return b;
}

struct blob zstd_of(const void *bytes, size_t len)
{
    size_t capacity = ZSTD_compressBound(len);
    struct blob b = {malloc(capacity), 0};
    assert_non_null(b.bytes);
    b.len = ZSTD_compress(b.bytes, capacity, bytes, len, 3);
    assert_false(ZSTD_isError(b.len));
    return b;
}

struct blob blob_join(struct blob a, struct blob b)
{
    a.bytes = realloc(a.bytes, a.len + b.len);
    assert_non_null(a.bytes);
    memcpy(a.bytes + a.len, b.bytes, b.len);
    a.len += b.len;
    free(b.bytes);
    return a;
}

static void add_copy(struct trace_rows *rows, const struct rt_request *r)
{
    if ((rows->count & (rows->count - 1)) == 0) { /* full at 0, 1, 2, 4 ... */
        size_t capacity = rows->count == 0 ? 1 : rows->count * 2;
        rows->rows = realloc(rows->rows, capacity * sizeof *rows->rows);
        assert_non_null(rows->rows);
    }
    struct rt_request *copy = &rows->rows[rows->count++];
    *copy = *r;
    if (r->session != NULL)
        copy->session = strdup(r->session);
    if (r->hash_count == 0)
        return;
    uint64_t *ids = malloc(r->hash_count * sizeof *ids);
    assert_non_null(ids);
    memcpy(ids, r->hash_ids, r->hash_count * sizeof *ids);
    copy->hash_ids = ids;
}

struct trace_rows read_rows(const char *path, const char *format)
{
    struct trace_rows rows = {.rows = NULL};
    struct rt_trace *t;
    struct rt_request r;
    int found;
    if (!rt_trace_open(path, format, &t, &rows.err)) {
        rows.failed = true;
        return rows;
    }
    while ((found = rt_trace_read(t, &r, &rows.err)) == 1)
        add_copy(&rows, &r);
    rows.failed = found < 0;
    rt_trace_free(t);
    return rows;
}

struct trace_rows pull_rows(const struct rt_workload_spec *spec, struct rt_source_stats *stats)
{
    struct trace_rows rows = {.rows = NULL};
    struct rt_source *s;
    struct rt_request r;
    int64_t not_before;
    enum rt_pull pull;
    if (!rt_workload_open(spec, &s, &rows.err)) {
        rows.failed = true;
        return rows;
    }
    while ((pull = rt_source_next(s, INT64_MAX, &r, &not_before, &rows.err)) == RT_PULL_REQUEST)
        add_copy(&rows, &r);
    assert_true(pull == RT_PULL_END || pull == RT_PULL_ERROR);
    rows.failed = pull == RT_PULL_ERROR;
    assert_int_equal(rt_source_next(s, INT64_MAX, &r, &not_before, &rows.err), pull);
    if (stats != NULL)
        *stats = *rt_source_stats(s);
    rt_source_free(s);
    return rows;
}

struct trace_rows pull_file(const char *path)
{
    struct rt_workload_spec spec;
    rt_workload_init(&spec);
    spec.trace = strdup(path);
    struct trace_rows rows = pull_rows(&spec, NULL);
    rt_workload_release(&spec);
    return rows;
}

void rows_free(struct trace_rows *r)
{
    for (size_t i = 0; i < r->count; i++) {
        free((void *)(uintptr_t)r->rows[i].session);
        free((void *)(uintptr_t)r->rows[i].hash_ids);
    }
    free(r->rows);
    *r = (struct trace_rows){.rows = NULL};
}

void rows_expect(const struct trace_rows *r, size_t count)
{
    if (r->failed)
        fail_msg("%s", r->err.msg);
    assert_int_equal(r->count, count);
}
