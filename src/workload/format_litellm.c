/* format_litellm.c: LiteLLM's spend logs (table LiteLLM_SpendLogs), exported as CSV or as JSON.
 *
 *     request_id,...,prompt_tokens,completion_tokens,...,startTime,...,model,model_group,session_id,
 *     end_user,team_id,cache_hit,status
 *
 * startTime is the arrival; model_group is the class, team_id the tenant. A row whose cache_hit is
 * true was answered by the proxy and never met an engine: left out. status other than success is a
 * failure: kept unless --failed drop. */
#include "workload_internal.h"

static const struct rt_csv_column columns[] = {
    RT_TIME_COLUMN("startTime", ARRIVAL, STAMP, true),
    RT_COLUMN("prompt_tokens", PROMPT, true),
    RT_COLUMN("completion_tokens", OUTPUT, true),
    RT_COLUMN("model", MODEL, false),
    RT_COLUMN("model_group", CLASS, false),
    RT_COLUMN("session_id", SESSION, false),
    RT_COLUMN("team_id", TENANT, false),
    RT_COLUMN("cache_hit", CACHED, false),
    RT_COLUMN("status", FAILURE, false),
};
static const struct rt_json_member members[] = {
    RT_TIME("startTime", ARRIVAL, STAMP),   RT_MEMBER("prompt_tokens", PROMPT),
    RT_MEMBER("completion_tokens", OUTPUT), RT_MEMBER("model", MODEL),
    RT_MEMBER("model_group", CLASS),        RT_MEMBER("session_id", SESSION),
    RT_MEMBER("team_id", TENANT),           RT_MEMBER("cache_hit", CACHED),
    RT_MEMBER("status", FAILURE),
};
static const struct rt_json_shape row = {members, RT_LENGTH(members), true};

const struct rt_trace_format rt_format_litellm = {
    .name = "litellm",
    .help = "LiteLLM spend logs, CSV: startTime, prompt_tokens, completion_tokens, session_id",
    .marks = {{"startTime", "completion_tokens"}},
    RT_CSV_TABLE(columns),
};

const struct rt_trace_format rt_format_litellm_json = {
    .name = "litellm_json",
    .help = "LiteLLM spend logs, JSON: the same, an array or an object a line",
    .required = RT_ROW_NEEDS,
    .marks = {{"startTime", "completion_tokens"}},
    RT_JSON_ROWS(row),
};
