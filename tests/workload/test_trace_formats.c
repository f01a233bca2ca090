/* Every format: the files of tests/workload/corpus and, where they are at hand, the surveyed
 * samples
 * (../shared/formats) read to the requests below; every quirk of a format that a survey of real
 * files told of; what --columns takes. */
#include "support/test.h"

#include "trace_files.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CORPUS "tests/workload/corpus/"
#define SHARED "../shared/formats/"
#define NONE   INT64_C(-1)
#define S      INT64_C(1000000000)
#define MS     INT64_C(1000000)

struct expected {
    const char *file, *format;
    int64_t arrival_ns, prompt, output;
    const char *session, *class_name, *model, *tenant; /* NULL = not given */
    int64_t think_ns;
    uint32_t hash_count;
    uint64_t last_hash; /* 0 = whatever it is */
};

/* Rows in file order; lines of the same file stand together. */
static const struct expected corpus[] = {
    {"csv.csv", "csv", 250 * MS, 10, 20, "s1", "chat", "m", "acme", NONE, 0, 0},
    {"csv.csv", "csv", 1500 * MS, 30, 0, "s1", "a, \"b\"", "m", "acme", 2500 * MS, 0, 0},
    {"jsonl.jsonl", "jsonl", 250 * MS, 10, 20, NULL, "caf\xc3\xa9", NULL, NULL, NONE, 2,
     UINT64_MAX},
    {"jsonl.jsonl", "jsonl", MS, 3, 4, "7", NULL, NULL, NULL, 2 * S, 0, 0},
    {"azure.csv", "azure", 1700157600 * S + 1000, 11, 22, NULL, NULL, NULL, NULL, NONE, 0, 0},
    {"azure.csv", "azure", 1715464800 * S + 1163000, 33, 44, NULL, NULL, NULL, NULL, NONE, 0, 0},
    {"azure.csv", "azure", 1728993600 * S + 269 * MS, 55, 66, NULL, NULL, NULL, NULL, NONE, 0, 0},
    {"mooncake.jsonl", "mooncake", 0, 1025, 7, NULL, NULL, NULL, NULL, NONE, 3, 7},
    {"mooncake.jsonl", "mooncake", 40 * MS, 9, 8, "x", NULL, NULL, NULL, NONE, 0, 0},
    {"mooncake.jsonl", "mooncake", 45500000, 12, 3, "x", NULL, NULL, NULL, 5500000, 0, 0},
    {"mooncake.jsonl", "mooncake", 45500000, 1, 1, "*", NULL, NULL, NULL, 3 * MS, 0, 0},
    {"bailian.jsonl", "bailian", 1250 * MS, 33, 2, "*", "text", NULL, NULL, NONE, 3, 7},
    {"bailian.jsonl", "bailian", 2500 * MS, 40, 4, "=", "image", NULL, NULL, NONE, 3, 6},
    {"bailian.jsonl", "bailian", 2500 * MS, 50, 4, "=", "text", NULL, NULL, NONE, 0, 0},
    {"burstgpt.csv", "burstgpt", 60 * S, 90, 44, "s-1", "Conversation log", "GPT-4", NULL, NONE, 0,
     0},
    {"burstgpt.csv", "burstgpt", 60 * S, 30, 0, NULL, "API log", "ChatGPT", NULL, NONE, 0, 0},
    {"burstgpt.csv", "burstgpt", 60 * S, 30, 0, NULL, "API log", "ChatGPT", NULL, NONE, 0, 0},
    {"vidur.csv", "vidur", 500 * MS, 374, 44, NULL, NULL, NULL, NULL, NONE, 0, 0},
    {"vidur.csv", "vidur", 4314579000, 396, 109, NULL, NULL, NULL, NULL, NONE, 0, 0},
    {"splitwise.csv", "splitwise", 1500 * MS, 4096, 32, NULL, NULL, NULL, "5", NONE, 0, 0},
    {"splitwise.csv", "splitwise", 3250 * MS, 2048, 8, NULL, NULL, NULL, "6", NONE, 0, 0},
    {"weka.json", "weka", 500 * MS, 130, 10, "t1", NULL, "m", NULL, 250 * MS, 2, 0},
    {"weka.json", "weka", 9500 * MS, 70, 0, "t1/a1", NULL, "k", NULL, 0, 1, 0},
    {"weka.json", "weka", 8 * S, 200, 4, "t1", NULL, "m", NULL, NONE, 3, 0},
    {"ragpulse.jsonl", "ragpulse", 82 * S, 1127, 19, "s1", NULL, NULL, NULL, NONE, 5, 0},
    {"ragpulse.jsonl", "ragpulse", 10 * S, 900, 86, "s2", NULL, NULL, NULL, NONE, 5, 0},
    {"tracelab.csv", "tracelab", S, 512, 64, "s", NULL, NULL, NULL, NONE, 0, 0},
    {"tracelab.csv", "tracelab", 1100 * MS, 704, 64, "s", NULL, NULL, NULL, 100 * MS, 0, 0},
    {"tracelab.csv", "tracelab", 1500 * MS, 5, 6, "u", NULL, NULL, NULL, NONE, 0, 0},
    {"llmservingsim.jsonl", "llmservingsim", 46926808, 20, 3, NULL, NULL, NULL, NULL, NONE, 0, 0},
    {"llmservingsim.jsonl", "llmservingsim", 50 * MS, 14, 13, "s0", NULL, NULL, NULL, NONE, 0, 0},
    {"llmservingsim.jsonl", "llmservingsim", 50000007, 15, 12, "s0", NULL, NULL, NULL, 7, 0, 0},
    {"blis.csv", "blis", 1000, 512, 64, "s0", "standard", "m", "t0", NONE, 0, 0},
    {"blis.csv", "blis", 1500 * MS, 640, 64, "s0", "batch", "m", "t0", 2500000, 0, 0},
    {"aibrix.jsonl", "aibrix", 5 * MS, 3, 22, "0", NULL, NULL, NULL, NONE, 0, 0},
    {"aibrix.jsonl", "aibrix", 19 * MS, 1, 0, NULL, NULL, NULL, NULL, NONE, 0, 0},
    {"aibrix.jsonl", "aibrix", 19 * MS, 4, 23, NULL, NULL, NULL, NULL, NONE, 0, 0},
    {"litellm.csv", "litellm", 1767607200 * S + 123 * MS, 512, 64, "s1", "chat", "gpt-x", "t1",
     NONE, 0, 0},
    {"litellm.csv", "litellm", 1767607201 * S, 512, 0, "s1", "chat", "gpt-x", "t1", NONE, 0, 0},
    {"litellm_json.json", "litellm_json", 1767607200 * S + 123 * MS, 512, 64, NULL, NULL, "gpt-x",
     NULL, NONE, 0, 0},
    {"otel.json", "otel", 1700000000 * S + 1, 512, 64, NULL, NULL, NULL, NULL, NONE, 0, 0},
    {"otel.json", "otel", 1700000002 * S, 100, 20, "c1", NULL, "m", NULL, NONE, 0, 0},
    {"dynamo.jsonl", "dynamo", 1779163048815 * MS, 15, 3, "s:root", NULL, "m", NULL, NONE, 1,
     UINT64_C(17549729496416048079)},
    {"vllm_bench.json", "vllm_bench", 0, 5, 4, NULL, NULL, NULL, NULL, NONE, 0, 0},
    {"vllm_bench.json", "vllm_bench", 750 * MS, 10, 5, NULL, NULL, NULL, NULL, NONE, 0, 0},
    {"vllm_bench.json", "vllm_bench", 250 * MS, 7, 0, NULL, NULL, NULL, NULL, NONE, 0, 0},
};

