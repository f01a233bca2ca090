/* Self-checks: every law holds for figures just within it and breaks just beyond, worked out by
 * hand for an H100 and llama-3.1-8b; what has no GPU, or no bound, is exempt. */
#include "rooftrace/catalog.h"
#include "rooftrace/cost.h"
#include "rooftrace/finished.h"
#include "rooftrace/fleet.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/replica.h"
#include "rooftrace/self_check.h"
#include "rooftrace/token_stats.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    struct rt_catalog *catalog;
    struct rt_token_stats stats;
    struct rt_fleet_spec spec;
    struct rt_fleet *fleet;
    struct rt_replica_totals totals[3];
    const struct rt_replica_totals *replicas[3];
    struct rt_tally tally;
    struct rt_class_use uses[2];
    struct rt_self_check_inputs in;
    struct rt_check_row rows[RT_CHECK_COUNT];
};

#define POOL "{\"gpu\":\"h100-sxm\",\"replicas\":2}"
#define HEAD "{\"model\":\"llama-3.1-8b\","

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct rt_err err = {0};
    assert_non_null(f);
    assert_ok(rt_catalog_open(NULL, &f->catalog, &err), &err);
    assert_true(rt_token_stats_init(&f->stats, 0, 0));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    rt_fleet_free(f->fleet);
    rt_fleet_spec_release(&f->spec);
    rt_catalog_free(f->catalog);
    rt_token_stats_release(&f->stats);
    free(f);
    return 0;
}

/* A run of that fleet that breaks nothing: 100 steps, 1,000 tokens and as many out a replica. */
static void run_of(struct fixture *f, const char *json)
{
    struct rt_fleet_use use = {.coast = true, .stats = &f->stats};
    struct rt_json *doc;
    struct rt_err err = {0};
    assert_ok(rt_json_parse(json, strlen(json), "fleet.json", &doc, &err), &err);
    struct rt_json_at root = rt_json_root(doc);
    rt_fleet_spec_init(&f->spec);
    assert_ok(rt_fleet_spec_parse(&root, f->catalog, &f->spec, &err), &err);
    assert_ok(rt_fleet_new(&f->spec, &use, &f->fleet, &err), &err);
    rt_json_free(doc);
    assert_true(rt_fleet_replicas(f->fleet) <= 3);
    for (unsigned i = 0; i < rt_fleet_replicas(f->fleet); i++) {
        f->totals[i] = (struct rt_replica_totals){
            .steps = 100, .busy_ns = 10000000000, .output_tokens = 1000, .computed_tokens = 1000};
        f->totals[i].terms_s[RT_TERM_WEIGHTS] = 5;
        f->totals[i].terms_s[RT_TERM_KV] = 1;
        f->replicas[i] = &f->totals[i];
        f->tally.produced_tokens += 1000;
    }
    f->tally.requests = 10;
    f->tally.by_status[RT_STATUS_OK] = 8;
    f->tally.by_status[RT_STATUS_REJECTED] = 1;
    f->tally.by_status[RT_STATUS_UNFINISHED] = 1;
    f->tally.in_system_ns = 500;
    f->tally.unfinished_arrival_ns = 900;
    f->in = (struct rt_self_check_inputs){
        .spec = &f->spec,
        .fleet = f->fleet,
        .replicas = f->replicas,
        .totals = {.arrived = 10,
                   .finished = 8,
                   .rejected = 1,
                   .unfinished = 1,
                   .now_ns = 1000,
                   .in_flight_area = 600}, /* 500 + (1000 - 900) */
        .tally = &f->tally,
        .uses = f->uses,
        .use_count = 0,
    };
}

static void holds(struct fixture *f)
{
    struct rt_err err = {0};
    assert_ok(rt_self_check(&f->in, f->rows, &err), &err);
}

/* This law alone breaks, and the message says where and by how much. */
static void breaks(struct fixture *f, enum rt_check check, const char *where)
{
    struct rt_err err = {0};
    char begin[64];
    assert_false(rt_self_check(&f->in, f->rows, &err));
    assert_int_equal(err.code, RT_ECHECK);
    assert_int_equal(rt_code_exit_status(err.code), 1);
    snprintf(begin, sizeof begin, "self-check %s: %s has ", rt_check_names[check], where);
    if (strncmp(err.msg, begin, strlen(begin)) != 0)
        fail_msg("expected \"%s...\", read \"%s\"", begin, err.msg);
    assert_non_null(strstr(err.msg, " times "));
    for (unsigned i = 0; i < RT_CHECK_COUNT; i++)
        assert_true(!f->rows[i].applies || f->rows[i].ok == (i != (unsigned)check));
}

static void a_possible_run_holds(void **state)
{
    struct fixture *f = *state;
    run_of(f, HEAD "\"pools\":[" POOL "]}");
    holds(f);
    for (unsigned i = 0; i < RT_CHECK_COUNT; i++)
        assert_true(f->rows[i].applies && f->rows[i].ok);
    assert_true(f->rows[RT_CHECK_LITTLE].value == 600e-9);
    assert_true(f->rows[RT_CHECK_REQUESTS].limit == 10);
}

