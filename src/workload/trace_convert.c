/* trace_convert.c: a trace of any format as rooftrace's JSONL or as Mooncake's, in the order of
 * time.
 *
 * Times since 1970 begin at 0 afterwards, as in a run, so that every nanosecond stays exact; other
 * times are kept. Numbers are written as decimals without loss, ids as 64-bit integers, texts with
 * JSON's escapes. Reading the result gives the same requests (a test). Mooncake's form has no
 * class, model, tenant, priority or deadline of its own: it takes rooftrace's names, which its
 * reader knows. O(bytes). */
#include "workload_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ABSOLUTE_NS INT64_C(100000000000000000) /* as source_trace.c */

struct form { /* names of the fields, and how many digits a time unit has in ns */
    const char *name, *arrival, *prompt, *output, *think;
    unsigned digits;
};
static const struct form forms[] = {
    [RT_FORM_JSONL] = {"jsonl", "arrival_s", "prompt_tokens", "output_tokens", "think_s", 9},
    [RT_FORM_MOONCAKE] = {"mooncake", "timestamp", "input_length", "output_length", "delay", 6},
};

bool rt_trace_form_of(const char *name, enum rt_trace_form *out, struct rt_err *err)
{
    const char *names[RT_LENGTH(forms)];
    char hint[128], read[RT_EXCERPT_BYTES];
    for (unsigned i = 0; i < RT_LENGTH(forms); i++) {
        names[i] = forms[i].name;
        if (strcmp(name, names[i]) == 0) {
            *out = (enum rt_trace_form)i;
            return true;
        }
    }
    return rt_fail(err, RT_EUSAGE, "unknown form of a trace %s: %s",
                   rt_excerpt(name, strlen(name), read),
                   rt_suggest(name, names, RT_LENGTH(forms), hint, sizeof hint));
}

static void put(FILE *out, const char *fmt, ...) RT_PRINTF(2, 3);
static void put(FILE *out, const char *fmt, ...)
{
    char text[256]; /* names and numbers only */
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)fputs(text, out); /* ferror tells at the end */
}

/* ns as decimal with so many digits behind the point at most; trailing zeros do not show. */
static void put_time(FILE *out, int64_t ns, unsigned digits)
{
    uint64_t unit = 1;
    char fraction[16];
    for (unsigned i = 0; i < digits; i++)
        unit *= 10;
    put(out, "%" PRIu64, (uint64_t)ns / unit);
    if ((uint64_t)ns % unit == 0)
        return;
    int len = snprintf(fraction, sizeof fraction, "%0*" PRIu64, (int)digits, (uint64_t)ns % unit);
    while (len > 0 && fraction[len - 1] == '0')
        len--;
    put(out, ".%.*s", len, fraction);
}

static void put_text(FILE *out, const char *key, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    put(out, ", \"%s\": \"", key);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            put(out, "\\%c", c);
        else if (c < 0x20)
            put(out, "\\u%04x", c);
        else
            putc(c, out);
    }
    putc('"', out);
}

static void put_optional(FILE *out, const struct form *f, const struct rt_trace *t,
                         const struct rt_request *r)
{
    put_text(out, "session_id", r->session);
    if (r->think_ns >= 0) {
        put(out, ", \"%s\": ", f->think);
        put_time(out, r->think_ns, f->digits);
    }
    put_text(out, "class", rt_trace_name(t, r->class_name));
    put_text(out, "model", rt_trace_name(t, r->model_name));
    put_text(out, "tenant", rt_trace_name(t, r->tenant_name));
    if (r->priority != 0)
        put(out, ", \"priority\": %" PRId32, r->priority);
    if (r->deadline_ns != RT_NO_DEADLINE) {
        put(out, ", \"deadline_s\": ");
        put_time(out, r->deadline_ns, 9);
    }
}

static void put_row(FILE *out, const struct form *f, const struct rt_trace *t,
                    const struct rt_request *r, int64_t arrival_ns)
{
    put(out, "{\"%s\": ", f->arrival);
    put_time(out, arrival_ns, f->digits);
    put(out, ", \"%s\": %" PRId64 ", \"%s\": %" PRId64, f->prompt, r->prompt_tokens, f->output,
        r->output_tokens);
    for (uint32_t i = 0; i < r->hash_count; i++)
        put(out, "%s%" PRIu64, i == 0 ? ", \"hash_ids\": [" : ", ", r->hash_ids[i]);
    if (r->hash_count > 0)
        putc(']', out);
    put_optional(out, f, t, r);
    fputs("}\n", out);
}

static bool convert_rows(struct rt_trace *t, const struct form *f, FILE *out, uint64_t *rows,
                         struct rt_err *err)
{
    struct rt_window *w;
    const struct rt_request *r;
    int64_t first_ns, key;
    int found = -1;
    *rows = 0;
    if (!rt_window_new(t, &w, err))
        return false;
    if (rt_window_prime(w, &first_ns, err)) {
        int64_t origin = first_ns > ABSOLUTE_NS ? first_ns : 0;
        while ((found = rt_window_next(w, &r, &key, err)) == 1 && !ferror(out)) {
            put_row(out, f, t, r, r->arrival_ns - origin);
            ++*rows;
        }
    }
    rt_window_free(w);
    if (found >= 0 && (ferror(out) || fflush(out) != 0))
        return rt_fail(err, RT_EIO, "cannot write: %s", strerror(errno));
    return found == 0;
}

bool rt_trace_convert(const char *path, const struct rt_trace_options *options,
                      enum rt_trace_form form, FILE *out, struct rt_trace_converted *done,
                      struct rt_err *err)
{
    struct rt_trace *t;
    *done = (struct rt_trace_converted){.rows = 0};
    if (!rt_trace_open_with(path, options, &t, err))
        return false;
    bool ok = convert_rows(t, &forms[form], out, &done->rows, err);
    done->block_size = t->info.block_size;
    done->format = t->info.format;
    done->counts = rt_trace_counts(t);
    rt_trace_free(t);
    return ok;
}
