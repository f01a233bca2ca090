/* profile: exact at measured places and monotone between, the roofline's shape outside, the
 * roofline's bits where nothing was measured; what a step says about where its times come from;
 * tables that are not. Everything through the public interface. */
#include "rooftrace/decode_run.h"
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

#define LAYERS 32 /* of llama-3.1-8b */

static struct rt_cost_inputs llama(void)
{
    struct rt_gpu gpu = fixture_4090();
    gpu.k.mixed_as_tiles = false;
    return fixture_inputs(gpu, fixture_llama31_8b(), 1);
}

static struct rt_cost *roofline(struct rt_cost_inputs in)
{
    struct rt_cost *c;
    struct rt_err err;
    assert_ok(rt_cost_new(&in, &c, &err), &err);
    return c;
}

static enum rt_origin origin(const struct rt_cost *c, struct rt_step_shape s, enum rt_op op)
{
    struct rt_cost_sources sources;
    rt_cost_step_sources(c, &s, &sources);
    return sources.of[op];
}

/* ---- decode ---------------------------------------------------------------------------------- */

static const char decode_table[] = "op,batch,context,heads,kv_heads,head_dim,us\n"
                                   "decode,1,1024,32,8,128,20\n"
                                   "decode,1,4096,32,8,128,40\n"
                                   "decode,16,1024,32,8,128,80\n"
                                   "decode,16,4096,32,8,128,240\n"
                                   "decode,16,8192,32,8,128,230\n" /* noise */
                                   "decode,4,2048,16,8,128,999\n"; /* another shape */

static double decode_us(const struct rt_cost *c, int64_t batch, int64_t context)
{
    return table_term(c, fixture_decodes(c, batch, context), RT_TERM_KV) / LAYERS * 1e6;
}

static void test_decode_knots(void **state)
{
    struct table_file f;
    (void)state;
    table_write_text(&f, decode_table);
    struct rt_cost *c = table_cost(llama(), &f);
    assert_near(decode_us(c, 1, 1024), 20, 1e-12);
    assert_near(decode_us(c, 16, 4096), 240, 1e-12);
    assert_near(decode_us(c, 1, 2048), sqrt(20.0 * 40), 1e-12); /* half way in logarithms */
    assert_near(decode_us(c, 4, 1024), sqrt(20.0 * 80), 1e-12); /* likewise over the batch */
    assert_near(decode_us(c, 16, 8192), 240, 1e-12);            /* not below a shorter one */
    assert_int_equal(origin(c, fixture_decodes(c, 1, 1024), RT_OP_DECODE), RT_ORIGIN_MEASURED);
    assert_int_equal(origin(c, fixture_decodes(c, 3, 1024), RT_OP_DECODE), RT_ORIGIN_INTERPOLATED);
    assert_int_equal(origin(c, fixture_decodes(c, 1, 512), RT_OP_DECODE), RT_ORIGIN_SCALED);
    assert_int_equal(origin(c, fixture_decodes(c, 1, 1024), RT_OP_GEMM), RT_ORIGIN_ROOFLINE);
    assert_int_equal(origin(c, fixture_decodes(c, 1, 1024), RT_OP_PREFILL), RT_ORIGIN_UNUSED);
    rt_cost_free(c);
    table_remove(&f);
}

/* Beyond the rows the time grows as the roofline's does. */
static void test_decode_outside(void **state)
{
    struct table_file f;
    (void)state;
    table_write_text(&f, decode_table);
    struct rt_cost *c = table_cost(llama(), &f), *plain = roofline(llama());
    const struct {
        int64_t batch, context, near_batch, near_context;
    } list[] = {{1, 64, 1, 1024}, {1, 100000, 1, 4096}, {64, 1024, 16, 1024}};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        double roof[2];
        for (int k = 0; k < 2; k++) {
            struct rt_step_shape s = fixture_decodes(plain, k ? list[i].near_batch : list[i].batch,
                                                     k ? list[i].near_context : list[i].context);
            struct rt_step_shape no_attention = s;
            no_attention.decodes = no_attention.decode_context = 0;
            roof[k] = table_term(plain, s, RT_TERM_KV) + table_term(plain, s, RT_TERM_LAUNCH) -
                      table_term(plain, no_attention, RT_TERM_LAUNCH);
        }
        assert_near(decode_us(c, list[i].batch, list[i].context) /
                        decode_us(c, list[i].near_batch, list[i].near_context),
                    roof[0] / roof[1], 1e-9);
    }
    rt_cost_free(c);
    rt_cost_free(plain);
    table_remove(&f);
}

