/* The map of request ids against a list that is searched from its start. */
#include "support/test.h"

#include "rooftrace/id_map.h"
#include "rooftrace/rng.h"

enum { LIVE = 300, CALLS = 20000 };

struct naive {
    uint64_t ids[LIVE], values[LIVE];
    uint32_t count;
};

static uint32_t find(const struct naive *n, uint64_t id)
{
    uint32_t i = 0;
    while (i < n->count && n->ids[i] != id)
        i++;
    return i;
}

static void put(struct rt_id_map *m, struct naive *n, uint64_t id, uint64_t value)
{
    if (n->count == LIVE || find(n, id) < n->count)
        return;
    assert_true(rt_id_map_put(m, id, value));
    n->ids[n->count] = id;
    n->values[n->count++] = value;
}

static void take(struct rt_id_map *m, struct naive *n, uint64_t id)
{
    uint64_t value = 7;
    uint32_t i = find(n, id);
    assert_int_equal(rt_id_map_take(m, id, &value), i < n->count);
    assert_int_equal(value, i < n->count ? n->values[i] : 7);
    if (i == n->count)
        return;
    n->count--;
    n->ids[i] = n->ids[n->count];
    n->values[i] = n->values[n->count];
}

static void assert_holds(const struct rt_id_map *m, const struct naive *n, uint64_t id)
{
    uint64_t value = 7;
    uint32_t i = find(n, id);
    assert_int_equal(rt_id_map_get(m, id, &value), i < n->count);
    assert_int_equal(value, i < n->count ? n->values[i] : 7);
}

/* Ids from a narrow range, so that runs of neighbours form and are taken apart again; every eighth
 * is far away, so that the whole id counts. */
static void test_holds_what_a_list_holds(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct rt_rng rng;
        struct rt_id_map m = {.entries = NULL};
        struct naive n = {.count = 0};
        rt_rng_init(&rng, seed, RT_RNG_LENGTHS, 0);
        for (int call = 0; call < CALLS; call++) {
            uint64_t id = rt_rng_below(&rng, 400);
            id += rt_rng_below(&rng, 8) == 0 ? UINT64_MAX - 1000 : 0;
            if (rt_rng_below(&rng, 1000) < (call / 2000 % 2 ? 350 : 650))
                put(&m, &n, id, rt_rng_u64(&rng));
            else
                take(&m, &n, id);
            assert_holds(&m, &n, rt_rng_below(&rng, 400));
            assert_int_equal(m.count, n.count);
        }
        for (uint32_t i = 0; i < n.count; i++)
            assert_holds(&m, &n, n.ids[i]);
        rt_id_map_release(&m);
    }
}

static void test_an_empty_map_knows_nobody(void **state)
{
    (void)state;
    struct rt_id_map m = {.entries = NULL};
    uint64_t value;
    assert_false(rt_id_map_get(&m, 0, &value));
    assert_false(rt_id_map_take(&m, 0, &value));
    assert_true(rt_id_map_put(&m, 0, 0)); /* 0 is an id and a value like any other */
    assert_true(rt_id_map_take(&m, 0, &value));
    assert_int_equal(value, 0);
    assert_false(rt_id_map_get(&m, 0, &value));
    rt_id_map_release(&m);
    assert_null(m.entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holds_what_a_list_holds),
        cmocka_unit_test(test_an_empty_map_knows_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
