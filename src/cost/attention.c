/* Attention of one step, all layers, on one GPU.
 *
 * Decode: reading the KV once, at a share of the bandwidth; a launch, and a time for each wave of
 * pairs of a sequence and a KV head, which are the tiles of the kernel's grid; fewer of them than
 * SMs are cut along the context until they fill a wave:
 *     t = L * (bytes/(eff_m*bw) + o + max(1, B*Hkv/SMs)*w + ramp*min(1, bytes/ramp_bytes))
 * The ramp: few bytes are a block or two for each SM, which waits for the first and, where contexts
 * are cut, for the sum of the parts; only with some blocks each do all SMs stream. 5 us over 50 MB
 * fit six GPUs (A30, A100, H100, H200, RTX 4090, RTX PRO 6000); without it one or two sequences
 * beyond 8k tokens came out 9 to 11 % short on A100, H100 and H200, and the bandwidth too low.
 * MLA reads one latent per token for all heads and multiplies with it: the slower of the two
 * counts.
 *
 * Prefill: 64-row query tiles per head, dealt out to the SMs in waves; a tile walks over its key
 * columns, on average k + q/2 + 32, and takes the time of `pad` more to start and end:
 *     t = L * (waves * (mean columns + pad) * column_s + io + o),  waves = ceil(heads*tiles/SMs)
 *     column_s = 64 rows * 2 FLOP * (width of QK + width of PV) / (eff_c * peak/SMs)
 *     io       = bytes of Q, K, V and the result / rate: what the SMs take to load and store them,
 *                about 1.5 TB/s on GPUs of 0.9 to 4.8 TB/s of memory
 * A chunk with fewer tiles than SMs still takes one tile's time: without the waves short chunks
 * behind long histories come out at half their measured time. Without io, many short prompts of a
 * model with many KV heads do.
 *
 * Both in one step: two calls whose times add up, or, where the kernel runs decodes as 64-row tiles
 * too (mixed_as_tiles), one. Its tiles are dealt out as SMs get free, so the last ones run alone:
 *     span = heads*(prefill columns + d*sum(ctx + pad))*column_s/SMs + tail*longest tile
 *     t = o + io + max(span, longest tile, reads/(eff_m*bw))
 * without the tail when there are no more tiles than SMs. Its grid has as many tiles for every
 * sequence as the longest chunk needs; those that a shorter one (a decode: all but one) leaves
 * empty take an SM about 0.3 us each, which 100 decodes beside a chunk of 2048 feel:
 *     span += heads*(sequences*ceil(longest/64) - tiles - decodes)*empty/SMs
 * The grid runs head by head over all
 * sequences, so that the query heads that share a KV head meet in the cache only while there are
 * fewer sequences than SMs, or while the KV of one head stays in the L2; else they read it again:
 *     reads = bytes * (1 + (group/share - 1)*miss),  share = min(group, max(1, SMs/B)),
 *     miss = clamp(KV bytes of one head / L2 - 1, 0, 1)
 *
 * KV of fewer than 16 bits passes at a smaller share of the bandwidth and takes a kernel the time
 * of its scales more.
 *
 * Layers behind a sliding window see at most the window (+ the tile's own rows). O(1). */
#include "cost_internal.h"
#include "rooftrace/dtype.h"
#include "rooftrace/gpu.h"

#include <math.h>
#include <string.h>

#define HIDDEN_BYTES 2.0 /* queries and results are 16 bit */
#define UNKNOWN_SMS  128 /* of a GPU whose record does not say: waves of a decode */

static double min_d(double a, double b)
{
    return a < b ? a : b;
}

static double max_d(double a, double b)
{
    return a > b ? a : b;
}

/* Attention multiplies in 16 bit, also where GEMMs do not. */
static double peak_16bit(const struct rt_cost_inputs *in)
{
    enum rt_dtype d = in->dtypes.activation == RT_FP16 ? RT_FP16 : RT_BF16;
    double peak = in->gpu.peak_flops[d];
    return peak > 0 ? peak : max_d(in->gpu.peak_flops[RT_FP16], in->gpu.peak_flops[RT_BF16]);
}

