/* turns.c: the requests read last, found by the hash of their id.
 *
 * Formats that tell of a turn by the one before it (a parent's id, a delay after it, the wait
 * behind it) look it up here. 65,536 places in sets of four, the one filled longest ago gives way:
 * constant memory whatever the trace's length, and no clock but the order of the file. O(1). */
#include "workload_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 4u
#define SETS 16384u /* a power of two */

struct rt_turns {
    struct rt_turn turns[SETS][WAYS]; /* newest first */
    uint8_t used[SETS];
    int64_t last_ns; /* arrival of the row before */
};

bool rt_turns_new(struct rt_turns **out, struct rt_err *err)
{
    *out = calloc(1, sizeof **out);
    return *out != NULL || rt_fail_nomem(err, "turns of sessions");
}

void rt_turns_free(struct rt_turns *s)
{
    free(s);
}

void rt_turns_clear(struct rt_turns *s)
{
    memset(s->used, 0, sizeof s->used);
    s->last_ns = 0;
}

static size_t set_of(uint64_t key)
{
    return (size_t)(rt_mix_ids(key, 0) & (SETS - 1));
}

const struct rt_turn *rt_turns_find(const struct rt_turns *s, uint64_t key)
{
    size_t set = set_of(key);
    for (unsigned i = 0; i < s->used[set]; i++) {
        if (s->turns[set][i].key == key)
            return &s->turns[set][i];
    }
    return NULL;
}

void rt_turns_put(struct rt_turns *s, const struct rt_turn *turn)
{
    size_t set = set_of(turn->key);
    struct rt_turn kept = *turn; /* may point into the set */
    unsigned at = 0;
    while (at < s->used[set] && s->turns[set][at].key != kept.key)
        at++;
    if (at == s->used[set] && at < WAYS)
        s->used[set]++;
    at = at < WAYS ? at : WAYS - 1;
    memmove(&s->turns[set][1], &s->turns[set][0], at * sizeof s->turns[set][0]);
    s->turns[set][0] = kept;
}

/* Session or id, whichever the format has. */
static uint64_t key_of(const struct rt_row *row)
{
    return row->r.session != NULL ? rt_hash_text(row->r.session, strlen(row->r.session)) : row->key;
}

static bool has(const struct rt_row *row, enum rt_field f)
{
    return (row->seen & RT_BIT(f)) != 0;
}

static int64_t add_ns(int64_t a, int64_t b)
{
    int64_t sum;
    return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

void rt_turns_follow(struct rt_turns *s, struct rt_row *row)
{
    struct rt_request *r = &row->r;
    bool in_session = r->session != NULL, has_parent = row->parent != 0 && !row->parent_none;
    if (!has(row, RT_FIELD_ARRIVAL))
        r->arrival_ns = s->last_ns; /* unless the turn before tells more */
    s->last_ns = r->arrival_ns;
    if (!in_session && !has(row, RT_FIELD_KEY))
        return;
    struct rt_turn turn = {key_of(row), r->arrival_ns, row->wait_after_ns, key_of(row)};
    const struct rt_turn *before = rt_turns_find(s, in_session   ? turn.key
                                                    : has_parent ? row->parent
                                                                 : 0);
    if (before == NULL && !in_session && has_parent)
        turn.root = row->parent; /* forgotten, or not in this file */
    if (before != NULL) {
        turn.root = before->root;
        if (r->think_ns < 0)
            r->think_ns = before->wait_ns;
        int64_t least = add_ns(before->arrival_ns, r->think_ns > 0 ? r->think_ns : 0);
        if (!has(row, RT_FIELD_ARRIVAL) || (before->wait_ns >= 0 && r->arrival_ns < least))
            r->arrival_ns = least;
    }
    turn.arrival_ns = s->last_ns = r->arrival_ns;
    rt_turns_put(s, &turn);
    if (!in_session) {
        (void)snprintf(row->session, sizeof row->session, "%016" PRIx64, turn.root);
        r->session = row->session;
    }
}
