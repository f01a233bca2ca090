/* Stages of a pipeline, data parallel ranks, experts and links: layers dealt out as vLLM's get_pp_
 * indices does, sums over stages, the slowest stage, what the tokens of other ranks cost, experts
 * touched against drawing them, rings within and between nodes by hand. */
#include "cost_fixture.h"
#include "rooftrace/decode_run.h"
#include "rooftrace/estimate.h"
#include "rooftrace/explain.h"
#include "rooftrace/rng.h"
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

static bool near(double a, double b, double relative)
{
    return fabs(a - b) <= relative * fabs(b);
}

static struct rt_cost *make(const struct rt_cost_inputs *in)
{
    struct rt_cost *c;
    struct rt_err err;
    assert_ok(rt_cost_new(in, &c, &err), &err);
    return c;
}

static struct rt_cost_inputs inputs(struct rt_model model, int64_t tp, int64_t pp, int64_t dp)
{
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), model, tp);
    in.parallel.pipeline = pp;
    in.parallel.data = dp;
    in.max_tokens = 256;
    return in;
}

static double seconds(const struct rt_cost *c, const struct rt_step_shape *s)
{
    double terms[RT_TERM_COUNT];
    rt_cost_step_terms(c, s, terms);
    return fixture_sum(terms);
}

static double part_s(const struct rt_cost_part *parts, unsigned count, const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(parts[i].name, name) == 0)
            return fixture_sum(parts[i].terms_s);
    return -1;
}

static struct rt_step_shape random_shape(const struct rt_cost *c, struct rt_rng *r)
{
    struct rt_step_shape s =
        fixture_decodes(c, (int64_t)rt_rng_below(r, 200), (int64_t)rt_rng_below(r, 9000));
    for (int64_t i = (int64_t)rt_rng_below(r, 3); i > 0 || s.tokens == 0; i--)
        rt_step_add_prefill(&s, 1 + (int64_t)rt_rng_below(r, 1500), (int64_t)rt_rng_below(r, 9000));
    if (s.samples == 0)
        s.samples = 1;
    return s;
}

static struct rt_model random_model(struct rt_rng *r)
{
    struct rt_model models[] = {fixture_llama31_8b(), fixture_llama3_70b(), fixture_mixtral(),
                                fixture_deepseek_v3(), fixture_windowed()};
    struct rt_model m = models[rt_rng_below(r, 5)];
    m.layers = 4 + (int64_t)rt_rng_below(r, 90);
    m.tied = rt_rng_below(r, 2) != 0;
    if (m.window > 0) {
        m.window = 16 << rt_rng_below(r, 8);
        m.local_layers = 1 + (int64_t)rt_rng_below(r, (uint64_t)m.layers - 1);
    }
    if (m.experts > 0 && m.ffn > 0) {
        m.dense_layers = (int64_t)rt_rng_below(r, 4);
        m.moe_every = 1 + (int64_t)rt_rng_below(r, 3);
    }
    return m;
}

/* ---- stages ---------------------------------------------------------------------------------- */

/* vLLM: 61 layers are 31+30, 15+15+16+15; 43 in ten stages 4 4 4 4 4 4 5 5 5 4. The fullest stage
 * shows in the KV a block takes there. [vllm/distributed/utils.py, get_pp_indices] */
static void test_layers(void **state)
{
    (void)state;
    static const struct {
        int64_t layers, stages, most;
    } cases[] = {{61, 2, 31}, {61, 4, 16}, {43, 10, 5}, {32, 4, 8},
                 {22, 4, 6},  {5, 3, 2},   {3, 3, 1},   {80, 1, 80}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_model m = fixture_llama31_8b();
        struct rt_memory_plan plan;
        m.layers = cases[i].layers;
        struct rt_cost_inputs in = inputs(m, 1, cases[i].stages, 1);
        in.max_tokens = 16; /* the sampler must not decide which stage is full */
        in.max_seqs = 1;
        in.model.vocab = 128;
        rt_memory_figures(&in, .9, 16, &plan);
        assert_true(plan.block_bytes == (double)cases[i].most * 16 * 4096);
    }
}

