/* Sessions and closed loops as sources, driven by hand: a service that serves each request in a
 * given time and asks the source as the simulation does. How far a session is looked for, what
 * turns are named, when errors come, what happens at the end of time. */
#include "sim/array_source.h"
#include "support/test.h"

#include "rooftrace/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECOND    INT64_C(1000000000)
#define MAX_NAMES 8

struct sent { /* what the source gave */
    uint64_t id;
    int64_t at_ns, wait_ns;
    uint64_t names[MAX_NAMES];
    uint32_t name_count;
    int64_t named_tokens;
};

struct service {
    struct rt_source *source;
    int64_t now_ns, service_ns;
    struct rt_err err;
    struct sent *sent; /* in order */
    size_t count, capacity;
    size_t next_done; /* first in first out: equal service times */
    enum rt_pull last;
};

static void serve_init(struct service *v, const struct array_load *load,
                       const struct rt_load_spec *spec, int64_t service_ns)
{
    *v = (struct service){.source = array_source_new(load), .service_ns = service_ns};
    v->capacity = load->count + 1;
    v->sent = calloc(v->capacity, sizeof *v->sent);
    assert_non_null(v->sent);
    assert_ok(rt_load_wrap(spec, 1, &v->source, &v->err), &v->err);
}

static void serve_release(struct service *v)
{
    rt_source_free(v->source);
    free(v->sent);
}

static void note(struct service *v, const struct rt_request *r)
{
    struct sent *x = &v->sent[v->count++];
    assert_true(v->count < v->capacity);
    assert_int_equal(r->arrival_ns, v->now_ns);
    *x = (struct sent){.id = r->id,
                       .at_ns = r->arrival_ns,
                       .name_count = r->hash_count,
                       .named_tokens = r->named_tokens};
    for (uint32_t i = 0; i < r->hash_count && i < MAX_NAMES; i++)
        x->names[i] = r->hash_ids[i];
}

/* Everything that is due; answers when to ask again, INT64_MAX: when something is done. */
static int64_t pull(struct service *v)
{
    struct rt_request r;
    int64_t later_ns = INT64_MAX;
    while ((v->last = rt_source_next(v->source, v->now_ns, &r, &later_ns, &v->err)) ==
           RT_PULL_REQUEST)
        note(v, &r);
    assert_true(v->last != RT_PULL_LATER || later_ns > v->now_ns);
    assert_true(v->last != RT_PULL_BLOCKED || v->next_done < v->count);
    return v->last == RT_PULL_LATER ? later_ns : INT64_MAX;
}

/* To the end or the error. */
static void serve(struct service *v)
{
    int64_t ask_ns = pull(v);
    while (v->last == RT_PULL_LATER || v->next_done < v->count) {
        struct sent *x = &v->sent[v->next_done];
        int64_t done_ns = v->next_done < v->count ? x->at_ns + v->service_ns : INT64_MAX;
        v->now_ns = done_ns <= ask_ns ? done_ns : ask_ns;
        if (done_ns > ask_ns) {
            ask_ns = pull(v);
            continue;
        }
        v->next_done++;
        struct rt_source_done done = rt_source_done(v->source, x->id, v->now_ns);
        x->wait_ns = done.client_wait_ns;
        if (done.ask_again)
            ask_ns = pull(v);
    }
}

static struct rt_load_spec spec_of(enum rt_sessions sessions)
{
    struct rt_load_spec l;
    rt_load_init(&l);
    l.sessions = sessions;
    return l;
}

static struct rt_request turn(uint64_t id, int64_t at_s, const char *session, int64_t think_s)
{
    return (struct rt_request){.id = id,
                               .arrival_ns = at_s * SECOND,
                               .prompt_tokens = 100,
                               .output_tokens = 10,
                               .deadline_ns = RT_NO_DEADLINE,
                               .think_ns = think_s < 0 ? -1 : think_s * SECOND,
                               .session = session};
}

static void expect(const struct service *v, size_t i, uint64_t id, int64_t at_s)
{
    assert_true(i < v->count);
    assert_int_equal(v->sent[i].id, id);
    assert_int_equal(v->sent[i].at_ns, at_s * SECOND);
}

