/* transform_rename.c: hash ids and sessions of copies and parts that share nothing.
 *
 * A hash id names a block and all before it, so ids mapped by a bijection keep what they share
 * among themselves, and two different bijections share nothing: a tree of prefixes grows a second
 * root. id -> mix(tree, id) is one for each tree; that two trees' ids meet has a probability of
 * 2^-64 for each pair. O(ids). */
#include "transform_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

void rt_rename_release(struct rt_rename *n)
{
    free(n->ids);
    n->ids = NULL;
}

bool rt_rename_ids(struct rt_rename *n, uint64_t tree, struct rt_request *row)
{
    if (tree == 0 || row->hash_count == 0)
        return true;
    if (row->hash_count > n->capacity) {
        size_t capacity = (size_t)row->hash_count + row->hash_count / 2;
        uint64_t *ids = realloc(n->ids, capacity * sizeof ids[0]);
        if (ids == NULL)
            return false;
        n->ids = ids;
        n->capacity = capacity > UINT32_MAX ? UINT32_MAX : (uint32_t)capacity;
    }
    for (uint32_t i = 0; i < row->hash_count; i++)
        n->ids[i] = rt_mix_ids(tree, row->hash_ids[i]);
    row->hash_ids = n->ids;
    return true;
}

void rt_rename_session(struct rt_rename *n, uint64_t copy, struct rt_request *row)
{
    if (copy == 0 || row->session == NULL)
        return;
    (void)snprintf(n->session, sizeof n->session, "%s~%" PRIu64, row->session, copy);
    row->session = n->session;
}
