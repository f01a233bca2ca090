/* synth_arrivals.c: when units of synthetic traffic begin: requests, or sessions.
 *
 * A renewal process whose gaps have mean 1 (constant, exponential, gamma or Weibull) runs through
 * the integral of the rate, so that each unit of operational time brings one arrival on average:
 *
 *     integral of rate(t) dt from the last arrival to the next = gap
 *
 *     constant rate   dt = gap / rate
 *     on_off          phases of random (exponential) length, mean on_s and off_s, rate_on and
 *                     off_share * rate_on; rate_per_s is the mean over both
 *     diurnal         rate_per_s * (1 + amplitude * cos(2 pi (t - peak_s) / period_s)), solved for
 *                     dt by Newton's method inside a bracket
 *
 * The first arrival is at 0. Times are rounded to ns, what rounding leaves is carried on, so rates
 * do not drift. O(1) an arrival (on_off: expected phases in a gap, at most a thousand). */
#include "synth_internal.h"

#define BIT(key) (1u << RT_ARRIVAL_##key)
#define TWO_PI   6.28318530717958647692
#define NS_PER_S 1e9

const struct rt_number_key rt_arrival_keys[RT_ARRIVAL_KEYS] = {
    [RT_ARRIVAL_RATE] = {"rate_per_s", 1e-9, 1e9},
    [RT_ARRIVAL_CV] = {"cv", 0.001, 30},
    [RT_ARRIVAL_BURSTINESS] = {"burstiness", 0.001, 1e6},
    [RT_ARRIVAL_SHAPE] = {"shape", 0.1, 1e6},
    [RT_ARRIVAL_ON_S] = {"on_s", 1e-6, 9e9},
    [RT_ARRIVAL_OFF_S] = {"off_s", 1e-6, 9e9},
    [RT_ARRIVAL_OFF_SHARE] = {"off_share", 0, 1},
    [RT_ARRIVAL_AMPLITUDE] = {"amplitude", 0, 1},
    [RT_ARRIVAL_PERIOD_S] = {"period_s", 1e-3, 9e9},
    [RT_ARRIVAL_PEAK_S] = {"peak_s", 0, 9e9},
};

const struct rt_number_kind rt_arrival_kinds[RT_ARRIVE_KINDS] = {
    [RT_ARRIVE_AT_ONCE] = {"at_once", "all at the start", 0, 0, {0, 0}},
    [RT_ARRIVE_CONSTANT] = {"constant", "equal gaps", BIT(RATE), 0, {0, 0}},
    [RT_ARRIVE_POISSON] = {"poisson", "independent users", BIT(RATE), 0, {0, 0}},
    [RT_ARRIVE_GAMMA] = {"gamma",
                         "gamma gaps: cv, or burstiness = 1 / cv^2 as vLLM",
                         BIT(RATE),
                         0,
                         {BIT(CV) | BIT(BURSTINESS), 0}},
    [RT_ARRIVE_WEIBULL] = {"weibull", "Weibull gaps: shape", BIT(RATE) | BIT(SHAPE), 0, {0, 0}},
    [RT_ARRIVE_ON_OFF] = {"on_off",
                          "bursts: on_s, off_s (means), off_share, burstiness",
                          BIT(RATE) | BIT(ON_S) | BIT(OFF_S),
                          BIT(OFF_SHARE) | BIT(BURSTINESS),
                          {0, 0}},
    [RT_ARRIVE_DIURNAL] = {"diurnal",
                           "a daily wave: amplitude, period_s, peak_s, burstiness",
                           BIT(RATE) | BIT(AMPLITUDE),
                           BIT(PERIOD_S) | BIT(PEAK_S) | BIT(BURSTINESS),
                           {0, 0}},
};

static double given(const struct rt_arrival_spec *spec, enum rt_arrival_key key, double otherwise)
{
    return isnan(spec->v[key]) ? otherwise : spec->v[key];
}

const char *rt_starts_check(const struct rt_arrival_spec *spec)
{
    const double *v = spec->v;
    if (spec->kind == RT_ARRIVE_ON_OFF &&
        v[RT_ARRIVAL_RATE] * (v[RT_ARRIVAL_ON_S] + v[RT_ARRIVAL_OFF_S]) < 0.001)
        return "expected on_s + off_s of at least a thousandth of the mean gap, 1 / rate_per_s";
    return NULL;
}

