/* json_pull.c: JSON tokens of a byte stream, one at a time, strictly as RFC 8259 has them.
 *
 * The text may be one document of any size (a session of 400 MB on one line), or any number of
 * values with white space between them; with `one_line` a line holds one value, as in JSONL. Only
 * the current token needs to be in the buffer: when it reaches the end, what is there moves to the
 * front and more is read behind it. The byte behind the last one is a NUL, which no token contains,
 * so the loops below look for the end only there. Numbers are left as text (64-bit ids stay exact),
 * strings are unescaped in place. Escapes of half a surrogate pair become U+FFFD: logs have them.
 * Failure: path:line:column of the first byte that is not JSON, nesting beyond 64, a token beyond
 * 64 MiB. Cost: O(bytes), no allocation but the buffer's. */
#include "workload_internal.h"

#include <stdio.h>
#include <string.h>

enum next { /* what the grammar allows */
            NEXT_VALUE,
            NEXT_VALUE_OR_END, /* behind [ */
            NEXT_KEY,
            NEXT_KEY_OR_END, /* behind { */
            NEXT_COMMA_OR_END,
            NEXT_OUTER /* a value, or the end of the text */
};

#define LONGEST_LOOK 12u /* bytes: an escaped surrogate pair */

static char *limit(const struct rt_json_pull *j)
{
    return j->lines->buf + j->lines->end;
}

static uint64_t offset_of(const struct rt_json_pull *j, const char *p)
{
    return j->origin + (uint64_t)(p - j->lines->buf);
}

static void mark(struct rt_json_pull *j, const char *p)
{
    j->at_column = offset_of(j, p) - j->line_start + 1;
}

void rt_json_pull_start(struct rt_json_pull *j, struct rt_lines *l, bool one_line)
{
    *j = (struct rt_json_pull){.lines = l, .one_line = one_line, .next = NEXT_OUTER, .at_line = 1};
    j->p = j->token = l->buf + l->start;
    l->buf[l->end] = '\0';
    if (l->end - l->start >= 3 && memcmp(j->p, "\xef\xbb\xbf", 3) == 0)
        j->p += 3;
    j->line_start = offset_of(j, j->p);
}

/* Reads on, keeping the text from `keep` on; false: an error or nothing came. */
static bool more(struct rt_json_pull *j, const char *keep, struct rt_err *err)
{
    struct rt_lines *l = j->lines;
    if (l->at_end)
        return false;
    size_t kept = (size_t)(keep - l->buf), p = (size_t)(j->p - l->buf);
    size_t token = (size_t)(j->token - l->buf), end = l->end;
    l->number = j->at_line;
    bool ok = rt_lines_more(l, kept, err);
    size_t moved = kept - l->start; /* 0 when the buffer only grew */
    j->origin += moved;
    j->p = l->buf + p - moved;
    j->token = l->buf + (token >= moved ? token - moved : 0);
    return ok && l->end + moved > end;
}

bool rt_json_pull_fail_in(const struct rt_json_pull *j, struct rt_err *err)
{
    return rt_fail_in(err, "%s:%llu:%llu", j->lines->path, (unsigned long long)j->at_line,
                      (unsigned long long)j->at_column);
}

static enum rt_token fail_at(struct rt_json_pull *j, const char *p, const char *expected,
                             struct rt_err *err)
{
    char excerpt[RT_EXCERPT_BYTES];
    size_t left = (size_t)(limit(j) - p), word = 0;
    if (err->code != RT_OK)
        return RT_TOKEN_ERROR; /* reading failed, which is said already */
    mark(j, p);
    while (word < left && word < 24 && strchr(" \t\r\n,:[]{}\"", p[word]) == NULL)
        word++;
    if (left == 0)
        (void)rt_fail(err, RT_ETRACE, "expected JSON (%s), read the end of the file", expected);
    else if (*p == '\0')
        (void)rt_fail(err, RT_ETRACE, "expected text, read a NUL byte (is this a binary file?)");
    else
        (void)rt_fail(err, RT_ETRACE, "expected JSON (%s), read %s", expected,
                      rt_excerpt(p, word > 0 ? word : 1, excerpt));
    (void)rt_json_pull_fail_in(j, err);
    return RT_TOKEN_ERROR;
}

