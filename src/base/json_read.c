/* Readers of JSON values, and the messages about them.
 *
 * Each reader looks its key up, keeps the default when the key is absent, and otherwise either
 * stores a value of the right type and range or fails with path, expectation and what was read.
 * null is a value of the wrong type, not an absent one. Reading a key of something that is not an
 * object fails as well, so that "engine": 5 is not taken for an engine of defaults. */
#include "base_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 48 /* bytes of a string that a message repeats */

/* The last border between UTF-8 characters at or before `at`. */
static size_t text_border(const char *text, size_t at)
{
    while (at > 0 && ((unsigned char)text[at] & 0xC0u) == 0x80u)
        at--;
    return at;
}

static bool plain_key(const char *key)
{
    if (*key == '\0')
        return false;
    for (const char *p = key; *p != '\0'; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
              *p == '_' || *p == '-' || *p == '$'))
            return false;
    return true;
}

/* One step of a path at buf + used; answers the new length, which may pass size as with snprintf.
 */
static size_t path_step(const struct rt_json_at *at, char *buf, size_t size, size_t used)
{
    char *end = used < size ? buf + used : buf;
    size_t room = used < size ? size - used : 0;
    int n;

    if (at->parent == NULL)
        n = snprintf(end, room, "$");
    else if (at->key == NULL)
        n = snprintf(end, room, "[%d]", at->index);
    else if (plain_key(at->key))
        n = snprintf(end, room, ".%s", at->key);
    else
        n = snprintf(end, room, "[\"%s\"]", at->key);
    return n < 0 ? used : used + (size_t)n;
}

const char *rt_json_path(const struct rt_json_at *at, char *buf, size_t size)
{
    size_t depth = 0, used = 0;

    if (size == 0)
        return "";
    for (const struct rt_json_at *p = at->parent; p != NULL; p = p->parent)
        depth++;
    /* From the root down; paths are at most 64 long, so walking up for each step is cheap. */
    for (size_t up = depth + 1; up-- > 0;) {
        const struct rt_json_at *p = at;
        for (size_t i = 0; i < up; i++)
            p = p->parent;
        used = path_step(p, buf, size, used);
    }
    if (used >= size && size > 3)
        memcpy(buf + text_border(buf, size - 4), "...", 4);
    return buf;
}

bool rt_json_fail(const struct rt_json_at *at, struct rt_err *err, const char *fmt, ...)
{
    char path[256];
    char message[sizeof err->msg];
    va_list args;

    va_start(args, fmt);
    vsnprintf(message, sizeof message, fmt, args);
    va_end(args);
    return rt_fail(err, RT_ECONFIG, "%s: %s: %s", at->doc->name,
                   rt_json_path(at, path, sizeof path), message);
}

/* Text in quotes, cut when long. */
static const char *quote(const char *text, char buf[SHOWN + 8])
{
    size_t n = strnlen(text, SHOWN + 1);

    if (n <= SHOWN)
        snprintf(buf, SHOWN + 8, "\"%s\"", text);
    else
        snprintf(buf, SHOWN + 8, "\"%.*s...\"", (int)text_border(text, SHOWN), text);
    return buf;
}

/* What stands at a place, for messages. */
static const char *show(const struct rt_json_at *at, char buf[SHOWN + 8])
{
    switch (rt_json_kind(at)) {
    case RT_JSON_ABSENT:
        return "nothing";
    case RT_JSON_NULL:
        return "null";
    case RT_JSON_BOOL:
        return cJSON_IsTrue(at->node) ? "true" : "false";
    case RT_JSON_NUMBER:
        rt_json_number_text(at->node->valuedouble, buf);
        return buf;
    case RT_JSON_STRING:
        return quote(at->node->valuestring, buf);
    case RT_JSON_ARRAY:
        return "an array";
    case RT_JSON_OBJECT:
        break;
    }
    return "an object";
}

static bool fail_expected(const struct rt_json_at *at, struct rt_err *err, const char *expected)
{
    char shown[SHOWN + 8];

    return rt_json_fail(at, err, "expected %s, read %s", expected, show(at, shown));
}

static const char *kind_text(enum rt_json_kind kind)
{
    switch (kind) {
    case RT_JSON_ABSENT:
        return "nothing";
    case RT_JSON_NULL:
        return "null";
    case RT_JSON_BOOL:
        return "true or false";
    case RT_JSON_NUMBER:
        return "a number";
    case RT_JSON_STRING:
        return "a string";
    case RT_JSON_ARRAY:
        return "an array";
    case RT_JSON_OBJECT:
        break;
    }
    return "an object";
}

bool rt_json_expect(const struct rt_json_at *at, enum rt_json_kind kind, struct rt_err *err)
{
    if (rt_json_kind(at) == kind)
        return true;
    return fail_expected(at, err, kind_text(kind));
}

/* Looks up what a reader reads. An absent parent has absent members. */
static bool member(const struct rt_json_at *at, const char *key, struct rt_json_at *child,
                   struct rt_err *err)
{
    if (at->node != NULL && !rt_json_expect(at, RT_JSON_OBJECT, err))
        return false;
    *child = rt_json_get(at, key);
    return true;
}

