/* json_shape.c: a JSON trace format as a table of the members of its objects.
 *
 * A request is an object whose shape is a `record`. What the objects around it say counts for it,
 * too (a session's id, a batch's time), and has to stand before it, because rows are answered while
 * the file is being read: nothing but the current row is kept, whatever the file's size. A record
 * that holds an array of records is a group and no request itself. Values that the table does not
 * name are checked and skipped, or are errors where the format is strict, because a misspelled key
 * would be a silently wrong simulation; keys that begin with "$" are comments everywhere. Formats
 * that are not strict take null as "not given" and numbers in quotes, and a file may also be one
 * array of rows. Failure: path:line:column of the value. Cost: O(bytes); a row of a known size
 * allocates nothing. */
#include "workload_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RECORDS    8u /* records within records */
#define FIRST_HASH_IDS 256u
#define MAX_KEY_HINTS  64u

enum level_kind {
    LEVEL_ROWS,   /* the stream, or an array of objects of the shape */
    LEVEL_OBJECT, /* an object of the shape */
    LEVEL_PAIRS   /* an array of {"key": ..., "value": ...} */
};

struct level {
    enum level_kind kind;
    const struct rt_json_shape *shape;
    unsigned next; /* the member that most likely comes now: rows are alike */
    bool record;   /* the object has a row of its own */
};

struct record {
    struct rt_row row;
    uint32_t own;      /* RT_BIT of what the object itself told */
    const char *group; /* name of its array of records, once that was there */
    uint64_t line, column;
};

struct shape_reader {
    struct rt_trace *trace;
    struct rt_json_pull pull;
    struct level levels[RT_JSON_PULL_DEPTH + 1];
    unsigned level;
    struct record records[MAX_RECORDS];
    unsigned record_count;
    uint64_t *hash_ids;
    uint32_t hash_count, hash_capacity;
};

static bool is_flag(const struct shape_reader *s, uint32_t flag)
{
    return (s->trace->format->flags & flag) != 0;
}

/* "name: message" at the current token. */
static bool fail_value(const struct shape_reader *s, const char *name, struct rt_err *err)
{
    (void)rt_fail_in(err, "%s", name);
    return rt_json_pull_fail_in(&s->pull, err);
}

static bool fail_kind(const struct shape_reader *s, const struct rt_json_member *m, enum rt_token k,
                      struct rt_err *err)
{
    (void)rt_fail(err, RT_ETRACE, "expected %s, read %s",
                  m->object != NULL                      ? "an object"
                  : m->items != NULL || m->pairs != NULL ? "an array of objects"
                                                         : rt_field_expected(m->to),
                  rt_token_name(k));
    return fail_value(s, m->name, err);
}

static bool add_hash_id(struct shape_reader *s, const char *text, size_t len, struct rt_err *err)
{
    if (s->hash_count == s->hash_capacity) {
        uint32_t capacity = s->hash_capacity == 0 ? FIRST_HASH_IDS : s->hash_capacity * 2;
        uint64_t *ids = realloc(s->hash_ids, capacity * sizeof *ids);
        if (ids == NULL)
            return rt_fail_nomem(err, "hash ids of a row");
        s->hash_ids = ids;
        s->hash_capacity = capacity;
    }
    uint64_t *id = &s->hash_ids[s->hash_count];
    if (!rt_field_hash_id(text, len, id, err))
        return false;
    if (is_flag(s, RT_FORMAT_CHAINED))
        *id = rt_mix_ids(s->hash_count > 0 ? id[-1] : 0, *id);
    s->hash_count++;
    return true;
}

/* Behind the opening bracket. */
static bool take_hash_ids(struct shape_reader *s, const struct rt_json_member *m,
                          struct rt_err *err)
{
    enum rt_token k;
    while ((k = rt_json_pull_next(&s->pull, err)) != RT_TOKEN_ARRAY_END) {
        if (k == RT_TOKEN_ERROR)
            return false;
        if (k != RT_TOKEN_NUMBER)
            return fail_kind(s, m, k, err);
        if (!add_hash_id(s, s->pull.text, s->pull.len, err))
            return fail_value(s, m->name, err);
    }
    return true;
}

static struct record *top(struct shape_reader *s)
{
    return &s->records[s->record_count - 1];
}

