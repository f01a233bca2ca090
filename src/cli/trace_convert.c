/* rooftrace trace convert: a trace of any format as rooftrace's JSONL or as Mooncake's. */
#include "cli_internal.h"
#include "rooftrace/trace.h"

#include <inttypes.h>
#include <string.h>

static bool convert(const char *trace, const struct rt_trace_options *options,
                    enum rt_trace_form form, const char *path, struct rt_trace_converted *done,
                    struct rt_err *err)
{
    struct cli_out out;

    if (!cli_out_spares("--output", path, trace, "trace", err) || !cli_out_open(&out, path, err))
        return false;
    bool ok = rt_trace_convert(trace, options, form, out.file, done, err);
    if (!ok && ferror(out.file))
        rt_fail_in(err, "%s", out.file == stdout ? "standard output" : path);
    return cli_out_close(&out, ok, err);
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
