/* The same as vLLM's result file: its keys, so that its plotting scripts read it, and ours beside
 * them.
 *
 * Written by hand, not through cJSON, which has no integers beyond 2^53 and chooses its own digits:
 * doubles have 17 significant digits and read back to the same bits; NaN is null. Text is escaped,
 * and bytes that are not UTF-8 become U+FFFD, so the output is JSON whatever the database holds.
 * O(1). */
#include "report_internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct object { /* an object that is being written */
    FILE *out;
    bool first;
};

static void key(struct object *o, const char *name)
{
    rt_emit(o->out, "%s\n  \"%s\": ", o->first ? "{" : ",", name);
    o->first = false;
}

/* -1: the run has no such figure. */
static void put_count(struct object *o, const char *name, int64_t value)
{
    key(o, name);
    if (value < 0)
        fputs("null", o->out);
    else
        rt_emit(o->out, "%" PRId64, value);
}

static void put_real(struct object *o, const char *name, double value)
{
    key(o, name);
    if (isfinite(value))
        rt_emit(o->out, "%.17g", value);
    else
        fputs("null", o->out);
}

/* Bytes of the UTF-8 character at p, 0 when there is none. The first byte says how many follow, and
 * limits the second, which keeps out overlong forms, surrogates and what lies above U+10FFFF (RFC
 * 3629, section 4). The text ends in a NUL, which never follows. */
static unsigned character(const unsigned char *p)
{
    static const struct {
        unsigned char first, last, low, high; /* range of the first byte, range of the second */
        unsigned bytes;
    } forms[] = {
        {0x00, 0x7F, 0x00, 0xFF, 1}, {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3},
        {0xE1, 0xEC, 0x80, 0xBF, 3}, {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3},
        {0xF0, 0xF0, 0x90, 0xBF, 4}, {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
    };
    size_t form = 0;
    unsigned n = 1;

    while (form < sizeof forms / sizeof forms[0] &&
           (p[0] < forms[form].first || p[0] > forms[form].last))
        form++;
    if (form == sizeof forms / sizeof forms[0])
        return 0;
    if (forms[form].bytes > 1 && p[1] >= forms[form].low && p[1] <= forms[form].high)
        for (n = 2; n < forms[form].bytes && (p[n] & 0xC0u) == 0x80u;)
            n++;
    return n == forms[form].bytes ? n : 0;
}

static void escape(FILE *out, const unsigned char *p)
{
    if (*p == '"' || *p == '\\')
        rt_emit(out, "\\%c", *p);
    else if (*p < 0x20 || *p == 0x7F)
        rt_emit(out, "\\u%04x", *p);
    else
        fputc(*p, out);
}

void rt_emit_text(FILE *out, const char *text)
{
    const unsigned char *p = (const unsigned char *)text;

    fputc('"', out);
    while (*p != '\0') {
        unsigned n = character(p);
        if (n == 0) {
            fputs("\\ufffd", out);
            p++;
        } else if (n == 1) {
            escape(out, p++);
        } else {
            fwrite(p, 1, n, out);
            p += n;
        }
    }
    fputc('"', out);
}

/* "": the run has no such text. */
static void put_text(struct object *o, const char *name, const char *text)
{
    key(o, name);
    if (*text == '\0')
        fputs("null", o->out);
    else
        rt_emit_text(o->out, text);
}

/* mean_ttft_ms, median_ttft_ms, ... : percentiles are named as vLLM names them. */
static void put_metric(struct object *o, const char *name, const struct rt_summary_metric *m)
{
    const struct {
        const char *prefix;
        double value;
    } figures[] = {{"mean", m->mean}, {"median", m->median}, {"std", m->std},    {"p90", m->p90},
                   {"p95", m->p95},   {"p99", m->p99},       {"p99.9", m->p999}, {"max", m->max}};

    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
        char full[64];
        snprintf(full, sizeof full, "%s_%s_ms", figures[i].prefix, name);
        put_real(o, full, figures[i].value);
    }
}

static void put_vllm(struct object *o, const struct rt_run_summary *s)
{
    put_text(o, "label", s->label);
    put_text(o, "model_id", s->model);
    put_count(o, "num_prompts", s->requests);
    put_real(o, "duration", s->duration_s);
    put_count(o, "completed", s->completed);
    put_count(o, "failed", s->failed);
    put_count(o, "total_input_tokens", s->input_tokens);
    put_count(o, "total_output_tokens", s->output_tokens);
    put_real(o, "request_throughput", s->request_throughput);
    put_real(o, "request_goodput", s->request_goodput);
    put_real(o, "output_throughput", s->output_throughput);
    put_real(o, "total_token_throughput", s->total_throughput);
    put_real(o, "max_output_tokens_per_s", s->peak_output_tokens_per_s);
    put_count(o, "max_concurrent_requests", s->peak_in_flight);
    put_metric(o, "ttft", &s->ttft);
    put_metric(o, "tpot", &s->tpot);
    put_metric(o, "itl", &s->itl);
    put_metric(o, "e2el", &s->e2e);
}

static void put_own(struct object *o, const struct rt_run_summary *s)
{
    put_count(o, "run_id", s->run_id);
    put_text(o, "status", s->status);
    put_text(o, "message", s->message);
    put_text(o, "trace", s->trace);
    put_text(o, "gpu", s->gpu);
    put_count(o, "gpus", s->gpus);
    put_count(o, "replicas", s->replicas);
    put_count(o, "kv_blocks", s->kv_blocks);
    put_count(o, "rejected", s->rejected);
    put_count(o, "timed_out", s->timed_out);
    put_count(o, "cancelled", s->cancelled);
    put_count(o, "unfinished", s->unfinished);
    put_count(o, "lost_requests", s->lost_requests);
    put_count(o, "retries", s->retries);
    put_count(o, "fleet_changes", s->fleet_changes);
    put_count(o, "preemptions", s->preemptions);
    put_count(o, "cached_tokens", s->cached_tokens);
    put_count(o, "steps", s->steps);
    put_count(o, "rows_read", s->rows_read);
    put_count(o, "zero_prompt", s->zero_prompt);
    put_count(o, "zero_output", s->zero_output);
    put_count(o, "unsorted", s->unsorted);
    put_count(o, "stalled_requests", s->stalled_requests);
    put_count(o, "stalled_preemptions", s->stalled_preemptions);
    put_count(o, "self_checks", s->checks);
    put_count(o, "self_checks_failed", s->checks_failed);
    put_real(o, "gpu_hours", s->gpu_hours);
    put_real(o, "cost_usd", s->cost_usd);
    put_real(o, "cost_low_usd", s->cost_low_usd);
    put_real(o, "cost_high_usd", s->cost_high_usd);
    put_real(o, "usd_per_million_output_tokens", s->usd_per_million_output_tokens);
    put_real(o, "usd_per_million_prompt_tokens", s->usd_per_million_prompt_tokens);
    put_real(o, "usd_per_million_tokens", s->usd_per_million_tokens);
    put_real(o, "energy_kwh", s->energy_kwh);
    put_real(o, "gco2", s->gco2);
    put_real(o, "wall_s", s->wall_s);
}

bool rt_report_json(const struct rt_run_summary *s, FILE *out, struct rt_err *err)
{
    struct object o = {out, true};

    put_vllm(&o, s);
    put_own(&o, s);
    fputs("\n}\n", out);
    return (fflush(out) == 0 && !ferror(out)) ||
           rt_fail(err, RT_EIO, "the result cannot be written");
}
