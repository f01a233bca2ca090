/* support/seeds.h: random cases that can be repeated one by one: RT_SEED=n RT_CASES=1 in the
 * environment. */
#ifndef RT_TEST_SEEDS_H
#define RT_TEST_SEEDS_H

#include "rooftrace/rng.h"

#include <stdlib.h>

static inline uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

/* One of low, low + 1, ..., high. */
static inline int64_t pick(struct rt_rng *r, int64_t low, int64_t high)
{
    return low + (int64_t)rt_rng_below(r, (uint64_t)(high - low + 1));
}

#endif
