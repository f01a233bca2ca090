/* Bytes and lines: plain, gzip and Zstandard files, whole, joined, cut and damaged; binary files;
 * very long lines; pipes. */
#include "support/test.h"

#include "trace_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER "arrival_s,prompt_tokens,output_tokens\n"
#define ROWS   40000 /* about 700 KB: several buffers of every stage */

static struct blob sample(size_t *header)
{
    struct blob b = {malloc(ROWS * 32 + 64), 0};
    assert_non_null(b.bytes);
    b.len = (size_t)sprintf((char *)b.bytes, HEADER);
    *header = b.len;
    for (int i = 0; i < ROWS; i++)
        b.len += (size_t)sprintf((char *)b.bytes + b.len, "%d.%06d,%d,%d\n", i / 7,
                                 i * 7919 % 999983, i % 5000, i % 777);
    return b;
}

static void expect_sample(const struct trace_rows *r)
{
    rows_expect(r, ROWS);
    for (int i = 0; i < ROWS; i++) {
        assert_int_equal(r->rows[i].prompt_tokens, i % 5000);
        assert_int_equal(r->rows[i].output_tokens, i % 777);
    }
}

static void expect_rows_of(void **state, struct blob b)
{
    struct trace_rows r = read_rows(trace_write(*state, "x.csv", b.bytes, b.len), NULL);
    expect_sample(&r);
    rows_free(&r);
    free(b.bytes);
}

/* The coding is told by the bytes, not by the name. */
static void codings(void **state)
{
    size_t h;
    struct blob plain = sample(&h);
    expect_rows_of(state, gzip_of(plain.bytes, plain.len));
    expect_rows_of(state, zstd_of(plain.bytes, plain.len));
    /* Members and frames one after the other, cut in the middle of a line, empty ones between. */
    size_t half = plain.len / 2;
    expect_rows_of(
        state, blob_join(gzip_of(plain.bytes, half),
                         blob_join(gzip_of("", 0), gzip_of(plain.bytes + half, plain.len - half))));
    expect_rows_of(
        state, blob_join(zstd_of(plain.bytes, half),
                         blob_join(zstd_of("", 0), zstd_of(plain.bytes + half, plain.len - half))));
    /* Zeros after the last gzip member are padding; a skippable Zstandard frame is skipped. */
    struct blob zeros = {calloc(1, 1000), 1000};
    expect_rows_of(state, blob_join(gzip_of(plain.bytes, plain.len), zeros));
    struct blob skip = {malloc(20), 20};
    memcpy(skip.bytes, "\x53\x2a\x4d\x18\x0c\0\0\0hello world!", 20);
    expect_rows_of(state, blob_join(skip, zstd_of(plain.bytes, plain.len)));
    expect_rows_of(state, plain);
}

static void expect_damage(void **state, struct blob b, size_t len, const char *message)
{
    struct trace_rows r = read_rows(trace_write(*state, "x.csv", b.bytes, len), NULL);
    assert_fails(!r.failed, &r.err, RT_ETRACE, message);
    /* Rows before the damage are right. */
    for (size_t i = 0; i < r.count && i < ROWS; i++)
        assert_int_equal(r.rows[i].prompt_tokens, i % 5000);
    rows_free(&r);
}

static void cut_files(void **state)
{
    size_t h;
    struct blob plain = sample(&h), z = gzip_of(plain.bytes, plain.len),
                s = zstd_of(plain.bytes, plain.len);
    static const unsigned parts[] = {1, 10, 500, 900, 999};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        expect_damage(state, z, z.len * parts[i] / 1000 + 3, "the gzip data is cut off");
        expect_damage(state, s, s.len * parts[i] / 1000 + 4, "the zstd data is cut off");
    }
    expect_damage(state, z, z.len - 1, "after ");
    expect_damage(state, z, z.len - 8, "decompressed bytes");
    expect_damage(state, s, s.len - 1, "the zstd data is cut off");
    /* The second member is missing its end. */
    struct blob two = blob_join(gzip_of(plain.bytes, plain.len), gzip_of("9,9,9\n", 6));
    expect_damage(state, two, two.len - 4, "the gzip data is cut off");
    expect_damage(state, two, z.len + 1, "the gzip data is cut off");
    /* A message tells the line. */
    struct trace_rows r = read_rows(trace_write(*state, "x.csv", z.bytes, z.len / 2), NULL);
    char place[64];
    (void)snprintf(place, sizeof place, "x.csv:%zu: the gzip data", r.count + 2);
    assert_fails(!r.failed, &r.err, RT_ETRACE, place);
    rows_free(&r);
    free(two.bytes);
    free(plain.bytes);
    free(z.bytes);
    free(s.bytes);
}