/* Marks the member as given; false when that may not be. */
static bool claim(struct shape_reader *s, const struct rt_json_member *m, struct rt_err *err)
{
    struct record *r = top(s);
    if (m->to.field == RT_FIELD_NONE)
        return true;
    if (is_flag(s, RT_FORMAT_STRICT) && (r->own & RT_BIT(m->to.field)) != 0) {
        (void)rt_fail(err, RT_ETRACE, "expected each key once, read \"%s\" (or its alias) again",
                      m->name);
        return rt_json_pull_fail_in(&s->pull, err);
    }
    if (r->group != NULL) {
        (void)rt_fail(err, RT_ETRACE, "expected \"%s\" before \"%s\", read it behind", m->name,
                      r->group);
        return rt_json_pull_fail_in(&s->pull, err);
    }
    r->own |= RT_BIT(m->to.field);
    return true;
}

static bool takes_number(const struct shape_reader *s, enum rt_field f)
{
    if (f == RT_FIELD_HASH_IDS)
        return false;
    return !rt_field_is_text(f) || f == RT_FIELD_SESSION || !is_flag(s, RT_FORMAT_STRICT);
}

static bool takes_string(const struct shape_reader *s, struct rt_field_ref f)
{
    bool is_time = f.field == RT_FIELD_ARRIVAL && f.unit >= RT_UNIT_STAMP;
    return rt_field_is_text(f.field) || is_time ||
           (f.field != RT_FIELD_HASH_IDS && !is_flag(s, RT_FORMAT_STRICT));
}

/* A value that stands for a field of the row. */
static bool take_scalar(struct shape_reader *s, const struct rt_json_member *m, enum rt_token k,
                        struct rt_err *err)
{
    struct rt_row *row = &top(s)->row;
    enum rt_field f = m->to.field;
    bool ok;
    if (k == RT_TOKEN_NULL && !is_flag(s, RT_FORMAT_STRICT))
        return true;
    if ((k == RT_TOKEN_TRUE || k == RT_TOKEN_FALSE) && f == RT_FIELD_CACHED)
        ok = rt_field_set(s->trace, m->to, rt_token_name(k), strlen(rt_token_name(k)), row, err);
    else if (k == RT_TOKEN_NUMBER && f == RT_FIELD_SESSION)
        ok = rt_field_session_number(s->pull.text, s->pull.len, row, err);
    else if ((k == RT_TOKEN_NUMBER && takes_number(s, f)) ||
             (k == RT_TOKEN_STRING && takes_string(s, m->to)))
        ok = rt_field_set(s->trace, m->to, s->pull.text, s->pull.len, row, err);
    else
        return fail_kind(s, m, k, err);
    return ok || fail_value(s, m->name, err);
}

static bool push(struct shape_reader *s, enum level_kind kind, const struct rt_json_shape *shape,
                 struct rt_err *err)
{
    if (s->level == RT_JSON_PULL_DEPTH) { /* the tokens' limit comes first */
        (void)rt_fail(err, RT_ETRACE, "expected fewer levels of nesting");
        return rt_json_pull_fail_in(&s->pull, err);
    }
    s->levels[++s->level] = (struct level){.kind = kind, .shape = shape};
    return true;
}

static bool begin_record(struct shape_reader *s, struct rt_err *err)
{
    if (s->record_count == MAX_RECORDS) {
        (void)rt_fail(err, RT_ETRACE, "expected at most %u requests within requests, read more",
                      MAX_RECORDS);
        return rt_json_pull_fail_in(&s->pull, err);
    }
    struct record *r = &s->records[s->record_count++];
    if (s->record_count > 1) {
        rt_row_copy(&r->row, &r[-1].row);
    } else {
        rt_row_clear(&r->row);
    }
    r->own = 0;
    r->group = NULL;
    r->line = s->pull.at_line;
    r->column = s->pull.at_column;
    s->hash_count = 0;
    s->levels[s->level].record = true;
    return true;
}

static bool begin_object(struct shape_reader *s, const struct rt_json_shape *shape,
                         struct rt_err *err)
{
    return push(s, LEVEL_OBJECT, shape, err) && (!shape->record || begin_record(s, err));
}

static bool is_member(const struct rt_json_member *m, const char *text, size_t len)
{
    return strlen(m->name) == len && memcmp(m->name, text, len) == 0;
}

static const struct rt_json_member *find_member(struct level *l, const char *text, size_t len)
{
    const struct rt_json_shape *shape = l->shape;
    unsigned at = l->next;
    for (unsigned i = 0; i < shape->count; i++) {
        const struct rt_json_member *m = &shape->members[at];
        at = at + 1 < shape->count ? at + 1 : 0;
        if (is_member(m, text, len)) {
            l->next = at;
            return m;
        }
    }
    return NULL;
}

