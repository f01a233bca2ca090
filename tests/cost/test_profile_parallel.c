/* profile on more than one GPU: stages of a pipeline, ranks that share their experts, collectives
 * between boxes and uneven routing look up the rows that stand for them; the parts of a step add up
 * to it. Everything through the public interface. */
#include "rooftrace/decode_run.h"
#include "rooftrace/estimate.h"
#include "rooftrace/explain.h"
#include "rooftrace/op_table.h"
#include "rooftrace/rng.h"
#include "table_file.h"

#include <math.h>

#define assert_near(got, want, relative)                                                           \
    do {                                                                                           \
        double got_ = (got), want_ = (want);                                                       \
        if (!(fabs(got_ - want_) <= (relative)*fabs(want_)))                                       \
            fail_msg("%s = %.9g, expected %.9g within %g", #got, got_, want_, (double)(relative)); \
    } while (0)

/* The table is gone when the cost is used. */
static struct rt_cost *measured(struct rt_cost_inputs in, const char *table)
{
    struct table_file f;
    table_write_text(&f, table);
    struct rt_cost *c = table_cost(in, &f);
    table_remove(&f);
    return c;
}

static struct rt_cost *roofline(struct rt_cost_inputs in)
{
    struct rt_cost *c;
    struct rt_err err;
    assert_ok(rt_cost_new(&in, &c, &err), &err);
    return c;
}

static struct rt_cost_sources sources_of(const struct rt_cost *c, struct rt_step_shape s)
{
    struct rt_cost_sources sources;
    rt_cost_step_sources(c, &s, &sources);
    return sources;
}

static double part_s(const struct rt_cost *c, struct rt_step_shape s, const char *name)
{
    struct rt_cost_part parts[RT_MAX_COST_PARTS];
    unsigned count = rt_cost_explain(c, &s, parts);
    for (unsigned i = 0; i < count; i++)
        if (strcmp(parts[i].name, name) == 0)
            return rt_cost_part_s(&parts[i]);
    fail_msg("no part %s", name);
    return 0;
}

/* ---- stages ---------------------------------------------------------------------------------- */

/* 32 layers in four stages: a microsecond more in a layer's row is 8 in a stage and 32 in a step.
 */
static void test_stages(void **state)
{
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_llama31_8b(), 1);
    (void)state;
    in.parallel.pipeline = 4;
    in.gpu.k.host_s_per_step = 0;
    struct rt_cost *fast = measured(in, "op,batch,context,heads,kv_heads,head_dim,us\n"
                                        "decode,16,1024,32,8,128,80\n");
    struct rt_cost *slow = measured(in, "op,batch,context,heads,kv_heads,head_dim,us\n"
                                        "decode,16,1024,32,8,128,180\n");
    struct rt_step_shape s = fixture_decodes(fast, 16, 1024);
    assert_near(table_term(fast, s, RT_TERM_KV), 32 * 80e-6, 1e-12);
    assert_near((double)(rt_cost_step_ns(slow, &s) - rt_cost_step_ns(fast, &s)), 32 * 100e3, 1e-6);
    assert_near((double)(rt_cost_stage_ns(slow, &s) - rt_cost_stage_ns(fast, &s)), 8 * 100e3, 1e-6);
    assert_int_equal(sources_of(fast, s).of[RT_OP_DECODE], RT_ORIGIN_MEASURED);
    assert_int_equal(sources_of(fast, s).of[RT_OP_ALL_REDUCE], RT_ORIGIN_UNUSED);
    assert_false(rt_cost_is_plain(fast, &s)); /* no line in the context */
    assert_false(rt_cost_can_run(fast));
    rt_cost_free(fast);
    rt_cost_free(slow);
}

/* A stage whose layers have no experts reads a table that has rows of them. */
static void test_dense_stage(void **state)
{
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_mixtral(), 1);
    (void)state;
    in.model.dense_layers = 16;
    in.model.ffn = 14336;
    in.parallel.pipeline = 2;
    struct rt_cost *c = measured(in, "op,m,hidden,ffn,experts,topk,us\n"
                                     "moe,128,4096,14336,8,2,900\n");
    struct rt_step_shape s = {.tokens = 128};
    double blocks = part_s(c, s, "experts_gate_up") + part_s(c, s, "experts_down") +
                    part_s(c, s, "experts_routing");
    assert_near(blocks, 16 * 900e-6, 1e-9);
    rt_cost_free(c);
}

