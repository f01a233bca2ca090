/* cli/cli_internal.h: what the subcommands share.
 *
 * A subcommand is one function: it parses its options, calls the library, prints data on stdout and
 * returns the exit status. Messages go to stderr, each one line that begins with "rooftrace: ". */
#ifndef RT_CLI_INTERNAL_H
#define RT_CLI_INTERNAL_H

#include "rooftrace/err.h"
#include "rooftrace/options.h"
#include "rooftrace/scenario.h"

#include <stdio.h>

struct rt_catalog; /* rooftrace/catalog.h */

struct cli_command {
    const char *name, *help;
    int (*run)(int argc, char **argv); /* the words behind the command's name; an exit status */
};

int cli_run(int argc, char **argv);
int cli_estimate(int argc, char **argv);
int cli_calibrate(int argc, char **argv);
int cli_catalog(int argc, char **argv);
int cli_trace(int argc, char **argv);
int cli_query(int argc, char **argv);
int cli_sweep(int argc, char **argv);
int cli_merge(int argc, char **argv);
int cli_compare(int argc, char **argv);
int cli_size(int argc, char **argv);

/* What a (sub)command takes and what its --help says: usage, options, `more`, examples. */
struct cli_page {
    const char *usage; /* usage lines and what it does */
    struct rt_option_set options;
    void (*more)(FILE *out); /* lists that come from tables of the library, or NULL */
    const char *examples;
};

/* Parses the words. False: the command ends now with *status (help was printed, or a message).
 * True: the caller releases *out. */
bool cli_begin(const struct cli_page *page, int argc, char **argv, struct rt_options *out,
               int *status) RT_MUST_USE;

/* Prints the message; answers the exit status of its code. */
int cli_fail(const struct rt_err *err);
/* A line on stderr, "rooftrace: " in front; control characters show as '?'. */
void cli_note(const char *fmt, ...) RT_PRINTF(1, 2);
/* Flushes stdout: what could not be written is a failure. The exit status. */
int cli_finish(void);
/* Exactly `count` words, or at most: the message names what was expected. */
bool cli_words(const struct rt_options *o, unsigned min, unsigned max, const char *expected,
               struct rt_err *err) RT_MUST_USE;

/* signals.c: after cli_catch_signals the first SIGINT or SIGTERM only sets what cli_stop_requested
 * answers; the second ends the process. */
void cli_catch_signals(void);
bool cli_stop_requested(void);
/* A new file in the folder, for writing; -1 and errno. Until cli_partial_done, SIGINT, SIGTERM and
 * SIGHUP remove it and end the process. One at a time, not together with cli_catch_signals. */
#define CLI_PARTIAL_NAME 32
int cli_partial_create(int folder, char name[CLI_PARTIAL_NAME]) RT_MUST_USE;
void cli_partial_done(void);

/* out_file.c: a file that is there whole or not at all. */
struct cli_out {
    FILE *file;       /* to write to; "-" is stdout */
    const char *path; /* as it was given; the caller's */
    char *target;     /* what `partial` is renamed to; NULL: written in place */
    int folder;       /* that both are in: a descriptor, or -1 */
    char partial[CLI_PARTIAL_NAME];
};
bool cli_out_open(struct cli_out *out, const char *path, struct rt_err *err) RT_MUST_USE;
/* ok: was all written? Else, or when it cannot be finished, nothing stays but what was there
 * before. False: not ok, with *err as it is, or RT_EIO. Does nothing when it is not open. */
bool cli_out_close(struct cli_out *out, bool ok, struct rt_err *err) RT_MUST_USE;
/* False: writing `path`, of this option, would lose `input`, which is what is read. */
bool cli_out_spares(const char *option, const char *path, const char *input, const char *what,
                    struct rt_err *err) RT_MUST_USE;

/* threads.c: how many trials at a time, by --jobs (default: the processors this process may use),
 * and as many threads in libuv's pool. Before anything uses the pool. */
unsigned cli_jobs(const struct rt_options *o);

/* cmd_query.c: prints what a SELECT gives; an exit status. */
enum cli_form { CLI_FORM_TABLE, CLI_FORM_JSON, CLI_FORM_CSV };
int cli_print_query(const char *path, const char *sql, enum cli_form form);

/* JSON on stdout. Text is escaped; a number that is not finite is null. */
void cli_json_text(FILE *out, const char *text);
void cli_json_number(FILE *out, double value);

/* trace_export.c: `rooftrace trace export DB`; the words and options of cmd_trace.c. */
int cli_trace_export(const struct rt_options *o);
/* trace_synth.c: `rooftrace trace synth`, likewise. */
int cli_trace_synth(const struct rt_options *o);

/* trace_stat.c, trace_stat_svg.c and trace_convert.c: `rooftrace trace stat FILE`, `... convert
 * FILE`; words and options likewise. */
int cli_trace_stat(const struct rt_options *o);
int cli_trace_convert(const struct rt_options *o);
struct rt_trace_options;
struct rt_trace_stat;
/* --format, --columns, --failed and --trace-block-size. */
bool cli_trace_options(const struct rt_options *o, struct rt_trace_options *out,
                       struct rt_err *err) RT_MUST_USE;
bool cli_trace_svg(const char *trace, const char *path, const struct rt_trace_stat *s,
                   struct rt_err *err) RT_MUST_USE;

/* scenario_options.c: the scenario that a file and options give together; options win. */
bool cli_scenario(const struct rt_options *o, const struct rt_catalog *catalog,
                  struct rt_scenario *out, struct rt_err *err) RT_MUST_USE;

/* shard.c: which part of a sweep this process runs. */
struct cli_shard {
    unsigned index, count; /* index from 0 */
    const char *from;      /* the environment variable that said so, or NULL */
};
/* --shard I/N, else Slurm's array or Kubernetes' indexed job, else 1/1. */
bool cli_shard(const struct rt_options *o, struct cli_shard *out, struct rt_err *err) RT_MUST_USE;
/* "out.db" as "out.3-of-8.db" when there are several; malloc'ed, NULL: out of memory. */
char *cli_shard_path(const char *output, const struct cli_shard *shard) RT_MUST_USE;

/* 3725 as "1:02:05" (progress.c). */
const char *cli_clock_text(double seconds, char buf[32]);

/* The document before it is parsed, for candidates that change its pool; file: NULL when options
 * alone give it. --slo is left to the caller, --engine-args is not read. */
bool cli_scenario_document(const struct rt_options *o, const char *file, struct rt_json **out,
                           struct rt_err *err) RT_MUST_USE;
/* cmd_run.c: the options that make a scenario, as rows of a table. */
const struct rt_option *cli_scenario_rows(unsigned *count);

/* progress.c: a line that is rewritten a few times a second. */
struct cli_progress {
    FILE *out;                  /* NULL: silent */
    int64_t start_ns, shown_ns; /* wall clock */
    uint64_t total;             /* requests of the trace; 0 unknown */
    bool line;                  /* something stands on the line */
};
struct rt_trial_progress;
/* Shows nothing unless `wanted` and stderr is a terminal. Counts the trace's requests when that is
 * quick, for the time that is left. */
void cli_progress_start(struct cli_progress *p, const struct rt_scenario *s, bool wanted);
void cli_progress_show(struct cli_progress *p, const struct rt_trial_progress *now);
void cli_progress_clear(struct cli_progress *p);

#endif
