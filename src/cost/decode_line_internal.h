/* decode_line_internal.h: what single steps (cost.c) and runs of decode steps (decode_run.c) share,
 * so that both give the same bits: the line of a pure decode, the order in which terms are added,
 * and the rounding to nanoseconds. Inline, since a run does it for every step. O(1). */
#ifndef RT_DECODE_LINE_INTERNAL_H
#define RT_DECODE_LINE_INTERNAL_H

#include "cost_internal.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A pure decode of so many sequences: what its seconds are made of, whatever the context. */
struct rt_decode_line {
    double terms_s[RT_TERM_COUNT]; /* KV apart: */
    double slope_s;                /* its seconds for each token of the context up to the knee */
    double knee, beyond_s;         /* of the cost */
};
/* Tabulates the lines of c, whose model is initialised, where it has such. O(max_seqs). */
bool rt_decode_lines_build(struct rt_cost *c, struct rt_err *err) RT_MUST_USE;

/* The line of a step that is a pure decode and nothing else; NULL when it is not, or not tabulated.
 */
static inline const struct rt_decode_line *find_line(const struct rt_cost *c,
                                                     const struct rt_step_shape *s)
{
    bool pure = s->tokens == s->decodes && s->sequences == s->decodes && s->samples == s->decodes &&
                s->transfer_s + s->draft_s <= 0;
    return pure && s->decodes < c->line_count ? &c->lines[s->decodes] : NULL;
}

/* The sum that KV seconds grow with. */
static inline double line_context(const struct rt_cost *c, const struct rt_step_shape *s)
{
    return (double)(c->slope_on_held ? s->held_tokens : s->decode_context);
}

/* KV seconds of a context: one slope up to the knee, another one beyond. */
static inline double line_kv_s(const struct rt_decode_line *line, double context)
{
    double low = context < line->knee ? context : line->knee;
    return line->slope_s * low + line->beyond_s * (context - low);
}

/* The sum in the order of enum rt_term, with another KV term in its place. */
static inline double step_seconds(const double terms_s[RT_TERM_COUNT], double kv_s)
{
    double t = terms_s[RT_TERM_WEIGHTS] + terms_s[RT_TERM_COMPUTE];
    t += kv_s;
    t += terms_s[RT_TERM_ATTENTION];
    t += terms_s[RT_TERM_OTHER];
    t += terms_s[RT_TERM_LAUNCH];
    t += terms_s[RT_TERM_COMM];
    t += terms_s[RT_TERM_HOST];
    return t;
}

#define TWO_51     2251799813685248.0
#define TWO_52     4503599627370496.0
#define LONGEST_NS (INT64_C(1) << 62) /* 146 years */

/* Half to even, for 0 <= ns < 2^51: adding 2^52 makes the unit of the last place 1, so the addition
 * itself rounds, and the integer is what the bits are beyond those of 2^52. Branch-free, so that
 * loops over it vectorise; the same result as llrint in the default rounding mode. */
static inline int64_t round_small(double ns)
{
    double shifted = ns + TWO_52;
    int64_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    return bits - INT64_C(0x4330000000000000);
}

static inline int64_t round_any(double ns)
{
    if (!(ns > 0))
        return 0; /* NaN cannot come from finite coefficients and sums; negative counts as 0 */
    if (ns < TWO_51)
        return round_small(ns);
    return ns < (double)LONGEST_NS ? (int64_t)llrint(ns) : LONGEST_NS;
}

#endif
