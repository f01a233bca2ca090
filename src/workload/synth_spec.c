/* synth_spec.c: the section workload.synthetic of a scenario, or a file of its own for
 * `trace synth`.
 *
 *     { "requests": 10000,
 *       "arrivals": { "kind": "gamma", "rate_per_s": 5, "cv": 2 },
 *       "prompt_tokens": { "kind": "lognormal", "median": 800, "sigma": 0.9, "max": 16000 },
 *       "output_tokens": 200,
 *       "prefixes": { "count": 16, "tokens": 512, "zipf": 1 },
 *       "sessions": { "turns": 4, "think_s": { "kind": "exponential", "mean": 20 } },
 *       "classes": [ { "name": "chat", "share": 4 }, { "name": "batch", "priority": 5 } ] }
 *
 * A number stands for {"kind": "fixed", "value": number}. Which keys a kind takes is in the tables
 * of synth_dist.c and synth_arrivals.c. Failure: RT_ECONFIG with the JSON path. O(document). */
#include "synth_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_REQUESTS   (INT64_C(1) << 53)
#define MAX_DEADLINE_S 9223372036.0 /* 292 years, as in traces */
#define MAX_FORMATS    64u

static void init_class(struct rt_synth_class *c)
{
    *c = (struct rt_synth_class){.share = 1, .deadline_s = (double)NAN};
    c->prefixes.share = 1;
    c->sessions.max_prompt_tokens = INT64_MAX;
}

void rt_synthetic_init(struct rt_synthetic *s)
{
    *s = (struct rt_synthetic){.requests = 0};
    for (int i = 0; i < RT_ARRIVAL_KEYS; i++)
        s->arrivals.v[i] = (double)NAN;
    init_class(&s->base);
}

static void release_class(struct rt_synth_class *c)
{
    free(c->name);
    free(c->prompt_tokens.trace.path);
    free(c->output_tokens.trace.path);
    free(c->lengths.path);
    free(c->prefixes.tokens.trace.path);
    free(c->sessions.turns.trace.path);
    free(c->sessions.turn_tokens.trace.path);
    free(c->sessions.think_s.trace.path);
}

void rt_synthetic_release(struct rt_synthetic *s)
{
    free(s->like.path);
    release_class(&s->base);
    for (uint32_t i = 0; i < s->class_count; i++)
        release_class(&s->classes[i]);
    free(s->classes);
    rt_synthetic_init(s);
}

/* ---- kinds: a set of numbers by name ---- */

struct numbers { /* under construction */
    const struct rt_number_kind *kind;
    const struct rt_number_key *keys;
    unsigned key_count;
    double *v;
    unsigned whole; /* bits of the keys that are whole numbers */
};

static unsigned kind_keys(const struct rt_number_kind *k)
{
    return k->required | k->optional | k->one_of[0] | k->one_of[1];
}

/* "mean or median" */
static const char *list_keys(const struct rt_number_key *keys, unsigned count, unsigned set,
                             char *buf, size_t size)
{
    size_t used = 0;
    buf[0] = '\0';
    for (unsigned i = 0; i < count && used < size; i++)
        if (set >> i & 1)
            used += (size_t)snprintf(buf + used, size - used, "%s%s", used > 0 ? " or " : "",
                                     keys[i].name);
    return buf;
}

static bool check_given(const struct rt_json_at *at, const struct numbers *n, unsigned given,
                        struct rt_err *err)
{
    const struct rt_number_kind *k = n->kind;
    char list[128];
    for (unsigned i = 0; i < n->key_count; i++)
        if (k->required >> i & 1 && !(given >> i & 1))
            return rt_json_fail(at, err, "expected the key %s, which kind %s needs",
                                n->keys[i].name, k->name);
    for (int set = 0; set < 2; set++) {
        unsigned found = given & k->one_of[set];
        if (k->one_of[set] != 0 && (found == 0 || (found & (found - 1)) != 0))
            return rt_json_fail(at, err, "expected %s%s for kind %s, read %s",
                                (k->one_of[set] & (k->one_of[set] - 1)) != 0 ? "one of " : "",
                                list_keys(n->keys, n->key_count, k->one_of[set], list, sizeof list),
                                k->name, found == 0 ? "none" : "both");
    }
    return true;
}

