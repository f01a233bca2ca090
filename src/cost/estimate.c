/* The closed form of one batch: what a user would work out by hand, from the same cost model that
 * the simulation uses.
 *   TTFT   one step: `batch` prompts, whole
 *   TPOT   mean of the output - 1 decode steps, whose contexts are prompt, prompt + 1, ...; without
 *          any (one token of output) the step after the prompt
 * Ranks and micro-batches (struct share) only change which sequences are in a step, and how long it
 * waits for the others of its pipeline. A decode step is linear in its context up to the sliding
 * window and again beyond it, so the mean over a range is the mean of its two ends: O(1) whatever
 * the output; a measured curve is taken in short pieces. Failures: inputs that cannot be priced
 * (RT_ECONFIG), a request out of range (RT_EUSAGE). */
#include "rooftrace/estimate.h"
#include "cost_internal.h"
#include "rooftrace/decode_run.h"
#include "rooftrace/dtype.h"

#include <math.h>
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

/* How a batch is dealt out. */
struct share {
    int64_t rank_batch;    /* requests of the fullest rank */
    int64_t micro_batches; /* under way at once */
    int64_t sequences;     /* of the largest micro-batch: what a step holds */
    int64_t group;         /* sequences of all ranks that step with it */
};

static struct share share_of(const struct rt_cost_inputs *in, int64_t batch)
{
    int64_t stages = in->parallel.pipeline, ranks = in->parallel.data;
    struct share d = {.rank_batch = (batch + ranks - 1) / ranks};
    d.micro_batches = d.rank_batch < stages ? d.rank_batch : stages;
    d.sequences = (d.rank_batch + d.micro_batches - 1) / d.micro_batches;
    int64_t most = d.sequences * ranks;
    d.group = batch < most ? batch : most;
    return d;
}

static struct rt_step_shape prefill_shape(const struct rt_estimate_request *r,
                                          const struct share *d)
{
    struct rt_step_shape s, one;
    memset(&s, 0, sizeof s);
    memset(&one, 0, sizeof one);
    rt_step_add_prefill(&one, r->prompt_tokens, 0);
    s.tokens = s.prefill_tokens = s.group_largest = one.tokens * d->sequences;
    s.sequences = s.samples = d->sequences;
    s.prefill_area = one.prefill_area * d->sequences;
    s.prefill_tiles = one.prefill_tiles * d->sequences;
    s.prefill_tiles2 = one.prefill_tiles2 * d->sequences;
    s.prefill_longest = one.prefill_longest;
    s.group_tokens = one.tokens * d->group;
    return s;
}

static struct rt_step_shape decode_shape(const struct rt_cost *c, const struct share *d,
                                         int64_t ctx)
{
    int64_t windows[RT_MAX_WINDOWS];
    struct rt_step_shape s;
    memset(&s, 0, sizeof s);
    rt_step_add_decodes(&s, d->sequences, ctx, windows, rt_cost_windows(c, windows));
    s.group_largest = d->sequences;
    s.group_tokens = d->group;
    return s;
}

/* Context of the decode step in the middle of the output. */
static int64_t middle_context(const struct rt_estimate_request *r)
{
    return r->prompt_tokens + (r->output_tokens - 1) / 2;
}

static double sum_terms(const double terms_s[RT_TERM_COUNT])
{
    double sum = 0;
    for (int i = 0; i < RT_TERM_COUNT; i++)
        sum += terms_s[i];
    return sum;
}

/* Seconds of one micro-batch through the pipeline, and of its slowest stage. */
struct pace {
    double step_s, stage_s;
};

static struct pace prefill_pace(const struct rt_cost *c, const struct rt_estimate_request *r,
                                const struct share *d, double terms_s[RT_TERM_COUNT])
{
    struct rt_step_shape s = prefill_shape(r, d);
    rt_cost_step_terms(c, &s, terms_s);
    return (struct pace){sum_terms(terms_s), (double)rt_cost_stage_ns(c, &s) * 1e-9};
}

/* Adds `weight` times a decode step at context ctx to the terms; the same of its slowest stage is
 * answered. */
static double add_decode(const struct rt_cost *c, const struct share *d, int64_t ctx, double weight,
                         double terms_s[RT_TERM_COUNT])
{
    double step_s[RT_TERM_COUNT];
    struct rt_step_shape s = decode_shape(c, d, ctx);
    rt_cost_step_terms(c, &s, step_s);
    for (int i = 0; i < RT_TERM_COUNT; i++)
        terms_s[i] += weight * step_s[i];
    return weight * (double)rt_cost_stage_ns(c, &s) * 1e-9;
}

