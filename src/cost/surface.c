/* Measured times as a function of their axes: log-log interpolation inside, the roofline outside.
 *
 * Knots are sorted by axes, outermost first, and need no grid: each value of an outer axis has its
 * own values of the next one. A place is looked up axis by axis: between the two neighbouring
 * values the logarithms of time are interpolated over the logarithm of the axis, so a power law
 * between two knots is exact, knots are, and between knots time is monotone along each axis.
 * Beyond the first or last value of an axis the time there is scaled by what the roofline says the
 * difference makes. logarithms are plain arithmetic, so that a step gives the same bits everywhere.
 * Failures: out of memory. O(2^axes log knots) a look-up. */
#include "op_internal.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- logarithms ------------------------------------------------------------------------------ */

#define LN_2 0.693147180559945309417

/* x = 2^e * m with m in [sqrt(1/2), sqrt(2)); ln m = 2 atanh((m-1)/(m+1)), nine terms: the argument
 * is at most 0.172, so what is left out is below 1e-16. */
double rt_log2(double x)
{
    uint64_t bits;
    assert(x > 0 && x < 1e300);
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffu) | UINT64_C(0x3ff0000000000000);
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 1.41421356237309505) {
        m *= 0.5;
        exponent += 1;
    }
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int i = 19; i >= 3; i -= 2)
        sum = (sum + 1.0 / i) * square;
    return (double)exponent + 2 * s * (1 + sum) / LN_2;
}

