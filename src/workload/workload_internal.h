/* workload_internal.h: what the files of src/workload share. They stand on each other like this,
 * each knowing only the one before it:
 *
 *     byte_stream   bytes of a file, decompressed
 *     line_reader   lines, numbered
 *     csv           records of fields         (json_row: yajl's events)
 *     records       either of the two for others: include/rooftrace/records.h
 *     csv_table     columns by name -> fields (the CSV formats are tables)
 *     trace         one open file of one format, names interned: include/rooftrace/trace.h
 *     sort_window   rows in time order, bounded look-ahead
 *     source_trace  windows, copies and scaling: an rt_source
 *
 * number, stamp, names and fields are what several of them need. */
#ifndef RT_WORKLOAD_INTERNAL_H
#define RT_WORKLOAD_INTERNAL_H

#include "rooftrace/arena.h"
#include "rooftrace/err.h"
#include "rooftrace/records.h"
#include "rooftrace/trace.h"
#include "rooftrace/workload.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- number.c: text to numbers, strictly. text[len] must be readable and must not continue the
 * number (a comma, a newline, a NUL ...). */
enum rt_number {
    RT_NUMBER_OK,
    RT_NUMBER_SYNTAX,   /* not a decimal number */
    RT_NUMBER_FRACTION, /* a number, but not a whole one */
    RT_NUMBER_RANGE     /* too large for the type */
};
/* The nearest double, ties to even: what strtod and Python's float() give. No hex, inf or nan. */
enum rt_number rt_number_double(const char *text, size_t len, double *out);
/* A whole number as sign and magnitude. 5.0 and 5e0 are whole, too: JSON has one number type. */
enum rt_number rt_number_whole(const char *text, size_t len, bool *negative, uint64_t *magnitude);

/* ---- stamp.c */
/* "2023-11-16 18:15:46.6805900", "...+00:00" or "2024-10-15T12:00:00.269Z" to ns since 1970. */
bool rt_stamp_parse(const char *text, size_t len, int64_t *out_ns);

/* ---- names.c: texts as small numbers, and checked text. */
#define RT_TEXT_MAX_CHARS  256u /* of a class, model, tenant or session id */
#define RT_TEXT_MAX_BYTES  (RT_TEXT_MAX_CHARS * 4u)
#define RT_TRACE_MAX_NAMES 65535u

struct rt_names {
    struct rt_arena texts;
    const char **by_index;                /* [0] is "" */
    uint32_t *table;                      /* open addressing; 0 = free, else an index */
    uint32_t count, capacity, table_size; /* count includes the empty name */
    uint32_t limit;                       /* largest index that may be given */
};
bool rt_names_init(struct rt_names *n, uint32_t limit, struct rt_err *err) RT_MUST_USE;
void rt_names_release(struct rt_names *n);
/* Index of the text, new or known; 0 for the empty one. O(len). */
bool rt_names_add(struct rt_names *n, const char *text, size_t len, uint32_t *out,
                  struct rt_err *err) RT_MUST_USE;
/* UTF-8 of at most RT_TEXT_MAX_CHARS characters and no NUL; otherwise says what is wrong. */
bool rt_text_check(const char *text, size_t len, struct rt_err *err) RT_MUST_USE;
/* The text for a message: in quotes, unprintable bytes escaped, cut after about 40 bytes. */
#define RT_EXCERPT_BYTES 64
const char *rt_excerpt(const char *text, size_t len, char buf[RT_EXCERPT_BYTES]);

/* ---- byte_stream.c */
struct rt_bytes;
bool rt_bytes_open(const char *path, struct rt_bytes **out, struct rt_err *err) RT_MUST_USE;
void rt_bytes_free(struct rt_bytes *b);
/* Fills buf as far as the input goes in one step; *got == 0 only at the end. cap > 0. */
bool rt_bytes_read(struct rt_bytes *b, char *buf, size_t cap, size_t *got,
                   struct rt_err *err) RT_MUST_USE;
bool rt_bytes_rewind(struct rt_bytes *b, struct rt_err *err) RT_MUST_USE;
bool rt_bytes_can_rewind(const struct rt_bytes *b);
/* The shell command that decompresses: "gzip -dc", "zstd -dc", or NULL for a plain file. */
const char *rt_bytes_decoder(const struct rt_bytes *b);

