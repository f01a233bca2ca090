/* The scenario's keys `pools[].role`, `decode_router` and `kv_transfer`.
 *
 *     "pools": [{"name": "p", "role": "prefill", ...}, {"name": "d", "role": "decode", ...}],
 *     "decode_router": "least_kv",
 *     "kv_transfer": {"gb_per_s": 50, "latency_us": 20, "layerwise": true, "first_token":
 * "decode"}
 *
 * What a pool of a role needs is checked here, for scenarios and for specs made by hand: O(pools
 * squared), pools with a role only. */
#include "fleet_internal.h"
#include "rooftrace/dtype.h"
#include "rooftrace/kv_transfer.h"
#include "rooftrace/model.h"
#include "rooftrace/supply_spec.h"

#include <strings.h>

#define MIN_GB_PER_S   1e-6
#define MAX_GB_PER_S   1e9
#define MAX_LATENCY_US 1e12

const char *const rt_first_token_names[RT_FIRST_TOKEN_COUNT] = {"decode", "prefill"};

void hand_over_spec_init(struct rt_fleet_spec *s)
{
    s->decode_router = NULL;
    s->kv_transfer = (struct rt_kv_transfer_spec){.latency_s = -1};
}

bool hand_over_wanted(const struct rt_fleet_spec *s)
{
    for (uint32_t p = 0; p < s->pool_count; p++)
        if (s->pools[p].role != RT_ROLE_MIXED)
            return true;
    return false;
}

bool hand_over_meets(const struct rt_pool_spec *from, const struct rt_pool_spec *to)
{
    return from->role == RT_ROLE_PREFILL && to->role == RT_ROLE_DECODE &&
           strcasecmp(from->model.name, to->model.name) == 0;
}

bool hand_over_parse_role(const struct rt_json_at *at, struct rt_pool_spec *pool,
                          struct rt_err *err)
{
    unsigned role = RT_ROLE_MIXED;

    if (!rt_json_choice(at, "role", rt_role_names, RT_ROLE_COUNT, &role, err))
        return false;
    pool->role = (enum rt_role)role;
    return true;
}

/* ---- what a role needs ----------------------------------------------------------------------- */

static bool check_engine(const struct rt_pool_spec *p, struct rt_err *err)
{
    const char *role = rt_role_names[p->role];

    if (p->engine.speculative.draft_tokens > 0)
        return rt_fail(err, RT_ECONFIG, "pool \"%s\": role \"%s\" knows no speculative decoding",
                       p->name, role);
    if (p->role == RT_ROLE_DECODE && !rt_policy_takes_kv(p->engine.policy))
        return rt_fail(err, RT_ECONFIG,
                       "pool \"%s\": role \"decode\" needs a policy that lets a request join with "
                       "its KV, chunked, sarathi or prefill_first: read \"%s\"",
                       p->name, rt_policy_name(p->engine.policy));
    return true;
}

static bool check_pair(const struct rt_pool_spec *from, const struct rt_pool_spec *to,
                       struct rt_err *err)
{
    if (from->dtypes.kv != to->dtypes.kv)
        return rt_fail(err, RT_ECONFIG,
                       "pools \"%s\" and \"%s\": KV that is handed over has one type, read "
                       "kv_dtype \"%s\" and \"%s\"",
                       from->name, to->name, rt_dtype_names[from->dtypes.kv],
                       rt_dtype_names[to->dtypes.kv]);
    if (rt_model_kv_bytes_per_token(&from->model, from->dtypes.kv) !=
        rt_model_kv_bytes_per_token(&to->model, to->dtypes.kv))
        return rt_fail(err, RT_ECONFIG,
                       "pools \"%s\" and \"%s\": two models named \"%s\" whose KV differs",
                       from->name, to->name, from->model.name);
    return true;
}

static bool check_partners(const struct rt_fleet_spec *s, uint32_t pool, struct rt_err *err)
{
    const struct rt_pool_spec *p = &s->pools[pool];
    bool prefills = p->role == RT_ROLE_PREFILL, any = false;

    for (uint32_t i = 0; i < s->pool_count; i++) {
        const struct rt_pool_spec *from = prefills ? p : &s->pools[i];
        const struct rt_pool_spec *to = prefills ? &s->pools[i] : p;
        if (!hand_over_meets(from, to))
            continue;
        any = true;
        if (!check_pair(from, to, err))
            return false;
    }
    return any ||
           rt_fail(err, RT_ECONFIG, "pool \"%s\": role \"%s\" needs a pool of role \"%s\" for %s",
                   p->name, rt_role_names[p->role], prefills ? "decode" : "prefill", p->model.name);
}

/* A request that is handed over has two replicas, and its KV is on the way between them: what
 * becomes of it when one of them is gone is not known in this version. */
static bool check_supply(const struct rt_fleet_spec *s, struct rt_err *err)
{
    bool apart = false, changes = false;

    for (uint32_t p = 0; p < s->pool_count; p++) {
        const struct rt_supply_spec *supply = s->pools[p].supply;
        apart = apart || s->pools[p].role != RT_ROLE_MIXED;
        changes = changes || (supply != NULL && (supply->scales || supply->fails));
    }
    return !apart || !changes ||
           rt_fail(err, RT_ECONFIG,
                   "scaling and failures: fleets with prefill and decode pools do not know them in "
                   "this version");
}

bool rt_fleet_check_roles(const struct rt_fleet_spec *s, struct rt_err *err)
{
    for (uint32_t p = 0; p < s->pool_count; p++)
        if (s->pools[p].role != RT_ROLE_MIXED &&
            (!check_engine(&s->pools[p], err) || !check_partners(s, p, err)))
            return false;
    return check_supply(s, err);
}

/* ---- the keys beside the pools ----------------------------------------------------------------
 */

static bool parse_transfer(const struct rt_json_at *at, struct rt_kv_transfer_spec *t,
                           struct rt_err *err)
{
    static const char *const keys[] = {"gb_per_s", "latency_us", "layerwise", "first_token"};
    double gb_per_s = 0, us = -1;
    unsigned first = RT_FIRST_TOKEN_DECODE;

    if (at->node == NULL)
        return true;
    if (!rt_json_expect(at, RT_JSON_OBJECT, err) || !rt_json_only(at, keys, 4, err) ||
        !rt_json_double(at, keys[0], MIN_GB_PER_S, MAX_GB_PER_S, &gb_per_s, err) ||
        !rt_json_double(at, keys[1], 0, MAX_LATENCY_US, &us, err) ||
        !rt_json_bool(at, keys[2], &t->layerwise, err) ||
        !rt_json_choice(at, keys[3], rt_first_token_names, RT_FIRST_TOKEN_COUNT, &first, err))
        return false;
    t->bytes_per_s = gb_per_s * 1e9;
    t->latency_s = us < 0 ? -1 : us * 1e-6;
    t->first_token = (enum rt_first_token)first;
    return true;
}

bool hand_over_parse(const struct rt_json_at *root, struct rt_fleet_spec *s, struct rt_err *err)
{
    struct rt_json_at transfer = rt_json_get(root, "kv_transfer");
    struct rt_json_at router = rt_json_get(root, "decode_router");
    const struct rt_json_at *odd = transfer.node ? &transfer : &router;

    if (!hand_over_wanted(s))
        return odd->node == NULL ||
               rt_json_fail(odd, err, "needs pools of role \"prefill\" and \"decode\"");
    s->decode_router = rt_router_default();
    return rt_fleet_check_roles(s, err) &&
           routing_parse_router(root, "decode_router", &s->decode_router, err) &&
           parse_transfer(&transfer, &s->kv_transfer, err);
}
