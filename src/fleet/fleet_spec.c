/* The scenario's keys `model`, `cost` and `pools` into an rt_fleet_spec.
 *
 * Names of models and GPUs become full records here, and every default that depends on them
 * (dtypes, the step's token budget) is resolved, so that the spec alone says what will be
 * simulated. Features that this version lacks are accepted at their default value and refused by
 * name otherwise. O(pools). Failure: RT_ECONFIG with the JSON path, or RT_ENOMEM. */
#include "rooftrace/catalog.h"
#include "rooftrace/dtype.h"
#include "rooftrace/gpu.h"
#include "rooftrace/model.h"
#include "rooftrace/preset.h"
#include "rooftrace/price.h"
#include "supply_internal.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PARALLEL    1024
#define DEFAULT_RETRIES 3
/* vLLM's defaults for serving: 8192 tokens a step, 2048 on cards with little memory. */
#define SMALL_CARD_BYTES    40e9
#define SMALL_CARD_TOKENS   2048
#define DEFAULT_STEP_TOKENS 8192

static const char *const pool_keys[] = {
    "name",
    "gpu",
    "model",
    "tensor_parallel",
    "pipeline_parallel",
    "expert_parallel",
    "data_parallel",
    "replicas",
    "role",
    "weight_dtype",
    "expert_dtype",
    "activation_dtype",
    "kv_dtype",
    "head_dtype",
    "engine",
    "node",
    "served_models",
    "max_prompt_tokens",
    "price_usd_per_gpu_hour",
    "pricing",
    "price_bound",
    "power",
    "startup",
    "drain_timeout_s",
    "scaling",
    "failures",
};

void rt_fleet_spec_init(struct rt_fleet_spec *s)
{
    *s = (struct rt_fleet_spec){0};
    rt_cost_spec_init(&s->cost);
    routing_spec_init(s);
    hand_over_spec_init(s);
    s->power.pue = 1;
    s->retry = (struct rt_retry_spec){.mode = RT_RETRY_RESUME, .max_retries = DEFAULT_RETRIES};
}

void rt_fleet_spec_release(struct rt_fleet_spec *s)
{
    rt_cost_spec_release(&s->cost);
    for (uint32_t i = 0; i < s->pool_count; i++)
        supply_spec_release(s->pools[i].supply);
    free(s->pools);
    s->pools = NULL;
    s->pool_count = 0;
}

static bool is_16_bit(enum rt_dtype d)
{
    return d == RT_FP16 || d == RT_BF16;
}

struct rt_dtypes rt_pool_default_dtypes(const struct rt_gpu *gpu, const struct rt_model *model)
{
    enum rt_dtype wide = is_16_bit(model->dtype) ? model->dtype : RT_BF16;

    /* Volta and Turing have no bf16 unit: engines compute in fp16 there. */
    if (wide == RT_BF16 && gpu->peak_flops[RT_BF16] <= 0.0 && gpu->peak_flops[RT_FP16] > 0.0)
        wide = RT_FP16;
    return (struct rt_dtypes){
        .weight = is_16_bit(model->dtype) ? wide : model->dtype,
        .activation = wide,
        .kv = wide,
        .head = wide,
        .experts_apart = model->experts_apart,
        .expert = rt_model_expert_dtype(model),
    };
}

int64_t rt_pool_default_step_tokens(const struct rt_gpu *gpu)
{
    return gpu->mem_bytes < SMALL_CARD_BYTES ? SMALL_CARD_TOKENS : DEFAULT_STEP_TOKENS;
}

/* Letters, digits, '.', '_' and '-', beginning with a letter or digit: safe in tables and options.
 */
static bool is_name(const char *text)
{
    size_t len = strlen(text);

    if (len == 0 || len >= RT_NAME_SIZE || !isalnum((unsigned char)text[0]))
        return false;
    for (size_t i = 0; i < len; i++)
        if (!isalnum((unsigned char)text[i]) && strchr("._-", text[i]) == NULL)
            return false;
    return true;
}

