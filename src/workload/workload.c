/* workload.c: the section `workload` of a scenario, and opening what it describes.
 *
 *     "workload": { "trace": "conv.csv", "format": "auto", "rate_scale": 1.0, "repeat": 1,
 *                   "window_s": [0, 600], "max_requests": 1000, "block_size": 512,
 *                   "columns": "arrival=ts:ms,prompt=in,output=out", "failed": "keep" }
 *
 * and the keys of load.c and transform_spec.c; "time_scale" is 1 / rate_scale. Only `trace` has no
 * default; "synthetic" (synth_spec.c) or "mix" (workload_mix.c) may stand in its place. Failure:
 * RT_ECONFIG with the JSON path for the section; what rt_trace_open says for the file. */
#include "rooftrace/workload.h"

#include "load_internal.h"
#include "workload_internal.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIN_RATE_SCALE   1e-9
#define MAX_RATE_SCALE   1e9
#define MAX_REPEAT       1000000000
#define MAX_BLOCK_TOKENS (1 << 20)
#define MAX_JSON_INTEGER (INT64_C(1) << 53)
#define MAX_WINDOW_S     9223372036.0 /* 292 years, see fields.c */
#define MAX_FORMAT_NAMES 64u

void rt_workload_init(struct rt_workload_spec *w)
{
    *w = (struct rt_workload_spec){.format = "auto",
                                   .rate_scale = 1.0,
                                   .repeat = 1,
                                   .window_s = {0, HUGE_VAL},
                                   .max_requests = UINT64_MAX,
                                   .seed = 1};
    rt_load_init(&w->load);
    rt_synthetic_init(&w->synthetic);
    rt_transform_init(&w->transform);
}

void rt_workload_release(struct rt_workload_spec *w)
{
    free(w->trace);
    free(w->columns);
    w->trace = w->columns = NULL;
    rt_mix_release(w);
    rt_load_release(&w->load);
    rt_synthetic_release(&w->synthetic);
}

static bool parse_trace(const struct rt_json_at *at, struct rt_workload_spec *w, struct rt_err *err)
{
    const char *path = NULL;
    if (!rt_json_string(at, "trace", &path, err))
        return false;
    if (path == NULL)
        return true;
    struct rt_json_at place = rt_json_get(at, "trace");
    if (path[0] == '\0')
        return rt_json_fail(&place, err, "expected a path, read \"\"");
    bool is_stdin = strcmp(path, "-") == 0;
    char *resolved = is_stdin ? strdup(path) : rt_path_beside(rt_json_name(at->doc), path);
    if (resolved == NULL)
        return rt_fail_nomem(err, "path of a trace");
    free(w->trace);
    w->trace = resolved;
    return true;
}

static bool parse_format(const struct rt_json_at *at, struct rt_workload_spec *w,
                         struct rt_err *err)
{
    const char *names[MAX_FORMAT_NAMES] = {"auto"};
    unsigned count = 1, choice = UINT32_MAX;
    for (unsigned i = 0; i < rt_trace_format_count() && count < MAX_FORMAT_NAMES; i++)
        names[count++] = rt_trace_format_info(i).name;
    if (!rt_json_choice(at, "format", names, count, &choice, err))
        return false;
    if (choice < count)
        (void)snprintf(w->format, sizeof w->format, "%s", names[choice]);
    return true;
}

/* One end of window_s. The JSON layer reads members of objects only, so the element's text, which
 * reads back as the same double, is read here. */
static bool parse_end(const struct rt_json_at *window, int i, double *out, struct rt_err *err)
{
    struct rt_json_at end = rt_json_item(window, i);
    if (!rt_json_expect(&end, RT_JSON_NUMBER, err))
        return false;
    char *text = rt_json_print(&end);
    if (text == NULL)
        return rt_fail_nomem(err, "window_s");
    enum rt_number status = rt_number_double(text, strlen(text), out);
    free(text);
    if (status == RT_NUMBER_OK && *out >= 0 && *out <= MAX_WINDOW_S)
        return true;
    return rt_json_fail(&end, err, "expected a number of seconds from 0 to %.0f", MAX_WINDOW_S);
}

