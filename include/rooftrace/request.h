/* workload/request.h: one request of the service, as a trace tells it. The first of the nouns that
 * cross folders: rt_request -> rt_step_shape -> ns -> rt_finished -> row. */
#ifndef RT_REQUEST_H
#define RT_REQUEST_H

#include <stdint.h>

#define RT_NO_NAME            0u                 /* class, model or tenant not given */
#define RT_MAX_REQUEST_TOKENS (INT64_C(1) << 40) /* prompt and output, each */
#define RT_NO_DEADLINE        INT64_MAX

struct rt_request {
    uint64_t id;           /* place in the trace from 0; copy r of --repeat adds r * rows */
    int64_t arrival_ns;    /* since trial start, >= 0: when the client sends it */
    int64_t prompt_tokens; /* >= 1: 0 in the trace acts as 1 and is counted */
    int64_t output_tokens; /* >= 1, likewise */
    uint32_t class_name;   /* index for rt_source_name, RT_NO_NAME when not given */
    uint32_t model_name;
    uint32_t tenant_name;
    int32_t priority;         /* smaller is more urgent, as in vLLM; 0 when not given */
    int64_t deadline_ns;      /* since arrival, or RT_NO_DEADLINE */
    int64_t ttft_slo_ns;      /* objective for its first token, from the scenario; 0: none */
    int64_t think_ns;         /* after the previous turn's answer; -1 when not given */
    const char *session;      /* session id as text, or NULL; see rt_source_next for life time */
    const uint64_t *hash_ids; /* chained names of the prompt's blocks (workload.block_size each) */
    uint32_t hash_count;
    /* Leading tokens of prompt and answer that hash_ids name: a session's next prompt begins with
     * them. 0: those of the prompt only. */
    int64_t named_tokens;
};

/* How many of the ids name blocks of the prompt alone: all, unless names go on into the answer. */
static inline uint32_t rt_request_prompt_ids(const struct rt_request *r, uint32_t block_tokens)
{
    if (r->named_tokens == 0 || block_tokens == 0 ||
        r->prompt_tokens / block_tokens >= r->hash_count)
        return r->hash_count;
    return (uint32_t)(r->prompt_tokens / block_tokens);
}

#endif
