/* What the finished requests of a trial say about the objectives.
 *
 * Verdicts rest on counts: with ranks low and high of interval.h, an objective passes when at least
 * `high` of n requests are in time, fails when fewer than `low` are, else it is undecided. Values
 * go to histograms, one a block of the trace, which show the interval in seconds (within 0.1 %) and
 * how much requests of a block are alike. A trial is lost as soon as more requests are late than a
 * fail needs even if all requests of a block were one observation. Memory: a histogram a block and
 * objective, whatever the trace's length. O(1) a request. */
#include "size_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TICKS   1e9    /* of a second, and of the share of several limits */
#define FINE    1e12   /* of a second, for TPOT: single gaps are short */
#define FOREVER 4.6e18 /* ticks beyond stand for "never" */

static bool only_tpot(const struct rt_objective *o)
{
    return isnan(o->limit.ttft_s) && isnan(o->limit.e2e_s);
}

static unsigned limits_of(const struct rt_objective *o)
{
    return (isnan(o->limit.ttft_s) ? 0u : 1u) + (isnan(o->limit.tpot_s) ? 0u : 1u) +
           (isnan(o->limit.e2e_s) ? 0u : 1u);
}

static double limit_of(const struct rt_objective *o)
{
    if (limits_of(o) > 1)
        return 1;
    return !isnan(o->limit.ttft_s)   ? o->limit.ttft_s
           : !isnan(o->limit.tpot_s) ? o->limit.tpot_s
                                     : o->limit.e2e_s;
}

static double ticks_of(const struct rt_objective *o)
{
    return only_tpot(o) && limits_of(o) == 1 ? FINE : TICKS;
}

/* The 0-based rank of a percentile's lower neighbour, numpy's default. */
static double lower_rank(double share, uint64_t n)
{
    return floor(share * (double)(n - 1));
}

/* How many may be late so that the estimate holds whatever the values. */
static uint64_t allowed_late(const struct rt_objective *o, uint64_t n)
{
    if (n == 0)
        return 0;
    if (o->attainment) /* the small part keeps 1 - 0.99 of 100 from becoming 0.99999 */
        return (uint64_t)floor((1 - o->share) * (double)n + 1e-9 * (double)n);
    return n - 1 - (uint64_t)ceil(o->share * (double)(n - 1));
}

/* Late requests from which on the objective is missed, whatever comes: n is at least as many
 * requests as there will be. */
static uint64_t lost_at(const struct rt_size_plan *plan, const struct rt_objective *o, uint64_t n,
                        unsigned blocks)
{
    struct rt_rank_bounds worst;

    if (plan->point)
        return o->attainment ? allowed_late(o, n) + 1 : n - (uint64_t)lower_rank(o->share, n);
    if (o->class_name[0] != '\0' || plan->candidates[0].scenario.has_measure)
        return UINT64_MAX; /* blocks may be empty: no bound on what the others are worth */
    worst = rt_quantile_ranks(n, fmin(blocks, (double)n), o->share, plan->confidence);
    return worst.low > 0 ? n - worst.low + 1 : UINT64_MAX;
}

static int64_t to_ns(double seconds)
{
    return seconds >= 9.2e9 ? INT64_MAX : (int64_t)nearbyint(seconds * 1e9);
}

bool size_judge_init(struct size_judge *j, const struct rt_size_plan *plan,
                     const struct size_traffic *traffic)
{
    const struct rt_scenario *s = &plan->candidates[0].scenario;

    *j = (struct size_judge){.plan = plan, .traffic = traffic, .to_ns = INT64_MAX};
    j->frontend_ns = to_ns(s->frontend_s);
    if (s->has_measure) {
        j->from_ns = to_ns(s->measure_s[0]);
        j->to_ns = to_ns(s->measure_s[1]);
    }
    j->blocks = (SIZE_BLOCKS + plan->seeds - 1) / plan->seeds;
    for (unsigned i = 0; i < plan->objective_count; i++) {
        struct size_tally *t = &j->tallies[i];
        t->worst_good = -HUGE_VAL;
        t->least_late = HUGE_VAL;
        t->lost_at = lost_at(plan, &plan->objectives[i], traffic->requests * plan->seeds,
                             j->blocks * plan->seeds);
        t->blocks = calloc(j->blocks, sizeof t->blocks[0]);
        for (unsigned b = 0; t->blocks && b < j->blocks; b++)
            if (!rt_hist_init(&t->blocks[b]))
                return false;
        if (!t->blocks)
            return false;
    }
    return true;
}

void size_judge_release(struct size_judge *j)
{
    for (unsigned i = 0; i < RT_SIZE_MAX_OBJECTIVES; i++) {
        struct size_tally *t = &j->tallies[i];
        for (unsigned b = 0; t->blocks && b < j->blocks; b++)
            rt_hist_release(&t->blocks[b]);
        free(t->blocks);
        t->blocks = NULL;
    }
}

