/* trace_write.c: requests as rows of native CSV or JSONL (jsonl_write.c). See trace_write.h.
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
#define SECONDS 9 /* digits of ns in a second */

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
        write_csv_text(w->file, rt_source_name(w->names, r->class_name));
        break;
    case RT_TRAFFIC_MODEL:
        write_csv_text(w->file, rt_source_name(w->names, r->model_name));
        break;
    case RT_TRAFFIC_TENANT:
        write_csv_text(w->file, rt_source_name(w->names, r->tenant_name));
        break;
    case RT_TRAFFIC_SESSION:
        write_csv_text(w->file, r->session);
        break;
    case RT_TRAFFIC_THINK:
        rt_write_time(w->file, r->think_ns, SECONDS);
        break;
    case RT_TRAFFIC_DEADLINE:
        rt_write_time(w->file, r->deadline_ns, SECONDS);
        break;
    case RT_TRAFFIC_PRIORITY:
        put(w, "%" PRId32, r->priority);
        break;
    case RT_TRAFFIC_HASH_IDS: /* CSV has none */
        break;
    }
}

static void write_csv(const struct rt_trace_writer *w, const struct rt_request *r)
{
    rt_write_time(w->file, r->arrival_ns, SECONDS);
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
    struct rt_request_texts texts = {rt_source_name(w->names, r->class_name),
                                     rt_source_name(w->names, r->model_name),
                                     rt_source_name(w->names, r->tenant_name)};
    rt_jsonl_put(w->file, RT_FORM_JSONL, r, &texts, rt_source_stats(w->names)->hash_block_tokens);
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
