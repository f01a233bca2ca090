/* rooftrace trace synth: makes a trace, from a file or options that describe the traffic or like
 * another trace, and writes it in rooftrace's own formats. With --like both are told side by side
 * on stderr, or on stdout when the trace goes to a file. */
#include "cli_internal.h"
#include "rooftrace/trace_write.h"
#include "rooftrace/traffic.h"
#include "synth_options_internal.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TRACE_BLOCK_TOKENS 512u /* what a hash id of native JSONL names unless told otherwise */

/* ---- what is to be made ---- */

/* The file is a scenario, whose workload counts, or the section workload.synthetic alone. */
static bool read_file(const char *path, struct rt_workload_spec *w, struct rt_err *err)
{
    struct rt_json *doc;
    int64_t seed = (int64_t)w->seed;

    if (!rt_json_load(path, &doc, err))
        return false;
    struct rt_json_at root = rt_json_root(doc), workload = rt_json_get(&root, "workload");
    bool ok = workload.node == NULL
                  ? rt_synthetic_parse(&root, &w->synthetic, err)
                  : rt_json_need(&workload, "synthetic", err) &&
                        rt_workload_parse(&workload, w, err) &&
                        rt_json_int(&root, "seed", 0, SYNTH_MAX_REQUESTS, &seed, err);
    w->seed = (uint64_t)seed;
    rt_json_free(doc);
    return ok;
}

static bool read_options(const struct rt_options *o, struct rt_workload_spec *w, struct rt_err *err)
{
    struct scenario_builder b = {.o = o, .root = cJSON_CreateObject(), .ok = true};
    struct rt_json *doc = NULL;
    char *text = NULL;
    bool ok = b.root != NULL && synth_options_put(&b, b.root, err);

    if (ok && b.ok)
        text = cJSON_PrintUnformatted(b.root);
    cJSON_Delete(b.root);
    if (!ok || text == NULL)
        return err->code != RT_OK ? false : rt_fail_nomem(err, "options");
    ok = rt_json_parse(text, strlen(text), "options", &doc, err);
    if (ok) {
        struct rt_json_at root = rt_json_root(doc);
        ok = rt_synthetic_parse(&root, &w->synthetic, err);
        rt_json_free(doc);
    }
    cJSON_free(text);
    return ok;
}

static bool read_spec(const struct rt_options *o, struct rt_workload_spec *w, struct rt_err *err)
{
    const char *count = rt_options_given(o, "--requests") ? "--requests" : "--num-prompts";

    if (o->word_count > 1 && synth_options_describe(o))
        return rt_fail(err, RT_EUSAGE,
                       "trace synth: expected a file or options that describe the traffic, not "
                       "both");
    if (o->word_count > 1 ? !read_file(o->words[1], w, err) : !read_options(o, w, err))
        return false;
    w->synthetic.requests = (uint64_t)rt_options_int(o, count, (int64_t)w->synthetic.requests);
    w->seed = (uint64_t)rt_options_int(o, "--seed", (int64_t)w->seed);
    w->block_size = (uint32_t)rt_options_int(o, "--trace-block-size", w->block_size);
    return true;
}

/* ---- columns ---- */

static unsigned class_fields(const struct rt_synth_class *c)
{
    return (unsigned)(c->name != NULL) << RT_TRAFFIC_CLASS |
           (unsigned)(c->priority != 0) << RT_TRAFFIC_PRIORITY |
           (unsigned)!isnan(c->deadline_s) << RT_TRAFFIC_DEADLINE |
           (c->sessions.turns.kind != RT_DIST_ABSENT
                ? 1u << RT_TRAFFIC_SESSION | 1u << RT_TRAFFIC_THINK
                : 0);
}

/* What the requests will have; of a trace that is resampled, what its requests have. */
static unsigned made_fields(const struct rt_synthetic *s, const struct rt_traffic_summary *like)
{
    unsigned fields = class_fields(&s->base);

    if (s->like.path != NULL)
        return like->fields;
    for (uint32_t i = 0; i < s->class_count; i++)
        fields |= class_fields(&s->classes[i]);
    return fields;
}

/* ---- the trace that is imitated ---- */

