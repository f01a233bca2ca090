/* workload/synthetic.h: traffic that is made, not read: the scenario's key workload.synthetic.
 *
 *     arrivals x lengths x shared prefixes x sessions x classes        from the scenario's seed
 *     or "like": a trace, resampled                                    (see synth_like.c)
 *
 * Two tables (kinds of distributions, kinds of arrivals) say which keys each kind takes; parser,
 * printer, messages and help read them. A class takes what it does not say itself from the section.
 * Each purpose draws from its own random stream, so that changing one never shifts another. */
#ifndef RT_SYNTHETIC_H
#define RT_SYNTHETIC_H

#include "rooftrace/json.h"

#include <math.h>

#define RT_FORMAT_NAME 32

/* A trace that something is sampled from. */
struct rt_trace_ref {
    char *path; /* owned; NULL = none */
    char format[RT_FORMAT_NAME];
};

enum rt_dist_kind {
    RT_DIST_ABSENT,
    RT_DIST_FIXED,
    RT_DIST_UNIFORM,
    RT_DIST_NORMAL,
    RT_DIST_LOGNORMAL,
    RT_DIST_EXPONENTIAL,
    RT_DIST_ZIPF,
    RT_DIST_EMPIRICAL,
    RT_DIST_KINDS
};
enum rt_dist_key {
    RT_DIST_VALUE,
    RT_DIST_MEAN,
    RT_DIST_MEDIAN,
    RT_DIST_SD,
    RT_DIST_SIGMA,
    RT_DIST_CV,
    RT_DIST_EXPONENT,
    RT_DIST_MIN,
    RT_DIST_MAX,
    RT_DIST_KEYS
};
struct rt_dist_spec { /* of tokens, turns or seconds */
    enum rt_dist_kind kind;
    double v[RT_DIST_KEYS];    /* NaN = not given */
    struct rt_trace_ref trace; /* of empirical */
};

enum rt_arrival_kind {
    RT_ARRIVE_AT_ONCE,
    RT_ARRIVE_CONSTANT,
    RT_ARRIVE_POISSON,
    RT_ARRIVE_GAMMA,
    RT_ARRIVE_WEIBULL,
    RT_ARRIVE_ON_OFF,
    RT_ARRIVE_DIURNAL,
    RT_ARRIVE_KINDS
};
enum rt_arrival_key {
    RT_ARRIVAL_RATE, /* per second, over the long run */
    RT_ARRIVAL_CV,
    RT_ARRIVAL_BURSTINESS,
    RT_ARRIVAL_SHAPE,
    RT_ARRIVAL_ON_S,
    RT_ARRIVAL_OFF_S,
    RT_ARRIVAL_OFF_SHARE,
    RT_ARRIVAL_AMPLITUDE,
    RT_ARRIVAL_PERIOD_S,
    RT_ARRIVAL_PEAK_S,
    RT_ARRIVAL_KEYS
};
struct rt_arrival_spec {
    enum rt_arrival_kind kind;
    double v[RT_ARRIVAL_KEYS]; /* NaN = not given */
};

/* What a kind takes: bits 1 << key. Exactly one key of each set of one_of must be given. */
struct rt_number_kind {
    const char *name, *help;
    unsigned required, optional, one_of[2];
};
struct rt_number_key {
    const char *name;
    double min, max;
};
extern const struct rt_number_kind rt_dist_kinds[RT_DIST_KINDS];
extern const struct rt_number_key rt_dist_keys[RT_DIST_KEYS];
extern const struct rt_number_kind rt_arrival_kinds[RT_ARRIVE_KINDS];
extern const struct rt_number_key rt_arrival_keys[RT_ARRIVAL_KEYS];

struct rt_prefix_spec {
    uint64_t count;             /* different shared prefixes, 1..1,000,000; 0 = none of this */
    struct rt_dist_spec tokens; /* length of each, drawn once */
    double zipf;                /* popularity of the k-th ~ k^-zipf; 0 = all alike */
    double share;               /* of the requests (or sessions) begin with one; 1 */
};

struct rt_session_spec {
    struct rt_dist_spec turns;       /* ABSENT = no sessions */
    struct rt_dist_spec turn_tokens; /* new tokens of turns after the first; ABSENT = prompt */
    struct rt_dist_spec think_s;     /* between an answer and the next turn; ABSENT = 0 */
    double answer_s_per_token;       /* nominal, for the stamps of later turns; 0 */
    int64_t max_prompt_tokens;       /* a session ends before a longer prompt; INT64_MAX */
};

struct rt_synth_class {
    char *name;   /* owned; NULL for the section itself */
    double share; /* weight among the classes, > 0; 1 */
    int64_t priority;
    double deadline_s; /* NaN = none */
    struct rt_dist_spec prompt_tokens, output_tokens;
    struct rt_trace_ref lengths; /* both lengths, rows kept whole */
    struct rt_prefix_spec prefixes;
    struct rt_session_spec sessions;
};

struct rt_synthetic {
    uint64_t requests; /* >= 1; 0 = this workload is not synthetic */
    struct rt_trace_ref like;
    struct rt_arrival_spec arrivals;
    struct rt_synth_class base;
    struct rt_synth_class *classes; /* owned */
    uint32_t class_count;
};

#define RT_SYNTH_MAX_CLASSES  256
#define RT_SYNTH_MAX_PREFIXES 1000000
#define RT_SYNTH_MAX_TURNS    10000
#define RT_SYNTH_BLOCK_TOKENS 16u /* what a hash id names, unless block_size says otherwise */

void rt_synthetic_init(struct rt_synthetic *s);
void rt_synthetic_release(struct rt_synthetic *s);
/* Reads the section at `at` into *s (initialised); complete and consistent when true. */
bool rt_synthetic_parse(const struct rt_json_at *at, struct rt_synthetic *s,
                        struct rt_err *err) RT_MUST_USE;

#endif
