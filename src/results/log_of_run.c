/* A run of a database as a log of requests. Times are taken as integers, so that nothing is lost on
 * the way through text. O(requests of the run). */
#include "request_log_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char columns[] =
    "SELECT q.request_id, q.arrival_ns, q.first_token_ns, q.finish_ns, q.prompt_tokens,"
    " q.output_tokens, q.status = 'ok', r.frontend_ns"
    " FROM request AS q JOIN run AS r ON r.run_id = q.run_id WHERE q.run_id = %" PRId64
    " ORDER BY q.request_id";

struct filling {
    struct rt_log_builder builder;
    struct rt_err *err;
    bool ok;
};

static int64_t whole(const char *text)
{
    return text != NULL ? strtoll(text, NULL, 10) : 0;
}

/* From a to b in seconds, NaN when one never happened. */
static double span_s(const char *a, const char *b, int64_t more_ns)
{
    if (a == NULL || b == NULL)
        return (double)NAN;
    return (double)(whole(b) - whole(a) + more_ns) / 1e9;
}

static bool on_row(void *user, int count, const char *const *names, const char *const *v)
{
    struct filling *f = user;
    struct rt_log_row *row = &f->builder.row;
    int64_t frontend_ns = whole(v[7]);

    (void)count;
    (void)names;
    rt_log_row_begin(&f->builder);
    f->builder.id_given = true;
    row->id = (uint64_t)whole(v[0]);
    row->arrival_s = (double)whole(v[1]) / 1e9;
    row->prompt_tokens = whole(v[4]);
    row->output_tokens = whole(v[5]);
    row->ok = whole(v[6]) != 0;
    if (row->ok) {
        row->ttft_s = span_s(v[1], v[2], frontend_ns);
        row->e2e_s = span_s(v[1], v[3], frontend_ns);
        if (row->output_tokens > 1)
            row->tpot_s = span_s(v[2], v[3], 0) / (double)(row->output_tokens - 1);
    }
    f->ok = rt_log_row_end(&f->builder, f->err);
    return f->ok;
}

static void itl_of(const struct rt_summary_metric *m, uint64_t gaps, struct rt_log_stats *out)
{
    *out = (struct rt_log_stats){gaps,         m->mean / 1e3, m->median / 1e3,
                                 m->p90 / 1e3, m->p95 / 1e3,  m->p99 / 1e3};
}

static bool on_count(void *user, int count, const char *const *names, const char *const *v)
{
    (void)count;
    (void)names;
    *(uint64_t *)user = (uint64_t)whole(v[0]);
    return true;
}

static bool read_itl(struct rt_db *db, const struct rt_run_summary *run, struct rt_log_stats *out,
                     struct rt_err *err)
{
    char sql[160];
    uint64_t gaps = 0;

    snprintf(sql, sizeof sql,
             "SELECT count FROM metric WHERE run_id = %" PRId64
             " AND scope = 'run' AND class IS NULL AND metric = 'itl_s'",
             run->run_id);
    if (!rt_db_select(db, sql, on_count, &gaps, err))
        return false;
    itl_of(&run->itl, gaps, out);
    return true;
}

static bool fill(struct rt_db *db, const struct rt_run_summary *run, struct rt_request_log *out,
                 struct rt_err *err)
{
    struct filling f = {.err = err, .ok = true};
    char sql[sizeof columns + 24], name[32];
    bool ok;

    rt_log_builder_init(&f.builder, out);
    snprintf(sql, sizeof sql, columns, run->run_id);
    ok = rt_db_select(db, sql, on_row, &f, err) && f.ok;
    rt_log_builder_release(&f.builder);
    if (!ok)
        return false;
    snprintf(name, sizeof name, "run %" PRId64, run->run_id);
    if (out->count == 0)
        return rt_fail(err, RT_EDB,
                       "%s has no rows of requests: was it made with --no-requests, or killed?",
                       name);
    out->duration_s = run->duration_s;
    out->name = strdup(name);
    return out->name != NULL || rt_fail_nomem(err, name);
}

bool rt_log_of_run(struct rt_db *db, int64_t run_id, struct rt_request_log *out, struct rt_err *err)
{
    struct rt_run_summary *run = malloc(sizeof *run); /* texts of 6 KiB */
    bool ok;

    *out = (struct rt_request_log){0};
    if (run == NULL)
        return rt_fail_nomem(err, "a run");
    ok = rt_db_summary(db, run_id, run, err) && fill(db, run, out, err) &&
         read_itl(db, run, &out->itl, err);
    free(run);
    if (!ok)
        rt_log_release(out);
    return ok;
}
