/* Queue orders: the key of each, at the ends of its range too, and the bound on waiting that they
 * promise. That whole schedules follow them is tested by test_replica_property.c. */
#include "rooftrace/cost.h"
#include "rooftrace/engine.h"
#include "rooftrace/finished.h"
#include "rooftrace/queue_order.h"
#include "rooftrace/replica_spec.h"
#include "rooftrace/token_stats.h"
#include "support/test.h"

#include "rooftrace/replica.h"

#include <string.h>

#define S INT64_C(1000000000)

static unsigned order(const char *name)
{
    unsigned i = 0;
    while (i < rt_queue_order_count() && strcmp(rt_queue_order_name(i), name) != 0)
        i++;
    assert_true(i < rt_queue_order_count());
    return i;
}

static struct rt_request request(int64_t arrival_ns)
{
    return (struct rt_request){.arrival_ns = arrival_ns,
                               .prompt_tokens = 1,
                               .output_tokens = 1,
                               .deadline_ns = RT_NO_DEADLINE};
}

static void the_default_is_the_first_and_all_say_what_they_do(void **state)
{
    struct rt_engine_spec e;

    (void)state;
    rt_engine_init(&e);
    assert_string_equal(rt_queue_order_name(e.queue_order), "fcfs");
    assert_int_equal(e.queue_order, 0);
    assert_true(e.aging_s == 60);
    for (unsigned i = 0; i < rt_queue_order_count(); i++)
        assert_true(strlen(rt_queue_order_help(i)) > 0);
}

static void keys_are_arrival_and_handicap(void **state)
{
    struct rt_request q = request(5 * S);

    (void)state;
    q.priority = -3;
    q.prompt_tokens = 2500;
    q.deadline_ns = 7 * S;
    assert_int_equal(rt_queue_key(order("fcfs"), 10, &q), 5 * S);
    assert_int_equal(rt_queue_key(order("priority"), 10, &q), (5 - 30) * S);
    assert_int_equal(rt_queue_key(order("shortest_prompt"), 10, &q), (5 + 25) * S);
    assert_int_equal(rt_queue_key(order("deadline"), 10, &q), (5 + 7) * S);
    q.deadline_ns = RT_NO_DEADLINE;
    assert_int_equal(rt_queue_key(order("deadline"), 10, &q), (5 + 10) * S);
    q.prompt_tokens = 1; /* rounded down: 1 ns a token at 1 us a thousand */
    assert_int_equal(rt_queue_key(order("shortest_prompt"), 1e-6, &q), 5 * S + 1);
    assert_int_equal(rt_queue_key(order("shortest_prompt"), 1e-7, &q), 5 * S);
}

static void without_aging_all_are_fcfs_but_deadlines(void **state)
{
    struct rt_request q = request(5 * S);

    (void)state;
    q.priority = -3;
    q.prompt_tokens = 2500;
    for (unsigned i = 0; i < rt_queue_order_count(); i++)
        assert_int_equal(rt_queue_key(i, 0, &q), 5 * S);
}

static void keys_saturate(void **state)
{
    struct rt_request q = request(INT64_MAX - 1);

    (void)state;
    q.priority = INT32_MAX;
    q.prompt_tokens = RT_MAX_REQUEST_TOKENS;
    assert_int_equal(rt_queue_key(order("priority"), 9e9, &q), INT64_MAX);
    assert_int_equal(rt_queue_key(order("shortest_prompt"), 9e9, &q), INT64_MAX);
    assert_int_equal(rt_queue_key(order("deadline"), 9e9, &q), INT64_MAX);
    q.priority = INT32_MIN;
    assert_int_equal(rt_queue_key(order("priority"), 9e9, &q), INT64_MIN);
    q = request(0);
    q.deadline_ns = INT64_MAX - 1;
    assert_int_equal(rt_queue_key(order("deadline"), 60, &q), INT64_MAX - 1);
}

/* ---- one seat, a step a second --------------------------------------------------------------- */

struct bench {
    struct rt_engine_spec engine;
    struct rt_cost *cost;
    struct rt_token_stats stats;
    struct rt_finished_list rows;
    struct rt_replica *r;
};

static void bench_open(struct bench *b, const char *queue_order, double aging_s, bool coast)
{
    struct rt_err err = {0};
    struct rt_cost_inputs in = {.parallel = {1, 1, 1, 1}, .max_tokens = 64};

    memset(b, 0, sizeof *b);
    rt_engine_init(&b->engine);
    b->engine.queue_order = order(queue_order);
    b->engine.aging_s = aging_s;
    b->engine.async_scheduling = b->engine.prefix_caching = false;
    b->engine.max_num_seqs = 1;
    b->engine.max_num_batched_tokens = 64;
    rt_cost_spec_init(&in.spec);
    in.spec.kind = RT_COST_LINEAR;
    in.spec.coefficients_s[0] = 1;
    assert_ok(rt_cost_new(&in, &b->cost, &err), &err);
    assert_true(rt_token_stats_init(&b->stats, 0, 0));
    rt_finished_list_init(&b->rows);
    struct rt_replica_spec spec = {.engine = &b->engine,
                                   .cost = b->cost,
                                   .kv_blocks = 1000,
                                   .coast = coast,
                                   .stats = &b->stats};
    assert_ok(rt_replica_new(&spec, &b->r, &err), &err);
}

