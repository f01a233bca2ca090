/* A trace in memory gives what its file gives: random files and transformations, pulled side by
 * side; errors; budgets. */
#include "support/test.h"

#include "trace_files.h"

#include "rooftrace/rng.h"
#include "rooftrace/trace_table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB ((size_t)1 << 20)

/* Rows with classes, sessions and hash ids, some of them late. */
static const char *random_file(struct trace_dir *d, struct rt_rng *r, int rows)
{
    size_t size = (size_t)rows * 256 + 1, used = 0;
    char *text = malloc(size);
    assert_non_null(text);
    for (int i = 0; i < rows; i++) {
        double at = i + (rt_rng_below(r, 10) == 0 ? -3 : 0) + 5;
        used += (size_t)snprintf(text + used, size - used,
                                 "{\"arrival_s\":%.1f,\"prompt_tokens\":%d,\"output_tokens\":%d",
                                 at, (int)rt_rng_below(r, 200), (int)rt_rng_below(r, 9));
        if (rt_rng_below(r, 2) == 0)
            used += (size_t)snprintf(text + used, size - used, ",\"class\":\"c%d\"",
                                     (int)rt_rng_below(r, 5));
        if (rt_rng_below(r, 2) == 0)
            used += (size_t)snprintf(text + used, size - used, ",\"session_id\":\"s%d\"",
                                     (int)rt_rng_below(r, 9));
        if (rt_rng_below(r, 2) == 0)
            used += (size_t)snprintf(text + used, size - used, ",\"hash_ids\":[%d,%d]",
                                     (int)rt_rng_below(r, 50), (int)rt_rng_below(r, 50));
        used += (size_t)snprintf(text + used, size - used, "}\n");
    }
    const char *path = trace_write(d, "r.jsonl", text, used);
    free(text);
    return path;
}

static void same_request(const struct rt_source *s, const struct rt_request *a,
                         const struct rt_source *t, const struct rt_request *b)
{
    assert_int_equal(a->id, b->id);
    assert_int_equal(a->arrival_ns, b->arrival_ns);
    assert_int_equal(a->prompt_tokens, b->prompt_tokens);
    assert_int_equal(a->output_tokens, b->output_tokens);
    assert_int_equal(a->class_name, b->class_name);
    assert_string_equal(rt_source_name(s, a->class_name), rt_source_name(t, b->class_name));
    assert_int_equal(a->session == NULL, b->session == NULL);
    if (a->session != NULL)
        assert_string_equal(a->session, b->session);
    assert_int_equal(a->hash_count, b->hash_count);
    if (a->hash_count > 0)
        assert_memory_equal(a->hash_ids, b->hash_ids, a->hash_count * sizeof a->hash_ids[0]);
}

/* Answers how many requests came. */
static size_t same_sources(const struct rt_workload_spec *w, const struct rt_trace_table *table)
{
    struct rt_source *s, *t;
    struct rt_request a, b;
    struct rt_err err = {0}, err_table = {0};
    int64_t later;
    size_t count = 0;
    bool opened = rt_workload_open(w, &s, &err);
    assert_int_equal(rt_workload_open_table(w, table, &t, &err_table), opened);
    while (opened) {
        enum rt_pull answer = rt_source_next(s, INT64_MAX, &a, &later, &err);
        assert_int_equal(rt_source_next(t, INT64_MAX, &b, &later, &err_table), answer);
        if (answer != RT_PULL_REQUEST)
            break;
        same_request(s, &a, t, &b);
        count++;
    }
    assert_string_equal(err.msg, err_table.msg);
    if (opened) {
        assert_memory_equal(rt_source_stats(s), rt_source_stats(t), sizeof *rt_source_stats(s));
        rt_source_free(s);
        rt_source_free(t);
    }
    return count;
}

