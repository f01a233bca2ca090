/* The closed form (rt_estimate) against published measurements without a queue, where
 * ../shared/published is there; skipped visibly otherwise.
 *   single stream   calm on an RTX 4090, grade A: one fused kernel a token. Every row, with one
 *                   efficiency per weight format.
 *   static batch    TensorRT-LLM 0.5 to 0.9 on A100 and H100, grade A: a batch of equal requests;
 *                   tokens a second with the prefill included. By GPU, the median.
 *   prefill         the same engine's time to the first token of one prompt of 2048 tokens.
 * No constant was fitted on the last two; the three efficiencies of the first are. */
#include "cost_fixture.h"
#include "rooftrace/catalog.h"
#include "rooftrace/estimate.h"
#include "support/test.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define PATH   "../shared/published/published.csv"
#define LINE   2048
#define FIELDS 40
#define MANY   512

enum field {
    ID,
    SOURCE,
    GPU,
    TP,
    MODEL,
    WEIGHT,
    KV,
    ISL,
    OSL,
    KIND,
    LOAD,
    TOTAL,
    PER_GPU,
    TTFT,
    GRADE,
    FIELD_COUNT
};
static const char *const field_names[FIELD_COUNT] = {
    "id",      "source", "gpu",       "tp",   "model",           "weight_dtype",      "kv_dtype",
    "isl",     "osl",    "load_kind", "load", "out_tok_s_total", "out_tok_s_per_gpu", "ttft_ms",
    "roofline"};

struct row {
    char line[LINE];
    char *field[FIELDS];
    int at[FIELD_COUNT]; /* column of each field */
    int count;
};

static const char *text(const struct row *r, enum field f)
{
    return r->field[r->at[f]];
}

static double number(const struct row *r, enum field f)
{
    return strtod(text(r, f), NULL);
}

/* Fields may be quoted; quotes inside are doubled. */
static int split(char *line, char *field[FIELDS])
{
    int n = 0;
    char *in = line;
    line[strcspn(line, "\r\n")] = '\0';
    for (;;) {
        char *out = in;
        bool quoted = *in == '"';
        assert_true(n < FIELDS);
        field[n++] = out;
        in += quoted;
        while (*in != '\0' && (quoted || *in != ',')) {
            if (quoted && *in == '"' && *++in != '"') {
                quoted = false;
                continue;
            }
            *out++ = *in++;
        }
        bool more = *in == ',';
        *out = '\0';
        if (!more)
            return n;
        in++;
    }
}

static FILE *open_rows(struct row *r)
{
    FILE *file = fopen(PATH, "r");
    if (file == NULL) {
        print_message("%s: %s\n", PATH, strerror(errno));
        skip();
    }
    assert_non_null(fgets(r->line, LINE, file));
    r->count = split(r->line, r->field);
    for (int f = 0; f < FIELD_COUNT; f++) {
        r->at[f] = -1;
        for (int i = 0; i < r->count; i++)
            if (strcmp(r->field[i], field_names[f]) == 0)
                r->at[f] = i;
        assert_true(r->at[f] >= 0);
    }
    return file;
}

static bool next_row(FILE *file, struct row *r)
{
    if (fgets(r->line, LINE, file) == NULL) {
        fclose(file);
        return false;
    }
    assert_int_equal(split(r->line, r->field), r->count);
    return true;
}

/* ---- inputs of a row ------------------------------------------------------------------------- */

/* EleutherAI/gpt-j-6b config.json: 28 layers, 16 heads of 256, no gate, vocabulary 50400. */
static struct rt_model gpt_j(void)
{
    struct rt_model m = fixture_dense("gpt-j-6b", 28, 4096, 16, 16384, 50400);
    m.heads = 16;
    m.head_dim = 256;
    m.gated = false;
    return m;
}

