/* JSONL: rooftrace's names and Mooncake's, 64-bit hash ids, and everything that JSON can get wrong.
 * That the C reader and the JSON Schema agree is check_trace_schema.py's business. */
#include "support/test.h"

#include "trace_files.h"

#include "rooftrace/rng.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void mooncake(void **state)
{
    const char *path = trace_text(
        *state, "m.jsonl",
        "{\"timestamp\": 0, \"input_length\": 1100, \"output_length\": 20, \"hash_ids\": [0, 1, "
        "2]}\n"
        "{\"timestamp\": 3000, \"input_length\": 1600, \"output_length\": 5, \"hash_ids\": []}\n"
        "{\"timestamp\": 2999.5, \"input_length\": 0, \"output_length\": 0}\n\n");
    struct trace_rows r = read_rows(path, NULL);
    rows_expect(&r, 3);
    assert_int_equal(r.rows[0].hash_count, 3);
    for (uint64_t i = 0; i < 3; i++)
        assert_int_equal(r.rows[0].hash_ids[i], i);
    assert_int_equal(r.rows[1].arrival_ns, 3000000000);
    assert_int_equal(r.rows[1].prompt_tokens, 1600);
    assert_int_equal(r.rows[1].output_tokens, 5);
    assert_int_equal(r.rows[1].hash_count, 0);
    assert_null(r.rows[1].hash_ids);
    assert_int_equal(r.rows[2].arrival_ns, 2999500000);
    assert_int_equal(r.rows[2].id, 2);
    rows_free(&r);

    struct rt_trace *t;
    struct rt_err err = {0};
    assert_ok(rt_trace_open(path, "auto", &t, &err), &err);
    assert_string_equal(rt_trace_info(t)->format, "mooncake");
    assert_string_equal(rt_trace_info(t)->path, path);
    assert_int_equal(rt_trace_info(t)->block_size, 512);
    rt_trace_free(t);
}

static void native(void **state)
{
    const char *path = trace_text(
        *state, "n.jsonl",
        "{\"tenant\": \"acme\", \"session_id\": \"a\\\"b\\u00e9\\ud83d\\ude00\", \"arrival_s\": "
        "0.1, "
        "\"prompt_tokens\": 5, \"output_tokens\": 6, \"class\": \"chat\", \"model\": "
        "\"l\\u006cama\", "
        "\"think_s\": 2, \"priority\": -1, \"deadline_s\": 1e1, \"hash_ids\": "
        "[9007199254740993, 18446744073709551615, 0, 184467440737095516140e-1]}\n"
        "  {\"arrival_s\":1e-9,\"prompt_tokens\":7.0,\"output_tokens\":8e0,\"session_id\":42}  \n"
        "\t\n"
        "{\"$comment\": [{\"a\": [null, true, 1.5, \"x\"]}], \"output_tokens\": 1, \"$\": {}, "
        "\"prompt_tokens\": 1, \"session_id\": -0, \"arrival_s\": 1, \"class\": \"\"}\r\n"
        "{\"arrival_s\":2,\"input_length\":1,\"output_tokens\":1,\"session_id\":"
        "18446744073709551615}");
    struct rt_trace *t;
    struct rt_request r;
    struct rt_err err = {0};
    assert_ok(rt_trace_open(path, NULL, &t, &err), &err);
    assert_string_equal(rt_trace_info(t)->format, "jsonl");
    assert_int_equal(rt_trace_read(t, &r, &err), 1);
    assert_int_equal(r.arrival_ns, 100000000);
    assert_string_equal(rt_trace_name(t, r.tenant_name), "acme");
    assert_string_equal(rt_trace_name(t, r.class_name), "chat");
    assert_string_equal(rt_trace_name(t, r.model_name), "llama");
    assert_string_equal(r.session, "a\"b\xc3\xa9\xf0\x9f\x98\x80");
    assert_int_equal(r.think_ns, 2000000000);
    assert_int_equal(r.priority, -1);
    assert_int_equal(r.deadline_ns, 10000000000);
    assert_int_equal(r.hash_count, 4);
    assert_true(r.hash_ids[0] == UINT64_C(9007199254740993));
    assert_true(r.hash_ids[1] == UINT64_MAX);
    assert_true(r.hash_ids[3] == UINT64_MAX - 1);
    assert_int_equal(rt_trace_read(t, &r, &err), 1);
    assert_int_equal(r.arrival_ns, 1);
    assert_int_equal(r.prompt_tokens, 7);
    assert_int_equal(r.output_tokens, 8);
    assert_string_equal(r.session, "42");
    assert_int_equal(r.hash_count, 0);
    assert_true(r.deadline_ns == RT_NO_DEADLINE);
    assert_int_equal(rt_trace_read(t, &r, &err), 1);
    assert_string_equal(r.session, "0");
    assert_int_equal(r.class_name, RT_NO_NAME);
    assert_int_equal(rt_trace_read(t, &r, &err), 1);
    assert_string_equal(r.session, "18446744073709551615");
    assert_int_equal(rt_trace_read(t, &r, &err), 0);
    rt_trace_free(t);
}

