/* When prefill and decode apart pay, by statistics with a fixed seed. A step takes 1 ms and 20 us a
 * token, so a prompt of 2000 tokens holds up decodes beside it by 40 ms; two replicas either share
 * all work, or split it. Poisson arrivals, answers of 100 tokens in the mean (geometric).
 *   - Where prefills interfere (long prompts, a fast link) the split gives tokens at the pace of an
 *     empty replica, and more requests meet both objectives;
 *   - where the transfer dominates (a slow link) it loses, and with a fast one there is nothing to
 * win while replicas are idle;
 *   - where one side has too little to do for its replica, the other one drowns. */
#include "hand_over_case.h"
#include "rooftrace/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define REQUESTS 4000u
#define TTFT_S   0.3
#define TPOT_S   0.0013

struct result {
    double ttft_s, tpot_s, e2e_s, good, longest_gap_s; /* means, but for the share that is good */
};

static void draw(struct rt_request *q, double per_s, int64_t prompt, double output)
{
    struct rt_rng r;
    double at = 0;
    rt_rng_init(&r, 11, RT_RNG_TOOLS, 3);
    for (uint64_t i = 0; i < REQUESTS; i++) {
        at += rt_rng_exponential(&r) / per_s;
        double answer = log(1 - rt_rng_unit(&r)) / log(1 - 1 / output);
        q[i] = (struct rt_request){.id = i,
                                   .arrival_ns = (int64_t)(at * 1e9),
                                   .prompt_tokens = prompt,
                                   .output_tokens = 2 + (int64_t)answer,
                                   .deadline_ns = RT_NO_DEADLINE,
                                   .think_ns = -1};
    }
}

static struct result play(const char *pools, int64_t prompt, double output, double per_s)
{
    struct rt_request *q = calloc(REQUESTS, sizeof q[0]);
    struct array_load load = {.requests = q, .count = REQUESTS};
    struct result sum = {0};
    struct replay r;
    char keys[3000];
    assert_non_null(q);
    draw(q, per_s, prompt, output);
    snprintf(keys, sizeof keys,
             "\"cost\": {\"kind\": \"linear\", \"coefficients_s\": [0.001, 2e-5, 0, 0, 0]}, %s",
             pools);
    case_replay(keys, &load, true, SIZE_MAX, &r);
    for (size_t n = 0; n < r.rows.count; n++) {
        const struct rt_finished *row = &r.rows.rows[n];
        double ttft = (double)(row->first_token_ns - row->arrival_ns) / 1e9;
        double tpot =
            (double)(row->finish_ns - row->first_token_ns) / 1e9 / (double)(row->output_tokens - 1);
        assert_int_equal(row->status, RT_STATUS_OK);
        sum.ttft_s += ttft / REQUESTS;
        sum.tpot_s += tpot / REQUESTS;
        sum.e2e_s += (double)(row->finish_ns - row->arrival_ns) / 1e9 / REQUESTS;
        sum.longest_gap_s += (double)row->max_itl_ns / 1e9 / REQUESTS;
        sum.good += (ttft <= TTFT_S && tpot <= TPOT_S) / (double)REQUESTS;
    }
    case_release(&r);
    free(q);
    return sum;
}

#define ENGINE "\"engine\": {\"num_gpu_blocks\": 100000, \"prefix_caching\": false}"
#define MIXED  "\"pools\": [{\"gpu\": \"h100-sxm\", \"replicas\": 2, " ENGINE "}]"
#define SPLIT(gb_per_s)                                                                            \
    "\"pools\": [{\"gpu\": \"h100-sxm\", \"role\": \"prefill\", " ENGINE                           \
    "}, {\"gpu\": \"h100-sxm\","                                                                   \
    " \"role\": \"decode\", " ENGINE "}], \"kv_transfer\": {\"gb_per_s\": " gb_per_s               \
    ", \"first_token\": \"prefill\"}"

static void print(const char *what, const struct result *r)
{
    print_message(
        "%-28s TTFT %6.1f ms, TPOT %7.3f ms, longest gap %7.2f ms, E2E %7.1f ms, good %.3f\n", what,
        1e3 * r->ttft_s, 1e3 * r->tpot_s, 1e3 * r->longest_gap_s, 1e3 * r->e2e_s, r->good);
}

static void a_split_wins_where_prefills_interfere(void **state)
{
    struct result mixed = play(MIXED, 2000, 100, 14), split = play(SPLIT("400"), 2000, 100, 14);
    (void)state;
    print("interference, two mixed:", &mixed);
    print("one and one, 400 GB/s:", &split);
    /* An empty replica gives a token a millisecond. */
    assert_true(split.tpot_s < 0.0012 && mixed.tpot_s > 0.0013);
    assert_true(split.longest_gap_s < 0.2 * mixed.longest_gap_s);
    assert_true(split.good > mixed.good + 0.2);
}

/* 262 MB a prompt: half a second at 0.5 GB/s, for answers of 0.1 s. */
static void a_split_loses_where_the_transfer_dominates(void **state)
{
    struct result mixed = play(MIXED, 2000, 100, 1), split = play(SPLIT("0.5"), 2000, 100, 1);
    struct result fast = play(SPLIT("400"), 2000, 100, 1);
    (void)state;
    print("little to do, two mixed:", &mixed);
    print("one and one, 0.5 GB/s:", &split);
    print("one and one, 400 GB/s:", &fast);
    assert_true(split.tpot_s > 3 * mixed.tpot_s && split.e2e_s > 2 * mixed.e2e_s);
    assert_true(split.good < 0.1 && mixed.good > 0.8);
    assert_true(fast.e2e_s < split.e2e_s && fast.tpot_s < split.tpot_s);
}

/* Prompts alone keep one of two replicas busy beyond its time: the split starves where mixing
 * shares.
 */
static void a_split_loses_where_one_side_is_too_small(void **state)
{
    struct result mixed = play(MIXED, 2000, 5, 30), split = play(SPLIT("400"), 2000, 5, 30);
    (void)state;
    print("prompts for two, two mixed:", &mixed);
    print("one and one:", &split);
    assert_true(split.ttft_s > 10 * mixed.ttft_s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_split_wins_where_prefills_interfere),
        cmocka_unit_test(a_split_loses_where_the_transfer_dominates),
        cmocka_unit_test(a_split_loses_where_one_side_is_too_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
