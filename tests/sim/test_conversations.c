/* What the turns of a session find in the prefix cache: the turn before, and nothing of anybody
 * else. One replica with room for everything, so that what is found is arithmetic. */
#include "array_source.h"
#include "rooftrace/rng.h"
#include "rooftrace/sim.h"
#include "sim_trial.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TURNS 600
#define BLOCK     16

static void parse_scenario(const char *more, struct rt_scenario *out)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"workload\": {\"trace\": \"none\"}, \"model\": \"llama-3.1-8b\", \"cost\":"
             " {\"kind\": \"linear\", \"coefficients_s\": [0.01, 1e-6, 0, 0, 0]},"
             " \"pools\": [{\"gpu\": \"rtx-4090\", \"engine\": {\"num_gpu_blocks\": 400000,"
             " \"block_size\": %d, \"async_scheduling\": false %s}}]}",
             BLOCK, more);
    scenario_from_text(text, out);
}

/* Rows by id; takes the source. */
static void run_source(const struct rt_scenario *scenario, struct rt_source *source,
                       struct rt_finished *by_id)
{
    struct rt_finished_list rows;
    struct rt_err err = {0};
    struct rt_sim *sim = NULL;
    enum rt_sim_answer answer;
    assert_ok(rt_sim_new(scenario, source, &sim, &err), &err);
    rt_finished_list_init(&rows);
    do {
        answer = rt_sim_next(sim, 64, &rows, &err);
        assert_int_not_equal(answer, RT_SIM_ERROR);
        for (size_t i = 0; i < rows.count; i++)
            by_id[rows.rows[i].id] = rows.rows[i];
        rt_finished_list_reset(&rows);
    } while (answer == RT_SIM_MORE);
    rt_finished_list_release(&rows);
    rt_sim_free(sim);
}

static void run(const struct rt_scenario *scenario, const struct array_load *load,
                enum rt_sessions mode, struct rt_finished *by_id)
{
    struct rt_source *source = array_source_new(load);
    struct rt_load_spec spec;
    struct rt_err err = {0};
    rt_load_init(&spec);
    spec.sessions = mode;
    assert_ok(rt_load_wrap(&spec, 1, &source, &err), &err);
    run_source(scenario, source, by_id);
}

struct talk { /* sessions whose prompts are the conversation so far and a new message */
    struct rt_request turns[MAX_TURNS];
    char names[MAX_TURNS][8];
    int64_t before[MAX_TURNS]; /* tokens of the turn before in KV when it ended; 0: none */
    size_t count;
};

static void draw(struct talk *t, uint64_t seed)
{
    enum { SESSIONS = 12 };
    int64_t so_far[SESSIONS] = {0}, known[SESSIONS] = {0}, at = 0;
    struct rt_rng r;
    rt_rng_init(&r, seed, RT_RNG_TOOLS, 0);
    t->count = MAX_TURNS;
    for (size_t i = 0; i < t->count; i++) {
        size_t s = rt_rng_below(&r, SESSIONS);
        bool anew = rt_rng_below(&r, 10) == 0 && so_far[s] > 2; /* a shorter prompt: a new one */
        int64_t prompt = anew ? so_far[s] / 2 : so_far[s] + 1 + (int64_t)rt_rng_below(&r, 200);
        int64_t output = 1 + (int64_t)rt_rng_below(&r, 100);
        at += (int64_t)rt_rng_below(&r, 2000000000);
        snprintf(t->names[i], sizeof t->names[i], "%zu", s);
        t->turns[i] = (struct rt_request){.id = i,
                                          .arrival_ns = at,
                                          .prompt_tokens = prompt,
                                          .output_tokens = output,
                                          .deadline_ns = RT_NO_DEADLINE,
                                          .think_ns = (int64_t)rt_rng_below(&r, 1000000000),
                                          .session = t->names[i]};
        t->before[i] = anew ? 0 : known[s];
        so_far[s] = prompt + output;
        known[s] = prompt + output - 1; /* the last token was never put in */
    }
}

