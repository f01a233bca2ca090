/* Every table but `request` and `step`: few rows, written at the beginning and at the end of a run,
 * always in the same order, each function one table in the order of schema.sql's columns.
 * Transactions are the caller's. O(replicas + samples + buckets). */
#include "results_internal.h"
#include "rooftrace/cost.h"
#include "rooftrace/dtype.h"
#include "rooftrace/engine.h"
#include "rooftrace/explain.h"
#include "rooftrace/fleet.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/gpu.h"
#include "rooftrace/op_table.h"
#include "rooftrace/price.h"
#include "rooftrace/queue_order.h"
#include "rooftrace/replica_spec.h"

#include "rooftrace/replica.h"
#include "rooftrace/router.h"

#include <assert.h>
#include <math.h>

const char *const rt_run_status_names[4] = {"running", "complete", "interrupted", "failed"};

/* Infinity, the open end of a window, is NULL. */
static void put_start(struct rt_insert *in, const struct rt_run_start *run)
{
    const struct rt_scenario *s = run->scenario;
    const struct rt_run_of_plan *plan = &run->of_plan;

    if (plan->run_id > 0)
        rt_put_int(in, plan->run_id);
    else
        rt_put_null(in); /* SQLite gives the next number */
    rt_put_text(in, run->label);
    rt_put_text(in, rt_run_status_names[RT_RUN_RUNNING]);
    rt_put_text(in, run->version);
    if (run->started_unix_ms != 0)
        rt_put_real(in, (double)run->started_unix_ms / 1e3);
    else
        rt_put_null(in);
    rt_put_count(in, s->seed);
    rt_put_text(in, run->trace);
    rt_put_text(in, run->trace_format);
    rt_put_text(in, run->scenario_json);
    rt_put_text(in, s->fleet.router->name);
    rt_put_int(in, rt_frontend_ns(s));
    rt_put_real(in, s->has_measure ? s->measure_s[0] : (double)NAN);
    rt_put_real(in, s->has_measure ? s->measure_s[1] : (double)NAN);
    rt_put_real(in, s->slo.ttft_s);
    rt_put_real(in, s->slo.tpot_s);
    rt_put_real(in, s->slo.e2e_s);
    rt_put_real(in, s->fleet.power.pue);
    rt_put_real(in, s->fleet.power.has_gco2 ? s->fleet.power.gco2_per_kwh : (double)NAN);
    rt_put_real(in, run->no_requests ? 0 : run->sample_requests > 0 ? run->sample_requests : 1);
    rt_put_int(in, run->steps);
    rt_put_text(in, plan->plan_hash);
    if (plan->plan_hash != NULL)
        rt_put_int(in, plan->plan_trials);
    else
        rt_put_null(in);
    rt_put_text(in, plan->varied);
}

static bool insert_run(sqlite3 *db, const char *path, const struct rt_run_start *run,
                       struct rt_err *err)
{
    static const char sql[] =
        "INSERT INTO run (run_id, label, status, version, started_at, seed, trace, trace_format, "
        "scenario,"
        " router, frontend_ns, measure_from_s, measure_to_s, slo_ttft_s, slo_tpot_s, slo_e2e_s,"
        " pue, gco2_per_kwh, request_share, steps_recorded, plan_hash, plan_trials, varied) VALUES "
        "(?, ?, ?, ?, "
        "strftime('%Y-%m-%dT%H:%M:%fZ', ?,"
        " 'unixepoch'), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    struct rt_insert in;
    bool ok = rt_insert_prepare(&in, db, path, sql, err);

    if (ok) {
        put_start(&in, run);
        ok = rt_insert_row(&in, err);
    }
    rt_insert_release(&in);
    return ok;
}

