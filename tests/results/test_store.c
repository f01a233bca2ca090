/* The store: what is written is what was put, two runs append, equal runs give equal rows, files
 * that are not ours stay as they are. */
#include "fixture.h"

#include <uv.h>

static int set_up(void **state)
{
    struct fixture *f = malloc(sizeof *f);
    fixture_init(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_release(*state);
    free(*state);
    return 0;
}

static void open_and_run(struct fixture *f, uint64_t n)
{
    struct rt_store *s;
    struct rt_err err;

    assert_ok(rt_store_open(f->db, &s, &err), &err);
    fixture_run(f, s, n);
    rt_store_close(s);
}

/* ---- content ---- */

static void print_time(FILE *out, int64_t time_ns)
{
    if (time_ns == RT_NEVER)
        fprintf(out, "|NULL");
    else
        fprintf(out, "|%lld", (long long)time_ns);
}

/* What `SELECT * FROM request` must give for these rows. */
static char *expected_rows(const struct rt_finished_list *list)
{
    static const char *const pools[] = {"big", "small"};
    size_t size = 0;
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);

    for (size_t i = 0; i < list->count; i++) {
        const struct rt_finished *r = &list->rows[i];
        fprintf(out, "1|%llu|%s|%s", (unsigned long long)r->id,
                r->class_name ? class_texts[r->class_name] : "NULL",
                r->session ? r->session : "NULL");
        print_time(out, r->arrival_ns);
        print_time(out, r->scheduled_ns);
        print_time(out, r->first_token_ns);
        print_time(out, r->finish_ns);
        fprintf(out, "|%lld|%lld|%lld", (long long)r->prompt_tokens, (long long)r->output_tokens,
                (long long)r->cached_tokens);
        if (r->replica == RT_NO_REPLICA)
            fprintf(out, "|NULL|NULL");
        else
            fprintf(out, "|%s|%u", pools[r->pool], r->replica);
        fprintf(out, "|%u", r->preemptions);
        print_time(out, r->preemptions > 0 || r->preempted_ns > 0 ? r->preempted_ns : RT_NEVER);
        print_time(out, r->max_itl_ns);
        fprintf(out, "|%s|%s", rt_status_names[r->status],
                r->reason ? rt_reason_names[r->reason] : "NULL");
        if (r->produced_tokens == r->output_tokens)
            fprintf(out, "|NULL");
        else
            fprintf(out, "|%lld", (long long)r->produced_tokens);
        print_time(out, r->client_wait_ns > 0 ? r->client_wait_ns : RT_NEVER);
        if (r->prefill)
            fprintf(out, "|%u", r->prefill->replica);
        else
            fprintf(out, "|NULL");
        print_time(out, r->prefill ? r->prefill->prefilled_ns : RT_NEVER);
        print_time(out, r->prefill ? r->prefill->kv_ready_ns : RT_NEVER);
        fprintf(out, "\n");
    }
    fclose(out);
    return text;
}

/* Row counts around the number of rows of a statement and of a list. */
static void rows_are_what_was_put(void **state)
{
    static const uint64_t counts[] = {0, 1, 31, 32, 33, 64, 99, 100, 101, 1777};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        struct rt_finished_list list;
        char *want;
        rt_finished_list_init(&list);
        fixture_rows(f, &list, counts[i]);
        want = expected_rows(&list);
        unlink(f->db);
        open_and_run(f, counts[i]);
        assert_sql(f->db, "SELECT * FROM request ORDER BY rowid", want);
        free(want);
        rt_finished_list_release(&list);
    }
}

