/* The scenario that a file and options give together.
 *
 * Each option stands for a key of the scenario (table `places`). The file's document and the
 * options become one document, which is then parsed as any other: one set of rules and messages,
 * whatever a value came from. Options win over --engine-args, which wins over the keys that the
 * file writes, which win over the preset; pool and engine options apply to every pool. Relative
 * paths in options are seen from the working directory, those in the file from the file. Numbers
 * keep every bit on the way. */
#include "cli_internal.h"
#include "scenario_internal.h"
#include "synth_options_internal.h"

#include <cjson/cJSON.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum section {
    ROOT,
    WORKLOAD,
    ADMISSION,
    CANCEL,
    POOL,
    ENGINE,
    SPECULATIVE,
    COST,
    POWER,
    KV_TRANSFER
};

static const struct place {
    const char *option;
    enum section section;
    const char *key;
    bool path; /* a text with a slash, or ending in .json, or of option --trace, names a file */
} places[] = {
    {"--trace", WORKLOAD, "trace", true},
    {"--format", WORKLOAD, "format", false},
    {"--rate-scale", WORKLOAD, "rate_scale", false},
    {"--repeat", WORKLOAD, "repeat", false},
    {"--window-s", WORKLOAD, "window_s", false},
    {"--max-requests", WORKLOAD, "max_requests", false},
    {"--trace-block-size", WORKLOAD, "block_size", false},
    {"--head", WORKLOAD, "max_requests", false},
    {"--spread-s", WORKLOAD, "spread_s", false},
    {"--time-scale", WORKLOAD, "time_scale", false},
    {"--superpose", WORKLOAD, "superpose", false},
    {"--prefix-roots", WORKLOAD, "prefix_roots", false},
    {"--keep-share", WORKLOAD, "keep_share", false},
    {"--resample", WORKLOAD, "resample", false},
    {"--max-gap-s", WORKLOAD, "max_gap_s", false},
    {"--prompt-scale", WORKLOAD, "prompt_scale", false},
    {"--output-scale", WORKLOAD, "output_scale", false},
    {"--min-prompt-tokens", WORKLOAD, "min_prompt_tokens", false},
    {"--max-prompt-tokens", WORKLOAD, "max_prompt_tokens", false},
    {"--min-output-tokens", WORKLOAD, "min_output_tokens", false},
    {"--max-output-tokens", WORKLOAD, "max_output_tokens", false},
    {"--max-context-tokens", WORKLOAD, "max_context_tokens", false},
    {"--over-context", WORKLOAD, "over_context", false},
    {"--max-concurrency", WORKLOAD, "max_concurrency", false},
    {"--request-rate", WORKLOAD, "request_rate", false},
    {"--burstiness", WORKLOAD, "burstiness", false},
    {"--rate-profile", WORKLOAD, "rate_profile", false},
    {"--sessions", WORKLOAD, "sessions", false},
    {"--columns", WORKLOAD, "columns", false},
    {"--failed", WORKLOAD, "failed", false},
    {"--model", ROOT, "model", true},
    {"--gpu", POOL, "gpu", true},
    {"--replicas", POOL, "replicas", false},
    {"--tensor-parallel-size", POOL, "tensor_parallel", false},
    {"--pipeline-parallel-size", POOL, "pipeline_parallel", false},
    {"--data-parallel-size", POOL, "data_parallel", false},
    {"--dtype", POOL, "activation_dtype", false}, /* all three; the narrower ones come later */
    {"--dtype", POOL, "weight_dtype", false},
    {"--dtype", POOL, "kv_dtype", false},
    {"--activation-dtype", POOL, "activation_dtype", false},
    {"--weight-dtype", POOL, "weight_dtype", false},
    {"--expert-dtype", POOL, "expert_dtype", false},
    {"--kv-dtype", POOL, "kv_dtype", false},
    {"--head-dtype", POOL, "head_dtype", false},
    {"--policy", ENGINE, "policy", false},
    {"--queue-order", ENGINE, "queue_order", false},
    {"--aging-s", ENGINE, "aging_s", false},
    {"--preemption", ENGINE, "preemption", false},
    {"--cpu-kv-bytes", ENGINE, "cpu_kv_bytes", false},
    {"--num-cpu-blocks", ENGINE, "num_cpu_blocks", false},
    {"--offload-bytes", ENGINE, "offload_bytes", false},
    {"--speculative-tokens", SPECULATIVE, "draft_tokens", false},
    {"--speculative-acceptance", SPECULATIVE, "acceptance", false},
    {"--speculative-model", SPECULATIVE, "draft_model", true},
    {"--draft-s-per-token", SPECULATIVE, "draft_s_per_token", false},
    {"--async-scheduling", ENGINE, "async_scheduling", false},
    {"--no-async-scheduling", ENGINE, "async_scheduling", false},
    {"--enable-prefix-caching", ENGINE, "prefix_caching", false},
    {"--no-enable-prefix-caching", ENGINE, "prefix_caching", false},
    {"--max-num-seqs", ENGINE, "max_num_seqs", false},
    {"--max-num-batched-tokens", ENGINE, "max_num_batched_tokens", false},
    {"--block-size", ENGINE, "block_size", false},
    {"--gpu-memory-utilization", ENGINE, "gpu_memory_utilization", false},
    {"--num-gpu-blocks-override", ENGINE, "num_gpu_blocks", false},
    {"--max-model-len", ENGINE, "max_model_len", false},
    {"--router", ROOT, "router", false},
    {"--router-view-interval-s", ROOT, "router_view_interval_s", false},
    {"--router-weights", ROOT, "router_weights", false},
    {"--decode-router", ROOT, "decode_router", false},
    {"--kv-transfer-gb-per-s", KV_TRANSFER, "gb_per_s", false},
    {"--kv-transfer-latency-us", KV_TRANSFER, "latency_us", false},
    {"--kv-transfer-layerwise", KV_TRANSFER, "layerwise", false},
    {"--first-token", KV_TRANSFER, "first_token", false},
    {"--admit-requests-per-s", ADMISSION, "requests_per_s", false},
    {"--admit-burst-requests", ADMISSION, "burst_requests", false},
    {"--admit-prompt-tokens-per-s", ADMISSION, "prompt_tokens_per_s", false},
    {"--admit-burst-prompt-tokens", ADMISSION, "burst_prompt_tokens", false},
    {"--queue-limit", ADMISSION, "queue_limit", false},
    {"--shed-late", ADMISSION, "shed_late", false},
    {"--drain-timeout-s", POOL, "drain_timeout_s", false},
    {"--timeout-s", ROOT, "timeout_s", false},
    {"--cancel-share", CANCEL, "share", false},
    {"--cancel-mean-s", CANCEL, "mean_s", false},
    {"--sample-interval-s", ROOT, "sample_interval_s", false},
    {"--measure-s", ROOT, "measure_s", false},
    {"--frontend-s", ROOT, "frontend_s", false},
    {"--seed", ROOT, "seed", false},
    {"--pue", POWER, "pue", false},
    {"--gco2-per-kwh", POWER, "gco2_per_kwh", false},
};
#define PLACES (sizeof places / sizeof places[0])

