/* Fitting the constants of a GPU record to measured operators.
 *
 *     rows --stage by stage--> mean |log error|, and how far from the record
 *                              --simplex--> constants --> errors by range
 *                          \--> once more without each group --> errors of what was left out
 *
 * Two tables drive it: stages (which rows) and constants (key, stage, range). A new constant of the
 * roofline is a line in the second one: where it stands in struct rt_gpu comes from the catalogue's
 * own table. Constants are searched on a logarithmic scale, those that may be 0 with a small floor
 * added. Failures: rates that the record lacks (RT_ECONFIG), memory. O(rows * evaluations * (groups
 * + 1)) prices. */
#include "rooftrace/fit_ops.h"
#include "op_internal.h"
#include "rooftrace/dtype.h"
#include "rooftrace/minimise.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_GROUPS      16
#define FOLDS           5
#define EVALUATIONS     3000 /* of the fit to all rows */
#define EVALUATIONS_OUT 300  /* without a group: begins at the fit to all */

/* A constant that is off the record's by its spread counts as PRIOR of a row that is off by a
 * factor e, of INDEPENDENT rows at most, since those of a table are not independent of each other:
 * as the catalogue's own constants were fitted (tests/cost/operators_accuracy.py; chosen on the
 * tables of all GPUs but one). That is for tables which no constants meet better than USUAL_NOISE,
 * the error of the catalogue's; rows that are met better count for more. */
#define PRIOR       0.3
#define INDEPENDENT 250
#define USUAL_NOISE 0.045 /* mean |log error| of GEMM, docs/cost-model.md */

/* ---- tables ---------------------------------------------------------------------------------- */

enum stage {
    GEMM,
    GEMM_8,
    GEMM_4,
    DECODE,
    PREFILL,
    MIXED,
    MOE,
    ELEMENTWISE,
    SAMPLER,
    ALL_REDUCE,
    STAGES
};

struct range {
    double below; /* the next one begins here; 0: the last */
    const char *name;
};

static const struct range by_rows[] = {
    {9, "m 1-8"}, {65, "m 9-64"}, {513, "m 65-512"}, {4097, "m 513-4096"}, {0, "m > 4096"}};
static const struct range by_chunk[] = {
    {65, "q 1-64"}, {513, "q 65-512"}, {4097, "q 513-4096"}, {0, "q > 4096"}};
static const struct range by_kv[] = {{1e6, "KV < 1 MB"},
                                     {1e7, "KV 1-10 MB"},
                                     {1e8, "KV 10-100 MB"},
                                     {1e9, "KV 0.1-1 GB"},
                                     {0, "KV > 1 GB"}};
static const struct range by_batch[] = {{9, "batch 1-8"}, {65, "batch 9-64"}, {0, "batch > 64"}};
static const struct range by_bytes[] = {
    {65537, "up to 64 KiB"}, {1048577, "64 KiB-1 MiB"}, {16777217, "1-16 MiB"}, {0, "> 16 MiB"}};

static const struct {
    const char *name;
    enum rt_op op;
    double min_bytes, max_bytes; /* of a weight */
    const struct range *ranges;
} stages[STAGES] = {
    [GEMM] = {"gemm", RT_OP_GEMM, 2, 2, by_rows},
    [GEMM_8] = {"gemm 8 bit", RT_OP_GEMM, 1, 1, by_rows},
    [GEMM_4] = {"gemm 4 bit", RT_OP_GEMM, 0.5, 0.5, by_rows},
    [DECODE] = {"decode", RT_OP_DECODE, 0, 2, by_kv},
    [PREFILL] = {"prefill", RT_OP_PREFILL, 0, 2, by_chunk},
    [MIXED] = {"mixed", RT_OP_MIXED, 0, 2, by_batch},
    [MOE] = {"moe", RT_OP_MOE, 0, 2, by_rows},
    [ELEMENTWISE] = {"elementwise", RT_OP_ELEMENTWISE, 0, 2, by_rows},
    [SAMPLER] = {"sampler", RT_OP_SAMPLER, 0, 2, by_rows},
    [ALL_REDUCE] = {"all_reduce", RT_OP_ALL_REDUCE, 0, 2, by_bytes},
};

