/* The plain model of one serving engine, or of the data parallel ranks of one: how time passes.
 *
 * naive_run: sort by (arrival, id) -> loop { to the next instant; batches end; arrivals; fill }.
 * A group is a rank, or all ranks if they step together; a lane is one of the batches it can have
 * on their way through the stages of a pipeline, each with the sequences that decode in it. Without
 * a pipeline there is one. */
#include "support/naive_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct group {
    struct engine *engines;
    size_t count, stages;
    int64_t order[NAIVE_MAX_STAGES]; /* lanes: `flying` on their way, oldest first; then the others,
                                        the one that ended last first */
    size_t flying;
    bool looks;                       /* at this instant batches are formed */
    int64_t end_ns[NAIVE_MAX_STAGES]; /* of a lane's batch */
    int64_t entry_ns, last_end_ns;    /* the first stage is free; the batch in front ends */
};

struct world {
    const struct naive_params *p;
    struct engine *engines;
    size_t engine_count;
    struct group *groups;
    size_t group_count;
    struct seq *seqs;
    struct seq **future; /* accepted ones in order */
    size_t future_count, future_next;
};

/* As many steps of the draft model as drafts: the mean of the first and the last, each. */
static double draft_s(const struct engine *e, const struct naive_step *s)
{
    double sum = 0;
    if (!e->p->draft_model)
        return (double)e->p->drafts * e->p->draft_s_per_token;
    for (int last = 0; last < 2; last++) {
        int64_t held = s->decode_held + (last ? (e->p->drafts - 1) * s->decodes : 0);
        const double *b = e->p->draft_cost_s;
        double c = b[0] + b[1] * (double)s->decodes;
        c = c + b[2] * (double)held;
        sum = sum + (c + b[4] * (double)s->decodes);
    }
    return (double)e->p->drafts * 0.5 * sum;
}

/* Rule 5: doubles in this order, no fused multiply-add, half to even. */
static int64_t duration_ns(const struct engine *e, const struct naive_step *s, int64_t moved)
{
    const double *b = e->p->cost_s;
    double c = b[0] + b[1] * (double)s->computed;
    c = c + b[2] * (double)s->held;
    c = c + b[3] * (double)s->area;
    if (s->decodes > 0)
        c = c + draft_s(e, s);
    if (moved > 0)
        c = c + (double)moved * e->p->block_bytes / e->p->pcie_bytes_per_s;
    c = c + b[4] * (double)s->sequences;
    int64_t ns = (int64_t)nearbyint(c * 1e9);
    naive_need(ns >= 0, "negative step time");
    return ns;
}

static struct naive_step measure(const struct engine *e, const struct batch *b, int64_t start_ns)
{
    struct naive_step s = {
        .start_ns = start_ns, .rank = e->number, .kv_used = b->kv_used, .queue = b->queue};
    s.sequences = (int64_t)b->count;
    s.emitters = (int64_t)b->emitter_count;
    for (size_t i = 0; i < b->count; i++) {
        const struct entry *x = &b->entries[i];
        s.computed += x->fresh;
        if (!x->prefill)
            s.samples += x->fresh;
        else if (x->held + x->fresh == x->q->target)
            s.samples++;
    }
    for (size_t i = 0; i < b->count; i++) {
        int64_t q = b->entries[i].fresh, k = b->entries[i].held;
        s.held += k;
        if (!b->entries[i].prefill) {
            s.decodes++;
            s.decode_held += k;
            continue;
        }
        s.prefill_tokens += q;
        s.area += q * (2 * k + q + 1) / 2;
        s.tiles2 += (q + 63) / 64 * (2 * k + q + 64);
        s.longest = q > s.longest ? q : s.longest;
    }
    s.end_ns = s.start_ns + duration_ns(e, &s, b->moved);
    return s;
}

static void record_token(struct engine *e, struct seq *q, int64_t now)
{
    struct naive_result *out = e->out;
    int64_t gap = q->produced == 1 ? -1 : now - q->last_token_ns;
    q->last_token_ns = now;
    q->r->max_gap_ns = gap > q->r->max_gap_ns ? gap : q->r->max_gap_ns;
    out->tokens =
        naive_grown(out->tokens, &out->token_capacity, out->token_count + 1, sizeof *out->tokens);
    out->tokens[out->token_count++] = (struct naive_token){q->id, now, gap};
}