void scenario_put(struct scenario_builder *b, cJSON *object, const char *key, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, key);
    if (value == NULL || !cJSON_AddItemToObject(object, key, value)) {
        cJSON_Delete(value);
        b->ok = false;
    }
}

cJSON *scenario_section(struct scenario_builder *b, cJSON *object, const char *key)
{
    cJSON *found = cJSON_GetObjectItemCaseSensitive(object, key);

    if (found == NULL) {
        scenario_put(b, object, key, cJSON_CreateObject());
        found = cJSON_GetObjectItemCaseSensitive(object, key);
    }
    return cJSON_IsObject(found) ? found : NULL;
}

bool scenario_names_record(const char *text)
{
    size_t len = strlen(text);

    return (strchr(text, '/') != NULL && access(text, F_OK) == 0) ||
           (len > 5 && strcmp(text + len - 5, ".json") == 0);
}

static bool names_file(const struct place *p, const char *text)
{
    return p->path && (p->section == WORKLOAD || scenario_names_record(text));
}

static cJSON *option_item(const struct scenario_builder *b, const struct place *p)
{
    const struct rt_option_value *v = rt_options_get(b->o, p->option);
    const struct rt_option *entry = &b->o->table[v - b->o->values];

    if (entry->kind == RT_OPTION_FLAG)
        return cJSON_CreateBool(strncmp(p->option, "--no-", 5) != 0);
    if (entry->kind == RT_OPTION_INT)
        return scenario_double_item((double)v->integer); /* ranges end at 2^53 */
    if (entry->kind == RT_OPTION_NUMBER)
        return scenario_double_item(v->number);
    if (strcmp(p->key, "window_s") == 0 || strcmp(p->key, "measure_s") == 0)
        return scenario_range_item(v->text);
    if (p->section == SPECULATIVE && strcmp(p->key, "acceptance") == 0)
        return scenario_shares_item(v->text);
    if (strcmp(p->key, "router_weights") == 0)
        return scenario_weights_item(v->text);
    if (p->section == WORKLOAD && strcmp(p->key, "superpose") == 0)
        return scenario_superpose_item(v->text);
    if (p->section == WORKLOAD && strcmp(p->key, "rate_profile") == 0)
        return scenario_profile_item(v->text);
    if (p->section == WORKLOAD &&
        (strcmp(p->key, "request_rate") == 0 || strcmp(p->key, "burstiness") == 0))
        return scenario_number_item(v->text);
    return names_file(p, v->text) ? scenario_path_item(b, v->text) : cJSON_CreateString(v->text);
}

