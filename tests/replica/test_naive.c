/* The plain model of the engine against the reference's golden files, so that it can be trusted
 * where those files are absent. Per case: requests.csv byte for byte, iterations.csv by its
 * SHA-256, and the summary. Also hand-worked schedules that need no files. */
#include "support/naive_engine.h"
#include "support/sha256.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GOLDEN "../shared/reference/golden/"

/* ---- small readers of files that are known to be well formed --------------------------------- */

static char *file_text(const char *folder, const char *name)
{
    char path[512];
    snprintf(path, sizeof path, GOLDEN "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    size_t len = 0, capacity = 1 << 16;
    char *text = malloc(capacity + 1);
    assert_non_null(text);
    for (size_t got; (got = fread(text + len, 1, capacity - len, f)) > 0;) {
        len += got;
        if (len == capacity) {
            text = realloc(text, (capacity *= 2) + 1);
            assert_non_null(text);
        }
    }
    fclose(f);
    text[len] = 0;
    return text;
}

/* What stands behind "key": in a JSON text. */
static const char *value_of(const char *json, const char *key)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    const char *at = strstr(json, quoted);
    if (!at)
        fail_msg("no key %s", key);
    at += strlen(quoted);
    return at + strspn(at, " \n");
}

static int64_t int_of(const char *json, const char *key)
{
    return strtoll(value_of(json, key), NULL, 10);
}

struct trace {
    struct naive_request *requests;
    size_t count, capacity;
};

static struct naive_request *trace_add(struct trace *t)
{
    if (t->count == t->capacity) {
        t->capacity = t->capacity * 2 + 64;
        t->requests = realloc(t->requests, t->capacity * sizeof *t->requests);
        assert_non_null(t->requests);
    }
    t->requests[t->count] = (struct naive_request){0};
    return &t->requests[t->count++];
}

static void trace_release(struct trace *t)
{
    for (size_t i = 0; i < t->count; i++)
        free((void *)(uintptr_t)t->requests[i].hash_ids);
    free(t->requests);
}

static void read_csv(const char *text, struct trace *t)
{
    for (const char *line = strchr(text, '\n') + 1; *line; line = strchr(line, '\n') + 1) {
        struct naive_request *r = trace_add(t);
        char *end;
        r->arrival_ns = (int64_t)nearbyint(strtod(line, &end) * 1e9); /* rule 1 */
        r->prompt = strtoll(end + 1, &end, 10);
        r->output = strtoll(end + 1, &end, 10);
    }
}

static void read_hash_ids(const char *at, struct naive_request *r)
{
    size_t capacity = 0;
    uint64_t *ids = NULL;
    for (at++; *at != ']';) {
        if (r->hash_count == capacity) {
            ids = realloc(ids, (capacity = capacity * 2 + 16) * sizeof *ids);
            assert_non_null(ids);
        }
        char *end;
        ids[r->hash_count++] = strtoull(at, &end, 10);
        at = end + strspn(end, ", ");
    }
    r->hash_ids = ids;
}

static void read_jsonl(const char *text, struct trace *t)
{
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        struct naive_request *r = trace_add(t);
        r->arrival_ns = (int64_t)nearbyint(strtod(value_of(line, "timestamp"), NULL) * 1e6);
        r->prompt = int_of(line, "input_length");
        r->output = int_of(line, "output_length");
        read_hash_ids(value_of(line, "hash_ids"), r);
    }
}

static struct naive_params read_params(const char *json)
{
    struct naive_params p = {.kv_blocks = int_of(json, "kv_blocks"),
                             .block_size = int_of(json, "block_size"),
                             .hash_block = int_of(json, "hash_block"),
                             .max_seqs = int_of(json, "max_seqs"),
                             .max_batched_tokens = int_of(json, "max_batched_tokens"),
                             .chunk = int_of(json, "chunk"),
                             .run_ahead = *value_of(json, "async") == 't',
                             .prefix_cache = *value_of(json, "prefix_cache") == 't',
                             .watermark = strtod(value_of(json, "watermark"), NULL)};
    const char *policy = value_of(json, "policy") + 1;
    while (strncmp(policy, naive_policy_names[p.policy], strlen(naive_policy_names[p.policy])))
        p.policy++;
    const char *at = value_of(json, "cost_s") + 1;
    for (int i = 0; i < 5; i++) {
        char *end;
        p.cost_s[i] = strtod(at, &end);
        at = end + 1;
    }
    return p;
}

