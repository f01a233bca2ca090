/* The fitter gets back the constants that a table was made with, also from far away and with wild
 * rows among the others; what rows do not decide stays; left-out errors are there; published
 * layouts are read, with tables of a few lines in each. */
#include "rooftrace/catalog.h"
#include "rooftrace/fit_ops.h"
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

/* ---- synthetic rows -------------------------------------------------------------------------- */

/* A table under construction, by the formulas with these constants. */
struct maker {
    struct rt_gpu gpu;
    struct rt_op_table table;
};

static void add(struct maker *m, struct rt_op_row row, double seconds, uint32_t group)
{
    struct rt_err err;
    row.seconds = seconds;
    row.group = group;
    assert_ok(rt_op_table_add(&m->table, &row, &err), &err);
}

static struct rt_cost *one_layer(const struct maker *m, struct rt_model model)
{
    struct rt_cost_inputs in = fixture_inputs(m->gpu, model, 1);
    struct rt_cost *c;
    struct rt_err err;
    in.model.layers = 1;
    in.max_tokens = 0;
    assert_ok(rt_cost_new(&in, &c, &err), &err);
    return c;
}

static double sum_of(const struct rt_cost *c, struct rt_step_shape s)
{
    double terms[RT_TERM_COUNT], sum = 0;
    rt_cost_step_terms(c, &s, terms);
    for (int t = 0; t < RT_TERM_COUNT; t++)
        sum += terms[t];
    return sum;
}

/* What attention adds to a step. */
static double attention_s(const struct rt_cost *c, struct rt_step_shape s)
{
    struct rt_step_shape without = s;
    without.decodes = without.decode_context = 0;
    without.prefill_tokens = without.prefill_area = without.prefill_held = 0;
    without.prefill_tiles = without.prefill_tiles2 = without.prefill_longest = 0;
    return sum_of(c, s) - sum_of(c, without);
}

static struct rt_op_row row_of(enum rt_op op)
{
    struct rt_op_row row = {.op = op, .dtype = RT_BF16, .activation = RT_BF16};
    row.value[RT_OPF_EP] = 1;
    return row;
}

static struct rt_op_row heads_of(enum rt_op op, const struct rt_model *m)
{
    struct rt_op_row row = row_of(op);
    row.value[RT_OPF_HEADS] = (double)m->heads;
    row.value[RT_OPF_KV_HEADS] = (double)m->kv_heads;
    row.value[RT_OPF_HEAD_DIM] = (double)m->head_dim;
    return row;
}

/* One way to cut the result into tiles of a x b and k into parts, in FLOP at the rate of the
 * largest tile on all SMs. */
static double cut(const struct rt_gpu *g, double a, double b, double parts, const double mnk[3])
{
    double edges = 1 + g->k.gemm_edge_rows * (1 / a + 1 / b);
    double largest = 1 + g->k.gemm_edge_rows * (1.0 / 128 + 1.0 / 256);
    double waves = ceil(mnk[0] / a) * ceil(mnk[1] / b) * parts / g->sm_count;
    waves += g->k.gemm_wave_share * (ceil(waves) - waves);
    double column = 2 * a * b * edges / largest * g->sm_count;
    return waves * column * (mnk[2] / parts + g->k.gemm_start_columns);
}

/* Seconds that weights take longer with these parts of k, for few columns and for adding up. */
static double stream_loss(const struct rt_gpu *g, double parts, double weights_s, double n)
{
    double missing = g->k.gemm_stream_share * g->sm_count / (n / 64 * parts);
    double second_pass = parts > 1 ? g->k.gemm_split_share * g->k.gemm_overhead_s : 0;
    return weights_s * (hypot(1, missing) - 1) + second_pass;
}

