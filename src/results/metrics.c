/* Statistics of a run.
 *
 * A group is one (window, class): counts of met objectives and a series for each of TTFT, TPOT, E2E
 * and queue time. A row goes to at most four groups: {run, measured} x {all classes, its class}. A
 * series keeps values, as doubles in nanoseconds (TPOT is a ratio; whole nanoseconds are exact
 * below 2^53 ns = 104 days), until its group has seen `exact` finished requests; then they move to
 * a histogram of integers, nanoseconds or, for TPOT, picoseconds, and memory stops growing.
 *
 * Adding is O(1); the result O(values) for sorting plus O(buckets) per histogram. */
#include "results_internal.h"
#include "rooftrace/token_stats.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SERIES   RT_METRIC_ITL /* metrics that are gathered row by row: all but the pooled ITL */
#define NO_GROUP UINT32_MAX

static_assert(RT_METRIC_ITL == RT_METRIC_COUNT - 1, "the series come first");

const char *const rt_metric_names[RT_METRIC_COUNT] = {"ttft_s", "tpot_s", "e2e_s", "queue_s",
                                                      "itl_s"};
const char *const rt_metric_window_names[RT_WINDOW_COUNT] = {"run", "measured"};

static const double ticks_per_ns[SERIES] = {1, 1e3, 1, 1}; /* of the histogram */

struct series {
    uint64_t *keys; /* kept values, NULL once in the histogram */
    size_t count, capacity;
    struct rt_hist hist;
};

struct group {
    enum rt_metric_window window;
    uint32_t class_name;
    uint64_t finished; /* rows with status ok */
    bool in_hist;
    struct series series[SERIES];
};

struct rt_metrics {
    uint64_t exact;
    bool has_measure;
    int64_t from_ns, to_ns; /* measured window */
    int64_t frontend_ns;
    struct rt_slo *slos;       /* of no class, then of the scenario's classes */
    struct rt_slo_count asked; /* of all: which objectives anybody has */
    struct group *groups;
    struct rt_slo_count *slo_counts; /* one a group, same index */
    uint32_t group_count, group_capacity;
    uint32_t *group_of[RT_WINDOW_COUNT]; /* by class name; NO_GROUP */
    uint32_t names[RT_WINDOW_COUNT];     /* length of group_of */
    struct rt_tally tally;
    struct rt_class_uses uses;
    struct rt_metric_row *rows;
    struct rt_slo_count *slo_sorted;
};

/* Seconds to ns, capped to what fits. */
static int64_t to_ns(double seconds)
{
    double ns = nearbyint(seconds * 1e9);

    if (ns >= 9.2e18)
        return INT64_MAX;
    return ns <= -9.2e18 ? INT64_MIN : (int64_t)ns;
}

int64_t rt_frontend_ns(const struct rt_scenario *s)
{
    int64_t ns = to_ns(s->frontend_s);

    assert(ns >= 0);
    return ns < INT64_MAX / 2 ? ns : INT64_MAX / 2; /* 146 years: room for the rest of a TTFT */
}

/* Notes in c which objectives there are. */
static void note_asked(struct rt_slo_count *c, const struct rt_slo *slo)
{
    c->asked_ttft = c->asked_ttft || !isnan(slo->ttft_s);
    c->asked_tpot = c->asked_tpot || !isnan(slo->tpot_s);
    c->asked_e2e = c->asked_e2e || !isnan(slo->e2e_s);
}

static bool keep_objectives(struct rt_metrics *m, const struct rt_scenario *s)
{
    m->slos = malloc((s->class_count + 1u) * sizeof m->slos[0]);
    if (!m->slos)
        return false;
    for (uint32_t c = 0; c <= s->class_count; c++) {
        m->slos[c] = rt_scenario_slo(s, c > 0 ? &s->classes[c - 1] : NULL);
        note_asked(&m->asked, &m->slos[c]);
    }
    m->asked.slo = s->slo;
    return true;
}

bool rt_metrics_new(const struct rt_scenario *s, uint64_t exact, struct rt_metrics **out,
                    struct rt_err *err)
{
    struct rt_metrics *m = calloc(1, sizeof *m);

    *out = NULL;
    if (!m)
        return rt_fail_nomem(err, "metrics");
    m->exact = exact < UINT32_MAX ? exact : UINT32_MAX;
    m->has_measure = s->has_measure;
    m->from_ns = to_ns(s->measure_s[0]);
    m->to_ns = to_ns(s->measure_s[1]);
    m->frontend_ns = rt_frontend_ns(s);
    if (!keep_objectives(m, s)) {
        rt_metrics_free(m);
        return rt_fail_nomem(err, "metrics");
    }
    *out = m;
    return true;
}

