/* What fits: weights by TP against published parameter counts, KV bytes a token against published
 * figures, the one recorded block count we have, and what the message says when nothing fits. */
#include "cost_fixture.h"
#include "rooftrace/memory.h"
#include "rooftrace/rng.h"
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

static struct rt_memory_plan plan_of(const struct rt_cost_inputs *in, double utilization,
                                     int64_t block_size)
{
    struct rt_memory_plan p, figures;
    struct rt_err err;
    assert_ok(rt_memory_plan(in, utilization, block_size, &p, &err), &err);
    rt_memory_figures(in, utilization, block_size, &figures);
    assert_memory_equal(&p, &figures, sizeof p);
    return p;
}

/* vLLM 0.19.0, Llama-3.1-8B bf16, RTX 4090 (25,250,627,584 bytes), utilization 0.9, 2048 batched
 * tokens, 256 sequences: 2,588 blocks of 16 [LLMServingSim 5daddb21, bench/examples/RTX4090]. From
 * first principles, nothing fitted to it: within 5 %. */
static void test_recorded_blocks(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_llama31_8b(), 1);
    in.max_seqs = 256;
    struct rt_memory_plan p = plan_of(&in, .9, 16);
    print_message("RTX 4090, llama-3.1-8b: %lld blocks, recorded 2588 (%+.1f %%); %.3f GB weights, "
                  "%.3f activations, %.3f context\n",
                  (long long)p.blocks, 100.0 * ((double)p.blocks / 2588 - 1), p.weights / 1e9,
                  p.activations / 1e9, p.context / 1e9);
    assert_true(fabs((double)p.blocks / 2588 - 1) < .05);
    assert_true(p.total == 25250627584.0 && p.usable == .9 * 25250627584.0);
    assert_true(p.weights == 2 * 8030261248.0); /* parameters of the published checkpoint */
    assert_true(p.block_bytes == 16 * 131072.0);
    double left = p.usable - p.weights - p.activations - p.context;
    assert_true((double)p.blocks * p.block_bytes <= left);
    assert_true((double)(p.blocks + 1) * p.block_bytes > left);
}

/* TP splits matrices and tables; norms stay whole, KV heads are copied beyond kv_heads. */
static void test_split(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_llama3_70b(), 2);
    double norms = 2 * (2 * 80 + 1) * 8192.0, total = 2 * 70553706496.0;
    double kv_head = 2 * 80 * 8192.0 * 2 * 128; /* K and V projection of one head, all layers */
    assert_true(plan_of(&in, .9, 16).weights == (total - norms) / 2 + norms);
    assert_true(plan_of(&in, .9, 16).block_bytes == 16 * 327680.0 / 2);
    in.parallel.tensor = 8;
    assert_true(plan_of(&in, .9, 16).weights == (total - norms) / 8 + norms);
    assert_true(plan_of(&in, .9, 16).block_bytes == 16 * 327680.0 / 8);
    in.parallel.tensor = 16;
    assert_true(fabs(plan_of(&in, .9, 16).weights - ((total - norms) / 16 + norms + kv_head / 2)) <
                1);
    assert_true(plan_of(&in, .9, 16).block_bytes == 16 * 327680.0 / 8);
}

static void test_dtypes(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_mixtral(), 2);
    struct rt_memory_plan a = plan_of(&in, .9, 16), b;
    in.dtypes.weight = in.dtypes.head = RT_INT4;
    in.dtypes.kv = RT_FP8;
    b = plan_of(&in, .9, 16);
    assert_true(b.weights == a.weights / 4 && b.block_bytes == a.block_bytes / 2);
    assert_true(b.blocks > 2 * a.blocks);
    /* embedding and LM head in 16 bit: 2 tables of 32000 x 4096 on two GPUs, 1.5 bytes more each */
    in.dtypes.head = RT_BF16;
    assert_true(plan_of(&in, .9, 16).weights - b.weights == 2 * 32000 * 4096.0 / 2 * 1.5);
    in.model.tied = true; /* then it is one table */
    double tied = plan_of(&in, .9, 16).weights;
    in.dtypes.head = RT_INT4;
    assert_true(tied - plan_of(&in, .9, 16).weights == 32000 * 4096.0 / 2 * 1.5);
    /* routed experts alone in 4.25 bits: 32 layers, 8 experts of 3 x 4096 x 14336 on two GPUs */
    in = fixture_inputs(fixture_h100(), fixture_mixtral(), 2);
    in.dtypes.experts_apart = true;
    in.dtypes.expert = RT_MXFP4;
    b = plan_of(&in, .9, 16);
    assert_true(a.weights - b.weights == 32 * 8 * 3 * 4096.0 * 14336 / 2 * (2 - .53125));
    assert_true(b.block_bytes == a.block_bytes && b.activations == a.activations);
    /* MLA: (512 + 64) numbers a token and layer, on every GPU; 671e9 parameters in fp8 */
    in = fixture_inputs(fixture_h100(), fixture_deepseek_v3(), 16);
    in.dtypes.weight = RT_FP8;
    b = plan_of(&in, .9, 1);
    assert_true(b.block_bytes == 70272);
    assert_true(fabs(b.weights * 16 / 671026419200.0 - 1) < .05);
    /* whole experts on a GPU weigh the same as slices of all */
    in.parallel.expert = 16;
    assert_true(fabs(plan_of(&in, .9, 1).weights / b.weights - 1) < 1e-9);
}