static void extreme_integers(void **state)
{
    struct fixture *f = *state;
    struct rt_run_start start = fixture_start(f);
    struct rt_prefill_part part = {
        .replica = UINT32_MAX - 1, .prefilled_ns = INT64_MAX, .kv_ready_ns = RT_NEVER};
    struct rt_finished row = {.id = INT64_MAX,
                              .arrival_ns = INT64_MAX,
                              .scheduled_ns = INT64_MAX,
                              .first_token_ns = INT64_MAX,
                              .finish_ns = INT64_MAX,
                              .max_itl_ns = 0,
                              .prompt_tokens = INT64_C(1) << 40,
                              .output_tokens = INT64_C(1) << 40,
                              .preemptions = UINT32_MAX,
                              .preempted_ns = INT64_MAX,
                              .client_wait_ns = INT64_MAX,
                              .replica = 65535,
                              .pool = 7, /* not a pool of the run */
                              .status = RT_STATUS_UNFINISHED,
                              .session = "Ünï \"quote\" 'x'",
                              .prefill = &part};
    struct rt_finished_list list;
    struct rt_store *s;
    struct rt_err err;
    int64_t run_id;

    rt_finished_list_init(&list);
    assert_true(rt_finished_list_add(&list, &row));
    assert_ok(rt_store_open(f->db, &s, &err), &err);
    assert_ok(rt_store_begin(s, &start, &run_id, &err), &err);
    assert_ok(rt_store_put(s, run_id, &list, &err), &err);
    rt_store_close(s);
    assert_sql(f->db, "SELECT * FROM request",
               "1|9223372036854775807|NULL|Ünï \"quote\" 'x'|9223372036854775807|"
               "9223372036854775807|9223372036854775807|9223372036854775807|1099511627776|"
               "1099511627776|0|NULL|NULL|4294967295|9223372036854775807|0|unfinished|NULL|0|"
               "9223372036854775807|4294967294|9223372036854775807|NULL\n");
    rt_finished_list_release(&list);
}

static char *expected_steps(uint64_t n)
{
    size_t size = 0;
    char *text = NULL;
    FILE *out = open_memstream(&text, &size);

    for (uint64_t k = 0; k < n; k++) {
        struct rt_step_row r = fixture_step(k);
        fprintf(out, "1|%u|%llu", r.replica, (unsigned long long)r.step);
        print_time(out, r.start_ns);
        print_time(out, r.end_ns);
        fprintf(out, "|%lld|%lld|%lld|%lld|%lld|%lld", (long long)r.decodes,
                (long long)r.prefill_tokens, (long long)r.sequences, (long long)r.context_tokens,
                (long long)r.kv_blocks_used, (long long)r.waiting);
        fprintf(out, "|0.0009765625|0.001953125|0.0029296875|0.00390625|0.0048828125|0.005859375"
                     "|0.0|0.0078125\n");
    }
    fclose(out);
    return text;
}

static void steps_are_what_was_put(void **state)
{
    static const uint64_t counts[] = {0, 1, 31, 32, 33, 64, 1777};
    struct fixture *f = *state;
    struct rt_run_start start = fixture_start(f);
    struct rt_store *s;
    struct rt_err err;
    int64_t run_id;

    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        char *want = expected_steps(counts[i]);
        unlink(f->db);
        assert_ok(rt_store_open(f->db, &s, &err), &err);
        assert_ok(rt_store_begin(s, &start, &run_id, &err), &err);
        fixture_put_steps(s, run_id, counts[i]);
        rt_store_close(s);
        assert_sql(f->db, "SELECT * FROM step ORDER BY rowid", want);
        free(want);
    }
    assert_sql(f->db,
               "SELECT kind, count(*), max(round(duration_s * 1e9)), min(start_s) FROM steps"
               " GROUP BY kind",
               "decode|593|9001776.0|0.0\nmixed|592|9001775.0|0.02\nprefill|592|9001774.0|0.01\n");
    assert_sql(f->db, "SELECT steps_recorded FROM run", "1\n");
}

