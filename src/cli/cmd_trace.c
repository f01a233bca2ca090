/* rooftrace trace: look at traces, of requests and of runs. `trace stat` reads a trace file from
 * end to end and prints what surveys of traces print: how many, how fast, how bursty, how long.
 * `trace export` is in trace_export.c, `trace synth` in trace_synth.c. */
#include "cli_internal.h"
#include "rooftrace/trace.h"
#include "synth_options_internal.h"

#include <inttypes.h>
#include <string.h>

static const struct rt_option table[] = {
    {RT_OPT_HEADING("stat:")},
    {RT_OPT_TEXT("--format", "NAME", "format of the trace (auto)")},
    {RT_OPT_FLAG("--json", "one JSON object")},
    {RT_OPT_HEADING("synth:")},
    SYNTH_OPTIONS,
    {RT_OPT_INT("--seed", "N", 0, SYNTH_MAX_REQUESTS, "of what is drawn (1)")},
    {RT_OPT_INT("--trace-block-size", "N", 1, 1048576, "tokens a hash id names (16)")},
    {RT_OPT_TEXT("--output", "FILE", "trace to write, .jsonl or .csv; - is standard output (-)"),
     .letter = 'o'},
    {RT_OPT_HEADING("export:")},
    {RT_OPT_TEXT("--perfetto", "OUT.json", "file to write; - is standard output")},
    {RT_OPT_INT("--run", "N", 1, INT64_MAX, "run of the database (the latest)")},
    {RT_OPT_NUMBER("--from-s", "A", 0, 9e9, "what overlaps [A, B) of the run's seconds (0)")},
    {RT_OPT_NUMBER("--to-s", "B", 0, 9e9, "(the end)")},
    {RT_OPT_INT("--replica", "I", 0, 65535, "one replica only (all)")},
    {RT_OPT_HEADING("other:")},
    {RT_OPT_FLAG("--help", "this text"), .letter = 'h'},
};

static void print_formats(FILE *out)
{
    fputs("\ntrace formats:\n", out);
    for (unsigned i = 0; i < rt_trace_format_count(); i++)
        fprintf(out, "  %-18s %s\n", rt_trace_format_info(i).name, rt_trace_format_info(i).help);
}

static void print_more(FILE *out)
{
    print_formats(out);
    synth_options_help(out);
}

static const struct cli_page page = {
    .usage =
        "usage: rooftrace trace stat FILE [options]\n"
        "       rooftrace trace synth [SPEC.json] [options] -o FILE\n"
        "       rooftrace trace export DB --perfetto OUT.json [options]\n\n"
        "stat reads a trace (plain, .gz or .zst) and prints its rate, burstiness and lengths.\n"
        "Percentiles are by nearest rank; the peak is the fullest minute, counted from the\n"
        "first arrival; cv is the standard deviation of the gaps over their mean.\n\n"
        "synth makes a trace: from a scenario with workload.synthetic (or that section alone),\n"
        "from options, or like another trace (--like), and tells how like it is.\n\n"
        "export writes a run, or a window of it, as a timeline that ui.perfetto.dev and\n"
        "chrome://tracing open: requests with their phases, and the steps of the engines when\n"
        "the run was made with --steps.\n",
    .options = {"rooftrace trace", table, sizeof table / sizeof table[0]},
    .more = print_more,
    .examples = "\nexamples:\n"
                "  rooftrace trace stat traces/sample.csv\n"
                "  rooftrace trace stat conversations.jsonl.zst --json\n"
                "  rooftrace trace stat log.csv --format native_csv\n"
                "  rooftrace trace synth --requests 1000 --arrivals poisson:5 \\\n"
                "      --prompt-tokens lognormal:median=800,sigma=0.9,max=16000 -o made.csv\n"
                "  rooftrace trace synth --like traces/sample.csv --requests 20000 -o made.csv\n"
                "  rooftrace trace export path/to/run.db --perfetto timeline.json --from-s 60 "
                "--to-s 90\n",
};

static void table_lengths(const char *what, const struct rt_trace_lengths *l)
{
    printf("%-16s %10" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRId64
           " %12.2f %14" PRId64 "\n",
           what, l->min, l->p50, l->p90, l->p95, l->p99, l->max, l->mean, l->sum);
}

