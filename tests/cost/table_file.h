/* A table of operators in a temporary file, and a cost that reads it. */
#ifndef TABLE_FILE_H
#define TABLE_FILE_H

#include "cost_fixture.h"
#include "support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct table_file {
    char folder[32], path[64];
};

/* The path ends in .json when the text begins with a brace. */
static inline void table_write_text(struct table_file *f, const char *text)
{
    bool json = text[0] == '{';
    snprintf(f->folder, sizeof f->folder, "/tmp/rooftrace-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->path, sizeof f->path, "%s/table%s", f->folder, json ? ".json" : ".csv");
    FILE *file = fopen(f->path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static inline void table_remove(struct table_file *f)
{
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(rmdir(f->folder), 0);
}

static inline struct rt_cost *table_cost(struct rt_cost_inputs in, struct table_file *f)
{
    struct rt_cost *c;
    struct rt_err err;
    in.spec.kind = RT_COST_PROFILE;
    in.spec.file = f->path;
    assert_ok(rt_cost_new(&in, &c, &err), &err);
    return c;
}

static inline double table_term(const struct rt_cost *c, struct rt_step_shape s, enum rt_term t)
{
    double terms[RT_TERM_COUNT];
    rt_cost_step_terms(c, &s, terms);
    return terms[t];
}

#endif
