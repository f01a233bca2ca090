/* A model record in our own JSON: the shape that cost and memory need, nothing else.
 *
 * Flat keys for what every transformer has, and three objects for what only some have: "moe"
 * (experts), "mla" (latent attention), "window" (layers that read a sliding window). An object is
 * all or nothing: its necessary keys must be there. rt_model_check holds the rules between fields
 * that a JSON Schema cannot say; the reader of Hugging Face files ends in it too. O(record). */
#include "catalog_internal.h"
#include "rooftrace/dtype.h"

#include <string.h>

struct integer {
    const char *key;
    size_t offset; /* of an int64_t in struct rt_model */
    int64_t min, max;
    bool needed; /* unless the record only changes another one */
};

#define AT(field)    offsetof(struct rt_model, field)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct integer shape[] = {
    {"layers", AT(layers), 1, RT_MODEL_MAX_LAYERS, true},
    {"hidden", AT(hidden), 1, RT_MODEL_MAX_WIDTH, true},
    {"heads", AT(heads), 1, RT_MODEL_MAX_HEADS, true},
    {"kv_heads", AT(kv_heads), 1, RT_MODEL_MAX_HEADS, true},
    {"head_dim", AT(head_dim), 1, RT_MODEL_MAX_WIDTH, true},
    {"vocab", AT(vocab), 1, RT_MODEL_MAX_WIDTH, true},
    {"ffn", AT(ffn), 1, RT_MODEL_MAX_WIDTH, false},
    {"max_context", AT(max_context), 1, RT_MODEL_MAX_TOKENS, false},
};
static const struct integer moe[] = {
    {"experts", AT(experts), 1, RT_MODEL_MAX_EXPERTS, true},
    {"experts_per_token", AT(experts_per_token), 1, RT_MODEL_MAX_EXPERTS, true},
    {"expert_ffn", AT(expert_ffn), 1, RT_MODEL_MAX_WIDTH, true},
    {"shared_experts", AT(shared_experts), 1, RT_MODEL_MAX_EXPERTS, false},
    {"shared_ffn", AT(shared_ffn), 1, RT_MODEL_MAX_WIDTH, false},
    {"dense_layers", AT(dense_layers), 0, RT_MODEL_MAX_LAYERS, false},
    {"every", AT(moe_every), 1, RT_MODEL_MAX_LAYERS, false},
};
static const struct integer mla[] = {
    {"q_lora", AT(q_lora), 1, RT_MODEL_MAX_WIDTH, false},
    {"kv_lora", AT(kv_lora), 1, RT_MODEL_MAX_WIDTH, true},
    {"qk_nope", AT(qk_nope), 1, RT_MODEL_MAX_WIDTH, true},
    {"qk_rope", AT(qk_rope), 1, RT_MODEL_MAX_WIDTH, true},
    {"v_head", AT(v_head), 1, RT_MODEL_MAX_WIDTH, true},
};
/* "layers", or "global_every": n, which read_window makes a number of layers of. */
static const struct integer window[] = {
    {"tokens", AT(window), 1, RT_MODEL_MAX_TOKENS, true},
    {"layers", AT(local_layers), 1, RT_MODEL_MAX_LAYERS, false},
};

static const char *const record_keys[] = {
    "name",         "aliases", "base",      "layers", "hidden", "heads",       "kv_heads",
    "head_dim",     "ffn",     "vocab",     "gated",  "tied",   "qkv_bias",    "o_bias",
    "mlp_bias",     "qk_norm", "moe",       "mla",    "window", "max_context", "dtype",
    "expert_dtype", "note",    "uncertain", "sources"};

static const char *const uncertain_fields[] = {
    "layers", "hidden", "heads",       "kv_heads", "head_dim",    "ffn",     "vocab",
    "gated",  "tied",   "qkv_bias",    "o_bias",   "mlp_bias",    "qk_norm", "moe",
    "mla",    "window", "max_context", "dtype",    "expert_dtype"};
static const char *const source_fields[] = {
    "*",     "layers", "hidden", "heads",       "kv_heads", "head_dim",    "ffn",
    "vocab", "gated",  "tied",   "qkv_bias",    "o_bias",   "mlp_bias",    "qk_norm",
    "moe",   "mla",    "window", "max_context", "dtype",    "expert_dtype"};

