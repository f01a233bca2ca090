/* format_native_csv.c: rooftrace's own CSV: arrival_s,prompt_tokens,output_tokens and, when there,
 * the optional fields of the native JSONL under the same names (docs of schemas/trace.schema.json);
 * hash_ids are a list and exist in JSONL only. */
#include "workload_internal.h"

static const struct rt_csv_column columns[] = {
    {{"arrival_s", RT_FIELD_ARRIVAL_S}, true},    {{"prompt_tokens", RT_FIELD_PROMPT}, true},
    {{"output_tokens", RT_FIELD_OUTPUT}, true},   {{"class", RT_FIELD_CLASS}, false},
    {{"model", RT_FIELD_MODEL}, false},           {{"session_id", RT_FIELD_SESSION}, false},
    {{"think_s", RT_FIELD_THINK_S}, false},       {{"priority", RT_FIELD_PRIORITY}, false},
    {{"deadline_s", RT_FIELD_DEADLINE_S}, false}, {{"tenant", RT_FIELD_TENANT}, false},
};

static bool native_matches(const char *line, size_t len)
{
    return rt_csv_header_has(line, len, "arrival_s") ||
           rt_csv_header_has(line, len, "prompt_tokens");
}

static bool native_open(struct rt_trace *t, struct rt_err *err)
{
    return rt_csv_table_open(t, columns, sizeof columns / sizeof columns[0], err);
}

static void native_sort_command(const struct rt_trace *t, char *buf, size_t size)
{
    rt_csv_table_sort_command(t, true, buf, size);
}

const struct rt_trace_format rt_format_native_csv = {
    .name = "csv",
    .help = "rooftrace CSV: arrival_s,prompt_tokens,output_tokens[,class,session_id,...]",
    .matches = native_matches,
    .open = native_open,
    .read = rt_csv_table_read,
    .rewind = rt_csv_table_rewind,
    .close = rt_csv_table_close,
    .sort_command = native_sort_command,
};
