/* Pipelines and data parallel ranks against arithmetic and against each other: how long a request
 * alone takes, what a full pipe yields, what bubbles cost; two ranks against two replicas behind
 * the same balancer; ranks that wait for each other. Random scenarios against the plain model:
 * test_replica_property.c. */
#include "replica_drive.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP_NS INT64_C(8000000) /* through all stages; 1 to 8 stages divide it */
#define BUDGET  64

static struct scenario requests_of(size_t count, int64_t prompt, int64_t output)
{
    struct scenario s = {.params = {.policy = NAIVE_CHUNKED,
                                    .kv_blocks = 100000,
                                    .block_size = 16,
                                    .max_seqs = 64,
                                    .max_batched_tokens = BUDGET,
                                    .chunk = 1,
                                    .cost_s = {1e-9 * STEP_NS, 0, 0, 0, 0}},
                         .count = count,
                         .measure_to_ns = INT64_MAX};
    for (size_t i = 0; i < count; i++) {
        s.requests[i].prompt = prompt;
        s.requests[i].output = output;
        s.requests[i].deadline_ns = -1;
        s.order[i] = (uint32_t)i;
    }
    return s;
}

static struct drive drive_through(struct scenario *s, int64_t stages, int64_t ranks, bool together)
{
    struct drive d = {.coast = true, .log = true, .stop_ns = RT_NEVER_AGAIN};
    s->params.stages = stages;
    s->params.ranks = ranks;
    s->params.together = together;
    drive_run(&d, s);
    assert_int_equal(d.rows.count, s->count);
    return d;
}

static int64_t last_finish(const struct drive *d)
{
    int64_t last = 0;
    for (size_t i = 0; i < d->rows.count; i++)
        last = d->rows.rows[i].finish_ns > last ? d->rows.rows[i].finish_ns : last;
    return last;
}

/* A request alone takes as long through any number of stages, scheduled ahead or not, and keeps one
 * stage busy at a time. */
static void alone_takes_as_long(void **state)
{
    (void)state;
    for (int64_t stages = 1; stages <= 8; stages *= 2)
        for (int ahead = 0; ahead < 2; ahead++) {
            struct scenario s = requests_of(1, 30, 50);
            s.params.run_ahead = ahead;
            struct drive d = drive_through(&s, stages, 1, false);
            assert_int_equal(d.rows.rows[0].first_token_ns, STEP_NS);
            assert_int_equal(last_finish(&d), 50 * STEP_NS);
            assert_int_equal(d.rows.rows[0].max_itl_ns, STEP_NS);
            assert_int_equal(d.totals.busy_ns, 50 * STEP_NS / stages);
            drive_release(&d);
        }
}

/* A full pipe yields a batch every stage: prompts of a whole budget, one after the other. */
static void full_pipe_yields_a_batch_a_stage(void **state)
{
    (void)state;
    for (int64_t stages = 1; stages <= 8; stages *= 2) {
        struct scenario s = requests_of(SCENARIO_MAX, BUDGET, 1);
        struct drive d = drive_through(&s, stages, 1, false);
        for (size_t i = 0; i < d.rows.count; i++) {
            assert_int_equal(d.rows.rows[i].id, i);
            assert_int_equal(d.rows.rows[i].finish_ns, STEP_NS + (int64_t)i * STEP_NS / stages);
        }
        assert_int_equal(d.totals.busy_ns, SCENARIO_MAX * STEP_NS / stages);
        drive_release(&d);
    }
}

/* Chunks of one prompt follow each other through the stages. */
static void chunks_follow_each_other(void **state)
{
    (void)state;
    for (int64_t stages = 1; stages <= 8; stages *= 2) {
        struct scenario s = requests_of(1, 10 * BUDGET, 3);
        struct drive d = drive_through(&s, stages, 1, false);
        int64_t first_ns = STEP_NS + 9 * STEP_NS / stages;
        assert_int_equal(d.rows.rows[0].first_token_ns, first_ns);
        assert_int_equal(last_finish(&d), first_ns + 2 * STEP_NS);
        drive_release(&d);
    }
}

/* k cohorts on eight stages: tokens come as to one alone, k of eight stages are busy. What one
 * cohort more than stages would cost is nothing but its own wait: they share batches. */
