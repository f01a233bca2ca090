/* linear cost against a direct re-computation of rule 5 of docs/engine.md, its section in a
 * scenario, rounding, and runs of decode steps against single steps, bit for bit. */
#include "cost_fixture.h"
#include "rooftrace/decode_run.h"
#include "rooftrace/rng.h"
#include "support/test.h"

#include <math.h>

static struct rt_cost *linear(const double b[5])
{
    struct rt_cost_inputs in;
    struct rt_cost *c;
    struct rt_err err;
    memset(&in, 0, sizeof in);
    rt_cost_spec_init(&in.spec);
    in.spec.kind = RT_COST_LINEAR;
    memcpy(in.spec.coefficients_s, b, 5 * sizeof b[0]);
    assert_ok(rt_cost_new(&in, &c, &err), &err);
    return c;
}

static struct rt_step_shape random_shape(struct rt_rng *r)
{
    struct rt_step_shape s;
    memset(&s, 0, sizeof s);
    int64_t prefills = (int64_t)rt_rng_below(r, 4);
    for (int64_t i = 0; i < prefills; i++)
        rt_step_add_prefill(&s, 1 + (int64_t)rt_rng_below(r, 8192),
                            (int64_t)rt_rng_below(r, 200000));
    rt_step_add_decodes(&s, (int64_t)rt_rng_below(r, 300), (int64_t)rt_rng_below(r, 100000), NULL,
                        0);
    return s;
}

static void test_rule_5(void **state)
{
    (void)state;
    const uint64_t seed = 20260801;
    struct rt_rng r;
    rt_rng_init(&r, seed, RT_RNG_TOOLS, 0);
    print_message("seed %llu\n", (unsigned long long)seed);
    for (int i = 0; i < 20000; i++) {
        double b[5];
        for (int j = 0; j < 5; j++)
            b[j] = rt_rng_unit(&r) * (j == 0 ? 1e-2 : 1e-5);
        struct rt_cost *c = linear(b);
        struct rt_step_shape s = random_shape(&r);
        volatile double t = b[1] * (double)s.tokens; /* volatile: one rounding an operation */
        t = b[0] + t;
        volatile double term = b[2] * (double)s.held_tokens;
        t = t + term;
        term = b[3] * (double)s.prefill_area;
        t = t + term;
        term = b[4] * (double)s.sequences;
        t = t + term;
        t = t * 1e9;
        assert_int_equal(rt_cost_step_ns(c, &s), llrint(t));
        double terms[RT_TERM_COUNT];
        rt_cost_step_terms(c, &s, terms);
        assert_true(fixture_sum(terms) * 1e9 == t);
        rt_cost_free(c);
    }
}

/* Ties go to even: 1e9/1024 = 976562.5 exactly, so multiples of 2^-10 s are exact half nanoseconds.
 */
static void test_rounding(void **state)
{
    (void)state;
    static const struct {
        double seconds;
        int64_t ns;
    } cases[] = {
        {0, 0},
        {1.0 / 1024, 976562},
        {3.0 / 1024, 2929688},
        {5.0 / 1024, 4882812},
        {0.4e-9, 0},
        {0.9e-9, 1},
        {-1e-3, 0}, /* a fit below its range counts as 0, never backwards */
        {1, 1000000000},
        {1e6, 1000000000000000},               /* 11 days */
        {2251799.813685249, 2251799813685249}, /* past 2^51 ns, where the other path rounds */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double b[5] = {cases[i].seconds, 0, 0, 0, 0};
        struct rt_cost *c = linear(b);
        struct rt_step_shape s = fixture_prefill(1, 0);
        assert_int_equal(rt_cost_step_ns(c, &s), cases[i].ns);
        rt_cost_free(c);
    }
    double huge[5] = {0, 1e6, 1e6, 1e6, 1e6}; /* beyond 2^62 ns: the longest step, no overflow */
    struct rt_cost *c = linear(huge);
    struct rt_step_shape s = fixture_prefill(1 << 20, INT64_C(1) << 40);
    assert_int_equal(rt_cost_step_ns(c, &s), INT64_C(1) << 62);
    rt_cost_free(c);
}

static bool parse(const char *text, struct rt_cost_spec *spec, struct rt_err *err)
{
    struct rt_json *doc;
    rt_cost_spec_init(spec);
    if (!rt_json_parse(text, strlen(text), "s.json", &doc, err))
        return false;
    struct rt_json_at root = rt_json_root(doc), at = rt_json_get(&root, "cost");
    bool ok = rt_cost_spec_parse(&at, spec, err);
    rt_json_free(doc);
    return ok;
}

static void test_parse(void **state)
{
    (void)state;
    struct rt_cost_spec s;
    struct rt_err err;
    assert_ok(parse("{}", &s, &err), &err);
    assert_int_equal(s.kind, RT_COST_ROOFLINE);
    assert_ok(parse("{\"cost\":{\"kind\":\"roofline\",\"speed_of_light\":true}}", &s, &err), &err);
    assert_true(s.speed_of_light);
    assert_ok(
        parse("{\"cost\":{\"kind\":\"linear\",\"coefficients_s\":[1,-2e-3,3,4,5]}}", &s, &err),
        &err);
    assert_int_equal(s.kind, RT_COST_LINEAR);
    assert_true(s.coefficients_s[1] == -2e-3 && s.coefficients_s[4] == 5);
}

