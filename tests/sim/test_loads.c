/* Closed loops and sessions on random fleets, audited from the rows by someone who knows the rules
 * of docs/workload.md and nothing of the code:
 *   - the k-th request sent is sent at max(its due time, the (k-c)-th departure): never more than c
 *     in flight, and exactly c while anybody waits;
 *   - a turn is due when the turn before has left, after its think time to the nanosecond, or not
 *     before its own time; turns of a session never overlap;
 *   - sessions start at their own times, or at those that are drawn;
 *   - Little's area is the sum of the stays, exactly; the same rows come with and without coasting;
 *   - what the engine made of the requests so sent is what the naive engine of tests/support makes
 *     of a plain trace with these arrivals.
 * Seeds are printed; RT_SEED=n RT_CASES=1 repeats one case. */
#include "array_source.h"
#include "rooftrace/rng.h"
#include "rooftrace/sim.h"
#include "sim_trial.h"
#include "support/naive_engine.h"
#include "support/seeds.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_CASES 400
#define MAX_REQUESTS  300
#define COST_S        "0.0057, 2.07e-05, 4.1e-08, 5.9160798e-10, 6.1e-06"

struct outcome {
    struct rt_finished by_id[MAX_REQUESTS];
    struct rt_sim_totals totals;
};

struct trial {
    uint64_t seed;
    struct rt_request requests[MAX_REQUESTS];
    char sessions[MAX_REQUESTS][8];
    size_t count;
    struct rt_load_spec load;
    struct rt_scenario scenario;
    struct naive_params naive; /* of one replica */
    bool rejects;              /* some requests are too long */
    struct outcome out;
    size_t order[MAX_REQUESTS]; /* ids in the order they were sent */
};

/* ---- drawing --------------------------------------------------------------------------------- */

static void draw_fleet(struct trial *t, struct rt_rng *r)
{
    static const enum naive_policy kinds[] = {NAIVE_CHUNKED, NAIVE_CONTINUOUS, NAIVE_PREFILL_FIRST,
                                              NAIVE_STATIC};
    struct naive_params *p = &t->naive;
    char text[1024];
    p->policy = kinds[rt_rng_below(r, 4)];
    p->run_ahead = p->policy == NAIVE_CHUNKED && rt_rng_below(r, 2);
    p->kv_blocks = pick(r, 20, 80);
    p->block_size = pick(r, 4, 16);
    p->max_seqs = pick(r, 1, 12);
    p->max_batched_tokens = pick(r, 100, 400);
    p->watermark = 0.01;
    memcpy(p->cost_s, (double[]){0.0057, 2.07e-05, 4.1e-08, 5.9160798e-10, 6.1e-06},
           sizeof p->cost_s);
    t->rejects = rt_rng_below(r, 3) == 0;
    snprintf(text, sizeof text,
             "{\"workload\": {\"trace\": \"none\"}, \"model\": \"llama-3.1-8b\", \"cost\":"
             " {\"kind\": \"linear\", \"coefficients_s\": [" COST_S "]}, \"router\": \"%s\","
             " \"pools\": [{\"gpu\": \"rtx-4090\", \"replicas\": %d, \"engine\": {\"policy\":"
             " \"%s\", \"max_num_seqs\": %d, \"max_num_batched_tokens\": %d, \"block_size\": %d,"
             " \"num_gpu_blocks\": %d %s}}]}",
             rt_rng_below(r, 2) ? "round_robin" : "least_outstanding",
             (int)(rt_rng_below(r, 2) ? 1 : pick(r, 2, 5)), naive_policy_names[p->policy],
             (int)p->max_seqs, (int)p->max_batched_tokens, (int)p->block_size, (int)p->kv_blocks,
             p->policy != NAIVE_CHUNKED ? ""
             : p->run_ahead             ? ", \"prefix_caching\": false, \"async_scheduling\": true"
                            : ", \"prefix_caching\": false, \"async_scheduling\": false");
    scenario_from_text(text, &t->scenario);
}

static void draw_requests(struct trial *t, struct rt_rng *r)
{
    int64_t at = 0, gap = pick(r, 1, 100) * 1000000;
    int64_t room = t->naive.kv_blocks * t->naive.block_size;
    uint64_t sessions = 1 + rt_rng_below(r, 40);
    t->count = (size_t)pick(r, 1, MAX_REQUESTS);
    for (size_t i = 0; i < t->count; i++) {
        at += rt_rng_below(r, 4) ? pick(r, 0, 2 * gap) : 0;
        int64_t longest = t->rejects && rt_rng_below(r, 8) == 0 ? room * 2 : 60;
        t->requests[i] = (struct rt_request){.id = i,
                                             .arrival_ns = at,
                                             .prompt_tokens = pick(r, 1, longest),
                                             .output_tokens = pick(r, 1, 16),
                                             .deadline_ns = RT_NO_DEADLINE,
                                             .think_ns = -1};
        if (t->load.sessions == RT_SESSIONS_OPEN || rt_rng_below(r, 8) == 0)
            continue;
        snprintf(t->sessions[i], sizeof t->sessions[i], "s%d", (int)rt_rng_below(r, sessions));
        t->requests[i].session = t->sessions[i];
        if (rt_rng_below(r, 4))
            t->requests[i].think_ns = rt_rng_below(r, 3) ? pick(r, 0, 5 * gap) : 0;
    }
}

