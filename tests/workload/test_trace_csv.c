/* The native CSV: what a spreadsheet, pandas or a shell may write, number for number, and what is
 * refused, place for place. */
#include "support/test.h"

#include "trace_files.h"

#include "rooftrace/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER "arrival_s,prompt_tokens,output_tokens\n"

static void expect_row(const struct rt_request *r, uint64_t id, int64_t ns, int64_t prompt,
                       int64_t output)
{
    assert_int_equal(r->id, id);
    assert_int_equal(r->arrival_ns, ns);
    assert_int_equal(r->prompt_tokens, prompt);
    assert_int_equal(r->output_tokens, output);
}

static void plain(void **state)
{
    const char *path = trace_text(*state, "a.csv", HEADER "0,10,20\n1.5,0,3\n0.25,7,0\n");
    struct trace_rows r = read_rows(path, NULL);
    rows_expect(&r, 3);
    expect_row(&r.rows[0], 0, 0, 10, 20);
    expect_row(&r.rows[1], 1, 1500000000, 0, 3); /* as the file tells it */
    expect_row(&r.rows[2], 2, 250000000, 7, 0);
    assert_int_equal(r.rows[0].class_name, RT_NO_NAME);
    assert_null(r.rows[0].session);
    assert_null(r.rows[0].hash_ids);
    assert_true(r.rows[0].deadline_ns == RT_NO_DEADLINE);
    assert_int_equal(r.rows[0].think_ns, -1);
    assert_int_equal(r.rows[0].priority, 0);
    rows_free(&r);
}

/* Byte order mark, CR LF, no last line end, blank lines, quotes, blanks, any order of columns,
 * unknown columns with line breaks inside: all the same two rows. */
static void dialects(void **state)
{
    static const char *const texts[] = {
        HEADER "1,2,3\n4,5,6\n",
        HEADER "1,2,3\n4,5,6",
        "\xef\xbb\xbf" HEADER "1,2,3\n4,5,6\n",
        "arrival_s,prompt_tokens,output_tokens\r\n1,2,3\r\n4,5,6\r\n",
        "arrival_s,prompt_tokens,output_tokens\r\n1,2,3\r\n4,5,6",
        "\n\n" HEADER "\n1,2,3\n \t \n4,5,6\n\n\n",
        "\r\n" HEADER "\r\n1,2,3\r\n\r\n4,5,6\r\n\r\n",
        "\"arrival_s\",\"prompt_tokens\",\"output_tokens\"\n\"1\",\"2\",\"3\"\n4,5,\"6\"",
        "arrival_s, prompt_tokens ,output_tokens\n 1,2\t, 3\n4 ,5,6\n",
        "output_tokens,arrival_s,prompt_tokens\n3,1,2\n6,4,5\n",
        "note,arrival_s,x,prompt_tokens,output_tokens,y\n\"a,\"\"b\"\"\r\nc\",1,,2,3,\"\"\n"
        "q\"q,4,z,5,6,\"\n\n\"\n",
        HEADER "1.0,2.0,3e0\n+4,5,60e-1\n",
        HEADER "1,002,3\n4,5,6\n",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct trace_rows r = read_rows(trace_text(*state, "d.csv", texts[i]), "auto");
        rows_expect(&r, 2);
        expect_row(&r.rows[0], 0, 1000000000, 2, 3);
        expect_row(&r.rows[1], 1, 4000000000, 5, 6);
        rows_free(&r);
    }
}

