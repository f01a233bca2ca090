/* What the readers of measured logs share: which names mean what, and a log that grows.
 *
 *     measured_names   "Time to First Token (ms)" -> field TTFT, times 1e-3
 *     measured         a value of a field into the row; rows, gaps and ids into the log; CSV
 *     measured_json    JSON lines and vLLM's result file */
#ifndef RT_REQUEST_LOG_INTERNAL_H
#define RT_REQUEST_LOG_INTERNAL_H

#include "rooftrace/records.h"
#include "rooftrace/request_log.h"

enum rt_log_field {
    RT_LOG_ID,
    RT_LOG_ARRIVAL,
    RT_LOG_PROMPT,
    RT_LOG_OUTPUT,
    RT_LOG_TTFT,
    RT_LOG_TPOT,
    RT_LOG_E2E,
    RT_LOG_ERROR,   /* a text that is not empty: it failed */
    RT_LOG_SUCCESS, /* false, 0: it failed */
    RT_LOG_FIELD_COUNT
};

struct rt_log_name {
    const char *name; /* normalised */
    enum rt_log_field field;
    double scale; /* of a time: seconds a unit; 0: the name lacks its unit */
};

#define RT_LOG_NAME_SIZE 128
/* Lower case, everything but letters and digits as single '_'; a long name is cut. */
void rt_log_normalise(const char *text, size_t len, char out[RT_LOG_NAME_SIZE]);
/* NULL: a column to ignore. */
const struct rt_log_name *rt_log_name_find(const char *normalised);

/* A column the file has, and what it stands for. */
struct rt_log_binding {
    bool bound;
    double scale;
    uint32_t place;              /* of a CSV field */
    char name[RT_LOG_NAME_SIZE]; /* as it is compared: normalised, or as given by hand */
    bool by_hand;
};

struct rt_log_mapping {
    struct rt_log_binding field[RT_LOG_FIELD_COUNT];
};
/* What the user mapped. */
bool rt_log_mapping_init(struct rt_log_mapping *m, const char *const *columns, unsigned count,
                         struct rt_err *err) RT_MUST_USE;
#define RT_LOG_ANYWHERE UINT32_MAX
/* A column of the file: binds what it stands for and answers it in *field, RT_LOG_FIELD_COUNT for a
 * column to ignore. RT_ETRACE: a second column for a field, a time without a unit. At the place
 * RT_LOG_ANYWHERE, which is that of JSON keys, a column may be seen again. */
bool rt_log_mapping_see(struct rt_log_mapping *m, const char *name, size_t len, uint32_t place,
                        enum rt_log_field *field, struct rt_err *err) RT_MUST_USE;
/* After the last column: is there enough to compare, and everything that was mapped? */
bool rt_log_mapping_check(const struct rt_log_mapping *m, struct rt_err *err) RT_MUST_USE;

struct rt_log_builder {
    struct rt_request_log *log;
    char prefix[RT_LOG_NAME_SIZE]; /* of ids */
    bool id_given;                 /* of the row in the making */
    struct rt_log_row row;
    uint64_t *gaps; /* bit patterns of seconds: they sort as integers */
    size_t gap_count, gap_capacity;
};
void rt_log_builder_init(struct rt_log_builder *b, struct rt_request_log *log);
void rt_log_builder_release(struct rt_log_builder *b);
void rt_log_row_begin(struct rt_log_builder *b);
/* A number in seconds or tokens. */
bool rt_log_row_set(struct rt_log_row *row, enum rt_log_field f, double value,
                    struct rt_err *err) RT_MUST_USE;
/* TPOT, E2E or TTFT of a request that finished, where it follows from the others. */
void rt_log_row_complete(struct rt_log_row *r);
void rt_log_row_id(struct rt_log_builder *b, const char *text, size_t len);
/* The row of a place, made with those before it where they are missing; its id is its place. NULL:
 * out of memory. */
struct rt_log_row *rt_log_row_at(struct rt_log_builder *b, size_t place,
                                 struct rt_err *err) RT_MUST_USE;
bool rt_log_row_end(struct rt_log_builder *b, struct rt_err *err) RT_MUST_USE;
bool rt_log_gap(struct rt_log_builder *b, double gap_s, struct rt_err *err) RT_MUST_USE;
/* The gaps from this one on were in another unit. */
bool rt_log_scale_gaps(struct rt_log_builder *b, size_t from, double scale,
                       struct rt_err *err) RT_MUST_USE;
/* Sorts the gaps into the log's statistics. */
bool rt_log_finish(struct rt_log_builder *b, struct rt_err *err) RT_MUST_USE;
/* mean, p50, ... of n values (bit patterns), sorted in place; scratch holds n more. */
void rt_log_stats_of(uint64_t *keys, uint64_t *scratch, size_t n, struct rt_log_stats *out);

/* measured_json.c: the records are lines of JSON. */
bool rt_log_read_json(struct rt_records *r, struct rt_log_mapping *m, struct rt_log_builder *b,
                      struct rt_err *err) RT_MUST_USE;

#endif