static bool parse_name(const struct rt_json_at *at, const struct rt_fleet_spec *s, uint32_t index,
                       struct rt_err *err)
{
    struct rt_pool_spec *pool = &s->pools[index];
    struct rt_json_at place = rt_json_get(at, "name");
    const char *name = NULL;

    if (!rt_json_string(at, "name", &name, err))
        return false;
    if (name == NULL && index == 0)
        snprintf(pool->name, sizeof pool->name, "main");
    else if (name == NULL)
        snprintf(pool->name, sizeof pool->name, "pool%u", (unsigned)index);
    else if (!is_name(name))
        return rt_json_fail(&place, err,
                            "expected 1 to %d letters, digits, '.', '_' or '-', read \"%.64s\"",
                            RT_NAME_SIZE - 1, name);
    else
        snprintf(pool->name, sizeof pool->name, "%s", name);
    return true;
}

static int compare_names(const void *a, const void *b)
{
    const struct rt_pool_spec *const *x = a, *const *y = b;

    return strcmp((*x)->name, (*y)->name);
}

static bool check_names(const struct rt_json_at *pools, const struct rt_fleet_spec *s,
                        struct rt_err *err)
{
    const struct rt_pool_spec **sorted = malloc(s->pool_count * sizeof(*sorted));
    bool ok = true;

    if (sorted == NULL)
        return rt_fail_nomem(err, "pools");
    for (uint32_t i = 0; i < s->pool_count; i++)
        sorted[i] = &s->pools[i];
    qsort(sorted, s->pool_count, sizeof(*sorted), compare_names);
    for (uint32_t i = 1; ok && i < s->pool_count; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            ok = rt_json_fail(pools, err, "two pools are named \"%s\"", sorted[i]->name);
    free(sorted);
    return ok;
}

static bool parse_parallel(const struct rt_json_at *at, struct rt_parallel *p, struct rt_err *err)
{
    *p = (struct rt_parallel){.tensor = 1, .pipeline = 1, .expert = 1, .data = 1};
    return rt_json_int(at, "tensor_parallel", 1, MAX_PARALLEL, &p->tensor, err) &&
           rt_json_int(at, "pipeline_parallel", 1, MAX_PARALLEL, &p->pipeline, err) &&
           rt_json_int(at, "expert_parallel", 1, MAX_PARALLEL, &p->expert, err) &&
           rt_json_int(at, "data_parallel", 1, MAX_PARALLEL, &p->data, err);
}

/* Boxes of GPUs and the network between them. */
static bool parse_node(const struct rt_json_at *at, struct rt_nodes *n, struct rt_err *err)
{
    static const char *const keys[] = {"gpus", "link_gb_per_s", "latency_us"};
    struct rt_json_at node = rt_json_get(at, "node");
    double gb_per_s, us;

    rt_nodes_init(n);
    gb_per_s = n->link_bytes_per_s / 1e9;
    us = n->latency_s / 1e-6;
    if (rt_json_kind(&node) == RT_JSON_ABSENT)
        return true;
    if (!rt_json_expect(&node, RT_JSON_OBJECT, err) || !rt_json_only(&node, keys, 3, err) ||
        !rt_json_int(&node, keys[0], 1, MAX_PARALLEL, &n->gpus, err) ||
        !rt_json_double(&node, keys[1], 0.001, 1e6, &gb_per_s, err) ||
        !rt_json_double(&node, keys[2], 0.001, 1e6, &us, err))
        return false;
    n->link_bytes_per_s = gb_per_s * 1e9;
    n->latency_s = us * 1e-6;
    return true;
}

static bool parse_served(const struct rt_json_at *at, struct rt_pool_spec *pool, struct rt_err *err)
{
    struct rt_json_at list = rt_json_get(at, "served_models");
    int count = rt_json_count(&list);

    if (list.node == NULL)
        return true;
    if (!rt_json_expect(&list, RT_JSON_ARRAY, err))
        return false;
    if (count > RT_MAX_SERVED_MODELS)
        return rt_json_fail(&list, err, "expected at most %d names, read %d", RT_MAX_SERVED_MODELS,
                            count);
    for (int i = 0; i < count; i++) {
        struct rt_json_at item = rt_json_item(&list, i);
        if (!rt_json_expect(&item, RT_JSON_STRING, err))
            return false;
        size_t len = strlen(item.node->valuestring);
        if (len == 0 || len >= RT_NAME_SIZE)
            return rt_json_fail(&item, err, "expected a name of 1 to %d bytes, read \"%.64s\"",
                                RT_NAME_SIZE - 1, item.node->valuestring);
        memcpy(pool->served_models[i], item.node->valuestring, len + 1);
        pool->served_count++;
    }
    return true;
}

static bool parse_dtype(const struct rt_json_at *at, const char *key, enum rt_dtype *out,
                        struct rt_err *err)
{
    unsigned choice = (unsigned)*out;

