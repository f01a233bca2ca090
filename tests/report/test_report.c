/* The table and the JSON, character by character where people's scripts read them. */
#include "support/test.h"

#include "rooftrace/report.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double nan_s = (double)NAN;

static struct rt_run_summary summary(void)
{
    struct rt_run_summary s;

    memset(&s, 0, sizeof s);
    s.run_id = 3;
    snprintf(s.status, sizeof s.status, "complete");
    snprintf(s.trace, sizeof s.trace, "conv.csv");
    snprintf(s.model, sizeof s.model, "llama-3.1-8b");
    snprintf(s.gpu, sizeof s.gpu, "h100-sxm");
    s.gpus = 2;
    s.replicas = 2;
    s.duration_s = 3599.456;
    s.wall_s = 0.125;
    s.requests = 19366;
    s.completed = 19360;
    s.failed = 6;
    s.rejected = 6;
    s.input_tokens = 22361870;
    s.output_tokens = 4085000;
    s.request_throughput = 5.3786;
    s.request_goodput = nan_s;
    s.output_throughput = 1134.9;
    s.total_throughput = 7347.5;
    s.peak_output_tokens_per_s = 4321;
    s.peak_in_flight = 87;
    s.kv_blocks = 50000;
    s.gpu_hours = 1.99970;
    s.cost_usd = s.cost_low_usd = s.cost_high_usd = s.energy_kwh = s.gco2 = nan_s;
    s.usd_per_million_output_tokens = s.usd_per_million_prompt_tokens = nan_s;
    s.usd_per_million_tokens = nan_s;
    s.steps = 123456;
    s.zero_output = 2;
    s.ttft = (struct rt_summary_metric){51.257, 40.5, 20, 90, 95, 123.456, 200, 300};
    s.tpot = (struct rt_summary_metric){9.1, 9.0, 1, 10, 11, 12, 13, 14};
    s.itl = (struct rt_summary_metric){8.1, 8.0, 1, 10, 11, 12, 13, 14};
    s.e2e = (struct rt_summary_metric){2000, 1900, 1, 10, 11, 12000.005, 13, 14};
    return s;
}

static char *table_of(const struct rt_run_summary *s, bool with_e2el)
{
    size_t size = 0;
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);

    rt_report_table(s, with_e2el, out);
    fclose(out);
    return text;
}

static char *json_of(const struct rt_run_summary *s)
{
    size_t size = 0;
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);
    struct rt_err err;

    assert_ok(rt_report_json(s, out, &err), &err);
    fclose(out);
    return text;
}

static void table(void **state)
{
    struct rt_run_summary s = summary();
    char *text = table_of(&s, false);

    (void)state;
    assert_string_equal(text, "============ Serving Benchmark Result ============\n"
                              "Successful requests:                     19360\n"
                              "Failed requests:                         6\n"
                              "Benchmark duration (s):                  3599.46\n"
                              "Total input tokens:                      22361870\n"
                              "Total generated tokens:                  4085000\n"
                              "Request throughput (req/s):              5.38\n"
                              "Output token throughput (tok/s):         1134.90\n"
                              "Peak output token throughput (tok/s):    4321.00\n"
                              "Peak concurrent requests:                87.00\n"
                              "Total token throughput (tok/s):          7347.50\n"
                              "---------------Time to First Token----------------\n"
                              "Mean TTFT (ms):                          51.26\n"
                              "Median TTFT (ms):                        40.50\n"
                              "P99 TTFT (ms):                           123.46\n"
                              "-----Time per Output Token (excl. 1st token)------\n"
                              "Mean TPOT (ms):                          9.10\n"
                              "Median TPOT (ms):                        9.00\n"
                              "P99 TPOT (ms):                           12.00\n"
                              "---------------Inter-token Latency----------------\n"
                              "Mean ITL (ms):                           8.10\n"
                              "Median ITL (ms):                         8.00\n"
                              "P99 ITL (ms):                            12.00\n"
                              "--------------------Simulation--------------------\n"
                              "Model:                                   llama-3.1-8b\n"
                              "GPU:                                     h100-sxm\n"
                              "GPUs:                                    2\n"
                              "Replicas:                                2\n"
                              "KV blocks:                               50000\n"
                              "Rejected requests:                       6\n"
                              "Preemptions:                             0\n"
                              "Outputs of 0 tokens taken as 1:          2\n"
                              "Engine steps:                            123456\n"
                              "Wall time (s):                           0.12\n"
                              "==================================================\n");
    free(text);
}

static void table_with_what_was_asked_for(void **state)
{
    struct rt_run_summary s = summary();
    char *text;

    (void)state;
    s.request_goodput = 5.1;
    text = table_of(&s, true);
    assert_non_null(
        strstr(text, "5.38\nRequest goodput (req/s):                 5.10\nOutput token"));
    assert_non_null(strstr(text, "----------------End-to-end Latency----------------\n"
                                 "Mean E2EL (ms):                          2000.00\n"
                                 "Median E2EL (ms):                        1900.00\n"
                                 "P99 E2EL (ms):                           12000.00\n"));
    free(text);
}

