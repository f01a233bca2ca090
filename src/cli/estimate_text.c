/* The text of `rooftrace estimate`: numbers, terms, memory, and on demand every operator of a step
 * and the formulas with this batch's numbers in them. O(what is printed). */
#include "estimate_internal.h"
#include "rooftrace/dtype.h"
#include "rooftrace/explain.h"
#include "rooftrace/model.h"
#include "rooftrace/op_table.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>

int64_t estimate_gpus(const struct estimate_job *j)
{
    const struct rt_parallel *p = &j->in.parallel;

    return p->tensor * p->pipeline * p->data;
}

double estimate_needed_blocks(const struct estimate_job *j)
{
    double tokens = (double)j->req.prompt_tokens + (double)j->req.output_tokens;

    return (double)j->e.rank_batch * ceil(tokens / (double)j->block_size);
}

double estimate_missing_bytes(const struct rt_memory_plan *m)
{
    double needed = m->weights + m->activations + m->context + m->window_bytes + m->block_bytes;

    return m->blocks >= 1 ? 0.0 : needed - m->usable;
}

static void row(const char *label, const char *fmt, ...) RT_PRINTF(2, 3);

static void row(const char *label, const char *fmt, ...)
{
    va_list args;

    printf("  %-30s ", label);
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    putchar('\n');
}

/* How the GPUs share the work, where they do it in more than one way. */
static void print_parallel(const struct estimate_job *j)
{
    const struct rt_parallel *p = &j->in.parallel;
    const struct rt_estimate *e = &j->e;

    if (p->pipeline > 1 || p->data > 1 || p->expert > 1)
        row("parallel", "tensor %" PRId64 ", pipeline %" PRId64 ", data %" PRId64 "%s", p->tensor,
            p->pipeline, p->data, p->expert > 1 ? ", whole experts on each GPU" : "");
    if (p->data > 1)
        row("requests of a rank", "%" PRId64, e->rank_batch);
    if (p->pipeline > 1)
        row("micro-batches", "%" PRId64 " of at most %" PRId64 " requests", e->micro_batches,
            e->micro_batch);
}

static void print_head(const struct estimate_job *j)
{
    const struct rt_dtypes *d = &j->in.dtypes;

    printf("%s on %" PRId64 " x %s%s\n", j->in.model.name, estimate_gpus(j), j->in.gpu.name,
           j->in.spec.speed_of_light ? ", at the speed of light" : "");
    print_parallel(j);
    row("batch, prompt, output", "%" PRId64 " x (%" PRId64 " + %" PRId64 ") tokens", j->req.batch,
        j->req.prompt_tokens, j->req.output_tokens);
    row("weights, activations, KV", "%s, %s, %s", rt_dtype_names[d->weight],
        rt_dtype_names[d->activation], rt_dtype_names[d->kv]);
    if (d->experts_apart)
        row("experts", "%s", rt_dtype_names[d->expert]);
    if (rt_dtype_bytes(d->head) != rt_dtype_bytes(d->weight))
        row("embedding, LM head", "%s", rt_dtype_names[d->head]);
}

