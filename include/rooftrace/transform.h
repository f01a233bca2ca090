/* workload/transform.h: what is done to requests between a trace and its load: scenario keys of the
 * section `workload` (and of each element of workload.mix). Order and meaning: docs/workload.md.
 *
 *     spread_s .. rate_scale .. superpose, prefix_roots -> resample -> keep_share -> max_gap_s
 *     -> prompt_scale, output_scale -> min_ and max_ lengths -> max_context_tokens
 *
 * Each is off at its neutral value. What is drawn comes from the scenario's seed, each purpose from
 * a random stream of its own. */
#ifndef RT_TRANSFORM_H
#define RT_TRANSFORM_H

#include "rooftrace/json.h"

#include <stddef.h>

#define RT_MAX_SUPERPOSE 64 /* copies: each holds a sort window (7 to 32 MiB) */
#define RT_MAX_MIX       64

enum rt_over_context {                  /* names in rt_over_context_names */
                       RT_CONTEXT_CUT,  /* the prompt's end is cut off (then the output's) */
                       RT_CONTEXT_DROP, /* the request is left out */
                       RT_CONTEXT_ERROR,
                       RT_CONTEXT_COUNT
};
extern const char *const rt_over_context_names[RT_CONTEXT_COUNT];

struct rt_transform_spec {
    double spread_s;      /* width over which equal stamps are spread; 0 = as they are */
    int64_t copies;       /* superposed; 1 */
    double shift_s;       /* copy c begins c * shift_s later */
    int64_t prefix_roots; /* copy c has the hash ids of copy c mod prefix_roots; 1 */
    double keep_share;    /* probability that a request, or session, is kept; 1 */
    int64_t resample;     /* requests drawn with replacement; 0 = off */
    double max_gap_s;     /* between two arrivals; 0 = no limit */
    double prompt_scale;  /* 1 */
    double output_scale;  /* 1 */
    int64_t min_prompt_tokens, max_prompt_tokens; /* 1, RT_MAX_REQUEST_TOKENS */
    int64_t min_output_tokens, max_output_tokens;
    int64_t max_context_tokens; /* prompt + output at most; 0 = no limit */
    enum rt_over_context over_context;
};

/* The keys that are plain numbers: parser, printer and checks read this table. */
struct rt_transform_key {
    const char *name;
    bool whole;      /* int64_t, else double */
    size_t offset;   /* in rt_transform_spec */
    double min, max; /* what may be given */
    double neutral;  /* does nothing */
};
extern const struct rt_transform_key rt_transform_keys[];
extern const unsigned rt_transform_key_count;
double rt_transform_get(const struct rt_transform_spec *t, const struct rt_transform_key *k);

void rt_transform_init(struct rt_transform_spec *t);
/* Reads the keys of the section at `at` over *t: those of the table, superpose and over_context. */
bool rt_transform_parse(const struct rt_json_at *at, struct rt_transform_spec *t,
                        struct rt_err *err) RT_MUST_USE;
/* Every number in its range, for specs from elsewhere, and the rules between keys. */
bool rt_transform_check(const struct rt_transform_spec *t, struct rt_err *err) RT_MUST_USE;

#endif