static void finish(struct engine *e, struct seq *q, int64_t now)
{
    q->r->finish_ns = now;
    size_t place = naive_list_find(&e->running, q);
    if (place < e->running.count) {
        naive_need(q->kv >= q->prompt + q->output - 1 && q->kv <= q->limit, "tokens not conserved");
        naive_list_remove(&e->running, place);
    } else { /* preempted while its last token was in flight */
        naive_list_remove(&e->waiting, naive_list_find(&e->waiting, q));
    }
    naive_release_blocks(e, q);
}

/* The tokens of the batch appear. */
static void complete(struct engine *e, const struct batch *b, int64_t now)
{
    for (size_t i = 0; i < b->emitter_count; i++) {
        struct seq *q = b->emitters[i];
        if (q->produced == q->output)
            continue; /* surplus step of a finished request */
        q->produced++;
        if (q->produced == 1)
            q->r->first_token_ns = now;
        record_token(e, q, now);
        if (q->produced == q->output)
            finish(e, q, now);
    }
}

static void begin_aways(const struct list *l, const struct batch *b, int64_t now)
{
    for (size_t i = 0; i < l->count; i++)
        if (l->at[i]->evicted_by == b) {
            l->at[i]->evicted_by = NULL;
            l->at[i]->away_since_ns = now;
        }
}

/* A step begins: whom its batch pushed out is away from now on, even if the batch formed ahead took
 * it back; who is in it is back. */
static void record_aways(struct engine *e, const struct batch *b, int64_t now)
{
    struct naive_result *out = e->out;
    begin_aways(&e->waiting, b, now);
    begin_aways(&e->running, b, now);
    for (size_t i = 0; i < b->count; i++) {
        struct seq *q = b->entries[i].q;
        if (q->away_since_ns >= 0) {
            out->aways = naive_grown(out->aways, &out->away_capacity, out->away_count + 1,
                                     sizeof *out->aways);
            out->aways[out->away_count++] = (struct naive_away){q->id, q->away_since_ns, now};
        }
        q->away_since_ns = -1;
    }
}

static void record_step(struct engine *e, const struct batch *b, const struct naive_step *s)
{
    struct naive_result *out = e->out;
    out->steps =
        naive_grown(out->steps, &out->step_capacity, out->step_count + 1, sizeof *out->steps);
    out->steps[out->step_count++] = *s;
    e->steps++;
    out->kv_peak = s->kv_used > out->kv_peak ? s->kv_used : out->kv_peak;
    record_aways(e, b, s->start_ns);
    for (size_t i = 0; i < b->count; i++)
        if (b->entries[i].q->r->scheduled_ns < 0)
            b->entries[i].q->r->scheduled_ns = s->start_ns;
    for (size_t i = 0; i < b->emitter_count; i++)
        b->emitters[i]->token_ns = s->end_ns;
}

/* ---- the loop (rules 2, 5, 7, 8 and 17 to 22) --------------------------------------------------
 */

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Forms the batches of a lane that were not formed ahead. False: nothing to do on any rank. */
static bool form(struct group *g, int64_t lane, bool on_its_way, int64_t known_ns)
{
    bool any = false;
    for (size_t i = 0; i < g->count; i++) {
        struct engine *e = &g->engines[i];
        struct lane *l = &e->lanes[lane];
        struct batch *b = &l->batches[on_its_way ? l->turn ^ 1 : l->turn];
        e->lane = lane;
        e->known_ns = known_ns;
        if (!l->ready && !(l->ready = naive_schedule(e, b))) {
            begin_aways(&e->waiting, b, later(known_ns, g->entry_ns));
            begin_aways(&e->running, b, later(known_ns, g->entry_ns));
        }
        any = any || l->ready;
    }
    return any;
}

/* The batches of a lane set out: all take as long as the longest. */
static void set_out(struct group *g, int64_t lane, int64_t now)
{
    int64_t start = later(now, g->entry_ns), longest = 0;
    for (size_t i = 0; i < g->count; i++) {
        struct lane *l = &g->engines[i].lanes[lane];
        struct naive_step s = measure(&g->engines[i], &l->batches[l->turn], start);
        longest = later(longest, s.end_ns - start);
    }
    g->last_end_ns = g->end_ns[lane] = later(start + longest, g->last_end_ns);
    g->entry_ns = start + (longest + (int64_t)g->stages - 1) / (int64_t)g->stages;
    for (size_t i = 0; i < g->count; i++) {
        struct lane *l = &g->engines[i].lanes[lane];
        struct naive_step s = measure(&g->engines[i], &l->batches[l->turn], start);
        l->ready = false;
        s.own_ns = s.end_ns - start;
        s.end_ns = g->end_ns[lane];
        s.number =
            g->engines[i].steps * (uint64_t)later(1, g->engines[i].p->ranks) + g->engines[i].number;
        if (l->batches[l->turn].count > 0)
            record_step(&g->engines[i], &l->batches[l->turn], &s);
    }
}

