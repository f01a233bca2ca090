/* The benchmark behind tools/bench: how long each stage takes for one trace on one fleet, and how
 * far the whole is from the floor, the time SQLite needs to insert the same rows into the same
 * schema.
 *
 *   rooftrace_bench CASE TRACE REPEAT REPLICAS FOLDER RUNS [--json] [--memory]
 *
 * CASE names model and engine, and traffic where that is synthetic (`cases` below; TRACE and REPEAT
 * are then not used). Prints "figure<TAB>value" lines, a JSON object with
 * --json. With --memory only the end-to-end stage runs.
 *
 * Stages (wall-clock seconds, best of RUNS; the databases go to FOLDER):
 *   end to end  trace file to closed database, as `rooftrace run` does it
 *   parse       pulling the source to its end
 *   simulate    the simulation to its end, reading included, rows thrown away
 *   write       the rows, already in memory, through the store (its queue and its writer thread)
 *   floor       the same rows, already in memory, by one prepared INSERT in one thread into a fresh
 *               database with the same schema and the store's pragmas, in one transaction: a row a
 *               statement, and as many as the store gives it
 * Peak memory is that of the process after the end-to-end stages, before any other stage ran.
 *
 * Block operations are counted from the rows of served requests (count_blocks below). */
#include "bench_floor.h"
#include "rooftrace/catalog.h"
#include "rooftrace/finished.h"
#include "rooftrace/fleet.h"

#include "rooftrace/trial.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct bench_case {
    const char *name;
    const char *workload; /* the section `workload`; NULL: the trace */
    double speed_up;      /* of the trace, for each replica; 0: as it is */
    const char *model;    /* key `model` of the scenario and what follows it at the top */
    const char *pool;     /* further keys of the pool */
    bool blocks;          /* block identities matter: count block operations */
};

#define FLEET(rate)                                                                                \
    "{\"synthetic\": {\"requests\": 1000000, \"arrivals\": {\"kind\": \"poisson\", "               \
    "\"rate_per_s\": " rate "}, \"prompt_tokens\": 1024,"                                          \
    " \"output_tokens\": {\"kind\": \"uniform\", \"min\": 100, \"max\": 300}}}"

/* All with the engine's defaults: asynchronous scheduling and prefix caching are on. Without hash
 * ids (conversation, closed, long) the cache needs no block identities. */
static const struct bench_case cases[] = {
    {"conversation", NULL, 0, "\"llama-3.1-8b\"", "", false},
    /* 19 requests a second and replica, of the 22 it can serve */
    {"loaded", NULL, 3.5, "\"llama-3.1-8b\"", "", false},
    {"closed",
     "{\"synthetic\": {\"requests\": 131072, \"prompt_tokens\": 1024, \"output_tokens\": 128},"
     " \"max_concurrency\": 64}",
     0, "\"llama-3.1-8b\"", "", false},
    {"long",
     "{\"synthetic\": {\"requests\": 4096, \"prompt_tokens\": 1024, \"output_tokens\": 2048},"
     " \"max_concurrency\": 128}",
     0, "\"llama-3.1-8b\"", "", false},
    /* 183,000 distinct blocks of 512 tokens in the whole trace against 954 a replica holds */
    {"cache", NULL, 0, "\"llama-3.1-70b\"", ", \"tensor_parallel\": 4", true},
    /* some 20 conversations at once, of 1,500 to 6,000 tokens, in 48,000 tokens of KV */
    {"sessions",
     "{\"synthetic\": {\"requests\": 40000, \"arrivals\": {\"kind\": \"poisson\", \"rate_per_s\": "
     "1},"
     " \"prompt_tokens\": {\"kind\": \"lognormal\", \"median\": 800, \"sigma\": 0.6, \"max\": "
     "2000},"
     " \"output_tokens\": {\"kind\": \"lognormal\", \"median\": 250, \"sigma\": 0.6, \"max\": 800},"
     " \"prefixes\": {\"count\": 16, \"tokens\": 1024, \"zipf\": 1},"
     " \"sessions\": {\"turns\": 4, \"think_s\": {\"kind\": \"exponential\", \"mean\": 5}}},"
     " \"sessions\": \"think\"}",
     0, "\"llama-3.1-8b\"", ", \"engine\": {\"num_gpu_blocks\": 3000}", true},
    /* the same 5 requests a second and replica */
    {"fleet-10", FLEET("50"), 0, "\"llama-3.1-8b\"", "", false},
    {"fleet-10000", FLEET("50000"), 0, "\"llama-3.1-8b\"", "", false},
};

