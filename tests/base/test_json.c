/* JSON as values: places and paths, readers with defaults and ranges, files, large containers. */
#include "support/test.h"

#include "rooftrace/json.h"
#include "rooftrace/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char sample[] =
    "{\"$comment\":\"x\",\"name\":\"demo\",\"seed\":42,\"rate\":2.5,\"on\":true,\"none\":null,"
    "\"Seed\":7,\"pools\":[{\"gpu\":\"h100\",\"odd key\":[1]},{\"gpu\":\"l4\",\"count\":\"many\"}],"
    "\"tiny\":-1.0,\"huge\":1e17,\"thousand\":1e3}";

struct fixture {
    struct rt_json *doc;
    struct rt_json_at root;
};

static int setup(void **state)
{
    static struct fixture f;
    struct rt_err err;

    if (!rt_json_parse(sample, sizeof sample - 1, "s.json", &f.doc, &err))
        return -1;
    f.root = rt_json_root(f.doc);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    rt_json_free(f->doc);
    return 0;
}

static const struct rt_json_at *root_of(void **state)
{
    return &((struct fixture *)*state)->root;
}

static void kinds_and_counts(void **state)
{
    static const struct {
        const char *key;
        enum rt_json_kind kind;
        int count;
    } cases[] = {{"name", RT_JSON_STRING, 0}, {"seed", RT_JSON_NUMBER, 0},
                 {"on", RT_JSON_BOOL, 0},     {"none", RT_JSON_NULL, 0},
                 {"pools", RT_JSON_ARRAY, 2}, {"nothing", RT_JSON_ABSENT, 0},
                 {"NAME", RT_JSON_ABSENT, 0}};
    const struct rt_json_at *root = root_of(state);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_json_at at = rt_json_get(root, cases[i].key);
        assert_int_equal(rt_json_kind(&at), cases[i].kind);
        assert_int_equal(rt_json_count(&at), cases[i].count);
    }
    assert_int_equal(rt_json_kind(root), RT_JSON_OBJECT);
    assert_int_equal(rt_json_count(root), 11);
    assert_string_equal(rt_json_name(root->doc), "s.json");
}

static void places_know_their_path(void **state)
{
    const struct rt_json_at *root = root_of(state);
    struct rt_json_at pools = rt_json_get(root, "pools");
    struct rt_json_at first = rt_json_item(&pools, 0);
    struct rt_json_at odd = rt_json_member(&first, 1);
    struct rt_json_at one = rt_json_item(&odd, 0);
    struct rt_json_at absent = rt_json_get(&one, "x");
    char buf[64], tight[12];

    assert_string_equal(rt_json_path(root, buf, sizeof buf), "$");
    assert_string_equal(rt_json_path(&first, buf, sizeof buf), "$.pools[0]");
    assert_string_equal(rt_json_path(&one, buf, sizeof buf), "$.pools[0][\"odd key\"][0]");
    assert_string_equal(rt_json_path(&absent, buf, sizeof buf), "$.pools[0][\"odd key\"][0].x");
    assert_string_equal(rt_json_path(&one, tight, sizeof tight), "$.pools[...");
    for (size_t size = 1; size < 40; size++) {
        char *exact = malloc(size);
        assert_non_null(exact);
        rt_json_path(&one, exact, size);
        assert_true(strlen(exact) < size);
        free(exact);
    }
    assert_string_equal(rt_json_path(&one, NULL, 0), "");
}

static void absent_places_stay_absent(void **state)
{
    const struct rt_json_at *root = root_of(state);
    struct rt_json_at pools = rt_json_get(root, "pools");
    struct rt_json_at name = rt_json_get(root, "name");
    struct rt_json_at places[] = {
        rt_json_item(&pools, 2),    rt_json_item(&pools, -1), rt_json_item(root, 0),
        rt_json_get(&pools, "gpu"), rt_json_get(&name, "x"),  rt_json_member(root, 11),
        rt_json_member(&pools, 0),  rt_json_member(root, -1), rt_json_get(root, "absent"),
    };
    int64_t kept = 5;
    struct rt_err err;

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct rt_json_at below = rt_json_get(&places[i], "deeper");
        struct rt_json_at item = rt_json_item(&below, 3);
        assert_null(places[i].node);
        assert_null(item.node);
        assert_ok(rt_json_int(&item, "x", 0, 9, &kept, &err), &err);
        assert_ok(rt_json_only(&item, NULL, 0, &err), &err);
        assert_int_equal(kept, 5);
    }
}