static void other_tables(void **state)
{
    struct fixture *f = *state;

    open_and_run(f, 200);
    assert_sql(f->db,
               "SELECT run_id, label, status, message, version, started_at, wall_s, seed, trace,"
               " trace_format, scenario, router, frontend_ns, measure_from_s, measure_to_s,"
               " slo_ttft_s, slo_tpot_s, slo_e2e_s, duration_s FROM run",
               "1|first|complete|NULL|0.1.0|2023-11-14T22:13:20.500Z|0.25|42|conv.csv|azure2023|"
               "{\"seed\": 42}|round_robin|1000000|10.0|NULL|0.5|0.05|NULL|40.0\n");
    assert_sql(f->db,
               "SELECT requests, rejected, completed + unfinished + rejected, preemptions,"
               " max_output_tokens_per_s, max_concurrent_requests, mean_concurrent_requests, steps,"
               " events, rows_read, zero_prompt, zero_output, unsorted FROM run",
               "200|20|200|27|321.0|12|1.0|303|1000|201|2|3|4\n");
    assert_sql(
        f->db, "SELECT * FROM pool ORDER BY first_replica",
        "1|big|model-x|mixed|gpu-0|1|2|0|4|spot|2.0|1.0|3.0|50.0|250.0|2|1|1|1|fp8|fp8|bf16|fp16|"
        "chunked|fcfs|recompute|0|1|8|"
        "2048|16|1000|0|0|0|1.0|"
        "NULL|0.9|80000000000.0|72000000000.0|16000000000.0|1000000000.0|2000000000.0|"
        "3000000000.0|2097152.0|1000\n"
        "1|small|model-x|decode|gpu-1|0|1|2|2|own|2.0|2.0|2.0|50.0|250.0|2|1|1|1|fp8|fp8|bf16|fp16|"
        "chunked|fcfs|recompute|0|1|"
        "8|2048|16|1000|0|0|2|1.75|"
        "NULL|0.9|80000000000.0|72000000000.0|16000000000.0|1000000000.0|2000000000.0|"
        "3000000000.0|2097152.0|1000\n");
    assert_sql(f->db, "SELECT * FROM replica WHERE replica = 2",
               "1|2|small|102|1.500000002|5|1|2|8000|2000|5000|9000|500|60|40|30|20\n");
    assert_sql(f->db, "SELECT group_concat(pool, ' ') FROM replica", "big big small\n");
    assert_sql(f->db, "SELECT * FROM sample WHERE time_s = 2 ORDER BY rowid",
               "1|2.0|NULL|3.0|2.5|2700.0|6.0|3.0\n1|2.0|big|2.0|1.5|1800.0|3.5|2.0\n"
               "1|2.0|small|1.0|1.0|900.0|2.0|1.0\n");
    for (unsigned t = 0; t < RT_TERM_COUNT; t++) {
        char sql[128], want[32];
        snprintf(sql, sizeof sql, "SELECT busy_s FROM step_time WHERE replica = 1 AND term = '%s'",
                 rt_term_names[t]);
        snprintf(
            want, sizeof want, "%s\n",
            (const char *[]){"0.125", "0.25", "0.375", "0.5", "0.625", "0.75", "0.875", "1.0"}[t]);
        assert_sql(f->db, sql, want);
    }
    assert_sql(f->db, "SELECT scope, gaps, low_s <= 0.03 AND 0.03 < high_s FROM itl_histogram",
               "run|1000|1\nrun|10|0\n");
}

/* What is stored agrees with what the rows say. */
static void totals_agree_with_rows(void **state)
{
    struct fixture *f = *state;

    open_and_run(f, 500);
    assert_sql(f->db,
               "SELECT (SELECT count(*) FROM request) = requests,"
               " (SELECT count(*) FROM request WHERE status = 'ok') = completed,"
               " (SELECT sum(prompt_tokens) FROM request WHERE status = 'ok') = input_tokens,"
               " (SELECT sum(output_tokens) FROM request WHERE status = 'ok') = output_tokens,"
               " (SELECT count(*) FROM request WHERE status = 'unfinished') = unfinished FROM run",
               "1|1|1|1|1\n");
    /* The view computes what metrics.c computes: to the last bit. */
    assert_sql(
        f->db,
        "SELECT m.metric, m.count = v.n, m.max = v.max, m.min = v.min FROM metric AS m JOIN"
        " (SELECT 'ttft_s' AS metric, count(ttft_s) AS n, max(ttft_s) AS max, min(ttft_s) AS min"
        "  FROM requests WHERE status = 'ok'"
        "  UNION ALL SELECT 'tpot_s', count(tpot_s), max(tpot_s), min(tpot_s) FROM requests"
        "  UNION ALL SELECT 'e2e_s', count(e2e_s), max(e2e_s), min(e2e_s) FROM requests"
        "  UNION ALL SELECT 'queue_s', count(queue_s), max(queue_s), min(queue_s) FROM requests"
        "  WHERE status = 'ok')"
        " AS v ON v.metric = m.metric WHERE m.scope = 'run' AND m.class IS NULL",
        "ttft_s|1|1|1\ntpot_s|1|1|1\ne2e_s|1|1|1\nqueue_s|1|1|1\n");
    assert_sql(f->db,
               "SELECT s.scope, s.class, s.requests = count(*), s.met_e2e,"
               " s.met_all = sum(coalesce(q.status = 'ok' AND q.ttft_s <= 0.5 AND"
               "                          coalesce(q.tpot_s, 0) <= 0.05, 0))"
               " FROM slo AS s JOIN requests AS q ON (s.class IS NULL OR s.class = q.class)"
               " AND (s.scope = 'run' OR q.arrival_s >= 10) GROUP BY 1, 2",
               "measured|NULL|1|NULL|1\nmeasured|batch|1|NULL|1\nmeasured|chat|1|NULL|1\n"
               "measured|code|1|NULL|1\nrun|NULL|1|NULL|1\nrun|batch|1|NULL|1\nrun|chat|1|NULL|1\n"
               "run|code|1|NULL|1\n");
}

