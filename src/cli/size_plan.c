/* The plan of `rooftrace size`: the keys of --plan with those of the options over them, printed as
 * one document that is read as any plan; and the scenario that candidates change. */
#include "rooftrace/name.h"
#include "size_internal.h"

#include <stdlib.h>
#include <string.h>

/* One item of a list "a,b,c". */
typedef bool item_fn(FILE *f, const char *item);

static bool text_item(FILE *f, const char *item)
{
    cli_json_text(f, item);
    return item[0] != '\0';
}

static bool number_item(FILE *f, const char *item)
{
    double value;

    if (!rt_read_number(item, &value))
        return false;
    fprintf(f, "%.17g", value);
    return true;
}

/* NAME=PRICE */
static bool price_item(FILE *f, const char *item)
{
    const char *equals = strchr(item, '=');
    char name[RT_NAME_SIZE];
    double value;

    if (!equals || (size_t)(equals - item) >= sizeof name || !rt_read_number(equals + 1, &value))
        return false;
    snprintf(name, sizeof name, "%.*s", (int)(equals - item), item);
    cli_json_text(f, name);
    fprintf(f, ":%.17g", value);
    return true;
}

/* LEAST:MOST */
static bool range_item(FILE *f, const char *item)
{
    const char *colon = strchr(item, ':');
    char low[32];
    double from, to;

    if (!colon || (size_t)(colon - item) >= sizeof low)
        return false;
    snprintf(low, sizeof low, "%.*s", (int)(colon - item), item);
    if (!rt_read_number(low, &from) || !rt_read_number(colon + 1, &to))
        return false;
    fprintf(f, "%.17g,%.17g", from, to);
    return true;
}

/* Items between commas, "," between what is printed. */
static bool print_items(FILE *f, const char *text, item_fn *item, bool *first)
{
    for (;;) {
        size_t len = strcspn(text, ",");
        char one[512];
        if (len >= sizeof one)
            return false;
        memcpy(one, text, len);
        one[len] = '\0';
        fputs(*first ? "" : ",", f);
        *first = false;
        if (!item(f, one))
            return false;
        if (text[len] == '\0')
            return true;
        text += len + 1;
    }
}

static const struct list_option {
    const char *option, *key, *open, *close, *expected;
    item_fn *item;
} lists[] = {
    {"--slo", "objectives", "[", "]", "objectives as p99_ttft:500ms,p99_tpot:50ms", text_item},
    {"--gpus", "gpus", "[", "]", "names as h100-sxm,l40s", text_item},
    {"--tp", "tensor_parallel", "[", "]", "degrees as 1,2,4", number_item},
    {"--prices", "prices_usd_per_h", "{", "}", "prices of a GPU as l40s=1.1,h100-sxm=2.5",
     price_item},
    {"--replica-range", "replicas", "[", "]", "LEAST:MOST", range_item},
};
#define LISTS (sizeof lists / sizeof lists[0])

static const struct value_option {
    const char *option, *key;
} values[] = {
    {"--confidence", "confidence"},
    {"--seeds", "seeds"},
    {"--rate-precision", "rate_precision"},
    {"--decide", "decide"},
    {"--max-rate", "max_rate"},
};
#define VALUES (sizeof values / sizeof values[0])

static bool print_list(FILE *f, const struct rt_options *o, const struct list_option *l,
                       struct rt_err *err)
{
    const struct rt_option_value *v = rt_options_get(o, l->option);
    bool first = true, ok = true;

    fprintf(f, "\"%s\":%s", l->key, l->open);
    if (v->all == NULL)
        ok = print_items(f, v->text, l->item, &first);
    for (unsigned i = 0; ok && v->all != NULL && i < v->count; i++)
        ok = print_items(f, v->all[i], l->item, &first);
    fputs(l->close, f);
    return ok || rt_fail(err, RT_EUSAGE, "%s: expected %s, read \"%.80s\"", l->option, l->expected,
                         v->text);
}

static void print_option(FILE *f, const struct rt_options *o, const struct value_option *v)
{
    const struct rt_option_value *value = rt_options_get(o, v->option);
    enum rt_option_kind kind = o->table[value - o->values].kind;

    fprintf(f, "\"%s\":", v->key);
    if (kind == RT_OPTION_FLAG)
        fputs("true", f);
    else if (kind == RT_OPTION_INT)
        fprintf(f, "%lld", (long long)value->integer);
    else if (kind == RT_OPTION_NUMBER)
        fprintf(f, "%.17g", value->number);
    else
        cli_json_text(f, value->text);
}

/* Is the key given as an option? A list of candidates gives way to --gpus and --tp. */
static bool overridden(const struct rt_options *o, const char *key)
{
    for (size_t i = 0; i < LISTS; i++)
        if (strcmp(lists[i].key, key) == 0)
            return rt_options_given(o, lists[i].option);
    for (size_t i = 0; i < VALUES; i++)
        if (strcmp(values[i].key, key) == 0)
            return rt_options_given(o, values[i].option);
    return strcmp(key, "candidates") == 0 &&
           (rt_options_given(o, "--gpus") || rt_options_given(o, "--tp"));
}

