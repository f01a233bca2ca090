/* Traffic like a trace: marginals, correlation, rate and burstiness of the shipped sample and of
 * real traces (../shared), structure of sessions and block names; the summary that compares; and
 * the writer, read back. */
#include "synth_fixture.h"

#include "rooftrace/trace_write.h"
#include "rooftrace/traffic.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct rt_traffic_summary summary_of(const struct rt_workload_spec *w)
{
    struct rt_traffic_summary sum;
    struct rt_traffic *t;
    struct rt_source *s;
    struct rt_request r;
    struct rt_err err = {0};
    int64_t later;
    assert_ok(rt_workload_open(w, &s, &err), &err);
    assert_ok(rt_traffic_new(&t, &err), &err);
    uint32_t block = rt_source_stats(s)->hash_block_tokens;
    while (rt_source_next(s, INT64_MAX, &r, &later, &err) == RT_PULL_REQUEST)
        assert_ok(rt_traffic_add(t, &r, block, &err), &err);
    assert_int_equal(err.code, RT_OK);
    assert_ok(rt_traffic_result(t, &sum, &err), &err);
    rt_traffic_free(t);
    rt_source_free(s);
    return sum;
}

static void compare(const char *what, double want, double got, double percent)
{
    printf("    %-18s %12.4f %12.4f %+7.2f %%\n", what, want, got, 100 * (got / want - 1));
    if (fabs(got - want) > fabs(want) * percent / 100)
        fail_msg("%s: expected %g within %g %%, made %g", what, want, percent, got);
}

static void compare_lengths(const struct rt_traffic_lengths *a, const struct rt_traffic_lengths *b,
                            double percent)
{
    compare("mean", a->mean, b->mean, percent);
    compare("p50", (double)a->p50, (double)b->p50, percent);
    compare("p90", (double)a->p90, (double)b->p90, percent);
    compare("p99", (double)a->p99, (double)b->p99, percent);
}

/* Both lengths, rank correlation, rate and CV within `percent`. */
static void resemble(const char *path, uint64_t requests, double percent)
{
    struct rt_workload_spec trace, made;
    rt_workload_init(&trace);
    trace.trace = strdup(path);
    rt_workload_init(&made);
    made.seed = 11;
    made.synthetic.requests = requests;
    made.synthetic.like.path = strdup(path);
    snprintf(made.synthetic.like.format, sizeof made.synthetic.like.format, "auto");
    struct rt_traffic_summary a = summary_of(&trace), b = summary_of(&made);
    printf("%s, %llu requests of %llu\n", path, (unsigned long long)b.requests,
           (unsigned long long)a.requests);
    assert_true(b.requests == requests);
    compare("rate", a.rate_per_s, b.rate_per_s, percent);
    compare("cv", a.cv, b.cv, percent);
    compare_lengths(&a.prompt, &b.prompt, percent);
    compare_lengths(&a.output, &b.output, percent);
    compare("rank correlation", a.rank_correlation, b.rank_correlation, percent);
    assert_true(isnan(a.hit_ratio) == isnan(b.hit_ratio));
    if (!isnan(a.hit_ratio))
        compare("hit ratio", a.hit_ratio, b.hit_ratio, percent);
    assert_int_equal(a.fields, b.fields);
    rt_workload_release(&trace);
    rt_workload_release(&made);
}

static void like_the_sample(void **state)
{
    (void)state;
    resemble("traces/sample.csv", 200000, 3);
    resemble("traces/sample.csv", 1992, 3);
}

#define SHARED "../shared/traces/"

static void like_the_conversation_trace(void **state)
{
    (void)state;
    if (access(SHARED "AzureLLMInferenceTrace_conv.csv", R_OK) != 0)
        skip();
    resemble(SHARED "AzureLLMInferenceTrace_conv.csv", 200000, 3);
}

static void like_other_traces(void **state)
{
    (void)state;
    if (access(SHARED "AzureLLMInferenceTrace_code.csv", R_OK) != 0)
        skip();
    resemble(SHARED "AzureLLMInferenceTrace_code.csv", 200000, 5);
    resemble(SHARED "mooncake_conversation_trace.jsonl.zst", 100000, 5);
}

/* The survey of the public traces has this ratio (../shared/traces/stats.json). */
static void hit_ratio_of_mooncake(void **state)
{
    struct rt_workload_spec w;
    (void)state;
    if (access(SHARED "mooncake_conversation_trace.jsonl.zst", R_OK) != 0)
        skip();
    rt_workload_init(&w);
    w.trace = strdup(SHARED "mooncake_conversation_trace.jsonl.zst");
    struct rt_traffic_summary s = summary_of(&w);
    assert_true(fabs(s.hit_ratio - 54098411.0 / 144793823.0) < 1e-12);
    rt_workload_release(&w);
}

