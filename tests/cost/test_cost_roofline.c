/* roofline and speed of light: limits worked out by hand, what doubling bandwidth, batch or TP does
 * to each term, sums of terms, tables against direct computation, inputs that cannot be priced. */
#include "cost_fixture.h"
#include "rooftrace/decode_run.h"
#include "rooftrace/explain.h"
#include "rooftrace/rng.h"
#include "support/test.h"

#include <math.h>

#define assert_near(got, want, relative)                                                           \
    do {                                                                                           \
        double got_ = (got), want_ = (want);                                                       \
        if (!(fabs(got_ - want_) <= (relative)*fabs(want_)))                                       \
            fail_msg("%s = %.9g, expected %.9g within %g", #got, got_, want_, (double)(relative)); \
    } while (0)

static struct rt_cost *make(const struct rt_cost_inputs *in)
{
    struct rt_cost *c;
    struct rt_err err;
    assert_ok(rt_cost_new(in, &c, &err), &err);
    return c;
}

static struct rt_cost *light(struct rt_cost_inputs in)
{
    in.spec.speed_of_light = true;
    return make(&in);
}

static double seconds(const struct rt_cost *c, struct rt_step_shape s)
{
    return (double)rt_cost_step_ns(c, &s) * 1e-9;
}

static double term(const struct rt_cost *c, struct rt_step_shape s, enum rt_term t)
{
    double terms[RT_TERM_COUNT];
    rt_cost_step_terms(c, &s, terms);
    return terms[t];
}

/* A GPU without efficiencies and overheads: eff 1, everything else 0, a sharp maximum. */
static struct rt_gpu ideal(struct rt_gpu g)
{
    struct rt_gpu_constants k = {
        .gemm_eff_compute = 1,
        .gemm_eff_memory = 1,
        .gemm_smooth_p = 100,
        .quantized_memory_8bit = 1,
        .quantized_memory_4bit = 1,
        .quantized_compute = 1,
        .quantized_kv_8bit = 1,
        .stream_eff_16bit = 1,
        .stream_eff_8bit = 1,
        .stream_eff_4bit = 1,
        .mixed_decode_columns = 1,
        .moe_eff_compute = 1,
        .moe_eff_memory = 1,
        .moe_smooth_p = 100,
        .moe_io_bytes_per_s = 1e30, /* moves nothing worth naming */
        .moe_weight_only_compute = 1,
        .decode_eff_memory = 1,
        .prefill_eff_compute = 1,
        .prefill_io_bytes_per_s = 1e30,
        .elementwise_ref_bytes = 1,
        .allreduce_bus_bytes_per_s = 100e9,
    };
    g.k = k;
    return g;
}

/* ---- speed of light -------------------------------------------------------------------------- */

/* "7B of 14.2 GB fp16 on an RTX 4090 (1008 GB/s): 14.1 ms a token; 8 bit 7.0 ms"
 * [zeux, LLM inference speed of light, 2024]. */
static void test_light_7b(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_mistral_7b(), 1);
    struct rt_cost *c = light(in);
    assert_near(seconds(c, fixture_decodes(c, 1, 0)), 14.1e-3, 2e-3);
    assert_near(seconds(c, fixture_decodes(c, 1, 0)), 2 * 7113805824.0 / 1008e9, 1e-4);
    rt_cost_free(c);
    in.dtypes.weight = in.dtypes.head = RT_INT8;
    c = light(in);
    assert_near(seconds(c, fixture_decodes(c, 1, 0)), 7.05e-3, 2e-3);
    rt_cost_free(c);
}

/* Llama-2-7B: 6,607,343,616 parameters without the input embedding [its config.json: 32*(4*4096^2 +
 * 3*4096*11008) + 32000*4096 + norms]; 512 KiB of KV a token. */
static void test_light_llama2(void **state)
{
    (void)state;
    struct rt_cost *c = light(fixture_inputs(fixture_4090(), fixture_llama2_7b(), 1));
    struct rt_step_shape one = fixture_decodes(c, 1, 0), held = fixture_decodes(c, 1, 4096);
    assert_near(term(c, one, RT_TERM_WEIGHTS), 2 * 6607343616.0 / 1008e9, 1e-4);
    assert_near(term(c, held, RT_TERM_KV), 4096 * 524288.0 / 1008e9, 1e-12);
    /* compute bound: 2 * 6.607e9 * 2048 / 165.2 TFLOP/s, of which the LM head counts one row */
    struct rt_step_shape prompt = fixture_prefill(2048, 0);
    double flops = 2 * (6607343616.0 - 266240 - 131072000) * 2048 + 2 * 131072000.0;
    assert_near(term(c, prompt, RT_TERM_COMPUTE), flops / 165.2e12, 1e-9);
    assert_true(term(c, prompt, RT_TERM_WEIGHTS) == 0);
    /* 4*D*Hq FLOP a query-key pair: 4*4096*32 layers */
    assert_near(term(c, prompt, RT_TERM_ATTENTION),
                4 * 4096.0 * 32 * (2048.0 * 2049 / 2) / 165.2e12, 1e-12);
    rt_cost_free(c);
}

/* Mixtral at batch 1 reads 2 of 8 experts: 12,748,853,248 parameters; a large batch reads all. */
static void test_light_experts(void **state)
{
    (void)state;
    struct rt_cost *c = light(fixture_inputs(fixture_h100(), fixture_mixtral(), 2));
    double read = term(c, fixture_decodes(c, 1, 0), RT_TERM_WEIGHTS) * 3350e9;
    assert_near(read * 2, 2 * 12748853248.0, 1e-3);
    read = term(c, fixture_decodes(c, 200, 0), RT_TERM_WEIGHTS) * 3350e9;
    assert_near(read * 2, 2 * (46702792704.0 - 131072000), 1e-3);
    rt_cost_free(c);
}

/* The floor is a floor: the roofline of the same inputs is never faster. */
static void test_light_is_the_floor(void **state)
{
    (void)state;
    struct rt_model models[] = {fixture_llama2_7b(), fixture_llama3_70b(), fixture_mixtral(),
                                fixture_deepseek_v3(), fixture_windowed()};
    struct rt_rng r;
    rt_rng_init(&r, 3, RT_RNG_TOOLS, 0);
    for (int i = 0; i < 5; i++) {
        struct rt_cost_inputs in = fixture_inputs(fixture_h100(), models[i], i == 3 ? 8 : 4);
        in.gpu.k.gemm_eff_compute = in.gpu.k.gemm_eff_memory = 1;
        in.gpu.k.decode_eff_memory = in.gpu.k.prefill_eff_compute = 1;
        struct rt_cost *real = make(&in), *floor_ = light(in);
        for (int n = 0; n < 300; n++) {
            struct rt_step_shape s = fixture_decodes(real, 1 + (int64_t)rt_rng_below(&r, 500),
                                                     (int64_t)rt_rng_below(&r, 30000));
            if (n % 2)
                rt_step_add_prefill(&s, 1 + (int64_t)rt_rng_below(&r, 2000),
                                    (int64_t)rt_rng_below(&r, 4000));
            assert_true(rt_cost_step_ns(real, &s) >= rt_cost_step_ns(floor_, &s));
        }
        rt_cost_free(real);
        rt_cost_free(floor_);
    }
}

