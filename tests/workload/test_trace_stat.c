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
    if (!(fabs(got - want) <= 1e-12 * fabs(want)))
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

static void expect_prefix(const struct rt_trace_stat *s, const struct rt_json_at *trace)
{
    struct rt_json_at want = rt_json_get(trace, "ideal_prefix_cache");
    const struct rt_trace_prefix *p = &s->prefix;
    if (rt_json_kind(&want) == RT_JSON_ABSENT) {
        assert_int_equal(p->rows, 0);
        return;
    }
    assert_true((double)p->hit_tokens == number(&want, "hit_tokens"));
    assert_true((double)p->total_tokens == number(&want, "total_tokens"));
    assert_true((double)p->hit_blocks == number(&want, "hit_blocks"));
    assert_true((double)p->total_blocks == number(&want, "total_blocks"));
    assert_true((double)p->distinct_blocks == number(&want, "distinct_blocks"));
    assert_true((double)s->block_size == number(&want, "block_size"));
    near((double)p->hit_tokens / (double)p->total_tokens, number(&want, "ratio"));
    assert_false(p->bounded);
    assert_int_equal(p->ceil_rows, s->requests); /* the last id is a partial block */
    assert_true(s->step_s > 2.99 && s->step_s < 3.01);
}

/* The published Azure and Mooncake traces: every trace at hand that has published statistics. */
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
        expect_prefix(&s, &want);
    }
    rt_json_free(doc);
}

/* One agent session of 32 requests: its blocks have 64 tokens, its ids count full ones only. */
static void real_session(void **state)
{
    struct rt_trace_stat s;
    struct rt_err err = {0};
    (void)state;
    if (access("../shared/traces/weka_trace_0291.json", R_OK) != 0)
        skip();
    assert_ok(rt_trace_stat("../shared/traces/weka_trace_0291.json", NULL, &s, &err), &err);
    assert_string_equal(s.format, "weka");
    assert_int_equal(s.requests, 32);
    assert_int_equal(s.block_size, 64);
    assert_int_equal(s.prefix.floor_rows, s.requests);
    assert_int_equal(s.prefix.hit_tokens, 64 * (int64_t)s.prefix.hit_blocks);
    assert_int_equal(s.resolution_ns, 1000000000);
}

static struct rt_trace_stat stat_of(const char *path, uint64_t memory_bytes)
{
    struct rt_trace_stat_options options = {.memory_bytes = memory_bytes};
    struct rt_trace_stat s;
    struct rt_err err = {0};
    assert_ok(rt_trace_stat_with(path, &options, &s, &err), &err);
    return s;
}

/* Against sets that never forget, kept by hand: ids below 4,096 in a byte each. */
static void prefix_by_hand(void **state)
{
    struct trace_dir *d = *state;
    enum { ROWS = 500, IDS = 4096 };
    static unsigned char seen[IDS];
    int64_t hit_tokens = 0;
    uint64_t hit_blocks = 0, distinct = 0, total = 0;
    memset(seen, 0, sizeof seen);
    (void)trace_text(d, "p.jsonl", "");
    FILE *f = fopen(d->file, "w");
    assert_non_null(f);
    srand(5);
    for (int i = 0; i < ROWS; i++) {
        int ids = rand() % 12, leading = 0, broken = 0, prompt = ids * 512 - rand() % 600;
        prompt = prompt < 0 ? 0 : prompt;
        (void)fprintf(
            f, "{\"timestamp\": %d, \"input_length\": %d, \"output_length\": 1, \"hash_ids\": [", i,
            prompt);
        int chosen[12];
        for (int k = 0; k < ids; k++) {
            chosen[k] = rand() % (k < 3 ? 4 : IDS);
            (void)fprintf(f, "%s%d", k > 0 ? ", " : "", chosen[k]);
            broken = broken || !seen[chosen[k]];
            leading += !broken;
        }
        (void)fputs("]}\n", f);
        for (int k = 0; k < ids; k++) {
            distinct += !seen[chosen[k]];
            seen[chosen[k]] = 1;
        }
        total += (uint64_t)ids;
        hit_blocks += (uint64_t)leading;
        hit_tokens += leading * 512 < prompt ? leading * 512 : prompt;
    }
    assert_int_equal(fclose(f), 0);
    struct rt_trace_stat s = stat_of(d->file, 0);
    assert_int_equal(s.prefix.hit_tokens, hit_tokens);
    assert_int_equal(s.prefix.hit_blocks, hit_blocks);
    assert_int_equal(s.prefix.total_blocks, total);
    assert_int_equal(s.prefix.distinct_blocks, distinct);
    assert_true(hit_blocks > 0 && !s.prefix.bounded);
}

