/* format_jsonl.c: rooftrace's JSONL, one object a line; Mooncake's three names are aliases.
 *
 *     {"arrival_s": 0.25, "prompt_tokens": 374, "output_tokens": 44, "class": "chat"}
 *
 * schemas/trace.schema.json says the same as this table; a test feeds both. */
#include "workload_internal.h"

static const struct rt_json_member members[] = {
    RT_MEMBER("arrival_s", ARRIVAL),    RT_TIME("timestamp", ARRIVAL, MS),
    RT_MEMBER("prompt_tokens", PROMPT), RT_MEMBER("input_length", PROMPT),
    RT_MEMBER("output_tokens", OUTPUT), RT_MEMBER("output_length", OUTPUT),
    RT_MEMBER("hash_ids", HASH_IDS),    RT_MEMBER("class", CLASS),
    RT_MEMBER("model", MODEL),          RT_MEMBER("session_id", SESSION),
    RT_MEMBER("think_s", THINK),        RT_MEMBER("priority", PRIORITY),
    RT_MEMBER("deadline_s", DEADLINE),  RT_MEMBER("tenant", TENANT),
};
static const struct rt_json_shape row = {members, RT_LENGTH(members), true};

static bool matches(const char *head, size_t len)
{
    return len > 0 && head[0] == '{'; /* the last of all JSON formats */
}

const struct rt_trace_format rt_format_jsonl = {
    .name = "jsonl",
    .help = "rooftrace JSONL: arrival_s, prompt_tokens, output_tokens[, hash_ids, class, ...]",
    .block_size = 512, /* as Mooncake's */
    .flags = RT_FORMAT_STRICT | RT_FORMAT_LINES,
    .required = RT_ROW_NEEDS,
    .matches = matches,
    RT_JSON_ROWS(row),
};