/* "an integer from 1 to 8", without the ends that exclude nothing. */
static void describe_range(char *buf, size_t size, const char *what, const char *min,
                           const char *max)
{
    if (min != NULL && max != NULL)
        snprintf(buf, size, "%s from %s to %s", what, min, max);
    else if (min != NULL)
        snprintf(buf, size, "%s, at least %s", what, min);
    else if (max != NULL)
        snprintf(buf, size, "%s, at most %s", what, max);
    else
        snprintf(buf, size, "%s", what);
}

bool rt_json_int(const struct rt_json_at *at, const char *key, int64_t min, int64_t max,
                 int64_t *out, struct rt_err *err)
{
    const double exact = (double)RT_JSON_INTEGER_MAX;
    char expected[96], low[24], high[24];
    struct rt_json_at child;

    if (!member(at, key, &child, err))
        return false;
    if (child.node == NULL)
        return true;
    if (cJSON_IsNumber(child.node)) {
        double value = child.node->valuedouble;
        if (fabs(value) > exact) /* 1e17: its last digits would be made up */
            return fail_expected(&child, err, "an integer within 2^53 (9007199254740992)");
        if (value == floor(value) && (int64_t)value >= min && (int64_t)value <= max) {
            *out = (int64_t)value;
            return true;
        }
    }
    snprintf(low, sizeof low, "%lld", (long long)min);
    snprintf(high, sizeof high, "%lld", (long long)max);
    describe_range(expected, sizeof expected, "an integer", min == INT64_MIN ? NULL : low,
                   max == INT64_MAX ? NULL : high);
    return fail_expected(&child, err, expected);
}

bool rt_json_number(const struct rt_json_at *at, double min, double max, double *out,
                    struct rt_err *err)
{
    char expected[128], low[RT_JSON_NUMBER_TEXT], high[RT_JSON_NUMBER_TEXT];

    if (cJSON_IsNumber(at->node) && at->node->valuedouble >= min && at->node->valuedouble <= max) {
        *out = at->node->valuedouble;
        return true;
    }
    rt_json_number_text(min, low);
    rt_json_number_text(max, high);
    describe_range(expected, sizeof expected, "a number", isinf(min) ? NULL : low,
                   isinf(max) ? NULL : high);
    return fail_expected(at, err, expected);
}

bool rt_json_double(const struct rt_json_at *at, const char *key, double min, double max,
                    double *out, struct rt_err *err)
{
    struct rt_json_at child;

    if (!member(at, key, &child, err))
        return false;
    return child.node == NULL || rt_json_number(&child, min, max, out, err);
}

bool rt_json_bool(const struct rt_json_at *at, const char *key, bool *out, struct rt_err *err)
{
    struct rt_json_at child;

    if (!member(at, key, &child, err))
        return false;
    if (child.node == NULL)
        return true;
    if (!rt_json_expect(&child, RT_JSON_BOOL, err))
        return false;
    *out = cJSON_IsTrue(child.node);
    return true;
}

bool rt_json_string(const struct rt_json_at *at, const char *key, const char **out,
                    struct rt_err *err)
{
    struct rt_json_at child;

    if (!member(at, key, &child, err))
        return false;
    if (child.node == NULL)
        return true;
    if (!rt_json_expect(&child, RT_JSON_STRING, err))
        return false;
    *out = child.node->valuestring;
    return true;
}

bool rt_json_choice(const struct rt_json_at *at, const char *key, const char *const *names,
                    unsigned count, unsigned *out, struct rt_err *err)
{
    char suggestion[300], shown[SHOWN + 8];
    const char *word = NULL;
    struct rt_json_at child = rt_json_get(at, key);

    if (!rt_json_string(at, key, &word, err))
        return false;
    if (word == NULL)
        return true;
    for (unsigned i = 0; i < count; i++)
        if (strcmp(word, names[i]) == 0) {
            *out = i;
            return true;
        }
    return rt_json_fail(&child, err, "unknown name %s, %s", quote(word, shown),
                        rt_suggest(word, names, count, suggestion, sizeof suggestion));
}

bool rt_json_need(const struct rt_json_at *at, const char *key, struct rt_err *err)
{
    struct rt_json_at child;

    if (!member(at, key, &child, err))
        return false;
    return child.node != NULL || rt_json_fail(at, err, "missing key \"%s\"", key);
}

static bool listed(const char *key, const char *const *keys, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

bool rt_json_only(const struct rt_json_at *at, const char *const *keys, unsigned count,
                  struct rt_err *err)
{
    char suggestion[300], shown[SHOWN + 8];

    if (at->node == NULL)
        return true;
    if (!rt_json_expect(at, RT_JSON_OBJECT, err))
        return false;
    for (const cJSON *child = at->node->child; child != NULL; child = child->next)
        if (child->string[0] != '$' && !listed(child->string, keys, count))
            return rt_json_fail(
                at, err, "unknown key %s, %s", quote(child->string, shown),
                rt_suggest(child->string, keys, count, suggestion, sizeof suggestion));
    return true;
}

char *rt_path_beside(const char *base, const char *path)
{
    const char *slash = strrchr(base, '/');
    size_t folder = path[0] == '/' || slash == NULL ? 0 : (size_t)(slash - base) + 1;
    size_t len = strlen(path);
    char *joined = malloc(folder + len + 1);

    if (joined == NULL)
        return NULL;
    memcpy(joined, base, folder);
    memcpy(joined + folder, path, len + 1);
    return joined;
}