static struct rt_model model_of(const struct rt_catalog *c, const char *name)
{
    static const char *const names[][2] = {
        {"Llama3 8B", "llama-3-8b"},      {"Llama2 7B", "llama-2-7b"},
        {"Llama2 13B", "llama-2-13b"},    {"Mistral 7B", "mistral-7b-v0.1"},
        {"Mixtral 8x7B", "mixtral-8x7b"}, {"Yi 34B", "yi-34b"},
        {"LLaMA 7B", "llama-2-7b"},       {"LLaMA 70B", "llama-2-70b"},
        {"Falcon 180B", "falcon-180b"}};
    struct rt_model m = gpt_j();
    struct rt_err err;
    if (strcmp(name, "GPT-J 6B") == 0)
        return m;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i][0]) == 0) {
            assert_ok(rt_catalog_model(c, names[i][1], &m, &err), &err);
            return m;
        }
    fail_msg("no model for %s", name);
    return m;
}

static enum rt_dtype dtype_of(const char *name)
{
    if (strcmp(name, "fp8") == 0 || strcmp(name, "FP8") == 0)
        return RT_FP8;
    return strcmp(name, "gf4") == 0 ? RT_INT4 : RT_FP16;
}

/* Weights and KV as the row says; activations in 8 bits with FP8 of TensorRT-LLM. */
static struct rt_cost_inputs inputs_of(const struct rt_catalog *c, const struct row *r,
                                       const char *gpu)
{
    struct rt_gpu g;
    struct rt_err err;
    assert_ok(rt_catalog_gpu(c, gpu, &g, &err), &err);
    struct rt_cost_inputs in =
        fixture_inputs(g, model_of(c, text(r, MODEL)), (int64_t)number(r, TP));
    in.dtypes.weight = dtype_of(text(r, WEIGHT));
    in.dtypes.head = strcmp(text(r, KIND), "single") == 0 ? in.dtypes.weight : RT_FP16;
    in.dtypes.activation = strcmp(text(r, WEIGHT), "FP8") == 0 ? RT_FP8 : RT_FP16;
    in.dtypes.kv = strcmp(text(r, KV), "n/s") == 0 ? in.dtypes.activation : dtype_of(text(r, KV));
    return in;
}

static struct rt_estimate estimate(const struct rt_cost_inputs *in, int64_t prompt, int64_t output,
                                   int64_t batch)
{
    struct rt_estimate_request req = {prompt, output, batch};
    struct rt_estimate e;
    struct rt_err err;
    assert_ok(rt_estimate(in, .9, 16, &req, &e, &err), &err);
    return e;
}

