/* What doubling a figure does to every part of a step, for random models on random GPUs of the
 * catalogue: twice the bandwidth, the peak, the tensor parallel degree, the batch, the context, the
 * link. A part may only move the way physics says; parts that the figure has nothing to do with
 * stay as they are to the last bit. */
#include "cost_fixture.h"
#include "rooftrace/catalog.h"
#include "rooftrace/explain.h"
#include "rooftrace/rng.h"
#include "support/test.h"

#include <math.h>
#include <stdlib.h>

#define ROUNDS 400

struct step {
    unsigned count;
    struct rt_cost_part parts[RT_MAX_COST_PARTS];
};

static bool one_kernel(const struct rt_cost_inputs *in, const struct rt_step_shape *s)
{
    return in->gpu.k.mixed_as_tiles && s->decodes > 0 && s->prefill_tokens > 0;
}

/* Where one kernel serves prompts and decodes, what it waits for goes to whoever causes it, and
 * that may change: only their sum says something. The last of the two parts becomes the sum. */
static void join_attention(struct step *s)
{
    unsigned k = 0;
    struct rt_cost_part sum = {.name = "attention"};
    for (unsigned i = 0; i < s->count; i++) {
        struct rt_cost_part p = s->parts[i];
        if (strstr(p.name, "_attention") == NULL) {
            s->parts[k++] = p;
            continue;
        }
        sum.terms_s[RT_TERM_ATTENTION] += p.terms_s[RT_TERM_KV] + p.terms_s[RT_TERM_ATTENTION];
        sum.terms_s[RT_TERM_LAUNCH] += p.terms_s[RT_TERM_LAUNCH];
    }
    s->parts[k++] = sum;
    s->count = k;
}

static struct step explain(const struct rt_cost_inputs *in, const struct rt_step_shape *s)
{
    struct rt_cost *c;
    struct rt_err err;
    struct step out;
    double terms[RT_TERM_COUNT], sum = 0;
    assert_ok(rt_cost_new(in, &c, &err), &err);
    out.count = rt_cost_explain(c, s, out.parts);
    rt_cost_step_terms(c, s, terms);
    for (unsigned i = 0; i < out.count; i++)
        sum += rt_cost_part_s(&out.parts[i]);
    assert_true(fabs(sum - fixture_sum(terms)) <= 1e-12 * sum);
    assert_true(llabs(llrint(sum * 1e9) - rt_cost_step_ns(c, s)) <= 1);
    rt_cost_free(c);
    if (one_kernel(in, s))
        join_attention(&out);
    return out;
}

static const struct rt_cost_part *find(const struct step *s, const char *name)
{
    for (unsigned i = 0; i < s->count; i++)
        if (strcmp(s->parts[i].name, name) == 0)
            return &s->parts[i];
    return NULL;
}

static struct rt_model random_model(struct rt_rng *r)
{
    struct rt_model m = {.attention = RT_GQA,
                         .layers = 2 + (int64_t)rt_rng_below(r, 80),
                         .heads = 8 << rt_rng_below(r, 4),
                         .head_dim = 64 << rt_rng_below(r, 2),
                         .ffn = 512 * (1 + (int64_t)rt_rng_below(r, 60)),
                         .vocab = 1024 * (1 + (int64_t)rt_rng_below(r, 250)),
                         .gated = rt_rng_below(r, 4) != 0,
                         .tied = rt_rng_below(r, 2) != 0,
                         .qk_norm = rt_rng_below(r, 2) != 0,
                         .moe_every = 1,
                         .dtype = RT_BF16};
    m.hidden = m.heads * m.head_dim;
    m.kv_heads = 8;
    if (rt_rng_below(r, 3) == 0) {
        m.window = 16 << rt_rng_below(r, 9);
        m.local_layers = 1 + (int64_t)rt_rng_below(r, (uint64_t)m.layers);
    }
    if (rt_rng_below(r, 3) == 0) {
        m.experts = 8 << rt_rng_below(r, 6);
        m.experts_per_token = 1 + (int64_t)rt_rng_below(r, 8);
        m.expert_ffn = 256 * (1 + (int64_t)rt_rng_below(r, 16));
        m.dense_layers = (int64_t)rt_rng_below(r, (uint64_t)m.layers);
        m.shared_experts = (int64_t)rt_rng_below(r, 2);
        m.shared_ffn = m.shared_experts * 1024;
    }
    if (rt_rng_below(r, 4) == 0) {
        m.attention = RT_MLA;
        m.kv_heads = m.heads;
        m.q_lora = rt_rng_below(r, 2) ? 1536 : 0;
        m.kv_lora = 512;
        m.qk_nope = m.v_head = 128;
        m.qk_rope = 64;
        m.head_dim = 192;
        m.window = m.local_layers = 0;
    }
    snprintf(m.name, sizeof m.name, "random");
    return m;
}

