/* cost_internal.h: what the cost models of this folder share.
 *
 *     inputs --check--> rt_operators (matrix products of one step) --+--> roofline: tables by M and
 * S
 *                                                                    +--> light
 *                                                                    +--> memory: weights per GPU
 * A cost model is a const struct (models in cost.c are the only list). In a pure decode without
 * windows all of them have KV seconds in proportion to the context, with another factor beyond the
 * cost's knee, and nothing else that depends on it, or say that they do not (decode_is_line): that
 * is what struct rt_decode_line relies on. */
#ifndef RT_COST_INTERNAL_H
#define RT_COST_INTERNAL_H

#include "rooftrace/cost.h"
#include "rooftrace/err.h"
#include "rooftrace/explain.h"
#include "rooftrace/gpu_constants.h"
#include "rooftrace/model.h"
#include "rooftrace/step.h"

struct rt_part_list { /* parts of a step being collected; at most RT_MAX_COST_PARTS */
    struct rt_cost_part *parts;
    unsigned count;
};
/* Adds a part with all terms 0; to be filled in. */
struct rt_cost_part *rt_part_add(struct rt_part_list *list, const char *name);

struct rt_cost_model {
    const char *name, *help;
    bool (*init)(struct rt_cost *c, struct rt_err *err);
    void (*release)(struct rt_cost *c); /* NULL: nothing to free */
    void (*terms)(const struct rt_cost *c, const struct rt_step_shape *s, double terms_s[]);
    /* Asks for what pricing a batch of about so many tokens reads. NULL: little enough. */
    void (*prefetch)(const struct rt_cost *c, int64_t tokens);
    /* NULL: parts are not known */
    void (*explain)(const struct rt_cost *c, const struct rt_step_shape *s,
                    struct rt_part_list *list);
};
extern const struct rt_cost_model rt_cost_linear, rt_cost_roofline, rt_cost_light, rt_cost_profile;

/* One matrix product that a step runs `count` times, on one GPU after the TP split:
 * [rows x k] * [k x n]. Experts: one grouped product over the experts that the tokens touch. */
struct rt_operator {
    const char *name;
    double k, n;    /* of one matrix */
    double count;   /* times a step: layers, or 1 */
    double experts; /* matrices on this GPU, all of the same shape */
    bool routed;    /* a token goes through some of them, not through all */
    bool head;      /* LM head: rows = S instead of M */
};

#define RT_MAX_OPERATORS 16
#define RT_ROUTING_BINS  64

/* Who picks the experts of one GPU (routing.c). */
struct rt_routing_bin {
    double experts, chance; /* that a token picks a given one of them */
};
struct rt_routing {
    struct rt_routing_bin bin[RT_ROUTING_BINS];
    unsigned bins;
    double experts; /* on this GPU */
    double rows;    /* that one token brings to them: sum of experts*chance */
    double picks;   /* of a token, on all GPUs */
    double gpus;    /* that hold whole experts, or 1 */
    double largest; /* deviations that the busiest of them is above the mean; 0 for one */
};
struct rt_routed {
    double rows, touched;
};
/* `gpus` GPUs hold whole experts; 1: every GPU a slice of all. */
void rt_routing_init(const struct rt_model *m, double skew, int64_t gpus, struct rt_routing *out);
/* Experts of this GPU that m tokens touch. */
double rt_routing_touched(const struct rt_routing *r, double m);
/* Rows and touched experts of m tokens on the GPU that the others wait for. */
struct rt_routed rt_routing_busiest(const struct rt_routing *r, double m);

struct rt_operators {
    struct rt_operator op[RT_MAX_OPERATORS];
    unsigned count;
    double moe_layers, dense_layers; /* MLP blocks of each kind */
    bool in_tiles;                   /* rt_cost_inputs: experts_in_tiles */
    bool wait_for_busiest;           /* this GPU stands for the busiest one, not for the mean */
    struct rt_routing routing;       /* zeros without experts */
    double routed_bytes;             /* moved between them for one token, one layer */
};

