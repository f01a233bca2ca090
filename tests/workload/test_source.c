/* A trace as a source: the pull protocol, and every transformation against a naive computation. */
#include "support/test.h"

#include "trace_files.h"

#include "rooftrace/rng.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "arrival_s,prompt_tokens,output_tokens\n"

static struct rt_workload_spec spec_of(const char *path)
{
    struct rt_workload_spec spec;
    rt_workload_init(&spec);
    spec.trace = strdup(path);
    return spec;
}

static void pulling(void **state)
{
    struct rt_workload_spec spec = spec_of(
        trace_text(*state, "a.csv",
                   "arrival_s,prompt_tokens,output_tokens,class\n1,0,5,a\n2,3,0,b\n2,4,4,a\n"));
    struct rt_source *s;
    struct rt_request r;
    struct rt_err err = {0};
    int64_t later = 0;
    assert_ok(rt_workload_open(&spec, &s, &err), &err);
    for (int i = 0; i < 2; i++) { /* asking changes nothing */
        assert_int_equal(rt_source_next(s, 999999999, &r, &later, &err), RT_PULL_LATER);
        assert_int_equal(later, 1000000000);
    }
    assert_int_equal(rt_source_stats(s)->rows, 0);
    assert_int_equal(rt_source_next(s, 1000000000, &r, &later, &err), RT_PULL_REQUEST);
    assert_int_equal(r.id, 0);
    assert_int_equal(r.prompt_tokens, 1); /* 0 acts as 1 */
    assert_string_equal(rt_source_name(s, r.class_name), "a");
    assert_int_equal(rt_source_next(s, 1000000000, &r, &later, &err), RT_PULL_LATER);
    assert_int_equal(later, 2000000000);
    assert_false(rt_source_done(s, 0, 1500000000).ask_again);
    assert_int_equal(rt_source_next(s, INT64_MAX, &r, &later, &err), RT_PULL_REQUEST);
    assert_int_equal(r.arrival_ns, 2000000000);
    assert_int_equal(r.output_tokens, 1);
    assert_int_equal(rt_source_next(s, 2000000000, &r, &later, &err), RT_PULL_REQUEST);
    assert_int_equal(r.id, 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rt_source_next(s, INT64_MAX, &r, &later, &err), RT_PULL_END);
    const struct rt_source_stats *stats = rt_source_stats(s);
    assert_int_equal(stats->rows, 3);
    assert_int_equal(stats->rows_read, 3);
    assert_int_equal(stats->zero_prompt, 1);
    assert_int_equal(stats->zero_output, 1);
    assert_int_equal(stats->unsorted, 0);
    assert_int_equal(stats->prompt_tokens, 8);
    assert_int_equal(stats->output_tokens, 10);
    assert_int_equal(stats->hash_block_tokens, 0);
    rt_source_free(s);
    rt_workload_release(&spec);
}

/* An error in row 4 comes after rows 1 to 3, and stays. */
static void late_error(void **state)
{
    struct trace_rows r =
        pull_file(trace_text(*state, "a.csv", HEADER "3,1,1\n1,1,1\n2,1,1\n4,x,1\n5,1,1\n"));
    assert_int_equal(r.count, 3);
    assert_int_equal(r.rows[0].id, 1); /* in order of time */
    assert_int_equal(r.rows[2].id, 0);
    assert_fails(!r.failed, &r.err, RT_ETRACE, "a.csv:5:3: prompt_tokens");
    rows_free(&r);
}

/* What is wrong with the whole file or its first row is found before anything is answered. */
static void early_errors(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {{"", "the file is empty"},
                 {"a,b\n", "expected a header"},
                 {HEADER, "a.csv: expected requests, read no requests"},
                 {HEADER "\n\n", "read no requests"},
                 {HEADER "1,1\n2,2,2\n", "a.csv:2:4: expected 3 fields"},
                 {"{\"timestamp\":1}\n", "a.csv:1:1: expected the key"}};
    struct rt_source *s = NULL;
    struct rt_err err = {0};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_workload_spec spec = spec_of(trace_text(*state, "a.csv", cases[i].text));
        assert_fails(rt_workload_open(&spec, &s, &err), &err, RT_ETRACE, cases[i].message);
        rt_workload_release(&spec);
    }
    struct rt_workload_spec spec = spec_of("/nonexistent.csv");
    assert_fails(rt_workload_open(&spec, &s, &err), &err, RT_EIO, "cannot open");
    rt_workload_release(&spec);
    assert_null(s);
}

