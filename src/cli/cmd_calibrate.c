/* rooftrace calibrate: a GPU record's constants from measurements.
 *
 * --ops fits them to times of single operators, --requests fits the host's time (and a factor on
 * efficiencies) to a serving log by simulating it. Both print errors before and after, on what was
 * fitted and on what was not, and write the fitted record with its provenance. */
#include "cli_internal.h"
#include "record_internal.h"
#include "rooftrace/catalog.h"
#include "rooftrace/fit_ops.h"
#include "rooftrace/fit_requests.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct rt_option table[] = {
    {RT_OPT_HEADING("from operator times:")},
    {RT_OPT_TEXT("--ops", "TABLE", "measured operators; more tables may follow")},
    {RT_OPT_TEXT("--gpu", "NAME|FILE", "record to begin with: peaks, bandwidths, first guesses")},
    {RT_OPT_TEXT("--format", "NAME", "layout of the tables (auto)")},
    {RT_OPT_PAIRS("--where", "COLUMN:VALUE ...", "only lines with these texts")},
    {RT_OPT_TEXT("--model", "NAME|FILE", "of tables that do not name one")},
    {RT_OPT_TEXT("--shapes", "FILE", "shapes of models, for vidur-layers")},
    {RT_OPT_TEXT("--table", "FILE", "write the rows as a table for --profile, too")},
    {RT_OPT_HEADING("from a serving log:")},
    {RT_OPT_TEXT("--requests", "LOG",
                 "measured requests of the trace: what `rooftrace compare` reads")},
    {RT_OPT_TEXT("--scenario", "FILE", "the scenario that the log was measured in")},
    {RT_OPT_TEXT("--fit", "WHAT", "host, or efficiencies: GEMM and attention, too (host)")},
    {RT_OPT_INT("--evaluations", "N", 10, 10000, "simulations at most (100)")},
    {RT_OPT_HEADING("output:")},
    {RT_OPT_TEXT("--output", "FILE", "the fitted record, for --gpu"), .letter = 'o'},
    {RT_OPT_TEXT("--name", "NAME", "of the fitted record (the old one with -fitted)")},
    {RT_OPT_TEXT("--date", "TEXT", "when it was measured, for the record's sources")},
    {RT_OPT_TEXT("--catalog", "DIR", "another catalogue of models and GPUs")},
    {RT_OPT_FLAG("--help", "this text"), .letter = 'h'},
};

static void print_formats(FILE *out)
{
    fputs("\nlayouts of tables:\n", out);
    for (unsigned i = 0; i < rt_op_format_count(); i++)
        fprintf(out, "  %-18s %s\n", rt_op_format_at(i).name, rt_op_format_at(i).help);
}

static const struct cli_page page = {
    .usage =
        "usage: rooftrace calibrate --ops TABLE [TABLE ...] --gpu G [-o gpu.json]\n"
        "       rooftrace calibrate --requests LOG --scenario FILE [-o gpu.json]\n\n"
        "Fits the constants of a GPU record to measurements and prints the errors, also on what\n"
        "was left out of the fit. docs/calibration.md has the formats.\n",
    .options = {"rooftrace calibrate", table, sizeof table / sizeof table[0]},
    .more = print_formats,
    .examples = "\nexamples:\n"
                "  python3 tools/profile_gpu.py --models llama-3.1-8b -o mine.csv\n"
                "  rooftrace calibrate --ops mine.csv --gpu rtx-4090 -o mine.json\n"
                "  rooftrace calibrate --requests log.csv --scenario s.json -o mine.json\n",
};

/* ---- the record ------------------------------------------------------------------------------ */

/* Where the fitted constants come from, group by group. */
struct provenance {
    const struct rt_options *o;
    char what[240]; /* the measurement: "mine.csv" */
    struct record_out record;
};

static void stamp(const struct provenance *p, char *text, size_t size, const char *detail)
{
    const char *date = rt_options_text(p->o, "--date", NULL);
    snprintf(text, size, "fitted by rooftrace calibrate %s to %s%s%.60s: %s", RT_VERSION, p->what,
             date != NULL ? ", measured " : "", date != NULL ? date : "", detail);
}

