/* replica/token_stats.h: tokens of a whole trial: pooled gaps between them, and the busiest second.
 * Adding a token is O(1). */
#ifndef RT_TOKEN_STATS_H
#define RT_TOKEN_STATS_H

#include "rooftrace/err.h"
#include "rooftrace/hist.h"

#include <stdbool.h>
#include <stdint.h>

#define RT_SECONDS_RING 65536

/* What many replicas of one trial add to: integers only, so the order of adding does not matter. */
struct rt_token_stats {
    struct rt_hist itl;          /* gaps between tokens of a request, all requests */
    struct rt_hist itl_measured; /* those that end within the measured window */
    int64_t measure_from_ns, measure_to_ns;
    uint64_t *second_tokens;    /* ring: output tokens that appeared in a simulated second */
    int64_t *second_of;         /* which second a slot of the ring holds */
    uint64_t peak_tokens_per_s; /* over the seconds that left the ring */
};
bool rt_token_stats_init(struct rt_token_stats *s, int64_t measure_from_ns,
                         int64_t measure_to_ns) RT_MUST_USE;
void rt_token_stats_release(struct rt_token_stats *s);
/* Most output tokens that appeared in one second [k, k+1) of the trial. O(ring). */
uint64_t rt_token_stats_peak(const struct rt_token_stats *s);

#endif
