/* synth_fixture.h: synthetic traffic from the text of a section, for tests. */
#ifndef SYNTH_FIXTURE_H
#define SYNTH_FIXTURE_H

#include "support/test.h"

#include "trace_files.h"

#include <string.h>

/* The section workload.synthetic as *w (release it). */
static inline bool synth_read(const char *section, uint64_t seed, struct rt_workload_spec *w,
                              struct rt_err *err)
{
    struct rt_json *doc;
    rt_workload_init(w);
    w->seed = seed;
    if (!rt_json_parse(section, strlen(section), "test", &doc, err))
        return false;
    struct rt_json_at root = rt_json_root(doc);
    bool ok = rt_synthetic_parse(&root, &w->synthetic, err);
    rt_json_free(doc);
    return ok;
}

/* All its requests; the test fails when there is an error. */
static inline struct trace_rows synth_rows(const char *section, uint64_t seed)
{
    struct rt_workload_spec w;
    struct rt_err err = {0};
    assert_ok(synth_read(section, seed, &w, &err), &err);
    struct trace_rows rows = pull_rows(&w, NULL);
    if (rows.failed)
        fail_msg("%s: %s", section, rows.err.msg);
    rt_workload_release(&w);
    return rows;
}

#endif
