/* Where the error of a fit to a log is least: tangents to many simulations at once.
 *
 *     grid --lowest place--> [ simulations around it --regression--> line of each request's times
 *                              --least error of those lines--> next place ] ... --> mean of places
 *
 * The error itself is a bad guide. One prompt that misses a step by a microsecond changes the
 * batches behind it, so near the truth the error jumps by more than a tenth off one constant moves
 * it, and a search that follows it ends wherever a guess was lucky. Each request's logarithm of
 * time, however, is close to linear in the constants: host time a step lengthens all of them alike,
 * host time a sequence those that ran in large batches. A regression over a dozen simulations
 * averages the jumps out of those lines, and the constants at which the lines fit the log best are
 * found without any simulation (Gauss and Newton's method, with secants in the place of
 * derivatives). The places of the later rounds scatter around the truth: their mean is the answer.
 *
 * Failures: what the simulation says, memory. Deterministic. Memory O(log); beside the simulations
 * O(log) a guess on the lines. */
#include "fit_internal.h"

#include "rooftrace/minimise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SCAN       21 /* simulations of the grid, the first guess included */
#define MAX_POINTS 17 /* of a round: the centre, two along each axis, corners */
#define TERMS      (RT_FIT_KNOBS + 1)
#define GUESSES    200 /* on the lines of a round */
#define FURTHEST   2.0 /* widths that a round moves: beyond, lines are not to be believed */

/* Host times on a coarse grid: lines taken far from the truth lead nowhere. */
static bool scan(struct fit *f, double *value, double *least)
{
    static const double step_us[] = {0, 400, 1000, 2000, 4000}, hidden_us[] = {0, 5, 15, 40},
                        exposed_us[] = {0, 20, 50, 120};
    const double *seq_us = f->exposed ? exposed_us : hidden_us;
    double error, guess[RT_FIT_KNOBS];
    memcpy(guess, value, sizeof guess);
    for (unsigned i = 0; i < sizeof step_us / sizeof step_us[0]; i++)
        for (unsigned k = 0; k < sizeof hidden_us / sizeof hidden_us[0]; k++) {
            guess[0] = step_us[i];
            guess[1] = seq_us[k];
            if (!fit_try(f, guess, &error))
                return false;
            if (error < *least) {
                *least = error;
                memcpy(value, guess, sizeof guess);
            }
        }
    return true;
}

/* ---- lines of the times ---------------------------------------------------------------------- */

typedef double line[TERMS]; /* log(time / s) = line[0] + sum of line[k + 1] * u[k] */

struct round {
    struct fit *f;
    unsigned terms;
    double centre[RT_FIT_KNOBS], width[RT_FIT_KNOBS];
    double normal[TERMS][TERMS];   /* sum of x * x' over the points, x = (1, u); then its inverse */
    line (*lines)[RT_FIT_METRICS]; /* of request 2i: sum of x * log(time); then its line */
};

