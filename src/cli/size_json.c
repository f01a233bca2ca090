/* What `rooftrace size` found, as one JSON object; figures that do not exist are null. */
#include "size_internal.h"

#include <inttypes.h>
#include <math.h>

static void key_number(const char *key, double value, const char *end)
{
    printf("\"%s\": ", key);
    cli_json_number(stdout, value);
    fputs(end, stdout);
}

static void key_text(const char *key, const char *value, const char *end)
{
    printf("\"%s\": ", key);
    cli_json_text(stdout, value);
    fputs(end, stdout);
}

static void print_check(const struct rt_size_check *c)
{
    fputs("{", stdout);
    key_text("objective", c->text, ", ");
    key_text("verdict", rt_verdict_names[c->verdict], ", ");
    key_number("limit", c->limit, ", ");
    key_number("value", c->value, ", ");
    key_number("low", c->low, ", ");
    key_number("high", c->high, ", ");
    key_number("requests", (double)c->requests, ", ");
    key_number("late", (double)c->late, ", ");
    key_number("effective_requests", c->effective, "}");
}

static void print_trial(const struct rt_size_trial *t, unsigned checks)
{
    fputs("{", stdout);
    key_number("replicas", (double)t->replicas, ", ");
    key_number("gpus", (double)t->gpus, ", ");
    key_number("rate", t->rate, ", ");
    key_number("requests_per_s", t->requests_per_s, ", ");
    key_number("usd_per_h", t->usd_per_h, ", ");
    key_number("run_id", (double)t->run_id, ", ");
    key_text("verdict", rt_verdict_names[t->verdict], ", ");
    printf("\"stopped\": %s, ", t->stopped ? "true" : "false");
    key_text("binds", rt_binds_names[t->binds], ", ");
    key_text("worst", t->checks[t->worst].text, ", ");
    key_number("load_share", t->load_share, ", ");
    key_number("busy_share", t->busy_share, ", ");
    key_number("kv_peak_share", t->kv_peak_share, ", ");
    key_number("queue_share", t->queue_share, ", ");
    key_number("p99_ttft_s", t->ttft_p99_s, ", ");
    key_number("p99_tpot_s", t->tpot_p99_s, ", ");
    key_number("tokens_per_s_per_gpu", t->tokens_per_s_per_gpu, ", ");
    key_number("tokens_per_s_per_user", t->tokens_per_s_per_user, ",\n         \"checks\": [");
    for (unsigned i = 0; i < checks; i++) {
        fputs(i > 0 ? ",\n          " : "", stdout);
        print_check(&t->checks[i]);
    }
    fputs("]}", stdout);
}

/* An index, or null. */
static void key_index(const char *key, int index, const char *end)
{
    key_number(key, index >= 0 ? index : (double)NAN, end);
}

static void print_row(const struct rt_size_row *row, unsigned checks)
{
    fputs("    {", stdout);
    key_text("candidate", row->name, ", ");
    key_text("gpu", row->gpu, ", ");
    key_number("tensor_parallel", (double)row->tensor_parallel, ", ");
    key_text("verdict", rt_verdict_names[row->verdict], ",\n     ");
    key_text("reason", row->reason, ",\n     ");
    key_index("best", row->best, ", ");
    key_index("next", row->next, ", ");
    printf("\"monotone\": %s, \"trials\": [", row->monotone ? "true" : "false");
    for (unsigned i = 0; i < row->trial_count; i++) {
        fputs(i > 0 ? ",\n        " : "\n        ", stdout);
        print_trial(&row->trials[i], checks);
    }
    fputs("]}", stdout);
}

void size_print_json(const struct rt_size_plan *plan, const struct rt_size_result *r)
{
    fputs("{\n  ", stdout);
    key_number("requests", (double)r->requests, ",\n  ");
    key_number("confidence", r->confidence, ",\n  ");
    key_text("decide", r->point ? "point" : "interval", ",\n  ");
    key_number("least_requests", (double)r->least, ",\n  ");
    key_index("chosen", r->chosen, ",\n  ");
    key_number("headroom_rate", r->headroom_rate, ",\n  \"next_cheaper\": ");
    if (r->cheaper_row >= 0)
        printf("{\"candidate\": %d, \"trial\": %d}", r->cheaper_row, r->cheaper_trial);
    else
        fputs("null", stdout);
    fputs(",\n  \"candidates\": [\n", stdout);
    for (unsigned i = 0; i < r->count; i++) {
        print_row(&r->rows[i], plan->objective_count);
        fputs(i + 1 < r->count ? ",\n" : "\n", stdout);
    }
    fputs("  ]\n}\n", stdout);
}
