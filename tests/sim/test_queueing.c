/* Truths of queueing theory, by statistics with fixed seeds: every replica has seats that serve one
 * request each at the same speed (a step takes 1 ms whatever is in it; answers have a geometric
 * number of tokens, 50 in the mean), requests come as a Poisson stream.
 *   - one queue for four seats is an M/M/4 (Erlang C), four queues are M/M/1: pooled beats split;
 *   - the shortest queue beats the shorter of two, which beats any (Mitzenmacher 2001);
 *   - tokens as of an old report draw everybody to one place: worse than choosing blindly;
 *   - who is turned away or leaves makes room for the others;
 *   - a pool for long prompts keeps short ones from waiting behind them. */
#include "array_source.h"
#include "rooftrace/rng.h"
#include "rooftrace/sim.h"
#include "sim_trial.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REQUESTS 60000u
#define STEP_S   0.001
#define SERVICE  50.0 /* tokens, so steps, in the mean */
#define WARM_UP  2000u

struct result {
    double
        queue_s; /* mean time from arrival to the first step, after the warm-up, of those served */
    double served;        /* share */
    double short_queue_s; /* of prompts of one token */
};

static int64_t geometric(struct rt_rng *r, double mean)
{
    return 1 + (int64_t)(log(1 - rt_rng_unit(r)) / log(1 - 1 / mean));
}

static struct rt_request *draw(double per_s, double long_share, uint64_t seed)
{
    struct rt_request *q = calloc(REQUESTS, sizeof q[0]);
    struct rt_rng r;
    double at = 0;
    assert_non_null(q);
    rt_rng_init(&r, seed, RT_RNG_TOOLS, 0);
    for (uint64_t i = 0; i < REQUESTS; i++) {
        at += rt_rng_exponential(&r) / per_s;
        q[i] = (struct rt_request){.id = i,
                                   .arrival_ns = (int64_t)(at * 1e9),
                                   .prompt_tokens = rt_rng_unit(&r) < long_share ? 20000 : 1,
                                   .output_tokens = geometric(&r, SERVICE),
                                   .deadline_ns = RT_NO_DEADLINE,
                                   .think_ns = -1};
    }
    return q;
}

static void parse(const char *pools, const char *more, struct rt_scenario *s)
{
    char text[2000];
    snprintf(
        text, sizeof text,
        "{\"workload\": {\"trace\": \"none\"}, \"model\": \"llama-3.1-8b\", \"cost\": {\"kind\":"
        " \"linear\", \"coefficients_s\": [%g, 0, 0, 0, 0]}, %s \"pools\": [%s]}",
        STEP_S, more, pools);
    scenario_from_text(text, s);
}

static void add(struct result *sum, double *counts, const struct rt_finished *row)
{
    double queue_s = 1e-9 * (double)(row->scheduled_ns - row->arrival_ns);
    counts[0] += 1;
    if (row->status != RT_STATUS_OK)
        return;
    counts[1] += 1;
    sum->queue_s += queue_s;
    if (row->prompt_tokens == 1) {
        counts[2] += 1;
        sum->short_queue_s += queue_s;
    }
}

/* Requests at the share `load` of what `seats` serve. */
static struct result replay(const char *pools, const char *more, double seats, double load,
                            double long_share)
{
    struct rt_scenario s;
    struct rt_sim *sim;
    struct rt_err err = {0};
    struct rt_finished_list rows;
    struct result sum = {0};
    double counts[3] = {0};
    enum rt_sim_answer answer;
    struct array_load source = {.requests = draw(load * seats / (SERVICE * STEP_S), long_share, 7),
                                .count = REQUESTS};
    parse(pools, more, &s);
    assert_ok(rt_sim_new(&s, array_source_new(&source), &sim, &err), &err);
    rt_finished_list_init(&rows);
    do {
        answer = rt_sim_next(sim, 1000, &rows, &err);
        assert_int_not_equal(answer, RT_SIM_ERROR);
        for (size_t i = 0; i < rows.count; i++)
            if (rows.rows[i].id >= WARM_UP)
                add(&sum, counts, &rows.rows[i]);
        rt_finished_list_reset(&rows);
    } while (answer == RT_SIM_MORE);
    rt_finished_list_release(&rows);
    rt_sim_free(sim);
    rt_scenario_release(&s);
    free((void *)source.requests);
    sum.queue_s /= counts[1];
    sum.short_queue_s /= counts[2];
    sum.served = counts[1] / counts[0];
    return sum;
}

#define POOL(replicas, seats)                                                                      \
    "{\"gpu\": \"rtx-4090\", \"replicas\": " #replicas ", \"engine\": {\"max_num_seqs\": " #seats  \
    ", \"num_gpu_blocks\": 100000, \"async_scheduling\": false}}"

static double queue_s(const char *pools, const char *more, double seats, double load)
{
    return replay(pools, more, seats, load, 0).queue_s;
}

/* Erlang C, mean wait of an M/M/c in units of the mean service. */
static double erlang_wait(unsigned c, double load)
{
    double a = c * load, term = 1, sum = 0;
    for (unsigned k = 0; k < c; k++) {
        sum += term;
        term *= a / (k + 1);
    }
    double waits = term / (1 - load) / (sum + term / (1 - load));
    return waits / (c * (1 - load));
}

