/* load.c: the keys of section `workload` that shape a load, and the sources they stand for.
 *
 *     "max_concurrency": 64, "request_rate": 8.5, "burstiness": 0.7, "sessions": "think",
 *     "rate_profile": { "shape": "linear", "points": [[0, 1], [600, 20]], "period_s": 3600 }
 *
 * request_rate may be "inf" (all at once), burstiness too (equal gaps). All have defaults; rules
 * between keys are checked here, too. Failure: RT_ECONFIG with the JSON path. */
#include "load_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MIN_RATE       1e-9
#define MAX_RATE       1e9
#define MIN_BURSTINESS 1e-3 /* squared CV of the gaps 1000 */
#define MAX_BURSTINESS 1e9
#define MIN_PERIOD_S   1e-3
#define MAX_TIME_S     9e9 /* 285 years: ns still fit in 63 bits */

const char *const rt_rate_shape_names[RT_RATE_SHAPE_COUNT] = {"steps", "linear", "on_off",
                                                              "diurnal"};
const char *const rt_sessions_names[RT_SESSIONS_COUNT] = {"open", "trace", "think"};
const char *const rt_load_keys[] = {"max_concurrency", "request_rate", "rate_profile", "burstiness",
                                    "sessions"};
const unsigned rt_load_key_count = sizeof rt_load_keys / sizeof rt_load_keys[0];

void rt_load_init(struct rt_load_spec *l)
{
    *l = (struct rt_load_spec){.burstiness = 1.0};
}

void rt_load_release(struct rt_load_spec *l)
{
    free(l->profile.points);
    rt_load_init(l);
}

/* A number, or the text "inf". *given: the key is there. */
static bool parse_or_inf(const struct rt_json_at *at, const char *key, double min, double max,
                         double *out, struct rt_err *err)
{
    struct rt_json_at place = rt_json_get(at, key);
    const char *text = NULL;
    if (rt_json_kind(&place) != RT_JSON_STRING)
        return rt_json_double(at, key, min, max, out, err);
    if (!rt_json_string(at, key, &text, err))
        return false;
    if (strcmp(text, "inf") != 0)
        return rt_json_fail(&place, err, "expected a number or \"inf\", read \"%.40s\"", text);
    *out = HUGE_VAL;
    return true;
}

/* ---- rate_profile ---- */

/* [from_s, rate] */
static bool parse_point(const struct rt_json_at *list, int i, struct rt_rate_spec *p,
                        struct rt_err *err)
{
    struct rt_json_at pair = rt_json_item(list, i);
    struct rt_rate_point *point = &p->points[i];
    if (!rt_json_expect(&pair, RT_JSON_ARRAY, err))
        return false;
    if (rt_json_count(&pair) != 2)
        return rt_json_fail(&pair, err, "expected [from_s, rate], read %d elements",
                            rt_json_count(&pair));
    struct rt_json_at from = rt_json_item(&pair, 0), rate = rt_json_item(&pair, 1);
    return rt_json_number(&from, 0, MAX_TIME_S, &point->from_s, err) &&
           rt_json_number(&rate, 0, MAX_RATE, &point->rate, err);
}

static bool parse_points(const struct rt_json_at *at, struct rt_rate_spec *p, struct rt_err *err)
{
    struct rt_json_at list = rt_json_get(at, "points");
    int count = rt_json_count(&list);
    if (!rt_json_need(at, "points", err) || !rt_json_expect(&list, RT_JSON_ARRAY, err))
        return false;
    if (count < 1 || count > RT_MAX_RATE_POINTS)
        return rt_json_fail(&list, err, "expected 1 to %d points, read %d", RT_MAX_RATE_POINTS,
                            count);
    p->points = calloc((size_t)count, sizeof p->points[0]);
    if (p->points == NULL)
        return rt_fail_nomem(err, "rate_profile");
    p->point_count = (uint32_t)count;
    for (int i = 0; i < count; i++)
        if (!parse_point(&list, i, p, err))
            return false;
    return true;
}

