/* rooftrace estimate: one batch in closed form, as one would work it out by hand, from the same
 * cost model that the simulation uses. No trace, no queue, no database. */
#include "cli_internal.h"
#include "rooftrace/estimate.h"
#include "rooftrace/fleet.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define MAX_TOKENS (INT64_C(1) << 40)

static const struct rt_option table[] = {
    {RT_OPT_HEADING("what runs where:")},
    {RT_OPT_TEXT("--model", "NAME|FILE", "model: name in the catalogue, record, or config.json")},
    {RT_OPT_TEXT("--gpu", "NAME|FILE", "GPU: name in the catalogue, or record")},
    {RT_OPT_INT("--tensor-parallel-size", "N", 1, 1024, "GPUs (1)")},
    {RT_OPT_TEXT("--dtype", "TYPE", "weights, activations and KV:\nfp16 bf16 fp8 int8 int4 fp4")},
    {RT_OPT_TEXT("--weight-dtype", "TYPE", "weights (as published)")},
    {RT_OPT_TEXT("--activation-dtype", "TYPE", "activations (16 bit)")},
    {RT_OPT_TEXT("--kv-dtype", "TYPE", "KV cache (16 bit)")},
    {RT_OPT_HEADING("the batch:")},
    {RT_OPT_INT("--prompt", "N", 1, MAX_TOKENS, "prompt tokens of each request (1024)")},
    {RT_OPT_INT("--output", "N", 1, MAX_TOKENS, "output tokens of each request (128)")},
    {RT_OPT_INT("--batch", "N", 1, MAX_TOKENS, "requests that arrive together (1)")},
    {RT_OPT_HEADING("memory and cost:")},
    {RT_OPT_NUMBER("--gpu-memory-utilization", "X", 0.01, 1, "share of GPU memory in use (0.9)")},
    {RT_OPT_INT("--max-num-batched-tokens", "N", 1, RT_MAX_BATCHED_TOKENS,
                "sizes the activations (8192; 2048 below 40 GB)")},
    {RT_OPT_INT("--max-num-seqs", "N", 1, RT_MAX_NUM_SEQS, "sizes the sampler's memory (256)")},
    {RT_OPT_INT("--block-size", "N", 1, RT_MAX_BLOCK_SIZE, "tokens a KV block holds (16)")},
    {RT_OPT_FLAG("--speed-of-light", "datasheet peaks, no overhead: the floor")},
    {RT_OPT_TEXT("--catalog", "DIR", "another catalogue of models and GPUs")},
    {RT_OPT_HEADING("output:")},
    {RT_OPT_FLAG("--explain", "with the formulas and the numbers in them")},
    {RT_OPT_FLAG("--json", "one JSON object")},
    {RT_OPT_FLAG("--help", "this text"), .letter = 'h'},
};

static const struct cli_page page = {
    .usage = "usage: rooftrace estimate --model M --gpu G [options]\n\n"
             "One batch in closed form: FLOPs, bytes, TTFT, TPOT, tokens per second, k and b of\n"
             "latency = k * tokens + b, memory, and the share of the speed of light.\n",
    .options = {"rooftrace estimate", table, sizeof table / sizeof table[0]},
    .examples =
        "\nexamples:\n"
        "  rooftrace estimate --model llama-3.1-8b --gpu h100-sxm --prompt 2048 --output 256\n"
        "  rooftrace estimate --model mistral-7b --gpu rtx-4090 --speed-of-light --explain\n"
        "  rooftrace estimate --model llama-3.1-70b --gpu h100-sxm --tensor-parallel-size 4 \\\n"
        "      --batch 32 --json\n",
};

struct job {
    struct rt_cost_inputs in;
    struct rt_estimate_request req;
    double utilization;
    int64_t block_size;
    struct rt_estimate e;
};

static bool read_dtype(const struct rt_options *o, const char *option, enum rt_dtype *out,
                       struct rt_err *err)
{
    const char *text = rt_options_text(o, option, NULL);
    char suggestion[128];

    if (text == NULL)
        return true;
    for (int d = 0; d < RT_DTYPE_COUNT; d++)
        if (strcmp(text, rt_dtype_names[d]) == 0) {
            *out = (enum rt_dtype)d;
            return true;
        }
    return rt_fail(err, RT_EUSAGE, "%s: unknown type \"%.64s\", %s", option, text,
                   rt_suggest(text, rt_dtype_names, RT_DTYPE_COUNT, suggestion, sizeof suggestion));
}

static bool read_dtypes(const struct rt_options *o, struct rt_dtypes *d, struct rt_err *err)
{
    return read_dtype(o, "--dtype", &d->weight, err) &&
           read_dtype(o, "--dtype", &d->activation, err) && read_dtype(o, "--dtype", &d->kv, err) &&
           read_dtype(o, "--weight-dtype", &d->weight, err) &&
           read_dtype(o, "--activation-dtype", &d->activation, err) &&
           read_dtype(o, "--kv-dtype", &d->kv, err);
}

