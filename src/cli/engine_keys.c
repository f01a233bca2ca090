/* What the options of vLLM mean as keys of a scenario: see engine_args.h.
 *
 * The table `options` is the whole mapping; an entry says where the value goes and how it is read.
 * A value that a scenario cannot hold is an error that names the option. Names, values and
 * defaults: vllm/engine/arg_utils.py of vLLM 0.6 to 0.19. O(options) a word. */
#include "engine_args_internal.h"
#include "rooftrace/engine.h"
#include "rooftrace/options.h"

#include <cjson/cJSON.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_DEGREE   1024
#define MAX_SWAP_GIB 1024.0 /* of a GPU; with MAX_DEGREE of them within the limit of the key */
#define GIB          1073741824.0

static const struct engine_meaning dtypes[] = {
    {"auto", NULL}, {"half", "fp16"}, {"float16", "fp16"}, {"bfloat16", "bf16"}, {NULL, NULL},
};
static const struct engine_meaning kv_dtypes[] = {
    {"auto", NULL},       {"fp8", "fp8"},   {"fp8_e4m3", "fp8"}, {"fp8_e5m2", "fp8"},
    {"fp8_inc", "fp8"},   {"int8", "int8"}, {"nvfp4", "fp4"},    {"float16", "fp16"},
    {"bfloat16", "bf16"}, {NULL, NULL},
};
/* Methods whose width of the weights is clear from their name; two pack routed experts alone. */
#define OF_EXPERTS "experts:"
static const struct engine_meaning quantizations[] = {
    {"fp8", "fp8"},
    {"fbgemm_fp8", "fp8"},
    {"ptpc_fp8", "fp8"},
    {"modelopt", "fp8"},
    {"awq", "int4"},
    {"awq_marlin", "int4"},
    {"gptq", "int4"},
    {"gptq_marlin", "int4"},
    {"bitsandbytes", "int4"},
    {"experts_int8", OF_EXPERTS "int8"},
    {"mxfp4", OF_EXPERTS "mxfp4"},
    {"modelopt_fp4", "fp4"},
    {"petit_nvfp4", "fp4"},
    {"none", NULL},
    {NULL, NULL},
};
static const struct engine_meaning preemptions[] = {
    {"recompute", "recompute"}, {"swap", "swap"}, {NULL, NULL}};
static const struct engine_meaning orders[] = {
    {"fcfs", "fcfs"}, {"priority", "priority"}, {NULL, NULL}};

/* All but DeepGEMM take the experts that are touched, at about the pace of Triton's. */
static const struct engine_meaning moe_backends[] = {
    {"auto", NULL},
    {"deep_gemm", "deep_gemm"},
    {"triton", "triton"},
    {"cutlass", "triton"},
    {"flashinfer_trtllm", "triton"},
    {"flashinfer_cutlass", "triton"},
    {"marlin", "triton"},
    {"aiter", "triton"},
    {NULL, NULL},
};

