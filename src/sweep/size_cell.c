/* The scenario of a candidate: a document in three layers, then parsed as any other, so that
 * defaults follow the GPU.
 *
 *     base's document with base's pool  <--  the candidate's pool  <--  its GPU and degree
 *
 * A key of an upper layer replaces that of the lower one; those of `engine` one by one. Failures: a
 * document that is no scenario (RT_ECONFIG), no memory. O(document). */
#include "size_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool size_base_check(const struct rt_json *scenario, struct rt_err *err)
{
    struct rt_json_at root = rt_json_root(scenario), pools = rt_json_get(&root, "pools");

    if (!rt_json_expect(&root, RT_JSON_OBJECT, err))
        return false;
    if (pools.node == NULL)
        return true;
    if (!rt_json_expect(&pools, RT_JSON_ARRAY, err))
        return false;
    if (rt_json_count(&pools) > 1)
        return rt_json_fail(&pools, err,
                            "sizing varies one pool, read %d; several, such as prefill and decode "
                            "pools, are sized by a sweep over their replicas",
                            rt_json_count(&pools));
    struct rt_json_at pool = rt_json_item(&pools, 0);
    return pool.node == NULL || rt_json_expect(&pool, RT_JSON_OBJECT, err);
}

static void print_key(FILE *f, const char *key, bool *first)
{
    static const char hex[] = "0123456789abcdef";

    fputs(*first ? "\"" : ",\"", f);
    *first = false;
    for (; *key != '\0'; key++) {
        unsigned char c = (unsigned char)*key;
        if (c < ' ') {
            fputs("\\u00", f);
            putc(hex[c >> 4], f);
            putc(hex[c & 15], f);
        } else {
            fputs(c == '"' || c == '\\' ? "\\" : "", f);
            putc(c, f);
        }
    }
    fputs("\":", f);
}

static bool print_value(FILE *f, const struct rt_json_at *at)
{
    char *text = rt_json_print(at);

    if (!text)
        return false;
    fputs(text, f);
    free(text);
    return true;
}

/* Members of `base` and `over`; in both: over's, but for objects named `deep`, laid over each other
 * in turn. */
static bool print_members(FILE *f, const struct rt_json_at *base, const struct rt_json_at *over,
                          const char *deep)
{
    bool first = true, ok = true;

    for (int i = 0; ok && i < rt_json_count(base); i++) {
        struct rt_json_at member = rt_json_member(base, i);
        struct rt_json_at other = rt_json_get(over, member.key);
        print_key(f, member.key, &first);
        if (strcmp(member.key, deep) == 0 && rt_json_kind(&member) == RT_JSON_OBJECT &&
            rt_json_kind(&other) == RT_JSON_OBJECT) {
            fputc('{', f);
            ok = print_members(f, &member, &other, "");
            fputc('}', f);
        } else {
            ok = print_value(f, other.node != NULL ? &other : &member);
        }
    }
    for (int i = 0; ok && i < rt_json_count(over); i++) {
        struct rt_json_at member = rt_json_member(over, i);
        struct rt_json_at other = rt_json_get(base, member.key);
        if (other.node != NULL)
            continue; /* stands above already */
        print_key(f, member.key, &first);
        ok = print_value(f, &member);
    }
    return ok;
}

/* {"gpu": ..., "tensor_parallel": ...} of a cell, as far as it says them. */
static bool print_place(FILE *f, const struct size_cell *c)
{
    bool first = true, ok = true;

    fputc('{', f);
    if (c->gpu.node != NULL) {
        print_key(f, "gpu", &first);
        ok = print_value(f, &c->gpu);
    }
    if (ok && c->degree.node != NULL) {
        print_key(f, "tensor_parallel", &first);
        ok = print_value(f, &c->degree);
    }
    fputc('}', f);
    return ok;
}

typedef bool print_fn(FILE *f, const struct rt_json_at *base, const struct size_cell *c);

/* What a printer writes, as a document under `name`. */
static bool document(print_fn *print, const struct rt_json_at *base, const struct size_cell *c,
                     struct rt_json **out, struct rt_err *err)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    bool ok = f != NULL && print(f, base, c);

    if (f != NULL && fclose(f) != 0)
        ok = false;
    ok = ok ? rt_json_parse(text, size, rt_json_name(base->doc), out, err)
            : rt_fail_nomem(err, "a candidate");
    free(text);
    return ok;
}

static bool print_cell(FILE *f, const struct rt_json_at *base, const struct size_cell *c)
{
    (void)base;
    return print_place(f, c);
}

/* The base's pool under that of the cell. */
static bool print_pool(FILE *f, const struct rt_json_at *base, const struct size_cell *c)
{
    struct rt_json_at pools = rt_json_get(base, "pools"), own = rt_json_item(&pools, 0);
    bool ok;

    fputc('{', f);
    ok = print_members(f, &own, &c->pool, "engine");
    fputc('}', f);
    return ok;
}

/* The base's document with one pool, that of the cell. */
static bool print_base(FILE *f, const struct rt_json_at *base, const struct size_cell *c)
{
    bool first = true, ok = true;

    fputc('{', f);
    for (int i = 0; ok && i < rt_json_count(base); i++) {
        struct rt_json_at member = rt_json_member(base, i);
        if (strcmp(member.key, "pools") == 0)
            continue;
        print_key(f, member.key, &first);
        ok = print_value(f, &member);
    }
    print_key(f, "pools", &first);
    fputs("[{", f);
    ok = ok && print_members(f, &c->pool, &c->gpu, "");
    fputs("}]}", f);
    return ok;
}

bool size_cell_parse(const struct rt_json *scenario, const struct rt_catalog *catalog,
                     const struct size_cell *c, struct rt_scenario *out, struct rt_err *err)
{
    struct rt_json_at base = rt_json_root(scenario);
    struct rt_json *place = NULL, *pool = NULL, *whole = NULL;
    bool ok =
        document(print_cell, &base, c, &place, err) && document(print_pool, &base, c, &pool, err);

    if (ok) {
        struct size_cell layers = {.pool = rt_json_root(pool), .gpu = rt_json_root(place)};
        ok = document(print_base, &base, &layers, &whole, err);
    }
    if (ok) {
        struct rt_json_at root = rt_json_root(whole);
        ok = rt_scenario_parse(&root, catalog, out, err);
    }
    rt_json_free(whole);
    rt_json_free(pool);
    rt_json_free(place);
    return ok;
}
