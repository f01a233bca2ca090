/* A scenario as JSON text: the opposite of scenario.c. Everything is stated, also what the file
 * left to defaults, with models and GPUs as whole objects, so that the text alone repeats the run
 * whatever a later catalogue or version says. Reading it gives the same scenario (a test).
 * O(pools). */
#include "rooftrace/cost.h"
#include "rooftrace/dtype.h"
#include "rooftrace/engine.h"
#include "rooftrace/preset.h"
#include "rooftrace/price.h"
#include "rooftrace/queue_order.h"
#include "rooftrace/replica_spec.h"
#include "rooftrace/scenario.h"
#include "sim_internal.h"
#include "sim_print_internal.h"

#include <math.h>

static void write_cost(struct rt_writer *w, const struct rt_cost_spec *s)
{
    rt_writer_open(w, "cost", '{');
    rt_writer_string(w, "kind", rt_cost_kind_name(s->kind));
    if (s->kind == RT_COST_PROFILE) {
        rt_writer_string(w, "file", s->file);
        rt_writer_double(w, "expert_skew", s->expert_skew);
    } else if (s->kind == RT_COST_LINEAR) {
        rt_writer_open(w, "coefficients_s", '[');
        for (int i = 0; i < 5; i++)
            rt_writer_double(w, NULL, s->coefficients_s[i]);
        rt_writer_close(w, ']');
    } else {
        rt_writer_bool(w, "speed_of_light", s->speed_of_light);
        rt_writer_double(w, "expert_skew", s->expert_skew);
    }
    rt_writer_close(w, '}');
}

static void write_speculative(struct rt_writer *w, const struct rt_pool_spec *p)
{
    const struct rt_speculative *s = &p->engine.speculative;
    if (s->draft_tokens == 0)
        return;
    rt_writer_open(w, "speculative", '{');
    rt_writer_int(w, "draft_tokens", s->draft_tokens);
    rt_writer_open(w, "acceptance", '[');
    for (int64_t i = 0; i < s->draft_tokens; i++)
        rt_writer_double(w, NULL, s->acceptance[i]);
    rt_writer_close(w, ']');
    if (p->has_draft_model)
        rt_writer_model(w, "draft_model", &p->draft_model);
    else
        rt_writer_double(w, "draft_s_per_token", s->draft_s_per_token);
    rt_writer_close(w, '}');
}

static void write_engine(struct rt_writer *w, const struct rt_pool_spec *p)
{
    const struct rt_engine_spec *e = &p->engine;
    rt_writer_open(w, "engine", '{');
    if (e->preset != NULL)
        rt_writer_string(w, "preset", e->preset->name); /* a label: all keys follow */
    rt_writer_string(w, "policy", rt_policy_name(e->policy));
    rt_writer_string(w, "queue_order", rt_queue_order_name(e->queue_order));
    rt_writer_double(w, "aging_s", e->aging_s);
    rt_writer_string(w, "preemption", rt_preemption_names[e->preemption]);
    rt_writer_int(w, "cpu_kv_bytes", e->cpu_kv_bytes);
    if (e->num_cpu_blocks > 0)
        rt_writer_int(w, "num_cpu_blocks", e->num_cpu_blocks);
    rt_writer_int(w, "offload_bytes", e->offload_bytes);
    rt_writer_bool(w, "async_scheduling", e->async_scheduling);
    rt_writer_bool(w, "host_overlap", rt_engine_overlaps_host(e));
    rt_writer_string(w, "moe_backend", rt_moe_backend_name(e->moe_backend));
    rt_writer_bool(w, "cuda_graphs", e->cuda_graphs);
    rt_writer_bool(w, "prefix_caching", e->prefix_caching);
    rt_writer_int(w, "max_num_seqs", e->max_num_seqs);
    if (e->max_num_batched_tokens > 0)
        rt_writer_int(w, "max_num_batched_tokens", e->max_num_batched_tokens);
    rt_writer_int(w, "chunk_tokens", e->chunk_tokens);
    rt_writer_int(w, "block_size", e->block_size);
    rt_writer_double(w, "gpu_memory_utilization", e->gpu_memory_utilization);
    if (e->num_gpu_blocks > 0)
        rt_writer_int(w, "num_gpu_blocks", e->num_gpu_blocks);
    rt_writer_double(w, "watermark", e->watermark);
    if (e->max_model_len > 0)
        rt_writer_int(w, "max_model_len", e->max_model_len);
    write_speculative(w, p);
    rt_writer_close(w, '}');
}

static void write_served(struct rt_writer *w, const struct rt_pool_spec *p)
{
    if (p->served_count > 0) {
        rt_writer_open(w, "served_models", '[');
        for (uint32_t i = 0; i < p->served_count; i++)
            rt_writer_string(w, NULL, p->served_models[i]);
        rt_writer_close(w, ']');
    }
    if (p->max_prompt_tokens > 0)
        rt_writer_int(w, "max_prompt_tokens", p->max_prompt_tokens);
}

