/* The parts that a GPU record and a model record share: name, aliases, notes, numbers in a unit,
 * and where the numbers come from. Each reader fails with the JSON path of what is wrong. O(size of
 * the record). */
#include "catalog_internal.h"

#include <cjson/cJSON.h>
#include <string.h>

#define ALIAS_SIZE 128

bool rt_record_item_text(const struct rt_json_at *at, const char **out, struct rt_err *err)
{
    if (!rt_json_expect(at, RT_JSON_STRING, err))
        return false;
    *out = at->node->valuestring;
    return true;
}

bool rt_record_item_number(const struct rt_json_at *at, double *out, struct rt_err *err)
{
    if (!rt_json_expect(at, RT_JSON_NUMBER, err))
        return false;
    *out = at->node->valuedouble;
    return true;
}

static bool printable(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~')
            return false;
    return true;
}

static bool check_text(const struct rt_json_at *at, const char *text, size_t size,
                       struct rt_err *err)
{
    if (strlen(text) < size && printable(text))
        return true;
    return rt_json_fail(at, err, "expected at most %zu printable ASCII characters, read \"%.80s\"",
                        size - 1, text);
}

bool rt_record_text(const struct rt_json_at *at, const char *key, char *out, size_t size,
                    struct rt_err *err)
{
    const char *text = NULL;

    if (!rt_json_string(at, key, &text, err))
        return false;
    if (text == NULL)
        return true;
    struct rt_json_at place = rt_json_get(at, key);
    if (!check_text(&place, text, size, err))
        return false;
    memcpy(out, text, strlen(text) + 1);
    return true;
}

/* Lower-case letters, digits and . _ + -, beginning with a letter or digit. */
static bool is_catalogue_name(const char *name)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyz0123456789._+-";

    return name[0] != '\0' && strchr(first, name[0]) != NULL && strspn(name, rest) == strlen(name);
}

bool rt_record_name(const struct rt_json_at *at, enum rt_record_kind kind, char out[RT_NAME_SIZE],
                    struct rt_err *err)
{
    struct rt_json_at place = rt_json_get(at, "name");

    if (kind != RT_RECORD_CHANGE && !rt_json_need(at, "name", err))
        return false;
    if (!rt_record_text(at, "name", out, RT_NAME_SIZE, err))
        return false;
    if (out[0] == '\0')
        return rt_json_fail(&place, err, "expected a name, read \"\"");
    if (kind == RT_RECORD_CATALOGUE && !is_catalogue_name(out))
        return rt_json_fail(&place, err,
                            "expected lower-case letters, digits and . _ + -, read \"%s\"", out);
    return true;
}

static bool listed(const char *word, const char *const *names, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(word, names[i]) == 0)
            return true;
    return false;
}

/* One element of "aliases" or, with `fields`, of "uncertain". */
static bool check_item(const struct rt_json_at *item, const char *const *fields, unsigned count,
                       struct rt_err *err)
{
    char suggestion[256];
    const char *text;

    if (!rt_record_item_text(item, &text, err))
        return false;
    if (text[0] == '\0')
        return rt_json_fail(item, err, "expected a name, read \"\"");
    if (!check_text(item, text, ALIAS_SIZE, err))
        return false;
    if (fields == NULL || listed(text, fields, count))
        return true;
    return rt_json_fail(item, err, "unknown field \"%s\", %s", text,
                        rt_suggest(text, fields, count, suggestion, sizeof suggestion));
}

static bool check_items(const struct rt_json_at *at, const char *const *fields, unsigned count,
                        struct rt_err *err)
{
    if (rt_json_kind(at) == RT_JSON_ABSENT)
        return true;
    if (!rt_json_expect(at, RT_JSON_ARRAY, err))
        return false;
    for (int i = 0; i < rt_json_count(at); i++) {
        struct rt_json_at item = rt_json_item(at, i);
        if (!check_item(&item, fields, count, err))
            return false;
    }
    return true;
}

bool rt_record_notes(const struct rt_json_at *at, const char *const *fields, unsigned count,
                     struct rt_err *err)
{
    const char *note = NULL;
    struct rt_json_at aliases = rt_json_get(at, "aliases");
    struct rt_json_at uncertain = rt_json_get(at, "uncertain");

    return rt_json_string(at, "note", &note, err) && check_items(&aliases, NULL, 0, err) &&
           check_items(&uncertain, fields, count, err);
}

bool rt_record_sources(const struct rt_json_at *at, enum rt_record_kind kind,
                       const char *const *fields, unsigned count, struct rt_err *err)
{
    struct rt_json_at sources = rt_json_get(at, "sources");

    if (rt_json_kind(&sources) == RT_JSON_ABSENT)
        return kind != RT_RECORD_CATALOGUE || rt_json_need(at, "sources", err);
    if (!rt_json_expect(&sources, RT_JSON_OBJECT, err) ||
        !rt_json_only(&sources, fields, count, err))
        return false;
    for (int i = 0; i < rt_json_count(&sources); i++) {
        struct rt_json_at entry = rt_json_member(&sources, i);
        const char *text = NULL;
        if (!rt_json_string(&sources, entry.key, &text, err))
            return false;
        if (text[0] == '\0')
            return rt_json_fail(&entry, err, "expected where the number comes from, read \"\"");
    }
    return kind != RT_RECORD_CATALOGUE || rt_json_need(&sources, fields[0], err);
}

bool rt_record_need_source(const struct rt_json_at *at, const char *field, struct rt_err *err)
{
    struct rt_json_at sources = rt_json_get(at, "sources");

    return rt_json_need(&sources, field, err);
}

bool rt_record_number_read(const struct rt_json_at *at, const struct rt_record_number *n,
                           void *record, bool *given, struct rt_err *err)
{
    struct rt_json_at place = rt_json_get(at, n->key);
    double value = 0;

    *given = rt_json_kind(&place) != RT_JSON_ABSENT;
    if (!rt_json_double(at, n->key, n->min, n->max, &value, err))
        return false;
    value *= n->unit;
    if (*given)
        memcpy((char *)record + n->offset, &value, sizeof value);
    return true;
}