static void release_series(struct series *s)
{
    free(s->keys);
    rt_hist_release(&s->hist);
    memset(s, 0, sizeof *s);
}

void rt_metrics_free(struct rt_metrics *m)
{
    if (!m)
        return;
    for (uint32_t i = 0; i < m->group_count; i++)
        for (unsigned k = 0; k < SERIES; k++)
            release_series(&m->groups[i].series[k]);
    for (unsigned w = 0; w < RT_WINDOW_COUNT; w++)
        free(m->group_of[w]);
    free(m->groups);
    free(m->slo_counts);
    rt_class_uses_release(&m->uses);
    free(m->rows);
    free(m->slo_sorted);
    free(m->slos);
    free(m);
}

/* group_of[w] long enough to hold `name`. */
static bool map_name(struct rt_metrics *m, enum rt_metric_window w, uint32_t name)
{
    uint32_t length = m->names[w] ? m->names[w] : 16;
    uint32_t *map;

    if (name < m->names[w])
        return true;
    while (length <= name)
        length = length > UINT32_MAX / 2 ? UINT32_MAX : 2 * length;
    map = realloc(m->group_of[w], length * sizeof map[0]);
    if (!map)
        return false;
    for (uint32_t i = m->names[w]; i < length; i++)
        map[i] = NO_GROUP;
    m->group_of[w] = map;
    m->names[w] = length;
    return true;
}

static bool grow_groups(struct rt_metrics *m)
{
    uint32_t capacity = m->group_capacity ? 2 * m->group_capacity : 4;
    struct group *groups;
    struct rt_slo_count *counts;

    if (m->group_count < m->group_capacity)
        return true;
    groups = realloc(m->groups, capacity * sizeof groups[0]);
    if (groups)
        m->groups = groups;
    counts = realloc(m->slo_counts, capacity * sizeof counts[0]);
    if (counts)
        m->slo_counts = counts;
    if (!groups || !counts)
        return false;
    m->group_capacity = capacity;
    return true;
}

/* The group's index, made at first use; NO_GROUP: out of memory. */
static uint32_t group_at(struct rt_metrics *m, enum rt_metric_window w, uint32_t name)
{
    assert(name != UINT32_MAX);
    if (!map_name(m, w, name))
        return NO_GROUP;
    if (m->group_of[w][name] == NO_GROUP) {
        if (!grow_groups(m))
            return NO_GROUP;
        m->groups[m->group_count] = (struct group){.window = w, .class_name = name};
        struct rt_slo_count empty = {0};
        m->slo_counts[m->group_count] = name == RT_NO_NAME ? m->asked : empty;
        m->slo_counts[m->group_count].window = w;
        m->slo_counts[m->group_count].class_name = name;
        m->group_of[w][name] = m->group_count++;
    }
    return m->group_of[w][name];
}

static void hist_add(struct rt_hist *h, unsigned metric, double value_ns)
{
    double ticks = nearbyint(value_ns * ticks_per_ns[metric]);

    rt_hist_add(h, ticks < 9.2e18 ? (int64_t)ticks : INT64_MAX, 1);
}

/* Moves the kept values of a group to histograms. */
static bool to_hist(struct group *g)
{
    for (unsigned k = 0; k < SERIES; k++) {
        struct series *s = &g->series[k];
        if (!rt_hist_init(&s->hist)) {
            for (unsigned j = 0; j < k; j++)
                rt_hist_release(&g->series[j].hist);
            return false;
        }
    }
    for (unsigned k = 0; k < SERIES; k++) {
        struct series *s = &g->series[k];
        for (size_t i = 0; i < s->count; i++)
            hist_add(&s->hist, k, rt_key_value(s->keys[i]));
        free(s->keys);
        s->keys = NULL;
        s->count = s->capacity = 0;
    }
    g->in_hist = true;
    return true;
}

/* Room for one more value; never more than `limit` in all, as the caller stops before that. */
static bool reserve(struct series *s, uint64_t limit)
{
    size_t capacity = s->capacity < 128 ? 256 : 2 * s->capacity;
    uint64_t *keys;

    if (s->count < s->capacity)
        return true;
    assert(limit > s->capacity);
    if (capacity > limit)
        capacity = (size_t)limit;
    keys = realloc(s->keys, (capacity + 1) * sizeof keys[0]); /* + 1: never 0 */
    if (!keys)
        return false;
    s->keys = keys;
    s->capacity = capacity;
    return true;
}