static void rebasing(void **state)
{
    /* Above 1e8 s: absolute. The first arrival is not the first row. */
    struct trace_rows r =
        pull_file(trace_text(*state, "a.csv", HEADER "1700000001,1,1\n1700000000.5,2,1\n"));
    rows_expect(&r, 2);
    assert_int_equal(r.rows[0].id, 1);
    assert_int_equal(r.rows[0].arrival_ns, 0);
    assert_int_equal(r.rows[1].arrival_ns, 500000000);
    rows_free(&r);
    /* Exactly 1e8 s and one row far away: relative, kept. */
    r = pull_file(trace_text(*state, "a.csv", HEADER "100000000,1,1\n1700000000,2,1\n"));
    rows_expect(&r, 2);
    assert_int_equal(r.rows[0].arrival_ns, INT64_C(100000000000000000));
    rows_free(&r);
}

/* ---- all transformations against the definition, computed plainly */

struct plain_row {
    uint64_t id;
    int64_t ns, prompt;
};

static int by_ns(const void *a, const void *b)
{
    const struct plain_row *x = a, *y = b;
    if (x->ns != y->ns)
        return x->ns < y->ns ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

struct plain {
    struct plain_row *rows;
    size_t count;
};

/* window_s, max_requests, repeat, rate_scale, in this order. */
static struct plain transform(const struct trace_rows *file, const struct rt_workload_spec *w)
{
    struct plain_row *kept = calloc(file->count, sizeof *kept);
    assert_non_null(kept);
    int64_t first = INT64_MAX;
    for (size_t i = 0; i < file->count; i++)
        first = file->rows[i].arrival_ns < first ? file->rows[i].arrival_ns : first;
    int64_t base = first > INT64_C(100000000000000000) ? first : 0;
    size_t n = 0;
    for (size_t i = 0; i < file->count; i++) {
        int64_t t = file->rows[i].arrival_ns - base;
        if (w->has_window &&
            (t < llrint(w->window_s[0] * 1e9) || t >= llrint(w->window_s[1] * 1e9)))
            continue;
        kept[n++] = (struct plain_row){i, t - (w->has_window ? llrint(w->window_s[0] * 1e9) : 0),
                                       file->rows[i].prompt_tokens};
    }
    qsort(kept, n, sizeof *kept, by_ns);
    n = n < w->max_requests ? n : (size_t)w->max_requests;
    int64_t span = n > 0 ? kept[n - 1].ns - kept[0].ns : 0;
    int64_t shift = span == 0 ? 1000000000 : span + llrint((double)span / (double)(n - 1));
    struct plain out = {calloc(n * w->repeat + 1, sizeof *out.rows), 0};
    assert_non_null(out.rows);
    for (uint64_t r = 0; r < w->repeat; r++) {
        for (size_t i = 0; i < n; i++) {
            int64_t t = kept[i].ns + (int64_t)r * shift;
            out.rows[out.count++] =
                (struct plain_row){r * file->count + kept[i].id,
                                   w->rate_scale == 1 ? t : llrint((double)t / w->rate_scale),
                                   kept[i].prompt > 0 ? kept[i].prompt : 1};
        }
    }
    qsort(out.rows, out.count, sizeof *out.rows, by_ns);
    free(kept);
    return out;
}

static void expect_transformed(const struct rt_workload_spec *w)
{
    struct trace_rows file = read_rows(w->trace, NULL);
    rows_expect(&file, file.count);
    struct plain want = transform(&file, w);
    struct rt_source_stats stats = {0};
    struct trace_rows got = pull_rows(w, &stats);
    if (want.count == 0) {
        assert_fails(!got.failed, &got.err, RT_ETRACE, "no request arrives within window_s");
    } else {
        rows_expect(&got, want.count);
        assert_int_equal(stats.rows, want.count);
    }
    for (size_t i = 0; i < want.count; i++) {
        assert_int_equal(got.rows[i].arrival_ns, want.rows[i].ns);
        assert_int_equal(got.rows[i].id, want.rows[i].id);
        assert_int_equal(got.rows[i].prompt_tokens, want.rows[i].prompt);
    }
    free(want.rows);
    rows_free(&got);
    rows_free(&file);
}

static void write_random(struct trace_dir *d, struct rt_rng *rng)
{
    size_t count = rt_rng_below(rng, 200) + 1;
    double base = rt_rng_below(rng, 3) == 0 ? 1.7e9 : 0;
    uint64_t jitter = rt_rng_below(rng, 3) == 0 ? 50 : 1;
    uint64_t step = rt_rng_below(rng, 4) == 0 ? 1 : 20; /* 1: many equal stamps */
    double t = rt_rng_below(rng, 2) ? 0 : 12.25;
    (void)trace_text(d, "w.csv", "");
    FILE *f = fopen(d->file, "w");
    assert_non_null(f);
    (void)fputs(HEADER, f);
    for (size_t i = 0; i < count; i++) {
        t += (double)rt_rng_below(rng, step) * 0.37;
        double at = base + t + (double)rt_rng_below(rng, jitter) * 0.11;
        (void)fprintf(f, "%.6f,%d,%d\n", at, (int)rt_rng_below(rng, 5),
                      (int)rt_rng_below(rng, 100));
    }
    assert_int_equal(fclose(f), 0);
}

static void transformations(void **state)
{
    static const double rates[] = {1, 2, 0.5, 3, 0.1, 7.3, 1e6, 1e9};
    struct trace_dir *d = *state;
    struct rt_rng rng;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        rt_rng_init(&rng, seed, RT_RNG_TOOLS, 0);
        write_random(d, &rng);
        struct rt_workload_spec w = spec_of(d->file);
        w.rate_scale = rates[rt_rng_below(&rng, sizeof rates / sizeof rates[0])];
        w.repeat = rt_rng_below(&rng, 2) ? rt_rng_below(&rng, 5) + 1 : 1;
        w.has_window = rt_rng_below(&rng, 2);
        w.window_s[0] = (double)rt_rng_below(&rng, 300);
        w.window_s[1] = w.window_s[0] + (double)rt_rng_below(&rng, 1000) + 0.5;
        /* Which of two requests less than a scaled nanosecond apart is the last one kept is told in
         * source_trace.c; here the plain order is compared. */
        if (rt_rng_below(&rng, 2) && w.rate_scale < 100)
            w.max_requests = rt_rng_below(&rng, 100) + 1;
        print_message("seed %d: rate_scale %g repeat %d window %d max %d\n", (int)seed,
                      w.rate_scale, (int)w.repeat, (int)w.has_window,
                      w.max_requests == UINT64_MAX ? 0 : (int)w.max_requests);
        expect_transformed(&w);
        rt_workload_release(&w);
    }
}

