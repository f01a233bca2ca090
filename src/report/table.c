/* The table vLLM's `bench serve` prints (vllm/benchmarks/serve.py), label by label, so that people
 * and their scripts find what they know; then a block of what only a simulator can tell. Everything
 * comes from the summary, hence from the database. O(1). */
#include "report_internal.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define WIDTH 50
#define LABEL 40

/* A title in the middle of a line of `fill`, as Python centers: the odd one goes to the right. */
static void banner(FILE *out, const char *title, char fill)
{
    size_t length = strlen(title);
    size_t left = (WIDTH - length) / 2;

    for (size_t i = 0; i < left; i++)
        fputc(fill, out);
    fputs(title, out);
    for (size_t i = left + length; i < WIDTH; i++)
        fputc(fill, out);
    fputc('\n', out);
}

static void count_line(FILE *out, const char *label, int64_t value)
{
    if (value >= 0)
        rt_emit(out, "%-*s %" PRId64 "\n", LABEL, label, value);
}

static void real_line(FILE *out, const char *label, double value)
{
    if (!isnan(value))
        rt_emit(out, "%-*s %.2f\n", LABEL, label, value);
}

/* A count that is worth a line only when there is something to tell. */
static void event_line(FILE *out, const char *label, int64_t value)
{
    if (value > 0)
        count_line(out, label, value);
}

static void metric_block(FILE *out, const char *title, const char *name,
                         const struct rt_summary_metric *m)
{
    char label[64];

    if (isnan(m->mean))
        return; /* no request has such a figure */
    banner(out, title, '-');
    snprintf(label, sizeof label, "Mean %s (ms):", name);
    real_line(out, label, m->mean);
    snprintf(label, sizeof label, "Median %s (ms):", name);
    real_line(out, label, m->median);
    snprintf(label, sizeof label, "P99 %s (ms):", name);
    real_line(out, label, m->p99);
}

static void vllm_lines(FILE *out, const struct rt_run_summary *s)
{
    count_line(out, "Successful requests:", s->completed);
    count_line(out, "Failed requests:", s->failed);
    real_line(out, "Benchmark duration (s):", s->duration_s);
    count_line(out, "Total input tokens:", s->input_tokens);
    count_line(out, "Total generated tokens:", s->output_tokens);
    real_line(out, "Request throughput (req/s):", s->request_throughput);
    real_line(out, "Request goodput (req/s):", s->request_goodput);
    real_line(out, "Output token throughput (tok/s):", s->output_throughput);
    real_line(out, "Peak output token throughput (tok/s):", s->peak_output_tokens_per_s);
    if (s->peak_in_flight >= 0)
        real_line(out, "Peak concurrent requests:", (double)s->peak_in_flight);
    real_line(out, "Total token throughput (tok/s):", s->total_throughput);
}

/* Texts may be longer than rt_emit takes. */
static void text_line(FILE *out, const char *label, const char *text)
{
    if (text[0] == '\0')
        return;
    rt_emit(out, "%-*s ", LABEL, label);
    fputs(text, out);
    fputc('\n', out);
}

/* Four significant digits: a run of a minute costs cents, a month's trace thousands. */
static void money_line(FILE *out, const char *label, double value)
{
    if (!isnan(value))
        rt_emit(out, "%-*s %.4g\n", LABEL, label, value);
}

/* What the fleet cost, as far as its prices and powers are known. */
static void spend_lines(FILE *out, const struct rt_run_summary *s)
{
    if (isnan(s->cost_usd) && isnan(s->energy_kwh))
        return;
    banner(out, "Money and power", '-');
    money_line(out, "GPU hours billed:", s->gpu_hours);
    if (s->cost_low_usd < s->cost_high_usd)
        rt_emit(out, "%-*s %.4g (%.4g to %.4g)\n", LABEL, "Cost (USD):", s->cost_usd,
                s->cost_low_usd, s->cost_high_usd);
    else
        money_line(out, "Cost (USD):", s->cost_usd);
    money_line(out, "USD per million output tokens:", s->usd_per_million_output_tokens);
    money_line(out, "USD per million prompt tokens:", s->usd_per_million_prompt_tokens);
    money_line(out, "USD per million tokens:", s->usd_per_million_tokens);
    money_line(out, "Energy (kWh):", s->energy_kwh);
    money_line(out, "Carbon (gCO2e):", s->gco2);
}

static void own_lines(FILE *out, const struct rt_run_summary *s)
{
    banner(out, "Simulation", '-');
    if (strcmp(s->status, "complete") != 0) {
        text_line(out, "Run status:", s->status);
        text_line(out, "Message:", s->message);
    }
    text_line(out, "Model:", s->model);
    text_line(out, "GPU:", s->gpu);
    count_line(out, "GPUs:", s->gpus);
    count_line(out, "Replicas:", s->replicas);
    count_line(out, "KV blocks:", s->kv_blocks);
    event_line(out, "Rejected requests:", s->rejected);
    event_line(out, "Timed out requests:", s->timed_out);
    event_line(out, "Cancelled requests:", s->cancelled);
    event_line(out, "Requests lost with their replica:", s->lost_requests);
    event_line(out, "Requests sent again:", s->retries);
    event_line(out, "Unfinished requests:", s->unfinished);
    event_line(out, "Changes of the fleet:", s->fleet_changes);
    if (s->fleet_changes > 0)
        real_line(out, "GPU seconds billed:", s->gpu_hours * 3600);
    count_line(out, "Preemptions:", s->preemptions);
    event_line(out, "Preemptions without progress:", s->stalled_preemptions);
    event_line(out, "Prompt tokens from prefix cache:", s->cached_tokens);
    event_line(out, "Prompts of 0 tokens taken as 1:", s->zero_prompt);
    event_line(out, "Outputs of 0 tokens taken as 1:", s->zero_output);
    event_line(out, "Trace rows out of order:", s->unsorted);
    count_line(out, "Engine steps:", s->steps);
    real_line(out, "Wall time (s):", s->wall_s);
}

void rt_report_table(const struct rt_run_summary *s, bool with_e2el, FILE *out)
{
    banner(out, " Serving Benchmark Result ", '=');
    vllm_lines(out, s);
    metric_block(out, "Time to First Token", "TTFT", &s->ttft);
    metric_block(out, "Time per Output Token (excl. 1st token)", "TPOT", &s->tpot);
    metric_block(out, "Inter-token Latency", "ITL", &s->itl);
    if (with_e2el)
        metric_block(out, "End-to-end Latency", "E2EL", &s->e2e);
    own_lines(out, s);
    spend_lines(out, s);
    banner(out, "", '=');
}
