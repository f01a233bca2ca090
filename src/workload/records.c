/* records.c: the line reader and the CSV splitter behind a public handle. Nothing is copied. */
#include "workload_internal.h"

#include <stdlib.h>

struct rt_records {
    struct rt_lines lines;
    struct rt_csv csv;
};

bool rt_records_open(const char *path, struct rt_records **out, struct rt_err *err)
{
    struct rt_records *r = calloc(1, sizeof *r);

    *out = NULL;
    if (r == NULL)
        return rt_fail_nomem(err, "records");
    if (!rt_lines_open(path, &r->lines, err)) {
        free(r);
        return false;
    }
    r->csv.lines = &r->lines;
    *out = r;
    return true;
}

void rt_records_close(struct rt_records *r)
{
    if (r == NULL)
        return;
    rt_csv_release(&r->csv);
    rt_lines_close(&r->lines);
    free(r);
}

int rt_records_line(struct rt_records *r, const char **text, size_t *len, struct rt_err *err)
{
    int found;

    do {
        found = rt_lines_next(&r->lines, err);
        if (found <= 0)
            return found;
    } while (rt_line_is_blank(r->lines.text, r->lines.len));
    *text = r->lines.text;
    *len = r->lines.len;
    return 1;
}

void rt_records_push_back(struct rt_records *r)
{
    rt_lines_push_back(&r->lines);
}

int rt_records_csv(struct rt_records *r, const struct rt_csv_field **fields, uint32_t *count,
                   struct rt_err *err)
{
    int found = rt_csv_next(&r->csv, err);

    *fields = r->csv.fields;
    *count = r->csv.count;
    return found;
}

bool rt_records_fail_in(const struct rt_records *r, size_t offset, struct rt_err *err)
{
    return rt_lines_fail_in(&r->lines, offset, err);
}

bool rt_records_number(const char *text, size_t len, double *out)
{
    return rt_number_double(text, len, out) == RT_NUMBER_OK;
}
