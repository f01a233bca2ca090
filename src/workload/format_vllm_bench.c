/* format_vllm_bench.c: results of vLLM's benchmark client (vllm bench serve --save-detailed), JSON.
 *
 *     {..., "input_lens": [512, ...], "output_lens": [64, ...], "start_times": [3210.5, ...],
 *      "errors": ["", ...], ...}
 *
 * One object a run, possibly several in a file. Columns, not rows: each run is read whole (40 bytes
 * a request), the rest of it (texts, token times) is skipped. start_times count seconds from an
 * unknown origin: the earliest of the run becomes 0. A request with an error text failed. Failure:
 * columns of different lengths, no start_times (older clients, or without --save-detailed). */
#include "workload_internal.h"

#include <stdlib.h>
#include <string.h>

enum { INPUTS, OUTPUTS, STARTS, COLUMNS };

static const struct {
    const char *name;
    struct rt_field_ref to;
} columns[COLUMNS] = {
    [INPUTS] = {"input_lens", {RT_FIELD_PROMPT, RT_UNIT_S}},
    [OUTPUTS] = {"output_lens", {RT_FIELD_OUTPUT, RT_UNIT_S}},
    [STARTS] = {"start_times", {RT_FIELD_ARRIVAL, RT_UNIT_S}},
};

struct column {
    int64_t *values;
    size_t count, capacity;
};

struct bench {
    struct rt_json_pull pull;
    struct column columns[COLUMNS];
    struct column failed; /* 0 or 1 */
    size_t next;          /* row */
    int64_t first_ns;
};

static bool append(struct column *c, int64_t value, struct rt_err *err)
{
    if (c->count == c->capacity) {
        size_t capacity = c->capacity == 0 ? 1024 : c->capacity * 2;
        int64_t *values = realloc(c->values, capacity * sizeof *values);
        if (values == NULL)
            return rt_fail_nomem(err, "results of a benchmark");
        c->values = values;
        c->capacity = capacity;
    }
    c->values[c->count++] = value;
    return true;
}

static bool fail_value(const struct bench *s, const char *name, struct rt_err *err)
{
    (void)rt_fail_in(err, "%s", name);
    return rt_json_pull_fail_in(&s->pull, err);
}

static bool begin_array(struct bench *s, const char *name, struct column *c, struct rt_err *err)
{
    enum rt_token k = rt_json_pull_next(&s->pull, err);
    if (k == RT_TOKEN_ERROR)
        return false;
    if (k != RT_TOKEN_ARRAY || c->count > 0) {
        (void)rt_fail(err, RT_ETRACE, "expected one array, read %s",
                      k == RT_TOKEN_ARRAY ? "a second one" : rt_token_name(k));
        return fail_value(s, name, err);
    }
    return true;
}

static bool take_numbers(struct rt_trace *t, struct bench *s, unsigned which, struct rt_err *err)
{
    const char *name = columns[which].name;
    struct rt_row *row = &t->row;
    enum rt_token k;
    if (!begin_array(s, name, &s->columns[which], err))
        return false;
    while ((k = rt_json_pull_next(&s->pull, err)) == RT_TOKEN_NUMBER) {
        if (!rt_field_set(t, columns[which].to, s->pull.text, s->pull.len, row, err))
            return fail_value(s, name, err);
        int64_t value = which == INPUTS    ? row->r.prompt_tokens
                        : which == OUTPUTS ? row->r.output_tokens
                                           : row->r.arrival_ns;
        if (!append(&s->columns[which], value, err))
            return false;
    }
    if (k == RT_TOKEN_ARRAY_END || k == RT_TOKEN_ERROR)
        return k == RT_TOKEN_ARRAY_END;
    (void)rt_fail(err, RT_ETRACE, "expected numbers, read %s", rt_token_name(k));
    return fail_value(s, name, err);
}

/* A text is an error, "" and null are none. */
static bool take_errors(struct bench *s, struct rt_err *err)
{
    enum rt_token k;
    if (!begin_array(s, "errors", &s->failed, err))
        return false;
    while ((k = rt_json_pull_next(&s->pull, err)) == RT_TOKEN_STRING || k == RT_TOKEN_NULL) {
        if (!append(&s->failed, k == RT_TOKEN_STRING && s->pull.len > 0, err))
            return false;
    }
    if (k == RT_TOKEN_ARRAY_END || k == RT_TOKEN_ERROR)
        return k == RT_TOKEN_ARRAY_END;
    (void)rt_fail(err, RT_ETRACE, "expected texts, read %s", rt_token_name(k));
    return fail_value(s, "errors", err);
}

static bool take_member(struct rt_trace *t, struct bench *s, struct rt_err *err)
{
    for (unsigned i = 0; i < COLUMNS; i++) {
        if (strlen(columns[i].name) == s->pull.len &&
            memcmp(columns[i].name, s->pull.text, s->pull.len) == 0)
            return take_numbers(t, s, i, err);
    }
    if (s->pull.len == 6 && memcmp(s->pull.text, "errors", 6) == 0)
        return take_errors(s, err);
    return rt_json_pull_skip(&s->pull, rt_json_pull_next(&s->pull, err), err);
}

