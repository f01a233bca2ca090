/* Errors: codes, context, cutting at the buffer's end, suggestions against a naive edit distance.
 */
#include "support/test.h"

#include "rooftrace/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CAPACITY (sizeof((struct rt_err *)0)->msg)

static void fail_fills_code_and_message(void **state)
{
    struct rt_err err = {0};

    (void)state;
    assert_false(rt_fail(&err, RT_ETRACE, "line %d: \"%s\"", 17, "abc"));
    assert_int_equal(err.code, RT_ETRACE);
    assert_string_equal(err.msg, "line 17: \"abc\"");
    assert_false(rt_fail_nomem(&err, "blocks"));
    assert_int_equal(err.code, RT_ENOMEM);
    assert_non_null(strstr(err.msg, "blocks"));
}

static void context_goes_in_front_and_keeps_the_code(void **state)
{
    struct rt_err err = {0};

    (void)state;
    rt_fail(&err, RT_EDB, "disk full");
    assert_false(rt_fail_in(&err, "%s:%d", "a.csv", 3));
    assert_false(rt_fail_in(&err, "run"));
    assert_int_equal(err.code, RT_EDB);
    assert_string_equal(err.msg, "run: a.csv:3: disk full");
}

static void arguments_may_point_into_the_error(void **state)
{
    struct rt_err err = {0};

    (void)state;
    rt_fail(&err, RT_EIO, "first");
    rt_fail(&err, RT_EDB, "again: %s", err.msg);
    assert_string_equal(err.msg, "again: first");
    rt_fail_in(&err, "%s", err.msg);
    assert_string_equal(err.msg, "again: first: again: first");
}

static void a_message_stays_one_line(void **state)
{
    struct rt_err err = {0};

    (void)state;
    rt_fail(&err, RT_ETRACE, "read \"%s\"", "a\nb\tc\x1b[31m\x7f");
    assert_string_equal(err.msg, "read \"a b c [31m \"");
}

/* Lengths around the buffer's size, in every combination of context and message. */
static void long_messages_are_cut_with_dots(void **state)
{
    char text[2 * CAPACITY];

    (void)state;
    for (size_t n = 0; n < sizeof text; n++) {
        struct rt_err err = {0};
        memset(text, 'x', n);
        text[n] = '\0';
        rt_fail(&err, RT_EIO, "%s", text);
        if (n < CAPACITY) {
            assert_string_equal(err.msg, text);
        } else {
            assert_int_equal(strlen(err.msg), CAPACITY - 1);
            assert_string_equal(err.msg + CAPACITY - 4, "...");
        }
        rt_fail(&err, RT_EIO, "tail");
        rt_fail_in(&err, "%s", text);
        assert_true(strlen(err.msg) == (n + 6 < CAPACITY ? n + 6 : CAPACITY - 1));
        assert_string_equal(err.msg + strlen(err.msg) - 3, n + 6 < CAPACITY ? "ail" : "...");
        assert_int_equal(err.code, RT_EIO);
    }
}

/* Cutting two-, three- and four-byte characters anywhere leaves whole characters. */
static void cuts_do_not_split_characters(void **state)
{
    static const char *const characters[] = {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};

    (void)state;
    for (size_t c = 0; c < 3; c++)
        for (size_t shift = 0; shift < 4; shift++) {
            char text[2 * CAPACITY] = "aaaa";
            struct rt_err err = {0};
            size_t width = strlen(characters[c]), n = shift, end;
            while (n + width < sizeof text) {
                memcpy(text + n, characters[c], width);
                n += width;
            }
            text[n] = '\0';
            rt_fail(&err, RT_EIO, "%s", text);
            end = strlen(err.msg);
            assert_true(end < CAPACITY && end >= CAPACITY - 5);
            assert_string_equal(err.msg + end - 3, "...");
            assert_int_equal((end - 3 - shift) % width, 0);
        }
}

static void every_code_has_text_and_exit_status(void **state)
{
    (void)state;
    assert_int_equal(rt_code_exit_status(RT_OK), 0);
    assert_int_equal(rt_code_exit_status(RT_EIO), 1);
    assert_int_equal(rt_code_exit_status(RT_ECONFIG), 2);
    assert_int_equal(rt_code_exit_status(RT_EUSAGE), 2);
    assert_int_equal(rt_code_exit_status(RT_EINTR), 130);
    assert_string_equal(rt_code_text(RT_ENOMEM), "out of memory");
    assert_string_equal(rt_code_text(RT_EINTR), "interrupted");
}

static const char *const routers[] = {"round_robin", "least_requests", "least_kv", "random"};

static void nearest_finds_slips_and_nothing_far(void **state)
{
    (void)state;
    assert_string_equal(rt_nearest("least-kv", routers, 4), "least_kv");
    assert_string_equal(rt_nearest("LEAST_KV", routers, 4), "least_kv");
    assert_string_equal(rt_nearest("roundrobin", routers, 4), "round_robin");
    assert_string_equal(rt_nearest("least_request", routers, 4), "least_requests");
    assert_null(rt_nearest("prefix", routers, 4));
    assert_null(rt_nearest("", routers, 4));
    assert_null(rt_nearest("random", routers, 0));
}