/* Never shorter with a longer context, only KV moves, and no run of straight steps is promised. */
static void test_decode_rises(void **state)
{
    struct table_file f;
    struct rt_rng rng;
    (void)state;
    rt_rng_init(&rng, 11, RT_RNG_TOOLS, 0);
    table_write_text(&f, decode_table);
    struct rt_cost *c = table_cost(llama(), &f);
    assert_false(rt_cost_can_run(c));
    for (int i = 0; i < 2000; i++) {
        int64_t batch = 1 + (int64_t)(rt_rng_unit(&rng) * 40);
        int64_t low = 1 + (int64_t)(rt_rng_unit(&rng) * 20000);
        int64_t high = low + 1 + (int64_t)(rt_rng_unit(&rng) * 500);
        double a[RT_TERM_COUNT], b[RT_TERM_COUNT];
        struct rt_step_shape s = fixture_decodes(c, batch, low),
                             t = fixture_decodes(c, batch, high);
        rt_cost_step_terms(c, &s, a);
        rt_cost_step_terms(c, &t, b);
        for (int k = 0; k < RT_TERM_COUNT; k++)
            if (k == RT_TERM_KV ? b[k] < a[k] * (1 - 1e-14) : b[k] != a[k])
                fail_msg("batch %lld, context %lld to %lld: %s %.17g to %.17g", (long long)batch,
                         (long long)low, (long long)high, rt_term_names[k], a[k], b[k]);
    }
    rt_cost_free(c);
    table_remove(&f);
}

/* Layers behind a window are looked up at what they read. */
static void test_decode_windows(void **state)
{
    struct table_file f;
    (void)state;
    table_write_text(&f, decode_table);
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_windowed(), 1);
    struct rt_cost *c = table_cost(in, &f);
    double kv = table_term(c, fixture_decodes(c, 1, 4096), RT_TERM_KV);
    assert_near(kv, 16 * 40e-6 + 16 * 20e-6, 1e-12); /* window 1024 */
    rt_cost_free(c);
    table_remove(&f);
}

/* ---- prefill and mixed ----------------------------------------------------------------------- */

static void test_prefill(void **state)
{
    struct table_file f;
    (void)state;
    table_write_text(&f, "op,q,held,heads,kv_heads,head_dim,us\n"
                         "prefill,512,0,32,8,128,50\n"
                         "prefill,2048,0,32,8,128,500\n"
                         "prefill,512,4096,32,8,128,300\n"
                         "prefill,2048,4096,32,8,128,1500\n"
                         "prefill,512,0,32,8,128,70\n" /* the median of three counts */
                         "prefill,512,0,32,8,128,54\n");
    struct rt_cost *c = table_cost(llama(), &f);
    double layers = LAYERS;
    assert_near(table_term(c, fixture_prefill(512, 0), RT_TERM_ATTENTION) / layers, 54e-6, 1e-12);
    assert_near(table_term(c, fixture_prefill(2048, 4096), RT_TERM_ATTENTION) / layers, 1500e-6,
                1e-12);
    assert_near(table_term(c, fixture_prefill(1024, 0), RT_TERM_ATTENTION) / layers,
                sqrt(54e-6 * 500e-6), 1e-12);
    double before = 0; /* monotone in what is held */
    for (int64_t held = 0; held <= 8192; held += 64) {
        double now = table_term(c, fixture_prefill(1024, held), RT_TERM_ATTENTION);
        assert_true(now > before);
        before = now;
    }
    /* two equal chunks: the tiles of one of twice the length, columns of their own */
    struct rt_step_shape two = fixture_prefill(512, 0), one = two;
    rt_step_add_prefill(&two, 512, 0);
    double ratio = table_term(c, two, RT_TERM_ATTENTION) / table_term(c, one, RT_TERM_ATTENTION);
    assert_true(ratio > 1.2 && ratio < 2.5);
    rt_cost_free(c);
    table_remove(&f);
}

