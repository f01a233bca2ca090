/* format_ragpulse.c: RAGPulse (flashserve/RAGPulse), JSONL.
 *
 *     {"timestamp": "82", "input_length": 1127, "output_length": 19, "session_id": "s1",
 * "hash_ids":
 *      {"sys_prompt": [8302], "passages_ids": [1, 2], "history": [15200], "web_search": [],
 *       "user_input": [26923]}}
 *
 * timestamp is whole seconds in quotes, and the file is rotated (time goes back once). hash_ids
 * name components of the prompt, not blocks: they are taken in the order of the file and chained,
 * so that an id stands for all before it, too. How long a component is the file does not say: 512
 * tokens unless told otherwise, which is a guess (a passage of the corpus is about that long). */
#include "workload_internal.h"

static const struct rt_json_member part_members[] = {
    RT_MEMBER("sys_prompt", HASH_IDS), RT_MEMBER("passages_ids", HASH_IDS),
    RT_MEMBER("history", HASH_IDS),    RT_MEMBER("web_search", HASH_IDS),
    RT_MEMBER("user_input", HASH_IDS),
};
static const struct rt_json_shape parts = {part_members, RT_LENGTH(part_members), false};
static const struct rt_json_member members[] = {
    RT_MEMBER("timestamp", ARRIVAL),    RT_MEMBER("input_length", PROMPT),
    RT_MEMBER("output_length", OUTPUT), {.name = "hash_ids", .object = &parts},
    RT_MEMBER("session_id", SESSION),
};
static const struct rt_json_shape row = {members, RT_LENGTH(members), true};

const struct rt_trace_format rt_format_ragpulse = {
    .name = "ragpulse",
    .help = "RAGPulse JSONL: timestamp (s, in quotes), input_length, hash_ids by component",
    .block_size = 512,
    .flags = RT_FORMAT_LINES | RT_FORMAT_CHAINED,
    .required = RT_ROW_NEEDS,
    .marks = {{"passages_ids"}},
    RT_JSON_ROWS(row),
};
