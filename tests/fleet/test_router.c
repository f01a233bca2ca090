/* Every router of the table against shared rules, and the two of them against their definition. */
#include "rooftrace/rng.h"
#include "rooftrace/router.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#define REPLICAS 7u
#define ARRIVALS 20000

struct world { /* what a fleet keeps for its router */
    uint32_t outstanding[REPLICAS];
    struct rt_heap by_load;
    void *state;
};

static void world_init(struct world *w, const struct rt_router_policy *policy)
{
    memset(w, 0, sizeof *w);
    rt_heap_init(&w->by_load);
    assert_true(rt_heap_reserve(&w->by_load, REPLICAS));
    for (uint32_t i = 0; i < REPLICAS; i++)
        rt_heap_set(&w->by_load, i, 0, i);
    w->state = calloc(1, policy->state_bytes + 1);
    assert_non_null(w->state);
}

static void world_release(struct world *w)
{
    rt_heap_release(&w->by_load);
    free(w->state);
}

static void set(struct world *w, uint32_t i, uint32_t outstanding)
{
    w->outstanding[i] = outstanding;
    rt_heap_set(&w->by_load, i, outstanding, i);
}

static uint32_t pick(struct world *w, const struct rt_router_policy *policy)
{
    struct rt_router_view view = {
        .replicas = REPLICAS, .outstanding = w->outstanding, .by_load = &w->by_load};
    struct rt_request req = {.prompt_tokens = 1, .output_tokens = 1};
    return policy->pick(w->state, &view, &req);
}

static const struct rt_router_policy *named(const char *name)
{
    for (unsigned i = 0; i < rt_router_count(); i++)
        if (strcmp(rt_router_at(i)->name, name) == 0)
            return rt_router_at(i);
    fail_msg("no router %s", name);
    return NULL;
}

/* Random arrivals and departures; every choice exists, and two equal runs choose alike. */
static void every_router_is_sound(void **state)
{
    (void)state;
    for (unsigned p = 0; p < rt_router_count(); p++) {
        const struct rt_router_policy *policy = rt_router_at(p);
        struct world a, b;
        struct rt_rng rng;
        rt_rng_init(&rng, 1, RT_RNG_TOOLS, p);
        world_init(&a, policy);
        world_init(&b, policy);
        assert_true(strlen(policy->help) > 0);
        for (int n = 0; n < ARRIVALS; n++) {
            uint32_t i = pick(&a, policy);
            assert_in_range(i, 0, REPLICAS - 1);
            assert_int_equal(pick(&b, policy), i);
            set(&a, i, a.outstanding[i] + 1);
            set(&b, i, b.outstanding[i] + 1);
            uint32_t leaves = (uint32_t)rt_rng_below(&rng, REPLICAS);
            if (a.outstanding[leaves] > 0) {
                set(&a, leaves, a.outstanding[leaves] - 1);
                set(&b, leaves, b.outstanding[leaves] - 1);
            }
        }
        world_release(&a);
        world_release(&b);
    }
}

static void round_robin_goes_round(void **state)
{
    (void)state;
    const struct rt_router_policy *policy = named("round_robin");
    struct world w;
    world_init(&w, policy);
    for (uint32_t n = 0; n < 3 * REPLICAS; n++) {
        assert_int_equal(pick(&w, policy), n % REPLICAS);
        set(&w, 2, n); /* loads do not matter */
    }
    world_release(&w);
}

static void least_outstanding_is_least(void **state)
{
    (void)state;
    const struct rt_router_policy *policy = named("least_outstanding");
    struct world w;
    struct rt_rng rng;
    rt_rng_init(&rng, 2, RT_RNG_TOOLS, 0);
    world_init(&w, policy);
    for (int n = 0; n < ARRIVALS; n++) {
        set(&w, (uint32_t)rt_rng_below(&rng, REPLICAS), (uint32_t)rt_rng_below(&rng, 5));
        uint32_t least = 0;
        for (uint32_t i = 1; i < REPLICAS; i++)
            if (w.outstanding[i] < w.outstanding[least])
                least = i; /* the first of equals */
        assert_int_equal(pick(&w, policy), least);
    }
    world_release(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_router_is_sound),
        cmocka_unit_test(round_robin_goes_round),
        cmocka_unit_test(least_outstanding_is_least),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
