/* All-reduce: each of the four ways a message takes with times computed by hand, which way it takes
 * by its size, the number of GPUs and their links, and properties over random messages. Every time
 * is read from the explanation of a step of a model of one layer, which sums up three times. */
#include "cost_fixture.h"
#include "rooftrace/catalog.h"
#include "rooftrace/explain.h"
#include "rooftrace/rng.h"
#include "support/test.h"

#include <math.h>

#define assert_near(got, want, relative)                                                           \
    assert_true(fabs((got) - (want)) <= (relative)*fabs(want) + 1e-18)

#define MIB 1048576.0

/* An H100 box, in round numbers: 5 us + 4 us, 300 GB/s; NCCL 40 us, 350 GB/s; copies at 3 TB/s. */
static struct rt_gpu hopper(void)
{
    struct rt_gpu g = fixture_h100();

    g.link_kind = RT_LINK_FABRIC;
    g.mem_bw_bytes_per_s = 3e12;
    g.k.gemm_eff_memory = 1;
    g.k.allreduce_latency_s = 5e-6;
    g.k.allreduce_step_s = 4e-6;
    g.k.allreduce_bus_bytes_per_s = 300e9;
    g.k.allreduce_custom_bytes = 8 * MIB;
    g.k.allreduce_symmetric_2_bytes = g.k.allreduce_symmetric_8_bytes = 64 * MIB;
    g.k.allreduce_symmetric_4_bytes = 32 * MIB;
    g.k.allreduce_library_s = 40e-6;
    g.k.allreduce_library_bytes_per_s = 350e9;
    g.k.allreduce_multicast = 0.85;
    return g;
}

/* Seconds of one all-reduce of about so many bytes: tokens of 32 bytes each, so it is exact for
 * multiples of that. */
static double reduce_s(const struct rt_gpu *g, int64_t gpus, double bytes)
{
    struct rt_model m = fixture_llama31_8b();
    struct rt_cost_part parts[RT_MAX_COST_PARTS];
    struct rt_step_shape s;
    struct rt_cost *c;
    struct rt_err err;
    double seconds = 0;

    m.layers = 1;
    m.hidden = 16;
    m.heads = m.kv_heads = 64;
    m.head_dim = 8;
    struct rt_cost_inputs in = fixture_inputs(*g, m, gpus);
    in.gpu.k.graph_max_tokens = 0;
    in.max_tokens = 1;
    assert_ok(rt_cost_new(&in, &c, &err), &err);
    s = fixture_prefill(llrint(bytes / 32), 0);
    unsigned count = rt_cost_explain(c, &s, parts);
    for (unsigned i = 0; i < count; i++)
        if (strcmp(parts[i].name, "all_reduce") == 0)
            seconds = parts[i].terms_s[RT_TERM_COMM] / 3;
    rt_cost_free(c);
    return seconds;
}

#define ASSERT_US(g, gpus, bytes, us) assert_near(reduce_s(g, gpus, bytes), (us)*1e-6, 1e-12)

/* The engine's own kernel: whole buffers at once while that saves the second barrier. */
static void test_own_kernel(void **state)
{
    (void)state;
    struct rt_gpu g = hopper();
    g.k.allreduce_symmetric_8_bytes = 0;
    ASSERT_US(&g, 2, 3e6, 5 + 10);             /* 3 MB / 300 GB/s, either way; one shot */
    ASSERT_US(&g, 4, 480e3, 5 + 3 * 1.6);      /* 3 buffers of 1.6 us < 4 + 1.5 * 1.6 */
    ASSERT_US(&g, 4, 4.8e6, 5 + 4 + 1.5 * 16); /* < 3 * 16 */
    ASSERT_US(&g, 8, 4.8e6, 5 + 4 + 1.75 * 16);
}

