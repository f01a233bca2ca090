/* format_otel.c: OpenTelemetry spans of language model calls (GenAI conventions), JSON.
 *
 *     {"startTimeUnixNano": "1700000000000000000", "attributes": [
 *       {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "100"}}, ...]}
 *
 * Spans may stand one a line, in "spans", or as OTLP nests them (resourceSpans, scopeSpans, spans),
 * with attributes as pairs or as an object. Names of the older conventions and of vLLM
 * (prompt_tokens, completion_tokens) mean the same. Spans without both counts of tokens are no
 * requests: left out. A span's start is the arrival; gen_ai.conversation.id is the session. */
#include "workload_internal.h"

static const struct rt_json_shape span;
static const struct rt_json_member attribute_members[] = {
    RT_MEMBER("gen_ai.usage.input_tokens", PROMPT),
    RT_MEMBER("gen_ai.usage.output_tokens", OUTPUT),
    RT_MEMBER("gen_ai.usage.prompt_tokens", PROMPT),
    RT_MEMBER("gen_ai.usage.completion_tokens", OUTPUT),
    RT_MEMBER("gen_ai.conversation.id", SESSION),
    RT_MEMBER("gen_ai.request.model", MODEL),
};
static const struct rt_json_shape attributes = {attribute_members, RT_LENGTH(attribute_members),
                                                false};
static const struct rt_json_member status_members[] = {RT_MEMBER("code", FAILURE)};
static const struct rt_json_shape status = {status_members, RT_LENGTH(status_members), false};
static const struct rt_json_member scope_members[] = {{.name = "spans", .items = &span}};
static const struct rt_json_shape scope = {scope_members, RT_LENGTH(scope_members), false};
static const struct rt_json_member resource_members[] = {{.name = "scopeSpans", .items = &scope}};
static const struct rt_json_shape resource = {resource_members, RT_LENGTH(resource_members), false};
static const struct rt_json_member span_members[] = {
    RT_TIME("startTimeUnixNano", ARRIVAL, STAMP_OR_NS),
    RT_TIME("start_time_unix_nano", ARRIVAL, STAMP_OR_NS),
    RT_TIME("start_time", ARRIVAL, STAMP_OR_NS),
    {.name = "attributes", .pairs = &attributes},
    {.name = "status", .object = &status},
    {.name = "resourceSpans", .items = &resource},
    {.name = "spans", .items = &span},
};
static const struct rt_json_shape span = {span_members, RT_LENGTH(span_members), true};

const struct rt_trace_format rt_format_otel = {
    .name = "otel",
    .help = "OpenTelemetry GenAI spans, OTLP JSON or one span a line: gen_ai.usage.*_tokens",
    .flags = RT_FORMAT_SPARSE,
    .required = RT_ROW_NEEDS,
    .marks = {{"startTimeUnixNano"}, {"resourceSpans"}, {"start_time", "attributes"}},
    RT_JSON_ROWS(span),
};