static bool survey_source(struct rt_source *source, struct rt_traffic *t,
                          const struct rt_trace_writer *to, struct rt_err *err)
{
    const uint32_t block_tokens = rt_source_stats(source)->hash_block_tokens;
    struct rt_request r;
    int64_t not_before;

    for (;;) {
        enum rt_pull answer = rt_source_next(source, INT64_MAX, &r, &not_before, err);
        if (answer != RT_PULL_REQUEST)
            return answer == RT_PULL_END;
        if (t != NULL && !rt_traffic_add(t, &r, block_tokens, err))
            return false;
        if (to != NULL && !rt_trace_writer_put(to, &r, err))
            return false;
    }
}

static bool survey_like(const struct rt_workload_spec *w, struct rt_traffic_summary *out,
                        struct rt_err *err)
{
    struct rt_workload_spec plain;
    struct rt_source *source = NULL;
    struct rt_traffic *t = NULL;

    rt_workload_init(&plain);
    plain.trace = w->synthetic.like.path; /* borrowed */
    memcpy(plain.format, w->synthetic.like.format, sizeof plain.format);
    plain.block_size = w->block_size;
    bool ok = rt_workload_open(&plain, &source, err) && rt_traffic_new(&t, err) &&
              survey_source(source, t, NULL, err) && rt_traffic_result(t, out, err);
    rt_traffic_free(t);
    rt_source_free(source);
    return ok;
}

static void print_pair(FILE *out, const char *what, double a, double b, int decimals)
{
    char change[32] = "";

    if (isnan(a) && isnan(b))
        return;
    if (a != 0 && isfinite(a) && isfinite(b))
        snprintf(change, sizeof change, "%+.2f %%", 100 * (b / a - 1));
    fprintf(out, "%-22s %14.*f %14.*f %10s\n", what, decimals, a, decimals, b, change);
}

static void print_lengths(FILE *out, const char *what, const struct rt_traffic_lengths *a,
                          const struct rt_traffic_lengths *b)
{
    static const char *const names[] = {"mean", "p50", "p90", "p99"};
    const double x[] = {a->mean, (double)a->p50, (double)a->p90, (double)a->p99};
    const double y[] = {b->mean, (double)b->p50, (double)b->p90, (double)b->p99};

    for (int i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s %s", what, names[i]);
        print_pair(out, name, x[i], y[i], i == 0 ? 2 : 0);
    }
}

static void print_both(FILE *out, const struct rt_traffic_summary *a,
                       const struct rt_traffic_summary *b)
{
    fprintf(out, "%-22s %14s %14s %10s\n", "", "trace", "made", "change");
    fprintf(out, "%-22s %14" PRIu64 " %14" PRIu64 "\n", "requests", a->requests, b->requests);
    fprintf(out, "%-22s %14.1f %14.1f\n", "duration (s)", a->duration_s, b->duration_s);
    print_pair(out, "requests per second", a->rate_per_s, b->rate_per_s, 4);
    print_pair(out, "cv of the gaps", a->cv, b->cv, 3);
    print_lengths(out, "prompt tokens", &a->prompt, &b->prompt);
    print_lengths(out, "output tokens", &a->output, &b->output);
    print_pair(out, "rank correlation", a->rank_correlation, b->rank_correlation, 4);
    print_pair(out, "ideal prefix hit ratio", a->hit_ratio, b->hit_ratio, 4);
    if (a->sessions > 0)
        print_pair(out, "requests per session", (double)a->requests / (double)a->sessions,
                   (double)b->requests / (double)b->sessions, 3);
}

static void json_lengths(const char *key, const struct rt_traffic_lengths *l)
{
    printf(", \"%s\": {\"mean\": ", key);
    cli_json_number(stdout, l->mean);
    printf(", \"p50\": %" PRId64 ", \"p90\": %" PRId64 ", \"p99\": %" PRId64 "}", l->p50, l->p90,
           l->p99);
}

static void json_number(const char *key, double value)
{
    printf(", \"%s\": ", key);
    cli_json_number(stdout, value);
}

