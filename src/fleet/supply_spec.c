/* The scenario's keys on supply, all of them of a pool but the last:
 *
 *     "startup": {"provision_s": 60, "load_gb_per_s": 2},
 *     "drain_timeout_s": 300,
 *     "scaling": {"policy": "queue_depth", "min_replicas": 1, "max_replicas": 8,
 *                 "target_requests": 32},
 *     "failures": {"time_to_crash": {"mean_s": 86400, "weibull_shape": 0.8},
 *                  "time_to_repair": {"mean_s": 600},
 *                  "outages": [{"at_s": 10, "replica": 0, "for_s": 30}],
 *                  "down": 1,
 *                  "maintenance": {"start_s": 3600, "down_s": 120},
 *                  "spot": {"mean_s": 7200, "notice_s": 120, "back_s": 600}}
 *     "retry": {"mode": "resume", "max_retries": 3, "delay_s": 0}
 *
 * Failure: RT_ECONFIG with the JSON path, or RT_ENOMEM. O(keys), lists sorted once. */
#include "rooftrace/model.h"
#include "supply_internal.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_POLICIES 64u
#define MAX_S        9e9 /* 285 years */
#define MIN_MEAN_S   1e-3
#define MIN_SHAPE    0.1
#define MAX_SHAPE    100
#define MAX_LIST     1000000
#define MAX_RETRIES  65535
#define MAX_WINDOW   100000 /* ticks in a window or season */
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Gigabytes a second from storage into the GPUs of a replica: about what a general purpose cloud
 * volume gives (AWS gp3: 1 GB/s at the most; NVIDIA's "Reducing cold start latency for LLM
 * inference", 2025, measured weights at that rate with a streaming loader, at a third of it
 * without). */
#define LOAD_GB_PER_S 1.0

const char *const rt_retry_mode_names[RT_RETRY_MODE_COUNT] = {"resume", "restart", "fail"};

void supply_spec_release(struct rt_supply_spec *s)
{
    if (!s)
        return;
    free(s->scaling.steps);
    free(s->failures.outages);
    free(s);
}

/* A list of objects: room for it, and how many; absent: none. */
static bool open_list(const struct rt_json_at *at, const char *key, size_t size, void **items,
                      uint32_t *count, struct rt_err *err)
{
    struct rt_json_at list = rt_json_get(at, key);
    int n = rt_json_count(&list);
    *count = 0;
    if (list.node == NULL)
        return true;
    if (!rt_json_expect(&list, RT_JSON_ARRAY, err))
        return false;
    if (n > MAX_LIST)
        return rt_json_fail(&list, err, "expected at most %d, read %d", MAX_LIST, n);
    *items = calloc((size_t)n + 1, size);
    if (*items == NULL)
        return rt_fail_nomem(err, key);
    *count = (uint32_t)n;
    return true;
}

/* ---- scaling --------------------------------------------------------------------------------- */

static bool parse_steps(const struct rt_json_at *at, struct rt_scaling_spec *s, struct rt_err *err)
{
    static const char *const keys[] = {"at_s", "replicas"};
    struct rt_json_at list = rt_json_get(at, "steps");
    void *items = NULL;
    if (!rt_json_need(at, "steps", err) ||
        !open_list(at, "steps", sizeof s->steps[0], &items, &s->step_count, err))
        return false;
    s->steps = items;
    if (s->step_count == 0)
        return rt_json_fail(&list, err, "expected at least one step");
    for (uint32_t i = 0; i < s->step_count; i++) {
        struct rt_json_at item = rt_json_item(&list, (int)i);
        struct rt_schedule_step *step = &s->steps[i];
        double least = i > 0 ? s->steps[i - 1].at_s : 0, period = s->params[RT_SCALER_PERIOD];
        if (!rt_json_expect(&item, RT_JSON_OBJECT, err) || !rt_json_only(&item, keys, 2, err) ||
            !rt_json_need(&item, "at_s", err) || !rt_json_need(&item, "replicas", err) ||
            !rt_json_double(&item, "at_s", 0, MAX_S, &step->at_s, err) ||
            !rt_json_int(&item, "replicas", 0, s->max_replicas, &step->replicas, err))
            return false;
        if (i > 0 && step->at_s <= least)
            return rt_json_fail(&item, err, "expected a time after %g s, read %g", least,
                                step->at_s);
        if (period > 0 && step->at_s >= period)
            return rt_json_fail(&item, err, "expected a time before period_s, %g, read %g", period,
                                step->at_s);
    }
    return true;
}