static void serve_all(struct service *v, struct rt_request *requests, size_t count,
                      const struct rt_load_spec *spec, int64_t service_s)
{
    struct array_load load = {.requests = requests, .count = count};
    serve_init(v, &load, spec, service_s * SECOND);
    serve(v);
    assert_int_equal(v->last, RT_PULL_END);
    assert_int_equal(v->count, count);
}

static void modes(void **state)
{
    (void)state;
    struct rt_request requests[] = {turn(0, 0, "a", 99), turn(1, 1, "a", 5), turn(2, 1, NULL, 7),
                                    turn(3, 50, "a", 5), turn(4, 60, "a", -1)};
    struct service v;
    struct rt_load_spec l = spec_of(RT_SESSIONS_OPEN);
    serve_all(&v, requests, 5, &l, 10);
    expect(&v, 1, 1, 1);
    serve_release(&v);
    l = spec_of(RT_SESSIONS_TRACE); /* 0..10, then 10..20; 50 and 60 are their own times */
    serve_all(&v, requests, 5, &l, 10);
    expect(&v, 0, 0, 0);
    expect(&v, 1, 2, 1);
    expect(&v, 2, 1, 10);
    expect(&v, 3, 3, 50);
    expect(&v, 4, 4, 60);
    serve_release(&v);
    l = spec_of(RT_SESSIONS_THINK); /* the first turn has nothing to think about */
    serve_all(&v, requests, 5, &l, 10);
    expect(&v, 0, 0, 0);
    expect(&v, 1, 2, 1);
    expect(&v, 2, 1, 15);
    expect(&v, 3, 3, 30); /* before its own time */
    expect(&v, 4, 4, 60); /* without think_s not before it */
    serve_release(&v);
}

static void two_sessions_and_a_loop(void **state)
{
    (void)state;
    struct rt_request requests[] = {turn(0, 0, "a", -1), turn(1, 0, "b", -1), turn(2, 0, "b", 0),
                                    turn(3, 0, "a", 1), turn(4, 0, "b", 0)};
    struct service v;
    struct rt_load_spec l = spec_of(RT_SESSIONS_THINK);
    l.max_concurrency = 1;
    serve_all(&v, requests, 5, &l, 2);
    expect(&v, 0, 0, 0);
    expect(&v, 1, 1, 2); /* due at 0 */
    expect(&v, 2, 3, 4); /* due at 3, before b's next, due at 4 */
    expect(&v, 3, 2, 6);
    expect(&v, 4, 4, 8); /* due at 8 */
    static const int64_t waits[] = {0, 2, 1, 2, 0};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(v.sent[i].wait_ns, waits[i] * SECOND);
    serve_release(&v);
}

/* A turn that stands `rows` rows behind the one before, one row a second. */
static int64_t sent_behind(size_t rows)
{
    struct rt_request *requests = calloc(rows + 2, sizeof *requests);
    struct service v;
    struct rt_load_spec l = spec_of(RT_SESSIONS_THINK);
    assert_non_null(requests);
    requests[0] = turn(0, 0, "a", -1);
    for (size_t i = 1; i <= rows; i++)
        requests[i] = turn(i, (int64_t)i, NULL, -1);
    requests[rows + 1] = turn(rows + 1, (int64_t)rows + 1, "a", 3);
    serve_all(&v, requests, rows + 2, &l, 2);
    int64_t at_ns = -1;
    for (size_t i = 0; i < v.count; i++)
        at_ns = v.sent[i].id == rows + 1 ? v.sent[i].at_ns : at_ns;
    serve_release(&v);
    free(requests);
    return at_ns;
}

static void looks_ahead(void **state)
{
    (void)state;
    assert_int_equal(sent_behind(1), 5 * SECOND);
    assert_int_equal(sent_behind(1000), 5 * SECOND);
    assert_int_equal(sent_behind(65000), 5 * SECOND);
    int64_t met_ns = sent_behind(70000); /* when it is met, and not after its own time */
    assert_true(met_ns > 65000 * SECOND && met_ns <= 70001 * SECOND);
}