static void readers_read(void **state)
{
    const struct rt_json_at *root = root_of(state);
    struct rt_err err;
    int64_t i = 0;
    double d = 0;
    bool b = false;
    const char *s = NULL;

    assert_ok(rt_json_int(root, "seed", 0, 100, &i, &err), &err);
    assert_int_equal(i, 42);
    assert_ok(rt_json_int(root, "Seed", 7, 7, &i, &err), &err);
    assert_int_equal(i, 7);
    assert_ok(rt_json_int(root, "tiny", INT64_MIN, INT64_MAX, &i, &err), &err);
    assert_int_equal(i, -1);
    assert_ok(rt_json_int(root, "thousand", 0, 1000, &i, &err), &err);
    assert_int_equal(i, 1000);
    assert_ok(rt_json_double(root, "rate", 2.5, 2.5, &d, &err), &err);
    assert_true(d == 2.5);
    assert_ok(rt_json_double(root, "huge", 0, (double)INFINITY, &d, &err), &err);
    assert_true(d == 1e17);
    assert_ok(rt_json_bool(root, "on", &b, &err), &err);
    assert_true(b);
    assert_ok(rt_json_string(root, "name", &s, &err), &err);
    assert_string_equal(s, "demo");
    assert_ok(rt_json_need(root, "none", &err), &err);
}

static void readers_keep_defaults(void **state)
{
    const struct rt_json_at *root = root_of(state);
    static const char *const names[] = {"a"};
    struct rt_err err;
    int64_t i = 11;
    double d = 12;
    bool b = true;
    const char *s = "default";
    unsigned choice = 13;

    assert_ok(rt_json_int(root, "x", 0, 1, &i, &err), &err);
    assert_ok(rt_json_double(root, "x", 0, 1, &d, &err), &err);
    assert_ok(rt_json_bool(root, "x", &b, &err), &err);
    assert_ok(rt_json_string(root, "x", &s, &err), &err);
    assert_ok(rt_json_choice(root, "x", names, 1, &choice, &err), &err);
    assert_true(i == 11 && d == 12.0 && b && choice == 13);
    assert_string_equal(s, "default");
}

static void integers_out_of_range(void **state)
{
    const struct rt_json_at *root = root_of(state);
    struct rt_json_at pools = rt_json_get(root, "pools");
    struct rt_json_at second = rt_json_item(&pools, 1);
    struct rt_err err;
    int64_t i = 1;

    assert_fails(rt_json_int(&second, "count", 1, 1048576, &i, &err), &err, RT_ECONFIG,
                 "s.json: $.pools[1].count: expected an integer from 1 to 1048576, read \"many\"");
    assert_fails(rt_json_int(root, "seed", 0, 41, &i, &err), &err, RT_ECONFIG,
                 "$.seed: expected an integer from 0 to 41, read 42");
    assert_fails(rt_json_int(root, "seed", 43, INT64_MAX, &i, &err), &err, RT_ECONFIG,
                 "expected an integer, at least 43, read 42");
    assert_fails(rt_json_int(root, "seed", INT64_MIN, 41, &i, &err), &err, RT_ECONFIG,
                 "expected an integer, at most 41, read 42");
    assert_fails(rt_json_int(root, "rate", INT64_MIN, INT64_MAX, &i, &err), &err, RT_ECONFIG,
                 "expected an integer, read 2.5");
    assert_fails(rt_json_int(root, "huge", 0, INT64_MAX, &i, &err), &err, RT_ECONFIG,
                 "within 2^53 (9007199254740992), read 1e+17");
    assert_fails(rt_json_int(root, "none", 0, 9, &i, &err), &err, RT_ECONFIG, "read null");
    assert_fails(rt_json_int(root, "pools", 0, 9, &i, &err), &err, RT_ECONFIG, "read an array");
    assert_fails(rt_json_int(root, "on", 0, 9, &i, &err), &err, RT_ECONFIG, "read true");
    assert_int_equal(i, 1);
}

