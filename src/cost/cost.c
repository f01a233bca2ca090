/* The interface of all cost models: the scenario's section `cost`, the table of models, single
 * steps and the stages of a pipeline.
 *
 * Happy path: rt_cost_new picks the model, lets it check its inputs and build its tables; a step
 * then asks it for eight terms, adds them in the order of enum rt_term and rounds once
 * (decode_line_internal.h). Failures: bad inputs are RT_ECONFIG, tables that do not fit RT_ENOMEM.
 * A step cannot fail. Cost: rt_cost_new O(max_tokens), a step O(1). */
#include "cost_internal.h"
#include "decode_line_internal.h"
#include "rooftrace/decode_run.h"

#include <assert.h>
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const rt_term_names[RT_TERM_COUNT] = {
    "weights", "compute", "kv", "attention", "other", "launch", "comm", "host",
};

static const struct rt_cost_model *const models[] = {
    /* the only list; index = what pick says */
    &rt_cost_linear,
    &rt_cost_roofline,
    &rt_cost_light,
    &rt_cost_profile,
};

static const char *const kind_names[] = {"roofline", "linear",
                                         "profile"}; /* by enum rt_cost_kind */

#define LINEAR_LIMIT_S 1e6 /* a coefficient beyond this is not seconds */

/* ---- the section `cost` ---------------------------------------------------------------------- */

void rt_cost_spec_init(struct rt_cost_spec *s)
{
    memset(s, 0, sizeof *s);
    s->kind = RT_COST_ROOFLINE;
}

static bool parse_coefficients(const struct rt_json_at *at, struct rt_cost_spec *s,
                               struct rt_err *err)
{
    struct rt_json_at list = rt_json_get(at, "coefficients_s");
    if (!rt_json_need(at, "coefficients_s", err) || !rt_json_expect(&list, RT_JSON_ARRAY, err))
        return false;
    if (rt_json_count(&list) != 5)
        return rt_json_fail(&list, err, "expected five numbers b0..b4 in seconds, read %d",
                            rt_json_count(&list));
    for (int i = 0; i < 5; i++) {
        struct rt_json_at item = rt_json_item(&list, i);
        if (!rt_json_expect(&item, RT_JSON_NUMBER, err))
            return false;
        double value = item.node->valuedouble;
        if (!(fabs(value) <= LINEAR_LIMIT_S))
            return rt_json_fail(&item, err, "expected seconds from %g to %g, read %g",
                                -LINEAR_LIMIT_S, LINEAR_LIMIT_S, value);
        s->coefficients_s[i] = value;
    }
    return true;
}

const char *rt_cost_kind_name(enum rt_cost_kind kind)
{
    return kind_names[kind];
}

void rt_cost_spec_release(struct rt_cost_spec *s)
{
    free(s->file);
    s->file = NULL;
}

static bool parse_file(const struct rt_json_at *at, struct rt_cost_spec *s, struct rt_err *err)
{
    struct rt_json_at place = rt_json_get(at, "file");
    const char *path = "";
    if (!rt_json_need(at, "file", err) || !rt_json_string(at, "file", &path, err))
        return false;
    if (path[0] == '\0')
        return rt_json_fail(&place, err, "expected the path of a table, read \"\"");
    char *resolved = rt_path_beside(rt_json_name(at->doc), path);
    if (resolved == NULL)
        return rt_fail_nomem(err, "path of a profile");
    rt_cost_spec_release(s);
    s->file = resolved;
    return true;
}

static bool parse_skew(const struct rt_json_at *at, struct rt_cost_spec *s, struct rt_err *err)
{
    return rt_json_double(at, "expert_skew", 0, RT_MAX_EXPERT_SKEW, &s->expert_skew, err);
}

