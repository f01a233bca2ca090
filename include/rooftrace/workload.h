/* workload/workload.h: the scenario's section `workload`, and the source it describes.
 *
 * Transformations, in this order whatever the order of the keys: window_s [from, to) on original
 * times, rebased so that `from` is 0; spread_s; max_requests; repeat (N copies, each shifted by
 * span + mean gap; session ids kept); rate_scale (2 = twice the requests per second; time_scale is
 * its inverse); what transform.h lists. The load shapes of load.h come last. A mix merges the
 * requests of several sections, each with transformations of its own, in the place of one trace's;
 * then come those of the section itself. Traces with absolute stamps (first stamp above 1e8 s) are
 * rebased so that the first arrival is 0 before anything else; relative times are kept. Instead of
 * a trace, traffic can be made: synthetic.h. */
#ifndef RT_WORKLOAD_H
#define RT_WORKLOAD_H

#include "rooftrace/json.h"
#include "rooftrace/load.h"
#include "rooftrace/source.h"
#include "rooftrace/synthetic.h"
#include "rooftrace/transform.h"

struct rt_mix_part; /* an element of workload.mix */

struct rt_workload_spec {
    char *trace;        /* path; owned */
    char format[32];    /* name in rt_trace_formats, or "auto" */
    double rate_scale;  /* > 0; 1 */
    uint64_t repeat;    /* >= 1; 1 */
    double window_s[2]; /* [from, to); {0, INFINITY} = whole trace */
    bool has_window;
    uint64_t max_requests; /* UINT64_MAX = all */
    uint32_t block_size;   /* tokens a hash id of the trace names; 0 = the format's default */
    struct rt_load_spec load;
    struct rt_synthetic synthetic; /* instead of a trace when synthetic.requests > 0 */
    uint64_t seed;                 /* of what is drawn: the scenario's; 1 */
    char *columns;    /* what the columns of a file of any other form mean, or NULL; owned */
    bool drop_failed; /* leave out requests that the log calls failed; false */
    struct rt_transform_spec transform;
    struct rt_mix_part *mix; /* instead of a trace when mix_count > 0; owned */
    uint32_t mix_count;      /* at most RT_MAX_MIX */
};

struct rt_mix_part {
    struct rt_workload_spec workload; /* no mix, no load of its own */
    char *class_name;                 /* of all its requests, or NULL: their own; owned */
    double start_s;                   /* added to its times */
};

/* Defaults; no trace yet. */
void rt_workload_init(struct rt_workload_spec *w);
void rt_workload_release(struct rt_workload_spec *w);
/* Reads the section at `at` over *w. Paths resolve against the document's file. */
bool rt_workload_parse(const struct rt_json_at *at, struct rt_workload_spec *w,
                       struct rt_err *err) RT_MUST_USE;
/* Opens the trace, or begins to make synthetic traffic. Reads up to the sort window; a file that is
 * missing, empty or of no known format fails here, before anything else is touched. Caller frees
 * *out with rt_source_free. */
bool rt_workload_open(const struct rt_workload_spec *w, struct rt_source **out,
                      struct rt_err *err) RT_MUST_USE;

#endif
