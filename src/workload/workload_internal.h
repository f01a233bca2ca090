/* workload_internal.h: what the files of src/workload share. They stand on each other like this,
 * each knowing only the one before it:
 *
 *     byte_stream   bytes of a file, decompressed
 *     line_reader   lines, numbered
 *     csv           records of fields              json_pull    JSON tokens of a stream
 *     records       either of the two for others: include/rooftrace/records.h
 *     csv_table     columns by name -> fields      json_shape   members by name -> fields
 *     format_*      a table of columns or members, and what its rows mean (a `finish` hook)
 *     trace         one open file of one format, names interned: include/rooftrace/trace.h
 *     sort_window   rows in time order, bounded look-ahead
 *     source_trace  windows, copies and scaling: an rt_source
 *     transform_*   what else is done to requests, up to the load: transform_internal.h
 *
 * number, stamp, names, fields and turns are what several of them need. */
#ifndef RT_WORKLOAD_INTERNAL_H
#define RT_WORKLOAD_INTERNAL_H

#include "rooftrace/arena.h"
#include "rooftrace/err.h"
#include "rooftrace/hist.h"
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
/* The number times 10^power, rounded half to even. Exact in integers when the product is whole;
 * what is finer goes through the nearest double. RT_NUMBER_RANGE beyond [0, max]. */
enum rt_number rt_number_scaled(const char *text, size_t len, int power, int64_t max, int64_t *out);

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
/* Bytes of the UTF-8 character at p, 0 when there is none: overlong forms, surrogates, NUL and what
 * is beyond U+10FFFF are none (RFC 3629). */
size_t rt_utf8_length(const unsigned char *p, size_t left);
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
/* The first 64 KiB or the first line that is not blank, whichever ends first, without taking it. At
 * the end of an empty file *len is 0. */
bool rt_lines_peek(struct rt_lines *l, const char **text, size_t *len, struct rt_err *err);
/* For readers that are not made of lines: reads more behind buf[keep..end), which moves to the
 * front; a NUL follows the last byte. Fails when more than 64 MiB are kept. */
bool rt_lines_more(struct rt_lines *l, size_t keep, struct rt_err *err) RT_MUST_USE;
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

/* A step of splitmix64 over both: ids that are only unique within a session, or that are not
 * chained, become names of prefixes. */
uint64_t rt_mix_ids(uint64_t a, uint64_t b);
uint64_t rt_hash_text(const char *text, size_t len); /* FNV-1a */

/* ---- fields.c: what a row may tell, whatever the format. */
enum rt_field {
    RT_FIELD_NONE, /* to ignore */
    RT_FIELD_ARRIVAL,
    RT_FIELD_PROMPT,
    RT_FIELD_OUTPUT,
    RT_FIELD_HASH_IDS,
    RT_FIELD_CLASS,
    RT_FIELD_MODEL,
    RT_FIELD_SESSION,
    RT_FIELD_THINK,
    RT_FIELD_PRIORITY,
    RT_FIELD_DEADLINE,
    RT_FIELD_TENANT,
    /* From here on not part of a request: read for the format's `finish` hook. */
    RT_FIELD_PREFIX,     /* tokens of the prompt that PROMPT does not count */
    RT_FIELD_WAIT_AFTER, /* think time of the session's next turn */
    RT_FIELD_WAIT_TOO,   /* adds to the think time */
    RT_FIELD_KEY,        /* id of this request */
    RT_FIELD_PARENT,     /* and of the one that it continues */
    RT_FIELD_FAILURE,    /* a text that tells of a failure unless it is a known good one */
    RT_FIELD_CACHED,     /* true: answered by a cache in front, no engine saw it */
    RT_FIELD_BLOCK_SIZE, /* tokens of a hash id */
    RT_FIELD_GROUP,      /* name of what shares a prefix */
    RT_FIELD_KIND,       /* text for the hook */
    RT_FIELD_COUNT
};
enum rt_time_unit { /* of a time; durations are never stamps */
                    RT_UNIT_S,
                    RT_UNIT_MS,
                    RT_UNIT_US,
                    RT_UNIT_NS,
                    RT_UNIT_STAMP,      /* a calendar time */
                    RT_UNIT_STAMP_OR_NS /* a calendar time, or ns since 1970 */
};
#define RT_BIT(field) (UINT32_C(1) << (field))
struct rt_field_ref {
    enum rt_field field;
    enum rt_time_unit unit;
};
#define RT_KIND_MAX 31u
struct rt_row { /* a row being read */
    struct rt_request r;
    uint32_t seen; /* RT_BIT of every field that was given */
    uint64_t *ids; /* r.hash_ids, for hooks that rename them */
    int64_t prefix_tokens, wait_after_ns, wait_too_ns, block_size;
    uint64_t key, parent, group; /* hashes of the ids, as text */
    bool parent_none;            /* the id given says: no parent */
    bool failed, cached;
    bool left_out; /* set by a hook: no request after all */
    char kind[RT_KIND_MAX + 1];
    char session[RT_TEXT_MAX_BYTES + 1];
};
void rt_row_clear(struct rt_row *row);
/* The same fields, session included; *to owns its texts. */
void rt_row_copy(struct rt_row *to, const struct rt_row *from);
/* "a whole number from 0 to 1099511627776" */
const char *rt_field_expected(struct rt_field_ref f);
bool rt_field_is_text(enum rt_field f);
/* Reads the text (see number.c for text[len]) into the row's field; false with a message of the
 * kind `expected ..., read ...`. Marks the field as seen. */
