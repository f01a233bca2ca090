/* Transformations: each against a naive computation over random traces held in memory, all of them
 * composed in random combinations, mixes, and what is wrong with them. */
#include "support/test.h"

#include "trace_files.h"

#include "rooftrace/rng.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS     60
#define BLOCK     16
#define MAX_TRACE 80
#define TEXT      40

struct row { /* a request with copies of its texts */
    struct rt_request r;
    char class_name[TEXT], session[TEXT];
    uint64_t ids[16];
};
struct rows {
    struct row *rows;
    size_t count;
};

static const char *random_trace(struct trace_dir *d, const char *name, struct rt_rng *r)
{
    char text[MAX_TRACE * 300];
    size_t len = 0, rows = 1 + rt_rng_below(r, MAX_TRACE);
    uint64_t ms = rt_rng_below(r, 5000);
    for (size_t i = 0; i < rows; i++) {
        uint64_t prompt = 1 + rt_rng_below(r, 200), blocks = (prompt - 1) / BLOCK + 1;
        char *at = text + len;
        ms += rt_rng_below(r, 3) == 0 ? 0 : rt_rng_below(r, 3000);
        at += sprintf(at,
                      "{\"arrival_s\":%" PRIu64 ".%03" PRIu64 ",\"prompt_tokens\":%" PRIu64
                      ",\"output_tokens\":%" PRIu64,
                      ms / 1000, ms % 1000, prompt, 1 + rt_rng_below(r, 50));
        if (rt_rng_below(r, 3) == 0)
            at += sprintf(at, ",\"session_id\":\"s%" PRIu64 "\"", rt_rng_below(r, 6));
        if (rt_rng_below(r, 2) == 0)
            at += sprintf(at, ",\"class\":\"c%" PRIu64 "\"", rt_rng_below(r, 3));
        if (rt_rng_below(r, 2) == 0) {
            for (uint64_t b = 0; b < blocks; b++)
                at += sprintf(at, "%s%" PRIu64, b == 0 ? ",\"hash_ids\":[" : ",", 100 + b);
            at += sprintf(at, "]");
        }
        at += sprintf(at, "}\n");
        len = (size_t)(at - text);
    }
    return trace_write(d, name, text, len);
}

static struct rt_workload_spec spec_of(const char *path)
{
    struct rt_workload_spec spec;
    rt_workload_init(&spec);
    spec.trace = strdup(path);
    spec.block_size = BLOCK;
    return spec;
}

static void add_row(struct rows *to, const struct row *row)
{
    to->rows = realloc(to->rows, (to->count + 1) * sizeof to->rows[0]);
    assert_non_null(to->rows);
    to->rows[to->count++] = *row;
}

static struct rows pull_all(const struct rt_workload_spec *spec, struct rt_source_stats *stats)
{
    struct rows all = {NULL, 0};
    struct rt_source *s;
    struct rt_err err = {0};
    struct row row;
    int64_t later = 0, last = 0;
    enum rt_pull answer;
    assert_ok(rt_workload_open(spec, &s, &err), &err);
    while ((answer = rt_source_next(s, last, &row.r, &later, &err)) != RT_PULL_END) {
        if (answer == RT_PULL_LATER) {
            assert_true(later > last);
            last = later;
            continue;
        }
        if (answer != RT_PULL_REQUEST)
            fail_msg("%s", err.msg);
        assert_true(row.r.arrival_ns == last); /* in order, and never before it is due */
        (void)snprintf(row.class_name, TEXT, "%s", rt_source_name(s, row.r.class_name));
        (void)snprintf(row.session, TEXT, "%s", row.r.session != NULL ? row.r.session : "");
        assert_true(row.r.hash_count <= 16);
        for (uint32_t i = 0; i < row.r.hash_count; i++)
            row.ids[i] = row.r.hash_ids[i];
        add_row(&all, &row);
    }
    if (stats != NULL)
        *stats = *rt_source_stats(s);
    rt_source_free(s);
    return all;
}