static void print_table(const char *path, const struct rt_trace_stat *s)
{
    printf("%-26s %s (%s)\n", "trace", path, s->format);
    printf("%-26s %" PRIu64 "\n", "requests", s->requests);
    printf("%-26s %.6f\n", "duration (s)", s->duration_s);
    printf("%-26s %.2f\n", "mean rate (per minute)", s->mean_per_min);
    printf("%-26s %.0f\n", "peak rate (per minute)", s->peak_per_min);
    printf("%-26s %.3f\n", "cv of the gaps", s->cv_interarrival);
    printf("%-26s %.6f\n", "longest gap (s)", s->max_gap_s);
    printf("%-26s %" PRIu64 "\n", "gaps of zero", s->zero_gaps);
    printf("%-26s %" PRIu64 "\n", "rows out of order", s->unsorted);
    printf("%-26s %" PRIu64 " prompts, %" PRIu64 " outputs\n", "zero tokens (taken as 1)",
           s->zero_prompts, s->zero_outputs);
    if (s->classes > 0)
        printf("%-26s %" PRIu64 "\n", "classes", s->classes);
    if (s->sessions > 0)
        printf("%-26s %" PRIu64 "\n", "sessions", s->sessions);
    if (s->hash_ids > 0)
        printf("%-26s %" PRIu64 "\n", "hash ids", s->hash_ids);
    printf("\n%-16s %10s %10s %10s %10s %10s %10s %12s %14s\n", "tokens", "min", "p50", "p90",
           "p95", "p99", "max", "mean", "sum");
    table_lengths("prompt", &s->prompt);
    table_lengths("output", &s->output);
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

static void json_lengths(const char *key, const struct rt_trace_lengths *l)
{
    printf(",\n  \"%s\": {\"mean\": ", key);
    cli_json_number(stdout, l->mean);
    printf(", \"min\": %" PRId64 ", \"p50\": %" PRId64 ", \"p90\": %" PRId64 ", \"p95\": %" PRId64
           ", \"p99\": %" PRId64 ", \"max\": %" PRId64 ", \"sum\": %" PRId64 "}",
           l->min, l->p50, l->p90, l->p95, l->p99, l->max, l->sum);
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
    json_count("unsorted", s->unsorted);
    json_count("zero_prompts", s->zero_prompts);
    json_count("zero_outputs", s->zero_outputs);
    json_count("classes", s->classes);
    json_count("sessions", s->sessions);
    json_count("hash_ids", s->hash_ids);
    json_lengths("input", &s->prompt);
    json_lengths("output", &s->output);
    fputs("\n}\n", stdout);
}

static int stat_trace(const struct rt_options *o)
{
    struct rt_trace_stat stat;
    struct rt_err err = {0};

    if (!rt_trace_stat(o->words[1], rt_options_text(o, "--format", "auto"), &stat, &err))
        return cli_fail(&err);
    if (rt_options_given(o, "--json"))
        print_json(o->words[1], &stat);
    else
        print_table(o->words[1], &stat);
    return cli_finish();
}

static const struct subcommand {
    const char *name;
    int (*run)(const struct rt_options *o);
    const char *options[18]; /* that only this one and those that list it, too, take */
} subcommands[] = {
    {"stat", stat_trace, {"--format", "--json"}},
    {"synth",
     cli_trace_synth,
     {"--format", "--json", "--like", "--num-prompts", "--requests", "--random-input-len",
      "--random-output-len", "--random-range-ratio", "--random-prefix-len", "--prompt-tokens",
      "--output-tokens", "--arrivals", "--prefixes", "--conversations", "--seed",
      "--trace-block-size", "--output"}},
    {"export", cli_trace_export, {"--perfetto", "--run", "--from-s", "--to-s", "--replica"}},
};
#define SUBCOMMANDS (sizeof subcommands / sizeof subcommands[0])

static bool takes(const struct subcommand *s, const char *option)
{
    for (size_t k = 0; s->options[k] != NULL; k++)
        if (strcmp(s->options[k], option) == 0)
            return true;
    return false;
}

/* NULL: *err. An option of another subcommand would do nothing, so it is a mistake. */
static const struct subcommand *choose(const struct rt_options *o, struct rt_err *err)
{
    const struct subcommand *chosen = NULL;

    for (size_t i = 0; i < SUBCOMMANDS; i++)
        if (strcmp(o->words[0], subcommands[i].name) == 0)
            chosen = &subcommands[i];
    if (!chosen) {
        rt_fail(err, RT_EUSAGE, "trace: unknown \"%.64s\", expected stat, synth or export",
                o->words[0]);
        return NULL;
    }
    for (size_t i = 0; i < SUBCOMMANDS; i++)
        for (size_t k = 0; &subcommands[i] != chosen && subcommands[i].options[k]; k++)
            if (rt_options_given(o, subcommands[i].options[k]) &&
                !takes(chosen, subcommands[i].options[k])) {
                rt_fail(err, RT_EUSAGE, "trace %s: %s is an option of trace %s", chosen->name,
                        subcommands[i].options[k], subcommands[i].name);
                return NULL;
            }
    return chosen;
}

int cli_trace(int argc, char **argv)
{
    static const char words[] =
        "trace stat FILE, trace synth [SPEC.json], or trace export DB --perfetto OUT.json";
    const struct subcommand *chosen = NULL;
    struct rt_options o;
    struct rt_err err = {0};
    int status;

    if (!cli_begin(&page, argc, argv, &o, &status))
        return status;
    if (cli_words(&o, 1, 2, words, &err))
        chosen = choose(&o, &err);
    if (chosen != NULL && chosen->run != cli_trace_synth && !cli_words(&o, 2, 2, words, &err))
        chosen = NULL;
    status = chosen ? chosen->run(&o) : cli_fail(&err);
    rt_options_release(&o);
    return status;
}