static void put_in_pools(struct scenario_builder *b, const struct place *p)
{
    cJSON *pools = cJSON_GetObjectItemCaseSensitive(b->root, "pools");
    cJSON *pool;

    cJSON_ArrayForEach(pool, pools)
    {
        cJSON *into = cJSON_IsObject(pool) ? pool : NULL;
        if (into != NULL && p->section != POOL)
            into = scenario_section(b, into, "engine");
        if (into != NULL && p->section == SPECULATIVE)
            into = scenario_section(b, into, "speculative");
        if (into != NULL)
            scenario_put(b, into, p->key, option_item(b, p));
    }
}

static void put_option(struct scenario_builder *b, const struct place *p)
{
    cJSON *into = b->root;

    if (p->section == POOL || p->section == ENGINE || p->section == SPECULATIVE) {
        put_in_pools(b, p);
        return;
    }
    if (p->section == WORKLOAD)
        into = scenario_section(b, b->root, "workload");
    else if (p->section == ADMISSION)
        into = scenario_section(b, b->root, "admission");
    else if (p->section == CANCEL)
        into = scenario_section(b, b->root, "cancel");
    else if (p->section == POWER)
        into = scenario_section(b, b->root, "power");
    else if (p->section == KV_TRANSFER)
        into = scenario_section(b, b->root, "kv_transfer");
    if (into != NULL && p->section == WORKLOAD && strcmp(p->key, "rate_scale") == 0)
        cJSON_DeleteItemFromObjectCaseSensitive(into, "time_scale"); /* the file's */
    if (into != NULL && p->section == WORKLOAD && strcmp(p->key, "time_scale") == 0)
        cJSON_DeleteItemFromObjectCaseSensitive(into, "rate_scale");
    if (into != NULL)
        scenario_put(b, into, p->key, option_item(b, p));
}

