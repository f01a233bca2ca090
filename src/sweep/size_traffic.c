/* The workload before any fleet: one pass over its requests at their own times, and scenarios that
 * differ from a base in replicas, rate and seed. Also the closed form that tells a search where to
 * begin. O(requests) once a seed. */
#include "rooftrace/cost.h"
#include "rooftrace/engine.h"
#include "rooftrace/fleet.h"
#include "size_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* As many of these are named by objectives; the index of a class is that of its first request. */
static void note_class(struct size_traffic *t, const struct rt_size_plan *plan,
                       const struct rt_source *source, const struct rt_request *req)
{
    for (unsigned i = 0; i < plan->objective_count; i++)
        if (t->class_of[i] == RT_NO_NAME && plan->objectives[i].class_name[0] != '\0' &&
            strcmp(rt_source_name(source, req->class_name), plan->objectives[i].class_name) == 0)
            t->class_of[i] = req->class_name;
}

static bool read_all(struct rt_source *source, const struct rt_size_plan *plan,
                     struct size_traffic *t, struct rt_err *err)
{
    struct rt_request req;
    int64_t now_ns = 0, later_ns = 0, first_ns = 0;
    double prompt = 0, output = 0;

    for (;;) {
        enum rt_pull answer = rt_source_next(source, now_ns, &req, &later_ns, err);
        if (answer == RT_PULL_ERROR)
            return false;
        if (answer == RT_PULL_LATER) {
            now_ns = later_ns;
            continue;
        }
        if (answer != RT_PULL_REQUEST)
            break; /* an open loop is never blocked */
        if (t->requests++ == 0) {
            t->first_id = t->last_id = req.id;
            first_ns = req.arrival_ns;
        }
        t->first_id = req.id < t->first_id ? req.id : t->first_id;
        t->last_id = req.id > t->last_id ? req.id : t->last_id;
        t->span_s = (double)(req.arrival_ns - first_ns) / 1e9;
        prompt += (double)req.prompt_tokens;
        output += (double)req.output_tokens;
        note_class(t, plan, source, &req);
    }
    t->mean_prompt = prompt / fmax((double)t->requests, 1);
    t->mean_output = output / fmax((double)t->requests, 1);
    return true;
}

static bool check_classes(const struct size_traffic *t, const struct rt_size_plan *plan,
                          struct rt_err *err)
{
    if (t->requests == 0)
        return rt_fail(err, RT_ETRACE, "the workload gives no request");
    for (unsigned i = 0; i < plan->objective_count; i++)
        if (plan->objectives[i].class_name[0] != '\0' && t->class_of[i] == RT_NO_NAME)
            return rt_fail(err, RT_ECONFIG, "%s: no request of the workload has class \"%s\"",
                           plan->objectives[i].text, plan->objectives[i].class_name);
    return true;
}

bool size_traffic_read(const struct rt_size_plan *plan, const struct rt_trace_table *trace,
                       uint64_t seed, struct size_traffic *out, struct rt_err *err)
{
    struct rt_workload_spec open = plan->candidates[0].scenario.workload;
    struct rt_source *source;
    bool ok;

    memset(out, 0, sizeof *out);
    rt_load_init(&open.load); /* what it held stays the scenario's */
    open.seed = seed;
    if (!rt_workload_open_table(&open, trace, &source, err))
        return false;
    ok = read_all(source, plan, out, err) && check_classes(out, plan, err);
    rt_source_free(source);
    return ok;
}

double size_traffic_rate(const struct size_traffic *t, const struct rt_workload_spec *w)
{
    if (w->load.max_concurrency > 0 || w->load.arrivals == RT_ARRIVALS_AT_ONCE ||
        w->load.arrivals == RT_ARRIVALS_PROFILE)
        return (double)NAN;
    if (w->load.arrivals == RT_ARRIVALS_RATE)
        return w->load.request_rate;
    return t->span_s > 0 ? (double)(t->requests - 1) / t->span_s : (double)NAN;
}

/* ---- variants ---- */