static void rows_are_small(void **state)
{
    struct fixture *f = *state;
    struct stat first, second; /* what the tables take when they are empty is in both */

    open_and_run(f, 20000);
    assert_int_equal(stat(f->db, &first), 0);
    open_and_run(f, 20000);
    assert_int_equal(stat(f->db, &second), 0);
    if (second.st_size - first.st_size > 20000 * 80)
        fail_msg("%lld bytes for 20000 rows", (long long)(second.st_size - first.st_size));
}

/* ---- runs ---- */

static void two_runs_append(void **state)
{
    struct fixture *f = *state;
    struct rt_store *s;
    struct rt_err err;

    open_and_run(f, 50);
    assert_ok(rt_store_check(f->db, &err), &err);
    assert_ok(rt_store_open(f->db, &s, &err), &err);
    assert_int_equal(fixture_run(f, s, 70), 2);
    assert_int_equal(fixture_run(f, s, 30), 3);
    rt_store_close(s);
    assert_sql(f->db, "SELECT run_id, count(*) FROM request GROUP BY run_id", "1|50\n2|70\n3|30\n");
    assert_sql(f->db, "PRAGMA integrity_check", "ok\n");
}

static const char *const tables[] = {"pool", "request", "replica",   "sample",
                                     "step", "metric",  "step_time", "itl_histogram",
                                     "slo",  "billing", "class_use", "self_check"};

static void equal_runs_give_equal_rows(void **state)
{
    struct fixture *f = *state;

    open_and_run(f, 700);
    open_and_run(f, 700);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        char sql[2][128], *text[2];
        for (int k = 0; k < 2; k++) {
            snprintf(sql[k], sizeof sql[k], "SELECT * FROM %s WHERE run_id = %d", tables[i], k + 1);
            text[k] = fixture_read(f->db, sql[k]);
        }
        for (char *p = text[1]; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
            if (*p == '2')
                *p = '1'; /* run_id */
        assert_true(strlen(text[0]) > 10);
        assert_string_equal(text[0], text[1]);
        free(text[0]);
        free(text[1]);
    }
}

/* Byte for byte: two files of equal runs. */
static void equal_runs_give_equal_files(void **state)
{
    struct fixture *f = *state;
    char other[128], command[320];

    open_and_run(f, 700);
    snprintf(other, sizeof other, "%s/other.db", f->folder);
    assert_int_equal(rename(f->db, other), 0);
    open_and_run(f, 700);
    snprintf(command, sizeof command, "cmp -s %s %s", f->db, other);
    assert_int_equal(system(command), 0); // NOLINT(cert-env33-c)
}

static void no_requests_keeps_aggregates(void **state)
{
    struct fixture *f = *state;
    struct rt_run_start start = fixture_start(f);
    struct rt_finished_list list;
    struct rt_run_end end;
    struct rt_store *s;
    struct rt_err err;
    int64_t run_id;

    rt_finished_list_init(&list);
    fixture_rows(f, &list, 100);
    start.no_requests = true;
    assert_ok(rt_store_open(f->db, &s, &err), &err);
    assert_ok(rt_store_begin(s, &start, &run_id, &err), &err);
    assert_ok(rt_store_put(s, run_id, &list, &err), &err);
    assert_int_equal(list.count, 0);
    end = fixture_end(f, 100);
    assert_ok(rt_store_end(s, run_id, &end, &err), &err);
    rt_store_close(s);
    assert_sql(f->db,
               "SELECT (SELECT count(*) FROM request), requests, request_share, requests_written"
               " FROM run",
               "0|100|0.0|0\n");
    assert_sql(f->db, "SELECT count(DISTINCT class) FROM metric", "3\n");
    rt_finished_list_release(&list);
}

#define SAMPLED 3000