/* Prices of the catalogue are in the GPU's record: only which of them counts is said here. */
static void write_price(struct rt_writer *w, const struct rt_pool_spec *p)
{
    if (p->price.known && p->price.own)
        rt_writer_double(w, "price_usd_per_gpu_hour", p->price.usd_per_gpu_h);
    if (p->price.known && !p->price.own) {
        rt_writer_string(w, "pricing", rt_pricing_names[p->price.pricing]);
        rt_writer_string(w, "price_bound", rt_price_bound_names[p->price.bound]);
    }
    rt_writer_open(w, "power", '{');
    if (p->power.idle_w > 0)
        rt_writer_double(w, "idle_w", p->power.idle_w);
    if (p->power.busy_w > 0)
        rt_writer_double(w, "busy_w", p->power.busy_w);
    rt_writer_close(w, '}');
}

static void write_power(struct rt_writer *w, const struct rt_power *p)
{
    rt_writer_open(w, "power", '{');
    rt_writer_double(w, "pue", p->pue);
    if (p->has_gco2)
        rt_writer_double(w, "gco2_per_kwh", p->gco2_per_kwh);
    rt_writer_close(w, '}');
}

static void write_pool(struct rt_writer *w, const struct rt_pool_spec *p)
{
    rt_writer_open(w, NULL, '{');
    rt_writer_string(w, "name", p->name);
    rt_writer_int(w, "tensor_parallel", p->parallel.tensor);
    rt_writer_int(w, "pipeline_parallel", p->parallel.pipeline);
    rt_writer_int(w, "expert_parallel", p->parallel.expert);
    rt_writer_int(w, "data_parallel", p->parallel.data);
    rt_writer_open(w, "node", '{');
    rt_writer_int(w, "gpus", p->nodes.gpus);
    rt_writer_in_unit(w, "link_gb_per_s", p->nodes.link_bytes_per_s, 1e9);
    rt_writer_in_unit(w, "latency_us", p->nodes.latency_s, 1e-6);
    rt_writer_close(w, '}');
    rt_writer_int(w, "replicas", p->replicas);
    rt_writer_string(w, "role", rt_role_names[p->role]);
    write_served(w, p);
    rt_writer_string(w, "weight_dtype", rt_dtype_names[p->dtypes.weight]);
    if (p->dtypes.experts_apart)
        rt_writer_string(w, "expert_dtype", rt_dtype_names[p->dtypes.expert]);
    rt_writer_string(w, "activation_dtype", rt_dtype_names[p->dtypes.activation]);
    rt_writer_string(w, "kv_dtype", rt_dtype_names[p->dtypes.kv]);
    rt_writer_string(w, "head_dtype", rt_dtype_names[p->dtypes.head]);
    write_price(w, p);
    rt_writer_supply(w, p);
    write_engine(w, p);
    rt_writer_gpu(w, "gpu", &p->gpu);
    rt_writer_model(w, "model", &p->model);
    rt_writer_close(w, '}');
}

void rt_writer_slo(struct rt_writer *w, const struct rt_slo *slo)
{
    rt_writer_open(w, "slo", '{');
    if (!isnan(slo->ttft_s))
        rt_writer_double(w, "ttft_s", slo->ttft_s);
    if (!isnan(slo->tpot_s))
        rt_writer_double(w, "tpot_s", slo->tpot_s);
    if (!isnan(slo->e2e_s))
        rt_writer_double(w, "e2e_s", slo->e2e_s);
    rt_writer_close(w, '}');
}

static char *print(const struct rt_scenario *s, bool bits)
{
    struct rt_writer w = {.first = true, .bits = bits};

    rt_writer_open(&w, NULL, '{');
    rt_writer_workload(&w, &s->workload);
    write_cost(&w, &s->fleet.cost);
    rt_writer_open(&w, "pools", '[');
    for (uint32_t i = 0; i < s->fleet.pool_count; i++)
        write_pool(&w, &s->fleet.pools[i]);
    rt_writer_close(&w, ']');
    rt_writer_routing(&w, &s->fleet);
    rt_writer_retry(&w, &s->fleet.retry);
    write_power(&w, &s->fleet.power);
    rt_writer_slo(&w, &s->slo);
    rt_writer_patience(&w, &s->patience);
    if (s->class_count > 0)
        rt_writer_classes(&w, s);
    rt_writer_double(&w, "sample_interval_s", s->sample_interval_s);
    if (s->has_measure)
        rt_writer_pair(&w, "measure_s", s->measure_s);
    rt_writer_double(&w, "frontend_s", s->frontend_s);
    rt_writer_int(&w, "seed", (int64_t)s->seed);
    rt_writer_close(&w, '}');
    return rt_writer_take(&w);
}

char *rt_scenario_print(const struct rt_scenario *s)
{
    return print(s, false);
}

char *rt_scenario_identity(const struct rt_scenario *s)
{
    return print(s, true);
}
