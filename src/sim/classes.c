/* The scenario's section `classes`: what requests of a traffic class are given when the trace does
 * not say it itself, how long their clients wait, and which objectives count for them.
 *
 *     "classes": [{"name": "chat", "priority": -1, "slo": {"ttft_s": 0.5}, "timeout_s": 20},
 *                 {"name": "batch", "priority": 5, "deadline_s": 3600}]
 *
 * Classes are known by name in the scenario and by index in the source; the simulation asks once an
 * index and remembers the answer, so a request costs O(1). Names that the trace never uses are no
 * error: the same scenario serves many traces. */
#include "sim_internal.h"
#include "sim_print_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CLASSES    4096
#define NOT_ASKED      UINT32_MAX /* a class of the source whose name was not looked up yet */
#define MAX_DEADLINE_S 9e9
#define MIN_DEADLINE_S 1e-9

static const char *const keys[] = {"name", "priority", "deadline_s", "timeout_s", "cancel", "slo"};

void rt_classes_release(struct rt_class_spec *classes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(classes[i].name);
    free(classes);
}

static bool parse_class(const struct rt_json_at *at, struct rt_class_spec *c, struct rt_err *err)
{
    const char *name = NULL;

    c->slo = (struct rt_slo){(double)NAN, (double)NAN, (double)NAN};
    if (!rt_json_expect(at, RT_JSON_OBJECT, err) ||
        !rt_json_only(at, keys, sizeof keys / sizeof keys[0], err) ||
        !rt_json_need(at, "name", err) || !rt_json_string(at, "name", &name, err) ||
        !rt_json_int(at, "priority", INT32_MIN, INT32_MAX, &c->priority, err) ||
        !rt_json_double(at, "deadline_s", MIN_DEADLINE_S, MAX_DEADLINE_S, &c->deadline_s, err) ||
        !rt_patience_parse(at, &c->patience, err) || !rt_slo_parse(at, &c->slo, err))
        return false;
    if (name[0] == '\0') {
        struct rt_json_at place = rt_json_get(at, "name");
        return rt_json_fail(&place, err, "expected the name of a class, read \"\"");
    }
    c->name = strdup(name);
    return c->name != NULL || rt_fail_nomem(err, "classes");
}

const struct rt_class_spec *rt_scenario_class(const struct rt_scenario *s, const char *name)
{
    for (uint32_t i = 0; i < s->class_count; i++)
        if (strcmp(s->classes[i].name, name) == 0)
            return &s->classes[i];
    return NULL;
}

struct rt_slo rt_scenario_slo(const struct rt_scenario *s, const struct rt_class_spec *c)
{
    struct rt_slo slo = s->slo;

    if (c == NULL)
        return slo;
    slo.ttft_s = isnan(c->slo.ttft_s) ? slo.ttft_s : c->slo.ttft_s;
    slo.tpot_s = isnan(c->slo.tpot_s) ? slo.tpot_s : c->slo.tpot_s;
    slo.e2e_s = isnan(c->slo.e2e_s) ? slo.e2e_s : c->slo.e2e_s;
    return slo;
}

bool rt_classes_parse(const struct rt_json_at *root, struct rt_scenario *s, struct rt_err *err)
{
    struct rt_json_at at = rt_json_get(root, "classes");
    int count = rt_json_count(&at);

    if (at.node == NULL)
        return true;
    if (!rt_json_expect(&at, RT_JSON_ARRAY, err))
        return false;
    if (count > MAX_CLASSES)
        return rt_json_fail(&at, err, "expected at most %d classes, read %d", MAX_CLASSES, count);
    s->classes = calloc((size_t)count + 1, sizeof s->classes[0]);
    if (s->classes == NULL)
        return rt_fail_nomem(err, "classes");
    for (int i = 0; i < count; i++) {
        struct rt_json_at item = rt_json_item(&at, i);
        struct rt_class_spec *c = &s->classes[i];
        if (!parse_class(&item, c, err))
            return false;
        bool twice = rt_scenario_class(s, c->name) != NULL;
        s->class_count++;
        if (twice)
            return rt_json_fail(&item, err, "two classes are named \"%.64s\"", c->name);
    }
    return true;
}

void rt_writer_classes(struct rt_writer *w, const struct rt_scenario *s)
{
    rt_writer_open(w, "classes", '[');
    for (uint32_t i = 0; i < s->class_count; i++) {
        rt_writer_open(w, NULL, '{');
        rt_writer_string(w, "name", s->classes[i].name);
        rt_writer_int(w, "priority", s->classes[i].priority);
        if (s->classes[i].deadline_s > 0)
            rt_writer_double(w, "deadline_s", s->classes[i].deadline_s);
        rt_writer_patience(w, &s->classes[i].patience);
        rt_writer_slo(w, &s->classes[i].slo);
        rt_writer_close(w, '}');
    }
    rt_writer_close(w, ']');
}

static bool grow(struct class_map *m, uint32_t wanted)
{
    uint32_t capacity = wanted < UINT32_MAX / 2 ? 2 * wanted : wanted;
    uint32_t *of = realloc(m->of, capacity * sizeof of[0]);

    if (of == NULL)
        return false;
    for (uint32_t i = m->capacity; i < capacity; i++)
        of[i] = NOT_ASKED;
    m->of = of;
    m->capacity = capacity;
    return true;
}

/* *out: the request's class in the scenario, NULL: it has none. */
static bool class_of(struct class_map *m, const struct rt_scenario *s,
                     const struct rt_source *source, uint32_t name,
                     const struct rt_class_spec **out)
{
    *out = NULL;
    if (s->class_count == 0 || name == RT_NO_NAME)
        return true;
    if (name >= m->capacity && !grow(m, name + 1))
        return false;
    if (m->of[name] == NOT_ASKED) {
        const struct rt_class_spec *c = rt_scenario_class(s, rt_source_name(source, name));
        m->of[name] = c != NULL ? (uint32_t)(c - s->classes) + 1 : 0;
    }
    if (m->of[name] > 0)
        *out = &s->classes[m->of[name] - 1];
    return true;
}

/* INT64_MAX beyond the clock. */
static int64_t to_ns(double seconds)
{
    return seconds >= MAX_DEADLINE_S ? INT64_MAX : (int64_t)llround(seconds * 1e9);
}

bool class_map_apply(struct class_map *m, const struct rt_scenario *s,
                     const struct rt_source *source, struct rt_request *req,
                     struct rt_patience *patience)
{
    const struct rt_class_spec *c;

    if (!class_of(m, s, source, req->class_name, &c))
        return false;
    *patience = s->patience;
    double ttft_s = rt_scenario_slo(s, c).ttft_s;
    req->ttft_slo_ns = isnan(ttft_s) ? 0 : to_ns(ttft_s);
    if (c == NULL)
        return true;
    if (req->priority == 0)
        req->priority = (int32_t)c->priority;
    if (req->deadline_ns == RT_NO_DEADLINE && c->deadline_s > 0)
        req->deadline_ns = to_ns(c->deadline_s);
    if (c->patience.timeout_s > 0)
        patience->timeout_s = c->patience.timeout_s;
    if (c->patience.cancel_mean_s > 0) {
        patience->cancel_share = c->patience.cancel_share;
        patience->cancel_mean_s = c->patience.cancel_mean_s;
    }
    return true;
}

uint32_t class_map_place(const struct class_map *m, uint32_t class_name)
{
    return class_name == RT_NO_NAME || class_name >= m->capacity ? 0 : m->of[class_name];
}

void class_map_release(struct class_map *m)
{
    free(m->of);
}
