/* trace_convert.c: a trace of any format as rooftrace's JSONL or as Mooncake's, in the order of
 * time.
 *
 * Times since 1970 begin at 0 afterwards, as in a run, so that every nanosecond stays exact; other
 * times are kept. Reading the result gives the same requests (a test). Lines: jsonl_write.c.
 * O(bytes). */
#include "workload_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ABSOLUTE_NS INT64_C(100000000000000000) /* as source_trace.c */

static const char *const forms[] = {[RT_FORM_JSONL] = "jsonl", [RT_FORM_MOONCAKE] = "mooncake"};

bool rt_trace_form_of(const char *name, enum rt_trace_form *out, struct rt_err *err)
{
    const char *names[RT_LENGTH(forms)];
    char hint[128], read[RT_EXCERPT_BYTES];
    for (unsigned i = 0; i < RT_LENGTH(forms); i++) {
        names[i] = forms[i];
        if (strcmp(name, names[i]) == 0) {
            *out = (enum rt_trace_form)i;
            return true;
        }
    }
    return rt_fail(err, RT_EUSAGE, "unknown form of a trace %s: %s",
                   rt_excerpt(name, strlen(name), read),
                   rt_suggest(name, names, RT_LENGTH(forms), hint, sizeof hint));
}

static void put_row(FILE *out, enum rt_trace_form form, const struct rt_trace *t,
                    const struct rt_request *row, int64_t arrival_ns)
{
    struct rt_request r = *row;
    struct rt_request_texts texts = {rt_trace_name(t, r.class_name), rt_trace_name(t, r.model_name),
                                     rt_trace_name(t, r.tenant_name)};
    r.arrival_ns = arrival_ns;
    rt_jsonl_put(out, form, &r, &texts, t->info.block_size);
}

static bool convert_rows(struct rt_trace *t, enum rt_trace_form form, FILE *out, uint64_t *rows,
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
            put_row(out, form, t, r, r->arrival_ns - origin);
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
    bool ok = convert_rows(t, form, out, &done->rows, err);
    done->block_size = t->info.block_size;
    done->format = t->info.format;
    done->counts = rt_trace_counts(t);
    rt_trace_free(t);
    return ok;
}
