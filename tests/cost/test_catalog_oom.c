/* Out of memory: the n-th allocation of opening a catalogue and asking it fails, for every n until
 * all goes through. Each time the answer is RT_ENOMEM and nothing leaks. */
#include "rooftrace/gpu.h"
#include "rooftrace/model.h"
#include "support/failing_alloc.h"
#include "support/test.h"

#include "rooftrace/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

#define MODELS                                                                                     \
    "{\"models\": [{\"name\": \"m\", \"layers\": 2, \"hidden\": 64, \"heads\": 8, \"kv_heads\": "  \
    "2,"                                                                                           \
    " \"head_dim\": 8, \"vocab\": 100, \"ffn\": 8, \"sources\": {\"*\": \"x\"}},"                  \
    " {\"name\": \"n\", \"layers\": 2, \"hidden\": 64, \"heads\": 8, \"kv_heads\": 2,"             \
    " \"head_dim\": 8, \"vocab\": 100, \"ffn\": 8, \"sources\": {\"*\": \"x\"}}]}"

/* gpus.json with the built-in defaults and one GPU. */
static void write_gpus(const char *path)
{
    struct rt_err err;
    struct rt_json *doc;

    assert_ok(rt_json_load("src/cost/catalog/gpus.json", &doc, &err), &err);
    struct rt_json_at root = rt_json_root(doc), at = rt_json_get(&root, "defaults");
    char *defaults = rt_json_print(&at), text[16384];
    assert_non_null(defaults);
    snprintf(
        text, sizeof text,
        "{\"defaults\": %s, \"gpus\": [{\"name\": \"g\", \"mem_gb\": 1, \"mem_bw_gb_per_s\": 9,"
        " \"tflops\": {\"bf16\": 1}, \"aliases\": [\"h\"], \"sources\": {\"*\": \"x\"}}]}",
        defaults);
    write_file(path, text);
    free(defaults);
    rt_json_free(doc);
}

/* Everything that may allocate, once; false with *err on the first failure. */
static bool use(const char *dir, const char *scenario, struct rt_err *err)
{
    struct rt_catalog *c;
    struct rt_json *doc = NULL;
    struct rt_gpu gpu;
    struct rt_model model;

    if (!rt_catalog_open(dir, &c, err))
        return false;
    bool ok = rt_json_load(scenario, &doc, err);
    if (ok) {
        struct rt_json_at root = rt_json_root(doc);
        struct rt_json_at name = rt_json_get(&root, "name"), file = rt_json_get(&root, "file");
        struct rt_json_at base = rt_json_get(&root, "base");
        ok = rt_catalog_gpu_from(c, &name, &gpu, err) && rt_catalog_gpu_from(c, &base, &gpu, err) &&
             rt_catalog_model_from(c, &file, &model, err);
    }
    rt_json_free(doc);
    rt_catalog_free(c);
    return ok;
}

static void every_allocation_may_fail(void **state)
{
    char dir[] = "/tmp/rt-oom-XXXXXX", gpus[64], models[64], file[64], scenario[64];
    struct rt_err err = {.code = RT_OK};
    long n = 0;
    bool ok = false;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(gpus, sizeof gpus, "%s/gpus.json", dir);
    snprintf(models, sizeof models, "%s/models.json", dir);
    snprintf(file, sizeof file, "%s/mine.json", dir);
    snprintf(scenario, sizeof scenario, "%s/s.json", dir);
    write_gpus(gpus);
    write_file(models, MODELS);
    write_file(file, "{\"base\": \"n\", \"layers\": 3}");
    write_file(scenario, "{\"name\": \"H\", \"base\": {\"base\": \"g\"}, \"file\": \"mine.json\"}");
    for (; !ok && n < 100000; n++) {
        failing_alloc_after(n);
        ok = use(dir, scenario, &err);
        failing_alloc_after(-1);
        if (!ok && err.code != RT_ENOMEM)
            fail_msg("allocation %ld: %s", n, err.msg);
    }
    assert_true(ok && n > 20);
    unlink(gpus);
    unlink(models);
    unlink(file);
    unlink(scenario);
    rmdir(dir);
}

/* Without memory for the list of names, an unknown one is still one clear line. */
static void a_suggestion_needs_no_memory(void **state)
{
    struct rt_catalog *c;
    struct rt_err err;
    struct rt_gpu gpu;

    (void)state;
    assert_ok(rt_catalog_open(NULL, &c, &err), &err);
    failing_alloc_after(0);
    bool found = rt_catalog_gpu(c, "h10-sxm", &gpu, &err);
    failing_alloc_after(-1);
    assert_false(found);
    assert_int_equal(err.code, RT_ECONFIG);
    assert_non_null(strstr(err.msg, "unknown GPU \"h10-sxm\": `rooftrace catalog` lists them"));
    rt_catalog_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(a_suggestion_needs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