static bool read_job(const struct rt_options *o, const struct rt_catalog *c, struct job *job,
                     struct rt_err *err)
{
    const char *model = rt_options_text(o, "--model", NULL);
    const char *gpu = rt_options_text(o, "--gpu", NULL);
    struct rt_cost_inputs *in = &job->in;
    struct rt_engine_spec engine;

    if (model == NULL || gpu == NULL)
        return rt_fail(err, RT_EUSAGE, "expected --model and --gpu: %s is missing",
                       model == NULL ? "--model" : "--gpu");
    if (!rt_catalog_model(c, model, &in->model, err) || !rt_catalog_gpu(c, gpu, &in->gpu, err))
        return false;
    rt_cost_spec_init(&in->spec);
    rt_engine_init(&engine);
    in->spec.speed_of_light = rt_options_given(o, "--speed-of-light");
    in->parallel = (struct rt_parallel){.pipeline = 1, .expert = 1, .data = 1};
    in->parallel.tensor = rt_options_int(o, "--tensor-parallel-size", 1);
    in->max_tokens =
        rt_options_int(o, "--max-num-batched-tokens", rt_pool_default_step_tokens(&in->gpu));
    in->max_seqs = rt_options_int(o, "--max-num-seqs", engine.max_num_seqs);
    in->dtypes = rt_pool_default_dtypes(&in->gpu, &in->model);
    job->utilization =
        rt_options_number(o, "--gpu-memory-utilization", engine.gpu_memory_utilization);
    job->block_size = rt_options_int(o, "--block-size", engine.block_size);
    job->req.prompt_tokens = rt_options_int(o, "--prompt", 1024);
    job->req.output_tokens = rt_options_int(o, "--output", 128);
    job->req.batch = rt_options_int(o, "--batch", 1);
    return read_dtypes(o, &in->dtypes, err);
}

