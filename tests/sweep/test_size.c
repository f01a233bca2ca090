/* Sizing against exhaustive enumeration on random small scenarios (seeds printed), and its edges:
 * early stops that lose nothing, infeasible candidates, too few requests, rates, threads, seeds. */
#include "rooftrace/finished.h"
#include "rooftrace/fleet_spec.h"
#include "sweep_fixture.h"

#include "rooftrace/interval.h"
#include "rooftrace/query.h"
#include "rooftrace/rng.h"
#include "rooftrace/size.h"

#include <math.h>

#define MOST 8 /* replicas */

/* ---- plans ---- */

static void parse_plan(const struct fixture *f, const char *base, const char *plan,
                       struct rt_size_plan *out)
{
    char name[128];
    struct rt_json *scenario, *doc;
    struct rt_err err = {0};

    snprintf(name, sizeof name, "%s/base.json", f->folder);
    assert_ok(rt_json_parse(base, strlen(base), name, &scenario, &err), &err);
    assert_ok(rt_json_parse(plan, strlen(plan), name, &doc, &err), &err);
    struct rt_json_at root = rt_json_root(doc);
    assert_ok(rt_size_plan_parse(&root, scenario, f->catalog, out, &err), &err);
    rt_json_free(doc);
    rt_json_free(scenario);
}

static struct rt_size *run_size(const struct rt_size_plan *plan, unsigned jobs,
                                struct rt_store *store)
{
    struct rt_size_options o = {.jobs = jobs, .store = store};
    struct rt_size_progress p;
    struct rt_size *s;
    struct rt_err err = {0};
    enum rt_size_step step;

    assert_ok(rt_size_new(plan, &o, &s, &err), &err);
    while ((step = rt_size_step(s, -1, &p, &err)) == RT_SIZE_MORE)
        ;
    if (step == RT_SIZE_FAILED)
        fail_msg("%s", err.msg);
    assert_int_equal(p.open, 0);
    return s;
}

/* ---- exhaustive enumeration ---- */

struct values { /* of one objective: TTFT or TPOT of every request, in seconds and by block */
    double *of;
    unsigned *block;
    size_t count;
    bool tpot;
};

