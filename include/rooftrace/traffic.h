/* workload/traffic.h: what two streams of requests are compared by: rate, burstiness, lengths and
 * their correlation, prefix reuse.
 *
 * Percentiles are by nearest rank, as in `trace stat`; cv is population sd / mean of the gaps in
 * time order; rank correlation is Spearman's, ties sharing their mean rank; the ideal hit ratio is
 * that of a prefix cache without limit that knows a prompt's blocks from its arrival on: leading
 * known blocks, in tokens, over all prompt tokens. O(n log n); 24 bytes a request and 16 a block
 * name. */
#ifndef RT_TRAFFIC_H
#define RT_TRAFFIC_H

#include "rooftrace/source.h"
#include "rooftrace/trace.h"

struct rt_traffic; /* requests being counted */

struct rt_traffic_lengths {
    double mean;
    int64_t p50, p90, p99;
};
struct rt_traffic_summary {
    uint64_t requests;
    double duration_s, rate_per_s, cv; /* rate: (requests - 1) / duration; 0 when all at once */
    struct rt_traffic_lengths prompt, output;
    double rank_correlation; /* of prompt and output; NaN: one of them never changes */
    double hit_ratio;        /* NaN: no hash ids */
    uint64_t sessions;
    unsigned fields; /* bits 1 << enum rt_traffic_field: some request has it */
};
enum rt_traffic_field {
    RT_TRAFFIC_CLASS,
    RT_TRAFFIC_MODEL,
    RT_TRAFFIC_SESSION,
    RT_TRAFFIC_THINK,
    RT_TRAFFIC_PRIORITY,
    RT_TRAFFIC_DEADLINE,
    RT_TRAFFIC_TENANT,
    RT_TRAFFIC_HASH_IDS
};

bool rt_traffic_new(struct rt_traffic **out, struct rt_err *err) RT_MUST_USE;
void rt_traffic_free(struct rt_traffic *t);
/* In order of arrival; block_tokens: what a hash id names. */
bool rt_traffic_add(struct rt_traffic *t, const struct rt_request *r, uint32_t block_tokens,
                    struct rt_err *err) RT_MUST_USE;
/* At least one request was added. Sorts what was counted: nothing can be added afterwards. */
bool rt_traffic_result(struct rt_traffic *t, struct rt_traffic_summary *out,
                       struct rt_err *err) RT_MUST_USE;

#endif
