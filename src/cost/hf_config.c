/* A Hugging Face config.json, read into a shape.
 *
 * Field names differ by family, so every number has a list of names, the first that is there and
 * not null counts; what no name gives comes from the family (hf_family.c), from another field (KV
 * heads = heads, head_dim = hidden/heads), or is an error that lists the names. Multi-modal files
 * keep the language model in "text_config". Unknown keys are ignored: these files hold much that is
 * no shape. Windows and number formats are in hf_window.c and hf_dtype.c. O(size of the file). */
#include "hf_internal.h"

#include <stdio.h>
#include <string.h>

/* ---- fields ---------------------------------------------------------------------------------- */

bool rt_hf_has(const struct rt_json_at *at, const char *key)
{
    struct rt_json_at place = rt_json_get(at, key);
    enum rt_json_kind kind = rt_json_kind(&place);

    return kind != RT_JSON_ABSENT && kind != RT_JSON_NULL;
}

const char *rt_hf_which(const struct rt_json_at *at, const char *const *keys)
{
    for (; *keys != NULL; keys++)
        if (rt_hf_has(at, *keys))
            return *keys;
    return NULL;
}

bool rt_hf_int(const struct rt_json_at *at, const char *const *keys, int64_t min, int64_t max,
               int64_t *out, struct rt_err *err)
{
    const char *key = rt_hf_which(at, keys);

    return key == NULL || rt_json_int(at, key, min, max, out, err);
}

bool rt_hf_bool(const struct rt_json_at *at, const char *key, bool *out, struct rt_err *err)
{
    return !rt_hf_has(at, key) || rt_json_bool(at, key, out, err);
}

/* As rt_hf_int, but *out = 0 means that nobody knows: an error that lists the names. */
static bool need_int(const struct rt_json_at *at, const char *const *keys, int64_t max,
                     int64_t *out, struct rt_err *err)
{
    char names[160];
    size_t used = 0;

    if (!rt_hf_int(at, keys, 1, max, out, err))
        return false;
    if (*out > 0)
        return true;
    names[0] = '\0';
    for (int i = 0; keys[i] != NULL && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s\"%s\"", i ? " or " : "",
                                 keys[i]);
    return rt_json_fail(at, err, "missing key %s", names);
}

#define KEYS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- attention ------------------------------------------------------------------------------- */

/* Falcon and its kin: all query heads share one KV head, unless the newer layout says how many. */
static bool read_multi_query(const struct rt_hf *hf, struct rt_model *m, struct rt_err *err)
{
    bool mqa = (hf->family->flags & RT_HF_MQA) != 0, grouped = false;

    if (!rt_hf_bool(hf->at, "multi_query", &mqa, err) ||
        !rt_hf_bool(hf->at, "new_decoder_architecture", &grouped, err))
        return false;
    if (mqa && !grouped)
        m->kv_heads = 1;
    return true;
}

static bool read_heads(const struct rt_hf *hf, struct rt_model *m, struct rt_err *err)
{
    m->heads = hf->family->heads;
    m->head_dim = hf->family->head_dim;
    if (!need_int(hf->at, KEYS("num_attention_heads", "n_head", "n_heads"), RT_MODEL_MAX_HEADS,
                  &m->heads, err))
        return false;
    m->kv_heads = hf->family->kv_heads > 0 ? hf->family->kv_heads : m->heads;
    if (!rt_hf_int(
            hf->at,
            KEYS("num_key_value_heads", "num_kv_heads", "n_head_kv", "multi_query_group_num"), 1,
            RT_MODEL_MAX_HEADS, &m->kv_heads, err) ||
        !read_multi_query(hf, m, err) ||
        !rt_hf_int(hf->at, KEYS("head_dim", "kv_channels"), 1, RT_MODEL_MAX_WIDTH, &m->head_dim,
                   err))
        return false;
    if (m->head_dim == 0 && m->hidden % m->heads == 0)
        m->head_dim = m->hidden / m->heads;
    return m->head_dim > 0 ||
           rt_json_fail(
               hf->at, err,
               "missing key \"head_dim\": hidden size %lld is not a multiple of %lld heads",
               (long long)m->hidden, (long long)m->heads);
}

static bool read_mla(const struct rt_hf *hf, struct rt_model *m, struct rt_err *err)
{
    if (!rt_hf_has(hf->at, "kv_lora_rank"))
        return true;
    m->attention = RT_MLA;
    if (!rt_hf_int(hf->at, KEYS("q_lora_rank"), 0, RT_MODEL_MAX_WIDTH, &m->q_lora, err) ||
        !need_int(hf->at, KEYS("kv_lora_rank"), RT_MODEL_MAX_WIDTH, &m->kv_lora, err) ||
        !need_int(hf->at, KEYS("qk_nope_head_dim"), RT_MODEL_MAX_WIDTH, &m->qk_nope, err) ||
        !need_int(hf->at, KEYS("qk_rope_head_dim"), RT_MODEL_MAX_WIDTH, &m->qk_rope, err) ||
        !need_int(hf->at, KEYS("v_head_dim"), RT_MODEL_MAX_WIDTH, &m->v_head, err))
        return false;
    m->kv_heads = m->heads;
    m->head_dim = m->qk_nope + m->qk_rope;
    return true;
}

