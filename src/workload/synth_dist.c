/* synth_dist.c: distributions of lengths, turns and seconds: the table of kinds, and draws.
 *
 *     fixed         value
 *     uniform       min..max, both included
 *     normal        mean, and sd or cv = sd / mean
 *     lognormal     mean or median, and sigma (of the logarithm) or cv; sigma^2 = log(1 + cv^2),
 *                   mean = median * exp(sigma^2 / 2)
 *     exponential   mean
 *     zipf          min..max, the k-th of them with probability ~ k^-exponent
 *     empirical     a length of a trace, each row as likely as any other
 *
 * min and max are caps: what is drawn beyond becomes the cap, as servers cut what users ask for.
 * Each draw is O(1). Memory: 16 bytes a row of an empirical trace, else none. */
#include "synth_internal.h"

#include <stdlib.h>

#define BIT(key) (1u << RT_DIST_##key)
#define CAPS     (BIT(MIN) | BIT(MAX))

const struct rt_number_key rt_dist_keys[RT_DIST_KEYS] = {
    [RT_DIST_VALUE] = {"value", 0, RT_MAX_REQUEST_TOKENS},
    [RT_DIST_MEAN] = {"mean", 0, RT_MAX_REQUEST_TOKENS},
    [RT_DIST_MEDIAN] = {"median", 1e-9, RT_MAX_REQUEST_TOKENS},
    [RT_DIST_SD] = {"sd", 0, RT_MAX_REQUEST_TOKENS},
    [RT_DIST_SIGMA] = {"sigma", 0, 10},
    [RT_DIST_CV] = {"cv", 0, 1000},
    [RT_DIST_EXPONENT] = {"exponent", 0, RT_SYNTH_MAX_ZIPF},
    [RT_DIST_MIN] = {"min", 0, RT_MAX_REQUEST_TOKENS},
    [RT_DIST_MAX] = {"max", 0, RT_MAX_REQUEST_TOKENS},
};

const struct rt_number_kind rt_dist_kinds[RT_DIST_KINDS] = {
    [RT_DIST_ABSENT] = {"absent", "", 0, 0, {0, 0}},
    [RT_DIST_FIXED] = {"fixed", "value", BIT(VALUE), 0, {0, 0}},
    [RT_DIST_UNIFORM] = {"uniform", "min..max, both included", BIT(MIN) | BIT(MAX), 0, {0, 0}},
    [RT_DIST_NORMAL] =
        {"normal", "mean; sd or cv; caps min, max", BIT(MEAN), CAPS, {BIT(SD) | BIT(CV), 0}},
    [RT_DIST_LOGNORMAL] = {"lognormal",
                           "mean or median; sigma or cv; caps min, max",
                           0,
                           CAPS,
                           {BIT(MEAN) | BIT(MEDIAN), BIT(SIGMA) | BIT(CV)}},
    [RT_DIST_EXPONENTIAL] = {"exponential", "mean; caps min, max", BIT(MEAN), CAPS, {0, 0}},
    [RT_DIST_ZIPF] = {"zipf",
                      "min..max, the k-th ~ k^-exponent",
                      BIT(EXPONENT) | BIT(MIN) | BIT(MAX),
                      0,
                      {0, 0}},
    [RT_DIST_EMPIRICAL] = {"empirical", "the lengths of a trace; caps min, max", 0, CAPS, {0, 0}},
};

/* ---- the lengths of a trace ---- */

static bool add_pair(struct rt_length_pairs *p, int64_t prompt, int64_t output)
{
    if (p->count == p->capacity) {
        size_t capacity = p->capacity == 0 ? 4096 : 2 * p->capacity;
        int64_t *prompts = realloc(p->prompt, capacity * sizeof *prompts);
        p->prompt = prompts != NULL ? prompts : p->prompt;
        int64_t *outputs = realloc(p->output, capacity * sizeof *outputs);
        p->output = outputs != NULL ? outputs : p->output;
        if (prompts == NULL || outputs == NULL)
            return false;
        p->capacity = capacity;
    }
    p->prompt[p->count] = prompt > 0 ? prompt : 1;
    p->output[p->count++] = output > 0 ? output : 1;
    return true;
}

bool rt_length_pairs_load(const struct rt_trace_ref *from, struct rt_length_pairs *out,
                          struct rt_err *err)
{
    struct rt_trace *t;
    struct rt_request r;
    int found = 0;
    *out = (struct rt_length_pairs){.count = 0};
    if (!rt_trace_open(from->path, from->format, &t, err))
        return false;
    while ((found = rt_trace_read(t, &r, err)) == 1) {
        if (!add_pair(out, r.prompt_tokens, r.output_tokens)) {
            found = -1;
            (void)rt_fail_nomem(err, "lengths of a trace");
            break;
        }
    }
    rt_trace_free(t);
    if (found == 0 && out->count > 0)
        return true;
    rt_length_pairs_release(out);
    return found < 0 ? false
                     : rt_fail(err, RT_ETRACE, "%s: expected requests, read none", from->path);
}