/* 70,000 sessions that end, then each goes on: those that ended last are still known. */
static void forgets(void **state)
{
    (void)state;
    enum { SESSIONS = 70000 };
    struct rt_request *requests = calloc(2 * SESSIONS, sizeof *requests);
    char(*names)[8] = calloc(SESSIONS, sizeof *names);
    struct service v;
    struct rt_load_spec l = spec_of(RT_SESSIONS_TRACE);
    assert_non_null(requests);
    assert_non_null(names);
    for (size_t i = 0; i < SESSIONS; i++) {
        snprintf(names[i], sizeof names[i], "%zu", i);
        requests[i] = turn(i, 0, names[i], -1);
        requests[SESSIONS + i] = turn(SESSIONS + i, 100, names[i], -1);
        requests[SESSIONS + i].prompt_tokens = 200;
    }
    serve_all(&v, requests, (size_t)2 * SESSIONS, &l, 2);
    size_t shared = 0;
    for (size_t i = 0; i < SESSIONS; i++)
        shared += v.sent[i].names[0] == v.sent[SESSIONS + i].names[0];
    assert_in_range(shared, 65536, 65540); /* and the few that were read before */
    serve_release(&v);
    free(requests);
    free(names);
}

/* Positions of a conversation have one name, whatever turn asks; a shorter prompt begins anew. */
static void names(void **state)
{
    (void)state;
    static const uint64_t own[] = {7, 8, 9};
    struct rt_request requests[] = {
        turn(0, 0, "a", -1),  turn(1, 10, "a", -1),  turn(2, 20, "a", -1), turn(3, 30, "b", -1),
        turn(4, 40, "a", -1), turn(5, 50, NULL, -1), turn(6, 60, "a", -1)};
    requests[1].prompt_tokens = 110;  /* all of turn 0 */
    requests[2].prompt_tokens = 1000; /* and more */
    requests[4].prompt_tokens = 1009; /* one token short of 1000 + 10 */
    requests[6].prompt_tokens = 2000;
    requests[6].hash_ids = own;
    requests[6].hash_count = 3;
    struct array_load load = {.requests = requests, .count = 7, .hash_block_tokens = 400};
    struct service v;
    struct rt_load_spec l = spec_of(RT_SESSIONS_TRACE);
    serve_init(&v, &load, &l, SECOND);
    assert_int_equal(rt_source_stats(v.source)->hash_block_tokens, 400);
    serve(&v);
    static const uint32_t counts[] = {1, 1, 3, 1, 3, 0, 3};
    static const int64_t tokens[] = {110, 120, 1010, 110, 1019, 0, 0};
    for (size_t i = 0; i < 7; i++) {
        assert_int_equal(v.sent[i].name_count, counts[i]);
        assert_int_equal(v.sent[i].named_tokens, tokens[i]);
    }
    assert_int_equal(v.sent[0].names[0], v.sent[1].names[0]);
    assert_int_equal(v.sent[0].names[0], v.sent[2].names[0]);
    for (size_t i = 0; i < 3; i++) {
        assert_int_not_equal(v.sent[2].names[i], v.sent[4].names[i]);
        assert_int_not_equal(v.sent[3].names[0], v.sent[2].names[i]);
        assert_int_equal(v.sent[6].names[i], own[i]);
    }
    assert_int_not_equal(v.sent[2].names[0], v.sent[2].names[1]);
    serve_release(&v);
    load.hash_block_tokens = 0; /* a trace without names gets long ones */
    serve_init(&v, &load, &l, SECOND);
    uint32_t block = rt_source_stats(v.source)->hash_block_tokens;
    static const uint32_t sizes[] = {1, 8, 16, 32, 48, 64, 80, 112, 128, 240, 256, 512, 1024};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        assert_int_equal(block % sizes[i], 0);
    serve(&v);
    assert_int_equal(v.sent[2].name_count, 1);
    assert_int_equal(rt_source_stats(v.source)->rows, 7);
    serve_release(&v);
}

/* ---- a source that fails after its rows ------------------------------------------------------ */

struct failing {
    struct rt_source base;
    struct rt_source *inner;
};

