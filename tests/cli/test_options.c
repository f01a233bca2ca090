/* The option parser: every spelling, every type, and a clear line for everything else. */
#include "support/test.h"

#include "rooftrace/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct rt_option table[] = {
    {RT_OPT_HEADING("things:")},
    {RT_OPT_TEXT("--trace", "FILE", "a file")},
    {RT_OPT_INT("--max-num-seqs", "N", 1, 1000, "how many")},
    {RT_OPT_INT("--shift", "N", INT64_MIN, INT64_MAX, "any integer")},
    {RT_OPT_NUMBER("--rate-scale", "X", -5, 1e9, "how fast")},
    {RT_OPT_PAIRS("--goodput", "NAME:MS ...", "objectives")},
    {RT_OPT_PAIRS("--slo", "NAME:MS ...", "objectives too")},
    {RT_OPT_TEXT("--output", "FILE", "where to\nand a second line"), .letter = 'o'},
    {RT_OPT_FLAG("--json", "for machines"), .letter = 'j'},
};
#define COUNT (sizeof table / sizeof table[0])
#define WORDS 16

static const struct rt_option_set set = {"rooftrace test", table, COUNT};

/* Words separated by blanks; '_' stands for an empty word. */
static bool parse(char *line, struct rt_options *o, struct rt_err *err)
{
    char *argv[WORDS];
    int argc = 0;

    *err = (struct rt_err){0};
    for (char *word = line; word != NULL && *word != '\0';) {
        char *blank = strchr(word, ' ');
        if (blank != NULL)
            *blank = '\0';
        if (strcmp(word, "_") == 0)
            *word = '\0';
        assert_true(argc < WORDS);
        argv[argc++] = word;
        word = blank != NULL ? blank + 1 : NULL;
    }
    return rt_options_parse(&set, argc, argv, o, err);
}

static void values_come_in_every_spelling(void **state)
{
    char line[] = "one --trace a.csv --max-num-seqs=7 two --rate-scale -2.5e0 -o x.db -j - three";
    struct rt_options o;
    struct rt_err err;

    (void)state;
    assert_ok(parse(line, &o, &err), &err);
    assert_string_equal(rt_options_text(&o, "--trace", "none"), "a.csv");
    assert_int_equal(rt_options_int(&o, "--max-num-seqs", 1), 7);
    assert_true(rt_options_number(&o, "--rate-scale", 1) == -2.5);
    assert_string_equal(rt_options_text(&o, "--output", "none"), "x.db");
    assert_true(rt_options_given(&o, "--json"));
    assert_int_equal(o.word_count, 4);
    assert_string_equal(o.words[0], "one");
    assert_string_equal(o.words[1], "two");
    assert_string_equal(o.words[2], "-");
    assert_string_equal(o.words[3], "three");
    rt_options_release(&o);
}

static void what_is_not_given_has_its_default(void **state)
{
    char line[] = "";
    struct rt_options o;
    struct rt_err err;

    (void)state;
    assert_ok(parse(line, &o, &err), &err);
    assert_null(rt_options_text(&o, "--trace", NULL));
    assert_int_equal(rt_options_int(&o, "--max-num-seqs", 256), 256);
    assert_true(rt_options_number(&o, "--rate-scale", 0.5) == 0.5);
    assert_false(rt_options_given(&o, "--json"));
    assert_int_equal(rt_options_get(&o, "--goodput")->count, 0);
    assert_int_equal(o.word_count, 0);
    rt_options_release(&o);
}

static void the_last_of_several_wins(void **state)
{
    char line[] = "--max-num-seqs 1 --max-num-seqs 2 --trace a --trace=b";
    struct rt_options o;
    struct rt_err err;

    (void)state;
    assert_ok(parse(line, &o, &err), &err);
    assert_int_equal(rt_options_int(&o, "--max-num-seqs", 0), 2);
    assert_int_equal(rt_options_get(&o, "--max-num-seqs")->count, 2);
    assert_string_equal(rt_options_text(&o, "--trace", ""), "b");
    rt_options_release(&o);
}

