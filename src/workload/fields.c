/* fields.c: what a row of a trace may tell, field by field, whatever the file's format.
 *
 * Every value is checked here: kind, sign, range. Times become nanoseconds exactly where the text
 * has whole ones, else by one IEEE product, rounded half to even. Messages have the form `expected
 * ..., read "..."`; readers put file, line, column and the field's name in front. O(length of the
 * text). */
#include "workload_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* 292.27 years in ns: a whole second more does not fit into int64_t. */
#define MAX_TIME_NS      INT64_C(9223372036000000000)
#define MAX_BLOCK_TOKENS (1 << 20)

static const char *const times[] = {
    [RT_UNIT_S] = "a number of seconds from 0 to 9223372036",
    [RT_UNIT_MS] = "a number of milliseconds from 0 to 9223372036000",
    [RT_UNIT_US] = "a number of microseconds from 0 to 9223372036000000",
    [RT_UNIT_NS] = "a number of nanoseconds from 0 to 9223372036000000000",
    [RT_UNIT_STAMP] = "a time like 2023-11-16 18:15:46.6805900 or 2024-10-15T12:00:00Z",
    [RT_UNIT_STAMP_OR_NS] = "nanoseconds since 1970 or a time like 2024-10-15T12:00:00Z",
};
static const char tokens[] = "a whole number from 0 to 1099511627776";
_Static_assert(RT_MAX_REQUEST_TOKENS == INT64_C(1099511627776), "said in `tokens`");

const char *rt_field_expected(struct rt_field_ref f)
{
    switch (f.field) {
    case RT_FIELD_NONE:
    case RT_FIELD_COUNT:
        return "anything";
    case RT_FIELD_ARRIVAL:
    case RT_FIELD_THINK:
    case RT_FIELD_DEADLINE:
    case RT_FIELD_WAIT_AFTER:
    case RT_FIELD_WAIT_TOO:
        return times[f.unit];
    case RT_FIELD_PROMPT:
    case RT_FIELD_OUTPUT:
    case RT_FIELD_PREFIX:
        return tokens;
    case RT_FIELD_HASH_IDS:
        return "an array of whole numbers from 0 to 18446744073709551615";
    case RT_FIELD_PRIORITY:
        return "a whole number from -2147483648 to 2147483647";
    case RT_FIELD_BLOCK_SIZE:
        return "a whole number from 1 to 1048576";
    case RT_FIELD_SESSION:
        return "a string or a whole number";
    case RT_FIELD_CLASS:
    case RT_FIELD_MODEL:
    case RT_FIELD_TENANT:
    case RT_FIELD_KEY:
    case RT_FIELD_PARENT:
    case RT_FIELD_FAILURE:
    case RT_FIELD_CACHED:
    case RT_FIELD_GROUP:
    case RT_FIELD_KIND:
        break;
    }
    return "a string";
}

bool rt_field_is_text(enum rt_field f)
{
    return (f >= RT_FIELD_CLASS && f <= RT_FIELD_SESSION) || f == RT_FIELD_TENANT ||
           f == RT_FIELD_KEY || f == RT_FIELD_PARENT || f == RT_FIELD_FAILURE ||
           f == RT_FIELD_CACHED || f == RT_FIELD_GROUP || f == RT_FIELD_KIND;
}

void rt_row_clear(struct rt_row *row)
{
    row->r = (struct rt_request){.deadline_ns = RT_NO_DEADLINE, .think_ns = -1};
    row->seen = 0;
    row->prefix_tokens = row->wait_too_ns = row->block_size = 0;
    row->wait_after_ns = -1;
    row->key = row->parent = row->group = 0;
    row->parent_none = row->failed = row->cached = row->left_out = false;
    row->kind[0] = '\0';
}

void rt_row_copy(struct rt_row *to, const struct rt_row *from)
{
    memcpy(to, from, offsetof(struct rt_row, session));
    if (from->r.session != NULL) {
        memcpy(to->session, from->session, strlen(from->session) + 1);
        to->r.session = to->session;
    }
}