static bool parse_policy(const struct rt_json_at *at, const struct rt_scaler_policy **policy,
                         struct rt_err *err)
{
    const char *names[MAX_POLICIES];
    unsigned count = rt_scaler_count(), chosen = count;
    assert(count <= MAX_POLICIES);
    for (unsigned i = 0; i < count; i++)
        names[i] = rt_scaler_at(i)->name;
    if (!rt_json_need(at, "policy", err) ||
        !rt_json_choice(at, "policy", names, count, &chosen, err))
        return false;
    *policy = rt_scaler_at(chosen);
    return true;
}

/* The keys that count with this policy. */
static bool check_keys(const struct rt_json_at *at, const struct rt_scaler_policy *policy,
                       struct rt_err *err)
{
    const char *keys[RT_SCALER_PARAM_COUNT + 4] = {"policy", "min_replicas", "max_replicas"};
    unsigned count = 3;
    if (policy->has_schedule)
        keys[count++] = "steps";
    for (unsigned i = 0; i < RT_SCALER_PARAM_COUNT; i++)
        if (policy->params & 1u << i)
            keys[count++] = rt_scaler_params[i].key;
    return rt_json_only(at, keys, count, err);
}

static bool parse_params(const struct rt_json_at *at, struct rt_scaling_spec *s, struct rt_err *err)
{
    for (unsigned i = 0; i < RT_SCALER_PARAM_COUNT; i++) {
        const struct rt_scaler_param_info *p = &rt_scaler_params[i];
        s->params[i] = p->otherwise;
        if (!(s->policy->params & 1u << i))
            continue;
        if ((p->otherwise < 0 && !rt_json_need(at, p->key, err)) ||
            !rt_json_double(at, p->key, p->low, p->high, &s->params[i], err))
            return false;
    }
    return true;
}

/* What a policy keeps of the past is bounded. */
static bool check_windows(const struct rt_json_at *at, const struct rt_scaling_spec *s,
                          struct rt_err *err)
{
    static const enum rt_scaler_param windows[] = {RT_SCALER_UP_WINDOW, RT_SCALER_DOWN_WINDOW,
                                                   RT_SCALER_SEASON};
    for (unsigned i = 0; i < COUNT(windows); i++) {
        const char *key = rt_scaler_params[windows[i]].key;
        struct rt_json_at place = rt_json_get(at, key);
        if ((s->policy->params & 1u << windows[i]) &&
            s->params[windows[i]] / s->params[RT_SCALER_INTERVAL] > MAX_WINDOW)
            return rt_json_fail(place.node ? &place : at, err,
                                "%s: expected at most %d times interval_s, %g s, read %g s", key,
                                MAX_WINDOW, s->params[RT_SCALER_INTERVAL], s->params[windows[i]]);
    }
    return true;
}

static bool parse_scaling(const struct rt_json_at *pool, int64_t replicas,
                          struct rt_scaling_spec *s, struct rt_err *err)
{
    struct rt_json_at at = rt_json_get(pool, "scaling");
    s->min_replicas = 1;
    s->max_replicas = replicas > 1 ? replicas : 1;
    if (!rt_json_expect(&at, RT_JSON_OBJECT, err) || !parse_policy(&at, &s->policy, err) ||
        !check_keys(&at, s->policy, err) ||
        !rt_json_int(&at, "max_replicas", 1, RT_MAX_REPLICAS, &s->max_replicas, err))
        return false;
    if (s->policy->has_schedule || !s->policy->ticks)
        s->min_replicas = 0; /* it is told outright */
    if (!rt_json_int(&at, "min_replicas", 0, s->max_replicas, &s->min_replicas, err) ||
        !parse_params(&at, s, err) || !check_windows(&at, s, err) ||
        (s->policy->has_schedule && !parse_steps(&at, s, err)))
        return false;
    if (replicas < s->min_replicas || replicas > s->max_replicas)
        return rt_json_fail(
            &at, err, "replicas, %lld, those of the beginning: expected %lld to %lld",
            (long long)replicas, (long long)s->min_replicas, (long long)s->max_replicas);
    return true;
}