/* Bytes of one GPU that the plan lacks for a single KV block; <= 0: it fits. */
static double missing_bytes(const struct rt_memory_plan *m)
{
    return m->blocks >= 1 ? 0.0
                          : m->weights + m->activations + m->context + m->block_bytes - m->usable;
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

static void print_head(const struct job *j)
{
    const struct rt_dtypes *d = &j->in.dtypes;

    printf("%s on %" PRId64 " x %s%s\n", j->in.model.name, j->in.parallel.tensor, j->in.gpu.name,
           j->in.spec.speed_of_light ? ", at the speed of light" : "");
    row("batch, prompt, output", "%" PRId64 " x (%" PRId64 " + %" PRId64 ") tokens", j->req.batch,
        j->req.prompt_tokens, j->req.output_tokens);
    row("weights, activations, KV", "%s, %s, %s", rt_dtype_names[d->weight],
        rt_dtype_names[d->activation], rt_dtype_names[d->kv]);
}

static void print_numbers(const struct job *j)
{
    const struct rt_estimate *e = &j->e;

    row("parameters", "%.3f B, %.3f B active for a token", e->params / 1e9, e->params_active / 1e9);
    row("weights read by a decode step", "%.2f GB", e->weight_bytes / 1e9);
    row("KV of a token", "%.1f KiB", e->kv_bytes_per_token / 1024);
    row("FLOPs prefill", "%.4g", e->flops_prefill);
    row("FLOPs decode", "%.4g", e->flops_decode);
    row("TTFT", "%.3f ms", e->ttft_s * 1e3);
    row("TPOT", "%.3f ms", e->tpot_s * 1e3);
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

static void print_terms(const struct job *j)
{
    const struct rt_estimate *e = &j->e;

    printf("\n  %-30s %12s %12s\n", "where the time goes", "TTFT ms", "TPOT ms");
    for (int t = 0; t < RT_TERM_COUNT; t++)
        if (e->prefill_terms_s[t] > 0 || e->decode_terms_s[t] > 0)
            printf("  %-30s %12.3f %12.3f\n", rt_term_names[t], e->prefill_terms_s[t] * 1e3,
                   e->decode_terms_s[t] * 1e3);
}

static void print_memory(const struct job *j)
{
    const struct rt_memory_plan *m = &j->e.memory;

    printf("\n  %-30s %12s\n", "memory of each GPU", "GB");
    printf("  %-30s %12.2f\n", "in all", m->total / 1e9);
    printf("  %-30s %12.2f\n", "to be used", m->usable / 1e9);
    printf("  %-30s %12.2f\n", "weights", m->weights / 1e9);
    printf("  %-30s %12.2f\n", "activations", m->activations / 1e9);
    printf("  %-30s %12.2f\n", "context", m->context / 1e9);
    if (missing_bytes(m) > 0)
        row("KV", "does not fit: %.2f GB missing", missing_bytes(m) / 1e9);
    else
        row("KV blocks", "%" PRId64 " of %" PRId64 " tokens: %" PRId64 " tokens", m->blocks,
            j->block_size, m->blocks * j->block_size);
}

/* The formulas with this batch's numbers in them. */
static void print_explanation(const struct job *j)
{
    const struct rt_estimate *e = &j->e;
    const struct rt_estimate_request *r = &j->req;
    double bandwidth = j->in.gpu.mem_bw_bytes_per_s * (double)j->in.parallel.tensor;

    fputs("\n", stdout);
    printf("  FLOPs prefill = 2 * batch * prompt * params = 2 * %" PRId64 " * %" PRId64
           " * %.4g = %.4g\n",
           r->batch, r->prompt_tokens, e->params_active, e->flops_prefill);
    printf("  FLOPs decode  = 2 * batch * output * params = 2 * %" PRId64 " * %" PRId64
           " * %.4g = %.4g\n",
           r->batch, r->output_tokens, e->params_active, e->flops_decode);
    printf("  weights       = %.4g B of parameters * %g bytes = %.2f GB (no input embedding)\n",
           e->weight_bytes / rt_dtype_bytes(j->in.dtypes.weight) / 1e9,
           rt_dtype_bytes(j->in.dtypes.weight), e->weight_bytes / 1e9);
    printf("  weights alone = %.2f GB / %.0f GB/s = %.2f ms a decode step\n", e->weight_bytes / 1e9,
           bandwidth / 1e9, e->weight_bytes / bandwidth * 1e3);
    printf("  latency       = TTFT + TPOT * output = %.6f + %.6f * %" PRId64 " = %.6f s\n",
           e->ttft_s, e->tpot_s, r->output_tokens, e->latency_s);
    printf("  tokens/s      = output / latency = %" PRId64 " / %.6f = %.2f, times batch = %.2f\n",
           r->output_tokens, e->latency_s, e->tps_user, e->tps_total);
    printf("  share         = light TPOT / TPOT = %.6f / %.6f = %.3f\n", e->light_tpot_s, e->tpot_s,
           e->share_of_light);
    if (j->in.gpu.accuracy[0] != '\0')
        printf("  accuracy      = %s\n", j->in.gpu.accuracy);
}

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

static void json_text(const char *key, const char *value)
{
    printf("  \"%s\": ", key);
    cli_json_text(stdout, value);
    fputs(",\n", stdout);
}

static void json_memory(const struct job *j)
{
    const struct rt_memory_plan *m = &j->e.memory;
    const struct member list[] = {
        {"total_bytes", m->total},           {"usable_bytes", m->usable},
        {"weights_bytes", m->weights},       {"activations_bytes", m->activations},
        {"context_bytes", m->context},       {"block_bytes", m->block_bytes},
        {"missing_bytes", missing_bytes(m)}, {"kv_blocks", (double)(m->blocks > 0 ? m->blocks : 0)},
    };

    fputs(",\n  \"memory_per_gpu\": {\n", stdout);
    json_numbers(list, sizeof list / sizeof list[0], "    ");
    printf(",\n    \"fits\": %s\n  }", m->blocks >= 1 ? "true" : "false");
}

static void print_json(const struct job *j)
{
    const struct rt_estimate *e = &j->e;
    const struct member list[] = {
        {"tensor_parallel", (double)j->in.parallel.tensor},
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
    json_text("model", j->in.model.name);
    json_text("gpu", j->in.gpu.name);
    json_text("weight_dtype", rt_dtype_names[j->in.dtypes.weight]);
    json_text("activation_dtype", rt_dtype_names[j->in.dtypes.activation]);
    json_text("kv_dtype", rt_dtype_names[j->in.dtypes.kv]);
    printf("  \"speed_of_light\": %s,\n", j->in.spec.speed_of_light ? "true" : "false");
    json_text("accuracy", j->in.gpu.accuracy);
    json_numbers(list, sizeof list / sizeof list[0], "  ");
    json_terms("prefill_terms_s", e->prefill_terms_s);
    json_terms("decode_terms_s", e->decode_terms_s);
    json_memory(j);
    fputs("\n}\n", stdout);
}

static void print_text(const struct job *j, bool explain)
{
    print_head(j);
    print_numbers(j);
    print_terms(j);
    print_memory(j);
    if (explain)
        print_explanation(j);
}

/* What would fit instead: the figures stand, so this is no failure. */
static void note_misfit(const struct job *j)
{
    struct rt_memory_plan plan;
    struct rt_err err = {0};

    if (!rt_memory_plan(&j->in, j->utilization, j->block_size, &plan, &err))
        cli_note("%s", err.msg);
}

int cli_estimate(int argc, char **argv)
{
    struct rt_catalog *catalog = NULL;
    struct rt_options o;
    struct job job = {0};
    struct rt_err err = {0};
    int status;

    if (!cli_begin(&page, argc, argv, &o, &status))
        return status;
    if (!cli_words(&o, 0, 0, "options only", &err) ||
        !rt_catalog_open(rt_options_text(&o, "--catalog", NULL), &catalog, &err) ||
        !read_job(&o, catalog, &job, &err) ||
        !rt_estimate(&job.in, job.utilization, job.block_size, &job.req, &job.e, &err)) {
        status = cli_fail(&err);
    } else {
        if (rt_options_given(&o, "--json"))
            print_json(&job);
        else
            print_text(&job, rt_options_given(&o, "--explain"));
        note_misfit(&job);
        status = cli_finish();
    }
    rt_catalog_free(catalog);
    rt_options_release(&o);
    return status;
}
