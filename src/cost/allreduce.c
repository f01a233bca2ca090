/* All-reduce of n GPUs that reach each other over one fabric, as engines do it inside a captured
 * graph: whichever of two kernels is faster.
 *     one shot   every GPU reads the others' whole buffers: latency + (n-1)*bytes/bus
 *     two shots  each sums its slice, then fetches the other slices, with a barrier more:
 *                latency + step + 2(n-1)/n * bytes/bus
 * Two GPUs move the same either way. Measured inside graphs the ring formula alone is 11 to 18 %
 * off at the median for a number of GPUs it was not fitted on, the smaller of the two 6 to 10 %
 * (A100, H100, H200). O(1). */
#include "cost_internal.h"

double rt_all_reduce_s(const struct rt_gpu_constants *k, double gpus, double bytes, double bus)
{
    if (gpus <= 1)
        return 0;
    double once = (gpus - 1) * bytes / bus;
    double twice = k->allreduce_step_s + 2 * (gpus - 1) / gpus * bytes / bus;
    return k->allreduce_latency_s + (once < twice ? once : twice);
}
