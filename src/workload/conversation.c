/* conversation.c: what a session's turns have in common, for the prefix cache.
 *
 * Turn n+1 sends the conversation so far and a new message: its prompt begins with turn n's prompt
 * and answer. So a token is known by its conversation and its position, and one name (hash id)
 * stands for a run of positions:
 *
 *     position   0          B          2B
 *                | name(c,0) | name(c,1) | ...      c = the conversation, B = tokens of a name
 *     turn 1     [ prompt | answer ]
 *     turn 2     [ prompt             | answer ]
 *
 * The engine tells the blocks within a name apart by number, so equal positions are equal blocks
 * however long the turn is, and B may be large: RT_CONVERSATION_BLOCK = 2^12 * 3 * 5 * 7 is a
 * multiple of every usual block size. Traces with hash ids of their own keep them; then B is
 * theirs, and rows without ids are named as well.
 *
 * A prompt that is shorter than the conversation before cannot contain it: it begins a new
 * conversation, which shares nothing. Names are drawn from the id of the request that begins the
 * conversation. O(1) a request, O(tokens / B) names. */
#include "load_internal.h"

#include <stdlib.h>

#define MAX_NAMES (1u << 22) /* 67 million tokens with names of 16: more than any KV memory */

/* splitmix64's mixing function (see base/rng.c), a bijection: names of a conversation differ. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static bool reserve(struct rt_conversation_names *n, uint32_t count)
{
    if (count <= n->capacity)
        return true;
    uint32_t capacity = count < 8 ? 8 : count + count / 2;
    uint64_t *ids = realloc(n->ids, capacity * sizeof ids[0]);
    if (ids == NULL)
        return false;
    n->ids = ids;
    n->capacity = capacity;
    return true;
}

bool rt_conversation_name(struct rt_conversation_names *n, struct rt_session *session,
                          struct rt_request *r)
{
    int64_t tokens = r->prompt_tokens + r->output_tokens;
    if (session->conversation == 0 || r->prompt_tokens < session->conversation)
        session->chain = mix(r->id + UINT64_C(0x9E3779B97F4A7C15));
    session->conversation = tokens;
    if (r->hash_count > 0)
        return true;
    int64_t names = (tokens - 1) / n->block_tokens + 1;
    uint32_t count = names < MAX_NAMES ? (uint32_t)names : MAX_NAMES;
    if (!reserve(n, count))
        return false;
    for (uint32_t i = 0; i < count; i++)
        n->ids[i] = mix(session->chain + i);
    r->hash_ids = n->ids;
    r->hash_count = count;
    r->named_tokens = tokens;
    return true;
}
