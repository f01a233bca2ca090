/* cost/catalog.h: GPUs and models, as immutable records read from JSON.
 *
 * The built-in catalogue (src/cost/catalog/gpus.json, models.json) is compiled in; --catalog DIR
 * reads another. A name or alias (case, '_' and blanks for '-' do not matter), the path of a JSON
 * file, or a JSON object stands for a record; a model file may be a Hugging Face config.json. Every
 * number carries its source in the JSON (docs: schemas/gpu.schema.json, model.schema.json). Units:
 * bytes, bytes/s, FLOP/s, seconds, watts, USD. */
#ifndef RT_CATALOG_H
#define RT_CATALOG_H

#include "rooftrace/json.h"

#define RT_NAME_SIZE 64

/* mxfp4: with its scales, a byte for 32 numbers */
enum rt_dtype { RT_FP16, RT_BF16, RT_FP8, RT_INT8, RT_INT4, RT_FP4, RT_MXFP4, RT_DTYPE_COUNT };
extern const char *const rt_dtype_names[RT_DTYPE_COUNT];
double rt_dtype_bytes(enum rt_dtype d); /* 2, 2, 1, 1, 0.5, 0.5, 0.53125 */

/* How the GPUs of one box talk: over PCIe from memory to memory, over a bridge that joins pairs,
 * over a switched or fully connected fabric (NVSwitch, xGMI, ICI, RoCE), or over PCIe by way of the
 * host's memory (GeForce, whose driver lets no GPU reach another one's). */
enum rt_link { RT_LINK_PCIE, RT_LINK_BRIDGE, RT_LINK_FABRIC, RT_LINK_HOST, RT_LINK_COUNT };
extern const char *const rt_link_names[RT_LINK_COUNT];

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

/* Ways to rent a GPU. A record's keys: price_usd_per_h, spot_price_usd_per_h, ... and the ranges
 * price_range_usd_per_h, ... */
enum rt_pricing { RT_ON_DEMAND, RT_SPOT, RT_RESERVED, RT_PRICING_COUNT };
extern const char *const rt_pricing_names[RT_PRICING_COUNT]; /* "on_demand", "spot", "reserved" */

struct rt_price {     /* USD for one GPU and hour */
    double usd_per_h; /* 0 unknown */
    double low, high; /* what else was seen; 0 unknown */
};