static void damaged_files(void **state)
{
    size_t h;
    struct blob plain = sample(&h);
    struct blob z = gzip_of(plain.bytes, plain.len);
    z.bytes[z.len - 6] ^= 0x10; /* the checksum */
    expect_damage(state, z, z.len, "the gzip data is corrupt after ");
    free(z.bytes);
    z = blob_join(gzip_of(plain.bytes, plain.len), gzip_of(plain.bytes, 0));
    z.bytes[z.len - 20] = 'x'; /* the second member's magic number: its first byte */
    expect_damage(state, z, z.len, "what follows the end is not gzip");
    free(z.bytes);
    struct blob s = zstd_of(plain.bytes, plain.len);
    memset(s.bytes + 40, 0xff, 64);
    expect_damage(state, s, s.len, "the zstd data is corrupt after 0 decompressed bytes");
    free(s.bytes);
    struct blob garbage = {malloc(8), 8};
    memcpy(garbage.bytes, "garbage!", 8);
    s = blob_join(zstd_of(plain.bytes, plain.len), garbage);
    expect_damage(state, s, s.len, "the zstd data is corrupt after ");
    free(s.bytes);
    free(plain.bytes);
}

static void other_files(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *message;
    } cases[] = {
        {"", 0, "x.csv: expected a trace, the file is empty"},
        {"BZh91AY&SY", 10, "this is bzip2-compressed"},
        {"\xfd"
         "7zXZ\0\0\4",
         8, "this is xz-compressed"},
        {"PK\3\4aaaaaaaa", 12, "this is a zip archive"},
        {"PAR1aaaaPAR1", 12, "this is a Parquet file"},
        {"SQLite format 3\0", 16, "this is an SQLite database"},
        {"\xff\xfe"
         "a\0r\0r\0",
         8, "this is UTF-16 text"},
        {"\x7f"
         "ELF\2\1\1\0\0\0",
         10, "x.csv:1:8: expected text, read a NUL byte"},
        {"arrival_s,prompt_tokens,output_tokens\n1,2\0,3\n", 45,
         "x.csv:2:4: expected text, read a NUL byte (is this a binary file?)"},
        {"\x89PNG\r\n\x1a\n", 8, "x.csv:1:1: expected a header"},
        {"a", 1, "x.csv:1:1: expected a header"},
    };
    struct rt_trace *t;
    struct rt_err err = {0};
    struct trace_dir *d = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trace_rows r =
            read_rows(trace_write(d, "x.csv", cases[i].bytes, cases[i].len), NULL);
        assert_fails(!r.failed, &r.err, RT_ETRACE, cases[i].message);
        rows_free(&r);
    }
    struct blob empty = gzip_of("", 0);
    struct trace_rows r = read_rows(trace_write(d, "x.csv", empty.bytes, empty.len), NULL);
    assert_fails(!r.failed, &r.err, RT_ETRACE, "the file is empty");
    free(empty.bytes);
    assert_fails(rt_trace_open("/nonexistent/trace.csv", NULL, &t, &err), &err, RT_EIO,
                 "/nonexistent/trace.csv: cannot open: No such file or directory");
    assert_fails(rt_trace_open(d->path, NULL, &t, &err), &err, RT_EIO,
                 "cannot read: Is a directory");
}

/* Random damage to every kind of file: any answer but a crash, a hang or a wrong address. */
static void random_damage(void **state)
{
    static const char text[] = HEADER "0.5,10,\"20\"\n1.5,3,4\n2.5,\"1\n\",6\n3.5,7,8\n";
    static const char json[] = "{\"timestamp\": 1, \"input_length\": 2, \"output_length\": 3, "
                               "\"hash_ids\": [1, 2], \"session_id\": \"a\\\"b\"}\n";
    struct blob files[4] = {{malloc(sizeof text), sizeof text - 1},
                            {malloc(sizeof json), sizeof json - 1},
                            gzip_of(text, sizeof text - 1),
                            zstd_of(json, sizeof json - 1)};
    memcpy(files[0].bytes, text, sizeof text);
    memcpy(files[1].bytes, json, sizeof json);
    srand(3);
    for (int i = 0; i < 3000; i++) {
        struct blob *b = &files[i % 4];
        size_t at = (size_t)rand() % b->len;
        unsigned char old = b->bytes[at];
        static const char nasty[] = "\",\n{}[]\\0e-\r\xff";
        unsigned flip = old ^ 1u << rand() % 8,
                 any = (unsigned)nasty[(size_t)rand() % sizeof nasty];
        b->bytes[at] = (unsigned char)(rand() % 2 ? any & 0xffu : flip);
        struct trace_rows r = read_rows(trace_write(*state, "x.csv", b->bytes, b->len), NULL);
        assert_true(!r.failed || r.err.code != RT_OK);
        rows_free(&r);
        b->bytes[at] = old;
    }
    for (int i = 0; i < 4; i++)
        free(files[i].bytes);
}

