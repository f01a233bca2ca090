/* format_llmservingsim.c: LLMServingSim's datasets, JSONL; requests and sessions may mix.
 *
 *     {"input_toks": 20, "output_toks": 3, "arrival_time_ns": 46926808}
 *     {"session_id": "s0", "arrival_time_ns": 50000000, "sub_requests": [
 *       {"input_toks": 1472, "output_toks": 133, "tool_duration_ns": 127348767}, ...]}
 *
 * A sub-request follows the answer of the one before it and that one's tool_duration_ns. Ids of
 * tokens (input_tok_ids) are skipped. */
#include "workload_internal.h"

static const struct rt_json_shape request;
static const struct rt_json_member members[] = {
    RT_MEMBER("input_toks", PROMPT),
    RT_MEMBER("output_toks", OUTPUT),
    RT_TIME("arrival_time_ns", ARRIVAL, NS),
    RT_MEMBER("session_id", SESSION),
    RT_TIME("tool_duration_ns", WAIT_AFTER, NS),
    {.name = "sub_requests", .items = &request},
};
static const struct rt_json_shape request = {members, RT_LENGTH(members), true};

static bool finish(struct rt_trace *t, struct rt_row *r, struct rt_err *err)
{
    (void)err;
    rt_turns_follow(t->turns, r);
    return true;
}

const struct rt_trace_format rt_format_llmservingsim = {
    .name = "llmservingsim",
    .help = "LLMServingSim JSONL: input_toks, output_toks, arrival_time_ns; sub_requests[]",
    .flags = RT_FORMAT_LINES | RT_FORMAT_TURNS,
    .required = RT_ROW_NEEDS,
    .marks = {{"input_toks"}, {"sub_requests"}},
    RT_JSON_ROWS(request),
    .finish = finish,
};
