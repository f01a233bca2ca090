/* Measured logs in JSON, as a stream of values (yajl), so that a log of any size and integers
 * beyond 2^53 (nanoseconds since 1970) are no matter.
 *
 * Every object at the top is a request, by its own keys
 *     {"request_id": 3, "ttft_ms": 81.5, "output_tokens": 20, ...}
 * or by AIPerf's
 *     {"metadata": {"session_num": 3, ...}, "metrics": {"time_to_first_token": {"value": 81.5,
 *      "unit": "ms"}, ...}, "error": null}
 * unless it has vLLM's arrays, whose places are the requests:
 *     {"duration": 9.5, "ttfts": [...], "itls": [[...], ...], "output_lens": [...], ...}
 * Only the first four levels of a path matter; what is nested deeper is skipped. O(bytes). */
#include "request_log_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#define LEVELS    4
#define KEY_SIZE  64
#define MAX_DEPTH 64

struct level { /* of the path to the value that comes next */
    bool array;
    size_t index;       /* in an array */
    char key[KEY_SIZE]; /* in an object */
};

struct stream {
    struct rt_log_mapping *mapping;
    struct rt_log_builder *builder;
    struct rt_err *err;
    struct level level[LEVELS];
    int depth;         /* containers open */
    bool has_arrays;   /* the object is vLLM's */
    bool was_vllm;     /* the object before it was */
    bool has_metrics;  /* some object was AIPerf's */
    bool warm_up;      /* the request does not count */
    double value;      /* of the metric in the making; NaN: none */
    double scale;      /* of its unit; NaN: not told */
    size_t gaps_begin; /* its values are gaps from here on */
    double *gap_sums;  /* vLLM: seconds of itls by request */
    size_t gap_sum_count;
};

static const struct {
    const char *name;
    enum rt_log_field field;
} vllm_arrays[] = {{"ttfts", RT_LOG_TTFT},
                   {"latencies", RT_LOG_E2E},
                   {"input_lens", RT_LOG_PROMPT},
                   {"output_lens", RT_LOG_OUTPUT},
                   {"start_times", RT_LOG_ARRIVAL}},
  aiperf_metrics[] = {{"time_to_first_token", RT_LOG_TTFT},
                      {"inter_token_latency", RT_LOG_TPOT},
                      {"request_latency", RT_LOG_E2E},
                      {"output_sequence_length", RT_LOG_OUTPUT},
                      {"input_sequence_length", RT_LOG_PROMPT}};

static bool is(const struct level *l, const char *key)
{
    return !l->array && strcmp(l->key, key) == 0;
}

/* ---- vLLM's arrays ---- */

static bool sum_gap(struct stream *s, size_t request, double gap_s)
{
    while (s->gap_sum_count <= request) {
        size_t wanted = s->gap_sum_count == 0 ? 256 : s->gap_sum_count * 2;
        double *sums = realloc(s->gap_sums, wanted * sizeof *sums);
        if (sums == NULL)
            return rt_fail_nomem(s->err, "gaps of a measured log");
        for (size_t i = s->gap_sum_count; i < wanted; i++)
            sums[i] = (double)NAN;
        s->gap_sums = sums;
        s->gap_sum_count = wanted;
    }
    s->gap_sums[request] = (isnan(s->gap_sums[request]) ? 0 : s->gap_sums[request]) + gap_s;
    return true;
}

/* A number at ARRAY[i]. */
static bool array_number(struct stream *s, double value)
{
    struct rt_log_row *row;

    for (size_t i = 0; i < sizeof vllm_arrays / sizeof vllm_arrays[0]; i++) {
        if (!is(&s->level[0], vllm_arrays[i].name))
            continue;
        row = rt_log_row_at(s->builder, s->level[1].index, s->err);
        return row != NULL && (rt_log_row_set(row, vllm_arrays[i].field, value, s->err) ||
                               rt_fail_in(s->err, "%s", vllm_arrays[i].name));
    }
    return true;
}