/* More of anything that is kept leaves fewer blocks. */
static void test_monotone(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_llama31_8b(), 1);
    int64_t last = INT64_MAX;
    for (in.max_tokens = 1024; in.max_tokens <= 65536; in.max_tokens *= 2) {
        int64_t blocks = plan_of(&in, .9, 16).blocks;
        assert_true(blocks <= last);
        last = blocks;
    }
    in.max_tokens = 2048;
    last = INT64_MAX;
    for (in.max_seqs = 64; in.max_seqs <= 1024; in.max_seqs *= 2) {
        int64_t blocks = plan_of(&in, .9, 16).blocks;
        assert_true(blocks < last);
        last = blocks;
    }
    assert_true(plan_of(&in, .95, 16).blocks > plan_of(&in, .9, 16).blocks);
    assert_true(llabs(plan_of(&in, .9, 16).blocks - 2 * plan_of(&in, .9, 32).blocks) <= 1);
}

/* 141.1 GB of weights on a 24 GB card: 8 is the first degree whose eighth (17.6 GB) leaves room. */
static void test_does_not_fit(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_llama3_70b(), 1);
    struct rt_memory_plan p;
    struct rt_err err;
    char missing[64];
    assert_fails(rt_memory_plan(&in, .9, 16, &p, &err), &err, RT_ECONFIG,
                 "tensor_parallel 8 is the smallest that fits");
    snprintf(missing, sizeof missing, "%.2f GB missing",
             (p.weights + p.activations + p.context + p.block_bytes - p.usable) / 1e9);
    assert_non_null(strstr(err.msg, missing));
    assert_non_null(strstr(err.msg, "llama-3-70b does not fit on rtx-4090"));
    assert_true(p.blocks <= 0);
    in.parallel.tensor = 8;
    assert_true(plan_of(&in, .9, 16).blocks >= 1);
    in.parallel.tensor = 4;
    assert_fails(rt_memory_plan(&in, .9, 16, &p, &err), &err, RT_ECONFIG, "tensor_parallel 8");
    in.gpu.mem_bytes = 1e9; /* nothing helps: the sampler alone needs that */
    assert_fails(rt_memory_plan(&in, .9, 16, &p, &err), &err, RT_ECONFIG,
                 "no tensor_parallel degree makes it fit");
}

/* ---- stages ---------------------------------------------------------------------------------- */

/* Two stages of 40 layers: the first has the embedding, the last the LM head, a norm and the
 * sampler's memory, so it is the fuller one. A tied table is on both. */
static void test_stages(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_llama3_70b(), 1);
    in.parallel.pipeline = 2;
    struct rt_memory_plan p = plan_of(&in, .9, 16);
    double table = 128256.0 * 8192, layers = (70553706496.0 - 2 * table - 8192) / 2;
    assert_int_equal(p.stage, 1);
    assert_true(p.weights == 2 * (layers + table + 8192));
    assert_true(p.block_bytes == 16 * 327680.0 / 2);
    in.model.tied = true;
    assert_true(plan_of(&in, .9, 16).weights == p.weights);
    in.model.tied = false;
    in.parallel.pipeline = 3; /* 26, 27, 27: by vLLM's rule 27, 27, 26 */
    in.gpu.k.memory_bytes_per_logit = 0;
    p = plan_of(&in, .9, 16);
    assert_int_equal(p.stage, 0);
    assert_true(p.weights == 2 * (layers * 2 / 80 * 27 + table));
    assert_true(p.block_bytes == 16 * 327680.0 / 80 * 27);
    /* every stage must hold the blocks: no stage alone would have fewer */
    struct rt_memory_plan one;
    in.parallel.pipeline = 80;
    rt_memory_figures(&in, .9, 16, &one);
    assert_true(one.blocks > p.blocks && one.block_bytes == 16 * 4096);
}

/* Ranks hold their own KV and a copy of everything but the experts. */
static void test_ranks(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_llama31_8b(), 1);
    struct rt_memory_plan one = plan_of(&in, .9, 16);
    in.parallel.data = 4;
    struct rt_memory_plan four = plan_of(&in, .9, 16);
    assert_memory_equal(&one, &four, sizeof one);
    in = fixture_inputs(fixture_h100(), fixture_mixtral(), 1);
    in.parallel.data = 4;
    double experts = 32.0 * 8 * 3 * 4096 * 14336;
    assert_true(plan_of(&in, .9, 16).weights == 2 * (46702792704.0 - experts * 3 / 4));
}

