/* format_burstgpt.c: BurstGPT (HPMLL/BurstGPT), CSV, columns by name: version 2 has two more.
 *
 *     Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
 *     Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type
 *
 * Timestamp counts seconds (19440110.0 in version 2); rows of the same second, even equal ones, are
 * different requests. A request with 0 response tokens failed: it is kept, as a prompt with an
 * answer of one token, because the service did meet it; --failed drop leaves it out, as vLLM's
 * benchmark does. Log Type is the class. */
#include "workload_internal.h"

static const struct rt_csv_column columns[] = {
    RT_COLUMN("Timestamp", ARRIVAL, true),      RT_COLUMN("Session ID", SESSION, false),
    RT_COLUMN("Model", MODEL, false),           RT_COLUMN("Request tokens", PROMPT, true),
    RT_COLUMN("Response tokens", OUTPUT, true), RT_COLUMN("Log Type", CLASS, false),
};

static bool finish(struct rt_trace *t, struct rt_row *r, struct rt_err *err)
{
    (void)t;
    (void)err;
    r->failed = r->r.output_tokens == 0;
    return true;
}

const struct rt_trace_format rt_format_burstgpt = {
    .name = "burstgpt",
    .help = "BurstGPT CSV, both versions: Timestamp (s), Request tokens, Response tokens, Log Type",
    .marks = {{"Request tokens"}},
    RT_CSV_TABLE(columns),
    .finish = finish,
};