/* ---- by hand --------------------------------------------------------------------------------- */

/* One layer of H = 4096, 32 heads, 8 KV heads, ffn 14336: 4096*6144 + 4096*4096 + 4096*28672 +
 * 14336*4096 = 218,103,808 weights; at M = 1 all are memory bound, at M = 8192 compute bound. */
static void test_gemm_limits(void **state)
{
    (void)state;
    struct rt_model m = fixture_llama31_8b();
    m.layers = 1;
    struct rt_cost_inputs in = fixture_inputs(ideal(fixture_h100()), m, 1);
    struct rt_cost *c = make(&in);
    struct rt_step_shape s = fixture_prefill(1, 0);
    s.samples = 0;
    double io = 2.0 * (4096 + 6144 + 4096 + 4096 + 4096 + 28672 + 14336 + 4096);
    assert_near(term(c, s, RT_TERM_WEIGHTS), (2 * 218103808.0 + io) / 3350e9, 1e-9);
    assert_near(term(c, s, RT_TERM_COMPUTE), 0, 1e-9);
    s = fixture_prefill(8192, 0);
    s.samples = 0;
    assert_near(term(c, s, RT_TERM_COMPUTE), 2 * 218103808.0 * 8192 / 989e12, 1e-6);
    assert_near(term(c, s, RT_TERM_WEIGHTS), 0, 1e-6);
    rt_cost_free(c);

    /* p = 2 at the ridge, C = W: t = sqrt(2)*C, half to each */
    in.gpu.k.gemm_smooth_p = 2;
    in.gpu.mem_bw_bytes_per_s = 1e9;
    in.gpu.peak_flops[RT_BF16] = 1e12;
    in.model.ffn = 4096;
    in.model.kv_heads = 32;
    c = make(&in);
    s = fixture_prefill(1024,
                        0); /* every product: 2*1024*K*N FLOP against 2*(KN + MK + MN) bytes */
    s.samples = 0;
    double want = 0;
    const double n[] = {12288, 4096, 8192, 4096};
    for (int i = 0; i < 4; i++) {
        double compute = 2 * 1024 * 4096 * n[i] / 1e12;
        double bytes = 2 * (4096 * n[i] + 1024 * 4096 + 1024 * n[i]) / 1e9;
        want += sqrt(compute * compute + bytes * bytes);
    }
    assert_near(term(c, s, RT_TERM_WEIGHTS) + term(c, s, RT_TERM_COMPUTE), want, 1e-12);
    rt_cost_free(c);
}

/* Seconds of an LM head of 8192 x n on `rows` rows, on 100 SMs with no limit but arithmetic. */
static double head_s(const struct rt_gpu_constants *k, double sms, int64_t n, int64_t rows)
{
    struct rt_cost_inputs in = fixture_inputs(ideal(fixture_h100()), fixture_llama3_70b(), 1);
    in.gpu.k.gemm_edge_rows = k->gemm_edge_rows;
    in.gpu.k.gemm_start_columns = k->gemm_start_columns;
    in.gpu.k.gemm_wave_share = k->gemm_wave_share;
    in.gpu.sm_count = sms;
    in.gpu.mem_bw_bytes_per_s = 1e18;
    in.gpu.peak_flops[RT_BF16] = 1e12;
    in.model.vocab = n;
    struct rt_cost *c = make(&in);
    struct rt_step_shape s;
    memset(&s, 0, sizeof s);
    s.samples = rows;
    double t = term(c, s, RT_TERM_COMPUTE);
    rt_cost_free(c);
    return t;
}

/* K = 8192. 6400 columns are 100 tiles of 64, 50 of 128, 25 of 256. */
static void test_gemm_tiles(void **state)
{
    struct rt_gpu_constants k = {.gemm_wave_share = 1};
    const double row = 2 * 8192.0 * 6400 / 1e12, tile = 2 * 16 * 64 * 100 / 1e12;
    (void)state;
    assert_near(head_s(&k, 100, 6400, 16), 16 * row, 1e-9); /* one wave of tiles of 16 rows */
    assert_near(head_s(&k, 100, 6400, 1), 16 * row, 1e-9);
    assert_near(head_s(&k, 100, 6400, 65), 80 * row, 1e-9);        /* five waves */
    assert_near(head_s(&k, 100, 64, 16), tile * 2048, 1e-9);       /* one tile: K in 4 parts */
    assert_near(head_s(&k, 100, 6464, 16), 5 * tile * 2048, 1e-9); /* 404 quarters on 100 SMs */
    k.gemm_start_columns = 100;
    assert_near(head_s(&k, 100, 64, 16), tile * 2148, 1e-9);
    k.gemm_wave_share = k.gemm_start_columns = 0; /* no waves */
    assert_near(head_s(&k, 100, 64, 16), tile * 8192 / 100, 1e-9);
    assert_near(head_s(&k, 100, 6400, 65), 80 * row, 1e-9); /* tiles they are */
    k.gemm_wave_share = 1;
    assert_near(head_s(&k, 0, 64, 16), tile * 8192 / 100, 1e-9); /* SMs are not known */
    k.gemm_edge_rows = 128; /* a tile of 16 x 64 is (1 + 10)/(1 + 1.5) as slow as the largest */
    assert_near(head_s(&k, 100, 6400, 16), 16 * row * 11 / 2.5, 1e-9);
    assert_near(head_s(&k, 1, 6400, 1024), 1024 * row, 1e-9);
}

/* Seconds of an LM head of K = 8192 that has no limit but memory, on 128 SMs; overhead 4 us. */
static double streamed_s(double share, double split, double sms, int64_t n, int64_t rows)
{
    struct rt_cost_inputs in = fixture_inputs(ideal(fixture_h100()), fixture_llama3_70b(), 1);
    in.gpu.k.gemm_stream_share = share;
    in.gpu.k.gemm_split_share = split;
    in.gpu.k.gemm_overhead_s = 4e-6;
    in.gpu.sm_count = sms;
    in.gpu.mem_bw_bytes_per_s = 1e12;
    in.gpu.peak_flops[RT_BF16] = 1e24;
    in.model.vocab = n;
    struct rt_cost *c = make(&in);
    struct rt_step_shape s;
    memset(&s, 0, sizeof s);
    s.samples = rows;
    double t = term(c, s, RT_TERM_WEIGHTS);
    rt_cost_free(c);
    return t;
}

/* 2048 columns are 32 tiles of 64: a quarter of the SMs, half of them with K in two parts. */
static void test_gemm_streams(void **state)
{
    const double weights = 2 * 8192 * 2048 / 1e12, row = 2 * (8192 + 2048) / 1e12, split = 2e-6;
    (void)state;
    assert_near(streamed_s(0, .5, 128, 2048, 1), weights + row, 1e-9);
    assert_near(streamed_s(.5, 100, 128, 2048, 1), weights * sqrt(5) + row, 1e-9);  /* whole K */
    assert_near(streamed_s(.5, 0, 128, 2048, 1), weights * sqrt(1.25) + row, 1e-9); /* 4 parts */
    assert_near(streamed_s(.5, .5, 128, 2048, 1), weights * sqrt(1.25) + split + row, 1e-9);
    assert_near(streamed_s(.5, .5, 128, 2048, 100), weights * sqrt(1.25) + split + 100 * row, 1e-9);
    assert_near(streamed_s(.5, .5, 0, 2048, 1), weights + row, 1e-9); /* SMs are not known */
    /* 32 columns are half a tile; 65536 need no parts */
    assert_near(streamed_s(.5, 0, 128, 32, 1), weights / 64 * sqrt(1025) + 2 * 8224 / 1e12, 1e-9);
    assert_near(streamed_s(.5, .5, 128, 65536, 1),
                32 * weights * sqrt(1 + 1. / 256) + 2 * (8192 + 65536) / 1e12, 1e-9);
    double before = 0;
    for (int64_t n = 1; n < 9000; n += 37) { /* more columns never take less time */
        double t = streamed_s(.3, .7, 132, n, 16);
        assert_true(t > before);
        before = t;
    }
}