struct options {
    const struct bench_case *what;
    const char *trace, *folder;
    uint64_t repeat;
    int64_t replicas;
    int runs;
    bool json, memory;
};

struct figures {
    double end_to_end_s, parse_s, simulate_s, write_s;
    struct bench_floor floor;
    uint64_t requests, steps, block_operations;
    double peak_bytes, database_bytes, simulated_s;
    double hit_ratio; /* prompt tokens found in the cache */
};

static double peak_bytes(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
#ifdef __APPLE__
    return (double)use.ru_maxrss;
#else
    return (double)use.ru_maxrss * 1024;
#endif
}

static bool need(bool ok, const struct rt_err *err)
{
    if (!ok)
        fprintf(stderr, "rooftrace_bench: %s\n", err->msg);
    return ok;
}

/* ---- stages through the library -------------------------------------------------------------- */

/* The workload section as rt_workload_parse wants it; the path goes in by hand, as it may hold
 * quotes. */
static bool read_scenario(const struct options *o, struct rt_scenario *s, struct rt_err *err)
{
    char text[2048], trace[96];
    double rate = o->what->speed_up > 0 ? o->what->speed_up * (double)o->replicas : 1;
    snprintf(trace, sizeof trace,
             "{\"trace\": \"trace\", \"repeat\": %" PRIu64 ", \"rate_scale\": %g}", o->repeat,
             rate);
    snprintf(text, sizeof text,
             "{\"workload\": %s, \"model\": %s, \"pools\": [{\"name\": \"main\","
             " \"gpu\": \"h100-sxm\", \"replicas\": %" PRId64 "%s}]}",
             o->what->workload ? o->what->workload : trace, o->what->model, o->replicas,
             o->what->pool);
    struct rt_catalog *catalog = NULL;
    struct rt_json *doc = NULL;
    bool ok = rt_catalog_open(NULL, &catalog, err) &&
              rt_json_parse(text, strlen(text), "bench", &doc, err);
    if (ok) {
        struct rt_json_at root = rt_json_root(doc);
        ok = rt_scenario_parse(&root, catalog, s, err);
    }
    rt_json_free(doc);
    rt_catalog_free(catalog);
    if (!ok || o->what->workload)
        return ok;
    free(s->workload.trace);
    s->workload.trace = strdup(o->trace);
    if (s->workload.trace)
        return true;
    rt_scenario_release(s);
    return rt_fail_nomem(err, "the trace's name");
}

static bool end_to_end(const struct options *o, const struct rt_scenario *s, struct figures *f,
                       struct rt_err *err)
{
    char path[1024];
    bench_path(o->folder, "bench.db", path);
    struct rt_trial_options options = {.output = path};
    struct rt_trial_progress progress = {0};
    struct rt_trial *trial = NULL;
    enum rt_trial_answer answer = RT_TRIAL_MORE;
    double begin = bench_seconds();
    if (!rt_trial_new(s, &options, &trial, err))
        return false;
    while (answer == RT_TRIAL_MORE)
        answer = rt_trial_step(trial, &progress, err);
    struct rt_sim_totals totals = rt_sim_totals(rt_trial_sim(trial));
    rt_trial_free(trial);
    bench_keep_best(&f->end_to_end_s, bench_seconds() - begin);
    struct stat file;
    if (stat(path, &file) == 0)
        f->database_bytes = (double)file.st_size;
    f->requests = totals.arrived;
    f->steps = totals.steps;
    f->simulated_s = (double)totals.now_ns * 1e-9;
    return answer == RT_TRIAL_DONE;
}

