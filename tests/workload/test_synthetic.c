/* Synthetic traffic: arrivals and lengths against theory, structure of prefixes and sessions,
 * independence of the random streams, and properties of random sections.
 *
 * Bounds are five standard errors of what is measured, from fixed seeds, unless a comment says
 * otherwise. */
#include "synth_fixture.h"

#include "rooftrace/draw.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define LENGTHS "\"prompt_tokens\": 100, \"output_tokens\": 10"

static void fixed_and_at_once(void **state)
{
    (void)state;
    struct trace_rows t = synth_rows("{\"requests\": 131072, \"prompt_tokens\": 1024, "
                                     "\"output_tokens\": 128}",
                                     1);
    rows_expect(&t, 131072);
    for (size_t i = 0; i < t.count; i++) {
        const struct rt_request *r = &t.rows[i];
        assert_true(r->id == i && r->arrival_ns == 0);
        assert_true(r->prompt_tokens == 1024 && r->output_tokens == 128);
        assert_true(r->session == NULL && r->hash_count == 0 && r->class_name == RT_NO_NAME);
        assert_true(r->think_ns == -1 && r->deadline_ns == RT_NO_DEADLINE && r->priority == 0);
    }
    rows_free(&t);
}

/* ---- arrivals ---- */

struct gaps {
    double mean_s, cv;
    struct trace_rows rows;
};

static struct gaps arrivals(const char *kind, size_t n, uint64_t seed)
{
    char section[256];
    struct gaps g = {0};
    double squares = 0;
    snprintf(section, sizeof section, "{\"requests\": %zu, \"arrivals\": {%s}, " LENGTHS "}", n,
             kind);
    g.rows = synth_rows(section, seed);
    rows_expect(&g.rows, n);
    assert_true(g.rows.rows[0].arrival_ns == 0);
    g.mean_s = (double)g.rows.rows[n - 1].arrival_ns / 1e9 / (double)(n - 1);
    for (size_t i = 1; i < n; i++) {
        double gap = (double)(g.rows.rows[i].arrival_ns - g.rows.rows[i - 1].arrival_ns) / 1e9;
        squares += (gap - g.mean_s) * (gap - g.mean_s);
    }
    g.cv = sqrt(squares / (double)(n - 1)) / g.mean_s;
    return g;
}

/* Of renewal processes: mean gap within 5 cv / sqrt(n) of 1 / rate. The cv's own error grows with
 * the fourth moment: the bounds are five times the spread over 40 seeds. */
static void renewal_arrivals(void **state)
{
    static const struct {
        const char *kind;
        double rate, cv, slack;
    } cases[] = {
        {"\"kind\": \"poisson\", \"rate_per_s\": 20", 20, 1, 0.015},
        {"\"kind\": \"gamma\", \"rate_per_s\": 0.5, \"cv\": 2", 0.5, 2, 0.03},
        {"\"kind\": \"gamma\", \"rate_per_s\": 5, \"burstiness\": 4", 5, 0.5, 0.012},
        {"\"kind\": \"gamma\", \"rate_per_s\": 5, \"burstiness\": 0.25", 5, 2, 0.03},
        {"\"kind\": \"weibull\", \"rate_per_s\": 1e4, \"shape\": 0.5", 1e4, 2.2360679775, 0.06},
        {"\"kind\": \"weibull\", \"rate_per_s\": 3, \"shape\": 2", 3, 0.5227232008, 0.01},
        {"\"kind\": \"diurnal\", \"rate_per_s\": 3, \"amplitude\": 0", 3, 1, 0.015},
    };
    const size_t n = 200000;
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        struct gaps g = arrivals(cases[c].kind, n, 7 + c);
        double wrong = g.mean_s * cases[c].rate - 1;
        if (fabs(wrong) > 5 * cases[c].cv / sqrt((double)n) ||
            fabs(g.cv / cases[c].cv - 1) > cases[c].slack)
            fail_msg("%s: mean off by %g, cv %g", cases[c].kind, wrong, g.cv);
        rows_free(&g.rows);
    }
}

static void constant_arrivals_do_not_drift(void **state)
{
    (void)state;
    struct gaps g = arrivals("\"kind\": \"constant\", \"rate_per_s\": 3", 300001, 1);
    for (size_t i = 0; i < g.rows.count; i++)
        assert_true(llabs(g.rows.rows[i].arrival_ns - llrint((double)i * 1e9 / 3)) <= 1);
    rows_free(&g.rows);
}

