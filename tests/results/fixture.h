/* A run made by hand: a scenario, two pools, a source that names classes, rows with every status,
 * and the figures of its end. Deterministic in the seed. */
#ifndef RT_RESULTS_FIXTURE_H
#define RT_RESULTS_FIXTURE_H

#include "rooftrace/cost.h"
#include "rooftrace/dtype.h"
#include "rooftrace/engine.h"
#include "rooftrace/finished.h"
#include "rooftrace/fleet.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/gpu.h"
#include "rooftrace/hist.h"
#include "rooftrace/metrics.h"
#include "rooftrace/price.h"
#include "rooftrace/replica_spec.h"
#include "rooftrace/router.h"
#include "rooftrace/scenario.h"
#include "rooftrace/self_check.h"
#include "rooftrace/sim.h"
#include "rooftrace/source.h"
#include "rooftrace/step.h"
#include "rooftrace/step_list.h"
#include "rooftrace/token_stats.h"
#include "support/test.h"

#include "rooftrace/replica.h"
#include "rooftrace/store.h"

#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const class_texts[] = {"", "chat", "code", "batch"};

static inline const char *fixture_name(const struct rt_source *s, uint32_t name)
{
    (void)s;
    return class_texts[name];
}

static const struct rt_source_ops fixture_ops = {.name = fixture_name};

#define FIXTURE_REPLICAS 3

struct fixture {
    char folder[64];
    char db[96];
    struct rt_scenario scenario;
    struct rt_pool_spec specs[2];
    struct rt_run_pool pools[2];
    struct rt_source source;
    struct rt_token_stats tokens;
    struct rt_sample samples[12]; /* the fleet's, then each pool's */
    struct rt_replica_totals totals[FIXTURE_REPLICAS];
    const struct rt_replica_totals *replicas[FIXTURE_REPLICAS];
    struct rt_billed billed[FIXTURE_REPLICAS];
    struct rt_check_row checks[RT_CHECK_COUNT];
    struct rt_metrics *metrics;
    uint64_t random;
    struct rt_prefill_part part; /* of the row drawn last */
};

static inline uint64_t fixture_draw(uint64_t *state, uint64_t below)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (*state >> 33) % below;
}

static inline void fixture_pool(struct fixture *f, unsigned i, const char *name, uint32_t first,
                                uint32_t replicas)
{
    struct rt_pool_spec *s = &f->specs[i];

    snprintf(s->name, sizeof s->name, "%s", name);
    snprintf(s->gpu.name, sizeof s->gpu.name, "gpu-%u", i);
    snprintf(s->model.name, sizeof s->model.name, "model-x");
    s->price = i == 0 ? (struct rt_pool_price){true, false, RT_SPOT, RT_PRICE_TYPICAL, 2, 1, 3}
                      : (struct rt_pool_price){true, true, RT_ON_DEMAND, RT_PRICE_TYPICAL, 2, 2, 2};
    s->power = (struct rt_pool_power){.idle_w = 50, .busy_w = 250};
    s->gpu.fitted = i == 0;
    s->parallel = (struct rt_parallel){2, 1, 1, 1};
    s->dtypes =
        (struct rt_dtypes){.weight = RT_FP8, .activation = RT_BF16, .kv = RT_FP16, .head = RT_BF16};
    s->replicas = replicas;
    s->role = i == 0 ? RT_ROLE_MIXED : RT_ROLE_DECODE;
    rt_engine_init(&s->engine);
    s->engine.max_num_seqs = 8;
    s->engine.max_num_batched_tokens = 2048;
    s->engine.block_size = 16;
    s->engine.gpu_memory_utilization = 0.9;
    s->engine.max_model_len = 0;
    s->engine.async_scheduling = false;
    s->engine.prefix_caching = true;
    if (i == 1)
        s->engine.speculative =
            (struct rt_speculative){.draft_tokens = 2, .acceptance = {0.5, 0.5}};
    f->pools[i].spec = s;
    f->pools[i].plan = (struct rt_pool_plan){.memory = {.total = 80e9,
                                                        .usable = 72e9,
                                                        .weights = 16e9,
                                                        .activations = 1e9,
                                                        .context = 2e9,
                                                        .window_bytes = 3e9,
                                                        .block_bytes = 2097152,
                                                        .blocks = 1000},
                                             .kv_blocks = 1000,
                                             .max_num_batched_tokens = 2048,
                                             .gpus = 2,
                                             .first_replica = first,
                                             .replicas = replicas};
}

