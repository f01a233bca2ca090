/* What the operators of src/cost say about measured rows, for operators_accuracy.py: it sends a
 * table once and then asks for errors under any GPU record, so that constants can be fitted from
 * outside while every time comes from the formulas that a simulation uses.
 *
 * Lines on stdin, one answer on stdout for each of the last three:
 *     gemm      group us  weight activation m k n
 *     attention group us  kv_dtype heads kv_heads head_dim q held prefills decodes context
 *     moe       group us  weight activation rows touched hidden columns ranks
 *     reduce    group us  gpus bytes
 *     clear                        forget the rows
 *     gpu JSON                     catalogue name or object with a "base": "ok" or the error
 *     loss G                       mean |log(ours/measured)| over the rows of all groups but G
 *     show G                       ours in us of the rows of group G, or of all (-1), in one line
 * An operator is taken out of a model of one layer (or of its LM head) in which nothing else takes
 * time. A row costs O(1); neighbours of one shape share what is built. */
#include "rooftrace/catalog.h"
#include "rooftrace/cost.h"
#include "rooftrace/dtype.h"
#include "rooftrace/gpu.h"
#include "rooftrace/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIELDS 8
#define LINE   8192

enum kind { GEMM, ATTENTION, MOE, REDUCE, KINDS };
static const char *const kind_names[KINDS] = {"gemm", "attention", "moe", "reduce"};
static const int kind_fields[KINDS] = {3, 8, 5, 2};
static const int kind_dtypes[KINDS] = {2, 1, 2, 0};

struct row {
    enum kind kind;
    int group;
    enum rt_dtype dtype[2];
    double us, field[FIELDS];
};

struct probe {
    struct rt_catalog *catalog;
    struct rt_gpu gpu;
    struct row *rows;
    size_t count, capacity;
    struct rt_cost *cost; /* of the row before, when it has the same shape */
    struct row made_for;
};

static void fail(const char *what)
{
    fprintf(stderr, "operators_probe: %s\n", what);
    exit(1);
}

/* ---- one row --------------------------------------------------------------------------------- */

static struct rt_cost_inputs inputs_of(const struct probe *p, const struct row *r)
{
    struct rt_cost_inputs in = {.gpu = p->gpu};
    rt_cost_spec_init(&in.spec);
    in.parallel = (struct rt_parallel){.tensor = 1, .pipeline = 1, .expert = 1, .data = 1};
    in.dtypes = (struct rt_dtypes){
        .weight = RT_BF16, .activation = RT_BF16, .kv = RT_BF16, .head = RT_BF16};
    in.gpu.k.sampler_s = in.gpu.k.sampler_s_per_seq = 0;
    in.gpu.k.graph_max_tokens = 0;
    in.model = (struct rt_model){.attention = RT_GQA,
                                 .layers = 1,
                                 .hidden = 64,
                                 .heads = 8,
                                 .kv_heads = 8,
                                 .head_dim = 8,
                                 .ffn = 64,
                                 .vocab = 64,
                                 .gated = true,
                                 .moe_every = 1};
    if (r->kind == GEMM) {
        in.dtypes.weight = in.dtypes.head = r->dtype[0]; /* the product is an LM head */
        in.dtypes.activation = r->dtype[1];
        in.model.hidden = (int64_t)r->field[1];
        in.model.vocab = (int64_t)r->field[2];
    } else if (r->kind == ATTENTION) {
        in.dtypes.kv = r->dtype[0];
        in.model.heads = (int64_t)r->field[0];
        in.model.kv_heads = (int64_t)r->field[1];
        in.model.head_dim = (int64_t)r->field[2];
    } else if (r->kind == REDUCE) {
        in.parallel.tensor = (int64_t)r->field[0];
        in.model.hidden = (int64_t)r->field[1] / 2;
    }
    return in;
}

static bool same_shape(const struct row *a, const struct row *b)
{
    if (a->kind != b->kind || a->dtype[0] != b->dtype[0] || a->dtype[1] != b->dtype[1])
        return false;
    int from = a->kind == GEMM ? 1 : 0, end = a->kind == GEMM ? 3 : a->kind == ATTENTION ? 3 : 2;
    for (int i = from; i < end; i++)
        if (a->field[i] < b->field[i] || a->field[i] > b->field[i])
            return false;
    return true;
}