/* Symmetric memory: the switch sums, or two shots between two; four passes over memory. */
static void test_symmetric_memory(void **state)
{
    (void)state;
    struct rt_gpu g = hopper();
    double mib16 = 16 * MIB / 300e9 * 1e6, copies = 4 * 16 * MIB / 3e12 * 1e6;
    ASSERT_US(&g, 2, 16 * MIB, 9 + mib16 + copies);
    ASSERT_US(&g, 4, 16 * MIB, 9 + 1.25 * mib16 + copies);
    ASSERT_US(&g, 8, 16 * MIB, 9 + 1.125 * mib16 + copies);
    ASSERT_US(&g, 8, 3e6, 9 + 11.25 + 4); /* also below 8 MiB, where it beats two shots: 9 + 17.5 */
    ASSERT_US(&g, 4, 3e6, 9 + 15);        /* here it does not: 9 + 12.5 + 4 */
}

/* The library: a ring, or a switch that sums at .85 of its rate where that sends less. */
static void test_library(void **state)
{
    (void)state;
    struct rt_gpu g = hopper();
    double mb = 140e6 / 350e9 * 1e6;
    ASSERT_US(&g, 2, 140e6, 40 + mb);               /* 1.5/.85 would be more */
    ASSERT_US(&g, 4, 140e6, 40 + 1.25 / .85 * mb);  /* 1.47 < 1.5 */
    ASSERT_US(&g, 8, 140e6, 40 + 1.125 / .85 * mb); /* 1.32 < 1.75 */
    g.k.allreduce_multicast = 0;
    ASSERT_US(&g, 8, 140e6, 40 + 1.75 * mb);
}

/* Beyond a box no kernel of the engine's, and no switch that sums; over PCIe for two GPUs, through
 * the host for none. */
static void test_who_has_a_kernel(void **state)
{
    (void)state;
    struct rt_gpu g = hopper(), pcie = hopper(), host = hopper();
    double one = 32e3 / 350e9 * 1e6;
    ASSERT_US(&g, 16, 32e3, 40 + 2 * 15.0 / 16 * 32e3 / 350e9 * 1e6 + 2 * 5); /* two boxes of 8 */
    pcie.link_kind = RT_LINK_PCIE;
    pcie.k.allreduce_multicast = 0;
    ASSERT_US(&pcie, 2, 48e3, 5 + .16);
    ASSERT_US(&pcie, 4, 32e3, 40 + 1.5 * one);
    host.link_kind = RT_LINK_HOST;
    host.k.allreduce_multicast = 0;
    ASSERT_US(&host, 2, 32e3, 40 + one);
    ASSERT_US(&host, 4, 32e3, 40 + 1.5 * one);
}

/* Two boards over PCIe as the catalogue has them: reading a peer's memory, NCCL from 8 MiB on; over
 * the host's memory where there are no peers. */
static void test_pcie_boxes(void **state)
{
    (void)state;
    struct rt_catalog *catalog;
    struct rt_gpu pro, geforce;
    struct rt_err err;
    assert_ok(rt_catalog_open(NULL, &catalog, &err), &err);
    assert_ok(rt_catalog_gpu(catalog, "rtx-pro-6000", &pro, &err), &err);
    assert_ok(rt_catalog_gpu(catalog, "rtx-4090", &geforce, &err), &err);
    rt_catalog_free(catalog);
    ASSERT_US(&pro, 2, 384e3, 7 + 10);      /* .6 * 64 GB/s */
    ASSERT_US(&pro, 2, 44.8e6, 20 + 1000);  /* .7 * 64 GB/s */
    ASSERT_US(&pro, 4, 448e3, 20 + 15);     /* 1.5 times the bytes */
    ASSERT_US(&geforce, 2, 160e3, 20 + 10); /* .5 * 32 GB/s */
    ASSERT_US(&geforce, 2, 160e6, 20 + 10e3);
}

/* Between the limits more bytes never take less time; at them it jumps, as the engine does: up at 8
 * MiB where no symmetric memory is, down at the end of symmetric memory. */