/* ---- the summary, by hand ---- */

static void summary_by_hand(void **state)
{
    /* Prompts 10 20 20 40, outputs 4 3 3 1: ranks 1 2.5 2.5 4 and 4 2.5 2.5 1, correlation -1.
     * Gaps 1, 1, 4 s: mean 2, sd sqrt 2. Blocks of 8: the second row's first block is known (8
     * tokens), the third row's two (16), the fourth's none, though its second one is. */
    static const uint64_t ids[] = {0, 5, 0, 7, 0, 7, 9, 5};
    static const struct rt_request rows[] = {
        {.arrival_ns = 0,
         .prompt_tokens = 10,
         .output_tokens = 4,
         .hash_ids = ids,
         .hash_count = 2,
         .think_ns = -1,
         .deadline_ns = RT_NO_DEADLINE},
        {.arrival_ns = 1000000000,
         .prompt_tokens = 20,
         .output_tokens = 3,
         .hash_ids = ids + 2,
         .hash_count = 2,
         .think_ns = -1,
         .deadline_ns = RT_NO_DEADLINE,
         .session = "a"},
        {.arrival_ns = 2000000000,
         .prompt_tokens = 20,
         .output_tokens = 3,
         .hash_ids = ids + 4,
         .hash_count = 2,
         .think_ns = 0,
         .deadline_ns = RT_NO_DEADLINE,
         .session = "a"},
        {.arrival_ns = 6000000000,
         .prompt_tokens = 40,
         .output_tokens = 1,
         .hash_ids = ids + 6,
         .hash_count = 2,
         .think_ns = -1,
         .deadline_ns = RT_NO_DEADLINE,
         .session = "b"},
    };
    struct rt_traffic_summary s;
    struct rt_traffic *t;
    struct rt_err err = {0};
    (void)state;
    assert_ok(rt_traffic_new(&t, &err), &err);
    assert_fails(rt_traffic_result(t, &s, &err), &err, RT_ETRACE, "read none");
    for (int i = 0; i < 4; i++)
        assert_ok(rt_traffic_add(t, &rows[i], 8, &err), &err);
    assert_ok(rt_traffic_result(t, &s, &err), &err);
    assert_true(s.requests == 4 && s.duration_s == 6 && s.rate_per_s == 0.5);
    assert_true(fabs(s.cv - sqrt(2) / 2) < 1e-15 && fabs(s.rank_correlation + 1) < 1e-15);
    assert_true(s.prompt.mean == 22.5 && s.prompt.p50 == 20 && s.prompt.p90 == 40);
    assert_true(s.output.p50 == 3 && s.output.p99 == 4);
    assert_true(fabs(s.hit_ratio - 24.0 / 90) < 1e-15);
    assert_true(s.sessions == 2);
    assert_int_equal(s.fields,
                     1u << RT_TRAFFIC_SESSION | 1u << RT_TRAFFIC_THINK | 1u << RT_TRAFFIC_HASH_IDS);
    rt_traffic_free(t);
}

static void summary_of_little(void **state)
{
    static const struct rt_request row = {
        .prompt_tokens = 3, .output_tokens = 2, .think_ns = -1, .deadline_ns = RT_NO_DEADLINE};
    struct rt_traffic_summary s;
    struct rt_traffic *t;
    struct rt_err err = {0};
    (void)state;
    assert_ok(rt_traffic_new(&t, &err), &err);
    assert_ok(rt_traffic_add(t, &row, 0, &err), &err);
    assert_ok(rt_traffic_result(t, &s, &err), &err);
    assert_true(s.rate_per_s == 0 && s.cv == 0 && s.duration_s == 0 && s.fields == 0);
    assert_true(isnan(s.rank_correlation) && isnan(s.hit_ratio) && s.prompt.p99 == 3);
    rt_traffic_free(t);
}

/* ---- structure ---- */

static struct trace_rows like_text(struct trace_dir *dir, const char *name, const char *text,
                                   unsigned requests)
{
    char section[1024];
    snprintf(section, sizeof section,
             "{\"requests\": %u, \"like\": {\"trace\": \"%s\", \"format\": \"auto\"}}", requests,
             trace_text(dir, name, text));
    return synth_rows(section, 3);
}