static void expect_shifts(void **state, const char *rows, const int64_t want[4])
{
    char text[256];
    (void)snprintf(text, sizeof text, HEADER "%s", rows);
    struct rt_workload_spec w = spec_of(trace_text(*state, "a.csv", text));
    w.repeat = 2;
    struct trace_rows r = pull_rows(&w, NULL);
    rows_expect(&r, want[3] < 0 ? 2 : 4);
    for (size_t i = 0; i < r.count; i++)
        assert_int_equal(r.rows[i].arrival_ns, want[i]);
    rows_free(&r);
    rt_workload_release(&w);
}

/* One row, or all at once: copies follow every second. */
static void repeat_without_span(void **state)
{
    expect_shifts(state, "5,1,1\n", (const int64_t[]){5000000000, 6000000000, -1, -1});
    expect_shifts(state, "0,1,1\n0,1,1\n", (const int64_t[]){0, 0, 1000000000, 1000000000});
    expect_shifts(state, "1,1,1\n2,1,1\n",
                  (const int64_t[]){1000000000, 2000000000, 3000000000, 4000000000});
}

/* Names, sessions and hash ids are the same in every copy; facts of the file are counted once. */
static void repeat_keeps_ids(void **state)
{
    struct blob z = {NULL, 0};
    static const char text[] =
        "{\"timestamp\":5,\"input_length\":1,\"output_length\":0,\"class\":\"a\",\"session_id\":"
        "\"s1\",\"hash_ids\":[7]}\n"
        "{\"timestamp\":2,\"input_length\":2,\"output_length\":1,\"class\":\"b\",\"hash_ids\":[7,"
        "8]}\n";
    z = gzip_of(text, sizeof text - 1);
    struct rt_workload_spec w = spec_of(trace_write(*state, "a.jsonl.gz", z.bytes, z.len));
    struct rt_source_stats stats;
    w.repeat = 3;
    w.block_size = 16;
    struct trace_rows r = pull_rows(&w, &stats);
    rows_expect(&r, 6);
    for (size_t i = 0; i < 6; i++) {
        bool is_first = i % 2 == 1; /* of the file: the later one */
        assert_int_equal(r.rows[i].id, i / 2 * 2 + (is_first ? 0 : 1));
        assert_int_equal(r.rows[i].arrival_ns, (is_first ? 5000000u : 2000000u) + i / 2 * 6000000u);
        assert_int_equal(r.rows[i].class_name, is_first ? 1 : 2);
        assert_int_equal(r.rows[i].hash_count, is_first ? 1 : 2);
        assert_int_equal(r.rows[i].hash_ids[0], 7);
        assert_int_equal(r.rows[i].session != NULL, is_first);
    }
    assert_int_equal(stats.rows, 6);
    assert_int_equal(stats.rows_read, 2);
    assert_int_equal(stats.unsorted, 1);
    assert_int_equal(stats.zero_output, 3);
    assert_int_equal(stats.output_tokens, 6);
    assert_int_equal(stats.hash_block_tokens, 16);
    rows_free(&r);
    rt_workload_release(&w);
    free(z.bytes);
}