/* The mean rate over both phases is rate_per_s; in a quiet phase (off_share 0) nothing arrives, so
 * gaps longer than a second, which bursts of 60 a second do not have, are quiet phases: their mean
 * length is off_s and one gap, and their number tells on_s. */
static void on_off_arrivals(void **state)
{
    const size_t n = 400000;
    (void)state;
    struct gaps g =
        arrivals("\"kind\": \"on_off\", \"rate_per_s\": 20, \"on_s\": 10, \"off_s\": 20", n, 3);
    double quiet = 0, sum = 0;
    for (size_t i = 1; i < n; i++) {
        double gap = (double)(g.rows.rows[i].arrival_ns - g.rows.rows[i - 1].arrival_ns) / 1e9;
        if (gap > 1) {
            quiet++;
            sum += gap - 1; /* exponential: what is above 1 s is as long again */
        }
    }
    double circles = (double)n * g.mean_s / 30;
    assert_true(fabs(circles / ((double)n / 600) - 1) < 5 * 0.75 / sqrt(circles));
    assert_true(fabs(sum / quiet / 20 - 1) < 5 / sqrt(quiet));
    assert_true(fabs(quiet / circles / exp(-1.0 / 20) - 1) < 5 / sqrt(circles));
    rows_free(&g.rows);
    /* With off_share 1 there are no phases: Poisson. */
    g = arrivals("\"kind\": \"on_off\", \"rate_per_s\": 20, \"on_s\": 10, \"off_s\": 20, "
                 "\"off_share\": 1",
                 200000, 4);
    assert_true(fabs(g.mean_s * 20 - 1) < 5 / sqrt(200000.0));
    assert_true(fabs(g.cv - 1) < 0.015);
    rows_free(&g.rows);
}

/* Counts in sixths of the period against the integral of the rate. */
static void diurnal_arrivals(void **state)
{
    const double amplitude = 0.9, period = 3600, peak = 900, pi = acos(-1);
    const size_t n = 300000;
    double counts[6] = {0};
    (void)state;
    struct gaps g = arrivals("\"kind\": \"diurnal\", \"rate_per_s\": 10, \"amplitude\": 0.9, "
                             "\"period_s\": 3600, \"peak_s\": 900",
                             n, 5);
    double last = floor((double)g.rows.rows[n - 1].arrival_ns / 1e9 / period) * period, whole = 0;
    for (size_t i = 0; i < n; i++) {
        double s = (double)g.rows.rows[i].arrival_ns / 1e9;
        if (s >= last)
            break;
        whole++;
        counts[(int)(fmod(s, period) / period * 6)]++;
    }
    assert_true(fabs(whole / last / 10 - 1) < 5 / sqrt(whole));
    for (int i = 0; i < 6; i++) {
        double from = 2 * pi * (i * period / 6 - peak) / period;
        double to = from + 2 * pi / 6;
        double share = 1 / 6.0 + amplitude * (sin(to) - sin(from)) / (2 * pi);
        assert_true(fabs(counts[i] - whole * share) < 5 * sqrt(whole * share));
    }
    rows_free(&g.rows);
}

static void rate_scale_divides_times(void **state)
{
    struct rt_workload_spec w;
    struct rt_err err = {0};
    (void)state;
    assert_ok(synth_read("{\"requests\": 1000, \"arrivals\": {\"kind\": \"diurnal\", "
                         "\"rate_per_s\": 10, \"amplitude\": 1, \"period_s\": 20}, " LENGTHS "}",
                         9, &w, &err),
              &err);
    struct trace_rows plain = pull_rows(&w, NULL);
    w.rate_scale = 4;
    w.max_requests = 900;
    struct trace_rows fast = pull_rows(&w, NULL);
    rows_expect(&plain, 1000);
    rows_expect(&fast, 900);
    for (size_t i = 0; i < fast.count; i++)
        assert_true(llabs(4 * fast.rows[i].arrival_ns - plain.rows[i].arrival_ns) <= 8);
    rows_free(&plain);
    rows_free(&fast);
    rt_workload_release(&w);
}

/* ---- lengths ---- */