static bool parse(const struct rt_scenario *s, struct figures *f, struct rt_err *err)
{
    struct rt_source *source = NULL;
    struct rt_request request;
    int64_t now = 0, later = 0;
    double begin = bench_seconds();
    if (!rt_workload_open(&s->workload, &source, err))
        return false;
    enum rt_pull pull = rt_source_next(source, now, &request, &later, err);
    while (pull == RT_PULL_REQUEST || pull == RT_PULL_LATER) {
        if (pull == RT_PULL_LATER)
            now = later;
        else
            (void)rt_source_done(source, request.id, now); /* a closed loop goes on */
        pull = rt_source_next(source, now, &request, &later, err);
    }
    rt_source_free(source);
    bench_keep_best(&f->parse_s, bench_seconds() - begin);
    return pull == RT_PULL_END;
}

struct chunks { /* rows kept for the stage `write` */
    struct rt_finished_list *lists;
    size_t count, capacity;
};

static void chunks_release(struct chunks *c)
{
    for (size_t i = 0; i < c->count; i++)
        rt_finished_list_release(&c->lists[i]);
    free(c->lists);
}

static struct rt_finished_list *chunks_next(struct chunks *c)
{
    if (c->count == c->capacity) {
        size_t capacity = c->capacity * 2 + 64;
        void *grown = realloc(c->lists, capacity * sizeof *c->lists);
        if (!grown)
            return NULL;
        c->lists = grown;
        c->capacity = capacity;
    }
    rt_finished_list_init(&c->lists[c->count]);
    return &c->lists[c->count++];
}

/* Runs the simulation to its end. keep = NULL: rows are thrown away. */
static bool simulate(const struct rt_scenario *s, struct chunks *keep, struct rt_sim **out,
                     struct rt_err *err)
{
    struct rt_source *source = NULL;
    struct rt_finished_list scratch, *rows = &scratch;
    rt_finished_list_init(&scratch);
    *out = NULL;
    if (!rt_workload_open(&s->workload, &source, err) || !rt_sim_new(s, source, out, err))
        return false;
    enum rt_sim_answer answer;
    do {
        if (keep && !(rows = chunks_next(keep))) {
            rt_fail_nomem(err, "rows");
            answer = RT_SIM_ERROR;
            break;
        }
        rt_finished_list_reset(rows);
        answer = rt_sim_next(*out, 4096, rows, err);
    } while (answer == RT_SIM_MORE);
    rt_finished_list_release(&scratch);
    return answer == RT_SIM_DONE;
}

static bool simulate_only(const struct rt_scenario *s, struct figures *f, struct rt_err *err)
{
    struct rt_sim *sim = NULL;
    double begin = bench_seconds();
    bool ok = simulate(s, NULL, &sim, err);
    rt_sim_free(sim);
    bench_keep_best(&f->simulate_s, bench_seconds() - begin);
    return ok;
}

/* The run as the trial would describe it, without metrics and samples: a few rows. */
static bool put_all(struct rt_store *store, const struct rt_scenario *s, struct rt_sim *sim,
                    struct chunks *rows, struct rt_err *err)
{
    int64_t run_id = 0;
    struct rt_run_pool pool = {.spec = s->fleet.pools,
                               .plan = *rt_fleet_pool(rt_sim_fleet(sim), 0)};
    struct rt_run_start start = {.scenario_json = "{}",
                                 .trace = s->workload.trace,
                                 .version = "bench",
                                 .scenario = s,
                                 .pools = &pool,
                                 .pool_count = 1,
                                 .source = rt_sim_source(sim)};
    if (!rt_store_begin(store, &start, &run_id, err))
        return false;
    for (size_t i = 0; i < rows->count; i++)
        if (!rt_store_put(store, run_id, &rows->lists[i], err))
            return false;
    struct rt_run_end end = {.status = RT_RUN_COMPLETE, .totals = rt_sim_totals(sim)};
    end.source = *rt_source_stats(rt_sim_source(sim));
    return rt_store_end(store, run_id, &end, err);
}

