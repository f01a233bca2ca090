/* Scenario documents: every key, every default, what is refused, and parse(print(s)) == s. */
#include "rooftrace/catalog.h"
#include "rooftrace/cost.h"
#include "rooftrace/dtype.h"
#include "rooftrace/engine.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/gpu.h"
#include "rooftrace/gpu_constants.h"
#include "rooftrace/kv_transfer.h"
#include "rooftrace/model.h"
#include "rooftrace/queue_order.h"
#include "rooftrace/replica_spec.h"
#include "support/test.h"

#include "rooftrace/preset.h"
#include "rooftrace/rng.h"
#include "rooftrace/scenario.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINIMAL_POOL "{\"gpu\":\"rtx-4090\"}"
#define WORKLOAD     "\"workload\":{\"trace\":\"t.csv\"}"
#define MODEL        "\"model\":\"llama-3.1-8b\""
#define MINIMAL      "{" WORKLOAD "," MODEL ",\"pools\":[" MINIMAL_POOL "]}"

static int open_catalog(void **state)
{
    struct rt_catalog *catalog = NULL;
    struct rt_err err = {0};

    assert_ok(rt_catalog_open(NULL, &catalog, &err), &err);
    *state = catalog;
    return 0;
}

static int close_catalog(void **state)
{
    rt_catalog_free(*state);
    return 0;
}

static bool parse(const struct rt_catalog *catalog, const char *text, struct rt_scenario *s,
                  struct rt_err *err)
{
    struct rt_json *doc;
    struct rt_json_at root;
    bool ok;

    *err = (struct rt_err){0};
    rt_scenario_init(s);
    if (!rt_json_parse(text, strlen(text), "dir/s.json", &doc, err))
        return false;
    root = rt_json_root(doc);
    ok = rt_scenario_parse(&root, catalog, s, err);
    rt_json_free(doc);
    return ok;
}

static void a_minimal_scenario_has_the_defaults(void **state)
{
    struct rt_scenario s;
    struct rt_err err;

    assert_ok(parse(*state, MINIMAL, &s, &err), &err);
    assert_string_equal(s.workload.trace, "dir/t.csv");
    assert_string_equal(s.workload.format, "auto");
    assert_true(s.workload.max_requests == UINT64_MAX);
    assert_false(s.workload.has_window);
    assert_int_equal(s.fleet.pool_count, 1);
    assert_int_equal(s.fleet.cost.kind, RT_COST_ROOFLINE);
    assert_string_equal(s.fleet.router->name, "least_outstanding");
    assert_true(isnan(s.slo.ttft_s) && isnan(s.slo.tpot_s) && isnan(s.slo.e2e_s));
    assert_true(s.sample_interval_s == 1.0 && s.frontend_s == 0.0 && s.seed == 1);
    assert_false(s.has_measure);
    assert_true(s.coast);
    rt_scenario_release(&s);
}

static void a_minimal_pool_has_the_defaults(void **state)
{
    struct rt_scenario s;
    struct rt_err err;
    const struct rt_pool_spec *p;

    assert_ok(parse(*state, MINIMAL, &s, &err), &err);
    p = &s.fleet.pools[0];
    assert_string_equal(p->name, "main");
    assert_string_equal(p->gpu.name, "rtx-4090");
    assert_string_equal(p->model.name, "llama-3.1-8b");
    assert_int_equal(p->replicas, 1);
    assert_int_equal(p->parallel.tensor, 1);
    assert_int_equal(p->parallel.pipeline, 1);
    assert_int_equal(p->parallel.expert, 1);
    assert_int_equal(p->parallel.data, 1);
    assert_int_equal(p->dtypes.weight, RT_BF16);
    assert_int_equal(p->dtypes.activation, RT_BF16);
    assert_int_equal(p->dtypes.kv, RT_BF16);
    assert_int_equal(p->engine.max_num_batched_tokens, 2048); /* 24 GB */
    rt_scenario_release(&s);
}

static void defaults_follow_the_gpu_and_the_model(void **state)
{
    struct rt_gpu volta = {.mem_bytes = 32e9, .peak_flops = {[RT_FP16] = 125e12}};
    struct rt_gpu hopper = {.mem_bytes = 80e9, .peak_flops = {[RT_FP16] = 1e15, [RT_BF16] = 1e15}};
    struct rt_model bf16 = {.dtype = RT_BF16}, fp16 = {.dtype = RT_FP16}, fp8 = {.dtype = RT_FP8};
    struct rt_dtypes d;

    (void)state;
    d = rt_pool_default_dtypes(&hopper, &bf16);
    assert_true(d.weight == RT_BF16 && d.activation == RT_BF16 && d.kv == RT_BF16);
    d = rt_pool_default_dtypes(&hopper, &fp16);
    assert_true(d.weight == RT_FP16 && d.activation == RT_FP16 && d.kv == RT_FP16);
    d = rt_pool_default_dtypes(&hopper, &fp8);
    assert_true(d.weight == RT_FP8 && d.activation == RT_BF16 && d.kv == RT_BF16);
    assert_true(rt_expert_dtype(&d) == RT_FP8);
    bf16.experts_apart = true;
    bf16.expert_dtype = RT_MXFP4;
    d = rt_pool_default_dtypes(&hopper, &bf16);
    assert_true(d.weight == RT_BF16 && rt_expert_dtype(&d) == RT_MXFP4 && d.head == RT_BF16);
    bf16.experts_apart = false;
    d = rt_pool_default_dtypes(&volta, &bf16);
    assert_true(d.weight == RT_FP16 && d.activation == RT_FP16 && d.kv == RT_FP16);
    assert_int_equal(rt_pool_default_step_tokens(&volta), 2048);
    assert_int_equal(rt_pool_default_step_tokens(&hopper), 8192);
}