/* How far GPUs' constants lie from each other, in logarithms: those of efficiencies, overheads,
 * exponents and of what remains. The same numbers are in tests/cost/operators_accuracy.py, which
 * fitted the catalogue's constants. */
#define EFFICIENCY 0.3
#define OVERHEAD   0.4
#define SMOOTH     0.5
#define OTHER      0.8

/* key, stage, range in the record's unit, floor of the logarithmic scale, spread */
static const struct line {
    const char *key;
    enum stage stage;
    double min, max, floor, spread;
} lines[] = {
    {"gemm_eff_compute", GEMM, 0.05, 1.5, 0, EFFICIENCY},
    {"gemm_eff_memory", GEMM, 0.05, 1.5, 0, EFFICIENCY},
    {"gemm_smooth_p", GEMM, 1, 20, 0, SMOOTH},
    {"gemm_overhead_us", GEMM, 0, 200, 0.2, OVERHEAD},
    {"gemm_edge_rows", GEMM, 0, 200, 2, OTHER},
    {"gemm_start_columns", GEMM, 0, 2000, 5, OTHER},
    {"gemm_wave_share", GEMM, 0, 1, 0.05, OTHER},
    {"gemm_split_share", GEMM, 0, 5, 0.1, OTHER},
    {"gemm_stream_share", GEMM, 0, 2, 0.05, OTHER},
    {"quantized_memory_8bit", GEMM_8, 0.05, 2, 0, EFFICIENCY},
    {"quantized_compute", GEMM_8, 0.05, 2, 0, EFFICIENCY},
    {"quantized_overhead_us", GEMM_8, 0, 200, 0.2, EFFICIENCY},
    {"quantized_memory_4bit", GEMM_4, 0.05, 2, 0, EFFICIENCY},
    {"decode_eff_memory", DECODE, 0.05, 1.5, 0, EFFICIENCY},
    {"decode_overhead_us", DECODE, 0, 1000, 0.2, OVERHEAD},
    {"decode_us_per_wave", DECODE, 0, 100, 0.05, OTHER},
    {"decode_ramp_us", DECODE, 0, 200, 0.2, OTHER},
    {"prefill_eff_compute", PREFILL, 0.02, 1.5, 0, EFFICIENCY},
    {"prefill_overhead_us", PREFILL, 0, 1000, 0.2, OVERHEAD},
    {"prefill_pad_columns", PREFILL, 0, 2000, 5, OTHER},
    {"prefill_io_gb_per_s", PREFILL, 1, 1e5, 0, OTHER},
    {"mixed_pad_tokens", MIXED, 0, 5000, 5, OTHER},
    {"mixed_tail", MIXED, 0, 1, 0.02, OTHER},
    {"mixed_decode_columns", MIXED, 0.1, 10, 0, OTHER},
    {"mixed_us_per_empty_tile", MIXED, 0, 10, 0.02, OTHER},
    {"moe_eff_compute", MOE, 0.02, 1.5, 0, EFFICIENCY},
    {"moe_eff_memory", MOE, 0.02, 1.5, 0, EFFICIENCY},
    {"moe_smooth_p", MOE, 1, 20, 0, SMOOTH},
    {"moe_overhead_us", MOE, 0, 5000, 0.5, OVERHEAD},
    {"moe_pad_rows", MOE, 0, 256, 0.2, OTHER},
    {"moe_io_gb_per_s", MOE, 1, 1e5, 0, OTHER},
    {"elementwise_us", ELEMENTWISE, 0, 500, 0.1, OTHER},
    {"elementwise_us_per_token", ELEMENTWISE, 0, 10, 1e-4, OTHER},
    {"elementwise_us_per_token_above", ELEMENTWISE, 0, 10, 1e-4, OTHER},
    {"elementwise_m0_tokens", ELEMENTWISE, 0, 65536, 8, OTHER},
    {"sampler_us", SAMPLER, 0, 5000, 0.5, OTHER},
    {"sampler_us_per_seq", SAMPLER, 0, 500, 0.01, OTHER},
    {"allreduce_latency_us", ALL_REDUCE, 0, 5000, 0.2, OTHER},
    {"allreduce_step_us", ALL_REDUCE, 0, 5000, 0.2, OTHER},
    {"allreduce_bus_gb_per_s", ALL_REDUCE, 0.05, 5000, 0, OTHER},
    {"allreduce_library_us", ALL_REDUCE, 0, 5000, 0.2, OTHER},
    {"allreduce_library_gb_per_s", ALL_REDUCE, 0.05, 5000, 0, OTHER},
};
#define LINES (sizeof lines / sizeof lines[0])

