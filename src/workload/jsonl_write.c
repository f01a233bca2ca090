/* jsonl_write.c: a request as one line of JSON, in rooftrace's names or Mooncake's.
 *
 *     {"arrival_s": 0.25, "prompt_tokens": 12, "output_tokens": 3, "session_id": "s7"}
 *     {"timestamp": 250, "input_length": 12, "output_length": 3, "session_id": "s7"}
 *
 * Numbers are written as decimals without loss, never through a double, ids as 64-bit integers,
 * texts with JSON's escapes. Mooncake's form has no class, model, tenant, priority or deadline of
 * its own: it takes rooftrace's names, which its reader knows. What cannot be written shows in
 * ferror. O(bytes). */
#include "workload_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

struct form { /* names of the fields, and how many digits a time unit has in ns */
    const char *arrival, *prompt, *output, *think;
    int digits;
};
static const struct form forms[] = {
    [RT_FORM_JSONL] = {"arrival_s", "prompt_tokens", "output_tokens", "think_s", 9},
    [RT_FORM_MOONCAKE] = {"timestamp", "input_length", "output_length", "delay", 6},
};

static RT_PRINTF(2, 3) void put(FILE *out, const char *fmt, ...)
{
    char text[160]; /* names and numbers only */
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    (void)fputs(text, out);
}

void rt_write_time(FILE *out, int64_t ns, int digits)
{
    int64_t unit = 1;
    for (int i = 0; i < digits; i++)
        unit *= 10;
    int64_t fraction = ns % unit;
    put(out, "%" PRId64, ns / unit);
    for (; fraction > 0 && fraction % 10 == 0; digits--)
        fraction /= 10;
    if (fraction > 0)
        put(out, ".%0*" PRId64, digits, fraction);
}

static void put_text(FILE *out, const char *key, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    put(out, ", \"%s\": \"", key);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            (void)putc('\\', out);
        if (c < 0x20)
            put(out, "\\u%04x", c);
        else
            (void)putc(c, out);
    }
    (void)putc('"', out);
}

void rt_jsonl_put(FILE *out, enum rt_trace_form form, const struct rt_request *r,
                  const struct rt_request_texts *texts, uint32_t block_tokens)
{
    const struct form *f = &forms[form];
    uint32_t ids = rt_request_prompt_ids(r, block_tokens);
    put(out, "{\"%s\": ", f->arrival);
    rt_write_time(out, r->arrival_ns, f->digits);
    put(out, ", \"%s\": %" PRId64 ", \"%s\": %" PRId64, f->prompt, r->prompt_tokens, f->output,
        r->output_tokens);
    put_text(out, "class", texts->class_name);
    put_text(out, "model", texts->model);
    put_text(out, "session_id", r->session);
    if (r->think_ns >= 0) {
        put(out, ", \"%s\": ", f->think);
        rt_write_time(out, r->think_ns, f->digits);
    }
    if (r->priority != 0)
        put(out, ", \"priority\": %" PRId32, r->priority);
    if (r->deadline_ns != RT_NO_DEADLINE) {
        (void)fputs(", \"deadline_s\": ", out);
        rt_write_time(out, r->deadline_ns, 9);
    }
    put_text(out, "tenant", texts->tenant);
    for (uint32_t i = 0; i < ids; i++)
        put(out, "%s%" PRIu64, i == 0 ? ", \"hash_ids\": [" : ", ", r->hash_ids[i]);
    (void)fputs(ids > 0 ? "]}\n" : "}\n", out);
}
