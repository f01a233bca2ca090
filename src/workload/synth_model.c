/* synth_model.c: units of traffic as the section workload.synthetic describes them.
 *
 *     arrival -> class -> shared prefix -> turns -> lengths and think time of every turn
 *
 * The prompt of a turn is everything before it and its new tokens:
 *     prompt(1) = prefix + prompt_tokens,   prompt(n + 1) = prompt(n) + output(n) + turn_tokens
 *
 * Blocks of block_tokens are named when there are prefixes or sessions: those wholly within the
 * shared prefix by the prefix, the others by the unit; a part of a block has no name. Names are
 * counted: prefixes have the first, then each unit takes as many as its longest prompt needs. Each
 * purpose of each class has its own random stream. Failure: a prompt of more than 2^24 blocks; what
 * reading an empirical trace says. Memory: the empirical traces, 16 bytes a prefix. O(1) a row. */
#include "synth_internal.h"

#include <stdlib.h>
#include <string.h>

struct prefix { /* one shared prefix */
    int64_t tokens;
    uint64_t first_id;
};

struct part { /* what the section or a class says itself */
    struct rt_dist prompt, output, turns, turn_tokens, think;
    struct rt_length_pairs pairs;
    struct rt_zipf popularity;
    struct prefix *prefixes;
    const struct rt_synth_class *spec; /* read while parts are made only */
    double prefix_share, answer_s_per_token;
    int64_t max_prompt_tokens;
};

struct traffic { /* a class: its own parts or the section's */
    const struct rt_dist *prompt, *output;
    const struct rt_length_pairs *pairs;    /* NULL: prompt and output */
    const struct part *prefixes, *sessions; /* NULL: none */
    char *name;                             /* owned; NULL: no classes */
    int32_t priority;
    int64_t deadline_ns;
    double share_until; /* sum of the shares up to this class */
    struct rt_rng prompt_rng, output_rng, prefix_rng, turns_rng, think_rng;
};

struct model {
    struct rt_units base;
    struct rt_starts arrivals;
    struct part *parts; /* [0] is the section's, then one a class */
    struct traffic *traffic;
    uint32_t class_count; /* at least 1 */
    uint64_t next_id;
    struct rt_rng class_rng;
};

static void release_part(struct part *p)
{
    rt_dist_release(&p->prompt);
    rt_dist_release(&p->output);
    rt_dist_release(&p->turns);
    rt_dist_release(&p->turn_tokens);
    rt_dist_release(&p->think);
    rt_length_pairs_release(&p->pairs);
    free(p->prefixes);
}

static void model_free(struct rt_units *base)
{
    struct model *m = (struct model *)base;
    for (uint32_t i = 0; m->parts != NULL && i <= m->class_count; i++)
        release_part(&m->parts[i]);
    for (uint32_t i = 0; m->traffic != NULL && i < m->class_count; i++)
        free(m->traffic[i].name);
    free(m->parts);
    free(m->traffic);
    free(m);
}

/* ---- making ---- */

/* Lengths of the prefixes, and their names one after the other. */
static bool make_prefixes(struct model *m, struct part *p, uint64_t seed, uint64_t place,
                          struct rt_err *err)
{
    const struct rt_prefix_spec *spec = &p->spec->prefixes;
    struct rt_dist tokens;
    struct rt_rng r;
    if (spec->count == 0)
        return true;
    p->prefixes = calloc(spec->count, sizeof *p->prefixes);
    if (p->prefixes == NULL)
        return rt_fail_nomem(err, "shared prefixes");
    if (!rt_dist_init(&tokens, &spec->tokens, false, err))
        return false;
    rt_rng_init(&r, seed, RT_RNG_PREFIXES, place << 32);
    for (uint64_t i = 0; i < spec->count; i++) {
        p->prefixes[i] = (struct prefix){rt_dist_draw_whole(&tokens, &r), m->next_id};
        m->next_id += (uint64_t)p->prefixes[i].tokens / m->base.block_tokens;
    }
    rt_dist_release(&tokens);
    rt_zipf_init(&p->popularity, spec->count, spec->zipf);
    p->prefix_share = spec->share;
    return true;
}

