/* cost/gpu_constants.h: how far from its datasheet a GPU's kernels are: efficiencies, fixed times
 * and thresholds of the formulas of docs/cost-model.md, as part of a GPU's record (gpu.h). Units:
 * seconds, bytes, bytes/s, tokens; shares and factors have none. */
#ifndef RT_GPU_CONSTANTS_H
#define RT_GPU_CONSTANTS_H

#include <stdbool.h>
#include <stddef.h>

/* Constants fitted to measured kernels, or the defaults of catalog/gpus.json ("defaults"). */
struct rt_gpu_constants {
    /* GEMM: C = tiles of the result in waves over the SMs, W = bytes/(eff_m*bw),
     * t = (C^p + W^p)^(1/p) + overhead. edge_rows: what loading its edges makes a tile slower;
     * start_columns: columns of K that starting one takes; wave_share: part of a last wave that
     * idle SMs cost; split_share: part of the overhead that adding up parts of K takes;
     * stream_share: part of the SMs below which tiles side by side do not fill the bandwidth
     * (src/cost/gemm.c) */
    double gemm_eff_compute, gemm_eff_memory, gemm_smooth_p, gemm_overhead_s;
    double gemm_edge_rows, gemm_start_columns, gemm_wave_share;
    double gemm_split_share, gemm_stream_share;
    /* factors on the efficiencies: eff_m where weights have 8 or 4 bits, eff_c where activations
     * have fewer than 16, the decode's eff where KV has 8; overhead: what a product with such
     * weights takes longer (scales, unpacking) */
    double quantized_memory_8bit, quantized_memory_4bit, quantized_compute, quantized_kv_8bit;
    double quantized_overhead_s;
    /* decode attention, per layer: KV bytes/(eff*bw) + overhead + per wave of pairs of
     * a sequence and a KV head + ramp_s * min(1, KV bytes / ramp_bytes): what the first bytes take
     * longer until every SM streams (0 bytes: none) */
    double decode_eff_memory, decode_overhead_s, decode_s_per_wave;
    double decode_ramp_s, decode_ramp_bytes;
    /* prefill attention, per layer: waves*(k+q/2+32 + pad)*column/(eff*peak) + overhead +
     * bytes of Q, K, V and the result / io; pad: what starting and ending a tile costs, as key
     * columns */
    double prefill_eff_compute, prefill_overhead_s, prefill_pad_columns, prefill_io_bytes_per_s;
    /* mixed steps (prefill chunk + decodes in one attention call): true where the kernel runs
     * decodes as 64-row tiles, which then adds mixed_pad_tokens to each decode's context. tail:
     * part of a longest tile that runs alone at the end; decode_columns: time of a decode's key
     * column against a prefill's; empty_tile: the grid has as many tiles for each sequence as the
     * longest chunk needs, and one without rows takes an SM this; l2: KV of one head beyond which
     * the query heads that share it, too far apart in time, read it again (0: never) */
    bool mixed_as_tiles;
    double mixed_pad_tokens, mixed_tail, mixed_decode_columns, mixed_l2_bytes;
    double mixed_s_per_empty_tile;
    /* norms, rope, activation, per layer: a + b*M + c*max(0, M - m0), of a layer as wide as
     * llama-3.1-8b's (hidden 4096, ffn 14336); b and c are traffic and grow with the width */
    double elementwise_s, elementwise_s_per_token, elementwise_s_per_token_above, elementwise_m0;
    double elementwise_ref_bytes; /* what a token moves in that layer; others scale b, c, 1/m0 by
                                     theirs */
    /* mixture of experts: the grouped products, as for GEMM; per layer routing, sorting and
     * launches; rows of padding per touched expert; what moves the rows of all experts between the
     * products (activation, sum of a token's results), those of other GPUs' experts included */
    double moe_eff_compute, moe_eff_memory, moe_smooth_p, moe_overhead_s, moe_pad_rows;
    double moe_io_bytes_per_s;
    /* factor on moe_eff_compute where weights of 4 bits are unpacked for products in 16 */
    double moe_weight_only_compute;
    /* sampler: a + b*S */
    double sampler_s, sampler_s_per_seq;
    /* M is padded to the next captured graph size up to here; 0 = no padding */
    double graph_max_tokens;
    /* all-reduce (src/cost/allreduce.c). The engine's own kernel, for messages below custom:
     * latency + the smaller of (n-1)*bytes/bus and step + 2(n-1)/n*bytes/bus; through symmetric
     * memory for messages up to symmetric (2, 4, more GPUs; 0: none); the library (NCCL) for the
     * rest: library_s + 2(n-1)/n*bytes/library, or by a switch that sums at multicast of that rate
     * (0: none). gather: what a short gather or scatter of the library takes */
    double allreduce_latency_s, allreduce_step_s, allreduce_bus_bytes_per_s;
    double allreduce_custom_bytes, allreduce_symmetric_2_bytes, allreduce_symmetric_4_bytes;
    double allreduce_symmetric_8_bytes, allreduce_library_s, allreduce_library_bytes_per_s;
    double allreduce_multicast, allreduce_gather_s;
    /* host time a step that asynchronous scheduling does not hide, and per sequence; and what the
     * GPU waits for when scheduling is synchronous */
    double host_s_per_step, host_s_per_seq, host_sync_s_per_step, host_sync_s_per_seq;
    /* what launching the kernels of a layer takes the host, without captured graphs */
    double host_launch_s_per_layer;
    /* share of the speed of light that an engine with one fused kernel a token reaches at batch 1
     */
    double stream_eff_16bit, stream_eff_8bit, stream_eff_4bit;
    /* memory: driver, context, workspaces; peak bytes the sampler needs a logit; sequences the
     * sampler is sized for where the engine's limit is not known */
    double memory_context_bytes, memory_bytes_per_logit, memory_sampled_rows;
};

/* A constant by the key that records give it: a double at `offset` in struct rt_gpu_constants, the
 * record's number times `unit`. */
struct rt_gpu_constant {
    size_t offset;
    double unit;
};
bool rt_gpu_constant(const char *key, struct rt_gpu_constant *out);
/* The group of constants that shares a source with it: "gemm", "decode", ... */
const char *rt_gpu_constant_group(const char *key);

#endif