/* ---- one fit --------------------------------------------------------------------------------- */

struct rows { /* of a stage, in the table's order */
    const struct rt_op_row **row;
    unsigned *group;           /* small numbers, for leaving out */
    double *first, *now, *out; /* log(predicted/measured): before, fitted, left out */
    size_t count;
    unsigned groups;
};

struct fit {
    struct rt_gpu gpu; /* with the constants being tried */
    const struct rows *rows;
    int leave_out; /* group; -1: none */
    const struct line *line[RT_MINIMISE_MAX];
    struct rt_gpu_constant place[RT_MINIMISE_MAX];
    double usual[RT_MINIMISE_MAX]; /* the record's, as the search has them */
    double prior;                  /* what a constant costs that is off it by its spread */
    unsigned count;
};

static double *constant_at(struct fit *f, unsigned i)
{
    return (double *)(void *)((char *)&f->gpu.k + f->place[i].offset);
}

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

static void set_constants(struct fit *f, const double *x)
{
    for (unsigned i = 0; i < f->count; i++) {
        double value = exp(clamp(x[i], -50, 50)) - f->line[i]->floor;
        *constant_at(f, i) = clamp(value, f->line[i]->min, f->line[i]->max) * f->place[i].unit;
    }
}

static void get_constants(struct fit *f, double *x)
{
    for (unsigned i = 0; i < f->count; i++) {
        double value = *constant_at(f, i) / f->place[i].unit;
        x[i] = log(clamp(value, f->line[i]->min, f->line[i]->max) + f->line[i]->floor);
    }
}

/* log(predicted/measured) of all rows into out[]. */
static void predict(const struct rt_gpu *gpu, const struct rows *r, double *out)
{
    struct rt_op_pricer pricer;
    for (size_t i = 0; i < r->count; i++) {
        if (i == 0 || rt_op_compare_shape(r->row[i - 1], r->row[i]) != 0)
            rt_op_pricer_init(&pricer, gpu, NULL, r->row[i]);
        out[i] = log(rt_op_price(&pricer, r->row[i]->value) / r->row[i]->seconds);
    }
}

/* The mean of |log error| over the rows that take part. */
static double mean_error(const struct rt_gpu *gpu, const struct rows *r, int leave_out)
{
    struct rt_op_pricer pricer;
    const struct rt_op_row *before = NULL;
    double sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < r->count; i++) {
        if ((int)r->group[i] == leave_out)
            continue;
        if (before == NULL || rt_op_compare_shape(before, r->row[i]) != 0)
            rt_op_pricer_init(&pricer, gpu, NULL, r->row[i]);
        before = r->row[i];
        sum += fabs(log(rt_op_price(&pricer, before->value) / before->seconds));
        count++;
    }
    return count > 0 ? sum / (double)count : 0;
}

/* What rows hardly decide stays near the record: a few of them can be met by wild constants. */
static double far_from_usual(const struct fit *f, const double *x)
{
    double sum = 0;
    for (unsigned i = 0; i < f->count; i++) {
        double off = (x[i] - f->usual[i]) / f->line[i]->spread;
        sum += off * off;
    }
    return f->prior * sum;
}

static double try(const double *x, void *context)
{
    struct fit *f = context;
    set_constants(f, x);
    return mean_error(&f->gpu, f->rows, f->leave_out) + far_from_usual(f, x);
}