/* Reads what the kind takes into n->v; an unknown key names the nearest that the kind has. */
static bool parse_numbers(const struct rt_json_at *at, const struct numbers *n,
                          const char *const *more, unsigned more_count, struct rt_err *err)
{
    const char *names[32];
    unsigned count = 0, given = 0, all = kind_keys(n->kind);
    names[count++] = "kind";
    for (unsigned i = 0; i < more_count; i++)
        names[count++] = more[i];
    for (unsigned i = 0; i < n->key_count; i++)
        if (all >> i & 1)
            names[count++] = n->keys[i].name;
    if (!rt_json_only(at, names, count, err))
        return false;
    for (unsigned i = 0; i < n->key_count; i++) {
        const struct rt_number_key *key = &n->keys[i];
        struct rt_json_at place = rt_json_get(at, key->name);
        if (!(all >> i & 1) || place.node == NULL)
            continue;
        if (!rt_json_double(at, key->name, key->min, key->max, &n->v[i], err))
            return false;
        if (n->whole >> i & 1 && n->v[i] != floor(n->v[i]))
            return rt_json_fail(&place, err, "expected a whole number, read %g", n->v[i]);
        given |= 1u << i;
    }
    return check_given(at, n, given, err);
}

static bool parse_kind(const struct rt_json_at *at, const struct rt_number_kind *kinds,
                       unsigned count, unsigned *kind, struct rt_err *err)
{
    const char *names[16];
    for (unsigned i = 0; i < count; i++)
        names[i] = kinds[i].name;
    return rt_json_expect(at, RT_JSON_OBJECT, err) && rt_json_need(at, "kind", err) &&
           rt_json_choice(at, "kind", names, count, kind, err);
}

/* ---- traces to sample from ---- */

static bool parse_format(const struct rt_json_at *at, struct rt_trace_ref *t, struct rt_err *err)
{
    const char *names[MAX_FORMATS] = {"auto"};
    unsigned count = 1, choice = 0;
    for (unsigned i = 0; i < rt_trace_format_count() && count < MAX_FORMATS; i++)
        names[count++] = rt_trace_format_info(i).name;
    if (!rt_json_choice(at, "format", names, count, &choice, err))
        return false;
    (void)snprintf(t->format, sizeof t->format, "%s", names[choice]);
    return true;
}

/* The keys trace and format of `at`. */
static bool parse_trace_ref(const struct rt_json_at *at, struct rt_trace_ref *t, struct rt_err *err)
{
    const char *path = NULL;
    struct rt_json_at place = rt_json_get(at, "trace");
    if (!rt_json_need(at, "trace", err) || !rt_json_string(at, "trace", &path, err))
        return false;
    if (path[0] == '\0' || strcmp(path, "-") == 0)
        return rt_json_fail(&place, err, "expected the path of a file, read \"%s\"", path);
    free(t->path);
    t->path = rt_path_beside(rt_json_name(at->doc), path);
    return t->path != NULL ? parse_format(at, t, err) : rt_fail_nomem(err, "path of a trace");
}

/* A path, or an object with trace and format. */
static bool parse_trace(const struct rt_json_at *at, const char *key, struct rt_trace_ref *t,
                        struct rt_err *err)
{
    static const char *const keys[] = {"trace", "format"};
    struct rt_json_at place = rt_json_get(at, key);
    if (place.node == NULL)
        return true;
    return rt_json_expect(&place, RT_JSON_OBJECT, err) && rt_json_only(&place, keys, 2, err) &&
           parse_trace_ref(&place, t, err);
}

/* ---- distributions ---- */

