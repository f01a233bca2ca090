/* The formulas with the catalogue's constants against measured operator times, where
 * ../shared/measured is there; skipped visibly otherwise. Prints the median absolute error per GPU
 * and operator, and fails only above a loose bound: accuracy itself is another page's business
 * (docs/cost-model.md).
 *
 * Operators are taken out of the public interface: a model of one layer, with every constant but
 * that of the operator under test set to nothing. */
#include "cost_fixture.h"
#include "rooftrace/catalog.h"
#include "support/test.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define FOLDER "../shared/measured/"
#define LINE   1024
#define FIELDS 24
#define MANY   20000

/* ---- a CSV of plain fields ------------------------------------------------------------------- */

struct table {
    FILE *file;
    char line[LINE], head[LINE];
    char *name[FIELDS], *field[FIELDS];
    int count;
};

static int split(char *line, char *field[FIELDS])
{
    int n = 0;
    line[strcspn(line, "\r\n")] = '\0';
    for (char *p = line; n < FIELDS; p++) {
        field[n++] = p;
        p = strchr(p, ',');
        if (p == NULL)
            break;
        *p = '\0';
    }
    return n;
}

static void open_table(struct table *t, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, FOLDER "%s", name);
    t->file = fopen(path, "r");
    if (t->file == NULL) {
        print_message("%s: %s\n", path, strerror(errno));
        skip();
    }
    assert_non_null(fgets(t->head, LINE, t->file));
    t->count = split(t->head, t->name);
}

static bool next_row(struct table *t)
{
    if (fgets(t->line, LINE, t->file) == NULL) {
        fclose(t->file);
        return false;
    }
    assert_int_equal(split(t->line, t->field), t->count);
    return true;
}

static const char *text(const struct table *t, const char *name)
{
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->name[i], name) == 0)
            return t->field[i];
    fail_msg("no column %s", name);
    return "";
}

static double number(const struct table *t, const char *name)
{
    const char *s = text(t, name);
    return s[0] == '\0' ? (double)NAN : strtod(s, NULL);
}

static int64_t count(const struct table *t, const char *name)
{
    return (int64_t)number(t, name);
}

/* ---- errors ---------------------------------------------------------------------------------- */