static inline void fixture_init(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    snprintf(f->folder, sizeof f->folder, "/tmp/rooftrace_test_XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->db, sizeof f->db, "%.60s/out.db", f->folder);
    f->source.ops = &fixture_ops;
    f->scenario.fleet.router = rt_router_at(0);
    f->scenario.slo = (struct rt_slo){0.5, 0.05, (double)NAN};
    f->scenario.has_measure = true;
    f->scenario.measure_s[0] = 10;
    f->scenario.measure_s[1] = (double)INFINITY;
    f->scenario.frontend_s = 0.001;
    f->scenario.seed = 42;
    f->scenario.sample_interval_s = 1;
    f->scenario.fleet.power = (struct rt_power){.pue = 1.5, .gco2_per_kwh = 400, .has_gco2 = true};
    fixture_pool(f, 0, "big", 0, 2);
    fixture_pool(f, 1, "small", 2, 1);
    assert_true(rt_token_stats_init(&f->tokens, 0, 1000));
    f->random = 7;
}

static inline void fixture_release(struct fixture *f)
{
    static const char *const files[] = {"out.db", "out.db-journal", "other.db", "copy.db"};

    rt_metrics_free(f->metrics);
    rt_token_stats_release(&f->tokens);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[160];
        snprintf(path, sizeof path, "%.60s/%s", f->folder, files[i]);
        unlink(path);
    }
    rmdir(f->folder);
}

/* Request `id`: every 10th is rejected, every 17th unfinished, the others ok. */
static inline struct rt_finished fixture_row(struct fixture *f, uint64_t id)
{
    uint64_t *r = &f->random;
    int64_t arrival = (int64_t)id * 100000000 + (int64_t)fixture_draw(r, 50000000);
    struct rt_finished row = {.id = id,
                              .arrival_ns = arrival,
                              .scheduled_ns = RT_NEVER,
                              .first_token_ns = RT_NEVER,
                              .finish_ns = RT_NEVER,
                              .max_itl_ns = RT_NEVER,
                              .prompt_tokens = 1 + (int64_t)fixture_draw(r, 4000),
                              .output_tokens = 1 + (int64_t)fixture_draw(r, 300),
                              .replica = RT_NO_REPLICA,
                              .class_name = (uint32_t)fixture_draw(r, 4)};
    if (id % 10 == 3) {
        row.status = RT_STATUS_REJECTED;
        row.reason = RT_REASON_KV;
        return row;
    }
    row.replica = (uint32_t)fixture_draw(r, FIXTURE_REPLICAS);
    row.pool = row.replica == 2;
    row.scheduled_ns = arrival + (int64_t)fixture_draw(r, 400000000);
    row.first_token_ns = row.scheduled_ns + 10000000 + (int64_t)fixture_draw(r, 300000000);
    row.session = id % 4 == 0 ? "s-1" : NULL;
    row.client_wait_ns = id % 3 == 0 ? (int64_t)id * 1000000 : 0;
    row.preemptions = (uint32_t)(id % 7 == 0);
    row.preempted_ns = row.preemptions * INT64_C(1500000);
    if (id % 17 == 5) {
        row.status = RT_STATUS_UNFINISHED;
        row.produced_tokens = row.output_tokens / 2;
        return row;
    }
    row.finish_ns = row.first_token_ns + (row.output_tokens - 1) * 30000000;
    row.max_itl_ns = row.output_tokens > 1 ? 31000000 : RT_NEVER;
    row.produced_tokens = row.output_tokens;
    if (row.replica == 2 && row.output_tokens > 1) { /* prefilled in the other pool */
        f->part = (struct rt_prefill_part){.replica = (uint32_t)(id % 2),
                                           .prefilled_ns = row.first_token_ns,
                                           .kv_ready_ns = row.first_token_ns + 20000000};
        row.prefill = &f->part;
    }
    return row;
}

/* The rows of a whole run, into *list (initialised) and into f->metrics. */
static inline void fixture_rows(struct fixture *f, struct rt_finished_list *list, uint64_t n)
{
    struct rt_err err;

    f->random = 7;
    rt_metrics_free(f->metrics);
    assert_ok(rt_metrics_new(&f->scenario, RT_METRIC_EXACT, &f->metrics, &err), &err);
    for (uint64_t i = 0; i < n; i++) {
        struct rt_finished row = fixture_row(f, i);
        assert_true(rt_finished_list_add(list, &row));
        assert_ok(rt_metrics_add(f->metrics, &row, &err), &err);
    }
}

