/* A source over requests in an array: `next` answers them as they come due, nothing is held back.
 */
#include "array_source.h"

#include <stdlib.h>

struct array_source {
    struct rt_source base;
    const struct array_load *load;
    size_t next;
    struct rt_source_stats stats;
};

static enum rt_pull array_next(struct rt_source *base, int64_t now_ns, struct rt_request *out,
                               int64_t *not_before_ns, struct rt_err *err)
{
    struct array_source *s = (struct array_source *)base;
    (void)err;
    if (s->next == s->load->count)
        return RT_PULL_END;
    const struct rt_request *request = &s->load->requests[s->next];
    if (request->arrival_ns > now_ns) {
        *not_before_ns = request->arrival_ns;
        return RT_PULL_LATER;
    }
    *out = *request;
    s->next++;
    s->stats.rows++;
    s->stats.rows_read++;
    s->stats.prompt_tokens += request->prompt_tokens;
    s->stats.output_tokens += request->output_tokens;
    return RT_PULL_REQUEST;
}

static const char *array_name(const struct rt_source *s, uint32_t name)
{
    (void)s;
    (void)name;
    return "";
}

static const struct rt_source_stats *array_stats(const struct rt_source *s)
{
    return &((const struct array_source *)s)->stats;
}

static void array_free(struct rt_source *s)
{
    free(s);
}

struct rt_source *array_source_new(const struct array_load *load)
{
    static const struct rt_source_ops ops = {array_next, NULL, array_name, array_stats, array_free};
    struct array_source *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->base.ops = &ops;
    s->load = load;
    s->stats.hash_block_tokens = load->hash_block_tokens;
    return &s->base;
}
