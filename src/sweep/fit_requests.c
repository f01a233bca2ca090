/* Host time and efficiencies, fitted to a serving log by simulating it.
 *
 *     constants --replay--> times of request i --log--> error of the even ones
 *         ^------------------------ fit_search.c -------------------'
 *
 * The error adds up, over the metrics that were measured, how far the mean is off and how far each
 * request is off, in logarithms: the mean alone would let early errors pay for late ones. Of TTFT
 * only the mean counts: a single one hangs on whether a prompt just made a step or just missed it.
 * Failures: what the simulation says; requests that are not the trace's (RT_ECONFIG). O(simulation)
 * an evaluation; memory O(log). */
#include "fit_internal.h"
#include "rooftrace/cost.h"
#include "rooftrace/engine.h"
#include "rooftrace/finished.h"
#include "rooftrace/fleet_spec.h"

#include "rooftrace/sim.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_A_CHUNK   8192
#define MAX_EFFICIENCY 2.0 /* what a GPU's record may say */

const char *const rt_fit_metric_names[RT_FIT_METRICS] = {"TTFT", "TPOT", "E2E"};

/* ---- the log --------------------------------------------------------------------------------- */

static int by_id(const void *a, const void *b)
{
    const struct rt_log_row *x = *(const struct rt_log_row *const *)a;
    const struct rt_log_row *y = *(const struct rt_log_row *const *)b;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

/* Without ids the loader numbers rows by their place: the trace's order. */
static bool sort_log(const struct rt_request_log *log, struct measured *m, struct rt_err *err)
{
    *m = (struct measured){.row = calloc(log->count + 1, sizeof(const struct rt_log_row *))};
    if (m->row == NULL)
        return rt_fail_nomem(err, "a log of requests");
    for (size_t i = 0; i < log->count; i++)
        m->row[m->count++] = &log->rows[i];
    qsort(m->row, m->count, sizeof(const struct rt_log_row *), by_id);
    return true;
}

/* The place of a request in the log; count: it is not there. */
static size_t find_row(const struct measured *m, uint64_t id)
{
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (m->row[middle]->id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < m->count && m->row[low]->id == id ? low : m->count;
}

/* ---- one replay ------------------------------------------------------------------------------ */

static void note(const struct rt_scenario *s, const struct rt_finished *row, struct outcome *out)
{
    if (row->status != RT_STATUS_OK)
        return;
    double ttft_s = 1e-9 * (double)(row->first_token_ns - row->arrival_ns);
    double e2e_s = 1e-9 * (double)(row->finish_ns - row->arrival_ns);
    out->time_s[RT_FIT_TTFT] = ttft_s + s->frontend_s;
    out->time_s[RT_FIT_E2E] = e2e_s + s->frontend_s;
    if (row->output_tokens > 1)
        out->time_s[RT_FIT_TPOT] = (e2e_s - ttft_s) / (double)(row->output_tokens - 1);
}

/* Engines stop early, so only more output than was asked for is another request's. */
static bool same_tokens(const struct rt_log_row *m, const struct rt_finished *row)
{
    return (m->prompt_tokens < 0 || m->prompt_tokens == row->prompt_tokens) &&
           m->output_tokens <= row->output_tokens;
}

static bool take_rows(const struct rt_scenario *s, const struct measured *log,
                      const struct rt_finished_list *rows, struct outcome *out, struct rt_err *err)
{
    for (size_t i = 0; i < rows->count; i++) {
        const struct rt_finished *row = &rows->rows[i];
        size_t at = find_row(log, row->id);
        if (at == log->count)
            continue;
        const struct rt_log_row *m = log->row[at];
        if (!same_tokens(m, row))
            return rt_fail(err, RT_ECONFIG,
                           "request %llu of the log: expected the trace's %lld + %lld tokens, "
                           "read %lld + %lld",
                           (unsigned long long)row->id, (long long)row->prompt_tokens,
                           (long long)row->output_tokens, (long long)m->prompt_tokens,
                           (long long)m->output_tokens);
        note(s, row, &out[at]);
    }
    return true;
}

/* Times of every request of the log into out[]. */
static bool replay(const struct rt_scenario *s, const struct measured *log, struct outcome *out,
                   struct rt_err *err)
{
    struct rt_finished_list rows;
    struct rt_source *source;
    struct rt_sim *sim = NULL;
    enum rt_sim_answer answer = RT_SIM_MORE;
    for (size_t i = 0; i < log->count; i++)
        for (int m = 0; m < RT_FIT_METRICS; m++)
            out[i].time_s[m] = (double)NAN;
    if (!rt_workload_open(&s->workload, &source, err) || !rt_sim_new(s, source, &sim, err))
        return false;
    rt_finished_list_init(&rows);
    bool ok = true;
    while (ok && answer == RT_SIM_MORE) {
        answer = rt_sim_next(sim, ROWS_A_CHUNK, &rows, err);
        ok = answer != RT_SIM_ERROR && take_rows(s, log, &rows, out, err);
        rt_finished_list_reset(&rows);
    }
    rt_finished_list_release(&rows);
    rt_sim_free(sim);
    return ok;
}

/* ---- figures --------------------------------------------------------------------------------- */

static double real_s(const struct rt_log_row *m, int metric)
{
    if (!m->ok)
        return (double)NAN;
    return metric == RT_FIT_TTFT ? m->ttft_s : metric == RT_FIT_TPOT ? m->tpot_s : m->e2e_s;
}

/* Requests of a half (0: fitted, 1: judged) that have the metric on both sides. */
static bool counts(const struct measured *log, const struct outcome *out, size_t i, int metric,
                   unsigned half)
{
    return i % 2 == half && real_s(log->row[i], metric) > 0 && out[i].time_s[metric] > 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* mean, p50, p90, p99 of n >= 1 values, which it sorts; linear between ranks. */
static void summarise(double *value, size_t n, double out[4])
{
    static const double share[] = {0, 0.5, 0.9, 0.99};
    double sum = 0;
    qsort(value, n, sizeof *value, by_value);
    for (size_t i = 0; i < n; i++)
        sum += value[i];
    out[0] = sum / (double)n;
    for (int k = 1; k < 4; k++) {
        double rank = share[k] * (double)(n - 1);
        size_t low = (size_t)rank, high = low + 1 < n ? low + 1 : low;
        out[k] = value[low] + (rank - (double)low) * (value[high] - value[low]);
    }
}

static void figures(const struct measured *log, const struct outcome *out, int metric,
                    unsigned half, double *scratch, struct rt_fit_figures *f)
{
    double *real = scratch, *ours = scratch + log->count, *error = scratch + 2 * log->count;
    double of_error[4];
    size_t n = 0;
    for (size_t i = 0; i < log->count; i++) {
        if (!counts(log, out, i, metric, half))
            continue;
        real[n] = real_s(log->row[i], metric);
        ours[n] = out[i].time_s[metric];
        error[n] = fabs(ours[n] / real[n] - 1);
        n++;
    }
    *f = (struct rt_fit_figures){.requests = n};
    if (n == 0)
        return;
    summarise(real, n, f->real);
    summarise(ours, n, f->ours);
    summarise(error, n, of_error);
    f->error = of_error[1];
}

/* ---- the fit --------------------------------------------------------------------------------- */

const struct fit_knob fit_knobs[RT_FIT_KNOBS] = {
    {"host_us_per_step", "host_sync_us_per_step", 0, 50000, 300},
    {"host_us_per_seq", "host_sync_us_per_seq", 0, 1000, 10},
    {"gemm efficiency", "gemm efficiency", 0.5, 1.6, 0.05},
    {"attention efficiency", "attention efficiency", 0.5, 1.6, 0.05},
};

static void set_knobs(const struct fit *f, const double *value)
{
    struct rt_gpu_constants k = f->first;
    *(f->exposed ? &k.host_sync_s_per_step : &k.host_s_per_step) = value[0] * 1e-6;
    *(f->exposed ? &k.host_sync_s_per_seq : &k.host_s_per_seq) = value[1] * 1e-6;
    if (f->count > 2) {
        k.gemm_eff_compute = fmin(k.gemm_eff_compute * value[2], MAX_EFFICIENCY);
        k.gemm_eff_memory = fmin(k.gemm_eff_memory * value[2], MAX_EFFICIENCY);
        k.decode_eff_memory = fmin(k.decode_eff_memory * value[3], MAX_EFFICIENCY);
        k.prefill_eff_compute = fmin(k.prefill_eff_compute * value[3], MAX_EFFICIENCY);
    }
    for (uint32_t p = 0; p < f->s->fleet.pool_count; p++)
        f->s->fleet.pools[p].gpu.k = k;
}

/* Huber's loss: the square of a small difference, so that a valley has a round bottom and two knobs
 * can be told apart; the size of a large one, so that a stall in the log does not rule the fit. */
static double loss(double difference)
{
    const double small = 0.05;
    double size = fabs(difference);
    return size < small ? size * size / (2 * small) : size - small / 2;
}

double fit_error(const struct fit *f)
{
    double sum = 0;
    for (int metric = 0; metric < RT_FIT_METRICS; metric++) {
        double real = 0, ours = 0, apart = 0;
        size_t n = 0;
        for (size_t i = 0; i < f->log->count; i += 2) {
            if (!counts(f->log, f->out, i, metric, 0))
                continue;
            double r = real_s(f->log->row[i], metric), o = f->out[i].time_s[metric];
            real += r;
            ours += o;
            apart += loss(log(o / r));
            n++;
        }
        if (n > 0)
            sum += loss(log(ours / real)) + (metric == RT_FIT_TTFT ? 0 : apart / (double)n);
    }
    return sum;
}

bool fit_try(struct fit *f, const double *value, double *error)
{
    set_knobs(f, value);
    f->evaluations++;
    if (!replay(f->s, f->log, f->out, f->err))
        return false;
    *error = fit_error(f);
    return true;
}

static void report(const struct fit *f, unsigned after, struct rt_fit_requests_report *out)
{
    for (unsigned half = 0; half < 2; half++)
        for (int metric = 0; metric < RT_FIT_METRICS; metric++)
            figures(f->log, f->out, metric, half, f->scratch, &out->figures[after][half][metric]);
}

static bool check(const struct fit *f, const struct rt_fit_requests_report *out, struct rt_err *err)
{
    const struct rt_fleet_spec *fleet = &f->s->fleet;
    size_t joined = 0;
    for (int metric = 0; metric < RT_FIT_METRICS; metric++)
        for (unsigned half = 0; half < 2; half++)
            joined += out->figures[0][half][metric].requests;
    if (joined == 0)
        return rt_fail(err, RT_ECONFIG, "no request of the log finished in the simulation");
    for (uint32_t p = 1; p < fleet->pool_count; p++)
        if (strcmp(fleet->pools[p].gpu.name, fleet->pools[0].gpu.name) != 0)
            return rt_fail(err, RT_ECONFIG, "expected pools of one GPU, read %s and %s",
                           fleet->pools[0].gpu.name, fleet->pools[p].gpu.name);
    for (uint32_t p = 1; p < fleet->pool_count; p++)
        if (rt_engine_overlaps_host(&fleet->pools[p].engine) == f->exposed)
            return rt_fail(err, RT_ECONFIG,
                           "host_overlap: expected all pools alike, whose host time one log can "
                           "tell, read %s and %s",
                           f->exposed ? "false" : "true", f->exposed ? "true" : "false");
    return true;
}

static bool run(struct fit *f, const struct rt_fit_requests_options *options,
                struct rt_fit_requests_report *out, struct rt_err *err)
{
    const struct rt_gpu_constants *k = &f->first;
    double value[RT_FIT_KNOBS] = {1, 1, 1, 1};
    value[0] = (f->exposed ? k->host_sync_s_per_step : k->host_s_per_step) * 1e6;
    value[1] = (f->exposed ? k->host_sync_s_per_seq : k->host_s_per_seq) * 1e6;
    if (!replay(f->s, f->log, f->out, err))
        return false;
    report(f, 0, out);
    if (!check(f, out, err))
        return false;
    for (unsigned i = 0; i < f->count; i++) {
        const char *name = f->exposed ? fit_knobs[i].exposed : fit_knobs[i].name;
        out->knobs[i] = (struct rt_fit_knob){.name = name, .before = value[i]};
        value[i] = fmin(fmax(value[i], fit_knobs[i].min), fit_knobs[i].max);
    }
    if (!fit_search(f, options->evaluations, value))
        return false;
    for (unsigned i = 0; i < f->count; i++)
        out->knobs[i].after = value[i];
    set_knobs(f, value);
    out->knob_count = f->count;
    out->evaluations = f->evaluations;
    if (!replay(f->s, f->log, f->out, err))
        return false;
    report(f, 1, out);
    return true;
}

bool rt_fit_requests(struct rt_scenario *s, const struct rt_request_log *log,
                     const struct rt_fit_requests_options *options,
                     struct rt_fit_requests_report *out, struct rt_err *err)
{
    struct measured measured = {.row = NULL};
    struct fit f = {.s = s,
                    .log = &measured,
                    .first = s->fleet.pools[0].gpu.k,
                    .out = calloc(log->count + 1, sizeof *f.out),
                    .scratch = calloc(log->count + 1, 3 * sizeof *f.scratch),
                    .count = options->efficiencies ? 4 : 2,
                    .exposed = !rt_engine_overlaps_host(&s->fleet.pools[0].engine),
                    .err = err};
    memset(out, 0, sizeof *out);
    if (f.out == NULL || f.scratch == NULL) {
        free(f.out);
        free(f.scratch);
        return rt_fail_nomem(err, "the fit");
    }
    bool priced = s->fleet.cost.kind != RT_COST_LINEAR && !s->fleet.cost.speed_of_light;
    bool ok =
        priced || rt_fail(err, RT_ECONFIG,
                          "cost: expected roofline or profile, whose constants can be fitted");
    ok = ok && sort_log(log, &measured, err) && run(&f, options, out, err);
    free(measured.row);
    free(f.out);
    free(f.scratch);
    return ok;
}