/* With hardly any memory old blocks and sessions are forgotten, the hits are a lower bound and the
 * answer says so; what is met again and again stays known. */
static void bounded_memory(void **state)
{
    struct trace_dir *d = *state;
    (void)trace_text(d, "b.jsonl", "");
    FILE *f = fopen(d->file, "w");
    assert_non_null(f);
    for (int i = 0; i < 40000; i++)
        (void)fprintf(f,
                      "{\"timestamp\": %d, \"input_length\": 1024, \"output_length\": 1, "
                      "\"session_id\": %d, \"hash_ids\": [0, %d]}\n",
                      i, i % 20000, 1 + i % 20000);
    assert_int_equal(fclose(f), 0);
    struct rt_trace_stat all = stat_of(d->file, 0), few = stat_of(d->file, 1);
    assert_int_equal(all.prefix.hit_blocks, 39999 + 20000);
    assert_int_equal(all.prefix.distinct_blocks, 20001);
    assert_int_equal(all.sessions, 20000);
    assert_false(all.prefix.bounded || all.sessions_bounded);
    assert_int_equal(few.prefix.hit_blocks, 39999); /* id 0 only: the others come back too late */
    assert_true(few.prefix.bounded && few.sessions_bounded);
    assert_true(few.sessions >= all.sessions);
}

/* Batches of three every 3 s, with jitter; outputs cut off at 50. */
static void quirks(void **state)
{
    struct trace_dir *d = *state;
    (void)trace_text(d, "q.csv", "");
    FILE *f = fopen(d->file, "w");
    assert_non_null(f);
    (void)fputs("arrival_s,prompt_tokens,output_tokens\n", f);
    for (int i = 0; i < 60; i++)
        (void)fprintf(f, "%.3f,%d,%d\n", i / 3 * 3 + i / 3 % 2 * 0.002, i + 1,
                      i % 5 == 0 ? 50 : i % 40);
    assert_int_equal(fclose(f), 0);
    struct rt_trace_stat s = stat_of(d->file, 0);
    assert_int_equal(s.zero_gaps, 40);
    assert_true(s.step_s > 2.99 && s.step_s < 3.01);
    assert_int_equal(s.resolution_ns, 2000000);
    assert_true(s.output.capped && s.output.at_max == 12);
    assert_false(s.prompt.capped);
    assert_int_equal(s.prompt.bins[1], 1);  /* 1 token */
    assert_int_equal(s.prompt.bins[2], 2);  /* 2 and 3 */
    assert_int_equal(s.prompt.bins[6], 29); /* 32 to 60 */
    assert_true(s.rate_bin_s == 1 && s.rate_bins[0] == 3 && s.rate_bins[1] == 0);
    uint64_t sum = 0;
    for (unsigned i = 0; i < RT_TRACE_RATE_BINS; i++)
        sum += s.rate_bins[i];
    assert_int_equal(sum, 60);
}

/* The largest spans and gaps: nothing overflows. */
static void extremes(void **state)
{
    const char *path = trace_text(*state, "e.csv",
                                  "arrival_s,prompt_tokens,output_tokens\n0,1099511627776,1\n"
                                  "0,1,1099511627776\n9223372036,1,1\n9223372036,1,1\n");
    struct rt_trace_stat s = stat_of(path, 0);
    assert_true(s.duration_s == 9223372036.0 && s.max_gap_s == s.duration_s);
    assert_true(fabs(s.cv_interarrival - sqrt(2)) < 1e-12); /* gaps 0, T, 0 */
    assert_int_equal(s.prompt.max, INT64_C(1) << 40);
    assert_int_equal(s.prompt.bins[41], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_hand),        cmocka_unit_test(one_request),
        cmocka_unit_test(nearest_rank),   cmocka_unit_test(failures),
        cmocka_unit_test(real_traces),    cmocka_unit_test(real_session),
        cmocka_unit_test(prefix_by_hand), cmocka_unit_test(bounded_memory),
        cmocka_unit_test(quirks),         cmocka_unit_test(extremes),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
