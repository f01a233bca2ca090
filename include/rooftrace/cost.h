/* cost/cost.h: how long one engine step takes. One interface, several models of cost:
 *   linear     t = (((b0 + b1*M) + b2*C) + b3*A) + b4*Q seconds, in that order of doubles: fits
 * from one's own logs, and the exactness oracle; roofline   per operator, from a GPU and a model
 * record alone (docs/cost-model.md). Every step is rounded to integer nanoseconds once, here, half
 * to even; doubles without contraction. A step is O(1); tables by M are built once, in rt_cost_new:
 * O(max_tokens) with pow(), capped. */
#ifndef RT_COST_H
#define RT_COST_H

#include "rooftrace/catalog.h"
#include "rooftrace/step.h"

enum rt_cost_kind { RT_COST_ROOFLINE, RT_COST_LINEAR };

struct rt_cost_spec { /* the scenario's section `cost` */
    enum rt_cost_kind kind;
    bool speed_of_light;      /* roofline: datasheet peaks, no efficiency, no overhead */
    double coefficients_s[5]; /* linear: b0..b4, each within +-1e6 */
};

struct rt_parallel { /* of one replica, degrees >= 1. Priced so far: tensor; expert = 1 (experts are
                      * split like every matrix) or = tensor (whole experts per GPU) */
    int64_t tensor, pipeline, expert, data;
};

struct rt_dtypes {
    enum rt_dtype weight, activation, kv;
};

/* Everything a cost depends on. */
struct rt_cost_inputs {
    struct rt_cost_spec spec;
    struct rt_gpu gpu;
    struct rt_model model;
    struct rt_parallel parallel;
    struct rt_dtypes dtypes;
    int64_t max_tokens; /* M up to here is tabulated (max_num_batched_tokens) */
    int64_t max_seqs;   /* max_num_seqs: sizes the sampler's memory; 0 = not known */
};

struct rt_cost; /* immutable after rt_cost_new; may be shared by replicas and threads */

void rt_cost_spec_init(struct rt_cost_spec *s); /* roofline */
bool rt_cost_spec_parse(const struct rt_json_at *at, struct rt_cost_spec *s,
                        struct rt_err *err) RT_MUST_USE;

/* Copies *in. Fails with RT_ECONFIG on shapes it cannot price: heads not divisible by TP, a dtype
 * the GPU has no unit for, a kind of parallelism that is not priced yet, missing GPU figures.
 * `linear` looks at its coefficients only. The caller frees *out with rt_cost_free. */
bool rt_cost_new(const struct rt_cost_inputs *in, struct rt_cost **out,
                 struct rt_err *err) RT_MUST_USE;
void rt_cost_free(struct rt_cost *c);

/* Nanoseconds of one step, 0 .. 2^62. Negative sums (a linear fit below its range) count as 0. A
 * step of 0 ns is legal: it still moves every sequence of its batch on by at least a token, so a
 * loop over steps ends; a caller must not take "the end is not later than the start" for "nothing
 * ran". */
int64_t rt_cost_step_ns(const struct rt_cost *c, const struct rt_step_shape *s);
/* The same step's seconds by term; their sum, taken in the order of enum rt_term, is what is
 * rounded to rt_cost_step_ns. In a pure decode only KV changes with the context, and it is linear
 * in it. */
void rt_cost_step_terms(const struct rt_cost *c, const struct rt_step_shape *s,
                        double terms_s[RT_TERM_COUNT]);
/* Both at once. */
int64_t rt_cost_step(const struct rt_cost *c, const struct rt_step_shape *s,
                     double terms_s[RT_TERM_COUNT]);
/* Whether the step is a pure decode whose terms follow from two numbers (rt_cost_add_decodes): no
 * prefill, no transfer, no drafts, no sliding windows, and a batch that is tabulated. */
bool rt_cost_is_plain(const struct rt_cost *c, const struct rt_step_shape *s);
/* Adds to terms_s the seconds of so many plain steps of `decodes` sequences each, whose contexts
 * sum up to `context`. */
void rt_cost_add_decodes(const struct rt_cost *c, int64_t decodes, double steps, double context,
                         double terms_s[RT_TERM_COUNT]);
/* The sliding windows whose sums a shape must carry; returns how many (0..RT_MAX_WINDOWS). */
unsigned rt_cost_windows(const struct rt_cost *c, int64_t windows[RT_MAX_WINDOWS]);

/* Whether rt_cost_decode_run may be used: false when the model has sliding windows, whose sums of
 * min(ctx, w) cannot be advanced as a whole. */
bool rt_cost_can_run(const struct rt_cost *c);
/* The next n steps of an unchanged batch of decodes: ns[i] is the duration of the i-th, the same
 * bits as rt_cost_step_ns gives when each step adds `decodes` to decode_context and held_tokens. *s
 * is advanced by n steps. No prefill and no transfer in *s; contexts stay below 2^53. Returns
 * the sum of all, at most INT64_MAX. About 1 ns a step. */
int64_t rt_cost_decode_run(const struct rt_cost *c, struct rt_step_shape *s, uint32_t n,
                           int64_t *ns);

#endif
