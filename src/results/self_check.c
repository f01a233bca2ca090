/* The laws of self_check.h, each a lower bound of the work against an upper bound of the rate.
 *
 * Products of a token: 2 FLOPs a parameter it passes (experts it is routed to, no embedding), and
 * the LM head for each token that comes out; attention is left out. Bytes of a step: those
 * parameters once, without the head, which not every step needs; KV is counted apart. Time: the
 * seconds the cost model gave to products, or to decode attention, so that launches and host time
 * do not hide a rate that cannot be. Failures: RT_ECHECK, RT_ENOMEM. O(replicas + pools + uses). */
#include "rooftrace/self_check.h"
#include "rooftrace/cost.h"
#include "rooftrace/dtype.h"
#include "rooftrace/engine.h"
#include "rooftrace/finished.h"
#include "rooftrace/fleet.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/model.h"
#include "rooftrace/replica.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define TOLERANCE 0.01 /* datasheets round, and norms and biases count as products */
#define FINE_STEP 1024 /* batches tried one by one; beyond, by 1/256 of their size */

const char *const rt_check_names[RT_CHECK_COUNT] = {
    "flops", "bytes", "kv_bytes", "capacity", "little", "requests", "tokens",
};

static const char *const units[RT_CHECK_COUNT] = {
    "FLOP/s", "bytes/s", "bytes/s of KV", "tokens/s", "request seconds", "requests", "tokens",
};

/* What each limit is, for the message. */
static const char *const limits[RT_CHECK_COUNT] = {
    "the GPUs' peak",
    "the GPUs' memory bandwidth",
    "the GPUs' memory bandwidth",
    "the best rate of any batch",
    "the sum of the requests' own times",
    "those that arrived",
    "those the replicas gave",
};

/* Keeps the worst: what is nearest to its limit, or furthest beyond. */
static void note(struct rt_check_row *row, uint32_t pool, uint32_t replica, double value,
                 double limit)
{
    if (row->applies && !(value / limit > row->value / row->limit))
        return;
    *row = (struct rt_check_row){.applies = true,
                                 .ok = value <= limit * (1 + TOLERANCE),
                                 .pool = pool,
                                 .replica = replica,
                                 .value = value,
                                 .limit = limit};
}

/* Work over time; work in no time is an infinite rate. */
static double rate(double work, double seconds)
{
    if (!(work > 0))
        return 0;
    return seconds > 0 ? work / seconds : (double)INFINITY;
}

static double replica_gpus(const struct rt_self_check_inputs *in, uint32_t pool)
{
    return (double)rt_fleet_pool(in->fleet, pool)->gpus;
}

/* GPUs whose products a replica's seconds may stand for. Its seconds are those of the GPUs of one
 * rank, divided by the ranks; where ranks share experts, a rank that has the others' GPUs to itself
 * is faster than its own, by as many times as there are ranks. */
static double product_gpus(const struct rt_self_check_inputs *in, uint32_t pool)
{
    bool shared = rt_cost_ranks_together(rt_fleet_cost(in->fleet, pool));

    return replica_gpus(in, pool) * (shared ? (double)in->spec->pools[pool].parallel.data : 1);
}

/* Measured operators may be faster than the memory, out of a cache, and a larger batch faster than
 * a smaller one, by noise: the roofline's are not. */
static bool measured(const struct rt_self_check_inputs *in)
{
    return in->spec->cost.kind == RT_COST_PROFILE;
}

/* ---- peaks ----------------------------------------------------------------------------------- */

static void check_products(const struct rt_self_check_inputs *in, uint32_t pool, uint32_t replica,
                           struct rt_check_row rows[])
{
    const struct rt_pool_spec *spec = &in->spec->pools[pool];
    const struct rt_replica_totals *t = in->replicas[replica];
    double table = (double)spec->model.vocab * (double)spec->model.hidden;
    double body = rt_model_params_decode(&spec->model) - table; /* a tied table is the head */
    double routed = rt_model_params_routed(&spec->model, spec->model.experts_per_token);
    double bytes = (body - routed) * rt_dtype_bytes(spec->dtypes.weight) +
                   routed * rt_dtype_bytes(rt_expert_dtype(&spec->dtypes));
    double seconds = t->terms_s[RT_TERM_WEIGHTS] + t->terms_s[RT_TERM_COMPUTE];
    double gpus = product_gpus(in, pool), peak = spec->gpu.peak_flops[spec->dtypes.activation];

