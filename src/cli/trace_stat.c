/* rooftrace trace stat: reads a trace file from end to end and prints what surveys of traces print:
 * how many, how fast, how bursty, how long, how much of the prompts an infinite prefix cache would
 * know, and what is odd about the log. Text for people with two small histograms, or JSON. */
#include "cli_internal.h"
#include "rooftrace/trace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BAR_WIDTH 40u

bool cli_trace_options(const struct rt_options *o, struct rt_trace_options *out, struct rt_err *err)
{
    const char *failed = rt_options_text(o, "--failed", "keep");

    *out = (struct rt_trace_options){
        .format = rt_options_text(o, "--format", "auto"),
        .columns = rt_options_text(o, "--columns", NULL),
        .block_size = (uint32_t)rt_options_int(o, "--trace-block-size", 0),
        .drop_failed = strcmp(failed, "drop") == 0,
    };
    return out->drop_failed || strcmp(failed, "keep") == 0 ||
           rt_fail(err, RT_EUSAGE, "--failed: expected keep or drop, read \"%.64s\"", failed);
}

static void row_count(const char *what, uint64_t value)
{
    if (value > 0)
        printf("%-26s %" PRIu64 "\n", what, value);
}

static void table_lengths(const char *what, const struct rt_trace_lengths *l)
{
    printf("%-16s %10" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64
           " %12.2f %14" PRId64 "\n",
           what, l->min, l->p50, l->p90, l->p95, l->p99, l->max, l->mean, l->sum);
}

static double hit_ratio(const struct rt_trace_prefix *p)
{
    return p->total_tokens > 0 ? (double)p->hit_tokens / (double)p->total_tokens : 0;
}

static void print_prefix(const struct rt_trace_stat *s)
{
    const struct rt_trace_prefix *p = &s->prefix;

    if (p->rows == 0)
        return;
    printf("%-26s %" PRIu64 ", %u tokens each\n", "hash ids", s->hash_ids, s->block_size);
    printf("%-26s %s%.6f (%" PRId64 " of %" PRId64 " tokens)\n", "ideal prefix hit ratio",
           p->bounded ? "at least " : "", hit_ratio(p), p->hit_tokens, p->total_tokens);
    printf("%-26s %" PRIu64 " of %" PRIu64 ", %" PRIu64 " distinct\n", "blocks hit", p->hit_blocks,
           p->total_blocks, p->distinct_blocks);
}

static void quirk_cap(const char *what, const struct rt_trace_lengths *l)
{
    if (l->capped)
        printf("  %s look capped at %" PRId64 " tokens: %" PRIu64 " requests have that many\n",
               what, l->max, l->at_max);
}

static void quirk_ids(const struct rt_trace_stat *s)
{
    const struct rt_trace_prefix *p = &s->prefix;

    if (p->rows == 0)
        return;
    if (p->ceil_rows == p->rows)
        printf("  hash ids count the last, partial block of the prompt\n");
    else if (p->floor_rows == p->rows)
        printf("  hash ids count full blocks of the prompt only\n");
    else
        printf("  hash ids do not match the prompts at %u tokens each in %" PRIu64
               " requests: see --trace-block-size\n",
               s->block_size,
               p->rows - (p->ceil_rows > p->floor_rows ? p->ceil_rows : p->floor_rows));
}

