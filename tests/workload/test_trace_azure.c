/* The Azure traces: three grammars of time stamps, quirks of the published files, the calendar. */
#include "support/test.h"

#include "trace_files.h"

#include "rooftrace/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS INT64_C(1000000000)

/* 2023: CR LF, seven digits, no zone, no final line end. */
static void azure_2023(void **state)
{
    struct trace_rows r = read_rows(trace_text(*state, "a.csv",
                                               "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
                                               "2023-11-16 18:15:46.6805900,374,44\r\n"
                                               "2023-11-16 18:15:50.9951690,396,109"),
                                    NULL);
    rows_expect(&r, 2);
    assert_int_equal(r.rows[0].arrival_ns, 1700158546 * NS + 680590000);
    assert_int_equal(r.rows[1].arrival_ns, 1700158550 * NS + 995169000);
    assert_int_equal(r.rows[0].prompt_tokens, 374);
    assert_int_equal(r.rows[1].output_tokens, 109);
    rows_free(&r);
}

/* 2024: six digits, or none when they are all 0, and an offset. */
static void azure_2024(void **state)
{
    struct trace_rows r = read_rows(trace_text(*state, "a.csv",
                                               "TIMESTAMP,ContextTokens,GeneratedTokens\n"
                                               "2024-05-10 00:00:00.009930+00:00,2162,5\n"
                                               "2024-05-10 00:00:01+00:00,2399,6\n"
                                               "2024-05-10 02:00:01.5+02:00,1,0\n"
                                               "2024-05-09 18:30:02-05:30,1,1\n"),
                                    "azure");
    rows_expect(&r, 4);
    assert_int_equal(r.rows[0].arrival_ns, 1715299200 * NS + 9930000);
    assert_int_equal(r.rows[1].arrival_ns, 1715299201 * NS);
    assert_int_equal(r.rows[2].arrival_ns, 1715299201 * NS + 500000000);
    assert_int_equal(r.rows[2].output_tokens, 0);
    assert_int_equal(r.rows[3].arrival_ns, 1715299202 * NS);
    rows_free(&r);
}

/* 2025: T and Z, milliseconds, a column of images. */
static void azure_2025(void **state)
{
    const char *path = trace_text(*state, "a.csv",
                                  "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n"
                                  "2024-10-15T12:00:00.269Z,0,770,491\n"
                                  "2024-10-15T12:00:05.819Z,1,949,126\n");
    struct trace_rows r = read_rows(path, NULL);
    rows_expect(&r, 2);
    assert_int_equal(r.rows[0].arrival_ns, 1728993600 * NS + 269000000);
    assert_int_equal(r.rows[1].arrival_ns, 1728993605 * NS + 819000000);
    assert_int_equal(r.rows[0].prompt_tokens, 770);
    rows_free(&r);
    /* As a source the first arrival is 0. */
    r = pull_file(path);
    rows_expect(&r, 2);
    assert_int_equal(r.rows[0].arrival_ns, 0);
    assert_int_equal(r.rows[1].arrival_ns, 5 * NS + 550000000);
    rows_free(&r);
}

static void bad_stamps(void **state)
{
    static const char *const stamps[] = {
        "2023-02-29 00:00:00",
        "2023-00-10 00:00:00",
        "2023-13-10 00:00:00",
        "2023-04-31 00:00:00",
        "2023-04-00 00:00:00",
        "1900-02-28 00:00:00",
        "2100-02-29 00:00:00",
        "2262-01-01 00:00:00",
        "2023-04-01 24:00:00",
        "2023-04-01 23:60:00",
        "2023-04-01 23:59:60",
        "2023-04-01 23:59",
        "2023-04-01",
        "2023-4-1 00:00:00",
        "2023/04/01 00:00:00",
        "2023-04-01  00:00:00",
        "2023-04-01 00:00:00.",
        "2023-04-01 00:00:00.1234567890",
        "2023-04-01 00:00:00+0000",
        "2023-04-01 00:00:00+00",
        "2023-04-01 00:00:00+24:00",
        "2023-04-01 00:00:00+00:60",
        "2023-04-01 00:00:00 Z",
        "2023-04-01 00:00:00Zx",
        "1970-01-01 00:00:00+00:01",
        "2023-04-01t00:00:00Z",
        "1700158546",
        "-023-04-01 00:00:00",
        "2023-04-01 00:00:0x",
        "2023-04-01 00:00:00,5",
        "20230401T000000Z",
        "",
    };
    char text[256];
    for (size_t i = 0; i < sizeof stamps / sizeof stamps[0]; i++) {
        (void)snprintf(text, sizeof text, "ContextTokens,TIMESTAMP,GeneratedTokens\n1,\"%s\",2\n",
                       stamps[i]);
        struct trace_rows r = read_rows(trace_text(*state, "bad.csv", text), NULL);
        assert_fails(!r.failed, &r.err, RT_ETRACE, "bad.csv:2:4: TIMESTAMP: expected a time like");
        rows_free(&r);
    }
}

static int month_days(int year, int month)
{
    if (month == 2)
        return year % 400 == 0 || (year % 4 == 0 && year % 100 != 0) ? 29 : 28;
    return month == 4 || month == 6 || month == 9 || month == 11 ? 30 : 31;
}

/* Every day from 1970 to 2261, counted one by one, at a random time of the day. */
static void calendar(void **state)
{
    struct trace_dir *d = *state;
    struct rt_rng rng;
    enum { DAYS = 106651 }; /* 292 years, 71 of them with 366 days */
    int64_t *want = calloc(DAYS, sizeof *want);
    assert_non_null(want);
    print_message("seed 7\n");
    rt_rng_init(&rng, 7, RT_RNG_TOOLS, 0);
    (void)trace_text(d, "days.csv", "");
    FILE *f = fopen(d->file, "w");
    assert_non_null(f);
    assert_true(fputs("TIMESTAMP,ContextTokens,GeneratedTokens\n", f) >= 0);
    int days = 0;
    for (int year = 1970; year <= 2261; year++) {
        for (int month = 1; month <= 12; month++) {
            for (int day = 1; day <= month_days(year, month); day++) {
                int second = (int)rt_rng_below(&rng, 86400);
                int us = (int)rt_rng_below(&rng, 1000000);
                want[days] = ((int64_t)days * 86400 + second) * NS + us * INT64_C(1000);
                days++;
                assert_true(fprintf(f, "%04d-%02d-%02d %02d:%02d:%02d.%06d+00:00,1,1\n", year,
                                    month, day, second / 3600, second / 60 % 60, second % 60,
                                    us) > 0);
            }
        }
    }
    assert_int_equal(fclose(f), 0);
    assert_int_equal(days, DAYS);
    struct trace_rows r = read_rows(d->file, NULL);
    rows_expect(&r, DAYS);
    for (int i = 0; i < DAYS; i++)
        assert_int_equal(r.rows[i].arrival_ns, want[i]);
    rows_free(&r);
    free(want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(azure_2023), cmocka_unit_test(azure_2024), cmocka_unit_test(azure_2025),
        cmocka_unit_test(bad_stamps), cmocka_unit_test(calendar),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
