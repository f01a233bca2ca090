/* base/rng.h: seeded random streams, one a purpose, so that drawing more of one kind never shifts
 * another. xoshiro256** (Blackman and Vigna, "Scrambled linear pseudorandom number generators",
 * ACM TOMS 47(4), 2021), seeded through splitmix64 from (seed, purpose, trial). Integer arithmetic
 * only, except where a function says it calls libm. O(1). */
#ifndef RT_RNG_H
#define RT_RNG_H

#include <stdint.h>

enum rt_rng_purpose {
    RT_RNG_ARRIVALS,
    RT_RNG_LENGTHS,
    RT_RNG_ROUTING,
    RT_RNG_FAILURES,
    RT_RNG_SAMPLING,
    RT_RNG_TOOLS,    /* generators and tests */
    RT_RNG_OUTPUTS,  /* synthetic traffic: output lengths (prompts' come from RT_RNG_LENGTHS), */
    RT_RNG_CLASSES,  /* the class of a request, */
    RT_RNG_PREFIXES, /* its shared prefix, */
    RT_RNG_TURNS,    /* how many turns a session has */
    RT_RNG_THINK,    /* and how long its user thinks */
    RT_RNG_PATIENCE, /* clients that cancel */
    RT_RNG_KEEP,     /* transformations: which requests are kept, */
    RT_RNG_RESAMPLE, /* which are drawn with replacement, */
    RT_RNG_SPREAD    /* where in its step a request arrives */
};

struct rt_rng {
    uint64_t s[4];
};

void rt_rng_init(struct rt_rng *r, uint64_t seed, enum rt_rng_purpose purpose, uint64_t trial);
uint64_t rt_rng_u64(struct rt_rng *r);
/* Uniform in [0, n), without bias (Lemire's rejection); n > 0. */
uint64_t rt_rng_below(struct rt_rng *r, uint64_t n);
/* Uniform in [0, 1), 53 bits. */
double rt_rng_unit(struct rt_rng *r);
/* Mean 1; libm log. */
double rt_rng_exponential(struct rt_rng *r);
/* Mean 0, variance 1; libm log, sqrt (Marsaglia polar, no state kept). */
double rt_rng_normal(struct rt_rng *r);
/* Mean `shape`, variance `shape` (scale 1); shape > 0, 1 is the exponential. libm. */
double rt_rng_gamma(struct rt_rng *r, double shape);

#endif