/* The samples of the survey, which are not part of this repository. */
static const struct expected samples[] = {
    {"agentic_mooncake.jsonl", "mooncake", 0, 512, 8, "*", NULL, NULL, NULL, NONE, 1, 1},
    {"agentic_mooncake.jsonl", "mooncake", 260 * MS, 1024, 8, "=", NULL, NULL, NULL, 260 * MS, 2,
     2},
    {"aibrix_workload.jsonl", "aibrix", 0, 3, 22, "0", NULL, NULL, NULL, NONE, 0, 0},
    {"aibrix_workload.jsonl", "aibrix", 19 * MS, 1, 0, "0", NULL, NULL, NULL, NONE, 0, 0},
    {"aibrix_workload.jsonl", "aibrix", 19 * MS, 3, 22, NULL, NULL, NULL, NULL, NONE, 0, 0},
    {"azure2023.csv", "azure", 1700158546 * S + 680590000, 374, 44, NULL, NULL, NULL, NULL, NONE, 0,
     0},
    {"azure2023.csv", "azure", 1700158550 * S + 995169000, 396, 109, NULL, NULL, NULL, NULL, NONE,
     0, 0},
    {"azure2024.csv", "azure", 1715472000 * S + 1163000, 1452, 3, NULL, NULL, NULL, NULL, NONE, 0,
     0},
    {"azure2024.csv", "azure", 1715472000 * S + 41683000, 584, 3, NULL, NULL, NULL, NULL, NONE, 0,
     0},
    {"azure2025_multimodal.csv", "azure", 1728993600 * S + 269 * MS, 770, 491, NULL, NULL, NULL,
     NULL, NONE, 0, 0},
    {"azure2025_multimodal.csv", "azure", 1728993605 * S + 819 * MS, 949, 126, NULL, NULL, NULL,
     NULL, NONE, 0, 0},
    {"bailian.jsonl", "bailian", 61114 * MS, 33, 132, "*", "text", NULL, NULL, NONE, 3, 1091},
    {"bailian.jsonl", "bailian", 62500 * MS, 200, 4, "=", "text", NULL, NULL, NONE, 13, 1110},
    {"blis_tracev2.csv", "blis", 0, 512, 64, "s0", "standard", "m", "t0", NONE, 0, 0},
    {"blis_tracev2.csv", "blis", 1500 * MS, 640, 64, "s0", "standard", "m", "t0", NONE, 0, 0},
    {"burstgpt_v1.csv", "burstgpt", 5 * S, 472, 18, NULL, "Conversation log", "ChatGPT", NULL, NONE,
     0, 0},
    {"burstgpt_v1.csv", "burstgpt", 118 * S, 417, 0, NULL, "API log", "GPT-4", NULL, NONE, 0, 0},
    {"burstgpt_v2.csv", "burstgpt", 19440110 * S, 906, 446, "1722ac82-0a46-4bf0-aa08-89794e7a2b3f",
     "Conversation log", "GPT-4", NULL, NONE, 0, 0},
    {"burstgpt_v2.csv", "burstgpt", 19440161 * S, 300, 0, NULL, "API log", "ChatGPT", NULL, NONE, 0,
     0},
    {"dynamo_request_trace.jsonl", "dynamo", 1779163048815 * MS, 15, 3, "s:root", NULL, "m", NULL,
     NONE, 1, UINT64_C(1549729496416048079)},
    {"litellm_spendlogs.csv", "litellm", 1767607200 * S + 123 * MS, 512, 64, "s1", "chat", "gpt-x",
     "t1", NONE, 0, 0},
    {"litellm_spendlogs.csv", "litellm", 1767607201 * S, 512, 0, "s1", "chat", "gpt-x", "t1", NONE,
     0, 0},
    {"llmservingsim.jsonl", "llmservingsim", 46926808, 20, 3, NULL, NULL, NULL, NULL, NONE, 0, 0},
    {"llmservingsim.jsonl", "llmservingsim", 50 * MS, 1472, 133, "s0", NULL, NULL, NULL, NONE, 0,
     0},
    {"llmservingsim.jsonl", "llmservingsim", 177348767, 1582, 125, "s0", NULL, NULL, NULL,
     127348767, 0, 0},
    {"mooncake.jsonl", "mooncake", 0, 1100, 20, NULL, NULL, NULL, NULL, NONE, 3, 2},
    {"mooncake.jsonl", "mooncake", 3 * S, 1600, 5, NULL, NULL, NULL, NULL, NONE, 4, 4},
    {"mooncake_session.jsonl", "mooncake", S, 2048, 128, "a", NULL, NULL, NULL, NONE, 4, 4},
    {"mooncake_session.jsonl", "mooncake", 1050 * MS, 2560, 128, "a", NULL, NULL, NULL, 50 * MS, 5,
     5},
    {"otel_genai_spans.jsonl", "otel", 1700000000 * S, 512, 64, NULL, NULL, NULL, NULL, NONE, 0, 0},
    {"otel_genai_spans.jsonl", "otel", 1700000002 * S, 100, 20, "c1", NULL, "m", NULL, NONE, 0, 0},
    {"ragpulse.jsonl", "ragpulse", 82 * S, 1127, 19, "s1", NULL, NULL, NULL, NONE, 5, 0},
    {"ragpulse.jsonl", "ragpulse", 93 * S, 1127, 86, "s2", NULL, NULL, NULL, NONE, 5, 0},
    {"splitwise_sim.csv", "splitwise", S, 4096, 32, NULL, NULL, NULL, "0", NONE, 0, 0},
    {"splitwise_sim.csv", "splitwise", 3250 * MS, 2048, 8, NULL, NULL, NULL, "0", NONE, 0, 0},
    {"tracelab_sessions.csv", "tracelab", 0, 512, 64, "0", NULL, NULL, NULL, NONE, 0, 0},
    {"tracelab_sessions.csv", "tracelab", 100 * MS, 704, 64, "0", NULL, NULL, NULL, 100 * MS, 0, 0},
    {"vidur.csv", "vidur", 0, 374, 44, NULL, NULL, NULL, NULL, NONE, 0, 0},
    {"vidur.csv", "vidur", 4314579000, 396, 109, NULL, NULL, NULL, NULL, NONE, 0, 0},
    {"weka_trace.json", "weka", 0, 200, 10, "trace_0001", NULL, "m", NULL, 0, 3, 0},
    {"weka_trace.json", "weka", 9 * S, 70, 4, "trace_0001/a1", NULL, "m", NULL, 0, 1, 0},
};