static void bench_close(struct bench *b)
{
    rt_replica_free(b->r);
    rt_finished_list_release(&b->rows);
    rt_token_stats_release(&b->stats);
    rt_cost_free(b->cost);
}

static void push(struct bench *b, uint64_t id, int64_t at_ns, int32_t priority, int64_t output)
{
    struct rt_request q = request(at_ns);
    struct rt_err err = {0};

    q.id = id;
    q.priority = priority;
    q.output_tokens = output;
    assert_int_equal(rt_replica_push(b->r, &q, at_ns, &err), RT_REASON_NONE);
    assert_int_equal(err.code, RT_OK);
}

/* Ends steps and begins the next ones until the instant, arrivals of which come after. */
static void run_until(struct bench *b, int64_t ns)
{
    struct rt_err err = {0};
    int64_t next;

    if (!rt_replica_busy(b->r))
        assert_ok(rt_replica_schedule(b->r, 0, &err), &err);
    while ((next = rt_replica_next_ns(b->r)) <= ns && next != RT_NEVER_AGAIN) {
        assert_ok(rt_replica_step_end(b->r, next, &b->rows, &err), &err);
        if (next < ns || ns == RT_NEVER_AGAIN - 1)
            assert_ok(rt_replica_schedule(b->r, next, &err), &err);
    }
    if (!rt_replica_busy(b->r))
        assert_ok(rt_replica_schedule(b->r, ns, &err), &err);
}

/* A request of priority 1 stands behind urgent ones that come within a level's worth, 10 s, after
 * it; those that come later stand behind it, however many they are. */
static void nobody_waits_longer_than_aging_allows(void **state)
{
    (void)state;
    for (int coast = 0; coast < 2; coast++) {
        struct bench b;
        bench_open(&b, "priority", 10, coast);
        push(&b, 0, 0, 0, 2); /* runs 0..2 s */
        run_until(&b, 0);
        push(&b, 1, S / 2, 1, 1);
        for (int i = 0; i < 12; i++) { /* two seconds each, one a second */
            run_until(&b, (i + 1) * S - 1);
            push(&b, (uint64_t)(2 + i), (i + 1) * S - 1, 0, 2);
        }
        run_until(&b, RT_NEVER_AGAIN - 1);
        assert_int_equal(b.rows.count, 14);
        assert_int_equal(b.rows.rows[0].id, 0);
        for (size_t i = 1; i < 11; i++) /* came up to 9.99 s: within 10 s of 0.5 s */
            assert_int_equal(b.rows.rows[i].id, i + 1);
        assert_int_equal(b.rows.rows[11].id, 1);
        assert_int_equal(b.rows.rows[12].id, 12);
        assert_int_equal(b.rows.rows[13].id, 13);
        bench_close(&b);
    }
}

/* A new head makes a coasting replica look at it at the next step, not at the end of its plan. */
static void a_new_head_ends_coasting(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b, "priority", 10, true);
    b.engine.max_num_seqs = 1;
    push(&b, 0, 0, 0, 100);
    run_until(&b, 3 * S); /* decodes, coasting */
    push(&b, 1, 3 * S + 1, 5, 1);
    assert_int_equal(rt_replica_next_ns(b.r), 4 * S); /* head of an empty queue: refused then */
    run_until(&b, 5 * S + 1);
    assert_true(rt_replica_next_ns(b.r) > 10 * S); /* behind it coasting goes on */
    push(&b, 2, 5 * S + 2, 6, 1);
    assert_true(rt_replica_next_ns(b.r) > 10 * S); /* a new one behind the head changes nothing */
    push(&b, 3, 5 * S + 3, -1, 1);
    assert_int_equal(rt_replica_next_ns(b.r), 6 * S); /* a new head does */
    run_until(&b, RT_NEVER_AGAIN - 1);
    assert_int_equal(b.rows.count, 4);
    assert_int_equal(b.rows.rows[1].id, 3);
    assert_int_equal(b.rows.rows[2].id, 1);
    assert_int_equal(b.rows.rows[3].id, 2);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_is_the_first_and_all_say_what_they_do),
        cmocka_unit_test(keys_are_arrival_and_handicap),
        cmocka_unit_test(without_aging_all_are_fcfs_but_deadlines),
        cmocka_unit_test(keys_saturate),
        cmocka_unit_test(nobody_waits_longer_than_aging_allows),
        cmocka_unit_test(a_new_head_ends_coasting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