static struct rt_step_shape random_shape(const struct rt_cost_inputs *in, struct rt_rng *r,
                                         int64_t times)
{
    struct rt_step_shape s;
    int64_t windows[1] = {in->model.window}, n = (int64_t)rt_rng_below(r, 200);
    int64_t ctx = 1 + (int64_t)rt_rng_below(r, 20000), prompts = (int64_t)rt_rng_below(r, 3);
    unsigned count = in->model.window > 0 ? 1 : 0;
    memset(&s, 0, sizeof s);
    if (n + prompts == 0)
        n = 1;
    rt_step_add_decodes(&s, n * times, ctx, windows, count);
    int64_t q = 1 + (int64_t)rt_rng_below(r, 3000), k = (int64_t)rt_rng_below(r, 9000);
    for (int64_t i = 0; i < prompts * times; i++)
        rt_step_add_prefill(&s, q, k);
    s.samples += prompts * times;
    return s;
}

struct scene {
    struct rt_catalog *catalog;
    struct rt_rng r;
    struct rt_cost_inputs in;
};

static int setup(void **state)
{
    static struct scene scene;
    struct rt_err err;
    assert_ok(rt_catalog_open(NULL, &scene.catalog, &err), &err);
    *state = &scene;
    return 0;
}

static int teardown(void **state)
{
    rt_catalog_free(((struct scene *)*state)->catalog);
    return 0;
}

/* Random inputs with tp up to `most`; the same ones for the same round. */
static void draw(struct scene *s, int round, int64_t most)
{
    rt_rng_init(&s->r, 51, RT_RNG_TOOLS, (uint64_t)round);
    unsigned gpus = rt_catalog_gpu_count(s->catalog);
    do {
        s->in = fixture_inputs(*rt_catalog_gpu_at(s->catalog, (unsigned)rt_rng_below(&s->r, gpus)),
                               random_model(&s->r), 1);
    } while (!(s->in.gpu.peak_flops[RT_BF16] > 0) ||
             !(s->in.gpu.link_bytes_per_s > 0 || s->in.gpu.pcie_bytes_per_s > 0));
    while (s->in.parallel.tensor < most && rt_rng_below(&s->r, 2) != 0)
        s->in.parallel.tensor *= 2;
    s->in.spec.expert_skew = (double)rt_rng_below(&s->r, 3) * .5;
    s->in.max_tokens = 1;
    if (s->in.model.experts < s->in.model.experts_per_token)
        s->in.model.experts_per_token = s->in.model.experts;
}

/* way of each term: -1 not up, 0 the same bits, 1 not down, 2 either */
static void compare(const char *what, const struct rt_cost_part *a, const struct rt_cost_part *b,
                    const int way[RT_TERM_COUNT])
{
    for (int t = 0; t < RT_TERM_COUNT; t++) {
        double x = a->terms_s[t], y = b->terms_s[t], slack = 1e-12 * x;
        bool same = fabs(y - x) <= 0;
        if ((way[t] == 0 && !same) || (way[t] == -1 && y > x + slack) ||
            (way[t] == 1 && y < x - slack))
            fail_msg("%s: %s of %s went from %g to %g", what, rt_term_names[t], a->name, x, y);
    }
}

static void compare_all(const char *what, const struct step *a, const struct step *b,
                        const int way[RT_TERM_COUNT])
{
    assert_int_equal(a->count, b->count);
    for (unsigned i = 0; i < a->count; i++) {
        assert_string_equal(a->parts[i].name, b->parts[i].name);
        compare(what, &a->parts[i], &b->parts[i], way);
    }
}

/* Terms in their order: weights compute kv attention other launch comm host. Faster memory leaves
 * more of a product's time to its arithmetic, and the other way round; its sum never goes up. An
 * all-reduce through symmetric memory copies its buffers. */
