/* rooftrace estimate: one batch in closed form, as one would work it out by hand, from the same
 * cost model that the simulation uses. No trace, no queue, no database. */
#include "estimate_internal.h"
#include "rooftrace/catalog.h"
#include "rooftrace/dtype.h"
#include "rooftrace/engine.h"
#include "rooftrace/fleet_spec.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TOKENS (INT64_C(1) << 40)

static const struct rt_option table[] = {
    {RT_OPT_HEADING("what runs where:")},
    {RT_OPT_TEXT("--model", "NAME|FILE", "model: name in the catalogue, record, or config.json")},
    {RT_OPT_TEXT("--gpu", "NAME|FILE", "GPU: name in the catalogue, or record")},
    {RT_OPT_INT("--tensor-parallel-size", "N", 1, RT_MAX_DEGREE, "GPUs that share a layer (1)")},
    {RT_OPT_INT("--pipeline-parallel-size", "N", 1, RT_MAX_DEGREE, "stages of layers (1)")},
    {RT_OPT_INT("--data-parallel-size", "N", 1, RT_MAX_DEGREE,
                "ranks that share the batch, and the experts (1)")},
    {RT_OPT_FLAG("--enable-expert-parallel", "whole experts on each GPU")},
    {RT_OPT_NUMBER("--expert-skew", "X", 0, RT_MAX_EXPERT_SKEW,
                   "the i-th most popular expert has the weight\ni^-X (0: all alike)")},
    {RT_OPT_INT("--gpus-per-node", "N", 1, RT_MAX_DEGREE, "GPUs of a box (8)")},
    {RT_OPT_NUMBER("--node-link-gb-per-s", "X", 0.001, 1e6,
                   "from a GPU to another box, GB/s each way (50)")},
    {RT_OPT_TEXT("--dtype", "TYPE",
                 "weights, activations and KV:\nfp16 bf16 fp8 int8 int4 fp4 mxfp4")},
    {RT_OPT_TEXT("--weight-dtype", "TYPE", "weights (as published)")},
    {RT_OPT_TEXT("--expert-dtype", "TYPE", "routed experts (as the weights, or as published)")},
    {RT_OPT_TEXT("--activation-dtype", "TYPE", "activations (16 bit)")},
    {RT_OPT_TEXT("--kv-dtype", "TYPE", "KV cache (16 bit)")},
    {RT_OPT_TEXT(
        "--head-dtype", "TYPE",
        "embedding and LM head (as the option for weights;\nof a quantised model 16 bit)")},
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
    {RT_OPT_TEXT("--profile", "FILE", "measured operators in place of the roofline's own")},
    {RT_OPT_TEXT("--catalog", "DIR", "another catalogue of models and GPUs")},
    {RT_OPT_HEADING("output:")},
    {RT_OPT_FLAG("--explain", "with every operator of a step, and the formulas")},
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
        "      --batch 32 --json\n"
        "  rooftrace estimate --model deepseek-v3 --gpu h200-sxm --data-parallel-size 16 \\\n"
        "      --enable-expert-parallel --batch 512 --explain\n",
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
    bool narrowed = rt_options_given(o, "--dtype") || rt_options_given(o, "--weight-dtype");

    d->experts_apart = rt_options_given(o, "--expert-dtype") || (d->experts_apart && !narrowed);
    return read_dtype(o, "--dtype", &d->weight, err) &&
           read_dtype(o, "--dtype", &d->activation, err) && read_dtype(o, "--dtype", &d->kv, err) &&
           read_dtype(o, "--weight-dtype", &d->weight, err) &&
           read_dtype(o, "--dtype", &d->head, err) &&
           read_dtype(o, "--weight-dtype", &d->head, err) && /* the closed form halves them all */
           read_dtype(o, "--expert-dtype", &d->expert, err) &&
           read_dtype(o, "--activation-dtype", &d->activation, err) &&
           read_dtype(o, "--kv-dtype", &d->kv, err) && read_dtype(o, "--head-dtype", &d->head, err);
}