static void optional_columns(void **state)
{
    const char *path =
        trace_text(*state, "o.csv",
                   "arrival_s,prompt_tokens,output_tokens,class,model,session_id,think_s,priority,"
                   "deadline_s,tenant\n"
                   "0,1,1,chat,llama,s-1,1.5,-3,0.25,acme\n"
                   "1,1,1,,,,,,,\n"
                   "2,1,1,search,chat,\"a \"\"b\"\"\",0,2147483647,0,\xc3\xa9t\xc3\xa9\n"
                   "3,1,1,chat,,0042,,,,chat\n");
    struct rt_trace *t;
    struct rt_request r;
    struct rt_err err = {0};
    assert_ok(rt_trace_open(path, "csv", &t, &err), &err);
    assert_string_equal(rt_trace_info(t)->format, "csv");
    assert_int_equal(rt_trace_read(t, &r, &err), 1);
    assert_string_equal(rt_trace_name(t, r.class_name), "chat");
    assert_string_equal(rt_trace_name(t, r.model_name), "llama");
    assert_string_equal(rt_trace_name(t, r.tenant_name), "acme");
    assert_string_equal(r.session, "s-1");
    assert_int_equal(r.think_ns, 1500000000);
    assert_int_equal(r.priority, -3);
    assert_int_equal(r.deadline_ns, 250000000);
    uint32_t chat = r.class_name;
    assert_int_equal(rt_trace_read(t, &r, &err), 1);
    assert_int_equal(r.class_name, RT_NO_NAME);
    assert_string_equal(rt_trace_name(t, r.class_name), "");
    assert_null(r.session);
    assert_int_equal(r.think_ns, -1);
    assert_true(r.deadline_ns == RT_NO_DEADLINE);
    assert_int_equal(rt_trace_read(t, &r, &err), 1);
    assert_int_equal(r.model_name, chat); /* names are one space */
    assert_string_equal(r.session, "a \"b\"");
    assert_int_equal(r.think_ns, 0);
    assert_int_equal(r.priority, INT32_MAX);
    assert_int_equal(r.deadline_ns, 0);
    assert_string_equal(rt_trace_name(t, r.tenant_name), "\xc3\xa9t\xc3\xa9");
    assert_int_equal(rt_trace_read(t, &r, &err), 1);
    assert_string_equal(r.session, "0042"); /* text stays text */
    assert_int_equal(rt_trace_read(t, &r, &err), 0);
    assert_int_equal(rt_trace_read(t, &r, &err), 0);
    assert_string_equal(rt_trace_name(t, 4000000000u), "");
    /* Once more from the start: same rows, same names. */
    assert_ok(rt_trace_rewind(t, &err), &err);
    assert_int_equal(rt_trace_read(t, &r, &err), 1);
    expect_row(&r, 0, 0, 1, 1);
    assert_int_equal(r.class_name, chat);
    rt_trace_free(t);
}

static const struct {
    const char *text, *message;
} bad_files[] = {
    {"", "bad.csv: expected a trace, the file is empty"},
    {"\n\r\n  \n", "the file is empty"},
    {"time,in,out\n1,2,3\n", "bad.csv:1:1: expected a header with arrival_s"},
    {"arrival_s;prompt_tokens;output_tokens\n", "bad.csv:1:1: expected a header with arrival_s"},
    {"\narrival_s,prompt_tokens,outputs\n1,2,3\n",
     "bad.csv:2:1: expected a header with the column \"output_tokens\", read "
     "\"arrival_s,prompt_tokens,outputs\""},
    {"arrival_s,prompt_tokens,output_tokens,arrival_s\n", "bad.csv:1:39: expected column"},
    {"arrival_s,\"prompt_tokens,output_tokens\n1,2,3\n", "1:11: expected a closing quote"},
};

