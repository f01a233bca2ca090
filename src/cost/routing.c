/* Which experts the tokens of a step pick.
 *
 * Uniform routing: each of m tokens picks an expert with chance topk/E, so it stays untouched with
 * (1 - topk/E)^m. One token touches topk of E.
 * Skewed routing: the i-th most popular expert has the weight i^-skew (Zipf; 0 = uniform). A token
 * draws topk different ones; the chance that expert i is among them is taken as 1 - exp(-x*w_i),
 * with x such that the chances add up to topk (successive sampling without replacement in its
 * Poisson form: never above 1, and topk/E each where the weights are equal).
 * Whole experts on each of `gpus` GPUs are dealt out by popularity, one by one; the step waits for
 * the busiest, the one with the first. Slices of all experts load every GPU alike.
 * Experts of like popularity share a bin; the first ones stand alone. Built once: O(E) with exp()
 * and pow(); touched and rows are O(bins) with one pow() each. */
#include "cost_internal.h"

#include <math.h>

#define SINGLE_BINS (RT_ROUTING_BINS / 2)

static double weight_of(int64_t rank, double skew)
{
    return pow((double)(rank + 1), -skew);
}

static double chance_sum(const struct rt_model *m, double skew, double x)
{
    double sum = 0;

    for (int64_t i = 0; i < m->experts; i++)
        sum -= expm1(-x * weight_of(i, skew));
    return sum;
}

/* x of the chances: bisection on its logarithm, as many steps as a double has bits. */
static double solve(const struct rt_model *m, double skew)
{
    double low = -40, high = 40 + skew * log((double)m->experts);

    for (int i = 0; i < 64; i++) {
        double middle = (low + high) / 2;
        if (chance_sum(m, skew, exp(middle)) < (double)m->experts_per_token)
            low = middle;
        else
            high = middle;
    }
    return exp((low + high) / 2);
}

static void add_bins(const struct rt_model *m, double skew, int64_t gpus, struct rt_routing *out)
{
    int64_t mine = (m->experts + gpus - 1) / gpus, from = 0;
    double x = solve(m, skew);

    for (unsigned b = 0; b < RT_ROUTING_BINS && from < mine; b++) {
        int64_t bins_left = RT_ROUTING_BINS - b;
        int64_t size = b < SINGLE_BINS ? 1 : (mine - from + bins_left - 1) / bins_left;
        double sum = 0;
        for (int64_t i = from; i < from + size; i++)
            sum -= expm1(-x * weight_of(i * gpus, skew));
        out->bin[out->bins++] =
            (struct rt_routing_bin){.experts = (double)size, .chance = sum / (double)size};
        out->rows += sum;
        from += size;
    }
    out->experts = (double)mine;
}

void rt_routing_init(const struct rt_model *m, double skew, int64_t gpus, struct rt_routing *out)
{
    *out = (struct rt_routing){.bins = 0};
    if (m->experts == 0)
        return;
    double chance = (double)m->experts_per_token / (double)m->experts;
    if (skew > 0 && m->experts_per_token < m->experts) {
        add_bins(m, skew, gpus, out);
        return;
    }
    out->experts = (double)m->experts / (double)gpus;
    out->rows = chance * out->experts;
    out->bin[0] = (struct rt_routing_bin){.experts = out->experts, .chance = chance};
    out->bins = 1;
}

double rt_routing_touched(const struct rt_routing *r, double m)
{
    double touched = 0;

    for (unsigned b = 0; b < r->bins; b++)
        touched += r->bin[b].experts * (1 - pow(1 - r->bin[b].chance, m));
    return touched;
}