static bool write_record(struct provenance *p, const struct rt_gpu *fitted, struct rt_err *err)
{
    const char *path = rt_options_text(p->o, "--output", NULL);
    const char *name = rt_options_text(p->o, "--name", NULL);
    static const char suffix[] = "-fitted";
    struct rt_gpu gpu = *fitted;

    if (path == NULL)
        return true;
    if (name != NULL && (name[0] == '\0' || strlen(name) >= sizeof gpu.name))
        return rt_fail(err, RT_EUSAGE, "--name: expected 1 to %zu characters", sizeof gpu.name - 1);
    if (name != NULL)
        snprintf(gpu.name, sizeof gpu.name, "%s", name);
    else if (strlen(gpu.name) + sizeof suffix <= sizeof gpu.name)
        memcpy(gpu.name + strlen(gpu.name), suffix, sizeof suffix);
    snprintf(p->record.rest, sizeof p->record.rest, "%s of rooftrace %s", fitted->name, RT_VERSION);
    snprintf(gpu.accuracy, sizeof gpu.accuracy, "%s", p->record.accuracy);
    return record_write(&p->record, &gpu, path, err);
}

/* ---- operators ------------------------------------------------------------------------------- */

static void print_constants(const struct rt_fit_ops *fit)
{
    printf("%-32s %12s %12s %8s\n", "constant", "before", "fitted", "rows");
    for (unsigned i = 0; i < fit->constant_count; i++) {
        const struct rt_fit_constant *c = &fit->constants[i];
        printf("%-32s %12.5g %12.5g %8zu\n", c->key, c->before, c->after, c->rows);
    }
}

static void percent(double value)
{
    if (isnan(value))
        printf(" %9s", "-");
    else
        printf(" %9.1f", 100 * value);
}

static void print_errors(const struct rt_fit_ops *fit)
{
    printf("\n%-12s %-14s %7s %9s %9s %9s %9s %9s\n", "error, %", "", "rows", "before", "median",
           "p90", "bias", "left out");
    for (unsigned i = 0; i < fit->error_count; i++) {
        const struct rt_fit_error *e = &fit->errors[i];
        printf("%-12s %-14s %7zu", e->stage, e->range, e->rows);
        percent(e->before);
        percent(e->median);
        percent(e->p90);
        percent(e->bias);
        percent(e->left_out);
        putchar('\n');
    }
    fputs("before: with the record's constants; left out: predicted without the model's (or\n"
          "shape's) own rows. Medians of |predicted/measured - 1|, bias signed.\n",
          stdout);
}

/* The stage that decided a group of constants, by its first constant. */
static const struct rt_fit_error *error_of(const struct rt_fit_ops *fit, const char *stage)
{
    for (unsigned i = 0; i < fit->error_count; i++)
        if (strcmp(fit->errors[i].stage, stage) == 0)
            return &fit->errors[i];
    return NULL;
}

static void describe_ops(struct provenance *p, const struct rt_fit_ops *fit)
{
    static const struct {
        const char *group, *stage;
    } list[] = {{"gemm", "gemm"},
                {"quantized", "gemm 8 bit"},
                {"quantized", "gemm 4 bit"},
                {"decode", "decode"},
                {"prefill", "prefill"},
                {"mixed", "mixed"},
                {"moe", "moe"},
                {"elementwise", "elementwise"},
                {"sampler", "sampler"},
                {"allreduce", "all_reduce"}};
    char text[RECORD_TEXT], detail[160];

    snprintf(p->record.accuracy, sizeof p->record.accuracy, "median error on measured operators:");
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        const struct rt_fit_error *e = error_of(fit, list[i].stage);
        if (e == NULL)
            continue;
        snprintf(detail, sizeof detail, "%s, %zu rows, median error %.1f %%, left out %.1f %%",
                 e->stage, e->rows, 100 * e->median, 100 * e->left_out);
        stamp(p, text, sizeof text, detail);
        record_source(&p->record, list[i].group, text);
        size_t len = strlen(p->record.accuracy);
        snprintf(p->record.accuracy + len, sizeof p->record.accuracy - len, " %s %.1f %%,",
                 e->stage, 100 * e->median);
    }
    size_t len = strlen(p->record.accuracy);
    if (p->record.accuracy[len - 1] == ',')
        p->record.accuracy[len - 1] = '\0';
}

static bool read_tables(const struct rt_options *o, const struct rt_catalog *c,
                        struct rt_op_table *t, struct rt_err *err)
{
    struct rt_op_source source = {.format = rt_options_text(o, "--format", NULL),
                                  .shapes = rt_options_text(o, "--shapes", NULL),
                                  .model = rt_options_text(o, "--model", NULL),
                                  .catalog = c};
    const struct rt_option_value *where = rt_options_get(o, "--where");

    source.where = where->all;
    source.where_count = where->count;
    if (!rt_op_table_read(t, rt_options_text(o, "--ops", ""), &source, err))
        return false;
    for (unsigned i = 0; i < o->word_count; i++)
        if (!rt_op_table_read(t, o->words[i], &source, err))
            return false;
    return t->count > 0 || rt_fail(err, RT_ECONFIG, "%s: expected rows of operators, read none",
                                   rt_options_text(o, "--ops", ""));
}

