/* One trial: requests are pulled from the source, replayed, counted and written, chunk by chunk.
 *
 * An output file of its own is opened when the first rows are there, so bad input found before
 * leaves nothing behind; in a store that trials share the run begins at once. After that every end
 * of the run is written down: complete, interrupted or failed, and what was in flight then has rows
 * with status `unfinished`. Memory: one chunk here, a bounded queue in the store. */
#include "rooftrace/trial.h"
#include "rooftrace/cost.h"
#include "rooftrace/explain.h"
#include "rooftrace/finished.h"
#include "rooftrace/fleet.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/replica.h"
#include "rooftrace/step_list.h"
#include "rooftrace/supply.h"
#include "rooftrace/supply_spec.h"
#include "rooftrace/token_stats.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROWS_A_CHUNK 8192

struct rt_trial {
    const struct rt_scenario *scenario;
    struct rt_trial_options options;
    struct rt_sim *sim;
    struct rt_metrics *metrics;
    struct rt_store *store; /* NULL until the run begins, or without an output */
    bool run_open;          /* begun and not ended */
    struct rt_finished_list rows;
    struct rt_step_list steps; /* when wanted */
    struct timespec started;
    int64_t run_id;
    struct rt_check_row checks[RT_CHECK_COUNT];
    bool checked;
};

static double wall_seconds(const struct rt_trial *t)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - t->started.tv_sec) +
           1e-9 * (double)(now.tv_nsec - t->started.tv_nsec);
}

static struct rt_run_pool *describe_pools(const struct rt_trial *t, uint32_t *count)
{
    const struct rt_fleet *fleet = rt_sim_fleet(t->sim);
    *count = rt_fleet_pools(fleet);
    struct rt_run_pool *pools = calloc(*count, sizeof pools[0]);
    for (uint32_t p = 0; pools && p < *count; p++) {
        pools[p] = (struct rt_run_pool){.spec = &t->scenario->fleet.pools[p],
                                        .plan = *rt_fleet_pool(fleet, p)};
        if (t->scenario->fleet.cost.kind == RT_COST_PROFILE)
            rt_cost_step_sources(rt_fleet_cost(fleet, p), NULL, &pools[p].sources);
    }
    return pools;
}

/* What can be said of pools that could not be built: no memory plan, no KV blocks. */
static struct rt_run_pool *describe_specs(const struct rt_fleet_spec *fleet)
{
    struct rt_run_pool *pools = calloc(fleet->pool_count, sizeof pools[0]);
    uint32_t first = 0;
    for (uint32_t p = 0; pools && p < fleet->pool_count; p++) {
        const struct rt_pool_spec *s = &fleet->pools[p];
        pools[p].spec = s;
        pools[p].plan.max_num_batched_tokens = s->engine.max_num_batched_tokens;
        pools[p].plan.gpus = s->parallel.tensor * s->parallel.pipeline * s->parallel.data;
        pools[p].plan.first_replica = first;
        pools[p].plan.replicas = (uint32_t)rt_pool_slots(s);
        first += pools[p].plan.replicas;
    }
    return pools;
}

static struct rt_run_start describe_run(const struct rt_scenario *s,
                                        const struct rt_trial_options *o)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    bool made = s->workload.synthetic.requests > 0;
    return (struct rt_run_start){
        .label = o->label,
        .trace = made ? s->workload.synthetic.like.path : s->workload.trace,
        .trace_format = made                        ? "synthetic"
                        : s->workload.mix_count > 0 ? "mix"
                                                    : s->workload.format,
        .version = RT_VERSION,
        .of_plan = o->of_plan,
        .started_unix_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
        .scenario = s,
        .no_requests = o->discard_rows,
        .sample_requests = o->sample_requests,
        .steps = o->steps,
    };
}

/* Adds scenario and pools, which it frees. */
static bool begin(struct rt_store *store, struct rt_run_start *start, struct rt_run_pool *pools,
                  int64_t *run_id, struct rt_err *err)
{
    char *json = rt_scenario_print(start->scenario);
    start->scenario_json = json;
    start->pools = pools;
    bool ok = json && pools ? rt_store_begin(store, start, run_id, err)
                            : rt_fail_nomem(err, "the description of the run");
    free(json);
    free(pools);
    return ok;
}

