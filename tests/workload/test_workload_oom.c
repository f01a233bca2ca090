/* Out of memory: the n-th allocation of this folder's code fails, for every n until all goes
 * through. Each time the answer is RT_ENOMEM, and nothing leaks. */
#include "support/failing_alloc.h"
#include "support/test.h"

#include "trace_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Answers how many requests came, or -1 with the error. */
static int replay(const struct rt_workload_spec *w, struct rt_err *err)
{
    struct rt_source *s;
    struct rt_request r;
    int64_t later;
    enum rt_pull pull;
    int count = 0;
    if (!rt_workload_open(w, &s, err))
        return -1;
    while ((pull = rt_source_next(s, INT64_MAX, &r, &later, err)) == RT_PULL_REQUEST)
        count++;
    rt_source_free(s);
    return pull == RT_PULL_END ? count : -1;
}

static void expect_every_failure(const char *path, uint64_t repeat, int want)
{
    struct rt_workload_spec w;
    int count = -1;
    long n = 0;
    rt_workload_init(&w);
    w.trace = strdup(path);
    w.repeat = repeat;
    for (; count < 0; n++) {
        struct rt_err err = {0};
        failing_alloc_after(n);
        count = replay(&w, &err);
        failing_alloc_after(-1);
        if (count < 0)
            assert_int_equal(err.code, RT_ENOMEM);
    }
    assert_int_equal(count, want);
    assert_in_range(n, 10, 200);
    for (n = 0;; n++) {
        struct rt_trace_stat s;
        struct rt_err err = {0};
        failing_alloc_after(n);
        bool ok = rt_trace_stat(path, NULL, &s, &err);
        failing_alloc_after(-1);
        if (ok)
            break;
        assert_int_equal(err.code, RT_ENOMEM);
    }
    rt_workload_release(&w);
}

static void csv(void **state)
{
    struct blob text = {malloc(100000), 0};
    text.len = (size_t)sprintf((char *)text.bytes, "arrival_s,prompt_tokens,output_tokens,class,"
                                                   "session_id,a,b,c,d,e,f,g,h,i,j,k,l,m\n");
    for (int i = 0; i < 100; i++)
        text.len += (size_t)sprintf((char *)text.bytes + text.len,
                                    "%d,1,1,class %d,s%d,,,,,,,,,,,,,\n", i ^ 1, i, i);
    expect_every_failure(trace_write(*state, "a.csv", text.bytes, text.len), 1, 100);
    struct blob z = gzip_of(text.bytes, text.len);
    expect_every_failure(trace_write(*state, "a.csv.gz", z.bytes, z.len), 2, 200);
    free(z.bytes);
    free(text.bytes);
}

static void jsonl(void **state)
{
    struct blob text = {malloc(2000000), 0};
    for (int i = 0; i < 20; i++) {
        text.len += (size_t)sprintf((char *)text.bytes + text.len,
                                    "{\"timestamp\":%d,\"input_length\":1,\"output_length\":1,"
                                    "\"tenant\":\"t%d\",\"session_id\":%d,\"hash_ids\":[0",
                                    i ^ 1, i, i);
        for (int j = 0; j < i * 1000; j++)
            text.len += (size_t)sprintf((char *)text.bytes + text.len, ",%d", j);
        text.len += (size_t)sprintf((char *)text.bytes + text.len, "]}\n");
    }
    expect_every_failure(trace_write(*state, "a.jsonl", text.bytes, text.len), 2, 40);
    struct blob z = zstd_of(text.bytes, text.len);
    expect_every_failure(trace_write(*state, "a.jsonl.zst", z.bytes, z.len), 1, 20);
    free(z.bytes);
    free(text.bytes);
}

/* Every kind of load over sessions with hash ids; each request is done at once. */
static int replay_loads(const char *path, int which, struct rt_err *err)
{
    struct rt_rate_point points[] = {{0, 1}, {10, 2}};
    struct rt_workload_spec w;
    struct rt_source *s;
    struct rt_request r;
    int64_t now_ns = 0, later_ns = 0;
    int count = 0;
    rt_workload_init(&w);
    w.trace = (char *)(uintptr_t)path; /* not released */
    w.load.sessions = (enum rt_sessions)(which % RT_SESSIONS_COUNT);
    w.load.max_concurrency = 1 + which % 2;
    w.load.arrivals = (enum rt_arrivals)(which % 4);
    w.load.request_rate = 5;
    w.load.profile =
        (struct rt_rate_spec){.shape = RT_RATE_LINEAR, .points = points, .point_count = 2};
    if (!rt_workload_open(&w, &s, err))
        return -1;
    for (;;) {
        enum rt_pull pull = rt_source_next(s, now_ns, &r, &later_ns, err);
        if (pull == RT_PULL_REQUEST) {
            (void)rt_source_done(s, r.id, now_ns);
            count++;
        } else if (pull == RT_PULL_LATER) {
            now_ns = later_ns;
        } else {
            rt_source_free(s);
            return pull == RT_PULL_END ? count : -1;
        }
    }
}