/* C, W and the smooth maximum again, by hand: [docs/cost-model.md, Matrix products]. */
static double gemm_s(const struct rt_gpu *g, enum rt_dtype dtype, double m, double n, double k)
{
    static const double tiles[][2] = {{16, 64}, {64, 64}, {128, 128}, {128, 256}};
    const double mnk[3] = {m, n, k};
    double bytes = rt_dtype_bytes(dtype), flops = (double)INFINITY, loss = (double)INFINITY;
    for (int i = 0; i < 4; i++)
        for (double parts = 1; parts <= 4; parts *= 2)
            flops = fmin(flops, cut(g, tiles[i][0], tiles[i][1], parts, mnk));
    double c = flops / (g->peak_flops[dtype] * g->k.gemm_eff_compute *
                        (bytes < 2 ? g->k.quantized_compute : 1));
    double rate =
        g->mem_bw_bytes_per_s * g->k.gemm_eff_memory * (bytes < 2 ? g->k.quantized_memory_8bit : 1);
    for (double parts = 1; parts <= 4; parts *= 2)
        loss = fmin(loss, stream_loss(g, parts, n * k * bytes / rate, n));
    double w = (n * k * bytes + m * k * bytes + m * n * 2) / rate + loss;
    double p = g->k.gemm_smooth_p;
    return pow(pow(c, p) + pow(w, p), 1 / p) + g->k.gemm_overhead_s;
}

static void make_gemm(struct maker *m, enum rt_dtype dtype)
{
    static const double nk[][2] = {{6144, 4096},  {4096, 4096},  {28672, 4096}, {4096, 14336},
                                   {1024, 4096},  {512, 4096},   {10240, 8192}, {8192, 8192},
                                   {57344, 8192}, {8192, 28672}, {1280, 8192},  {2048, 8192}};
    for (unsigned i = 0; i < 12; i++)
        for (double tokens = 1; tokens <= 8192; tokens = tokens < 48 ? 2 * tokens : 1.5 * tokens) {
            struct rt_op_row row = row_of(RT_OP_GEMM);
            row.dtype = row.activation = dtype;
            row.value[RT_OPF_M] = tokens;
            row.value[RT_OPF_N] = nk[i][0];
            row.value[RT_OPF_K] = nk[i][1];
            add(m, row, gemm_s(&m->gpu, dtype, tokens, nk[i][0], nk[i][1]), 1 + i / 6);
        }
}

static void make_attention(struct maker *m, const struct rt_model *model, uint32_t group)
{
    struct rt_cost *c = one_layer(m, *model);
    for (int64_t batch = 1; batch <= 256; batch *= 4)
        for (int64_t context = 64; context <= 32768; context *= 4) {
            struct rt_op_row row = heads_of(RT_OP_DECODE, model);
            row.value[RT_OPF_BATCH] = (double)batch;
            row.value[RT_OPF_CONTEXT] = (double)context;
            add(m, row, attention_s(c, fixture_decodes(c, batch, context)), group);
        }
    for (int64_t q = 32; q <= 4096; q *= 2)
        for (int64_t held = 0; held <= 8192; held += 2048) {
            struct rt_op_row row = heads_of(RT_OP_PREFILL, model);
            row.value[RT_OPF_BATCH] = 1;
            row.value[RT_OPF_Q] = (double)q;
            row.value[RT_OPF_HELD] = (double)held;
            add(m, row, attention_s(c, fixture_prefill(q, held)), group);
            struct rt_step_shape s = fixture_prefill(q, held);
            rt_step_add_decodes(&s, 1 + q / 16, 500 + held, NULL, 0);
            row = heads_of(RT_OP_MIXED, model);
            row.value[RT_OPF_BATCH] = (double)(1 + q / 16);
            row.value[RT_OPF_CONTEXT] = (double)(500 + held);
            row.value[RT_OPF_Q] = (double)q;
            row.value[RT_OPF_HELD] = (double)held;
            add(m, row, attention_s(c, s), group);
        }
    rt_cost_free(c);
}

static void make_simple(struct maker *m)
{
    const struct rt_gpu_constants *k = &m->gpu.k;
    for (double i = 1; i <= 4096; i *= 2) {
        struct rt_op_row row = row_of(RT_OP_SAMPLER);
        row.value[RT_OPF_M] = i;
        row.value[RT_OPF_VOCAB] = 128256;
        add(m, row, k->sampler_s + i * k->sampler_s_per_seq, 1);
        row = row_of(RT_OP_ALL_REDUCE);
        row.value[RT_OPF_GPUS] = 2;
        row.value[RT_OPF_BYTES] = i * 8192;
        add(m, row,
            i * 8192 < k->allreduce_custom_bytes
                ? k->allreduce_latency_s + i * 8192 / k->allreduce_bus_bytes_per_s
                : k->allreduce_library_s + i * 8192 / k->allreduce_library_bytes_per_s,
            1);
    }
}