/* errors[i]: a text that is not empty. */
static bool array_error(struct stream *s, size_t len)
{
    struct rt_log_row *row;

    if (len == 0 || !is(&s->level[0], "errors"))
        return true;
    row = rt_log_row_at(s->builder, s->level[1].index, s->err);
    if (row != NULL)
        row->ok = false;
    return row != NULL;
}

static void end_arrays(struct stream *s)
{
    struct rt_request_log *log = s->builder->log;
    double nan = (double)NAN;

    for (size_t i = 0; i < log->count; i++) {
        struct rt_log_row *r = &log->rows[i];
        if (!r->ok) {
            r->ttft_s = r->tpot_s = r->e2e_s = nan;
            continue;
        }
        if (isnan(r->e2e_s) && i < s->gap_sum_count && !isnan(s->gap_sums[i]))
            r->e2e_s = r->ttft_s + s->gap_sums[i];
        rt_log_row_complete(r);
    }
}

/* ---- a request an object ---- */

/* KEY at the top: a column of this name. `number`: the value is one. */
static bool column(struct stream *s, const char *text, size_t len, const double *number)
{
    struct rt_log_builder *b = s->builder;
    const struct level *l = &s->level[0];
    enum rt_log_field f;
    double value;

    if (number != NULL && is(l, "duration")) {
        b->log->duration_s = *number;
        return true;
    }
    if (!rt_log_mapping_see(s->mapping, l->key, strlen(l->key), RT_LOG_ANYWHERE, &f, s->err))
        return false;
    if (f == RT_LOG_FIELD_COUNT)
        return true;
    if (f == RT_LOG_ID)
        rt_log_row_id(b, text, len);
    else if (f == RT_LOG_ERROR)
        b->row.ok = b->row.ok && len == 0;
    else if (number == NULL)
        return rt_fail(s->err, RT_ETRACE, "%s: expected a number, read \"%.*s\"", l->key,
                       (int)(len < 40 ? len : 40), text);
    else {
        value = f == RT_LOG_PROMPT || f == RT_LOG_OUTPUT ? *number
                                                         : *number * s->mapping->field[f].scale;
        return rt_log_row_set(&b->row, f, value, s->err) || rt_fail_in(s->err, "%s", l->key);
    }
    return true;
}

static bool metadata(struct stream *s, const char *text, size_t len, const double *number)
{
    const struct level *l = &s->level[1];

    if (is(l, "session_num"))
        rt_log_row_id(s->builder, text, len);
    if (is(l, "benchmark_phase"))
        s->warm_up = len == 6 && memcmp(text, "warmup", 6) == 0;
    if (is(l, "request_start_ns") && number != NULL)
        return rt_log_row_set(&s->builder->row, RT_LOG_ARRIVAL, *number * 1e-9, s->err) ||
               rt_fail_in(s->err, "request_start_ns");
    return true;
}

static double unit_scale(const char *text, size_t len)
{
    static const struct {
        const char *name;
        double scale;
    } units[] = {{"ms", 1e-3}, {"s", 1}, {"sec", 1}, {"us", 1e-6}, {"ns", 1e-9}, {"tokens", 1}};

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strlen(units[i].name) == len && memcmp(units[i].name, text, len) == 0)
            return units[i].scale;
    return (double)NAN;
}

static bool metric_begins(struct stream *s)
{
    s->has_metrics = true;
    s->value = s->scale = (double)NAN;
    s->gaps_begin = s->builder->gap_count;
    return true;
}

static bool metric_part(struct stream *s, const char *text, size_t len, const double *number)
{
    if (is(&s->level[2], "value") && number != NULL)
        s->value = *number;
    if (is(&s->level[2], "unit"))
        s->scale = unit_scale(text, len);
    return true;
}