/* Inputs that roofline, light and memory can price; otherwise RT_ECONFIG. */
bool rt_cost_check(const struct rt_cost_inputs *in, struct rt_err *err) RT_MUST_USE;
void rt_operators_build(const struct rt_cost_inputs *in, struct rt_operators *out);
/* Weights that all operators hold on this GPU, in numbers of parameters. */
double rt_operators_params(const struct rt_operators *ops);
/* Matrices of a group that m tokens touch: all n of them unless routed. */
double rt_operator_touched(const struct rt_operators *ops, const struct rt_operator *op, double m);
/* Rows of all matrices of a group together. */
double rt_operator_rows(const struct rt_operators *ops, const struct rt_operator *op, double m);
/* KV heads that one GPU holds (replicated when tp > kv_heads). */
double rt_kv_heads_per_gpu(const struct rt_cost_inputs *in);
/* KV bytes of one token in one layer on one GPU. */
double rt_kv_bytes_per_layer(const struct rt_cost_inputs *in);

/* A message from one stage to the next: latency + bytes * s_per_byte. */
struct rt_hop {
    double latency_s, s_per_byte;
};

/* What a stage, or the whole pipeline, has beside its layers. */
struct rt_role {
    bool first, last;   /* the embedding; final norm, LM head and sampler */
    int64_t stages;     /* of the pipeline it belongs to */
    bool together;      /* rt_cost_ranks_together, of the whole pipeline */
    struct rt_hop hops; /* to the next stage; of the whole pipeline: all */
};

/* One stage of a pipeline (stages.c): the inputs of a model that has only its layers. */
struct rt_stage {
    struct rt_cost_inputs in; /* pipeline = 1 */
    struct rt_role role;
};
void rt_stage_of(const struct rt_cost_inputs *in, int64_t index, struct rt_stage *out);
void rt_stage_whole(const struct rt_cost_inputs *in, struct rt_role *out);
bool rt_stage_alike(const struct rt_stage *a, const struct rt_stage *b);

/* Links between GPUs (links.c): a ring of `ranks`, each `stride` ranks after the one before. */
struct rt_ring {
    const struct rt_gpu_constants *k; /* of the inputs it was made from */
    double ranks, nodes_latency_s;
    double bytes_per_s;         /* of the engine's own all-reduce, each way */
    double library_bytes_per_s; /* of NCCL */
    double copy_bytes_per_s;    /* within a GPU's memory */
    double custom_bytes;        /* the engine's own kernel has messages below this size; 0: none */
    double symmetric_bytes;     /* symmetric memory has them up to this one; 0: none */
    bool multicast;             /* one box: its switch, if it can, sums for the library */
};
struct rt_ring rt_ring_of(const struct rt_cost_inputs *in, int64_t ranks, int64_t stride);
double rt_ring_all_reduce_s(const struct rt_ring *r, double bytes);
double rt_ring_all_gather_s(const struct rt_ring *r, double bytes); /* or reduce-scatter */
/* From a stage to the next one; bytes are those of the whole hidden states. */
struct rt_hop rt_link_hop(const struct rt_cost_inputs *in, int64_t stage);
bool rt_link_check(const struct rt_cost_inputs *in, struct rt_err *err) RT_MUST_USE;

#define RT_GEMM_TILES 4 /* shapes of tiles (gemm.c) */

/* Rates of one GPU for a GEMM with the given dtypes. */
struct rt_gemm_rates {
    double flops, bytes_per_s; /* efficiency included */
    double smooth_p, overhead_s;
    double weight_bytes, activation_bytes; /* of one number */
    double tile_column_s[RT_GEMM_TILES];   /* one tile, one column of k, one SM */
    double sms, start_columns, wave_share; /* sms: 1 where their number is not known */
    double stream_share, split_s;          /* share 0: one SM can draw all bandwidth */
};
struct rt_gemm_time {
    double weights_s, compute_s; /* shares of the smooth maximum; their sum is the time */
};
void rt_gemm_rates(const struct rt_cost_inputs *in, struct rt_gemm_rates *out);
/* (C^p + W^p)^(1/p), split by the shares of W^p and C^p. */
struct rt_gemm_time rt_smooth_max(double weights_s, double compute_s, double p);
/* Bytes of such a product: weights, inputs and results. */
double rt_gemm_bytes(const struct rt_gemm_rates *r, double rows, double matrices, double k,
                     double n);
