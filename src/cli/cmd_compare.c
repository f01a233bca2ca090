/* rooftrace compare: a measured log of requests against a run, or two runs, request by request and
 * per percentile. */
#include "cli_internal.h"
#include "rooftrace/report.h"

#include <string.h>

static const struct rt_option table[] = {
    {RT_OPT_HEADING("what is compared:")},
    {RT_OPT_INT("--run", "N", 1, INT64_MAX, "run of the database (the latest)")},
    {RT_OPT_INT(
        "--with", "N", 1, INT64_MAX,
        "compare run N with --run, instead of a measured log;\nrun N is taken as the truth")},
    {RT_OPT_TEXT("--by", "HOW",
                 "pair requests by id, by order of arrival, or auto:\n"
                 "by id where both have numbered ids (auto)")},
    {RT_OPT_PAIRS(
        "--columns", "FIELD:COLUMN ...",
        "where the log's names are not known:\n--columns ttft_ms:first_token e2e_s:total")},
    {RT_OPT_HEADING("output:")},
    {RT_OPT_FLAG("--json", "one JSON object; errors are shares, not percent")},
    {RT_OPT_FLAG("--help", "this text"), .letter = 'h'},
};

static void fields(FILE *out)
{
    fputs("\nfields of --columns:", out);
    for (unsigned i = 0; i < rt_log_field_count; i++)
        fprintf(out, "%s %s", i % 7 == 0 ? "\n " : "", rt_log_fields[i]);
    fputs("\n", out);
}

static const struct cli_page page = {
    .usage =
        "usage: rooftrace compare MEASURED DATABASE [options]\n"
        "       rooftrace compare DATABASE --with N [options]\n\n"
        "How far a simulation is from what was measured: TTFT, TPOT, ITL, E2E and throughput,\n"
        "as errors of the mean and of percentiles, and request by request. MEASURED is a CSV or\n"
        "JSON lines with a row a request, vLLM's result file (--save-detailed), or AIPerf's\n"
        "profile_export.jsonl. Requests are paired by id (17 and bench-17 are the 18th of the\n"
        "trace) or by order of arrival. Error = b / a - 1, where a is what was measured.\n",
    .options = {"rooftrace compare", table, sizeof table / sizeof table[0]},
    .more = fields,
    .examples = "\nexamples:\n"
                "  rooftrace compare measured.csv out.db\n"
                "  rooftrace compare vllm-result.json out.db --run 2 --json\n"
                "  rooftrace compare measured.csv out.db --columns ttft_ms:first_token --by order\n"
                "  rooftrace compare out.db --with 1 --run 2\n",
};

struct job {
    const char *measured, *database; /* measured NULL: another run */
    int64_t run, with;
    enum rt_compare_by by;
    const char *const *columns;
    unsigned column_count;
    bool json;
};

static bool read_by(const struct rt_options *o, enum rt_compare_by *out, struct rt_err *err)
{
    static const char *const names[] = {"auto", "id", "order"};
    const char *text = rt_options_text(o, "--by", names[0]);
    char suggestion[64];

    for (unsigned i = 0; i < 3; i++)
        if (strcmp(text, names[i]) == 0) {
            *out = (enum rt_compare_by)i;
            return true;
        }
    return rt_fail(err, RT_EUSAGE, "--by: unknown way \"%.64s\", %s", text,
                   rt_suggest(text, names, 3, suggestion, sizeof suggestion));
}

static bool read_job(const struct rt_options *o, struct job *job, struct rt_err *err)
{
    bool runs = rt_options_given(o, "--with");
    const struct rt_option_value *columns = rt_options_get(o, "--columns");

    if (!cli_words(o, runs ? 1 : 2, runs ? 1 : 2,
                   runs ? "a database: --with compares two of its runs"
                        : "a measured log and a database",
                   err))
        return false;
    if (runs && columns->count > 0)
        return rt_fail(err, RT_EUSAGE, "--columns is for a measured log, --with compares runs");
    job->measured = runs ? NULL : o->words[0];
    job->database = o->words[o->word_count - 1];
    job->run = rt_options_int(o, "--run", 0);
    job->with = rt_options_int(o, "--with", 0);
    job->columns = columns->all;
    job->column_count = columns->count;
    job->json = rt_options_given(o, "--json");
    return read_by(o, &job->by, err);
}

static bool load(const struct job *job, struct rt_request_log *a, struct rt_request_log *b,
                 struct rt_err *err)
{
    struct rt_db *db = NULL;
    bool ok = rt_db_open(job->database, &db, err) && rt_log_of_run(db, job->run, b, err);

    if (ok && job->measured == NULL)
        ok = rt_log_of_run(db, job->with, a, err);
    rt_db_close(db);
    if (ok && job->measured != NULL)
        ok = rt_log_load(job->measured, job->columns, job->column_count, a, err);
    return ok;
}

static int compare(const struct job *job)
{
    struct rt_request_log a = {0}, b = {0};
    struct rt_comparison c;
    struct rt_err err = {0};
    bool ok = load(job, &a, &b, &err) && rt_compare(&a, &b, job->by, &c, &err);

    rt_log_release(&a);
    rt_log_release(&b);
    if (!ok)
        return cli_fail(&err);
    if (!job->json)
        rt_report_comparison(&c, stdout);
    else if (!rt_report_comparison_json(&c, stdout, &err))
        return cli_fail(&err);
    if (c.tokens_differ > 0)
        cli_note("%llu of %llu pairs have other token counts: is this a log of that trace?",
                 (unsigned long long)c.tokens_differ, (unsigned long long)c.compared);
    return cli_finish();
}

int cli_compare(int argc, char **argv)
{
    struct rt_options o;
    struct rt_err err = {0};
    struct job job = {0};
    int status;

    if (!cli_begin(&page, argc, argv, &o, &status))
        return status;
    if (read_job(&o, &job, &err))
        status = compare(&job);
    else
        status = cli_fail(&err);
    rt_options_release(&o);
    return status;
}
