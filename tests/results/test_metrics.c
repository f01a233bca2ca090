/* Metrics against a naive model (qsort, long double sums, numpy's rule written out), over random
 * seeds, small counts, equal values, and on both sides of the switch to histograms. */
#include "rooftrace/finished.h"
#include "rooftrace/token_stats.h"
#include "support/test.h"

#include "rooftrace/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double nan_s = (double)NAN;

static uint64_t draw(uint64_t *state, uint64_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % below;
}

static struct rt_scenario scenario(void)
{
    struct rt_scenario s;
    memset(&s, 0, sizeof s);
    s.slo = (struct rt_slo){nan_s, nan_s, nan_s};
    return s;
}

static struct rt_finished ok_row(int64_t arrival, int64_t queue, int64_t prefill, int64_t decode,
                                 int64_t output)
{
    return (struct rt_finished){.arrival_ns = arrival,
                                .scheduled_ns = arrival + queue,
                                .first_token_ns = arrival + queue + prefill,
                                .finish_ns = arrival + queue + prefill + decode,
                                .prompt_tokens = 10,
                                .output_tokens = output,
                                .produced_tokens = output,
                                .status = RT_STATUS_OK};
}

/* ---- the naive model ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double naive_percentile(const double *sorted, size_t n, double percent)
{
    double place = percent / 100 * (double)(n - 1);
    size_t low = (size_t)floor(place), high = (size_t)ceil(place);
    return sorted[low] + (sorted[high] - sorted[low]) * (place - (double)low);
}

static void assert_close(double got, double want, double relative)
{
    if (fabs(got - want) > relative * fabs(want) + 1e-18)
        fail_msg("got %.17g, want %.17g", got, want);
}

/* values in seconds; is sorted here. */
static void assert_stats(const struct rt_metric_row *row, double *values, size_t n, double relative)
{
    long double sum = 0, squares = 0;

    assert_int_equal(row->count, n);
    if (n == 0) {
        assert_true(isnan(row->mean) && isnan(row->p50) && isnan(row->max) && isnan(row->std));
        return;
    }
    qsort(values, n, sizeof values[0], by_value);
    for (size_t i = 0; i < n; i++)
        sum += (long double)values[i];
    for (size_t i = 0; i < n; i++) {
        long double d = (long double)values[i] - sum / (long double)n;
        squares += d * d;
    }
    /* A histogram of TPOT rounds to a picosecond, whatever its buckets. */
    assert_close(row->mean, (double)(sum / (long double)n), row->exact ? 1e-14 : 1e-7);
    assert_close(row->std, (double)sqrtl(squares / (long double)n), row->exact ? 1e-9 : 1e-6);
    assert_close(row->min, values[0], row->exact ? 1e-15 : 1e-7);
    assert_close(row->max, values[n - 1], row->exact ? 1e-15 : 1e-7);
    assert_close(row->p50, naive_percentile(values, n, 50), relative);
    assert_close(row->p90, naive_percentile(values, n, 90), relative);
    assert_close(row->p95, naive_percentile(values, n, 95), relative);
    assert_close(row->p99, naive_percentile(values, n, 99), relative);
    assert_close(row->p999, naive_percentile(values, n, 99.9), relative);
}

static const struct rt_metric_row *row_of(const struct rt_metrics_result *r,
                                          enum rt_metric_window w, uint32_t name, enum rt_metric m)
{
    for (size_t i = 0; i < r->row_count; i++)
        if (r->rows[i].window == w && r->rows[i].class_name == name && r->rows[i].metric == m)
            return &r->rows[i];
    return NULL;
}

/* ---- property: any rows, any limit ---- */

struct model { /* values of one group */
    double *values[RT_METRIC_ITL];
    size_t n[RT_METRIC_ITL];
};

