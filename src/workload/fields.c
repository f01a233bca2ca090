/* fields.c: what a row of a trace may tell, field by field, whatever the file's format.
 *
 * Every value is checked here: kind, sign, range. Times become nanoseconds by one IEEE product,
 * rounded half to even (llrint in the default rounding mode), which is what `round(x * 1e9)` gives
 * in Python. Messages have the form `expected ..., read "..."`; readers put file, line, column and
 * the field's name in front. O(length of the text). */
#include "workload_internal.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* 292.27 years: nothing above fits into int64_t nanoseconds. */
#define MAX_TIME_S  9223372036.0
#define MAX_TIME_MS 9223372036000.0

static const char *const expected[RT_FIELD_COUNT] = {
    [RT_FIELD_NONE] = "anything",
    [RT_FIELD_ARRIVAL_S] = "a number of seconds from 0 to 9223372036",
    [RT_FIELD_ARRIVAL_MS] = "a number of milliseconds from 0 to 9223372036000",
    [RT_FIELD_ARRIVAL_STAMP] = "a time like 2023-11-16 18:15:46.6805900 or 2024-10-15T12:00:00Z",
    [RT_FIELD_PROMPT] = "a whole number from 0 to 1099511627776",
    [RT_FIELD_OUTPUT] = "a whole number from 0 to 1099511627776",
    [RT_FIELD_HASH_IDS] = "an array of whole numbers from 0 to 18446744073709551615",
    [RT_FIELD_CLASS] = "a string",
    [RT_FIELD_MODEL] = "a string",
    [RT_FIELD_SESSION] = "a string or a whole number",
    [RT_FIELD_THINK_S] = "a number of seconds from 0 to 9223372036",
    [RT_FIELD_PRIORITY] = "a whole number from -2147483648 to 2147483647",
    [RT_FIELD_DEADLINE_S] = "a number of seconds from 0 to 9223372036",
    [RT_FIELD_TENANT] = "a string",
};
_Static_assert(RT_MAX_REQUEST_TOKENS == INT64_C(1099511627776), "said in `expected`");

const char *rt_field_expected(enum rt_field f)
{
    return expected[f];
}

bool rt_field_is_text(enum rt_field f)
{
    return f == RT_FIELD_CLASS || f == RT_FIELD_MODEL || f == RT_FIELD_TENANT ||
           f == RT_FIELD_SESSION;
}

void rt_request_clear(struct rt_request *r)
{
    *r = (struct rt_request){.deadline_ns = RT_NO_DEADLINE, .think_ns = -1};
}

static bool fail_expected(const char *what, const char *text, size_t len, struct rt_err *err)
{
    char read[RT_EXCERPT_BYTES];
    return rt_fail(err, RT_ETRACE, "expected %s, read %s", what,
                   len > 0 ? rt_excerpt(text, len, read) : "nothing");
}

/* value * ns_per_unit, rounded to ns; 0 <= value <= max. */
static bool take_time(const char *text, size_t len, double max, double ns_per_unit, int64_t *out)
{
    double value;
    if (rt_number_double(text, len, &value) != RT_NUMBER_OK || !(value >= 0 && value <= max))
        return false;
    *out = llrint(value * ns_per_unit);
    return true;
}

static bool take_seconds(const char *text, size_t len, int64_t *out_ns)
{
    return take_time(text, len, MAX_TIME_S, 1e9, out_ns);
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

static bool take_session(struct rt_trace *t, const char *text, size_t len, struct rt_request *r,
                         struct rt_err *err)
{
    if (!rt_text_check(text, len, err))
        return false;
    memcpy(t->session, text, len);
    t->session[len] = '\0';
    r->session = len > 0 ? t->session : NULL;
    return true;
}

bool rt_field_set(struct rt_trace *t, enum rt_field f, const char *text, size_t len,
                  struct rt_request *r, struct rt_err *err)
{
    bool ok = false;
    switch (f) {
    case RT_FIELD_ARRIVAL_S:
        ok = take_seconds(text, len, &r->arrival_ns);
        break;
    case RT_FIELD_ARRIVAL_MS:
        ok = take_time(text, len, MAX_TIME_MS, 1e6, &r->arrival_ns);
        break;
    case RT_FIELD_ARRIVAL_STAMP:
        ok = rt_stamp_parse(text, len, &r->arrival_ns);
        break;
    case RT_FIELD_PROMPT:
        ok = take_tokens(text, len, &r->prompt_tokens);
        break;
    case RT_FIELD_OUTPUT:
        ok = take_tokens(text, len, &r->output_tokens);
        break;
    case RT_FIELD_THINK_S:
        ok = take_seconds(text, len, &r->think_ns);
        break;
    case RT_FIELD_DEADLINE_S:
        ok = take_seconds(text, len, &r->deadline_ns);
        break;
    case RT_FIELD_PRIORITY:
        ok = take_priority(text, len, &r->priority);
        break;
    case RT_FIELD_CLASS:
    case RT_FIELD_MODEL:
    case RT_FIELD_TENANT:
        return take_name(t, f, text, len, r, err);
    case RT_FIELD_SESSION:
        return take_session(t, text, len, r, err);
    case RT_FIELD_NONE:
    case RT_FIELD_HASH_IDS: /* an array: the JSON reader takes it id by id */
    case RT_FIELD_COUNT:
        assert(false && "a field that has no text");
        return fail_expected("no such field", text, len, err);
    }
    return ok || fail_expected(expected[f], text, len, err);
}

bool rt_field_session_number(struct rt_trace *t, const char *text, size_t len, struct rt_request *r,
                             struct rt_err *err)
{
    bool negative = false;
    uint64_t value = 0;
    if (rt_number_whole(text, len, &negative, &value) != RT_NUMBER_OK ||
        (negative && value > (uint64_t)INT64_MAX + 1))
        return fail_expected("a string or a whole number from -9223372036854775808 to "
                             "18446744073709551615",
                             text, len, err);
    (void)snprintf(t->session, sizeof t->session, "%s%" PRIu64, negative && value > 0 ? "-" : "",
                   value);
    r->session = t->session;
    return true;
}

bool rt_field_hash_id(const char *text, size_t len, uint64_t *out, struct rt_err *err)
{
    bool negative;
    if (rt_number_whole(text, len, &negative, out) != RT_NUMBER_OK || (negative && *out > 0))
        return fail_expected("a whole number from 0 to 18446744073709551615", text, len, err);
    return true;
}