#define ROW3 "\"timestamp\": 1, \"input_length\": 1, \"output_length\": 1"

static const struct {
    const char *line, *message;
} bad_lines[] = {
    {"{}", "bad.jsonl:2:1: expected the key \"arrival_s\" or \"timestamp\""},
    {"{\"timestamp\": 1, \"input_length\": 1}",
     "bad.jsonl:2:1: expected the key \"output_tokens\" or \"output_length\""},
    {"{\"timestamp\": 1, \"output_length\": 1}", "\"prompt_tokens\" or \"input_length\""},
    {"{" ROW3 ", \"clas\": \"a\"}",
     "bad.jsonl:2:57: unknown key \"clas\": did you mean \"class\"?"},
    {"{" ROW3 ", \"delay\": 50}", "bad.jsonl:2:57: unknown key \"delay\""},
    {"{" ROW3 ", \"timestamp\": 1}", "bad.jsonl:2:57: expected each key once"},
    {"{" ROW3 ", \"arrival_s\": 1}", "expected each key once, read \"arrival_s\" (or its alias)"},
    {"{" ROW3 ", \"model\\u0000x\": 1}", "unknown key \"model\\x00x\""},
    {"{\"timestamp\": \"1\", \"input_length\": 1, \"output_length\": 1}",
     "bad.jsonl:2:15: timestamp: expected a number of milliseconds from 0 to 9223372036000, read "
     "a string"},
    {"{\"timestamp\": -1, \"input_length\": 1, \"output_length\": 1}",
     "bad.jsonl:2:15: timestamp: expected a number of milliseconds"},
    {"{\"timestamp\": 9223372036001, \"input_length\": 1, \"output_length\": 1}",
     "read \"9223372036001\""},
    {"{\"timestamp\": 1e400, \"input_length\": 1, \"output_length\": 1}", "read \"1e400\""},
    {"{\"timestamp\": NaN, \"input_length\": 1, \"output_length\": 1}",
     "bad.jsonl:2:15: expected JSON"},
    {"{\"timestamp\": Infinity}", "bad.jsonl:2:15: expected JSON"},
    {"{\"timestamp\": 1, \"input_length\": 1.5, \"output_length\": 1}",
     "bad.jsonl:2:34: input_length: expected a whole number from 0 to 1099511627776, read "
     "\"1.5\""},
    {"{\"timestamp\": 1, \"input_length\": -1, \"output_length\": 1}", "read \"-1\""},
    {"{\"timestamp\": 1, \"input_length\": null, \"output_length\": 1}",
     "bad.jsonl:2:34: input_length: expected a whole number from 0 to 1099511627776, read null"},
    {"{\"timestamp\": 1, \"input_length\": true, \"output_length\": 1}", "2:34: input_length"},
    {"{\"timestamp\": 1, \"input_length\": false, \"output_length\": 1}", "read false"},
    {"{\"timestamp\": 1, \"input_length\": \"\\\"7\\\\\", \"output_length\": 1}",
     "bad.jsonl:2:34: input_length: expected a whole number"},
    {"{\"timestamp\": 1, \"input_length\": {\"a\": 1}, \"output_length\": 1}",
     "bad.jsonl:2:34: input_length: expected a whole number from 0 to 1099511627776, read an "
     "object"},
    {"{\"timestamp\": 1, \"input_length\": [1], \"output_length\": 1}",
     "bad.jsonl:2:34: input_length: expected a whole number from 0 to 1099511627776, read an "
     "array"},
    {"{" ROW3 ", \"hash_ids\": 5}", "2:69: hash_ids: expected an array of whole numbers"},
    {"{" ROW3 ", \"hash_ids\": \"5\"}", "2:69: hash_ids: expected an array of whole numbers"},
    {"{" ROW3 ", \"hash_ids\": {\"a\":1}}", "2:69: hash_ids: expected an array"},
    {"{" ROW3 ", \"hash_ids\": [1, -2]}", "2:73: hash_ids: expected a whole number from 0 to "
                                          "18446744073709551615, read \"-2\""},
    {"{" ROW3 ", \"hash_ids\": [18446744073709551616]}", "read \"18446744073709551616\""},
    {"{" ROW3 ", \"hash_ids\": [184467440737095516165]}", "read \"184467440737095516165\""},
    {"{" ROW3 ", \"hash_ids\": [1, 2.5]}", "read \"2.5\""},
    {"{" ROW3 ", \"hash_ids\": [\"1\"]}", "2:70: hash_ids: expected an array of whole numbers"},
    {"{" ROW3 ", \"hash_ids\": [[1]]}", "2:70: hash_ids: expected an array of whole numbers"},
    {"{" ROW3 ", \"hash_ids\": [null]}", "2:70: hash_ids: expected an array of whole numbers"},
    {"{" ROW3 ", \"class\": 5}", "2:66: class: expected a string, read a number"},
    {"{" ROW3 ", \"class\": null}", "2:66: class: expected a string, read null"},
    {"{" ROW3 ", \"class\": \"a\\u0000b\"}", "2:66: class: expected text, read a NUL"},
    {"{" ROW3 ", \"class\": \"a\xff\"}", "expected JSON"},
    {"{" ROW3 ", \"session_id\": 1.5}", "2:71: session_id: expected a string or a whole number"},
    {"{" ROW3 ", \"session_id\": -9223372036854775809}", "2:71: session_id"},
    {"{" ROW3 ", \"session_id\": true}", "2:71: session_id"},
    {"{" ROW3 ", \"priority\": 2147483648}", "2:69: priority"},
    {"{" ROW3 ", \"think_s\": -1}", "2:68: think_s"},
    {"{" ROW3 ", \"deadline_s\": \"1\"}", "2:71: deadline_s"},
    {"{" ROW3 "} {" ROW3 "}", "bad.jsonl:2:57: expected one JSON object a line, read a second"},
    {"{" ROW3 "} 5", "bad.jsonl:2:57: expected one JSON object a line, read a number"},
    {"{" ROW3 "}}", "expected JSON"},
    {"{" ROW3 "},", "expected JSON"},
    {"{" ROW3 ",}", "expected JSON"},
    {"{" ROW3, "bad.jsonl:2:55: expected the whole object on one line"},
    {"{" ROW3 ", \"class\": \"a", "expected JSON"},
    {"{" ROW3 ", \"class\": \"a\tb\"}", "expected JSON"},
    {"{'timestamp': 1}", "bad.jsonl:2:2: expected JSON"},
    {"{\"timestamp\": 01}", "expected JSON"},
    {"{\"timestamp\": 1.}", "expected JSON"},
    {"{\"timestamp\": .5}", "expected JSON"},
    {"{\"timestamp\": +1}", "expected JSON"},
    {"{\"timestamp\": 0x1}", "expected JSON"},
    {"[1, 2]", "bad.jsonl:2:1: expected one JSON object a line, read an array"},
    {"\"text\"", "bad.jsonl:2:1: expected one JSON object a line, read a string"},
    {"null", "bad.jsonl:2:1: expected one JSON object a line, read null"},
    {"true", "bad.jsonl:2:1: expected one JSON object a line, read true"},
    {"1,2,3", "bad.jsonl:2:1: expected one JSON object a line, read a number"},
    {"// comment", "expected JSON"},
    {"\x01", "expected JSON"},
};

