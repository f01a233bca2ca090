/* Links between replicas, and who decodes: transfers against a plain model that sends layer after
 * layer, laws that hold under contention, and the router of the decode side. */
#include "rooftrace/catalog.h"
#include "rooftrace/finished.h"
#include "rooftrace/fleet.h"
#include "rooftrace/fleet_spec.h"
#include "rooftrace/hand_over.h"
#include "rooftrace/kv_transfer.h"
#include "rooftrace/replica_spec.h"
#include "rooftrace/rng.h"
#include "rooftrace/token_stats.h"
#include "support/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BYTES_PER_TOKEN 131072.0 /* llama-3.1-8b in 16 bit, 32 layers */
#define LAYERS          32
#define PREFILLS        3
#define DECODES         3

static struct rt_token_stats stats;

static struct rt_fleet *build(const char *more)
{
    struct rt_fleet_spec spec;
    struct rt_fleet_use use = {.coast = true, .stats = &stats};
    struct rt_catalog *catalog;
    struct rt_fleet *fleet;
    struct rt_json *doc;
    struct rt_err err = {0};
    char text[1500];
    snprintf(text, sizeof text,
             "{\"model\": \"llama-3.1-8b\", \"cost\": {\"kind\": \"linear\", \"coefficients_s\":"
             " [0.001, 0, 0, 0, 0]}, \"pools\": [{\"gpu\": \"h100-sxm\", \"role\": \"prefill\","
             " \"replicas\": %d, \"engine\": {\"num_gpu_blocks\": 99}}, {\"gpu\": \"h100-sxm\", "
             "\"role\":"
             " \"decode\", \"replicas\": %d, \"engine\": {\"num_gpu_blocks\": 99}}, {\"gpu\": "
             "\"h100-sxm\","
             " \"role\": \"decode\", \"name\": \"big\", \"engine\": {\"num_gpu_blocks\": 999}}]%s}",
             PREFILLS, DECODES, more);
    assert_ok(rt_catalog_open(NULL, &catalog, &err), &err);
    assert_ok(rt_json_parse(text, strlen(text), "fleet.json", &doc, &err), &err);
    struct rt_json_at root = rt_json_root(doc);
    rt_fleet_spec_init(&spec);
    assert_ok(rt_fleet_spec_parse(&root, catalog, &spec, &err), &err);
    assert_ok(rt_fleet_new(&spec, &use, &fleet, &err), &err);
    rt_fleet_spec_release(&spec);
    rt_json_free(doc);
    rt_catalog_free(catalog);
    return fleet;
}

static int64_t send(struct rt_fleet *f, const struct rt_transfer *t, int64_t now_ns)
{
    struct rt_err err = {0};
    int64_t arrives_ns;
    assert_ok(rt_fleet_send(f, t, now_ns, &arrives_ns, &err), &err);
    return arrives_ns;
}

static struct rt_transfer random_transfer(struct rt_rng *r, int64_t now_ns)
{
    return (struct rt_transfer){.from = (uint32_t)rt_rng_below(r, PREFILLS),
                                .to = PREFILLS + (uint32_t)rt_rng_below(r, DECODES),
                                .tokens = 1 + (int64_t)rt_rng_below(r, 4000),
                                .began_ns = now_ns - 1 - (int64_t)rt_rng_below(r, 400000000),
                                .computed_ns = now_ns};
}

/* One after the other in the order of sending, on both ends. */
static void whole_prompts_queue(void **state)
{
    (void)state;
    struct rt_fleet *f = build(", \"kv_transfer\": {\"gb_per_s\": 3, \"latency_us\": 7}");
    int64_t busy_ns[PREFILLS + DECODES] = {0}, now_ns = 1000000000;
    struct rt_rng r;
    rt_rng_init(&r, 5, RT_RNG_TOOLS, 0);
    for (int n = 0; n < 5000; n++) {
        now_ns += (int64_t)rt_rng_below(&r, 150000000);
        struct rt_transfer t = random_transfer(&r, now_ns);
        int64_t start = now_ns > busy_ns[t.from] ? now_ns : busy_ns[t.from];
        start = start > busy_ns[t.to] ? start : busy_ns[t.to];
        int64_t end = start + llround((double)t.tokens * BYTES_PER_TOKEN / 3e9 * 1e9);
        busy_ns[t.from] = busy_ns[t.to] = end;
        assert_int_equal(send(f, &t, now_ns), end + 7000);
    }
    rt_fleet_free(f);
}

