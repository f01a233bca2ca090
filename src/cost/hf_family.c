/* What the model types of Hugging Face do when their config.json does not say: the defaults of the
 * configuration classes in transformers, as far as they change a shape. A type that is not listed
 * is read as llama: gated MLP, no biases, untied head. O(number of types). */
#include "catalog_internal.h"

#include <string.h>

#define QWEN2 (RT_HF_QKV_BIAS | RT_HF_WINDOW_OPT)
#define QWEN3 (RT_HF_QK_NORM | RT_HF_WINDOW_OPT)
#define GPT2  (RT_HF_TIED | RT_HF_PLAIN_MLP | RT_HF_ALL_BIASES)

static const struct rt_hf_family families[] = {
    {.model_type = "bloom", .flags = GPT2},
    {.model_type = "cohere", .flags = RT_HF_TIED},
    {.model_type = "cohere2", .flags = RT_HF_TIED, .window_pattern = 4},
    {.model_type = "exaone4", .flags = RT_HF_QK_NORM, .window_pattern = 4},
    {.model_type = "falcon",
     .flags = RT_HF_TIED | RT_HF_PLAIN_MLP | RT_HF_MQA,
     .max_context = 2048},
    {.model_type = "RefinedWeb", .flags = RT_HF_TIED | RT_HF_PLAIN_MLP, .max_context = 2048},
    {.model_type = "RefinedWebModel",
     .flags = RT_HF_TIED | RT_HF_PLAIN_MLP | RT_HF_MQA,
     .max_context = 2048},
    {.model_type = "gemma", .flags = RT_HF_TIED},
    {.model_type = "gemma2", .flags = RT_HF_TIED, .window_pattern = 2},
    {.model_type = "gemma3",
     .flags = RT_HF_TIED | RT_HF_QK_NORM,
     .window_pattern = 6,
     .heads = 8,
     .kv_heads = 4,
     .head_dim = 256,
     .vocab = 262208,
     .max_context = 131072},
    {.model_type = "gemma3_text",
     .flags = RT_HF_TIED | RT_HF_QK_NORM,
     .window_pattern = 6,
     .heads = 8,
     .kv_heads = 4,
     .head_dim = 256,
     .vocab = 262208,
     .max_context = 131072},
    {.model_type = "glm4_moe", .flags = RT_HF_QKV_BIAS},
    {.model_type = "gpt2", .flags = GPT2},
    {.model_type = "gpt_bigcode", .flags = GPT2 | RT_HF_MQA},
    {.model_type = "gpt_neox", .flags = RT_HF_PLAIN_MLP | RT_HF_ALL_BIASES},
    {.model_type = "gpt_oss", .flags = RT_HF_ALL_BIASES, .window_pattern = 2},
    {.model_type = "llama4", .window_pattern = 4},
    {.model_type = "llama4_text", .window_pattern = 4},
    {.model_type = "minimax", .flags = RT_HF_QK_NORM},
    {.model_type = "minimax_m2", .flags = RT_HF_QK_NORM},
    {.model_type = "mpt", .flags = RT_HF_TIED | RT_HF_PLAIN_MLP},
    {.model_type = "nemotron", .flags = RT_HF_PLAIN_MLP},
    {.model_type = "olmo2", .flags = RT_HF_QK_NORM},
    {.model_type = "opt", .flags = GPT2},
    {.model_type = "phi", .flags = RT_HF_PLAIN_MLP | RT_HF_ALL_BIASES},
    {.model_type = "qwen2", .flags = QWEN2},
    {.model_type = "qwen2_moe", .flags = QWEN2},
    {.model_type = "qwen2_vl", .flags = QWEN2},
    {.model_type = "qwen2_5_vl", .flags = QWEN2},
    {.model_type = "qwen2_5_vl_text", .flags = QWEN2},
    {.model_type = "qwen3", .flags = QWEN3},
    {.model_type = "qwen3_moe", .flags = QWEN3},
    {.model_type = "qwen3_vl_text", .flags = QWEN3},
    {.model_type = "qwen3_vl_moe_text", .flags = QWEN3},
    {.model_type = "starcoder2", .flags = GPT2},
};

static const struct {
    const char *model_type, *why;
} refused[] = {
    {"bert", "an encoder, not a decoder"},
    {"roberta", "an encoder, not a decoder"},
    {"modernbert", "an encoder, not a decoder"},
    {"t5", "an encoder and a decoder"},
    {"bart", "an encoder and a decoder"},
    {"whisper", "an encoder and a decoder"},
    {"mamba", "a state space model, not attention"},
    {"mamba2", "a state space model, not attention"},
    {"falcon_mamba", "a state space model, not attention"},
    {"rwkv", "a recurrent model, not attention"},
    {"jamba", "partly a state space model"},
    {"bamba", "partly a state space model"},
    {"zamba", "partly a state space model"},
    {"zamba2", "partly a state space model"},
    {"falcon_h1", "partly a state space model"},
    {"nemotron_h", "partly a state space model"},
    {"granitemoehybrid", "partly a state space model"},
    {"recurrent_gemma", "partly a recurrent model"},
    {"minimax_text_01", "partly linear attention"},
    {"kimi_linear", "partly linear attention"},
    {"qwen3_next", "partly linear attention"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct rt_hf_family *rt_hf_family(const char *model_type)
{
    static const struct rt_hf_family llama = {.model_type = "llama"};

    for (unsigned i = 0; i < COUNT(families); i++)
        if (strcmp(families[i].model_type, model_type) == 0)
            return &families[i];
    return &llama;
}

const char *rt_hf_refused(const char *model_type)
{
    for (unsigned i = 0; i < COUNT(refused); i++)
        if (strcmp(refused[i].model_type, model_type) == 0)
            return refused[i].why;
    return NULL;
}
