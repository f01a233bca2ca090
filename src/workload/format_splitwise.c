/* format_splitwise.c: splitwise-sim's request files (Mutinifni/splitwise-sim), CSV.
 *
 *     request_id,request_type,application_id,arrival_timestamp,batch_size,prompt_size,token_size
 *
 * arrival_timestamp is in seconds; application_id is the tenant. request_type 2 is a request to a
 * language model; other types are left out. */
#include "workload_internal.h"

#include <string.h>

static const struct rt_csv_column columns[] = {
    RT_COLUMN("request_type", KIND, false),        RT_COLUMN("application_id", TENANT, false),
    RT_COLUMN("arrival_timestamp", ARRIVAL, true), RT_COLUMN("prompt_size", PROMPT, true),
    RT_COLUMN("token_size", OUTPUT, true),
};

static bool finish(struct rt_trace *t, struct rt_row *r, struct rt_err *err)
{
    (void)t;
    (void)err;
    r->left_out = r->kind[0] != '\0' && strcmp(r->kind, "2") != 0;
    return true;
}

const struct rt_trace_format rt_format_splitwise = {
    .name = "splitwise",
    .help = "splitwise-sim CSV: arrival_timestamp (s), prompt_size, token_size, application_id",
    .marks = {{"prompt_size", "token_size"}},
    RT_CSV_TABLE(columns),
    .finish = finish,
};
