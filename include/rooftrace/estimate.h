/* cost/estimate.h: the closed form of one batch, as users compute it by hand: `batch` requests of
 * `prompt` tokens arrive together and produce `output` tokens each.
 *   FLOPs prefill = 2*batch*prompt*params, FLOPs decode = 2*batch*output*params (active ones)
 *   latency = TTFT + TPOT*output; TPS = output/latency; y = k*x + b with k = TPOT, b = TTFT.
 * No queue, no chunking: the whole batch is one prefill step. O(1), with measured decode attention
 * a few hundred steps.
 *
 * Data parallel ranks share the batch evenly; the fullest counts. Pipeline stages work on as many
 * micro-batches as there are stages (fewer when there are fewer requests): the last one's first
 * token comes after step + (m-1)*stage, and a sequence's next token after max(step, m*stage). */
#ifndef RT_ESTIMATE_H
#define RT_ESTIMATE_H

#include "rooftrace/cost.h"
#include "rooftrace/err.h"
#include "rooftrace/explain.h"
#include "rooftrace/memory.h"
#include "rooftrace/step.h"

struct rt_estimate_request {
    int64_t prompt_tokens, output_tokens, batch; /* each >= 1 */
};

struct rt_estimate {
    double params, params_active, params_decode;
    double weight_bytes;       /* read by one decode step of this batch, whole replica */
    double expert_bytes;       /* of these, routed experts */
    double kv_bytes_per_token; /* whole model */
    double flops_prefill, flops_decode;
    double ttft_s;    /* b: one step with batch*prompt tokens; with stages: the last micro-batch */
    double tpot_s;    /* k: mean over the output's steps; context grows with each */
    double latency_s; /* ttft + tpot*output */
    double tps_user;  /* output/latency */
    double tps_total; /* batch*output/latency */
    double light_ttft_s, light_tpot_s; /* the same at the speed of light */
    double share_of_light;             /* light_tpot / tpot */
    /* light_tpot / stream_eff_* (8 bit KV / quantized_kv_8bit besides): an engine that runs a token
     * of a single stream as one fused kernel (no launches, no host) and streams weights of this
     * format; not meant for batches */
    double fused_tpot_s;
    double prefill_terms_s[RT_TERM_COUNT], decode_terms_s[RT_TERM_COUNT]; /* of TTFT and of TPOT,
                                                                             without the waits */
    struct rt_cost_sources prefill_sources, decode_sources; /* of the step, of the middle one */
    /* With stages: what TTFT and TPOT hold beside a micro-batch's own way through them */
    double ttft_wait_s, tpot_wait_s;
    double decode_stage_s; /* slowest stage, mean over the output's steps; without stages the
                              step */
    double bubble_share;   /* of the stages' time in decodes: spent idle */
    int64_t rank_batch;    /* requests of the fullest data parallel rank */
    int64_t micro_batches, micro_batch; /* of a rank; requests of the largest */
    struct rt_memory_plan
        memory; /* activations for in->max_tokens tokens; blocks <= 0: does not fit */
};

/* Fails with RT_ECONFIG on inputs that cannot be priced, RT_EUSAGE on a request out of range. A
 * model that does not fit is no failure here: see memory.blocks. */
bool rt_estimate(const struct rt_cost_inputs *in, double gpu_memory_utilization, int64_t block_size,
                 const struct rt_estimate_request *req, struct rt_estimate *out,
                 struct rt_err *err) RT_MUST_USE;

/* One step of the batch, taken apart. */
struct rt_estimate_step {
    int64_t tokens, context; /* M of the micro-batch; context of a decode, 0 for the prompts */
    unsigned count;
    struct rt_cost_part parts[RT_MAX_COST_PARTS];
    double step_s, stage_s; /* sum of the parts; slowest stage */
};
/* The step of the prompts, and the decode step in the middle of the output. Fails as rt_estimate.
 */
bool rt_estimate_explain(const struct rt_cost_inputs *in, const struct rt_estimate_request *req,
                         struct rt_estimate_step *prefill, struct rt_estimate_step *decode,
                         struct rt_err *err) RT_MUST_USE;

#endif
