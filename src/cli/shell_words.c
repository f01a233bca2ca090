/* Words of a command line, split as a POSIX shell splits them (XCU 2.2, 2.3): quotes, backslashes,
 * continued lines, comments, operators that end a command. Redirections are dropped with their
 * target. Nothing is expanded: $NAME and `...` stay as they are written.
 *
 * One pass; every word is a piece of one buffer. A word and the NUL behind it never take more room
 * than they took in the line, as every word but the last is followed by at least one character that
 * is not part of it. O(line). */
#include "shell_internal.h"

#include <stdlib.h>
#include <string.h>

struct scan {
    struct shell_words *out;
    const char *line, *at; /* what is read next */
    char *to;              /* where the next character of a word goes */
    char *word;            /* begin of the open word, or NULL */
    bool target;           /* the next word is where a redirection goes */
};

static void put(struct scan *s, char c)
{
    if (s->word == NULL)
        s->word = s->to;
    *s->to++ = c;
}

static void drop_word(struct scan *s)
{
    s->to = s->word != NULL ? s->word : s->to;
    s->word = NULL;
}

static void end_word(struct scan *s)
{
    if (s->word == NULL)
        return;
    if (s->target) {
        s->target = false;
        drop_word(s);
        return;
    }
    *s->to++ = '\0';
    s->out->tokens[s->out->count++] = (struct shell_token){SHELL_WORD, s->word};
    s->word = NULL;
}

static void end_command(struct scan *s, enum shell_kind kind)
{
    end_word(s);
    s->target = false;
    s->out->tokens[s->out->count++] = (struct shell_token){kind, NULL};
    s->at++;
}

static bool fail_open(const struct scan *s, const char *quote, struct rt_err *err)
{
    return rt_fail(err, RT_EUSAGE, "--engine-args: the quote %c at character %zu is never closed",
                   *quote, (size_t)(quote - s->line) + 1);
}

/* Length of a line's end at p: "\n" or "\r\n"; 0: there is none. */
static size_t line_end(const char *p)
{
    return p[0] == '\n' ? 1 : p[0] == '\r' && p[1] == '\n' ? 2 : 0;
}

/* At a backslash. `special`: what it protects inside double quotes; NULL: everything. */
static void read_backslash(struct scan *s, const char *special)
{
    const char *next = s->at + 1;
    size_t newline = line_end(next);

    if (newline > 0) { /* a continued line */
        s->at = next + newline;
    } else if (*next == '\0' || (special != NULL && strchr(special, *next) == NULL)) {
        put(s, '\\');
        s->at = next;
    } else {
        put(s, *next);
        s->at = next + 1;
    }
}

/* At "$(" or "`": the whole substitution as it stands, blanks and operators included, is part of
 * the word. Without its end, it is none. */
static bool read_substitution(struct scan *s)
{
    const char *end = NULL;
    size_t depth = 0;

    if (*s->at == '`') {
        end = strchr(s->at + 1, '`');
    } else if (s->at[0] == '$' && s->at[1] == '(') {
        for (const char *p = s->at + 1; *p != '\0' && end == NULL; p++) {
            depth += *p == '(';
            depth -= *p == ')';
            end = depth == 0 ? p : NULL;
        }
    }
    while (end != NULL && s->at <= end)
        put(s, *s->at++);
    return end != NULL;
}

static bool read_quoted(struct scan *s, struct rt_err *err)
{
    const char *quote = s->at++;

    if (s->word == NULL)
        s->word = s->to; /* "" is a word, too */
    while (*s->at != *quote) {
        if (*s->at == '\0')
            return fail_open(s, quote, err);
        if (*quote == '"' && *s->at == '\\')
            read_backslash(s, "$`\"\\");
        else if (*quote == '\'' || !read_substitution(s))
            put(s, *s->at++);
    }
    s->at++;
    return true;
}

/* At '<' or '>': digits just before it are a file descriptor and go with it. */
static void read_redirection(struct scan *s)
{
    if (s->word != NULL && strspn(s->word, "0123456789") >= (size_t)(s->to - s->word))
        drop_word(s);
    end_word(s);
    s->at += strspn(s->at, "<>&|");
    s->target = true;
}

static bool read_one(struct scan *s, struct rt_err *err)
{
    char c = *s->at;

    if (c == '\'' || c == '"')
        return read_quoted(s, err);
    if (read_substitution(s))
        return true;
    if (c == '\\') {
        read_backslash(s, NULL);
    } else if (c == '\n') {
        end_command(s, SHELL_NEWLINE);
    } else if (strchr(" \t\r", c) != NULL) {
        end_word(s);
        s->at++;
    } else if (strchr(";&|()", c) != NULL) {
        end_command(s, SHELL_END);
    } else if (c == '<' || c == '>') {
        read_redirection(s);
    } else if (c == '#' && s->word == NULL) {
        s->at += strcspn(s->at, "\n");
    } else {
        put(s, c);
        s->at++;
    }
    return true;
}

bool shell_split(const char *line, struct shell_words *out, struct rt_err *err)
{
    size_t len = strlen(line);
    struct scan s = {.out = out, .line = line, .at = line};

    *out = (struct shell_words){0};
    out->text = calloc(len + 1, 1); /* zeros: what is open ends */
    /* A word or an operator takes a character; the last word may come on top. */
    out->tokens = calloc(len + 1, sizeof(*out->tokens));
    if (out->text == NULL || out->tokens == NULL) {
        shell_release(out);
        return rt_fail_nomem(err, "--engine-args");
    }
    s.to = out->text;
    while (*s.at != '\0')
        if (!read_one(&s, err)) {
            shell_release(out);
            return false;
        }
    end_word(&s);
    return true;
}

void shell_release(struct shell_words *w)
{
    free(w->text);
    free(w->tokens);
    *w = (struct shell_words){0};
}
