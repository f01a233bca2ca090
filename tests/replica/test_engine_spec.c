/* The section pools[].engine: defaults, every key, ranges, and what this version refuses. */
#include "rooftrace/queue_order.h"
#include "support/test.h"

#include "rooftrace/engine.h"

#include <stdio.h>
#include <string.h>

static bool parse(const char *text, struct rt_engine_spec *e, struct rt_err *err)
{
    struct rt_json *doc;
    struct rt_json_at root;
    bool ok;

    *err = (struct rt_err){0};
    rt_engine_init(e);
    if (!rt_json_parse(text, strlen(text), "e.json", &doc, err))
        return false;
    root = rt_json_root(doc);
    ok = rt_engine_parse(&root, e, err);
    rt_json_free(doc);
    return ok;
}

static void defaults_are_those_of_the_docs(void **state)
{
    struct rt_engine_spec e;

    (void)state;
    rt_engine_init(&e);
    assert_string_equal(rt_policy_name(e.policy), "chunked");
    assert_true(e.async_scheduling);
    assert_true(rt_engine_overlaps_host(&e));
    assert_true(e.prefix_caching);
    assert_int_equal(e.max_num_seqs, 256);
    assert_int_equal(e.max_num_batched_tokens, 0);
    assert_int_equal(e.chunk_tokens, 512);
    assert_int_equal(e.block_size, 16);
    assert_int_equal(e.num_gpu_blocks, 0);
    assert_int_equal(e.max_model_len, 0);
    assert_true(e.gpu_memory_utilization == 0.9);
    assert_true(e.watermark == 0.01);
}

static void an_absent_section_changes_nothing(void **state)
{
    static const char text[] = "{}";
    struct rt_engine_spec e, before;
    struct rt_json *doc;
    struct rt_json_at root, absent;
    struct rt_err err = {0};

    (void)state;
    rt_engine_init(&e);
    e.max_num_seqs = 7;
    before = e;
    assert_ok(rt_json_parse(text, strlen(text), "e.json", &doc, &err), &err);
    root = rt_json_root(doc);
    absent = rt_json_get(&root, "engine");
    assert_ok(rt_engine_parse(&absent, &e, &err), &err);
    assert_ok(rt_engine_parse(&root, &e, &err), &err);
    rt_json_free(doc);
    assert_memory_equal(&e, &before, sizeof e);
}

static void every_key_is_read(void **state)
{
    struct rt_engine_spec e;
    struct rt_err err;

    (void)state;
    assert_ok(parse("{\"policy\":\"chunked\",\"async_scheduling\":false,\"prefix_caching\":false,"
                    "\"max_num_seqs\":3,\"max_num_batched_tokens\":100,\"chunk_tokens\":64,"
                    "\"block_size\":32,\"gpu_memory_utilization\":0.5,\"num_gpu_blocks\":2588,"
                    "\"watermark\":0.25,\"max_model_len\":32768,\"queue_order\":\"deadline\","
                    "\"preemption\":\"swap\",\"cpu_kv_bytes\":5,\"num_cpu_blocks\":6,"
                    "\"aging_s\":0.5,\"$comment\":\"kept out\"}",
                    &e, &err),
              &err);
    assert_int_equal(e.max_num_seqs, 3);
    assert_int_equal(e.max_num_batched_tokens, 100);
    assert_int_equal(e.chunk_tokens, 64);
    assert_int_equal(e.block_size, 32);
    assert_int_equal(e.num_gpu_blocks, 2588);
    assert_int_equal(e.max_model_len, 32768);
    assert_true(e.gpu_memory_utilization == 0.5);
    assert_true(e.watermark == 0.25);
    assert_string_equal(rt_queue_order_name(e.queue_order), "deadline");
    assert_true(e.aging_s == 0.5);
    assert_int_equal(e.preemption, RT_PREEMPTION_SWAP);
    assert_int_equal(e.cpu_kv_bytes, 5);
    assert_int_equal(e.num_cpu_blocks, 6);
}

static void every_policy_is_known_by_its_name(void **state)
{
    (void)state;
    assert_true(rt_policy_count() >= 1);
    for (unsigned i = 0; i < rt_policy_count(); i++) {
        struct rt_engine_spec e;
        struct rt_err err;
        char text[128];
        snprintf(text, sizeof text, "{\"policy\":\"%s\"}", rt_policy_name(i));
        assert_ok(parse(text, &e, &err), &err);
        assert_int_equal(e.policy, i);
        assert_true(strlen(rt_policy_help(i)) > 0);
    }
}

/* The host waits where scheduling is synchronous, unless the key says otherwise. */
static void host_overlap_follows_scheduling(void **state)
{
    static const struct {
        const char *text;
        bool overlaps;
    } cases[] = {{"{}", true},
                 {"{\"async_scheduling\":false}", false},
                 {"{\"policy\":\"sarathi\"}", false},
                 {"{\"policy\":\"prefill_first\",\"host_overlap\":true}", true},
                 {"{\"async_scheduling\":true,\"host_overlap\":false}", false}};
    struct rt_engine_spec e;
    struct rt_err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_ok(parse(cases[i].text, &e, &err), &err);
        assert_int_equal(rt_engine_overlaps_host(&e), cases[i].overlaps);
    }
}

