/* rooftrace size: the cheapest fleet that holds objectives on a workload; or the highest rate that
 * a fleet holds. Exit status 0: something holds, 3: nothing does (for sure), else as everywhere.
 *
 * The options of a scenario are those of `rooftrace run`. Every trial becomes a run in the
 * database, without rows of requests. */
#include "rooftrace/catalog.h"
#include "size_internal.h"

#include "rooftrace/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOTHING_HOLDS 3
#define LOOK_MS       200

static const struct rt_option table[] = {
    {RT_OPT_HEADING("sizing:")},
    {RT_OPT_PAIRS("--slo", "OBJECTIVE ...",
                  "what must hold: p99_ttft:500ms p99.9_e2e:30s@CLASS\n"
                  "share99_ttft:500ms+tpot:50ms; commas or words")},
    {RT_OPT_TEXT("--gpus", "NAME,...", "GPUs to try, each with each of --tp")},
    {RT_OPT_TEXT("--tp", "N,...", "tensor parallel degrees to try")},
    {RT_OPT_TEXT("--prices", "GPU=X,...", "dollars an hour and GPU (catalogue's)")},
    {RT_OPT_TEXT("--replica-range", "A:B", "replicas to try (1:64)")},
    {RT_OPT_TEXT("--plan", "FILE", "candidates and objectives as JSON; options win")},
    {RT_OPT_FLAG("--max-rate", "the highest rate that the fleet as it is holds")},
    {RT_OPT_NUMBER("--rate-precision", "X", 1e-3, 1, "of that rate (0.01)")},
    {RT_OPT_NUMBER("--confidence", "X", 0.5, 0.999999, "of each end of an interval (0.99)")},
    {RT_OPT_INT("--seeds", "N", 1, RT_SIZE_MAX_SEEDS,
                "trials a point, of traffic that is drawn (1)")},
    {RT_OPT_TEXT("--decide", "WAY", "interval, or point: this very trace (interval)")},
    {RT_OPT_INT("--jobs", "N", 1, RT_SWEEP_MAX_JOBS, "trials at once (one a core)")},
    {RT_OPT_HEADING("output:")},
    {RT_OPT_TEXT("--output", "FILE", "database; an older one gets further runs (rooftrace.db)"),
     .letter = 'o'},
    {RT_OPT_FLAG("--json", "the answer, and every trial, as JSON")},
    {RT_OPT_TEXT("--catalog", "DIR", "another catalogue of models and GPUs")},
    {RT_OPT_FLAG("--no-progress", "no progress line on a terminal")},
    {RT_OPT_FLAG("--help", "this text"), .letter = 'h'},
};
#define OWN_ROWS (sizeof table / sizeof table[0])

static const struct cli_page page = {
    .usage =
        "usage: rooftrace size SCENARIO.json --slo OBJECTIVE,... [options]\n"
        "       rooftrace size --trace FILE --model M --gpus G,... --tp N,... --slo OBJECTIVE,...\n"
        "       rooftrace size --plan PLAN.json [options]\n\n"
        "The fewest replicas of each candidate that hold the objectives, and the cheapest of "
        "them. Verdicts are\n"
        "pass, fail or undecided, by an interval around each quantile. Options of the scenario "
        "are those of run.\n",
    .examples =
        "\nexamples:\n"
        "  rooftrace size --trace traces/sample.csv --model llama-3.1-8b --gpus h100-sxm,l40s \\\n"
        "      --tp 1,2 --rate-scale 4 --slo p99_ttft:500ms,p99_tpot:50ms -o size.db\n"
        "  rooftrace size traces/sample.scenario.json --slo p95_ttft:1s --max-rate -o size.db\n",
};

/* The rows of a scenario without --slo, which means something else here, then our own. Caller
 * frees; NULL: out of memory. */
static struct rt_option *all_rows(unsigned *count)
{
    unsigned shared, kept = 0;
    const struct rt_option *rows = cli_scenario_rows(&shared);
    struct rt_option *all = calloc(shared + OWN_ROWS, sizeof all[0]);

    if (!all)
        return NULL;
    for (unsigned i = 0; i < OWN_ROWS; i++)
        all[kept++] = table[i];
    for (unsigned i = 0; i < shared; i++)
        if (strcmp(rows[i].name, "--slo") != 0)
            all[kept++] = rows[i];
    *count = kept;
    return all;
}

