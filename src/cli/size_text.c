/* What `rooftrace size` found, as a table and the answer in words. */
#include "size_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CELL  64
#define FIXED 8 /* columns beside one for each objective */

struct grid { /* row 0: headings */
    unsigned rows, columns;
    char (*cells)[CELL];
};

static char *cell(const struct grid *g, unsigned row, unsigned column)
{
    return g->cells[row * g->columns + column];
}

/* A value in the unit of its limit: ms, or of several limits the share of them. */
static double scale_of(const struct rt_objective *o)
{
    unsigned limits = (isnan(o->limit.ttft_s) ? 0u : 1u) + (isnan(o->limit.tpot_s) ? 0u : 1u) +
                      (isnan(o->limit.e2e_s) ? 0u : 1u);

    return limits > 1 ? 1 : 1e3;
}

static void bound_text(double value, char *out, size_t size)
{
    if (isinf(value))
        snprintf(out, size, "-");
    else
        snprintf(out, size, "%.4g", value);
}

/* "431 [402, 466]"; stopped: "> limit". */
static void check_text(const struct rt_size_check *c, double scale, char *out, size_t size)
{
    char value[16], low[16], high[16];

    if (isnan(c->value)) {
        snprintf(out, size, "%s%.4g, stopped", c->verdict == RT_VERDICT_FAIL ? ">" : "? ",
                 c->limit * scale);
        return;
    }
    bound_text(c->value * scale, value, sizeof value);
    bound_text(c->low * scale, low, sizeof low);
    bound_text(c->high * scale, high, sizeof high);
    snprintf(out, size, "%s [%s, %s]", value, low, high);
}

static void number(char *out, const char *format, double value)
{
    if (isnan(value))
        snprintf(out, CELL, "-");
    else /* each format has one %f or %g */
        snprintf(out, CELL, format[0] == '2' ? "%.2f" : format[0] == '0' ? "%.0f" : "%.4g", value);
}

static void fill_trial(const struct grid *g, unsigned row, const struct rt_size_plan *plan,
                       const struct rt_size_trial *t)
{
    unsigned n = plan->objective_count;

    snprintf(cell(g, row, 2), CELL, "%" PRId64, t->replicas);
    snprintf(cell(g, row, 3), CELL, "%" PRId64, t->gpus);
    number(cell(g, row, 4), "2", t->usd_per_h);
    for (unsigned i = 0; i < n; i++)
        check_text(&t->checks[i], scale_of(&plan->objectives[i]), cell(g, row, 5 + i), CELL);
    number(cell(g, row, 5 + n), "0", t->tokens_per_s_per_gpu);
    number(cell(g, row, 6 + n), "g", t->tokens_per_s_per_user);
}

static void fill_row(const struct grid *g, unsigned i, const struct rt_size_plan *plan,
                     const struct rt_size_result *r)
{
    const struct rt_size_row *row = &r->rows[i];
    const struct rt_size_trial *best = row->best >= 0 ? &row->trials[row->best] : NULL;
    const struct rt_size_trial *next = row->next >= 0 ? &row->trials[row->next] : NULL;
    const struct rt_size_trial *bound = next ? next : best;

    snprintf(cell(g, i + 1, 0), CELL, "%s%.60s", (int)i == r->chosen ? "* " : "  ", row->name);
    snprintf(cell(g, i + 1, 1), CELL, "%s", rt_verdict_names[row->verdict]);
    if (best || next)
        fill_trial(g, i + 1, plan, best ? best : next);
    if (r->max_rate && best)
        number(cell(g, i + 1, 4), "g",
               isnan(best->requests_per_s) ? best->rate : best->requests_per_s);
    if (bound)
        snprintf(cell(g, i + 1, g->columns - 1), CELL, "%s", rt_binds_names[bound->binds]);
}

static void fill_headings(const struct grid *g, const struct rt_size_plan *plan)
{
    static const char *const first[] = {"  candidate", "verdict", "replicas", "GPUs", "$/h"};
    unsigned n = plan->objective_count;

    for (unsigned i = 0; i < 5; i++)
        snprintf(cell(g, 0, i), CELL, "%s", first[i]);
    if (plan->max_rate)
        snprintf(cell(g, 0, 4), CELL, "requests/s");
    for (unsigned i = 0; i < n; i++)
        snprintf(cell(g, 0, 5 + i), CELL, "%.50s%s", plan->objectives[i].text,
                 scale_of(&plan->objectives[i]) > 1 ? " (ms)" : " (of limit)");
    snprintf(cell(g, 0, 5 + n), CELL, "tok/s/GPU");
    snprintf(cell(g, 0, 6 + n), CELL, "tok/s/user");
    snprintf(cell(g, 0, 7 + n), CELL, "binds");
}