/* The way through all stages is the undivided step and its hops; stages of a product's size add up
 * to it; the slowest stage is between their mean and the whole. */
static void test_stages_add_up(void **state)
{
    (void)state;
    struct rt_rng r;
    rt_rng_init(&r, 21, RT_RNG_TOOLS, 0);
    for (int i = 0; i < 60; i++) {
        struct rt_cost_inputs in = inputs(random_model(&r), 1 << rt_rng_below(&r, 3), 1, 1);
        if (i % 4 == 0)
            in.spec.speed_of_light = true;
        struct rt_cost *one = make(&in);
        in.parallel.pipeline = 2 + (int64_t)rt_rng_below(&r, (uint64_t)in.model.layers - 1);
        struct rt_cost *staged = make(&in);
        for (int n = 0; n < 20; n++) {
            double a[RT_TERM_COUNT], b[RT_TERM_COUNT];
            struct rt_step_shape s = random_shape(one, &r);
            rt_cost_step_terms(one, &s, a);
            rt_cost_step_terms(staged, &s, b);
            for (int t = 0; t < RT_TERM_COUNT; t++)
                if (t != RT_TERM_COMM)
                    assert_true(a[t] == b[t]);
            assert_true(in.spec.speed_of_light ? b[RT_TERM_COMM] == 0
                                               : b[RT_TERM_COMM] > a[RT_TERM_COMM]);
            double stage_s = (double)rt_cost_stage_ns(staged, &s) * 1e-9;
            double busy_s = fixture_sum(b) - b[RT_TERM_HOST];
            double least = fmax(busy_s / (double)in.parallel.pipeline, b[RT_TERM_HOST]);
            /* a floor takes the larger of reading and multiplying once for all stages */
            assert_true(stage_s >= least * (1 - 1e-6) - 1e-9);
            assert_true(in.spec.speed_of_light || stage_s <= fixture_sum(b) + 1e-9);
            assert_int_equal(rt_cost_stage_ns(one, &s), rt_cost_step_ns(one, &s));
        }
        rt_cost_free(one);
        rt_cost_free(staged);
    }
}

/* Llama-3-70B on 4 stages of 20 layers: by hand, the last stage takes a quarter of the layers, the
 * LM head and the sampler; hops move hidden states and residual, 2*M*H*2 bytes over the link. */
static void test_stage_by_hand(void **state)
{
    (void)state;
    struct rt_cost_inputs in = inputs(fixture_llama3_70b(), 1, 4, 1);
    in.gpu.k.host_s_per_step = in.gpu.k.host_s_per_seq = 0;
    struct rt_cost *c = make(&in);
    struct rt_cost_part parts[RT_MAX_COST_PARTS];
    struct rt_step_shape s = fixture_decodes(c, 16, 1000);
    unsigned n = rt_cost_explain(c, &s, parts);
    double hops = part_s(parts, n, "pipeline_hops"), head = part_s(parts, n, "lm_head");
    double sampler = part_s(parts, n, "sampler"), embedding = part_s(parts, n, "embedding");
    assert_true(near(hops, 3 * (5e-6 + 2 * 16 * 8192 * 2 / 450e9), 1e-12));
    double layers = seconds(c, &s) - hops - head - sampler - embedding;
    double last = layers / 4 + head + sampler + embedding * 4 / 6;
    assert_true(near((double)rt_cost_stage_ns(c, &s) * 1e-9, last, 1e-6));
    rt_cost_free(c);
    in.gpu.k.host_s_per_step = 1; /* then the host decides how often a batch enters */
    c = make(&in);
    assert_int_equal(rt_cost_stage_ns(c, &s), 1000000000);
    rt_cost_free(c);
}

