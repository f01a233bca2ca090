/* Which layers of a config.json read a sliding window, and how wide it is.
 *
 * In order of what decides: use_sliding_window = false (none); layer_types, one text a layer;
 * no_rope_layers (Llama 4: 1 = chunked attention); sliding_window_pattern, a number n (every n-th
 * layer sees everything) or a text such as "LLLG"; max_window_layers (Qwen: the first ones see
 * everything); the pattern of the family; else all layers. Chunked attention is treated as a window
 * of the same size: a token sees at most one chunk. A kind of layer that is no attention over its
 * context is refused. O(layers). */
#include "hf_internal.h"

#include <string.h>

#define KEYS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* One text a layer. */
static bool count_types(const struct rt_json_at *types, struct rt_model *m, struct rt_err *err)
{
    if (!rt_json_expect(types, RT_JSON_ARRAY, err))
        return false;
    if (rt_json_count(types) != m->layers)
        return rt_json_fail(types, err, "expected one entry a layer (%lld), read %d",
                            (long long)m->layers, rt_json_count(types));
    for (int i = 0; i < rt_json_count(types); i++) {
        struct rt_json_at item = rt_json_item(types, i);
        const char *type;
        if (!rt_record_item_text(&item, &type, err))
            return false;
        if (strcmp(type, "sliding_attention") == 0 || strcmp(type, "chunked_attention") == 0)
            m->local_layers++;
        else if (strcmp(type, "full_attention") != 0)
            return rt_json_fail(&item, err,
                                "\"%.60s\" cannot be priced; full_attention, sliding_attention and "
                                "chunked_attention can",
                                type);
    }
    return true;
}

static bool count_rope(const struct rt_json_at *rope, struct rt_model *m, struct rt_err *err)
{
    if (rt_json_count(rope) > m->layers)
        return rt_json_fail(rope, err, "expected one entry a layer (%lld), read %d",
                            (long long)m->layers, rt_json_count(rope));
    for (int i = 0; i < rt_json_count(rope); i++) {
        struct rt_json_at item = rt_json_item(rope, i);
        double chunked;
        if (!rt_record_item_number(&item, &chunked, err))
            return false;
        m->local_layers += chunked > 0 ? 1 : 0;
    }
    return true;
}

/* "LLLG", repeated over the layers. */
static void count_letters(const char *pattern, struct rt_model *m)
{
    size_t len = strlen(pattern);

    for (int64_t i = 0; len > 0 && i < m->layers; i++)
        m->local_layers += pattern[(size_t)i % len] == 'L' ? 1 : 0;
}

static bool by_pattern(const struct rt_hf *hf, struct rt_model *m, struct rt_err *err)
{
    struct rt_json_at pattern = rt_json_get(hf->at, "sliding_window_pattern");
    int64_t every = hf->family->window_pattern, first = 0;
    const char *letters = "";

    if (rt_json_kind(&pattern) == RT_JSON_STRING) {
        if (!rt_json_string(hf->at, "sliding_window_pattern", &letters, err))
            return false;
        count_letters(letters, m);
        return true;
    }
    if (!rt_hf_int(hf->at, KEYS("sliding_window_pattern", "_sliding_window_pattern"), 1,
                   RT_MODEL_MAX_LAYERS, &every, err) ||
        !rt_hf_int(hf->at, KEYS("max_window_layers"), 0, INT64_MAX, &first, err))
        return false;
    if (every > 0)
        m->local_layers = m->layers - m->layers / every;
    else
        m->local_layers = first < m->layers ? m->layers - first : 0;
    return true;
}

bool rt_hf_window(const struct rt_hf *hf, struct rt_model *m, struct rt_err *err)
{
    struct rt_json_at types = rt_json_get(hf->at, "layer_types");
    struct rt_json_at rope = rt_json_get(hf->at, "no_rope_layers");
    bool used = (hf->family->flags & RT_HF_WINDOW_OPT) == 0;

    if (!rt_hf_bool(hf->at, "use_sliding_window", &used, err) ||
        !rt_hf_int(hf->at, KEYS("sliding_window", "attention_chunk_size"), 0, RT_MODEL_MAX_TOKENS,
                   &m->window, err))
        return false;
    bool ok = true;
    if (rt_hf_has(hf->at, "layer_types"))
        ok = count_types(&types, m, err);
    else if (m->window > 0 && rt_json_count(&rope) > 0)
        ok = count_rope(&rope, m, err);
    else if (m->window > 0)
        ok = by_pattern(hf, m, err);
    if (!ok)
        return false;
    if (!used)
        m->local_layers = 0;
    if (m->local_layers > 0 && m->window == 0)
        return rt_json_fail(hf->at, err,
                            "missing key \"sliding_window\": layer_types has %lld "
                            "layers with a window",
                            (long long)m->local_layers);
    if (m->local_layers == 0)
        m->window = 0;
    return true;
}