/* The example of the documentation, every key once. */
static const char example[] =
    "{ \"$schema\": \"../schemas/scenario.schema.json\","
    "  \"workload\": { \"trace\": \"conv.csv\", \"format\": \"auto\", \"rate_scale\": 1.5,"
    "                \"repeat\": 2, \"window_s\": [0, 600.25], \"max_requests\": 1000,"
    "                \"block_size\": 512 },"
    "  \"model\": \"Llama-3.1-8B\","
    "  \"cost\": { \"kind\": \"roofline\", \"speed_of_light\": true,"
    "    \"expert_skew\": 0.3 },"
    "  \"pools\": [ { \"name\": \"a\", \"gpu\": \"RTX-4090\", \"tensor_parallel\": 2,"
    "    \"pipeline_parallel\": 1, \"expert_parallel\": 1, \"data_parallel\": 1, \"replicas\": 3,"
    "    \"node\": { \"gpus\": 4, \"link_gb_per_s\": 12.3, \"latency_us\": 7.1 },"
    "    \"role\": \"mixed\", \"weight_dtype\": \"fp8\", \"activation_dtype\": \"fp16\","
    "    \"expert_dtype\": \"mxfp4\","
    "    \"kv_dtype\": \"int8\", \"model\": \"qwen3-32b\","
    "    \"engine\": { \"policy\": \"chunked\", \"async_scheduling\": false, \"max_num_seqs\": 128,"
    "      \"max_num_batched_tokens\": 4096, \"chunk_tokens\": 256, \"block_size\": 32,"
    "      \"gpu_memory_utilization\": 0.85, \"num_gpu_blocks\": 2588, \"prefix_caching\": false,"
    "      \"watermark\": 0.02, \"max_model_len\": 32768, \"queue_order\": \"priority\","
    "      \"aging_s\": 12.5, \"preemption\": \"swap\", \"cpu_kv_bytes\": 1000000000,"
    "      \"num_cpu_blocks\": 77 } },"
    "    { \"gpu\": \"h100-sxm\", \"engine\": { \"speculative\": { \"draft_tokens\": 2,"
    "      \"acceptance\": [0.75, 0.5], \"draft_model\": \"llama-3.2-1b\" } } } ],"
    "  \"router\": \"round_robin\","
    "  \"classes\": [ { \"name\": \"chat\", \"priority\": -2 },"
    "    { \"name\": \"batch \\u00e4\", \"priority\": 2147483647 } ],"
    "  \"slo\": { \"ttft_s\": 0.5, \"tpot_s\": 0.05, \"e2e_s\": 9 },"
    "  \"sample_interval_s\": 0.5, \"measure_s\": [60, 3600], \"frontend_s\": 0.002,"
    "  \"seed\": 9007199254740992 }";

static void every_key_is_read(void **state)
{
    struct rt_scenario s;
    struct rt_err err;
    const struct rt_pool_spec *p;

    assert_ok(parse(*state, example, &s, &err), &err);
    p = s.fleet.pools;
    assert_int_equal(s.fleet.pool_count, 2);
    assert_true(s.fleet.cost.speed_of_light);
    assert_string_equal(p[0].name, "a");
    assert_string_equal(p[1].name, "pool1");
    assert_string_equal(p[0].model.name, "qwen3-32b");
    assert_string_equal(p[1].model.name, "llama-3.1-8b");
    assert_int_equal(p[0].parallel.tensor, 2);
    assert_true(s.fleet.cost.expert_skew == 0.3);
    assert_int_equal(p[0].nodes.gpus, 4);
    assert_true(p[0].nodes.link_bytes_per_s > 12.299e9 && p[0].nodes.link_bytes_per_s < 12.301e9);
    assert_true(p[0].nodes.latency_s > 7.09e-6 && p[0].nodes.latency_s < 7.11e-6);
    assert_int_equal(p[1].nodes.gpus, RT_NODE_GPUS);
    assert_true(p[1].nodes.link_bytes_per_s == RT_NODE_LINK_BYTES_PER_S);
    assert_int_equal(p[0].replicas, 3);
    assert_int_equal(p[0].dtypes.weight, RT_FP8);
    assert_int_equal(p[0].dtypes.activation, RT_FP16);
    assert_true(p[0].dtypes.experts_apart && p[0].dtypes.expert == RT_MXFP4);
    assert_false(p[1].dtypes.experts_apart);
    assert_int_equal(p[0].dtypes.kv, RT_INT8);
    assert_int_equal(p[0].engine.max_num_seqs, 128);
    assert_int_equal(p[1].engine.max_num_batched_tokens, 8192);
    assert_string_equal(rt_queue_order_name(p[0].engine.queue_order), "priority");
    assert_true(p[0].engine.aging_s == 12.5);
    assert_int_equal(p[0].engine.preemption, RT_PREEMPTION_SWAP);
    assert_int_equal(p[0].engine.cpu_kv_bytes, 1000000000);
    assert_int_equal(p[0].engine.num_cpu_blocks, 77);
    assert_int_equal(p[0].engine.speculative.draft_tokens, 0);
    assert_false(p[0].has_draft_model);
    assert_int_equal(p[1].engine.speculative.draft_tokens, 2);
    assert_true(p[1].engine.speculative.acceptance[0] == 0.75);
    assert_true(p[1].engine.speculative.acceptance[1] == 0.5);
    assert_true(rt_engine_tokens_per_round(&p[1].engine) == 2.125);
    assert_true(p[1].has_draft_model);
    assert_string_equal(p[1].draft_model.name, "llama-3.2-1b");
    assert_false(p[1].engine.prefix_caching);
    assert_true(p[1].engine.async_scheduling);
    assert_int_equal(s.class_count, 2);
    assert_string_equal(s.classes[0].name, "chat");
    assert_int_equal(s.classes[0].priority, -2);
    assert_int_equal(s.classes[1].priority, INT32_MAX);
    assert_string_equal(s.fleet.router->name, "round_robin");
    assert_true(s.slo.ttft_s == 0.5 && s.slo.tpot_s == 0.05 && s.slo.e2e_s == 9.0);
    assert_true(s.has_measure && s.measure_s[0] == 60.0 && s.measure_s[1] == 3600.0);
    assert_true(s.sample_interval_s == 0.5 && s.frontend_s == 0.002);
    assert_true(s.seed == UINT64_C(9007199254740992));
    rt_scenario_release(&s);
}