static void put_engine(struct rt_insert *in, const struct rt_engine_spec *e,
                       const struct rt_pool_plan *plan)
{
    rt_put_text(in, rt_policy_name(e->policy));
    rt_put_text(in, rt_queue_order_name(e->queue_order));
    rt_put_text(in, rt_preemption_names[e->preemption]);
    rt_put_int(in, e->async_scheduling);
    rt_put_int(in, e->prefix_caching);
    rt_put_int(in, e->max_num_seqs);
    rt_put_int(in, plan->max_num_batched_tokens);
    rt_put_int(in, e->block_size);
    rt_put_int(in, plan->kv_blocks);
    rt_put_int(in, plan->cpu_kv_blocks);
    rt_put_int(in, plan->offload_blocks);
    rt_put_int(in, e->speculative.draft_tokens);
    rt_put_real(in, rt_engine_tokens_per_round(e));
    if (e->max_model_len > 0)
        rt_put_int(in, e->max_model_len);
    else
        rt_put_null(in);
    rt_put_real(in, e->gpu_memory_utilization);
}

static void put_memory(struct rt_insert *in, const struct rt_memory_plan *m)
{
    rt_put_real(in, m->total);
    rt_put_real(in, m->usable);
    rt_put_real(in, m->weights);
    rt_put_real(in, m->activations);
    rt_put_real(in, m->context);
    rt_put_real(in, m->window_bytes);
    rt_put_real(in, m->block_bytes);
    rt_put_int(in, m->blocks);
}

static void put_money(struct rt_insert *in, const struct rt_pool_spec *s)
{
    const struct rt_pool_price *p = &s->price;

    rt_put_text(in, !p->known ? NULL : p->own ? "own" : rt_pricing_names[p->pricing]);
    rt_put_real(in, p->known ? p->usd_per_gpu_h : (double)NAN);
    rt_put_real(in, p->known ? p->low : (double)NAN);
    rt_put_real(in, p->known ? p->high : (double)NAN);
    rt_put_real(in, s->power.idle_w > 0 ? s->power.idle_w : (double)NAN);
    rt_put_real(in, s->power.busy_w > 0 ? s->power.busy_w : (double)NAN);
}

static void put_pool(struct rt_insert *in, int64_t run_id, const struct rt_run_pool *pool)
{
    const struct rt_pool_spec *s = pool->spec;

    rt_put_int(in, run_id);
    rt_put_text(in, s->name);
    rt_put_text(in, s->model.name);
    rt_put_text(in, rt_role_names[s->role]);
    rt_put_text(in, s->gpu.name);
    rt_put_int(in, s->gpu.fitted);
    rt_put_int(in, pool->plan.replicas);
    rt_put_int(in, pool->plan.first_replica);
    rt_put_int(in, pool->plan.gpus * (int64_t)pool->plan.replicas);
    put_money(in, s);
    rt_put_int(in, s->parallel.tensor);
    rt_put_int(in, s->parallel.pipeline);
    rt_put_int(in, s->parallel.expert);
    rt_put_int(in, s->parallel.data);
    rt_put_text(in, rt_dtype_names[s->dtypes.weight]);
    rt_put_text(in, rt_dtype_names[rt_expert_dtype(&s->dtypes)]);
    rt_put_text(in, rt_dtype_names[s->dtypes.activation]);
    rt_put_text(in, rt_dtype_names[s->dtypes.kv]);
    put_engine(in, &s->engine, &pool->plan);
    put_memory(in, &pool->plan.memory);
}

static bool insert_sources(struct rt_insert *in, int64_t run_id, const struct rt_run_pool *pool,
                           struct rt_err *err)
{
    for (int op = 0; op < RT_OP_COUNT; op++) {
        if (pool->sources.of[op] == RT_ORIGIN_UNUSED)
            continue;
        rt_put_int(in, run_id);
        rt_put_text(in, pool->spec->name);
        rt_put_text(in, rt_op_names[op]);
        rt_put_text(in, rt_op_terms[op]);
        rt_put_text(in, rt_origin_names[pool->sources.of[op]]);
        rt_put_int(in, pool->sources.rows[op]);
        if (!rt_insert_row(in, err))
            return false;
    }
    return true;
}

