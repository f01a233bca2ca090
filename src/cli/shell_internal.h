/* shell_words.c: a line as a POSIX shell would split it into words, without running anything. */
#ifndef RT_SHELL_INTERNAL_H
#define RT_SHELL_INTERNAL_H

#include "rooftrace/err.h"

#include <stddef.h>

enum shell_kind {
    SHELL_WORD,
    SHELL_NEWLINE, /* ends a command, unless the next word is an option that lost its backslash */
    SHELL_END      /* ; & | ( ) */
};

struct shell_token {
    enum shell_kind kind;
    const char *text; /* of a word; owned by shell_words */
};

struct shell_words {
    char *text;
    struct shell_token *tokens;
    size_t count;
};

/* RT_EUSAGE when a quote is never closed: the message tells its place, not what it holds. */
bool shell_split(const char *line, struct shell_words *out, struct rt_err *err) RT_MUST_USE;
void shell_release(struct shell_words *w);

#endif
