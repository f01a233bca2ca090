/* trace.c: an open trace file: which format it has, rows numbered in file order, names.
 *
 * Failure: everything that is wrong with the file as a whole (missing, empty, not text, no known
 * header) fails in rt_trace_open; a bad row fails when it is read. Cost: see the readers. */
#include "workload_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FORMATS 64u

static const struct rt_trace_format *format_of_name(const char *name, struct rt_err *err)
{
    const char *names[MAX_FORMATS];
    unsigned count = rt_trace_formats_count;
    for (unsigned i = 0; i < count; i++) {
        if (strcmp(rt_trace_formats[i]->name, name) == 0)
            return rt_trace_formats[i];
        names[i] = rt_trace_formats[i]->name;
    }
    char hint[256], read[RT_EXCERPT_BYTES];
    names[count++] = "auto";
    (void)rt_fail(err, RT_ECONFIG, "unknown trace format %s: %s",
                  rt_excerpt(name, strlen(name), read),
                  rt_suggest(name, names, count, hint, sizeof hint));
    return NULL;
}

static bool is_json(const char *head, size_t len)
{
    return len > 0 && (head[0] == '{' || head[0] == '[');
}

/* Does the text contain the name in quotes, as key or value? */
static bool has_quoted(const char *text, size_t len, const char *name)
{
    size_t want = strlen(name);
    const char *p = text, *end = text + len;
    while ((p = memchr(p, '"', (size_t)(end - p))) != NULL) {
        p++;
        if ((size_t)(end - p) > want && p[want] == '"' && memcmp(p, name, want) == 0)
            return true;
    }
    return false;
}

static bool has_marks(const char *const marks[RT_MAX_MARKS], const char *head, size_t len)
{
    for (unsigned i = 0; i < RT_MAX_MARKS && marks[i] != NULL; i++) {
        if (!(is_json(head, len) ? has_quoted : rt_csv_header_has)(head, len, marks[i]))
            return false;
    }
    return marks[0] != NULL;
}

static bool matches(const struct rt_trace_format *f, const char *head, size_t len)
{
    if (f->matches != NULL)
        return f->matches(head, len);
    if (is_json(head, len) != (f->reader != &rt_csv_reader))
        return false;
    for (unsigned i = 0; i < RT_MAX_MARKS; i++) {
        if (has_marks(f->marks[i], head, len))
            return true;
    }
    return false;
}

static const struct rt_trace_format *format_of_head(struct rt_lines *l, const char *head,
                                                    size_t len, struct rt_err *err)
{
    for (unsigned i = 0; i < rt_trace_formats_count; i++) {
        if (matches(rt_trace_formats[i], head, len))
            return rt_trace_formats[i];
    }
    char read[RT_EXCERPT_BYTES];
    (void)rt_excerpt(head, len, read); /* head may move when more is read */
    int found = rt_lines_next(l, err); /* says what is wrong with the text, and gives the place */
    while (found == 1 && rt_line_is_blank(l->text, l->len))
        found = rt_lines_next(l, err);
    if (found < 0)
        return NULL;
    (void)rt_fail(err, RT_ETRACE,
                  "expected a header with arrival_s,prompt_tokens,output_tokens or of another "
                  "known format (or say what its columns mean with --columns), or JSON objects; "
                  "read %s",
                  read);
    (void)rt_lines_fail_in(l, 0, err);
    return NULL;
}

/* The format that the options name, or the one that the first bytes tell. */
static bool choose_format(struct rt_trace *t, const struct rt_trace_options *o, struct rt_err *err)
{
    const char *head;
    size_t len;
    bool named = o->format != NULL && strcmp(o->format, "auto") != 0;
    if (named && (t->format = format_of_name(o->format, err)) == NULL)
        return false;
    if ((t->format == &rt_format_columns) != (o->columns != NULL) && (named || !o->columns))
        return rt_fail(
            err, RT_ECONFIG,
            "expected the format \"columns\" and what its columns mean (--columns) together");
    if (o->columns != NULL && !rt_columns_parse(o->columns, &t->columns, err))
        return false;
    if (!rt_lines_open(t->path, &t->lines, err) || !rt_lines_peek(&t->lines, &head, &len, err))
        return false;
    if (len == 0)
        return rt_fail(err, RT_ETRACE, "%s: expected a trace, the file is empty", t->lines.path);
    if (t->columns != NULL)
        t->format = rt_columns_format(t->columns, is_json(head, len), err);
    else if (!named)
        t->format = format_of_head(&t->lines, head, len, err);
    return t->format != NULL;
}

static bool open_format(struct rt_trace *t, const struct rt_trace_options *o, struct rt_err *err)
{
    if (!choose_format(t, o, err))
        return false;
    t->drop_failed = o->drop_failed;
    t->seed = o->seed;
    t->has_block_size = o->block_size > 0;
    t->info = (struct rt_trace_info){t->format->name, t->path,
                                     o->block_size > 0 ? o->block_size : t->format->block_size};
    return rt_names_init(&t->names, RT_TRACE_MAX_NAMES, err) &&
           ((t->format->flags & RT_FORMAT_TURNS) == 0 || rt_turns_new(&t->turns, err)) &&
           t->format->reader->open(t, err);
}

