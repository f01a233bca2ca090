/* Pasted vLLM command lines: what they become, what is ignored, what is refused, and what is never
 * shown. */
#include "support/test.h"

#include "rooftrace/engine_args.h"
#include "rooftrace/rng.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOTHING         "{\"pool\":{},\"engine\":{}}"
#define X(pool, engine) "{\"pool\":{" pool "},\"engine\":{" engine "},\"model\":\"x\"}"

struct taken {
    const char *line, *keys, *ignored;
};

static void expect_taken(const struct taken *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct rt_engine_args a;
        struct rt_err err = {0};
        if (!rt_engine_args_parse(cases[i].line, &a, &err))
            fail_msg("%s: %s", cases[i].line, err.msg);
        if (strcmp(a.keys, cases[i].keys) != 0 || strcmp(a.ignored, cases[i].ignored) != 0)
            fail_msg("%s\n  became   %s\n  expected %s\n  ignored  %s\n  expected %s",
                     cases[i].line, a.keys, cases[i].keys, a.ignored, cases[i].ignored);
        assert_int_equal(a.has_model, strstr(a.keys, "\"model\"") != NULL);
        rt_engine_args_release(&a);
    }
}
#define TAKEN(cases) expect_taken(cases, sizeof cases / sizeof cases[0])

static void commands_are_found_in_every_form(void **state)
{
    static const struct taken cases[] = {
        {"vllm serve x", X("", ""), ""},
        {"  vllm   serve\tx  ", X("", ""), ""},
        {"vllm serve --model x", X("", ""), ""},
        {"vllm serve --model=x", X("", ""), ""},
        {"vllm serve", NOTHING, ""},
        {"/opt/venv/bin/vllm serve x", X("", ""), ""},
        {"nohup vllm serve x &", X("", ""), ""},
        {"uv run vllm serve x", X("", ""), ""},
        {"python -m vllm.entrypoints.openai.api_server --model x", X("", ""), ""},
        {"python3 -m vllm.entrypoints.api_server --model x", X("", ""), ""},
        {"docker run --gpus all -p 8000:8000 vllm/vllm-openai:v0.8.5 --model x", X("", ""), ""},
        {"docker run --env HF_TOKEN=hf_abc --ipc=host vllm/vllm-openai --model x -tp 2",
         X("\"tensor_parallel\":2", ""), "HF_TOKEN"},
        {"CUDA_VISIBLE_DEVICES=0,1 VLLM_USE_V1=1 vllm serve x", X("", ""),
         "CUDA_VISIBLE_DEVICES, VLLM_USE_V1"},
        {"export HF_TOKEN=hf_abc\nvllm serve x", X("", ""), "HF_TOKEN"},
        {"cd /srv && vllm serve x | tee log", X("", ""), ""},
        {"--max-num-seqs 4", "{\"pool\":{},\"engine\":{\"max_num_seqs\":4}}", ""},
        {"A=1 --max-num-seqs 4", "{\"pool\":{},\"engine\":{\"max_num_seqs\":4}}", "A"},
        {"vllm serve --trust-remote-code x", X("", ""), "--trust-remote-code"},
        {"vllm serve --enable-lora x", X("", ""), "--enable-lora"},
        {"vllm serve --port 8000 x", X("", ""), "--port"},
        {"vllm serve --api-key k1 k2 --model x", X("", ""), "--api-key"},
        {"vllm serve y --model x", X("", ""), ""}, /* the last of several wins */
    };

    (void)state;
    TAKEN(cases);
}

