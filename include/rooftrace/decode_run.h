/* cost/decode_run.h: steps of a batch that only decodes. Most steps are such, and of their terms
 * only KV changes with the context, along two straight lines that meet at a knee: so a whole run of
 * them, an unchanged batch whose contexts grow by a token a step, comes from one line of the cost's
 * table. The same bits as step by step (cost.h). About 1 ns a step; the rest is O(1). */
#ifndef RT_DECODE_RUN_H
#define RT_DECODE_RUN_H

#include "rooftrace/step.h"

#include <stdbool.h>
#include <stdint.h>

struct rt_cost; /* cost.h */

/* Whether the step is a pure decode whose terms follow from two numbers (rt_cost_add_decodes): no
 * prefill, no transfer, no drafts, no sliding windows or measured decodes, and a batch that is
 * tabulated. */
bool rt_cost_is_plain(const struct rt_cost *c, const struct rt_step_shape *s);
/* rt_cost_step_ns, and whether the step is plain. If it is not, its seconds by term, too; if it is,
 * terms_s is left alone. */
int64_t rt_cost_price(const struct rt_cost *c, const struct rt_step_shape *s, bool *plain,
                      double terms_s[RT_TERM_COUNT]);
/* The context at which KV seconds change their slope; INT64_MAX/2 and more: nowhere. */
int64_t rt_cost_knee(const struct rt_cost *c);
/* Adds to terms_s the seconds of plain steps of `decodes` sequences each. */
struct rt_plain_sums {
    double steps, context; /* how many, and their contexts summed up */
    double low;            /* the same of min(context, knee) */
};
void rt_cost_add_decodes(const struct rt_cost *c, int64_t decodes, const struct rt_plain_sums *sums,
                         double terms_s[RT_TERM_COUNT]);

/* Whether rt_cost_decode_run may be used: false when the model has sliding windows, whose sums of
 * min(ctx, w) cannot be advanced as a whole, and when decode attention was measured: then its time
 * is no straight line in the context. */
bool rt_cost_can_run(const struct rt_cost *c);
/* The next n steps of an unchanged batch of decodes: ns[i] is the duration of the i-th, the same
 * bits as rt_cost_step_ns gives when each step adds `decodes` to decode_context and held_tokens. *s
 * is advanced by n steps. No prefill and no transfer in *s; contexts stay below 2^53. Returns
 * the sum of all, at most INT64_MAX. About 1 ns a step. */
int64_t rt_cost_decode_run(const struct rt_cost *c, struct rt_step_shape *s, uint32_t n,
                           int64_t *ns);

/* The same steps without a list: duration i, from 0, follows from the batch's line in the cost's
 * table and its context, which grows by `decodes` a step. */
struct rt_decode_line;
struct rt_decode_run {
    const struct rt_decode_line *line; /* the cost's; NULL: none */
    double x0, dx;                     /* context of step 0, growth a step */
};
#define RT_MAX_RUN 2048u /* steps a call: sums of steps below 2^51 ns stay below 2^62 */
/* The run of `decodes` sequences alone, no drafts, that begins with `context` KV tokens. False when
 * it is not plain (rt_cost_is_plain): such steps have to be listed. */
bool rt_cost_run(const struct rt_cost *c, int64_t decodes, int64_t context,
                 struct rt_decode_run *run);
int64_t rt_run_ns(const struct rt_decode_run *run, uint32_t i);
/* Steps from..from+n-1, n <= RT_MAX_RUN: their durations, and the sum, at most INT64_MAX. */
int64_t rt_run_list(const struct rt_decode_run *run, uint32_t from, uint32_t n, int64_t *ns);
int64_t rt_run_sum(const struct rt_decode_run *run, uint32_t from, uint32_t n);

#endif