/* Hops between nodes are slower, and only those: 8 GPUs a node, TP 4, 4 stages cross once. */
static void test_hops_between_nodes(void **state)
{
    (void)state;
    struct rt_cost_inputs in = inputs(fixture_llama3_70b(), 4, 4, 1);
    struct rt_cost_part parts[RT_MAX_COST_PARTS];
    double hops[3];
    static const int64_t gpus[] = {16, 8, 4};
    double bytes = 2 * 8 * 8192 * 2.0, gather = 5e-6 + .75 / 300e9 * bytes;
    for (int i = 0; i < 3; i++) {
        in.nodes.gpus = gpus[i];
        struct rt_cost *c = make(&in);
        struct rt_step_shape s = fixture_decodes(c, 8, 0);
        hops[i] = part_s(parts, rt_cost_explain(c, &s, parts), "pipeline_hops");
        rt_cost_free(c);
    }
    double inside = 5e-6 + bytes / 4 / 450e9 + gather;
    double between = 5e-6 + RT_NODE_LATENCY_S + bytes / 4 / RT_NODE_LINK_BYTES_PER_S + gather;
    assert_true(near(hops[0], 3 * inside, 1e-12));
    assert_true(near(hops[1], 2 * inside + between, 1e-12));
    assert_true(near(hops[2], 3 * between, 1e-12));
}

/* A pure decode stays linear in its context, also through stages: runs and single steps agree. */
static void test_run_through_stages(void **state)
{
    (void)state;
    struct rt_cost_inputs in = inputs(fixture_deepseek_v3(), 8, 4, 2);
    in.parallel.expert = 16;
    struct rt_cost *c = make(&in);
    struct rt_step_shape s = fixture_decodes(c, 32, 500), run = s;
    int64_t ns[100];
    s.group_tokens = run.group_tokens = 50;
    s.group_largest = run.group_largest = 32;
    rt_cost_decode_run(c, &run, 100, ns);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(ns[i], rt_cost_step_ns(c, &s));
        s.decode_context += 32;
        s.held_tokens += 32;
    }
    rt_cost_free(c);
}

/* ---- ranks ----------------------------------------------------------------------------------- */

/* Without experts ranks have nothing in common: a rank is a replica of its own. */
static void test_dense_ranks(void **state)
{
    (void)state;
    struct rt_cost_inputs in = inputs(fixture_llama31_8b(), 2, 1, 1);
    struct rt_cost *one = make(&in);
    in.parallel.data = 4;
    struct rt_cost *four = make(&in);
    struct rt_rng r;
    rt_rng_init(&r, 4, RT_RNG_TOOLS, 0);
    assert_false(rt_cost_ranks_together(four));
    for (int i = 0; i < 50; i++) {
        struct rt_step_shape s = random_shape(one, &r), with = s;
        with.group_tokens = 4 * s.tokens;
        with.group_largest = 2 * s.tokens;
        assert_int_equal(rt_cost_step_ns(one, &s), rt_cost_step_ns(four, &with));
    }
    rt_cost_free(one);
    rt_cost_free(four);
}

/* With experts every rank runs the largest rank's captured graph, routes everybody's tokens, and a
 * rank without requests takes as long as one with the others' tokens and no attention. */
static void test_ranks_together(void **state)
{
    (void)state;
    struct rt_cost_inputs in = inputs(fixture_deepseek_v3(), 1, 1, 8);
    in.parallel.expert = 8;
    struct rt_cost *c = make(&in);
    assert_true(rt_cost_ranks_together(c));
    struct rt_step_shape even = fixture_decodes(c, 30, 0), told = even, idle, small;
    told.group_tokens = 8 * 30;
    told.group_largest = 30;
    assert_int_equal(rt_cost_step_ns(c, &even), rt_cost_step_ns(c, &told));
    small = fixture_decodes(c, 2, 0);
    small.group_tokens = 7 * 2 + 30;
    small.group_largest = 30;
    double a[RT_TERM_COUNT], b[RT_TERM_COUNT];
    rt_cost_step_terms(c, &even, a);
    rt_cost_step_terms(c, &small, b);
    assert_true(a[RT_TERM_COMM] == b[RT_TERM_COMM] && fixture_sum(b) < fixture_sum(a));
    memset(&idle, 0, sizeof idle);
    idle.group_tokens = idle.group_largest = 30;
    rt_cost_step_terms(c, &idle, b);
    assert_true(b[RT_TERM_COMM] == a[RT_TERM_COMM] && b[RT_TERM_KV] == 0);
    /* beyond the graphs nobody pads: only the total counts, and the idle rank runs one token */
    struct rt_step_shape long_one = fixture_prefill(4000, 0);
    long_one.group_tokens = long_one.group_largest = 4000;
    struct rt_step_shape others = long_one;
    others.group_tokens = 8 * 4000;
    assert_true(rt_cost_step_ns(c, &others) > rt_cost_step_ns(c, &long_one));
    idle.group_tokens = idle.group_largest = 4000;
    int64_t waits = rt_cost_step_ns(c, &idle);
    assert_true(waits > 0 && waits < rt_cost_step_ns(c, &long_one));
    rt_cost_free(c);
}

