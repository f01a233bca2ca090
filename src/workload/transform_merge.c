/* transform_merge.c: several sources as one, in (arrival, id) order: copies of a trace that are
 * superposed, the parts of a mix.
 *
 *     input 0  row | ...  \
 *     input 1  row | ...   >  heap of the next row of each, by (arrival + shift, new id)
 *     input 2  row | ...  /
 *
 * Ids: id * inputs + place of the input, so they stay unique, and one input keeps its own. Names of
 * classes, models and tenants are interned anew, since each input counts its own. Hash ids:
 * first_tree + the input's own copy (repeat), modulo roots, is their tree (transform_rename.c), and
 * the part another level of it: ids of two parts never meet. Sessions: session~copy, session~part.
 * All inputs that have hash ids must have blocks of one size. Failure: that; times beyond 292
 * years, ids beyond 2^64, sums beyond 2^63, more than 65,535 names; what an input says, as soon as
 * its row is looked at. Cost: O(log inputs) a row; memory: the inputs. */
#include "transform_internal.h"

#include "rooftrace/heap.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

struct input {
    struct rt_merge_input as;
    struct rt_ahead ahead;
    uint64_t copy;     /* of its trace, of the row ahead */
    uint32_t *name_of; /* its name index -> ours + 1; 0: not seen yet */
    uint32_t name_capacity;
    struct rt_source_stats seen; /* its part of the sums below */
};

struct merge {
    struct rt_source base;
    struct input *inputs;
    uint32_t count;
    uint32_t given; /* input whose row was answered last, or NONE */
    struct rt_heap heap;
    struct rt_names names;
    struct rt_rename tree, part, copy_session, part_session;
    bool failed;
    struct rt_err failure;
    struct rt_source_stats stats;
};

/* Counters of an input that changed since they were added up. */
static void add_counters(struct merge *m, struct input *in)
{
    const struct rt_source_stats *now = rt_source_stats(in->as.source);
    struct rt_source_stats *sum = &m->stats, *seen = &in->seen;
    sum->zero_prompt += now->zero_prompt - seen->zero_prompt;
    sum->zero_output += now->zero_output - seen->zero_output;
    sum->rows_read += now->rows_read - seen->rows_read;
    sum->unsorted += now->unsorted - seen->unsorted;
    sum->failed += now->failed - seen->failed;
    sum->left_out += now->left_out - seen->left_out;
    sum->context_cut += now->context_cut - seen->context_cut;
    sum->context_dropped += now->context_dropped - seen->context_dropped;
    *seen = *now;
}

/* The next row of an input takes its place in the heap. */
static bool pull(struct merge *m, uint32_t i)
{
    struct input *in = &m->inputs[i];
    struct rt_ahead *a = &in->ahead;
    rt_ahead_pull(a, in->as.source);
    add_counters(m, in);
    if (a->failed) {
        m->failure = a->failure;
        return false;
    }
    if (!a->has)
        return true;
    in->copy = in->seen.copy;
    if (__builtin_add_overflow(a->row.arrival_ns, in->as.shift_ns, &a->row.arrival_ns))
        return rt_fail(&m->failure, RT_ETRACE, "superpose: an arrival lies beyond 292 years");
    if (__builtin_mul_overflow(a->row.id, m->count, &a->row.id) ||
        __builtin_add_overflow(a->row.id, i, &a->row.id))
        return rt_fail(&m->failure, RT_ETRACE, "expected ids below 2^64, merging goes beyond");
    rt_heap_set(&m->heap, i, a->row.arrival_ns, a->row.id);
    return true;
}

/* Room for that index in the map of an input's names. */
static bool reserve_name(struct input *in, uint32_t name)
{
    if (name < in->name_capacity)
        return true;
    uint32_t capacity = name + name / 2 + 16;
    uint32_t *map = realloc(in->name_of, capacity * sizeof *map);
    if (map == NULL)
        return false;
    memset(map + in->name_capacity, 0, (capacity - in->name_capacity) * sizeof *map);
    in->name_of = map;
    in->name_capacity = capacity;
    return true;
}

static bool intern(struct merge *m, struct input *in, uint32_t *name)
{
    uint32_t own = 0;
    if (*name == RT_NO_NAME)
        return true;
    if (!reserve_name(in, *name))
        return rt_fail_nomem(&m->failure, "names");
    if (in->name_of[*name] == 0) {
        const char *text = rt_source_name(in->as.source, *name);
        if (!rt_names_add(&m->names, text, strlen(text), &own, &m->failure))
            return false;
        in->name_of[*name] = own + 1;
    }
    *name = in->name_of[*name] - 1;
    return true;
}