/* What only chunked has is off elsewhere without being asked. */
static void switches_follow_the_policy(void **state)
{
    struct rt_engine_spec e;
    struct rt_err err = {0};

    (void)state;
    assert_ok(parse("{\"policy\":\"chunked\"}", &e, &err), &err);
    assert_true(e.async_scheduling && e.prefix_caching);
    assert_ok(parse("{\"policy\":\"sarathi\"}", &e, &err), &err);
    assert_false(e.async_scheduling || e.prefix_caching);
    assert_ok(parse("{\"policy\":\"static\",\"prefix_caching\":false}", &e, &err), &err);
    assert_false(e.async_scheduling || e.prefix_caching);
    assert_ok(parse("{\"preemption\":\"swap\"}", &e, &err), &err);
    assert_true(e.async_scheduling && !e.prefix_caching);
    assert_ok(parse("{\"offload_bytes\":4096}", &e, &err), &err);
    assert_int_equal(e.offload_bytes, 4096);
    assert_ok(parse("{\"speculative\":{\"draft_tokens\":2,\"acceptance\":1}}", &e, &err), &err);
    assert_true(e.async_scheduling && !e.prefix_caching);
}

static void drafts_are_read(void **state)
{
    struct rt_engine_spec e;
    struct rt_err err;

    (void)state;
    assert_ok(parse("{\"policy\":\"static\",\"speculative\":{\"draft_tokens\":3,"
                    "\"acceptance\":0.5,\"draft_s_per_token\":0.25}}",
                    &e, &err),
              &err);
    assert_int_equal(e.speculative.draft_tokens, 3);
    assert_true(e.speculative.acceptance[0] == 0.5 && e.speculative.acceptance[2] == 0.5);
    assert_true(e.speculative.acceptance[3] == 0 && e.speculative.draft_s_per_token == 0.25);
    assert_true(rt_engine_tokens_per_round(&e) == 1.875);
    assert_true(rt_engine_budget_holds(&e)); /* static reserves no budget for decodes */
    assert_ok(parse("{\"max_num_seqs\":10,\"max_num_batched_tokens\":30,\"speculative\":"
                    "{\"draft_tokens\":2,\"acceptance\":[1,0]}}",
                    &e, &err),
              &err);
    assert_true(rt_engine_tokens_per_round(&e) == 2 && rt_engine_budget_holds(&e));
    e.max_num_batched_tokens = 29;
    assert_false(rt_engine_budget_holds(&e));
}