struct lengths {
    double mean, sd, log_sd;
    int64_t min, max, median;
};

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static struct lengths lengths(const char *dist, size_t n, uint64_t seed)
{
    char section[256];
    struct lengths l = {0};
    int64_t *values = malloc(n * sizeof *values);
    double logs = 0, log_squares = 0;
    snprintf(section, sizeof section,
             "{\"requests\": %zu, \"prompt_tokens\": {%s}, \"output_tokens\": 5}", n, dist);
    struct trace_rows t = synth_rows(section, seed);
    for (size_t i = 0; i < n; i++) {
        values[i] = t.rows[i].prompt_tokens;
        l.mean += (double)values[i] / (double)n;
        logs += log((double)values[i]) / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        double off = (double)values[i] - l.mean, log_off = log((double)values[i]) - logs;
        l.sd += off * off / (double)n;
        log_squares += log_off * log_off / (double)n;
    }
    qsort(values, n, sizeof *values, by_number);
    l.sd = sqrt(l.sd);
    l.log_sd = sqrt(log_squares);
    l.min = values[0];
    l.max = values[n - 1];
    l.median = values[n / 2];
    free(values);
    rows_free(&t);
    return l;
}

static void length_distributions(void **state)
{
    const size_t n = 200000;
    const double root = sqrt((double)n);
    struct lengths l;
    (void)state;
    l = lengths("\"kind\": \"uniform\", \"min\": 820, \"max\": 1024", n, 1);
    assert_true(l.min == 820 && l.max == 1024);
    assert_true(fabs(l.mean - 922) < 5 * 59.2 / root && fabs(l.sd - 59.18) < 0.4);
    l = lengths("\"kind\": \"normal\", \"mean\": 1000, \"sd\": 100", n, 2);
    assert_true(fabs(l.mean - 1000) < 5 * 100 / root && fabs(l.sd - 100) < 5 * 100 / root);
    l = lengths("\"kind\": \"normal\", \"mean\": 1000, \"cv\": 0.2, \"min\": 900, \"max\": 1100", n,
                3);
    assert_true(l.min == 900 && l.max == 1100 && fabs(l.mean - 1000) < 5 * 85 / root);
    l = lengths("\"kind\": \"lognormal\", \"median\": 800, \"sigma\": 0.9", n, 4);
    assert_true(fabs((double)l.median / 800 - 1) < 5 * 1.2533 * 0.9 / root);
    assert_true(fabs(l.log_sd - 0.9) < 5 * 0.64 / root);
    l = lengths("\"kind\": \"lognormal\", \"mean\": 1000, \"cv\": 1.5", n, 5);
    assert_true(fabs(l.mean / 1000 - 1) < 5 * 1.5 / root);
    assert_true(fabs(l.log_sd - sqrt(log(1 + 2.25))) < 0.01);
    l = lengths("\"kind\": \"lognormal\", \"median\": 800, \"sigma\": 2, \"max\": 1000", n, 6);
    assert_true(l.max == 1000 && fabs((double)l.median - 800) < 5 * 4.5);
    l = lengths("\"kind\": \"exponential\", \"mean\": 500", n, 7);
    assert_true(fabs(l.mean - 500) < 5 * 500 / root + 0.01); /* 0.01: rounding, and 1 for 0 */
    assert_true(fabs(l.sd - 500) < 5 * 500 * 1.42 / root && l.min == 1);
    l = lengths("\"kind\": \"zipf\", \"exponent\": 0, \"min\": 11, \"max\": 20", n, 8);
    assert_true(l.min == 11 && l.max == 20 && fabs(l.mean - 15.5) < 5 * 2.9 / root);
    /* exponent 1 over 3..6: weights 12, 6, 4, 3 of 25; mean (36 + 24 + 20 + 18) / 25 */
    l = lengths("\"kind\": \"zipf\", \"exponent\": 1, \"min\": 3, \"max\": 6", n, 9);
    assert_true(fabs(l.mean - 98 / 25.0) < 5 * 1.1 / root);
    /* what is 0 or less becomes 1 */
    l = lengths("\"kind\": \"normal\", \"mean\": 0, \"sd\": 3", n, 10);
    assert_true(l.min == 1 && l.median == 1);
    l = lengths("\"kind\": \"lognormal\", \"mean\": 0, \"sigma\": 1", 100, 11);
    assert_true(l.max == 1);
    l = lengths("\"kind\": \"normal\", \"mean\": 1e12, \"cv\": 1000", 100, 12);
    assert_true(l.max <= RT_MAX_REQUEST_TOKENS && l.min == 1);
}