static void words_are_split_as_by_a_shell(void **state)
{
    static const struct taken cases[] = {
        {"vllm serve 'x'", X("", ""), ""},
        {"vllm serve \"x\"", X("", ""), ""},
        {"vllm serve '''x'\"\"", X("", ""), ""},
        {"vllm serve \\x", X("", ""), ""},
        {"vllm serve 'a b\\'", "{\"pool\":{},\"engine\":{},\"model\":\"a b\\\\\"}", ""},
        {"vllm serve \"a\\\"b\\$c\\d\"", "{\"pool\":{},\"engine\":{},\"model\":\"a\\\"b$c\\\\d\"}",
         ""},
        {"vllm serve x \\\n  --max-num-seqs \\\n 5", X("", "\"max_num_seqs\":5"), ""},
        {"vllm serve x \\\r\n  --max-num-seqs \\\r\n 5", X("", "\"max_num_seqs\":5"), ""},
        {"vllm serve x --max-num-se\\\nqs 5", X("", "\"max_num_seqs\":5"), ""},
        {"vllm serve x --max-num-seqs \"\\\n5\"", X("", "\"max_num_seqs\":5"), ""},
        {"\n\nvllm serve x\n\n", X("", ""), ""},
        /* a backslash was lost: a command cannot begin with an option */
        {"vllm serve x\n  --max-num-seqs 5\n\n --block-size 8",
         X("", "\"max_num_seqs\":5,\"block_size\":8"), ""},
        {"vllm serve x\ncurl --max-num-seqs 5", X("", ""), ""},
        {"vllm serve x; rm --max-num-seqs 5", X("", ""), ""},
        {"vllm serve x # --max-num-seqs 5", X("", ""), ""},
        {"vllm serve x # one\n --block-size 8", X("", "\"block_size\":8"), ""},
        {"vllm serve x#y", "{\"pool\":{},\"engine\":{},\"model\":\"x#y\"}", ""},
        {"vllm serve x --block-size 8 > log 2>&1 &", X("", "\"block_size\":8"), ""},
        {"vllm serve x >log 2>/dev/null --block-size 8", X("", "\"block_size\":8"), ""},
        {"vllm serve x </dev/null --block-size 8", X("", "\"block_size\":8"), ""},
        {"vllm serve x --api-key $(cat key; echo) --block-size 8", X("", "\"block_size\":8"),
         "--api-key"},
        {"vllm serve x --api-key \"$(cat \"my key\")\" --block-size 8", X("", "\"block_size\":8"),
         "--api-key"},
        {"vllm serve x --api-key `cat key` --block-size 8", X("", "\"block_size\":8"), "--api-key"},
        {"vllm serve $MODEL", "{\"pool\":{},\"engine\":{},\"model\":\"$MODEL\"}", ""},
    };

    (void)state;
    TAKEN(cases);
}

