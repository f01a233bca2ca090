/* perfetto_internal.h: a timeline in the making: perfetto.c writes fleet and engines,
 * perfetto_requests.c the requests. */
#ifndef RT_PERFETTO_INTERNAL_H
#define RT_PERFETTO_INTERNAL_H

#include "report_internal.h"

#define NONE  INT64_MIN /* SQL NULL */
#define FLEET INT64_C(-1)

struct gauges { /* what a replica's counters show */
    int64_t sequences, waiting, kv_blocks;
    int64_t end_ns; /* of its last step */
    bool any;
};

struct life { /* of a replica that comes and goes: when it became ready */
    int64_t replica, ready_ns;
};

struct timeline {
    FILE *out;
    const struct rt_timeline *what;
    struct rt_timeline_count *count;
    struct gauges *shown; /* by replica */
    bool *lives;          /* by replica: it was there in the window */
    struct life *readies; /* in order of replica and time; none in a fleet that never changes */
    size_t ready_count, ready_capacity;
    int64_t replicas, duration_ns;
    bool has_retries, out_of_memory;
    bool first; /* event */
};

int64_t timeline_integer(const char *text);
/* The beginning of an event; the caller adds members and the brace. Process 0 means the idle one to
 * viewers: the fleet is 1, replica i is i + 2. */
void timeline_event(struct timeline *t, const char *phase, int64_t replica, int64_t at_ns,
                    const char *name);
void timeline_number(struct timeline *t, const char *name, const char *value);
void timeline_text(struct timeline *t, const char *name, const char *value); /* if any */

/* Does [from_ns, to_ns) touch the window? */
bool timeline_overlaps(const struct timeline *t, int64_t from_ns, int64_t to_ns);

/* Every request that overlaps the window. */
bool timeline_requests(struct timeline *t, struct rt_db *db, struct rt_err *err) RT_MUST_USE;

#endif
