/* A source over requests in an array, in (arrival_ns, id) order: for tests that want to know
 * exactly what comes. The array outlives the source. */
#ifndef RT_TEST_ARRAY_SOURCE_H
#define RT_TEST_ARRAY_SOURCE_H

#include "rooftrace/source.h"

#include <stddef.h>

struct array_load {
    struct rt_request *requests; /* id = place */
    size_t count;
    uint32_t hash_block_tokens; /* tokens a hash id names; 0: there are none */
};

struct rt_source *array_source_new(const struct array_load *load); /* never NULL */

#endif