static enum rt_token fail_line(struct rt_json_pull *j, struct rt_err *err)
{
    mark(j, j->p);
    (void)rt_fail(err, RT_ETRACE, "expected the whole object on one line, read the line's end");
    (void)rt_json_pull_fail_in(j, err);
    return RT_TOKEN_ERROR;
}

/* A line ends where white space may stand. false: not within an object that is one line. */
static bool pass_line_end(struct rt_json_pull *j, struct rt_err *err)
{
    if (j->one_line && j->depth > 0) {
        (void)fail_line(j, err);
        return false;
    }
    j->at_line++;
    j->line_start = offset_of(j, ++j->p);
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* To the next byte that is no white space, which is answered; 0 at the end, -1 on failure. With
 * `keep` the current token stays in the buffer. */
static int skip_space(struct rt_json_pull *j, bool keep, struct rt_err *err)
{
    for (;;) {
        char c = *j->p;
        if (c > ' ')
            return (unsigned char)c;
        if (is_blank(c)) {
            j->p++;
        } else if (c == '\n') {
            if (!pass_line_end(j, err))
                return -1;
        } else if (j->p < limit(j)) {
            return (unsigned char)c == 0 ? (void)fail_at(j, j->p, "", err), -1 : (unsigned char)c;
        } else if (!more(j, keep ? j->token : j->p, err)) {
            return err->code != RT_OK ? -1 : 0;
        }
    }
}

/* At least n bytes from p on, or all there are. */
static size_t look(struct rt_json_pull *j, size_t n, struct rt_err *err)
{
    while ((size_t)(limit(j) - j->p) < n && more(j, j->token, err)) {
    }
    return (size_t)(limit(j) - j->p);
}

static int hex4(const char *p)
{
    int code = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        code = code * 16 + digit;
    }
    return code;
}

static char *put_utf8(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
        return to;
    }
    unsigned bytes = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const unsigned lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    *to++ = (char)(lead[bytes] | code >> 6 * (bytes - 1));
    for (unsigned i = bytes - 1; i-- > 0;)
        *to++ = (char)(0x80 | (code >> 6 * i & 0x3f));
    return to;
}

