/* A scenario document into an rt_scenario: each section is read by the folder that owns it; here is
 * what belongs to the trial itself (objectives, sampling, measured window, seed).
 *
 * Nothing is opened and nothing is simulated: a scenario that parses may still name a trace that is
 * missing or a model that does not fit. Unknown keys name the nearest known one. Constants of GPUs
 * are settled to values that print exactly, so that a printed scenario repeats the same
 * nanoseconds. O(document). */
#include "rooftrace/scenario.h"
#include "rooftrace/kv_transfer.h"
#include "sim_internal.h"
#include "sim_print_internal.h"

#include <cjson/cJSON.h>
#include <math.h>

#define NOT_ASKED      ((double)NAN)
#define MAX_SECONDS    9e9 /* 285 years: ns still fit in 63 bits */
#define MIN_SECONDS    1e-9
#define MIN_SAMPLE_S   1e-6
#define MAX_FRONTEND_S 86400.0
#define MAX_SEED       (INT64_C(1) << 53) /* what JSON carries exactly */

static const char *const keys[] = {
    "workload",
    "model",
    "cost",
    "pools",
    "router",
    "decode_router",
    "kv_transfer",
    "slo",
    "sample_interval_s",
    "measure_s",
    "frontend_s",
    "seed",
    "classes",
    "router_view_interval_s",
    "router_weights",
    "admission",
    "timeout_s",
    "cancel",
    "power",
    "retry",
};
static const char *const slo_keys[] = {"ttft_s", "tpot_s", "e2e_s"};

void rt_scenario_init(struct rt_scenario *s)
{
    *s = (struct rt_scenario){
        .slo = {NOT_ASKED, NOT_ASKED, NOT_ASKED},
        .sample_interval_s = 1.0,
        .seed = 1,
        .coast = true,
    };
    rt_workload_init(&s->workload);
    rt_fleet_spec_init(&s->fleet);
}

void rt_scenario_release(struct rt_scenario *s)
{
    rt_workload_release(&s->workload);
    rt_fleet_spec_release(&s->fleet);
    rt_classes_release(s->classes, s->class_count);
    s->classes = NULL;
    s->class_count = 0;
}

bool rt_slo_parse(const struct rt_json_at *parent, struct rt_slo *slo, struct rt_err *err)
{
    struct rt_json_at at = rt_json_get(parent, "slo");

    if (at.node == NULL)
        return true;
    return rt_json_expect(&at, RT_JSON_OBJECT, err) &&
           rt_json_only(&at, slo_keys, sizeof slo_keys / sizeof slo_keys[0], err) &&
           rt_json_double(&at, "ttft_s", MIN_SECONDS, MAX_SECONDS, &slo->ttft_s, err) &&
           rt_json_double(&at, "tpot_s", MIN_SECONDS, MAX_SECONDS, &slo->tpot_s, err) &&
           rt_json_double(&at, "e2e_s", MIN_SECONDS, MAX_SECONDS, &slo->e2e_s, err);
}

static bool parse_measure(const struct rt_json_at *root, struct rt_scenario *s, struct rt_err *err)
{
    struct rt_json_at at = rt_json_get(root, "measure_s");
    double *m = s->measure_s;

    if (at.node == NULL)
        return true;
    if (!rt_json_expect(&at, RT_JSON_ARRAY, err))
        return false;
    if (rt_json_count(&at) != 2)
        return rt_json_fail(&at, err, "expected [from, to] in seconds, read %d numbers",
                            rt_json_count(&at));
    for (int i = 0; i < 2; i++) {
        struct rt_json_at item = rt_json_item(&at, i);
        if (!rt_json_expect(&item, RT_JSON_NUMBER, err))
            return false;
        m[i] = item.node->valuedouble;
        if (!(m[i] >= 0.0 && m[i] <= MAX_SECONDS))
            return rt_json_fail(&item, err, "expected seconds from 0 to %g, read %g", MAX_SECONDS,
                                m[i]);
    }
    if (m[0] >= m[1])
        return rt_json_fail(&at, err, "expected [from, to] with from < to, read [%g, %g]", m[0],
                            m[1]);
    s->has_measure = true;
    return true;
}

static bool parse_trial(const struct rt_json_at *root, struct rt_scenario *s, struct rt_err *err)
{
    int64_t seed = (int64_t)s->seed;

    if (!rt_slo_parse(root, &s->slo, err) || !rt_classes_parse(root, s, err) ||
        !rt_json_double(root, "sample_interval_s", MIN_SAMPLE_S, MAX_SECONDS, &s->sample_interval_s,
                        err) ||
        !parse_measure(root, s, err) || !rt_patience_parse(root, &s->patience, err) ||
        !rt_json_double(root, "frontend_s", 0.0, MAX_FRONTEND_S, &s->frontend_s, err) ||
        !rt_json_int(root, "seed", 0, MAX_SEED, &seed, err))
        return false;
    s->seed = s->workload.seed = (uint64_t)seed;
    return true;
}

bool rt_scenario_parse(const struct rt_json_at *root, const struct rt_catalog *catalog,
                       struct rt_scenario *out, struct rt_err *err)
{
    struct rt_json_at workload = rt_json_get(root, "workload");

    rt_scenario_init(out);
    if (!rt_json_expect(root, RT_JSON_OBJECT, err) ||
        !rt_json_only(root, keys, sizeof keys / sizeof keys[0], err) ||
        !rt_json_need(root, "workload", err) ||
        !rt_workload_parse(&workload, &out->workload, err) ||
        (out->workload.synthetic.requests == 0 && out->workload.mix_count == 0 &&
         !rt_json_need(&workload, "trace", err)) ||
        !parse_trial(root, out, err) || !rt_fleet_spec_parse(root, catalog, &out->fleet, err)) {
        rt_scenario_release(out);
        rt_scenario_init(out);
        return false;
    }
    struct rt_kv_transfer_spec *transfer = &out->fleet.kv_transfer;
    transfer->bytes_per_s = rt_writer_settle(transfer->bytes_per_s, 1e9);
    if (transfer->latency_s >= 0)
        transfer->latency_s = rt_writer_settle(transfer->latency_s, 1e-6);
    for (uint32_t i = 0; i < out->fleet.pool_count; i++) {
        struct rt_pool_spec *pool = &out->fleet.pools[i];
        rt_gpu_settle(&pool->gpu);
        pool->nodes.link_bytes_per_s = rt_writer_settle(pool->nodes.link_bytes_per_s, 1e9);
        pool->nodes.latency_s = rt_writer_settle(pool->nodes.latency_s, 1e-6);
    }
    return true;
}