static void options_become_keys(void **state)
{
    static const struct taken cases[] = {
        {"vllm serve x --tensor-parallel-size 2", X("\"tensor_parallel\":2", ""), ""},
        {"vllm serve x --tensor_parallel_size=2", X("\"tensor_parallel\":2", ""), ""},
        {"vllm serve x -tp 2", X("\"tensor_parallel\":2", ""), ""},
        {"vllm serve x -tp=2", X("\"tensor_parallel\":2", ""), ""},
        {"vllm serve x -tp2", X("\"tensor_parallel\":2", ""), ""},
        {"vllm serve x -pp 2 -dp 4", X("\"pipeline_parallel\":2,\"data_parallel\":4", ""), ""},
        {"vllm serve x --pipeline-parallel-size 2 --data_parallel_size 4",
         X("\"pipeline_parallel\":2,\"data_parallel\":4", ""), ""},
        {"vllm serve x --enable-expert-parallel -tp 8",
         X("\"tensor_parallel\":8,\"expert_parallel\":8", ""), ""},
        {"vllm serve x --enable-expert-parallel -tp 2 -dp 4",
         X("\"tensor_parallel\":2,\"data_parallel\":4,\"expert_parallel\":8", ""), ""},
        {"vllm serve x -dp 4 -ep", X("\"data_parallel\":4,\"expert_parallel\":4", ""), ""},
        {"vllm serve x --enable-expert-parallel", X("", ""), ""}, /* on one GPU it is nothing */
        {"vllm serve x --enable-expert-parallel -tp 8 --no-enable-expert-parallel",
         X("\"tensor_parallel\":8", ""), ""},
        {"vllm serve x --max-num-seqs 128 --max_num_seqs=64", X("", "\"max_num_seqs\":64"), ""},
        {"vllm serve x --max-num-batched-tokens 16384", X("", "\"max_num_batched_tokens\":16384"),
         ""},
        {"vllm serve x --max-num-batched-tokens 16k", X("", "\"max_num_batched_tokens\":16000"),
         ""},
        {"vllm serve x --max-num-batched-tokens 16K", X("", "\"max_num_batched_tokens\":16384"),
         ""},
        {"vllm serve x --max-model-len 32768", X("", "\"max_model_len\":32768"), ""},
        {"vllm serve x --max-model-len 32k", X("", "\"max_model_len\":32000"), ""},
        {"vllm serve x --max-model-len 32K", X("", "\"max_model_len\":32768"), ""},
        {"vllm serve x --max-model-len 25.6k", X("", "\"max_model_len\":25600"), ""},
        {"vllm serve x --max-model-len 1m", X("", "\"max_model_len\":1000000"), ""},
        {"vllm serve x --max-model-len 1M", X("", "\"max_model_len\":1048576"), ""},
        {"vllm serve x --max-model-len 1.5g", X("", "\"max_model_len\":1500000000"), ""},
        {"vllm serve x --max-model-len 1T", X("", "\"max_model_len\":1099511627776"), ""},
        {"vllm serve x --max-model-len 9 --max-model-len auto", X("", ""), ""},
        {"vllm serve x --max-model-len -1", X("", ""), ""},
        {"vllm serve x --block-size 32 --num-gpu-blocks-override 2588",
         X("", "\"block_size\":32,\"num_gpu_blocks\":2588"), ""},
        {"vllm serve x --gpu-memory-utilization 0.95",
         X("", "\"gpu_memory_utilization\":0.94999999999999996"), ""},
        {"vllm serve x --gpu_memory_utilization=1", X("", "\"gpu_memory_utilization\":1"), ""},
        {"vllm serve x --scheduling-policy priority", X("", "\"queue_order\":\"priority\""), ""},
        {"vllm serve x --swap-space 4", X("", "\"cpu_kv_bytes\":4294967296"), ""},
        {"vllm serve x --swap-space 0", X("", "\"cpu_kv_bytes\":0"), ""},
        {"vllm serve x --preemption-mode swap --swap-space 0.5 -tp 2", /* of each GPU */
         X("\"tensor_parallel\":2", "\"preemption\":\"swap\",\"cpu_kv_bytes\":1073741824"), ""},
        {"vllm serve x --swap-space 0.5 -pp 2 -dp 3",
         X("\"pipeline_parallel\":2,\"data_parallel\":3", "\"cpu_kv_bytes\":3221225472"), ""},
        {"vllm serve x --scheduling-policy fcfs", X("", "\"queue_order\":\"fcfs\""), ""},
    };

    (void)state;
    TAKEN(cases);
}

static void switches_have_two_sides(void **state)
{
    static const struct taken cases[] = {
        {"vllm serve x --enable-prefix-caching", X("", "\"prefix_caching\":true"), ""},
        {"vllm serve x --no-enable-prefix-caching", X("", "\"prefix_caching\":false"), ""},
        {"vllm serve x --no_enable_prefix_caching", X("", "\"prefix_caching\":false"), ""},
        {"vllm serve x --enable-prefix-caching --no-enable-prefix-caching",
         X("", "\"prefix_caching\":false"), ""},
        {"vllm serve --enable-prefix-caching x", X("", "\"prefix_caching\":true"), ""},
        {"vllm serve x --async-scheduling", X("", "\"async_scheduling\":true"), ""},
        {"vllm serve x --no-async-scheduling", X("", "\"async_scheduling\":false"), ""},
        {"vllm serve x --enable-chunked-prefill", X("", "\"policy\":\"chunked\""), ""},
        {"vllm serve x --enable-chunked-prefill=True", X("", "\"policy\":\"chunked\""), ""},
        {"vllm serve x --enable-chunked-prefill False --block-size 8",
         X("", "\"policy\":\"prefill_first\",\"block_size\":8"), ""},
        {"vllm serve x --no-enable-chunked-prefill", X("", "\"policy\":\"prefill_first\""), ""},
    };

    (void)state;
    TAKEN(cases);
}