/* A run that never ended, or in which nothing finished: lines without figures are left out. */
/* Four digits whatever the size; a price without a range has none. */
static void table_of_money(void **state)
{
    static const char *const ranged =
        "-----------------Money and power------------------\n"
        "GPU hours billed:                        2\n"
        "Cost (USD):                              8.999 (3.979 to 9.998)\n"
        "USD per million output tokens:           2.203\n"
        "USD per million prompt tokens:           0.4024\n"
        "USD per million tokens:                  0.3403\n"
        "Energy (kWh):                            1.25\n"
        "Carbon (gCO2e):                          1.25e+06\n"
        "==================================================\n";
    static const char *const power = "-----------------Money and power------------------\n"
                                     "GPU hours billed:                        2\n"
                                     "Energy (kWh):                            1.25\n"
                                     "=====";
    struct rt_run_summary s = summary();
    char *text;

    (void)state;
    s.energy_kwh = 1.25;
    text = table_of(&s, false);
    assert_non_null(strstr(text, power));
    free(text);
    s.gco2 = 1.25e6;
    s.cost_usd = 8.99865;
    s.cost_low_usd = 3.9794;
    s.cost_high_usd = 9.9984;
    s.usd_per_million_output_tokens = 2.20285;
    s.usd_per_million_prompt_tokens = 0.402411;
    s.usd_per_million_tokens = 0.340255;
    s.stalled_preemptions = 7;
    text = table_of(&s, false);
    assert_non_null(strstr(text, ranged));
    assert_non_null(strstr(text, "Preemptions without progress:            7\n"));
    free(text);
    s.cost_low_usd = s.cost_high_usd = s.cost_usd;
    text = table_of(&s, false);
    assert_non_null(strstr(text, "Cost (USD):                              8.999\n"));
    free(text);
}

static void table_of_little(void **state)
{
    struct rt_run_summary s = summary();
    char *text;

    (void)state;
    snprintf(s.status, sizeof s.status, "failed");
    memset(s.message, 'x', sizeof s.message - 1);
    memset(s.trace, 't', sizeof s.trace - 1);
    s.completed = 0;
    s.failed = -1;
    s.duration_s = nan_s;
    s.ttft = s.tpot = s.itl = s.e2e =
        (struct rt_summary_metric){nan_s, nan_s, nan_s, nan_s, nan_s, nan_s, nan_s, nan_s};
    text = table_of(&s, true);
    assert_non_null(strstr(text, "Successful requests:                     0\nTotal input"));
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "TTFT"));
    assert_non_null(strstr(text, "Run status:                              failed\n"));
    assert_non_null(strstr(text, s.message));
    free(text);
}

static void json(void **state)
{
    struct rt_run_summary s = summary();
    char *text = json_of(&s);
    cJSON *root = cJSON_ParseWithOpts(text, NULL, true);
    static const char *const keys[] = {"duration",
                                       "completed",
                                       "failed",
                                       "total_input_tokens",
                                       "total_output_tokens",
                                       "request_throughput",
                                       "request_goodput",
                                       "output_throughput",
                                       "total_token_throughput",
                                       "max_output_tokens_per_s",
                                       "max_concurrent_requests",
                                       "mean_ttft_ms",
                                       "median_ttft_ms",
                                       "std_ttft_ms",
                                       "p99_ttft_ms",
                                       "mean_tpot_ms",
                                       "median_itl_ms",
                                       "p99_e2el_ms",
                                       "p99.9_ttft_ms",
                                       "run_id",
                                       "status",
                                       "gpu",
                                       "gpus"};

    (void)state;
    assert_non_null(root);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (!cJSON_GetObjectItemCaseSensitive(root, keys[i]))
            fail_msg("no key %s", keys[i]);
    assert_true(cJSON_GetObjectItemCaseSensitive(root, "mean_ttft_ms")->valuedouble == 51.257);
    assert_true(cJSON_GetObjectItemCaseSensitive(root, "p99.9_ttft_ms")->valuedouble == 200);
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(root, "request_goodput")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(root, "label")));
    assert_string_equal(cJSON_GetObjectItemCaseSensitive(root, "model_id")->valuestring,
                        "llama-3.1-8b");
    cJSON_Delete(root);
    free(text);
}

/* Doubles read back to the same bits, integers beyond 2^53 keep all digits, texts are JSON. */
static void json_is_exact(void **state)
{
    struct rt_run_summary s = summary();
    char *text;
    cJSON *root;

    (void)state;
    s.duration_s = 0.1 + 0.2;
    s.output_tokens = 9007199254740993;
    s.wall_s = (double)INFINITY;
    snprintf(s.label, sizeof s.label,
             "a\"b\\c\nd\x7f \xc3\xa9 \xff \xed\xa0\x80 \xf0\x9f\x98\x80 \xc3");
    text = json_of(&s);
    assert_non_null(strstr(text, "\"duration\": 0.30000000000000004,"));
    assert_non_null(strstr(text, "\"total_output_tokens\": 9007199254740993,"));
    assert_non_null(strstr(text, "\"wall_s\": null"));
    assert_non_null(strstr(text, "\"label\": \"a\\\"b\\\\c\\u000ad\\u007f \xc3\xa9 \\ufffd "
                                 "\\ufffd\\ufffd\\ufffd \xf0\x9f\x98\x80 \\ufffd\","));
    root = cJSON_ParseWithOpts(text, NULL, true);
    assert_non_null(root);
    cJSON_Delete(root);
    free(text);
}

static void a_stream_that_refuses(void **state)
{
    struct rt_run_summary s = summary();
    FILE *out = fopen("/dev/full", "w");
    struct rt_err err;

    (void)state;
    if (!out)
        skip(); /* only Linux has it */
    assert_fails(rt_report_json(&s, out, &err), &err, RT_EIO, "cannot be written");
    fclose(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),
        cmocka_unit_test(table_with_what_was_asked_for),
        cmocka_unit_test(table_of_money),
        cmocka_unit_test(table_of_little),
        cmocka_unit_test(json),
        cmocka_unit_test(json_is_exact),
        cmocka_unit_test(a_stream_that_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