static void print_numbers(const struct estimate_job *j)
{
    const struct rt_estimate *e = &j->e;

    row("parameters", "%.3f B, %.3f B active for a token", e->params / 1e9, e->params_active / 1e9);
    row("weights read by a decode step", "%.2f GB", e->weight_bytes / 1e9);
    row("KV of a token", "%.1f KiB", e->kv_bytes_per_token / 1024);
    row("FLOPs prefill", "%.4g", e->flops_prefill);
    row("FLOPs decode", "%.4g", e->flops_decode);
    row("TTFT", "%.3f ms", e->ttft_s * 1e3);
    row("TPOT", "%.3f ms", e->tpot_s * 1e3);
    if (j->in.parallel.pipeline > 1)
        row("slowest stage", "%.3f ms of a decode; stages idle %.1f %% of the time",
            e->decode_stage_s * 1e3, e->bubble_share * 100);
    row("latency", "%.3f s", e->latency_s);
    row("tokens/s a user", "%.2f", e->tps_user);
    row("tokens/s in all", "%.2f", e->tps_total);
    row("y = k x + b", "k = %.6f s a token, b = %.6f s", e->tpot_s, e->ttft_s);
    row("speed of light", "TTFT %.3f ms, TPOT %.3f ms: this is %.1f %% of it",
        e->light_ttft_s * 1e3, e->light_tpot_s * 1e3, e->share_of_light * 100);
    if (j->req.batch == 1)
        row("one fused kernel a token", "TPOT %.3f ms, %.2f tokens/s", e->fused_tpot_s * 1e3,
            1 / e->fused_tpot_s);
}

static void print_terms(const struct estimate_job *j)
{
    const struct rt_estimate *e = &j->e;

    printf("\n  %-30s %12s %12s\n", "where the time goes", "TTFT ms", "TPOT ms");
    for (int t = 0; t < RT_TERM_COUNT; t++)
        if (e->prefill_terms_s[t] > 0 || e->decode_terms_s[t] > 0)
            printf("  %-30s %12.3f %12.3f\n", rt_term_names[t], e->prefill_terms_s[t] * 1e3,
                   e->decode_terms_s[t] * 1e3);
    if (e->ttft_wait_s > 0 || e->tpot_wait_s > 0)
        printf("  %-30s %12.3f %12.3f\n", "other micro-batches", e->ttft_wait_s * 1e3,
               e->tpot_wait_s * 1e3);
}

/* With a profile: where the times of each operator come from. */
static void print_sources(const struct estimate_job *j)
{
    const struct rt_cost_sources *p = &j->e.prefill_sources, *d = &j->e.decode_sources;

    if (j->in.spec.kind != RT_COST_PROFILE)
        return;
    printf("\n  %-30s %12s %12s %8s\n", "where the times come from", "TTFT", "TPOT", "rows");
    for (int op = 0; op < RT_OP_COUNT; op++)
        if (p->of[op] != RT_ORIGIN_UNUSED || d->of[op] != RT_ORIGIN_UNUSED)
            printf("  %-30s %12s %12s %8u\n", rt_op_names[op],
                   p->of[op] != RT_ORIGIN_UNUSED ? rt_origin_names[p->of[op]] : "-",
                   d->of[op] != RT_ORIGIN_UNUSED ? rt_origin_names[d->of[op]] : "-", d->rows[op]);
}

static void print_memory(const struct estimate_job *j)
{
    const struct rt_memory_plan *m = &j->e.memory;

    printf("\n  %-30s %12s\n", "memory of each GPU", "GB");
    printf("  %-30s %12.2f\n", "in all", m->total / 1e9);
    printf("  %-30s %12.2f\n", "to be used", m->usable / 1e9);
    printf("  %-30s %12.2f\n", "weights", m->weights / 1e9);
    printf("  %-30s %12.2f\n", "activations", m->activations / 1e9);
    printf("  %-30s %12.2f\n", "context", m->context / 1e9);
    if (m->window_bytes > 0)
        printf("  %-30s %12.2f\n", "KV of windowed layers", m->window_bytes / 1e9);
    if (estimate_missing_bytes(m) > 0)
        row("KV", "does not fit: %.2f GB missing", estimate_missing_bytes(m) / 1e9);
    else
        row("KV blocks", "%" PRId64 " of %" PRId64 " tokens: %" PRId64 " tokens", m->blocks,
            j->block_size, m->blocks * j->block_size);
}

