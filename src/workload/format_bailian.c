/* format_bailian.c: Alibaba's Bailian traces (alibaba-edu/qwen-bailian-usagetraces-anon), JSONL.
 *
 *     {"chat_id": 160, "parent_chat_id": 159, "timestamp": 62.5, "input_length": 200,
 *      "output_length": 4, "type": "text", "turn": 2, "hash_ids": [1089, 1090, ...]}
 *
 * timestamp is in seconds, a hash id names 16 tokens. A chat continues the one that parent_chat_id
 * names (-1: none); the session is the whole chain, named after its first chat. type is the class.
 */
#include "workload_internal.h"

static const struct rt_json_member members[] = {
    RT_MEMBER("chat_id", KEY),          RT_MEMBER("parent_chat_id", PARENT),
    RT_MEMBER("timestamp", ARRIVAL),    RT_MEMBER("input_length", PROMPT),
    RT_MEMBER("output_length", OUTPUT), RT_MEMBER("type", CLASS),
    RT_MEMBER("hash_ids", HASH_IDS),
};
static const struct rt_json_shape row = {members, RT_LENGTH(members), true};

static bool finish(struct rt_trace *t, struct rt_row *r, struct rt_err *err)
{
    (void)err;
    rt_turns_follow(t->turns, r);
    return true;
}

const struct rt_trace_format rt_format_bailian = {
    .name = "bailian",
    .help =
        "Bailian JSONL: chat_id, parent_chat_id, timestamp (s), input_length, hash_ids (16 tokens)",
    .block_size = 16,
    .flags = RT_FORMAT_LINES | RT_FORMAT_TURNS,
    .required = RT_ROW_NEEDS,
    .marks = {{"parent_chat_id"}},
    RT_JSON_ROWS(row),
    .finish = finish,
};