/* 8,030,261,248 parameters, of which embedding and head 525,336,576 each: 6,979,588,096 a token
 * passes beside the head. 989.4e12 FLOP/s. */
static void no_more_flops_than_the_peak(void **state)
{
    struct fixture *f = *state;
    run_of(f, HEAD "\"pools\":[" POOL "]}");
    double flops = 2 * (6979588096.0 * 1e6 + 525336576.0 * 1000), least_s = flops / 989.4e12;
    f->totals[1].computed_tokens = 1000000;
    f->totals[1].terms_s[RT_TERM_WEIGHTS] = 0.25 * least_s;
    f->totals[1].terms_s[RT_TERM_COMPUTE] = 0.76 * least_s;
    holds(f);
    const struct rt_check_row *row = &f->rows[RT_CHECK_FLOPS];
    assert_int_equal(row->replica, 1);
    assert_true(row->limit == 989.4e12);
    assert_true(row->value > 0.99 * 989.4e12 && row->value < 0.991 * 989.4e12);
    f->totals[1].terms_s[RT_TERM_COMPUTE] = 0.73 * least_s; /* .98 in all */
    breaks(f, RT_CHECK_FLOPS, "replica 1 of pool main (1 x h100-sxm)");
    f->totals[1].terms_s[RT_TERM_WEIGHTS] = f->totals[1].terms_s[RT_TERM_COMPUTE] = 0;
    f->totals[1].steps = 0; /* did nothing: nothing to hold against it */
    holds(f);
}

/* 100 steps read 13,959,176,192 bytes each, 3350 GB/s. Two GPUs read twice as fast. */
static void no_more_bytes_than_the_bandwidth(void **state)
{
    struct fixture *f = *state;
    double least_s = 100 * 13959176192.0 / 3350e9;
    run_of(f, HEAD "\"pools\":[" POOL "]}");
    f->totals[0].terms_s[RT_TERM_WEIGHTS] = 0.995 * least_s; /* tolerance: 1 % */
    holds(f);
    f->totals[0].terms_s[RT_TERM_WEIGHTS] = 0.985 * least_s;
    breaks(f, RT_CHECK_BYTES, "replica 0 of pool main (1 x h100-sxm)");
    rt_fleet_free(f->fleet);
    rt_fleet_spec_release(&f->spec);
    memset(&f->tally, 0, sizeof f->tally);
    run_of(f, HEAD "\"pools\":[{\"gpu\":\"h100-sxm\",\"tensor_parallel\":2,\"name\":\"p\"}]}");
    f->totals[0].terms_s[RT_TERM_WEIGHTS] = 0.51 * least_s;
    holds(f);
    f->totals[0].terms_s[RT_TERM_WEIGHTS] = 0.49 * least_s;
    breaks(f, RT_CHECK_BYTES, "replica 0 of pool p (2 x h100-sxm)");
}

/* A token has 2*8*128*32 numbers of 2 bytes in KV, 131,072 bytes; the pool's replicas together. */
static void no_more_kv_than_the_bandwidth(void **state)
{
    struct fixture *f = *state;
    double least_s = 1e9 * 131072 / 3350e9;
    run_of(f, HEAD "\"pools\":[" POOL "]}");
    f->uses[0] = (struct rt_class_use){.class_name = 1, .decode_context = 400000000};
    f->uses[1] = (struct rt_class_use){.class_name = 2, .decode_context = 600000000};
    f->in.use_count = 2;
    f->totals[0].terms_s[RT_TERM_KV] = f->totals[1].terms_s[RT_TERM_KV] = 0.5 * least_s;
    holds(f);
    assert_true(f->rows[RT_CHECK_KV_BYTES].replica == RT_NO_REPLICA);
    f->totals[1].terms_s[RT_TERM_KV] = 0.48 * least_s;
    breaks(f, RT_CHECK_KV_BYTES, "pool main");
    f->totals[0].terms_s[RT_TERM_KV] = f->totals[1].terms_s[RT_TERM_KV] = 0; /* in no time at all */
    breaks(f, RT_CHECK_KV_BYTES, "pool main");
}

#define LINEAR(b)                                                                                  \
    HEAD "\"cost\":{\"kind\":\"linear\",\"coefficients_s\":[" b "]},\"pools\":[{\"gpu\":"          \
         "\"h100-sxm\",\"engine\":{\"num_gpu_blocks\":99,\"max_num_seqs\":8}}]}"

/* A step of 10 ms and 1 ms a token: 8 tokens in 18 ms at best, 444.4 a second. */
static void no_more_tokens_than_the_best_batch(void **state)
{
    struct fixture *f = *state;
    run_of(f, LINEAR("0.01,0.001,0,0,0"));
    f->totals[0].busy_ns = 2250000000; /* 1,000 tokens: 444.4 a second */
    holds(f);
    assert_true(f->rows[RT_CHECK_CAPACITY].limit > 444.444 &&
                f->rows[RT_CHECK_CAPACITY].limit < 444.445);
    assert_false(f->rows[RT_CHECK_FLOPS].applies || f->rows[RT_CHECK_BYTES].applies ||
                 f->rows[RT_CHECK_KV_BYTES].applies); /* linear names no GPU that counts */
    f->totals[0].busy_ns = 2220000000;
    breaks(f, RT_CHECK_CAPACITY, "replica 0 of pool main (1 x h100-sxm)");
}