    if (!rt_json_choice(at, key, rt_dtype_names, RT_DTYPE_COUNT, &choice, err))
        return false;
    *out = (enum rt_dtype)choice;
    return true;
}

/* Who states the type of the weights means the experts, too. */
static bool parse_dtypes(const struct rt_json_at *at, struct rt_dtypes *d, struct rt_err *err)
{
    struct rt_json_at weights = rt_json_get(at, "weight_dtype");
    struct rt_json_at experts = rt_json_get(at, "expert_dtype");
    bool own = experts.node != NULL;

    d->experts_apart = own || (d->experts_apart && weights.node == NULL);
    return parse_dtype(at, "weight_dtype", &d->weight, err) &&
           parse_dtype(at, "expert_dtype", &d->expert, err) &&
           parse_dtype(at, "activation_dtype", &d->activation, err) &&
           parse_dtype(at, "kv_dtype", &d->kv, err) && parse_dtype(at, "head_dtype", &d->head, err);
}

static bool parse_hardware(const struct rt_json_at *at, const struct rt_catalog *catalog,
                           const struct rt_model *model, struct rt_pool_spec *pool,
                           struct rt_err *err)
{
    struct rt_json_at gpu = rt_json_get(at, "gpu"), own = rt_json_get(at, "model");

    if (!rt_json_need(at, "gpu", err) || !rt_catalog_gpu_from(catalog, &gpu, &pool->gpu, err))
        return false;
    if (own.node != NULL)
        return rt_catalog_model_from(catalog, &own, &pool->model, err);
    if (model == NULL)
        return rt_json_fail(at, err, "missing key \"model\", here or beside \"pools\"");
    pool->model = *model;
    return true;
}

static bool parse_draft_model(const struct rt_json_at *engine, const struct rt_catalog *catalog,
                              struct rt_pool_spec *pool, struct rt_err *err)
{
    struct rt_json_at speculative = rt_json_get(engine, "speculative");
    struct rt_json_at draft = rt_json_get(&speculative, "draft_model");

    if (rt_json_kind(&draft) == RT_JSON_ABSENT)
        return true;
    pool->has_draft_model = true;
    return rt_catalog_model_from(catalog, &draft, &pool->draft_model, err);
}

static bool check_budget(const struct rt_json_at *engine, const struct rt_engine_spec *e,
                         struct rt_err *err)
{
    struct rt_json_at speculative = rt_json_get(engine, "speculative");

