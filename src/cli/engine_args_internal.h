/* engine_args.c reads the words of a command line, engine_keys.c knows what they mean. */
#ifndef RT_ENGINE_ARGS_INTERNAL_H
#define RT_ENGINE_ARGS_INTERNAL_H

#include "rooftrace/err.h"

#include <stddef.h>
#include <stdint.h>

struct cJSON;

enum engine_form {
    FORM_MODEL,
    FORM_INT,   /* decimal */
    FORM_HUMAN, /* decimal, or with a suffix: 32k = 32000, 32K = 32768 */
    FORM_SHARE, /* a number from 0.01 to 1 */
    FORM_GIB,   /* GiB of each GPU */
    FORM_WORD,  /* one of `words` */
    FORM_ON,    /* a switch, alone or with true or false */
    FORM_OFF,   /* a switch, alone */
    FORM_FLAG,  /* ignored, takes no value */
    FORM_LIST   /* ignored, takes several */
};

enum engine_target { TARGET_POOL, TARGET_ENGINE };

/* What a word stands for; NULL: vLLM's own default, as if the option were not there. */
struct engine_meaning {
    const char *word, *value;
};

struct engine_option {
    const char *name; /* with '-' */
    enum engine_form form;
    enum engine_target target;
    const char *key;
    int64_t max; /* of integers */
    const struct engine_meaning *words;
};

/* Keys of a scenario under construction. */
struct engine_keys {
    struct cJSON *root, *pool, *engine;
    bool has_model, fp8; /* as in struct rt_engine_args */
    bool experts;        /* whole experts on each GPU */
    double swap_gib;     /* CPU memory for swapped KV, of each GPU; -1: not said */
    bool memory;         /* false: memory is out */
};

/* By the first `len` bytes of a word, '_' for '-' allowed; NULL: unknown. */
const struct engine_option *engine_option_find(const char *word, size_t len);

bool engine_keys_init(struct engine_keys *k, struct rt_err *err) RT_MUST_USE;
void engine_keys_release(struct engine_keys *k);
void engine_keys_model(struct engine_keys *k, const char *text);
void engine_keys_switch(struct engine_keys *k, const struct engine_option *o, bool on);
/* An option with a value. *understood = false: valid there, but without a meaning here. */
bool engine_keys_value(struct engine_keys *k, const struct engine_option *o, const char *text,
                       bool *understood, struct rt_err *err) RT_MUST_USE;
/* Settles what depends on several options and prints: malloc'ed by cJSON; NULL: memory is out. */
char *engine_keys_print(struct engine_keys *k) RT_MUST_USE;

/* RT_EUSAGE with the option's name in front. Always false. */
bool engine_option_fail(const struct engine_option *o, const char *expected, const char *text,
                        struct rt_err *err);

#endif