static bool metric_ends(struct stream *s)
{
    const char *name = s->level[1].key;

    if (s->builder->gap_count > s->gaps_begin)
        return (!isnan(s->scale) ||
                rt_fail(s->err, RT_ETRACE, "%s: expected a unit of time", name)) &&
               rt_log_scale_gaps(s->builder, s->gaps_begin, s->scale, s->err);
    if (isnan(s->value))
        return true;
    for (size_t i = 0; i < sizeof aiperf_metrics / sizeof aiperf_metrics[0]; i++) {
        if (strcmp(aiperf_metrics[i].name, name) != 0)
            continue;
        if (isnan(s->scale))
            return rt_fail(s->err, RT_ETRACE, "%s: expected the unit ms, s, us, ns or tokens",
                           name);
        return rt_log_row_set(&s->builder->row, aiperf_metrics[i].field, s->value * s->scale,
                              s->err) ||
               rt_fail_in(s->err, "%s", name);
    }
    return true;
}

/* ---- the stream ---- */

static bool object_begins(struct stream *s)
{
    if (s->was_vllm)
        return rt_fail(s->err, RT_ETRACE, "expected one result, read a second one");
    s->has_arrays = s->warm_up = false;
    rt_log_row_begin(s->builder);
    return true;
}

static bool object_ends(struct stream *s)
{
    if (s->has_arrays) {
        s->was_vllm = true;
        end_arrays(s);
        return true;
    }
    return s->warm_up || rt_log_row_end(s->builder, s->err);
}

static bool in_array_of_vllm(const struct stream *s)
{
    return s->depth >= 2 && s->level[1].array;
}

static bool scalar(struct stream *s, const char *text, size_t len, const double *number)
{
    const struct level *l = s->level;

    if (s->depth == 0)
        return rt_fail(s->err, RT_ETRACE, "expected an object, read a value");
    if (s->depth == 1)
        return column(s, text, len, number);
    if (s->depth == 2 && l[1].array)
        return number != NULL ? array_number(s, *number) : array_error(s, len);
    if (s->depth == 2 && is(&l[0], "metadata"))
        return metadata(s, text, len, number);
    if (s->depth == 3 && in_array_of_vllm(s) && l[2].array && is(&l[0], "itls") && number != NULL)
        return rt_log_gap(s->builder, *number, s->err) && sum_gap(s, l[1].index, *number);
    if (s->depth == 3 && is(&l[0], "metrics") && !l[1].array && !l[2].array)
        return metric_part(s, text, len, number);
    if (s->depth == 4 && is(&l[0], "metrics") && is(&l[1], "inter_chunk_latency") &&
        is(&l[2], "value") && l[3].array && number != NULL)
        return rt_log_gap(s->builder, *number, s->err);
    return true;
}

/* The value at this place was read: the next element of an array. */
static int done(struct stream *s, bool ok)
{
    if (s->depth > 0 && s->depth <= LEVELS && s->level[s->depth - 1].array)
        s->level[s->depth - 1].index++;
    return ok;
}

static int on_null(void *user)
{
    return done(user, true);
}

static int on_boolean(void *user, int value)
{
    double number = value;

    return done(user, scalar(user, "", 0, &number));
}

static int on_number(void *user, const char *text, size_t len)
{
    double number;

    if (!rt_records_number(text, len, &number)) {
        struct stream *s = user;
        return rt_fail(s->err, RT_ETRACE, "expected a number that a double holds, read %.*s",
                       (int)(len < 40 ? len : 40), text);
    }
    return done(user, scalar(user, text, len, &number));
}

static int on_string(void *user, const unsigned char *text, size_t len)
{
    return done(user, scalar(user, (const char *)text, len, NULL));
}

static bool is_vllm_array(const struct level *l)
{
    for (size_t i = 0; i < sizeof vllm_arrays / sizeof vllm_arrays[0]; i++)
        if (is(l, vllm_arrays[i].name))
            return true;
    return false;
}