/* Whoever measured for an hour does not want the table replaced by the answer. */
static bool spare_tables(const struct rt_options *o, struct rt_err *err)
{
    static const char *const outputs[] = {"--output", "--table"};

    for (unsigned k = 0; k < 2; k++)
        for (unsigned i = 0; i <= o->word_count; i++) {
            const char *path = i == 0 ? rt_options_text(o, "--ops", "") : o->words[i - 1];
            if (!cli_out_spares(outputs[k], rt_options_text(o, outputs[k], NULL), path, "table",
                                err))
                return false;
        }
    return true;
}

/* The tables' names without their folders. */
static void name_tables(struct provenance *p)
{
    for (unsigned i = 0; i <= p->o->word_count; i++) {
        const char *path = i == 0 ? rt_options_text(p->o, "--ops", "") : p->o->words[i - 1];
        const char *slash = strrchr(path, '/');
        size_t len = strlen(p->what);
        snprintf(p->what + len, sizeof p->what - len, "%s%s", i > 0 ? ", " : "",
                 slash != NULL ? slash + 1 : path);
    }
}

static bool fit_table(const struct rt_options *o, const struct rt_catalog *c, struct rt_op_table *t,
                      struct rt_err *err)
{
    const char *name = rt_options_text(o, "--gpu", NULL);
    const char *out = rt_options_text(o, "--table", NULL);
    struct provenance p = {.o = o};
    struct rt_fit_ops *fit = calloc(1, sizeof *fit);
    struct rt_gpu gpu;
    bool ok = fit != NULL || rt_fail_nomem(err, "the fit");

    if (ok && name == NULL)
        ok = rt_fail(err, RT_EUSAGE, "expected --gpu, the record to begin with");
    ok = ok && spare_tables(o, err) && rt_catalog_gpu(c, name, &gpu, err) &&
         read_tables(o, c, t, err) && rt_fit_ops(t, &gpu, fit, err) &&
         (out == NULL || table_write(t, out, err));
    name_tables(&p);
    if (ok && fit != NULL) {
        printf("%s: %zu rows fitted\n", gpu.name, fit->rows);
        print_constants(fit);
        print_errors(fit);
        describe_ops(&p, fit);
        ok = write_record(&p, &fit->gpu, err);
    }
    free(fit);
    return ok;
}

