/* Laws the whole simulation must obey, whatever its code: queueing theory (M/D/1, Little, thinned
 * streams behind round robin) and the roofline's bounds. Requests come from a source written here,
 * so only the simulator is under test. Each run is exact first (every wait equals Lindley's
 * recursion in integer nanoseconds, [Lindley, Proc. Cambridge Phil. Soc. 48, 1952]), then
 * statistical. */
#include "rooftrace/rng.h"
#include "rooftrace/sim.h"
#include "sim_trial.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS 3
#define REQUESTS                                                                                   \
    200000 /* a run; the estimator's error is then about 0.5 % (seen over 100 seeds)               \
            */

/* ---- a source over an array of arrivals ------------------------------------------------------ */

struct load {
    int64_t *arrival_ns;
    size_t count;
    int64_t prompt, output;
};

struct load_source {
    struct rt_source base;
    const struct load *load;
    size_t next;
    struct rt_source_stats stats;
};

static enum rt_pull load_next(struct rt_source *s, int64_t now_ns, struct rt_request *out,
                              int64_t *not_before_ns, struct rt_err *err)
{
    struct load_source *l = (struct load_source *)s;
    (void)err;
    if (l->next == l->load->count)
        return RT_PULL_END;
    int64_t arrival = l->load->arrival_ns[l->next];
    if (arrival > now_ns) {
        *not_before_ns = arrival;
        return RT_PULL_LATER;
    }
    *out = (struct rt_request){.id = l->next++,
                               .arrival_ns = arrival,
                               .prompt_tokens = l->load->prompt,
                               .output_tokens = l->load->output,
                               .deadline_ns = RT_NO_DEADLINE,
                               .think_ns = -1};
    l->stats.rows++;
    l->stats.rows_read++;
    l->stats.prompt_tokens += l->load->prompt;
    l->stats.output_tokens += l->load->output;
    return RT_PULL_REQUEST;
}

static const char *load_name(const struct rt_source *s, uint32_t name)
{
    (void)s;
    (void)name;
    return "";
}

static const struct rt_source_stats *load_stats(const struct rt_source *s)
{
    return &((const struct load_source *)s)->stats;
}

static void load_free(struct rt_source *s)
{
    free(s);
}

static struct rt_source *load_source_new(const struct load *load)
{
    static const struct rt_source_ops ops = {load_next, NULL, load_name, load_stats, load_free};
    struct load_source *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->base.ops = &ops;
    s->load = load;
    return &s->base;
}

/* ---- one run --------------------------------------------------------------------------------- */

struct outcome {
    struct rt_finished *by_id; /* one row a request */
    struct rt_sim_totals totals;
};

static void keep_rows(struct outcome *o, const struct rt_finished_list *rows, size_t count)
{
    for (size_t i = 0; i < rows->count; i++) {
        const struct rt_finished *row = &rows->rows[i];
        assert_true(row->id < count);
        assert_int_equal(row->status, RT_STATUS_OK);
        assert_int_equal(o->by_id[row->id].finish_ns, 0); /* each once; nothing finishes at 0 */
        o->by_id[row->id] = *row;
    }
}

/* Little's law, exactly: the time integral of requests in the system is the sum of their stays. */
static void check_little(const struct outcome *o, size_t count)
{
    rt_u128 stays = 0;
    for (size_t i = 0; i < count; i++) {
        rt_u128 stay = (rt_u128)(o->by_id[i].finish_ns - o->by_id[i].arrival_ns);
        stays = stays + stay;
    }
    assert_true(o->totals.in_flight_area == stays);
    assert_int_equal(o->totals.arrived, count);
    assert_int_equal(o->totals.finished, count);
}

static void simulate(const char *scenario_text, const struct load *load, struct outcome *out)
{
    struct rt_err err = {0};
    struct rt_scenario scenario;
    struct rt_sim *sim = NULL;
    struct rt_finished_list rows;
    enum rt_sim_answer answer;
    scenario_from_text(scenario_text, &scenario);
    assert_ok(rt_sim_new(&scenario, load_source_new(load), &sim, &err), &err);
    rt_finished_list_init(&rows);
    out->by_id = calloc(load->count, sizeof *out->by_id);
    assert_non_null(out->by_id);
    do {
        answer = rt_sim_next(sim, 4096, &rows, &err);
        if (answer == RT_SIM_ERROR)
            fail_msg("%s", err.msg);
        keep_rows(out, &rows, load->count);
        rt_finished_list_reset(&rows);
    } while (answer == RT_SIM_MORE);
    out->totals = rt_sim_totals(sim);
    rt_finished_list_release(&rows);
    rt_sim_free(sim);
    rt_scenario_release(&scenario);
    check_little(out, load->count);
}