static void bad_input(void **state)
{
    char text[1024];
    for (size_t i = 0; i < sizeof bad_lines / sizeof bad_lines[0]; i++) {
        for (unsigned final = 0; final < 2; final++) { /* with and without a final line end */
            (void)snprintf(text, sizeof text, "{" ROW3 "}\n%s%s", bad_lines[i].line,
                           final ? "" : "\n");
            struct trace_rows r = read_rows(trace_text(*state, "bad.jsonl", text), "jsonl");
            assert_int_equal(r.count, 1);
            if (!r.failed)
                print_message("%s\n", bad_lines[i].line);
            assert_fails(!r.failed, &r.err, RT_ETRACE, bad_lines[i].message);
            rows_free(&r);
        }
    }
}

/* 64 levels are read, 65 are not; a thousand brackets are no reason to crash. */
static void deep_nesting(void **state)
{
    char text[4096];
    for (unsigned depth = 63; depth <= 1000; depth = depth == 63 ? 64 : depth * 2) {
        char *p = text + sprintf(text, "{" ROW3 ", \"$x\": ");
        for (unsigned i = 0; i < depth; i++)
            *p++ = '[';
        for (unsigned i = 0; i < depth; i++)
            *p++ = ']';
        (void)sprintf(p, "}\n");
        struct trace_rows r = read_rows(trace_text(*state, "deep.jsonl", text), NULL);
        assert_int_equal(r.failed, depth > 63);
        if (r.failed)
            assert_non_null(strstr(r.err.msg, "1:126: expected at most 64 levels of nesting"));
        rows_free(&r);
    }
}

