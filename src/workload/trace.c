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

static const struct rt_trace_format *format_of_line(const struct rt_lines *l, struct rt_err *err)
{
    for (unsigned i = 0; i < rt_trace_formats_count; i++) {
        if (rt_trace_formats[i]->matches(l->text, l->len))
            return rt_trace_formats[i];
    }
    char read[RT_EXCERPT_BYTES];
    (void)rt_fail(err, RT_ETRACE,
                  "expected a header with arrival_s,prompt_tokens,output_tokens or "
                  "TIMESTAMP,ContextTokens,GeneratedTokens, or JSON objects; read %s",
                  rt_excerpt(l->text, l->len, read));
    (void)rt_lines_fail_in(l, 0, err);
    return NULL;
}

/* Leaves the first line that is not blank to be read again. */
static bool find_first_line(struct rt_lines *l, struct rt_err *err)
{
    int found;
    do {
        found = rt_lines_next(l, err);
        if (found < 0)
            return false;
        if (found == 0)
            return rt_fail(err, RT_ETRACE, "%s: expected a trace, the file is empty", l->path);
    } while (rt_line_is_blank(l->text, l->len));
    rt_lines_push_back(l);
    return true;
}

static bool open_format(struct rt_trace *t, const char *format, struct rt_err *err)
{
    bool named = format != NULL && strcmp(format, "auto") != 0;
    if (named && (t->format = format_of_name(format, err)) == NULL)
        return false;
    if (!rt_lines_open(t->path, &t->lines, err) || !find_first_line(&t->lines, err))
        return false;
    if (!named && (t->format = format_of_line(&t->lines, err)) == NULL)
        return false;
    t->info = (struct rt_trace_info){t->format->name, t->path, t->format->block_size};
    return rt_names_init(&t->names, RT_TRACE_MAX_NAMES, err) && t->format->open(t, err);
}

bool rt_trace_open(const char *path, const char *format, struct rt_trace **out, struct rt_err *err)
{
    struct rt_trace *t = calloc(1, sizeof *t);
    if (t == NULL || (t->path = strdup(path)) == NULL) {
        free(t);
        return rt_fail_nomem(err, "trace reader");
    }
    if (!open_format(t, format, err)) {
        rt_trace_free(t);
        return false;
    }
    *out = t;
    return true;
}

void rt_trace_free(struct rt_trace *t)
{
    if (t == NULL)
        return;
    if (t->format != NULL)
        t->format->close(t);
    rt_names_release(&t->names);
    rt_lines_close(&t->lines);
    free(t->path);
    free(t);
}

const struct rt_trace_info *rt_trace_info(const struct rt_trace *t)
{
    return &t->info;
}

int rt_trace_read(struct rt_trace *t, struct rt_request *out, struct rt_err *err)
{
    int found = t->format->read(t, out, err);
    if (found == 1)
        out->id = t->rows++;
    return found;
}

bool rt_trace_rewind(struct rt_trace *t, struct rt_err *err)
{
    t->rows = 0;
    return rt_lines_rewind(&t->lines, err) && t->format->rewind(t, err);
}

bool rt_trace_can_rewind(const struct rt_trace *t)
{
    return rt_bytes_can_rewind(t->lines.bytes);
}

const char *rt_trace_name(const struct rt_trace *t, uint32_t name)
{
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
    char path[384], command[256];
    const char *decoder = rt_bytes_decoder(t->lines.bytes);
    bool is_stdin = strcmp(t->path, "-") == 0;
    (void)quote_path(is_stdin ? "FILE" : t->path, path, sizeof path);
    t->format->sort_command(t, command, sizeof command);
    (void)snprintf(buf, size, "%s %s | %s", decoder != NULL ? decoder : "cat", path, command);
    return buf;
}