bool rt_field_set(struct rt_trace *t, struct rt_field_ref f, const char *text, size_t len,
                  struct rt_row *row, struct rt_err *err) RT_MUST_USE;
/* A session id that is a number: kept as its decimal text. */
bool rt_field_session_number(const char *text, size_t len, struct rt_row *row,
                             struct rt_err *err) RT_MUST_USE;
bool rt_field_hash_id(const char *text, size_t len, uint64_t *out, struct rt_err *err) RT_MUST_USE;

/* ---- turns.c: the requests read last, by id, for files that tell of a turn by the one before it.
 * The last 65,536 are known; what was forgotten is as if it had never been there. */
struct rt_turn {
    uint64_t key;
    int64_t arrival_ns, wait_ns; /* wait_ns: think time of the next turn, -1 = not told */
    uint64_t root;               /* key of the conversation's first request */
};
struct rt_turns;
bool rt_turns_new(struct rt_turns **out, struct rt_err *err) RT_MUST_USE;
void rt_turns_free(struct rt_turns *s);
void rt_turns_clear(struct rt_turns *s);
const struct rt_turn *rt_turns_find(const struct rt_turns *s, uint64_t key); /* NULL: unknown */
void rt_turns_put(struct rt_turns *s, const struct rt_turn *turn);
/* The row continues what its session or its parent (rt_row) said before: its conversation's root
 * names the session when the row names none, the think time comes from the turn before it, and it
 * arrives no earlier than that turn and the wait behind it; then the row itself is remembered. */
void rt_turns_follow(struct rt_turns *s, struct rt_row *row);

/* ---- trace.c and trace_formats.c */
struct rt_trace_reader { /* how files of a kind are read */
    /* Allocates t->state and reads the header, if the format has one. */
    bool (*open)(struct rt_trace *t, struct rt_err *err);
    /* 1: the next row is in t->row; 0: end; -1: error. */
    int (*read)(struct rt_trace *t, struct rt_err *err);
    bool (*rewind)(struct rt_trace *t, struct rt_err *err); /* bytes are at the start again */
    void (*close)(struct rt_trace *t);                      /* frees t->state, which may be NULL */
    /* A shell command that sorts what it reads by time and says where to; "" = there is none. */
    void (*sort_command)(const struct rt_trace *t, char *buf, size_t size);
};
extern const struct rt_trace_reader rt_csv_reader, rt_json_reader, rt_bench_reader,
    rt_servegen_reader;

struct rt_csv_column { /* a column of a CSV format */
    const char *name;
    struct rt_field_ref to;
    bool required; /* in every row */
    bool named;    /* in the header, if only there */
};
struct rt_json_shape;
struct rt_json_member { /* a member of a JSON object: a value, or something with members */
    const char *name;
    struct rt_field_ref to;
    const struct rt_json_shape *object; /* an object */
    const struct rt_json_shape *items;  /* an array of objects */
    const struct rt_json_shape *pairs;  /* an object, or [{"key": k, "value": {"kind": v}}, ...] */
};
struct rt_json_shape {
    const struct rt_json_member *members;
    unsigned count;
    bool record; /* an object of this shape is a request, unless it holds an array of records */
};