static void wrong_types(void **state)
{
    const struct rt_json_at *root = root_of(state);
    struct rt_json_at seed = rt_json_get(root, "seed");
    struct rt_json_at pools = rt_json_get(root, "pools");
    const char *s = NULL;
    struct rt_err err;
    int64_t i = 1;
    double d = 1;
    bool b = false;

    assert_fails(rt_json_double(root, "rate", 3, 4, &d, &err), &err, RT_ECONFIG,
                 "$.rate: expected a number from 3 to 4, read 2.5");
    assert_fails(rt_json_double(root, "rate", 3, (double)INFINITY, &d, &err), &err, RT_ECONFIG,
                 "expected a number, at least 3, read 2.5");
    assert_fails(rt_json_double(root, "name", 0, 1, &d, &err), &err, RT_ECONFIG, "read \"demo\"");
    assert_fails(rt_json_number(&pools, 0, 1, &d, &err), &err, RT_ECONFIG,
                 "$.pools: expected a number from 0 to 1, read an array");
    struct rt_json_at none = rt_json_get(root, "x");
    assert_fails(rt_json_number(&none, 0, 1, &d, &err), &err, RT_ECONFIG, "$.x: expected a number");
    assert_ok(rt_json_number(&seed, 42, 42, &d, &err), &err);
    assert_true(d == 42.0);
    assert_fails(rt_json_bool(root, "seed", &b, &err), &err, RT_ECONFIG,
                 "$.seed: expected true or false, read 42");
    assert_fails(rt_json_string(root, "seed", &s, &err), &err, RT_ECONFIG,
                 "$.seed: expected a string, read 42");
    assert_fails(rt_json_expect(&pools, RT_JSON_OBJECT, &err), &err, RT_ECONFIG,
                 "$.pools: expected an object, read an array");
    assert_fails(rt_json_expect(root, RT_JSON_ARRAY, &err), &err, RT_ECONFIG,
                 "$: expected an array, read an object");
    /* a key of something that is not an object is no default */
    assert_fails(rt_json_int(&seed, "x", 0, 1, &i, &err), &err, RT_ECONFIG,
                 "$.seed: expected an object, read 42");
    assert_fails(rt_json_need(&pools, "x", &err), &err, RT_ECONFIG, "expected an object");
    assert_fails(rt_json_need(root, "x", &err), &err, RT_ECONFIG, "$: missing key \"x\"");
}

static void choices(void **state)
{
    static const char text[] = "{\"router\":\"least_kv\",\"slip\":\"leastkv\",\"far\":\"qqqq\","
                               "\"case\":\"Fifo\",\"number\":3}";
    static const char *const names[] = {"fifo", "least_kv", "random"};
    struct rt_json *doc = NULL;
    struct rt_json_at root;
    struct rt_err err;
    unsigned choice = 9;

    (void)state;
    assert_ok(rt_json_parse(text, sizeof text - 1, "c.json", &doc, &err), &err);
    root = rt_json_root(doc);
    assert_ok(rt_json_choice(&root, "router", names, 3, &choice, &err), &err);
    assert_int_equal(choice, 1);
    assert_fails(rt_json_choice(&root, "slip", names, 3, &choice, &err), &err, RT_ECONFIG,
                 "c.json: $.slip: unknown name \"leastkv\", did you mean \"least_kv\"?");
    assert_fails(rt_json_choice(&root, "case", names, 3, &choice, &err), &err, RT_ECONFIG,
                 "did you mean \"fifo\"?");
    assert_fails(rt_json_choice(&root, "far", names, 3, &choice, &err), &err, RT_ECONFIG,
                 "$.far: unknown name \"qqqq\", one of fifo, least_kv, random");
    assert_fails(rt_json_choice(&root, "number", names, 3, &choice, &err), &err, RT_ECONFIG,
                 "$.number: expected a string, read 3");
    assert_int_equal(choice, 1);
    rt_json_free(doc);
}

static void only_known_keys(void **state)
{
    static const char *const some[] = {"name", "seed",  "rate", "on",   "none",
                                       "Seed", "pools", "tiny", "huge", "thousand"};
    static const char *const pool[] = {"gpus", "odd key"};
    const struct rt_json_at *root = root_of(state);
    struct rt_json_at pools = rt_json_get(root, "pools");
    struct rt_json_at first = rt_json_item(&pools, 0);
    struct rt_err err;

    assert_ok(rt_json_only(root, some, 10, &err), &err);
    assert_fails(rt_json_only(root, some, 9, &err), &err, RT_ECONFIG,
                 "s.json: $: unknown key \"thousand\", one of name, seed");
    assert_fails(rt_json_only(&first, pool, 2, &err), &err, RT_ECONFIG,
                 "$.pools[0]: unknown key \"gpu\", did you mean \"gpus\"?");
    assert_fails(rt_json_only(&pools, pool, 2, &err), &err, RT_ECONFIG, "expected an object");
}