static void bubbles_with_fewer_cohorts_than_stages(void **state)
{
    const int64_t stages = 8, output = 101;
    (void)state;
    for (int64_t k = 1; k <= stages; k++) {
        struct scenario s = requests_of((size_t)k, BUDGET, output);
        struct drive d = drive_through(&s, stages, 1, false);
        int64_t end_ns = output * STEP_NS + (k - 1) * STEP_NS / stages;
        assert_int_equal(last_finish(&d), end_ns);
        assert_int_equal(d.totals.steps, k * output);
        assert_int_equal(d.totals.busy_ns, k * output * STEP_NS / stages);
        for (size_t i = 0; i < d.rows.count; i++)
            assert_int_equal(d.rows.rows[i].max_itl_ns, STEP_NS);
        drive_release(&d);
    }
}

/* Requests that fit into one batch stay together: the other stages idle, as in vLLM V1. */
static void one_cohort_does_not_split(void **state)
{
    (void)state;
    struct scenario s = requests_of(8, 4, 20);
    struct drive d = drive_through(&s, 4, 1, false);
    assert_int_equal(d.totals.steps, 20);
    assert_int_equal(last_finish(&d), 20 * STEP_NS);
    drive_release(&d);
}

/* At most as many steps are under way as there are stages (one more is formed with asynchronous
 * scheduling, but has not begun), they begin a stage apart at least, and end in order. */
static void steps_overlap_as_stages_allow(void **state)
{
    (void)state;
    struct abilities a;
    abilities_probe(&a);
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct scenario s;
        scenario_draw(&s, seed, &a);
        struct drive d = drive_through(&s, 1 + (int64_t)(seed % 7), 1, false);
        int64_t stages = s.params.stages;
        const struct rt_step_row *rows = d.step_log.rows;
        for (size_t i = 1; i < d.step_log.count; i++) {
            int64_t before_ns = 0;
            for (int t = 0; t < RT_TERM_COUNT; t++) /* rounded as the cost model rounds */
                before_ns += (int64_t)(rows[i - 1].terms_s[t] * 1e9);
            assert_true(rows[i].end_ns >= rows[i - 1].end_ns);
            assert_true(rows[i].start_ns >= rows[i - 1].start_ns + before_ns / stages - 1);
            if (i >= (size_t)stages)
                assert_true(rows[i].start_ns >= rows[i - (size_t)stages].end_ns);
        }
        drive_release(&d);
    }
}

/* Ranks that step together end together, however little one of them has to do. */
static void ranks_wait_for_each_other(void **state)
{
    (void)state;
    struct scenario s = requests_of(2, 1, 11);
    s.params.cost_s[1] = 1e-6;     /* a token */
    s.requests[1].prompt = BUDGET; /* goes to the other rank */
    struct drive d = drive_through(&s, 1, 2, true);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(d.rows.rows[i].first_token_ns, STEP_NS + BUDGET * 1000);
        assert_int_equal(d.rows.rows[i].finish_ns, STEP_NS + BUDGET * 1000 + 10 * (STEP_NS + 1000));
    }
    /* the wait is no work: (8.001 + 8.064 + 20 * 8.001) / 2 ms */
    assert_int_equal(d.totals.busy_ns, (21 * (STEP_NS + 1000) + STEP_NS + BUDGET * 1000) / 2);
    assert_int_equal(d.totals.steps, 22);
    drive_release(&d);
    d = drive_through(&s, 1, 2, false);
    assert_int_equal(d.rows.rows[0].first_token_ns, STEP_NS + 1000);
    drive_release(&d);
}

/* ---- two ranks and two replicas -------------------------------------------------------------- */

struct pair {
    struct rt_replica *replicas[2];
    struct rt_finished_list rows;
    size_t pushed;
};

static int64_t load_of(struct rt_replica *r, int64_t now)
{
    struct rt_replica_gauges g = rt_replica_gauges(r, now);
    return 4 * g.waiting + g.running;
}