/* Alone on its links: layer l leaves when it is computed and the one before is through. */
static void layers_leave_one_by_one(void **state)
{
    (void)state;
    struct rt_rng r;
    rt_rng_init(&r, 6, RT_RNG_TOOLS, 0);
    for (int n = 0; n < 300; n++) {
        struct rt_fleet *f =
            build(", \"kv_transfer\": {\"gb_per_s\": 3, \"latency_us\": 0, \"layerwise\": true}");
        struct rt_transfer t = random_transfer(&r, 1000000000);
        double layer = (double)t.tokens * BYTES_PER_TOKEN / 3e9 * 1e9 / LAYERS, sent = 0;
        double span = (double)(t.computed_ns - t.began_ns);
        for (int l = 1; l <= LAYERS; l++)
            sent = fmax(sent, (double)t.began_ns + span * l / LAYERS) + layer;
        assert_true(fabs((double)send(f, &t, t.computed_ns) - sent) < 2);
        rt_fleet_free(f);
    }
}

/* However many share the links: layer-wise is never later than whole prompts and never earlier than
 * the last layer, and an end carries no more than its rate from the first layer on. */
static void layers_share_a_link(void **state)
{
    (void)state;
    struct rt_fleet *f =
        build(", \"kv_transfer\": {\"gb_per_s\": 3, \"latency_us\": 0, \"layerwise\": true}");
    struct rt_fleet *whole = build(", \"kv_transfer\": {\"gb_per_s\": 3, \"latency_us\": 0}");
    int64_t now_ns = 1000000000, first_ns[PREFILLS + DECODES], last_ns[PREFILLS + DECODES] = {0};
    double sent[PREFILLS + DECODES] = {0};
    struct rt_rng r;
    rt_rng_init(&r, 7, RT_RNG_TOOLS, 0);
    for (int e = 0; e < PREFILLS + DECODES; e++)
        first_ns[e] = INT64_MAX;
    for (int n = 0; n < 5000; n++) {
        now_ns += rt_rng_below(&r, 4) == 0 ? 0 : (int64_t)rt_rng_below(&r, 250000000);
        struct rt_transfer t = random_transfer(&r, now_ns);
        double copy = (double)t.tokens * BYTES_PER_TOKEN / 3e9 * 1e9;
        int64_t end = send(f, &t, now_ns);
        assert_true(end <= send(whole, &t, now_ns));
        assert_true((double)(end - now_ns) >= copy / LAYERS - 1);
        const uint32_t ends[2] = {t.from, t.to};
        for (int e = 0; e < 2; e++) {
            first_ns[ends[e]] = first_ns[ends[e]] < t.began_ns ? first_ns[ends[e]] : t.began_ns;
            sent[ends[e]] += copy;
            assert_true(end > last_ns[ends[e]]); /* first come, first served */
            last_ns[ends[e]] = end;
            assert_true((double)(end - first_ns[ends[e]]) >= sent[ends[e]] - 5000);
        }
    }
    rt_fleet_free(f);
    rt_fleet_free(whole);
}

/* Without room at once there is nothing left to overlap. */
static void who_waited_for_room_has_all_layers(void **state)
{
    (void)state;
    struct rt_fleet *f =
        build(", \"kv_transfer\": {\"gb_per_s\": 131.072, \"latency_us\": 0, \"layerwise\": true}");
    struct rt_transfer t = {
        .from = 0, .to = 3, .tokens = 1000, .began_ns = 0, .computed_ns = 5000000};
    assert_int_equal(send(f, &t, 6000000), 7000000);
    rt_fleet_free(f);
}