struct bad {
    const char *text, *message;
};

static void expect_refused(const struct rt_catalog *catalog, const struct bad *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct rt_scenario s;
        struct rt_err err;
        assert_fails(parse(catalog, cases[i].text, &s, &err), &err, RT_ECONFIG, cases[i].message);
        assert_null(s.workload.trace); /* as initialised: nothing to release */
        assert_null(s.fleet.pools);
        assert_null(s.classes);
        assert_null(strchr(err.msg, '\n'));
    }
}

#define WITH(extra) "{" WORKLOAD "," MODEL ",\"pools\":[" MINIMAL_POOL "]," extra "}"
#define ROLES(prefill, decode, extra)                                                              \
    "{" WORKLOAD "," MODEL ",\"pools\":[{" prefill                                                 \
    "\"gpu\":\"h100-sxm\",\"role\":\"prefill\"},{" decode                                          \
    "\"gpu\":\"h100-sxm\",\"role\":\"decode\"}]" extra "}"
#define POOL(extra) "{" WORKLOAD "," MODEL ",\"pools\":[{\"gpu\":\"rtx-4090\"," extra "}]}"

static void wrong_trials_say_where_and_what(void **state)
{
    static const struct bad cases[] = {
        {"[]", "dir/s.json: $: expected an object, read an array"},
        {"{" MODEL ",\"pools\":[" MINIMAL_POOL "]}", "missing key \"workload\""},
        {"{\"workload\":{}," MODEL ",\"pools\":[" MINIMAL_POOL "]}", "missing key \"trace\""},
        {"{\"workload\":7," MODEL ",\"pools\":[" MINIMAL_POOL "]}",
         "$.workload: expected an object"},
        {WITH("\"modle\":1"), "unknown key \"modle\", did you mean \"model\"?"},
        {WITH("\"router\":\"round_robbin\""), "did you mean \"round_robin\"?"},
        {WITH("\"router\":1"), "$.router: expected a string, read 1"},
        {WITH("\"classes\":{}"), "$.classes: expected an array"},
        {WITH("\"classes\":[5]"), "$.classes[0]: expected an object"},
        {WITH("\"classes\":[{\"priority\":1}]"), "$.classes[0]: missing key \"name\""},
        {WITH("\"classes\":[{\"name\":\"a\",\"timeout_s\":0}]"), "$.classes[0].timeout_s"},
        {WITH("\"classes\":[{\"name\":\"\",\"priority\":1}]"), "$.classes[0].name"},
        {WITH("\"classes\":[{\"name\":\"a\",\"priority\":2147483648}]"), "$.classes[0].priority"},
        {WITH("\"classes\":[{\"name\":\"a\",\"priorty\":1}]"), "did you mean \"priority\"?"},
        {WITH("\"classes\":[{\"name\":\"a\",\"priority\":1},{\"name\":\"a\",\"priority\":2}]"),
         "$.classes[1]: two classes are named \"a\""},
        {WITH("\"slo\":[]"), "$.slo: expected an object"},
        {WITH("\"slo\":{\"ttft\":1}"), "unknown key \"ttft\", did you mean \"ttft_s\"?"},
        {WITH("\"slo\":{\"ttft_s\":0}"), "$.slo.ttft_s: expected a number from 1e-09"},
        {WITH("\"sample_interval_s\":0"), "$.sample_interval_s"},
        {WITH("\"sample_interval_s\":1e400"), "s.json"},
        {WITH("\"measure_s\":5"), "$.measure_s: expected an array"},
        {WITH("\"measure_s\":[1]"), "$.measure_s: expected [from, to]"},
        {WITH("\"measure_s\":[2,1]"), "from < to"},
        {WITH("\"measure_s\":[1,1]"), "from < to"},
        {WITH("\"measure_s\":[-1,1]"), "$.measure_s[0]"},
        {WITH("\"measure_s\":[0,\"end\"]"), "$.measure_s[1]"},
        {WITH("\"frontend_s\":-1"), "$.frontend_s"},
        {WITH("\"seed\":-1"), "$.seed"},
        {WITH("\"seed\":0.5"), "$.seed"},
        {WITH("\"cost\":{\"kind\":\"profile\"}"), "file"},
        {WITH("\"cost\":{\"kind\":\"profil\"}"), "$.cost.kind"},
        {WITH("\"cost\":{\"kind\":\"linear\"}"), "coefficients_s"},
        {WITH("\"cost\":\"linear\""), "$.cost: expected an object"},
        {WITH("\"seed\":1,\"seed\":1"), "seed"},
        {MINIMAL " x", "dir/s.json:1:"},
    };

    expect_refused(*state, cases, sizeof cases / sizeof cases[0]);
}

