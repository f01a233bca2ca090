/* Malformed files of every format: cut at every byte, values of other kinds, masses of columns and
 * brackets, bytes that are no text. Each is read to its end or to an error that names file and
 * line. */
#include "support/test.h"

#include "trace_files.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CORPUS "tests/workload/corpus/"

static const struct {
    const char *file, *format;
} files[] = {
    {"csv.csv", "csv"},
    {"jsonl.jsonl", "jsonl"},
    {"azure.csv", "azure"},
    {"mooncake.jsonl", "mooncake"},
    {"bailian.jsonl", "bailian"},
    {"burstgpt.csv", "burstgpt"},
    {"vidur.csv", "vidur"},
    {"splitwise.csv", "splitwise"},
    {"weka.json", "weka"},
    {"ragpulse.jsonl", "ragpulse"},
    {"tracelab.csv", "tracelab"},
    {"llmservingsim.jsonl", "llmservingsim"},
    {"blis.csv", "blis"},
    {"aibrix.jsonl", "aibrix"},
    {"litellm.csv", "litellm"},
    {"litellm_json.json", "litellm_json"},
    {"otel.json", "otel"},
    {"dynamo.jsonl", "dynamo"},
    {"vllm_bench.json", "vllm_bench"},
};
#define FILES (sizeof files / sizeof files[0])

static struct blob load(const char *file)
{
    char path[256];
    struct blob b = {malloc(1 << 16), 0};
    (void)snprintf(path, sizeof path, CORPUS "%s", file);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    b.len = fread(b.bytes, 1, 1 << 16, f);
    assert_int_equal(fclose(f), 0);
    assert_in_range(b.len, 1, (1 << 16) - 1);
    return b;
}

static bool is_json(const char *file)
{
    return strstr(file, ".json") != NULL;
}

/* Reads the bytes; an error begins with path:line or is about the file as a whole. */
static struct trace_rows read_bytes(struct trace_dir *d, const char *format, const void *bytes,
                                    size_t len)
{
    (void)unlink(d->file); /* ext4 flushes a file that is cut to nothing and written again */
    const char *path = trace_write(d, "m.trace", bytes, len);
    struct trace_rows r = read_rows(path, format);
    size_t n = strlen(path);
    if (!r.failed)
        return r;
    bool whole = strstr(r.err.msg, "the file is empty") != NULL;
    if (strncmp(r.err.msg, path, n) != 0 || r.err.msg[n] != ':' ||
        !(isdigit((unsigned char)r.err.msg[n + 1]) || whole) || r.err.code != RT_ETRACE)
        fail_msg("%s: an error without a place: %s", format, r.err.msg);
    return r;
}

static void cut_anywhere(void **state)
{
    for (size_t i = 0; i < FILES; i++) {
        struct blob b = load(files[i].file);
        struct trace_rows whole = read_bytes(*state, files[i].format, b.bytes, b.len);
        rows_expect(&whole, whole.count);
        for (size_t len = 0; len < b.len; len++) {
            struct trace_rows r = read_bytes(*state, files[i].format, b.bytes, len);
            assert_true(r.count <= whole.count);
            rows_free(&r);
        }
        rows_free(&whole);
        free(b.bytes);
    }
}

/* Every number and every text in turn becomes something of another kind. */
static void other_kinds(void **state)
{
    static const char *const json[] = {"\"x\"", "true", "[1]", "{\"a\":1}", "-5", "1e999", "null"};
    static const char *const csv[] = {"x", "-5", "1e999", "", "\"", "0x10", "1.5.2"};
    for (size_t i = 0; i < FILES; i++) {
        struct blob b = load(files[i].file);
        size_t failures = 0;
        for (size_t at = 0; at < b.len; at++) {
            bool begins = isdigit(b.bytes[at]) && (at == 0 || !isalnum(b.bytes[at - 1]));
            size_t end = at;
            while (end < b.len && (isalnum(b.bytes[end]) || b.bytes[end] == '.'))
                end++;
            for (size_t k = 0; begins && k < sizeof json / sizeof json[0]; k++) {
                const char *word = is_json(files[i].file) ? json[k] : csv[k];
                size_t n = strlen(word);
                char *text = malloc(b.len + n);
                memcpy(text, b.bytes, at);
                memcpy(text + at, word, n);
                memcpy(text + at + n, b.bytes + end, b.len - end);
                struct trace_rows r =
                    read_bytes(*state, files[i].format, text, b.len - (end - at) + n);
                failures += r.failed;
                rows_free(&r);
                free(text);
            }
        }
        if (failures == 0)
            fail_msg("%s: nothing of another kind was refused", files[i].file);
        free(b.bytes);
    }
}

