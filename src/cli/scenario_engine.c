/* Presets and pasted vLLM command lines, as parts of the scenario that file and options give
 * together: see scenario_options.c for what wins over what.
 *
 * A preset is one key of every pool's engine, so keys that the file writes win over it by
 * themselves; since that may surprise, they are noted. What a pasted line says replaces keys of the
 * file. O(pools * keys). */
#include "rooftrace/dtype.h"
#include "scenario_internal.h"

#include <cjson/cJSON.h>

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What the file says itself about the engine, and so keeps from a preset of the command line. */
static void note_kept(const struct scenario_builder *b, const char *preset)
{
    cJSON *pool = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(b->root, "pools"), 0);
    cJSON *engine = cJSON_GetObjectItemCaseSensitive(pool, "engine");
    const char *had = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(engine, "preset"));
    size_t used = 0;
    cJSON *key;

    if (had != NULL && strcmp(had, preset) == 0)
        return;
    cJSON_ArrayForEach(key, engine)
    {
        if (key->string == NULL || key->string[0] == '$' || strcmp(key->string, "preset") == 0 ||
            used + 1 >= sizeof b->notes->kept)
            continue;
        used += (size_t)snprintf(b->notes->kept + used, sizeof b->notes->kept - used, "%s%.40s",
                                 used > 0 ? ", " : "", key->string);
    }
}

void scenario_put_preset(struct scenario_builder *b, const char *preset)
{
    cJSON *pool;

    note_kept(b, preset);
    cJSON_ArrayForEach(pool, cJSON_GetObjectItemCaseSensitive(b->root, "pools"))
    {
        cJSON *engine = cJSON_IsObject(pool) ? scenario_section(b, pool, "engine") : NULL;
        if (engine != NULL)
            scenario_put(b, engine, "preset", cJSON_CreateString(preset));
    }
}

/* Chunked prefill, on or off: another policy, or of vLLM 0.6 the other preset, whose budget
 * differs, too. */
static void put_chunking(struct scenario_builder *b, cJSON *engine, const cJSON *policy)
{
    const char *preset = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(engine, "preset"));
    bool on = strcmp(policy->valuestring, "chunked") == 0;

    if (preset == NULL ||
        (strcmp(preset, "vllm-0.6") != 0 && strcmp(preset, "vllm-0.6-chunked") != 0)) {
        scenario_put(b, engine, "policy", cJSON_Duplicate(policy, true));
        return;
    }
    cJSON_DeleteItemFromObjectCaseSensitive(engine, "policy");
    scenario_put(b, engine, "preset", cJSON_CreateString(on ? "vllm-0.6-chunked" : "vllm-0.6"));
}

static void put_copies(struct scenario_builder *b, cJSON *into, const cJSON *from)
{
    const cJSON *key;

    cJSON_ArrayForEach(key, from)
    {
        if (into != NULL && strcmp(key->string, "policy") == 0)
            put_chunking(b, into, key);
        else if (into != NULL)
            scenario_put(b, into, key->string, cJSON_Duplicate(key, true));
    }
}

/* A name, the path of a record, or a folder with a Hugging Face config.json. */
static cJSON *pasted_model(const struct scenario_builder *b, const char *text)
{
    char config[PATH_MAX];

    snprintf(config, sizeof config, "%s/config.json", text);
    if (access(config, F_OK) == 0)
        return scenario_path_item(b, config);
    return scenario_names_record(text) ? scenario_path_item(b, text) : cJSON_CreateString(text);
}

void scenario_put_pasted(struct scenario_builder *b)
{
    cJSON *keys = cJSON_Parse(b->pasted->keys), *pool;
    cJSON *model = cJSON_GetObjectItemCaseSensitive(keys, "model");
    bool some = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(keys, "engine")) > 0;

    b->ok = b->ok && keys != NULL;
    if (keys != NULL)
        scenario_keep_numbers(b, keys);
    if (model != NULL)
        scenario_put(b, b->root, "model", pasted_model(b, model->valuestring));
    cJSON_ArrayForEach(pool, cJSON_GetObjectItemCaseSensitive(b->root, "pools"))
    {
        if (!cJSON_IsObject(pool))
            continue;
        put_copies(b, pool, cJSON_GetObjectItemCaseSensitive(keys, "pool"));
        if (some)
            put_copies(b, scenario_section(b, pool, "engine"),
                       cJSON_GetObjectItemCaseSensitive(keys, "engine"));
    }
    cJSON_Delete(keys);
}

/* --quantization fp8 multiplies in fp8 where the GPU has the unit; elsewhere only the weights are
 * narrow (vLLM's Marlin kernels). The options of the command line win. */
void scenario_settle_fp8(const struct scenario_builder *b, struct rt_scenario *s)
{
    if (!b->pasted->fp8_activations || rt_options_given(b->o, "--activation-dtype") ||
        rt_options_given(b->o, "--dtype") || rt_options_given(b->o, "--weight-dtype"))
        return;
    for (uint32_t i = 0; i < s->fleet.pool_count; i++)
        if (s->fleet.pools[i].gpu.peak_flops[RT_FP8] > 0)
            s->fleet.pools[i].dtypes.activation = RT_FP8;
}