static bool fail_expected(const char *what, const char *text, size_t len, struct rt_err *err)
{
    char read[RT_EXCERPT_BYTES];
    return rt_fail(err, RT_ETRACE, "expected %s, read %s", what,
                   len > 0 ? rt_excerpt(text, len, read) : "nothing");
}

static bool take_time(const char *text, size_t len, enum rt_time_unit unit, int64_t *out_ns)
{
    static const int powers[] = {[RT_UNIT_S] = 9,  [RT_UNIT_MS] = 6,    [RT_UNIT_US] = 3,
                                 [RT_UNIT_NS] = 0, [RT_UNIT_STAMP] = 0, [RT_UNIT_STAMP_OR_NS] = 0};
    if (unit >= RT_UNIT_STAMP && rt_stamp_parse(text, len, out_ns))
        return true;
    return unit != RT_UNIT_STAMP &&
           rt_number_scaled(text, len, powers[unit], MAX_TIME_NS, out_ns) == RT_NUMBER_OK;
}

static bool take_tokens(const char *text, size_t len, int64_t *out)
{
    bool negative;
    uint64_t value;
    if (rt_number_whole(text, len, &negative, &value) != RT_NUMBER_OK ||
        value > (uint64_t)RT_MAX_REQUEST_TOKENS || (negative && value > 0))
        return false;
    *out = (int64_t)value;
    return true;
}

static bool take_priority(const char *text, size_t len, int32_t *out)
{
    bool negative;
    uint64_t value;
    if (rt_number_whole(text, len, &negative, &value) != RT_NUMBER_OK ||
        value > (uint64_t)INT32_MAX + (negative ? 1 : 0))
        return false;
    *out = (int32_t)(negative ? -(int64_t)value : (int64_t)value);
    return true;
}

/* Class, model and tenant are names; the previous row's is remembered. */
static bool take_name(struct rt_trace *t, enum rt_field f, const char *text, size_t len,
                      struct rt_request *r, struct rt_err *err)
{
    struct rt_name_memo *memo = &t->memo[f];
    if (memo->text == NULL || memo->len != len || memcmp(memo->text, text, len) != 0) {
        uint32_t index;
        if (!rt_names_add(&t->names, text, len, &index, err))
            return false;
        *memo = (struct rt_name_memo){t->names.by_index[index], len, index};
    }
    uint32_t *name = f == RT_FIELD_CLASS   ? &r->class_name
                     : f == RT_FIELD_MODEL ? &r->model_name
                                           : &r->tenant_name;
    *name = memo->index;
    return true;
}

static bool take_session(const char *text, size_t len, struct rt_row *row, struct rt_err *err)
{
    if (!rt_text_check(text, len, err))
        return false;
    memcpy(row->session, text, len);
    row->session[len] = '\0';
    row->r.session = len > 0 ? row->session : NULL;
    return true;
}

static bool is_word(const char *text, size_t len, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(words[i]) == len && memcmp(words[i], text, len) == 0)
            return true;
    }
    return false;
}
#define IS_WORD(text, len, words) is_word(text, len, words, sizeof(words) / sizeof(words)[0])

/* What logs write when nothing went wrong, or when something is true, or when there is no parent.
 */
static const char *const good_words[] = {
    "",     "ok", "OK",  "success",        "Success",           "completed", "null",
    "None", "0",  "200", "STATUS_CODE_OK", "STATUS_CODE_UNSET", "1"};
static const char *const true_words[] = {"true", "True", "TRUE", "1"};
static const char *const none_words[] = {"", "-1", "null", "None"};

static bool take_block_size(const char *text, size_t len, int64_t *out)
{
    return take_tokens(text, len, out) && *out >= 1 && *out <= MAX_BLOCK_TOKENS;
}

