/* What routers and admission control ask of a rank, without changing it. */
#include "replica_internal.h"

int64_t rank_cached_tokens(struct rank *r, const struct rt_request *req, int64_t now_ns)
{
    struct rt_err ignored = {0}; /* memory: the next call meets it again */
    if (!r->kv || req->hash_count == 0)
        return 0;
    (void)coast_commit(r, now_ns, &ignored);
    const struct seq like = {
        .id = req->id,
        .prompt = req->prompt_tokens,
        .named = req->prompt_tokens,
        .hash_ids = (uint64_t *)req->hash_ids, /* only read */
        .hash_count = req->hash_count,
        .run = RT_SLAB_NONE,
    };
    struct kv_prefix found = kv_find_prefix(r, &like);
    return (found.blocks + found.offloaded) * r->engine->block_size;
}

int64_t rank_backlog_tokens(struct rank *r, int64_t now_ns)
{
    struct rt_err ignored = {0};
    int64_t tokens = 0;
    (void)coast_commit(r, now_ns, &ignored);
    for (uint32_t i = r->waiting.head; i != SEQ_NONE; i = seq_at(r, i)->next) {
        const struct seq *q = seq_at(r, i);
        if (q->state == SEQ_WAITING)
            tokens += q->prompt + q->produced - (q->swapped > 0 ? q->swapped_kv : 0);
    }
    if (r->partial != SEQ_NONE)
        tokens += seq_at(r, r->partial)->target - seq_at(r, r->partial)->kv;
    return tokens;
}
