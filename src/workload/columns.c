/* columns.c: --columns arrival=ts:ms,prompt=usage.input,output=n: a format made of words.
 *
 * Each word names a field of a request, the column or key that holds it, and, for times, its unit
 * (s unless told; iso is a calendar time). For CSV the text behind = is a column of the header, for
 * JSON a path of keys with dots between them. What is not named is ignored. The words become the
 * same tables that the formats of this folder write by hand. Failure: RT_ECONFIG with the word.
 * O(words). */
#include "workload_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WORDS 16u
#define MAX_PARTS 8u /* of a path */

struct node { /* a JSON object that a path goes through */
    struct rt_json_shape shape;
    struct rt_json_member members[MAX_WORDS];
    struct node *children[MAX_WORDS];
};

struct rt_columns {
    char *text; /* names point into it */
    struct rt_csv_column columns[MAX_WORDS];
    unsigned count;
    struct node *root;
    struct rt_trace_format csv, json;
};

static const struct {
    const char *name;
    enum rt_field field;
    bool time;
} fields[] = {
    {"arrival", RT_FIELD_ARRIVAL, true},    {"prompt", RT_FIELD_PROMPT, false},
    {"output", RT_FIELD_OUTPUT, false},     {"hash_ids", RT_FIELD_HASH_IDS, false},
    {"class", RT_FIELD_CLASS, false},       {"model", RT_FIELD_MODEL, false},
    {"session", RT_FIELD_SESSION, false},   {"think", RT_FIELD_THINK, true},
    {"priority", RT_FIELD_PRIORITY, false}, {"deadline", RT_FIELD_DEADLINE, true},
    {"tenant", RT_FIELD_TENANT, false},     {"status", RT_FIELD_FAILURE, false},
};
static const char *const units[] = {[RT_UNIT_S] = "s",
                                    [RT_UNIT_MS] = "ms",
                                    [RT_UNIT_US] = "us",
                                    [RT_UNIT_NS] = "ns",
                                    [RT_UNIT_STAMP] = "iso"};

const struct rt_trace_format rt_format_columns = {
    .name = "columns",
    .help = "any CSV or JSON whose columns --columns tells: arrival=ts:ms,prompt=in,output=out",
    .reader = &rt_csv_reader,
    .matches = NULL,
};

static bool find_field(const char *name, struct rt_csv_column *out, bool *is_time,
                       struct rt_err *err)
{
    const char *names[RT_LENGTH(fields)];
    char hint[256], read[RT_EXCERPT_BYTES];
    for (unsigned i = 0; i < RT_LENGTH(fields); i++) {
        names[i] = fields[i].name;
        if (strcmp(names[i], name) != 0)
            continue;
        out->to.field = fields[i].field;
        *is_time = fields[i].time;
        return true;
    }
    return rt_fail(err, RT_ECONFIG, "columns: unknown field %s: %s",
                   rt_excerpt(name, strlen(name), read),
                   rt_suggest(name, names, RT_LENGTH(fields), hint, sizeof hint));
}

/* Cuts ":ms" off. */
static bool take_unit(char *column, struct rt_csv_column *out, struct rt_err *err)
{
    char *colon = strrchr(column, ':'), read[RT_EXCERPT_BYTES];
    out->to.unit = RT_UNIT_S;
    if (colon == NULL)
        return true;
    for (unsigned i = 0; i < RT_LENGTH(units); i++) {
        bool usable = out->to.field == RT_FIELD_ARRIVAL || i < RT_UNIT_STAMP;
        if (usable && strcmp(colon + 1, units[i]) == 0) {
            out->to.unit = (enum rt_time_unit)i;
            *colon = '\0';
            return true;
        }
    }
    return rt_fail(err, RT_ECONFIG,
                   "columns: expected a unit (s, ms, us, ns%s) behind the colon, read %s",
                   out->to.field == RT_FIELD_ARRIVAL ? ", iso" : "",
                   rt_excerpt(colon + 1, strlen(colon + 1), read));
}

static bool add_word(struct rt_columns *c, char *word, struct rt_err *err)
{
    char read[RT_EXCERPT_BYTES];
    char *column = strchr(word, '=');
    bool is_time = false;
    if (column == NULL || column == word || column[1] == '\0')
        return rt_fail(err, RT_ECONFIG, "columns: expected field=column, read %s",
                       rt_excerpt(word, strlen(word), read));
    *column++ = '\0';
    if (c->count == MAX_WORDS)
        return rt_fail(err, RT_ECONFIG, "columns: expected at most %u fields", MAX_WORDS);
    struct rt_csv_column *out = &c->columns[c->count];
    if (!find_field(word, out, &is_time, err) || (is_time && !take_unit(column, out, err)))
        return false;
    for (unsigned i = 0; i < c->count; i++) {
        if (c->columns[i].to.field == out->to.field)
            return rt_fail(err, RT_ECONFIG, "columns: expected each field once, read \"%s\" again",
                           word);
    }
    out->name = column;
    out->named = true;
    out->required = (RT_ROW_NEEDS & RT_BIT(out->to.field)) != 0;
    c->count++;
    return true;
}

