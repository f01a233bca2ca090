/* Two logs side by side: sort both, walk them together, gather what both sides have.
 *
 * Values of the pairs go into arrays (8 bytes a pair and side), whose statistics are those of
 * statistics.c. An error is a share of log a, the truth. O(n log n). */
#include "rooftrace/compare.h"
#include "request_log_internal.h"
#include "results_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct pairs { /* rows of a and b at the same index belong together */
    struct rt_log_row **a, **b;
    size_t count;
};

double rt_compare_error(double a, double b)
{
    return a > 0 && isfinite(b) ? b / a - 1 : (double)NAN;
}

static int sign(double a, double b)
{
    return (a > b) - (a < b);
}

static int by_id(const void *x, const void *y)
{
    const struct rt_log_row *a = x, *b = y;

    return a->id != b->id ? (a->id > b->id) - (a->id < b->id)
                          : (a->place > b->place) - (a->place < b->place);
}

static int by_place(const void *x, const void *y)
{
    const struct rt_log_row *a = x, *b = y;

    return (a->place > b->place) - (a->place < b->place);
}

static int by_arrival(const void *x, const void *y)
{
    const struct rt_log_row *a = x, *b = y;
    int order = sign(a->arrival_s, b->arrival_s);

    return order != 0 ? order : by_place(x, y);
}

static bool sort_by_id(struct rt_request_log *log, struct rt_err *err)
{
    if (!log->has_ids)
        return rt_fail(err, RT_EUSAGE, "%s has no numbered ids: compare by order", log->name);
    qsort(log->rows, log->count, sizeof log->rows[0], by_id);
    for (size_t i = 1; i < log->count; i++)
        if (log->rows[i].id == log->rows[i - 1].id)
            return rt_fail(
                err, RT_ETRACE,
                "%s: request %" PRIu64 " is there twice, as number %" PRIu64 " and %" PRIu64,
                log->name, log->rows[i].id, log->rows[i - 1].place + 1, log->rows[i].place + 1);
    return true;
}

static void sort_by_order(struct rt_request_log *log)
{
    qsort(log->rows, log->count, sizeof log->rows[0], log->has_arrivals ? by_arrival : by_place);
}

static void pair(struct pairs *p, struct rt_log_row *a, struct rt_log_row *b)
{
    p->a[p->count] = a;
    p->b[p->count++] = b;
}

static void walk_ids(struct rt_request_log *a, struct rt_request_log *b, struct pairs *p)
{
    for (size_t i = 0, j = 0; i < a->count && j < b->count;) {
        if (a->rows[i].id == b->rows[j].id)
            pair(p, &a->rows[i++], &b->rows[j++]);
        else if (a->rows[i].id < b->rows[j].id)
            i++;
        else
            j++;
    }
}

static bool make_pairs(struct rt_request_log *a, struct rt_request_log *b, bool ids,
                       struct pairs *p, struct rt_err *err)
{
    size_t least = a->count < b->count ? a->count : b->count;

    p->a = calloc(least + 1, sizeof(struct rt_log_row *));
    p->b = calloc(least + 1, sizeof(struct rt_log_row *));
    if (p->a == NULL || p->b == NULL)
        return rt_fail_nomem(err, "pairs of requests");
    if (ids) {
        if (!sort_by_id(a, err) || !sort_by_id(b, err))
            return false;
        walk_ids(a, b, p);
        if (p->count == 0)
            return rt_fail(err, RT_ETRACE,
                           "%s and %s have no request in common: ids from %" PRIu64 " to %" PRIu64
                           ", and from %" PRIu64 " to %" PRIu64 "; compare them by order?",
                           a->name, b->name, a->rows[0].id, a->rows[a->count - 1].id, b->rows[0].id,
                           b->rows[b->count - 1].id);
        return true;
    }
    sort_by_order(a);
    sort_by_order(b);
    for (size_t i = 0; i < least; i++)
        pair(p, &a->rows[i], &b->rows[i]);
    return true;
}

/* Keeps the pairs that finished on both sides. */
static void count_pairs(struct pairs *p, struct rt_comparison *out)
{
    size_t kept = 0;

    out->pairs = p->count;
    for (size_t i = 0; i < p->count; i++) {
        const struct rt_log_row *a = p->a[i], *b = p->b[i];
        out->failed_a += !a->ok;
        out->failed_b += !b->ok;
        if (!a->ok || !b->ok)
            continue;
        p->a[kept] = p->a[i];
        p->b[kept++] = p->b[i];
        out->tokens_differ += (a->prompt_tokens >= 0 && a->prompt_tokens != b->prompt_tokens) ||
                              (a->output_tokens >= 0 && a->output_tokens != b->output_tokens);
    }
    out->compared = p->count = kept;
}

static double value_of(const struct rt_log_row *r, enum rt_compared metric)
{
    switch (metric) {
    case RT_COMPARED_TTFT:
        return r->ttft_s;
    case RT_COMPARED_TPOT:
        return r->tpot_s;
    case RT_COMPARED_E2E:
        return r->e2e_s;
    case RT_COMPARED_ITL:
        break;
    }
    return (double)NAN;
}