static void model_add(struct model *m, const struct rt_finished *r, double frontend_s)
{
    double ttft = (double)(r->first_token_ns - r->arrival_ns) / 1e9 + frontend_s;
    double e2e = (double)(r->finish_ns - r->arrival_ns) / 1e9 + frontend_s;

    m->values[RT_METRIC_TTFT][m->n[RT_METRIC_TTFT]++] = ttft;
    m->values[RT_METRIC_E2E][m->n[RT_METRIC_E2E]++] = e2e;
    m->values[RT_METRIC_QUEUE][m->n[RT_METRIC_QUEUE]++] =
        (double)(r->scheduled_ns - r->arrival_ns) / 1e9;
    if (r->output_tokens > 1)
        m->values[RT_METRIC_TPOT][m->n[RT_METRIC_TPOT]++] =
            (double)(r->finish_ns - r->first_token_ns) / 1e9 / (double)(r->output_tokens - 1);
}

static struct rt_finished random_row(uint64_t *state, uint64_t spread)
{
    struct rt_finished r =
        ok_row((int64_t)draw(state, 100) * 1000000000, (int64_t)draw(state, spread),
               1000000 + (int64_t)draw(state, spread), (int64_t)draw(state, spread) * 50,
               1 + (int64_t)draw(state, 50));
    r.class_name = (uint32_t)draw(state, 3); /* 0: none */
    if (r.output_tokens == 1)
        r.finish_ns = r.first_token_ns;
    if (draw(state, 20) == 0) {
        r.status = RT_STATUS_REJECTED;
        r.scheduled_ns = r.first_token_ns = r.finish_ns = RT_NEVER;
    }
    return r;
}

#define GROUPS 6 /* {run, measured} x {all, 1, 2} */

static void check_random(uint64_t seed, size_t rows, uint64_t exact, uint64_t spread)
{
    struct rt_scenario s = scenario();
    struct rt_metrics *m;
    struct rt_metrics_result result;
    struct rt_err err;
    struct model models[GROUPS];
    uint64_t state = seed, finished[GROUPS] = {0};

    s.has_measure = true;
    s.measure_s[0] = 20;
    s.measure_s[1] = 70;
    s.frontend_s = 0.002;
    memset(models, 0, sizeof models);
    for (unsigned g = 0; g < GROUPS; g++)
        for (unsigned k = 0; k < RT_METRIC_ITL; k++)
            models[g].values[k] = malloc((rows + 1) * sizeof(double));
    assert_ok(rt_metrics_new(&s, exact, &m, &err), &err);
    for (size_t i = 0; i < rows; i++) {
        struct rt_finished r = random_row(&state, spread);
        bool measured = r.arrival_ns >= 20000000000 && r.arrival_ns < 70000000000;
        assert_ok(rt_metrics_add(m, &r, &err), &err);
        for (unsigned g = 0; g < GROUPS; g++)
            if (r.status == RT_STATUS_OK && (g < 3 || measured) &&
                (g % 3 == 0 || g % 3 == r.class_name)) {
                model_add(&models[g], &r, s.frontend_s);
                finished[g]++;
            }
    }
    assert_ok(rt_metrics_result(m, NULL, &result, &err), &err);
    for (unsigned g = 0; g < GROUPS; g++)
        for (unsigned k = 0; k < RT_METRIC_ITL; k++) {
            const struct rt_metric_row *row =
                row_of(&result, (enum rt_metric_window)(g / 3), g % 3, (enum rt_metric)k);
            bool kept = finished[g] <= exact;
            if (!row) { /* a class of which no request came */
                assert_int_equal(models[g].n[k], 0);
                continue;
            }
            assert_int_equal(row->exact, kept || models[g].n[k] == 0);
            assert_stats(row, models[g].values[k], models[g].n[k], kept ? 1e-12 : 0.001);
        }
    rt_metrics_free(m);
    for (unsigned g = 0; g < GROUPS; g++)
        for (unsigned k = 0; k < RT_METRIC_ITL; k++)
            free(models[g].values[k]);
}

static void equals_the_naive_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        size_t rows = seed < 12 ? seed : 100 + 97 * seed;
        uint64_t spread = seed % 3 == 0 ? 5 : seed % 3 == 1 ? 400000000 : 60000000000000;
        check_random(seed, rows, UINT64_MAX, spread);
        check_random(seed, rows, RT_METRIC_EXACT, spread);
    }
}

