/* A CSV file with a header for readers outside this folder: lines, fields and their places come
 * from line_reader.c and csv.c; here are the names of the columns and the current row. A column may
 * stand there once. Failures: no header, a row of another width, what those two say. O(bytes). */
#include "rooftrace/csv.h"
#include "workload_internal.h"

#include <stdlib.h>
#include <string.h>

struct rt_csv_file {
    char *path;
    struct rt_lines lines;
    struct rt_csv csv;
    char **names; /* [width] */
    unsigned width;
};

static void trim(struct rt_csv_field *f)
{
    while (f->len > 0 && (f->text[0] == ' ' || f->text[0] == '\t')) {
        f->text++;
        f->offset++;
        f->len--;
    }
    while (f->len > 0 && (f->text[f->len - 1] == ' ' || f->text[f->len - 1] == '\t'))
        f->len--;
    f->text[f->len] = '\0';
}

static bool keep_names(struct rt_csv_file *f, struct rt_err *err)
{
    f->names = calloc(f->csv.count, sizeof *f->names);
    if (f->names == NULL)
        return rt_fail_nomem(err, "columns of a table");
    f->width = f->csv.count;
    for (unsigned i = 0; i < f->width; i++) {
        trim(&f->csv.fields[i]);
        for (unsigned k = 0; k < i; k++)
            if (strcmp(f->names[k], f->csv.fields[i].text) == 0) {
                rt_fail(err, RT_ETRACE, "expected a column once, read it again");
                return rt_csv_file_fail_in(f, k, err);
            }
        f->names[i] = strdup(f->csv.fields[i].text);
        if (f->names[i] == NULL)
            return rt_fail_nomem(err, "columns of a table");
    }
    return true;
}

static bool open_file(struct rt_csv_file *f, const char *path, struct rt_err *err)
{
    f->path = strdup(path);
    if (f->path == NULL)
        return rt_fail_nomem(err, "path of a table");
    if (!rt_lines_open(f->path, &f->lines, err))
        return false;
    f->csv.lines = &f->lines;
    int found = rt_csv_next(&f->csv, err);
    if (found < 0)
        return false;
    if (found == 0)
        return rt_fail(err, RT_ETRACE, "%s: expected a header, read nothing", path);
    return keep_names(f, err);
}

bool rt_csv_file_open(const char *path, struct rt_csv_file **out, struct rt_err *err)
{
    struct rt_csv_file *f = calloc(1, sizeof *f);

    *out = NULL;
    if (f == NULL)
        return rt_fail_nomem(err, "a table");
    if (!open_file(f, path, err)) {
        rt_csv_file_close(f);
        return false;
    }
    *out = f;
    return true;
}

void rt_csv_file_close(struct rt_csv_file *f)
{
    if (f == NULL)
        return;
    for (unsigned i = 0; i < f->width; i++)
        free(f->names[i]);
    free(f->names);
    rt_csv_release(&f->csv);
    rt_lines_close(&f->lines);
    free(f->path);
    free(f);
}

unsigned rt_csv_file_columns(const struct rt_csv_file *f)
{
    return f->width;
}

const char *rt_csv_file_name(const struct rt_csv_file *f, unsigned column)
{
    return f->names[column];
}

int rt_csv_file_find(const struct rt_csv_file *f, const char *name)
{
    for (unsigned i = 0; i < f->width; i++)
        if (strcmp(f->names[i], name) == 0)
            return (int)i;
    return -1;
}

int rt_csv_file_next(struct rt_csv_file *f, struct rt_err *err)
{
    int found = rt_csv_next(&f->csv, err);
    if (found <= 0)
        return found;
    if (f->csv.count != f->width) {
        rt_fail(err, RT_ETRACE, "expected %u fields as in the header, read %u", f->width,
                f->csv.count);
        rt_lines_fail_in(&f->lines, 0, err);
        return -1;
    }
    for (unsigned i = 0; i < f->width; i++)
        trim(&f->csv.fields[i]);
    return 1;
}

const char *rt_csv_file_text(const struct rt_csv_file *f, unsigned column)
{
    return f->csv.fields[column].text;
}

bool rt_csv_file_number(const struct rt_csv_file *f, unsigned column, double *out,
                        struct rt_err *err)
{
    const struct rt_csv_field *field = &f->csv.fields[column];
    char read[RT_EXCERPT_BYTES];

    if (rt_number_double(field->text, field->len, out) == RT_NUMBER_OK)
        return true;
    rt_fail(err, RT_ETRACE, "expected a number, read %s",
            rt_excerpt(field->text, field->len, read));
    return rt_csv_file_fail_in(f, column, err);
}

bool rt_csv_file_fail_in(const struct rt_csv_file *f, unsigned column, struct rt_err *err)
{
    rt_fail_in(err, "%.60s", f->names[column]);
    return rt_lines_fail_in(&f->lines, f->csv.fields[column].offset, err);
}
