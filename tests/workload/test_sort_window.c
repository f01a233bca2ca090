/* Rows that come out of order: sorted stably within the window, ids and hash ids kept; beyond it an
 * error whose shell command sorts the file. */
#include "support/test.h"

#include "trace_files.h"

#include "rooftrace/rng.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 65536

/* A file with these arrivals, in ns (whole microseconds, so that seconds are exact enough). */
static const char *write_arrivals(struct trace_dir *d, const int64_t *ns, size_t count)
{
    (void)trace_text(d, "t.csv", "");
    FILE *f = fopen(d->file, "w");
    assert_non_null(f);
    (void)fputs("arrival_s,prompt_tokens,output_tokens\n", f);
    for (size_t i = 0; i < count; i++)
        (void)fprintf(f, "%" PRId64 ".%06d,%zu,1\n", ns[i] / 1000000000,
                      (int)(ns[i] % 1000000000 / 1000), i % 1000 + 1);
    assert_int_equal(fclose(f), 0);
    return d->file;
}

/* (arrival, id): ids are places in the file, so this is what a stable sort gives. */
static int by_arrival(const void *a, const void *b)
{
    const struct rt_request *x = a, *y = b;
    if (x->arrival_ns != y->arrival_ns)
        return x->arrival_ns < y->arrival_ns ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void expect_sorted(const char *path)
{
    struct trace_rows file = read_rows(path, NULL), got = pull_file(path);
    rows_expect(&file, file.count);
    rows_expect(&got, file.count);
    qsort(file.rows, file.count, sizeof *file.rows, by_arrival);
    for (size_t i = 0; i < file.count; i++) {
        assert_int_equal(got.rows[i].id, file.rows[i].id);
        assert_int_equal(got.rows[i].arrival_ns, file.rows[i].arrival_ns);
        assert_int_equal(got.rows[i].prompt_tokens, file.rows[i].prompt_tokens);
    }
    rows_free(&file);
    rows_free(&got);
}

/* Arrivals in many shapes of disorder, with many equal stamps. */
static void stable_sort(void **state)
{
    enum { ROWS = 3000 };
    int64_t ns[ROWS];
    struct rt_rng rng;
    for (uint64_t seed = 1; seed <= 24; seed++) {
        print_message("seed %d\n", (int)seed);
        rt_rng_init(&rng, seed, RT_RNG_TOOLS, 0);
        size_t count = rt_rng_below(&rng, ROWS) + 1;
        uint64_t jitter = UINT64_C(1) << rt_rng_below(&rng, 13);
        int64_t step_ns = seed % 3 == 0 ? 1000 : 3000000000; /* us, or Mooncake's 3 s */
        for (size_t i = 0; i < count; i++) {
            int64_t at = (int64_t)(i / (seed % 5 + 1)) + (int64_t)rt_rng_below(&rng, jitter);
            ns[i] = (seed % 4 == 0 ? (int64_t)(count - i) : at) * step_ns;
        }
        if (seed % 7 == 0) { /* rotated, as RAGPulse's file is */
            for (size_t i = 0; i < count / 2; i++)
                ns[i] += INT64_C(1000000000000);
        }
        expect_sorted(write_arrivals(*state, ns, count));
    }
}

/* A file larger than the window; one row comes `late` places late. */
static void window_edge(void **state)
{
    enum { ROWS = WINDOW + 5000 };
    int64_t *ns = malloc(ROWS * sizeof *ns);
    assert_non_null(ns);
    for (size_t late = WINDOW; late <= WINDOW + 1; late++) {
        for (size_t i = 0; i < ROWS; i++)
            ns[i] = (int64_t)(i + 1) * 1000000;
        ns[100 + late] = 100 * 1000000 + 1000; /* just before the row at place 100 */
        const char *path = write_arrivals(*state, ns, ROWS);
        if (late == WINDOW) {
            expect_sorted(path);
            continue;
        }
        struct trace_rows r = pull_file(path);
        assert_fails(!r.failed, &r.err, RT_ETRACE,
                     "t.csv:65639:1: time goes back by 0.000999 s, beyond the window of 65536 rows "
                     "or 32 MiB that is sorted; sort it with: cat ");
        assert_int_equal(r.count, WINDOW + 101); /* every row before it was answered */
        rows_free(&r);
    }
    free(ns);
}

/* Small disorder all through a large file: the steady state of ring and heap. */
static void long_file(void **state)
{
    enum { ROWS = 3 * WINDOW };
    struct rt_rng rng;
    int64_t *ns = malloc(ROWS * sizeof *ns);
    assert_non_null(ns);
    print_message("seed 99\n");
    rt_rng_init(&rng, 99, RT_RNG_TOOLS, 0);
    for (size_t i = 0; i < ROWS; i++)
        ns[i] = (int64_t)(i + rt_rng_below(&rng, i % 3 == 0 ? 60000 : 10)) * 1000;
    expect_sorted(write_arrivals(*state, ns, ROWS));
    free(ns);
}

/* Runs the command that the error offers, in the test's folder; then the file is accepted. */
static void expect_command_sorts(struct trace_dir *d, const char *path, const char *sorted)
{
    struct trace_rows r = pull_file(path);
    assert_fails(!r.failed, &r.err, RT_ETRACE, "sort it with: ");
    const char *sort = strstr(r.err.msg, "sort it with: ") + strlen("sort it with: ");
    char command[1024], result[512];
    (void)snprintf(command, sizeof command, "cd %s && %s", d->path, sort);
    print_message("%s\n", sort);
    assert_int_equal(system(command), 0);
    rows_free(&r);
    struct trace_rows file = read_rows(path, NULL);
    rows_expect(&file, file.count);
    qsort(file.rows, file.count, sizeof *file.rows, by_arrival);
    (void)snprintf(result, sizeof result, "%s/%s", d->path, sorted);
    r = pull_file(result);
    rows_expect(&r, file.count);
    for (size_t i = 0; i < file.count; i++) {
        assert_int_equal(r.rows[i].id, i);
        assert_int_equal(r.rows[i].prompt_tokens, file.rows[i].prompt_tokens);
        assert_int_equal(r.rows[i].hash_count, file.rows[i].hash_count);
        for (uint32_t j = 0; j < r.rows[i].hash_count; j++)
            assert_true(r.rows[i].hash_ids[j] == file.rows[i].hash_ids[j]);
    }
    rows_free(&file);
    rows_free(&r);
}

/* One file of each format whose last row belongs to the front, with no line end behind it. */
static void sort_commands(void **state)
{
    struct trace_dir *d = *state;
    enum { ROWS = WINDOW + 10 };
    char *text = malloc(ROWS * 96), *p = text;
    assert_non_null(text);
    p += sprintf(p, "prompt_tokens,arrival_s,output_tokens\n");
    for (int i = 0; i < ROWS; i++)
        p += sprintf(p, "%d,%d.5,1\n", i + 1, i + 5);
    p += sprintf(p, "7,1e0,1");
    expect_command_sorts(d, trace_text(d, "a b'c.csv", text), "sorted.csv");
    p = text;
    p += sprintf(p, "TIMESTAMP,ContextTokens,GeneratedTokens\r\n");
    for (int i = 0; i < ROWS; i++)
        p += sprintf(p, "2023-11-16 %02d:%02d:%02d.6805900,%d,1\r\n", i / 3600 + 1, i / 60 % 60,
                     i % 60, i + 1);
    p += sprintf(p, "2023-11-16 00:00:00.6805900,7,1");
    struct blob z = zstd_of(text, strlen(text));
    if (system("command -v zstd > /dev/null 2>&1") == 0)
        expect_command_sorts(d, trace_write(d, "azure.csv.zst", z.bytes, z.len), "sorted.csv");
    free(z.bytes);
    p = text;
    for (int i = 0; i < ROWS; i++)
        p += sprintf(p, "{\"timestamp\":%d,\"input_length\":%d,\"output_length\":1}\n", i + 5,
                     i + 1);
    p += sprintf(p, "{\"arrival_s\":1e-3,\"prompt_tokens\":7,\"output_length\":1,\"hash_ids\":"
                    "[18446744073709551615,9007199254740993]}");
    z = gzip_of(text, strlen(text));
    expect_command_sorts(d, trace_write(d, "m.jsonl.gz", z.bytes, z.len), "sorted.jsonl");
    free(z.bytes);
    free(text);
}

/* Sessions and hash ids travel with their row, through a window that is full of them: 32 MiB are
 * less than 65,536 rows of 100 ids each. */
static void payload(void **state)
{
    struct trace_dir *d = *state;
    enum { ROWS = 90000, IDS = 100 };
    (void)trace_text(d, "p.jsonl", "");
    FILE *f = fopen(d->file, "w");
    assert_non_null(f);
    for (int i = 0; i < ROWS; i++) {
        int at = i % 50 == 49 ? i - 40 : i; /* late by 40 places */
        (void)fprintf(f, "{\"timestamp\":%d,\"input_length\":%d,\"output_length\":1,", at, i);
        (void)fprintf(f, "\"session_id\":%d,\"hash_ids\":[%d", i, i);
        for (int j = 1; i % 3 == 0 && j < IDS; j++)
            (void)fprintf(f, ",%d", i + j);
        (void)fprintf(f, "]}\n");
    }
    assert_int_equal(fclose(f), 0);
    struct rt_workload_spec spec;
    struct rt_source *s;
    struct rt_request r;
    struct rt_err err = {0};
    int64_t not_before, last = -1;
    rt_workload_init(&spec);
    spec.trace = strdup(d->file);
    assert_ok(rt_workload_open(&spec, &s, &err), &err);
    for (int n = 0; n < ROWS; n++) {
        assert_int_equal(rt_source_next(s, INT64_MAX, &r, &not_before, &err), RT_PULL_REQUEST);
        assert_true(r.arrival_ns >= last);
        last = r.arrival_ns;
        char session[16];
        (void)snprintf(session, sizeof session, "%d", (int)r.id);
        assert_string_equal(r.session, session);
        assert_int_equal(r.prompt_tokens, r.id == 0 ? 1 : r.id);
        assert_int_equal(r.hash_count, r.id % 3 == 0 ? IDS : 1);
        for (uint32_t j = 0; j < r.hash_count; j++)
            assert_true(r.hash_ids[j] == r.id + j);
    }
    assert_int_equal(rt_source_next(s, INT64_MAX, &r, &not_before, &err), RT_PULL_END);
    assert_int_equal(rt_source_stats(s)->unsorted, ROWS / 50);
    rt_source_free(s);
    rt_workload_release(&spec);
}

static void write_huge(struct trace_dir *d, const unsigned *sizes, unsigned rows, unsigned swap)
{
    (void)trace_text(d, "h.jsonl", "");
    FILE *f = fopen(d->file, "w");
    assert_non_null(f);
    for (unsigned i = 0; i < rows; i++) {
        (void)fprintf(f, "{\"timestamp\":%u,\"input_length\":1,\"output_length\":1,\"hash_ids\":[",
                      i ^ swap);
        for (unsigned j = 0; j < sizes[i]; j++)
            (void)fprintf(f, "%s%u", j ? "," : "", (i + j) % 10);
        (void)fprintf(f, "]}\n");
    }
    assert_int_equal(fclose(f), 0);
}

/* Rows larger than a chunk (256 KiB) and one larger than the whole window (32 MiB), which goes
 * through, but nothing can be kept beside it: its neighbour's time then goes back too far. */
static void huge_rows(void **state)
{
    static const unsigned sizes[] = {1, 40000, 5, 200000, 1, 1, 5000000, 3, 100000, 1, 40000, 2};
    struct trace_dir *d = *state;
    enum { ROWS = sizeof sizes / sizeof sizes[0] };
    for (unsigned swap = 0; swap < 2; swap++) { /* in order; neighbours swapped */
        write_huge(d, sizes, ROWS, swap);
        struct trace_rows r = pull_file(d->file);
        assert_int_equal(r.count, swap ? 7 : ROWS);
        for (unsigned i = 0; i < r.count; i++) {
            assert_int_equal(r.rows[i].id, i == 6 ? 6 : i ^ swap);
            assert_int_equal(r.rows[i].hash_count, sizes[r.rows[i].id]);
            for (unsigned j = 0; j < r.rows[i].hash_count; j++)
                assert_true(r.rows[i].hash_ids[j] == (r.rows[i].id + j) % 10);
        }
        assert_int_equal(r.failed, swap);
        if (r.failed)
            assert_non_null(strstr(r.err.msg, "h.jsonl:8:1: time goes back by 0.001 s"));
        rows_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stable_sort),   cmocka_unit_test(window_edge), cmocka_unit_test(long_file),
        cmocka_unit_test(sort_commands), cmocka_unit_test(payload),     cmocka_unit_test(huge_rows),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
