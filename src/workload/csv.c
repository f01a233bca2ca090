/* csv.c: records of comma-separated fields (RFC 4180), split in place.
 *
 * A field that begins with a quote ends at the next single quote; two quotes inside stand for one,
 * and commas and line breaks inside belong to it. A quote anywhere else is an ordinary character.
 * Blank lines are no records. Fields point into the line reader's buffer and stay valid until the
 * next record. Failure: a quote that is never closed, text behind a closing quote, too many fields.
 * Cost: O(bytes), no allocation once the widest record was seen. */
#include "workload_internal.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_FIELDS 16u

void rt_csv_release(struct rt_csv *c)
{
    free(c->fields);
    *c = (struct rt_csv){.lines = NULL};
}

static struct rt_csv_field *add_field(struct rt_csv *c, struct rt_err *err)
{
    if (c->count == RT_CSV_MAX_FIELDS) {
        (void)rt_fail(err, RT_ETRACE, "expected at most %u fields, read more", RT_CSV_MAX_FIELDS);
        (void)rt_lines_fail_in(c->lines, 0, err);
        return NULL;
    }
    if (c->count == c->capacity) {
        uint32_t capacity = c->capacity == 0 ? FIRST_FIELDS : c->capacity * 2;
        struct rt_csv_field *fields = realloc(c->fields, capacity * sizeof *fields);
        if (fields == NULL) {
            (void)rt_fail_nomem(err, "fields of a record");
            return NULL;
        }
        c->fields = fields;
        c->capacity = capacity;
    }
    return &c->fields[c->count++];
}

/* Adds lines to the record until a quote is in text[at..), moves to behind it. */
static bool find_quote(struct rt_csv *c, size_t opened, size_t *at, struct rt_err *err)
{
    struct rt_lines *l = c->lines;
    for (;;) {
        const char *quote = memchr(l->text + *at, '"', l->len - *at);
        if (quote != NULL) {
            *at = (size_t)(quote - l->text) + 1;
            return true;
        }
        *at = l->len;
        int more = rt_lines_extend(l, err);
        if (more < 0)
            return false;
        if (more == 0) {
            (void)rt_fail(err, RT_ETRACE, "expected a closing quote, read the end of the file");
            return rt_lines_fail_in(l, opened, err);
        }
    }
}

/* The quoted field whose quote stands at `at`; returns where the comma or the end must be. */
static bool take_quoted(struct rt_csv *c, size_t *at, struct rt_csv_field *out, struct rt_err *err)
{
    struct rt_lines *l = c->lines;
    size_t opened = *at, length = 0;
    size_t piece = ++*at; /* what is between two quotes moves to the front */
    for (;;) {
        if (!find_quote(c, opened, at, err))
            return false;
        memmove(l->text + opened + 1 + length, l->text + piece, *at - 1 - piece);
        length += *at - 1 - piece;
        if (*at >= l->len || l->text[*at] != '"')
            break;
        l->text[opened + 1 + length++] = '"';
        piece = ++*at;
    }
    /* What is left over would count as line ends in messages. */
    memset(l->text + opened + 1 + length, '"', *at - (opened + 1 + length));
    if (*at < l->len && l->text[*at] != ',') {
        (void)rt_fail(err, RT_ETRACE, "expected a comma behind the closing quote, read '%c'",
                      l->text[*at]);
        return rt_lines_fail_in(l, *at, err);
    }
    *out = (struct rt_csv_field){.len = length, .offset = opened + 1};
    return true;
}

static size_t end_of_plain(const struct rt_lines *l, size_t at)
{
    const char *p = l->text + at, *end = l->text + l->len;
    while (p < end && *p != ',')
        p++;
    return (size_t)(p - l->text);
}

static bool split(struct rt_csv *c, struct rt_err *err)
{
    struct rt_lines *l = c->lines;
    size_t at = 0;
    c->count = 0;
    for (;;) {
        struct rt_csv_field *f = add_field(c, err);
        if (f == NULL)
            return false;
        if (at < l->len && l->text[at] == '"') {
            if (!take_quoted(c, &at, f, err))
                return false;
        } else {
            size_t end = end_of_plain(l, at);
            *f = (struct rt_csv_field){.len = end - at, .offset = at};
            at = end;
        }
        if (at >= l->len)
            break;
        at++; /* the comma */
    }
    /* Only now: a record of several lines may have moved while it was read. */
    for (uint32_t i = 0; i < c->count; i++)
        c->fields[i].text = l->text + c->fields[i].offset;
    return true;
}

int rt_csv_next(struct rt_csv *c, struct rt_err *err)
{
    int found;
    do {
        found = rt_lines_next(c->lines, err);
        if (found <= 0)
            return found;
    } while (rt_line_is_blank(c->lines->text, c->lines->len));
    return split(c, err) ? 1 : -1;
}