static int by_time(const void *a, const void *b)
{
    const struct rt_request *x = &((const struct row *)a)->r, *y = &((const struct row *)b)->r;
    if (x->arrival_ns != y->arrival_ns)
        return x->arrival_ns < y->arrival_ns ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static void sort_rows(struct rows *r)
{
    if (r->count > 0)
        qsort(r->rows, r->count, sizeof r->rows[0], by_time);
}

static void take(struct rows *from, struct rows *to)
{
    free(to->rows);
    *to = *from;
}

static void name_copy(struct row *row, uint64_t copy)
{
    size_t len = strlen(row->session);
    if (copy > 0 && len > 0)
        (void)snprintf(row->session + len, TEXT - len, "~%" PRIu64, copy);
}

/* ---- the naive model: whole arrays, one transformation after the other ---- */

static void superpose(struct rows *all, const struct rt_transform_spec *t)
{
    struct rows out = {NULL, 0};
    for (int64_t c = 0; c < t->copies; c++)
        for (size_t i = 0; i < all->count; i++) {
            struct row row = all->rows[i];
            row.r.arrival_ns += llrint((double)c * t->shift_s * 1e9);
            row.r.id = row.r.id * (uint64_t)t->copies + (uint64_t)c;
            name_copy(&row, (uint64_t)c);
            add_row(&out, &row);
        }
    sort_rows(&out);
    take(&out, all);
}

/* Sessionless rows are drawn one by one; which sessions are kept is told by the tested code. */
static void keep(struct rows *all, const struct rt_transform_spec *t, uint64_t seed,
                 const struct rows *tested)
{
    struct rows out = {NULL, 0};
    struct rt_rng r;
    rt_rng_init(&r, seed, RT_RNG_KEEP, 0);
    (void)rt_rng_u64(&r); /* the key of sessions */
    for (size_t i = 0; i < all->count && t->keep_share < 1; i++) {
        bool kept = false;
        if (all->rows[i].session[0] == '\0')
            kept = rt_rng_unit(&r) < t->keep_share;
        for (size_t k = 0; k < tested->count && all->rows[i].session[0] != '\0'; k++)
            kept = kept || strcmp(tested->rows[k].session, all->rows[i].session) == 0;
        if (kept)
            add_row(&out, &all->rows[i]);
    }
    if (t->keep_share < 1)
        take(&out, all);
}

/* All draws first, sorted by nothing: they come in order by construction. */
static void resample(struct rows *all, const struct rt_transform_spec *t, uint64_t seed)
{
    struct rows out = {NULL, 0};
    struct rt_rng r;
    double above = 1;
    size_t last = SIZE_MAX;
    uint64_t repeated = 0;
    if (t->resample == 0)
        return;
    rt_rng_init(&r, seed, RT_RNG_RESAMPLE, 0);
    for (int64_t k = 0; k < t->resample; k++) {
        above *= exp(log(1 - rt_rng_unit(&r)) / (double)(t->resample - k));
        size_t at = (size_t)((1 - above) * (double)all->count);
        at = at < all->count ? at : all->count - 1;
        assert_true(last == SIZE_MAX || at >= last);
        repeated = at == last ? repeated + 1 : 0;
        struct row row = all->rows[last = at];
        row.r.id = (uint64_t)k;
        name_copy(&row, repeated);
        add_row(&out, &row);
    }
    take(&out, all);
}

static void close_gaps(struct rows *all, const struct rt_transform_spec *t)
{
    int64_t gap_ns = llrint(t->max_gap_s * 1e9), before = 0, at = 0;
    for (size_t i = 0; i < all->count && gap_ns > 0; i++) {
        int64_t gap = all->rows[i].r.arrival_ns - before;
        before = all->rows[i].r.arrival_ns;
        all->rows[i].r.arrival_ns = at += gap < gap_ns ? gap : gap_ns;
    }
}

static int64_t clamp(double x, int64_t min, int64_t max)
{
    return x < (double)min ? min : x > (double)max ? max : (int64_t)x;
}

static void change_lengths(struct rows *all, const struct rt_transform_spec *t,
                           struct rt_source_stats *stats)
{
    struct rows out = {NULL, 0};
    for (size_t i = 0; i < all->count; i++) {
        struct row row = all->rows[i];
        int64_t *p = &row.r.prompt_tokens, *o = &row.r.output_tokens;
        *p = clamp(rint((double)*p * t->prompt_scale), t->min_prompt_tokens, t->max_prompt_tokens);
        *o = clamp(rint((double)*o * t->output_scale), t->min_output_tokens, t->max_output_tokens);
        bool over = t->max_context_tokens > 0 && *p + *o > t->max_context_tokens;
        stats->context_cut += over && t->over_context == RT_CONTEXT_CUT;
        stats->context_dropped += over && t->over_context == RT_CONTEXT_DROP;
        if (over && t->over_context == RT_CONTEXT_DROP)
            continue;
        for (; over && *p > 1 && *p + *o > t->max_context_tokens;)
            --*p;
        for (; over && *p + *o > t->max_context_tokens;)
            --*o;
        while ((int64_t)(row.r.hash_count - 1) * BLOCK >= *p && row.r.hash_count > 0)
            row.r.hash_count--;
        add_row(&out, &row);
    }
    take(&out, all);
}

static void same_rows(const struct rows *got, const struct rows *want)
{
    assert_int_equal(got->count, want->count);
    for (size_t i = 0; i < got->count; i++) {
        const struct row *g = &got->rows[i], *w = &want->rows[i];
        assert_int_equal(g->r.id, w->r.id);
        assert_int_equal(g->r.arrival_ns, w->r.arrival_ns);
        assert_int_equal(g->r.prompt_tokens, w->r.prompt_tokens);
        assert_int_equal(g->r.output_tokens, w->r.output_tokens);
        assert_string_equal(g->class_name, w->class_name);
        assert_string_equal(g->session, w->session);
        assert_int_equal(g->r.hash_count, w->r.hash_count);
        assert_memory_equal(g->ids, w->ids, g->r.hash_count * sizeof g->ids[0]);
    }
}

static void same_stats(const struct rt_source_stats *got, const struct rows *want)
{
    int64_t prompt = 0, output = 0;
    for (size_t i = 0; i < want->count; i++) {
        prompt += want->rows[i].r.prompt_tokens;
        output += want->rows[i].r.output_tokens;
    }
    assert_int_equal(got->rows, want->count);
    assert_int_equal(got->prompt_tokens, prompt);
    assert_int_equal(got->output_tokens, output);
}

static double some(struct rt_rng *r, double neutral, double lo, double hi)
{
    return rt_rng_below(r, 2) ? neutral : lo + (hi - lo) * rt_rng_unit(r);
}

static void random_transform(struct rt_transform_spec *t, struct rt_rng *r)
{
    t->copies = rt_rng_below(r, 2) ? 1 : 1 + (int64_t)rt_rng_below(r, 5);
    t->shift_s = some(r, 0, 0, 100);
    t->keep_share = some(r, 1, 0.1, 1);
    t->resample = rt_rng_below(r, 2) ? 0 : 1 + (int64_t)rt_rng_below(r, 300);
    t->max_gap_s = some(r, 0, 0.001, 3);
    t->prompt_scale = some(r, 1, 0.1, 3);
    t->output_scale = some(r, 1, 0.1, 3);
    t->min_prompt_tokens = 1 + (int64_t)rt_rng_below(r, 50);
    t->max_prompt_tokens = t->min_prompt_tokens + (int64_t)rt_rng_below(r, 150);
    t->min_output_tokens = 1 + (int64_t)rt_rng_below(r, 10);
    t->max_output_tokens = t->min_output_tokens + (int64_t)rt_rng_below(r, 60);
    t->max_context_tokens = rt_rng_below(r, 2) ? 0 : 2 + (int64_t)rt_rng_below(r, 150);
    t->over_context = rt_rng_below(r, 2) ? RT_CONTEXT_CUT : RT_CONTEXT_DROP;
    if (t->max_context_tokens == 0)
        t->over_context = RT_CONTEXT_CUT;
}

/* What the sessions kept are, from the tested code with nothing but keep_share behind the draws:
 * whether each is kept whole and at the right rate is the business of `sessions_kept`. */
static struct rows kept_alone(const struct rt_workload_spec *spec)
{
    struct rt_workload_spec only = *spec;
    rt_transform_init(&only.transform);
    only.transform.copies = spec->transform.copies;
    only.transform.shift_s = spec->transform.shift_s;
    only.transform.resample = spec->transform.resample;
    only.transform.keep_share = spec->transform.keep_share;
    return pull_all(&only, NULL);
}

/* Any combination gives what the naive model gives, in the documented order. */
static void composed(void **state)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        struct rt_rng r;
        struct rt_source_stats stats, want = {0};
        rt_rng_init(&r, seed, RT_RNG_TOOLS, 0);
        struct rt_workload_spec spec = spec_of(random_trace(*state, "t.jsonl", &r));
        spec.seed = seed;
        spec.repeat = 1 + rt_rng_below(&r, 3);
        spec.rate_scale = some(&r, 1, 0.1, 10);
        struct rows model = pull_all(&spec, NULL);
        random_transform(&spec.transform, &r);
        const struct rt_transform_spec *t = &spec.transform;
        printf("seed %" PRIu64 ": %zu rows, %" PRId64 " copies, keep %g, resample %" PRId64 "\n",
               seed, model.count, t->copies, t->keep_share, t->resample);
        struct rows tested = kept_alone(&spec), got = pull_all(&spec, &stats);
        superpose(&model, t);
        resample(&model, t, seed);
        keep(&model, t, seed, &tested);
        close_gaps(&model, t);
        change_lengths(&model, t, &want);
        same_rows(&got, &model);
        same_stats(&stats, &model);
        assert_int_equal(stats.context_cut, want.context_cut);
        assert_int_equal(stats.context_dropped, want.context_dropped);
        free(got.rows);
        free(tested.rows);
        free(model.rows);
        rt_workload_release(&spec);
    }
}

