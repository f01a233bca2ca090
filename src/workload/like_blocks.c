/* like_blocks.c: the block names of a trace that is to be resampled.
 *
 * A name that many rows carry (at least 1 % of them, and 16) belongs to everybody: a system prompt.
 * It stays one name however many requests are made. The others belong to the unit of the rows that
 * share them, a conversation mostly: rows that share such a name become one unit, and every time
 * the unit is used its own names are new. So reuse inside conversations is kept as it is, and reuse
 * of what everybody has stays near total. Names form a tree (a name stands for its block and all
 * before it), so a unit is less than 1 % of the trace.
 * An open-addressing table of names, at most half full. O(names), 24 bytes each. */
#include "like_internal.h"

#include <stdlib.h>

#define SHARED_PERCENT  1
#define SHARED_AT_LEAST 16u
#define NO_CODE         UINT64_MAX

struct name {
    uint64_t id, code;
    uint32_t rows; /* that carry it; 0 = a free place */
    uint32_t first_row;
};

struct rt_like_blocks {
    struct name *table;
    size_t size; /* a power of two */
    size_t count;
};

uint32_t rt_like_find(struct rt_like_sets *s, uint32_t row)
{
    while (s->parent[row] != row) {
        s->parent[row] = s->parent[s->parent[row]];
        row = s->parent[row];
    }
    return row;
}

/* The earlier row stays the root. */
void rt_like_join(struct rt_like_sets *s, uint32_t a, uint32_t b)
{
    a = rt_like_find(s, a);
    b = rt_like_find(s, b);
    if (a < b)
        s->parent[b] = a;
    else
        s->parent[a] = b;
}

static struct name *place_of(const struct rt_like_blocks *b, uint64_t id)
{
    size_t mask = b->size - 1;
    uint64_t h = id * UINT64_C(0x9E3779B97F4A7C15);
    for (size_t i = (size_t)(h ^ h >> 32) & mask;; i = (i + 1) & mask)
        if (b->table[i].rows == 0 || b->table[i].id == id)
            return &b->table[i];
}

static bool grow(struct rt_like_blocks *b)
{
    struct rt_like_blocks larger = {.size = b->size == 0 ? 1024 : 2 * b->size};
    larger.table = calloc(larger.size, sizeof *larger.table);
    if (larger.table == NULL)
        return false;
    for (size_t i = 0; i < b->size; i++)
        if (b->table[i].rows > 0)
            *place_of(&larger, b->table[i].id) = b->table[i];
    larger.count = b->count;
    free(b->table);
    *b = larger;
    return true;
}

static bool count_names(struct rt_like_blocks *b, const struct rt_like_fit *f)
{
    for (uint32_t row = 0; row < f->row_count; row++) {
        const struct rt_like_row *r = &f->rows[row];
        for (uint32_t j = 0; j < r->id_count; j++) {
            if (2 * (b->count + 1) > b->size && !grow(b))
                return false;
            struct name *n = place_of(b, f->codes[r->first_code + j]);
            if (n->rows == 0) {
                b->count++;
                *n = (struct name){
                    .id = f->codes[r->first_code + j], .first_row = row, .code = NO_CODE};
            }
            n->rows++;
        }
    }
    return true;
}

static bool is_shared(const struct rt_like_fit *f, const struct name *n)
{
    return n->rows >= SHARED_AT_LEAST && n->rows >= f->row_count / (100 / SHARED_PERCENT);
}

bool rt_like_blocks_new(const struct rt_like_fit *f, struct rt_like_sets *sets,
                        struct rt_like_blocks **out, struct rt_err *err)
{
    struct rt_like_blocks *b = calloc(1, sizeof *b);
    *out = b;
    if (b == NULL || !count_names(b, f)) {
        rt_like_blocks_free(b);
        *out = NULL;
        return rt_fail_nomem(err, "block names of a trace");
    }
    for (uint32_t row = 0; row < f->row_count; row++) {
        const struct rt_like_row *r = &f->rows[row];
        for (uint32_t j = 0; j < r->id_count; j++) {
            const struct name *n = place_of(b, f->codes[r->first_code + j]);
            if (!is_shared(f, n) && n->first_row != row)
                rt_like_join(sets, n->first_row, row);
        }
    }
    return true;
}

void rt_like_blocks_code(struct rt_like_blocks *b, struct rt_like_fit *f)
{
    for (size_t row = 0; row < f->row_count; row++) {
        const struct rt_like_row *r = &f->rows[row];
        uint64_t *own = &f->units[r->unit].own_ids;
        for (uint32_t j = 0; j < r->id_count; j++) {
            uint64_t *code = &f->codes[r->first_code + j];
            struct name *n = place_of(b, *code);
            if (n->code == NO_CODE)
                n->code = is_shared(f, n) ? f->shared_ids++ : RT_CODE_OWN | (*own)++;
            *code = n->code;
        }
    }
}

void rt_like_blocks_free(struct rt_like_blocks *b)
{
    if (b == NULL)
        return;
    free(b->table);
    free(b);
}