/* The profile's points are copied, as they change. */
static bool scale_rate(struct rt_scenario *s, double rate)
{
    struct rt_load_spec *load = &s->workload.load;
    struct rt_rate_spec *p = &load->profile;
    struct rt_rate_point *points;

    if (load->arrivals == RT_ARRIVALS_TRACE)
        s->workload.rate_scale *= rate;
    if (load->arrivals == RT_ARRIVALS_RATE)
        load->request_rate *= rate;
    if (load->arrivals != RT_ARRIVALS_PROFILE)
        return true;
    p->rate *= rate;
    p->off_rate *= rate;
    points = malloc((p->point_count + 1) * sizeof points[0]);
    if (!points)
        return false;
    for (uint32_t i = 0; i < p->point_count; i++)
        points[i] = (struct rt_rate_point){p->points[i].from_s, p->points[i].rate * rate};
    p->points = points;
    return true;
}

bool size_variant(const struct rt_scenario *base, const struct size_point *at, uint64_t seed,
                  struct rt_scenario *out)
{
    *out = *base;
    out->seed = out->workload.seed = seed;
    out->fleet.pools = malloc(sizeof out->fleet.pools[0]);
    if (!out->fleet.pools)
        return false;
    out->fleet.pools[0] = base->fleet.pools[0];
    out->fleet.pools[0].replicas = at->replicas;
    if (scale_rate(out, at->rate))
        return true;
    free(out->fleet.pools);
    return false;
}

void size_variant_release(struct rt_scenario *s)
{
    if (s->workload.load.arrivals == RT_ARRIVALS_PROFILE)
        free(s->workload.load.profile.points);
    free(s->fleet.pools);
}

/* ---- where to begin ---- */

/* Seconds of a step of `decodes` sequences of mean context. */
static double decode_s(const struct rt_cost *cost, const struct size_traffic *t, int64_t decodes)
{
    struct rt_step_shape shape = {0};
    int64_t windows[RT_MAX_WINDOWS];
    unsigned count = rt_cost_windows(cost, windows);

    rt_step_add_decodes(&shape, decodes, (int64_t)(t->mean_prompt + t->mean_output / 2), windows,
                        count);
    return (double)rt_cost_step_ns(cost, &shape) / 1e9;
}

double size_decode_s(const struct rt_fleet *fleet, const struct rt_scenario *s,
                     const struct size_traffic *t, int64_t decodes)
{
    return decode_s(rt_fleet_cost(fleet, 0), t, decodes) /
           rt_engine_tokens_per_round(&s->fleet.pools[0].engine);
}

/* Largest batch whose KV fits and whose decode step meets the strictest TPOT. */
static int64_t largest_batch(const struct rt_fleet *fleet, const struct rt_scenario *s,
                             const struct size_traffic *t, double tpot_s)
{
    const struct rt_engine_spec *e = &s->fleet.pools[0].engine;
    double kv_tokens = (double)rt_fleet_pool(fleet, 0)->kv_blocks * (double)e->block_size;
    double fits = kv_tokens / (t->mean_prompt + t->mean_output / 2 + (double)e->block_size);
    int64_t low = 1, high = (int64_t)fmax(fmin(fits, (double)e->max_num_seqs), 1);

    while (low < high) {
        int64_t middle = low + (high - low + 1) / 2;
        if (size_decode_s(fleet, s, t, middle) <= tpot_s)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* A request takes its prompt's step, and its share of the decode steps of a full batch:
 * capacity = 1 / (prefill_s + output * decode_s(b) / b) requests a second and replica. */
double size_need(const struct rt_fleet *fleet, const struct rt_scenario *s,
                 const struct size_traffic *t, const struct rt_size_plan *plan)
{
    double tpot_s = HUGE_VAL, rate = size_traffic_rate(t, &s->workload), need;
    struct rt_step_shape prompt = {0};

    for (unsigned i = 0; i < plan->objective_count; i++)
        tpot_s = fmin(tpot_s, plan->objectives[i].limit.tpot_s); /* fmin passes over NaN */
    int64_t batch = largest_batch(fleet, s, t, tpot_s);
    rt_step_add_prefill(&prompt, (int64_t)fmax(t->mean_prompt, 1), 0);
    need = (double)rt_cost_step_ns(rt_fleet_cost(fleet, 0), &prompt) / 1e9 +
           t->mean_output * size_decode_s(fleet, s, t, batch) / (double)batch;
    return need * (isnan(rate) ? (double)t->requests / fmax(t->span_s, 1) : rate);
}
