/* json_row.c: one line of a JSONL trace to a request.
 *
 * Unknown keys are errors that name the nearest known one, because a misspelled key would be a
 * silently wrong simulation; keys that begin with "$" are comments. A key given twice, under the
 * same name or its alias, is an error, and so is null. Numbers arrive as text from yajl's SAX
 * parser, so 64-bit hash ids are exact. schemas/trace.schema.json says the same as this file; a
 * test feeds both. One parser serves all lines: it is fed line by line (values cannot span lines,
 * each line has exactly one) and keeps its buffers, so a line costs O(bytes) and no allocation.
 * After a failure the parser is of no use any more. */
#include "workload_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#define MAX_DEPTH      64u
#define FIRST_HASH_IDS 256u

struct key {
    const char *name;
    size_t len;
    enum rt_field field, slot; /* aliases share a slot */
};
#define KEY(name, field, slot)                                                                     \
    {                                                                                              \
        (name), sizeof(name) - 1, (field), (slot)                                                  \
    }
/* In the order in which writers write them: the one after the last found is tried first. */
static const struct key keys[] = {
    KEY("timestamp", RT_FIELD_ARRIVAL_MS, RT_FIELD_ARRIVAL_S),
    KEY("input_length", RT_FIELD_PROMPT, RT_FIELD_PROMPT),
    KEY("output_length", RT_FIELD_OUTPUT, RT_FIELD_OUTPUT),
    KEY("hash_ids", RT_FIELD_HASH_IDS, RT_FIELD_HASH_IDS),
    KEY("arrival_s", RT_FIELD_ARRIVAL_S, RT_FIELD_ARRIVAL_S),
    KEY("prompt_tokens", RT_FIELD_PROMPT, RT_FIELD_PROMPT),
    KEY("output_tokens", RT_FIELD_OUTPUT, RT_FIELD_OUTPUT),
    KEY("class", RT_FIELD_CLASS, RT_FIELD_CLASS),
    KEY("model", RT_FIELD_MODEL, RT_FIELD_MODEL),
    KEY("session_id", RT_FIELD_SESSION, RT_FIELD_SESSION),
    KEY("think_s", RT_FIELD_THINK_S, RT_FIELD_THINK_S),
    KEY("priority", RT_FIELD_PRIORITY, RT_FIELD_PRIORITY),
    KEY("deadline_s", RT_FIELD_DEADLINE_S, RT_FIELD_DEADLINE_S),
    KEY("tenant", RT_FIELD_TENANT, RT_FIELD_TENANT),
};
#define KEY_COUNT (sizeof keys / sizeof keys[0])

struct rt_json_row {
    struct rt_trace *trace;
    yajl_handle parser;
    struct rt_request *out; /* the row being read */
    const struct key *key;  /* the last one of the row's object; NULL for a "$" comment */
    unsigned next_key;      /* the key that most likely comes now: rows are alike */
    unsigned depth;         /* 0 outside, 1 in the row's object */
    unsigned values;        /* on this line so far */
    uint32_t seen;          /* bits by slot */
    bool in_hash_ids;
    uint64_t *hash_ids;
    uint32_t hash_count, hash_capacity;
    bool failed; /* *err and offset tell */
    size_t offset;
    struct rt_err *err;
};

/* Stops the parser; *err is filled. The message is put behind the key it is about. */
static int stop(struct rt_json_row *s, size_t offset, const char *name)
{
    s->failed = true;
    s->offset = offset;
    if (name != NULL)
        (void)rt_fail_in(s->err, "%s", name);
    return 0;
}

/* Where a token of fixed length (true, null, a bracket) began that yajl has just read. */
static size_t token_offset(const struct rt_json_row *s, size_t len)
{
    size_t end = yajl_get_bytes_consumed(s->parser);
    return end > len ? end - len : 0;
}

/* Where a number began: yajl hands out the line's own bytes. */
static size_t number_offset(const struct rt_json_row *s, const char *text, size_t len)
{
    const struct rt_lines *l = &s->trace->lines;
    return text >= l->text && text < l->text + l->len ? (size_t)(text - l->text)
                                                      : token_offset(s, len);
}

/* Where a string's opening quote is. With escapes yajl hands out a copy; then the quote is looked
 * for backwards from the closing one: it is the first that no odd number of backslashes precedes.
 */
static size_t quote_offset(const struct rt_json_row *s, const char *text)
{
    const struct rt_lines *l = &s->trace->lines;
    if (text > l->text && text <= l->text + l->len)
        return (size_t)(text - l->text) - 1;
    size_t at = yajl_get_bytes_consumed(s->parser);
    at = at > 0 ? at - 1 : 0;
    while (at > 0) {
        size_t slashes = 0;
        at--;
        while (slashes < at && l->text[at - slashes - 1] == '\\')
            slashes++;
        if (l->text[at] == '"' && slashes % 2 == 0)
            break;
    }
    return at;
}