static void pairs_add_up(void **state)
{
    char line[] = "--goodput ttft:500 tpot:50 s.json --slo a:1 --goodput=e2el:9 b:2 --slo c:3";
    const char *want[] = {"ttft:500", "tpot:50", "e2el:9"};
    struct rt_options o;
    struct rt_err err;
    const struct rt_option_value *v;

    (void)state;
    assert_ok(parse(line, &o, &err), &err);
    v = rt_options_get(&o, "--goodput");
    assert_int_equal(v->count, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_string_equal(v->all[i], want[i]);
    assert_int_equal(rt_options_get(&o, "--slo")->count, 2);
    assert_string_equal(rt_options_get(&o, "--slo")->all[1], "c:3");
    assert_int_equal(o.word_count, 2); /* a word behind --goodput=... stands alone */
    assert_string_equal(o.words[0], "s.json");
    assert_string_equal(o.words[1], "b:2");
    rt_options_release(&o);
}

static void two_dashes_end_the_options(void **state)
{
    char line[] = "--json -- --trace -o _";
    struct rt_options o;
    struct rt_err err;

    (void)state;
    assert_ok(parse(line, &o, &err), &err);
    assert_int_equal(o.word_count, 3);
    assert_string_equal(o.words[0], "--trace");
    assert_string_equal(o.words[2], "");
    assert_false(rt_options_given(&o, "--trace"));
    rt_options_release(&o);
}

static void the_ends_of_the_integers_are_read(void **state)
{
    char low[] = "--shift -9223372036854775808", high[] = "--shift=9223372036854775807";
    struct rt_options o;
    struct rt_err err;

    (void)state;
    assert_ok(parse(low, &o, &err), &err);
    assert_true(rt_options_int(&o, "--shift", 0) == INT64_MIN);
    rt_options_release(&o);
    assert_ok(parse(high, &o, &err), &err);
    assert_true(rt_options_int(&o, "--shift", 0) == INT64_MAX);
    rt_options_release(&o);
}

static void wrong_words_say_what_was_read_and_expected(void **state)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"--max-num-sqs 3", "--max-num-sqs: unknown option, did you mean --max-num-seqs?"},
        {"--max-num-sqs=3", "--max-num-sqs: unknown option, did you mean --max-num-seqs?"},
        {"--frobnicate", "--frobnicate: unknown option, see rooftrace test --help"},
        {"things:=1 --things: 1", "--things:: unknown option"},
        {"-x", "-x: unknown option"},
        {"-oout.db", "-oout.db: unknown option"},
        {"--trace", "--trace: expected a value (FILE)"},
        {"--trace --json", "--trace: expected a value (FILE)"},
        {"--trace=", "--trace: expected FILE, read an empty text"},
        {"--trace _", "--trace: expected FILE, read an empty text"},
        {"-o", "--output: expected a value (FILE)"},
        {"--json=yes", "--json: takes no value, read \"yes\""},
        {"--max-num-seqs 0", "--max-num-seqs: expected an integer from 1 to 1000, read \"0\""},
        {"--max-num-seqs 1001", "read \"1001\""},
        {"--max-num-seqs many", "expected an integer from 1 to 1000, read \"many\""},
        {"--max-num-seqs 1.0", "expected an integer"},
        {"--max-num-seqs +1", "expected an integer"},
        {"--max-num-seqs 0x10", "expected an integer"},
        {"--max-num-seqs=_", "expected an integer"},
        {"--max-num-seqs 99999999999999999999", "expected an integer"},
        {"--shift 9223372036854775808", "expected an integer"},
        {"--shift -", "expected an integer"},
        {"--rate-scale fast", "--rate-scale: expected a number from -5 to 1e+09, read \"fast\""},
        {"--rate-scale nan", "expected a number"},
        {"--rate-scale inf", "expected a number"},
        {"--rate-scale 1e999", "expected a number"},
        {"--rate-scale 0x1p3", "expected a number"},
        {"--rate-scale 1,5", "expected a number"},
        {"--rate-scale -5.0001", "expected a number"},
        {"--rate-scale _", "expected a number"},
        {"--goodput", "--goodput: expected NAME:MS ..., read nothing"},
        {"--goodput 500", "--goodput: expected NAME:MS ..., read \"500\""},
        {"--goodput --json", "--goodput: expected NAME:MS ..., read nothing"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[128];
        struct rt_options o;
        struct rt_err err;
        snprintf(line, sizeof line, "%s", cases[i].line);
        assert_fails(parse(line, &o, &err), &err, RT_EUSAGE, cases[i].message);
        assert_null(o.values);
    }
}

/* A very long unknown word must neither overflow nor fill the line. */
static void a_long_word_is_cut(void **state)
{
    size_t size = (size_t)1 << 20;
    char *word = malloc(size);
    char *argv[1];
    struct rt_options o;
    struct rt_err err = {0};

    (void)state;
    assert_non_null(word);
    memset(word, '-', size - 1);
    word[size - 1] = '\0';
    argv[0] = word;
    assert_false(rt_options_parse(&set, 1, argv, &o, &err));
    assert_int_equal(err.code, RT_EUSAGE);
    assert_true(strlen(err.msg) < 200);
    free(word);
}

static void help_mentions_every_option(void **state)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);

    (void)state;
    assert_non_null(out);
    rt_options_help(&set, out);
    assert_int_equal(fclose(out), 0);
    for (size_t i = 0; i < COUNT; i++)
        assert_non_null(strstr(text, table[i].name));
    assert_non_null(strstr(text, "-o, --output FILE"));
    assert_non_null(strstr(text, "how many\n"));
    assert_non_null(strstr(text, "\n                                and a second line\n"));
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_in_every_spelling),
        cmocka_unit_test(what_is_not_given_has_its_default),
        cmocka_unit_test(the_last_of_several_wins),
        cmocka_unit_test(pairs_add_up),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(the_ends_of_the_integers_are_read),
        cmocka_unit_test(wrong_words_say_what_was_read_and_expected),
        cmocka_unit_test(a_long_word_is_cut),
        cmocka_unit_test(help_mentions_every_option),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
