/* Reading back: the summary, SQL somebody typed, every example of the schema, and each view against
 * figures worked out by hand. */
#include "fixture.h"

#include "rooftrace/query.h"

#include <signal.h>
#include <sys/wait.h>
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

static void run_of(struct fixture *f, uint64_t n)
{
    struct rt_store *s;
    struct rt_err err;

    assert_ok(rt_store_open(f->db, &s, &err), &err);
    fixture_run(f, s, n);
    rt_store_close(s);
}

/* A run of exactly these rows. */
static void run_rows(struct fixture *f, const struct rt_finished *rows, size_t n)
{
    struct rt_run_start start = fixture_start(f);
    struct rt_finished_list list;
    struct rt_run_end end;
    struct rt_store *s;
    struct rt_err err;
    int64_t run_id;

    rt_finished_list_init(&list);
    rt_metrics_free(f->metrics);
    assert_ok(rt_metrics_new(&f->scenario, RT_METRIC_EXACT, &f->metrics, &err), &err);
    for (size_t i = 0; i < n; i++) {
        assert_true(rt_finished_list_add(&list, &rows[i]));
        assert_ok(rt_metrics_add(f->metrics, &rows[i], &err), &err);
    }
    assert_ok(rt_store_open(f->db, &s, &err), &err);
    assert_ok(rt_store_begin(s, &start, &run_id, &err), &err);
    assert_ok(rt_store_put(s, run_id, &list, &err), &err);
    end = fixture_end(f, n);
    end.totals.now_ns = 100000000000; /* 100 s */
    fixture_bill(f, &end);
    assert_ok(rt_store_end(s, run_id, &end, &err), &err);
    rt_store_close(s);
    rt_finished_list_release(&list);
}

static struct rt_finished ok_row(uint64_t id, int64_t arrival_s, int64_t queue_ms,
                                 int64_t prefill_ms, int64_t output)
{
    int64_t arrival = arrival_s * 1000000000;
    int64_t first = arrival + (queue_ms + prefill_ms) * 1000000;
    return (struct rt_finished){.id = id,
                                .arrival_ns = arrival,
                                .scheduled_ns = arrival + queue_ms * 1000000,
                                .first_token_ns = first,
                                .finish_ns = first + (output - 1) * 20000000,
                                .max_itl_ns = output > 1 ? 20000000 : RT_NEVER,
                                .prompt_tokens = 100,
                                .output_tokens = output,
                                .produced_tokens = output};
}

/* Four requests, one of them rejected; no frontend time, measured window from 10 s. */
static void four_rows(struct fixture *f)
{
    struct rt_finished rows[4] = {ok_row(0, 0, 100, 300, 11), ok_row(1, 5, 1500, 500, 1),
                                  ok_row(2, 65, 0, 200, 101), ok_row(3, 70, 0, 0, 1)};
    f->scenario.frontend_s = 0;
    rows[1].class_name = 1;
    rows[2].preemptions = 2;
    rows[2].preempted_ns = 750000000;
    rows[3].status = RT_STATUS_REJECTED;
    rows[3].reason = RT_REASON_MAX_MODEL_LEN;
    rows[3].scheduled_ns = rows[3].first_token_ns = rows[3].finish_ns = RT_NEVER;
    rows[3].produced_tokens = 0;
    rows[3].replica = RT_NO_REPLICA;
    run_rows(f, rows, 4);
}

/* ---- the summary ---- */

