/* Timelines by hand: replicas that are asked for, start, drain, crash, are maintained and
 * reclaimed, and what that does to requests and bill. A step takes 10 ms whatever is in it, so a
 * request of n tokens that is alone takes n * 10 ms. Then two properties: machines fail at the same
 * instants whatever the policy; and an autoscaler without delay never costs less than the oracle.
 * The oracle is the cheapest of all schedules that change at the autoscaler's ticks and meet the
 * objective, found by trying every one. */
#include "array_source.h"
#include "rooftrace/rng.h"
#include "rooftrace/sim.h"
#include "rooftrace/supply.h"
#include "rooftrace/supply_spec.h"
#include "sim_trial.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_REQUESTS 64u
#define TEXT         4000u
#define MS           INT64_C(1000000)

struct outcome {
    struct rt_finished rows[MAX_REQUESTS];
    struct rt_sim_totals totals;
    struct rt_supply_event *events;
    size_t event_count;
    int64_t paid_ns; /* of all replicas */
    char text[TEXT]; /* events: "150:0 starting>ready started\n", in milliseconds */
    char bill[TEXT]; /* spans: "0:[100,250)\n" */
};

static void parse(const char *pool, const char *more, struct rt_scenario *s)
{
    char text[3000];
    snprintf(
        text, sizeof text,
        "{\"workload\": {\"trace\": \"none\"}, \"model\": \"llama-3.1-8b\", \"cost\": {\"kind\":"
        " \"linear\", \"coefficients_s\": [0.01, 0, 0, 0, 0]}, %s \"pools\": [{\"gpu\":"
        " \"rtx-4090\", %s, \"engine\": {\"max_num_seqs\": 8, \"num_gpu_blocks\": 100000,"
        " \"async_scheduling\": false}}]}",
        more, pool);
    scenario_from_text(text, s);
}

static void tell(struct outcome *out, struct rt_supply *supply)
{
    size_t used = 0, count;
    const struct rt_supply_event *events = rt_supply_events(supply, &out->event_count);
    out->events = malloc(out->event_count * sizeof events[0] + 1);
    assert_non_null(out->events);
    memcpy(out->events, events, out->event_count * sizeof events[0]);
    for (size_t e = 0; e < out->event_count && used < TEXT - 100; e++)
        used +=
            (size_t)snprintf(out->text + used, TEXT - used, "%lld:%u %s>%s %s\n",
                             (long long)(events[e].time_ns / MS), events[e].replica,
                             rt_slot_state_names[events[e].from], rt_slot_state_names[events[e].to],
                             rt_supply_reason_names[events[e].why]);
    const struct rt_supply_span *spans = rt_supply_spans(supply, out->totals.now_ns, &count);
    used = 0;
    for (size_t n = 0; n < count; n++) {
        out->paid_ns += spans[n].to_ns - spans[n].from_ns;
        if (used < TEXT - 100)
            used += (size_t)snprintf(out->bill + used, TEXT - used, "%u:[%lld,%lld)\n",
                                     spans[n].replica, (long long)(spans[n].from_ns / MS),
                                     (long long)(spans[n].to_ns / MS));
    }
}

static void replay(const struct rt_scenario *s, struct rt_request *requests, size_t count,
                   struct outcome *out)
{
    struct array_load load = {.requests = requests, .count = count};
    struct rt_finished_list rows;
    struct rt_err err = {0};
    struct rt_sim *sim;
    enum rt_sim_answer answer;
    memset(out, 0, sizeof *out);
    assert_ok(rt_sim_new(s, array_source_new(&load), &sim, &err), &err);
    rt_finished_list_init(&rows);
    do {
        answer = rt_sim_next(sim, 100, &rows, &err);
        if (answer == RT_SIM_ERROR)
            fail_msg("%s", err.msg);
        for (size_t i = 0; i < rows.count; i++)
            out->rows[rows.rows[i].id] = rows.rows[i];
        rt_finished_list_reset(&rows);
    } while (answer == RT_SIM_MORE);
    out->totals = rt_sim_totals(sim);
    if (rt_sim_supply(sim))
        tell(out, rt_sim_supply(sim));
    rt_finished_list_release(&rows);
    rt_sim_free(sim);
}