/* Means over the contexts prompt .. prompt + steps - 1. */
static struct pace decode_pace(const struct rt_cost *c, const struct rt_estimate_request *r,
                               const struct share *d, double terms_s[RT_TERM_COUNT])
{
    enum { PIECES = 256 }; /* of a measured curve: straight lines miss it by less than 0.1 % */
    int64_t windows[RT_MAX_WINDOWS];
    int64_t steps = r->output_tokens > 1 ? r->output_tokens - 1 : 1;
    int64_t longest = c->decode_is_line ? steps : (steps + PIECES - 1) / PIECES;
    int64_t from = r->prompt_tokens, end = r->prompt_tokens + steps;
    unsigned n = rt_cost_windows(c, windows);
    double stage_s = 0;
    for (int i = 0; i < RT_TERM_COUNT; i++)
        terms_s[i] = 0;
    int64_t knee = rt_cost_knee(c) / (d->sequences > 0 ? d->sequences : 1);
    while (from < end) { /* one linear piece: up to and with the next window or the knee */
        int64_t to = end - from > longest ? from + longest : end;
        if (from <= knee && knee + 1 < to)
            to = knee + 1;
        for (unsigned w = 0; w < n; w++)
            if (from <= windows[w] && windows[w] + 1 < to)
                to = windows[w] + 1;
        double half = (double)(to - from) / (double)steps / 2;
        stage_s += add_decode(c, d, from, half, terms_s);
        stage_s += add_decode(c, d, to - 1, half, terms_s);
        from = to;
    }
    return (struct pace){sum_terms(terms_s), stage_s};
}

/* Weights that one decode step of the batch reads, all GPUs: what one token passes, once a data
 * parallel rank, and the experts that the whole batch touches. */
static void find_read_bytes(const struct rt_cost_inputs *in, int64_t batch, struct rt_estimate *out)
{
    struct rt_cost_inputs whole = *in;
    struct rt_operators ops;
    whole.parallel = (struct rt_parallel){.tensor = 1, .pipeline = 1, .expert = 1, .data = 1};
    rt_operators_build(&whole, &ops);
    double dense = rt_model_params_decode(&in->model), routed = 0;
    for (unsigned i = 0; i < ops.count; i++) {
        const struct rt_operator *op = &ops.op[i];
        if (!op->routed)
            continue;
        dense -= op->count * ops.routing.rows * op->k * op->n;
        routed += op->count * rt_operator_touched(&ops, op, (double)batch) * op->k * op->n;
    }
    double ranks = (double)in->parallel.data, bytes = rt_dtype_bytes(in->dtypes.weight);
    double head = (double)in->model.vocab * (double)in->model.hidden;
    out->expert_bytes = routed * rt_dtype_bytes(rt_expert_dtype(&in->dtypes));
    out->weight_bytes = dense * ranks * bytes + out->expert_bytes +
                        ranks * head * (rt_dtype_bytes(in->dtypes.head) - bytes);
}

/* A token of a single stream at a share of the speed of light, by weight format; KV of fewer than
 * 16 bits passes slower, as it does in every kernel. */
static double fused_s(const struct rt_cost_inputs *in, const double light_s[RT_TERM_COUNT])
{
    const struct rt_gpu_constants *k = &in->gpu.k;
    double bytes = rt_dtype_bytes(rt_expert_dtype(&in->dtypes)); /* most of what is read */
    double eff = bytes >= 2   ? k->stream_eff_16bit
                 : bytes >= 1 ? k->stream_eff_8bit
                              : k->stream_eff_4bit;
    double kv = rt_dtype_bytes(in->dtypes.kv) >= 2 ? 1 : k->quantized_kv_8bit, sum = 0;
    for (int i = 0; i < RT_TERM_COUNT; i++)
        sum += i == RT_TERM_KV ? light_s[i] / kv : light_s[i];
    return sum / eff;
}

static bool make(const struct rt_cost_inputs *in, struct rt_cost **out, struct rt_err *err)
{
    struct rt_cost_inputs inputs = *in;
    inputs.max_tokens = 0; /* three different M: a table would be larger than its use */
    return rt_cost_new(&inputs, out, err);
}