static void test_mixed(void **state)
{
    struct table_file f;
    (void)state;
    table_write_text(&f, "op,q,held,batch,context,heads,kv_heads,head_dim,us\n"
                         "mixed,512,0,32,1000,32,8,128,400\n"
                         "mixed,512,0,32,2000,32,8,128,600\n"
                         "mixed,512,0,64,1000,32,8,128,700\n");
    struct rt_cost *c = table_cost(llama(), &f);
    struct rt_step_shape s = fixture_prefill(512, 0);
    rt_step_add_decodes(&s, 32, 1000, NULL, 0);
    double attention = table_term(c, s, RT_TERM_ATTENTION), kv = table_term(c, s, RT_TERM_KV);
    assert_near(attention + kv, LAYERS * 400e-6, 1e-12);
    assert_true(attention > 0 && kv > 0);
    assert_int_equal(origin(c, s, RT_OP_MIXED), RT_ORIGIN_MEASURED);
    assert_int_equal(origin(c, s, RT_OP_DECODE), RT_ORIGIN_UNUSED);
    rt_step_add_decodes(&s, 16, 1000, NULL, 0);
    assert_int_equal(origin(c, s, RT_OP_MIXED), RT_ORIGIN_INTERPOLATED);
    assert_true(rt_cost_can_run(c)); /* pure decodes are the roofline's */
    rt_cost_free(c);
    table_remove(&f);
}

/* ---- what depends on tokens ------------------------------------------------------------------ */

static double gemm_s(const struct rt_cost *c, int64_t tokens)
{
    double terms[RT_TERM_COUNT];
    struct rt_step_shape s;
    memset(&s, 0, sizeof s);
    s.tokens = tokens;
    rt_cost_step_terms(c, &s, terms);
    return terms[RT_TERM_WEIGHTS] + terms[RT_TERM_COMPUTE] + terms[RT_TERM_LAUNCH];
}

/* A product of known shape changes by what its rows say, others by what the nearest rows say. */
static void test_gemm(void **state)
{
    struct table_file f;
    (void)state;
    struct rt_cost_inputs in = llama();
    in.model.layers = 1;
    in.gpu.k.graph_max_tokens = 0;
    in.gpu.k.elementwise_s = 0;
    table_write_text(&f, "op,dtype,m,n,k,us\n"
                         "gemm,bf16,64,6144,4096,60\n"
                         "gemm,bf16,256,6144,4096,120\n"
                         "gemm,fp16,64,4096,4096,45\n" /* either 16 bit type */
                         "gemm,fp16,256,4096,4096,90\n"
                         "gemm,bf16,64,28672,4096,250\n"
                         "gemm,bf16,256,28672,4096,500\n"
                         "gemm,bf16,64,4096,14336,130\n"
                         "gemm,bf16,256,4096,14336,260\n"
                         "gemm,fp8,64,4096,14336,1\n");
    struct rt_cost *c = table_cost(in, &f);
    struct rt_step_shape s;
    memset(&s, 0, sizeof s);
    assert_near(gemm_s(c, 64), 485e-6, 1e-12);
    assert_near(gemm_s(c, 256), 970e-6, 1e-12);
    assert_near(gemm_s(c, 128), sqrt(2) * 485e-6, 1e-12);
    assert_true(gemm_s(c, 65) > gemm_s(c, 64));
    s.tokens = 64;
    assert_int_equal(origin(c, s, RT_OP_GEMM), RT_ORIGIN_MEASURED);
    s.tokens = 100;
    assert_int_equal(origin(c, s, RT_OP_GEMM), RT_ORIGIN_INTERPOLATED);
    s.tokens = 512;
    assert_int_equal(origin(c, s, RT_OP_GEMM), RT_ORIGIN_SCALED);
    rt_cost_free(c);
    in.dtypes.kv = RT_FP8; /* of the KV only */
    c = table_cost(in, &f);
    assert_near(gemm_s(c, 64), 485e-6, 1e-12);
    rt_cost_free(c);
    table_remove(&f);
}