static void types_are_translated(void **state)
{
    static const struct taken cases[] = {
        {"vllm serve x --dtype auto --kv-cache-dtype auto --quantization None", X("", ""), ""},
        {"vllm serve x --dtype half", X("\"activation_dtype\":\"fp16\",\"kv_dtype\":\"fp16\"", ""),
         ""},
        {"vllm serve x --dtype float16",
         X("\"activation_dtype\":\"fp16\",\"kv_dtype\":\"fp16\"", ""), ""},
        {"vllm serve x --dtype bfloat16",
         X("\"activation_dtype\":\"bf16\",\"kv_dtype\":\"bf16\"", ""), ""},
        {"vllm serve x --kv-cache-dtype fp8 --dtype bfloat16",
         X("\"kv_dtype\":\"fp8\",\"activation_dtype\":\"bf16\"", ""), ""},
        {"vllm serve x --kv-cache-dtype fp8_e4m3", X("\"kv_dtype\":\"fp8\"", ""), ""},
        {"vllm serve x --kv-cache-dtype=fp8_e5m2", X("\"kv_dtype\":\"fp8\"", ""), ""},
        {"vllm serve x --quantization fp8", X("\"weight_dtype\":\"fp8\"", ""), ""},
        {"vllm serve x -q awq", X("\"weight_dtype\":\"int4\"", ""), ""},
        {"vllm serve x --quantization awq_marlin", X("\"weight_dtype\":\"int4\"", ""), ""},
        {"vllm serve x --quantization gptq", X("\"weight_dtype\":\"int4\"", ""), ""},
        {"vllm serve x --quantization gptq_marlin", X("\"weight_dtype\":\"int4\"", ""), ""},
        {"vllm serve x --quantization mxfp4", X("\"expert_dtype\":\"mxfp4\"", ""), ""},
        {"vllm serve x -q experts_int8", X("\"expert_dtype\":\"int8\"", ""), ""},
        {"vllm serve x -q mxfp4 -q fp8", X("\"weight_dtype\":\"fp8\"", ""), ""},
        /* how wide those are only the checkpoint knows */
        {"vllm serve x --moe-backend deep_gemm", X("", "\"moe_backend\":\"deep_gemm\""), ""},
        {"vllm serve x --moe_backend=flashinfer_cutlass", X("", "\"moe_backend\":\"triton\""), ""},
        {"vllm serve x --moe-backend triton --moe-backend auto", X("", ""), ""},
        {"vllm serve x --moe-backend emulation", X("", ""), "--moe-backend"},
        {"vllm serve x --quantization compressed-tensors", X("", ""), "--quantization"},
        {"vllm serve x -q awq -q gguf -q gguf", X("", ""), "-q, -q"},
    };
    struct rt_engine_args a;
    struct rt_err err = {0};

    (void)state;
    TAKEN(cases);
    assert_ok(rt_engine_args_parse("--quantization fp8", &a, &err), &err);
    assert_true(a.fp8_activations);
    rt_engine_args_release(&a);
    assert_ok(rt_engine_args_parse("--quantization fp8 --quantization awq", &a, &err), &err);
    assert_false(a.fp8_activations);
    rt_engine_args_release(&a);
}

static void the_rest_is_listed_by_name(void **state)
{
    static const struct taken cases[] = {
        {"vllm serve x --port 8000 --host=0.0.0.0 --block-size 8", X("", "\"block_size\":8"),
         "--port, --host"},
        {"vllm serve x --served-model-name a b c --seed -1 --block-size 8",
         X("", "\"block_size\":8"), "--served-model-name, --seed"},
        {"vllm serve x --speculative-config '{\"method\": \"ngram\", \"--model\": \"y\"}'",
         X("", ""), "--speculative-config"},
        {"vllm serve x -O3 -O.level=3 --compilation-config.mode 3", X("", ""),
         "-O, -O, --compilation-config.mode"},
        {"vllm serve x --disable-log-requests --enforce-eager --cpu-offload-gb 4",
         X("", "\"cuda_graphs\":false"), "--disable-log-requests, --cpu-offload-gb"},
        {"vllm serve x --no-enforce-eager", X("", "\"cuda_graphs\":true"), ""},
        {"vllm serve x --enforce-eager=false", X("", "\"cuda_graphs\":true"), ""},
        {"vllm serve x --max-num-sqes 5", X("", ""), "--max-num-sqes"},
        {"vllm serve x --made\033up\n", X("", ""), "--made?up"},
    };

    (void)state;
    TAKEN(cases);
}

