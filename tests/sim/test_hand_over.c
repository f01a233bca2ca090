/* Hand-overs by hand: every step takes 1 ms whatever is in it, a prompt token has 131,072 bytes of
 * KV, so 1000 tokens take 13.1072 ms at 10 GB/s. Times in ns. */
#include "hand_over_case.h"
#include "rooftrace/fleet.h"
#include "rooftrace/replica.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS   INT64_C(1000000)
#define COST "\"cost\": {\"kind\": \"linear\", \"coefficients_s\": [0.001, 0, 0, 0, 0]},"
#define POOL(role, replicas, more)                                                                 \
    "{\"gpu\": \"h100-sxm\", \"name\": \"" role "\", \"role\": \"" role                            \
    "\", \"replicas\": " #replicas ", \"engine\": {\"async_scheduling\": false, " more "}}"
#define PLAIN "\"prefix_caching\": false, \"num_gpu_blocks\": 1000"
#define FLEET(prefills, decodes, transfer)                                                         \
    COST "\"pools\": [" POOL("prefill", prefills, PLAIN) ", " POOL(                                \
        "decode", decodes,                                                                         \
        PLAIN) "],"                                                                                \
               "\"kv_transfer\": {\"gb_per_s\": 10, \"latency_us\": 100, " transfer "}"
#define LINK  "\"kv_transfer\": {\"gb_per_s\": 10, \"latency_us\": 100, " GIVEN "}"
#define GIVEN "\"first_token\": \"prefill\"" /* by the side that computed the prompt */
#define COPY  13107200                       /* 1000 tokens at 10 GB/s */
#define LATE  100000                         /* latency */

static struct rt_request request(uint64_t id, int64_t arrival_ns, int64_t prompt, int64_t output)
{
    return (struct rt_request){.id = id,
                               .arrival_ns = arrival_ns,
                               .prompt_tokens = prompt,
                               .output_tokens = output,
                               .deadline_ns = RT_NO_DEADLINE,
                               .think_ns = -1};
}

static void play(const char *keys, struct rt_request *requests, size_t count, struct replay *out)
{
    struct array_load load = {.requests = requests, .count = count};
    case_replay(keys, &load, true, SIZE_MAX, out);
}

static void expect_times(const struct rt_finished *row, int64_t first, int64_t ready,
                         int64_t finish, int64_t gap)
{
    assert_int_equal(row->status, RT_STATUS_OK);
    assert_int_equal(row->first_token_ns, first);
    assert_non_null(row->prefill);
    assert_int_equal(row->prefill->kv_ready_ns, ready);
    assert_int_equal(row->finish_ns, finish);
    assert_int_equal(row->max_itl_ns, gap);
}

static void one_request(void **state)
{
    struct rt_request q = request(0, 0, 1000, 5);
    struct replay r;
    (void)state;
    play(FLEET(1, 1, GIVEN), &q, 1, &r);
    const struct rt_finished *row = case_row(&r, 0);
    expect_times(row, MS, MS + COPY + LATE, MS + COPY + LATE + 4 * MS, COPY + LATE + MS);
    assert_int_equal(row->scheduled_ns, 0);
    assert_int_equal(row->replica, 1);
    assert_int_equal(row->prefill->replica, 0);
    assert_int_equal(row->prefill->prefilled_ns, MS);
    assert_int_equal(row->prefill->moved_tokens, 1000);
    case_release(&r);
}

/* By default the decode side computes the last prompt token again: five tokens, five steps. */
static void first_token_of_the_decode_side(void **state)
{
    struct rt_request q = request(0, 0, 1000, 5);
    struct replay r;
    (void)state;
    play(FLEET(1, 1, "\"layerwise\": false"), &q, 1, &r);
    expect_times(case_row(&r, 0), MS + COPY + LATE + MS, MS + COPY + LATE,
                 MS + COPY + LATE + 5 * MS, MS);
    case_release(&r);
}

