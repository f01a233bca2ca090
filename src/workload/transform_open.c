/* transform_open.c: the requests of a section `workload`, before its load shapes them.
 *
 *     base      a trace | synthetic | the parts of the mix, merged, their first max_requests,
 *               rate_scale
 *     copies    superpose and prefix_roots: the base several times, merged
 *     sample    resample: the copies are read once to count them, then again
 *     rows      keep_share, max_gap_s, lengths, context
 *
 * Each part of a mix is such a chain itself; stages that nothing asks for are left out. Opened
 * several times, a file must be one that can be: a pipe is an error. Streams of random numbers: the
 * section's are 0, those of part k are k + 1. Failure: RT_ECONFIG, what opening the files says.
 * Memory: one sort window (7 to 32 MiB) for each open file; it does not grow with the traces. */
#include "synth_internal.h"
#include "transform_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct level { /* a chain that is opened */
    const struct rt_workload_spec *spec;
    const struct rt_trace_table *table; /* of its trace, or NULL */
    uint64_t seed;                      /* the section's */
    uint64_t stream;                    /* 0; part k: k + 1 */
    uint64_t passes;                    /* how often its files are opened in all */
};

static bool open_chain(const struct level *l, struct rt_source **out, struct rt_err *err);

/* The spec as the sources below see it: with the section's seed. Shallow. */
static struct rt_workload_spec resolved(const struct level *l)
{
    struct rt_workload_spec w = *l->spec;
    w.seed = l->seed;
    return w;
}

static bool open_trace(const struct level *l, struct rt_source **out, struct rt_err *err)
{
    struct rt_workload_spec w = resolved(l);
    struct rt_trace *trace;
    struct rt_trace_options options = rt_workload_trace_options(&w);
    if (!(l->table != NULL ? rt_trace_open_table(l->table, &trace, err)
                           : rt_trace_open_with(w.trace, &options, &trace, err)))
        return false;
    bool ok = l->passes == 1 || rt_trace_can_rewind(trace);
    if (!ok)
        (void)rt_fail(err, RT_ECONFIG,
                      "%s: expected a file that can be read %" PRIu64
                      " times for superpose and resample, read a pipe",
                      w.trace, l->passes);
    if (ok && rt_trace_source_new(trace, &w, l->stream, out, err))
        return true;
    rt_trace_free(trace);
    return false;
}

/* Parts of one file have its hash ids and sessions in common; all others are kept apart. */
static uint64_t first_part_of(const struct rt_workload_spec *w, uint32_t part)
{
    const char *path = w->mix[part].workload.trace;
    for (uint32_t i = 0; path != NULL && i < part; i++)
        if (w->mix[i].workload.trace != NULL && strcmp(w->mix[i].workload.trace, path) == 0)
            return i;
    return part;
}

static void free_inputs(const struct rt_merge_input *inputs, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        rt_source_free(inputs[i].source);
}

static bool open_mix(const struct level *l, struct rt_source **out, struct rt_err *err)
{
    const struct rt_workload_spec *w = l->spec;
    struct rt_merge_input inputs[RT_MAX_MIX] = {{.source = NULL}};
    for (uint32_t i = 0; i < w->mix_count; i++) {
        const struct rt_mix_part *part = &w->mix[i];
        struct level below = {&part->workload, NULL, l->seed, i + 1, l->passes};
        inputs[i] = (struct rt_merge_input){.shift_ns = llrint(part->start_s * 1e9),
                                            .part = first_part_of(w, i),
                                            .roots = 1,
                                            .class_name = part->class_name};
        if (!rt_workload_check(&part->workload, err) ||
            !open_chain(&below, &inputs[i].source, err)) {
            free_inputs(inputs, i);
            return false;
        }
    }
    struct rt_rows_spec head = {.head = w->max_requests, .rate = w->rate_scale, .seed = l->seed};
    return rt_merge_new(inputs, w->mix_count, out, err) &&
           ((w->max_requests == UINT64_MAX && w->rate_scale == 1) ||
            rt_rows_new(*out, &head, out, err));
}