static void expect_text(const char *what, const char *got, const char *want)
{
    if (strcmp(got != NULL ? got : "", want != NULL ? want : "") != 0)
        fail_msg("%s: \"%s\", expected \"%s\"", what, got != NULL ? got : "", want ? want : "");
}

/* "*": some session; "=": the one of the row before. */
static void expect_session(const char *got, const char *want, char last[64])
{
    if (want != NULL && strcmp(want, "*") == 0)
        assert_non_null(got);
    else
        expect_text("session", got, want != NULL && strcmp(want, "=") == 0 ? last : want);
    (void)snprintf(last, 64, "%s", got != NULL ? got : "");
}

static void expect_request(const struct rt_trace *t, const struct rt_request *r,
                           const struct expected *e, char last[64])
{
    if (r->arrival_ns != e->arrival_ns || r->prompt_tokens != e->prompt ||
        r->output_tokens != e->output || r->think_ns != e->think_ns ||
        r->hash_count != e->hash_count)
        fail_msg("%s: %" PRId64 " ns, %" PRId64 " + %" PRId64 " tokens, think %" PRId64
                 ", %u ids; expected %" PRId64 " ns, %" PRId64 " + %" PRId64 ", %" PRId64 ", %u",
                 e->file, r->arrival_ns, r->prompt_tokens, r->output_tokens, r->think_ns,
                 r->hash_count, e->arrival_ns, e->prompt, e->output, e->think_ns, e->hash_count);
    expect_session(r->session, e->session, last);
    expect_text("class", rt_trace_name(t, r->class_name), e->class_name);
    expect_text("model", rt_trace_name(t, r->model_name), e->model);
    expect_text("tenant", rt_trace_name(t, r->tenant_name), e->tenant);
    if (e->last_hash != 0)
        assert_true(r->hash_ids[r->hash_count - 1] == e->last_hash);
}

