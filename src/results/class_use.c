/* What the finished requests of each class took of each pool: tokens, time in a batch, and the KV
 * tokens their decodes read. Money is shared out by that time, self-checks hold those tokens
 * against the pool's bandwidth.
 *
 * Indexed by class, then by pool, both grown on demand: O(1) a row, memory O(classes * pools). */
#include "results_internal.h"

#include <stdlib.h>

void rt_class_uses_release(struct rt_class_uses *u)
{
    for (uint32_t i = 0; i < u->class_count; i++)
        free(u->classes[i].pools);
    free(u->classes);
    free(u->list);
    *u = (struct rt_class_uses){0};
}

/* Length that holds `wanted`, doubling. */
static uint32_t grown(uint32_t wanted)
{
    return wanted < UINT32_MAX / 2 ? 2 * wanted + 2 : UINT32_MAX;
}

static bool reserve_class(struct rt_class_uses *u, uint32_t name)
{
    uint32_t count = grown(name);
    struct pool_uses *classes;

    if (name < u->class_count)
        return true;
    classes = realloc(u->classes, count * sizeof classes[0]);
    if (!classes)
        return false;
    memset(classes + u->class_count, 0, (count - u->class_count) * sizeof classes[0]);
    u->classes = classes;
    u->class_count = count;
    return true;
}

static bool reserve_pool(struct pool_uses *c, uint32_t name, uint32_t pool)
{
    uint32_t count = grown(pool);
    struct rt_class_use *pools;

    if (pool < c->count)
        return true;
    pools = realloc(c->pools, count * sizeof pools[0]);
    if (!pools)
        return false;
    for (uint32_t i = c->count; i < count; i++)
        pools[i] = (struct rt_class_use){.class_name = name, .pool = i};
    c->pools = pools;
    c->count = count;
    return true;
}

/* KV tokens that the decodes of a request read at least: its n-1 decode steps hold p, p+1, ...
 * tokens at least, so (n-1)*p + (n-1)(n-2)/2. A request that was preempted or lost its replica gets
 * tokens from recomputing, too, which is no decode step: it counts as 0. */
static rt_u128 decode_context(const struct rt_finished *row)
{
    rt_u128 steps = (rt_u128)(uint64_t)(row->output_tokens - 1);

    if (row->preemptions > 0 || row->retries > 0 || row->output_tokens < 2)
        return 0;
    return steps * (rt_u128)(uint64_t)row->prompt_tokens + steps * (steps - 1) / 2;
}

static struct rt_class_use *use_of(struct rt_class_uses *u, uint32_t class_name, uint32_t pool)
{
    if (!reserve_class(u, class_name) || !reserve_pool(&u->classes[class_name], class_name, pool))
        return NULL;
    return &u->classes[class_name].pools[pool];
}

static void add_service(struct rt_class_use *use, int64_t ns)
{
    if (ns > 0)
        use->service_ns += (uint64_t)ns;
}

static void add_prompt(struct rt_class_use *use, const struct rt_finished *row)
{
    use->prompt_tokens += row->prompt_tokens;
    use->cached_tokens += row->cached_tokens;
}

/* The part of a prefill pool. */
static bool add_prefill(struct rt_class_uses *u, const struct rt_finished *row)
{
    struct rt_class_use *use = use_of(u, row->class_name, row->prefill->pool);

    if (!use)
        return false;
    add_prompt(use, row);
    add_service(use, row->prefill->prefilled_ns - row->scheduled_ns);
    return true;
}

bool rt_class_uses_add(struct rt_class_uses *u, const struct rt_finished *row)
{
    struct rt_class_use *use;
    int64_t from_ns = row->prefill ? row->prefill->kv_ready_ns : row->scheduled_ns;

    if (row->prefill && !add_prefill(u, row))
        return false;
    use = use_of(u, row->class_name, row->pool);
    if (!use)
        return false;
    if (!row->prefill)
        add_prompt(use, row);
    use->completed++;
    use->output_tokens += row->output_tokens;
    add_service(use, row->finish_ns - from_ns - row->preempted_ns);
    use->decode_context += decode_context(row);
    return true;
}

static bool is_used(const struct rt_class_use *use)
{
    return use->completed > 0 || use->prompt_tokens > 0;
}

bool rt_class_uses_list(struct rt_class_uses *u, const struct rt_class_use **list, size_t *count)
{
    size_t n = 0, filled = 0;

    for (uint32_t c = 0; c < u->class_count; c++)
        for (uint32_t p = 0; p < u->classes[c].count; p++)
            n += is_used(&u->classes[c].pools[p]);
    free(u->list);
    u->list = malloc((n + 1) * sizeof u->list[0]);
    if (!u->list)
        return false;
    for (uint32_t c = 0; c < u->class_count; c++)
        for (uint32_t p = 0; p < u->classes[c].count; p++)
            if (is_used(&u->classes[c].pools[p]))
                u->list[filled++] = u->classes[c].pools[p];
    *list = u->list;
    *count = n;
    return true;
}
