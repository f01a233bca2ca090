/* base/id_map.h: a number for each of some request ids: for what must know its requests again when
 * they leave. O(1) a call, amortised. Memory: 24 bytes a slot, two to four slots for the most ids
 * it ever held. The owner releases it; all 0 is an empty map. */
#ifndef RT_ID_MAP_H
#define RT_ID_MAP_H

#include "rooftrace/err.h"

#include <stdint.h>

struct rt_id_map {
    struct rt_id_entry {
        uint64_t id, value;
        bool used;
    } * entries;          /* [size] */
    uint32_t size, count; /* size: 0 or a power of two, at most half full */
};

void rt_id_map_release(struct rt_id_map *m);
/* The id is not in the map. false: out of memory, the map is unchanged. */
bool rt_id_map_put(struct rt_id_map *m, uint64_t id, uint64_t value) RT_MUST_USE;
/* false: the id is not in the map. */
bool rt_id_map_get(const struct rt_id_map *m, uint64_t id, uint64_t *value);
/* The same, and removes it. */
bool rt_id_map_take(struct rt_id_map *m, uint64_t id, uint64_t *value);

#endif