static void test_bandwidth_and_peak(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; i < ROUNDS; i++) {
        draw(scene, i, 4);
        struct rt_step_shape s = random_shape(&scene->in, &scene->r, 1);
        struct rt_cost_inputs faster = scene->in;
        struct step before = explain(&scene->in, &s), after;
        bool joined = one_kernel(&scene->in, &s);
        int copies = scene->in.gpu.k.allreduce_symmetric_8_bytes > 0 ? -1 : 0;
        int way[RT_TERM_COUNT] = {-1, 1, -1, joined ? -1 : 0, -1, 0, copies, 0};
        faster.gpu.mem_bw_bytes_per_s *= 2;
        after = explain(&faster, &s);
        compare_all("bandwidth", &before, &after, way);
        for (unsigned p = 0; p < before.count; p++)
            assert_true(rt_cost_part_s(&after.parts[p]) <=
                        rt_cost_part_s(&before.parts[p]) * (1 + 1e-12));
        faster = scene->in;
        int peak_way[RT_TERM_COUNT] = {1, -1, -1, -1, 0, 0, 0, 0};
        faster.gpu.peak_flops[RT_BF16] *= 2;
        after = explain(&faster, &s);
        compare_all("peak", &before, &after, peak_way);
    }
}

/* Twice the link: only messages. Their fixed part stays, the rest halves at most. */
static void test_link(void **state)
{
    struct scene *scene = *state;
    static const int way[RT_TERM_COUNT] = {0, 0, 0, 0, 0, 0, -1, 0};
    for (int i = 0; i < ROUNDS / 4; i++) {
        draw(scene, i, 8);
        struct rt_step_shape s = random_shape(&scene->in, &scene->r, 1);
        struct rt_cost_inputs faster = scene->in;
        faster.gpu.k.allreduce_bus_bytes_per_s *= 2;
        faster.gpu.k.allreduce_library_bytes_per_s *= 2;
        faster.gpu.link_bytes_per_s *= 2;
        faster.gpu.pcie_bytes_per_s *= 2;
        struct step before = explain(&scene->in, &s), after = explain(&faster, &s);
        compare_all("link", &before, &after, way);
        for (unsigned p = 0; p < before.count; p++)
            assert_true(after.parts[p].terms_s[RT_TERM_COMM] >=
                        before.parts[p].terms_s[RT_TERM_COMM] / 2 * (1 - 1e-12));
    }
}

/* Twice the GPUs: no product multiplies or reads more on one of them; what is whole on each stays
 * (router, latents, host, norms); messages appear and do not get cheaper, unless a switch sums:
 * more GPUs then send less each. */
static void test_tensor_parallel(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; i < ROUNDS; i++) {
        draw(scene, i, 2);
        struct rt_step_shape s = random_shape(&scene->in, &scene->r, 1);
        struct rt_gpu_constants *k = &scene->in.gpu.k;
        k->allreduce_multicast = k->allreduce_symmetric_2_bytes = k->allreduce_symmetric_4_bytes =
            0;
        struct rt_cost_inputs wider = scene->in;
        wider.parallel.tensor *= 2;
        struct step before = explain(&scene->in, &s), after = explain(&wider, &s);
        for (unsigned p = 0; p < before.count; p++) {
            const struct rt_cost_part *a = &before.parts[p], *b = find(&after, a->name);
            assert_non_null(b);
            assert_true(b->flops <= a->flops);
            if (a->terms_s[RT_TERM_COMM] > 0)
                assert_true(b->terms_s[RT_TERM_COMM] >= a->terms_s[RT_TERM_COMM]);
            else
                assert_true(b->bytes <= a->bytes &&
                            rt_cost_part_s(b) <= rt_cost_part_s(a) * (1 + 1e-12));
            if (strcmp(a->name, "router") == 0 || strcmp(a->name, "host") == 0 ||
                strcmp(a->name, "qkv_down") == 0 || strcmp(a->name, "kv_down") == 0)
                assert_true(rt_cost_part_s(b) == rt_cost_part_s(a));
            if (strcmp(a->name, "down") == 0 || strcmp(a->name, "experts_down") == 0)
                assert_true(b->flops == a->flops / 2);
        }
        assert_non_null(find(&after, "all_reduce"));
    }
}

/* KV seconds of twice the tokens: twice as many, but for what is left of the ramp. */
static void check_twice(const struct rt_cost_inputs *in, const struct step *once,
                        const struct step *twice)
{
    double x = find(once, "decode_attention")->terms_s[RT_TERM_KV];
    double y = find(twice, "decode_attention")->terms_s[RT_TERM_KV];
    double ramp = (double)in->model.layers * in->gpu.k.decode_ramp_s;
    assert_true(y > x && y <= 2 * x * (1 + 1e-12) && y >= 2 * x - ramp - 1e-12 * y);
}

/* Twice the requests: every part takes as long or longer (an all-reduce only while it stays on one
 * side of an engine's limits), a pure decode reads twice the KV and the same dense weights, and a
 * product takes at most twice as long. */
