/* Routing and admission of a scenario as JSON: the opposite of fleet/routing_spec.c. Admission keys
 * that ask for nothing are left out, as they have no value that means "none". O(1). */
#include "rooftrace/kv_transfer.h"
#include "sim_internal.h"
#include "sim_print_internal.h"

static void write_bucket(struct rt_writer *w, const char *rate_key, double rate,
                         const char *depth_key, double depth)
{
    if (rate <= 0)
        return;
    rt_writer_double(w, rate_key, rate);
    rt_writer_double(w, depth_key, depth);
}

static void write_admission(struct rt_writer *w, const struct rt_admission_spec *a)
{
    rt_writer_open(w, "admission", '{');
    write_bucket(w, "requests_per_s", a->requests_per_s, "burst_requests", a->burst_requests);
    write_bucket(w, "prompt_tokens_per_s", a->prompt_tokens_per_s, "burst_prompt_tokens",
                 a->burst_prompt_tokens);
    if (a->queue_limit > 0)
        rt_writer_int(w, "queue_limit", a->queue_limit);
    rt_writer_bool(w, "shed_late", a->shed_late);
    rt_writer_close(w, '}');
}

/* Nothing without a prefill and a decode pool: the keys are refused then. Bandwidth and latency
 * that are not given are those of the pools' nodes. */
static void write_hand_over(struct rt_writer *w, const struct rt_fleet_spec *s)
{
    const struct rt_kv_transfer_spec *t = &s->kv_transfer;
    if (s->decode_router == NULL)
        return;
    rt_writer_string(w, "decode_router", s->decode_router->name);
    rt_writer_open(w, "kv_transfer", '{');
    if (t->bytes_per_s > 0)
        rt_writer_in_unit(w, "gb_per_s", t->bytes_per_s, 1e9);
    if (t->latency_s >= 0)
        rt_writer_in_unit(w, "latency_us", t->latency_s, 1e-6);
    rt_writer_bool(w, "layerwise", t->layerwise);
    rt_writer_string(w, "first_token", rt_first_token_names[t->first_token]);
    rt_writer_close(w, '}');
}

void rt_writer_routing(struct rt_writer *w, const struct rt_fleet_spec *s)
{
    const struct rt_router_weights *weights = &s->weights;
    rt_writer_string(w, "router", s->router->name);
    rt_writer_double(w, "router_view_interval_s", s->router_view_interval_s);
    rt_writer_open(w, "router_weights", '{');
    rt_writer_double(w, "outstanding", weights->outstanding);
    rt_writer_double(w, "waiting", weights->waiting);
    rt_writer_double(w, "tokens", weights->tokens);
    rt_writer_double(w, "kv", weights->kv);
    rt_writer_double(w, "prefix", weights->prefix);
    rt_writer_close(w, '}');
    write_hand_over(w, s);
    write_admission(w, &s->admission);
}
