/* format_weka.c: agent sessions as Weka published them, one JSON object a session, of any size.
 *
 *     {"id": "trace_0001", "block_size": 64, "hash_id_scope": "local", "requests": [
 *       {"t": 0.0, "type": "n", "model": "m", "in": 200, "out": 10, "hash_ids": [1, 2, 3],
 *        "api_time": 5.2, "think_time": 0.0},
 *       {"t": 9.0, "type": "subagent", "agent_id": "a1", "requests": [...]}]}
 *
 * t counts seconds from the session's start; a file may hold several sessions, which then all start
 * at 0. Hash ids are local to a session, its sub-agents included: they are renamed with its id. A
 * sub-agent is a session of its own ("trace_0001/a1"), because it runs beside its parent. */
#include "workload_internal.h"

#include <stdio.h>
#include <string.h>

static const struct rt_json_shape request;
static const struct rt_json_member request_members[] = {
    RT_MEMBER("t", ARRIVAL),         RT_MEMBER("model", MODEL),
    RT_MEMBER("in", PROMPT),         RT_MEMBER("out", OUTPUT),
    RT_MEMBER("hash_ids", HASH_IDS), RT_MEMBER("think_time", THINK),
    RT_MEMBER("agent_id", KIND),     {.name = "requests", .items = &request},
};
static const struct rt_json_shape request = {request_members, RT_LENGTH(request_members), true};
static const struct rt_json_member session_members[] = {
    RT_MEMBER("id", SESSION),
    RT_MEMBER("block_size", BLOCK_SIZE),
    {.name = "requests", .items = &request},
};
static const struct rt_json_shape session = {session_members, RT_LENGTH(session_members), true};

static bool finish(struct rt_trace *t, struct rt_row *r, struct rt_err *err)
{
    (void)t;
    if (r->r.session == NULL)
        return rt_fail(err, RT_ETRACE, "expected the session's \"id\" before its \"requests\"");
    size_t len = strlen(r->session);
    uint64_t scope = rt_hash_text(r->session, len);
    for (uint32_t i = 0; i < r->r.hash_count; i++)
        r->ids[i] = rt_mix_ids(scope, r->ids[i]);
    if (r->kind[0] != '\0')
        (void)snprintf(r->session + len, sizeof r->session - len, "/%s", r->kind);
    return true;
}

const struct rt_trace_format rt_format_weka = {
    .name = "weka",
    .help =
        "Weka session JSON: id, requests[] of t (s), in, out, hash_ids (64 tokens), think_time; "
        "sub-agents",
    .block_size = 64,
    .required = RT_ROW_NEEDS,
    .marks = {{"requests", "hash_id_scope"}, {"requests", "block_size", "hash_ids"}},
    RT_JSON_ROWS(session),
    .finish = finish,
};