/* Does any row change with this constant? */
static bool decides(const struct fit *of, unsigned i)
{
    struct fit f = *of;
    double base = mean_error(&f.gpu, f.rows, -1), *value = constant_at(&f, i);
    double step =
        fmax(fabs(*value) * 0.2, (f.line[i]->max - f.line[i]->min) * 1e-3 * f.place[i].unit);
    *value += step;
    double more = mean_error(&f.gpu, f.rows, -1);
    *value -= 2 * step;
    if (*value <= 0)
        *value = (fmax(f.line[i]->min, 0) + 1e-9) * f.place[i].unit;
    double less = mean_error(&f.gpu, f.rows, -1);
    return more != base || less != base;
}

static void choose_constants(struct fit *f, enum stage stage)
{
    for (unsigned i = 0; i < LINES; i++) {
        if (lines[i].stage != stage)
            continue;
        assert(f->count < RT_MINIMISE_MAX);
        f->line[f->count] = &lines[i];
        bool known = rt_gpu_constant(lines[i].key, &f->place[f->count]);
        assert(known);
        (void)known;
        double *value = constant_at(f, f->count), unit = f->place[f->count].unit;
        *value = clamp(*value, lines[i].min * unit, lines[i].max * unit);
        if (decides(f, f->count))
            f->count++;
    }
    get_constants(f, f->usual);
}

/* Five digits: more would pretend to be known. */
static void round_constants(struct fit *f)
{
    char text[32];
    for (unsigned i = 0; i < f->count; i++) {
        snprintf(text, sizeof text, "%.5g", *constant_at(f, i) / f->place[i].unit);
        *constant_at(f, i) = strtod(text, NULL) * f->place[i].unit;
    }
}

static double search(struct fit *f, unsigned evaluations, unsigned restarts, double step)
{
    double x[RT_MINIMISE_MAX];
    if (f->count == 0) /* nothing to choose */
        return mean_error(&f->gpu, f->rows, f->leave_out);
    get_constants(f, x);
    double best = rt_minimise(&(struct rt_minimise){.count = f->count,
                                                    .evaluations = evaluations,
                                                    .restarts = restarts,
                                                    .step = step,
                                                    .value = try,
                                                    .context = f},
                              x);
    set_constants(f, x);
    return best;
}

/* To all rows. First without regard to the record: what error remains? Less than two rows a
 * constant do not tell. */
static double fit_constants(struct fit *f)
{
    double rows = (double)f->rows->count, free = rows - f->count, noise = USUAL_NOISE;
    if (free >= f->count) {
        f->prior = 0;
        noise = fmin(search(f, EVALUATIONS, 3, 0.3) * rows / free, USUAL_NOISE);
    }
    f->prior = PRIOR * noise / USUAL_NOISE / fmin(rows, INDEPENDENT);
    return search(f, EVALUATIONS, 3, 0.3);
}

/* ---- groups ---------------------------------------------------------------------------------- */

/* Which part of the shapes a row without a model belongs to: by what stays the same over the
 * innermost axis, so that no part knows half of a curve. */
static unsigned fold_of(const struct rt_op_row *row)
{
    const struct rt_op_kind *kind = &rt_op_kinds[row->op];
    uint64_t hash = 14695981039346656037u;
    for (unsigned f = 0; f < RT_OPF_COUNT; f++) {
        bool inner = f == (unsigned)kind->axes[kind->axis_count - 1] && kind->axis_count > 1;
        hash = (hash ^ (uint64_t)(inner ? 0 : row->value[f])) * 1099511628211u;
    }
    return (unsigned)(hash >> 33) % FOLDS;
}

/* Names of models become 0, 1, ...; without names, or with one alone, parts of the shapes do. */
static void number_groups(struct rows *r)
{
    uint32_t seen[MAX_GROUPS];
    unsigned count = 0;
    for (size_t i = 0; i < r->count; i++) {
        unsigned g = 0;
        while (g < count && seen[g] != r->row[i]->group)
            g++;
        if (g == count && count < MAX_GROUPS)
            seen[count++] = r->row[i]->group;
        r->group[i] = g < MAX_GROUPS ? g : r->row[i]->group % MAX_GROUPS;
    }
    r->groups = count;
    if (count > 1)
        return;
    for (size_t i = 0; i < r->count; i++)
        r->group[i] = fold_of(r->row[i]);
    r->groups = FOLDS;
}