static void wrong_fleets_say_where_and_what(void **state)
{
    static const struct bad cases[] = {
        {"{" WORKLOAD "," MODEL "}", "missing key \"pools\""},
        {"{" WORKLOAD "," MODEL ",\"pools\":{}}", "$.pools: expected an array, read an object"},
        {"{" WORKLOAD "," MODEL ",\"pools\":[]}", "$.pools: expected 1 to 65536 pools, read 0"},
        {"{" WORKLOAD "," MODEL ",\"pools\":[5]}", "$.pools[0]: expected an object, read 5"},
        {"{" WORKLOAD "," MODEL ",\"pools\":[{}]}", "$.pools[0]: missing key \"gpu\""},
        {"{" WORKLOAD ",\"pools\":[" MINIMAL_POOL "]}", "$.pools[0]: missing key \"model\""},
        {"{" WORKLOAD ",\"model\":\"llama-3.1-9b\",\"pools\":[" MINIMAL_POOL "]}", "llama-3.1-8b"},
        {"{" WORKLOAD "," MODEL ",\"pools\":[{\"gpu\":\"rtx-4091\"}]}", "rtx-4090"},
        {POOL("\"gpus\":2"), "unknown key \"gpus\", did you mean \"gpu\"?"},
        {POOL("\"name\":\"\""), "$.pools[0].name: expected 1 to 63 letters"},
        {POOL("\"name\":\"a b\""), "$.pools[0].name"},
        {POOL("\"name\":\"-a\""), "$.pools[0].name"},
        {POOL("\"tensor_parallel\":0"), "$.pools[0].tensor_parallel"},
        {POOL("\"pipeline_parallel\":0"), "$.pools[0].pipeline_parallel"},
        {POOL("\"data_parallel\":1025"), "$.pools[0].data_parallel"},
        {POOL("\"data_parallel\":2,\"replicas\":32769"),
         "expected at most 65536 data parallel ranks in all pools, read 65538"},
        {POOL("\"node\":8"), "$.pools[0].node: expected an object, read 8"},
        {POOL("\"node\":{\"gpu\":8}"), "did you mean \"gpus\"?"},
        {POOL("\"node\":{\"link_gb_per_s\":0}"), "$.pools[0].node.link_gb_per_s"},
        {POOL("\"engine\":{\"speculative\":{\"draft_tokens\":8,\"acceptance\":1}}"),
         "$.pools[0].engine.speculative: max_num_batched_tokens, 2048, is too small"},
        {POOL("\"engine\":{\"speculative\":{\"draft_tokens\":1,\"acceptance\":1,"
              "\"draft_model\":\"llama-3.2-1c\"}}"),
         "llama-3.2-1b"},
        {POOL("\"role\":\"prefill\""),
         "pool \"main\": role \"prefill\" needs a pool of role \"decode\" for llama-3.1-8b"},
        {POOL("\"role\":\"decode\""), "role \"decode\" needs a pool of role \"prefill\""},
        {ROLES("", "\"kv_dtype\":\"fp8\",", ""),
         "pools \"main\" and \"pool1\": KV that is handed over has one type, read kv_dtype "
         "\"bf16\" and \"fp8\""},
        {ROLES("", "\"model\":\"qwen3-32b\",", ""), "needs a pool of role \"decode\""},
        {ROLES("\"engine\":{\"policy\":\"chunked\",\"prefix_caching\":false,\"speculative\":{"
               "\"draft_tokens\":1,\"acceptance\":1}},",
               "", ""),
         "pool \"main\": role \"prefill\" knows no speculative decoding"},
        {ROLES("", "\"engine\":{\"policy\":\"continuous\"},", ""),
         "pool \"pool1\": role \"decode\" needs a policy that lets a request join with its KV, "
         "chunked, sarathi or prefill_first: read \"continuous\""},
        {ROLES("", "", ",\"kv_transfer\":{\"gb_per_s\":0}"), "$.kv_transfer.gb_per_s"},
        {ROLES("", "", ",\"kv_transfer\":{\"latency_u\":0}"), "did you mean \"latency_us\"?"},
        {ROLES("", "", ",\"kv_transfer\":{\"first_token\":\"decoder\"}"),
         "did you mean \"decode\"?"},
        {ROLES("", "", ",\"decode_router\":\"least\""), "$.decode_router"},
        {"{" WORKLOAD "," MODEL ",\"pools\":[" MINIMAL_POOL "],\"kv_transfer\":{}}",
         "$.kv_transfer: needs pools of role \"prefill\" and \"decode\""},
        {"{" WORKLOAD "," MODEL ",\"pools\":[" MINIMAL_POOL "],\"decode_router\":\"random\"}",
         "$.decode_router: needs pools of role"},
        {POOL("\"role\":\"mixd\""), "did you mean \"mixed\"?"},
        {POOL("\"replicas\":0"), "$.pools[0].replicas"},
        {POOL("\"replicas\":65537"), "$.pools[0].replicas"},
        {POOL("\"weight_dtype\":\"fp32\""), "$.pools[0].weight_dtype"},
        {POOL("\"engine\":5"), "$.pools[0].engine: expected an object, read 5"},
        {POOL("\"engine\":{\"polcy\":\"chunked\"}"), "did you mean \"policy\"?"},
        {"{" WORKLOAD "," MODEL
         ",\"pools\":[{\"gpu\":\"rtx-4090\",\"replicas\":65536}," MINIMAL_POOL "]}",
         "$.pools: expected at most 65536 replicas in all pools, read 65537"},
        {"{" WORKLOAD "," MODEL ",\"pools\":[{\"gpu\":\"rtx-4090\",\"name\":\"x\"},"
         "{\"gpu\":\"rtx-4090\",\"name\":\"x\"}]}",
         "$.pools: two pools are named \"x\""},
    };

    expect_refused(*state, cases, sizeof cases / sizeof cases[0]);
}