static bool parse_shape_keys(const struct rt_json_at *at, struct rt_rate_spec *p,
                             struct rt_err *err)
{
    static const char *const points[] = {"shape", "points", "period_s"};
    static const char *const on_off[] = {"shape", "rate", "off_rate", "on_s", "off_s"};
    static const char *const wave[] = {"shape", "rate", "amplitude", "period_s", "peak_s"};
    switch (p->shape) {
    case RT_RATE_STEPS:
    case RT_RATE_LINEAR:
        return rt_json_only(at, points, 3, err) && parse_points(at, p, err) &&
               rt_json_double(at, "period_s", MIN_PERIOD_S, MAX_TIME_S, &p->period_s, err);
    case RT_RATE_ON_OFF:
        return rt_json_only(at, on_off, 5, err) && rt_json_need(at, "rate", err) &&
               rt_json_need(at, "on_s", err) && rt_json_need(at, "off_s", err) &&
               rt_json_double(at, "rate", MIN_RATE, MAX_RATE, &p->rate, err) &&
               rt_json_double(at, "off_rate", 0, MAX_RATE, &p->off_rate, err) &&
               rt_json_double(at, "on_s", MIN_PERIOD_S, MAX_TIME_S, &p->on_s, err) &&
               rt_json_double(at, "off_s", MIN_PERIOD_S, MAX_TIME_S, &p->off_s, err);
    case RT_RATE_DIURNAL:
        p->period_s = 86400;
        return rt_json_only(at, wave, 5, err) && rt_json_need(at, "rate", err) &&
               rt_json_need(at, "amplitude", err) &&
               rt_json_double(at, "rate", MIN_RATE, MAX_RATE, &p->rate, err) &&
               rt_json_double(at, "amplitude", 0, 1, &p->amplitude, err) &&
               rt_json_double(at, "period_s", MIN_PERIOD_S, MAX_TIME_S, &p->period_s, err) &&
               rt_json_double(at, "peak_s", 0, MAX_TIME_S, &p->peak_s, err);
    case RT_RATE_SHAPE_COUNT:
        break;
    }
    return false;
}

static bool check_points(const struct rt_rate_spec *p, struct rt_err *err)
{
    uint32_t last = p->point_count - 1;
    bool some = false;
    if (p->points[0].from_s != 0)
        return rt_fail(err, RT_ECONFIG, "points: expected the first at 0 s, read %g",
                       p->points[0].from_s);
    for (uint32_t i = 0; i < p->point_count; i++) {
        if (i > 0 && !(p->points[i].from_s > p->points[i - 1].from_s))
            return rt_fail(err, RT_ECONFIG, "points: expected ascending times, read %g after %g",
                           p->points[i].from_s, p->points[i - 1].from_s);
        some = some || p->points[i].rate > 0;
    }
    if (p->period_s > 0 && !(p->period_s > p->points[last].from_s))
        return rt_fail(err, RT_ECONFIG, "period_s: expected more than the last point's %g, read %g",
                       p->points[last].from_s, p->period_s);
    if (!some)
        return rt_fail(err, RT_ECONFIG, "points: expected a rate above 0, read 0 everywhere");
    if (p->period_s == 0 && p->points[last].rate == 0)
        return rt_fail(
            err, RT_ECONFIG,
            "points: expected a last rate above 0 without period_s: it goes on for ever");
    return true;
}

static bool parse_profile(const struct rt_json_at *at, struct rt_load_spec *l, struct rt_err *err)
{
    struct rt_json_at place = rt_json_get(at, "rate_profile");
    struct rt_rate_spec p = {.shape = RT_RATE_SHAPE_COUNT};
    unsigned shape = 0;
    if (rt_json_kind(&place) == RT_JSON_ABSENT)
        return true;
    if (!rt_json_expect(&place, RT_JSON_OBJECT, err) || !rt_json_need(&place, "shape", err) ||
        !rt_json_choice(&place, "shape", rt_rate_shape_names, RT_RATE_SHAPE_COUNT, &shape, err))
        return false;
    p.shape = (enum rt_rate_shape)shape;
    bool ok = parse_shape_keys(&place, &p, err);
    struct rt_err why = {0};
    if (ok && p.point_count > 0 && !check_points(&p, &why))
        ok = rt_json_fail(&place, err, "%s", why.msg);
    free(ok ? l->profile.points : p.points);
    if (ok) {
        l->profile = p;
        l->arrivals = RT_ARRIVALS_PROFILE;
    }
    return ok;
}