void rt_model_init(struct rt_model *m)
{
    *m = (struct rt_model){.gated = true, .moe_every = 1, .dtype = RT_BF16};
}

static int64_t *integer_at(struct rt_model *m, const struct integer *n)
{
    return (int64_t *)(void *)((char *)m + n->offset);
}

static bool read_integers(const struct rt_json_at *at, const struct integer *list, unsigned count,
                          bool change, struct rt_model *m, struct rt_err *err)
{
    for (unsigned i = 0; i < count; i++) {
        if (list[i].needed && !change && !rt_json_need(at, list[i].key, err))
            return false;
        if (!rt_json_int(at, list[i].key, list[i].min, list[i].max, integer_at(m, &list[i]), err))
            return false;
    }
    return true;
}

/* "moe" or "mla". When only a change is read, an object that the base already has may be
 * partial, a new one may not. *present says whether it is there. */
static bool read_object(const struct rt_json_at *at, const char *key, const struct integer *list,
                        unsigned count, struct rt_model *m, struct rt_err *err)
{
    const char *keys[COUNT(moe)];
    struct rt_json_at object = rt_json_get(at, key);
    bool has = false;

    if (rt_json_kind(&object) == RT_JSON_ABSENT)
        return true;
    for (unsigned i = 0; i < count; i++) {
        keys[i] = list[i].key;
        has = has || (list[i].needed && *integer_at(m, &list[i]) > 0);
    }
    return rt_json_expect(&object, RT_JSON_OBJECT, err) &&
           rt_json_only(&object, keys, count, err) &&
           read_integers(&object, list, count, has, m, err);
}

/* Every n-th layer sees everything, as in Gemma 3 (6) or GPT-OSS (2). */
static bool read_window(const struct rt_json_at *at, struct rt_model *m, struct rt_err *err)
{
    static const char *const keys[] = {"tokens", "layers", "global_every"};
    struct rt_json_at object = rt_json_get(at, "window");
    struct rt_json_at layers = rt_json_get(&object, keys[1]);
    struct rt_json_at global = rt_json_get(&object, keys[2]);
    bool counted = rt_json_kind(&layers) != RT_JSON_ABSENT, had = m->window > 0;
    bool patterned = rt_json_kind(&global) != RT_JSON_ABSENT;
    int64_t every = 0;

    if (rt_json_kind(&object) == RT_JSON_ABSENT)
        return true;
    if (!rt_json_expect(&object, RT_JSON_OBJECT, err) || !rt_json_only(&object, keys, 3, err) ||
        !read_integers(&object, window, COUNT(window), had, m, err) ||
        !rt_json_int(&object, keys[2], 2, RT_MODEL_MAX_LAYERS, &every, err))
        return false;
    if (counted && patterned)
        return rt_json_fail(&object, err, "expected one of \"layers\" and \"global_every\"");
    if (!counted && !patterned && !had)
        return rt_json_fail(&object, err, "missing key \"layers\" or \"global_every\"");
    if (patterned)
        m->local_layers = m->layers - m->layers / every;
    return true;
}

static bool read_flags(const struct rt_json_at *at, struct rt_model *m, struct rt_err *err)
{
    unsigned dtype = (unsigned)m->dtype, expert = (unsigned)rt_model_expert_dtype(m);
    struct rt_json_at all = rt_json_get(at, "dtype"), experts = rt_json_get(at, "expert_dtype");
    bool stated = rt_json_kind(&all) != RT_JSON_ABSENT;
    bool own = rt_json_kind(&experts) != RT_JSON_ABSENT;

    if (!rt_json_bool(at, "gated", &m->gated, err) || !rt_json_bool(at, "tied", &m->tied, err) ||
        !rt_json_bool(at, "qkv_bias", &m->qkv_bias, err) ||
        !rt_json_bool(at, "o_bias", &m->o_bias, err) ||
        !rt_json_bool(at, "mlp_bias", &m->mlp_bias, err) ||
        !rt_json_bool(at, "qk_norm", &m->qk_norm, err) ||
        !rt_json_choice(at, "dtype", rt_dtype_names, RT_DTYPE_COUNT, &dtype, err) ||
        !rt_json_choice(at, "expert_dtype", rt_dtype_names, RT_DTYPE_COUNT, &expert, err))
        return false;
    m->dtype = (enum rt_dtype)dtype;
    /* a changed "dtype" is that of the experts, too */
    m->experts_apart = own || (m->experts_apart && !stated);
    m->expert_dtype = m->experts_apart ? (enum rt_dtype)expert : m->dtype;
    return true;
}