/* A row of exactly 64 MiB is read, one byte more is refused; no memory is wasted on either. */
static void longest_line(void **state)
{
    static const char header[] = "note," HEADER, tail[] = ",1,2,3\nx,-5,6,7";
    size_t h = sizeof header - 1, t = sizeof tail - 1, limit = RT_TRACE_MAX_LINE_BYTES;
    for (size_t extra = 0; extra < 2; extra++) {
        size_t fill = limit - 6 + extra; /* 6: ",1,2,3" */
        struct blob b = {malloc(h + fill + t), h + fill + t};
        assert_non_null(b.bytes);
        memcpy(b.bytes, header, h);
        memset(b.bytes + h, 'x', fill);
        memcpy(b.bytes + h + fill, tail, t);
        struct blob z = zstd_of(b.bytes, b.len);
        struct trace_rows r = read_rows(trace_write(*state, "long.csv", z.bytes, z.len), NULL);
        if (extra == 0) {
            assert_fails(!r.failed, &r.err, RT_ETRACE, "long.csv:3:3: arrival_s");
            assert_int_equal(r.count, 1);
            assert_int_equal(r.rows[0].prompt_tokens, 2);
        } else {
            assert_fails(!r.failed, &r.err, RT_ETRACE,
                         "long.csv:2:1: expected a line of at most 64 MiB, read a longer one");
        }
        rows_free(&r);
        free(z.bytes);
        free(b.bytes);
    }
}

/* A file of one line, longer than what is read at first: of no known format, and shown shortened.
 */
static void long_first_line(void **state)
{
    struct blob b = {malloc(2000000), 2000000};
    assert_non_null(b.bytes);
    memset(b.bytes, 'a', b.len);
    struct trace_rows r = read_rows(trace_write(*state, "one.csv", b.bytes, b.len), NULL);
    assert_fails(!r.failed, &r.err, RT_ETRACE, "one.csv:1:1: expected a header with ");
    assert_fails(!r.failed, &r.err, RT_ETRACE, "read \"aaaaaaaa");
    rows_free(&r);
    free(b.bytes);
}

/* A pipe is read once from beginning to end, also when it is compressed; twice is an error. */
static void pipes(void **state)
{
    struct trace_dir *d = *state;
    char fifo[600], command[2000];
    size_t h;
    struct blob plain = sample(&h), z = gzip_of(plain.bytes, plain.len);
    (void)trace_write(d, "x.csv.gz", z.bytes, z.len);
    (void)snprintf(fifo, sizeof fifo, "%s/fifo", d->path);
    for (int repeat = 1; repeat <= 2; repeat++) {
        assert_int_equal(mkfifo(fifo, 0600), 0);
        (void)snprintf(command, sizeof command, "cat %s > %s 2>/dev/null &", d->file, fifo);
        assert_int_equal(system(command), 0);
        struct rt_workload_spec spec;
        rt_workload_init(&spec);
        spec.trace = strdup(fifo);
        spec.repeat = (uint64_t)repeat;
        struct trace_rows r = pull_rows(&spec, NULL);
        if (repeat == 1)
            rows_expect(&r, ROWS);
        else
            assert_fails(!r.failed, &r.err, RT_ECONFIG,
                         "expected a file that can be read 2 times for repeat, read a pipe");
        rows_free(&r);
        rt_workload_release(&spec);
        assert_int_equal(unlink(fifo), 0);
    }
    free(plain.bytes);
    free(z.bytes);
}

static void standard_input(void **state)
{
    size_t h;
    struct blob plain = sample(&h);
    const char *path = trace_write(*state, "x.csv", plain.bytes, plain.len);
    assert_non_null(freopen(path, "rb", stdin));
    struct trace_rows r = read_rows("-", NULL);
    expect_sample(&r);
    rows_free(&r);
    path = trace_text(*state, "x.csv", HEADER "1,x,2\n");
    assert_non_null(freopen(path, "rb", stdin));
    r = read_rows("-", NULL);
    assert_fails(!r.failed, &r.err, RT_ETRACE, "standard input:2:3: prompt_tokens");
    rows_free(&r);
    free(plain.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(codings),         cmocka_unit_test(cut_files),
        cmocka_unit_test(damaged_files),   cmocka_unit_test(other_files),
        cmocka_unit_test(random_damage),   cmocka_unit_test(longest_line),
        cmocka_unit_test(long_first_line), cmocka_unit_test(pipes),
        cmocka_unit_test(standard_input),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
