/* Conversion to JSONL and to Mooncake, read back; and sessions of hundreds of megabytes on one
 * line. */
#include "support/test.h"

#include "trace_files.h"

#include "rooftrace/rng.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define CORPUS "tests/workload/corpus/"

static struct rt_trace_converted convert(const char *path, enum rt_trace_form form, const char *to)
{
    struct rt_trace_options options = {.format = NULL};
    struct rt_trace_converted done;
    struct rt_err err = {0};
    FILE *out = fopen(to, "w");
    assert_non_null(out);
    assert_ok(rt_trace_convert(path, &options, form, out, &done, &err), &err);
    assert_int_equal(fclose(out), 0);
    return done;
}

static void expect_text(const char *a, const char *b)
{
    assert_string_equal(a != NULL ? a : "", b != NULL ? b : "");
}

static void expect_same(const struct rt_trace *ta, const struct rt_request *a,
                        const struct rt_trace *tb, const struct rt_request *b, int64_t origin_ns)
{
    assert_int_equal(a->arrival_ns - origin_ns, b->arrival_ns);
    assert_int_equal(a->prompt_tokens, b->prompt_tokens);
    assert_int_equal(a->output_tokens, b->output_tokens);
    assert_int_equal(a->think_ns, b->think_ns);
    assert_int_equal(a->priority, b->priority);
    assert_int_equal(a->deadline_ns, b->deadline_ns);
    assert_int_equal(a->hash_count, b->hash_count);
    for (uint32_t i = 0; i < a->hash_count; i++)
        assert_true(a->hash_ids[i] == b->hash_ids[i]);
    expect_text(a->session, b->session);
    expect_text(rt_trace_name(ta, a->class_name), rt_trace_name(tb, b->class_name));
    expect_text(rt_trace_name(ta, a->model_name), rt_trace_name(tb, b->model_name));
    expect_text(rt_trace_name(ta, a->tenant_name), rt_trace_name(tb, b->tenant_name));
}

/* Both files in the order of time, side by side. */
static void expect_same_rows(const char *path, const char *converted, const char *format,
                             uint64_t rows)
{
    struct rt_trace *a, *b;
    struct rt_request ra, rb;
    struct rt_err err = {0};
    int64_t origin = 0;
    uint64_t count = 0;
    assert_ok(rt_trace_open(path, NULL, &a, &err), &err);
    assert_ok(rt_trace_open(converted, format, &b, &err), &err);
    while (rt_trace_read(a, &ra, &err) == 1) {
        if (count++ == 0 && ra.arrival_ns > INT64_C(100000000000000000))
            origin = ra.arrival_ns;
        if (rt_trace_read(b, &rb, &err) != 1)
            fail_msg("%s: %s", converted, err.msg);
        expect_same(a, &ra, b, &rb, origin);
    }
    assert_int_equal(count, rows);
    assert_int_equal(rt_trace_read(b, &rb, &err), 0);
    rt_trace_free(a);
    rt_trace_free(b);
}

static void corpus_round_trip(void **state)
{
    static const char *const files[] = {"csv.csv",       "azure.csv",    "mooncake.jsonl",
                                        "bailian.jsonl", "burstgpt.csv", "vidur.csv",
                                        "splitwise.csv", "tracelab.csv", "blis.csv",
                                        "aibrix.jsonl",  "litellm.csv",  "llmservingsim.jsonl",
                                        "otel.json",     "dynamo.jsonl", "chunk-0-trace.csv"};
    struct trace_dir *d = *state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        for (unsigned form = 0; form < 2; form++) {
            char path[256], to[600];
            (void)snprintf(path, sizeof path, CORPUS "%s", files[i]);
            (void)snprintf(to, sizeof to, "%s/out.jsonl", d->path);
            (void)unlink(to);
            struct rt_trace_converted done = convert(path, (enum rt_trace_form)form, to);
            expect_same_rows(path, to, form == RT_FORM_MOONCAKE ? "mooncake" : "jsonl", done.rows);
        }
    }
}

/* Random rows with every field: texts with quotes, control characters and other alphabets, 64-bit
 * ids, times to the nanosecond over a year. Converted to Mooncake, from that to JSONL, and
 * compared. */