/* One product of one matrix, without overhead. O(1). */
struct rt_gemm_time rt_gemm(const struct rt_gemm_rates *r, double rows, double k, double n);

/* All-reduce of `bytes` within one box, or by the library (allreduce.c); two ranks or more. */
double rt_all_reduce_s(const struct rt_ring *r, double bytes);
/* The same for the grouped products of routed experts (moe.c). */
void rt_moe_rates(const struct rt_cost_inputs *in, struct rt_gemm_rates *out);
/* `rows` through `touched` matrices of k x n, without overhead. */
struct rt_gemm_time rt_moe_gemm(const struct rt_gemm_rates *r, double rows, double touched,
                                double k, double n);
/* Rows that `touched` experts multiply when `rows` are meant for them: last tiles are filled up. */
double rt_moe_rows(const struct rt_gpu_constants *k, double rows, double touched);
/* Seconds of what moves the rows between the products, for m tokens, one layer. */
double rt_moe_io_s(const struct rt_gpu_constants *k, const struct rt_operators *ops, double m);
/* The same where all `experts` of the GPU get whole tiles; and one grouped product of so many rows.
 */
double rt_moe_tile_rows(double rows, double experts);
struct rt_gemm_time rt_moe_tiles(const struct rt_gemm_rates *r, double rows, double touched,
                                 double k, double n);

#define RT_NO_KNEE 0x1p62 /* beyond all contexts */

/* Attention of all layers of one kind (full, or behind a sliding window). */
struct rt_attention_layers {
    double count;         /* layers of this kind */
    int64_t window;       /* 0: full */
    double kv_s;          /* seconds per context token of a decode: all layers, one GPU */
    double ramp_s;        /* the same up to the knee */
    double tile_column_s; /* one layer: one key column of one 64-row tile of one head, on one SM */
};

struct rt_attention_cost {
    struct rt_attention_layers kind[2];
    unsigned kinds;
    double heads; /* query heads per GPU */
    int64_t sms;  /* >= 1 */
    bool waves;   /* sm_count is known: whole waves of tiles */
    bool mixed_as_tiles;
    double pad_tokens, tail, decode_columns; /* of a mixed kernel */
    double empty_tile_s;                     /* one tile of one head that has no rows; / SMs */
    double prefill_pad;                      /* columns a tile takes longer */
    double query_io_s, key_io_s;             /* one layer: per query row, per key row */
    double group;                            /* query heads of one KV head */
    double l2_tokens;                        /* KV of one head that stays in the cache; 0: all */
    double layers;
    double
        knee; /* tokens of all contexts, whole: beyond, KV is streamed (RT_NO_KNEE: everywhere) */
    double decode_launch_s, decode_wave_s, prefill_launch_s; /* all layers */
    double decode_waves;                                     /* of the tiles of one sequence */
    double held_s; /* MLA: re-expanding one cached latent for a prefill, all layers; 0 for GQA */
};
void rt_attention_init(const struct rt_cost_inputs *in, const struct rt_gemm_rates *gemm,
                       struct rt_attention_cost *out);
/* Adds to KV, ATTENTION and LAUNCH. */
void rt_attention_terms(const struct rt_attention_cost *a, const struct rt_step_shape *s,
                        double terms_s[]);

/* What attention reads and multiplies in a step, all layers, one GPU (explain.c). */
double rt_decode_bytes(const struct rt_cost_inputs *in, const struct rt_step_shape *s);
double rt_decode_flops(const struct rt_cost_inputs *in, const struct rt_step_shape *s);
double rt_prefill_flops(const struct rt_cost_inputs *in, const struct rt_step_shape *s);

/* What depends on M alone (all layers), or on S alone (LM head, sampler). */
struct rt_cost_row {
    double weights_s, compute_s, other_s, launch_s, comm_s;
};

struct rt_row_table { /* by a number of tokens; filled as they are asked for */
    struct rt_cost_row *rows;
    int64_t count;
};

struct rt_roofline {
    struct rt_operators ops;
    struct rt_gemm_rates rates, moe_rates, head_rates;
    struct rt_attention_cost attention;
    double elementwise_scale; /* elementwise bytes of a token over all layers / reference layer's */
    struct rt_ring tensor, data; /* the GPUs of one layer; the ranks that share its experts */
    /* By M, by S, and with ranks that step together by the tokens of all of them */
    struct rt_row_table by_m, by_s, by_group;
};

