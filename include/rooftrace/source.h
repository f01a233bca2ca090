/* workload/source.h: where requests come from, pulled one by one.
 *
 * The simulation asks `next(now)` and is answered one of four things; it tells `done(id, now)` what
 * left the system, so that closed loops and sessions can hold requests back until then. An
 * open-loop trace never answers RT_PULL_BLOCKED. Requests come in (arrival_ns, id) order. Sources
 * wrap sources (src/workload/load.c): each passes on what it does not care about. Cost: O(1)
 * amortised a request; memory does not grow with the trace. */
#ifndef RT_SOURCE_H
#define RT_SOURCE_H

#include "rooftrace/err.h"
#include "rooftrace/request.h"

struct rt_json_at;

enum rt_pull {
    RT_PULL_REQUEST, /* *out holds a request with arrival_ns <= now */
    RT_PULL_LATER,   /* nothing before *not_before_ns (> now) */
    RT_PULL_BLOCKED, /* nothing until something in flight is done */
    RT_PULL_END,     /* nothing ever again */
    RT_PULL_ERROR    /* *err says why; what was answered before stays valid */
};

/* What reading the trace met, for messages and table `run`. */
struct rt_source_stats {
    uint64_t rows;         /* requests answered so far, all copies */
    uint64_t zero_prompt;  /* of them, prompts of 0 tokens taken as 1 */
    uint64_t zero_output;  /* and outputs of 0 tokens taken as 1 */
    int64_t prompt_tokens; /* sums over `rows`, after that */
    int64_t output_tokens;
    uint64_t rows_read; /* rows of the file read so far (look-ahead and rows left out included), */
    uint64_t unsorted;  /* and those earlier than the row before; the first copy counts */
    uint32_t hash_block_tokens; /* prompt tokens that a hash id names; 0 = the format has none */
    const char *format; /* of the trace, when one is read: as named or recognised; or NULL */
    uint64_t failed;    /* rows read that the log calls failed, */
    uint64_t left_out;  /* and rows that were no requests or dropped; the first copy counts */
    uint64_t copy; /* of the trace that the request answered last belongs to, from 0 (repeat) */
    uint64_t context_cut, context_dropped; /* requests beyond max_context_tokens, so far */
};

struct rt_source;

struct rt_source_done {     /* what a source says about a request that left */
    bool ask_again;         /* `next` may answer otherwise than it did: ask at this instant */
    int64_t client_wait_ns; /* how long it waited in the client before its arrival */
};

struct rt_source_ops {
    enum rt_pull (*next)(struct rt_source *s, int64_t now_ns, struct rt_request *out,
                         int64_t *not_before_ns, struct rt_err *err);
    /* NULL: does not care */
    struct rt_source_done (*done)(struct rt_source *s, uint64_t id, int64_t now_ns);
    const char *(*name)(const struct rt_source *s, uint32_t name);
    const struct rt_source_stats *(*stats)(const struct rt_source *s);
    void (*free)(struct rt_source *s);
};

struct rt_source { /* embedded as first member by every kind of source */
    const struct rt_source_ops *ops;
};

/* session and hash_ids of *out stay valid until the next call. */
static inline enum rt_pull rt_source_next(struct rt_source *s, int64_t now_ns,
                                          struct rt_request *out, int64_t *not_before_ns,
                                          struct rt_err *err)
{
    return s->ops->next(s, now_ns, out, not_before_ns, err);
}

/* Once for every request that was answered and left, whatever its status. */
static inline struct rt_source_done rt_source_done(struct rt_source *s, uint64_t id, int64_t now_ns)
{
    if (s->ops->done)
        return s->ops->done(s, id, now_ns);
    return (struct rt_source_done){.ask_again = false, .client_wait_ns = 0};
}

/* Text of a class, model or tenant index; "" for RT_NO_NAME. Valid while the source lives. */
static inline const char *rt_source_name(const struct rt_source *s, uint32_t name)
{
    return s->ops->name(s, name);
}

static inline const struct rt_source_stats *rt_source_stats(const struct rt_source *s)
{
    return s->ops->stats(s);
}

static inline void rt_source_free(struct rt_source *s)
{
    if (s)
        s->ops->free(s);
}

#endif
