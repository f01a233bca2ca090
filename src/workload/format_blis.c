/* format_blis.c: TraceV2 of BLIS (inference-sim): the CSV of its 27 and more columns, found by
 * name.
 *
 * Times are in microseconds. The YAML header beside it holds nothing that changes a request and is
 * not read. think_time_us 0 means none; status other than ok is a failure; slo_class is the class.
 * Deadlines are not read (the format does not say from when they count), nor are shared prefixes by
 * group. */
#include "workload_internal.h"

static const struct rt_csv_column columns[] = {
    RT_TIME_COLUMN("arrival_time_us", ARRIVAL, US, true),
    RT_COLUMN("input_tokens", PROMPT, true),
    RT_COLUMN("output_tokens", OUTPUT, true),
    RT_COLUMN("tenant_id", TENANT, false),
    RT_COLUMN("slo_class", CLASS, false),
    RT_COLUMN("session_id", SESSION, false),
    RT_COLUMN("model", MODEL, false),
    RT_COLUMN("vllm_priority", PRIORITY, false),
    RT_TIME_COLUMN("think_time_us", THINK, US, false),
    RT_COLUMN("status", FAILURE, false),
};

static bool finish(struct rt_trace *t, struct rt_row *r, struct rt_err *err)
{
    (void)t;
    (void)err;
    if (r->r.think_ns == 0)
        r->r.think_ns = -1;
    return true;
}

const struct rt_trace_format rt_format_blis = {
    .name = "blis",
    .help = "BLIS TraceV2 CSV: arrival_time_us, input_tokens, output_tokens, session_id, slo_class",
    .marks = {{"arrival_time_us", "input_tokens"}},
    RT_CSV_TABLE(columns),
    .finish = finish,
};
