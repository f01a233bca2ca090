/* --price as keys of every pool:
 *
 *     2.5            "price_usd_per_gpu_hour": 2.5
 *     spot           "pricing": "spot"
 *     reserved:low   "pricing": "reserved", "price_bound": "low"
 *
 * What a name or bound means, and whether a GPU has such a price, the reader of scenarios judges.
 * O(pools). */
#include "scenario_internal.h"

#include <cjson/cJSON.h>

#include <stdio.h>
#include <string.h>

static void put(struct scenario_builder *b, cJSON *pool, const char *text)
{
    static const char *const keys[] = {"price_usd_per_gpu_hour", "pricing", "price_bound"};
    const char *bound = strchr(text, ':');
    char name[64];
    double value;

    for (unsigned i = 0; i < sizeof keys / sizeof keys[0]; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(pool, keys[i]);
    if (rt_read_number(text, &value)) {
        scenario_put(b, pool, keys[0], scenario_number_item(text));
        return;
    }
    snprintf(name, sizeof name, "%.*s", (int)strcspn(text, ":"), text);
    scenario_put(b, pool, keys[1], cJSON_CreateString(name));
    if (bound != NULL)
        scenario_put(b, pool, keys[2], cJSON_CreateString(bound + 1));
}

void scenario_put_price(struct scenario_builder *b)
{
    const char *text = rt_options_text(b->o, "--price", NULL);
    cJSON *pools = cJSON_GetObjectItemCaseSensitive(b->root, "pools");
    cJSON *pool;

    if (text == NULL)
        return;
    cJSON_ArrayForEach(pool, pools)
    {
        if (b->ok && cJSON_IsObject(pool))
            put(b, pool, text);
    }
}