/* What the requests did to the block pools, from their rows, a lower bound: each block a request
 * held at its end was taken or found once and released once, and each full one that it did not find
 * was published. The last token is never in KV. Left out: what preemption repeats, evictions. */
static void count_blocks(const struct rt_scenario *s, const struct chunks *rows, struct figures *f)
{
    int64_t size = s->fleet.pools[0].engine.block_size, cached = 0, prompts = 0;
    f->block_operations = 0;
    for (size_t c = 0; c < rows->count; c++)
        for (size_t i = 0; i < rows->lists[c].count; i++) {
            const struct rt_finished *row = &rows->lists[c].rows[i];
            int64_t tokens = row->prompt_tokens + row->output_tokens - 1;
            if (row->status != RT_STATUS_OK)
                continue;
            f->block_operations += 2 * (uint64_t)((tokens + size - 1) / size);
            f->block_operations += (uint64_t)((tokens - row->cached_tokens) / size);
            cached += row->cached_tokens;
            prompts += row->prompt_tokens;
        }
    f->hit_ratio = prompts ? (double)cached / (double)prompts : 0;
}

static bool write_only(const struct options *o, const struct rt_scenario *s, struct figures *f,
                       struct rt_err *err)
{
    char path[1024];
    bench_path(o->folder, "write.db", path);
    struct chunks rows = {0};
    struct rt_sim *sim = NULL;
    struct rt_store *store = NULL;
    bool ok = simulate(s, &rows, &sim, err);
    if (ok && o->what->blocks)
        count_blocks(s, &rows, f); /* the store takes the rows away */
    double begin = bench_seconds();
    ok = ok && rt_store_open(path, &store, err) && put_all(store, s, sim, &rows, err);
    rt_store_close(store);
    if (ok)
        bench_keep_best(&f->write_s, bench_seconds() - begin);
    rt_sim_free(sim);
    chunks_release(&rows);
    unlink(path);
    return ok;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool measure(const struct options *o, struct figures *f, struct rt_err *err)
{
    struct rt_scenario s;
    if (!read_scenario(o, &s, err))
        return false;
    bool ok = true;
    for (int run = 0; run < o->runs && ok; run++)
        ok = end_to_end(o, &s, f, err);
    f->peak_bytes = peak_bytes();
    if (o->memory) {
        char path[1024];
        bench_path(o->folder, "bench.db", path);
        rt_scenario_release(&s);
        return ok;
    }
    for (int run = 0; run < o->runs && ok; run++)
        ok = parse(&s, f, err) && simulate_only(&s, f, err) && write_only(o, &s, f, err);
    rt_scenario_release(&s);
    return ok && bench_floor(o->folder, o->runs, f->requests, &f->floor, err);
}

/* What simulating costs beside reading; never 0, so that rates stay finite. */
static double engine_s(const struct figures *f)
{
    double s = f->simulate_s - f->parse_s;
    return s > 1e-9 ? s : 1e-9;
}

struct figure {
    const char *label, *key;
    int decimals;
    double value;
    bool present;
};

#define FIGURES 24

/* One list for both ways of printing. */
static int list_figures(const struct options *o, const struct figures *f,
                        struct figure list[FIGURES])
{
    const bool all = !o->memory;
    const double n = (double)f->requests;
    const struct figure figures[] = {
        {"replicas", "replicas", 0, (double)o->replicas, true},
        {"requests", "requests", 0, n, true},
        {"simulated, h", "simulated_h", 2, f->simulated_s / 3600, true},
        {"engine steps", "steps", 0, (double)f->steps, true},
        {"parse, s", "parse_s", 3, f->parse_s, all},
        {"simulate, s", "simulate_s", 3, f->simulate_s, all},
        {"write, s", "write_s", 3, f->write_s, all},
        {"end to end, s", "end_to_end_s", 3, f->end_to_end_s, true},
        {"floor, s", "floor_s", 3, f->floor.plain_s, all},
        {"end to end / floor", "ratio", 2, f->end_to_end_s / f->floor.plain_s, all},
        {"floor batched, s", "floor_batched_s", 3, f->floor.batched_s, all},
        {"end to end / that", "ratio_batched", 2, f->end_to_end_s / f->floor.batched_s, all},
        {"requests/s end to end", "requests_per_s", 0, n / f->end_to_end_s, true},
        {"requests/s simulated", "simulated_requests_per_s", 0, n / engine_s(f), all},
        {"ns a step", "ns_per_step", 1, engine_s(f) * 1e9 / (double)f->steps, all},
        {"peak memory, MB", "peak_mb", 1, f->peak_bytes / 1e6, true},
        {"database, MB", "database_mb", 1, f->database_bytes / 1e6, true},
        {"bytes a row", "bytes_per_row", 1, f->database_bytes / n, true},
        {"found in cache, %", "cache_hit_percent", 1, 100 * f->hit_ratio, all && o->what->blocks},
        {"block operations", "block_operations", 0, (double)f->block_operations,
         all && o->what->blocks},
        {"block operations/s", "block_operations_per_s", 0,
         (double)f->block_operations / engine_s(f), all && o->what->blocks},
    };
    static_assert(sizeof figures / sizeof *figures <= FIGURES, "room in the list");
    memcpy(list, figures, sizeof figures);
    return (int)(sizeof figures / sizeof *figures);
}

static void print_figures(const struct options *o, const struct figures *f)
{
    struct figure list[FIGURES];
    int count = list_figures(o, f, list);
    if (o->json)
        printf("{\"case\": \"%s\", \"repeat\": %" PRIu64 ", \"runs\": %d", o->what->name, o->repeat,
               o->runs);
    for (int i = 0; i < count; i++) {
        char value[32];
        snprintf(value, sizeof value, "%.*f", list[i].decimals, list[i].value);
        if (!o->json)
            printf("%s\t%s\n", list[i].label, list[i].present ? value : "-");
        else if (list[i].present)
            printf(", \"%s\": %s", list[i].key, value);
    }
    if (o->json)
        printf("}\n");
}

static const struct bench_case *find_case(const char *name)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(cases[i].name, name) == 0)
            return &cases[i];
    return NULL;
}

int main(int argc, char **argv)
{
    struct options o = {.what = argc > 6 ? find_case(argv[1]) : NULL};
    if (!o.what) {
        fputs("usage: rooftrace_bench conversation|loaded|closed|long|cache|sessions TRACE REPEAT"
              " REPLICAS FOLDER RUNS"
              " [--json] [--memory]\n",
              stderr);
        return 2;
    }
    o.trace = argv[2];
    o.repeat = strtoull(argv[3], NULL, 10);
    o.replicas = strtoll(argv[4], NULL, 10);
    o.folder = argv[5];
    o.runs = (int)strtol(argv[6], NULL, 10);
    for (int i = 7; i < argc; i++) {
        o.json = o.json || strcmp(argv[i], "--json") == 0;
        o.memory = o.memory || strcmp(argv[i], "--memory") == 0;
    }
    struct figures f = {0};
    struct rt_err err = {0};
    if (!need(measure(&o, &f, &err), &err))
        return 1;
    print_figures(&o, &f);
    return 0;
}