struct errors {
    double relative[MANY];
    int n;
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void note(struct errors *e, double predicted, double measured)
{
    if (e->n < MANY && measured > 0)
        e->relative[e->n++] = fabs(predicted / measured - 1);
}

static void check(struct errors *e, const char *what, double bound)
{
    assert_true(e->n > 20);
    qsort(e->relative, (size_t)e->n, sizeof e->relative[0], by_value);
    double median = e->relative[e->n / 2];
    print_message("%-52s %5d points, median %5.1f %%, p90 %5.1f %% (bound %.0f %%)\n", what, e->n,
                  100 * median, 100 * e->relative[e->n * 9 / 10], 100 * bound);
    assert_true(median <= bound);
}

/* ---- one layer ------------------------------------------------------------------------------- */

static struct rt_gpu gpu_named(const char *name)
{
    struct rt_catalog *catalog;
    struct rt_gpu g;
    struct rt_err err;
    assert_ok(rt_catalog_open(NULL, &catalog, &err), &err);
    assert_ok(rt_catalog_gpu(catalog, name, &g, &err), &err);
    rt_catalog_free(catalog);
    return g;
}

static struct rt_cost *one_layer(struct rt_gpu gpu, struct rt_model m, int64_t tp)
{
    struct rt_cost *c;
    struct rt_err err;
    m.layers = 1;
    gpu.k.graph_max_tokens = 0;
    gpu.k.elementwise_s = gpu.k.elementwise_s_per_token = 0;
    gpu.k.elementwise_s_per_token_above = 0;
    struct rt_cost_inputs in = fixture_inputs(gpu, m, tp);
    in.max_tokens = 0;
    assert_ok(rt_cost_new(&in, &c, &err), &err);
    return c;
}

/* All products of the layer on m tokens. */
static double gemm_s(const struct rt_cost *c, int64_t tokens)
{
    struct rt_step_shape s;
    double terms[RT_TERM_COUNT];
    memset(&s, 0, sizeof s);
    s.tokens = tokens;
    rt_cost_step_terms(c, &s, terms);
    return terms[RT_TERM_WEIGHTS] + terms[RT_TERM_COMPUTE] + terms[RT_TERM_LAUNCH];
}

/* ---- GEMM ------------------------------------------------------------------------------------ */

static struct rt_model vidur_model(const char *name)
{
    struct table t;
    struct rt_model m;
    memset(&m, 0, sizeof m);
    open_table(&t, "vidur/model_shapes.csv");
    while (next_row(&t)) {
        if (strcmp(text(&t, "model"), name) != 0)
            continue;
        m = fixture_dense(name, 1, count(&t, "hidden"), count(&t, "kv_heads"), count(&t, "ffn"),
                          32000);
        m.heads = count(&t, "q_heads");
        m.head_dim = count(&t, "head_dim");
        m.gated = count(&t, "gated") != 0;
    }
    if (m.layers == 0)
        fail_msg("model_shapes.csv lacks %s", name);
    return m;
}

static void vidur_gemm(const char *file, const char *gpu_name)
{
    static struct errors e;
    struct table t;
    struct rt_cost *c = NULL;
    char now[64] = "", what[80];
    struct rt_gpu gpu = gpu_named(gpu_name);
    e.n = 0;
    open_table(&t, file);
    while (next_row(&t)) {
        char key[64];
        double ms = number(&t, "qkv_ms") + number(&t, "o_ms") + number(&t, "gate_up_ms") +
                    number(&t, "down_ms");
        if (!isfinite(ms) || count(&t, "num_tokens") > 4096)
            continue;
        snprintf(key, sizeof key, "%s/%s", text(&t, "model"), text(&t, "tp"));
        if (strcmp(key, now) != 0) {
            rt_cost_free(c);
            c = one_layer(gpu, vidur_model(text(&t, "model")), count(&t, "tp"));
            memcpy(now, key, sizeof now);
        }
        note(&e, gemm_s(c, count(&t, "num_tokens")) * 1e3, ms);
    }
    rt_cost_free(c);
    snprintf(what, sizeof what, "GEMMs of a layer, %s (vidur)", gpu_name);
    check(&e, what, .07);
}

static void test_gemm_vidur(void **state)
{
    (void)state;
    vidur_gemm("vidur/layer_ops_a100.csv", "a100-sxm-80gb");
    vidur_gemm("vidur/layer_ops_h100.csv", "h100-sxm");
    vidur_gemm("vidur/layer_ops_a40.csv", "a40");
}

/* Sum of the four products by token count; 0 where one is missing. */
struct layer_times {
    double us[4][4097];
};

static void vllm_gemm(const char *in_file, const char *gpu_name, const char *model_name,
                      struct rt_model m, int64_t tp)
{
    static const char *const products[] = {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"};
    static struct layer_times times;
    static struct errors e;
    struct table t;
    char what[96];
    memset(&times, 0, sizeof times);
    e.n = 0;
    open_table(&t, "vllm/vllm_dense.csv");
    while (next_row(&t))
        for (int i = 0; i < 4; i++)
            if (strcmp(text(&t, "gpu"), in_file) == 0 &&
                strcmp(text(&t, "model"), model_name) == 0 && count(&t, "tp") == tp &&
                strcmp(text(&t, "layer"), products[i]) == 0 && count(&t, "tokens") <= 4096)
                times.us[i][count(&t, "tokens")] = number(&t, "time_us");
    struct rt_cost *c = one_layer(gpu_named(gpu_name), m, tp);
    for (int64_t n = 1; n <= 4096; n++) {
        double sum = 0;
        bool all = true;
        for (int i = 0; i < 4; i++) {
            sum += times.us[i][n];
            all = all && times.us[i][n] > 0;
        }
        if (all)
            note(&e, gemm_s(c, n) * 1e6, sum);
    }
    rt_cost_free(c);
    snprintf(what, sizeof what, "GEMMs of a layer, %s, %s tp%lld", gpu_name, model_name,
             (long long)tp);
    check(&e, what, .07);
}

static struct rt_model qwen3_32b(void)
{
    struct rt_model m = fixture_dense("qwen3-32b", 64, 5120, 8, 25600, 151936);
    m.heads = 64;
    m.qk_norm = true;
    return m;
}

static void test_gemm_vllm(void **state)
{
    (void)state;
    const char *pro = "rtx-pro-6000-blackwell-server";
    vllm_gemm("RTX4090", "rtx-4090", "Llama-3.1-8B", fixture_llama31_8b(), 1);
    vllm_gemm("RTXPRO6000", pro, "Llama-3.1-8B", fixture_llama31_8b(), 1);
    vllm_gemm("RTXPRO6000", pro, "Llama-3.1-8B", fixture_llama31_8b(), 2);
    vllm_gemm("RTXPRO6000", pro, "Qwen3-32B", qwen3_32b(), 1);
    vllm_gemm("RTXPRO6000", pro, "Qwen3-32B", qwen3_32b(), 2);
}

/* ---- attention ------------------------------------------------------------------------------- */

static double attention_s(const struct rt_cost *c, int64_t q, int64_t k, int64_t n, int64_t ctx)
{
    struct rt_step_shape s = fixture_decodes(c, n, ctx);
    double terms[RT_TERM_COUNT], empty[RT_TERM_COUNT];
    struct rt_step_shape products;
    memset(&products, 0, sizeof products);
    if (q > 0)
        rt_step_add_prefill(&s, q, k);
    s.samples = 0;
    products.tokens = s.tokens;
    rt_cost_step_terms(c, &s, terms);
    rt_cost_step_terms(c, &products, empty);
    return terms[RT_TERM_KV] + terms[RT_TERM_ATTENTION] + terms[RT_TERM_LAUNCH] -
           empty[RT_TERM_LAUNCH];
}

static void vllm_attention(const char *file, const char *gpu_name, struct rt_model m)
{
    static struct errors e[3];
    static const char *const phase[] = {"decode", "prefill", "mixed"};
    static const double bound[] = {.08, .08, .10};
    struct table t;
    struct rt_cost *by_tp[3];
    struct rt_gpu gpu = gpu_named(gpu_name);
    open_table(&t, file); /* first: it may skip */
    for (int i = 0; i < 3; i++) {
        e[i].n = 0;
        by_tp[i] = i == 0 ? NULL : one_layer(gpu, m, i);
    }
    while (next_row(&t)) {
        int64_t q = count(&t, "prefill_chunk"), n = count(&t, "n_decode");
        const struct rt_cost *c = by_tp[count(&t, "tp") == 2 ? 2 : 1];
        double s = attention_s(c, q, count(&t, "kv_prefill"), n, count(&t, "kv_decode"));
        note(&e[q == 0 ? 0 : n == 0 ? 1 : 2], s * 1e6, number(&t, "time_us"));
    }
    for (int i = 0; i < 3; i++) {
        char what[96];
        rt_cost_free(by_tp[i]);
        snprintf(what, sizeof what, "%s attention, %s, %s", phase[i], gpu_name, m.name);
        check(&e[i], what, bound[i]);
    }
}

static void test_attention(void **state)
{
    (void)state;
    vllm_attention("vllm/vllm_attention_rtx4090-llama-3.1-8b.csv", "rtx-4090",
                   fixture_llama31_8b());
    vllm_attention("vllm/vllm_attention_rtxpro6000-llama-3.1-8b.csv",
                   "rtx-pro-6000-blackwell-server", fixture_llama31_8b());
    vllm_attention("vllm/vllm_attention_rtxpro6000-qwen3-32b.csv", "rtx-pro-6000-blackwell-server",
                   qwen3_32b());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gemm_vidur),
        cmocka_unit_test(test_gemm_vllm),
        cmocka_unit_test(test_attention),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