static bool check_run(struct rt_trace *t, struct bench *s, struct rt_err *err)
{
    size_t rows = s->columns[INPUTS].count;
    for (unsigned i = 0; i < COLUMNS; i++) {
        size_t count = s->columns[i].count;
        if (count == 0 && rows > 0)
            (void)rt_fail(err, RT_ETRACE,
                          "expected \"%s\" (vllm bench serve --save-detailed writes it), read a "
                          "result without it",
                          columns[i].name);
        else if (count != rows)
            (void)rt_fail(err, RT_ETRACE, "expected %zu values in \"%s\", read %zu", rows,
                          columns[i].name, count);
        if (count != rows)
            return rt_json_pull_fail_in(&s->pull, err);
    }
    if (s->failed.count != 0 && s->failed.count != rows) {
        (void)rt_fail(err, RT_ETRACE, "expected %zu values in \"errors\", read %zu", rows,
                      s->failed.count);
        return rt_json_pull_fail_in(&s->pull, err);
    }
    s->first_ns = rows > 0 ? s->columns[STARTS].values[0] : 0;
    for (size_t i = 1; i < rows; i++) {
        if (s->columns[STARTS].values[i] < s->first_ns)
            s->first_ns = s->columns[STARTS].values[i];
    }
    t->lines.number = s->pull.at_line;
    return true;
}

/* The next object, whole. 1, 0 at the end, -1. */
static int read_run(struct rt_trace *t, struct bench *s, struct rt_err *err)
{
    for (unsigned i = 0; i < COLUMNS; i++)
        s->columns[i].count = 0;
    s->failed.count = s->next = 0;
    enum rt_token k = rt_json_pull_next(&s->pull, err);
    if (k == RT_TOKEN_END || k == RT_TOKEN_ERROR)
        return k == RT_TOKEN_END ? 0 : -1;
    if (k != RT_TOKEN_OBJECT) {
        (void)rt_fail(err, RT_ETRACE, "expected an object, read %s", rt_token_name(k));
        (void)rt_json_pull_fail_in(&s->pull, err);
        return -1;
    }
    while ((k = rt_json_pull_next(&s->pull, err)) == RT_TOKEN_KEY) {
        if (!take_member(t, s, err))
            return -1;
    }
    return k == RT_TOKEN_OBJECT_END && check_run(t, s, err) ? 1 : -1;
}

static bool bench_open(struct rt_trace *t, struct rt_err *err)
{
    struct bench *s = calloc(1, sizeof *s);
    if (s == NULL)
        return rt_fail_nomem(err, "results of a benchmark");
    t->state = s;
    rt_json_pull_start(&s->pull, &t->lines, false);
    return true;
}

static int bench_read(struct rt_trace *t, struct rt_err *err)
{
    struct bench *s = t->state;
    rt_row_clear(&t->row);
    while (s->next == s->columns[INPUTS].count) {
        int found = read_run(t, s, err);
        if (found <= 0)
            return found;
    }
    size_t i = s->next++;
    rt_row_clear(&t->row);
    t->row.r.prompt_tokens = s->columns[INPUTS].values[i];
    t->row.r.output_tokens = s->columns[OUTPUTS].values[i];
    t->row.r.arrival_ns = s->columns[STARTS].values[i] - s->first_ns;
    t->row.failed = s->failed.count > 0 && s->failed.values[i] != 0;
    return 1;
}

static bool bench_rewind(struct rt_trace *t, struct rt_err *err)
{
    struct bench *s = t->state;
    (void)err;
    s->columns[INPUTS].count = s->next = 0;
    rt_json_pull_start(&s->pull, &t->lines, false);
    return true;
}

static void bench_close(struct rt_trace *t)
{
    struct bench *s = t->state;
    for (unsigned i = 0; s != NULL && i < COLUMNS; i++)
        free(s->columns[i].values);
    if (s != NULL)
        free(s->failed.values);
    free(s);
    t->state = NULL;
}

static void bench_sort_command(const struct rt_trace *t, char *buf, size_t size)
{
    (void)t;
    if (size > 0)
        buf[0] = '\0'; /* columns are not sorted by a line's tool */
}

const struct rt_trace_reader rt_bench_reader = {.open = bench_open,
                                                .read = bench_read,
                                                .rewind = bench_rewind,
                                                .close = bench_close,
                                                .sort_command = bench_sort_command};

const struct rt_trace_format rt_format_vllm_bench = {
    .name = "vllm_bench",
    .help =
        "results of vllm bench serve --save-detailed, JSON: input_lens, output_lens, start_times",
    .reader = &rt_bench_reader,
    .marks = {{"total_input_tokens", "total_output_tokens"}, {"input_lens", "output_lens"}},
};