static void nearest_is_safe_for_long_words(void **state)
{
    size_t n = (size_t)1 << 20;
    char *word = malloc(n + 1);
    const char *names[] = {"kv", word};

    (void)state;
    assert_non_null(word);
    memset(word, 'k', n);
    word[n] = '\0';
    assert_null(rt_nearest(word, names, 2));
    assert_string_equal(rt_nearest("kw", names, 2), "kv");
    word[128] = '\0';
    assert_ptr_equal(rt_nearest(word, names, 2), word);
    free(word);
}

/* Edit distance by its definition, exponential; for words of at most six letters. */
static unsigned naive_distance(const char *a, const char *b)
{
    unsigned best, d;

    if (*a == '\0' || *b == '\0')
        return (unsigned)(strlen(a) + strlen(b));
    best = naive_distance(a + 1, b + 1) + ((*a | 0x20) != (*b | 0x20));
    d = naive_distance(a + 1, b) + 1;
    best = d < best ? d : best;
    d = naive_distance(a, b + 1) + 1;
    return d < best ? d : best;
}

static void random_word(struct rt_rng *r, char word[8])
{
    size_t n = rt_rng_below(r, 7);

    for (size_t i = 0; i < n; i++)
        word[i] = "abcABC"[rt_rng_below(r, 6)];
    word[n] = '\0';
}

static void nearest_agrees_with_the_naive_distance(void **state)
{
    struct rt_rng r;

    (void)state;
    rt_rng_init(&r, 20240611, RT_RNG_TOOLS, 0);
    for (int round = 0; round < 1000; round++) {
        char words[4][8], word[8];
        const char *names[4];
        const char *want = NULL;
        unsigned best = 3;
        random_word(&r, word);
        for (int i = 0; i < 4; i++) {
            size_t longer;
            unsigned d;
            random_word(&r, words[i]);
            names[i] = words[i];
            longer = strlen(word) > strlen(words[i]) ? strlen(word) : strlen(words[i]);
            d = naive_distance(word, words[i]);
            if (d < best && d < longer) {
                best = d;
                want = names[i];
            }
        }
        /* Words of up to six letters have the limit 2. Equal words have distance 0 < length. */
        assert_ptr_equal(rt_nearest(word, names, 4), want);
    }
}

static void suggest_names_the_nearest_or_all(void **state)
{
    char buf[128];

    (void)state;
    assert_ptr_equal(rt_suggest("least_kw", routers, 4, buf, sizeof buf), buf);
    assert_string_equal(buf, "did you mean \"least_kv\"?");
    rt_suggest("x", routers, 4, buf, sizeof buf);
    assert_string_equal(buf, "one of round_robin, least_requests, least_kv, random");
    rt_suggest("x", routers, 1, buf, sizeof buf);
    assert_string_equal(buf, "one of round_robin");
    rt_suggest("x", routers, 0, buf, sizeof buf);
    assert_true(strlen(buf) > 0);
}

/* Any size: always terminated within the buffer, a prefix of the whole, dots when cut. */
static void suggest_fits_any_buffer(void **state)
{
    static const char *const words[] = {"x", "least_kw"};

    (void)state;
    for (size_t w = 0; w < 2; w++) {
        char whole[128];
        rt_suggest(words[w], routers, 4, whole, sizeof whole);
        for (unsigned size = 1; size <= sizeof whole; size++) {
            char *buf = malloc(size); /* exactly: asan sees a byte too many */
            assert_non_null(buf);
            rt_suggest(words[w], routers, 4, buf, size);
            if (size > strlen(whole)) {
                assert_string_equal(buf, whole);
            } else {
                assert_int_equal(strlen(buf), size - 1);
                if (size > 4) {
                    assert_string_equal(buf + size - 4, "...");
                    assert_memory_equal(buf, whole, size - 4);
                }
            }
            free(buf);
        }
    }
    assert_string_equal(rt_suggest("x", routers, 4, NULL, 0), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_fills_code_and_message),
        cmocka_unit_test(context_goes_in_front_and_keeps_the_code),
        cmocka_unit_test(arguments_may_point_into_the_error),
        cmocka_unit_test(a_message_stays_one_line),
        cmocka_unit_test(long_messages_are_cut_with_dots),
        cmocka_unit_test(cuts_do_not_split_characters),
        cmocka_unit_test(every_code_has_text_and_exit_status),
        cmocka_unit_test(nearest_finds_slips_and_nothing_far),
        cmocka_unit_test(nearest_is_safe_for_long_words),
        cmocka_unit_test(nearest_agrees_with_the_naive_distance),
        cmocka_unit_test(suggest_names_the_nearest_or_all),
        cmocka_unit_test(suggest_fits_any_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