static void equals_the_naive_model_beyond_the_limit(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed <= 120; seed++) {
        check_random(seed, 2000, 0, 400000000);
        check_random(seed, 2000, 1, 60000000000);
        check_random(seed, 2000, 700, 400000000); /* some groups switch, others do not */
        check_random(seed, 2000, 5, 10000000000);
    }
}

/* ---- definitions, by hand ---- */

static void definitions(void **state)
{
    struct rt_scenario s = scenario();
    struct rt_finished r = ok_row(1000000000, 200000000, 300000000, 900000000, 10);
    struct rt_metrics *m;
    struct rt_metrics_result result;
    struct rt_err err;
    const struct rt_metric_row *row;

    (void)state;
    assert_ok(rt_metrics_new(&s, 10, &m, &err), &err);
    assert_ok(rt_metrics_add(m, &r, &err), &err);
    assert_ok(rt_metrics_result(m, NULL, &result, &err), &err);
    assert_int_equal(result.row_count, 5);
    assert_int_equal(result.slo_count, 0);
    row = row_of(&result, RT_WINDOW_RUN, 0, RT_METRIC_TTFT);
    assert_true(row->mean == 0.5 && row->p99 == 0.5 && row->std == 0 && row->exact);
    assert_true(row_of(&result, RT_WINDOW_RUN, 0, RT_METRIC_QUEUE)->p50 == 0.2);
    assert_true(row_of(&result, RT_WINDOW_RUN, 0, RT_METRIC_E2E)->max == 1.4);
    assert_true(row_of(&result, RT_WINDOW_RUN, 0, RT_METRIC_TPOT)->p50 == 0.1);
    assert_int_equal(row_of(&result, RT_WINDOW_RUN, 0, RT_METRIC_ITL)->count, 0);
    rt_metrics_free(m);
}

static void two_and_three_values(void **state)
{
    struct rt_scenario s = scenario();
    struct rt_metrics *m;
    struct rt_metrics_result result;
    struct rt_err err;
    const struct rt_metric_row *row;

    (void)state;
    assert_ok(rt_metrics_new(&s, 10, &m, &err), &err);
    for (int64_t ttft = 1; ttft <= 3; ttft++) {
        struct rt_finished r = ok_row(0, 0, ttft * 1000000000, 0, 1);
        assert_ok(rt_metrics_add(m, &r, &err), &err);
        assert_ok(rt_metrics_result(m, NULL, &result, &err), &err); /* more rows may follow */
        row = row_of(&result, RT_WINDOW_RUN, 0, RT_METRIC_TTFT);
        assert_true(row->p50 == (double)(ttft + 1) / 2);
        assert_close(row->p99, 1 + 0.99 * (double)(ttft - 1), 1e-15);
    }
    assert_close(row->std, sqrt(2.0 / 3), 1e-15);
    assert_int_equal(row_of(&result, RT_WINDOW_RUN, 0, RT_METRIC_TPOT)->count, 0);
    rt_metrics_free(m);
}

static void no_rows_at_all(void **state)
{
    struct rt_scenario s = scenario();
    struct rt_metrics *m;
    struct rt_metrics_result result;
    struct rt_err err;

    (void)state;
    s.has_measure = true;
    s.measure_s[1] = (double)INFINITY;
    s.slo.ttft_s = 1;
    assert_ok(rt_metrics_new(&s, 10, &m, &err), &err);
    assert_ok(rt_metrics_result(m, NULL, &result, &err), &err);
    assert_int_equal(result.row_count, 10);
    assert_int_equal(result.slo_count, 2);
    for (size_t i = 0; i < result.row_count; i++)
        assert_true(result.rows[i].count == 0 && isnan(result.rows[i].mean));
    rt_metrics_free(m);
    rt_metrics_free(NULL);
}

