/* Draws loads and fleets that are small and nasty: few KV blocks, lengths up to what fits and
 * beyond, arrivals in bursts and with long gaps, every policy, router and queue order; replays them
 * and keeps every row and step. */
#include "random_trial.h"
#include "rooftrace/queue_order.h"

#include "rooftrace/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct rt_engine_spec *engine_of(const struct trial *t)
{
    return &t->scenario.fleet.pools[0].engine;
}

const struct rt_parallel *parallel_of(const struct trial *t)
{
    return &t->scenario.fleet.pools[0].parallel;
}

/* ---- drawing --------------------------------------------------------------------------------- */

/* The section `engine`. */
static void draw_engine(struct rt_rng *r, char *text, size_t size)
{
    const char *policy = rt_policy_name((unsigned)rt_rng_below(r, rt_policy_count()));
    const char *order = rt_queue_order_name((unsigned)rt_rng_below(r, rt_queue_order_count()));
    bool chunked = strcmp(policy, "chunked") == 0, swap = rt_rng_below(r, 3) == 0;
    char more[160] = "";
    if (chunked)
        snprintf(more, sizeof more, "\"async_scheduling\": %s, \"prefix_caching\": %s,",
                 rt_rng_below(r, 2) ? "true" : "false",
                 !swap && rt_rng_below(r, 3) ? "true" : "false");
    size_t used = strlen(more);
    if (swap)
        snprintf(more + used, sizeof more - used,
                 "\"preemption\": \"swap\", \"num_cpu_blocks\": %d,", (int)pick(r, 1, 60));
    snprintf(
        text, size,
        "\"policy\": \"%s\", %s \"queue_order\": \"%s\", \"aging_s\": 0.05,"
        " \"max_num_seqs\": %d, \"max_num_batched_tokens\": %d, \"chunk_tokens\": %d,"
        " \"block_size\": %d, \"num_gpu_blocks\": %d, \"max_model_len\": %d, \"watermark\": %s",
        policy, more, rt_rng_below(r, 2) ? "fcfs" : order, (int)pick(r, 1, 12),
        (int)pick(r, 1, 200), (int)pick(r, 1, 64), (int)pick(r, 1, 16), (int)pick(r, 4, 90),
        (int)pick(r, 60, 1200), rt_rng_below(r, 2) ? "0.01" : "0.2");
}

static void draw_scenario(struct trial *t, struct rt_rng *r)
{
    static const char *const costs[] = {"0.001, 0, 0, 0, 0",
                                        "0.0057, 2.07e-05, 4.1e-08, 5.9160798e-10, 6.1e-06",
                                        "0.006, 2e-05, 4e-08, 5e-10, 5e-06", "1e-09, 0, 0, 0, 0",
                                        "1.5, 0.25, 0.0001, 1e-05, 0.125"};
    char engine[512], text[1024];
    draw_engine(r, engine, sizeof engine);
    snprintf(
        text, sizeof text,
        "{\"workload\": {\"trace\": \"none.csv\"}, \"model\": \"llama-3.1-8b\","
        " \"cost\": {\"kind\": \"linear\", \"coefficients_s\": [%s]}, \"router\": \"%s\","
        " \"sample_interval_s\": %s, \"pools\": [{\"name\": \"main\", \"gpu\": \"rtx-4090\","
        " \"replicas\": %d, \"pipeline_parallel\": %d, \"data_parallel\": %d,"
        " \"engine\": {%s}}]}",
        costs[rt_rng_below(r, 5)], rt_router_at((unsigned)rt_rng_below(r, rt_router_count()))->name,
        rt_rng_below(r, 2) ? "0.07" : "3", (int)pick(r, 1, rt_rng_below(r, 3) ? MAX_REPLICAS : 1),
        (int)pick(r, 1, rt_rng_below(r, 3) ? 1 : 4),
        (int)pick(r, 1, rt_rng_below(r, 3) ? 1 : MAX_RANKS), engine);
    scenario_from_text(text, &t->scenario);
    t->scenario.coast = rt_rng_below(r, 4) != 0;
    t->record_steps = rt_rng_below(r, 2) == 0;
}