static bool parse_rate(const struct rt_json_at *at, struct rt_load_spec *l, struct rt_err *err)
{
    struct rt_json_at place = rt_json_get(at, "request_rate");
    if (rt_json_kind(&place) == RT_JSON_ABSENT)
        return true;
    if (l->arrivals == RT_ARRIVALS_PROFILE)
        return rt_json_fail(&place, err, "expected either request_rate or rate_profile, read both");
    if (!parse_or_inf(at, "request_rate", MIN_RATE, MAX_RATE, &l->request_rate, err))
        return false;
    l->arrivals = isinf(l->request_rate) ? RT_ARRIVALS_AT_ONCE : RT_ARRIVALS_RATE;
    return true;
}

bool rt_load_parse(const struct rt_json_at *at, struct rt_load_spec *l, struct rt_err *err)
{
    struct rt_json_at burstiness = rt_json_get(at, "burstiness");
    unsigned sessions = l->sessions;
    if (!rt_json_int(at, "max_concurrency", 1, RT_MAX_CONCURRENCY, &l->max_concurrency, err) ||
        !parse_profile(at, l, err) || !parse_rate(at, l, err) ||
        !parse_or_inf(at, "burstiness", MIN_BURSTINESS, MAX_BURSTINESS, &l->burstiness, err) ||
        !rt_json_choice(at, "sessions", rt_sessions_names, RT_SESSIONS_COUNT, &sessions, err))
        return false;
    l->sessions = (enum rt_sessions)sessions;
    if (rt_json_kind(&burstiness) != RT_JSON_ABSENT && l->arrivals == RT_ARRIVALS_TRACE)
        return rt_json_fail(&burstiness, err, "expected request_rate or rate_profile beside it");
    return true;
}

/* ---- sources ---- */

/* A spec may come from elsewhere than rt_load_parse. */
static bool check(const struct rt_load_spec *l, struct rt_err *err)
{
    if (l->max_concurrency < 0 || l->max_concurrency > RT_MAX_CONCURRENCY)
        return rt_fail(err, RT_ECONFIG,
                       "max_concurrency: expected an integer from 1 to %lld, read %lld",
                       (long long)RT_MAX_CONCURRENCY, (long long)l->max_concurrency);
    if (l->arrivals == RT_ARRIVALS_RATE &&
        !(l->request_rate >= MIN_RATE && l->request_rate <= MAX_RATE))
        return rt_fail(err, RT_ECONFIG, "request_rate: expected a number from %g to %g, read %g",
                       MIN_RATE, MAX_RATE, l->request_rate);
    if (!(l->burstiness >= MIN_BURSTINESS))
        return rt_fail(err, RT_ECONFIG, "burstiness: expected a number from %g to %g, read %g",
                       MIN_BURSTINESS, MAX_BURSTINESS, l->burstiness);
    return l->arrivals != RT_ARRIVALS_PROFILE || l->profile.point_count == 0 ||
           check_points(&l->profile, err);
}

static bool wrap_arrivals(const struct rt_load_spec *l, uint64_t seed, struct rt_source **source,
                          struct rt_err *err)
{
    struct rt_arrival_clock clock, *drawn = l->arrivals == RT_ARRIVALS_TRACE ? NULL : &clock;
    if (drawn != NULL && !rt_arrival_clock_init(drawn, l, seed, err))
        return false;
    bool ok = true;
    if (l->sessions != RT_SESSIONS_OPEN)
        ok = rt_sessions_new(*source, l->sessions, drawn, source, err);
    else if (drawn != NULL)
        ok = rt_arrivals_new(*source, drawn, source, err);
    if (!ok && drawn != NULL)
        rt_arrival_clock_release(drawn);
    return ok;
}

bool rt_load_wrap(const struct rt_load_spec *l, uint64_t seed, struct rt_source **source,
                  struct rt_err *err)
{
    bool ok = check(l, err) && wrap_arrivals(l, seed, source, err);
    if (ok && l->max_concurrency > 0)
        ok = rt_closed_loop_new(*source, l->max_concurrency, source, err);
    if (!ok) {
        rt_source_free(*source);
        *source = NULL;
    }
    return ok;
}
