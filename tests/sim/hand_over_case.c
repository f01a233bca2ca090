/* A scenario's text becomes a run whose rows and steps are kept. */
#include "hand_over_case.h"
#include "rooftrace/catalog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void case_parse(const char *keys, struct rt_scenario *s)
{
    char text[6000];
    struct rt_err err = {0};
    struct rt_catalog *catalog = NULL;
    struct rt_json *doc = NULL;
    int length =
        snprintf(text, sizeof text,
                 "{\"workload\": {\"trace\": \"none\"}, \"model\": \"llama-3.1-8b\", %s}", keys);
    assert_true(length > 0 && (size_t)length < sizeof text);
    assert_ok(rt_catalog_open(NULL, &catalog, &err), &err);
    assert_ok(rt_json_parse(text, strlen(text), "hand-over", &doc, &err), &err);
    struct rt_json_at root = rt_json_root(doc);
    if (!rt_scenario_parse(&root, catalog, s, &err))
        fail_msg("%s\n%s", err.msg, text);
    rt_json_free(doc);
    rt_catalog_free(catalog);
}

/* The simulation wants its list back empty. */
static void keep_steps(struct rt_step_list *from, struct rt_step_list *into)
{
    for (size_t n = 0; n < from->count; n++) {
        struct rt_step_row *row = rt_step_list_add(into);
        assert_non_null(row);
        *row = from->rows[n];
    }
    rt_step_list_reset(from);
}

void case_replay(const char *keys, const struct array_load *load, bool coast, size_t rows,
                 struct replay *out)
{
    struct rt_err err = {0};
    struct rt_step_list lately = {0};
    enum rt_sim_answer answer = RT_SIM_MORE;
    memset(out, 0, sizeof *out);
    case_parse(keys, &out->scenario);
    out->scenario.coast = coast;
    rt_finished_list_init(&out->rows);
    assert_ok(rt_sim_new(&out->scenario, array_source_new(load), &out->sim, &err), &err);
    rt_sim_record_steps(out->sim, &lately);
    while (answer == RT_SIM_MORE && out->rows.count < rows) {
        answer = rt_sim_next(out->sim, out->rows.count + 1, &out->rows, &err);
        if (answer == RT_SIM_ERROR)
            fail_msg("%s", err.msg);
        keep_steps(&lately, &out->steps);
    }
    rt_step_list_release(&lately);
    rt_sim_record_steps(out->sim, NULL);
    if (answer == RT_SIM_MORE)
        assert_ok(rt_sim_abort(out->sim, &out->rows, &err), &err);
    out->totals = rt_sim_totals(out->sim);
}

void case_release(struct replay *r)
{
    rt_finished_list_release(&r->rows);
    rt_step_list_release(&r->steps);
    rt_sim_free(r->sim);
    rt_scenario_release(&r->scenario);
}

const struct rt_finished *case_row(const struct replay *r, uint64_t id)
{
    for (size_t n = 0; n < r->rows.count; n++)
        if (r->rows.rows[n].id == id)
            return &r->rows.rows[n];
    fail_msg("request %llu has no row", (unsigned long long)id);
    return NULL;
}