/* The prompt's beginning is one of a few, so that the prefix cache has something to find. */
static void draw_hashes(struct trial *t, struct rt_rng *r, size_t i)
{
    struct rt_request *q = &t->requests[i];
    uint64_t family = rt_rng_below(r, 4), shared = rt_rng_below(r, 12);
    int64_t full = q->prompt_tokens / t->load.hash_block_tokens;
    q->hash_count = (uint32_t)(full < MAX_HASHES ? full : MAX_HASHES);
    for (uint64_t h = 0; h < q->hash_count; h++)
        t->hashes[i][h] = h < shared ? 1000 * family + h : 10000 + 100 * (uint64_t)i + h;
    q->hash_ids = t->hashes[i];
}

static void draw_load(struct trial *t, struct rt_rng *r)
{
    int64_t at = 0, gap = pick(r, 1, 60) * 1000000, capacity = engine_of(t)->num_gpu_blocks;
    int64_t room = capacity * engine_of(t)->block_size;
    t->load =
        (struct array_load){.requests = t->requests, .count = (size_t)pick(r, 1, MAX_REQUESTS)};
    if (engine_of(t)->prefix_caching && rt_rng_below(r, 4))
        t->load.hash_block_tokens =
            (uint32_t)(engine_of(t)->block_size * (int64_t)(1 + rt_rng_below(r, 2)));
    for (size_t i = 0; i < t->load.count; i++) {
        unsigned kind = (unsigned)rt_rng_below(r, 8);
        if (kind >= 3) /* the others arrive together */
            at += kind == 7 ? pick(r, 0, 40 * gap) : pick(r, 0, 2 * gap);
        int64_t longest = kind == 1 ? room + 2 : room / 3 + 1;
        t->requests[i] =
            (struct rt_request){.id = i,
                                .arrival_ns = at,
                                .prompt_tokens = pick(r, 1, longest),
                                .output_tokens = pick(r, 1, kind == 2 ? 1 : 60),
                                .priority = (int32_t)pick(r, -2, 2),
                                .deadline_ns = kind == 6 ? RT_NO_DEADLINE : pick(r, 0, 20 * gap),
                                .think_ns = -1};
        if (t->load.hash_block_tokens)
            draw_hashes(t, r, i);
    }
}

/* ---- running --------------------------------------------------------------------------------- */

static void keep_rows(struct trial *t, const struct rt_finished_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct rt_finished *row = &list->rows[i];
        CHECK(t, row->id < t->load.count, "row of request %llu", (unsigned long long)row->id);
        CHECK(t, !t->by_id[row->id], "request %llu left twice", (unsigned long long)row->id);
        t->rows[t->row_count] = *row;
        t->by_id[row->id] = &t->rows[t->row_count++];
    }
}

static void keep_steps(struct trial *t, struct rt_step_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct rt_step_row *row = rt_step_list_add(&t->steps);
        assert_non_null(row);
        *row = list->rows[i];
    }
    rt_step_list_reset(list);
}

static void run_trial(struct trial *t)
{
    struct rt_err err = {0};
    struct rt_finished_list list;
    struct rt_step_list steps = {0};
    enum rt_sim_answer answer;
    int64_t before_ns = 0;
    assert_ok(rt_sim_new(&t->scenario, array_source_new(&t->load), &t->sim, &err), &err);
    rt_finished_list_init(&list);
    if (t->record_steps)
        rt_sim_record_steps(t->sim, &steps);
    do {
        answer = rt_sim_next(t->sim, 7, &list, &err);
        CHECK(t, answer != RT_SIM_ERROR, "%s", err.msg);
        CHECK(t, rt_sim_totals(t->sim).now_ns >= before_ns, "the clock goes back");
        before_ns = rt_sim_totals(t->sim).now_ns;
        keep_rows(t, &list);
        keep_steps(t, &steps);
        rt_finished_list_reset(&list);
    } while (answer == RT_SIM_MORE);
    rt_finished_list_release(&list);
    rt_step_list_release(&steps);
}

/* ---- all of it ------------------------------------------------------------------------------- */

struct trial *trial_new(uint64_t seed)
{
    struct trial *t = calloc(1, sizeof *t);
    struct rt_rng rng;
    assert_non_null(t);
    t->seed = seed;
    rt_rng_init(&rng, seed, RT_RNG_TOOLS, 0);
    draw_scenario(t, &rng);
    draw_load(t, &rng);
    run_trial(t);
    return t;
}

void trial_free(struct trial *t)
{
    rt_sim_free(t->sim);
    rt_step_list_release(&t->steps);
    rt_scenario_release(&t->scenario);
    free(t);
}
