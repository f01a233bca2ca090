/* cost/gpu.h: the record of a GPU: what its datasheet says, what it costs to rent, and how its
 * kernels do. Immutable; catalog.h reads it. Units: bytes, bytes/s, FLOP/s, watts, USD. */
#ifndef RT_GPU_H
#define RT_GPU_H

#include "rooftrace/dtype.h"
#include "rooftrace/gpu_constants.h"
#include "rooftrace/name.h"

#include <stdbool.h>

/* How the GPUs of one box talk: over PCIe from memory to memory, over a bridge that joins pairs,
 * over a switched or fully connected fabric (NVSwitch, xGMI, ICI, RoCE), or over PCIe by way of the
 * host's memory (GeForce, whose driver lets no GPU reach another one's). */
enum rt_link { RT_LINK_PCIE, RT_LINK_BRIDGE, RT_LINK_FABRIC, RT_LINK_HOST, RT_LINK_COUNT };
extern const char *const rt_link_names[RT_LINK_COUNT];

/* Ways to rent a GPU. A record's keys: price_usd_per_h, spot_price_usd_per_h, ... and the ranges
 * price_range_usd_per_h, ... */
enum rt_pricing { RT_ON_DEMAND, RT_SPOT, RT_RESERVED, RT_PRICING_COUNT };
extern const char *const rt_pricing_names[RT_PRICING_COUNT]; /* "on_demand", "spot", "reserved" */

struct rt_price {     /* USD for one GPU and hour */
    double usd_per_h; /* 0 unknown */
    double low, high; /* what else was seen; 0 unknown */
};

struct rt_gpu {
    char name[RT_NAME_SIZE], vendor[RT_NAME_SIZE], arch[RT_NAME_SIZE];
    double mem_bytes;          /* what the driver reports where known, else the box's GB * 1e9 */
    double mem_bw_bytes_per_s; /* datasheet */
    double peak_flops[RT_DTYPE_COUNT]; /* dense, fp32 accumulation; 0 = the unit does not exist */
    char link[RT_NAME_SIZE];
    enum rt_link link_kind;
    double link_bytes_per_s; /* per GPU per direction; 0 unknown */
    double pcie_bytes_per_s; /* 0 unknown */
    double sm_count;         /* SMs or CUs; 0 unknown */
    double tdp_w;            /* board power at most; 0 unknown */
    double idle_w;           /* no process on it; 0 unknown */
    struct rt_price price[RT_PRICING_COUNT];
    struct rt_gpu_constants k;
    bool fitted;        /* the GEMM constants come from measured kernels of this GPU */
    char accuracy[256]; /* what is known about how well the constants fit; never empty */
};

#endif
