/* Draws from the distributions of traffic, by the classic exact methods:
 *
 *     Weibull    the inverse of its distribution function
 *     Zipf       rejection-inversion: Hoermann and Derflinger, "Rejection-inversion to generate
 *                variates from monotone discrete distributions", ACM TOMACS 6(3), 1996
 *     quantile   Wichura's AS 241 (PPND16), Applied Statistics 37(3), 1988
 *
 * Nothing here fails or keeps state. Each draw is O(1) expected, whatever its parameters. */
#include "rooftrace/draw.h"

#include <assert.h>
#include <math.h>

int64_t rt_draw_whole(struct rt_rng *r, int64_t low, int64_t high)
{
    assert(low <= high);
    uint64_t width = (uint64_t)high - (uint64_t)low + 1; /* 0: all 2^64 */
    uint64_t above = width == 0 ? rt_rng_u64(r) : rt_rng_below(r, width);
    return (int64_t)((uint64_t)low + above);
}

double rt_weibull_scale(double shape)
{
    assert(shape >= 0.05 && shape <= 1e6);
    return exp(-lgamma(1.0 + 1.0 / shape)); /* the mean is scale * gamma(1 + 1 / shape) */
}

double rt_draw_weibull(struct rt_rng *r, double shape, double scale)
{
    return scale * pow(rt_rng_exponential(r), 1.0 / shape);
}

double rt_weibull_cv(double shape)
{
    double squares = lgamma(1.0 + 2.0 / shape) - 2.0 * lgamma(1.0 + 1.0 / shape);
    return sqrt(expm1(squares)); /* E x^2 / (E x)^2 - 1 */
}

double rt_draw_lognormal(struct rt_rng *r, double mu, double sigma)
{
    assert(sigma >= 0.0);
    return exp(mu + sigma * rt_rng_normal(r));
}

/* (exp(x) - 1) / x and log(1 + x) / x, also at x = 0. */
static double expm1_over(double x)
{
    return fabs(x) > 1e-8 ? expm1(x) / x : 1.0 + x * 0.5;
}

static double log1p_over(double x)
{
    return fabs(x) > 1e-8 ? log1p(x) / x : 1.0 - x * 0.5;
}

/* H(x) = (x^(1 - s) - 1) / (1 - s), log x at s = 1: an integral of h(x) = x^-s. */
static double zipf_integral(double s, double x)
{
    double log_x = log(x);
    return expm1_over((1.0 - s) * log_x) * log_x;
}

static double zipf_inverse(double s, double y)
{
    double t = y * (1.0 - s);
    if (t < -1.0) /* rounding only: the infimum of H is -1 / (s - 1) for s > 1 */
        t = -1.0;
    return exp(log1p_over(t) * y);
}

static double zipf_weight(double s, double x)
{
    return exp(-s * log(x));
}

void rt_zipf_init(struct rt_zipf *z, uint64_t count, double exponent)
{
    assert(count >= 1 && count <= UINT64_C(1) << 52);
    assert(exponent >= 0.0 && exponent <= 20.0);
    *z = (struct rt_zipf){.count = count, .exponent = exponent};
    z->low = zipf_integral(exponent, 1.5) - 1.0; /* H(1.5) - h(1) */
    z->high = zipf_integral(exponent, (double)count + 0.5);
    z->shortcut =
        2.0 - zipf_inverse(exponent, zipf_integral(exponent, 2.5) - zipf_weight(exponent, 2.0));
}

/* u is uniform between H(1.5) - h(1) and H(count + 0.5); rank k owns the part of length h(k) that
 * ends at H(k + 0.5). What falls in no rank's part is drawn again (seldom: h is convex). */
uint64_t rt_draw_zipf(struct rt_rng *r, const struct rt_zipf *z)
{
    double s = z->exponent;
    for (;;) {
        double u = z->high + rt_rng_unit(r) * (z->low - z->high);
        double x = zipf_inverse(s, u), k = floor(x + 0.5);
        k = k < 1.0 ? 1.0 : k;
        k = k > (double)z->count ? (double)z->count : k;
        if (k - x <= z->shortcut || u >= zipf_integral(s, k + 0.5) - zipf_weight(s, k))
            return (uint64_t)k;
    }
}

double rt_normal_cdf(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752440);
}

/* Horner: c[0] + c[1] x + ... + c[7] x^7. */
static double polynomial(const double c[8], double x)
{
    double sum = 0;
    for (int i = 7; i >= 0; i--)
        sum = sum * x + c[i];
    return sum;
}

/* Rational functions of AS 241: for |p - 1/2| <= 0.425, and by r = sqrt(-log min(p, 1 - p)) up to 5
 * and beyond. */
double rt_normal_quantile(double p)
{
    static const double a[8] = {3.3871328727963666080e0,  1.3314166789178437745e+2,
                                1.9715909503065514427e+3, 1.3731693765509461125e+4,
                                4.5921953931549871457e+4, 6.7265770927008700853e+4,
                                3.3430575583588128105e+4, 2.5090809287301226727e+3};
    static const double b[8] = {1.0,
                                4.2313330701600911252e+1,
                                6.8718700749205790830e+2,
                                5.3941960214247511077e+3,
                                2.1213794301586595867e+4,
                                3.9307895800092710610e+4,
                                2.8729085735721942674e+4,
                                5.2264952788528545610e+3};
    static const double c[8] = {1.42343711074968357734e0,  4.63033784615654529590e0,
                                5.76949722146069140550e0,  3.64784832476320460504e0,
                                1.27045825245236838258e0,  2.41780725177450611770e-1,
                                2.27238449892691845833e-2, 7.74545014278341407640e-4};
    static const double d[8] = {1.0,
                                2.05319162663775882187e0,
                                1.67638483018380384940e0,
                                6.89767334985100004550e-1,
                                1.48103976427480074590e-1,
                                1.51986665636164571966e-2,
                                5.47593808499534494600e-4,
                                1.05075007164441684324e-9};
    static const double e[8] = {6.65790464350110377720e0,  5.46378491116411436990e0,
                                1.78482653991729133580e0,  2.96560571828504891230e-1,
                                2.65321895265761230930e-2, 1.24266094738807843860e-3,
                                2.71155556874348757815e-5, 2.01033439929228813265e-7};
    static const double f[8] = {1.0,
                                5.99832206555887937690e-1,
                                1.36929880922735805310e-1,
                                1.48753612908506148525e-2,
                                7.86869131145613259100e-4,
                                1.84631831751005468180e-5,
                                1.42151175831644588870e-7,
                                2.04426310338993978564e-15};
    assert(p > 0.0 && p < 1.0);
    double q = p - 0.5;
    if (fabs(q) <= 0.425) {
        double x = 0.180625 - q * q;
        return q * polynomial(a, x) / polynomial(b, x);
    }
    double r = sqrt(-log(q < 0 ? p : 1.0 - p));
    double x = r <= 5.0 ? polynomial(c, r - 1.6) / polynomial(d, r - 1.6)
                        : polynomial(e, r - 5.0) / polynomial(f, r - 5.0);
    return q < 0 ? -x : x;
}
