/* The grammar of JSON, strictly, with the line and column of the first error.
 *
 * cJSON reads more than JSON (01, 1., raw control characters in strings, any byte up to a space as
 * white space, broken UTF-8, 1e999 as infinity) and says little about errors, so every text passes
 * here first. One pass, an explicit stack of open brackets, no allocation: O(length). Columns count
 * characters, not bytes, from 1. */
#include "base_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum next {
    NEXT_VALUE,        /* after a colon, or at the start */
    NEXT_ITEM,         /* after a comma in an array */
    NEXT_ITEM_OR_END,  /* after [ */
    NEXT_KEY,          /* after a comma in an object */
    NEXT_KEY_OR_END,   /* after { */
    NEXT_COLON,        /* after a key */
    NEXT_COMMA_OR_END, /* after a value within brackets */
    NEXT_NOTHING       /* after the outermost value */
};

struct scan {
    const unsigned char *text;
    size_t len, at;
    const char *name;
    struct rt_err *err;
    unsigned depth;
    enum next next;
    unsigned char open[RT_JSON_DEPTH_MAX]; /* '{' or '[' */
};

/* Length of the UTF-8 character at p, 0 when it is none (RFC 3629: no surrogate, nothing beyond
 * U+10FFFF, no longer form than needed). */
static size_t utf8_length(const unsigned char *p, size_t room)
{
    size_t n;
    uint32_t code;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};

    if (p[0] < 0x80)
        return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4)
        return 0;
    n = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (n > room)
        return 0;
    code = p[0] & (0x7Fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xC0u) != 0x80u)
            return 0;
        code = code << 6 | (p[i] & 0x3Fu);
    }
    if (code < least[n] || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF))
        return 0;
    return n;
}

/* Always false: name:line:column: message, for the byte at `at`. */
static bool fail_at(struct scan *s, size_t at, const char *message)
{
    size_t line = 1, column = 1;

    for (size_t i = 0; i < at; i++) {
        if (s->text[i] == '\n') {
            line++;
            column = 1;
        } else if ((s->text[i] & 0xC0u) != 0x80u) {
            column++;
        }
    }
    return rt_fail(s->err, RT_ECONFIG, "%s:%zu:%zu: %s", s->name, line, column, message);
}

static bool word_byte(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '+' || c == '-' || c == '.';
}

static size_t word_length(const struct scan *s)
{
    size_t n = 0;

    while (s->at + n < s->len && word_byte(s->text[s->at + n]))
        n++;
    return n;
}

/* Always false: "expected ..., read ..." for what stands at s->at. */
static bool fail_expected(struct scan *s, const char *expected)
{
    char message[160];
    size_t n = word_length(s);
    const char *text = (const char *)s->text + s->at;

    if (s->at == s->len) {
        snprintf(message, sizeof message, "expected %s, read the end of the text", expected);
        return fail_at(s, s->at, message);
    }
    if (n == 0 && s->text[s->at] >= 0x20 && s->text[s->at] != 0x7F)
        n = utf8_length(s->text + s->at, s->len - s->at);
    if (n == 0)
        snprintf(message, sizeof message, "expected %s, read the byte 0x%02X", expected,
                 s->text[s->at]);
    else
        snprintf(message, sizeof message, "expected %s, read \"%.*s\"%s%s", expected,
                 n > 40 ? 40 : (int)n, text, n > 40 ? "..." : "",
                 *text == '/' || *text == '#' ? " (JSON has no comments)" : "");
    return fail_at(s, s->at, message);
}

