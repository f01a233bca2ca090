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
 * Chance makes one GPU of G the busiest, too, in every layer another one: the largest of G normal
 * variables is their mean + c(G)*deviation. Of m tokens' picks a GPU gets m*rows, of variance
 * m*sum(chance*(1 - chance)) over its experts, and of these the touched ones, p = (1 - chance)^m
 * being spared and l = m*chance, have the variance sum(p*(1 - p)) - sum(l*p)^2/(m*topk). (Both are
 * those of GPUs whose numbers add up to the same, whose largest is G/(G-1) further out.) Where
 * popularity gives a GPU a lead of d rows, s = c*deviation leaves sqrt(d^2 + s^2) - d to chance; of
 * touched experts its lead is that of the rows that touch one.
 * Experts of like popularity share a bin; the first ones stand alone. Built once: O(E) with exp()
 * and pow(); touched and rows are O(bins) with one pow() each. */
#include "cost_internal.h"

#include <math.h>

#define SINGLE_BINS (RT_ROUTING_BINS / 2)

/* Mean of the largest of n standard normal variables, n = 1, 2, 4, ..., 1024; linear in log2 n. */
static double largest_of(double n)
{
    static const double means[] = {0,      .5642,  1.0294, 1.4236, 1.7660, 2.0697,
                                   2.3437, 2.5946, 2.8269, 3.0440, 3.2483};
    const unsigned last = sizeof means / sizeof means[0] - 1;
    double at = log2(n);
    unsigned i = at < last ? (unsigned)at : last - 1;

    return at < last ? means[i] + (at - i) * (means[i + 1] - means[i]) : means[last];
}

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
    out->picks = (double)m->experts_per_token;
    out->gpus = (double)gpus;
    out->largest = largest_of((double)gpus);
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

/* What chance adds to the lead of the GPU that popularity makes the busiest. */
static double by_chance(double lead, double deviation)
{
    return hypot(lead, deviation) - lead;
}

struct rt_routed rt_routing_busiest(const struct rt_routing *r, double m)
{
    struct rt_routed at = {.rows = m * r->rows, .touched = rt_routing_touched(r, m)};
    double rows_variance = 0, touched_variance = 0, spared_load = 0;
    if (!(r->largest > 0) || !(at.rows > 0)) /* one GPU, or nothing to do */
        return at;
    for (unsigned b = 0; b < r->bins; b++) {
        double experts = r->bin[b].experts, chance = r->bin[b].chance;
        double spared = pow(1 - chance, m);
        rows_variance += experts * m * chance * (1 - chance);
        touched_variance += experts * spared * (1 - spared);
        spared_load += experts * m * chance * spared;
    }
    touched_variance -= spared_load * spared_load / (m * r->picks);
    touched_variance *= r->gpus / (r->gpus - 1);
    double lead = fmax(at.rows - m * r->picks / r->gpus, 0);
    double new_share = spared_load / at.rows; /* of rows more: that touch one more expert */
    at.rows += by_chance(lead, r->largest * sqrt(rows_variance));
    at.rows = fmin(at.rows, m * fmin(r->picks, r->experts));
    at.touched += by_chance(lead * new_share, r->largest * sqrt(fmax(touched_variance, 0)));
    at.touched = fmin(at.touched, fmin(at.rows, r->experts));
    return at;
}