/* ---- a request ---- */

struct times { /* seconds; NaN: one token has no TPOT */
    double ttft, tpot, e2e;
};

static struct times times_of(const struct rt_finished *r, int64_t frontend_ns)
{
    struct times t = {(double)(r->first_token_ns - r->arrival_ns + frontend_ns) / 1e9, (double)NAN,
                      (double)(r->finish_ns - r->arrival_ns + frontend_ns) / 1e9};

    if (r->output_tokens > 1)
        t.tpot = (double)(r->finish_ns - r->first_token_ns) / (double)(r->output_tokens - 1) / 1e9;
    return t;
}

/* The value an objective is about: a time, or the largest share of several limits. NaN: none. */
static double value_of(const struct rt_objective *o, const struct times *t)
{
    double tpot = isnan(t->tpot) && o->attainment ? 0 : t->tpot;

    if (limits_of(o) > 1)
        return fmax(fmax(t->ttft / o->limit.ttft_s, tpot / o->limit.tpot_s),
                    t->e2e / o->limit.e2e_s); /* fmax passes over NaN */
    return !isnan(o->limit.ttft_s) ? t->ttft : !isnan(o->limit.tpot_s) ? tpot : t->e2e;
}

static void add(struct size_tally *t, const struct rt_objective *o, double value, unsigned block)
{
    double ticks = value * ticks_of(o);

    t->requests++;
    if (value <= limit_of(o)) {
        t->worst_good = fmax(t->worst_good, value);
    } else {
        t->late++;
        t->least_late = fmin(t->least_late, value);
    }
    rt_hist_add(&t->blocks[block], ticks < FOREVER ? (int64_t)nearbyint(ticks) : INT64_MAX, 1);
}

static unsigned block_of(const struct size_judge *j, uint64_t id)
{
    const struct size_traffic *t = j->traffic;
    double place = (double)(id - t->first_id) / ((double)(t->last_id - t->first_id) + 1);
    unsigned block = (unsigned)(fmax(place, 0) * j->blocks);

    return block < j->blocks ? block : j->blocks - 1;
}

static void judge_row(struct size_judge *j, const struct rt_finished *r)
{
    struct times times;
    bool ok = r->status == RT_STATUS_OK;

    if (r->arrival_ns < j->from_ns || r->arrival_ns >= j->to_ns)
        return;
    if (ok)
        times = times_of(r, j->frontend_ns);
    for (unsigned i = 0; i < j->plan->objective_count; i++) {
        const struct rt_objective *o = &j->plan->objectives[i];
        uint32_t of_class = j->traffic->class_of[i];
        double value = ok ? value_of(o, &times) : HUGE_VAL;
        if (isnan(value) || (of_class != RT_NO_NAME && of_class != r->class_name))
            continue;
        add(&j->tallies[i], o, value, block_of(j, r->id));
        j->lost = j->lost || j->tallies[i].late >= j->tallies[i].lost_at;
    }
}

bool size_judge_watch(void *judge, const struct rt_finished *rows, size_t count)
{
    struct size_judge *j = judge;

    for (size_t i = 0; i < count; i++)
        judge_row(j, &rows[i]);
    return !j->lost;
}

/* ---- a verdict ---- */

static uint64_t count_above(const struct rt_hist *h, uint32_t bucket)
{
    uint64_t above = 0;

    if (h->count == 0)
        return 0;
    for (uint32_t b = bucket + 1; b <= rt_hist_bucket(h->max); b++)
        above += h->counts[b];
    return above;
}

/* Independent requests that all of them are worth, at this quantile. */
static double effective_size(const struct size_judge *judges, unsigned count, unsigned objective,
                             const struct rt_hist *all)
{
    const struct rt_size_plan *plan = judges[0].plan;
    double at = rt_hist_quantile(all, plan->objectives[objective].share);
    uint32_t bucket = rt_hist_bucket(at < FOREVER ? (int64_t)at : INT64_MAX);
    unsigned blocks = judges[0].blocks * count, n = 0;
    struct rt_block *list = calloc((size_t)blocks + 1, sizeof list[0]);
    double size = -1;

    if (!list)
        return size;
    for (unsigned j = 0; j < count; j++)
        for (unsigned b = 0; b < judges[j].blocks; b++) {
            const struct rt_hist *h = &judges[j].tallies[objective].blocks[b];
            list[n++] = (struct rt_block){h->count, count_above(h, bucket)};
        }
    size = rt_effective_size(list, blocks, plan->confidence);
    free(list);
    return size;
}

static double rank_value(const struct rt_hist *h, double rank, double ticks)
{
    double value;

    if (h->count == 0 || rank < 1)
        return 0;
    if (rank > (double)h->count)
        return HUGE_VAL;
    value = rt_hist_quantile(h, h->count > 1 ? (rank - 1) / (double)(h->count - 1) : 0);
    return value < FOREVER ? value / ticks : HUGE_VAL;
}

