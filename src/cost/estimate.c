/* The closed form of one batch: what a user would work out by hand, from the same cost model that
 * the simulation uses. TTFT  one step: `batch` prompts, whole TPOT  mean of the output - 1 decode
 * steps, whose contexts are prompt, prompt + 1, ...; a batch of one token has no such step, then it
 * is the step after it A decode step is linear in its context up to the sliding window and again
 * beyond it, so the mean over a range is the mean of its two ends: O(1) whatever the output.
 * Failures: inputs that cannot be priced (RT_ECONFIG), a request out of range (RT_EUSAGE). */
#include "rooftrace/estimate.h"
#include "cost_internal.h"

#include <string.h>

#define LARGEST_TOKENS (INT64_C(1) << 40)
#define LARGEST_AREA                                                                               \
    4.6e18 /* query-key pairs; below 2^62, so that sums of a shape do not overflow */

static bool check_request(const struct rt_estimate_request *r, struct rt_err *err)
{
    const struct {
        const char *name;
        int64_t value;
    } list[] = {{"prompt", r->prompt_tokens}, {"output", r->output_tokens}, {"batch", r->batch}};
    for (int i = 0; i < 3; i++)
        if (list[i].value < 1 || list[i].value > LARGEST_TOKENS)
            return rt_fail(err, RT_EUSAGE, "%s: expected an integer from 1 to %lld, read %lld",
                           list[i].name, (long long)LARGEST_TOKENS, (long long)list[i].value);
    double p = (double)r->prompt_tokens, o = (double)r->output_tokens, b = (double)r->batch;
    if (b * (p + o) > (double)LARGEST_TOKENS || b * p * (p + RT_PREFILL_TILE) > LARGEST_AREA)
        return rt_fail(err, RT_EUSAGE,
                       "batch*(prompt + output): %lld*(%lld + %lld) is more than can be priced",
                       (long long)r->batch, (long long)r->prompt_tokens,
                       (long long)r->output_tokens);
    return true;
}

static double prefill_terms(const struct rt_cost *c, const struct rt_estimate_request *r,
                            double terms_s[RT_TERM_COUNT])
{
    struct rt_step_shape s, one;
    memset(&s, 0, sizeof s);
    memset(&one, 0, sizeof one);
    rt_step_add_prefill(&one, r->prompt_tokens, 0);
    s.tokens = s.prefill_tokens = one.tokens * r->batch;
    s.sequences = s.samples = r->batch;
    s.prefill_area = one.prefill_area * r->batch;
    s.prefill_tiles = one.prefill_tiles * r->batch;
    s.prefill_tiles2 = one.prefill_tiles2 * r->batch;
    s.prefill_longest = one.prefill_longest;
    rt_cost_step_terms(c, &s, terms_s);
    double sum = 0;
    for (int i = 0; i < RT_TERM_COUNT; i++)
        sum += terms_s[i];
    return sum;
}

/* Adds `weight` times the terms of a decode step at context ctx. */
static void add_decode(const struct rt_cost *c, int64_t batch, int64_t ctx, double weight,
                       double terms_s[RT_TERM_COUNT])
{
    int64_t windows[RT_MAX_WINDOWS];
    double step_s[RT_TERM_COUNT];
    struct rt_step_shape s;
    memset(&s, 0, sizeof s);
    rt_step_add_decodes(&s, batch, ctx, windows, rt_cost_windows(c, windows));
    rt_cost_step_terms(c, &s, step_s);
    for (int i = 0; i < RT_TERM_COUNT; i++)
        terms_s[i] += weight * step_s[i];
}

/* Mean terms over the contexts prompt .. prompt + steps - 1. */
static double decode_terms(const struct rt_cost *c, const struct rt_estimate_request *r,
                           double terms_s[RT_TERM_COUNT])
{
    int64_t windows[RT_MAX_WINDOWS];
    int64_t steps = r->output_tokens > 1 ? r->output_tokens - 1 : 1;
    int64_t from = r->prompt_tokens, end = r->prompt_tokens + steps;
    unsigned n = rt_cost_windows(c, windows);
    for (int i = 0; i < RT_TERM_COUNT; i++)
        terms_s[i] = 0;
    while (from < end) { /* one linear piece: up to and with the next window */
        int64_t to = end;
        for (unsigned w = 0; w < n; w++)
            if (from <= windows[w] && windows[w] + 1 < to)
                to = windows[w] + 1;
        double half = (double)(to - from) / (double)steps / 2;
        add_decode(c, r->batch, from, half, terms_s);
        add_decode(c, r->batch, to - 1, half, terms_s);
        from = to;
    }
    double sum = 0;
    for (int i = 0; i < RT_TERM_COUNT; i++)
        sum += terms_s[i];
    return sum;
}

