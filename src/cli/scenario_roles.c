/* --prefill-replicas N and --decode-replicas N: the scenario's only pool, twice, once for each
 * role; or the replicas of the prefill and the decode pool that the file has. Options on pools and
 * engines come later and apply to both. O(pools). */
#include "scenario_internal.h"

#include <cjson/cJSON.h>

#include <string.h>

static const char *const roles[] = {"prefill", "decode"};
static const char *const counts[] = {"--prefill-replicas", "--decode-replicas"};

bool scenario_roles_given(const struct rt_options *o)
{
    return rt_options_given(o, counts[0]) || rt_options_given(o, counts[1]);
}

static cJSON *pool_of_role(cJSON *pools, const char *role)
{
    cJSON *pool, *found = NULL;

    cJSON_ArrayForEach(pool, pools)
    {
        const cJSON *own = cJSON_GetObjectItemCaseSensitive(pool, "role");
        if (!cJSON_IsString(own) || strcmp(own->valuestring, role) != 0)
            continue;
        if (found != NULL)
            return NULL; /* several */
        found = pool;
    }
    return found;
}

/* Two of the one there is. */
static void split(struct scenario_builder *b, cJSON *pools)
{
    cJSON *pool = cJSON_GetArrayItem(pools, 0), *twin = cJSON_Duplicate(pool, true);

    if (twin == NULL || !cJSON_AddItemToArray(pools, twin)) {
        cJSON_Delete(twin);
        b->ok = false;
        return;
    }
    for (int i = 0; b->ok && i < 2; i++) {
        cJSON *each = cJSON_GetArrayItem(pools, i);
        scenario_put(b, each, "name", cJSON_CreateString(roles[i]));
        scenario_put(b, each, "role", cJSON_CreateString(roles[i]));
    }
}

bool scenario_put_roles(struct scenario_builder *b, struct rt_err *err)
{
    cJSON *pools = cJSON_GetObjectItemCaseSensitive(b->root, "pools");

    if (!scenario_roles_given(b->o) || !b->ok)
        return true;
    if (rt_options_given(b->o, "--replicas"))
        return rt_fail(err, RT_EUSAGE, "--replicas and %s: expected one of them",
                       rt_options_given(b->o, counts[0]) ? counts[0] : counts[1]);
    if (cJSON_GetArraySize(pools) == 1 && cJSON_IsObject(cJSON_GetArrayItem(pools, 0))) {
        for (int i = 0; i < 2; i++)
            if (!rt_options_given(b->o, counts[i]))
                return rt_fail(err, RT_EUSAGE, "%s is missing: a pool is split into two roles",
                               counts[i]);
        split(b, pools);
    }
    for (int i = 0; b->ok && i < 2; i++) {
        cJSON *pool = pool_of_role(pools, roles[i]);
        if (!rt_options_given(b->o, counts[i]))
            continue;
        if (pool == NULL)
            return rt_fail(err, RT_EUSAGE,
                           "%s: expected a scenario with one pool, or one of role %s", counts[i],
                           roles[i]);
        scenario_put(b, pool, "replicas",
                     cJSON_CreateNumber((double)rt_options_get(b->o, counts[i])->integer));
    }
    return true;
}