bool rt_cost_spec_parse(const struct rt_json_at *at, struct rt_cost_spec *s, struct rt_err *err)
{
    static const char *const profile_keys[] = {"kind", "file", "expert_skew"};
    static const char *const roofline_keys[] = {"kind", "speed_of_light", "expert_skew"};
    static const char *const linear_keys[] = {"kind", "coefficients_s"};
    if (rt_json_kind(at) == RT_JSON_ABSENT)
        return true;
    unsigned kind = (unsigned)s->kind;
    if (!rt_json_expect(at, RT_JSON_OBJECT, err) ||
        !rt_json_choice(at, "kind", kind_names, 3, &kind, err))
        return false;
    s->kind = (enum rt_cost_kind)kind;
    if (s->kind == RT_COST_LINEAR)
        return rt_json_only(at, linear_keys, 2, err) && parse_coefficients(at, s, err);
    if (s->kind == RT_COST_PROFILE)
        return rt_json_only(at, profile_keys, 3, err) && parse_file(at, s, err) &&
               parse_skew(at, s, err);
    return rt_json_only(at, roofline_keys, 3, err) &&
           rt_json_bool(at, "speed_of_light", &s->speed_of_light, err) && parse_skew(at, s, err);
}

/* ---- life cycle ------------------------------------------------------------------------------ */

static const struct rt_cost_model *pick(const struct rt_cost_spec *spec)
{
    if (spec->kind == RT_COST_LINEAR)
        return models[0];
    if (spec->kind == RT_COST_PROFILE)
        return models[3];
    return spec->speed_of_light ? models[2] : models[1];
}

static void free_one(struct rt_cost *c)
{
    if (c->model->release != NULL)
        c->model->release(c);
    free(c->lines);
    free(c);
}

/* A pipeline, or one stage of it; NULL with *err. */
static struct rt_cost *new_part(const struct rt_cost_inputs *in, const struct rt_role *role,
                                struct rt_err *err)
{
    struct rt_cost *c = calloc(1, sizeof *c);
    if (c == NULL) {
        (void)rt_fail_nomem(err, "the cost model");
        return NULL;
    }
    c->in = *in;
    c->role = *role;
    c->model = pick(&in->spec);
    c->decode_is_line = true;
    c->knee = RT_NO_KNEE;
    if (c->model->init(c, err) && rt_decode_lines_build(c, err))
        return c;
    free_one(c);
    return NULL;
}

/* One cost of each sort of stage: equal ones take equally long. */
static bool add_stages(struct rt_cost *c, struct rt_err *err)
{
    int64_t stages = c->in.parallel.pipeline;
    struct rt_stage stage, earlier;
    c->stages = calloc((size_t)stages, sizeof(*c->stages));
    if (c->stages == NULL)
        return rt_fail_nomem(err, "the cost model");
    for (int64_t i = 0; i < stages; i++) {
        bool known = false;
        rt_stage_of(&c->in, i, &stage);
        for (unsigned k = 0; k < c->stage_count && !known; k++) {
            earlier = (struct rt_stage){c->stages[k]->in, c->stages[k]->role};
            known = rt_stage_alike(&earlier, &stage);
        }
        if (known)
            continue;
        struct rt_cost *part = new_part(&stage.in, &stage.role, err);
        if (part == NULL)
            return false;
        part->in.spec.file = NULL; /* the caller's */
        c->stages[c->stage_count++] = part;
    }
    return true;
}

bool rt_cost_new(const struct rt_cost_inputs *in, struct rt_cost **out, struct rt_err *err)
{
    struct rt_role role = {.first = true, .last = true, .stages = 1};
    bool split = in->spec.kind != RT_COST_LINEAR;
    *out = NULL;
    if (split && !rt_cost_check(in, err))
        return false;
    if (split)
        rt_stage_whole(in, &role);
    struct rt_cost *c = new_part(in, &role, err);
    if (c == NULL)
        return false;
    if (role.stages > 1 && !add_stages(c, err)) {
        rt_cost_free(c);
        return false;
    }
    c->in.spec.file = NULL; /* the caller's; it may go now */
    *out = c;
    return true;
}

