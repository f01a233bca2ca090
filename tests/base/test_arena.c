/* Arena: contents survive, alignment, reset. Slab: against a plain array of live values. */
#include "support/test.h"

#include "rooftrace/arena.h"
#include "rooftrace/rng.h"

#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct piece {
    unsigned char *bytes;
    size_t len;
    unsigned char mark;
};

/* Pieces of mixed sizes, each filled with its mark: zeroed and aligned when new, intact at the end.
 */
static void fill_and_check(struct rt_arena *a, struct rt_rng *r, struct piece *pieces, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct piece *p = &pieces[i];
        p->len = rt_rng_below(r, 50) == 0 ? rt_rng_below(r, 300000) : rt_rng_below(r, 200);
        p->mark = (unsigned char)(1 + rt_rng_below(r, 255));
        p->bytes = rt_arena_alloc(a, p->len);
        assert_non_null(p->bytes);
        assert_int_equal((uintptr_t)p->bytes % alignof(max_align_t), 0);
        for (size_t j = 0; j < p->len; j++)
            if (p->bytes[j] != 0)
                fail_msg("byte %zu of piece %zu is not zero", j, i);
        memset(p->bytes, p->mark, p->len);
    }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < pieces[i].len; j++)
            if (pieces[i].bytes[j] != pieces[i].mark)
                fail_msg("byte %zu of piece %zu was overwritten", j, i);
}

static void arena_pieces_do_not_overlap(void **state)
{
    static const uint64_t seeds[] = {1, 2, 3};

    (void)state;
    for (size_t s = 0; s < 3; s++) {
        struct piece pieces[600];
        struct rt_arena a;
        struct rt_rng r;
        print_message("seed %llu\n", (unsigned long long)seeds[s]);
        rt_rng_init(&r, seeds[s], RT_RNG_TOOLS, 0);
        rt_arena_init(&a);
        fill_and_check(&a, &r, pieces, 600);
        rt_arena_reset(&a); /* what is left in the kept chunk must come back as zeroes */
        assert_int_equal(a.bytes, 0);
        fill_and_check(&a, &r, pieces, 600);
        rt_arena_release(&a);
    }
}

static void arena_counts_what_it_hands_out(void **state)
{
    struct rt_arena a;

    (void)state;
    rt_arena_init(&a);
    assert_int_equal(a.bytes, 0);
    assert_non_null(rt_arena_alloc(&a, 100));
    assert_non_null(rt_arena_alloc(&a, 1000000));
    assert_in_range(a.bytes, 1000100, 1000200);
    rt_arena_release(&a);
    assert_int_equal(a.bytes, 0);
    assert_null(a.chunks);
    rt_arena_reset(&a); /* of an empty one: nothing happens */
    rt_arena_release(&a);
}

static void arena_large_pieces_leave_the_newest_room(void **state)
{
    struct rt_arena a;
    char *first, *second;

    (void)state;
    rt_arena_init(&a);
    first = rt_arena_alloc(&a, 16);
    assert_non_null(rt_arena_alloc(&a, (size_t)5 << 20));
    second = rt_arena_alloc(&a, 16);
    assert_ptr_equal(second, first + 16);
    rt_arena_release(&a);
}

static void arena_reset_reuses_the_newest_chunk(void **state)
{
    struct rt_arena a;
    void *first;

    (void)state;
    rt_arena_init(&a);
    first = rt_arena_alloc(&a, 8);
    rt_arena_reset(&a);
    assert_ptr_equal(rt_arena_alloc(&a, 8), first);
    rt_arena_release(&a);
}

static void arena_zero_bytes_and_absurd_sizes(void **state)
{
    struct rt_arena a;
    char *x, *y;

    (void)state;
    rt_arena_init(&a);
    x = rt_arena_alloc(&a, 0);
    y = rt_arena_alloc(&a, 0);
    assert_non_null(x);
    assert_non_null(y);
    assert_ptr_not_equal(x, y);
    assert_null(rt_arena_alloc(&a, SIZE_MAX));
    assert_null(rt_arena_alloc(&a, SIZE_MAX - 15));
    assert_null(rt_arena_strndup(&a, "", SIZE_MAX));
    assert_non_null(rt_arena_alloc(&a, 1)); /* still in order */
    rt_arena_release(&a);
}

