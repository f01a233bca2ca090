/* mutate.c: see mutate.h. */
#include "mutate.h"

#include <stdlib.h>
#include <string.h>

#define MOST_REPEATS 5000u

static const char *const tokens[] = {
    "null",
    "true",
    "-1",
    "1e999",
    "-0",
    "1e-400",
    "18446744073709551616",
    "9223372036854775808",
    "0.1234567890123456789",
    "NaN",
    "\"\"",
    "\"x\"",
    "\"\\ud83d\"",
    "\"\\u0000\"",
    "[]",
    "{}",
    "[1,",
    "{\"a\":",
    "\xff\xfe",
    "\xed\xa0\x80",
    "\xc0\x80",
    "\r",
    "\n\n",
    "\"",
    "\\",
    ",",
    ":",
    "2023-02-30 25:61:00",
    "2024-10-15T12:00:00.1234567890Z",
    "\xef\xbb\xbf",
};
static const char masses[] = "[{,\" \n1\\:";

static bool reserve(struct mutant *m, size_t len)
{
    if (len <= m->capacity)
        return true;
    char *bytes = realloc(m->bytes, len * 2);
    if (bytes == NULL)
        return false;
    m->bytes = bytes;
    m->capacity = len * 2;
    return true;
}

static bool insert(struct mutant *m, size_t at, const char *piece, size_t len)
{
    if (!reserve(m, m->len + len + 1))
        return false;
    memmove(m->bytes + at + len, m->bytes + at, m->len - at);
    memcpy(m->bytes + at, piece, len);
    m->len += len;
    return true;
}

static void erase(struct mutant *m, size_t at, size_t len)
{
    memmove(m->bytes + at, m->bytes + at + len, m->len - at - len);
    m->len -= len;
}

static size_t below(struct rt_rng *rng, size_t n)
{
    return (size_t)rt_rng_below(rng, n);
}

/* The word (a number, a name) around a place gives way to a token of another kind. */
static bool replace_word(struct mutant *m, size_t at, struct rt_rng *rng)
{
    const char *token = tokens[below(rng, sizeof tokens / sizeof tokens[0])];
    size_t end = at;
    while (at > 0 && strchr(",:\" {}[]\n", m->bytes[at - 1]) == NULL)
        at--;
    while (end < m->len && strchr(",:\" {}[]\n", m->bytes[end]) == NULL)
        end++;
    erase(m, at, end - at);
    return insert(m, at, token, strlen(token));
}

static bool insert_mass(struct mutant *m, size_t at, struct rt_rng *rng)
{
    char mass[MOST_REPEATS];
    size_t count = 1 + below(rng, MOST_REPEATS);
    memset(mass, masses[below(rng, sizeof masses - 1)], count);
    return insert(m, at, mass, count);
}

static bool copy_piece(struct mutant *m, size_t at, size_t from, size_t len)
{
    char *piece = malloc(len + 1);
    if (piece == NULL)
        return false;
    memcpy(piece, m->bytes + from, len);
    bool ok = insert(m, at, piece, len);
    free(piece);
    return ok;
}

static bool damage(struct mutant *m, struct rt_rng *rng)
{
    size_t at = below(rng, m->len), from = below(rng, m->len);
    size_t len = 1 + below(rng, m->len - from);
    const char *token = tokens[below(rng, sizeof tokens / sizeof tokens[0])];
    switch (below(rng, 8)) {
    case 0:
        m->bytes[at] = (char)(m->bytes[at] ^ (1 << below(rng, 8)));
        return true;
    case 1:
        m->bytes[at] = (char)below(rng, 256);
        return true;
    case 2:
        m->len = at;
        return true;
    case 3:
        erase(m, from, len);
        return true;
    case 4:
        return copy_piece(m, at, from, len);
    case 5:
        return insert(m, at, token, strlen(token));
    case 6:
        return replace_word(m, at, rng);
    default:
        return insert_mass(m, at, rng);
    }
}

bool mutate(struct mutant *m, const char *text, size_t len, struct rt_rng *rng)
{
    if (!reserve(m, len + 1))
        return false;
    memcpy(m->bytes, text, len);
    m->len = len;
    for (size_t n = 1 + below(rng, 4); n > 0 && m->len > 0; n--) {
        if (!damage(m, rng))
            return false;
    }
    return true;
}

void mutant_release(struct mutant *m)
{
    free(m->bytes);
    *m = (struct mutant){.bytes = NULL};
}