static void pooled_beats_split(void **state)
{
    (void)state;
    double service_s = SERVICE * STEP_S;
    double pooled = queue_s(POOL(1, 4), "", 4, 0.8);
    double split = queue_s(POOL(4, 1), "\"router\": \"random\",", 4, 0.8);
    print_message("wait at 80 %%: one queue %.4f s (M/M/4 %.4f), four %.4f s (M/M/1 %.4f)\n",
                  pooled, erlang_wait(4, 0.8) * service_s, split, erlang_wait(1, 0.8) * service_s);
    /* steps of 1 ms are 2 % of a service; 60,000 requests leave some 5 % of noise */
    assert_true(fabs(pooled / (erlang_wait(4, 0.8) * service_s) - 1) < 0.12);
    assert_true(fabs(split / (erlang_wait(1, 0.8) * service_s) - 1) < 0.12);
    assert_true(pooled < 0.35 * split);
}

static void two_choices_beat_one(void **state)
{
    (void)state;
    double any = queue_s(POOL(20, 1), "\"router\": \"random\",", 20, 0.9);
    double two = queue_s(POOL(20, 1), "\"router\": \"power_of_two\",", 20, 0.9);
    double least = queue_s(POOL(20, 1), "\"router\": \"least_outstanding\",", 20, 0.9);
    double turn = queue_s(POOL(20, 1), "\"router\": \"round_robin\",", 20, 0.9);
    print_message("wait at 90 %%: random %.4f, round robin %.4f, of two %.4f, least %.4f s\n", any,
                  turn, two, least);
    assert_true(least < 0.75 * two);
    assert_true(two < 0.5 * any);
    assert_true(turn < any && turn > two);
}

static void old_views_herd(void **state)
{
    (void)state;
    const char *const fresh = "\"router\": \"least_tokens\",";
    double now = queue_s(POOL(20, 1), fresh, 20, 0.8);
    double some = queue_s(
        POOL(20, 1), "\"router\": \"least_tokens\", \"router_view_interval_s\": 0.02,", 20, 0.8);
    double old = queue_s(POOL(20, 1),
                         "\"router\": \"least_tokens\", \"router_view_interval_s\": 2,", 20, 0.8);
    double blind = queue_s(POOL(20, 1), "\"router\": \"random\",", 20, 0.8);
    print_message("wait at 80 %%: current %.4f, 20 ms old %.4f, 2 s old %.4f, random %.4f s\n", now,
                  some, old, blind);
    assert_true(now < some && some < old);
    assert_true(now < 0.2 * blind && old > 2 * blind);
}

/* An overload of 30 %: queues grow without end unless somebody goes. */
static void fewer_are_served_sooner(void **state)
{
    (void)state;
    struct result all = replay(POOL(4, 1), "", 4, 1.3, 0);
    struct result limited = replay(POOL(4, 1), "\"admission\": {\"queue_limit\": 2},", 4, 1.3, 0);
    struct result metered = replay(
        POOL(4, 1), "\"admission\": {\"requests_per_s\": 60, \"burst_requests\": 4},", 4, 1.3, 0);
    struct result impatient = replay(POOL(4, 1), "\"timeout_s\": 0.3,", 4, 1.3, 0);
    print_message(
        "wait and share at 130 %%: all %.2f s %.2f, queue limit %.3f s %.2f, bucket %.3f s"
        " %.2f, timeout %.3f s %.2f\n",
        all.queue_s, all.served, limited.queue_s, limited.served, metered.queue_s, metered.served,
        impatient.queue_s, impatient.served);
    assert_true(all.served == 1 && all.queue_s > 10);
    assert_true(limited.queue_s < 0.15 && limited.served > 0.7 && limited.served < 0.78);
    /* 60 of 104 a second, and 75 % of what four seats serve */
    assert_true(metered.queue_s < 0.1 && fabs(metered.served - 60 / 104.0) < 0.02);
    assert_true(impatient.queue_s < 0.3 && impatient.served > 0.4 && impatient.served < 0.77);
}

/* Half of the prompts take 200 steps of their own. With a pool for them short ones do not meet
 * them.
 */
static void long_prompts_of_their_own(void **state)
{
    (void)state;
    const char *const pools =
        "{\"name\": \"short\", \"gpu\": \"rtx-4090\", \"replicas\": 3, \"max_prompt_tokens\": 100,"
        " \"engine\": {\"max_num_seqs\": 1, \"num_gpu_blocks\": 9999,"
        " \"max_num_batched_tokens\": 100}},"
        "{\"name\": \"long\", \"gpu\": \"rtx-4090\", \"replicas\": 3,"
        " \"engine\": {\"max_num_seqs\": 1, \"num_gpu_blocks\": 9999,"
        " \"max_num_batched_tokens\": 100}}";
    struct result mixed = replay(pools, "", 6, 0.17, 0.5);
    struct result apart = replay(pools, "\"router\": \"length_based\",", 6, 0.17, 0.5);
    print_message("short prompts wait %.4f s among long ones, %.4f s apart\n", mixed.short_queue_s,
                  apart.short_queue_s);
    assert_true(apart.short_queue_s < 0.5 * mixed.short_queue_s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pooled_beats_split),
        cmocka_unit_test(two_choices_beat_one),
        cmocka_unit_test(old_views_herd),
        cmocka_unit_test(fewer_are_served_sooner),
        cmocka_unit_test(long_prompts_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
