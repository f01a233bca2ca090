/* sweep/interval.h: what a sample says about a quantile of what it was drawn from.
 *
 * Order statistics: of n independent values the number below the q-quantile is binomial (n, q), so
 * two ranks of the sorted sample bound the quantile, each with a given one-sided confidence and
 * whatever the distribution (David and Nagaraja, Order Statistics, 2003, section 7.1). Requests of
 * a trace are not independent: the sample is cut into blocks, and the spread of the blocks' shares
 * against that of independent draws gives the number of independent requests that would say as much
 * (batch means; design effect as in Korn and Graubard, Survey Methodology 24(2), 1998, which also
 * has the correction for a variance that few blocks told). O(log n) incomplete beta functions. */
#ifndef RT_INTERVAL_H
#define RT_INTERVAL_H

#include <stdint.h>

/* Ranks from 1, the smallest value, to n: value[low] <= quantile <= value[high], each with the
 * confidence. low 0: no lower bound, high n + 1: no upper bound, the sample is too small. */
struct rt_rank_bounds {
    uint64_t low, high;
};

struct rt_block {
    uint64_t requests, above; /* above: beyond the quantile that the whole sample has */
};

/* P(X <= k) of a binomial X(n, p), 0 < p < 1; k may be -1. */
double rt_binomial_cdf(double k, double n, double p);
/* share: of the quantile, 0 < share < 1; confidence: of each bound, 0.5 <= confidence < 1;
 * effective: as many independent values, 1 <= effective <= n. n 0 has no bound. */
struct rt_rank_bounds rt_quantile_ranks(uint64_t n, double effective, double share,
                                        double confidence);
/* Fewest independent values that give the share's quantile an upper bound: 459 for P99 at 99 %. */
uint64_t rt_quantile_least(double share, double confidence);
/* Independent values that the blocks stand for; from the number of blocks (all values of a block
 * are one) to the number of values. */
double rt_effective_size(const struct rt_block *blocks, unsigned count, double confidence);

#endif
