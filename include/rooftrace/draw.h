/* base/draw.h: random numbers of the distributions that traffic is made of, each from one stream.
 *
 * Every draw is O(1) (rejections are counted in the expected value) and keeps no state besides the
 * stream, so what a stream answers next depends on nothing but what was drawn from it before. libm
 * takes part (exp, log, pow, sqrt). Answers are finite for every legal parameter; a parameter that
 * is not legal (see each) is a broken invariant, not an error: check what users write before.
 * Exponential, gamma and standard normal numbers are in rng.h. */
#ifndef RT_DRAW_H
#define RT_DRAW_H

#include "rooftrace/rng.h"

/* Uniform among the whole numbers low..high, both included; low <= high. */
int64_t rt_draw_whole(struct rt_rng *r, int64_t low, int64_t high);

/* Weibull of this shape (0.05 to 1e6) and mean 1: the scale is rt_weibull_scale(shape), computed
 * once by the caller. 1 is the exponential distribution, smaller is burstier. */
double rt_weibull_scale(double shape);
double rt_draw_weibull(struct rt_rng *r, double shape, double scale);
/* Its coefficient of variation, sd / mean. */
double rt_weibull_cv(double shape);

/* exp(mu + sigma * normal); sigma >= 0. Median exp(mu), mean exp(mu + sigma^2 / 2). */
double rt_draw_lognormal(struct rt_rng *r, double mu, double sigma);

/* Ranks 1..count, rank k with probability proportional to k^-exponent. */
struct rt_zipf {
    uint64_t count;
    double exponent;
    double low, high, shortcut; /* of the rejection: see draw.c */
};
/* count from 1 to 2^52, exponent from 0 (uniform) to 20. */
void rt_zipf_init(struct rt_zipf *z, uint64_t count, double exponent);
uint64_t rt_draw_zipf(struct rt_rng *r, const struct rt_zipf *z);

/* The distribution function of the standard normal, and its inverse (p in (0, 1); error below
 * 1e-12 relative in the tails, too). */
double rt_normal_cdf(double x);
double rt_normal_quantile(double p);

#endif