/* value <= limit, exactly: by counts, and by the two values between which the percentile lies. */
static bool estimate_holds(const struct rt_objective *o, const struct size_tally *t)
{
    uint64_t n = t->requests;
    double rank;

    if (n == 0)
        return false;
    if (t->late <= allowed_late(o, n))
        return true;
    if (o->attainment || (double)(n - t->late) < lower_rank(o->share, n) + 1)
        return false;
    rank = o->share * (double)(n - 1);
    return t->worst_good + (t->least_late - t->worst_good) * (rank - floor(rank)) <= limit_of(o);
}

/* Histograms know values within 0.1 %: a printed one must not contradict the counts. */
static double on_side(double value, double limit, bool below)
{
    return below ? fmin(value, limit) : fmax(value, limit * (1 + 1e-12));
}

static void fill(struct rt_size_check *c, const struct rt_objective *o, const struct rt_hist *all,
                 const struct rt_size_plan *plan)
{
    struct rt_rank_bounds ranks =
        rt_quantile_ranks(c->requests, c->effective, o->share, plan->confidence);
    uint64_t in_time = c->requests - c->late;
    double ticks = ticks_of(o), at = o->share * ((double)c->requests - 1) + 1;

    c->value = on_side(rank_value(all, at, ticks), c->limit, c->estimate_holds);
    c->low = on_side(rank_value(all, (double)ranks.low, ticks), c->limit, in_time >= ranks.low);
    c->high = on_side(rank_value(all, (double)ranks.high, ticks), c->limit, in_time >= ranks.high);
    if (plan->point)
        c->verdict = c->estimate_holds ? RT_VERDICT_PASS : RT_VERDICT_FAIL;
    else if (in_time >= ranks.high)
        c->verdict = RT_VERDICT_PASS;
    else
        c->verdict = in_time < ranks.low ? RT_VERDICT_FAIL : RT_VERDICT_UNDECIDED;
}

static void add_tally(struct size_tally *into, const struct size_tally *t)
{
    into->requests += t->requests;
    into->late += t->late;
    into->worst_good = fmax(into->worst_good, t->worst_good);
    into->least_late = fmin(into->least_late, t->least_late);
}

static bool check(const struct size_judge *judges, unsigned count, unsigned objective,
                  struct rt_size_trial *trial)
{
    const struct rt_objective *o = &judges[0].plan->objectives[objective];
    struct rt_size_check *c = &trial->checks[objective];
    struct size_tally sum = {.worst_good = -HUGE_VAL, .least_late = HUGE_VAL};
    struct rt_hist all;

    if (!rt_hist_init(&all))
        return false;
    for (unsigned j = 0; j < count; j++) {
        add_tally(&sum, &judges[j].tallies[objective]);
        for (unsigned b = 0; b < judges[j].blocks; b++)
            rt_hist_merge(&all, &judges[j].tallies[objective].blocks[b]);
    }
    *c = (struct rt_size_check){.text = o->text, .requests = sum.requests, .late = sum.late};
    c->allowed = allowed_late(o, sum.requests);
    c->limit = limit_of(o);
    c->estimate_holds = !trial->stopped && estimate_holds(o, &sum);
    c->effective = sum.requests > 0 ? effective_size(judges, count, objective, &all) : 0;
    if (trial->stopped) {
        c->value = c->low = c->high = (double)NAN;
        c->verdict = sum.late >= judges[0].tallies[objective].lost_at ? RT_VERDICT_FAIL
                                                                      : RT_VERDICT_UNDECIDED;
    } else {
        fill(c, o, &all, judges[0].plan);
    }
    rt_hist_release(&all);
    return c->effective >= 0;
}

/* How far a check is from its limit; of a stopped trial by the requests that were late. */
static double ratio(const struct rt_size_check *c)
{
    if (isnan(c->value))
        return c->verdict == RT_VERDICT_FAIL ? HUGE_VAL : 0;
    return c->value / c->limit;
}

bool size_judge_verdict(struct size_judge *judges, unsigned count, struct rt_size_trial *trial)
{
    bool undecided = false;

    trial->stopped = false;
    for (unsigned j = 0; j < count; j++)
        trial->stopped = trial->stopped || judges[j].lost;
    trial->verdict = RT_VERDICT_PASS;
    trial->worst = 0;
    for (unsigned i = 0; i < judges[0].plan->objective_count; i++) {
        if (!check(judges, count, i, trial))
            return false;
        if (trial->checks[i].verdict == RT_VERDICT_FAIL)
            trial->verdict = RT_VERDICT_FAIL;
        undecided = undecided || trial->checks[i].verdict == RT_VERDICT_UNDECIDED;
        if (ratio(&trial->checks[i]) > ratio(&trial->checks[trial->worst]))
            trial->worst = i;
    }
    if (undecided && trial->verdict == RT_VERDICT_PASS)
        trial->verdict = RT_VERDICT_UNDECIDED;
    return true;
}
