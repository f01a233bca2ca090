/* workload/load.h: when the requests of a trace are sent: at their own times, at drawn times, when
 * others have left. Scenario keys workload.max_concurrency, request_rate, rate_profile, burstiness
 * and sessions; the rules are those of docs/workload.md.
 *
 * Applied in this order: arrivals are drawn (request_rate, rate_profile), turns of a session wait
 * for each other (sessions), the client holds back what is beyond its concurrency
 * (max_concurrency). */
#ifndef RT_LOAD_H
#define RT_LOAD_H

#include "rooftrace/json.h"
#include "rooftrace/source.h"

enum rt_arrivals {
    RT_ARRIVALS_TRACE, /* as the trace has them */
    RT_ARRIVALS_AT_ONCE /* request_rate "inf": all at time 0 */,
    RT_ARRIVALS_RATE,   /* request_rate: drawn at a constant rate */
    RT_ARRIVALS_PROFILE /* rate_profile: drawn at a rate that changes */
};

enum rt_rate_shape {                  /* names in rt_rate_shape_names */
                     RT_RATE_STEPS,   /* points[i].rate from points[i].from_s on */
                     RT_RATE_LINEAR,  /* straight lines between the points */
                     RT_RATE_ON_OFF,  /* `rate` for on_s, then `off_rate` for off_s, again and again
                                       */
                     RT_RATE_DIURNAL, /* rate * (1 + amplitude * cos(2 pi (t - peak_s) / period_s))
                                       */
                     RT_RATE_SHAPE_COUNT
};
extern const char *const rt_rate_shape_names[RT_RATE_SHAPE_COUNT];

struct rt_rate_point {
    double from_s, rate; /* requests per second, >= 0 */
};

#define RT_MAX_RATE_POINTS 4096

struct rt_rate_spec { /* a key that its shape does not have is 0 */
    enum rt_rate_shape shape;
    struct rt_rate_point *points; /* owned; steps and linear: from_s ascends from 0 */
    uint32_t point_count;
    double period_s; /* steps, linear: repeat after so long, 0 = never; diurnal: of the wave */
    double rate;     /* on_off: while on; diurnal: mean */
    double off_rate, on_s, off_s;
    double amplitude; /* diurnal: 0 to 1 */
    double peak_s;    /* diurnal: when the rate is highest */
};

enum rt_sessions {                    /* names in rt_sessions_names */
                   RT_SESSIONS_OPEN,  /* turns are requests like all others */
                   RT_SESSIONS_TRACE, /* a turn waits for the one before and for its own time in the
                                         trace */
                   RT_SESSIONS_THINK, /* a turn comes think_s after the answer before */
                   RT_SESSIONS_COUNT
};
extern const char *const rt_sessions_names[RT_SESSIONS_COUNT];

#define RT_MAX_CONCURRENCY INT64_C(1000000000)

struct rt_load_spec {
    int64_t max_concurrency; /* requests in flight at most; 0 = no limit */
    enum rt_arrivals arrivals;
    double request_rate;         /* RT_ARRIVALS_RATE: requests per second */
    struct rt_rate_spec profile; /* RT_ARRIVALS_PROFILE */
    double burstiness; /* shape of the gaps' gamma distribution; INFINITY: equal gaps; 1 */
    enum rt_sessions sessions;
};

/* Defaults: the trace as it is. */
void rt_load_init(struct rt_load_spec *l);
void rt_load_release(struct rt_load_spec *l);
/* The keys of the section `workload` that rt_load_parse reads. */
extern const char *const rt_load_keys[];
extern const unsigned rt_load_key_count;
/* Reads them from the section at `at` over *l. */
bool rt_load_parse(const struct rt_json_at *at, struct rt_load_spec *l,
                   struct rt_err *err) RT_MUST_USE;
/* Wraps *source as the spec says; rt_workload_open does this. Draws come from `seed`. On failure
 * *source is freed and NULL. */
bool rt_load_wrap(const struct rt_load_spec *l, uint64_t seed, struct rt_source **source,
                  struct rt_err *err) RT_MUST_USE;

#endif