/* ---- failures -------------------------------------------------------------------------------- */

static bool parse_lifetime(const struct rt_json_at *parent, const char *key, struct rt_lifetime *l,
                           struct rt_err *err)
{
    static const char *const keys[] = {"mean_s", "weibull_shape"};
    struct rt_json_at at = rt_json_get(parent, key);
    l->shape = 1;
    if (at.node == NULL)
        return true;
    return rt_json_expect(&at, RT_JSON_OBJECT, err) && rt_json_only(&at, keys, 2, err) &&
           rt_json_need(&at, "mean_s", err) &&
           rt_json_double(&at, "mean_s", MIN_MEAN_S, MAX_S, &l->mean_s, err) &&
           rt_json_double(&at, "weibull_shape", MIN_SHAPE, MAX_SHAPE, &l->shape, err);
}

static int by_replica_and_time(const void *a, const void *b)
{
    const struct rt_outage *x = a, *y = b;
    if (x->replica != y->replica)
        return x->replica < y->replica ? -1 : 1;
    return (x->at_s > y->at_s) - (x->at_s < y->at_s);
}

static bool parse_outage(const struct rt_json_at *at, int64_t slots, struct rt_outage *o,
                         struct rt_err *err)
{
    static const char *const keys[] = {"at_s", "replica", "for_s", "notice_s"};
    o->for_s = (double)INFINITY;
    return rt_json_expect(at, RT_JSON_OBJECT, err) && rt_json_only(at, keys, COUNT(keys), err) &&
           rt_json_need(at, "at_s", err) && rt_json_need(at, "replica", err) &&
           rt_json_double(at, "at_s", 0, MAX_S, &o->at_s, err) &&
           rt_json_int(at, "replica", 0, slots - 1, &o->replica, err) &&
           rt_json_double(at, "for_s", 1e-9, MAX_S, &o->for_s, err) &&
           rt_json_double(at, "notice_s", 0, MAX_S, &o->notice_s, err);
}

static bool parse_outages(const struct rt_json_at *at, int64_t slots, struct rt_failure_spec *f,
                          struct rt_err *err)
{
    struct rt_json_at list = rt_json_get(at, "outages");
    void *items = NULL;
    if (!open_list(at, "outages", sizeof f->outages[0], &items, &f->outage_count, err))
        return false;
    f->outages = items;
    for (uint32_t i = 0; i < f->outage_count; i++) {
        struct rt_json_at item = rt_json_item(&list, (int)i);
        if (!parse_outage(&item, slots, &f->outages[i], err))
            return false;
    }
    if (f->outage_count > 0)
        qsort(f->outages, f->outage_count, sizeof f->outages[0], by_replica_and_time);
    for (uint32_t i = 1; i < f->outage_count; i++) {
        const struct rt_outage *a = &f->outages[i - 1], *b = &f->outages[i];
        if (a->replica == b->replica && b->at_s - b->notice_s <= a->at_s + a->for_s)
            return rt_json_fail(&list, err, "two outages of replica %lld overlap, at %g s and %g s",
                                (long long)a->replica, a->at_s, b->at_s);
    }
    return true;
}

