/* format_native_csv.c: rooftrace's own CSV: arrival_s,prompt_tokens,output_tokens and, when there,
 * the optional fields of the native JSONL under the same names (docs of schemas/trace.schema.json);
 * hash_ids are a list and exist in JSONL only. */
#include "workload_internal.h"

static const struct rt_csv_column columns[] = {
    RT_COLUMN("arrival_s", ARRIVAL, true),    RT_COLUMN("prompt_tokens", PROMPT, true),
    RT_COLUMN("output_tokens", OUTPUT, true), RT_COLUMN("class", CLASS, false),
    RT_COLUMN("model", MODEL, false),         RT_COLUMN("session_id", SESSION, false),
    RT_COLUMN("think_s", THINK, false),       RT_COLUMN("priority", PRIORITY, false),
    RT_COLUMN("deadline_s", DEADLINE, false), RT_COLUMN("tenant", TENANT, false),
};

const struct rt_trace_format rt_format_native_csv = {
    .name = "csv",
    .help = "rooftrace CSV: arrival_s,prompt_tokens,output_tokens[,class,session_id,...]",
    .marks = {{"arrival_s"}, {"prompt_tokens"}},
    RT_CSV_TABLE(columns),
};