bool rt_trial_refuse(const struct rt_scenario *s, const struct rt_trial_options *o, const char *why,
                     struct rt_err *err)
{
    struct rt_run_start start = describe_run(s, o);
    int64_t run_id = 0;
    start.pool_count = s->fleet.pool_count;
    return begin(o->store, &start, describe_specs(&s->fleet), &run_id, err) &&
           rt_store_fail(o->store, run_id, why, err);
}

static bool begin_run(struct rt_trial *t, struct rt_err *err)
{
    t->store = t->options.store;
    if (!t->store && !rt_store_open(t->options.output, &t->store, err))
        return false;
    struct rt_run_start start = describe_run(t->scenario, &t->options);
    const char *recognised = rt_source_stats(rt_sim_source(t->sim))->format;
    if (recognised != NULL && t->scenario->workload.trace != NULL)
        start.trace_format = recognised;
    start.source = rt_sim_source(t->sim);
    bool ok = begin(t->store, &start, describe_pools(t, &start.pool_count), &t->run_id, err);
    t->run_open = ok;
    return ok;
}

/* The source is taken, whatever happens. */
static bool build(struct rt_trial *t, struct rt_source *source, struct rt_err *err)
{
    return rt_sim_new(t->scenario, source, &t->sim, err) &&
           rt_metrics_new(t->scenario, RT_METRIC_EXACT, &t->metrics, err) &&
           (t->options.store == NULL || begin_run(t, err));
}

bool rt_trial_new(const struct rt_scenario *s, const struct rt_trial_options *o,
                  struct rt_trial **out, struct rt_err *err)
{
    struct rt_source *source = o->source;
    if (o->output && !rt_store_check(o->output, err)) {
        rt_source_free(source);
        return false;
    }
    if (!source && !rt_workload_open_table(&s->workload, o->trace, &source, err))
        return false;
    struct rt_trial *t = calloc(1, sizeof *t);
    if (!t) {
        rt_source_free(source);
        return rt_fail_nomem(err, "a trial");
    }
    t->scenario = s;
    t->options = *o;
    if (t->options.chunk_rows == 0)
        t->options.chunk_rows = ROWS_A_CHUNK;
    rt_finished_list_init(&t->rows);
    clock_gettime(CLOCK_MONOTONIC, &t->started);
    if (!build(t, source, err)) {
        rt_trial_free(t);
        return false;
    }
    if (o->steps)
        rt_sim_record_steps(t->sim, &t->steps);
    *out = t;
    return true;
}

void rt_trial_free(struct rt_trial *t)
{
    if (!t)
        return;
    struct rt_err ignored = {0};
    if (t->run_open && t->options.store &&
        !rt_store_fail(t->store, t->run_id, "the trial was given up", &ignored)) {
        /* the store marks the run itself when it is closed */
    }
    if (!t->options.store)
        rt_store_close(t->store); /* its queue reads class names: before the source goes */
    rt_metrics_free(t->metrics);
    rt_sim_free(t->sim);
    rt_finished_list_release(&t->rows);
    rt_step_list_release(&t->steps);
    free(t);
}

/* Counts the rows and hands them and the steps to the store, which empties the lists. */
static bool pass_rows(struct rt_trial *t, struct rt_err *err)
{
    for (size_t i = 0; i < t->rows.count; i++)
        if (!rt_metrics_add(t->metrics, &t->rows.rows[i], err))
            return false;
    if (t->rows.count + t->steps.count > 0 && (t->options.output || t->options.store)) {
        if (!t->store && !begin_run(t, err))
            return false;
        if (!rt_store_put(t->store, t->run_id, &t->rows, err) ||
            !rt_store_put_steps(t->store, t->run_id, &t->steps, err))
            return false;
    }
    rt_finished_list_reset(&t->rows);
    rt_step_list_reset(&t->steps);
    return true;
}

static const struct rt_replica_totals **list_totals(const struct rt_fleet *fleet)
{
    uint32_t count = rt_fleet_replicas(fleet);
    const struct rt_replica_totals **totals = calloc(count, sizeof totals[0]);
    for (uint32_t i = 0; totals && i < count; i++)
        totals[i] = rt_replica_totals(rt_fleet_replica(fleet, i));
    return totals;
}

/* Of a fleet that comes and goes: while a replica was not off. */
static struct rt_billed *list_spans(const struct rt_trial *t, size_t *count)
{
    const struct rt_fleet *fleet = rt_sim_fleet(t->sim);
    const struct rt_supply_span *spans =
        rt_supply_spans(rt_sim_supply(t->sim), rt_sim_totals(t->sim).now_ns, count);
    struct rt_billed *billed = spans ? calloc(*count + 1, sizeof billed[0]) : NULL;