/* Long and foreign strings in messages: cut, whole characters, one line. */
static void messages_repeat_only_a_part(void **state)
{
    char text[700] = "{\"k\":\"";
    struct rt_json *doc = NULL;
    struct rt_json_at root;
    struct rt_err err;
    int64_t i = 0;
    size_t n = strlen(text);

    (void)state;
    while (n < 600) { /* the euro sign, three bytes */
        memcpy(text + n, "\xE2\x82\xAC", 3);
        n += 3;
    }
    memcpy(text + n, "\\n\"}", 5);
    assert_ok(rt_json_parse(text, strlen(text), "m.json", &doc, &err), &err);
    root = rt_json_root(doc);
    assert_fails(rt_json_int(&root, "k", 0, 1, &i, &err), &err, RT_ECONFIG, "\xE2\x82\xAC...\"");
    assert_true(strlen(err.msg) < 150);
    rt_json_fail(&root, &err, "%s", text);
    assert_in_range(strlen(err.msg), sizeof err.msg - 5, sizeof err.msg - 1); /* cut */
    rt_json_free(doc);
}

/* Containers beyond the border to the index answer as the naive walk does. */
static void large_containers(void **state)
{
    enum { N = 5000 };
    char *text = malloc(N * 40), key[24];
    struct rt_json *doc = NULL;
    struct rt_json_at root, list, map;
    struct rt_err err;
    size_t n = 0;

    (void)state;
    assert_non_null(text);
    n += (size_t)sprintf(text + n, "{\"map\":{");
    for (int i = 0; i < N; i++) /* neither sorted nor dense */
        n += (size_t)sprintf(text + n, "%s\"k%d\":%d", i > 0 ? "," : "", i * 7919 % N, i);
    n += (size_t)sprintf(text + n, "},\"list\":[");
    for (int i = 0; i < N; i++)
        n += (size_t)sprintf(text + n, "%s%d", i > 0 ? "," : "", i);
    n += (size_t)sprintf(text + n, "]}");
    assert_ok(rt_json_parse(text, n, "l.json", &doc, &err), &err);
    free(text);
    root = rt_json_root(doc);
    map = rt_json_get(&root, "map");
    list = rt_json_get(&root, "list");
    assert_int_equal(rt_json_count(&map), N);
    assert_int_equal(rt_json_count(&list), N);
    for (int i = 0; i < N; i++) {
        struct rt_json_at item = rt_json_item(&list, i), member = rt_json_member(&map, i);
        int64_t value = -1;
        char *printed = rt_json_print(&item);
        assert_int_equal(strtol(printed, NULL, 10), i);
        free(printed);
        snprintf(key, sizeof key, "k%d", i * 7919 % N);
        assert_string_equal(member.key, key);
        assert_ok(rt_json_int(&map, key, 0, N, &value, &err), &err);
        assert_int_equal(value, i);
    }
    assert_null(rt_json_item(&list, N).node);
    assert_null(rt_json_member(&map, N).node);
    assert_null(rt_json_get(&map, "K1").node);
    assert_null(rt_json_get(&map, "").node);
    rt_json_free(doc);
}

/* Many containers on both sides of the border to the index: each answers its own elements. */
static void many_large_containers(void **state)
{
    enum { N = 200 };
    char *text = malloc(N * 1000);
    struct rt_json *doc = NULL;
    struct rt_json_at root;
    struct rt_err err;
    size_t n = 0;

    (void)state;
    assert_non_null(text);
    for (int i = 0; i < N; i++) {
        n += (size_t)sprintf(text + n, "%s[%d", i > 0 ? "," : "[", i);
        for (int j = 1; j < 10 + i % 20; j++)
            n += (size_t)sprintf(text + n, ",%d", i);
        text[n++] = ']';
    }
    text[n++] = ']';
    assert_ok(rt_json_parse(text, n, "m.json", &doc, &err), &err);
    free(text);
    root = rt_json_root(doc);
    for (int i = 0; i < N; i++) {
        struct rt_json_at array = rt_json_item(&root, i);
        struct rt_json_at last = rt_json_item(&array, 9 + i % 20);
        char *printed = rt_json_print(&last);
        assert_int_equal(rt_json_count(&array), 10 + i % 20);
        assert_non_null(last.node);
        assert_int_equal(strtol(printed, NULL, 10), i);
        free(printed);
    }
    rt_json_free(doc);
}