static void draw_load(struct trial *t, struct rt_rng *r)
{
    struct rt_load_spec *l = &t->load;
    rt_load_init(l);
    l->sessions = (enum rt_sessions)rt_rng_below(r, RT_SESSIONS_COUNT);
    if (rt_rng_below(r, 4))
        l->max_concurrency = pick(r, 1, 30);
    if (rt_rng_below(r, 2))
        return;
    l->arrivals = rt_rng_below(r, 2) ? RT_ARRIVALS_RATE : RT_ARRIVALS_AT_ONCE;
    l->request_rate = 1 + 100 * rt_rng_unit(r);
    l->burstiness = 0.2 + 2 * rt_rng_unit(r);
}

/* ---- running --------------------------------------------------------------------------------- */

static struct rt_source *open_source(const struct trial *t, const struct array_load *load)
{
    struct rt_source *s = array_source_new(load);
    struct rt_err err = {0};
    assert_ok(rt_load_wrap(&t->load, t->seed, &s, &err), &err);
    return s;
}

static void run(struct trial *t, bool coast, struct outcome *out)
{
    struct array_load load = {.requests = t->requests, .count = t->count};
    struct rt_finished_list rows;
    struct rt_err err = {0};
    struct rt_sim *sim = NULL;
    enum rt_sim_answer answer;
    size_t left = 0;
    memset(out, 0, sizeof *out);
    t->scenario.coast = coast;
    assert_ok(rt_sim_new(&t->scenario, open_source(t, &load), &sim, &err), &err);
    rt_finished_list_init(&rows);
    do {
        answer = rt_sim_next(sim, 5, &rows, &err);
        CHECK(t, answer != RT_SIM_ERROR, "%s", err.msg);
        for (size_t i = 0; i < rows.count; i++, left++) {
            CHECK(t, rows.rows[i].id < t->count, "an unknown request");
            CHECK(t, out->by_id[rows.rows[i].id].prompt_tokens == 0, "a request left twice");
            out->by_id[rows.rows[i].id] = rows.rows[i];
            out->by_id[rows.rows[i].id].session = NULL; /* the list's */
        }
        rt_finished_list_reset(&rows);
    } while (answer == RT_SIM_MORE);
    CHECK(t, left == t->count, "%zu of %zu left", left, t->count);
    out->totals = rt_sim_totals(sim);
    rt_finished_list_release(&rows);
    rt_sim_free(sim);
}

/* ---- auditing -------------------------------------------------------------------------------- */

static int64_t left_ns(const struct rt_finished *row)
{
    return row->status == RT_STATUS_OK ? row->finish_ns : row->arrival_ns;
}

static int64_t due_ns(const struct trial *t, size_t i)
{
    return t->out.by_id[i].arrival_ns - t->out.by_id[i].client_wait_ns;
}

/* The times of the trace's rows, or those drawn for them. */
static void own_times(const struct trial *t, size_t count, int64_t *times)
{
    struct trial *plain = calloc(1, sizeof *plain);
    assert_non_null(plain);
    for (size_t i = 0; i < count; i++)
        plain->requests[i] = t->requests[i];
    plain->load = t->load;
    plain->load.sessions = RT_SESSIONS_OPEN;
    plain->load.max_concurrency = 0;
    plain->seed = t->seed;
    struct array_load load = {.requests = plain->requests, .count = count};
    struct rt_source *s = open_source(plain, &load);
    for (size_t i = 0; i < count; i++) {
        struct rt_request r;
        struct rt_err err;
        int64_t later;
        assert_int_equal(rt_source_next(s, INT64_MAX, &r, &later, &err), RT_PULL_REQUEST);
        times[i] = r.arrival_ns;
    }
    rt_source_free(s);
    free(plain);
}

/* The turn before in the session of row i; count: there is none. */
static size_t turn_before(const struct trial *t, size_t i)
{
    for (size_t k = i; t->requests[i].session && k-- > 0;)
        if (t->requests[k].session && strcmp(t->requests[k].session, t->requests[i].session) == 0)
            return k;
    return t->count;
}

static void check_due(const struct trial *t)
{
    int64_t own[MAX_REQUESTS];
    bool think = t->load.sessions == RT_SESSIONS_THINK, drawn = t->load.arrivals != 0;
    size_t starts = 0;
    own_times(t, t->count, own);
    for (size_t i = 0; i < t->count; i++) {
        size_t before = t->load.sessions ? turn_before(t, i) : t->count;
        int64_t want = think && drawn ? own[starts] : own[i];
        if (before == t->count) {
            starts++;
        } else {
            int64_t end = left_ns(&t->out.by_id[before]), wait = t->requests[i].think_ns;
            want = own[i] > end ? own[i] : end;
            if (think && wait >= 0)
                want = end + wait;
            else if (think && drawn)
                want = end;
        }
        CHECK(t, due_ns(t, i) == want, "request %zu is due at %lld, expected %lld", i,
              (long long)due_ns(t, i), (long long)want);
        CHECK(t, t->load.max_concurrency || t->out.by_id[i].client_wait_ns == 0, "it waited");
    }
}