/* ---- parse(print(s)) == s ------------------------------------------------------------------- */

/* Words of 8 bytes from `from` to `to` are equal: members of that size, no padding between. */
static void words_equal(const void *a, const void *b, size_t from, size_t to)
{
    assert_memory_equal((const char *)a + from, (const char *)b + from, to - from);
}

static void same_gpu(const struct rt_gpu *a, const struct rt_gpu *b)
{
    const size_t tiles = offsetof(struct rt_gpu_constants, mixed_as_tiles);

    assert_string_equal(a->name, b->name);
    assert_string_equal(a->vendor, b->vendor);
    assert_string_equal(a->arch, b->arch);
    assert_string_equal(a->link, b->link);
    assert_string_equal(a->accuracy, b->accuracy);
    assert_int_equal(a->link_kind, b->link_kind);
    words_equal(a, b, offsetof(struct rt_gpu, mem_bytes), offsetof(struct rt_gpu, link));
    words_equal(a, b, offsetof(struct rt_gpu, link_bytes_per_s), offsetof(struct rt_gpu, k));
    words_equal(&a->k, &b->k, 0, tiles);
    words_equal(&a->k, &b->k, tiles + sizeof(double), sizeof a->k);
    assert_int_equal(a->k.mixed_as_tiles, b->k.mixed_as_tiles);
}

static void same_model(const struct rt_model *a, const struct rt_model *b)
{
    assert_string_equal(a->name, b->name);
    assert_string_equal(a->source, b->source);
    assert_int_equal(a->attention, b->attention);
    words_equal(a, b, offsetof(struct rt_model, layers), offsetof(struct rt_model, gated));
    words_equal(a, b, offsetof(struct rt_model, experts), offsetof(struct rt_model, dtype));
    assert_true(a->gated == b->gated && a->tied == b->tied && a->qkv_bias == b->qkv_bias &&
                a->qk_norm == b->qk_norm && a->o_bias == b->o_bias && a->mlp_bias == b->mlp_bias);
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->experts_apart, b->experts_apart);
    assert_int_equal(rt_model_expert_dtype(a), rt_model_expert_dtype(b));
}

static void same_engine(const struct rt_engine_spec *a, const struct rt_engine_spec *b)
{
    assert_ptr_equal(a->preset, b->preset);
    assert_int_equal(a->policy, b->policy);
    assert_int_equal(a->async_scheduling, b->async_scheduling);
    assert_int_equal(a->prefix_caching, b->prefix_caching);
    assert_int_equal(a->queue_order, b->queue_order);
    assert_int_equal(a->preemption, b->preemption);
    words_equal(a, b, offsetof(struct rt_engine_spec, max_num_seqs), sizeof *a);
}

static void same_dtypes(const struct rt_dtypes *a, const struct rt_dtypes *b)
{
    assert_true(a->weight == b->weight && a->activation == b->activation && a->kv == b->kv &&
                a->head == b->head);
    assert_true(a->experts_apart == b->experts_apart && rt_expert_dtype(a) == rt_expert_dtype(b));
}

static void same_pool(const struct rt_pool_spec *a, const struct rt_pool_spec *b)
{
    assert_string_equal(a->name, b->name);
    same_gpu(&a->gpu, &b->gpu);
    same_model(&a->model, &b->model);
    assert_memory_equal(&a->parallel, &b->parallel, sizeof a->parallel);
    assert_memory_equal(&a->nodes, &b->nodes, sizeof a->nodes);
    same_dtypes(&a->dtypes, &b->dtypes);
    assert_int_equal(a->replicas, b->replicas);
    assert_int_equal(a->role, b->role);
    same_engine(&a->engine, &b->engine);
    assert_int_equal(a->has_draft_model, b->has_draft_model);
    if (a->has_draft_model)
        same_model(&a->draft_model, &b->draft_model);
}