static void like_little(void **state)
{
    /* one row: every second again */
    struct trace_rows t = like_text(*state, "one.csv",
                                    "arrival_s,prompt_tokens,output_tokens\n"
                                    "1700000000.5,7,3\n",
                                    5);
    rows_expect(&t, 5);
    for (size_t i = 0; i < 5; i++)
        assert_true(t.rows[i].arrival_ns == (int64_t)i * 1000000000 &&
                    t.rows[i].prompt_tokens == 7 && t.rows[i].output_tokens == 3);
    rows_free(&t);
    /* all at once, zeros, names */
    t = like_text(*state, "once.csv",
                  "arrival_s,prompt_tokens,output_tokens,class,priority,deadline_s,tenant,model\n"
                  "5,0,9,a,3,1.5,x,m\n5,4,0,b,,,,\n",
                  9);
    rows_expect(&t, 9);
    for (size_t i = 0; i < 9; i++) {
        const struct rt_request *r = &t.rows[i];
        bool a = r->prompt_tokens == 1;
        assert_true(a || (r->prompt_tokens == 4 && r->output_tokens == 1));
        assert_true(r->priority == (a ? 3 : 0) && (r->tenant_name != 0) == a);
        assert_true(r->deadline_ns == (a ? 1500000000 : RT_NO_DEADLINE));
        assert_true((r->model_name != 0) == a && r->class_name != 0);
    }
    rows_free(&t);
}

/* Two conversations over a prefix that all 20 rows have; a third shares a document with neither. */
static const char *conversations(char *text, size_t size)
{
    size_t used = 0;
    for (int i = 0; i < 20; i++)
        used +=
            (size_t)snprintf(text + used, size - used,
                             "{\"arrival_s\": %d, \"prompt_tokens\": %d, \"output_tokens\": 5, "
                             "\"session_id\": \"c%d\", \"think_s\": 1, \"hash_ids\": [77, %d%s]}\n",
                             i, i < 10 ? 1024 : 1536, i % 10, 100 + i % 10,
                             i < 10        ? ""
                             : i % 10 == 3 ? ", 18446744073709551615"
                                           : ", 5");
    return text;
}

/* Block 5 is at the end of nine conversations' second turns: those are one unit. Sessions inside
 * stay apart, first turns come before second ones, the prefix stays one name. */
static void like_keeps_conversations(void **state)
{
    char text[8192];
    struct trace_rows t = like_text(*state, "chat.jsonl", conversations(text, sizeof text), 400);
    rows_expect(&t, 400);
    int second = 0, orphans = 0;
    for (size_t i = 0; i < t.count; i++) {
        const struct rt_request *r = &t.rows[i];
        assert_true(r->hash_count == (r->prompt_tokens == 1024 ? 2u : 3u));
        assert_true(r->hash_ids[0] == 0 && r->hash_ids[1] > 0); /* 77 was the only shared name */
        assert_true(r->think_ns == 1000000000 && r->session != NULL);
        if (r->hash_count == 2)
            continue;
        second++;
        size_t k = i;
        while (k > 0 && strcmp(t.rows[k - 1].session, r->session) != 0)
            k--;
        if (k == 0)
            orphans++; /* its first turn came before the first request */
        else
            assert_true(t.rows[k - 1].hash_ids[1] == r->hash_ids[1] &&
                        t.rows[k - 1].hash_count == 2 &&
                        r->arrival_ns - t.rows[k - 1].arrival_ns == 10000000000);
    }
    assert_true(second > 150 && second < 250 && orphans < 40);
    rows_free(&t);
}

/* Lengths move between neighbours of their class only, and stay within the class's range. */
static void like_moves_lengths_within_classes(void **state)
{
    char text[8192] = "arrival_s,prompt_tokens,output_tokens,class\n";
    int between = 0;
    for (int i = 0; i < 100; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%d,%d,7,%s\n", i,
                 i % 2 == 0 ? 1000 + 10 * (i % 5) : 5000, i % 2 == 0 ? "small" : "large");
    struct trace_rows t = like_text(*state, "classes.csv", text, 5000);
    for (size_t i = 0; i < t.count; i++) {
        int64_t p = t.rows[i].prompt_tokens;
        assert_true(p == 5000 || (p >= 1000 && p <= 1040));
        assert_true(t.rows[i].output_tokens == 7);
        between += p < 5000 && p % 10 != 0;
    }
    assert_true(between > 50);
    rows_free(&t);
}

/* ---- the writer ---- */