static void summary(void **state)
{
    struct fixture *f = *state;
    struct rt_run_summary s;
    struct rt_err err;
    struct rt_db *db;

    run_of(f, 20);
    four_rows(f);
    assert_ok(rt_db_open(f->db, &db, &err), &err);
    assert_ok(rt_db_summary(db, 0, &s, &err), &err);
    assert_int_equal(s.run_id, 2);
    assert_string_equal(s.status, "complete");
    assert_string_equal(s.message, "");
    assert_string_equal(s.trace, "conv.csv");
    assert_string_equal(s.model, "model-x");
    assert_string_equal(s.gpu, "gpu-0,gpu-1");
    assert_int_equal(s.gpus, 6);
    assert_int_equal(s.replicas, 3);
    assert_int_equal(s.kv_blocks, 3000);
    assert_true(s.duration_s == 100 && s.wall_s == 0.25);
    assert_int_equal(s.requests, 4);
    assert_int_equal(s.completed, 3);
    assert_int_equal(s.failed, 1);
    assert_int_equal(s.rejected, 1);
    assert_int_equal(s.unfinished, 0);
    assert_int_equal(s.input_tokens, 300);
    assert_int_equal(s.output_tokens, 113);
    assert_true(s.request_throughput == 0.03 && s.output_throughput == 1.13 &&
                s.total_throughput == 4.13);
    assert_true(s.request_goodput == 0.02); /* TTFT 0.4 and 0.2 s meet 0.5 s; 2.0 s does not */
    assert_true(s.peak_output_tokens_per_s == 321);
    assert_int_equal(s.peak_in_flight, 12);
    assert_int_equal(s.steps, 303);
    assert_int_equal(s.zero_prompt, 2);
    assert_true(s.ttft.median == 400 && s.ttft.max == 2000);
    assert_true(fabs(s.ttft.mean - 2600.0 / 3) < 1e-9);
    assert_true(s.tpot.mean == 20 && s.tpot.p99 == 20 && s.tpot.std == 0);
    assert_true(s.e2e.max == 2200);
    assert_true(fabs(s.itl.median - 30) < 0.03);

    assert_ok(rt_db_summary(db, 1, &s, &err), &err);
    assert_int_equal(s.requests, 20);
    assert_fails(rt_db_summary(db, 3, &s, &err), &err, RT_EUSAGE,
                 "no run 3: it holds 2, the latest is 2");
    rt_db_close(db);
}

static void summary_of_a_run_that_has_not_ended(void **state)
{
    struct fixture *f = *state;
    struct rt_run_start start = fixture_start(f);
    struct rt_run_summary s;
    struct rt_store *store;
    struct rt_err err;
    struct rt_db *db;
    int64_t run_id;
    char label[600];

    for (size_t i = 0; i < sizeof label - 1; i += 2) /* two bytes a letter */
        memcpy(label + i, "é", 2);
    label[598] = '\0';
    start.label = label;
    start.trace = NULL;
    assert_ok(rt_store_open(f->db, &store, &err), &err);
    assert_ok(rt_db_open(f->db, &db, &err), &err);
    assert_fails(rt_db_summary(db, 0, &s, &err), &err, RT_EDB, "holds no run");
    assert_ok(rt_store_begin(store, &start, &run_id, &err), &err);
    assert_ok(rt_db_summary(db, 0, &s, &err), &err);
    assert_string_equal(s.status, "running");
    assert_string_equal(s.trace, "");
    assert_int_equal(s.requests, -1);
    assert_true(isnan(s.request_throughput) && isnan(s.ttft.mean) && isnan(s.duration_s));
    assert_int_equal(s.gpus, 6);
    assert_int_equal(strlen(s.label), 255); /* cut between letters */
    assert_string_equal(s.label + 250, "é...");
    rt_db_close(db);
    rt_store_close(store);
}

/* ---- files ---- */

static void files_that_cannot_be_read(void **state)
{
    struct fixture *f = *state;
    struct rt_err err;
    struct rt_db *db;
    FILE *out;

    assert_fails(rt_db_open(f->db, &db, &err), &err, RT_EDB, "no such file");
    assert_fails(rt_db_open(f->folder, &db, &err), &err, RT_EDB, "is a folder");
    out = fopen(f->db, "w");
    fclose(out);
    assert_fails(rt_db_open(f->db, &db, &err), &err, RT_EDB, "is empty");
    out = fopen(f->db, "w");
    fputs("hello", out);
    fclose(out);
    assert_fails(rt_db_open(f->db, &db, &err), &err, RT_EDB, "not an SQLite database");
    unlink(f->db);
    run_of(f, 1);
    free(fixture_read(f->db, "PRAGMA user_version = 7"));
    assert_fails(rt_db_open(f->db, &db, &err), &err, RT_EDB, "schema version 7");
    rt_db_close(NULL);
}