/* Twice, with a rewind between. Answers the rows of this file. */
static size_t expect_file(const char *folder, const struct expected *e, size_t left)
{
    char path[256], last[64] = "";
    struct rt_trace *t;
    struct rt_request r;
    struct rt_err err = {0};
    size_t rows = 0;
    (void)snprintf(path, sizeof path, "%s%s", folder, e->file);
    assert_ok(rt_trace_open(path, NULL, &t, &err), &err);
    assert_string_equal(rt_trace_info(t)->format, e->format);
    for (unsigned pass = 0; pass < 2; pass++) {
        rows = 0;
        while (rows < left && strcmp(e[rows].file, e->file) == 0) {
            if (rt_trace_read(t, &r, &err) != 1)
                fail_msg("%s: row %zu: %s", path, rows, err.msg);
            assert_int_equal(r.id, rows);
            expect_request(t, &r, &e[rows++], last);
        }
        if (rt_trace_read(t, &r, &err) != 0)
            fail_msg("%s: more rows, or %s", path, err.msg);
        assert_ok(rt_trace_rewind(t, &err), &err);
    }
    rt_trace_free(t);
    return rows;
}

static void expect_files(const char *folder, const struct expected *table, size_t count)
{
    for (size_t i = 0; i < count;)
        i += expect_file(folder, &table[i], count - i);
}

