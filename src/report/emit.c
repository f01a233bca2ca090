/* Formatted text into a stream that the caller opened. */
#include "report_internal.h"

#include <stdarg.h>

void rt_emit(FILE *out, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fputs(text, out);
}
