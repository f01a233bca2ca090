/* Prices and powers of pools: which of scenario, catalogue and record counts, and what is refused.
 */
#include "rooftrace/catalog.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/price.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

static int setup(void **state)
{
    struct rt_catalog *catalog;
    struct rt_err err = {0};
    assert_ok(rt_catalog_open(NULL, &catalog, &err), &err);
    *state = catalog;
    return 0;
}

static int teardown(void **state)
{
    rt_catalog_free(*state);
    return 0;
}

#define GPU                                                                                        \
    "{\"name\":\"g\",\"mem_gb\":80,\"mem_bw_gb_per_s\":1000,\"tflops\":{\"bf16\":100},"            \
    "\"tdp_w\":400,\"idle_w\":40,\"price_usd_per_h\":2,\"price_range_usd_per_h\":[1,5],"           \
    "\"spot_price_usd_per_h\":0.5,\"reserved_price_usd_per_h\":1.5,"                               \
    "\"reserved_price_range_usd_per_h\":[1.6,1.7]}"

/* The first pool of {"pools": [{"gpu": <gpu>, <pool>}], <root>}. */
static bool read(struct rt_catalog *catalog, const char *gpu, const char *pool, const char *root,
                 struct rt_fleet_spec *spec, struct rt_err *err)
{
    struct rt_json *doc;
    char json[1024];
    snprintf(json, sizeof json, "{\"model\":\"llama-3.1-8b\",\"pools\":[{\"gpu\":%s%s}]%s}", gpu,
             pool, root);
    *err = (struct rt_err){0};
    assert_ok(rt_json_parse(json, strlen(json), "s.json", &doc, err), err);
    struct rt_json_at at = rt_json_root(doc);
    rt_fleet_spec_init(spec);
    bool ok = rt_fleet_spec_parse(&at, catalog, spec, err);
    rt_json_free(doc);
    return ok;
}

