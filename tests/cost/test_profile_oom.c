/* Out of memory: the n-th allocation of reading tables, building a profile and fitting to them
 * fails, for every n until all goes through. Each time the answer is RT_ENOMEM and nothing leaks.
 */
#include "rooftrace/catalog.h"
#include "rooftrace/op_table.h"
#include "support/failing_alloc.h"
#include "table_file.h"

#include "rooftrace/fit_ops.h"

static const char csv[] = "op,model,batch,context,heads,kv_heads,head_dim,us\n"
                          "decode,a,1,1024,32,8,128,20\ndecode,b,1,4096,32,8,128,40\n";
static const char json[] =
    "{\"rows\": [{\"op\": \"gemm\", \"m\": 1, \"n\": 2, \"k\": 3, \"us\": 4}]}";
static const char layout[] = "gpu,model,tp,layer,tokens,time_us\nx,llama-3.1-8b,1,layernorm,4,2\n"
                             "x,llama-3.1-8b,1,rotary_emb,4,3\nx,llama-3.1-8b,1,act_fn,4,4\n";

struct files {
    struct table_file csv, json, layout;
    struct rt_catalog *catalog;
};

static bool use(const struct files *f, struct rt_err *err)
{
    static struct rt_fit_ops fit;
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_llama31_8b(), 1);
    struct rt_op_source source = {.catalog = f->catalog};
    struct rt_op_table table;
    struct rt_cost *c = NULL;
    char path[sizeof f->csv.path];
    rt_op_table_init(&table);
    memcpy(path, f->csv.path, sizeof path);
    in.max_tokens = 8;
    in.spec.kind = RT_COST_PROFILE;
    in.spec.file = path;
    bool ok = rt_cost_new(&in, &c, err) && rt_op_table_read(&table, f->csv.path, &source, err) &&
              rt_op_table_read(&table, f->json.path, &source, err) &&
              rt_op_table_read(&table, f->layout.path, &source, err) &&
              rt_fit_ops(&table, &in.gpu, &fit, err);
    rt_cost_free(c);
    rt_op_table_release(&table);
    return ok;
}

static void every_allocation_may_fail(void **state)
{
    struct files f;
    struct rt_err err = {.code = RT_OK};
    long n = 0;
    bool ok = false;
    (void)state;
    table_write_text(&f.csv, csv);
    table_write_text(&f.json, json);
    table_write_text(&f.layout, layout);
    assert_ok(rt_catalog_open(NULL, &f.catalog, &err), &err);
    for (; !ok && n < 10000; n++) {
        failing_alloc_after(n);
        ok = use(&f, &err);
        failing_alloc_after(-1);
        if (!ok && err.code != RT_ENOMEM)
            fail_msg("allocation %ld: %s", n, err.msg);
    }
    assert_true(ok && n > 20);
    rt_catalog_free(f.catalog);
    table_remove(&f.csv);
    table_remove(&f.json);
    table_remove(&f.layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