static void turns_find_the_turn_before(void **state)
{
    (void)state;
    struct talk *t = calloc(1, sizeof *t);
    struct rt_finished *rows = calloc(MAX_TURNS, sizeof *rows);
    assert_non_null(t);
    assert_non_null(rows);
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct array_load load = {.requests = t->turns};
        struct rt_scenario scenario;
        int64_t cached = 0;
        draw(t, seed);
        load.count = t->count;
        load.hash_block_tokens = seed % 2 ? 0 : BLOCK * 3; /* traces without and with hash ids */
        parse_scenario(seed > 2 ? ", \"max_num_seqs\": 2" : "", &scenario);
        run(&scenario, &load, seed % 3 ? RT_SESSIONS_THINK : RT_SESSIONS_TRACE, rows);
        for (size_t i = 0; i < t->count; i++) {
            int64_t want = t->before[i] / BLOCK * BLOCK;
            assert_int_equal(rows[i].cached_tokens, want);
            cached += want;
        }
        assert_true(cached > 100000);
        run(&scenario, &load, RT_SESSIONS_OPEN, rows); /* requests like all others */
        for (size_t i = 0; i < t->count; i++)
            assert_int_equal(rows[i].cached_tokens, 0);
        rt_scenario_release(&scenario);
    }
    free(rows);
    free(t);
}

struct made {      /* a session of synthetic traffic, as it was sent */
    int64_t known; /* tokens of its last turn that were in KV when it ended */
};

static void parse_workload(const char *text, struct rt_workload_spec *out)
{
    struct rt_err err = {0};
    struct rt_json *doc = NULL;
    rt_workload_init(out);
    assert_ok(rt_json_parse(text, strlen(text), "synthetic", &doc, &err), &err);
    struct rt_json_at root = rt_json_root(doc);
    assert_ok(rt_workload_parse(&root, out, &err), &err);
    rt_json_free(doc);
}

/* What each turn has to find, from the requests alone; answers how many there are. */
static size_t expect_made(const struct rt_workload_spec *w, int64_t prefix, int64_t *want)
{
    struct rt_source *source = NULL;
    struct rt_err err = {0};
    struct rt_request r;
    struct made made[MAX_TURNS] = {{0}};
    int64_t later;
    size_t count = 0, first = 0;
    struct rt_workload_spec open = *w;
    open.load.sessions = RT_SESSIONS_OPEN;
    assert_ok(rt_workload_open(&open, &source, &err), &err);
    for (; rt_source_next(source, INT64_MAX, &r, &later, &err) == RT_PULL_REQUEST; count++) {
        unsigned long session = strtoul(r.session + 1, NULL, 10);
        assert_true(count < MAX_TURNS && session < MAX_TURNS && r.id == count);
        int64_t *known = &made[session].known;
        want[count] = (*known > 0 ? *known : first++ > 0 ? prefix : 0) / BLOCK * BLOCK;
        *known = r.prompt_tokens + r.output_tokens - 1; /* the last token was never put in */
    }
    rt_source_free(source);
    return count;
}

/* The rows of workload.synthetic name their answers: turn n + 1 finds turn n whole. Sessions come
 * one after the other, far enough apart that the shared prefix is known to all but the first. */
static void made_turns_find_the_turn_before(void **state)
{
    static const int blocks[] = {BLOCK, 3 * BLOCK, 512};
    struct rt_finished *rows = calloc(MAX_TURNS, sizeof *rows);
    int64_t want[MAX_TURNS], prefix = 1536; /* whole blocks of all three sizes */
    (void)state;
    assert_non_null(rows);
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        struct rt_scenario scenario;
        struct rt_workload_spec w;
        struct rt_source *source = NULL;
        struct rt_err err = {0};
        char text[700];
        int64_t cached = 0;
        snprintf(text, sizeof text,
                 "{\"synthetic\": {\"requests\": 400, \"arrivals\": {\"kind\": \"constant\","
                 " \"rate_per_s\": 0.02}, \"prompt_tokens\": {\"kind\": \"uniform\","
                 " \"min\": 1, \"max\": 300}, \"output_tokens\": {\"kind\": \"uniform\","
                 " \"min\": 1, \"max\": 90}, \"prefixes\": {\"count\": 1, \"tokens\": %d},"
                 " \"sessions\": {\"turns\": {\"kind\": \"uniform\", \"min\": 1, \"max\": 9},"
                 " \"think_s\": 1}}, \"block_size\": %d, \"sessions\": \"think\"}",
                 (int)prefix, blocks[i]);
        parse_workload(text, &w);
        assert_int_equal(expect_made(&w, prefix, want), 400);
        parse_scenario("", &scenario);
        assert_ok(rt_workload_open(&w, &source, &err), &err);
        run_source(&scenario, source, rows);
        for (size_t k = 0; k < 400; k++) {
            assert_int_equal(rows[k].cached_tokens, want[k]);
            cached += want[k];
        }
        assert_true(cached > 400000);
        rt_scenario_release(&scenario);
        rt_workload_release(&w);
    }
    free(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(turns_find_the_turn_before),
                                       cmocka_unit_test(made_turns_find_the_turn_before)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