static void links_end_with_the_clock(void **state)
{
    (void)state;
    struct rt_fleet *f = build(", \"kv_transfer\": {\"gb_per_s\": 1e-6}");
    struct rt_transfer t = {.from = 0, .to = 3, .tokens = INT64_C(1) << 40};
    struct rt_err err = {0};
    int64_t arrives_ns;
    assert_fails(rt_fleet_send(f, &t, 0, &arrives_ns, &err), &err, RT_ECONFIG, "beyond the clock");
    t.tokens = 5000000; /* 20 years each */
    for (int n = 0; n < 4; n++)
        assert_ok(rt_fleet_send(f, &t, 0, &arrives_ns, &err), &err);
    assert_fails(rt_fleet_send(f, &t, 0, &arrives_ns, &err), &err, RT_ECONFIG, "beyond the clock");
    rt_fleet_free(f);
}

static struct rt_request request(uint64_t id, int64_t prompt)
{
    return (struct rt_request){.id = id,
                               .prompt_tokens = prompt,
                               .output_tokens = 5,
                               .deadline_ns = RT_NO_DEADLINE,
                               .think_ns = -1};
}

static uint32_t told(struct rt_fleet *f, uint64_t id, int64_t prompt)
{
    struct rt_request q = request(id, prompt);
    struct rt_handed handed = {.first_token_ns = 0};
    struct rt_err err = {0};
    uint32_t replica;
    assert_ok(rt_fleet_expect(f, &q, &handed, 0, &replica, &err), &err);
    return replica;
}

/* Least outstanding by default, among those that take requests and could ever hold this one. */
static void decode_replicas_are_routed_to(void **state)
{
    (void)state;
    struct rt_fleet *f = build("");
    uint32_t replica;
    struct rt_err err = {0};
    assert_true(rt_fleet_hands_over(f) && rt_fleet_hides_prefill(f));
    assert_int_equal(rt_fleet_role(f, 2), RT_ROLE_PREFILL);
    assert_int_equal(rt_fleet_role(f, 3), RT_ROLE_DECODE);
    for (uint32_t n = 0; n < 4; n++)
        assert_int_equal(told(f, n, 100), 3 + n);
    assert_int_equal(told(f, 4, 100), 3);
    assert_int_equal(told(f, 5, 5000), 6); /* 5005 tokens: only the big one */
    rt_fleet_set_state(f, 4, RT_REPLICA_DOWN);
    assert_int_equal(told(f, 6, 100), 5);
    for (uint32_t i = 3; i < 7; i++)
        rt_fleet_set_state(f, i, RT_REPLICA_DRAINING);
    assert_int_equal(told(f, 7, 100), RT_NO_REPLICA);
    rt_fleet_set_state(f, 4, RT_REPLICA_READY);
    assert_int_equal(told(f, 8, 100), 4);

    struct rt_request q = request(9, 20000), fits = request(10, 100);
    assert_int_equal(rt_fleet_push(f, &q, 0, &replica, &err), RT_REASON_KV);
    assert_int_equal(rt_fleet_push(f, &fits, 0, &replica, &err), RT_REASON_NONE);
    assert_true(replica < PREFILLS);
    rt_fleet_free(f);
}

static void specs_made_by_hand_are_checked(void **state)
{
    (void)state;
    struct rt_pool_spec pool = {.name = "alone", .role = RT_ROLE_PREFILL, .model = {.name = "m"}};
    struct rt_fleet_spec spec = {.pools = &pool, .pool_count = 1};
    struct rt_fleet_use use = {.stats = &stats};
    struct rt_fleet *f;
    struct rt_err err = {0};
    assert_fails(rt_fleet_new(&spec, &use, &f, &err), &err, RT_ECONFIG,
                 "pool \"alone\": role \"prefill\" needs a pool of role \"decode\" for m");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_prompts_queue),
        cmocka_unit_test(layers_leave_one_by_one),
        cmocka_unit_test(layers_share_a_link),
        cmocka_unit_test(who_waited_for_room_has_all_layers),
        cmocka_unit_test(links_end_with_the_clock),
        cmocka_unit_test(decode_replicas_are_routed_to),
        cmocka_unit_test(specs_made_by_hand_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