/* What only hooks look at. */
static bool take_other(enum rt_field f, const char *text, size_t len, struct rt_row *row)
{
    size_t kept = len < RT_KIND_MAX ? len : RT_KIND_MAX;
    if (f == RT_FIELD_KEY)
        row->key = rt_hash_text(text, len);
    if (f == RT_FIELD_PARENT) {
        row->parent = rt_hash_text(text, len);
        row->parent_none = IS_WORD(text, len, none_words);
    }
    if (f == RT_FIELD_GROUP)
        row->group = len > 0 ? rt_hash_text(text, len) : 0;
    if (f == RT_FIELD_FAILURE)
        row->failed = !IS_WORD(text, len, good_words);
    if (f == RT_FIELD_CACHED)
        row->cached = IS_WORD(text, len, true_words);
    if (f == RT_FIELD_KIND) {
        memcpy(row->kind, text, kept);
        row->kind[kept] = '\0';
    }
    return true;
}

static bool take(struct rt_field_ref f, const char *text, size_t len, struct rt_row *row)
{
    struct rt_request *r = &row->r;
    switch (f.field) {
    case RT_FIELD_ARRIVAL:
        return take_time(text, len, f.unit, &r->arrival_ns);
    case RT_FIELD_THINK:
        return take_time(text, len, f.unit, &r->think_ns);
    case RT_FIELD_DEADLINE:
        return take_time(text, len, f.unit, &r->deadline_ns);
    case RT_FIELD_WAIT_AFTER:
        return take_time(text, len, f.unit, &row->wait_after_ns);
    case RT_FIELD_WAIT_TOO:
        return take_time(text, len, f.unit, &row->wait_too_ns);
    case RT_FIELD_PROMPT:
        return take_tokens(text, len, &r->prompt_tokens);
    case RT_FIELD_OUTPUT:
        return take_tokens(text, len, &r->output_tokens);
    case RT_FIELD_PREFIX:
        return take_tokens(text, len, &row->prefix_tokens);
    case RT_FIELD_PRIORITY:
        return take_priority(text, len, &r->priority);
    case RT_FIELD_BLOCK_SIZE:
        return take_block_size(text, len, &row->block_size);
    case RT_FIELD_KEY:
    case RT_FIELD_PARENT:
    case RT_FIELD_GROUP:
    case RT_FIELD_FAILURE:
    case RT_FIELD_CACHED:
    case RT_FIELD_KIND:
        return take_other(f.field, text, len, row);
    case RT_FIELD_NONE:
    case RT_FIELD_HASH_IDS: /* an array: the JSON reader takes it id by id */
    case RT_FIELD_CLASS:    /* names are the caller's business */
    case RT_FIELD_MODEL:
    case RT_FIELD_SESSION:
    case RT_FIELD_TENANT:
    case RT_FIELD_COUNT:
        break;
    }
    assert(false && "a field that has no text");
    return false;
}

bool rt_field_set(struct rt_trace *t, struct rt_field_ref f, const char *text, size_t len,
                  struct rt_row *row, struct rt_err *err)
{
    row->seen |= RT_BIT(f.field);
    if (f.field == RT_FIELD_SESSION)
        return take_session(text, len, row, err);
    if (f.field == RT_FIELD_CLASS || f.field == RT_FIELD_MODEL || f.field == RT_FIELD_TENANT)
        return take_name(t, f.field, text, len, &row->r, err);
    return take(f, text, len, row) || fail_expected(rt_field_expected(f), text, len, err);
}

bool rt_field_session_number(const char *text, size_t len, struct rt_row *row, struct rt_err *err)
{
    bool negative = false;
    uint64_t value = 0;
    if (rt_number_whole(text, len, &negative, &value) != RT_NUMBER_OK ||
        (negative && value > (uint64_t)INT64_MAX + 1))
        return fail_expected("a string or a whole number from -9223372036854775808 to "
                             "18446744073709551615",
                             text, len, err);
    (void)snprintf(row->session, sizeof row->session, "%s%" PRIu64,
                   negative && value > 0 ? "-" : "", value);
    row->r.session = row->session;
    row->seen |= RT_BIT(RT_FIELD_SESSION);
    return true;
}

bool rt_field_hash_id(const char *text, size_t len, uint64_t *out, struct rt_err *err)
{
    bool negative;
    if (rt_number_whole(text, len, &negative, out) != RT_NUMBER_OK || (negative && *out > 0))
        return fail_expected("a whole number from 0 to 18446744073709551615", text, len, err);
    return true;
}
