/* line_reader.c: numbered lines of a byte stream.
 *
 * One buffer holds the current line and what was read ahead; lines are found with memchr and never
 * copied, except the one that crosses the end of the buffer, which moves to its front. Lines end in
 * LF or CR LF; the last one needs no end; a UTF-8 byte order mark before the first is skipped. The
 * buffer grows from 256 KiB to the longest line, at most 64 MiB: beyond that, and for a line with a
 * NUL byte (a binary file), there is an error.
 * Cost: O(bytes), one memchr for the line ends and one for NULs. */
#include "workload_internal.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY (256u << 10)
#define PEEK_BYTES     ((size_t)64 << 10)
#define MAX_CAPACITY   ((size_t)RT_TRACE_MAX_LINE_BYTES + FIRST_CAPACITY)

static void reset(struct rt_lines *l)
{
    l->start = l->next = l->end = 0;
    l->number = 0;
    l->height = 1;
    l->at_end = l->has_nul = l->pushed_back = false;
    l->text = l->buf;
    l->len = 0;
}

bool rt_lines_open(const char *path, struct rt_lines *l, struct rt_err *err)
{
    *l = (struct rt_lines){.path = strcmp(path, "-") == 0 ? "standard input" : path,
                           .capacity = FIRST_CAPACITY};
    if (!rt_bytes_open(path, &l->bytes, err))
        return rt_fail_in(err, "%s", l->path);
    l->buf = malloc(l->capacity + 1);
    if (l->buf == NULL) {
        rt_lines_close(l);
        return rt_fail_nomem(err, "lines of a trace");
    }
    reset(l);
    return true;
}

void rt_lines_close(struct rt_lines *l)
{
    rt_bytes_free(l->bytes);
    free(l->buf);
    *l = (struct rt_lines){.path = NULL};
}

/* Room behind what is read: first by moving the current line to the front, then by growing. */
static bool make_room(struct rt_lines *l, struct rt_err *err)
{
    if (l->start > 0) {
        memmove(l->buf, l->buf + l->start, l->end - l->start);
        l->end -= l->start;
        l->next -= l->start;
        l->start = 0;
    }
    if (l->end < l->capacity)
        return true;
    size_t capacity = l->capacity * 2 < MAX_CAPACITY ? l->capacity * 2 : MAX_CAPACITY;
    char *buf = realloc(l->buf, capacity + 1);
    if (buf == NULL)
        return rt_fail_nomem(err, "a long line of a trace");
    l->buf = buf;
    l->capacity = capacity;
    return true;
}

static bool fail_long(const struct rt_lines *l, struct rt_err *err)
{
    (void)rt_fail(err, RT_ETRACE, "expected a line of at most %u MiB, read a longer one",
                  RT_TRACE_MAX_LINE_BYTES >> 20);
    return rt_lines_fail_in(l, 0, err);
}

/* Reads more behind the current line, which has no end yet. Callers look at at_end afterwards. */
static bool refill(struct rt_lines *l, struct rt_err *err)
{
    l->text = l->buf + l->start;
    if (l->end - l->start > (size_t)RT_TRACE_MAX_LINE_BYTES + 1) /* 1: a CR */
        return fail_long(l, err);
    if (!make_room(l, err))
        return false;
    size_t got;
    if (!rt_bytes_read(l->bytes, l->buf + l->end, l->capacity - l->end, &got, err))
        return rt_fail_in(err, "%s:%llu", l->path, (unsigned long long)l->number);
    if (got == 0)
        l->at_end = true;
    if (!l->has_nul && memchr(l->buf + l->end, '\0', got) != NULL)
        l->has_nul = true; /* somewhere: each line looks for itself from now on */
    l->end += got;
    return true;
}

static bool check_text(const struct rt_lines *l, struct rt_err *err)
{
    const char *nul = l->has_nul ? memchr(l->text, '\0', l->len) : NULL;
    if (nul == NULL)
        return true;
    (void)rt_fail(err, RT_ETRACE, "expected text, read a NUL byte (is this a binary file?)");
    return rt_lines_fail_in(l, (size_t)(nul - l->text), err);
}

