/* estimate_internal.h: what `rooftrace estimate` has worked out, and how it is printed. */
#ifndef RT_ESTIMATE_INTERNAL_H
#define RT_ESTIMATE_INTERNAL_H

#include "cli_internal.h"
#include "rooftrace/cost.h"
#include "rooftrace/estimate.h"
#include "rooftrace/memory.h"

struct estimate_job {
    char *profile; /* path of measured operators, or NULL; owned */
    struct rt_cost_inputs in;
    struct rt_estimate_request req;
    double utilization;
    int64_t block_size;
    struct rt_estimate e;
    bool explain; /* then the two steps are filled in */
    struct rt_estimate_step prefill, decode;
};

/* GPUs of the replica. */
int64_t estimate_gpus(const struct estimate_job *j);
/* KV blocks of the fullest rank for the whole batch. */
double estimate_needed_blocks(const struct estimate_job *j);
/* Bytes of one GPU that the plan lacks for a single KV block; <= 0: it fits. */
double estimate_missing_bytes(const struct rt_memory_plan *m);

void estimate_print_text(const struct estimate_job *j);
void estimate_print_json(const struct estimate_job *j);

#endif
