/* Statistics of traces: small ones by hand, real ones against published figures where they are at
 * hand (../shared/traces). */
#include "support/test.h"

#include "trace_files.h"

#include "rooftrace/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void by_hand(void **state)
{
    /* Arrivals 0 1 1 4 64 s: gaps 1 0 3 60, mean 16, variance (225 + 256 + 169 + 1936) / 4. */
    const char *path = trace_text(
        *state, "s.jsonl",
        "{\"arrival_s\":1,\"prompt_tokens\":10,\"output_tokens\":1,\"session_id\":\"a\",\"class\":"
        "\"x\",\"hash_ids\":[1,2]}\n"
        "{\"arrival_s\":0,\"prompt_tokens\":20,\"output_tokens\":0,\"session_id\":\"b\",\"class\":"
        "\"y\",\"model\":\"z\"}\n"
        "{\"arrival_s\":1,\"prompt_tokens\":30,\"output_tokens\":0,\"session_id\":\"a\",\"class\":"
        "\"x\"}\n"
        "{\"arrival_s\":4,\"prompt_tokens\":0,\"output_tokens\":5,\"tenant\":\"t\"}\n"
        "{\"arrival_s\":64,\"prompt_tokens\":50,\"output_tokens\":9,\"hash_ids\":[9]}\n");
    struct rt_trace_stat s;
    struct rt_err err = {0};
    assert_ok(rt_trace_stat(path, NULL, &s, &err), &err);
    assert_string_equal(s.format, "jsonl");
    assert_int_equal(s.requests, 5);
    assert_true(s.first_s == 0 && s.duration_s == 64 && s.max_gap_s == 60);
    assert_true(fabs(s.mean_per_min - 5 / 64.0 * 60) < 1e-12);
    assert_true(s.peak_per_min == 4);
    assert_true(fabs(s.cv_interarrival - sqrt(2586 / 4.0) / 16) < 1e-12);
    assert_int_equal(s.zero_gaps, 1);
    assert_int_equal(s.zero_prompts, 1);
    assert_int_equal(s.zero_outputs, 2);
    assert_int_equal(s.unsorted, 1);
    assert_int_equal(s.sessions, 2);
    assert_int_equal(s.classes, 2); /* models and tenants are no classes */
    assert_int_equal(s.hash_ids, 3);
    assert_true(s.prompt.mean == 22);
    assert_int_equal(s.prompt.sum, 110);
    assert_int_equal(s.prompt.min, 0);
    assert_int_equal(s.prompt.max, 50);
    assert_int_equal(s.prompt.p50, 20);
    assert_int_equal(s.prompt.p90, 50);
    assert_int_equal(s.output.p50, 1);
    assert_int_equal(s.output.p99, 9);
}

static void one_request(void **state)
{
    struct rt_trace_stat s;
    struct rt_err err = {0};
    const char *path =
        trace_text(*state, "s.csv", "arrival_s,prompt_tokens,output_tokens\n7.5,3,4\n");
    assert_ok(rt_trace_stat(path, "csv", &s, &err), &err);
    assert_int_equal(s.requests, 1);
    assert_true(s.first_s == 7.5 && s.duration_s == 0 && s.peak_per_min == 1);
    assert_true(s.mean_per_min == 0 && s.cv_interarrival == 0 && s.max_gap_s == 0);
    assert_int_equal(s.output.p50, 4);
    assert_int_equal(s.sessions, 0);
}

/* Nearest rank: position ceil(p * n), also where p * n is whole. */
static void nearest_rank(void **state)
{
    struct trace_dir *d = *state;
    for (unsigned n = 1; n <= 250; n++) {
        (void)trace_text(d, "r.csv", "");
        FILE *f = fopen(d->file, "w");
        assert_non_null(f);
        (void)fputs("arrival_s,prompt_tokens,output_tokens\n", f);
        for (unsigned i = 1; i <= n; i++)
            (void)fprintf(f, "%u,%u,%u\n", i, i, n + 1 - i); /* the k-th smallest is k */
        assert_int_equal(fclose(f), 0);
        struct rt_trace_stat s;
        struct rt_err err = {0};
        assert_ok(rt_trace_stat(d->file, NULL, &s, &err), &err);
        assert_int_equal(s.prompt.p50, (50 * n + 99) / 100);
        assert_int_equal(s.prompt.p90, (90 * n + 99) / 100);
        assert_int_equal(s.output.p95, (95 * n + 99) / 100);
        assert_int_equal(s.output.p99, (99 * n + 99) / 100);
    }
}