static const struct rt_cost *cost_of(struct probe *p, const struct row *r)
{
    struct rt_err err;
    if (p->cost != NULL && same_shape(&p->made_for, r))
        return p->cost;
    rt_cost_free(p->cost);
    p->cost = NULL;
    struct rt_cost_inputs in = inputs_of(p, r);
    if (!rt_cost_new(&in, &p->cost, &err))
        fail(err.msg);
    p->made_for = *r;
    return p->cost;
}

static double attention_s(const struct rt_cost *c, const struct row *r)
{
    struct rt_step_shape s, products;
    double terms[RT_TERM_COUNT], rest[RT_TERM_COUNT];
    memset(&s, 0, sizeof s);
    memset(&products, 0, sizeof products);
    for (int64_t i = 0; i < (int64_t)r->field[5]; i++)
        rt_step_add_prefill(&s, (int64_t)r->field[3], (int64_t)r->field[4]);
    if (r->field[6] > 0)
        rt_step_add_decodes(&s, (int64_t)r->field[6], (int64_t)r->field[7], NULL, 0);
    s.samples = 0;
    products.tokens = s.tokens;
    rt_cost_step_terms(c, &s, terms);
    rt_cost_step_terms(c, &products, rest);
    return terms[RT_TERM_KV] + terms[RT_TERM_ATTENTION] + terms[RT_TERM_LAUNCH] -
           rest[RT_TERM_LAUNCH];
}

static double gemm_s(const struct rt_cost *c, const struct row *r)
{
    struct rt_step_shape s;
    double terms[RT_TERM_COUNT];
    memset(&s, 0, sizeof s);
    s.samples = (int64_t)r->field[0];
    rt_cost_step_terms(c, &s, terms);
    return terms[RT_TERM_WEIGHTS] + terms[RT_TERM_COMPUTE] + terms[RT_TERM_LAUNCH];
}

/* A layer has two all-reduces, the embedding one. */
static double reduce_s(const struct rt_cost *c)
{
    struct rt_step_shape s;
    double terms[RT_TERM_COUNT];
    memset(&s, 0, sizeof s);
    s.tokens = 1;
    rt_cost_step_terms(c, &s, terms);
    return terms[RT_TERM_COMM] / 3;
}

/* Products of a layer on m tokens. */
static double products_s(const struct rt_cost_inputs *in, int64_t tokens, int64_t samples)
{
    struct rt_step_shape s;
    struct rt_err err;
    struct rt_cost *c;
    double terms[RT_TERM_COUNT];
    memset(&s, 0, sizeof s);
    s.tokens = tokens;
    s.samples = samples;
    if (!rt_cost_new(in, &c, &err))
        fail(err.msg);
    rt_cost_step_terms(c, &s, terms);
    rt_cost_free(c);
    return terms[RT_TERM_WEIGHTS] + terms[RT_TERM_COMPUTE] + terms[RT_TERM_LAUNCH] +
           terms[RT_TERM_OTHER];
}

/* A layer whose tokens go through every one of `touched` experts on each of `ranks` GPUs, without
 * the same layer that has none and without the router. */
static double moe_s(const struct probe *p, const struct row *r)
{
    struct rt_cost_inputs in = inputs_of(p, r);
    int64_t touched = (int64_t)(r->field[1] + 0.5);
    int64_t tokens = (int64_t)(r->field[0] / r->field[1] + 0.5), ranks = (int64_t)r->field[4];
    in.dtypes.weight = r->dtype[0];
    in.dtypes.activation = r->dtype[1];
    in.gpu.k.elementwise_s = 0;
    in.model.ffn = 0;
    in.model.hidden = (int64_t)r->field[2];
    in.parallel.tensor = ranks;
    in.model.vocab = touched * ranks * ranks; /* a rank's part is as wide as the router */
    double router = products_s(&in, 0, tokens), rest = products_s(&in, tokens, 0);
    in.parallel.expert = ranks;
    in.model.experts = in.model.experts_per_token = touched * ranks;
    in.model.expert_ffn = (int64_t)r->field[3];
    return products_s(&in, tokens, 0) - rest - router;
}