static int fail_kind(struct rt_json_row *s, size_t offset, const char *read)
{
    if (s->depth == 0) {
        (void)rt_fail(s->err, RT_ETRACE, "expected one JSON object a line, read %s", read);
        return stop(s, offset, NULL);
    }
    (void)rt_fail(s->err, RT_ETRACE, "expected %s, read %s", rt_field_expected(s->key->field),
                  read);
    return stop(s, offset, s->key->name);
}

/* Is this value part of a comment? Then its content does not matter. */
static bool in_comment(const struct rt_json_row *s)
{
    return s->depth > 0 && s->key == NULL;
}

static int on_null(void *ctx)
{
    struct rt_json_row *s = ctx;
    return in_comment(s) || fail_kind(s, token_offset(s, 4), "null");
}

static int on_boolean(void *ctx, int value)
{
    struct rt_json_row *s = ctx;
    return in_comment(s) || fail_kind(s, token_offset(s, value ? 4 : 5), value ? "true" : "false");
}

static bool add_hash_id(struct rt_json_row *s, const char *text, size_t len)
{
    if (s->hash_count == s->hash_capacity) {
        uint32_t capacity = s->hash_capacity == 0 ? FIRST_HASH_IDS : s->hash_capacity * 2;
        uint64_t *ids = realloc(s->hash_ids, capacity * sizeof *ids);
        if (ids == NULL)
            return rt_fail_nomem(s->err, "hash ids of a row");
        s->hash_ids = ids;
        s->hash_capacity = capacity;
    }
    if (!rt_field_hash_id(text, len, &s->hash_ids[s->hash_count], s->err))
        return false;
    s->hash_count++;
    return true;
}

static int on_number(void *ctx, const char *text, size_t len)
{
    struct rt_json_row *s = ctx;
    if (in_comment(s))
        return 1;
    if (s->in_hash_ids)
        return add_hash_id(s, text, len) || stop(s, number_offset(s, text, len), "hash_ids");
    enum rt_field f = s->depth == 1 ? s->key->field : RT_FIELD_NONE;
    if (f == RT_FIELD_NONE || f == RT_FIELD_HASH_IDS ||
        (rt_field_is_text(f) && f != RT_FIELD_SESSION))
        return fail_kind(s, number_offset(s, text, len), "a number");
    bool ok = f == RT_FIELD_SESSION ? rt_field_session_number(s->trace, text, len, s->out, s->err)
                                    : rt_field_set(s->trace, f, text, len, s->out, s->err);
    return ok || stop(s, number_offset(s, text, len), s->key->name);
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
    struct rt_json_row *s = ctx;
    const char *chars = (const char *)text;
    if (in_comment(s))
        return 1;
    if (s->depth != 1 || !rt_field_is_text(s->key->field))
        return fail_kind(s, quote_offset(s, chars), "a string");
    return rt_field_set(s->trace, s->key->field, chars, len, s->out, s->err) ||
           stop(s, quote_offset(s, chars), s->key->name);
}

static int open_nested(struct rt_json_row *s, const char *what)
{
    size_t offset = token_offset(s, 1);
    if (s->depth == MAX_DEPTH) {
        (void)rt_fail(s->err, RT_ETRACE, "expected at most %u levels of nesting, read more",
                      MAX_DEPTH);
        return stop(s, offset, NULL);
    }
    if (!in_comment(s))
        return fail_kind(s, offset, what);
    s->depth++;
    return 1;
}

static int on_start_map(void *ctx)
{
    struct rt_json_row *s = ctx;
    if (s->depth > 0)
        return open_nested(s, "an object");
    if (s->values++ > 0) {
        (void)rt_fail(s->err, RT_ETRACE, "expected one JSON object a line, read a second one");
        return stop(s, token_offset(s, 1), NULL);
    }
    s->depth = 1;
    return 1;
}

static int on_start_array(void *ctx)
{
    struct rt_json_row *s = ctx;
    if (s->depth != 1 || s->key == NULL || s->key->field != RT_FIELD_HASH_IDS)
        return open_nested(s, "an array");
    s->depth++;
    s->in_hash_ids = true;
    return 1;
}

static int on_end(void *ctx) /* of an object or array */
{
    struct rt_json_row *s = ctx;
    s->depth--;
    s->in_hash_ids = false;
    return 1;
}

static bool is_key(const struct key *k, const char *text, size_t len)
{
    return k->len == len && memcmp(k->name, text, len) == 0;
}

static const struct key *find_key(struct rt_json_row *s, const char *text, size_t len)
{
    for (unsigned i = 0; i < KEY_COUNT; i++) {
        unsigned at = (s->next_key + i) % KEY_COUNT;
        if (is_key(&keys[at], text, len)) {
            s->next_key = (at + 1) % KEY_COUNT;
            return &keys[at];
        }
    }
    return NULL;
}

