/* Bounds of quantiles from binomial ranks, and effective sample sizes from blocks.
 *
 * The binomial distribution is the incomplete beta function, whose continued fraction converges in
 * O(sqrt(n)) terms at worst; ranks are found by bisection over it. Doubles throughout: ranks stay
 * exact below 2^53. */
#include "rooftrace/interval.h"

#include <assert.h>
#include <math.h>

#define TERMS 100000
#define TINY  1e-300

/* ln B(a, b) by Stirling's series behind a shift to arguments above 10: lgamma of libm keeps its
 * sign in a global variable. Error below 1e-13. */
static double log_gamma(double x)
{
    double shift = 0;

    while (x < 12) {
        shift += log(x);
        x += 1;
    }
    double y = 1 / (x * x);
    double series = 1.0 / 12 - y * (1.0 / 360 - y * (1.0 / 1260 - y * (1.0 / 1680 - y / 1188)));
    return (x - 0.5) * log(x) - x + 0.918938533204672742 + series / x - shift;
}

static double away_from_zero(double x)
{
    return fabs(x) < TINY ? TINY : x;
}

/* Continued fraction of I_x(a, b), by Lentz's rule [Abramowitz and Stegun 26.5.8]; x below its
 * mean. */
static double beta_fraction(double a, double b, double x)
{
    double c = 1, d = 1 / away_from_zero(1 - (a + b) * x / (a + 1)), value = d;

    for (int m = 1; m <= TERMS; m++) {
        double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        d = 1 / away_from_zero(1 + even * d);
        c = away_from_zero(1 + even / c);
        value *= d * c;
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        d = 1 / away_from_zero(1 + odd * d);
        c = away_from_zero(1 + odd / c);
        value *= d * c;
        if (fabs(d * c - 1) < 1e-14)
            break;
    }
    return value;
}

static double incomplete_beta(double a, double b, double x)
{
    double front = exp(log_gamma(a + b) - log_gamma(a) - log_gamma(b) + a * log(x) + b * log1p(-x));

    if (x < (a + 1) / (a + b + 2))
        return front * beta_fraction(a, b, x) / a;
    return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double rt_binomial_cdf(double k, double n, double p)
{
    assert(p > 0 && p < 1);
    if (k < 0)
        return 0;
    if (k >= n)
        return 1;
    return 1 - incomplete_beta(k + 1, n - k, p); /* P(X >= k + 1) = I_p(k + 1, n - k) */
}

/* P(X <= x) of late values, X binomial (n, p), carried on between the whole numbers as the
 * incomplete beta function does. */
static double late_at_most(double x, double n, double p)
{
    return x >= n ? 1 : 1 - incomplete_beta(x + 1, n - x, p);
}

static double late_at_least(double x, double n, double p)
{
    return x <= 0 ? 1 : incomplete_beta(x, n - x + 1, p);
}

/* Most late values of n at which fewer than p of all are late with the confidence; -1: not even
 * none are few enough. */
static double most_late(double n, double p, double confidence)
{
    double low = 0, high = n;

    if (late_at_most(0, n, p) > 1 - confidence)
        return -1;
    for (int i = 0; i < 100 && high - low > 1e-9 * n; i++) {
        double middle = (low + high) / 2;
        if (late_at_most(middle, n, p) <= 1 - confidence)
            low = middle;
        else
            high = middle;
    }
    return late_at_most(nearbyint(high), n, p) <= 1 - confidence ? high : low;
}

/* Fewest late values at which more than p of all are late; beyond n: none are enough. */
static double least_late(double n, double p, double confidence)
{
    double low = 0, high = n;

    if (late_at_least(n, n, p) > 1 - confidence)
        return n + 1;
    for (int i = 0; i < 100 && high - low > 1e-9 * n; i++) {
        double middle = (low + high) / 2;
        if (late_at_least(middle, n, p) <= 1 - confidence)
            high = middle;
        else
            low = middle;
    }
    return late_at_least(nearbyint(low), n, p) <= 1 - confidence ? low : high;
}

/* The small part keeps a whole number that bisection met from one side. */
struct rt_rank_bounds rt_quantile_ranks(uint64_t n, double effective, double share,
                                        double confidence)
{
    double size = fmin(fmax(effective, 1), (double)n), scale, most, least;
    struct rt_rank_bounds bounds = {0, n + 1};

    if (n == 0)
        return bounds;
    scale = (double)n / size;
    most = most_late(size, 1 - share, confidence);
    if (most >= 0)
        bounds.high = n - (uint64_t)floor(most * scale + 1e-6);
    least = ceil(least_late(size, 1 - share, confidence) * scale - 1e-6);
    if (least <= (double)n)
        bounds.low = n + 1 - (uint64_t)fmax(least, 1);
    return bounds;
}

uint64_t rt_quantile_least(double share, double confidence)
{
    return (uint64_t)ceil(log(1 - confidence) / log(share) - 1e-9);
}

/* Standard normal quantile by bisection over erfc; confidence from 0.5 on. */
static double normal_quantile(double confidence)
{
    double low = 0, high = 40;

    for (int i = 0; i < 80; i++) {
        double middle = (low + high) / 2;
        if (0.5 * erfc(middle / sqrt(2)) > 1 - confidence)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* Student's t by the expansion around the normal [Abramowitz and Stegun 26.7.5]; within 1 % from
 * 10 degrees of freedom on up to 99.9 %. */
static double student_quantile(double confidence, double freedom)
{
    double z = normal_quantile(confidence), z2 = z * z;
    double first = z * (z2 + 1) / 4;
    double second = z * ((5 * z2 + 16) * z2 + 3) / 96;
    double third = z * (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384;

    return z + first / freedom + second / (freedom * freedom) +
           third / (freedom * freedom * freedom);
}

/* Variance of the share above, blocks drawn independently, against that of single values. */
static double design_effect(const struct rt_block *blocks, unsigned count, double n, double above)
{
    double share = above / n, spread = 0;

    if (above == 0 || above == n)
        return 1;
    for (unsigned b = 0; b < count; b++) {
        double off = (double)blocks[b].above - share * (double)blocks[b].requests;
        spread += off * off;
    }
    double variance = spread * count / (count - 1.0) / (n * n);
    return variance / (share * (1 - share) / n);
}

double rt_effective_size(const struct rt_block *blocks, unsigned count, double confidence)
{
    double n = 0, above = 0;
    unsigned used = 0;

    for (unsigned b = 0; b < count; b++) {
        n += (double)blocks[b].requests;
        above += (double)blocks[b].above;
        used += blocks[b].requests > 0;
    }
    if (used < 2)
        return n;
    double effect = design_effect(blocks, count, n, above);
    if (effect <= 1)
        return n; /* blocks spread no more than independent values do */
    double few = normal_quantile(confidence) / student_quantile(confidence, used - 1.0);
    if (confidence > 0.5)
        effect /= few * few;
    return fmin(fmax(n / effect, fmin(used, n)), n);
}
