/* Autoscaling, start-up, failures and retries of a scenario as JSON: the opposite of
 * fleet/supply_spec.c. O(keys). */
#include "sim_internal.h"
#include "sim_print_internal.h"

#include "rooftrace/supply_spec.h"

#include <math.h>

static void write_scaling(struct rt_writer *w, const struct rt_scaling_spec *s)
{
    rt_writer_open(w, "scaling", '{');
    rt_writer_string(w, "policy", s->policy->name);
    rt_writer_int(w, "min_replicas", s->min_replicas);
    rt_writer_int(w, "max_replicas", s->max_replicas);
    for (unsigned i = 0; i < RT_SCALER_PARAM_COUNT; i++)
        if (s->policy->params & 1u << i)
            rt_writer_double(w, rt_scaler_params[i].key, s->params[i]);
    if (s->policy->has_schedule) {
        rt_writer_open(w, "steps", '[');
        for (uint32_t i = 0; i < s->step_count; i++) {
            rt_writer_open(w, NULL, '{');
            rt_writer_double(w, "at_s", s->steps[i].at_s);
            rt_writer_int(w, "replicas", s->steps[i].replicas);
            rt_writer_close(w, '}');
        }
        rt_writer_close(w, ']');
    }
    rt_writer_close(w, '}');
}

static void write_lifetime(struct rt_writer *w, const char *key, const struct rt_lifetime *l)
{
    if (l->mean_s <= 0)
        return;
    rt_writer_open(w, key, '{');
    rt_writer_double(w, "mean_s", l->mean_s);
    rt_writer_double(w, "weibull_shape", l->shape);
    rt_writer_close(w, '}');
}

static void write_outages(struct rt_writer *w, const struct rt_failure_spec *f)
{
    rt_writer_open(w, "outages", '[');
    for (uint32_t i = 0; i < f->outage_count; i++) {
        const struct rt_outage *o = &f->outages[i];
        rt_writer_open(w, NULL, '{');
        rt_writer_double(w, "at_s", o->at_s);
        rt_writer_int(w, "replica", o->replica);
        if (!isinf(o->for_s))
            rt_writer_double(w, "for_s", o->for_s);
        rt_writer_double(w, "notice_s", o->notice_s);
        rt_writer_close(w, '}');
    }
    rt_writer_close(w, ']');
}

static void write_failures(struct rt_writer *w, const struct rt_failure_spec *f)
{
    rt_writer_open(w, "failures", '{');
    write_lifetime(w, "time_to_crash", &f->crash);
    write_lifetime(w, "time_to_repair", &f->repair);
    write_outages(w, f);
    rt_writer_int(w, "down", f->down);
    if (f->maintenance.wanted) {
        rt_writer_open(w, "maintenance", '{');
        rt_writer_double(w, "start_s", f->maintenance.start_s);
        if (f->maintenance.every_s > 0)
            rt_writer_double(w, "every_s", f->maintenance.every_s);
        rt_writer_double(w, "down_s", f->maintenance.down_s);
        rt_writer_int(w, "at_once", f->maintenance.at_once);
        rt_writer_close(w, '}');
    }
    if (f->spot.reclaim.mean_s > 0) {
        rt_writer_open(w, "spot", '{');
        rt_writer_double(w, "mean_s", f->spot.reclaim.mean_s);
        rt_writer_double(w, "notice_s", f->spot.notice_s);
        rt_writer_double(w, "back_s", f->spot.back.mean_s);
        rt_writer_close(w, '}');
    }
    rt_writer_close(w, '}');
}

void rt_writer_supply(struct rt_writer *w, const struct rt_pool_spec *p)
{
    const struct rt_supply_spec *s = p->supply;
    if (!s)
        return;
    rt_writer_open(w, "startup", '{');
    rt_writer_double(w, "provision_s", s->provision_s);
    rt_writer_double(w, "load_s", s->load_s);
    rt_writer_close(w, '}');
    if (s->drain_timeout_s > 0)
        rt_writer_double(w, "drain_timeout_s", s->drain_timeout_s);
    if (s->scales)
        write_scaling(w, &s->scaling);
    if (s->fails)
        write_failures(w, &s->failures);
}

void rt_writer_retry(struct rt_writer *w, const struct rt_retry_spec *r)
{
    rt_writer_open(w, "retry", '{');
    rt_writer_string(w, "mode", rt_retry_mode_names[r->mode]);
    rt_writer_int(w, "max_retries", r->max_retries);
    rt_writer_double(w, "delay_s", r->delay_s);
    rt_writer_close(w, '}');
}
