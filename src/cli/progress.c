/* The progress line of `run`, on stderr, only when that is a terminal.
 *
 *     rooftrace: 12,345 of 19,366 requests (64 %), 38:20 simulated, 1,250x real time, 3 s left
 *
 * It is rewritten five times a second. The share and the time left need the number of requests that
 * the workload will give, all transformations included: it is counted by reading the workload once
 * beforehand, for at most half a second (enough for some millions of requests); without an answer
 * by then, both are left out. A trace that can be read only once (a pipe) is not counted. */
#include "cli_internal.h"
#include "rooftrace/trial.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SHOW_EVERY_NS    INT64_C(200000000)
#define COUNT_AT_MOST_NS INT64_C(500000000)
#define COUNT_LOOK_EVERY 4096u

static int64_t wall_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Requests the workload will give; 0: unknown. Errors are left to the run itself to report. */
static uint64_t count_requests(const struct rt_workload_spec *w)
{
    struct rt_source *source;
    struct rt_request request;
    struct rt_err err = {0};
    struct stat info;
    int64_t started = wall_ns(), not_before;
    enum rt_pull answer = RT_PULL_REQUEST;
    uint64_t count = 0;

    if (w->synthetic.requests > 0)
        return w->synthetic.requests < w->max_requests ? w->synthetic.requests : w->max_requests;
    if (stat(w->trace, &info) != 0 || !S_ISREG(info.st_mode) || !rt_workload_open(w, &source, &err))
        return 0;
    while (answer == RT_PULL_REQUEST) {
        if (count % COUNT_LOOK_EVERY == 0 && wall_ns() - started > COUNT_AT_MOST_NS)
            break;
        answer = rt_source_next(source, INT64_MAX, &request, &not_before, &err);
        if (answer == RT_PULL_REQUEST) {
            (void)rt_source_done(source, request.id, 0); /* what waits for it goes on */
            count++;
        }
    }
    rt_source_free(source);
    return answer == RT_PULL_END ? count : 0;
}

void cli_progress_start(struct cli_progress *p, const struct rt_scenario *s, bool wanted)
{
    *p = (struct cli_progress){0};
    if (!wanted || !isatty(STDERR_FILENO))
        return;
    p->out = stderr;
    p->total = count_requests(&s->workload);
    p->start_ns = wall_ns();
    p->shown_ns = p->start_ns; /* a replay of a blink shows nothing */
}

/* 1234567 as "1,234,567". */
static const char *grouped(uint64_t n, char buf[32])
{
    char plain[24];
    int len = snprintf(plain, sizeof plain, "%" PRIu64, n), at = 0;

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            buf[at++] = ',';
        buf[at++] = plain[i];
    }
    buf[at] = '\0';
    return buf;
}

/* 3725 as "1:02:05". */
const char *cli_clock_text(double seconds, char buf[32])
{
    uint64_t s = seconds < 1e15 ? (uint64_t)seconds : UINT64_C(1000000000000000);

    if (s >= 3600)
        snprintf(buf, 32, "%" PRIu64 ":%02u:%02u", s / 3600, (unsigned)(s / 60 % 60),
                 (unsigned)(s % 60));
    else
        snprintf(buf, 32, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
    return buf;
}

void cli_progress_show(struct cli_progress *p, const struct rt_trial_progress *now)
{
    char done[32], total[32], simulated[32], speed[32], left[32];
    int64_t wall = p->out != NULL ? wall_ns() : 0;
    double passed_s = (double)(wall - p->start_ns) / 1e9;

    if (p->out == NULL || wall - p->shown_ns < SHOW_EVERY_NS)
        return;
    p->shown_ns = wall;
    p->line = true;
    fprintf(p->out, "\rrooftrace: %s", grouped(now->finished, done));
    if (p->total > 0)
        fprintf(p->out, " of %s requests (%u %%)", grouped(p->total, total),
                (unsigned)(100.0 * (double)now->finished / (double)p->total));
    else
        fputs(" requests", p->out);
    fprintf(p->out, ", %s simulated, %sx real time", cli_clock_text(now->simulated_s, simulated),
            grouped((uint64_t)(now->simulated_s / passed_s), speed));
    if (p->total > now->finished && now->finished > 0)
        fprintf(p->out, ", %s left",
                cli_clock_text(
                    passed_s / (double)now->finished * (double)(p->total - now->finished), left));
    fputs("\033[K", p->out);
    fflush(p->out);
}

void cli_progress_clear(struct cli_progress *p)
{
    if (p->line)
        fputs("\r\033[K", p->out);
    p->line = false;
}
