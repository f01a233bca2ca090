/* `rooftrace estimate --json`: one object; with --explain the parts of both steps. */
#include "estimate_internal.h"
#include "rooftrace/dtype.h"
#include "rooftrace/explain.h"
#include "rooftrace/op_table.h"

#include <inttypes.h>

struct member {
    const char *key;
    double value;
};

static void json_numbers(const struct member *list, size_t count, const char *indent)
{
    for (size_t i = 0; i < count; i++) {
        printf("%s%s\"%s\": ", i > 0 ? ",\n" : "", indent, list[i].key);
        cli_json_number(stdout, list[i].value);
    }
}

static void json_terms(const char *key, const double terms_s[RT_TERM_COUNT])
{
    struct member list[RT_TERM_COUNT];

    for (int t = 0; t < RT_TERM_COUNT; t++)
        list[t] = (struct member){rt_term_names[t], terms_s[t]};
    printf(",\n  \"%s\": {\n", key);
    json_numbers(list, RT_TERM_COUNT, "    ");
    fputs("\n  }", stdout);
}

static void json_sources(const char *key, const struct rt_cost_sources *s)
{
    bool first = true;

    printf(",\n  \"%s\": {", key);
    for (int op = 0; op < RT_OP_COUNT; op++)
        if (s->of[op] != RT_ORIGIN_UNUSED) {
            printf("%s\n    \"%s\": \"%s\"", first ? "" : ",", rt_op_names[op],
                   rt_origin_names[s->of[op]]);
            first = false;
        }
    fputs("\n  }", stdout);
}

static void json_text(const char *key, const char *value)
{
    printf("  \"%s\": ", key);
    cli_json_text(stdout, value);
    fputs(",\n", stdout);
}

static void json_memory(const struct estimate_job *j)
{
    const struct rt_memory_plan *m = &j->e.memory;
    const struct member list[] = {
        {"total_bytes", m->total},
        {"usable_bytes", m->usable},
        {"weights_bytes", m->weights},
        {"activations_bytes", m->activations},
        {"context_bytes", m->context},
        {"window_bytes", m->window_bytes},
        {"block_bytes", m->block_bytes},
        {"stage", (double)m->stage},
        {"missing_bytes", estimate_missing_bytes(m)},
        {"kv_blocks", (double)(m->blocks > 0 ? m->blocks : 0)},
        {"kv_blocks_needed", estimate_needed_blocks(j)},
    };

    fputs(",\n  \"memory_per_gpu\": {\n", stdout);
    json_numbers(list, sizeof list / sizeof list[0], "    ");
    printf(",\n    \"fits\": %s\n  }", m->blocks >= 1 ? "true" : "false");
}

static void json_part(const struct rt_cost_part *p)
{
    struct member list[RT_TERM_COUNT + 3] = {
        {"flops", p->flops}, {"bytes", p->bytes}, {"seconds", rt_cost_part_s(p)}};
    size_t count = 3;

    for (int t = 0; t < RT_TERM_COUNT; t++)
        if (p->terms_s[t] > 0)
            list[count++] = (struct member){rt_term_names[t], p->terms_s[t]};
    printf("      {\"name\": \"%s\", \"bound\": \"%s\",\n", p->name, rt_cost_part_bound(p));
    json_numbers(list, count, "       ");
    fputs("}", stdout);
}

static void json_step(const char *key, const struct rt_estimate_step *s)
{
    printf(",\n  \"%s\": {\n    \"tokens\": %" PRId64 ",\n    \"context\": %" PRId64 ",\n", key,
           s->tokens, s->context);
    json_numbers((struct member[]){{"step_s", s->step_s}, {"stage_s", s->stage_s}}, 2, "    ");
    fputs(",\n    \"parts\": [\n", stdout);
    for (unsigned i = 0; i < s->count; i++) {
        fputs(i > 0 ? ",\n" : "", stdout);
        json_part(&s->parts[i]);
    }
    fputs("\n    ]\n  }", stdout);
}

static void json_words(const struct estimate_job *j)
{
    json_text("model", j->in.model.name);
    json_text("gpu", j->in.gpu.name);
    json_text("weight_dtype", rt_dtype_names[j->in.dtypes.weight]);
    json_text("expert_dtype", rt_dtype_names[rt_expert_dtype(&j->in.dtypes)]);
    json_text("activation_dtype", rt_dtype_names[j->in.dtypes.activation]);
    json_text("kv_dtype", rt_dtype_names[j->in.dtypes.kv]);
    json_text("head_dtype", rt_dtype_names[j->in.dtypes.head]);
    printf("  \"speed_of_light\": %s,\n", j->in.spec.speed_of_light ? "true" : "false");
    json_text("accuracy", j->in.gpu.accuracy);
}

void estimate_print_json(const struct estimate_job *j)
{
    const struct rt_estimate *e = &j->e;
    const struct member list[] = {
        {"gpus", (double)estimate_gpus(j)},
        {"tensor_parallel", (double)j->in.parallel.tensor},
        {"pipeline_parallel", (double)j->in.parallel.pipeline},
        {"data_parallel", (double)j->in.parallel.data},
        {"expert_parallel", (double)j->in.parallel.expert},
        {"expert_skew", j->in.spec.expert_skew},
        {"rank_batch", (double)e->rank_batch},
        {"micro_batches", (double)e->micro_batches},
        {"micro_batch", (double)e->micro_batch},
        {"batch", (double)j->req.batch},
        {"prompt_tokens", (double)j->req.prompt_tokens},
        {"output_tokens", (double)j->req.output_tokens},
        {"params", e->params},
        {"params_active", e->params_active},
        {"params_decode", e->params_decode},
        {"weight_bytes", e->weight_bytes},
        {"kv_bytes_per_token", e->kv_bytes_per_token},
        {"flops_prefill", e->flops_prefill},
        {"flops_decode", e->flops_decode},
        {"ttft_s", e->ttft_s},
        {"tpot_s", e->tpot_s},
        {"ttft_wait_s", e->ttft_wait_s},
        {"tpot_wait_s", e->tpot_wait_s},
        {"decode_stage_s", e->decode_stage_s},
        {"bubble_share", e->bubble_share},
        {"latency_s", e->latency_s},
        {"tps_user", e->tps_user},
        {"tps_total", e->tps_total},
        {"k_s_per_token", e->tpot_s},
        {"b_s", e->ttft_s},
        {"light_ttft_s", e->light_ttft_s},
        {"light_tpot_s", e->light_tpot_s},
        {"share_of_light", e->share_of_light},
        {"fused_tpot_s", e->fused_tpot_s},
    };

    fputs("{\n", stdout);
    json_words(j);
    json_numbers(list, sizeof list / sizeof list[0], "  ");
    json_terms("prefill_terms_s", e->prefill_terms_s);
    json_terms("decode_terms_s", e->decode_terms_s);
    if (j->in.spec.kind == RT_COST_PROFILE) {
        json_sources("prefill_sources", &e->prefill_sources);
        json_sources("decode_sources", &e->decode_sources);
    }
    json_memory(j);
    if (j->explain) {
        json_step("prefill_step", &j->prefill);
        json_step("decode_step", &j->decode);
    }
    fputs("\n}\n", stdout);
}