static void corpus_files(void **state)
{
    (void)state;
    expect_files(CORPUS, corpus, sizeof corpus / sizeof corpus[0]);
}

static void surveyed_samples(void **state)
{
    (void)state;
    if (access(SHARED, R_OK) != 0)
        skip();
    expect_files(SHARED, samples, sizeof samples / sizeof samples[0]);
}

/* A format has a corpus file, and its name chooses it, too. */
static void every_format(void **state)
{
    (void)state;
    for (unsigned i = 0; i < rt_trace_format_count(); i++) {
        const char *name = rt_trace_format_info(i).name;
        bool found = strcmp(name, "servegen") == 0 || strcmp(name, "columns") == 0;
        for (size_t k = 0; k < sizeof corpus / sizeof corpus[0] && !found; k++) {
            char path[256];
            found = strcmp(corpus[k].format, name) == 0;
            (void)snprintf(path, sizeof path, CORPUS "%s", corpus[k].file);
            if (found) {
                struct trace_rows r = read_rows(path, name);
                assert_false(r.failed);
                rows_free(&r);
            }
        }
        if (!found)
            fail_msg("no corpus file of format %s", name);
    }
}

/* Ids that are local to a session, or not chained, become names of prefixes. */
static void renamed_ids(void **state)
{
    struct trace_rows w = read_rows(CORPUS "weka.json", NULL);
    rows_expect(&w, 3);
    assert_true(w.rows[0].hash_ids[0] == w.rows[2].hash_ids[0]); /* same session */
    assert_true(w.rows[0].hash_ids[1] == w.rows[2].hash_ids[1]);
    assert_true(w.rows[1].hash_ids[0] == w.rows[0].hash_ids[0]); /* its sub-agent, too */
    struct trace_rows v = read_rows(
        trace_text(
            *state, "w.json",
            "{\"id\":\"t2\",\"block_size\":64,\"hash_id_scope\":\"local\",\"requests\":[{\"t\":"
            "0,\"in\":64,\"out\":1,\"hash_ids\":[1]}]}"),
        NULL);
    rows_expect(&v, 1);
    assert_true(v.rows[0].hash_ids[0] != w.rows[0].hash_ids[0]); /* another session */
    struct trace_rows r = read_rows(CORPUS "ragpulse.jsonl", NULL);
    rows_expect(&r, 2);
    assert_true(r.rows[0].hash_ids[0] == r.rows[1].hash_ids[0]); /* same system prompt */
    assert_true(r.rows[0].hash_ids[2] != r.rows[1].hash_ids[1]); /* passage 2, behind another */
    rows_free(&w);
    rows_free(&v);
    rows_free(&r);
}

