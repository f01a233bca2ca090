/* tally.c: how often each value came, exactly; what surveys of traces derive from such counts.
 *
 * Open addressing by a mixed hash, at most half full; counting ends with a sort in place, after
 * which percentiles are a walk. Lengths of requests have as many distinct values as a context has
 * tokens, so memory does not follow the trace's length. O(1) a value, O(distinct log distinct) the
 * sort. */
#include "workload_internal.h"

#include <math.h>
#include <stdlib.h>

#define FIRST_SIZE 1024u

void rt_tally_release(struct rt_tally *t)
{
    free(t->entries);
    *t = (struct rt_tally){.entries = NULL};
}

static struct rt_tally_entry *place_of(struct rt_tally_entry *entries, size_t size, int64_t value)
{
    size_t i = (size_t)rt_mix_ids((uint64_t)value, 0) & (size - 1);
    while (entries[i].count != 0 && entries[i].value != value)
        i = (i + 1) & (size - 1);
    return &entries[i];
}

static bool grow(struct rt_tally *t, struct rt_err *err)
{
    size_t size = t->size == 0 ? FIRST_SIZE : t->size * 2;
    struct rt_tally_entry *entries = calloc(size, sizeof *entries);
    if (entries == NULL)
        return rt_fail_nomem(err, "statistics of a trace");
    for (size_t i = 0; i < t->size; i++) {
        if (t->entries[i].count != 0)
            *place_of(entries, size, t->entries[i].value) = t->entries[i];
    }
    free(t->entries);
    t->entries = entries;
    t->size = size;
    return true;
}

bool rt_tally_add(struct rt_tally *t, int64_t value, struct rt_err *err)
{
    if (t->used >= t->size / 2 && !grow(t, err))
        return false;
    struct rt_tally_entry *e = place_of(t->entries, t->size, value);
    t->used += e->count == 0;
    e->value = value;
    e->count++;
    t->total++;
    return true;
}

static int by_value(const void *a, const void *b)
{
    const struct rt_tally_entry *x = a, *y = b;
    return (x->value > y->value) - (x->value < y->value);
}

void rt_tally_sort(struct rt_tally *t)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->size; i++) {
        if (t->entries[i].count != 0)
            t->entries[kept++] = t->entries[i];
    }
    if (kept > 0)
        qsort(t->entries, kept, sizeof *t->entries, by_value);
}

uint64_t rt_nearest_rank(uint64_t n, unsigned percent)
{
    /* ceil(percent / 100 * n) in integers: 0.9 * 10 must be 9. */
    uint64_t rank = n / 100 * percent + (n % 100 * percent + 99) / 100;
    return rank > 0 ? rank : 1;
}

int64_t rt_tally_percentile(const struct rt_tally *t, unsigned percent)
{
    uint64_t rank = rt_nearest_rank(t->total, percent), seen = 0;
    size_t i = 0;
    for (; i + 1 < t->used; i++) {
        seen += t->entries[i].count;
        if (seen >= rank)
            break;
    }
    return t->entries[i].value;
}

/* sqrt(n * sum of squares - span^2) / span: the population's standard deviation over the mean, with
 * the difference exact wherever 128 bits hold it. */
double rt_gap_variation(rt_u128 squares, uint64_t gaps, int64_t span)
{
    rt_u128 product, square = (rt_u128)span * (rt_u128)span;
    double left;
    if (!__builtin_mul_overflow((rt_u128)gaps, squares, &product))
        left = (double)(product - square);
    else
        left = (double)gaps * (double)squares - (double)square;
    return sqrt(left > 0 ? left : 0) / (double)span;
}