void rt_starts_init(struct rt_starts *a, const struct rt_arrival_spec *spec, uint64_t seed,
                    double rate_scale)
{
    double cv = spec->v[RT_ARRIVAL_CV];
    *a = (struct rt_starts){.spec = *spec, .shape = 1, .rate = 1};
    rt_rng_init(&a->gaps, seed, RT_RNG_ARRIVALS, 0);
    rt_rng_init(&a->phases, seed, RT_RNG_ARRIVALS, 1);
    if (spec->kind == RT_ARRIVE_AT_ONCE)
        return;
    a->rate = spec->v[RT_ARRIVAL_RATE];
    a->spec.v[RT_ARRIVAL_PERIOD_S] = given(spec, RT_ARRIVAL_PERIOD_S, 86400);
    a->spec.v[RT_ARRIVAL_PEAK_S] = given(spec, RT_ARRIVAL_PEAK_S, 0);
    a->spec.v[RT_ARRIVAL_OFF_SHARE] = given(spec, RT_ARRIVAL_OFF_SHARE, 0);
    a->shape = isnan(cv) ? given(spec, RT_ARRIVAL_BURSTINESS, 1) : 1 / (cv * cv);
    if (spec->kind == RT_ARRIVE_WEIBULL) {
        a->shape = spec->v[RT_ARRIVAL_SHAPE];
        a->scale = rt_weibull_scale(a->shape);
    }
    a->time_scale = 1 / rate_scale;
    if (spec->kind == RT_ARRIVE_ON_OFF) {
        double on = spec->v[RT_ARRIVAL_ON_S], off = spec->v[RT_ARRIVAL_OFF_S];
        a->rate *= (on + off) / (on + off * a->spec.v[RT_ARRIVAL_OFF_SHARE]);
        a->on = true;
        a->phase_left_s = on * rt_rng_exponential(&a->phases);
    }
}

/* Mean 1. */
static double draw_gap(struct rt_starts *a)
{
    if (a->spec.kind == RT_ARRIVE_CONSTANT)
        return 1;
    if (a->spec.kind == RT_ARRIVE_WEIBULL)
        return rt_draw_weibull(&a->gaps, a->shape, a->scale);
    return a->shape == 1 ? rt_rng_exponential(&a->gaps)
                         : rt_rng_gamma(&a->gaps, a->shape) / a->shape;
}

static double walk_phases(struct rt_starts *a, double gap)
{
    const double *v = a->spec.v;
    double dt = 0;
    for (;;) {
        double rate = a->on ? a->rate : a->rate * v[RT_ARRIVAL_OFF_SHARE];
        if (gap <= rate * a->phase_left_s && rate > 0) {
            a->phase_left_s -= gap / rate;
            return dt + gap / rate;
        }
        gap -= rate * a->phase_left_s;
        dt += a->phase_left_s;
        a->on = !a->on;
        a->phase_left_s =
            v[a->on ? RT_ARRIVAL_ON_S : RT_ARRIVAL_OFF_S] * rt_rng_exponential(&a->phases);
    }
}

/* Solves rate * (dt + swing * (sin(w (dt + x)) - sin(w x))) = gap, w = 2 pi / period,
 * swing = amplitude / w, x = the last arrival's place in its period counted from the peak. */
static double solve_wave(const struct rt_starts *a, double gap)
{
    const double *v = a->spec.v;
    double period = v[RT_ARRIVAL_PERIOD_S], amplitude = v[RT_ARRIVAL_AMPLITUDE];
    double w = TWO_PI / period, swing = amplitude / w, flat = gap / a->rate;
    double x = fmod(a->at_s, period) - fmod(v[RT_ARRIVAL_PEAK_S], period), sine = sin(w * x);
    double low = fmax(0, flat - 2 * swing), high = flat + 2 * swing, dt = flat;
    for (int i = 0; i < 200 && high - low > 1e-12 * (1 + high); i++) {
        double f = dt + swing * (sin(w * (x + dt)) - sine) - flat;
        double slope = 1 + amplitude * cos(w * (x + dt));
        if (f > 0)
            high = dt;
        else
            low = dt;
        if (fabs(f) <= 1e-12 * (1 + flat))
            break;
        double next = dt - f / slope;
        dt = next > low && next < high ? next : low + (high - low) / 2;
    }
    return dt;
}

int64_t rt_starts_next(struct rt_starts *a)
{
    if (a->spec.kind == RT_ARRIVE_AT_ONCE || a->count++ == 0)
        return a->at_ns;
    double gap = draw_gap(a), dt;
    if (a->spec.kind == RT_ARRIVE_ON_OFF)
        dt = walk_phases(a, gap);
    else if (a->spec.kind == RT_ARRIVE_DIURNAL)
        dt = solve_wave(a, gap);
    else
        dt = gap / a->rate;
    a->at_s += dt;
    double ns = dt * a->time_scale * NS_PER_S + a->remainder, whole = rint(ns);
    if (!(whole < 0x1p63 - (double)a->at_ns - 1024))
        return INT64_MAX;
    a->remainder = ns - whole;
    a->at_ns += (int64_t)whole;
    return a->at_ns;
}
