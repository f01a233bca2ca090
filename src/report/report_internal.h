/* What the files of src/report share: text into a stream that the caller opened. */
#ifndef RT_REPORT_INTERNAL_H
#define RT_REPORT_INTERNAL_H

#include "rooftrace/report.h"

/* fputs of formatted text; lines are short, a longer one is cut at 1,023 bytes. */
void rt_emit(FILE *out, const char *fmt, ...) RT_PRINTF(2, 3);
/* A JSON string: escaped, and JSON whatever the bytes are. */
void rt_emit_text(FILE *out, const char *text);

#endif