/* Rows of a trace whole, or its columns apart; a 0 is 1. */
static void empirical_lengths(void **state)
{
    struct trace_dir *dir = *state;
    char section[1024];
    int both[4][4] = {{0}}, apart[4][4] = {{0}};
    const char *path = trace_text(dir, "lengths.csv",
                                  "arrival_s,prompt_tokens,output_tokens\n"
                                  "0,0,0\n1,1,1\n2,2,2\n3,3,3\n");
    snprintf(section, sizeof section, "{\"requests\": 40000, \"lengths\": {\"trace\": \"%s\"}}",
             path);
    struct trace_rows t = synth_rows(section, 1);
    for (size_t i = 0; i < t.count; i++)
        both[t.rows[i].prompt_tokens][t.rows[i].output_tokens]++;
    rows_free(&t);
    snprintf(section, sizeof section,
             "{\"requests\": 40000, \"prompt_tokens\": {\"kind\": \"empirical\", \"trace\": "
             "\"%s\", \"min\": 2}, \"output_tokens\": {\"kind\": \"empirical\", \"trace\": "
             "\"%s\"}}",
             path, path);
    t = synth_rows(section, 1);
    for (size_t i = 0; i < t.count; i++)
        apart[t.rows[i].prompt_tokens][t.rows[i].output_tokens]++;
    rows_free(&t);
    /* both: 1 twice as often; apart: prompts 2, 2, 2, 3 and outputs 1, 1, 2, 3 */
    assert_true(both[1][1] + both[2][2] + both[3][3] == 40000);
    assert_true(abs(both[1][1] - 20000) < 500 && abs(both[2][2] - 10000) < 450);
    assert_true(abs(apart[2][1] - 15000) < 500 && abs(apart[3][3] - 2500) < 250);
    assert_true(apart[1][1] == 0 && abs(apart[3][1] - 5000) < 350);
}

/* ---- prefixes and sessions ---- */

/* 100 tokens of prefix: six whole blocks of 16 are shared, the seventh is the request's own. */
static void prefixes_are_shared(void **state)
{
    double hits[4] = {0}, none = 0;
    (void)state;
    struct trace_rows t =
        synth_rows("{\"requests\": 40000, \"prompt_tokens\": 50, \"output_tokens\": 1, "
                   "\"prefixes\": {\"count\": 4, \"tokens\": 100, \"zipf\": 1, \"share\": 0.75}}",
                   2);
    uint64_t own = 4 * 6;
    for (size_t i = 0; i < t.count; i++) {
        const struct rt_request *r = &t.rows[i];
        uint32_t shared = 0;
        if (r->prompt_tokens == 150) {
            assert_true(r->hash_count == 9 && r->hash_ids[0] % 6 == 0 && r->hash_ids[0] < 24);
            hits[r->hash_ids[0] / 6]++;
            for (; shared < 6; shared++)
                assert_true(r->hash_ids[shared] == r->hash_ids[0] + shared);
        } else {
            assert_true(r->prompt_tokens == 50 && r->hash_count == 3);
            none++;
        }
        for (; shared < r->hash_count; shared++)
            assert_true(r->hash_ids[shared] == own++);
    }
    assert_true(fabs(none - 10000) < 5 * 87);
    for (int k = 0; k < 4; k++) { /* 12, 6, 4, 3 of 25 */
        double want = 30000 * 12.0 / 25 / (k + 1);
        assert_true(fabs(hits[k] - want) < 5 * sqrt(want));
    }
    rows_free(&t);
}

/* Lengths of prefixes are drawn once; names of all prefixes differ. */
static void prefixes_have_their_lengths(void **state)
{
    (void)state;
    struct trace_rows t = synth_rows(
        "{\"requests\": 2000, \"prompt_tokens\": 1, \"output_tokens\": 1, \"prefixes\": "
        "{\"count\": 9, \"tokens\": {\"kind\": \"uniform\", \"min\": 16, \"max\": 4000}}}",
        3);
    int64_t tokens[9] = {0};
    uint64_t first[9];
    size_t found = 0;
    for (size_t i = 0; i < t.count; i++) {
        const struct rt_request *r = &t.rows[i];
        size_t k = 0;
        while (k < found && first[k] != r->hash_ids[0])
            k++;
        if (k == found) {
            assert_true(found < 9);
            first[found] = r->hash_ids[0];
            tokens[found++] = r->prompt_tokens;
        }
        assert_true(tokens[k] == r->prompt_tokens);
        for (uint32_t j = 1; j < r->hash_count && j < tokens[k] / 16; j++)
            assert_true(r->hash_ids[j] == r->hash_ids[0] + j);
    }
    assert_true(found == 9);
    rows_free(&t);
}