/* More tokens anywhere: never faster. */
static void test_ranks_monotone(void **state)
{
    (void)state;
    struct rt_rng r;
    rt_rng_init(&r, 8, RT_RNG_TOOLS, 0);
    for (int i = 0; i < 20; i++) {
        struct rt_cost_inputs in = inputs(fixture_deepseek_v3(), 2, 1, 4);
        in.parallel.expert = i % 2 ? 8 : 1;
        in.spec.expert_skew = i % 3 ? 0 : .7;
        struct rt_cost *c = make(&in);
        for (int n = 0; n < 50; n++) {
            struct rt_step_shape s = random_shape(c, &r);
            s.group_largest = s.tokens + (int64_t)rt_rng_below(&r, 500);
            s.group_tokens = s.group_largest + (int64_t)rt_rng_below(&r, 3000);
            int64_t before = rt_cost_step_ns(c, &s);
            s.group_tokens += 1 + (int64_t)rt_rng_below(&r, 3000);
            assert_true(rt_cost_step_ns(c, &s) >= before);
        }
        rt_cost_free(c);
    }
}

/* ---- experts --------------------------------------------------------------------------------- */

/* Bytes of routed weights a step reads, of one expert's. */
static double touched(struct rt_model model, int64_t ep, double skew, int64_t tokens)
{
    struct rt_cost_inputs in = inputs(model, ep, 1, 1);
    struct rt_cost_part parts[RT_MAX_COST_PARTS];
    in.parallel.expert = ep;
    in.spec.expert_skew = skew;
    in.gpu.k.moe_pad_rows = in.gpu.k.graph_max_tokens = 0;
    in.max_tokens = 1;
    in.dtypes.weight = RT_BF16;
    struct rt_cost *c = make(&in);
    struct rt_step_shape s = fixture_decodes(c, tokens, 0);
    unsigned n = rt_cost_explain(c, &s, parts);
    double rows = 0, bytes = 0, hidden = (double)model.hidden, ffn = (double)model.expert_ffn;
    for (unsigned i = 0; i < n; i++)
        if (strcmp(parts[i].name, "experts_down") == 0) {
            double layers = (double)rt_model_moe_layers(&model);
            rows = parts[i].flops / layers / (2 * hidden * ffn);
            bytes = parts[i].bytes / layers - rows * (hidden + ffn) * 2;
        }
    rt_cost_free(c);
    return bytes / (hidden * ffn * 2);
}

/* Draws topk different experts a token with weights i^-skew, dealt out to GPUs one by one; distinct
 * ones on the GPU that has most. */
static double draw(const struct rt_model *m, int64_t ep, double skew, int64_t tokens,
                   struct rt_rng *r)
{
    int64_t rounds = 2000 / tokens + 40, sum = 0;
    for (int64_t round = 0; round < rounds; round++) {
        bool seen[64] = {false};
        for (int64_t t = 0; t < tokens; t++) {
            bool mine[64] = {false};
            for (int64_t k = 0; k < m->experts_per_token; k++) {
                double total = 0, at;
                for (int64_t e = 0; e < m->experts; e++)
                    total += mine[e] ? 0 : pow((double)(e + 1), -skew);
                at = rt_rng_unit(r) * total;
                int64_t pick = 0;
                for (int64_t e = 0; e < m->experts; e++) {
                    if (mine[e])
                        continue;
                    pick = e;
                    at -= pow((double)(e + 1), -skew);
                    if (at < 0)
                        break;
                }
                mine[pick] = seen[pick] = true;
            }
        }
        int64_t most = 0;
        for (int64_t gpu = 0; gpu < ep; gpu++) {
            int64_t here = 0;
            for (int64_t e = gpu; e < m->experts; e += ep)
                here += seen[e];
            most = here > most ? here : most;
        }
        sum += most;
    }
    return (double)sum / (double)rounds;
}