static struct node *new_node(void)
{
    struct node *n = calloc(1, sizeof *n);
    if (n != NULL)
        n->shape.members = n->members;
    return n;
}

static void free_nodes(struct node *root)
{
    struct node *stack[MAX_WORDS * MAX_PARTS + 1];
    unsigned depth = 0;
    if (root != NULL)
        stack[depth++] = root;
    while (depth > 0) {
        struct node *n = stack[--depth];
        for (unsigned i = 0; i < n->shape.count; i++) {
            if (n->children[i] != NULL)
                stack[depth++] = n->children[i];
        }
        free(n);
    }
}

/* The object that member `name` of n is, made when it is new. */
static struct node *child_of(struct node *n, const char *name)
{
    for (unsigned i = 0; i < n->shape.count; i++) {
        if (n->children[i] != NULL && strcmp(n->members[i].name, name) == 0)
            return n->children[i];
    }
    struct node *child = new_node();
    if (child != NULL) {
        n->children[n->shape.count] = child;
        n->members[n->shape.count++] =
            (struct rt_json_member){.name = name, .object = &child->shape};
    }
    return child;
}

/* A path of keys to a value. Cuts the path at its dots, which CSV needs no more: the last of both.
 */
static bool add_path(struct rt_columns *c, const struct rt_csv_column *column, char *path,
                     struct rt_err *err)
{
    struct node *n = c->root;
    unsigned parts = 1;
    for (char *dot; (dot = strchr(path, '.')) != NULL; path = dot + 1) {
        *dot = '\0';
        if (++parts > MAX_PARTS)
            return rt_fail(err, RT_ECONFIG, "columns: expected a path of at most %u keys",
                           MAX_PARTS);
        n = child_of(n, path);
        if (n == NULL)
            return rt_fail_nomem(err, "columns");
    }
    n->members[n->shape.count++] = (struct rt_json_member){.name = path, .to = column->to};
    return true;
}

static bool make_formats(struct rt_columns *c, struct rt_err *err)
{
    c->root = new_node();
    if (c->root == NULL)
        return rt_fail_nomem(err, "columns");
    c->root->shape.record = true;
    c->csv = rt_format_columns;
    c->csv.columns = c->columns;
    c->csv.column_count = c->count;
    c->json = rt_format_columns;
    c->json.reader = &rt_json_reader;
    c->json.required = RT_ROW_NEEDS;
    c->json.shape = &c->root->shape;
    for (unsigned i = 0; i < c->count; i++) {
        if (c->columns[i].to.field != RT_FIELD_HASH_IDS)
            continue;
        c->csv.columns = NULL; /* a list has no place in a CSV field */
        c->json.block_size = 512;
    }
    return true;
}

static bool parse(struct rt_columns *c, struct rt_err *err)
{
    uint32_t seen = 0;
    char *next = c->text;
    while (next != NULL) {
        char *word = next, *comma = strchr(word, ',');
        if (comma != NULL)
            *comma = '\0';
        next = comma != NULL ? comma + 1 : NULL;
        if (!add_word(c, word, err))
            return false;
        seen |= RT_BIT(c->columns[c->count - 1].to.field);
    }
    if ((seen & RT_ROW_NEEDS) != RT_ROW_NEEDS)
        return rt_fail(err, RT_ECONFIG, "columns: expected arrival=, prompt= and output=");
    return make_formats(c, err);
}

bool rt_columns_parse(const char *text, struct rt_columns **out, struct rt_err *err)
{
    struct rt_columns *c = calloc(1, sizeof *c);
    if (c == NULL || (c->text = strdup(text)) == NULL) {
        free(c);
        return rt_fail_nomem(err, "columns");
    }
    if (!parse(c, err)) {
        rt_columns_free(c);
        return false;
    }
    *out = c;
    return true;
}

void rt_columns_free(struct rt_columns *c)
{
    if (c == NULL)
        return;
    free_nodes(c->root);
    free(c->text);
    free(c);
}

const struct rt_trace_format *rt_columns_format(struct rt_columns *c, bool json, struct rt_err *err)
{
    if (!json && c->csv.columns == NULL) {
        (void)rt_fail(err, RT_ECONFIG, "columns: expected hash_ids of a JSON file only");
        return NULL;
    }
    for (unsigned i = 0; json && i < c->count; i++) {
        /* Names are this file's own text: writable. */
        char *path = c->text + (c->columns[i].name - c->text);
        if (!add_path(c, &c->columns[i], path, err))
            return NULL;
    }
    return json ? &c->json : &c->csv;
}