/* What somebody who replays this trace should know. */
static void print_quirks(const struct rt_trace_stat *s)
{
    printf("\nfound\n");
    if (s->resolution_ns > 0)
        printf("  time stamps are whole multiples of %g s\n", (double)s->resolution_ns / 1e9);
    if (s->step_s > 0)
        printf("  arrivals are quantised: %" PRIu64 " distinct times, %.3f s apart\n",
               s->requests - s->zero_gaps, s->step_s);
    quirk_cap("prompts", &s->prompt);
    quirk_cap("outputs", &s->output);
    quirk_ids(s);
    if (s->unsorted > 0)
        printf("  %" PRIu64 " rows come earlier than the row before\n", s->unsorted);
    if (s->zero_prompts + s->zero_outputs > 0)
        printf("  %" PRIu64 " prompts and %" PRIu64 " outputs have 0 tokens: taken as 1 in a run\n",
               s->zero_prompts, s->zero_outputs);
    if (s->counts.failed > 0)
        printf("  %" PRIu64 " requests failed in the log (--failed)\n", s->counts.failed);
    if (s->counts.left_out > 0)
        printf("  %" PRIu64 " rows were left out: dropped, or no requests\n", s->counts.left_out);
}

static void print_histogram(const char *what, const struct rt_trace_lengths *l)
{
    unsigned first = RT_TRACE_LENGTH_BINS, last = 0;
    uint64_t most = 0;

    for (unsigned i = 0; i < RT_TRACE_LENGTH_BINS; i++) {
        if (l->bins[i] == 0)
            continue;
        first = first < i ? first : i;
        last = i;
        most = most > l->bins[i] ? most : l->bins[i];
    }
    printf("\n%s tokens, requests\n", what);
    for (unsigned i = first; i <= last; i++) {
        unsigned bar = (unsigned)((double)l->bins[i] / (double)most * BAR_WIDTH + 0.5);
        printf("%14" PRIu64 " %10" PRIu64 " ", i == 0 ? 0 : UINT64_C(1) << (i - 1), l->bins[i]);
        for (unsigned k = 0; k < bar; k++)
            putchar('#');
        putchar('\n');
    }
}

static void print_table(const char *path, const struct rt_trace_stat *s, bool named)
{
    printf("%-26s %s (%s%s)\n", "trace", path, s->format, named ? "" : ", told by its first bytes");
    printf("%-26s %" PRIu64 "\n", "requests", s->requests);
    printf("%-26s %.6f\n", "duration (s)", s->duration_s);
    printf("%-26s %.2f\n", "mean rate (per minute)", s->mean_per_min);
    printf("%-26s %.0f\n", "peak rate (per minute)", s->peak_per_min);
    printf("%-26s %.3f\n", "cv of the gaps", s->cv_interarrival);
    printf("%-26s %.6f\n", "longest gap (s)", s->max_gap_s);
    printf("%-26s %" PRIu64 "\n", "gaps of zero", s->zero_gaps);
    row_count("classes", s->classes);
    row_count(s->sessions_bounded ? "sessions (at most)" : "sessions", s->sessions);
    print_prefix(s);
    printf("\n%-16s %10s %10s %10s %10s %10s %10s %12s %14s\n", "tokens", "min", "p50", "p90",
           "p95", "p99", "max", "mean", "sum");
    table_lengths("prompt", &s->prompt);
    table_lengths("output", &s->output);
    print_quirks(s);
    print_histogram("prompt", &s->prompt);
    print_histogram("output", &s->output);
}

static void json_member(const char *key, double value)
{
    printf(",\n  \"%s\": ", key);
    cli_json_number(stdout, value);
}

static void json_count(const char *key, uint64_t value)
{
    printf(",\n  \"%s\": %" PRIu64, key, value);
}

static void json_bins(const char *key, const uint64_t *bins, unsigned count)
{
    while (count > 1 && bins[count - 1] == 0)
        count--;
    printf(", \"%s\": [", key);
    for (unsigned i = 0; i < count; i++)
        printf("%s%" PRIu64, i > 0 ? ", " : "", bins[i]);
    putchar(']');
}