static struct rt_request request(uint64_t id, int64_t at_ms, int64_t output)
{
    return (struct rt_request){.id = id,
                               .arrival_ns = at_ms * MS,
                               .prompt_tokens = 10,
                               .output_tokens = output,
                               .deadline_ns = RT_NO_DEADLINE,
                               .think_ns = -1};
}

/* pairs: arrival in milliseconds, output tokens; ends with -1. */
static void run(const char *pool, const char *more, const int *pairs, struct outcome *out)
{
    struct rt_request requests[MAX_REQUESTS];
    struct rt_scenario s;
    size_t count = 0;
    for (; pairs[2 * count] >= 0; count++)
        requests[count] = request(count, pairs[2 * count], pairs[2 * count + 1]);
    parse(pool, more, &s);
    replay(&s, requests, count, out);
    rt_scenario_release(&s);
}

static void assert_row(const struct outcome *out, size_t i, enum rt_status status, uint32_t replica,
                       int64_t first_ms, int64_t finish_ms, unsigned retries)
{
    const struct rt_finished *row = &out->rows[i];
    assert_string_equal(rt_status_names[row->status], rt_status_names[status]);
    assert_int_equal(row->replica, replica);
    assert_int_equal(row->retries, retries);
    assert_int_equal(row->first_token_ns, first_ms < 0 ? RT_NEVER : first_ms * MS);
    assert_int_equal(row->finish_ns, finish_ms < 0 ? RT_NEVER : finish_ms * MS);
}

/* ---- autoscaling ----------------------------------------------------------------------------- */

/* Nothing is there; the first request starts a replica, which goes once nothing was wanted for 200
 * ms: the tick at 1500 is the first whose window begins after the last that wanted one, at 1200. */
static void to_zero_and_back(void **state)
{
    struct outcome out;
    static const int requests[] = {1000, 10, 1020, 3, 2000, 10, -1};
    (void)state;
    run("\"replicas\": 0, \"startup\": {\"provision_s\": 0.05, \"load_s\": 0.1}, \"scaling\":"
        " {\"policy\": \"queue_depth\", \"min_replicas\": 0, \"max_replicas\": 2, \"interval_s\":"
        " 0.1, \"target_requests\": 2, \"scale_down_window_s\": 0.2}",
        "", requests, &out);
    assert_string_equal(out.text, "1000:0 off>starting demand\n1150:0 starting>ready started\n"
                                  "1500:0 ready>off scale_down\n2000:0 off>starting demand\n"
                                  "2150:0 starting>ready started\n");
    assert_string_equal(out.bill, "0:[1000,1500)\n0:[2000,2250)\n");
    assert_row(&out, 0, RT_STATUS_OK, 0, 1160, 1250, 0);
    assert_row(&out, 1, RT_STATUS_OK, 0, 1160, 1180, 0);
    assert_row(&out, 2, RT_STATUS_OK, 0, 2160, 2250, 0);
    assert_true(out.totals.in_flight_area == (rt_u128)((250 + 160 + 250) * MS));
    free(out.events);
}

/* Five requests at target 2 want three; at the tick of 400 only two are left (one replica), but
 * down only within the window's most: 3 until 600. */
static void as_the_queue_grows(void **state)
{
    struct outcome out;
    static const int requests[] = {0, 100, 10, 100, 20, 20, 30, 20, 40, 20, 900, 1, -1};
    (void)state;
    run("\"replicas\": 1, \"startup\": {\"load_s\": 0.05}, \"scaling\": {\"policy\":"
        " \"queue_depth\", \"max_replicas\": 4, \"interval_s\": 0.2, \"target_requests\": 2,"
        " \"scale_down_window_s\": 0.3}",
        "", requests, &out);
    /* both start at the tick of 200, when five are in flight; by 400 two are left */
    assert_string_equal(out.text, "0:0 off>ready begin\n200:1 off>starting scale_up\n"
                                  "200:2 off>starting scale_up\n250:1 starting>ready started\n"
                                  "250:2 starting>ready started\n600:2 ready>off scale_down\n"
                                  "600:1 ready>off scale_down\n");
    free(out.events);
}