static bool parse_maintenance(const struct rt_json_at *parent, struct rt_maintenance *m,
                              struct rt_err *err)
{
    static const char *const keys[] = {"start_s", "every_s", "down_s", "at_once"};
    struct rt_json_at at = rt_json_get(parent, "maintenance");
    m->at_once = 1;
    m->wanted = at.node != NULL;
    if (!m->wanted)
        return true;
    return rt_json_expect(&at, RT_JSON_OBJECT, err) && rt_json_only(&at, keys, COUNT(keys), err) &&
           rt_json_need(&at, "start_s", err) && rt_json_need(&at, "down_s", err) &&
           rt_json_double(&at, "start_s", 0, MAX_S, &m->start_s, err) &&
           rt_json_double(&at, "every_s", 1, MAX_S, &m->every_s, err) &&
           rt_json_double(&at, "down_s", 1e-9, MAX_S, &m->down_s, err) &&
           rt_json_int(&at, "at_once", 1, RT_MAX_REPLICAS, &m->at_once, err);
}

static bool parse_spot(const struct rt_json_at *parent, struct rt_spot *s, struct rt_err *err)
{
    static const char *const keys[] = {"mean_s", "notice_s", "back_s"};
    struct rt_json_at at = rt_json_get(parent, "spot");
    s->reclaim.shape = s->back.shape = 1;
    if (at.node == NULL)
        return true;
    return rt_json_expect(&at, RT_JSON_OBJECT, err) && rt_json_only(&at, keys, COUNT(keys), err) &&
           rt_json_need(&at, "mean_s", err) && rt_json_need(&at, "back_s", err) &&
           rt_json_double(&at, "mean_s", MIN_MEAN_S, MAX_S, &s->reclaim.mean_s, err) &&
           rt_json_double(&at, "notice_s", 0, MAX_S, &s->notice_s, err) &&
           rt_json_double(&at, "back_s", MIN_MEAN_S, MAX_S, &s->back.mean_s, err);
}

/* A machine that hardly ever lives long enough to start would keep its requests waiting for ever.
 */
static bool check_start(const struct rt_json_at *at, const struct rt_supply_spec *s,
                        struct rt_err *err)
{
    double starts_s = s->provision_s + s->load_s;
    const struct rt_lifetime *const lives[] = {&s->failures.crash, &s->failures.spot.reclaim};
    for (unsigned i = 0; i < COUNT(lives); i++)
        if (lives[i]->mean_s > 0 && lives[i]->mean_s < starts_s)
            return rt_json_fail(at, err,
                                "machines are gone after %g s in the mean, and a replica needs %g "
                                "s to start: expected a longer time",
                                lives[i]->mean_s, starts_s);
    return true;
}

static bool parse_failures(const struct rt_json_at *pool, int64_t slots, struct rt_supply_spec *s,
                           struct rt_err *err)
{
    static const char *const keys[] = {"time_to_crash", "time_to_repair", "outages",
                                       "down",          "maintenance",    "spot"};
    struct rt_json_at at = rt_json_get(pool, "failures");
    struct rt_failure_spec *f = &s->failures;
    if (!rt_json_expect(&at, RT_JSON_OBJECT, err) || !rt_json_only(&at, keys, COUNT(keys), err) ||
        !parse_lifetime(&at, "time_to_crash", &f->crash, err) ||
        !parse_lifetime(&at, "time_to_repair", &f->repair, err) ||
        !parse_outages(&at, slots, f, err) ||
        !rt_json_int(&at, "down", 0, RT_MAX_REPLICAS, &f->down, err) ||
        !parse_maintenance(&at, &f->maintenance, err) || !parse_spot(&at, &f->spot, err))
        return false;
    if ((f->crash.mean_s > 0) != (f->repair.mean_s > 0))
        return rt_json_fail(&at, err, "time_to_crash and time_to_repair: expected both, read one");
    return check_start(&at, s, err);
}

/* ---- start-up, and all of it ----------------------------------------------------------------- */