static bool rename_row(struct merge *m, struct input *in, struct rt_request *row)
{
    const struct rt_merge_input *as = &in->as;
    const char *label = as->class_name;
    if (label != NULL &&
        !rt_names_add(&m->names, label, strlen(label), &row->class_name, &m->failure))
        return false;
    if ((label == NULL && !intern(m, in, &row->class_name)) || !intern(m, in, &row->model_name) ||
        !intern(m, in, &row->tenant_name))
        return false;
    rt_rename_session(&m->copy_session, as->copy, row);
    rt_rename_session(&m->part_session, as->part, row);
    uint64_t tree = (as->first_tree + in->copy) % as->roots;
    return (rt_rename_ids(&m->tree, tree, row) &&
            rt_rename_ids(&m->part, as->part == 0 ? 0 : UINT64_MAX - as->part, row)) ||
           rt_fail_nomem(&m->failure, "hash ids");
}

/* The row that comes next is at the heap's top afterwards. */
static bool look_ahead(struct merge *m)
{
    uint32_t given = m->given;
    m->given = NONE;
    return given == NONE || pull(m, given);
}

static enum rt_pull merge_next(struct rt_source *base, int64_t now_ns, struct rt_request *out,
                               int64_t *not_before_ns, struct rt_err *err)
{
    struct merge *m = (struct merge *)base;
    m->failed = m->failed || !look_ahead(m);
    const struct rt_heap_node *top = rt_heap_top(&m->heap);
    if (!m->failed && top == NULL)
        return RT_PULL_END;
    if (!m->failed && top->time > now_ns) {
        *not_before_ns = top->time;
        return RT_PULL_LATER;
    }
    if (!m->failed) {
        struct input *in = &m->inputs[top->item];
        *out = in->ahead.row;
        m->failed = !rename_row(m, in, out) || !rt_count_row(&m->stats, out, &m->failure);
        m->given = top->item;
        rt_heap_remove(&m->heap, top->item);
    }
    if (m->failed)
        *err = m->failure;
    return m->failed ? RT_PULL_ERROR : RT_PULL_REQUEST;
}

static const char *merge_name(const struct rt_source *base, uint32_t name)
{
    const struct rt_names *names = &((const struct merge *)base)->names;
    return name < names->count ? names->by_index[name] : "";
}

static const struct rt_source_stats *merge_stats(const struct rt_source *base)
{
    return &((const struct merge *)base)->stats;
}

static void merge_free(struct rt_source *base)
{
    struct merge *m = (struct merge *)base;
    for (uint32_t i = 0; i < m->count; i++) {
        rt_source_free(m->inputs[i].as.source);
        free(m->inputs[i].name_of);
    }
    rt_rename_release(&m->tree);
    rt_rename_release(&m->part);
    rt_names_release(&m->names);
    rt_heap_release(&m->heap);
    free(m->inputs);
    free(m);
}

static const struct rt_source_ops ops = {
    .next = merge_next, .name = merge_name, .stats = merge_stats, .free = merge_free};

/* One size of blocks, and one format unless they differ. */
static bool agree(struct merge *m, struct rt_err *err)
{
    m->stats.format = rt_source_stats(m->inputs[0].as.source)->format;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct rt_source_stats *s = rt_source_stats(m->inputs[i].as.source);
        uint32_t block = s->hash_block_tokens, *all = &m->stats.hash_block_tokens;
        if (block != 0 && *all != 0 && block != *all)
            return rt_fail(err, RT_ECONFIG,
                           "workload.mix: expected hash ids of one block size, read %" PRIu32
                           " and %" PRIu32 " tokens (block_size of a part without ids changes its)",
                           *all, block);
        *all = block != 0 ? block : *all;
        if (s->format == NULL || m->stats.format == NULL || strcmp(s->format, m->stats.format) != 0)
            m->stats.format = NULL;
    }
    return true;
}

static bool set_up(struct merge *m, struct rt_err *err)
{
    if (!rt_names_init(&m->names, RT_TRACE_MAX_NAMES, err))
        return false;
    if (!rt_heap_reserve(&m->heap, m->count))
        return rt_fail_nomem(err, "merged traces");
    if (!agree(m, err))
        return false;
    for (uint32_t i = 0; i < m->count && !m->failed; i++)
        m->failed = !pull(m, i);
    if (m->failed)
        *err = m->failure;
    return !m->failed;
}

bool rt_merge_new(const struct rt_merge_input *inputs, uint32_t count, struct rt_source **out,
                  struct rt_err *err)
{
    struct merge *m = calloc(1, sizeof *m);
    struct input *of = calloc(count, sizeof *of);
    if (m == NULL || of == NULL) {
        for (uint32_t i = 0; i < count; i++)
            rt_source_free(inputs[i].source);
        free(m);
        free(of);
        return rt_fail_nomem(err, "merged traces");
    }
    m->base.ops = &ops;
    m->inputs = of;
    m->count = count;
    m->given = NONE;
    rt_heap_init(&m->heap);
    for (uint32_t i = 0; i < count; i++)
        of[i].as = inputs[i];
    if (!set_up(m, err)) {
        merge_free(&m->base);
        return false;
    }
    *out = &m->base;
    return true;
}
