/* Hugging Face config.json files, as published (only the keys that matter here, and a few that do
 * not), must give the same shape as the catalogue's records; and files that lack something or hold
 * what cannot be priced must say so. */
#include "rooftrace/dtype.h"
#include "rooftrace/model.h"
#include "support/test.h"

#include "rooftrace/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int setup(void **state)
{
    struct rt_err err;
    struct rt_catalog *c;

    if (!rt_catalog_open(NULL, &c, &err))
        fail_msg("%s", err.msg);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    rt_catalog_free(*state);
    return 0;
}

static bool import(void **state, const char *text, struct rt_model *m, struct rt_err *err)
{
    struct rt_json *doc;

    if (!rt_json_parse(text, strlen(text), "Some-Model/config.json", &doc, err))
        return false;
    struct rt_json_at root = rt_json_root(doc);
    bool ok = rt_catalog_model_from(*state, &root, m, err);
    rt_json_free(doc);
    return ok;
}

/* Attention and size of two shapes. */
static void assert_same_body(const struct rt_model *a, const struct rt_model *b)
{
    assert_int_equal(a->attention, b->attention);
    assert_int_equal(a->layers, b->layers);
    assert_int_equal(a->hidden, b->hidden);
    assert_int_equal(a->heads, b->heads);
    assert_int_equal(a->kv_heads, b->kv_heads);
    assert_int_equal(a->head_dim, b->head_dim);
    assert_int_equal(a->vocab, b->vocab);
    assert_int_equal(a->gated, b->gated);
    assert_int_equal(a->tied, b->tied);
    assert_int_equal(a->qkv_bias, b->qkv_bias);
    assert_int_equal(a->o_bias, b->o_bias);
    assert_int_equal(a->mlp_bias, b->mlp_bias);
    assert_int_equal(a->qk_norm, b->qk_norm);
    assert_int_equal(a->window, b->window);
    assert_int_equal(a->local_layers, b->local_layers);
    assert_int_equal(a->max_context, b->max_context);
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(rt_model_expert_dtype(a), rt_model_expert_dtype(b));
}

static void assert_same_shape(const struct rt_model *a, const struct rt_model *b)
{
    assert_same_body(a, b);
    assert_int_equal(a->ffn, b->ffn);
    assert_int_equal(a->experts, b->experts);
    assert_int_equal(a->experts_per_token, b->experts_per_token);
    assert_int_equal(a->expert_ffn, b->expert_ffn);
    assert_int_equal(a->shared_experts, b->shared_experts);
    assert_int_equal(a->shared_ffn, b->shared_ffn);
    assert_int_equal(a->dense_layers, b->dense_layers);
    assert_int_equal(a->moe_every, b->moe_every);
    assert_int_equal(a->q_lora, b->q_lora);
    assert_int_equal(a->kv_lora, b->kv_lora);
    assert_int_equal(a->qk_nope, b->qk_nope);
    assert_int_equal(a->qk_rope, b->qk_rope);
    assert_int_equal(a->v_head, b->v_head);
}

/* ---- files of models that the catalogue has -------------------------------------------------- */