/* Sessions of the bench: exactly four turns, every turn carries what was said before. */
static void sessions_grow(void **state)
{
    (void)state;
    struct trace_rows t = synth_rows(
        "{\"requests\": 4000, \"arrivals\": {\"kind\": \"poisson\", \"rate_per_s\": 50}, "
        "\"prompt_tokens\": 100, \"output_tokens\": 60, \"prefixes\": {\"count\": 16, \"tokens\": "
        "512}, \"sessions\": {\"turns\": 4, \"turn_tokens\": 40, \"think_s\": 2.5, "
        "\"answer_s_per_token\": 0.1}}",
        4);
    const struct rt_request **last = calloc(1000, sizeof *last);
    int *turns = calloc(1000, sizeof *turns);
    rows_expect(&t, 4000);
    for (size_t i = 0; i < t.count; i++) {
        const struct rt_request *r = &t.rows[i];
        unsigned long session = strtoul(r->session + 1, NULL, 10);
        assert_true(r->session[0] == 's' && session < 1000);
        const struct rt_request *before = last[session];
        int turn = turns[session]++;
        assert_true(r->prompt_tokens == 612 + turn * 100);
        assert_true(r->named_tokens == r->prompt_tokens + 60); /* the answer has names, too */
        assert_true(r->hash_count == (uint32_t)((r->named_tokens + 15) / 16));
        assert_true(r->think_ns == (turn == 0 ? -1 : 2500000000));
        if (turn > 0) {
            assert_true(r->arrival_ns - before->arrival_ns == 8500000000);
            assert_memory_equal(r->hash_ids, before->hash_ids,
                                before->hash_count * sizeof(uint64_t));
        }
        last[session] = r;
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(turns[i], 4);
    free(last);
    free(turns);
    rows_free(&t);
}

static void sessions_end_at_their_limit(void **state)
{
    (void)state;
    struct trace_rows t = synth_rows("{\"requests\": 999, \"prompt_tokens\": 100, "
                                     "\"output_tokens\": 50, \"sessions\": {\"turns\": 10000, "
                                     "\"max_prompt_tokens\": 400}}",
                                     4);
    rows_expect(&t, 999); /* 100, 250, 400, then the next session */
    for (size_t i = 0; i < t.count; i++)
        assert_true(t.rows[i].prompt_tokens == 100 + 150 * (int64_t)(i % 3));
    rows_free(&t);
    t = synth_rows("{\"requests\": 5, \"prompt_tokens\": 500, \"output_tokens\": 50, "
                   "\"sessions\": {\"turns\": 2, \"max_prompt_tokens\": 400}}",
                   4); /* the first turn is as drawn */
    for (size_t i = 0; i < t.count; i++)
        assert_true(t.rows[i].prompt_tokens == 500);
    rows_free(&t);
}

/* ---- classes ---- */

static void classes_have_shares_and_lengths(void **state)
{
    struct rt_workload_spec w;
    struct rt_source *s;
    struct rt_err err = {0};
    struct rt_request r;
    int64_t later;
    double counts[4] = {0};
    (void)state;
    assert_ok(synth_read("{\"requests\": 60000, \"prompt_tokens\": 100, \"output_tokens\": 7, "
                         "\"classes\": [{\"name\": \"chat\", \"share\": 3}, {\"name\": \"code\", "
                         "\"share\": 2, \"prompt_tokens\": 900, \"priority\": -4}, {\"name\": "
                         "\"batch\", \"output_tokens\": 99, \"deadline_s\": 1.5, \"sessions\": "
                         "{\"turns\": 1}}]}",
                         5, &w, &err),
              &err);
    assert_ok(rt_workload_open(&w, &s, &err), &err);
    while (rt_source_next(s, INT64_MAX, &r, &later, &err) == RT_PULL_REQUEST) {
        const char *name = rt_source_name(s, r.class_name);
        assert_true(r.class_name >= 1 && r.class_name <= 3);
        counts[r.class_name]++;
        assert_string_equal(name, r.class_name == 1   ? "chat"
                                  : r.class_name == 2 ? "code"
                                                      : "batch");
        assert_true(r.prompt_tokens == (r.class_name == 2 ? 900 : 100));
        assert_true(r.output_tokens == (r.class_name == 3 ? 99 : 7));
        assert_true(r.priority == (r.class_name == 2 ? -4 : 0));
        assert_true(r.deadline_ns == (r.class_name == 3 ? 1500000000 : RT_NO_DEADLINE));
        assert_true((r.session != NULL) == (r.class_name == 3));
    }
    assert_string_equal(rt_source_name(s, RT_NO_NAME), "");
    for (int i = 1; i <= 3; i++)
        assert_true(fabs(counts[i] - 10000.0 * (4 - i)) < 5 * 125);
    rt_source_free(s);
    rt_workload_release(&w);
}

/* One purpose changed: every other stays as it was. */
static void streams_are_apart(void **state)
{
    static const char *const sections[] = {
        "{\"requests\": 3000, \"arrivals\": {\"kind\": \"poisson\", \"rate_per_s\": 9}, "
        "\"prompt_tokens\": {\"kind\": \"exponential\", \"mean\": 100}, \"output_tokens\": "
        "{\"kind\": \"exponential\", \"mean\": 50}}",
        "{\"requests\": 3000, \"arrivals\": {\"kind\": \"poisson\", \"rate_per_s\": 9}, "
        "\"prompt_tokens\": {\"kind\": \"exponential\", \"mean\": 100}, \"output_tokens\": "
        "{\"kind\": \"zipf\", \"exponent\": 1, \"min\": 1, \"max\": 1000}}",
        "{\"requests\": 3000, \"arrivals\": {\"kind\": \"gamma\", \"rate_per_s\": 9, \"cv\": 3}, "
        "\"prompt_tokens\": {\"kind\": \"exponential\", \"mean\": 100}, \"output_tokens\": "
        "{\"kind\": \"exponential\", \"mean\": 50}}",
        "{\"requests\": 3000, \"arrivals\": {\"kind\": \"poisson\", \"rate_per_s\": 9}, "
        "\"prompt_tokens\": {\"kind\": \"exponential\", \"mean\": 100}, \"output_tokens\": "
        "{\"kind\": \"exponential\", \"mean\": 50}, \"prefixes\": {\"count\": 7, \"tokens\": "
        "1000}}",
    };
    struct trace_rows t[4];
    (void)state;
    for (int i = 0; i < 4; i++)
        t[i] = synth_rows(sections[i], 6);
    for (size_t i = 0; i < 3000; i++) {
        assert_true(t[1].rows[i].arrival_ns == t[0].rows[i].arrival_ns);
        assert_true(t[1].rows[i].prompt_tokens == t[0].rows[i].prompt_tokens);
        assert_true(t[2].rows[i].prompt_tokens == t[0].rows[i].prompt_tokens);
        assert_true(t[2].rows[i].output_tokens == t[0].rows[i].output_tokens);
        assert_true(t[3].rows[i].prompt_tokens == t[0].rows[i].prompt_tokens + 1000);
        assert_true(t[3].rows[i].output_tokens == t[0].rows[i].output_tokens);
        assert_true(t[3].rows[i].arrival_ns == t[0].rows[i].arrival_ns);
    }
    for (int i = 0; i < 4; i++)
        rows_free(&t[i]);
}

/* ---- properties of random sections ---- */

static void random_section(struct rt_rng *r, char *out, size_t size)
{
    static const char *const kinds[] = {
        "",
        "\"arrivals\": {\"kind\": \"poisson\", \"rate_per_s\": 5},",
        "\"arrivals\": {\"kind\": \"constant\", \"rate_per_s\": 2},",
        "\"arrivals\": {\"kind\": \"gamma\", \"rate_per_s\": 9, \"cv\": 4},",
        "\"arrivals\": {\"kind\": \"on_off\", \"rate_per_s\": 9, \"on_s\": 1, \"off_s\": 5},",
        ("\"arrivals\": {\"kind\": \"diurnal\", \"rate_per_s\": 9, \"amplitude\": 1, "
         "\"period_s\": 60},"),
    };
    static const char *const sessions[] = {
        "", "\"sessions\": {\"turns\": 3},",
        ("\"sessions\": {\"turns\": {\"kind\": \"uniform\", \"min\": 1, \"max\": 9}, \"think_s\": "
         "{\"kind\": \"exponential\", \"mean\": 3}},"),
        ("\"sessions\": {\"turns\": {\"kind\": \"exponential\", \"mean\": 5}, \"turn_tokens\": 3, "
         "\"think_s\": 0.5, \"max_prompt_tokens\": 300, \"answer_s_per_token\": 0.01},")};
    static const char *const prefixes[] = {
        "", "\"prefixes\": {\"count\": 3, \"tokens\": 33},",
        ("\"prefixes\": {\"count\": 50, \"tokens\": {\"kind\": \"exponential\", \"mean\": 90}, "
         "\"zipf\": 1.2, \"share\": 0.5},")};
    static const char *const classes[] = {
        "", ("\"classes\": [{\"name\": \"a\", \"share\": 9}, {\"name\": \"b\", \"prompt_tokens\": "
             "900, \"sessions\": {\"turns\": 2, \"think_s\": 1}}],")};
    snprintf(out, size,
             "{%s %s %s %s \"requests\": %d, \"prompt_tokens\": {\"kind\": \"exponential\", "
             "\"mean\": 60}, \"output_tokens\": 7}",
             kinds[rt_rng_below(r, 6)], sessions[rt_rng_below(r, 4)], prefixes[rt_rng_below(r, 3)],
             classes[rt_rng_below(r, 2)], (int)rt_rng_below(r, 400) + 1);
}

/* The same rows, asked for a second at a time: never early, and LATER names the next arrival. */
static void pull_in_steps(const struct rt_workload_spec *w, const struct trace_rows *want)
{
    struct rt_source *s;
    struct rt_err err = {0};
    struct rt_request r;
    int64_t now = 0, later = 0;
    size_t i = 0;
    assert_ok(rt_workload_open(w, &s, &err), &err);
    for (;;) {
        enum rt_pull answer = rt_source_next(s, now, &r, &later, &err);
        if (answer == RT_PULL_END)
            break;
        if (answer == RT_PULL_LATER) {
            assert_true(later > now && later == want->rows[i].arrival_ns);
            now = later;
            continue;
        }
        assert_true(answer == RT_PULL_REQUEST && r.arrival_ns == want->rows[i].arrival_ns);
        assert_true(r.id == i && r.prompt_tokens == want->rows[i].prompt_tokens);
        i++;
    }
    assert_true(i == want->count);
    rt_source_free(s);
}

static void check_properties(const char *section, const struct trace_rows *t)
{
    for (size_t i = 0; i < t->count; i++) {
        const struct rt_request *r = &t->rows[i];
        const struct rt_request *before = i > 0 ? r - 1 : r;
        if (r->id != i || r->arrival_ns < before->arrival_ns || r->prompt_tokens < 1 ||
            r->output_tokens != 7)
            fail_msg("%s: row %zu", section, i);
        int64_t named = r->session != NULL ? r->prompt_tokens + 7 + 15 : r->prompt_tokens;
        assert_true(r->hash_count <= (uint32_t)(named / 16));
        for (size_t k = i; k-- > 0 && r->session != NULL;) {
            const struct rt_request *other = &t->rows[k];
            if (other->session == NULL || strcmp(other->session, r->session) != 0)
                continue;
            assert_true(r->prompt_tokens > other->prompt_tokens + other->output_tokens);
            assert_true(r->arrival_ns >= other->arrival_ns + r->think_ns);
            assert_memory_equal(r->hash_ids, other->hash_ids, other->hash_count * sizeof(uint64_t));
            break;
        }
        /* Who shares a block shares all before it, and is of the same session or prefix. */
        for (size_t k = i; k-- > 0 && i - k < 50;) {
            const struct rt_request *other = &t->rows[k];
            uint32_t both = r->hash_count < other->hash_count ? r->hash_count : other->hash_count;
            for (uint32_t j = 1; j < both; j++)
                assert_true(r->hash_ids[j] != other->hash_ids[j] ||
                            r->hash_ids[j - 1] == other->hash_ids[j - 1]);
        }
    }
}

static void random_sections(void **state)
{
    struct rt_rng r;
    (void)state;
    rt_rng_init(&r, 20260, RT_RNG_TOOLS, 0);
    for (int n = 0; n < 300; n++) {
        char section[2048];
        struct rt_workload_spec w;
        struct rt_err err = {0};
        random_section(&r, section, sizeof section);
        assert_ok(synth_read(section, rt_rng_u64(&r), &w, &err), &err);
        struct rt_source_stats stats;
        struct trace_rows t = pull_rows(&w, &stats);
        rows_expect(&t, w.synthetic.requests);
        assert_true(stats.rows == t.count);
        check_properties(section, &t);
        pull_in_steps(&w, &t);
        rows_free(&t);
        rt_workload_release(&w);
    }
}

/* ---- errors ---- */

static void fails(const char *section, enum rt_code code, const char *text)
{
    struct rt_workload_spec w;
    struct rt_err err = {0};
    if (synth_read(section, 1, &w, &err)) {
        struct trace_rows t = pull_rows(&w, NULL);
        assert_true(t.failed);
        err = t.err;
        rows_free(&t);
    }
    rt_workload_release(&w);
    if (err.code != code || strstr(err.msg, text) == NULL)
        fail_msg("%s: %d \"%s\" lacks \"%s\"", section, (int)err.code, err.msg, text);
}

static void errors(void **state)
{
    struct trace_dir *dir = *state;
    char section[1024];
    fails("{\"requests\": 1, " LENGTHS ", \"arivals\": {}}", RT_ECONFIG,
          "unknown key \"arivals\", did you mean \"arrivals\"");
    fails("{\"requests\": 1, \"prompt_tokens\": {\"kind\": \"lognormal\", \"mean\": 5}, "
          "\"output_tokens\": 5}",
          RT_ECONFIG, "$.prompt_tokens: expected one of sigma or cv for kind lognormal, read none");
    fails("{\"requests\": 1, \"prompt_tokens\": {\"kind\": \"lognormal\", \"mean\": 5, \"median\": "
          "4, \"cv\": 1}, \"output_tokens\": 5}",
          RT_ECONFIG, "expected one of mean or median for kind lognormal, read both");
    fails("{\"requests\": 1, \"prompt_tokens\": {\"kind\": \"fixed\", \"value\": 5.5}, "
          "\"output_tokens\": 5}",
          RT_ECONFIG, "expected a whole number, read 5.5");
    fails("{\"requests\": 1, \"prompt_tokens\": 5, \"output_tokens\": {\"kind\": \"zipf\", "
          "\"min\": 1, \"max\": 4}}",
          RT_ECONFIG, "$.output_tokens: expected the key exponent, which kind zipf needs");
    fails("{\"requests\": 1, \"lengths\": {\"trace\": \"missing.csv\"}}", RT_EIO, "missing.csv");
    fails("{\"requests\": 1, \"like\": {\"trace\": \"missing.csv\"}}", RT_EIO, "missing.csv");
    fails("{\"requests\": 4, \"arrivals\": {\"kind\": \"constant\", \"rate_per_s\": 1e-9}, " LENGTHS
          ", \"sessions\": {\"turns\": 2, \"think_s\": 9e9}}",
          RT_ECONFIG, "beyond 292 years");
    fails(
        "{\"requests\": 30, \"arrivals\": {\"kind\": \"constant\", \"rate_per_s\": 1e-9}, " LENGTHS
        "}",
        RT_ECONFIG, "beyond 292 years");
    fails("{\"requests\": 1, \"prompt_tokens\": 1099511627776, \"output_tokens\": 1, "
          "\"prefixes\": {\"count\": 1, \"tokens\": 16}}",
          RT_ECONFIG, "blocks of 16 tokens, more than 16777216");
    fails("{\"requests\": 9000000, \"prompt_tokens\": 1099511627776, \"output_tokens\": 1}",
          RT_ECONFIG, "add up beyond 2^63");
    const char *empty = trace_text(dir, "empty.csv", "arrival_s,prompt_tokens,output_tokens\n");
    snprintf(section, sizeof section, "{\"requests\": 1, \"lengths\": {\"trace\": \"%s\"}}", empty);
    fails(section, RT_ETRACE, "expected requests, read none");
    snprintf(section, sizeof section, "{\"requests\": 1, \"like\": {\"trace\": \"%s\"}}", empty);
    fails(section, RT_ETRACE, "expected requests, read none");
    const char *bad = trace_text(dir, "bad.csv", "arrival_s,prompt_tokens,output_tokens\n1,x,1\n");
    snprintf(section, sizeof section, "{\"requests\": 1, \"like\": {\"trace\": \"%s\"}}", bad);
    fails(section, RT_ETRACE, "bad.csv:2:3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixed_and_at_once),
        cmocka_unit_test(renewal_arrivals),
        cmocka_unit_test(constant_arrivals_do_not_drift),
        cmocka_unit_test(on_off_arrivals),
        cmocka_unit_test(diurnal_arrivals),
        cmocka_unit_test(rate_scale_divides_times),
        cmocka_unit_test(length_distributions),
        cmocka_unit_test(empirical_lengths),
        cmocka_unit_test(prefixes_are_shared),
        cmocka_unit_test(prefixes_have_their_lengths),
        cmocka_unit_test(sessions_grow),
        cmocka_unit_test(sessions_end_at_their_limit),
        cmocka_unit_test(classes_have_shares_and_lengths),
        cmocka_unit_test(streams_are_apart),
        cmocka_unit_test(random_sections),
        cmocka_unit_test(errors),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
