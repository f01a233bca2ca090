/* base/minimise.h: the least value of a function of a few numbers, without derivatives: Nelder and
 * Mead's simplex, restarted around the best point so far. Deterministic; a function that is not
 * finite somewhere counts as very large there. Cost: at most `evaluations` calls. */
#ifndef RT_MINIMISE_H
#define RT_MINIMISE_H

#define RT_MINIMISE_MAX 9 /* numbers */

struct rt_minimise {
    unsigned count;       /* 1..RT_MINIMISE_MAX */
    unsigned evaluations; /* calls at most, all restarts together */
    unsigned restarts;    /* 1 or more; each begins with a simplex half as wide */
    double step;          /* edge of the first simplex */
    double (*value)(const double *x, void *context);
    void *context;
};

/* Moves x to the best point that was seen; answers its value. */
double rt_minimise(const struct rt_minimise *m, double *x);

#endif
