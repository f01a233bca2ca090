/* Speculative decoding against arithmetic: one request alone, whose rounds and nanoseconds can be
 * worked out by hand; and the rule for tokens a round. Random scenarios: test_replica_property.c.
 */
#include "replica_drive.h"
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#define PROMPT   100
#define BASE_NS  INT64_C(1000000) /* of a step */
#define TOKEN_NS 1000             /* of a token through the model */

struct alone { /* a request that nobody disturbs */
    int64_t finish_ns, first_token_ns, max_itl_ns, steps, computed, zero_gaps, gaps;
};

static struct alone run_alone(int64_t drafts, double acceptance, double draft_s, int64_t output,
                              enum naive_policy policy)
{
    struct scenario s = {.params = {.policy = policy,
                                    .kv_blocks = 1000,
                                    .block_size = 16,
                                    .max_seqs = 4,
                                    .max_batched_tokens = 512,
                                    .chunk = 1,
                                    .cost_s = {1e-9 * BASE_NS, 1e-9 * TOKEN_NS, 0, 0, 0},
                                    .drafts = drafts,
                                    .draft_s_per_token = draft_s},
                         .count = 1,
                         .measure_to_ns = INT64_MAX};
    for (int64_t i = 0; i < drafts; i++)
        s.params.acceptance[i] = acceptance;
    s.requests[0].prompt = PROMPT;
    s.requests[0].output = output;
    s.requests[0].deadline_ns = -1;
    struct drive d = {.coast = true, .stop_ns = RT_NEVER_AGAIN};
    drive_run(&d, &s);
    assert_int_equal(d.rows.count, 1);
    struct alone a = {.finish_ns = d.rows.rows[0].finish_ns,
                      .first_token_ns = d.rows.rows[0].first_token_ns,
                      .max_itl_ns = d.rows.rows[0].max_itl_ns,
                      .steps = (int64_t)d.totals.steps,
                      .computed = d.totals.computed_tokens,
                      .zero_gaps = (int64_t)d.stats.itl.counts[rt_hist_bucket(0)],
                      .gaps = (int64_t)d.stats.itl.count};
    assert_int_equal(d.totals.output_tokens, output);
    drive_release(&d);
    return a;
}

/* Nothing accepted: a token a round as ever, and each round is longer by the drafts it verifies and
 * what they cost. */
static void refused_drafts_only_cost(void **state)
{
    (void)state;
    for (int64_t k = 0; k <= 8; k++) {
        struct alone a = run_alone(k, 0, 0.0001, 201, NAIVE_CHUNKED);
        int64_t round_ns = BASE_NS + (k + 1) * TOKEN_NS + k * 100000;
        assert_int_equal(a.steps, 201);
        assert_int_equal(a.first_token_ns, BASE_NS + PROMPT * TOKEN_NS);
        assert_int_equal(a.finish_ns, a.first_token_ns + 200 * round_ns);
        assert_int_equal(a.computed, PROMPT + 200 * (k + 1));
        assert_int_equal(a.max_itl_ns, round_ns);
        assert_int_equal(a.zero_gaps, 0);
        assert_int_equal(a.gaps, 200);
    }
}

/* All accepted: k+1 tokens a round, the last one perhaps with fewer. */
static void accepted_drafts_come_together(void **state)
{
    static const enum naive_policy policies[] = {NAIVE_CHUNKED, NAIVE_CONTINUOUS, NAIVE_STATIC};
    (void)state;
    for (int64_t k = 0; k <= 8; k++)
        for (int64_t output = 2; output < 40; output++) {
            struct alone a = run_alone(k, 1, 0, output, policies[output % 3]);
            int64_t rounds = (output - 1 + k) / (k + 1);
            assert_int_equal(a.steps, 1 + rounds);
            assert_int_equal(a.finish_ns,
                             a.first_token_ns + rounds * (BASE_NS + (k + 1) * TOKEN_NS));
            assert_int_equal(a.gaps, output - 1);
            assert_int_equal(a.zero_gaps, output - 1 - rounds);
        }
}

/* In between, TPOT falls as the mean says: 1 + p + p^2 + ... tokens a round. */
static void time_per_token_falls_with_acceptance(void **state)
{
    (void)state;
    int64_t previous = INT64_MAX, output = 5001;
    for (int tenths = 0; tenths <= 10; tenths++) {
        double p = 0.1 * tenths, mean = 1 + p + p * p + p * p * p;
        struct alone a = run_alone(3, p, 0, output, NAIVE_CHUNKED);
        double rounds = (double)(output - 1) / mean;
        assert_true((double)(a.steps - 1) >= rounds && (double)(a.steps - 1) < rounds + 2);
        assert_true(a.finish_ns < previous);
        previous = a.finish_ns;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_drafts_only_cost),
        cmocka_unit_test(accepted_drafts_come_together),
        cmocka_unit_test(time_per_token_falls_with_acceptance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
