/* format_azure.c: the Azure LLM inference traces of 2023, 2024 and 2025 (Azure/AzurePublicDataset).
 *
 *     TIMESTAMP,ContextTokens,GeneratedTokens             2023 (CR LF, no last line end), 2024
 *     TIMESTAMP,NumImages,ContextTokens,GeneratedTokens   2025 multimodal; images are not modelled
 *
 * The three kinds of time stamp are told apart row by row (stamp.c). */
#include "workload_internal.h"

static const struct rt_csv_column columns[] = {
    RT_TIME_COLUMN("TIMESTAMP", ARRIVAL, STAMP, true),
    RT_COLUMN("ContextTokens", PROMPT, true),
    RT_COLUMN("GeneratedTokens", OUTPUT, true),
};

const struct rt_trace_format rt_format_azure = {
    .name = "azure",
    .help = "Azure 2023/2024/2025 CSV: TIMESTAMP,[NumImages,]ContextTokens,GeneratedTokens",
    .marks = {{"ContextTokens"}, {"GeneratedTokens"}},
    RT_CSV_TABLE(columns),
};