/* ---- line_reader.c */
struct rt_lines {
    struct rt_bytes *bytes; /* owned */
    const char *path;       /* for messages */
    char *buf;              /* capacity + 1 bytes: the byte after a line is always writable */
    size_t capacity;
    size_t start, next, end; /* current line, the one after it, valid bytes */
    uint64_t number;         /* of the current line, from 1 */
    uint32_t height;         /* lines the current one spans: 1, more after rt_lines_extend */
    bool at_end, has_nul, pushed_back;
    char *text; /* the current line without its end (LF or CR LF); writable, as is text[len] */
    size_t len;
};
bool rt_lines_open(const char *path, struct rt_lines *l, struct rt_err *err) RT_MUST_USE;
void rt_lines_close(struct rt_lines *l);
/* 1: text and len are the next line; 0: end; -1: error. */
int rt_lines_next(struct rt_lines *l, struct rt_err *err) RT_MUST_USE;
/* Makes the current line longer by the next one, its own end included (a quoted line break). */
int rt_lines_extend(struct rt_lines *l, struct rt_err *err) RT_MUST_USE;
/* The next call of rt_lines_next answers the current line again. */
void rt_lines_push_back(struct rt_lines *l);
bool rt_lines_rewind(struct rt_lines *l, struct rt_err *err) RT_MUST_USE;
/* Puts path:line:column in front of the message, for byte `offset` of the current line. */
bool rt_lines_fail_in(const struct rt_lines *l, size_t offset, struct rt_err *err);
bool rt_line_is_blank(const char *text, size_t len);

/* ---- csv.c */
struct rt_csv {
    struct rt_lines *lines; /* borrowed */
    struct rt_csv_field *fields;
    uint32_t count, capacity;
};
#define RT_CSV_MAX_FIELDS 4096u
void rt_csv_release(struct rt_csv *c);
/* 1: fields[0..count) are the next record that is not blank; 0: end; -1: error. */
int rt_csv_next(struct rt_csv *c, struct rt_err *err) RT_MUST_USE;

/* ---- fields.c: what a row may tell, whatever the format. */
enum rt_field {
    RT_FIELD_NONE, /* a column to ignore */
    RT_FIELD_ARRIVAL_S,
    RT_FIELD_ARRIVAL_MS,
    RT_FIELD_ARRIVAL_STAMP, /* a calendar time */
    RT_FIELD_PROMPT,
    RT_FIELD_OUTPUT,
    RT_FIELD_HASH_IDS,
    RT_FIELD_CLASS,
    RT_FIELD_MODEL,
    RT_FIELD_SESSION,
    RT_FIELD_THINK_S,
    RT_FIELD_PRIORITY,
    RT_FIELD_DEADLINE_S,
    RT_FIELD_TENANT,
    RT_FIELD_COUNT
};
struct rt_field_name { /* a column or key, and what it stands for */
    const char *name;
    enum rt_field field;
};
/* "a whole number from 0 to 1099511627776" */
const char *rt_field_expected(enum rt_field f);
bool rt_field_is_text(enum rt_field f);
void rt_request_clear(struct rt_request *r);
/* Reads the text (see number.c for text[len]) into the request's field; false with a message of
 * the kind `expected ..., read ...`. */
bool rt_field_set(struct rt_trace *t, enum rt_field f, const char *text, size_t len,
                  struct rt_request *r, struct rt_err *err) RT_MUST_USE;
/* A session id that is a number: kept as its decimal text. */
bool rt_field_session_number(struct rt_trace *t, const char *text, size_t len, struct rt_request *r,
                             struct rt_err *err) RT_MUST_USE;
bool rt_field_hash_id(const char *text, size_t len, uint64_t *out, struct rt_err *err) RT_MUST_USE;

/* ---- trace.c and trace_formats.c */
struct rt_trace_format {
    const char *name, *help;
    uint32_t block_size; /* tokens a hash id names by custom, 0 = no hash ids */
    bool (*matches)(const char *line, size_t len); /* is this the first line of such a file? */
    /* Allocates t->state and reads the header, if the format has one. */
    bool (*open)(struct rt_trace *t, struct rt_err *err);
    /* 1, 0, -1 as rt_trace_read, which sets the id. */
    int (*read)(struct rt_trace *t, struct rt_request *out, struct rt_err *err);
    bool (*rewind)(struct rt_trace *t, struct rt_err *err); /* lines are at the start again */
    void (*close)(struct rt_trace *t);                      /* frees t->state, which may be NULL */
    /* A shell command that sorts what it reads by time and says where to. */
    void (*sort_command)(const struct rt_trace *t, char *buf, size_t size);
};
extern const struct rt_trace_format rt_format_native_csv, rt_format_azure, rt_format_mooncake,
    rt_format_jsonl;