/* 2^y = 2^i * e^(f ln 2) with |f| <= 1/2: the series to the 14th power leaves 1e-18. */
double rt_exp2(double y)
{
    assert(y >= -1000 && y <= 1000);
    double whole = (double)(int)(y + (y < 0 ? -0.5 : 0.5)), f = (y - whole) * LN_2, sum = 1;
    for (int i = 14; i >= 1; i--)
        sum = 1 + f * sum / i;
    uint64_t bits = (uint64_t)(1023 + (int)whole) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

/* ---- knots ----------------------------------------------------------------------------------- */

struct rt_surface_knot {
    double at[RT_OP_MAX_AXES], log_at[RT_OP_MAX_AXES];
    double log_s;
};

/* Tokens held in front of a chunk may be none, and add to the chunk's own: a logarithm of half a
 * tile more is nearly straight on both ends. */
static double log_axis(enum rt_op_field field, double at)
{
    return rt_log2(field == RT_OPF_HELD ? at + RT_PREFILL_TILE : at);
}

static int compare_knots(const void *a, const void *b)
{
    const struct rt_surface_knot *x = a, *y = b;
    for (unsigned i = 0; i < RT_OP_MAX_AXES; i++)
        if (x->at[i] != y->at[i])
            return x->at[i] > y->at[i] ? 1 : -1;
    return (x->log_s > y->log_s) - (x->log_s < y->log_s);
}

/* Do they agree in the first so many axes? */
static bool agree(const struct rt_surface_knot *a, const struct rt_surface_knot *b, unsigned axes)
{
    for (unsigned i = 0; i < axes; i++)
        if (a->at[i] != b->at[i])
            return false;
    return true;
}

/* Repeats become one knot with their median. */
static void merge_repeats(struct rt_surface *s)
{
    size_t kept = 0;
    for (size_t i = 0, end; i < s->count; i = end) {
        for (end = i + 1; end < s->count && agree(&s->knots[i], &s->knots[end], RT_OP_MAX_AXES);)
            end++;
        size_t low = i + (end - i - 1) / 2, high = i + (end - i) / 2;
        double median = s->knots[low].log_s + (s->knots[high].log_s - s->knots[low].log_s) / 2;
        s->knots[kept] = s->knots[i];
        s->knots[kept++].log_s = median;
    }
    s->count = kept;
}

bool rt_surface_init(struct rt_surface *s, const struct rt_cost_inputs *in,
                     const struct rt_op_row *rows, size_t count, struct rt_err *err)
{
    *s = (struct rt_surface){.kind = &rt_op_kinds[rows[0].op], .count = count};
    rt_op_pricer_init(&s->pricer, &in->gpu, &in->nodes, &rows[0]);
    s->knots = calloc(count, sizeof *s->knots);
    if (s->knots == NULL)
        return rt_fail_nomem(err, "measured operators");
    for (size_t i = 0; i < count; i++) {
        for (unsigned a = 0; a < s->kind->axis_count; a++) {
            s->knots[i].at[a] = rows[i].value[s->kind->axes[a]];
            s->knots[i].log_at[a] = log_axis(s->kind->axes[a], s->knots[i].at[a]);
        }
        s->knots[i].log_s = rt_log2(rows[i].seconds);
    }
    qsort(s->knots, count, sizeof *s->knots, compare_knots);
    merge_repeats(s);
    return true;
}

void rt_surface_release(struct rt_surface *s)
{
    free(s->knots);
    *s = (struct rt_surface){0};
}

void rt_surface_rise(struct rt_surface *s)
{
    unsigned outer = s->kind->axis_count - 1;
    for (size_t i = 1; i < s->count; i++) {
        const struct rt_surface_knot *before = &s->knots[i - 1];
        if (agree(before, &s->knots[i], outer) && s->knots[i].log_s < before->log_s)
            s->knots[i].log_s = before->log_s;
    }
}

/* ---- looking up ------------------------------------------------------------------------------ */

struct lookup {
    const struct rt_surface *s;
    double value[RT_OPF_COUNT]; /* the place; outer axes hold the branch's own values */
    enum rt_origin source;
};

/* First knot in [from, end) whose axis is not below x. */
static size_t lower_bound(const struct rt_surface *s, size_t from, size_t end, unsigned axis,
                          double x)
{
    while (from < end) {
        size_t middle = from + (end - from) / 2;
        if (s->knots[middle].at[axis] < x)
            from = middle + 1;
        else
            end = middle;
    }
    return from;
}

/* The end of the knots in [from, end) that share the first one's axis. */
static size_t group_end(const struct rt_surface *s, size_t from, size_t end, unsigned axis)
{
    double x = s->knots[from].at[axis];
    while (from < end) {
        size_t middle = from + (end - from) / 2;
        if (s->knots[middle].at[axis] <= x)
            from = middle + 1;
        else
            end = middle;
    }
    return from;
}

static double look(struct lookup *l, size_t from, size_t end, unsigned axis);

/* The knots in [from, end) agree in this axis; look at the next one, as from there. */
static double branch(struct lookup *l, size_t from, size_t end, unsigned axis)
{
    if (axis + 1 == l->s->kind->axis_count)
        return l->s->knots[from].log_s;
    l->value[l->s->kind->axes[axis]] = l->s->knots[from].at[axis];
    return look(l, from, end, axis + 1);
}

static double inside(struct lookup *l, size_t from, size_t end, unsigned axis, double x)
{
    const struct rt_surface_knot *knots = l->s->knots;
    size_t high = lower_bound(l->s, from, end, axis, x);
    double above = branch(l, high, group_end(l->s, high, end, axis), axis);
    if (knots[high].at[axis] == x)
        return above;
    size_t low = lower_bound(l->s, from, high, axis, knots[high - 1].at[axis]);
    double below = branch(l, low, high, axis);
    double log_x = log_axis(l->s->kind->axes[axis], x);
    double share =
        (log_x - knots[low].log_at[axis]) / (knots[high].log_at[axis] - knots[low].log_at[axis]);
    if (l->source > RT_ORIGIN_INTERPOLATED)
        l->source = RT_ORIGIN_INTERPOLATED;
    return below + share * (above - below);
}

/* log2 of the seconds at the place, from the knots in [from, end) which agree in all axes before
 * this one. At most RT_OP_MAX_AXES deep. */
static double look(struct lookup *l, size_t from, size_t end, unsigned axis)
{
    enum rt_op_field field = l->s->kind->axes[axis];
    double inner[RT_OPF_COUNT], x = l->value[field];
    double first = l->s->knots[from].at[axis], last = l->s->knots[end - 1].at[axis];
    double near = x < first ? first : x > last ? last : x;

    memcpy(inner, l->value, sizeof inner);
    double log_s = inside(l, from, end, axis, near);
    memcpy(l->value, inner, sizeof inner);
    if (near == x)
        return log_s;
    l->source = RT_ORIGIN_SCALED;
    double here = rt_op_price(&l->s->pricer, inner);
    inner[field] = near;
    return log_s + rt_log2(here) - rt_log2(rt_op_price(&l->s->pricer, inner));
}

double rt_surface_at(const struct rt_surface *s, const double value[RT_OPF_COUNT],
                     enum rt_origin *source)
{
    struct lookup l = {.s = s, .source = RT_ORIGIN_MEASURED};
    memcpy(l.value, value, sizeof l.value);
    double log_s = look(&l, 0, s->count, 0);
    *source = l.source;
    return rt_exp2(fmin(fmax(log_s, -1000), 1000));
}

double rt_surface_first(const struct rt_surface *s, unsigned axis)
{
    return s->knots[0].at[axis];
}

double rt_surface_first_at(const struct rt_surface *s, const double value[RT_OPF_COUNT])
{
    unsigned outer = s->kind->axis_count - 1;
    size_t from = 0, end = s->count;
    for (unsigned axis = 0; axis < outer; axis++) {
        double x = value[s->kind->axes[axis]];
        from = lower_bound(s, from, end, axis, x);
        if (from == end || s->knots[from].at[axis] != x)
            return 1;
        end = group_end(s, from, end, axis);
    }
    return s->knots[from].at[outer];
}