static bool parse_window(const struct rt_json_at *at, struct rt_workload_spec *w,
                         struct rt_err *err)
{
    struct rt_json_at window = rt_json_get(at, "window_s");
    double ends[2] = {0, 0};
    if (rt_json_kind(&window) == RT_JSON_ABSENT)
        return true;
    if (!rt_json_expect(&window, RT_JSON_ARRAY, err))
        return false;
    if (rt_json_count(&window) != 2)
        return rt_json_fail(&window, err, "expected [from, to) in seconds, read %d elements",
                            rt_json_count(&window));
    if (!parse_end(&window, 0, &ends[0], err) || !parse_end(&window, 1, &ends[1], err))
        return false;
    if (!(ends[0] < ends[1]))
        return rt_json_fail(&window, err, "expected from < to, read [%g, %g]", ends[0], ends[1]);
    memcpy(w->window_s, ends, sizeof ends);
    w->has_window = true;
    return true;
}

static bool parse_counts(const struct rt_json_at *at, struct rt_workload_spec *w,
                         struct rt_err *err)
{
    int64_t repeat = (int64_t)w->repeat, block_size = w->block_size, max_requests = 0;
    if (!rt_json_int(at, "repeat", 1, MAX_REPEAT, &repeat, err) ||
        !rt_json_int(at, "max_requests", 1, MAX_JSON_INTEGER, &max_requests, err) ||
        !rt_json_int(at, "block_size", 1, MAX_BLOCK_TOKENS, &block_size, err))
        return false;
    w->repeat = (uint64_t)repeat;
    w->block_size = (uint32_t)block_size;
    if (max_requests > 0)
        w->max_requests = (uint64_t)max_requests;
    return true;
}

static bool parse_rate(const struct rt_json_at *at, struct rt_workload_spec *w, struct rt_err *err)
{
    struct rt_json_at time = rt_json_get(at, "time_scale"), rate = rt_json_get(at, "rate_scale");
    double time_scale = 1;
    if (!rt_json_double(at, "rate_scale", MIN_RATE_SCALE, MAX_RATE_SCALE, &w->rate_scale, err) ||
        !rt_json_double(at, "time_scale", MIN_RATE_SCALE, MAX_RATE_SCALE, &time_scale, err))
        return false;
    if (rt_json_kind(&time) == RT_JSON_ABSENT)
        return true;
    if (rt_json_kind(&rate) != RT_JSON_ABSENT)
        return rt_json_fail(&time, err, "expected either rate_scale or time_scale, read both");
    w->rate_scale = 1 / time_scale;
    return true;
}

/* Drawn arrivals take the place of the times that these change; NULL: all is well. */
static const char *changes_nothing(const struct rt_workload_spec *w)
{
    if (w->load.arrivals == RT_ARRIVALS_TRACE)
        return NULL;
    if (w->rate_scale != 1.0)
        return "rate_scale";
    return w->transform.max_gap_s > 0 ? "max_gap_s" : NULL;
}

static const char changes_nothing_text[] =
    "has no meaning beside request_rate or rate_profile, which replace the trace's times";
static const char needs_copies_text[] =
    "expected copies (repeat, superpose) to which other hash ids can be given";

/* More roots than one need copies that could have them. */
static bool lacks_copies(const struct rt_workload_spec *w)
{
    return w->transform.prefix_roots > 1 && w->repeat == 1 && w->transform.copies == 1;
}