static void malformed_values_name_their_option(void **state)
{
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"", "expected \"vllm serve MODEL --option ...\" or options, read nothing"},
        {"  \n ; ", "read nothing"},
        {"A=1", "read nothing"},
        {"python train.py --model x", "read another command"},
        {"vllm chat --model x", "read another command"},
        {"vllm", "read another command"},
        {"vllm serve 'x", "the quote ' at character 12 is never closed"},
        {"vllm serve \"x\\\"", "the quote \" at character 12 is never closed"},
        {"vllm serve x --max-num-seqs", "--engine-args: --max-num-seqs: expected a value"},
        {"vllm serve x --max-num-seqs --port 1", "--max-num-seqs: expected a value"},
        {"vllm serve x --max-num-seqs=", "--max-num-seqs: expected a value"},
        {"vllm serve x --max-num-seqs many",
         "--max-num-seqs: expected an integer from 1 to 1048576, read \"many\""},
        {"vllm serve x --max_num_seqs 0", "--max-num-seqs: expected an integer"},
        {"vllm serve x --max-num-seqs 1k", "--max-num-seqs: expected an integer"},
        {"vllm serve x --max-num-seqs -5", "read \"-5\""},
        {"vllm serve x --max-num-seqs 1.0", "--max-num-seqs"},
        {"vllm serve x --max-num-seqs 1048577", "--max-num-seqs"},
        {"vllm serve x --max-num-seqs 99999999999999999999999999", "--max-num-seqs"},
        {"vllm serve x -tp 0", "-tp: expected an integer from 1 to 1024, read \"0\""},
        {"vllm serve x --max-model-len 32kk", "as 32000, 32k or 32K, read \"32kk\""},
        {"vllm serve x --max-model-len 1.5K", "--max-model-len"},
        {"vllm serve x --max-model-len .5k", "--max-model-len"},
        {"vllm serve x --max-model-len 5.k", "--max-model-len"},
        {"vllm serve x --max-model-len k", "--max-model-len"},
        {"vllm serve x --max-model-len 0x10", "--max-model-len"},
        {"vllm serve x --max-model-len 1e3", "--max-model-len"},
        {"vllm serve x --max-model-len 2T", "--max-model-len"},
        {"vllm serve x --max-model-len 999999999999999999T", "--max-model-len"},
        {"vllm serve x --max-model-len $LEN", "read \"$LEN\""},
        {"vllm serve x --max-num-batched-tokens auto", "--max-num-batched-tokens"},
        {"vllm serve x --gpu-memory-utilization 95",
         "expected a number from 0.01 to 1, read \"95\""},
        {"vllm serve x --gpu-memory-utilization 0", "--gpu-memory-utilization"},
        {"vllm serve x --gpu-memory-utilization nan", "--gpu-memory-utilization"},
        {"vllm serve x --swap-space -1", "--swap-space: expected GiB from 0 to 1024"},
        {"vllm serve x --swap-space 1e9", "--swap-space"},
        {"vllm serve x --preemption-mode none", "expected one of recompute, swap"},
        {"vllm serve x --dtype float32",
         "--dtype: expected one of auto, half, float16, bfloat16, read \"float32\""},
        {"vllm serve x --kv-cache-dtype int3", "--kv-cache-dtype: expected one of auto, fp8"},
        {"vllm serve x --scheduling-policy random", "expected one of fcfs, priority"},
        {"vllm serve x --enable-prefix-caching=maybe", "expected true or false, read \"maybe\""},
        {"vllm serve x --no-enable-prefix-caching=true",
         "--no-enable-prefix-caching: takes no value"},
        {"vllm serve --model ''", "--model: expected a value"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_engine_args a;
        struct rt_err err = {0};
        assert_fails(rt_engine_args_parse(cases[i].line, &a, &err), &err, RT_EUSAGE,
                     cases[i].message);
        assert_null(strchr(err.msg, '\n'));
    }
}

