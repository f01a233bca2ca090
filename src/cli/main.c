/* rooftrace: a table of subcommands. Each parses its own options and returns the exit status:
 * 0 ok, 1 trace or input/output failed, 2 command line, scenario or catalogue wrong, 130
 * interrupted. Data goes to stdout, messages to stderr. */
#include "cli_internal.h"

#include <stdlib.h>
#include <string.h>

static int version(int argc, char **argv);
static int help(int argc, char **argv);

static const struct cli_command commands[] = {
    {"run", "replay a trace on a fleet, into a database", cli_run},
    {"sweep", "many trials of a plan on all cores, into one database", cli_sweep},
    {"merge", "join the databases of a sweep's shards", cli_merge},
    {"size", "the cheapest fleet that holds objectives on a trace", cli_size},
    {"estimate", "one batch in closed form: FLOPs, bytes, TTFT, TPOT, memory", cli_estimate},
    {"calibrate", "fit a GPU's constants to measured operators or a serving log", cli_calibrate},
    {"catalog", "list and show models and GPUs", cli_catalog},
    {"trace", "look at a trace file", cli_trace},
    {"query", "ask a database in SQL", cli_query},
    {"compare", "a measured log against a run, or two runs: an error table", cli_compare},
    {"version", "print the version", version},
    {"help", "print this text, or a command's: help run", help},
};
#define COMMANDS (sizeof commands / sizeof commands[0])

static int version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("rooftrace %s\n", RT_VERSION);
    return cli_finish();
}

static int overview(void)
{
    fputs(
        "usage: rooftrace COMMAND [options]\n\n"
        "Replays LLM traffic on GPUs you have not bought yet: a request trace and a fleet in, one\n"
        "SQLite file out, with TTFT, TPOT and end-to-end time of every request.\n\ncommands:\n",
        stdout);
    for (size_t i = 0; i < COMMANDS; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].help);
    fputs(
        "\nrooftrace COMMAND --help tells a command's options, with examples.\n\nexamples:\n"
        "  rooftrace run --trace traces/sample.csv --model llama-3.1-8b --gpu rtx-4090 -o out.db\n"
        "  rooftrace query out.db \"SELECT * FROM summary\"\n"
        "  rooftrace estimate --model llama-3.1-8b --gpu h100-sxm --prompt 2048 --output 256\n",
        stdout);
    return cli_finish();
}

static const struct cli_command *find(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown(const char *name)
{
    const char *names[COMMANDS];
    char suggestion[256];
    struct rt_err err = {0};

    for (size_t i = 0; i < COMMANDS; i++)
        names[i] = commands[i].name;
    rt_fail(&err, RT_EUSAGE, "unknown command \"%.64s\", %s", name,
            rt_suggest(name, names, COMMANDS, suggestion, sizeof suggestion));
    return cli_fail(&err);
}

static int help(int argc, char **argv)
{
    char page[] = "--help";
    char *words[] = {page, NULL};
    const struct cli_command *command;

    if (argc == 0)
        return overview();
    command = find(argv[0]);
    if (command == NULL)
        return unknown(argv[0]);
    if (command->run == help || command->run == version)
        return overview();
    return command->run(1, words);
}

int main(int argc, char **argv)
{
    const struct cli_command *command;
    struct rt_err err = {0};

    if (argc < 2) {
        rt_fail(&err, RT_EUSAGE, "expected a command, see rooftrace --help");
        return cli_fail(&err);
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return overview();
    if (strcmp(argv[1], "--version") == 0)
        return version(0, NULL);
    command = find(argv[1]);
    return command != NULL ? command->run(argc - 2, argv + 2) : unknown(argv[1]);
}