/* ---- what the reference writes --------------------------------------------------------------- */

struct text {
    char *data;
    size_t len, capacity;
};

static void text_line(struct text *t, const int64_t *numbers, int count, const char *last)
{
    if (t->capacity - t->len < 512) {
        t->data = realloc(t->data, t->capacity = t->capacity * 2 + 4096);
        assert_non_null(t->data);
    }
    for (int i = 0; i < count; i++)
        t->len += (size_t)sprintf(t->data + t->len, "%s%lld", i ? "," : "", (long long)numbers[i]);
    t->len += (size_t)sprintf(t->data + t->len, "%s\n", last);
}

static void requests_csv(const struct trace *trace, struct text *out)
{
    text_line(out, NULL, 0,
              "id,arrival_ns,first_token_ns,finish_ns,cached_prompt_tokens,preemptions,status");
    for (size_t i = 0; i < trace->count; i++) {
        const struct naive_request *r = &trace->requests[i];
        char status[32];
        snprintf(status, sizeof status, ",%s", naive_status_names[r->status]);
        text_line(out,
                  (int64_t[]){(int64_t)i, r->arrival_ns, r->first_token_ns, r->finish_ns, r->cached,
                              r->preemptions},
                  6, status);
    }
}

static void iterations_csv(const struct naive_result *result, struct text *out)
{
    text_line(out, NULL, 0, "start_ns,end_ns,n_decode,n_prefill_tokens,kv_blocks_used,queue_len");
    for (size_t i = 0; i < result->step_count; i++) {
        const struct naive_step *s = &result->steps[i];
        text_line(out,
                  (int64_t[]){s->start_ns, s->end_ns, s->decodes, s->prefill_tokens, s->kv_used,
                              s->queue},
                  6, "");
    }
}

static void check_requests(const char *name, const struct trace *trace)
{
    struct text got = {0};
    requests_csv(trace, &got);
    char *want = file_text(name, "requests.csv");
    assert_non_null(want);
    if (strcmp(got.data, want)) {
        size_t at = 0, line = 0;
        while (got.data[at] == want[at])
            if (want[at++] == '\n')
                line = at;
        fail_msg("%s: got\n%.120s\nwanted\n%.120s", name, got.data + line, want + line);
    }
    free(want);
    free(got.data);
}

static void check_summary(const char *json, const struct naive_result *result)
{
    int64_t queue = 0;
    for (size_t i = 0; i < result->step_count; i++)
        queue = result->steps[i].queue > queue ? result->steps[i].queue : queue;
    assert_int_equal(result->step_count, int_of(json, "iterations"));
    assert_int_equal(result->end_ns, int_of(json, "end_ns"));
    assert_int_equal(result->preemptions, int_of(json, "preemptions"));
    assert_int_equal(queue, int_of(json, "max_queue"));
    assert_int_equal(result->kv_peak, int_of(json, "max_blocks"));
}

static void check_case(void **state)
{
    const char *name = *state;
    char *json = file_text(name, "case.json");
    if (!json) {
        print_message("no " GOLDEN "%s here: skipped\n", name);
        skip();
    }
    struct trace trace = {0};
    char *csv = file_text(name, "trace.csv"), *jsonl = csv ? NULL : file_text(name, "trace.jsonl");
    if (csv)
        read_csv(csv, &trace);
    else
        read_jsonl(jsonl, &trace);
    struct naive_params params = read_params(json);
    struct naive_result result;
    naive_run(&params, trace.requests, trace.count, &result);
    check_requests(name, &trace);
    check_summary(json, &result);
    struct text iterations = {0};
    iterations_csv(&result, &iterations);
    char digest[65];
    sha256_hex(iterations.data, iterations.len, digest);
    assert_memory_equal(digest, value_of(json, "iterations_csv_sha256") + 1, 64);
    free(iterations.data);
    naive_result_release(&result);
    trace_release(&trace);
    free(jsonl);
    free(csv);
    free(json);
}

/* ---- schedules worked by hand ---------------------------------------------------------------- */

