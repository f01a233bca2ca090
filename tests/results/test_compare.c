/* Logs as people have them, read into one form; and two logs side by side, every figure worked out
 * by hand. */
#include "support/test.h"

#include "rooftrace/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct files {
    char folder[64];
    char path[96];
};

static int set_up(void **state)
{
    struct files *f = calloc(1, sizeof *f);

    snprintf(f->folder, sizeof f->folder, "/tmp/rooftrace_test_XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof f->path, "%.60s/log", f->folder);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct files *f = *state;

    unlink(f->path);
    rmdir(f->folder);
    free(f);
    return 0;
}

static const char *write_log(struct files *f, const char *text)
{
    FILE *out = fopen(f->path, "w");

    assert_non_null(out);
    assert_true(fputs(text, out) >= 0);
    assert_int_equal(fclose(out), 0);
    return f->path;
}

static void load(struct files *f, const char *text, struct rt_request_log *log)
{
    struct rt_err err = {0};

    assert_ok(rt_log_load(write_log(f, text), NULL, 0, log, &err), &err);
}

static void assert_load_fails(struct files *f, const char *text, enum rt_code code,
                              const char *message)
{
    struct rt_request_log log;
    struct rt_err err = {0};

    assert_fails(rt_log_load(write_log(f, text), NULL, 0, &log, &err), &err, code, message);
    assert_null(log.rows);
}

static void assert_near(double have, double want)
{
    if (!(fabs(have - want) <= 1e-12 * fmax(1, fabs(want))))
        fail_msg("%.17g, expected %.17g", have, want);
}

/* ---- reading ---- */

static void assert_two(const struct rt_request_log *log)
{
    assert_int_equal(log->count, 2);
    assert_near(log->rows[0].ttft_s, 0.25);
    assert_near(log->rows[0].tpot_s, 0.05);
    assert_near(log->rows[0].e2e_s, 0.75);
    assert_int_equal(log->rows[0].prompt_tokens, 100);
    assert_int_equal(log->rows[0].output_tokens, 11);
    assert_true(log->rows[0].ok);
    assert_near(log->rows[1].ttft_s, 0.5);
    assert_near(log->rows[1].e2e_s, 0.5);
    assert_true(isnan(log->rows[1].tpot_s)); /* one token */
}

static void the_same_in_every_form(void **state)
{
    /* The second request has one token: no TPOT. What a row lacks follows from the rest. */
    static const char *const texts[] = {
        "request_id,arrival_s,prompt_tokens,output_tokens,ttft_s,tpot_s,e2e_s,else\n"
        "bench-0,1,100,11,0.25,0.05,0.75,x\nbench-1,2,50,1,0.5,,0.5,y\n",
        "arrival_s, Input Sequence Length,Output Sequence Length,Time to First Token (ms),"
        "Request Latency (ms)\r\n1,100,11,250,750\r\n2, 50 ,1,500,500\r\n",
        "id,arrival_ms,prompt_tokens,output_tokens,ttft_ms,inter_token_latency_ms\n"
        "0,1000,100,11,250,50\n\n1,2000,50,1,500,0\n",
        "{\"request_id\": 0, \"arrival_s\": 1, \"input_tokens\": 100, \"output_tokens\": 11, "
        "\"ttft_ms\": 250, \"e2e_ms\": 750, \"more\": {\"deep\": [1, [2]]}}\n"
        "{\"request_id\": 1, \"arrival_s\": 2, \"input_tokens\": 50, \"output_tokens\": 1, "
        "\"ttft_ms\": 500, \"success\": true, \"error\": null}\n",
        "{\"duration\": 9.5, \"completed\": 2, \"input_lens\": [100, 50], \"output_lens\": [11, 1],"
        " \"ttfts\": [0.25, 0.5], \"itls\": [[0.1, 0.0, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05,"
        " 0.05], []], \"start_times\": [1, 2], \"errors\": [\"\", \"\"]}",
        "{\n  \"ttfts\": [\n    0.25,\n    0.5\n  ],\n  \"latencies\": [0.75, 0.5],\n"
        "  \"start_times\": [1, 2], \"input_lens\": [100, 50], \"output_lens\": [11, 1]\n}\n",
        "{\"metadata\": {\"session_num\": 7, \"benchmark_phase\": \"warmup\"}, \"metrics\": {}}\n"
        "{\"metadata\": {\"session_num\": 0, \"request_start_ns\": 1763809123456789012},"
        " \"metrics\": {\"time_to_first_token\": {\"value\": 250, \"unit\": \"ms\"},"
        " \"inter_chunk_latency\": {\"value\": [100.0, 20.0], \"unit\": \"ms\"},"
        " \"request_latency\": {\"unit\": \"s\", \"value\": 0.75}, \"input_sequence_length\":"
        " {\"value\": 100, \"unit\": \"tokens\"}, \"output_sequence_length\": {\"value\": 11,"
        " \"unit\": \"tokens\"}, \"a rate\": {\"value\": 1, \"unit\": \"tokens/sec\"}},"
        " \"error\": null}\n"
        "{\"metadata\": {\"session_num\": 1, \"request_start_ns\": 1763809124456789012},"
        " \"metrics\": {\"time_to_first_token\": {\"value\": 500, \"unit\": \"ms\"},"
        " \"request_latency\": {\"value\": 500, \"unit\": \"ms\"}, \"input_sequence_length\":"
        " {\"value\": 50, \"unit\": \"tokens\"}, \"output_sequence_length\": {\"value\": 1,"
        " \"unit\": \"tokens\"}}}\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct rt_request_log log;
        load(*state, texts[i], &log);
        assert_two(&log);
        assert_true(log.has_arrivals);
        assert_near(log.rows[1].arrival_s - log.rows[0].arrival_s, 1);
        assert_int_equal(log.has_ids, i != 1);
        if (i == 4 || i == 6)
            assert_int_equal(log.itl.count, i == 4 ? 10 : 2);
        if (i == 4)
            assert_near(log.duration_s, 9.5);
        if (i == 6)
            assert_near(log.itl.mean, 0.06);
        rt_log_release(&log);
    }
}

static void failed_requests(void **state)
{
    static const char *const texts[] = {
        "ttft_s,e2e_s,error\n0.1,1,\n0,x,timed out\n",
        "ttft_s,e2e_s,success\n0.1,1,true\n,,False\n",
        "{\"ttft_s\": 0.1, \"e2e_s\": 1}\n{\"error\": \"boom\"}\n",
        "{\"ttft_s\": 0.1, \"e2e_s\": 1}\n{\"error\": {\"code\": 500}}\n",
        "{\"ttft_s\": 0.1, \"e2e_s\": 1}\n{\"success\": false}\n",
        "{\"errors\": [\"\", \"boom\"], \"ttfts\": [0.1, 0.0], \"latencies\": [1, 0]}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct rt_request_log log;
        load(*state, texts[i], &log);
        assert_int_equal(log.count, 2);
        assert_true(log.rows[0].ok);
        assert_false(log.rows[1].ok);
        assert_near(log.rows[0].e2e_s, 1);
        assert_true(isnan(log.rows[1].e2e_s));
        rt_log_release(&log);
    }
}

static void columns_by_hand(void **state)
{
    static const char *const map[] = {"ttft_ms:My First", "e2e_s:total", "request_id:n"};
    static const char *const unknown[] = {"ttf_ms:a"}, *const absent[] = {"ttft_ms:nope"},
                             *const bare[] = {"ttft_ms"},
                             *const twice[] = {"ttft_ms:a", "ttft_s:b"};
    struct rt_request_log log;
    struct rt_err err = {0};
    const char *path = write_log(*state, "n,my_first,total,ttft_s\nr9,250,2,99\n");

    assert_ok(rt_log_load(path, map, 3, &log, &err), &err);
    assert_near(log.rows[0].ttft_s, 0.25);
    assert_near(log.rows[0].e2e_s, 2);
    assert_int_equal(log.rows[0].id, 9);
    rt_log_release(&log);
    assert_fails(rt_log_load(path, unknown, 1, &log, &err), &err, RT_EUSAGE,
                 "unknown field \"ttf_ms\", did you mean \"ttft_ms\"");
    assert_fails(rt_log_load(path, absent, 1, &log, &err), &err, RT_EUSAGE, "no column \"nope\"");
    assert_fails(rt_log_load(path, bare, 1, &log, &err), &err, RT_EUSAGE, "ttft_ms:COLUMN");
    assert_fails(rt_log_load(path, twice, 2, &log, &err), &err, RT_EUSAGE, "mapped twice");
}

static void malformed(void **state)
{
    struct files *f = *state;
    char deep[400];

    assert_load_fails(f, "", RT_ETRACE, "log: is empty");
    assert_load_fails(f, "\n \n", RT_ETRACE, "log: is empty");
    assert_load_fails(f, "a,b\n1,2\n", RT_ETRACE, "log:1:1: expected a column of TTFT");
    assert_load_fails(f, "ttft_s\n", RT_ETRACE, "expected requests, read none");
    assert_load_fails(f, "e2e_s,ttft_s\n1,0.5\n2,abc\n", RT_ETRACE,
                      "log:3:3: ttft_s: expected a number, read \"abc\"");
    assert_load_fails(f, "ttft_s\nnan\n", RT_ETRACE, "log:2:1: ttft_s: expected a number");
    assert_load_fails(f, "ttft_s\n1e400\n", RT_ETRACE, "log:2:1");
    assert_load_fails(f, "ttft_s\n-1\n", RT_ETRACE, "at least 0, read -1");
    assert_load_fails(f, "ttft_s,output_tokens\n1,2.5\n", RT_ETRACE, "whole number");
    assert_load_fails(f, "ttft_s,output_tokens\n1,1e19\n", RT_ETRACE, "whole number");
    assert_load_fails(f, "ttft_s,e2e_s\n1\n", RT_ETRACE, "log:2:1: expected 2 fields");
    assert_load_fails(f, "ttft_s,ttft_ms\n1,2\n", RT_ETRACE, "log:1:8: columns");
    assert_load_fails(f, "ttft_s,ttft_s\n1,2\n", RT_ETRACE, "once, read it again");
    assert_load_fails(f, "request_latency\n1\n", RT_ETRACE,
                      "does not tell its unit: map it with --columns e2e_ms:request_latency");
    assert_load_fails(f, "{\"ttft_s\": 1, }\n", RT_ETRACE, "log:1:15: not JSON");
    assert_load_fails(f, "{\"ttft_s\": 1}\n{\"ttft_s\": }\n", RT_ETRACE, "log:2:12: not JSON");
    assert_load_fails(f, "{\"ttft_s\": 1", RT_ETRACE, "end of the file");
    assert_load_fails(f, "{\"ttft_s\": \"x\"}", RT_ETRACE, "ttft_s: expected a number, read \"x\"");
    assert_load_fails(f, "{\"ttft_s\": -1}", RT_ETRACE, "ttft_s: expected a time");
    assert_load_fails(f, "{\"ttft_s\": 1}\n[1]\n", RT_ETRACE, "log:2:1: expected an object");
    assert_load_fails(f, "{\"ttft_s\": 1}\n7\n", RT_ETRACE, "expected an object, read a value");
    assert_load_fails(f, "{\"duration\": 9, \"mean_ttft_ms\": 5}", RT_ETRACE, "--save-detailed");
    assert_load_fails(f, "{\"ttfts\": [1], \"itls\": [[-1]]}", RT_ETRACE, "gap of at least 0");
    assert_load_fails(f, "{\"ttfts\": [1]}\n{\"ttfts\": [1]}", RT_ETRACE, "read a second one");
    assert_load_fails(f, "{\"metrics\": {\"time_to_first_token\": {\"value\": 1}}}", RT_ETRACE,
                      "expected the unit");
    memset(deep, '[', 100);
    memcpy(deep, "{\"a\":", 5);
    deep[100] = '\0';
    assert_load_fails(f, deep, RT_ETRACE, "nesting of at most 64");
}

/* Bytes of good logs changed at random: read or refused in one line, nothing else. Sanitizers look
 * on. */
static void changed_bytes(void **state)
{
    static const char *const good[] = {
        "id,arrival_s,prompt_tokens,output_tokens,ttft_ms,tpot_s,e2e_s,error\n"
        "r-1,0.5,100,11,250,0.05,0.75,\n\"r-2\",1,50,1,500,,0.5,\"a \"\"b\"\"\"\n",
        "{\"id\": 1, \"ttft_ms\": 2.5e1, \"error\": null, \"x\": [1, {\"y\": []}]}\n{\"id\": 2}\n",
        "{\"ttfts\": [0.1, 0.2], \"itls\": [[0.1, 0.1], []], \"errors\": [\"\", \"x\"]}",
        "{\"metadata\": {\"session_num\": 3}, \"metrics\": {\"inter_chunk_latency\": {\"value\":"
        " [1, 2], \"unit\": \"ms\"}, \"request_latency\": {\"value\": 5, \"unit\": \"s\"}}}\n",
    };
    static const char bytes[] = "{}[]\",:0129-.e \n\r_x\x80";
    uint64_t seed = 1;

    for (int i = 0; i < 4000; i++) {
        char text[512];
        struct rt_request_log log;
        struct rt_err err = {0};
        snprintf(text, sizeof text, "%s", good[i % 4]);
        for (int changes = 0; changes < 1 + i % 3; changes++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            text[(seed >> 40) % strlen(good[i % 4])] = bytes[(seed >> 20) % (sizeof bytes - 1)];
        }
        if (rt_log_load(write_log(*state, text), NULL, 0, &log, &err)) {
            assert_true(log.count > 0);
            rt_log_release(&log);
        } else {
            assert_true(err.code == RT_ETRACE || err.code == RT_EIO);
            assert_null(strchr(err.msg, '\n'));
            assert_null(log.rows);
        }
    }
}

static void a_file_that_is_not_there(void **state)
{
    struct rt_request_log log;
    struct rt_err err = {0};

    (void)state;
    assert_fails(rt_log_load("/nonexistent/log.csv", NULL, 0, &log, &err), &err, RT_EIO,
                 "/nonexistent/log.csv");
}

/* ---- comparing ---- */

static const char truth[] = "request_id,arrival_s,prompt_tokens,output_tokens,ttft_s,tpot_s\n"
                            "0,0,10,11,1,0.1\n1,1,20,11,2,0.1\n2,2,30,11,4,0.2\n3,3,40,1,5,\n"
                            "9,4,1,1,1,\n";
/* TTFT +100 %, -50 %, 0 %, +20 %; TPOT 0 %, +50 %, -50 %; rows in another order; 7 has no partner
 */
static const char other[] = "request_id,arrival_s,prompt_tokens,output_tokens,ttft_s,tpot_s\n"
                            "3,3,40,1,6,\n2,2,30,11,4,0.1\n1,1,20,11,1,0.15\n0,0,10,11,2,0.1\n"
                            "7,4,1,1,1,\n";

static void by_id(void **state)
{
    struct rt_request_log a, b;
    struct rt_comparison c;
    struct rt_err err = {0};
    const struct rt_compared_metric *m;

    load(*state, truth, &a);
    load(*state, other, &b);
    assert_ok(rt_compare(&a, &b, RT_COMPARE_AUTO, &c, &err), &err);
    assert_true(c.by_id);
    assert_int_equal(c.pairs, 4);
    assert_int_equal(c.compared, 4);
    assert_int_equal(c.only_a, 1);
    assert_int_equal(c.only_b, 1);
    assert_int_equal(c.tokens_differ, 0);
    m = &c.metric[RT_COMPARED_TTFT];
    assert_int_equal(m->a.count, 4);
    assert_near(m->a.mean, 3); /* 1 2 4 5 */
    assert_near(m->b.mean, 3.25);
    assert_near(m->a.p50, 3);
    assert_near(m->b.p50, 3);
    assert_near(m->a.p90, 4.7); /* 4 + 0.7 (5 - 4) */
    assert_near(rt_compare_error(m->a.mean, m->b.mean), 3.25 / 3 - 1);
    assert_int_equal(m->errors, 4);
    assert_near(m->median_abs_error, 0.35); /* 0 .2 .5 1 */
    assert_near(m->mean_abs_error, 0.425);
    assert_near(m->p90_abs_error, 0.85);
    m = &c.metric[RT_COMPARED_TPOT]; /* request 3 has none */
    assert_int_equal(m->a.count, 3);
    assert_near(m->a.mean, 0.4 / 3);
    assert_near(m->b.mean, 0.35 / 3);
    assert_near(m->median_abs_error, 0.5);
    m = &c.metric[RT_COMPARED_E2E]; /* a: 2 3 6 5, b: 3 2.5 5 6 */
    assert_near(m->a.mean, 4);
    assert_near(m->b.mean, 4.125);
    assert_int_equal(c.metric[RT_COMPARED_ITL].a.count, 0);
    /* a: 0 s to 2 + 6 s; b: 0 s to 3 + 6 s; 4 requests, 34 output and 100 prompt tokens */
    assert_near(c.requests.a, 0.5);
    assert_near(c.requests.b, 4.0 / 9);
    assert_near(c.output_tokens.a, 34.0 / 8);
    assert_near(c.total_tokens.b, 134.0 / 9);
    rt_log_release(&a);
    rt_log_release(&b);
}

static void by_order(void **state)
{
    struct rt_request_log a, b;
    struct rt_comparison c;
    struct rt_err err = {0};

    /* No ids: the k-th arrival with the k-th, file order between equals. */
    load(*state, "arrival_s,ttft_s\n5,3\n1,1\n1,2\n", &a);
    load(*state, "arrival_s,ttft_s\n0,10\n0,20\n9,30\n10,40\n", &b);
    assert_ok(rt_compare(&a, &b, RT_COMPARE_AUTO, &c, &err), &err);
    assert_false(c.by_id);
    assert_int_equal(c.compared, 3);
    assert_int_equal(c.only_b, 1);
    assert_near(c.metric[RT_COMPARED_TTFT].b.mean, 20);
    assert_near(c.metric[RT_COMPARED_TTFT].median_abs_error, 9);
    assert_true(isnan(c.requests.a)); /* no E2E: no last token */
    assert_fails(rt_compare(&a, &b, RT_COMPARE_ID, &c, &err), &err, RT_EUSAGE, "no numbered ids");
    rt_log_release(&b);
    load(*state, truth, &b);
    assert_ok(rt_compare(&b, &b, RT_COMPARE_ORDER, &c, &err), &err);
    assert_near(c.metric[RT_COMPARED_E2E].mean_abs_error, 0);
    rt_log_release(&a);
    rt_log_release(&b);
}

static void failures_and_other_tokens(void **state)
{
    struct rt_request_log a, b;
    struct rt_comparison c;
    struct rt_err err = {0};

    load(*state, "id,ttft_s,error,output_tokens\n0,1,,5\n1,,boom,5\n2,0,,5\n3,1,,5\n", &a);
    load(*state, "id,ttft_s,error,output_tokens\n0,2,,5\n1,1,,5\n2,1,,6\n3,,late,5\n", &b);
    assert_ok(rt_compare(&a, &b, RT_COMPARE_AUTO, &c, &err), &err);
    assert_int_equal(c.pairs, 4);
    assert_int_equal(c.failed_a, 1);
    assert_int_equal(c.failed_b, 1);
    assert_int_equal(c.compared, 2);
    assert_int_equal(c.tokens_differ, 1);
    /* A measured 0 has no relative error. */
    assert_int_equal(c.metric[RT_COMPARED_TTFT].a.count, 2);
    assert_int_equal(c.metric[RT_COMPARED_TTFT].errors, 1);
    assert_near(c.metric[RT_COMPARED_TTFT].median_abs_error, 1);
    rt_log_release(&a);
    rt_log_release(&b);
}

static void ids_that_do_not_match(void **state)
{
    struct rt_request_log a, b;
    struct rt_comparison c;
    struct rt_err err = {0};

    load(*state, "id,ttft_s\n10,1\n11,1\n", &a);
    load(*state, "id,ttft_s\n0,1\n1,1\n", &b);
    assert_fails(rt_compare(&a, &b, RT_COMPARE_AUTO, &c, &err), &err, RT_ETRACE,
                 "have no request in common: ids from 10 to 11, and from 0 to 1");
    rt_log_release(&a);
    load(*state, "id,ttft_s\nr4,1\nr4,2\n", &a);
    assert_fails(rt_compare(&a, &b, RT_COMPARE_AUTO, &c, &err), &err, RT_ETRACE,
                 "request 4 is there twice, as number 1 and 2");
    rt_log_release(&a);
    /* Texts that are no numbers behind one prefix: order. */
    load(*state, "id,ttft_s\na1,1\nb2,2\n", &a);
    assert_false(a.has_ids);
    assert_ok(rt_compare(&a, &b, RT_COMPARE_AUTO, &c, &err), &err);
    assert_false(c.by_id);
    rt_log_release(&a);
    rt_log_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_same_in_every_form, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failed_requests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(columns_by_hand, set_up, tear_down),
        cmocka_unit_test_setup_teardown(malformed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changed_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(by_id, set_up, tear_down),
        cmocka_unit_test_setup_teardown(by_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(failures_and_other_tokens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(ids_that_do_not_match, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