static bool fail_unknown(const struct shape_reader *s, const struct rt_json_shape *shape,
                         struct rt_err *err)
{
    const char *names[MAX_KEY_HINTS];
    char word[RT_EXCERPT_BYTES], hint[320], read[RT_EXCERPT_BYTES];
    size_t len = s->pull.len;
    unsigned count = shape->count < MAX_KEY_HINTS ? shape->count : MAX_KEY_HINTS;
    for (unsigned i = 0; i < count; i++)
        names[i] = shape->members[i].name;
    (void)snprintf(word, sizeof word, "%.*s", (int)(len < sizeof word ? len : sizeof word - 1),
                   s->pull.text);
    (void)rt_fail(err, RT_ETRACE, "unknown key %s: %s", rt_excerpt(s->pull.text, len, read),
                  rt_suggest(word, names, count, hint, sizeof hint));
    return rt_json_pull_fail_in(&s->pull, err);
}

static bool take_nested(struct shape_reader *s, const struct rt_json_member *m, enum rt_token k,
                        struct rt_err *err)
{
    if (m->pairs != NULL && k == RT_TOKEN_ARRAY)
        return push(s, LEVEL_PAIRS, m->pairs, err);
    if (k == RT_TOKEN_OBJECT && (m->object != NULL || m->pairs != NULL))
        return begin_object(s, m->object != NULL ? m->object : m->pairs, err);
    if (k != RT_TOKEN_ARRAY || m->items == NULL)
        return fail_kind(s, m, k, err);
    if (s->record_count > 0)
        top(s)->group = m->name;
    return push(s, LEVEL_ROWS, m->items, err);
}

/* The first of several parents, behind the opening bracket. */
static bool take_first(struct shape_reader *s, const struct rt_json_member *m, struct rt_err *err)
{
    enum rt_token k = rt_json_pull_next(&s->pull, err);
    if (k == RT_TOKEN_ARRAY_END)
        return true;
    if (k == RT_TOKEN_ERROR || !take_scalar(s, m, k, err))
        return false;
    while ((k = rt_json_pull_next(&s->pull, err)) != RT_TOKEN_ARRAY_END) {
        if (!rt_json_pull_skip(&s->pull, k, err))
            return false;
    }
    return true;
}

/* The value of a member; `k` is its first token. */
static bool take_value(struct shape_reader *s, const struct rt_json_member *m, enum rt_token k,
                       struct rt_err *err)
{
    bool nested = m->object != NULL || m->items != NULL || m->pairs != NULL;
    if (k == RT_TOKEN_ERROR)
        return false;
    if (nested && k == RT_TOKEN_NULL && !is_flag(s, RT_FORMAT_STRICT))
        return true;
    if (nested)
        return take_nested(s, m, k, err);
    if (m->to.field == RT_FIELD_NONE)
        return rt_json_pull_skip(&s->pull, k, err);
    if (m->to.field == RT_FIELD_HASH_IDS && k == RT_TOKEN_ARRAY)
        return take_hash_ids(s, m, err);
    if (m->to.field == RT_FIELD_PARENT && k == RT_TOKEN_ARRAY)
        return take_first(s, m, err);
    return take_scalar(s, m, k, err);
}

/* The current token is a key. */
static bool take_member(struct shape_reader *s, struct rt_err *err)
{
    struct level *l = &s->levels[s->level];
    const struct rt_json_member *m = find_member(l, s->pull.text, s->pull.len);
    bool comment = s->pull.len > 0 && s->pull.text[0] == '$';
    if (m == NULL && !comment && is_flag(s, RT_FORMAT_STRICT))
        return fail_unknown(s, l->shape, err);
    if (m == NULL)
        return rt_json_pull_skip(&s->pull, rt_json_pull_next(&s->pull, err), err);
    return claim(s, m, err) && take_value(s, m, rt_json_pull_next(&s->pull, err), err);
}

/* The value of a pair: {"intValue": "512"}, or a plain one. Other kinds of values are skipped. */
static bool take_pair_value(struct shape_reader *s, const struct rt_json_member *m,
                            struct rt_err *err)
{
    enum rt_token k = rt_json_pull_next(&s->pull, err);
    if (k != RT_TOKEN_OBJECT)
        return m != NULL ? take_value(s, m, k, err) : rt_json_pull_skip(&s->pull, k, err);
    while ((k = rt_json_pull_next(&s->pull, err)) == RT_TOKEN_KEY) {
        k = rt_json_pull_next(&s->pull, err);
        bool scalar = k != RT_TOKEN_OBJECT && k != RT_TOKEN_ARRAY;
        if (m != NULL && scalar ? !take_value(s, m, k, err) : !rt_json_pull_skip(&s->pull, k, err))
            return false;
    }
    return k == RT_TOKEN_OBJECT_END;
}