/* The rules between sections. */
static bool check_rules(const struct rt_json_at *at, const struct rt_workload_spec *w,
                        struct rt_err *err)
{
    const char *key = changes_nothing(w);
    struct rt_json_at place = rt_json_get(at, key != NULL ? key : "prefix_roots");
    if (key != NULL && place.node == NULL)
        place = rt_json_get(at, "time_scale");
    if (key != NULL)
        return rt_json_fail(&place, err, "%s", changes_nothing_text);
    return !lacks_copies(w) || rt_json_fail(&place, err, "%s", needs_copies_text);
}

static bool only_known_keys(const struct rt_json_at *at, bool part, struct rt_err *err)
{
    static const char *const own[] = {"trace",       "format",       "rate_scale", "repeat",
                                      "window_s",    "max_requests", "block_size", "synthetic",
                                      "columns",     "failed",       "time_scale", "superpose",
                                      "over_context"};
    static const char *const of_part[] = {"class", "start_s"};
    const char *keys[48];
    unsigned count = 0;
    assert(sizeof own / sizeof own[0] + rt_transform_key_count + rt_load_key_count + 1 <=
           sizeof keys / sizeof keys[0]);
    for (unsigned i = 0; i < sizeof own / sizeof own[0]; i++)
        keys[count++] = own[i];
    for (unsigned i = 0; i < rt_transform_key_count; i++)
        keys[count++] = rt_transform_keys[i].name;
    for (unsigned i = 0; i < (part ? 2 : rt_load_key_count); i++)
        keys[count++] = part ? of_part[i] : rt_load_keys[i];
    if (!part)
        keys[count++] = "mix";
    return rt_json_only(at, keys, count, err);
}

static bool none_beside(const struct rt_json_at *at, const char *instead, const char *const *keys,
                        struct rt_err *err)
{
    for (; *keys != NULL; keys++) {
        struct rt_json_at other = rt_json_get(at, *keys);
        if (other.node != NULL)
            return rt_json_fail(&other, err, "has no meaning beside workload.%s", instead);
    }
    return true;
}

/* Instead of a trace; what cuts and repeats traces has no meaning beside them. */
static bool parse_instead(const struct rt_json_at *at, struct rt_workload_spec *w,
                          struct rt_err *err)
{
    static const char *const beside_synthetic[] = {"trace",    "format",   "repeat", "mix",
                                                   "window_s", "spread_s", NULL};
    static const char *const beside_mix[] = {"trace",      "format",   "repeat",
                                             "window_s",   "spread_s", "columns",
                                             "block_size", "failed",   NULL};
    struct rt_json_at synthetic = rt_json_get(at, "synthetic"), mix = rt_json_get(at, "mix");
    if (synthetic.node != NULL)
        return none_beside(at, "synthetic", beside_synthetic, err) &&
               rt_synthetic_parse(&synthetic, &w->synthetic, err);
    if (mix.node != NULL)
        return none_beside(at, "mix", beside_mix, err) && rt_mix_parse(&mix, w, err);
    return true;
}

/* Checked here, so that a wrong word is told with the key and not when the trace is opened. */
static bool parse_columns(const struct rt_json_at *at, struct rt_workload_spec *w,
                          struct rt_err *err)
{
    const char *text = NULL;
    struct rt_columns *columns;
    if (!rt_json_string(at, "columns", &text, err))
        return false;
    if (text == NULL)
        return true;
    if (!rt_columns_parse(text, &columns, err)) {
        char path[160];
        struct rt_json_at place = rt_json_get(at, "columns");
        return rt_fail_in(err, "%s: %s", rt_json_name(at->doc),
                          rt_json_path(&place, path, sizeof path));
    }
    rt_columns_free(columns);
    free(w->columns);
    w->columns = strdup(text);
    return w->columns != NULL || rt_fail_nomem(err, "columns of a trace");
}

static bool parse_failed(const struct rt_json_at *at, struct rt_workload_spec *w,
                         struct rt_err *err)
{
    static const char *const names[] = {"keep", "drop"};
    unsigned choice = w->drop_failed;
    if (!rt_json_choice(at, "failed", names, 2, &choice, err))
        return false;
    w->drop_failed = choice == 1;
    return true;
}