static bool starts_with(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

/* ---- errors ---------------------------------------------------------------------------------- */

struct errors {
    double signed_[MANY];
    int n;
};

static int by_size(const void *a, const void *b)
{
    double x = fabs(*(const double *)a), y = fabs(*(const double *)b);
    return (x > y) - (x < y);
}

static void check_median(struct errors *e, const char *what, int least, double bound)
{
    double mean = 0;
    assert_true(e->n >= least);
    for (int i = 0; i < e->n; i++)
        mean += e->signed_[i] / e->n;
    qsort(e->signed_, (size_t)e->n, sizeof e->signed_[0], by_size);
    double median = fabs(e->signed_[e->n / 2]), p90 = fabs(e->signed_[e->n * 9 / 10]);
    print_message("%-28s %3d rows, median %5.1f %%, p90 %5.1f %%, mean %+5.1f %% (bound %.0f %%)\n",
                  what, e->n, 100 * median, 100 * p90, 100 * mean, 100 * bound);
    if (median > bound)
        fail_msg("%s: median %.3f", what, median);
}

/* ---- single stream --------------------------------------------------------------------------- */

/* "ctx 0-32" starts empty, otherwise the last 32 tokens of the next power of two are timed. */
static void test_single_stream(void **state)
{
    static struct row r;
    FILE *file = open_rows(&r);
    int rows = 0;
    double worst = 0;
    while (next_row(file, &r)) {
        if (!starts_with(text(&r, SOURCE), "zeux/calm") ||
            !starts_with(text(&r, GPU), "RTX-4090") || strcmp(text(&r, GRADE), "A") != 0)
            continue;
        struct rt_cost_inputs in = inputs_of(*state, &r, "rtx-4090");
        int64_t isl = (int64_t)number(&r, ISL);
        int64_t prompt = isl == 0 ? 1 : isl == 4000 ? 4096 - 32 : 16384 - 32;
        struct rt_estimate e = estimate(&in, prompt, 32, 1);
        double error = 1 / e.fused_tpot_s / number(&r, TOTAL) - 1;
        print_message("%s %-12s %-4s context %5lld: %6.1f tok/s, ours %+5.1f %%\n", text(&r, ID),
                      text(&r, MODEL), text(&r, WEIGHT), (long long)isl, number(&r, TOTAL),
                      100 * error);
        worst = fmax(worst, fabs(error));
        assert_true(fabs(error) <= .05);
        rows++;
    }
    assert_true(rows >= 28);
    print_message("single stream, RTX 4090: %d rows, worst %.1f %%\n", rows, 100 * worst);
}

/* ---- static batch ---------------------------------------------------------------------------- */

static double row_error(const struct rt_catalog *c, const struct row *r, const char *gpu)
{
    struct rt_cost_inputs in = inputs_of(c, r, gpu);
    /* a C++ session of 2023 has none of vLLM's host time, nor its symmetric memory */
    struct rt_gpu_constants *k = &in.gpu.k;
    k->host_s_per_step = k->host_s_per_seq = 0;
    k->allreduce_symmetric_2_bytes = k->allreduce_symmetric_4_bytes = 0;
    k->allreduce_symmetric_8_bytes = 0;
    int64_t output = (int64_t)number(r, OSL), batch = (int64_t)number(r, LOAD);
    struct rt_estimate e = estimate(&in, (int64_t)number(r, ISL), output, batch);
    if (output == 1)
        return e.ttft_s * 1e3 / number(r, TTFT) - 1;
    double per_gpu = text(r, PER_GPU)[0] != '\0' ? number(r, PER_GPU) * number(r, TP) : 0;
    return e.tps_total / (per_gpu > 0 ? per_gpu : number(r, TOTAL)) - 1;
}

static void batch_of(const struct rt_catalog *c, const char *prefix, const char *gpu)
{
    static struct row r;
    static struct errors together, prefill;
    char what[64];
    FILE *file = open_rows(&r);
    together.n = prefill.n = 0;
    while (next_row(file, &r)) {
        bool batch = strcmp(text(&r, KIND), "static_batch") == 0;
        bool first = strcmp(text(&r, KIND), "batch") == 0 && number(&r, TTFT) > 0;
        if (!starts_with(text(&r, GPU), prefix) || strcmp(text(&r, GRADE), "A") != 0 ||
            !(batch || first) || text(&r, OSL)[0] == '\0')
            continue;
        struct errors *e = batch ? &together : &prefill;
        double error = row_error(c, &r, gpu);
        if (getenv("RT_ROWS") != NULL)
            print_message("%s %-12s tp%s %s/%s x%s: %+.1f %%\n", text(&r, ID), text(&r, MODEL),
                          text(&r, TP), text(&r, ISL), text(&r, OSL), text(&r, LOAD), 100 * error);
        assert_true(e->n < MANY);
        e->signed_[e->n++] = error;
    }
    snprintf(what, sizeof what, "static batch, %s", gpu);
    check_median(&together, what, 50, .15);
    snprintf(what, sizeof what, "one prompt of 2048, %s", gpu);
    check_median(&prefill, what, 8, .25);
}

static void test_static_batch(void **state)
{
    batch_of(*state, "A100-SXM-80GB", "a100-sxm-80gb");
    batch_of(*state, "H100-SXM-80GB", "h100-sxm");
}

static int open_catalog(void **state)
{
    struct rt_catalog *c;
    struct rt_err err;
    assert_ok(rt_catalog_open(NULL, &c, &err), &err);
    *state = c;
    return 0;
}

static int close_catalog(void **state)
{
    rt_catalog_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_single_stream),
        cmocka_unit_test(test_static_batch),
    };
    return cmocka_run_group_tests(tests, open_catalog, close_catalog);
}
