/* rooftrace catalog: the models and GPUs that are known, and what is known about one of them.
 *
 * `list` prints a line a record, `show` everything about one: derived figures, the numbers with
 * their sources, and how well the constants are known. A path stands for the record in that file,
 * which may be a Hugging Face config.json. */
#include "cli_internal.h"
#include "rooftrace/catalog.h"
#include "rooftrace/dtype.h"
#include "rooftrace/gpu.h"
#include "rooftrace/model.h"

#include <cjson/cJSON.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct rt_option table[] = {
    {RT_OPT_HEADING("options:")},
    {RT_OPT_FLAG("--json", "the records as JSON, with their sources")},
    {RT_OPT_TEXT("--catalog", "DIR", "another catalogue of models and GPUs")},
    {RT_OPT_FLAG("--help", "this text"), .letter = 'h'},
};

static const struct cli_page page = {
    .usage =
        "usage: rooftrace catalog [list [models|gpus]] [options]\n"
        "       rooftrace catalog show NAME|FILE [options]\n\n"
        "Lists models and GPUs, or shows one with its sources and what is known about the\n"
        "accuracy of its constants. FILE is a record in JSON, or a Hugging Face config.json.\n",
    .options = {"rooftrace catalog", table, sizeof table / sizeof table[0]},
    .examples = "\nexamples:\n"
                "  rooftrace catalog list gpus\n"
                "  rooftrace catalog show h100-sxm\n"
                "  rooftrace catalog show llama-3.1-8b --json\n"
                "  rooftrace catalog show path/to/config.json\n",
};

/* ---- list ------------------------------------------------------------------------------------ */

static void list_models(const struct rt_catalog *c)
{
    printf("%-28s %9s %9s %6s %7s %-5s %9s %8s %5s\n", "model", "params B", "active B", "layers",
           "hidden", "attn", "KV KiB/tk", "context", "dtype");
    for (unsigned i = 0; i < rt_catalog_model_count(c); i++) {
        const struct rt_model *m = rt_catalog_model_at(c, i);
        printf("%-28s %9.3f %9.3f %6" PRId64 " %7" PRId64 " %-5s %9.1f %8" PRId64 " %5s\n", m->name,
               rt_model_params(m) / 1e9, rt_model_params_active(m) / 1e9, m->layers, m->hidden,
               m->attention == RT_MLA ? "mla" : "gqa",
               rt_model_kv_bytes_per_token(m, RT_BF16) / 1024, m->max_context,
               rt_dtype_names[rt_model_expert_dtype(m)]); /* most of a model with experts */
    }
}

/* 0 stands for a number that is not known. */
static void cell(double value, int width, int decimals)
{
    if (value > 0)
        printf(" %*.*f", width, decimals, value);
    else
        printf(" %*s", width, "-");
}

static void list_gpus(const struct rt_catalog *c)
{
    printf("%-20s %8s %8s %9s %8s %10s %6s %7s  %s\n", "gpu", "GB", "GB/s", "bf16 TF/s", "fp8 TF/s",
           "link GB/s", "W", "USD/h", "constants");
    for (unsigned i = 0; i < rt_catalog_gpu_count(c); i++) {
        const struct rt_gpu *g = rt_catalog_gpu_at(c, i);
        double wide = g->peak_flops[RT_BF16] > 0 ? g->peak_flops[RT_BF16] : g->peak_flops[RT_FP16];
        printf("%-20s", g->name);
        cell(g->mem_bytes / 1e9, 8, 1);
        cell(g->mem_bw_bytes_per_s / 1e9, 8, 0);
        cell(wide / 1e12, 9, 1);
        cell(g->peak_flops[RT_FP8] / 1e12, 8, 1);
        cell(g->link_bytes_per_s / 1e9, 10, 1);
        cell(g->tdp_w, 6, 0);
        cell(g->price[RT_ON_DEMAND].usd_per_h, 7, 2);
        printf("  %s\n", g->fitted ? "measured" : "default");
    }
}

static void json_list(const char *key, const struct rt_catalog *c, unsigned count,
                      const char *(*record)(const struct rt_catalog *, unsigned))
{
    printf("  \"%s\": [", key);
    for (unsigned i = 0; i < count; i++)
        printf("%s\n    %s", i > 0 ? "," : "", record(c, i));
    fputs("\n  ]", stdout);
}

