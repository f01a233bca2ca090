/* pipeline_internal.h: batches of a rank, or of ranks that step together, under way in order. */
#ifndef RT_PIPELINE_INTERNAL_H
#define RT_PIPELINE_INTERNAL_H

#include "replica_internal.h"
#include "rooftrace/err.h"
#include "rooftrace/finished.h"

struct pipeline {
    struct rank **ranks; /* not owned */
    uint32_t rank_count, lane_count;
    uint32_t *order; /* of lanes: `count` on their way, oldest first; then the others, the one that
                        ended last first */
    uint32_t count;
    int64_t *end_ns;     /* of the batch of a lane */
    int64_t entry_ns;    /* from when on the first stage is free */
    int64_t last_end_ns; /* of the batch that entered last */
};

bool pipeline_init(struct pipeline *p, struct rank **ranks, uint32_t rank_count);
void pipeline_release(struct pipeline *p);
/* As rt_replica_schedule, rt_replica_next_ns and rt_replica_step_end. Whenever nothing is known to
 * be on its way, or a batch has just ended, batches are formed. */
bool pipeline_schedule(struct pipeline *p, int64_t now_ns, struct rt_err *err);
int64_t pipeline_next_ns(const struct pipeline *p);
bool pipeline_step_end(struct pipeline *p, int64_t now_ns, struct rt_finished_list *out,
                       struct rt_err *err);

#endif