static int open_container(struct stream *s, bool array)
{
    bool ok = true;

    if (s->depth == 0)
        ok = array ? rt_fail(s->err, RT_ETRACE, "expected an object, read an array")
                   : object_begins(s);
    else if (s->depth == 1 && array && is_vllm_array(&s->level[0]))
        s->has_arrays = true;
    else if (s->depth == 1 && !array && is(&s->level[0], "error"))
        s->builder->row.ok = false;
    else if (s->depth == 2 && !array && is(&s->level[0], "metrics"))
        ok = metric_begins(s);
    if (ok && s->depth == MAX_DEPTH)
        ok = rt_fail(s->err, RT_ETRACE, "expected nesting of at most %d, read more", MAX_DEPTH);
    if (s->depth < LEVELS)
        s->level[s->depth] = (struct level){.array = array};
    s->depth++;
    return ok;
}

static int on_start_map(void *user)
{
    return open_container(user, false);
}

static int on_start_array(void *user)
{
    return open_container(user, true);
}

static int on_key(void *user, const unsigned char *text, size_t len)
{
    struct stream *s = user;

    if (s->depth <= LEVELS)
        snprintf(s->level[s->depth - 1].key, KEY_SIZE, "%.*s",
                 (int)(len < KEY_SIZE ? len : KEY_SIZE - 1), (const char *)text);
    return 1;
}

static int on_end(void *user)
{
    struct stream *s = user;
    bool ok = true;

    s->depth--;
    if (s->depth == 2 && is(&s->level[0], "metrics") && !s->level[1].array)
        ok = metric_ends(s);
    if (s->depth == 0)
        return object_ends(s);
    return done(s, ok);
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end,
};

/* What yajl says about the text: its first line, without its picture of the place. */
static void syntax_error(yajl_handle y, struct stream *s)
{
    unsigned char *text = yajl_get_error(y, 0, NULL, 0);
    const char *message = text != NULL ? (const char *)text : "malformed";

    rt_fail(s->err, RT_ETRACE, "not JSON: %.*s", (int)strcspn(message, "\n"), message);
    yajl_free_error(y, text);
}

static bool feed(yajl_handle y, struct stream *s, const struct rt_records *r, const char *text,
                 size_t len)
{
    yajl_status status = yajl_parse(y, (const unsigned char *)text, len);
    size_t at = yajl_get_bytes_consumed(y);

    if (status == yajl_status_ok)
        status = yajl_parse(y, (const unsigned char *)"\n", 1);
    if (status == yajl_status_ok)
        return true;
    if (status == yajl_status_error)
        syntax_error(y, s);
    return rt_records_fail_in(r, at > 0 && at <= len ? at - 1 : 0, s->err);
}

static bool read_lines(yajl_handle y, struct stream *s, struct rt_records *r)
{
    const char *text;
    size_t len;
    int found;

    while ((found = rt_records_line(r, &text, &len, s->err)) > 0)
        if (!feed(y, s, r, text, len))
            return false;
    if (found < 0)
        return false;
    if (s->depth > 0)
        return rt_fail(s->err, RT_ETRACE,
                       "expected the end of an object, read the end of the file") ||
               rt_records_fail_in(r, 0, s->err);
    if (!s->was_vllm && !isnan(s->builder->log->duration_s))
        return rt_fail(s->err, RT_ETRACE,
                       "expected figures of each request, read a summary: vLLM"
                       " writes them with --save-detailed") ||
               rt_records_fail_in(r, 0, s->err);
    return s->was_vllm || s->has_metrics || rt_log_mapping_check(s->mapping, s->err) ||
           rt_records_fail_in(r, 0, s->err);
}

bool rt_log_read_json(struct rt_records *r, struct rt_log_mapping *m, struct rt_log_builder *b,
                      struct rt_err *err)
{
    struct stream s = {.mapping = m, .builder = b, .err = err};
    yajl_handle y = yajl_alloc(&callbacks, NULL, &s);
    bool ok;

    if (y == NULL)
        return rt_fail_nomem(err, "a measured log");
    yajl_config(y, yajl_allow_multiple_values, 1);
    ok = read_lines(y, &s, r);
    yajl_free(y);
    free(s.gap_sums);
    return ok;
}
