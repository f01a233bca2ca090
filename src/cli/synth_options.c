/* Options that describe synthetic traffic, as keys of the section workload.synthetic.
 *
 *     1024                     a number
 *     820:1024                 {"kind": "uniform", "min": 820, "max": 1024}
 *     gamma:10,cv=2            {"kind": "gamma", "rate_per_s": 10, "cv": 2}
 *     count=16,tokens=512      {"count": 16, "tokens": 512}
 *     {...}                    JSON as it stands
 *
 * The names of --random-... and what they mean are those of `vllm bench serve`: lengths are uniform
 * from floor(len (1 - ratio)) to ceil(len (1 + ratio)), at least 1, the prefix comes on top. What
 * the texts mean is judged by the reader of the section. O(length of the texts). */
#include "synth_options_internal.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PART 256

static const char *const describing[] = {
    "--like",
    "--random-input-len",
    "--random-output-len",
    "--random-range-ratio",
    "--random-prefix-len",
    "--prompt-tokens",
    "--output-tokens",
    "--arrivals",
    "--prefixes",
    "--conversations",
};
#define DESCRIBING (sizeof describing / sizeof describing[0])

bool synth_options_describe(const struct rt_options *o)
{
    for (size_t i = 0; i < DESCRIBING; i++)
        if (rt_options_given(o, describing[i]))
            return true;
    return false;
}

bool synth_options_given(const struct rt_options *o)
{
    return synth_options_describe(o) || rt_options_given(o, "--num-prompts") ||
           rt_options_given(o, "--requests");
}

static cJSON *number(double value)
{
    char text[32];

    snprintf(text, sizeof text, "%.17g", value);
    return cJSON_CreateRaw(text);
}

static cJSON *uniform(struct scenario_builder *b, double min, double max)
{
    cJSON *item = cJSON_CreateObject();

    if (item == NULL)
        return NULL;
    scenario_put(b, item, "kind", cJSON_CreateString("uniform"));
    scenario_put(b, item, "min", number(min));
    scenario_put(b, item, "max", number(max));
    return item;
}

/* A number, A:B, or a text. */
static cJSON *simple_value(struct scenario_builder *b, const char *key, const char *text)
{
    char first[64];
    size_t len = strcspn(text, ":");
    double from, to;

    if (rt_read_number(text, &to))
        return number(to);
    snprintf(first, sizeof first, "%.*s", (int)(len < 63 ? len : 63), text);
    if (text[len] == ':' && rt_read_number(first, &from) && rt_read_number(text + len + 1, &to))
        return uniform(b, from, to);
    return strcmp(key, "trace") == 0 ? scenario_path_item(b, text) : cJSON_CreateString(text);
}

static bool fail_text(const char *option, const char *text, struct rt_err *err)
{
    return rt_fail(err, RT_EUSAGE, "%s: expected KEY=VALUE, read \"%.64s\"", option, text);
}

static cJSON *object_of(struct scenario_builder *b, const char *option, const char *text,
                        const char *main_key, struct rt_err *err);

/* "key=value"; a bare value stands for the main key. A value may be KIND:KEY=VALUE. */
static bool put_part(struct scenario_builder *b, cJSON *object, const char *option,
                     const char *part, const char *main_key, struct rt_err *err)
{
    const char *equals = strchr(part, '='), *value = equals != NULL ? equals + 1 : part;
    char key[64];

    if ((equals == NULL && main_key == NULL) || value[0] == '\0' || equals == part)
        return fail_text(option, part, err);
    if (equals != NULL)
        snprintf(key, sizeof key, "%.*s", (int)(equals - part < 63 ? equals - part : 63), part);
    else
        snprintf(key, sizeof key, "%s", main_key);
    cJSON *item = strchr(value, '=') != NULL ? object_of(b, option, value, "mean", err)
                                             : simple_value(b, key, value);
    if (item == NULL && err->code != RT_OK)
        return false;
    scenario_put(b, object, key, item);
    return true;
}

static bool put_parts(struct scenario_builder *b, cJSON *object, const char *option,
                      const char *text, const char *main_key, struct rt_err *err)
{
    char part[MAX_PART];

    for (;;) {
        size_t len = strcspn(text, ",");
        if (len >= sizeof part)
            return fail_text(option, text, err);
        memcpy(part, text, len);
        part[len] = '\0';
        if (!put_part(b, object, option, part, main_key, err))
            return false;
        if (text[len] == '\0')
            return true;
        text += len + 1;
        main_key = NULL; /* only the first may be bare */
    }
}

/* "kind", "kind:parts". At most two deep: what follows the second "=" has no further one. */
static cJSON *object_of(struct scenario_builder *b, const char *option, const char *text,
                        const char *main_key, struct rt_err *err)
{
    cJSON *object = cJSON_CreateObject();
    size_t len = strcspn(text, ":");
    char kind[64];

    if (object == NULL)
        return NULL;
    snprintf(kind, sizeof kind, "%.*s", (int)(len < 63 ? len : 63), text);
    scenario_put(b, object, "kind", cJSON_CreateString(kind));
    if (strcmp(kind, "fixed") == 0)
        main_key = "value";
    else if (strcmp(kind, "empirical") == 0)
        main_key = "trace";
    if (text[len] == ':' && !put_parts(b, object, option, text + len + 1, main_key, err)) {
        cJSON_Delete(object);
        return NULL;
    }
    return object;
}

static bool put_json(struct scenario_builder *b, cJSON *into, const char *key, const char *option,
                     const char *text, struct rt_err *err)
{
    struct rt_json *doc;

    if (!rt_json_parse(text, strlen(text), option, &doc, err))
        return false;
    rt_json_free(doc);
    cJSON *item = cJSON_Parse(text);
    if (item != NULL)
        scenario_keep_numbers(b, item);
    scenario_put(b, into, key, item);
    return true;
}