static void test_touched(void **state)
{
    (void)state;
    struct rt_model m = fixture_mixtral();
    struct rt_rng r;
    m.experts = 64;
    m.experts_per_token = 6;
    m.expert_ffn = 1408;
    rt_rng_init(&r, 17, RT_RNG_TOOLS, 0);
    for (int i = 0; i < 24; i++) {
        static const double skews[] = {0, .5, 1};
        static const int64_t tokens[] = {1, 4, 20, 80};
        int64_t ep = i < 12 ? 1 : 4;
        double skew = skews[i % 3], got = touched(m, ep, skew, tokens[i / 3 % 4]);
        double want = draw(&m, ep, skew, tokens[i / 3 % 4], &r);
        if (!(fabs(got - want) <= .04 * want + .15))
            fail_msg("ep %lld skew %g, %lld tokens: %g experts, drawn %g", (long long)ep, skew,
                     (long long)tokens[i / 3 % 4], got, want);
    }
    /* by hand: 64*(1 - (58/64)^20) */
    assert_true(near(touched(m, 1, 0, 20), 64 * (1 - pow(58.0 / 64, 20)), 1e-9));
    double mean = 16 * (1 - pow(58.0 / 64, 20)), busiest = touched(m, 4, 0, 20);
    assert_true(busiest > mean + .5 && busiest < mean + 2);
    assert_true(near(touched(m, 4, 0, 2000), 16, 1e-9)); /* all of them */
    assert_true(touched(m, 1, .5, 20) < touched(m, 1, 0, 20));
    m.experts_per_token = 64; /* everybody is asked: nothing to skew */
    assert_true(near(touched(m, 1, 2, 1), 64, 1e-9));
}

/* Experts whole or in slices weigh the same on a GPU and multiply the same rows in all; more ranks
 * share them further. */
static void test_expert_layouts(void **state)
{
    (void)state;
    struct rt_cost_inputs in = inputs(fixture_deepseek_v3(), 4, 1, 4);
    struct rt_memory_plan slices, whole;
    rt_memory_figures(&in, .9, 16, &slices);
    in.parallel.expert = 16;
    rt_memory_figures(&in, .9, 16, &whole);
    assert_true(near(whole.weights, slices.weights, 1e-12));
    assert_true(whole.block_bytes == slices.block_bytes);
    in.parallel.data = 8;
    in.parallel.expert = 32;
    struct rt_memory_plan more;
    rt_memory_figures(&in, .9, 16, &more);
    double experts = 58.0 * 256 * 3 * 7168 * 2048 * 2; /* bytes of bf16 */
    assert_true(near(whole.weights - more.weights, experts / 16 - experts / 32, 1e-9));
    in.spec.expert_skew = 1; /* who is popular changes no weights */
    rt_memory_figures(&in, .9, 16, &whole);
    assert_memory_equal(&whole, &more, sizeof more);
}

/* Dispatch gathers the tokens of all ranks, combine scatters them: 2*(n-1)/n*T*H*2 bytes over the
 * bus of the ranks' own GPUs, and over the network where nodes end. */
static void test_all_to_all(void **state)
{
    (void)state;
    struct rt_cost_inputs in = inputs(fixture_deepseek_v3(), 1, 1, 8);
    struct rt_cost_part parts[RT_MAX_COST_PARTS];
    in.parallel.expert = 8;
    struct rt_cost *c = make(&in);
    struct rt_step_shape s = fixture_prefill(1000, 0);
    s.group_tokens = 5000;
    s.group_largest = 1000;
    double got = part_s(parts, rt_cost_explain(c, &s, parts), "experts_all_to_all");
    assert_true(near(got, 58 * 2 * (5e-6 + 7.0 / 8 * 5000 * 7168 * 2 / 300e9), 1e-12));
    rt_cost_free(c);
    in.nodes = (struct rt_nodes){.gpus = 4, .link_bytes_per_s = 25e9, .latency_s = 1e-5};
    c = make(&in); /* two nodes, four cards each: 100 GB/s */
    got = part_s(parts, rt_cost_explain(c, &s, parts), "experts_all_to_all");
    assert_true(near(got, 58 * 2 * (1.5e-5 + 7.0 / 8 * 5000 * 7168 * 2 / 100e9), 1e-12));
    rt_cost_free(c);
}