/* More rows, columns or SMs never hurt the way they should not; 300 random products. */
static void test_gemm_rises(void **state)
{
    struct rt_rng r;
    (void)state;
    rt_rng_init(&r, 19, RT_RNG_TOOLS, 0);
    for (int i = 0; i < 300; i++) {
        struct rt_gpu_constants k = {.gemm_edge_rows = rt_rng_unit(&r) * 60,
                                     .gemm_start_columns = rt_rng_unit(&r) * 300,
                                     .gemm_wave_share = rt_rng_unit(&r)};
        int64_t n = 1 + (int64_t)rt_rng_below(&r, 20000);
        int64_t rows = 1 + (int64_t)rt_rng_below(&r, 3000);
        double sms = 1 + (double)rt_rng_below(&r, 200);
        double t = head_s(&k, sms, n, rows), ideal_s = 2 * 8192.0 * (double)(n * rows) / 1e12;
        assert_true(t >= ideal_s * (1 - 1e-12));
        assert_true(head_s(&k, sms, n, rows + 1) >= t * (1 - 1e-12));
        assert_true(head_s(&k, sms, n + 1, rows) >= t * (1 - 1e-12));
        assert_true(head_s(&k, sms, n, 2 * rows) <= 2 * t * (1 + 1e-12));
    }
}

/* Decode attention: 8 KV heads * 128 * 2 (K, V) * 2 bytes = 4 KiB a token and layer. */
static void test_decode_by_hand(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_llama31_8b(), 1);
    struct rt_cost *c = make(&in);
    struct rt_step_shape s = fixture_decodes(c, 32, 1000);
    assert_near(term(c, s, RT_TERM_KV), 32 * 4096.0 * 32000 / (.885 * 1008e9), 1e-12);
    assert_near(term(c, s, RT_TERM_HOST), .5e-3 + 32 * 4e-6, 1e-12);
    assert_true(term(c, s, RT_TERM_ATTENTION) == 0 && term(c, s, RT_TERM_COMM) == 0);
    in.dtypes.kv = RT_FP8; /* half the bytes, at .8 of the rate, and 3 us for the scales */
    double launch = term(c, s, RT_TERM_LAUNCH);
    rt_cost_free(c);
    in.gpu.k.quantized_overhead_s = 3e-6;
    c = make(&in);
    assert_near(term(c, s, RT_TERM_KV), 32 * 2048.0 * 32000 / (.885 * .8 * 1008e9), 1e-12);
    assert_near(term(c, s, RT_TERM_LAUNCH), launch + 32 * 3e-6, 1e-12);
    rt_cost_free(c);
}

/* 5 us a layer over the first 40.96 MB of its KV, 10,000 tokens of 4096 bytes; behind windows and
 * with half the bytes a token, by what they read. */
static void test_decode_ramp(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_llama31_8b(), 1);
    in.gpu.k.decode_ramp_s = 5e-6;
    in.gpu.k.decode_ramp_bytes = 40.96e6;
    static const int64_t contexts[] = {1, 1000, 2500, 5000, 30000};
    static const double ramped[] = {.0004, .4, 1, 1, 1};
    struct rt_cost *c = make(&in);
    assert_int_equal(rt_cost_knee(c), 10000);
    for (int i = 0; i < 5; i++) {
        struct rt_step_shape s = fixture_decodes(c, 4, contexts[i]);
        double read = 4096.0 * 4 * (double)contexts[i] / (.885 * 1008e9);
        assert_near(term(c, s, RT_TERM_KV), 32 * (read + 5e-6 * ramped[i]), 1e-12);
    }
    rt_cost_free(c);
    in.dtypes.kv = RT_FP8;
    c = make(&in);
    assert_int_equal(rt_cost_knee(c), 20000);
    rt_cost_free(c);
    in.dtypes.kv = RT_BF16;
    in.model.window = 1000;
    in.model.local_layers = 16;
    c = make(&in);
    struct rt_step_shape s = {0};
    int64_t windows[1] = {1000};
    rt_step_add_decodes(&s, 4, 5000, windows, 1);
    double full = 4096.0 * 20000 / (.885 * 1008e9), behind = full / 5;
    assert_near(term(c, s, RT_TERM_KV), 16 * (full + 5e-6) + 16 * (behind + 5e-6 * .4), 1e-12);
    rt_cost_free(c);
    in.gpu.k.decode_ramp_bytes = 0; /* no ramp */
    c = make(&in);
    assert_true(rt_cost_knee(c) > INT64_MAX / 4);
    rt_cost_free(c);
}

/* MLA: 576 numbers a token whatever the heads; at 16 of 128 heads a GPU reading dominates, at all
 * 128 the arithmetic 128*2*(2*512 + 64) FLOP does. */
static void test_latent_by_hand(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(ideal(fixture_h100()), fixture_deepseek_v3(), 8);
    struct rt_cost *c = make(&in);
    struct rt_step_shape s = fixture_decodes(c, 1, 10000);
    assert_near(term(c, s, RT_TERM_KV), 61 * 1152.0 * 10000 / 3350e9, 1e-12);
    /* a prefill expands the latents of its history again: 512*16*(128 + 128) multiply-adds a token
     */
    struct rt_step_shape near_ = fixture_prefill(64, 0), far = fixture_prefill(64, 1000);
    near_.prefill_tiles2 = far.prefill_tiles2;
    assert_near(term(c, far, RT_TERM_ATTENTION) - term(c, near_, RT_TERM_ATTENTION),
                61 * 1000.0 * 2 * 512 * 16 * 256 / 989e12, 1e-9);
    rt_cost_free(c);
    in.parallel.tensor = 1;
    in.gpu.mem_bw_bytes_per_s = 8000e9;
    c = make(&in);
    assert_near(term(c, s, RT_TERM_KV), 61 * 128 * 2176.0 * 10000 / 989e12, 1e-12);
    rt_cost_free(c);
}

/* Prefill tiles: q = 2048 are 32 tiles a head, 1024 tiles on 128 SMs = 8 waves of (1024 + 32) mean
 * columns; one column of a 64-row tile is 64*4*128 FLOP on 1/128 of the peak. */