/* Poisson arrivals, `mean_ns` apart, in whole nanoseconds. */
static void poisson(struct load *load, size_t count, double mean_ns, uint64_t seed)
{
    struct rt_rng rng;
    rt_rng_init(&rng, seed, RT_RNG_TOOLS, 0);
    *load = (struct load){.count = count, .prompt = 1, .output = 1};
    load->arrival_ns = calloc(count, sizeof *load->arrival_ns);
    assert_non_null(load->arrival_ns);
    int64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        at += (int64_t)nearbyint(rt_rng_exponential(&rng) * mean_ns);
        load->arrival_ns[i] = at;
    }
}

#define SERVICE_NS INT64_C(10000000)

static void server_scenario(char *buf, size_t size, int replicas)
{
    snprintf(buf, size,
             "{\"workload\": {\"trace\": \"none.csv\"}, \"model\": \"llama-3.1-8b\","
             " \"cost\": {\"kind\": \"linear\", \"coefficients_s\": [0.01, 0, 0, 0, 0]},"
             " \"pools\": [{\"name\": \"main\", \"gpu\": \"rtx-4090\", \"replicas\": %d,"
             " \"engine\": {\"policy\": \"chunked\", \"async_scheduling\": false,"
             " \"max_num_seqs\": 1, \"num_gpu_blocks\": 4}}],"
             " \"router\": \"round_robin\"}",
             replicas);
}

/* Waits of the requests first, first + stride, ... are those of one server with constant service:
 * W' = max(0, W + s - A), to the nanosecond. */
static void check_lindley(const struct outcome *o, const struct load *load, size_t first,
                          size_t stride)
{
    int64_t wait = 0;
    for (size_t i = first; i < load->count; i += stride) {
        if (i > first) {
            wait += SERVICE_NS - (load->arrival_ns[i] - load->arrival_ns[i - stride]);
            wait = wait > 0 ? wait : 0;
        }
        assert_int_equal(o->by_id[i].scheduled_ns - load->arrival_ns[i], wait);
        assert_int_equal(o->by_id[i].finish_ns - o->by_id[i].scheduled_ns, SERVICE_NS);
        assert_int_equal(o->by_id[i].first_token_ns, o->by_id[i].finish_ns);
    }
}

/* ---- M/D/1 ----------------------------------------------------------------------------------- */

/* Mean wait in seconds. A wait does not know the gap A behind it, so mean(W*(A - E A)) estimates 0;
 * adding it, divided by E A - s, takes most of the noise out (6 times less at rho = 0.9). */
static double mean_wait_s(const struct outcome *o, const struct load *load, double mean_gap_ns)
{
    double sum = 0, control = 0;
    for (size_t i = 0; i + 1 < load->count; i++) {
        double wait = (double)(o->by_id[i].scheduled_ns - load->arrival_ns[i]);
        double gap = (double)(load->arrival_ns[i + 1] - load->arrival_ns[i]);
        sum += wait;
        control += wait * (gap - mean_gap_ns);
    }
    double n = (double)(load->count - 1);
    return (sum + control / (mean_gap_ns - (double)SERVICE_NS)) / n * 1e-9;
}

static void md1(double rho)
{
    const double service_s = (double)SERVICE_NS * 1e-9;
    const double theory = rho * service_s / (2 * (1 - rho)); /* Pollaczek-Khinchine, no variance */
    char text[1024];
    server_scenario(text, sizeof text, 1);
    double sum = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct load load;
        struct outcome o;
        double gap_ns = (double)SERVICE_NS / rho;
        poisson(&load, REQUESTS, gap_ns, seed);
        simulate(text, &load, &o);
        check_lindley(&o, &load, 0, 1);
        double wait = mean_wait_s(&o, &load, gap_ns);
        print_message("M/D/1, rho %.1f, seed %d: mean wait %.6f s, theory %.6f s (%+.2f %%)\n", rho,
                      (int)seed, wait, theory, 100 * (wait / theory - 1));
        assert_true(fabs(wait / theory - 1) < 0.02);
        sum += wait;
        free(o.by_id);
        free(load.arrival_ns);
    }
    assert_true(fabs(sum / SEEDS / theory - 1) < 0.01);
}