/* ---- one by one: what the model above takes from the tested code or cannot see ---- */

/* 2,000 single requests a second apart, or sessions of `turns` each. */
static struct rt_workload_spec even_trace(struct trace_dir *d, unsigned turns)
{
    size_t len = 0;
    char *text = malloc(2000 * 100);
    assert_non_null(text);
    for (unsigned i = 0; i < 2000; i++) {
        char *at = text + len;
        at += sprintf(at, "{\"arrival_s\":%u,\"prompt_tokens\":9,\"output_tokens\":1", i);
        if (turns > 0)
            at += sprintf(at, ",\"session_id\":\"s%u\"", i / turns);
        at += sprintf(at, "}\n");
        len = (size_t)(at - text);
    }
    struct rt_workload_spec spec = spec_of(trace_write(d, "even.jsonl", text, len));
    free(text);
    return spec;
}

/* A share of p within 4 standard deviations of a binomial. */
static void kept_at_rate(void **state)
{
    struct rt_workload_spec spec = even_trace(*state, 0);
    spec.transform.keep_share = 0.3;
    for (spec.seed = 1; spec.seed <= 5; spec.seed++) {
        struct rows got = pull_all(&spec, NULL);
        printf("seed %" PRIu64 ": %zu of 2000 kept\n", spec.seed, got.count);
        assert_true(fabs((double)got.count - 600) < 4 * sqrt(2000 * 0.3 * 0.7));
        free(got.rows);
    }
    rt_workload_release(&spec);
}

