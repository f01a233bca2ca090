/* format_servegen.c: ServeGen's clients (alibaba/ServeGen): no requests but what draws them.
 *
 *     chunk-N-trace.csv       window_start_s,rate_rps,cv,pattern,arg1,arg2     no header, 600-s
 * windows chunk-N-dataset.json    {"0": {"input_tokens": "{35: 0.25, 36: 0.75}", "output_tokens":
 * ...}}
 *
 * The second file is found beside the first. Arrivals are a renewal process: gaps of mean 1 with
 * the window's pattern (Gamma or Weibull of shape arg1) are used up at the window's rate, so that
 * the number of requests follows the rate also where a gap spans windows; arg2, a scale, follows
 * from the rate and is not used. Both lengths are drawn from the distributions of their time, by
 * their weights; values are strings that hold Python dictionaries. All draws come from one seed and
 * the file's name: the same file gives the same requests. Failure: a missing or malformed file, a
 * rate without lengths. Memory: both files; O(log values) a request. */
#include "workload_internal.h"

#include "rooftrace/json.h"
#include "rooftrace/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_S  600.0
#define MAX_RATE  1e6
#define MAX_SHAPE 1e6
#define MIN_SHAPE 0.05 /* below, a Weibull's mean over its scale is beyond 20! */

struct window {
    double start_s, rate, shape;
    bool weibull;
};
struct value {
    int64_t tokens;
    double upto; /* cumulative weight */
};
struct lengths { /* from start_s on; the values lie in one array */
    double start_s;
    size_t first[2], count[2]; /* input, output; 0 = none given */
};
struct servegen {
    struct window *windows;
    size_t window_count, window_capacity;
    struct lengths *lengths;
    size_t lengths_count;
    struct value *values;
    size_t value_count, value_capacity;
    struct rt_rng gaps, draws;
    size_t at;     /* window */
    double now_s;  /* of the last arrival, or the window's start */
    double unused; /* of the current gap, in expected requests */
};

static bool grow(void **array, size_t *capacity, size_t count, size_t size, struct rt_err *err)
{
    if (count < *capacity)
        return true;
    size_t more = *capacity == 0 ? 256 : *capacity * 2;
    void *grown = realloc(*array, more * size);
    if (grown == NULL)
        return rt_fail_nomem(err, "windows of a client");
    *array = grown;
    *capacity = more;
    return true;
}

static bool take_number(const struct rt_csv *csv, unsigned field, const char *name, double max,
                        double *out, struct rt_err *err)
{
    const struct rt_csv_field *f = &csv->fields[field];
    char read[RT_EXCERPT_BYTES];
    if (rt_number_double(f->text, f->len, out) == RT_NUMBER_OK && *out >= 0 && *out <= max)
        return true;
    (void)rt_fail(err, RT_ETRACE, "%s: expected a number from 0 to %g, read %s", name, max,
                  rt_excerpt(f->text, f->len, read));
    return rt_lines_fail_in(csv->lines, f->offset, err);
}

/* Gamma, Weibull, or nothing when the rate is 0. */
static bool take_pattern(const struct rt_csv *csv, struct window *w, struct rt_err *err)
{
    const struct rt_csv_field *f = &csv->fields[3];
    bool gamma = f->len == 5 && memcmp(f->text, "Gamma", 5) == 0;
    char read[RT_EXCERPT_BYTES];
    w->weibull = f->len == 7 && memcmp(f->text, "Weibull", 7) == 0;
    if (w->rate == 0)
        return true;
    if (!gamma && !w->weibull) {
        (void)rt_fail(err, RT_ETRACE, "pattern: expected Gamma or Weibull, read %s",
                      rt_excerpt(f->text, f->len, read));
        return rt_lines_fail_in(csv->lines, f->offset, err);
    }
    if (!take_number(csv, 4, "arg1", MAX_SHAPE, &w->shape, err))
        return false;
    if (w->shape >= MIN_SHAPE)
        return true;
    (void)rt_fail(err, RT_ETRACE, "arg1: expected a shape of at least %g, read %g", MIN_SHAPE,
                  w->shape);
    return rt_lines_fail_in(csv->lines, csv->fields[4].offset, err);
}