static void json_lengths(const char *key, const struct rt_trace_lengths *l)
{
    printf(",\n  \"%s\": {\"mean\": ", key);
    cli_json_number(stdout, l->mean);
    printf(", \"min\": %" PRId64 ", \"p50\": %" PRId64 ", \"p90\": %" PRId64 ", \"p95\": %" PRId64
           ", \"p99\": %" PRId64 ", \"max\": %" PRId64 ", \"sum\": %" PRId64
           ", \"at_max\": %" PRIu64 ", \"capped\": %s",
           l->min, l->p50, l->p90, l->p95, l->p99, l->max, l->sum, l->at_max,
           l->capped ? "true" : "false");
    json_bins("bins", l->bins, RT_TRACE_LENGTH_BINS);
    putchar('}');
}

static void json_prefix(const struct rt_trace_stat *s)
{
    const struct rt_trace_prefix *p = &s->prefix;

    if (p->rows == 0)
        return;
    printf(",\n  \"ideal_prefix_cache\": {\"ratio\": ");
    cli_json_number(stdout, hit_ratio(p));
    printf(", \"hit_tokens\": %" PRId64 ", \"total_tokens\": %" PRId64 ", \"hit_blocks\": %" PRIu64
           ", \"total_blocks\": %" PRIu64 ", \"distinct_blocks\": %" PRIu64
           ", \"block_size\": %u, \"lower_bound\": %s}",
           p->hit_tokens, p->total_tokens, p->hit_blocks, p->total_blocks, p->distinct_blocks,
           s->block_size, p->bounded ? "true" : "false");
}

static void print_json(const char *path, const struct rt_trace_stat *s)
{
    fputs("{\n  \"trace\": ", stdout);
    cli_json_text(stdout, path);
    fputs(",\n  \"format\": ", stdout);
    cli_json_text(stdout, s->format);
    json_count("requests", s->requests);
    json_member("first_s", s->first_s);
    json_member("duration_s", s->duration_s);
    json_member("mean_per_min", s->mean_per_min);
    json_member("peak_per_min", s->peak_per_min);
    json_member("cv_interarrival", s->cv_interarrival);
    json_count("zero_gaps", s->zero_gaps);
    json_member("max_gap_s", s->max_gap_s);
    json_member("resolution_s", (double)s->resolution_ns / 1e9);
    json_member("step_s", s->step_s);
    json_count("unsorted", s->unsorted);
    json_count("zero_prompts", s->zero_prompts);
    json_count("zero_outputs", s->zero_outputs);
    json_count("failed", s->counts.failed);
    json_count("left_out", s->counts.left_out);
    json_count("classes", s->classes);
    json_count("sessions", s->sessions);
    json_count("hash_ids", s->hash_ids);
    json_count("block_size", s->block_size);
    json_prefix(s);
    json_lengths("input", &s->prompt);
    json_lengths("output", &s->output);
    printf(",\n  \"arrivals\": {\"bin_s\": ");
    cli_json_number(stdout, s->rate_bin_s);
    json_bins("bins", s->rate_bins, RT_TRACE_RATE_BINS);
    fputs("}\n}\n", stdout);
}

int cli_trace_stat(const struct rt_options *o)
{
    const char *path = o->words[1], *svg = rt_options_text(o, "--svg", NULL);
    struct rt_trace_stat_options options = {
        .memory_bytes = (uint64_t)rt_options_int(o, "--memory-mib", 0) << 20};
    struct rt_trace_stat *stat = malloc(sizeof *stat);
    struct rt_err err = {0};

    if (stat == NULL) {
        rt_fail_nomem(&err, "statistics of a trace");
        return cli_fail(&err);
    }
    bool ok = cli_out_spares("--svg", svg, path, "trace", &err) &&
              cli_trace_options(o, &options.trace, &err) &&
              rt_trace_stat_with(path, &options, stat, &err) &&
              (svg == NULL || cli_trace_svg(path, svg, stat, &err));
    if (ok && rt_options_given(o, "--json"))
        print_json(path, stat);
    else if (ok)
        print_table(path, stat, strcmp(options.trace.format, "auto") != 0);
    free(stat);
    return ok ? cli_finish() : cli_fail(&err);
}