static const struct {
    const char *name, *config;
} known[] = {
    {"llama-3.1-8b",
     "{\"architectures\": [\"LlamaForCausalLM\"], \"attention_bias\": false, \"bos_token_id\": "
     "128000,"
     "\"eos_token_id\": [128001, 128008], \"hidden_act\": \"silu\", \"hidden_size\": 4096,"
     "\"intermediate_size\": 14336, \"max_position_embeddings\": 131072, \"mlp_bias\": false,"
     "\"model_type\": \"llama\", \"num_attention_heads\": 32, \"num_hidden_layers\": 32,"
     "\"num_key_value_heads\": 8, \"pretraining_tp\": 1, \"rms_norm_eps\": 1e-05,"
     "\"rope_scaling\": {\"factor\": 8.0, \"rope_type\": \"llama3\"}, \"rope_theta\": 500000.0,"
     "\"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\", \"vocab_size\": 128256}"},
    {"llama-2-7b", /* no num_key_value_heads: as many as heads; no head_dim: hidden / heads */
     "{\"architectures\": [\"LlamaForCausalLM\"], \"hidden_size\": 4096, \"intermediate_size\": "
     "11008,"
     "\"max_position_embeddings\": 4096, \"model_type\": \"llama\", \"num_attention_heads\": 32,"
     "\"num_hidden_layers\": 32, \"torch_dtype\": \"float16\", \"vocab_size\": 32000}"},
    {"mistral-7b-v0.1",
     "{\"architectures\": [\"MistralForCausalLM\"], \"hidden_size\": 4096,"
     "\"intermediate_size\": 14336, \"max_position_embeddings\": 32768, \"model_type\": "
     "\"mistral\","
     "\"num_attention_heads\": 32, \"num_hidden_layers\": 32, \"num_key_value_heads\": 8,"
     "\"sliding_window\": 4096, \"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\","
     "\"vocab_size\": 32000}"},
    {"mistral-nemo-12b", /* head_dim is not hidden / heads; sliding_window null */
     "{\"architectures\": [\"MistralForCausalLM\"], \"head_dim\": 128, \"hidden_size\": 5120,"
     "\"intermediate_size\": 14336, \"max_position_embeddings\": 131072, \"model_type\": "
     "\"mistral\","
     "\"num_attention_heads\": 32, \"num_hidden_layers\": 40, \"num_key_value_heads\": 8,"
     "\"sliding_window\": null, \"torch_dtype\": \"bfloat16\", \"vocab_size\": 131072}"},
    {"mixtral-8x7b",
     "{\"architectures\": [\"MixtralForCausalLM\"], \"hidden_size\": 4096,"
     "\"intermediate_size\": 14336, \"max_position_embeddings\": 32768, \"model_type\": "
     "\"mixtral\","
     "\"num_attention_heads\": 32, \"num_experts_per_tok\": 2, \"num_hidden_layers\": 32,"
     "\"num_key_value_heads\": 8, \"num_local_experts\": 8, \"sliding_window\": null,"
     "\"torch_dtype\": \"bfloat16\", \"vocab_size\": 32000}"},
    {"qwen2.5-7b", /* a window that is switched off */
     "{\"architectures\": [\"Qwen2ForCausalLM\"], \"hidden_size\": 3584, \"intermediate_size\": "
     "18944,"
     "\"max_position_embeddings\": 32768, \"max_window_layers\": 28, \"model_type\": \"qwen2\","
     "\"num_attention_heads\": 28, \"num_hidden_layers\": 28, \"num_key_value_heads\": 4,"
     "\"sliding_window\": 131072, \"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\","
     "\"use_sliding_window\": false, \"vocab_size\": 152064}"},
    {"qwen3-32b",
     "{\"architectures\": [\"Qwen3ForCausalLM\"], \"attention_bias\": false, \"head_dim\": 128,"
     "\"hidden_size\": 5120, \"intermediate_size\": 25600, \"max_position_embeddings\": 40960,"
     "\"max_window_layers\": 64, \"model_type\": \"qwen3\", \"num_attention_heads\": 64,"
     "\"num_hidden_layers\": 64, \"num_key_value_heads\": 8, \"sliding_window\": null,"
     "\"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\", \"use_sliding_window\": false,"
     "\"vocab_size\": 151936}"},
    {"qwen3-30b-a3b",
     "{\"architectures\": [\"Qwen3MoeForCausalLM\"], \"decoder_sparse_step\": 1, \"head_dim\": 128,"
     "\"hidden_size\": 2048, \"intermediate_size\": 6144, \"max_position_embeddings\": 40960,"
     "\"max_window_layers\": 48, \"mlp_only_layers\": [], \"model_type\": \"qwen3_moe\","
     "\"moe_intermediate_size\": 768, \"num_attention_heads\": 32, \"num_experts\": 128,"
     "\"num_experts_per_tok\": 8, \"num_hidden_layers\": 48, \"num_key_value_heads\": 4,"
     "\"sliding_window\": null, \"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\","
     "\"use_sliding_window\": false, \"vocab_size\": 151936}"},
    {"gemma-2-9b", /* tied by default; every other layer has the window */
     "{\"architectures\": [\"Gemma2ForCausalLM\"], \"head_dim\": 256, \"hidden_size\": 3584,"
     "\"intermediate_size\": 14336, \"max_position_embeddings\": 8192, \"model_type\": \"gemma2\","
     "\"num_attention_heads\": 16, \"num_hidden_layers\": 42, \"num_key_value_heads\": 8,"
     "\"sliding_window\": 4096, \"torch_dtype\": \"bfloat16\", \"vocab_size\": 256000}"},
    {"gemma-3-27b", /* in text_config, vocabulary and pattern only in the code of the family */
     "{\"architectures\": [\"Gemma3ForConditionalGeneration\"], \"model_type\": \"gemma3\","
     "\"text_config\": {\"head_dim\": 128, \"hidden_size\": 5376, \"intermediate_size\": 21504,"
     "\"model_type\": \"gemma3_text\", \"num_attention_heads\": 32, \"num_hidden_layers\": 62,"
     "\"num_key_value_heads\": 16, \"sliding_window\": 1024},"
     "\"torch_dtype\": \"bfloat16\", \"vision_config\": {\"hidden_size\": 1152}}"},
    {"phi-3-mini-4k",
     "{\"architectures\": [\"Phi3ForCausalLM\"], \"attention_bias\": false, \"hidden_size\": 3072,"
     "\"intermediate_size\": 8192, \"max_position_embeddings\": 4096, \"model_type\": \"phi3\","
     "\"num_attention_heads\": 32, \"num_hidden_layers\": 32, \"num_key_value_heads\": 32,"
     "\"sliding_window\": 2047, \"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\","
     "\"vocab_size\": 32064}"},
    {"falcon-7b", /* one KV head for all; MLP of four times the width, without a gate */
     "{\"architectures\": [\"FalconForCausalLM\"], \"alibi\": false, \"bias\": false,"
     "\"hidden_size\": 4544, \"model_type\": \"falcon\", \"multi_query\": true,"
     "\"new_decoder_architecture\": false, \"num_attention_heads\": 71, \"num_hidden_layers\": 32,"
     "\"parallel_attn\": true, \"torch_dtype\": \"bfloat16\", \"vocab_size\": 65024}"},
    {"falcon-40b",
     "{\"architectures\": [\"FalconForCausalLM\"], \"bias\": false, \"hidden_size\": 8192,"
     "\"model_type\": \"falcon\", \"multi_query\": true, \"new_decoder_architecture\": true,"
     "\"num_attention_heads\": 128, \"num_hidden_layers\": 60, \"num_kv_heads\": 8,"
     "\"torch_dtype\": \"bfloat16\", \"vocab_size\": 65024}"},
    {"command-r-v01", /* tied by default; the served context is model_max_length */
     "{\"architectures\": [\"CohereForCausalLM\"], \"hidden_size\": 8192,"
     "\"intermediate_size\": 22528, \"max_position_embeddings\": 8192,"
     "\"model_max_length\": 131072, \"model_type\": \"cohere\", \"num_attention_heads\": 64,"
     "\"num_hidden_layers\": 40, \"num_key_value_heads\": 64, \"torch_dtype\": \"float16\","
     "\"use_qk_norm\": false, \"vocab_size\": 256000}"},
    {"deepseek-v3",
     "{\"architectures\": [\"DeepseekV3ForCausalLM\"], \"attention_bias\": false,"
     "\"first_k_dense_replace\": 3, \"hidden_size\": 7168, \"intermediate_size\": 18432,"
     "\"kv_lora_rank\": 512, \"max_position_embeddings\": 163840, \"model_type\": \"deepseek_v3\","
     "\"moe_intermediate_size\": 2048, \"moe_layer_freq\": 1, \"n_routed_experts\": 256,"
     "\"n_shared_experts\": 1, \"num_attention_heads\": 128, \"num_experts_per_tok\": 8,"
     "\"num_hidden_layers\": 61, \"num_key_value_heads\": 128, \"num_nextn_predict_layers\": 1,"
     "\"q_lora_rank\": 1536, \"qk_nope_head_dim\": 128, \"qk_rope_head_dim\": 64,"
     "\"quantization_config\": {\"fmt\": \"e4m3\", \"quant_method\": \"fp8\","
     "\"weight_block_size\": [128, 128]}, \"tie_word_embeddings\": false,"
     "\"torch_dtype\": \"bfloat16\", \"v_head_dim\": 128, \"vocab_size\": 129280}"},
    {"deepseek-v2-lite", /* queries are not compressed: q_lora_rank null; two shared experts */
     "{\"architectures\": [\"DeepseekV2ForCausalLM\"], \"first_k_dense_replace\": 1,"
     "\"hidden_size\": 2048, \"intermediate_size\": 10944, \"kv_lora_rank\": 512,"
     "\"max_position_embeddings\": 163840, \"model_type\": \"deepseek_v2\","
     "\"moe_intermediate_size\": 1408, \"moe_layer_freq\": 1, \"n_routed_experts\": 64,"
     "\"n_shared_experts\": 2, \"num_attention_heads\": 16, \"num_experts_per_tok\": 6,"
     "\"num_hidden_layers\": 27, \"num_key_value_heads\": 16, \"q_lora_rank\": null,"
     "\"qk_nope_head_dim\": 128, \"qk_rope_head_dim\": 64, \"torch_dtype\": \"bfloat16\","
     "\"v_head_dim\": 128, \"vocab_size\": 102400}"},
    {"gpt-oss-20b",
     "{\"architectures\": [\"GptOssForCausalLM\"], \"attention_bias\": true, "
     "\"experts_per_token\": 4,"
     "\"head_dim\": 64, \"hidden_size\": 2880, \"intermediate_size\": 2880, \"layer_types\": ["
     "\"sliding_attention\", \"full_attention\", \"sliding_attention\", \"full_attention\","
     "\"sliding_attention\", \"full_attention\", \"sliding_attention\", \"full_attention\","
     "\"sliding_attention\", \"full_attention\", \"sliding_attention\", \"full_attention\","
     "\"sliding_attention\", \"full_attention\", \"sliding_attention\", \"full_attention\","
     "\"sliding_attention\", \"full_attention\", \"sliding_attention\", \"full_attention\","
     "\"sliding_attention\", \"full_attention\", \"sliding_attention\", \"full_attention\"],"
     "\"max_position_embeddings\": 131072, \"model_type\": \"gpt_oss\", \"num_attention_heads\": "
     "64,"
     "\"num_experts_per_tok\": 4, \"num_hidden_layers\": 24, \"num_key_value_heads\": 8,"
     "\"num_local_experts\": 32, \"quantization_config\": {\"modules_to_not_convert\":"
     "[\"lm_head\"], \"quant_method\": \"mxfp4\"}, \"sliding_window\": 128,"
     "\"tie_word_embeddings\": false, \"vocab_size\": 201088}"},
    {"llama-4-maverick", /* text_config; every second layer is MoE; three of four are chunked */
     "{\"architectures\": [\"Llama4ForConditionalGeneration\"], \"model_type\": \"llama4\","
     "\"text_config\": {\"attention_bias\": false, \"attention_chunk_size\": 8192,"
     "\"head_dim\": 128, \"hidden_size\": 5120, \"interleave_moe_layer_step\": 2,"
     "\"intermediate_size\": 8192, \"intermediate_size_mlp\": 16384,"
     "\"max_position_embeddings\": 1048576, \"model_type\": \"llama4_text\","
     "\"no_rope_layers\": [], \"num_attention_heads\": 40, \"num_experts_per_tok\": 1,"
     "\"num_hidden_layers\": 48, \"num_key_value_heads\": 8, \"num_local_experts\": 128,"
     "\"torch_dtype\": \"bfloat16\", \"use_qk_norm\": false, \"vocab_size\": 202048},"
     "\"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\"}"},
};