static int compare(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static int by_time(const void *a, const void *b)
{
    return compare(*(const int64_t *)a, *(const int64_t *)b);
}

/* Ids by (due, sent, place in the trace): O(n^2), who cares. */
static void sort_sent(struct trial *t)
{
    for (size_t i = 0; i < t->count; i++) {
        size_t at = i;
        for (; at > 0; at--) {
            size_t k = t->order[at - 1];
            int c = compare(due_ns(t, k), due_ns(t, i));
            c = c ? c : compare(t->out.by_id[k].arrival_ns, t->out.by_id[i].arrival_ns);
            if (c <= 0)
                break;
            t->order[at] = k;
        }
        t->order[at] = i;
    }
}

static void check_loop(struct trial *t)
{
    int64_t left[MAX_REQUESTS];
    size_t limit = t->load.max_concurrency ? (size_t)t->load.max_concurrency : t->count;
    rt_u128 stays = 0;
    for (size_t i = 0; i < t->count; i++) {
        left[i] = left_ns(&t->out.by_id[i]);
        rt_u128 stay = (rt_u128)(left[i] - t->out.by_id[i].arrival_ns);
        stays = stays + stay;
    }
    qsort(left, t->count, sizeof left[0], by_time);
    sort_sent(t);
    for (size_t k = 0; k < t->count; k++) {
        int64_t want = due_ns(t, t->order[k]);
        if (k >= limit && left[k - limit] > want)
            want = left[k - limit];
        CHECK(t, t->out.by_id[t->order[k]].arrival_ns == want,
              "request %zu was sent at %lld, expected %lld", t->order[k],
              (long long)t->out.by_id[t->order[k]].arrival_ns, (long long)want);
    }
    CHECK(t, t->out.totals.max_in_flight <= limit, "too many in flight");
    CHECK(t, t->out.totals.in_flight_area == stays, "Little's law");
    CHECK(t, t->out.totals.arrived == t->count, "arrived");
}

/* One replica: a plain trace of what was sent gives the same. Orders by (arrival, place). */
static void check_naive(const struct trial *t)
{
    struct naive_request requests[MAX_REQUESTS];
    struct naive_result result;
    if (t->scenario.fleet.pools[0].replicas != 1)
        return;
    for (size_t k = 0; k < t->count; k++) {
        const struct rt_finished *row = &t->out.by_id[t->order[k]];
        requests[k] = (struct naive_request){.arrival_ns = row->arrival_ns,
                                             .prompt = row->prompt_tokens,
                                             .output = row->output_tokens,
                                             .deadline_ns = -1};
    }
    naive_run(&t->naive, requests, t->count, &result);
    for (size_t k = 0; k < t->count; k++) {
        const struct rt_finished *row = &t->out.by_id[t->order[k]];
        int64_t finish_ns = row->status == RT_STATUS_OK ? row->finish_ns : -1;
        CHECK(t, requests[k].finish_ns == finish_ns, "request %zu finishes at %lld, expected %lld",
              t->order[k], (long long)finish_ns, (long long)requests[k].finish_ns);
    }
    naive_result_release(&result);
}

static void random_loads(void **state)
{
    (void)state;
    uint64_t first = setting("RT_SEED", 1), cases = setting("RT_CASES", DEFAULT_CASES);
    uint64_t looped = 0, turns = 0, waited = 0, rejected = 0;
    struct outcome *stepped = calloc(1, sizeof *stepped);
    assert_non_null(stepped);
    for (uint64_t seed = first; seed < first + cases; seed++) {
        struct trial *t = calloc(1, sizeof *t);
        struct rt_rng r;
        assert_non_null(t);
        t->seed = seed;
        rt_rng_init(&r, seed, RT_RNG_TOOLS, 0);
        draw_fleet(t, &r);
        draw_load(t, &r);
        draw_requests(t, &r);
        run(t, true, &t->out);
        run(t, false, stepped);
        CHECK(t, memcmp(t->out.by_id, stepped->by_id, sizeof t->out.by_id) == 0,
              "coasting gives other rows");
        check_due(t);
        check_loop(t);
        check_naive(t);
        looped += t->load.max_concurrency > 0;
        rejected += t->out.totals.rejected;
        for (size_t i = 0; i < t->count; i++) {
            turns += t->load.sessions && turn_before(t, i) < t->count;
            waited += t->out.by_id[i].client_wait_ns > 0;
        }
        rt_scenario_release(&t->scenario);
        free(t);
    }
    free(stepped);
    print_message("seeds %llu..%llu: %llu closed loops, %llu requests waited in the client, "
                  "%llu later turns, %llu rejected\n",
                  (unsigned long long)first, (unsigned long long)(first + cases - 1),
                  (unsigned long long)looped, (unsigned long long)waited, (unsigned long long)turns,
                  (unsigned long long)rejected);
    if (cases == DEFAULT_CASES)
        assert_true(looped > 100 && waited > 10000 && turns > 10000 && rejected > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_loads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