/* Whatever becomes of a line, the values of what is ignored are nowhere. */
static void secrets_are_never_shown(void **state)
{
    static const char *const lines[] = {
        "HF_TOKEN=SECRET vllm serve x --api-key SECRET",
        "vllm serve x --api-key=SECRET --hf-token SECRET -e SECRET",
        "vllm serve x --api_key SECRET SECRET --block-size 8",
        "docker run -e HF_TOKEN=SECRET --env 'KEY=SECRET' vllm/vllm-openai --model x",
        "vllm serve x --api-key 'SECRET",
        "vllm serve x --api-key SECRET --block-size none",
        "vllm serve x --enforce-eager SECRET",
        "vllm serve x SECRET",
        "vllm serve x --no-async-scheduling=SECRET",
        "SECRET vllm",
    };

    (void)state;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct rt_engine_args a = {0};
        struct rt_err err = {0};
        if (rt_engine_args_parse(lines[i], &a, &err)) {
            assert_null(strstr(a.keys, "SECRET"));
            assert_null(strstr(a.ignored, "SECRET"));
            rt_engine_args_release(&a);
        }
        assert_null(strstr(err.msg, "SECRET"));
    }
}

/* Random lines of pieces that mean something to the splitter: an answer or one line, no crash. */
static void any_line_has_an_answer(void **state)
{
    static const char *const pieces[] = {"vllm ",
                                         "serve ",
                                         "x",
                                         " ",
                                         "\n",
                                         "\\",
                                         "'",
                                         "\"",
                                         "$(",
                                         ")",
                                         "`",
                                         ";",
                                         "&",
                                         "|",
                                         "#",
                                         ">",
                                         "2>",
                                         "<",
                                         "=",
                                         "-",
                                         "--",
                                         "-tp",
                                         "--max-num-seqs ",
                                         "--enable-prefix-caching ",
                                         "A=",
                                         "7",
                                         "--port ",
                                         "\r\n",
                                         "\t",
                                         "true",
                                         "--dtype ",
                                         "half ",
                                         "\xff",
                                         "--api-key "};
    const unsigned count = sizeof pieces / sizeof pieces[0];
    const uint64_t seed = 20250101;
    unsigned taken = 0;
    struct rt_rng r;

    (void)state;
    print_message("seed %llu\n", (unsigned long long)seed);
    rt_rng_init(&r, seed, RT_RNG_TOOLS, 0);
    for (int i = 0; i < 20000; i++) {
        char line[512] = "";
        struct rt_engine_args a;
        struct rt_err err = {0};
        if (rt_rng_below(&r, 2) == 0)
            strcpy(line, "vllm serve x ");
        for (uint64_t n = rt_rng_below(&r, 16); n > 0; n--)
            strcat(line, pieces[rt_rng_below(&r, count)]);
        if (rt_engine_args_parse(line, &a, &err)) {
            assert_non_null(a.keys);
            assert_null(strpbrk(a.ignored, "\n\033"));
            rt_engine_args_release(&a);
            taken++;
        } else {
            assert_int_equal(err.code, RT_EUSAGE);
        }
    }
    assert_true(taken > 1000 && taken < 19000);
}

static void a_long_line_is_cut_where_it_is_shown(void **state)
{
    const size_t size = (size_t)1 << 20;
    char *line = malloc(size);
    struct rt_engine_args a;
    struct rt_err err = {0};

    (void)state;
    assert_non_null(line);
    memset(line, 'a', size - 1);
    line[size - 1] = '\0';
    memcpy(line, "--", 2);
    assert_ok(rt_engine_args_parse(line, &a, &err), &err);
    assert_true(strlen(a.ignored) < 64);
    rt_engine_args_release(&a);
    memcpy(line, "--max-num-seqs ", 15);
    assert_fails(rt_engine_args_parse(line, &a, &err), &err, RT_EUSAGE, "--max-num-seqs");
    memset(line, ';', size - 1);
    assert_fails(rt_engine_args_parse(line, &a, &err), &err, RT_EUSAGE, "read nothing");
    free(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commands_are_found_in_every_form),
        cmocka_unit_test(words_are_split_as_by_a_shell),
        cmocka_unit_test(options_become_keys),
        cmocka_unit_test(switches_have_two_sides),
        cmocka_unit_test(types_are_translated),
        cmocka_unit_test(the_rest_is_listed_by_name),
        cmocka_unit_test(malformed_values_name_their_option),
        cmocka_unit_test(secrets_are_never_shown),
        cmocka_unit_test(any_line_has_an_answer),
        cmocka_unit_test(a_long_line_is_cut_where_it_is_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