static bool make_part(struct model *m, uint32_t place, const struct rt_synth_class *spec,
                      uint64_t seed, struct rt_err *err)
{
    struct part *p = &m->parts[place];
    const struct rt_session_spec *sessions = &spec->sessions;
    p->spec = spec;
    p->answer_s_per_token = sessions->answer_s_per_token;
    p->max_prompt_tokens = sessions->max_prompt_tokens;
    return rt_dist_init(&p->prompt, &spec->prompt_tokens, false, err) &&
           rt_dist_init(&p->output, &spec->output_tokens, true, err) &&
           rt_dist_init(&p->turns, &sessions->turns, false, err) &&
           rt_dist_init(&p->turn_tokens, &sessions->turn_tokens, false, err) &&
           rt_dist_init(&p->think, &sessions->think_s, false, err) &&
           (spec->lengths.path == NULL || rt_length_pairs_load(&spec->lengths, &p->pairs, err)) &&
           make_prefixes(m, p, seed, place, err);
}

/* A class takes what it does not say from the section. */
static void choose_parts(struct traffic *t, const struct part *own, const struct part *section)
{
    const struct part *lengths = own->pairs.count > 0 || own->prompt.kind != RT_DIST_ABSENT ||
                                         own->output.kind != RT_DIST_ABSENT
                                     ? own
                                     : section;
    t->pairs = lengths->pairs.count > 0 ? &lengths->pairs : NULL;
    t->prompt = own->prompt.kind != RT_DIST_ABSENT ? &own->prompt : &section->prompt;
    t->output = own->output.kind != RT_DIST_ABSENT ? &own->output : &section->output;
    t->prefixes = own->prefixes != NULL ? own : section;
    t->prefixes = t->prefixes->prefixes != NULL ? t->prefixes : NULL;
    t->sessions = own->turns.kind != RT_DIST_ABSENT ? own : section;
    t->sessions = t->sessions->turns.kind != RT_DIST_ABSENT ? t->sessions : NULL;
}

static bool make_class(struct model *m, uint32_t i, const struct rt_synth_class *spec,
                       uint64_t seed, struct rt_err *err)
{
    struct traffic *t = &m->traffic[i];
    choose_parts(t, &m->parts[spec->name != NULL ? i + 1 : 0], &m->parts[0]);
    t->priority = (int32_t)spec->priority;
    t->deadline_ns = isnan(spec->deadline_s) ? RT_NO_DEADLINE : llrint(spec->deadline_s * 1e9);
    t->share_until = (i > 0 ? m->traffic[i - 1].share_until : 0) + spec->share;
    rt_rng_init(&t->prompt_rng, seed, RT_RNG_LENGTHS, i);
    rt_rng_init(&t->output_rng, seed, RT_RNG_OUTPUTS, i);
    rt_rng_init(&t->prefix_rng, seed, RT_RNG_PREFIXES, i);
    rt_rng_init(&t->turns_rng, seed, RT_RNG_TURNS, i);
    rt_rng_init(&t->think_rng, seed, RT_RNG_THINK, i);
    if (spec->name != NULL && (t->name = strdup(spec->name)) == NULL)
        return rt_fail_nomem(err, "classes of traffic");
    return true;
}

static bool make(struct model *m, const struct rt_workload_spec *w, struct rt_err *err)
{
    const struct rt_synthetic *s = &w->synthetic;
    m->class_count = s->class_count > 0 ? s->class_count : 1;
    m->parts = calloc(m->class_count + 1, sizeof *m->parts);
    m->traffic = calloc(m->class_count, sizeof *m->traffic);
    if (m->parts == NULL || m->traffic == NULL)
        return rt_fail_nomem(err, "classes of traffic");
    if (!make_part(m, 0, &s->base, w->seed, err))
        return false;
    for (uint32_t i = 0; i < s->class_count; i++)
        if (!make_part(m, i + 1, &s->classes[i], w->seed, err))
            return false;
    for (uint32_t i = 0; i < m->class_count; i++)
        if (!make_class(m, i, s->class_count > 0 ? &s->classes[i] : &s->base, w->seed, err))
            return false;
    return true;
}