/* The catalogue keeps an ffn for MoE models without dense layers in some records: it costs nothing.
 */
static void published_files_give_the_catalogues_shape(void **state)
{
    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct rt_err err;
        struct rt_model got, want;
        print_message("%s\n", known[i].name);
        assert_ok(import(state, known[i].config, &got, &err), &err);
        assert_ok(rt_catalog_model(*state, known[i].name, &want, &err), &err);
        assert_same_shape(&got, &want);
        assert_true(rt_model_params(&got) >= rt_model_params(&want) &&
                    rt_model_params(&got) <= rt_model_params(&want));
    }
}

/* ---- families -------------------------------------------------------------------------------- */

#define SMALL                                                                                      \
    "\"hidden_size\": 64, \"num_attention_heads\": 8, \"num_hidden_layers\": 8,"                   \
    " \"intermediate_size\": 256, \"vocab_size\": 1000"

static struct rt_model small(void **state, const char *type, const char *extra)
{
    struct rt_err err;
    struct rt_model m;
    char text[1024];

    snprintf(text, sizeof text, "{\"model_type\": \"%s\", " SMALL "%s}", type, extra);
    assert_ok(import(state, text, &m, &err), &err);
    return m;
}

static void an_unknown_type_is_read_as_llama(void **state)
{
    struct rt_model a = small(state, "llama", ""), b = small(state, "brand_new", "");

    assert_same_shape(&a, &b);
    assert_string_equal(a.name, "Some-Model");
    assert_true(a.gated && !a.tied && !a.qkv_bias && a.kv_heads == 8 && a.head_dim == 8);
    assert_true(a.dtype == RT_BF16 && a.max_context == 0 && a.moe_every == 1);
}