static void test_all_reduce_and_moe(void **state)
{
    struct table_file f;
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_mixtral(), 2);
    in.gpu.k.graph_max_tokens = 0;
    struct rt_cost *plain = roofline(in);
    table_write_text(&f, "op,bytes,gpus,m,hidden,ffn,experts,topk,us\n"
                         "all_reduce,819200,2,,,,,,100\n"
                         "moe,,,100,4096,7168,8,2,1000\n"
                         "moe,,,400,4096,7168,8,2,2000\n");
    struct rt_cost *c = table_cost(in, &f);
    struct rt_step_shape s;
    memset(&s, 0, sizeof s);
    s.tokens = 100; /* 819,200 bytes of 16 bit */
    assert_near(table_term(c, s, RT_TERM_COMM), 65 * 100e-6, 1e-12);
    struct rt_cost_sources sources;
    rt_cost_step_sources(c, &s, &sources);
    assert_int_equal(sources.of[RT_OP_MOE], RT_ORIGIN_MEASURED);
    assert_int_equal(sources.of[RT_OP_ALL_REDUCE], RT_ORIGIN_MEASURED);
    assert_int_equal(sources.of[RT_OP_GEMM], RT_ORIGIN_ROOFLINE);
    assert_int_equal(sources.rows[RT_OP_MOE], 2);
    /* the blocks' time replaces theirs: twice the rows' times add 32 blocks more */
    double with = gemm_s(c, 100) + table_term(c, s, RT_TERM_OTHER);
    rt_cost_free(c);
    table_remove(&f);
    table_write_text(&f, "op,m,hidden,ffn,experts,topk,us\n"
                         "moe,100,4096,7168,8,2,2000\n");
    c = table_cost(in, &f);
    assert_near(gemm_s(c, 100) + table_term(c, s, RT_TERM_OTHER) - with, 32 * 1000e-6, 1e-9);
    rt_cost_free(c);
    rt_cost_free(plain);
    table_remove(&f);
}

static void test_elementwise_and_sampler(void **state)
{
    struct table_file f;
    (void)state;
    struct rt_cost_inputs in = llama();
    in.gpu.k.graph_max_tokens = 0;
    table_write_text(&f, "op,m,vocab,hidden,ffn,heads,kv_heads,head_dim,us\n"
                         "elementwise,100,,4096,14336,32,8,128,50\n"
                         "sampler,10,128256,,,,,,700\n");
    struct rt_cost *c = table_cost(in, &f), *plain = roofline(in);
    struct rt_step_shape s;
    memset(&s, 0, sizeof s);
    s.tokens = 100;
    s.samples = 10;
    double change = 0; /* of what is measured, and nothing else */
    for (int t = 0; t < RT_TERM_COUNT; t++)
        change += table_term(c, s, (enum rt_term)t) - table_term(plain, s, (enum rt_term)t);
    double elementwise_us = 8.6 + .06 * 100 * 1; /* the reference layer is this model's */
    double sampler_us = 20 + .6 * 10;
    assert_near(change, 1e-6 * (LAYERS * (50 - elementwise_us) + 700 - sampler_us), 2e-2);
    rt_cost_free(c);
    rt_cost_free(plain);
    table_remove(&f);
}

/* ---- where nothing was measured -------------------------------------------------------------- */

static void test_roofline_bits(void **state)
{
    struct table_file f;
    struct rt_rng rng;
    (void)state;
    rt_rng_init(&rng, 11, RT_RNG_TOOLS, 0);
    table_write_text(&f, "op,dtype,m,n,k,bytes,gpus,us\n"
                         "gemm,int4,1,64,64,,,5\n"
                         "all_reduce,,,,,1024,8,5\n");
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_windowed(), 1);
    struct rt_cost *c = table_cost(in, &f), *plain = roofline(in);
    for (int i = 0; i < 500; i++) {
        int64_t windows[RT_MAX_WINDOWS];
        unsigned count = rt_cost_windows(c, windows);
        struct rt_step_shape s = fixture_prefill(1 + (int64_t)(rt_rng_unit(&rng) * 2000),
                                                 (int64_t)(rt_rng_unit(&rng) * 5000));
        rt_step_add_decodes(&s, (int64_t)(rt_rng_unit(&rng) * 50), 777, windows, count);
        assert_int_equal(rt_cost_step_ns(c, &s), rt_cost_step_ns(plain, &s));
    }
    rt_cost_free(c);
    rt_cost_free(plain);
    table_remove(&f);
}