/* ---- units ---- */

static uint32_t choose_class(struct model *m)
{
    uint32_t low = 0, high = m->class_count - 1;
    if (high == 0)
        return 0;
    double u = rt_rng_unit(&m->class_rng) * m->traffic[high].share_until;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (u < m->traffic[middle].share_until)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The shared prefix of a unit: its tokens. */
static int64_t choose_prefix(struct model *m, struct traffic *t, struct rt_unit *out)
{
    const struct part *p = t->prefixes;
    if (p == NULL)
        return 0;
    uint64_t rank = rt_draw_zipf(&t->prefix_rng, &p->popularity);
    if (p->prefix_share < 1 && rt_rng_unit(&t->prefix_rng) >= p->prefix_share)
        return 0;
    const struct prefix *chosen = &p->prefixes[rank - 1];
    out->shared_base = chosen->first_id;
    out->shared_blocks = (uint64_t)chosen->tokens / m->base.block_tokens;
    return chosen->tokens;
}

static void draw_lengths(struct traffic *t, bool first, int64_t *prompt, int64_t *output)
{
    const struct rt_dist *later = t->sessions != NULL && !first ? &t->sessions->turn_tokens : NULL;
    if (t->pairs != NULL) {
        uint64_t row = rt_rng_below(&t->prompt_rng, t->pairs->count);
        *prompt = t->pairs->prompt[row];
        *output = t->pairs->output[row];
    } else {
        *prompt = later != NULL && later->kind != RT_DIST_ABSENT
                      ? 0
                      : rt_dist_draw_whole(t->prompt, &t->prompt_rng);
        *output = rt_dist_draw_whole(t->output, &t->output_rng);
    }
    if (later != NULL && later->kind != RT_DIST_ABSENT)
        *prompt = rt_dist_draw_whole(later, &t->prompt_rng);
}

static int64_t think_ns(struct traffic *t)
{
    double s = rt_dist_draw(&t->sessions->think, &t->think_rng);
    return llrint(fmin(s, RT_SYNTH_MAX_SECONDS) * 1e9);
}

/* Whole blocks of the prompt; in a session, whose next prompt begins with prompt and answer, the
 * blocks of both, the last one begun included. */
static bool name_blocks(struct model *m, const struct traffic *t, struct rt_plan_row *row,
                        struct rt_err *err)
{
    if (t->prefixes == NULL && t->sessions == NULL)
        return true;
    uint64_t block = m->base.block_tokens, blocks = (uint64_t)row->prompt_tokens / block;
    if (t->sessions != NULL) {
        row->named_tokens = row->prompt_tokens + row->output_tokens;
        blocks = ((uint64_t)row->named_tokens - 1) / block + 1;
    }
    if (blocks > RT_SYNTH_MAX_IDS)
        return rt_fail(err, RT_ECONFIG,
                       "workload.synthetic: a prompt of %lld tokens%s is %llu blocks of %u tokens, "
                       "more than %u: expected shorter prompts or a larger block_size",
                       (long long)row->prompt_tokens, t->sessions != NULL ? " and its answer" : "",
                       (unsigned long long)blocks, m->base.block_tokens, RT_SYNTH_MAX_IDS);
    row->id_count = (uint32_t)blocks;
    return true;
}

/* Adds a turn behind the last; *more = false: the conversation is too long, nothing was added. */
static bool add_turn(struct model *m, struct traffic *t, struct rt_unit *out, int64_t prefix,
                     bool *more, struct rt_err *err)
{
    struct rt_plan_row *before = out->count > 0 ? &out->rows[out->count - 1] : NULL;
    int64_t prompt, output, offset = 0, think = -1, limit = RT_MAX_REQUEST_TOKENS;
    draw_lengths(t, before == NULL, &prompt, &output);
    prompt += before != NULL ? before->prompt_tokens + before->output_tokens : prefix;
    if (before != NULL) {
        think = think_ns(t);
        double answer_ns = (double)before->output_tokens * t->sessions->answer_s_per_token * 1e9;
        if (__builtin_add_overflow(before->offset_ns, think, &offset) || answer_ns > 9e18 ||
            __builtin_add_overflow(offset, llrint(answer_ns), &offset))
            offset = INT64_MAX;
        limit = t->sessions->max_prompt_tokens < limit ? t->sessions->max_prompt_tokens : limit;
    }
    *more = prompt <= limit || before == NULL;
    if (!*more)
        return true;
    struct rt_plan_row *row = rt_unit_add(out);
    if (row == NULL)
        return rt_fail_nomem(err, "turns of a session");
    row->offset_ns = offset;
    row->prompt_tokens = prompt < RT_MAX_REQUEST_TOKENS ? prompt : RT_MAX_REQUEST_TOKENS;
    row->output_tokens = output;
    row->think_ns = think;
    row->deadline_ns = t->deadline_ns;
    row->class_name = t->name != NULL ? (uint32_t)(t - m->traffic) + 1 : RT_NO_NAME;
    row->session = t->sessions != NULL ? 1 : 0;
    row->priority = t->priority;
    return name_blocks(m, t, row, err);
}

static bool model_next(struct rt_units *base, struct rt_unit *out, struct rt_err *err)
{
    struct model *m = (struct model *)base;
    struct traffic *t = &m->traffic[choose_class(m)];
    int64_t turns = 1, prefix;
    bool more = true;
    out->start_ns = rt_starts_next(&m->arrivals);
    prefix = choose_prefix(m, t, out);
    if (t->sessions != NULL) {
        turns = rt_dist_draw_whole(&t->sessions->turns, &t->turns_rng);
        turns = turns < RT_SYNTH_MAX_TURNS ? turns : RT_SYNTH_MAX_TURNS;
    }
    for (int64_t i = 0; i < turns && more; i++)
        if (!add_turn(m, t, out, prefix, &more, err))
            return false;
    uint64_t blocks = out->rows[out->count - 1].id_count;
    out->own_base = m->next_id;
    m->next_id += blocks > out->shared_blocks ? blocks - out->shared_blocks : 0;
    return true;
}

static const char *model_name(const struct rt_units *base, uint32_t name)
{
    const struct model *m = (const struct model *)base;
    if (name == RT_NO_NAME || name > m->class_count || m->traffic[name - 1].name == NULL)
        return "";
    return m->traffic[name - 1].name;
}

static const struct rt_units_ops ops = {.next = model_next, .name = model_name, .free = model_free};

static bool shares_blocks(const struct rt_synthetic *s)
{
    bool found = s->base.prefixes.count > 0 || s->base.sessions.turns.kind != RT_DIST_ABSENT;
    for (uint32_t i = 0; i < s->class_count; i++)
        found = found || s->classes[i].prefixes.count > 0 ||
                s->classes[i].sessions.turns.kind != RT_DIST_ABSENT;
    return found;
}

bool rt_model_new(const struct rt_workload_spec *w, struct rt_units **out, struct rt_err *err)
{
    struct model *m = calloc(1, sizeof *m);
    if (m == NULL)
        return rt_fail_nomem(err, "synthetic traffic");
    m->base.ops = &ops;
    if (shares_blocks(&w->synthetic))
        m->base.block_tokens = w->block_size > 0 ? w->block_size : RT_SYNTH_BLOCK_TOKENS;
    rt_starts_init(&m->arrivals, &w->synthetic.arrivals, w->seed, w->rate_scale);
    rt_rng_init(&m->class_rng, w->seed, RT_RNG_CLASSES, 0);
    if (!make(m, w, err)) {
        model_free(&m->base);
        return false;
    }
    *out = &m->base;
    return true;
}