/* KV of fewer than 16 bits is unpacked on its way: it passes at a smaller share of the bandwidth.
 */
static double kv_factor(const struct rt_cost_inputs *in)
{
    return rt_dtype_bytes(in->dtypes.kv) >= 2 ? 1 : in->gpu.k.quantized_kv_8bit;
}

/* Seconds per context token of one decode in one layer. */
static double decode_token_s(const struct rt_cost_inputs *in, double heads)
{
    const struct rt_model *m = &in->model;
    const struct rt_gpu *g = &in->gpu;
    double eff = g->k.decode_eff_memory * kv_factor(in);
    double read = rt_kv_bytes_per_layer(in) / (eff * g->mem_bw_bytes_per_s);
    if (m->attention != RT_MLA)
        return read;
    /* scores against latent + rope, values from the latent; 2 FLOP each, every head */
    double flops = heads * 2 * (double)(2 * m->kv_lora + m->qk_rope);
    return max_d(read, flops / (g->k.prefill_eff_compute * peak_16bit(in)));
}

/* Tiles that a decode puts into the grid for one sequence: its KV heads, or blocks of 64 heads that
 * share a latent. */
static double decode_tiles(const struct rt_cost_inputs *in, double heads)
{
    return in->model.attention == RT_MLA ? max_d(1, heads / RT_PREFILL_TILE)
                                         : rt_kv_heads_per_gpu(in);
}

/* What a token of a prefill moves in one layer, once: its Q and result; and each token it sees, its
 * K and V. */
static void init_io(const struct rt_cost_inputs *in, struct rt_attention_cost *out)
{
    const struct rt_model *m = &in->model;
    bool latent = m->attention == RT_MLA;
    double key = (double)(latent ? m->qk_nope + m->qk_rope : m->head_dim);
    double value = (double)(latent ? m->v_head : m->head_dim);
    double kv_heads = latent ? out->heads : rt_kv_heads_per_gpu(in); /* a latent is expanded */
    double kv_number = latent ? HIDDEN_BYTES : rt_dtype_bytes(in->dtypes.kv);
    double byte_s = 1 / (in->gpu.k.prefill_io_bytes_per_s * kv_factor(in));
    out->query_io_s = out->heads * (key + value) * HIDDEN_BYTES * byte_s;
    out->key_io_s = kv_heads * (key + value) * kv_number * byte_s;
    out->group = out->heads / kv_heads;
    out->l2_tokens = in->gpu.k.mixed_l2_bytes / ((key + value) * kv_number);
}

static void add_layers(struct rt_attention_cost *a, struct rt_attention_layers layers,
                       double token_s, double ramp_token_s)
{
    if (!(layers.count > 0))
        return;
    layers.kv_s = layers.count * token_s;
    layers.ramp_s = layers.count * (token_s + ramp_token_s);
    a->kind[a->kinds++] = layers;
}

/* Seconds that a token up to the knee takes more, in one layer; sets the knee. */
static double init_ramp(const struct rt_cost_inputs *in, struct rt_attention_cost *out)
{
    const struct rt_gpu_constants *k = &in->gpu.k;
    double tokens = ceil(k->decode_ramp_bytes / rt_kv_bytes_per_layer(in));
    if (!(k->decode_ramp_s > 0 && tokens >= 1)) {
        out->knee = RT_NO_KNEE;
        return 0;
    }
    out->knee = tokens;
    return k->decode_ramp_s / tokens;
}

/* KV seconds of decodes over layers of one kind. */
static double decode_kv_s(const struct rt_attention_cost *a, const struct rt_attention_layers *l,
                          double context)
{
    double low = min_d(context, a->knee);
    return l->ramp_s * low + l->kv_s * (context - low);
}