/* 32 layers appear every 1/32 ms. The link takes longer than the prefill: it waits for the first
 * layer only. */
static void layers_over_a_slow_link(void **state)
{
    struct rt_request q = request(0, 0, 1000, 2);
    struct replay r;
    (void)state;
    play(FLEET(1, 1, GIVEN ", \"layerwise\": true"), &q, 1, &r);
    int64_t ready = MS / 32 + COPY + LATE;
    expect_times(case_row(&r, 0), MS, ready, ready + MS, ready + MS - MS);
    case_release(&r);
}

/* It is faster: only the last layer is left when the prefill ends. */
static void layers_over_a_fast_link(void **state)
{
    struct rt_request q = request(0, 0, 1000, 2);
    struct replay r;
    (void)state;
    play(COST "\"pools\": [" POOL("prefill", 1, PLAIN) ", " POOL(
             "decode", 1, PLAIN) "],"
                                 "\"kv_transfer\": {\"gb_per_s\": 1000, \"latency_us\": 0, "
                                 "\"layerwise\": true, " GIVEN "}",
         &q, 1, &r);
    expect_times(case_row(&r, 0), MS, MS + 131072 / 32, 2 * MS + 131072 / 32, MS + 131072 / 32);
    case_release(&r);
}

/* Two prompts of one step leave by one link, whatever is at its end; and come in by one. */
static void transfers_queue_on_both_ends(void **state)
{
    struct rt_request q[2] = {request(0, 0, 1000, 2), request(1, 0, 1000, 2)};
    struct replay r;
    (void)state;
    play(FLEET(1, 2, GIVEN), q, 2, &r);
    assert_int_equal(case_row(&r, 0)->replica, 1);
    assert_int_equal(case_row(&r, 1)->replica, 2);
    assert_int_equal(case_row(&r, 0)->prefill->kv_ready_ns, MS + COPY + LATE);
    assert_int_equal(case_row(&r, 1)->prefill->kv_ready_ns, MS + 2 * COPY + LATE);
    case_release(&r);
    play(FLEET(2, 1, GIVEN), q, 2, &r);
    assert_int_equal(case_row(&r, 1)->prefill->replica, 1);
    assert_int_equal(case_row(&r, 0)->prefill->kv_ready_ns, MS + COPY + LATE);
    assert_int_equal(case_row(&r, 1)->prefill->kv_ready_ns, MS + 2 * COPY + LATE);
    case_release(&r);
    play(FLEET(2, 2, GIVEN), q, 2, &r);
    assert_int_equal(case_row(&r, 0)->prefill->kv_ready_ns, MS + COPY + LATE);
    assert_int_equal(case_row(&r, 1)->prefill->kv_ready_ns, MS + COPY + LATE);
    case_release(&r);
}

/* Without kv_transfer: two GPUs a replica, 50 GB/s and 5 us each by default. */
static void the_default_link_is_the_nodes(void **state)
{
    struct rt_request q = request(0, 0, 1000, 2);
    struct replay r;
    (void)state;
    play(COST "\"pools\": [{\"gpu\": \"h100-sxm\", \"role\": \"prefill\", \"tensor_parallel\": 2, "
              "\"engine\": {\"async_scheduling\": false, " PLAIN
              "}}, {\"gpu\": \"h100-sxm\", \"role\": "
              "\"decode\", \"tensor_parallel\": 4, \"engine\": {\"async_scheduling\": false, " PLAIN
              "}}]",
         &q, 1, &r);
    assert_int_equal(case_row(&r, 0)->prefill->kv_ready_ns, MS + 1310720 + 5000);
    case_release(&r);
}