static void read_parallel(const struct rt_options *o, struct rt_cost_inputs *in)
{
    struct rt_parallel *p = &in->parallel;

    rt_nodes_init(&in->nodes);
    p->tensor = rt_options_int(o, "--tensor-parallel-size", 1);
    p->pipeline = rt_options_int(o, "--pipeline-parallel-size", 1);
    p->data = rt_options_int(o, "--data-parallel-size", 1);
    p->expert = rt_options_given(o, "--enable-expert-parallel") ? p->tensor * p->data : 1;
    in->nodes.gpus = rt_options_int(o, "--gpus-per-node", in->nodes.gpus);
    in->nodes.link_bytes_per_s =
        1e9 * rt_options_number(o, "--node-link-gb-per-s", in->nodes.link_bytes_per_s / 1e9);
    in->spec.expert_skew = rt_options_number(o, "--expert-skew", 0);
}

static bool read_profile(const struct rt_options *o, struct estimate_job *job, struct rt_err *err)
{
    const char *path = rt_options_text(o, "--profile", NULL);

    if (path == NULL)
        return true;
    if (job->in.spec.speed_of_light)
        return rt_fail(err, RT_EUSAGE, "--profile: the speed of light knows no measured operators");
    job->profile = strdup(path);
    job->in.spec.kind = RT_COST_PROFILE;
    job->in.spec.file = job->profile;
    return job->profile != NULL || rt_fail_nomem(err, "path of a profile");
}

static bool read_job(const struct rt_options *o, const struct rt_catalog *c,
                     struct estimate_job *job, struct rt_err *err)
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
    job->explain = rt_options_given(o, "--explain");
    rt_cost_spec_init(&in->spec);
    rt_engine_init(&engine);
    in->spec.speed_of_light = rt_options_given(o, "--speed-of-light");
    read_parallel(o, in);
    if (!read_profile(o, job, err))
        return false;
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

/* What would fit instead: the figures stand, so this is no failure. */
static void note_misfit(const struct estimate_job *j)
{
    struct rt_memory_plan plan;
    struct rt_err err = {0};

    if (!rt_memory_plan(&j->in, j->utilization, j->block_size, &plan, &err))
        cli_note("%s", err.msg);
}

/* The closed form has no limit where an engine has: what it would do with such a batch. */
static void note_batch(const struct estimate_job *j)
{
    double needed = estimate_needed_blocks(j), blocks = (double)j->e.memory.blocks;
    int64_t tokens = j->req.prompt_tokens + j->req.output_tokens;

    if (blocks >= 1 && needed > blocks)
        cli_note("%" PRId64 " requests of %" PRId64
                 " tokens need %.0f KV blocks%s, there are %.0f: "
                 "an engine serves %.0f of them at a time",
                 j->e.rank_batch, tokens, needed, j->in.parallel.data > 1 ? " of a rank" : "",
                 blocks, floor(blocks * (double)j->e.rank_batch / needed));
    if (j->in.model.max_context > 0 && tokens > j->in.model.max_context)
        cli_note("prompt and output are %" PRId64 " tokens, the context of %s is %" PRId64, tokens,
                 j->in.model.name, (int64_t)j->in.model.max_context);
}

int cli_estimate(int argc, char **argv)
{
    struct rt_catalog *catalog = NULL;
    struct rt_options o;
    struct estimate_job job = {0};
    struct rt_err err = {0};
    int status;

    if (!cli_begin(&page, argc, argv, &o, &status))
        return status;
    if (!cli_words(&o, 0, 0, "options only", &err) ||
        !rt_catalog_open(rt_options_text(&o, "--catalog", NULL), &catalog, &err) ||
        !read_job(&o, catalog, &job, &err) ||
        !rt_estimate(&job.in, job.utilization, job.block_size, &job.req, &job.e, &err) ||
        (job.explain && !rt_estimate_explain(&job.in, &job.req, &job.prefill, &job.decode, &err))) {
        status = cli_fail(&err);
    } else {
        if (rt_options_given(&o, "--json"))
            estimate_print_json(&job);
        else
            estimate_print_text(&job);
        note_misfit(&job);
        note_batch(&job);
        status = cli_finish();
    }
    free(job.profile);
    rt_catalog_free(catalog);
    rt_options_release(&o);
    return status;
}