/* "500", "500ms" or "0.5s", as objectives of `size` have them. */
static bool read_ms(const char *text, double *ms)
{
    char number[64];
    size_t len = strcspn(text, "ms");
    const char *unit = text + len;

    if (len >= sizeof number ||
        (unit[0] != '\0' && strcmp(unit, "ms") != 0 && strcmp(unit, "s") != 0))
        return false;
    memcpy(number, text, len);
    number[len] = '\0';
    if (!rt_read_number(number, ms))
        return false;
    *ms *= strcmp(unit, "s") == 0 ? 1e3 : 1;
    return *ms >= 1e-6 && *ms <= 9e12;
}

/* --goodput ttft:500 tpot:50, in milliseconds as vLLM has it. */
static bool put_slo(struct scenario_builder *b, const char *option, struct rt_err *err)
{
    static const char *const names[] = {"ttft", "tpot", "e2el", "e2e"};
    static const char *const keys[] = {"ttft_s", "tpot_s", "e2e_s", "e2e_s"};
    const struct rt_option_value *v = rt_options_get(b->o, option);
    cJSON *slo = v->count > 0 ? scenario_section(b, b->root, "slo") : NULL;

    for (unsigned i = 0; i < v->count; i++) {
        size_t len = strcspn(v->all[i], ":");
        double ms;
        unsigned k = 0;
        while (k < 4 && (strlen(names[k]) != len || strncmp(v->all[i], names[k], len) != 0))
            k++;
        if (k == 4 || !read_ms(v->all[i] + len + 1, &ms))
            return rt_fail(err, RT_EUSAGE,
                           "%s: expected ttft:MS, tpot:MS or e2el:MS, read \"%.64s\"", option,
                           v->all[i]);
        if (slo != NULL)
            scenario_put(b, slo, keys[k], scenario_double_item(ms / 1e3));
    }
    return true;
}

/* b0,b1,b2,b3,b4 */
static bool put_coefficients(struct scenario_builder *b, cJSON *cost, const char *text,
                             struct rt_err *err)
{
    cJSON *list = cJSON_CreateArray();
    const char *rest = text;
    unsigned count = 0;

    scenario_put(b, cost, "coefficients_s", list);
    for (; b->ok && *rest != '\0'; count++) {
        size_t len = strcspn(rest, ",");
        char one[64];
        double value;
        snprintf(one, sizeof one, "%.*s", (int)(len < 63 ? len : 63), rest);
        if (count == 5 || !rt_read_number(one, &value))
            break;
        b->ok = cJSON_AddItemToArray(list, scenario_double_item(value)) != 0;
        rest += len + (rest[len] == ',' ? 1 : 0);
    }
    if (b->ok && (count != 5 || *rest != '\0'))
        return rt_fail(err, RT_EUSAGE,
                       "--cost-coefficients: expected b0,b1,b2,b3,b4 in seconds, read \"%.64s\"",
                       text);
    return true;
}

/* Options on cost replace the file's whole section: the keys of one kind are errors in another. */
static bool put_cost(struct scenario_builder *b, struct rt_err *err)
{
    const char *coefficients = rt_options_text(b->o, "--cost-coefficients", NULL);
    bool light = rt_options_given(b->o, "--speed-of-light");
    const char *profile = rt_options_text(b->o, "--profile", NULL);
    const char *implied = coefficients ? "linear" : profile ? "profile" : "roofline";
    const char *kind = rt_options_text(b->o, "--cost", implied);
    cJSON *cost;

    if (coefficients == NULL && profile == NULL && !light && !rt_options_given(b->o, "--cost"))
        return true;
    scenario_put(b, b->root, "cost", cJSON_CreateObject());
    cost = scenario_section(b, b->root, "cost");
    if (cost == NULL)
        return rt_fail_nomem(err, "options");
    scenario_put(b, cost, "kind", cJSON_CreateString(kind));
    if (light)
        scenario_put(b, cost, "speed_of_light", cJSON_CreateTrue());
    if (profile != NULL)
        scenario_put(b, cost, "file", scenario_path_item(b, profile));
    return coefficients == NULL || put_coefficients(b, cost, coefficients, err);
}