struct domain { /* what a distribution may answer */
    double min, max;
    bool whole, empirical;
};
static const struct domain tokens = {1, RT_MAX_REQUEST_TOKENS, true, true};
static const struct domain turns = {1, RT_SYNTH_MAX_TURNS, true, false};
static const struct domain prefix_tokens = {1, RT_MAX_REQUEST_TOKENS, true, false};
static const struct domain seconds = {0, RT_SYNTH_MAX_SECONDS, false, false};

static bool check_order(const struct rt_json_at *at, const struct rt_dist_spec *d,
                        struct rt_err *err)
{
    if (d->v[RT_DIST_MIN] > d->v[RT_DIST_MAX]) /* false when one is not given */
        return rt_json_fail(at, err, "expected min <= max, read %.0f and %.0f", d->v[RT_DIST_MIN],
                            d->v[RT_DIST_MAX]);
    return true;
}

static bool parse_dist_object(const struct rt_json_at *at, const struct domain *of,
                              struct rt_dist_spec *d, struct rt_err *err)
{
    static const char *const trace_keys[] = {"trace", "format"};
    unsigned kinds = RT_DIST_KINDS - (of->empirical ? 1 : 2), kind = 0, empirical;
    if (!parse_kind(at, rt_dist_kinds + 1, kinds, &kind, err))
        return false;
    d->kind = (enum rt_dist_kind)(kind + 1);
    empirical = d->kind == RT_DIST_EMPIRICAL ? 2 : 0;
    struct numbers n = {&rt_dist_kinds[d->kind], rt_dist_keys, RT_DIST_KEYS, d->v, 0};
    unsigned amounts = 1u << RT_DIST_VALUE | 1u << RT_DIST_MIN | 1u << RT_DIST_MAX;
    n.whole = of->whole ? amounts : 0;
    for (unsigned i = 0; i < RT_DIST_KEYS; i++) {
        struct rt_json_at place = rt_json_get(at, rt_dist_keys[i].name);
        double v = of->max;
        if (amounts >> i & 1 && place.node != NULL &&
            !rt_json_double(at, rt_dist_keys[i].name, of->min, of->max, &v, err))
            return false;
    }
    if (!parse_numbers(at, &n, trace_keys, empirical, err) || !check_order(at, d, err))
        return false;
    return empirical == 0 || parse_trace_ref(at, &d->trace, err);
}

static bool parse_dist(const struct rt_json_at *at, const char *key, const struct domain *of,
                       struct rt_dist_spec *d, struct rt_err *err)
{
    struct rt_json_at place = rt_json_get(at, key);
    if (place.node == NULL)
        return true;
    for (int i = 0; i < RT_DIST_KEYS; i++)
        d->v[i] = (double)NAN;
    if (rt_json_kind(&place) != RT_JSON_NUMBER)
        return parse_dist_object(&place, of, d, err);
    d->kind = RT_DIST_FIXED;
    if (!of->whole)
        return rt_json_double(at, key, of->min, of->max, &d->v[RT_DIST_VALUE], err);
    int64_t value = 0;
    if (!rt_json_int(at, key, (int64_t)of->min, (int64_t)of->max, &value, err))
        return false;
    d->v[RT_DIST_VALUE] = (double)value;
    return true;
}

/* ---- prefixes, sessions, classes ---- */

static bool parse_prefixes(const struct rt_json_at *at, struct rt_prefix_spec *p,
                           struct rt_err *err)
{
    static const char *const keys[] = {"count", "tokens", "zipf", "share"};
    struct rt_json_at place = rt_json_get(at, "prefixes");
    int64_t count = 0;
    if (place.node == NULL)
        return true;
    if (!rt_json_expect(&place, RT_JSON_OBJECT, err) || !rt_json_only(&place, keys, 4, err) ||
        !rt_json_need(&place, "count", err) || !rt_json_need(&place, "tokens", err) ||
        !rt_json_int(&place, "count", 1, RT_SYNTH_MAX_PREFIXES, &count, err) ||
        !parse_dist(&place, "tokens", &prefix_tokens, &p->tokens, err) ||
        !rt_json_double(&place, "zipf", 0, RT_SYNTH_MAX_ZIPF, &p->zipf, err) ||
        !rt_json_double(&place, "share", 0, 1, &p->share, err))
        return false;
    p->count = (uint64_t)count;
    return true;
}