/* Room for one: the second one's KV stays where it was computed until the first has finished. */
static void a_full_decode_replica_holds_up_the_transfer(void **state)
{
    struct rt_request q[2] = {request(0, 0, 1000, 11), request(1, 0, 1000, 11)};
    struct replay r;
    (void)state;
    play(COST "\"pools\": [" POOL("prefill", 1, PLAIN) ", " POOL(
             "decode", 1, "\"prefix_caching\": false, \"num_gpu_blocks\": 100") "]," LINK,
         q, 2, &r);
    int64_t first_ends = MS + COPY + LATE + 10 * MS;
    assert_int_equal(case_row(&r, 0)->finish_ns, first_ends);
    assert_int_equal(case_row(&r, 1)->prefill->kv_ready_ns, first_ends + COPY + LATE);
    assert_int_equal(case_row(&r, 1)->finish_ns, first_ends + COPY + LATE + 10 * MS);
    /* 63 blocks a prompt: both stay on the prefill side, one at a time on the other */
    const struct rt_fleet *fleet = rt_sim_fleet(r.sim);
    assert_int_equal(rt_replica_totals(rt_fleet_replica(fleet, 0))->kv_blocks_peak, 126);
    assert_int_equal(rt_replica_totals(rt_fleet_replica(fleet, 1))->kv_blocks_peak, 64);
    case_release(&r);
}

/* What a full prefill replica cannot hold waits there. */
static void kept_blocks_hold_up_the_next_prompt(void **state)
{
    struct rt_request q[2] = {request(0, 0, 1000, 2), request(1, 0, 1000, 2)};
    struct replay r;
    (void)state;
    play(COST "\"pools\": [" POOL(
             "prefill", 1,
             "\"prefix_caching\": false, \"num_gpu_blocks\": 100") ", " POOL("decode", 1,
                                                                             PLAIN) "]," LINK,
         q, 2, &r);
    assert_int_equal(case_row(&r, 0)->first_token_ns, MS);
    assert_int_equal(case_row(&r, 1)->scheduled_ns, MS + COPY + LATE);
    assert_int_equal(case_row(&r, 1)->first_token_ns, MS + COPY + LATE + MS);
    case_release(&r);
}

static void one_token_needs_no_decode_side(void **state)
{
    struct rt_request q = request(0, 0, 1000, 1);
    struct replay r;
    (void)state;
    play(FLEET(1, 1, GIVEN), &q, 1, &r);
    const struct rt_finished *row = case_row(&r, 0);
    assert_int_equal(row->status, RT_STATUS_OK);
    assert_null(row->prefill);
    assert_int_equal(row->replica, 0);
    assert_int_equal(row->finish_ns, MS);
    assert_int_equal(rt_replica_totals(rt_fleet_replica(rt_sim_fleet(r.sim), 1))->steps, 0);
    case_release(&r);
}

/* 992 of 1000 tokens are in 62 whole blocks: the second time the decode side has them. The prefill
 * side, too: it computes 8 tokens, and the same KV is moved. */
static void cached_prefixes_are_not_moved(void **state)
{
    static uint64_t ids[63];
    struct rt_request q[2] = {request(0, 0, 1000, 2), request(1, 100 * MS, 1000, 2)};
    struct array_load load = {.requests = q, .count = 2, .hash_block_tokens = 16};
    struct replay r;
    (void)state;
    for (uint64_t h = 0; h < 63; h++)
        ids[h] = h + 1;
    for (int i = 0; i < 2; i++) {
        q[i].hash_ids = ids;
        q[i].hash_count = 63;
    }
    case_replay(COST "\"pools\": [" POOL("prefill", 1, "\"num_gpu_blocks\": 1000") ", " POOL(
                    "decode", 1, "\"num_gpu_blocks\": 1000") "],"
                                                             "\"kv_transfer\": {\"gb_per_s\": 10, "
                                                             "\"latency_us\": 100, " GIVEN "}",
                &load, true, SIZE_MAX, &r);
    assert_int_equal(case_row(&r, 0)->prefill->moved_tokens, 1000);
    const struct rt_finished *row = case_row(&r, 1);
    assert_int_equal(row->cached_tokens, 992);
    assert_int_equal(row->prefill->moved_tokens, 8);
    assert_int_equal(row->prefill->kv_ready_ns, 101 * MS + 8 * 13107 + 2 + LATE); /* 104857.6 ns */
    case_release(&r);
}

