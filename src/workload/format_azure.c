/* format_azure.c: the Azure LLM inference traces of 2023, 2024 and 2025 (Azure/AzurePublicDataset).
 *
 *     TIMESTAMP,ContextTokens,GeneratedTokens             2023 (CR LF, no last line end), 2024
 *     TIMESTAMP,NumImages,ContextTokens,GeneratedTokens   2025 multimodal; images are not modelled
 *
 * The three kinds of time stamp are told apart row by row (stamp.c). */
#include "workload_internal.h"

static const struct rt_csv_column columns[] = {
    {{"TIMESTAMP", RT_FIELD_ARRIVAL_STAMP}, true},
    {{"ContextTokens", RT_FIELD_PROMPT}, true},
    {{"GeneratedTokens", RT_FIELD_OUTPUT}, true},
};

static bool azure_matches(const char *line, size_t len)
{
    return rt_csv_header_has(line, len, "ContextTokens") ||
           rt_csv_header_has(line, len, "GeneratedTokens");
}

static bool azure_open(struct rt_trace *t, struct rt_err *err)
{
    return rt_csv_table_open(t, columns, sizeof columns / sizeof columns[0], err);
}

/* The stamps of one file sort like text. */
static void azure_sort_command(const struct rt_trace *t, char *buf, size_t size)
{
    rt_csv_table_sort_command(t, false, buf, size);
}

const struct rt_trace_format rt_format_azure = {
    .name = "azure",
    .help = "Azure 2023/2024/2025 CSV: TIMESTAMP,[NumImages,]ContextTokens,GeneratedTokens",
    .matches = azure_matches,
    .open = azure_open,
    .read = rt_csv_table_read,
    .rewind = rt_csv_table_rewind,
    .close = rt_csv_table_close,
    .sort_command = azure_sort_command,
};
