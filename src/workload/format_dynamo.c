/* format_dynamo.c: Dynamo's request traces (dynamo.request.trace.v1), JSONL of events.
 *
 *     {"timestamp": 0, "event": {"event_type": "request_end", "agent_context": {"session_id": "s"},
 *      "request": {"model": "m", "input_tokens": 15, "output_tokens": 3, "request_received_ms":
 * ..., "replay": {"trace_block_size": 16, "input_sequence_hashes": [...]}}}}
 *
 * The arrival is request_received_ms, since 1970; timestamp tells of the end. Hashes are unsigned
 * 64-bit numbers. Events without a request (tool_start ...) are left out. */
#include "workload_internal.h"

static const struct rt_json_member replay_members[] = {
    RT_MEMBER("trace_block_size", BLOCK_SIZE),
    RT_MEMBER("input_length", PROMPT),
    RT_MEMBER("input_sequence_hashes", HASH_IDS),
};
static const struct rt_json_shape replay = {replay_members, RT_LENGTH(replay_members), false};
static const struct rt_json_member request_members[] = {
    RT_MEMBER("model", MODEL),
    RT_MEMBER("input_tokens", PROMPT),
    RT_MEMBER("output_tokens", OUTPUT),
    RT_TIME("request_received_ms", ARRIVAL, MS),
    {.name = "replay", .object = &replay},
};
static const struct rt_json_shape request = {request_members, RT_LENGTH(request_members), false};
static const struct rt_json_member context_members[] = {RT_MEMBER("session_id", SESSION)};
static const struct rt_json_shape context = {context_members, RT_LENGTH(context_members), false};
static const struct rt_json_member event_members[] = {
    {.name = "agent_context", .object = &context},
    {.name = "request", .object = &request},
};
static const struct rt_json_shape event = {event_members, RT_LENGTH(event_members), false};
static const struct rt_json_member members[] = {{.name = "event", .object = &event}};
static const struct rt_json_shape row = {members, RT_LENGTH(members), true};

const struct rt_trace_format rt_format_dynamo = {
    .name = "dynamo",
    .help = "Dynamo request trace v1, JSONL: event.request with request_received_ms, replay hashes",
    .block_size = 16,
    .flags = RT_FORMAT_LINES | RT_FORMAT_SPARSE,
    .required = RT_ROW_NEEDS,
    .marks = {{"dynamo.request.trace.v1"}, {"event", "request_received_ms"}},
    RT_JSON_ROWS(row),
};
