/* rooftrace trace: look at traces, of requests and of runs. The subcommands are in files of their
 * own: `trace stat` in trace_stat.c, `trace convert` in trace_convert.c, `trace synth` in
 * trace_synth.c, `trace export` in trace_export.c; this one has their options and chooses. */
#include "cli_internal.h"
#include "rooftrace/trace.h"
#include "synth_options_internal.h"

#include <string.h>

static const struct rt_option table[] = {
    {RT_OPT_HEADING("stat and convert:")},
    {RT_OPT_TEXT("--format", "NAME", "format of the trace (auto)")},
    {RT_OPT_TEXT("--columns", "FIELD=NAME,...",
                 "what the columns of any other CSV or JSON mean:\n"
                 "arrival=ts:ms,prompt=in,output=out[,session=...]")},
    {RT_OPT_TEXT("--failed", "keep|drop", "requests that the log calls failed (keep)")},
    {RT_OPT_INT("--trace-block-size", "N", 1, 1048576, "tokens a hash id names (synth: 16)")},
    {RT_OPT_HEADING("stat:")},
    {RT_OPT_FLAG("--json", "one JSON object")},
    {RT_OPT_TEXT("--svg", "OUT.svg", "lengths and rate as a drawing, too")},
    {RT_OPT_INT("--memory-mib", "N", 1, 1048576, "for the blocks and sessions seen (1024)")},
    {RT_OPT_HEADING("convert and synth:")},
    {RT_OPT_TEXT("--to", "NAME", "form that convert writes: jsonl or mooncake (jsonl)")},
    {RT_OPT_TEXT("--output", "FILE",
                 "trace to write; synth: .jsonl or .csv; - is standard output (-)"),
     .letter = 'o'},
    {RT_OPT_HEADING("synth:")},
    SYNTH_OPTIONS,
    {RT_OPT_INT("--seed", "N", 0, SYNTH_MAX_REQUESTS, "of what is drawn (1)")},
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
        "       rooftrace trace convert FILE [options]\n"
        "       rooftrace trace synth [SPEC.json] [options] -o FILE\n"
        "       rooftrace trace export DB --perfetto OUT.json [options]\n\n"
        "stat reads a trace (plain, .gz or .zst) and prints its rate, burstiness, lengths, the\n"
        "prefix hits that an infinite cache would have, and what is odd about it. Percentiles\n"
        "are by nearest rank; the peak is the fullest minute, counted from the first arrival;\n"
        "cv is the standard deviation of the gaps over their mean.\n\n"
        "convert writes it as rooftrace's JSONL or as Mooncake's, in the order of time. Times\n"
        "since 1970 begin at 0 then, as in a run.\n\n"
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
                "  rooftrace trace stat log.csv --columns arrival=ts:ms,prompt=in,output=out\n"
                "  rooftrace trace convert conversations.jsonl.zst --to mooncake -o m.jsonl\n"
                "  rooftrace trace synth --requests 1000 --arrivals poisson:5 \\\n"
                "      --prompt-tokens lognormal:median=800,sigma=0.9,max=16000 -o made.csv\n"
                "  rooftrace trace synth --like traces/sample.csv --requests 20000 -o made.csv\n"
                "  rooftrace trace export path/to/run.db --perfetto timeline.json --from-s 60 "
                "--to-s 90\n",
};

static const struct subcommand {
    const char *name;
    int (*run)(const struct rt_options *o);
    const char *options[18]; /* that only this one and those that list it, too, take */
} subcommands[] = {
    {"stat",
     cli_trace_stat,
     {"--format", "--columns", "--failed", "--trace-block-size", "--json", "--svg",
      "--memory-mib"}},
    {"convert",
     cli_trace_convert,
     {"--format", "--columns", "--failed", "--trace-block-size", "--to", "--output"}},
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
    const char *names[SUBCOMMANDS];
    char hint[128];

    for (size_t i = 0; i < SUBCOMMANDS; i++) {
        names[i] = subcommands[i].name;
        if (strcmp(o->words[0], subcommands[i].name) == 0)
            chosen = &subcommands[i];
    }
    if (!chosen) {
        rt_fail(err, RT_EUSAGE, "trace: unknown \"%.64s\": %s", o->words[0],
                rt_suggest(o->words[0], names, SUBCOMMANDS, hint, sizeof hint));
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
        "trace stat FILE, trace convert FILE, trace synth [SPEC.json], or trace export DB "
        "--perfetto OUT.json";
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