/* ---- experts --------------------------------------------------------------------------------- */

static const char *const blocks[] = {"experts_gate_up", "experts_down", "experts_routing"};

static double blocks_s(const struct rt_cost *c, struct rt_step_shape s)
{
    double sum = 0;
    for (int i = 0; i < 3; i++)
        sum += part_s(c, s, blocks[i]);
    return sum;
}

/* Two ranks of two GPUs each: 300 tokens here, 500 in all. */
static void test_ranks(void **state)
{
    static const char table[] = "op,m,hidden,ffn,experts,topk,ep,us\n"
                                "moe,500,4096,3584,8,2,1,700\n"   /* slices: 14336 / (2*2) */
                                "moe,300,4096,3584,8,2,1,600\n"   /* not for 300 tokens here */
                                "moe,500,4096,7168,8,2,1,1\n"     /* another split */
                                "moe,500,4096,14336,8,2,2,2\n"    /* another split */
                                "moe,500,4096,14336,8,2,4,800\n"; /* whole experts */
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_mixtral(), 2);
    struct rt_step_shape s = {.tokens = 300, .group_tokens = 500, .group_largest = 300};
    (void)state;
    in.gpu.k.graph_max_tokens = 0;
    in.parallel.data = 2;
    struct rt_cost *slices = measured(in, table);
    assert_near(blocks_s(slices, s), 32 * 700e-6, 1e-9);
    assert_int_equal(sources_of(slices, s).of[RT_OP_MOE], RT_ORIGIN_MEASURED);
    assert_int_equal(sources_of(slices, s).rows[RT_OP_MOE], 2);
    s.group_tokens = 400;
    assert_near(blocks_s(slices, s), 32 * 600e-6 * pow(700. / 600, log(4. / 3) / log(5. / 3)),
                1e-9);
    assert_int_equal(sources_of(slices, s).of[RT_OP_MOE], RT_ORIGIN_INTERPOLATED);
    s.group_tokens = 500;
    in.parallel.expert = 4;
    struct rt_cost *whole = measured(in, table);
    /* 250 tokens on the mean GPU, 14 more on the busiest */
    double busiest = blocks_s(whole, s) / (32 * 800e-6);
    assert_true(busiest > 1.01 && busiest < 1 + 14.2 / 250);
    assert_int_equal(sources_of(whole, s).rows[RT_OP_MOE], 1);
    in.parallel = (struct rt_parallel){.tensor = 8, .pipeline = 1, .expert = 1, .data = 1};
    struct rt_cost *other = measured(in, table); /* slices of 1792: no rows */
    assert_int_equal(sources_of(other, s).of[RT_OP_MOE], RT_ORIGIN_ROOFLINE);
    rt_cost_free(slices);
    rt_cost_free(whole);
    rt_cost_free(other);
}

/* With graphs all ranks are padded to the largest. */
static void test_padded_ranks(void **state)
{
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_mixtral(), 1);
    struct rt_step_shape s = {.tokens = 3, .group_tokens = 13, .group_largest = 10};
    (void)state;
    in.parallel.data = 2;
    struct rt_cost *c = measured(in, "op,m,hidden,ffn,experts,topk,us\n"
                                     "moe,32,4096,7168,8,2,300\n"); /* 10 runs as 16, twice */
    assert_near(blocks_s(c, s), 32 * 300e-6, 1e-9);
    assert_int_equal(sources_of(c, s).of[RT_OP_MOE], RT_ORIGIN_MEASURED);
    rt_cost_free(c);
}

/* Rows are of even routing and one GPU; the busiest one's and uneven routing's share scales them as
 * it does the roofline's experts. */