/* What is searched cannot be told, and what cannot be searched has no range. */
static bool check_replicas(const struct rt_options *o, const struct rt_size_plan *plan,
                           struct rt_err *err)
{
    if (!plan->max_rate && rt_options_given(o, "--replicas"))
        return rt_fail(err, RT_EUSAGE,
                       "--replicas: their number is what is looked for: --replica-range A:B bounds "
                       "it, --max-rate asks what so many hold");
    if (plan->max_rate && rt_options_given(o, "--replica-range"))
        return rt_fail(err, RT_EUSAGE,
                       "--replica-range: with --max-rate the fleet is as it is: --replicas N");
    return true;
}

static void show(const struct rt_size_progress *p, bool wanted)
{
    if (wanted)
        fprintf(stderr, "\r%u trials, %u of %u candidates done ", p->trials, p->searched,
                p->searched + p->open);
}

/* Steps until the end. */
static bool search(struct rt_size *s, bool wanted, struct rt_err *err)
{
    struct rt_size_progress p = {0};
    enum rt_size_step step = RT_SIZE_MORE;

    while (step == RT_SIZE_MORE && !cli_stop_requested()) {
        step = rt_size_step(s, LOOK_MS, &p, err);
        show(&p, wanted);
    }
    if (wanted)
        fputs("\r\033[K", stderr);
    if (step == RT_SIZE_MORE)
        return rt_fail(err, RT_EINTR, "interrupted after %u trials; their runs are kept", p.trials);
    return step == RT_SIZE_DONE;
}

static int answer(const struct rt_size_plan *plan, const struct rt_size_result *r, bool json)
{
    int status;

    if (r->least > 0)
        cli_note("no pass is possible: an upper bound at %g %% needs %" PRIu64
                 " requests, the workload has %" PRIu64
                 " (--repeat, --seeds, a lower --confidence, or --decide point)",
                 100 * r->confidence, r->least, r->requests * plan->seeds);
    if (json)
        size_print_json(plan, r);
    else
        size_print_text(plan, r);
    status = cli_finish();
    if (status != EXIT_SUCCESS)
        return status;
    return r->chosen >= 0 && r->rows[r->chosen].verdict == RT_VERDICT_PASS ? EXIT_SUCCESS
                                                                           : NOTHING_HOLDS;
}

static int size(const struct rt_options *o, const struct rt_size_plan *plan)
{
    const char *path = rt_options_text(o, "--output", "rooftrace.db");
    bool wanted = !rt_options_given(o, "--no-progress") && isatty(STDERR_FILENO);
    struct rt_size_options to = {.jobs = cli_jobs(o)};
    struct rt_size *s = NULL;
    struct rt_err err = {0};
    int status;

    cli_catch_signals();
    if (rt_store_open(path, &to.store, &err) && rt_size_new(plan, &to, &s, &err) &&
        search(s, wanted, &err)) {
        status = answer(plan, rt_size_result(s), rt_options_given(o, "--json"));
        cli_note("%s holds the trials: tables size_candidate, size_trial, size_check", path);
    } else {
        status = cli_fail(&err);
    }
    rt_size_free(s);
    rt_store_close(to.store);
    return status;
}

int cli_size(int argc, char **argv)
{
    struct cli_page whole = page;
    struct rt_option *rows = all_rows(&whole.options.count);
    struct rt_catalog *catalog = NULL;
    struct rt_size_plan plan = {0};
    struct rt_options o;
    struct rt_err err = {0};
    int status;

    if (!rows) {
        rt_fail_nomem(&err, "options");
        return cli_fail(&err);
    }
    whole.options.command = "rooftrace size";
    whole.options.table = rows;
    if (!cli_begin(&whole, argc, argv, &o, &status)) {
        free(rows);
        return status;
    }
    if (!cli_words(&o, 0, 1, "one scenario file", &err) ||
        !rt_catalog_open(rt_options_text(&o, "--catalog", NULL), &catalog, &err) ||
        !size_plan_from_options(&o, catalog, &plan, &err) || !check_replicas(&o, &plan, &err))
        status = cli_fail(&err);
    else
        status = size(&o, &plan);
    rt_size_plan_release(&plan);
    rt_catalog_free(catalog);
    rt_options_release(&o);
    free(rows);
    return status;
}