static void test_prefill_by_hand(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_llama31_8b(), 1);
    struct rt_cost *c = make(&in);
    double column = 64 * 4 * 128 / (.8 * 165.2e12 / 128);
    assert_near(term(c, fixture_prefill(2048, 0), RT_TERM_ATTENTION), 32 * 8 * 1056 * column,
                1e-12);
    /* 64 rows behind 8192: 32 tiles, a quarter of the SMs, still one tile's time */
    assert_near(term(c, fixture_prefill(64, 8192), RT_TERM_ATTENTION), 32 * 8256 * column, 1e-12);
    rt_cost_free(c);
    in.gpu.sm_count = 0; /* unknown: no waves */
    c = make(&in);
    double whole = 64 * 4 * 128 / (.8 * 165.2e12);
    assert_near(term(c, fixture_prefill(64, 8192), RT_TERM_ATTENTION), 32 * 32 * 8256 * whole,
                1e-12);
    rt_cost_free(c);
}

/* A tile takes `pad` columns longer; Q, K, V and the result pass the memory: 2*32 heads * 128 * 2
 * bytes a query, 2*8 * 128 * 2 a key, whether new or held. */
static void test_prefill_pad_and_io(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_llama31_8b(), 1);
    in.gpu.k.prefill_pad_columns = 200;
    in.gpu.k.prefill_io_bytes_per_s = 1.5e12;
    struct rt_cost *c = make(&in);
    double column = 64 * 4 * 128 / (.8 * 165.2e12 / 128);
    double io = (2048 * 16384.0 + (2048 + 1000) * 4096.0) / 1.5e12;
    assert_near(term(c, fixture_prefill(2048, 1000), RT_TERM_ATTENTION),
                32 * (8 * (2056 + 200) * column + io), 1e-12);
    rt_cost_free(c);
    in.dtypes.kv = RT_FP8; /* keys and values of half the size pass at .8 of the rate */
    in.gpu.k.quantized_overhead_s = 2e-6;
    c = make(&in);
    io = (2048 * 16384.0 + (2048 + 1000) * 2048.0) / (.8 * 1.5e12);
    assert_near(term(c, fixture_prefill(2048, 1000), RT_TERM_ATTENTION),
                32 * (8 * (2056 + 200) * column + io), 1e-12);
    rt_cost_free(c);
}

/* A chunk and decodes: apart on Hopper, one call of tiles on the 4090. */
static void test_mixed(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_llama31_8b(), 1);
    struct rt_cost *c = make(&in);
    struct rt_step_shape pure = fixture_decodes(c, 32, 1000), both = pure;
    rt_step_add_prefill(&both, 512, 0);
    double per_sm = 64 * 4 * 128 / (.8 * 165.2e12 / 128) * 32 / 128;
    /* 32 heads * (8 + 32) tiles on 128 SMs; the longest is a decode's, 1000 + 200 columns */
    double tail = .6 * 1200 * 64 * 4 * 128 / (.8 * 165.2e12 / 128);
    assert_near(term(c, both, RT_TERM_KV), 32 * ((32000 + 32 * 200.0) * per_sm + tail), 1e-9);
    /* the 32 decodes leave 7 of 8 tiles empty in each of 32 heads, .3 us of one of 128 SMs each */
    assert_near(term(c, both, RT_TERM_ATTENTION),
                32 * (8 * 288.0 * per_sm + 32 * 7 * 32 * .3e-6 / 128), 1e-9);
    assert_true(term(c, both, RT_TERM_KV) > 1.5 * term(c, pure, RT_TERM_KV));
    rt_cost_free(c);
    in.gpu.k.mixed_as_tiles = false;
    c = make(&in);
    assert_true(term(c, both, RT_TERM_KV) == term(c, pure, RT_TERM_KV));
    assert_near(term(c, both, RT_TERM_ATTENTION),
                term(c, fixture_prefill(512, 0), RT_TERM_ATTENTION), 1e-12);
    rt_cost_free(c);
}

/* 4 query heads share a KV head. With 128 sequences or more on 128 SMs they run one after the
 * other: when the KV of one head is twice the cache, each of them reads it; up to the cache none
 * does; and with 32 sequences all four run at once. */
static void test_mixed_reads_again(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_llama31_8b(), 1);
    in.gpu.k.mixed_l2_bytes = 50e6;
    in.gpu.k.prefill_eff_compute = 2; /* tiles take no time worth naming */
    in.gpu.peak_flops[RT_BF16] = 1e18;
    struct rt_cost *c = make(&in);
    const struct {
        int64_t n, ctx;
        double reads;
    } cases[] = {{128, 8192, 4}, {256, 1 << 20, 4}, {128, 700, 1}, {64, 16384, 2}, {32, 32768, 1}};
    for (int i = 0; i < 5; i++) {
        struct rt_step_shape s = fixture_decodes(c, cases[i].n, cases[i].ctx);
        rt_step_add_prefill(&s, 1, 0);
        double once = 32 * 4096.0 * (double)(cases[i].n * cases[i].ctx) / (.885 * 1008e9);
        assert_near(term(c, s, RT_TERM_KV), cases[i].reads * once, 2e-3);
    }
    /* between: 1.5 times the cache of 97656.25 tokens, half of them missed */
    struct rt_step_shape s = fixture_decodes(c, 128, 0);
    s.decode_context = 146484;
    rt_step_add_prefill(&s, 1, 0);
    assert_near(term(c, s, RT_TERM_KV), 2.5 * 32 * 4096.0 * 146484 / (.885 * 1008e9), 2e-3);
    rt_cost_free(c);
}

/* Half of the layers read at most the window; there the shape's own sums count. */
static void test_windows(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_windowed(), 1);
    struct rt_cost *c = make(&in);
    int64_t windows[RT_MAX_WINDOWS];
    assert_int_equal(rt_cost_windows(c, windows), 1);
    assert_int_equal(windows[0], 1024);
    assert_false(rt_cost_can_run(c));
    double token = 4096 / (.87 * 3350e9);
    assert_near(term(c, fixture_decodes(c, 3, 500), RT_TERM_KV), 32 * 1500 * token, 1e-12);
    assert_near(term(c, fixture_decodes(c, 3, 9000), RT_TERM_KV), (16 * 27000 + 16 * 3072) * token,
                1e-12);
    struct rt_step_shape far = fixture_prefill(512, 60000);
    rt_cost_free(c);
    in.model.local_layers = 0;
    in.model.window = 0;
    struct rt_cost *full = make(&in);
    in.model.window = 1024;
    in.model.local_layers = 16;
    c = make(&in);
    assert_true(term(c, far, RT_TERM_ATTENTION) < .52 * term(full, far, RT_TERM_ATTENTION));
    rt_cost_free(c);
    rt_cost_free(full);
}

/* Experts touched by M tokens, uniform routing: E*(1-(1-k/E)^M) [docs/cost-model.md]. */
static void test_experts_by_hand(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(ideal(fixture_h100()), fixture_mixtral(), 1);
    struct rt_cost *c = make(&in);
    for (int64_t m = 1; m <= 16; m *= 2) {
        double touched = 8 * (1 - pow(.75, (double)m));
        double matrix = 3.0 * 4096 * 14336, attention = 4096 * (6144 + 4096.0) + 4096 * 8;
        double want = 2 * 32 * (touched * matrix + attention) / 3350e9;
        struct rt_step_shape s = fixture_decodes(c, m, 0);
        s.samples = 0;
        assert_near(term(c, s, RT_TERM_WEIGHTS), want, 2e-3);
    }
    rt_cost_free(c);
    /* whole experts per GPU: a fourth of the experts, each four times as wide: the same bytes */
    in.parallel.tensor = 4;
    struct rt_cost *sliced = make(&in);
    in.parallel.expert = 4;
    struct rt_cost *apart = make(&in);
    struct rt_step_shape s = fixture_decodes(sliced, 64, 0);
    assert_near(term(apart, s, RT_TERM_WEIGHTS), term(sliced, s, RT_TERM_WEIGHTS), 5e-3);
    rt_cost_free(sliced);
    rt_cost_free(apart);
}

