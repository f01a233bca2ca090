/* transform_internal.h: the sources that change what a trace says, and what they are made of.
 *
 *     trace, synthetic, or merged parts (workload.mix)
 *       -> merge      copies: superpose, shifts, hash roots, class labels     transform_merge.c
 *       -> resample   rows drawn with replacement                             transform_resample.c
 *       -> rows       one row at a time: keep, gaps, lengths, context         transform_rows.c
 *
 * transform_open.c puts them together. All stand below the load: they pull the wrapped source ahead
 * of its times, by one row, and no source below them waits for answers (`done`). */
#ifndef RT_TRANSFORM_INTERNAL_H
#define RT_TRANSFORM_INTERNAL_H

#include "rooftrace/rng.h"
#include "rooftrace/transform.h"
#include "workload_internal.h"

/* A row that was pulled ahead of its time. */
struct rt_ahead {
    struct rt_request row;
    bool has, ended, failed;
    struct rt_err failure;
};
/* Answers the row when it is due; `pull` has filled *a or set ended or failed. */
enum rt_pull rt_ahead_answer(struct rt_ahead *a, int64_t now_ns, struct rt_request *out,
                             int64_t *not_before_ns, struct rt_err *err);
/* The next row of the source whatever its time; else ended or failed. */
void rt_ahead_pull(struct rt_ahead *a, struct rt_source *from);

/* Rows and tokens that leave a source. false: the sums are beyond 2^63. */
bool rt_count_row(struct rt_source_stats *stats, const struct rt_request *row,
                  struct rt_err *err) RT_MUST_USE;

/* A number in [0, 1) from 64 random bits. */
static inline double rt_unit_of(uint64_t bits)
{
    return (double)(bits >> 11) * 0x1p-53;
}

/* ---- transform_length.c */
enum rt_verdict { RT_ROW_KEEP, RT_ROW_DROP, RT_ROW_FAIL };
/* Scales, caps and the context limit. *cut: the context limit shortened the row. */
enum rt_verdict rt_length_apply(const struct rt_transform_spec *t, uint32_t block_tokens,
                                struct rt_request *row, bool *cut, struct rt_err *err);

/* ---- transform_rename.c: copies that share nothing. */
struct rt_rename {
    uint64_t *ids; /* owned; those of the row renamed last */
    uint32_t capacity;
    char session[RT_TEXT_MAX_BYTES + 128];
};
void rt_rename_release(struct rt_rename *n);
/* Hash ids of another tree: the same in all rows of the tree, different in all others. tree 0:
 * unchanged. false: out of memory. */
bool rt_rename_ids(struct rt_rename *n, uint64_t tree, struct rt_request *row) RT_MUST_USE;
/* session -> session~copy; copy 0: unchanged. */
void rt_rename_session(struct rt_rename *n, uint64_t copy, struct rt_request *row);

/* ---- transform_merge.c */
struct rt_merge_input {
    struct rt_source *source; /* taken */
    int64_t shift_ns;         /* added to its times */
    uint64_t copy;            /* of superpose; names its sessions */
    uint64_t part;            /* of the mix; names its sessions and hash ids */
    uint64_t first_tree;      /* its hash ids: tree first_tree + its own copy, modulo roots */
    uint64_t roots;           /* >= 1 */
    const char *class_name;   /* of all its requests; NULL: their own */
};
/* Takes the sources, on failure, too. Ids: id * inputs + place of the input. */
bool rt_merge_new(const struct rt_merge_input *inputs, uint32_t count, struct rt_source **out,
                  struct rt_err *err) RT_MUST_USE;

/* ---- transform_resample.c: `draws` of the `rows` that the wrapped source gives. Takes it. */
struct rt_resample_size {
    uint64_t rows, draws;
};
bool rt_resample_new(struct rt_source *inner, struct rt_resample_size size,
                     const struct rt_rng *rng, struct rt_source **out,
                     struct rt_err *err) RT_MUST_USE;

/* ---- transform_rows.c. Takes the source, on failure, too. */
struct rt_rows_spec {
    const struct rt_transform_spec *transform; /* copied; NULL: the head only */
    uint64_t head;                             /* rows at most */
    double rate;                               /* times are divided by it */
    uint64_t seed, stream;
};
bool rt_rows_new(struct rt_source *inner, const struct rt_rows_spec *spec, struct rt_source **out,
                 struct rt_err *err) RT_MUST_USE;

#endif
