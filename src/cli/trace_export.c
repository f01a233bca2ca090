/* rooftrace trace export: a window of a run as a timeline for ui.perfetto.dev. The options are
 * those of cmd_trace.c's table; the file is written as the database is read. */
#include "cli_internal.h"
#include "rooftrace/report.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool read_window(const struct rt_options *o, struct rt_timeline *out, struct rt_err *err)
{
    double from_s = rt_options_number(o, "--from-s", 0), to_s;

    *out = (struct rt_timeline){.run_id = rt_options_int(o, "--run", 0),
                                .from_ns = llround(from_s * 1e9),
                                .to_ns = INT64_MAX,
                                .replica = rt_options_int(o, "--replica", -1)};
    if (!rt_options_given(o, "--to-s"))
        return true;
    to_s = rt_options_number(o, "--to-s", 0);
    out->to_ns = llround(to_s * 1e9);
    return to_s > from_s ||
           rt_fail(err, RT_EUSAGE, "--to-s: expected more than --from-s, %g, read %g", from_s,
                   to_s);
}

static bool write_timeline(struct rt_db *db, const char *path, const char *database,
                           const struct rt_timeline *what, struct rt_timeline_count *count,
                           struct rt_err *err)
{
    struct rt_err told = {0};
    struct cli_out out;

    if (!cli_out_spares("--perfetto", path, database, "database", err) ||
        !cli_out_open(&out, path, err))
        return false;
    bool ok = rt_report_perfetto(db, what, out.file, count, &told) ||
              rt_fail(err, told.code, "%s: %s", path, told.msg);
    return cli_out_close(&out, ok, err);
}

static void note_result(const char *path, const struct rt_timeline_count *n)
{
    cli_note("%s: run %" PRId64 ", %" PRIu64 " steps, %" PRIu64 " requests, %" PRIu64
             " samples; open it in https://ui.perfetto.dev",
             path, n->run_id, n->steps, n->requests, n->samples);
    if (!n->steps_recorded)
        cli_note("run %" PRId64 " recorded no steps: with rooftrace run --steps the timeline has "
                 "those of the engines, too",
                 n->run_id);
}

int cli_trace_export(const struct rt_options *o)
{
    const char *database = o->words[1], *path = rt_options_text(o, "--perfetto", NULL);
    struct rt_timeline_count count;
    struct rt_timeline what;
    struct rt_db *db = NULL;
    struct rt_err err = {0};
    bool ok;

    if (!path) {
        rt_fail(&err, RT_EUSAGE,
                "trace export: --perfetto is missing: the file to write, - is standard output");
        return cli_fail(&err);
    }
    ok = read_window(o, &what, &err) && rt_db_open(database, &db, &err) &&
         rt_report_timeline_check(db, &what, &err) &&
         write_timeline(db, path, database, &what, &count, &err);
    rt_db_close(db);
    if (!ok)
        return cli_fail(&err);
    note_result(path, &count);
    return EXIT_SUCCESS;
}