/* Everything fixed or linear in M, S and B, on the shape the elementwise constants belong to; then
 * on one whose layers move another number of bytes. */
static void test_small_terms(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_llama31_8b(), 1);
    struct rt_cost *c = make(&in);
    struct rt_step_shape s = fixture_decodes(c, 512, 100);
    double io = 512 * 6 * 4096.0 * 2 / (1008e9 * .935); /* embedding, final norm */
    assert_near(term(c, s, RT_TERM_OTHER), 32 * (512 * .06e-6 + 96 * .071e-6) + io + 512 * .6e-6,
                1e-12);
    assert_near(term(c, s, RT_TERM_LAUNCH),
                129 * 5.8e-6 + 32 * 8.6e-6 + 20e-6 + 32 * (14e-6 + 512 * 8 / 128.0 * 2e-6), 1e-12);
    rt_cost_free(c);
    /* Llama-2-7B: 2*(8*4096 + 2*64*128 + 3*11008) = 164,352 bytes a token instead of 172,032 */
    in.model = fixture_llama2_7b();
    c = make(&in);
    double scale = 164352.0 / 172032;
    assert_near(term(c, s, RT_TERM_OTHER),
                32 * (512 * scale * .06e-6 + (512 * scale - 416) * .071e-6) + io + 512 * .6e-6,
                1e-12);
    rt_cost_free(c);
}

/* Per MoE layer: one overhead for all of the experts, three products beside them, and rows that
 * fill the touched experts' tiles. */
static void test_expert_overheads(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(ideal(fixture_h100()), fixture_mixtral(), 1);
    in.gpu.k.moe_overhead_s = 30e-6;
    in.gpu.k.gemm_overhead_s = 1e-6;
    struct rt_cost *c = make(&in);
    struct rt_step_shape s = fixture_prefill(4096, 0);
    assert_near(term(c, s, RT_TERM_LAUNCH), 32 * 30e-6 + (32 * 3 + 1) * 1e-6, 1e-12);
    double before = term(c, s, RT_TERM_COMPUTE);
    rt_cost_free(c);
    in.gpu.k.moe_eff_compute = .5; /* of grouped products alone */
    c = make(&in);
    double experts = 32 * 2 * 4096 * 2 * 3.0 * 4096 * 14336 / 989e12;
    assert_near(term(c, s, RT_TERM_COMPUTE) - before, experts, 1e-6);
    rt_cost_free(c);
    in.gpu.k.moe_eff_compute = 1;
    in.gpu.k.moe_pad_rows = 16; /* all 8 experts are touched: 128 rows more */
    c = make(&in);
    double rows = 32 * 2 * 128 * 3.0 * 4096 * 14336 / 989e12;
    assert_near(term(c, s, RT_TERM_COMPUTE) - before, rows, 1e-6);
    double others = term(c, s, RT_TERM_OTHER);
    rt_cost_free(c);
    in.gpu.k.moe_io_bytes_per_s = 1e12; /* 2 experts a token: 3 columns and a result each */
    c = make(&in);
    double io = 32 * 4096 * 2 * (3 * 14336.0 + 4096) * 2 / 1e12;
    assert_near(term(c, s, RT_TERM_OTHER) - others, io, 1e-9);
    rt_cost_free(c);
    in.parallel.tensor = in.parallel.expert = 4; /* whole experts: rows of all of them are moved */
    c = make(&in);
    assert_near(term(c, s, RT_TERM_OTHER) - others, io, 1e-2);
    rt_cost_free(c);
}

/* gpt-oss's way: experts of 4.25 bits under bf16, everything else as it was. Unpacking costs
 * arithmetic, and only that of the experts; fewer bytes pass, and only theirs. */
static void test_packed_experts(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(ideal(fixture_h100()), fixture_mixtral(), 1);
    struct rt_cost *c = make(&in);
    struct rt_step_shape prefill = fixture_prefill(4096, 0), decode = fixture_decodes(c, 64, 1024);
    double matrices = 32 * 3.0 * 4096 * 14336;
    double computed = term(c, prefill, RT_TERM_COMPUTE), read = term(c, decode, RT_TERM_WEIGHTS);
    rt_cost_free(c);
    in.dtypes.experts_apart = true;
    in.dtypes.expert = RT_MXFP4;
    in.gpu.k.quantized_memory_4bit = 1;
    in.gpu.k.moe_weight_only_compute = .8; /* a quarter longer */
    c = make(&in);
    assert_near(term(c, prefill, RT_TERM_COMPUTE) - computed,
                matrices * 2 * 4096 * 2 / 989e12 * .25, 1e-6);
    double saved = matrices * 8 * (2 - .53125) / in.gpu.mem_bw_bytes_per_s;
    assert_near(read - term(c, decode, RT_TERM_WEIGHTS), saved, saved * 1e-3);
    rt_cost_free(c);
    in.dtypes.activation = RT_FP8; /* products in 8 bits are not of this kind */
    double eight[2];
    for (int i = 0; i < 2; i++) {
        in.gpu.k.moe_weight_only_compute = i == 0 ? .5 : 1;
        c = make(&in);
        eight[i] = term(c, prefill, RT_TERM_COMPUTE);
        rt_cost_free(c);
    }
    assert_near(eight[0], eight[1], 1e-15);
    in.dtypes.activation = RT_BF16; /* the better it unpacks, the sooner it ends */
    double last = (double)INFINITY;
    for (in.gpu.k.moe_weight_only_compute = .25; in.gpu.k.moe_weight_only_compute < 1.5;
         in.gpu.k.moe_weight_only_compute *= 2) {
        c = make(&in);
        double now = term(c, prefill, RT_TERM_COMPUTE);
        assert_true(now < last);
        last = now;
        rt_cost_free(c);
    }
}

/* Without captured graphs a layer takes at least the host's launches, the host's time between steps
 * comes on top, nothing is padded, and the parts still add up. */
static void test_eager(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_llama31_8b(), 1);
    in.gpu.k.host_launch_s_per_layer = 800e-6;
    in.gpu.k.host_s_per_step = 1e-3;
    in.gpu.k.host_s_per_seq = 0;
    struct rt_cost *graphs = make(&in);
    in.gpu.k.graph_max_tokens = 0;
    struct rt_cost *unpadded = make(&in);
    in.gpu.k.graph_max_tokens = 512;
    in.eager = true;
    struct rt_cost *eager = make(&in);
    assert_true(rt_cost_can_run(graphs) && !rt_cost_can_run(eager));
    for (int64_t batch = 1; batch <= 256; batch += 51) {
        struct rt_step_shape s = fixture_decodes(eager, batch, 500);
        struct rt_cost_part parts[RT_MAX_COST_PARTS];
        double sum = 0, gpu = (double)rt_cost_step_ns(unpadded, &s) * 1e-9 - 1e-3;
        assert_near((double)rt_cost_step_ns(eager, &s) * 1e-9, fmax(gpu, 32 * 800e-6) + 1e-3, 1e-6);
        unsigned n = rt_cost_explain(eager, &s, parts);
        for (unsigned k = 0; k < n; k++)
            sum += rt_cost_part_s(&parts[k]);
        assert_near(sum, (double)rt_cost_step_ns(eager, &s) * 1e-9, 1e-6);
    }
    struct rt_step_shape prompt = fixture_prefill(8000, 0); /* hides the launches */
    assert_int_equal(rt_cost_step_ns(eager, &prompt), rt_cost_step_ns(unpadded, &prompt));
    rt_cost_free(graphs);
    rt_cost_free(unpadded);
    rt_cost_free(eager);
}

