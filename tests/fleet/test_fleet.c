/* Fleets: what a pool becomes, what is refused, and that nothing is lost between router and
 * replicas. */
#include "rooftrace/catalog.h"
#include "rooftrace/finished.h"
#include "rooftrace/fleet.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/replica.h"
#include "rooftrace/source.h"
#include "rooftrace/token_stats.h"
#include "support/test.h"

#include <stdio.h>
#include <string.h>

struct fixture {
    struct rt_catalog *catalog;
    struct rt_token_stats stats;
};

static int setup(void **state)
{
    static struct fixture f;
    struct rt_err err = {0};
    memset(&f, 0, sizeof f);
    assert_ok(rt_catalog_open(NULL, &f.catalog, &err), &err);
    assert_true(rt_token_stats_init(&f.stats, 0, 0));
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    rt_catalog_free(f->catalog);
    rt_token_stats_release(&f->stats);
    return 0;
}

static const char *name_of(const struct rt_source *s, uint32_t name)
{
    static const char *const texts[] = {"", "LLAMA-3.1-8B", "llama-3.2-1b", "gpt-4", "nobody"};
    (void)s;
    return texts[name];
}

static const struct rt_source_ops name_ops = {.name = name_of};
/* The fleet of a scenario document. */
static bool build(struct fixture *f, const char *json, int64_t hash_block, struct rt_fleet **out,
                  struct rt_err *err)
{
    struct rt_fleet_spec spec;
    struct rt_json *doc;
    static const struct rt_source names = {.ops = &name_ops};
    struct rt_fleet_use use = {
        .coast = true, .hash_block = hash_block, .stats = &f->stats, .source = &names};
    if (!rt_json_parse(json, strlen(json), "fleet.json", &doc, err))
        return false;
    struct rt_json_at root = rt_json_root(doc);
    rt_fleet_spec_init(&spec);
    bool ok =
        rt_fleet_spec_parse(&root, f->catalog, &spec, err) && rt_fleet_new(&spec, &use, out, err);
    rt_fleet_spec_release(&spec);
    rt_json_free(doc);
    return ok;
}

static void pool_is_planned(void **state)
{
    struct rt_fleet *fleet;
    struct rt_err err = {0};
    assert_ok(build(*state,
                    "{\"model\":\"llama-3.1-8b\",\"pools\":[{\"name\":\"p\",\"gpu\":\"rtx-4090\","
                    "\"replicas\":3}]}",
                    0, &fleet, &err),
              &err);
    const struct rt_pool_plan *plan = rt_fleet_pool(fleet, 0);
    assert_int_equal(rt_fleet_replicas(fleet), 3);
    assert_int_equal(plan->replicas, 3);
    assert_int_equal(plan->gpus, 1);
    assert_int_equal(plan->max_num_batched_tokens, 2048); /* below 40 GB */
    assert_int_equal(plan->kv_blocks, plan->memory.blocks);
    assert_in_range(plan->kv_blocks, 2300, 2900); /* vLLM 0.19 finds 2,588 on such a card */
    rt_fleet_free(fleet);
}

/* GPUs are physical ones; KV blocks are a rank's, more where a GPU holds fewer layers. */
static void degrees_multiply(void **state)
{
    struct rt_fleet *one, *many;
    struct rt_err err = {0};
    assert_ok(build(*state, "{\"model\":\"llama-3.1-8b\",\"pools\":[{\"gpu\":\"h100-sxm\"}]}", 0,
                    &one, &err),
              &err);
    assert_ok(build(*state,
                    "{\"model\":\"llama-3.1-8b\",\"pools\":[{\"gpu\":\"h100-sxm\",\"replicas\":2,"
                    "\"tensor_parallel\":2,\"pipeline_parallel\":4,\"data_parallel\":3}]}",
                    0, &many, &err),
              &err);
    assert_int_equal(rt_fleet_replicas(many), 2);
    assert_int_equal(rt_fleet_pool(many, 0)->gpus, 24);
    assert_true(rt_fleet_pool(many, 0)->kv_blocks > 7 * rt_fleet_pool(one, 0)->kv_blocks);
    rt_fleet_free(one);
    rt_fleet_free(many);
}

