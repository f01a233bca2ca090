/* rt_replica against the plain model of tests/support/naive_engine.h, over thousands of random
 * small scenarios: the same nanoseconds request by request and step by step when it steps, the same
 * again when it coasts; gauges and aborts at random instants. A failure prints its seed and
 * scenario; RT_SEED=n RT_CASES=1 runs it alone, RT_POLICY=name keeps to one policy, RT_ALL=1
 * tries what rt_engine_parse still rejects. */
#include "replica_drive.h"
#include "rooftrace/rng.h"
#include "support/seeds.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SEED 20261122
#ifdef __SANITIZE_THREAD__ /* fifteen times as slow, and nothing here has a second thread */
#define DEFAULT_CASES 1000
#else
#define DEFAULT_CASES 2500
#endif

struct run { /* what a case compares */
    struct scenario s;
    struct naive_result naive;
    uint64_t seed;
};

#define CHECK(run, holds, ...)                                                                     \
    do {                                                                                           \
        if (!(holds))                                                                              \
            complain(run, #holds, __VA_ARGS__);                                                    \
    } while (0)

static void complain(const struct run *run, const char *what, const char *fmt, ...) RT_PRINTF(3, 4);

static void complain(const struct run *run, const char *what, const char *fmt, ...)
{
    char scenario[4096], detail[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(detail, sizeof detail, fmt, args);
    va_end(args);
    print_error("%s\n", scenario_text(&run->s, run->seed, scenario, sizeof scenario));
    fail_msg("%s: %s", what, detail);
}

/* Where: `number` behind it unless -1. */
static void same(const struct run *run, const char *what, long long got, long long want,
                 const char *where, long long number)
{
    if (got != want && number < 0)
        complain(run, what, "%s: %lld, expected %lld", where, got, want);
    if (got != want)
        complain(run, what, "%s %lld: %lld, expected %lld", where, number, got, want);
}
#define SAME(run, got, want, where, number)                                                        \
    same(run, #got, (long long)(got), (long long)(want), where, (long long)(number))

static int64_t or_never(int64_t ns)
{
    return ns < 0 ? RT_NEVER : ns;
}

/* Rows by id; every request exactly once. */
static void rows_by_id(const struct run *run, const struct drive *d,
                       const struct rt_finished *by_id[SCENARIO_MAX])
{
    memset((void *)by_id, 0, SCENARIO_MAX * sizeof *by_id);
    SAME(run, d->rows.count, d->pushed, "rows", -1);
    for (size_t i = 0; i < d->rows.count; i++) {
        const struct rt_finished *row = &d->rows.rows[i];
        CHECK(run, row->id < run->s.count, "id %llu", (unsigned long long)row->id);
        CHECK(run, !by_id[row->id], "request %llu twice", (unsigned long long)row->id);
        by_id[row->id] = row;
    }
}

/* How long a request was preempted by that instant. */
static int64_t away_before(const struct run *run, uint32_t id, int64_t ns)
{
    int64_t sum = 0;
    for (size_t i = 0; i < run->naive.away_count; i++) {
        const struct naive_away *a = &run->naive.aways[i];
        if (a->request == id && a->from_ns < ns)
            sum += (a->to_ns < ns ? a->to_ns : ns) - a->from_ns;
    }
    return sum;
}

static void check_rejected(const struct run *run, const struct rt_finished *row,
                           const struct naive_request *want, unsigned id)
{
    SAME(run, row->status, RT_STATUS_REJECTED, "request", id);
    SAME(run, row->reason, want->status == NAIVE_REJECTED_KV ? RT_REASON_KV : RT_REASON_PROMPT,
         "request", id);
}

static void check_rows(const struct run *run, const struct drive *d)
{
    const struct rt_finished *rows[SCENARIO_MAX];
    rows_by_id(run, d, rows);
    SAME(run, d->pushed, run->s.count, "pushed", -1);
    for (unsigned i = 0; i < run->s.count; i++) {
        const struct naive_request *want = &run->s.requests[i];
        if (want->status != NAIVE_OK) {
            check_rejected(run, rows[i], want, i);
            continue;
        }
        SAME(run, rows[i]->status, RT_STATUS_OK, "request", i);
        SAME(run, rows[i]->reason, RT_REASON_NONE, "request", i);
        SAME(run, rows[i]->arrival_ns, want->arrival_ns, "request", i);
        SAME(run, rows[i]->scheduled_ns, want->scheduled_ns, "request", i);
        SAME(run, rows[i]->first_token_ns, want->first_token_ns, "request", i);
        SAME(run, rows[i]->finish_ns, want->finish_ns, "request", i);
        SAME(run, rows[i]->max_itl_ns, or_never(want->max_gap_ns), "request", i);
        SAME(run, rows[i]->preemptions, want->preemptions, "request", i);
        SAME(run, rows[i]->preempted_ns, away_before(run, i, INT64_MAX), "request", i);
        SAME(run, rows[i]->cached_tokens, want->cached, "request", i);
        SAME(run, rows[i]->prompt_tokens, want->prompt, "request", i);
        SAME(run, rows[i]->output_tokens, want->output, "request", i);
        SAME(run, rows[i]->produced_tokens, want->output, "request", i);
    }
}

/* Nobody starts before somebody who was there earlier, but for a smaller key: with fcfs nobody at
 * all, otherwise nobody who came later than the handicap allows. On one rank. */
static void check_order(const struct run *run, const struct drive *d)
{
    const struct rt_finished *rows[SCENARIO_MAX];
    rows_by_id(run, d, rows);
    if (run->s.params.ranks > 1)
        return;
    for (size_t i = 0; i < run->s.count; i++) {
        const struct rt_finished *row = rows[run->s.order[i]];
        if (row->status != RT_STATUS_OK)
            continue;
        CHECK(run, row->scheduled_ns >= row->arrival_ns, "request %u", run->s.order[i]);
        for (size_t k = 0; k < i; k++) {
            const struct rt_finished *earlier = rows[run->s.order[k]];
            CHECK(run,
                  earlier->status != RT_STATUS_OK || row->scheduled_ns >= earlier->scheduled_ns ||
                      run->s.requests[row->id].key_ns < run->s.requests[earlier->id].key_ns,
                  "request %u overtook %u", run->s.order[i], run->s.order[k]);
        }
    }
}

/* Shares of the GPUs that a step keeps busy. */
static int64_t parts_of(const struct run *run)
{
    int64_t stages = run->s.params.stages, ranks = run->s.params.ranks;
    return (stages > 1 ? stages : 1) * (ranks > 1 ? ranks : 1);
}

static void check_steps(const struct run *run, const struct drive *d)
{
    for (size_t i = 0; i < d->step_count && i < run->naive.step_count; i++) {
        const struct rt_step_record *got = &d->steps[i];
        const struct naive_step *want = &run->naive.steps[i];
        const struct rt_step_shape *shape = &got->shape;
        SAME(run, got->start_ns, want->start_ns, "step", i);
        SAME(run, shape->tokens, want->computed, "step", i);
        SAME(run, shape->decodes, want->decodes, "step", i);
        SAME(run, shape->sequences, want->sequences, "step", i);
        SAME(run, shape->samples, want->samples, "step", i);
        SAME(run, shape->held_tokens, want->held, "step", i);
        SAME(run, shape->decode_context, want->decode_held, "step", i);
        SAME(run, shape->prefill_tokens, want->prefill_tokens, "step", i);
        SAME(run, shape->prefill_area, want->area, "step", i);
        SAME(run, shape->prefill_held, want->held - want->decode_held, "step", i);
        SAME(run, shape->prefill_tiles2, want->tiles2, "step", i);
        SAME(run, shape->prefill_longest, want->longest, "step", i);
        SAME(run, got->end_ns, want->end_ns, "step", i);
        SAME(run, got->kv_blocks_used, want->kv_used, "step", i);
        SAME(run, got->waiting, want->queue, "step", i);
        CHECK(run, got->kv_blocks_used <= run->s.params.kv_blocks, "step %zu", i);
        CHECK(run, shape->sequences <= run->s.params.max_seqs, "step %zu", i);
    }
    SAME(run, d->step_count, run->naive.step_count, "steps", -1);
}

/* The records of steps that are over: those of the model, their terms together the totals'. */
static void check_step_log(const struct run *run, const struct drive *d)
{
    int64_t parts = parts_of(run);
    double terms_s[RT_TERM_COUNT] = {0};
    SAME(run, d->step_log.count, run->naive.step_count, "step records", -1);
    for (size_t i = 0; i < d->step_log.count; i++) {
        const struct rt_step_row *got = &d->step_log.rows[i];
        const struct naive_step *want = &run->naive.steps[i];
        SAME(run, got->step, want->number, "step", i);
        SAME(run, got->start_ns, want->start_ns, "step", i);
        SAME(run, got->end_ns, want->end_ns, "step", i);
        SAME(run, got->decodes, want->decodes, "step", i);
        SAME(run, got->prefill_tokens, want->prefill_tokens, "step", i);
        SAME(run, got->sequences, want->sequences, "step", i);
        SAME(run, got->context_tokens, want->held, "step", i);
        SAME(run, got->kv_blocks_used, want->kv_used, "step", i);
        SAME(run, got->waiting, want->queue, "step", i);
        for (int t = 0; t < RT_TERM_COUNT; t++)
            terms_s[t] += got->terms_s[t];
    }
    for (int t = 0; t < RT_TERM_COUNT; t++)
        CHECK(run,
              fabs(terms_s[t] - d->totals.terms_s[t] * (double)parts) <=
                  1e-9 * (double)run->naive.step_count + 1e-9 * fabs(terms_s[t]),
              "term %d: %.12g s, totals %.12g s", t, terms_s[t], d->totals.terms_s[t]);
}

static void check_totals(const struct run *run, const struct drive *d)
{
    int64_t busy = 0, output = 0, prompt = 0, cached = 0;
    uint64_t finished = 0;
    for (size_t i = 0; i < run->naive.step_count; i++)
        busy += run->naive.steps[i].own_ns;
    busy /= parts_of(run);
    for (size_t i = 0; i < run->s.count; i++) {
        const struct naive_request *r = &run->s.requests[i];
        if (r->status != NAIVE_OK)
            continue;
        finished++;
        output += r->output;
        prompt += r->prompt;
        cached += r->cached;
    }
    SAME(run, d->totals.steps, run->naive.step_count, "totals", -1);
    SAME(run, d->totals.preemptions, run->naive.preemptions, "totals", -1);
    SAME(run, d->totals.finished, finished, "totals", -1);
    SAME(run, d->totals.rejected, run->s.count - finished, "totals", -1);
    SAME(run, d->totals.busy_ns, busy, "totals", -1);
    SAME(run, d->totals.output_tokens, output, "totals", -1);
    SAME(run, d->totals.computed_tokens, run->naive.computed_tokens, "totals", -1);
    SAME(run, d->totals.prompt_tokens, prompt, "totals", -1);
    SAME(run, d->totals.cached_tokens, cached, "totals", -1);
    SAME(run, d->totals.kv_blocks_peak, run->naive.kv_peak, "totals", -1);
    SAME(run, d->totals.swapped_out_blocks, run->naive.swapped_out, "totals", -1);
    SAME(run, d->totals.swapped_in_blocks, run->naive.swapped_in, "totals", -1);
    SAME(run, d->totals.offloaded_blocks, run->naive.offloaded, "totals", -1);
    SAME(run, d->totals.loaded_blocks, run->naive.loaded, "totals", -1);
    double terms =
        0; /* each step's terms sum to its time before rounding: half a nanosecond each */
    for (int i = 0; i < RT_TERM_COUNT; i++)
        terms += d->totals.terms_s[i];
    double slack = 1e-9 * (double)run->naive.step_count + 1e-9 * (double)busy * 1e-9;
    CHECK(run, fabs(terms - (double)busy * 1e-9) <= slack, "terms %.12g s, busy %lld ns", terms,
          (long long)busy);
}

static void check_hist(const struct run *run, const struct rt_hist *got, int64_t from, int64_t to)
{
    uint64_t *counts = calloc(RT_HIST_BUCKETS, sizeof *counts), count = 0;
    assert_non_null(counts);
    int64_t least = INT64_MAX, most = INT64_MIN;
    rt_u128 sum = 0, squares = 0;
    for (size_t i = 0; i < run->naive.token_count; i++) {
        const struct naive_token *t = &run->naive.tokens[i];
        if (t->gap_ns < 0 || t->time_ns < from || t->time_ns >= to)
            continue;
        counts[rt_hist_bucket(t->gap_ns)]++;
        count++;
        rt_u128 gap = (rt_u128)t->gap_ns;
        sum = sum + gap;
        squares = squares + gap * gap;
        least = t->gap_ns < least ? t->gap_ns : least;
        most = t->gap_ns > most ? t->gap_ns : most;
    }
    SAME(run, got->count, count, "gaps", -1);
    CHECK(run, got->sum == sum, "sum of gaps %lld, expected %lld", (long long)got->sum,
          (long long)sum);
    CHECK(run, got->sum_squares == squares, "squares of gaps");
    if (count) {
        SAME(run, got->min, least, "gaps", -1);
        SAME(run, got->max, most, "gaps", -1);
    }
    for (uint32_t b = 0; b < RT_HIST_BUCKETS; b++)
        if (got->counts[b] != counts[b])
            SAME(run, got->counts[b], counts[b], "gaps near", (long long)rt_hist_bucket_low(b));
    free(counts);
}

static void check_tokens(const struct run *run, const struct drive *d)
{
    check_hist(run, &d->stats.itl, 0, INT64_MAX);
    check_hist(run, &d->stats.itl_measured, run->s.measure_from_ns, run->s.measure_to_ns);
    uint64_t peak = 0, here = 0;
    int64_t second = -1;
    for (size_t i = 0; i < run->naive.token_count; i++) { /* tokens come in order of time */
        int64_t of = run->naive.tokens[i].time_ns / 1000000000;
        here = of == second ? here + 1 : 1;
        second = of;
        peak = here > peak ? here : peak;
    }
    SAME(run, rt_token_stats_peak(&d->stats), peak, "tokens in the best second", -1);
}

static bool same_record(const struct rt_step_row *a, const struct rt_step_row *b)
{
    return memcmp(a->terms_s, b->terms_s, sizeof a->terms_s) == 0 && a->step == b->step &&
           a->replica == b->replica && a->start_ns == b->start_ns && a->end_ns == b->end_ns &&
           a->decodes == b->decodes && a->prefill_tokens == b->prefill_tokens &&
           a->sequences == b->sequences && a->context_tokens == b->context_tokens &&
           a->kv_blocks_used == b->kv_blocks_used && a->waiting == b->waiting;
}

/* Stepping and coasting: the same rows in the same order, the same gauges. */
static void check_same_drive(const struct run *run, const struct drive *step,
                             const struct drive *coast)
{
    for (size_t i = 0; i < step->rows.count; i++)
        SAME(run, coast->rows.rows[i].id, step->rows.rows[i].id, "row", i);
    SAME(run, coast->step_log.count, step->step_log.count, "step records", -1);
    for (size_t i = 0; i < step->step_log.count; i++) /* seconds to the last bit */
        CHECK(run, same_record(&coast->step_log.rows[i], &step->step_log.rows[i]), "step %zu", i);
    SAME(run, coast->gauge_count, step->gauge_count, "gauges", -1);
    for (size_t i = 0; i < step->gauge_count; i++) {
        long long at = (long long)step->probes[i];
        SAME(run, coast->gauges[i].running, step->gauges[i].running, "coasting at", at);
        SAME(run, coast->gauges[i].waiting, step->gauges[i].waiting, "coasting at", at);
        SAME(run, coast->gauges[i].kv_blocks_used, step->gauges[i].kv_blocks_used, "coasting at",
             at);
    }
}

#define PROBES 24

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Instants between the first arrival and the end; some exactly at step ends. */
static void draw_probes(const struct run *run, struct rt_rng *g, int64_t probes[PROBES])
{
    for (int i = 0; i < PROBES; i++) {
        uint64_t end = (uint64_t)run->naive.end_ns + 1;
        probes[i] = (int64_t)rt_rng_below(g, end);
        if (run->naive.step_count && rt_rng_below(g, 2))
            probes[i] = run->naive.steps[rt_rng_below(g, run->naive.step_count)].end_ns;
    }
    qsort(probes, PROBES, sizeof *probes, by_time);
}

/* With gauges at an instant inside a step: what was taken when the step was scheduled. */
static void check_gauges(const struct run *run, const struct drive *d)
{
    int64_t ranks = run->s.params.ranks > 1 ? run->s.params.ranks : 1;
    SAME(run, d->at_end.running, 0, "at the end", -1);
    SAME(run, d->at_end.waiting, 0, "at the end", -1);
    SAME(run, d->at_end.kv_blocks_used, 0, "at the end", -1);
    for (size_t i = 0; i < d->gauge_count; i++) {
        CHECK(run, d->gauges[i].kv_blocks_used >= 0, "at %lld", (long long)d->probes[i]);
        CHECK(run, d->gauges[i].kv_blocks_used <= ranks * run->s.params.kv_blocks, "at %lld",
              (long long)d->probes[i]);
        for (size_t k = 0; k < run->naive.step_count; k++) {
            const struct naive_step *s = &run->naive.steps[k];
            if (d->probes[i] > s->start_ns && d->probes[i] < s->end_ns &&
                !run->s.params.run_ahead && scenario_is_plain(&run->s))
                SAME(run, d->gauges[i].kv_blocks_used, s->kv_used, "at", (long long)d->probes[i]);
        }
    }
}

static int64_t tokens_before(const struct run *run, uint32_t id, int64_t ns)
{
    int64_t count = 0;
    for (size_t i = 0; i < run->naive.token_count; i++)
        count += run->naive.tokens[i].request == id && run->naive.tokens[i].time_ns < ns;
    return count;
}

static void check_aborted_row(const struct run *run, const struct rt_finished *row, int64_t stop)
{
    unsigned id = (unsigned)row->id;
    const struct naive_request *want = &run->s.requests[id];
    if (want->status != NAIVE_OK) {
        check_rejected(run, row, want, id);
        return;
    }
    bool done = want->finish_ns < stop;
    SAME(run, row->status, done ? RT_STATUS_OK : RT_STATUS_UNFINISHED, "request", id);
    SAME(run, row->finish_ns, done ? want->finish_ns : RT_NEVER, "request", id);
    SAME(run, row->scheduled_ns, want->scheduled_ns < stop ? want->scheduled_ns : RT_NEVER,
         "request", id);
    SAME(run, row->first_token_ns, want->first_token_ns < stop ? want->first_token_ns : RT_NEVER,
         "request", id);
    SAME(run, row->produced_tokens, tokens_before(run, id, stop), "request", id);
    /* In a pipeline a request can be preempted, admitted and preempted again by batches that are
     * formed but have not begun when the run is stopped: the first of these times is counted whole.
     */
    if (run->s.params.stages > 1 && row->preemptions > 1)
        CHECK(run, row->preempted_ns >= away_before(run, id, stop), "request %u", id);
    else
        SAME(run, row->preempted_ns, away_before(run, id, stop), "request", id);
}

/* Stops at an instant that is no step end: every request that came is there exactly once. */
static void check_abort(const struct run *run, struct rt_rng *g, bool coast)
{
    int64_t stop = 1 + (int64_t)rt_rng_below(g, (uint64_t)run->naive.end_ns + 2);
    for (size_t i = 0; i < run->naive.step_count; i++)
        if (run->naive.steps[i].end_ns == stop || run->naive.steps[i].start_ns == stop)
            return;
    struct drive d = {.coast = coast, .stop_ns = stop};
    drive_run(&d, &run->s);
    const struct rt_finished *rows[SCENARIO_MAX];
    rows_by_id(run, &d, rows);
    for (unsigned i = 0; i < run->s.count; i++) {
        CHECK(run, !!rows[i] == (run->s.requests[i].arrival_ns < stop), "request %u, stop %lld", i,
              (long long)stop);
        if (rows[i])
            check_aborted_row(run, rows[i], stop);
    }
    drive_release(&d);
}

struct coverage { /* what the scenarios met, so that an easy generator is seen */
    uint64_t requests, rejected, preempted, cached, steps, overtakers, swapped, loaded, drafted;
};

static void count_coverage(const struct run *run, struct coverage *c)
{
    c->requests += run->s.count;
    c->steps += run->naive.step_count;
    c->preempted += run->naive.preemptions;
    c->swapped += (uint64_t)run->naive.swapped_out;
    c->loaded += (uint64_t)run->naive.loaded;
    c->drafted += run->s.params.drafts > 0;
    for (size_t i = 0; i < run->s.count; i++) {
        c->rejected += run->s.requests[i].status != NAIVE_OK;
        c->cached += run->s.requests[i].cached > 0;
        const struct naive_request *r = &run->s.requests[run->s.order[i]];
        const struct naive_request *before = i ? &run->s.requests[run->s.order[i - 1]] : r;
        c->overtakers += r->status == NAIVE_OK && r->scheduled_ns < before->scheduled_ns;
    }
}

static int by_number(const void *a, const void *b)
{
    const struct naive_step *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static void check_one(uint64_t seed, bool spread, const struct abilities *abilities,
                      struct coverage *coverage)
{
    struct run run = {.seed = seed};
    struct rt_rng g;
    rt_rng_init(&g, seed, RT_RNG_TOOLS, 1);
    scenario_draw(&run.s, seed, abilities);
    if (spread)
        scenario_spread(&run.s, seed);
    naive_run(&run.s.params, run.s.requests, run.s.count, &run.naive);
    if (run.s.params.ranks > 1 && run.naive.step_count > 0)
        qsort(run.naive.steps, run.naive.step_count, sizeof run.naive.steps[0], by_number);
    count_coverage(&run, coverage);
    int64_t probes[PROBES];
    draw_probes(&run, &g, probes);
    struct drive drives[3]; /* stepping; coasting; coasting where plans are worked out twice */
    for (int way = 0; way < 3; way++) {
        bool coast = way > 0;
        struct drive *d = &drives[way];
        *d = (struct drive){.coast = coast,
                            .compact = way == 2,
                            .log = true,
                            .probes = probes,
                            .probe_count = PROBES,
                            .stop_ns = RT_NEVER_AGAIN};
        drive_run(d, &run.s);
        if (!coast && d->plain)
            check_steps(&run, d);
        check_rows(&run, d);
        check_step_log(&run, d);
        check_order(&run, d);
        check_totals(&run, d);
        check_tokens(&run, d);
        check_gauges(&run, d);
        check_abort(&run, &g, coast);
    }
    check_same_drive(&run, &drives[0], &drives[1]);
    check_same_drive(&run, &drives[0], &drives[2]);
    /* Looking at the gauges and recording must change nothing: once more without. */
    struct drive quiet = {.coast = true, .stop_ns = RT_NEVER_AGAIN};
    drive_run(&quiet, &run.s);
    check_rows(&run, &quiet);
    check_totals(&run, &quiet);
    drive_release(&quiet);
    for (int way = 0; way < 3; way++)
        drive_release(&drives[way]);
    naive_result_release(&run.naive);
}

static void check_many(bool spread)
{
    struct abilities abilities;
    abilities_probe(&abilities);
    assert_true(abilities.policy[NAIVE_CHUNKED]);
    if (getenv("RT_ALL"))
        abilities.async_scheduling = abilities.prefix_caching = true;
    const char *only = getenv("RT_POLICY");
    for (int i = 0; only && i < NAIVE_POLICY_COUNT; i++)
        abilities.policy[i] = strcmp(only, naive_policy_names[i]) == 0;
    uint64_t seed = setting("RT_SEED", DEFAULT_SEED), cases = setting("RT_CASES", DEFAULT_CASES);
    print_message("seeds %llu to %llu, asynchronous scheduling %s, prefix cache %s\n",
                  (unsigned long long)seed, (unsigned long long)(seed + cases - 1),
                  abilities.async_scheduling ? "yes" : "not yet",
                  abilities.prefix_caching ? "yes" : "not yet");
    struct coverage c = {0};
    for (uint64_t i = 0; i < cases; i++)
        check_one(seed + i, spread, &abilities, &c);
    print_message(
        "%llu requests (%llu rejected, %llu with a cached prefix, %llu overtook the one before), "
        "%llu preemptions, %llu blocks swapped, %llu loaded from the offload tier, %llu steps; "
        "%llu scenarios with drafts: all equal\n",
        (unsigned long long)c.requests, (unsigned long long)c.rejected,
        (unsigned long long)c.cached, (unsigned long long)c.overtakers,
        (unsigned long long)c.preempted, (unsigned long long)c.swapped,
        (unsigned long long)c.loaded, (unsigned long long)c.steps, (unsigned long long)c.drafted);
    if (cases >= 100 && !only) {
        assert_true(c.preempted > cases / 2);
        assert_true(c.overtakers > cases / 20);
        assert_true(c.swapped > cases / 2);
        assert_true(c.loaded > cases / 20);
        assert_true(c.drafted > cases / 10);
        assert_true(c.rejected > 0 && c.rejected < c.requests / 2);
    }
}

static void random_scenarios(void **state)
{
    (void)state;
    check_many(false);
}

/* The same requests through a pipeline, on several ranks, or both. */
static void random_pipelines_and_ranks(void **state)
{
    (void)state;
    check_many(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_scenarios),
                                       cmocka_unit_test(random_pipelines_and_ranks)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
