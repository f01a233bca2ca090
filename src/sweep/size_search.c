/* Where to look next: the least number of replicas, or the highest rate, that holds.
 *
 * Both assume that more replicas, or less traffic, never hurt. Replicas: from the guess up by
 * doubling (the second miss goes to the maximum: if that misses too nothing helps) or down by
 * quarters, then between the largest miss and the smallest hit above it until they are neighbours;
 * then the neighbour above the hit is tried. If that misses the assumption is wrong here, and the
 * search goes on above: the answer is the count from which on everything that was tried holds.
 * Rates: from 1 up or
 * down by doubling, then by geometric means until the two are within the precision. O(log range)
 * trials. */
#include "size_internal.h"

#include <math.h>

#define STEEP    4 /* between counts further apart go by their geometric mean */
#define MAX_RATE 1048576.0

bool size_search_holds(const struct size_search *s, const struct rt_size_trial *t)
{
    if (t->verdict == RT_VERDICT_PASS)
        return true;
    if (s->passable || t->stopped || t->verdict == RT_VERDICT_FAIL)
        return false;
    for (unsigned i = 0; i < s->plan->objective_count; i++)
        if (!t->checks[i].estimate_holds)
            return false;
    return true;
}

/* ---- replicas ---- */

/* next: the largest that does not hold, best: the smallest above it that does; -1. */
static void bracket_replicas(struct size_search *s)
{
    s->best = s->next = -1;
    s->monotone = true;
    for (unsigned i = 0; i < s->count; i++)
        if (!size_search_holds(s, &s->trials[i]) &&
            (s->next < 0 || s->trials[i].replicas > s->trials[s->next].replicas))
            s->next = (int)i;
    for (unsigned i = 0; i < s->count; i++) {
        if (!size_search_holds(s, &s->trials[i]))
            continue;
        if (s->next >= 0 && s->trials[i].replicas < s->trials[s->next].replicas)
            s->monotone = false;
        else if (s->best < 0 || s->trials[i].replicas < s->trials[s->best].replicas)
            s->best = (int)i;
    }
}

static bool tried(const struct size_search *s, int64_t replicas)
{
    for (unsigned i = 0; i < s->count; i++)
        if (s->trials[i].replicas == replicas)
            return true;
    return false;
}

static int64_t clamp(const struct size_search *s, int64_t replicas)
{
    return replicas < s->min ? s->min : replicas > s->max ? s->max : replicas;
}

/* Nothing holds yet; 0: nothing will. */
static int64_t look_above(const struct size_search *s)
{
    int64_t missed = s->next < 0 ? 0 : s->trials[s->next].replicas;

    if (missed == 0)
        return clamp(s, s->guess);
    if (missed >= s->max)
        return 0;
    return s->count == 1 ? clamp(s, 2 * missed) : s->max;
}

/* Between a miss, or the minimum, and the hit; 0: they are neighbours. */
static int64_t look_between(const struct size_search *s)
{
    int64_t hit = s->trials[s->best].replicas;
    int64_t missed = s->next < 0 ? s->min - 1 : s->trials[s->next].replicas;

    if (hit - missed <= 1)
        return 0;
    if (s->next < 0)
        return clamp(s, hit - (hit / 4 > 1 ? hit / 4 : 1));
    if (hit <= STEEP * missed)
        return missed + (hit - missed) / 2;
    int64_t middle = (int64_t)sqrt((double)hit * (double)missed);
    return middle > missed ? middle : missed + 1;
}

static bool next_replicas(struct size_search *s, struct size_point *at)
{
    bracket_replicas(s);
    at->rate = 1;
    at->replicas = s->best < 0 ? look_above(s) : look_between(s);
    if (at->replicas > 0)
        return true;
    if (s->best < 0 || s->trials[s->best].replicas >= s->max)
        return false;
    at->replicas = s->trials[s->best].replicas + 1;
    return !tried(s, at->replicas);
}

/* ---- rates ---- */

/* *best: the highest rate that holds below *next, the lowest that does not. */
static void bracket_rates(struct size_search *s)
{
    s->best = s->next = -1;
    for (unsigned i = 0; i < s->count; i++)
        if (!size_search_holds(s, &s->trials[i]) &&
            (s->next < 0 || s->trials[i].rate < s->trials[s->next].rate))
            s->next = (int)i;
    for (unsigned i = 0; i < s->count; i++)
        if (size_search_holds(s, &s->trials[i]) &&
            (s->next < 0 || s->trials[i].rate < s->trials[s->next].rate) &&
            (s->best < 0 || s->trials[i].rate > s->trials[s->best].rate))
            s->best = (int)i;
}

/* Four digits are enough to tell rates apart and short to read. */
static double neat(double rate)
{
    double unit = pow(10, floor(log10(rate)) - 3);

    return nearbyint(rate / unit) * unit;
}

static bool next_rate(struct size_search *s, struct size_point *at)
{
    double hit, missed;

    bracket_rates(s);
    s->monotone = true;
    at->replicas = s->min;
    at->rate = 1;
    if (s->count == 0)
        return true;
    if (s->next < 0) {
        at->rate = 2 * s->trials[s->best].rate;
        return at->rate <= s->max_rate;
    }
    missed = s->trials[s->next].rate;
    if (s->best < 0) {
        at->rate = missed / 2;
        return at->rate >= 1 / MAX_RATE;
    }
    hit = s->trials[s->best].rate;
    at->rate = neat(sqrt(hit * missed));
    return missed > hit * (1 + s->precision) && at->rate > hit && at->rate < missed;
}

bool size_search_next(struct size_search *s, struct size_point *at)
{
    return s->precision > 0 ? next_rate(s, at) : next_replicas(s, at);
}
