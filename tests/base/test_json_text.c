/* JSON as text: what is accepted, what is refused and where, printing back, mutated documents. */
#include "support/test.h"

#include "rooftrace/json.h"
#include "rooftrace/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Parses a copy of exactly `len` bytes without final NUL, so that asan sees a byte read too many.
 */
static bool parse(const char *text, size_t len, struct rt_json **doc, struct rt_err *err)
{
    char *copy = malloc(len == 0 ? 1 : len);
    bool ok;

    assert_non_null(copy);
    memcpy(copy, text, len);
    ok = rt_json_parse(copy, len, "t.json", doc, err);
    free(copy);
    return ok;
}

static void accepts_what_the_rfc_accepts(void **state)
{
    static const char *const texts[] = {
        "null",
        "true",
        " false ",
        "0",
        "-0",
        "-0.0",
        "1e3",
        "1E+3",
        "1.5e-3",
        "0e0",
        "\"\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "\t\r\n[1 , 2]\n",
        "[[],{},[{}]]",
        "{\"\":0}",
        "{\"a\":1,\"A\":2}",
        "\"\\u00e9\\n\\/\\\\\\\"\\b\\f\\r\\t\"",
        "\"\\ud83d\\ude00\"",
        "\"\xC3\xA9\xE2\x82\xAC\"",
        "\"\xF0\x9F\x98\x80\x7F\"",
        "\"\xF4\x8F\xBF\xBF\"",
        "\xEF\xBB\xBF{}",
        "9007199254740992",
        "-9007199254740992",
        "1e308",
        "1e-400",
        "123456789012345678901234567890123456789012345678901234567890.01"};

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct rt_json *doc = NULL;
        struct rt_err err = {0};
        if (!parse(texts[i], strlen(texts[i]), &doc, &err))
            fail_msg("%s: %s", texts[i], err.msg);
        rt_json_free(doc);
    }
}

struct refused {
    const char *text, *message; /* the message is looked for after "t.json:" */
};

static const struct refused refused[] = {
    {"", "1:1: expected a value, read the end of the text"},
    {" \n ", "2:2: expected a value, read the end"},
    {"{\n  \"a\": 1,\n  \"b\" = 2\n}", "3:7: expected \":\", read \"=\""},
    {"[1 2]", "1:4: expected \",\" or \"]\", read \"2\""},
    {"{\"a\":1 \"b\":2}", "1:8: expected \",\" or \"}\""},
    {"[1,]", "1:4: expected a value, read \"]\""},
    {"[,1]", "1:2: expected a value or \"]\""},
    {"{\"a\":1,}", "1:8: expected a key in quotes, read \"}\""},
    {"{,}", "1:2: expected a key in quotes or \"}\""},
    {"{a:1}", "1:2: expected a key in quotes or \"}\", read \"a\""},
    {"{\"a\":}", "1:6: expected a value"},
    {"{\"a\"}", "1:5: expected \":\""},
    {"[1}", "1:3: expected"},
    {"{\"a\":1]", "1:7: expected"},
    {"[1", "1:3: expected \",\" or \"]\", read the end of the text"},
    {"{} x", "1:4: expected nothing after the value, read \"x\""},
    {"{}{}", "1:3: expected nothing"},
    {"]", "1:1: expected a value"},
    {"// x\n1", "1:1: expected a value, read \"/\" (JSON has no comments)"},
    {"nul", "1:1: expected a value, read \"nul\""},
    {"truefalse", "read \"truefalse\""},
    {"True", "read \"True\""},
    {"NaN", "read \"NaN\""},
    {"-Infinity", "read \"-Infinity\""},
    {"-", "1:1: expected"},
    {"[01]", "1:2: expected a number as JSON writes it, read \"01\""},
    {"-01", "read \"-01\""},
    {"1.", "read \"1.\""},
    {".5", "read \".5\""},
    {"+1", "read \"+1\""},
    {"1e", "read \"1e\""},
    {"1e+", "read \"1e+\""},
    {"1.e3", "read \"1.e3\""},
    {"--1", "read \"--1\""},
    {"0x10", "read \"0x10\""},
    {"1.5.5", "read \"1.5.5\""},
    {"1_000", "read \"1_000\""},
    {"1e999", "expected a number that a double can hold, read \"1e999\""},
    {"-1e999", "read \"-1e999\""},
    {"9007199254740993", "expected an integer within 2^53"},
    {"-9007199254740993", "expected an integer within 2^53"},
    {"99999999999999999999999999", "expected an integer within 2^53"},
    {"0.123456789012345678901234567890123456789012345678901234567890123", "at most 63"},
    {"\"abc", "1:1: string without a closing quote"},
    {"\"abc\\\"", "1:1: string without a closing quote"},
    {"\"a\nb\"", "1:1: string without a closing quote on its line"},
    {"\"a\tb\"", "1:3: control character in a string"},
    {"\"\x01\"", "1:2: control character"},
    {"\"\\x41\"", "1:2: unknown escape"},
    {"\"\\", "1:2: unknown escape"},
    {"\"\\u12\"", "1:2: expected four hexadecimal digits"},
    {"\"\\u12G4\"", "expected four hexadecimal digits"},
    {"\"\\u0000\"", "\"\\u0000\" is not allowed"},
    {"\"\\ud83d\"", "high surrogate without a low one"},
    {"\"\\ud83dx\"", "high surrogate without a low one"},
    {"\"\\ud83d\\u0041\"", "high surrogate without a low one"},
    {"\"\\ud83d\\u", "high surrogate without a low one"},
    {"\"\\ude00\"", "low surrogate without a high one"},
    {"\"\xC3\xA9\xFF\"", "1:3: invalid UTF-8"}, /* columns count characters */
    {"\"\xC0\x80\"", "invalid UTF-8"},          /* NUL, too long a form */
    {"\"\xE0\x80\x80\"", "invalid UTF-8"},
    {"\"\xED\xA0\x80\"", "invalid UTF-8"}, /* a surrogate */
    {"\"\xF4\x90\x80\x80\"", "invalid UTF-8"},
    {"\"\xF5\x80\x80\x80\"", "invalid UTF-8"},
    {"\"\x80\"", "invalid UTF-8"},
    {"\"\xE2\x82\"", "invalid UTF-8"},
    {"\"\xE2\x82", "invalid UTF-8"},
    {"\xFF", "1:1: expected a value, read the byte 0xFF"},
    {"\x0B[]", "read the byte 0x0B"}, /* vertical tab is no white space */
    {"\xC2\xA0[]", "expected a value"},
    {"\xEF\xBB\xBF\xEF\xBB\xBF{}", "1:1: expected a value"},
    {"\xEF\xBB\xBF{x", "1:2: expected a key"},
};