static struct trace_rows write_and_read(struct trace_dir *dir, const char *name,
                                        const struct rt_workload_spec *w, unsigned fields)
{
    static char path[1024];
    struct rt_trace_writer to = {.fields = fields};
    struct rt_source *s;
    struct rt_request r;
    struct rt_err err = {0};
    int64_t later;
    snprintf(path, sizeof path, "%s", trace_text(dir, name, ""));
    assert_true(rt_trace_file_kind(path, &to.kind));
    assert_ok(rt_workload_open(w, &s, &err), &err);
    to.path = path;
    to.names = s;
    to.file = fopen(path, "wb");
    assert_ok(rt_trace_writer_begin(&to, &err), &err);
    while (rt_source_next(s, INT64_MAX, &r, &later, &err) == RT_PULL_REQUEST)
        assert_ok(rt_trace_writer_put(&to, &r, &err), &err);
    assert_ok(rt_trace_writer_end(&to, &err), &err);
    assert_int_equal(fclose(to.file), 0);
    rt_source_free(s);
    return pull_file(path);
}

static void expect_same(const struct trace_rows *a, const struct trace_rows *b, bool ids)
{
    rows_expect(b, a->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct rt_request *x = &a->rows[i], *y = &b->rows[i];
        assert_true(x->id == y->id && x->arrival_ns == y->arrival_ns);
        assert_true(x->prompt_tokens == y->prompt_tokens && x->output_tokens == y->output_tokens);
        assert_true(x->think_ns == y->think_ns && x->deadline_ns == y->deadline_ns);
        assert_true(x->priority == y->priority && (x->class_name == 0) == (y->class_name == 0));
        assert_true((x->session == NULL) == (y->session == NULL));
        if (x->session != NULL)
            assert_string_equal(x->session, y->session);
        /* A trace has no place for the names of the answer. */
        assert_true(y->hash_count == (ids ? rt_request_prompt_ids(x, RT_SYNTH_BLOCK_TOKENS) : 0));
        if (y->hash_count > 0)
            assert_memory_equal(x->hash_ids, y->hash_ids, y->hash_count * sizeof(uint64_t));
    }
}

static void written_traces_read_back(void **state)
{
    static const char section[] =
        "{\"requests\": 500, \"arrivals\": {\"kind\": \"poisson\", \"rate_per_s\": 3}, "
        "\"prompt_tokens\": {\"kind\": \"exponential\", \"mean\": 90}, \"output_tokens\": 9, "
        "\"prefixes\": {\"count\": 3, \"tokens\": 64}, \"classes\": [{\"name\": \"a,\\\"b\\\\c\", "
        "\"deadline_s\": 0.000000001, \"sessions\": {\"turns\": 2, \"think_s\": 1.25}}, {\"name\": "
        "\" caf\\u00e9\\n\", \"priority\": -3}]}";
    struct rt_workload_spec w;
    struct rt_err err = {0};
    assert_ok(synth_read(section, 5, &w, &err), &err);
    struct trace_rows made = pull_rows(&w, NULL);
    struct trace_rows jsonl = write_and_read(*state, "w.jsonl", &w, 0);
    struct trace_rows csv = write_and_read(*state, "w.csv", &w, 0xff);
    expect_same(&made, &jsonl, true);
    expect_same(&made, &csv, false);
    rows_free(&made);
    rows_free(&jsonl);
    rows_free(&csv);
    rt_workload_release(&w);
}

static void writer_errors(void **state)
{
    enum rt_trace_file_kind kind;
    struct rt_trace_writer to = {.path = "/dev/full", .kind = RT_TRACE_CSV};
    struct rt_err err = {0};
    const struct rt_request row = {
        .prompt_tokens = 1, .output_tokens = 1, .think_ns = -1, .deadline_ns = RT_NO_DEADLINE};
    (void)state;
    assert_false(rt_trace_file_kind("trace", &kind) || rt_trace_file_kind(".csv", &kind));
    to.file = fopen("/dev/full", "wb");
    if (to.file == NULL)
        skip();
    assert_ok(rt_trace_writer_begin(&to, &err), &err);
    assert_ok(rt_trace_writer_put(&to, &row, &err), &err); /* waits in the buffer */
    assert_fails(rt_trace_writer_end(&to, &err), &err, RT_EIO, "/dev/full: cannot write: ");
    (void)fclose(to.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_the_sample),
        cmocka_unit_test(like_the_conversation_trace),
        cmocka_unit_test(like_other_traces),
        cmocka_unit_test(hit_ratio_of_mooncake),
        cmocka_unit_test(summary_by_hand),
        cmocka_unit_test(summary_of_little),
        cmocka_unit_test(like_little),
        cmocka_unit_test(like_keeps_conversations),
        cmocka_unit_test(like_moves_lengths_within_classes),
        cmocka_unit_test(written_traces_read_back),
        cmocka_unit_test(writer_errors),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