static void sessions_kept(void **state)
{
    struct rt_workload_spec spec = even_trace(*state, 4);
    uint64_t firsts[5];
    spec.transform.keep_share = 0.3;
    for (spec.seed = 1; spec.seed <= 5; spec.seed++) {
        struct rows got = pull_all(&spec, NULL);
        assert_int_equal(got.count % 4, 0);
        assert_true(fabs((double)got.count / 4 - 150) < 4 * sqrt(500 * 0.3 * 0.7));
        firsts[spec.seed - 1] = 0;
        for (size_t i = 0; i < got.count; i++) { /* whole sessions */
            assert_int_equal(got.rows[i].r.id % 4, i % 4);
            firsts[spec.seed - 1] = firsts[spec.seed - 1] * 31 + got.rows[i].r.id;
        }
        for (uint64_t k = 1; k < spec.seed; k++) /* others with another seed */
            assert_true(firsts[k - 1] != firsts[spec.seed - 1]);
        free(got.rows);
    }
    rt_workload_release(&spec);
}

/* Counts of a multinomial: mean n/N, variance n/N (1 - 1/N), which for a mean of 4 has a standard
 * error of about sqrt((1 / 4 + 2) / 2000) of itself. */
static void resampled_evenly(void **state)
{
    struct rt_workload_spec spec = even_trace(*state, 0);
    unsigned counts[2000] = {0};
    double first_half = 0, squares = 0;
    spec.transform.resample = 8000;
    struct rows got = pull_all(&spec, NULL);
    assert_int_equal(got.count, 8000);
    for (size_t i = 0; i < got.count; i++) {
        size_t row = (size_t)(got.rows[i].r.arrival_ns / 1000000000);
        counts[row]++;
        first_half += row < 1000;
    }
    for (size_t i = 0; i < 2000; i++)
        squares += (counts[i] - 4.0) * (counts[i] - 4.0);
    assert_true(fabs(first_half - 4000) < 4 * sqrt(8000 * 0.25));
    assert_true(fabs(squares / 2000 / 4 - 1) < 4 * sqrt(2.25 / 2000));
    free(got.rows);
    rt_workload_release(&spec);
}