static bool fit_ops(const struct rt_options *o, const struct rt_catalog *c, struct rt_err *err)
{
    struct rt_op_table t;
    rt_op_table_init(&t);
    bool ok = fit_table(o, c, &t, err);
    rt_op_table_release(&t);
    return ok;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void print_half(const struct rt_fit_requests_report *r, unsigned half, const char *name)
{
    static const char *const statistics[] = {"mean", "p50", "p90", "p99"};

    for (int m = 0; m < RT_FIT_METRICS; m++) {
        const struct rt_fit_figures *before = &r->figures[0][half][m];
        const struct rt_fit_figures *after = &r->figures[1][half][m];
        if (after->requests == 0 || before->requests == 0)
            continue;
        for (int k = 0; k < 4; k++)
            printf("%-8s %-5s %-5s %6zu %12.5f %12.5f %9.1f %12.5f %9.1f\n", name,
                   rt_fit_metric_names[m], statistics[k], after->requests, after->real[k],
                   before->ours[k], 100 * (before->ours[k] / before->real[k] - 1), after->ours[k],
                   100 * (after->ours[k] / after->real[k] - 1));
        printf("%-8s %-5s %-5s %6zu %12s %12s %9.1f %12s %9.1f\n", name, rt_fit_metric_names[m],
               "each", after->requests, "", "", 100 * before->error, "", 100 * after->error);
    }
}

static void print_requests(const struct rt_fit_requests_report *r)
{
    printf("%u simulations\n%-24s %12s %12s\n", r->evaluations, "constant", "before", "fitted");
    for (unsigned i = 0; i < r->knob_count; i++)
        printf("%-24s %12.5g %12.5g\n", r->knobs[i].name, r->knobs[i].before, r->knobs[i].after);
    printf("\n%-8s %-5s %-5s %6s %12s %12s %9s %12s %9s\n", "half", "", "", "n", "real s",
           "before s", "error %", "fitted s", "error %");
    print_half(r, 0, "fitted");
    print_half(r, 1, "judged");
    fputs("judged: every other request, not looked at by the fit. each: median of |ours/real - 1|\n"
          "request by request.\n",
          stdout);
}

static void describe_requests(struct provenance *p, const struct rt_fit_requests_report *r)
{
    static const char *const groups[] = {"host", "gemm", "decode", "prefill"};
    char text[RECORD_TEXT], detail[200];
    const struct rt_fit_figures *f = r->figures[1][1];

    snprintf(detail, sizeof detail, "mean errors on the requests that were not fitted:");
    for (int m = 0; m < RT_FIT_METRICS; m++) {
        size_t len = strlen(detail);
        if (f[m].requests > 0)
            snprintf(detail + len, sizeof detail - len, " %s %+.1f %%", rt_fit_metric_names[m],
                     100 * (f[m].ours[0] / f[m].real[0] - 1));
    }
    snprintf(p->record.accuracy, sizeof p->record.accuracy, "serving log, %s", detail);
    stamp(p, text, sizeof text, detail);
    for (unsigned i = 0; i < (r->knob_count > 2 ? 4u : 1u); i++)
        record_source(&p->record, groups[i], text);
}

static bool fit_scenario(const struct rt_options *o, struct rt_scenario *s, struct rt_err *err)
{
    const char *what = rt_options_text(o, "--fit", "host");
    const char *path = rt_options_text(o, "--requests", "");
    struct rt_fit_requests_options options = {
        .efficiencies = strcmp(what, "efficiencies") == 0,
        .evaluations = (unsigned)rt_options_int(o, "--evaluations", 100)};
    struct provenance p = {.o = o};
    struct rt_fit_requests_report report;
    struct rt_request_log log;

    if (!options.efficiencies && strcmp(what, "host") != 0)
        return rt_fail(err, RT_EUSAGE, "--fit: expected host or efficiencies, read \"%.40s\"",
                       what);
    if (!cli_out_spares("--output", rt_options_text(o, "--output", NULL), path, "log", err) ||
        !cli_out_spares("--output", rt_options_text(o, "--output", NULL),
                        rt_options_text(o, "--scenario", NULL), "scenario", err) ||
        !rt_log_load(path, NULL, 0, &log, err))
        return false;
    snprintf(p.what, sizeof p.what, "%s", strrchr(path, '/') ? strrchr(path, '/') + 1 : path);
    bool ok = rt_fit_requests(s, &log, &options, &report, err);
    if (ok) {
        print_requests(&report);
        describe_requests(&p, &report);
        ok = write_record(&p, &s->fleet.pools[0].gpu, err);
    }
    rt_log_release(&log);
    return ok;
}

static bool fit_requests(const struct rt_options *o, const struct rt_catalog *c, struct rt_err *err)
{
    const char *path = rt_options_text(o, "--scenario", NULL);
    struct rt_json *doc;
    struct rt_scenario s;

    if (path == NULL)
        return rt_fail(err, RT_EUSAGE, "expected --scenario, what the log was measured in");
    if (!cli_words(o, 0, 0, "options only", err) || !rt_json_load(path, &doc, err))
        return false;
    struct rt_json_at root = rt_json_root(doc);
    bool ok = rt_scenario_parse(&root, c, &s, err);
    rt_json_free(doc);
    if (!ok)
        return false;
    ok = fit_scenario(o, &s, err);
    rt_scenario_release(&s);
    return ok;
}

/* ---- the command ----------------------------------------------------------------------------- */

static bool calibrate(const struct rt_options *o, const struct rt_catalog *c, struct rt_err *err)
{
    static const char *const of_ops[] = {"--gpu",   "--format", "--where",
                                         "--model", "--shapes", "--table"};
    static const char *const of_requests[] = {"--scenario", "--fit", "--evaluations"};
    bool ops = rt_options_given(o, "--ops"), requests = rt_options_given(o, "--requests");

    if (ops == requests)
        return rt_fail(err, RT_EUSAGE, "expected --ops or --requests, read %s",
                       ops ? "both" : "neither");
    for (unsigned i = 0; i < 6 && requests; i++)
        if (rt_options_given(o, of_ops[i]))
            return rt_fail(err, RT_EUSAGE, "%s belongs to --ops", of_ops[i]);
    for (unsigned i = 0; i < 3 && ops; i++)
        if (rt_options_given(o, of_requests[i]))
            return rt_fail(err, RT_EUSAGE, "%s belongs to --requests", of_requests[i]);
    return ops ? fit_ops(o, c, err) : fit_requests(o, c, err);
}

int cli_calibrate(int argc, char **argv)
{
    struct rt_catalog *catalog = NULL;
    struct rt_options o;
    struct rt_err err = {0};
    int status;

    if (!cli_begin(&page, argc, argv, &o, &status))
        return status;
    if (!rt_catalog_open(rt_options_text(&o, "--catalog", NULL), &catalog, &err) ||
        !calibrate(&o, catalog, &err))
        status = cli_fail(&err);
    else
        status = cli_finish();
    rt_catalog_free(catalog);
    rt_options_release(&o);
    return status;
}
