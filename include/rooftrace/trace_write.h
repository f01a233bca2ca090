/* workload/trace_write.h: requests into a file in rooftrace's own formats, which its readers read
 * back to the same requests: every stamp to the nanosecond, hash ids as 64-bit integers.
 *
 * JSONL carries everything; CSV everything but hash ids, with a column for each field that is told
 * beforehand. Rows are written in the order they come, into a stream that the caller opened. O(1) a
 * row and O(1) a hash id; no memory of its own. */
#ifndef RT_TRACE_WRITE_H
#define RT_TRACE_WRITE_H

#include "rooftrace/traffic.h"

#include <stdio.h>

enum rt_trace_file_kind { RT_TRACE_CSV, RT_TRACE_JSONL };

/* By the end of the path: .jsonl (.json, .ndjson) or .csv. false: neither. */
bool rt_trace_file_kind(const char *path, enum rt_trace_file_kind *out) RT_MUST_USE;

struct rt_trace_writer {
    FILE *file;       /* the caller's */
    const char *path; /* of it, for messages */
    enum rt_trace_file_kind kind;
    unsigned fields;               /* bits of enum rt_traffic_field: columns of a CSV */
    const struct rt_source *names; /* of classes, models and tenants */
};

/* Writes what stands before the first row. */
bool rt_trace_writer_begin(const struct rt_trace_writer *w, struct rt_err *err) RT_MUST_USE;
bool rt_trace_writer_put(const struct rt_trace_writer *w, const struct rt_request *r,
                         struct rt_err *err) RT_MUST_USE;
/* Flushes: what could not be written is an error (RT_EIO), here at the latest. */
bool rt_trace_writer_end(const struct rt_trace_writer *w, struct rt_err *err) RT_MUST_USE;

#endif