static void sha256_known(void **state)
{
    (void)state;
    char hex[65]; /* examples of FIPS 180-4 */
    sha256_hex("abc", 3, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, hex);
    assert_string_equal(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

/* Two requests of 4 + 3 tokens, blocks of 4, 3 blocks, a step takes 1 s + 1 s a new token.
 * t=0   both prefill (8 tokens, 2 blocks): 9 s, first tokens at 9.
 * t=9   the first decodes into block 3; the second finds none and is preempted: 2 s.
 * t=11  the first decodes (2 blocks hold 6); blocks(5) = 2 > 1 free, the second waits: 2 s, done
 * at 13. t=13  the second recomputes 5 tokens: 6 s, its second token at 19; t=19 decode: done
 * at 21. */
static void preempted_by_hand(void **state)
{
    (void)state;
    struct naive_params p = {.policy = NAIVE_CHUNKED,
                             .kv_blocks = 3,
                             .block_size = 4,
                             .max_seqs = 8,
                             .max_batched_tokens = 100,
                             .cost_s = {1, 1, 0, 0, 0}};
    struct naive_request r[2] = {{.prompt = 4, .output = 3}, {.prompt = 4, .output = 3}};
    struct naive_result result;
    naive_run(&p, r, 2, &result);
    const int64_t s = 1000000000;
    assert_int_equal(r[0].first_token_ns, 9 * s);
    assert_int_equal(r[0].finish_ns, 13 * s);
    assert_int_equal(r[0].max_gap_ns, 2 * s);
    assert_int_equal(r[1].first_token_ns, 9 * s);
    assert_int_equal(r[1].finish_ns, 21 * s);
    assert_int_equal(r[1].max_gap_ns, 10 * s);
    assert_int_equal(r[1].preemptions, 1);
    assert_int_equal(result.step_count, 5);
    assert_int_equal(result.computed_tokens, 8 + 2 + 5 + 1);
    assert_int_equal(result.token_count, 6);
    naive_result_release(&result);
}

/* The same with swap; a block takes 0.5 s to copy.
 * t=9    the second's block goes out while the first decodes: 2.5 s.
 * t=11.5 the second needs 2 blocks for 5 tokens, 1 is free: it waits; the first is done at 13.5.
 * t=13.5 its block comes back, and it decodes in the same step: 2.5 s, its second token at 16.
 * t=16   decode: done at 18. */
static void swapped_by_hand(void **state)
{
    (void)state;
    struct naive_params p = {.policy = NAIVE_CHUNKED,
                             .kv_blocks = 3,
                             .block_size = 4,
                             .max_seqs = 8,
                             .max_batched_tokens = 100,
                             .cost_s = {1, 1, 0, 0, 0},
                             .swap = true,
                             .cpu_blocks = 1,
                             .block_bytes = 1e9,
                             .pcie_bytes_per_s = 2e9};
    struct naive_request r[2] = {{.prompt = 4, .output = 3}, {.prompt = 4, .output = 3}};
    struct naive_result result;
    naive_run(&p, r, 2, &result);
    const int64_t s = 1000000000;
    assert_int_equal(r[0].finish_ns, 13 * s + s / 2);
    assert_int_equal(r[0].max_gap_ns, 2 * s + s / 2);
    assert_int_equal(r[1].finish_ns, 18 * s);
    assert_int_equal(r[1].max_gap_ns, 7 * s);
    assert_int_equal(r[1].preemptions, 1);
    assert_int_equal(result.swapped_out, 1);
    assert_int_equal(result.swapped_in, 1);
    assert_int_equal(result.step_count, 5);
    assert_int_equal(result.computed_tokens, 8 + 1 + 1 + 1 + 1); /* nothing again */
    naive_result_release(&result);
    p.cpu_blocks = 0; /* no room: as with recompute */
    naive_run(&p, r, 2, &result);
    assert_int_equal(r[1].finish_ns, 21 * s);
    assert_int_equal(result.swapped_out, 0);
    naive_result_release(&result);
}

/* One seat, an urgent request that comes while the first runs: with a level worth 10 s it passes
 * the one that came before it, by less than 10 s; the one after that does not. */
static void priority_by_hand(void **state)
{
    (void)state;
    const int64_t s = 1000000000;
    struct naive_params p = {.policy = NAIVE_CHUNKED,
                             .kv_blocks = 9,
                             .block_size = 4,
                             .max_seqs = 1,
                             .max_batched_tokens = 100,
                             .cost_s = {20, 0, 0, 0, 0},
                             .order = NAIVE_PRIORITY,
                             .aging_ns = 10 * s};
    struct naive_request r[4] = {{.arrival_ns = 0},
                                 {.arrival_ns = 1, .priority = 1},
                                 {.arrival_ns = 10 * s},
                                 {.arrival_ns = 10 * s + 2}};
    struct naive_result result;
    naive_run(&p, r, 4, &result);
    assert_int_equal(r[0].finish_ns, 20 * s);
    assert_int_equal(r[2].finish_ns, 40 * s);
    assert_int_equal(r[1].finish_ns, 60 * s);
    assert_int_equal(r[3].finish_ns, 80 * s);
    naive_result_release(&result);
}

/* Blocks of 4, 3 blocks b0..b2, room for one copy; 1 s a step + 1 s a new token, 0.5 s a copy.
 * t=0   names 1, 2 are computed into b0, b1: 9 s. Free then: b2, b1 (name 2), b0 (name 1).
 * t=9   names 3, 4 into b2, b1: name 2 is offloaded. Free then: b0 (1), b1 (4), b2 (3).
 * t=18  9 tokens, of names 1 and 2: b0 is shared, the copy of 2 comes back into b1 (name 4 takes
 * its place), the ninth token goes to b2 (name 3 pushes 4 out): 1 + 1 + 0.5 s. */
static void offloaded_by_hand(void **state)
{
    (void)state;
    const int64_t s = 1000000000;
    const uint64_t first[] = {1, 2}, second[] = {3, 4};
    struct naive_params p = {.policy = NAIVE_CHUNKED,
                             .kv_blocks = 3,
                             .block_size = 4,
                             .max_seqs = 1,
                             .max_batched_tokens = 100,
                             .prefix_cache = true,
                             .offload_blocks = 1,
                             .block_bytes = 1e9,
                             .pcie_bytes_per_s = 2e9,
                             .cost_s = {1, 1, 0, 0, 0}};
    struct naive_request r[3] = {{.prompt = 8, .hash_ids = first, .hash_count = 2},
                                 {.prompt = 8, .hash_ids = second, .hash_count = 2},
                                 {.prompt = 9, .hash_ids = first, .hash_count = 2}};
    struct naive_result result;
    naive_run(&p, r, 3, &result);
    assert_int_equal(r[1].finish_ns, 18 * s);
    assert_int_equal(r[2].cached, 8);
    assert_int_equal(r[2].finish_ns, 20 * s + s / 2);
    assert_int_equal(result.offloaded, 3);
    assert_int_equal(result.loaded, 1);
    naive_result_release(&result);
    p.offload_blocks = 0;
    naive_run(&p, r, 3, &result);
    assert_int_equal(r[2].cached, 4);
    assert_int_equal(r[2].finish_ns, 24 * s);
    naive_result_release(&result);
}

int main(void)
{
    static char *cases[] = {"01_static_azure",
                            "02_continuous_azure",
                            "03_prefill_first_azure_tight",
                            "04_sarathi_azure",
                            "05_sarathi_azure_tight_small_chunk",
                            "06_chunked_azure_tight",
                            "07_chunked_azure_short_tight_async",
                            "08_chunked_azure_tight_async_cache",
                            "09_chunked_mooncake_cache",
                            "10_chunked_mooncake_async_cache_tight_ties",
                            "11_chunked_edges_async_ties",
                            "12_prefill_first_edges"};
    enum { CASES = sizeof cases / sizeof *cases };
    struct CMUnitTest tests[CASES + 5] = {
        cmocka_unit_test(sha256_known), cmocka_unit_test(preempted_by_hand),
        cmocka_unit_test(swapped_by_hand), cmocka_unit_test(priority_by_hand),
        cmocka_unit_test(offloaded_by_hand)};
    for (int i = 0; i < CASES; i++)
        tests[i + 5] = (struct CMUnitTest){
            .name = cases[i], .test_func = check_case, .initial_state = cases[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