static double clamped(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

/* The values u widths from the centre, and x = (1, u) of where those are within their ranges. */
static void place(const struct round *r, const double *u, double *value, double *x)
{
    x[0] = 1;
    for (unsigned k = 0; k < r->f->count; k++) {
        const struct fit_knob *knob = &fit_knobs[k];
        double by = clamped(u[k], -FURTHEST, FURTHEST) * r->width[k];
        value[k] = clamped(r->centre[k] + by, knob->min, knob->max);
        x[k + 1] = (value[k] - r->centre[k]) / r->width[k];
    }
}

static bool observe(struct round *r, const double *u)
{
    struct fit *f = r->f;
    double value[RT_FIT_KNOBS] = {1, 1, 1, 1}, x[TERMS], error;
    place(r, u, value, x);
    if (!fit_try(f, value, &error))
        return false;
    for (unsigned a = 0; a < r->terms; a++)
        for (unsigned b = 0; b < r->terms; b++)
            r->normal[a][b] += x[a] * x[b];
    for (size_t i = 0; i < f->log->count; i += 2)
        for (int m = 0; m < RT_FIT_METRICS; m++) {
            double y = log(f->out[i].time_s[m]); /* NaN, where it did not finish, stays in it */
            for (unsigned a = 0; a < r->terms; a++)
                r->lines[i / 2][m][a] += x[a] * y;
        }
    return true;
}

static void add_row(unsigned terms, double *to, const double *row, double times)
{
    for (unsigned k = 0; k < terms; k++)
        to[k] += times * row[k];
}

/* Gauss and Jordan's elimination; the matrix is symmetric and positive definite, which needs no
 * exchange of rows. False: the points lie on a line, as at the end of a range. */
static bool invert(unsigned terms, double a[TERMS][TERMS])
{
    double inverse[TERMS][TERMS] = {{0}};
    for (unsigned c = 0; c < terms; c++)
        inverse[c][c] = 1;
    for (unsigned c = 0; c < terms; c++) {
        if (!(a[c][c] > 1e-9))
            return false;
        double scale = 1 / a[c][c];
        add_row(terms, inverse[c], inverse[c], scale - 1);
        add_row(terms, a[c], a[c], scale - 1);
        for (unsigned i = 0; i < terms; i++) {
            double times = i == c ? 0 : -a[i][c];
            add_row(terms, inverse[i], inverse[c], times);
            add_row(terms, a[i], a[c], times);
        }
    }
    memcpy(a, inverse, sizeof inverse);
    return true;
}

static bool draw_lines(struct round *r)
{
    if (!invert(r->terms, r->normal))
        return false;
    for (size_t i = 0; i < r->f->log->count; i += 2)
        for (int m = 0; m < RT_FIT_METRICS; m++) {
            line sum;
            memcpy(sum, r->lines[i / 2][m], sizeof sum);
            memset(r->lines[i / 2][m], 0, sizeof sum);
            for (unsigned a = 0; a < r->terms; a++)
                add_row(r->terms, r->lines[i / 2][m], r->normal[a], sum[a]);
        }
    return true;
}

static double error_of_lines(const double *u, void *context)
{
    const struct round *r = context;
    double value[RT_FIT_KNOBS], x[TERMS];
    place(r, u, value, x);
    for (size_t i = 0; i < r->f->log->count; i += 2)
        for (int m = 0; m < RT_FIT_METRICS; m++) {
            double y = 0;
            for (unsigned a = 0; a < r->terms; a++)
                y += x[a] * r->lines[i / 2][m][a];
            r->f->out[i].time_s[m] = exp(y);
        }
    return fit_error(r->f);
}

/* ---- rounds ---------------------------------------------------------------------------------- */

/* The centre, both ways along each axis, and corners: all four of two axes; of four axes every
 * other one, which still tells them apart. Answers how many. */
static unsigned design(unsigned axes, double u[MAX_POINTS][RT_FIT_KNOBS])
{
    unsigned points = 1;
    memset(u, 0, MAX_POINTS * sizeof u[0]);
    for (unsigned k = 0; k < axes; k++) {
        u[points++][k] = 1;
        u[points++][k] = -1;
    }
    for (unsigned corner = 0; corner < 1u << axes; corner++) {
        unsigned odd = 0;
        for (unsigned k = 0; k < axes; k++)
            odd ^= corner >> k & 1u;
        if (axes > 2 && odd)
            continue;
        for (unsigned k = 0; k < axes; k++)
            u[points][k] = corner >> k & 1u ? 1 : -1;
        points++;
    }
    return points;
}

/* Moves the values to where the lines through `points` simulations around them fit the log best. */
static bool go_round(struct round *r, double narrow, unsigned points,
                     double u[MAX_POINTS][RT_FIT_KNOBS], double *value)
{
    struct fit *f = r->f;
    double x[TERMS], to[RT_FIT_KNOBS] = {0};
    memset(r->normal, 0, sizeof r->normal);
    memset(r->lines, 0, (f->log->count + 1) / 2 * sizeof r->lines[0]);
    for (unsigned k = 0; k < f->count; k++) {
        const struct fit_knob *knob = &fit_knobs[k];
        double width = narrow * fmax(knob->width, 0.15 * value[k]);
        r->width[k] = width;
        r->centre[k] = clamped(value[k], knob->min + width, knob->max - width);
    }
    for (unsigned p = 0; p < points; p++)
        if (!observe(r, u[p]))
            return false;
    if (!draw_lines(r))
        return true;
    (void)rt_minimise(&(struct rt_minimise){.count = f->count,
                                            .evaluations = GUESSES,
                                            .restarts = 2,
                                            .step = 0.5,
                                            .value = error_of_lines,
                                            .context = r},
                      to);
    place(r, to, value, x);
    return true;
}

/* Rounds until the simulations are used up; the values become the mean of the later half's. */
static bool go_rounds(struct round *r, unsigned simulations, double *value)
{
    double u[MAX_POINTS][RT_FIT_KNOBS], mean[RT_FIT_KNOBS] = {0}, narrow = 1;
    unsigned full = design(r->f->count, u), least = 2 * r->f->count + 1;
    unsigned rounds = simulations / full + (simulations % full >= least);
    unsigned early = rounds / 2, late = rounds - early;
    for (unsigned n = 0; n < rounds; n++) {
        unsigned points = simulations < full ? simulations : full;
        if (!go_round(r, narrow, points, u, value))
            return false;
        simulations -= points;
        narrow = fmax(0.7 * narrow, 0.4);
        for (unsigned k = 0; n >= early && k < r->f->count; k++)
            mean[k] += value[k] / late;
    }
    if (rounds > 0)
        memcpy(value, mean, r->f->count * sizeof mean[0]);
    return true;
}

bool fit_search(struct fit *f, unsigned evaluations, double *value)
{
    double first[RT_FIT_KNOBS], error_first, error;
    if (!fit_try(f, value, &error_first) ||
        (evaluations >= 2 * SCAN && !scan(f, value, &error_first)))
        return false;
    memcpy(first, value, sizeof first);
    struct round r = {.f = f,
                      .terms = f->count + 1,
                      .lines = calloc((f->log->count + 1) / 2 + 1, sizeof r.lines[0])};
    if (r.lines == NULL)
        return rt_fail_nomem(f->err, "the fit");
    unsigned left = evaluations > f->evaluations + 1 ? evaluations - f->evaluations - 1 : 0;
    bool ok = go_rounds(&r, left, value) && fit_try(f, value, &error);
    free(r.lines);
    if (ok && !(error <= error_first)) /* lines that led nowhere */
        memcpy(value, first, sizeof first);
    return ok;
}