/* Batches of 40 every 3 s become arrivals within their step; turns of a session stay in order. */
static void spread(void **state)
{
    size_t len = 0;
    double sum = 0, singles = 0;
    uint64_t last_turn[7] = {0};
    char *text = malloc(4000 * 100);
    assert_non_null(text);
    for (unsigned i = 0; i < 4000; i++) {
        char *at = text + len;
        at +=
            sprintf(at, "{\"timestamp\":%u,\"input_length\":9,\"output_length\":1", i / 40 * 3000);
        if (i % 4 == 0)
            at += sprintf(at, ",\"session_id\":\"%u\"", i % 7);
        at += sprintf(at, "}\n");
        len = (size_t)(at - text);
    }
    struct rt_workload_spec spec = spec_of(trace_write(*state, "steps.jsonl", text, len));
    free(text);
    spec.transform.spread_s = 3;
    spec.rate_scale = 2;
    spec.repeat = 2;
    struct rows got = pull_all(&spec, NULL);
    assert_int_equal(got.count, 8000);
    for (size_t i = 0; i < got.count; i++) {
        const struct rt_request *r = &got.rows[i].r;
        int64_t late = r->arrival_ns - (int64_t)(r->id / 40) * 1500000000;
        assert_true(late >= 0 && late <= 1500000000); /* of its batch; copy 2 follows copy 1 */
        assert_true((r->id < 4000) == (i < 4000));
        if (got.rows[i].session[0] != '\0') {
            uint64_t *last = &last_turn[got.rows[i].session[0] - '0'];
            assert_true(r->id >= *last);
            *last = r->id;
        } else {
            sum += (double)late;
            singles++;
        }
    }
    /* uniform: mean half the step, standard deviation a step / sqrt(12); both copies draw alike */
    assert_true(fabs(sum / singles / 750e6 - 1) < 4 * 2 / sqrt(12 * singles / 2));
    free(got.rows);
    rt_workload_release(&spec);
}

/* Trees of hash ids: copy c has tree c mod roots; one mapping within a tree, nothing in common
 * between two. */
static void trees(void **state)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct rt_rng r;
        rt_rng_init(&r, seed, RT_RNG_TOOLS, 1);
        struct rt_workload_spec spec = spec_of(random_trace(*state, "t.jsonl", &r));
        struct rows plain = pull_all(&spec, NULL);
        uint64_t file_rows = plain.count, image[96] = {0}; /* [tree * 16 + id - 100] */
        spec.repeat = 1 + rt_rng_below(&r, 3);
        spec.transform.copies = 2;
        spec.transform.shift_s = 7;
        spec.transform.prefix_roots = 1 + (int64_t)rt_rng_below(&r, 6);
        uint64_t roots = (uint64_t)spec.transform.prefix_roots;
        struct rows got = pull_all(&spec, NULL);
        for (size_t i = 0; i < got.count; i++) {
            const struct row *g = &got.rows[i];
            uint64_t copy = g->r.id % 2 * spec.repeat + g->r.id / 2 / file_rows;
            for (uint32_t k = 0; k < g->r.hash_count; k++) {
                uint64_t *seen = &image[copy % roots * 16 + k];
                assert_true(copy % roots > 0 || g->ids[k] == 100 + k);
                assert_true(*seen == 0 || *seen == g->ids[k]);
                *seen = g->ids[k];
            }
        }
        for (unsigned a = 0; a < 96; a++)
            for (unsigned b = 0; b < a; b++)
                assert_true(image[a] == 0 || image[a] != image[b]);
        free(got.rows);
        free(plain.rows);
        rt_workload_release(&spec);
    }
}

/* ---- mixes ---- */