static void separate(FILE *f, bool *first)
{
    fputs(*first ? "" : ",", f);
    *first = false;
}

static bool print_member(FILE *f, const struct rt_json_at *member)
{
    char *text = rt_json_print(member);

    if (!text)
        return false;
    cli_json_text(f, member->key);
    fprintf(f, ":%s", text);
    free(text);
    return true;
}

static bool print_plan(FILE *f, const struct rt_options *o, const struct rt_json_at *file,
                       struct rt_err *err)
{
    bool first = true;

    fputc('{', f);
    for (int i = 0; i < rt_json_count(file); i++) {
        struct rt_json_at member = rt_json_member(file, i);
        if (overridden(o, member.key))
            continue;
        separate(f, &first);
        if (!print_member(f, &member))
            return rt_fail_nomem(err, "plan");
    }
    for (size_t i = 0; i < LISTS; i++)
        if (rt_options_given(o, lists[i].option)) {
            separate(f, &first);
            if (!print_list(f, o, &lists[i], err))
                return false;
        }
    for (size_t i = 0; i < VALUES; i++)
        if (rt_options_given(o, values[i].option)) {
            separate(f, &first);
            print_option(f, o, &values[i]);
        }
    fputc('}', f);
    return true;
}

/* `file`: the document of --plan, or NULL. */
static bool merge(const struct rt_options *o, const struct rt_json *file, struct rt_json **out,
                  struct rt_err *err)
{
    struct rt_json_at root = file ? rt_json_root(file) : (struct rt_json_at){0};
    char *text = NULL;
    size_t size;
    FILE *f;
    bool ok;

    if (file && rt_json_kind(&root) != RT_JSON_OBJECT)
        return rt_json_expect(&root, RT_JSON_OBJECT, err);
    f = open_memstream(&text, &size);
    if (!f)
        return rt_fail_nomem(err, "plan");
    ok = print_plan(f, o, &root, err);
    if (fclose(f) != 0 && ok)
        ok = rt_fail_nomem(err, "plan");
    ok = ok && rt_json_parse(text, size, file ? rt_json_name(file) : "command line", out, err);
    free(text);
    return ok;
}

/* The scenario's file: the word on the command line, or what the plan names. NULL: neither. */
static bool find_file(const struct rt_options *o, const struct rt_json_at *plan, char **out,
                      struct rt_err *err)
{
    struct rt_json_at at = rt_json_get(plan, "scenario");
    const char *path = NULL;

    *out = NULL;
    if (o->word_count > 0) {
        *out = strdup(o->words[0]);
        return *out != NULL || rt_fail_nomem(err, "plan");
    }
    if (rt_json_kind(&at) != RT_JSON_STRING || rt_options_given(o, "--trace"))
        return true;
    if (!rt_json_string(plan, "scenario", &path, err))
        return false;
    *out = rt_path_beside(rt_json_name(plan->doc), path);
    return *out != NULL || rt_fail_nomem(err, "plan");
}

static bool parse(const struct rt_options *o, const struct rt_catalog *catalog,
                  const struct rt_json *doc, struct rt_size_plan *out, struct rt_err *err)
{
    struct rt_json_at root = rt_json_root(doc), own = rt_json_get(&root, "scenario");
    struct rt_json *scenario = NULL;
    char *file = NULL;
    bool ok = find_file(o, &root, &file, err);

    if (ok && (file != NULL || rt_json_kind(&own) != RT_JSON_OBJECT))
        ok = cli_scenario_document(o, file, &scenario, err);
    ok = ok && rt_size_plan_parse(&root, scenario, catalog, out, err);
    rt_json_free(scenario);
    free(file);
    return ok;
}

bool size_plan_from_options(const struct rt_options *o, const struct rt_catalog *catalog,
                            struct rt_size_plan *out, struct rt_err *err)
{
    const char *path = rt_options_text(o, "--plan", NULL);
    struct rt_json *file = NULL, *doc = NULL;
    bool ok;

    if (rt_options_given(o, "--engine-args"))
        return rt_fail(err, RT_EUSAGE,
                       "--engine-args: sizing takes engine settings as options, or in the "
                       "scenario");
    if (path == NULL && !rt_options_given(o, "--slo"))
        return rt_fail(err, RT_EUSAGE, "expected --slo p99_ttft:500ms,... or --plan FILE");
    ok = (path == NULL || rt_json_load(path, &file, err)) && merge(o, file, &doc, err) &&
         parse(o, catalog, doc, out, err);
    rt_json_free(doc);
    rt_json_free(file);
    return ok;
}
