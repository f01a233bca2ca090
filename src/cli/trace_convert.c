/* rooftrace trace convert: a trace of any format as rooftrace's JSONL or as Mooncake's. A file that
 * could not be written to its end is removed, so that nothing half-done passes for a trace. */
#include "cli_internal.h"
#include "rooftrace/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool open_output(const char *path, const char *trace, FILE **out, struct rt_err *err)
{
    struct stat a, b;

    *out = stdout;
    if (strcmp(path, "-") == 0)
        return true;
    if (stat(path, &a) == 0 && stat(trace, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
        return rt_fail(err, RT_EUSAGE, "--output: %s is the trace itself", path);
    *out = fopen(path, "w");
    return *out != NULL || rt_fail(err, RT_EIO, "%s: %s", path, strerror(errno));
}

static bool convert(const char *trace, const struct rt_trace_options *options,
                    enum rt_trace_form form, const char *path, struct rt_trace_converted *done,
                    struct rt_err *err)
{
    struct stat before;
    bool is_new = stat(path, &before) != 0, ok;
    FILE *out;

    if (!open_output(path, trace, &out, err))
        return false;
    ok = rt_trace_convert(trace, options, form, out, done, err);
    if (out == stdout)
        return ok;
    if (fclose(out) != 0 && ok)
        ok = rt_fail(err, RT_EIO, "%s: %s", path, strerror(errno));
    if (!ok && is_new)
        (void)remove(path);
    return ok;
}

int cli_trace_convert(const struct rt_options *o)
{
    const char *trace = o->words[1], *path = rt_options_text(o, "--output", "-");
    struct rt_trace_options options;
    struct rt_trace_converted done;
    enum rt_trace_form form;
    struct rt_err err = {0};

    if (!cli_trace_options(o, &options, &err) ||
        !rt_trace_form_of(rt_options_text(o, "--to", "jsonl"), &form, &err) ||
        !convert(trace, &options, form, path, &done, &err))
        return cli_fail(&err);
    if (strcmp(path, "-") != 0)
        cli_note("%s: %" PRIu64 " requests, read as %s", path, done.rows, done.format);
    if (done.block_size > 0 && done.block_size != 512)
        cli_note("its hash ids name %u tokens each: give --trace-block-size %u with it",
                 done.block_size, done.block_size);
    if (done.counts.left_out > 0)
        cli_note("%" PRIu64 " rows were left out: dropped, or no requests", done.counts.left_out);
    return cli_finish();
}