/* A shift of a million seconds leaves the spread's digits alone. */
static void spread_around_a_large_mean(void **state)
{
    struct rt_scenario s = scenario();
    struct rt_metrics_result result;
    struct rt_err err;

    (void)state;
    for (uint64_t exact = 0; exact <= 1000000; exact += 1000000) {
        struct rt_metrics *m;
        assert_ok(rt_metrics_new(&s, exact, &m, &err), &err);
        for (int64_t i = 0; i < 100000; i++) {
            struct rt_finished r = ok_row(0, 0, 1000000000000000 + (i % 2) * 2, 0, 1);
            assert_ok(rt_metrics_add(m, &r, &err), &err);
        }
        assert_ok(rt_metrics_result(m, NULL, &result, &err), &err);
        assert_close(row_of(&result, RT_WINDOW_RUN, 0, RT_METRIC_TTFT)->std, 1e-9, 1e-12);
        rt_metrics_free(m);
    }
}

static void order_of_adding_does_not_matter(void **state)
{
    struct rt_scenario s = scenario();
    struct rt_metrics *m[2];
    struct rt_metrics_result result[2];
    struct rt_finished rows[500];
    struct rt_err err;
    uint64_t seed = 5;

    (void)state;
    for (unsigned i = 0; i < 500; i++)
        rows[i] = random_row(&seed, 1000000000);
    for (unsigned k = 0; k < 2; k++) {
        assert_ok(rt_metrics_new(&s, 1000, &m[k], &err), &err);
        for (unsigned i = 0; i < 500; i++)
            assert_ok(rt_metrics_add(m[k], &rows[k ? 499 - i : i], &err), &err);
        assert_ok(rt_metrics_result(m[k], NULL, &result[k], &err), &err);
    }
    assert_int_equal(result[0].row_count, result[1].row_count);
    for (size_t i = 0; i < result[0].row_count; i++) {
        const struct rt_metric_row *a = &result[0].rows[i], *b = &result[1].rows[i];
        assert_int_equal(a->class_name, b->class_name);
        assert_int_equal(a->count, b->count);
        assert_true(a->count == 0 || (a->mean == b->mean && a->std == b->std && a->p99 == b->p99));
    }
    rt_metrics_free(m[0]);
    rt_metrics_free(m[1]);
}

/* ---- objectives ---- */

static void objectives(void **state)
{
    struct rt_scenario s = scenario();
    struct rt_metrics *m;
    struct rt_metrics_result result;
    struct rt_err err;
    struct rt_finished meets_exactly = ok_row(0, 0, 500000000, 450000000, 10); /* 500 ms, 50 ms */
    struct rt_finished late = ok_row(0, 1, 500000000, 450000000, 10);
    struct rt_finished slow = ok_row(0, 0, 400000000, 450000009, 10);
    struct rt_finished one_token = ok_row(0, 0, 400000000, 0, 1);
    struct rt_finished rejected = {.status = RT_STATUS_REJECTED,
                                   .scheduled_ns = RT_NEVER,
                                   .first_token_ns = RT_NEVER,
                                   .finish_ns = RT_NEVER};
    const struct rt_finished *rows[] = {&meets_exactly, &late, &slow, &one_token, &rejected};

    (void)state;
    s.slo = (struct rt_slo){0.5, 0.05, nan_s};
    late.class_name = 2;
    rejected.class_name = 2;
    assert_ok(rt_metrics_new(&s, 2, &m, &err), &err);
    for (unsigned i = 0; i < 5; i++)
        assert_ok(rt_metrics_add(m, rows[i], &err), &err);
    assert_ok(rt_metrics_result(m, NULL, &result, &err), &err);
    assert_int_equal(result.slo_count, 2);
    assert_int_equal(result.slo[0].class_name, RT_NO_NAME);
    assert_int_equal(result.slo[0].requests, 5);
    assert_int_equal(result.slo[0].ok_ttft, 3);
    assert_int_equal(result.slo[0].ok_tpot, 3);
    assert_int_equal(result.slo[0].ok_e2e, 4); /* not asked for: all that finished */
    assert_int_equal(result.slo[0].ok_all, 2);
    assert_int_equal(result.slo[1].class_name, 2);
    assert_int_equal(result.slo[1].requests, 2);
    assert_int_equal(result.slo[1].ok_all, 0);
    assert_int_equal(result.tally.requests, 5);
    assert_int_equal(result.tally.by_status[RT_STATUS_REJECTED], 1);
    assert_int_equal(result.tally.output_tokens, 31);
    rt_metrics_free(m);
}

