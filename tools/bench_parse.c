/* How fast trace files are read, against `wc -l` on the same file.
 *
 *   rooftrace_bench_parse FILE RUNS [--json]
 *
 * Reads the (plain) file to its end through the trace reader, in one thread, and runs wc -l on it;
 * the best of RUNS of each, so that both find the file in the page cache. Prints "figure<TAB>value"
 * lines, a JSON object with --json. */
#include "rooftrace/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_s(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double best(double a, double b)
{
    return a == 0 || b < a ? b : a;
}

/* Seconds, or -1 with a message. */
static double read_once(const char *path, uint64_t *rows, const char **format)
{
    struct rt_err err = {0};
    struct rt_trace *t;
    struct rt_request r;
    double start = now_s();
    int found;

    if (!rt_trace_open(path, NULL, &t, &err)) {
        fprintf(stderr, "rooftrace_bench_parse: %s\n", err.msg);
        return -1;
    }
    while ((found = rt_trace_read(t, &r, &err)) == 1) {
    }
    *rows = rt_trace_counts(t).rows;
    *format = rt_trace_info(t)->format; /* a constant of the program */
    rt_trace_free(t);
    if (found < 0)
        fprintf(stderr, "rooftrace_bench_parse: %s\n", err.msg);
    return found < 0 ? -1 : now_s() - start;
}

/* Seconds of wc -l, its start included; -1: it cannot be run. */
static double count_lines(const char *path)
{
    double start = now_s();
    int status;
    pid_t child = fork();

    if (child == 0) {
        if (freopen("/dev/null", "w", stdout) != NULL)
            (void)execlp("wc", "wc", "-l", path, (char *)NULL);
        _exit(127);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || status != 0)
        return -1;
    return now_s() - start;
}

int main(int argc, char **argv)
{
    bool json = argc == 4 && strcmp(argv[3], "--json") == 0;
    const char *format = "";
    double parse = 0, wc = 0;
    uint64_t rows = 0;
    struct stat file;

    if ((argc != 3 && !json) || stat(argv[1], &file) != 0) {
        fprintf(stderr, "usage: rooftrace_bench_parse FILE RUNS [--json]\n");
        return 2;
    }
    for (long i = strtol(argv[2], NULL, 10); i > 0; i--) {
        double a = read_once(argv[1], &rows, &format), b = count_lines(argv[1]);
        if (a < 0 || b < 0)
            return 1;
        parse = best(parse, a);
        wc = best(wc, b);
    }
    double mb = (double)file.st_size / 1e6;
    printf(
        json
            ? "{\"format\": \"%s\", \"mb\": %.1f, \"requests\": %" PRIu64
              ", \"parse_s\": %.4f, \"parse_mb_per_s\": %.1f, \"wc_s\": %.4f, \"times_wc\": %.2f}\n"
            : "format\t%s\ntext (MB)\t%.1f\nrequests\t%" PRIu64
              "\nreading (s)\t%.4f\nreading (MB/s)\t%.1f\nwc -l (s)\t%.4f\nreading / wc -l\t%.2f\n",
        format, mb, rows, parse, parse > 0 ? mb / parse : 0, wc, wc > 0 ? parse / wc : 0);
    return 0;
}