static bool parse_sessions(const struct rt_json_at *at, struct rt_session_spec *s,
                           struct rt_err *err)
{
    static const char *const keys[] = {"turns", "turn_tokens", "think_s", "answer_s_per_token",
                                       "max_prompt_tokens"};
    struct rt_json_at place = rt_json_get(at, "sessions");
    if (place.node == NULL)
        return true;
    return rt_json_expect(&place, RT_JSON_OBJECT, err) && rt_json_only(&place, keys, 5, err) &&
           rt_json_need(&place, "turns", err) &&
           parse_dist(&place, "turns", &turns, &s->turns, err) &&
           parse_dist(&place, "turn_tokens", &tokens, &s->turn_tokens, err) &&
           parse_dist(&place, "think_s", &seconds, &s->think_s, err) &&
           rt_json_double(&place, "answer_s_per_token", 0, 1e3, &s->answer_s_per_token, err) &&
           rt_json_int(&place, "max_prompt_tokens", 1, RT_MAX_REQUEST_TOKENS, &s->max_prompt_tokens,
                       err);
}

/* What the section and each class may say. */
static bool parse_traffic(const struct rt_json_at *at, struct rt_synth_class *c, struct rt_err *err)
{
    struct rt_json_at lengths = rt_json_get(at, "lengths");
    if (!parse_trace(at, "lengths", &c->lengths, err) ||
        !parse_dist(at, "prompt_tokens", &tokens, &c->prompt_tokens, err) ||
        !parse_dist(at, "output_tokens", &tokens, &c->output_tokens, err))
        return false;
    if (c->lengths.path != NULL &&
        (c->prompt_tokens.kind != RT_DIST_ABSENT || c->output_tokens.kind != RT_DIST_ABSENT))
        return rt_json_fail(&lengths, err,
                            "expected either lengths, or prompt_tokens and output_tokens");
    return parse_prefixes(at, &c->prefixes, err) && parse_sessions(at, &c->sessions, err);
}

static bool parse_class(const struct rt_json_at *at, struct rt_synth_class *c, struct rt_err *err)
{
    static const char *const keys[] = {"name",       "share",         "priority",
                                       "deadline_s", "prompt_tokens", "output_tokens",
                                       "lengths",    "prefixes",      "sessions"};
    const char *name = NULL;
    struct rt_json_at place = rt_json_get(at, "name");
    if (!rt_json_expect(at, RT_JSON_OBJECT, err) ||
        !rt_json_only(at, keys, sizeof keys / sizeof keys[0], err) ||
        !rt_json_need(at, "name", err) || !rt_json_string(at, "name", &name, err) ||
        !rt_json_double(at, "share", 1e-9, 1e9, &c->share, err) ||
        !rt_json_int(at, "priority", INT32_MIN, INT32_MAX, &c->priority, err) ||
        !rt_json_double(at, "deadline_s", 0, MAX_DEADLINE_S, &c->deadline_s, err) ||
        !parse_traffic(at, c, err))
        return false;
    struct rt_err text = {0};
    if (name[0] == '\0' || !rt_text_check(name, strlen(name), &text))
        return rt_json_fail(&place, err, "expected a name of 1 to %u characters",
                            RT_TEXT_MAX_CHARS);
    c->name = strdup(name);
    return c->name != NULL || rt_fail_nomem(err, "classes of traffic");
}

/* Does this class, with what it takes from the section, have both lengths? */
static bool has_lengths(const struct rt_synth_class *c, const struct rt_synth_class *base)
{
    bool prompt = c->prompt_tokens.kind != RT_DIST_ABSENT;
    bool output = c->output_tokens.kind != RT_DIST_ABSENT;
    bool both = base->lengths.path != NULL || (base->prompt_tokens.kind != RT_DIST_ABSENT &&
                                               base->output_tokens.kind != RT_DIST_ABSENT);
    if (c->lengths.path != NULL || (prompt && output))
        return true;
    if (!prompt && !output)
        return both;
    return prompt ? base->output_tokens.kind != RT_DIST_ABSENT
                  : base->prompt_tokens.kind != RT_DIST_ABSENT;
}