    if (t->steps == 0)
        return;
    if (peak > 0)
        note(&rows[RT_CHECK_FLOPS], pool, replica,
             rate(2 * (body * (double)t->computed_tokens + table * (double)t->output_tokens),
                  seconds),
             gpus * peak);
    if (measured(in))
        return;
    note(&rows[RT_CHECK_BYTES], pool, replica, rate((double)t->steps * bytes, seconds),
         gpus * spec->gpu.mem_bw_bytes_per_s);
}

/* Windows read less than the context, and a round of drafts gives several tokens for one reading.
 */
static void check_kv(const struct rt_self_check_inputs *in, uint32_t pool, double context,
                     struct rt_check_row rows[])
{
    const struct rt_pool_spec *spec = &in->spec->pools[pool];
    const struct rt_pool_plan *plan = rt_fleet_pool(in->fleet, pool);
    double bytes = context * rt_model_kv_bytes_per_token(&spec->model, spec->dtypes.kv);
    double seconds = 0;

    if (measured(in) || spec->model.window > 0 || spec->engine.speculative.draft_tokens > 0)
        return;
    for (uint32_t i = 0; i < plan->replicas; i++)
        seconds += in->replicas[plan->first_replica + i]->terms_s[RT_TERM_KV];
    note(&rows[RT_CHECK_KV_BYTES], pool, RT_NO_REPLICA, rate(bytes, seconds),
         replica_gpus(in, pool) * spec->gpu.mem_bw_bytes_per_s);
}

static bool check_peaks(const struct rt_self_check_inputs *in, struct rt_check_row rows[],
                        struct rt_err *err)
{
    uint32_t pools = rt_fleet_pools(in->fleet);
    double *context;

    if (in->spec->cost.kind == RT_COST_LINEAR)
        return true;
    context = calloc(pools + 1u, sizeof context[0]);
    if (context == NULL)
        return rt_fail_nomem(err, "self-checks");
    for (size_t i = 0; i < in->use_count; i++)
        context[in->uses[i].pool] += (double)in->uses[i].decode_context;
    for (uint32_t p = 0; p < pools; p++) {
        const struct rt_pool_plan *plan = rt_fleet_pool(in->fleet, p);
        for (uint32_t i = 0; i < plan->replicas; i++)
            check_products(in, p, plan->first_replica + i, rows);
        check_kv(in, p, context[p], rows);
    }
    free(context);
    return true;
}

/* ---- capacity -------------------------------------------------------------------------------- */

/* The least time of a batch that gives `samples` tokens: all decodes with nothing in KV, or all
 * prompts of one token, whichever is less, with no other rank at work. Whatever else a batch holds
 * makes it longer. */
static double least_ns(const struct rt_cost *cost, int64_t samples, int64_t tokens_a_round)
{
    int64_t sequences = (samples + tokens_a_round - 1) / tokens_a_round;
    struct rt_step_shape decodes = {.tokens = samples,
                                    .decodes = sequences,
                                    .sequences = sequences,
                                    .samples = samples,
                                    .group_tokens = samples,
                                    .group_largest = samples};
    struct rt_step_shape prompts = {.tokens = samples,
                                    .sequences = sequences,
                                    .samples = samples,
                                    .prefill_tokens = samples,
                                    .prefill_area = samples,
                                    .prefill_tiles = samples,
                                    .prefill_tiles2 = samples * (1 + RT_PREFILL_TILE),
                                    .prefill_longest = 1,
                                    .group_tokens = samples,
                                    .group_largest = samples};

    return fmin((double)rt_cost_step_ns(cost, &decodes), (double)rt_cost_step_ns(cost, &prompts));
}

/* Output tokens per second that no batch exceeds: max over its size of tokens / time. Times grow
 * with the size, so a range [a, b] of sizes has at most b / time(a). Infinite for a cost of 0. */
static double capacity(const struct rt_cost *cost, const struct rt_engine_spec *e)
{
    int64_t a_round = e->speculative.draft_tokens + 1, most = e->max_num_seqs * a_round, next;
    double best = 0;

    for (int64_t s = 1; s <= most; s = next) {
        next = s < FINE_STEP ? s + 1 : s + s / 256;
        double ns = least_ns(cost, s, a_round);
        if (!(ns > 0))
            return (double)INFINITY;
        best = fmax(best, (double)((next <= most ? next : most + 1) - 1) / ns * 1e9);
    }
    return best;
}

