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
#include <stdint.h>
#include <stdio.h>

#define RT_TRACE_MAX_LINE_BYTES (64u << 20)
#define RT_TRACE_LENGTH_BINS    42u
#define RT_TRACE_RATE_BINS      120u

struct rt_trace; /* an open file */

struct rt_trace_info {
    const char *format; /* name in rt_trace_formats */
    const char *path;
    uint32_t block_size; /* tokens a hash id names: as told, as the file says or by custom; 0 = the
                            format has no hash ids */
};

/* Name and one line of help of every format, for --help and error messages. */
struct rt_trace_format_info {
    const char *name, *help;
};
unsigned rt_trace_format_count(void);
struct rt_trace_format_info rt_trace_format_info(unsigned i);

struct rt_trace_options {
    const char *format;  /* NULL or "auto" = told by the first bytes */
    const char *columns; /* of the format "columns": arrival=ts:ms,prompt=in,output=out; or NULL */
    uint32_t block_size; /* tokens a hash id names, 0 = what the file or the format says */
    bool drop_failed;    /* leave requests out that the log calls failed */
    uint64_t seed;       /* of formats that draw their requests (servegen) */
};
/* `path` "-" is standard input. */
bool rt_trace_open_with(const char *path, const struct rt_trace_options *options,
                        struct rt_trace **out, struct rt_err *err) RT_MUST_USE;
/* The same with nothing but a format. */
bool rt_trace_open(const char *path, const char *format, struct rt_trace **out,
                   struct rt_err *err) RT_MUST_USE;
void rt_trace_free(struct rt_trace *t);
const struct rt_trace_info *rt_trace_info(const struct rt_trace *t);
/* 1: *out is the next row as the file tells it (id = its place in the file; arrival_ns is neither
 * rebased nor sorted, nanoseconds since 1970 for absolute stamps; tokens may be 0); 0: end;
 * -1: error, after which the trace can only be rewound or freed. session and hash_ids stay valid
 * until the next call. */
int rt_trace_read(struct rt_trace *t, struct rt_request *out, struct rt_err *err) RT_MUST_USE;
/* What reading met since the start of the file. */
struct rt_trace_counts {
    uint64_t rows;     /* requests answered */
    uint64_t failed;   /* rows that the log calls failed, answered or not */
    uint64_t left_out; /* rows that are no requests (other events, cache hits), or were dropped */
};
struct rt_trace_counts rt_trace_counts(const struct rt_trace *t);
/* Back to the first row (fails on a pipe). Names keep their indices. */
bool rt_trace_rewind(struct rt_trace *t, struct rt_err *err) RT_MUST_USE;
const char *rt_trace_name(const struct rt_trace *t, uint32_t name);

/* Statistics as the surveys of traces print them. Percentiles by nearest rank; the inter-arrival CV
 * is population sd / mean of the gaps in time order; peak per fixed minute from the first arrival.
 */
struct rt_trace_lengths {
    double mean;
    int64_t min, max, sum, p50, p90, p95, p99;
    uint64_t at_max;                     /* requests of the largest length */
    bool capped;                         /* so many of them that the log looks cut off there */
    uint64_t bins[RT_TRACE_LENGTH_BINS]; /* requests of 0 tokens, of [2^(i-1), 2^i) */
};
/* What an infinite prefix cache would find, blocks entering at arrival, in the order of time. */
struct rt_trace_prefix {
    uint64_t hit_blocks, total_blocks, distinct_blocks; /* hit: of the leading run */
    int64_t hit_tokens, total_tokens; /* hit: min(blocks * block_size, prompt), over all requests */
    uint64_t rows, ceil_rows, floor_rows; /* with ids; of them, as many as the prompt's blocks, the
                                             partial one counted or not */
    bool bounded; /* memory_bytes was reached: old blocks were forgotten, the hits are too few */
};
struct rt_trace_stat {
    const char *format;
    uint32_t block_size; /* tokens a hash id names; 0 = the format has none */
    struct rt_trace_counts counts;
    uint64_t requests;
    double first_s,
        duration_s; /* first_s: earliest stamp, as in the file (since 1970 if absolute) */
    double mean_per_min, peak_per_min, cv_interarrival, max_gap_s;
    int64_t resolution_ns; /* all stamps are the first plus a multiple of it; 0 = all are equal */
    double step_s;         /* arrivals come in batches, so far apart; 0 = they do not */
    uint64_t zero_gaps, zero_prompts, zero_outputs, unsorted;
    uint64_t sessions, classes, hash_ids; /* distinct sessions; distinct classes; hash ids in all */
    bool sessions_bounded;                /* memory_bytes was reached: some may count twice */
    struct rt_trace_lengths prompt, output;
    struct rt_trace_prefix prefix;
    double rate_bin_s;                      /* width of a rate bin: a power of two */
    uint64_t rate_bins[RT_TRACE_RATE_BINS]; /* arrivals since the first */
};
struct rt_trace_stat_options {
    struct rt_trace_options trace;
    uint64_t memory_bytes; /* for the blocks and sessions seen; 0 = 1 GiB */
};
/* Reads the whole trace in the order of time (see sort_window.c), in constant memory: it follows
 * the number of different lengths, and of blocks and sessions up to memory_bytes. */
bool rt_trace_stat_with(const char *path, const struct rt_trace_stat_options *options,
                        struct rt_trace_stat *out, struct rt_err *err) RT_MUST_USE;
bool rt_trace_stat(const char *path, const char *format, struct rt_trace_stat *out,
                   struct rt_err *err) RT_MUST_USE;

/* Writing a trace of any format in one of two forms, in the order of time. */
enum rt_trace_form { RT_FORM_JSONL, RT_FORM_MOONCAKE };
struct rt_trace_converted {
    uint64_t rows;
    uint32_t block_size; /* of the hash ids written, 0 = none */
    const char *format;  /* read */
    struct rt_trace_counts counts;
};
/* "jsonl" or "mooncake". */
bool rt_trace_form_of(const char *name, enum rt_trace_form *out, struct rt_err *err) RT_MUST_USE;
bool rt_trace_convert(const char *path, const struct rt_trace_options *options,
                      enum rt_trace_form form, FILE *out, struct rt_trace_converted *done,
                      struct rt_err *err) RT_MUST_USE;

#endif