/* Batches set out until as many are on their way as there are stages, or there is nothing to do. */
static void fill(struct group *g, int64_t now)
{
    while (g->flying < g->stages && form(g, g->order[g->flying], false, now)) {
        set_out(g, g->order[g->flying], now);
        g->flying++;
    }
    if (g->engines[0].p->run_ahead && g->flying > 0)
        form(g, g->order[0], true, g->end_ns[g->order[0]]);
}

static void end_oldest(struct group *g, int64_t now)
{
    int64_t lane = g->order[0];
    for (size_t i = 0; i < g->count; i++) {
        struct lane *l = &g->engines[i].lanes[lane];
        complete(&g->engines[i], &l->batches[l->turn], now);
        l->turn ^= 1;
    }
    g->flying--;
    memmove(g->order, g->order + 1, g->flying * sizeof g->order[0]);
    g->order[g->flying] = lane;
}

/* Rule 21. */
static struct engine *least_loaded(const struct world *w)
{
    struct engine *best = w->engines;
    for (size_t i = 1; i < w->engine_count; i++) {
        struct engine *e = &w->engines[i];
        if (4 * e->waiting.count + e->running.count < 4 * best->waiting.count + best->running.count)
            best = e;
    }
    return best;
}

static bool group_ends_at(const struct group *g, int64_t now)
{
    return g->flying > 0 && g->end_ns[g->order[0]] == now;
}

static int64_t next_instant(const struct world *w)
{
    int64_t next = INT64_MAX;
    if (w->future_next < w->future_count)
        next = w->future[w->future_next]->r->arrival_ns;
    for (size_t i = 0; i < w->group_count; i++) {
        const struct group *g = &w->groups[i];
        if (g->flying > 0 && g->end_ns[g->order[0]] < next)
            next = g->end_ns[g->order[0]];
    }
    return next;
}

/* A group with a batch on its way is not looked at before the oldest ends. */
static void run(struct world *w)
{
    int64_t now;
    while ((now = next_instant(w)) < INT64_MAX) {
        w->engines[0].out->end_ns = now;
        for (size_t i = 0; i < w->group_count; i++) {
            struct group *g = &w->groups[i];
            g->looks = g->flying == 0 || group_ends_at(g, now);
            if (group_ends_at(g, now))
                end_oldest(g, now);
        }
        while (w->future_next < w->future_count && w->future[w->future_next]->r->arrival_ns <= now)
            naive_queue_insert(least_loaded(w), w->future[w->future_next++]);
        for (size_t i = 0; i < w->group_count; i++)
            if (w->groups[i].looks)
                fill(&w->groups[i], now);
    }
}

/* ---- set-up ---------------------------------------------------------------------------------- */

/* Rule 4. */
static enum naive_status judge(const struct engine *e, const struct seq *q)
{
    enum naive_policy policy = e->p->policy;
    bool vllm_v0 = policy == NAIVE_PREFILL_FIRST || policy == NAIVE_SARATHI;
    int64_t margin = vllm_v0 ? (e->watermark > 1 ? e->watermark : 1) : 0;
    int64_t longest = 0;
    if (policy == NAIVE_STATIC || policy == NAIVE_CONTINUOUS)
        longest = q->prompt;
    else if (policy == NAIVE_PREFILL_FIRST)
        longest = q->prompt + q->output - 1;
    int64_t drafts = e->p->drafts * (policy == NAIVE_CHUNKED ? 2 : 1);
    if (naive_blocks_for(e, q->prompt + q->output + drafts) + margin > e->p->kv_blocks)
        return NAIVE_REJECTED_KV;
    return longest > e->p->max_batched_tokens ? NAIVE_REJECTED_PROMPT : NAIVE_OK;
}

static void take_request(struct world *w, struct naive_request *r, uint32_t id)
{
    const struct engine *e = &w->engines[0];
    struct seq *q = &w->seqs[id];
    q->r = r;
    q->id = id;
    q->prompt = r->prompt > 1 ? r->prompt : 1;
    q->output = r->output > 1 ? r->output : 1;
    q->known = q->prompt;
    q->away_since_ns = -1;
    q->token_ns = -1;
    q->limit = q->prompt + q->output - 1 + (e->p->surplus ? 1 : 0);
    r->scheduled_ns = r->first_token_ns = r->finish_ns = r->max_gap_ns = -1;
    r->key_ns = naive_queue_key(e->p, r, q);
    r->cached = 0;
    r->preemptions = 0;
    r->status = judge(e, q);
    if (r->status == NAIVE_OK)
        w->future[w->future_count++] = q;
}