static void absurd_linear_costs_are_exempt(void **state)
{
    static const char *const jsons[] = {LINEAR("0,0,0,0,0"), LINEAR("0.01,-0.001,0,0,0")};
    struct fixture *f = *state;
    for (unsigned i = 0; i < 2; i++) {
        rt_fleet_free(f->fleet);
        f->fleet = NULL;
        rt_fleet_spec_release(&f->spec);
        memset(&f->tally, 0, sizeof f->tally);
        run_of(f, jsons[i]);
        f->totals[0].busy_ns = 0;
        holds(f);
        assert_false(f->rows[RT_CHECK_CAPACITY].applies);
    }
}

/* Measured operators: memory may seem faster than it is, products may not. */
static void a_profile_is_held_to_flops_alone(void **state)
{
    struct fixture *f = *state;
    run_of(f, HEAD "\"pools\":[" POOL "]}");
    f->spec.cost.kind = RT_COST_PROFILE;
    f->uses[0] = (struct rt_class_use){.decode_context = (rt_u128)1 << 60};
    f->in.use_count = 1;
    f->totals[0].steps = 1000000;
    f->totals[0].busy_ns = 1;
    holds(f);
    assert_true(f->rows[RT_CHECK_FLOPS].applies);
    assert_false(f->rows[RT_CHECK_BYTES].applies || f->rows[RT_CHECK_KV_BYTES].applies ||
                 f->rows[RT_CHECK_CAPACITY].applies);
    f->totals[0].computed_tokens = 1000000;
    f->totals[0].terms_s[RT_TERM_WEIGHTS] = 14; /* 14.1 s at the peak, 13.96 with the tolerance */
    holds(f);
    f->totals[0].terms_s[RT_TERM_WEIGHTS] = 13.9;
    breaks(f, RT_CHECK_FLOPS, "replica 0 of pool main (1 x h100-sxm)");
    f->spec.cost.kind = RT_COST_ROOFLINE; /* as it is released */
}

static void drafts_multiply_the_best_batch(void **state)
{
    struct fixture *f = *state;
    run_of(f, HEAD "\"cost\":{\"kind\":\"linear\",\"coefficients_s\":[0.01,0,0,0,0]},\"pools\":[{"
                   "\"gpu\":\"h100-sxm\",\"engine\":{\"num_gpu_blocks\":99,\"max_num_seqs\":8,"
                   "\"speculative\":{\"draft_tokens\":3,\"acceptance\":1}}}]}");
    holds(f);
    assert_true(f->rows[RT_CHECK_CAPACITY].limit == 3200); /* 8*4 tokens in 10 ms */
}

/* Large batches are tried in ranges, whose bound is never below the best batch. */
static void many_sequences_have_a_bound(void **state)
{
    struct fixture *f = *state;
    run_of(f, HEAD "\"cost\":{\"kind\":\"linear\",\"coefficients_s\":[0.01,0,0,0,0]},\"pools\":[{"
                   "\"gpu\":\"h100-sxm\",\"engine\":{\"num_gpu_blocks\":99,\"max_num_seqs\":5000}}]"
                   "}");
    holds(f);
    assert_true(f->rows[RT_CHECK_CAPACITY].limit == 500000);
}

static void conservation_is_exact(void **state)
{
    struct fixture *f = *state;
    run_of(f, HEAD "\"pools\":[" POOL ","
                   "{\"gpu\":\"l4\"}"
                   "]}");
    holds(f);
    f->in.totals.in_flight_area++;
    breaks(f, RT_CHECK_LITTLE, "the run");
    f->in.totals.in_flight_area--;
    f->tally.produced_tokens--;
    breaks(f, RT_CHECK_TOKENS, "the run");
    f->tally.produced_tokens++;
    f->tally.requests--;
    breaks(f, RT_CHECK_REQUESTS, "the run");
    f->tally.requests++;
    f->in.totals.rejected++;
    breaks(f, RT_CHECK_REQUESTS, "the run");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_possible_run_holds, setup, teardown),
        cmocka_unit_test_setup_teardown(no_more_flops_than_the_peak, setup, teardown),
        cmocka_unit_test_setup_teardown(no_more_bytes_than_the_bandwidth, setup, teardown),
        cmocka_unit_test_setup_teardown(no_more_kv_than_the_bandwidth, setup, teardown),
        cmocka_unit_test_setup_teardown(no_more_tokens_than_the_best_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(absurd_linear_costs_are_exempt, setup, teardown),
        cmocka_unit_test_setup_teardown(a_profile_is_held_to_flops_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(drafts_multiply_the_best_batch, setup, teardown),
        cmocka_unit_test_setup_teardown(many_sequences_have_a_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(conservation_is_exact, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