bool rt_tables_begin(sqlite3 *db, const char *path, const struct rt_run_start *run, int64_t *run_id,
                     struct rt_err *err)
{
    struct rt_insert in;
    bool ok;

    if (!insert_run(db, path, run, err))
        return false;
    *run_id = sqlite3_last_insert_rowid(db);
    ok = rt_insert_table(&in, db, path, "pool", err);
    for (uint32_t i = 0; ok && i < run->pool_count; i++) {
        put_pool(&in, *run_id, &run->pools[i]);
        ok = rt_insert_row(&in, err);
    }
    rt_insert_release(&in);
    if (!ok)
        return false;
    ok = rt_insert_table(&in, db, path, "cost_source", err);
    for (uint32_t i = 0; ok && i < run->pool_count; i++)
        ok = insert_sources(&in, *run_id, &run->pools[i], err);
    rt_insert_release(&in);
    return ok;
}

static void put_end(struct rt_insert *in, const struct rt_open_run *run,
                    const struct rt_run_end *end)
{
    const struct rt_sim_totals *t = &end->totals;
    const struct rt_tally *y = &end->metrics.tally;

    rt_put_text(in, rt_run_status_names[end->status]);
    rt_put_text(in, end->message);
    rt_put_real(in, end->wall_s);
    rt_put_real(in, (double)t->now_ns / 1e9);
    rt_put_count(in, y->requests);
    rt_put_count(in, y->by_status[RT_STATUS_OK]);
    rt_put_count(in, y->by_status[RT_STATUS_REJECTED]);
    rt_put_count(in, y->by_status[RT_STATUS_TIMEOUT]);
    rt_put_count(in, y->by_status[RT_STATUS_CANCELLED]);
    rt_put_count(in, y->by_status[RT_STATUS_UNFINISHED]);
    rt_put_int(in, y->prompt_tokens);
    rt_put_int(in, y->output_tokens);
    rt_put_int(in, y->cached_tokens);
    rt_put_count(in, y->preemptions);
    rt_put_real(in, (double)end->peak_output_tokens_per_s);
    rt_put_count(in, t->max_in_flight);
    rt_put_real(in, t->now_ns > 0 ? (double)t->in_flight_area / (double)t->now_ns : (double)NAN);
    rt_put_count(in, t->steps);
    rt_put_count(in, t->events);
    rt_put_count(in, end->source.rows_read);
    rt_put_count(in, end->source.zero_prompt);
    rt_put_count(in, end->source.zero_output);
    rt_put_count(in, end->source.unsorted);
    rt_put_count(in, run->rows_written);
    rt_put_count(in, y->stalled_requests);
    rt_put_count(in, y->stalled_preemptions);
    rt_put_count(in, y->by_status[RT_STATUS_FAILED]);
    rt_put_count(in, t->retries);
    rt_put_int(in, t->lost_tokens);
}

static bool update_run(sqlite3 *db, const char *path, const struct rt_open_run *run,
                       const struct rt_run_end *end, struct rt_err *err)
{
    static const char sql[] =
        "UPDATE run SET status = ?, message = ?, wall_s = ?, duration_s = ?, requests = ?,"
        " completed = ?, rejected = ?, timed_out = ?, cancelled = ?, unfinished = ?,"
        " input_tokens = ?, output_tokens = ?,"
        " cached_tokens = ?, preemptions = ?, max_output_tokens_per_s = ?,"
        " max_concurrent_requests = ?, mean_concurrent_requests = ?, steps = ?, events = ?,"
        " rows_read = ?, zero_prompt = ?, zero_output = ?, unsorted = ?,"
        " requests_written = ?, stalled_requests = ?, stalled_preemptions = ?,"
        " lost_requests = ?, retries = ?, lost_tokens = ? WHERE run_id = ?";
    struct rt_insert in;
    bool ok = rt_insert_prepare(&in, db, path, sql, err);

    if (ok) {
        put_end(&in, run, end);
        rt_put_int(&in, run->id);
        ok = rt_insert_row(&in, err);
    }
    rt_insert_release(&in);
    return ok;
}

