/* trace_files.h: trace files for tests: written into a temporary folder, compressed here through
 * zlib and libzstd, read back whole. Everything aborts the test on a failure of its own. */
#ifndef TRACE_FILES_H
#define TRACE_FILES_H

#include "rooftrace/trace.h"
#include "rooftrace/workload.h"

#include <stdbool.h>
#include <stddef.h>

struct trace_dir { /* a temporary folder; the group's state */
    char path[256];
    char file[512]; /* the file written last */
};
int trace_dir_setup(void **state);
int trace_dir_teardown(void **state); /* removes it with all its files */

/* Writes a file; its path stays valid until the next call. */
const char *trace_write(struct trace_dir *d, const char *name, const void *bytes, size_t len);
const char *trace_text(struct trace_dir *d, const char *name, const char *text);

struct blob {
    unsigned char *bytes;
    size_t len;
};
/* One gzip member, one Zstandard frame. Free bytes. */
struct blob gzip_of(const void *bytes, size_t len);
struct blob zstd_of(const void *bytes, size_t len);
struct blob blob_join(struct blob a, struct blob b); /* frees both */

struct trace_rows { /* what a trace or a source answered, with copies of sessions and hash ids */
    struct rt_request *rows;
    size_t count;
    bool failed; /* err says why; rows are those before */
    struct rt_err err;
};
/* Every row of the file as it stands there. */
struct trace_rows read_rows(const char *path, const char *format);
/* Every request of the source; *stats, when not NULL, is what it counted at the end. */
struct trace_rows pull_rows(const struct rt_workload_spec *spec, struct rt_source_stats *stats);
struct trace_rows pull_file(const char *path);
void rows_free(struct trace_rows *r);
/* Fails the test unless r is complete. */
void rows_expect(const struct trace_rows *r, size_t count);

#endif