#define SCHEDULE                                                                                   \
    "\"replicas\": 1, \"startup\": {\"load_s\": 0}, \"scaling\": {\"policy\": \"schedule\","       \
    " \"max_replicas\": 2, \"steps\": [{\"at_s\": 0.5, \"replicas\": 2}, {\"at_s\": 1,"            \
    " \"replicas\": 1}]}"

/* One that drains gets nothing new and finishes what it has; a drain limit cuts it off. */
static void drains(void **state)
{
    struct outcome out;
    static const int requests[] = {0, 200, 600, 100, 1100, 10, -1};
    (void)state;
    run(SCHEDULE, "", requests, &out);
    assert_string_equal(out.text, "0:0 off>ready begin\n500:1 off>ready scale_up\n"
                                  "1000:1 ready>draining scale_down\n1600:1 draining>off empty\n");
    assert_string_equal(out.bill, "1:[500,1600)\n0:[0,2000)\n");
    assert_row(&out, 1, RT_STATUS_OK, 1, 610, 1600, 0);
    assert_row(&out, 2, RT_STATUS_OK, 0, 1110, 1200, 0);
    free(out.events);
    run(SCHEDULE ", \"drain_timeout_s\": 0.3", "", requests, &out);
    assert_string_equal(out.text,
                        "0:0 off>ready begin\n500:1 off>ready scale_up\n"
                        "1000:1 ready>draining scale_down\n1300:1 draining>off drain_timeout\n");
    /* the step that ends at 1300 counts, the next token comes with the other replica's next step */
    assert_row(&out, 1, RT_STATUS_OK, 0, 610, 1600, 1);
    assert_int_equal(out.rows[1].max_itl_ns, 10 * MS);
    assert_int_equal(out.rows[1].preempted_ns, 0);
    free(out.events);
}

/* What drains only because it was not wanted is taken back, with what it has. */
static void taken_back(void **state)
{
    struct outcome out;
    static const int requests[] = {0, 200, 10, 200, -1};
    (void)state;
    run("\"replicas\": 2, \"startup\": {\"load_s\": 5}, \"scaling\": {\"policy\": \"schedule\","
        " \"max_replicas\": 2, \"steps\": [{\"at_s\": 0.5, \"replicas\": 1}, {\"at_s\": 1,"
        " \"replicas\": 2}]}",
        "", requests, &out);
    assert_string_equal(out.text, "0:0 off>ready begin\n0:1 off>ready begin\n"
                                  "500:1 ready>draining scale_down\n"
                                  "1000:1 draining>ready scale_up\n");
    free(out.events);
}

/* A schedule that ends with nothing leaves no hope; what waits is turned away. */
static void no_hope(void **state)
{
    struct outcome out;
    static const int requests[] = {0, 10, 700, 10, 1500, 10, -1};
    (void)state;
    run("\"replicas\": 1, \"startup\": {\"load_s\": 0.1}, \"scaling\": {\"policy\": \"schedule\","
        " \"max_replicas\": 1, \"steps\": [{\"at_s\": 0.5, \"replicas\": 0}, {\"at_s\": 1,"
        " \"replicas\": 1}, {\"at_s\": 1.3, \"replicas\": 0}]}",
        "", requests, &out);
    assert_row(&out, 0, RT_STATUS_OK, 0, 10, 100, 0);
    assert_row(&out, 1, RT_STATUS_OK, 0, 1110, 1200, 0); /* it waits for the next step */
    assert_row(&out, 2, RT_STATUS_REJECTED, RT_NO_REPLICA, -1, -1, 0);
    assert_int_equal(out.rows[2].reason, RT_REASON_UNAVAILABLE);
    free(out.events);
    run("\"replicas\": 1, \"failures\": {\"outages\": [{\"at_s\": 0.5, \"replica\": 0, \"for_s\":"
        " 9}, {\"at_s\": 20, \"replica\": 0}]}",
        "\"timeout_s\": 1,", requests, &out);
    assert_row(&out, 1, RT_STATUS_TIMEOUT, RT_NO_REPLICA, -1, -1, 0); /* while it waits */
    assert_true(out.totals.in_flight_area == (rt_u128)((100 + 2000) * MS));
    free(out.events);
}

