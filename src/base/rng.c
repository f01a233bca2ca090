/* Random streams: splitmix64 makes the state, xoshiro256** the numbers.
 *
 * The state of a stream is a chain of splitmix64's mixing function, a bijection, over seed, purpose
 * and trial: when one of the three differs, the chains differ. splitmix64 never answers the same
 * number twice in its period, so the four words are never all zero (the one state that
 * xoshiro cannot leave). Nothing here fails; each draw is O(1), the rejections included (expected).
 */
#include "rooftrace/rng.h"

#include <assert.h>
#include <math.h>

__extension__ typedef unsigned __int128 wide;

/* The odd number nearest to 2^64 / golden ratio; the constants of mix() are Stafford's mix 13, both
 * as in Vigna's public-domain splitmix64. */
#define GOLDEN UINT64_C(0x9E3779B97F4A7C15)

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static uint64_t rotate_left(uint64_t x, unsigned by)
{
    return (x << by) | (x >> (64 - by));
}

void rt_rng_init(struct rt_rng *r, uint64_t seed, enum rt_rng_purpose purpose, uint64_t trial)
{
    uint64_t state = mix(seed + GOLDEN);

    state = mix((state ^ (uint64_t)purpose) + GOLDEN);
    state = mix((state ^ trial) + GOLDEN);
    for (int i = 0; i < 4; i++) {
        state += GOLDEN;
        r->s[i] = mix(state);
    }
}

uint64_t rt_rng_u64(struct rt_rng *r)
{
    uint64_t *s = r->s;
    uint64_t out = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return out;
}

/* The upper half of x * n is uniform once the 2^64 mod n smallest lower halves are thrown away
 * (Lemire, "Fast random integer generation in an interval", ACM TOMACS 29(1), 2019). */
uint64_t rt_rng_below(struct rt_rng *r, uint64_t n)
{
    wide product;

    assert(n > 0);
    product = (wide)rt_rng_u64(r) * n;
    if ((uint64_t)product < n) {
        uint64_t reject_below = (0 - n) % n; /* 2^64 mod n */
        while ((uint64_t)product < reject_below)
            product = (wide)rt_rng_u64(r) * n;
    }
    return (uint64_t)(product >> 64);
}

double rt_rng_unit(struct rt_rng *r)
{
    return (double)(rt_rng_u64(r) >> 11) * 0x1p-53;
}

/* Inverse of the distribution 1 - exp(-x). 1 - u is exact and never 0; 0 - log(1) is +0. */
double rt_rng_exponential(struct rt_rng *r)
{
    return 0.0 - log(1.0 - rt_rng_unit(r));
}

/* A point in the unit disc, without its centre, gives two normal numbers; the second is thrown away
 * so that a stream has no state besides its four words. pi / 4 of the points are in the disc. */
double rt_rng_normal(struct rt_rng *r)
{
    double x, y, square;

    do {
        x = 2.0 * rt_rng_unit(r) - 1.0;
        y = 2.0 * rt_rng_unit(r) - 1.0;
        square = x * x + y * y;
    } while (square >= 1.0 || square == 0.0);
    return x * sqrt(-2.0 * log(square) / square);
}

/* The cube of a normal number, stretched, lies so close under the gamma density of shape >= 1 that
 * at most one draw in 20 is rejected (Marsaglia and Tsang, "A simple method for generating gamma
 * variables", ACM TOMS 26(3), 2000; the squeeze that saves a logarithm is left out). */
static double gamma_from_one(struct rt_rng *r, double shape)
{
    double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d);

    for (;;) {
        double x = rt_rng_normal(r), v = 1.0 + c * x, u = 1.0 - rt_rng_unit(r);
        if (v <= 0.0)
            continue;
        v = v * v * v;
        if (log(u) < 0.5 * x * x + d - d * v + d * log(v))
            return d * v;
    }
}

/* Below shape 1: G(shape) = G(shape + 1) * U^(1 / shape), the same paper, section 6. */
double rt_rng_gamma(struct rt_rng *r, double shape)
{
    assert(shape > 0.0);
    if (shape == 1.0)
        return rt_rng_exponential(r);
    if (shape > 1.0)
        return gamma_from_one(r, shape);
    double boosted = gamma_from_one(r, shape + 1.0);
    return boosted * pow(1.0 - rt_rng_unit(r), 1.0 / shape);
}
