/* The scenario's section `classes`: what requests of a traffic class are given when the trace does
 * not say it itself.
 *
 *     "classes": [{"name": "chat", "priority": -1}, {"name": "batch", "priority": 5}]
 *
 * Classes are known by name in the scenario and by index in the source; the simulation asks once an
 * index and remembers the answer, so a request costs O(1). Names that the trace never uses are no
 * error: the same scenario serves many traces. */
#include "sim_internal.h"
#include "sim_print_internal.h"

#include <stdlib.h>
#include <string.h>

#define MAX_CLASSES 4096
#define UNKNOWN     INT64_MIN /* not asked yet; no priority is so small */

static const char *const keys[] = {"name", "priority"};

void rt_classes_release(struct rt_class_spec *classes, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        free(classes[i].name);
    free(classes);
}

static bool parse_class(const struct rt_json_at *at, struct rt_class_spec *c, struct rt_err *err)
{
    const char *name = NULL;

    if (!rt_json_expect(at, RT_JSON_OBJECT, err) ||
        !rt_json_only(at, keys, sizeof keys / sizeof keys[0], err) ||
        !rt_json_need(at, "name", err) || !rt_json_string(at, "name", &name, err) ||
        !rt_json_need(at, "priority", err) ||
        !rt_json_int(at, "priority", INT32_MIN, INT32_MAX, &c->priority, err))
        return false;
    if (name[0] == '\0') {
        struct rt_json_at place = rt_json_get(at, "name");
        return rt_json_fail(&place, err, "expected the name of a class, read \"\"");
    }
    c->name = strdup(name);
    return c->name != NULL || rt_fail_nomem(err, "classes");
}

static const struct rt_class_spec *find(const struct rt_scenario *s, uint32_t count,
                                        const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(s->classes[i].name, name) == 0)
            return &s->classes[i];
    return NULL;
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
        s->class_count++;
        if (find(s, (uint32_t)i, c->name))
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
        rt_writer_close(w, '}');
    }
    rt_writer_close(w, ']');
}

static bool grow(struct class_priorities *p, uint32_t wanted)
{
    uint32_t capacity = wanted < UINT32_MAX / 2 ? 2 * wanted : wanted;
    int64_t *of = realloc(p->of, capacity * sizeof of[0]);

    if (of == NULL)
        return false;
    for (uint32_t i = p->capacity; i < capacity; i++)
        of[i] = UNKNOWN;
    p->of = of;
    p->capacity = capacity;
    return true;
}

bool class_priorities_apply(struct class_priorities *p, const struct rt_scenario *s,
                            const struct rt_source *source, struct rt_request *req)
{
    uint32_t class_name = req->class_name;

    if (s->class_count == 0 || class_name == RT_NO_NAME || req->priority != 0)
        return true;
    if (class_name >= p->capacity && !grow(p, class_name + 1))
        return false;
    if (p->of[class_name] == UNKNOWN) {
        const struct rt_class_spec *c = find(s, s->class_count, rt_source_name(source, class_name));
        p->of[class_name] = c != NULL ? c->priority : 0;
    }
    req->priority = (int32_t)p->of[class_name];
    return true;
}

void class_priorities_release(struct class_priorities *p)
{
    free(p->of);
}