/* Any option that stands for a key of the scenario? */
static bool any_given(const struct rt_options *o, bool sizing)
{
    for (size_t i = 0; i < PLACES; i++)
        if (rt_options_given(o, places[i].option))
            return true;
    return rt_options_given(o, "--preset") || rt_options_given(o, "--engine-args") ||
           rt_options_given(o, "--price") || scenario_supply_given(o) ||
           rt_options_given(o, "--goodput") || (!sizing && rt_options_given(o, "--slo")) ||
           rt_options_given(o, "--cost") || rt_options_given(o, "--cost-coefficients") ||
           rt_options_given(o, "--profile") || rt_options_given(o, "--speed-of-light") ||
           synth_options_given(o) || scenario_roles_given(o);
}

/* Traffic that is made stands in the place of a trace; what belongs to the trace goes with it. */
static bool put_synthetic(struct scenario_builder *b, struct rt_err *err)
{
    static const char *const of_traces[] = {"trace", "format"};
    cJSON *workload, *synthetic;

    if (!synth_options_given(b->o))
        return true;
    if (rt_options_given(b->o, "--trace"))
        return rt_fail(err, RT_EUSAGE,
                       "--trace and options that make traffic (--num-prompts, ...): expected "
                       "one of them (--max-requests takes the first of a trace)");
    workload = scenario_section(b, b->root, "workload");
    for (unsigned i = 0; workload != NULL && i < 2; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(workload, of_traces[i]);
    synthetic = workload != NULL ? scenario_section(b, workload, "synthetic") : NULL;
    return synthetic == NULL || synth_options_put(b, synthetic, err);
}

static bool is_weighted(const cJSON *router)
{
    return cJSON_IsString(router) && strcmp(router->valuestring, "weighted") == 0;
}

/* --router-weights alone means the router that has weights; beside another one they would do
 * nothing. */
static bool put_weighted(struct scenario_builder *b, struct rt_err *err)
{
    const cJSON *router = cJSON_GetObjectItemCaseSensitive(b->root, "router");

    if (!rt_options_given(b->o, "--router-weights") || is_weighted(router) ||
        is_weighted(cJSON_GetObjectItemCaseSensitive(b->root, "decode_router")))
        return true;
    if (router == NULL)
        scenario_put(b, b->root, "router", cJSON_CreateString("weighted"));
    return router == NULL || !cJSON_IsString(router) ||
           rt_fail(err, RT_EUSAGE, "--router-weights: expected router weighted, read \"%.64s\"",
                   router->valuestring);
}

static bool put_options(struct scenario_builder *b, struct rt_err *err)
{
    if (!cJSON_HasObjectItem(b->root, "pools")) {
        cJSON *pools = cJSON_CreateArray();
        scenario_put(b, b->root, "pools", pools);
        if (b->ok)
            b->ok = cJSON_AddItemToArray(pools, cJSON_CreateObject()) != 0;
    }
    if (!scenario_put_roles(b, err))
        return false;
    if (b->ok && rt_options_given(b->o, "--preset"))
        scenario_put_preset(b, rt_options_text(b->o, "--preset", ""));
    if (b->ok && b->pasted->keys != NULL)
        scenario_put_pasted(b);
    for (size_t i = 0; b->ok && i < PLACES; i++)
        if (rt_options_given(b->o, places[i].option))
            put_option(b, &places[i]);
    scenario_put_price(b);
    scenario_put_supply(b);
    return put_weighted(b, err) && put_synthetic(b, err) && put_cost(b, err) &&
           (b->sizing || put_slo(b, "--slo", err)) && put_slo(b, "--goodput", err) &&
           (b->ok || rt_fail_nomem(err, "options"));
}

/* `text`: the file's document, or "{}". */
static bool merge(struct scenario_builder *b, const char *text, struct rt_json **out,
                  struct rt_err *err)
{
    char name[PATH_MAX];
    char *merged = NULL;
    bool ok = false;

    b->root = cJSON_Parse(text);
    b->ok = true;
    if (b->root == NULL)
        return rt_fail_nomem(err, "options");
    /* A relative path in the document is seen from the folder of its name. */
    snprintf(name, sizeof name, "%s%s", b->file ? b->file : "command line",
             b->file ? " with options" : "");
    scenario_keep_numbers(b, b->root);
    if (put_options(b, err)) {
        merged = cJSON_PrintUnformatted(b->root);
        ok = merged != NULL ? rt_json_parse(merged, strlen(merged), name, out, err)
                            : rt_fail_nomem(err, "options");
    }
    cJSON_free(merged);
    cJSON_Delete(b->root);
    return ok;
}

static bool load(struct scenario_builder *b, struct rt_json **out, struct rt_err *err)
{
    struct rt_json_at root;
    struct rt_json *plain;
    char *text;
    bool ok;

    if (!rt_json_load(b->file, &plain, err))
        return false;
    root = rt_json_root(plain);
    if (!any_given(b->o, b->sizing) || rt_json_kind(&root) != RT_JSON_OBJECT) {
        *out = plain;
        return true;
    }
    text = rt_json_print(&root);
    rt_json_free(plain);
    ok = text != NULL ? merge(b, text, out, err) : rt_fail_nomem(err, b->file);
    free(text);
    return ok;
}

static bool check_complete(const struct scenario_builder *b, struct rt_err *err)
{
    static const char *const needed[] = {"--trace", "--model", "--gpu"};

    for (unsigned i = 0; i < 3; i++)
        if (!rt_options_given(b->o, needed[i]) && !(i == 1 && b->pasted->has_model) &&
            !(i == 0 && synth_options_given(b->o)) && !(i == 2 && b->sizing))
            return rt_fail(err, RT_EUSAGE,
                           "expected a scenario file, or --trace, --model and --gpu: %s is missing",
                           needed[i]);
    return true;
}

/* The document that file and options give together. */
static bool build(struct scenario_builder *b, struct rt_json **out, struct rt_err *err)
{
    if (!scenario_check_ranges(b->o, err))
        return false;
    if (b->file != NULL)
        return load(b, out, err);
    return check_complete(b, err) && merge(b, "{}", out, err);
}

bool cli_scenario_document(const struct rt_options *o, const char *file, struct rt_json **out,
                           struct rt_err *err)
{
    struct rt_engine_args pasted = {0};
    struct scenario_notes notes = {0};
    struct scenario_builder b = {
        .o = o, .file = file, .pasted = &pasted, .notes = &notes, .sizing = true};

    return build(&b, out, err);
}

static bool resolve(struct scenario_builder *b, const struct rt_catalog *catalog,
                    struct rt_scenario *out, struct rt_err *err)
{
    struct rt_json *doc = NULL;
    struct rt_json_at root;
    bool ok;

    if (!build(b, &doc, err))
        return false;
    root = rt_json_root(doc);
    ok = rt_scenario_parse(&root, catalog, out, err);
    rt_json_free(doc);
    return ok;
}

bool cli_scenario(const struct rt_options *o, const struct rt_catalog *catalog,
                  struct rt_scenario *out, struct rt_err *err)
{
    const char *line = rt_options_text(o, "--engine-args", NULL);
    struct rt_engine_args pasted = {0};
    struct scenario_notes notes = {0};
    struct scenario_builder b = {
        .o = o, .file = o->word_count > 0 ? o->words[0] : NULL, .pasted = &pasted, .notes = &notes};
    bool ok = (line == NULL || rt_engine_args_parse(line, &pasted, err)) &&
              resolve(&b, catalog, out, err);

    if (ok) {
        scenario_settle_fp8(&b, out);
        if (notes.kept[0] != '\0')
            cli_note("--preset %.40s: the scenario file's own keys win: %s",
                     rt_options_text(o, "--preset", ""), notes.kept);
        if (pasted.ignored != NULL && pasted.ignored[0] != '\0')
            cli_note("--engine-args: ignored: %s", pasted.ignored);
    }
    rt_engine_args_release(&pasted);
    return ok;
}
