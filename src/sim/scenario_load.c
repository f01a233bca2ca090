/* The load of a scenario as JSON: the opposite of rt_load_parse. Keys whose defaults hold are left
 * out, as they have no value that means "none". O(points). */
#include "sim_internal.h"
#include "sim_print_internal.h"

#include <math.h>

static void write_or_inf(struct rt_writer *w, const char *key, double value)
{
    if (isinf(value))
        rt_writer_string(w, key, "inf");
    else
        rt_writer_double(w, key, value);
}

static void write_points(struct rt_writer *w, const struct rt_rate_spec *p)
{
    rt_writer_open(w, "points", '[');
    for (uint32_t i = 0; i < p->point_count; i++) {
        rt_writer_open(w, NULL, '[');
        rt_writer_double(w, NULL, p->points[i].from_s);
        rt_writer_double(w, NULL, p->points[i].rate);
        rt_writer_close(w, ']');
    }
    rt_writer_close(w, ']');
    if (p->period_s > 0)
        rt_writer_double(w, "period_s", p->period_s);
}

static void write_profile(struct rt_writer *w, const struct rt_rate_spec *p)
{
    rt_writer_open(w, "rate_profile", '{');
    rt_writer_string(w, "shape", rt_rate_shape_names[p->shape]);
    switch (p->shape) {
    case RT_RATE_STEPS:
    case RT_RATE_LINEAR:
        write_points(w, p);
        break;
    case RT_RATE_ON_OFF:
        rt_writer_double(w, "rate", p->rate);
        rt_writer_double(w, "off_rate", p->off_rate);
        rt_writer_double(w, "on_s", p->on_s);
        rt_writer_double(w, "off_s", p->off_s);
        break;
    case RT_RATE_DIURNAL:
        rt_writer_double(w, "rate", p->rate);
        rt_writer_double(w, "amplitude", p->amplitude);
        rt_writer_double(w, "period_s", p->period_s);
        rt_writer_double(w, "peak_s", p->peak_s);
        break;
    case RT_RATE_SHAPE_COUNT:
        break;
    }
    rt_writer_close(w, '}');
}

void rt_writer_load(struct rt_writer *w, const struct rt_load_spec *l)
{
    if (l->max_concurrency > 0)
        rt_writer_int(w, "max_concurrency", l->max_concurrency);
    if (l->arrivals == RT_ARRIVALS_RATE || l->arrivals == RT_ARRIVALS_AT_ONCE)
        write_or_inf(w, "request_rate",
                     l->arrivals == RT_ARRIVALS_RATE ? l->request_rate : HUGE_VAL);
    if (l->arrivals == RT_ARRIVALS_PROFILE)
        write_profile(w, &l->profile);
    if (l->arrivals != RT_ARRIVALS_TRACE)
        write_or_inf(w, "burstiness", l->burstiness);
    rt_writer_string(w, "sessions", rt_sessions_names[l->sessions]);
}