/* A bridge joins pairs; four cards talk over PCIe, by the library; two nodes of one GPU over the
 * network, by the library, too. */
static void test_slow_links(void **state)
{
    (void)state;
    struct rt_cost_part parts[RT_MAX_COST_PARTS];
    struct rt_cost_inputs in = inputs(fixture_llama31_8b(), 2, 1, 1);
    in.gpu.k.allreduce_bus_bytes_per_s = in.gpu.k.allreduce_library_bytes_per_s = 0;
    in.gpu.k.allreduce_library_s = 20e-6;
    in.gpu.link_kind = RT_LINK_BRIDGE;
    in.gpu.link_bytes_per_s = 56.25e9;
    in.gpu.pcie_bytes_per_s = 32e9;
    double bytes = 100 * 4096 * 2.0, rates[] = {56.25e9, 32e9, 25e9};
    double latencies[] = {5e-6, 20e-6, 20e-6 + 2e-5};
    for (int i = 0; i < 3; i++) {
        double n = i == 1 ? 4 : 2;
        in.parallel.tensor = (int64_t)n;
        if (i == 2)
            in.nodes = (struct rt_nodes){.gpus = 1, .link_bytes_per_s = 25e9, .latency_s = 1e-5};
        struct rt_cost *c = make(&in);
        struct rt_step_shape s = fixture_prefill(100, 0);
        s.tokens = 104; /* a captured graph, so that nothing is padded */
        double got = part_s(parts, rt_cost_explain(c, &s, parts), "all_reduce");
        double want = 65 * (latencies[i] + 2 * (n - 1) / n * bytes * 1.04 / rates[i]);
        assert_true(near(got, want, 1e-9));
        rt_cost_free(c);
    }
}

/* ---- parts ----------------------------------------------------------------------------------- */

/* The parts of a step are the step: term by term, for random models, degrees and batches. */
static void test_parts_are_the_step(void **state)
{
    (void)state;
    struct rt_rng r;
    rt_rng_init(&r, 33, RT_RNG_TOOLS, 0);
    for (int i = 0; i < 80; i++) {
        struct rt_cost_inputs in =
            inputs(random_model(&r), 1 << rt_rng_below(&r, 3), 1 + (int64_t)rt_rng_below(&r, 4),
                   1 << rt_rng_below(&r, 3));
        in.gpu.k.mixed_as_tiles = rt_rng_below(&r, 2) != 0;
        in.spec.speed_of_light = rt_rng_below(&r, 4) == 0;
        in.spec.expert_skew = (double)rt_rng_below(&r, 3) * .4;
        in.max_tokens = 300 * (int64_t)rt_rng_below(&r, 3); /* tables, or none */
        if (in.model.experts > 0 && rt_rng_below(&r, 2) != 0 &&
            in.model.experts % (in.parallel.tensor * in.parallel.data) == 0)
            in.parallel.expert = in.parallel.tensor * in.parallel.data;
        struct rt_cost *c = make(&in);
        for (int n = 0; n < 20; n++) {
            struct rt_cost_part parts[RT_MAX_COST_PARTS];
            struct rt_step_shape s = random_shape(c, &r);
            double terms[RT_TERM_COUNT], sums[RT_TERM_COUNT] = {0};
            s.transfer_s = n % 2 ? 0 : .001;
            s.draft_s = n % 3 ? 0 : .002;
            s.group_tokens = s.tokens * in.parallel.data;
            unsigned count = rt_cost_explain(c, &s, parts);
            assert_true(count > 0 && count <= RT_MAX_COST_PARTS);
            rt_cost_step_terms(c, &s, terms);
            for (unsigned p = 0; p < count; p++)
                for (int t = 0; t < RT_TERM_COUNT; t++)
                    sums[t] += parts[p].terms_s[t];
            for (int t = 0; t < RT_TERM_COUNT; t++)
                if (!near(sums[t], terms[t], 1e-12))
                    fail_msg("%s: %s is %g in parts, %g in the step", in.model.name,
                             rt_term_names[t], sums[t], terms[t]);
        }
        rt_cost_free(c);
    }
}