static const struct engine_option options[] = {
    {"--model", FORM_MODEL, TARGET_POOL, NULL, 0, NULL},
    {"--tensor-parallel-size", FORM_INT, TARGET_POOL, "tensor_parallel", MAX_DEGREE, NULL},
    {"-tp", FORM_INT, TARGET_POOL, "tensor_parallel", MAX_DEGREE, NULL},
    {"--pipeline-parallel-size", FORM_INT, TARGET_POOL, "pipeline_parallel", MAX_DEGREE, NULL},
    {"-pp", FORM_INT, TARGET_POOL, "pipeline_parallel", MAX_DEGREE, NULL},
    {"--data-parallel-size", FORM_INT, TARGET_POOL, "data_parallel", MAX_DEGREE, NULL},
    {"-dp", FORM_INT, TARGET_POOL, "data_parallel", MAX_DEGREE, NULL},
    {"--enable-expert-parallel", FORM_ON, TARGET_POOL, "expert_parallel", 0, NULL},
    {"-ep", FORM_ON, TARGET_POOL, "expert_parallel", 0, NULL},
    {"--no-enable-expert-parallel", FORM_OFF, TARGET_POOL, "expert_parallel", 0, NULL},
    {"--dtype", FORM_WORD, TARGET_POOL, "activation_dtype", 0, dtypes},
    {"--kv-cache-dtype", FORM_WORD, TARGET_POOL, "kv_dtype", 0, kv_dtypes},
    {"--quantization", FORM_WORD, TARGET_POOL, "weight_dtype", 0, quantizations},
    {"-q", FORM_WORD, TARGET_POOL, "weight_dtype", 0, quantizations},
    {"--max-num-seqs", FORM_INT, TARGET_ENGINE, "max_num_seqs", RT_MAX_NUM_SEQS, NULL},
    {"--max-num-batched-tokens", FORM_HUMAN, TARGET_ENGINE, "max_num_batched_tokens",
     RT_MAX_BATCHED_TOKENS, NULL},
    {"--max-model-len", FORM_HUMAN, TARGET_ENGINE, "max_model_len", RT_MAX_KV_TOKENS, NULL},
    {"--block-size", FORM_INT, TARGET_ENGINE, "block_size", RT_MAX_BLOCK_SIZE, NULL},
    {"--num-gpu-blocks-override", FORM_INT, TARGET_ENGINE, "num_gpu_blocks", RT_MAX_KV_TOKENS,
     NULL},
    {"--gpu-memory-utilization", FORM_SHARE, TARGET_ENGINE, "gpu_memory_utilization", 0, NULL},
    {"--enable-prefix-caching", FORM_ON, TARGET_ENGINE, "prefix_caching", 0, NULL},
    {"--no-enable-prefix-caching", FORM_OFF, TARGET_ENGINE, "prefix_caching", 0, NULL},
    {"--async-scheduling", FORM_ON, TARGET_ENGINE, "async_scheduling", 0, NULL},
    {"--no-async-scheduling", FORM_OFF, TARGET_ENGINE, "async_scheduling", 0, NULL},
    {"--enforce-eager", FORM_ON, TARGET_ENGINE, "cuda_graphs", 0, NULL},
    {"--no-enforce-eager", FORM_OFF, TARGET_ENGINE, "cuda_graphs", 0, NULL},
    {"--enable-chunked-prefill", FORM_ON, TARGET_ENGINE, "policy", 0, NULL},
    {"--no-enable-chunked-prefill", FORM_OFF, TARGET_ENGINE, "policy", 0, NULL},
    {"--swap-space", FORM_GIB, TARGET_ENGINE, "cpu_kv_bytes", 0, NULL},
    {"--preemption-mode", FORM_WORD, TARGET_ENGINE, "preemption", 0, preemptions},
    {"--moe-backend", FORM_WORD, TARGET_ENGINE, "moe_backend", 0, moe_backends},
    {"--scheduling-policy", FORM_WORD, TARGET_ENGINE, "queue_order", 0, orders},
    /* Ignored, but how many values they take must be known: a model may stand behind them. */
    {"--api-key", FORM_LIST, TARGET_POOL, NULL, 0, NULL},
    {"--cudagraph-capture-sizes", FORM_LIST, TARGET_POOL, NULL, 0, NULL},
    {"--logits-processors", FORM_LIST, TARGET_POOL, NULL, 0, NULL},
    {"--lora-modules", FORM_LIST, TARGET_POOL, NULL, 0, NULL},
    {"--middleware", FORM_LIST, TARGET_POOL, NULL, 0, NULL},
    {"--served-model-name", FORM_LIST, TARGET_POOL, NULL, 0, NULL},
    {"--headless", FORM_FLAG, TARGET_POOL, NULL, 0, NULL},
    {"--trust-remote-code", FORM_FLAG, TARGET_POOL, NULL, 0, NULL},
    {"--async-engine", FORM_FLAG, TARGET_POOL, NULL, 0, NULL},
    {"--allow-credentials", FORM_FLAG, TARGET_POOL, NULL, 0, NULL},
    {"--calculate-kv-scales", FORM_FLAG, TARGET_POOL, NULL, 0, NULL},
    {"--fully-sharded-loras", FORM_FLAG, TARGET_POOL, NULL, 0, NULL},
    {"--language-model-only", FORM_FLAG, TARGET_POOL, NULL, 0, NULL},
    {"--ray-workers-use-nsight", FORM_FLAG, TARGET_POOL, NULL, 0, NULL},
    {"--return-tokens-as-token-ids", FORM_FLAG, TARGET_POOL, NULL, 0, NULL},
    {"--skip-tokenizer-init", FORM_FLAG, TARGET_POOL, NULL, 0, NULL},
    {"--use-v2-block-manager", FORM_FLAG, TARGET_POOL, NULL, 0, NULL},
    {"--worker-use-ray", FORM_FLAG, TARGET_POOL, NULL, 0, NULL},
};
#define OPTIONS (sizeof options / sizeof options[0])

const struct engine_option *engine_option_find(const char *word, size_t len)
{
    for (size_t i = 0; i < OPTIONS; i++) {
        const char *name = options[i].name;
        size_t k = 0;
        while (k < len && name[k] != '\0' &&
               (name[k] == word[k] || (k > 2 && name[k] == '-' && word[k] == '_')))
            k++;
        if (k == len && name[k] == '\0')
            return &options[i];
    }
    return NULL;
}