static void loads(void **state)
{
    struct blob text = {malloc(100000), 0};
    for (int i = 0; i < 100; i++)
        text.len +=
            (size_t)sprintf((char *)text.bytes + text.len,
                            "{\"timestamp\":%d,\"input_length\":%d,\"output_length\":1,"
                            "\"session_id\":%d,\"think_s\":0.5%s}\n",
                            i * 100, 10 + i, i % 70, i % 3 ? "" : ",\"hash_ids\":[1,2,3,4,5,6]");
    const char *path = trace_write(*state, "loads.jsonl", text.bytes, text.len);
    for (int which = 0; which < 12; which++) {
        int count = -1;
        for (long n = 0; count < 0; n++) {
            struct rt_err err = {0};
            failing_alloc_after(n);
            count = replay_loads(path, which, &err);
            failing_alloc_after(-1);
            if (count < 0)
                assert_int_equal(err.code, RT_ENOMEM);
            assert_true(n < 2000);
        }
        assert_int_equal(count, 100);
    }
    free(text.bytes);
}

/* Two parts of a mix, one in copies with trees of their own, both resampled. */
static void transforms(void **state)
{
    static const char row[] = "{\"timestamp\":%d,\"input_length\":9,\"output_length\":1,"
                              "\"session_id\":%d,\"class\":\"c%d\",\"hash_ids\":[1,2,3]}\n";
    struct rt_mix_part parts[2] = {{.class_name = NULL}, {.class_name = NULL}};
    struct rt_workload_spec w;
    char text[4000];
    int len = 0, count = -1;
    for (int i = 0; i < 30; i++)
        len += sprintf(text + len, row, i * 100, i % 7, i);
    rt_workload_init(&w);
    w.mix = parts;
    w.mix_count = 2;
    w.transform.prompt_scale = 2;
    for (int k = 0; k < 2; k++) {
        rt_workload_init(&parts[k].workload);
        const char *path = trace_write(*state, k == 0 ? "m0.jsonl" : "m1.jsonl", text, (size_t)len);
        parts[k].workload.trace = strdup(path);
        parts[k].workload.transform.resample = 20;
    }
    parts[0].class_name = strdup("first");
    parts[1].workload.transform.copies = parts[1].workload.transform.prefix_roots = 3;
    long n = 0;
    for (; count < 0; n++) {
        struct rt_err err = {0};
        failing_alloc_after(n);
        count = replay(&w, &err);
        failing_alloc_after(-1);
        if (count < 0)
            assert_int_equal(err.code, RT_ENOMEM);
    }
    assert_int_equal(count, 40);
    assert_in_range(n, 60, 2000);
    free(parts[0].class_name);
    for (int k = 0; k < 2; k++)
        rt_workload_release(&parts[k].workload);
}

/* Every kind of reader. */
static void formats(void **state)
{
    static const char *const files[] = {"bailian.jsonl",   "weka.json",         "otel.json",
                                        "vllm_bench.json", "chunk-0-trace.csv", "litellm_json.json",
                                        "tracelab.csv",    "ragpulse.jsonl"};
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "tests/workload/corpus/%s", files[i]);
        struct trace_rows r = pull_file(path);
        rows_expect(&r, r.count);
        int count = (int)r.count;
        rows_free(&r);
        expect_every_failure(path, 1, count);
    }
}

/* What --columns says becomes tables; each of their allocations may fail. */
static void columns(void **state)
{
    struct rt_trace_options options = {
        .columns = "arrival=ts:ms,prompt=usage.in,output=usage.out,session=user.id"};
    (void)state;
    for (long n = 0;; n++) {
        struct rt_trace *t;
        struct rt_err err = {0};
        failing_alloc_after(n);
        bool ok = rt_trace_open_with("tests/workload/corpus/columns.json", &options, &t, &err);
        failing_alloc_after(-1);
        if (ok) {
            rt_trace_free(t);
            break;
        }
        assert_int_equal(err.code, RT_ENOMEM);
    }
}

static void spec(void **state)
{
    static const char text[] =
        "{\"trace\": \"a.csv\", \"format\": \"azure\", \"window_s\": [1, 2], "
        "\"repeat\": 3, \"rate_profile\": {\"shape\": \"steps\", \"points\": [[0, 1]]}}";
    (void)state;
    struct rt_json *doc;
    struct rt_err err = {0};
    assert_ok(rt_json_parse(text, sizeof text - 1, "s.json", &doc, &err), &err);
    struct rt_json_at root = rt_json_root(doc);
    for (long n = 0;; n++) {
        struct rt_workload_spec w;
        rt_workload_init(&w);
        failing_alloc_after(n);
        bool ok = rt_workload_parse(&root, &w, &err);
        failing_alloc_after(-1);
        rt_workload_release(&w);
        if (ok)
            break;
        assert_int_equal(err.code, RT_ENOMEM);
    }
    rt_json_free(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv),     cmocka_unit_test(jsonl), cmocka_unit_test(formats),
        cmocka_unit_test(columns), cmocka_unit_test(loads), cmocka_unit_test(transforms),
        cmocka_unit_test(spec),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