static inline struct rt_run_start fixture_start(struct fixture *f)
{
    return (struct rt_run_start){.label = "first",
                                 .scenario_json = "{\"seed\": 42}",
                                 .trace = "conv.csv",
                                 .trace_format = "azure2023",
                                 .version = "0.1.0",
                                 .of_plan = {.plan_hash = "0123456789abcdef",
                                             .plan_trials = 9,
                                             .varied = "{\"pools[0].replicas\":2}"},
                                 .started_unix_ms = 1700000000500,
                                 .scenario = &f->scenario,
                                 .pools = f->pools,
                                 .pool_count = 2,
                                 .source = &f->source,
                                 .steps = true};
}

/* Step k of the run: in turn one of decodes, of prompts, of both. */
static inline struct rt_step_row fixture_step(uint64_t k)
{
    struct rt_step_row row = {.step = k / FIXTURE_REPLICAS,
                              .replica = (uint32_t)(k % FIXTURE_REPLICAS),
                              .start_ns = (int64_t)k * 10000000,
                              .end_ns = (int64_t)k * 10000000 + 9000000 + (int64_t)k,
                              .decodes = k % 3 == 1 ? 0 : 7,
                              .prefill_tokens = k % 3 == 0 ? 0 : 512,
                              .sequences = 8,
                              .context_tokens = (int64_t)k * 1000,
                              .kv_blocks_used = 100 + (int64_t)k,
                              .waiting = (int64_t)(k % 5)};

    for (unsigned t = 0; t < RT_TERM_COUNT; t++)
        row.terms_s[t] = t == RT_TERM_COMM ? 0 : 0.0009765625 * (t + 1);
    return row;
}

static inline void fixture_put_steps(struct rt_store *s, int64_t run_id, uint64_t n)
{
    struct rt_step_list steps = {0};
    struct rt_err err;

    for (uint64_t k = 0; k < n; k++) {
        struct rt_step_row *row = rt_step_list_add(&steps);
        assert_non_null(row);
        *row = fixture_step(k);
    }
    assert_ok(rt_store_put_steps(s, run_id, &steps, &err), &err);
    assert_int_equal(steps.count, 0);
    rt_step_list_release(&steps);
}

/* Each replica's two GPUs for the whole run, and checks of which the first does not apply. */
static inline void fixture_bill(struct fixture *f, struct rt_run_end *end)
{
    for (uint32_t i = 0; i < FIXTURE_REPLICAS; i++)
        f->billed[i] = (struct rt_billed){i == 2, i, 2, 0, end->totals.now_ns};
    end->billed = f->billed;
    end->billed_count = FIXTURE_REPLICAS;
    for (unsigned i = 1; i < RT_CHECK_COUNT; i++)
        f->checks[i] = (struct rt_check_row){true, true, 0, 1, i >= RT_CHECK_LITTLE, 0.5, 1};
    for (unsigned i = RT_CHECK_LITTLE; i < RT_CHECK_COUNT; i++)
        f->checks[i].replica = RT_NO_REPLICA;
    end->checks = f->checks;
}

