/* Out of memory in a simulation: the n-th allocation fails, for every n until all goes through.
 * Fleets of two models with classes, clients that leave, admission control and every kind of
 * router; some of them with autoscaling, crashes and retries. It must end in RT_ENOMEM, and nothing
 * leaks (asan looks). */
#include "rooftrace/sim.h"
#include "sim_trial.h"
#include "support/failing_alloc.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

#define REQUESTS 40u

struct load {
    struct rt_source base;
    uint64_t next;
    struct rt_source_stats stats;
};

static enum rt_pull load_next(struct rt_source *base, int64_t now_ns, struct rt_request *out,
                              int64_t *not_before_ns, struct rt_err *err)
{
    static const uint64_t hashes[] = {1, 2, 3, 4};
    struct load *l = (struct load *)base;
    int64_t at_ns = (int64_t)l->next / 2 * 10000000;
    (void)err;
    *not_before_ns = at_ns;
    if (l->next == REQUESTS)
        return RT_PULL_END;
    if (at_ns > now_ns)
        return RT_PULL_LATER;
    *out = (struct rt_request){.id = l->next,
                               .arrival_ns = at_ns,
                               .prompt_tokens = 20 + (int64_t)l->next,
                               .output_tokens = 15,
                               .class_name = (uint32_t)(l->next % 3),
                               .model_name = (uint32_t)(l->next % 4),
                               .deadline_ns = RT_NO_DEADLINE,
                               .think_ns = -1,
                               .session = l->next % 2 ? "a session" : NULL,
                               .hash_ids = hashes,
                               .hash_count = 4};
    l->next++;
    return RT_PULL_REQUEST;
}

static const char *load_name(const struct rt_source *s, uint32_t name)
{
    static const char *const names[] = {"", "llama-3.1-8b", "llama-3.2-1b", "nobody"};
    (void)s;
    return names[name];
}

static const struct rt_source_stats *load_stats(const struct rt_source *s)
{
    return &((const struct load *)s)->stats;
}

static void load_free(struct rt_source *s)
{
    (void)s;
}

#define TOGETHER_BUT(more)                                                                         \
    "{\"gpu\": \"rtx-4090\", \"model\": \"llama-3.1-8b\", \"replicas\": 2" more                    \
    ", \"engine\": {\"num_gpu_blocks\": 30, \"max_num_seqs\": 3, \"queue_order\": \"priority\"}}"
#define TOGETHER TOGETHER_BUT("")
#define APART                                                                                      \
    "{\"gpu\": \"rtx-4090\", \"model\": \"llama-3.1-8b\", \"role\": \"prefill\", \"engine\":"      \
    " {\"num_gpu_blocks\": 30, \"max_num_seqs\": 3, \"queue_order\": \"priority\"}},"              \
    "{\"gpu\": \"rtx-4090\", \"model\": \"llama-3.1-8b\", \"role\": \"decode\", \"engine\":"       \
    " {\"num_gpu_blocks\": 9, \"max_num_seqs\": 3, \"queue_order\": \"priority\"}}"

static void parse(const char *router, const char *pools, struct rt_scenario *s)
{
    char text[2000];
    snprintf(text, sizeof text,
             "{\"workload\": {\"trace\": \"none\"}, \"cost\": {\"kind\": \"linear\","
             " \"coefficients_s\": [0.005, 2e-05, 4e-08, 5e-10, 6e-06]}, \"router\": \"%s\","
             " \"router_view_interval_s\": 0.02, \"timeout_s\": 0.2, \"cancel\": {\"share\": 0.3,"
             " \"mean_s\": 0.1}, \"classes\": [{\"name\": \"llama-3.1-8b\", \"priority\": 1}],"
             " \"admission\": {\"queue_limit\": 5}, \"pools\": [%s,"
             "{\"gpu\": \"rtx-4090\", \"model\": \"llama-3.2-1b\", \"engine\": {\"prefix_caching\":"
             " false, \"num_gpu_blocks\": 30, \"max_num_seqs\": 3}}]}",
             router, pools);
    scenario_from_text(text, s);
}

static bool run(const struct rt_scenario *s, bool whole, uint64_t *left, struct rt_err *err)
{
    static const struct rt_source_ops ops = {load_next, NULL, load_name, load_stats, load_free};
    struct load load = {.base = {&ops}, .stats = {.hash_block_tokens = 16}};
    struct rt_sim *sim;
    struct rt_finished_list rows;
    enum rt_sim_answer answer = RT_SIM_DONE;
    if (!rt_sim_new(s, &load.base, &sim, err))
        return false;
    rt_finished_list_init(&rows);
    do {
        if (whole)
            answer = rt_sim_next(sim, 4, &rows, err);
        *left += rows.count;
        rt_finished_list_reset(&rows);
    } while (answer == RT_SIM_MORE);
    rt_finished_list_release(&rows);
    rt_sim_free(sim);
    return answer == RT_SIM_DONE;
}

static long fail_every_allocation(const char *router, const char *pools, bool whole)
{
    struct rt_scenario s;
    long n = 0;
    parse(router, pools, &s);
    for (bool ok = false; !ok; n++) {
        struct rt_err err = {RT_OK, ""};
        uint64_t left = 0;
        failing_alloc_after(n);
        ok = run(&s, whole, &left, &err);
        failing_alloc_after(-1);
        assert_int_equal(err.code, ok ? RT_OK : RT_ENOMEM);
        assert_true(left <= REQUESTS && (!ok || !whole || left == REQUESTS));
    }
    rt_scenario_release(&s);
    return n;
}

static void simulations(void **state)
{
    (void)state;
    assert_true(fail_every_allocation("session_affinity", TOGETHER, true) > 50);
    assert_true(fail_every_allocation("least_kv", TOGETHER, true) > 50);
}

static void hand_overs(void **state)
{
    (void)state;
    assert_true(fail_every_allocation("round_robin", APART, true) > 50);
}

static void fleets(void **state)
{
    (void)state;
    assert_true(fail_every_allocation("prefix_affinity", TOGETHER, false) > 20);
    assert_true(fail_every_allocation("prefix_affinity", APART, false) > 20);
}

/* Replicas that crash under load, are started and drained, and requests that wait for them. */
static void fleets_that_change(void **state)
{
    static const char pools[] = TOGETHER_BUT(
        ", \"startup\": {\"load_s\": 0.01}, \"drain_timeout_s\": 0.02, \"scaling\": {\"policy\":"
        " \"predictive\", \"min_replicas\": 0, \"max_replicas\": 3, \"interval_s\": 0.03,"
        " \"requests_per_s\": 40, \"season_s\": 0.3, \"scale_down_window_s\": 0}, \"failures\":"
        " {\"outages\": [{\"at_s\": 0.05, \"replica\": 0, \"for_s\": 0.02}, {\"at_s\": 0.06,"
        " \"replica\": 1, \"for_s\": 0.05}, {\"at_s\": 0.065, \"replica\": 2, \"for_s\": 0.02}]}");
    (void)state;
    assert_true(fail_every_allocation("least_outstanding", pools, true) > 100);
    assert_true(fail_every_allocation("prefix_affinity", pools, false) > 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(simulations), cmocka_unit_test(hand_overs),
                                       cmocka_unit_test(fleets),
                                       cmocka_unit_test(fleets_that_change)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