/* ---- the closed form ------------------------------------------------------------------------- */

/* Two stages, two micro-batches: every second goes to one of them; a batch of one pays for all
 * stages and fills half of them. */
static void test_estimate_of_stages(void **state)
{
    (void)state;
    struct rt_cost_inputs in = inputs(fixture_llama3_70b(), 1, 2, 1);
    struct rt_estimate_request req = {1000, 100, 32};
    struct rt_estimate e, one;
    struct rt_err err;
    assert_ok(rt_estimate(&in, .9, 16, &req, &e, &err), &err);
    assert_int_equal(e.micro_batches, 2);
    assert_int_equal(e.micro_batch, 16);
    assert_true(near(e.tpot_s, fixture_sum(e.decode_terms_s) + e.tpot_wait_s, 1e-12));
    assert_true(near(e.ttft_s, fixture_sum(e.prefill_terms_s) + e.ttft_wait_s, 1e-12));
    assert_true(e.tpot_s >= 2 * e.decode_stage_s * (1 - 1e-9));
    assert_true(e.ttft_wait_s > .4 * e.ttft_s / 2 && e.bubble_share >= 0 && e.bubble_share < .2);
    req.batch = 1;
    assert_ok(rt_estimate(&in, .9, 16, &req, &one, &err), &err);
    assert_true(one.micro_batches == 1 && one.tpot_wait_s == 0 && one.ttft_wait_s == 0);
    assert_true(near(one.bubble_share, .5, 1e-9));
    in.parallel.pipeline = 1;
    req.batch = 32;
    assert_ok(rt_estimate(&in, .9, 16, &req, &one, &err), &err);
    assert_true(one.bubble_share == 0 && one.tpot_wait_s == 0 && one.micro_batch == 32);
}

/* Ranks share a batch; the fullest counts. The parts of both steps add up to their time. */
static void test_estimate_of_ranks(void **state)
{
    (void)state;
    struct rt_cost_inputs in = inputs(fixture_deepseek_v3(), 2, 2, 4);
    struct rt_estimate_request req = {500, 65, 30};
    struct rt_estimate_step prefill, decode;
    struct rt_estimate e;
    struct rt_err err;
    in.parallel.expert = 8;
    assert_ok(rt_estimate(&in, .9, 16, &req, &e, &err), &err);
    assert_int_equal(e.rank_batch, 8);
    assert_int_equal(e.micro_batch, 4);
    assert_ok(rt_estimate_explain(&in, &req, &prefill, &decode, &err), &err);
    assert_int_equal(prefill.tokens, 4 * 500);
    assert_int_equal(decode.tokens, 4);
    assert_int_equal(decode.context, 532);
    assert_true(near(prefill.step_s, fixture_sum(e.prefill_terms_s), 1e-9));
    assert_true(near(decode.step_s, fixture_sum(e.decode_terms_s), 1e-3));
    assert_true(decode.stage_s < decode.step_s && decode.stage_s > decode.step_s / 3);
    req.prompt_tokens = 0;
    assert_fails(rt_estimate_explain(&in, &req, &prefill, &decode, &err), &err, RT_EUSAGE,
                 "prompt");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),
        cmocka_unit_test(test_stages_add_up),
        cmocka_unit_test(test_stage_by_hand),
        cmocka_unit_test(test_hops_between_nodes),
        cmocka_unit_test(test_run_through_stages),
        cmocka_unit_test(test_dense_ranks),
        cmocka_unit_test(test_ranks_together),
        cmocka_unit_test(test_ranks_monotone),
        cmocka_unit_test(test_touched),
        cmocka_unit_test(test_expert_layouts),
        cmocka_unit_test(test_all_to_all),
        cmocka_unit_test(test_slow_links),
        cmocka_unit_test(test_parts_are_the_step),
        cmocka_unit_test(test_estimate_of_stages),
        cmocka_unit_test(test_estimate_of_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
