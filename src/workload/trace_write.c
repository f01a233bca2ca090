/* trace_write.c: requests as rows of native CSV or JSONL. See trace_write.h.
 *
 *     {"arrival_s": 0.25, "prompt_tokens": 12, "output_tokens": 3, "session_id": "s7"}
 *
 * Numbers are written as integers and fractions of them, never through a double. Failure: the file
 * cannot be written to (told when it happens, at the latest at the end). */
#include "rooftrace/trace_write.h"

#include "workload_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    enum rt_traffic_field field;
    const char *name;
} columns[] = {
    {RT_TRAFFIC_CLASS, "class"},        {RT_TRAFFIC_MODEL, "model"},
    {RT_TRAFFIC_SESSION, "session_id"}, {RT_TRAFFIC_THINK, "think_s"},
    {RT_TRAFFIC_PRIORITY, "priority"},  {RT_TRAFFIC_DEADLINE, "deadline_s"},
    {RT_TRAFFIC_TENANT, "tenant"},
};
#define COLUMNS (sizeof columns / sizeof columns[0])

bool rt_trace_file_kind(const char *path, enum rt_trace_file_kind *out)
{
    static const struct {
        const char *end;
        enum rt_trace_file_kind kind;
    } ends[] = {{".csv", RT_TRACE_CSV},
                {".jsonl", RT_TRACE_JSONL},
                {".ndjson", RT_TRACE_JSONL},
                {".json", RT_TRACE_JSONL}};
    size_t len = strlen(path);
    for (unsigned i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        size_t end = strlen(ends[i].end);
        if (len > end && strcmp(path + len - end, ends[i].end) == 0) {
            *out = ends[i].kind;
            return true;
        }
    }
    return false;
}

static bool fail_write(const struct rt_trace_writer *w, struct rt_err *err)
{
    return rt_fail(err, RT_EIO, "%s: cannot write: %s", w->path, strerror(errno));
}

/* Numbers and short texts; what libc's own cut would lose fits. */
static RT_PRINTF(2, 3) void put(const struct rt_trace_writer *w, const char *fmt, ...)
{
    char text[96];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)fputs(text, w->file);
}

bool rt_trace_writer_begin(const struct rt_trace_writer *w, struct rt_err *err)
{
    if (w->kind == RT_TRACE_JSONL)
        return true;
    put(w, "arrival_s,prompt_tokens,output_tokens");
    for (unsigned i = 0; i < COLUMNS; i++)
        if ((w->fields >> columns[i].field & 1) != 0)
            put(w, ",%s", columns[i].name);
    put(w, "\n");
    return !ferror(w->file) || fail_write(w, err);
}

/* Seconds to the nanosecond, without zeros at the end; ns >= 0. */
static void write_seconds(const struct rt_trace_writer *w, int64_t ns)
{
    int64_t fraction = ns % 1000000000;
    int digits = 9;
    put(w, "%" PRId64, ns / 1000000000);
    for (; fraction > 0 && fraction % 10 == 0; digits--)
        fraction /= 10;
    if (fraction > 0)
        put(w, ".%0*" PRId64, digits, fraction);
}

static void write_json_text(const struct rt_trace_writer *w, const char *text)
{
    put(w, "\"");
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20)
            put(w, "\\u%04x", (unsigned)*text);
        else
            put(w, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    }
    put(w, "\"");
}

/* Quoted when it must be; quotes are doubled (RFC 4180). */
static void write_csv_text(FILE *f, const char *text)
{
    size_t len = strlen(text);
    bool plain = text[strcspn(text, ",\"\r\n")] == '\0' &&
                 (len == 0 || (text[0] != ' ' && text[len - 1] != ' '));
    if (plain) {
        fputs(text, f);
        return;
    }
    fputc('"', f);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            fputc('"', f);
        fputc(*text, f);
    }
    fputc('"', f);
}

static void write_text(const struct rt_trace_writer *w, const char *text)
{
    if (w->kind == RT_TRACE_JSONL)
        write_json_text(w, text);
    else
        write_csv_text(w->file, text);
}