/* ---- failures -------------------------------------------------------------------------------- */

#define OUTAGE(more)                                                                               \
    "\"replicas\": 2, \"startup\": {\"load_s\": 0.1}, \"failures\": {\"outages\": [{\"at_s\":"     \
    " 0.2, \"replica\": 0, \"for_s\": 0.1" more "}]}"

static void crash_and_resume(void **state)
{
    struct outcome out;
    static const int requests[] = {0, 50, 5, 30, 250, 1, 600, 1, -1};
    (void)state;
    run(OUTAGE(""), "", requests, &out);
    assert_string_equal(out.text, "0:0 off>ready begin\n0:1 off>ready begin\n"
                                  "200:0 ready>down outage\n300:0 down>starting outage_over\n"
                                  "400:0 starting>ready started\n");
    /* replica 1 runs steps that end at 15, 25, ...: it joins at 205 */
    assert_row(&out, 0, RT_STATUS_OK, 1, 10, 505, 1);
    assert_int_equal(out.rows[0].max_itl_ns, 15 * MS);
    assert_int_equal(out.rows[0].preempted_ns, 5 * MS);
    assert_row(&out, 2, RT_STATUS_OK, 1, 265, 265, 0);
    assert_row(&out, 3, RT_STATUS_OK, 0, 610, 610, 0);
    free(out.events);
}

static void crash_and_restart(void **state)
{
    struct outcome out;
    static const int requests[] = {0, 50, -1};
    (void)state;
    run(OUTAGE(""), "\"retry\": {\"mode\": \"restart\", \"delay_s\": 0.05},", requests, &out);
    assert_row(&out, 0, RT_STATUS_OK, 1, 260, 750, 1);
    assert_int_equal(out.totals.lost_tokens, 20);
    assert_int_equal(out.totals.retries, 1);
    free(out.events);
}

static void crash_and_fail(void **state)
{
    struct outcome out;
    static const int requests[] = {0, 50, 300, 1, -1};
    (void)state;
    run(OUTAGE(""), "\"retry\": {\"mode\": \"fail\"},", requests, &out);
    assert_row(&out, 0, RT_STATUS_FAILED, 0, 10, -1, 0);
    assert_int_equal(out.rows[0].produced_tokens, 20);
    assert_int_equal(out.rows[0].reason, RT_REASON_CRASH);
    assert_int_equal(out.totals.failed, 1);
    assert_true(out.totals.given_up_ns == 200 * MS);
    free(out.events);
    run("\"replicas\": 2, \"failures\": {\"outages\": [{\"at_s\": 0.1, \"replica\": 0}, {\"at_s\":"
        " 0.2, \"replica\": 1}]}",
        "\"retry\": {\"max_retries\": 1},", requests, &out);
    assert_row(&out, 0, RT_STATUS_FAILED, 1, 10, -1, 1); /* the second loss is one too many */
    assert_int_equal(out.rows[0].produced_tokens, 20);
    assert_row(&out, 1, RT_STATUS_REJECTED, RT_NO_REPLICA, -1, -1, 0); /* both are gone for good */
    free(out.events);
}

