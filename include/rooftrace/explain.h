/* cost/explain.h: what a step's time (cost.h) is made of, part by part, and where the times of its
 * operators come from: a row of a table, or the roofline. For people and for stored runs; nothing
 * that is simulated depends on it. O(parts) a step. */
#ifndef RT_EXPLAIN_H
#define RT_EXPLAIN_H

#include "rooftrace/op_table.h"
#include "rooftrace/step.h"

#include <stdint.h>

struct rt_cost; /* cost.h */

/* One part of a step: an operator of all layers, a message, the host. */
struct rt_cost_part {
    const char *name;    /* "qkv", "all_reduce", ...: static text */
    double flops, bytes; /* of one GPU; 0: none, or not known. Links: bytes of the messages */
    double terms_s[RT_TERM_COUNT];
};
#define RT_MAX_COST_PARTS 48
double rt_cost_part_s(const struct rt_cost_part *p); /* its seconds: the sum of its terms */
/* What most of them are: "bandwidth", "compute", "launch", "link" or "host". */
const char *rt_cost_part_bound(const struct rt_cost_part *p);
/* What a step consists of; returns how many parts. Their terms add up to rt_cost_step_terms, apart
 * from the rounding of the sums. Models without operators answer one part a term. */
unsigned rt_cost_explain(const struct rt_cost *c, const struct rt_step_shape *s,
                         struct rt_cost_part parts[RT_MAX_COST_PARTS]);

/* Where the times of a step's operators come from, worst first. */
enum rt_origin {
    RT_ORIGIN_UNUSED,       /* the step has no such operator */
    RT_ORIGIN_ROOFLINE,     /* no row of this operator and shape */
    RT_ORIGIN_SCALED,       /* outside the rows: the nearest one times the roofline's ratio */
    RT_ORIGIN_INTERPOLATED, /* between rows */
    RT_ORIGIN_MEASURED,     /* a row */
    RT_ORIGIN_COUNT
};
extern const char *const rt_origin_names[RT_ORIGIN_COUNT];
struct rt_cost_sources {
    enum rt_origin of[RT_OP_COUNT]; /* several products: the worst of them */
    uint32_t rows[RT_OP_COUNT];     /* that the table has of it */
};
/* Of the step; s = NULL: of any step, as good as the rows make it. All unused for `linear` and the
 * speed of light. */
void rt_cost_step_sources(const struct rt_cost *c, const struct rt_step_shape *s,
                          struct rt_cost_sources *out);

#endif