static void who_can_never_be_decoded_is_turned_away(void **state)
{
    struct rt_request q[3] = {request(0, 0, 1000, 200), request(1, 0, 1000, 2),
                              request(2, 0, 16000, 2)};
    struct replay r;
    (void)state;
    play(COST "\"pools\": [" POOL("prefill", 1, PLAIN) ", " POOL(
             "decode", 1, "\"prefix_caching\": false, \"num_gpu_blocks\": 64") "]",
         q, 3, &r);
    assert_int_equal(case_row(&r, 0)->status, RT_STATUS_REJECTED);
    assert_int_equal(case_row(&r, 0)->reason, RT_REASON_KV);
    assert_int_equal(case_row(&r, 1)->status, RT_STATUS_OK);
    assert_int_equal(case_row(&r, 2)->reason, RT_REASON_KV);
    case_release(&r);
}

/* A client that leaves in each phase; what it held is free at that instant on both sides. */
static void clients_leave_in_every_phase(void **state)
{
    static const struct {
        const char *timeout;
        int64_t leaves, first, ready;
        int produced;
        uint32_t replica;
    } cases[] = {
        {"0.0005", MS / 2, RT_NEVER, RT_NEVER, 0, 0}, /* its prompt is computed */
        {"0.005", 5 * MS, MS, RT_NEVER, 1, 1},        /* its KV is on the way */
        {"0.0145", MS + COPY + LATE + 292800, MS, MS + COPY + LATE, 1, 1}, /* in its first step */
        {"0.0165", 16500000, MS, MS + COPY + LATE, 3, 1},                  /* after two more */
    };
    char keys[2000];
    (void)state;
    for (size_t n = 0; n < sizeof cases / sizeof cases[0]; n++) {
        struct rt_request q = request(0, 0, 1000, 500);
        struct replay r;
        snprintf(keys, sizeof keys, "%s, \"timeout_s\": %s", FLEET(1, 1, GIVEN), cases[n].timeout);
        play(keys, &q, 1, &r);
        const struct rt_finished *row = case_row(&r, 0);
        assert_int_equal(row->status, RT_STATUS_TIMEOUT);
        assert_int_equal(row->first_token_ns, cases[n].first);
        assert_int_equal(row->output_tokens, 500);
        assert_int_equal(row->produced_tokens, cases[n].produced);
        assert_int_equal(row->replica, cases[n].replica);
        if (row->prefill)
            assert_int_equal(row->prefill->kv_ready_ns, cases[n].ready);
        assert_int_equal(r.totals.given_up_ns, cases[n].leaves);
        for (uint32_t i = 0; i < 2; i++)
            assert_int_equal(
                rt_replica_gauges(rt_fleet_replica(rt_sim_fleet(r.sim), i), 40 * MS).kv_blocks_used,
                0);
        case_release(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_request),
        cmocka_unit_test(first_token_of_the_decode_side),
        cmocka_unit_test(layers_over_a_slow_link),
        cmocka_unit_test(layers_over_a_fast_link),
        cmocka_unit_test(transfers_queue_on_both_ends),
        cmocka_unit_test(the_default_link_is_the_nodes),
        cmocka_unit_test(a_full_decode_replica_holds_up_the_transfer),
        cmocka_unit_test(kept_blocks_hold_up_the_next_prompt),
        cmocka_unit_test(one_token_needs_no_decode_side),
        cmocka_unit_test(cached_prefixes_are_not_moved),
        cmocka_unit_test(who_can_never_be_decoded_is_turned_away),
        cmocka_unit_test(clients_leave_in_every_phase),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