static void put_replica(struct rt_insert *in, const char *pool, const struct rt_replica_totals *t)
{
    rt_put_text(in, pool);
    rt_put_count(in, t->steps);
    rt_put_real(in, (double)t->busy_ns / 1e9);
    rt_put_count(in, t->finished);
    rt_put_count(in, t->rejected);
    rt_put_count(in, t->preemptions);
    rt_put_int(in, t->prompt_tokens);
    rt_put_int(in, t->cached_tokens);
    rt_put_int(in, t->output_tokens);
    rt_put_int(in, t->computed_tokens);
    rt_put_int(in, t->kv_blocks_peak);
    rt_put_int(in, t->swapped_out_blocks);
    rt_put_int(in, t->swapped_in_blocks);
    rt_put_int(in, t->offloaded_blocks);
    rt_put_int(in, t->loaded_blocks);
}

static bool insert_replicas(struct rt_insert *in, const struct rt_open_run *run,
                            const struct rt_run_end *end, struct rt_err *err)
{
    for (uint32_t i = 0, p = 0; i < end->replica_count; i++) {
        while (i >= run->pools[p].first_replica + run->pools[p].replicas)
            p++;
        rt_put_int(in, run->id);
        rt_put_int(in, i);
        put_replica(in, run->pools[p].name, end->replicas[i]);
        if (!rt_insert_row(in, err))
            return false;
    }
    return true;
}

/* -1 or RT_NO_REPLICA: NULL. */
static void put_place(struct rt_insert *in, const struct rt_open_run *run, int64_t pool,
                      uint32_t replica)
{
    rt_put_text(in, pool < 0 ? NULL : run->pools[pool].name);
    if (replica == RT_NO_REPLICA)
        rt_put_null(in);
    else
        rt_put_int(in, replica);
}

static bool insert_billing(struct rt_insert *in, const struct rt_open_run *run,
                           const struct rt_run_end *end, struct rt_err *err)
{
    for (size_t i = 0; i < end->billed_count; i++) {
        const struct rt_billed *b = &end->billed[i];
        rt_put_int(in, run->id);
        put_place(in, run, b->pool, b->replica);
        rt_put_int(in, b->gpus);
        rt_put_real(in, (double)b->from_ns / 1e9);
        rt_put_real(in, (double)b->to_ns / 1e9);
        if (!rt_insert_row(in, err))
            return false;
    }
    return true;
}

static bool insert_scaling(struct rt_insert *in, const struct rt_open_run *run,
                           const struct rt_run_end *end, struct rt_err *err)
{
    for (size_t i = 0; i < end->scaling_count; i++) {
        const struct rt_scaling_row *e = &end->scaling[i];
        rt_put_int(in, run->id);
        rt_put_real(in, (double)e->time_ns / 1e9);
        put_place(in, run, e->pool, e->replica);
        rt_put_text(in, e->from);
        rt_put_text(in, e->to);
        rt_put_text(in, e->why);
        if (!rt_insert_row(in, err))
            return false;
    }
    return true;
}

static bool insert_checks(struct rt_insert *in, const struct rt_open_run *run,
                          const struct rt_run_end *end, struct rt_err *err)
{
    for (unsigned i = 0; end->checks && i < RT_CHECK_COUNT; i++) {
        const struct rt_check_row *c = &end->checks[i];
        rt_put_int(in, run->id);
        rt_put_text(in, rt_check_names[i]);
        if (c->applies)
            rt_put_int(in, c->ok);
        else
            rt_put_null(in);
        put_place(in, run, c->applies && !c->of_run ? (int64_t)c->pool : -1,
                  c->applies ? c->replica : RT_NO_REPLICA);
        rt_put_real(in, c->applies ? c->value : (double)NAN);
        rt_put_real(in, c->applies ? c->limit : (double)NAN);
        if (!rt_insert_row(in, err))
            return false;
    }
    return true;
}