static void families_have_their_defaults(void **state)
{
    assert_true(small(state, "gemma", "").tied);
    assert_false(small(state, "gemma", ", \"tie_word_embeddings\": false").tied);
    assert_true(small(state, "llama", ", \"tie_word_embeddings\": true").tied);
    assert_true(small(state, "qwen2", "").qkv_bias);
    assert_false(small(state, "qwen2", "").o_bias);
    assert_true(small(state, "qwen3", "").qk_norm);
    struct rt_model m = small(state, "starcoder2", ", \"use_bias\": true");
    assert_true(m.qkv_bias && m.o_bias && m.mlp_bias && m.tied && !m.gated);
    m = small(state, "llama", ", \"attention_bias\": true, \"mlp_bias\": true");
    assert_true(m.qkv_bias && m.o_bias && m.mlp_bias);
    assert_int_equal(small(state, "gpt_bigcode", "").kv_heads, 1);
    assert_int_equal(small(state, "gpt_bigcode", ", \"multi_query\": false").kv_heads, 8);
}

static void gpt2_names_work(void **state)
{
    struct rt_err err;
    struct rt_model m;

    assert_ok(import(state,
                     "{\"model_type\": \"gpt2\", \"n_embd\": 768, \"n_head\": 12, \"n_layer\": 12,"
                     " \"n_inner\": null, \"n_positions\": 1024, \"vocab_size\": 50257}",
                     &m, &err),
              &err);
    assert_int_equal(m.ffn, 3072);
    assert_int_equal(m.max_context, 1024);
    /* 124.4e6 with its 0.8e6 learned positions, which are not counted here */
    assert_true(rt_model_params(&m) > 123.4e6 && rt_model_params(&m) < 124.5e6);
}

