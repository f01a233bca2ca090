/* Presets: what an engine does when nobody tells it anything, by version.
 *
 * vLLM 0.8.4 and 0.6.1 were read in public forks that carry these versions in their names.
 * One table; the rules that need the GPU or the model are the functions above it. Numbers are those
 * of an OpenAI-compatible server on a CUDA or ROCm GPU (`vllm serve`, usage context
 * OPENAI_API_SERVER), not of the offline class, whose budgets are twice as large. Not here: SGLang,
 * whose scheduler runs chunks of prompts in steps of their own between decodes; none of the
 * policies does that, and a preset that only borrowed its numbers would mislead. O(1). */
#include "rooftrace/preset.h"
#include "rooftrace/engine.h"
#include "rooftrace/gpu.h"
#include "rooftrace/model.h"

#include <assert.h>
#include <string.h>

#define GIB (INT64_C(1) << 30)

/* Does the lower-case word stand in the text, whatever its case? Names of the catalogue stand for
 * the device names that vLLM asks the driver for ("NVIDIA H100 80GB HBM3"). */
static bool mentions(const char *text, const char *word)
{
    for (; *text != '\0'; text++) {
        size_t i = 0;
        while (word[i] != '\0' &&
               (text[i] >= 'A' && text[i] <= 'Z' ? text[i] - 'A' + 'a' : text[i]) == word[i])
            i++;
        if (word[i] == '\0')
            return true;
    }
    return false;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* vLLM 0.19, vllm/engine/arg_utils.py, EngineArgs.get_batch_defaults and
 * _set_default_max_num_seqs_and_batched_tokens_args, context OPENAI_API_SERVER: 8192 tokens and
 * 1024 sequences from 70 GiB of memory on, except on an A100, else 2048 and 256. A budget that was
 * not given is at most sequences * max_model_len, sequences that were not given at most the budget.
 * (Chunked prefill is on, so the budget need not reach max_model_len.) */
static void resolve_v1_memory(struct rt_engine_spec *e, const struct rt_gpu *gpu, int64_t context)
{
    bool large = gpu->mem_bytes >= (double)(70 * GIB) && !mentions(gpu->name, "a100");
    int64_t seqs = e->max_num_seqs > 0 ? e->max_num_seqs : large ? 1024 : 256;

    if (e->max_num_batched_tokens == 0) {
        e->max_num_batched_tokens = large ? 8192 : 2048;
        if (context > 0) /* at most 2^20 * 2^40 */
            e->max_num_batched_tokens = least(seqs * context, e->max_num_batched_tokens);
    }
    e->max_num_seqs =
        e->max_num_seqs > 0 ? e->max_num_seqs : least(seqs, e->max_num_batched_tokens);
}

/* vLLM 0.8.4, vllm/engine/arg_utils.py, EngineArgs._set_default_args_v1: by the name of the device.
 */
static void resolve_v1_name(struct rt_engine_spec *e, const struct rt_gpu *gpu, int64_t context)
{
    bool large = mentions(gpu->name, "h100") || mentions(gpu->name, "h200");

    (void)context;
    if (e->max_num_batched_tokens == 0)
        e->max_num_batched_tokens = large ? 8192 : 2048;
    if (e->max_num_seqs == 0)
        e->max_num_seqs = large ? 1024 : 256;
}

/* vLLM 0.6.1, vllm/config.py, SchedulerConfig.__init__: without chunked prefill a whole prompt must
 * fit in a step: max(max_model_len, 2048). */
static void resolve_v0(struct rt_engine_spec *e, const struct rt_gpu *gpu, int64_t context)
{
    (void)gpu;
    if (e->max_num_batched_tokens == 0 && context > 0)
        e->max_num_batched_tokens = least(context > 2048 ? context : 2048, RT_MAX_BATCHED_TOKENS);
}

/* vLLM 0.6.1, the same place: with chunked prefill 512, which is then the budget of decodes and
 * chunks together: the policy's chunk_tokens. */
static void resolve_v0_chunked(struct rt_engine_spec *e, const struct rt_gpu *gpu, int64_t context)
{
    (void)gpu;
    (void)context;
    if (e->chunk_tokens == 0)
        e->chunk_tokens = e->max_num_batched_tokens > 0 ? e->max_num_batched_tokens : 512;
    if (e->max_num_batched_tokens == 0)
        e->max_num_batched_tokens = e->chunk_tokens;
}

static const struct rt_preset presets[] = {
    {
        /* Sizes as 0.19 (arg_utils.py of 0.26, get_batch_defaults). gpu_memory_utilization 0.92
         * and the flags: a survey of tag 0.27.1 (vllm/config/cache.py, vllm/config/scheduler.py);
         * since 0.21 the share includes captured graphs, some 1 % of a large GPU, which nobody
         * takes off here. */
        .name = "vllm-0.27",
        .help = "as vllm-0.19, with 92 % of the GPU's memory (0.21 and later)",
        .source = "vLLM 0.26 vllm/engine/arg_utils.py, 0.27.1 vllm/config/cache.py",
        .policy = "chunked",
        .async_scheduling = true,
        .prefix_caching = true,
        .chunk_tokens = 512,
        .block_size = 16,
        .gpu_memory_utilization = 0.92,
        .watermark = 0.01,
        .resolve = resolve_v1_memory,
    },
    {
        /* Chunked prefill and prefix caching: EngineArgs._set_default_chunked_prefill_and_prefix_
         * caching_args. Asynchronous scheduling: on since 0.14 (pull request 27614). What a 0.19.0
         * server on an RTX 4090 reported of itself agrees, with blocks of 16 and utilization 0.9
         * (later versions: 0.92). The rule of the sizes was read
         * in a copy of the file without a version tag, and not compared with the tag 0.19.0. */
        .name = "vllm-0.19",
        .help = "chunked, async, prefix caching; 8192 tokens and 1024 sequences from 70 GiB\n"
                "on except A100, else 2048 and 256",
        .source = "vLLM 0.19 vllm/engine/arg_utils.py, vllm/config/cache.py, pull request 27614",
        .policy = "chunked",
        .async_scheduling = true,
        .prefix_caching = true,
        .chunk_tokens = 512,
        .block_size = 16,
        .gpu_memory_utilization = 0.9,
        .watermark = 0.01,
        .resolve = resolve_v1_memory,
    },
    {
        /* Scheduling is synchronous up to 0.13 (pull request 27614 is in 0.14), sizes by memory.
         * Experts with fp8 weights in blocks: DeepGEMM is on by default, and since E8M0 scales are
         * (pull request 26197, in 0.11.1) at any number of tokens
         * (fused_moe/triton_deep_gemm_moe.py); 0.19 chooses Triton on Hopper (pull requests 34260,
         * 39331). */
        .name = "vllm-0.12",
        .help = "chunked, synchronous, prefix caching, fp8 experts by DeepGEMM on H100, H200 and\n"
                "B200 (0.11.1 to 0.13); sizes as vllm-0.19",
        .source = "vLLM 0.12 vllm/engine/arg_utils.py, vllm/model_executor/layers/quantization/"
                  "fp8.py, pull requests 26197, 27614, 29346",
        .policy = "chunked",
        .prefix_caching = true,
        .deep_gemm = true,
        .chunk_tokens = 512,
        .block_size = 16,
        .gpu_memory_utilization = 0.9,
        .watermark = 0.01,
        .resolve = resolve_v1_memory,
    },
    {
        /* V1 engine, the default since 0.8: "V1 always uses chunked prefills", "V1 enables prefix
         * caching by default" (arg_utils.py, _set_default_args_v1); its scheduler is synchronous.
         */
        .name = "vllm-0.8",
        .help = "chunked, synchronous, prefix caching; 8192 tokens and 1024 sequences on H100\n"
                "and H200, else 2048 and 256",
        .source = "vLLM 0.8.4 vllm/engine/arg_utils.py",
        .policy = "chunked",
        .prefix_caching = true,
        .chunk_tokens = 512,
        .block_size = 16,
        .gpu_memory_utilization = 0.9,
        .watermark = 0.01,
        .resolve = resolve_v1_name,
    },
    {
        /* V0 engine. EngineArgs: block_size 16, gpu_memory_utilization 0.90, max_num_seqs 256,
         * enable_prefix_caching False. The block manager's watermark 0.01 was read without a
         * version. */
        .name = "vllm-0.6",
        .help = "prefill_first, synchronous; max(max_model_len, 2048) tokens, 256 sequences\n"
                "(chunked prefill off; above 32768 tokens of context 0.6 itself turns it on)",
        .source =
            "vLLM 0.6.1 vllm/engine/arg_utils.py, vllm/config.py, vllm/core/block_manager_v1.py",
        .policy = "prefill_first",
        .max_num_seqs = 256,
        .chunk_tokens = 512,
        .block_size = 16,
        .gpu_memory_utilization = 0.9,
        .watermark = 0.01,
        .resolve = resolve_v0,
    },
    {
        /* V0 with --enable-chunked-prefill: decodes first, then chunks within one budget, blocks as
         * prefill_first takes them: the rules of `sarathi`. */
        .name = "vllm-0.6-chunked",
        .help = "the same with chunked prefill: sarathi, chunks of 512 tokens, 256 sequences",
        .source = "vLLM 0.6.1 vllm/engine/arg_utils.py, vllm/config.py, vllm/core/scheduler.py",
        .policy = "sarathi",
        .max_num_seqs = 256,
        .block_size = 16,
        .gpu_memory_utilization = 0.9,
        .watermark = 0.01,
        .resolve = resolve_v0_chunked,
    },
    {
        /* Sarathi-Serve (OSDI 2024) uses token budgets of 512 and 2048; Vidur's simulator of it, as
         * of those below: SarathiSchedulerConfig.chunk_size 512, BaseReplicaSchedulerConfig
         * batch_size_cap 128, block_size 16, watermark_blocks_fraction 0.01. */
        .name = "sarathi",
        .help = "sarathi, chunks of 512 tokens, 128 sequences",
        .source = "Sarathi-Serve, OSDI 2024; Vidur vidur/config/config.py",
        .policy = "sarathi",
        .max_num_seqs = 128,
        .chunk_tokens = 512,
        .block_size = 16,
        .gpu_memory_utilization = 0.9,
        .watermark = 0.01,
    },
    {
        /* Orca (OSDI 2022) publishes no defaults; Vidur's OrcaSchedulerConfig: 128 sequences. */
        .name = "orca",
        .help = "continuous, 128 sequences",
        .source = "Orca, OSDI 2022; Vidur vidur/config/config.py",
        .policy = "continuous",
        .max_num_seqs = 128,
        .chunk_tokens = 512,
        .block_size = 16,
        .gpu_memory_utilization = 0.9,
        .watermark = 0.01,
    },
    {
        /* Batches that run to their end, as in FasterTransformer; Vidur's
         * FasterTransformerSchedulerConfig: 128 sequences. */
        .name = "static",
        .help = "static, 128 sequences",
        .source = "Vidur vidur/config/config.py",
        .policy = "static",
        .max_num_seqs = 128,
        .chunk_tokens = 512,
        .block_size = 16,
        .gpu_memory_utilization = 0.9,
        .watermark = 0.01,
    },
};

unsigned rt_preset_count(void)
{
    return sizeof presets / sizeof presets[0];
}

const struct rt_preset *rt_preset_at(unsigned i)
{
    assert(i < rt_preset_count());
    return &presets[i];
}

static unsigned policy_index(const char *name)
{
    unsigned i = 0;

    while (i + 1 < rt_policy_count() && strcmp(rt_policy_name(i), name) != 0)
        i++;
    assert(strcmp(rt_policy_name(i), name) == 0);
    return i;
}

void rt_preset_apply(const struct rt_preset *p, struct rt_engine_spec *e)
{
    e->preset = p;
    e->policy = policy_index(p->policy);
    e->async_scheduling = p->async_scheduling;
    e->prefix_caching = p->prefix_caching;
    e->moe_backend = RT_MOE_BY_PRESET;
    e->max_num_seqs = p->max_num_seqs;
    e->max_num_batched_tokens = 0;
    e->chunk_tokens = p->chunk_tokens;
    e->block_size = p->block_size;
    e->gpu_memory_utilization = p->gpu_memory_utilization;
    e->watermark = p->watermark;
}

/* DeepGEMM exists for SM 9.0 and 10.0; vLLM 0.12 keeps experts cut into eight or more slices away
 * from it [vllm pull request 29346]. */
static enum rt_moe_backend moe_backend(const struct rt_preset *p, const struct rt_gpu *gpu,
                                       int64_t slices)
{
    enum { MOST_SLICES = 7 };
    bool runs = mentions(gpu->arch, "gh100") || mentions(gpu->arch, "gb100") ||
                mentions(gpu->arch, "gb110");

    return p != NULL && p->deep_gemm && runs && slices <= MOST_SLICES ? RT_MOE_DEEP_GEMM
                                                                      : RT_MOE_TRITON;
}

void rt_preset_resolve(struct rt_engine_spec *e, const struct rt_gpu *gpu,
                       const struct rt_model *model, int64_t slices)
{
    int64_t context = e->max_model_len > 0 ? e->max_model_len : model->max_context;

    if (e->moe_backend == RT_MOE_BY_PRESET)
        e->moe_backend = moe_backend(e->preset, gpu, slices);

    if (e->preset != NULL && e->preset->resolve != NULL)
        e->preset->resolve(e, gpu, context);
    assert(e->max_num_seqs > 0 && e->chunk_tokens > 0);
}