/* An option whose text is a value, an object in short, or JSON. */
static bool put_text(struct scenario_builder *b, cJSON *into, const char *option, const char *key,
                     const char *main_key, struct rt_err *err)
{
    const char *text = rt_options_text(b->o, option, NULL);
    double plain;
    char first[64];

    if (text == NULL)
        return true;
    if (text[0] == '{')
        return put_json(b, into, key, option, text, err);
    size_t len = strcspn(text, ":");
    snprintf(first, sizeof first, "%.*s", (int)(len < 63 ? len : 63), text);
    cJSON *item = rt_read_number(first, &plain) ? simple_value(b, key, text)
                                                : object_of(b, option, text, main_key, err);
    if (item == NULL && err->code != RT_OK)
        return false;
    scenario_put(b, into, key, item);
    return true;
}

/* --prefixes and --conversations: an object without a kind. */
static bool put_object(struct scenario_builder *b, cJSON *into, const char *option, const char *key,
                       struct rt_err *err)
{
    const char *text = rt_options_text(b->o, option, NULL);

    if (text == NULL)
        return true;
    if (text[0] == '{')
        return put_json(b, into, key, option, text, err);
    scenario_put(b, into, key, cJSON_CreateObject());
    cJSON *object = scenario_section(b, into, key);
    return object == NULL || put_parts(b, object, option, text, NULL, err);
}

/* vLLM's random dataset. */
static bool put_random(struct scenario_builder *b, cJSON *into, struct rt_err *err)
{
    static const struct {
        const char *option, *other, *key;
        int64_t otherwise;
    } lengths[] = {{"--random-input-len", "--prompt-tokens", "prompt_tokens", 1024},
                   {"--random-output-len", "--output-tokens", "output_tokens", 128}};
    double ratio = rt_options_number(b->o, "--random-range-ratio", 0);

    for (int i = 0; i < 2; i++) {
        bool given = rt_options_given(b->o, lengths[i].option);
        double len = (double)rt_options_int(b->o, lengths[i].option, lengths[i].otherwise);
        if (given && rt_options_given(b->o, lengths[i].other))
            return rt_fail(err, RT_EUSAGE, "%s and %s: expected one of them at most",
                           lengths[i].option, lengths[i].other);
        if (!given && cJSON_HasObjectItem(into, lengths[i].key) && ratio == 0)
            continue;
        if (!given &&
            (rt_options_given(b->o, lengths[i].other) || cJSON_HasObjectItem(into, "lengths") ||
             cJSON_HasObjectItem(into, "classes")))
            continue;
        scenario_put(b, into, lengths[i].key,
                     ratio > 0
                         ? uniform(b, fmax(1, floor(len * (1 - ratio))), ceil(len * (1 + ratio)))
                         : number(len));
    }
    if (!rt_options_given(b->o, "--random-prefix-len"))
        return true;
    scenario_put(b, into, "prefixes", cJSON_CreateObject());
    cJSON *prefixes = scenario_section(b, into, "prefixes");
    if (prefixes != NULL) {
        scenario_put(b, prefixes, "count", number(1));
        scenario_put(b, prefixes, "tokens",
                     number((double)rt_options_int(b->o, "--random-prefix-len", 1)));
    }
    return true;
}

/* Nothing else describes traffic beside --like. */
static bool put_like(struct scenario_builder *b, cJSON *into, struct rt_err *err)
{
    for (size_t i = 1; i < DESCRIBING; i++)
        if (rt_options_given(b->o, describing[i]))
            return rt_fail(err, RT_EUSAGE, "--like and %s: expected one of them at most",
                           describing[i]);
    scenario_put(b, into, "like", cJSON_CreateObject());
    cJSON *like = scenario_section(b, into, "like");
    if (like != NULL)
        scenario_put(b, like, "trace", scenario_path_item(b, rt_options_text(b->o, "--like", "")));
    if (like != NULL && rt_options_given(b->o, "--format"))
        scenario_put(b, like, "format",
                     cJSON_CreateString(rt_options_text(b->o, "--format", "auto")));
    return true;
}

bool synth_options_put(struct scenario_builder *b, cJSON *into, struct rt_err *err)
{
    int64_t requests =
        rt_options_int(b->o, "--requests", rt_options_int(b->o, "--num-prompts", 1000));

    if (!cJSON_HasObjectItem(into, "requests") || rt_options_given(b->o, "--requests") ||
        rt_options_given(b->o, "--num-prompts"))
        scenario_put(b, into, "requests", number((double)requests));
    if (rt_options_given(b->o, "--like"))
        return put_like(b, into, err);
    if (cJSON_HasObjectItem(into, "like") && !synth_options_describe(b->o))
        return true;
    return put_text(b, into, "--prompt-tokens", "prompt_tokens", "mean", err) &&
           put_text(b, into, "--output-tokens", "output_tokens", "mean", err) &&
           put_text(b, into, "--arrivals", "arrivals", "rate_per_s", err) &&
           put_object(b, into, "--prefixes", "prefixes", err) &&
           put_object(b, into, "--conversations", "sessions", err) && put_random(b, into, err);
}

void synth_options_help(FILE *out)
{
    fputs("\narrivals:\n", out);
    for (unsigned i = 0; i < RT_ARRIVE_KINDS; i++)
        fprintf(out, "  %-18s %s\n", rt_arrival_kinds[i].name, rt_arrival_kinds[i].help);
    fputs("\ndistributions of tokens:\n", out);
    for (unsigned i = RT_DIST_FIXED; i < RT_DIST_KINDS; i++)
        fprintf(out, "  %-18s %s\n", rt_dist_kinds[i].name, rt_dist_kinds[i].help);
}
