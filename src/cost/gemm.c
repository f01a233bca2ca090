/* Time of one matrix product, [rows x k] * [k x n], on one GPU.
 *   W = (k*n*weight bytes * f + rows*k*activation bytes + rows*n*2) / (eff_m * bandwidth) + s
 *   C = the fastest of a few ways to cut the result into tiles, and k into 1, 2 or 4 parts
 *   t = (C^p + W^p)^(1/p)        the launch overhead o is added by the caller, once a kernel
 *
 * A library multiplies tiles of a x b numbers of the result, one an SM at a time; with few tiles
 * it also splits k. With T = ceil(rows/a) * ceil(n/b) * parts:
 *   waves = T/SMs, and `wave_share` of what its last wave lacks to a full one
 *   C     = waves * 2*a*b * (1 + e*(1/a + 1/b)) * (k/parts + start) * SMs/(eff_c * peak)
 * e, `edge_rows`: a tile loads a + b numbers for each a*b multiply-adds; small ones are slower, by
 * convention relative to the largest. `start_columns`: filling and emptying the pipeline of a tile,
 * in columns of k. So 65 rows cost as much as 128, or as 80, whichever shape is faster, and a
 * product with fewer tiles than SMs is slower than its FLOPs. Both are what is between the smooth
 * roofline and measured products from 64 to 1024 rows (docs/cost-model.md).
 *
 * Tiles beside each other and parts of k read weights of their own, tiles below each other the same
 * ones. With few of the former too few loads are under way to fill the bandwidth:
 *   f = sqrt(1 + (stream_share * SMs / (n/64 * parts))^2)      64: columns of the narrowest tile
 * Parts of k help, but a second pass has to add them up: s = split_share * o if there are any. The
 * better of both counts. So a narrow product of long k (1024 columns at TP 8) streams slowly at any
 * number of rows. W and C choose their parts apart from each other; then more bandwidth never takes
 * from a product's arithmetic, nor a higher peak from its memory. Where the number of SMs is not
 * known there are no waves and f is 1.
 *
 * A hard max(C, W) is right far from the ridge and short near it. Outputs are 16 bit whatever the
 * weights are. Quantised weights stream a little less well than 16 bit ones, quantised activations
 * reach a smaller part of their higher peak: one factor each; both take a fixed time for their
 * scales. More rows, columns or k never take less time. O(1): a dozen products and two pow(). */
#include "cost_internal.h"
#include "rooftrace/dtype.h"
#include "rooftrace/gpu.h"

#include <math.h>

#define OUTPUT_BYTES 2.0 /* of one number of a product's result: 16 bit */

/* Tiles that libraries have for 16 and 8 bit numbers on tensor cores, from few rows to many; the
 * last is what the efficiency is about. */
static const struct {
    double rows, columns;
} tiles[RT_GEMM_TILES] = {{16, 64}, {64, 64}, {128, 128}, {128, 256}};

/* Seconds of one column of k for each shape of tile on one SM. */
static void init_tiles(const struct rt_gpu *g, struct rt_gemm_rates *out)
{
    const unsigned largest = RT_GEMM_TILES - 1;
    double e = g->k.gemm_edge_rows;
    double best = 1 + e * (1 / tiles[largest].rows + 1 / tiles[largest].columns);
    bool known = g->sm_count >= 1;
    out->sms = known ? g->sm_count : 1;
    out->stream_share = known ? g->k.gemm_stream_share : 0;
    out->split_s = g->k.gemm_split_share * g->k.gemm_overhead_s;
    out->start_columns = g->k.gemm_start_columns;
    out->wave_share = g->k.gemm_wave_share;
    for (unsigned i = 0; i < RT_GEMM_TILES; i++) {
        double edges = (1 + e * (1 / tiles[i].rows + 1 / tiles[i].columns)) / best;
        out->tile_column_s[i] =
            2 * tiles[i].rows * tiles[i].columns * edges * out->sms / out->flops;
    }
}

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
    init_tiles(g, out);
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

/* x rounded up; x from 0 to 2^52. Without a call into libm this is a few instructions. */
static double round_up(double x)
{
    double whole = (double)(int64_t)x;
    return whole < x ? whole + 1 : whole;
}

static const double k_parts[] = {1, 2, 4};
#define PARTS (sizeof k_parts / sizeof k_parts[0])

/* C: the fastest of all shapes of tiles and parts of k. */
static double tiles_s(const struct rt_gemm_rates *r, double rows, double k, double n)
{
    double best = (double)INFINITY;
    for (unsigned i = 0; i < RT_GEMM_TILES; i++) {
        double grid = round_up(rows / tiles[i].rows) * round_up(n / tiles[i].columns);
        for (unsigned j = 0; j < PARTS; j++) {
            double waves = grid * k_parts[j] / r->sms;
            waves += r->wave_share * (round_up(waves) - waves);
            double s = waves * r->tile_column_s[i] * (k / k_parts[j] + r->start_columns);
            best = s < best ? s : best;
        }
    }
    return best;
}

/* What W is more than the bytes at the full rate: the least over parts of k. */
static double stream_loss_s(const struct rt_gemm_rates *r, double k, double n)
{
    double weights_s = k * n * r->weight_bytes / r->bytes_per_s, best = (double)INFINITY;
    double missing = r->stream_share * r->sms * tiles[0].columns / n;
    for (unsigned j = 0; j < PARTS; j++) {
        double share = missing / k_parts[j];
        double s = weights_s * (sqrt(1 + share * share) - 1) + (j > 0 ? r->split_s : 0);
        best = s < best ? s : best;
    }
    return best;
}

double rt_gemm_bytes(const struct rt_gemm_rates *r, double rows, double matrices, double k,
                     double n)
{
    return matrices * k * n * r->weight_bytes + rows * k * r->activation_bytes +
           rows * n * OUTPUT_BYTES;
}

struct rt_gemm_time rt_gemm(const struct rt_gemm_rates *r, double rows, double k, double n)
{
    double bytes_s = rt_gemm_bytes(r, rows, 1, k, n) / r->bytes_per_s;
    return rt_smooth_max(bytes_s + stream_loss_s(r, k, n), tiles_s(r, rows, k, n), r->smooth_p);
}