static void frontend_counts_against_objectives(void **state)
{
    struct rt_scenario s = scenario();
    struct rt_finished r = ok_row(0, 0, 500000000, 0, 1);
    struct rt_metrics_result result;
    struct rt_metrics *m;
    struct rt_err err;

    (void)state;
    s.slo.ttft_s = 0.5;
    s.frontend_s = 1e-9;
    assert_ok(rt_metrics_new(&s, 2, &m, &err), &err);
    assert_ok(rt_metrics_add(m, &r, &err), &err);
    assert_ok(rt_metrics_result(m, NULL, &result, &err), &err);
    assert_int_equal(result.slo[0].ok_ttft, 0);
    assert_true(row_of(&result, RT_WINDOW_RUN, 0, RT_METRIC_TTFT)->max == 500000001 / 1e9);
    rt_metrics_free(m);
}

/* ---- ITL, windows, classes ---- */

static void itl_comes_from_the_token_statistics(void **state)
{
    struct rt_scenario s = scenario();
    struct rt_metrics_result result;
    struct rt_token_stats tokens;
    struct rt_metrics *m;
    struct rt_err err;
    const struct rt_metric_row *row;

    (void)state;
    s.has_measure = true;
    s.measure_s[1] = 5;
    assert_true(rt_token_stats_init(&tokens, 0, 5000000000));
    rt_hist_add(&tokens.itl, 20000000, 99);
    rt_hist_add(&tokens.itl, 40000000, 1);
    rt_hist_add(&tokens.itl_measured, 20000000, 7);
    assert_ok(rt_metrics_new(&s, 2, &m, &err), &err);
    assert_ok(rt_metrics_result(m, &tokens, &result, &err), &err);
    row = row_of(&result, RT_WINDOW_RUN, 0, RT_METRIC_ITL);
    assert_int_equal(row->count, 100);
    assert_close(row->mean, 0.0202, 1e-12);
    assert_true(row->max == 0.04 && !row->exact);
    assert_int_equal(row_of(&result, RT_WINDOW_MEASURED, 0, RT_METRIC_ITL)->count, 7);
    rt_metrics_free(m);
    rt_token_stats_release(&tokens);
}

static void rows_are_ordered(void **state)
{
    struct rt_scenario s = scenario();
    struct rt_metrics_result result;
    struct rt_metrics *m;
    struct rt_err err;
    static const uint32_t names[] = {70, 3, 900};

    (void)state;
    s.has_measure = true;
    s.measure_s[1] = 5;
    assert_ok(rt_metrics_new(&s, 2, &m, &err), &err);
    for (unsigned i = 0; i < 3; i++) {
        struct rt_finished r = ok_row(4999999999 + (int64_t)(i == 2), 0, 5, 5, 2);
        r.class_name = names[i];
        assert_ok(rt_metrics_add(m, &r, &err), &err);
    }
    assert_ok(rt_metrics_result(m, NULL, &result, &err), &err);
    assert_int_equal(result.row_count, 5 + 3 * 4 + 5 + 2 * 4); /* 900 arrived at 5 s: outside */
    for (size_t i = 1; i < result.row_count; i++) {
        const struct rt_metric_row *a = &result.rows[i - 1], *b = &result.rows[i];
        assert_true(a->window < b->window ||
                    (a->window == b->window &&
                     (a->class_name < b->class_name ||
                      (a->class_name == b->class_name && a->metric < b->metric))));
    }
    rt_metrics_free(m);
}