/* Weights that one decode step of the batch reads, all GPUs: what one token passes, and the further
 * experts that a larger batch touches. */
static double read_bytes(const struct rt_cost_inputs *in, int64_t batch)
{
    struct rt_cost_inputs whole = *in;
    struct rt_operators ops;
    whole.parallel.tensor = whole.parallel.expert = 1;
    rt_operators_build(&whole, &ops);
    double params = rt_model_params_decode(&in->model);
    for (unsigned i = 0; i < ops.count; i++) {
        const struct rt_operator *op = &ops.op[i];
        if (!op->routed)
            continue;
        double more = rt_operator_touched(op, ops.expert_share, (double)batch) -
                      op->experts * ops.expert_share;
        params += op->count * more * op->k * op->n;
    }
    return params * rt_dtype_bytes(in->dtypes.weight);
}

/* A token of a single stream at a share of the speed of light, by weight format; KV of fewer than
 * 16 bits passes slower, as it does in every kernel. */
static double fused_s(const struct rt_cost_inputs *in, const double light_s[RT_TERM_COUNT])
{
    const struct rt_gpu_constants *k = &in->gpu.k;
    double bytes = rt_dtype_bytes(in->dtypes.weight);
    double eff = bytes >= 2   ? k->stream_eff_16bit
                 : bytes >= 1 ? k->stream_eff_8bit
                              : k->stream_eff_4bit;
    double kv = rt_dtype_bytes(in->dtypes.kv) >= 2 ? 1 : k->quantized_kv_8bit, sum = 0;
    for (int i = 0; i < RT_TERM_COUNT; i++)
        sum += i == RT_TERM_KV ? light_s[i] / kv : light_s[i];
    return sum / eff;
}

/* Seconds and terms of both phases under one cost model. */
static bool price(const struct rt_cost_inputs *in, const struct rt_estimate_request *req,
                  bool light, struct rt_estimate *out, struct rt_err *err)
{
    struct rt_cost_inputs inputs = *in;
    struct rt_cost *c = NULL;
    double ignored[RT_TERM_COUNT];
    inputs.max_tokens = 0; /* three different M: a table would be larger than its use */
    if (light) {
        inputs.spec.kind = RT_COST_ROOFLINE;
        inputs.spec.speed_of_light = true;
    }
    if (!rt_cost_new(&inputs, &c, err))
        return false;
    if (light) {
        out->light_ttft_s = prefill_terms(c, req, ignored);
        out->light_tpot_s = decode_terms(c, req, ignored);
        out->fused_tpot_s = fused_s(in, ignored);
    } else {
        out->ttft_s = prefill_terms(c, req, out->prefill_terms_s);
        out->tpot_s = decode_terms(c, req, out->decode_terms_s);
    }
    rt_cost_free(c);
    return true;
}

bool rt_estimate(const struct rt_cost_inputs *in, double gpu_memory_utilization, int64_t block_size,
                 const struct rt_estimate_request *req, struct rt_estimate *out, struct rt_err *err)
{
    memset(out, 0, sizeof *out);
    if (!check_request(req, err) || !rt_cost_check(in, err) || !price(in, req, false, out, err) ||
        !price(in, req, true, out, err))
        return false;
    double batch = (double)req->batch, output = (double)req->output_tokens;
    out->params = rt_model_params(&in->model);
    out->params_active = rt_model_params_active(&in->model);
    out->params_decode = rt_model_params_decode(&in->model);
    out->weight_bytes = read_bytes(in, req->batch);
    out->kv_bytes_per_token = rt_model_kv_bytes_per_token(&in->model, in->dtypes.kv);
    out->flops_prefill = 2 * batch * (double)req->prompt_tokens * out->params_active;
    out->flops_decode = 2 * batch * output * out->params_active;
    out->latency_s = out->ttft_s + out->tpot_s * output;
    out->tps_user = out->latency_s > 0 ? output / out->latency_s : 0;
    out->tps_total = batch * out->tps_user;
    out->share_of_light = out->tpot_s > 0 ? out->light_tpot_s / out->tpot_s : 0;
    rt_memory_figures(in, gpu_memory_utilization, block_size, &out->memory);
    return true;
}