static void random_round_trip(void **state)
{
    struct trace_dir *d = *state;
    enum { ROWS = 2000 };
    static const char *const texts[] = {"",
                                        "plain",
                                        "a \\\"quote\\\" \\\\ slash",
                                        "tab\\tline\\n",
                                        "caf\xc3\xa9 \xf0\x9f\x98\x80",
                                        "\\u0001"};
    struct rt_rng rng;
    char first[600], second[600];
    int64_t now = 0;
    print_message("seed 9\n");
    rt_rng_init(&rng, 9, RT_RNG_TOOLS, 0);
    (void)trace_text(d, "rows.jsonl", "");
    FILE *f = fopen(d->file, "w");
    assert_non_null(f);
    for (int i = 0; i < ROWS; i++) {
        now += (int64_t)rt_rng_below(&rng, UINT64_C(1) << rt_rng_below(&rng, 44));
        (void)fprintf(
            f,
            "{\"arrival_s\": %" PRId64 ".%09" PRId64
            ", \"prompt_tokens\": %d, \"output_tokens\": %d, \"class\": \"%s\", \"tenant\": "
            "\"%s\", \"session_id\": \"%s\", \"priority\": %d, \"hash_ids\": [",
            now / 1000000000, now % 1000000000, i, i % 7, texts[rt_rng_below(&rng, 6)],
            texts[rt_rng_below(&rng, 6)], texts[rt_rng_below(&rng, 6)],
            (int)rt_rng_below(&rng, 5) - 2);
        for (unsigned k = (unsigned)rt_rng_below(&rng, 4); k > 0; k--)
            (void)fprintf(f, "%" PRIu64 "%s", rt_rng_u64(&rng), k > 1 ? ", " : "");
        (void)fprintf(f, "]%s, \"deadline_s\": 0.%09u}\n",
                      i % 3 == 0 ? ", \"think_s\": 12.000000001" : "",
                      (unsigned)rt_rng_below(&rng, 1000000000));
    }
    assert_int_equal(fclose(f), 0);
    (void)snprintf(first, sizeof first, "%s/first", d->path);
    (void)snprintf(second, sizeof second, "%s/second", d->path);
    assert_int_equal(convert(d->file, RT_FORM_MOONCAKE, first).rows, ROWS);
    assert_int_equal(convert(first, RT_FORM_JSONL, second).rows, ROWS);
    expect_same_rows(d->file, second, "jsonl", ROWS);
}

/* Rows out of order come in the order of time. */
static void sorted(void **state)
{
    struct trace_dir *d = *state;
    char to[600];
    const char *path = trace_text(
        d, "u.csv", "arrival_s,prompt_tokens,output_tokens\n5,1,1\n3,2,1\n3,3,1\n4,4,1\n");
    (void)snprintf(to, sizeof to, "%s/sorted.jsonl", d->path);
    (void)convert(path, RT_FORM_JSONL, to);
    struct trace_rows r = read_rows(to, NULL);
    rows_expect(&r, 4);
    static const int64_t prompts[] = {2, 3, 4, 1};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(r.rows[i].prompt_tokens, prompts[i]);
    rows_free(&r);
}

static long peak_kib(void)
{
    struct rusage use;
    assert_int_equal(getrusage(RUSAGE_SELF, &use), 0);
#ifdef __APPLE__
    return use.ru_maxrss / 1024;
#else
    return use.ru_maxrss;
#endif
}

/* A session longer than any line may be (64 MiB), on one line, streams in constant memory. */
static void one_long_line(void **state)
{
    struct trace_dir *d = *state;
    enum { REQUESTS = 1400, IDS = 6000 };
    uint64_t bytes = 0;
    (void)trace_text(d, "long.json", "");
    FILE *f = fopen(d->file, "w");
    assert_non_null(f);
    (void)fputs("{\"id\":\"long\",\"block_size\":64,\"hash_id_scope\":\"local\",\"requests\":[", f);
    for (int i = 0; i < REQUESTS; i++) {
        (void)fprintf(f, "%s{\"t\":%d.5,\"in\":%d,\"out\":%d,\"hash_ids\":[", i > 0 ? "," : "", i,
                      IDS * 64, i + 1);
        for (int k = 0; k < IDS; k++)
            (void)fprintf(f, "%s%d", k > 0 ? "," : "", 1000000 + k);
        (void)fputs("]}", f);
    }
    (void)fputs("],\"totals\":{}}", f);
    bytes = (uint64_t)ftell(f);
    assert_int_equal(fclose(f), 0);
    assert_true(bytes > RT_TRACE_MAX_LINE_BYTES);
    struct rt_trace *t;
    struct rt_request r;
    struct rt_err err = {0};
    long before = peak_kib();
    assert_ok(rt_trace_open(d->file, NULL, &t, &err), &err);
    for (int i = 0; i < REQUESTS; i++) {
        if (rt_trace_read(t, &r, &err) != 1)
            fail_msg("request %d: %s", i, err.msg);
        assert_int_equal(r.arrival_ns, i * INT64_C(1000000000) + 500000000);
        assert_int_equal(r.output_tokens, i + 1);
        assert_int_equal(r.hash_count, IDS);
    }
    assert_int_equal(rt_trace_read(t, &r, &err), 0);
    rt_trace_free(t);
    print_message("%" PRIu64 " bytes on a line, %ld KiB more\n", bytes, peak_kib() - before);
    assert_true(peak_kib() - before < 16 * 1024);
}

static void failures(void **state)
{
    struct rt_trace_options options = {.format = NULL};
    struct rt_trace_converted done;
    struct rt_err err = {0};
    enum rt_trace_form form;
    (void)state;
    assert_fails(rt_trace_form_of("mooncak", &form, &err), &err, RT_EUSAGE,
                 "did you mean \"mooncake\"?");
    if (access("/dev/full", W_OK) != 0)
        return;
    FILE *full = fopen("/dev/full", "w");
    assert_non_null(full);
    assert_fails(rt_trace_convert(CORPUS "csv.csv", &options, RT_FORM_JSONL, full, &done, &err),
                 &err, RT_EIO, "cannot write");
    (void)fclose(full);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corpus_round_trip),
        cmocka_unit_test(random_round_trip),
        cmocka_unit_test(sorted),
        cmocka_unit_test(one_long_line),
        cmocka_unit_test(failures),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