/* Behind the opening brace of a pair. */
static bool take_pair(struct shape_reader *s, struct level *l, struct rt_err *err)
{
    const struct rt_json_member *m = NULL;
    enum rt_token k;
    while ((k = rt_json_pull_next(&s->pull, err)) == RT_TOKEN_KEY) {
        bool is_key = s->pull.len == 3 && memcmp(s->pull.text, "key", 3) == 0;
        bool is_value = s->pull.len == 5 && memcmp(s->pull.text, "value", 5) == 0;
        if (is_value) {
            if ((m != NULL && !claim(s, m, err)) || !take_pair_value(s, m, err))
                return false;
            continue;
        }
        k = rt_json_pull_next(&s->pull, err);
        if (is_key && k == RT_TOKEN_STRING)
            m = find_member(l, s->pull.text, s->pull.len);
        else if (!rt_json_pull_skip(&s->pull, k, err))
            return false;
    }
    return k == RT_TOKEN_OBJECT_END;
}

/* "a" or "b": the names that stand for a field. */
static void names_of(const struct rt_json_shape *shape, enum rt_field f, char *buf, size_t size)
{
    size_t used = 0;
    buf[0] = '\0';
    for (unsigned i = 0; i < shape->count && used < size; i++) {
        if (shape->members[i].to.field == f)
            used += (size_t)snprintf(buf + used, size - used, "%s\"%s\"", used > 0 ? " or " : "",
                                     shape->members[i].name);
    }
}

static bool fail_missing(const struct shape_reader *s, const struct record *r,
                         const struct rt_json_shape *shape, uint32_t missing, struct rt_err *err)
{
    char names[256];
    enum rt_field f = (enum rt_field)__builtin_ctz(missing);
    names_of(shape, f, names, sizeof names);
    if (names[0] == '\0') /* a group would have told it */
        names_of(s->trace->format->shape, f, names, sizeof names);
    if (names[0] == '\0')
        (void)snprintf(names, sizeof names, "of %s",
                       f == RT_FIELD_ARRIVAL  ? "its arrival"
                       : f == RT_FIELD_PROMPT ? "its prompt's tokens"
                                              : "its output's tokens");
    (void)rt_fail(err, RT_ETRACE, "expected the key %s, read an object without it", names);
    return rt_fail_in(err, "%s:%" PRIu64 ":%" PRIu64, s->trace->lines.path, r->line, r->column);
}

/* At the end of a record: 1: a row, 0: none, -1: error. */
static int end_record(struct shape_reader *s, const struct rt_json_shape *shape, struct rt_err *err)
{
    struct record *r = top(s);
    uint32_t missing = s->trace->format->required & ~r->row.seen;
    s->record_count--;
    if (r->group != NULL)
        return 0;
    if (missing != 0 && !is_flag(s, RT_FORMAT_SPARSE))
        return fail_missing(s, r, shape, missing, err) ? 1 : -1;
    rt_row_copy(&s->trace->row, &r->row);
    s->trace->row.left_out = missing != 0;
    s->trace->row.ids = s->hash_ids;
    s->trace->row.r.hash_ids = s->hash_count > 0 ? s->hash_ids : NULL;
    s->trace->row.r.hash_count = s->hash_count;
    s->trace->lines.number = r->line; /* for errors found when rows are put in order */
    return 1;
}

/* A token where an object of an array, or of the stream, may begin. */
static bool take_item(struct shape_reader *s, struct level *l, enum rt_token k, struct rt_err *err)
{
    if (k == RT_TOKEN_OBJECT)
        return begin_object(s, l->shape, err);
    if (k == RT_TOKEN_ARRAY && s->level == 0 && !is_flag(s, RT_FORMAT_LINES))
        return push(s, LEVEL_ROWS, l->shape, err);
    if (s->level == 0 && is_flag(s, RT_FORMAT_LINES))
        (void)rt_fail(err, RT_ETRACE, "expected one JSON object a line, read %s", rt_token_name(k));
    else
        (void)rt_fail(err, RT_ETRACE, "expected an object, read %s", rt_token_name(k));
    return rt_json_pull_fail_in(&s->pull, err);
}

