/* transform_ahead.c: one row pulled ahead of its time, which is what sources need that change
 * times or leave rows out. O(1). */
#include "transform_internal.h"

void rt_ahead_pull(struct rt_ahead *a, struct rt_source *from)
{
    int64_t never;
    enum rt_pull answer = rt_source_next(from, INT64_MAX, &a->row, &never, &a->failure);
    a->has = answer == RT_PULL_REQUEST;
    a->ended = answer == RT_PULL_END;
    a->failed = !a->has && !a->ended;
}

enum rt_pull rt_ahead_answer(struct rt_ahead *a, int64_t now_ns, struct rt_request *out,
                             int64_t *not_before_ns, struct rt_err *err)
{
    if (a->failed) {
        *err = a->failure;
        return RT_PULL_ERROR;
    }
    if (!a->has)
        return RT_PULL_END;
    if (a->row.arrival_ns > now_ns) {
        *not_before_ns = a->row.arrival_ns;
        return RT_PULL_LATER;
    }
    *out = a->row;
    a->has = false;
    return RT_PULL_REQUEST;
}

bool rt_count_row(struct rt_source_stats *stats, const struct rt_request *row, struct rt_err *err)
{
    if (__builtin_add_overflow(stats->prompt_tokens, row->prompt_tokens, &stats->prompt_tokens) ||
        __builtin_add_overflow(stats->output_tokens, row->output_tokens, &stats->output_tokens))
        return rt_fail(err, RT_ETRACE, "the tokens of all requests add up beyond 2^63");
    stats->rows++;
    return true;
}
