/* linear: t = (((b0 + b1*M) + b2*C) + b3*A) + b4*Q, in that order of doubles. The exactness oracle,
 * and what a least-squares fit to one's own engine log gives. The terms are laid out so that their
 * sum in the order of enum rt_term is this expression bit for bit (the terms between are 0, and x +
 * 0 is x). C is the KV held by all sequences before the step, not only by those that decode. O(1).
 */
#include "cost_internal.h"

#include <math.h>

static bool linear_init(struct rt_cost *c, struct rt_err *err)
{
    for (int i = 0; i < 5; i++)
        if (!isfinite(c->in.spec.coefficients_s[i]))
            return rt_fail(err, RT_ECONFIG,
                           "cost.coefficients_s[%d]: expected a finite number of seconds", i);
    c->slope_on_held = true;
    return true;
}

static void linear_terms(const struct rt_cost *c, const struct rt_step_shape *s, double terms_s[])
{
    const double *b = c->in.spec.coefficients_s;
    terms_s[RT_TERM_WEIGHTS] = b[0];
    terms_s[RT_TERM_COMPUTE] = b[1] * (double)s->tokens;
    terms_s[RT_TERM_KV] = b[2] * (double)s->held_tokens;
    terms_s[RT_TERM_ATTENTION] = b[3] * (double)s->prefill_area;
    terms_s[RT_TERM_HOST] = b[4] * (double)s->sequences;
}

const struct rt_cost_model rt_cost_linear = {
    .name = "linear",
    .help = "t = b0 + b1*M + b2*C + b3*A + b4*Q seconds, from five coefficients",
    .init = linear_init,
    .terms = linear_terms,
};