    for (size_t n = 0; billed && n < *count; n++) {
        uint32_t pool = rt_fleet_pool_of(fleet, spans[n].replica);
        billed[n] = (struct rt_billed){.pool = pool,
                                       .replica = spans[n].replica,
                                       .gpus = rt_fleet_pool(fleet, pool)->gpus,
                                       .from_ns = spans[n].from_ns,
                                       .to_ns = spans[n].to_ns};
    }
    return billed;
}

/* Every GPU of every replica, from the first instant to the last. */
static struct rt_billed *list_billed(const struct rt_trial *t, size_t *count)
{
    const struct rt_fleet *fleet = rt_sim_fleet(t->sim);
    int64_t end_ns = rt_sim_totals(t->sim).now_ns;
    if (rt_sim_supply(t->sim))
        return list_spans(t, count);
    struct rt_billed *billed = calloc(rt_fleet_replicas(fleet), sizeof billed[0]);

    *count = rt_fleet_replicas(fleet);
    for (uint32_t p = 0; billed && p < rt_fleet_pools(fleet); p++) {
        const struct rt_pool_plan *plan = rt_fleet_pool(fleet, p);
        for (uint32_t i = plan->first_replica; i < plan->first_replica + plan->replicas; i++)
            billed[i] = (struct rt_billed){
                .pool = p, .replica = i, .gpus = plan->gpus, .from_ns = 0, .to_ns = end_ns};
    }
    return billed;
}

/* The fleet's, and where there are several pools each pool's behind them; owned. */
static struct rt_sample *list_samples(const struct rt_trial *t, size_t *count)
{
    uint32_t pools = rt_fleet_pools(rt_sim_fleet(t->sim));
    size_t fleet_count, pool_count;
    const struct rt_sample *fleet = rt_sim_samples(t->sim, &fleet_count);
    struct rt_sample *all = calloc((1 + (size_t)pools) * fleet_count + 1, sizeof all[0]);
    if (!all)
        return NULL;
    memcpy(all, fleet, fleet_count * sizeof all[0]);
    *count = fleet_count;
    for (uint32_t p = 0; p < pools; p++) {
        const struct rt_sample *of_pool = rt_sim_pool_samples(t->sim, p, &pool_count);
        if (pool_count > 0)
            memcpy(all + *count, of_pool, pool_count * sizeof all[0]);
        *count += pool_count;
    }
    return all;
}

static struct rt_scaling_row *list_scaling(const struct rt_trial *t, size_t *count)
{
    const struct rt_supply *supply = rt_sim_supply(t->sim);
    const struct rt_supply_event *events = NULL;
    *count = 0;
    if (supply)
        events = rt_supply_events(supply, count);
    struct rt_scaling_row *rows = calloc(*count + 1, sizeof rows[0]);
    for (size_t n = 0; rows && n < *count; n++)
        rows[n] = (struct rt_scaling_row){
            .time_ns = events[n].time_ns,
            .pool = rt_fleet_pool_of(rt_sim_fleet(t->sim), events[n].replica),
            .replica = events[n].replica,
            .from = rt_slot_state_names[events[n].from],
            .to = rt_slot_state_names[events[n].to],
            .why = rt_supply_reason_names[events[n].why]};
    return rows;
}

static bool end_run(struct rt_trial *t, enum rt_run_status status, const char *message,
                    struct rt_err *err)
{
    if (!t->store)
        return true;
    const struct rt_token_stats *tokens = rt_sim_token_stats(t->sim);
    struct rt_run_end end = {
        .status = status,
        .message = message,
        .totals = rt_sim_totals(t->sim),
        .source = *rt_source_stats(rt_sim_source(t->sim)),
        .itl = &tokens->itl,
        .itl_measured = t->scenario->has_measure ? &tokens->itl_measured : NULL,
        .peak_output_tokens_per_s = rt_token_stats_peak(tokens),
        .replica_count = rt_fleet_replicas(rt_sim_fleet(t->sim)),
        .checks = t->checked ? t->checks : NULL,
    };
    struct rt_sample *samples = list_samples(t, &end.sample_count);
    const struct rt_replica_totals **totals = list_totals(rt_sim_fleet(t->sim));
    struct rt_billed *billed = list_billed(t, &end.billed_count);
    struct rt_scaling_row *scaling = list_scaling(t, &end.scaling_count);
    end.replicas = totals;
    end.billed = billed;
    end.scaling = scaling;
    end.samples = samples;
    bool ok = totals && billed && scaling && samples
                  ? rt_metrics_result(t->metrics, tokens, &end.metrics, err)
                  : rt_fail_nomem(err, "the replicas' totals");
    end.wall_s = wall_seconds(t);
    if (ok) {
        ok = rt_store_end(t->store, t->run_id, &end, err);
        t->run_open = false;
    }
    free(totals);
    free(billed);
    free(scaling);
    free(samples);
    return ok;
}

