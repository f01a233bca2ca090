/* hf_internal.h: what the parts of the config.json reader share. */
#ifndef RT_HF_INTERNAL_H
#define RT_HF_INTERNAL_H

#include "catalog_internal.h"

struct rt_hf {                      /* a file being read */
    const struct rt_json_at *outer; /* the file's object */
    const struct rt_json_at *at;    /* the language model: outer, or its text_config */
    const char *type;               /* model_type; "" when the file does not say */
    const struct rt_hf_family *family;
};

/* Is the key there, and not null? These files write null for "no". */
bool rt_hf_has(const struct rt_json_at *at, const char *key);
/* The first of `keys` (NULL at the end) that is there, or NULL. */
const char *rt_hf_which(const struct rt_json_at *at, const char *const *keys);
/* Reads it; when none is there, *out keeps its value. */
bool rt_hf_int(const struct rt_json_at *at, const char *const *keys, int64_t min, int64_t max,
               int64_t *out, struct rt_err *err) RT_MUST_USE;
bool rt_hf_bool(const struct rt_json_at *at, const char *key, bool *out,
                struct rt_err *err) RT_MUST_USE;

/* Fill window and local_layers; dtype. */
bool rt_hf_window(const struct rt_hf *hf, struct rt_model *m, struct rt_err *err) RT_MUST_USE;
bool rt_hf_dtype(const struct rt_hf *hf, struct rt_model *m, struct rt_err *err) RT_MUST_USE;

#endif