/* Walking lists for each of 300,000 keys would take minutes; the test would time out. */
static void huge_objects_are_not_quadratic(void **state)
{
    enum { N = 300000 };
    char *text = malloc(N * 16);
    struct rt_json *doc = NULL;
    struct rt_json_at root;
    struct rt_err err;
    size_t n = 1;

    (void)state;
    assert_non_null(text);
    text[0] = '{';
    for (int i = 0; i < N; i++)
        n += (size_t)sprintf(text + n, "\"%d\":%d,", i, i % 10);
    text[n - 1] = '}';
    assert_ok(rt_json_parse(text, n, "h.json", &doc, &err), &err);
    free(text);
    root = rt_json_root(doc);
    for (int i = 0; i < N; i++)
        assert_non_null(rt_json_member(&root, i).node);
    rt_json_free(doc);
}

static void write_file(const char *path, const char *bytes, size_t n)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n, file), n);
    assert_int_equal(fclose(file), 0);
}

static void loads_files(void **state)
{
    char dir[] = "/tmp/rooftrace-test-XXXXXX", path[64], big[70000];
    struct rt_json *doc = NULL;
    struct rt_err err;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a.json", dir);
    write_file(path, sample, sizeof sample - 1);
    assert_ok(rt_json_load(path, &doc, &err), &err);
    assert_string_equal(rt_json_name(doc), path);
    rt_json_free(doc);
    memset(big, ' ', sizeof big); /* beyond the first buffer */
    memcpy(big + sizeof big - 2, "[]", 2);
    write_file(path, big, sizeof big);
    assert_ok(rt_json_load(path, &doc, &err), &err);
    rt_json_free(doc);
    write_file(path, "", 0);
    assert_fails(rt_json_load(path, &doc, &err), &err, RT_ECONFIG, "a.json:1:1: expected a value");
    assert_null(doc);
    assert_int_equal(truncate(path, (off_t)64 * 1024 * 1024 + 1), 0); /* a hole: no disk space */
    assert_fails(rt_json_load(path, &doc, &err), &err, RT_EIO, "larger than 64 MiB");
    assert_int_equal(remove(path), 0);
    assert_fails(rt_json_load(path, &doc, &err), &err, RT_EIO, "No such file or directory");
    assert_fails(rt_json_load(dir, &doc, &err), &err, RT_EIO, "directory");
    assert_int_equal(rmdir(dir), 0);
}

static void paths_beside(void **state)
{
    static const struct {
        const char *base, *path, *want;
    } cases[] = {
        {"a/b/s.json", "t.csv", "a/b/t.csv"},
        {"s.json", "t.csv", "t.csv"},
        {"/s.json", "t.csv", "/t.csv"},
        {"a/s.json", "/x/t.csv", "/x/t.csv"},
        {"a/s.json", "../t.csv", "a/../t.csv"},
        {"a/", "t", "a/t"},
        {"", "t", "t"},
        {"a/s.json", "", "a/"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *path = rt_path_beside(cases[i].base, cases[i].path);
        assert_string_equal(path, cases[i].want);
        free(path);
    }
}

static void free_of_nothing(void **state)
{
    (void)state;
    rt_json_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_and_counts),
        cmocka_unit_test(places_know_their_path),
        cmocka_unit_test(absent_places_stay_absent),
        cmocka_unit_test(readers_read),
        cmocka_unit_test(readers_keep_defaults),
        cmocka_unit_test(integers_out_of_range),
        cmocka_unit_test(wrong_types),
        cmocka_unit_test(choices),
        cmocka_unit_test(only_known_keys),
        cmocka_unit_test(messages_repeat_only_a_part),
        cmocka_unit_test(large_containers),
        cmocka_unit_test(many_large_containers),
        cmocka_unit_test(huge_objects_are_not_quadratic),
        cmocka_unit_test(loads_files),
        cmocka_unit_test(paths_beside),
        cmocka_unit_test(free_of_nothing),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