void rt_length_pairs_release(struct rt_length_pairs *p)
{
    free(p->prompt);
    free(p->output);
    *p = (struct rt_length_pairs){.count = 0};
}

/* ---- draws ---- */

/* a, b: fixed value; uniform ends; mean and sd of normal; mu and sigma of lognormal; mean; the rank
 * of zipf's first value. */
static void set_numbers(struct rt_dist *d, const double v[RT_DIST_KEYS])
{
    double cv = v[RT_DIST_CV];
    switch (d->kind) {
    case RT_DIST_FIXED:
        d->a = v[RT_DIST_VALUE];
        break;
    case RT_DIST_NORMAL:
        d->a = v[RT_DIST_MEAN];
        d->b = isnan(cv) ? v[RT_DIST_SD] : cv * d->a;
        break;
    case RT_DIST_LOGNORMAL:
        d->b = isnan(cv) ? v[RT_DIST_SIGMA] : sqrt(log1p(cv * cv));
        d->a = isnan(v[RT_DIST_MEAN]) ? log(v[RT_DIST_MEDIAN])
                                      : log(v[RT_DIST_MEAN]) - d->b * d->b / 2;
        break;
    case RT_DIST_EXPONENTIAL:
        d->a = v[RT_DIST_MEAN];
        break;
    case RT_DIST_ZIPF:
        rt_zipf_init(&d->zipf, (uint64_t)(d->max - d->min) + 1, v[RT_DIST_EXPONENT]);
        break;
    case RT_DIST_ABSENT:
    case RT_DIST_UNIFORM:
    case RT_DIST_EMPIRICAL:
    case RT_DIST_KINDS:
        break;
    }
}

bool rt_dist_init(struct rt_dist *d, const struct rt_dist_spec *spec, bool output,
                  struct rt_err *err)
{
    const double *v = spec->v;
    *d = (struct rt_dist){.kind = spec->kind, .output = output, .max = RT_MAX_REQUEST_TOKENS};
    if (spec->kind == RT_DIST_ABSENT)
        return true;
    d->min = isnan(v[RT_DIST_MIN]) ? d->min : v[RT_DIST_MIN];
    d->max = isnan(v[RT_DIST_MAX]) ? d->max : v[RT_DIST_MAX];
    set_numbers(d, v);
    return spec->kind != RT_DIST_EMPIRICAL || rt_length_pairs_load(&spec->trace, &d->pairs, err);
}

void rt_dist_release(struct rt_dist *d)
{
    rt_length_pairs_release(&d->pairs);
}

static double draw_free(const struct rt_dist *d, struct rt_rng *r)
{
    switch (d->kind) {
    case RT_DIST_FIXED:
        return d->a;
    case RT_DIST_UNIFORM:
        return d->min + rt_rng_unit(r) * (d->max - d->min);
    case RT_DIST_NORMAL:
        return d->a + d->b * rt_rng_normal(r);
    case RT_DIST_LOGNORMAL:
        return rt_draw_lognormal(r, d->a, d->b);
    case RT_DIST_EXPONENTIAL:
        return d->a * rt_rng_exponential(r);
    case RT_DIST_ZIPF:
        return d->min + (double)(rt_draw_zipf(r, &d->zipf) - 1);
    case RT_DIST_EMPIRICAL:
        return (double)(d->output ? d->pairs.output
                                  : d->pairs.prompt)[rt_rng_below(r, d->pairs.count)];
    case RT_DIST_ABSENT:
    case RT_DIST_KINDS:
        break;
    }
    return 0;
}

double rt_dist_draw(const struct rt_dist *d, struct rt_rng *r)
{
    double x = draw_free(d, r);
    if (d->kind == RT_DIST_FIXED)
        return x;
    x = x < d->min ? d->min : x;
    return x > d->max ? d->max : x;
}

int64_t rt_dist_draw_whole(const struct rt_dist *d, struct rt_rng *r)
{
    if (d->kind == RT_DIST_UNIFORM)
        return rt_draw_whole(r, (int64_t)d->min, (int64_t)d->max);
    double x = rint(rt_dist_draw(d, r));
    if (!(x >= 1))
        return 1;
    return x > (double)RT_MAX_REQUEST_TOKENS ? RT_MAX_REQUEST_TOKENS : (int64_t)x;
}