static bool list(const struct rt_options *o, const struct rt_catalog *c, struct rt_err *err)
{
    const char *what = o->word_count > 1 ? o->words[1] : "";
    bool models = strcmp(what, "gpus") != 0, gpus = strcmp(what, "models") != 0;

    if (models && gpus && what[0] != '\0')
        return rt_fail(err, RT_EUSAGE, "catalog list: expected models or gpus, read \"%.64s\"",
                       what);
    if (rt_options_given(o, "--json")) {
        fputs("{\n", stdout);
        if (models)
            json_list("models", c, rt_catalog_model_count(c), rt_catalog_model_json);
        if (models && gpus)
            fputs(",\n", stdout);
        if (gpus)
            json_list("gpus", c, rt_catalog_gpu_count(c), rt_catalog_gpu_json);
        fputs("\n}\n", stdout);
        return true;
    }
    if (models)
        list_models(c);
    if (models && gpus)
        putchar('\n');
    if (gpus)
        list_gpus(c);
    return true;
}

/* ---- show ------------------------------------------------------------------------------------ */

static void print_scalar(const cJSON *value)
{
    if (cJSON_IsString(value))
        fputs(value->valuestring, stdout);
    else if (cJSON_IsNumber(value))
        printf("%.15g", value->valuedouble);
    else
        fputs(cJSON_IsTrue(value) ? "yes" : cJSON_IsFalse(value) ? "no" : "-", stdout);
}

static void print_list(const cJSON *list)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, list)
    {
        fputs(item == list->child ? "" : ", ", stdout);
        print_scalar(item);
    }
}

/* The record's own words: members line by line, those of an object indented under its key. */
static void print_members(const cJSON *object, int indent)
{
    const cJSON *member;

    cJSON_ArrayForEach(member, object)
    {
        if (cJSON_IsObject(member)) {
            printf("%*s%s:\n", indent, "", member->string);
            if (indent < 8) /* records are two deep; never deeper than a reader wants */
                print_members(member, indent + 2);
            continue;
        }
        printf("%*s%-*s ", indent, "", 32 - indent, member->string);
        if (cJSON_IsArray(member))
            print_list(member);
        else
            print_scalar(member);
        putchar('\n');
    }
}

/* A record's JSON text, as text for people or as it is. */
static bool print_record(const char *json, bool as_json, struct rt_err *err)
{
    cJSON *record = cJSON_Parse(json);
    char *pretty = NULL;

    if (record == NULL)
        return rt_fail_nomem(err, "record");
    if (as_json) {
        pretty = cJSON_Print(record);
        if (pretty != NULL)
            puts(pretty);
        cJSON_free(pretty);
    } else {
        print_members(record, 2);
    }
    cJSON_Delete(record);
    return !as_json || pretty != NULL || rt_fail_nomem(err, "record");
}

static void derived_model(const struct rt_model *m)
{
    printf("model %s\n", m->name);
    printf("  %-30s %.4f B, %.4f B for one token\n", "parameters", rt_model_params(m) / 1e9,
           rt_model_params_active(m) / 1e9);
    printf("  %-30s %.2f GB in 16 bit, %.2f GB in %s", "weights", rt_model_params(m) * 2 / 1e9,
           rt_model_weight_bytes(m, rt_model_expert_dtype(m), m->dtype, m->dtype) / 1e9,
           rt_dtype_names[m->dtype]);
    if (m->experts_apart)
        printf(", experts in %s", rt_dtype_names[m->expert_dtype]);
    putchar('\n');
    printf("  %-30s %.1f KiB\n", "KV of a token, 16 bit",
           rt_model_kv_bytes_per_token(m, RT_BF16) / 1024);
}

static void derived_gpu(const struct rt_gpu *g)
{
    printf("gpu %s\n", g->name);
    printf("  %-30s %s\n", "constants",
           g->fitted ? "from measured kernels of this GPU" : "defaults (no kernel measured)");
    printf("  %-30s %s\n", "accuracy", g->accuracy);
}

static bool show_model(const struct rt_model *m, const char *json, bool as_json, struct rt_err *err)
{
    if (!as_json)
        derived_model(m);
    return print_record(json, as_json, err);
}

static bool show_gpu(const struct rt_gpu *g, const char *json, bool as_json, struct rt_err *err)
{
    if (!as_json)
        derived_gpu(g);
    return print_record(json, as_json, err);
}

/* A record from a file: as the readers understood it, every default resolved. */
static bool show_file(const struct rt_catalog *c, const char *path, bool as_json,
                      struct rt_err *err)
{
    static const char *const gpu_keys[] = {"tflops", "mem_bw_gb_per_s", "constants"};
    struct rt_json *doc;
    struct rt_json_at root;
    struct rt_model model;
    struct rt_gpu gpu;
    bool is_gpu = false, ok;
    char *text = NULL;