static bool parse_section(const struct rt_json_at *at, bool part, struct rt_workload_spec *w,
                          struct rt_err *err)
{
    return rt_json_expect(at, RT_JSON_OBJECT, err) && only_known_keys(at, part, err) &&
           parse_instead(at, w, err) && parse_trace(at, w, err) && parse_format(at, w, err) &&
           parse_rate(at, w, err) && parse_window(at, w, err) && parse_counts(at, w, err) &&
           parse_columns(at, w, err) && parse_failed(at, w, err) &&
           rt_transform_parse(at, &w->transform, err) &&
           (part || rt_load_parse(at, &w->load, err)) && check_rules(at, w, err);
}

bool rt_workload_parse(const struct rt_json_at *at, struct rt_workload_spec *w, struct rt_err *err)
{
    return parse_section(at, false, w, err);
}

bool rt_workload_parse_part(const struct rt_json_at *at, struct rt_workload_spec *w,
                            struct rt_err *err)
{
    return parse_section(at, true, w, err);
}

static bool check_numbers(const struct rt_workload_spec *w, struct rt_err *err)
{
    if (!(w->rate_scale >= MIN_RATE_SCALE && w->rate_scale <= MAX_RATE_SCALE))
        return rt_fail(err, RT_ECONFIG, "rate_scale: expected a number from %g to %g, read %g",
                       MIN_RATE_SCALE, MAX_RATE_SCALE, w->rate_scale);
    if (w->repeat < 1 || w->repeat > MAX_REPEAT)
        return rt_fail(err, RT_ECONFIG, "repeat: expected an integer from 1 to %d, read %llu",
                       MAX_REPEAT, (unsigned long long)w->repeat);
    if (w->max_requests < 1)
        return rt_fail(err, RT_ECONFIG, "max_requests: expected an integer, at least 1, read 0");
    if (w->block_size > MAX_BLOCK_TOKENS)
        return rt_fail(err, RT_ECONFIG, "block_size: expected an integer from 1 to %d, read %u",
                       MAX_BLOCK_TOKENS, w->block_size);
    if (w->has_window && !(w->window_s[0] >= 0 && w->window_s[0] < w->window_s[1]))
        return rt_fail(err, RT_ECONFIG,
                       "window_s: expected 0 <= from < to in seconds, read %g and %g",
                       w->window_s[0], w->window_s[1]);
    return true;
}

/* A spec may come from elsewhere than rt_workload_parse. */
bool rt_workload_check(const struct rt_workload_spec *w, struct rt_err *err)
{
    if (w->synthetic.requests == 0 && w->mix_count == 0 &&
        (w->trace == NULL || w->trace[0] == '\0'))
        return rt_fail(err, RT_ECONFIG, "workload: expected a trace, none was given");
    if (!check_numbers(w, err) || !rt_transform_check(&w->transform, err))
        return false;
    const char *key = changes_nothing(w);
    if (key != NULL)
        return rt_fail(err, RT_ECONFIG, "%s: %s", key, changes_nothing_text);
    return !lacks_copies(w) || rt_fail(err, RT_ECONFIG, "prefix_roots: %s", needs_copies_text);
}

bool rt_workload_open(const struct rt_workload_spec *w, struct rt_source **out, struct rt_err *err)
{
    return rt_workload_check(w, err) && rt_transform_open(w, NULL, out, err) &&
           rt_load_wrap(&w->load, w->seed, out, err);
}

struct rt_trace_options rt_workload_trace_options(const struct rt_workload_spec *w)
{
    return (struct rt_trace_options){.format = w->format,
                                     .columns = w->columns,
                                     .block_size = w->block_size,
                                     .drop_failed = w->drop_failed,
                                     .seed = w->seed};
}
