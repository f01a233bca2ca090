/* prefix_internal.h: where a router sent the prefixes it has seen: leading hash ids to replicas. */
#ifndef RT_PREFIX_INTERNAL_H
#define RT_PREFIX_INTERNAL_H

#include "rooftrace/request.h"

#include <stdbool.h>

#define PREFIX_MEMORY_IDS 524288u /* hash ids remembered; 32 MiB */

struct prefix_memory;

/* Remembers the last `ids` different ones (a power of two). NULL: out of memory. */
struct prefix_memory *prefix_memory_new(uint32_t ids);
void prefix_memory_free(struct prefix_memory *m);
/* Where the longest leading run of the prompt's hash ids was sent, of what was noted before the
 * last report, and how many ids that run has; UINT32_MAX and 0: nowhere. O(hash ids). */
uint32_t prefix_memory_find(const struct prefix_memory *m, const struct rt_request *req,
                            uint64_t reports, uint32_t *run);
/* The request goes to the replica; `reports` so far. O(hash ids). */
void prefix_memory_note(struct prefix_memory *m, const struct rt_request *req, uint32_t replica,
                        uint64_t reports);

#endif