    if (rt_engine_budget_holds(e))
        return true;
    return rt_json_fail(&speculative, err,
                        "max_num_batched_tokens, %lld, is too small for max_num_seqs * "
                        "(draft_tokens + 1), %lld * %lld",
                        (long long)e->max_num_batched_tokens, (long long)e->max_num_seqs,
                        (long long)e->speculative.draft_tokens + 1);
}

/* GPUs that hold a part of each expert. */
static int64_t expert_slices(const struct rt_parallel *p)
{
    return p->expert > 1 ? 1 : p->tensor * p->data;
}

static bool parse_pool(const struct rt_json_at *at, const struct rt_catalog *catalog,
                       const struct rt_model *model, struct rt_pool_spec *pool, struct rt_err *err)
{
    struct rt_json_at engine = rt_json_get(at, "engine"), scaling = rt_json_get(at, "scaling");
    int64_t least = scaling.node != NULL ? 0 : 1; /* the others may come later */

    pool->replicas = 1;
    rt_engine_init(&pool->engine);
    if (!rt_json_only(at, pool_keys, sizeof pool_keys / sizeof pool_keys[0], err) ||
        !parse_hardware(at, catalog, model, pool, err) ||
        !parse_parallel(at, &pool->parallel, err) || !parse_node(at, &pool->nodes, err) ||
        !rt_json_int(at, "replicas", least, RT_MAX_REPLICAS, &pool->replicas, err) ||
        !hand_over_parse_role(at, pool, err) || !parse_served(at, pool, err) ||
        !rt_json_int(at, "max_prompt_tokens", 1, RT_MAX_REQUEST_TOKENS, &pool->max_prompt_tokens,
                     err))
        return false;
    pool->dtypes = rt_pool_default_dtypes(&pool->gpu, &pool->model);
    if (!parse_dtypes(at, &pool->dtypes, err) || !supply_spec_parse(at, pool, err) ||
        !rt_engine_parse(&engine, &pool->engine, err) ||
        !parse_draft_model(&engine, catalog, pool, err))
        return false;
    rt_preset_resolve(&pool->engine, &pool->gpu, &pool->model, expert_slices(&pool->parallel));
    if (pool->engine.max_num_batched_tokens == 0)
        pool->engine.max_num_batched_tokens = rt_pool_default_step_tokens(&pool->gpu);
    return check_budget(&engine, &pool->engine, err);
}

static bool parse_pools(const struct rt_json_at *pools, const struct rt_catalog *catalog,
                        const struct rt_model *model, struct rt_fleet_spec *s, struct rt_err *err)
{
    int count = rt_json_count(pools);
    int64_t replicas = 0, ranks = 0;

    if (!rt_json_expect(pools, RT_JSON_ARRAY, err))
        return false;
    if (count < 1 || count > RT_MAX_REPLICAS)
        return rt_json_fail(pools, err, "expected 1 to %d pools, read %d", RT_MAX_REPLICAS, count);
    s->pools = calloc((size_t)count, sizeof(*s->pools));
    if (s->pools == NULL)
        return rt_fail_nomem(err, "pools");
    s->pool_count = (uint32_t)count;
    for (uint32_t i = 0; i < s->pool_count; i++) {
        struct rt_json_at at = rt_json_item(pools, (int)i);
        if (!rt_json_expect(&at, RT_JSON_OBJECT, err) || !parse_name(&at, s, i, err) ||
            !parse_pool(&at, catalog, model, &s->pools[i], err))
            return false;
        replicas += rt_pool_slots(&s->pools[i]);
        ranks += rt_pool_slots(&s->pools[i]) * s->pools[i].parallel.data;
    }
    if (replicas > RT_MAX_REPLICAS)
        return rt_json_fail(pools, err, "expected at most %d replicas in all pools, read %lld",
                            RT_MAX_REPLICAS, (long long)replicas);
    if (ranks > RT_MAX_REPLICAS)
        return rt_json_fail(pools, err,
                            "expected at most %d data parallel ranks in all pools, read %lld",
                            RT_MAX_REPLICAS, (long long)ranks);
    return check_names(pools, s, err);
}

bool rt_fleet_spec_parse(const struct rt_json_at *root, const struct rt_catalog *catalog,
                         struct rt_fleet_spec *s, struct rt_err *err)
{
    struct rt_json_at model_at = rt_json_get(root, "model"), cost = rt_json_get(root, "cost");
    struct rt_json_at pools = rt_json_get(root, "pools");
    struct rt_model model;
    bool has_model = model_at.node != NULL;

    if (!rt_json_need(root, "pools", err) ||
        (has_model && !rt_catalog_model_from(catalog, &model_at, &model, err)) ||
        (cost.node != NULL && !rt_cost_spec_parse(&cost, &s->cost, err)))
        return false;
    return parse_pools(&pools, catalog, has_model ? &model : NULL, s, err) &&
           rt_fleet_price_parse(root, s, err) && routing_spec_parse(root, s, err) &&
           retry_parse(root, &s->retry, err) && hand_over_parse(root, s, err);
}