static void json_summary(const char *key, const struct rt_traffic_summary *s)
{
    printf("\"%s\": {\"requests\": %" PRIu64, key, s->requests);
    json_number("duration_s", s->duration_s);
    json_number("rate_per_s", s->rate_per_s);
    json_number("cv_interarrival", s->cv);
    json_lengths("input", &s->prompt);
    json_lengths("output", &s->output);
    json_number("rank_correlation", s->rank_correlation);
    json_number("ideal_prefix_hit_ratio", s->hit_ratio);
    printf(", \"sessions\": %" PRIu64 "}", s->sessions);
}

/* ---- the command ---- */

static bool choose_kind(const char *path, const struct rt_source *source,
                        enum rt_trace_file_kind *kind, struct rt_err *err)
{
    bool ids = rt_source_stats(source)->hash_block_tokens > 0;

    *kind = ids ? RT_TRACE_JSONL : RT_TRACE_CSV;
    if (strcmp(path, "-") == 0)
        return true;
    if (!rt_trace_file_kind(path, kind))
        return rt_fail(err, RT_EUSAGE,
                       "--output: expected a file that ends in .jsonl or .csv, "
                       "read \"%.200s\"",
                       path);
    return *kind == RT_TRACE_JSONL || !ids ||
           rt_fail(err, RT_EUSAGE,
                   "--output: CSV has no hash_ids, which shared prefixes and sessions need: "
                   "expected a file that ends in .jsonl, read \"%.200s\"",
                   path);
}

struct both { /* the trace imitated, and what was made */
    bool compare;
    struct rt_traffic_summary like, made;
};

static bool make(const struct rt_workload_spec *w, struct rt_source *source, const char *path,
                 struct both *both, struct rt_err *err)
{
    struct rt_trace_writer to = {
        .path = path, .fields = made_fields(&w->synthetic, &both->like), .names = source};
    struct rt_traffic *t = NULL;
    struct cli_out out = {0};

    bool ok = cli_out_spares("--output", path, w->synthetic.like.path, "trace", err) &&
              choose_kind(path, source, &to.kind, err) &&
              (!both->compare || rt_traffic_new(&t, err)) && cli_out_open(&out, path, err);
    to.file = out.file;
    ok = ok && rt_trace_writer_begin(&to, err) && survey_source(source, t, &to, err) &&
         rt_trace_writer_end(&to, err) && (t == NULL || rt_traffic_result(t, &both->made, err));
    ok = cli_out_close(&out, ok, err);
    rt_traffic_free(t);
    return ok;
}

static void tell(const struct rt_options *o, const char *path, const struct rt_source *source,
                 const struct both *both)
{
    const struct rt_source_stats *stats = rt_source_stats(source);
    bool to_stdout = strcmp(path, "-") == 0;

    if (both->compare && rt_options_given(o, "--json") && !to_stdout) {
        fputs("{", stdout);
        json_summary("trace", &both->like);
        fputs(",\n ", stdout);
        json_summary("made", &both->made);
        fputs("}\n", stdout);
    } else if (both->compare) {
        print_both(to_stdout ? stderr : stdout, &both->like, &both->made);
    }
    cli_note("%s: %" PRIu64 " requests", to_stdout ? "standard output" : path, stats->rows);
    if (stats->hash_block_tokens > 0 && stats->hash_block_tokens != TRACE_BLOCK_TOKENS)
        cli_note("its hash ids name %u tokens: replay it with --trace-block-size %u",
                 stats->hash_block_tokens, stats->hash_block_tokens);
}

int cli_trace_synth(const struct rt_options *o)
{
    const char *path = rt_options_text(o, "--output", "-");
    struct rt_workload_spec w;
    struct rt_source *source = NULL;
    struct both both = {.compare = false};
    struct rt_err err = {0};

    rt_workload_init(&w);
    bool ok = read_spec(o, &w, &err);
    both.compare = ok && w.synthetic.like.path != NULL;
    ok = ok && (!both.compare || survey_like(&w, &both.like, &err)) &&
         rt_workload_open(&w, &source, &err) && make(&w, source, path, &both, &err);
    if (ok)
        tell(o, path, source, &both);
    rt_source_free(source);
    rt_workload_release(&w);
    return ok ? cli_finish() : cli_fail(&err);
}