/* Only groups that leave something to fit on, and that are there, count. */
static size_t group_rows(const struct rows *r, unsigned group)
{
    size_t count = 0;
    for (size_t i = 0; i < r->count; i++)
        count += r->group[i] == group;
    return count;
}

static void leave_out(const struct fit *fitted, struct rows *r, double *scratch)
{
    for (size_t i = 0; i < r->count; i++)
        r->out[i] = (double)NAN;
    for (unsigned g = 0; g < r->groups; g++) {
        size_t count = group_rows(r, g);
        struct fit f = *fitted;
        if (count == 0 || count == r->count)
            continue;
        f.leave_out = (int)g;
        (void)search(&f, EVALUATIONS_OUT, 1, 0.15);
        predict(&f.gpu, r, scratch);
        for (size_t i = 0; i < r->count; i++)
            if (r->group[i] == g)
                r->out[i] = scratch[i];
    }
}

/* ---- errors ---------------------------------------------------------------------------------- */

static double size_of(enum stage stage, const struct rt_op_row *row)
{
    const double *v = row->value;
    switch (stage) {
    case DECODE:
        return v[RT_OPF_BATCH] * v[RT_OPF_CONTEXT] * 2 * v[RT_OPF_KV_HEADS] * v[RT_OPF_HEAD_DIM] *
               rt_dtype_bytes(row->dtype);
    case PREFILL:
        return v[RT_OPF_Q];
    case MIXED:
        return v[RT_OPF_BATCH];
    case ALL_REDUCE:
        return v[RT_OPF_BYTES];
    case GEMM:
    case GEMM_8:
    case GEMM_4:
    case MOE:
    case ELEMENTWISE:
    case SAMPLER:
    case STAGES:
        break;
    }
    return v[RT_OPF_M];
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The quantile of relative errors from logarithms, absolute or signed; NaN are left out. */
static double quantile(const struct rows *r, const double *logs, const bool *taken, double share,
                       bool absolute, double *scratch)
{
    size_t n = 0;
    for (size_t i = 0; i < r->count; i++) {
        double error = expm1(logs[i]);
        if (taken[i] && !isnan(error))
            scratch[n++] = absolute ? fabs(error) : error;
    }
    if (n == 0)
        return (double)NAN;
    qsort(scratch, n, sizeof *scratch, by_value);
    size_t at = (size_t)(share * (double)(n - 1) + 0.5);
    return scratch[at];
}

static void add_error(struct rt_fit_ops *out, enum stage stage, const char *range,
                      const struct rows *r, const bool *taken, double *scratch)
{
    size_t rows = 0;
    for (size_t i = 0; i < r->count; i++)
        rows += taken[i];
    if (rows == 0 || out->error_count == RT_FIT_MAX_ERRORS)
        return;
    out->errors[out->error_count++] = (struct rt_fit_error){
        .stage = stages[stage].name,
        .range = range,
        .rows = rows,
        .before = quantile(r, r->first, taken, 0.5, true, scratch),
        .median = quantile(r, r->now, taken, 0.5, true, scratch),
        .p90 = quantile(r, r->now, taken, 0.9, true, scratch),
        .bias = quantile(r, r->now, taken, 0.5, false, scratch),
        .left_out = quantile(r, r->out, taken, 0.5, true, scratch),
    };
}

static void add_errors(struct rt_fit_ops *out, enum stage stage, const struct rows *r, bool *taken,
                       double *scratch)
{
    for (size_t i = 0; i < r->count; i++)
        taken[i] = true;
    add_error(out, stage, "all", r, taken, scratch);
    double from = 0;
    for (const struct range *range = stages[stage].ranges;; range++) {
        for (size_t i = 0; i < r->count; i++) {
            double size = size_of(stage, r->row[i]);
            taken[i] = size >= from && (range->below == 0 || size < range->below);
        }
        add_error(out, stage, range->name, r, taken, scratch);
        from = range->below;
        if (from == 0)
            return;
    }
}

/* ---- stages ---------------------------------------------------------------------------------- */

static bool in_stage(enum stage stage, const struct rt_op_row *row)
{
    double bytes = rt_dtype_bytes(row->dtype);
    return row->op == stages[stage].op && bytes >= stages[stage].min_bytes &&
           bytes <= stages[stage].max_bytes;
}

static bool check_rates(const struct rt_gpu *gpu, const struct rows *r, struct rt_err *err)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct rt_op_row *row = r->row[i];
        bool wide = row->activation == RT_BF16 || row->activation == RT_FP16;
        bool known = wide ? gpu->peak_flops[RT_BF16] > 0 || gpu->peak_flops[RT_FP16] > 0
                          : gpu->peak_flops[row->activation] > 0;
        if (!known)
            return rt_fail(err, RT_ECONFIG, "gpu %s: no rate of %s is known, but rows are in it",
                           gpu->name, rt_dtype_names[row->activation]);
    }
    return true;
}