static bool add_window(struct servegen *s, const struct rt_csv *csv, struct rt_err *err)
{
    struct window w = {.rate = 0};
    if (csv->count != 6) {
        (void)rt_fail(err, RT_ETRACE,
                      "expected window_start_s,rate_rps,cv,pattern,arg1,arg2, read %u fields",
                      csv->count);
        return rt_lines_fail_in(csv->lines, 0, err);
    }
    if (!take_number(csv, 0, "window_start_s", 9e9, &w.start_s, err) ||
        !take_number(csv, 1, "rate_rps", MAX_RATE, &w.rate, err) || !take_pattern(csv, &w, err))
        return false;
    if (s->window_count > 0 && w.start_s <= s->windows[s->window_count - 1].start_s) {
        (void)rt_fail(err, RT_ETRACE, "window_start_s: expected windows in the order of time");
        return rt_lines_fail_in(csv->lines, 0, err);
    }
    void *windows = s->windows;
    bool ok = grow(&windows, &s->window_capacity, s->window_count, sizeof w, err);
    s->windows = windows;
    if (ok)
        s->windows[s->window_count++] = w;
    return ok;
}

static bool read_windows(struct rt_trace *t, struct servegen *s, struct rt_err *err)
{
    struct rt_csv csv = {.lines = &t->lines};
    bool ok = true;
    int found = 0;
    while (ok && (found = rt_csv_next(&csv, err)) == 1)
        ok = add_window(s, &csv, err);
    rt_csv_release(&csv);
    return ok && found == 0;
}

/* "{35: 0.25, 36: 0.75}" */
static bool read_values(struct servegen *s, const char *text, size_t *count, struct rt_err *err)
{
    const char *p = text + strspn(text, " {");
    double upto = 0;
    *count = 0;
    while (*p != '}' && *p != '\0') {
        size_t key = strcspn(p, ": ,}"), gap = strspn(p + key, " :");
        const char *weight = p + key + gap;
        size_t len = strcspn(weight, " ,}");
        bool negative;
        uint64_t tokens;
        double w;
        if (rt_number_whole(p, key, &negative, &tokens) != RT_NUMBER_OK || negative || gap == 0 ||
            tokens > (uint64_t)RT_MAX_REQUEST_TOKENS ||
            rt_number_double(weight, len, &w) != RT_NUMBER_OK || !(w >= 0 && w <= 1e12))
            return rt_fail(err, RT_ETRACE, "expected {tokens: weight, ...}, read \"%.24s\"", p);
        void *values = s->values;
        bool ok = grow(&values, &s->value_capacity, s->value_count, sizeof *s->values, err);
        s->values = values;
        if (!ok)
            return false;
        upto += w;
        s->values[s->value_count++] = (struct value){(int64_t)tokens, upto};
        ++*count;
        p = weight + len;
        p += strspn(p, " ,");
    }
    if (upto <= 0) /* nothing, or nothing with a weight */
        *count = 0;
    return *p == '}' || rt_fail(err, RT_ETRACE, "expected a closing brace");
}

static bool read_lengths(struct servegen *s, const struct rt_json_at *at, struct lengths *l,
                         struct rt_err *err)
{
    static const char *const keys[] = {"input_tokens", "output_tokens"};
    bool ok = rt_number_double(at->key, strlen(at->key), &l->start_s) == RT_NUMBER_OK ||
              rt_json_fail(at, err, "expected seconds as key");
    for (unsigned i = 0; ok && i < 2; i++) {
        const char *text = "{}";
        l->first[i] = s->value_count;
        ok = rt_json_string(at, keys[i], &text, err) && read_values(s, text, &l->count[i], err);
    }
    return ok;
}

