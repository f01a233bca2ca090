/* workload/trace.h: trace files, one row at a time, in file order.
 *
 * Plain, .gz and .zst (told by their first bytes) are read as a stream in constant memory. The
 * format is named or recognised by the first line. Errors read file:line:column. A format is one
 * file, readers are one table: see trace_formats.c for how to add one. */
#ifndef RT_TRACE_H
#define RT_TRACE_H

#include "rooftrace/err.h"
#include "rooftrace/request.h"

#include <stddef.h>

#define RT_TRACE_MAX_LINE_BYTES (64u << 20)

struct rt_trace; /* an open file */

struct rt_trace_info {
    const char *format; /* name in rt_trace_formats */
    const char *path;
    uint32_t block_size; /* tokens a hash id names by the format's custom; 0 = no hash ids */
};

/* Name and one line of help of every format, for --help and error messages. */
struct rt_trace_format_info {
    const char *name, *help;
};
unsigned rt_trace_format_count(void);
struct rt_trace_format_info rt_trace_format_info(unsigned i);

/* `path` "-" is standard input; `format` NULL or "auto" = told by the first line. */
bool rt_trace_open(const char *path, const char *format, struct rt_trace **out,
                   struct rt_err *err) RT_MUST_USE;
void rt_trace_free(struct rt_trace *t);
const struct rt_trace_info *rt_trace_info(const struct rt_trace *t);
/* 1: *out is the next row as the file tells it (id = its place in the file; arrival_ns is neither
 * rebased nor sorted, nanoseconds since 1970 for absolute stamps; tokens may be 0); 0: end;
 * -1: error, after which the trace can only be rewound or freed. session and hash_ids stay valid
 * until the next call. */
int rt_trace_read(struct rt_trace *t, struct rt_request *out, struct rt_err *err) RT_MUST_USE;
/* Back to the first row (fails on a pipe). Names keep their indices. */
bool rt_trace_rewind(struct rt_trace *t, struct rt_err *err) RT_MUST_USE;
const char *rt_trace_name(const struct rt_trace *t, uint32_t name);

/* Statistics as the surveys of traces print them. Percentiles by nearest rank; the inter-arrival CV
 * is population sd / mean of the gaps in time order; peak per fixed minute from the first arrival.
 */
struct rt_trace_lengths {
    double mean;
    int64_t min, max, sum, p50, p90, p95, p99;
};
struct rt_trace_stat {
    const char *format;
    uint64_t requests;
    double first_s,
        duration_s; /* first_s: earliest stamp, as in the file (since 1970 if absolute) */
    double mean_per_min, peak_per_min, cv_interarrival, max_gap_s;
    uint64_t zero_gaps, zero_prompts, zero_outputs, unsorted;
    uint64_t sessions, classes, hash_ids; /* distinct sessions; distinct classes; hash ids in all */
    struct rt_trace_lengths prompt, output;
};
/* Reads the whole trace. Memory: 24 bytes a request (exact percentiles). */
bool rt_trace_stat(const char *path, const char *format, struct rt_trace_stat *out,
                   struct rt_err *err) RT_MUST_USE;

#endif
