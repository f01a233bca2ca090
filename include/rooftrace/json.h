/* base/json.h: typed access to configuration files, with the place of every error.
 *
 * The text must be JSON as RFC 8259 has it, in UTF-8; on top of it: lookup is case-sensitive;
 * duplicate keys, trailing text, nesting beyond 64, numbers that no double holds or that are longer
 * than 63 characters, integers beyond 2^53 and "\u0000" are errors; a leading byte order mark is
 * skipped. cJSON builds the tree. Errors read
 *     scenario.json: $.pools[0].max_num_seqs: expected an integer from 1 to 1024, read "many"
 *     scenario.json:12:7: expected ":", read "="
 * All of them are RT_ECONFIG (RT_EIO when the file is unreadable, RT_ENOMEM).
 *
 * A document owns its tree. A place is a small value on the caller's stack that points to its
 * parent place; it is valid while the document and its parents are. A document never changes, so
 * threads may share it; parsing is for one thread at a time (cJSON keeps its last error in a
 * global). Getting a key or an element is O(1) in small containers, O(log n) in those of more
 * than 16. */
#ifndef RT_JSON_H
#define RT_JSON_H

#include "rooftrace/err.h"

#include <stddef.h>
#include <stdint.h>

struct cJSON;
struct rt_json; /* a parsed document */

struct rt_json_at {
    const struct rt_json *doc;
    const struct cJSON *node; /* NULL: the key is absent */
    const struct rt_json_at *parent;
    const char *key; /* name in the parent object, or NULL for an array element */
    int index;       /* place in the parent array */
};

enum rt_json_kind {
    RT_JSON_ABSENT,
    RT_JSON_NULL,
    RT_JSON_BOOL,
    RT_JSON_NUMBER,
    RT_JSON_STRING,
    RT_JSON_ARRAY,
    RT_JSON_OBJECT
};

/* Reads a file (at most 64 MiB). The caller frees *out with rt_json_free. */
bool rt_json_load(const char *path, struct rt_json **out, struct rt_err *err) RT_MUST_USE;
/* Parses text; `name` stands for the file in messages. */
bool rt_json_parse(const char *text, size_t len, const char *name, struct rt_json **out,
                   struct rt_err *err) RT_MUST_USE;
void rt_json_free(struct rt_json *doc);
const char *rt_json_name(const struct rt_json *doc);

struct rt_json_at rt_json_root(const struct rt_json *doc);
/* Member `key` of an object / element `i` of an array; node is NULL when absent. *at must outlive
 * it. */
struct rt_json_at rt_json_get(const struct rt_json_at *at, const char *key);
struct rt_json_at rt_json_item(const struct rt_json_at *at, int i);
/* Member number `i` of an object, with its key; absent beyond the last. */
struct rt_json_at rt_json_member(const struct rt_json_at *at, int i);
int rt_json_count(const struct rt_json_at *at); /* members or elements; 0 for anything else */
enum rt_json_kind rt_json_kind(const struct rt_json_at *at);

/* Readers: when the key is absent *out keeps its value (its default) and true is returned; a wrong
 * type (null, too) or range is an error, and so is reading a key of something that is not an
 * object. An absent place has no keys. An integer may be written 1.0 or 1e3. A string stays owned
 * by the document. */
bool rt_json_int(const struct rt_json_at *at, const char *key, int64_t min, int64_t max,
                 int64_t *out, struct rt_err *err) RT_MUST_USE;
bool rt_json_double(const struct rt_json_at *at, const char *key, double min, double max,
                    double *out, struct rt_err *err) RT_MUST_USE;
/* The number at this place itself, as an element of an array; an error also when absent. */
bool rt_json_number(const struct rt_json_at *at, double min, double max, double *out,
                    struct rt_err *err) RT_MUST_USE;
bool rt_json_bool(const struct rt_json_at *at, const char *key, bool *out,
                  struct rt_err *err) RT_MUST_USE;
bool rt_json_string(const struct rt_json_at *at, const char *key, const char **out,
                    struct rt_err *err) RT_MUST_USE;
/* A string that is one of `names`; *out is its index. Unknown: error naming the nearest. */
bool rt_json_choice(const struct rt_json_at *at, const char *key, const char *const *names,
                    unsigned count, unsigned *out, struct rt_err *err) RT_MUST_USE;

/* Fails unless `key` is present. */
bool rt_json_need(const struct rt_json_at *at, const char *key, struct rt_err *err) RT_MUST_USE;
/* Fails unless this place has the kind. */
bool rt_json_expect(const struct rt_json_at *at, enum rt_json_kind kind,
                    struct rt_err *err) RT_MUST_USE;
/* Fails on a member whose key is not among `keys`, naming the nearest, and when the place is
 * neither absent nor an object. A key that begins with "$" ("$schema", "$comment") is always
 * allowed. */
bool rt_json_only(const struct rt_json_at *at, const char *const *keys, unsigned count,
                  struct rt_err *err) RT_MUST_USE;
/* Fills *err with this place's path in front. Always returns false. */
bool rt_json_fail(const struct rt_json_at *at, struct rt_err *err, const char *fmt, ...)
    RT_PRINTF(3, 4);
/* "$.pools[0].gpu" into buf; returns buf. */
const char *rt_json_path(const struct rt_json_at *at, char *buf, size_t size);
/* The value at this place as compact JSON text ("null" when absent), malloc'ed (caller frees);
 * NULL: out of memory. Every number reads back as the same double. */
char *rt_json_print(const struct rt_json_at *at) RT_MUST_USE;

/* `path` as seen from the file `base` that names it: absolute paths are kept, relative ones are
 * put behind base's folder. malloc'ed, caller frees; NULL: out of memory. */
char *rt_path_beside(const char *base, const char *path) RT_MUST_USE;

#endif