bool rt_trace_open_with(const char *path, const struct rt_trace_options *options,
                        struct rt_trace **out, struct rt_err *err)
{
    struct rt_trace *t = calloc(1, sizeof *t);
    if (t == NULL || (t->path = strdup(path)) == NULL) {
        free(t);
        return rt_fail_nomem(err, "trace reader");
    }
    if (!open_format(t, options, err)) {
        rt_trace_free(t);
        return false;
    }
    *out = t;
    return true;
}

bool rt_trace_open(const char *path, const char *format, struct rt_trace **out, struct rt_err *err)
{
    struct rt_trace_options options = {.format = format};
    return rt_trace_open_with(path, &options, out, err);
}

void rt_trace_free(struct rt_trace *t)
{
    if (t == NULL)
        return;
    if (t->table != NULL) { /* format, names and path are the table's */
        free(t);
        return;
    }
    if (t->format != NULL)
        t->format->reader->close(t);
    rt_turns_free(t->turns);
    rt_columns_free(t->columns);
    rt_names_release(&t->names);
    rt_lines_close(&t->lines);
    free(t->path);
    free(t);
}

const struct rt_trace_info *rt_trace_info(const struct rt_trace *t)
{
    return &t->info;
}

/* What the file says of its hash ids counts unless the caller knows better. */
static bool take_block_size(struct rt_trace *t, struct rt_err *err)
{
    uint32_t told = (uint32_t)t->row.block_size;
    if (t->has_block_size || told == 0 || told == t->info.block_size)
        return true;
    if (t->file_block_size != 0)
        return rt_fail(err, RT_ETRACE, "expected hash ids of %u tokens as before, read %u",
                       t->file_block_size, told);
    t->info.block_size = t->file_block_size = told;
    return true;
}

/* The hook's part and what is common to all formats. */
static bool finish_row(struct rt_trace *t, struct rt_err *err)
{
    struct rt_row *row = &t->row;
    if (!row->left_out && t->format->finish != NULL && !t->format->finish(t, row, err))
        return rt_trace_fail_in(t, err);
    if (!take_block_size(t, err))
        return rt_trace_fail_in(t, err);
    row->left_out = row->left_out || row->cached || (row->failed && t->drop_failed);
    t->counts.failed += row->failed;
    t->counts.left_out += row->left_out;
    return true;
}

int rt_trace_read(struct rt_trace *t, struct rt_request *out, struct rt_err *err)
{
    if (t->table != NULL)
        return rt_trace_table_read(t->table, t, out);
    do {
        int found = t->format->reader->read(t, err);
        if (found != 1)
            return found;
        if (!finish_row(t, err))
            return -1;
    } while (t->row.left_out);
    *out = t->row.r;
    out->id = t->counts.rows++;
    return 1;
}

struct rt_trace_counts rt_trace_counts(const struct rt_trace *t)
{
    return t->counts;
}

bool rt_trace_rewind(struct rt_trace *t, struct rt_err *err)
{
    t->counts = (struct rt_trace_counts){.rows = 0};
    if (t->table != NULL)
        return true;
    if (t->turns != NULL)
        rt_turns_clear(t->turns);
    return rt_lines_rewind(&t->lines, err) && t->format->reader->rewind(t, err);
}

bool rt_trace_can_rewind(const struct rt_trace *t)
{
    return t->table != NULL || rt_bytes_can_rewind(t->lines.bytes);
}

/* Where names and the file itself are. */
static const struct rt_trace *file_of(const struct rt_trace *t)
{
    return t->table != NULL ? rt_trace_table_file(t->table) : t;
}

const char *rt_trace_name(const struct rt_trace *t, uint32_t name)
{
    t = file_of(t);
    return name < t->names.count ? t->names.by_index[name] : "";
}

bool rt_trace_fail_in(const struct rt_trace *t, struct rt_err *err)
{
    return rt_lines_fail_in(&t->lines, 0, err);
}

/* The path as one word of a POSIX shell. Returns its length, as snprintf does. */
static size_t quote_path(const char *path, char *buf, size_t size)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "_./+-,=:@%";
    if (path[strspn(path, plain)] == '\0' && path[0] != '\0')
        return (size_t)snprintf(buf, size, "%s", path);
    size_t used = 0;
    char last = '\0';
    for (const char *p = path; *p != '\0' && used + 6 < size; p++) {
        if (last == '\0')
            buf[used++] = '\'';
        last = *p;
        if (*p == '\'') {
            memcpy(buf + used, "'\\''", 4); /* end, an escaped quote, begin again */
            used += 4;
        } else {
            buf[used++] = *p;
        }
    }
    buf[used++] = '\'';
    buf[used] = '\0';
    return used;
}

const char *rt_trace_sort_command(const struct rt_trace *t, char *buf, size_t size)
{
    char path[384], command[400];
    t = file_of(t);
    const char *decoder = rt_bytes_decoder(t->lines.bytes);
    bool is_stdin = strcmp(t->path, "-") == 0;
    (void)quote_path(is_stdin ? "FILE" : t->path, path, sizeof path);
    t->format->reader->sort_command(t, command, sizeof command);
    if (command[0] == '\0')
        (void)snprintf(buf, size, "(a program that knows the format %s)", t->format->name);
    else
        (void)snprintf(buf, size, "%s %s | %s", decoder != NULL ? decoder : "cat", path, command);
    return buf;
}