/* A run of which a share is written, handed over in lists of `chunk` rows. */
static void sampled_run(struct fixture *f, struct rt_store *s, double share, uint64_t chunk)
{
    struct rt_run_start start = fixture_start(f);
    struct rt_finished_list all, part;
    struct rt_run_end end;
    struct rt_err err;
    int64_t run_id;

    rt_finished_list_init(&all);
    rt_finished_list_init(&part);
    fixture_rows(f, &all, SAMPLED);
    start.sample_requests = share;
    assert_ok(rt_store_begin(s, &start, &run_id, &err), &err);
    for (uint64_t i = 0; i < SAMPLED; i++) {
        assert_true(rt_finished_list_add(&part, &all.rows[i]));
        if (part.count == chunk || i == SAMPLED - 1) {
            assert_ok(rt_store_put(s, run_id, &part, &err), &err);
            assert_int_equal(part.count, 0);
        }
    }
    end = fixture_end(f, SAMPLED);
    assert_ok(rt_store_end(s, run_id, &end, &err), &err);
    rt_finished_list_release(&all);
    rt_finished_list_release(&part);
}

/* The sample is as large as asked for, does not depend on how rows were handed over, a smaller one
 * lies within a larger one; other seeds choose others; statistics are those of all requests. */
static void samples_of_requests(void **state)
{
    struct fixture *f = *state;
    struct rt_store *s;
    struct rt_err err;

    assert_ok(rt_store_open(f->db, &s, &err), &err);
    sampled_run(f, s, 0, 100);
    sampled_run(f, s, 0.3, 100);
    sampled_run(f, s, 0.3, 1);
    sampled_run(f, s, 0.1, SAMPLED);
    f->scenario.seed++;
    sampled_run(f, s, 0.3, 100);
    sampled_run(f, s, 1e-9, 100);
    rt_store_close(s);
    assert_sql(f->db,
               "SELECT r.run_id, request_share, requests, abs(requests_written - 3000 *"
               " request_share) < 75, requests_written = (SELECT count(*) FROM request AS q"
               " WHERE q.run_id = r.run_id) FROM run AS r",
               "1|1.0|3000|1|1\n2|0.3|3000|1|1\n3|0.3|3000|1|1\n4|0.1|3000|1|1\n"
               "5|0.3|3000|1|1\n6|1.0e-09|3000|1|1\n");
    assert_sql(f->db, /* chunks do not matter; each sample within the larger ones, row by row */
               "SELECT b.run_id, a.run_id, count(*) = sum(a.request_id IS NOT NULL) FROM request"
               " AS b LEFT JOIN request AS a ON a.request_id = b.request_id AND a.run_id + 1 ="
               " b.run_id AND a.finish_ns IS b.finish_ns AND a.session_id IS b.session_id"
               " WHERE b.run_id BETWEEN 2 AND 4 GROUP BY 1, 2",
               "2|1|1\n3|2|1\n4|3|1\n");
    assert_sql(f->db,
               "SELECT count(*) BETWEEN 200 AND 350 FROM request AS a JOIN request AS b USING"
               " (request_id) WHERE a.run_id = 2 AND b.run_id = 5",
               "1\n"); /* 0.09 of 3000 = 270 */
    assert_sql(f->db,
               "SELECT count(DISTINCT p99 || '/' || mean) FROM metric WHERE scope = 'run' AND"
               " class IS NULL AND metric = 'ttft_s'",
               "1\n");
}

static void status_of_runs(void **state)
{
    struct fixture *f = *state;
    struct rt_run_start start = fixture_start(f);
    struct rt_finished_list list;
    struct rt_run_end end;
    struct rt_store *s;
    struct rt_err err;
    int64_t run_id[3];

    rt_finished_list_init(&list);
    fixture_rows(f, &list, 10);
    assert_ok(rt_store_open(f->db, &s, &err), &err);
    assert_ok(rt_store_begin(s, &start, &run_id[0], &err), &err);
    assert_sql(f->db, "SELECT status FROM run", "running\n"); /* while it runs */
    end = fixture_end(f, 10);
    end.status = RT_RUN_INTERRUPTED;
    end.message = "Ctrl-C";
    assert_ok(rt_store_end(s, run_id[0], &end, &err), &err);
    end.status = RT_RUN_FAILED;
    end.message = "trace.csv:7:1: bad";
    assert_ok(rt_store_begin(s, &start, &run_id[1], &err), &err);
    assert_ok(rt_store_end(s, run_id[1], &end, &err), &err);
    assert_ok(rt_store_begin(s, &start, &run_id[2], &err), &err);
    assert_ok(rt_store_put(s, run_id[2], &list, &err), &err);
    rt_store_close(s);
    assert_sql(f->db, "SELECT status, message FROM run",
               "interrupted|Ctrl-C\nfailed|trace.csv:7:1: bad\n"
               "failed|the program stopped before the end of the run\n");
    assert_sql(f->db, "SELECT run_id, count(*) FROM request GROUP BY 1", "3|10\n");
    rt_store_close(NULL);
    rt_finished_list_release(&list);
}

