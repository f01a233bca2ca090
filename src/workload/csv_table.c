/* csv_table.c: a CSV trace format as a table of columns, found by name in the header.
 *
 * The order of the columns is free, columns that the format does not know are ignored, a known one
 * may stand there once. Every row must have as many fields as the header. An empty field is an
 * error in a required column and "not given" in another. Blanks around a field do not count. Cost:
 * O(bytes), no allocation per row. */
#include "workload_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bound { /* a known column that the file has */
    uint32_t place;
    struct rt_field_ref to;
    const char *name;
    bool required;
};

struct table {
    struct rt_csv csv;
    uint32_t width; /* fields of the header */
    uint32_t count;
    struct bound bound[RT_FIELD_COUNT];
};

static void trim(struct rt_csv_field *f)
{
    while (f->len > 0 && (f->text[0] == ' ' || f->text[0] == '\t')) {
        f->text++;
        f->offset++;
        f->len--;
    }
    while (f->len > 0 && (f->text[f->len - 1] == ' ' || f->text[f->len - 1] == '\t'))
        f->len--;
}

static const struct rt_csv_column *known(const struct rt_csv_field *f,
                                         const struct rt_csv_column *columns, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        const char *name = columns[i].name;
        if (strlen(name) == f->len && memcmp(name, f->text, f->len) == 0)
            return &columns[i];
    }
    return NULL;
}

static bool bind(struct table *s, uint32_t place, const struct rt_csv_column *column,
                 struct rt_err *err)
{
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->bound[i].to.field == column->to.field) {
            (void)rt_fail(err, RT_ETRACE, "expected column \"%s\" once, read it again",
                          column->name);
            return rt_lines_fail_in(s->csv.lines, s->csv.fields[place].offset, err);
        }
    }
    s->bound[s->count++] = (struct bound){place, column->to, column->name, column->required};
    return true;
}

static bool fail_missing(const struct table *s, const char *name, const char *header, size_t len,
                         struct rt_err *err)
{
    char read[RT_EXCERPT_BYTES];
    (void)rt_fail(err, RT_ETRACE, "expected a header with the column \"%s\", read %s", name,
                  rt_excerpt(header, len, read));
    return rt_lines_fail_in(s->csv.lines, 0, err);
}

static bool read_header(struct table *s, const struct rt_csv_column *columns, unsigned count,
                        struct rt_err *err)
{
    int found = rt_csv_next(&s->csv, err);
    if (found <= 0)
        return found < 0 ? false : rt_fail(err, RT_ETRACE, "expected a header, read nothing");
    s->width = s->csv.count;
    for (uint32_t i = 0; i < s->width; i++) {
        trim(&s->csv.fields[i]);
        const struct rt_csv_column *column = known(&s->csv.fields[i], columns, count);
        if (column != NULL && !bind(s, i, column, err))
            return false;
    }
    for (unsigned i = 0; i < count; i++) {
        bool there = !columns[i].required && !columns[i].named;
        for (uint32_t b = 0; b < s->count; b++)
            there = there || s->bound[b].to.field == columns[i].to.field;
        if (!there)
            return fail_missing(s, columns[i].name, s->csv.lines->text, s->csv.lines->len, err);
    }
    return true;
}

static bool csv_open(struct rt_trace *t, struct rt_err *err)
{
    struct table *s = calloc(1, sizeof *s);
    if (s == NULL)
        return rt_fail_nomem(err, "CSV reader");
    s->csv.lines = &t->lines;
    t->state = s;
    return read_header(s, t->format->columns, t->format->column_count, err);
}

static void csv_close(struct rt_trace *t)
{
    struct table *s = t->state;
    if (s != NULL)
        rt_csv_release(&s->csv);
    free(s);
    t->state = NULL;
}

static bool csv_rewind(struct rt_trace *t, struct rt_err *err)
{
    struct table *s = t->state;
    int found = rt_csv_next(&s->csv, err); /* the header again */
    if (found == 1 && s->csv.count != s->width)
        return rt_fail(err, RT_ETRACE, "%s: the file changed while it was read", t->lines.path);
    return found >= 0;
}

static int fail_width(const struct table *s, struct rt_err *err)
{
    const struct rt_csv_field *last = &s->csv.fields[s->csv.count - 1];
    size_t offset =
        s->csv.count > s->width ? s->csv.fields[s->width].offset : last->offset + last->len;
    (void)rt_fail(err, RT_ETRACE, "expected %u fields as in the header, read %u", s->width,
                  s->csv.count);
    (void)rt_lines_fail_in(s->csv.lines, offset, err);
    return -1;
}

static bool take_field(struct rt_trace *t, const struct bound *b, struct rt_csv_field *f,
                       struct rt_err *err)
{
    trim(f);
    if (f->len == 0 && !b->required)
        return true;
    if (rt_field_set(t, b->to, f->text, f->len, &t->row, err))
        return true;
    (void)rt_fail_in(err, "%s", b->name);
    return rt_lines_fail_in(&t->lines, f->offset, err);
}

static int csv_read(struct rt_trace *t, struct rt_err *err)
{
    struct table *s = t->state;
    int found = rt_csv_next(&s->csv, err);
    if (found <= 0)
        return found;
    if (s->csv.count != s->width)
        return fail_width(s, err);
    rt_row_clear(&t->row);
    for (uint32_t i = 0; i < s->count; i++) {
        if (!take_field(t, &s->bound[i], &s->csv.fields[s->bound[i].place], err))
            return -1;
    }
    return 1;
}

static void csv_sort_command(const struct rt_trace *t, char *buf, size_t size)
{
    const struct table *s = t->state;
    uint32_t column = 1;
    bool as_text = false;
    for (uint32_t i = 0; i < s->count; i++) {
        if (s->bound[i].to.field != RT_FIELD_ARRIVAL)
            continue;
        column = s->bound[i].place + 1;
        as_text = s->bound[i].to.unit >= RT_UNIT_STAMP; /* the stamps of one file sort like text */
    }
    /* The header stays first; a stable sort keeps the file's order among equal times. */
    (void)snprintf(buf, size,
                   "awk 'NR==1{print;fflush();next}{print|\"LC_ALL=C sort -s -t, -k%u,%u%s\"}'"
                   " > sorted.csv",
                   column, column, as_text ? "" : "g");
}

const struct rt_trace_reader rt_csv_reader = {.open = csv_open,
                                              .read = csv_read,
                                              .rewind = csv_rewind,
                                              .close = csv_close,
                                              .sort_command = csv_sort_command};

bool rt_csv_header_has(const char *line, size_t len, const char *name)
{
    size_t want = strlen(name);
    const char *p = line, *end = line + len;
    while (p <= end) {
        const char *comma = p < end ? memchr(p, ',', (size_t)(end - p)) : NULL;
        const char *stop = comma != NULL ? comma : end, *next = stop + 1;
        while (p < stop && (*p == ' ' || *p == '\t' || *p == '"'))
            p++;
        while (stop > p && (stop[-1] == ' ' || stop[-1] == '\t' || stop[-1] == '"'))
            stop--;
        if ((size_t)(stop - p) == want && memcmp(p, name, want) == 0)
            return true;
        p = next;
    }
    return false;
}