/* With notice it drains first: what is done by then loses nothing. */
static void notice(void **state)
{
    struct outcome out;
    static const int requests[] = {0, 18, 60, 30, 120, 10, -1};
    (void)state;
    run(OUTAGE(", \"notice_s\": 0.1"), "", requests, &out);
    assert_string_equal(out.text, "0:0 off>ready begin\n0:1 off>ready begin\n"
                                  "100:0 ready>draining notice\n180:0 draining>down empty\n"
                                  "300:0 down>starting outage_over\n");
    assert_row(&out, 0, RT_STATUS_OK, 0, 10, 180, 0);
    assert_row(&out, 2, RT_STATUS_OK, 1, 130, 220, 0);
    free(out.events);
}

/* One after the other: each is down for 200 ms once it is empty, and loads for 100 ms. */
static void maintenance(void **state)
{
    struct outcome out;
    static const int requests[] = {0, 60, 550, 40, 1500, 1, -1};
    (void)state;
    run("\"replicas\": 2, \"startup\": {\"load_s\": 0.1}, \"failures\": {\"maintenance\":"
        " {\"start_s\": 0.5, \"down_s\": 0.2}}",
        "", requests, &out);
    assert_string_equal(out.text,
                        "0:0 off>ready begin\n0:1 off>ready begin\n"
                        "500:0 ready>draining maintenance\n600:0 draining>down empty\n"
                        "800:0 down>starting maintained\n900:0 starting>ready started\n"
                        "900:1 ready>draining maintenance\n950:1 draining>down empty\n"
                        "1150:1 down>starting maintained\n1250:1 starting>ready started\n");
    free(out.events);
}

/* Spot machines: reclaimed so long after the notice, and not paid for until another is there. */
static void spot(void **state)
{
    struct outcome out;
    static const int requests[] = {0, 1, 600000, 1, -1};
    size_t notices = 0;
    double back_s = 0;
    (void)state;
    run("\"replicas\": 20, \"startup\": {\"provision_s\": 1, \"load_s\": 2}, \"failures\":"
        " {\"spot\": {\"mean_s\": 60, \"notice_s\": 5, \"back_s\": 30}}",
        "", requests, &out);
    for (size_t e = 20; e < out.event_count; e++) { /* idle, so they are off at the notice */
        const struct rt_supply_event *ev = &out.events[e];
        size_t before = e;
        while (before-- > 0 && out.events[before].replica != ev->replica) {
        }
        int64_t since_ns = ev->time_ns - out.events[before].time_ns;
        notices += ev->why == RT_SUPPLY_NOTICE && ev->to == RT_SLOT_OFF;
        if (ev->why == RT_SUPPLY_REPLACED) {
            assert_true(since_ns > 5000 * MS);
            back_s += 1e-9 * (double)since_ns - 5;
        }
        assert_true(ev->why != RT_SUPPLY_STARTED || since_ns == 3000 * MS);
    }
    /* 600 s of a cycle of 95 s, 20 machines: about 126 notices, with a spread of 9 */
    print_message("%zu notices, away for %.1f s in the mean\n", notices, back_s / (double)notices);
    assert_true(notices > 90 && notices < 165);
    assert_true(back_s / (double)notices > 20 && back_s / (double)notices < 40);
    free(out.events);
}

static unsigned count_crashes(const struct outcome *out)
{
    unsigned crashes = 0;
    for (size_t e = 0; e < out->event_count; e++)
        crashes += out->events[e].why == RT_SUPPLY_CRASH;
    return crashes;
}

static bool crashes_at(const struct outcome *out, uint32_t replica, int64_t at_ns)
{
    for (size_t e = 0; e < out->event_count; e++)
        if (out->events[e].why == RT_SUPPLY_CRASH && out->events[e].replica == replica &&
            out->events[e].time_ns == at_ns)
            return true;
    return false;
}

/* A renewal process: 400 s of cycles of 4 + 1 s on 8 machines give 640 crashes; the spread of a
 * cycle's length is that of a Weibull distribution of mean 4 and shape 2 (2.09 s) and an
 * exponential one (1 s). Autoscaled fleets see the same instants, as far as machines are there. */
