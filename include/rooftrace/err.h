/* base/err.h: the one error type.
 *
 * A function that can fail returns bool (true = ok) or an answer, and takes `struct rt_err *` last;
 * on failure it has filled code and msg. Callers add context in front while the error travels up:
 *     trace.csv:17:5: output_tokens: expected a number, read "abc"
 * Three kinds, never mixed: bad input is an rt_err, a broken invariant is an assert, out of memory
 * is RT_ENOMEM. Nothing below src/cli prints or exits. */
#ifndef RT_ERR_H
#define RT_ERR_H

#include <stdarg.h>
#include <stdbool.h>

#define RT_MUST_USE          __attribute__((warn_unused_result))
#define RT_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define RT_COLD              __attribute__((cold)) /* failing is rare: keep it off the hot paths */

/* code, exit status of the program, text */
#define RT_CODES(X)                                                                                \
    X(OK, 0, "ok")                                                                                 \
    X(ENOMEM, 1, "out of memory")                                                                  \
    X(EIO, 1, "input or output failed")                                                            \
    X(ETRACE, 1, "bad trace")                                                                      \
    X(EDB, 1, "database failed")                                                                   \
    X(ECONFIG, 2, "bad scenario, catalogue or configuration")                                      \
    X(EUSAGE, 2, "bad command line")                                                               \
    X(ECHECK, 1, "self-check failed")                                                              \
    X(EINTR, 130, "interrupted")

enum rt_code {
#define X(name, exit_status, text) RT_##name,
    RT_CODES(X)
#undef X
};

struct rt_err {
    enum rt_code code; /* RT_OK until something failed */
    char msg[512];     /* one line, control characters replaced; cut with "..." when too long */
};

/* Fills *err. Always returns false, so that a failing function can end in `return rt_fail(...)`.
 * The arguments may point into *err. */
bool rt_fail(struct rt_err *err, enum rt_code code, const char *fmt, ...) RT_PRINTF(3, 4) RT_COLD;

/* Puts context in front of the message: "fmt: old message"; the code stays. Always returns false.
 */
bool rt_fail_in(struct rt_err *err, const char *fmt, ...) RT_PRINTF(2, 3) RT_COLD;

/* RT_ENOMEM with what could not be allocated. Always returns false, where a compiler and an
 * analyser can see it. */
void rt_say_nomem(struct rt_err *err, const char *what) RT_COLD;
static inline bool rt_fail_nomem(struct rt_err *err, const char *what)
{
    rt_say_nomem(err, what);
    return false;
}

const char *rt_code_text(enum rt_code code);
int rt_code_exit_status(enum rt_code code);

/* The name among `names` that is nearest to `word` by edit distance, without regard to case, or
 * NULL when none is within a third of the word's length (at least 2), or when not one letter would
 * stand, or for words beyond 128 bytes. The first of equals. For "unknown x, did you mean".
 * O(count * |word| * |name|). */
const char *rt_nearest(const char *word, const char *const *names, unsigned count);

/* did you mean "x"?  or  one of a, b, c  whichever helps, into buf (cut with "..." when too long);
 * returns buf. */
const char *rt_suggest(const char *word, const char *const *names, unsigned count, char *buf,
                       unsigned size);

#endif