void rt_attention_init(const struct rt_cost_inputs *in, const struct rt_gemm_rates *gemm,
                       struct rt_attention_cost *out)
{
    const struct rt_model *m = &in->model;
    const struct rt_gpu_constants *k = &in->gpu.k;
    memset(out, 0, sizeof *out);
    double layers = (double)m->layers, local = m->window > 0 ? (double)m->local_layers : 0;
    out->heads = (double)m->heads / (double)in->parallel.tensor;
    out->layers = layers;
    out->waves = in->gpu.sm_count >= 1;
    out->sms = out->waves ? (int64_t)in->gpu.sm_count : 1;
    out->mixed_as_tiles = k->mixed_as_tiles && m->attention != RT_MLA;
    out->pad_tokens = k->mixed_pad_tokens;
    out->empty_tile_s =
        out->mixed_as_tiles && out->waves ? k->mixed_s_per_empty_tile / (double)out->sms : 0;
    out->tail = k->mixed_tail;
    out->decode_columns = k->mixed_decode_columns;
    out->prefill_pad = k->prefill_pad_columns;
    init_io(in, out);
    double scales_s = rt_dtype_bytes(in->dtypes.kv) >= 2 ? 0 : k->quantized_overhead_s;
    out->decode_launch_s = layers * (k->decode_overhead_s + scales_s);
    out->decode_wave_s = layers * k->decode_s_per_wave;
    out->decode_waves =
        decode_tiles(in, out->heads) / (double)(out->waves ? out->sms : UNKNOWN_SMS);
    out->prefill_launch_s = layers * (k->prefill_overhead_s + scales_s);

    double width = m->attention == RT_MLA ? (double)(m->qk_nope + m->qk_rope + m->v_head)
                                          : 2 * (double)m->head_dim;
    double column_s =
        RT_PREFILL_TILE * 2 * width * (double)out->sms / (k->prefill_eff_compute * peak_16bit(in));
    double token_s = decode_token_s(in, out->heads), ramp_token_s = init_ramp(in, out);
    struct rt_attention_layers full = {.count = layers - local, .tile_column_s = column_s};
    struct rt_attention_layers windowed = {
        .count = local, .window = m->window, .tile_column_s = column_s};
    add_layers(out, full, token_s, ramp_token_s);
    add_layers(out, windowed, token_s, ramp_token_s);
    if (m->attention == RT_MLA) {
        double numbers = out->heads * (double)(m->qk_nope + m->v_head);
        out->held_s = layers * 2 * (double)m->kv_lora * numbers / gemm->flops;
    }
}

/* Prefill of one kind of layers, one layer: all tiles of all heads, as they fit on the SMs. */
struct prefill {
    double tiles, columns; /* of one head; columns summed over its tiles */
};

static struct prefill prefill_of(const struct rt_step_shape *s, int64_t window)
{
    int64_t least = (s->prefill_tokens + RT_PREFILL_TILE - 1) / RT_PREFILL_TILE;
    struct prefill p;
    p.tiles = (double)(s->prefill_tiles > least ? s->prefill_tiles : least);
    p.columns = (double)s->prefill_tiles2 / 2;
    if (window > 0) /* a tile's last row sees the window, its first one 63 keys earlier */
        p.columns = min_d(p.columns, p.tiles * (double)(window + RT_PREFILL_TILE));
    return p;
}

/* Seconds of the tiles of a prefill that runs alone. */
static double prefill_s(const struct rt_attention_cost *a, struct prefill p, double column_s)
{
    double work = a->heads * p.tiles;
    double waves = work / (double)a->sms;
    if (a->waves) {
        int64_t whole = ((int64_t)work + a->sms - 1) / a->sms;
        waves = (double)whole;
    }
    return waves * (p.columns / p.tiles + a->prefill_pad) * column_s;
}

/* Seconds of moving Q, K, V and the result of `rows` queries, one layer. */
static double io_s(const struct rt_attention_cost *a, const struct rt_step_shape *s, int64_t window,
                   int64_t rows)
{
    double held = (double)s->prefill_held;
    if (window > 0) /* of each chunk's history at most the window is read */
        held = min_d(held, (double)(s->sequences - s->decodes) * (double)window);
    return a->query_io_s * (double)rows + a->key_io_s * ((double)s->prefill_tokens + held);
}