static const struct {
    const char *rows, *message;
} bad_rows[] = {
    {"0,1,1\n1,2\n", "bad.csv:3:4: expected 3 fields as in the header, read 2"},
    {"1,2,3,4\n", "bad.csv:2:7: expected 3 fields as in the header, read 4"},
    {"1,,3\n", "bad.csv:2:3: prompt_tokens: expected a whole number from 0 to 1099511627776, "
               "read nothing"},
    {",2,3\n", "bad.csv:2:1: arrival_s: expected a number of seconds from 0 to 9223372036, read "
               "nothing"},
    {"1,2,abc\n", "bad.csv:2:5: output_tokens: expected a whole number from 0 to 1099511627776, "
                  "read \"abc\""},
    {"1,-2,3\n", "bad.csv:2:3: prompt_tokens: expected"},
    {"1,2.5,3\n", "read \"2.5\""},
    {"1,2,1099511627777\n", "bad.csv:2:5: output_tokens"},
    {"1,18446744073709551617,3\n", "read \"18446744073709551617\""},
    {"1,99999999999999999999999999999999999999,3\n", "bad.csv:2:3: prompt_tokens"},
    {"1,1e13,3\n", "read \"1e13\""},
    {"1,1e99999999999,3\n", "prompt_tokens"},
    {"1,5e-1,3\n", "read \"5e-1\""},
    {"1,0.00000000000000000000000000001,3\n", "prompt_tokens"},
    {"1,2,3x\n", "read \"3x\""},
    {"1,2 2,3\n", "read \"2 2\""},
    {"-1,2,3\n", "bad.csv:2:1: arrival_s: expected a number of seconds"},
    {"nan,2,3\n", "read \"nan\""},
    {"NaN,2,3\n", "read \"NaN\""},
    {"inf,2,3\n", "read \"inf\""},
    {"1e400,2,3\n", "read \"1e400\""},
    {"0x10,2,3\n", "read \"0x10\""},
    {"1e,2,3\n", "read \"1e\""},
    {".,2,3\n", "read \".\""},
    {"1..2,2,3\n", "read \"1..2\""},
    {"--1,2,3\n", "read \"--1\""},
    {"1_000,2,3\n", "read \"1_000\""},
    {"9223372037,2,3\n", "bad.csv:2:1: arrival_s"},
    {"1,\"2,3\n4,5,6\n", "bad.csv:2:3: expected a closing quote, read the end of the file"},
    {"1,\"2\"0,3\n", "bad.csv:2:6: expected a comma behind the closing quote, read '0'"},
    {"1,\"2\n\",3\n", "bad.csv:2:4: prompt_tokens"},
    {"\"1\n\n\",2,3\n", "bad.csv:2:2: arrival_s"},
    {"1,2,\"\n\n\"\"\"\n", "bad.csv:2:6: output_tokens"},
};

static void bad_input(void **state)
{
    char text[4096];
    for (size_t i = 0; i < sizeof bad_files / sizeof bad_files[0]; i++) {
        struct trace_rows r = pull_file(trace_text(*state, "bad.csv", bad_files[i].text));
        assert_fails(!r.failed, &r.err, RT_ETRACE, bad_files[i].message);
        assert_int_equal(r.count, 0);
        rows_free(&r);
    }
    for (size_t i = 0; i < sizeof bad_rows / sizeof bad_rows[0]; i++) {
        (void)snprintf(text, sizeof text, "%s%s", HEADER, bad_rows[i].rows);
        struct trace_rows r = read_rows(trace_text(*state, "bad.csv", text), NULL);
        assert_fails(!r.failed, &r.err, RT_ETRACE, bad_rows[i].message);
        rows_free(&r);
    }
}

static void bad_columns(void **state)
{
    static const struct {
        const char *header, *value, *message;
    } cases[] = {
        {"class", "\xff\xfe", "class: expected UTF-8 text, read byte 0xff"},
        {"class", "\xed\xa0\x80", "expected UTF-8 text, read byte 0xed"}, /* a surrogate */
        {"model", "\xc0\xaf", "expected UTF-8 text"},                     /* overlong */
        {"tenant", "\xf4\x90\x80\x80", "expected UTF-8 text"},            /* beyond U+10FFFF */
        {"session_id", "a\xe2\x82", "session_id: expected UTF-8 text"},
        {"priority", "2147483648", "priority: expected a whole number from -2147483648"},
        {"priority", "-2147483649", "priority"},
        {"priority", "high", "read \"high\""},
        {"think_s", "-0.1", "think_s: expected a number of seconds"},
        {"deadline_s", "soon", "deadline_s: expected a number of seconds"},
    };
    char text[512];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(text, sizeof text,
                       "arrival_s,prompt_tokens,output_tokens,%s\n0,1,1,\n0,1,1,%s\n",
                       cases[i].header, cases[i].value);
        struct trace_rows r = read_rows(trace_text(*state, "bad.csv", text), NULL);
        assert_int_equal(r.count, 1);
        assert_fails(!r.failed, &r.err, RT_ETRACE, cases[i].message);
        assert_fails(!r.failed, &r.err, RT_ETRACE, "bad.csv:3:7: ");
        rows_free(&r);
    }
}