static struct rt_gpu true_gpu(void)
{
    struct rt_gpu g = fixture_4090();
    g.k.gemm_eff_compute = .71;
    g.k.gemm_eff_memory = .88;
    g.k.gemm_smooth_p = 1.9;
    g.k.gemm_overhead_s = 4.2e-6;
    g.k.gemm_edge_rows = 9;
    g.k.gemm_start_columns = 70;
    g.k.gemm_wave_share = .35;
    g.k.gemm_split_share = .8;
    g.k.gemm_stream_share = .3;
    g.k.quantized_memory_8bit = .8;
    g.k.quantized_compute = .6;
    g.k.decode_eff_memory = .81;
    g.k.decode_overhead_s = 9e-6;
    g.k.decode_s_per_wave = 3.4e-6;
    g.k.prefill_eff_compute = .55;
    g.k.prefill_overhead_s = 14e-6;
    g.k.mixed_pad_tokens = 170;
    g.k.mixed_tail = .4;
    g.k.sampler_s = 35e-6;
    g.k.sampler_s_per_seq = .9e-6;
    g.k.allreduce_latency_s = 18e-6;
    g.k.allreduce_bus_bytes_per_s = 22e9;
    g.k.allreduce_custom_bytes = 2e6;
    g.k.allreduce_library_s = 60e-6;
    g.k.allreduce_library_bytes_per_s = 27e9;
    return g;
}

static void make_all(struct maker *m)
{
    struct rt_model small = fixture_llama31_8b(), large = fixture_llama3_70b();
    uint32_t group;
    struct rt_err err;
    *m = (struct maker){.gpu = true_gpu()};
    rt_op_table_init(&m->table);
    assert_ok(rt_op_name(&m->table.groups, "llama-3.1-8b", &group, &err), &err);
    assert_int_equal(group, 1);
    assert_ok(rt_op_name(&m->table.groups, "llama-3-70b", &group, &err), &err);
    make_gemm(m, RT_BF16);
    make_gemm(m, RT_FP8);
    make_attention(m, &small, 1);
    make_attention(m, &large, 2);
    make_simple(m);
}

static double fitted(const struct rt_fit_ops *fit, const char *key)
{
    for (unsigned i = 0; i < fit->constant_count; i++)
        if (strcmp(fit->constants[i].key, key) == 0)
            return fit->constants[i].after;
    fail_msg("%s was not fitted", key);
    return 0;
}

static void check_constants(const struct rt_fit_ops *fit, double within)
{
    static const struct {
        const char *key;
        double value;
    } list[] = {
        {"gemm_eff_compute", .71},
        {"gemm_eff_memory", .88},
        {"gemm_smooth_p", 1.9},
        {"gemm_overhead_us", 4.2},
        {"gemm_edge_rows", 9},
        {"gemm_start_columns", 70},
        {"gemm_wave_share", .35},
        {"gemm_split_share", .8},
        {"gemm_stream_share", .3},
        {"quantized_memory_8bit", .8},
        {"quantized_compute", .6},
        {"decode_eff_memory", .81},
        {"decode_overhead_us", 9},
        {"decode_us_per_wave", 3.4},
        {"prefill_eff_compute", .55},
        {"prefill_overhead_us", 14},
        {"mixed_pad_tokens", 170},
        {"sampler_us", 35},
        {"sampler_us_per_seq", .9},
        {"allreduce_latency_us", 18},
        {"allreduce_bus_gb_per_s", 22},
        {"allreduce_library_us", 60},
        {"allreduce_library_gb_per_s", 27},
    };
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        double got = fitted(fit, list[i].key);
        print_message("%-24s %10.5g, made with %g\n", list[i].key, got, list[i].value);
        assert_near(got, list[i].value, within);
    }
}

static void test_recovers(void **state)
{
    static struct rt_fit_ops fit, again;
    struct maker m;
    struct rt_err err;
    struct rt_gpu start = fixture_4090(); /* other constants, by up to a factor of 5 */
    start.k.allreduce_custom_bytes = 2e6; /* an engine's limit is a rule, not a fit */
    (void)state;
    make_all(&m);
    assert_ok(rt_fit_ops(&m.table, &start, &fit, &err), &err);
    check_constants(&fit, .02);
    for (unsigned i = 0; i < fit.error_count; i++) {
        if (strcmp(fit.errors[i].range, "all") != 0)
            continue;
        assert_true(fit.errors[i].median < .01);
        assert_true(fit.errors[i].left_out < .03);
        assert_true(fit.errors[i].before > fit.errors[i].median);
    }
    assert_ok(rt_fit_ops(&m.table, &start, &again, &err), &err);
    assert_memory_equal(&fit.gpu, &again.gpu, sizeof fit.gpu); /* same rows, same constants */
    rt_op_table_release(&m.table);
}

