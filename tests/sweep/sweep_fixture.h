/* A folder with a small trace, and scenarios on it, for the tests of src/sweep. */
#ifndef RT_SWEEP_FIXTURE_H
#define RT_SWEEP_FIXTURE_H

#include "rooftrace/catalog.h"
#include "rooftrace/json.h"
#include "support/test.h"

#include "rooftrace/scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct fixture {
    char folder[64], trace[96], db[96];
    struct rt_catalog *catalog;
};

/* 600 requests, two classes, five a second, lengths by a small generator. */
static inline void fixture_trace(const char *path)
{
    FILE *f = fopen(path, "w");
    uint32_t x = 1;

    assert_non_null(f);
    fputs("arrival_s,prompt_tokens,output_tokens,class\n", f);
    for (int i = 0; i < 600; i++) {
        x = x * 1664525u + 1013904223u;
        fprintf(f, "%.3f,%u,%u,%s\n", 0.2 * i, 20 + (x >> 8) % 400, 2 + (x >> 20) % 60,
                x >> 31 ? "chat" : "code");
    }
    assert_int_equal(fclose(f), 0);
}

static inline int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct rt_err err = {0};

    assert_non_null(f);
    snprintf(f->folder, sizeof f->folder, "/tmp/rt_sweep_XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->trace, sizeof f->trace, "%s/trace.csv", f->folder);
    snprintf(f->db, sizeof f->db, "%s/out.db", f->folder);
    fixture_trace(f->trace);
    assert_ok(rt_catalog_open(NULL, &f->catalog, &err), &err);
    *state = f;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    char command[96];

    rt_catalog_free(f->catalog);
    snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

/* Replicas with a linear cost; `more` is further keys of the scenario, with a comma in front. */
static inline void fixture_scenario(const struct fixture *f, int replicas, const char *more,
                                    struct rt_scenario *out)
{
    char text[1024], name[96];
    struct rt_json *doc;
    struct rt_err err = {0};

    snprintf(text, sizeof text,
             "{\"workload\":{\"trace\":\"trace.csv\"},\"model\":\"llama-3.1-8b\","
             "\"cost\":{\"kind\":\"linear\",\"coefficients_s\":[0.005,1e-5,1e-8,1e-4,1e-7]},"
             "\"pools\":[{\"name\":\"p\",\"gpu\":\"h100-sxm\",\"replicas\":%d,"
             "\"engine\":{\"num_gpu_blocks\":500}}]%s}",
             replicas, more);
    snprintf(name, sizeof name, "%s/s.json", f->folder);
    assert_ok(rt_json_parse(text, strlen(text), name, &doc, &err), &err);
    struct rt_json_at root = rt_json_root(doc);
    assert_ok(rt_scenario_parse(&root, f->catalog, out, &err), &err);
    rt_json_free(doc);
}

#endif