/* Qwen1.5-MoE-A2.7B: 14.3e9 in all, 2.7e9 active (model card). */
static void qwen2_moe_has_a_shared_expert(void **state)
{
    struct rt_err err;
    struct rt_model m;

    assert_ok(
        import(state,
               "{\"model_type\": \"qwen2_moe\", \"hidden_size\": 2048, \"num_hidden_layers\": 24,"
               " \"num_attention_heads\": 16, \"num_key_value_heads\": 16,"
               " \"intermediate_size\": 5632, \"moe_intermediate_size\": 1408,"
               " \"shared_expert_intermediate_size\": 5632, \"num_experts\": 60,"
               " \"num_experts_per_tok\": 4, \"decoder_sparse_step\": 1,"
               " \"max_position_embeddings\": 8192, \"vocab_size\": 151936}",
               &m, &err),
        &err);
    assert_true(m.shared_experts == 1 && m.shared_ffn == 5632);
    assert_true(rt_model_params(&m) > 14.2e9 && rt_model_params(&m) < 14.4e9);
    assert_true(rt_model_params_active(&m) > 2.6e9 && rt_model_params_active(&m) < 2.8e9);
}

static void experts_in_some_layers(void **state)
{
    static const char moe[] = ", \"num_experts\": 4, \"num_experts_per_tok\": 2,"
                              " \"moe_intermediate_size\": 32";
    char extra[400];

    snprintf(extra, sizeof extra, "%s, \"mlp_only_layers\": [0, 5]", moe);
    struct rt_model m = small(state, "qwen3_moe", extra);
    assert_int_equal(rt_model_moe_layers(&m), 6);
    snprintf(extra, sizeof extra, "%s, \"decoder_sparse_step\": 2", moe);
    m = small(state, "qwen3_moe", extra);
    assert_int_equal(rt_model_moe_layers(&m), 4);
    snprintf(extra, sizeof extra, "%s, \"moe_layer_freq\": [0, 1, 1, 1, 1, 1, 1, 1]", moe);
    m = small(state, "x", extra);
    assert_int_equal(rt_model_moe_layers(&m), 7);
    m = small(state, "mixtral", ", \"num_local_experts\": 1, \"num_experts_per_tok\": 1");
    assert_int_equal(m.experts, 0);
}

