/* rooftrace merge: the databases of a sweep's shards become one. */
#include "cli_internal.h"
#include "rooftrace/merge.h"

#include <inttypes.h>

static const struct rt_option table[] = {
    {RT_OPT_HEADING("options:")},
    {RT_OPT_FLAG("--json", "what was merged, as JSON")},
    {RT_OPT_FLAG("--help", "this text"), .letter = 'h'},
};

static const struct cli_page page = {
    .usage =
        "usage: rooftrace merge OUT.db SHARD.db... [options]\n\n"
        "Joins the databases of a sweep's shards into a new one, equal to what one process would\n"
        "have written. Refused: shards of different plans or versions, a trial in two shards, an\n"
        "OUT.db that holds something. Trials that are missing are named; `rooftrace sweep` with\n"
        "the same plan and -o OUT.db runs them.\n",
    .options = {"rooftrace merge", table, sizeof table / sizeof table[0]},
    .examples = "\nexamples:\n"
                "  rooftrace merge sweep.db sweep.*-of-4.db\n",
};

static void print_report(const struct rt_merge_report *r, bool json)
{
    if (json)
        printf("{\"trials\": %" PRId64 ", \"merged\": %" PRId64 ", \"failed\": %" PRId64
               ", \"unfinished\": %" PRId64 ", \"first_missing\": %" PRId64 "}\n",
               r->trials, r->merged, r->failed, r->unfinished, r->first_missing);
    else
        printf("%" PRId64 " of %" PRId64 " trials, %" PRId64 " of them failed\n", r->merged,
               r->trials, r->failed);
}

int cli_merge(int argc, char **argv)
{
    struct rt_merge_report report;
    struct rt_options o;
    struct rt_err err = {0};
    int status;

    if (!cli_begin(&page, argc, argv, &o, &status))
        return status;
    if (!cli_words(&o, 2, UINT32_MAX, "the new database and those of the shards", &err) ||
        !rt_merge(o.words[0], o.words + 1, o.word_count - 1, &report, &err)) {
        status = cli_fail(&err);
    } else {
        print_report(&report, rt_options_given(&o, "--json"));
        if (report.unfinished > 0)
            cli_note("%" PRId64 " runs that had not ended were left out", report.unfinished);
        if (report.first_missing > 0)
            cli_note("%" PRId64 " trials are missing, the first is trial %" PRId64,
                     report.trials - report.merged, report.first_missing);
        status = cli_finish();
    }
    rt_options_release(&o);
    return status;
}
