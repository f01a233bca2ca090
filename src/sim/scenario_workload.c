/* The section `workload` of a scenario as JSON: the opposite of rt_workload_parse. Transformations
 * that do nothing are left out, as some have no value that says so. O(parts). */
#include "sim_internal.h"
#include "sim_print_internal.h"

#include <inttypes.h>

static void write_transform(struct rt_writer *w, const struct rt_transform_spec *t)
{
    for (unsigned i = 0; i < rt_transform_key_count; i++) {
        const struct rt_transform_key *k = &rt_transform_keys[i];
        double value = rt_transform_get(t, k);
        if (value != k->neutral && k->whole)
            rt_writer_int(w, k->name, (int64_t)value); /* at most 2^53 */
        else if (value != k->neutral)
            rt_writer_double(w, k->name, value);
    }
    if (t->copies > 1) {
        rt_writer_open(w, "superpose", '{');
        rt_writer_int(w, "copies", t->copies);
        rt_writer_double(w, "shift_s", t->shift_s);
        rt_writer_close(w, '}');
    }
    if (t->max_context_tokens > 0)
        rt_writer_string(w, "over_context", rt_over_context_names[t->over_context]);
}

/* What says where the requests are from. */
static void write_trace(struct rt_writer *w, const struct rt_workload_spec *s)
{
    if (s->synthetic.requests > 0) {
        rt_writer_synthetic(w, &s->synthetic);
        return;
    }
    rt_writer_string(w, "trace", s->trace != NULL ? s->trace : "");
    rt_writer_string(w, "format", s->format);
    rt_writer_int(w, "repeat", (int64_t)s->repeat);
    if (s->columns != NULL)
        rt_writer_string(w, "columns", s->columns);
    rt_writer_string(w, "failed", s->drop_failed ? "drop" : "keep");
}

/* All keys but those of the load and of an element of the mix. */
static void write_requests(struct rt_writer *w, const struct rt_workload_spec *s)
{
    if (s->mix_count == 0)
        write_trace(w, s);
    rt_writer_double(w, "rate_scale", s->rate_scale);
    if (s->has_window)
        rt_writer_pair(w, "window_s", s->window_s);
    if (s->max_requests != UINT64_MAX)
        rt_writer_int(w, "max_requests", (int64_t)s->max_requests);
    if (s->block_size != 0)
        rt_writer_int(w, "block_size", s->block_size);
    write_transform(w, &s->transform);
}

static void write_mix(struct rt_writer *w, const struct rt_workload_spec *s)
{
    rt_writer_open(w, "mix", '[');
    for (uint32_t i = 0; i < s->mix_count; i++) {
        const struct rt_mix_part *part = &s->mix[i];
        rt_writer_open(w, NULL, '{');
        if (part->class_name != NULL)
            rt_writer_string(w, "class", part->class_name);
        rt_writer_double(w, "start_s", part->start_s);
        write_requests(w, &part->workload);
        rt_writer_close(w, '}');
    }
    rt_writer_close(w, ']');
}

void rt_writer_workload(struct rt_writer *w, const struct rt_workload_spec *s)
{
    rt_writer_open(w, "workload", '{');
    if (s->mix_count > 0)
        write_mix(w, s);
    write_requests(w, s);
    rt_writer_load(w, &s->load);
    rt_writer_close(w, '}');
}