static void machines_fail_at_the_same_instants(void **state)
{
    static const char *const scalings[] = {
        "",
        ", \"scaling\": {\"policy\": \"queue_depth\", \"max_replicas\": 8, \"target_requests\": 1}",
        ", \"scaling\": {\"policy\": \"schedule\", \"max_replicas\": 8, \"period_s\": 20, "
        "\"steps\":"
        " [{\"at_s\": 3, \"replicas\": 2}, {\"at_s\": 11, \"replicas\": 8}]}"};
    static const int requests[] = {0, 1000, 30000, 1000, 400000, 1, -1};
    struct outcome all, some;
    (void)state;
    for (int n = 0; n < 3; n++) {
        char pool[600];
        snprintf(
            pool, sizeof pool,
            "\"replicas\": 8, \"startup\": {\"load_s\": 0}%s, \"failures\": {\"time_to_crash\":"
            " {\"mean_s\": 4, \"weibull_shape\": 2}, \"time_to_repair\": {\"mean_s\": 1}}",
            scalings[n]);
        run(pool, n == 2 ? "\"router\": \"random\"," : "", requests, n == 0 ? &all : &some);
        if (n == 0)
            continue;
        unsigned seen = 0;
        for (size_t e = 0; e < some.event_count; e++) {
            if (some.events[e].why != RT_SUPPLY_CRASH)
                continue;
            seen++;
            assert_true(crashes_at(&all, some.events[e].replica, some.events[e].time_ns));
        }
        print_message("%u of %u crashes hit machines that were there\n", seen, count_crashes(&all));
        assert_true(seen > 20 && seen < count_crashes(&all));
        free(some.events);
    }
    assert_in_range(count_crashes(&all), 560, 720);
    free(all.events);
}

/* ---- the oracle ------------------------------------------------------------------------------ */

#define TICKS       5
#define TICK_MS     250
#define MOST        3
#define CASES       14
#define OBJECTIVE_S 0.12

static size_t draw_load(struct rt_rng *r, struct rt_request *q)
{
    size_t count = 12 + (size_t)rt_rng_below(r, 20);
    int64_t at = 0;
    for (size_t i = 0; i < count; i++) {
        at += (int64_t)rt_rng_below(r, i % 8 < 5 ? 30 : 150);
        q[i] = request(i, at, 3 + (int64_t)rt_rng_below(r, 25));
    }
    while (count > 1 && q[count - 1].arrival_ns > (TICKS - 1) * TICK_MS * MS)
        count--;
    return count;
}

static bool meets(const struct outcome *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (out->rows[i].status != RT_STATUS_OK ||
            1e-9 * (double)(out->rows[i].first_token_ns - out->rows[i].arrival_ns) > OBJECTIVE_S)
            return false;
    return true;
}

static void set_schedule(struct rt_scenario *s, const int64_t *replicas)
{
    for (int n = 0; n < TICKS; n++)
        s->fleet.pools[0].supply->scaling.steps[n].replicas = replicas[n];
}

/* Ready after each tick, by the events. */
static void decisions(const struct outcome *out, int64_t *replicas)
{
    for (int n = 0; n < TICKS; n++) {
        replicas[n] = 0;
        for (size_t e = 0; e < out->event_count; e++)
            if (out->events[e].time_ns <= (n + 1) * TICK_MS * MS)
                replicas[n] +=
                    (out->events[e].to == RT_SLOT_READY) - (out->events[e].from == RT_SLOT_READY);
    }
}

struct oracle {
    int64_t paid_ns; /* INT64_MAX: no schedule meets the objective */
};

static struct oracle ask_oracle(struct rt_scenario *s, struct rt_request *q, size_t count)
{
    struct oracle o = {.paid_ns = INT64_MAX};
    int64_t replicas[TICKS] = {1, 1, 1, 1, 1};
    struct outcome out;
    for (int digit = 0; digit < TICKS;) {
        set_schedule(s, replicas);
        replay(s, q, count, &out);
        if (meets(&out, count) && out.paid_ns < o.paid_ns)
            o.paid_ns = out.paid_ns;
        free(out.events);
        for (digit = 0; digit < TICKS && replicas[digit]++ == MOST; digit++)
            replicas[digit] = 1;
    }
    return o;
}

