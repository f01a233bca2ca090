/* CSV files for readers of other folders: names, fields, numbers, and the place of every error. */
#include "rooftrace/csv.h"
#include "support/test.h"
#include "trace_files.h"

#include <string.h>

static void test_rows(void **state)
{
    static const char text[] =
        "\xef\xbb\xbf a ,\"b,c\",d\r\n 1 ,\"x \"\"y\"\"\",2e3\n\n4,, -0.5 \n";
    struct rt_csv_file *f;
    struct rt_err err;
    double value;
    assert_ok(rt_csv_file_open(trace_text(*state, "x.csv", text), &f, &err), &err);
    assert_int_equal(rt_csv_file_columns(f), 3);
    assert_string_equal(rt_csv_file_name(f, 0), "a");
    assert_int_equal(rt_csv_file_find(f, "b,c"), 1);
    assert_int_equal(rt_csv_file_find(f, "B,c"), -1);
    assert_int_equal(rt_csv_file_next(f, &err), 1);
    assert_string_equal(rt_csv_file_text(f, 0), "1");
    assert_string_equal(rt_csv_file_text(f, 1), "x \"y\"");
    assert_ok(rt_csv_file_number(f, 2, &value, &err), &err);
    assert_true(value == 2000);
    assert_int_equal(rt_csv_file_next(f, &err), 1);
    assert_string_equal(rt_csv_file_text(f, 1), "");
    assert_ok(rt_csv_file_number(f, 2, &value, &err), &err);
    assert_true(value == -0.5);
    assert_fails(rt_csv_file_number(f, 1, &value, &err), &err, RT_ETRACE,
                 "x.csv:4:3: b,c: expected a number, read");
    assert_int_equal(rt_csv_file_next(f, &err), 0);
    rt_csv_file_close(f);
    rt_csv_file_close(NULL);
}

static void test_bad(void **state)
{
    static const struct {
        const char *text, *message; /* NULL: the header is good, the row is not */
        bool header;
    } list[] = {
        {"", "expected a header, read nothing", true},
        {"a,b,a\n", "expected a column once", true},
        {"a,\"b\n", "expected a closing quote", true},
        {"a,b\n1\n", ":2:1: expected 2 fields as in the header, read 1", false},
        {"a,b\n1,2,3\n", "read 3", false},
        {"a,b\n1,\"2\n", "expected a closing quote", false},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct rt_csv_file *f;
        struct rt_err err;
        const char *path = trace_text(*state, "bad.csv", list[i].text);
        if (list[i].header) {
            assert_fails(rt_csv_file_open(path, &f, &err), &err, RT_ETRACE, list[i].message);
            continue;
        }
        assert_ok(rt_csv_file_open(path, &f, &err), &err);
        assert_int_equal(rt_csv_file_next(f, &err), -1);
        assert_int_equal(err.code, RT_ETRACE);
        assert_non_null(strstr(err.msg, list[i].message));
        rt_csv_file_close(f);
    }
    struct rt_csv_file *f;
    struct rt_err err;
    assert_fails(rt_csv_file_open("/nowhere/a.csv", &f, &err), &err, RT_EIO, "/nowhere/a.csv");
    assert_null(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_bad),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
