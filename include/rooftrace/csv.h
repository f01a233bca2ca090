/* workload/csv.h: a CSV file with a header, row by row, columns by name: for measured tables and
 * logs. Fields as RFC 4180 has them, blanks around them do not count; plain, .gz or .zst. Every row
 * has as many fields as the header. Failures are RT_ETRACE with path:line:column in front, RT_EIO,
 * RT_ENOMEM. O(bytes); memory: one row. */
#ifndef RT_CSV_H
#define RT_CSV_H

#include "rooftrace/err.h"

struct rt_csv_file;

/* Opens and reads the header. The caller closes *out; NULL is allowed there. */
bool rt_csv_file_open(const char *path, struct rt_csv_file **out, struct rt_err *err) RT_MUST_USE;
void rt_csv_file_close(struct rt_csv_file *f);
unsigned rt_csv_file_columns(const struct rt_csv_file *f);
const char *rt_csv_file_name(const struct rt_csv_file *f, unsigned column);
/* The column of this name, or -1. */
int rt_csv_file_find(const struct rt_csv_file *f, const char *name);
/* 1: the next row; 0: end; -1: error. */
int rt_csv_file_next(struct rt_csv_file *f, struct rt_err *err) RT_MUST_USE;
/* A field of the current row, "" when empty; valid until the next one. */
const char *rt_csv_file_text(const struct rt_csv_file *f, unsigned column);
/* The field as a decimal number; fails on anything else, also on nothing. */
bool rt_csv_file_number(const struct rt_csv_file *f, unsigned column, double *out,
                        struct rt_err *err) RT_MUST_USE;
/* Puts the place of the field and its column's name in front of the message. Always false. */
bool rt_csv_file_fail_in(const struct rt_csv_file *f, unsigned column, struct rt_err *err);

#endif