/* Four hexadecimal digits at s->at; 0x10000 when they are none. */
static unsigned hex4(const struct scan *s)
{
    unsigned code = 0;

    if (s->len - s->at < 4)
        return 0x10000;
    for (size_t i = 0; i < 4; i++) {
        unsigned char c = s->text[s->at + i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = c - (unsigned)'0';
        else if ((c | 0x20u) >= 'a' && (c | 0x20u) <= 'f')
            digit = (c | 0x20u) - (unsigned)'a' + 10;
        else
            return 0x10000;
        code = code << 4 | digit;
    }
    return code;
}

/* \uXXXX, at the digits. A high surrogate must be followed by an escaped low one. */
static bool scan_unicode_escape(struct scan *s, size_t start)
{
    unsigned code = hex4(s);

    if (code > 0xFFFF)
        return fail_at(s, start, "expected four hexadecimal digits after \"\\u\"");
    s->at += 4;
    if (code == 0)
        return fail_at(s, start, "\"\\u0000\" is not allowed in a string");
    if (code >= 0xDC00 && code <= 0xDFFF)
        return fail_at(s, start, "low surrogate without a high one before it");
    if (code < 0xD800 || code > 0xDBFF)
        return true;
    if (s->len - s->at >= 2 && s->text[s->at] == '\\' && s->text[s->at + 1] == 'u') {
        s->at += 2;
        code = hex4(s);
        s->at += code > 0xFFFF ? 0 : 4;
        if (code >= 0xDC00 && code <= 0xDFFF)
            return true;
    }
    return fail_at(s, start, "high surrogate without a low one after it");
}

/* At the backslash. */
static bool scan_escape(struct scan *s)
{
    size_t start = s->at++;
    unsigned char c = s->at < s->len ? s->text[s->at] : 0;

    if (c == 'u') {
        s->at++;
        return scan_unicode_escape(s, start);
    }
    if (c == 0 || strchr("\"\\/bfnrt", c) == NULL)
        return fail_at(s, start,
                       "unknown escape in a string, expected one of "
                       "\\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX");
    s->at++;
    return true;
}

/* At the opening quote. */
static bool scan_string(struct scan *s)
{
    size_t start = s->at++;

    while (s->at < s->len) {
        unsigned char c = s->text[s->at];
        size_t n = utf8_length(s->text + s->at, s->len - s->at);
        if (c == '"') {
            s->at++;
            return true;
        }
        if (c == '\\') {
            if (!scan_escape(s))
                return false;
            continue;
        }
        if (c == '\n' || c == '\r')
            return fail_at(s, start, "string without a closing quote on its line");
        if (c < 0x20)
            return fail_at(s, s->at, "control character in a string, write it as \\u00XX");
        if (n == 0)
            return fail_at(s, s->at, "invalid UTF-8 in a string");
        s->at += n;
    }
    return fail_at(s, start, "string without a closing quote");
}

/* Skips digits from `i` on, answers the first other place. */
static size_t digits(const char *text, size_t i)
{
    while (text[i] >= '0' && text[i] <= '9')
        i++;
    return i;
}

/* -? (0 | [1-9][0-9]*) (.[0-9]+)? ([eE][+-]?[0-9]+)?  Sets *integer when only the first two parts
 * are there. */
static bool number_grammar(const char *text, bool *integer)
{
    size_t i = text[0] == '-' ? 1 : 0;
    size_t end = digits(text, i);

    if (end == i || (text[i] == '0' && end > i + 1))
        return false;
    *integer = text[end] == '\0';
    if (text[end] == '.') {
        i = end + 1;
        end = digits(text, i);
        if (end == i)
            return false;
    }
    if (text[end] == 'e' || text[end] == 'E') {
        i = end + 1;
        i += text[i] == '+' || text[i] == '-' ? 1 : 0;
        end = digits(text, i);
        if (end == i)
            return false;
    }
    return text[end] == '\0';
}

static bool scan_number(struct scan *s)
{
    char text[RT_JSON_NUMBER_MAX + 1];
    size_t n = word_length(s);
    bool integer = false;

    if (n > RT_JSON_NUMBER_MAX)
        return fail_expected(s, "a number of at most 63 characters");
    memcpy(text, s->text + s->at, n);
    text[n] = '\0';
    if (!number_grammar(text, &integer))
        return fail_expected(s, "a number as JSON writes it");
    if (!isfinite(strtod(text, NULL)))
        return fail_expected(s, "a number that a double can hold");
    /* Beyond 2^53 a double skips integers. Saturates at 2^64 - 1, which is beyond, too. */
    if (integer && strtoull(text + (text[0] == '-'), NULL, 10) > RT_JSON_INTEGER_MAX)
        return fail_expected(s, "an integer within 2^53 (9007199254740992)");
    s->at += n;
    return true;
}

static bool scan_word(struct scan *s, const char *expected)
{
    static const char *const words[] = {"true", "false", "null"};
    size_t n = word_length(s);

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (n == strlen(words[i]) && memcmp(s->text + s->at, words[i], n) == 0) {
            s->at += n;
            return true;
        }
    return fail_expected(s, expected);
}

static void after_value(struct scan *s)
{
    s->next = s->depth > 0 ? NEXT_COMMA_OR_END : NEXT_NOTHING;
}

static bool open_bracket(struct scan *s, unsigned char c)
{
    if (s->depth == RT_JSON_DEPTH_MAX)
        return fail_at(s, s->at, "nested deeper than 64 levels");
    s->open[s->depth++] = c;
    s->next = c == '{' ? NEXT_KEY_OR_END : NEXT_ITEM_OR_END;
    s->at++;
    return true;
}

static void close_bracket(struct scan *s)
{
    s->at++;
    s->depth--;
    after_value(s);
}

static bool scan_value(struct scan *s, unsigned char c, const char *expected)
{
    bool ok;

    if (c == '{' || c == '[')
        return open_bracket(s, c);
    if (c == '"')
        ok = scan_string(s);
    else if ((c >= '0' && c <= '9') || c == '.' || c == '+' ||
             (c == '-' && s->at + 1 < s->len && s->text[s->at + 1] != 'I'))
        ok = scan_number(s);
    else
        ok = scan_word(s, expected);
    after_value(s);
    return ok;
}

static bool scan_key(struct scan *s, unsigned char c, const char *expected)
{
    s->next = NEXT_COLON;
    return c == '"' ? scan_string(s) : fail_expected(s, expected);
}

static bool scan_separator(struct scan *s, unsigned char c)
{
    bool object = s->open[s->depth - 1] == '{';

    if (c == (object ? '}' : ']')) {
        close_bracket(s);
        return true;
    }
    if (c != ',')
        return fail_expected(s, object ? "\",\" or \"}\"" : "\",\" or \"]\"");
    s->at++;
    s->next = object ? NEXT_KEY : NEXT_ITEM;
    return true;
}

/* One token. c is 0 at the end of the text, which no branch takes for a token. */
static bool step(struct scan *s, unsigned char c)
{
    switch (s->next) {
    case NEXT_VALUE:
    case NEXT_ITEM:
        return scan_value(s, c, "a value");
    case NEXT_ITEM_OR_END:
        if (c != ']')
            return scan_value(s, c, "a value or \"]\"");
        close_bracket(s);
        return true;
    case NEXT_KEY:
        return scan_key(s, c, "a key in quotes");
    case NEXT_KEY_OR_END:
        if (c != '}')
            return scan_key(s, c, "a key in quotes or \"}\"");
        close_bracket(s);
        return true;
    case NEXT_COLON:
        s->next = NEXT_VALUE;
        if (c != ':')
            return fail_expected(s, "\":\"");
        s->at++;
        return true;
    case NEXT_COMMA_OR_END:
        return scan_separator(s, c);
    case NEXT_NOTHING:
        break;
    }
    return fail_expected(s, "nothing after the value");
}

bool rt_json_scan(const char *text, size_t len, const char *name, struct rt_err *err)
{
    struct scan s = {.text = (const unsigned char *)text, .len = len, .name = name, .err = err};

    s.next = NEXT_VALUE;
    for (;;) {
        while (s.at < len && (text[s.at] == ' ' || text[s.at] == '\t' || text[s.at] == '\n' ||
                              text[s.at] == '\r'))
            s.at++;
        if (s.at == len && s.next == NEXT_NOTHING)
            return true;
        if (!step(&s, s.at < len ? s.text[s.at] : 0))
            return false;
    }
}