static void failures(void **state)
{
    struct rt_trace_stat s;
    struct rt_err err = {0};
    assert_fails(rt_trace_stat("/nonexistent.csv", NULL, &s, &err), &err, RT_EIO, "cannot open");
    const char *path = trace_text(*state, "f.csv", "arrival_s,prompt_tokens,output_tokens\n");
    assert_fails(rt_trace_stat(path, NULL, &s, &err), &err, RT_ETRACE, "read no requests");
    path = trace_text(*state, "f.csv", "arrival_s,prompt_tokens,output_tokens\n1,1,1\n1,1,-1\n");
    assert_fails(rt_trace_stat(path, NULL, &s, &err), &err, RT_ETRACE, "f.csv:3:5: output_tokens");
}

static double number(const struct rt_json_at *at, const char *key)
{
    double value = (double)NAN;
    struct rt_err err = {0};
    assert_ok(rt_json_double(at, key, -HUGE_VAL, HUGE_VAL, &value, &err), &err);
    if (isnan(value))
        fail_msg("no %s", key);
    return value;
}

static void near(double got, double want)
{
    if (!(fabs(got - want) <= 1e-9 * fabs(want)))
        fail_msg("%.17g, expected %.17g", got, want);
}

static void expect_lengths(const struct rt_trace_lengths *got, const struct rt_json_at *want)
{
    near(got->mean, number(want, "mean"));
    assert_true((double)got->sum == number(want, "sum"));
    assert_true((double)got->min == number(want, "min"));
    assert_true((double)got->max == number(want, "max"));
    assert_true((double)got->p50 == number(want, "p50"));
    assert_true((double)got->p90 == number(want, "p90"));
    assert_true((double)got->p99 == number(want, "p99"));
}

/* The published Azure and Mooncake traces. */
static void real_traces(void **state)
{
    static const char *const names[] = {"AzureLLMInferenceTrace_code.csv",
                                        "AzureLLMInferenceTrace_conv.csv",
                                        "mooncake_conversation_trace.jsonl.zst"};
    struct rt_json *doc;
    struct rt_err err = {0};
    (void)state;
    if (access("../shared/traces/stats.json", R_OK) != 0)
        skip();
    assert_ok(rt_json_load("../shared/traces/stats.json", &doc, &err), &err);
    struct rt_json_at root = rt_json_root(doc);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[256];
        struct rt_trace_stat s;
        struct rt_json_at want = rt_json_get(&root, names[i]);
        struct rt_json_at input = rt_json_get(&want, "input"),
                          output = rt_json_get(&want, "output");
        (void)snprintf(path, sizeof path, "../shared/traces/%s", names[i]);
        assert_ok(rt_trace_stat(path, NULL, &s, &err), &err);
        print_message("%s\n", names[i]);
        assert_true((double)s.requests == number(&want, "requests"));
        near(s.duration_s, number(&want, "duration_s"));
        near(s.mean_per_min, number(&want, "mean_per_min"));
        near(s.peak_per_min, number(&want, "peak_per_min"));
        near(s.cv_interarrival, number(&want, "cv_interarrival"));
        near(s.max_gap_s, number(&want, "max_gap_s"));
        assert_true((double)s.zero_gaps == number(&want, "zero_gaps"));
        expect_lengths(&s.prompt, &input);
        expect_lengths(&s.output, &output);
        assert_int_equal(s.unsorted, 0);
        assert_true(s.zero_prompts + s.zero_outputs == 0);
    }
    rt_json_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),  cmocka_unit_test(one_request), cmocka_unit_test(nearest_rank),
        cmocka_unit_test(failures), cmocka_unit_test(real_traces),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
