/* workload/records.h: a file of records, for readers that are no traces: CSV fields or whole lines.
 *
 * Plain, .gz and .zst (told by their first bytes), read as a stream in constant memory; a line of
 * at most 64 MiB. CSV as RFC 4180 has it. What a call answers stays valid until the next one.
 * Failures: RT_EIO, RT_ENOMEM, and RT_ETRACE with file:line:column in front. O(bytes). */
#ifndef RT_RECORDS_H
#define RT_RECORDS_H

#include "rooftrace/err.h"

#include <stddef.h>
#include <stdint.h>

struct rt_records;

struct rt_csv_field {
    char *text; /* unescaped; text[len] is writable */
    size_t len;
    size_t offset; /* in the record, for messages */
};

/* `path` "-" is standard input. */
bool rt_records_open(const char *path, struct rt_records **out, struct rt_err *err) RT_MUST_USE;
void rt_records_close(struct rt_records *r);
/* 1: *text is the next line that is not blank, without its end; 0: end; -1: error. */
int rt_records_line(struct rt_records *r, const char **text, size_t *len,
                    struct rt_err *err) RT_MUST_USE;
/* The next line or record is the current line again. */
void rt_records_push_back(struct rt_records *r);
/* 1: the fields of the next record that is not blank; 0: end; -1: error. */
int rt_records_csv(struct rt_records *r, const struct rt_csv_field **fields, uint32_t *count,
                   struct rt_err *err) RT_MUST_USE;
/* Puts file:line:column in front of the message, for byte `offset` of the current record. Always
 * returns false. */
bool rt_records_fail_in(const struct rt_records *r, size_t offset, struct rt_err *err);
/* The whole text is a finite decimal number: the nearest double. text[len] must be readable. */
bool rt_records_number(const char *text, size_t len, double *out) RT_MUST_USE;

#endif