/* The escape at `from` (a backslash; the grammar is checked), unescaped to *to. */
static const char *unescape_one(const char *from, char **to)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (from[1] != 'u') {
        *(*to)++ = values[strchr(names, from[1]) - names];
        return from + 2;
    }
    uint32_t code = (uint32_t)hex4(from + 2);
    from += 6;
    if (code >= 0xd800 && code < 0xdc00 && from[0] == '\\' && from[1] == 'u') {
        int low = hex4(from + 2);
        if (low >= 0xdc00 && low < 0xe000) {
            code = 0x10000 + ((code - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
            from += 6;
        }
    }
    *to = put_utf8(*to, code >= 0xd800 && code < 0xe000 ? 0xfffd : code);
    return from;
}

/* In place: no escape is shorter than what it stands for. */
static size_t unescape(char *text, size_t len)
{
    const char *from = text, *end = text + len;
    char *to = text;
    while (from < end) {
        if (*from == '\\')
            from = unescape_one(from, &to);
        else
            *to++ = *from++;
    }
    *to = '"';
    return (size_t)(to - text);
}

/* At a byte of a string that is not plain: 1: taken, 0: the closing quote, -1: failure. */
static int take_special(struct rt_json_pull *j, bool *escaped, struct rt_err *err)
{
    size_t left = look(j, LONGEST_LOOK, err);
    unsigned char c = (unsigned char)*j->p;
    if (left == 0 || err->code != RT_OK)
        return (void)fail_at(j, limit(j), "a closing quote", err), -1;
    if (c == '"')
        return 0;
    if (c == '\\') {
        bool known = left > 1 && j->p[1] != '\0' && strchr("\"\\/bfnrt", j->p[1]) != NULL;
        bool code = left > 5 && j->p[1] == 'u' && hex4(j->p + 2) >= 0;
        if (!known && !code)
            return (void)fail_at(j, j->p, "an escape like \\n or \\u00e9", err), -1;
        *escaped = true;
        j->p += known ? 2 : 6;
        return 1;
    }
    size_t bytes = c < 0x20 ? 0 : rt_utf8_length((const unsigned char *)j->p, left);
    if (bytes == 0)
        return (void)fail_at(j, j->p, c < 0x20 ? "a closing quote" : "UTF-8", err), -1;
    j->p += bytes;
    return 1;
}

/* At the opening quote. */
static bool take_string(struct rt_json_pull *j, struct rt_err *err)
{
    bool escaped = false;
    int taken;
    j->p++;
    do {
        const unsigned char *p = (const unsigned char *)j->p;
        while (*p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
            p++;
        j->p += p - (const unsigned char *)j->p;
        taken = *p == '"' ? 0 : take_special(j, &escaped, err);
        if (taken < 0)
            return false;
    } while (taken != 0);
    j->text = j->token + 1;
    j->len = (size_t)(j->p - j->text);
    if (escaped)
        j->len = unescape(j->token + 1, j->len);
    j->p++;
    return true;
}

static const char *digits(const char *p)
{
    while (*p >= '0' && *p <= '9')
        p++;
    return p;
}

/* -? (0 | [1-9][0-9]*) (.[0-9]+)? ([eE][+-]?[0-9]+)?  Answers where it ends, or NULL. */
static const char *number_end(const char *p)
{
    p += *p == '-';
    const char *first = p;
    p = digits(p);
    if (p == first || (*first == '0' && p > first + 1))
        return NULL;
    if (*p == '.') {
        const char *fraction = p + 1;
        p = digits(fraction);
        if (p == fraction)
            return NULL;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '+' || *p == '-';
        const char *exponent = p;
        p = digits(p);
        if (p == exponent)
            return NULL;
    }
    return p;
}

static bool word_byte(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '+' || c == '-' || c == '.';
}

/* A number or one of the three words. It has ended when the byte behind it is in the buffer. */
static enum rt_token take_word(struct rt_json_pull *j, struct rt_err *err)
{
    static const struct {
        const char *word;
        size_t len;
        enum rt_token token;
    } words[] = {
        {"true", 4, RT_TOKEN_TRUE}, {"false", 5, RT_TOKEN_FALSE}, {"null", 4, RT_TOKEN_NULL}};
    size_t n = 0;
    do {
        while (word_byte(j->p[n]))
            n++;
    } while (j->p + n == limit(j) && more(j, j->token, err));
    if (err->code != RT_OK)
        return RT_TOKEN_ERROR;
    if (*j->p == '-' || (*j->p >= '0' && *j->p <= '9')) {
        if (number_end(j->p) != j->p + n)
            return fail_at(j, j->p, "a number", err);
        j->text = j->p;
        j->len = n;
        j->p += n;
        return RT_TOKEN_NUMBER;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (n == words[i].len && memcmp(j->p, words[i].word, n) == 0) {
            j->p += n;
            return words[i].token;
        }
    }
    return fail_at(j, j->p, "a value", err);
}

static void after_value(struct rt_json_pull *j)
{
    j->next = j->depth > 0 ? NEXT_COMMA_OR_END : NEXT_OUTER;
}

static enum rt_token open_bracket(struct rt_json_pull *j, bool object, struct rt_err *err)
{
    if (j->depth == RT_JSON_PULL_DEPTH) {
        (void)rt_fail(err, RT_ETRACE, "expected at most %u levels of nesting, read more",
                      RT_JSON_PULL_DEPTH);
        (void)rt_json_pull_fail_in(j, err);
        return RT_TOKEN_ERROR;
    }
    uint64_t bit = UINT64_C(1) << j->depth++;
    j->objects = object ? j->objects | bit : j->objects & ~bit;
    j->next = object ? NEXT_KEY_OR_END : NEXT_VALUE_OR_END;
    j->p++;
    return object ? RT_TOKEN_OBJECT : RT_TOKEN_ARRAY;
}

static enum rt_token close_bracket(struct rt_json_pull *j)
{
    bool object = (j->objects >> (j->depth - 1) & 1) != 0;
    j->p++;
    j->depth--;
    after_value(j);
    return object ? RT_TOKEN_OBJECT_END : RT_TOKEN_ARRAY_END;
}

static enum rt_token take_value(struct rt_json_pull *j, int c, struct rt_err *err)
{
    if (c == '{' || c == '[')
        return open_bracket(j, c == '{', err);
    enum rt_token k = RT_TOKEN_STRING;
    if (c != '"')
        k = take_word(j, err);
    else if (!take_string(j, err))
        k = RT_TOKEN_ERROR;
    after_value(j);
    return k;
}

static enum rt_token take_key(struct rt_json_pull *j, struct rt_err *err)
{
    if (!take_string(j, err))
        return RT_TOKEN_ERROR;
    int c = skip_space(j, true, err); /* may move the key */
    if (c != ':')
        return c < 0 ? RT_TOKEN_ERROR : fail_at(j, j->p, "a colon", err);
    j->p++;
    j->text = j->token + 1;
    j->next = NEXT_VALUE;
    return RT_TOKEN_KEY;
}

static const char *const allowed[] = {
    [NEXT_VALUE] = "a value",
    [NEXT_VALUE_OR_END] = "a value or \"]\"",
    [NEXT_KEY] = "a key in quotes",
    [NEXT_KEY_OR_END] = "a key in quotes or \"}\"",
    [NEXT_COMMA_OR_END] = "a comma or a closing bracket",
    [NEXT_OUTER] = "a value",
};

/* Nothing is left: good between values only. */
static enum rt_token at_end(struct rt_json_pull *j, struct rt_err *err)
{
    if (j->next == NEXT_OUTER)
        return RT_TOKEN_END;
    return j->one_line ? fail_line(j, err) : fail_at(j, j->p, allowed[j->next], err);
}

/* The separator before the next token. Answers its first byte; 0 or -1 as skip_space. */
static int separator(struct rt_json_pull *j, int c, struct rt_err *err)
{
    if (c != ',')
        return c;
    j->p++;
    j->next = (j->objects >> (j->depth - 1) & 1) != 0 ? NEXT_KEY : NEXT_VALUE;
    return skip_space(j, false, err);
}

enum rt_token rt_json_pull_next(struct rt_json_pull *j, struct rt_err *err)
{
    err->code = RT_OK;
    int c = skip_space(j, false, err);
    if (c > 0 && j->next == NEXT_COMMA_OR_END)
        c = separator(j, c, err);
    if (c <= 0)
        return c < 0 ? RT_TOKEN_ERROR : at_end(j, err);
    j->token = j->p;
    mark(j, j->p);
    bool object = j->depth > 0 && (j->objects >> (j->depth - 1) & 1) != 0;
    switch ((enum next)j->next) {
    case NEXT_OUTER:
    case NEXT_VALUE:
        return take_value(j, c, err);
    case NEXT_VALUE_OR_END:
        return c == ']' ? close_bracket(j) : take_value(j, c, err);
    case NEXT_KEY:
    case NEXT_KEY_OR_END:
        if (c == '}' && j->next == NEXT_KEY_OR_END)
            return close_bracket(j);
        return c == '"' ? take_key(j, err) : fail_at(j, j->p, allowed[j->next], err);
    case NEXT_COMMA_OR_END:
        break;
    }
    return c == (object ? '}' : ']') ? close_bracket(j) : fail_at(j, j->p, allowed[j->next], err);
}

bool rt_json_pull_line_ends(struct rt_json_pull *j, struct rt_err *err)
{
    err->code = RT_OK;
    for (;;) {
        if (*j->p == ' ' || *j->p == '\t' || *j->p == '\r')
            j->p++;
        else if (j->p < limit(j) || !more(j, j->p, err))
            return err->code == RT_OK && (*j->p == '\n' || j->p == limit(j));
    }
}

bool rt_json_pull_skip(struct rt_json_pull *j, enum rt_token begin, struct rt_err *err)
{
    if (begin != RT_TOKEN_OBJECT && begin != RT_TOKEN_ARRAY)
        return begin != RT_TOKEN_ERROR;
    unsigned outer = j->depth - 1;
    while (j->depth > outer) {
        if (rt_json_pull_next(j, err) == RT_TOKEN_ERROR)
            return false;
    }
    return true;
}

const char *rt_token_name(enum rt_token k)
{
    static const char *const names[] = {
        [RT_TOKEN_ERROR] = "an error",   [RT_TOKEN_END] = "the end of the file",
        [RT_TOKEN_OBJECT] = "an object", [RT_TOKEN_OBJECT_END] = "the end of an object",
        [RT_TOKEN_ARRAY] = "an array",   [RT_TOKEN_ARRAY_END] = "the end of an array",
        [RT_TOKEN_KEY] = "a key",        [RT_TOKEN_STRING] = "a string",
        [RT_TOKEN_NUMBER] = "a number",  [RT_TOKEN_TRUE] = "true",
        [RT_TOKEN_FALSE] = "false",      [RT_TOKEN_NULL] = "null",
    };
    return names[k];
}
