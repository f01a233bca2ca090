/* base/base_internal.h: what the files of json share.
 *
 * json_scan.c checks the text, json_index.c makes lookup in large containers fast, json_print.c
 * writes values, json.c is the rest: loading, places and readers. */
#ifndef RT_BASE_INTERNAL_H
#define RT_BASE_INTERNAL_H

#include "rooftrace/err.h"
#include "rooftrace/json.h"

#include <cjson/cJSON.h>

#define RT_JSON_DEPTH_MAX   64u
#define RT_JSON_NUMBER_MAX  63u                 /* characters; cJSON reads no more */
#define RT_JSON_INTEGER_MAX (UINT64_C(1) << 53) /* the doubles below are all integers apart */
#define RT_JSON_FILE_MAX    ((size_t)64 << 20)

/* A container with many children. */
struct rt_json_large {
    const cJSON *node;
    const cJSON **children; /* in the order of the text */
    const cJSON **by_key;   /* objects: sorted by key; NULL for arrays */
    int count;
};

struct rt_json {
    char *name;
    cJSON *root;
    struct rt_json_large *large; /* sorted by address of node */
    size_t large_count;
};

/* Fails unless the text is one JSON value as RFC 8259 has it, within the limits above, without a
 * byte order mark. cJSON builds a tree of every text that passes, or is out of memory. */
bool rt_json_scan(const char *text, size_t len, const char *name, struct rt_err *err) RT_MUST_USE;

/* Fills doc->large and fails on a duplicate key. */
bool rt_json_index(struct rt_json *doc, struct rt_err *err) RT_MUST_USE;
void rt_json_index_release(struct rt_json *doc);
/* The entry of a container, or NULL when it is small. O(log n). */
const struct rt_json_large *rt_json_find_large(const struct rt_json *doc, const cJSON *node);

/* Shortest decimal text that reads back as the same double; integers to 2^53 without exponent. */
#define RT_JSON_NUMBER_TEXT 32
void rt_json_number_text(double value, char buf[RT_JSON_NUMBER_TEXT]);

#endif
