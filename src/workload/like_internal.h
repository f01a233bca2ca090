/* like_internal.h: a trace as units to resample (like_fit.c), for synth_like.c. */
#ifndef RT_LIKE_INTERNAL_H
#define RT_LIKE_INTERNAL_H

#include "synth_internal.h"

struct rt_like_row {
    int64_t arrival_ns, prompt_tokens, output_tokens, think_ns, deadline_ns;
    uint64_t place;    /* in the file */
    size_t first_code; /* in codes */
    uint32_t id_count;
    uint32_t class_name, model_name, tenant_name;
    uint32_t session; /* 0 = none; while reading, the number of its name; then from 1 in its unit */
    uint32_t unit;
    uint32_t prompt_rank, output_rank; /* in the sorted lengths */
    int32_t priority;
};
struct rt_like_unit { /* rows that share a session or block names, or one alone */
    size_t first_row; /* in rows, which are ordered by unit, then time */
    uint32_t row_count;
    int64_t start_ns, gap_ns; /* gap: from the start of the unit before */
    uint32_t sessions;
    uint64_t own_ids; /* different block names of its own */
};
struct rt_like_fit {
    struct rt_trace *trace; /* open, for its names */
    struct rt_like_row *rows;
    size_t row_count, row_capacity;
    struct rt_like_unit *units; /* by start */
    size_t unit_count;
    uint64_t *codes; /* of rows' blocks, see rt_plan_row */
    size_t code_count, code_capacity;
    uint64_t shared_ids;        /* block names that are kept: those below this */
    int64_t longest_ns;         /* from a unit's start to its last row */
    int64_t *prompts, *outputs; /* lengths sorted within each class, for interpolation */
    struct rt_like_range {
        uint32_t from, to;
    } * ranges; /* by class name: places in the two */
};
bool rt_like_fit(const struct rt_trace_ref *from, struct rt_like_fit *f,
                 struct rt_err *err) RT_MUST_USE;
void rt_like_fit_release(struct rt_like_fit *f);

/* ---- like_blocks.c: block names to codes: which are everybody's, which a unit's own. */
/* Joins rows that share a name of their own: join(a, b) on row places. Rows are in time order. */
struct rt_like_sets { /* union-find over rows */
    uint32_t *parent;
};
uint32_t rt_like_find(struct rt_like_sets *s, uint32_t row);
void rt_like_join(struct rt_like_sets *s, uint32_t a, uint32_t b);
struct rt_like_blocks;
bool rt_like_blocks_new(const struct rt_like_fit *f, struct rt_like_sets *sets,
                        struct rt_like_blocks **out, struct rt_err *err) RT_MUST_USE;
/* When rows are in units: codes instead of names. */
void rt_like_blocks_code(struct rt_like_blocks *b, struct rt_like_fit *f);
void rt_like_blocks_free(struct rt_like_blocks *b);

#endif
