/* Class priorities: the scenario's `classes` reach the queue, a request's own priority wins, and
 * names that are not listed change nothing. One seat, so the order of rows is the queue's. */
#include "rooftrace/sim.h"
#include "sim_trial.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMES 1000

struct arrivals {
    struct rt_source base;
    const struct rt_request *requests;
    size_t count, next;
    struct rt_source_stats stats;
};

static enum rt_pull arrivals_next(struct rt_source *s, int64_t now_ns, struct rt_request *out,
                                  int64_t *not_before_ns, struct rt_err *err)
{
    struct arrivals *a = (struct arrivals *)s;

    (void)now_ns;
    (void)not_before_ns;
    (void)err;
    if (a->next == a->count)
        return RT_PULL_END;
    *out = a->requests[a->next++];
    return RT_PULL_REQUEST;
}

/* Name i is "ci"; only the first few are asked for by these tests. */
static const char *arrivals_name(const struct rt_source *s, uint32_t name)
{
    static const char *const names[] = {"", "c1", "c2", "c3"};

    (void)s;
    return name < 4 ? names[name] : "other";
}

static const struct rt_source_stats *arrivals_stats(const struct rt_source *s)
{
    return &((const struct arrivals *)s)->stats;
}

static void arrivals_free(struct rt_source *s)
{
    free(s);
}

static void parse_scenario(const char *classes, const char *queue_order, struct rt_scenario *out)
{
    char text[1024];

    snprintf(text, sizeof text,
             "{\"workload\":{\"trace\":\"t.csv\"},\"model\":\"llama-3.1-8b\","
             "\"cost\":{\"kind\":\"linear\",\"coefficients_s\":[1,0,0,0,0]},"
             "\"pools\":[{\"gpu\":\"rtx-4090\",\"engine\":{\"max_num_seqs\":1,"
             "\"num_gpu_blocks\":100,\"queue_order\":\"%s\"}}],\"classes\":%s}",
             queue_order, classes);
    scenario_from_text(text, out);
}

/* The ids in the order they finish, as text. */
static void run(const char *classes, const char *queue_order, const struct rt_request *requests,
                size_t count, char *order)
{
    static const struct rt_source_ops ops = {arrivals_next, NULL, arrivals_name, arrivals_stats,
                                             arrivals_free};
    struct rt_err err = {0};
    struct rt_scenario scenario;
    struct rt_finished_list rows;
    struct rt_sim *sim = NULL;
    struct arrivals *a = calloc(1, sizeof *a);

    assert_non_null(a);
    *a = (struct arrivals){.base.ops = &ops, .requests = requests, .count = count};
    parse_scenario(classes, queue_order, &scenario);
    assert_ok(rt_sim_new(&scenario, &a->base, &sim, &err), &err);
    rt_finished_list_init(&rows);
    while (rt_sim_next(sim, 100, &rows, &err) == RT_SIM_MORE)
        ;
    assert_int_equal(err.code, RT_OK);
    assert_int_equal(rows.count, count);
    for (size_t i = 0; i < count; i++)
        order[i] = (char)('0' + rows.rows[i].id);
    order[count] = '\0';
    rt_finished_list_release(&rows);
    rt_sim_free(sim);
    rt_scenario_release(&scenario);
}

static struct rt_request request(uint64_t id, uint32_t class_name, int32_t priority)
{
    return (struct rt_request){.id = id,
                               .prompt_tokens = 8,
                               .output_tokens = 3,
                               .class_name = class_name,
                               .priority = priority,
                               .deadline_ns = RT_NO_DEADLINE,
                               .think_ns = -1};
}

static void classes_have_their_priority(void **state)
{
    const struct rt_request all[] = {request(0, 1, 0), request(1, RT_NO_NAME, 0),
                                     request(2, 2, 0), request(3, 3, 0),
                                     request(4, 2, 9), request(5, NAMES, 0)};
    char order[8];

    (void)state;
    /* c2 first; then no class, c3 (not listed) and a class with a large index in order of arrival;
     * c1; and last the request of c2 that has a priority of its own. */
    run("[{\"name\":\"c2\",\"priority\":-1},{\"name\":\"c1\",\"priority\":1},"
        "{\"name\":\"never\",\"priority\":-9}]",
        "priority", all, 6, order);
    assert_string_equal(order, "213504");
    run("[]", "priority", all, 6, order);
    assert_string_equal(order, "012354");
    run("[{\"name\":\"c2\",\"priority\":-1}]", "fcfs", all, 6, order);
    assert_string_equal(order, "012345");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(classes_have_their_priority)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