/* MLA has no fields in these tables: rows of its head counts are not taken for it. */
static void test_latents(void **state)
{
    struct table_file f;
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_deepseek_v3(), 8);
    in.dtypes =
        (struct rt_dtypes){.weight = RT_FP8, .activation = RT_FP8, .kv = RT_BF16, .head = RT_FP8};
    table_write_text(&f, "op,batch,context,heads,kv_heads,head_dim,us\n"
                         "decode,1,1000,16,16,192,1\n");
    struct rt_cost *c = table_cost(in, &f);
    assert_int_equal(origin(c, fixture_decodes(c, 1, 1000), RT_OP_DECODE), RT_ORIGIN_ROOFLINE);
    assert_true(rt_cost_can_run(c));
    rt_cost_free(c);
    table_remove(&f);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void test_json(void **state)
{
    struct table_file csv, json;
    (void)state;
    table_write_text(&csv, decode_table);
    table_write_text(
        &json, "{\"gpu\": \"RTX 4090\", \"date\": \"2026-11-22\", \"software\": \"x\", \"rows\": ["
               "{\"op\": \"decode\", \"batch\": 1, \"context\": 1024, \"heads\": 32,"
               " \"kv_heads\": 8, \"head_dim\": 128, \"us\": 20},"
               "{\"op\": \"decode\", \"batch\": 1, \"context\": 4096, \"heads\": 32,"
               " \"kv_heads\": 8, \"head_dim\": 128, \"us\": 40}]}");
    struct rt_cost *a = table_cost(llama(), &csv), *b = table_cost(llama(), &json);
    for (int64_t context = 1; context < 10000; context += 37)
        assert_near(decode_us(b, 1, context), decode_us(a, 1, context), 1e-15);
    rt_cost_free(a);
    rt_cost_free(b);
    struct rt_cost_inputs in = llama();
    struct rt_err err;
    in.spec.kind = RT_COST_PROFILE;
    in.spec.file = json.path;
    snprintf(in.gpu.name, sizeof in.gpu.name, "h100-sxm");
    assert_fails(rt_cost_new(&in, &a, &err), &err, RT_ECONFIG, "expected rows of GPU h100-sxm");
    snprintf(in.gpu.name, sizeof in.gpu.name, "rtx-4090-changed");
    assert_ok(rt_cost_new(&in, &a, &err), &err);
    rt_cost_free(a);
    table_remove(&csv);
    table_remove(&json);
}

static void test_bad_tables(void **state)
{
    static const struct {
        const char *text;
        enum rt_code code;
        const char *message;
    } list[] = {
        {"", RT_ETRACE, "expected a header"},
        {"a,b\n1,2\n", RT_ETRACE, "columns \"op\" and \"us\""},
        {"op,us\n", RT_ECONFIG, "read none"},
        {"op,us,op\n", RT_ETRACE, "expected a column once"},
        {"op,us\nmm,5\n", RT_ETRACE, "unknown operator \"mm\""},
        {"op,us\ngem,5\n", RT_ETRACE, "did you mean \"gemm\"?"},
        {"op,us\ngemm,5,6\n", RT_ETRACE, ":2:1: expected 2 fields"},
        {"op,m,n,k,us\ngemm,1,2,,5\n", RT_ETRACE, "expected k, a whole number from 1"},
        {"op,m,n,k,us\ngemm,1,2,x,5\n", RT_ETRACE, ":2:10: k: expected a number"},
        {"op,m,n,k,us\ngemm,1,2,2.5,5\n", RT_ETRACE, "whole number"},
        {"op,m,n,k,us\ngemm,1,2,-3,5\n", RT_ETRACE, "whole number"},
        {"op,m,n,k,us\ngemm,1,2,1e300,5\n", RT_ETRACE, "whole number"},
        {"op,m,n,k,us\ngemm,1,2,3,0\n", RT_ETRACE, "a time above 0"},
        {"op,m,n,k,us\ngemm,1,2,3,-1\n", RT_ETRACE, "a time above 0"},
        {"op,m,n,k,us\ngemm,1,2,3,nan\n", RT_ETRACE, "expected a number"},
        {"op,m,n,k,us\ngemm,1,2,3,1e11\n", RT_ETRACE, "a time above 0"},
        {"op,m,n,k,us\ngemm,1,2,3,\n", RT_ETRACE, "us: expected a number"},
        {"op,dtype,m,n,k,us\ngemm,bf17,1,2,3,4\n", RT_ETRACE, "did you mean \"bf16\""},
        {"op,bytes,gpus,us\nall_reduce,1,1,4\n", RT_ETRACE, "gpus from 2"},
        {"op,batch,context,heads,kv_heads,head_dim,us\ndecode,1,1,5,2,64,1\n", RT_ETRACE,
         "a multiple of 2"},
        {"op,m,hidden,ffn,experts,topk,us\nmoe,1,1,1,4,5,1\n", RT_ETRACE, "topk"},
        {"{", RT_ECONFIG, ".json:1"},
        {"{}", RT_ECONFIG, "rows"},
        {"{\"rows\": 1}", RT_ECONFIG, "$.rows"},
        {"{\"rows\": [], \"gpus\": \"x\"}", RT_ECONFIG, "gpus"},
        {"{\"rows\": [{\"op\": \"gemm\", \"us\": 1}]}", RT_ECONFIG, "$.rows[0]"},
        {"{\"rows\": [{\"op\": \"gemm\", \"us\": \"1\"}]}", RT_ECONFIG, "$.rows[0].us"},
        {"{\"rows\": [{\"op\": \"gemm\", \"nn\": 1, \"us\": 1}]}", RT_ECONFIG, "nn"},
        {"{\"rows\": [{\"us\": 1}]}", RT_ECONFIG, "op"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct table_file f;
        struct rt_cost_inputs in = llama();
        struct rt_cost *c;
        struct rt_err err;
        table_write_text(&f, list[i].text);
        in.spec.kind = RT_COST_PROFILE;
        in.spec.file = f.path;
        assert_fails(rt_cost_new(&in, &c, &err), &err, list[i].code, list[i].message);
        table_remove(&f);
    }
    struct rt_cost_inputs in = llama();
    struct rt_cost *c;
    struct rt_err err;
    in.spec.kind = RT_COST_PROFILE;
    assert_fails(rt_cost_new(&in, &c, &err), &err, RT_ECONFIG, "needs a file");
    in.spec.file = (char[]){"/nowhere/x.csv"};
    assert_fails(rt_cost_new(&in, &c, &err), &err, RT_EIO, "/nowhere/x.csv");
}

static void test_spec(void **state)
{
    static const char good[] = "{\"kind\": \"profile\", \"file\": \"sub/x.json\"}";
    static const char *const bad[] = {
        "{\"kind\": \"profile\"}", "{\"kind\": \"profile\", \"file\": \"\"}",
        "{\"kind\": \"profile\", \"file\": 3}", "{\"kind\": \"roofline\", \"file\": \"x\"}"};
    struct rt_cost_spec spec;
    struct rt_json *doc;
    struct rt_err err;
    (void)state;
    rt_cost_spec_init(&spec);
    assert_ok(rt_json_parse(good, strlen(good), "a/b.json", &doc, &err), &err);
    struct rt_json_at root = rt_json_root(doc);
    assert_ok(rt_cost_spec_parse(&root, &spec, &err), &err);
    assert_string_equal(spec.file, "a/sub/x.json");
    rt_cost_spec_release(&spec);
    rt_json_free(doc);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        rt_cost_spec_init(&spec);
        assert_ok(rt_json_parse(bad[i], strlen(bad[i]), "b.json", &doc, &err), &err);
        root = rt_json_root(doc);
        assert_fails(rt_cost_spec_parse(&root, &spec, &err), &err, RT_ECONFIG, "file");
        rt_cost_spec_release(&spec);
        rt_json_free(doc);
    }
}

