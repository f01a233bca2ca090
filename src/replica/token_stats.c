/* Token statistics of a trial: pooled inter-token latencies and the busiest second.
 *
 * Seconds live in a ring: replicas commit their steps within an hour of each other (COAST_NS), so a
 * slot is final long before the ring comes round to it. */
#include "replica_internal.h"

#include <stdlib.h>

bool rt_token_stats_init(struct rt_token_stats *s, int64_t measure_from_ns, int64_t measure_to_ns)
{
    *s =
        (struct rt_token_stats){.measure_from_ns = measure_from_ns, .measure_to_ns = measure_to_ns};
    s->second_tokens = calloc(RT_SECONDS_RING, sizeof s->second_tokens[0]);
    s->second_of = calloc(RT_SECONDS_RING, sizeof s->second_of[0]);
    bool ok =
        s->second_tokens && s->second_of && rt_hist_init(&s->itl) && rt_hist_init(&s->itl_measured);
    if (!ok)
        rt_token_stats_release(s);
    return ok;
}

void rt_token_stats_release(struct rt_token_stats *s)
{
    free(s->second_tokens);
    free(s->second_of);
    rt_hist_release(&s->itl);
    rt_hist_release(&s->itl_measured);
    *s = (struct rt_token_stats){0};
}

uint64_t rt_token_stats_peak(const struct rt_token_stats *s)
{
    uint64_t peak = s->peak_tokens_per_s;
    for (uint32_t i = 0; i < RT_SECONDS_RING; i++)
        if (s->second_tokens[i] > peak)
            peak = s->second_tokens[i];
    return peak;
}