static void put(struct engine_keys *k, cJSON *object, const char *key, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, key);
    if (value == NULL || !cJSON_AddItemToObject(object, key, value)) {
        cJSON_Delete(value);
        k->memory = false;
    }
}

static cJSON *integer_item(int64_t value)
{
    char text[32];

    snprintf(text, sizeof text, "%lld", (long long)value);
    return cJSON_CreateRaw(text);
}

bool engine_option_fail(const struct engine_option *o, const char *expected, const char *text,
                        struct rt_err *err)
{
    return rt_fail(err, RT_EUSAGE, "--engine-args: %s: expected %s, read \"%.64s\"", o->name,
                   expected, text);
}

/* Python's int(float(number) * 1000), or a whole number * 1024 for capitals: -1 when malformed.
 * vllm/engine/arg_utils.py, human_readable_int. */
static int64_t read_human(const char *text, bool suffixes)
{
    static const char letters[] = "kmgtKMGT";
    size_t len = strlen(text), digits = strspn(text, "0123456789");
    const char *letter = len > 1 && suffixes ? strchr(letters, text[len - 1]) : NULL;
    int64_t factor = 1;
    double value;

    if (digits == 0 || digits > 18)
        return -1;
    if (digits == len)
        return (int64_t)strtoll(text, NULL, 10);
    if (letter == NULL)
        return -1;
    for (long power = (letter - letters) % 4; power >= 0; power--)
        factor *= letter - letters < 4 ? 1000 : 1024;
    if (digits < len - 1 && (letter - letters >= 4 || text[digits] != '.' || digits + 2 >= len ||
                             strspn(text + digits + 1, "0123456789") != len - digits - 2))
        return -1;
    value = strtod(text, NULL) * (double)factor;
    return value < 9e18 ? (int64_t)value : -1;
}

static bool put_integer(struct engine_keys *k, const struct engine_option *o, cJSON *into,
                        const char *text, struct rt_err *err)
{
    bool suffixes = o->form == FORM_HUMAN;
    int64_t value = read_human(text, suffixes);
    char expected[96];

    /* vLLM then takes the longest context that fits; here a request that never fits is rejected. */
    if (strcmp(o->key, "max_model_len") == 0 &&
        (strcasecmp(text, "auto") == 0 || strcmp(text, "-1") == 0)) {
        cJSON_DeleteItemFromObjectCaseSensitive(into, o->key);
        return true;
    }
    snprintf(expected, sizeof expected, "an integer from 1 to %lld%s", (long long)o->max,
             suffixes ? ", as 32000, 32k or 32K" : "");
    if (value < 1 || value > o->max)
        return engine_option_fail(o, expected, text, err);
    put(k, into, o->key, integer_item(value));
    return true;
}

static bool put_share(struct engine_keys *k, const struct engine_option *o, cJSON *into,
                      const char *text, struct rt_err *err)
{
    char exact[32];
    double value;

    if (!rt_read_number(text, &value) || value < 0.01 || value > 1)
        return engine_option_fail(o, "a number from 0.01 to 1", text, err);
    snprintf(exact, sizeof exact, "%.17g", value);
    put(k, into, o->key, cJSON_CreateRaw(exact));
    return true;
}

static bool put_swap(struct engine_keys *k, const struct engine_option *o, const char *text,
                     struct rt_err *err)
{
    double value;

    if (!rt_read_number(text, &value) || value < 0 || value > MAX_SWAP_GIB)
        return engine_option_fail(o, "GiB from 0 to 1024", text, err);
    k->swap_gib = value;
    return true;
}

static bool fail_word(const struct engine_option *o, const char *text, struct rt_err *err)
{
    char expected[192] = "one of ";
    size_t used = strlen(expected);

    for (const struct engine_meaning *m = o->words; m->word != NULL && used < sizeof expected; m++)
        used += (size_t)snprintf(expected + used, sizeof expected - used, "%s%s",
                                 m == o->words ? "" : ", ", m->word);
    return engine_option_fail(o, expected, text, err);
}

static bool put_word(struct engine_keys *k, const struct engine_option *o, const char *text,
                     bool *understood, struct rt_err *err)
{
    cJSON *into = o->target == TARGET_POOL ? k->pool : k->engine;
    const struct engine_meaning *m = o->words;

    while (m->word != NULL && strcasecmp(m->word, text) != 0)
        m++;
    *understood = m->word != NULL;
    if (!*understood && o->words != quantizations && o->words != moe_backends)
        return fail_word(o, text, err);
    cJSON_DeleteItemFromObjectCaseSensitive(into, o->key);
    if (o->words == quantizations) /* of an unknown method the weights stay as published */
        k->fp8 = m->value != NULL && strcmp(m->value, "fp8") == 0;
    if (m->value != NULL)
        put(k, into, o->key, cJSON_CreateString(m->value));
    return true;
}