static void arena_copies_text(void **state)
{
    struct rt_arena a;
    char text[] = "prefix_affinity";
    char *whole, *part, *none;

    (void)state;
    rt_arena_init(&a);
    whole = rt_arena_strdup(&a, text);
    part = rt_arena_strndup(&a, text, 6);
    none = rt_arena_strndup(&a, text, 0);
    text[0] = 'X';
    assert_string_equal(whole, "prefix_affinity");
    assert_string_equal(part, "prefix");
    assert_string_equal(none, "");
    rt_arena_release(&a);
}

struct item {
    uint64_t value;
    uint32_t check;
};

#define LIVE_MAX 3000

struct model {
    uint32_t index[LIVE_MAX];
    uint64_t value[LIVE_MAX];
    uint32_t given[100000]; /* stack of freed indices */
    size_t live, free;
};

static void model_take(struct rt_slab *s, struct model *m, uint64_t value)
{
    uint32_t index = rt_slab_take(s);
    struct item *item = rt_slab_at(s, index);

    if (m->free > 0)
        assert_int_equal(index, m->given[--m->free]); /* last in, first out */
    else
        assert_int_equal(index, m->live); /* fresh ones are dense */
    assert_true(item->value == 0 && item->check == 0);
    item->value = value;
    item->check = index;
    m->index[m->live] = index;
    m->value[m->live++] = value;
}

static void model_give(struct rt_slab *s, struct model *m, size_t at)
{
    m->given[m->free++] = m->index[at];
    rt_slab_give(s, m->index[at]);
    m->live--;
    m->index[at] = m->index[m->live];
    m->value[at] = m->value[m->live];
}

static void slab_agrees_with_a_plain_array(void **state)
{
    struct model *m = calloc(1, sizeof *m);
    struct rt_slab s;
    struct rt_rng r;

    (void)state;
    assert_non_null(m);
    rt_rng_init(&r, 99, RT_RNG_TOOLS, 0);
    rt_slab_init(&s, sizeof(struct item));
    for (int step = 0; step < 40000; step++) {
        bool take = m->live == 0 || (m->live < LIVE_MAX && rt_rng_below(&r, 100) < 55);
        if (take)
            model_take(&s, m, rt_rng_u64(&r));
        else
            model_give(&s, m, rt_rng_below(&r, m->live));
        assert_int_equal(s.used, m->live);
    }
    for (size_t i = 0; i < m->live; i++) {
        const struct item *item = rt_slab_at(&s, m->index[i]);
        assert_true(item->value == m->value[i] && item->check == m->index[i]);
    }
    rt_slab_release(&s);
    free(m);
}

/* Memory follows what is alive at once, not what was ever taken. */
static void slab_reuses_before_it_grows(void **state)
{
    struct rt_slab s;

    (void)state;
    rt_slab_init(&s, 40);
    for (int i = 0; i < 10000; i++)
        rt_slab_give(&s, rt_slab_take(&s));
    assert_int_equal(s.fresh, 1);
    assert_int_equal(s.used, 0);
    assert_in_range(s.capacity, 1, 64);
    rt_slab_release(&s);
    assert_int_equal(s.capacity, 0);
    assert_int_equal(rt_slab_take(&s), 0); /* usable again after a release */
    rt_slab_release(&s);
}

static void slab_tiny_and_absurd_items(void **state)
{
    struct rt_slab s;
    uint32_t x, y;

    (void)state;
    rt_slab_init(&s, 1);
    x = rt_slab_take(&s);
    y = rt_slab_take(&s);
    rt_slab_give(&s, x);
    rt_slab_give(&s, y);
    assert_int_equal(rt_slab_take(&s), y);
    assert_int_equal(rt_slab_take(&s), x);
    rt_slab_release(&s);
    rt_slab_init(&s, SIZE_MAX / 2);
    assert_int_equal(rt_slab_take(&s), RT_SLAB_NONE);
    assert_int_equal(s.used, 0);
    rt_slab_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_pieces_do_not_overlap),
        cmocka_unit_test(arena_counts_what_it_hands_out),
        cmocka_unit_test(arena_large_pieces_leave_the_newest_room),
        cmocka_unit_test(arena_reset_reuses_the_newest_chunk),
        cmocka_unit_test(arena_zero_bytes_and_absurd_sizes),
        cmocka_unit_test(arena_copies_text),
        cmocka_unit_test(slab_agrees_with_a_plain_array),
        cmocka_unit_test(slab_reuses_before_it_grows),
        cmocka_unit_test(slab_tiny_and_absurd_items),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