static void a_seed_that_does_not_fit(void **state)
{
    struct fixture *f = *state;
    struct rt_run_start start = fixture_start(f);
    struct rt_store *s;
    struct rt_err err;
    int64_t run_id;

    assert_ok(rt_store_open(f->db, &s, &err), &err);
    f->scenario.seed = (uint64_t)INT64_MAX + 1;
    assert_fails(rt_store_begin(s, &start, &run_id, &err), &err, RT_ECONFIG,
                 "seed 9223372036854775808");
    f->scenario.seed = INT64_MAX;
    assert_ok(rt_store_begin(s, &start, &run_id, &err), &err);
    rt_store_close(s);
}

/* Rows are there for others about a second after they were put, though the run goes on. */
static void rows_appear_while_it_runs(void **state)
{
    struct fixture *f = *state;
    struct rt_run_start start = fixture_start(f);
    struct rt_finished_list list;
    struct rt_store *s;
    struct rt_err err;
    int64_t run_id;
    char *count = NULL;

    rt_finished_list_init(&list);
    fixture_rows(f, &list, 10);
    assert_ok(rt_store_open(f->db, &s, &err), &err);
    assert_ok(rt_store_begin(s, &start, &run_id, &err), &err);
    assert_ok(rt_store_put(s, run_id, &list, &err), &err);
    for (unsigned tries = 0; tries < 600; tries++) { /* a minute, for a machine that is busy */
        uv_sleep(100);
        free(count);
        count = fixture_read(f->db, "SELECT count(*) FROM request");
        if (strcmp(count, "10\n") == 0)
            break;
    }
    assert_string_equal(count, "10\n");
    free(count);
    rt_store_close(s);
    rt_finished_list_release(&list);
}

/* ---- several runs at once, from several threads ---- */

struct worker {
    struct fixture fixture;
    struct rt_store *store;
    int64_t run_id;
    uv_thread_t thread;
};

static void work(void *argument)
{
    struct worker *w = argument;
    w->run_id = fixture_run(&w->fixture, w->store, 3000);
}

static void runs_of_several_threads(void **state)
{
    struct fixture *f = *state;
    struct worker workers[4];
    struct rt_store *s;
    struct rt_err err;

    assert_ok(rt_store_open(f->db, &s, &err), &err);
    for (unsigned i = 0; i < 4; i++) {
        fixture_init(&workers[i].fixture);
        workers[i].store = s;
        assert_int_equal(uv_thread_create(&workers[i].thread, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        uv_thread_join(&workers[i].thread);
        fixture_release(&workers[i].fixture);
    }
    rt_store_close(s);
    assert_sql(
        f->db,
        "SELECT run_id, count(*), count(DISTINCT request_id), sum(finish_ns) ="
        " (SELECT sum(finish_ns) FROM request WHERE run_id = 1) FROM request GROUP BY run_id",
        "1|3000|3000|1\n2|3000|3000|1\n3|3000|3000|1\n4|3000|3000|1\n");
    assert_sql(f->db, "SELECT DISTINCT status FROM run", "complete\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_are_what_was_put, set_up, tear_down),
        cmocka_unit_test_setup_teardown(extreme_integers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(other_tables, set_up, tear_down),
        cmocka_unit_test_setup_teardown(totals_agree_with_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_are_small, set_up, tear_down),
        cmocka_unit_test_setup_teardown(two_runs_append, set_up, tear_down),
        cmocka_unit_test_setup_teardown(equal_runs_give_equal_rows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(equal_runs_give_equal_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_requests_keeps_aggregates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(samples_of_requests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(steps_are_what_was_put, set_up, tear_down),
        cmocka_unit_test_setup_teardown(status_of_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_seed_that_does_not_fit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rows_appear_while_it_runs, set_up, tear_down),
        cmocka_unit_test_setup_teardown(runs_of_several_threads, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
