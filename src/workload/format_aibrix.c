/* format_aibrix.c: AIBrix workload files, JSONL: the requests of one moment a line.
 *
 *     {"timestamp": 19, "requests": [{"prompt": "a", "prompt_length": 1, "output_length": null,
 *      "session_id": 0}, {"Prompt Length": 3, "Output Length": 22, "prompt": "b"}]}
 *
 * timestamp is in milliseconds; the names with blanks are those of older files. An output_length
 * that is null or missing is unknown: it counts as 0, which acts as 1 and is counted. */
#include "workload_internal.h"

static const struct rt_json_member request_members[] = {
    RT_MEMBER("prompt_length", PROMPT), RT_MEMBER("output_length", OUTPUT),
    RT_MEMBER("Prompt Length", PROMPT), RT_MEMBER("Output Length", OUTPUT),
    RT_MEMBER("session_id", SESSION),   RT_MEMBER("model", MODEL),
};
static const struct rt_json_shape request = {request_members, RT_LENGTH(request_members), true};
static const struct rt_json_member moment_members[] = {
    RT_TIME("timestamp", ARRIVAL, MS),
    {.name = "requests", .items = &request},
};
static const struct rt_json_shape moment = {moment_members, RT_LENGTH(moment_members), true};

const struct rt_trace_format rt_format_aibrix = {
    .name = "aibrix",
    .help = "AIBrix workload JSONL: timestamp (ms), requests[] of prompt_length, output_length",
    .flags = RT_FORMAT_LINES,
    .required = RT_BIT(RT_FIELD_ARRIVAL) | RT_BIT(RT_FIELD_PROMPT),
    .marks = {{"timestamp", "requests"}},
    RT_JSON_ROWS(moment),
};
