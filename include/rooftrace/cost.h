/* cost/cost.h: how long one engine step takes. One interface, several models of cost:
 *   linear     t = (((b0 + b1*M) + b2*C) + b3*A) + b4*Q seconds, in that order of doubles: fits
 * from one's own logs, and the exactness oracle; roofline   per operator, from a GPU and a model
 * record alone (docs/cost-model.md); profile   the roofline with measured operators in place of its
 * own where a table has them (docs/calibration.md). Every step is rounded to integer nanoseconds
 * once, here, half to even; doubles without contraction. A step is O(1): what depends on M is
 * worked out, with pow(), when a step has that M first. */
#ifndef RT_COST_H
#define RT_COST_H

#include "rooftrace/dtype.h"
#include "rooftrace/err.h"
#include "rooftrace/gpu.h"
#include "rooftrace/json.h"
#include "rooftrace/model.h"
#include "rooftrace/step.h"

#include <stdbool.h>
#include <stdint.h>

enum rt_cost_kind { RT_COST_ROOFLINE, RT_COST_LINEAR, RT_COST_PROFILE };

struct rt_cost_spec { /* the scenario's section `cost` */
    enum rt_cost_kind kind;
    bool speed_of_light;      /* roofline: datasheet peaks, no efficiency, no overhead */
    double expert_skew;       /* popularity of the i-th expert ~ i^-skew; 0 = uniform routing */
    double coefficients_s[5]; /* linear: b0..b4, each within +-1e6 */
    char *file;               /* profile: path of the table of measured operators. Owned by who
                               * parsed it; rt_cost_new only reads it */
};

#define RT_MAX_DEGREE      1024
#define RT_MAX_EXPERT_SKEW 10.0

/* How one replica is spread over tensor*pipeline*data GPUs; degrees >= 1, as vLLM means them.
 *   tensor    every matrix is split; KV heads too, MLA's latent is not
 *   pipeline  stages of whole layers; several batches are under way at once
 *   data      ranks with their own requests and KV; attention and dense layers are copied. With
 *             experts they step together, and share the experts
 *   expert    1: every expert is split over the tensor*data GPUs of a stage; tensor*data: whole
 *             experts on each */
struct rt_parallel {
    int64_t tensor, pipeline, expert, data;
};

/* Boxes of GPUs and the network between them. 0 stands for the defaults below: an HGX box, one
 * 400 Gb/s card a GPU [NVIDIA DGX H100 user guide], and a few microseconds a message. */
struct rt_nodes {
    int64_t gpus;            /* in one node */
    double link_bytes_per_s; /* of one GPU to another node, each way */
    double latency_s;
};
#define RT_NODE_GPUS             8
#define RT_NODE_LINK_BYTES_PER_S 50e9
#define RT_NODE_LATENCY_S        5e-6

void rt_nodes_init(struct rt_nodes *n); /* the defaults */

struct rt_dtypes {
    enum rt_dtype weight, activation, kv;
    enum rt_dtype head;   /* embedding and LM head: quantised checkpoints keep them in 16 bit */
    bool experts_apart;   /* routed experts have a format of their own */
    enum rt_dtype expert; /* if apart */
};
enum rt_dtype rt_expert_dtype(const struct rt_dtypes *d); /* of routed experts, apart or not */

/* Everything a cost depends on. */
struct rt_cost_inputs {
    struct rt_cost_spec spec;
    struct rt_gpu gpu;
    struct rt_model model;
    struct rt_parallel parallel;
    struct rt_nodes nodes;
    struct rt_dtypes dtypes;
    int64_t max_tokens;    /* M up to here is tabulated (max_num_batched_tokens) */
    bool host_exposed;     /* the GPU waits for the host between steps */
    bool eager;            /* no captured graphs: the host launches every kernel */
    bool experts_in_tiles; /* routed experts: whole tiles of every one (moe.c), touched or not */
    int64_t max_seqs;      /* max_num_seqs: sizes the sampler's memory; 0 = not known */
};

struct rt_cost; /* says the same whoever asked before; shared by replicas of one thread */

void rt_cost_spec_init(struct rt_cost_spec *s); /* roofline */
void rt_cost_spec_release(struct rt_cost_spec *s);
const char *rt_cost_kind_name(enum rt_cost_kind kind);
bool rt_cost_spec_parse(const struct rt_json_at *at, struct rt_cost_spec *s,
                        struct rt_err *err) RT_MUST_USE;

/* Copies *in. Fails with RT_ECONFIG on shapes it cannot price: heads not divisible by TP, a dtype
 * the GPU has no unit for, more stages than layers, missing GPU figures.
 * `linear` looks at its coefficients only. The caller frees *out with rt_cost_free. */
bool rt_cost_new(const struct rt_cost_inputs *in, struct rt_cost **out,
                 struct rt_err *err) RT_MUST_USE;
void rt_cost_free(struct rt_cost *c);

/* Nanoseconds of one step, 0 .. 2^62. With pipeline stages: from its start on the first to its end
 * on the last one, all stages and the hops between them in turn. Negative sums (a linear fit below
 * its range) count as 0. A step of 0 ns is legal: it still moves every sequence of its batch on by
 * at least a token, so a loop over steps ends; a caller must not take "the end is not later than
 * the start" for "nothing ran". */
int64_t rt_cost_step_ns(const struct rt_cost *c, const struct rt_step_shape *s);
/* The same step's seconds by term; their sum, taken in the order of enum rt_term, is what is
 * rounded to rt_cost_step_ns. In a pure decode only KV changes with the context; it never
 * falls, and it is straight on either side of rt_cost_knee where rt_cost_can_run says so
 * (decode_run.h). */
void rt_cost_step_terms(const struct rt_cost *c, const struct rt_step_shape *s,
                        double terms_s[RT_TERM_COUNT]);
/* Both at once. */
int64_t rt_cost_step(const struct rt_cost *c, const struct rt_step_shape *s,
                     double terms_s[RT_TERM_COUNT]);
/* A batch of about so many tokens will be priced soon: asks for what that reads. Changes nothing.
 */
void rt_cost_prefetch(const struct rt_cost *c, int64_t tokens);
/* How often such a batch can enter the pipeline: the time of the slowest stage with its hop to the
 * next, or the host's time if that is longer (it prepares the next batch meanwhile). At most
 * rt_cost_step_ns, and equal to it without stages; those of `linear` are equal. P batches under way
 * take max(step, P*stage) from one token of a sequence to its next. O(stages that differ). */
int64_t rt_cost_stage_ns(const struct rt_cost *c, const struct rt_step_shape *s);
/* Do the data parallel ranks step together? True with experts and data > 1: every layer with
 * experts waits for all ranks. Then a shape must carry group_tokens and group_largest (step.h), the
 * step of the group is the longest of its ranks' (a rank without requests runs along: its shape has
 * tokens = 0), and no rank starts the next one before that. Otherwise ranks are independent. */
bool rt_cost_ranks_together(const struct rt_cost *c);

/* The sliding windows whose sums a shape must carry; returns how many (0..RT_MAX_WINDOWS). */
unsigned rt_cost_windows(const struct rt_cost *c, int64_t windows[RT_MAX_WINDOWS]);

#endif