/* The LM head is read and multiplied in its own type, whatever the others have. */
static void test_head_dtype(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(ideal(fixture_h100()), fixture_llama31_8b(), 1);
    struct rt_cost_part parts[RT_MAX_COST_PARTS];
    double matrix = 128256 * 4096.0, took_s[2] = {0, 0};
    in.dtypes =
        (struct rt_dtypes){.weight = RT_FP8, .activation = RT_FP8, .kv = RT_BF16, .head = RT_BF16};
    for (int i = 0; i < 2; i++) {
        struct rt_cost *c = make(&in);
        struct rt_step_shape s = fixture_decodes(c, 8, 100);
        unsigned n = rt_cost_explain(c, &s, parts);
        for (unsigned k = 0; k < n; k++)
            if (strcmp(parts[k].name, "lm_head") == 0) {
                double input = 8 * 4096 * (i == 0 ? 2 : 1), output = 8 * 128256 * 2;
                assert_near(parts[k].bytes, matrix * (i == 0 ? 2 : 1) + input + output, 1);
                took_s[i] = rt_cost_part_s(&parts[k]);
            }
        rt_cost_free(c);
        in.dtypes.head = RT_FP8;
    }
    assert_near(took_s[0], (matrix * 2 + 8 * 4096 * 2 + 8 * 128256 * 2) / 3350e9, 1e-5);
    assert_true(took_s[0] > 1.8 * took_s[1]);
    in.dtypes.head = RT_BF16;
    in.spec.speed_of_light = true; /* the floor counts it, too */
    struct rt_cost *wide = make(&in);
    in.dtypes.head = RT_FP8;
    struct rt_cost *narrow = make(&in);
    struct rt_step_shape s = fixture_decodes(wide, 1, 0);
    assert_near(seconds(wide, s) - seconds(narrow, s), matrix / 3350e9, 1e-5);
    rt_cost_free(wide);
    rt_cost_free(narrow);
}

/* Experts in tiles (DeepGEMM): rows + experts*127 of them, in tiles of 128, whatever is touched;
 * the slower of multiplying and loading, then the results, then an activation that reads and writes
 * all rows. Mixtral: 8 experts of 14336 columns, 2 a token, fp8. */
static void test_experts_in_tiles(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(ideal(fixture_h100()), fixture_mixtral(), 1);
    in.dtypes =
        (struct rt_dtypes){.weight = RT_FP8, .activation = RT_FP8, .kv = RT_BF16, .head = RT_FP8};
    const double flops = 1979e12, bw = 3350e9, up = 4096.0 * 28672, down = 14336.0 * 4096;
    assert_near(in.gpu.peak_flops[RT_FP8], flops, 1e12);
    in.gpu.peak_flops[RT_FP8] = flops;
    struct rt_cost *fused = make(&in);
    in.experts_in_tiles = true;
    struct rt_cost *c = make(&in);
    static const int64_t tokens[] = {1, 4, 64, 2048};
    static const double padded[] = {1024, 1024, 1152, 5120}; /* 2M + 8*127, in tiles */
    for (int i = 0; i < 4; i++) {
        struct rt_step_shape s = fixture_prefill(tokens[i], 0);
        double m = (double)tokens[i], rows = padded[i];
        double touched = 8 * (1 - pow(1 - 2.0 / 8, m));
        double loads_up = (touched * up + rows * 4096) / bw, c_up = 2 * rows * up / flops;
        double loads_down = (touched * down + rows * 14336) / bw, c_down = 2 * rows * down / flops;
        double want = fmax(loads_up, c_up) + fmax(loads_down, c_down) +
                      rows * (28672 + 4096) * 2 / bw + rows * (28672 * 2 + 14336) / bw;
        double got = 0, products = 0;
        struct rt_cost_part parts[RT_MAX_COST_PARTS];
        unsigned count = rt_cost_explain(c, &s, parts);
        for (unsigned k = 0; k < count; k++) {
            if (strncmp(parts[k].name, "experts_", 8) != 0)
                continue;
            got += rt_cost_part_s(&parts[k]);
            products += parts[k].flops;
        }
        assert_near(got, 32 * want, 32 * want * 1e-9);
        assert_near(products, 32 * 2 * rows * (up + down), 1);
    }
    /* At 2048 tokens the fused kernels multiply 4096 rows instead of 5120. */
    struct rt_step_shape few = fixture_prefill(4, 0), many = fixture_prefill(2048, 0);
    assert_true(rt_cost_step_ns(c, &few) > rt_cost_step_ns(fused, &few));
    assert_near(term(c, many, RT_TERM_COMPUTE) - term(fused, many, RT_TERM_COMPUTE),
                32 * 2 * 1024 * (up + down) / flops, 32e-6);
    rt_cost_free(fused);
    rt_cost_free(c);
}

/* All-reduce of M*H*2 bytes: 2 a layer and one behind the embedding; the logits are gathered once.
 */
static void test_links(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_llama3_70b(), 4);
    struct rt_cost *c = make(&in);
    struct rt_step_shape s = fixture_prefill(1024, 0);
    double one = 5e-6 + 1.5 * 1024 * 8192 * 2 / 300e9;
    double logits = 5e-6 + .75 * 128256 * 2 / 300e9;
    assert_near(term(c, s, RT_TERM_COMM), 161 * one + logits, 1e-12);
    rt_cost_free(c);
    in.gpu.k.allreduce_step_s =
        4e-6; /* 1 token: reading 3 whole buffers saves the second barrier */
    c = make(&in);
    assert_near(term(c, fixture_prefill(1, 0), RT_TERM_COMM),
                161 * (5e-6 + 3 * 8192 * 2 / 300e9) + logits, 1e-12);
    assert_near(term(c, s, RT_TERM_COMM), 161 * (one + 4e-6) + logits, 1e-12);
    rt_cost_free(c);
    in.gpu.k.allreduce_step_s = 0;
    in.gpu.k.allreduce_bus_bytes_per_s = 0; /* then the link, then PCIe, then nothing */
    in.gpu.k.allreduce_library_bytes_per_s = 0;
    c = make(&in);
    one = 5e-6 + 1.5 * 1024 * 8192 * 2 / 450e9;
    assert_near(term(c, s, RT_TERM_COMM), 161 * one + 5e-6 + .75 * 128256 * 2 / 450e9, 1e-12);
    rt_cost_free(c);
}