void engine_keys_switch(struct engine_keys *k, const struct engine_option *o, bool on)
{
    cJSON *into = o->target == TARGET_POOL ? k->pool : k->engine;

    if (strcmp(o->key, "expert_parallel") == 0)
        k->experts = on;
    else if (strcmp(o->key, "cuda_graphs") == 0)
        put(k, into, o->key, cJSON_CreateBool(o->form == FORM_ON ? !on : true));
    else if (strcmp(o->key, "policy") == 0)
        put(k, into, o->key, cJSON_CreateString(on ? "chunked" : "prefill_first"));
    else
        put(k, into, o->key, cJSON_CreateBool(on));
}

void engine_keys_model(struct engine_keys *k, const char *text)
{
    k->has_model = true;
    put(k, k->root, "model", cJSON_CreateString(text));
}

bool engine_keys_value(struct engine_keys *k, const struct engine_option *o, const char *text,
                       bool *understood, struct rt_err *err)
{
    cJSON *into = o->target == TARGET_POOL ? k->pool : k->engine;

    *understood = true;
    if (o->form == FORM_SHARE)
        return put_share(k, o, into, text, err);
    if (o->form == FORM_GIB)
        return put_swap(k, o, text, err);
    if (o->form == FORM_WORD)
        return put_word(k, o, text, understood, err);
    if (o->form == FORM_INT || o->form == FORM_HUMAN)
        return put_integer(k, o, into, text, err);
    engine_keys_model(k, text);
    return true;
}

bool engine_keys_init(struct engine_keys *k, struct rt_err *err)
{
    *k = (struct engine_keys){.root = cJSON_CreateObject(), .swap_gib = -1, .memory = true};
    if (k->root != NULL) {
        k->pool = cJSON_AddObjectToObject(k->root, "pool");
        k->engine = cJSON_AddObjectToObject(k->root, "engine");
    }
    return (k->pool != NULL && k->engine != NULL) || rt_fail_nomem(err, "--engine-args");
}

void engine_keys_release(struct engine_keys *k)
{
    cJSON_Delete(k->root);
    *k = (struct engine_keys){0};
}

/* Of a number that integer_item made, or of none. */
static int64_t degree(const cJSON *item)
{
    return item != NULL ? (int64_t)strtoll(item->valuestring, NULL, 10) : 1;
}

/* "experts:x" is the type of the experts; the other weights are as published. */
static void settle_experts(struct engine_keys *k)
{
    cJSON *weight = cJSON_GetObjectItemCaseSensitive(k->pool, "weight_dtype");
    size_t prefix = strlen(OF_EXPERTS);

    if (weight == NULL || strncmp(weight->valuestring, OF_EXPERTS, prefix) != 0)
        return;
    put(k, k->pool, "expert_dtype", cJSON_CreateString(weight->valuestring + prefix));
    cJSON_DeleteItemFromObjectCaseSensitive(k->pool, "weight_dtype");
}

/* What depends on several options, whatever their order. */
static void settle(struct engine_keys *k)
{
    const cJSON *dtype = cJSON_GetObjectItemCaseSensitive(k->pool, "activation_dtype");
    const cJSON *tensor = cJSON_GetObjectItemCaseSensitive(k->pool, "tensor_parallel");
    const cJSON *pipeline = cJSON_GetObjectItemCaseSensitive(k->pool, "pipeline_parallel");
    const cJSON *data = cJSON_GetObjectItemCaseSensitive(k->pool, "data_parallel");

    settle_experts(k);
    /* KV "auto" is the model's type, and that is what --dtype says. */
    if (dtype != NULL && !cJSON_HasObjectItem(k->pool, "kv_dtype"))
        put(k, k->pool, "kv_dtype", cJSON_CreateString(dtype->valuestring));
    /* vLLM reserves --swap-space for each GPU, a scenario for the replica. At most 2^53 bytes: more
     * is refused when the key is read. */
    double gpus = (double)degree(tensor) * (double)degree(pipeline) * (double)degree(data);
    if (k->swap_gib >= 0)
        put(k, k->engine, "cpu_kv_bytes",
            integer_item((int64_t)fmin(k->swap_gib * GIB * gpus, 0x1p60)));
    /* Whole experts on each GPU of a pipeline stage, over all data parallel ranks. */
    if (k->experts && degree(tensor) * degree(data) > 1)
        put(k, k->pool, "expert_parallel", integer_item(degree(tensor) * degree(data)));
}

char *engine_keys_print(struct engine_keys *k)
{
    settle(k);
    return k->memory ? cJSON_PrintUnformatted(k->root) : NULL;
}
