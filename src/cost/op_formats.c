/* Published tables of operator times, as rows of ours: opening one, recognising its layout by the
 * columns of the header, and walking over its lines. Lines whose `where` columns differ are
 * skipped. The layouts themselves are in op_layouts.c. Failures: a layout that is not known or
 * lacks a column, and what a line's function says. O(lines). */
#include "op_layouts_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WHERE   16
#define MAX_LAYOUTS 32

unsigned rt_op_format_count(void)
{
    return 2 + rt_op_layout_count;
}

struct rt_op_format_info rt_op_format_at(unsigned i)
{
    static const struct rt_op_format_info own[] = {
        {"auto", "by the name of the file and its header"},
        {"table", "our own, CSV or JSON (docs/calibration.md)"},
    };
    return i < 2 ? own[i]
                 : (struct rt_op_format_info){rt_op_layouts[i - 2].name, rt_op_layouts[i - 2].help};
}

/* Has the header all columns of the format? */
static bool matches(const struct rt_csv_file *f, const struct op_format *format)
{
    for (unsigned i = 0; i < RT_OP_MAX_COLUMNS && format->columns[i] != NULL; i++)
        if (rt_csv_file_find(f, format->columns[i]) < 0)
            return false;
    return true;
}

static const struct op_format *pick(const struct rt_csv_file *f, const char *path, const char *name,
                                    struct rt_err *err)
{
    const char *names[MAX_LAYOUTS];
    char suggestion[300];
    assert(rt_op_layout_count <= MAX_LAYOUTS);
    bool automatic = name == NULL || strcmp(name, "auto") == 0;
    for (unsigned i = 0; i < rt_op_layout_count; i++) {
        names[i] = rt_op_layouts[i].name;
        if (automatic ? matches(f, &rt_op_layouts[i]) : strcmp(name, rt_op_layouts[i].name) == 0) {
            if (automatic || matches(f, &rt_op_layouts[i]))
                return &rt_op_layouts[i];
            for (unsigned c = 0; rt_op_layouts[i].columns[c] != NULL; c++)
                if (rt_csv_file_find(f, rt_op_layouts[i].columns[c]) < 0)
                    rt_fail(err, RT_ETRACE, "%s: %s needs a column \"%s\"", path, name,
                            rt_op_layouts[i].columns[c]);
            return NULL;
        }
    }
    if (automatic)
        rt_fail(err, RT_ETRACE, "%s: its columns are of no known table of operators", path);
    else
        rt_fail(err, RT_EUSAGE, "unknown format \"%.40s\", %s", name,
                rt_suggest(name, names, rt_op_layout_count, suggestion, sizeof suggestion));
    return NULL;
}

struct condition {
    unsigned column;
    const char *value;
};

static bool find_conditions(const struct op_reader *r, struct condition list[MAX_WHERE],
                            unsigned *count, struct rt_err *err)
{
    unsigned given = r->source != NULL ? r->source->where_count : 0;
    *count = 0;
    if (given > MAX_WHERE)
        return rt_fail(err, RT_EUSAGE, "expected at most %d conditions", MAX_WHERE);
    for (unsigned i = 0; i < given; i++) {
        const char *text_of = r->source->where[i], *colon = strchr(text_of, ':');
        char name[RT_NAME_SIZE];
        if (colon == NULL || (size_t)(colon - text_of) >= sizeof name)
            return rt_fail(err, RT_EUSAGE, "expected COLUMN:VALUE, read \"%.60s\"", text_of);
        snprintf(name, sizeof name, "%.*s", (int)(colon - text_of), text_of);
        int column = rt_csv_file_find(r->f, name);
        if (column < 0)
            continue; /* another table's: several may be read with the same words */
        list[(*count)++] = (struct condition){(unsigned)column, colon + 1};
    }
    return true;
}

static bool wanted(const struct op_reader *r, const struct condition *list, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(rt_csv_file_text(r->f, list[i].column), list[i].value) != 0)
            return false;
    return true;
}

/* Layers whose norms, rope and activation were all measured. */
static bool add_elementwise(struct op_reader *r, struct rt_err *err)
{
    enum { DENSE = 7 }; /* the first three parts */
    for (size_t i = 0; i < r->part_count; i++)
        if ((r->parts[i].seen & DENSE) == DENSE && !rt_op_row_finish(r->t, &r->parts[i].row, err))
            return false;
    return true;
}

static bool read_rows(struct op_reader *r, struct rt_err *err)
{
    struct condition list[MAX_WHERE];
    unsigned count;
    int found;
    if (!find_conditions(r, list, &count, err))
        return false;
    while ((found = rt_csv_file_next(r->f, err)) > 0)
        if (wanted(r, list, count) && !r->format->row(r, err))
            return false;
    return found == 0 && add_elementwise(r, err);
}

bool rt_op_read_formats(struct rt_op_table *t, const char *path, const struct rt_op_source *source,
                        struct rt_err *err)
{
    struct op_reader *r = calloc(1, sizeof *r);
    uint32_t nobody;
    if (r == NULL)
        return rt_fail_nomem(err, "a table");
    r->t = t;
    r->source = source;
    bool ok = rt_op_name(&t->groups, "", &nobody, err) && rt_op_name(&t->gpus, "", &nobody, err) &&
              rt_csv_file_open(path, &r->f, err);
    if (ok) {
        r->format = pick(r->f, path, source != NULL ? source->format : NULL, err);
        ok = r->format != NULL;
        for (unsigned i = 0; ok && i < RT_OP_MAX_COLUMNS && r->format->columns[i] != NULL; i++)
            r->column[i] = rt_csv_file_find(r->f, r->format->columns[i]);
        ok =
            ok && (r->format->begin == NULL || r->format->begin(r, path, err)) && read_rows(r, err);
    }
    rt_csv_file_close(r->f);
    free(r->parts);
    free(r);
    return ok;
}