static void long_texts(void **state)
{
    char name[300], text[1024];
    for (size_t chars = 256; chars <= 257; chars++) {
        memset(name, 'n', chars);
        name[chars] = '\0';
        (void)snprintf(text, sizeof text,
                       "arrival_s,prompt_tokens,output_tokens,session_id\n"
                       "0,1,1,%s\n",
                       name);
        struct trace_rows r = read_rows(trace_text(*state, "long.csv", text), NULL);
        assert_int_equal(r.failed, chars == 257);
        if (r.failed)
            assert_non_null(strstr(r.err.msg, "2:7: session_id: expected at most 256 characters"));
        else
            assert_string_equal(r.rows[0].session, name);
        rows_free(&r);
    }
}

/* 65,535 distinct names in all fit, one more does not. */
static void many_names(void **state)
{
    for (unsigned extra = 0; extra < 2; extra++) {
        struct trace_dir *d = *state;
        (void)trace_text(d, "names.csv", "");
        FILE *f = fopen(d->file, "w");
        assert_non_null(f);
        assert_true(fputs("arrival_s,prompt_tokens,output_tokens,class,model\n", f) >= 0);
        for (unsigned i = 0; i < 65535 + extra; i++)
            assert_true(fprintf(f, "0,1,1,%s%u,c7\n", i % 2 ? "c" : "class ", i) > 0);
        assert_int_equal(fclose(f), 0);
        struct trace_rows r = read_rows(d->file, NULL);
        assert_int_equal(r.count, 65535);
        assert_int_equal(r.failed, extra == 1);
        if (r.failed)
            assert_non_null(strstr(r.err.msg, "65537:7: class: expected at most 65535 distinct"));
        rows_free(&r);
    }
}

static void append_digits(struct rt_rng *rng, char *text, unsigned count)
{
    size_t len = strlen(text);
    for (unsigned i = 0; i < count; i++)
        text[len++] = (char)('0' + rt_rng_below(rng, 10));
    text[len] = '\0';
}

/* A decimal text of random shape: at most 40 digits, with and without point and exponent. */
static void random_decimal(struct rt_rng *rng, char *text)
{
    text[0] = '\0';
    append_digits(rng, text, (unsigned)rt_rng_below(rng, 9) + 1);
    if (rt_rng_below(rng, 4) > 0) {
        strcat(text, ".");
        append_digits(rng, text, (unsigned)rt_rng_below(rng, rt_rng_below(rng, 2) ? 10 : 30));
    }
    if (rt_rng_below(rng, 4) == 0)
        (void)sprintf(text + strlen(text), "e%d", (int)rt_rng_below(rng, 60) - 50);
}

/* Nanoseconds of a plain decimal with at most 9 digits behind the point, by its digits alone. */
static int64_t digits_ns(const char *text)
{
    int64_t ns = 0;
    int places = -1;
    for (; *text != '\0'; text++) {
        if (*text == '.') {
            places = 0;
            continue;
        }
        ns = ns * 10 + (*text - '0');
        places += places >= 0;
    }
    for (int i = places < 0 ? 0 : places; i < 9; i++)
        ns *= 10;
    return ns;
}

/* What a time must become: exact where it has whole nanoseconds; where a double still tells halves
 * of them apart (below 2^51), what llrint makes of strtod's product as well; otherwise close to
 * that. */