static void test_more_bytes(void **state)
{
    (void)state;
    struct rt_gpu g = hopper(), a100 = hopper();
    struct rt_rng r;
    rt_rng_init(&r, 7, RT_RNG_TOOLS, 1);
    static const int64_t gpus[] = {2, 4, 8};
    for (int i = 0; i < 3; i++) {
        double limits[] = {32, 8 * MIB, gpus[i] == 4 ? 32 * MIB : 64 * MIB, 1024 * MIB};
        for (int k = 0; k < 60; k++) {
            int band = (int)rt_rng_below(&r, 3);
            /* below 8 MiB messages are shorter than the limit, below the second up to it */
            double low = limits[band] + (band == 2 ? 32 : 0);
            double span = limits[band + 1] - low - (band == 0 ? 32 : 0);
            double a = low + span * rt_rng_unit(&r), b = low + span * rt_rng_unit(&r);
            assert_true(reduce_s(&g, gpus[i], fmin(a, b)) <=
                        reduce_s(&g, gpus[i], fmax(a, b)) * (1 + 1e-12));
        }
    }
    a100.k.allreduce_symmetric_2_bytes = a100.k.allreduce_multicast = 0;
    assert_true(reduce_s(&a100, 2, 8 * MIB) > 1.3 * reduce_s(&a100, 2, 8 * MIB - 32));
    assert_true(reduce_s(&g, 2, 64 * MIB + 32) < reduce_s(&g, 2, 64 * MIB));
    assert_true(reduce_s(&g, 2, 64 * MIB + 32) > .7 * reduce_s(&g, 2, 64 * MIB));
}

/* Twice the rates leave latencies and halve the rest, whichever way a message takes. */
static void test_twice_the_rates(void **state)
{
    (void)state;
    static const double sizes[] = {32, 4096, 1e5, 2e6, 10e6, 40e6, 60e6, 200e6};
    static const int64_t gpus[] = {2, 4, 8};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int n = 0; n < 3; n++) {
            struct rt_gpu g = hopper(), fast = hopper(), free_of_bytes = hopper();
            fast.k.allreduce_bus_bytes_per_s *= 2;
            fast.k.allreduce_library_bytes_per_s *= 2;
            fast.mem_bw_bytes_per_s *= 2;
            free_of_bytes.k.allreduce_bus_bytes_per_s = 1e30;
            free_of_bytes.k.allreduce_library_bytes_per_s = 1e30;
            free_of_bytes.mem_bw_bytes_per_s = 1e30;
            int64_t ranks = gpus[n];
            double slow_s = reduce_s(&g, ranks, sizes[i]),
                   fast_s = reduce_s(&fast, ranks, sizes[i]);
            double latency = reduce_s(&free_of_bytes, ranks, sizes[i]);
            assert_true(latency >= 5e-6 && fast_s <= slow_s);
            assert_true(fast_s - latency >= (slow_s - latency) / 2 - 4e-6 - 1e-12);
        }
}

/* Gathers are the library's: half its latency, short ones less at half the rate. */
static void test_gather(void **state)
{
    (void)state;
    struct rt_cost_part parts[RT_MAX_COST_PARTS];
    struct rt_step_shape s;
    struct rt_cost *c;
    struct rt_err err;
    struct rt_cost_inputs in = fixture_inputs(hopper(), fixture_llama31_8b(), 4);
    in.gpu.k.allreduce_gather_s = 8e-6;
    in.gpu.k.graph_max_tokens = 0;
    assert_ok(rt_cost_new(&in, &c, &err), &err);
    static const int64_t samples[] = {1, 200};
    for (int i = 0; i < 2; i++) {
        double sent = .75 * (double)samples[i] * 128256 * 2 / 350e9, got = -1;
        s = fixture_decodes(c, samples[i], 100);
        unsigned count = rt_cost_explain(c, &s, parts);
        for (unsigned p = 0; p < count; p++)
            if (strcmp(parts[p].name, "gather_logits") == 0)
                got = parts[p].terms_s[RT_TERM_COMM];
        assert_near(got, i == 0 ? 8e-6 + 2 * sent : 20e-6 + sent, 1e-12);
    }
    rt_cost_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_kernel),      cmocka_unit_test(test_symmetric_memory),
        cmocka_unit_test(test_library),         cmocka_unit_test(test_who_has_a_kernel),
        cmocka_unit_test(test_pcie_boxes),      cmocka_unit_test(test_more_bytes),
        cmocka_unit_test(test_twice_the_rates), cmocka_unit_test(test_gather),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
