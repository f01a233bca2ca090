/* trace_formats.c: the one table of trace formats. Help, error messages and recognition read it.
 * A new format is one file format_x.c (struct rt_trace_format; a CSV format is a table of columns,
 * see format_azure.c) and one line here. The first that matches the first line is taken. */
#include "workload_internal.h"

const struct rt_trace_format *const rt_trace_formats[] = {
    &rt_format_native_csv,
    &rt_format_azure,
    &rt_format_mooncake, /* before jsonl: the same reader, told by its names */
    &rt_format_jsonl,
};
const unsigned rt_trace_formats_count = sizeof rt_trace_formats / sizeof rt_trace_formats[0];

unsigned rt_trace_format_count(void)
{
    return rt_trace_formats_count;
}

struct rt_trace_format_info rt_trace_format_info(unsigned i)
{
    return (struct rt_trace_format_info){rt_trace_formats[i]->name, rt_trace_formats[i]->help};
}