static void same_run(const struct outcome *a, const struct outcome *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(a->rows[i].finish_ns, b->rows[i].finish_ns);
        assert_int_equal(a->rows[i].replica, b->rows[i].replica);
    }
    assert_int_equal(a->paid_ns, b->paid_ns);
}

/* What an autoscaler without delay decides is a schedule, too: replayed as one it gives the same
 * run and the same bill. So it costs no less than the cheapest schedule that meets the objective,
 * whenever it meets it. */
static void autoscaler_never_beats_the_oracle(void **state)
{
    static const char *const policies[] = {
        "\"policy\": \"queue_depth\", \"target_requests\": 2,",
        "\"policy\": \"queue_depth\", \"target_requests\": 5,",
        "\"policy\": \"utilisation\", \"target_share\": 0.5,",
        "\"policy\": \"predictive\", \"requests_per_s\": 8,",
    };
    struct rt_request q[MAX_REQUESTS];
    struct rt_scenario scaled, scheduled;
    struct outcome out, again;
    struct rt_rng r;
    unsigned judged = 0, dearer = 0;
    (void)state;
    rt_rng_init(&r, 5, RT_RNG_TOOLS, 0);
    parse("\"replicas\": 1, \"startup\": {\"load_s\": 0}, \"scaling\": {\"policy\": \"schedule\","
          " \"max_replicas\": 3, \"steps\": [{\"at_s\": 0.25, \"replicas\": 1}, {\"at_s\": 0.5,"
          " \"replicas\": 1}, {\"at_s\": 0.75, \"replicas\": 1}, {\"at_s\": 1, \"replicas\": 1},"
          " {\"at_s\": 1.25, \"replicas\": 1}]}",
          "", &scheduled);
    for (int n = 0; n < CASES; n++) {
        size_t count = draw_load(&r, q);
        struct oracle o = ask_oracle(&scheduled, q, count);
        for (size_t p = 0; p < sizeof policies / sizeof policies[0]; p++) {
            char pool[400];
            int64_t replicas[TICKS];
            snprintf(pool, sizeof pool,
                     "\"replicas\": 1, \"startup\": {\"load_s\": 0}, \"scaling\": {%s"
                     " \"max_replicas\": 3, \"interval_s\": 0.25, \"scale_down_window_s\": 0}",
                     policies[p]);
            parse(pool, "", &scaled);
            replay(&scaled, q, count, &out);
            rt_scenario_release(&scaled);
            if (out.totals.now_ns <= (TICKS + 1) * TICK_MS * MS) { /* no tick the schedules lack */
                decisions(&out, replicas);
                set_schedule(&scheduled, replicas);
                replay(&scheduled, q, count, &again);
                same_run(&out, &again, count);
                free(again.events);
                if (meets(&out, count)) {
                    assert_true(out.paid_ns >= o.paid_ns);
                    judged++;
                    dearer += out.paid_ns > o.paid_ns;
                }
            }
            free(out.events);
        }
    }
    print_message("%u runs that met the objective, %u of them dearer than the oracle\n", judged,
                  dearer);
    assert_true(judged >= 8 && dearer > 0);
    rt_scenario_release(&scheduled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(to_zero_and_back),
        cmocka_unit_test(as_the_queue_grows),
        cmocka_unit_test(drains),
        cmocka_unit_test(taken_back),
        cmocka_unit_test(no_hope),
        cmocka_unit_test(crash_and_resume),
        cmocka_unit_test(crash_and_restart),
        cmocka_unit_test(crash_and_fail),
        cmocka_unit_test(notice),
        cmocka_unit_test(maintenance),
        cmocka_unit_test(spot),
        cmocka_unit_test(machines_fail_at_the_same_instants),
        cmocka_unit_test(autoscaler_never_beats_the_oracle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