/* sources."*" becomes the record's source, cut to what fits. */
static bool read_sources(const struct rt_json_at *at, enum rt_record_kind kind, struct rt_model *m,
                         struct rt_err *err)
{
    struct rt_json_at sources = rt_json_get(at, "sources");
    const char *text = NULL;

    if (!rt_record_sources(at, kind, source_fields, COUNT(source_fields), err) ||
        !rt_json_string(&sources, "*", &text, err))
        return false;
    if (text != NULL) {
        size_t len = strnlen(text, sizeof m->source - 1);
        memcpy(m->source, text, len);
        m->source[len] = '\0';
    }
    return true;
}

bool rt_model_read(const struct rt_json_at *at, enum rt_record_kind kind, struct rt_model *m,
                   struct rt_err *err)
{
    struct rt_json_at base = rt_json_get(at, "base");
    struct rt_json_at latent = rt_json_get(at, "mla");

    if (!rt_json_expect(at, RT_JSON_OBJECT, err) ||
        !rt_json_only(at, record_keys, COUNT(record_keys), err))
        return false;
    if (kind == RT_RECORD_CATALOGUE && rt_json_kind(&base) != RT_JSON_ABSENT)
        return rt_json_fail(&base, err, "a record of a catalogue file stands alone");
    if (!rt_record_name(at, kind, m->name, err) ||
        !rt_record_notes(at, uncertain_fields, COUNT(uncertain_fields), err) ||
        !read_integers(at, shape, COUNT(shape), kind == RT_RECORD_CHANGE, m, err) ||
        !read_object(at, "moe", moe, COUNT(moe), m, err) ||
        !read_object(at, "mla", mla, COUNT(mla), m, err) || !read_window(at, m, err) ||
        !read_flags(at, m, err) || !read_sources(at, kind, m, err))
        return false;
    if (rt_json_kind(&latent) != RT_JSON_ABSENT)
        m->attention = RT_MLA;
    return rt_model_check(m, at, err);
}

/* ---- rules between fields -------------------------------------------------------------------- */

static bool check_experts(const struct rt_model *m, const struct rt_json_at *at, struct rt_err *err)
{
    if (m->experts_per_token > m->experts)
        return rt_json_fail(at, err, "%lld experts per token, but only %lld experts",
                            (long long)m->experts_per_token, (long long)m->experts);
    if ((m->shared_experts > 0) != (m->shared_ffn > 0))
        return rt_json_fail(at, err, "shared experts need their number and their width");
    if (m->dense_layers > m->layers)
        return rt_json_fail(at, err, "%lld dense layers, but only %lld layers",
                            (long long)m->dense_layers, (long long)m->layers);
    if (rt_model_moe_layers(m) == 0)
        return rt_json_fail(at, err, "%lld experts, but no layer that has them",
                            (long long)m->experts);
    return true;
}

bool rt_model_check(const struct rt_model *m, const struct rt_json_at *at, struct rt_err *err)
{
    if (m->heads % m->kv_heads != 0)
        return rt_json_fail(at, err, "%lld attention heads are not a multiple of %lld KV heads",
                            (long long)m->heads, (long long)m->kv_heads);
    if (m->experts > 0 && !check_experts(m, at, err))
        return false;
    if (m->layers > rt_model_moe_layers(m) && m->ffn == 0)
        return rt_json_fail(at, err,
                            "dense layers need the width of their MLP (\"ffn\", or "
                            "\"intermediate_size\" in a config.json)");
    if (m->local_layers > m->layers)
        return rt_json_fail(at, err, "%lld layers with a window, but only %lld layers",
                            (long long)m->local_layers, (long long)m->layers);
    return true;
}
