/* The number format of the weights that a config.json describes.
 *
 * quantization_config decides where it is clear: fp8, mxfp4, gptq and awq (bits), bitsandbytes,
 * compressed-tensors (num_bits and type of the first group's weights), modelopt (quant_algo).
 * mxfp4 is of routed experts alone where there are some, the rest is torch_dtype.
 * Otherwise torch_dtype (newer files: dtype); float32 is served as fp16; absent: bf16. An unknown
 * quantisation method is an error: guessing would be wrong by a factor of up to four. O(1). */
#include "hf_internal.h"
#include "rooftrace/dtype.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* "torch.bfloat16", "bfloat16", ... */
static bool read_torch(const struct rt_json_at *at, const char *key, struct rt_model *m,
                       struct rt_err *err)
{
    static const char *const names[] = {"bfloat16",      "float16",     "half", "float32",
                                        "float8_e4m3fn", "float8_e5m2", "int8"};
    static const enum rt_dtype dtypes[] = {RT_BF16, RT_FP16, RT_FP16, RT_FP16,
                                           RT_FP8,  RT_FP8,  RT_INT8};
    char suggestion[200];
    struct rt_json_at place = rt_json_get(at, key);
    const char *text = NULL;

    if (!rt_json_string(at, key, &text, err))
        return false;
    if (strncmp(text, "torch.", 6) == 0)
        text += 6;
    for (unsigned i = 0; i < COUNT(names); i++)
        if (strcmp(text, names[i]) == 0) {
            m->dtype = dtypes[i];
            return true;
        }
    return rt_json_fail(&place, err, "unknown number format \"%.60s\", %s", text,
                        rt_suggest(text, names, COUNT(names), suggestion, sizeof suggestion));
}

/* int8, int4, fp8 or fp4 by the number of bits. */
static bool by_bits(const struct rt_json_at *at, const char *key, bool floats, struct rt_model *m,
                    struct rt_err *err)
{
    struct rt_json_at place = rt_json_get(at, key);
    int64_t bits = 0;

    if (!rt_json_need(at, key, err) || !rt_json_int(at, key, 1, 64, &bits, err))
        return false;
    if (bits != 4 && bits != 8)
        return rt_json_fail(&place, err, "%lld bit weights cannot be priced; 4 and 8 can",
                            (long long)bits);
    if (floats)
        m->dtype = bits == 8 ? RT_FP8 : RT_FP4;
    else
        m->dtype = bits == 8 ? RT_INT8 : RT_INT4;
    return true;
}

/* config_groups.*.weights of compressed-tensors: the first group counts. */
static bool by_groups(const struct rt_json_at *q, struct rt_model *m, struct rt_err *err)
{
    struct rt_json_at groups = rt_json_get(q, "config_groups");
    struct rt_json_at group = rt_json_member(&groups, 0);
    struct rt_json_at weights = rt_json_get(&group, "weights");
    const char *type = "int";

    if (rt_json_kind(&weights) != RT_JSON_OBJECT)
        return rt_json_fail(q, err, "expected config_groups with the format of the weights");
    return rt_json_string(&weights, "type", &type, err) &&
           by_bits(&weights, "num_bits", strcmp(type, "float") == 0, m, err);
}

static bool by_loading(const struct rt_json_at *q, struct rt_model *m, struct rt_err *err)
{
    bool four = false, eight = false;

    if (!rt_hf_bool(q, "load_in_4bit", &four, err) || !rt_hf_bool(q, "_load_in_4bit", &four, err) ||
        !rt_hf_bool(q, "load_in_8bit", &eight, err) || !rt_hf_bool(q, "_load_in_8bit", &eight, err))
        return false;
    if (!four && !eight)
        return rt_json_fail(q, err, "expected load_in_4bit or load_in_8bit");
    m->dtype = four ? RT_INT4 : RT_INT8;
    return true;
}

static bool by_algorithm(const struct rt_json_at *q, struct rt_model *m, struct rt_err *err)
{
    static const char *const names[] = {"FP8",       "NVFP4",    "MXFP4",
                                        "W4A16_AWQ", "INT4_AWQ", "W8A8_SQ_PER_CHANNEL"};
    static const enum rt_dtype dtypes[] = {RT_FP8, RT_FP4, RT_MXFP4, RT_INT4, RT_INT4, RT_INT8};
    unsigned which = 0;

    if (!rt_json_need(q, "quant_algo", err) ||
        !rt_json_choice(q, "quant_algo", names, COUNT(names), &which, err))
        return false;
    m->dtype = dtypes[which];
    return true;
}

static bool read_quantisation(const struct rt_json_at *q, struct rt_model *m, struct rt_err *err)
{
    static const char *const methods[] = {
        "fp8",          "fbgemm_fp8",         "mxfp4",   "nvfp4", "gptq", "awq", "auto-round",
        "bitsandbytes", "compressed-tensors", "modelopt"};
    unsigned which = 0;

    if (!rt_json_need(q, "quant_method", err) ||
        !rt_json_choice(q, "quant_method", methods, COUNT(methods), &which, err))
        return false;
    switch (which) {
    case 0:
    case 1:
        m->dtype = RT_FP8;
        return true;
    case 2:
        m->dtype = RT_MXFP4;
        return true;
    case 3:
        m->dtype = RT_FP4;
        return true;
    case 4:
    case 5:
    case 6:
        return by_bits(q, "bits", false, m, err);
    case 7:
        return by_loading(q, m, err);
    case 8:
        return by_groups(q, m, err);
    default:
        return by_algorithm(q, m, err);
    }
}

static bool read_plain(const struct rt_hf *hf, struct rt_model *m, struct rt_err *err)
{
    static const char *const keys[] = {"torch_dtype", "dtype", NULL};
    const struct rt_json_at *at = rt_hf_which(hf->at, keys) != NULL ? hf->at : hf->outer;
    const char *key = rt_hf_which(at, keys);

    return key == NULL || read_torch(at, key, m, err);
}

bool rt_hf_dtype(const struct rt_hf *hf, struct rt_model *m, struct rt_err *err)
{
    const struct rt_json_at *at = rt_hf_has(hf->at, "quantization_config") ? hf->at : hf->outer;
    struct rt_json_at quantisation = rt_json_get(at, "quantization_config");
    enum rt_dtype plain = m->dtype;

    if (!rt_hf_has(at, "quantization_config"))
        return read_plain(hf, m, err);
    if (!read_quantisation(&quantisation, m, err))
        return false;
    if (m->dtype != RT_MXFP4 || m->experts == 0)
        return true;
    m->experts_apart = true;
    m->expert_dtype = RT_MXFP4;
    m->dtype = plain;
    return read_plain(hf, m, err);
}