static bool has(const struct rt_request *r, enum rt_traffic_field field)
{
    switch (field) {
    case RT_TRAFFIC_CLASS:
        return r->class_name != RT_NO_NAME;
    case RT_TRAFFIC_MODEL:
        return r->model_name != RT_NO_NAME;
    case RT_TRAFFIC_SESSION:
        return r->session != NULL;
    case RT_TRAFFIC_THINK:
        return r->think_ns >= 0;
    case RT_TRAFFIC_PRIORITY:
        return r->priority != 0;
    case RT_TRAFFIC_DEADLINE:
        return r->deadline_ns != RT_NO_DEADLINE;
    case RT_TRAFFIC_TENANT:
        return r->tenant_name != RT_NO_NAME;
    case RT_TRAFFIC_HASH_IDS:
        return r->hash_count > 0;
    }
    return false;
}

static void write_field(const struct rt_trace_writer *w, const struct rt_request *r,
                        enum rt_traffic_field field)
{
    switch (field) {
    case RT_TRAFFIC_CLASS:
        write_text(w, rt_source_name(w->names, r->class_name));
        break;
    case RT_TRAFFIC_MODEL:
        write_text(w, rt_source_name(w->names, r->model_name));
        break;
    case RT_TRAFFIC_TENANT:
        write_text(w, rt_source_name(w->names, r->tenant_name));
        break;
    case RT_TRAFFIC_SESSION:
        write_text(w, r->session);
        break;
    case RT_TRAFFIC_THINK:
        write_seconds(w, r->think_ns);
        break;
    case RT_TRAFFIC_DEADLINE:
        write_seconds(w, r->deadline_ns);
        break;
    case RT_TRAFFIC_PRIORITY:
        put(w, "%" PRId32, r->priority);
        break;
    case RT_TRAFFIC_HASH_IDS:
        for (uint32_t j = 0; j < r->hash_count; j++)
            put(w, "%s%" PRIu64, j > 0 ? ", " : "", r->hash_ids[j]);
        break;
    }
}

static void write_csv(const struct rt_trace_writer *w, const struct rt_request *r)
{
    write_seconds(w, r->arrival_ns);
    put(w, ",%" PRId64 ",%" PRId64, r->prompt_tokens, r->output_tokens);
    for (unsigned i = 0; i < COLUMNS; i++) {
        if ((w->fields >> columns[i].field & 1) == 0)
            continue;
        fputc(',', w->file);
        if (has(r, columns[i].field))
            write_field(w, r, columns[i].field);
    }
    fputc('\n', w->file);
}

static void write_jsonl(const struct rt_trace_writer *w, const struct rt_request *r)
{
    fputs("{\"arrival_s\": ", w->file);
    write_seconds(w, r->arrival_ns);
    put(w, ", \"prompt_tokens\": %" PRId64 ", \"output_tokens\": %" PRId64, r->prompt_tokens,
        r->output_tokens);
    for (unsigned i = 0; i < COLUMNS; i++) {
        if (!has(r, columns[i].field))
            continue;
        put(w, ", \"%s\": ", columns[i].name);
        write_field(w, r, columns[i].field);
    }
    if (r->hash_count > 0) {
        fputs(", \"hash_ids\": [", w->file);
        write_field(w, r, RT_TRAFFIC_HASH_IDS);
        fputc(']', w->file);
    }
    fputs("}\n", w->file);
}

bool rt_trace_writer_put(const struct rt_trace_writer *w, const struct rt_request *r,
                         struct rt_err *err)
{
    if (w->kind == RT_TRACE_CSV)
        write_csv(w, r);
    else
        write_jsonl(w, r);
    return !ferror(w->file) || fail_write(w, err);
}

bool rt_trace_writer_end(const struct rt_trace_writer *w, struct rt_err *err)
{
    return (fflush(w->file) == 0 && !ferror(w->file)) || fail_write(w, err);
}
