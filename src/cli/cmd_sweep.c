/* rooftrace sweep: a plan of trials on all cores, into one database.
 *
 * The plan is checked in full before anything is written. Then the main thread waits for trials to
 * end, five looks a second, and draws the progress line. The first Ctrl-C stops the trials that run
 * and leaves a database that the same command goes on with. Exit status: 0 also when some trials
 * failed (their runs say why), 1 when all failed or, with --fail-fast, one; 130 interrupted. */
#include "cli_internal.h"
#include "rooftrace/campaign.h"
#include "rooftrace/catalog.h"
#include "rooftrace/sweep.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_EVERY_MS 200
#define TRACE_BYTES   ((size_t)1 << 30) /* of traces kept in memory */

static const struct rt_option table[] = {
    {RT_OPT_HEADING("options:")},
    {RT_OPT_TEXT("--output", "FILE",
                 "database; goes on where it holds complete trials of this\n"
                 "plan; with shards I-of-N goes before .db (default: sweep.db)"),
     .letter = 'o'},
    {RT_OPT_INT("--jobs", "N", 1, RT_SWEEP_MAX_JOBS,
                "trials at a time (default: the processors there are)"),
     .letter = 'j'},
    {RT_OPT_TEXT("--shard", "I/N",
                 "run only every N-th trial, from the I-th on; also read from Slurm's and\n"
                 "Kubernetes' arrays (docs/sweep.md); `rooftrace merge` joins the databases")},
    {RT_OPT_FLAG("--requests", "a row for every request of every trial, not only aggregates")},
    {RT_OPT_TEXT("--label", "TEXT", "free text kept with each run")},
    {RT_OPT_FLAG("--fail-fast", "stop at the first trial that fails")},
    {RT_OPT_FLAG("--check", "check the plan, print a line a trial, run nothing")},
    {RT_OPT_TEXT("--catalog", "DIR", "gpus.json and models.json from here, not the built-in ones")},
    {RT_OPT_FLAG("--json", "the table of trials as JSON")},
    {RT_OPT_FLAG("--no-progress", "no progress line on a terminal")},
    {RT_OPT_FLAG("--help", "this text"), .letter = 'h'},
};

static const struct cli_page page = {
    .usage =
        "usage: rooftrace sweep PLAN.json [options]\n\n"
        "Runs the trials of a plan (a scenario, and a grid, list or random draws of changes to\n"
        "it) on all cores into one database, a run a trial, run_id = trial number. A trial that\n"
        "fails is a run with its reason. Run again, it goes on with what is not complete.\n",
    .options = {"rooftrace sweep", table, sizeof table / sizeof table[0]},
    .examples =
        "\nexamples:\n"
        "  rooftrace sweep traces/sample.sweep.json -o sweep.db\n"
        "  rooftrace sweep traces/sample.sweep.json --check\n"
        "  rooftrace sweep traces/sample.sweep.json --shard 1/2 -o part.db\n"
        "  rooftrace query sweep.db \"SELECT * FROM trials ORDER BY p99_ttft_ms LIMIT 5\"\n",
};

struct bar { /* the progress line */
    bool shown, wanted;
    struct timespec started;
};

static double seconds_since(const struct timespec *then)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - then->tv_sec) + 1e-9 * (double)(now.tv_nsec - then->tv_nsec);
}

/* rooftrace: 37 of 100 trials, 2 failed, 0:12, 0:20 left */
static void show(struct bar *b, const struct rt_campaign_progress *p)
{
    char passed[32], left[32];
    double s = seconds_since(&b->started);
    int64_t to_do = p->trials - p->skipped;

    if (!b->wanted || s < 0.5) /* a sweep of a blink shows nothing */
        return;
    b->shown = true;
    fprintf(stderr, "\rrooftrace: %" PRId64 " of %" PRId64 " trials", p->skipped + p->done,
            p->trials);
    if (p->failed > 0)
        fprintf(stderr, ", %" PRId64 " failed", p->failed);
    fprintf(stderr, ", %s", cli_clock_text(s, passed));
    if (p->done > 0 && p->done < to_do)
        fprintf(stderr, ", %s left",
                cli_clock_text(s / (double)p->done * (double)(to_do - p->done), left));
    fputs("\033[K", stderr);
    fflush(stderr);
}

static void clear(struct bar *b)
{
    if (b->shown)
        fputs("\r\033[K", stderr);
    b->shown = false;
}

/* "1\t{...}" a line. */
static int print_trials(const struct rt_plan *plan)
{
    for (int64_t i = 1; i <= rt_plan_trials(plan); i++) {
        struct rt_scenario scenario;
        struct rt_err err = {0};
        char *varied;
        if (!rt_plan_trial(plan, i, &scenario, &varied, &err))
            return cli_fail(&err);
        printf("%" PRId64 "\t%s\n", i, varied);
        free(varied);
        rt_scenario_release(&scenario);
    }
    return cli_finish();
}

/* Columns that trials vary, then the figures; rounded for reading. Paths hold no quotes. */
static void write_sql(FILE *out, const struct rt_plan *plan, bool json)
{
    static const char *const figures[][2] = {
        {"p50_ttft_ms", "1"},         {"p99_ttft_ms", "1"},
        {"p50_tpot_ms", "2"},         {"p99_tpot_ms", "2"},
        {"requests_per_s", "3"},      {"output_tokens_per_s", "1"},
        {"good_requests_per_s", "3"}, {"usd_per_million_output_tokens", "3"},
    };

    fputs("SELECT trial", out);
    for (unsigned i = 0; i < rt_plan_key_count(plan); i++) {
        const char *key = rt_plan_key(plan, i);
        fprintf(out,
                json ? ", json_extract(varied, '$.\"%s\"') AS \"%s\""
                     : ", substr(json_extract(varied, '$.\"%s\"'), 1, 32) AS \"%s\"",
                key, key);
    }
    fputs(", status", out);
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        fprintf(out, json ? ", %s" : ", round(%s, %s) AS %s", figures[i][0], figures[i][1],
                figures[i][0]);
    fputs(json ? ", message FROM trials" : " FROM trials", out);
}