static bool open_base(const struct level *l, struct rt_source **out, struct rt_err *err)
{
    if (l->spec->mix_count > 0)
        return open_mix(l, out, err);
    if (l->spec->synthetic.requests == 0)
        return open_trace(l, out, err);
    struct rt_workload_spec w = resolved(l);
    return rt_synth_source_new(&w, out, err);
}

static bool open_copies(const struct level *l, struct rt_source **out, struct rt_err *err)
{
    const struct rt_transform_spec *t = &l->spec->transform;
    struct rt_merge_input inputs[RT_MAX_SUPERPOSE] = {{.source = NULL}};
    uint32_t copies = (uint32_t)t->copies;
    if (copies == 1 && t->prefix_roots == 1)
        return open_base(l, out, err);
    for (uint32_t i = 0; i < copies; i++) {
        double shift_ns = (double)i * t->shift_s * 1e9;
        inputs[i] =
            (struct rt_merge_input){.shift_ns = shift_ns >= 0x1p63 ? INT64_MAX : llrint(shift_ns),
                                    .copy = i,
                                    .first_tree = i * l->spec->repeat,
                                    .roots = (uint64_t)t->prefix_roots};
        if (!open_base(l, &inputs[i].source, err)) {
            free_inputs(inputs, i);
            return false;
        }
    }
    return rt_merge_new(inputs, copies, out, err);
}

/* How many requests the source gives; frees it. */
static bool count_rows(struct rt_source *s, uint64_t *rows, struct rt_err *err)
{
    struct rt_request row;
    int64_t never;
    enum rt_pull answer;
    *rows = 0;
    while ((answer = rt_source_next(s, INT64_MAX, &row, &never, err)) == RT_PULL_REQUEST)
        ++*rows;
    rt_source_free(s);
    return answer == RT_PULL_END;
}

static bool open_sample(const struct level *l, struct rt_source **out, struct rt_err *err)
{
    struct rt_resample_size size = {.draws = (uint64_t)l->spec->transform.resample};
    struct rt_source *first;
    struct rt_rng rng;
    if (size.draws == 0)
        return open_copies(l, out, err);
    if (!open_copies(l, &first, err) || !count_rows(first, &size.rows, err) ||
        !open_copies(l, out, err))
        return false;
    size.draws = size.rows > 0 ? size.draws : 0;
    rt_rng_init(&rng, l->seed, RT_RNG_RESAMPLE, l->stream);
    return rt_resample_new(*out, size, &rng, out, err);
}

static bool changes_rows(const struct rt_transform_spec *t)
{
    return t->keep_share != 1 || t->max_gap_s > 0 || t->prompt_scale != 1 || t->output_scale != 1 ||
           t->min_prompt_tokens > 1 || t->max_prompt_tokens < RT_MAX_REQUEST_TOKENS ||
           t->min_output_tokens > 1 || t->max_output_tokens < RT_MAX_REQUEST_TOKENS ||
           t->max_context_tokens > 0;
}

/* At most two deep: a part has no mix. */
static bool open_chain(const struct level *l, struct rt_source **out, struct rt_err *err)
{
    const struct rt_transform_spec *t = &l->spec->transform;
    struct level counted = *l;
    counted.passes *= (uint64_t)t->copies * (t->resample > 0 ? 2 : 1);
    struct rt_rows_spec rows = {
        .transform = t, .head = UINT64_MAX, .rate = 1, .seed = l->seed, .stream = l->stream};
    if (!open_sample(&counted, out, err))
        return false;
    return !changes_rows(t) || rt_rows_new(*out, &rows, out, err);
}

bool rt_transform_open(const struct rt_workload_spec *w, const struct rt_trace_table *table,
                       struct rt_source **out, struct rt_err *err)
{
    struct level l = {.spec = w, .table = table, .seed = w->seed, .stream = 0, .passes = 1};
    return open_chain(&l, out, err);
}