struct rt_gpu {
    char name[RT_NAME_SIZE], vendor[RT_NAME_SIZE], arch[RT_NAME_SIZE];
    double mem_bytes;          /* what the driver reports where known, else the box's GB * 1e9 */
    double mem_bw_bytes_per_s; /* datasheet */
    double peak_flops[RT_DTYPE_COUNT]; /* dense, fp32 accumulation; 0 = the unit does not exist */
    char link[RT_NAME_SIZE];
    enum rt_link link_kind;
    double link_bytes_per_s; /* per GPU per direction; 0 unknown */
    double pcie_bytes_per_s; /* 0 unknown */
    double sm_count;         /* SMs or CUs; 0 unknown */
    double tdp_w;            /* board power at most; 0 unknown */
    double idle_w;           /* no process on it; 0 unknown */
    struct rt_price price[RT_PRICING_COUNT];
    struct rt_gpu_constants k;
    bool fitted;        /* the GEMM constants come from measured kernels of this GPU */
    char accuracy[256]; /* what is known about how well the constants fit; never empty */
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

enum rt_attention { RT_GQA, RT_MLA };

struct rt_model {
    char name[RT_NAME_SIZE];
    enum rt_attention attention; /* MHA and MQA are GQA with kv_heads = heads and 1 */
    int64_t layers, hidden, heads, kv_heads, head_dim, vocab;
    int64_t ffn; /* width of a dense layer's MLP; 0 when every layer is MoE */
    bool gated, tied, qkv_bias, qk_norm;
    bool o_bias, mlp_bias; /* biases of the output projection; of the MLP and the experts */
    /* Mixture of experts: experts = 0 for a dense model */
    int64_t experts, experts_per_token, expert_ffn;
    int64_t shared_experts, shared_ffn; /* shared_ffn: width of all shared experts together */
    int64_t dense_layers;               /* first layers that are dense */
    int64_t moe_every;                  /* every n-th of the other layers is MoE; 1 = all */
    /* MLA: 0 for GQA; q_lora 0 = queries are not compressed */
    int64_t q_lora, kv_lora, qk_nope, qk_rope, v_head;
    /* Sliding window: local_layers of `layers` read at most window tokens; 0 = none */
    int64_t window, local_layers;
    int64_t max_context; /* tokens; 0 unknown */
    enum rt_dtype dtype; /* of the published weights */
    /* Routed experts in a format of their own (gpt-oss), or as all other weights. */
    bool experts_apart;
    enum rt_dtype expert_dtype; /* if apart */
    char source[256];
};

/* Parameters by formula, from the shape (checked against the published totals by a test). */
double rt_model_params(const struct rt_model *m);        /* all */
double rt_model_params_active(const struct rt_model *m); /* touched by one token */
double rt_model_params_decode(
    const struct rt_model *m); /* active, without an untied input embedding */
int64_t rt_model_moe_layers(const struct rt_model *m); /* layers with experts */
/* Of the matrices of `experts` routed experts in every layer that has them; no biases. */
double rt_model_params_routed(const struct rt_model *m, int64_t experts);
enum rt_dtype rt_model_expert_dtype(const struct rt_model *m);
/* All parameters, as a checkpoint holds them: routed experts, embedding and LM head, the rest. */
double rt_model_weight_bytes(const struct rt_model *m, enum rt_dtype expert, enum rt_dtype tables,
                             enum rt_dtype rest);
double rt_model_kv_bytes_per_token(const struct rt_model *m, enum rt_dtype kv); /* whole model */

struct rt_catalog; /* both lists; immutable after opening, may be shared by threads */

/* dir = NULL: the built-in one. Caller frees with rt_catalog_free. O(n log n) in the records. */
bool rt_catalog_open(const char *dir, struct rt_catalog **out, struct rt_err *err) RT_MUST_USE;
void rt_catalog_free(struct rt_catalog *c);
unsigned rt_catalog_gpu_count(const struct rt_catalog *c);
unsigned rt_catalog_model_count(const struct rt_catalog *c);
const struct rt_gpu *rt_catalog_gpu_at(const struct rt_catalog *c, unsigned i); /* by name order */
const struct rt_model *rt_catalog_model_at(const struct rt_catalog *c, unsigned i);
/* The record's JSON text with its sources, for `catalog show`; owned by the catalogue. */
const char *rt_catalog_gpu_json(const struct rt_catalog *c, unsigned i);
const char *rt_catalog_model_json(const struct rt_catalog *c, unsigned i);

/* By name, alias or path (a text that ends in .json, or has a '/' and names a file, is a path).
 * Unknown: nearest is named. */
bool rt_catalog_gpu(const struct rt_catalog *c, const char *name_or_path, struct rt_gpu *out,
                    struct rt_err *err) RT_MUST_USE;
bool rt_catalog_model(const struct rt_catalog *c, const char *name_or_path, struct rt_model *out,
                      struct rt_err *err) RT_MUST_USE;
/* At a place in a document: a string as above (paths resolve against the document), or an object:
 * a whole record, or {"base": "rtx-4090", ...} with only what differs from a catalogue record. */
bool rt_catalog_gpu_from(const struct rt_catalog *c, const struct rt_json_at *at,
                         struct rt_gpu *out, struct rt_err *err) RT_MUST_USE;
bool rt_catalog_model_from(const struct rt_catalog *c, const struct rt_json_at *at,
                           struct rt_model *out, struct rt_err *err) RT_MUST_USE;

#endif