/* keys: room for the pairs, scratch as well. */
static void stats_of_errors(const struct pairs *p, enum rt_compared metric, uint64_t *keys,
                            uint64_t *scratch, struct rt_compared_metric *out)
{
    struct rt_log_stats errors;
    size_t n = 0;

    for (size_t i = 0; i < p->count; i++) {
        double error = rt_compare_error(value_of(p->a[i], metric), value_of(p->b[i], metric));
        if (!isnan(error))
            keys[n++] = rt_key_of(fabs(error));
    }
    rt_log_stats_of(keys, scratch, n, &errors);
    out->errors = n;
    out->median_abs_error = errors.p50;
    out->mean_abs_error = errors.mean;
    out->p90_abs_error = errors.p90;
}

static void stats_of_side(const struct pairs *p, bool of_b, enum rt_compared metric, uint64_t *keys,
                          uint64_t *scratch, struct rt_log_stats *out)
{
    size_t n = 0;

    for (size_t i = 0; i < p->count; i++) {
        double a = value_of(p->a[i], metric), b = value_of(p->b[i], metric);
        if (!isnan(a) && !isnan(b))
            keys[n++] = rt_key_of((of_b ? b : a) + 0.0);
    }
    rt_log_stats_of(keys, scratch, n, out);
}

/* From the first arrival to the last token, of one side of the pairs; NaN when not told. */
static double span_s(struct rt_log_row *const *rows, size_t n)
{
    double first = (double)INFINITY, last = -(double)INFINITY;

    for (size_t i = 0; i < n; i++) {
        if (isnan(rows[i]->arrival_s) || isnan(rows[i]->e2e_s))
            return (double)NAN;
        first = fmin(first, rows[i]->arrival_s);
        last = fmax(last, rows[i]->arrival_s + rows[i]->e2e_s);
    }
    return last > first ? last - first : (double)NAN;
}

/* Tokens of a side; NaN where a row does not tell. */
static double tokens_of(struct rt_log_row *const *rows, size_t n, bool prompts)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        int64_t tokens = prompts ? rows[i]->prompt_tokens : rows[i]->output_tokens;
        sum += tokens >= 0 ? (double)tokens : (double)NAN;
    }
    return sum;
}

static void rates(const struct pairs *p, double duration_a_s, struct rt_comparison *out)
{
    size_t n = p->count;
    double span_a = span_s(p->a, n), span_b = span_s(p->b, n);
    double out_a = tokens_of(p->a, n, false), out_b = tokens_of(p->b, n, false);

    if (isnan(span_a) && duration_a_s > 0)
        span_a = duration_a_s;
    out->requests = (struct rt_compared_rate){(double)n / span_a, (double)n / span_b};
    out->output_tokens = (struct rt_compared_rate){out_a / span_a, out_b / span_b};
    out->total_tokens = (struct rt_compared_rate){(out_a + tokens_of(p->a, n, true)) / span_a,
                                                  (out_b + tokens_of(p->b, n, true)) / span_b};
}

static bool measure(const struct pairs *p, struct rt_comparison *out, struct rt_err *err)
{
    static const enum rt_compared of_pairs[] = {RT_COMPARED_TTFT, RT_COMPARED_TPOT,
                                                RT_COMPARED_E2E};
    uint64_t *keys = malloc((2 * p->count + 1) * sizeof *keys);

    if (keys == NULL)
        return rt_fail_nomem(err, "pairs of requests");
    for (size_t i = 0; i < sizeof of_pairs / sizeof of_pairs[0]; i++) {
        struct rt_compared_metric *m = &out->metric[of_pairs[i]];
        stats_of_side(p, false, of_pairs[i], keys, keys + p->count, &m->a);
        stats_of_side(p, true, of_pairs[i], keys, keys + p->count, &m->b);
        stats_of_errors(p, of_pairs[i], keys, keys + p->count, m);
    }
    free(keys);
    return true;
}

static void name_logs(const struct rt_request_log *a, const struct rt_request_log *b,
                      struct rt_comparison *out)
{
    struct rt_err text = {0}; /* cuts at a border of characters and keeps control characters out */

    rt_fail(&text, RT_EIO, "%.240s", a->name);
    snprintf(out->a, sizeof out->a, "%.255s", text.msg);
    rt_fail(&text, RT_EIO, "%.240s", b->name);
    snprintf(out->b, sizeof out->b, "%.255s", text.msg);
}

bool rt_compare(struct rt_request_log *a, struct rt_request_log *b, enum rt_compare_by by,
                struct rt_comparison *out, struct rt_err *err)
{
    struct pairs p = {NULL, NULL, 0};
    bool ids = by == RT_COMPARE_ID || (by == RT_COMPARE_AUTO && a->has_ids && b->has_ids);
    bool ok = make_pairs(a, b, ids, &p, err);
    double nan = (double)NAN;

    *out = (struct rt_comparison){.by_id = ids, .requests_a = a->count, .requests_b = b->count};
    if (ok) {
        name_logs(a, b, out);
        count_pairs(&p, out);
        out->only_a = a->count - out->pairs;
        out->only_b = b->count - out->pairs;
        out->metric[RT_COMPARED_ITL] =
            (struct rt_compared_metric){a->itl, b->itl, 0, nan, nan, nan};
        rates(&p, a->duration_s, out);
        ok = measure(&p, out, err);
    }
    free(p.a);
    free(p.b);
    return ok;
}