static void skip_byte_order_mark(struct rt_lines *l)
{
    if (l->number == 1 && l->len >= 3 && memcmp(l->text, "\xef\xbb\xbf", 3) == 0) {
        l->text += 3;
        l->len -= 3;
        l->start += 3;
    }
}

/* Ends the current line at the first LF from l->next on. 1, 0 (no byte was left), -1. */
static int find_end(struct rt_lines *l, struct rt_err *err)
{
    size_t scanned = l->next;
    const char *lf;
    while ((lf = memchr(l->buf + scanned, '\n', l->end - scanned)) == NULL && !l->at_end) {
        size_t behind = l->end - l->start;
        if (!refill(l, err))
            return -1;
        scanned = l->start + behind;
    }
    if (lf == NULL && l->next == l->end)
        return 0;
    size_t stop = lf != NULL ? (size_t)(lf - l->buf) : l->end;
    l->next = lf != NULL ? stop + 1 : stop;
    l->buf[stop] = '\n'; /* so that a number at the end of the file ends there, too */
    l->text = l->buf + l->start;
    l->len = stop - l->start;
    if (l->len > 0 && l->text[l->len - 1] == '\r')
        l->len--;
    if (l->len > RT_TRACE_MAX_LINE_BYTES) {
        (void)fail_long(l, err);
        return -1;
    }
    return 1;
}

int rt_lines_next(struct rt_lines *l, struct rt_err *err)
{
    if (l->pushed_back) {
        l->pushed_back = false;
        return 1;
    }
    l->number += l->height;
    l->height = 1;
    l->start = l->next;
    int found = find_end(l, err);
    if (found <= 0)
        return found;
    skip_byte_order_mark(l);
    return check_text(l, err) ? 1 : -1;
}

int rt_lines_extend(struct rt_lines *l, struct rt_err *err)
{
    int found = find_end(l, err);
    if (found <= 0)
        return found;
    l->height++;
    return check_text(l, err) ? 1 : -1;
}

void rt_lines_push_back(struct rt_lines *l)
{
    l->pushed_back = true;
}

/* Skips what stands before the first text: a byte order mark, blank lines. */
static size_t skip_blank(const struct rt_lines *l)
{
    size_t at = l->end - l->start >= 3 && memcmp(l->buf + l->start, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    at += l->start;
    while (at < l->end && strchr(" \t\r\n", l->buf[at]) != NULL && l->buf[at] != '\0')
        at++;
    return at;
}

bool rt_lines_peek(struct rt_lines *l, const char **text, size_t *len, struct rt_err *err)
{
    size_t begin;
    const char *lf;
    l->number = 1;
    for (;;) {
        begin = skip_blank(l);
        lf = memchr(l->buf + begin, '\n', l->end - begin);
        if (lf != NULL || l->at_end || l->end - begin >= PEEK_BYTES)
            break;
        if (!refill(l, err))
            return false;
    }
    l->number = 0;
    *text = l->buf + begin;
    *len = (lf != NULL ? (size_t)(lf - l->buf) : l->end) - begin;
    if (*len > PEEK_BYTES)
        *len = PEEK_BYTES;
    return true;
}

bool rt_lines_more(struct rt_lines *l, size_t keep, struct rt_err *err)
{
    l->start = keep;
    if (!refill(l, err))
        return false;
    l->next = l->end;
    l->buf[l->end] = '\0';
    return true;
}

bool rt_lines_rewind(struct rt_lines *l, struct rt_err *err)
{
    reset(l);
    if (!rt_bytes_rewind(l->bytes, err))
        return rt_fail_in(err, "%s", l->path);
    return true;
}

bool rt_lines_fail_in(const struct rt_lines *l, size_t offset, struct rt_err *err)
{
    uint64_t number = l->number;
    size_t line_start = 0;
    for (size_t i = 0; l->height > 1 && i < offset; i++) {
        if (l->text[i] == '\n') {
            number++;
            line_start = i + 1;
        }
    }
    return rt_fail_in(err, "%s:%llu:%zu", l->path, (unsigned long long)number,
                      offset - line_start + 1);
}

bool rt_line_is_blank(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] != ' ' && text[i] != '\t')
            return false;
    }
    return true;
}