static bool read_biases(const struct rt_hf *hf, struct rt_model *m, struct rt_err *err)
{
    unsigned flags = hf->family->flags;
    bool all = (flags & RT_HF_ALL_BIASES) == RT_HF_ALL_BIASES;
    bool attention = (flags & RT_HF_O_BIAS) != 0;

    if (!rt_hf_bool(hf->at, "bias", &all, err) || !rt_hf_bool(hf->at, "use_bias", &all, err) ||
        !rt_hf_bool(hf->at, "attention_bias", &attention, err))
        return false;
    m->qkv_bias = all || attention || (flags & RT_HF_QKV_BIAS) != 0;
    m->o_bias = all || attention;
    m->mlp_bias = all || (flags & RT_HF_MLP_BIAS) != 0;
    m->qk_norm = (flags & RT_HF_QK_NORM) != 0;
    return rt_hf_bool(hf->at, "qkv_bias", &m->qkv_bias, err) &&
           rt_hf_bool(hf->at, "add_qkv_bias", &m->qkv_bias, err) &&
           rt_hf_bool(hf->at, "mlp_bias", &m->mlp_bias, err) &&
           rt_hf_bool(hf->at, "use_qk_norm", &m->qk_norm, err);
}

/* ---- MLP and experts ------------------------------------------------------------------------- */

static bool read_ffn(const struct rt_hf *hf, struct rt_model *m, struct rt_err *err)
{
    m->gated = (hf->family->flags & RT_HF_PLAIN_MLP) == 0;
    if (!rt_hf_int(hf->at,
                   KEYS("intermediate_size_mlp", "intermediate_size", "ffn_hidden_size", "ffn_dim",
                        "n_inner"),
                   1, RT_MODEL_MAX_WIDTH, &m->ffn, err))
        return false;
    if (m->ffn == 0 && !m->gated)
        m->ffn = 4 * m->hidden; /* GPT-2, Falcon, BLOOM, MPT */
    return true;
}

/* Layers without experts, wherever they are: their number is what costs depend on. */
static bool read_dense_layers(const struct rt_hf *hf, struct rt_model *m, struct rt_err *err)
{
    struct rt_json_at frequency = rt_json_get(hf->at, "moe_layer_freq");
    struct rt_json_at dense = rt_json_get(hf->at, "mlp_only_layers");

    if (!rt_hf_int(hf->at, KEYS("first_k_dense_replace"), 0, RT_MODEL_MAX_LAYERS, &m->dense_layers,
                   err))
        return false;
    if (rt_json_kind(&dense) == RT_JSON_ARRAY && rt_json_count(&dense) <= RT_MODEL_MAX_LAYERS)
        m->dense_layers += rt_json_count(&dense);
    if (rt_json_kind(&frequency) != RT_JSON_ARRAY)
        return rt_hf_int(hf->at,
                         KEYS("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_freq"),
                         1, RT_MODEL_MAX_LAYERS, &m->moe_every, err);
    m->dense_layers = 0; /* one 0 or 1 a layer */
    for (int i = 0; i < rt_json_count(&frequency); i++) {
        struct rt_json_at item = rt_json_item(&frequency, i);
        double moe;
        if (!rt_record_item_number(&item, &moe, err))
            return false;
        m->dense_layers += moe > 0 ? 0 : 1;
    }
    return true;
}

/* A shared expert is told by its own width, or by a number of experts as wide as the routed ones.
 */
static bool read_shared(const struct rt_hf *hf, struct rt_model *m, struct rt_err *err)
{
    bool llama4 = strncmp(hf->family->model_type, "llama4", 6) == 0;

    if (!rt_hf_int(hf->at, KEYS("n_shared_experts", "num_shared_experts"), 0, RT_MODEL_MAX_EXPERTS,
                   &m->shared_experts, err) ||
        !rt_hf_int(hf->at, KEYS("shared_expert_intermediate_size", "shared_intermediate_size"), 0,
                   RT_MODEL_MAX_WIDTH, &m->shared_ffn, err))
        return false;
    if (llama4)
        m->shared_experts = 1; /* in the code of the family, not in the file */
    if (m->shared_ffn > 0 && m->shared_experts == 0)
        m->shared_experts = 1;
    if (m->shared_ffn == 0)
        m->shared_ffn = m->shared_experts * m->expert_ffn;
    return m->shared_ffn <= RT_MODEL_MAX_WIDTH ||
           rt_json_fail(hf->at, err, "the shared experts are %lld wide, expected at most %d",
                        (long long)m->shared_ffn, RT_MODEL_MAX_WIDTH);
}

