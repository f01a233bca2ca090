/* format_tracelab.c: TraceLab's table of agent sessions, CSV.
 *
 *     session_id,arrival_time,round_idx,prefix_len,input_len,output_len,tool_wait_after_ms
 *
 * session_id may be called id; arrival_time, in milliseconds, may be missing (0). The prompt is
 * prefix_len plus input_len: input_len counts only what a round appends. tool_wait_after_ms passes
 * between a round's answer and the next round, so that a round arrives no earlier than that after
 * the one before. */
#include "workload_internal.h"

static const struct rt_csv_column columns[] = {
    RT_COLUMN("session_id", SESSION, false),
    RT_COLUMN("id", SESSION, false),
    RT_TIME_COLUMN("arrival_time", ARRIVAL, MS, false),
    RT_COLUMN("prefix_len", PREFIX, true),
    RT_COLUMN("input_len", PROMPT, true),
    RT_COLUMN("output_len", OUTPUT, true),
    RT_TIME_COLUMN("tool_wait_after_ms", WAIT_AFTER, MS, false),
};

static bool finish(struct rt_trace *t, struct rt_row *r, struct rt_err *err)
{
    r->r.prompt_tokens += r->prefix_tokens;
    if (r->r.prompt_tokens > RT_MAX_REQUEST_TOKENS)
        return rt_fail(err, RT_ETRACE, "prefix_len + input_len: expected at most 1099511627776");
    rt_turns_follow(t->turns, r);
    return true;
}

const struct rt_trace_format rt_format_tracelab = {
    .name = "tracelab",
    .help =
        "TraceLab session CSV: session_id, prefix_len, input_len, output_len, tool_wait_after_ms",
    .flags = RT_FORMAT_TURNS,
    .marks = {{"prefix_len", "input_len"}},
    RT_CSV_TABLE(columns),
    .finish = finish,
};