/* A process that dies in the middle of a transaction leaves a journal: reading rolls it back. */
static void a_journal_that_was_left(void **state)
{
    struct fixture *f = *state;
    struct rt_run_summary s;
    struct rt_err err;
    struct rt_db *db;
    char journal[128];
    int status;
    pid_t pid;

    run_of(f, 20);
    pid = fork();
    if (pid == 0) {
        sqlite3 *dying;
        sqlite3_open(f->db, &dying);
        sqlite3_exec(dying,
                     "PRAGMA cache_size = 1; BEGIN; UPDATE run SET status = 'nonsense';"
                     "INSERT INTO request SELECT a.* FROM request AS a, request, request;",
                     NULL, NULL, NULL);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    snprintf(journal, sizeof journal, "%s-journal", f->db);
    assert_int_equal(access(journal, F_OK), 0);
    assert_ok(rt_db_open(f->db, &db, &err), &err);
    assert_ok(rt_db_summary(db, 0, &s, &err), &err);
    assert_string_equal(s.status, "complete");
    rt_db_close(db);
    assert_sql(f->db, "SELECT count(*) FROM request", "20\n");
}

/* ---- SQL somebody typed ---- */

struct rows { /* what a SELECT gave */
    char text[4096];
    int stop_after, rows;
};

static bool take(void *user, int columns, const char *const *names, const char *const *values)
{
    struct rows *r = user;
    size_t used = strlen(r->text);

    for (int i = 0; i < columns; i++) {
        snprintf(r->text + used, sizeof r->text - used, "%s=%s ", names[i],
                 values[i] ? values[i] : "(null)");
        used += strlen(r->text + used);
    }
    return ++r->rows != r->stop_after;
}

static void select_reads(void **state)
{
    struct fixture *f = *state;
    struct rows r = {"", 0, 0};
    struct rt_err err;
    struct rt_db *db;

    four_rows(f);
    assert_ok(rt_db_open(f->db, &db, &err), &err);
    assert_ok(rt_db_select(db,
                           "SELECT request_id AS id, reason FROM requests WHERE id > 1; -- last",
                           take, &r, &err),
              &err);
    assert_string_equal(r.text, "id=2 reason=(null) id=3 reason=max_model_len ");
    r = (struct rows){"", 2, 0};
    assert_ok(rt_db_select(db, "SELECT 1 AS a FROM request", take, &r, &err), &err);
    assert_string_equal(r.text, "a=1 a=1 ");
    r = (struct rows){"", 0, 0};
    assert_ok(rt_db_select(db,
                           "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3)"
                           " SELECT sum(i) AS s FROM n",
                           take, &r, &err),
              &err);
    assert_ok(rt_db_select(db, "SELECT name FROM pragma_table_info('slo') LIMIT 1", take, &r, &err),
              &err);
    assert_string_equal(r.text, "s=6 name=run_id ");
    assert_ok(rt_db_select(db, "SELECT 1 WHERE 0", take, &r, &err), &err);
    rt_db_close(db);
}

static void select_only_reads(void **state)
{
    static const struct {
        const char *sql, *text;
    } refused[] = {
        {"DELETE FROM run", "only SELECT is allowed"},
        {"INSERT INTO run (status) VALUES (1)", "only SELECT is allowed"},
        {"UPDATE run SET label = 'x'", "only SELECT is allowed"},
        {"DROP TABLE run", "only SELECT is allowed"},
        {"CREATE TABLE t (a)", "only SELECT is allowed"},
        {"CREATE TEMP TABLE t (a)", "only SELECT is allowed"},
        {"ATTACH 'other.db' AS o", "only SELECT is allowed"},
        {"VACUUM INTO 'other.db'", "only SELECT is allowed"},
        {"PRAGMA journal_mode = WAL", "only SELECT is allowed"},
        {"PRAGMA user_version = 3", "only SELECT is allowed"},
        {"UPDATE sqlite_master SET sql = 'x'", "may not be modified"},
        {"EXPLAIN DELETE FROM run", "only SELECT is allowed"},
        {"SELECT load_extension('x')", "not authorized"},
        {"BEGIN", "only SELECT is allowed"},
        {"SELECT 1; SELECT 2", "one statement at a time"},
        {"SELECT 1; DELETE FROM run", "one statement at a time"},
        {"SELECT 1; nonsense", "one statement at a time"},
        {"", "there is no statement"},
        {" -- nothing", "there is no statement"},
        {"SELECT color FROM run", "no such column: color"},
        {"SELECT * FROM runs", "no such table: runs"},
        {"SELEC 1", "syntax error"},
    };
    struct fixture *f = *state;
    struct rows r = {"", 0, 0};
    struct rt_err err;
    struct rt_db *db;

    run_of(f, 3);
    assert_ok(rt_db_open(f->db, &db, &err), &err);
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_fails(rt_db_select(db, refused[i].sql, take, &r, &err), &err, RT_EUSAGE,
                     refused[i].text);
    assert_string_equal(r.text, "");
    assert_fails(rt_db_select(db, "SELECT abs(-9223372036854775808)", take, &r, &err), &err,
                 RT_EUSAGE, "overflow");
    rt_db_close(db);
    assert_sql(f->db, "SELECT count(*) FROM request", "3\n");
}

static void several_selects_follow_each_other(void **state)
{
    struct fixture *f = *state;
    struct rows r = {"", 0, 0};
    struct rt_err err;
    struct rt_db *db;
    const char *sql = "SELECT 1 AS a;; -- one\n SELECT 2 AS b; DELETE FROM run; SELECT 3";

    run_of(f, 3);
    assert_ok(rt_db_open(f->db, &db, &err), &err);
    assert_ok(rt_db_select_first(db, &sql, take, &r, &err), &err);
    assert_ok(rt_db_select_first(db, &sql, take, &r, &err), &err);
    assert_string_equal(sql, " DELETE FROM run; SELECT 3");
    assert_fails(rt_db_select_first(db, &sql, take, &r, &err), &err, RT_EUSAGE, "only SELECT");
    sql = "SELECT 4 AS c; -- the last\n ; ";
    assert_ok(rt_db_select_first(db, &sql, take, &r, &err), &err);
    assert_string_equal(sql, "");
    assert_int_equal(r.rows, 3);
    rt_db_close(db);
    assert_sql(f->db, "SELECT count(*) FROM run", "1\n");
}

/* States add up over time, events of one instant together. */
static void replicas_over_time_add_up(void **state)
{
    struct fixture *f = *state;

    run_of(f, 3);
    assert_sql(f->db,
               "SELECT time_s, ready, starting, draining, down, paid FROM replicas_over_time"
               " WHERE run_id = 1 ORDER BY time_s",
               "0.0|2|0|0|0|2\n1.0|1|0|0|1|2\n2.0|0|1|1|0|2\n3.0|0|1|0|0|1\n");
    assert_sql(f->db, "SELECT count(*), min(pool), max(why) FROM scaling_event WHERE replica = 1",
               "3|big|repaired\n");
}

/* ---- the schema tells about itself ---- */

/* Every table and view says what it is; every view has an example. */
static void schema_is_commented(void **state)
{
    struct fixture *f = *state;

    run_of(f, 3);
    assert_sql(f->db,
               "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND"
               " sql NOT LIKE '%' || char(10) || '    -- %'",
               "");
    assert_sql(
        f->db,
        "SELECT name FROM sqlite_master WHERE type = 'view' AND sql NOT LIKE '%-- Example: %'", "");
    assert_sql(f->db, "PRAGMA application_id", "1380340818\n");
    assert_sql(f->db, "PRAGMA user_version", "1\n");
    assert_sql(f->db,
               "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND"
               " strict = 0 AND name NOT LIKE 'sqlite_%'",
               "");
    assert_sql(f->db,
               "SELECT name FROM sqlite_master WHERE tbl_name = 'request' AND type = 'index'", "");
}

/* Every example of the schema runs; nearly all give rows on a run with something in each table. */
static void examples_run(void **state)
{
    struct fixture *f = *state;
    unsigned examples = 0, empty = 0;
    char *text;

    run_of(f, 300);
    run_of(f, 300);
    text = fixture_read(f->db, "SELECT sql FROM sqlite_master WHERE type = 'view'");
    for (char *p = text; (p = strstr(p, "-- Example: ")) != NULL; examples++) {
        char *end = strchr(p, '\n'), *got;
        *end = '\0';
        got = fixture_read(f->db, p + strlen("-- Example: "));
        if (got[0] == '\0') {
            print_message("no rows: %s\n", p);
            empty++;
        }
        free(got);
        p = end + 1;
    }
    assert_true(examples >= 15);
    assert_int_equal(empty, 0);
    free(text);
}

/* A run's rows are scanned once: nothing sorts or indexes the table behind one's back. */
static void the_view_requests_is_a_scan(void **state)
{
    struct fixture *f = *state;
    char *plan;

    run_of(f, 3);
    plan = fixture_read(f->db,
                        "EXPLAIN QUERY PLAN SELECT count(ttft_s) FROM requests WHERE run_id = 1");
    assert_null(strstr(plan, "AUTOMATIC"));
    free(plan);
    plan = fixture_read(f->db, "EXPLAIN QUERY PLAN SELECT avg(ttft_s) FROM requests");
    assert_null(strstr(plan, "AUTOMATIC"));
    free(plan);
}

/* ---- views ---- */

static void view_requests(void **state)
{
    struct fixture *f = *state;

    four_rows(f);
    assert_sql(
        f->db,
        "SELECT request_id, class, arrival_s, queue_s, ttft_s, tpot_s, e2e_s, tps, max_itl_s,"
        " produced_tokens, status, reason, pool, replica FROM requests",
        "0|NULL|0.0|0.1|0.4|0.02|0.6|50.0|0.02|11|ok|NULL|big|0\n"
        "1|chat|5.0|1.5|2.0|NULL|2.0|NULL|NULL|1|ok|NULL|big|0\n"
        "2|NULL|65.0|0.0|0.2|0.02|2.2|50.0|0.02|101|ok|NULL|big|0\n"
        "3|NULL|70.0|NULL|NULL|NULL|NULL|NULL|NULL|0|rejected|max_model_len|NULL|NULL\n");
    assert_sql(f->db, "SELECT request_id, queue_s, prefill_s, decode_s, preempted_s FROM requests",
               "0|0.1|0.3|0.2|NULL\n1|1.5|0.5|0.0|NULL\n2|0.0|0.2|2.0|0.75\n"
               "3|NULL|NULL|NULL|NULL\n");
}

static void view_throughput_and_outcomes(void **state)
{
    struct fixture *f = *state;

    four_rows(f);
    assert_sql(f->db,
               "SELECT minute, arrived, completed, input_tokens, output_tokens, requests_per_s"
               " FROM throughput_by_minute WHERE run_id = 1",
               "0|2|2|200|12|0.0333333333333333\n1|2|1|100|101|0.0166666666666667\n");
    assert_sql(f->db,
               "SELECT status, reason, requests, produced_tokens FROM request_outcomes"
               " WHERE run_id = 1 ORDER BY 1",
               "ok|NULL|3|113\nrejected|max_model_len|1|0\n");
}

static void view_slo(void **state)
{
    struct fixture *f = *state;

    four_rows(f);
    assert_sql(f->db, "SELECT scope, class, requests, ttft, tpot, e2e, all_met FROM slo_attainment",
               "run|NULL|4|0.5|0.75|NULL|0.5\nrun|chat|1|0.0|1.0|NULL|0.0\n"
               "measured|NULL|2|0.5|0.5|NULL|0.5\n");
    /* The measured window goes from 10 s to the end at 100 s. */
    assert_sql(
        f->db,
        "SELECT scope, class, span_s, good_requests, round(goodput, 6), good_share FROM goodput",
        "run|NULL|100.0|2|0.02|0.5\nrun|chat|100.0|0|0.0|0.0\n"
        "measured|NULL|90.0|1|0.011111|0.5\n");
}

static void view_money_and_use(void **state)
{
    struct fixture *f = *state;

    four_rows(f); /* 6 GPUs at 2 USD an hour for 100 s */
    assert_sql(
        f->db,
        "SELECT gpus, round(gpu_hours, 6), fleet_usd_per_h, round(cost_usd, 6),"
        " round(usd_per_million_output_tokens, 2), round(usd_per_thousand_requests, 4) FROM spend",
        "6|0.166667|12.0|0.333333|2949.85|111.1111\n");
    assert_sql(
        f->db,
        "SELECT pool, replicas, gpus, steps, round(busy_share, 6), kv_peak_share, preemptions,"
        " cached_share, output_tokens_per_s_per_gpu FROM fleet_use",
        "big|2|4|201|0.015|0.5|1|0.25|25.0\nsmall|1|2|102|0.015|0.5|2|0.25|25.0\n");
    assert_sql(
        f->db,
        "SELECT pool, sum(busy_s), round(sum(share), 12), count(*) FROM step_time_share GROUP BY 1",
        "big|9.0|1.0|8\nsmall|4.5|1.0|8\n");
    f->specs[1].price.known = false;
    f->specs[0].power.idle_w = 0; /* not known */
    four_rows(f);
    assert_sql(f->db,
               "SELECT round(gpu_hours, 6), cost_usd, cost_low_usd, usd_per_million_tokens,"
               " energy_kwh, gco2 FROM spend WHERE run_id = 2",
               "0.166667|NULL|NULL|NULL|NULL|NULL\n");
    assert_sql(f->db,
               "SELECT count(*), count(cost_usd), count(energy_kwh) FROM class_spend"
               " WHERE run_id = 2",
               "2|0|0\n");
    assert_sql(
        f->db,
        "SELECT pool, pricing, round(cost_usd, 6), round(1e3 * energy_kwh, 6) FROM pool_spend"
        " WHERE run_id = 2",
        "big|spot|0.222222|NULL\nsmall|NULL|NULL|4.416667\n");
}

/* 4 GPUs of `big` (1 to 3 USD, typically 2) and 2 of `small` (2 USD) for 100 s: 1/9 and 1/18 h.
 * Energy, at 50 W idle and 250 W busy: (400 s * 50 W + 6 s * 200 W) + (200 * 50 + 3 * 200) =
 * 31,800 J, times a PUE of 1.5 is 47.7 kJ = 13.25 Wh, at 400 g/kWh 5.3 g. */
static void view_spend(void **state)
{
    struct fixture *f = *state;

    four_rows(f);
    assert_sql(f->db,
               "SELECT pool, gpus, round(gpu_hours, 6), round(1e3 * busy_gpu_hours, 6), pricing,"
               " round(cost_low_usd, 6), round(cost_usd, 6), round(cost_high_usd, 6),"
               " round(1e3 * energy_kwh, 5) FROM pool_spend",
               "big|4|0.111111|1.666667|spot|0.111111|0.222222|0.333333|8.83333\n"
               "small|2|0.055556|0.833333|own|0.111111|0.111111|0.111111|4.41667\n");
    assert_sql(f->db,
               "SELECT round(cost_low_usd, 6), round(cost_usd, 6), round(cost_high_usd, 6),"
               " round(usd_per_million_prompt_tokens, 2), round(usd_per_million_tokens, 2),"
               " round(1e3 * energy_kwh, 4), round(joules_per_output_token, 2), round(gco2, 4)"
               " FROM spend",
               "0.222222|0.333333|0.444444|1111.11|807.1|13.25|422.12|5.3\n");
}

/* In a batch: 0.5 s and 2.2 - 0.75 s without a class, 0.5 s of chat, all in `big`; the cost of
 * `small`, where nothing finished, is shared out alike: 1.95 to 0.5. */
static void view_class_spend(void **state)
{
    struct fixture *f = *state;

    four_rows(f);
    assert_sql(f->db,
               "SELECT class, pool, completed, prompt_tokens, output_tokens, cached_tokens,"
               " service_s FROM class_use ORDER BY class",
               "NULL|big|2|200|112|0|1.95\nchat|big|1|100|1|0|0.5\n");
    assert_sql(f->db,
               "SELECT class, completed, round(share, 6), round(cost_usd, 6),"
               " round(usd_per_million_output_tokens, 1), round(cost_low_usd, 6), round(gco2, 4)"
               " FROM class_spend ORDER BY class",
               "NULL|2|0.795918|0.265306|2368.8|0.176871|4.2184\n"
               "chat|1|0.204082|0.068027|68027.2|0.045351|1.0816\n");
}

/* Whatever the rows: classes' costs, energies and hours add up to the run's. */
static void classes_add_up(void **state)
{
    struct fixture *f = *state;

    for (uint64_t n = 1; n < 200; n += 37)
        run_of(f, n);
    assert_sql(f->db,
               "SELECT count(*), max(abs(s.cost_usd - c.cost) / s.cost_usd) < 1e-12,"
               " max(abs(s.energy_kwh - c.energy) / s.energy_kwh) < 1e-12,"
               " max(abs(s.gpu_hours - c.hours) / s.gpu_hours) < 1e-12,"
               " max(abs(c.share - 1)) < 1e-12 FROM spend AS s JOIN (SELECT run_id, sum(cost_usd)"
               " AS cost, sum(energy_kwh) AS energy, sum(gpu_hours) AS hours, sum(share) AS share"
               " FROM class_spend GROUP BY run_id) AS c USING (run_id)",
               "6|1|1|1|1\n");
    assert_sql(f->db,
               "SELECT count(*) FROM run AS r WHERE completed != (SELECT sum(completed) FROM"
               " class_use AS u WHERE u.run_id = r.run_id) OR output_tokens != (SELECT"
               " sum(output_tokens) FROM class_use AS u WHERE u.run_id = r.run_id)",
               "0\n");
}

/* Intervals of a pool add up, also where they overlap or a pool has none. */
static void billing_takes_intervals(void **state)
{
    struct fixture *f = *state;
    struct rt_billed billed[] = {{0, 0, 2, 0, 30000000000},
                                 {0, 1, 2, 10000000000, 25000000000},
                                 {0, RT_NO_REPLICA, 1, 12500000000, 12500000000}};
    struct rt_run_start start = fixture_start(f);
    struct rt_finished_list list;
    struct rt_run_end end;
    struct rt_store *s;
    struct rt_err err;
    int64_t run_id;

    rt_finished_list_init(&list);
    fixture_rows(f, &list, 50);
    assert_ok(rt_store_open(f->db, &s, &err), &err);
    assert_ok(rt_store_begin(s, &start, &run_id, &err), &err);
    end = fixture_end(f, 50);
    end.billed = billed;
    end.billed_count = 3;
    assert_ok(rt_store_end(s, run_id, &end, &err), &err);
    rt_store_close(s);
    rt_finished_list_release(&list);
    assert_sql(f->db, "SELECT pool, replica, gpus, from_s, to_s FROM billing",
               "big|0|2|0.0|30.0\nbig|1|2|10.0|25.0\nbig|NULL|1|12.5|12.5\n");
    assert_sql(f->db, "SELECT pool, round(gpu_hours, 6), round(cost_usd, 6) FROM pool_spend",
               "big|0.025|0.05\nsmall|NULL|NULL\n");
}

static void checks_are_stored(void **state)
{
    struct fixture *f = *state;

    run_of(f, 20);
    assert_sql(f->db, "SELECT name, ok, pool, replica, value, limit_value FROM self_check",
               "bytes|1|big|1|0.5|1.0\ncapacity|1|big|1|0.5|1.0\nflops|NULL|NULL|NULL|NULL|NULL\n"
               "kv_bytes|1|big|1|0.5|1.0\nlittle|1|NULL|NULL|0.5|1.0\n"
               "requests|1|NULL|NULL|0.5|1.0\ntokens|1|NULL|NULL|0.5|1.0\n");
}

static void view_slow(void **state)
{
    struct fixture *f = *state;

    four_rows(f);
    assert_sql(f->db,
               "SELECT rank, request_id, ttft_s, queue_s, prefill_s FROM slowest_requests WHERE "
               "run_id = 1",
               "1|1|2.0|1.5|0.5\n2|0|0.4|0.1|0.3\n3|2|0.2|0.0|0.2\n");
    /* Samples at 0, 1, 2, 3 s: request 1 (5 to 7 s) and 2 see the last one, request 0 the first.
     * KV: 1,800 of the 2,000 blocks of their pool are full enough. */
    assert_sql(f->db,
               "SELECT rank, samples, running, waiting, kv_used_share, seats_used_share, mostly"
               " FROM why_slow WHERE run_id = 1",
               "1|1|2.0|1.5|0.9|0.125|queue: KV full\n2|1|2.0|1.5|0.9|0.125|own prefill\n"
               "3|1|2.0|1.5|0.9|0.125|own prefill\n");
}

static void slowest_are_a_hundred(void **state)
{
    struct fixture *f = *state;

    run_of(f, 1000);
    assert_sql(f->db,
               "SELECT count(*), max(rank), (SELECT max(ttft_s) FROM requests) = max(ttft_s),"
               " (SELECT count(*) FROM requests AS q WHERE q.ttft_s > min(s.ttft_s)) FROM"
               " slowest_requests AS s",
               "100|100|1|99\n");
}

static void view_comparisons(void **state)
{
    struct fixture *f = *state;
    struct rt_finished one = ok_row(0, 0, 200, 300, 21);

    four_rows(f);
    run_rows(f, &one, 1);
    assert_sql(f->db,
               "SELECT run_a, run_b, request_id, ttft_a_s, ttft_b_s, round(ttft_difference_s, 9),"
               " tpot_difference_s, round(e2e_difference_s, 9) FROM compare_runs",
               "1|2|0|0.4|0.5|0.1|0.0|0.3\n");
    assert_sql(f->db,
               "SELECT statistic, a, b, ratio FROM compare_metrics WHERE metric = 'ttft_s' AND"
               " class IS NULL AND scope = 'run' AND statistic IN ('p50', 'max')",
               "p50|0.4|0.5|1.25\nmax|2.0|0.5|0.25\n");
    /* Tokens per second: 113 against 21 over 6 GPUs and 100 s, TPOT 20 ms both. */
    assert_sql(
        f->db,
        "SELECT run_id, round(tokens_per_s_per_gpu, 4), round(tokens_per_s_per_user, 6), on_front"
        " FROM pareto",
        "1|0.1883|50.0|1\n2|0.035|50.0|0\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(summary, set_up, tear_down),
        cmocka_unit_test_setup_teardown(summary_of_a_run_that_has_not_ended, set_up, tear_down),
        cmocka_unit_test_setup_teardown(files_that_cannot_be_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_journal_that_was_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(select_reads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(select_only_reads, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replicas_over_time_add_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(schema_is_commented, set_up, tear_down),
        cmocka_unit_test_setup_teardown(examples_run, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_view_requests_is_a_scan, set_up, tear_down),
        cmocka_unit_test_setup_teardown(view_requests, set_up, tear_down),
        cmocka_unit_test_setup_teardown(view_throughput_and_outcomes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(view_slo, set_up, tear_down),
        cmocka_unit_test_setup_teardown(view_money_and_use, set_up, tear_down),
        cmocka_unit_test_setup_teardown(view_spend, set_up, tear_down),
        cmocka_unit_test_setup_teardown(view_class_spend, set_up, tear_down),
        cmocka_unit_test_setup_teardown(classes_add_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(billing_takes_intervals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(checks_are_stored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(several_selects_follow_each_other, set_up, tear_down),
        cmocka_unit_test_setup_teardown(view_slow, set_up, tear_down),
        cmocka_unit_test_setup_teardown(slowest_are_a_hundred, set_up, tear_down),
        cmocka_unit_test_setup_teardown(view_comparisons, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
