/* Out of memory while traffic is made: the n-th allocation fails, for every n until all goes
 * through. Each time the answer is RT_ENOMEM, and nothing leaks. */
#include "support/failing_alloc.h"

#include "synth_fixture.h"

#include "rooftrace/traffic.h"

#include <stdio.h>
#include <stdlib.h>

static bool summarise(struct rt_source *s, struct rt_traffic *t, struct rt_err *err)
{
    struct rt_traffic_summary sum;
    struct rt_request r;
    int64_t later;
    enum rt_pull pull;
    while ((pull = rt_source_next(s, INT64_MAX, &r, &later, err)) == RT_PULL_REQUEST)
        if (!rt_traffic_add(t, &r, 16, err))
            return false;
    return pull == RT_PULL_END && rt_traffic_result(t, &sum, err);
}

static bool make(const char *section, struct rt_err *err)
{
    struct rt_workload_spec w;
    struct rt_source *s = NULL;
    struct rt_traffic *t = NULL;
    bool ok = synth_read(section, 1, &w, err) && rt_workload_open(&w, &s, err) &&
              rt_traffic_new(&t, err) && summarise(s, t, err);
    rt_traffic_free(t);
    rt_source_free(s);
    rt_workload_release(&w);
    return ok;
}

static void every_failure(const char *section)
{
    for (long n = 0;; n++) {
        struct rt_err err = {0};
        failing_alloc_after(n);
        bool ok = make(section, &err);
        failing_alloc_after(-1);
        if (ok) {
            assert_true(n > 20);
            return;
        }
        assert_int_equal(err.code, RT_ENOMEM);
    }
}

static void made(void **state)
{
    char section[2048];
    const char *path =
        trace_text(*state, "t.csv", "arrival_s,prompt_tokens,output_tokens\n0,5,6\n1,900,3\n");
    snprintf(section, sizeof section,
             "{\"requests\": 300, \"arrivals\": {\"kind\": \"poisson\", \"rate_per_s\": 100}, "
             "\"lengths\": {\"trace\": \"%s\"}, \"prefixes\": {\"count\": 5, \"tokens\": 40}, "
             "\"sessions\": {\"turns\": 5, \"think_s\": 9}, \"classes\": [{\"name\": \"a\"}, "
             "{\"name\": \"b\", \"prompt_tokens\": {\"kind\": \"empirical\", \"trace\": \"%s\"}, "
             "\"output_tokens\": 4}]}",
             path, path);
    every_failure(section);
}

static void like(void **state)
{
    char section[1024], text[8192] = "";
    for (int i = 0; i < 40; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "{\"arrival_s\": %d, \"prompt_tokens\": 2048, \"output_tokens\": 5, "
                 "\"session_id\": \"c%d\", \"class\": \"k%d\", \"hash_ids\": [77, %d, %d]}\n",
                 i, i % 9, i % 3, 100 + i % 9, 1000 + i);
    snprintf(section, sizeof section, "{\"requests\": 200, \"like\": {\"trace\": \"%s\"}}",
             trace_text(*state, "t.jsonl", text));
    every_failure(section);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(made),
        cmocka_unit_test(like),
    };
    return cmocka_run_group_tests(tests, trace_dir_setup, trace_dir_teardown);
}