/* Part k of a mix, and what it adds to the naive one. */
static void random_part(struct rt_workload_spec *mix, uint32_t k, const char *path,
                        struct rt_rng *r, struct rows *want)
{
    struct rt_mix_part *part = &mix->mix[k];
    part->workload = spec_of(path);
    part->workload.rate_scale = some(r, 1, 0.5, 2);
    part->workload.transform.prompt_scale = some(r, 1, 0.5, 2);
    part->start_s = some(r, 0, 0, 30);
    part->class_name = rt_rng_below(r, 2) ? strdup(k % 2 ? "odd" : "c1") : NULL;
    struct rows rows = pull_all(&part->workload, NULL);
    for (size_t i = 0; i < rows.count; i++) {
        struct row row = rows.rows[i];
        row.r.id = row.r.id * mix->mix_count + k;
        row.r.arrival_ns += llrint(part->start_s * 1e9);
        name_copy(&row, k);
        if (part->class_name != NULL)
            (void)snprintf(row.class_name, TEXT, "%s", part->class_name);
        add_row(want, &row);
    }
    free(rows.rows);
}

static void new_mix(struct rt_workload_spec *mix, uint32_t parts)
{
    rt_workload_init(mix);
    mix->mix_count = parts;
    mix->mix = calloc(parts, sizeof mix->mix[0]);
    assert_non_null(mix->mix);
}

static void mixed(void **state)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct rt_rng r;
        struct rows want = {NULL, 0};
        struct rt_workload_spec mix;
        rt_rng_init(&r, seed, RT_RNG_TOOLS, 2);
        new_mix(&mix, 1 + (uint32_t)rt_rng_below(&r, 4));
        for (uint32_t k = 0; k < mix.mix_count; k++) {
            char name[32];
            (void)snprintf(name, sizeof name, "part%u.jsonl", k);
            random_part(&mix, k, random_trace(*state, name, &r), &r, &want);
        }
        mix.max_requests = 1 + rt_rng_below(&r, 200);
        mix.rate_scale = some(&r, 1, 0.5, 2);
        sort_rows(&want);
        want.count = want.count < mix.max_requests ? want.count : mix.max_requests;
        printf("seed %" PRIu64 ": %u parts, %zu rows\n", seed, mix.mix_count, want.count);
        struct rows got = pull_all(&mix, NULL);
        assert_int_equal(got.count, want.count);
        for (size_t i = 0; i < got.count; i++) {
            struct row *w = &want.rows[i];
            if (mix.rate_scale != 1)
                w->r.arrival_ns = llrint((double)w->r.arrival_ns / mix.rate_scale);
            for (uint32_t k = 0; k < w->r.hash_count && w->r.id % mix.mix_count > 0; k++) {
                assert_true(got.rows[i].ids[k] != w->ids[k]); /* kept apart */
                w->ids[k] = got.rows[i].ids[k];
            }
        }
        same_rows(&got, &want);
        free(got.rows);
        free(want.rows);
        rt_workload_release(&mix);
    }
}

/* Parts of one file share its hash ids and sessions: a trace in two windows is the trace. */
static void one_file_twice(void **state)
{
    struct rt_rng r;
    struct rt_workload_spec mix;
    rt_rng_init(&r, 7, RT_RNG_TOOLS, 3);
    struct rt_workload_spec whole = spec_of(random_trace(*state, "t.jsonl", &r));
    struct rows want = pull_all(&whole, NULL);
    double middle_s = (double)want.rows[want.count / 2].r.arrival_ns / 1e9;
    assert_true(want.count > 10);
    new_mix(&mix, 2);
    for (int k = 0; k < 2; k++) {
        struct rt_workload_spec *w = &mix.mix[k].workload;
        *w = spec_of(whole.trace);
        w->has_window = true;
        w->window_s[0] = k == 0 ? 0 : middle_s;
        w->window_s[1] = k == 0 ? middle_s : 1e6;
        mix.mix[k].start_s = w->window_s[0];
    }
    struct rows got = pull_all(&mix, NULL);
    for (size_t i = 0; i < got.count; i++)
        got.rows[i].r.id /= 2;
    same_rows(&got, &want);
    free(got.rows);
    free(want.rows);
    rt_workload_release(&whole);
    rt_workload_release(&mix);
}

/* ---- what is wrong ---- */