/* One row in ten is wrong by a factor of 3 to 10, and all have noise of 3 %. */
static void test_robust(void **state)
{
    static struct rt_fit_ops fit;
    struct maker m;
    struct rt_err err;
    struct rt_rng rng;
    struct rt_gpu start = fixture_4090();
    (void)state;
    rt_rng_init(&rng, 7, RT_RNG_TOOLS, 0);
    make_all(&m);
    for (size_t i = 0; i < m.table.count; i++) {
        m.table.rows[i].seconds *= exp(.03 * rt_rng_normal(&rng));
        if (rt_rng_unit(&rng) < .1)
            m.table.rows[i].seconds *= 3 + 7 * rt_rng_unit(&rng);
    }
    assert_ok(rt_fit_ops(&m.table, &start, &fit, &err), &err);
    assert_near(fitted(&fit, "gemm_eff_compute"), .71, .05);
    assert_near(fitted(&fit, "gemm_eff_memory"), .88, .05);
    assert_near(fitted(&fit, "decode_eff_memory"), .81, .06);
    assert_near(fitted(&fit, "prefill_eff_compute"), .55, .05);
    rt_op_table_release(&m.table);
}

/* No rows of 8 bit: their constants stay, and so do those that nothing depends on. */
static void test_keeps_the_rest(void **state)
{
    static struct rt_fit_ops fit;
    struct maker m = {.gpu = true_gpu()};
    struct rt_gpu start = fixture_4090();
    struct rt_err err;
    (void)state;
    rt_op_table_init(&m.table);
    make_gemm(&m, RT_BF16);
    for (size_t i = 0; i < m.table.count; i++)
        m.table.rows[i].group = 0;
    assert_ok(rt_fit_ops(&m.table, &start, &fit, &err), &err);
    assert_int_equal(fit.constant_count, 9);
    start.k.gemm_eff_compute = fit.gpu.k.gemm_eff_compute;
    start.k.gemm_eff_memory = fit.gpu.k.gemm_eff_memory;
    start.k.gemm_smooth_p = fit.gpu.k.gemm_smooth_p;
    start.k.gemm_overhead_s = fit.gpu.k.gemm_overhead_s;
    start.k.gemm_edge_rows = fit.gpu.k.gemm_edge_rows;
    start.k.gemm_start_columns = fit.gpu.k.gemm_start_columns;
    start.k.gemm_wave_share = fit.gpu.k.gemm_wave_share;
    start.k.gemm_split_share = fit.gpu.k.gemm_split_share;
    start.k.gemm_stream_share = fit.gpu.k.gemm_stream_share;
    assert_memory_equal(&start.k, &fit.gpu.k, sizeof start.k);
    assert_true(isfinite(fit.errors[0].left_out)); /* parts of the shapes, without names */
    for (size_t i = 0; i < m.table.count; i++)
        m.table.rows[i].dtype = m.table.rows[i].activation = RT_FP4;
    assert_fails(rt_fit_ops(&m.table, &start, &fit, &err), &err, RT_ECONFIG, "no rate of fp4");
    m.table.count = 0;
    assert_fails(rt_fit_ops(&m.table, &start, &fit, &err), &err, RT_ECONFIG, "read none");
    rt_op_table_release(&m.table);
}

/* Four measurements, and one: nine constants could meet them in many ways. What is found stays
 * within the usual spread of GPUs, and is better than the record all the same. */