static bool collect(void *user, const struct rt_finished *rows, size_t count)
{
    struct values *all = user;

    for (size_t i = 0; i < count; i++)
        for (unsigned k = 0; k < 2; k++) {
            const struct rt_finished *r = &rows[i];
            struct values *v = &all[k];
            bool ok = r->status == RT_STATUS_OK;
            if (k == 1 && ok && r->output_tokens == 1)
                continue;
            v->block[v->count] = (unsigned)(r->id * 32 / 600);
            v->of[v->count++] = !ok ? HUGE_VAL
                                : k ? (double)(r->finish_ns - r->first_token_ns) /
                                          (double)(r->output_tokens - 1) / 1e9
                                    : (double)(r->first_token_ns - r->arrival_ns) / 1e9;
        }
    return true;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static uint32_t bucket(double seconds, double ticks)
{
    return rt_hist_bucket(seconds * ticks < 4e18 ? (int64_t)nearbyint(seconds * ticks) : INT64_MAX);
}

/* The definition, from sorted values. */
static enum rt_verdict judge(const struct values *v, const struct rt_objective *o,
                             const struct rt_size_plan *plan)
{
    double limit = isnan(o->limit.ttft_s) ? o->limit.tpot_s : o->limit.ttft_s;
    double ticks = isnan(o->limit.ttft_s) ? 1e12 : 1e9;
    double *sorted = malloc(v->count * sizeof sorted[0]);
    struct rt_block blocks[32] = {{0, 0}};
    double place = o->share * (double)(v->count - 1);
    size_t low = (size_t)place, high = low + 1 < v->count ? low + 1 : low;
    enum rt_verdict verdict;

    assert_non_null(sorted);
    memcpy(sorted, v->of, v->count * sizeof sorted[0]);
    qsort(sorted, v->count, sizeof sorted[0], ascending);
    if (plan->point) {
        double value = sorted[low] == sorted[high]
                           ? sorted[low]
                           : sorted[low] + (sorted[high] - sorted[low]) * (place - (double)low);
        verdict = value <= limit ? RT_VERDICT_PASS : RT_VERDICT_FAIL;
    } else {
        /* ranks whose buckets the histogram's quantile lies between: the same side of both */
        uint32_t at = bucket(sorted[low], ticks);
        for (size_t i = 0; i < v->count; i++) {
            blocks[v->block[i]].requests++;
            blocks[v->block[i]].above += bucket(v->of[i], ticks) > at;
        }
        struct rt_rank_bounds r = rt_quantile_ranks(
            v->count, rt_effective_size(blocks, 32, plan->confidence), o->share, plan->confidence);
        verdict = r.high <= v->count && sorted[r.high - 1] <= limit ? RT_VERDICT_PASS
                  : r.low > 0 && sorted[r.low - 1] > limit          ? RT_VERDICT_FAIL
                                                                    : RT_VERDICT_UNDECIDED;
    }
    free(sorted);
    return verdict;
}

static enum rt_verdict enumerate_one(const struct rt_size_plan *plan, const struct rt_candidate *c,
                                     int64_t replicas)
{
    struct rt_scenario s = c->scenario;
    struct rt_pool_spec pool = s.fleet.pools[0];
    struct values v[2];
    struct rt_trial_options o = {.watch = collect, .user = v};
    struct rt_trial *t;
    struct rt_trial_progress p;
    struct rt_err err = {0};
    enum rt_verdict all = RT_VERDICT_PASS;

    for (unsigned k = 0; k < 2; k++)
        v[k] = (struct values){.of = malloc(600 * sizeof(double)),
                               .block = malloc(600 * sizeof(unsigned))};
    pool.replicas = replicas;
    s.fleet.pools = &pool;
    assert_ok(rt_trial_new(&s, &o, &t, &err), &err);
    while (rt_trial_step(t, &p, &err) == RT_TRIAL_MORE)
        ;
    rt_trial_free(t);
    for (unsigned i = 0; i < plan->objective_count; i++) {
        enum rt_verdict one =
            judge(&v[isnan(plan->objectives[i].limit.ttft_s)], &plan->objectives[i], plan);
        if (one == RT_VERDICT_FAIL || all == RT_VERDICT_PASS)
            all = one == RT_VERDICT_FAIL || all != RT_VERDICT_FAIL ? one : all;
    }
    for (unsigned k = 0; k < 2; k++) {
        free(v[k].of);
        free(v[k].block);
    }
    return all;
}

/* Fewest replicas from which on everything holds; 0: none. */
static int64_t enumerate_all(const struct rt_size_plan *plan, const struct rt_candidate *c)
{
    int64_t fewest = 0;

    for (int64_t r = MOST; r >= 1 && enumerate_one(plan, c, r) == RT_VERDICT_PASS; r--)
        fewest = r;
    return fewest;
}

/* ---- random scenarios ---- */

/* 600 requests; bursts of them at times. */
static void random_trace(const struct fixture *f, struct rt_rng *rng)
{
    FILE *out = fopen(f->trace, "w");
    double at = 0, gap = 0.02 + 0.1 * rt_rng_unit(rng);

    assert_non_null(out);
    fputs("arrival_s,prompt_tokens,output_tokens\n", out);
    for (int i = 0; i < 600; i++) {
        at += gap * rt_rng_gamma(rng, 0.6) / 0.6;
        fprintf(out, "%.6f,%d,%d\n", at, 20 + (int)rt_rng_below(rng, 400),
                1 + (int)rt_rng_below(rng, 60));
    }
    assert_int_equal(fclose(out), 0);
}

static void random_plan(const struct fixture *f, struct rt_rng *rng, int number,
                        struct rt_size_plan *out)
{
    char base[1024], plan[2048];

    snprintf(base, sizeof base,
             "{\"workload\":{\"trace\":\"trace.csv\"},\"model\":\"llama-3.1-8b\","
             "\"cost\":{\"kind\":\"linear\",\"coefficients_s\":[%.4f,%.2e,%.2e,1e-9,1e-6]},"
             "\"pools\":[{\"name\":\"p\",\"engine\":{\"num_gpu_blocks\":%d,\"block_size\":16}}],"
             "\"seed\":%d}",
             0.004 + 0.008 * rt_rng_unit(rng), 2e-5 + 1e-4 * rt_rng_unit(rng),
             1e-8 + 4e-8 * rt_rng_unit(rng), 60 + (int)rt_rng_below(rng, 400), number);
    snprintf(plan, sizeof plan,
             "{\"objectives\":[\"p90_ttft:%dms\",\"p95_tpot:%dms\"],\"replicas\":[1,%d],"
             "\"gpus\":[\"h100-sxm\",\"l40s\"],\"settings\":["
             "{\"pool\":{\"engine\":{\"max_num_seqs\":%d,\"max_num_batched_tokens\":512}}},"
             "{\"name\":\"large\",\"pool\":{\"engine\":{\"max_num_seqs\":64,"
             "\"max_num_batched_tokens\":2048}}}],"
             "\"prices_usd_per_h\":{\"h100-sxm\":%.2f,\"l40s\":%.2f},"
             "\"decide\":\"%s\",\"confidence\":0.95}",
             60 + (int)rt_rng_below(rng, 400), 12 + (int)rt_rng_below(rng, 30), MOST,
             2 + (int)rt_rng_below(rng, 12), 1 + 4 * rt_rng_unit(rng), 1 + 2 * rt_rng_unit(rng),
             number % 2 ? "interval" : "point");
    parse_plan(f, base, plan, out);
}

static void equals_enumeration(void **state)
{
    const struct fixture *f = *state;
    unsigned answers = 0, edges = 0;

    for (int number = 1; number <= 20; number++) {
        struct rt_size_plan plan;
        struct rt_rng rng;
        double cheapest = HUGE_VAL;
        int chosen = -1;
        rt_rng_init(&rng, 600, RT_RNG_TOOLS, (uint64_t)number);
        random_trace(f, &rng);
        random_plan(f, &rng, number, &plan);
        struct rt_size *s = run_size(&plan, 2, NULL);
        const struct rt_size_result *r = rt_size_result(s);
        assert_int_equal(r->count, 4);
        for (unsigned i = 0; i < r->count; i++) {
            const struct rt_candidate *c = &plan.candidates[i];
            int64_t want = enumerate_all(&plan, c);
            int64_t got = r->rows[i].best >= 0 ? r->rows[i].trials[r->rows[i].best].replicas : 0;
            printf("scenario %d, %s: %lld, enumerated %lld\n", number, c->name, (long long)got,
                   (long long)want);
            assert_int_equal(got, want);
            assert_int_equal(r->rows[i].verdict == RT_VERDICT_PASS, want > 0);
            edges += want > 1;
            if (want > 0 && (double)want * c->usd_per_h < cheapest) {
                cheapest = (double)want * c->usd_per_h;
                chosen = (int)i;
            }
        }
        assert_int_equal(r->chosen, chosen);
        answers += chosen >= 0;
        rt_size_free(s);
        rt_size_plan_release(&plan);
    }
    assert_true(answers >= 10 && edges >= 20); /* the scenarios ask something */
}

/* ---- edges ---- */

static const char base[] =
    "{\"workload\":{\"trace\":\"trace.csv\"},\"model\":\"llama-3.1-8b\","
    "\"cost\":{\"kind\":\"linear\",\"coefficients_s\":[0.02,1e-4,1e-8,1e-9,1e-6]},"
    "\"pools\":[{\"name\":\"p\",\"gpu\":\"h100-sxm\",\"engine\":{\"num_gpu_blocks\":500}}]}";

/* What is stopped early would have failed in full, and what is not stopped is not cut. */
static void early_stops_lose_nothing(void **state)
{
    struct rt_size_plan plan;
    unsigned stopped = 0;

    fixture_trace(((struct fixture *)*state)->trace);
    for (int ms = 40; ms <= 640; ms *= 2)
        for (int way = 0; way < 2; way++) {
            char text[256];
            snprintf(text, sizeof text,
                     "{\"objectives\":[\"p90_ttft:%dms\"],\"replicas\":[1,6],\"decide\":\"%s\"}",
                     ms, way ? "interval" : "point");
            parse_plan(*state, base, text, &plan);
            struct rt_size *s = run_size(&plan, 2, NULL);
            const struct rt_size_row *row = &rt_size_result(s)->rows[0];
            for (unsigned t = 0; t < row->trial_count; t++) {
                const struct rt_size_trial *trial = &row->trials[t];
                assert_int_equal(trial->verdict,
                                 enumerate_one(&plan, &plan.candidates[0], trial->replicas));
                stopped += trial->stopped;
                assert_true(trial->stopped || trial->checks[0].requests == 600);
            }
            rt_size_free(s);
            rt_size_plan_release(&plan);
        }
    assert_true(stopped >= 3);
}

static bool keep_row(void *user, int columns, const char *const *names, const char *const *values)
{
    (void)names;
    assert_int_equal(columns, 1);
    snprintf(user, 256, "%s", values[0]);
    return true;
}

static void infeasible_keeps_its_reason(void **state)
{
    static const char roofline[] =
        "{\"workload\":{\"trace\":\"trace.csv\"},\"model\":\"llama-3.1-70b\","
        "\"pools\":[{\"gpu\":\"l40s\"}]}";
    struct fixture *f = *state;
    struct rt_size_plan plan;
    struct rt_store *store;
    struct rt_db *db;
    struct rt_err err = {0};
    char rows[256];

    fixture_trace(f->trace);
    parse_plan(f, roofline,
               "{\"objectives\":[\"p90_e2e:100s\"],\"tensor_parallel\":[1,3,4],"
               "\"replicas\":[1,2],\"prices_usd_per_h\":{\"l40s\":1.25}}",
               &plan);
    assert_ok(rt_store_open(f->db, &store, &err), &err);
    struct rt_size *s = run_size(&plan, 2, store);
    const struct rt_size_result *r = rt_size_result(s);
    assert_int_equal(r->rows[0].verdict, RT_VERDICT_INFEASIBLE);
    assert_non_null(strstr(r->rows[0].reason, "does not fit on l40s"));
    assert_int_equal(r->rows[1].verdict, RT_VERDICT_INFEASIBLE); /* 64 heads by 3 */
    assert_non_null(strstr(r->rows[1].reason, "3"));
    assert_int_equal(r->rows[2].verdict, RT_VERDICT_PASS);
    assert_int_equal(r->chosen, 2);
    assert_true(r->rows[2].trials[r->rows[2].best].usd_per_h == 1.25 * 4);
    rt_size_free(s);
    rt_store_close(store);
    rt_size_plan_release(&plan);
    assert_ok(rt_db_open(f->db, &db, &err), &err);
    assert_ok(rt_db_select(db,
                           "SELECT group_concat(verdict || ' ' || ifnull(replicas, '-')) FROM "
                           "(SELECT * FROM size_candidate ORDER BY tensor_parallel)",
                           keep_row, rows, &err),
              &err);
    assert_string_equal(rows, "infeasible -,infeasible -,pass 1");
    rt_db_close(db);
}

/* 600 requests have no bound on their P99.9: never a pass, the estimate decides and says so. */
static void too_few_requests(void **state)
{
    struct rt_size_plan plan;

    fixture_trace(((struct fixture *)*state)->trace);
    parse_plan(*state, base, "{\"objectives\":[\"p99.9_ttft:10s\"],\"replicas\":[1,4]}", &plan);
    struct rt_size *s = run_size(&plan, 1, NULL);
    const struct rt_size_result *r = rt_size_result(s);
    assert_int_equal(r->least, 4603);
    assert_int_equal(r->rows[0].verdict, RT_VERDICT_UNDECIDED);
    assert_int_equal(r->chosen, 0);
    assert_true(isinf(r->rows[0].trials[r->rows[0].best].checks[0].high));
    rt_size_free(s);
    plan.point = true;
    s = run_size(&plan, 1, NULL);
    assert_int_equal(rt_size_result(s)->least, 0);
    assert_int_equal(rt_size_result(s)->rows[0].verdict, RT_VERDICT_PASS);
    rt_size_free(s);
    rt_size_plan_release(&plan);
}

/* The rate found holds, one above it does not, and they are as near as was asked. */
static void highest_rate(void **state)
{
    struct rt_size_plan plan;

    fixture_trace(((struct fixture *)*state)->trace);
    parse_plan(*state, base,
               "{\"objectives\":[\"p95_ttft:200ms\"],\"max_rate\":true,\"rate_precision\":0.02}",
               &plan);
    struct rt_size *s = run_size(&plan, 2, NULL);
    const struct rt_size_row *row = &rt_size_result(s)->rows[0];
    const struct rt_size_trial *best = &row->trials[row->best], *next = &row->trials[row->next];
    assert_int_equal(best->verdict, RT_VERDICT_PASS);
    assert_int_not_equal(next->verdict, RT_VERDICT_PASS);
    assert_true(next->rate > best->rate && next->rate <= best->rate * 1.02 + 1e-9);
    assert_true(fabs(best->requests_per_s - best->rate * 599 / 119.8) < 1e-6);
    rt_size_free(s);
    rt_size_plan_release(&plan);
}

/* Seeds of traffic that is drawn give trials of their own; of a trace they would repeat one. */
static void seeds_need_chance(void **state)
{
    const struct fixture *f = *state;
    struct rt_size_plan plan;
    struct rt_json *scenario, *doc;
    struct rt_err err = {0};
    static const char text[] =
        "{\"objectives\":[\"p95_ttft:300ms\"],\"seeds\":4,\"replicas\":[1,8]}";
    char drawn[sizeof base + 64];

    fixture_trace(f->trace);
    assert_ok(rt_json_parse(base, strlen(base), f->trace, &scenario, &err), &err);
    assert_ok(rt_json_parse(text, strlen(text), f->trace, &doc, &err), &err);
    struct rt_json_at root = rt_json_root(doc);
    assert_fails(rt_size_plan_parse(&root, scenario, f->catalog, &plan, &err), &err, RT_ECONFIG,
                 "nothing of this workload is drawn");
    rt_json_free(scenario);
    rt_json_free(doc);
    snprintf(drawn, sizeof drawn, "{\"workload\":{\"trace\":\"trace.csv\",\"request_rate\":8},%s",
             strstr(base, "\"model\""));
    parse_plan(f, drawn, text, &plan);
    struct rt_size *s = run_size(&plan, 3, NULL);
    const struct rt_size_row *row = &rt_size_result(s)->rows[0];
    assert_true(row->best >= 0);
    assert_int_equal(row->trials[row->best].checks[0].requests, 2400);
    assert_true(row->trials[row->best].requests_per_s == 8);
    rt_size_free(s);
    rt_size_plan_release(&plan);
}

static void threads_change_nothing(void **state)
{
    struct rt_size_plan plan;
    struct rt_size *s[2];

    fixture_trace(((struct fixture *)*state)->trace);
    parse_plan(*state, base,
               "{\"objectives\":[\"p90_ttft:150ms\",\"share80_ttft:200ms+tpot:60ms@chat\"],"
               "\"gpus\":[\"h100-sxm\",\"l40s\",\"a40\"]}",
               &plan);
    for (unsigned k = 0; k < 2; k++)
        s[k] = run_size(&plan, 1 + 3 * k, NULL);
    const struct rt_size_result *a = rt_size_result(s[0]), *b = rt_size_result(s[1]);
    assert_int_equal(a->chosen, b->chosen);
    for (unsigned i = 0; i < a->count; i++) {
        assert_string_equal(a->rows[i].reason, b->rows[i].reason);
        assert_int_equal(a->rows[i].trial_count, b->rows[i].trial_count);
        for (unsigned t = 0; t < a->rows[i].trial_count; t++) {
            assert_int_equal(a->rows[i].trials[t].replicas, b->rows[i].trials[t].replicas);
            for (unsigned c = 0; c < 2; c++)
                assert_memory_equal(&a->rows[i].trials[t].checks[c],
                                    &b->rows[i].trials[t].checks[c], sizeof(struct rt_size_check));
        }
    }
    rt_size_free(s[0]);
    rt_size_free(s[1]);
    rt_size_plan_release(&plan);
}

static void objectives_are_read(void **state)
{
    static const char *const bad[] = {"",
                                      "p99",
                                      "p99_ttft",
                                      "p100_ttft:1s",
                                      "p0_ttft:1s",
                                      "p99_ttft:0",
                                      "p99_itl:5ms",
                                      "p99_ttft:1s@",
                                      "p99_ttft:-1s",
                                      "share99_ttft:1s+ttft:2s",
                                      "99_ttft:1s",
                                      "p99_ttft:1m",
                                      "p99_ttft:1s+tpot:1s",
                                      "p9.9.9_ttft:1s",
                                      "p99_ttft:1e999s"};
    struct rt_objective o;
    struct rt_err err = {0};

    (void)state;
    assert_ok(rt_objective_read("p99.9_e2e:30s@chat", &o, &err), &err);
    assert_true(fabs(o.share - 0.999) < 1e-12 && o.limit.e2e_s == 30 && !o.attainment);
    assert_string_equal(o.class_name, "chat");
    assert_ok(rt_objective_read("share95_ttft:500+tpot:50ms", &o, &err), &err);
    assert_true(o.attainment && o.limit.ttft_s == 0.5 && o.limit.tpot_s == 0.05);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_fails(rt_objective_read(bad[i], &o, &err), &err, RT_EUSAGE, "expected an objective");
}

static void bad_plans(void **state)
{
    static const struct {
        const char *plan, *message;
    } bad[] = {
        {"{}", "objectives"},
        {"{\"objectives\":[]}", "1 to 16"},
        {"{\"objectives\":[7]}", "$.objectives[0]"},
        {"{\"objectives\":[\"p99_ttf:1s\"]}", "expected an objective"},
        {"{\"objectives\":[\"p99_ttft:1s\"],\"gpu\":1}", "gpus"},
        {"{\"objectives\":[\"p99_ttft:1s\"],\"gpus\":[]}", "at least one"},
        {"{\"objectives\":[\"p99_ttft:1s\"],\"gpus\":[\"h1000\"]}", "h1000"},
        {"{\"objectives\":[\"p99_ttft:1s\"],\"gpus\":[\"l40s\",\"l40s\"]}", "two candidates"},
        {"{\"objectives\":[\"p99_ttft:1s\"],\"replicas\":[2,1]}", "least <= most"},
        {"{\"objectives\":[\"p99_ttft:1s\"],\"replicas\":[1.5,2]}", "integer"},
        {"{\"objectives\":[\"p99_ttft:1s\"],\"tensor_parallel\":[\"2\"]}", "$.tensor_parallel[0]"},
        {"{\"objectives\":[\"p99_ttft:1s\"],\"confidence\":1}", "confidence"},
        {"{\"objectives\":[\"p99_ttft:1s\"],\"decide\":\"maybe\"}", "decide"},
        {"{\"objectives\":[\"p99_ttft:1s\"],\"prices_usd_per_h\":{\"h1000\":1}}", "h1000"},
        {"{\"objectives\":[\"p99_ttft:1s\"],\"settings\":[{\"pol\":{}}]}", "pool"},
        {"[]", "object"},
        {"{\"objectives\":[\"p99_ttft:1s\"],\"settings\":[{\"pool\":{\"a\\\"\\n\\\\b\":1}}]}",
         "unknown key"},
    };
    const struct fixture *f = *state;

    fixture_trace(f->trace);
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct rt_json *scenario, *doc;
        struct rt_size_plan plan;
        struct rt_err err = {0};
        assert_ok(rt_json_parse(base, strlen(base), f->trace, &scenario, &err), &err);
        assert_ok(rt_json_parse(bad[i].plan, strlen(bad[i].plan), f->trace, &doc, &err), &err);
        struct rt_json_at root = rt_json_root(doc);
        bool ok = rt_size_plan_parse(&root, scenario, f->catalog, &plan, &err);
        if (ok || strstr(err.msg, bad[i].message) == NULL)
            fail_msg("%s: \"%s\" lacks \"%s\"", bad[i].plan, err.msg, bad[i].message);
        rt_json_free(doc);
        rt_json_free(scenario);
    }
}

static void unknown_class(void **state)
{
    struct rt_size_plan plan;
    struct rt_size_options o = {.jobs = 1};
    struct rt_size *s;
    struct rt_err err = {0};

    fixture_trace(((struct fixture *)*state)->trace);
    parse_plan(*state, base, "{\"objectives\":[\"p99_ttft:1s@batch\"]}", &plan);
    assert_fails(rt_size_new(&plan, &o, &s, &err), &err, RT_ECONFIG, "has class \"batch\"");
    rt_size_plan_release(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_enumeration),
        cmocka_unit_test(early_stops_lose_nothing),
        cmocka_unit_test(infeasible_keeps_its_reason),
        cmocka_unit_test(too_few_requests),
        cmocka_unit_test(highest_rate),
        cmocka_unit_test(seeds_need_chance),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(objectives_are_read),
        cmocka_unit_test(bad_plans),
        cmocka_unit_test(unknown_class),
    };
    return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