void rt_cost_free(struct rt_cost *c)
{
    if (c == NULL)
        return;
    for (unsigned i = 0; i < c->stage_count; i++) /* a stage has none of its own */
        free_one(c->stages[i]);
    free(c->stages);
    free_one(c);
}

unsigned rt_cost_windows(const struct rt_cost *c, int64_t windows[RT_MAX_WINDOWS])
{
    for (unsigned i = 0; i < c->window_count; i++)
        windows[i] = c->windows[i];
    return c->window_count;
}

/* ---- one step -------------------------------------------------------------------------------- */

void rt_cost_step_terms(const struct rt_cost *c, const struct rt_step_shape *s,
                        double terms_s[RT_TERM_COUNT])
{
    const struct rt_decode_line *line = find_line(c, s);
    assert(s->tokens >= 0 && s->samples >= 0);
    if (line != NULL) {
        memcpy(terms_s, line->terms_s, sizeof line->terms_s);
        terms_s[RT_TERM_KV] = line_kv_s(line, line_context(c, s));
        return;
    }
    for (int i = 0; i < RT_TERM_COUNT; i++)
        terms_s[i] = 0;
    c->model->terms(c, s, terms_s);
    terms_s[RT_TERM_COMM] += s->transfer_s;
    if (s->draft_s > 0)
        terms_s[RT_TERM_OTHER] += s->draft_s;
}

int64_t rt_cost_step(const struct rt_cost *c, const struct rt_step_shape *s,
                     double terms_s[RT_TERM_COUNT])
{
    rt_cost_step_terms(c, s, terms_s);
    return round_any(step_seconds(terms_s, terms_s[RT_TERM_KV]) * 1e9);
}

int64_t rt_cost_price(const struct rt_cost *c, const struct rt_step_shape *s, bool *plain,
                      double terms_s[RT_TERM_COUNT])
{
    const struct rt_decode_line *line = find_line(c, s);
    *plain = line != NULL;
    if (line != NULL)
        return round_any(step_seconds(line->terms_s, line_kv_s(line, line_context(c, s))) * 1e9);
    return rt_cost_step(c, s, terms_s);
}

void rt_cost_prefetch(const struct rt_cost *c, int64_t tokens)
{
    if (c->model->prefetch != NULL && tokens <= c->in.max_tokens)
        c->model->prefetch(c, tokens);
}

int64_t rt_cost_step_ns(const struct rt_cost *c, const struct rt_step_shape *s)
{
    bool plain;
    double terms_s[RT_TERM_COUNT];
    return rt_cost_price(c, s, &plain, terms_s);
}

/* ---- stages and ranks ---------------------------------------------------------------------- */

int64_t rt_cost_stage_ns(const struct rt_cost *c, const struct rt_step_shape *s)
{
    double slowest_s = 0;
    if (c->stage_count == 0) { /* no model to deal out: equal stages */
        int64_t stages = c->in.parallel.pipeline > 1 ? c->in.parallel.pipeline : 1;
        return (rt_cost_step_ns(c, s) + stages - 1) / stages;
    }
    for (unsigned i = 0; i < c->stage_count; i++) {
        double terms_s[RT_TERM_COUNT];
        rt_cost_step_terms(c->stages[i], s, terms_s);
        double host_s = terms_s[RT_TERM_HOST];
        terms_s[RT_TERM_HOST] = 0;
        slowest_s = fmax(slowest_s, fmax(step_seconds(terms_s, terms_s[RT_TERM_KV]), host_s));
    }
    return round_any(slowest_s * 1e9);
}

bool rt_cost_ranks_together(const struct rt_cost *c)
{
    return c->role.together;
}

int64_t rt_table_rows(int64_t max, int64_t cap)
{
    int64_t rows = max < cap ? max : cap;
    return rows > 0 ? rows + 1 : 1;
}