static void wrong_input_says_where_and_what(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"5", "$: expected an object, read 5"},
        {"{\"policy\":\"chunkd\"}", "$.policy: unknown name \"chunkd\", did you mean \"chunked\"?"},
        {"{\"policy\":3}", "$.policy"},
        {"{\"max_num_sqs\":3}", "unknown key \"max_num_sqs\", did you mean \"max_num_seqs\"?"},
        {"{\"policy\":\"static\",\"async_scheduling\":true}",
         "$.async_scheduling: only the policy chunked has it"},
        {"{\"policy\":\"sarathi\",\"prefix_caching\":true}",
         "$.prefix_caching: only the policy chunked has it"},
        {"{\"prefix_caching\":1}", "$.prefix_caching: expected true or false, read 1"},
        {"{\"max_num_seqs\":0}", "$.max_num_seqs: expected an integer from 1 to 1048576, read 0"},
        {"{\"max_num_seqs\":1048577}", "$.max_num_seqs"},
        {"{\"max_num_seqs\":1.5}", "$.max_num_seqs"},
        {"{\"max_num_seqs\":\"many\"}", "read \"many\""},
        {"{\"max_num_seqs\":null}", "read null"},
        {"{\"max_num_batched_tokens\":0}", "$.max_num_batched_tokens"},
        {"{\"max_num_batched_tokens\":4194305}", "$.max_num_batched_tokens"},
        {"{\"chunk_tokens\":0}", "$.chunk_tokens"},
        {"{\"block_size\":0}", "$.block_size"},
        {"{\"block_size\":65537}", "$.block_size"},
        {"{\"num_gpu_blocks\":0}", "$.num_gpu_blocks"},
        {"{\"num_gpu_blocks\":1099511627776}", "$.num_gpu_blocks: 1099511627776 blocks of 16"},
        {"{\"max_model_len\":0}", "$.max_model_len"},
        {"{\"gpu_memory_utilization\":0}", "$.gpu_memory_utilization"},
        {"{\"gpu_memory_utilization\":1.01}", "$.gpu_memory_utilization"},
        {"{\"watermark\":-0.1}", "$.watermark"},
        {"{\"queue_order\":\"fifo\"}", "$.queue_order: unknown name \"fifo\""},
        {"{\"queue_order\":\"priorty\"}", "did you mean \"priority\"?"},
        {"{\"aging_s\":-1}", "$.aging_s"},
        {"{\"preemption\":\"swop\"}", "did you mean \"swap\"?"},
        {"{\"preemption\":\"swap\",\"prefix_caching\":true}",
         "$.prefix_caching: swap preemption does not go together with it in this version"},
        {"{\"cpu_kv_bytes\":-1}", "$.cpu_kv_bytes"},
        {"{\"offload_bytes\":-1}", "$.offload_bytes"},
        {"{\"offload_bytes\":1,\"prefix_caching\":false}",
         "$.offload_bytes: without prefix caching"},
        {"{\"offload_bytes\":1,\"policy\":\"sarathi\"}", "$.offload_bytes: without prefix caching"},
        {"{\"offload_bytes\":1,\"preemption\":\"swap\"}",
         "$.offload_bytes: without prefix caching"},
        {"{\"num_cpu_blocks\":0}", "$.num_cpu_blocks"},
        {"{\"speculative\":3}", "$.speculative: expected an object"},
        {"{\"speculative\":{\"acceptance\":1}}", "missing key \"draft_tokens\""},
        {"{\"speculative\":{\"draft_tokens\":1}}", "missing key \"acceptance\""},
        {"{\"speculative\":{\"draft_tokens\":0,\"acceptance\":1}}", "$.speculative.draft_tokens"},
        {"{\"speculative\":{\"draft_tokens\":65,\"acceptance\":1}}", "$.speculative.draft_tokens"},
        {"{\"speculative\":{\"draft_token\":1}}", "did you mean \"draft_tokens\"?"},
        {"{\"speculative\":{\"draft_tokens\":1,\"acceptance\":\"a\"}}",
         "$.speculative.acceptance: expected a number, read \"a\""},
        {"{\"speculative\":{\"draft_tokens\":1,\"acceptance\":1.5}}",
         "$.speculative.acceptance: expected a share from 0 to 1, read 1.5"},
        {"{\"speculative\":{\"draft_tokens\":2,\"acceptance\":[1]}}",
         "expected 2 numbers, one a draft token, read 1"},
        {"{\"speculative\":{\"draft_tokens\":2,\"acceptance\":[1,-1]}}",
         "$.speculative.acceptance[1]: expected a share from 0 to 1, read -1"},
        {"{\"speculative\":{\"draft_tokens\":1,\"acceptance\":1,\"draft_s_per_token\":-1}}",
         "$.speculative.draft_s_per_token"},
        {"{\"speculative\":{\"draft_tokens\":1,\"acceptance\":1,\"draft_s_per_token\":1,"
         "\"draft_model\":\"x\"}}",
         "expected this or draft_model, read both"},
        {"{\"policy\":\"sarathi\",\"speculative\":{\"draft_tokens\":1,\"acceptance\":1}}",
         "$.speculative: only the policies chunked, continuous and static"},
        {"{\"preemption\":\"swap\",\"speculative\":{\"draft_tokens\":1,\"acceptance\":1}}",
         "$.speculative: swap preemption does not go together with it"},
        {"{\"prefix_caching\":true,\"speculative\":{\"draft_tokens\":1,\"acceptance\":1}}",
         "$.prefix_caching: speculative decoding does not go together with it"},
        {"{\"offload_bytes\":1,\"speculative\":{\"draft_tokens\":1,\"acceptance\":1}}",
         "$.offload_bytes: without prefix caching"},
        {"{\"aging_s\":1e10}", "$.aging_s"},
        {"{\"watermark\":1}", "$.watermark"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_engine_spec e;
        struct rt_err err;
        assert_fails(parse(cases[i].text, &e, &err), &err, RT_ECONFIG, cases[i].message);
    }
}

static void the_largest_kv_is_two_to_the_forty_tokens(void **state)
{
    struct rt_engine_spec e;
    struct rt_err err;

    (void)state;
    assert_ok(parse("{\"num_gpu_blocks\":1099511627776,\"block_size\":1}", &e, &err), &err);
    assert_ok(parse("{\"num_gpu_blocks\":68719476736}", &e, &err), &err);
    assert_fails(parse("{\"num_gpu_blocks\":68719476737}", &e, &err), &err, RT_ECONFIG, "2^40");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_docs),
        cmocka_unit_test(an_absent_section_changes_nothing),
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(every_policy_is_known_by_its_name),
        cmocka_unit_test(switches_follow_the_policy),
        cmocka_unit_test(host_overlap_follows_scheduling),
        cmocka_unit_test(drafts_are_read),
        cmocka_unit_test(wrong_input_says_where_and_what),
        cmocka_unit_test(the_largest_kv_is_two_to_the_forty_tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