static bool same_number(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void same_slo(const struct rt_slo *a, const struct rt_slo *b)
{
    assert_true(same_number(a->ttft_s, b->ttft_s) && same_number(a->tpot_s, b->tpot_s) &&
                same_number(a->e2e_s, b->e2e_s));
}

static void same_patience(const struct rt_patience *a, const struct rt_patience *b)
{
    assert_true(a->timeout_s == b->timeout_s && a->cancel_share == b->cancel_share &&
                a->cancel_mean_s == b->cancel_mean_s);
}

static void same_admission(const struct rt_admission_spec *a, const struct rt_admission_spec *b)
{
    assert_true(a->requests_per_s == b->requests_per_s && a->burst_requests == b->burst_requests);
    assert_true(a->prompt_tokens_per_s == b->prompt_tokens_per_s &&
                a->burst_prompt_tokens == b->burst_prompt_tokens);
    assert_true(a->queue_limit == b->queue_limit && a->shed_late == b->shed_late);
}

static void same_scenario(const struct rt_scenario *a, const struct rt_scenario *b)
{
    const struct rt_workload_spec *v = &a->workload, *w = &b->workload;

    assert_string_equal(v->trace, w->trace);
    assert_string_equal(v->format, w->format);
    assert_true(v->rate_scale == w->rate_scale && v->repeat == w->repeat);
    assert_true(v->has_window == w->has_window && v->window_s[0] == w->window_s[0] &&
                v->window_s[1] == w->window_s[1]);
    assert_true(v->max_requests == w->max_requests && v->block_size == w->block_size);
    assert_int_equal(v->drop_failed, w->drop_failed);
    assert_memory_equal(&v->transform, &w->transform, sizeof v->transform);
    assert_string_equal(v->columns != NULL ? v->columns : "", w->columns != NULL ? w->columns : "");
    assert_int_equal(a->fleet.cost.kind, b->fleet.cost.kind);
    assert_int_equal(a->fleet.cost.speed_of_light, b->fleet.cost.speed_of_light);
    assert_true(a->fleet.cost.expert_skew == b->fleet.cost.expert_skew);
    assert_memory_equal(a->fleet.cost.coefficients_s, b->fleet.cost.coefficients_s,
                        sizeof a->fleet.cost.coefficients_s);
    assert_true((a->fleet.cost.file == NULL) == (b->fleet.cost.file == NULL));
    if (a->fleet.cost.file != NULL)
        assert_string_equal(a->fleet.cost.file, b->fleet.cost.file);
    assert_int_equal(a->class_count, b->class_count);
    for (uint32_t i = 0; i < a->class_count; i++) {
        assert_string_equal(a->classes[i].name, b->classes[i].name);
        assert_int_equal(a->classes[i].priority, b->classes[i].priority);
        assert_true(a->classes[i].deadline_s == b->classes[i].deadline_s);
        same_patience(&a->classes[i].patience, &b->classes[i].patience);
        same_slo(&a->classes[i].slo, &b->classes[i].slo);
    }
    same_patience(&a->patience, &b->patience);
    assert_true(a->fleet.router_view_interval_s == b->fleet.router_view_interval_s);
    assert_memory_equal(&a->fleet.weights, &b->fleet.weights, sizeof a->fleet.weights);
    same_admission(&a->fleet.admission, &b->fleet.admission);
    assert_ptr_equal(a->fleet.router, b->fleet.router);
    assert_ptr_equal(a->fleet.decode_router, b->fleet.decode_router);
    assert_memory_equal(&a->fleet.kv_transfer, &b->fleet.kv_transfer, sizeof a->fleet.kv_transfer);
    assert_int_equal(a->fleet.pool_count, b->fleet.pool_count);
    for (uint32_t i = 0; i < a->fleet.pool_count; i++)
        same_pool(&a->fleet.pools[i], &b->fleet.pools[i]);
    same_slo(&a->slo, &b->slo);
    assert_true(a->sample_interval_s == b->sample_interval_s && a->frontend_s == b->frontend_s);
    assert_true(a->has_measure == b->has_measure && a->measure_s[0] == b->measure_s[0] &&
                a->measure_s[1] == b->measure_s[1]);
    assert_true(a->seed == b->seed && a->coast == b->coast);
}

static void round_trip(const struct rt_catalog *catalog, const struct rt_scenario *s)
{
    struct rt_scenario back;
    struct rt_json *doc;
    struct rt_json_at root;
    struct rt_err err = {0};
    char *text = rt_scenario_print(s), *identity = rt_scenario_identity(s), *again;

    assert_non_null(text);
    assert_non_null(identity);
    assert_ok(rt_json_parse(text, strlen(text), "printed", &doc, &err), &err);
    root = rt_json_root(doc);
    assert_ok(rt_scenario_parse(&root, catalog, &back, &err), &err);
    rt_json_free(doc);
    same_scenario(s, &back);
    again = rt_scenario_print(&back);
    assert_non_null(again);
    assert_string_equal(text, again);
    free(again);
    again = rt_scenario_identity(&back);
    assert_non_null(again);
    assert_string_equal(identity, again);
    free(again);
    back.sample_interval_s = nextafter(back.sample_interval_s, HUGE_VAL);
    again = rt_scenario_identity(&back);
    assert_non_null(again);
    assert_string_not_equal(identity, again);
    free(again);
    free(identity);
    free(text);
    rt_scenario_release(&back);
}

static void round_trip_text(const struct rt_catalog *catalog, const char *text)
{
    struct rt_scenario s;
    struct rt_err err;

    assert_ok(parse(catalog, text, &s, &err), &err);
    round_trip(catalog, &s);
    rt_scenario_release(&s);
}

static void examples_survive_printing(void **state)
{
    round_trip_text(*state, MINIMAL);
    round_trip_text(*state, example);
    round_trip_text(*state, WITH("\"cost\":{\"kind\":\"linear\",\"coefficients_s\":"
                                 "[0.0093,5.3e-05,7.1e-08,1.7320508e-09,7e-06]}"));
    round_trip_text(*state, WITH("\"cost\":{\"kind\":\"profile\",\"file\":\"/a/x.csv\"}"));
    round_trip_text(*state, WITH("\"cost\":{\"kind\":\"profile\",\"file\":\"/a/x.csv\","
                                 "\"expert_skew\":0.25}"));
    round_trip_text(*state, "{\"workload\":{\"trace\":\"a \\\"b\\\" \\\\ \\u00e9\\n.csv\"}," MODEL
                            ",\"pools\":[" MINIMAL_POOL "]}");
}

/* Resolved by GPU and model, every key stated, the name kept. */
static void presets_survive_printing(void **state)
{
    for (unsigned i = 0; i < rt_preset_count(); i++) {
        struct rt_scenario s;
        struct rt_err err;
        char text[512], *printed;
        snprintf(text, sizeof text,
                 "{" WORKLOAD "," MODEL ",\"pools\":[{\"gpu\":\"h100-sxm\",\"engine\":"
                 "{\"preset\":\"%s\"}},{\"gpu\":\"a100-sxm-80gb\",\"engine\":"
                 "{\"preset\":\"%s\",\"max_num_seqs\":3,\"max_model_len\":100}}]}",
                 rt_preset_at(i)->name, rt_preset_at(i)->name);
        round_trip_text(*state, text);
        assert_ok(parse(*state, text, &s, &err), &err);
        assert_ptr_equal(s.fleet.pools[0].engine.preset, rt_preset_at(i));
        assert_true(s.fleet.pools[0].engine.max_num_seqs > 0);
        assert_true(s.fleet.pools[0].engine.max_num_batched_tokens > 0);
        assert_int_equal(s.fleet.pools[1].engine.max_num_seqs, 3);
        printed = rt_scenario_print(&s);
        assert_non_null(printed);
        assert_non_null(strstr(printed, "\"preset\""));
        free(printed);
        rt_scenario_release(&s);
    }
}

static void every_record_of_the_catalogue_survives_printing(void **state)
{
    const struct rt_catalog *catalog = *state;
    unsigned gpus = rt_catalog_gpu_count(catalog), models = rt_catalog_model_count(catalog);

    for (unsigned i = 0; i < gpus || i < models; i++) {
        char text[512];
        snprintf(text, sizeof text, "{" WORKLOAD ",\"model\":\"%s\",\"pools\":[{\"gpu\":\"%s\"}]}",
                 rt_catalog_model_at(catalog, i < models ? i : 0)->name,
                 rt_catalog_gpu_at(catalog, i < gpus ? i : 0)->name);
        round_trip_text(catalog, text);
    }
}

/* A double with random bits of the fraction between lo and hi. */
static double draw(struct rt_rng *r, double lo, double hi)
{
    return lo + (hi - lo) * rt_rng_unit(r);
}

static void randomise_transform(struct rt_transform_spec *t, struct rt_rng *r)
{
    t->copies = 2 + (int64_t)rt_rng_below(r, RT_MAX_SUPERPOSE - 1);
    t->shift_s = draw(r, 0, 9e9);
    t->spread_s = draw(r, 1e-9, 86400);
    t->prefix_roots = 1 + (int64_t)rt_rng_below(r, 1000000);
    t->resample = (int64_t)rt_rng_below(r, UINT64_C(1) << 53);
    t->keep_share = draw(r, 1e-9, 1);
    t->max_gap_s = draw(r, 1e-9, 9e9);
    t->prompt_scale = draw(r, 1e-6, 1e6);
    t->output_scale = draw(r, 1e-6, 1e6);
    t->min_prompt_tokens = 1 + (int64_t)rt_rng_below(r, 1000);
    t->max_prompt_tokens = 1000 + (int64_t)rt_rng_below(r, UINT64_C(1) << 39);
    t->max_context_tokens = rt_rng_below(r, 2) ? 0 : 2 + (int64_t)rt_rng_below(r, 1000000);
    t->over_context =
        t->max_context_tokens == 0 ? RT_CONTEXT_CUT : (enum rt_over_context)rt_rng_below(r, 3);
}

static void randomise(struct rt_scenario *s, struct rt_rng *r)
{
    struct rt_gpu *g = &s->fleet.pools[0].gpu;
    struct rt_engine_spec *e = &s->fleet.pools[0].engine;

    s->workload.rate_scale = draw(r, 1e-9, 10);
    s->workload.has_window = true;
    s->workload.window_s[0] = draw(r, 0, 10);
    s->workload.window_s[1] = draw(r, 11, 1e9);
    s->workload.repeat = 1 + rt_rng_below(r, 1000000000);
    s->workload.max_requests = 1 + rt_rng_below(r, UINT64_C(1) << 53);
    randomise_transform(&s->workload.transform, r);
    s->slo.ttft_s = draw(r, 1e-9, 1);
    s->frontend_s = draw(r, 0, 86400);
    s->sample_interval_s = draw(r, 1e-6, 1e-3);
    s->seed = rt_rng_below(r, UINT64_C(1) << 53);
    s->fleet.pools[0].dtypes.experts_apart = rt_rng_below(r, 2);
    s->fleet.pools[0].dtypes.expert = (enum rt_dtype)rt_rng_below(r, RT_DTYPE_COUNT);
    s->fleet.pools[0].model.experts_apart = rt_rng_below(r, 2);
    s->fleet.pools[0].model.expert_dtype = (enum rt_dtype)rt_rng_below(r, RT_DTYPE_COUNT);
    e->gpu_memory_utilization = draw(r, 0.01, 1);
    e->watermark = draw(r, 0, 0.99);
    e->num_gpu_blocks = (int64_t)(1 + rt_rng_below(r, UINT64_C(1) << 35));
    e->policy = (unsigned)rt_rng_below(r, rt_policy_count());
    e->queue_order = (unsigned)rt_rng_below(r, rt_queue_order_count());
    e->aging_s = draw(r, 0, 9e9);
    e->preemption = (unsigned)rt_rng_below(r, RT_PREEMPTION_COUNT);
    e->cpu_kv_bytes = (int64_t)rt_rng_below(r, UINT64_C(1) << 53);
    e->offload_bytes =
        e->prefix_caching && e->preemption == RT_PREEMPTION_RECOMPUTE ? e->cpu_kv_bytes : 0;
    e = &s->fleet.pools[1].engine;
    e->speculative.draft_tokens = (int64_t)rt_rng_below(r, RT_MAX_DRAFT_TOKENS / 2);
    for (int64_t k = 0; k < RT_MAX_DRAFT_TOKENS; k++)
        e->speculative.acceptance[k] = k < e->speculative.draft_tokens ? draw(r, 0, 1) : 0;
    s->fleet.pools[1].has_draft_model = e->speculative.draft_tokens > 0 && rt_rng_below(r, 2);
    if (!s->fleet.pools[1].has_draft_model)
        s->fleet.pools[1].draft_model = (struct rt_model){0};
    else
        s->fleet.pools[1].draft_model = s->fleet.pools[1].model;
    e->speculative.draft_s_per_token = 0;
    if (e->speculative.draft_tokens > 0 && !s->fleet.pools[1].has_draft_model)
        e->speculative.draft_s_per_token = draw(r, 0, 1e3);
    s->fleet.router = rt_router_at((unsigned)rt_rng_below(r, rt_router_count()));
    s->fleet.router_view_interval_s = rt_rng_below(r, 2) ? draw(r, 1e-6, 100) : 0;
    s->fleet.weights = (struct rt_router_weights){draw(r, 0, 9), draw(r, 0, 9), draw(r, 0, 9),
                                                  draw(r, 0, 9), draw(r, 0.1, 9)};
    s->fleet.admission = (struct rt_admission_spec){.requests_per_s = draw(r, 0.1, 9),
                                                    .burst_requests = draw(r, 1, 99)};
    if (rt_rng_below(r, 2)) /* a depth is printed with its rate only */
        s->fleet.admission = (struct rt_admission_spec){0};
    s->fleet.admission.prompt_tokens_per_s = draw(r, 0.1, 1e6);
    s->fleet.admission.burst_prompt_tokens = draw(r, 1, 1e6);
    s->fleet.admission.queue_limit = (int64_t)rt_rng_below(r, 5);
    s->fleet.admission.shed_late = rt_rng_below(r, 2);
    s->patience.timeout_s = rt_rng_below(r, 2) ? draw(r, 0.1, 9) : 0;
    s->patience.cancel_mean_s = rt_rng_below(r, 2) ? draw(r, 0.1, 9) : 0;
    s->patience.cancel_share = s->patience.cancel_mean_s > 0 ? draw(r, 0, 1) : 0;
    s->classes[0].deadline_s = rt_rng_below(r, 2) ? draw(r, 0.1, 9) : 0;
    s->classes[0].patience = s->patience;
    s->classes[1].slo.tpot_s = draw(r, 0.001, 1);
    /* Only values that a reader can have made: a decimal times a unit. */
    g->mem_bytes = floor(draw(r, 1e9, 1e12));
    g->mem_bw_bytes_per_s = draw(r, 100, 8000) * 1e9;
    g->peak_flops[RT_BF16] = draw(r, 1, 5000) * 1e12;
    g->k.gemm_overhead_s = draw(r, 0, 100) * 1e-6;
    g->k.host_s_per_seq = draw(r, 0, 100) * 1e-6;
    g->k.gemm_eff_memory = draw(r, 0.01, 1);
}

static void roles_are_read_and_survive_printing(void **state)
{
    struct rt_scenario s;
    struct rt_err err;
    struct rt_rng r;

    assert_ok(parse(*state, ROLES("", "", ""), &s, &err), &err);
    assert_int_equal(s.fleet.pools[0].role, RT_ROLE_PREFILL);
    assert_int_equal(s.fleet.pools[1].role, RT_ROLE_DECODE);
    assert_ptr_equal(s.fleet.decode_router, rt_router_default());
    assert_true(s.fleet.kv_transfer.bytes_per_s == 0 && s.fleet.kv_transfer.latency_s < 0);
    assert_false(s.fleet.kv_transfer.layerwise);
    assert_int_equal(s.fleet.kv_transfer.first_token, RT_FIRST_TOKEN_DECODE);
    round_trip(*state, &s);
    rt_scenario_release(&s);
    assert_ok(parse(*state,
                    ROLES("", "",
                          ",\"decode_router\":\"least_kv\",\"kv_transfer\":{\"gb_per_s\":12.5,"
                          "\"latency_us\":3,\"layerwise\":true,\"first_token\":\"prefill\"}"),
                    &s, &err),
              &err);
    assert_string_equal(s.fleet.decode_router->name, "least_kv");
    assert_true(s.fleet.kv_transfer.bytes_per_s == 12.5e9 && s.fleet.kv_transfer.layerwise);
    assert_true(s.fleet.kv_transfer.latency_s > 2.99e-6 && s.fleet.kv_transfer.latency_s < 3.01e-6);
    assert_int_equal(s.fleet.kv_transfer.first_token, RT_FIRST_TOKEN_PREFILL);
    rt_rng_init(&r, 20261122, RT_RNG_TOOLS, 0);
    for (int i = 0; i < 100; i++) {
        s.fleet.decode_router = rt_router_at((unsigned)rt_rng_below(&r, rt_router_count()));
        s.fleet.kv_transfer.bytes_per_s = draw(&r, 1e-3, 1e3) * 1e9;
        s.fleet.kv_transfer.latency_s = draw(&r, 0, 1e6) * 1e-6;
        s.fleet.kv_transfer.layerwise = rt_rng_below(&r, 2);
        round_trip(*state, &s);
    }
    rt_scenario_release(&s);
}

static void random_scenarios_survive_printing(void **state)
{
    struct rt_scenario s;
    struct rt_err err;
    struct rt_rng r;

    rt_rng_init(&r, 20240607, RT_RNG_TOOLS, 0);
    assert_ok(parse(*state, example, &s, &err), &err);
    for (int i = 0; i < 200; i++) {
        randomise(&s, &r);
        round_trip(*state, &s);
    }
    rt_scenario_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minimal_scenario_has_the_defaults),
        cmocka_unit_test(a_minimal_pool_has_the_defaults),
        cmocka_unit_test(defaults_follow_the_gpu_and_the_model),
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(roles_are_read_and_survive_printing),
        cmocka_unit_test(wrong_trials_say_where_and_what),
        cmocka_unit_test(wrong_fleets_say_where_and_what),
        cmocka_unit_test(examples_survive_printing),
        cmocka_unit_test(presets_survive_printing),
        cmocka_unit_test(every_record_of_the_catalogue_survives_printing),
        cmocka_unit_test(random_scenarios_survive_printing),
    };

    return cmocka_run_group_tests(tests, open_catalog, close_catalog);
}