static void test_batch(void **state)
{
    struct scene *scene = *state;
    for (int i = 0; i < ROUNDS; i++) {
        draw(scene, i, 4);
        struct rt_gpu_constants *k = &scene->in.gpu.k;
        k->allreduce_symmetric_2_bytes = k->allreduce_symmetric_4_bytes = 0;
        if (i % 2 == 0)
            k->decode_ramp_s = 0;
        struct rt_rng again = scene->r;
        struct rt_step_shape s = random_shape(&scene->in, &scene->r, 1);
        scene->r = again;
        struct rt_step_shape twice = random_shape(&scene->in, &scene->r, 2);
        struct step before = explain(&scene->in, &s), after = explain(&scene->in, &twice);
        assert_int_equal(before.count, after.count);
        for (unsigned p = 0; p < before.count; p++) {
            const struct rt_cost_part *a = &before.parts[p], *b = &after.parts[p];
            double x = rt_cost_part_s(a), y = rt_cost_part_s(b);
            bool product = a->terms_s[RT_TERM_WEIGHTS] > 0;
            if (!(y >= x * (1 - 1e-12)) || (product && y > 2 * x * (1 + 1e-12)))
                fail_msg("batch: %s went from %g to %g", a->name, x, y);
        }
        if (find(&before, "decode_attention") != NULL && s.prefill_tokens == 0)
            check_twice(&scene->in, &before, &after);
    }
}

/* Twice the context of every decode, no windows: twice the KV seconds, but for the ramp, and
 * nothing else. */
static void test_context(void **state)
{
    struct scene *scene = *state;
    static const int way[RT_TERM_COUNT] = {0, 0, 1, 0, 0, 0, 0, 0};
    for (int i = 0; i < ROUNDS / 4; i++) {
        draw(scene, i, 4);
        scene->in.model.window = scene->in.model.local_layers = 0;
        if (i % 2 == 0)
            scene->in.gpu.k.decode_ramp_s = 0;
        struct rt_step_shape s, twice;
        memset(&s, 0, sizeof s);
        rt_step_add_decodes(&s, 1 + (int64_t)rt_rng_below(&scene->r, 300),
                            1 + (int64_t)rt_rng_below(&scene->r, 9000), NULL, 0);
        twice = s;
        twice.decode_context *= 2;
        twice.held_tokens *= 2;
        struct step before = explain(&scene->in, &s), after = explain(&scene->in, &twice);
        compare_all("context", &before, &after, way);
        check_twice(&scene->in, &before, &after);
    }
}

/* What a part is bound by is the most of its seconds. */
static void test_bounds(void **state)
{
    (void)state;
    struct rt_cost_inputs in = fixture_inputs(fixture_h100(), fixture_llama3_70b(), 4);
    struct rt_step_shape one, prompt = fixture_prefill(4096, 0);
    memset(&one, 0, sizeof one);
    rt_step_add_decodes(&one, 1, 9000, NULL, 0);
    struct step decode = explain(&in, &one), prefill = explain(&in, &prompt);
    assert_string_equal(rt_cost_part_bound(find(&decode, "gate_up")), "bandwidth");
    assert_string_equal(rt_cost_part_bound(find(&prefill, "gate_up")), "compute");
    assert_string_equal(rt_cost_part_bound(find(&prefill, "prefill_attention")), "compute");
    assert_string_equal(rt_cost_part_bound(find(&decode, "elementwise")), "launch");
    assert_string_equal(rt_cost_part_bound(find(&decode, "all_reduce")), "link");
    assert_string_equal(rt_cost_part_bound(find(&decode, "host")), "host");
    /* FLOPs and bytes by hand: 80 layers of 8192 x 14336 on each of 4 GPUs, 16 bit */
    const struct rt_cost_part *p = find(&decode, "gate_up");
    assert_true(p->flops == 80.0 * 2 * 8192 * 14336);
    assert_true(p->bytes == 80.0 * 2 * (8192.0 * 14336 + 8192 + 14336));
    p = find(&decode, "decode_attention");
    assert_true(p->bytes == 9000 * 327680.0 / 4 && p->flops == 80.0 * 9000 * 4 * 8192 / 4);
    p = find(&prefill, "prefill_attention");
    assert_true(p->flops == 80.0 * (4096.0 * 4097 / 2) * 4 * 8192 / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bandwidth_and_peak),
        cmocka_unit_test(test_link),
        cmocka_unit_test(test_tensor_parallel),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_context),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