static void test_skew(void **state)
{
    static const char table[] = "op,m,hidden,ffn,experts,topk,ep,us\n"
                                "moe,512,4096,14336,8,2,4,500\n";
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_mixtral(), 4);
    struct rt_step_shape s = {.tokens = 512};
    (void)state;
    in.parallel.expert = 4;
    struct rt_cost *even = measured(in, table), *plain_even = roofline(in);
    in.spec.expert_skew = 1.2;
    struct rt_cost *uneven = measured(in, table), *plain_uneven = roofline(in);
    double busiest = blocks_s(even, s) / (32 * 500e-6); /* 5 tokens more than 32 */
    assert_true(busiest > 1 && busiest < 1.05);
    assert_true(blocks_s(uneven, s) > 1.001 * blocks_s(even, s));
    for (int i = 0; i < 3; i++)
        assert_near(part_s(uneven, s, blocks[i]) / part_s(even, s, blocks[i]),
                    part_s(plain_uneven, s, blocks[i]) / part_s(plain_even, s, blocks[i]), 1e-9);
    rt_cost_free(even);
    rt_cost_free(uneven);
    rt_cost_free(plain_even);
    rt_cost_free(plain_uneven);
}

/* ---- links ----------------------------------------------------------------------------------- */

/* Sixteen GPUs are two boxes: a row of sixteen is that collective, beyond it the roofline of two
 * boxes says what the distance makes. */
static void test_boxes(void **state)
{
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_llama3_70b(), 16);
    (void)state;
    in.gpu.k.graph_max_tokens = 0;
    rt_nodes_init(&in.nodes);
    in.nodes.link_bytes_per_s = 3e9;
    struct rt_cost *c = measured(in, "op,bytes,gpus,us\n"
                                     "all_reduce,1638400,16,500\n" /* 100 tokens of 8192 */
                                     "all_reduce,1638400,8,5\n");
    struct rt_cost *plain = roofline(in);
    struct rt_step_shape s = {.tokens = 100}, twice = {.tokens = 200};
    assert_near(table_term(c, s, RT_TERM_COMM), 161 * 500e-6, 1e-12);
    assert_near(table_term(c, twice, RT_TERM_COMM) / table_term(c, s, RT_TERM_COMM),
                table_term(plain, twice, RT_TERM_COMM) / table_term(plain, s, RT_TERM_COMM), 1e-9);
    assert_int_equal(sources_of(c, s).rows[RT_OP_ALL_REDUCE], 1);
    assert_int_equal(sources_of(c, twice).of[RT_OP_ALL_REDUCE], RT_ORIGIN_SCALED);
    rt_cost_free(c);
    rt_cost_free(plain);
}

/* ---- parts ----------------------------------------------------------------------------------- */

static const char *const tables[] = {
    "op,m,n,k,us\ngemm,64,6144,4096,60\ngemm,256,6144,4096,120\n",
    "op,batch,context,heads,kv_heads,head_dim,us\ndecode,8,512,32,8,128,30\n",
    "op,q,held,heads,kv_heads,head_dim,us\nprefill,512,0,32,8,128,50\n",
    "op,q,held,batch,context,heads,kv_heads,head_dim,us\nmixed,512,0,32,1000,32,8,128,400\n",
    "op,m,hidden,ffn,experts,topk,us\nmoe,100,4096,14336,8,2,900\nmoe,200,4096,7168,8,2,900\n",
    "op,m,vocab,us\nsampler,10,32000,700\n",
};

static struct rt_step_shape random_step(const struct rt_cost *c, struct rt_rng *r)
{
    int64_t windows[RT_MAX_WINDOWS];
    unsigned count = rt_cost_windows(c, windows);
    struct rt_step_shape s;
    memset(&s, 0, sizeof s);
    if (rt_rng_below(r, 3) > 0)
        rt_step_add_decodes(&s, 1 + (int64_t)rt_rng_below(r, 60),
                            1 + (int64_t)rt_rng_below(r, 5000), windows, count);
    if (s.tokens == 0 || rt_rng_below(r, 2) > 0)
        rt_step_add_prefill(&s, 1 + (int64_t)rt_rng_below(r, 1000), (int64_t)rt_rng_below(r, 3000));
    s.group_largest = s.tokens + (int64_t)rt_rng_below(r, 50);
    s.group_tokens = s.tokens + s.group_largest;
    return s;
}

