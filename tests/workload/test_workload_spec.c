/* The section `workload` of a scenario: defaults, every key, every wrong value with its path. */
#include "support/test.h"

#include "rooftrace/workload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool parse(const char *text, struct rt_workload_spec *w, struct rt_err *err)
{
    struct rt_json *doc;
    if (!rt_json_parse(text, strlen(text), "dir/s.json", &doc, err))
        return false;
    struct rt_json_at root = rt_json_root(doc);
    struct rt_json_at at = rt_json_get(&root, "workload");
    bool ok = rt_workload_parse(&at, w, err);
    rt_json_free(doc);
    return ok;
}

static void defaults(void **state)
{
    struct rt_workload_spec w;
    struct rt_err err = {0};
    (void)state;
    rt_workload_init(&w);
    assert_ok(parse("{\"workload\": {\"trace\": \"a.csv\"}}", &w, &err), &err);
    assert_string_equal(w.trace, "dir/a.csv"); /* beside the file that names it */
    assert_string_equal(w.format, "auto");
    assert_true(w.rate_scale == 1.0);
    assert_int_equal(w.repeat, 1);
    assert_false(w.has_window);
    assert_true(w.window_s[0] == 0 && isinf(w.window_s[1]));
    assert_true(w.max_requests == UINT64_MAX);
    assert_int_equal(w.block_size, 0);
    rt_workload_release(&w);
    assert_null(w.trace);
}

static void every_key(void **state)
{
    struct rt_workload_spec w;
    struct rt_err err = {0};
    (void)state;
    rt_workload_init(&w);
    assert_ok(parse("{\"workload\": {\"trace\": \"first.csv\"}}", &w, &err), &err);
    assert_ok(parse("{\"workload\": {\"$comment\": 1, \"trace\": \"/x/b.csv\", \"format\": "
                    "\"mooncake\", \"rate_scale\": 2.5, \"repeat\": 50, \"window_s\": [0.5, 600], "
                    "\"max_requests\": 1000, \"block_size\": 512}}",
                    &w, &err),
              &err);
    assert_string_equal(w.trace, "/x/b.csv");
    assert_string_equal(w.format, "mooncake");
    assert_true(w.rate_scale == 2.5);
    assert_int_equal(w.repeat, 50);
    assert_true(w.has_window);
    assert_true(w.window_s[0] == 0.5 && w.window_s[1] == 600);
    assert_int_equal(w.max_requests, 1000);
    assert_int_equal(w.block_size, 512);
    /* What is not given keeps its value: the command line may have set it. */
    assert_ok(parse("{\"workload\": {\"trace\": \"-\", \"repeat\": 2}}", &w, &err), &err);
    assert_string_equal(w.trace, "-");
    assert_string_equal(w.format, "mooncake");
    assert_int_equal(w.repeat, 2);
    assert_int_equal(w.max_requests, 1000);
    rt_workload_release(&w);
}

static void bad_sections(void **state)
{
    static const struct {
        const char *section, *message;
    } cases[] = {
        {"5", "dir/s.json: $.workload: expected an object, read 5"},
        {"{\"trase\": \"a\"}", "trace"},
        {"{\"rate-scale\": 2}", "rate_scale"},
        {"{\"trace\": 5}", "$.workload.trace: expected a string, read 5"},
        {"{\"trace\": \"\"}", "$.workload.trace: expected a path"},
        {"{\"format\": \"mooncak\"}", "mooncake"},
        {"{\"format\": 1}", "$.workload.format"},
        {"{\"rate_scale\": 0}", "$.workload.rate_scale"},
        {"{\"rate_scale\": -1}", "$.workload.rate_scale"},
        {"{\"rate_scale\": 1e10}", "$.workload.rate_scale"},
        {"{\"rate_scale\": \"2\"}", "$.workload.rate_scale"},
        {"{\"repeat\": 0}", "$.workload.repeat"},
        {"{\"repeat\": 1.5}", "$.workload.repeat"},
        {"{\"repeat\": 1000000001}", "$.workload.repeat"},
        {"{\"max_requests\": 0}", "$.workload.max_requests"},
        {"{\"max_requests\": null}", "$.workload.max_requests"},
        {"{\"block_size\": 0}", "$.workload.block_size"},
        {"{\"block_size\": 1048577}", "$.workload.block_size"},
        {"{\"window_s\": 5}", "$.workload.window_s: expected an array, read 5"},
        {"{\"window_s\": []}", "$.workload.window_s: expected [from, to) in seconds, read 0"},
        {"{\"window_s\": [1]}", "read 1 elements"},
        {"{\"window_s\": [1, 2, 3]}", "read 3 elements"},
        {"{\"window_s\": [1, \"2\"]}", "$.workload.window_s[1]: expected a number"},
        {"{\"window_s\": [null, 2]}", "$.workload.window_s[0]: expected a number"},
        {"{\"window_s\": [-1, 2]}", "$.workload.window_s[0]: expected a number of seconds from 0"},
        {"{\"window_s\": [0, 1e10]}", "$.workload.window_s[1]: expected a number of seconds"},
        {"{\"window_s\": [2, 2]}", "$.workload.window_s: expected from < to, read [2, 2]"},
    };
    char text[512];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_workload_spec w;
        struct rt_err err = {0};
        rt_workload_init(&w);
        (void)snprintf(text, sizeof text, "{\"workload\": %s}", cases[i].section);
        assert_fails(parse(text, &w, &err), &err, RT_ECONFIG, cases[i].message);
        rt_workload_release(&w);
    }
}

/* Specs that did not come from a file are checked when the trace is opened. */
static void bad_specs(void **state)
{
    struct rt_workload_spec w;
    struct rt_source *s;
    struct rt_err err = {0};
    (void)state;
    rt_workload_init(&w);
    assert_fails(rt_workload_open(&w, &s, &err), &err, RT_ECONFIG, "expected a trace");
    w.trace = strdup("traces/sample.csv");
    w.rate_scale = (double)NAN;
    assert_fails(rt_workload_open(&w, &s, &err), &err, RT_ECONFIG, "rate_scale");
    w.rate_scale = 1;
    w.repeat = 0;
    assert_fails(rt_workload_open(&w, &s, &err), &err, RT_ECONFIG, "repeat");
    w.repeat = 1;
    w.max_requests = 0;
    assert_fails(rt_workload_open(&w, &s, &err), &err, RT_ECONFIG, "max_requests");
    w.max_requests = 1;
    w.block_size = 2000000;
    assert_fails(rt_workload_open(&w, &s, &err), &err, RT_ECONFIG, "block_size");
    w.block_size = 0;
    w.has_window = true;
    w.window_s[1] = 0;
    assert_fails(rt_workload_open(&w, &s, &err), &err, RT_ECONFIG, "window_s");
    w.window_s[0] = (double)NAN;
    assert_fails(rt_workload_open(&w, &s, &err), &err, RT_ECONFIG, "window_s");
    w.has_window = false;
    strcpy(w.format, "cvs");
    assert_fails(rt_workload_open(&w, &s, &err), &err, RT_ECONFIG,
                 "unknown trace format \"cvs\": did you mean \"csv\"?");
    strcpy(w.format, "auto");
    assert_ok(rt_workload_open(&w, &s, &err), &err);
    rt_source_free(s);
    rt_source_free(NULL);
    rt_workload_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(every_key),
        cmocka_unit_test(bad_sections),
        cmocka_unit_test(bad_specs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