static bool parse_startup(const struct rt_json_at *pool, const struct rt_pool_spec *spec,
                          struct rt_supply_spec *s, struct rt_err *err)
{
    static const char *const keys[] = {"provision_s", "load_s", "load_gb_per_s"};
    struct rt_json_at at = rt_json_get(pool, "startup"), rate = rt_json_get(&at, "load_gb_per_s");
    struct rt_json_at load = rt_json_get(&at, "load_s");
    double bytes = rt_model_weight_bytes(&spec->model, rt_expert_dtype(&spec->dtypes),
                                         spec->dtypes.head, spec->dtypes.weight);
    s->load_gb_per_s = LOAD_GB_PER_S;
    if (at.node != NULL &&
        (!rt_json_expect(&at, RT_JSON_OBJECT, err) || !rt_json_only(&at, keys, COUNT(keys), err) ||
         !rt_json_double(&at, "provision_s", 0, MAX_S, &s->provision_s, err) ||
         !rt_json_double(&at, "load_gb_per_s", 1e-6, 1e6, &s->load_gb_per_s, err)))
        return false;
    if (rate.node != NULL && load.node != NULL)
        return rt_json_fail(&load, err, "expected load_s or load_gb_per_s, read both");
    s->load_s = bytes / (s->load_gb_per_s * 1e9);
    return at.node == NULL || rt_json_double(&at, "load_s", 0, MAX_S, &s->load_s, err);
}

bool supply_spec_parse(const struct rt_json_at *pool, struct rt_pool_spec *spec, struct rt_err *err)
{
    struct rt_json_at scaling = rt_json_get(pool, "scaling"), fails = rt_json_get(pool, "failures");
    struct rt_json_at startup = rt_json_get(pool, "startup");
    struct rt_json_at drain = rt_json_get(pool, "drain_timeout_s");
    if (!scaling.node && !fails.node && !startup.node && !drain.node)
        return true;
    struct rt_supply_spec *s = calloc(1, sizeof *s);
    if (!s)
        return rt_fail_nomem(err, "pools");
    spec->supply = s;
    s->scales = scaling.node != NULL;
    s->fails = fails.node != NULL;
    return parse_startup(pool, spec, s, err) &&
           rt_json_double(pool, "drain_timeout_s", 1e-9, MAX_S, &s->drain_timeout_s, err) &&
           (!s->scales || parse_scaling(pool, spec->replicas, &s->scaling, err)) &&
           (!s->fails || parse_failures(pool, rt_pool_slots(spec), s, err));
}

/* Not more than there are, and not all of them: that fleet serves nothing. One pool of several may
 * be down as a whole; an autoscaled one has other slots. Judged when a fleet is built, not when the
 * keys are read: sizing counts replicas that the scenario does not name, and a sweep that crosses
 * both keys loses those trials only. */
bool supply_check_down(const struct rt_fleet_spec *fleet, struct rt_err *err)
{
    int64_t slots = 0;
    bool serves = false;
    for (uint32_t p = 0; p < fleet->pool_count; p++) {
        const struct rt_pool_spec *pool = &fleet->pools[p];
        int64_t down = rt_pool_down(pool);
        if (down > pool->replicas)
            return rt_fail(
                err, RT_ECONFIG,
                "pool \"%s\": failures.down (--replicas-down): expected at most %lld, its "
                "replicas, read %lld",
                pool->name, (long long)pool->replicas, (long long)down);
        serves = serves || down < rt_pool_slots(pool);
        slots += rt_pool_slots(pool);
    }
    return serves || rt_fail(err, RT_ECONFIG,
                             "failures.down (--replicas-down): %lld of %lld replicas are down from "
                             "beginning to end, nothing would be served: expected fewer",
                             (long long)slots, (long long)slots);
}

bool retry_parse(const struct rt_json_at *root, struct rt_retry_spec *r, struct rt_err *err)
{
    static const char *const keys[] = {"mode", "max_retries", "delay_s"};
    struct rt_json_at at = rt_json_get(root, "retry");
    unsigned mode = (unsigned)r->mode;
    if (at.node == NULL)
        return true;
    if (!rt_json_expect(&at, RT_JSON_OBJECT, err) || !rt_json_only(&at, keys, COUNT(keys), err) ||
        !rt_json_choice(&at, "mode", rt_retry_mode_names, RT_RETRY_MODE_COUNT, &mode, err) ||
        !rt_json_int(&at, "max_retries", 0, MAX_RETRIES, &r->max_retries, err) ||
        !rt_json_double(&at, "delay_s", 0, MAX_S, &r->delay_s, err))
        return false;
    r->mode = (enum rt_retry_mode)mode;
    return true;
}
