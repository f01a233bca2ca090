/* rate_profile.c: a rate of arrivals that changes, its integral, and the inverse of that.
 *
 * A renewal process of mean rate 1 becomes one whose rate follows r(t) when its instants u are
 * mapped through the inverse of A(t) = integral of r from 0 to t (time change; for Poisson
 * processes see Cinlar, "Introduction to Stochastic Processes", 1975, 4.7). Nothing is thinned: one
 * draw a request, the same draws whatever the rate.
 *
 *     steps, linear   pieces r(t) = rate + slope * (t - from): A is a parabola on each, and the
 *                     piece is found by bisection over their areas
 *     on_off          two steps that repeat
 *     diurnal         r(t) = m (1 + a cos(2 pi (t - peak) / p)):
 *                     A(t) = m (t + a p / (2 pi) (sin(2 pi (t - peak) / p) + sin(2 pi peak / p)));
 *                     inverted by bisection, because Newton's steps leave where r is near 0
 *
 * What repeats is taken apart into whole periods and a rest, which keeps its precision whatever
 * the time. Where the rate is 0 the area stands still; the inverse is the first instant then. */
#include "load_internal.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define TWO_PI 6.283185307179586476925

static bool add_pieces(struct rt_rate_profile *p, const struct rt_rate_point *points,
                       uint32_t count, bool linear)
{
    p->pieces = calloc(count, sizeof p->pieces[0]);
    if (p->pieces == NULL)
        return false;
    p->piece_count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct rt_rate_piece *x = &p->pieces[i];
        x->from_s = points[i].from_s;
        x->rate = points[i].rate;
        if (linear && i + 1 < count)
            x->slope = (points[i + 1].rate - x->rate) / (points[i + 1].from_s - x->from_s);
        if (i > 0) {
            double dt = x->from_s - x[-1].from_s;
            double end = linear ? x->rate : x[-1].rate;
            x->area = x[-1].area + (x[-1].rate + end) / 2 * dt;
        }
    }
    return true;
}

static double diurnal_area(const struct rt_rate_spec *s, double t)
{
    double w = TWO_PI / s->period_s;
    return s->rate * (t + s->amplitude / w * (sin(w * (t - s->peak_s)) + sin(w * s->peak_s)));
}

static double piece_area(const struct rt_rate_piece *x, double t)
{
    double dt = t - x->from_s;
    return x->area + (x->rate + x->slope * dt / 2) * dt;
}

bool rt_rate_profile_init(struct rt_rate_profile *p, const struct rt_rate_spec *spec,
                          struct rt_err *err)
{
    *p = (struct rt_rate_profile){.spec = *spec, .period_s = spec->period_s};
    p->spec.points = NULL; /* the caller's */
    if (spec->shape == RT_RATE_DIURNAL) {
        p->period_area = spec->rate * spec->period_s;
        return true;
    }
    struct rt_rate_point on_off[2] = {{0, spec->rate}, {spec->on_s, spec->off_rate}};
    bool pair = spec->shape == RT_RATE_ON_OFF;
    if (pair)
        p->period_s = spec->on_s + spec->off_s;
    if (!add_pieces(p, pair ? on_off : spec->points, pair ? 2 : spec->point_count,
                    spec->shape == RT_RATE_LINEAR))
        return rt_fail_nomem(err, "rate_profile");
    if (p->period_s > 0)
        p->period_area = piece_area(&p->pieces[p->piece_count - 1], p->period_s);
    return true;
}

void rt_rate_profile_release(struct rt_rate_profile *p)
{
    free(p->pieces);
    p->pieces = NULL;
}

/* The last piece that begins at or before `value`, seen as times or as areas. */
static const struct rt_rate_piece *find_piece(const struct rt_rate_profile *p, double value,
                                              bool areas)
{
    uint32_t low = 0, high = p->piece_count;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        const struct rt_rate_piece *x = &p->pieces[middle];
        /* an area is reached where the piece before ends: the first instant counts */
        if (areas ? x->area < value : x->from_s <= value)
            low = middle;
        else
            high = middle;
    }
    return &p->pieces[low];
}

static double area_within(const struct rt_rate_profile *p, double t)
{
    return p->pieces ? piece_area(find_piece(p, t, false), t) : diurnal_area(&p->spec, t);
}

double rt_rate_profile_area(const struct rt_rate_profile *p, double at_s)
{
    if (p->period_s == 0)
        return area_within(p, at_s);
    double periods = floor(at_s / p->period_s);
    return periods * p->period_area + area_within(p, at_s - periods * p->period_s);
}

/* Root of slope/2 dt^2 + rate dt = rest in the form that does not cancel. */
static double invert_piece(const struct rt_rate_piece *x, double area)
{
    double rest = area - x->area;
    double root = x->rate * x->rate + 2 * x->slope * rest;
    if (rest <= 0)
        return x->from_s;
    return x->from_s + 2 * rest / (x->rate + sqrt(root > 0 ? root : 0));
}

/* 64 halvings of one period: to the last bit. */
static double invert_diurnal(const struct rt_rate_spec *s, double area)
{
    double low = 0, high = s->period_s;
    for (int i = 0; i < 64; i++) {
        double middle = low + (high - low) / 2;
        if (diurnal_area(s, middle) < area)
            low = middle;
        else
            high = middle;
    }
    return high;
}

double rt_rate_profile_at(const struct rt_rate_profile *p, double area)
{
    double periods = 0;
    if (p->period_s > 0 && area > 0) { /* a whole period's area is reached within it */
        periods = ceil(area / p->period_area) - 1;
        area = fmin(fmax(area - periods * p->period_area, 0), p->period_area);
    }
    double at =
        p->pieces ? invert_piece(find_piece(p, area, true), area) : invert_diurnal(&p->spec, area);
    if (p->period_s > 0 && at > p->period_s)
        at = p->period_s;
    return periods * p->period_s + at;
}