/* The text, with `count` times `piece` behind its first `at` bytes. */
static struct trace_rows read_inflated(struct trace_dir *d, size_t file, size_t at,
                                       const char *piece, size_t count)
{
    struct blob b = load(files[file].file);
    size_t n = strlen(piece), len = b.len + n * count;
    char *text = malloc(len);
    assert_non_null(text);
    memcpy(text, b.bytes, at);
    for (size_t i = 0; i < count; i++)
        memcpy(text + at + i * n, piece, n);
    memcpy(text + at + n * count, b.bytes + at, b.len - at);
    struct trace_rows r = read_bytes(d, files[file].format, text, len);
    free(text);
    free(b.bytes);
    return r;
}

/* A million columns in a CSV header are refused; a million unknown members are skipped, or refused
 * where the format is strict. */
static void a_million_columns(void **state)
{
    for (size_t i = 0; i < FILES; i++) {
        bool json = is_json(files[i].file);
        struct blob b = load(files[i].file);
        size_t first =
            (size_t)((unsigned char *)memchr(b.bytes, json ? '{' : ',', b.len) - b.bytes);
        free(b.bytes);
        struct trace_rows r =
            read_inflated(*state, i, first + json, json ? "\"x\":1," : ",x", 1000000);
        bool strict =
            strcmp(files[i].format, "jsonl") == 0 || strcmp(files[i].format, "mooncake") == 0;
        assert_int_equal(r.failed, !json || strict);
        if (!json)
            assert_non_null(strstr(r.err.msg, ":1:1: expected at most 4096 fields, read more"));
        rows_free(&r);
    }
}

static void deep_nesting(void **state)
{
    for (size_t i = 0; i < FILES; i++) {
        if (!is_json(files[i].file))
            continue;
        struct trace_rows r = read_inflated(*state, i, 0, "[", 100000);
        assert_true(r.failed);
        rows_free(&r);
        struct blob b = load(files[i].file);
        size_t first = (size_t)((unsigned char *)memchr(b.bytes, '{', b.len) - b.bytes) + 1;
        free(b.bytes);
        r = read_inflated(*state, i, first, "\"$x\":{", 100000);
        assert_fails(!r.failed, &r.err, RT_ETRACE, "expected at most 64 levels of nesting");
        rows_free(&r);
    }
}

/* Bytes that are not UTF-8: in values that are kept, and wherever JSON has strings. */
static void not_utf8(void **state)
{
    static const char *const bad[] = {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                      "\xc3"};
    for (size_t i = 0; i < FILES; i++) {
        if (!is_json(files[i].file))
            continue;
        struct blob b = load(files[i].file);
        size_t quote = (size_t)((unsigned char *)memchr(b.bytes, '"', b.len) - b.bytes) + 1;
        free(b.bytes);
        for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
            struct trace_rows r = read_inflated(*state, i, quote, bad[k], 1);
            assert_fails(!r.failed, &r.err, RT_ETRACE, "UTF-8");
            rows_free(&r);
        }
    }
    struct trace_rows r = read_rows(
        trace_text(*state, "u.csv", "arrival_s,prompt_tokens,output_tokens,class\n1,2,3,\xff\n"),
        NULL);
    assert_fails(!r.failed, &r.err, RT_ETRACE, "u.csv:2:7: class: expected UTF-8 text");
    rows_free(&r);
}

/* Any single bit of any byte. */
static void bit_flips(void **state)
{
    for (size_t i = 0; i < FILES; i++) {
        struct blob b = load(files[i].file);
        for (size_t at = 0; at < b.len; at++) {
            b.bytes[at] ^= (unsigned char)(1u << at % 8);
            struct trace_rows r = read_bytes(*state, files[i].format, b.bytes, b.len);
            rows_free(&r);
            b.bytes[at] ^= (unsigned char)(1u << at % 8);
        }
        free(b.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_anywhere),      cmocka_unit_test(other_kinds),
        cmocka_unit_test(a_million_columns), cmocka_unit_test(deep_nesting),
        cmocka_unit_test(not_utf8),          cmocka_unit_test(bit_flips),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
