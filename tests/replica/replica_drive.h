/* replica_drive: random small scenarios, and a tiny event loop that drives one rt_replica through
 * them exactly as replica.h describes. */
#ifndef RT_TEST_REPLICA_DRIVE_H
#define RT_TEST_REPLICA_DRIVE_H

#include "rooftrace/crash.h"
#include "rooftrace/engine.h"
#include "rooftrace/finished.h"
#include "rooftrace/replica.h"
#include "rooftrace/request.h"
#include "rooftrace/step_list.h"
#include "rooftrace/token_stats.h"
#include "support/naive_engine.h"

#define SCENARIO_MAX    64
#define SCENARIO_HASHES 12

struct scenario {
    struct naive_params params;
    struct naive_request requests[SCENARIO_MAX];
    size_t count;
    uint64_t hash_ids[SCENARIO_MAX][SCENARIO_HASHES];
    uint32_t order[SCENARIO_MAX]; /* ids in (arrival, id) order */
    int64_t measure_from_ns, measure_to_ns;
};

/* What the engine under test can do; found out by asking rt_engine_parse. */
struct abilities {
    bool policy[NAIVE_POLICY_COUNT];
    bool async_scheduling, prefix_caching;
};
void abilities_probe(struct abilities *a);

void scenario_draw(struct scenario *s, uint64_t seed, const struct abilities *a);
/* The same behind a pipeline, on several ranks, or both. */
void scenario_spread(struct scenario *s, uint64_t seed);
/* One rank, no pipeline. */
bool scenario_is_plain(const struct scenario *s);
/* The parameters on one line, for messages. */
const char *scenario_text(const struct scenario *s, uint64_t seed, char *buf, size_t size);

/* A replica of the scenario; `again`: with the parts of the one before. */
struct drive_parts {
    struct rt_engine_spec engine;
    struct rt_cost *cost, *draft_cost;
    bool compact; /* set beforehand: rt_replica_spec.compact */
};
struct rt_replica *drive_replica(const struct scenario *s, bool coast, struct rt_token_stats *stats,
                                 struct drive_parts *parts, bool again);
void drive_parts_release(struct drive_parts *parts);
struct rt_request drive_request(const struct scenario *s, uint32_t id);

/* One run of a scenario through rt_replica. */
struct drive {
    /* in */
    bool coast, compact;
    const int64_t *probes; /* instants to look at the gauges, ascending */
    size_t probe_count;
    int64_t stop_ns; /* abort here, before anything else of this instant; RT_NEVER_AGAIN: run to the
                        end */
    bool crash;      /* crash there instead: fills `lost` */
    const struct rt_progress *past; /* what every request has behind it elsewhere, or NULL */
    /* out */
    struct rt_finished_list rows; /* rejected ones included */
    struct rt_lost_list lost;
    bool plain;                   /* scenario_is_plain */
    struct rt_step_record *steps; /* as each begins; coast = false and plain only */
    size_t step_count, step_capacity;
    bool log;                         /* in: record the steps below */
    struct rt_step_list step_log;     /* by number */
    struct rt_replica_gauges *gauges; /* by probe */
    size_t gauge_count;
    struct rt_replica_gauges at_end; /* unless stopped */
    struct rt_replica_totals totals;
    struct rt_token_stats stats;
    size_t pushed;
};
void drive_run(struct drive *d, const struct scenario *s);
void drive_release(struct drive *d);

#endif