static void note_constants(const struct fit *f, const struct rt_gpu *start, struct rt_fit_ops *out)
{
    struct fit first = *f, last = *f;
    first.gpu = *start;
    for (unsigned i = 0; i < f->count && out->constant_count < RT_FIT_MAX_CONSTANTS; i++)
        out->constants[out->constant_count++] =
            (struct rt_fit_constant){.key = f->line[i]->key,
                                     .before = *constant_at(&first, i) / f->place[i].unit,
                                     .after = *constant_at(&last, i) / f->place[i].unit,
                                     .rows = f->rows->count};
}

/* Which of the two ways of running mixed batches this GPU's kernel has is part of the fit. */
static void fit_mixed(struct fit *f)
{
    struct fit apart = *f;
    apart.count = 0;
    apart.gpu.k.mixed_as_tiles = false;
    f->gpu.k.mixed_as_tiles = true;
    choose_constants(f, MIXED);
    double together = fit_constants(f);
    if (mean_error(&apart.gpu, f->rows, -1) < together)
        *f = apart;
}

static void run_stage(enum stage stage, struct rows *r, const struct rt_gpu *start,
                      struct rt_fit_ops *out, bool *taken, double *scratch)
{
    struct fit f = {.gpu = out->gpu, .rows = r, .leave_out = -1};
    predict(start, r, r->first);
    if (stage == MIXED) {
        fit_mixed(&f);
    } else {
        choose_constants(&f, stage);
        (void)fit_constants(&f);
    }
    round_constants(&f);
    out->gpu = f.gpu;
    predict(&f.gpu, r, r->now);
    number_groups(r);
    leave_out(&f, r, scratch);
    note_constants(&f, start, out);
    add_errors(out, stage, r, taken, scratch);
    out->rows += r->count;
}

static void take_rows(const struct rt_op_table *t, enum stage stage, struct rows *r)
{
    r->count = 0;
    for (size_t i = 0; i < t->count; i++)
        if (in_stage(stage, &t->rows[i]))
            r->row[r->count++] = &t->rows[i];
}

bool rt_fit_ops(struct rt_op_table *table, const struct rt_gpu *start, struct rt_fit_ops *out,
                struct rt_err *err)
{
    size_t n = table->count;
    memset(out, 0, sizeof *out);
    out->gpu = *start;
    if (n == 0)
        return rt_fail(err, RT_ECONFIG, "expected rows of operators, read none");
    rt_op_table_sort(table);
    struct rows r = {.row = calloc(n, sizeof *r.row),
                     .group = calloc(n, sizeof *r.group),
                     .first = calloc(n * 4, sizeof *r.first)};
    bool *taken = calloc(n, sizeof *taken);
    bool ok = (r.row && r.group && r.first && taken) || rt_fail_nomem(err, "the fit");
    if (ok) {
        r.now = r.first + n;
        r.out = r.first + 2 * n;
    }
    for (int stage = 0; ok && stage < STAGES; stage++) {
        take_rows(table, (enum stage)stage, &r);
        ok = r.count == 0 || check_rates(start, &r, err);
        if (ok && r.count > 0)
            run_stage((enum stage)stage, &r, start, out, taken, r.first + 3 * n);
    }
    free(r.row);
    free(r.group);
    free(r.first);
    free(taken);
    return ok;
}
