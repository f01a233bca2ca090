/* Links between the GPUs of a replica, and what a message over them costs.
 *
 * Ranks are numbered as vLLM does: tensor parallel ranks next to each other, then pipeline stages,
 * then data parallel ranks; a node holds nodes.gpus of them. A group of ranks is given by its size
 * and its stride, and is as fast as the slowest link that its ring crosses. Within a node that is
 * the measured all-reduce bus; else the link's datasheet rate; else PCIe (a bridge joins pairs:
 * more than two GPUs talk over PCIe). Between nodes it is a network card a GPU, all of the group's
 * cards of one node together and never faster than within it, and log2(nodes) latencies there and
 * back; no kernel of the engine's own reaches that far.
 *   all-reduce   as allreduce.c has it
 *   all-gather   half an all-reduce of the library's: latency/2 + (n-1)/n * bytes/bus, short
 *                ones with a lower latency at half the rate; reduce-scatter the same (NCCL alone on
 *                A100 and H100, 2 KB to 512 MB: 11 and 15 % off at the median)
 *   send         latency + bytes/rate of one link
 * Failure: a GPU whose links are not known (rt_link_check). O(1). */
#include "cost_internal.h"
#include "rooftrace/gpu.h"

#include <math.h>

/* NCCL sends short messages with a flag beside each word, at half the rate [NCCL, tuning.cc, LL].
 */
#define SHORT_SHARE 0.5

void rt_nodes_init(struct rt_nodes *n)
{
    *n = (struct rt_nodes){RT_NODE_GPUS, RT_NODE_LINK_BYTES_PER_S, RT_NODE_LATENCY_S};
}

static struct rt_nodes nodes_of(const struct rt_cost_inputs *in)
{
    struct rt_nodes n, given = in->nodes;

    rt_nodes_init(&n);
    if (given.gpus >= 1)
        n.gpus = given.gpus;
    if (given.link_bytes_per_s > 0)
        n.link_bytes_per_s = given.link_bytes_per_s;
    if (given.latency_s > 0)
        n.latency_s = given.latency_s;
    return n;
}

/* Datasheet rate between two GPUs of a node, when `ranks` of them talk. */
static double pair_rate(const struct rt_gpu *g, int64_t ranks)
{
    bool bridged = g->link_kind != RT_LINK_BRIDGE || ranks <= 2 || !(g->pcie_bytes_per_s > 0);

    return g->link_bytes_per_s > 0 && bridged ? g->link_bytes_per_s : g->pcie_bytes_per_s;
}

/* Whether the engine's own all-reduce takes part: GPUs that reach each other's memory, two of them
 * where they are joined by PCIe alone [vLLM, CustomAllreduce]. */
static bool has_own_kernel(enum rt_link kind, int64_t ranks)
{
    switch (kind) {
    case RT_LINK_FABRIC:
        return ranks == 2 || ranks == 4 || ranks == 6 || ranks == 8;
    case RT_LINK_PCIE:
    case RT_LINK_BRIDGE:
        return ranks == 2;
    case RT_LINK_HOST:
    case RT_LINK_COUNT:
        break;
    }
    return false;
}

static double symmetric_bytes(const struct rt_gpu_constants *k, int64_t ranks)
{
    return ranks == 2   ? k->allreduce_symmetric_2_bytes
           : ranks == 4 ? k->allreduce_symmetric_4_bytes
                        : k->allreduce_symmetric_8_bytes;
}

struct rt_ring rt_ring_of(const struct rt_cost_inputs *in, int64_t ranks, int64_t stride)
{
    const struct rt_gpu *g = &in->gpu;
    struct rt_nodes nodes = nodes_of(in);
    struct rt_ring ring = {.k = &g->k, .ranks = (double)ranks};
    int64_t span = (ranks - 1) * stride / nodes.gpus + 1; /* nodes */

    ring.bytes_per_s = g->k.allreduce_bus_bytes_per_s;
    if (!(ring.bytes_per_s > 0))
        ring.bytes_per_s = pair_rate(g, ranks);
    ring.library_bytes_per_s = g->k.allreduce_library_bytes_per_s;
    if (!(ring.library_bytes_per_s > 0))
        ring.library_bytes_per_s = ring.bytes_per_s;
    ring.copy_bytes_per_s = g->k.gemm_eff_memory * g->mem_bw_bytes_per_s;
    ring.multicast = span == 1;
    if (span > 1) {
        int64_t cards = (ranks + span - 1) / span;
        double network = (double)cards * nodes.link_bytes_per_s;
        ring.library_bytes_per_s = fmin(ring.library_bytes_per_s, network);
        ring.nodes_latency_s = ceil(log2((double)span)) * nodes.latency_s;
    } else if (has_own_kernel(g->link_kind, ranks)) {
        ring.custom_bytes = g->k.allreduce_custom_bytes;
        ring.symmetric_bytes = symmetric_bytes(&g->k, ranks);
    }
    return ring;
}

double rt_ring_all_reduce_s(const struct rt_ring *r, double bytes)
{
    if (r->ranks <= 1)
        return 0;
    return rt_all_reduce_s(r, bytes) + 2 * r->nodes_latency_s;
}

double rt_ring_all_gather_s(const struct rt_ring *r, double bytes)
{
    if (r->ranks <= 1)
        return 0;
    double sent_s = (r->ranks - 1) / r->ranks * bytes / r->library_bytes_per_s;
    double short_s = r->k->allreduce_gather_s + sent_s / SHORT_SHARE;
    return fmin(short_s, r->k->allreduce_library_s / 2 + sent_s) + r->nodes_latency_s;
}

/* Every rank hands its share of a tensor parallel group's hidden states to the next stage, which
 * gathers them within its node: 1/tp of the bytes go over the link [vLLM, GroupCoordinator,
 * send_tensor_dict with an all-gather group]. */
struct rt_hop rt_link_hop(const struct rt_cost_inputs *in, int64_t stage)
{
    struct rt_nodes nodes = nodes_of(in);
    int64_t tp = in->parallel.tensor;
    struct rt_ring gather = rt_ring_of(in, tp, 1);
    double rate = pair_rate(&in->gpu, 2);
    struct rt_hop hop = {.latency_s = in->gpu.k.allreduce_latency_s};

    if (stage * tp / nodes.gpus != (stage + 1) * tp / nodes.gpus) {
        rate = fmin(rate, nodes.link_bytes_per_s);
        hop.latency_s += nodes.latency_s;
    }
    hop.latency_s += rt_ring_all_gather_s(&gather, 0);
    hop.s_per_byte = 1 / ((double)tp * rate);
    if (tp > 1)
        hop.s_per_byte += (gather.ranks - 1) / gather.ranks / gather.library_bytes_per_s;
    return hop;
}

bool rt_link_check(const struct rt_cost_inputs *in, struct rt_err *err)
{
    const struct rt_gpu *g = &in->gpu;
    const struct rt_parallel *p = &in->parallel;
    bool coupled = p->data > 1 && in->model.experts > 0;

    if ((p->tensor == 1 && p->pipeline == 1 && !coupled) || pair_rate(g, p->tensor) > 0 ||
        (p->pipeline == 1 && g->k.allreduce_bus_bytes_per_s > 0))
        return true;
    return rt_fail(err, RT_ECONFIG, "gpu %s: %s_parallel %lld needs a link, but none is known",
                   g->name,
                   p->tensor > 1     ? "tensor"
                   : p->pipeline > 1 ? "pipeline"
                                     : "data",
                   (long long)(p->tensor > 1     ? p->tensor
                               : p->pipeline > 1 ? p->pipeline
                                                 : p->data));
}