/* The values of a finished request, in ns; TPOT is NaN for one token. */
static bool add_values(struct rt_metrics *m, struct group *g, const double values_ns[SERIES])
{
    if (!g->in_hist && g->finished >= m->exact && !to_hist(g))
        return false;
    if (!g->in_hist)
        for (unsigned k = 0; k < SERIES; k++)
            if (!reserve(&g->series[k], m->exact))
                return false;
    g->finished++;
    for (unsigned k = 0; k < SERIES; k++) {
        struct series *s = &g->series[k];
        if (isnan(values_ns[k]))
            continue;
        if (g->in_hist)
            hist_add(&s->hist, k, values_ns[k]);
        else
            s->keys[s->count++] = rt_key_of(values_ns[k]);
    }
    return true;
}

/* value / 1e9 is the double nearest to the decimal, as the objective's is, so 50 ms meets 0.05. */
static bool meets(double value_ns, double objective_s)
{
    return isnan(objective_s) || isnan(value_ns) || value_ns / 1e9 <= objective_s;
}

static void count_slo(const struct rt_slo *slo, struct rt_slo_count *c, const double *values_ns)
{
    bool ttft, tpot, e2e;

    c->requests++;
    if (!values_ns)
        return;
    ttft = meets(values_ns[RT_METRIC_TTFT], slo->ttft_s);
    tpot = meets(values_ns[RT_METRIC_TPOT], slo->tpot_s); /* one token: NaN, TPOT 0 */
    e2e = meets(values_ns[RT_METRIC_E2E], slo->e2e_s);
    c->ok_ttft += ttft;
    c->ok_tpot += tpot;
    c->ok_e2e += e2e;
    c->ok_all += ttft && tpot && e2e;
}

/* `spec`: rt_finished.class_spec. */
static bool add_to(struct rt_metrics *m, enum rt_metric_window w, uint32_t name, uint32_t spec,
                   const double *values_ns)
{
    uint32_t at = group_at(m, w, name);

    if (at == NO_GROUP || (values_ns && !add_values(m, &m->groups[at], values_ns)))
        return false;
    struct rt_slo_count *c = &m->slo_counts[at];
    if (name != RT_NO_NAME && c->requests == 0) {
        c->slo = m->slos[spec];
        note_asked(c, &c->slo);
    }
    count_slo(&m->slos[spec], c, values_ns);
    return true;
}

static void measure(const struct rt_metrics *m, const struct rt_finished *row,
                    double values_ns[SERIES])
{
    assert(row->scheduled_ns >= row->arrival_ns && row->first_token_ns >= row->scheduled_ns &&
           row->finish_ns >= row->first_token_ns);
    values_ns[RT_METRIC_TTFT] = (double)(row->first_token_ns - row->arrival_ns + m->frontend_ns);
    values_ns[RT_METRIC_E2E] = (double)(row->finish_ns - row->arrival_ns + m->frontend_ns);
    values_ns[RT_METRIC_QUEUE] = (double)(row->scheduled_ns - row->arrival_ns);
    values_ns[RT_METRIC_TPOT] =
        row->output_tokens > 1
            ? (double)(row->finish_ns - row->first_token_ns) / (double)(row->output_tokens - 1)
            : (double)NAN;
}

static void count_row(struct rt_tally *t, const struct rt_finished *row)
{
    int64_t surplus = (int64_t)row->preemptions - row->produced_tokens;

    t->requests++;
    t->by_status[row->status]++;
    t->preemptions += row->preemptions;
    t->produced_tokens += row->produced_tokens;
    if (surplus > 0) {
        t->stalled_requests++;
        t->stalled_preemptions += (uint64_t)surplus;
    }
    if (row->status == RT_STATUS_UNFINISHED)
        t->unfinished_arrival_ns += (uint64_t)row->arrival_ns;
    else if (row->finish_ns != RT_NEVER)
        t->in_system_ns += (uint64_t)(row->finish_ns - row->arrival_ns);
    if (row->status != RT_STATUS_OK)
        return;
    t->prompt_tokens += row->prompt_tokens;
    t->output_tokens += row->output_tokens;
    t->cached_tokens += row->cached_tokens;
}

bool rt_metrics_add(struct rt_metrics *m, const struct rt_finished *row, struct rt_err *err)
{
    double buffer[SERIES];
    const double *values_ns = NULL; /* NULL: did not finish ok */
    bool measured = m->has_measure && row->arrival_ns >= m->from_ns && row->arrival_ns < m->to_ns;
    bool named = row->class_name != RT_NO_NAME;

    assert(row->status < RT_STATUS_COUNT);
    if (row->status == RT_STATUS_OK) {
        measure(m, row, buffer);
        values_ns = buffer;
    }
    uint32_t spec = row->class_spec, name = row->class_name;
    if (!add_to(m, RT_WINDOW_RUN, RT_NO_NAME, spec, values_ns) ||
        (named && !add_to(m, RT_WINDOW_RUN, name, spec, values_ns)) ||
        (measured && !add_to(m, RT_WINDOW_MEASURED, RT_NO_NAME, spec, values_ns)) ||
        (measured && named && !add_to(m, RT_WINDOW_MEASURED, name, spec, values_ns)))
        return rt_fail_nomem(err, "metrics");
    if (values_ns && !rt_class_uses_add(&m->uses, row))
        return rt_fail_nomem(err, "metrics");
    count_row(&m->tally, row);
    return true;
}