static void push_to_pair(struct pair *p, const struct scenario *s, int64_t now)
{
    while (p->pushed < s->count && s->requests[s->order[p->pushed]].arrival_ns == now) {
        uint32_t id = s->order[p->pushed++];
        int to = load_of(p->replicas[1], now) < load_of(p->replicas[0], now);
        struct rt_request req = drive_request(s, id);
        struct rt_err err = {0};
        assert_int_equal(rt_replica_push(p->replicas[to], &req, now, &err), RT_REASON_NONE);
    }
}

static void run_pair(struct pair *p, const struct scenario *s)
{
    struct rt_err err = {0};
    for (;;) {
        int64_t now = RT_NEVER_AGAIN;
        if (p->pushed < s->count)
            now = s->requests[s->order[p->pushed]].arrival_ns;
        for (int i = 0; i < 2; i++)
            if (rt_replica_next_ns(p->replicas[i]) < now)
                now = rt_replica_next_ns(p->replicas[i]);
        if (now == RT_NEVER_AGAIN)
            return;
        for (int i = 0; i < 2; i++)
            if (rt_replica_next_ns(p->replicas[i]) == now)
                assert_ok(rt_replica_step_end(p->replicas[i], now, &p->rows, &err), &err);
        push_to_pair(p, s, now);
        for (int i = 0; i < 2; i++)
            if (!rt_replica_busy(p->replicas[i]))
                assert_ok(rt_replica_schedule(p->replicas[i], now, &err), &err);
    }
}

static void check_pair(const struct scenario *s, const struct drive *d, const struct pair *p)
{
    int64_t finish_ns[SCENARIO_MAX], first_ns[SCENARIO_MAX];
    assert_int_equal(p->rows.count, d->rows.count);
    for (size_t i = 0; i < p->rows.count; i++) {
        finish_ns[p->rows.rows[i].id] = p->rows.rows[i].finish_ns;
        first_ns[p->rows.rows[i].id] = p->rows.rows[i].first_token_ns;
    }
    for (size_t i = 0; i < s->count; i++) {
        const struct rt_finished *row = &d->rows.rows[i];
        assert_int_equal(row->status, RT_STATUS_OK);
        assert_int_equal(row->finish_ns, finish_ns[row->id]);
        assert_int_equal(row->first_token_ns, first_ns[row->id]);
    }
}

/* Ranks of a dense model are two replicas behind 4 * waiting + running, with stages or without. */
static void ranks_are_replicas_behind_a_balancer(void **state)
{
    struct abilities a;
    (void)state;
    abilities_probe(&a);
    size_t compared = 0;
    for (uint64_t seed = 1; seed <= 400; seed++) {
        struct scenario s;
        struct naive_result naive;
        scenario_draw(&s, seed, &a);
        naive_run(&s.params, s.requests, s.count, &naive);
        naive_result_release(&naive);
        bool all_fit = true;
        for (size_t i = 0; i < s.count; i++)
            all_fit = all_fit && s.requests[i].status == NAIVE_OK;
        if (!all_fit)
            continue;
        int64_t stages = 1 + (int64_t)(seed % 3);
        struct drive d = drive_through(&s, stages, 2, false);
        struct pair p = {0};
        struct rt_token_stats stats;
        struct drive_parts parts;
        s.params.ranks = 1;
        rt_finished_list_init(&p.rows);
        assert_true(rt_token_stats_init(&stats, 0, 0));
        for (int i = 0; i < 2; i++)
            p.replicas[i] = drive_replica(&s, seed % 2, &stats, &parts, i > 0);
        run_pair(&p, &s);
        check_pair(&s, &d, &p);
        for (int i = 0; i < 2; i++)
            rt_replica_free(p.replicas[i]);
        drive_parts_release(&parts);
        rt_token_stats_release(&stats);
        rt_finished_list_release(&p.rows);
        drive_release(&d);
        compared++;
    }
    print_message("%zu scenarios compared\n", compared);
    assert_true(compared > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_takes_as_long),
        cmocka_unit_test(full_pipe_yields_a_batch_a_stage),
        cmocka_unit_test(chunks_follow_each_other),
        cmocka_unit_test(bubbles_with_fewer_cohorts_than_stages),
        cmocka_unit_test(one_cohort_does_not_split),
        cmocka_unit_test(steps_overlap_as_stages_allow),
        cmocka_unit_test(ranks_wait_for_each_other),
        cmocka_unit_test(ranks_are_replicas_behind_a_balancer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