static void refuses_with_line_and_column(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct rt_json *doc = NULL;
        struct rt_err err = {0};
        if (parse(refused[i].text, strlen(refused[i].text), &doc, &err))
            fail_msg("accepted: %s", refused[i].text);
        assert_null(doc);
        assert_int_equal(err.code, RT_ECONFIG);
        assert_memory_equal(err.msg, "t.json:", 7);
        if (strstr(err.msg + 7, refused[i].message) == NULL)
            fail_msg("%s: \"%s\" lacks \"%s\"", refused[i].text, err.msg, refused[i].message);
    }
}

static void refuses_nul_bytes(void **state)
{
    static const struct {
        const char *text;
        size_t len;
    } cases[] = {{"\0", 1}, {"{}\0", 3}, {"[1,\0 2]", 7}, {"\"a\0b\"", 5}, {"tr\0ue", 5}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_json *doc = NULL;
        struct rt_err err = {0};
        assert_fails(parse(cases[i].text, cases[i].len, &doc, &err), &err, RT_ECONFIG, "t.json:1:");
    }
}

/* `depth` brackets of both kinds in turn around a number; answers the length. */
static size_t nest(char *text, size_t depth)
{
    size_t n = 0;

    for (size_t i = 0; i < depth; i++)
        n += (size_t)sprintf(text + n, "%s", i % 2 == 0 ? "[" : "{\"k\":");
    text[n++] = '1';
    for (size_t i = depth; i-- > 0;)
        text[n++] = i % 2 == 0 ? ']' : '}';
    return n;
}

static void nests_to_64(void **state)
{
    char *text = malloc((size_t)1 << 20);
    struct rt_json *doc = NULL;
    struct rt_err err = {0};
    struct rt_json_at root;
    char *printed;
    size_t n;

    (void)state;
    assert_non_null(text);
    n = nest(text, 64);
    assert_ok(parse(text, n, &doc, &err), &err);
    root = rt_json_root(doc);
    printed = rt_json_print(&root);
    assert_non_null(printed);
    assert_int_equal(strlen(printed), n);
    assert_memory_equal(printed, text, n);
    free(printed);
    rt_json_free(doc);
    n = nest(text, 65);
    assert_fails(parse(text, n, &doc, &err), &err, RT_ECONFIG, "nested deeper than 64");
    memset(text, '[', (size_t)1 << 20);
    assert_fails(parse(text, (size_t)1 << 20, &doc, &err), &err, RT_ECONFIG, "t.json:1:65:");
    free(text);
}