static void overflows(void **state)
{
    static const struct {
        const char *rows;
        uint64_t repeat;
        double rate;
        size_t good; /* requests before the first that is too late */
    } cases[] = {
        {"0,1,1\n9e9,1,1\n", 2, 1, 2},
        {"0,1,1\n4.6e9,1,1\n", 3, 1, 3},
        {"1,1,1\n10,1,1\n", 1, 1e-9, 1},
        {"5,1,1\n", 1000000000, 1e-8, 88},
    };
    char text[256];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(text, sizeof text, HEADER "%s", cases[i].rows);
        struct rt_workload_spec w = spec_of(trace_text(*state, "a.csv", text));
        struct rt_source *s;
        struct rt_request r;
        struct rt_err err = {0};
        int64_t later;
        size_t good = 0;
        enum rt_pull pull;
        w.repeat = cases[i].repeat;
        w.rate_scale = cases[i].rate;
        assert_ok(rt_workload_open(&w, &s, &err), &err);
        while ((pull = rt_source_next(s, INT64_MAX, &r, &later, &err)) == RT_PULL_REQUEST)
            good++;
        assert_int_equal(pull, RT_PULL_ERROR);
        assert_non_null(strstr(err.msg, "an arrival lies beyond 292 years"));
        assert_int_equal(good, cases[i].good);
        rt_source_free(s);
        rt_workload_release(&w);
    }
}

/* The file changes between two passes. */
static void changing_file(void **state)
{
    for (int shorter = 0; shorter < 2; shorter++) {
        struct rt_workload_spec w =
            spec_of(trace_text(*state, "a.csv", HEADER "0,1,1\n1,1,1\n2,1,1\n"));
        struct rt_source *s;
        struct rt_request r;
        struct rt_err err = {0};
        int64_t later;
        enum rt_pull pull;
        size_t good = 0;
        w.repeat = 2;
        assert_ok(rt_workload_open(&w, &s, &err), &err);
        (void)trace_text(*state, "a.csv",
                         shorter ? HEADER "0,1,1\n" : HEADER "0,1,1\n1,1,1\n2,1,1\n3,1,1\n");
        while ((pull = rt_source_next(s, INT64_MAX, &r, &later, &err)) == RT_PULL_REQUEST)
            good++;
        assert_int_equal(pull, RT_PULL_ERROR);
        assert_non_null(strstr(err.msg, "the file changed while it was read again for repeat"));
        assert_int_equal(good, shorter ? 4 : 7);
        rt_source_free(s);
        rt_workload_release(&w);
    }
}

/* A window of a long trace stops reading soon after its end. */
static void stops_early(void **state)
{
    struct trace_dir *d = *state;
    (void)trace_text(d, "l.csv", "");
    FILE *f = fopen(d->file, "w");
    assert_non_null(f);
    (void)fputs(HEADER, f);
    for (int i = 0; i < 200000; i++)
        (void)fprintf(f, "%d,1,1\n", i);
    (void)fputs("oops\n", f);
    assert_int_equal(fclose(f), 0);
    struct rt_workload_spec w = spec_of(d->file);
    struct rt_source_stats stats;
    w.max_requests = 10;
    struct trace_rows r = pull_rows(&w, &stats);
    rows_expect(&r, 10);
    assert_true(stats.rows_read < 70000);
    rows_free(&r);
    w.max_requests = UINT64_MAX;
    w.has_window = true;
    w.window_s[0] = 100;
    w.window_s[1] = 200;
    r = pull_rows(&w, &stats);
    rows_expect(&r, 100);
    assert_int_equal(r.rows[0].arrival_ns, 0);
    assert_int_equal(r.rows[0].id, 100);
    assert_true(stats.rows_read < 70000);
    rows_free(&r);
    w.repeat = 2; /* now the number of rows is needed, and the broken one is found */
    r = pull_rows(&w, &stats);
    assert_int_equal(r.count, 100);
    assert_fails(!r.failed, &r.err, RT_ETRACE, "l.csv:200002:5: expected 3 fields");
    rows_free(&r);
    rt_workload_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pulling),          cmocka_unit_test(late_error),
        cmocka_unit_test(early_errors),     cmocka_unit_test(rebasing),
        cmocka_unit_test(transformations),  cmocka_unit_test(repeat_without_span),
        cmocka_unit_test(repeat_keeps_ids), cmocka_unit_test(overflows),
        cmocka_unit_test(changing_file),    cmocka_unit_test(stops_early),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
