/* Out of memory: the n-th allocation fails, for every n until all goes through. Each time the
 * answer is RT_ENOMEM (or NULL, false, RT_SLAB_NONE), nothing leaks and the object still works. */
#include "support/failing_alloc.h"
#include "support/test.h"

#include "rooftrace/arena.h"
#include "rooftrace/heap.h"
#include "rooftrace/hist.h"
#include "rooftrace/json.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char text[] =
    "{\"name\":\"demo\",\"list\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18],"
    "\"map\":{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,"
    "\"i\":9,\"j\":10,\"k\":11,\"l\":12,\"m\":13,\"n\":14,\"o\":15,\"p\":16,"
    "\"q\":17,\"r\":18}}";

static void json_parse(void **state)
{
    struct rt_json *doc = NULL;
    struct rt_err err = {0};
    long n = 0;

    (void)state;
    for (;; n++) {
        bool ok;
        failing_alloc_after(n);
        ok = rt_json_parse(text, sizeof text - 1, "o.json", &doc, &err);
        failing_alloc_after(-1);
        if (ok)
            break;
        assert_int_equal(err.code, RT_ENOMEM);
        assert_null(doc);
    }
    assert_in_range(n, 50, 500); /* the tree's nodes were among them */
    rt_json_free(doc);
}

static void json_load(void **state)
{
    char path[] = "/tmp/rooftrace-oom-XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "wb");
    struct rt_json *doc = NULL;
    struct rt_err err = {0};

    (void)state;
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, sizeof text - 1, file), sizeof text - 1);
    assert_int_equal(fclose(file), 0);
    for (long n = 0;; n++) {
        bool ok;
        failing_alloc_after(n);
        ok = rt_json_load(path, &doc, &err);
        failing_alloc_after(-1);
        if (ok)
            break;
        assert_int_equal(err.code, RT_ENOMEM);
    }
    rt_json_free(doc);
    remove(path);
}

static void json_print_and_path(void **state)
{
    struct rt_json *doc = NULL;
    struct rt_json_at root;
    struct rt_err err = {0};
    char *printed = NULL;

    (void)state;
    assert_ok(rt_json_parse(text, sizeof text - 1, "o.json", &doc, &err), &err);
    root = rt_json_root(doc);
    for (long n = 0; printed == NULL; n++) {
        assert_in_range(n, 0, 50);
        failing_alloc_after(n);
        printed = rt_json_print(&root);
        failing_alloc_after(-1);
    }
    assert_string_equal(printed, text);
    free(printed);
    rt_json_free(doc);
    failing_alloc_after(0);
    printed = rt_path_beside("a/b", "c");
    failing_alloc_after(-1);
    assert_null(printed);
}

static void arena_stays_usable(void **state)
{
    struct rt_arena a;
    char *kept;

    (void)state;
    rt_arena_init(&a);
    kept = rt_arena_strdup(&a, "kept");
    failing_alloc_after(0);
    assert_null(rt_arena_alloc(&a, 1 << 20));
    failing_alloc_after(-1);
    assert_string_equal(kept, "kept");
    assert_non_null(rt_arena_alloc(&a, 1 << 20));
    rt_arena_release(&a);
}

static void slab_stays_usable(void **state)
{
    struct rt_slab s;
    uint32_t taken = 0, index;

    (void)state;
    rt_slab_init(&s, 8);
    failing_alloc_after(1);
    while ((index = rt_slab_take(&s)) != RT_SLAB_NONE)
        taken++;
    failing_alloc_after(-1);
    assert_true(taken > 0);
    assert_int_equal(s.used, taken);
    assert_int_equal(rt_slab_take(&s), taken);
    rt_slab_release(&s);
}

static void heap_and_hist(void **state)
{
    struct rt_heap h;
    struct rt_hist hist;

    (void)state;
    rt_heap_init(&h);
    assert_true(rt_heap_reserve(&h, 4));
    rt_heap_set(&h, 3, 1, 1);
    for (long n = 0; n < 2; n++) { /* first array, second array */
        failing_alloc_after(n);
        assert_false(rt_heap_reserve(&h, 1000));
        failing_alloc_after(-1);
        assert_int_equal(h.capacity, 4);
        assert_int_equal(rt_heap_top(&h)->item, 3);
    }
    assert_true(rt_heap_reserve(&h, 1000));
    assert_false(rt_heap_has(&h, 999));
    rt_heap_release(&h);
    failing_alloc_after(0);
    assert_false(rt_hist_init(&hist));
    failing_alloc_after(-1);
    rt_hist_release(&hist);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_parse),          cmocka_unit_test(json_load),
        cmocka_unit_test(json_print_and_path), cmocka_unit_test(arena_stays_usable),
        cmocka_unit_test(slab_stays_usable),   cmocka_unit_test(heap_and_hist),
    };
    cJSON_Hooks hooks = {.malloc_fn = failing_alloc, .free_fn = free};

    cJSON_InitHooks(&hooks);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