/* Seconds of the tiles that shorter chunks and decodes leave empty, one layer. */
static double empty_s(const struct rt_attention_cost *a, const struct rt_step_shape *s)
{
    int64_t most = (s->prefill_longest + RT_PREFILL_TILE - 1) / RT_PREFILL_TILE;
    int64_t empty = s->sequences * most - s->prefill_tiles - s->decodes;
    return empty > 0 ? a->heads * (double)empty * a->empty_tile_s : 0;
}

/* How often the KV of the decodes of a mixed kernel is read. */
static double reads_of(const struct rt_attention_cost *a, double decodes, double context)
{
    if (!(a->l2_tokens > 0) || !a->waves)
        return 1;
    double share = min_d(a->group, max_d(1, (double)a->sms / decodes));
    double miss = min_d(1, max_d(0, context / a->l2_tokens - 1));
    return 1 + (a->group / share - 1) * miss;
}

/* Prefill and decodes in one kernel, one kind of layers. What is neither the tiles of the prefill
 * nor those of the decodes (the tail, waiting for memory) goes to whoever causes it. */
static void mixed_terms(const struct rt_attention_cost *a, const struct rt_attention_layers *l,
                        const struct rt_step_shape *s, double context, double terms_s[])
{
    struct prefill p = prefill_of(s, l->window);
    double decodes = (double)s->decodes, column_s = l->tile_column_s;
    double decode_column_s = column_s * a->decode_columns;
    double heads_per_sm = a->heads / (double)a->sms;
    double prefill = (p.columns + p.tiles * a->prefill_pad) * column_s * heads_per_sm;
    prefill += empty_s(a, s);
    double decode = (context + a->pad_tokens * decodes) * decode_column_s * heads_per_sm;
    double span = prefill + decode;
    double read = context * l->kv_s / l->count * reads_of(a, decodes, context);
    /* the last tile of the longest chunk sees half of it more than the mean one does */
    double half = max_d(0, (double)(s->prefill_longest - RT_PREFILL_TILE) / 2);
    double prefill_tile = (p.columns / p.tiles + half + a->prefill_pad) * column_s;
    double decode_tile = (context / decodes + a->pad_tokens) * decode_column_s;
    if (a->waves) {
        double longest = max_d(prefill_tile, decode_tile);
        if (a->heads * (p.tiles + decodes) > (double)a->sms)
            span += a->tail * longest;
        span = max_d(span, longest);
    }
    double rest = max_d(span, read) - prefill - decode;
    bool from_decodes = read > span || decode_tile > prefill_tile;
    prefill += io_s(a, s, l->window, s->prefill_tokens + s->decodes);
    terms_s[RT_TERM_ATTENTION] += l->count * (prefill + (from_decodes ? 0 : rest));
    terms_s[RT_TERM_KV] += l->count * (decode + (from_decodes ? rest : 0));
}

void rt_attention_terms(const struct rt_attention_cost *a, const struct rt_step_shape *s,
                        double terms_s[])
{
    bool prefill = s->prefill_tokens > 0, decode = s->decodes > 0;
    bool mixed = prefill && decode && a->mixed_as_tiles;
    for (unsigned i = 0; i < a->kinds; i++) {
        const struct rt_attention_layers *l = &a->kind[i];
        double context = (double)(l->window > 0 ? s->decode_window[0] : s->decode_context);
        if (mixed) {
            mixed_terms(a, l, s, context, terms_s);
            continue;
        }
        terms_s[RT_TERM_KV] += decode_kv_s(a, l, context);
        if (prefill)
            terms_s[RT_TERM_ATTENTION] +=
                l->count * (prefill_s(a, prefill_of(s, l->window), l->tile_column_s) +
                            empty_s(a, s) + io_s(a, s, l->window, s->prefill_tokens));
    }
    if (prefill) {
        terms_s[RT_TERM_ATTENTION] += a->held_s * (double)s->prefill_held;
        terms_s[RT_TERM_LAUNCH] += a->prefill_launch_s;
    }
    if (decode && !mixed)
        terms_s[RT_TERM_LAUNCH] +=
            a->decode_launch_s + a->decode_wave_s * max_d(1, a->decode_waves * (double)s->decodes);
}