static bool read_experts(const struct rt_hf *hf, struct rt_model *m, struct rt_err *err)
{
    if (!rt_hf_int(hf->at,
                   KEYS("num_local_experts", "num_experts", "n_routed_experts", "moe_num_experts"),
                   0, RT_MODEL_MAX_EXPERTS, &m->experts, err))
        return false;
    if (m->experts <= 1) {
        m->experts = 0;
        return true;
    }
    return need_int(hf->at,
                    KEYS("num_experts_per_tok", "experts_per_token", "num_experts_per_token",
                         "moe_topk", "moe_k"),
                    RT_MODEL_MAX_EXPERTS, &m->experts_per_token, err) &&
           need_int(hf->at, KEYS("moe_intermediate_size", "intermediate_size"), RT_MODEL_MAX_WIDTH,
                    &m->expert_ffn, err) &&
           read_shared(hf, m, err) && read_dense_layers(hf, m, err);
}

/* ---- the file -------------------------------------------------------------------------------- */

bool rt_hf_is_config(const struct rt_json_at *at)
{
    return rt_hf_has(at, "architectures") || rt_hf_has(at, "model_type") ||
           rt_hf_has(at, "num_hidden_layers") || rt_hf_has(at, "text_config");
}

static bool read_tied(const struct rt_hf *hf, struct rt_model *m, struct rt_err *err)
{
    const struct rt_json_at *at = rt_hf_has(hf->at, "tie_word_embeddings") ? hf->at : hf->outer;

    m->tied = (hf->family->flags & RT_HF_TIED) != 0;
    return rt_hf_bool(at, "tie_word_embeddings", &m->tied, err);
}

static bool read_context(const struct rt_hf *hf, struct rt_model *m, struct rt_err *err)
{
    int64_t longest = 0;

    m->max_context = hf->family->max_context;
    if (!rt_hf_int(hf->at,
                   KEYS("max_position_embeddings", "n_positions", "max_sequence_length",
                        "max_seq_len", "seq_length"),
                   1, RT_MODEL_MAX_TOKENS, &m->max_context, err) ||
        !rt_hf_int(hf->at, KEYS("model_max_length"), 1, RT_MODEL_MAX_TOKENS, &longest, err))
        return false;
    if (longest > m->max_context)
        m->max_context = longest; /* Command R: the trained length is less than the served one */
    return true;
}

/* The folder of the file, as in Llama-3.1-8B/config.json; else what the file calls itself. */
static bool read_name(const struct rt_hf *hf, struct rt_model *m, struct rt_err *err)
{
    const char *path = rt_json_name(hf->at->doc), *slash = strrchr(path, '/');
    const char *from = NULL, *own = NULL;
    size_t len = 0;

    if (!rt_json_string(hf->outer, "_name_or_path", &own, err))
        return false;
    if (own != NULL && own[0] != '\0') {
        from = strrchr(own, '/');
        from = from != NULL && from[1] != '\0' ? from + 1 : own;
        len = strlen(from);
    } else if (slash != NULL && slash > path) {
        for (from = slash; from > path && from[-1] != '/'; from--)
            len++;
    }
    if (len == 0) {
        from = hf->type[0] != '\0' ? hf->type : "model";
        len = strlen(from);
    }
    if (len > RT_NAME_SIZE - 1)
        len = RT_NAME_SIZE - 1;
    memcpy(m->name, from, len);
    m->name[len] = '\0';
    snprintf(m->source, sizeof m->source, "Hugging Face %.200s", path);
    return true;
}

static bool find_text(struct rt_hf *hf, struct rt_json_at *text, struct rt_err *err)
{
    const char *why;

    hf->type = "";
    *text = rt_json_get(hf->outer, "text_config");
    hf->at = rt_json_kind(text) == RT_JSON_OBJECT ? text : hf->outer;
    if (!rt_json_string(hf->at, "model_type", &hf->type, err))
        return false;
    if (hf->type[0] == '\0' && hf->at != hf->outer &&
        !rt_json_string(hf->outer, "model_type", &hf->type, err))
        return false;
    why = rt_hf_refused(hf->type);
    if (why != NULL)
        return rt_json_fail(hf->at, err, "model_type \"%s\" cannot be priced: it is %s", hf->type,
                            why);
    hf->family = rt_hf_family(hf->type);
    return true;
}

bool rt_hf_read(const struct rt_json_at *at, struct rt_model *m, struct rt_err *err)
{
    struct rt_json_at text;
    struct rt_hf hf = {.outer = at};

    rt_model_init(m);
    if (!find_text(&hf, &text, err) || !read_name(&hf, m, err))
        return false;
    m->vocab = hf.family->vocab;
    return need_int(hf.at, KEYS("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
                    RT_MODEL_MAX_LAYERS, &m->layers, err) &&
           need_int(hf.at, KEYS("hidden_size", "n_embd", "d_model", "n_embed"), RT_MODEL_MAX_WIDTH,
                    &m->hidden, err) &&
           read_heads(&hf, m, err) && read_mla(&hf, m, err) && read_biases(&hf, m, err) &&
           need_int(hf.at, KEYS("vocab_size", "padded_vocab_size"), RT_MODEL_MAX_WIDTH, &m->vocab,
                    err) &&
           read_ffn(&hf, m, err) && read_experts(&hf, m, err) && read_tied(&hf, m, err) &&
           read_context(&hf, m, err) && rt_hf_window(&hf, m, err) && rt_hf_dtype(&hf, m, err) &&
           rt_model_check(m, hf.at, err);
}