/* For tables: RT_MEMBER("model", MODEL), RT_TIME("t", ARRIVAL, MS), RT_COLUMN("Model", MODEL,
 * false) */
#define RT_MEMBER(name_, field_)                                                                   \
    {                                                                                              \
        .name = (name_), .to = { RT_FIELD_##field_, RT_UNIT_S }                                    \
    }
#define RT_TIME(name_, field_, unit_)                                                              \
    {                                                                                              \
        .name = (name_), .to = { RT_FIELD_##field_, RT_UNIT_##unit_ }                              \
    }
#define RT_COLUMN(name_, field_, required_)                                                        \
    {                                                                                              \
        .name = (name_), .to = {RT_FIELD_##field_, RT_UNIT_S}, .required = (required_)             \
    }
#define RT_TIME_COLUMN(name_, field_, unit_, required_)                                            \
    {                                                                                              \
        .name = (name_), .to = {RT_FIELD_##field_, RT_UNIT_##unit_}, .required = (required_)       \
    }
#define RT_LENGTH(array) (sizeof(array) / sizeof(array)[0])
#define RT_CSV_TABLE(table)                                                                        \
    .reader = &rt_csv_reader, .columns = (table), .column_count = RT_LENGTH(table)
#define RT_JSON_ROWS(shape_) .reader = &rt_json_reader, .shape = &(shape_)

enum {
    RT_FORMAT_STRICT = 1,  /* JSON: unknown keys, null and numbers in quotes are errors */
    RT_FORMAT_LINES = 2,   /* JSON: one object a line */
    RT_FORMAT_SPARSE = 4,  /* JSON: objects that lack a required field are no requests */
    RT_FORMAT_CHAINED = 8, /* JSON: a hash id names its block only: chain it with those before */
    RT_FORMAT_TURNS = 16,  /* the hook uses t->turns */
    RT_FORMAT_DRAWN = 32   /* rows depend on the seed */
};
#define RT_MAX_MARKS 4u
struct rt_trace_format {
    const char *name, *help;
    uint32_t block_size;      /* tokens a hash id names by custom, 0 = no hash ids */
    uint32_t flags, required; /* RT_BIT of the fields that each row of a JSON format must have */
    const struct rt_trace_reader *reader;
    /* Recognised when the header (CSV) or the first bytes (JSON) have all names of one set. */
    const char *marks[RT_MAX_MARKS][RT_MAX_MARKS];
    bool (*matches)(const char *head, size_t len); /* for files without names, or NULL */
    const struct rt_csv_column *columns;
    unsigned column_count;
    const struct rt_json_shape *shape;
    /* Makes the row read a request, or leaves it out. NULL: nothing to do. */
    bool (*finish)(struct rt_trace *t, struct rt_row *row, struct rt_err *err);
};
#define RT_ROW_NEEDS (RT_BIT(RT_FIELD_ARRIVAL) | RT_BIT(RT_FIELD_PROMPT) | RT_BIT(RT_FIELD_OUTPUT))
extern const struct rt_trace_format *const rt_trace_formats[];
extern const unsigned rt_trace_formats_count;

struct rt_name_memo { /* the last text a field was given: most rows repeat it */
    const char *text;
    size_t len;
    uint32_t index;
};
struct rt_trace {
    const struct rt_trace_table *table; /* rows come from it; NULL: from the file */
    const struct rt_trace_format *format;
    struct rt_trace_info info;
    char *path;
    bool drop_failed, has_block_size; /* told by the options */
    uint32_t file_block_size;         /* told by the file, 0 = not yet */
    uint64_t seed;                    /* of formats that draw their requests */
    struct rt_lines lines;
    struct rt_names names;
    struct rt_name_memo memo[RT_FIELD_COUNT];
    struct rt_row row;             /* the current one */
    struct rt_trace_counts counts; /* since the start of the file */
    struct rt_turns *turns;        /* RT_FORMAT_TURNS */
    struct rt_columns *columns;    /* of the format `columns`, or NULL */
    void *state;                   /* the reader's */
};
bool rt_trace_can_rewind(const struct rt_trace *t);
/* "trace.csv:17: ", for errors found only when rows are put in order. */
bool rt_trace_fail_in(const struct rt_trace *t, struct rt_err *err);
/* The whole pipeline, decompression included, that writes the file sorted. Returns buf. */
const char *rt_trace_sort_command(const struct rt_trace *t, char *buf, size_t size);

/* ---- trace_table.c */
const struct rt_trace *rt_trace_table_file(const struct rt_trace_table *t);
/* The next row for this reader: 1, or 0 at the end. */
int rt_trace_table_read(const struct rt_trace_table *t, struct rt_trace *reader,
                        struct rt_request *out);
bool rt_trace_open_table(const struct rt_trace_table *table, struct rt_trace **out,
                         struct rt_err *err) RT_MUST_USE;

/* ---- workload.c */
bool rt_workload_check(const struct rt_workload_spec *w, struct rt_err *err) RT_MUST_USE;
/* How its trace is read. */
struct rt_trace_options rt_workload_trace_options(const struct rt_workload_spec *w);

/* ---- columns.c: --columns arrival=ts:ms,prompt=...: a format made of words. */
struct rt_columns;
bool rt_columns_parse(const char *text, struct rt_columns **out, struct rt_err *err) RT_MUST_USE;
void rt_columns_free(struct rt_columns *c);
/* The format for CSV or JSON files; NULL: it cannot be. Valid while c is. */
const struct rt_trace_format *rt_columns_format(struct rt_columns *c, bool json,
                                                struct rt_err *err);
extern const struct rt_trace_format rt_format_columns; /* its name and help */

/* ---- csv_table.c */
/* Is `name` one of the columns of this header line? Quotes and blanks around it do not matter. */
bool rt_csv_header_has(const char *line, size_t len, const char *name);

/* ---- json_pull.c: the tokens of a stream of JSON values, strictly as RFC 8259 has them. */
enum rt_token {
    RT_TOKEN_ERROR,
    RT_TOKEN_END, /* of the stream, between values */
    RT_TOKEN_OBJECT,
    RT_TOKEN_OBJECT_END,
    RT_TOKEN_ARRAY,
    RT_TOKEN_ARRAY_END,
    RT_TOKEN_KEY,
    RT_TOKEN_STRING,
    RT_TOKEN_NUMBER,
    RT_TOKEN_TRUE,
    RT_TOKEN_FALSE,
    RT_TOKEN_NULL
};
#define RT_JSON_PULL_DEPTH 64u
struct rt_json_pull {
    struct rt_lines *lines; /* borrowed: its buffer, not its lines */
    bool one_line;          /* a line holds one value, a value stands on one line */
    char *p;                /* next unread byte */
    char *token;            /* where the current token began */
    uint64_t origin;        /* offset of the buffer's first byte in the stream */
    uint64_t line_start;    /* offset of the current line */
    unsigned depth;
    uint64_t objects; /* bit n: level n + 1 is an object */
    int next;         /* what may come, see json_pull.c */
    const char *text; /* of a key, string (unescaped) or number; valid until the next call */
    size_t len;
    uint64_t at_line, at_column; /* of the current token, from 1 */
};
void rt_json_pull_start(struct rt_json_pull *j, struct rt_lines *l, bool one_line);
enum rt_token rt_json_pull_next(struct rt_json_pull *j, struct rt_err *err);
/* Skips the rest of the value whose first token was `begin`. */
bool rt_json_pull_skip(struct rt_json_pull *j, enum rt_token begin, struct rt_err *err) RT_MUST_USE;
/* Is nothing left on the current line? False also on failure, with err->code set. */
bool rt_json_pull_line_ends(struct rt_json_pull *j, struct rt_err *err);
/* Puts path:line:column of the current token in front. Always false. */
bool rt_json_pull_fail_in(const struct rt_json_pull *j, struct rt_err *err);
const char *rt_token_name(enum rt_token k); /* "a number", "an array" ... */

/* ---- sort_window.c: rows of a trace in (key, id) order. */
#define RT_WINDOW_ROWS  65536u
#define RT_WINDOW_BYTES (32u << 20)

/* key = llrint((arrival + spread - origin + shift) / rate), the time the simulation sees. spread is
 * a number in [0, spread_ns) for each row, the same whenever it is asked: from the row's id, or, so
 * that the turns of a session stay in order, from the session. */
struct rt_time_map {
    int64_t origin_ns;   /* taken off every stamp */
    int64_t shift_ns;    /* added for the copies of --repeat */
    double rate;         /* 1 = as recorded */
    int64_t spread_ns;   /* 0 = stamps as they are */
    uint64_t spread_key; /* random */
};
/* INT64_MAX when the result is beyond it. */
int64_t rt_time_map_key(const struct rt_time_map *m, int64_t arrival_ns);
int64_t rt_time_map_row(const struct rt_time_map *m, const struct rt_request *row);

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

/* ---- jsonl_write.c */
struct rt_request_texts { /* what the names of a request say; NULL or "": not given */
    const char *class_name, *model, *tenant;
};
/* A line. Ids that name the answer are left out: the format has none for them. */
void rt_jsonl_put(FILE *out, enum rt_trace_form form, const struct rt_request *r,
                  const struct rt_request_texts *texts, uint32_t block_tokens);
/* ns >= 0 as decimal of a unit of 10^digits ns, without zeros at the end. */
void rt_write_time(FILE *out, int64_t ns, int digits);

/* ---- tally.c: how often each value came; exact, memory by distinct values. */
struct rt_tally {
    struct rt_tally_entry {
        int64_t value;
        uint64_t count; /* 0: a free place */
    } * entries;
    size_t size, used; /* places (a power of two); distinct values */
    uint64_t total;
};
void rt_tally_release(struct rt_tally *t);
bool rt_tally_add(struct rt_tally *t, int64_t value, struct rt_err *err) RT_MUST_USE;
/* Ends the counting: entries[0..used) are sorted by value from now on. */
void rt_tally_sort(struct rt_tally *t);
/* Nearest rank: the least value that at least percent of all do not exceed. Sorted, total > 0. */
int64_t rt_tally_percentile(const struct rt_tally *t, unsigned percent);
/* Place of the percentile among n sorted values, from 1; n > 0. */
uint64_t rt_nearest_rank(uint64_t n, unsigned percent);
/* Population standard deviation / mean of gaps that add up to span > 0, from their squares. */
double rt_gap_variation(rt_u128 squares, uint64_t gaps, int64_t span);

/* ---- id_set.c: 64-bit ids seen, within a bound of memory. */
struct rt_id_set {
    struct rt_id_table {
        uint64_t *ids; /* 0 = free; the id 0 is kept apart */
        size_t size, used;
        bool has_zero;
    } young, old;
    size_t limit;    /* ids of a generation */
    bool forgetting; /* a generation was dropped */
};
void rt_id_set_init(struct rt_id_set *s, uint64_t memory_bytes);
void rt_id_set_release(struct rt_id_set *s);
bool rt_id_set_has(const struct rt_id_set *s, uint64_t id);
/* *added: it was not there. */
bool rt_id_set_add(struct rt_id_set *s, uint64_t id, bool *added, struct rt_err *err) RT_MUST_USE;

/* ---- source_trace.c. `stream`: which of the random streams of a purpose (the part of a mix). */
bool rt_trace_source_new(struct rt_trace *t, const struct rt_workload_spec *spec, uint64_t stream,
                         struct rt_source **out, struct rt_err *err) RT_MUST_USE;

/* ---- transform_open.c: the requests of a section, before the load shapes them. `table`: of its
 * trace, or NULL: from the file. */
bool rt_transform_open(const struct rt_workload_spec *w, const struct rt_trace_table *table,
                       struct rt_source **out, struct rt_err *err) RT_MUST_USE;

/* ---- workload_mix.c */
void rt_mix_release(struct rt_workload_spec *w);
bool rt_mix_parse(const struct rt_json_at *at, struct rt_workload_spec *w,
                  struct rt_err *err) RT_MUST_USE;
/* ---- workload.c: an element of workload.mix, without the keys of the load. */
bool rt_workload_parse_part(const struct rt_json_at *at, struct rt_workload_spec *w,
                            struct rt_err *err) RT_MUST_USE;

#endif