static void context_error(void **state)
{
    struct rt_workload_spec spec = spec_of(trace_text(
        *state, "a.csv", "arrival_s,prompt_tokens,output_tokens\n1,5,5\n2,9,3\n3,1,1\n"));
    spec.transform.max_context_tokens = 11;
    spec.transform.over_context = RT_CONTEXT_ERROR;
    struct trace_rows rows = pull_rows(&spec, NULL);
    assert_int_equal(rows.count, 1);
    assert_fails(!rows.failed, &rows.err, RT_ETRACE,
                 "request 1: expected at most 11 tokens of prompt and output "
                 "(max_context_tokens), read 9 and 3");
    rows_free(&rows);
    rt_workload_release(&spec);
}

/* More requests within one step than can be put in order. */
static void spread_too_wide(void **state)
{
    size_t rows = 200000, len = 0;
    char *text = malloc(rows * 20 + 100);
    assert_non_null(text);
    len += (size_t)sprintf(text, "arrival_s,prompt_tokens,output_tokens\n");
    for (size_t i = 0; i < rows; i++)
        len += (size_t)sprintf(text + len, "%zu,1,1\n", i / 100000);
    struct rt_workload_spec spec = spec_of(trace_write(*state, "wide.csv", text, len));
    free(text);
    spec.transform.spread_s = 1;
    struct trace_rows got = pull_rows(&spec, NULL);
    assert_fails(!got.failed, &got.err, RT_ETRACE, "a smaller spread_s is needed");
    rows_free(&got);
    rt_workload_release(&spec);
}

static void bad_specs(void **state)
{
    struct rt_source *s;
    struct rt_err err = {0};
    struct rt_workload_spec spec =
        spec_of(trace_text(*state, "a.csv", "arrival_s,prompt_tokens,output_tokens\n1,5,5\n"));
    struct rt_transform_spec *t = &spec.transform;
    t->keep_share = (double)NAN;
    assert_fails(rt_workload_open(&spec, &s, &err), &err, RT_ECONFIG, "keep_share");
    rt_transform_init(t);
    t->copies = 65;
    assert_fails(rt_workload_open(&spec, &s, &err), &err, RT_ECONFIG, "superpose");
    rt_transform_init(t);
    t->prefix_roots = 2;
    assert_fails(rt_workload_open(&spec, &s, &err), &err, RT_ECONFIG, "expected copies");
    rt_transform_init(t);
    t->copies = 64; /* the second copy is within 292 years, the third is not */
    t->shift_s = 9e9;
    assert_fails(rt_workload_open(&spec, &s, &err), &err, RT_ETRACE, "beyond 292 years");
    rt_transform_init(t);
    t->min_output_tokens = 2;
    t->max_output_tokens = 1;
    assert_fails(rt_workload_open(&spec, &s, &err), &err, RT_ECONFIG, "min_output_tokens");
    rt_workload_release(&spec);
}

/* Block sizes that do not go together, and errors in a part. */
static void bad_mixes(void **state)
{
    static const char row[] =
        "{\"arrival_s\":1,\"prompt_tokens\":9,\"output_tokens\":1,\"hash_ids\":[1]}\n";
    struct rt_workload_spec mix;
    struct rt_source *s;
    struct rt_err err = {0};
    new_mix(&mix, 2);
    mix.mix[0].workload = spec_of(trace_text(*state, "a.jsonl", row));
    mix.mix[1].workload = spec_of(trace_text(*state, "b.jsonl", row));
    mix.mix[1].workload.block_size = 512;
    assert_fails(rt_workload_open(&mix, &s, &err), &err, RT_ECONFIG,
                 "expected hash ids of one block size, read 16 and 512 tokens");
    mix.mix[1].workload.block_size = 16;
    mix.mix[1].workload.repeat = 0;
    assert_fails(rt_workload_open(&mix, &s, &err), &err, RT_ECONFIG, "repeat");
    mix.mix[1].workload.repeat = 1;
    free(mix.mix[1].workload.trace);
    mix.mix[1].workload.trace = strdup("/nowhere/x.csv");
    assert_fails(rt_workload_open(&mix, &s, &err), &err, RT_EIO, "/nowhere/x.csv");
    rt_workload_release(&mix);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(composed),        cmocka_unit_test(kept_at_rate),
        cmocka_unit_test(sessions_kept),   cmocka_unit_test(resampled_evenly),
        cmocka_unit_test(spread),          cmocka_unit_test(trees),
        cmocka_unit_test(mixed),           cmocka_unit_test(one_file_twice),
        cmocka_unit_test(context_error),   cmocka_unit_test(bad_specs),
        cmocka_unit_test(spread_too_wide), cmocka_unit_test(bad_mixes),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