static enum rt_pull failing_next(struct rt_source *base, int64_t now_ns, struct rt_request *out,
                                 int64_t *not_before_ns, struct rt_err *err)
{
    struct failing *f = (struct failing *)base;
    enum rt_pull answer = rt_source_next(f->inner, now_ns, out, not_before_ns, err);
    if (answer != RT_PULL_END)
        return answer;
    (void)rt_fail(err, RT_ETRACE, "line 4 is bad");
    return RT_PULL_ERROR;
}

static const struct rt_source_stats *failing_stats(const struct rt_source *base)
{
    return rt_source_stats(((const struct failing *)base)->inner);
}

static void failing_free(struct rt_source *base)
{
    rt_source_free(((struct failing *)base)->inner);
    free(base);
}

/* What could be read is sent before the error is told. */
static void errors_come_last(void **state)
{
    (void)state;
    static const struct rt_source_ops ops = {
        .next = failing_next, .stats = failing_stats, .free = failing_free};
    struct rt_request requests[] = {turn(0, 0, "a", -1), turn(1, 0, "a", 5), turn(2, 0, "a", 5)};
    struct array_load load = {.requests = requests, .count = 3};
    for (int mode = 0; mode < RT_SESSIONS_COUNT; mode++) {
        struct failing *f = calloc(1, sizeof *f);
        struct service v = {.service_ns = SECOND, .capacity = 4};
        struct rt_load_spec l = spec_of((enum rt_sessions)mode);
        assert_non_null(f);
        f->base.ops = &ops;
        f->inner = array_source_new(&load);
        v.source = &f->base;
        v.sent = calloc(v.capacity, sizeof *v.sent);
        l.max_concurrency = 2;
        assert_ok(rt_load_wrap(&l, 1, &v.source, &v.err), &v.err);
        serve(&v);
        assert_int_equal(v.last, RT_PULL_ERROR);
        assert_int_equal(v.count, 3);
        assert_string_equal(v.err.msg, "line 4 is bad");
        assert_int_equal(pull(&v), INT64_MAX); /* and it stays so */
        assert_int_equal(v.last, RT_PULL_ERROR);
        serve_release(&v);
    }
}

static void the_end_of_time(void **state)
{
    (void)state;
    struct rt_request requests[] = {turn(0, 0, "a", -1), turn(1, 0, "a", 1)};
    requests[1].think_ns = INT64_MAX - SECOND;
    struct array_load load = {.requests = requests, .count = 2};
    struct rt_load_spec l = spec_of(RT_SESSIONS_THINK);
    struct service v;
    serve_init(&v, &load, &l, 2 * SECOND);
    serve(&v);
    assert_int_equal(v.count, 1);
    assert_int_equal(v.last, RT_PULL_ERROR);
    assert_string_equal(v.err.msg, "a turn of a session is due beyond 292 years");
    serve_release(&v);
}

/* Freed in the middle: turns held, due and in flight. */
static void stopped_early(void **state)
{
    (void)state;
    static const uint64_t own[] = {7, 8, 9};
    struct rt_request requests[40];
    for (size_t i = 0; i < 40; i++) {
        requests[i] = turn(i, (int64_t)i / 4, i % 3 == 0 ? "a" : i % 3 == 1 ? "b" : NULL, 2);
        requests[i].hash_ids = own;
        requests[i].hash_count = 3;
    }
    struct array_load load = {.requests = requests, .count = 40, .hash_block_tokens = 16};
    for (int mode = 0; mode < RT_SESSIONS_COUNT; mode++) {
        struct rt_load_spec l = spec_of((enum rt_sessions)mode);
        struct service v;
        serve_init(&v, &load, &l, SECOND);
        for (int64_t ask_ns; (ask_ns = pull(&v)) <= 3 * SECOND;)
            v.now_ns = ask_ns;
        assert_true(v.count > 1 && v.count < 40);
        serve_release(&v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes),         cmocka_unit_test(two_sessions_and_a_loop),
        cmocka_unit_test(looks_ahead),   cmocka_unit_test(forgets),
        cmocka_unit_test(names),         cmocka_unit_test(errors_come_last),
        cmocka_unit_test(stopped_early), cmocka_unit_test(the_end_of_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