/* Tokens of a hash id: by custom, as the file says, as the caller says. */
static void block_sizes(void **state)
{
    static const struct {
        const char *file;
        uint32_t told, want;
    } cases[] = {{CORPUS "mooncake.jsonl", 0, 512}, {CORPUS "bailian.jsonl", 0, 16},
                 {CORPUS "weka.json", 0, 64},       {CORPUS "dynamo.jsonl", 0, 32},
                 {CORPUS "weka.json", 128, 128},    {CORPUS "mooncake.jsonl", 16, 16},
                 {CORPUS "vidur.csv", 0, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rt_trace_options options = {.block_size = cases[i].told};
        struct rt_trace *t;
        struct rt_request r;
        struct rt_err err = {0};
        assert_ok(rt_trace_open_with(cases[i].file, &options, &t, &err), &err);
        assert_int_equal(rt_trace_read(t, &r, &err), 1);
        assert_int_equal(rt_trace_info(t)->block_size, cases[i].want);
        rt_trace_free(t);
    }
    const char *path = trace_text(
        *state, "two.jsonl",
        "{\"event\":{\"schema\":\"dynamo.request.trace.v1\",\"request\":{\"input_tokens\":1,"
        "\"output_tokens\":1,\"request_received_ms\":1,\"replay\":{\"trace_block_size\":32}}}}\n"
        "{\"event\":{\"request\":{\"input_tokens\":1,\"output_tokens\":1,\"request_received_ms\":1,"
        "\"replay\":{\"trace_block_size\":48}}}}\n");
    struct trace_rows two = read_rows(path, NULL);
    assert_int_equal(two.count, 1);
    assert_fails(!two.failed, &two.err, RT_ETRACE,
                 "two.jsonl:2:1: expected hash ids of 32 tokens as before, read 48");
    rows_free(&two);
}

/* Rows that the log calls failed are kept or dropped; cache hits and other events never count. */
static void failed_rows(void **state)
{
    static const struct {
        const char *file;
        uint64_t rows, failed, left_out, dropped;
    } cases[] = {{CORPUS "burstgpt.csv", 3, 2, 0, 2},      {CORPUS "litellm.csv", 2, 1, 1, 1},
                 {CORPUS "blis.csv", 2, 1, 0, 1},          {CORPUS "vllm_bench.json", 3, 1, 0, 1},
                 {CORPUS "litellm_json.json", 1, 0, 1, 0}, {CORPUS "otel.json", 2, 1, 1, 1},
                 {CORPUS "splitwise.csv", 2, 0, 1, 0},     {CORPUS "dynamo.jsonl", 1, 0, 1, 0}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (unsigned drop = 0; drop < 2; drop++) {
            struct rt_trace_options options = {.drop_failed = drop == 1};
            struct rt_trace *t;
            struct rt_request r;
            struct rt_err err = {0};
            int found;
            assert_ok(rt_trace_open_with(cases[i].file, &options, &t, &err), &err);
            while ((found = rt_trace_read(t, &r, &err)) == 1) {
            }
            assert_int_equal(found, 0);
            struct rt_trace_counts c = rt_trace_counts(t);
            assert_int_equal(c.rows, cases[i].rows - (drop ? cases[i].dropped : 0));
            assert_int_equal(c.failed, cases[i].failed);
            assert_int_equal(c.left_out, cases[i].left_out + (drop ? cases[i].dropped : 0));
            rt_trace_free(t);
        }
    }
}

/* Windows of ServeGen: the rate counts requests, the distributions their lengths, nothing is drawn
 * in a window without a rate, and a second reading draws the same. */
static void servegen(void **state)
{
    struct trace_rows a = read_rows(CORPUS "chunk-0-trace.csv", NULL);
    struct trace_rows b = read_rows(CORPUS "chunk-0-trace.csv", "servegen");
    size_t first = 0, second = 0, long_prompts = 0, long_outputs = 0;
    (void)state;
    rows_expect(&a, b.count);
    for (size_t i = 0; i < a.count; i++) {
        const struct rt_request *r = &a.rows[i];
        assert_int_equal(r->arrival_ns, b.rows[i].arrival_ns);
        assert_int_equal(r->prompt_tokens, b.rows[i].prompt_tokens);
        assert_true(i == 0 || r->arrival_ns >= a.rows[i - 1].arrival_ns);
        if (r->arrival_ns < 600 * S) {
            first++;
            assert_true(r->prompt_tokens == 35 || r->prompt_tokens == 36);
            assert_int_equal(r->output_tokens, 7);
            long_prompts += r->prompt_tokens == 36;
        } else {
            second++;
            assert_true(r->arrival_ns >= 1200 * S && r->arrival_ns < 1800 * S);
            assert_int_equal(r->prompt_tokens, 100);
            long_outputs += r->output_tokens == 2;
        }
    }
    /* 2.5/s and 1/s over 600 s; standard deviations of the counts about 46 (Gamma 0.7: cv 1.2) and
     * 55 (Weibull 0.5: cv 2.24), of the shares 0.011 and 0.018. Four of them. */
    assert_true(fabs((double)first - 1500) < 184);
    assert_true(fabs((double)second - 600) < 220);
    assert_true(fabs((double)long_prompts / (double)first - 0.75) < 0.05);
    assert_true(fabs((double)long_outputs / (double)second - 0.75) < 0.09);
    rows_free(&a);
    rows_free(&b);
}

/* Another seed draws other requests. */
static void servegen_seeds(void **state)
{
    int64_t first[2];
    (void)state;
    for (uint64_t seed = 0; seed < 2; seed++) {
        struct rt_trace_options options = {.seed = seed};
        struct rt_trace *t;
        struct rt_request r;
        struct rt_err err = {0};
        assert_ok(rt_trace_open_with(CORPUS "chunk-0-trace.csv", &options, &t, &err), &err);
        assert_int_equal(rt_trace_read(t, &r, &err), 1);
        first[seed] = r.arrival_ns;
        rt_trace_free(t);
    }
    assert_true(first[0] != first[1]);
}

static void servegen_failures(void **state)
{
    struct trace_dir *d = *state;
    struct trace_rows r = read_rows(trace_text(d, "x.csv", "0,1,1,Gamma,1,1\n"), NULL);
    assert_fails(!r.failed, &r.err, RT_ETRACE, "named like chunk-0-trace.csv");
    r = read_rows(trace_text(d, "c-trace.csv", "0,1,1,Gamma,1,1\n"), NULL);
    assert_fails(!r.failed, &r.err, RT_EIO, "c-dataset.json");
    (void)trace_text(d, "c-dataset.json", "{\"0\": {\"input_tokens\": \"{1: x}\"}}");
    r = read_rows(trace_text(d, "c-trace.csv", "0,1,1,Gamma,1,1\n"), NULL);
    assert_fails(!r.failed, &r.err, RT_ETRACE, "expected {tokens: weight, ...}");
    (void)trace_text(d, "c-dataset.json",
                     "{\"0\": {\"input_tokens\": \"{1: 1}\", \"output_tokens\": \"{2: 1}\"}}");
    r = read_rows(trace_text(d, "c-trace.csv", "0,1,1,Gamma,1,1\n0,1,1,Gamma,1,1\n"), NULL);
    assert_fails(!r.failed, &r.err, RT_ETRACE, "c-trace.csv:2:1: window_start_s");
    r = read_rows(trace_text(d, "c-trace.csv", "0,1,1,Gamma,0,1\n"), NULL);
    assert_fails(!r.failed, &r.err, RT_ETRACE, "c-trace.csv:1:13: arg1");
    r = read_rows(trace_text(d, "c-trace.csv", "0,1,1,Poisson,1,1\n"), NULL);
    assert_fails(!r.failed, &r.err, RT_ETRACE, "c-trace.csv:1:7: pattern");
    r = read_rows(trace_text(d, "c-trace.csv", "0,1,1,Gamma\n"), "servegen");
    assert_fails(!r.failed, &r.err, RT_ETRACE, "c-trace.csv:1:1: expected window_start_s");
}

static struct trace_rows read_columns(const char *path, const char *columns)
{
    struct rt_workload_spec w;
    rt_workload_init(&w);
    w.trace = strdup(path);
    w.columns = strdup(columns);
    struct trace_rows r = pull_rows(&w, NULL);
    rt_workload_release(&w);
    return r;
}

static void columns_of_csv(void **state)
{
    const char *path =
        trace_text(*state, "c.csv", "who,when,cost,in,out,sid\na,1500,9,7,8,x\nb,1750,9,9,10,\n");
    struct trace_rows r =
        read_columns(path, "arrival=when:ms,prompt=in,output=out,session=sid,tenant=who");
    rows_expect(&r, 2);
    assert_int_equal(r.rows[1].arrival_ns, 1750 * MS);
    assert_int_equal(r.rows[1].prompt_tokens, 9);
    assert_int_equal(r.rows[1].output_tokens, 10);
    assert_string_equal(r.rows[0].session, "x");
    assert_null(r.rows[1].session);
    assert_int_not_equal(r.rows[0].tenant_name, r.rows[1].tenant_name);
    rows_free(&r);
    r = read_columns(path, "arrival=when:us,prompt=in,output=out");
    rows_expect(&r, 2);
    assert_int_equal(r.rows[0].arrival_ns, 1500000);
    rows_free(&r);
    r = read_columns(path, "arrival=when,prompt=in,output=out,class=kind");
    assert_fails(!r.failed, &r.err, RT_ETRACE, "expected a header with the column \"kind\"");
    r = read_columns(path, "arrival=when,prompt=in,output=out,hash_ids=sid");
    assert_fails(!r.failed, &r.err, RT_ECONFIG, "hash_ids of a JSON file only");
}

static void columns_of_json(void **state)
{
    (void)state;
    struct trace_rows r = read_columns(
        CORPUS "columns.json", "arrival=ts:ms,prompt=usage.in,output=usage.out,session=user.id");
    rows_expect(&r, 2);
    assert_int_equal(r.rows[0].arrival_ns, 1500 * MS);
    assert_int_equal(r.rows[1].arrival_ns, 1600500000);
    assert_int_equal(r.rows[0].prompt_tokens, 5);
    assert_int_equal(r.rows[0].output_tokens, 6);
    assert_string_equal(r.rows[0].session, "u");
    assert_null(r.rows[1].session);
    rows_free(&r);
    r = read_columns(CORPUS "columns.json", "arrival=ts,prompt=usage.on,output=usage.out");
    assert_fails(!r.failed, &r.err, RT_ETRACE,
                 "columns.json:1:1: expected the key of its prompt's tokens");
    rows_free(&r);
}

static void bad_columns(void **state)
{
    static const struct {
        const char *columns, *message;
    } cases[] = {
        {"", "expected field=column, read \"\""},
        {"arrival=a,prompt=b", "expected arrival=, prompt= and output="},
        {"arrival=a,prompt=b,output", "expected field=column, read \"output\""},
        {"arrival=a,prompt=b,output=", "expected field=column"},
        {"arival=a,prompt=b,output=c", "unknown field \"arival\": did you mean \"arrival\"?"},
        {"arrival=a:h,prompt=b,output=c", "expected a unit (s, ms, us, ns, iso) behind the colon"},
        {"arrival=a,prompt=b,output=c,think=d:iso", "expected a unit (s, ms, us, ns) behind"},
        {"arrival=a,prompt=b,output=c,prompt=d", "expected each field once"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct trace_rows r = read_columns(CORPUS "vidur.csv", cases[i].columns);
        assert_fails(!r.failed, &r.err, RT_ECONFIG, cases[i].message);
    }
    struct rt_trace *t;
    struct rt_err err = {0};
    assert_fails(rt_trace_open(CORPUS "vidur.csv", "columns", &t, &err), &err, RT_ECONFIG,
                 "what its columns mean");
}

/* What a group says of its requests stands before them. */
static void order_of_groups(void **state)
{
    struct trace_rows r = read_rows(
        trace_text(
            *state, "late.jsonl",
            "{\"requests\": [{\"prompt_length\": 1, \"output_length\": 2}], \"timestamp\": 5}\n"),
        NULL);
    assert_fails(!r.failed, &r.err, RT_ETRACE, "late.jsonl:1:15: expected the key \"timestamp\"");
    rows_free(&r);
    r = read_rows(
        trace_text(*state, "late.jsonl",
                   "{\"session_id\": \"a\", \"sub_requests\": [], \"arrival_time_ns\": 5}\n"),
        NULL);
    assert_fails(!r.failed, &r.err, RT_ETRACE,
                 "late.jsonl:1:41: expected \"arrival_time_ns\" before \"sub_requests\"");
    rows_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(corpus_files),    cmocka_unit_test(surveyed_samples),
        cmocka_unit_test(every_format),    cmocka_unit_test(renamed_ids),
        cmocka_unit_test(block_sizes),     cmocka_unit_test(failed_rows),
        cmocka_unit_test(servegen),        cmocka_unit_test(servegen_failures),
        cmocka_unit_test(servegen_seeds),  cmocka_unit_test(columns_of_csv),
        cmocka_unit_test(columns_of_json), cmocka_unit_test(bad_columns),
        cmocka_unit_test(order_of_groups),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
