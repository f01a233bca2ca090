/* A comparison of two logs of requests as a table for people and as JSON. O(1). */
#include "report_internal.h"

#include "rooftrace/compare.h"

#include <inttypes.h>
#include <math.h>

static const struct {
    enum rt_compared metric;
    const char *label, *key;
} metrics[] = {{RT_COMPARED_TTFT, "TTFT", "ttft_s"},
               {RT_COMPARED_TPOT, "TPOT", "tpot_s"},
               {RT_COMPARED_ITL, "ITL", "itl_s"},
               {RT_COMPARED_E2E, "E2E", "e2e_s"}};
#define METRICS (sizeof metrics / sizeof metrics[0])

#define STATISTICS 5
static const char *const statistics[STATISTICS] = {"mean", "p50", "p90", "p95", "p99"};

static void values_of(const struct rt_log_stats *s, double out[STATISTICS])
{
    out[0] = s->mean;
    out[1] = s->p50;
    out[2] = s->p90;
    out[3] = s->p95;
    out[4] = s->p99;
}

/* ---- a table ---- */

static void percent(FILE *out, int width, bool with_sign, double share)
{
    if (isnan(share))
        rt_emit(out, "%*s", width, "-");
    else
        rt_emit(out, with_sign ? "%+*.2f" : "%*.2f", width, 100 * share);
}

static void row(FILE *out, const char *name, double a, double b)
{
    rt_emit(out, "%-24s %14.6g %14.6g ", name, a, b);
    percent(out, 9, true, rt_compare_error(a, b));
    rt_emit(out, "\n");
}

static void metric_rows(FILE *out, const char *label, const struct rt_compared_metric *m)
{
    double a[STATISTICS], b[STATISTICS];

    if (m->a.count == 0 || m->b.count == 0)
        return;
    values_of(&m->a, a);
    values_of(&m->b, b);
    for (int i = 0; i < STATISTICS; i++) {
        char name[32];
        snprintf(name, sizeof name, "%s %s (ms)", label, statistics[i]);
        row(out, name, a[i] * 1e3, b[i] * 1e3);
    }
}

static void rate_row(FILE *out, const char *name, const struct rt_compared_rate *r)
{
    if (!isnan(r->a) && !isnan(r->b))
        row(out, name, r->a, r->b);
}

static void count_row(FILE *out, const char *label, uint64_t count)
{
    if (count > 0)
        rt_emit(out, "%-46s %10" PRIu64 "\n", label, count);
}

static void counts(FILE *out, const struct rt_comparison *c)
{
    rt_emit(out, "a: %s, %" PRIu64 " requests\n", c->a, c->requests_a);
    rt_emit(out, "b: %s, %" PRIu64 " requests\n", c->b, c->requests_b);
    rt_emit(out, "%-46s %10" PRIu64 "\n",
            c->by_id ? "Compared, paired by id:" : "Compared, paired by order:", c->compared);
    count_row(out, "Only in a:", c->only_a);
    count_row(out, "Only in b:", c->only_b);
    count_row(out, "Paired, but did not finish in a:", c->failed_a);
    count_row(out, "Paired, but did not finish in b:", c->failed_b);
    count_row(out, "Paired, but with other token counts:", c->tokens_differ);
}

void rt_report_comparison(const struct rt_comparison *c, FILE *out)
{
    counts(out, c);
    rt_emit(out, "\n%-24s %14s %14s %9s\n", "", "a", "b", "error %");
    for (size_t i = 0; i < METRICS; i++)
        metric_rows(out, metrics[i].label, &c->metric[metrics[i].metric]);
    rate_row(out, "Requests/s", &c->requests);
    rate_row(out, "Output tokens/s", &c->output_tokens);
    rate_row(out, "Total tokens/s", &c->total_tokens);
    rt_emit(out, "\n%-24s %14s %14s %9s\n", "Abs. error a request, %", "median", "mean", "p90");
    for (size_t i = 0; i < METRICS; i++) {
        const struct rt_compared_metric *m = &c->metric[metrics[i].metric];
        if (m->errors == 0)
            continue;
        rt_emit(out, "%-24s ", metrics[i].label);
        percent(out, 14, false, m->median_abs_error);
        rt_emit(out, " ");
        percent(out, 14, false, m->mean_abs_error);
        rt_emit(out, " ");
        percent(out, 9, false, m->p90_abs_error);
        rt_emit(out, "\n");
    }
}

/* ---- JSON ---- */

static void number(FILE *out, const char *key, double value)
{
    if (isfinite(value))
        rt_emit(out, "\"%s\": %.17g", key, value);
    else
        rt_emit(out, "\"%s\": null", key);
}

static void three(FILE *out, const char *key, double a, double b)
{
    rt_emit(out, "\"%s\": {", key);
    number(out, "a", a);
    rt_emit(out, ", ");
    number(out, "b", b);
    rt_emit(out, ", ");
    number(out, "error", rt_compare_error(a, b));
    rt_emit(out, "}");
}

static void metric_json(FILE *out, const char *key, const struct rt_compared_metric *m)
{
    double a[STATISTICS], b[STATISTICS];

    values_of(&m->a, a);
    values_of(&m->b, b);
    rt_emit(out, ",\n  \"%s\": {\"count_a\": %" PRIu64 ", \"count_b\": %" PRIu64, key, m->a.count,
            m->b.count);
    for (int i = 0; i < STATISTICS; i++) {
        rt_emit(out, ",\n    ");
        three(out, statistics[i], a[i], b[i]);
    }
    rt_emit(out, ",\n    \"errors\": %" PRIu64 ", ", m->errors);
    number(out, "median_abs_error", m->median_abs_error);
    rt_emit(out, ", ");
    number(out, "mean_abs_error", m->mean_abs_error);
    rt_emit(out, ", ");
    number(out, "p90_abs_error", m->p90_abs_error);
    rt_emit(out, "}");
}

static void counts_json(FILE *out, const struct rt_comparison *c)
{
    const struct {
        const char *key;
        uint64_t value;
    } list[] = {{"requests_a", c->requests_a},
                {"requests_b", c->requests_b},
                {"pairs", c->pairs},
                {"compared", c->compared},
                {"only_a", c->only_a},
                {"only_b", c->only_b},
                {"failed_a", c->failed_a},
                {"failed_b", c->failed_b},
                {"tokens_differ", c->tokens_differ}};

    rt_emit(out, "{\n  \"a\": ");
    rt_emit_text(out, c->a);
    rt_emit(out, ",\n  \"b\": ");
    rt_emit_text(out, c->b);
    rt_emit(out, ",\n  \"paired_by\": \"%s\"", c->by_id ? "id" : "order");
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++)
        rt_emit(out, ",\n  \"%s\": %" PRIu64, list[i].key, list[i].value);
}

bool rt_report_comparison_json(const struct rt_comparison *c, FILE *out, struct rt_err *err)
{
    const struct {
        const char *key;
        const struct rt_compared_rate *rate;
    } rates[] = {{"requests_per_s", &c->requests},
                 {"output_tokens_per_s", &c->output_tokens},
                 {"total_tokens_per_s", &c->total_tokens}};

    counts_json(out, c);
    for (size_t i = 0; i < METRICS; i++)
        metric_json(out, metrics[i].key, &c->metric[metrics[i].metric]);
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        rt_emit(out, ",\n  ");
        three(out, rates[i].key, rates[i].rate->a, rates[i].rate->b);
    }
    rt_emit(out, "\n}\n");
    return (fflush(out) == 0 && !ferror(out)) ||
           rt_fail(err, RT_EIO, "the comparison cannot be written");
}