/* Of two requests that come together each rank gets one. Ranks of a model with experts end their
 * steps together, however long the prompts; those of a dense one do not. */
static void ranks_with_experts_step_together(void **state)
{
    static const char *const models[] = {"llama-3.1-8b", "mixtral-8x7b"};
    for (int moe = 0; moe < 2; moe++) {
        struct rt_fleet *fleet;
        struct rt_err err = {0};
        struct rt_finished_list rows;
        char json[256];
        snprintf(json, sizeof json,
                 "{\"model\":\"%s\",\"pools\":[{\"gpu\":\"b200-sxm\",\"data_parallel\":2}]}",
                 models[moe]);
        assert_ok(build(*state, json, 0, &fleet, &err), &err);
        struct rt_replica *r = rt_fleet_replica(fleet, 0);
        rt_finished_list_init(&rows);
        for (int i = 0; i < 2; i++) {
            struct rt_request q = {.id = (uint64_t)i,
                                   .prompt_tokens = i == 0 ? 10 : 6000,
                                   .output_tokens = 1,
                                   .deadline_ns = RT_NO_DEADLINE,
                                   .think_ns = -1};
            assert_int_equal(rt_replica_push(r, &q, 0, &err), RT_REASON_NONE);
        }
        assert_ok(rt_replica_schedule(r, 0, &err), &err);
        while (rt_replica_busy(r)) {
            int64_t now = rt_replica_next_ns(r);
            assert_ok(rt_replica_step_end(r, now, &rows, &err), &err);
            assert_ok(rt_replica_schedule(r, now, &err), &err);
        }
        assert_int_equal(rows.count, 2);
        assert_int_equal(rt_replica_steps(r), 2);
        assert_true((rows.rows[0].finish_ns == rows.rows[1].finish_ns) == moe);
        rt_finished_list_release(&rows);
        rt_fleet_free(fleet);
    }
}

static void given_blocks_win(void **state)
{
    struct rt_fleet *fleet;
    struct rt_err err = {0};
    assert_ok(build(*state,
                    "{\"model\":\"llama-3.1-8b\",\"pools\":[{\"name\":\"p\",\"gpu\":\"rtx-4090\","
                    "\"replicas\":1,\"engine\":{\"num_gpu_blocks\":77}}]}",
                    0, &fleet, &err),
              &err);
    assert_int_equal(rt_fleet_pool(fleet, 0)->kv_blocks, 77);
    rt_fleet_free(fleet);
}