/* Requests in flight become rows, then the run ends with this status. */
static bool stop(struct rt_trial *t, enum rt_run_status status, const char *message,
                 struct rt_err *err)
{
    return rt_sim_abort(t->sim, &t->rows, err) && pass_rows(t, err) &&
           end_run(t, status, message, err);
}

/* The simulation failed: what finished is kept, and what was in flight if there is a run to tell it
 * to. *err keeps the first error. */
static enum rt_trial_answer fail(struct rt_trial *t, const struct rt_err *err)
{
    struct rt_err later = {0};
    if (t->rows.count > 0 || t->run_open)
        (void)stop(t, RT_RUN_FAILED, err->msg, &later);
    return RT_TRIAL_FAILED;
}

/* Holds the finished run against what no fleet can do. */
static bool check(struct rt_trial *t, struct rt_err *err)
{
    struct rt_self_check_inputs in = {
        .spec = &t->scenario->fleet,
        .fleet = rt_sim_fleet(t->sim),
        .totals = rt_sim_totals(t->sim),
        .tally = rt_metrics_tally(t->metrics),
    };
    if (t->options.no_self_check)
        return true;
    const struct rt_replica_totals **totals = list_totals(in.fleet);
    in.replicas = totals;
    bool ok = totals ? rt_metrics_uses(t->metrics, &in.uses, &in.use_count, err)
                     : rt_fail_nomem(err, "the replicas' totals");
    ok = ok && rt_self_check(&in, t->checks, err);
    t->checked = ok || err->code == RT_ECHECK;
    free(totals);
    return ok;
}

static enum rt_trial_answer finish(struct rt_trial *t, struct rt_err *err)
{
    struct rt_err later = {0};
    if (check(t, err))
        return end_run(t, RT_RUN_COMPLETE, NULL, err) ? RT_TRIAL_DONE : RT_TRIAL_FAILED;
    (void)end_run(t, RT_RUN_FAILED, err->msg, &later);
    return RT_TRIAL_FAILED;
}

enum rt_trial_answer rt_trial_step(struct rt_trial *t, struct rt_trial_progress *p,
                                   struct rt_err *err)
{
    enum rt_sim_answer answer = rt_sim_next(t->sim, t->options.chunk_rows, &t->rows, err);
    struct rt_sim_totals totals = rt_sim_totals(t->sim);
    *p = (struct rt_trial_progress){
        .arrived = totals.arrived,
        .finished =
            totals.finished + totals.rejected + totals.timed_out + totals.cancelled + totals.failed,
        .simulated_s = 1e-9 * (double)totals.now_ns,
        .steps = totals.steps,
    };
    if (answer == RT_SIM_ERROR)
        return fail(t, err);
    bool enough =
        t->options.watch != NULL && !t->options.watch(t->options.user, t->rows.rows, t->rows.count);
    if (!pass_rows(t, err))
        return RT_TRIAL_FAILED;
    if (answer == RT_SIM_MORE)
        return enough ? RT_TRIAL_STOPPED : RT_TRIAL_MORE;
    return finish(t, err);
}

bool rt_trial_stop(struct rt_trial *t, const char *why, struct rt_err *err)
{
    if (!t->store)
        return true;
    return stop(t, RT_RUN_INTERRUPTED, why, err);
}

bool rt_trial_interrupt(struct rt_trial *t, struct rt_err *err)
{
    return rt_trial_stop(t, "stopped by the user", err);
}

bool rt_trial_metrics(struct rt_trial *t, struct rt_metrics_result *out, struct rt_err *err)
{
    return rt_metrics_result(t->metrics, rt_sim_token_stats(t->sim), out, err);
}

int64_t rt_trial_run_id(const struct rt_trial *t)
{
    return t->run_id;
}

const struct rt_sim *rt_trial_sim(const struct rt_trial *t)
{
    return t->sim;
}

const struct rt_source *rt_trial_source(const struct rt_trial *t)
{
    return rt_sim_source(t->sim);
}