/* Each request is judged by the objectives of its class; the row of all classes counts those. */
static void classes_have_their_own_objectives(void **state)
{
    (void)state;
    char fast_name[] = "fast", lax_name[] = "lax";
    struct rt_class_spec classes[2] = {{.name = fast_name, .slo = {0.1, nan_s, nan_s}},
                                       {.name = lax_name, .slo = {nan_s, nan_s, 9}}};
    struct rt_scenario s = scenario();
    struct rt_metrics_result result;
    struct rt_metrics *m;
    struct rt_err err = {0};
    s.slo.ttft_s = 0.5;
    s.classes = classes;
    s.class_count = 2;
    assert_ok(rt_metrics_new(&s, 1000, &m, &err), &err);
    for (uint32_t c = 0; c < 3; c++) { /* of no class, fast, lax: TTFT 0.3 s, E2E 10 s */
        struct rt_finished row = ok_row(0, 0, 300000000, 9700000000, 10);
        row.class_name = c;
        row.class_spec = c;
        assert_ok(rt_metrics_add(m, &row, &err), &err);
    }
    assert_ok(rt_metrics_result(m, NULL, &result, &err), &err);
    assert_int_equal(result.slo_count, 3);
    const struct rt_slo_count *all = &result.slo[0], *fast = &result.slo[1], *lax = &result.slo[2];
    assert_true(all->requests == 3 && all->ok_ttft == 2 && all->ok_e2e == 2 && all->ok_all == 1);
    assert_true(all->asked_ttft && !all->asked_tpot && all->asked_e2e);
    assert_true(all->slo.ttft_s == 0.5 && isnan(all->slo.e2e_s));
    assert_true(fast->ok_ttft == 0 && fast->ok_all == 0 && fast->slo.ttft_s == 0.1);
    assert_true(!fast->asked_e2e && lax->asked_e2e && lax->slo.e2e_s == 9);
    assert_true(lax->ok_ttft == 1 && lax->ok_e2e == 0 && lax->slo.ttft_s == 0.5);
    rt_metrics_free(m);
}

/* ---- uses of classes and pools, and what self-checks need ---- */

#define CLASSES 5
#define POOLS   4

struct naive_uses {
    struct rt_class_use of[CLASSES][POOLS];
    int64_t in_system_ns, unfinished_arrival_ns, produced_tokens;
    uint64_t stalled_requests, stalled_preemptions;
};

static struct rt_finished random_use(uint64_t *random, unsigned i, struct rt_prefill_part *part)
{
    int64_t output = 1 + (int64_t)draw(random, 20);
    struct rt_finished row =
        ok_row((int64_t)draw(random, 1000), (int64_t)draw(random, 100),
               1 + (int64_t)draw(random, 50), output > 1 ? 100 * output : 0, output);
    row.class_name = (uint32_t)draw(random, CLASSES);
    row.pool = (uint32_t)draw(random, POOLS);
    row.prompt_tokens = 1 + (int64_t)draw(random, 100);
    row.cached_tokens = (int64_t)draw(random, 3);
    row.preemptions = (uint32_t)(draw(random, 3) == 0 ? draw(random, 9) : 0);
    row.preempted_ns = row.preemptions > 0 ? (int64_t)draw(random, 60) : 0;
    if (draw(random, 3) == 0) {
        *part =
            (struct rt_prefill_part){.pool = (uint32_t)draw(random, POOLS),
                                     .prefilled_ns = row.first_token_ns,
                                     .kv_ready_ns = row.first_token_ns + (int64_t)draw(random, 90)};
        row.prefill = part;
    }
    if (i % 7 == 0) {
        row.status = RT_STATUS_UNFINISHED;
        row.finish_ns = RT_NEVER;
        row.produced_tokens = (int64_t)draw(random, (uint64_t)output);
    }
    return row;
}