static void windows(void **state)
{
    static const struct {
        const char *type, *extra;
        int64_t window, layers;
    } cases[] = {
        {"mistral", ", \"sliding_window\": 16", 16, 8},
        {"mistral", ", \"sliding_window\": null", 0, 0},
        {"mistral", ", \"sliding_window\": 0", 0, 0},
        {"qwen2", ", \"sliding_window\": 16", 0, 0},
        {"qwen2",
         ", \"sliding_window\": 16, \"use_sliding_window\": true,"
         " \"max_window_layers\": 3",
         16, 5},
        {"qwen2",
         ", \"sliding_window\": 16, \"use_sliding_window\": true,"
         " \"max_window_layers\": 99",
         0, 0},
        {"gemma2", ", \"sliding_window\": 16", 16, 4},
        {"gemma3_text", ", \"sliding_window\": 16", 16, 7},
        {"gemma3_text", ", \"sliding_window\": 16, \"sliding_window_pattern\": 4", 16, 6},
        {"cohere2", ", \"sliding_window\": 16", 16, 6},
        {"exaone4", ", \"sliding_window\": 16, \"sliding_window_pattern\": \"LLG\"", 16, 6},
        {"llama4_text",
         ", \"attention_chunk_size\": 16,"
         " \"no_rope_layers\": [1, 1, 1, 0, 1, 1, 1, 0]",
         16, 6},
        {"x",
         ", \"sliding_window\": 16, \"layer_types\": [\"full_attention\","
         " \"sliding_attention\", \"sliding_attention\", \"sliding_attention\","
         " \"chunked_attention\", \"full_attention\", \"full_attention\","
         " \"full_attention\"]",
         16, 4},
    };

    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_model m = small(state, cases[i].type, cases[i].extra);
        assert_int_equal(m.window, cases[i].window);
        assert_int_equal(m.local_layers, cases[i].layers);
    }
}

