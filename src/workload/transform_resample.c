/* transform_resample.c: n of N rows, drawn with replacement, in the order of time.
 *
 * Each draw is a row of the wrapped source, every one as likely as any other, with everything it
 * has: time, lengths, class, hash ids. Drawing in order needs no memory: the k-th least of n
 * uniform numbers on [0, 1) follows from the one before,
 *
 *     1 - U(k+1) = (1 - U(k)) * V^(1 / (n - k)),   V uniform on (0, 1]
 *
 * (Devroye, Non-Uniform Random Variate Generation, 1986, V.3.2), and row floor(U N) is answered. So
 * how often a row comes is multinomial. Ids count the draws from 0. A row drawn again is a request
 * of its own: the j-th repetition of a turn belongs to session~j. Failure: what the wrapped source
 * says; fewer rows than were counted. O(1) a draw and a row; no memory. */
#include "transform_internal.h"

#include <math.h>
#include <stdlib.h>

struct resample {
    struct rt_source base;
    struct rt_source *inner; /* owned */
    struct rt_resample_size size;
    struct rt_rng rng;
    double above;          /* 1 - U of the draw made last */
    uint64_t drawn;        /* draws made */
    uint64_t read;         /* rows of the wrapped source read */
    uint64_t repeated;     /* how often the row was answered already */
    struct rt_request row; /* the one read last, as it came */
    struct rt_rename rename;
    struct rt_ahead ahead;
    struct rt_source_stats stats;
};

/* The row of the next draw, from 0. */
static uint64_t draw(struct resample *s)
{
    double v = 1 - rt_rng_unit(&s->rng); /* (0, 1] */
    s->above *= exp(log(v) / (double)(s->size.draws - s->drawn));
    uint64_t row = (uint64_t)((1 - s->above) * (double)s->size.rows);
    return row < s->size.rows ? row : s->size.rows - 1;
}

/* Reads on to that row. */
static bool read_to(struct resample *s, uint64_t row)
{
    struct rt_ahead *a = &s->ahead;
    s->repeated = row < s->read ? s->repeated + 1 : 0;
    while (s->read <= row) {
        rt_ahead_pull(a, s->inner);
        if (a->ended) {
            a->failed = true;
            (void)rt_fail(&a->failure, RT_ETRACE,
                          "resample: the file changed while it was read again");
        }
        if (a->failed)
            return false;
        s->row = a->row;
        s->read++;
    }
    return true;
}

static void pull(struct resample *s)
{
    struct rt_ahead *a = &s->ahead;
    struct rt_source_stats own = s->stats;
    if (s->drawn == s->size.draws) {
        a->ended = true;
        return;
    }
    a->has = false;
    if (!read_to(s, draw(s)))
        return;
    a->row = s->row;
    a->row.id = s->drawn++;
    rt_rename_session(&s->rename, s->repeated, &a->row);
    s->stats = *rt_source_stats(s->inner);
    s->stats.rows = own.rows;
    s->stats.prompt_tokens = own.prompt_tokens;
    s->stats.output_tokens = own.output_tokens;
    a->has = rt_count_row(&s->stats, &a->row, &a->failure);
    a->failed = !a->has;
}

static enum rt_pull resample_next(struct rt_source *base, int64_t now_ns, struct rt_request *out,
                                  int64_t *not_before_ns, struct rt_err *err)
{
    struct resample *s = (struct resample *)base;
    if (!s->ahead.has && !s->ahead.ended && !s->ahead.failed)
        pull(s);
    return rt_ahead_answer(&s->ahead, now_ns, out, not_before_ns, err);
}

static const char *resample_name(const struct rt_source *base, uint32_t name)
{
    return rt_source_name(((const struct resample *)base)->inner, name);
}

static const struct rt_source_stats *resample_stats(const struct rt_source *base)
{
    return &((const struct resample *)base)->stats;
}

static void resample_free(struct rt_source *base)
{
    struct resample *s = (struct resample *)base;
    rt_rename_release(&s->rename);
    rt_source_free(s->inner);
    free(s);
}

static const struct rt_source_ops ops = {
    .next = resample_next, .name = resample_name, .stats = resample_stats, .free = resample_free};

bool rt_resample_new(struct rt_source *inner, struct rt_resample_size size,
                     const struct rt_rng *rng, struct rt_source **out, struct rt_err *err)
{
    struct resample *s = calloc(1, sizeof *s);
    if (s == NULL) {
        rt_source_free(inner);
        return rt_fail_nomem(err, "resample");
    }
    s->base.ops = &ops;
    s->inner = inner;
    s->size = size;
    s->rng = *rng;
    s->above = 1;
    s->stats = *rt_source_stats(inner);
    *out = &s->base;
    return true;
}
