/* Which pools serve a request, decode pools apart (hand_over.c): all of them, unless it names a
 * model and the pools serve different ones. Names are compared without regard to case, with the
 * model's name in the catalogue and with pools[].served_models. Where all pools serve one model
 * under no other names, names in the trace do not matter: any trace can be replayed against any
 * model.
 *
 * The trace knows names by index; the fleet asks once an index, O(pools), and remembers the pools:
 * O(1) a request. */
#include "fleet_internal.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool serves(const struct pool *p, const char *name)
{
    for (uint32_t n = 0; n < p->name_count; n++)
        if (strcasecmp(p->names[n], name) == 0)
            return true;
    return false;
}

/* name = NULL: all pools. */
static bool find_pools(const struct rt_fleet *f, const char *name, struct served *s)
{
    s->pools = malloc(f->pool_count * sizeof s->pools[0]);
    if (!s->pools)
        return false;
    for (uint32_t p = 0; p < f->pool_count; p++)
        if (f->pools[p].role != RT_ROLE_DECODE && (!name || serves(&f->pools[p], name)))
            s->pools[s->count++] = &f->pools[p].candidates;
    s->known = true;
    return true;
}

bool served_init(struct rt_fleet *f, const struct rt_fleet_spec *spec)
{
    for (uint32_t i = 0; i < f->pool_count; i++) {
        const struct rt_pool_spec *s = &spec->pools[i];
        struct pool *p = &f->pools[i];
        memcpy(p->names[0], s->model.name, sizeof p->names[0]);
        memcpy(p->names[1], s->served_models, sizeof s->served_models);
        p->name_count = 1 + s->served_count;
        if (s->served_count > 0 || strcasecmp(s->model.name, spec->pools[0].model.name) != 0)
            f->names_matter = true;
    }
    return find_pools(f, NULL, &f->all);
}

static bool grow(struct rt_fleet *f, uint32_t wanted)
{
    uint32_t capacity = wanted < UINT32_MAX / 2 ? 2 * wanted : wanted;
    struct served *served = realloc(f->served, capacity * sizeof served[0]);
    if (!served)
        return false;
    memset(served + f->served_capacity, 0, (capacity - f->served_capacity) * sizeof served[0]);
    f->served = served;
    f->served_capacity = capacity;
    return true;
}

const struct served *served_by(struct rt_fleet *f, const struct rt_request *req)
{
    uint32_t name = req->model_name;
    if (!f->names_matter || name == RT_NO_NAME || !f->source)
        return &f->all;
    if (name >= f->served_capacity && !grow(f, name + 1))
        return NULL;
    struct served *s = &f->served[name];
    if (!s->known && !find_pools(f, rt_source_name(f->source, name), s))
        return NULL;
    return s;
}

void served_release(struct rt_fleet *f)
{
    for (uint32_t n = 0; n < f->served_capacity; n++)
        free(f->served[n].pools);
    free(f->served);
    free(f->all.pools);
}