static int by_arrival(const void *a, const void *b)
{
    const struct seq *x = *(struct seq *const *)a, *y = *(struct seq *const *)b;
    if (x->r->arrival_ns != y->r->arrival_ns)
        return x->r->arrival_ns < y->r->arrival_ns ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static void engine_init(struct engine *e, const struct naive_params *p, size_t requests,
                        struct naive_result *out)
{
    *e = (struct engine){.p = p, .out = out};
    if (p->policy == NAIVE_PREFILL_FIRST || p->policy == NAIVE_SARATHI)
        e->watermark = (int64_t)(p->watermark * (double)p->kv_blocks);
    naive_pool_init(&e->pool, p->kv_blocks);
    e->waiting.at = naive_zeroed(requests + 1, sizeof(struct seq *));
    e->running.at = naive_zeroed(requests + 1, sizeof(struct seq *));
    e->tier = naive_zeroed((size_t)p->offload_blocks + 1, sizeof *e->tier);
    e->hits = naive_zeroed((size_t)p->kv_blocks, sizeof *e->hits);
}

static void engine_release(struct engine *e)
{
    naive_need(e->running.count == 0 && e->waiting.count == 0, "engine is stuck");
    naive_need(e->pool.free_count == e->pool.count, "blocks leaked");
    naive_need(e->cpu_used == 0, "swapped blocks leaked");
    for (size_t l = 0; l < NAIVE_MAX_STAGES; l++)
        for (unsigned i = 0; i < 2; i++) {
            free(e->lanes[l].batches[i].entries);
            free(e->lanes[l].batches[i].emitters);
        }
    free(e->tier);
    free(e->hits);
    free(e->running.at);
    free(e->waiting.at);
    naive_pool_release(&e->pool);
}

static void check_params(const struct naive_params *params)
{
    naive_need(params->policy == NAIVE_CHUNKED || !(params->run_ahead || params->prefix_cache),
               "asynchronous scheduling and prefix cache need chunked");
    naive_need(params->drafts == 0 || !(params->prefix_cache || params->swap || params->surplus),
               "speculative decoding without prefix cache, swap and surplus");
    naive_need(params->run_ahead || !params->surplus, "surplus needs asynchronous scheduling");
    naive_need(params->stages <= NAIVE_MAX_STAGES, "too many stages");
}

static void make_groups(struct world *w)
{
    size_t each = w->p->together ? w->engine_count : 1;
    w->group_count = w->engine_count / each;
    w->groups = naive_zeroed(w->group_count, sizeof *w->groups);
    for (size_t i = 0; i < w->group_count; i++) {
        w->groups[i] = (struct group){.engines = w->engines + i * each,
                                      .count = each,
                                      .stages = w->p->stages > 1 ? (size_t)w->p->stages : 1};
        for (int64_t l = 0; l < NAIVE_MAX_STAGES; l++)
            w->groups[i].order[l] = l;
    }
}

void naive_run(const struct naive_params *params, struct naive_request *requests, size_t count,
               struct naive_result *out)
{
    struct world w = {.p = params};
    check_params(params);
    *out = (struct naive_result){0};
    w.engine_count = params->ranks > 1 ? (size_t)params->ranks : 1;
    w.engines = naive_zeroed(w.engine_count, sizeof *w.engines);
    for (size_t i = 0; i < w.engine_count; i++) {
        engine_init(&w.engines[i], params, count, out);
        w.engines[i].number = (uint32_t)i;
    }
    make_groups(&w);
    w.seqs = naive_zeroed(count, sizeof *w.seqs);
    w.future = naive_zeroed(count, sizeof(struct seq *));
    for (size_t i = 0; i < count; i++)
        take_request(&w, &requests[i], (uint32_t)i);
    qsort(w.future, w.future_count, sizeof(struct seq *), by_arrival);
    run(&w);
    naive_need(out->swapped_in == out->swapped_out, "swapped blocks lost");
    for (size_t i = 0; i < w.engine_count; i++)
        engine_release(&w.engines[i]);
    for (size_t i = 0; i < count; i++)
        free(w.seqs[i].blocks);
    free(w.engines);
    free(w.groups);
    free(w.future);
    free(w.seqs);
}

void naive_result_release(struct naive_result *r)
{
    free(r->steps);
    free(r->tokens);
    free(r->aways);
    *r = (struct naive_result){0};
}
