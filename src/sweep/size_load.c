/* How loaded a fleet was, and what holds it back.
 *
 * What binds is a reading of figures, not a measurement; the rules stand in docs/sizing.md and in
 * size_load_binds, in the order in which they apply. O(samples + replicas). */
#include "rooftrace/fleet.h"
#include "rooftrace/replica.h"
#include "rooftrace/supply_spec.h"
#include "size_internal.h"

#include <math.h>

#define FULL      0.9 /* of KV blocks, of seats, of the time */
#define MOSTLY    0.5 /* of TTFT at its P99 spent in the queue */
#define DISTURBED 1.5 /* TPOT against that of the same decodes alone */

static void read_replicas(struct rt_trial *t, struct rt_size_trial *trial)
{
    const struct rt_fleet *fleet = rt_sim_fleet(rt_trial_sim(t));
    double busy = 0, kv_blocks = (double)rt_fleet_pool(fleet, 0)->kv_blocks;
    uint32_t count = rt_fleet_replicas(fleet);
    struct rt_sim_totals totals = rt_sim_totals(rt_trial_sim(t));

    for (uint32_t i = 0; i < count; i++) {
        const struct rt_replica_totals *r = rt_replica_totals(rt_fleet_replica(fleet, i));
        busy += (double)r->busy_ns;
        trial->kv_peak_share = fmax(trial->kv_peak_share, (double)r->kv_blocks_peak / kv_blocks);
    }
    trial->busy_share = busy / fmax((double)totals.now_ns * count, 1);
}

/* Means over the samples at which somebody waited; 0 where nobody ever did. */
static double read_waits(struct rt_trial *t, const struct rt_scenario *s,
                         struct rt_size_trial *trial)
{
    const struct rt_fleet *fleet = rt_sim_fleet(rt_trial_sim(t));
    double replicas = rt_fleet_replicas(fleet) - (double)rt_pool_down(&s->fleet.pools[0]);
    double most = 0, kv = 0, running = 0;
    size_t count, waits = 0;
    const struct rt_sample *samples = rt_sim_samples(rt_trial_sim(t), &count);

    for (size_t i = 0; i < count; i++) {
        most = fmax(most, samples[i].running);
        if (samples[i].waiting < 1)
            continue;
        waits++;
        kv += samples[i].kv_blocks_used;
        running += samples[i].running;
    }
    if (waits > 0) {
        double blocks = replicas * (double)rt_fleet_pool(fleet, 0)->kv_blocks;
        double seats = replicas * (double)s->fleet.pools[0].engine.max_num_seqs;
        trial->wait_kv_share = kv / (double)waits / blocks;
        trial->wait_seats_share = running / (double)waits / seats;
    }
    return most / replicas;
}

static void read_metrics(const struct rt_metrics_result *m, struct rt_size_trial *trial)
{
    double queue = 0;

    trial->ttft_p99_s = trial->tpot_p99_s = trial->tokens_per_s_per_user = (double)NAN;
    for (size_t i = 0; i < m->row_count; i++) {
        const struct rt_metric_row *r = &m->rows[i];
        if (r->window != RT_WINDOW_RUN || r->class_name != RT_NO_NAME || r->count == 0)
            continue;
        if (r->metric == RT_METRIC_TTFT)
            trial->ttft_p99_s = r->p99;
        if (r->metric == RT_METRIC_QUEUE)
            queue = r->p99;
        if (r->metric == RT_METRIC_TPOT) {
            trial->tpot_p99_s = r->p99;
            trial->tokens_per_s_per_user = r->p50 > 0 ? 1 / r->p50 : (double)NAN;
        }
    }
    trial->queue_share = trial->ttft_p99_s > 0 ? fmin(queue / trial->ttft_p99_s, 1) : 0;
}

bool size_load_read(struct rt_trial *t, const struct rt_scenario *s,
                    const struct size_traffic *traffic, struct rt_size_trial *trial,
                    struct rt_err *err)
{
    struct rt_metrics_result m;
    struct rt_sim_totals totals = rt_sim_totals(rt_trial_sim(t));
    double running;

    if (!rt_trial_metrics(t, &m, err))
        return false;
    read_replicas(t, trial);
    running = read_waits(t, s, trial);
    read_metrics(&m, trial);
    trial->decode_s = size_decode_s(rt_sim_fleet(rt_trial_sim(t)), s, traffic,
                                    (int64_t)fmax(nearbyint(running), 1));
    trial->tokens_per_s_per_gpu = (double)m.tally.output_tokens /
                                  fmax((double)totals.now_ns / 1e9, 1e-9) / (double)trial->gpus;
    return true;
}

static enum rt_binds of_waiting(const struct rt_size_trial *t)
{
    if (t->wait_kv_share >= FULL)
        return RT_BINDS_KV;
    if (t->wait_seats_share >= FULL)
        return RT_BINDS_SEATS;
    return t->load_share >= FULL || t->queue_share < MOSTLY ? RT_BINDS_COMPUTE : RT_BINDS_QUEUEING;
}

void size_load_binds(struct rt_size_trial *t, const struct rt_size_plan *plan)
{
    const struct rt_slo *limit = &plan->objectives[t->worst].limit;

    if (isnan(limit->tpot_s) || t->load_share >= FULL || isnan(t->tpot_p99_s) ||
        (!isnan(limit->ttft_s) && t->ttft_p99_s > limit->ttft_s))
        t->binds = of_waiting(t);
    else
        t->binds = t->tpot_p99_s > DISTURBED * t->decode_s ? RT_BINDS_PREFILL : RT_BINDS_BANDWIDTH;
}