static bool parse_classes(const struct rt_json_at *root, struct rt_synthetic *s, struct rt_err *err)
{
    struct rt_json_at at = rt_json_get(root, "classes");
    int count = rt_json_count(&at);
    if (at.node == NULL)
        return has_lengths(&s->base, &s->base) ||
               rt_json_fail(root, err,
                            "expected prompt_tokens and output_tokens, or lengths, or like");
    if (!rt_json_expect(&at, RT_JSON_ARRAY, err))
        return false;
    if (count < 1 || count > RT_SYNTH_MAX_CLASSES)
        return rt_json_fail(&at, err, "expected 1 to %d classes, read %d", RT_SYNTH_MAX_CLASSES,
                            count);
    s->classes = calloc((size_t)count, sizeof s->classes[0]);
    if (s->classes == NULL)
        return rt_fail_nomem(err, "classes of traffic");
    for (int i = 0; i < count; i++) {
        struct rt_json_at item = rt_json_item(&at, i);
        struct rt_synth_class *c = &s->classes[s->class_count++];
        init_class(c);
        if (!parse_class(&item, c, err))
            return false;
        if (!has_lengths(c, &s->base))
            return rt_json_fail(&item, err,
                                "expected prompt_tokens and output_tokens, or lengths, here or "
                                "for all");
        for (int k = 0; k < i; k++)
            if (strcmp(s->classes[k].name, c->name) == 0)
                return rt_json_fail(&item, err, "two classes are named \"%.64s\"", c->name);
    }
    return true;
}

/* ---- the section ---- */

static bool parse_arrivals(const struct rt_json_at *root, struct rt_arrival_spec *a,
                           struct rt_err *err)
{
    struct rt_json_at at = rt_json_get(root, "arrivals");
    unsigned kind = 0;
    if (at.node == NULL)
        return true; /* at once */
    if (!parse_kind(&at, rt_arrival_kinds, RT_ARRIVE_KINDS, &kind, err))
        return false;
    a->kind = (enum rt_arrival_kind)kind;
    struct numbers n = {&rt_arrival_kinds[kind], rt_arrival_keys, RT_ARRIVAL_KEYS, a->v, 0};
    const char *wrong = NULL;
    if (!parse_numbers(&at, &n, NULL, 0, err))
        return false;
    wrong = rt_starts_check(a);
    return wrong == NULL || rt_json_fail(&at, err, "%s", wrong);
}

static bool parse_like(const struct rt_json_at *at, struct rt_synthetic *s, struct rt_err *err)
{
    static const char *const keys[] = {"requests", "like"};
    return rt_json_only(at, keys, 2, err) && parse_trace(at, "like", &s->like, err);
}

static bool parse_made(const struct rt_json_at *at, struct rt_synthetic *s, struct rt_err *err)
{
    static const char *const keys[] = {"requests",      "arrivals", "prompt_tokens",
                                       "output_tokens", "lengths",  "prefixes",
                                       "sessions",      "classes",  "like"};
    return rt_json_only(at, keys, sizeof keys / sizeof keys[0], err) &&
           parse_arrivals(at, &s->arrivals, err) && parse_traffic(at, &s->base, err) &&
           parse_classes(at, s, err);
}

bool rt_synthetic_parse(const struct rt_json_at *at, struct rt_synthetic *s, struct rt_err *err)
{
    struct rt_json_at like = rt_json_get(at, "like");
    int64_t requests = 0;
    if (!rt_json_expect(at, RT_JSON_OBJECT, err) || !rt_json_need(at, "requests", err) ||
        !rt_json_int(at, "requests", 1, MAX_REQUESTS, &requests, err))
        return false;
    s->requests = (uint64_t)requests;
    return like.node != NULL ? parse_like(at, s, err) : parse_made(at, s, err);
}
