/* cost/memory.h: what fits into one GPU of a replica, and how many KV blocks that leaves.
 * blocks = floor((mem*utilization - weights - activations - context - windows) / block bytes).
 * With pipeline stages the figures are those of the stage that leaves fewest blocks; with data
 * parallel ranks every rank has as many. Everything assumed is in the plan, so that a run can store
 * it. O(stages). */
#ifndef RT_MEMORY_H
#define RT_MEMORY_H

#include "rooftrace/cost.h"

struct rt_memory_plan {   /* bytes per GPU */
    double total, usable; /* mem_bytes; mem_bytes * utilization */
    double weights;       /* input embedding and LM head included */
    double activations;   /* peak of one step of max_tokens, or of the sampler if that is more */
    double context;       /* driver, CUDA context, workspaces */
    double window_bytes;  /* kept for layers behind a sliding window, where the others have blocks
                             of their own: max_seqs windows and one step; else 0 */
    double block_bytes;   /* one KV block on this GPU: all layers, or all without a window */
    int64_t blocks;       /* KV blocks of a data parallel rank; all GPUs hold the same number */
    int64_t stage;        /* pipeline stage these figures are of, from 0 */
};

/* Fails with RT_ECONFIG when not even one block fits; the message says how much is missing and the
 * smallest tensor parallel degree that would fit. */
bool rt_memory_plan(const struct rt_cost_inputs *in, double gpu_memory_utilization,
                    int64_t block_size, struct rt_memory_plan *out, struct rt_err *err) RT_MUST_USE;
/* The same figures, also when nothing fits (blocks <= 0 then). For inputs that rt_cost_new with a
 * roofline accepts. */
void rt_memory_figures(const struct rt_cost_inputs *in, double gpu_memory_utilization,
                       int64_t block_size, struct rt_memory_plan *out);

#endif
