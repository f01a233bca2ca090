/* Nelder and Mead's simplex: count + 1 points, the worst of which is reflected through the middle
 * of the others, stretched where that helps and drawn in where it does not.
 * [Nelder, Mead: A simplex method for function minimization, 1965; coefficients 1, 2, 1/2, 1/2]
 * A simplex may collapse before it is at the bottom, so the search begins again around the best
 * point. Absolute errors have kinks, which do not disturb it. O(evaluations * count). */
#include "rooftrace/minimise.h"

#include <math.h>
#include <string.h>

#define LARGE     1e300
#define TOLERANCE 1e-10 /* between the values of the best and the worst point */

struct point {
    double x[RT_MINIMISE_MAX], value;
};

struct search {
    const struct rt_minimise *m;
    struct point p[RT_MINIMISE_MAX + 1]; /* best first */
    unsigned left;                       /* evaluations */
};

static void evaluate(struct search *s, struct point *p)
{
    double value = s->m->value(p->x, s->m->context);
    p->value = isfinite(value) ? value : LARGE;
    s->left--;
}

/* Stable: equal points keep their order. */
static void sort(struct search *s)
{
    for (unsigned i = 1; i <= s->m->count; i++)
        for (unsigned k = i; k > 0 && s->p[k].value < s->p[k - 1].value; k--) {
            struct point swap = s->p[k];
            s->p[k] = s->p[k - 1];
            s->p[k - 1] = swap;
        }
}

/* The worst point moved along the line through the middle of the others: at 1 mirrored. */
static struct point moved(struct search *s, double by)
{
    unsigned n = s->m->count;
    struct point p = {{0}, 0};
    for (unsigned i = 0; i < n; i++) {
        double middle = 0;
        for (unsigned k = 0; k < n; k++)
            middle += s->p[k].x[i];
        middle /= n;
        p.x[i] = middle + by * (middle - s->p[n].x[i]);
    }
    evaluate(s, &p);
    return p;
}

static void shrink(struct search *s)
{
    for (unsigned k = 1; k <= s->m->count && s->left > 0; k++) {
        for (unsigned i = 0; i < s->m->count; i++)
            s->p[k].x[i] = s->p[0].x[i] + 0.5 * (s->p[k].x[i] - s->p[0].x[i]);
        evaluate(s, &s->p[k]);
    }
}

static void step(struct search *s)
{
    struct point *worst = &s->p[s->m->count];
    struct point mirrored = moved(s, 1);
    if (mirrored.value < s->p[0].value) {
        struct point further = moved(s, 2);
        *worst = further.value < mirrored.value ? further : mirrored;
    } else if (mirrored.value < s->p[s->m->count - 1].value) {
        *worst = mirrored;
    } else {
        struct point inner = moved(s, mirrored.value < worst->value ? 0.5 : -0.5);
        double bound = mirrored.value < worst->value ? mirrored.value : worst->value;
        if (inner.value < bound)
            *worst = inner;
        else
            shrink(s);
    }
}

static void begin(struct search *s, const double *x, double edge)
{
    for (unsigned k = 0; k <= s->m->count; k++) {
        memcpy(s->p[k].x, x, s->m->count * sizeof *x);
        if (k > 0)
            s->p[k].x[k - 1] += edge;
        evaluate(s, &s->p[k]);
    }
    sort(s);
}

double rt_minimise(const struct rt_minimise *m, double *x)
{
    struct search s = {.m = m};
    double edge = m->step, best = LARGE;
    unsigned restarts = m->restarts > 0 ? m->restarts : 1, share = m->evaluations / restarts;
    for (unsigned r = 0; r < restarts; r++, edge /= -2) { /* the other way round each time */
        s.left = share > 2 * m->count + 4 ? share : 2 * m->count + 4;
        begin(&s, x, edge);
        while (s.left > m->count + 2 && s.p[m->count].value - s.p[0].value > TOLERANCE) {
            step(&s);
            sort(&s);
        }
        if (s.p[0].value < best) {
            best = s.p[0].value;
            memcpy(x, s.p[0].x, m->count * sizeof *x);
        }
    }
    return best;
}
