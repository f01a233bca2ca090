/* All-reduce of n GPUs of one box, as vLLM does it: which of four ways a message takes follows from
 * its size, the number of GPUs and their links [vLLM 0.24, custom_all_reduce.py, symm_mem.py,
 * all_reduce_utils.py, cuda_communicator.py].
 *     one shot    every GPU reads the others' whole buffers: latency + (n-1)*bytes/bus
 *     two shots   each sums its slice, then fetches the other slices, with a barrier more:
 *                 latency + step + 2(n-1)/n * bytes/bus
 *     symmetric   the buffer is copied to memory that all GPUs see, summed there (by the switch,
 *                 which every GPU sends its part once and reads the sum from: (n+1)/n of the bytes;
 *                 or in two shots, if that is less), and copied back:
 *                 latency + step + min(2(n-1)/n, (n+1)/n) * bytes/bus + 4*bytes/memory
 *     library     NCCL's ring, or its multicast at `multicast` of the ring's rate:
 *                 library_latency + min(2(n-1)/n, (n+1)/n/multicast) * bytes/library_bus
 * One and two shots are the engine's own kernel: 2, 4, 6 or 8 GPUs of one box that reach each
 * other's memory (over PCIe only two), messages below custom_bytes. Symmetric memory takes over
 * where it is faster or the message is too long for that, up to symmetric_bytes; the library has
 * the rest. At these limits the time jumps, up (A100 at 8 MB: by three quarters) or down (two H100
 * at 64 MB: a sixth): the engine's limits are not where the lines cross. In between it never
 * falls. Measured inside graphs (A100, H100, H200) the four are 2 to 5 % off at the median, and 4
 * to 8 % for a number of GPUs they were not fitted on. O(1). */
#include "cost_internal.h"

#include <math.h>

/* What of the bytes crosses a GPU's link, each way, where the switch adds them up. */
static double multicast_share(double gpus)
{
    return (gpus + 1) / gpus;
}

static double slices_share(double gpus)
{
    return 2 * (gpus - 1) / gpus;
}

static double custom_s(const struct rt_ring *r, double bytes)
{
    double once = (r->ranks - 1) * bytes / r->bytes_per_s;
    double twice = r->k->allreduce_step_s + slices_share(r->ranks) * bytes / r->bytes_per_s;

    return r->k->allreduce_latency_s + fmin(once, twice);
}

/* Each of the two copies reads and writes. */
static double symmetric_s(const struct rt_ring *r, double bytes)
{
    double share = fmin(slices_share(r->ranks), multicast_share(r->ranks));

    return r->k->allreduce_latency_s + r->k->allreduce_step_s + share * bytes / r->bytes_per_s +
           4 * bytes / r->copy_bytes_per_s;
}

static double library_s(const struct rt_ring *r, double bytes)
{
    double share = slices_share(r->ranks), multicast = r->k->allreduce_multicast;

    if (multicast > 0 && r->multicast)
        share = fmin(share, multicast_share(r->ranks) / multicast);
    return r->k->allreduce_library_s + share * bytes / r->library_bytes_per_s;
}

double rt_all_reduce_s(const struct rt_ring *r, double bytes)
{
    bool symmetric = bytes <= r->symmetric_bytes;

    if (bytes < r->custom_bytes)
        return symmetric ? fmin(custom_s(r, bytes), symmetric_s(r, bytes)) : custom_s(r, bytes);
    return symmetric ? symmetric_s(r, bytes) : library_s(r, bytes);
}