extern const struct rt_trace_format *const rt_trace_formats[];
extern const unsigned rt_trace_formats_count;

struct rt_name_memo { /* the last text a field was given: most rows repeat it */
    const char *text;
    size_t len;
    uint32_t index;
};
struct rt_trace {
    const struct rt_trace_format *format;
    struct rt_trace_info info;
    char *path;
    struct rt_lines lines;
    struct rt_names names;
    struct rt_name_memo memo[RT_FIELD_COUNT];
    char session[RT_TEXT_MAX_BYTES + 1]; /* of the current row */
    uint64_t rows;                       /* read since the start of the file */
    void *state;                         /* the format's */
};
bool rt_trace_can_rewind(const struct rt_trace *t);
/* "trace.csv:17: ", for errors found only when rows are put in order. */
bool rt_trace_fail_in(const struct rt_trace *t, struct rt_err *err);
/* The whole pipeline, decompression included, that writes the file sorted. Returns buf. */
const char *rt_trace_sort_command(const struct rt_trace *t, char *buf, size_t size);

/* ---- json_row.c */
struct rt_json_row;
bool rt_json_row_new(struct rt_trace *t, struct rt_json_row **out, struct rt_err *err) RT_MUST_USE;
void rt_json_row_free(struct rt_json_row *s);
/* Reads the trace's current line. */
bool rt_json_row_parse(struct rt_json_row *s, struct rt_request *out,
                       struct rt_err *err) RT_MUST_USE;

/* ---- csv_table.c: a CSV format is a table of columns. */
struct rt_csv_column {
    struct rt_field_name column;
    bool required;
};
bool rt_csv_table_open(struct rt_trace *t, const struct rt_csv_column *columns, unsigned count,
                       struct rt_err *err) RT_MUST_USE;
int rt_csv_table_read(struct rt_trace *t, struct rt_request *out, struct rt_err *err) RT_MUST_USE;
bool rt_csv_table_rewind(struct rt_trace *t, struct rt_err *err) RT_MUST_USE;
void rt_csv_table_close(struct rt_trace *t);
/* A sort command by the arrival column; `numeric` or by its text. */
void rt_csv_table_sort_command(const struct rt_trace *t, bool numeric, char *buf, size_t size);
/* Is `name` one of the columns of this header line? Quotes and blanks around it do not matter. */
bool rt_csv_header_has(const char *line, size_t len, const char *name);

/* ---- sort_window.c: rows of a trace in (key, id) order. */
#define RT_WINDOW_ROWS  65536u
#define RT_WINDOW_BYTES (32u << 20)

/* key = llrint((arrival - origin + shift) / rate), the time the simulation sees. */
struct rt_time_map {
    int64_t origin_ns; /* taken off every stamp */
    int64_t shift_ns;  /* added for the copies of --repeat */
    double rate;       /* 1 = as recorded */
};
/* INT64_MAX when the result is beyond it. */
int64_t rt_time_map_key(const struct rt_time_map *m, int64_t arrival_ns);

struct rt_window;
bool rt_window_new(struct rt_trace *t, struct rt_window **out, struct rt_err *err) RT_MUST_USE;
void rt_window_free(struct rt_window *w);
/* Reads ahead as far as the window goes; *first_ns is the least stamp, the trace's first arrival.
 * false: there is no row that can be read (*err says why). */
bool rt_window_prime(struct rt_window *w, int64_t *first_ns, struct rt_err *err) RT_MUST_USE;
/* Keys from now on, those of the rows in the window included. */
void rt_window_map(struct rt_window *w, const struct rt_time_map *map);
/* 1: *out is the next row, arrival_ns as in the file, valid until the next call; 0: end; -1: error,
 * after every row that could be read was answered. */
int rt_window_next(struct rt_window *w, const struct rt_request **out, int64_t *key,
                   struct rt_err *err) RT_MUST_USE;
/* Empties the window and rewinds the trace. */
bool rt_window_rewind(struct rt_window *w, struct rt_err *err) RT_MUST_USE;
/* Rows that came earlier than the row before, since the last rewind. */
uint64_t rt_window_unsorted(const struct rt_window *w);

/* ---- source_trace.c */
bool rt_trace_source_new(struct rt_trace *t, const struct rt_workload_spec *spec,
                         struct rt_source **out, struct rt_err *err) RT_MUST_USE;

#endif