/* Parts add up to the terms, term by term, and none is negative. */
static void check_parts(const struct rt_cost *c, const struct rt_step_shape *s, const char *table)
{
    struct rt_cost_part parts[RT_MAX_COST_PARTS];
    double terms_s[RT_TERM_COUNT], sum_s[RT_TERM_COUNT] = {0};
    unsigned count = rt_cost_explain(c, s, parts);
    rt_cost_step_terms(c, s, terms_s);
    for (unsigned i = 0; i < count; i++)
        for (int t = 0; t < RT_TERM_COUNT; t++) {
            if (!(parts[i].terms_s[t] >= 0))
                fail_msg("%s: %s of %s: %g", table, rt_term_names[t], parts[i].name,
                         parts[i].terms_s[t]);
            sum_s[t] += parts[i].terms_s[t];
        }
    for (int t = 0; t < RT_TERM_COUNT; t++)
        if (!(fabs(sum_s[t] - terms_s[t]) <= 1e-12 * fixture_sum(terms_s)))
            fail_msg("%s: %s: parts %.17g, step %.17g", table, rt_term_names[t], sum_s[t],
                     terms_s[t]);
}

static void test_parts(void **state)
{
    struct rt_rng r;
    (void)state;
    rt_rng_init(&r, 12, RT_RNG_TOOLS, 0);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (int k = 0; k < 4; k++) {
            struct rt_gpu gpu = fixture_4090();
            gpu.k.mixed_as_tiles = k % 2 > 0;
            struct rt_cost_inputs in = fixture_inputs(gpu,
                                                      k == 1   ? fixture_windowed()
                                                      : k == 2 ? fixture_llama31_8b()
                                                               : fixture_mixtral(),
                                                      1);
            in.parallel.data = k == 3 ? 2 : 1;
            in.parallel.pipeline = k == 0 ? 2 : 1;
            struct rt_cost *c = measured(in, tables[i]);
            for (int n = 0; n < 60; n++) {
                struct rt_step_shape s = random_step(c, &r);
                check_parts(c, &s, tables[i]);
            }
            rt_cost_free(c);
        }
}

/* ---- estimate -------------------------------------------------------------------------------- */

/* The closed form looks up the steps that it adds: 31 decodes of 8 sequences from 1000 to 1030 on,
 * in micro-batches of 4. */
static void test_estimate(void **state)
{
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_llama31_8b(), 1);
    const struct rt_estimate_request req = {.prompt_tokens = 1000, .output_tokens = 32, .batch = 8};
    struct rt_estimate e;
    struct rt_estimate_step prefill, decode;
    struct table_file f;
    struct rt_err err;
    double sum_s = 0;
    (void)state;
    table_write_text(&f, "op,batch,context,heads,kv_heads,head_dim,us\n"
                         "decode,4,1000,32,8,128,20\n"
                         "decode,4,1015,32,8,128,50\n"
                         "decode,4,1040,32,8,128,200\n");
    in.parallel.pipeline = 2;
    in.spec.kind = RT_COST_PROFILE;
    in.spec.file = f.path;
    assert_ok(rt_estimate(&in, .9, 16, &req, &e, &err), &err);
    assert_ok(rt_estimate_explain(&in, &req, &prefill, &decode, &err), &err);
    in.max_tokens = 0;
    struct rt_cost *c = table_cost(in, &f);
    for (int64_t ctx = 1000; ctx <= 1030; ctx++)
        sum_s += table_term(c, fixture_decodes(c, 4, ctx), RT_TERM_KV) / 31;
    assert_near(e.decode_terms_s[RT_TERM_KV], sum_s, 1e-9);
    assert_int_equal(e.decode_sources.of[RT_OP_DECODE], RT_ORIGIN_MEASURED);
    assert_int_equal(e.decode_sources.rows[RT_OP_DECODE], 3);
    assert_int_equal(e.prefill_sources.of[RT_OP_DECODE], RT_ORIGIN_UNUSED);
    assert_int_equal(e.prefill_sources.of[RT_OP_PREFILL], RT_ORIGIN_ROOFLINE);
    assert_int_equal(decode.context, 1015);
    struct rt_step_shape s = fixture_decodes(c, 4, 1015);
    assert_near(decode.step_s, (double)rt_cost_step_ns(c, &s) * 1e-9, 1e-6);
    rt_cost_free(c);
    table_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages), cmocka_unit_test(test_dense_stage),
        cmocka_unit_test(test_ranks),  cmocka_unit_test(test_padded_ranks),
        cmocka_unit_test(test_skew),   cmocka_unit_test(test_boxes),
        cmocka_unit_test(test_parts),  cmocka_unit_test(test_estimate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
