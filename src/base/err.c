/* Errors with context, and "did you mean".
 *
 * A message is formatted into a buffer of its own and copied, so the arguments may point into the
 * error that is being rewritten. Names and values quoted from input files may hold anything:
 * control characters become spaces, so that a message stays one line. A message that is too long
 * is cut at a character's border and ends in "...". Nothing here allocates or fails. O(length). */
#include "rooftrace/err.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Longer words get no suggestion: no name of ours comes near, and the cost stays bounded. */
#define WORD_MAX 128u

/* Ends `text` (of `size` bytes, full) in "...", at a border of UTF-8 characters. */
static void cut(char *text, size_t size)
{
    static const char dots[] = "...";
    size_t at = size > sizeof dots ? size - sizeof dots : 0;

    while (at > 0 && ((unsigned char)text[at] & 0xC0u) == 0x80u) /* a continuation byte */
        at--;
    for (size_t i = 0; i < sizeof dots && at + i + 1 < size; i++)
        text[at + i] = dots[i];
    text[at + 3 < size ? at + 3 : size - 1] = '\0';
}

/* vsnprintf that marks a cut, for texts shown to people. */
static void format(char *buf, size_t size, const char *fmt, va_list args) RT_PRINTF(3, 0);

static void format(char *buf, size_t size, const char *fmt, va_list args)
{
    int want = vsnprintf(buf, size, fmt, args);

    if (want < 0)
        snprintf(buf, size, "(message could not be formatted)");
    else if ((size_t)want >= size)
        cut(buf, size);
    for (char *p = buf; *p != '\0'; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7F)
            *p = ' ';
}

bool rt_fail(struct rt_err *err, enum rt_code code, const char *fmt, ...)
{
    char msg[sizeof err->msg];
    va_list args;

    assert(err != NULL && code != RT_OK);
    va_start(args, fmt);
    format(msg, sizeof msg, fmt, args);
    va_end(args);
    err->code = code;
    memcpy(err->msg, msg, sizeof msg);
    return false;
}

bool rt_fail_in(struct rt_err *err, const char *fmt, ...)
{
    char context[sizeof err->msg];
    char msg[sizeof err->msg];
    va_list args;
    int want;

    assert(err != NULL);
    va_start(args, fmt);
    format(context, sizeof context, fmt, args);
    va_end(args);
    want = snprintf(msg, sizeof msg, "%s: %s", context, err->msg);
    if (want < 0 || (size_t)want >= sizeof msg)
        cut(msg, sizeof msg);
    memcpy(err->msg, msg, sizeof msg);
    return false;
}

void rt_say_nomem(struct rt_err *err, const char *what)
{
    (void)rt_fail(err, RT_ENOMEM, "out of memory: %s", what);
}

static const struct {
    int exit_status;
    const char *text;
} codes[] = {
#define X(name, exit_status, text) {exit_status, text},
    RT_CODES(X)
#undef X
};

const char *rt_code_text(enum rt_code code)
{
    assert((size_t)code < sizeof codes / sizeof codes[0]);
    return codes[code].text;
}

int rt_code_exit_status(enum rt_code code)
{
    assert((size_t)code < sizeof codes / sizeof codes[0]);
    return codes[code].exit_status;
}

/* ASCII only: names of ours are ASCII, and the C library's tolower follows the locale. */
static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Levenshtein distance without regard to case, by one row of the table. Lengths <= WORD_MAX.
 * row[j] = distance of the first i letters of a to the first j letters of b. O(an * bn). */
static unsigned distance(const char *a, unsigned an, const char *b, unsigned bn)
{
    unsigned row[WORD_MAX + 1];

    assert(an <= WORD_MAX && bn <= WORD_MAX);
    for (unsigned j = 0; j <= bn; j++)
        row[j] = j;
    for (unsigned i = 1; i <= an; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= bn; j++) {
            unsigned change = diagonal + (lower(a[i - 1]) != lower(b[j - 1]));
            diagonal = row[j];
            row[j] = least(change, least(row[j], row[j - 1]) + 1);
        }
    }
    return row[bn];
}

const char *rt_nearest(const char *word, const char *const *names, unsigned count)
{
    unsigned len = (unsigned)strnlen(word, WORD_MAX + 1);
    unsigned limit = len / 3 > 2 ? len / 3 : 2;
    unsigned best = limit + 1;
    const char *nearest = NULL;

    if (len > WORD_MAX)
        return NULL;
    for (unsigned i = 0; i < count; i++) {
        unsigned n = (unsigned)strnlen(names[i], WORD_MAX + 1);
        unsigned d;
        if (n > WORD_MAX || n > len + limit || len > n + limit)
            continue;
        d = distance(word, len, names[i], n);
        /* A distance of the whole length means that not one letter stands. */
        if (d < best && d < (len > n ? len : n)) {
            best = d;
            nearest = names[i];
        }
    }
    return nearest;
}

/* Appends text at *used; false when it did not fit and the end was cut. */
static bool append(char *buf, size_t size, size_t *used, const char *text)
{
    size_t n = strlen(text);
    size_t room = size - 1 - *used;

    memcpy(buf + *used, text, n < room ? n : room);
    *used += n < room ? n : room;
    buf[*used] = '\0';
    if (n > room)
        cut(buf, size);
    return n <= room;
}

const char *rt_suggest(const char *word, const char *const *names, unsigned count, char *buf,
                       unsigned size)
{
    const char *nearest = rt_nearest(word, names, count);
    size_t used = 0;

    if (size == 0)
        return "";
    buf[0] = '\0';
    if (nearest != NULL) {
        if (append(buf, size, &used, "did you mean \"") && append(buf, size, &used, nearest))
            append(buf, size, &used, "\"?");
    } else if (count == 0) {
        append(buf, size, &used, "no name is known here");
    } else {
        append(buf, size, &used, "one of ");
        for (unsigned i = 0; i < count; i++)
            if ((i > 0 && !append(buf, size, &used, ", ")) || !append(buf, size, &used, names[i]))
                break;
    }
    return buf;
}