    if (!rt_json_load(path, &doc, err))
        return false;
    root = rt_json_root(doc);
    for (size_t i = 0; i < sizeof gpu_keys / sizeof gpu_keys[0]; i++)
        is_gpu = is_gpu || rt_json_get(&root, gpu_keys[i]).node != NULL;
    rt_json_free(doc);
    if (is_gpu) {
        ok = rt_catalog_gpu(c, path, &gpu, err);
        text = ok ? rt_gpu_print(&gpu) : NULL;
    } else {
        ok = rt_catalog_model(c, path, &model, err);
        text = ok ? rt_model_print(&model) : NULL;
    }
    if (ok && text == NULL)
        ok = rt_fail_nomem(err, "record");
    if (ok)
        ok = is_gpu ? show_gpu(&gpu, text, as_json, err) : show_model(&model, text, as_json, err);
    free(text);
    return ok;
}

static bool fail_unknown(const struct rt_catalog *c, const char *name, struct rt_err *err)
{
    unsigned gpus = rt_catalog_gpu_count(c), models = rt_catalog_model_count(c);
    const char **names = malloc((gpus + models + 1) * sizeof(*names));
    const char *nearest;

    if (names == NULL)
        return rt_fail_nomem(err, "names");
    for (unsigned i = 0; i < gpus; i++)
        names[i] = rt_catalog_gpu_at(c, i)->name;
    for (unsigned i = 0; i < models; i++)
        names[gpus + i] = rt_catalog_model_at(c, i)->name;
    nearest = rt_nearest(name, names, gpus + models);
    if (nearest != NULL)
        rt_fail(err, RT_ECONFIG, "unknown model or GPU \"%.64s\", did you mean \"%s\"?", name,
                nearest);
    else
        rt_fail(err, RT_ECONFIG, "unknown model or GPU \"%.64s\", `rooftrace catalog` lists them",
                name);
    free(names);
    return false;
}

static bool show_name(const struct rt_catalog *c, const char *name, bool as_json,
                      struct rt_err *err)
{
    struct rt_model model;
    struct rt_gpu gpu;
    struct rt_err ignored = {0};
    bool is_gpu = rt_catalog_gpu(c, name, &gpu, &ignored);
    bool is_model = !is_gpu && rt_catalog_model(c, name, &model, &ignored);

    for (unsigned i = 0; is_gpu && i < rt_catalog_gpu_count(c); i++)
        if (strcmp(rt_catalog_gpu_at(c, i)->name, gpu.name) == 0)
            return show_gpu(&gpu, rt_catalog_gpu_json(c, i), as_json, err);
    for (unsigned i = 0; is_model && i < rt_catalog_model_count(c); i++)
        if (strcmp(rt_catalog_model_at(c, i)->name, model.name) == 0)
            return show_model(&model, rt_catalog_model_json(c, i), as_json, err);
    return fail_unknown(c, name, err);
}

/* As the catalogue has it: a model may be named "owner/name". */
static bool is_path(const char *text)
{
    size_t len = strlen(text);

    return text[0] == '/' || text[0] == '.' || (len > 5 && strcmp(text + len - 5, ".json") == 0);
}

static bool answer(const struct rt_options *o, const struct rt_catalog *c, struct rt_err *err)
{
    const char *verb = o->word_count > 0 ? o->words[0] : "list";
    bool json = rt_options_given(o, "--json");

    if (strcmp(verb, "list") == 0)
        return cli_words(o, 0, 2, "catalog list [models|gpus]", err) && list(o, c, err);
    if (strcmp(verb, "show") != 0)
        return rt_fail(err, RT_EUSAGE, "catalog: expected list or show, read \"%.64s\"", verb);
    if (!cli_words(o, 2, 2, "catalog show NAME|FILE", err))
        return false;
    return is_path(o->words[1]) ? show_file(c, o->words[1], json, err)
                                : show_name(c, o->words[1], json, err);
}

int cli_catalog(int argc, char **argv)
{
    struct rt_catalog *catalog = NULL;
    struct rt_options o;
    struct rt_err err = {0};
    int status;

    if (!cli_begin(&page, argc, argv, &o, &status))
        return status;
    if (!rt_catalog_open(rt_options_text(&o, "--catalog", NULL), &catalog, &err) ||
        !answer(&o, catalog, &err))
        status = cli_fail(&err);
    else
        status = cli_finish();
    rt_catalog_free(catalog);
    rt_options_release(&o);
    return status;
}