static uint64_t random_id(struct rt_rng *rng)
{
    uint64_t id = rt_rng_u64(rng);
    return id >> rt_rng_below(rng, 64);
}

static double random_time(struct rt_rng *rng)
{
    static const double scales[] = {1e-3, 1.0, 1e4, 1e9};
    return rt_rng_unit(rng) * scales[rt_rng_below(rng, 4)];
}

/* Rows of random size, written with printf, read back; ids are any 64-bit numbers. */
static void round_trip(void **state)
{
    struct trace_dir *d = *state;
    enum { ROWS = 3000 };
    struct rt_rng rng;
    for (uint64_t seed = 1; seed <= 2; seed++) {
        print_message("seed %d\n", (int)seed);
        rt_rng_init(&rng, seed, RT_RNG_TOOLS, 0);
        (void)trace_text(d, "round.jsonl", "");
        FILE *f = fopen(d->file, "w");
        assert_non_null(f);
        for (int i = 0; i < ROWS; i++) {
            double t = random_time(&rng);
            assert_true(
                fprintf(f, "{\"timestamp\":%.17g,\"input_length\":%d,\"hash_ids\":[", t, i) > 0);
            unsigned ids = (unsigned)rt_rng_below(&rng, i % 100 == 0 ? 2000 : 30);
            for (unsigned j = 0; j < ids; j++)
                (void)fprintf(f, "%s%" PRIu64, j ? "," : "", random_id(&rng));
            (void)fprintf(f, "],\"session_id\":\"s%d\",\"output_length\":7}\n", i);
        }
        assert_int_equal(fclose(f), 0);
        struct trace_rows r = read_rows(d->file, NULL);
        rows_expect(&r, ROWS);
        rt_rng_init(&rng, seed, RT_RNG_TOOLS, 0);
        for (int i = 0; i < ROWS; i++) {
            char session[16];
            assert_int_equal(r.rows[i].arrival_ns, llrint(random_time(&rng) * 1e6));
            assert_int_equal(r.rows[i].prompt_tokens, i);
            assert_int_equal(r.rows[i].hash_count, rt_rng_below(&rng, i % 100 == 0 ? 2000 : 30));
            for (unsigned j = 0; j < r.rows[i].hash_count; j++)
                assert_true(r.rows[i].hash_ids[j] == random_id(&rng));
            (void)snprintf(session, sizeof session, "s%d", i);
            assert_string_equal(r.rows[i].session, session);
        }
        rows_free(&r);
    }
}

/* Cut a good file anywhere: rows before the cut, then an error or a clean end, never a crash. */
static void cut_anywhere(void **state)
{
    static const char text[] =
        "{\"arrival_s\": 0.5, \"prompt_tokens\": 5, \"output_tokens\": 6, \"class\": \"\\u00e9\", "
        "\"hash_ids\": [1, 2]}\n{\"arrival_s\": 1.5, \"prompt_tokens\": 7, \"output_tokens\": 8}";
    size_t first = (size_t)(strchr(text, '\n') - text);
    for (size_t len = 1; len < sizeof text; len++) {
        struct trace_rows r = read_rows(trace_write(*state, "cut.jsonl", text, len), "jsonl");
        size_t whole = len < first ? 0 : len < sizeof text - 1 ? 1 : 2;
        assert_int_equal(r.count, whole);
        assert_int_equal(r.failed, !(len == first || len == first + 1 || whole == 2));
        rows_free(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mooncake),   cmocka_unit_test(native),
        cmocka_unit_test(bad_input),  cmocka_unit_test(deep_nesting),
        cmocka_unit_test(round_trip), cmocka_unit_test(cut_anywhere),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