/* ---- windows --------------------------------------------------------------------------------- */

/* Gemma 3 27B: 10 full and 52 windowed layers make one and six groups of ten [vLLM, hybrid KV cache
 * manager]; 16 sequences keep 64+1 blocks of 16 tokens a group, and a step of 2048 tokens 128. */
static void test_windows_apart(void **state)
{
    (void)state;
    struct rt_model m = fixture_dense("gemma-3-27b", 62, 5376, 16, 21504, 262144);
    m.heads = 32;
    m.tied = true;
    m.window = 1024;
    m.local_layers = 52;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), m, 1);
    in.max_seqs = 16;
    struct rt_memory_plan p = plan_of(&in, .9, 16), all;
    double page = 16 * 8192.0, left = p.usable - p.weights - p.activations - p.context;
    assert_true(p.block_bytes == 10 * page);
    assert_true(p.window_bytes == 6 * 10 * page * (16 * 65 + 128));
    assert_true(p.blocks == (int64_t)floor((left - p.window_bytes) / p.block_bytes));
    in.max_seqs = 0; /* nobody says how many sequences: every layer keeps everything */
    all = plan_of(&in, .9, 16);
    assert_true(all.window_bytes == 0 && all.block_bytes == 62 * page && all.blocks < p.blocks);
    in.max_seqs = 100000; /* windows of so many would take more than they save */
    in.max_tokens = 1;
    all = plan_of(&in, .9, 16);
    assert_true(all.window_bytes == 0 && all.block_bytes == 62 * page);
}

/* The plan is safe: as many sequences as the engine may run, however long, never need more pages
 * than there are. And it is never worse than keeping everything. */
static void test_windows_are_safe(void **state)
{
    (void)state;
    struct rt_rng r;
    rt_rng_init(&r, 12, RT_RNG_TOOLS, 0);
    int apart = 0;
    for (int i = 0; i < 400; i++) {
        struct rt_model m = fixture_llama31_8b();
        m.layers = 2 + (int64_t)rt_rng_below(&r, 60);
        m.local_layers = 1 + (int64_t)rt_rng_below(&r, (uint64_t)m.layers - 1);
        m.window = 1 + (int64_t)rt_rng_below(&r, 8000);
        struct rt_cost_inputs in = fixture_inputs(fixture_h100(), m, 1);
        in.max_seqs = 1 + (int64_t)rt_rng_below(&r, 300);
        in.max_tokens = 1 + (int64_t)rt_rng_below(&r, 4000);
        int64_t block = 1 << rt_rng_below(&r, 7);
        struct rt_memory_plan p = plan_of(&in, .9, block), all;
        double layer = (double)block * 4096,
               left = p.usable - p.weights - p.activations - p.context;
        assert_true(p.block_bytes * (double)p.blocks + p.window_bytes <= left);
        in.model.window = 0;
        all = plan_of(&in, .9, block);
        assert_true(p.blocks >= all.blocks);
        if (p.window_bytes <= 0)
            continue;
        apart++;
        /* sequences at their longest share: full layers take all blocks, windowed ones a window */
        double full = (double)(m.layers - m.local_layers) * layer * (double)p.blocks;
        int64_t held = (m.window + block - 2) / block + 1;
        double windows = (double)m.local_layers * layer * (double)(held * in.max_seqs);
        assert_true(full + windows <= left);
    }
    assert_true(apart > 50);
}

static void test_bad_inputs(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_llama31_8b(), 1);
    struct rt_memory_plan p;
    struct rt_err err;
    assert_fails(rt_memory_plan(&in, 0, 16, &p, &err), &err, RT_ECONFIG, "utilization");
    assert_fails(rt_memory_plan(&in, 1.1, 16, &p, &err), &err, RT_ECONFIG, "utilization");
    assert_fails(rt_memory_plan(&in, (double)NAN, 16, &p, &err), &err, RT_ECONFIG, "utilization");
    assert_fails(rt_memory_plan(&in, .9, 0, &p, &err), &err, RT_ECONFIG, "block_size");
    in.parallel.tensor = 3;
    assert_fails(rt_memory_plan(&in, .9, 16, &p, &err), &err, RT_ECONFIG, "tensor_parallel 3");
    in.parallel.tensor = 1;
    in.gpu.mem_bytes = 0;
    assert_fails(rt_memory_plan(&in, .9, 16, &p, &err), &err, RT_ECONFIG, "memory size");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recorded_blocks), cmocka_unit_test(test_split),
        cmocka_unit_test(test_dtypes),          cmocka_unit_test(test_monotone),
        cmocka_unit_test(test_does_not_fit),    cmocka_unit_test(test_bad_inputs),
        cmocka_unit_test(test_stages),          cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_windows_apart),   cmocka_unit_test(test_windows_are_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
