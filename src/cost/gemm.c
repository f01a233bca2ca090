/* Time of one matrix product, [rows x k] * [k x n], on one GPU.
 *   C = 2*rows*k*n / (eff_c * peak of the activation dtype)
 *   W = (k*n*weight bytes + rows*k*activation bytes + rows*n*2) / (eff_m * bandwidth)
 *   t = (C^p + W^p)^(1/p)        the launch overhead o is added by the caller, once a kernel
 * A hard max(C, W) is right far from the ridge and up to 17 % short near it; the smooth maximum
 * with p near 1.5 halves that (docs/cost-model.md). Outputs are 16 bit whatever the weights are.
 * Quantised weights stream a little less well than 16 bit ones, quantised activations reach a
 * smaller part of their higher peak: one factor each; both take a fixed time for their scales.
 * O(1), two pow() a product. */
#include "cost_internal.h"

#include <math.h>

#define OUTPUT_BYTES 2.0 /* of one number of a product's result: 16 bit */

void rt_gemm_rates(const struct rt_cost_inputs *in, struct rt_gemm_rates *out)
{
    const struct rt_gpu *g = &in->gpu;
    double weight = rt_dtype_bytes(in->dtypes.weight);
    double activation = rt_dtype_bytes(in->dtypes.activation);
    double factor_m = weight >= 2   ? 1
                      : weight >= 1 ? g->k.quantized_memory_8bit
                                    : g->k.quantized_memory_4bit;
    double factor_c = activation >= 2 ? 1 : g->k.quantized_compute;
    out->flops = g->peak_flops[in->dtypes.activation] * g->k.gemm_eff_compute * factor_c;
    out->bytes_per_s = g->mem_bw_bytes_per_s * g->k.gemm_eff_memory * factor_m;
    out->smooth_p = g->k.gemm_smooth_p;
    out->overhead_s = g->k.gemm_overhead_s + (weight < 2 ? g->k.quantized_overhead_s : 0);
    out->weight_bytes = weight;
    out->activation_bytes = activation;
}

struct rt_gemm_time rt_smooth_max(double weights_s, double compute_s, double p)
{
    struct rt_gemm_time t = {weights_s, compute_s};
    double big = fmax(weights_s, compute_s), small = fmin(weights_s, compute_s);
    if (!(small > 0))
        return t;                       /* the smaller one vanishes: the maximum is the other */
    double ratio = pow(small / big, p); /* in (0, 1]: nothing overflows */
    double total = big * pow(1 + ratio, 1 / p);
    double big_share = total / (1 + ratio); /* big^p / (C^p + W^p) of the total */
    bool memory_bound = weights_s > compute_s;
    t.weights_s = memory_bound ? big_share : total - big_share;
    t.compute_s = memory_bound ? total - big_share : big_share;
    return t;
}

double rt_gemm_bytes(const struct rt_gemm_rates *r, double rows, double matrices, double k,
                     double n)
{
    return matrices * k * n * r->weight_bytes + rows * k * r->activation_bytes +
           rows * n * OUTPUT_BYTES;
}

struct rt_gemm_time rt_gemm(const struct rt_gemm_rates *r, double rows, double matrices, double k,
                            double n)
{
    double bytes = rt_gemm_bytes(r, rows, matrices, k, n);
    return rt_smooth_max(bytes / r->bytes_per_s, 2 * rows * k * n / r->flops, r->smooth_p);
}