/* Nothing may follow the object on its line. */
static bool check_line(struct shape_reader *s, struct rt_err *err)
{
    if (s->level > 0 || !is_flag(s, RT_FORMAT_LINES) || rt_json_pull_line_ends(&s->pull, err))
        return true;
    enum rt_token k = err->code == RT_OK ? rt_json_pull_next(&s->pull, err) : RT_TOKEN_ERROR;
    if (k == RT_TOKEN_ERROR)
        return false;
    (void)rt_fail(err, RT_ETRACE, "expected one JSON object a line, read %s",
                  k == RT_TOKEN_OBJECT ? "a second one" : rt_token_name(k));
    return rt_json_pull_fail_in(&s->pull, err);
}

/* One token, and what belongs to it. 1: a row; 0: go on; -1: error. */
static int step(struct shape_reader *s, enum rt_token k, struct rt_err *err)
{
    struct level *l = &s->levels[s->level];
    if (k == RT_TOKEN_KEY)
        return take_member(s, err) ? 0 : -1;
    if (k == RT_TOKEN_ARRAY_END) {
        s->level--;
        return 0;
    }
    if (k == RT_TOKEN_OBJECT_END) {
        s->level--;
        return !check_line(s, err) ? -1 : l->record ? end_record(s, l->shape, err) : 0;
    }
    if (l->kind == LEVEL_PAIRS && k == RT_TOKEN_OBJECT)
        return take_pair(s, l, err) ? 0 : -1;
    return take_item(s, l, k, err) ? 0 : -1;
}

static void start(struct rt_trace *t)
{
    struct shape_reader *s = t->state;
    rt_json_pull_start(&s->pull, &t->lines, is_flag(s, RT_FORMAT_LINES));
    s->level = s->record_count = 0;
    s->levels[0] = (struct level){.kind = LEVEL_ROWS, .shape = t->format->shape};
}

static bool json_open(struct rt_trace *t, struct rt_err *err)
{
    struct shape_reader *s = calloc(1, sizeof *s);
    if (s == NULL)
        return rt_fail_nomem(err, "JSON reader");
    s->trace = t;
    t->state = s;
    start(t);
    return true;
}

static int json_read(struct rt_trace *t, struct rt_err *err)
{
    struct shape_reader *s = t->state;
    int found;
    do {
        enum rt_token k = rt_json_pull_next(&s->pull, err);
        if (k == RT_TOKEN_END || k == RT_TOKEN_ERROR)
            return k == RT_TOKEN_END ? 0 : -1;
        found = step(s, k, err);
    } while (found == 0);
    return found;
}

static bool json_rewind(struct rt_trace *t, struct rt_err *err)
{
    (void)err;
    start(t);
    return true;
}

static void json_close(struct rt_trace *t)
{
    struct shape_reader *s = t->state;
    if (s != NULL)
        free(s->hash_ids);
    free(s);
    t->state = NULL;
}

static const char *unit_scale(const struct rt_json_member *m)
{
    switch ((int)m->to.unit) {
    case RT_UNIT_MS:
        return "1e3";
    case RT_UNIT_US:
        return "1e6";
    case RT_UNIT_NS:
        return "1e9";
    default:
        return "1";
    }
}

/* Whole lines are moved, never rewritten: other tools round 64-bit hash ids. */
static void json_sort_command(const struct rt_trace *t, char *buf, size_t size)
{
    const struct rt_json_shape *shape = t->format->shape;
    char keys[128] = "";
    size_t used = 0;
    for (unsigned i = 0; i < shape->count && used < sizeof keys; i++) {
        const struct rt_json_member *m = &shape->members[i];
        if (m->to.field == RT_FIELD_ARRIVAL && m->to.unit < RT_UNIT_STAMP)
            used += (size_t)snprintf(keys + used, sizeof keys - used, "%s\"%s\":%s",
                                     used > 0 ? "," : "", m->name, unit_scale(m));
    }
    buf[0] = '\0';
    if (used > 0 && used < sizeof keys)
        (void)snprintf(
            buf, size,
            "python3 -c 'import json,sys;u={%s};k=lambda l:(lambda d:next((float(d[x])/u[x] "
            "for x in u if x in d),0))(json.loads(l));print(*sorted((l.strip() for l in "
            "sys.stdin if l.strip()),key=k),sep=\"\\n\")' > sorted.jsonl",
            keys);
}

const struct rt_trace_reader rt_json_reader = {.open = json_open,
                                               .read = json_read,
                                               .rewind = json_rewind,
                                               .close = json_close,
                                               .sort_command = json_sort_command};