/* Captured graphs: 9..16 tokens run in the graph of 16, 257..272 in that of 272, above 512 none. */
static void test_graph_padding(void **state)
{
    (void)state;
    static const int64_t same[][2] = {{3, 4},     {5, 8},     {9, 16},   {17, 24},
                                      {249, 256}, {257, 272}, {497, 512}};
    static const int64_t differ[][2] = {{1, 2},     {2, 3},     {4, 5},    {8, 9},
                                        {256, 257}, {512, 513}, {513, 514}};
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_llama31_8b(), 1);
    struct rt_cost *c = make(&in);
    for (int i = 0; i < 7; i++) {
        struct rt_step_shape a = fixture_decodes(c, 1, 0), b = a;
        a.tokens = same[i][0];
        b.tokens = same[i][1];
        assert_int_equal(rt_cost_step_ns(c, &a), rt_cost_step_ns(c, &b));
        a.tokens = differ[i][0];
        b.tokens = differ[i][1];
        assert_true(rt_cost_step_ns(c, &a) < rt_cost_step_ns(c, &b));
    }
    rt_cost_free(c);
}

/* ---- physics --------------------------------------------------------------------------------- */

static struct rt_step_shape random_shape(const struct rt_cost *c, struct rt_rng *r)
{
    struct rt_step_shape s =
        fixture_decodes(c, (int64_t)rt_rng_below(r, 300), (int64_t)rt_rng_below(r, 20000));
    for (int64_t i = (int64_t)rt_rng_below(r, 3); i > 0 || s.tokens == 0; i--)
        rt_step_add_prefill(&s, 1 + (int64_t)rt_rng_below(r, 3000),
                            (int64_t)rt_rng_below(r, 20000));
    return s;
}

struct change {
    const char *what;
    struct rt_cost_inputs before, after;
    int way[RT_TERM_COUNT]; /* -1 not up, 0 the same, +1 not down, 2 either */
    int total;
};

static void check_change(const struct change *k, struct rt_rng *r)
{
    struct rt_cost *a = make(&k->before), *b = make(&k->after);
    for (int n = 0; n < 300; n++) {
        double x[RT_TERM_COUNT], y[RT_TERM_COUNT];
        struct rt_step_shape s = random_shape(a, r);
        rt_cost_step_terms(a, &s, x);
        rt_cost_step_terms(b, &s, y);
        for (int t = 0; t < RT_TERM_COUNT; t++) {
            double slack = 1e-9 * x[t];
            bool ok = k->way[t] == 2 || (k->way[t] <= 0 && y[t] <= x[t] + slack) ||
                      (k->way[t] == 1 && y[t] >= x[t] - slack);
            if (k->way[t] == 0)
                ok = fabs(y[t] - x[t]) <= slack;
            if (!ok)
                fail_msg("%s: %s went from %g to %g", k->what, rt_term_names[t], x[t], y[t]);
        }
        double attention = x[RT_TERM_KV] + x[RT_TERM_ATTENTION];
        if (k->way[RT_TERM_KV] == 2 &&
            y[RT_TERM_KV] + y[RT_TERM_ATTENTION] > attention * (1 + 1e-9))
            fail_msg("%s: attention went up from %g", k->what, attention);
        double change = fixture_sum(y) - fixture_sum(x);
        if (k->total != 2 && !(change * k->total >= 0))
            fail_msg("%s: the step changed by %g", k->what, change);
    }
    rt_cost_free(a);
    rt_cost_free(b);
}

/* Terms: weights compute kv attention other launch comm host. Faster memory hides less arithmetic,
 * so the compute share of a product may grow; the step never does. */
static void test_physics(void **state)
{
    (void)state;
    struct rt_rng r;
    struct rt_model models[] = {fixture_llama31_8b(), fixture_llama3_70b(), fixture_mixtral(),
                                fixture_deepseek_v3(), fixture_windowed()};
    rt_rng_init(&r, 5, RT_RNG_TOOLS, 0);
    for (int i = 0; i < 10; i++) {
        struct rt_gpu gpu = i % 2 ? fixture_4090() : fixture_h100();
        struct rt_cost_inputs in = fixture_inputs(gpu, models[i / 2], 2);
        struct change k = {"double bandwidth", in, in, {-1, 1, -1, 0, -1, 0, 0, 0}, -1};
        k.after.gpu.mem_bw_bytes_per_s *= 2;
        check_change(&k, &r);
        k = (struct change){"double peak", in, in, {1, -1, -1, -1, 0, 0, 0, 0}, -1};
        if (gpu.k.mixed_as_tiles) /* one kernel: only the sum of both says something */
            k.way[RT_TERM_KV] = k.way[RT_TERM_ATTENTION] = 2;
        k.after.gpu.peak_flops[RT_BF16] *= 2;
        check_change(&k, &r);
        /* a decode has fewer tiles on each GPU */
        k = (struct change){"double TP", in, in, {-1, -1, -1, -1, -1, -1, 1, 0}, 2};
        if (gpu.k.mixed_as_tiles)
            k.way[RT_TERM_KV] = k.way[RT_TERM_ATTENTION] = 2;
        k.after.parallel.tensor *= 2;
        check_change(&k, &r);
        k = (struct change){"8 bit weights", in, in, {-1, 1, 0, 0, 0, 0, 0, 0}, -1};
        k.after.dtypes.weight = RT_INT8;
        check_change(&k, &r);
        k = (struct change){"8 bit KV", in, in, {0, 0, -1, 0, 0, 0, 0, 0}, -1};
        k.after.dtypes.kv = RT_FP8;
        check_change(&k, &r);
    }
}

/* More tokens, more context, more sequences: never faster; twice the decodes less than twice the
 * time as long as weights dominate. */
static void test_batch(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_llama31_8b(), 1);
    struct rt_cost *c = make(&in);
    int64_t last = 0;
    for (int64_t b = 1; b <= 4096; b++) {
        struct rt_step_shape s = fixture_decodes(c, b, 100);
        int64_t ns = rt_cost_step_ns(c, &s);
        assert_true(ns >= last);
        last = ns;
    }
    assert_true(seconds(c, fixture_decodes(c, 64, 100)) <
                1.5 * seconds(c, fixture_decodes(c, 1, 100)));
    for (int64_t q = 1, before = 0; q <= 8192; q++) {
        struct rt_step_shape s = fixture_prefill(q, 1000);
        int64_t ns = rt_cost_step_ns(c, &s);
        assert_true(ns >= before);
        before = ns;
    }
    rt_cost_free(c);
}

/* ---- terms and tables ------------------------------------------------------------------------ */

/* The terms add up to the step, in their order, to the nanosecond; and a shape is priced the same
 * by a model with small tables, large ones and none. */
