/* format_vidur.c: Vidur's traces (microsoft/vidur), CSV: arrived_at in seconds. Its files of
 * lengths alone have no arrived_at and are refused. */
#include "workload_internal.h"

static const struct rt_csv_column columns[] = {
    RT_COLUMN("arrived_at", ARRIVAL, true),
    RT_COLUMN("num_prefill_tokens", PROMPT, true),
    RT_COLUMN("num_decode_tokens", OUTPUT, true),
};

const struct rt_trace_format rt_format_vidur = {
    .name = "vidur",
    .help = "Vidur CSV: arrived_at (s), num_prefill_tokens, num_decode_tokens",
    .marks = {{"num_prefill_tokens"}},
    RT_CSV_TABLE(columns),
};