static int by_start(const void *a, const void *b)
{
    const struct lengths *x = a, *y = b;
    return (x->start_s > y->start_s) - (x->start_s < y->start_s);
}

static bool read_dataset(struct servegen *s, const char *path, struct rt_err *err)
{
    struct rt_json *doc;
    if (!rt_json_load(path, &doc, err)) {
        err->code = err->code == RT_ECONFIG ? RT_ETRACE : err->code; /* part of the trace */
        return false;
    }
    struct rt_json_at root = rt_json_root(doc);
    int count = rt_json_count(&root);
    bool ok = rt_json_expect(&root, RT_JSON_OBJECT, err);
    s->lengths = calloc((size_t)count + 1, sizeof *s->lengths);
    if (s->lengths == NULL) {
        rt_json_free(doc);
        return rt_fail_nomem(err, "lengths of a client");
    }
    for (int i = 0; ok && i < count; i++) {
        struct rt_json_at at = rt_json_member(&root, i);
        ok = read_lengths(s, &at, &s->lengths[s->lengths_count], err);
        if (!ok && err->code == RT_ETRACE)
            (void)rt_fail_in(err, "%s: \"%s\"", path, at.key);
        s->lengths_count += ok && s->lengths[s->lengths_count].count[0] > 0 &&
                            s->lengths[s->lengths_count].count[1] > 0;
    }
    if (ok && s->lengths_count == 0)
        ok = rt_fail(err, RT_ETRACE, "%s: expected lengths of some window, read none", path);
    if (ok)
        qsort(s->lengths, s->lengths_count, sizeof *s->lengths, by_start);
    if (!ok && err->code == RT_ECONFIG)
        err->code = RT_ETRACE;
    rt_json_free(doc);
    return ok;
}

/* "a/chunk-0-trace.csv" to "a/chunk-0-dataset.json"; caller frees. */
static char *dataset_path(const char *path, struct rt_err *err)
{
    static const char from[] = "-trace.csv", to[] = "-dataset.json";
    size_t len = strlen(path), tail = sizeof from - 1;
    if (len < tail || strcmp(path + len - tail, from) != 0) {
        (void)rt_fail(err, RT_ETRACE,
                      "%s: expected a file named like chunk-0-trace.csv, so that its lengths are "
                      "found in chunk-0-dataset.json",
                      path);
        return NULL;
    }
    char *out = malloc(len - tail + sizeof to);
    if (out == NULL) {
        (void)rt_fail_nomem(err, "path of a data set");
        return NULL;
    }
    memcpy(out, path, len - tail);
    memcpy(out + len - tail, to, sizeof to);
    return out;
}

/* Mean 1. */
static double draw_gap(struct rt_rng *rng, const struct window *w)
{
    if (!w->weibull)
        return rt_rng_gamma(rng, w->shape) / w->shape;
    return pow(rt_rng_exponential(rng), 1 / w->shape) / tgamma(1 + 1 / w->shape);
}

static const struct lengths *lengths_at(const struct servegen *s, double now_s)
{
    size_t low = 0, high = s->lengths_count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (s->lengths[middle].start_s <= now_s)
            low = middle;
        else
            high = middle;
    }
    return &s->lengths[low]; /* the first also before its start */
}

static int64_t draw_length(struct servegen *s, const struct lengths *l, unsigned which)
{
    const struct value *values = s->values + l->first[which];
    size_t low = 0, high = l->count[which] - 1;
    double at = rt_rng_unit(&s->draws) * values[high].upto;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (values[middle].upto > at)
            high = middle;
        else
            low = middle + 1;
    }
    return values[low].tokens;
}

static double window_end(const struct servegen *s, size_t i)
{
    if (i + 1 < s->window_count)
        return s->windows[i + 1].start_s;
    return s->windows[i].start_s +
           (i > 0 ? s->windows[i].start_s - s->windows[i - 1].start_s : WINDOW_S);
}