static void equal_to_the_file(void **state)
{
    size_t requests = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct rt_rng r;
        struct rt_workload_spec w;
        struct rt_trace_table *table;
        struct rt_err err = {0};
        rt_rng_init(&r, seed, RT_RNG_TOOLS, 0);
        rt_workload_init(&w);
        int rows = 1 + (int)rt_rng_below(&r, 200);
        w.trace = strdup(random_file(*state, &r, rows));
        w.repeat = 1 + rt_rng_below(&r, 3);
        w.rate_scale = rt_rng_below(&r, 2) == 0 ? 1 : 3.7;
        w.has_window = rt_rng_below(&r, 2) == 0; /* now and then it holds no row */
        w.window_s[0] = (double)rt_rng_below(&r, 100);
        w.window_s[1] = w.window_s[0] + 40;
        if (rt_rng_below(&r, 2) == 0)
            w.max_requests = 1 + rt_rng_below(&r, 50);
        assert_ok(rt_trace_table_new(&w, MIB, &table, &err), &err);
        assert_int_equal(rt_trace_table_rows(table), rows);
        requests += same_sources(&w, table);
        (void)same_sources(&w, table); /* a source changes nothing for the next one */
        rt_trace_table_free(table);
        rt_workload_release(&w);
    }
    assert_true(requests > 3000);
}

/* 70,000 rows in order, then one that belongs before all: beyond the window. */
static void a_row_too_late(void **state)
{
    size_t size = 70002 * 16, used;
    char *text = malloc(size);
    struct rt_workload_spec w;
    struct rt_trace_table *table;
    struct rt_err err = {0};
    assert_non_null(text);
    used = (size_t)snprintf(text, size, "arrival_s,prompt_tokens,output_tokens\n");
    for (int i = 0; i < 70000; i++)
        used += (size_t)snprintf(text + used, size - used, "%d,1,1\n", i + 1);
    used += (size_t)snprintf(text + used, size - used, "0,1,1\n");
    rt_workload_init(&w);
    w.trace = strdup(trace_write(*state, "late.csv", text, used));
    free(text);
    assert_ok(rt_trace_table_new(&w, 64 * MIB, &table, &err), &err);
    struct rt_source *s;
    struct rt_request row;
    int64_t later;
    assert_ok(rt_workload_open_table(&w, table, &s, &err), &err);
    while (rt_source_next(s, INT64_MAX, &row, &later, &err) == RT_PULL_REQUEST) {
    }
    assert_non_null(strstr(err.msg, "late.csv:70002:"));
    assert_non_null(strstr(err.msg, "sort"));
    rt_source_free(s);
    (void)same_sources(&w, table);
    rt_trace_table_free(table);
    rt_workload_release(&w);
}

static bool table_of(const char *path, size_t budget_bytes, struct rt_trace_table **out,
                     struct rt_err *err)
{
    struct rt_workload_spec w;
    rt_workload_init(&w);
    w.trace = strdup(path);
    bool ok = rt_trace_table_new(&w, budget_bytes, out, err);
    rt_workload_release(&w);
    return ok;
}

static void what_has_no_table(void **state)
{
    struct rt_trace_table *table = NULL;
    struct rt_err err = {0};
    struct rt_rng r;
    rt_rng_init(&r, 7, RT_RNG_TOOLS, 0);
    const char *path = random_file(*state, &r, 2000);
    assert_ok(table_of(path, 100000, &table, &err), &err);
    assert_null(table); /* larger than the budget */
    assert_ok(table_of(path, MIB, &table, &err), &err);
    assert_in_range(rt_trace_table_bytes(table), 100001, MIB);
    rt_trace_table_free(table);
    assert_ok(table_of("-", MIB, &table, &err), &err);
    assert_null(table); /* read once only */
    path = trace_text(*state, "bad.csv", "arrival_s,prompt_tokens,output_tokens\n1,1,1\n2,x,1\n");
    assert_fails(table_of(path, MIB, &table, &err), &err, RT_ETRACE, "bad.csv:3:3");
    assert_null(table);
    assert_fails(table_of("/nonexistent.csv", MIB, &table, &err), &err, RT_EIO, "/nonexistent.csv");
    rt_trace_table_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_to_the_file),
        cmocka_unit_test(a_row_too_late),
        cmocka_unit_test(what_has_no_table),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
