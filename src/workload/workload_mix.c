/* workload_mix.c: several traces as one, each with transformations and a class of its own.
 *
 *     "mix": [ { "trace": "chat.jsonl", "class": "chat", "rate_scale": 2 },
 *              { "trace": "code.csv", "class": "code", "start_s": 600, "prompt_scale": 1.5 } ]
 *
 * An element takes the keys of the section `workload` that do not shape a load, and class and
 * start_s; "synthetic" may stand in the place of its trace. Failure: RT_ECONFIG with the JSON path.
 * O(elements). */
#include "workload_internal.h"

#include <stdlib.h>
#include <string.h>

#define MAX_START_S 9e9

void rt_mix_release(struct rt_workload_spec *w)
{
    for (uint32_t i = 0; i < w->mix_count; i++) {
        rt_workload_release(&w->mix[i].workload); /* one level deep: parts have no mix */
        free(w->mix[i].class_name);
    }
    free(w->mix);
    w->mix = NULL;
    w->mix_count = 0;
}

static bool parse_class(const struct rt_json_at *at, struct rt_mix_part *part, struct rt_err *err)
{
    const char *text = NULL;
    struct rt_json_at place = rt_json_get(at, "class");
    struct rt_err why = {0};
    if (!rt_json_string(at, "class", &text, err))
        return false;
    if (text == NULL)
        return true;
    if (text[0] == '\0')
        return rt_json_fail(&place, err, "expected a name, read \"\"");
    if (!rt_text_check(text, strlen(text), &why))
        return rt_json_fail(&place, err, "%s", why.msg);
    part->class_name = strdup(text);
    return part->class_name != NULL || rt_fail_nomem(err, "class of a trace");
}

static bool parse_part(const struct rt_json_at *at, struct rt_mix_part *part, struct rt_err *err)
{
    if (!rt_workload_parse_part(at, &part->workload, err) || !parse_class(at, part, err) ||
        !rt_json_double(at, "start_s", 0, MAX_START_S, &part->start_s, err))
        return false;
    return part->workload.synthetic.requests > 0 || rt_json_need(at, "trace", err);
}

bool rt_mix_parse(const struct rt_json_at *at, struct rt_workload_spec *w, struct rt_err *err)
{
    int count = rt_json_count(at);
    if (!rt_json_expect(at, RT_JSON_ARRAY, err))
        return false;
    if (count < 1 || count > RT_MAX_MIX)
        return rt_json_fail(at, err, "expected 1 to %d elements, read %d", RT_MAX_MIX, count);
    rt_mix_release(w);
    w->mix = calloc((size_t)count, sizeof w->mix[0]);
    if (w->mix == NULL)
        return rt_fail_nomem(err, "mix of traces");
    for (int i = 0; i < count; i++) {
        struct rt_json_at element = rt_json_item(at, i);
        rt_workload_init(&w->mix[i].workload);
        w->mix_count++;
        if (!parse_part(&element, &w->mix[i], err))
            return false;
    }
    return true;
}