static int print_table(const struct rt_plan *plan, const char *path, bool json)
{
    char *sql = NULL;
    size_t size = 0;
    struct rt_err err = {0};
    FILE *out = open_memstream(&sql, &size);
    int status;

    if (out != NULL) {
        write_sql(out, plan, json);
        if (fclose(out) != 0) {
            free(sql);
            sql = NULL;
        }
    }
    if (sql == NULL) {
        rt_fail_nomem(&err, "the table");
        return cli_fail(&err);
    }
    status = cli_print_query(path, sql, json ? CLI_FORM_JSON : CLI_FORM_TABLE);
    free(sql);
    return status;
}

static int interrupted(const char *path, const struct rt_campaign_progress *p)
{
    struct rt_err err = {0};

    rt_fail(&err, RT_EINTR,
            "interrupted: %s holds %" PRId64 " of %" PRId64
            " trials; the same command goes on with the others",
            path, p->skipped + p->done, p->trials);
    return cli_fail(&err);
}

static int finished(const struct rt_plan *plan, const char *path, bool json, bool fail_fast,
                    const struct rt_campaign_progress *p)
{
    int status = print_table(plan, path, json);

    if (p->failed > 0)
        cli_note("%" PRId64 " of %" PRId64 " trials failed; trial %" PRId64 ": %s", p->failed,
                 p->trials, p->first_failed, p->first_reason);
    if (status == EXIT_SUCCESS)
        cli_note("%s, %" PRId64 " trials", path, p->skipped + p->done);
    if (status == EXIT_SUCCESS && p->failed > 0 && (fail_fast || p->failed == p->trials))
        status = EXIT_FAILURE;
    return status;
}

/* Until all trials ended, or one failed that may not, or the user wants to stop. */
static enum rt_campaign_answer drive(struct rt_campaign *c, const struct rt_options *o,
                                     struct rt_campaign_progress *p, struct rt_err *err)
{
    bool fail_fast = rt_options_given(o, "--fail-fast");
    struct bar bar = {.wanted = isatty(STDERR_FILENO) && !rt_options_given(o, "--no-progress")};
    enum rt_campaign_answer answer;

    clock_gettime(CLOCK_MONOTONIC, &bar.started);
    while ((answer = rt_campaign_step(c, LOOK_EVERY_MS, p, err)) == RT_CAMPAIGN_MORE) {
        if (cli_stop_requested() || (fail_fast && p->failed > 0))
            rt_campaign_cancel(c);
        show(&bar, p);
    }
    clear(&bar);
    return answer;
}

static int run_plan(const struct rt_plan *plan, const struct rt_options *o,
                    const struct rt_campaign_options *co)
{
    struct rt_campaign_progress progress = {0};
    struct rt_campaign *campaign;
    struct rt_err err = {0};
    enum rt_campaign_answer answer;

    cli_catch_signals();
    if (!rt_campaign_new(plan, co, &campaign, &err))
        return cli_fail(&err);
    answer = drive(campaign, o, &progress, &err);
    rt_campaign_free(campaign); /* closes the database: it is read next */
    if (answer == RT_CAMPAIGN_FAILED)
        return cli_fail(&err);
    if (cli_stop_requested() && progress.skipped + progress.done < progress.trials)
        return interrupted(co->output, &progress);
    return finished(plan, co->output, rt_options_given(o, "--json"),
                    rt_options_given(o, "--fail-fast"), &progress);
}

static int sweep(const struct rt_plan *plan, const struct rt_options *o,
                 const struct cli_shard *shard)
{
    struct rt_err err = {0};
    char *path = cli_shard_path(rt_options_text(o, "--output", "sweep.db"), shard);
    int status;

    if (path == NULL) {
        rt_fail_nomem(&err, "a path");
        return cli_fail(&err);
    }
    if (shard->from != NULL)
        cli_note("shard %u of %u, as %s says: %s", shard->index + 1, shard->count, shard->from,
                 path);
    struct rt_campaign_options co = {.output = path,
                                     .jobs = cli_jobs(o),
                                     .shard = shard->index,
                                     .shards = shard->count,
                                     .requests = rt_options_given(o, "--requests"),
                                     .trace_bytes = TRACE_BYTES,
                                     .label = rt_options_text(o, "--label", NULL)};
    status = run_plan(plan, o, &co);
    free(path);
    return status;
}

int cli_sweep(int argc, char **argv)
{
    struct rt_catalog *catalog = NULL;
    struct rt_plan *plan = NULL;
    struct cli_shard shard;
    struct rt_options o;
    struct rt_err err = {0};
    int status;

    if (!cli_begin(&page, argc, argv, &o, &status))
        return status;
    if (!cli_words(&o, 1, 1, "one plan file", &err) || !cli_shard(&o, &shard, &err) ||
        !rt_catalog_open(rt_options_text(&o, "--catalog", NULL), &catalog, &err) ||
        !rt_plan_load(o.words[0], catalog, &plan, &err))
        status = cli_fail(&err);
    else if (rt_options_given(&o, "--check"))
        status = print_trials(plan);
    else
        status = sweep(plan, &o, &shard);
    rt_plan_free(plan);
    rt_catalog_free(catalog);
    rt_options_release(&o);
    return status;
}
