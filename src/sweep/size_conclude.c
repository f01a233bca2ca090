/* What the searches came to: a row a candidate with its reason, the cheapest that holds, the
 * dearest fleet below it that was tried and does not. O(trials). */
#include "rooftrace/fleet_spec.h"
#include "size_driver_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* By price, those without one after the others, then by GPUs. */
static bool cheaper(const struct rt_size_trial *a, const struct rt_size_trial *b)
{
    if (isnan(a->usd_per_h) != isnan(b->usd_per_h))
        return isnan(b->usd_per_h);
    if (!isnan(a->usd_per_h) && a->usd_per_h != b->usd_per_h)
        return a->usd_per_h < b->usd_per_h;
    return a->gpus < b->gpus;
}

static const struct rt_size_trial *best_of(const struct rt_size *s, int row)
{
    const struct size_search *search = &s->units[row].search;

    return search->best >= 0 ? &search->trials[search->best] : NULL;
}

/* In a rate search the highest rate wins, whatever the price. */
static bool better(const struct rt_size *s, const struct rt_size_trial *a,
                   const struct rt_size_trial *b)
{
    if (s->plan->max_rate && a->rate != b->rate)
        return a->rate > b->rate;
    return cheaper(a, b);
}

static void choose(struct rt_size *s)
{
    struct rt_size_result *r = &s->result;

    r->chosen = -1;
    for (unsigned i = 0; i < r->count; i++) {
        const struct rt_size_trial *t = best_of(s, (int)i);
        if (t && (r->chosen < 0 || better(s, t, best_of(s, r->chosen))))
            r->chosen = (int)i;
    }
}

static void find_cheaper(struct rt_size *s)
{
    struct rt_size_result *r = &s->result;
    const struct rt_size_trial *best = r->chosen >= 0 ? best_of(s, r->chosen) : NULL;
    const struct rt_size_trial *dearest = NULL;

    r->cheaper_row = r->cheaper_trial = -1;
    for (unsigned i = 0; best && !s->plan->max_rate && i < r->count; i++)
        for (unsigned k = 0; k < s->units[i].search.count; k++) {
            const struct rt_size_trial *t = &s->units[i].search.trials[k];
            if (!cheaper(t, best) || size_search_holds(&s->units[i].search, t) ||
                (dearest && !cheaper(dearest, t)))
                continue;
            dearest = t;
            r->cheaper_row = (int)i;
            r->cheaper_trial = (int)k;
        }
}

/* "p99_ttft:500ms is 812 ms", or how many are late. */
static void tell_check(const struct rt_size_check *c, char *out, size_t size)
{
    double late = 100 * (double)c->late / fmax((double)c->requests, 1);

    if (isnan(c->value))
        snprintf(out, size, "%s: %" PRIu64 " requests late when it was stopped", c->text, c->late);
    else if (isinf(c->value))
        snprintf(out, size, "%s: %.3g %% of the requests never finish", c->text, late);
    else
        snprintf(out, size, "%s: %.4g of the limit, %.3g %% of the requests late", c->text,
                 c->value / c->limit, late);
}

static void tell_miss(const struct size_search *search, char *out, size_t size)
{
    const struct rt_size_trial *t = &search->trials[search->next];
    char what[RT_SIZE_TEXT + 96];

    tell_check(&t->checks[t->worst], what, sizeof what);
    snprintf(out, size, "%s at %" PRId64 " replicas%s (%s); %s",
             t->verdict == RT_VERDICT_FAIL ? "fails" : "undecided", t->replicas,
             search->precision > 0 ? " and the lowest rate" : "", what, rt_binds_names[t->binds]);
}

static void tell_reason(const struct rt_size *s, unsigned i, struct rt_size_row *row)
{
    const struct size_search *search = &s->units[i].search;
    const struct rt_size_trial *best = best_of(s, (int)i);
    const struct rt_size_trial *chosen =
        s->result.chosen >= 0 ? best_of(s, s->result.chosen) : NULL;

    if (s->units[i].infeasible) {
        memcpy(row->reason, s->units[i].reason, sizeof row->reason);
    } else if (!best && search->next >= 0) {
        tell_miss(search, row->reason, sizeof row->reason);
    } else if (!best || best == chosen) {
        snprintf(row->reason, sizeof row->reason, "%s",
                 s->plan->max_rate ? "highest rate that holds" : "cheapest that holds");
    } else if (s->plan->max_rate) {
        snprintf(row->reason, sizeof row->reason, "holds %.4g times the traffic, the best %.4g",
                 best->rate, chosen->rate);
    } else if (isnan(best->usd_per_h) && best->gpus == chosen->gpus) {
        snprintf(row->reason, sizeof row->reason, "as many GPUs, listed later");
    } else if (isnan(best->usd_per_h) || isnan(chosen->usd_per_h)) {
        snprintf(row->reason, sizeof row->reason, "%" PRId64 " GPUs against %" PRId64, best->gpus,
                 chosen->gpus);
    } else if (best->usd_per_h == chosen->usd_per_h) {
        snprintf(row->reason, sizeof row->reason, "costs the same, listed later");
    } else {
        snprintf(row->reason, sizeof row->reason, "dearer: %.2f $/h against %.2f", best->usd_per_h,
                 chosen->usd_per_h);
    }
}

static enum rt_verdict verdict_of(const struct unit *u)
{
    const struct size_search *search = &u->search;

    if (u->infeasible)
        return RT_VERDICT_INFEASIBLE;
    if (search->best >= 0)
        return search->trials[search->best].verdict;
    for (unsigned i = 0; i < search->count; i++)
        if (search->trials[i].verdict == RT_VERDICT_UNDECIDED)
            return RT_VERDICT_UNDECIDED;
    return RT_VERDICT_FAIL;
}

static void fill_row(struct rt_size *s, unsigned i)
{
    const struct unit *u = &s->units[i];
    const struct rt_pool_spec *pool = &u->candidate->scenario.fleet.pools[0];
    struct rt_size_row *row = &s->rows[i];

    *row = (struct rt_size_row){.name = u->candidate->name,
                                .gpu = pool->gpu.name,
                                .tensor_parallel = pool->parallel.tensor,
                                .gpus = u->gpus,
                                .verdict = verdict_of(u),
                                .trials = u->search.trials,
                                .trial_count = u->search.count,
                                .best = u->search.best,
                                .next = u->search.next,
                                .monotone = u->search.monotone};
    tell_reason(s, i, row);
}

static void tell_headroom(struct rt_size *s)
{
    struct rt_size_result *r = &s->result;

    r->headroom_rate = (double)NAN;
    if (s->unit_count > s->plan->candidate_count) {
        const struct size_search *search = &s->units[s->plan->candidate_count].search;
        r->headroom_rate = search->best >= 0 ? search->trials[search->best].rate : (double)NAN;
        r->headroom_open = search->best >= 0 && search->next < 0;
    }
}

void size_conclude(struct rt_size *s)
{
    struct rt_size_result *r = &s->result;

    r->rows = s->rows;
    r->count = s->plan->candidate_count;
    r->check_count = s->plan->objective_count;
    r->max_rate = s->plan->max_rate;
    r->confidence = s->plan->confidence;
    r->point = s->plan->point;
    r->requests = s->traffic[0].requests;
    choose(s);
    find_cheaper(s);
    tell_headroom(s);
    for (unsigned i = 0; i < r->count; i++)
        fill_row(s, i);
}
