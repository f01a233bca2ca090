/* format_mooncake.c: Mooncake's JSONL and what others made of it, one object a line.
 *
 *     {"timestamp": 3000, "input_length": 1600, "output_length": 5, "hash_ids": [0, 1, 3, 4]}
 *     {"session_id": "a", "delay": 50, "input_length": 2560, "output_length": 128}
 *     {"request_id": "r2", "wait_for": ["r1"], "tool_wait_ms": 250, "delay": 10, ...}
 *
 * timestamp is in milliseconds; hash_ids name blocks of 512 tokens, the last one partial, and are
 * nodes of a prefix tree. AIPerf and Dynamo write created_time, input_tokens, output_tokens,
 * delay_ms: read as the same. delay and tool_wait_ms, in milliseconds, follow the answer of the
 * session's last turn and make its think time; a row without a timestamp arrives that long after
 * the turn before it at the earliest. wait_for: the first id counts, and the session is that of its
 * request. Prompts given as text (text_input, messages) have no length in tokens: an error. */
#include "workload_internal.h"

static const struct rt_json_member members[] = {
    RT_TIME("timestamp", ARRIVAL, MS),
    RT_MEMBER("input_length", PROMPT),
    RT_MEMBER("output_length", OUTPUT),
    RT_MEMBER("hash_ids", HASH_IDS),
    RT_MEMBER("session_id", SESSION),
    RT_TIME("delay", THINK, MS),
    RT_TIME("delay_ms", THINK, MS),
    RT_TIME("timestamp_ms", ARRIVAL, MS),
    RT_TIME("created_time", ARRIVAL, MS),
    RT_MEMBER("input_tokens", PROMPT),
    RT_MEMBER("output_tokens", OUTPUT),
    RT_MEMBER("prompt_tokens", PROMPT),
    RT_MEMBER("arrival_s", ARRIVAL),
    RT_MEMBER("priority", PRIORITY),
    RT_MEMBER("policy_class", CLASS),
    RT_MEMBER("class", CLASS),
    RT_MEMBER("model", MODEL),
    RT_MEMBER("tenant", TENANT),
    RT_MEMBER("think_s", THINK),
    RT_MEMBER("deadline_s", DEADLINE),
    RT_MEMBER("request_id", KEY),
    RT_MEMBER("wait_for", PARENT),
    RT_TIME("tool_wait_ms", WAIT_TOO, MS),
    RT_MEMBER("strict_priority", NONE),
    RT_MEMBER("branches", NONE),
    RT_MEMBER("prefix_reset", NONE),
    RT_MEMBER("extra", NONE),
    RT_MEMBER("tools", NONE),
    RT_MEMBER("messages", NONE),
    RT_MEMBER("text_input", NONE),
};
static const struct rt_json_shape row = {members, RT_LENGTH(members), true};

static bool finish(struct rt_trace *t, struct rt_row *r, struct rt_err *err)
{
    bool waits = (r->seen & (RT_BIT(RT_FIELD_THINK) | RT_BIT(RT_FIELD_WAIT_TOO))) != 0;
    if ((r->seen & RT_BIT(RT_FIELD_ARRIVAL)) == 0 && !waits)
        return rt_fail(err, RT_ETRACE,
                       "expected the key \"timestamp\", or \"delay\" after the turn before, read "
                       "an object without either");
    if (waits)
        r->r.think_ns = (r->r.think_ns > 0 ? r->r.think_ns : 0) + r->wait_too_ns;
    rt_turns_follow(t->turns, r);
    return true;
}

const struct rt_trace_format rt_format_mooncake = {
    .name = "mooncake",
    .help =
        "Mooncake JSONL, also AIPerf's: timestamp (ms), input_length, hash_ids, session_id, delay",
    .block_size = 512,
    .flags = RT_FORMAT_STRICT | RT_FORMAT_LINES | RT_FORMAT_TURNS,
    .required = RT_BIT(RT_FIELD_PROMPT) | RT_BIT(RT_FIELD_OUTPUT),
    .marks = {{"timestamp", "input_length"},
              {"timestamp", "input_tokens"},
              {"created_time"},
              {"input_length", "delay"}},
    RT_JSON_ROWS(row),
    .finish = finish,
};