static double ours_us(struct probe *p, const struct row *r)
{
    if (r->kind == MOE)
        return moe_s(p, r) * 1e6;
    const struct rt_cost *c = cost_of(p, r);
    return (r->kind == GEMM     ? gemm_s(c, r)
            : r->kind == REDUCE ? reduce_s(c)
                                : attention_s(c, r)) *
           1e6;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static enum rt_dtype dtype_named(const char *name)
{
    for (unsigned d = 0; d < RT_DTYPE_COUNT; d++)
        if (name != NULL && strcmp(name, rt_dtype_names[d]) == 0)
            return (enum rt_dtype)d;
    fail("unknown dtype");
    return RT_BF16;
}

static double next_number(void)
{
    char *word = strtok(NULL, " \n"), *end = NULL;
    double value = word == NULL ? 0 : strtod(word, &end);
    if (word == NULL || *end != '\0')
        fail("expected a number");
    return value;
}

static void add_row(struct probe *p, enum kind kind)
{
    if (p->count == p->capacity) {
        p->capacity = p->capacity > 0 ? 2 * p->capacity : 1024;
        p->rows = realloc(p->rows, p->capacity * sizeof *p->rows);
        if (p->rows == NULL)
            fail("out of memory");
    }
    struct row *r = &p->rows[p->count++];
    memset(r, 0, sizeof *r);
    r->kind = kind;
    r->group = (int)next_number();
    r->us = next_number();
    for (int i = 0; i < kind_dtypes[kind]; i++)
        r->dtype[i] = dtype_named(strtok(NULL, " \n"));
    for (int i = 0; i < kind_fields[kind]; i++)
        r->field[i] = next_number();
}

static void set_gpu(struct probe *p, const char *text)
{
    struct rt_json *doc = NULL;
    struct rt_err err;
    if (text[0] != '{') {
        puts(rt_catalog_gpu(p->catalog, text, &p->gpu, &err) ? "ok" : err.msg);
    } else if (!rt_json_parse(text, strlen(text), "gpu", &doc, &err)) {
        puts(err.msg);
    } else {
        struct rt_json_at root = rt_json_root(doc);
        puts(rt_catalog_gpu_from(p->catalog, &root, &p->gpu, &err) ? "ok" : err.msg);
    }
    rt_json_free(doc);
    rt_cost_free(p->cost);
    p->cost = NULL;
}

static void print_loss(struct probe *p, int left_out)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < p->count; i++) {
        if (p->rows[i].group == left_out)
            continue;
        sum += fabs(log(ours_us(p, &p->rows[i]) / p->rows[i].us));
        n++;
    }
    printf("%.17g\n", n > 0 ? sum / (double)n : 0);
}

static void print_group(struct probe *p, int group)
{
    for (size_t i = 0; i < p->count; i++)
        if (group < 0 || p->rows[i].group == group)
            printf("%.9g ", ours_us(p, &p->rows[i]));
    putchar('\n');
}

static void take_line(struct probe *p, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    if (strncmp(line, "gpu ", 4) == 0) {
        set_gpu(p, line + 4);
        return;
    }
    char *word = strtok(line, " ");
    if (word == NULL)
        return;
    for (int k = 0; k < KINDS; k++)
        if (strcmp(word, kind_names[k]) == 0) {
            add_row(p, (enum kind)k);
            return;
        }
    if (strcmp(word, "clear") == 0)
        p->count = 0;
    else if (strcmp(word, "loss") == 0)
        print_loss(p, (int)next_number());
    else if (strcmp(word, "show") == 0)
        print_group(p, (int)next_number());
    else
        fail("unknown line");
}

int main(void)
{
    static char line[LINE];
    struct probe p = {.count = 0};
    struct rt_err err;
    if (!rt_catalog_open(NULL, &p.catalog, &err))
        fail(err.msg);
    while (fgets(line, sizeof line, stdin) != NULL) {
        take_line(&p, line);
        fflush(stdout);
    }
    rt_cost_free(p.cost);
    free(p.rows);
    rt_catalog_free(p.catalog);
    return 0;
}
