/* The section workload.synthetic as JSON: the opposite of workload/synth_spec.c. What was given is
 * written as it was given (a mean stays a mean), each length as an object with its kind; what was
 * left to defaults stays so. O(classes). */
#include "rooftrace/synthetic.h"
#include "sim_print_internal.h"

static void write_numbers(struct rt_writer *w, const struct rt_number_key *keys, unsigned count,
                          const double *v)
{
    for (unsigned i = 0; i < count; i++)
        if (!isnan(v[i]))
            rt_writer_double(w, keys[i].name, v[i]);
}

static void write_trace(struct rt_writer *w, const struct rt_trace_ref *t)
{
    rt_writer_string(w, "trace", t->path);
    rt_writer_string(w, "format", t->format);
}

static void write_dist(struct rt_writer *w, const char *key, const struct rt_dist_spec *d)
{
    if (d->kind == RT_DIST_ABSENT)
        return;
    rt_writer_open(w, key, '{');
    rt_writer_string(w, "kind", rt_dist_kinds[d->kind].name);
    if (d->kind == RT_DIST_EMPIRICAL)
        write_trace(w, &d->trace);
    write_numbers(w, rt_dist_keys, RT_DIST_KEYS, d->v);
    rt_writer_close(w, '}');
}

static void write_trace_at(struct rt_writer *w, const char *key, const struct rt_trace_ref *t)
{
    if (t->path == NULL)
        return;
    rt_writer_open(w, key, '{');
    write_trace(w, t);
    rt_writer_close(w, '}');
}

static void write_prefixes(struct rt_writer *w, const struct rt_prefix_spec *p)
{
    if (p->count == 0)
        return;
    rt_writer_open(w, "prefixes", '{');
    rt_writer_int(w, "count", (int64_t)p->count);
    write_dist(w, "tokens", &p->tokens);
    rt_writer_double(w, "zipf", p->zipf);
    rt_writer_double(w, "share", p->share);
    rt_writer_close(w, '}');
}

static void write_sessions(struct rt_writer *w, const struct rt_session_spec *s)
{
    if (s->turns.kind == RT_DIST_ABSENT)
        return;
    rt_writer_open(w, "sessions", '{');
    write_dist(w, "turns", &s->turns);
    write_dist(w, "turn_tokens", &s->turn_tokens);
    write_dist(w, "think_s", &s->think_s);
    rt_writer_double(w, "answer_s_per_token", s->answer_s_per_token);
    if (s->max_prompt_tokens != INT64_MAX)
        rt_writer_int(w, "max_prompt_tokens", s->max_prompt_tokens);
    rt_writer_close(w, '}');
}

static void write_traffic(struct rt_writer *w, const struct rt_synth_class *c)
{
    write_trace_at(w, "lengths", &c->lengths);
    write_dist(w, "prompt_tokens", &c->prompt_tokens);
    write_dist(w, "output_tokens", &c->output_tokens);
    write_prefixes(w, &c->prefixes);
    write_sessions(w, &c->sessions);
}

static void write_class(struct rt_writer *w, const struct rt_synth_class *c)
{
    rt_writer_open(w, NULL, '{');
    rt_writer_string(w, "name", c->name);
    rt_writer_double(w, "share", c->share);
    rt_writer_int(w, "priority", c->priority);
    if (!isnan(c->deadline_s))
        rt_writer_double(w, "deadline_s", c->deadline_s);
    write_traffic(w, c);
    rt_writer_close(w, '}');
}

void rt_writer_synthetic(struct rt_writer *w, const struct rt_synthetic *s)
{
    rt_writer_open(w, "synthetic", '{');
    rt_writer_int(w, "requests", (int64_t)s->requests);
    write_trace_at(w, "like", &s->like);
    if (s->like.path == NULL) {
        rt_writer_open(w, "arrivals", '{');
        rt_writer_string(w, "kind", rt_arrival_kinds[s->arrivals.kind].name);
        write_numbers(w, rt_arrival_keys, RT_ARRIVAL_KEYS, s->arrivals.v);
        rt_writer_close(w, '}');
    }
    write_traffic(w, &s->base);
    if (s->class_count > 0) {
        rt_writer_open(w, "classes", '[');
        for (uint32_t i = 0; i < s->class_count; i++)
            write_class(w, &s->classes[i]);
        rt_writer_close(w, ']');
    }
    rt_writer_close(w, '}');
}