static void expect_ns(const char *text, int64_t got)
{
    int64_t product = llrint(strtod(text, NULL) * 1e9);
    const char *point = strchr(text, '.');
    bool whole = strchr(text, 'e') == NULL && (point == NULL || strlen(point + 1) <= 9);
    if (whole ? got != digits_ns(text)
              : llabs(got - product) > (product < INT64_C(1) << 51 ? 0 : 1024))
        fail_msg("%s: %lld, product %lld", text, (long long)got, (long long)product);
    if (product < INT64_C(1) << 51)
        assert_int_equal(got, product);
}

/* Every decimal becomes the nanoseconds that it says. */
static void numbers_are_exact(void **state)
{
    struct trace_dir *d = *state;
    enum { ROWS = 20000 };
    struct rt_rng rng;
    char(*texts)[64] = calloc(ROWS, sizeof *texts);
    assert_non_null(texts);
    print_message("seed 11\n");
    rt_rng_init(&rng, 11, RT_RNG_TOOLS, 0);
    (void)trace_text(d, "numbers.csv", "");
    FILE *f = fopen(d->file, "w");
    assert_non_null(f);
    assert_true(fputs(HEADER, f) >= 0);
    for (int i = 0; i < ROWS; i++) {
        do {
            random_decimal(&rng, texts[i]);
        } while (strtod(texts[i], NULL) > 9223372036.0);
        assert_true(fprintf(f, "%s,1,1\n", texts[i]) > 0);
    }
    assert_int_equal(fclose(f), 0);
    struct trace_rows r = read_rows(d->file, NULL);
    rows_expect(&r, ROWS);
    for (int i = 0; i < ROWS; i++)
        expect_ns(texts[i], r.rows[i].arrival_ns);
    rows_free(&r);
    free(texts);
}

/* Half to even, exact limits, and numbers at the very end of the file. */
static void number_edges(void **state)
{
    static const struct {
        const char *text;
        int64_t ns;
    } cases[] = {
        {"0.0000000005", 0},
        {"0.0000000015", 2},
        {"0.0000000025", 2},
        {"1e-400", 0},
        {"-0.0", 0},
        {".5", 500000000},
        {"5.", 5000000000},
        {"9223372036", INT64_C(9223372036000000000)},
        {"000000000000000000000001.5", 1500000000},
        {"1700158546.68059", INT64_C(1700158546680590000)},
    };
    char text[256];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t want = cases[i].ns;
        (void)snprintf(text, sizeof text,
                       "prompt_tokens,output_tokens,arrival_s\n1099511627776,0,%s", cases[i].text);
        struct trace_rows r = read_rows(trace_text(*state, "edge.csv", text), NULL);
        rows_expect(&r, 1);
        expect_row(&r.rows[0], 0, want, INT64_C(1) << 40, 0);
        rows_free(&r);
    }
}

static void unknown_format(void **state)
{
    const char *path = trace_text(*state, "f.csv", HEADER "1,2,3\n");
    struct rt_trace *t;
    struct rt_err err = {0};
    assert_fails(rt_trace_open(path, "azur", &t, &err), &err, RT_ECONFIG, "azure");
    assert_fails(rt_trace_open(path, "azure", &t, &err), &err, RT_ETRACE, "\"TIMESTAMP\"");
    /* JSON has no header: it fails with the first row. */
    struct trace_rows r = read_rows(path, "jsonl");
    assert_fails(!r.failed, &r.err, RT_ETRACE, "f.csv:1:1: expected JSON");
}

static void format_table(void **state)
{
    (void)state;
    assert_true(rt_trace_format_count() >= 4);
    for (unsigned i = 0; i < rt_trace_format_count(); i++) {
        struct rt_trace_format_info f = rt_trace_format_info(i);
        assert_true(strlen(f.name) > 0 && strlen(f.name) < 32);
        assert_true(strlen(f.help) > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),
        cmocka_unit_test(dialects),
        cmocka_unit_test(optional_columns),
        cmocka_unit_test(bad_input),
        cmocka_unit_test(bad_columns),
        cmocka_unit_test(long_texts),
        cmocka_unit_test(many_names),
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(number_edges),
        cmocka_unit_test(unknown_format),
        cmocka_unit_test(format_table),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