/* A block of llama-3.1-8b is 2 MiB; two GPUs hold half of it each. */
static void cpu_memory_for_swap_is_planned(void **state)
{
    static const struct {
        const char *engine;
        int64_t blocks, offload;
    } cases[] = {
        {"\"preemption\":\"swap\"", 2048, 0}, /* 4 GiB */
        {"\"preemption\":\"swap\",\"cpu_kv_bytes\":2097151", 0, 0},
        {"\"preemption\":\"swap\",\"cpu_kv_bytes\":6291456", 3, 0},
        {"\"preemption\":\"swap\",\"num_cpu_blocks\":5", 5, 0},
        {"\"num_cpu_blocks\":5", 0, 0}, /* nobody swaps */
        {"\"offload_bytes\":6291456", 0, 3},
        {"\"offload_bytes\":1", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_fleet *fleet;
        struct rt_err err = {0};
        char json[256];
        snprintf(json, sizeof json,
                 "{\"model\":\"llama-3.1-8b\",\"pools\":[{\"gpu\":\"h100-sxm\","
                 "\"tensor_parallel\":2,\"engine\":{%s}}]}",
                 cases[i].engine);
        assert_ok(build(*state, json, 0, &fleet, &err), &err);
        assert_int_equal(rt_fleet_pool(fleet, 0)->cpu_kv_blocks, cases[i].blocks);
        assert_int_equal(rt_fleet_pool(fleet, 0)->offload_blocks, cases[i].offload);
        rt_fleet_free(fleet);
    }
}

#define DRAFT(more)                                                                                \
    "{\"model\":\"llama-3.1-8b\",\"pools\":[{\"gpu\":\"h100-sxm\",\"engine\":{\"speculative\":{"   \
    "\"draft_tokens\":4,\"acceptance\":0.7" more "}}}]}"

/* The draft model's weights, and a KV of its own beside each block, come off the pool's memory. */
static void a_draft_model_takes_memory(void **state)
{
    struct rt_fleet *alone, *drafted;
    struct rt_err err = {0};
    assert_ok(build(*state, DRAFT(""), 0, &alone, &err), &err);
    assert_ok(build(*state, DRAFT(",\"draft_model\":\"llama-3.2-1b\""), 0, &drafted, &err), &err);
    const struct rt_memory_plan *a = &rt_fleet_pool(alone, 0)->memory;
    const struct rt_memory_plan *b = &rt_fleet_pool(drafted, 0)->memory;
    assert_true(a->block_bytes == 2097152.0); /* 16 * 32 layers * 8 heads * 128 * 2 * 2 */
    assert_true(b->block_bytes == a->block_bytes + 524288.0); /* 16 * 16 * 8 * 64 * 2 * 2 */
    assert_true(b->weights > a->weights + 2.4e9 && b->weights < a->weights + 2.6e9); /* 1.24e9 */
    double left = b->usable - b->weights - b->activations - b->context;
    assert_int_equal(b->blocks, (int64_t)(left / b->block_bytes));
    assert_int_equal(rt_fleet_pool(drafted, 0)->kv_blocks, b->blocks);
    rt_fleet_free(alone);
    rt_fleet_free(drafted);
}

static void bad_fleets_are_refused(void **state)
{
    static const struct {
        const char *json, *text;
    } bad[] = {
        {"{\"model\":\"llama-3.1-70b\",\"pools\":[{\"name\":\"p\",\"gpu\":\"rtx-4090\"}]}",
         "tensor_parallel"},
        {"{\"model\":\"llama-3.1-8b\",\"pools\":[{\"name\":\"p\",\"gpu\":\"h100-sxm\","
         "\"replicas\":65537}]}",
         "65536"},
        {"{\"model\":\"llama-3.1-8b\",\"pools\":[]}", "pools"},
        {"{\"model\":\"llama-3.1-8b\",\"router\":\"robin\",\"pools\":[{\"name\":\"p\","
         "\"gpu\":\"h100-sxm\"}]}",
         "round_robin"},
        {"{\"model\":\"llama-3.1-8b\",\"pools\":[{\"gpu\":{\"name\":\"Mine\",\"mem_gb\":80,"
         "\"mem_bw_gb_per_s\":1000,\"tflops\":{\"bf16\":100}},"
         "\"engine\":{\"preemption\":\"swap\"}}]}",
         "Mine has no pcie_gb_per_s"},
        {DRAFT(",\"draft_model\":\"gemma-2-9b\""), "gemma-2-9b has sliding windows"},
        {DRAFT(",\"draft_model\":\"llama-3.1-70b\""),
         "llama-3.1-8b and the draft model llama-3.1-70b do not fit together"},
        {"{\"model\":\"llama-3.1-8b\",\"cost\":{\"kind\":\"linear\",\"coefficients_s\":[1,1,1,1,1]}"
         ","
         "\"pools\":[{\"gpu\":\"h100-sxm\",\"engine\":{\"speculative\":{\"draft_tokens\":4,"
         "\"acceptance\":0.7,\"draft_model\":\"llama-3.2-1b\"}}}]}",
         "the linear cost knows no models"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rt_fleet *fleet;
        struct rt_err err = {0};
        assert_fails(build(*state, bad[i].json, 0, &fleet, &err), &err, RT_ECONFIG, bad[i].text);
    }
}

/* Requests go where the router says, and come back in the counts that it sees. */
static void nothing_is_lost(void **state)
{
    struct rt_fleet *fleet;
    struct rt_err err = {0};
    uint32_t sent[4] = {0};
    assert_ok(build(*state,
                    "{\"model\":\"llama-3.1-8b\",\"router\":\"least_outstanding\",\"pools\":[{"
                    "\"name\":\"p\",\"gpu\":\"h100-sxm\",\"replicas\":4}]}",
                    0, &fleet, &err),
              &err);
    for (uint64_t id = 0; id < 40; id++) {
        struct rt_request req = {.id = id, .prompt_tokens = 8, .output_tokens = 2};
        uint32_t replica;
        assert_int_equal(rt_fleet_push(fleet, &req, 0, &replica, &err), RT_REASON_NONE);
        sent[replica]++;
    }
    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(sent[i], 10);
        assert_int_equal(rt_replica_gauges(rt_fleet_replica(fleet, i), 0).waiting, 10);
    }
    const struct rt_finished done[4] = {
        {.prompt_tokens = 8}, {.prompt_tokens = 8}, {.prompt_tokens = 8}, {.prompt_tokens = 8}};
    rt_fleet_left(fleet, 3, done, 4);
    struct rt_request req = {.id = 40, .prompt_tokens = 8, .output_tokens = 2};
    uint32_t replica;
    assert_int_equal(rt_fleet_push(fleet, &req, 0, &replica, &err), RT_REASON_NONE);
    assert_int_equal(replica, 3);
    rt_fleet_free(fleet);
}

/* ---- arrivals -------------------------------------------------------------------------------- */

static enum rt_reason push(struct rt_fleet *fleet, uint64_t id, int64_t prompt, int64_t now_ns,
                           uint32_t *replica)
{
    struct rt_err err = {0};
    struct rt_request req = {
        .id = id, .arrival_ns = now_ns, .prompt_tokens = prompt, .output_tokens = 2};
    return rt_fleet_push(fleet, &req, now_ns, replica, &err);
}

#define EIGHT "{\"gpu\":\"h100-sxm\",\"model\":\"llama-3.1-8b\",\"replicas\":2"
#define ONE   "{\"gpu\":\"h100-sxm\",\"model\":\"llama-3.2-1b\",\"name\":\"b\""

static void models_go_to_their_pools(void **state)
{
    static const struct {
        const char *pools;
        uint32_t model, first, last; /* replicas; first > last: none serves it */
    } cases[] = {
        {EIGHT "}," ONE "}", 0, 0, 2},
        {EIGHT "}," ONE "}", 1, 0, 1},
        {EIGHT "}," ONE "}", 2, 2, 2},
        {EIGHT "}," ONE "}", 3, 1, 0},
        {EIGHT "}," ONE ",\"served_models\":[\"gpt-4\"]}", 3, 2, 2},
        {EIGHT "}," ONE ",\"served_models\":[\"gpt-4\"]}", 4, 1, 0},
        {EIGHT "}", 2, 0, 1}, /* one model for all: names do not matter */
        {EIGHT ",\"served_models\":[\"gpt-4\"]}", 2, 1, 0},
        {EIGHT ",\"served_models\":[\"gpt-4\"]}", 3, 0, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_fleet *fleet;
        struct rt_err err = {0};
        char json[512];
        snprintf(json, sizeof json, "{\"pools\":[%s]}", cases[i].pools);
        assert_ok(build(*state, json, 0, &fleet, &err), &err);
        for (uint64_t id = 0; id < 6; id++) {
            uint32_t replica;
            struct rt_request req = {
                .id = id, .prompt_tokens = 8, .output_tokens = 2, .model_name = cases[i].model};
            enum rt_reason reason = rt_fleet_push(fleet, &req, 0, &replica, &err);
            if (cases[i].first > cases[i].last) {
                assert_int_equal(reason, RT_REASON_MODEL);
                assert_int_equal(replica, RT_NO_REPLICA);
            } else {
                assert_int_equal(reason, RT_REASON_NONE);
                assert_in_range(replica, cases[i].first, cases[i].last);
            }
        }
        rt_fleet_free(fleet);
    }
}

static void only_ready_replicas_are_picked(void **state)
{
    struct rt_fleet *fleet;
    struct rt_err err = {0};
    uint32_t replica;
    assert_ok(build(*state,
                    "{\"router\":\"round_robin\",\"pools\":[{\"gpu\":\"h100-sxm\",\"model\":"
                    "\"llama-3.1-8b\",\"replicas\":3}]}",
                    0, &fleet, &err),
              &err);
    rt_fleet_set_state(fleet, 1, RT_REPLICA_DRAINING);
    assert_int_equal(rt_fleet_state(fleet, 1), RT_REPLICA_DRAINING);
    for (uint64_t id = 0; id < 6; id++) {
        assert_int_equal(push(fleet, id, 8, 0, &replica), RT_REASON_NONE);
        assert_int_equal(replica, id % 2 == 0 ? 0 : 2);
    }
    rt_fleet_set_state(fleet, 1, RT_REPLICA_READY); /* its turn came never */
    assert_int_equal(push(fleet, 6, 8, 0, &replica), RT_REASON_NONE);
    assert_int_equal(replica, 1);
    for (uint32_t i = 0; i < 3; i++)
        rt_fleet_set_state(fleet, i, RT_REPLICA_DOWN);
    assert_int_equal(push(fleet, 7, 8, 0, &replica), RT_REASON_UNAVAILABLE);
    assert_int_equal(replica, RT_NO_REPLICA);
    rt_fleet_free(fleet);
}

/* Between reports tokens stay what they were, requests outstanding do not. */
static void views_are_as_old_as_the_report(void **state)
{
    struct rt_fleet *fleet;
    struct rt_err err = {0};
    uint32_t replica;
    assert_ok(build(*state,
                    "{\"router\":\"least_tokens\",\"router_view_interval_s\":0.5,\"pools\":["
                    "{\"gpu\":\"h100-sxm\",\"model\":\"llama-3.1-8b\",\"replicas\":3}]}",
                    0, &fleet, &err),
              &err);
    assert_int_equal(rt_fleet_report_interval_ns(fleet), 500000000);
    for (uint64_t id = 0; id < 3; id++) {
        assert_int_equal(push(fleet, id, 100, 0, &replica), RT_REASON_NONE);
        assert_int_equal(replica, 0); /* it looks empty */
    }
    rt_fleet_report(fleet, 500000000);
    assert_int_equal(push(fleet, 3, 100, 500000000, &replica), RT_REASON_NONE);
    assert_int_equal(replica, 1);
    const struct rt_finished gone[3] = {
        {.prompt_tokens = 100}, {.prompt_tokens = 100}, {.prompt_tokens = 100}};
    rt_fleet_left(fleet, 0, gone, 3);
    assert_int_equal(push(fleet, 4, 100, 600000000, &replica), RT_REASON_NONE);
    assert_int_equal(replica, 1);
    rt_fleet_report(fleet, 1000000000);
    assert_int_equal(push(fleet, 5, 100, 1000000000, &replica), RT_REASON_NONE);
    assert_int_equal(replica, 0);
    rt_fleet_free(fleet);
}

#define ADMISSION(rules)                                                                           \
    "{\"admission\":{" rules "},\"pools\":[{\"gpu\":\"h100-sxm\",\"model\":\"llama-3.1-8b\"}]}"

/* A bucket of 3 that fills at 2 a second, exactly. */
static void a_bucket_lets_its_rate_in(void **state)
{
    static const struct {
        int64_t at_ns;
        bool in;
    } cases[] = {{0, true},          {0, true},           {0, true},          {0, false},
                 {499999999, false}, {500000000, true},   {500000001, false}, {1499999999, true},
                 {1500000000, true}, {1500000000, false}, {9000000000, true}, {9000000000, true},
                 {9000000000, true}, {9000000000, false}};
    struct rt_fleet *fleet;
    struct rt_err err = {0};
    assert_ok(
        build(*state, ADMISSION("\"requests_per_s\":2,\"burst_requests\":3"), 0, &fleet, &err),
        &err);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint32_t replica;
        enum rt_reason reason = push(fleet, i, 8, cases[i].at_ns, &replica);
        assert_int_equal(reason, cases[i].in ? RT_REASON_NONE : RT_REASON_ADMISSION);
        assert_int_equal(replica, cases[i].in ? 0 : RT_NO_REPLICA);
    }
    rt_fleet_free(fleet);
}

/* 1000 tokens a second, 500 at once: a longer prompt passes a full bucket and is paid for. */
static void prompts_are_metered(void **state)
{
    struct rt_fleet *fleet;
    struct rt_err err = {0};
    uint32_t replica;
    assert_ok(build(*state, ADMISSION("\"prompt_tokens_per_s\":1000,\"burst_prompt_tokens\":500"),
                    0, &fleet, &err),
              &err);
    assert_int_equal(push(fleet, 0, 300, 0, &replica), RT_REASON_NONE);
    assert_int_equal(push(fleet, 1, 201, 0, &replica), RT_REASON_ADMISSION);
    assert_int_equal(push(fleet, 2, 200, 0, &replica), RT_REASON_NONE);
    assert_int_equal(push(fleet, 3, 1, 0, &replica), RT_REASON_ADMISSION);
    assert_int_equal(push(fleet, 4, 2000, 499999999, &replica), RT_REASON_ADMISSION);
    assert_int_equal(push(fleet, 5, 2000, 500000000, &replica), RT_REASON_NONE); /* full; pays */
    assert_int_equal(push(fleet, 6, 1, 2000000000, &replica), RT_REASON_ADMISSION);
    assert_int_equal(push(fleet, 7, 1, 2001000000, &replica), RT_REASON_NONE);
    rt_fleet_free(fleet);
}

static void queues_have_a_limit(void **state)
{
    struct rt_fleet *fleet;
    struct rt_err err = {0};
    uint32_t replica;
    assert_ok(build(*state, ADMISSION("\"queue_limit\":2"), 0, &fleet, &err), &err);
    assert_int_equal(push(fleet, 0, 8, 0, &replica), RT_REASON_NONE);
    assert_int_equal(push(fleet, 1, 8, 0, &replica), RT_REASON_NONE);
    assert_int_equal(push(fleet, 2, 8, 0, &replica), RT_REASON_ADMISSION);
    assert_int_equal(replica, 0); /* where it was turned away */
    assert_ok(rt_replica_schedule(rt_fleet_replica(fleet, 0), 0, &err), &err);
    assert_int_equal(push(fleet, 3, 8, 1, &replica), RT_REASON_NONE);
    rt_fleet_free(fleet);
}

/* Steps of 8192 prompt tokens take some 0.2 s on an H100: the second such prompt would be late. */
static void late_ones_are_shed(void **state)
{
    struct rt_fleet *fleet;
    struct rt_err err = {0};
    uint32_t replica;
    struct rt_request req = {.prompt_tokens = 8000, .output_tokens = 2, .ttft_slo_ns = 300000000};
    assert_ok(build(*state, ADMISSION("\"shed_late\":true"), 0, &fleet, &err), &err);
    assert_int_equal(rt_fleet_push(fleet, &req, 0, &replica, &err), RT_REASON_NONE);
    assert_int_equal(rt_fleet_push(fleet, &req, 0, &replica, &err), RT_REASON_ADMISSION);
    req.ttft_slo_ns = 0; /* without an objective nobody is late */
    assert_int_equal(rt_fleet_push(fleet, &req, 0, &replica, &err), RT_REASON_NONE);
    req.ttft_slo_ns = 5000000000;
    assert_int_equal(rt_fleet_push(fleet, &req, 0, &replica, &err), RT_REASON_NONE);
    rt_fleet_free(fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool_is_planned),
        cmocka_unit_test(degrees_multiply),
        cmocka_unit_test(ranks_with_experts_step_together),
        cmocka_unit_test(given_blocks_win),
        cmocka_unit_test(cpu_memory_for_swap_is_planned),
        cmocka_unit_test(a_draft_model_takes_memory),
        cmocka_unit_test(bad_fleets_are_refused),
        cmocka_unit_test(nothing_is_lost),
        cmocka_unit_test(models_go_to_their_pools),
        cmocka_unit_test(only_ready_replicas_are_picked),
        cmocka_unit_test(views_are_as_old_as_the_report),
        cmocka_unit_test(a_bucket_lets_its_rate_in),
        cmocka_unit_test(prompts_are_metered),
        cmocka_unit_test(queues_have_a_limit),
        cmocka_unit_test(late_ones_are_shed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