static void test_parse_errors(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"{\"cost\":3}", "$.cost"},
        {"{\"cost\":{\"kind\":\"rooflin\"}}", "roofline"},
        {"{\"cost\":{\"kind\":\"roofline\",\"coefficients_s\":[1,2,3,4,5]}}", "coefficients_s"},
        {"{\"cost\":{\"kind\":\"roofline\",\"speed_of_light\":1}}", "speed_of_light"},
        {"{\"cost\":{\"kind\":\"linear\"}}", "coefficients_s"},
        {"{\"cost\":{\"kind\":\"linear\",\"speed_of_light\":true}}", "speed_of_light"},
        {"{\"cost\":{\"kind\":\"linear\",\"coefficients_s\":7}}", "coefficients_s"},
        {"{\"cost\":{\"kind\":\"linear\",\"coefficients_s\":[1,2,3,4]}}", "five"},
        {"{\"cost\":{\"kind\":\"linear\",\"coefficients_s\":[1,2,3,4,5,6]}}", "five"},
        {"{\"cost\":{\"kind\":\"linear\",\"coefficients_s\":[1,2,\"x\",4,5]}}",
         "$.cost.coefficients_s[2]"},
        {"{\"cost\":{\"kind\":\"linear\",\"coefficients_s\":[1,2,3,4,1e7]}}",
         "$.cost.coefficients_s[4]"},
        {"{\"cost\":{\"kind\":\"linear\",\"coefficients_s\":[null,2,3,4,5]}}",
         "$.cost.coefficients_s[0]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_cost_spec s;
        struct rt_err err;
        assert_fails(parse(cases[i].text, &s, &err), &err, RT_ECONFIG, cases[i].message);
    }
}

static void test_not_finite(void **state)
{
    (void)state;
    const double bad[] = {(double)NAN, (double)INFINITY, -(double)INFINITY};
    for (int i = 0; i < 3; i++) {
        struct rt_cost_inputs in;
        struct rt_cost *c;
        struct rt_err err;
        memset(&in, 0, sizeof in);
        in.spec.kind = RT_COST_LINEAR;
        in.spec.coefficients_s[i] = bad[i];
        assert_fails(rt_cost_new(&in, &c, &err), &err, RT_ECONFIG, "finite");
        assert_null(c);
    }
}

/* ---- runs ------------------------------------------------------------------------------------ */

#define RUN 300

static void check_run(const struct rt_cost *c, struct rt_step_shape s, uint32_t n)
{
    static int64_t ns[3 << 16];
    struct rt_step_shape by_hand = s;
    rt_cost_decode_run(c, &s, n, ns);
    for (uint32_t i = 0; i < n; i++) {
        assert_int_equal(ns[i], rt_cost_step_ns(c, &by_hand));
        by_hand.decode_context += by_hand.decodes;
        by_hand.held_tokens += by_hand.decodes;
    }
    assert_memory_equal(&s, &by_hand, sizeof s);
}

static void test_run_linear(void **state)
{
    (void)state;
    struct rt_rng r;
    rt_rng_init(&r, 7, RT_RNG_TOOLS, 0);
    for (int i = 0; i < 3000; i++) {
        /* small, large (beyond 2^51 ns), negative and sign-changing lines */
        double scale[] = {1e-7, 1e2, -1e-7, 1e-7};
        double b[5] = {rt_rng_unit(&r) * 1e-3, rt_rng_unit(&r) * 1e-6,
                       rt_rng_unit(&r) * scale[i % 4], 0, rt_rng_unit(&r) * 1e-5};
        if (i % 4 == 3)
            b[0] = -b[2] * 1e5;
        struct rt_cost *c = linear(b);
        assert_true(rt_cost_can_run(c));
        struct rt_step_shape s;
        memset(&s, 0, sizeof s);
        rt_step_add_decodes(&s, 1 + (int64_t)rt_rng_below(&r, 400),
                            (int64_t)rt_rng_below(&r, 100000), NULL, 0);
        s.held_tokens += (int64_t)rt_rng_below(&r, 5); /* need not equal decode_context */
        check_run(c, s, 1 + (uint32_t)rt_rng_below(&r, RUN));
        rt_cost_free(c);
    }
    double b[5] = {1e-3, 1e-6, 1e-9, 0, 0};
    struct rt_cost *c = linear(b); /* longer than the run's inner chunks */
    check_run(c, fixture_decodes(c, 17, 1234), (2 << 16) + 3);
    check_run(c, fixture_decodes(c, 17, 1234), 0);
    rt_cost_free(c);
}

static void test_run_roofline(void **state)
{
    (void)state;
    struct rt_rng r;
    rt_rng_init(&r, 11, RT_RNG_TOOLS, 0);
    struct rt_cost_inputs cases[] = {
        fixture_inputs(fixture_4090(), fixture_llama31_8b(), 1),
        fixture_inputs(fixture_h100(), fixture_llama3_70b(), 4),
        fixture_inputs(fixture_h100(), fixture_mixtral(), 2),
        fixture_inputs(fixture_h100(), fixture_deepseek_v3(), 8),
        fixture_inputs(fixture_4090(), fixture_llama31_8b(), 1),
    };
    cases[4].spec.speed_of_light = true;
    for (int k = 0; k < 5; k++) {
        struct rt_cost *c;
        struct rt_err err;
        assert_ok(rt_cost_new(&cases[k], &c, &err), &err);
        assert_true(rt_cost_can_run(c));
        for (int i = 0; i < 200; i++)
            check_run(c,
                      fixture_decodes(c, 1 + (int64_t)rt_rng_below(&r, 3000),
                                      (int64_t)rt_rng_below(&r, 200000)),
                      1 + (uint32_t)rt_rng_below(&r, RUN));
        rt_cost_free(c);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rule_5),       cmocka_unit_test(test_rounding),
        cmocka_unit_test(test_parse),        cmocka_unit_test(test_parse_errors),
        cmocka_unit_test(test_not_finite),   cmocka_unit_test(test_run_linear),
        cmocka_unit_test(test_run_roofline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