static void md1_half(void **state)
{
    (void)state;
    md1(0.5);
}

static void md1_busy(void **state)
{
    (void)state;
    md1(0.8);
}

static void md1_nearly_full(void **state)
{
    (void)state;
    md1(0.9);
}

/* Behind round robin each of N servers sees every N-th arrival and nothing else. */
static void round_robin_thins(void **state)
{
    (void)state;
    enum { REPLICAS = 5 };
    char text[1024];
    struct load load;
    struct outcome o;
    server_scenario(text, sizeof text, REPLICAS);
    poisson(&load, 50000, (double)SERVICE_NS / 0.9 / REPLICAS, 7);
    simulate(text, &load, &o);
    for (size_t first = 0; first < REPLICAS; first++) {
        check_lindley(&o, &load, first, REPLICAS);
        for (size_t i = first; i < load.count; i += REPLICAS)
            assert_int_equal(o.by_id[i].replica, o.by_id[first].replica);
    }
    free(o.by_id);
    free(load.arrival_ns);
}

/* ---- roofline -------------------------------------------------------------------------------- */

struct served {
    double ttft_s, tpot_s, span_s;
};

/* `count` equal requests at time 0 on one GPU. */
static struct served serve(size_t count, int64_t prompt, int64_t output, const char *cost)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"workload\": {\"trace\": \"none.csv\"}, \"model\": \"llama-3.1-8b\", \"cost\": %s,"
             " \"pools\": [{\"name\": \"main\", \"gpu\": \"h100-sxm\"}]}",
             cost);
    struct load load = {.arrival_ns = calloc(count, sizeof(int64_t)),
                        .count = count,
                        .prompt = prompt,
                        .output = output};
    assert_non_null(load.arrival_ns);
    struct outcome o;
    simulate(text, &load, &o);
    struct served s = {0, 0, 0};
    for (size_t i = 0; i < count; i++) {
        double ttft = (double)o.by_id[i].first_token_ns * 1e-9;
        double e2e = (double)o.by_id[i].finish_ns * 1e-9;
        s.ttft_s += ttft / (double)count;
        s.tpot_s += (e2e - ttft) / (double)(output - 1) / (double)count;
        s.span_s = e2e > s.span_s ? e2e : s.span_s;
    }
    free(o.by_id);
    free(load.arrival_ns);
    return s;
}

#define ROOFLINE "{\"kind\": \"roofline\"}"
#define LIGHT    "{\"kind\": \"roofline\", \"speed_of_light\": true}"

/* Llama 3.1 8B: 8.03e9 parameters, 0.525e9 of them the input embedding (128256 x 4096), of which
 * one row is read. H100 SXM: 3350 GB/s, 989 TFLOP/s dense bf16 (datasheet). */
#define STREAM_S     (2.0 * (8.03e9 - 0.525e9) / 3350e9)
#define PREFILL_S(p) (2.0 * (p) * (8.03e9 - 2 * 0.525e9) / 989e12)

static void roofline_bounds(void **state)
{
    (void)state;
    struct served one = serve(1, 128, 200, ROOFLINE), light = serve(1, 128, 200, LIGHT);
    /* One stream: every token streams the weights once. The floor itself carries a little KV. */
    assert_true(light.tpot_s > STREAM_S * 0.995 && light.tpot_s < STREAM_S * 1.02);
    assert_true(one.tpot_s > light.tpot_s && one.tpot_s < 1.6 * light.tpot_s);
    /* A long prompt is bound by arithmetic (plus attention, below a fifth here). */
    struct served longer = serve(1, 8000, 2, ROOFLINE), floor = serve(1, 8000, 2, LIGHT);
    assert_true(floor.ttft_s > PREFILL_S(8000) * 0.99 && floor.ttft_s < PREFILL_S(8000) * 1.25);
    assert_true(longer.ttft_s > floor.ttft_s && longer.ttft_s < 2.5 * floor.ttft_s);
    /* A batch shares the weights: 64 streams cost far less than 64 times one, and no less than one.
     */
    struct served batch = serve(64, 128, 200, ROOFLINE);
    assert_true(batch.tpot_s > one.tpot_s && batch.tpot_s < 4 * one.tpot_s);
    assert_true(batch.span_s < 8 * one.span_s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(md1_half),        cmocka_unit_test(md1_busy),
        cmocka_unit_test(md1_nearly_full), cmocka_unit_test(round_robin_thins),
        cmocka_unit_test(roofline_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
