/* synth_internal.h: what the files that make traffic share. Each knows those before it:
 *
 *     synth_spec      the section workload.synthetic as a struct
 *     synth_dist      a distribution: lengths, turns, seconds
 *     synth_arrivals  when units (single requests, or sessions) begin
 *     synth_plan      a unit: rows with their stamps and block names
 *     synth_model     units from the section
 *     synth_like      units resampled from a trace    (like_fit: the trace as units)
 *     synth_source    units merged into one stream of requests: an rt_source */
#ifndef RT_SYNTH_INTERNAL_H
#define RT_SYNTH_INTERNAL_H

#include "rooftrace/draw.h"
#include "rooftrace/synthetic.h"
#include "workload_internal.h"

#include <math.h>

#define RT_SYNTH_MAX_SECONDS 9e9
#define RT_SYNTH_MAX_ZIPF    20.0

/* ---- synth_dist.c */
struct rt_length_pairs { /* lengths of a trace, in file order; 0 tokens are 1 */
    int64_t *prompt, *output;
    size_t count, capacity;
};
bool rt_length_pairs_load(const struct rt_trace_ref *from, struct rt_length_pairs *out,
                          struct rt_err *err) RT_MUST_USE;
void rt_length_pairs_release(struct rt_length_pairs *p);

struct rt_dist { /* ready to draw from */
    enum rt_dist_kind kind;
    double a, b;     /* as the kind needs them, see rt_dist_init */
    double min, max; /* caps: what lies beyond is set to them */
    struct rt_zipf zipf;
    struct rt_length_pairs pairs; /* of empirical */
    bool output;                  /* ... which of the two columns */
};
/* `output`: an empirical distribution takes the trace's outputs. */
bool rt_dist_init(struct rt_dist *d, const struct rt_dist_spec *spec, bool output,
                  struct rt_err *err) RT_MUST_USE;
void rt_dist_release(struct rt_dist *d);
double rt_dist_draw(const struct rt_dist *d, struct rt_rng *r);
/* The same, rounded: at least 1 and at most RT_MAX_REQUEST_TOKENS. */
int64_t rt_dist_draw_whole(const struct rt_dist *d, struct rt_rng *r);

/* ---- synth_arrivals.c */
struct rt_starts {
    struct rt_arrival_spec spec;
    double rate;       /* per second: the long-run mean, or that of an on phase */
    double shape;      /* of gamma or Weibull gaps; 1 = exponential */
    double scale;      /* of Weibull */
    double time_scale; /* the stamps' seconds for each of the process: 1 / rate_scale */
    double at_s;       /* the last one, before time_scale */
    double phase_left_s;
    bool on;
    uint64_t count;   /* answered */
    int64_t at_ns;    /* the last one */
    double remainder; /* what rounding to ns has left over, in ns */
    struct rt_rng gaps, phases;
};
/* NULL, or what is wrong with numbers that are in their ranges one by one. */
const char *rt_starts_check(const struct rt_arrival_spec *spec);
/* `rate_scale` times as many a second. */
void rt_starts_init(struct rt_starts *a, const struct rt_arrival_spec *spec, uint64_t seed,
                    double rate_scale);
/* The next arrival, the first at 0; INT64_MAX beyond 292 years. */
int64_t rt_starts_next(struct rt_starts *a);

/* ---- synth_plan.c: a unit of traffic: one request, or the turns of a session.
 *
 * Block j of a row's prompt is named
 *     codes given:     codes[j], or own_base + the rest of it when its bit RT_CODE_OWN is set
 *     else:            shared_base + j for j < shared_blocks, own_base + j - shared_blocks beyond
 */
#define RT_CODE_OWN      (UINT64_C(1) << 63)
#define RT_SYNTH_MAX_IDS (UINT32_C(1) << 24) /* block names of one prompt */

struct rt_plan_row {
    int64_t offset_ns; /* from the unit's start */
    int64_t prompt_tokens, output_tokens;
    int64_t think_ns; /* -1: not given */
    int64_t deadline_ns;
    uint32_t class_name, model_name, tenant_name;
    uint32_t session; /* of the unit's sessions, from 1; 0 = none */
    int32_t priority;
    const uint64_t *codes; /* of the blocks, or NULL; lives as long as the producer */
    uint32_t id_count;
    int64_t named_tokens; /* as rt_request has it */
};
struct rt_unit {
    uint64_t number;  /* from 0, in order of start */
    int64_t start_ns; /* INT64_MAX: beyond 292 years */
    uint64_t shared_base, own_base;
    uint64_t shared_blocks;
    struct rt_plan_row *rows;
    uint32_t count, capacity, next; /* next: not answered yet */
};
void rt_unit_release(struct rt_unit *u);
/* Forgets the rows, keeps their memory. */
void rt_unit_reset(struct rt_unit *u);
/* A zeroed row behind the others (think_ns -1, no deadline), or NULL: memory is out. */
struct rt_plan_row *rt_unit_add(struct rt_unit *u);
void rt_unit_ids(const struct rt_unit *u, const struct rt_plan_row *row, uint64_t *out);

/* ---- synth_model.c and synth_like.c make units. */
struct rt_units {
    const struct rt_units_ops *ops;
    uint32_t block_tokens; /* what an id names; 0 = no ids */
    int64_t skip_ns;       /* rows before this are thrown away, the others move back by it */
    bool endless;          /* units are made as long as rows are asked for; else until their rows
                              are as many, and every unit is answered whole */
};
struct rt_units_ops {
    /* Fills the unit, which was reset; starts never go back. */
    bool (*next)(struct rt_units *u, struct rt_unit *out, struct rt_err *err);
    const char *(*name)(const struct rt_units *u, uint32_t name);
    void (*free)(struct rt_units *u);
};
bool rt_model_new(const struct rt_workload_spec *w, struct rt_units **out,
                  struct rt_err *err) RT_MUST_USE;
bool rt_like_new(const struct rt_workload_spec *w, struct rt_units **out,
                 struct rt_err *err) RT_MUST_USE;

/* ---- synth_source.c */
bool rt_synth_source_new(const struct rt_workload_spec *w, struct rt_source **out,
                         struct rt_err *err) RT_MUST_USE;

#endif