static void begin(struct rt_trace *t, struct servegen *s)
{
    const char *slash = strrchr(t->path, '/'), *name = slash != NULL ? slash + 1 : t->path;
    uint64_t stream = rt_hash_text(name, strlen(name));
    rt_rng_init(&s->gaps, t->seed, RT_RNG_ARRIVALS, stream);
    rt_rng_init(&s->draws, t->seed, RT_RNG_LENGTHS, stream);
    s->at = 0;
    s->now_s = s->window_count > 0 ? s->windows[0].start_s : 0;
    s->unused = -1;
}

static bool servegen_open(struct rt_trace *t, struct rt_err *err)
{
    struct servegen *s = calloc(1, sizeof *s);
    if (s == NULL)
        return rt_fail_nomem(err, "windows of a client");
    t->state = s;
    char *path = dataset_path(t->path, err);
    bool ok = path != NULL && read_windows(t, s, err) && read_dataset(s, path, err);
    free(path);
    if (ok)
        begin(t, s);
    return ok;
}

static int servegen_read(struct rt_trace *t, struct rt_err *err)
{
    struct servegen *s = t->state;
    (void)err;
    for (; s->at < s->window_count; s->at++) {
        const struct window *w = &s->windows[s->at];
        double end_s = window_end(s, s->at);
        if (s->now_s < w->start_s)
            s->now_s = w->start_s;
        if (w->rate == 0)
            continue;
        if (s->unused < 0)
            s->unused = draw_gap(&s->gaps, w);
        double left = (end_s - s->now_s) * w->rate; /* expected requests */
        if (s->unused >= left) {
            s->unused -= left;
            continue;
        }
        s->now_s += s->unused / w->rate;
        s->unused = -1;
        const struct lengths *l = lengths_at(s, s->now_s);
        rt_row_clear(&t->row);
        t->row.r.arrival_ns = llrint(s->now_s * 1e9);
        t->row.r.prompt_tokens = draw_length(s, l, 0);
        t->row.r.output_tokens = draw_length(s, l, 1);
        return 1;
    }
    return 0;
}

static bool servegen_rewind(struct rt_trace *t, struct rt_err *err)
{
    (void)err;
    begin(t, t->state);
    return true;
}

static void servegen_close(struct rt_trace *t)
{
    struct servegen *s = t->state;
    if (s != NULL) {
        free(s->windows);
        free(s->lengths);
        free(s->values);
    }
    free(s);
    t->state = NULL;
}

static void servegen_sort_command(const struct rt_trace *t, char *buf, size_t size)
{
    (void)t;
    if (size > 0)
        buf[0] = '\0'; /* requests come in the order of time */
}

/* Six fields, the fourth a pattern or empty, the others numbers. */
static bool matches(const char *head, size_t len)
{
    unsigned commas = 0;
    for (size_t i = 0; i < len; i++) {
        bool letter = (head[i] >= 'a' && head[i] <= 'z') || (head[i] >= 'A' && head[i] <= 'Z');
        if (letter && head[i] != 'e' && commas != 3)
            return false;
        commas += head[i] == ',';
    }
    return commas == 5 && head[0] >= '0' && head[0] <= '9';
}

const struct rt_trace_reader rt_servegen_reader = {.open = servegen_open,
                                                   .read = servegen_read,
                                                   .rewind = servegen_rewind,
                                                   .close = servegen_close,
                                                   .sort_command = servegen_sort_command};

const struct rt_trace_format rt_format_servegen = {
    .name = "servegen",
    .help = "ServeGen client: chunk-N-trace.csv (rates) beside chunk-N-dataset.json (lengths)",
    .flags = RT_FORMAT_DRAWN,
    .reader = &rt_servegen_reader,
    .matches = matches,
};