static bool insert_samples(struct rt_insert *in, const struct rt_open_run *run,
                           const struct rt_run_end *end, struct rt_err *err)
{
    for (size_t i = 0; i < end->sample_count; i++) {
        const struct rt_sample *s = &end->samples[i];
        rt_put_int(in, run->id);
        rt_put_real(in, (double)s->time_ns / 1e9);
        rt_put_text(in, s->pool < run->pool_count ? run->pools[s->pool].name : NULL);
        rt_put_real(in, s->running);
        rt_put_real(in, s->waiting);
        rt_put_real(in, s->kv_blocks_used);
        rt_put_real(in, s->in_flight);
        rt_put_real(in, s->serving);
        if (!rt_insert_row(in, err))
            return false;
    }
    return true;
}

static bool insert_step_times(struct rt_insert *in, const struct rt_open_run *run,
                              const struct rt_run_end *end, struct rt_err *err)
{
    for (uint32_t i = 0; i < end->replica_count; i++)
        for (unsigned term = 0; term < RT_TERM_COUNT; term++) {
            rt_put_int(in, run->id);
            rt_put_int(in, i);
            rt_put_text(in, rt_term_names[term]);
            rt_put_real(in, end->replicas[i]->terms_s[term]);
            if (!rt_insert_row(in, err))
                return false;
        }
    return true;
}

static bool insert_buckets(struct rt_insert *in, int64_t run_id, enum rt_metric_window window,
                           const struct rt_hist *h, struct rt_err *err)
{
    if (!h || h->count == 0)
        return true;
    for (uint32_t b = rt_hist_bucket(h->min); b <= rt_hist_bucket(h->max); b++) {
        int64_t low = rt_hist_bucket_low(b);
        if (h->counts[b] == 0)
            continue;
        rt_put_int(in, run_id);
        rt_put_text(in, rt_metric_window_names[window]);
        rt_put_real(in, (double)low / 1e9);
        rt_put_real(in, ((double)low + (double)rt_hist_bucket_width(b)) / 1e9);
        rt_put_count(in, h->counts[b]);
        if (!rt_insert_row(in, err))
            return false;
    }
    return true;
}

static bool insert_itl(struct rt_insert *in, const struct rt_open_run *run,
                       const struct rt_run_end *end, struct rt_err *err)
{
    return insert_buckets(in, run->id, RT_WINDOW_RUN, end->itl, err) &&
           insert_buckets(in, run->id, RT_WINDOW_MEASURED, end->itl_measured, err);
}

static void put_class(struct rt_insert *in, const struct rt_open_run *run, uint32_t class_name)
{
    rt_put_text(in,
                class_name == RT_NO_NAME ? NULL : rt_class_names_get(&run->classes, class_name));
}

static bool insert_uses(struct rt_insert *in, const struct rt_open_run *run,
                        const struct rt_run_end *end, struct rt_err *err)
{
    for (size_t i = 0; i < end->metrics.use_count; i++) {
        const struct rt_class_use *u = &end->metrics.uses[i];
        if (u->pool >= run->pool_count)
            continue; /* as in `request`: no pool of the run */
        rt_put_int(in, run->id);
        put_class(in, run, u->class_name);
        rt_put_text(in, run->pools[u->pool].name);
        rt_put_count(in, u->completed);
        rt_put_int(in, u->prompt_tokens);
        rt_put_int(in, u->output_tokens);
        rt_put_int(in, u->cached_tokens);
        rt_put_real(in, (double)u->service_ns / 1e9);
        if (!rt_insert_row(in, err))
            return false;
    }
    return true;
}

