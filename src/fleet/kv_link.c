/* Links of replicas: how long the KV of a prompt is on its way.
 *
 * A prefill replica has one end that sends, a decode replica one that receives; a transfer takes
 * both, at the rate of the slower one, and waits until those put there before are through: first
 * come, first served, by the instant at which the decode side had room. An end has two marks:
 *
 *     sent_ns   up to here it is as good as busy: the bytes it carried, without gaps
 *     last_ns   end of the last transfer
 *
 * Layer-wise, layer l of L leaves when it is computed. KV is taken to appear evenly while the
 * prefill runs, from b (first step) to e (end of the last): layer l at b + (e - b) l / L. With c
 * the time all bytes take, FIFO over the layers gives the end
 *     max over l of (appears(l) + (L - l + 1) c / L),
 * whose maximum is at l = 1 or l = L, as it is linear in l: max(first + c, e + c / L). The link
 * carries others while it waits for a layer, so it is busy for c, not until the end. That a link
 * was idle before now is known, as nothing can be put in front any more. O(1). */
#include "fleet_internal.h"

#include <math.h>

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

bool kv_link_send(struct link_end *out, struct link_end *in, const struct link_job *job,
                  int64_t *end_ns, struct rt_err *err)
{
    int64_t sent_ns = later(out->sent_ns, in->sent_ns), last_ns = later(out->last_ns, in->last_ns);
    double copy = job->bytes / job->bytes_per_s * 1e9;
    if (copy > (double)(INT64_MAX / 8))
        return rt_fail(err, RT_ECONFIG,
                       "a transfer of %.3g bytes at %.3g bytes/s ends beyond the clock (292 years)",
                       job->bytes, job->bytes_per_s);
    int64_t copy_ns = llround(copy), tail_ns = llround(copy / (double)job->parts);
    int64_t first_ns = job->from_ns + (job->to_ns - job->from_ns) / job->parts;
    int64_t starts_ns = later(first_ns, sent_ns), tail_from_ns = later(job->to_ns, last_ns);
    if (later(starts_ns, tail_from_ns) > INT64_MAX / 4)
        return rt_fail(err, RT_ECONFIG, "transfers end beyond the clock (292 years)");
    out->sent_ns = in->sent_ns = starts_ns + copy_ns;
    out->last_ns = in->last_ns = *end_ns = later(starts_ns + copy_ns, tail_from_ns + tail_ns);
    return true;
}
