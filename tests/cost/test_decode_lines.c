/* Pure decodes are priced from a table of lines (terms that do not depend on the context, and a
 * slope on either side of a knee): the same bits as the model's own terms, for every kind of cost,
 * inside the table and beyond it; runs of them, and terms summed over many. Random shapes from a
 * printed seed. */
#include "cost_fixture.h"
#include "rooftrace/decode_run.h"
#include "rooftrace/rng.h"
#include "support/test.h"

#include <math.h>
#include <string.h>

#define CASES 400
#define STEPS 300

static struct rt_cost *make(struct rt_cost_inputs in, int64_t max_seqs)
{
    struct rt_cost *c;
    struct rt_err err;
    in.max_seqs = max_seqs;
    assert_ok(rt_cost_new(&in, &c, &err), &err);
    return c;
}

/* Durations one by one equal the run's, and their sum is what it returns. */
static void check_run(const struct rt_cost *c, struct rt_step_shape s)
{
    int64_t ns[STEPS], sum = 0;
    struct rt_step_shape run = s;
    int64_t got = rt_cost_decode_run(c, &run, STEPS, ns);
    for (int i = 0; i < STEPS; i++) {
        assert_int_equal(ns[i], rt_cost_step_ns(c, &s));
        sum += ns[i];
        s.decode_context += s.decodes;
        s.held_tokens += s.decodes;
    }
    assert_int_equal(got, sum);
    assert_int_equal(run.decode_context, s.decode_context);
}

/* Any part of a run that is not listed: each duration and the sum as in the list. */
static void check_unlisted(const struct rt_cost *c, struct rt_step_shape s, struct rt_rng *rng)
{
    int64_t ns[STEPS], part[STEPS], sum = 0;
    struct rt_decode_run run;
    assert_true(rt_cost_run(c, s.decodes, s.decode_context, &run));
    (void)rt_cost_decode_run(c, &s, STEPS, ns);
    uint32_t from = (uint32_t)rt_rng_below(rng, STEPS);
    uint32_t n = (uint32_t)rt_rng_below(rng, STEPS - from + 1);
    for (uint32_t i = from; i < from + n; i++) {
        assert_int_equal(rt_run_ns(&run, i), ns[i]);
        sum += ns[i];
    }
    assert_int_equal(rt_run_sum(&run, from, n), sum);
    assert_int_equal(rt_run_list(&run, from, n, part), sum);
    assert_memory_equal(part, ns + from, n * sizeof part[0]);
}

static void check_sum(const struct rt_cost *c, struct rt_step_shape s)
{
    double each[RT_TERM_COUNT] = {0}, many[RT_TERM_COUNT] = {0}, terms[RT_TERM_COUNT];
    struct rt_plain_sums sums = {.steps = STEPS};
    for (int i = 0; i < STEPS; i++) {
        rt_cost_step_terms(c, &s, terms);
        for (int t = 0; t < RT_TERM_COUNT; t++)
            each[t] += terms[t];
        sums.context += (double)s.decode_context;
        sums.low += fmin((double)s.decode_context, (double)rt_cost_knee(c));
        s.decode_context += s.decodes;
        s.held_tokens += s.decodes;
    }
    rt_cost_add_decodes(c, s.decodes, &sums, many);
    for (int t = 0; t < RT_TERM_COUNT; t++)
        if (!(fabs(many[t] - each[t]) <= 1e-11 * fabs(each[t])))
            fail_msg("term %s: %.15g, one by one %.15g", rt_term_names[t], many[t], each[t]);
}

static void check_kind(struct rt_cost_inputs in, uint64_t seed)
{
    struct rt_rng rng;
    rt_rng_init(&rng, seed, RT_RNG_LENGTHS, 0);
    struct rt_cost *table = make(in, 256), *direct = make(in, 1);
    for (int i = 0; i < CASES; i++) {
        int64_t decodes = 1 + (int64_t)rt_rng_below(&rng, 300);
        int64_t ctx = (int64_t)rt_rng_below(&rng, 100000);
        struct rt_step_shape s = {0};
        rt_step_add_decodes(&s, decodes, ctx, NULL, 0);
        double a[RT_TERM_COUNT], b[RT_TERM_COUNT];
        rt_cost_step_terms(table, &s, a);
        rt_cost_step_terms(direct, &s, b);
        assert_memory_equal(a, b, sizeof a);
        assert_int_equal(rt_cost_step_ns(table, &s), rt_cost_step_ns(direct, &s));
        assert_int_equal(rt_cost_is_plain(table, &s), decodes <= 256);
        if (i % 20 == 0)
            check_run(table, s);
        if (i % 20 == 0 && decodes <= 256) {
            check_sum(table, s);
            check_unlisted(table, s, &rng);
        } else if (decodes > 256) {
            struct rt_decode_run none;
            assert_false(rt_cost_run(table, decodes, s.decode_context, &none));
        }
    }
    rt_cost_free(table);
    rt_cost_free(direct);
}

static void test_same_bits(void **state)
{
    (void)state;
    const uint64_t seed = 20261122;
    print_message("seed %llu\n", (unsigned long long)seed);
    struct rt_cost_inputs in = fixture_inputs(fixture_4090(), fixture_mistral_7b(), 1);
    check_kind(in, seed);
    in.gpu.k.decode_ramp_s = 5e-6;
    in.gpu.k.decode_ramp_bytes = 300e6; /* 73,243 tokens of 4096 bytes a layer */
    check_kind(in, seed + 3);
    in.spec.speed_of_light = true;
    check_kind(in, seed + 1);
    in.spec = (struct rt_cost_spec){.kind = RT_COST_LINEAR,
                                    .coefficients_s = {1e-3, 2e-6, 3e-9, 4e-12, 5e-6}};
    check_kind(in, seed + 2);
}

/* What else a step may hold is not plain. */
static void test_not_plain(void **state)
{
    (void)state;
    struct rt_cost *c = make(fixture_inputs(fixture_4090(), fixture_mistral_7b(), 1), 256);
    struct rt_step_shape s = {0}, other;
    rt_step_add_decodes(&s, 8, 1000, NULL, 0);
    assert_true(rt_cost_is_plain(c, &s));
    other = s;
    rt_step_add_prefill(&other, 5, 0);
    assert_false(rt_cost_is_plain(c, &other));
    other = s;
    other.transfer_s = 1e-3;
    assert_false(rt_cost_is_plain(c, &other));
    other = s;
    other.draft_s = 1e-3;
    assert_false(rt_cost_is_plain(c, &other));
    other = s;
    other.tokens = other.samples = 3 * s.decodes; /* two drafts each */
    assert_false(rt_cost_is_plain(c, &other));
    rt_cost_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_not_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