static void number_formats(void **state)
{
    static const struct {
        const char *extra;
        enum rt_dtype dtype;
    } cases[] = {
        {", \"torch_dtype\": \"float16\"", RT_FP16},
        {", \"dtype\": \"bfloat16\"", RT_BF16},
        {", \"torch_dtype\": \"torch.float16\"", RT_FP16},
        {", \"torch_dtype\": \"float32\"", RT_FP16},
        {", \"torch_dtype\": null", RT_BF16},
        {", \"quantization_config\": null", RT_BF16},
        {", \"quantization_config\": {\"quant_method\": \"fp8\"}", RT_FP8},
        {", \"quantization_config\": {\"quant_method\": \"awq\", \"bits\": 4}", RT_INT4},
        {", \"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 8}", RT_INT8},
        {", \"quantization_config\": {\"quant_method\": \"mxfp4\"}", RT_MXFP4},
        {", \"quantization_config\": {\"quant_method\": \"modelopt\", \"quant_algo\": \"NVFP4\"}",
         RT_FP4},
        {", \"quantization_config\": {\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": true}",
         RT_INT4},
        {", \"quantization_config\": {\"quant_method\": \"compressed-tensors\", \"config_groups\":"
         " {\"group_0\": {\"weights\": {\"num_bits\": 8, \"type\": \"float\"}}}}",
         RT_FP8},
        {", \"quantization_config\": {\"quant_method\": \"compressed-tensors\", \"config_groups\":"
         " {\"group_0\": {\"weights\": {\"num_bits\": 4, \"type\": \"int\"}}}}",
         RT_INT4},
    };

    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(small(state, "llama", cases[i].extra).dtype, cases[i].dtype);
}

/* ---- files and errors ------------------------------------------------------------------------ */