/* Tokens a step costs on this rank, and in all ranks that step together. */
struct rt_group {
    int64_t own, all;
};
struct rt_group rt_group_of(const struct rt_cost *c, const struct rt_step_shape *s);

struct rt_light_row {
    double weights_s, compute_s;
};

struct rt_light {
    struct rt_operators ops;
    struct rt_light_row *by_m, *by_group; /* as in rt_roofline */
    int64_t rows_m, rows_group;
    double flops, bytes_per_s; /* datasheet, one GPU */
    double weight_bytes;       /* of one number */
    double expert_bytes;       /* of one of routed experts */
    double head_bytes;         /* of one of the LM head */
    double kv_s[2];            /* seconds per context token: full layers, windowed layers */
    double area_s[2];          /* seconds per query-key pair */
    int64_t window;
};

struct rt_cost {
    const struct rt_cost_model *model;
    struct rt_cost_inputs in;
    struct rt_role role;
    struct rt_cost **stages; /* of a pipeline: one of each sort; owned */
    unsigned stage_count;
    struct rt_decode_line *lines; /* by decodes, 0..line_count-1; decode_line_internal.h */
    int64_t line_count;    /* 0: windows, ranks that step together, or decode_is_line is false */
    double knee, beyond_s; /* context, whole, beyond which KV takes so much for each token */
    bool slope_on_held;    /* KV seconds grow with held_tokens (linear), else with decode_context */
    bool decode_is_line;   /* false: decode attention was measured and is no such line */
    unsigned window_count;
    int64_t windows[RT_MAX_WINDOWS];
    struct rt_roofline roofline;
    struct rt_profile *profile; /* measured operators; NULL: none */
    struct rt_light light;
};

/* M or S beyond the tables is computed by the same function as they were: same bits. */
#define RT_TABLE_CAP         65536
#define RT_TABLE_CAP_SAMPLES 4096
/* Entries for 0..max, at most cap, and the one of 0. */
int64_t rt_table_rows(int64_t max, int64_t cap);
/* The roofline, for the profile that is built on it. */
bool rt_roofline_init(struct rt_cost *c, struct rt_err *err) RT_MUST_USE;
void rt_roofline_release(struct rt_cost *c);
void rt_roofline_terms(const struct rt_cost *c, const struct rt_step_shape *s, double terms_s[]);
void rt_roofline_prefetch(const struct rt_cost *c, int64_t tokens);
void rt_roofline_explain(const struct rt_cost *c, const struct rt_step_shape *s,
                         struct rt_part_list *list);

/* Single operators, for measured rows of them. */
struct rt_operator_work {
    struct rt_gemm_time gemm; /* one time, without overhead */
    double rows, touched;     /* multiplied rows and matrices */
};
struct rt_operator_work rt_operator_time(const struct rt_gemm_rates *rates,
                                         const struct rt_gpu_constants *k,
                                         const struct rt_operators *ops,
                                         const struct rt_operator *op, double m);
double rt_elementwise_bytes(const struct rt_cost_inputs *in, const struct rt_operators *ops);
/* All layers' launch_s and other_s. */
struct rt_cost_row rt_elementwise_row(const struct rt_gpu_constants *k, double layers, double scale,
                                      double m);

/* Measured time / the roofline's, 1 without a profile or without rows of the operator. *source, if
 * asked for, says which. (cost_profile.c) */
double rt_profile_gemm(const struct rt_cost *c, double k, double n, double m,
                       enum rt_origin *source);
double rt_profile_moe(const struct rt_cost *c, double m, enum rt_origin *source);
double rt_profile_all_reduce(const struct rt_cost *c, double bytes, enum rt_origin *source);
double rt_profile_elementwise(const struct rt_cost *c, double m, enum rt_origin *source);
double rt_profile_sampler(const struct rt_cost *c, double rows, enum rt_origin *source);
void rt_profile_attention(const struct rt_cost *c, const struct rt_step_shape *s, double terms_s[]);

/* Tokens of the captured graph that m tokens run in. */
int64_t rt_graph_tokens(int64_t m, int64_t graph_max);

#endif