static void finds_duplicate_keys(void **state)
{
    static const struct refused cases[] = {
        {"{\"a\":1,\"a\":2}", " $: duplicate key \"a\""},
        {"{\"p\":[0,{\"x\":{\"gpu\":1,\"b\":1,\"gpu\":1}}]}", " $.p[1].x: duplicate key \"gpu\""},
        {"{\"a\":1,\"\\u0061\":2}", " $: duplicate key \"a\""},
        {"{\"\":1,\"\":2}", " $: duplicate key \"\""},
        {"[{},{\"b c\":{\"k\":1,\"k\":1}}]", " $[1][\"b c\"]: duplicate key \"k\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_json *doc = NULL;
        struct rt_err err = {0};
        assert_fails(parse(cases[i].text, strlen(cases[i].text), &doc, &err), &err, RT_ECONFIG,
                     cases[i].message);
    }
}

/* Sizes around the border between list and index; with and without one duplicate. */
static void finds_duplicate_keys_at_any_size(void **state)
{
    char *text = malloc((size_t)1 << 20);

    (void)state;
    assert_non_null(text);
    for (int size = 2; size <= 40; size++)
        for (int same = 0; same < size; same++) { /* 0: none, else this one repeats key 0 */
            struct rt_json *doc = NULL;
            struct rt_err err = {0};
            size_t n = (size_t)sprintf(text, "{\"k0\":0");
            for (int i = 1; i < size; i++)
                n += (size_t)sprintf(text + n, ",\"k%d\":%d", i == same ? 0 : i, i);
            n += (size_t)sprintf(text + n, "}");
            if (same == 0) {
                assert_ok(parse(text, n, &doc, &err), &err);
                rt_json_free(doc);
            } else {
                assert_fails(parse(text, n, &doc, &err), &err, RT_ECONFIG, "duplicate key \"k0\"");
            }
        }
    free(text);
}

static void prints_compact_text(void **state)
{
    static const struct {
        const char *text, *printed;
    } cases[] = {
        {" { \"a\" : [ 1 , 2.5 , -3e2 ] , \"b\" : null } ", "{\"a\":[1,2.5,-300],\"b\":null}"},
        {"[true,false,{},[],\"\"]", "[true,false,{},[],\"\"]"},
        {"0.30000000000000004", "0.30000000000000004"}, /* cJSON prints 0.3 */
        {"0.1", "0.1"},
        {"1000000000000000000000", NULL},
        {"1e21", "1e+21"},
        {"9007199254740992", "9007199254740992"},
        {"-0.0", "-0"},
        {"5e-324", "4.94065645841247e-324"},
        {"\"\\u0001\\n\\\"\\\\\\/\\u00e9\"", "\"\\u0001\\n\\\"\\\\/\xC3\xA9\""},
        {"{\"a\\tb\":1}", "{\"a\\tb\":1}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_json *doc = NULL;
        struct rt_err err = {0};
        struct rt_json_at root;
        char *printed;
        bool ok = parse(cases[i].text, strlen(cases[i].text), &doc, &err);
        assert_int_equal(ok, cases[i].printed != NULL);
        if (!ok)
            continue;
        root = rt_json_root(doc);
        printed = rt_json_print(&root);
        assert_string_equal(printed, cases[i].printed);
        free(printed);
        rt_json_free(doc);
    }
}

/* Any finite double survives text -> document -> text -> document bit for bit. */
static void numbers_survive_printing(void **state)
{
    struct rt_rng r;

    (void)state;
    rt_rng_init(&r, 8, RT_RNG_TOOLS, 0);
    for (int i = 0; i < 3000; i++) {
        uint64_t bits = rt_rng_u64(&r);
        struct rt_json *doc = NULL;
        struct rt_err err = {0};
        struct rt_json_at root;
        char text[40];
        char *printed;
        double value, back;
        memcpy(&value, &bits, sizeof value);
        if (value - value != 0.0) /* infinite or NaN */
            continue;
        snprintf(text, sizeof text, "%.17g", value);
        if (strpbrk(text, ".e") == NULL)
            continue;
        assert_ok(parse(text, strlen(text), &doc, &err), &err);
        root = rt_json_root(doc);
        printed = rt_json_print(&root);
        assert_non_null(printed);
        back = strtod(printed, NULL);
        assert_memory_equal(&back, &value, sizeof value);
        free(printed);
        rt_json_free(doc);
    }
}

static const char sample[] =
    "{\"$schema\":\"x\",\"name\":\"caf\xC3\xA9 "
    "\\u00e9\\ud83d\\ude00\",\"pools\":[{\"gpu\":\"h100\","
    "\"count\":12,\"price\":2.5e0,\"on\":true,\"tags\":[\"a\",\"b\",null,-0.5E-3]},{\"gpu\":\"l4\"}"
    "],"
    "\"seed\":9007199254740992,\"big\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20],"
    "\"nested\":[[[[{\"deep\":{}}]]]]}\n";

/* Flips, drops, repeats or inserts bytes; keeps the text at most `size` long. */
static size_t mutate(struct rt_rng *r, char *text, size_t n, size_t size)
{
    static const char spice[] = "{}[]\",:\\u0eE+-.1 \n\x80\xC3\xFF\x01/tfn";
    uint64_t changes = 1 + rt_rng_below(r, 4);

    while (changes-- > 0 && n > 1) {
        size_t at = rt_rng_below(r, n), from = rt_rng_below(r, n);
        size_t len = 1 + rt_rng_below(r, 12);
        switch (rt_rng_below(r, 4)) {
        case 0:
            text[at] = (char)rt_rng_below(r, 256);
            break;
        case 1:
            text[at] = spice[rt_rng_below(r, sizeof spice)];
            break;
        case 2: /* drop */
            len = len < n - at ? len : n - at;
            memmove(text + at, text + at + len, n - at - len);
            n -= len;
            break;
        default: /* repeat a piece elsewhere */
            len = len < n - from ? len : n - from;
            if (n + len > size)
                break;
            memmove(text + at + len, text + at, n - at);
            memmove(text + at, text + (from >= at ? from + len : from), len);
            n += len;
        }
    }
    return n;
}

/* A mutated document is refused with a one-line message, or what it prints is a fixed point. */
static void check_mutant(const char *text, size_t n, unsigned *accepted)
{
    struct rt_json *doc = NULL, *again = NULL;
    struct rt_err err = {0};
    struct rt_json_at root;
    char *printed, *twice;

    if (!parse(text, n, &doc, &err)) {
        assert_null(doc);
        assert_int_equal(err.code, RT_ECONFIG);
        assert_memory_equal(err.msg, "t.json:", 7);
        assert_null(strchr(err.msg, '\n'));
        return;
    }
    ++*accepted;
    root = rt_json_root(doc);
    printed = rt_json_print(&root);
    assert_non_null(printed);
    assert_ok(parse(printed, strlen(printed), &again, &err), &err);
    root = rt_json_root(again);
    twice = rt_json_print(&root);
    assert_string_equal(twice, printed);
    free(printed);
    free(twice);
    rt_json_free(doc);
    rt_json_free(again);
}

static void mutants_never_crash(void **state)
{
    char text[sizeof sample + 64];
    unsigned accepted = 0;
    struct rt_rng r;

    (void)state;
    rt_rng_init(&r, 4711, RT_RNG_TOOLS, 0);
    for (int i = 0; i < 8000; i++) {
        size_t n = sizeof sample - 1;
        memcpy(text, sample, n);
        if (i > 0)
            n = mutate(&r, text, n, sizeof text);
        check_mutant(text, n, &accepted);
    }
    for (size_t n = 0; n < sizeof sample - 2; n++) { /* cut anywhere: never a whole document */
        unsigned before = accepted;
        check_mutant(sample, n, &accepted);
        assert_int_equal(accepted, before);
    }
    assert_in_range(accepted, 100, 7900); /* both ways were taken often */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_the_rfc_accepts),
        cmocka_unit_test(refuses_with_line_and_column),
        cmocka_unit_test(refuses_nul_bytes),
        cmocka_unit_test(nests_to_64),
        cmocka_unit_test(finds_duplicate_keys),
        cmocka_unit_test(finds_duplicate_keys_at_any_size),
        cmocka_unit_test(prints_compact_text),
        cmocka_unit_test(numbers_survive_printing),
        cmocka_unit_test(mutants_never_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