static inline struct rt_run_end fixture_end(struct fixture *f, uint64_t n)
{
    struct rt_run_end end = {.status = RT_RUN_COMPLETE, .wall_s = 0.25};
    struct rt_err err;

    rt_hist_release(&f->tokens.itl);
    assert_true(rt_hist_init(&f->tokens.itl));
    rt_hist_add(&f->tokens.itl, 30000000, 1000);
    rt_hist_add(&f->tokens.itl, 31000000, 10);
    for (uint32_t i = 0; i < FIXTURE_REPLICAS; i++) {
        f->totals[i] = (struct rt_replica_totals){.steps = 100 + i,
                                                  .preemptions = i,
                                                  .finished = 5,
                                                  .rejected = 1,
                                                  .busy_ns = 1500000000 + i,
                                                  .output_tokens = 5000,
                                                  .computed_tokens = 9000,
                                                  .prompt_tokens = 8000,
                                                  .cached_tokens = 2000,
                                                  .kv_blocks_peak = 500,
                                                  .swapped_out_blocks = 60,
                                                  .swapped_in_blocks = 40,
                                                  .offloaded_blocks = 30,
                                                  .loaded_blocks = 20};
        for (unsigned t = 0; t < RT_TERM_COUNT; t++)
            f->totals[i].terms_s[t] = 0.125 * (t + 1);
        f->replicas[i] = &f->totals[i];
    }
    for (unsigned i = 0; i < 4; i++) {
        f->samples[i] = (struct rt_sample){i * 1000000000, 3, 2.5, 2700, 6, 3, RT_ALL_POOLS};
        f->samples[4 + i] = (struct rt_sample){i * 1000000000, 2, 1.5, 1800, 3.5, 2, 0};
        f->samples[8 + i] = (struct rt_sample){i * 1000000000, 1, 1, 900, 2, 1, 1};
    }
    assert_ok(rt_metrics_result(f->metrics, &f->tokens, &end.metrics, &err), &err);
    end.totals = (struct rt_sim_totals){.arrived = n,
                                        .max_in_flight = 12,
                                        .events = 1000,
                                        .steps = 303,
                                        .now_ns = (int64_t)n * 100000000 + 20000000000,
                                        .in_flight_area = 40000000000u};
    end.source = (struct rt_source_stats){
        .rows = n, .rows_read = n + 1, .zero_prompt = 2, .zero_output = 3, .unsorted = 4};
    static const struct rt_scaling_row scaling[] = {
        {0, 0, 0, "off", "ready", "begin"},
        {0, 0, 1, "off", "ready", "begin"},
        {1000000000, 0, 1, "ready", "down", "crash"},
        {2000000000, 0, 0, "ready", "draining", "scale_down"},
        {2000000000, 0, 1, "down", "starting", "repaired"},
        {3000000000, 0, 0, "draining", "off", "empty"},
    };
    end.scaling = scaling;
    end.scaling_count = sizeof scaling / sizeof scaling[0];
    end.samples = f->samples;
    end.sample_count = 12;
    end.itl = &f->tokens.itl;
    end.itl_measured = &f->tokens.itl_measured;
    end.peak_output_tokens_per_s = 321;
    end.replicas = f->replicas;
    end.replica_count = FIXTURE_REPLICAS;
    fixture_bill(f, &end);
    return end;
}

#define FIXTURE_STEPS 50

/* A whole run of n requests into the store, in lists of 100 rows, and a few steps. */
static inline int64_t fixture_run(struct fixture *f, struct rt_store *s, uint64_t n)
{
    struct rt_run_start start = fixture_start(f);
    struct rt_finished_list all, part;
    struct rt_run_end end;
    struct rt_err err;
    int64_t run_id = 0;

    rt_finished_list_init(&all);
    rt_finished_list_init(&part);
    fixture_rows(f, &all, n);
    assert_ok(rt_store_begin(s, &start, &run_id, &err), &err);
    for (uint64_t i = 0; i < n; i++) {
        assert_true(rt_finished_list_add(&part, &all.rows[i]));
        if (part.count == 100 || i == n - 1) {
            assert_ok(rt_store_put(s, run_id, &part, &err), &err);
            assert_int_equal(part.count, 0);
        }
    }
    fixture_put_steps(s, run_id, FIXTURE_STEPS);
    end = fixture_end(f, n);
    assert_ok(rt_store_end(s, run_id, &end, &err), &err);
    rt_finished_list_release(&all);
    rt_finished_list_release(&part);
    return run_id;
}

/* What a reader waits at most for a writer that is in the middle of a commit. */
#define FIXTURE_PATIENCE_MS 60000

/* The whole database (or a query) as text, through the sqlite3 library, not through ours. */
static inline char *fixture_read(const char *path, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    size_t size = 0;
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);

    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, FIXTURE_PATIENCE_MS);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    while (sqlite3_step(statement) == SQLITE_ROW)
        for (int i = 0; i < sqlite3_column_count(statement); i++) {
            const unsigned char *value = sqlite3_column_text(statement, i);
            fprintf(out, "%s%s", value ? (const char *)value : "NULL",
                    i + 1 < sqlite3_column_count(statement) ? "|" : "\n");
        }
    if (sqlite3_finalize(statement) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
    fclose(out);
    return text;
}

#define assert_sql(path, sql, want)                                                                \
    do {                                                                                           \
        char *got_ = fixture_read(path, sql);                                                      \
        assert_string_equal(got_, want);                                                           \
        free(got_);                                                                                \
    } while (0)

#endif