/* ---- a table full of noise ------------------------------------------------------------------- */

/* Every measured place comes back, whatever holes the table has. */
static void test_random_table(void **state)
{
    enum { ROWS = 400 };
    struct {
        int64_t batch, context;
        double us;
    } rows[ROWS];
    struct rt_rng rng;
    static char text[ROWS * 64 + 256];
    size_t len =
        (size_t)snprintf(text, sizeof text, "op,batch,context,heads,kv_heads,head_dim,us\n");
    (void)state;
    rt_rng_init(&rng, 11, RT_RNG_TOOLS, 0);
    for (int i = 0; i < ROWS; i++) {
        rows[i].batch = 1 + i % 20 * 3;
        rows[i].context = 16 + i / 20 * 100 + (int64_t)(rt_rng_unit(&rng) * 50);
        rows[i].us = 5 + (double)(rows[i].context * rows[i].batch) * 0.01; /* rises */
        len += (size_t)snprintf(text + len, sizeof text - len, "decode,%lld,%lld,32,8,128,%.9g\n",
                                (long long)rows[i].batch, (long long)rows[i].context, rows[i].us);
    }
    struct table_file f;
    table_write_text(&f, text);
    struct rt_cost *c = table_cost(llama(), &f);
    for (int i = 0; i < ROWS; i++)
        assert_near(decode_us(c, rows[i].batch, rows[i].context), rows[i].us, 1e-8);
    rt_cost_free(c);
    table_remove(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_knots),
        cmocka_unit_test(test_decode_outside),
        cmocka_unit_test(test_decode_rises),
        cmocka_unit_test(test_decode_windows),
        cmocka_unit_test(test_prefill),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_gemm),
        cmocka_unit_test(test_all_reduce_and_moe),
        cmocka_unit_test(test_elementwise_and_sampler),
        cmocka_unit_test(test_roofline_bits),
        cmocka_unit_test(test_latents),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_bad_tables),
        cmocka_unit_test(test_spec),
        cmocka_unit_test(test_random_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