static void print_grid(const struct grid *g)
{
    for (unsigned row = 0; row < g->rows; row++) {
        for (unsigned c = 0; c < g->columns; c++) {
            size_t width = 0;
            for (unsigned other = 0; other < g->rows; other++)
                width = strlen(cell(g, other, c)) > width ? strlen(cell(g, other, c)) : width;
            if (c + 1 == g->columns)
                printf("%s", cell(g, row, c));
            else if (c >= 2 && c < 5)
                printf("%*s  ", (int)width, cell(g, row, c));
            else
                printf("%-*s  ", (int)width, cell(g, row, c));
        }
        putchar('\n');
    }
}

static void print_fleet(const struct rt_size_row *row, const struct rt_size_trial *t)
{
    printf("%s, %" PRId64 " replicas (%" PRId64 " GPUs", row->name, t->replicas, t->gpus);
    if (!isnan(t->usd_per_h))
        printf(", %.2f $/h", t->usd_per_h);
    fputs(")", stdout);
}

static void print_checks(const struct rt_size_plan *plan, const struct rt_size_trial *t)
{
    for (unsigned i = 0; i < plan->objective_count; i++) {
        const struct rt_size_check *c = &t->checks[i];
        char text[CELL];
        check_text(c, scale_of(&plan->objectives[i]), text, sizeof text);
        printf("  %s: %s, %s: ", c->text, rt_verdict_names[c->verdict], text);
        if (!isnan(c->value) && isfinite(c->value))
            printf("%.3g %% %s the limit; ", 100 * fabs(1 - c->value / c->limit),
                   c->value <= c->limit ? "below" : "above");
        printf("%" PRIu64 " of %" PRIu64 " late, worth %.0f independent requests\n", c->late,
               c->requests, c->effective);
    }
}

static void print_rate(const struct rt_size_trial *t)
{
    printf(" at %.4g times the traffic", t->rate);
    if (!isnan(t->requests_per_s))
        printf(", %.4g requests/s", t->requests_per_s);
}

static void print_answer(const struct rt_size_plan *plan, const struct rt_size_result *r)
{
    const struct rt_size_row *row = &r->rows[r->chosen];
    const struct rt_size_trial *t = &row->trials[row->best];

    printf("\n%s%s: ", r->max_rate ? "Highest rate that holds" : "Cheapest that holds",
           row->verdict == RT_VERDICT_PASS ? "" : " by the estimate, undecided");
    print_fleet(row, t);
    if (r->max_rate)
        print_rate(t);
    putchar('\n');
    print_checks(plan, t);
    if (row->next >= 0) {
        const struct rt_size_trial *next = &row->trials[row->next];
        if (r->max_rate)
            printf("  %.4g times the traffic: ", next->rate);
        else
            printf("  replicas %" PRId64 ": ", next->replicas);
        printf("%s, %s binds\n", rt_verdict_names[next->verdict], rt_binds_names[next->binds]);
    }
    if (!row->monotone)
        puts("  Fewer replicas held too, but not all between; from here on all that were tried do");
    if (r->headroom_rate > 1)
        printf("  Headroom: holds %s%.3g times the traffic\n", r->headroom_open ? "at least " : "",
               r->headroom_rate);
    else if (!isnan(r->headroom_rate))
        puts("  Headroom: none, 5 % more traffic does not hold");
}

static void print_reasons(const struct rt_size_result *r)
{
    puts("\nWhy:");
    for (unsigned i = 0; i < r->count; i++)
        printf("  %s: %s\n", r->rows[i].name, r->rows[i].reason);
}

static void print_words(const struct rt_size_plan *plan, const struct rt_size_result *r)
{
    if (r->chosen >= 0)
        print_answer(plan, r);
    else
        puts("\nNothing holds.");
    if (r->cheaper_row >= 0) {
        const struct rt_size_row *row = &r->rows[r->cheaper_row];
        const struct rt_size_trial *t = &row->trials[r->cheaper_trial];
        fputs("Next cheaper that was tried: ", stdout);
        print_fleet(row, t);
        printf(": %s\n", rt_verdict_names[t->verdict]);
        print_checks(plan, t);
    }
    print_reasons(r);
}

void size_print_text(const struct rt_size_plan *plan, const struct rt_size_result *r)
{
    struct grid g = {.rows = r->count + 1, .columns = FIXED + plan->objective_count};

    printf("%" PRIu64 " requests", r->requests);
    if (r->point)
        puts("; judged by this very trace");
    else
        printf("; each end of an interval at %g %%\n", 100 * r->confidence);
    g.cells = calloc((size_t)g.rows * g.columns, sizeof g.cells[0]);
    if (g.cells) {
        fill_headings(&g, plan);
        for (unsigned i = 0; i < r->count; i++)
            fill_row(&g, i, plan, r);
        print_grid(&g);
    } else {
        cli_note("the table needs more memory than there is");
    }
    print_words(plan, r);
    free(g.cells);
}