static void prices(void **state)
{
    static const struct {
        const char *gpu, *pool;
        bool known, own;
        double usd, low, high;
    } cases[] = {
        {GPU, "", true, false, 2, 1, 5},
        {GPU, ",\"pricing\":\"on_demand\"", true, false, 2, 1, 5},
        {GPU, ",\"price_bound\":\"low\"", true, false, 1, 1, 5},
        {GPU, ",\"price_bound\":\"high\"", true, false, 5, 1, 5},
        {GPU, ",\"pricing\":\"spot\"", true, false, 0.5, 0.5, 0.5},
        {GPU, ",\"pricing\":\"spot\",\"price_bound\":\"high\"", true, false, 0.5, 0.5, 0.5},
        /* a price outside of what else was seen widens the range */
        {GPU, ",\"pricing\":\"reserved\"", true, false, 1.5, 1.5, 1.7},
        {GPU, ",\"price_usd_per_gpu_hour\":3.25", true, true, 3.25, 3.25, 3.25},
        {GPU, ",\"price_usd_per_gpu_hour\":0", true, true, 0, 0, 0}, /* paid for already */
        {"\"rtx-4090\"", "", false, false, 0, 0, 0},
        {"\"rtx-4090\"", ",\"price_usd_per_gpu_hour\":0.4", true, true, 0.4, 0.4, 0.4},
        {"\"l4\"", "", true, false, 0.8, 0.7, 0.85},
        /* a price of one's own drops the range of the base */
        {"{\"base\":\"l4\",\"price_usd_per_h\":9}", "", true, false, 9, 9, 9},
        {"{\"base\":\"l4\",\"price_range_usd_per_h\":[0.1,4]}", "", true, false, 0.8, 0.1, 4},
        {"{\"base\":\"l4\",\"price_usd_per_h\":0}", "", false, false, 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_fleet_spec spec;
        struct rt_err err;
        assert_ok(read(*state, cases[i].gpu, cases[i].pool, "", &spec, &err), &err);
        const struct rt_pool_price *p = &spec.pools[0].price;
        if (p->known != cases[i].known || p->own != cases[i].own ||
            p->usd_per_gpu_h != cases[i].usd || p->low != cases[i].low || p->high != cases[i].high)
            fail_msg("%s %s: %d %d %g [%g, %g]", cases[i].gpu, cases[i].pool, p->known, p->own,
                     p->usd_per_gpu_h, p->low, p->high);
        rt_fleet_spec_release(&spec);
    }
}

static void powers(void **state)
{
    static const struct {
        const char *gpu, *pool, *root;
        double idle_w, busy_w, pue, gco2;
    } cases[] = {
        {GPU, "", "", 40, 400, 1, -1},
        {GPU, "", ",\"power\":{}", 40, 400, 1, -1},
        {GPU, "", ",\"power\":{\"pue\":1.2,\"gco2_per_kwh\":0}", 40, 400, 1.2, 0},
        {GPU, "", ",\"power\":{\"idle_w\":60,\"gco2_per_kwh\":350.5}", 60, 400, 1, 350.5},
        {GPU, ",\"power\":{}", ",\"power\":{\"idle_w\":60,\"busy_w\":300}", 60, 300, 1, -1},
        {GPU, ",\"power\":{\"busy_w\":200}", ",\"power\":{\"idle_w\":60,\"busy_w\":300}", 60, 200,
         1, -1},
        {GPU, ",\"power\":{\"idle_w\":5}", ",\"power\":{\"idle_w\":60}", 5, 400, 1, -1},
        {"\"rtx-4090\"", "", "", 0, 450, 1, -1}, /* idle is not known */
        {"\"tpu-v5e\"", "", "", 0, 0, 1, -1},
        {"\"tpu-v5e\"", ",\"power\":{\"idle_w\":80}", "", 80, 0, 1, -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_fleet_spec spec;
        struct rt_err err;
        assert_ok(read(*state, cases[i].gpu, cases[i].pool, cases[i].root, &spec, &err), &err);
        const struct rt_pool_power *p = &spec.pools[0].power;
        if (p->idle_w != cases[i].idle_w || p->busy_w != cases[i].busy_w ||
            spec.power.pue != cases[i].pue || spec.power.has_gco2 != (cases[i].gco2 >= 0) ||
            (spec.power.has_gco2 && spec.power.gco2_per_kwh != cases[i].gco2))
            fail_msg("%s %s %s: %g %g %g", cases[i].gpu, cases[i].pool, cases[i].root, p->idle_w,
                     p->busy_w, spec.power.pue);
        rt_fleet_spec_release(&spec);
    }
}

static void refused(void **state)
{
    static const struct {
        const char *gpu, *pool, *root, *text;
    } bad[] = {
        {"\"rtx-4090\"", ",\"pricing\":\"on_demand\"", "",
         "s.json: $.pools[0].pricing: no on_demand price of rtx-4090 is known"},
        {"\"l4\"", ",\"pricing\":\"spot\"", "",
         "s.json: $.pools[0].pricing: no spot price of l4 is known"},
        {"\"rtx-4090\"", ",\"price_bound\":\"low\"", "",
         "s.json: $.pools[0].price_bound: no on_demand price of rtx-4090 is known"},
        {GPU, ",\"pricing\":\"cheap\"", "", "s.json: $.pools[0].pricing: unknown name \"cheap\""},
        {GPU, ",\"price_bound\":\"median\"", "",
         "s.json: $.pools[0].price_bound: unknown name \"median\""},
        {GPU, ",\"price_usd_per_gpu_hour\":1,\"pricing\":\"spot\"", "",
         "s.json: $.pools[0].price_usd_per_gpu_hour: expected a price or pricing"},
        {GPU, ",\"price_usd_per_gpu_hour\":1,\"price_bound\":\"low\"", "",
         "s.json: $.pools[0].price_usd_per_gpu_hour: expected a price or pricing"},
        {GPU, ",\"price_usd_per_gpu_hour\":-1", "",
         "s.json: $.pools[0].price_usd_per_gpu_hour: expected a number from 0 to"},
        {GPU, ",\"price_usd_per_gpu_hour\":\"2\"", "",
         "s.json: $.pools[0].price_usd_per_gpu_hour: expected a number"},
        {GPU, ",\"power\":5", "", "s.json: $.pools[0].power: expected an object"},
        {GPU, ",\"power\":{\"pue\":1}", "", "s.json: $.pools[0].power: unknown key \"pue\""},
        {GPU, ",\"power\":{\"idle_w\":500}", "",
         "s.json: $.pools[0].power.idle_w: expected at most the busy power, 400 W, read 500 W"},
        {GPU, ",\"power\":{\"busy_w\":30}", "",
         "s.json: $.pools[0].power: expected at most the busy power, 30 W, read 40 W"},
        {GPU, "", ",\"power\":{\"busy_w\":30}", "expected at most the busy power, 30 W, read 40 W"},
        {GPU, "", ",\"power\":{\"busy_w\":30,\"idle_w\":31}",
         "s.json: $.power.idle_w: expected at most the busy power, 30 W, read 31 W"},
        {GPU, "", ",\"power\":{\"pue\":0.9}", "s.json: $.power.pue: expected a number from 1"},
        {GPU, "", ",\"power\":{\"gco2_per_kwh\":-1}", "s.json: $.power.gco2_per_kwh: expected"},
        {GPU, "", ",\"power\":[]", "s.json: $.power: expected an object"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rt_fleet_spec spec;
        struct rt_err err;
        if (read(*state, bad[i].gpu, bad[i].pool, bad[i].root, &spec, &err))
            fail_msg("%s %s was taken", bad[i].pool, bad[i].root);
        assert_int_equal(err.code, RT_ECONFIG);
        if (strstr(err.msg, bad[i].text) == NULL)
            fail_msg("expected \"%s\", read \"%s\"", bad[i].text, err.msg);
        rt_fleet_spec_release(&spec);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(prices, setup, teardown),
        cmocka_unit_test_setup_teardown(powers, setup, teardown),
        cmocka_unit_test_setup_teardown(refused, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