static void a_path_to_a_config(void **state)
{
    char dir[] = "/tmp/rt-hf-XXXXXX", folder[64], path[96];
    struct rt_err err;
    struct rt_model m;
    FILE *file;

    assert_non_null(mkdtemp(dir));
    snprintf(folder, sizeof folder, "%s/My-Model", dir);
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    file = fopen(path, "wb");
    assert_non_null(file);
    assert_true(fputs("{\"model_type\": \"llama\", " SMALL "}", file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_ok(rt_catalog_model(*state, path, &m, &err), &err);
    assert_string_equal(m.name, "My-Model");
    assert_non_null(strstr(m.source, "config.json"));
    unlink(path);
    assert_fails(rt_catalog_model(*state, path, &m, &err), &err, RT_EIO, "config.json");
    rmdir(folder);
    rmdir(dir);
}

static void wrong_files_say_what_is_missing(void **state)
{
    static const char *const cases[][2] = {
        {"{\"model_type\": \"llama\"}",
         "$: missing key \"num_hidden_layers\" or \"n_layer\" or \"n_layers\" or \"num_layers\""},
        {"{\"model_type\": \"llama\", \"num_hidden_layers\": 2}", "missing key \"hidden_size\" or"},
        {"{\"model_type\": \"llama\", \"num_hidden_layers\": 2, \"hidden_size\": 8}",
         "missing key \"num_attention_heads\""},
        {"{\"model_type\": \"llama\", \"num_hidden_layers\": 2, \"hidden_size\": 9,"
         " \"num_attention_heads\": 2}",
         "missing key \"head_dim\": hidden size 9 is not a multiple of 2 heads"},
        {"{\"model_type\": \"llama\", \"num_hidden_layers\": 2, \"hidden_size\": 8,"
         " \"num_attention_heads\": 2}",
         "missing key \"vocab_size\""},
        {"{\"model_type\": \"llama\", \"num_hidden_layers\": 2, \"hidden_size\": 8,"
         " \"num_attention_heads\": 2, \"vocab_size\": 10}",
         "dense layers need the width of their MLP"},
        {"{\"model_type\": \"x\", " SMALL ", \"num_experts\": 4}",
         "missing key \"num_experts_per_tok\""},
        {"{\"model_type\": \"x\", " SMALL ", \"kv_lora_rank\": 4}",
         "missing key \"qk_nope_head_dim\""},
        {"{\"model_type\": \"x\", " SMALL ", \"num_key_value_heads\": 3}",
         "8 attention heads are not a multiple of 3 KV heads"},
        {"{\"model_type\": \"x\", " SMALL ", \"num_key_value_heads\": -1}",
         "$.num_key_value_heads: expected an integer"},
        {"{\"model_type\": \"x\", " SMALL ", \"num_key_value_heads\": \"8\"}",
         "$.num_key_value_heads: expected an integer"},
        {"{\"model_type\": 7, " SMALL "}", "$.model_type: expected a string"},
        {"{\"model_type\": \"mamba\", " SMALL "}",
         "model_type \"mamba\" cannot be priced: it is a state space model"},
        {"{\"text_config\": {\"model_type\": \"llama\"}}",
         "$.text_config: missing key \"num_hidden_layers\""},
        {"{\"model_type\": \"x\", " SMALL ", \"layer_types\": [\"full_attention\"]}",
         "$.layer_types: expected one entry a layer (8), read 1"},
        {"{\"model_type\": \"x\", " SMALL ", \"layer_types\": [\"linear_attention\", \"a\", \"a\","
         " \"a\", \"a\", \"a\", \"a\", \"a\"]}",
         "$.layer_types[0]: \"linear_attention\" cannot be priced"},
        {"{\"model_type\": \"x\", " SMALL ", \"layer_types\": [\"sliding_attention\","
         " \"full_attention\", \"full_attention\", \"full_attention\", \"full_attention\","
         " \"full_attention\", \"full_attention\", \"full_attention\"]}",
         "missing key \"sliding_window\": layer_types has 1 layers with a window"},
        {"{\"model_type\": \"x\", " SMALL ", \"torch_dtype\": \"float17\"}",
         "$.torch_dtype: unknown number format \"float17\", did you mean"},
        {"{\"model_type\": \"x\", " SMALL ", \"quantization_config\": {}}",
         "$.quantization_config: missing key \"quant_method\""},
        {"{\"model_type\": \"x\", " SMALL
         ", \"quantization_config\": {\"quant_method\": \"magic\"}}",
         "$.quantization_config.quant_method: unknown name \"magic\""},
        {"{\"model_type\": \"x\", " SMALL ", \"quantization_config\": {\"quant_method\": \"gptq\","
         " \"bits\": 3}}",
         "$.quantization_config.bits: 3 bit weights cannot be priced"},
        {"{\"model_type\": \"x\", " SMALL ", \"n_shared_experts\": 65536, \"num_experts\": 2,"
         " \"num_experts_per_tok\": 1, \"moe_intermediate_size\": 16777216}",
         "the shared experts are"},
        {"{\"model_type\": \"x\", " SMALL ", \"num_experts\": 2, \"num_experts_per_tok\": 1,"
         " \"moe_layer_freq\": [0, 0, 0, 0, 0, 0, 0, 0, 0]}",
         "9 dense layers, but only 8 layers"},
    };

    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_err err;
        struct rt_model m;
        assert_fails(import(state, cases[i][0], &m, &err), &err, RT_ECONFIG, cases[i][1]);
    }
}

/* Every key of a real file replaced by null, a text, a negative and a huge number, an array and an
 * object in turn: an error or a shape, never a crash. */
static void hostile_values_never_crash(void **state)
{
    static const char *const values[] = {
        "null", "\"x\"", "-1", "9007199254740991", "1e300", "[]", "{}", "0.5", "true", "[[1]]"};
    const char *config = known[14].config;

    for (const char *at = strchr(config, ':'); at != NULL; at = strchr(at + 1, ':')) {
        size_t head = (size_t)(at + 1 - config), skip = strcspn(at + 1, ",}]");
        for (unsigned v = 0; v < sizeof values / sizeof values[0]; v++) {
            struct rt_err err = {.code = RT_OK};
            struct rt_model m;
            char text[2048];
            snprintf(text, sizeof text, "%.*s%s%s", (int)head, config, values[v], at + 1 + skip);
            if (!import(state, text, &m, &err))
                assert_true(err.code == RT_ECONFIG && err.msg[0] != '\0');
            else
                assert_true(rt_model_params(&m) > 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_files_give_the_catalogues_shape),
        cmocka_unit_test(an_unknown_type_is_read_as_llama),
        cmocka_unit_test(families_have_their_defaults),
        cmocka_unit_test(gpt2_names_work),
        cmocka_unit_test(qwen2_moe_has_a_shared_expert),
        cmocka_unit_test(experts_in_some_layers),
        cmocka_unit_test(windows),
        cmocka_unit_test(number_formats),
        cmocka_unit_test(a_path_to_a_config),
        cmocka_unit_test(wrong_files_say_what_is_missing),
        cmocka_unit_test(hostile_values_never_crash),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