static void test_few_rows(void **state)
{
    static const double four[][2] = {{1, 66}, {64, 71}, {512, 240}, {2048, 700}};
    static struct rt_fit_ops fit;
    struct rt_gpu start = fixture_4090();
    struct rt_err err;
    (void)state;
    for (unsigned rows = 4; rows > 0; rows = rows == 4 ? 1 : 0) {
        struct maker m = {.gpu = start};
        rt_op_table_init(&m.table);
        for (unsigned i = 0; i < rows; i++) {
            struct rt_op_row row = row_of(RT_OP_GEMM);
            row.value[RT_OPF_M] = four[i][0];
            row.value[RT_OPF_N] = 6144;
            row.value[RT_OPF_K] = 4096;
            add(&m, row, four[i][1] * 1e-6, 0);
        }
        assert_ok(rt_fit_ops(&m.table, &start, &fit, &err), &err);
        assert_true(fit.constant_count > 0);
        for (unsigned i = 0; i < fit.constant_count; i++) {
            const struct rt_fit_constant *c = &fit.constants[i];
            print_message("%u rows: %-24s %10.5g, was %g\n", rows, c->key, c->after, c->before);
            assert_true(c->after > c->before / 1.5 && c->after < c->before * 1.5);
        }
        assert_true(fit.errors[0].median < 0.5 * fit.errors[0].before);
        rt_op_table_release(&m.table);
    }
}

/* ---- layouts --------------------------------------------------------------------------------- */

struct layout {
    const char *text;
    unsigned rows;
    enum rt_op op; /* of the first row after sorting */
    enum rt_op_field field;
    double value, us;
};

static void read_layout(const struct layout *l, const struct rt_op_source *source)
{
    struct table_file f;
    struct rt_op_table t;
    struct rt_err err;
    table_write_text(&f, l->text);
    rt_op_table_init(&t);
    assert_ok(rt_op_table_read(&t, f.path, source, &err), &err);
    rt_op_table_sort(&t);
    assert_int_equal(t.count, l->rows);
    assert_int_equal(t.rows[0].op, l->op);
    assert_near(t.rows[0].value[l->field], l->value, 1e-12);
    assert_near(t.rows[0].seconds * 1e6, l->us, 1e-12);
    rt_op_table_release(&t);
    table_remove(&f);
}

static void test_layouts(void **state)
{
    static const struct layout list[] = {
        {"gpu,model,tp,num_tokens,qkv_ms,o_ms,gate_up_ms,down_ms\n"
         "a,Some-7B,2,8,0.03,0.02,,0.05\n",
         3, RT_OP_GEMM, RT_OPF_K, 2048, 20}, /* o: K = 32 heads of 128 over 2 GPUs */
        {"q_heads,kv_heads,tp,is_prefill,batch,chunk,kv_len,prefill_ms,decode_ms\n"
         "28,4,1,0,16,0,512,0,0.02\n28,4,1,1,1,128,64,0.03,0\n",
         2, RT_OP_PREFILL, RT_OPF_HELD, 64, 30},
        {"phase,tp,batch,chunk,kv_len,attn_ms\ndecode,2,4,0,100,0.011\n", 1, RT_OP_DECODE,
         RT_OPF_HEADS, 16, 11},
        {"node,collective,workers,bytes,ms\nx,all_reduce,4,2048,0.05\nx,send_recv,2,2048,0.01\n", 1,
         RT_OP_ALL_REDUCE, RT_OPF_GPUS, 4, 50},
        {"gpu,model,tp,layer,tokens,time_us\nx,Llama-3.1-8B,1,qkv_proj,4,50\n"
         "x,Llama-3.1-8B,1,layernorm,4,2\nx,Llama-3.1-8B,1,rotary_emb,4,3\n"
         "x,Llama-3.1-8B,1,act_fn,4,4\nx,Llama-3.1-8B,1,embedding,4,9\n",
         2, RT_OP_GEMM, RT_OPF_N, 6144, 50},
        {"model,tp,layer,sequences,time_us\nllama-3.1-8b,1,lm_head,4,1000\n"
         "llama-3.1-8b,1,sampler,4,60\n",
         2, RT_OP_GEMM, RT_OPF_N, 128256, 1000},
        {"model,tp,tokens,activated_experts,time_us\nqwen3-30b-a3b,1,1,8,50\n"
         "qwen3-30b-a3b,1,64,8,60\n", /* the second touches far fewer than even routing does */
         1, RT_OP_MOE, RT_OPF_TOPK, 8, 50},
        {"tp,prefill_chunk,kv_prefill,n_decode,kv_decode,time_us\n1,64,16,2,32,70\n", 1,
         RT_OP_MIXED, RT_OPF_HELD, 16, 70},
        {"gpu,dtype,n,k,m1_us,m2_us,m4_us\nh,bfloat16,64,128,4,,6\nh,fp7,1,1,1,1,1\n", 2,
         RT_OP_GEMM, RT_OPF_N, 64, 4},
        {"kv_dtype,batch,kv_len,heads,kv_heads,head_dim,latency_us\nfp8,2,64,8,4,128,11\n", 1,
         RT_OP_DECODE, RT_OPF_CONTEXT, 64, 11},
        {"kv_dtype,batch,isl,heads,kv_heads,head_dim,latency_us\nbfloat16,2,64,8,4,128,11\n", 1,
         RT_OP_PREFILL, RT_OPF_Q, 64, 11},
        {"dtype,num_tokens,hidden,inter,topk,experts,moe_tp,moe_ep,distribution,latency_us\n"
         "bfloat16,16,4096,14336,2,8,2,1,balanced,300\n"
         "bfloat16,16,4096,14336,2,8,2,1,power_law_1.2,400\n",
         1, RT_OP_MOE, RT_OPF_FFN, 7168, 300},
        {"op,n_gpus,message_elems,latency_us\nall_reduce,2,128,4.5\nall_gather,2,128,4\n", 1,
         RT_OP_ALL_REDUCE, RT_OPF_BYTES, 256, 4.5},
    };
    static const char shapes[] = "model,hidden,q_heads,kv_heads,head_dim,ffn,gated\n"
                                 "Some-7B,4096,32,32,128,11008,1\n";
    struct rt_catalog *catalog;
    struct table_file shape_file;
    struct rt_err err;
    (void)state;
    assert_ok(rt_catalog_open(NULL, &catalog, &err), &err);
    table_write_text(&shape_file, shapes);
    struct rt_op_source source = {
        .catalog = catalog, .model = "llama-3.1-8b", .shapes = shape_file.path};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        read_layout(&list[i], &source);
    table_remove(&shape_file);
    rt_catalog_free(catalog);
}

