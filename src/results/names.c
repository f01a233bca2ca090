/* Texts by index in blocks of 1, 2, 4, ... entries that never move: see results_internal.h. */
#include "results_internal.h"

#include <stdlib.h>
#include <string.h>

/* Block of entry i, and the entry's place in it. Entry UINT32_MAX does not exist. */
static unsigned block_of(uint32_t i)
{
    return 31u - (unsigned)__builtin_clz(i + 1u);
}

static uint32_t place_of(uint32_t i)
{
    return i + 1u - (1u << block_of(i));
}

void rt_class_names_release(struct rt_class_names *n)
{
    for (unsigned b = 0; b < 32; b++) {
        for (uint32_t i = 0; n->blocks[b] && i < 1u << b; i++)
            free(n->blocks[b][i]);
        free((void *)n->blocks[b]);
    }
    memset(n, 0, sizeof *n);
}

const char *rt_class_names_get(const struct rt_class_names *n, uint32_t i)
{
    char **block = n->blocks[block_of(i)];

    return block ? block[place_of(i)] : NULL;
}

bool rt_class_names_put(struct rt_class_names *n, uint32_t i, const char *text)
{
    unsigned b = block_of(i);

    if (!n->blocks[b])
        n->blocks[b] = (char **)calloc((size_t)1 << b, sizeof n->blocks[b][0]);
    if (!n->blocks[b])
        return false;
    n->blocks[b][place_of(i)] = strdup(text);
    return n->blocks[b][place_of(i)] != NULL;
}