/* Statistics of one series; sorts its values in place. */
static void series_row(struct group *g, unsigned metric, uint64_t *scratch,
                       struct rt_metric_row *row)
{
    struct series *s = &g->series[metric];

    *row = (struct rt_metric_row){
        .window = g->window, .class_name = g->class_name, .metric = (enum rt_metric)metric};
    if (g->in_hist) {
        rt_stats_of_hist(&s->hist, 1e9 * ticks_per_ns[metric], row);
    } else {
        rt_sort_keys(s->keys, scratch, s->count);
        rt_stats_of_keys(s->keys, s->count, 1e9, row);
    }
}

static void itl_row(enum rt_metric_window w, const struct rt_token_stats *tokens,
                    struct rt_metric_row *row)
{
    const struct rt_hist none = {0};
    const struct rt_hist *h = !tokens              ? &none
                              : w == RT_WINDOW_RUN ? &tokens->itl
                                                   : &tokens->itl_measured;

    *row = (struct rt_metric_row){.window = w, .class_name = RT_NO_NAME, .metric = RT_METRIC_ITL};
    rt_stats_of_hist(h, 1e9, row);
}

static size_t longest_series(const struct rt_metrics *m)
{
    size_t longest = 0;

    for (uint32_t i = 0; i < m->group_count; i++)
        for (unsigned k = 0; k < SERIES; k++)
            if (m->groups[i].series[k].count > longest)
                longest = m->groups[i].series[k].count;
    return longest;
}

/* All groups in order: the map of names is the order. */
static void fill(struct rt_metrics *m, const struct rt_token_stats *tokens, uint64_t *scratch,
                 struct rt_metrics_result *out)
{
    size_t rows = 0, slo = 0;
    bool has_slo = m->asked.asked_ttft || m->asked.asked_tpot || m->asked.asked_e2e;

    for (unsigned w = 0; w < RT_WINDOW_COUNT; w++)
        for (uint32_t name = 0; name < m->names[w]; name++) {
            uint32_t at = m->group_of[w][name];
            if (at == NO_GROUP)
                continue;
            for (unsigned k = 0; k < SERIES; k++)
                series_row(&m->groups[at], k, scratch, &m->rows[rows++]);
            if (name == RT_NO_NAME)
                itl_row((enum rt_metric_window)w, tokens, &m->rows[rows++]);
            m->slo_sorted[slo++] = m->slo_counts[at];
        }
    *out = (struct rt_metrics_result){.rows = m->rows,
                                      .row_count = rows,
                                      .slo = m->slo_sorted,
                                      .slo_count = has_slo ? slo : 0,
                                      .tally = m->tally};
}

const struct rt_tally *rt_metrics_tally(const struct rt_metrics *m)
{
    return &m->tally;
}

bool rt_metrics_uses(struct rt_metrics *m, const struct rt_class_use **uses, size_t *count,
                     struct rt_err *err)
{
    return rt_class_uses_list(&m->uses, uses, count) || rt_fail_nomem(err, "metrics");
}

/* The groups for all classes exist also when nothing has come in. */
static bool all_groups(struct rt_metrics *m)
{
    return group_at(m, RT_WINDOW_RUN, RT_NO_NAME) != NO_GROUP &&
           (!m->has_measure || group_at(m, RT_WINDOW_MEASURED, RT_NO_NAME) != NO_GROUP);
}

bool rt_metrics_result(struct rt_metrics *m, const struct rt_token_stats *tokens,
                       struct rt_metrics_result *out, struct rt_err *err)
{
    uint64_t *scratch = malloc((longest_series(m) + 1) * sizeof scratch[0]);
    bool ok = scratch && all_groups(m);

    free(m->rows);
    free(m->slo_sorted);
    m->rows = ok ? malloc((size_t)m->group_count * RT_METRIC_COUNT * sizeof m->rows[0]) : NULL;
    m->slo_sorted = ok ? malloc(m->group_count * sizeof m->slo_sorted[0]) : NULL;
    ok = m->rows && m->slo_sorted;
    if (ok) {
        fill(m, tokens, scratch, out);
        ok = rt_class_uses_list(&m->uses, &out->uses, &out->use_count);
    }
    free(scratch);
    return ok || rt_fail_nomem(err, "metrics");
}