static void test_where(void **state)
{
    static const struct layout one = {
        "gpu,kv_dtype,batch,kv_len,heads,kv_heads,head_dim,latency_us\n"
        "a,fp8,2,64,8,4,128,11\nb,fp8,2,64,8,4,128,12\n",
        1,
        RT_OP_DECODE,
        RT_OPF_CONTEXT,
        64,
        12};
    const char *const where[] = {"gpu:b", "other:x"};
    struct rt_op_source source = {.format = "nvidia-decode", .where = where, .where_count = 2};
    (void)state;
    read_layout(&one, &source);
}

static void test_bad_layouts(void **state)
{
    static const struct {
        const char *text, *format;
        enum rt_code code;
        const char *message;
    } list[] = {
        {"x,y\n1,2\n", NULL, RT_ETRACE, "no known table"},
        {"x,y\n1,2\n", "nvidia-gem", RT_EUSAGE, "did you mean \"nvidia-gemm\""},
        {"dtype,n\nx,1\n", "nvidia-gemm", RT_ETRACE, "needs a column"},
        {"tp,prefill_chunk,kv_prefill,n_decode,kv_decode,time_us\n1,64,16,2,32,7\n", NULL,
         RT_EUSAGE, "--model"},
        {"model,tp,layer,tokens,time_us\nnope,1,o_proj,4,5\n", NULL, RT_ECONFIG, "unknown model"},
        {"node,collective,workers,bytes,ms\nx,all_reduce,1,2,3\n", NULL, RT_ETRACE, "gpus from 2"},
        {"node,collective,workers,bytes,ms\nx,all_reduce,q,2,3\n", NULL, RT_ETRACE,
         ":2:14: workers: expected a number"},
    };
    struct rt_catalog *catalog;
    struct rt_err err;
    (void)state;
    assert_ok(rt_catalog_open(NULL, &catalog, &err), &err);
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        struct rt_op_source source = {.format = list[i].format, .catalog = catalog};
        struct table_file f;
        struct rt_op_table t;
        table_write_text(&f, list[i].text);
        rt_op_table_init(&t);
        assert_fails(rt_op_table_read(&t, f.path, &source, &err), &err, list[i].code,
                     list[i].message);
        rt_op_table_release(&t);
        table_remove(&f);
    }
    rt_catalog_free(catalog);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recovers),       cmocka_unit_test(test_robust),
        cmocka_unit_test(test_keeps_the_rest), cmocka_unit_test(test_few_rows),
        cmocka_unit_test(test_layouts),        cmocka_unit_test(test_where),
        cmocka_unit_test(test_bad_layouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