static bool insert_metrics(struct rt_insert *in, const struct rt_open_run *run,
                           const struct rt_run_end *end, struct rt_err *err)
{
    for (size_t i = 0; i < end->metrics.row_count; i++) {
        const struct rt_metric_row *m = &end->metrics.rows[i];
        rt_put_int(in, run->id);
        rt_put_text(in, rt_metric_window_names[m->window]);
        put_class(in, run, m->class_name);
        rt_put_text(in, rt_metric_names[m->metric]);
        rt_put_count(in, m->count);
        rt_put_real(in, m->mean);
        rt_put_real(in, m->std);
        rt_put_real(in, m->min);
        rt_put_real(in, m->p50);
        rt_put_real(in, m->p90);
        rt_put_real(in, m->p95);
        rt_put_real(in, m->p99);
        rt_put_real(in, m->p999);
        rt_put_real(in, m->max);
        rt_put_int(in, m->exact);
        if (!rt_insert_row(in, err))
            return false;
    }
    return true;
}

/* A count of an objective that was not asked for is NULL. */
static void put_met(struct rt_insert *in, bool asked, uint64_t met)
{
    if (asked)
        rt_put_count(in, met);
    else
        rt_put_null(in);
}

static bool insert_slos(struct rt_insert *in, const struct rt_open_run *run,
                        const struct rt_run_end *end, struct rt_err *err)
{
    for (size_t i = 0; i < end->metrics.slo_count; i++) {
        const struct rt_slo_count *c = &end->metrics.slo[i];
        rt_put_int(in, run->id);
        rt_put_text(in, rt_metric_window_names[c->window]);
        put_class(in, run, c->class_name);
        rt_put_count(in, c->requests);
        put_met(in, c->asked_ttft, c->ok_ttft);
        put_met(in, c->asked_tpot, c->ok_tpot);
        put_met(in, c->asked_e2e, c->ok_e2e);
        rt_put_count(in, c->ok_all);
        rt_put_real(in, c->slo.ttft_s);
        rt_put_real(in, c->slo.tpot_s);
        rt_put_real(in, c->slo.e2e_s);
        if (!rt_insert_row(in, err))
            return false;
    }
    return true;
}

static const struct {
    const char *table;
    bool (*insert)(struct rt_insert *in, const struct rt_open_run *run,
                   const struct rt_run_end *end, struct rt_err *err);
} at_end[] = {
    {"replica", insert_replicas},      {"sample", insert_samples}, {"step_time", insert_step_times},
    {"itl_histogram", insert_itl},     {"metric", insert_metrics}, {"slo", insert_slos},
    {"billing", insert_billing},       {"class_use", insert_uses}, {"self_check", insert_checks},
    {"scaling_event", insert_scaling},
};

bool rt_tables_end(sqlite3 *db, const char *path, const struct rt_open_run *run,
                   const struct rt_run_end *end, struct rt_err *err)
{
    for (size_t i = 0; i < sizeof at_end / sizeof at_end[0]; i++) {
        struct rt_insert in;
        bool ok = rt_insert_table(&in, db, path, at_end[i].table, err) &&
                  at_end[i].insert(&in, run, end, err);
        rt_insert_release(&in);
        if (!ok)
            return false;
    }
    return update_run(db, path, run, end, err);
}

bool rt_tables_set_status(sqlite3 *db, const char *path, int64_t run_id, enum rt_run_status status,
                          const char *message, struct rt_err *err)
{
    struct rt_insert in;
    bool ok = rt_insert_prepare(&in, db, path,
                                "UPDATE run SET status = ?, message = ? WHERE run_id = ?", err);

    if (ok) {
        rt_put_text(&in, rt_run_status_names[status]);
        rt_put_text(&in, message);
        rt_put_int(&in, run_id);
        ok = rt_insert_row(&in, err);
    }
    rt_insert_release(&in);
    return ok;
}
