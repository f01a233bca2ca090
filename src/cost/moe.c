/* The block of routed experts of one layer, on one GPU: two grouped products, [rows x hidden] *
 * [hidden x gate+up] and [rows x columns] * [columns x hidden], over the experts that the tokens of
 * a step touch.
 *     t = o + sum of both: (C^p + W^p)^(1/p) + io      with constants of their own
 *     W: the weights of the touched experts and the rows that go in and out
 *     C: rows + touched*pad of them: the last tile of an expert is multiplied whole. Waves of tiles
 *        do not show: the grid of all experts together is large
 *     io: activation and sum of results, m*topk * (3*columns + hidden) * 2 bytes / rate, of all
 * rows of the m tokens: kernels walk over those of other GPUs' experts, too. 1.3 TB/s on H100, H200
 * and RTX PRO 6000 alike; without it large batches, and with whole experts on each GPU all, come
 * out at half their time. o pays for routing, sorting rows by expert and all launches, so the
 * products have no overhead of their own. Which experts are touched is the caller's question. The
 * fused kernels stream weights about as well as a GEMM but multiply at a smaller share of the peak,
 * and quantised ones follow the same factors; hence constants of their own. Weights of 4 bits under
 * activations of 16 are unpacked on the way to the multipliers, which costs part of their rate:
 * eff_c * weight_only.
 *
 * DeepGEMM's contiguous grouped product, as vLLM 0.11.1 to 0.13 call it, does not know on the host
 * how many tokens an expert gets: its buffers hold rows + experts*127, in tiles of 128, and the
 * kernel walks over all of them. A tile without tokens skips its multiplications, but is loaded and
 * stored like the others, at about the same pace: a batch of 4 tokens takes nearly as long as one
 * of 40. Loads of the next tiles run beside the multiplications, so the slower of the two counts;
 * the stores, and the activation that reads them, come on top:
 *     rows' = ceil((rows + experts*127)/128)*128
 *     t     = max(2*rows'*k*n/peak, (touched weights + rows' of inputs)/bw) + rows' of results/bw
 * [vllm deep_gemm_utils.py, compute_aligned_M; deep_gemm scheduler, is_computation_valid]. O(1). */
#include "cost_internal.h"
#include "rooftrace/dtype.h"

#include <math.h>

#define TILE_ROWS    128.0
#define OUTPUT_BYTES 2.0 /* of one number of a product's result: 16 bit */

void rt_moe_rates(const struct rt_cost_inputs *in, struct rt_gemm_rates *out)
{
    struct rt_cost_inputs experts = *in;
    experts.dtypes.weight = rt_expert_dtype(&in->dtypes);
    bool unpacked =
        rt_dtype_bytes(experts.dtypes.weight) < 1 && rt_dtype_bytes(in->dtypes.activation) >= 2;
    experts.gpu.k.gemm_eff_compute =
        in->gpu.k.moe_eff_compute * (unpacked ? in->gpu.k.moe_weight_only_compute : 1);
    experts.gpu.k.gemm_eff_memory = in->gpu.k.moe_eff_memory;
    experts.gpu.k.gemm_smooth_p = in->gpu.k.moe_smooth_p;
    experts.gpu.k.gemm_overhead_s = 0;
    rt_gemm_rates(&experts, out);
}

struct rt_gemm_time rt_moe_gemm(const struct rt_gemm_rates *r, double rows, double touched,
                                double k, double n)
{
    double bytes = rt_gemm_bytes(r, rows, touched, k, n);
    return rt_smooth_max(bytes / r->bytes_per_s, 2 * rows * k * n / r->flops, r->smooth_p);
}

double rt_moe_rows(const struct rt_gpu_constants *k, double rows, double touched)
{
    return rows + touched * k->moe_pad_rows;
}

double rt_moe_tile_rows(double rows, double experts)
{
    return ceil((rows + experts * (TILE_ROWS - 1)) / TILE_ROWS) * TILE_ROWS;
}

struct rt_gemm_time rt_moe_tiles(const struct rt_gemm_rates *r, double rows, double touched,
                                 double k, double n)
{
    double loads = touched * k * n * r->weight_bytes + rows * k * r->activation_bytes;
    double loads_s = loads / r->bytes_per_s, stores_s = rows * n * OUTPUT_BYTES / r->bytes_per_s;
    double compute_s = 2 * rows * k * n / r->flops;
    bool computes = compute_s > loads_s;
    return (struct rt_gemm_time){.weights_s = stores_s + (computes ? 0 : loads_s),
                                 .compute_s = computes ? compute_s : 0};
}

double rt_moe_io_s(const struct rt_gpu_constants *k, const struct rt_operators *ops, double m)
{
    return m * ops->routed_bytes / k->moe_io_bytes_per_s;
}