/* The formulas with this batch's numbers in them. */
static void print_weights(const struct estimate_job *j)
{
    const struct rt_model *m = &j->in.model;
    double narrow = rt_dtype_bytes(j->in.dtypes.weight), wide = rt_dtype_bytes(j->in.dtypes.head);
    double bytes = j->e.weight_bytes;
    double head = (double)m->vocab * (double)m->hidden * (double)j->in.parallel.data;
    bool alike = wide == narrow, apart = j->in.dtypes.experts_apart;
    double own = rt_dtype_bytes(rt_expert_dtype(&j->in.dtypes));

    printf("  weights       = %.4g B of parameters * %g bytes",
           (bytes - (alike ? 0 : head * wide) - (apart ? j->e.expert_bytes : 0)) / narrow / 1e9,
           narrow);
    if (apart)
        printf(" + experts %.4g B * %g bytes", j->e.expert_bytes / own / 1e9, own);
    if (!alike)
        printf(" + LM head %.4g B * %g bytes", head / 1e9, wide);
    printf(" = %.2f GB (no input embedding)\n", bytes / 1e9);
}

static void print_explanation(const struct estimate_job *j)
{
    const struct rt_estimate *e = &j->e;
    const struct rt_estimate_request *r = &j->req;
    double bandwidth = j->in.gpu.mem_bw_bytes_per_s * (double)estimate_gpus(j);

    fputs("\n", stdout);
    printf("  FLOPs prefill = 2 * batch * prompt * params = 2 * %" PRId64 " * %" PRId64
           " * %.4g = %.4g\n",
           r->batch, r->prompt_tokens, e->params_active, e->flops_prefill);
    printf("  FLOPs decode  = 2 * batch * output * params = 2 * %" PRId64 " * %" PRId64
           " * %.4g = %.4g\n",
           r->batch, r->output_tokens, e->params_active, e->flops_decode);
    print_weights(j);
    printf("  weights alone = %.2f GB / %.0f GB/s = %.2f ms a decode step\n", e->weight_bytes / 1e9,
           bandwidth / 1e9, e->weight_bytes / bandwidth * 1e3);
    printf("  latency       = TTFT + TPOT * output = %.6f + %.6f * %" PRId64 " = %.6f s\n",
           e->ttft_s, e->tpot_s, r->output_tokens, e->latency_s);
    printf("  tokens/s      = output / latency = %" PRId64 " / %.6f = %.2f, times batch = %.2f\n",
           r->output_tokens, e->latency_s, e->tps_user, e->tps_total);
    printf("  share         = light TPOT / TPOT = %.6f / %.6f = %.3f\n", e->light_tpot_s, e->tpot_s,
           e->share_of_light);
    printf("  accuracy      = %s\n", j->in.gpu.accuracy);
}

/* Every part: what it computes and moves on one GPU, how long it takes, and what bounds it. */
static void print_step(const char *what, const struct rt_estimate_step *s)
{
    printf("\n  %s: %" PRId64 " tokens", what, s->tokens);
    if (s->context > 0)
        printf(" at context %" PRId64, s->context);
    printf("\n  %-22s %12s %12s %12s %12s  %s\n", "", "GFLOP", "MB", "launch ms", "ms", "bound by");
    for (unsigned i = 0; i < s->count; i++) {
        const struct rt_cost_part *p = &s->parts[i];
        printf("  %-22s %12.3f %12.3f %12.4f %12.4f  %s\n", p->name, p->flops / 1e9, p->bytes / 1e6,
               p->terms_s[RT_TERM_LAUNCH] * 1e3, rt_cost_part_s(p) * 1e3, rt_cost_part_bound(p));
    }
    printf("  %-22s %12s %12s %12s %12.4f\n", "sum: the step", "", "", "", s->step_s * 1e3);
}

void estimate_print_text(const struct estimate_job *j)
{
    print_head(j);
    print_numbers(j);
    print_terms(j);
    print_sources(j);
    print_memory(j);
    if (!j->explain)
        return;
    print_step("the step of the prompts", &j->prefill);
    print_step("a decode step", &j->decode);
    print_explanation(j);
}