static void test_terms_and_tables(void **state)
{
    (void)state;
    struct rt_rng r;
    rt_rng_init(&r, 9, RT_RNG_TOOLS, 0);
    struct rt_cost_inputs cases[] = {
        fixture_inputs(fixture_4090(), fixture_llama31_8b(), 1),
        fixture_inputs(fixture_h100(), fixture_deepseek_v3(), 8),
        fixture_inputs(fixture_h100(), fixture_mixtral(), 2),
        fixture_inputs(fixture_h100(), fixture_windowed(), 4),
        fixture_inputs(fixture_h100(), fixture_mixtral(), 2),
    };
    cases[4].spec.speed_of_light = true;
    for (int i = 0; i < 5; i++) {
        static const int64_t sizes[] = {0, 100, 8192, INT64_C(1) << 22};
        struct rt_cost *c[4];
        for (int k = 0; k < 4; k++) {
            cases[i].max_tokens = sizes[k];
            c[k] = make(&cases[i]);
        }
        for (int n = 0; n < 500; n++) {
            struct rt_step_shape s = random_shape(c[0], &r);
            if (n % 50 == 0)
                rt_step_add_prefill(&s, 70000, 0); /* beyond every table */
            double terms[RT_TERM_COUNT];
            rt_cost_step_terms(c[0], &s, terms);
            int64_t ns = rt_cost_step_ns(c[0], &s);
            assert_int_equal(ns, llrint(fixture_sum(terms) * 1e9));
            for (int t = 0; t < RT_TERM_COUNT; t++)
                assert_true(terms[t] >= 0);
            for (int k = 1; k < 4; k++)
                assert_int_equal(rt_cost_step_ns(c[k], &s), ns);
        }
        for (int k = 0; k < 4; k++)
            rt_cost_free(c[k]);
    }
}

/* A shape that does not count its tiles is priced with the fewest they can be. */
static void test_tiles_left_out(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_llama31_8b(), 1);
    struct rt_cost *c = make(&in);
    struct rt_step_shape s = fixture_prefill(1000, 50), bare = s;
    bare.prefill_tiles = 0;
    assert_int_equal(rt_cost_step_ns(c, &s), rt_cost_step_ns(c, &bare));
    rt_cost_free(c);
}

/* ---- bad inputs ------------------------------------------------------------------------------ */

static void test_bad_inputs(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_llama31_8b(), 1);
    struct rt_cost *c = NULL;
    struct rt_err err;
#define REFUSED(change, text)                                                                      \
    do {                                                                                           \
        struct rt_cost_inputs bad = in;                                                            \
        change;                                                                                    \
        assert_fails(rt_cost_new(&bad, &c, &err), &err, RT_ECONFIG, text);                         \
        assert_null(c);                                                                            \
    } while (0)
    REFUSED(bad.parallel.tensor = 3, "tensor_parallel 3");
    REFUSED(bad.parallel.tensor = 64, "attention heads");
    REFUSED(bad.parallel.tensor = 0, "integers from 1");
    REFUSED(bad.parallel.pipeline = 33, "pipeline_parallel 33: llama-3.1-8b has only 32 layers");
    REFUSED(bad.parallel.pipeline = 0, "integers from 1");
    REFUSED(bad.parallel.data = 2000, "at most 1024");
    REFUSED(bad.spec.expert_skew = -1, "expert_skew: expected 0 to 10, read -1");
    REFUSED(bad.spec.expert_skew = (double)NAN, "expert_skew");
    REFUSED(bad.parallel.expert = 2, "no experts");
    REFUSED((bad.model = fixture_mixtral(), bad.parallel.tensor = 4, bad.parallel.expert = 2),
            "expected 1, or tensor_parallel");
    REFUSED((bad.model = fixture_mixtral(), bad.parallel.tensor = bad.parallel.expert = 16),
            "does not divide mixtral-8x7b's 8 experts");
    REFUSED((bad.model = fixture_mixtral(), bad.parallel.data = 3),
            "tensor_parallel * data_parallel 3: does not divide");
    REFUSED((bad.parallel.pipeline = 2, bad.gpu.link_bytes_per_s = 0, bad.gpu.pcie_bytes_per_s = 0),
            "pipeline_parallel 2 needs a link");
    REFUSED((bad.model.heads = 48, bad.model.kv_heads = 6, bad.parallel.tensor = 4,
             bad.model.hidden = 6144),
            "KV heads");
    REFUSED(bad.dtypes.activation = RT_FP4, "no unit for activation_dtype");
    REFUSED(bad.gpu.mem_bw_bytes_per_s = 0, "bandwidth");
    REFUSED(bad.gpu.k.gemm_eff_memory = 0, "gemm_eff_memory");
    REFUSED(bad.gpu.k.gemm_smooth_p = .5, "gemm_smooth_p");
    REFUSED(bad.gpu.k.host_s_per_step = -1, "host_s_per_step");
    REFUSED(bad.gpu.k.decode_overhead_s = (double)NAN, "decode_overhead_s");
    REFUSED(bad.model.layers = 0, "incomplete");
    REFUSED((bad.model = fixture_mixtral(), bad.model.expert_ffn = 0), "experts is incomplete");
    REFUSED((bad.model = fixture_deepseek_v3(), bad.model.kv_lora = 0), "incomplete");
    REFUSED((bad.parallel.tensor = 2, bad.gpu.k.allreduce_bus_bytes_per_s = 0,
             bad.gpu.link_bytes_per_s = 0, bad.gpu.pcie_bytes_per_s = 0),
            "needs a link");
#undef REFUSED
    in.parallel.tensor = 16; /* more GPUs than KV heads: replicated */
    assert_ok(rt_cost_new(&in, &c, &err), &err);
    rt_cost_free(c);
    rt_cost_free(NULL);
}

/* What the GPU waits for: one pair of constants where the host works beside it, another where not.
 */
static void test_host(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(ideal(fixture_4090()), fixture_mistral_7b(), 1);
    in.gpu.k.host_s_per_step = 1e-3;
    in.gpu.k.host_s_per_seq = 2e-6;
    in.gpu.k.host_sync_s_per_step = 5e-3;
    in.gpu.k.host_sync_s_per_seq = 7e-6;
    struct rt_cost *c = make(&in);
    assert_near(term(c, fixture_decodes(c, 10, 100), RT_TERM_HOST), 1e-3 + 10 * 2e-6, 1e-12);
    rt_cost_free(c);
    in.host_exposed = true;
    c = make(&in);
    assert_near(term(c, fixture_decodes(c, 10, 100), RT_TERM_HOST), 5e-3 + 10 * 7e-6, 1e-12);
    rt_cost_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_light_7b),
        cmocka_unit_test(test_light_llama2),
        cmocka_unit_test(test_light_experts),
        cmocka_unit_test(test_light_is_the_floor),
        cmocka_unit_test(test_gemm_limits),
        cmocka_unit_test(test_gemm_tiles),
        cmocka_unit_test(test_gemm_streams),
        cmocka_unit_test(test_gemm_rises),
        cmocka_unit_test(test_decode_by_hand),
        cmocka_unit_test(test_decode_ramp),
        cmocka_unit_test(test_latent_by_hand),
        cmocka_unit_test(test_prefill_by_hand),
        cmocka_unit_test(test_prefill_pad_and_io),
        cmocka_unit_test(test_mixed),
        cmocka_unit_test(test_mixed_reads_again),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_experts_by_hand),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_small_terms),
        cmocka_unit_test(test_expert_overheads),
        cmocka_unit_test(test_packed_experts),
        cmocka_unit_test(test_experts_in_tiles),
        cmocka_unit_test(test_head_dtype),
        cmocka_unit_test(test_eager),
        cmocka_unit_test(test_graph_padding),
        cmocka_unit_test(test_physics),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_terms_and_tables),
        cmocka_unit_test(test_tiles_left_out),
        cmocka_unit_test(test_bad_inputs),
        cmocka_unit_test(test_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
