/* Heap: every operation against a plain table of keys, and its own rule after each. */
#include "support/test.h"

#include "rooftrace/heap.h"
#include "rooftrace/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS 300u

struct key {
    bool in;
    int64_t time;
    uint64_t tie;
};

static bool key_before(const struct key *a, const struct key *b)
{
    return a->time < b->time || (a->time == b->time && a->tie < b->tie);
}

/* The least of all keys, by looking at each; ITEMS when there is none. */
static uint32_t naive_top(const struct key *keys)
{
    uint32_t best = ITEMS;

    for (uint32_t i = 0; i < ITEMS; i++)
        if (keys[i].in && (best == ITEMS || key_before(&keys[i], &keys[best])))
            best = i;
    return best;
}

static void check(const struct rt_heap *h, const struct key *keys)
{
    const struct rt_heap_node *top = rt_heap_top(h);
    uint32_t want = naive_top(keys), count = 0;

    for (uint32_t i = 0; i < ITEMS; i++) {
        count += keys[i].in;
        assert_int_equal(rt_heap_has(h, i), keys[i].in);
        if (keys[i].in) {
            const struct rt_heap_node *node = &h->nodes[h->position[i]];
            assert_true(node->item == i && node->time == keys[i].time && node->tie == keys[i].tie);
        }
    }
    assert_int_equal(h->count, count);
    if (want == ITEMS)
        assert_null(top);
    else
        assert_int_equal(top->item, want);
}

/* Few different times, so that ties decide often; the extremes of int64 among them. */
static int64_t random_time(struct rt_rng *r)
{
    switch (rt_rng_below(r, 12)) {
    case 0:
        return INT64_MIN;
    case 1:
        return INT64_MAX;
    default:
        return (int64_t)rt_rng_below(r, 20) - 10;
    }
}

static void random_step(struct rt_heap *h, struct key *keys, struct rt_rng *r, unsigned grow)
{
    uint32_t i = (uint32_t)rt_rng_below(r, ITEMS);

    if (rt_rng_below(r, 100) < grow) {
        /* The item in the tie's low bits keeps all keys different. */
        keys[i] = (struct key){true, random_time(r), rt_rng_below(r, 3) << 62 | i};
        rt_heap_set(h, i, keys[i].time, keys[i].tie);
    } else {
        keys[i].in = false;
        rt_heap_remove(h, i);
    }
}

static void agrees_with_a_table(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct key keys[ITEMS] = {{0}};
        struct rt_heap h;
        struct rt_rng r;
        print_message("seed %llu\n", (unsigned long long)seed);
        rt_rng_init(&r, seed, RT_RNG_TOOLS, 0);
        rt_heap_init(&h);
        assert_true(rt_heap_reserve(&h, ITEMS));
        for (int step = 0; step < 3000; step++) {
            random_step(&h, keys, &r, step / 500 % 2 == 0 ? 70 : 30);
            check(&h, keys);
        }
        rt_heap_release(&h);
    }
}

static int compare_nodes(const void *a, const void *b)
{
    const struct rt_heap_node *x = a, *y = b;

    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return (x->tie > y->tie) - (x->tie < y->tie);
}

/* Taking the top again and again gives the sorted keys, whatever the order of putting in. */
static void empties_in_sorted_order(void **state)
{
    enum { N = 5000 };
    struct rt_heap_node *nodes = calloc(N, sizeof *nodes);
    struct rt_heap h;
    struct rt_rng r;

    (void)state;
    assert_non_null(nodes);
    rt_rng_init(&r, 17, RT_RNG_TOOLS, 0);
    rt_heap_init(&h);
    assert_true(rt_heap_reserve(&h, N));
    for (uint32_t i = 0; i < N; i++) {
        nodes[i] = (struct rt_heap_node){random_time(&r), i ^ 0xAAAu, i};
        rt_heap_set(&h, i, nodes[i].time, nodes[i].tie);
    }
    qsort(nodes, N, sizeof *nodes, compare_nodes);
    for (uint32_t i = 0; i < N; i++) {
        const struct rt_heap_node *top = rt_heap_top(&h);
        assert_int_equal(top->item, nodes[i].item);
        rt_heap_remove(&h, top->item);
    }
    assert_null(rt_heap_top(&h));
    rt_heap_release(&h);
    free(nodes);
}

static void reserve_grows_and_keeps(void **state)
{
    struct rt_heap h;

    (void)state;
    rt_heap_init(&h);
    assert_null(rt_heap_top(&h));
    assert_true(rt_heap_reserve(&h, 0));
    assert_true(rt_heap_reserve(&h, 2));
    rt_heap_set(&h, 0, 9, 0);
    rt_heap_set(&h, 1, 8, 0);
    assert_true(rt_heap_reserve(&h, 1)); /* never shrinks */
    assert_int_equal(h.capacity, 2);
    assert_true(rt_heap_reserve(&h, 1000));
    assert_false(rt_heap_has(&h, 999));
    rt_heap_remove(&h, 999); /* not in: nothing happens */
    assert_int_equal(h.count, 2);
    assert_int_equal(rt_heap_top(&h)->item, 1);
    rt_heap_set(&h, 1, 10, 0); /* later than item 0 */
    assert_int_equal(rt_heap_top(&h)->item, 0);
    rt_heap_release(&h);
    assert_int_equal(h.capacity, 0);
    rt_heap_release(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_table),
        cmocka_unit_test(empties_in_sorted_order),
        cmocka_unit_test(reserve_grows_and_keeps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