static int fail_unknown(struct rt_json_row *s, size_t offset, const char *text, size_t len)
{
    const char *names[KEY_COUNT];
    char word[RT_EXCERPT_BYTES], hint[320], read[RT_EXCERPT_BYTES];
    for (unsigned i = 0; i < KEY_COUNT; i++)
        names[i] = keys[i].name;
    (void)snprintf(word, sizeof word, "%.*s", (int)(len < sizeof word ? len : sizeof word - 1),
                   text);
    (void)rt_fail(s->err, RT_ETRACE, "unknown key %s: %s", rt_excerpt(text, len, read),
                  rt_suggest(word, names, KEY_COUNT, hint, sizeof hint));
    return stop(s, offset, NULL);
}

static int on_key(void *ctx, const unsigned char *text, size_t len)
{
    struct rt_json_row *s = ctx;
    const char *chars = (const char *)text;
    if (s->depth != 1)
        return 1; /* within a comment */
    s->key = NULL;
    if (len > 0 && chars[0] == '$')
        return 1;
    const struct key *k = find_key(s, chars, len);
    if (k == NULL)
        return fail_unknown(s, quote_offset(s, chars), chars, len);
    if (s->seen & 1u << k->slot) {
        (void)rt_fail(s->err, RT_ETRACE, "expected each key once, read \"%s\" (or its alias) again",
                      k->name);
        return stop(s, quote_offset(s, chars), NULL);
    }
    s->seen |= 1u << k->slot;
    s->key = k;
    return 1;
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end,
};

bool rt_json_row_new(struct rt_trace *t, struct rt_json_row **out, struct rt_err *err)
{
    struct rt_json_row *s = calloc(1, sizeof *s);
    if (s == NULL)
        return rt_fail_nomem(err, "JSON reader");
    s->trace = t;
    s->parser = yajl_alloc(&callbacks, NULL, s);
    if (s->parser == NULL || !yajl_config(s->parser, yajl_allow_multiple_values, 1)) {
        rt_json_row_free(s);
        return rt_fail_nomem(err, "JSON parser");
    }
    *out = s;
    return true;
}

void rt_json_row_free(struct rt_json_row *s)
{
    if (s == NULL)
        return;
    if (s->parser != NULL)
        yajl_free(s->parser);
    free(s->hash_ids);
    free(s);
}

static bool fail_syntax(struct rt_json_row *s, struct rt_err *err)
{
    struct rt_lines *l = &s->trace->lines;
    size_t offset = yajl_get_bytes_consumed(s->parser);
    unsigned char *why = yajl_get_error(s->parser, 0, (const unsigned char *)l->text, l->len + 1);
    size_t len = why != NULL ? strcspn((const char *)why, "\n") : 0;
    (void)rt_fail(err, RT_ETRACE, "expected JSON, read something else (%.*s)", (int)len,
                  why != NULL ? (const char *)why : "");
    if (why != NULL)
        yajl_free_error(s->parser, why);
    /* The parser stands behind the byte that it could not use. */
    return rt_lines_fail_in(l, offset > 0 ? offset - 1 : 0, err);
}

static bool check_row(const struct rt_json_row *s, struct rt_err *err)
{
    static const struct {
        enum rt_field slot;
        const char *names;
    } required[] = {{RT_FIELD_ARRIVAL_S, "\"arrival_s\" or \"timestamp\""},
                    {RT_FIELD_PROMPT, "\"prompt_tokens\" or \"input_length\""},
                    {RT_FIELD_OUTPUT, "\"output_tokens\" or \"output_length\""}};
    const struct rt_lines *l = &s->trace->lines;
    if (s->depth > 0) {
        (void)rt_fail(err, RT_ETRACE, "expected the whole object on one line, read the line's end");
        return rt_lines_fail_in(l, l->len, err);
    }
    for (unsigned i = 0; i < sizeof required / sizeof required[0]; i++) {
        if (!(s->seen & 1u << required[i].slot)) {
            (void)rt_fail(err, RT_ETRACE, "expected the key %s, read an object without it",
                          required[i].names);
            return rt_lines_fail_in(l, 0, err);
        }
    }
    return true;
}

static bool parse_line(struct rt_json_row *s, struct rt_err *err)
{
    struct rt_lines *l = &s->trace->lines;
    l->text[l->len] = '\n'; /* ends every token */
    yajl_status status = yajl_parse(s->parser, (const unsigned char *)l->text, l->len + 1);
    if (status == yajl_status_ok)
        return check_row(s, err);
    if (s->failed)
        return rt_lines_fail_in(l, s->offset, err);
    return fail_syntax(s, err);
}

bool rt_json_row_parse(struct rt_json_row *s, struct rt_request *out, struct rt_err *err)
{
    rt_request_clear(out);
    s->out = out;
    s->err = err;
    s->key = NULL;
    s->next_key = s->depth = s->values = 0;
    s->seen = 0;
    s->in_hash_ids = s->failed = false;
    s->hash_count = 0;
    if (!parse_line(s, err))
        return false;
    out->hash_ids = s->hash_count > 0 ? s->hash_ids : NULL;
    out->hash_count = s->hash_count;
    return true;
}