static void naive_add(struct naive_uses *n, const struct rt_finished *row)
{
    struct rt_class_use *w = &n->of[row->class_name][row->pool];
    struct rt_class_use *p = row->prefill ? &n->of[row->class_name][row->prefill->pool] : w;
    int64_t service;

    n->produced_tokens += row->produced_tokens;
    n->stalled_requests += row->preemptions > (uint64_t)row->produced_tokens;
    for (int64_t k = row->produced_tokens; k < (int64_t)row->preemptions; k++)
        n->stalled_preemptions++;
    if (row->status == RT_STATUS_UNFINISHED) {
        n->unfinished_arrival_ns += row->arrival_ns;
        return;
    }
    service = row->finish_ns - row->scheduled_ns - row->preempted_ns;
    if (row->prefill) {
        p->service_ns += (uint64_t)(row->prefill->prefilled_ns - row->scheduled_ns);
        service = row->finish_ns - row->prefill->kv_ready_ns - row->preempted_ns;
    }
    n->in_system_ns += row->finish_ns - row->arrival_ns;
    w->completed++;
    p->prompt_tokens += row->prompt_tokens;
    w->output_tokens += row->output_tokens;
    p->cached_tokens += row->cached_tokens;
    w->service_ns += service > 0 ? (uint64_t)service : 0;
    for (int64_t k = 0; k + 1 < row->output_tokens && row->preemptions == 0; k++)
        w->decode_context += (uint64_t)(row->prompt_tokens + k);
}

static void assert_same_uses(const struct rt_metrics_result *got, const struct naive_uses *want)
{
    size_t at = 0;

    for (uint32_t i = 0; i < CLASSES * POOLS; i++) {
        const struct rt_class_use *w = &want->of[i / POOLS][i % POOLS], *g = &got->uses[at];
        if (w->completed == 0 && w->prompt_tokens == 0)
            continue;
        assert_true(at++ < got->use_count);
        assert_true(g->class_name == i / POOLS && g->pool == i % POOLS);
        assert_true(g->completed == w->completed && g->prompt_tokens == w->prompt_tokens &&
                    g->output_tokens == w->output_tokens && g->cached_tokens == w->cached_tokens &&
                    g->service_ns == w->service_ns && g->decode_context == w->decode_context);
    }
    assert_int_equal(at, got->use_count);
}

static void uses_equal_the_naive_sums(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct naive_uses want = {.in_system_ns = 0};
        struct rt_scenario s = scenario();
        struct rt_metrics_result result;
        struct rt_metrics *m;
        struct rt_err err;
        uint64_t random = seed;
        assert_ok(rt_metrics_new(&s, 100, &m, &err), &err);
        for (unsigned i = 0; i < 25 * seed; i++) {
            struct rt_prefill_part part;
            struct rt_finished row = random_use(&random, i, &part);
            naive_add(&want, &row);
            assert_ok(rt_metrics_add(m, &row, &err), &err);
        }
        assert_ok(rt_metrics_result(m, NULL, &result, &err), &err);
        assert_same_uses(&result, &want);
        const struct rt_tally *tally = rt_metrics_tally(m);
        assert_true(tally->in_system_ns == (uint64_t)want.in_system_ns &&
                    tally->unfinished_arrival_ns == (uint64_t)want.unfinished_arrival_ns);
        assert_int_equal(tally->produced_tokens, want.produced_tokens);
        assert_int_equal(tally->stalled_requests, want.stalled_requests);
        assert_int_equal(tally->stalled_preemptions, want.stalled_preemptions);
        rt_metrics_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_have_their_own_objectives),
        cmocka_unit_test(equals_the_naive_model),
        cmocka_unit_test(equals_the_naive_model_beyond_the_limit),
        cmocka_unit_test(definitions),
        cmocka_unit_test(two_and_three_values),
        cmocka_unit_test(no_rows_at_all),
        cmocka_unit_test(spread_around_a_large_mean),
        cmocka_unit_test(order_of_adding_does_not_matter),
        cmocka_unit_test(objectives),
        cmocka_unit_test(frontend_counts_against_objectives),
        cmocka_unit_test(itl_comes_from_the_token_statistics),
        cmocka_unit_test(rows_are_ordered),
        cmocka_unit_test(uses_equal_the_naive_sums),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