/* Of the prompts' step, and of the decode step in the middle of the output. */
static void find_sources(const struct rt_cost *c, const struct rt_estimate_request *r,
                         const struct share *d, struct rt_estimate *out)
{
    struct rt_step_shape s = prefill_shape(r, d);
    rt_cost_step_sources(c, &s, &out->prefill_sources);
    s = decode_shape(c, d, middle_context(r));
    rt_cost_step_sources(c, &s, &out->decode_sources);
}

/* Seconds and terms of both phases. */
static bool price(const struct rt_cost_inputs *in, const struct rt_estimate_request *req,
                  struct rt_estimate *out, struct rt_err *err)
{
    struct share d = share_of(in, req->batch);
    struct rt_cost *c = NULL;
    double m = (double)d.micro_batches, stages = (double)in->parallel.pipeline;
    if (!make(in, &c, err))
        return false;
    struct pace prefill = prefill_pace(c, req, &d, out->prefill_terms_s);
    struct pace decode = decode_pace(c, req, &d, out->decode_terms_s);
    find_sources(c, req, &d, out);
    rt_cost_free(c);
    out->rank_batch = d.rank_batch;
    out->micro_batches = d.micro_batches;
    out->micro_batch = d.sequences;
    out->ttft_wait_s = (m - 1) * prefill.stage_s;
    out->tpot_wait_s = m > 1 ? fmax(0, m * decode.stage_s - decode.step_s) : 0;
    out->ttft_s = prefill.step_s + out->ttft_wait_s;
    out->tpot_s = decode.step_s + out->tpot_wait_s;
    out->decode_stage_s = decode.stage_s;
    /* m micro-batches keep every stage busy for their own time, which adds up to m steps */
    if (stages > 1 && out->tpot_s > 0)
        out->bubble_share = fmax(0, 1 - m * decode.step_s / (stages * out->tpot_s));
    return true;
}

/* The same at the speed of light. */
static bool price_light(const struct rt_cost_inputs *in, const struct rt_estimate_request *req,
                        struct rt_estimate *out, struct rt_err *err)
{
    struct rt_cost_inputs inputs = *in;
    struct rt_estimate light;
    memset(&light, 0, sizeof light);
    inputs.spec.kind = RT_COST_ROOFLINE;
    inputs.spec.speed_of_light = true;
    if (!price(&inputs, req, &light, err))
        return false;
    out->light_ttft_s = light.ttft_s;
    out->light_tpot_s = light.tpot_s;
    out->fused_tpot_s = fused_s(in, light.decode_terms_s);
    return true;
}

bool rt_estimate(const struct rt_cost_inputs *in, double gpu_memory_utilization, int64_t block_size,
                 const struct rt_estimate_request *req, struct rt_estimate *out, struct rt_err *err)
{
    memset(out, 0, sizeof *out);
    if (!check_request(req, err) || !rt_cost_check(in, err) || !price(in, req, out, err) ||
        !price_light(in, req, out, err))
        return false;
    double batch = (double)req->batch, output = (double)req->output_tokens;
    out->params = rt_model_params(&in->model);
    out->params_active = rt_model_params_active(&in->model);
    out->params_decode = rt_model_params_decode(&in->model);
    find_read_bytes(in, req->batch, out);
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

static void take_apart(const struct rt_cost *c, const struct rt_step_shape *s,
                       struct rt_estimate_step *out)
{
    out->tokens = s->tokens;
    out->count = rt_cost_explain(c, s, out->parts);
    out->stage_s = (double)rt_cost_stage_ns(c, s) * 1e-9;
    out->step_s = 0;
    for (unsigned i = 0; i < out->count; i++)
        out->step_s += rt_cost_part_s(&out->parts[i]);
}

bool rt_estimate_explain(const struct rt_cost_inputs *in, const struct rt_estimate_request *req,
                         struct rt_estimate_step *prefill, struct rt_estimate_step *decode,
                         struct rt_err *err)
{
    struct rt_cost *c = NULL;
    if (!check_request(req, err) || !rt_cost_check(in, err) || !make(in, &c, err))
        return false;
    struct share d = share_of(in, req->batch);
    struct rt_step_shape s = prefill_shape(req, &d);
    prefill->context = 0;
    take_apart(c, &s, prefill);
    decode->context = middle_context(req);
    s = decode_shape(c, &d, decode->context);
    take_apart(c, &s, decode);
    rt_cost_free(c);
    return true;
}
