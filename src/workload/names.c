/* names.c: texts as small numbers, and checks of what a trace gives as text.
 *
 * Names are kept once in an arena and found through an open-addressing table of their indices (at
 * most half full, linear probing, FNV-1a). Index 0 is the empty text. Text must be UTF-8 without
 * NUL, because it ends up in SQLite columns of type TEXT, and at most 256 characters long, because
 * names are kept in memory. O(len) a look-up. */
#include "workload_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_TABLE_SIZE 64u /* a power of two, like all that follow */

uint64_t rt_hash_text(const char *text, size_t len)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)text[i]) * UINT64_C(1099511628211);
    return h;
}

/* The finaliser of splitmix64 over the sum, with its increment between the two. */
uint64_t rt_mix_ids(uint64_t a, uint64_t b)
{
    uint64_t z = a * UINT64_C(0x9e3779b97f4a7c15) + b + UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

bool rt_names_init(struct rt_names *n, uint32_t limit, struct rt_err *err)
{
    *n = (struct rt_names){.limit = limit, .count = 1, .capacity = 16};
    rt_arena_init(&n->texts);
    n->table_size = FIRST_TABLE_SIZE;
    n->table = calloc(n->table_size, sizeof *n->table);
    n->by_index = calloc(n->capacity, sizeof *n->by_index);
    if (n->table == NULL || n->by_index == NULL) {
        rt_names_release(n);
        return rt_fail_nomem(err, "names of a trace");
    }
    n->by_index[0] = "";
    return true;
}

void rt_names_release(struct rt_names *n)
{
    rt_arena_release(&n->texts);
    free(n->table);
    free(n->by_index);
    *n = (struct rt_names){.count = 0};
}

/* The table's place of the text: where its index is, or the free place where it belongs. */
static uint32_t *place_of(const struct rt_names *n, const char *text, size_t len)
{
    uint32_t mask = n->table_size - 1;
    uint32_t i = (uint32_t)rt_hash_text(text, len) & mask;
    for (;; i = (i + 1) & mask) {
        uint32_t index = n->table[i];
        if (index == 0)
            return &n->table[i];
        const char *known = n->by_index[index];
        if (strncmp(known, text, len) == 0 && known[len] == '\0')
            return &n->table[i];
    }
}

static bool grow_table(struct rt_names *n)
{
    uint32_t size = n->table_size * 2, *old = n->table;
    uint32_t *table = calloc(size, sizeof *table);
    if (table == NULL)
        return false;
    n->table = table;
    n->table_size = size;
    for (uint32_t i = 1; i < n->count; i++)
        *place_of(n, n->by_index[i], strlen(n->by_index[i])) = i;
    free(old);
    return true;
}

static bool grow_index(struct rt_names *n)
{
    uint32_t capacity = n->capacity * 2;
    const char **by_index = realloc(n->by_index, capacity * sizeof *by_index);
    if (by_index == NULL)
        return false;
    n->by_index = by_index;
    n->capacity = capacity;
    return true;
}

bool rt_names_add(struct rt_names *n, const char *text, size_t len, uint32_t *out,
                  struct rt_err *err)
{
    *out = 0;
    if (len == 0)
        return true;
    /* A NUL would end the comparison below early: check before looking. */
    if (!rt_text_check(text, len, err))
        return false;
    uint32_t *place = place_of(n, text, len);
    if (*place != 0) {
        *out = *place;
        return true;
    }
    if (n->count > n->limit)
        return rt_fail(err, RT_ETRACE, "expected at most %u distinct names in all, read one more",
                       n->limit);
    if ((n->count == n->capacity && !grow_index(n)) ||
        (n->count >= n->table_size / 2 && !grow_table(n)))
        return rt_fail_nomem(err, "names of a trace");
    char *copy = rt_arena_strndup(&n->texts, text, len);
    if (copy == NULL)
        return rt_fail_nomem(err, "names of a trace");
    n->by_index[n->count] = copy;
    *place_of(n, text, len) = n->count;
    *out = n->count++;
    return true;
}

size_t rt_utf8_length(const unsigned char *p, size_t left)
{
    static const struct {
        unsigned char lead_min, lead_max, second_min, second_max, length;
    } forms[] = {
        {0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t f = 0; f < sizeof forms / sizeof forms[0]; f++) {
        size_t length = forms[f].length;
        if (p[0] < forms[f].lead_min || p[0] > forms[f].lead_max)
            continue;
        if (length > left)
            return 0;
        if (length > 1 && (p[1] < forms[f].second_min || p[1] > forms[f].second_max))
            return 0;
        for (size_t i = 2; i < length; i++) {
            if (p[i] < 0x80 || p[i] > 0xbf)
                return 0;
        }
        return length;
    }
    return 0;
}

bool rt_text_check(const char *text, size_t len, struct rt_err *err)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t chars = 0;
    for (size_t i = 0; i < len; chars++) {
        size_t step = p[i] >= 0x01 && p[i] < 0x80 ? 1 : rt_utf8_length(p + i, len - i);
        if (step == 0 && p[i] == 0)
            return rt_fail(err, RT_ETRACE, "expected text, read a NUL character in it");
        if (step == 0)
            return rt_fail(err, RT_ETRACE, "expected UTF-8 text, read byte 0x%02x in it", p[i]);
        i += step;
    }
    if (chars > RT_TEXT_MAX_CHARS)
        return rt_fail(err, RT_ETRACE, "expected at most %u characters, read %zu",
                       RT_TEXT_MAX_CHARS, chars);
    return true;
}

const char *rt_excerpt(const char *text, size_t len, char buf[RT_EXCERPT_BYTES])
{
    size_t used = 0;
    buf[used++] = '"';
    size_t i = 0;
    for (; i < len && used < RT_EXCERPT_BYTES - 12; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c < 0x7f)
            buf[used++] = (char)c;
        else
            used += (size_t)snprintf(buf + used, RT_EXCERPT_BYTES - used, "\\x%02x", c);
    }
    (void)snprintf(buf + used, RT_EXCERPT_BYTES - used, i < len ? "...\"" : "\"");
    return buf;
}
