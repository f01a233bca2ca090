/* What tests of the simulation share: scenarios from a text, rows that are compared, and checks
 * that name the seed of a random trial. */
#ifndef RT_TEST_SIM_TRIAL_H
#define RT_TEST_SIM_TRIAL_H

#include "rooftrace/catalog.h"
#include "rooftrace/finished.h"
#include "rooftrace/json.h"
#include "rooftrace/scenario.h"
#include "rooftrace/sim.h"
#include "support/test.h"

#include <stddef.h>
#include <string.h>

/* Of a trial with a member `seed`. */
#define CHECK(trial, holds, ...)                                                                   \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            print_error("seed %llu: %s\n", (unsigned long long)(trial)->seed, #holds);             \
            fail_msg(__VA_ARGS__);                                                                 \
        }                                                                                          \
    } while (0)

/* The text is a good scenario; *out is the caller's to release. */
static inline void scenario_from_text(const char *text, struct rt_scenario *out)
{
    struct rt_err err = {0};
    struct rt_catalog *catalog = NULL;
    struct rt_json *doc = NULL;
    assert_ok(rt_catalog_open(NULL, &catalog, &err), &err);
    assert_ok(rt_json_parse(text, strlen(text), "scenario", &doc, &err), &err);
    struct rt_json_at root = rt_json_root(doc);
    if (!rt_scenario_parse(&root, catalog, out, &err))
        fail_msg("%s in %s", err.msg, text);
    rt_json_free(doc);
    rt_catalog_free(catalog);
}

/* All numbers; what lies behind `retries` is padding or belongs to the chunk. */
static inline bool same_numbers(const struct rt_finished *a, const struct rt_finished *b)
{
    return memcmp(a, b, offsetof(struct rt_finished, status)) == 0 && a->status == b->status &&
           a->reason == b->reason && a->retries == b->retries;
}

#endif