/* A linear fit that falls with something is no bound; nor are times that were measured. */
static bool grows(const struct rt_cost_spec *c)
{
    if (c->kind != RT_COST_LINEAR)
        return c->kind != RT_COST_PROFILE;
    for (int i = 0; i < 5; i++)
        if (c->coefficients_s[i] < 0)
            return false;
    return true;
}

static void check_capacity(const struct rt_self_check_inputs *in, struct rt_check_row *row)
{
    if (!grows(&in->spec->cost))
        return;
    for (uint32_t p = 0; p < rt_fleet_pools(in->fleet); p++) {
        const struct rt_pool_plan *plan = rt_fleet_pool(in->fleet, p);
        const struct rt_pool_spec *spec = &in->spec->pools[p];
        double limit = capacity(rt_fleet_cost(in->fleet, p), &spec->engine);
        if (!isfinite(limit))
            continue;
        for (uint32_t i = plan->first_replica; i < plan->first_replica + plan->replicas; i++)
            note(row, p, i,
                 rate((double)in->replicas[i]->output_tokens,
                      (double)in->replicas[i]->busy_ns / 1e9),
                 limit * (double)(spec->parallel.pipeline * spec->parallel.data));
    }
}

/* ---- laws of conservation -------------------------------------------------------------------- */

static struct rt_check_row exact(bool ok, double value, double limit)
{
    return (struct rt_check_row){.applies = true,
                                 .ok = ok,
                                 .of_run = true,
                                 .replica = RT_NO_REPLICA,
                                 .value = value,
                                 .limit = limit};
}

static void check_conservation(const struct rt_self_check_inputs *in, struct rt_check_row rows[])
{
    const struct rt_sim_totals *t = &in->totals;
    const struct rt_tally *y = in->tally;
    rt_u128 waiting = (rt_u128)y->by_status[RT_STATUS_UNFINISHED] * (uint64_t)t->now_ns;
    rt_u128 own = y->in_system_ns + t->given_up_ns + waiting - y->unfinished_arrival_ns;
    uint64_t left =
        t->finished + t->rejected + t->timed_out + t->cancelled + t->failed + t->unfinished;
    int64_t given = -t->lost_tokens; /* their answers were begun anew */

    for (uint32_t i = 0; i < rt_fleet_replicas(in->fleet); i++)
        given += in->replicas[i]->output_tokens;
    rows[RT_CHECK_LITTLE] =
        exact(t->in_flight_area == own, (double)t->in_flight_area / 1e9, (double)own / 1e9);
    rows[RT_CHECK_REQUESTS] =
        exact(y->requests == t->arrived && left == t->arrived,
              (double)(y->requests != t->arrived ? y->requests : left), (double)t->arrived);
    rows[RT_CHECK_TOKENS] =
        exact(y->produced_tokens == given, (double)y->produced_tokens, (double)given);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static bool fail_row(const struct rt_self_check_inputs *in, enum rt_check check,
                     const struct rt_check_row *row, struct rt_err *err)
{
    char where[192] = "the run";

    if (!row->of_run && row->replica == RT_NO_REPLICA)
        snprintf(where, sizeof where, "pool %s", in->spec->pools[row->pool].name);
    else if (!row->of_run)
        snprintf(where, sizeof where, "replica %u of pool %s (%lld x %.40s)", row->replica,
                 in->spec->pools[row->pool].name,
                 (long long)rt_fleet_pool(in->fleet, row->pool)->gpus,
                 in->spec->pools[row->pool].gpu.name);
    return rt_fail(err, RT_ECHECK,
                   "self-check %s: %s has %.9g %s, %.4g times %s, %.9g: constants that cannot be, "
                   "or a bug (--no-self-check lets it pass)",
                   rt_check_names[check], where, row->value, units[check], row->value / row->limit,
                   limits[check], row->limit);
}

bool rt_self_check(const struct rt_self_check_inputs *in, struct rt_check_row rows[RT_CHECK_COUNT],
                   struct rt_err *err)
{
    for (unsigned i = 0; i < RT_CHECK_COUNT; i++)
        rows[i] = (struct rt_check_row){.applies = false};
    if (!check_peaks(in, rows, err))
        return false;
    check_capacity(in, &rows[RT_CHECK_CAPACITY]);
    check_conservation(in, rows);
    for (unsigned i = 0; i < RT_CHECK_COUNT; i++)
        if (rows[i].applies && !rows[i].ok)
            return fail_row(in, (enum rt_check)i, &rows[i], err);
    return true;
}
